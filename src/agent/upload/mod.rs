//! Sends what is in the spool to central and trims what central has.
//!
//! One task ([`run`]). It sleeps until [`pace::Pace`] says that a batch is due, reads it from the journal,
//! packs it, posts it, and acts on the answer; a status event in the spool wakes it. It may be stopped at any
//! time: what is not acknowledged stays in the spool and is sent again, which is harmless. Told to stop, it
//! sends what waits once more, within [`STOP_DEADLINE`].
//!
//! The answer is untrusted: it may acknowledge no more than the batch held, and only of its epoch.
//!
//! # What it costs
//!
//! Two links with a signal sample each 10 s make 518,400 samples a month; 9 MB are 17 bytes for each, all
//! included. `tests/bench/micro` sends such a month's batches, with all that an agent samples as delivered, through
//! TLS and HTTP/2 to the real gateway:
//!
//! | batches of | packed | exchange | a sample | a month |
//! |---|---|---|---|---|
//! | 1 min | 565 B | 1,030 B | 86 B | 44.6 MB |
//! | 5 min | 954 B | 1,410 B | 24 B | 12.2 MB |
//! | 10 min | 1,398 B | 1,880 B | 16 B | 8.1 MB |
//! | 15 min | 1,818 B | 2,320 B | 13 B | 6.7 MB |
//!
//! The first exchange of a connection takes another 3 kB (handshake), so the connection is kept. Packet headers
//! are estimated. One minute cannot meet it however well it is packed, for an exchange alone takes 450 bytes. So
//! samples wait ten minutes by default, and status events leave at once, with the samples that wait.

pub mod budget;
#[cfg(feature = "kafka")]
mod kafka;
mod meter;
pub mod pace;
pub mod server;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

pub use meter::Meter;
pub use wire::{Answer, Deadlines, Wire, WireError};

use super::emit::Reading;
use super::journal::{Journal, JournalError};
use super::last_beat;
use crate::config::Upload;
use crate::event::{Acknowledgement, ClockState, Span};
use crate::spool::Batch;
use budget::{Budget, Stage, Usage};
use pace::{Outcome, Pace, Verdict};

/// JSON of one batch at most: what a small router can pack, and far below what central takes.
const BATCH_MAX_BYTES: usize = 256 * 1024;
/// Batches up to this size are worth the slowest packing.
const PACK_WELL_BYTES: usize = 64 * 1024;
/// How long a stopping agent tries to send its last events.
pub const STOP_DEADLINE: Duration = Duration::from_secs(3);
/// Where the month's usage is remembered.
const USAGE_KEY: &str = "upload.usage";

/// How the upload goes, for `show` and for the samples of the agent itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// When central last acknowledged something.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// When the exchange began that central last acknowledged: what it went over worked then.
    #[serde(skip)]
    pub reached_since: Option<Instant>,
    /// Why the last attempt failed; absent after a success.
    pub fault: Option<String>,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// What was used this month.
    pub usage: Usage,
    /// How many samples the budget still allows; who takes samples stretches their intervals by it.
    pub stage: Stage,
}

/// Runs until `stop` becomes true or its sender is gone. Nothing else ends it: a file that `options` names and that cannot
/// be used is a fault like any other, and is tried again, for it may come.
pub async fn run(
    options: Upload,
    deadlines: Deadlines,
    journal: Journal,
    progress: watch::Sender<Progress>,
    mut stop: watch::Receiver<bool>,
) {
    let mut uploader = Uploader::new(options, deadlines, journal, progress).await;
    let mut written = uploader.journal.status_written();
    loop {
        let due = Instant::from_std(uploader.pace.next());
        let attempt = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            changed = written.changed() => match changed {
                Ok(()) => {
                    uploader.pace.status_written(Instant::now().into_std());
                    continue;
                }
                Err(_) => break,
            },
            () = sleep_until(due) => uploader.attempt(),
        };
        tokio::select! {
            // What is dropped here is done again.
            _ = stop.wait_for(|stop| *stop) => break,
            () = attempt => {}
        }
    }
    if timeout(STOP_DEADLINE, uploader.finish()).await.is_err() {
        tracing::info!("the last events stay in the spool until the next start");
    }
}

/// The upload of one router.
struct Uploader {
    options: Upload,
    deadlines: Deadlines,
    journal: Journal,
    /// Absent until the files that it needs could be read.
    way: Option<Way>,
    meter: Arc<Meter>,
    pace: Pace,
    budget: Budget,
    progress: watch::Sender<Progress>,
}

impl Uploader {
    async fn new(
        options: Upload,
        deadlines: Deadlines,
        journal: Journal,
        progress: watch::Sender<Progress>,
    ) -> Self {
        let usage = journal.recall(USAGE_KEY).await.and_then(|usage| serde_json::from_str(&usage).ok());
        let budget = Budget::new(options.monthly_budget_bytes, usage.unwrap_or_default());
        progress.send_modify(|progress| {
            progress.usage = budget.usage().clone();
            progress.stage = budget.stage();
        });
        let beat = last_beat(options.batch_interval).into_std();
        let pace = Pace::new(options.batch_interval, beat, Instant::now().into_std());
        let meter = Arc::default();
        Self { options, deadlines, journal, way: None, meter, pace, budget, progress }
    }

