//! The latest fold of each router in `tandem.state`, so that a new node serves at once.
//!
//! One record a router: its view as CBOR (RFC 8949), and in the headers how far the partition was folded when it was written.
//! State N holds the routers of status N and samples N. All records of one commit of a fold say the same place, and
//! no record is older than the last word of its router; so the latest record of each router together with the
//! place in the last record of the partition are the fold up to that place.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, VecDeque};

use chrono::{DateTime, Utc};
use tracing::warn;

use super::{TOPICS, fold, snapshot};
use crate::stream::{Limit, Position, Record, Stream, StreamError, Topic};
use crate::view::{FleetView, RouterView};

/// Header: next offset to read of status and samples, `17 230`.
const PLACE: &str = "tandem_place";
/// Header: when central took in the last event that was folded.
const MOVED_AT: &str = "tandem_moved_at";
/// Header: the release's way of folding; a partition that still holds state of another one is folded anew.
const VERSION: &str = "tandem_view";

/// Partitions that are parsed while the next one is read.
const PARSING_MAX: usize = 2;

/// The fold of one partition.
#[derive(Clone, Debug, Default)]
pub struct PartitionState {
    /// Its routers.
    pub fleet: FleetView,
    /// Next offset to read of each topic with events; 0 where nothing was folded.
    pub next: [u64; TOPICS.len()],
    /// Keys whose latest record cannot be used; the rest is nothing then. Who folds anew replaces them, or says that they
    /// are gone ([`gone`]).
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only folds that share a stream tidy up"))]
    pub unusable: BTreeSet<String>,
}

