//! The recovery ladder: redial, radio off and on, QMI reset, AT reset, USB port power, and where it is allowed reboot.
//! Each rung once per outage, within a budget per hour and per day of the modem, and only for failures that a reset
//! can cure: a refused APN is not cured by power, and a throttled modem is made worse.
//!
//! [`Ladder`] belongs to one link. [`Arbiter`] stands over all links of the router: never the only working uplink,
//! never two modems at once.

use std::time::{Duration, Instant};

use crate::config::Recovery;
use crate::event::{CauseSource, FailureClass, Rung};

use super::failure::Cause;

/// One modem's ladder.
#[derive(Clone, Debug)]
pub struct Ladder {
    policy: Recovery,
    strikes: u32,
    climbed: Vec<Rung>,
    climbs: Vec<Climb>,
}

/// A climb: when, plus its age at that time (of an earlier run).
#[derive(Clone, Copy, Debug)]
struct Climb {
    at: Instant,
    age_then: Duration,
}

impl Climb {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at) + self.age_then
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// No service mends itself most of the time, and being aggressive on a poor link is worse than doing nothing: this many
/// times the usual number of attempts before the ladder is climbed for it.
const PATIENCE_WITH_PASSING: u32 = 3;

impl Ladder {
    /// A ladder nobody climbed yet.
    #[must_use]
    pub fn new(policy: Recovery) -> Self {
        Self { policy, strikes: 0, climbed: Vec::new(), climbs: Vec::new() }
    }

    /// Goes on where an earlier run was.
    pub fn restore(&mut self, climbed: Vec<Rung>, climbed_ms_ago: &[u64], now: Instant) {
        self.climbed = climbed;
        self.climbs = climbed_ms_ago
            .iter()
            .map(|ago| Climb { at: now, age_then: Duration::from_millis(*ago) })
            .collect();
    }

    /// Other rules from now on.
    pub fn set_policy(&mut self, policy: Recovery) {
        self.policy = policy;
    }

    /// Counts a failure; says the rung to climb before the next attempt, if it is time for one.
    pub fn strike(&mut self, cause: &Cause, class: FailureClass) -> Option<Rung> {
        let (lowest, patience) = match class {
            // A dead data path behind a live session: a new session is the mildest cure, and due at once.
            FailureClass::Passing if cause.source == CauseSource::Probe => (Rung::Redial, 1),
            FailureClass::Passing => {
                (Rung::RadioCycle, self.policy.attempts_per_rung.saturating_mul(PATIENCE_WITH_PASSING))
            }
            FailureClass::StaleState => (Rung::RadioCycle, self.policy.attempts_per_rung),
            FailureClass::ControlChannel => (Rung::QmiReset, self.policy.attempts_per_rung),
            FailureClass::NetworkBusy
            | FailureClass::Subscription
            | FailureClass::FamilyLimits
            | FailureClass::Throttled
            | FailureClass::OperatorMustAct
            | FailureClass::Unknown => return None,
        };
        self.strikes = self.strikes.saturating_add(1);
        if self.strikes < patience {
            return None;
        }
        self.strikes = 0;
        self.policy.allowed_rungs().find(|rung| *rung >= lowest && !self.climbed.contains(rung))
    }

    /// A rung is being climbed.
    pub fn climb(&mut self, rung: Rung, now: Instant) {
        self.climbed.push(rung);
        self.climbs.retain(|climb| climb.age(now) < DAY);
        self.climbs.push(Climb { at: now, age_then: Duration::ZERO });
    }

    /// The outage is over: every rung may be climbed again in the next one. Budgets stay.
    pub fn outage_over(&mut self) {
        self.strikes = 0;
        self.climbed.clear();
    }

    /// Rungs left this hour and this day.
    #[must_use]
    pub fn budget_left(&self, now: Instant) -> (u32, u32) {
        let used = |window| {
            let count = self.climbs.iter().filter(|climb| climb.age(now) < window).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        (
            self.policy.budget_per_hour.saturating_sub(used(HOUR)),
            self.policy.budget_per_day.saturating_sub(used(DAY)),
        )
    }

    /// Whether the budget allows a rung.
    #[must_use]
    pub fn has_budget(&self, now: Instant) -> bool {
        let (hour, day) = self.budget_left(now);
        hour > 0 && day > 0
    }

    /// Rungs climbed in this outage.
    #[must_use]
    pub fn climbed(&self) -> &[Rung] {
        &self.climbed
    }

    /// Ages of the climbs of the last day, to be remembered.
    #[must_use]
    pub fn climbed_ms_ago(&self, now: Instant) -> Vec<u64> {
        let ages = self.climbs.iter().map(|climb| climb.age(now)).filter(|age| *age < DAY);
        ages.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)).collect()
    }
}

/// Decides over all modems of a router who may climb.
#[derive(Clone, Debug, Default)]
pub struct Arbiter {
    in_recovery: Option<String>,
}

/// Why a rung may not be climbed now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Traffic would have no way out.
    #[error("{0} is the only working uplink")]
    OnlyUplink(String),
    /// The other modem is not back yet.
    #[error("{0} is in recovery")]
    OtherInRecovery(String),
    /// A reboot takes all uplinks down, and this one works.
    #[error("a reboot would stop {0}, which works")]
    RebootStops(String),
}

