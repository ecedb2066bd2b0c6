//! Pure: how the modem stands with the network: searching, registered, denied.

use std::time::Duration;

use super::{CardCondition, Modem};
use crate::qmi::dms::OperatingMode;
use crate::qmi::layout::Coded as _;
use crate::qmi::{RejectCause, VerboseCallEndReason};
use crate::sim::radio::Technology;

/// How long a registration takes unless the scenario says otherwise.
const REGISTER: Duration = Duration::from_millis(400);

/// Registration with the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Registration {
    /// The radio is off or the card is not ready.
    #[default]
    Idle,
    /// Looks for a network, or is registering.
    Searching,
    /// Registered.
    Registered,
    /// Refused, with this EMM cause.
    Denied(u8),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Network {
    state: Registration,
    /// When the network answers the registration under way.
    due: Option<Duration>,
    /// The host asked for a detach.
    pub(super) detached: bool,
    /// The last refusal, until the next success.
    pub(super) last_reject: Option<u8>,
}

impl Network {
    pub(super) fn state(&self) -> Registration {
        self.state
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }
}

impl Modem {
    /// Whether data can be asked for.
    pub(super) fn is_attached(&self) -> bool {
        self.network.state == Registration::Registered && !self.network.detached
    }

    /// Brings registration and sessions in line with radio, card and faults.
    pub(super) fn settle(&mut self) {
        if !self.is_present() {
            return;
        }
        let reason = |reason_type, reason| VerboseCallEndReason { reason_type, reason };
        if self.mode != OperatingMode::Online {
            self.register(Registration::Idle, None);
            return self.drop_sessions(reason(3, 2500), true);
        }
        if self.card.condition() != CardCondition::Ready {
            self.register(Registration::Idle, None);
            return self.drop_sessions(reason(2, 218), true);
        }
        if self.conditions.no_service || self.reading.technology == Technology::None {
            self.register(Registration::Searching, None);
            return self.drop_sessions(reason(3, 2001), true);
        }
        let pending = self.network.due;
        match (self.network.state, self.conditions.reject) {
            (Registration::Registered, None) => {}
            (Registration::Denied(cause), Some(wanted)) if cause == wanted => {}
            (Registration::Registered, Some(_)) => {
                self.register(Registration::Searching, Some(self.answer_time()));
                self.drop_sessions(reason(3, 1028), true);
            }
            _ => self.register(Registration::Searching, pending.or_else(|| Some(self.answer_time()))),
        }
    }

    /// The network answers the registration under way.
    pub(super) fn network_tick(&mut self) {
        if self.network.due.is_none_or(|due| due > self.now) {
            return;
        }
        match self.conditions.reject {
            Some(cause) => {
                self.network.last_reject = Some(cause);
                self.indicate_reject(RejectCause::from_number(cause.into()));
                self.register(Registration::Denied(cause), None);
            }
            None => {
                self.network.last_reject = None;
                self.register(Registration::Registered, None);
                self.autoconnect();
            }
        }
    }

    /// Registers anew, as after a search forced by the host.
    pub(super) fn search_again(&mut self) {
        if matches!(self.network.state, Registration::Denied(_)) {
            self.network.state = Registration::Searching;
        }
        self.settle();
    }

    /// Takes what the radio hears now.
    pub(super) fn listen(&mut self) {
        let reading = self.trace.at(self.now);
        let before = std::mem::replace(&mut self.reading, reading);
        if before == reading || !self.hears() {
            return;
        }
        if before.technology != reading.technology || before.cell != reading.cell {
            self.settle();
            self.indicate_system();
        }
        if before.active != reading.active {
            self.pace_sessions();
        }
        self.indicate_signal();
    }

    fn register(&mut self, state: Registration, due: Option<Duration>) {
        self.network.due = due;
        if self.network.state != state {
            self.network.state = state;
            self.indicate_system();
            self.at_registration_changed();
        }
    }

    fn answer_time(&self) -> Duration {
        let time = self.settings.scenario.modem.register_ms.map_or(REGISTER, Duration::from_millis);
        self.now + time
    }
}
