//! What must hold after each fault: an independent reader (kcat) finds every event, in the order of its router, and each view
//! counts it once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::process::Command;

use serde_json::Value;
use tandem::stream::{Kafka, KafkaSettings, Limit, Position, Stream as _, Topic};
use tandem::view::RouterView;

use super::in_time;
use super::process::Process;
use super::routers::Told;

/// What went in and what came out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    /// Events that routers told.
    pub events: u64,
    /// Records of events in the stream.
    pub records: u64,
    /// Records that repeat an event.
    pub doubles: u64,
    /// Events that a node counts, which all others that were asked agree with.
    pub counted: u64,
    /// Dead letters.
    pub dead_letters: u64,
}

/// What a test put in by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside {
    /// Routers that views show and that are not of [`Told`].
    pub routers: usize,
    /// Dead letters.
    pub dead_letters: u64,
}

/// Holds the stream, the state that folds leave, and what `nodes` show against what the routers told.
pub async fn every_event_counts_once(
    place: &KafkaSettings,
    told: &[Told],
    nodes: &[&Process],
    beside: Beside,
) -> Sheet {
    let fresh = Process::start(place, "api");
    let mut counted = 0;
    for (number, node) in nodes.iter().copied().chain([&fresh]).enumerate() {
        counted = node_counts_once(&format!("node {number}"), node, told, beside.routers).await;
    }
    state_counts_once(place, told, beside.routers).await;
    let sheet = Sheet { counted, ..in_the_stream(place, told) };
    assert_eq!(sheet.dead_letters, beside.dead_letters, "dead letters");
    sheet
}

/// The events that it counts.
async fn node_counts_once(name: &str, node: &Process, told: &[Told], beside: usize) -> u64 {
    let mut shown = BTreeMap::new();
    let counted =
        |router: Option<&Value>| router.and_then(|router| router["completeness"]["received"].as_u64());
    let complete = in_time(async || {
        let list = node.ask("/v1/routers?limit=1000").await.unwrap_or_default();
        let routers = list["routers"].as_array().cloned().unwrap_or_default();
        let named = |router: Value| Some((router["name"].as_str()?.to_owned(), router));
        shown = routers.into_iter().filter_map(named).collect();
        told.iter().all(|told| counted(shown.get(&told.name)) >= Some(told.events))
    })
    .await;
    if !complete {
        say_counts(told, &shown, |router| router["completeness"].clone());
        println!("{:?}", node.ask("/readyz").await);
        panic!("{name} has not counted all");
    }
    assert_eq!(shown.len(), told.len() + beside, "{name} shows all routers and no others");
    let fleet = node.ask("/v1/fleet").await.unwrap();
    assert_eq!(fleet["routers"].as_u64(), Some((told.len() + beside) as u64), "{name}");
    for told in told {
        let counts = &shown[&told.name]["completeness"];
        let counted = ["received", "expected", "missing"].map(|count| counts[count].as_u64());
        assert_eq!(counted, [Some(told.events), Some(told.events), Some(0)], "{name}: {}", told.name);
        let status = node.ask(&format!("/v1/routers/{}", told.name)).await.unwrap();
        let link = &status["details"][0];
        assert_eq!(
            link["traffic"]["rx_bytes"].as_u64(),
            Some(told.rx_bytes),
            "{name}: traffic of {}",
            told.name
        );
        assert_eq!(
            link["status"]["state_cause"].as_str(),
            Some(&*told.cause),
            "{name}: last word of {}",
            told.name
        );
    }
    told.iter().filter_map(|told| counted(shown.get(&told.name))).sum()
}

