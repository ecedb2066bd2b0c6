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
use crate::stream::{Batch, Headers, Limit, Position, Record, Stream, StreamError, Topic};
use crate::view::{FleetView, RouterView};

/// Header: next offset to read of status and samples, `17 230`.
const PLACE: &str = "tandem_place";
/// Header: when central took in the last event that was folded.
const MOVED_AT: &str = "tandem_moved_at";
/// Header: the release's way of folding; a partition that still holds state of another one is folded anew.
const VERSION: &str = "tandem_view";

/// Bytes that are parsed at a time. What a router said twice within them is parsed once.
const PIECE_BYTES: usize = 2 * 1024 * 1024;
/// Pieces that are parsed while the next one is read.
const PARSING_MAX: usize = 2;

/// The fold of one partition.
#[derive(Clone, Debug, Default)]
pub struct PartitionState {
    /// Its routers, by the key that each was stored under.
    pub routers: HashMap<String, RouterView>,
    /// Next offset to read of each topic with events; 0 where nothing was folded.
    pub next: [u64; TOPICS.len()],
    /// When central took in the last event that was folded.
    pub moved_at: Option<DateTime<Utc>>,
    /// Keys whose latest record cannot be used; the rest is nothing then. Who folds anew replaces them, or says that they
    /// are gone ([`gone`]).
    pub unusable: BTreeSet<String>,
}

/// What a commit says of how far a partition was folded: the same in all its records.
#[must_use]
#[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only folds that share a stream write it"))]
pub fn headers(next: [u64; TOPICS.len()], moved_at: Option<DateTime<Utc>>) -> Headers {
    let mut headers = vec![
        (Cow::Borrowed(VERSION), snapshot::VERSION.to_string()),
        (Cow::Borrowed(PLACE), next.map(|offset| offset.to_string()).join(" ")),
    ];
    headers.extend(moved_at.map(|moved_at| (Cow::Borrowed(MOVED_AT), moved_at.to_rfc3339())));
    headers
}

/// The record of `view`.
#[must_use]
#[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only folds that share a stream write it"))]
pub fn record(view: &RouterView, headers: &Headers, now: DateTime<Utc>) -> Record {
    let value = cbor4ii::serde::to_vec(Vec::new(), view).expect("there is room");
    let (key, headers) = (view.name.as_str().to_owned(), headers.clone());
    Record { topic: Topic::State, key, headers, value: Some(value), time: now }
}

/// The record that says that nothing is known of `key`.
#[must_use]
#[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only folds that share a stream write it"))]
pub fn gone(key: String, headers: &Headers, now: DateTime<Utc>) -> Record {
    Record { topic: Topic::State, key, headers: headers.clone(), value: None, time: now }
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
    let mut loading: Vec<Loading> = partitions
        .iter()
        .map(|partition| {
            let bounds = bounds.get(*partition as usize).copied().unwrap_or_default();
            let next = Position { topic: Topic::State, partition: *partition, offset: bounds.first };
            Loading { next, end: bounds.next, words: Words::default(), state: PartitionState::default() }
        })
        .collect();
    let follows = reader == fold::Reader::Following;
    if follows {
        let from: Vec<Position> = loading.iter().map(|partition| partition.next).collect();
        stream.read_ahead(&from).await?;
    }
    let waits = |partition: &Loading| follows && !stream.is_at_hand(partition.next);
    // What was read is parsed while more is read; so no more than a piece of each partition is held unparsed.
    let mut parsing = VecDeque::new();
    loop {
        let mut open: Vec<usize> = (0..loading.len()).filter(|at| !loading[*at].is_read()).collect();
        if open.is_empty() {
            break;
        }
        open.sort_by_key(|at| waits(&loading[*at]));
        if !follows {
            // Who is not read ahead for reads one after the other.
            open.truncate(1);
        }
        for (read, at) in open.into_iter().enumerate() {
            let partition = &mut loading[at];
            // What is not at hand is waited for only when nothing is.
            if read > 0 && waits(partition) {
                break;
            }
            let batch = match follows {
                true => stream.read_on(partition.next, Limit::default()).await?,
                false => stream.read(partition.next, Limit::default()).await?,
            };
            partition.take(batch);
            if partition.is_read() || partition.words.bytes >= PIECE_BYTES {
                let words = std::mem::take(&mut partition.words);
                parsing.push_back((at, tokio::task::spawn_blocking(move || words.parse())));
            }
            while parsing.len() > PARSING_MAX
                && let Some((at, parsed)) = parsing.pop_front()
            {
                loading[at].state.learn(parsed.await.map_err(|_| StreamError::Closed)?);
            }
        }
    }
    for (at, parsed) in parsing {
        loading[at].state.learn(parsed.await.map_err(|_| StreamError::Closed)?);
    }
    Ok(loading.into_iter().map(Loading::into_state).collect())
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
    let states = load(stream, &partitions, fold::Reader::Following).await?;
    let restored: Vec<_> = partitions
        .into_iter()
        .zip(states)
        .map(|(partition, state)| tokio::task::spawn_blocking(move || state.into_fleet(partition)))
        .collect();
    let mut fleet = FleetView::default();
    for part in restored {
        fleet.absorb(part.await.map_err(|_| StreamError::Closed)?);
    }
    Ok(Some(fleet))
}

