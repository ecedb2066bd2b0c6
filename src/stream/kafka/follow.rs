//! Reading ahead: one consumer of a topic that fetches what a reader will ask for next.
//!
//! A thread takes records from the client as fast as they come and puts them into a queue for each partition, up to
//! [`AHEAD_BYTES`] together; then it waits until some are taken. A read takes from the queue, and waits when the queue is
//! empty and the end of the partition was not reached yet: so an empty answer always means the end. What it waits for may
//! come behind more of other partitions than the queues should hold: the thread goes on then, as far as that read needs.
//!
//! A client that let a read wait past its deadline, or would not be sent somewhere, is replaced: what it holds on to may
//! be wrong until it is made anew.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client::{Cluster, Context};
use super::cursor::{READER, assignment};
use super::{Batch, Limit, Position, Stored, StreamError, Topic, decode};

/// Bytes of records that wait to be read: what a fold takes in a fraction of a second. More would only wait in memory.
const AHEAD_BYTES: usize = 8 * 1024 * 1024;
/// What the client fetches and holds before that; and when it is full, how soon it looks again for room: it would be a second.
const CLIENT: [(&str, &str); 5] = [
    ("queued.max.messages.kbytes", "16384"),
    ("queued.min.messages", "20000"),
    // Of one partition at a time, and that compressed: ten times as much in memory and more.
    ("fetch.message.max.bytes", "65536"),
    ("fetch.queue.backoff.ms", "5"),
    // Only then it is known that a partition has no more.
    ("fetch.wait.max.ms", "100"),
];
/// Records handed over at once.
const HAND_OVER: usize = 1_000;
/// How long a change of place may take.
const SEEK: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
/// Pause before the next client when one cannot be used.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);
/// How long a read waits for the broker.
const DEADLINE: Duration = Duration::from_secs(15);

/// Reads one topic ahead.
pub(super) struct Follower {
    topic: Topic,
    cluster: Cluster,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Room in the queues, or an order.
    room: Condvar,
    /// Something came, for those who wait in any follower of the stream.
    arrived: Arc<Notify>,
}

#[derive(Default)]
struct State {
    partitions: BTreeMap<u32, Ahead>,
    bytes: usize,
    /// A read waits for a partition of which nothing is here.
    starved: bool,
    /// All partitions are to be read from where they are said to be; the thread takes it up.
    all_anew: bool,
    /// These partitions are, the others go on.
    anew: BTreeSet<u32>,
    /// The client gave no answer in time.
    failing: bool,
    stopped: bool,
}

/// What was read ahead of one partition.
struct Ahead {
    records: VecDeque<Stored>,
    /// Where the reader is.
    at: u64,
    /// Nothing more was there when the last record had been fetched.
    at_end: bool,
}