/// The record of `view`, folded up to `next`.
#[must_use]
#[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only folds that share a stream write it"))]
pub fn record(
    view: &RouterView,
    next: [u64; TOPICS.len()],
    moved_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Record {
    let value = cbor4ii::serde::to_vec(Vec::new(), view).expect("there is room");
    told(view.name.as_str(), Some(value), next, moved_at, now)
}

/// The record that says that nothing is known of `key`, folded up to `next`.
#[must_use]
#[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only folds that share a stream write it"))]
pub fn gone(
    key: &str,
    next: [u64; TOPICS.len()],
    moved_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Record {
    told(key, None, next, moved_at, now)
}

fn told(
    key: &str,
    value: Option<Vec<u8>>,
    next: [u64; TOPICS.len()],
    moved_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Record {
    let mut headers = vec![
        (Cow::Borrowed(VERSION), snapshot::VERSION.to_string()),
        (Cow::Borrowed(PLACE), next.map(|offset| offset.to_string()).join(" ")),
    ];
    headers.extend(moved_at.map(|moved_at| (Cow::Borrowed(MOVED_AT), moved_at.to_rfc3339())));
    Record { topic: Topic::State, key: key.to_owned(), headers, value, time: now }
}

/// The state of `partitions`. Which reader asks decides how it is read.
///
/// # Errors
/// When the stream cannot be read.
pub async fn load(
    stream: &dyn Stream,
    partitions: &[u32],
    reader: fold::Reader,
) -> Result<Vec<PartitionState>, StreamError> {
    let bounds = stream.bounds(Topic::State).await?;
    let from: Vec<Position> = partitions
        .iter()
        .map(|partition| {
            let bounds = bounds.get(*partition as usize).copied().unwrap_or_default();
            Position { topic: Topic::State, partition: *partition, offset: bounds.first }
        })
        .collect();
    if reader == fold::Reader::Following {
        stream.read_ahead(&from).await?;
    }
    let (mut states, mut parsing) = (Vec::with_capacity(from.len()), VecDeque::new());
    for mut position in from {
        let end = bounds.get(position.partition as usize).map_or(0, |bounds| bounds.next);
        let mut latest = Latest::default();
        while position.offset < end {
            let batch = match reader {
                fold::Reader::Following => stream.read_on(position, Limit::default()).await?,
                fold::Reader::LookingBack => stream.read(position, Limit::default()).await?,
            };
            if batch.next <= position.offset {
                break;
            }
            position.offset = batch.next;
            batch.records.into_iter().for_each(|stored| latest.take(stored.record));
        }
        // The next partition is read meanwhile, but no more than that is held unparsed.
        parsing.push_back(tokio::task::spawn_blocking(move || latest.into_state(position.partition)));
        if parsing.len() > PARSING_MAX
            && let Some(parsed) = parsing.pop_front()
        {
            states.push(parsed.await.map_err(|_| StreamError::Closed)?);
        }
    }
    for parsed in parsing {
        states.push(parsed.await.map_err(|_| StreamError::Closed)?);
    }
    Ok(states)
}

/// The fleet as the state tells it; `None` when there is none.
///
/// # Errors
/// When the stream cannot be read.
pub async fn fleet(stream: &dyn Stream) -> Result<Option<FleetView>, StreamError> {
    let bounds = stream.bounds(Topic::State).await?;
    if bounds.iter().all(|bounds| bounds.first == bounds.next) {
        return Ok(None);
    }
    let partitions: Vec<u32> = bounds.iter().map(|bounds| bounds.partition).collect();
    let mut fleet = FleetView::default();
    for (partition, state) in partitions.iter().zip(load(stream, &partitions, fold::Reader::Following).await?)
    {
        for (topic, offset) in TOPICS.into_iter().zip(state.next) {
            let position = Position { topic, partition: *partition, offset };
            fleet.freshness.position.insert(fold::place(&position), offset);
        }
        fleet.absorb(state.fleet);
    }
    Ok(Some(fleet))
}

/// The latest record of each router of a partition, unparsed.
#[derive(Default)]
struct Latest {
    records: HashMap<String, Vec<u8>>,
    next: [u64; TOPICS.len()],
    moved_at: Option<DateTime<Utc>>,
    /// Written by a release that folds otherwise, and by ours not since.
    foreign: BTreeSet<String>,
}

impl Latest {
    fn take(&mut self, record: Record) {
        if record.header(VERSION) == Some(&snapshot::VERSION.to_string()) {
            let place = record.header(PLACE).unwrap_or_default();
            for (next, offset) in self.next.iter_mut().zip(place.split(' ')) {
                *next = offset.parse().unwrap_or(*next);
            }
            let moved_at = record.header(MOVED_AT).and_then(|text| DateTime::parse_from_rfc3339(text).ok());
            self.moved_at = self.moved_at.max(moved_at.map(|time| time.to_utc()));
            self.foreign.remove(&record.key);
        } else if record.value.is_some() {
            self.records.remove(&record.key);
            self.foreign.insert(record.key);
            return;
        } else {
            self.foreign.remove(&record.key);
        }
        match record.value {
            Some(value) => self.records.insert(record.key, value),
            None => self.records.remove(&record.key),
        };
    }

    fn into_state(self, partition: u32) -> PartitionState {
        let mut unusable = self.foreign;
        if !unusable.is_empty() {
            warn!(
                partition,
                routers = unusable.len(),
                "state of another release; folding the partition anew"
            );
        }
        let mut fleet = FleetView::default();
        fleet.freshness.stream_moved_at = self.moved_at;
        for (router, cbor) in self.records {
            match cbor4ii::serde::from_slice(&cbor) {
                Ok(view) => fleet.restore(view),
                Err(error) => {
                    warn!(partition, router, %error, "state is not readable; folding the partition anew");
                    unusable.insert(router);
                }
            }
        }
        // Where none are left, nothing is of what the place speaks of.
        if fleet.counts().routers == 0 || !unusable.is_empty() {
            return PartitionState { unusable, ..PartitionState::default() };
        }
        PartitionState { fleet, next: self.next, unusable }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Memory;

    fn view(name: &str, doubles: u64) -> RouterView {
        let mut view = RouterView::new(name.parse().unwrap());
        view.doubles = doubles;
        view
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    #[tokio::test]
    async fn the_latest_of_each_router_and_the_last_place_come_back() {
        let stream = Memory::new(1);
        assert!(fleet(&stream).await.unwrap().is_none());
        for (doubles, next) in [(1, [3, 0]), (2, [5, 9])] {
            let records = ["a", "b"].map(|name| record(&view(name, doubles), next, Some(at(5)), at(6)));
            stream.append(records.into()).await.unwrap();
        }
        stream.append(vec![record(&view("a", 7), [8, 9], Some(at(9)), at(10))]).await.unwrap();
        let fleet = fleet(&stream).await.unwrap().unwrap();
        assert_eq!(fleet.router("a").unwrap().doubles, 7);
        assert_eq!(fleet.router("b").unwrap().doubles, 2);
        assert_eq!(fleet.freshness.stream_moved_at, Some(at(9)));
        let position: Vec<_> = fleet.freshness.position.into_iter().collect();
        assert_eq!(position, [("tandem.samples/0".into(), 9), ("tandem.status/0".into(), 8)]);
    }

    #[tokio::test]
    async fn state_that_cannot_be_used_begins_the_partition_anew() {
        let good = record(&view("a", 1), [3, 4], Some(at(5)), at(6));
        let broken = Record { key: "b".into(), value: Some(b"\xa0".to_vec()), ..good.clone() };
        let foreign = Record { headers: vec![(VERSION.into(), "999".into())], ..good.clone() };
        for bad in [broken, foreign] {
            let stream = Memory::new(1);
            let key = bad.key.clone();
            stream.append(vec![good.clone(), bad]).await.unwrap();
            let state = load(&stream, &[0], fold::Reader::LookingBack).await.unwrap().remove(0);
            assert_eq!((state.fleet.counts().routers, state.next), (0, [0, 0]));
            assert_eq!(state.unusable, BTreeSet::from([key.clone()]));
            // Folded anew, or known to be gone: it is of no account any longer.
            for mended in [record(&view(&key, 2), [5, 6], None, at(7)), gone(&key, [5, 6], None, at(7))] {
                let other = record(&view("c", 1), [5, 6], None, at(7));
                stream.append(vec![other, mended]).await.unwrap();
                let state = load(&stream, &[0], fold::Reader::LookingBack).await.unwrap().remove(0);
                assert_eq!((state.next, state.unusable), ([5, 6], BTreeSet::new()));
            }
        }
        let stream = Memory::new(1);
        let gone = Record { value: None, ..good.clone() };
        stream.append(vec![good, gone]).await.unwrap();
        let state = load(&stream, &[0], fold::Reader::LookingBack).await.unwrap().remove(0);
        assert_eq!((state.fleet.counts().routers, state.next), (0, [0, 0]), "all gone: begin anew");
    }
}
