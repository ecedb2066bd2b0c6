//! When something happened, as far as a router's clocks can tell. A router on LTE alone boots in 1970 and
//! learns the time later; what it told before is dated afterwards through its uptime.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::event::{ClockState, Origin};

/// A moment on one of the router's clocks. Written as `[milliseconds, boot]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i64, u32)", into = "(i64, u32)")]
pub struct Moment {
    /// Since 1970 when `boot` is 0, else since that boot.
    ms: i64,
    boot: u32,
}

impl Moment {
    /// The moment `offset_ms` later.
    #[must_use]
    pub fn plus_ms(self, offset_ms: u32) -> Self {
        Self { ms: self.ms.saturating_add(i64::from(offset_ms)), ..self }
    }
}

impl From<(i64, u32)> for Moment {
    fn from((ms, boot): (i64, u32)) -> Self {
        Self { ms, boot }
    }
}

impl From<Moment> for (i64, u32) {
    fn from(moment: Moment) -> Self {
        (moment.ms, moment.boot)
    }
}

/// One run of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Boot {
    id: Box<str>,
    /// Counted from 1 in the order in which the boots were first heard of.
    number: u32,
    /// When it began by a clock that was set, and the uptime at which that clock was read: the latest counts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    dated: Option<(i64, u64)>,
    /// It began no later than this: the least of receipt minus uptime.
    began_by_ms: i64,
}

/// The boots of a router, the last [`Boots::KEPT_MAX`] of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Boots(Vec<Boot>);

impl Boots {
    /// Boots remembered. Moments of older ones that no clock dated have no date.
    pub const KEPT_MAX: usize = 4;

    /// Notes what an event tells of its boot; returns the boot's number and the moment of the event.
    pub fn note(
        &mut self,
        origin: &Origin,
        time: DateTime<Utc>,
        received_at: DateTime<Utc>,
    ) -> (u32, Moment) {
        let uptime_ms = i64::try_from(origin.uptime_ms).unwrap_or(i64::MAX);
        let began_by_ms = received_at.timestamp_millis().saturating_sub(uptime_ms);
        let boot = self.find(&origin.boot_id, began_by_ms);
        boot.began_by_ms = boot.began_by_ms.min(began_by_ms);
        if origin.clock == ClockState::Synced {
            let began_ms = time.timestamp_millis().saturating_sub(uptime_ms);
            // In whatever order they come: of two read at the same uptime the later one.
            if boot.dated.is_none_or(|(began, uptime)| (uptime, began) < (origin.uptime_ms, began_ms)) {
                boot.dated = Some((began_ms, origin.uptime_ms));
            }
            (boot.number, Moment { ms: time.timestamp_millis(), boot: 0 })
        } else {
            (boot.number, Moment { ms: uptime_ms, boot: boot.number })
        }
    }

    /// The moment by wall clock; `None` when its boot is forgotten.
    #[must_use]
    pub fn date(&self, moment: Moment) -> Option<DateTime<Utc>> {
        let began_ms = match moment.boot {
            0 => 0,
            number => {
                let boot = self.0.iter().find(|boot| boot.number == number)?;
                boot.dated.map_or(boot.began_by_ms, |(began_ms, _)| began_ms)
            }
        };
        DateTime::UNIX_EPOCH
            .checked_add_signed(TimeDelta::try_milliseconds(began_ms.saturating_add(moment.ms))?)
    }

    /// Gives back room that it does not need.
    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    fn find(&mut self, id: &str, began_by_ms: i64) -> &mut Boot {
        let at = match self.0.iter().rposition(|boot| *boot.id == *id) {
            Some(at) => at,
            None => {
                let number = self.0.last().map_or(1, |last| last.number.saturating_add(1));
                if self.0.len() == Self::KEPT_MAX {
                    self.0.remove(0);
                }
                self.0.reserve_exact(1);
                self.0.push(Boot { id: id.into(), number, dated: None, began_by_ms });
                self.0.len() - 1
            }
        };
        &mut self.0[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn origin(boot_id: &str, uptime_ms: u64, clock: ClockState) -> Origin {
        Origin { boot_id: boot_id.into(), uptime_ms, clock }
    }

    #[test]
    fn what_happened_in_1970_is_dated_once_the_clock_is_set() {
        let mut boots = Boots::default();
        let received = at("2026-05-01T12:10:00Z");
        let (_, early) =
            boots.note(&origin("b", 5_000, ClockState::Unsynced), at("1970-01-01T00:00:05Z"), received);
        assert_eq!(boots.date(early), Some(received), "no later than it was received");
        boots.note(&origin("b", 65_000, ClockState::Synced), at("2026-05-01T12:01:05Z"), received);
        assert_eq!(boots.date(early), Some(at("2026-05-01T12:00:05Z")));
    }

    #[test]
    fn the_date_of_a_boot_hangs_on_no_order() {
        let clocks = [
            (10_000, "2026-05-01T12:01:00Z"),
            (10_000, "2026-05-01T12:02:00Z"),
            (5_000, "2026-05-01T12:09:00Z"),
        ];
        let noted = |order: [usize; 3]| {
            let mut boots = Boots::default();
            for (uptime_ms, time) in order.map(|at| clocks[at]) {
                boots.note(&origin("b", uptime_ms, ClockState::Synced), at(time), at("2026-05-01T13:00:00Z"));
            }
            boots
        };
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            assert_eq!(noted(order), noted([0, 1, 2]), "{order:?}");
        }
    }

    #[test]
    fn a_forgotten_boot_leaves_a_moment_without_date() {
        let mut boots = Boots::default();
        let received = at("2026-05-01T12:00:00Z");
        let (_, early) = boots.note(&origin("b0", 0, ClockState::Unsynced), DateTime::UNIX_EPOCH, received);
        for boot in 1..10 {
            boots.note(&origin(&format!("b{boot}"), 0, ClockState::Unsynced), DateTime::UNIX_EPOCH, received);
        }
        assert_eq!(boots.date(early), None);
        assert_eq!(boots.0.len(), Boots::KEPT_MAX);
    }

    #[test]
    fn the_ends_of_time_are_survived() {
        let mut boots = Boots::default();
        let (_, moment) = boots.note(
            &origin("b", u64::MAX, ClockState::Unsynced),
            DateTime::<Utc>::MIN_UTC,
            DateTime::<Utc>::MAX_UTC,
        );
        let _ = boots.date(moment.plus_ms(u32::MAX));
        let (_, moment) = boots.note(
            &origin("b", u64::MAX, ClockState::Synced),
            DateTime::<Utc>::MAX_UTC,
            DateTime::<Utc>::MIN_UTC,
        );
        let _ = boots.date(moment.plus_ms(u32::MAX));
    }
}
