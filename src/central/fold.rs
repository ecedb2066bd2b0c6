//! From positions of the stream to views: reads records, makes events of them, folds them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tracing::warn;

use super::{Live, TOPICS};
use crate::event::Event;
use crate::stream::{Limit, Position, Stored, Stream, StreamError, Topic};
use crate::view::{FleetView, Freshness};

/// Samples folded into a view of the past. When more came since the snapshot, it stays at the snapshot's
/// samples: an hour of 100,000 routers is too much to wait for.
pub const PAST_SAMPLES_MAX: u64 = 200_000;

/// What one round of reading gave.
#[derive(Default)]
pub struct Read {
    /// What was read, partition by partition.
    pub records: Vec<Live>,
    /// Whether a record beyond the end asked for was met.
    pub stopped: bool,
    next: Vec<Position>,
}

impl Read {
    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The earliest time of a record.
    #[must_use]
    pub fn first_time(&self) -> Option<DateTime<Utc>> {
        self.records.iter().map(|live| live.1.time).min()
    }

    /// Leaves out the records at or after `end`.
    pub fn keep_before(&mut self, end: Option<DateTime<Utc>>) {
        let Some(end) = end else { return };
        for next in &mut self.next {
            let left_out = self.records.iter().filter(|live| live.1.time >= end && same(&live.0, next));
            next.offset = left_out.map(|live| live.0.offset).min().unwrap_or(next.offset);
        }
        self.records.retain(|live| live.1.time < end);
    }

    /// The events in the records, with the time central took them in. What is no event is logged and passed
    /// over.
    #[must_use]
    pub fn events(&self) -> Vec<(Event, DateTime<Utc>)> {
        let parse = |live: &Live| {
            let (position, record) = &**live;
            Event::from_json(record.value.as_deref().unwrap_or_default())
                .inspect_err(|error| {
                    warn!(place = place(position), offset = position.offset, %error, "no event; passed over");
                })
                .ok()
                .map(|event| (event, record.time))
        };
        self.records.iter().filter_map(parse).collect()
    }

    /// Folds `events`, which are those of this round, and notes how far they go.
    pub fn fold_into(&self, events: &[(Event, DateTime<Utc>)], fleet: &mut FleetView) {
        events.iter().for_each(|(event, received_at)| fleet.apply(event, *received_at));
        for next in &self.next {
            fleet.freshness.position.insert(place(next), next.offset);
        }
    }
}

fn same(a: &Position, b: &Position) -> bool {
    (a.topic, a.partition) == (b.topic, b.partition)
}

/// Name of a partition in [`Freshness::position`].
#[must_use]
pub fn place(position: &Position) -> String {
    format!("{}/{}", position.topic.name(), position.partition)
}

/// Where to read on: each partition of each topic, from where `freshness` left it.
///
/// # Errors
/// When the stream cannot be asked.
pub async fn positions(stream: &dyn Stream, freshness: &Freshness) -> Result<Vec<Position>, StreamError> {
    let mut positions = Vec::new();
    for topic in TOPICS {
        for partition in 0..partitions(stream, topic).await? {
            let mut position = Position { topic, partition, offset: 0 };
            position.offset = freshness.position.get(&place(&position)).copied().unwrap_or(0);
            positions.push(position);
        }
    }
    Ok(positions)
}

async fn partitions(stream: &dyn Stream, topic: Topic) -> Result<u32, StreamError> {
    Ok(u32::try_from(stream.bounds(topic).await?.len()).unwrap_or(u32::MAX))
}

/// Whether `fleet` was folded from this stream: it is not further than the stream goes.
///
/// # Errors
/// When the stream cannot be asked.
pub async fn fits(stream: &dyn Stream, fleet: &FleetView) -> Result<bool, StreamError> {
    for topic in TOPICS {
        for (partition, bounds) in (0..).zip(stream.bounds(topic).await?) {
            let position = Position { topic, partition, offset: 0 };
            if fleet.freshness.position.get(&place(&position)).is_some_and(|offset| *offset > bounds.next) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Reads a batch of each partition, records before `end` only.
///
/// # Errors
/// When the stream cannot be read.
pub async fn read(
    stream: &dyn Stream,
    from: &[Position],
    end: Option<DateTime<Utc>>,
) -> Result<Read, StreamError> {
    let mut read = Read::default();
    for position in from {
        let batch = stream.read(*position, Limit::default()).await?;
        let before_end = |stored: &Stored| end.is_none_or(|end| stored.record.time < end);
        let mut next = batch.next;
        for stored in batch.records {
            if !before_end(&stored) {
                (next, read.stopped) = (stored.offset, true);
                break;
            }
            read.records.push(Arc::new((Position { offset: stored.offset, ..*position }, stored.record)));
        }
        read.next.push(Position { offset: next, ..*position });
    }
    Ok(read)
}

/// Folds into `fleet` all that central had taken in by `time`.
///
/// # Errors
/// When the stream cannot be read.
pub async fn until(
    stream: &dyn Stream,
    fleet: &mut FleetView,
    time: DateTime<Utc>,
) -> Result<(), StreamError> {
    let after = time + chrono::TimeDelta::milliseconds(1);
    for mut position in positions(stream, &fleet.freshness).await? {
        let end = stream.offset_at(position.topic, position.partition, after).await?;
        if position.topic == Topic::Samples && end.saturating_sub(position.offset) > PAST_SAMPLES_MAX {
            fleet.freshness.samples_as_of = fleet.freshness.stream_moved_at;
            continue;
        }
        while position.offset < end {
            let read = read(stream, &[position], Some(after)).await?;
            let next = read.next[0].offset;
            if next == position.offset {
                break;
            }
            read.fold_into(&read.events(), fleet);
            position.offset = next;
        }
    }
    Ok(())
}
