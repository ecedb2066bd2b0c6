//! Kafka as the stream: for a central on several machines.
//!
//! ```text
//! append ──▶ idempotent producer ──▶ topic, partition by key      (at least once; see below)
//! commit ──▶ transaction: outputs and positions together          (exactly once)
//! join ──▶ membership: partitions shared out among processes, commits refused from those put out
//! read_ahead, read, wait ◀── follower: one consumer a topic, queues by partition
//! read elsewhere         ◀── cursor: one consumer for one partition, kept where it stands
//! ```
//!
//! What Kafka gives, and where it differs from the embedded backends:
//!
//! - **Append** is idempotent (`acks=all`): within one call no record is stored twice, whatever the network does, and
//!   records of a key stay in order. It is *not* all or nothing: when it fails, some records may be stored. Whoever
//!   appends says it again then, and events carry their identity (source, epoch, sequence), so a double counts
//!   nowhere. Counts (`tandem.acknowledged`) are stored after the events they count, never before. A
//!   transaction for each append would make it all or nothing; it would also write a mark into each partition it
//!   touched and hold back every reader until it ends. Measured (debug build, busy two cores, one broker, 48 partitions):
//!   10 events 29 ms appended, 117 ms as a transaction; 1,000 events 138 and 219 ms; 20,000 events 1.5 and 1.0 s.
//! - **Commit** is all or nothing: one transaction (`transactional.id` is that of the reader), positions kept by the
//!   group of the reader's name. Whoever commits under the same name later fences off the one before.
//! - **Offsets** of topics written by transactions have gaps: the marks take numbers too.
//! - **Time** is the writer's (`CreateTime`), and does not fall within what one process writes; between gateways it may by
//!   the difference of their clocks.
//! - **Expiry and compaction** are the brokers' (`retention.ms`, `cleanup.policy`): [`Stream::expire`] does nothing, and
//!   a compacted topic may still give older records of a key before the latest.

mod client;
mod cloud_event;
mod cursor;
mod decode;
mod feed;
mod follow;
mod group;
mod produce;
mod pulse;
mod settings;
mod topics;
mod transaction;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

pub use feed::Feeder;
pub use group::{Change, Member};
pub use settings::{KafkaSettings, TopicPolicy};

use super::{
    Answer, Batch, Bounds, CE_TYPE, Commit, Headers, Kept, Limit, Position, RECORD_BYTES_MAX, Record, Stored,
    Stream, StreamError, Topic, check, partition_of, too_large,
};
use client::{Cluster, Context, listen};
use cursor::{Cursors, READER, Wanted};
use follow::Follower;
use produce::Producer;
use pulse::Pulse;
use transaction::Transactions;

/// How long a question to the brokers may take.
const ASK: Duration = Duration::from_secs(10);
/// Between two times that it is asked.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// Between two looks at partitions that are not read ahead.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// Reads elsewhere at the same time.
const READS_MAX: usize = 8;
/// How long a commit waits until readers see it.
const SEEN: Duration = Duration::from_secs(10);

/// A stream in a Kafka cluster.
pub struct Kafka {
    identity: String,
    inner: Arc<Inner>,
    producer: Producer,
    followers: RwLock<HashMap<Topic, Arc<Follower>>>,
    arrived: Arc<Notify>,
    reads: Semaphore,
    pulse: Pulse,
}

/// What blocking calls need.
struct Inner {
    cluster: Cluster,
    /// Asks for offsets. Replaced when it has had no right answer for long: a client that holds on to what it once
    /// heard of leaders is wrong until it is made anew.
    asking: Mutex<Arc<BaseConsumer<Context>>>,
    cursors: Cursors,
    transactions: Transactions,
    groups: Mutex<HashMap<String, Arc<BaseConsumer<Context>>>>,
}

impl Kafka {
    /// Connects, makes or checks the topics.
    ///
    /// # Errors
    /// When the cluster does not answer or refuses us, or a topic is not as it must be.
    pub async fn open(settings: KafkaSettings) -> Result<Self, StreamError> {
        let cluster = Cluster::new(settings);
        let cluster_id = topics::ensure(&cluster).await?;
        let inner = Inner {
            asking: Mutex::new(Arc::new(cluster.client(&READER)?)),
            cursors: Cursors::new(&cluster),
            transactions: Transactions::new(&cluster),
            groups: Mutex::default(),
            cluster: cluster.clone(),
        };
        let inner = Arc::new(inner);
        let place = cluster.settings.named("tandem");
        let identity = format!("kafka {cluster_id}, {place}, {} partitions", cluster.settings.partitions);
        Ok(Self {
            identity,
            pulse: Pulse::of(&inner),
            inner,
            producer: Producer::new(&cluster)?,
            followers: RwLock::default(),
            arrived: Arc::default(),
            reads: Semaphore::new(READS_MAX),
        })
    }

