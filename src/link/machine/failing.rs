//! The way down: failures, waits, holds, recovery, and what is remembered of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::{
    FailureClass, IpFamily, LinkFailed, RecoveryPerformed, RecoveryResult, RegistrationChanged, Rung,
};

use super::super::failure::{self, Cause};
use super::super::memory::{self, FailureContext, Memory};
use super::super::words::{LinkConfig, Operation, Output};
use super::session::Missing;
use super::steps::Tidy;
use super::{Machine, State, milliseconds};

/// How long the word of the arbiter is waited for.
const ASK_PATIENCE: Duration = Duration::from_secs(5);
/// How long a modem is given to come back from a reset before its port is tried again.
const RESET_PAUSE: Duration = Duration::from_secs(30);
/// How long a modem counts as in recovery when it neither comes up nor fails again.
const RECOVERY_LONGEST: Duration = Duration::from_secs(180);

/// When the carrier may be dialled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Until(Instant, FailureClass),
    Operator,
}

/// A rung that was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub rung: Rung,
    pub forced: bool,
    pub until: Instant,
}

impl Machine {
    pub(super) fn fail(&mut self, cause: Cause, now: Instant) {
        self.fail_all(vec![(None, cause)], now);
    }

    /// The attempt, or the link, failed for these causes: at most one of a family.
    pub(super) fn fail_all(&mut self, failures: Vec<(Option<IpFamily>, Cause)>, now: Instant) {
        self.abort();
        let asked = self.families();
        let classes: Vec<_> =
            failures.iter().map(|(family, cause)| self.class_of(*family, cause, &asked)).collect();
        let mut waits = BTreeMap::new();
        for class in &classes {
            waits.entry(*class).or_insert_with(|| self.retry.after_failure(*class));
        }
        // The one that asks for the longest wait decides; none at all is for ever.
        let longest = |at: &usize| waits[&classes[*at]].unwrap_or(Duration::MAX);
        let decisive = (0..classes.len()).rev().max_by_key(longest).unwrap_or(0);
        let (class, cause) = (classes[decisive], &failures[decisive].1);
        self.attempt = self.attempt.saturating_add(1);
        let wait = waits[&class];
        self.pending_rung = self.ladder.strike(cause, class);
        self.let_go(class, cause.voids_clients());
        self.hold_carrier(cause, class, wait, now);
        let stopped_by_sim = cause.source == crate::event::CauseSource::Sim;
        let reason = cause.reason.clone();

        for ((family, cause), class) in failures.iter().zip(&classes) {
            self.report_failure(*family, cause, *class, self.attempt, wait);
        }
        self.recovery_over();
        self.remember(now);
        match wait {
            Some(wait) => {
                self.enter(State::Waiting, reason);
                self.until = Some(now + wait);
            }
            None => {
                self.stopped_by_sim = stopped_by_sim;
                self.withdraw();
                self.enter(State::Stopped, reason);
            }
        }
    }

    /// What is known to be gone with this class of failure.
    fn let_go(&mut self, class: FailureClass, voids_clients: bool) {
        if self.session.is_some() {
            self.tidy = self.tidy.max(Some(Tidy::HangUp));
        }
        match class {
            // The port, not the session: leave the interface alone, the session is adopted when the port is back.
            FailureClass::ControlChannel => {
                self.session = None;
                self.tidy = None;
                self.close();
            }
            FailureClass::StaleState => {
                self.tidy = Some(Tidy::CleanUp);
                self.withdraw();
                if voids_clients {
                    self.close();
                }
            }
            FailureClass::Passing
            | FailureClass::NetworkBusy
            | FailureClass::Subscription
            | FailureClass::FamilyLimits
            | FailureClass::Throttled
            | FailureClass::OperatorMustAct
            | FailureClass::Unknown => self.withdraw(),
        }
    }

    /// The class of a cause here and now. A family limit is one only when the permitted family is asked for and is
    /// not the one known already; otherwise no family is left, and that is a matter of subscription.
    fn class_of(&mut self, family: Option<IpFamily>, cause: &Cause, asked: &[IpFamily]) -> FailureClass {
        let class = cause.class();
        if class != FailureClass::FamilyLimits {
            return class;
        }
        let permitted = cause.permitted_family(family);
        let helps = permitted
            .is_some_and(|permitted| self.config.families.contains(&permitted) && asked != [permitted]);
        if !helps {
            return FailureClass::Subscription;
        }
        self.permitted_family = permitted;
        class
    }

