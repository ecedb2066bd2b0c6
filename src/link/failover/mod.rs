//! Which uplinks carry the traffic: a pure machine over the states, packets and probes of all uplinks.
//!
//! ```text
//! states, counters, answers ─▶ uplink (one each: own word, health, burst, proof) ─▶ standing
//!                                                                                     │
//!                      budget: octets of probes, returns in the window ─▶ hold        ▼
//!                                                                          └──────▶ choice ─▶ Select
//! ```
//!
//! Three verbs: [`Failover::handle`] takes an input and the time, [`Failover::poll_output`] gives what must be done, to
//! be called until it is empty after every input, and [`Failover::next_deadline`] says when to hand in
//! [`Input::Timeout`].
//!
//! It keeps these promises, whatever comes in:
//! - while any uplink is up, one carries: a suspect or spent one too, when it is the last;
//! - traffic never moves to an uplink that is suspect, dead, unproven or spent while another works;
//! - an uplink that failed carries again after its proof, its hold and the minimum stay, unless nothing else works;
//! - traffic returns to a better uplink no more often than the flap budget says; away from a failing one it always
//!   goes at once;
//! - no uplink is condemned while anything is received on it, nor for a target that other uplinks lose as well;
//! - probes of an uplink cost no more than the budget of the month.

mod budget;
mod choice;
mod correlation;
mod report;
mod statistics;
#[cfg(test)]
mod tests;
mod uplink;
mod words;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::{InterfaceType, Policy, Standby};
use crate::event::UplinkStopped;

use budget::FlapBudget;
use choice::{Candidate, choose};
use correlation::Correlation;
use uplink::{Desk, Health, Own, Uplink};

pub use budget::{MONTH, heartbeat_bytes_per_month, sustained_heartbeat};
pub use report::{Overview, ProbeSample, Standing, TargetReport, UplinkReport};
pub use words::{Carrier, Families, Input, Output, Purpose, Selection, Settings, UplinkSettings};

/// After the start, uplinks come up in any order: so long, traffic moves to a better one without having stayed.
pub const START: Duration = Duration::from_secs(10);
/// How long after the start a cold standby waits for the wired circuit.
const CIRCUIT_PATIENCE: Duration = Duration::from_secs(5);

/// Which uplinks carry the traffic.
#[derive(Debug)]
pub struct Failover {
    settings: Settings,
    uplinks: Vec<Uplink>,
    carrying: Vec<Carrier>,
    started: Instant,
    changed_at: Option<Instant>,
    flaps: FlapBudget,
    correlation: Correlation,
    next_id: u64,
    deadline: Option<Instant>,
    out: VecDeque<Output>,
}

