//! Which events of a router are stored, and up to where none is missing.
//!
//! Pure. Holds for each of the router's epochs a count from 1 (`contiguous`), the runs stored beyond it
//! (`islands`), and the ranges in which the router says it gave events up. A range is stepped over once as
//! many numbers are missing in it as were given up: then all that was kept has come. Ranges that overlap are
//! one range, for thinning goes over the same numbers again and again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{Epoch, Sequence, Span};

/// Epochs remembered of one router; the one heard longest ago goes first.
const EPOCHS_MAX: usize = 4;

/// Runs remembered beyond the contiguous count; the last goes first. Its events are then taken again as new
/// ones when the router repeats them, which readers ignore.
const ISLANDS_MAX: usize = 256;

/// Ranges of given-up events remembered; further ones are ignored and the router waits at the hole.
const DROPPED_MAX: usize = 256;

/// Events a router gave up: `count` of those from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dropped {
    pub epoch: Epoch,
    pub first: u64,
    pub last: u64,
    pub count: u64,
}

/// How far one router is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Least recently heard first.
    epochs: Vec<EpochProgress>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EpochProgress {
    epoch: Epoch,
    /// All up to here is stored or given up.
    contiguous: u64,
    /// First → last of each run beyond.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    islands: BTreeMap<u64, u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<Dropped>,
}

impl Progress {
    /// Whether the event is known to be stored.
    pub(super) fn has(&self, epoch: Epoch, sequence: Sequence) -> bool {
        self.epochs.iter().find(|own| own.epoch == epoch).is_some_and(|own| own.has(sequence.0))
    }

    /// The event is being stored.
    pub(super) fn store(&mut self, epoch: Epoch, sequence: Sequence) {
        self.epoch(epoch).cover(sequence.0, sequence.0);
    }

    /// The router gave events up.
    pub(super) fn declare(&mut self, dropped: Dropped) {
        if 0 < dropped.first && dropped.first <= dropped.last && dropped.count > 0 {
            self.epoch(dropped.epoch).declare(dropped);
        }
    }

    /// The router vouches for all up to the span's last.
    pub(super) fn vouch(&mut self, span: Span) {
        self.epoch(span.epoch).cover(1, span.last.0);
    }

    /// Takes in what another gateway, or this one before it was restarted, counted of the same router.
    pub(super) fn learn(&mut self, told: Self) {
        for EpochProgress { epoch, contiguous, islands, dropped } in told.epochs {
            let own = self.epoch(epoch);
            dropped.into_iter().for_each(|dropped| own.learn_dropped(dropped));
            let stored = islands.into_iter().chain((contiguous > 0).then_some((1, contiguous)));
            stored.for_each(|(first, last)| own.cover(first, last));
        }
    }

    /// The sequence to acknowledge.
    pub(super) fn contiguous(&self, epoch: Epoch) -> Sequence {
        Sequence(self.epochs.iter().find(|own| own.epoch == epoch).map_or(0, |own| own.contiguous))
    }

    /// The epoch heard last.
    pub(super) fn latest(&self) -> Option<Epoch> {
        self.epochs.last().map(|own| own.epoch)
    }

    fn epoch(&mut self, epoch: Epoch) -> &mut EpochProgress {
        let fresh = EpochProgress { epoch, contiguous: 0, islands: BTreeMap::new(), dropped: Vec::new() };
        let own = match self.epochs.iter().position(|own| own.epoch == epoch) {
            Some(at) => self.epochs.remove(at),
            None => fresh,
        };
        if self.epochs.len() == EPOCHS_MAX {
            self.epochs.remove(0);
        }
        self.epochs.push(own);
        self.epochs.last_mut().expect("just pushed")
    }
}

impl EpochProgress {
    fn has(&self, sequence: u64) -> bool {
        let island = self.islands.range(..=sequence).next_back();
        sequence <= self.contiguous || island.is_some_and(|(_, last)| sequence <= *last)
    }

    /// Counts `first` to `last` as stored.
    fn cover(&mut self, first: u64, last: u64) {
        self.join(first, last);
        self.settle();
        while self.islands.len() > ISLANDS_MAX {
            self.islands.pop_last();
        }
    }

