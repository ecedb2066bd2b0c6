//! Reading anywhere: consumers of one partition each, which stay where they are for whoever reads on there.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Cluster, Context};
use super::{Batch, Position, Stored, StreamError, decode};

/// Consumers kept for the next read.
const KEPT: usize = 4;
/// Records looked at by one read with a key.
const SCAN_MAX: usize = 100_000;
/// How long a read may take.
const DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);

/// Settings of a consumer that is told where to read. Group and commits are not used, but the client asks for a group.
pub(super) const READER: [(&str, &str); 6] = [
    ("group.id", "tandem"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("isolation.level", "read_committed"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "earliest"),
];

/// What a client fetches and holds, unless the operator says otherwise.
const CLIENT: [(&str, &str); 4] = [
    ("queued.max.messages.kbytes", "8192"),
    ("queued.min.messages", "10000"),
    // Full, it would look for room after a second.
    ("fetch.queue.backoff.ms", "5"),
    // A question that waits for more holds up the next one, which is for another place.
    ("fetch.wait.max.ms", "20"),
];

/// The consumers that wait.
pub(super) struct Cursors {
    cluster: Cluster,
    waiting: Mutex<VecDeque<Cursor>>,
}

struct Cursor {
    consumer: BaseConsumer<Context>,
    at: Option<Position>,
    /// Read, but not handed out.
    ahead: Option<Stored>,
    /// It reached the end and asks the broker for nothing.
    at_rest: bool,
}

/// What a read wants, owned.
pub(super) struct Wanted {
    pub records: usize,
    pub bytes: usize,
    pub key: Option<String>,
}

impl Cursors {
    pub fn new(cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone(), waiting: Mutex::default() }
    }

    /// Reads from `from` up to `end`, where a record may be had. Blocks.
    pub fn read(&self, from: Position, end: u64, wanted: &Wanted) -> Result<Batch, StreamError> {
        let mut cursor = self.take(from)?;
        let batch = cursor.read(&self.cluster, from, end, wanted)?;
        cursor.at = Some(Position { offset: batch.next, ..from });
        if batch.next >= end {
            cursor.rest();
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push_back(cursor);
        let surplus = if waiting.len() > KEPT { waiting.pop_front() } else { None };
        drop(waiting);
        // Ends a client outside the lock, which takes a moment.
        drop(surplus);
        Ok(batch)
    }

    fn take(&self, from: Position) -> Result<Cursor, StreamError> {
        let free = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let fitting = waiting.iter().position(|cursor| cursor.at == Some(from));
            match fitting.and_then(|at| waiting.remove(at)) {
                Some(mut cursor) => {
                    if cursor.at_rest {
                        cursor.go_to(&self.cluster, from)?;
                    }
                    return Ok(cursor);
                }
                None if waiting.len() >= KEPT => waiting.pop_front(),
                None => None,
            }
        };
        let mut cursor = match free {
            Some(cursor) => cursor,
            None => {
                let own = [READER.to_vec(), self.cluster.unless_given(&CLIENT)].concat();
                let consumer = self.cluster.client(&own)?;
                Cursor { consumer, at: None, ahead: None, at_rest: false }
            }
        };
        cursor.go_to(&self.cluster, from)?;
        Ok(cursor)
    }
}

impl Cursor {
    fn go_to(&mut self, cluster: &Cluster, from: Position) -> Result<(), StreamError> {
        self.ahead = None;
        self.at_rest = false;
        let list = assignment(cluster, &[from])?;
        self.consumer.assign(&list).map_err(|error| cluster.error(&error))
    }

    /// Asks for nothing until it is sent somewhere again.
    fn rest(&mut self) {
        self.at_rest = self.consumer.unassign().is_ok();
    }

    fn read(
        &mut self,
        cluster: &Cluster,
        from: Position,
        end: u64,
        wanted: &Wanted,
    ) -> Result<Batch, StreamError> {
        let deadline = Instant::now() + DEADLINE;
        let mut batch = Batch { records: Vec::new(), next: from.offset };
        let (mut bytes, mut scanned) = (0, 0);
        while batch.next < end && batch.records.len() < wanted.records.max(1) && scanned < SCAN_MAX {
            let stored = match self.ahead.take() {
                Some(stored) => stored,
                None => match self.consumer.poll(POLL) {
                    Some(Ok(message)) => decode::stored(from.topic, &message),
                    // Behind the last record there may be marks of transactions, which are no records.
                    Some(Err(KafkaError::PartitionEOF(_))) => {
                        batch.next = end;
                        break;
                    }
                    Some(Err(error)) if Instant::now() >= deadline => return Err(cluster.error(&error)),
                    None if Instant::now() >= deadline => {
                        let name = cluster.settings.named(from.topic.name());
                        let place = format!("{name}/{} from offset {}", from.partition, batch.next);
                        return Err(cluster.failure(format!("{place}: no answer in time")));
                    }
                    Some(Err(_)) | None => continue,
                },
            };
            if stored.offset < batch.next {
                continue;
            }
            if stored.offset >= end {
                self.ahead = Some(stored);
                batch.next = end;
                break;
            }
            let is_wanted = wanted.key.as_ref().is_none_or(|key| *key == stored.record.key);
            let size = stored.record.bytes();
            if is_wanted && !batch.records.is_empty() && bytes + size > wanted.bytes {
                self.ahead = Some(stored);
                break;
            }
            scanned += 1;
            batch.next = stored.offset + 1;
            if is_wanted {
                bytes += size;
                batch.records.push(stored);
            }
        }
        Ok(batch)
    }
}

/// The positions as the client wants them.
pub(super) fn assignment(cluster: &Cluster, from: &[Position]) -> Result<TopicPartitionList, StreamError> {
    let mut list = TopicPartitionList::with_capacity(from.len());
    for position in from {
        let name = cluster.settings.named(position.topic.name());
        let partition = i32::try_from(position.partition).unwrap_or(i32::MAX);
        let offset = Offset::Offset(i64::try_from(position.offset).unwrap_or(i64::MAX));
        list.add_partition_offset(&name, partition, offset).map_err(|error| cluster.error(&error))?;
    }
    Ok(list)
}