impl Failover {
    /// All uplinks down. Under a cold standby the links rest from now on.
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        let uplinks =
            settings.uplinks.iter().map(|one| Uplink::new(one.clone(), &settings.probe, now)).collect();
        let mut failover = Self {
            correlation: Correlation::new(settings.correlation_prefix.clone()),
            settings,
            uplinks,
            carrying: Vec::new(),
            started: now,
            changed_at: None,
            flaps: FlapBudget::default(),
            next_id: 1,
            deadline: None,
            out: VecDeque::new(),
        };
        failover.advance(now, now);
        failover
    }

    /// Takes in what happened at `now`. [`Self::poll_output`] is to be emptied after it.
    pub fn handle(&mut self, input: Input, now: Instant) {
        let mut detected_at = now;
        self.correlation.begin(None);
        match input {
            Input::Up { uplink, families, correlation_id } => {
                self.correlation.begin(correlation_id);
                self.at(&uplink, |one| one.up(families, now));
            }
            Input::Suspect { uplink, cause, detected_at: at, correlation_id } => {
                detected_at = at.min(now);
                self.correlation.begin(correlation_id);
                self.at(&uplink, |one| one.suspect(cause, now));
            }
            Input::Down { uplink, cause, detected_at: at, correlation_id } => {
                detected_at = at.min(now);
                self.correlation.begin(correlation_id);
                self.at(&uplink, |one| one.down(cause, now));
            }
            Input::Counters { uplink, tx_packets, rx_packets } => {
                self.at(&uplink, |one| one.read_counters(tx_packets, rx_packets, now));
            }
            Input::ProbeAnswered { id, round_trip } => {
                let (uplinks, mut desk) = self.desk();
                uplinks.iter_mut().any(|one| one.answered(id, round_trip, &mut desk, now));
            }
            Input::ProbeFailed { id, .. } => {
                self.uplinks.iter_mut().any(|one| one.undeliverable(id, now));
            }
            Input::Quota { uplink, spent } => self.at(&uplink, |one| one.quota_spent = spent),
            Input::Configured(settings) => self.configured(*settings, now),
            Input::Timeout => {}
        }
        self.advance(detected_at, now);
    }

    /// What must be done next. `None` until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Input::Timeout`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Names of the uplinks that carry traffic.
    #[must_use]
    pub fn carrying(&self) -> Vec<String> {
        self.carrying.iter().map(|carrier| carrier.uplink.clone()).collect()
    }

    /// Names of the uplinks that could carry traffic now, whether they do or not.
    #[must_use]
    pub fn working(&self) -> Vec<String> {
        let works = |one: &&Uplink| one.standing() <= Standing::Spent;
        self.uplinks.iter().filter(works).map(|one| one.settings.name.clone()).collect()
    }

    /// The carrying ones with the share of each, as it is after all that is still to be polled.
    #[must_use]
    pub fn carriers(&self) -> &[Carrier] {
        &self.carrying
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Everything that `show uplinks` tells.
    pub fn overview(&mut self, now: Instant) -> Overview {
        let holds: Vec<_> = self.uplinks.iter().map(|one| self.held_until(one, now)).collect();
        let rested = self.uplinks.iter().any(|one| one.standing() <= Standing::Spent);
        let probe = &self.settings.probe;
        let left = |at: Option<Instant>| {
            at.map(|at| milliseconds(at.saturating_duration_since(now))).filter(|ms| *ms > 0)
        };
        let since = |at: Option<Instant>| at.map(|at| milliseconds(now.saturating_duration_since(at)));
        let uplinks = self.uplinks.iter_mut().zip(holds).map(|(one, hold)| {
            let standing = one.standing();
            let hold_ms = left(hold).filter(|_| !one.carrying);
            let reason = match standing {
                Standing::Working if !one.carrying && hold_ms.is_some() => "works, on hold".into(),
                Standing::Working if !one.carrying => "works, not needed".into(),
                _ if one.carrying && standing > Standing::Working && !rested => {
                    format!("the last there is: {}", one.reason())
                }
                _ => one.reason(),
            };
            UplinkReport {
                name: one.settings.name.clone(),
                kind: one.settings.kind,
                priority: one.settings.priority,
                weight: one.settings.weight,
                carrying: one.carrying,
                reason,
                standing,
                checking: one.check.is_some(),
                good_probes: match one.health {
                    Health::Trusted => None,
                    Health::Proving { good } => Some(good),
                    Health::Dead => Some(0),
                },
                lost_probes: one.lost_in_a_row,
                quiet_ms: since(one.alive_at),
                hold_ms,
                failures: u32::try_from(one.failures.len()).unwrap_or(u32::MAX),
                quota_spent: one.quota_spent,
                resting: one.resting,
                heartbeat_ms: milliseconds(one.pace(probe, now)),
                probe_bytes: one.budget.spent_bytes(),
                probe: one.statistics.status(),
            }
        });
        let uplinks = uplinks.collect();
        let targets = self.settings.probe.targets.iter().enumerate().map(|(at, target)| TargetReport {
            target: target.clone(),
            ignored_ms: left(self.blamed_until(at)),
        });
        let targets = targets.collect();
        self.flaps.forget_before_window(self.settings.failover.flap_window, now);
        Overview {
            policy: self.settings.failover.policy,
            uplinks,
            targets,
            flaps_left: self.flaps.left(self.settings.failover.flap_budget),
        }
    }

    /// The probe statistics since the last call, for `probe.sampled` events; those without a probe are left out.
    pub fn take_samples(&mut self) -> Vec<ProbeSample> {
        let mut samples = Vec::new();
        for one in &mut self.uplinks {
            let uplink = &one.settings.name;
            samples.extend(one.statistics.take().into_iter().map(|sample| ProbeSample {
                uplink: uplink.clone(),
                target: sample.target,
                sent: sample.sent,
                lost: sample.lost,
                round_trips: sample.round_trips,
            }));
        }
        samples
    }

    // ---- inputs ----

    fn at(&mut self, name: &str, then: impl FnOnce(&mut Uplink)) {
        if let Some(one) = self.uplinks.iter_mut().find(|one| one.settings.name == name) {
            then(one);
        }
    }

    fn desk(&mut self) -> (&mut Vec<Uplink>, Desk<'_>) {
        let desk = Desk {
            probe: &self.settings.probe,
            recovery_count: self.settings.failover.recovery_count,
            out: &mut self.out,
            next_id: &mut self.next_id,
            correlation: &mut self.correlation,
        };
        (&mut self.uplinks, desk)
    }

    fn configured(&mut self, settings: Settings, now: Instant) {
        // Another kind under the same name is another uplink.
        let is_same = |a: &UplinkSettings, b: &UplinkSettings| (&a.name, a.kind) == (&b.name, b.kind);
        let mut before = std::mem::take(&mut self.uplinks);
        self.uplinks = settings
            .uplinks
            .iter()
            .map(|wanted| match before.iter().position(|one| is_same(&one.settings, wanted)) {
                None => Uplink::new(wanted.clone(), &settings.probe, now),
                Some(at) => {
                    let mut one = before.swap_remove(at);
                    one.settings = wanted.clone();
                    one.set_probe(&settings.probe, now);
                    one
                }
            })
            .collect();
        self.settings = settings;
    }

    // ---- as time passes ----

    fn advance(&mut self, detected_at: Instant, now: Instant) {
        let window = self.settings.failover.flap_window;
        self.flaps.forget_before_window(window, now);
        let (uplinks, mut desk) = self.desk();
        for one in uplinks.iter_mut() {
            one.forget_before_window(window, now);
            one.advance(&mut desk, now);
        }
        self.witnesses(now);
        self.verdicts(now);
        self.select(detected_at, now);
        self.standby(now);
        self.deadline = self.deadline_after(now);
    }

    /// The last probe of a burst goes out through another uplink too, for comparison.
    fn witnesses(&mut self, now: Instant) {
        let (uplinks, mut desk) = self.desk();
        for at in 0..uplinks.len() {
            let Some(check) = uplinks[at].check.as_mut().filter(|check| check.wants_witness) else {
                continue;
            };
            check.wants_witness = false;
            let targets = uplinks[at].burst_targets();
            let able =
                |one: &Uplink| one.own == Own::Up && one.health == Health::Trusted && one.check.is_none();
            let witness =
                (0..uplinks.len()).filter(|other| *other != at).find(|other| able(&uplinks[*other]));
            if let Some(witness) = witness {
                uplinks[witness].bear_witness(&targets, &mut desk, now);
            }
        }
    }

    fn verdicts(&mut self, now: Instant) {
        let (uplinks, mut desk) = self.desk();
        for at in 0..uplinks.len() {
            if !uplinks[at].verdict_due(desk.probe) {
                continue;
            }
            let targets = uplinks[at].burst_targets();
            let since = uplinks[at].check.as_ref().map_or(now, |check| check.started);
            if uplinks.iter().any(|one| one.is_still_asking(since)) {
                continue;
            }
            let excused = uplinks
                .iter()
                .enumerate()
                .any(|(other, one)| other != at && one.misses_them_too(&targets, since));
            if excused {
                uplinks[at].excuse(now);
            } else {
                uplinks[at].condemn(&mut desk, now);
            }
        }
    }

    /// Until when an uplink may not take traffic from another that works; `None` where it may.
    fn held_until(&self, one: &Uplink, now: Instant) -> Option<Instant> {
        let failover = &self.settings.failover;
        let (stay, window) = (failover.minimum_stay, failover.flap_window);
        let own = one.hold_until(stay, window);
        // Under active-active a new uplink takes traffic from nobody that had it for long.
        if own.is_none() && failover.policy == Policy::ActiveActive {
            return None;
        }
        let settling = own.is_none() && now < self.started + START;
        let stayed = self.changed_at.map(|at| at + stay).filter(|_| !settling);
        let flaps = if failover.flap_budget == 0 {
            Some(self.started + MONTH * 1200)
        } else {
            self.flaps.again_at(failover.flap_budget, window)
        };
        own.max(stayed).max(flaps)
    }

    fn select(&mut self, detected_at: Instant, now: Instant) {
        let candidates: Vec<Candidate> = self
            .uplinks
            .iter()
            .map(|one| Candidate {
                standing: one.standing(),
                is_wired: one.settings.kind == InterfaceType::Ethernet,
                priority: one.settings.priority,
                carrying: one.carrying,
                held: !one.carrying && self.held_until(one, now).is_some_and(|until| until > now),
            })
            .collect();
        let choice = choose(self.settings.failover.policy, &candidates);
        let carrier = |at: &usize| {
            let settings = &self.uplinks[*at].settings;
            Carrier { uplink: settings.name.clone(), weight: settings.weight }
        };
        let carrying: Vec<Carrier> = choice.carrying.iter().map(carrier).collect();
        if carrying == self.carrying {
            return;
        }
        let before = std::mem::replace(&mut self.carrying, carrying);
        let stopped = before
            .iter()
            .filter(|carrier| self.carrying.iter().all(|one| one.uplink != carrier.uplink))
            .map(|carrier| UplinkStopped {
                uplink: carrier.uplink.clone(),
                cause: self.why_stopped(&carrier.uplink),
            })
            .collect::<Vec<_>>();
        let names = |list: &[Carrier]| list.iter().map(|one| one.uplink.clone()).collect::<Vec<_>>();
        if names(&before) != names(&self.carrying) {
            let fresh = choice
                .carrying
                .iter()
                .filter(|at| !self.uplinks[**at].carrying)
                .all(|at| self.uplinks[*at].failures.is_empty());
            if choice.voluntary && !(fresh && stopped.is_empty()) {
                self.flaps.note(now);
            }
            self.changed_at = Some(now);
        }
        for (at, one) in self.uplinks.iter_mut().enumerate() {
            one.carrying = choice.carrying.contains(&at);
        }
        let correlation_id = self.correlation.id();
        let carrying = self.carrying.clone();
        self.out.push_back(Output::Select(Selection { carrying, stopped, detected_at, correlation_id }));
    }

    fn why_stopped(&self, name: &str) -> String {
        let Some(one) = self.uplinks.iter().find(|one| one.settings.name == name) else {
            return "no longer configured".into();
        };
        match one.standing() {
            Standing::Working => "a better uplink works".into(),
            Standing::Proving => one.cause.clone(),
            Standing::Spent | Standing::Suspect | Standing::Dead | Standing::Down => one.reason(),
        }
    }

    /// Under a cold standby, modems connect only while no circuit works.
    fn standby(&mut self, now: Instant) {
        let failover = &self.settings.failover;
        let is_wired = |one: &Uplink| one.settings.kind == InterfaceType::Ethernet;
        let cold = failover.policy == Policy::LastResort
            && failover.standby == Standby::Cold
            && self.uplinks.iter().any(is_wired);
        let works = self.uplinks.iter().any(|one| is_wired(one) && one.standing() == Standing::Working);
        let modem_carries = self.uplinks.iter().any(|one| one.carrying && !is_wired(one));
        let waiting = self.changed_at.is_none() && now < self.started + CIRCUIT_PATIENCE;
        let stayed =
            self.changed_at.is_none_or(|at| self.started + START > at || now >= at + failover.minimum_stay);
        for one in &mut self.uplinks {
            let uplink = one.settings.name.clone();
            let rest =
                cold && !is_wired(one) && (waiting || works && !modem_carries && (one.resting || stayed));
            if rest && !one.resting {
                self.out.push_back(Output::Rest { uplink });
            } else if one.resting && !rest {
                self.out.push_back(Output::Dial { uplink });
            }
            one.resting = rest;
        }
    }

    fn deadline_after(&mut self, now: Instant) -> Option<Instant> {
        let holds = self
            .uplinks
            .iter()
            .filter(|one| !one.carrying && one.standing() <= Standing::Spent)
            .filter_map(|one| self.held_until(one, now))
            .filter(|at| *at > now)
            .min();
        let cold = self.settings.failover.standby == Standby::Cold;
        let patience = (cold && self.changed_at.is_none()).then_some(self.started + CIRCUIT_PATIENCE);
        let rest = self.changed_at.filter(|_| cold).map(|at| at + self.settings.failover.minimum_stay);
        let timers = [patience, rest].into_iter().flatten().filter(|at| *at > now).min();
        let probe = &self.settings.probe;
        let probes = self.uplinks.iter_mut().filter_map(|one| one.next_deadline(probe, now)).min();
        [holds, timers, probes].into_iter().flatten().min()
    }

    /// Until when no uplink asks the target, because it was lost everywhere it was asked while others answered.
    fn blamed_until(&self, target: usize) -> Option<Instant> {
        let seen: Vec<_> = self.uplinks.iter().filter_map(|one| one.targets.get(target)).collect();
        let until = seen.iter().filter_map(|one| one.ignored_until).max()?;
        let answered_elsewhere = seen.iter().any(|one| {
            one.ignored_until.is_none() && one.answered_at.is_some_and(|at| at + uplink::IGNORE > until)
        });
        (!answered_elsewhere).then_some(until)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
