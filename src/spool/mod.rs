//! Events on the router's disk until central has them.
//!
//! # What it promises
//!
//! * A status event whose [`Spool::append`] answered [`Appended::Stored`] survives `kill -9` and power cuts.
//! * A sequence number is never given to two events: not after an acknowledgement, a restart, or a file that
//!   lost its end. So a double is harmless and a loss can be proved.
//! * It takes no more than `max_bytes` (1 MiB at least). When that is used up, samples are thinned, and only
//!   when none is left the oldest status goes. What goes is counted and declared in an event.
//! * No person is needed: a damaged file is set aside, a new epoch begins, and the gap is an event. A row that
//!   does not match its checksum is given up alone.
//! * A full, read-only or forbidden disk stops nobody: events wait in memory (bounded) and go to disk when it
//!   takes them again. What did not fit is declared too.
//! * One agent per spool; the second is told which process holds it.
//!
//! It never talks to the network, never reads a clock, and starts no thread: every call blocks until the disk
//! has answered. The agent calls it from a thread of its own.
//!
//! # On disk
//!
//! ```text
//! DIR/spool.lock       held (flock) by the agent; its process id as text
//! DIR/spool.db         SQLite, WAL, synchronous=FULL, 4 KiB pages   (with spool.db-wal, spool.db-shm)
//!      meta            one row: format, router, epoch, last sequence, acknowledged sequence, checksum
//!      status          sequence → record          few and precious
//!      sample_0 … 5    sequence → record          one table per lane, see below
//!      gone            what was given up and is not declared yet: class, cause, first, last, count
//!      remembered      key → JSON: what the agent must know after a restart
//!      event           view over status and samples in the order of their sequence
//! DIR/spool.mark       highest sequence committed and acknowledged, two slots, see `mark`
//! DIR/damaged-N.db     set aside, newest two at most and no more than `max_bytes` together
//! ```
//!
//! A record is the event's JSON behind a checksum, see `record`. Of `max_bytes`, five eighths are the database
//! (`max_page_count` holds SQLite to it), the rest is room for its log.
//!
//! # Thinning
//!
//! Every second sample of one kind and subject goes to lane 0, every fourth to lane 1, every eighth to lane 2
//! and so on. Room is made by dropping the oldest sample of the lane that reaches back farthest for its
//! density. So the first to go is every second sample, oldest first; after a long outage the newest samples
//! still have full resolution and it halves step by step into the past. Lanes are tables of their own because
//! then what is dropped lies side by side and whole pages become free.
//!
//! # Why not lost, why not twice
//!
//! The last sequence is committed together with the event that took it. After each commit it is
//! also written to `spool.mark`. A database that comes back with less than the mark says has lost its end: the
//! sequences between are declared lost and never given again.

mod aside;
mod lock;
mod look;
mod mark;
mod record;
mod store;
#[cfg(test)]
mod tests;
mod verify;
mod waiting;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use crate::event::{Body, Class, Epoch, Event, Origin, RouterName, Sequence, SpoolDropped};

pub use look::Look;
pub use verify::{Hole, Report, verify};

use lock::Lock;
use mark::Mark;
use store::{Store, StoreError};
use waiting::Waiting;

/// Smallest spool that works.
pub const MAX_BYTES_FLOOR: u64 = 1 << 20;

/// An event that has no sequence yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// When it happened, by the wall clock.
    pub time: DateTime<Utc>,
    /// What it is about.
    pub subject: Option<String>,
    /// The clocks that do not lie.
    pub origin: Origin,
    /// What happened.
    pub body: Body,
}

impl Draft {
    /// The event once it has its place.
    #[must_use]
    pub fn into_event(self, router: RouterName, epoch: Epoch, sequence: Sequence) -> Event {
        let Self { time, subject, origin, body } = self;
        Event { router, epoch, sequence, time, subject, origin, body }
    }
}

