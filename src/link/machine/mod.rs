//! One modem's way up and down, as a pure state machine.
//!
//! ```text
//! absent ─▶ opening ─▶ sim ─▶ registering ─▶ connecting ─▶ connected ⇄ suspect
//!    ▲         │        │          │              │             │         │
//!    └─────────┴────────┴──────────┴── waiting (retry at T) ◀───┴─────────┘      stopped: an operator must act
//! ```
//!
//! Three verbs: [`Machine::handle`] takes an input and the time, [`Machine::poll_output`] gives what must be done, to be
//! called until it is empty after every input, and [`Machine::next_deadline`] says when to hand in [`Input::Timeout`].
//!
//! It keeps these promises, whatever comes in:
//! - one [`Operation`] is in flight at a time;
//! - no dial before the profile is written, and none while a hold of its SIM and APN lasts, not even after the modem
//!   vanished and came back or the agent restarted;
//! - a PIN is given once, never with fewer than [`PIN_RETRIES_LEAST`] tries left, and an illegal card is power-cycled once;
//! - each failure is reported once, with the time of the next attempt unless an operator must act;
//! - a fault of the control port alone takes nothing off the network interface: the session may live on and is adopted.

mod failing;
mod session;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::event::{
    Body, Cell, IpFamily, IpSettings, LinkChanged, LinkState, RegistrationChanged as Registration, Rung,
    Signal, SimChanged as SimStatus,
};

use super::failure::{Cause, PortFault};
use super::ladder::Ladder;
use super::memory::{FailureContext, Memory};
use super::retry::Retry;
use super::words::{Identity, Input, LinkConfig, Operation, Output, Path};

pub use session::{SETTINGS_FLOOR, SETTINGS_PERIOD};
pub use steps::PIN_RETRIES_LEAST;

/// The link of one modem.
#[derive(Debug)]
pub struct Machine {
    config: LinkConfig,
    state: State,
    /// Waits for nothing but the end of standby.
    rests: bool,
    cause: String,
    out: VecDeque<Output>,
    flight: Option<Flight>,
    /// Deadline of the state itself: patience with SIM and registration, end of suspicion, end of a wait.
    until: Option<Instant>,

    // what is known of the modem
    open: bool,
    prepared: bool,
    identity: Option<Identity>,
    sim: Option<SimStatus>,
    sim_look_again: Option<Instant>,
    sim_changed_meanwhile: bool,
    pin_tried: bool,
    /// The card was power-cycled in this outage: it must not be done again.
    card_cycled: bool,
    registration: Option<Registration>,
    signal: Option<Signal>,
    cell: Option<Cell>,

    // the session
    session: Option<session::Up>,
    path: Path,
    standby: bool,
    missing: Option<session::Missing>,
    tidy: Option<steps::Tidy>,
    suspicion: session::Suspicion,

    // failures
    retry: Retry,
    ladder: Ladder,
    remembered: Option<Memory>,
    created: Instant,
    iccid: Option<String>,
    permitted_family: Option<IpFamily>,
    hold: Option<failing::Hold>,
    attempt: u32,
    failure: Option<FailureContext>,
    passing: Option<FailureContext>,
    stopped_by_sim: bool,
    pending_rung: Option<Rung>,
    asked: Option<failing::Asked>,
    recovery_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Opening,
    Sim,
    Registering,
    Connecting,
    Connected,
    Suspect,
    Waiting,
    Stopped,
}

impl From<State> for LinkState {
    fn from(state: State) -> Self {
        match state {
            State::Absent => Self::Absent,
            State::Opening => Self::Opening,
            State::Sim => Self::Sim,
            State::Registering => Self::Registering,
            State::Connecting => Self::Connecting,
            State::Connected => Self::Connected,
            State::Suspect => Self::Suspect,
            State::Waiting => Self::Waiting,
            State::Stopped => Self::Stopped,
        }
    }
}

#[derive(Debug)]
struct Flight {
    operation: Operation,
    until: Instant,
}