    fn report_failure(
        &mut self,
        family: Option<IpFamily>,
        cause: &Cause,
        class: FailureClass,
        attempt: u32,
        wait: Option<Duration>,
    ) {
        let context = FailureContext {
            attempt,
            r#type: cause.r#type,
            code: cause.code,
            reason: cause.reason.clone(),
            class,
            source: cause.source,
            family,
        };
        if failure::is_passing(class) {
            self.passing = Some(context);
        } else {
            self.failure = Some(context);
            self.passing = None;
        }
        self.report(LinkFailed {
            attempt,
            r#type: cause.r#type,
            code: cause.code,
            reason: cause.reason.clone(),
            class,
            source: cause.source,
            family,
            next_retry_time: None,
            retry_in_ms: wait.map(milliseconds),
            signal: self.signal.clone(),
            cell: self.cell.clone(),
            detail: cause.detail.clone(),
            correlation_id: None,
        });
    }

    /// One family failed while the link lives on with the other.
    pub(super) fn family_failed(&mut self, family: IpFamily, cause: &Cause, now: Instant) {
        let asked = self.families();
        let class = self.class_of(Some(family), cause, &asked);
        let wait = match class {
            FailureClass::FamilyLimits => None,
            _ => self.retry.after_failure(class),
        };
        let before = self.missing.as_ref().filter(|missing| missing.family == family);
        let attempt = before.map_or(0, |missing| missing.attempt).saturating_add(1);
        self.missing = Some(Missing { family, attempt, at: wait.map(|wait| now + wait) });
        self.report_failure(Some(family), cause, class, attempt, wait);
        self.remember(now);
    }

    // ---- holds ----

    fn hold_carrier(&mut self, cause: &Cause, class: FailureClass, wait: Option<Duration>, now: Instant) {
        use crate::event::CauseSource;
        // Card and port speak for themselves at the next look; only what the carrier said must be kept.
        if matches!(cause.source, CauseSource::Sim | CauseSource::Port) {
            return;
        }
        self.hold = Some(wait.map_or(Hold::Operator, |wait| Hold::Until(now + wait, class)));
    }

    /// Rests while the carrier may not be dialled. Says whether it does.
    pub(super) fn rest_on_hold(&mut self, now: Instant) -> bool {
        match self.hold {
            Some(Hold::Operator) => {
                self.stopped_by_sim = false;
                self.withdraw();
                self.enter(State::Stopped, "stopped before, nothing has changed");
                true
            }
            Some(Hold::Until(until, _)) if until > now => {
                self.enter(State::Waiting, "the wait of an earlier failure is not over");
                self.until = Some(until);
                true
            }
            Some(Hold::Until(..)) | None => false,
        }
    }

    pub(super) fn wait_over(&mut self, now: Instant) {
        match self.pending_rung.take() {
            // A reset makes a throttled modem worse.
            Some(_) if self.throttled(now) => self.go_on("retry", now),
            Some(rung) if self.ladder.has_budget(now) => self.ask(rung, false, now),
            Some(rung) => {
                self.report_recovery(rung, RecoveryResult::Refused, Some("budget used up".into()), now);
                self.go_on("retry", now);
            }
            None if self.asked.is_some() => self.until = None,
            None => self.go_on("retry", now),
        }
    }

    pub(super) fn registration_while_waiting(&mut self, registration: RegistrationChanged, now: Instant) {
        let before = self.is_registered();
        self.note_registration(registration);
        if before || !self.is_registered() || self.recovering() {
            return;
        }
        let wait = self.retry.service_returned();
        if let (Some(Hold::Until(_, FailureClass::Passing)), Some(until)) = (self.hold, self.until) {
            let until = until.min(now + wait);
            self.until = Some(until);
            self.hold = Some(Hold::Until(until, FailureClass::Passing));
            self.pending_rung = None;
        }
    }

    // ---- operators ----

    /// An operator overrules every wait, also that of a throttled modem: who types it knows more than we do.
    pub(super) fn retry_now(&mut self, now: Instant) {
        if self.recovering() {
            return;
        }
        self.abort();
        self.drop_holds();
        self.pending_rung = None;
        self.asked = None;
        (self.pin_tried, self.card_cycled) = (false, false);
        self.remember(now);
        if self.state == State::Stopped {
            self.start_over_with_card("retry now", now);
        } else {
            self.go_on("retry now", now);
        }
    }

    /// The carrier may be dialled again, whatever an earlier failure asked for.
    fn drop_holds(&mut self) {
        self.hold = None;
        self.missing = None;
        if let Some(memory) = &mut self.remembered {
            memory.hold = None;
            memory.missing = None;
        }
    }

    fn throttled(&self, now: Instant) -> bool {
        let remembered = self.remembered.as_ref().and_then(|memory| self.recalled_hold(memory));
        [self.hold, remembered]
            .into_iter()
            .flatten()
            .any(|hold| matches!(hold, Hold::Until(until, FailureClass::Throttled) if until > now))
    }

    fn recalled_hold(&self, memory: &Memory) -> Option<Hold> {
        Some(match memory.hold? {
            memory::Hold::Wait { left_ms, class } => {
                Hold::Until(self.created + Duration::from_millis(left_ms), class)
            }
            memory::Hold::Operator => Hold::Operator,
        })
    }

