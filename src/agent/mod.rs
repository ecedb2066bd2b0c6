//! The program on the router: one task per link, one that decides which uplinks carry traffic, one that
//! writes events to the spool, one that uploads them, one that answers on the local socket.
//!
//! Links and the other tasks speak of what happens by sending an [`Emission`]; the writer stamps it, gives it
//! its place in the sequence and makes it durable. Nothing in here waits for central.

pub mod absent;
mod batch;
pub mod config_file;
mod correlation;
mod counters;
pub mod emit;
pub mod footprint;
pub mod journal;
pub mod link;
mod recover;
mod report;
pub mod run;
pub mod slots;
pub mod socket;
pub mod uplinks;
pub mod upload;

use crate::event::Body;

/// What a task has to tell. It becomes an event when the writer stamps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Emission {
    /// The device-interface it is about, where it is about one.
    pub subject: Option<String>,
    /// When it happened, where that was before it was sent: the first sample of a batch.
    pub time: Option<chrono::DateTime<chrono::Utc>>,
    /// What happened.
    pub body: Body,
}

/// How many emissions wait for the writer. When it is full the sender waits: the writer only ever waits for
/// the disk, and a disk that fails is answered by the spool's ring in memory.
pub const EMISSIONS_MAX: usize = 256;

/// A tick each `period`, 100 ms at least; ticks that were missed are not made up for.
fn ticks(period: std::time::Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period.max(std::time::Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

/// A tick at every whole `period` since boot, so that all tasks hand over what they gathered at the same
/// moments, whenever they began.
fn beats(period: std::time::Duration) -> tokio::time::Interval {
    let period = period.max(std::time::Duration::from_millis(100));
    let mut beats = tokio::time::interval_at(last_beat(period) + period, period);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    beats
}

/// The latest whole `period` since boot.
fn last_beat(period: std::time::Duration) -> tokio::time::Instant {
    let now = tokio::time::Instant::now();
    let since = emit::Reading::now().uptime.as_nanos() % period.as_nanos().max(1);
    let since = std::time::Duration::from_nanos(u64::try_from(since).unwrap_or(0));
    now.checked_sub(since).unwrap_or(now)
}