    fn join(&mut self, mut first: u64, mut last: u64) {
        let touching: Vec<u64> = self
            .islands
            .range(..=last.saturating_add(1))
            .rev()
            .take_while(|(_, end)| end.saturating_add(1) >= first)
            .map(|(start, _)| *start)
            .collect();
        for start in touching {
            let end = self.islands.remove(&start).expect("it was found a moment ago");
            (first, last) = (first.min(start), last.max(end));
        }
        self.islands.insert(first, last);
    }

    fn declare(&mut self, dropped: Dropped) {
        self.take_dropped(dropped, u64::saturating_add);
        self.settle();
    }

    /// What was given up there may be known already: of ranges that overlap the larger count is the safe one, for theirs
    /// together may count the same events twice.
    fn learn_dropped(&mut self, told: Dropped) {
        self.take_dropped(told, u64::max);
    }

    /// Ranges that overlap become one, with what `together` makes of their counts.
    fn take_dropped(&mut self, mut dropped: Dropped, together: fn(u64, u64) -> u64) {
        self.dropped.retain(|own| {
            let apart = own.last < dropped.first || dropped.last < own.first;
            if !apart {
                dropped.first = dropped.first.min(own.first);
                dropped.last = dropped.last.max(own.last);
                dropped.count = together(dropped.count, own.count);
            }
            apart
        });
        if self.dropped.len() < DROPPED_MAX {
            self.dropped.push(dropped);
        }
    }

    /// Moves the count over islands and closed ranges until neither moves it.
    fn settle(&mut self) {
        loop {
            while let Some(island) = self.islands.first_entry()
                && *island.key() <= self.contiguous.saturating_add(1)
            {
                self.contiguous = self.contiguous.max(island.remove());
            }
            self.dropped.retain(|dropped| dropped.last > self.contiguous);
            let closed = self.dropped.iter().position(|dropped| self.missing(dropped) <= dropped.count);
            let Some(closed) = closed else { return };
            let Dropped { first, last, .. } = self.dropped.swap_remove(closed);
            self.join(first, last);
        }
    }