    pub(super) fn reset_now(&mut self, rung: Rung, forced: bool, now: Instant) {
        if self.recovering() || self.asked.is_some() {
            self.report_recovery(rung, RecoveryResult::Refused, Some("already in recovery".into()), now);
        } else if self.throttled(now) && !forced {
            self.report_recovery(rung, RecoveryResult::Refused, Some("the modem is throttling".into()), now);
        } else {
            self.ask(rung, forced, now);
        }
    }

    pub(super) fn config_changed(&mut self, config: LinkConfig, now: Instant) {
        if config == self.config {
            return;
        }
        let old = std::mem::replace(&mut self.config, config);
        self.retry.set_paces(self.config.retry.clone());
        self.ladder.set_policy(self.config.recovery.clone());
        let new = &self.config;
        let dials_alike = (&old.profile, &old.families, &old.pin, &old.imei, &old.iccid)
            == (&new.profile, &new.families, &new.pin, &new.imei, &new.iccid);
        if dials_alike && self.state != State::Stopped {
            return;
        }
        if old.profile.apn_name != new.profile.apn_name || old.families != new.families {
            self.forget();
        }
        self.drop_holds();
        (self.pin_tried, self.card_cycled) = (false, false);
        self.prepared = false;
        self.remember(now);
        // A port is opened for the families that are configured.
        if old.families != self.config.families && !self.recovering() {
            self.abort();
            self.close();
        }
        match self.state {
            State::Opening if self.flight.is_none() => self.open("configuration changed", now),
            State::Absent | State::Opening => {}
            State::Waiting if self.recovering() => {}
            State::Sim
            | State::Registering
            | State::Connecting
            | State::Connected
            | State::Suspect
            | State::Waiting
            | State::Stopped => match self.wrong_imei() {
                Some(cause) => self.fail(cause, now),
                None => self.start_over_with_card("configuration changed", now),
            },
        }
    }

    // ---- recovery ----

    pub(super) fn recovering(&self) -> bool {
        self.rung_in_flight().is_some()
    }

    pub(super) fn rung_in_flight(&self) -> Option<Rung> {
        match self.flight.as_ref()?.operation {
            Operation::Recover(rung) => Some(rung),
            _ => None,
        }
    }

    fn ask(&mut self, rung: Rung, forced: bool, now: Instant) {
        self.asked = Some(Asked { rung, forced, until: now + ASK_PATIENCE });
        self.until = self.until.filter(|_| self.state != State::Waiting);
        self.out.push_back(Output::AskRecovery { rung, forced });
    }

    pub(super) fn recovery_granted(&mut self, now: Instant) {
        if self.throttled(now) && !self.asked.as_ref().is_some_and(|asked| asked.forced) {
            self.out.push_back(Output::RecoveryOver);
            return self.recovery_refused("the modem is throttling".into(), now);
        }
        let Some(asked) = self.asked.take() else {
            return self.out.push_back(Output::RecoveryOver);
        };
        self.abort();
        if self.session.is_some() {
            self.tidy = self.tidy.max(Some(Tidy::HangUp));
        }
        self.withdraw();
        self.enter(State::Waiting, format!("recovery: {}", rung_name(asked.rung)));
        self.ladder.climb(asked.rung, now);
        self.recovery_until = Some(now + RECOVERY_LONGEST);
        self.remember(now);
        if asked.rung > Rung::Redial {
            self.prepared = false;
            self.registration = None;
        }
        self.operate(Operation::Recover(asked.rung), now);
    }

    pub(super) fn recovery_refused(&mut self, cause: String, now: Instant) {
        let Some(asked) = self.asked.take() else { return };
        self.report_recovery(asked.rung, RecoveryResult::Refused, Some(cause), now);
        if self.state == State::Waiting && self.until.is_none() && self.flight.is_none() {
            self.go_on("retry", now);
        }
    }

    pub(super) fn rung_climbed(&mut self, result: Result<(), String>, now: Instant) {
        if let Some(Operation::Recover(rung)) = self.flight.take().map(|flight| flight.operation) {
            self.recovered(rung, result, now);
        }
    }

    pub(super) fn recovered(&mut self, rung: Rung, result: Result<(), String>, now: Instant) {
        let done = result.is_ok();
        self.report_rung(rung, result, now);
        if rung == Rung::Redial && done {
            self.tidy = None;
        }
        if done && rung > Rung::RadioCycle {
            self.close();
            self.sim = None;
            self.until = Some(now + RESET_PAUSE);
        } else {
            self.go_on("recovery", now);
        }
    }

