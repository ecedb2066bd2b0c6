//! Which places of an epoch's sequence have arrived, kept as a short list of ranges, and in which order the
//! epochs of a router stand. Doubles are told at once when events arrive in order, by binary search when not.

use serde::{Deserialize, Serialize};

use crate::event::{Epoch, Sequence};

/// The sequences received of one epoch. Memory is bounded: beyond [`Sequences::RANGES_MAX`] ranges the oldest
/// hole is given up, which means that it stays counted as missing and an event that still arrives for it is
/// taken for a double.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequences {
    /// First and last of each run without a hole, ascending, never touching.
    ranges: Vec<(u64, u64)>,
    received: u64,
}

impl Sequences {
    /// Ranges remembered. Status events and samples come by two topics: a fold that catches up reads a batch of a thousand of
    /// the one before those of the other in between, and each may be a range of its own until then.
    pub const RANGES_MAX: usize = 1_024;

    /// Notes `sequence`; false when it was there before.
    pub fn insert(&mut self, sequence: u64) -> bool {
        let at = match self.ranges.last() {
            Some(&(_, last)) if sequence <= last => self.ranges.partition_point(|&(_, last)| last < sequence),
            _ => self.ranges.len(),
        };
        let right = self.ranges.get(at).copied();
        if right.is_some_and(|(first, _)| first <= sequence) {
            return false;
        }
        self.received += 1;
        let joins_left = at > 0 && self.ranges[at - 1].1.checked_add(1) == Some(sequence);
        let joins_right = right.is_some_and(|(first, _)| first == sequence + 1);
        match (joins_left, joins_right) {
            (true, true) => self.ranges[at - 1].1 = self.ranges.remove(at).1,
            (true, false) => self.ranges[at - 1].1 = sequence,
            (false, true) => self.ranges[at].0 = sequence,
            (false, false) => {
                if self.ranges.is_empty() {
                    // Most routers never need more.
                    self.ranges.reserve_exact(1);
                }
                self.ranges.insert(at, (sequence, sequence));
                if self.ranges.len() > Self::RANGES_MAX {
                    self.ranges[0].1 = self.ranges.remove(1).1;
                }
            }
        }
        true
    }

    /// How many different sequences arrived.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// How many there must be: the count begins at 1 and has no holes at its source.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.ranges.last().map_or(0, |&(_, last)| last)
    }

    /// The holes that are still remembered, ascending: first and last missing sequence.
    pub fn holes(&self) -> impl Iterator<Item = (u64, u64)> {
        let before_first =
            self.ranges.first().filter(|&&(first, _)| first > 1).map(|&(first, _)| (1, first - 1));
        before_first.into_iter().chain(self.ranges.windows(2).map(|pair| (pair[0].1 + 1, pair[1].0 - 1)))
    }
}

/// Place of an event in the life of its router: the rank of its epoch, then its sequence. Later is greater.
/// Sequences beyond 2^48 count as 2^48: a router that jumps there orders no more events until its next epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Order(u64);

impl Order {
    const SEQUENCE_BITS: u32 = 48;

    fn new(rank: u16, sequence: Sequence) -> Self {
        let sequence = sequence.0.min((1 << Self::SEQUENCE_BITS) - 1);
        Self(u64::from(rank) << Self::SEQUENCE_BITS | sequence)
    }
}

impl From<u64> for Order {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl From<Order> for u64 {
    fn from(order: Order) -> Self {
        order.0
    }
}

/// What arrived of one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EpochView {
    epoch: Epoch,
    /// Greater is later; 0 for an epoch that was over before the first one known began.
    rank: u16,
    /// Boot and uptime of its first event, among those that arrived: tells which of two epochs of one boot came first.
    boot: u32,
    uptime_ms: u64,
    sequences: Sequences,
}

/// The epochs of a router. A router has one; a spool set aside is followed by another. Memory is bounded:
/// the oldest beyond [`Epochs::KEPT_MAX`] keeps only its counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epochs {
    kept: Vec<EpochView>,
    #[serde(default)]
    forgotten_received: u64,
    #[serde(default)]
    forgotten_expected: u64,
}

impl Epochs {
    /// Epochs whose received ranges are remembered.
    pub const KEPT_MAX: usize = 8;

    /// Notes an event and tells its place; `None` when it is a double.
    pub fn admit(&mut self, epoch: Epoch, sequence: Sequence, boot: u32, uptime_ms: u64) -> Option<Order> {
        let at = match self.kept.iter().rposition(|known| known.epoch == epoch) {
            Some(at) => at,
            None => self.begin(epoch, boot, uptime_ms),
        };
        let known = &mut self.kept[at];
        if known.sequences.ranges.first().is_some_and(|&(first, _)| sequence.0 < first) {
            (known.boot, known.uptime_ms) = (boot, uptime_ms);
        }
        known.sequences.insert(sequence.0).then(|| Order::new(known.rank, sequence))
    }

    /// The newest epoch.
    #[must_use]
    pub fn current(&self) -> Option<Epoch> {
        self.kept.iter().max_by_key(|known| known.rank).map(|known| known.epoch)
    }

