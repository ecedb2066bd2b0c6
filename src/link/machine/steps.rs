//! The way up: open, SIM, registration, dial.

use std::time::{Duration, Instant};

use crate::event::{
    CardState, CauseSource, FailureClass, IpFamily, RegistrationChanged, RegistrationState, Rung, SimChanged,
};

use super::super::failure::{Cause, PortFault, SimFault};
use super::super::words::{Identity, Operation, Output, Path};
use super::{Machine, State};

/// Fewer tries left than this, and the PIN is not given.
pub const PIN_RETRIES_LEAST: u8 = 3;
/// How long a card may take to become ready; slow ones take half a minute.
const SIM_PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at a card that is not ready.
const SIM_LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How long registration may take before it counts as a failure.
const REGISTRATION_PATIENCE: Duration = Duration::from_secs(120);

/// What must be cleared away before the next dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tidy {
    /// Our own sessions.
    HangUp,
    /// Whatever an earlier life left in the modem.
    CleanUp,
}

impl Machine {
    pub(super) fn open(&mut self, cause: &str, now: Instant) {
        self.enter(State::Opening, cause);
        self.operate(Operation::Open, now);
    }

    pub(super) fn vanish(&mut self, now: Instant) {
        if let Some(rung) = self.rung_in_flight() {
            // A modem that resets goes off the bus before it can answer.
            let result = if rung > Rung::RadioCycle { Ok(()) } else { Err("the modem vanished".into()) };
            self.report_rung(rung, result, now);
        }
        self.abort();
        self.close();
        self.withdraw();
        self.identity = None;
        self.sim = None;
        self.registration = None;
        self.signal = None;
        self.cell = None;
        self.tidy = None;
        (self.pin_tried, self.card_cycled) = (false, false);
        self.pending_rung = None;
        self.asked = None;
        self.enter(State::Absent, "modem gone");
        self.remember(now);
    }

    pub(super) fn opened(&mut self, result: Result<Identity, Cause>, now: Instant) {
        self.landed();
        match result {
            Ok(identity) => {
                self.open = true;
                self.prepared = false;
                self.identity = Some(identity);
                match self.wrong_imei() {
                    Some(cause) => self.fail(cause, now),
                    None => self.read_card("control port open", now),
                }
            }
            Err(cause) => self.fail(cause, now),
        }
    }

    /// Two equal modems may have swapped places: the wrong one is not used.
    pub(super) fn wrong_imei(&self) -> Option<Cause> {
        let wanted = self.config.imei.as_deref()?;
        let found = self.identity.as_ref()?.imei.as_deref().unwrap_or("none");
        let detail = format!("configured {wanted}, found {found}");
        (wanted != found).then(|| Cause::port(PortFault::WrongImei, detail))
    }

    // ---- SIM ----

    pub(super) fn read_card(&mut self, cause: &str, now: Instant) {
        self.enter(State::Sim, cause);
        self.until = Some(now + SIM_PATIENCE);
        self.read_sim(now);
    }

    pub(super) fn read_sim(&mut self, now: Instant) {
        self.sim_look_again = None;
        self.sim_changed_meanwhile = false;
        self.operate(Operation::ReadSim, now);
    }

    pub(super) fn sim_read(&mut self, result: Result<SimChanged, Cause>, now: Instant) {
        self.landed();
        match result {
            Ok(_) if self.sim_changed_meanwhile => self.read_sim(now),
            Ok(status) => {
                self.note_sim(status, now);
                self.judge_card(now);
            }
            Err(cause) if cause.class() == FailureClass::Passing => {
                self.sim_look_again = Some(now + SIM_LOOK_AGAIN);
            }
            Err(cause) => self.fail(cause, now),
        }
    }

    /// Takes over what is known of the card. Says whether it is another card than the one before.
    pub(super) fn note_sim(&mut self, status: SimChanged, now: Instant) -> bool {
        if status.card == CardState::Ready {
            self.pin_tried = false;
        }
        let swapped = matches!((&status.iccid, &self.iccid), (Some(new), Some(old)) if new != old);
        if swapped {
            (self.pin_tried, self.card_cycled) = (false, false);
            self.iccid.clone_from(&status.iccid);
            self.forget();
            self.remember(now);
        }
        if self.sim.as_ref() != Some(&status) {
            self.sim = Some(status.clone());
            self.report(status);
        }
        swapped
    }