    /// The modem is out of recovery, for better or worse: the other one may have its turn.
    pub(super) fn recovery_over(&mut self) {
        if self.recovery_until.take().is_some() {
            self.out.push_back(Output::RecoveryOver);
        }
    }

    pub(super) fn report_rung(&mut self, rung: Rung, result: Result<(), String>, now: Instant) {
        let outcome = if result.is_ok() { RecoveryResult::Done } else { RecoveryResult::Failed };
        self.report_recovery(rung, outcome, result.err(), now);
    }

    fn report_recovery(&mut self, rung: Rung, result: RecoveryResult, cause: Option<String>, now: Instant) {
        let (budget_left_hour, budget_left_day) = self.ladder.budget_left(now);
        self.report(RecoveryPerformed {
            rung,
            result,
            cause,
            budget_left_hour,
            budget_left_day,
            correlation_id: None,
        });
    }

    // ---- memory ----

    /// The link has proved that it works: what went before is over.
    pub(super) fn settled(&mut self, now: Instant) {
        self.attempt = 0;
        self.hold = None;
        self.card_cycled = false;
        self.ladder.outage_over();
        // A family that is still refused keeps its pace.
        if self.missing.as_ref().is_none_or(|missing| missing.at.is_none()) {
            self.retry.start_over();
        }
        if self.missing.is_none() {
            self.failure = None;
            self.passing = None;
        }
        self.remember(now);
    }

    /// Takes up what an earlier run remembered of this SIM and APN, once both are known.
    pub(super) fn recall(&mut self, now: Instant) {
        let iccid = self.sim.as_ref().and_then(|sim| sim.iccid.clone());
        if iccid.is_some() {
            self.iccid.clone_from(&iccid);
        }
        let Some(memory) = self.remembered.take() else { return };
        // A card that does not tell its number is taken for the one before until it does.
        let iccid = iccid.or_else(|| memory.iccid.clone());
        if !memory.belongs_to(iccid.as_deref(), &self.config.profile.apn_name) {
            self.ladder.outage_over();
            return self.remember(now);
        }
        self.iccid = iccid;
        self.hold = self.recalled_hold(&memory);
        self.attempt = memory.attempt;
        self.failure = memory.failure;
        self.passing = memory.passing;
        self.retry.restore(memory.steps);
        self.permitted_family = memory.permitted_family;
        self.missing = memory.missing.map(|missing| Missing {
            family: missing.family,
            attempt: missing.attempt,
            at: missing.left_ms.map(|left_ms| self.created + Duration::from_millis(left_ms)),
        });
    }

    /// Another SIM or another APN: nothing of before counts, but the budget of the ladder.
    pub(super) fn forget(&mut self) {
        self.remembered = None;
        self.attempt = 0;
        self.failure = None;
        self.passing = None;
        self.hold = None;
        self.missing = None;
        self.permitted_family = None;
        self.retry.start_over();
        self.ladder.outage_over();
    }

    pub(super) fn remember(&mut self, now: Instant) {
        let climbed_ms_ago = self.ladder.climbed_ms_ago(now);
        let memory = match &self.remembered {
            // Not taken up yet, for the card is not known: it must not be lost.
            Some(memory) => {
                let memory = memory.clone().aged(now.saturating_duration_since(self.created));
                Memory { climbed: self.ladder.climbed().to_vec(), climbed_ms_ago, ..memory }
            }
            None => self.memory(climbed_ms_ago, now),
        };
        self.out.push_back(Output::Remember(Box::new(memory)));
    }

    fn memory(&self, climbed_ms_ago: Vec<u64>, now: Instant) -> Memory {
        let left_ms = |until: Instant| milliseconds(until.saturating_duration_since(now));
        let hold = self.hold.map(|hold| match hold {
            Hold::Until(until, class) => memory::Hold::Wait { left_ms: left_ms(until), class },
            Hold::Operator => memory::Hold::Operator,
        });
        let missing = self.missing.as_ref().map(|missing| memory::MissingFamily {
            family: missing.family,
            attempt: missing.attempt,
            left_ms: missing.at.map(left_ms),
        });
        Memory {
            iccid: self.iccid.clone(),
            apn_name: self.config.profile.apn_name.clone(),
            attempt: self.attempt,
            failure: self.failure.clone(),
            passing: self.passing.clone(),
            steps: self.retry.steps().clone(),
            hold,
            permitted_family: self.permitted_family,
            missing,
            climbed: self.ladder.climbed().to_vec(),
            climbed_ms_ago,
        }
    }
}

pub(super) fn rung_name(rung: Rung) -> &'static str {
    match rung {
        Rung::Redial => "redial",
        Rung::RadioCycle => "radio off and on",
        Rung::QmiReset => "QMI reset",
        Rung::AtReset => "AT reset",
        Rung::UsbPower => "USB port power",
        Rung::Reboot => "reboot",
        Rung::Unknown => "unknown",
    }
}
