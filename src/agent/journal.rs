//! The writer of events: one thread that owns the spool, for its calls wait for the disk.
//!
//! ```text
//! links, net, … ── Emission ──▶┌─────────┐  stamp, append   ┌───────┐
//! upload ── read, acknowledge ▶│ journal │ ───────────────▶ │ spool │
//! anyone ── remember, recall ─▶└─────────┘                  └───────┘
//!                                   └─▶ watch: last status event written (wakes the upload)
//! ```
//!
//! Requests wait in one queue of [`EMISSIONS_MAX`] and are answered in order. Dropping a future gives up the
//! answer, not the request: what was sent is carried out. The thread ends when the last [`Journal`] is gone,
//! after it has committed what waits.

use std::collections::VecDeque;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot, watch};

use super::emit::{Reading, Stamper};
use super::{EMISSIONS_MAX, Emission};
use crate::config::Privacy;
use crate::event::{Body, Class, Epoch, RouterName, Sequence};
use crate::spool::{Appended, Batch, Depth, Spool, SpoolError};

/// Samples wait this long at most for company before they are committed, and the clock is looked at this
/// often: what a power cut may cost, against the wear of the flash.
const GROUP_INTERVAL: Duration = Duration::from_secs(60);

/// Status events kept in memory after central has them, so that a technician at the router still sees what
/// happened. The oldest go first.
const RECENT_EVENTS: usize = 128;
/// Bytes of JSON that they may take.
const RECENT_BYTES: usize = 128 * 1024;

enum Request {
    Emit(Box<Emission>, Option<oneshot::Sender<Appended>>),
    Read { after: Option<Sequence>, max_bytes: usize, answer: oneshot::Sender<Result<Batch, SpoolError>> },
    Newest { limit: u32, max_bytes: usize, answer: oneshot::Sender<Result<Vec<Box<RawValue>>, SpoolError>> },
    Acknowledge { epoch: Epoch, sequence: Sequence, answer: oneshot::Sender<Result<(), SpoolError>> },
    GiveUp { what: GivenUp, cause: &'static str, answer: oneshot::Sender<Result<(), SpoolError>> },
    Remember { key: String, value: String, answer: oneshot::Sender<Result<(), SpoolError>> },
    Recall { key: String, answer: oneshot::Sender<Option<String>> },
    Depth(oneshot::Sender<Depth>),
    SetPrivacy(Privacy),
    Tick,
}

enum GivenUp {
    Samples,
    Event(Sequence),
}

/// Why the journal did not do something.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// What the spool says.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The thread is gone.
    #[error("the journal has ended")]
    Ended,
}

/// The handle by which tasks reach the journal.
#[derive(Clone, Debug)]
pub struct Journal {
    requests: mpsc::Sender<Request>,
    status_written: watch::Receiver<u64>,
}

impl Journal {
    /// Opens the spool and starts the thread. Call it inside a runtime. Join the thread, after the last
    /// handle is dropped, to know that everything is on disk.
    ///
    /// # Errors
    /// [`SpoolError::InUse`].
    pub fn start(
        directory: &Path,
        router: RouterName,
        max_bytes: u64,
        mut stamper: Stamper,
    ) -> Result<(Self, JoinHandle<()>), SpoolError> {
        let mut spool = Spool::open(directory, router, max_bytes)?;
        let (requests, mut queue) = mpsc::channel(EMISSIONS_MAX);
        let (written, status_written) = watch::channel(0);
        let thread = std::thread::spawn(move || {
            stamper.step(Reading::now());
            let mut recent = Recent::default();
            while let Some(request) = queue.blocking_recv() {
                Writer { spool: &mut spool, stamper: &mut stamper, written: &written, recent: &mut recent }
                    .answer(request);
            }
            if let Err(error) = spool.flush() {
                tracing::error!(%error, "events in memory are lost with this process");
            }
        });
        tokio::spawn(tick(requests.downgrade()));
        Ok((Self { requests, status_written }, thread))
    }