    /// Sends one batch and does what the answer asks for.
    async fn attempt(&mut self) {
        let began = Instant::now();
        let attempt = self.send().await.unwrap_or_else(Attempt::failed);
        self.account().await;
        let now = Instant::now().into_std();
        if self.pace.ended(attempt.outcome, now, fastrand::f64()) == Verdict::GiveUp
            && let Some(span) = attempt.span
        {
            tracing::error!(sequence = span.last.0, "central does not take this event, it is given up");
            // A disk that fails here leaves the event, and it is given up another time.
            let _ = self.journal.give_up(span.last, "refused").await;
        }
        self.publish(attempt, began);
    }

    /// Sends until nothing is left or central does not take it.
    async fn finish(&mut self) {
        loop {
            self.attempt().await;
            if self.pace.next() > Instant::now().into_std() || self.pace.failures() > 0 {
                break;
            }
        }
        if let Some(way) = &mut self.way {
            way.close();
        }
    }

    /// One batch to central and, where it took something, off the spool.
    async fn send(&mut self) -> Result<Attempt, String> {
        let way = match &mut self.way {
            Some(way) => way,
            none => {
                let way = Way::new(&self.options, self.deadlines, &self.meter);
                none.insert(way.map_err(|error| format!("{error:#}"))?)
            }
        };
        if self.budget.stage() == Stage::StatusOnly {
            self.journal.give_up_samples("budget").await.map_err(told)?;
        }
        let batch = self.journal.read(None, BATCH_MAX_BYTES).await.map_err(told)?;
        let events = batch.events.len().min(self.pace.events_max());
        let Some(last) = batch.events[..events].last() else {
            return Ok(Attempt::of(Outcome::Nothing, None));
        };
        let span = Span { epoch: batch.epoch, after: batch.after, last: last.sequence };
        let answer = way.send(&batch, events, span).await?;
        let outcome = match answer.status {
            200..=299 => {
                let acknowledged = check(&answer, span)?;
                self.journal.acknowledge(acknowledged.epoch, acknowledged.sequence).await.map_err(told)?;
                let rest = acknowledged.sequence < span.last || events < batch.events.len();
                Outcome::Stored { more: rest || batch.more }
            }
            413 => Outcome::TooLarge { events },
            400 | 422 => Outcome::Refused { events },
            _ => Outcome::Later(retry_after(&answer, Utc::now())),
        };
        let fault = (answer.status >= 300).then(|| refusal(&answer));
        Ok(Attempt { outcome, span: Some(span), fault })
    }

    /// Charges the budget with what the meter counted.
    async fn account(&mut self) {
        let (sent, received) = self.meter.take();
        if sent + received == 0 {
            return;
        }
        let reading = Reading::now();
        self.budget.charge(sent, received, reading.wall, reading.clock);
        self.pace.set_interval(self.options.batch_interval * self.budget.stage().stretch());
        let usage = serde_json::to_string(self.budget.usage()).expect("numbers and a month");
        // What a crash forgets is one exchange.
        let _ = self.journal.remember(USAGE_KEY, usage).await;
    }

    fn publish(&self, Attempt { outcome, fault, .. }: Attempt, began: Instant) {
        if let Some(fault) = &fault {
            let known = self.progress.borrow().fault.as_ref() == Some(fault);
            if !known {
                tracing::warn!(%fault, "central does not have our events, they wait in the spool");
            }
        }
        self.progress.send_modify(|progress| {
            if matches!(outcome, Outcome::Stored { .. }) {
                let reading = Reading::now();
                progress.acknowledged_at = (reading.clock == ClockState::Synced).then_some(reading.wall);
                progress.reached_since = Some(began);
            }
            progress.fault = fault;
            progress.failures = self.pace.failures();
            progress.usage = self.budget.usage().clone();
            progress.stage = self.budget.stage();
        });
    }
}

/// Where events go.
enum Way {
    Central(Box<Wire>),
    #[cfg(feature = "kafka")]
    Kafka(Box<kafka::Brokers>),
}

impl Way {
    fn new(options: &Upload, deadlines: Deadlines, meter: &Arc<Meter>) -> anyhow::Result<Self> {
        match options.to.as_deref() {
            #[cfg(feature = "kafka")]
            Some(to) if to.starts_with("kafka://") => {
                Ok(Self::Kafka(Box::new(kafka::Brokers::new(options, Arc::clone(meter))?)))
            }
            #[cfg(not(feature = "kafka"))]
            Some(to) if to.starts_with("kafka://") => anyhow::bail!(
                "[upload] to = {to:?}: this program was built without the feature kafka; send to a central (https://…)"
            ),
            _ => Ok(Self::Central(Box::new(Wire::new(options, deadlines, Arc::clone(meter))?))),
        }
    }

