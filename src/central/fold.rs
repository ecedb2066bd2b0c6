//! From positions of the stream to views: reads records, makes events of them, folds them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::JoinHandle;
use tracing::warn;

use super::TOPICS;
use crate::event::Event;
use crate::stream::{self, Bounds, Limit, Position, Record, Stored, Stream, StreamError, Topic};
use crate::view::{FleetView, Freshness};

/// Samples folded into a view of the past. When more came since the snapshot, it stays at the snapshot's
/// samples: an hour of 100,000 routers is too much to wait for.
pub const PAST_SAMPLES_MAX: u64 = 200_000;

/// What one round of reading gave.
#[derive(Default)]
pub struct Read {
    /// What was read, partition by partition.
    pub records: Vec<(Position, Record)>,
    /// Whether a record beyond the end asked for was met.
    pub stopped: bool,
    next: Vec<Position>,
    /// Of each topic.
    partitions: u32,
    /// Why some partitions were not read.
    pub failed: Option<StreamError>,
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
        self.records.iter().map(|(_, record)| record.time).min()
    }

    /// Leaves out the records at or after `end`.
    pub fn keep_before(&mut self, end: Option<DateTime<Utc>>) {
        let Some(end) = end else { return };
        for next in &mut self.next {
            let left_out = self.records.iter().filter(|(at, record)| record.time >= end && same(at, next));
            next.offset = left_out.map(|(at, _)| at.offset).min().unwrap_or(next.offset);
        }
        self.records.retain(|(_, record)| record.time < end);
    }

    /// The events in the records, with the time central took them in. What is no event is logged and passed
    /// over.
    #[must_use]
    pub fn events(&self) -> Vec<(Event, DateTime<Utc>)> {
        let parse = |(position, record): &(Position, Record)| {
            event(record.value.as_deref(), position, self.partitions)
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

/// The event that a record at `position` holds, of a topic with `partitions`.
///
/// # Errors
/// When it holds none, or one of a router that belongs elsewhere: who wrote it shares out keys in another way, and
/// there is no order between it and the other events of its router.
pub fn event(value: Option<&[u8]>, position: &Position, partitions: u32) -> Result<Event, String> {
    let json = value.ok_or("a tombstone")?;
    let event = Event::from_json(json).map_err(|error| error.to_string())?;
    match stream::partition_of(event.router.as_str(), partitions) {
        own if own == position.partition => Ok(event),
        own => Err(format!("{} belongs to partition {own} of {partitions}", event.router)),
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
#[must_use]
pub fn positions(stream: &dyn Stream, freshness: &Freshness) -> Vec<Position> {
    let of = |topic| (0..stream.partitions(topic)).map(move |partition| left_at(freshness, topic, partition));
    TOPICS.into_iter().flat_map(of).collect()
}

fn left_at(freshness: &Freshness, topic: Topic, partition: u32) -> Position {
    let begin = Position { topic, partition, offset: 0 };
    let offset = freshness.position.get(&place(&begin)).copied().unwrap_or(0);
    Position { offset, ..begin }
}

/// The same, each with the bounds of its partition.
async fn bounded(stream: &dyn Stream, freshness: &Freshness) -> Result<Vec<(Position, Bounds)>, StreamError> {
    let mut bounded = Vec::new();
    for topic in TOPICS {
        let bounds = stream.bounds(topic).await?.into_iter();
        bounded.extend(bounds.map(|bounds| (left_at(freshness, topic, bounds.partition), bounds)));
    }
    Ok(bounded)
}

/// Whether `fleet` was folded from this stream: it is not further than the stream goes.
///
/// # Errors
/// When the stream cannot be asked.
pub async fn fits(stream: &dyn Stream, fleet: &FleetView) -> Result<bool, StreamError> {
    let bounded = bounded(stream, &fleet.freshness).await?;
    Ok(bounded.iter().all(|(at, bounds)| at.offset <= bounds.next))
}

/// How many records `fleet` has yet to read; `None` when some of them have expired.
///
/// # Errors
/// When the stream cannot be asked.
pub async fn records_after(stream: &dyn Stream, fleet: &FleetView) -> Result<Option<u64>, StreamError> {
    let bounded = bounded(stream, &fleet.freshness).await?;
    let left = |(at, bounds): (Position, Bounds)| {
        (bounds.first <= at.offset).then(|| bounds.next.saturating_sub(at.offset))
    };
    Ok(bounded.into_iter().map(left).sum())
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The one that follows the stream ([`Stream::read_ahead`]).
    Following,
    /// One that looks at the past.
    LookingBack,
}

/// Reads a batch of each partition, records before `end` only. Following, it waits for what is not at hand only when nothing
/// is: so nothing read means that there is nothing. Partitions that cannot be read are left out then, and [`Read::failed`]
/// says why.
///
/// # Errors
/// When the stream cannot be read.
pub async fn read(
    stream: &dyn Stream,
    from: &[Position],
    end: Option<DateTime<Utc>>,
    reader: Reader,
) -> Result<Read, StreamError> {
    let mut read = Read { partitions: stream.partitions(Topic::Status), ..Read::default() };
    let waits = |at: &Position| reader == Reader::Following && !stream.is_at_hand(*at);
    let mut from: Vec<(bool, &Position)> = from.iter().map(|at| (waits(at), at)).collect();
    from.sort_by_key(|(waits, _)| *waits);
    for (waits, position) in from {
        if waits && !read.is_empty() {
            break;
        }
        // One that does not answer holds up the others once, not each.
        if read.failed.is_some() && !stream.wait(&[*position], Duration::ZERO).await? {
            continue;
        }
        let batch = match reader {
            Reader::Following => stream.read_on(*position, Limit::default()).await,
            Reader::LookingBack => stream.read(*position, Limit::default()).await,
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) if reader == Reader::Following => {
                read.failed.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let before_end = |stored: &Stored| end.is_none_or(|end| stored.record.time < end);
        let mut next = batch.next;
        for stored in batch.records {
            if !before_end(&stored) {
                (next, read.stopped) = (stored.offset, true);
                break;
            }
            read.records.push((Position { offset: stored.offset, ..*position }, stored.record));
        }
        read.next.push(Position { offset: next, ..*position });
    }
    Ok(read)
}

/// What central took in between a view and a moment after it. Samples that are too many, or of which some have
/// expired, are left out, and the view that it is folded into says so.
pub struct Rest {
    /// From where to where each partition is read.
    parts: Vec<(Position, u64)>,
    /// The first moment that is not looked at any more.
    after: DateTime<Utc>,
    lacks_samples: bool,
}

impl Rest {
    /// What a view of this freshness lacks at `time`.
    ///
    /// # Errors
    /// When the stream cannot be asked.
    pub async fn until(
        stream: &dyn Stream,
        freshness: &Freshness,
        time: DateTime<Utc>,
    ) -> Result<Self, StreamError> {
        let after = time + chrono::TimeDelta::milliseconds(1);
        let mut rest = Self { parts: Vec::new(), after, lacks_samples: false };
        for (position, bounds) in bounded(stream, freshness).await? {
            let end = stream.offset_at(position.topic, position.partition, after).await?;
            let expired = position.offset < bounds.first.min(end);
            let too_many = end.saturating_sub(position.offset) > PAST_SAMPLES_MAX;
            if position.topic == Topic::Samples && (expired || too_many) {
                rest.lacks_samples = true;
            } else {
                rest.parts.push((position, end));
            }
        }
        Ok(rest)
    }

    /// How many records it is, at most.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.parts.iter().map(|(position, end)| end.saturating_sub(position.offset)).sum()
    }

    /// Folds it into `fleet`, which has that freshness.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn fold_into(self, stream: &dyn Stream, fleet: &mut FleetView) -> Result<(), StreamError> {
        if self.lacks_samples {
            fleet.freshness.samples_as_of =
                Some(fleet.freshness.stream_moved_at.unwrap_or(DateTime::UNIX_EPOCH));
        }
        let mut parsing: Option<JoinHandle<(Vec<_>, Read)>> = None;
        for (mut position, end) in self.parts {
            while position.offset < end {
                let read = read(stream, &[position], Some(self.after), Reader::LookingBack).await?;
                let next = read.next[0].offset;
                if next == position.offset {
                    break;
                }
                position.offset = next;
                // One round is read while the one before is parsed and the one before that is folded.
                let parsed = tokio::task::spawn_blocking(move || (read.events(), read));
                if let Some(before) = parsing.replace(parsed) {
                    let (events, read) = before.await.map_err(|_| StreamError::Closed)?;
                    read.fold_into(&events, fleet);
                }
            }
        }
        if let Some(last) = parsing {
            let (events, read) = last.await.map_err(|_| StreamError::Closed)?;
            read.fold_into(&events, fleet);
        }
        Ok(())
    }
}
