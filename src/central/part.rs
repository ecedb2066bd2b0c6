//! The fold of one partition by a process that folds a share: the status of its routers, which of them changed since the
//! last commit, and what a commit writes of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::state::PartitionState;
use super::{TOPICS, fold, state};
use crate::event::{Event, RouterName};
use crate::stream::{Batch, Position, Record, Stored, Topic};
use crate::view::RouterView;

/// Dead letters that wait for a commit, and those of one read.
const DEAD_LETTERS_MAX: usize = 1_000;

/// One partition, folded.
#[derive(Default)]
pub struct Part {
    routers: HashMap<RouterName, Folded>,
    /// When central took in the last event.
    moved_at: Option<DateTime<Utc>>,
    /// Next offset to read of each topic.
    pub next: [u64; TOPICS.len()],
    /// Up to here dead letters were committed, also where the state is lost and folded anew.
    told: [u64; TOPICS.len()],
    changed: Vec<RouterName>,
    dead_letters: Vec<Record>,
    /// Keys of the state that are of no use, until all was folded anew; what is not there again by then is gone.
    unusable: BTreeSet<String>,
    /// Whether the end of a topic was reached.
    ended: [bool; TOPICS.len()],
    /// Something is to be committed.
    pub moved: bool,
}

/// A router.
struct Folded {
    view: Arc<RouterView>,
    /// Whether it stands in [`Part::changed`].
    changed: bool,
}

impl Part {
    /// The partition as its last owner committed it, who told of dead letters up to `told`.
    pub fn restored(state: PartitionState, told: [u64; TOPICS.len()]) -> Self {
        let folded = |mut view: RouterView| {
            view.shrink();
            (view.name.clone(), Folded { view: Arc::new(view), changed: false })
        };
        let PartitionState { routers, next, moved_at, unusable } = state;
        let routers = routers.into_values().map(folded).collect();
        Self { routers, moved_at, next, told, unusable, ..Self::default() }
    }

    /// Where it is to be read on.
    pub fn positions(&self, partition: u32) -> impl Iterator<Item = Position> + use<> {
        positions(partition, self.next)
    }

    /// Nothing more of `topic` is there.
    pub fn end(&mut self, topic: Topic) {
        for (own, ended) in TOPICS.into_iter().zip(&mut self.ended) {
            *ended |= own == topic;
        }
        self.moved |= self.is_whole() && !self.unusable.is_empty();
    }

    /// Whether all that there was has been folded.
    fn is_whole(&self) -> bool {
        self.ended.iter().all(|ended| *ended)
    }

    /// Whether it should be committed before more is read: dead letters are large, and only a commit lets go of them.
    pub fn is_full(&self) -> bool {
        self.dead_letters.len() >= DEAD_LETTERS_MAX
    }

    /// Takes in what was read at `from`. How many were events, and how many none.
    pub fn take(&mut self, from: Position, batch: Batch, partitions: u32) -> (u64, u64) {
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
                self.apply(event, record.time);
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

    fn apply(&mut self, event: Event, received_at: DateTime<Utc>) {
        self.moved_at = self.moved_at.max(Some(received_at));
        let folded = self.routers.entry(event.router.clone()).or_insert_with_key(|name| Folded {
            view: Arc::new(RouterView::new(name.clone())),
            changed: false,
        });
        Arc::make_mut(&mut folded.view).apply(&event, received_at);
        if !std::mem::replace(&mut folded.changed, true) {
            self.changed.push(event.router);
        }
    }

    /// What is to be committed, which counts as committed from now on.
    pub fn output(&mut self, partition: u32) -> Output {
        self.moved = false;
        let mut views = Vec::with_capacity(self.changed.len());
        for name in self.changed.drain(..) {
            if let Some(folded) = self.routers.get_mut(&name) {
                folded.changed = false;
                views.push(Arc::clone(&folded.view));
            }
        }
        let unusable = if self.is_whole() { std::mem::take(&mut self.unusable) } else { BTreeSet::new() };
        let gone = unusable.into_iter().filter(|key| !self.routers.contains_key(key.as_str()));
        Output {
            partition,
            next: self.next,
            moved_at: self.moved_at,
            views,
            gone: gone.collect(),
            dead_letters: std::mem::take(&mut self.dead_letters),
        }
    }
}

/// What a commit writes of a partition: the state of the routers that changed, and dead letters.
pub struct Output {
    partition: u32,
    next: [u64; TOPICS.len()],
    moved_at: Option<DateTime<Utc>>,
    views: Vec<Arc<RouterView>>,
    /// Keys that the state still holds and nobody has.
    gone: Vec<String>,
    dead_letters: Vec<Record>,
}

impl Output {
    /// How many records it makes.
    pub fn len(&self) -> usize {
        self.views.len() + self.gone.len() + self.dead_letters.len()
    }

    /// Where the partition is read on behind it.
    pub fn positions(&self) -> impl Iterator<Item = Position> + use<> {
        positions(self.partition, self.next)
    }

    /// Its records.
    pub fn into_records(self) -> impl Iterator<Item = Record> {
        let (headers, now) = (Arc::new(state::headers(self.next, self.moved_at)), Utc::now());
        let same = Arc::clone(&headers);
        let states = self.views.into_iter().map(move |view| state::record(&view, &same, now));
        let gone = self.gone.into_iter().map(move |key| state::gone(key, &headers, now));
        states.chain(gone).chain(self.dead_letters)
    }
}

fn positions(partition: u32, next: [u64; TOPICS.len()]) -> impl Iterator<Item = Position> + use<> {
    TOPICS.into_iter().zip(next).map(move |(topic, offset)| Position { topic, partition, offset })
}