    /// The first `events` events of `batch`, and what was said to them.
    async fn send(&mut self, batch: &Batch, events: usize, span: Span) -> Result<Answer, String> {
        match self {
            Self::Central(wire) => {
                wire.post(pack(batch, events)?, span).await.map_err(|error| error.to_string())
            }
            #[cfg(feature = "kafka")]
            Self::Kafka(brokers) => brokers.send(batch, events, span).await,
        }
    }

    fn close(&mut self) {
        match self {
            Self::Central(wire) => wire.close(),
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => {}
        }
    }
}

/// How an attempt went.
struct Attempt {
    outcome: Outcome,
    /// What was sent, where something was.
    span: Option<Span>,
    fault: Option<String>,
}

impl Attempt {
    fn of(outcome: Outcome, span: Option<Span>) -> Self {
        Self { outcome, span, fault: None }
    }

    fn failed(fault: String) -> Self {
        Self { fault: Some(fault), ..Self::of(Outcome::Later(None), None) }
    }
}

fn told(error: JournalError) -> String {
    error.to_string()
}

/// The first `count` events as a JSON array, packed.
///
/// # Errors
/// When zstd has no memory.
pub fn pack(batch: &Batch, count: usize) -> Result<Bytes, String> {
    let mut json = Vec::with_capacity(BATCH_MAX_BYTES.min(count * 1024));
    json.push(b'[');
    for (index, stored) in batch.events.iter().take(count).enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(stored.json.get().as_bytes());
    }
    json.push(b']');
    let level = if json.len() <= PACK_WELL_BYTES { 19 } else { 3 };
    zstd::bulk::compress(&json, level).map(Bytes::from).map_err(|error| format!("pack a batch: {error}"))
}

/// The acknowledgement of an answer, held against what was sent.
fn check(answer: &Answer, sent: Span) -> Result<Acknowledgement, String> {
    let acknowledged: Acknowledgement = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("the answer of central is no acknowledgement: {error}"))?;
    if acknowledged.epoch != sent.epoch || acknowledged.sequence > sent.last {
        return Err(format!(
            "central acknowledges {} of {}, but {} of {} was the last one sent",
            acknowledged.sequence.0, acknowledged.epoch, sent.last.0, sent.epoch
        ));
    }
    if acknowledged.sequence <= sent.after {
        return Err(format!("central stored nothing after {}", sent.after.0));
    }
    Ok(acknowledged)
}

/// `Retry-After` in both of its forms (RFC 9110, 10.2.3). A date is held against central's own clock where the
/// answer tells it, for ours may stand in 1970.
fn retry_after(answer: &Answer, now: DateTime<Utc>) -> Option<Duration> {
    let text = answer.retry_after.as_deref()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc());
    let here = answer.date.as_deref().and_then(date).unwrap_or(now);
    let wait: TimeDelta = date(text)? - here;
    Some(wait.to_std().unwrap_or(Duration::ZERO))
}

/// What a refusal says, in a line.
fn refusal(answer: &Answer) -> String {
    let status = answer.status;
    let problem: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    let detail = problem.as_ref().and_then(|problem| problem.get("detail")?.as_str()).unwrap_or_default();
    let detail: String = detail.chars().filter(|c| !c.is_control()).take(200).collect();
    if detail.is_empty() {
        format!("central answers {status}")
    } else {
        format!("central answers {status}: {detail}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Epoch, Sequence};

    fn answer(retry_after: &str, date: Option<&str>) -> Answer {
        Answer {
            status: 503,
            retry_after: Some(retry_after.into()),
            date: date.map(str::to_owned),
            body: Bytes::new(),
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_by_the_clock_of_central() {
        let now = "1970-01-01T00:00:00Z".parse().unwrap();
        let wait = |text, date| retry_after(&answer(text, date), now);
        assert_eq!(wait("120", None), Some(Duration::from_secs(120)));
        let (date, later) = ("Mon, 02 Nov 2026 08:00:00 GMT", "Mon, 02 Nov 2026 08:01:30 GMT");
        assert_eq!(wait(later, Some(date)), Some(Duration::from_secs(90)));
        assert_eq!(wait(date, Some(later)), Some(Duration::ZERO));
        assert_eq!(wait("soon", None), None);
        assert_eq!(wait("-5", None), None);
    }

    #[test]
    fn an_answer_acknowledges_what_was_sent_and_nothing_else() {
        let sent = Span { epoch: Epoch(1), after: Sequence(10), last: Sequence(20) };
        let check = |epoch: u64, sequence: u64| {
            let body =
                serde_json::to_vec(&Acknowledgement { epoch: Epoch(epoch), sequence: Sequence(sequence) })
                    .unwrap();
            check(&Answer { body: body.into(), ..answer("", None) }, sent)
        };
        assert!(check(1, 20).is_ok() && check(1, 11).is_ok());
        for (epoch, sequence) in [(1, 21), (1, 10), (1, 0), (2, 15), (1, u64::MAX)] {
            assert!(check(epoch, sequence).is_err(), "{sequence} of {epoch}");
        }
        assert!(
            super::check(&Answer { body: Bytes::from_static(b"<html>"), ..answer("", None) }, sent).is_err()
        );
    }
}
