//! Folds a share of the stream: one of several processes that divide the partitions among themselves.
//!
//! ```text
//! group ──▶ partitions gained: state restored, then read on from the committed position
//!           partitions lost:   forgotten
//! status N, samples N ──▶ fold ──▶ one transaction: state N, dead letters, positions
//! ```
//!
//! It commits every [`COMMIT_EVERY`] the routers that changed, with the positions they were folded up to. What it had
//! folded and not committed when it is killed or put out is folded again by the next owner, from the state
//! and position of the last commit; so in the state each event counts once. A commit that comes too late is
//! refused by the broker.
//!
//! The nodes that serve (`api`) do not wait for it: they begin with the state and fold on by themselves, because an
//! event is several times smaller than the view of its router.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{TOPICS, fold, state};
use crate::event::RouterName;
use crate::stream::{
    Batch, Change, Commit, Kafka, Limit, Member, Position, Record, Stored, Stream, StreamError, Topic,
};
use crate::view::FleetView;

/// Name of the group.
pub const READER: &str = "fold";

/// Least time between two commits.
const COMMIT_EVERY: Duration = Duration::from_secs(2);
/// Commits take at most one part in this many of the time.
const COMMIT_SHARE: u32 = 8;
/// Records of one transaction, from which on the next partition waits for the next one.
const COMMIT_RECORDS: usize = 5_000;
/// Bytes of one transaction, the same.
const COMMIT_BYTES: usize = 16 * 1024 * 1024;
/// How long it waits for the next record before it asks the group again.
const PATIENCE: Duration = Duration::from_millis(200);
/// Pause after a failure.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// A process that folds a share.
pub struct Share {
    stream: Arc<Kafka>,
    member: Member,
    parts: BTreeMap<u32, Part>,
    /// Ours, but the state is not restored yet.
    awaited: BTreeSet<u32>,
    /// Ours, but beyond those that the settings say: somebody made more while we run. No router belongs there.
    strange: BTreeSet<u32>,
    commit_due: Instant,
    progress: Arc<Mutex<Progress>>,
}

/// How a share goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Partitions owned.
    pub partitions: Vec<u32>,
    /// Events folded since the start, those folded again included.
    pub events: u64,
    /// Dead letters written.
    pub dead_letters: u64,
    /// Commits that succeeded.
    pub commits: u64,
    /// Why the last step failed; none after a success.
    pub fault: Option<String>,
}

/// One partition.
#[derive(Default)]
struct Part {
    fleet: FleetView,
    next: [u64; TOPICS.len()],
    /// Up to here dead letters were committed, also where the state is lost and folded anew.
    told: [u64; TOPICS.len()],
    changed: BTreeSet<RouterName>,
    dead_letters: Vec<Record>,
    /// Keys of the state that are of no use, until all was folded anew; what is not there again by then is gone.
    unusable: BTreeSet<String>,
    /// Whether the end of a topic was reached.
    ended: [bool; TOPICS.len()],
    /// Something was read since the last commit.
    moved: bool,
}