    /// Whether the cluster answers for every partition. With it comes what somebody should look at all the same:
    /// a topic whose partitions were changed. What is read and written stays where it was.
    ///
    /// # Errors
    /// Why it does not, once that has lasted for longer than a cluster needs to elect a leader.
    pub fn ready(&self) -> Result<Option<String>, String> {
        self.pulse.ready()
    }

    fn known(&self, topic: Topic, partition: u32) -> Result<(), StreamError> {
        if partition < self.inner.cluster.settings.partitions {
            Ok(())
        } else {
            Err(StreamError::NoPartition { topic, partition })
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Inner) -> Result<T, StreamError> + Send + 'static,
    ) -> Result<T, StreamError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || call(&inner)).await.map_err(|_| StreamError::Closed)?
    }

    fn follower(&self, topic: Topic) -> Option<Arc<Follower>> {
        self.followers.read().unwrap_or_else(PoisonError::into_inner).get(&topic).cloned()
    }

    /// Whether a record waits at one of `from`.
    async fn any_there(&self, from: &[Position]) -> Result<bool, StreamError> {
        let mut elsewhere = Vec::new();
        for position in from {
            match self.follower(position.topic).and_then(|follower| follower.has(*position)) {
                Some(true) => return Ok(true),
                Some(false) => {}
                None => elsewhere.push(*position),
            }
        }
        if elsewhere.is_empty() {
            return Ok(false);
        }
        self.blocking(move |inner| {
            let places: Vec<_> = elsewhere.iter().map(|at| (at.topic, at.partition, Offset::End)).collect();
            let ends = inner.offsets(&places)?;
            Ok(elsewhere.iter().zip(ends).any(|(position, end)| position.offset < end))
        })
        .await
    }
}

impl Inner {
    /// The offsets of places, each by the end, the beginning, or the milliseconds of a time; the end when nothing is
    /// that late. One question for all of them, asked again while partitions change their leader.
    fn offsets(&self, places: &[(Topic, u32, Offset)]) -> Result<Vec<u64>, StreamError> {
        let answer = self.insist(|| self.ask_offsets(places));
        if answer.is_err() {
            self.ask_anew()?;
        }
        answer
    }

    /// Has another client ask from now on.
    fn ask_anew(&self) -> Result<(), StreamError> {
        let anew = Arc::new(self.cluster.client(&READER)?);
        *self.asking.lock().unwrap_or_else(PoisonError::into_inner) = anew;
        Ok(())
    }

    /// Repeats a question to the brokers until it is answered, for [`ASK`] at most.
    fn insist<T>(&self, mut question: impl FnMut() -> Result<T, StreamError>) -> Result<T, StreamError> {
        let deadline = Instant::now() + ASK;
        loop {
            match question() {
                Ok(answer) => return Ok(answer),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) if self.cluster.refusal().is_some() => {
                    return question().map_err(|error| self.cluster.refusal().unwrap_or(error));
                }
                Err(error) => tracing::debug!(%error, "asking again"),
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }

    fn ask_offsets(&self, places: &[(Topic, u32, Offset)]) -> Result<Vec<u64>, StreamError> {
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (topic, partition, offset) in places {
            let name = self.cluster.settings.named(topic.name());
            let partition = i32::try_from(*partition).unwrap_or(i32::MAX);
            list.add_partition_offset(&name, partition, *offset)
                .map_err(|error| self.cluster.error(&error))?;
        }
        let asking = Arc::clone(&self.asking.lock().unwrap_or_else(PoisonError::into_inner));
        let answer = asking.offsets_for_times(list, ASK);
        listen(&asking);
        let answer = answer.map_err(|error| self.cluster.error(&error))?;
        let mut found = Vec::with_capacity(places.len());
        for (topic, partition, asked) in places {
            let name = self.cluster.settings.named(topic.name());
            let place = format!("{name}/{partition}");
            let partition = i32::try_from(*partition).unwrap_or(i32::MAX);
            let element = answer
                .find_partition(&name, partition)
                .ok_or_else(|| self.cluster.failure(format!("{place}: no answer")))?;
            element.error().map_err(|error| self.cluster.failure(format!("{place}: {error}")))?;
            found.push(match (element.offset(), asked) {
                (Offset::Offset(offset), _) => u64::try_from(offset).unwrap_or_default(),
                (_, Offset::Offset(_)) => u64::MAX,
                (other, _) => {
                    return Err(self.cluster.failure(format!("{place}: its offset is {other:?}")));
                }
            });
        }
        Ok(found)
    }

    fn bounds(&self, topic: Topic) -> Result<Vec<Bounds>, StreamError> {
        let partitions = 0..self.cluster.settings.partitions;
        let ask = |offset| {
            let places: Vec<_> = partitions.clone().map(|partition| (topic, partition, offset)).collect();
            self.offsets(&places)
        };
        // The beginning first: what goes meanwhile goes from the front.
        let (firsts, nexts) = (ask(Offset::Beginning)?, ask(Offset::End)?);
        let bounds = partitions.clone().zip(firsts).zip(nexts);
        Ok(bounds
            .map(|((partition, first), next)| Bounds { partition, first: first.min(next), next })
            .collect())
    }

    /// A member of nothing that asks for what the group of `reader` committed.
    fn group(&self, reader: &str) -> Result<Arc<BaseConsumer<Context>>, StreamError> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = groups.get(reader) {
            return Ok(Arc::clone(group));
        }
        let name = group_of(&self.cluster, reader);
        let own = READER.into_iter().filter(|(setting, _)| *setting != "group.id");
        let own: Vec<_> = own.chain([("group.id", name.as_str())]).collect();
        let group = Arc::new(self.cluster.client(&own)?);
        groups.insert(reader.to_owned(), Arc::clone(&group));
        Ok(group)
    }