    /// How many epochs were seen and are remembered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.kept.len()
    }

    /// Events received and events that must exist, over all epochs.
    #[must_use]
    pub fn received_expected(&self) -> (u64, u64) {
        let counts = |known: &EpochView| (known.sequences.received(), known.sequences.expected());
        self.kept.iter().map(counts).fold((self.forgotten_received, self.forgotten_expected), |sum, next| {
            (sum.0.saturating_add(next.0), sum.1.saturating_add(next.1))
        })
    }

    /// The holes remembered, by epoch.
    pub fn holes(&self) -> impl Iterator<Item = (Epoch, u64, u64)> {
        self.kept
            .iter()
            .flat_map(|known| known.sequences.holes().map(|(first, last)| (known.epoch, first, last)))
    }

    /// Takes in an epoch not seen before. One that can be shown to be older than the newest (same boot,
    /// smaller uptime) is counted, and never overrides what a later one said.
    /// Gives back room that it does not need.
    pub(super) fn shrink(&mut self) {
        self.kept.shrink_to_fit();
        self.kept.iter_mut().for_each(|known| known.sequences.ranges.shrink_to_fit());
    }

    fn begin(&mut self, epoch: Epoch, boot: u32, uptime_ms: u64) -> usize {
        let newest = self.kept.iter().max_by_key(|known| known.rank);
        let is_older = newest.is_some_and(|newest| newest.boot == boot && uptime_ms < newest.uptime_ms);
        let rank = if is_older { 0 } else { newest.map_or(1, |newest| newest.rank.saturating_add(1)) };
        if self.kept.len() == Self::KEPT_MAX {
            let oldest = (0..self.kept.len()).min_by_key(|&at| self.kept[at].rank).expect("the list is full");
            let oldest = self.kept.remove(oldest).sequences;
            self.forgotten_received = self.forgotten_received.saturating_add(oldest.received());
            self.forgotten_expected = self.forgotten_expected.saturating_add(oldest.expected());
        }
        self.kept.reserve_exact(1);
        self.kept.push(EpochView { epoch, rank, boot, uptime_ms, sequences: Sequences::default() });
        self.kept.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_plain_set_in_any_order(numbers in prop::collection::vec(1_u64..60, 0..120)) {
            let mut sequences = Sequences::default();
            let mut plain = BTreeSet::new();
            for number in numbers {
                prop_assert_eq!(sequences.insert(number), plain.insert(number));
            }
            prop_assert_eq!(sequences.received(), plain.len() as u64);
            prop_assert_eq!(sequences.expected(), plain.last().copied().unwrap_or(0));
            let missing: Vec<u64> = (1..=sequences.expected()).filter(|number| !plain.contains(number)).collect();
            let holes: Vec<u64> = sequences.holes().flat_map(|(first, last)| first..=last).collect();
            prop_assert_eq!(holes, missing);
        }

        #[test]
        fn stays_bounded_and_never_counts_twice(numbers in prop::collection::vec(any::<u64>(), 0..1_500)) {
            let mut sequences = Sequences::default();
            for number in &numbers {
                sequences.insert(*number);
            }
            let received = sequences.received();
            for number in &numbers {
                prop_assert!(!sequences.insert(*number));
            }
            prop_assert_eq!(sequences.received(), received);
            prop_assert!(sequences.ranges.len() <= Sequences::RANGES_MAX);
        }
    }

    #[test]
    fn a_batch_of_one_topic_may_come_before_that_of_the_other() {
        let mut sequences = Sequences::default();
        let (statuses, samples) = ((1..2_000).step_by(2), (2..=2_000).step_by(2));
        assert!(statuses.chain(samples).all(|sequence| sequences.insert(sequence)));
        assert_eq!((sequences.received(), sequences.expected()), (2_000, 2_000));
    }

    #[test]
    fn the_ends_of_the_numbers_are_survived() {
        let mut sequences = Sequences::default();
        for number in [u64::MAX, 0, u64::MAX - 1, 1, u64::MAX, 0] {
            sequences.insert(number);
        }
        assert_eq!(sequences.received(), 4);
        assert_eq!(sequences.ranges, [(0, 1), (u64::MAX - 1, u64::MAX)]);
    }

    #[test]
    fn a_later_epoch_is_greater_and_an_older_one_of_the_same_boot_is_not() {
        let mut epochs = Epochs::default();
        let first = epochs.admit(Epoch(7), Sequence(500), 1, 60_000).unwrap();
        let second = epochs.admit(Epoch(9), Sequence(1), 1, 90_000).unwrap();
        let stale = epochs.admit(Epoch(3), Sequence(900), 1, 10_000).unwrap();
        assert!(stale < first && first < second);
        assert_eq!(epochs.current(), Some(Epoch(9)));
        assert_eq!(epochs.admit(Epoch(7), Sequence(500), 1, 60_000), None);
    }

    #[test]
    fn epochs_stay_bounded_and_their_counts_remain() {
        let mut epochs = Epochs::default();
        for epoch in 0..100 {
            epochs.admit(Epoch(epoch), Sequence(2), epoch as u32, 0);
        }
        assert_eq!(epochs.count(), Epochs::KEPT_MAX);
        assert_eq!(epochs.received_expected(), (100, 200));
    }
}