impl Follower {
    /// A follower that waits for [`Self::go_to`].
    pub fn start(cluster: &Cluster, topic: Topic, arrived: &Arc<Notify>) -> Result<Self, StreamError> {
        let shared =
            Arc::new(Shared { state: Mutex::default(), room: Condvar::new(), arrived: Arc::clone(arrived) });
        let consumer = client(cluster)?;
        let task = Task { topic, consumer, cluster: cluster.clone(), shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new()
            .name(format!("follow-{}", topic.name()))
            .spawn(move || task.run())
            .map_err(|error| cluster.failure(error.to_string()))?;
        Ok(Self { topic, cluster: cluster.clone(), shared, thread: Some(thread) })
    }

    /// From now on reads ahead from `from` and nothing else. Partitions that are read where they are go on.
    pub fn go_to(&self, from: &[Position]) {
        let mut state = self.shared.state();
        let own = from.iter().filter(|position| position.topic == self.topic);
        let wanted: BTreeMap<u32, u64> = own.map(|position| (position.partition, position.offset)).collect();
        let same = wanted.len() == state.partitions.len()
            && wanted.iter().all(|(partition, offset)| {
                state.partitions.get(partition).is_some_and(|ahead| ahead.at == *offset)
            });
        if !same {
            let empty = |at| Ahead { records: VecDeque::new(), at, at_end: false };
            state.partitions = wanted.into_iter().map(|(partition, at)| (partition, empty(at))).collect();
            state.bytes = 0;
            state.all_anew = true;
            self.shared.room.notify_all();
        }
    }

    /// Whether a record is there to be read at `from`; `None` when this place is not read ahead.
    pub fn has(&self, from: Position) -> Option<bool> {
        let state = self.shared.state();
        let ahead = state.partitions.get(&from.partition).filter(|ahead| ahead.at == from.offset)?;
        Some(!ahead.records.is_empty())
    }

    /// Whether a read from `from` need not wait; `None` when this place is not read ahead.
    pub fn is_at_hand(&self, from: Position) -> Option<bool> {
        let state = self.shared.state();
        let ahead = state.partitions.get(&from.partition).filter(|ahead| ahead.at == from.offset)?;
        Some(!ahead.records.is_empty() || ahead.at_end)
    }

    /// Reads from `from`; `None` when this partition is not read ahead.
    pub async fn read(&self, from: Position, limit: Limit<'_>) -> Option<Result<Batch, StreamError>> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let arrived = self.shared.arrived.notified();
            {
                let mut state = self.shared.state();
                let ahead = state.partitions.get_mut(&from.partition)?;
                if ahead.at != from.offset {
                    // The reader went back.
                    let bytes: usize = ahead.records.drain(..).map(|stored| stored.record.bytes()).sum();
                    (ahead.at, ahead.at_end) = (from.offset, false);
                    state.bytes -= bytes;
                    state.anew.insert(from.partition);
                    self.shared.room.notify_all();
                } else if !ahead.records.is_empty() {
                    let (batch, bytes) = ahead.take(limit);
                    state.bytes -= bytes;
                    drop(state);
                    self.shared.room.notify_one();
                    return Some(Ok(batch));
                } else if ahead.at_end {
                    return Some(Ok(Batch { records: Vec::new(), next: from.offset }));
                } else {
                    state.starved = true;
                    self.shared.room.notify_one();
                }
            }
            if tokio::time::timeout_at(deadline, arrived).await.is_err() {
                self.shared.state().fail();
                self.shared.room.notify_one();
                let name = self.cluster.settings.named(self.topic.name());
                let place = format!("{name}/{} from offset {}", from.partition, from.offset);
                return Some(Err(self.cluster.failure(format!("{place}: no answer in time"))));
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.state().stopped = true;
        self.shared.room.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread is to do before it fetches.
enum Orders {
    None,
    /// Read these partitions and no others.
    All(Vec<(u32, u64)>),
    /// Read these from other places; behind them all, as they are then.
    Some(Vec<(u32, u64)>, Vec<(u32, u64)>),
}

impl State {
    fn has_orders(&self) -> bool {
        self.failing || self.all_anew || !self.anew.is_empty()
    }

    /// Has the client replaced. It may have been wrong for long, also of where a partition ends.
    fn fail(&mut self) {
        self.failing = true;
        self.partitions.values_mut().for_each(|ahead| ahead.at_end = false);
    }

    fn take_orders(&mut self) -> Orders {
        let anew = std::mem::take(&mut self.anew);
        let all_anew = std::mem::take(&mut self.all_anew) || self.failing;
        if !all_anew && anew.is_empty() {
            return Orders::None;
        }
        let goes_on = |ahead: &Ahead| ahead.records.back().map_or(ahead.at, |last| last.offset + 1);
        let all = self.partitions.iter().map(|(partition, ahead)| (*partition, goes_on(ahead))).collect();
        if all_anew {
            return Orders::All(all);
        }
        let places =
            anew.iter().filter_map(|partition| Some((*partition, self.partitions.get(partition)?.at)));
        Orders::Some(places.collect(), all)
    }
}

impl Ahead {
    /// The first records within `limit`, and their bytes.
    fn take(&mut self, limit: Limit<'_>) -> (Batch, usize) {
        let room = if limit.key.is_none() { limit.records.min(self.records.len()) } else { 0 };
        let mut batch = Batch { records: Vec::with_capacity(room), next: self.at };
        let (mut taken, mut handed_out) = (0, 0);
        while let Some(stored) = self.records.front() {
            let wanted = limit.key.is_none_or(|key| key == stored.record.key);
            let size = stored.record.bytes();
            let full = batch.records.len() >= limit.records.max(1)
                || (wanted && !batch.records.is_empty() && handed_out + size > limit.bytes);
            if full {
                break;
            }
            batch.next = stored.offset + 1;
            taken += size;
            let stored = self.records.pop_front().expect("it was looked at under this lock");
            if wanted {
                handed_out += size;
                batch.records.push(stored);
            }
        }
        self.at = batch.next;
        (batch, taken)
    }
}

fn client(cluster: &Cluster) -> Result<BaseConsumer<Context>, StreamError> {
    cluster.client(&[READER.to_vec(), cluster.unless_given(&CLIENT)].concat())
}

/// What the thread owns.
struct Task {
    topic: Topic,
    consumer: BaseConsumer<Context>,
    cluster: Cluster,
    shared: Arc<Shared>,
}

enum Came {
    Record(u32, Stored),
    End(u32),
}

impl Task {
    fn run(mut self) {
        let mut came: Vec<Came> = Vec::with_capacity(HAND_OVER);
        loop {
            let (failing, orders) = {
                let mut state = self.shared.state();
                while !state.stopped && !state.has_orders() && !state.starved && state.bytes >= AHEAD_BYTES {
                    state = self.shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                if state.stopped {
                    return;
                }
                let orders = state.take_orders();
                (std::mem::take(&mut state.failing), orders)
            };
            let replaced = if failing { self.replace() } else { Ok(()) };
            if let Err(error) = replaced.and_then(|()| self.obey(&orders)) {
                tracing::error!(%error, topic = self.topic.name(), "cannot read ahead; trying again with a new client");
                self.shared.state().fail();
                std::thread::sleep(PAUSE_AFTER_ERROR);
            }
            self.fetch(&mut came);
            self.hand_over(&mut came);
        }
    }

    fn replace(&mut self) -> Result<(), StreamError> {
        tracing::warn!(topic = self.topic.name(), "reading ahead with a new client");
        self.consumer = client(&self.cluster)?;
        Ok(())
    }

    fn obey(&self, orders: &Orders) -> Result<(), StreamError> {
        match orders {
            Orders::None => Ok(()),
            Orders::All(places) => self.assign(places),
            Orders::Some(places, all) => {
                let name = self.cluster.settings.named(self.topic.name());
                let sought = places.iter().try_for_each(|(partition, offset)| {
                    let partition = i32::try_from(*partition).unwrap_or(i32::MAX);
                    let offset = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
                    self.consumer.seek(&name, partition, offset, SEEK)
                });
                // A partition that is not being read yet cannot be sought in.
                if sought.is_ok() { Ok(()) } else { self.assign(all) }
            }
        }
    }

    fn assign(&self, places: &[(u32, u64)]) -> Result<(), StreamError> {
        let place = |&(partition, offset): &(u32, u64)| Position { topic: self.topic, partition, offset };
        let own: Vec<_> = places.iter().map(place).collect();
        let list = assignment(&self.cluster, &own)?;
        self.consumer.assign(&list).map_err(|error| self.cluster.error(&error))
    }

    fn fetch(&self, came: &mut Vec<Came>) {
        let mut patience = POLL;
        while came.len() < HAND_OVER {
            match self.consumer.poll(patience) {
                None => return,
                Some(Ok(message)) => {
                    let partition = u32::try_from(message.partition()).unwrap_or_default();
                    came.push(Came::Record(partition, decode::stored(self.topic, &message)));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    came.push(Came::End(u32::try_from(partition).unwrap_or_default()));
                }
                // The client goes on by itself; whoever waits for long is told.
                Some(Err(error)) => {
                    tracing::debug!(%error, topic = self.topic.name(), "reading ahead");
                }
            }
            patience = Duration::ZERO;
        }
    }

    fn hand_over(&self, came: &mut Vec<Came>) {
        if came.is_empty() {
            return;
        }
        {
            let mut state = self.shared.state();
            if state.all_anew || state.failing {
                // It was fetched for other places, or is of a client that is given up.
                came.clear();
                return;
            }
            // Who still has nothing says so again.
            state.starved = false;
            let mut bytes = 0;
            for came in came.drain(..) {
                let (Came::Record(partition, _) | Came::End(partition)) = &came;
                if state.anew.contains(partition) {
                    continue;
                }
                match came {
                    Came::Record(partition, stored) => {
                        let Some(ahead) = state.partitions.get_mut(&partition) else { continue };
                        if stored.offset >= ahead.at {
                            bytes += stored.record.bytes();
                            ahead.at_end = false;
                            ahead.records.push_back(stored);
                        }
                    }
                    Came::End(partition) => {
                        if let Some(ahead) = state.partitions.get_mut(&partition) {
                            ahead.at_end = true;
                        }
                    }
                }
            }
            state.bytes += bytes;
        }
        self.shared.arrived.notify_waiters();
    }
}
