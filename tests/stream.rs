//! What every backend of the stream promises, run over each of them; then what only a file can break.
#![cfg(feature = "central")]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use tandem::stream::{
    Batch, CE_TYPE, Commit, Limit, Memory, Position, RECORD_BYTES_MAX, Record, Shared, Sqlite,
    SqliteSettings, Stored, StreamError, Topic,
};

const PARTITIONS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(10);

/// A time of today, so that no broker takes the records for expired.
fn at(ms: i64) -> DateTime<Utc> {
    static BEGAN_MS: LazyLock<i64> = LazyLock::new(|| Utc::now().timestamp_millis() - 3_600_000);
    DateTime::from_timestamp_millis(*BEGAN_MS + ms).unwrap()
}

fn record(topic: Topic, key: &str, value: &str) -> Record {
    let headers = vec![(CE_TYPE.into(), "io.tandem.link.changed.v1".into())];
    Record { topic, key: key.into(), headers, value: Some(value.into()), time: at(0) }
}

fn from(topic: Topic, partition: u32, offset: u64) -> Position {
    Position { topic, partition, offset }
}

fn text(stored: &Stored) -> String {
    String::from_utf8(stored.record.value.clone().unwrap()).unwrap()
}

/// The partition that holds records of `key`.
async fn partition_of(stream: &Shared, topic: Topic, key: &str) -> u32 {
    for partition in 0..PARTITIONS {
        let batch = stream.read(from(topic, partition, 0), Limit::default()).await.unwrap();
        if batch.records.iter().any(|stored| stored.record.key == key) {
            return partition;
        }
    }
    panic!("no record of {key}");
}

/// Everything of a topic, partition by partition.
async fn all(stream: &Shared, topic: Topic) -> Vec<Vec<Stored>> {
    let mut partitions = Vec::new();
    for bounds in stream.bounds(topic).await.unwrap() {
        let mut position = from(topic, bounds.partition, 0);
        let mut records = Vec::new();
        while position.offset < bounds.next {
            let Batch { records: more, next } = stream.read(position, Limit::default()).await.unwrap();
            assert!(next > position.offset, "a read below the end goes on");
            records.extend(more);
            position.offset = next;
        }
        partitions.push(records);
    }
    partitions
}

mod suite {
    use super::*;

    pub async fn records_come_back_as_they_went_in(stream: Shared) {
        let mut odd = record(Topic::DeadLetters, "branch-0042", "");
        odd.value = Some(vec![0, 255, b'"', b'\n', 0xc3, 0x28]);
        odd.headers = vec![
            (CE_TYPE.into(), "a\"b\\c\n\u{1f4f6}".into()),
            ("tandem_reason".into(), String::new()),
            ("tandem_reason".into(), "twice".into()),
        ];
        odd.time = at(1_234);
        let plain = Record { headers: Vec::new(), value: Some(Vec::new()), ..odd.clone() };
        let tombstone = Record { topic: Topic::State, value: None, ..odd.clone() };
        stream.append(vec![odd.clone(), plain.clone(), tombstone.clone()]).await.unwrap();
        let back: Vec<Record> = all(&stream, Topic::DeadLetters)
            .await
            .into_iter()
            .flatten()
            .map(|stored| stored.record)
            .collect();
        assert_eq!(back, [odd, plain]);
        let state: Vec<Record> =
            all(&stream, Topic::State).await.into_iter().flatten().map(|stored| stored.record).collect();
        assert_eq!(state, [tombstone]);
    }

    pub async fn offsets_of_a_partition_are_contiguous_from_zero(stream: Shared) {
        for round in 0..20 {
            let records = (0..7).map(|n| record(Topic::Status, &format!("r{}", n * round), "x")).collect();
            stream.append(records).await.unwrap();
        }
        let partitions = all(&stream, Topic::Status).await;
        assert_eq!(partitions.len(), PARTITIONS as usize);
        assert_eq!(partitions.iter().map(Vec::len).sum::<usize>(), 140);
        for (partition, records) in partitions.iter().enumerate() {
            assert!(!records.is_empty(), "keys are spread over the partitions");
            let offsets: Vec<u64> = records.iter().map(|stored| stored.offset).collect();
            assert_eq!(offsets, (0..records.len() as u64).collect::<Vec<_>>());
            let bounds = stream.bounds(Topic::Status).await.unwrap()[partition];
            assert_eq!((bounds.first, bounds.next), (0, records.len() as u64));
        }
        for untouched in stream.bounds(Topic::Samples).await.unwrap() {
            assert_eq!((untouched.first, untouched.next), (0, 0));
        }
    }