    fn card(&self) -> Option<CardState> {
        self.sim.as_ref().map(|sim| sim.card)
    }

    /// The card's number, where the modem tells one.
    fn card_iccid(&self) -> Option<&str> {
        self.sim.as_ref()?.iccid.as_deref()
    }

    /// Two cards may have swapped places: the wrong one is not dialled with.
    fn wrong_iccid(&self) -> Option<Cause> {
        let (wanted, found) = (self.config.iccid.as_deref()?, self.card_iccid()?);
        let detail = format!("configured {wanted}, found {found}");
        (wanted != found).then(|| Cause::sim(SimFault::WrongIccid).with_detail(detail))
    }

    fn judge_card(&mut self, now: Instant) {
        let card = self.card().unwrap_or(CardState::Unknown);
        match card {
            // Which card it is may be told later than that it is ready.
            CardState::Ready if self.config.iccid.is_some() && self.card_iccid().is_none() => {
                self.sim_look_again = Some(now + SIM_LOOK_AGAIN);
            }
            CardState::Ready => self.go_on("SIM ready", now),
            CardState::Present | CardState::Error | CardState::Unknown => {
                self.sim_look_again = Some(now + SIM_LOOK_AGAIN);
            }
            CardState::PinRequired => self.verify_pin(now),
            CardState::Illegal if !self.card_cycled => {
                self.card_cycled = true;
                self.remark("SIM is illegal, its power is cycled once", None);
                self.operate(Operation::PowerCycleSim, now);
            }
            CardState::Absent | CardState::PukRequired | CardState::Blocked | CardState::Illegal => {
                let cause = Cause::card(card).unwrap_or_else(|| Cause::sim(SimFault::NotReady));
                self.fail(cause, now);
            }
        }
    }

    fn verify_pin(&mut self, now: Instant) {
        let left = self.sim.as_ref().and_then(|sim| sim.pin_retries);
        match &self.config.pin {
            None => self.fail(Cause::sim(SimFault::PinRequired), now),
            Some(_) if self.pin_tried => self.fail(Cause::sim(SimFault::PinRefused), now),
            Some(pin) if left.is_some_and(|left| left >= PIN_RETRIES_LEAST) => {
                let operation = Operation::VerifyPin(pin.clone());
                self.pin_tried = true;
                self.operate(operation, now);
            }
            Some(_) => {
                let left = left.map_or("unknown".into(), |left| left.to_string());
                let cause = Cause::sim(SimFault::PinRetriesLow).with_detail(format!("tries left: {left}"));
                self.fail(cause, now);
            }
        }
    }

    pub(super) fn pin_verified(&mut self, result: Result<(), Cause>, now: Instant) {
        self.landed();
        match result {
            Ok(()) => {
                self.until = Some(now + SIM_PATIENCE);
                self.sim_look_again = Some(now + SIM_LOOK_AGAIN / 2);
            }
            Err(cause) => {
                let words = cause.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
                let detail = format!("{}{words}", cause.reason);
                self.fail(Cause::sim(SimFault::PinRefused).with_detail(detail), now);
            }
        }
    }

    pub(super) fn card_cycled(&mut self, result: Result<(), Cause>, now: Instant) {
        self.landed();
        match result {
            Ok(()) => {
                self.until = Some(now + SIM_PATIENCE);
                self.sim_look_again = Some(now + SIM_LOOK_AGAIN / 2);
            }
            Err(cause) if cause.source == CauseSource::Port => self.fail(cause, now),
            Err(cause) => self.fail(Cause::sim(SimFault::Illegal).with_detail(cause.reason), now),
        }
    }

    pub(super) fn sim_patience_over(&mut self, now: Instant) {
        let card = self.card().unwrap_or(CardState::Unknown);
        self.fail(Cause::card(card).unwrap_or_else(|| Cause::sim(SimFault::NotReady)), now);
    }

    pub(super) fn sim_changed_while_reading(&mut self, status: SimChanged, now: Instant) {
        if self.flight.is_some() {
            self.sim_changed_meanwhile = true;
        } else {
            self.note_sim(status, now);
            self.sim_look_again = None;
            self.judge_card(now);
        }
    }

