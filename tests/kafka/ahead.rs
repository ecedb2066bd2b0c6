//! Reading ahead, when more lies in the partitions than is read ahead.

use tandem::event::Event;
use tandem::stream::{Kafka, Limit, Position, Stream as _, Topic, partition_of};
use tokio::time::timeout;

use super::between::Between;
use super::{PATIENCE, broker, events};

const PARTITIONS: u32 = 3;
/// Together beyond what is read ahead; packed it is little, so that one answer of the broker holds much of it.
const RECORDS: u64 = 180;
const RECORD_BYTES: usize = 400_000;

/// A router of that partition.
fn router(partition: u32) -> String {
    let mut names = (0..).map(|n| format!("router-{n}"));
    names.find(|name| partition_of(name, PARTITIONS) == partition).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_is_read_however_much_of_the_others_comes_before() {
    let stream = Kafka::open(broker::settings(PARTITIONS)).await.unwrap();
    for partition in 0..PARTITIONS {
        let name = router(partition);
        for first in (1..=RECORDS).step_by(20) {
            let mut records: Vec<_> = (first..first + 20).map(|n| events::status(&name, n)).collect();
            for record in &mut records {
                let json = String::from_utf8(record.value.take().unwrap()).unwrap();
                record.value = Some(format!("{json}{}", " ".repeat(RECORD_BYTES)).into_bytes());
            }
            stream.append(records).await.unwrap();
        }
    }
    let mut places: Vec<Position> =
        (0..PARTITIONS).map(|partition| Position { topic: Topic::Status, partition, offset: 0 }).collect();
    stream.read_ahead(&places).await.unwrap();
    // One partition to its end before the next is begun with: the others fill what is read ahead.
    for place in &mut places {
        let mut read = 0;
        loop {
            let batch = stream.read_on(*place, Limit::default()).await.unwrap();
            if batch.records.is_empty() {
                break;
            }
            read += batch.records.len() as u64;
            place.offset = batch.next;
        }
        assert_eq!(read, RECORDS, "partition {}", place.partition);
    }
}

/// Reads from `place` up to `end` and returns the numbers of the events.
async fn read_to(stream: &Kafka, place: &mut Position, end: u64) -> Vec<u64> {
    let mut sequences = Vec::new();
    while place.offset < end {
        let read = timeout(PATIENCE, stream.read_on(*place, Limit::default()));
        let batch = read.await.expect("in time").unwrap();
        assert!(!batch.records.is_empty(), "{place:?} is taken for the end");
        place.offset = batch.next;
        let events =
            batch.records.iter().map(|stored| Event::from_json(stored.record.value.as_ref().unwrap()));
        sequences.extend(events.map(|event| event.unwrap().sequence.0));
    }
    sequences
}

/// On one thread, because its clock is stopped.
#[tokio::test]
async fn a_client_that_gave_no_answer_in_time_is_replaced_and_every_record_is_read_once() {
    let direct = broker::settings(PARTITIONS);
    let writer = Kafka::open(direct.clone()).await.unwrap();
    let write = async |sequences: std::ops::RangeInclusive<u64>| {
        for partition in 0..PARTITIONS {
            let name = router(partition);
            let records = sequences.clone().map(|sequence| events::status(&name, sequence));
            writer.append(records.collect()).await.unwrap();
        }
    };
    write(1..=50).await;
    let between = Between::start();
    let mut settings = between.settings(&direct);
    // It would not give up a silent connection by itself.
    settings.set("socket.timeout.ms", "300000").unwrap();
    let stream = Kafka::open(settings).await.unwrap();
    let place = |partition| Position { topic: Topic::Status, partition, offset: 0 };
    let (mut back, mut ended, waiting) = (place(0), place(1), place(2));
    stream.read_ahead(&[back, ended, waiting]).await.unwrap();
    for place in [&mut back, &mut ended] {
        assert_eq!(read_to(&stream, place, 50).await, (1..=50).collect::<Vec<_>>());
    }
    let at_end = timeout(PATIENCE, stream.read_on(ended, Limit::default())).await.expect("in time").unwrap();
    assert!(at_end.records.is_empty());
    // Of the third one everything waits, ahead of its reader.
    assert!(stream.wait(&[waiting], PATIENCE).await.unwrap());

    between.silence_fetchers();
    write(51..=80).await;
    // As after a commit that failed: what is there is of no use, and the client hears nothing.
    back.offset = 20;
    tokio::time::pause();
    let error = stream.read_on(back, Limit::default()).await.unwrap_err().to_string();
    tokio::time::resume();
    assert!(error.contains("tandem.status/0 from offset 20: no answer in time"), "{error}");
    assert!(!error.contains("end of partition"), "an end is no cause of it: {error}");

    for (mut place, first) in [(ended, 51), (waiting, 1), (back, 21)] {
        assert_eq!(read_to(&stream, &mut place, 80).await, (first..=80).collect::<Vec<_>>(), "{place:?}");
    }
}