    pub async fn records_of_a_key_stay_in_order_under_concurrent_appends(stream: Shared) {
        let mut appenders = tokio::task::JoinSet::new();
        for writer in 0..8 {
            let stream = Arc::clone(&stream);
            appenders.spawn(async move {
                for n in 0..25 {
                    let key = format!("router-{writer}");
                    let records = (0..4).map(|m| record(Topic::Samples, &key, &format!("{:04}", n * 4 + m)));
                    stream.append(records.collect()).await.unwrap();
                }
            });
        }
        while let Some(done) = appenders.join_next().await {
            done.unwrap();
        }
        let mut by_key: HashMap<String, Vec<String>> = HashMap::new();
        for stored in all(&stream, Topic::Samples).await.into_iter().flatten() {
            let value = text(&stored);
            by_key.entry(stored.record.key).or_default().push(value);
        }
        assert_eq!(by_key.len(), 8);
        for (key, values) in by_key {
            let wanted: Vec<String> = (0..100).map(|n| format!("{n:04}")).collect();
            assert_eq!(values, wanted, "records of {key}");
        }
    }

    pub async fn an_append_takes_all_or_nothing(stream: Shared) {
        let mut large = record(Topic::Status, "b", "");
        large.value = Some(vec![b'x'; RECORD_BYTES_MAX]);
        let records = vec![record(Topic::Status, "a", "1"), large, record(Topic::Status, "c", "2")];
        let error = stream.append(records).await.unwrap_err();
        assert!(matches!(error, StreamError::TooLarge { topic: Topic::Status, .. }), "{error}");
        assert!(all(&stream, Topic::Status).await.iter().all(Vec::is_empty));
    }

    pub async fn a_read_keeps_to_its_limits_and_says_where_to_go_on(stream: Shared) {
        let values = ["aaaaaaaa", "bb", "cc", "dddddddddddddddd", "e"];
        stream.append(values.iter().map(|value| record(Topic::Alerts, "k", value)).collect()).await.unwrap();
        let partition = partition_of(&stream, Topic::Alerts, "k").await;
        let one = record(Topic::Alerts, "k", "").bytes();
        let read = |offset, records, bytes| {
            let stream = Arc::clone(&stream);
            async move {
                let limit = Limit { records, bytes, key: None };
                let batch = stream.read(from(Topic::Alerts, partition, offset), limit).await.unwrap();
                (batch.records.iter().map(text).collect::<Vec<_>>(), batch.next)
            }
        };
        assert_eq!(read(0, 2, 10_000).await, (vec!["aaaaaaaa".into(), "bb".into()], 2));
        assert_eq!(read(1, 10, 2 * one + 4).await, (vec!["bb".into(), "cc".into()], 3));
        assert_eq!(
            read(3, 10, 1).await,
            (vec!["dddddddddddddddd".into()], 4),
            "the first comes whatever its size"
        );
        assert_eq!(read(4, 0, 0).await, (vec!["e".into()], 5));
        assert_eq!(read(5, 10, 10_000).await, (vec![], 5));
        assert_eq!(read(u64::MAX, 10, 10_000).await, (vec![], u64::MAX));
        let error = stream.read(from(Topic::Alerts, 99, 0), Limit::default()).await.unwrap_err();
        assert_eq!(error, StreamError::NoPartition { topic: Topic::Alerts, partition: 99 });
    }