    /// Hands over what happened; waits while the queue is full, not for the disk.
    pub async fn emit(&self, emission: Emission) {
        let _ = self.requests.send(Request::Emit(Box::new(emission), None)).await;
    }

    /// Hands over what happened and waits until it is on disk, or held in memory by a failing one.
    ///
    /// # Errors
    /// [`JournalError::Ended`].
    pub async fn emit_durably(&self, emission: Emission) -> Result<Appended, JournalError> {
        self.ask(|answer| Request::Emit(Box::new(emission), Some(answer))).await
    }

    /// Number of status events written since the start; wakes whoever waits for one.
    #[must_use]
    pub fn status_written(&self) -> watch::Receiver<u64> {
        self.status_written.clone()
    }

    /// The events after `after` (without it: after the last acknowledged), up to `max_bytes` of JSON. What was
    /// given up before is declared first.
    ///
    /// # Errors
    /// When the disk cannot be used.
    pub async fn read(&self, after: Option<Sequence>, max_bytes: usize) -> Result<Batch, JournalError> {
        Ok(self.ask(|answer| Request::Read { after, max_bytes, answer }).await??)
    }

    /// The newest `limit` events, newest first: up to `max_bytes` of JSON that still lie in the spool, then the last
    /// [`RECENT_EVENTS`] status events of this run that central has already. What was given up before is declared first.
    ///
    /// # Errors
    /// When the disk cannot be used.
    pub async fn newest(&self, limit: u32, max_bytes: usize) -> Result<Vec<Box<RawValue>>, JournalError> {
        Ok(self.ask(|answer| Request::Newest { limit, max_bytes, answer }).await??)
    }

    /// Trims everything up to `sequence`.
    ///
    /// # Errors
    /// As [`Spool::acknowledge`].
    pub async fn acknowledge(&self, epoch: Epoch, sequence: Sequence) -> Result<(), JournalError> {
        Ok(self.ask(|answer| Request::Acknowledge { epoch, sequence, answer }).await??)
    }

    /// Gives up all samples, declared with `cause`.
    ///
    /// # Errors
    /// When the disk cannot be used.
    pub async fn give_up_samples(&self, cause: &'static str) -> Result<(), JournalError> {
        Ok(self.ask(|answer| Request::GiveUp { what: GivenUp::Samples, cause, answer }).await??)
    }

    /// Gives up one event, declared with `cause`.
    ///
    /// # Errors
    /// When the disk cannot be used.
    pub async fn give_up(&self, sequence: Sequence, cause: &'static str) -> Result<(), JournalError> {
        Ok(self.ask(|answer| Request::GiveUp { what: GivenUp::Event(sequence), cause, answer }).await??)
    }

    /// Keeps `value` (JSON) under `key` across restarts.
    ///
    /// # Errors
    /// As [`Spool::remember`].
    pub async fn remember(&self, key: &str, value: String) -> Result<(), JournalError> {
        let key = key.to_owned();
        Ok(self.ask(|answer| Request::Remember { key, value, answer }).await??)
    }

    /// What was kept under `key`.
    pub async fn recall(&self, key: &str) -> Option<String> {
        self.ask(|answer| Request::Recall { key: key.to_owned(), answer }).await.ok().flatten()
    }

    /// How full the spool is.
    ///
    /// # Errors
    /// [`JournalError::Ended`].
    pub async fn depth(&self) -> Result<Depth, JournalError> {
        self.ask(Request::Depth).await
    }

    /// From now on shows identities as `privacy` says.
    pub async fn set_privacy(&self, privacy: Privacy) {
        let _ = self.requests.send(Request::SetPrivacy(privacy)).await;
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, JournalError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| JournalError::Ended)?;
        answered.await.map_err(|_| JournalError::Ended)
    }
}

/// Has the thread look at its clocks and groups, until the last handle is gone.
async fn tick(requests: mpsc::WeakSender<Request>) {
    loop {
        tokio::time::sleep(GROUP_INTERVAL).await;
        let Some(requests) = requests.upgrade() else { return };
        // A full queue is busy enough to do without.
        let _ = requests.try_send(Request::Tick);
    }
}

