//! Sessions that are up: families, settings, suspicion.

use std::time::{Duration, Instant};

use crate::event::{CauseSource, FailureClass, IpFamily, IpSettings, RegistrationChanged, RegistrationState};

use super::super::failure::{Cause, PortFault};
use super::super::words::{Dialled, Operation, Session};
use super::{Machine, State};

/// How often settings are read again without being told to.
pub const SETTINGS_PERIOD: Duration = Duration::from_secs(300);
/// Shortest time between two readings, however often the network says that they changed.
pub const SETTINGS_FLOOR: Duration = Duration::from_secs(10);
/// How long a link must work before what went before counts as over.
const SETTLE: Duration = Duration::from_secs(60);
/// How long a silent data path may stay silent before the session is given up.
const PROBE_SUSPICION: Duration = Duration::from_secs(15);
/// How long registration may be away under a live session; a poor radio comes and goes.
const REGISTRATION_SUSPICION: Duration = Duration::from_secs(60);

/// Sessions that are up.
#[derive(Debug)]
pub(super) struct Up {
    pub families: Vec<IpFamily>,
    pub adopted: bool,
    /// `None` until they were read.
    pub settings: Option<IpSettings>,
    /// When they were last read again, which may cost the modem something each time.
    pub reread_at: Option<Instant>,
    pub refresh_at: Instant,
    pub settle_at: Option<Instant>,
}

/// A family that was asked for and is not up.
#[derive(Debug)]
pub(super) struct Missing {
    pub family: IpFamily,
    pub attempt: u32,
    /// When it is tried again; never when the network will not have it.
    pub at: Option<Instant>,
}

/// What speaks against a link that is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Suspicion {
    probe: bool,
    registration: bool,
}

impl Machine {
    // ---- coming up ----

    pub(super) fn dialled(&mut self, results: Vec<Dialled>, now: Instant) {
        self.landed();
        let adopted = results.iter().any(|dialled| dialled.result == Ok(Session::Adopted));
        let (mut families, mut failures) = (Vec::new(), Vec::new());
        for dialled in results {
            match dialled.result {
                Ok(_) => families.push(dialled.family),
                Err(cause) => failures.push((dialled.family, cause)),
            }
        }
        if families.is_empty() {
            return self.dial_failed(failures, now);
        }
        let refresh_at = now + SETTINGS_PERIOD;
        let up = Up { families, adopted, settings: None, reread_at: None, refresh_at, settle_at: None };
        self.session = Some(up);
        let is_up = |family| self.session.as_ref().is_some_and(|up| up.families.contains(&family));
        if self.missing.as_ref().is_some_and(|missing| is_up(missing.family)) {
            self.missing = None;
        }
        for (family, cause) in failures {
            self.family_failed(family, &cause, now);
        }
        self.operate(Operation::ReadSettings, now);
    }

    fn dial_failed(&mut self, failures: Vec<(IpFamily, Cause)>, now: Instant) {
        let alike = failures.windows(2).all(|pair| pair[0].1 == pair[1].1);
        match failures.as_slice() {
            [] => self.fail(Cause::port(PortFault::Malformed, "connect: no answer for any family"), now),
            [(_, cause), ..] if alike && failures.len() > 1 => self.fail(cause.clone(), now),
            _ => {
                let failures = failures.into_iter().map(|(family, cause)| (Some(family), cause)).collect();
                self.fail_all(failures, now);
            }
        }
    }

    pub(super) fn first_settings(&mut self, result: Result<IpSettings, Cause>, now: Instant) {
        self.landed();
        let (Some(up), Ok(settings)) = (&mut self.session, &result) else {
            let cause = result.err().unwrap_or_else(Cause::session_ended);
            return self.fail(cause, now);
        };
        if settings.ipv4.is_none() && settings.ipv6.is_none() {
            return self.fail(Cause::protocol(15, "OutOfCall").with_detail("session without address"), now);
        }
        up.settings = Some(settings.clone());
        up.refresh_at = up.refresh_at.max(now + SETTINGS_FLOOR);
        up.settle_at = Some(now + SETTLE);
        let cause = if up.adopted { "session adopted" } else { "session up" };
        self.suspicion = Suspicion::default();
        self.tidy = None;
        self.apply(settings.clone());
        self.enter(State::Connected, cause);
        self.recovery_over();
    }

    // ---- staying up ----

    pub(super) fn upkeep(&mut self, now: Instant) {
        let Some(up) = &mut self.session else { return };
        if up.settle_at.take_if(|at| *at <= now).is_some() {
            self.settled(now);
        }
        let Some(up) = &mut self.session else { return };
        if self.flight.is_some() {
            return;
        }
        let missing = self.missing.as_ref().filter(|missing| missing.at.is_some_and(|at| at <= now));
        if let Some(missing) = missing {
            let families = vec![missing.family];
            let profile = self.config.profile.clone();
            self.operate(Operation::Connect { profile, families }, now);
        } else if up.refresh_at <= now {
            up.refresh_at = now + SETTINGS_PERIOD;
            self.operate(Operation::ReadSettings, now);
        }
    }

    /// An operator wants the family that is missing tried now.
    pub(super) fn retry_missing_now(&mut self, now: Instant) {
        if let Some(missing) = &mut self.missing {
            missing.at = Some(now);
            self.upkeep(now);
        }
    }