    pub async fn a_read_with_a_key_gives_that_key_only(stream: Shared) {
        for topic in [Topic::Status, Topic::Samples] {
            for n in 0..90 {
                stream.append(vec![record(topic, &format!("r{}", n % 9), &n.to_string())]).await.unwrap();
            }
            let partition = partition_of(&stream, topic, "r4").await;
            let limit = Limit { records: 6, key: Some("r4"), ..Limit::default() };
            let first = stream.read(from(topic, partition, 0), limit).await.unwrap();
            let rest = stream.read(from(topic, partition, first.next), limit).await.unwrap();
            let values: Vec<String> = first.records.iter().chain(&rest.records).map(text).collect();
            assert_eq!(values, (0..10).map(|n| (n * 9 + 4).to_string()).collect::<Vec<_>>(), "{topic:?}");
            assert_eq!(rest.next, stream.bounds(topic).await.unwrap()[partition as usize].next);
            let none = Limit { key: Some("nobody"), ..Limit::default() };
            assert!(stream.read(from(topic, partition, 0), none).await.unwrap().records.is_empty());
        }
    }

    pub async fn a_wait_ends_with_a_record_or_the_deadline(stream: Shared) {
        let ends = [from(Topic::Status, 0, 0), from(Topic::Status, 1, 0), from(Topic::Status, 2, 0)];
        assert!(!stream.wait(&ends, Duration::from_millis(5)).await.unwrap());
        let waiting = {
            let stream = Arc::clone(&stream);
            tokio::spawn(async move { stream.wait(&ends, PATIENCE).await })
        };
        stream.append(vec![record(Topic::Samples, "a", "not waited for")]).await.unwrap();
        stream.append(vec![record(Topic::Status, "a", "waited for")]).await.unwrap();
        assert!(waiting.await.unwrap().unwrap());
        assert!(stream.wait(&ends, Duration::ZERO).await.unwrap(), "there already");
        let partition = partition_of(&stream, Topic::Status, "a").await;
        let behind = [from(Topic::Status, partition, 1)];
        assert!(!stream.wait(&behind, Duration::from_millis(5)).await.unwrap());
        let error = stream.wait(&[from(Topic::Status, 99, 0)], PATIENCE).await.unwrap_err();
        assert_eq!(error, StreamError::NoPartition { topic: Topic::Status, partition: 99 });
    }

    pub async fn a_reader_commits_outputs_and_positions_together(stream: Shared) {
        assert_eq!(stream.committed("fold").await.unwrap(), []);
        let commit = |positions: &[Position], outputs: Vec<Record>| Commit {
            reader: "fold".into(),
            positions: positions.to_vec(),
            outputs,
        };
        let first = [from(Topic::Status, 0, 7), from(Topic::Status, 2, 1)];
        stream.commit(commit(&first, vec![record(Topic::State, "r1", "one")])).await.unwrap();
        assert_eq!(stream.committed("fold").await.unwrap(), first);
        assert_eq!(stream.committed("fol").await.unwrap(), []);

        let mut large = record(Topic::State, "r3", "");
        large.value = Some(vec![b'x'; RECORD_BYTES_MAX]);
        let second = [from(Topic::Status, 0, 9)];
        let outputs = vec![record(Topic::State, "r2", "two"), large];
        stream.commit(commit(&second, outputs)).await.unwrap_err();
        let stray = [from(Topic::Status, 0, 9), from(Topic::Status, 99, 1)];
        stream.commit(commit(&stray, vec![record(Topic::State, "r2", "two")])).await.unwrap_err();
        assert_eq!(stream.committed("fold").await.unwrap(), first, "neither output nor position");
        let state: Vec<String> = all(&stream, Topic::State).await.iter().flatten().map(text).collect();
        assert_eq!(state, ["one"]);

        stream.commit(commit(&second, Vec::new())).await.unwrap();
        let moved = [from(Topic::Status, 0, 9), from(Topic::Status, 2, 1)];
        assert_eq!(stream.committed("fold").await.unwrap(), moved, "positions not named stay");
    }

    pub async fn times_never_fall_and_lead_to_offsets(stream: Shared) {
        for (n, ms) in [10, 20, 20, 15, 40].into_iter().enumerate() {
            let record = Record { time: at(ms), ..record(Topic::Status, "k", &n.to_string()) };
            stream.append(vec![record]).await.unwrap();
        }
        let partition = partition_of(&stream, Topic::Status, "k").await;
        let times: Vec<DateTime<Utc>> = all(&stream, Topic::Status).await[partition as usize]
            .iter()
            .map(|stored| stored.record.time)
            .collect();
        assert_eq!(times, [at(10), at(20), at(20), at(20), at(40)]);
        for (ms, offset) in [(-5, 0), (10, 0), (11, 1), (20, 1), (21, 4), (40, 4), (41, 5)] {
            assert_eq!(
                stream.offset_at(Topic::Status, partition, at(ms)).await.unwrap(),
                offset,
                "at {ms} ms"
            );
        }
        assert_eq!(stream.offset_at(Topic::Alerts, 0, at(0)).await.unwrap(), 0, "an empty partition");
        stream.offset_at(Topic::Status, 99, at(0)).await.unwrap_err();
    }