impl Machine {
    /// A link without a modem. `memory` is what an earlier run remembered, `seed` decides the jitter.
    #[must_use]
    pub fn new(config: LinkConfig, memory: Option<Memory>, seed: u64, now: Instant) -> Self {
        let mut ladder = Ladder::new(config.recovery.clone());
        if let Some(memory) = &memory {
            ladder.restore(memory.climbed.clone(), &memory.climbed_ms_ago, now);
        }
        Self {
            retry: Retry::new(config.retry.clone(), seed),
            config,
            state: State::Absent,
            rests: false,
            cause: "looking for the modem".into(),
            out: VecDeque::new(),
            flight: None,
            until: None,
            open: false,
            prepared: false,
            identity: None,
            sim: None,
            sim_look_again: None,
            sim_changed_meanwhile: false,
            pin_tried: false,
            card_cycled: false,
            registration: None,
            signal: None,
            cell: None,
            session: None,
            path: Path::Unknown,
            standby: false,
            missing: None,
            tidy: None,
            suspicion: session::Suspicion::default(),
            ladder,
            remembered: memory,
            created: now,
            iccid: None,
            permitted_family: None,
            hold: None,
            attempt: 0,
            failure: None,
            passing: None,
            stopped_by_sim: false,
            pending_rung: None,
            asked: None,
            recovery_until: None,
        }
    }

