//! What an uplink has used of its data plan in this cycle, from counters that start again with every
//! enumeration. Pure; the clock is the wall's, for a plan follows the calendar.

use chrono::{DateTime, Datelike as _, Months, NaiveTime, TimeZone as _, Utc};
use serde::{Deserialize, Serialize};

use crate::config::DataPlan;
use crate::event::TrafficWarned;

/// Shares of the plan, in percent, at which a warning is due.
const WARNINGS_PERCENT: [u8; 3] = [80, 100, 120];
/// No forecast from less than this share of a cycle: it would be a guess from one download.
const FORECAST_FROM: f64 = 0.1;
/// A router without a clock lives before this year; cycles wait until it has one.
const FIRST_YEAR: i32 = 2020;

/// Use of one uplink in one cycle. What is kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Octets of this cycle, both ways.
    pub used_bytes: u64,
    /// Start of the cycle; absent before the clock was first right.
    pub cycle_start: Option<DateTime<Utc>>,
    /// The highest share that was warned of.
    #[serde(default)]
    pub warned_percent: u8,
    /// The counters as last read: octets both ways since they began.
    #[serde(skip)]
    counted_bytes: Option<u64>,
}

impl Usage {
    /// Adds what went over the interface since the last reading; `total_bytes` is the sum of its octet counters. A
    /// counter that went back began anew; the first reading after a start only sets the mark.
    pub fn count(&mut self, total_bytes: u64) {
        if let Some(before) = self.counted_bytes.replace(total_bytes) {
            let grown = if total_bytes < before { total_bytes } else { total_bytes - before };
            self.used_bytes = self.used_bytes.saturating_add(grown);
        }
    }

    /// Begins a new cycle when `now` is in one, and gives the warning that is due, each share once a cycle.
    pub fn judge(&mut self, plan: &DataPlan, now: DateTime<Utc>) -> Option<TrafficWarned> {
        if now.year() < FIRST_YEAR {
            return None;
        }
        let start = cycle_start(plan.cycle_day, now);
        match self.cycle_start {
            Some(known) if start <= known => {}
            Some(_) => *self = Self { counted_bytes: self.counted_bytes, ..Self::default() },
            None => {}
        }
        self.cycle_start = self.cycle_start.max(Some(start));
        let reached = |percent: &&u8| {
            u128::from(self.used_bytes) * 100 >= u128::from(plan.limit_bytes) * u128::from(**percent)
        };
        let share = WARNINGS_PERCENT.iter().rev().find(reached)?;
        if *share <= self.warned_percent {
            return None;
        }
        self.warned_percent = *share;
        Some(TrafficWarned {
            used_bytes: self.used_bytes,
            plan_bytes: plan.limit_bytes,
            forecast_bytes: self.forecast(plan, now),
            cycle_start: start,
        })
    }

    /// Whether the plan is used up.
    #[must_use]
    pub fn is_spent(&self, plan: &DataPlan) -> bool {
        self.used_bytes >= plan.limit_bytes
    }

    /// Use expected at the end of the cycle at the pace so far.
    #[must_use]
    pub fn forecast(&self, plan: &DataPlan, now: DateTime<Utc>) -> Option<u64> {
        let start = cycle_start(plan.cycle_day, now);
        let length = start.checked_add_months(Months::new(1))? - start;
        let share = (now - start).num_seconds() as f64 / length.num_seconds() as f64;
        (share >= FORECAST_FROM).then(|| (self.used_bytes as f64 / share) as u64)
    }
}

/// Start of the cycle that `now` is in, at midnight UTC of `day` (1 to 28).
fn cycle_start(day: u8, now: DateTime<Utc>) -> DateTime<Utc> {
    let date = now.date_naive();
    let this_month = date.with_day(u32::from(day.clamp(1, 28))).unwrap_or(date);
    let start = if this_month <= date { this_month } else { this_month - Months::new(1) };
    Utc.from_utc_datetime(&start.and_time(NaiveTime::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("{text}Z").parse().unwrap()
    }

    fn plan(limit_bytes: u64, cycle_day: u8) -> DataPlan {
        DataPlan { limit_bytes, cycle_day }
    }

    #[test]
    fn a_cycle_begins_on_its_day() {
        for (day, now, start) in [
            (1, "2026-11-25T10:00:00", "2026-11-01T00:00:00"),
            (28, "2026-11-25T10:00:00", "2026-10-28T00:00:00"),
            (25, "2026-11-25T00:00:00", "2026-11-25T00:00:00"),
            (26, "2026-01-25T23:59:59", "2025-12-26T00:00:00"),
        ] {
            assert_eq!(cycle_start(day, at(now)), at(start), "{day} {now}");
        }
    }

    #[test]
    fn counters_that_begin_anew_lose_nothing() {
        let mut usage = Usage::default();
        for total in [5_000, 5_400, 100, 350] {
            usage.count(total);
        }
        assert_eq!(usage.used_bytes, 400 + 100 + 250);
    }

    #[test]
    fn each_share_is_warned_of_once_and_anew_in_the_next_cycle() {
        let plan = plan(1_000, 1);
        let mut usage = Usage::default();
        usage.count(0);
        let mut warned = Vec::new();
        for (total, now) in [
            (700, "2026-11-10T00:00:00"),
            (810, "2026-11-16T00:00:00"),
            (820, "2026-11-16T00:01:00"),
            (1_300, "2026-11-20T00:00:00"),
            (1_310, "2026-12-01T00:00:00"),
            (2_120, "2026-12-20T00:00:00"),
        ] {
            usage.count(total);
            warned.extend(usage.judge(&plan, at(now)).map(|w| (w.used_bytes, w.forecast_bytes)));
        }
        assert_eq!(warned, [(810, Some(1_620)), (1_300, Some(2_052)), (810, Some(1_321))]);
        assert!(!usage.is_spent(&plan));
    }

    #[test]
    fn a_router_without_a_clock_keeps_its_cycle() {
        let plan = plan(1_000, 1);
        let mut usage =
            Usage { used_bytes: 900, cycle_start: Some(at("2026-11-01T00:00:00")), ..Usage::default() };
        assert_eq!(usage.judge(&plan, at("1970-01-01T00:02:00")), None);
        assert_eq!(usage.judge(&plan, at("2026-11-12T00:02:00")).unwrap().used_bytes, 900);
    }
}