    pub async fn old_records_go_and_offsets_go_on(stream: Shared) {
        let append = |ms: i64| {
            let record = Record { time: at(ms), ..record(Topic::Samples, "k", &ms.to_string()) };
            stream.append(vec![record])
        };
        for ms in 0..10 {
            append(ms).await.unwrap();
        }
        stream.append(vec![record(Topic::Status, "k", "precious")]).await.unwrap();
        let partition = partition_of(&stream, Topic::Samples, "k").await;
        assert_eq!(stream.expire(Topic::Samples, at(4)).await.unwrap(), 4);
        assert_eq!(stream.expire(Topic::Samples, at(4)).await.unwrap(), 0);
        let bounds = stream.bounds(Topic::Samples).await.unwrap()[partition as usize];
        assert_eq!((bounds.first, bounds.next), (4, 10));
        let batch = stream.read(from(Topic::Samples, partition, 0), Limit::default()).await.unwrap();
        assert_eq!(text(&batch.records[0]), "4", "a position before the first reads from the first");
        assert_eq!((batch.records.len(), batch.next), (6, 10));

        assert_eq!(stream.expire(Topic::Samples, at(100)).await.unwrap(), 6);
        let bounds = stream.bounds(Topic::Samples).await.unwrap()[partition as usize];
        assert_eq!((bounds.first, bounds.next), (10, 10));
        append(200).await.unwrap();
        let batch = stream.read(from(Topic::Samples, partition, 0), Limit::default()).await.unwrap();
        assert_eq!((batch.records[0].offset, batch.next), (10, 11), "numbers are never used again");
        assert_eq!(all(&stream, Topic::Status).await.iter().flatten().count(), 1, "other topics stay");
    }

    pub async fn a_compacted_topic_keeps_the_latest_of_each_key(stream: Shared) {
        for round in 0..5 {
            let records = ["a", "b", "c"].map(|key| record(Topic::State, key, &format!("{key}{round}")));
            stream.append(records.into()).await.unwrap();
        }
        let tombstone = Record { value: None, ..record(Topic::State, "b", "") };
        let twice = [record(Topic::State, "c", "c5"), record(Topic::State, "c", "c6"), tombstone];
        stream.append(twice.into()).await.unwrap();
        let mut kept: Vec<(String, Option<Vec<u8>>)> = all(&stream, Topic::State)
            .await
            .into_iter()
            .flatten()
            .map(|stored| (stored.record.key, stored.record.value))
            .collect();
        kept.sort();
        let value = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(kept, [("a".into(), value("a4")), ("b".into(), None), ("c".into(), value("c6"))]);
        let next: u64 = stream.bounds(Topic::State).await.unwrap().iter().map(|bounds| bounds.next).sum();
        assert_eq!(next, 18, "what was replaced keeps its number");

        assert_eq!(stream.expire(Topic::State, at(1)).await.unwrap(), 1, "only the tombstone is too old");
        assert_eq!(all(&stream, Topic::State).await.iter().flatten().count(), 2);
    }