    /// A card event while the link is on its way or up. An unlock is no swap, and a refresh no loss: the session
    /// tells by itself when it ends.
    pub(super) fn sim_changed(&mut self, status: SimChanged, now: Instant) {
        let card = status.card;
        let swapped = self.note_sim(status, now);
        let waiting = self.state == State::Waiting;
        match card {
            CardState::Absent if !self.recovering() => self.fail(Cause::sim(SimFault::Absent), now),
            CardState::Ready if swapped => self.start_over_with_card("SIM swapped", now),
            CardState::PinRequired
            | CardState::PukRequired
            | CardState::Blocked
            | CardState::Illegal
            | CardState::Error
                if !waiting =>
            {
                self.start_over_with_card("SIM needs attention", now);
            }
            CardState::Absent
            | CardState::Present
            | CardState::Ready
            | CardState::PinRequired
            | CardState::PukRequired
            | CardState::Blocked
            | CardState::Illegal
            | CardState::Error
            | CardState::Unknown => {}
        }
    }

    pub(super) fn sim_changed_while_stopped(&mut self, status: SimChanged, now: Instant) {
        let known = |sim: &SimChanged| (sim.card, sim.iccid.clone());
        let before = self.sim.as_ref().map(known);
        let (card, told) = (status.card, known(&status));
        let swapped = self.note_sim(status, now);
        let cured = self.stopped_by_sim && Some(told) != before && card != CardState::Absent;
        if swapped || cured {
            self.start_over_with_card(if swapped { "SIM swapped" } else { "SIM changed" }, now);
        }
    }

    pub(super) fn start_over_with_card(&mut self, cause: &str, now: Instant) {
        if self.recovering() {
            return;
        }
        if let Some(cause) = self.wrong_imei() {
            return self.fail(cause, now);
        }
        if self.session.is_some() {
            self.tidy = self.tidy.max(Some(Tidy::HangUp));
        }
        self.abort();
        self.withdraw();
        self.pending_rung = None;
        if self.open {
            self.read_card(cause, now);
        } else {
            self.open(cause, now);
        }
    }

    // ---- registration ----

    /// The next step with what is known; the one place where holds are respected.
    pub(super) fn go_on(&mut self, cause: &str, now: Instant) {
        if !self.open {
            return self.open(cause, now);
        }
        if self.card() != Some(CardState::Ready) {
            return self.read_card(cause, now);
        }
        if let Some(cause) = self.wrong_iccid() {
            return self.fail(cause, now);
        }
        self.recall(now);
        if self.rest_on_hold(now) {
            return;
        }
        if !self.prepared {
            self.enter(State::Registering, cause);
            self.until = Some(now + REGISTRATION_PATIENCE);
            return self.operate(Operation::Prepare(self.config.profile.clone()), now);
        }
        if !self.is_registered() {
            self.enter(State::Registering, cause);
            self.until = Some(now + REGISTRATION_PATIENCE);
            return self.operate(Operation::Register, now);
        }
        if self.standby {
            self.withdraw();
            return self.rest();
        }
        self.enter(State::Connecting, cause);
        self.dial(now);
    }

    // ---- standby ----

    pub(super) fn set_standby(&mut self, standby: bool, now: Instant) {
        if self.standby == standby {
            return;
        }
        self.standby = standby;
        match self.state {
            State::Connecting | State::Connected | State::Suspect if standby => self.hang_up(now),
            State::Waiting if !standby && self.rests => {
                self.abort();
                self.go_on("standby is over", now);
            }
            State::Absent
            | State::Opening
            | State::Sim
            | State::Registering
            | State::Connecting
            | State::Connected
            | State::Suspect
            | State::Waiting
            | State::Stopped => {}
        }
    }

    fn hang_up(&mut self, now: Instant) {
        self.abort();
        self.tidy = self.tidy.max(Some(Tidy::HangUp));
        self.withdraw();
        self.rest();
        self.operate(Operation::Disconnect, now);
    }

    pub(super) fn hung_up(&mut self, result: Result<(), Cause>, now: Instant) {
        self.landed();
        match result {
            Ok(()) => self.tidy = None,
            Err(cause) if cause.class() == FailureClass::ControlChannel => self.fail(cause, now),
            // Tried again before the next dial.
            Err(_) => {}
        }
    }

    pub(super) fn is_registered(&self) -> bool {
        self.registration.as_ref().is_some_and(|now| now.state == RegistrationState::Registered)
    }

    pub(super) fn prepared(&mut self, result: Result<(), Cause>, now: Instant) {
        self.landed();
        match result {
            Ok(()) => {
                self.prepared = true;
                self.operate(Operation::Register, now);
            }
            Err(cause) => self.fail(cause, now),
        }
    }