/// Where an appended event is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// On disk, synced.
    Stored(Sequence),
    /// A sample that waits in memory for its group to be committed.
    Grouped,
    /// In memory because the disk does not take it; see [`Spool::fault`].
    Held,
}

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it.
    #[error(
        "spool {directory} is in use by process {process}: stop it, or name another folder in [spool] dir"
    )]
    InUse {
        /// The folder.
        directory: PathBuf,
        /// What its lock file says.
        process: String,
    },
    /// The disk does not do what it should; events wait in memory.
    #[error("spool {directory}: {cause}")]
    Disk {
        /// The folder.
        directory: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// An acknowledgement of a life this spool does not live.
    #[error("acknowledgement is for epoch {found}, this spool's is {expected}")]
    OtherEpoch {
        /// What it says.
        found: Epoch,
        /// Ours.
        expected: Epoch,
    },
    /// An acknowledgement of what was never written.
    #[error("acknowledgement of sequence {found}, but the last one written is {last}")]
    Future {
        /// What it says.
        found: Sequence,
        /// The last one written.
        last: Sequence,
    },
    /// A key or value too large to be remembered.
    #[error("{key}: {bytes} bytes are more than can be remembered")]
    TooLarge {
        /// The key, cut.
        key: String,
        /// Size of the value.
        bytes: usize,
    },
}

/// One event as it lies in the spool.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its place.
    pub sequence: Sequence,
    /// Its class.
    pub class: Class,
    /// The event, JSON.
    pub json: Box<RawValue>,
}

/// Events in the order of their sequence.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The life they belong to.
    pub epoch: Epoch,
    /// Everything up to here is acknowledged or was asked not to be read.
    pub after: Sequence,
    /// The events; empty when there are none.
    pub events: Vec<Stored>,
    /// Whether more events lie behind the last one.
    pub more: bool,
}

/// How full the spool is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Depth {
    /// Its life; absent while the disk cannot be used.
    pub epoch: Option<Epoch>,
    /// Highest sequence written.
    pub last: Sequence,
    /// Highest sequence acknowledged.
    pub acknowledged: Sequence,
    /// Status events on disk.
    pub status_events: u64,
    /// Sample events on disk.
    pub sample_events: u64,
    /// Events in memory that are not on disk yet.
    pub waiting_events: u64,
    /// Bytes that the files take.
    pub bytes: u64,
    /// When the oldest event happened.
    pub oldest: Option<DateTime<Utc>>,
    /// Why the disk is not used right now.
    pub fault: Option<String>,
}

/// Samples committed together at most; fewer when a status event or a reader comes first.
const GROUP_EVENTS: usize = 16;
/// Tries to get past damage in one call: the file is opened anew, which examines it and replaces it where it
/// finds damage; then it is replaced whatever the examination says. A third damage is the disk's.
const REPAIRS: usize = 2;

/// The spool of one router.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    router: RouterName,
    max_bytes: u64,
    disk: Option<Disk>,
    waiting: Waiting,
    /// What to remember once the disk takes it.
    unwritten: BTreeMap<String, String>,
    fault: Option<String>,
    /// The file on disk passes its examination and fails at work: it is replaced when it is opened next.
    distrusted: bool,
}

/// What is held while the folder can be used.
#[derive(Debug)]
struct Disk {
    store: Store,
    mark: Mark,
    _lock: Lock,
}

impl Spool {
    /// Opens the spool in `directory`, creates what is missing, sets aside what is damaged.
    ///
    /// A disk that cannot be used is no error: see [`Self::fault`].
    ///
    /// # Errors
    /// [`SpoolError::InUse`] when another process has it.
    pub fn open(directory: &Path, router: RouterName, max_bytes: u64) -> Result<Self, SpoolError> {
        let mut spool = Self {
            directory: directory.to_owned(),
            router,
            max_bytes: max_bytes.max(MAX_BYTES_FLOOR),
            disk: None,
            waiting: Waiting::default(),
            unwritten: BTreeMap::new(),
            fault: None,
            distrusted: false,
        };
        match spool.disk() {
            Err(error @ SpoolError::InUse { .. }) => Err(error),
            _ => Ok(spool),
        }
    }

    /// Why events wait in memory; `None` while the disk takes them.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Takes an event. A status event is on disk and synced on return (with the samples before it), a sample
    /// waits for its group. When the disk does not take them, both wait in memory.
    pub fn append(&mut self, draft: Draft) -> Appended {
        let class = draft.body.class();
        self.waiting.push(draft);
        if class == Class::Sample && self.waiting.len() < GROUP_EVENTS && self.fault.is_none() {
            return Appended::Grouped;
        }
        match self.flush() {
            Ok(()) => self.disk.as_ref().map_or(Appended::Held, |disk| Appended::Stored(disk.store.last())),
            Err(_) => Appended::Held,
        }
    }

