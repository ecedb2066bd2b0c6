//! Events in central: appended, read from an offset, committed. The only source of truth there; whatever
//! else central holds can be folded from it again.
//!
//! One short trait, [`Stream`], in the shape of Kafka, because Kafka is one of its backends: topics of
//! partitions, records with key and headers, an offset per partition, and readers that commit their outputs
//! and their positions in one step. The embedded backends ([`Memory`], [`Sqlite`]) are one process and need
//! no broker.
//!
//! - **Order** holds within a partition. Records of one key share a partition, so one router's events stay
//!   in order; nothing is promised between partitions or topics.
//! - **Offsets** of a partition rise by one for each record, from 0 (in Kafka a transaction takes one too).
//!   Retention removes from the front and compaction from the middle, so a reader goes on from [`Batch::next`],
//!   never from a count of its own.
//! - **Durable**: what [`Stream::append`] and [`Stream::commit`] took survives a power cut once they return. They take
//!   all of their records or none; an append to Kafka that fails may have taken some, and is repeated.
//! - **Time** of a record is when central took it in, never when a router says it happened: a router without
//!   a clock lives in 1970, and retention would delete its events at once. Times of a partition never fall within
//!   what one process writes.
//!
//! The value of an event's record is the event's JSON as the router sent it (CloudEvents structured mode), in
//! every backend: the bytes are evidence. Beside it stand the headers that a reader needs to choose without
//! parsing, under the names of the [CloudEvents Kafka binding](https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/kafka-protocol-binding.md):
//! [`CE_TYPE`] always. A backend that speaks binary mode outside (`ce_id`, `ce_source`, `ce_time`, …) derives
//! the others from the value when it writes.

mod bounds;
/// Moves what one stream holds into another.
pub mod copy;
#[cfg(feature = "kafka")]
mod kafka;
mod letter;
mod memory;
mod sqlite;
mod topic;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

pub use bounds::Bounds;
#[cfg(feature = "kafka")]
pub use kafka::{Change, Feeder, Kafka, KafkaSettings, Member, TopicPolicy};
pub use letter::{DEAD_LETTER_BYTES, LENGTH, REASON, ROUTER};
pub use memory::Memory;
pub use sqlite::{Sqlite, SqliteSettings};
pub use topic::{Kept, Topic};

/// Header with the CloudEvents type.
pub const CE_TYPE: &str = "ce_type";

/// Largest record: key, headers and value together. Kafka's default `message.max.bytes` leaves room for it.
pub const RECORD_BYTES_MAX: usize = 768 * 1024;

/// The identity of the embedded stream.
pub const EMBEDDED: &str = "embedded";

/// A stream shared by the shells of one process.
pub type Shared = Arc<dyn Stream>;

/// What a call of [`Stream`] resolves to.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, StreamError>>;

/// Topics of records, appended and read. See the module for what every backend promises.
pub trait Stream: Send + Sync {
    /// Which stream this is, in words. Offsets mean the same records in streams of the same identity only.
    fn identity(&self) -> String {
        EMBEDDED.to_owned()
    }

    /// Whether others may append to it, of whose appends only the stream itself tells.
    fn is_shared(&self) -> bool {
        true
    }

    /// How many partitions `topic` has.
    fn partitions(&self, topic: Topic) -> u32;

    /// The partition of `topic` that holds the records of `key`.
    fn partition_of(&self, topic: Topic, key: &str) -> u32 {
        partition_of(key, self.partitions(topic))
    }

    /// Appends all of `records`, in their order, or none; they are durable when it returns. Records with
    /// different keys may land in different partitions.
    ///
    /// # Errors
    /// When a record is too large, or nothing could be written.
    fn append(&self, records: Vec<Record>) -> Answer<'_, ()>;

    /// Reads records of one partition in order, without waiting. A position before the first record kept
    /// reads from the first one kept; a position at or behind the end gives an empty batch.
    ///
    /// # Errors
    /// When the partition does not exist or cannot be read.
    fn read<'a>(&'a self, from: Position, limit: Limit<'a>) -> Answer<'a, Batch>;