struct Writer<'a> {
    spool: &'a mut Spool,
    stamper: &'a mut Stamper,
    written: &'a watch::Sender<u64>,
    recent: &'a mut Recent,
}

/// What was acknowledged last.
#[derive(Default)]
struct Recent {
    events: VecDeque<Box<RawValue>>,
    bytes: usize,
}

impl Recent {
    fn push(&mut self, json: Box<RawValue>) {
        self.bytes += json.get().len();
        self.events.push_back(json);
        while self.events.len() > RECENT_EVENTS || self.bytes > RECENT_BYTES {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes -= oldest.get().len();
        }
    }
}

impl Writer<'_> {
    /// Carries out one request. Whoever no longer waits for the answer does not get it.
    fn answer(&mut self, request: Request) {
        match request {
            Request::Emit(emission, answer) => {
                let now = self.look_at_clocks();
                let class = emission.body.class();
                let appended = self.spool.append(self.stamper.stamp(*emission, now));
                if class == Class::Status {
                    self.written.send_modify(|count| *count += 1);
                }
                if let Some(answer) = answer {
                    let _ = answer.send(appended);
                }
            }
            Request::Read { after, max_bytes, answer } => {
                let _ = answer.send(self.read(after, max_bytes));
            }
            Request::Newest { limit, max_bytes, answer } => {
                let _ = answer.send(self.newest(limit, max_bytes));
            }
            Request::Acknowledge { epoch, sequence, answer } => {
                let events = self.about_to_go(sequence);
                let acknowledged = self.spool.acknowledge(epoch, sequence);
                if acknowledged.is_ok() {
                    events.into_iter().for_each(|json| self.recent.push(json));
                }
                let _ = answer.send(acknowledged);
            }
            Request::GiveUp { what, cause, answer } => {
                let _ = answer.send(match what {
                    GivenUp::Samples => self.spool.give_up_samples(cause),
                    GivenUp::Event(sequence) => self.spool.give_up(sequence, cause),
                });
            }
            Request::Remember { key, value, answer } => {
                let _ = answer.send(self.spool.remember(&key, &value));
            }
            Request::Recall { key, answer } => {
                let _ = answer.send(self.spool.recall(&key));
            }
            Request::Depth(answer) => {
                let _ = answer.send(self.spool.depth());
            }
            Request::SetPrivacy(privacy) => self.stamper.set_privacy(privacy),
            Request::Tick => {
                self.look_at_clocks();
                // A disk that fails is told by the spool and shown in its depth.
                let _ = self.spool.flush();
            }
        }
    }

    fn read(&mut self, after: Option<Sequence>, max_bytes: usize) -> Result<Batch, SpoolError> {
        self.declare()?;
        self.spool.read(after.unwrap_or_default(), max_bytes)
    }

    fn newest(&mut self, limit: u32, max_bytes: usize) -> Result<Vec<Box<RawValue>>, SpoolError> {
        self.declare()?;
        let waiting = self.spool.newest(limit, max_bytes)?;
        Ok(waiting.into_iter().chain(self.recent.events.iter().rev().cloned()).take(limit as usize).collect())
    }

    /// Makes events of what was given up.
    fn declare(&mut self) -> Result<(), SpoolError> {
        let now = self.look_at_clocks();
        let stamper = &*self.stamper;
        self.spool.declare(|body: Body| stamper.stamp(Emission { subject: None, time: None, body }, now))?;
        Ok(())
    }

    /// The status events that an acknowledgement up to `sequence` trims, as far as they are worth keeping.
    fn about_to_go(&mut self, sequence: Sequence) -> Vec<Box<RawValue>> {
        let after = Sequence(sequence.0.saturating_sub(RECENT_EVENTS as u64));
        let Ok(batch) = self.spool.read(after, 2 * RECENT_BYTES) else { return Vec::new() };
        let gone = batch.events.into_iter().filter(|event| event.sequence <= sequence);
        gone.filter(|event| event.class == Class::Status).map(|event| event.json).collect()
    }

    /// Reads the clocks and tells when one of them was set.
    fn look_at_clocks(&mut self) -> Reading {
        let now = Reading::now();
        if let Some(stepped) = self.stamper.step(now) {
            self.spool.append(stepped);
            self.written.send_modify(|count| *count += 1);
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ConfigRolledBack, Event};

    fn emission(cause: &str) -> Emission {
        let body = ConfigRolledBack { from_hash: "a".into(), hash: "b".into(), cause: cause.into() }.into();
        Emission { subject: None, time: None, body }
    }

    fn start(folder: &Path) -> (Journal, JoinHandle<()>) {
        let stamper = Stamper::new("boot".into(), Privacy::default());
        Journal::start(folder, "branch-0042".parse().unwrap(), 1 << 20, stamper).unwrap()
    }

    #[tokio::test]
    async fn what_is_told_is_written_read_and_trimmed() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _thread) = start(folder.path());
        let mut written = journal.status_written();
        written.mark_unchanged();
        journal.emit(emission("one")).await;
        assert_eq!(journal.emit_durably(emission("two")).await.unwrap(), Appended::Stored(Sequence(2)));
        assert!(written.has_changed().unwrap());

        let batch = journal.read(None, 1 << 16).await.unwrap();
        assert_eq!(batch.events.len(), 2);
        let event = Event::from_json(batch.events[0].json.get().as_bytes()).unwrap();
        assert_eq!((event.body, event.origin.boot_id.as_str()), (emission("one").body, "boot"));
        journal.acknowledge(batch.epoch, Sequence(1)).await.unwrap();
        journal.give_up(Sequence(2), "refused").await.unwrap();
        let batch = journal.read(None, 1 << 16).await.unwrap();
        let event = Event::from_json(batch.events[0].json.get().as_bytes()).unwrap();
        assert!(
            matches!(event.body, Body::SpoolDropped(dropped) if dropped.cause == "refused" && dropped.first_sequence == 2)
        );
    }

    #[tokio::test]
    async fn what_central_has_is_still_told_within_bounds_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _thread) = start(folder.path());
        let count = RECENT_EVENTS + 20;
        for number in 0..count {
            journal.emit(emission(&number.to_string())).await;
        }
        let batch = journal.read(None, 1 << 20).await.unwrap();
        let told = async |limit: usize| {
            let newest = journal.newest(u32::try_from(limit).unwrap(), 1 << 20).await.unwrap();
            let all =
                newest.iter().rev().map(|json| Event::from_json(json.get().as_bytes()).unwrap().sequence.0);
            all.collect::<Vec<_>>()
        };
        let all: Vec<u64> = (1..=count as u64).collect();
        assert_eq!(told(count).await, all);
        for upto in [5, 5, 3, 60] {
            journal.acknowledge(batch.epoch, Sequence(upto)).await.unwrap();
            assert_eq!(told(count).await, all);
            assert_eq!(told(100).await, all[count - 100..]);
        }
        assert!(journal.acknowledge(batch.epoch, Sequence(count as u64 + 1)).await.is_err());
        assert_eq!(told(count).await, all);
        journal.acknowledge(batch.epoch, Sequence(count as u64)).await.unwrap();
        assert_eq!(told(count).await, all[20..]);
    }

    #[tokio::test]
    async fn everything_is_on_disk_when_the_last_handle_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, thread) = start(folder.path());
        journal.remember("clean", "true".into()).await.unwrap();
        for number in 0..50 {
            journal.emit(emission(&number.to_string())).await;
        }
        drop(journal);
        thread.join().unwrap();
        let (journal, _thread) = start(folder.path());
        assert_eq!(journal.depth().await.unwrap().status_events, 50);
        assert_eq!(journal.recall("clean").await.as_deref(), Some("true"));
    }
}
