//! Who reads more slowly than records go: it says so, and goes on with what is left.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tandem::central::Central;
use tandem::stream::{Kafka, KafkaSettings, Record, Stream as _, Topic};
use tokio::time::Instant;

use super::{PATIENCE, broker, events};

/// Has the cluster let go of all records of status before `offset`, as it does of old ones.
async fn expire(settings: &KafkaSettings, offset: i64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker::address()).create().unwrap();
    let mut before = TopicPartitionList::new();
    let name = settings.named(Topic::Status.name());
    before.add_partition_offset(&name, 0, Offset::Offset(offset)).unwrap();
    let gone = admin.delete_records(&before, &AdminOptions::new()).await.unwrap();
    gone.elements()[0].error().unwrap();
}

/// Has `central` read on until it counts as many events of the router.
async fn until_received(central: &Central, events: u64) {
    let deadline = Instant::now() + PATIENCE;
    let received = || {
        let fleet = central.fleet();
        let fleet = fleet.read().unwrap();
        fleet.router("r").map(|view| view.completeness().received)
    };
    while received() != Some(events) {
        assert!(Instant::now() < deadline, "{:?}", received());
        central.step().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_lags_behind_what_expires_goes_on_with_what_is_left_and_counts_what_is_not() {
    let settings = broker::settings(1);
    let stream = Arc::new(Kafka::open(settings.clone()).await.unwrap());
    stream.append(vec![events::status("r", 1)]).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let central = Central::open(stream.clone(), data.path()).await.unwrap();
    until_received(&central, 1).await;
    stream.append((2..=5).map(|sequence| events::status("r", sequence)).collect()).await.unwrap();
    expire(&settings, 3).await;
    until_received(&central, 3).await;
    let fleet = central.fleet();
    let fleet = fleet.read().unwrap();
    let counts = fleet.router("r").unwrap().completeness();
    assert_eq!((counts.expected, counts.missing, counts.doubles), (5, 2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_had_caught_up_and_falls_behind_shows_its_lag() {
    let settings = broker::settings(1);
    let stream = Arc::new(Kafka::open(settings).await.unwrap());
    let data = tempfile::tempdir().unwrap();
    let central = Central::open(stream.clone(), data.path()).await.unwrap();
    let lag_ms = || central.fleet().read().unwrap().freshness.lag_ms(Utc::now());
    while !central.step().await.unwrap() {}
    assert_eq!(lag_ms(), 0);
    // What came in while it stood still: more than it reads at once.
    let time = Utc::now() - TimeDelta::minutes(10);
    let waiting = (1..=9_000).map(|sequence| Record { time, ..events::status("r", sequence) });
    stream.append(waiting.collect()).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while central.fleet().read().unwrap().router("r").is_none() {
        assert!(Instant::now() < deadline);
        central.step().await.unwrap();
    }
    assert!(lag_ms() >= TimeDelta::minutes(10).num_milliseconds(), "{} ms", lag_ms());
    while !central.step().await.unwrap() {}
    assert_eq!(lag_ms(), 0, "at the end");
}