    pub(super) fn register_asked(&mut self, result: Result<RegistrationChanged, Cause>, now: Instant) {
        self.landed();
        match result {
            Ok(registration) => self.registering(registration, now),
            Err(cause) => self.fail(cause, now),
        }
    }

    pub(super) fn note_registration(&mut self, registration: RegistrationChanged) {
        if self.registration.as_ref() != Some(&registration) {
            self.registration = Some(registration.clone());
            self.report(registration);
        }
    }

    pub(super) fn registering(&mut self, registration: RegistrationChanged, now: Instant) {
        let away =
            self.registration.as_ref().is_some_and(|before| before.state != RegistrationState::Registered);
        self.note_registration(registration);
        if away && self.is_registered() {
            self.retry.service_returned();
        }
        if self.flight.is_some() {
            return;
        }
        if self.is_registered() {
            return self.go_on("registered", now);
        }
        let denied = self.registration.as_ref().filter(|now| now.state == RegistrationState::Denied);
        if let Some(cause) = denied.and_then(reject_cause) {
            self.fail(cause, now);
        }
    }

    pub(super) fn registering_patience_over(&mut self, now: Instant) {
        let cause = self.registration.as_ref().and_then(reject_cause).unwrap_or_else(Cause::no_service);
        self.fail(cause, now);
    }

    // ---- dial ----

    /// Families to ask for: those configured, or the one of them that the network permits.
    pub(super) fn families(&self) -> Vec<IpFamily> {
        let permitted = self.permitted_family.filter(|family| self.config.families.contains(family));
        permitted.map_or_else(|| self.config.families.clone(), |family| vec![family])
    }

    /// Of these, the ones that may be dialled now: a family that was refused has its own wait.
    fn families_due(&self, now: Instant) -> Vec<IpFamily> {
        let families = self.families();
        let due = |family: &IpFamily| {
            let missing = self.missing.as_ref().filter(|missing| missing.family == *family);
            missing.is_none_or(|missing| missing.at.is_some_and(|at| at <= now))
        };
        let due: Vec<_> = families.iter().copied().filter(due).collect();
        if due.is_empty() { families } else { due }
    }

    fn dial(&mut self, now: Instant) {
        debug_assert!(self.prepared, "no dial before the profile is written");
        let operation = match self.tidy {
            Some(Tidy::HangUp) => Operation::Disconnect,
            Some(Tidy::CleanUp) => Operation::CleanUp,
            None => {
                Operation::Connect { profile: self.config.profile.clone(), families: self.families_due(now) }
            }
        };
        self.operate(operation, now);
    }

    /// What lay in the way is cleared, or could not be: the dial will tell.
    pub(super) fn tidied(&mut self, result: Result<(), Cause>, now: Instant) {
        self.landed();
        match result {
            Err(cause) if cause.class() == FailureClass::ControlChannel => self.fail(cause, now),
            Ok(()) | Err(_) => {
                self.tidy = None;
                self.dial(now);
            }
        }
    }

    /// Client ids may be void now, or were the trouble: the port is opened anew, with others.
    pub(super) fn cleaned_up(&mut self, result: Result<(), Cause>, now: Instant) {
        self.landed();
        match result {
            Err(cause) if cause.class() == FailureClass::ControlChannel => self.fail(cause, now),
            Ok(()) | Err(_) => {
                self.tidy = None;
                self.close();
                self.open("left-overs cleared", now);
            }
        }
    }

    /// The control port failed while nothing was asked of it.
    pub(super) fn channel_lost_at_rest(&mut self, cause: Cause, now: Instant) {
        if self.recovering() {
            return;
        }
        if self.rests {
            // Nothing else would wake a link in standby.
            return self.fail(cause, now);
        }
        self.abort();
        self.close();
        if self.state == State::Stopped {
            // Without the port no SIM change is heard: look again after a while.
            self.until = Some(now + SIM_PATIENCE);
        }
    }

    pub(super) fn apply(&mut self, settings: crate::event::IpSettings) {
        if !matches!(&self.path, Path::Up(on) if *on == settings) {
            self.out.push_back(Output::Apply(settings.clone()));
            self.path = Path::Up(settings);
        }
    }
}

fn reject_cause(registration: &RegistrationChanged) -> Option<Cause> {
    let reject = registration.reject.as_ref()?;
    Some(Cause::reject(reject.source, reject.cause, reject.name.clone()))
}