    pub async fn a_reader_that_follows_sees_every_record_once_and_in_order(stream: Shared) {
        const RECORDS: usize = 600;
        let writer = {
            let stream = Arc::clone(&stream);
            tokio::spawn(async move {
                for n in 0..RECORDS / 3 {
                    let records = (0..3).map(|m| record(Topic::Status, "k", &(n * 3 + m).to_string()));
                    stream.append(records.collect()).await.unwrap();
                }
            })
        };
        let mut positions: Vec<Position> = (0..PARTITIONS).map(|p| from(Topic::Status, p, 0)).collect();
        let mut seen = Vec::new();
        while seen.len() < RECORDS {
            assert!(stream.wait(&positions, PATIENCE).await.unwrap(), "no record in time");
            for position in &mut positions {
                let limit = Limit { records: 50, ..Limit::default() };
                let batch = stream.read(*position, limit).await.unwrap();
                position.offset = batch.next;
                seen.extend(batch.records.iter().map(text));
            }
        }
        writer.await.unwrap();
        assert_eq!(seen, (0..RECORDS).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    pub async fn a_reader_that_reads_ahead_sees_the_same(stream: Shared) {
        let values = |records: &[Stored]| records.iter().map(text).collect::<Vec<_>>();
        for n in 0..40 {
            let records = (0..5).map(|m| record(Topic::Status, &format!("r{m}"), &(n * 5 + m).to_string()));
            stream.append(records.collect()).await.unwrap();
        }
        let wanted = all(&stream, Topic::Status).await;
        let mut positions: Vec<Position> = (0..PARTITIONS).map(|p| from(Topic::Status, p, 0)).collect();
        stream.read_ahead(&positions).await.unwrap();
        let mut seen = vec![Vec::new(); PARTITIONS as usize];
        for (position, seen) in positions.iter_mut().zip(&mut seen) {
            let limit = Limit { records: 7, ..Limit::default() };
            loop {
                let batch = stream.read_on(*position, limit).await.unwrap();
                if batch.records.is_empty() {
                    break;
                }
                position.offset = batch.next;
                seen.extend(batch.records);
            }
        }
        assert_eq!(seen, wanted, "an empty answer comes at the end only");

        assert!(!stream.wait(&positions, Duration::from_millis(5)).await.unwrap());
        stream.append(vec![record(Topic::Status, "r1", "more")]).await.unwrap();
        assert!(stream.wait(&positions, PATIENCE).await.unwrap());
        let partition = partition_of(&stream, Topic::Status, "r1").await as usize;
        let more = stream.read_on(positions[partition], Limit::default()).await.unwrap();
        assert_eq!(values(&more.records), ["more"]);

        let back = from(Topic::Status, u32::try_from(partition).unwrap(), 2);
        let again = stream.read_on(back, Limit { records: 3, ..Limit::default() }).await.unwrap();
        assert_eq!(again.records, wanted[partition][2..5], "a reader may go back");
        let on = Position { offset: again.next, ..back };
        let on = stream.read_on(on, Limit { records: 1, ..Limit::default() }).await.unwrap();
        assert_eq!(on.records, wanted[partition][5..6]);
    }
}

/// The broker that `tests/run` starts, and streams in it that no other test knows.
#[cfg(feature = "kafka")]
#[path = "kafka/broker.rs"]
mod broker;

/// What a stream should hold, said as simply as possible.
#[derive(Default)]
struct Model {
    partitions: BTreeMap<(Topic, u32), (Vec<Stored>, u64, i64)>,
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(Topic, u8, i64, bool)>),
    Expire(Topic, i64),
    Reopen,
}

fn topic() -> impl Strategy<Value = Topic> {
    prop::sample::select(vec![Topic::Status, Topic::Samples, Topic::State])
}

fn step() -> impl Strategy<Value = Step> {
    let records = prop::collection::vec((topic(), 0..6u8, 0..1_000i64, any::<bool>()), 0..8);
    prop_oneof![
        6 => records.prop_map(Step::Append),
        2 => (topic(), 0..1_200i64).prop_map(|(topic, ms)| Step::Expire(topic, ms)),
        1 => Just(Step::Reopen),
    ]
}

impl Model {
    fn append(&mut self, partition: u32, record: &Record) {
        let (records, next, last_ms) = self.partitions.entry((record.topic, partition)).or_default();
        *last_ms = (*last_ms).max(record.time.timestamp_millis());
        if record.topic.is_compacted() {
            records.retain(|stored| stored.record.key != record.key);
        }
        let time = DateTime::from_timestamp_millis(*last_ms).unwrap();
        records.push(Stored { offset: *next, record: Record { time, ..record.clone() } });
        *next += 1;
    }

