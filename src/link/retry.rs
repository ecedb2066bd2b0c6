//! When to try again: one list of waits per failure class, with jitter. Every class keeps its own place in
//! its list, so that a fade between two refusals does not make the refused link dial faster.
//!
//! Time is counted, never read from a wall clock.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config;
use crate::event::FailureClass;

/// How many failures of each class lie behind, since the link last worked.
pub type Steps = BTreeMap<FailureClass, u32>;

/// Gives out waits.
#[derive(Clone, Debug)]
pub struct Retry {
    paces: config::Retry,
    steps: Steps,
    rng: fastrand::Rng,
}

impl Retry {
    /// Starts at the beginning of every list. Equal seeds give equal jitter.
    #[must_use]
    pub fn new(paces: config::Retry, seed: u64) -> Self {
        Self { paces, steps: Steps::new(), rng: fastrand::Rng::with_seed(seed) }
    }

    /// Counts a failure and says how long to wait; `None` when an operator must act.
    pub fn after_failure(&mut self, class: FailureClass) -> Option<Duration> {
        let wait = wait(&self.paces, class, self.steps.get(&class).copied().unwrap_or(0))?;
        let step = self.steps.entry(class).or_default();
        *step = step.saturating_add(1);
        Some(self.jittered(class, wait))
    }

    /// Service is back: passing failures start over. Says the wait before a dial that was held up by one.
    pub fn service_returned(&mut self) -> Duration {
        self.steps.remove(&FailureClass::Passing);
        let first = wait(&self.paces, FailureClass::Passing, 0).unwrap_or_default();
        self.jittered(FailureClass::Passing, first)
    }

    /// The link works: everything starts over.
    pub fn start_over(&mut self) {
        self.steps.clear();
    }

    /// Other paces from now on; the places in the lists stay.
    pub fn set_paces(&mut self, paces: config::Retry) {
        self.paces = paces;
    }

    /// The places in the lists, to be remembered.
    #[must_use]
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// Goes on where an earlier run was.
    pub fn restore(&mut self, steps: Steps) {
        self.steps = steps;
    }

    /// Spreads a wait by the configured share both ways. A throttled modem names a least wait, so there
    /// jitter only lengthens.
    fn jittered(&mut self, class: FailureClass, wait: Duration) -> Duration {
        let share = f64::from(self.paces.jitter_percent.min(100)) / 100.0;
        let low = if class == FailureClass::Throttled { 1.0 } else { 1.0 - share };
        wait.mul_f64(low + self.rng.f64() * (1.0 + share - low))
    }
}

/// The wait of `class` after `failures` earlier ones, without jitter; the last wait of a list repeats.
#[must_use]
pub fn wait(paces: &config::Retry, class: FailureClass, failures: u32) -> Option<Duration> {
    let waits = paces.waits(class)?;
    let place = usize::try_from(failures).unwrap_or(usize::MAX);
    Some(waits.get(place).or(waits.last()).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RETRIED: [FailureClass; 7] = [
        FailureClass::Passing,
        FailureClass::NetworkBusy,
        FailureClass::Subscription,
        FailureClass::FamilyLimits,
        FailureClass::Throttled,
        FailureClass::StaleState,
        FailureClass::ControlChannel,
    ];

    #[test]
    fn subscription_reaches_an_hour_at_the_ninth_failure_and_stays() {
        let paces = config::Retry::default();
        let minutes: Vec<u64> =
            (0..12).map(|n| wait(&paces, FailureClass::Subscription, n).unwrap().as_secs() / 60).collect();
        assert_eq!(minutes, [1, 1, 1, 1, 5, 10, 15, 30, 60, 60, 60, 60]);
    }

    #[test]
    fn an_operator_case_has_no_wait() {
        let mut retry = Retry::new(config::Retry::default(), 1);
        assert_eq!(retry.after_failure(FailureClass::OperatorMustAct), None);
    }

    #[test]
    fn classes_keep_their_own_place() {
        let mut retry = Retry::new(config::Retry::default(), 7);
        for _ in 0..5 {
            retry.after_failure(FailureClass::Subscription);
        }
        retry.after_failure(FailureClass::Passing);
        retry.service_returned();
        let wait = retry.after_failure(FailureClass::Subscription).unwrap();
        assert!(wait >= Duration::from_secs(480), "{wait:?}");
        assert_eq!(retry.steps().get(&FailureClass::Passing), None);
    }

    proptest! {
        #[test]
        fn jitter_stays_within_a_fifth_and_never_shortens_throttling(seed: u64, n in 0u32..20, class in 0usize..7) {
            let (paces, class) = (config::Retry::default(), RETRIED[class]);
            let mut retry = Retry::new(paces.clone(), seed);
            for _ in 0..n {
                retry.after_failure(class);
            }
            let given = retry.after_failure(class).unwrap();
            let pace = wait(&paces, class, n).unwrap();
            let low = if class == FailureClass::Throttled { pace } else { pace.mul_f64(0.8) };
            prop_assert!(given >= low && given <= pace.mul_f64(1.2), "{given:?} of {pace:?}");
        }
    }
}