impl Arbiter {
    /// May `link` climb `rung`? `working` names the uplinks that can carry traffic now. A grant holds until
    /// [`Self::over`].
    ///
    /// # Errors
    /// When it may not. Force overrules everything but another modem in recovery.
    pub fn ask(&mut self, link: &str, rung: Rung, forced: bool, working: &[String]) -> Result<(), Refusal> {
        if let Some(other) = self.in_recovery.as_ref().filter(|other| *other != link) {
            return Err(Refusal::OtherInRecovery(other.clone()));
        }
        if !forced {
            if working.iter().any(|uplink| uplink == link) && working.iter().all(|uplink| uplink == link) {
                return Err(Refusal::OnlyUplink(link.to_owned()));
            }
            if let (Rung::Reboot, Some(works)) = (rung, working.first()) {
                return Err(Refusal::RebootStops(works.clone()));
            }
        }
        self.in_recovery = Some(link.to_owned());
        Ok(())
    }

    /// `link` is out of recovery.
    pub fn over(&mut self, link: &str) {
        if self.in_recovery.as_deref() == Some(link) {
            self.in_recovery = None;
        }
    }

    /// The link in recovery.
    #[must_use]
    pub fn in_recovery(&self) -> Option<&str> {
        self.in_recovery.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::failure::PortFault;

    fn timeout() -> Cause {
        Cause::port(PortFault::Timeout, "")
    }

    /// Strikes until the ladder is used up, and climbs each rung that is due.
    fn climbs(ladder: &mut Ladder, cause: &Cause, strikes: u32, now: Instant) -> Vec<Rung> {
        let mut climbed = Vec::new();
        for _ in 0..strikes {
            if let Some(rung) = ladder.strike(cause, cause.class()) {
                ladder.climb(rung, now);
                climbed.push(rung);
            }
        }
        climbed
    }

    #[test]
    fn each_rung_once_per_outage_and_reboot_only_when_allowed() {
        let now = Instant::now();
        let mut ladder = Ladder::new(Recovery::default());
        let expected = [Rung::QmiReset, Rung::AtReset, Rung::UsbPower];
        assert_eq!(climbs(&mut ladder, &timeout(), 100, now), expected);
        ladder.outage_over();
        assert_eq!(climbs(&mut ladder, &timeout(), 4, now), [Rung::QmiReset]);

        let mut allowed = Ladder::new(Recovery { reboot: true, ..Recovery::default() });
        assert_eq!(climbs(&mut allowed, &timeout(), 100, now).last(), Some(&Rung::Reboot));
    }

    #[test]
    fn a_dead_data_path_is_redialled_at_once_and_no_service_is_given_time() {
        let now = Instant::now();
        let mut ladder = Ladder::new(Recovery::default());
        assert_eq!(climbs(&mut ladder, &Cause::data_path_dead(), 1, now), [Rung::Redial]);
        let mut ladder = Ladder::new(Recovery::default());
        assert_eq!(climbs(&mut ladder, &Cause::no_service(), 11, now), []);
        assert_eq!(climbs(&mut ladder, &Cause::no_service(), 1, now), [Rung::RadioCycle]);
    }

    #[test]
    fn throttling_and_refusals_never_climb() {
        let mut ladder = Ladder::new(Recovery::default());
        for cause in [(2, 209), (2, 211), (6, 33), (6, 26), (6, 50)].map(|(t, c)| Cause::verbose(t, c, "x")) {
            assert_eq!(climbs(&mut ladder, &cause, 1000, Instant::now()), [], "{cause:?}");
        }
    }

    #[test]
    fn budgets_run_out_and_come_back_with_the_hour_and_the_day() {
        let start = Instant::now();
        let policy = Recovery { budget_per_hour: 2, budget_per_day: 3, ..Recovery::default() };
        let mut ladder = Ladder::new(policy.clone());
        ladder.climb(Rung::QmiReset, start);
        ladder.climb(Rung::AtReset, start);
        assert_eq!(ladder.budget_left(start), (0, 1));
        let later = start + HOUR;
        assert_eq!(ladder.budget_left(later), (2, 1));
        ladder.climb(Rung::UsbPower, later);
        assert!(!ladder.has_budget(later));
        assert!(ladder.has_budget(start + DAY));

        let mut restarted = Ladder::new(policy);
        restarted.restore(ladder.climbed().to_vec(), &ladder.climbed_ms_ago(later), later);
        assert_eq!(restarted.budget_left(later), ladder.budget_left(later));
        assert_eq!(restarted.budget_left(start + DAY), ladder.budget_left(start + DAY));
    }

    #[test]
    fn pitfall_28_never_the_only_working_uplink_without_force() {
        let mut arbiter = Arbiter::default();
        let only = ["lte-1".to_owned()];
        let refusal = Refusal::OnlyUplink("lte-1".into());
        assert_eq!(arbiter.ask("lte-1", Rung::QmiReset, false, &only), Err(refusal));
        assert_eq!(arbiter.ask("lte-1", Rung::QmiReset, true, &only), Ok(()));
        arbiter.over("lte-1");
        let both = ["lte-1".to_owned(), "lte-2".to_owned()];
        assert_eq!(arbiter.ask("lte-1", Rung::QmiReset, false, &both), Ok(()));
        arbiter.over("lte-1");
        let reboot = arbiter.ask("lte-1", Rung::Reboot, false, &["lte-2".to_owned()]);
        assert_eq!(reboot, Err(Refusal::RebootStops("lte-2".into())));
    }

    #[test]
    fn never_both_modems_at_once_not_even_by_force() {
        let mut arbiter = Arbiter::default();
        assert_eq!(arbiter.ask("lte-1", Rung::QmiReset, false, &[]), Ok(()));
        let refusal = Refusal::OtherInRecovery("lte-1".into());
        assert_eq!(arbiter.ask("lte-2", Rung::QmiReset, true, &[]), Err(refusal));
        arbiter.over("lte-2");
        assert_eq!(arbiter.in_recovery(), Some("lte-1"));
        arbiter.over("lte-1");
        assert_eq!(arbiter.ask("lte-2", Rung::QmiReset, false, &[]), Ok(()));
    }
}