    fn expire(&mut self, topic: Topic, before: DateTime<Utc>) -> u64 {
        let mut gone = 0;
        for (records, ..) in self.partitions.range_mut((topic, 0)..=(topic, u32::MAX)).map(|(_, log)| log) {
            let had = records.len();
            records.retain(|Stored { record, .. }| {
                record.time >= before || (topic.is_compacted() && record.value.is_some())
            });
            gone += (had - records.len()) as u64;
        }
        gone
    }
}

/// Runs random steps against the model; `open` opens again what the last one left.
fn follow_model(steps: Vec<Step>, mut open: impl FnMut(Option<Shared>) -> Shared) {
    // Which partition a key belongs to is the backend's business: asked once, from a stream of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let homes = {
            let probe: Shared = Arc::new(Memory::new(PARTITIONS));
            let mut homes = HashMap::new();
            for key in 0..6u8 {
                probe.append(vec![record(Topic::Alerts, &key.to_string(), "")]).await.unwrap();
                homes.insert(key, partition_of(&probe, Topic::Alerts, &key.to_string()).await);
            }
            homes
        };
        let mut model = Model::default();
        let mut stream = open(None);
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append(wanted) => {
                    let mut records = Vec::new();
                    for (n, (topic, key, ms, tombstone)) in wanted.into_iter().enumerate() {
                        let mut record = record(topic, &key.to_string(), &format!("{number}.{n}"));
                        record.time = at(ms);
                        if tombstone && topic.is_compacted() {
                            record.value = None;
                        }
                        model.append(homes[&key], &record);
                        records.push(record);
                    }
                    stream.append(records).await.unwrap();
                }
                Step::Expire(topic, ms) => {
                    assert_eq!(stream.expire(topic, at(ms)).await.unwrap(), model.expire(topic, at(ms)));
                }
                Step::Reopen => stream = open(Some(stream)),
            }
        }
        for topic in [Topic::Status, Topic::Samples, Topic::State] {
            for (partition, records) in all(&stream, topic).await.into_iter().enumerate() {
                let log = model.partitions.remove(&(topic, u32::try_from(partition).unwrap()));
                let (wanted, next, _) = log.unwrap_or_default();
                assert_eq!(records, wanted, "{topic:?}/{partition}");
                let bounds = stream.bounds(topic).await.unwrap()[partition];
                assert_eq!(bounds.next, next);
                assert!(records.first().is_none_or(|first| bounds.first <= first.offset));
            }
        }
    });
}

macro_rules! backends {
    (every: { $($every:ident),+ $(,)? } embedded: { $($embedded:ident),+ $(,)? }) => {
        mod memory {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $every() {
                suite::$every(Arc::new(Memory::new(PARTITIONS))).await;
            })+
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $embedded() {
                suite::$embedded(Arc::new(Memory::new(PARTITIONS))).await;
            })+
        }
        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $every() {
                let folder = tempfile::tempdir().unwrap();
                suite::$every(open(folder.path())).await;
            })+
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $embedded() {
                let folder = tempfile::tempdir().unwrap();
                suite::$embedded(open(folder.path())).await;
            })+
        }
        #[cfg(feature = "kafka")]
        mod kafka {
            use super::*;
            use tandem::stream::Kafka;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $every() {
                suite::$every(Arc::new(Kafka::open(broker::settings(PARTITIONS)).await.unwrap())).await;
            })+
        }
    };
}