    /// Commits everything that waits in memory.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when the disk does not take it; nothing is lost by that.
    pub fn flush(&mut self) -> Result<(), SpoolError> {
        if self.waiting.is_empty() && self.unwritten.is_empty() {
            return self.disk().map(|_| ());
        }
        self.on_disk(|spool, disk| {
            while let Some((drafts, lost)) = spool.waiting.front() {
                disk.store.append(drafts, lost)?;
                let taken = drafts.len();
                spool.waiting.pop(taken);
                disk.mark.raise(disk.store.progress());
            }
            while let Some((key, value)) = spool.unwritten.first_key_value() {
                disk.store.remember(key, value)?;
                spool.unwritten.pop_first();
            }
            Ok(())
        })
    }

    /// Turns what was given up since the last call into `spool.dropped` events, `stamp` giving each its time.
    /// Called before a batch is read, so that one event tells of a whole outage.
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    pub fn declare(&mut self, stamp: impl Fn(Body) -> Draft) -> Result<usize, SpoolError> {
        self.flush()?;
        self.on_disk(|_, disk| {
            let declared = disk.store.declare(|dropped| stamp(Body::from(dropped)))?;
            disk.mark.raise(disk.store.progress());
            Ok(declared)
        })
    }

    /// What was given up and is not declared yet.
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    pub fn undeclared(&mut self) -> Result<Vec<SpoolDropped>, SpoolError> {
        self.on_disk(|_, disk| disk.store.gone())
    }

    /// The events after sequence `after`, as many as fit in `max_bytes` of JSON, one at least. What waits in
    /// memory is committed first.
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    pub fn read(&mut self, after: Sequence, max_bytes: usize) -> Result<Batch, SpoolError> {
        self.flush()?;
        self.on_disk(|_, disk| {
            let after = after.max(Sequence(disk.store.progress().acknowledged));
            let events = disk.store.read(after, max_bytes)?;
            let more = events.last().is_some_and(|last| last.sequence < disk.store.last());
            Ok(Batch { epoch: disk.store.epoch(), after, events, more })
        })
    }

    /// The newest `limit` events that central does not have, newest first, as many as fit in `max_bytes` of JSON, one at least.
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    pub fn newest(&mut self, limit: u32, max_bytes: usize) -> Result<Vec<Box<RawValue>>, SpoolError> {
        self.flush()?;
        self.on_disk(|_, disk| disk.store.newest(limit, max_bytes))
    }

    /// Trims everything up to `sequence`, which central has. An older acknowledgement changes nothing.
    ///
    /// # Errors
    /// [`SpoolError::OtherEpoch`] and [`SpoolError::Future`] when it is not about events of this spool.
    pub fn acknowledge(&mut self, epoch: Epoch, sequence: Sequence) -> Result<(), SpoolError> {
        let disk = self.disk()?;
        if epoch != disk.store.epoch() {
            return Err(SpoolError::OtherEpoch { found: epoch, expected: disk.store.epoch() });
        }
        if sequence > disk.store.last() {
            return Err(SpoolError::Future { found: sequence, last: disk.store.last() });
        }
        self.on_disk(|_, disk| {
            disk.store.acknowledge(sequence)?;
            disk.mark.raise(disk.store.progress());
            Ok(())
        })
    }

    /// Gives up all samples on disk and in memory, declared with `cause`: the plan has no room for them, and
    /// the status events behind them must not wait.
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    pub fn give_up_samples(&mut self, cause: &str) -> Result<(), SpoolError> {
        self.flush()?;
        self.on_disk(|_, disk| disk.store.give_up_samples(cause))
    }

    /// Gives up one event, declared with `cause`: central will never take it, and those behind it must not
    /// wait.
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    pub fn give_up(&mut self, sequence: Sequence, cause: &str) -> Result<(), SpoolError> {
        self.on_disk(|_, disk| disk.store.give_up(sequence, cause))
    }