async fn state_counts_once(place: &KafkaSettings, told: &[Told], beside: usize) {
    let stream = Kafka::open(place.clone()).await.unwrap();
    let mut state = BTreeMap::new();
    let complete = in_time(async || {
        state = read_state(&stream).await.unwrap_or_default();
        let counted = |told: &Told| state.get(&told.name).map(|view| view.completeness().received);
        told.iter().all(|told| counted(told) >= Some(told.events))
    })
    .await;
    if !complete {
        say_counts(told, &state, |view| view.completeness());
        panic!("the folds have not counted all");
    }
    assert_eq!(state.len(), told.len() + beside, "the state holds all routers and no others");
    for told in told {
        let view = &state[&told.name];
        let counts = view.completeness();
        assert_eq!((counts.received, counts.missing), (told.events, 0), "state of {}", told.name);
        let link = &view.links[0];
        assert_eq!(
            link.traffic.as_ref().map(|traffic| traffic.rx_bytes),
            Some(told.rx_bytes),
            "state of {}",
            told.name
        );
        assert_eq!(
            link.changed.as_ref().map(|changed| &*changed.value),
            Some(&*told.cause),
            "state of {}",
            told.name
        );
    }
}

/// Prints how much each router told, and what was counted of it.
fn say_counts<V, C: Debug>(told: &[Told], found: &BTreeMap<String, V>, counts: impl Fn(&V) -> C) {
    for told in told {
        println!("{}: told {}, counted {:?}", told.name, told.events, found.get(&told.name).map(&counts));
    }
}

/// What the folds left, by router; `None` when the brokers do not tell all of it.
pub async fn read_state(stream: &Kafka) -> Option<BTreeMap<String, RouterView>> {
    let mut routers = BTreeMap::new();
    for bounds in stream.bounds(Topic::State).await.ok()? {
        let mut position =
            Position { topic: Topic::State, partition: bounds.partition, offset: bounds.first };
        while position.offset < bounds.next {
            let batch = stream.read(position, Limit::default()).await.ok()?;
            position.offset = batch.next;
            for stored in batch.records {
                let Some(cbor) = stored.record.value else { continue };
                routers.insert(stored.record.key, cbor4ii::serde::from_slice(&cbor).unwrap());
            }
        }
    }
    Some(routers)
}

fn in_the_stream(place: &KafkaSettings, told: &[Told]) -> Sheet {
    let mut sheet = Sheet { events: told.iter().map(|told| told.events).sum(), ..Sheet::default() };
    let mut partitions: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut found: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for topic in [Topic::Status, Topic::Samples] {
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for record in kcat_reads(place, topic) {
            let Some(sequence) = header(&record, "ce_sequence").and_then(|text| text.parse().ok()) else {
                continue;
            };
            let router = record["key"].as_str().unwrap().to_owned();
            if told.iter().all(|told| told.name != router) {
                continue;
            }
            sheet.records += 1;
            partitions.entry(router.clone()).or_default().insert(record["partition"].as_u64().unwrap());
            if found.entry(router.clone()).or_default().insert(sequence) {
                let before = last.insert(router.clone(), sequence).unwrap_or_default();
                assert!(before < sequence, "{router}: {sequence} stands behind {before}");
            } else {
                sheet.doubles += 1;
            }
        }
    }
    for told in told {
        assert_eq!(found[&told.name], (1..=told.events).collect(), "events of {}", told.name);
        assert_eq!(partitions[&told.name].len(), 1, "{} has one partition", told.name);
    }
    sheet.dead_letters = kcat_reads(place, Topic::DeadLetters).len() as u64;
    sheet
}

/// All records of a topic that nobody writes to, as kcat's own JSON.
pub fn kcat_reads(place: &KafkaSettings, topic: Topic) -> Vec<Value> {
    let name = place.named(topic.name());
    let output = Command::new("timeout")
        .args(["60", "kcat", "-b", &place.servers, "-C", "-t", &name, "-o", "beginning", "-e", "-q", "-J"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A header of a record that kcat read.
pub fn header<'a>(record: &'a Value, name: &str) -> Option<&'a str> {
    let headers = record["headers"].as_array()?;
    let pair = headers.chunks(2).find(|pair| pair[0] == name)?;
    pair.get(1)?.as_str()
}