backends! {
    every: {
    records_come_back_as_they_went_in,
    offsets_of_a_partition_are_contiguous_from_zero,
    records_of_a_key_stay_in_order_under_concurrent_appends,
    an_append_takes_all_or_nothing,
    a_read_keeps_to_its_limits_and_says_where_to_go_on,
    a_read_with_a_key_gives_that_key_only,
    a_wait_ends_with_a_record_or_the_deadline,
    a_reader_commits_outputs_and_positions_together,
    times_never_fall_and_lead_to_offsets,
    a_reader_that_follows_sees_every_record_once_and_in_order,
    a_reader_that_reads_ahead_sees_the_same,
    }
    // Of these the brokers of Kafka take care in their own time.
    embedded: {
    old_records_go_and_offsets_go_on,
    a_compacted_topic_keeps_the_latest_of_each_key,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_behaves_as_the_model(steps in prop::collection::vec(step(), 0..40)) {
        follow_model(steps, |last| last.unwrap_or_else(|| Arc::new(Memory::new(PARTITIONS))));
    }

    #[test]
    fn sqlite_behaves_as_the_model_also_when_reopened(steps in prop::collection::vec(step(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        follow_model(steps, |last| {
            drop(last);
            open(folder.path())
        });
    }
}

// ---- what only a file can break ----

const SETTINGS: SqliteSettings = SqliteSettings { partitions: PARTITIONS, bytes_max: None };

fn open(folder: &Path) -> Shared {
    Arc::new(Sqlite::open(folder, SETTINGS).unwrap())
}

fn refusal(folder: &Path) -> StreamError {
    Sqlite::open(folder, SETTINGS).err().expect("it was opened")
}

#[tokio::test]
async fn a_reopened_stream_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let stream = open(folder.path());
    stream.append(vec![record(Topic::Status, "k", "1"), record(Topic::Samples, "k", "2")]).await.unwrap();
    let position = from(Topic::Status, 1, 1);
    let commit = Commit { reader: "fold".into(), positions: vec![position], outputs: Vec::new() };
    stream.commit(commit).await.unwrap();
    stream.expire(Topic::Samples, at(1)).await.unwrap();
    let before = (all(&stream, Topic::Status).await, stream.bounds(Topic::Samples).await.unwrap());
    drop(stream);
    let stream = open(folder.path());
    let after = (all(&stream, Topic::Status).await, stream.bounds(Topic::Samples).await.unwrap());
    assert_eq!(before, after);
    assert_eq!(stream.committed("fold").await.unwrap(), [position]);
}

#[tokio::test]
async fn a_second_process_is_told_that_the_folder_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let stream = open(folder.path());
    let error = refusal(folder.path());
    assert!(matches!(&error, StreamError::InUse { path } if path.ends_with("stream.lock")), "{error}");
    stream.append(vec![record(Topic::Status, "k", "the first one is not disturbed")]).await.unwrap();
    drop(stream);
    open(folder.path());
}

#[test]
fn what_is_no_stream_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(Sqlite::FILE_NAME);
    let damaged = |error: &StreamError| matches!(error, StreamError::Damaged { .. });
    let foreign = |error: &StreamError| matches!(error, StreamError::Foreign { .. });

    std::fs::write(&file, b"this is not a database, but it is somebody's file").unwrap();
    let error = refusal(folder.path());
    assert!(damaged(&error) && error.to_string().contains("stream.sqlite"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"this is not a database, but it is somebody's file");

    std::fs::remove_file(&file).unwrap();
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (a); PRAGMA user_version = 7")
        .unwrap();
    let theirs = std::fs::read(&file).unwrap();
    assert!(foreign(&refusal(folder.path())));
    assert_eq!(std::fs::read(&file).unwrap(), theirs);

    std::fs::remove_file(&file).unwrap();
    drop(open(folder.path()));
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = refusal(folder.path());
    assert!(foreign(&error) && error.to_string().contains("layout 99"), "{error}");

    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 1).unwrap();
    let other = SqliteSettings { partitions: PARTITIONS + 1, ..SETTINGS };
    assert!(foreign(&Sqlite::open(folder.path(), other).err().unwrap()), "keys would change partition");

    std::fs::remove_file(&file).unwrap();
    std::fs::write(folder.path().join("stream.sqlite-wal"), b"left behind").unwrap();
    assert!(damaged(&refusal(folder.path())), "a log without its file is not begun anew");
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, b"").unwrap();
    let error = refusal(&file);
    assert!(matches!(error, StreamError::Storage { .. }) && error.to_string().contains("a-file"), "{error}");
}

#[tokio::test]
async fn a_damaged_page_is_an_error_and_no_new_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let stream = open(folder.path());
    for n in 0..200 {
        let value = format!("{n}").repeat(300);
        stream.append(vec![record(Topic::Status, &format!("r{n}"), &value)]).await.unwrap();
    }
    drop(stream);
    let file = folder.path().join(Sqlite::FILE_NAME);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(&file, &bytes).unwrap();
    let error = refusal(folder.path());
    assert!(
        matches!(error, StreamError::Damaged { .. }) && error.to_string().contains("stream.sqlite"),
        "{error}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "left as it was");
}

