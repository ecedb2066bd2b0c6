//! What others see: `kcat` reads what we wrote, and we read what others write.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use serde_json::Value;
use tandem::stream::{Kafka, KafkaSettings, Limit, Position, Record, Stream as _, Topic};

use super::{broker, events};

/// All records of a topic, as kcat's own JSON.
pub fn kcat_reads(settings: &KafkaSettings, topic: Topic) -> Vec<Value> {
    let name = settings.named(topic.name());
    let output = Command::new("timeout")
        .args(["30", "kcat", "-b", &settings.servers, "-C", "-t", &name, "-o", "beginning", "-e", "-q", "-J"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn headers(record: &Value) -> BTreeMap<String, String> {
    let flat: Vec<String> = serde_json::from_value(record["headers"].clone()).unwrap_or_default();
    flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// Gives a topic more partitions, as somebody may while we run.
pub async fn add_partitions(settings: &KafkaSettings, topic: Topic, partitions: usize) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &settings.servers).create().unwrap();
    let name = settings.named(topic.name());
    let more = NewPartitions::new(&name, partitions);
    admin.create_partitions(&[more], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
}

/// Has kcat write `value`, with headers and key.
pub fn kcat_writes(settings: &KafkaSettings, topic: Topic, key: &str, headers: &[&str], value: &str) {
    let name = settings.named(topic.name());
    let mut command = Command::new("timeout");
    // -Z: an empty value is a tombstone.
    command.args(["30", "kcat", "-b", &settings.servers, "-P", "-t", &name, "-p", "0", "-K", "|", "-Z"]);
    headers.iter().for_each(|header| {
        command.args(["-H", header]);
    });
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(format!("{key}|{value}\n").as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// Everything of a topic, partition by partition.
pub async fn all(stream: &Kafka, topic: Topic) -> Vec<Record> {
    let mut records = Vec::new();
    for bounds in stream.bounds(topic).await.unwrap() {
        let mut position = Position { topic, partition: bounds.partition, offset: bounds.first };
        while position.offset < bounds.next {
            let batch = stream.read(position, Limit::default()).await.unwrap();
            position.offset = batch.next;
            records.extend(batch.records.into_iter().map(|stored| stored.record));
        }
    }
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_a_cloud_event_in_binary_mode() {
    let settings = broker::settings(3);
    let stream = Kafka::open(settings.clone()).await.unwrap();
    stream.append(vec![events::status("branch-0042", 7), events::sample("branch-0042", 8)]).await.unwrap();
    let read = kcat_reads(&settings, Topic::Status);
    assert_eq!(read.len(), 1);
    let wanted = [
        ("ce_specversion", "1.0"),
        ("ce_id", "00c0ffee00c0ffee-00000000000000000007"),
        ("ce_source", "/routers/branch-0042"),
        ("ce_subject", "lte-dev-1"),
        ("ce_time", "2026-11-24T00:00:00Z"),
        ("ce_epoch", "00c0ffee00c0ffee"),
        ("ce_sequence", "00000000000000000007"),
        ("ce_partitionkey", "branch-0042"),
        ("ce_type", events::STATUS),
        ("content-type", "application/json"),
    ];
    let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(headers(&read[0]), BTreeMap::from(wanted));
    assert_eq!(read[0]["key"], "branch-0042");
    let data: Value = serde_json::from_str(read[0]["payload"].as_str().unwrap()).unwrap();
    assert_eq!((&data["to"], &data["boot_id"]), (&Value::from("connected"), &Value::from("b")));
    assert!(data.get("specversion").is_none(), "attributes are headers alone");
    let sample = &kcat_reads(&settings, Topic::Samples)[0];
    assert_eq!(sample["partition"], read[0]["partition"], "a router has one partition in all topics");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_in_another_spelling_goes_out_whole_and_its_bytes_come_back() {
    let settings = broker::settings(1);
    let stream = Kafka::open(settings.clone()).await.unwrap();
    let spaced = events::status_json("r", 1).replace(",\"data\"", ",  \"data\"");
    let record = Record { value: Some(spaced.clone().into()), ..events::status("r", 1) };
    stream.append(vec![record.clone()]).await.unwrap();
    let read = &kcat_reads(&settings, Topic::Status)[0];
    assert_eq!(headers(read)["content-type"], "application/cloudevents+json");
    assert_eq!(read["payload"], spaced);
    let back = all(&stream, Topic::Status).await;
    assert_eq!((&back[0].value, &back[0].headers), (&record.value, &record.headers));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_is_read_as_what_it_is() {
    let settings = broker::settings(1);
    let stream = Arc::new(Kafka::open(settings.clone()).await.unwrap());
    let foreign = [
        "ce_specversion=1.0",
        "ce_type=com.example.note",
        "ce_source=/x",
        "ce_id=1",
        "content-type=application/json",
    ];
    kcat_writes(&settings, Topic::Status, "r", &foreign, r#"{"a":1}"#);
    kcat_writes(&settings, Topic::Status, "r", &[], "no event");
    kcat_writes(&settings, Topic::Status, "r", &["ce_type=x"], "");
    let read = all(&stream, Topic::Status).await;
    let event: Value = serde_json::from_slice(read[0].value.as_ref().unwrap()).unwrap();
    assert_eq!((&event["type"], &event["data"]["a"]), (&Value::from("com.example.note"), &Value::from(1)));
    assert_eq!(read[0].kind(), Some("com.example.note"));
    assert_eq!((read[1].value.as_deref(), read[1].headers.len()), (Some(&b"no event"[..]), 0));
    assert_eq!((&read[2].value, read[2].kind()), (&None, Some("x")), "a tombstone");
}