    fn committed(&self, reader: &str) -> Result<Vec<Position>, StreamError> {
        let answer = self.insist(|| self.ask_committed(reader));
        if answer.is_err() {
            self.groups.lock().unwrap_or_else(PoisonError::into_inner).remove(reader);
        }
        answer
    }

    fn ask_committed(&self, reader: &str) -> Result<Vec<Position>, StreamError> {
        let group = self.group(reader)?;
        let mut list = TopicPartitionList::new();
        let partitions = 0..self.cluster.settings.partitions;
        let places: Vec<_> = Topic::ALL
            .into_iter()
            .flat_map(|topic| partitions.clone().map(move |partition| (topic, partition)))
            .collect();
        for (topic, partition) in &places {
            let partition = i32::try_from(*partition).unwrap_or(i32::MAX);
            list.add_partition(&self.cluster.settings.named(topic.name()), partition);
        }
        let answer = group.committed_offsets(list, ASK);
        listen(&group);
        let answer = answer.map_err(|error| self.cluster.error(&error))?;
        let mut positions = Vec::new();
        for (topic, partition) in places {
            let name = self.cluster.settings.named(topic.name());
            let number = i32::try_from(partition).unwrap_or(i32::MAX);
            let Some(element) = answer.find_partition(&name, number) else { continue };
            element.error().map_err(|error| self.cluster.failure(format!("{name}/{partition}: {error}")))?;
            if let Offset::Offset(offset) = element.offset() {
                let offset = u64::try_from(offset).unwrap_or_default();
                positions.push(Position { topic, partition, offset });
            }
        }
        Ok(positions)
    }

