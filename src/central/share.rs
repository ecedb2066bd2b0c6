//! Folds a share of the stream: one of several processes that divide the partitions among themselves.
//!
//! ```text
//! group ──▶ partitions gained: state restored, then read on from the committed position
//!           partitions lost:   forgotten
//! status N, samples N ──▶ fold ──▶ one transaction: state N, dead letters, positions
//! ```
//!
//! It commits every [`COMMIT_EVERY`], less often while it is behind or commits take long, the routers that changed, with
//! the positions they were folded up to, and folds on meanwhile. What it had folded and not committed when it is killed
//! or put out is folded again by the next owner, from the state and position of the last commit; so in the state each
//! event counts once. A commit that comes too late is refused by the broker.
//!
//! The nodes that serve (`api`) do not wait for it: they begin with the state and fold on by themselves, because an
//! event is several times smaller than the view of its router.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::part::{Output, Part};
use super::{BEHIND, TOPICS, fold, state};
use crate::stream::{Change, Kafka, Limit, Member, Position, Stream, StreamError, Topic};

/// Name of the group.
pub const READER: &str = "fold";

/// Least time between two commits while it reads what is new.
const COMMIT_EVERY: Duration = Duration::from_secs(2);
/// And while it is behind: the same routers change again and again meanwhile, and nobody waits for the first of it.
const COMMIT_EVERY_BEHIND: Duration = Duration::from_secs(10);
/// Commits take at most one part in this many of the time.
const COMMIT_SHARE: u32 = 8;
/// Records of one transaction, from which on the next partition waits for the next one.
const COMMIT_RECORDS: usize = 5_000;
/// How long it waits for the next record before it asks the group again.
const PATIENCE: Duration = Duration::from_millis(200);
/// Pause after a failure.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// A process that folds a share.
pub struct Share {
    stream: Arc<Kafka>,
    member: Arc<Member>,
    parts: BTreeMap<u32, Part>,
    /// Ours, but the state is not restored yet.
    awaited: BTreeSet<u32>,
    /// The commit under way; it tells how long it took.
    committing: Option<JoinHandle<Result<Duration, StreamError>>>,
    /// When the last one that succeeded was done, and how long it took.
    committed_at: Instant,
    commit_took: Duration,
    /// Why the last one failed, until one succeeds.
    commit_fault: Option<String>,
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

impl Share {
    /// Joins the group.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn join(stream: Arc<Kafka>) -> Result<Self, StreamError> {
        let member = Arc::new(stream.join(READER, Topic::Status)?);
        Ok(Self {
            stream,
            member,
            parts: BTreeMap::new(),
            awaited: BTreeSet::new(),
            committing: None,
            committed_at: Instant::now(),
            commit_took: Duration::ZERO,
            commit_fault: None,
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
            // That steps succeed in between does not mend a commit.
            let fault = fault.or_else(|| self.commit_fault.clone());
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
        if let Err(error) = self.commit_rest().await {
            info!(%error, "the last records are folded again by the next owner");
        }
        // Takes leave of the group, which blocks for a moment.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// Takes up what the group decided, folds a batch of each partition and commits when it is due. Returns whether the
    /// end was reached.
    async fn step(&mut self) -> Result<bool, StreamError> {
        // What the group decides is taken up between commits: none is under way when a partition is given away or restored.
        if self.committing.is_none() {
            self.heed_group().await?;
        }
        let (mut at_end, mut behind, mut failed) = (true, false, None);
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
                behind |= batch.records.last().is_some_and(|last| Utc::now() - last.record.time > BEHIND);
                let (events, letters) = part.take(from, batch, partitions);
                let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress.events += events;
                progress.dead_letters += letters;
            } else {
                part.end(from.topic);
            }
        }
        if self.parts.values().any(Part::is_full) {
            self.commit_rest().await?;
        }
        self.commit_on(behind).await?;
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
                    if !strange.is_empty() {
                        error!(partitions = ?strange, count, "the topic was changed; these are not read");
                    }
                }
                Change::Lost(partitions) => {
                    info!(?partitions, "lost");
                    for partition in partitions {
                        self.awaited.remove(&partition);
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
            let told = TOPICS.map(|topic| {
                let own = committed.iter().find(|at| (at.topic, at.partition) == (topic, *partition));
                own.map_or(0, |own| own.offset)
            });
            let mut part = Part::restored(state, told);
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

    async fn commit_rest(&mut self) -> Result<(), StreamError> {
        self.end_commit().await?;
        self.begin_commit();
        self.end_commit().await
    }

    /// Ends a commit that is done, and begins one when it is due.
    async fn commit_on(&mut self, behind: bool) -> Result<(), StreamError> {
        if self.committing.as_ref().is_some_and(|committing| !committing.is_finished()) {
            return Ok(());
        }
        self.end_commit().await?;
        let every = if behind { COMMIT_EVERY_BEHIND } else { COMMIT_EVERY };
        if self.committed_at.elapsed() >= every.max(self.commit_took * COMMIT_SHARE) {
            self.begin_commit();
        }
        Ok(())
    }

    /// Begins to commit what changed; folding goes on meanwhile.
    fn begin_commit(&mut self) {
        let outputs = self.parts.iter_mut().filter(|(_, part)| part.moved);
        let outputs: Vec<Output> = outputs.map(|(partition, part)| part.output(*partition)).collect();
        if !outputs.is_empty() {
            let (member, progress) = (Arc::clone(&self.member), Arc::clone(&self.progress));
            self.committing = Some(tokio::spawn(commit(member, outputs, progress)));
        }
    }

    /// Waits for the commit that was begun, if any.
    async fn end_commit(&mut self) -> Result<(), StreamError> {
        let Some(committing) = self.committing.take() else { return Ok(()) };
        let committed = committing.await.unwrap_or(Err(StreamError::Closed));
        self.commit_fault = committed.as_ref().err().map(ToString::to_string);
        match committed {
            Ok(took) => (self.committed_at, self.commit_took) = (Instant::now(), took),
            Err(error) => {
                self.await_all().await?;
                return Err(error);
            }
        }
        Ok(())
    }

    fn note(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Commits the outputs, each whole, several in a transaction; returns how long that took.
async fn commit(
    member: Arc<Member>,
    outputs: Vec<Output>,
    progress: Arc<Mutex<Progress>>,
) -> Result<Duration, StreamError> {
    let began = Instant::now();
    let mut outputs = outputs.into_iter().peekable();
    while outputs.peek().is_some() {
        let (mut positions, mut chosen, mut records) = (Vec::new(), Vec::new(), 0);
        while let Some(output) = outputs.next_if(|_| records < COMMIT_RECORDS) {
            records += output.len();
            positions.extend(output.positions());
            chosen.push(output);
        }
        member.commit(positions, chosen.into_iter().flat_map(Output::into_records)).await?;
        progress.lock().unwrap_or_else(PoisonError::into_inner).commits += 1;
    }
    Ok(began.elapsed())
}