    /// Takes one input. Inputs that mean nothing in the state it is in change nothing.
    pub fn handle(&mut self, input: Input, now: Instant) {
        use Input as I;
        use State as S;
        if input.is_answer() && !self.flight.as_ref().is_some_and(|flight| input.answers(&flight.operation)) {
            return;
        }
        match (self.state, input) {
            // the slot
            (S::Absent, I::Appeared) => self.open("modem appeared", now),
            (
                S::Opening
                | S::Sim
                | S::Registering
                | S::Connecting
                | S::Connected
                | S::Suspect
                | S::Waiting
                | S::Stopped,
                I::Appeared,
            ) => {}
            (S::Absent, I::Vanished) => {}
            (
                S::Opening
                | S::Sim
                | S::Registering
                | S::Connecting
                | S::Connected
                | S::Suspect
                | S::Waiting
                | S::Stopped,
                I::Vanished,
            ) => self.vanish(now),

            // answers to operations; one that comes in another state was given up, and its answer with it
            (S::Opening, I::Opened(result)) => self.opened(result, now),
            (S::Sim, I::SimRead(result)) => self.sim_read(result, now),
            (S::Sim, I::PinVerified(result)) => self.pin_verified(result, now),
            (S::Sim, I::SimCycled(result)) => self.card_cycled(result, now),
            (S::Registering, I::Prepared(result)) => self.prepared(result, now),
            (S::Registering, I::RegisterAsked(result)) => self.register_asked(result, now),
            (S::Connecting, I::Disconnected(result)) => self.tidied(result, now),
            (S::Connecting, I::CleanedUp(result)) => self.cleaned_up(result, now),
            (S::Connecting, I::Connected(results)) => self.dialled(results, now),
            (S::Connecting, I::SettingsRead(result)) => self.first_settings(result, now),
            (S::Connected | S::Suspect, I::Connected(results)) => self.missing_dialled(results, now),
            (S::Connected | S::Suspect, I::SettingsRead(result)) => self.settings_read(result, now),
            (S::Waiting, I::Recovered(result)) => self.rung_climbed(result, now),
            (S::Waiting, I::Disconnected(result)) => self.hung_up(result, now),
            (
                S::Absent
                | S::Sim
                | S::Registering
                | S::Connecting
                | S::Connected
                | S::Suspect
                | S::Waiting
                | S::Stopped,
                I::Opened(_),
            )
            | (
                S::Absent
                | S::Opening
                | S::Registering
                | S::Connecting
                | S::Connected
                | S::Suspect
                | S::Waiting
                | S::Stopped,
                I::SimRead(_) | I::PinVerified(_) | I::SimCycled(_),
            )
            | (
                S::Absent
                | S::Opening
                | S::Sim
                | S::Connecting
                | S::Connected
                | S::Suspect
                | S::Waiting
                | S::Stopped,
                I::Prepared(_) | I::RegisterAsked(_),
            )
            | (
                S::Absent | S::Opening | S::Sim | S::Registering | S::Connected | S::Suspect | S::Stopped,
                I::Disconnected(_),
            )
            | (
                S::Absent
                | S::Opening
                | S::Sim
                | S::Registering
                | S::Connected
                | S::Suspect
                | S::Waiting
                | S::Stopped,
                I::CleanedUp(_),
            )
            | (
                S::Absent | S::Opening | S::Sim | S::Registering | S::Waiting | S::Stopped,
                I::Connected(_) | I::SettingsRead(_),
            )
            | (
                S::Absent
                | S::Opening
                | S::Sim
                | S::Registering
                | S::Connecting
                | S::Connected
                | S::Suspect
                | S::Stopped,
                I::Recovered(_),
            ) => {}

            // the card
            (S::Absent | S::Opening, I::SimChanged(_)) => {}
            (S::Sim, I::SimChanged(status)) => self.sim_changed_while_reading(status, now),
            (
                S::Registering | S::Connecting | S::Connected | S::Suspect | S::Waiting,
                I::SimChanged(status),
            ) => {
                self.sim_changed(status, now);
            }
            (S::Stopped, I::SimChanged(status)) => self.sim_changed_while_stopped(status, now),

            // the network
            (S::Absent, I::RegistrationChanged(_)) => {}
            (S::Opening | S::Sim | S::Connecting | S::Stopped, I::RegistrationChanged(registration)) => {
                self.note_registration(registration);
            }
            (S::Registering, I::RegistrationChanged(registration)) => self.registering(registration, now),
            (S::Connected | S::Suspect, I::RegistrationChanged(registration)) => {
                self.registration_while_up(registration, now);
            }
            (S::Waiting, I::RegistrationChanged(registration)) => {
                self.registration_while_waiting(registration, now)
            }
            (S::Connecting | S::Connected | S::Suspect, I::SessionDown { family, cause }) => {
                self.session_down(family, cause, now);
            }
            (
                S::Absent | S::Opening | S::Sim | S::Registering | S::Waiting | S::Stopped,
                I::SessionDown { .. } | I::SettingsChanged,
            ) => {}
            (S::Connecting | S::Connected | S::Suspect, I::SettingsChanged) => self.settings_changed(now),
            (S::Absent, I::Measured { .. }) => {}
            (
                S::Opening
                | S::Sim
                | S::Registering
                | S::Connecting
                | S::Connected
                | S::Suspect
                | S::Waiting
                | S::Stopped,
                I::Measured { signal, cell },
            ) => (self.signal, self.cell) = (Some(signal), Some(cell)),

            // the data path
            (S::Connected | S::Suspect, I::ProbeLost) => self.probe_lost(now),
            (S::Suspect, I::ProbeAnswered) => self.probe_answered(now),
            (
                S::Absent | S::Opening | S::Sim | S::Registering | S::Connecting | S::Waiting | S::Stopped,
                I::ProbeLost,
            )
            | (
                S::Absent
                | S::Opening
                | S::Sim
                | S::Registering
                | S::Connecting
                | S::Connected
                | S::Waiting
                | S::Stopped,
                I::ProbeAnswered,
            ) => {}

            // the control port
            (S::Absent, I::ChannelFault(_)) => {}
            (S::Waiting | S::Stopped, I::ChannelFault(cause)) => self.channel_lost_at_rest(cause, now),
            (
                S::Opening | S::Sim | S::Registering | S::Connecting | S::Connected | S::Suspect,
                I::ChannelFault(cause),
            ) => self.fail(cause, now),

            // operators and the rest of the agent
            (
                S::Absent
                | S::Opening
                | S::Sim
                | S::Registering
                | S::Connecting
                | S::Connected
                | S::Suspect
                | S::Waiting
                | S::Stopped,
                I::Standby(standby),
            ) => self.set_standby(standby, now),
            (S::Waiting | S::Stopped, I::RetryNow) => self.retry_now(now),
            (S::Connected | S::Suspect, I::RetryNow) => self.retry_missing_now(now),
            (S::Absent | S::Opening | S::Sim | S::Registering | S::Connecting, I::RetryNow) => {}
            (S::Absent, I::ResetNow { .. }) => {}
            (
                S::Opening
                | S::Sim
                | S::Registering
                | S::Connecting
                | S::Connected
                | S::Suspect
                | S::Waiting
                | S::Stopped,
                I::ResetNow { rung, forced },
            ) => self.reset_now(rung, forced, now),
            (
                S::Absent
                | S::Opening
                | S::Sim
                | S::Registering
                | S::Connecting
                | S::Connected
                | S::Suspect
                | S::Waiting
                | S::Stopped,
                I::ConfigChanged(config),
            ) => self.config_changed(*config, now),
            (
                S::Opening
                | S::Sim
                | S::Registering
                | S::Connecting
                | S::Connected
                | S::Suspect
                | S::Waiting
                | S::Stopped,
                I::RecoveryGranted,
            ) => self.recovery_granted(now),
            (
                S::Opening
                | S::Sim
                | S::Registering
                | S::Connecting
                | S::Connected
                | S::Suspect
                | S::Waiting
                | S::Stopped,
                I::RecoveryRefused(cause),
            ) => self.recovery_refused(cause, now),
            (S::Absent, I::RecoveryGranted) => self.out.push_back(Output::RecoveryOver),
            (S::Absent, I::RecoveryRefused(_)) => {}
            (
                S::Absent
                | S::Opening
                | S::Sim
                | S::Registering
                | S::Connecting
                | S::Connected
                | S::Suspect
                | S::Waiting
                | S::Stopped,
                I::Timeout,
            ) => self.timeout(now),
        }
    }

