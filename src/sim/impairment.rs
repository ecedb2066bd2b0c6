//! Pure: what happens to packets between a modem and its carrier: they come late, get lost by a share, or never come.
//!
//! The same seed and the same packets at the same times meet the same fate.

use std::time::Duration;

use fastrand::Rng;

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the router.
    Up,
    /// To the router.
    Down,
}

/// How bad one direction is. The default is perfect.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Impairment {
    /// Every packet is this late.
    pub delay: Duration,
    /// And by up to this much more, at random; the order stays.
    pub jitter: Duration,
    /// Share of packets lost, from 0 to 1.
    pub loss: f64,
    /// Nothing passes, and nobody is told.
    pub dead: bool,
}

/// Both directions of one path.
#[derive(Debug, Clone)]
pub struct Path {
    random: Rng,
    up: Way,
    down: Way,
}

#[derive(Debug, Clone, Default)]
struct Way {
    impairment: Impairment,
    /// When the last packet was due: a later one never overtakes it.
    last_due: Duration,
}

impl Path {
    /// A perfect path, for now.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed), up: Way::default(), down: Way::default() }
    }

    /// How bad a direction is now.
    #[must_use]
    pub fn impairment(&self, direction: Direction) -> Impairment {
        match direction {
            Direction::Up => self.up.impairment,
            Direction::Down => self.down.impairment,
        }
    }

    /// How bad a direction is from now on. Packets on their way are not touched.
    pub fn set(&mut self, direction: Direction, impairment: Impairment) {
        self.way(direction).impairment = impairment;
    }

    /// When a packet that comes at `now` is handed on; `None`: never.
    pub fn judge(&mut self, direction: Direction, now: Duration) -> Option<Duration> {
        let (dice, late) = (self.random.f64(), self.random.f64());
        let way = self.way(direction);
        let Impairment { delay, jitter, loss, dead } = way.impairment;
        if dead || dice < loss {
            return None;
        }
        let due = now + delay + jitter.mul_f64(late);
        way.last_due = way.last_due.max(due);
        Some(way.last_due)
    }

    fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn fates(seed: u64, impairment: Impairment) -> Vec<Option<Duration>> {
        let mut path = Path::new(seed);
        path.set(Direction::Up, impairment);
        (0..10_000).map(|index| path.judge(Direction::Up, MS * index)).collect()
    }

    #[test]
    fn the_seed_decides_who_is_lost_and_the_share_holds() {
        let bad = Impairment { loss: 0.2, jitter: MS * 30, ..Impairment::default() };
        assert_eq!(fates(1, bad), fates(1, bad));
        assert_ne!(fates(1, bad), fates(2, bad));
        let lost = fates(3, bad).iter().filter(|fate| fate.is_none()).count();
        assert!((1_800..2_200).contains(&lost), "{lost} of 10000 are lost");
    }

    #[test]
    fn no_packet_overtakes_another_and_none_is_early() {
        let late = Impairment { delay: MS * 20, jitter: MS * 50, ..Impairment::default() };
        let due: Vec<_> = fates(4, late).into_iter().map(Option::unwrap).collect();
        assert!(due.is_sorted());
        assert!(due.iter().zip(0..).all(|(due, index)| *due >= MS * index + late.delay));
        assert!(due.iter().zip(0..).all(|(due, index)| *due <= MS * index + late.delay + late.jitter));
    }

    #[test]
    fn a_direction_dies_alone() {
        let mut path = Path::new(5);
        path.set(Direction::Down, Impairment { dead: true, ..Impairment::default() });
        assert_eq!((path.judge(Direction::Down, MS), path.judge(Direction::Up, MS)), (None, Some(MS)));
        path.set(Direction::Down, Impairment::default());
        assert_eq!(path.judge(Direction::Down, MS * 2), Some(MS * 2));
    }
}
