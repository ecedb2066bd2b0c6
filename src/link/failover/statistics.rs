//! Probes sent and lost, and their round trips.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::ProbeTarget;
use crate::event::RoundTrips;
use crate::link::status::ProbeStatus;

/// Round trips remembered to tell how long an answer takes now.
const RECENT: usize = 16;

/// The probes of one uplink.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    sent: u64,
    lost: u64,
    round_trips: RoundTrips,
    recent: VecDeque<Duration>,
    since_taken: Vec<Sample>,
}

/// The probes to one target since they were last taken.
#[derive(Debug)]
pub(super) struct Sample {
    pub target: ProbeTarget,
    pub sent: u32,
    pub lost: u32,
    pub round_trips: RoundTrips,
}

impl Statistics {
    /// An answer; a late one was counted as lost before.
    pub fn answered(&mut self, target: &ProbeTarget, round_trip: Duration, late: bool) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(round_trip);
        if late {
            return;
        }
        let us = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        self.sent += 1;
        self.round_trips.record(us);
        let sample = self.sample(target);
        sample.sent += 1;
        sample.round_trips.record(us);
    }

    pub fn lost(&mut self, target: &ProbeTarget) {
        self.sent += 1;
        self.lost += 1;
        let sample = self.sample(target);
        sample.sent += 1;
        sample.lost += 1;
    }

    /// How long to wait for an answer: twice the slowest of late, within the two limits; the longest while none is
    /// known.
    pub fn patience(&self, least: Duration, longest: Duration) -> Duration {
        self.recent.iter().max().map_or(longest, |slowest| (*slowest * 2).max(least).min(longest))
    }

    pub fn status(&self) -> ProbeStatus {
        let quantile =
            |quantile| (self.round_trips.count() > 0).then(|| self.round_trips.quantile_us(quantile));
        ProbeStatus {
            sent: self.sent,
            lost: self.lost,
            p50_us: quantile(0.5),
            p95_us: quantile(0.95),
            p99_us: quantile(0.99),
        }
    }

    pub fn take(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.since_taken)
    }

    fn sample(&mut self, target: &ProbeTarget) -> &mut Sample {
        let at = self.since_taken.iter().position(|sample| sample.target == *target).unwrap_or_else(|| {
            let target = target.clone();
            self.since_taken.push(Sample { target, sent: 0, lost: 0, round_trips: RoundTrips::default() });
            self.since_taken.len() - 1
        });
        &mut self.since_taken[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_the_slowest_of_late() {
        let ms = Duration::from_millis;
        let target = ProbeTarget::icmp([1, 1, 1, 1].into());
        let mut statistics = Statistics::default();
        assert_eq!(statistics.patience(ms(400), ms(600)), ms(600));
        statistics.answered(&target, ms(50), false);
        assert_eq!(statistics.patience(ms(400), ms(600)), ms(400));
        statistics.answered(&target, ms(250), false);
        assert_eq!(statistics.patience(ms(400), ms(600)), ms(500));
        statistics.answered(&target, ms(900), true);
        assert_eq!(statistics.patience(ms(400), ms(600)), ms(600));
        for _ in 0..RECENT {
            statistics.answered(&target, ms(50), false);
        }
        assert_eq!(statistics.patience(ms(400), ms(600)), ms(400));
    }

    #[test]
    fn a_sample_is_taken_once_and_a_late_answer_stays_lost() {
        let target = ProbeTarget::icmp([1, 1, 1, 1].into());
        let mut statistics = Statistics::default();
        statistics.answered(&target, Duration::from_millis(50), false);
        statistics.lost(&target);
        statistics.answered(&target, Duration::from_millis(900), true);
        let [sample] = &statistics.take()[..] else { panic!() };
        assert_eq!((sample.sent, sample.lost, sample.round_trips.count()), (2, 1, 1));
        assert!(statistics.take().is_empty());
        assert_eq!((statistics.status().sent, statistics.status().lost), (2, 1));
    }
}
