//! Reading ahead, when more lies in the partitions than is read ahead.

use tandem::stream::{Kafka, Limit, Position, Stream as _, Topic, partition_of};

use super::{broker, events};

const PARTITIONS: u32 = 3;
/// Together beyond what is read ahead; packed it is little, so that one answer of the broker holds much of it.
const RECORDS: u64 = 180;
const RECORD_BYTES: usize = 400_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_is_read_however_much_of_the_others_comes_before() {
    let stream = Kafka::open(broker::settings(PARTITIONS)).await.unwrap();
    let router = |wanted: u32| {
        (0..).map(|n| format!("router-{n}")).find(|name| partition_of(name, PARTITIONS) == wanted).unwrap()
    };
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
