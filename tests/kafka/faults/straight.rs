//! A router that writes straight to Kafka while a broker dies: all of its spool arrives, in order.

use std::collections::BTreeSet;

use tandem::agent::Emission;
use tandem::agent::emit::Stamper;
use tandem::agent::journal::Journal;
use tandem::agent::upload::{self, Deadlines, Progress};
use tandem::config::{Privacy, Upload};
use tandem::event::{ConfigRolledBack, Sequence};
use tandem::stream::{Kafka, Topic, partition_of};
use tokio::sync::watch;

use super::cluster::Cluster;
use super::judge::{header, kcat_reads};
use super::{PATIENCE, sheet, until};

const ROUTER: &str = "branch-0042";
const PARTITIONS: u32 = 3;
const EVENTS: u64 = 1_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_router_writes_straight_to_kafka_outlives_a_broker() {
    let cluster = Cluster::take().await;
    let place = cluster.place(PARTITIONS);
    let _topics = Kafka::open(place.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stamper = Stamper::new("boot".into(), Privacy::default());
    let journal = Journal::start(folder.path(), ROUTER.parse().unwrap(), 4 << 20, stamper).unwrap().0;
    let acknowledged = async || journal.depth().await.unwrap().acknowledged;
    let to = format!("kafka://{}/{}?partitions={PARTITIONS}", place.servers, place.prefix);
    let options = Upload { to: Some(to), ..Upload::default() };
    let (stop, stopped) = watch::channel(false);
    let (publish, _progress) = watch::channel(Progress::default());
    let uploading =
        tokio::spawn(upload::run(options, Deadlines::default(), journal.clone(), publish, stopped));
    let writing = {
        let journal = journal.clone();
        tokio::spawn(async move {
            for cause in 1..=EVENTS {
                let (from_hash, hash) = ("a".into(), "b".into());
                let body = ConfigRolledBack { from_hash, hash, cause: cause.to_string() }.into();
                journal.emit_durably(Emission { subject: None, time: None, body }).await.unwrap();
            }
        })
    };
    until("some arrived", async || acknowledged().await > Sequence(0)).await;
    let partition = partition_of(ROUTER, PARTITIONS) as usize;
    let leader = cluster.leader(&place, Topic::Status, partition).await;
    let killed = cluster.kill(leader);
    cluster.until_another_leads(leader, &place, Topic::Status, partition).await;
    writing.await.unwrap();
    until("all arrived without it", async || acknowledged().await >= Sequence(EVENTS)).await;
    drop(killed);
    stop.send_replace(true);
    tokio::time::timeout(PATIENCE, uploading).await.expect("it stops when told").unwrap();

    let records = kcat_reads(&place, Topic::Status);
    let mut found = BTreeSet::new();
    for record in &records {
        let sequence: u64 = header(record, "ce_sequence").unwrap().parse().unwrap();
        let next = found.last().map_or(1, |last| last + 1);
        assert!(sequence <= next, "{sequence} stands where {next} should");
        found.insert(sequence);
    }
    let records = records.len() as u64;
    sheet::add(
        "kill -9 of the broker that a router writes to, without a gateway",
        &[("told", EVENTS), ("records", records), ("doubles", records - found.len() as u64)],
    );
    assert_eq!(found, (1..=EVENTS).collect(), "every event arrived");
}