    /// Remembers `value` (JSON) under `key` across restarts. The least recently written of more than 128 keys
    /// is forgotten.
    ///
    /// # Errors
    /// [`SpoolError::TooLarge`]. A disk that does not take it is no error: it is written once it does.
    pub fn remember(&mut self, key: &str, value: &str) -> Result<(), SpoolError> {
        if key.len() > store::KEY_MAX_BYTES || value.len() > store::VALUE_MAX_BYTES {
            return Err(SpoolError::TooLarge { key: key.chars().take(80).collect(), bytes: value.len() });
        }
        if self.unwritten.len() < store::KEYS_MAX || self.unwritten.contains_key(key) {
            self.unwritten.insert(key.to_owned(), value.to_owned());
        }
        self.flush().or(Ok(()))
    }

    /// What was remembered under `key`.
    pub fn recall(&mut self, key: &str) -> Option<String> {
        if let Some(value) = self.unwritten.get(key) {
            return Some(value.clone());
        }
        self.on_disk(|_, disk| disk.store.recall(key)).ok().flatten()
    }

    /// How full it is.
    pub fn depth(&mut self) -> Depth {
        let stored = self.on_disk(|_, disk| disk.store.depth()).ok();
        let progress = self.disk.as_ref().map(|disk| disk.store.progress());
        Depth {
            epoch: progress.map(|progress| progress.epoch),
            last: Sequence(progress.map_or(0, |progress| progress.last)),
            acknowledged: Sequence(progress.map_or(0, |progress| progress.acknowledged)),
            status_events: stored.as_ref().map_or(0, |stored| stored.status),
            sample_events: stored.as_ref().map_or(0, |stored| stored.samples),
            waiting_events: self.waiting.len() as u64,
            bytes: store::files_bytes(&self.directory),
            oldest: stored.and_then(|stored| stored.oldest),
            fault: self.fault.clone(),
        }
    }

    /// Runs `work` on the disk. A damaged file is replaced and `work` runs again; any other failure is kept
    /// as the fault.
    fn on_disk<T>(
        &mut self,
        mut work: impl FnMut(&mut Self, &mut Disk) -> Result<T, StoreError>,
    ) -> Result<T, SpoolError> {
        for repair in 0..=REPAIRS {
            self.disk()?;
            let mut disk = self.disk.take().expect("the disk was just opened");
            match work(self, &mut disk) {
                Ok(done) => {
                    self.disk = Some(disk);
                    self.fault = None;
                    return Ok(done);
                }
                // Dropping the disk closes the file; opening it again finds the damage and sets it aside.
                Err(error) if error.is_damage() && repair < REPAIRS => {
                    drop(disk);
                    self.distrusted = repair > 0;
                }
                Err(error) => {
                    self.disk = Some(disk);
                    return Err(self.failed(error.to_string()));
                }
            }
        }
        Err(self.failed("damaged again after it was replaced".into()))
    }

    /// The disk, opened when it is not open.
    fn disk(&mut self) -> Result<&mut Disk, SpoolError> {
        if self.disk.is_none() {
            match self.open_disk() {
                Ok(disk) => {
                    self.disk = Some(disk);
                    self.fault = None;
                    self.distrusted = false;
                }
                Err(SpoolError::Disk { cause, .. }) => return Err(self.failed(cause)),
                Err(error) => {
                    self.fault = Some(error.to_string());
                    return Err(error);
                }
            }
        }
        Ok(self.disk.as_mut().expect("the disk was just opened"))
    }

    fn open_disk(&self) -> Result<Disk, SpoolError> {
        let disk_error = |cause: String| SpoolError::Disk { directory: self.directory.clone(), cause };
        std::fs::create_dir_all(&self.directory)
            .map_err(|error| disk_error(format!("create folder: {error}")))?;
        let lock = Lock::take(&self.directory)?;
        let mut mark = Mark::open(&self.directory);
        let store = aside::open_or_replace(
            &self.directory,
            &self.router,
            self.max_bytes,
            mark.progress(),
            self.distrusted,
        )
        .map_err(|error| disk_error(error.to_string()))?;
        mark.raise(store.progress());
        Ok(Disk { store, mark, _lock: lock })
    }

    fn failed(&mut self, cause: String) -> SpoolError {
        if self.fault.as_ref() != Some(&cause) {
            tracing::warn!(directory = %self.directory.display(), %cause, "spool does not take events, they wait in memory");
        }
        self.fault = Some(cause.clone());
        SpoolError::Disk { directory: self.directory.clone(), cause }
    }
}

/// How far one epoch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    epoch: Epoch,
    acknowledged: u64,
    last: u64,
}