    fn commit(&self, commit: &Commit) -> Result<(), StreamError> {
        let name = group_of(&self.cluster, &commit.reader);
        let group = self
            .group(&commit.reader)?
            .group_metadata()
            .ok_or_else(|| self.cluster.failure(format!("group {name} has no metadata")))?;
        let pending = self.transactions.commit(&name, &commit.positions, commit.outputs.iter(), &group)?;
        // The marks of the transaction come to the partitions a moment after it is decided.
        let last = pending.last();
        let place = |((name, partition), last): (&(String, i32), &i64)| {
            let topic =
                Topic::ALL.into_iter().find(|topic| self.cluster.settings.named(topic.name()) == *name)?;
            Some(((topic, u32::try_from(*partition).ok()?, Offset::End), *last))
        };
        let places: Vec<_> = last.iter().filter_map(place).collect();
        let deadline = Instant::now() + SEEN;
        while !places.is_empty() {
            let asked: Vec<_> = places.iter().map(|(place, _)| *place).collect();
            let ends = self.offsets(&asked)?;
            let seen =
                places.iter().zip(ends).all(|((_, last), end)| i64::try_from(end).unwrap_or(0) > *last);
            if seen || Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

/// The group, and the transactional id, of a reader.
fn group_of(cluster: &Cluster, reader: &str) -> String {
    cluster.settings.named(&format!("tandem.{reader}"))
}

impl Stream for Kafka {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn partitions(&self, _: Topic) -> u32 {
        self.inner.cluster.settings.partitions
    }

    fn append(&self, records: Vec<Record>) -> Answer<'_, ()> {
        Box::pin(async move {
            check(&records)?;
            self.producer.append(records).await
        })
    }

    fn read_ahead<'a>(&'a self, from: &'a [Position]) -> Answer<'a, ()> {
        Box::pin(async move {
            for position in from {
                self.known(position.topic, position.partition)?;
            }
            for topic in Topic::ALL {
                let wanted = from.iter().any(|position| position.topic == topic);
                match self.follower(topic) {
                    Some(follower) => follower.go_to(from),
                    None if wanted => {
                        let follower = Follower::start(&self.inner.cluster, topic, &self.arrived)?;
                        follower.go_to(from);
                        let mut followers = self.followers.write().unwrap_or_else(PoisonError::into_inner);
                        followers.insert(topic, Arc::new(follower));
                    }
                    None => {}
                }
            }
            Ok(())
        })
    }

    fn read<'a>(&'a self, from: Position, limit: Limit<'a>) -> Answer<'a, Batch> {
        Box::pin(async move {
            self.known(from.topic, from.partition)?;
            let _one_of_few = self.reads.acquire().await.map_err(|_| StreamError::Closed)?;
            let wanted =
                Wanted { records: limit.records, bytes: limit.bytes, key: limit.key.map(str::to_owned) };
            self.blocking(move |inner| {
                let end = inner.offsets(&[(from.topic, from.partition, Offset::End)])?[0];
                if from.offset >= end {
                    return Ok(Batch { records: Vec::new(), next: from.offset });
                }
                inner.cursors.read(from, end, &wanted)
            })
            .await
        })
    }

    fn read_on<'a>(&'a self, from: Position, limit: Limit<'a>) -> Answer<'a, Batch> {
        Box::pin(async move {
            self.known(from.topic, from.partition)?;
            if let Some(follower) = self.follower(from.topic)
                && let Some(answer) = follower.read(from, limit).await
            {
                return answer;
            }
            self.read(from, limit).await
        })
    }

    fn is_at_hand(&self, from: Position) -> bool {
        self.follower(from.topic).and_then(|follower| follower.is_at_hand(from)).unwrap_or(true)
    }

    fn wait<'a>(&'a self, from: &'a [Position], patience: Duration) -> Answer<'a, bool> {
        Box::pin(async move {
            for position in from {
                self.known(position.topic, position.partition)?;
            }
            let deadline = Instant::now() + patience;
            let all_ahead = from
                .iter()
                .all(|at| self.follower(at.topic).is_some_and(|follower| follower.has(*at).is_some()));
            loop {
                let arrived = self.arrived.notified();
                if self.any_there(from).await? {
                    return Ok(true);
                }
                let now = Instant::now();
                if now >= deadline {
                    return Ok(false);
                }
                let again = if all_ahead { deadline } else { deadline.min(now + LOOK_AGAIN) };
                let _ = tokio::time::timeout_at(again, arrived).await;
            }
        })
    }

    fn bounds(&self, topic: Topic) -> Answer<'_, Vec<Bounds>> {
        Box::pin(self.blocking(move |inner| inner.bounds(topic)))
    }

    fn offset_at(&self, topic: Topic, partition: u32, time: DateTime<Utc>) -> Answer<'_, u64> {
        Box::pin(async move {
            self.known(topic, partition)?;
            let time_ms = time.timestamp_millis().max(0);
            self.blocking(move |inner| {
                let end = inner.offsets(&[(topic, partition, Offset::End)])?[0];
                Ok(inner.offsets(&[(topic, partition, Offset::Offset(time_ms))])?[0].min(end))
            })
            .await
        })
    }

    fn commit(&self, commit: Commit) -> Answer<'_, ()> {
        Box::pin(async move {
            for position in &commit.positions {
                self.known(position.topic, position.partition)?;
            }
            self.blocking(move |inner| inner.commit(&commit)).await
        })
    }

    fn committed<'a>(&'a self, reader: &'a str) -> Answer<'a, Vec<Position>> {
        let reader = reader.to_owned();
        Box::pin(self.blocking(move |inner| inner.committed(&reader)))
    }

    fn expire(&self, _: Topic, _: DateTime<Utc>) -> Answer<'_, u64> {
        Box::pin(async { Ok(0) })
    }
}