    /// What must be done next. `None` until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Input::Timeout`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let idle = self.flight.is_none();
        let up = self.session.as_ref().filter(|_| matches!(self.state, State::Connected | State::Suspect));
        [
            self.flight.as_ref().map(|flight| flight.until),
            self.until.filter(|_| idle || self.state == State::Suspect),
            self.sim_look_again.filter(|_| idle),
            self.recovery_until,
            self.asked.as_ref().map(|asked| asked.until),
            up.and_then(|up| up.settle_at),
            up.map(|up| up.refresh_at).filter(|_| idle),
            up.and(self.missing.as_ref()).and_then(|missing| missing.at).filter(|_| idle),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// State of the link.
    #[must_use]
    pub fn state(&self) -> LinkState {
        if self.rests { LinkState::Standby } else { self.state.into() }
    }

    /// What brought it into that state, in a few words.
    #[must_use]
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// The last failure that does not pass by itself.
    #[must_use]
    pub fn failure(&self) -> Option<&FailureContext> {
        self.failure.as_ref()
    }

    /// The last failure that passes by itself, where it is the newer one.
    #[must_use]
    pub fn passing_failure(&self) -> Option<&FailureContext> {
        self.passing.as_ref()
    }

    /// When the next attempt is due, while one is waited for.
    #[must_use]
    pub fn next_attempt(&self) -> Option<Instant> {
        match self.state {
            State::Waiting => self.until,
            State::Connected | State::Suspect => self.missing.as_ref().and_then(|missing| missing.at),
            State::Absent
            | State::Opening
            | State::Sim
            | State::Registering
            | State::Connecting
            | State::Stopped => None,
        }
    }

    /// Settings of the sessions that are up.
    #[must_use]
    pub fn settings(&self) -> Option<&IpSettings> {
        self.session.as_ref().and_then(|up| up.settings.as_ref())
    }

    /// What may be on the network interface. Outlives the session where only the control port is lost.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the session was taken over.
    #[must_use]
    pub fn adopted(&self) -> bool {
        self.session.as_ref().is_some_and(|up| up.adopted)
    }

    /// The modem, once it has said who it is.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The SIM as last read.
    #[must_use]
    pub fn sim(&self) -> Option<&SimStatus> {
        self.sim.as_ref()
    }

    /// Registration as last heard.
    #[must_use]
    pub fn registration(&self) -> Option<&Registration> {
        self.registration.as_ref()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    // ---- shared by the parts ----

    fn enter(&mut self, state: State, cause: impl Into<String>) {
        self.until = None;
        self.sim_look_again = None;
        if state == self.state && !self.rests {
            return;
        }
        let from = self.state();
        self.rests = false;
        self.moved(from, state, cause);
    }

    /// Waits, registered, until standby is over.
    fn rest(&mut self) {
        self.until = None;
        let from = self.state();
        if !std::mem::replace(&mut self.rests, true) {
            self.moved(from, State::Waiting, "another uplink does the work");
        }
    }

    /// Says what happens while the state stays.
    fn remark(&mut self, cause: &str, settings: Option<IpSettings>) {
        let state = self.state();
        self.report(LinkChanged {
            from: state,
            to: state,
            cause: cause.into(),
            settings,
            adopted: None,
            apn: None,
            correlation_id: None,
        });
    }

    fn moved(&mut self, from: LinkState, state: State, cause: impl Into<String>) {
        self.state = state;
        self.cause = cause.into();
        let connected = state == State::Connected && from == LinkState::Connecting;
        self.report(LinkChanged {
            from,
            to: self.state(),
            cause: self.cause.clone(),
            settings: self.settings().filter(|_| connected).cloned(),
            adopted: connected.then(|| self.adopted()),
            apn: connected.then(|| self.config.profile.apn_name.clone()),
            correlation_id: None,
        });
    }

    fn report(&mut self, body: impl Into<Body>) {
        self.out.push_back(Output::Report(Box::new(body.into())));
    }

    fn operate(&mut self, operation: Operation, now: Instant) {
        debug_assert!(self.flight.is_none(), "one operation at a time");
        let until = now + operation.limit() + Operation::GRACE;
        self.flight = Some(Flight { operation: operation.clone(), until });
        self.out.push_back(Output::Operate(operation));
    }

    /// The operation in flight has answered.
    fn landed(&mut self) {
        self.flight = None;
    }

    fn abort(&mut self) {
        if self.flight.take().is_some() {
            self.out.push_back(Output::Abort);
        }
    }

    fn close(&mut self) {
        if self.open || self.state == State::Opening {
            self.out.push_back(Output::Close);
        }
        self.open = false;
        self.prepared = false;
    }

    /// Nothing may be on the interface any more, whoever put it there.
    fn withdraw(&mut self) {
        self.session = None;
        if self.path != Path::Down {
            self.path = Path::Down;
            self.out.push_back(Output::Withdraw);
        }
    }

    fn timeout(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.recovery_until) {
            self.recovery_over();
        }
        if due(self.asked.as_ref().map(|asked| asked.until)) {
            self.recovery_refused("nobody answered in time".into(), now);
        }
        if let Some(flight) = self.flight.take_if(|flight| flight.until <= now) {
            self.out.push_back(Output::Abort);
            return self.operation_lost(&flight.operation, now);
        }
        let (idle, over) = (self.flight.is_none(), due(self.until));
        match self.state {
            State::Absent | State::Opening | State::Connecting => {}
            State::Sim if idle && over => self.sim_patience_over(now),
            State::Sim if idle && due(self.sim_look_again) => self.read_sim(now),
            State::Registering if idle && over => self.registering_patience_over(now),
            State::Suspect if over => self.suspicion_over(now),
            State::Connected | State::Suspect => self.upkeep(now),
            State::Waiting if idle && over => self.wait_over(now),
            State::Stopped if over => self.open("control port lost while stopped", now),
            State::Sim | State::Registering | State::Waiting | State::Stopped => {}
        }
    }

    fn operation_lost(&mut self, operation: &Operation, now: Instant) {
        if let Operation::Recover(rung) = operation {
            return self.recovered(*rung, Err("no answer in time".into()), now);
        }
        let limit = operation.limit().as_secs();
        let detail = format!("{}: no answer within {limit} s", operation.name());
        self.fail(Cause::port(PortFault::Timeout, detail), now);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