/// A partition that is being read.
struct Loading {
    next: Position,
    end: u64,
    /// What was read last.
    words: Words,
    /// What was parsed before that.
    state: PartitionState,
}

impl Loading {
    fn is_read(&self) -> bool {
        self.next.offset >= self.end
    }

    fn take(&mut self, batch: Batch) {
        if batch.next <= self.next.offset {
            // The rest is gone meanwhile.
            self.end = self.next.offset;
        }
        self.next.offset = batch.next;
        batch.records.into_iter().for_each(|stored| self.words.take(stored.record));
    }

    fn into_state(self) -> PartitionState {
        let (state, partition) = (self.state, self.next.partition);
        if !state.unusable.is_empty() {
            let routers = state.unusable.len();
            warn!(partition, routers, "state that cannot be used; folding the partition anew");
        }
        // Where none are left, nothing is of what the place speaks of.
        if state.routers.is_empty() || !state.unusable.is_empty() {
            return PartitionState { unusable: state.unusable, ..PartitionState::default() };
        }
        state
    }
}

/// The latest words on routers in some records of a partition, unparsed.
#[derive(Default)]
struct Words {
    words: HashMap<String, Word>,
    /// Of those that are to be parsed, the ones replaced meanwhile too.
    bytes: usize,
    /// How far the partition was folded, when they tell.
    place: Option<[u64; TOPICS.len()]>,
    moved_at: Option<DateTime<Utc>>,
}

/// The latest word on a router.
enum Word {
    View(Vec<u8>),
    /// Written by a release that folds otherwise.
    Foreign,
    Gone,
}

/// The place that a header tells.
fn place(text: &str) -> Option<[u64; TOPICS.len()]> {
    let mut offsets = text.split(' ');
    let mut place = [0; TOPICS.len()];
    for next in &mut place {
        *next = offsets.next()?.parse().ok()?;
    }
    Some(place)
}

/// The same, parsed.
struct Parsed {
    words: Vec<(String, Result<Option<RouterView>, Unusable>)>,
    place: Option<[u64; TOPICS.len()]>,
    moved_at: Option<DateTime<Utc>>,
}

struct Unusable;

impl Words {
    fn take(&mut self, record: Record) {
        let is_ours = record.header(VERSION).is_some_and(|version| version == snapshot::VERSION.to_string());
        if is_ours {
            self.place = record.header(PLACE).and_then(place).or(self.place);
            let moved_at = record.header(MOVED_AT).and_then(|text| DateTime::parse_from_rfc3339(text).ok());
            self.moved_at = self.moved_at.max(moved_at.map(|time| time.to_utc()));
        }
        let word = match record.value {
            None => Word::Gone,
            Some(_) if !is_ours => Word::Foreign,
            Some(cbor) => {
                self.bytes += cbor.len();
                Word::View(cbor)
            }
        };
        self.words.insert(record.key, word);
    }

    fn parse(self) -> Parsed {
        let parse = |word| match word {
            Word::View(cbor) => match cbor4ii::serde::from_slice(&cbor) {
                Ok(view) => Ok(Some(view)),
                Err(error) => {
                    warn!(%error, "state of a router is not readable");
                    Err(Unusable)
                }
            },
            Word::Foreign => Err(Unusable),
            Word::Gone => Ok(None),
        };
        let words = self.words.into_iter().map(|(key, word)| (key, parse(word))).collect();
        Parsed { words, place: self.place, moved_at: self.moved_at }
    }
}

impl PartitionState {
    fn into_fleet(self, partition: u32) -> FleetView {
        let mut fleet = FleetView::default();
        for (topic, offset) in TOPICS.into_iter().zip(self.next) {
            let position = Position { topic, partition, offset };
            fleet.freshness.position.insert(fold::place(&position), offset);
        }
        fleet.freshness.stream_moved_at = self.moved_at;
        self.routers.into_values().for_each(|view| fleet.restore(view));
        fleet
    }

