//! What telemetry may cost in a month, for the router pays for it.
//!
//! Pure. Bytes are those on the wire as far as they are known, TLS and packet headers included. Status events
//! are always sent; near the budget samples become sparse, and at last they stop until the month ends.

use chrono::{DateTime, Datelike as _, Utc};
use serde::{Deserialize, Serialize};

use crate::event::ClockState;

/// How many samples the budget still allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// All.
    #[default]
    Normal,
    /// A quarter: four fifths of the budget are used.
    Sparse,
    /// None: the rest is kept for status events.
    StatusOnly,
}

impl Stage {
    /// What intervals between samples and between batches are multiplied by.
    #[must_use]
    pub fn stretch(self) -> u32 {
        if self == Self::Normal { 1 } else { 4 }
    }
}

/// Bytes used in one month.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Year and month (UTC) that it counts; absent until the clock can be trusted.
    pub month: Option<(i32, u32)>,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
}

/// The budget of one router.
#[derive(Clone, Debug)]
pub struct Budget {
    monthly_bytes: u64,
    usage: Usage,
}

impl Budget {
    /// Goes on from what was used before the restart.
    #[must_use]
    pub fn new(monthly_bytes: u64, usage: Usage) -> Self {
        Self { monthly_bytes, usage }
    }

    /// What was used this month.
    #[must_use]
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Adds bytes. A month begins anew only by a clock that can be trusted: 1970 is no new month.
    pub fn charge(&mut self, sent_bytes: u64, received_bytes: u64, now: DateTime<Utc>, clock: ClockState) {
        if clock == ClockState::Synced {
            let month = Some((now.year(), now.month()));
            if self.usage.month.is_some() && self.usage.month != month {
                self.usage = Usage::default();
            }
            self.usage.month = month;
        }
        self.usage.sent_bytes = self.usage.sent_bytes.saturating_add(sent_bytes);
        self.usage.received_bytes = self.usage.received_bytes.saturating_add(received_bytes);
    }

    /// What is still allowed.
    #[must_use]
    pub fn stage(&self) -> Stage {
        let used = u128::from(self.usage.sent_bytes) + u128::from(self.usage.received_bytes);
        let budget = u128::from(self.monthly_bytes);
        match used * 100 {
            used if used >= budget * 95 => Stage::StatusOnly,
            used if used >= budget * 80 => Stage::Sparse,
            _ => Stage::Normal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(date: &str) -> DateTime<Utc> {
        format!("{date}T00:00:00Z").parse().unwrap()
    }

    #[test]
    fn samples_become_sparse_and_then_stop_until_the_month_ends() {
        let mut budget = Budget::new(1000, Usage::default());
        let mut stages = Vec::new();
        for _ in 0..4 {
            budget.charge(200, 65, on("2026-11-30"), ClockState::Synced);
            stages.push(budget.stage());
        }
        assert_eq!(stages, [Stage::Normal, Stage::Normal, Stage::Normal, Stage::StatusOnly]);
        assert_eq!(Budget::new(1000, Usage { sent_bytes: 800, ..Usage::default() }).stage(), Stage::Sparse);
        budget.charge(1, 1, on("2026-12-01"), ClockState::Synced);
        assert_eq!((budget.stage(), budget.usage().sent_bytes), (Stage::Normal, 1));
    }

    #[test]
    fn a_clock_that_is_not_set_begins_no_month() {
        let mut budget = Budget::new(1000, Usage::default());
        budget.charge(960, 0, on("2026-11-30"), ClockState::Synced);
        budget.charge(1, 0, on("1970-01-01"), ClockState::Unsynced);
        assert_eq!(budget.stage(), Stage::StatusOnly);
        let mut budget = Budget::new(1000, Usage::default());
        budget.charge(500, 0, on("1970-01-01"), ClockState::Unsynced);
        budget.charge(1, 0, on("2026-11-30"), ClockState::Synced);
        assert_eq!(budget.usage().sent_bytes, 501, "what was sent before the clock was set counts");
    }
}