impl Share {
    /// Joins the group.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn join(stream: Arc<Kafka>) -> Result<Self, StreamError> {
        let member = stream.join(READER, Topic::Status)?;
        Ok(Self {
            stream,
            member,
            parts: BTreeMap::new(),
            awaited: BTreeSet::new(),
            strange: BTreeSet::new(),
            commit_due: Instant::now(),
            progress: Arc::default(),
        })
    }

    /// How it goes, for whoever asks.
    #[must_use]
    pub fn progress(&self) -> Arc<Mutex<Progress>> {
        Arc::clone(&self.progress)
    }

    /// Folds until `stop` turns true, then commits and leaves the group. May be stopped at any time.
    pub async fn follow(mut self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let outcome = self.step().await;
            let fault = outcome.as_ref().err().map(ToString::to_string);
            if let Some(fault) = &fault {
                warn!(fault, "the share waits");
            }
            let fault = fault.or_else(|| self.strangeness());
            self.note(|progress| progress.fault = fault);
            let pause = async {
                match outcome {
                    Ok(false) => {}
                    Ok(true) if self.parts.is_empty() => tokio::time::sleep(PATIENCE).await,
                    Ok(true) => {
                        let _ = self.stream.wait(&self.positions(), PATIENCE).await;
                    }
                    Err(_) => tokio::time::sleep(PAUSE_AFTER_ERROR).await,
                }
            };
            tokio::select! {
                () = pause => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        if let Err(error) = self.commit().await {
            info!(%error, "the last records are folded again by the next owner");
        }
        // Takes leave of the group, which blocks for a moment.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// What to say of partitions that nobody should write to.
    fn strangeness(&self) -> Option<String> {
        (!self.strange.is_empty()).then(|| {
            format!(
                "{} has more partitions than the {} of the settings: {:?} are not read; the order of a router's events \
                 hangs on their number, so a node that starts will refuse the topic",
                Topic::Status.name(),
                self.stream.partitions(Topic::Status),
                self.strange
            )
        })
    }

    /// Takes up what the group decided, folds a batch of each partition and commits when it is due. Returns whether the
    /// end was reached.
    async fn step(&mut self) -> Result<bool, StreamError> {
        self.heed_group().await?;
        let (mut at_end, mut failed) = (true, None);
        let partitions = self.stream.partitions(Topic::Status);
        let waits = |at: Position| (!self.stream.is_at_hand(at), at);
        let mut from: Vec<(bool, Position)> = self.positions().into_iter().map(waits).collect();
        from.sort_by_key(|(waits, _)| *waits);
        for (waits, from) in from {
            // What is not at hand is waited for only when nothing is.
            if waits && !at_end {
                break;
            }
            // One that does not answer holds up the others once, not each.
            if failed.is_some() && !self.stream.wait(&[from], Duration::ZERO).await? {
                continue;
            }
            let batch = match self.stream.read_on(from, Limit::default()).await {
                Ok(batch) => batch,
                Err(error) => {
                    failed.get_or_insert(error);
                    continue;
                }
            };
            let Some(part) = self.parts.get_mut(&from.partition) else { continue };
            if batch.next > from.offset {
                at_end = false;
                let (events, letters) = part.take(from, batch, partitions);
                let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress.events += events;
                progress.dead_letters += letters;
            } else {
                part.end(from.topic);
            }
        }
        if Instant::now() >= self.commit_due && self.parts.values().any(|part| part.moved) {
            let began = Instant::now();
            self.commit().await?;
            self.commit_due = Instant::now() + COMMIT_EVERY.max(began.elapsed() * COMMIT_SHARE);
        }
        failed.map_or(Ok(at_end), Err)
    }

    /// Forgets what was lost and restores what was gained.
    async fn heed_group(&mut self) -> Result<(), StreamError> {
        for change in self.member.changes() {
            match change {
                Change::Gained(partitions) => {
                    info!(?partitions, "gained");
                    let count = self.stream.partitions(Topic::Status);
                    let (known, strange): (Vec<u32>, Vec<u32>) =
                        partitions.into_iter().partition(|partition| *partition < count);
                    self.awaited.extend(known);
                    self.strange.extend(strange);
                    if let Some(fault) = self.strangeness() {
                        error!(fault, "the topic was changed");
                    }
                }
                Change::Lost(partitions) => {
                    info!(?partitions, "lost");
                    for partition in partitions {
                        self.awaited.remove(&partition);
                        self.strange.remove(&partition);
                        self.parts.remove(&partition);
                    }
                    self.read_ahead().await?;
                }
            }
        }
        if self.awaited.is_empty() {
            return Ok(());
        }
        let gained: Vec<u32> = self.awaited.iter().copied().collect();
        self.parts.extend(self.restore(&gained).await?);
        self.awaited.clear();
        self.read_ahead().await
    }

    /// Has all partitions restored before they are folded on: a commit that failed may have been written all the same, and
    /// what it holds would be written twice.
    async fn await_all(&mut self) -> Result<(), StreamError> {
        self.awaited.extend(std::mem::take(&mut self.parts).into_keys());
        self.read_ahead().await
    }

    async fn read_ahead(&self) -> Result<(), StreamError> {
        let partitions = self.parts.keys().copied().collect();
        self.note(|progress| progress.partitions = partitions);
        self.stream.read_ahead(&self.positions()).await
    }

    /// The partitions as their last owner committed them.
    async fn restore(&self, partitions: &[u32]) -> Result<Vec<(u32, Part)>, StreamError> {
        // The committed positions tell only what dead letters are written. The fold goes on from where the state itself
        // was folded to: what an owner before the last one left open hides the state that was committed after it, until
        // the brokers give it up, but not the positions.
        let committed = self.stream.committed(READER).await?;
        let states = state::load(&*self.stream, partitions, fold::Reader::LookingBack).await?;
        let mut bounds = Vec::new();
        for topic in TOPICS {
            bounds.push(self.stream.bounds(topic).await?);
        }
        let mut parts = Vec::new();
        for (partition, state) in partitions.iter().zip(states) {
            let mut part = Part { next: state.next, unusable: state.unusable, ..Part::default() };
            part.fleet.freshness.stream_moved_at = state.moved_at;
            state.routers.into_iter().for_each(|view| part.fleet.restore(view));
            for (topic, told) in TOPICS.into_iter().zip(&mut part.told) {
                let own = committed.iter().find(|at| (at.topic, at.partition) == (topic, *partition));
                *told = own.map_or(0, |own| own.offset);
            }
            let ends = bounds.iter().map(|bounds| bounds[*partition as usize].next);
            if part.next.iter().zip(ends).any(|(next, end)| *next > end) {
                warn!(partition, "the state is of another stream; folding the partition anew");
                part = Part::default();
            }
            parts.push((*partition, part));
        }
        Ok(parts)
    }

    fn positions(&self) -> Vec<Position> {
        self.parts.iter().flat_map(|(partition, part)| part.positions(*partition)).collect()
    }

    /// Commits what changed, partition by partition whole, several in a transaction.
    async fn commit(&mut self) -> Result<(), StreamError> {
        loop {
            let (mut chosen, mut positions, mut outputs, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
            for (partition, part) in self.parts.iter().filter(|(_, part)| part.moved) {
                if outputs.len() >= COMMIT_RECORDS || bytes >= COMMIT_BYTES {
                    break;
                }
                let records = part.outputs();
                bytes += records.iter().map(Record::bytes).sum::<usize>();
                outputs.extend(records);
                positions.extend(part.positions(*partition));
                chosen.push(*partition);
            }
            if chosen.is_empty() {
                return Ok(());
            }
            let commit = Commit { reader: READER.into(), positions, outputs };
            if let Err(error) = self.member.commit(commit).await {
                self.await_all().await?;
                return Err(error);
            }
            for partition in chosen {
                if let Some(part) = self.parts.get_mut(&partition) {
                    part.changed.clear();
                    part.dead_letters.clear();
                    if part.is_whole() {
                        part.unusable.clear();
                    }
                    part.moved = false;
                }
            }
            self.note(|progress| progress.commits += 1);
        }
    }

    fn note(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Part {
    fn positions(&self, partition: u32) -> impl Iterator<Item = Position> {
        let places = TOPICS.into_iter().zip(self.next);
        places.map(move |(topic, offset)| Position { topic, partition, offset })
    }

    /// Nothing more of `topic` is there.
    fn end(&mut self, topic: Topic) {
        for (own, ended) in TOPICS.into_iter().zip(&mut self.ended) {
            *ended |= own == topic;
        }
        self.moved |= self.is_whole() && !self.unusable.is_empty();
    }

    /// Whether all that there was has been folded.
    fn is_whole(&self) -> bool {
        self.ended.iter().all(|ended| *ended)
    }

    /// Takes in what was read at `from`. How many were events, and how many none.
    fn take(&mut self, from: Position, batch: Batch, partitions: u32) -> (u64, u64) {
        self.moved = true;
        for (topic, next) in TOPICS.into_iter().zip(&mut self.next) {
            if topic == from.topic {
                *next = batch.next;
            }
        }
        let (mut events, mut letters) = (0, 0);
        for stored in batch.records {
            let is_event = self.fold(Position { offset: stored.offset, ..from }, stored, partitions);
            *(if is_event { &mut events } else { &mut letters }) += 1;
        }
        (events, letters)
    }

    /// Takes in the record at `at`; false when it was no event and became a dead letter.
    fn fold(&mut self, at: Position, stored: Stored, partitions: u32) -> bool {
        let record = stored.record;
        let reason = match fold::event(record.value.as_deref(), &at, partitions) {
            Ok(event) => {
                self.fleet.apply(&event, record.time);
                self.changed.insert(event.router);
                return true;
            }
            Err(reason) => reason,
        };
        let topic = TOPICS.iter().position(|topic| *topic == at.topic);
        if topic.is_some_and(|topic| at.offset >= self.told[topic]) {
            let reason: String = reason.chars().take(400).collect();
            let reason = format!("{} at offset {}: {reason}", fold::place(&at), at.offset);
            let headers = record
                .headers
                .iter()
                .filter(|(name, value)| name.len() + value.len() < 1024)
                .take(16)
                .cloned();
            let key = record.key.chars().take(256).collect();
            let value = record.value.as_deref().unwrap_or_default();
            self.dead_letters.push(Record::dead_letter(key, headers.collect(), reason, value, Utc::now()));
        }
        false
    }

    fn outputs(&self) -> Vec<Record> {
        let moved_at = self.fleet.freshness.stream_moved_at;
        let views = self.changed.iter().filter_map(|name| self.fleet.router(name.as_str()));
        let states = views.map(|view| state::record(view, self.next, moved_at, Utc::now()));
        let unusable = self.unusable.iter().filter(|key| self.is_whole() && self.fleet.router(key).is_none());
        let gone = unusable.map(|key| state::gone(key, self.next, moved_at, Utc::now()));
        states.chain(gone).chain(self.dead_letters.iter().cloned()).collect()
    }
}
