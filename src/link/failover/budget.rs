//! What may be spent: octets of probes in a month, returns to a better uplink in a window of time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::Probe;

/// The longest month.
pub const MONTH: Duration = Duration::from_secs(31 * 24 * 3600);

/// Part of a month's budget that may be spent at once; the rest accrues over the month.
const SAVINGS_SHARE: f64 = 0.1;

/// Octets of heartbeats, both ways, in a month in which nothing else is received, were there no budget.
#[must_use]
pub fn heartbeat_bytes_per_month(probe: &Probe) -> u64 {
    let beats = MONTH.as_secs_f64() / probe.heartbeat.as_secs_f64().max(f64::MIN_POSITIVE);
    (beats * mean_exchange_bytes(probe)).ceil() as u64
}

/// Time between two heartbeats that the budget of `probe` pays for as long as one likes; the quicker
/// `heartbeat` lasts until the savings are used up.
#[must_use]
pub fn sustained_heartbeat(probe: &Probe) -> Duration {
    let per_second = accrual(probe.monthly_budget_bytes);
    let pace_s = mean_exchange_bytes(probe) / per_second;
    let slowest = MONTH.as_secs_f64();
    probe.heartbeat.max(Duration::from_secs_f64(if pace_s.is_finite() {
        pace_s.min(slowest)
    } else {
        slowest
    }))
}

/// Octets of one probe and its answer, the mean over the targets, which are asked in turn.
fn mean_exchange_bytes(probe: &Probe) -> f64 {
    let sum: u64 = probe.targets.iter().map(|target| target.exchange_bytes()).sum();
    sum as f64 / probe.targets.len().max(1) as f64
}

fn accrual(budget_bytes: u64) -> f64 {
    budget_bytes as f64 * (1.0 - SAVINGS_SHARE) / MONTH.as_secs_f64()
}

/// Octets of probes: savings that fill up over time. In no month more than the budget is spent.
#[derive(Clone, Debug)]
pub(super) struct ByteBudget {
    budget_bytes: u64,
    savings: f64,
    at: Instant,
    spent_bytes: u64,
}

impl ByteBudget {
    pub fn new(budget_bytes: u64, now: Instant) -> Self {
        Self { budget_bytes, savings: budget_bytes as f64 * SAVINGS_SHARE, at: now, spent_bytes: 0 }
    }

    pub fn set_budget(&mut self, budget_bytes: u64, now: Instant) {
        self.refill(now);
        self.budget_bytes = budget_bytes;
        self.savings = self.savings.min(self.most());
    }

    fn most(&self) -> f64 {
        self.budget_bytes as f64 * SAVINGS_SHARE
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.savings = (self.savings + passed * accrual(self.budget_bytes)).min(self.most());
    }

    /// Spends, where there is enough.
    pub fn take(&mut self, bytes: u64, now: Instant) -> bool {
        self.refill(now);
        let enough = self.savings >= bytes as f64;
        if enough {
            self.savings -= bytes as f64;
            self.spent_bytes += bytes;
        }
        enough
    }

    /// Whether the savings are at least half full: what is below is kept for suspicion and recovery.
    pub fn is_rich(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.savings >= self.most() / 2.0
    }

    /// Whether `bytes` could ever be spent at once.
    pub fn covers(&self, bytes: u64) -> bool {
        self.most() >= bytes as f64
    }

    /// Whether `bytes` could be spent now.
    pub fn affords(&mut self, bytes: u64, now: Instant) -> bool {
        self.refill(now);
        self.savings >= bytes as f64
    }

    /// All that was ever spent.
    pub fn spent_bytes(&self) -> u64 {
        self.spent_bytes
    }
}

/// Returns to a better uplink, in a window that slides.
#[derive(Clone, Debug, Default)]
pub(super) struct FlapBudget {
    returns: VecDeque<Instant>,
}

impl FlapBudget {
    pub fn note(&mut self, now: Instant) {
        self.returns.push_back(now);
    }

    pub fn forget_before_window(&mut self, window: Duration, now: Instant) {
        while self.returns.front().is_some_and(|at| *at + window <= now) {
            self.returns.pop_front();
        }
    }

    /// Returns that are still allowed; [`Self::forget_before_window`] comes first.
    pub fn left(&self, budget: u32) -> u32 {
        budget.saturating_sub(u32::try_from(self.returns.len()).unwrap_or(u32::MAX))
    }

    /// When the next one is allowed, where none is left; `None` when that is now or never.
    pub fn again_at(&self, budget: u32, window: Duration) -> Option<Instant> {
        let over = self.returns.len().checked_sub(budget as usize)?;
        self.returns.get(over).map(|at| *at + window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(heartbeat_s: u64, monthly_budget_bytes: u64) -> Probe {
        Probe { heartbeat: Duration::from_secs(heartbeat_s), monthly_budget_bytes, ..Probe::default() }
    }

    #[test]
    fn the_cost_of_a_heartbeat_is_plain_arithmetic() {
        assert_eq!(heartbeat_bytes_per_month(&probe(7, 0)), 31 * 86_400 * 56 / 7);
        assert!(heartbeat_bytes_per_month(&probe(7, 0)) > 20_000_000);
        assert!(heartbeat_bytes_per_month(&probe(30, 0)) < 5_000_001);
    }

    #[test]
    fn the_heartbeat_slows_down_to_what_the_budget_pays() {
        let pace = sustained_heartbeat(&probe(7, 5_000_000));
        assert!((30..35).contains(&pace.as_secs()), "{pace:?}");
        assert_eq!(sustained_heartbeat(&probe(7, 50_000_000)), Duration::from_secs(7));
        assert_eq!(sustained_heartbeat(&probe(7, 0)), MONTH);
    }

    #[test]
    fn no_month_costs_more_than_the_budget() {
        let start = Instant::now();
        let mut budget = ByteBudget::new(100_000, start);
        let mut spent = [0u64; 2];
        for second in 0..2 * MONTH.as_secs() {
            if budget.take(56, start + Duration::from_secs(second)) {
                spent[usize::try_from(second / MONTH.as_secs()).unwrap()] += 56;
            }
        }
        assert!(spent.iter().all(|spent| (80_000..=100_000).contains(spent)), "{spent:?}");
    }

    #[test]
    fn a_return_is_forgotten_after_the_window() {
        let (start, window) = (Instant::now(), Duration::from_secs(100));
        let mut flaps = FlapBudget::default();
        flaps.note(start);
        flaps.note(start + Duration::from_secs(50));
        assert_eq!((flaps.left(2), flaps.again_at(2, window)), (0, Some(start + window)));
        flaps.forget_before_window(window, start + window);
        assert_eq!((flaps.left(2), flaps.again_at(2, window)), (1, None));
    }
}