    /// Numbers of the range that are not stored.
    fn missing(&self, dropped: &Dropped) -> u64 {
        let first = dropped.first.max(self.contiguous.saturating_add(1));
        let stored: u64 = self
            .islands
            .range(..=dropped.last)
            .rev()
            .take_while(|(_, end)| **end >= first)
            .map(|(start, end)| (*end).min(dropped.last) - (*start).max(first) + 1)
            .sum();
        (dropped.last - first + 1).saturating_sub(stored)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const EPOCH: Epoch = Epoch(7);

    fn stored(sequences: impl IntoIterator<Item = u64>) -> Progress {
        let mut progress = Progress::default();
        for sequence in sequences {
            progress.store(EPOCH, Sequence(sequence));
        }
        progress
    }

    fn dropped(first: u64, last: u64, count: u64) -> Dropped {
        Dropped { epoch: EPOCH, first, last, count }
    }

    fn contiguous(progress: &Progress) -> u64 {
        progress.contiguous(EPOCH).0
    }

    #[test]
    fn holes_hold_the_count_until_they_are_filled() {
        let mut progress = stored([1, 2, 4, 7, 6]);
        assert_eq!(contiguous(&progress), 2);
        progress.store(EPOCH, Sequence(3));
        assert_eq!(contiguous(&progress), 4);
        progress.store(EPOCH, Sequence(5));
        assert_eq!(contiguous(&progress), 7);
        assert_eq!(contiguous(&stored([5, 6])), 0, "what was never seen is never acknowledged");
    }

    #[test]
    fn a_declared_hole_is_stepped_over_once_the_kept_ones_are_there() {
        let mut progress = stored([1, 2, 4, 6, 10]);
        progress.declare(dropped(3, 9, 4));
        assert_eq!(contiguous(&progress), 2, "five are missing and four were given up");
        progress.store(EPOCH, Sequence(8));
        assert_eq!(contiguous(&progress), 10);
    }

    #[test]
    fn ranges_thinned_twice_count_together() {
        let mut progress = stored([1, 9, 17]);
        progress.declare(dropped(3, 15, 7));
        assert_eq!(contiguous(&progress), 1);
        progress.declare(dropped(2, 16, 7));
        assert_eq!(contiguous(&progress), 17);
    }

    #[test]
    fn who_vouches_needs_no_memory() {
        let mut progress = Progress::default();
        progress.store(EPOCH, Sequence(905));
        progress.vouch(Span { epoch: EPOCH, after: Sequence(900), last: Sequence(905) });
        assert_eq!(contiguous(&progress), 905);
        progress.vouch(Span { epoch: EPOCH, after: Sequence(800), last: Sequence(810) });
        assert_eq!(contiguous(&progress), 905, "a late repetition takes nothing back");
    }

    #[test]
    fn what_another_gateway_counted_is_added_and_nothing_twice() {
        let mut own = stored([1, 2, 7]);
        own.declare(dropped(3, 6, 2));
        let mut told = stored([1, 2, 3, 9]);
        told.declare(dropped(4, 6, 1));
        own.learn(told.clone());
        own.learn(told);
        assert_eq!(contiguous(&own), 3, "two of 4 to 6 were given up, one is to come");
        own.store(EPOCH, Sequence(5));
        assert_eq!(contiguous(&own), 7);
        own.store(EPOCH, Sequence(8));
        assert_eq!(contiguous(&own), 9);
    }

    #[test]
    fn epochs_are_counted_apart_and_few_are_kept() {
        let mut progress = stored([1, 2]);
        progress.store(Epoch(8), Sequence(1));
        assert_eq!(contiguous(&progress), 2);
        assert_eq!(progress.contiguous(Epoch(8)), Sequence(1));
        for epoch in 20..30 {
            progress.store(Epoch(epoch), Sequence(1));
        }
        assert_eq!(progress.epochs.len(), EPOCHS_MAX);
        assert_eq!(progress.latest(), Some(Epoch(29)));
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_comes_again() {
        let mut progress = stored((1..4_000).map(|n| n * 2));
        assert_eq!(progress.epochs[0].islands.len(), ISLANDS_MAX);
        for first in (1..10_000).step_by(3) {
            progress.declare(dropped(first + 100_000, first + 100_001, 1));
        }
        assert!(progress.epochs[0].dropped.len() <= DROPPED_MAX);
        for sequence in 1..8_000 {
            progress.store(EPOCH, Sequence(sequence));
        }
        assert_eq!(contiguous(&progress), 7_999);
        progress.store(EPOCH, Sequence(u64::MAX));
        progress.declare(dropped(1, u64::MAX, u64::MAX));
        assert_eq!(contiguous(&progress), u64::MAX);
    }

    proptest! {
        #[test]
        fn the_count_is_that_of_the_set(sequences in prop::collection::vec(1..60u64, 0..120)) {
            let mut progress = Progress::default();
            let mut set = BTreeSet::new();
            for sequence in sequences {
                prop_assert_eq!(progress.has(EPOCH, Sequence(sequence)), set.contains(&sequence));
                progress.store(EPOCH, Sequence(sequence));
                set.insert(sequence);
                let wanted = (1..).find(|n| !set.contains(n)).unwrap() - 1;
                prop_assert_eq!(contiguous(&progress), wanted);
            }
            let json = serde_json::to_string(&progress).unwrap();
            prop_assert_eq!(serde_json::from_str::<Progress>(&json).unwrap(), progress);
        }

        /// A spool gives up some events and declares them in later ones; what is left arrives in any order.
        #[test]
        fn no_event_that_was_kept_is_ever_stepped_over(
            given_up in prop::collection::btree_set(1..40u64, 0..20),
            split_at in 1..40u64,
            order in Just((1..43u64).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let (early, late): (BTreeSet<u64>, BTreeSet<u64>) = given_up.iter().partition(|n| **n < split_at);
            let declaration = |set: &BTreeSet<u64>| {
                Some(dropped(*set.first()?, *set.last()?, set.len() as u64))
            };
            let mut progress = Progress::default();
            let mut arrived = BTreeSet::new();
            for sequence in order.into_iter().filter(|n| !given_up.contains(n)) {
                progress.store(EPOCH, Sequence(sequence));
                arrived.insert(sequence);
                match sequence {
                    41 => declaration(&early).into_iter().for_each(|dropped| progress.declare(dropped)),
                    42 => declaration(&late).into_iter().for_each(|dropped| progress.declare(dropped)),
                    _ => {}
                }
                let count = contiguous(&progress);
                for n in (1..=count).filter(|n| !given_up.contains(n)) {
                    prop_assert!(arrived.contains(&n), "{} acknowledged, {} never came", count, n);
                }
            }
            prop_assert_eq!(contiguous(&progress), 42);
        }
    }
}