    /// Says that a reader will read on from each of `from` with [`Self::read_on`], so that a backend that is far away
    /// fetches ahead. There is one such reader of a stream; what it said before is forgotten.
    ///
    /// # Errors
    /// When a partition does not exist.
    fn read_ahead<'a>(&'a self, from: &'a [Position]) -> Answer<'a, ()> {
        let _ = from;
        Box::pin(async { Ok(()) })
    }

    /// As [`Self::read`], for the reader that said [`Self::read_ahead`]. It may wait for what is there already.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn read_on<'a>(&'a self, from: Position, limit: Limit<'a>) -> Answer<'a, Batch> {
        self.read(from, limit)
    }

    /// Whether [`Self::read_on`] answers at once there. A reader of many partitions takes first what is at hand.
    fn is_at_hand(&self, from: Position) -> bool {
        let _ = from;
        true
    }

    /// Waits until one of `from` has a record to read, for `patience` at most. True when it has.
    ///
    /// # Errors
    /// When the stream has ended.
    fn wait<'a>(&'a self, from: &'a [Position], patience: Duration) -> Answer<'a, bool>;

    /// First and next offset of each partition of `topic`, by partition.
    ///
    /// # Errors
    /// When the topic cannot be asked.
    fn bounds(&self, topic: Topic) -> Answer<'_, Vec<Bounds>>;

    /// The offset of the first record of a partition that was taken in at or after `time`; the next offset
    /// when there is none.
    ///
    /// # Errors
    /// When the partition does not exist or cannot be read.
    fn offset_at(&self, topic: Topic, partition: u32, time: DateTime<Utc>) -> Answer<'_, u64>;

    /// Appends the outputs of a reader and moves its positions, both or neither. Positions not named stay.
    ///
    /// # Errors
    /// As [`Stream::append`].
    fn commit(&self, commit: Commit) -> Answer<'_, ()>;

    /// The positions `reader` last committed: where it reads on. Partitions it never committed are absent.
    ///
    /// # Errors
    /// When they cannot be read.
    fn committed<'a>(&'a self, reader: &'a str) -> Answer<'a, Vec<Position>>;

    /// Removes what was taken in before `before`, in pieces that never hold up appends for long; returns how
    /// many records went. Of a compacted topic only tombstones go. A backend whose broker keeps time itself
    /// does nothing.
    ///
    /// # Errors
    /// When they cannot be removed.
    fn expire(&self, topic: Topic, before: DateTime<Utc>) -> Answer<'_, u64>;
}

/// A record to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it goes.
    pub topic: Topic,
    /// Records of one key stay in order; of a compacted topic only the latest of a key is kept.
    pub key: String,
    /// What a reader needs without parsing the value.
    pub headers: Headers,
    /// The content; `None` on a compacted topic is a tombstone: the key is gone.
    pub value: Option<Vec<u8>>,
    /// When central took it in, to the millisecond.
    pub time: DateTime<Utc>,
}

impl Record {
    /// The CloudEvents type, when the record carries one.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.header(CE_TYPE)
    }

    /// The header `name`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// What counts against [`RECORD_BYTES_MAX`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + headers + self.value.as_ref().map_or(0, Vec::len)
    }

    /// Whole milliseconds only, as every backend keeps them.
    fn time_ms(&self) -> i64 {
        self.time.timestamp_millis()
    }
}

/// Headers of a record, in order.
pub type Headers = Vec<(Cow<'static, str>, String)>;

/// A record in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Place in the partition.
    pub offset: u64,
    /// The record.
    pub record: Record,
}

/// What one read gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In order.
    pub records: Vec<Stored>,
    /// Where to read on; behind the last record looked at, whether it was wanted or not.
    pub next: u64,
}

/// A place to read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Topic.
    pub topic: Topic,
    /// Partition, from 0.
    pub partition: u32,
    /// The next offset to read.
    pub offset: u64,
}

