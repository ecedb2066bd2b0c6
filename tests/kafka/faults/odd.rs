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

/// Has kcat write `value` to `partition`, with headers and key; without a value a tombstone.
fn kcat_writes(
    place: &KafkaSettings,
    topic: Topic,
    partition: u64,
    key: &str,
    headers: &[&str],
    value: Option<&str>,
) {
    let name = place.named(topic.name());
    let mut command = Command::new("timeout");
    command.args([
        "30",
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
    ]);
    headers.iter().for_each(|header| {
        command.args(["-H", header]);
    });
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(format!("{key}|{}\n", value.unwrap_or_default()).as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
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
    let now = "2026-11-24T00:00:00Z";
    let oversize = event(odd, 5, now, KIND, &format!(r#","note":"{}""#, "x".repeat(300_000)));
    send(&[
        event(odd, 1, "1970-01-01T00:00:07Z", KIND, ""),
        event(odd, 2, "2090-01-01T00:00:00Z", KIND, ""),
        event(odd, 3, now, KIND, r#","added_later":{"by":["a","newer","schema"]}"#),
        event(odd, 4, now, "io.tandem.moon.landed.v7", ""),
        oversize,
    ])
    .await;
    let partition = u64::from(partition_of(odd, place.partitions));
    let write = |headers: &[&str], value: Option<&str>| {
        kcat_writes(&place, Topic::Status, partition, odd, headers, value);
    };
    write(&[], Some("poison"));
    write(&["ce_type=x"], None);
    write(
        &["content-type=application/json", "ce_specversion=1.0", "ce_type=io.tandem.link.changed.v1"],
        Some("{}"),
    );
    write(&[], Some(&event(odd, 6, now, KIND, "")));
    // Of a writer that knows another way to share out keys.
    let elsewhere = (partition + 1) % u64::from(place.partitions);
    kcat_writes(&place, Topic::Status, elsewhere, odd, &[], Some(&event(odd, 7, now, KIND, "")));
    // A partition of which no router is known yet.
    let lonely = cluster.place(3);
    let fold = Process::start(&lonely, "fold");
    kcat_writes(&lonely, Topic::Status, 1, "nobody", &[], Some("poison"));
    until("the letter of nobody", async || kcat_reads(&lonely, Topic::DeadLetters).len() == 1).await;
    fold.stop().await;
    let again = Process::start(&lonely, "fold");
    kcat_writes(&lonely, Topic::Status, 1, "nobody", &[], Some("poison too"));
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