#[tokio::test]
async fn a_full_disk_refuses_appends_writes_no_half_and_keeps_reading() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SqliteSettings { bytes_max: Some(512 * 1024), ..SETTINGS };
    let stream: Shared = Arc::new(Sqlite::open(folder.path(), settings).unwrap());
    let mut taken = 0;
    let error = loop {
        let value = "x".repeat(3_000);
        let mut records = vec![record(Topic::Samples, "a", &value), record(Topic::Status, "a", &value)];
        records.iter_mut().for_each(|record| record.time = at(taken));
        match stream.append(records).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, StreamError::Full { .. }) && error.to_string().contains("stream.sqlite"),
        "{error}"
    );
    assert!(taken > 10);
    for topic in [Topic::Samples, Topic::Status] {
        let count = all(&stream, topic).await.iter().flatten().count();
        assert_eq!(
            i64::try_from(count).unwrap(),
            taken,
            "both records of each append, none of the refused one"
        );
    }
    stream.expire(Topic::Samples, at(taken / 2)).await.unwrap();
    stream.append(vec![record(Topic::Status, "a", "there is room again")]).await.unwrap();
}

/// A power cut may leave any part of the log's last write. Whatever is left: whole transactions in order.
#[tokio::test]
async fn a_log_cut_off_anywhere_holds_whole_appends_only() {
    let folder = tempfile::tempdir().unwrap();
    let stream = open(folder.path());
    for n in 0..12 {
        let records = ["a", "b", "c"].map(|key| record(Topic::Status, key, &n.to_string()));
        stream.append(records.into()).await.unwrap();
    }
    let database = std::fs::read(folder.path().join("stream.sqlite")).unwrap();
    let log = std::fs::read(folder.path().join("stream.sqlite-wal")).unwrap();
    drop(stream);
    let mut seen = std::collections::BTreeSet::new();
    let step = log.len() / 60;
    for length in (0..=log.len()).step_by(step).chain([log.len()]) {
        let copy = tempfile::tempdir().unwrap();
        std::fs::write(copy.path().join("stream.sqlite"), &database).unwrap();
        std::fs::write(copy.path().join("stream.sqlite-wal"), &log[..length]).unwrap();
        let stream = open(copy.path());
        let records: Vec<Stored> = all(&stream, Topic::Status).await.into_iter().flatten().collect();
        assert_eq!(records.len() % 3, 0, "cut at {length}");
        let rounds = records.len() / 3;
        let mut values: Vec<usize> = records.iter().map(|stored| text(stored).parse().unwrap()).collect();
        values.sort_unstable();
        assert_eq!(values, (0..rounds).flat_map(|n| [n, n, n]).collect::<Vec<_>>(), "cut at {length}");
        seen.insert(rounds);
    }
    assert!(seen.contains(&12) && seen.len() > 6, "the cuts fell between the appends: {seen:?}");
}

const KILLED_FOLDER: &str = "TANDEM_TEST_STREAM_FOLDER";

/// The process that the next test kills: appends for ever when asked to, else has nothing to do.
#[tokio::test]
async fn child_that_appends_until_killed() {
    let Some(folder) = std::env::var_os(KILLED_FOLDER) else { return };
    let stream = open(Path::new(&folder));
    for n in stream.bounds(Topic::Samples).await.unwrap().iter().map(|bounds| bounds.next).max().unwrap().. {
        let records = (0..5).map(|m| record(Topic::Samples, "k", &format!("{n}.{m}")));
        stream.append(records.collect()).await.unwrap();
        println!("\nacknowledged");
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    use std::io::BufRead as _;
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..4 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_appends_until_killed", "--nocapture"])
            .env(KILLED_FOLDER, folder.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let enough = acknowledged + 20 + round * 7;
        while acknowledged < enough {
            let line = lines.next().expect("the child goes on").unwrap();
            acknowledged += usize::from(line == "acknowledged");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged += lines.map_while(Result::ok).filter(|line| line == "acknowledged").count();

        let stream = open(folder.path());
        let records: Vec<Stored> = all(&stream, Topic::Samples).await.into_iter().flatten().collect();
        assert!(records.len() >= acknowledged * 5, "{} records, {acknowledged} appends", records.len());
        assert_eq!(records.len() % 5, 0, "no torn append");
        assert!(records.iter().enumerate().all(|(n, stored)| stored.offset == n as u64));
        acknowledged = records.len() / 5;
    }
}
