//! The embedded stream: one SQLite file, for a central on one machine.
//!
//! ```text
//! append, commit ──▶ queue ──▶ writer thread: one transaction for all that waits ──▶ stream.sqlite
//! read, offset_at ──▶ up to READERS_MAX read-only connections ◀──────────────────────┘ (WAL)
//! ```
//!
//! - One table a partition, one row a record, so that an engineer can look with the `sqlite3` shell:
//!   `SELECT offset, key, headers ->> 'ce_type' FROM "tandem.status/0" ORDER BY offset DESC LIMIT 10`.
//! - Group commit: while one transaction is synced, the next ones gather. `synchronous = FULL`: what was
//!   acknowledged survives a power cut, and a transaction that was cut off is as if it never was.
//! - A compacted topic replaces the record of a key as it is written; nothing has to be cleaned up later.
//! - A lock file keeps a second process out. A damaged file is an error and never recreated.
//! - Removed records leave room in the file that later ones use; the file itself does not shrink.

mod file;
mod read;
mod write;

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot, watch};

use super::bounds::{self, AllBounds, Bounds};
use super::{Answer, Batch, Commit, Limit, Position, Record, Stream, StreamError, Topic, check};
use read::Readers;
use write::{Expiry, Request, Writer};

/// Calls that wait for the writer. When it is full, callers wait for a place: the gateway, which must not,
/// has a queue of its own in front.
const QUEUE_CALLS: usize = 256;

/// How a stream file is made and how large it may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqliteSettings {
    /// Partitions of each topic. Fixed when the file is made, for order per key hangs on it.
    pub partitions: u32,
    /// Largest size of the file; appending fails with [`StreamError::Full`] beyond it.
    pub bytes_max: Option<u64>,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self { partitions: 1, bytes_max: None }
    }
}

/// A stream in one SQLite file.
pub struct Sqlite {
    path: PathBuf,
    partitions: u32,
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    readers: Readers,
    bounds: watch::Receiver<AllBounds>,
    _lock: std::fs::File,
}

impl Sqlite {
    /// Name of the file in its folder.
    pub const FILE_NAME: &str = "stream.sqlite";

    /// Opens the stream in `folder`, or makes it where there is none. Blocks for a moment.
    ///
    /// # Errors
    /// When another process has it, when it is damaged, or when the folder cannot be written.
    pub fn open(folder: &Path, settings: SqliteSettings) -> Result<Self, StreamError> {
        let lock = file::lock(folder)?;
        let path = folder.join(Self::FILE_NAME);
        let connection = file::open(&path, settings)?;
        let (writer, all) = Writer::new(connection, path.clone(), settings.partitions)?;
        let (publish, bounds) = watch::channel(all);
        let (requests, queue) = mpsc::channel(QUEUE_CALLS);
        let writer = std::thread::Builder::new()
            .name("stream-writer".into())
            .spawn(move || writer.run(queue, &publish))
            .map_err(|error| StreamError::Storage { path: path.clone(), detail: error.to_string() })?;
        let readers = Readers::new(path.clone());
        Ok(Self {
            path,
            partitions: settings.partitions,
            requests: Some(requests),
            writer: Some(writer),
            readers,
            bounds,
            _lock: lock,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StreamError>>) -> Request,
    ) -> Result<T, StreamError> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or(StreamError::Closed)?;
        requests.send(request(reply)).await.map_err(|_| StreamError::Closed)?;
        answer.await.map_err(|_| StreamError::Closed)?
    }

    fn known(&self, topic: Topic, partition: u32) -> Result<Bounds, StreamError> {
        self.bounds.borrow().get(topic, partition)
    }
}

impl Drop for Sqlite {
    /// Lets the writer finish what was asked of it, so that the file is whole and unlocked afterwards.
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Stream for Sqlite {
    /// Its folder belongs to one process, and that has one gateway.
    fn is_shared(&self) -> bool {
        false
    }

    fn partitions(&self, _: Topic) -> u32 {
        self.partitions
    }

    fn append(&self, records: Vec<Record>) -> Answer<'_, ()> {
        Box::pin(async move {
            check(&records)?;
            self.ask(|reply| Request::Write { records, reader: None, reply }).await
        })
    }

    fn read<'a>(&'a self, from: Position, limit: Limit<'a>) -> Answer<'a, Batch> {
        Box::pin(async move {
            // Taken before the file is read: all below `next` is visible to a transaction that begins later.
            let next = self.known(from.topic, from.partition)?.next;
            if from.offset >= next {
                return Ok(Batch { records: Vec::new(), next: from.offset });
            }
            let key = limit.key.map(str::to_owned);
            let (records, bytes) = (limit.records.max(1), limit.bytes);
            self.readers.run(move |reader| reader.read(from, next, records, bytes, key.as_deref())).await
        })
    }

    fn wait<'a>(&'a self, from: &'a [Position], patience: Duration) -> Answer<'a, bool> {
        Box::pin(bounds::wait(self.bounds.clone(), from, patience))
    }

    fn bounds(&self, topic: Topic) -> Answer<'_, Vec<Bounds>> {
        Box::pin(async move { Ok(self.bounds.borrow().of(topic)) })
    }

    fn offset_at(&self, topic: Topic, partition: u32, time: DateTime<Utc>) -> Answer<'_, u64> {
        Box::pin(async move {
            let next = self.known(topic, partition)?.next;
            self.readers.run(move |reader| reader.offset_at(topic, partition, next, time)).await
        })
    }

    fn commit(&self, commit: Commit) -> Answer<'_, ()> {
        Box::pin(async move {
            check(&commit.outputs)?;
            for position in &commit.positions {
                self.known(position.topic, position.partition)?;
            }
            let reader = Some((commit.reader, commit.positions));
            self.ask(|reply| Request::Write { records: commit.outputs, reader, reply }).await
        })
    }

    fn committed<'a>(&'a self, reader: &'a str) -> Answer<'a, Vec<Position>> {
        Box::pin(async move {
            let name = reader.to_owned();
            self.readers.run(move |reader| reader.committed(&name)).await
        })
    }

    fn expire(&self, topic: Topic, before: DateTime<Utc>) -> Answer<'_, u64> {
        Box::pin(async move {
            let mut gone = 0;
            for bounds in self.bounds(topic).await? {
                loop {
                    let expiry = Expiry { topic, partition: bounds.partition, before };
                    let removed = self.ask(|reply| Request::Expire { expiry, reply }).await?;
                    gone += removed;
                    if removed < write::EXPIRE_RECORDS {
                        break;
                    }
                }
            }
            Ok(gone)
        })
    }
}
