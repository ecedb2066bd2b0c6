//! What nobody expects in the topics: it is counted when it is an event, becomes a dead letter when not, and holds up
//! nothing.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tandem::stream::{Kafka, KafkaSettings, Topic, partition_of};

use super::cluster::Cluster;
use super::judge::{Beside, header, kcat_reads};
use super::process::Process;
use super::setting::Setting;
use super::{sheet, until};

const EPOCH: &str = "0000000000facade";
const NOW: &str = "2026-11-24T00:00:00Z";
/// What a router of a later version says.
const UNKNOWN: &str = "io.tandem.moon.landed.v7";

/// Has kcat write `values` to `partition`, with headers and key; no value is a tombstone.
fn kcat_writes(
    place: &KafkaSettings,
    topic: Topic,
    partition: u64,
    key: &str,
    headers: &[&str],
    values: &[Option<&str>],
) {
    let name = place.named(topic.name());
    let mut command = Command::new("timeout");
    command.args([
        "60",
        "kcat",
        "-b",
        &place.servers,
        "-P",
        "-t",
        &name,
        "-p",
        &partition.to_string(),
        "-K|",
        "-Z",
        // It counts: what is sent again must not be there twice.
        "-X",
        "enable.idempotence=true",
    ]);
    headers.iter().for_each(|header| {
        command.args(["-H", header]);
    });
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for value in values {
        writeln!(input, "{key}|{}", value.unwrap_or_default()).unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn event(router: &str, sequence: u64, time: &str, kind: &str, more: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{EPOCH}-{sequence:020}","source":"/routers/{router}","subject":"lte-dev-1","time":"{time}","epoch":"{EPOCH}","sequence":"{sequence:020}","partitionkey":"{router}","type":"{kind}","data":{{"boot_id":"b","uptime_ms":{sequence},"clock":"synced","from":"connecting","to":"connected","cause":"odd {sequence}"{more}}}}}"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_odd_is_counted_or_told_and_holds_up_nothing() {
    const KIND: &str = "io.tandem.link.changed.v1";
    let cluster = Cluster::take().await;
    let setting = Setting::start(&cluster, 1).await;
    let place = setting.place.clone();
    // A router of its own, through the gateway.
    let odd = "router-odd";
    let send = async |events: &[String]| {
        let url = format!("{}/v1/events", setting.gateways[0].url);
        let request =
            reqwest::Client::new().post(url).header("content-type", "application/cloudevents-batch+json");
        let response = request.body(format!("[{}]", events.join(","))).send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
    };
    let oversize = event(odd, 5, NOW, KIND, &format!(r#","note":"{}""#, "x".repeat(300_000)));
    send(&[
        event(odd, 1, "1970-01-01T00:00:07Z", KIND, ""),
        event(odd, 2, "2090-01-01T00:00:00Z", KIND, ""),
        event(odd, 3, NOW, KIND, r#","added_later":{"by":["a","newer","schema"]}"#),
        event(odd, 4, NOW, UNKNOWN, ""),
        oversize,
    ])
    .await;
    let partition = u64::from(partition_of(odd, place.partitions));
    let write = |headers: &[&str], value: Option<&str>| {
        kcat_writes(&place, Topic::Status, partition, odd, headers, &[value]);
    };
    write(&[], Some("poison"));
    write(&["ce_type=x"], None);
    write(
        &["content-type=application/json", "ce_specversion=1.0", "ce_type=io.tandem.link.changed.v1"],
        Some("{}"),
    );
    write(&[], Some(&event(odd, 6, NOW, KIND, "")));
    // Of a writer that knows another way to share out keys.
    let elsewhere = (partition + 1) % u64::from(place.partitions);
    kcat_writes(&place, Topic::Status, elsewhere, odd, &[], &[Some(&event(odd, 7, NOW, KIND, ""))]);
    // A partition of which no router is known yet.
    let lonely = cluster.place(3);
    let fold = Process::start(&lonely, "fold");
    kcat_writes(&lonely, Topic::Status, 1, "nobody", &[], &[Some("poison")]);
    until("the letter of nobody", async || kcat_reads(&lonely, Topic::DeadLetters).len() == 1).await;
    fold.stop().await;
    let again = Process::start(&lonely, "fold");
    kcat_writes(&lonely, Topic::Status, 1, "nobody", &[], &[Some("poison too")]);
    until("the second letter of nobody", async || kcat_reads(&lonely, Topic::DeadLetters).len() > 1).await;
    again.stop().await;
    assert_eq!(kcat_reads(&lonely, Topic::DeadLetters).len(), 2, "each is told once");

    until("the letters of the odd router", async || kcat_reads(&place, Topic::DeadLetters).len() >= 5).await;
    let letters = kcat_reads(&place, Topic::DeadLetters);
    let reasons: Vec<&str> = letters.iter().map(|letter| header(letter, "tandem_reason").unwrap()).collect();
    assert_eq!(letters.len(), 5, "{reasons:#?}");
    assert!(letters.iter().all(|letter| letter["key"] == odd));
    for part in ["element 4", "expected value", "a tombstone", "missing field", "belongs to partition"] {
        assert!(reasons.iter().any(|reason| reason.contains(part)), "{part}: {reasons:#?}");
    }
    let (finished, node) = setting.finish().await;
    let shown = node.ask(&format!("/v1/routers/{odd}")).await.unwrap();
    assert_eq!(shown["completeness"]["received"], 5, "four through the gateway, one beside it");
    let holes = serde_json::json!([{"epoch": EPOCH, "first": 5, "last": 5}]);
    assert_eq!(shown["holes"], holes, "what became a dead letter is missing");
    let case = "unknown type, newer schema, poison, tombstone, oversize, clocks years off";
    sheet::add(case, &[("told", 10), ("counted", 5), ("dead letters", 5)]);
    let beside = Beside { routers: 1, dead_letters: 5 };
    finished.judge("the other routers meanwhile", &node, beside).await;
}

/// Writes of a router that nobody else has: what is no event, no value at all, and an event of an unknown type.
struct Stranger<'a> {
    place: &'a KafkaSettings,
    partition: u64,
    rounds: u64,
}

impl Stranger<'_> {
    const NAME: &'static str = "router-odd";
    const LETTERS_A_ROUND: u64 = 2;

    fn writes(&mut self) {
        self.rounds += 1;
        let unknown = event(Self::NAME, self.rounds, NOW, UNKNOWN, "");
        let values = [Some("poison"), Some(unknown.as_str()), None];
        kcat_writes(self.place, Topic::Status, self.partition, Self::NAME, &[], &values);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_event_becomes_one_dead_letter_whatever_dies_meanwhile() {
    let cluster = Cluster::take().await;
    let mut setting = Setting::start(&cluster, 2).await;
    let place = setting.place.clone();
    let partition = partition_of(Stranger::NAME, place.partitions);
    let mut stranger = Stranger { place: &place, partition: partition.into(), rounds: 0 };
    stranger.writes();
    for _ in 0..2 {
        // A fold joins, the oldest dies.
        setting.folds.push(Process::start(&place, "fold"));
        stranger.writes();
        setting.folds.remove(0).kill();
        stranger.writes();
    }
    let leader = cluster.leader(&place, Topic::Status, partition as usize).await;
    let killed = cluster.kill(leader);
    stranger.writes();
    cluster.until_another_leads(leader, &place, Topic::Status, partition as usize).await;
    setting.folds.remove(0).kill();
    stranger.writes();
    setting.folds.push(Process::start(&place, "fold"));
    drop(killed);
    cluster.until_whole().await;
    stranger.writes();
    let (rounds, letters) = (stranger.rounds, stranger.rounds * Stranger::LETTERS_A_ROUND);
    until("its letters", async || kcat_reads(&place, Topic::DeadLetters).len() as u64 >= letters).await;
    let (finished, node) = setting.finish().await;
    let case = "poison, tombstones and unknown types while folds and a broker die";
    let beside = Beside { routers: 1, dead_letters: letters };
    finished.judge(case, &node, beside).await;
    let shown = node.ask(&format!("/v1/routers/{}", Stranger::NAME)).await.unwrap();
    assert_eq!(shown["completeness"]["received"], rounds, "what is unknown is an event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_takes_what_one_broker_alone_holds_is_told_or_taken() {
    let cluster = Cluster::take().await;
    let mut place = cluster.place(1);
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &place.servers).create().unwrap();
    let name = place.named(Topic::Status.name());
    let new = NewTopic::new(&name, 1, TopicReplication::Fixed(3)).set("retention.ms", "-1");
    let new = new.set("min.insync.replicas", "1").set("max.message.bytes", "10000000");
    admin.create_topics(&[new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    cluster.until_whole().await;
    let error = Kafka::open(place.clone()).await.err().expect("it was opened").to_string();
    assert!(error.contains(&format!("topic {name}: min.insync.replicas is 1, wanted 2 to 3")), "{error}");
    assert!(error.contains("kafka-configs") && error.contains("topics=take"), "{error}");
    place.set("topics", "take").unwrap();
    Kafka::open(place).await.unwrap();
}
