//! A commit that takes itself back: what is written down beside the configuration until an operator confirms
//! it, and the decision about it. Pure; `agent::config_file` reads, writes and obeys.
//!
//! ```text
//!            confirmed and central reached
//! waiting ───────────────────────────────▶ keep
//!    └──── deadline, or a reboot before the confirmation ───▶ roll back
//! ```
//!
//! Both are needed: a person can confirm over a local cable what has cut the router off from central.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A committed configuration that is not yet there to stay.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pending {
    /// Boot during which it was committed: `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// When it ends, in milliseconds since boot, suspend included.
    pub deadline_boottime_ms: u64,
    /// How long it was given, in milliseconds.
    pub window_ms: u64,
    /// SHA-256 of the new text. Another text in the file means that somebody took over by hand.
    pub text_sha256: String,
    /// The text to go back to; `None` when there was no configuration.
    pub previous: Option<String>,
    /// Whether an operator has confirmed.
    pub confirmed: bool,
}

impl std::fmt::Debug for Pending {
    /// Without the previous text: it may hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending")
            .field("boot_id", &self.boot_id)
            .field("deadline_boottime_ms", &self.deadline_boottime_ms)
            .field("confirmed", &self.confirmed)
            .finish_non_exhaustive()
    }
}

/// A moment that no wall clock can move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootTime {
    /// The running boot.
    pub boot_id: String,
    /// Milliseconds since it began, suspend included.
    pub boottime_ms: u64,
}

/// What to do about a pending configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It stays.
    Keep,
    /// The one before comes back.
    RollBack(Cause),
    /// Ask again, at the latest after this time.
    Wait(Duration),
}

/// Why a configuration is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody confirmed it in time.
    NotConfirmed,
    /// No uplink reached central in time.
    CentralUnreachable,
}

impl Cause {
    /// Word of the event `config.rolled-back`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::NotConfirmed => "not-confirmed",
            Cause::CentralUnreachable => "central-unreachable",
        }
    }
}

impl Pending {
    /// A commit at `now` that has `window` to be confirmed in.
    #[must_use]
    pub fn new(now: &BootTime, window: Duration, text_sha256: String, previous: Option<String>) -> Self {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Self {
            boot_id: now.boot_id.clone(),
            deadline_boottime_ms: now.boottime_ms.saturating_add(window_ms),
            window_ms,
            text_sha256,
            previous,
            confirmed: false,
        }
    }

    /// Decides at `now`. `reached_central`: whether some uplink has reached central *with this
    /// configuration*; true as well where no central is configured.
    ///
    /// After a reboot the time that was left is unknown. Without a confirmation the configuration goes back at
    /// once; with one, central gets the whole window again.
    #[must_use]
    pub fn decide(&self, now: &BootTime, reached_central: bool) -> Decision {
        let same_boot = now.boot_id == self.boot_id;
        let deadline_ms = if same_boot { self.deadline_boottime_ms } else { self.window_ms };
        let left_ms = deadline_ms.saturating_sub(now.boottime_ms);
        match (self.confirmed, reached_central) {
            (true, true) => Decision::Keep,
            (false, _) if !same_boot || left_ms == 0 => Decision::RollBack(Cause::NotConfirmed),
            (true, false) if left_ms == 0 => Decision::RollBack(Cause::CentralUnreachable),
            (true | false, _) => Decision::Wait(Duration::from_millis(left_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(boot_id: &str, boottime_ms: u64) -> BootTime {
        BootTime { boot_id: boot_id.into(), boottime_ms }
    }

    fn pending(confirmed: bool) -> Pending {
        let window = Duration::from_secs(600);
        Pending { confirmed, ..Pending::new(&at("a", 1_000_000), window, String::new(), None) }
    }

    #[test]
    fn every_case_is_decided() {
        let wait = |ms| Decision::Wait(Duration::from_millis(ms));
        let not_confirmed = Decision::RollBack(Cause::NotConfirmed);
        for (confirmed, boot, ms, reached, expected) in [
            (false, "a", 1_000_000, false, wait(600_000)),
            (false, "a", 1_599_999, true, wait(1)),
            (false, "a", 1_600_000, false, not_confirmed),
            (false, "a", 1_600_000, true, not_confirmed),
            (false, "a", u64::MAX, true, not_confirmed),
            (true, "a", 1_000_001, true, Decision::Keep),
            (true, "a", 1_000_001, false, wait(599_999)),
            (true, "a", 1_600_000, false, Decision::RollBack(Cause::CentralUnreachable)),
            (true, "a", 1_600_000, true, Decision::Keep),
            (false, "b", 1, true, not_confirmed),
            (true, "b", 1, true, Decision::Keep),
            (true, "b", 1, false, wait(599_999)),
            (true, "b", 600_000, false, Decision::RollBack(Cause::CentralUnreachable)),
        ] {
            let decision = pending(confirmed).decide(&at(boot, ms), reached);
            assert_eq!(decision, expected, "{confirmed} {boot} {ms} {reached}");
        }
    }

    proptest! {
        #[test]
        fn it_ends_within_the_window_and_never_stays_unconfirmed(
            start_ms in 0u64..1 << 50, window_s in 1u64..1 << 25, later_ms in 0u64..1 << 50,
            confirmed: bool, reached: bool, rebooted: bool,
        ) {
            let window = Duration::from_secs(window_s);
            let mut pending = Pending::new(&at("a", start_ms), window, String::new(), None);
            pending.confirmed = confirmed;
            let now = if rebooted { at("b", later_ms) } else { at("a", start_ms + later_ms) };
            match pending.decide(&now, reached) {
                Decision::Keep => prop_assert!(confirmed && reached),
                Decision::RollBack(_) => prop_assert!(!(confirmed && reached)),
                Decision::Wait(left) => prop_assert!(!left.is_zero() && left <= window),
            }
            if u128::from(later_ms) >= window.as_millis() {
                prop_assert!(!matches!(pending.decide(&now, reached), Decision::Wait(_)));
            }
        }
    }

    #[test]
    fn printing_it_shows_no_text() {
        let pending = Pending { previous: Some("password = \"x\"".into()), ..pending(false) };
        assert!(!format!("{pending:?}").contains("password"));
    }
}