    /// Takes in later words.
    fn learn(&mut self, parsed: Parsed) {
        self.next = parsed.place.unwrap_or(self.next);
        self.moved_at = self.moved_at.max(parsed.moved_at);
        for (key, word) in parsed.words {
            if matches!(word, Err(Unusable)) {
                self.unusable.insert(key.clone());
            } else if !self.unusable.is_empty() {
                self.unusable.remove(&key);
            }
            match word {
                Ok(Some(view)) => drop(self.routers.insert(key, view)),
                _ => drop(self.routers.remove(&key)),
            }
        }
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
            let records =
                ["a", "b"].map(|name| record(&view(name, doubles), &headers(next, Some(at(5))), at(6)));
            stream.append(records.into()).await.unwrap();
        }
        stream.append(vec![record(&view("a", 7), &headers([8, 9], Some(at(9))), at(10))]).await.unwrap();
        let fleet = fleet(&stream).await.unwrap().unwrap();
        assert_eq!(fleet.router("a").unwrap().doubles, 7);
        assert_eq!(fleet.router("b").unwrap().doubles, 2);
        assert_eq!(fleet.freshness.stream_moved_at, Some(at(9)));
        let position: Vec<_> = fleet.freshness.position.into_iter().collect();
        assert_eq!(position, [("tandem.samples/0".into(), 9), ("tandem.status/0".into(), 8)]);
    }

    #[tokio::test]
    async fn the_last_word_counts_however_many_pieces_there_are() {
        let stream = Memory::new(1);
        let wide = |name: &str, doubles| {
            let mut view = view(name, doubles);
            view.links.push(crate::view::LinkView::new(&"x".repeat(8_000)));
            record(&view, &headers([doubles, 2 * doubles], None), at(doubles as i64))
        };
        let foreign = Record { headers: vec![(VERSION.into(), "999".into())], ..wide("b", 1) };
        stream.append(vec![foreign, wide("gone", 1)]).await.unwrap();
        let last = 4 * PIECE_BYTES as u64 / 8_000;
        for doubles in 2..=last {
            let name = ["a", "b", "c"][doubles as usize % 3];
            stream.append(vec![wide(name, doubles)]).await.unwrap();
        }
        stream.append(vec![gone("gone".into(), &headers([last, 2 * last], None), at(0))]).await.unwrap();
        for reader in [fold::Reader::Following, fold::Reader::LookingBack] {
            let state = load(&stream, &[0], reader).await.unwrap().remove(0);
            assert_eq!((state.next, state.unusable.len()), ([last, 2 * last], 0));
            let mut doubles: Vec<_> = state.routers.values().map(|view| view.doubles).collect();
            doubles.sort_unstable();
            assert_eq!(doubles, [last - 2, last - 1, last]);
        }
    }

    #[tokio::test]
    async fn state_that_cannot_be_used_begins_the_partition_anew() {
        let good = record(&view("a", 1), &headers([3, 4], Some(at(5))), at(6));
        let broken = Record { key: "b".into(), value: Some(b"\xa0".to_vec()), ..good.clone() };
        let foreign = Record { headers: vec![(VERSION.into(), "999".into())], ..good.clone() };
        for bad in [broken, foreign] {
            let stream = Memory::new(1);
            let key = bad.key.clone();
            stream.append(vec![good.clone(), bad]).await.unwrap();
            let state = load(&stream, &[0], fold::Reader::LookingBack).await.unwrap().remove(0);
            assert_eq!((state.routers.len(), state.next), (0, [0, 0]));
            assert_eq!(state.unusable, BTreeSet::from([key.clone()]));
            // Folded anew, or known to be gone: it is of no account any longer.
            let place = headers([5, 6], None);
            for mended in [record(&view(&key, 2), &place, at(7)), gone(key.clone(), &place, at(7))] {
                let other = record(&view("c", 1), &place, at(7));
                stream.append(vec![other, mended]).await.unwrap();
                let state = load(&stream, &[0], fold::Reader::LookingBack).await.unwrap().remove(0);
                assert_eq!((state.next, state.unusable), ([5, 6], BTreeSet::new()));
            }
        }
        let stream = Memory::new(1);
        let gone = Record { value: None, ..good.clone() };
        stream.append(vec![good, gone]).await.unwrap();
        let state = load(&stream, &[0], fold::Reader::LookingBack).await.unwrap().remove(0);
        assert_eq!((state.routers.len(), state.next), (0, [0, 0]), "all gone: begin anew");
    }
}