/// How much one read may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit<'a> {
    /// Most records, at least 1.
    pub records: usize,
    /// Most bytes of [`Record::bytes`]; the first record comes even when it is larger.
    pub bytes: usize,
    /// Only records of this key. Quick for the topics that an embedded backend indexes
    /// ([`Topic::is_indexed`]); elsewhere a read looks at a bounded number of records and may come back
    /// empty-handed with a `next` to go on from.
    pub key: Option<&'a str>,
}

impl Default for Limit<'_> {
    fn default() -> Self {
        Self { records: 1_000, bytes: 4 * 1024 * 1024, key: None }
    }
}

/// Outputs of a reader with the positions they were made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Name of the reader, such as `fold`.
    pub reader: String,
    /// Where it reads on.
    pub positions: Vec<Position>,
    /// What it made of what it read.
    pub outputs: Vec<Record>,
}

/// Why the stream did not do it. Nothing was written then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// No room.
    #[error("{}: no room for new events ({detail}); free some, reading goes on meanwhile", path.display())]
    Full {
        /// The file, or `memory`.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// Another process writes the same folder.
    #[error("{}: in use by another process; stop it or choose another data folder", path.display())]
    InUse {
        /// The lock.
        path: PathBuf,
    },
    /// The file is not what was written.
    #[error(
        "{}: damaged ({detail}); the stream is the source of truth and is not recreated by itself: \
         restore it from a backup, or move it away to begin anew", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Written by a newer release, or by another program.
    #[error("{}: {detail}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected.
        detail: String,
    },
    /// Any other failure of the storage.
    #[error("{}: {detail}", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// A record above [`RECORD_BYTES_MAX`], or above what the topic takes in its cluster.
    #[error("a record of {key} with {bytes} bytes is larger than {topic} takes", topic = topic.name())]
    TooLarge {
        /// Its place in what was to be appended.
        at: usize,
        /// Its key.
        key: String,
        /// Where it was to go.
        topic: Topic,
        /// Its size.
        bytes: usize,
    },
    /// The Kafka cluster did not do it.
    #[error("kafka {servers}: {detail}")]
    Broker {
        /// Where we asked.
        servers: String,
        /// What was said, and the likely cause.
        detail: String,
    },
    /// A topic of the Kafka cluster is not as it must be.
    #[error("topic {topic}: {setting} is {found}, wanted {wanted}; {advice}")]
    TopicSetting {
        /// Its name in the cluster.
        topic: String,
        /// The setting.
        setting: String,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: String,
        /// What to do.
        advice: &'static str,
    },
    /// A topic is not there and may not be created.
    #[error("topic {topic} is missing and may not be created; create it, or give topics=create")]
    TopicMissing {
        /// Its name in the cluster.
        topic: String,
    },
    /// Another process goes on in the place of this one.
    #[error("{reader}: another process has taken over; nothing was written")]
    Fenced {
        /// The reader.
        reader: String,
    },
    /// An address or setting is wrong.
    #[error("{0}")]
    Settings(String),
    /// No such partition.
    #[error("{topic} has no partition {partition}", topic = topic.name())]
    NoPartition {
        /// Topic.
        topic: Topic,
        /// What was asked for.
        partition: u32,
    },
    /// The stream was closed while the call waited.
    #[error("the stream is closed")]
    Closed,
}

/// Refuses what no backend takes, before anything is written.
fn check(records: &[Record]) -> Result<(), StreamError> {
    match records.iter().enumerate().find(|(_, record)| record.bytes() > RECORD_BYTES_MAX) {
        Some((at, record)) => Err(too_large(at, record)),
        None => Ok(()),
    }
}

fn too_large(at: usize, record: &Record) -> StreamError {
    let (key, topic, bytes) = (record.key.clone(), record.topic, record.bytes());
    StreamError::TooLarge { at, key, topic, bytes }
}

/// The partition of a key out of `partitions` (FNV-1a): the same for ever, because order per key hangs on it.
#[must_use]
pub fn partition_of(key: &str, partitions: u32) -> u32 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    u32::try_from(hash % u64::from(partitions)).expect("a remainder of a u32 fits")
}