    pub(super) fn missing_dialled(&mut self, results: Vec<Dialled>, now: Instant) {
        self.landed();
        if results.is_empty() {
            return self.fail(Cause::port(PortFault::Malformed, "connect: no answer for the family"), now);
        }
        for dialled in results {
            match dialled.result {
                Ok(_) => {
                    if let Some(up) = &mut self.session {
                        up.families.push(dialled.family);
                        up.refresh_at = now;
                    }
                    self.missing = None;
                }
                Err(cause) if cause.class() == FailureClass::ControlChannel => return self.fail(cause, now),
                Err(cause) => self.family_failed(dialled.family, &cause, now),
            }
        }
        self.upkeep(now);
    }

    /// The network says that settings changed: read at once, for the old address carries nothing, but not too often.
    pub(super) fn settings_changed(&mut self, now: Instant) {
        if let Some(up) = &mut self.session {
            let earliest = up.reread_at.map_or(now, |at| now.max(at + SETTINGS_FLOOR));
            up.refresh_at = up.refresh_at.min(earliest);
        }
        if matches!(self.state, State::Connected | State::Suspect) {
            self.upkeep(now);
        }
    }

    pub(super) fn settings_read(&mut self, result: Result<IpSettings, Cause>, now: Instant) {
        self.landed();
        let Some(up) = &mut self.session else { return };
        up.reread_at = Some(now);
        up.refresh_at = up.refresh_at.max(now + SETTINGS_FLOOR);
        match result {
            Ok(settings) if settings.ipv4.is_none() && settings.ipv6.is_none() => {
                self.fail(Cause::protocol(15, "OutOfCall").with_detail("session without address"), now);
            }
            Ok(settings) => self.settings_now(settings),
            // Out of call: the session went without a word.
            Err(cause) if cause.source == CauseSource::Port || cause.class() == FailureClass::StaleState => {
                self.fail(cause, now);
            }
            Err(_) => {}
        }
    }

    /// Changes what changed, in place: nothing is taken down for it.
    fn settings_now(&mut self, settings: IpSettings) {
        let Some(up) = &mut self.session else { return };
        if up.settings.as_ref() == Some(&settings) {
            return;
        }
        up.settings = Some(settings.clone());
        self.apply(settings.clone());
        self.remark("settings changed", Some(settings));
    }

    // ---- going down ----

    pub(super) fn session_down(&mut self, family: Option<IpFamily>, cause: Option<Cause>, now: Instant) {
        let Some(up) = &mut self.session else { return };
        let cause = cause.unwrap_or_else(Cause::session_ended);
        match family {
            Some(family) if up.families.len() > 1 && up.families.contains(&family) => {
                up.families.retain(|up| *up != family);
                let mut rest = up.settings.clone();
                if let Some(settings) = &mut rest {
                    match family {
                        IpFamily::Ipv4 => settings.ipv4 = None,
                        IpFamily::Ipv6 => settings.ipv6 = None,
                    }
                }
                self.family_failed(family, &cause, now);
                if let (Some(settings), State::Connected | State::Suspect) = (rest, self.state) {
                    self.settings_now(settings);
                }
            }
            // Of a family that is not up: the answer to its dial has said so already.
            Some(family) if !up.families.contains(&family) => {}
            Some(_) | None => self.fail_all(vec![(family, cause)], now),
        }
    }

    pub(super) fn registration_while_up(&mut self, registration: RegistrationChanged, now: Instant) {
        let away = match registration.state {
            RegistrationState::Registered => false,
            RegistrationState::NotRegistered | RegistrationState::Searching | RegistrationState::Denied => {
                true
            }
            RegistrationState::Unknown => self.suspicion.registration,
        };
        self.note_registration(registration);
        self.suspicion.registration = away;
        if away {
            self.suspect("registration lost", REGISTRATION_SUSPICION, now);
        } else {
            self.trust_again("registered again", now);
        }
        // Cell and carrier decide settings too.
        self.settings_changed(now);
    }

    pub(super) fn probe_lost(&mut self, now: Instant) {
        self.suspicion.probe = true;
        self.suspect("probes lost", PROBE_SUSPICION, now);
    }

    pub(super) fn probe_answered(&mut self, now: Instant) {
        self.suspicion.probe = false;
        if self.suspicion.registration {
            self.until = Some(now + REGISTRATION_SUSPICION);
        }
        self.trust_again("probes answered", now);
    }

    fn suspect(&mut self, cause: &str, patience: Duration, now: Instant) {
        let end = self.until.map_or(now + patience, |until| until.min(now + patience));
        self.enter(State::Suspect, cause);
        self.until = Some(end);
        if let Some(up) = &mut self.session {
            up.settle_at = None;
        }
    }

    fn trust_again(&mut self, cause: &str, now: Instant) {
        if self.state == State::Suspect && self.suspicion == Suspicion::default() {
            self.enter(State::Connected, cause);
            if let Some(up) = &mut self.session {
                up.settle_at = Some(now + SETTLE);
            }
        }
    }

    pub(super) fn suspicion_over(&mut self, now: Instant) {
        let cause = if self.suspicion.probe { Cause::data_path_dead() } else { Cause::no_service() };
        self.fail(cause, now);
    }
}
