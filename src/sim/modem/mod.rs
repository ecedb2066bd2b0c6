//! Pure: one simulated modem. Bytes of the control port and of the AT port go in with the time, bytes come out.
//!
//! ```text
//!             handle_qmi   handle_at   begin/end (faults)   advance (timers)
//!                  │           │              │                 │
//!   clients ── dms nas uim wds wda ── at      │                 │        call in this order: any of the above,
//!                  └── card · network · calls · firmware ───────┘        then poll_output until it gives nothing,
//!                                  │                                     then wait until next_deadline
//!                             poll_output
//! ```
//!
//! Time is what has passed since the modem was made. The same seed, scenario and inputs at the same times give the same
//! bytes. Messages are those that `qmi` describes; what a real modem would refuse is refused with the same error.

mod at;
mod calls;
mod card;
mod clients;
mod dms;
mod firmware;
mod identity;
mod nas;
mod network;
#[cfg(test)]
mod tests;
mod uim;
mod wda;
mod wds;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use fastrand::Rng;

pub use calls::{Attempt, Outcome, Session};
pub use card::{Card, CardCondition, PUK, Pin};
pub use clients::{Client, Clients, MAX_CLIENTS, MAX_NAS_CLIENTS};
pub use firmware::Firmware;
pub use identity::{FIRMWARE, Identity, MANUFACTURER, MODEL, REVISION};
pub use network::Registration;
pub use wda::DATA_INTERFACE;

use self::at::At;
use self::calls::Calls;
use self::network::Network;
use self::uim::Refresh;
use super::radio::{self, Motion, Reading};
use super::scenario::{Family, Fault, Framing, Scenario, Schedule, Turn};
use super::trace::Trace;
use crate::qmi::dms::OperatingMode;
use crate::qmi::message::{Indication, Request};
use crate::qmi::tlv::Tlvs;
use crate::qmi::{Frame, FrameError, Kind, ProtocolError, Service, VerboseCallEndReason, ctl};

/// Frames and lines that may wait to be taken. When more come, the oldest are lost, as in the kernel's buffer.
pub const MAX_OUTPUTS: usize = 1024;

/// Length of the trace that a modem without one replays.
const DEFAULT_TRACE: Duration = Duration::from_secs(20 * 60);

/// Longer than anything runs.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What a modem is made from.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Everything left open follows from it.
    pub seed: u64,
    /// The modem and what befalls it.
    pub scenario: Scenario,
    /// What its radio measures; without it a trace of a modem indoors is made from the seed.
    pub trace: Option<Trace>,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A frame on the control port.
    Qmi(Vec<u8>),
    /// Bytes on the AT port.
    At(Vec<u8>),
    /// The USB device disappears: both ports hang up.
    Gone,
    /// It is back, as another device number.
    Back,
}

/// Faults that last. A restart of the modem ends those that live in it.
#[derive(Debug, Clone, Default)]
struct Conditions {
    no_service: bool,
    reject: Option<u8>,
    call_end: Vec<(VerboseCallEndReason, Option<Family>)>,
    no_reason: bool,
    throttled: bool,
    silent: bool,
    hang_once: bool,
    policy_mismatch: bool,
    path_dead: bool,
    at_chatter: bool,
}

/// A request refused, with what the refusal says besides.
struct No<F>(ProtocolError, F);

impl<F: Default> From<ProtocolError> for No<F> {
    fn from(error: ProtocolError) -> Self {
        Self(error, F::default())
    }
}

type Answer<R> = Result<<R as Request>::Response, No<<R as Request>::Failure>>;

/// A simulated modem.
#[derive(Debug)]
pub struct Modem {
    settings: Settings,
    identity: Identity,
    trace: Trace,
    schedule: Schedule,
    conditions: Conditions,
    random: Rng,
    now: Duration,
    outputs: VecDeque<Output>,
    /// While the device is off the bus: when it is back.
    away_until: Option<Duration>,
    /// When it leaves the bus, once a reset has been answered.
    leaves_at: Option<Duration>,
    device_number: u16,
    mode: OperatingMode,
    /// The images do not fit together: no way online.
    image_mismatch: bool,
    reading: Reading,
    clients: Clients,
    card: Card,
    refresh: Option<Refresh>,
    network: Network,
    calls: Calls,
    firmware: Firmware,
    raw_ip: bool,
    at: At,
}

impl Modem {
    /// A modem that was switched on at time zero.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let seed = settings.seed;
        let spec = &settings.scenario.modem;
        let identity = Identity::new(spec, seed);
        let indoors = || radio::generate(seed, Motion::Static, DEFAULT_TRACE);
        let trace = settings.trace.clone().unwrap_or_else(indoors);
        let mut modem = Self {
            schedule: Schedule::new(settings.scenario.steps.clone(), seed),
            conditions: Conditions::default(),
            random: Rng::with_seed(seed ^ 0x6d6f_6465_6d00_0000),
            now: Duration::ZERO,
            outputs: VecDeque::new(),
            away_until: None,
            leaves_at: None,
            device_number: 2,
            mode: OperatingMode::Online,
            image_mismatch: false,
            reading: trace.at(Duration::ZERO),
            clients: Clients::default(),
            card: Card::new(spec.pin.as_deref()),
            refresh: None,
            network: Network::default(),
            calls: Calls::new(spec),
            firmware: Firmware::new(&identity.carrier.name),
            raw_ip: false,
            at: At::default(),
            identity,
            trace,
            settings,
        };
        modem.settle();
        modem
    }

    /// Takes one frame of a client. What is no frame at all is lost, as in a real modem.
    pub fn handle_qmi(&mut self, bytes: &[u8], now: Duration) {
        self.advance(now);
        if self.away_until.is_some() || self.conditions.silent {
            return;
        }
        if std::mem::take(&mut self.conditions.hang_once) {
            return;
        }
        match Frame::decode(bytes) {
            Ok(frame) if frame.kind == Kind::Request => self.dispatch(&frame),
            Ok(_) => {}
            Err(FrameError::Tlv { area, .. } | FrameError::TlvArea { offset: area, .. }) => {
                if let Some(frame) = header_of(bytes, area).filter(|frame| frame.kind == Kind::Request) {
                    self.refuse(&frame, ProtocolError::MalformedMessage);
                }
            }
            Err(_) => {}
        }
    }

    /// Takes bytes of the AT port.
    pub fn handle_at(&mut self, bytes: &[u8], now: Duration) {
        self.advance(now);
        if self.away_until.is_none() {
            self.at_bytes(bytes);
        }
    }

    /// A fault begins, or happens.
    pub fn begin(&mut self, fault: &Fault, now: Duration) {
        self.advance(now);
        self.turn(&Turn::Begin(fault.clone()));
    }

    /// A fault that lasts is lifted.
    pub fn end(&mut self, fault: &Fault, now: Duration) {
        self.advance(now);
        self.turn(&Turn::End(fault.clone()));
    }

    /// Lets time pass: everything due until `now` happens at its own time. An earlier `now` changes nothing.
    pub fn advance(&mut self, now: Duration) {
        while let Some(due) = self.next_deadline().filter(|due| *due <= now) {
            self.now = self.now.max(due);
            self.tick();
        }
        self.now = self.now.max(now);
    }

    /// When [`Modem::advance`] is wanted next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let radio = Some(self.trace.next_change(self.now));
        let timers = [
            radio,
            self.schedule.next_due(),
            self.away_until,
            self.leaves_at,
            self.network.due(),
            self.calls.due(),
        ];
        timers.into_iter().flatten().min()
    }

    /// The next thing that comes out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its client ids.
    #[must_use]
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Its card.
    #[must_use]
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Its firmware.
    #[must_use]
    pub fn firmware(&self) -> &Firmware {
        &self.firmware
    }

    /// Its operating mode.
    #[must_use]
    pub fn operating_mode(&self) -> OperatingMode {
        self.mode
    }

    /// Its registration.
    #[must_use]
    pub fn registration(&self) -> Registration {
        self.network.state()
    }

    /// What its radio measures; nothing while it is off or out of service.
    #[must_use]
    pub fn reading(&self) -> Reading {
        if self.hears() { self.reading } else { Reading::default() }
    }

    /// Its data sessions, stopped ones not included.
    #[must_use]
    pub fn sessions(&self) -> &[Session] {
        self.calls.sessions()
    }

    /// The last attempts to start a session (at most [`calls::MAX_ATTEMPTS`]), oldest first.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.calls.attempts()
    }

    /// All attempts to start a session so far.
    #[must_use]
    pub fn attempt_count(&self) -> u64 {
        self.calls.attempt_count()
    }

    /// Whether packets of a session would get anywhere.
    #[must_use]
    pub fn carries_data(&self, family: Family) -> bool {
        let dead = self.conditions.path_dead || !self.hears();
        !dead && self.calls.session(family).is_some_and(|session| !session.dead)
    }

    /// Whether a packet from or to this address passes: of a session that carries data, and in the format that modem and
    /// host agreed on.
    #[must_use]
    pub fn carries(&self, address: IpAddr) -> bool {
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        let is_ours = |session: &Session| match address {
            IpAddr::V4(address) => session.settings.ipv4 == address,
            IpAddr::V6(address) => session.settings.ipv6.octets()[..8] == address.octets()[..8],
        };
        self.raw_ip && self.carries_data(family) && self.calls.session(family).is_some_and(is_ours)
    }

    /// A round trip through a session now, in milliseconds; `None` when it carries nothing.
    #[must_use]
    pub fn round_trip_ms(&self, family: Family) -> Option<u32> {
        self.carries_data(family).then(|| self.reading.ping_ms.unwrap_or(60))
    }

    /// Whether packets have no Ethernet header (WDA).
    #[must_use]
    pub fn is_raw_ip(&self) -> bool {
        self.raw_ip
    }

    /// Whether the device is on the bus.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.away_until.is_none()
    }

    /// USB device number: another after each restart.
    #[must_use]
    pub fn device_number(&self) -> u16 {
        self.device_number
    }

    fn hears(&self) -> bool {
        self.mode == OperatingMode::Online && !self.conditions.no_service && self.is_present()
    }

    fn tick(&mut self) {
        while let Some((_, turn)) = self.schedule.take_due(self.now) {
            self.turn(&turn);
        }
        if self.leaves_at.is_some_and(|due| due <= self.now) {
            self.leave();
        }
        if self.away_until.is_some_and(|due| due <= self.now) {
            self.come_back();
        }
        self.listen();
        self.network_tick();
        self.calls_tick();
    }

    fn turn(&mut self, turn: &Turn) {
        let (fault, begins) = match turn {
            Turn::Begin(fault) => (fault, true),
            Turn::End(fault) => (fault, false),
        };
        match fault {
            Fault::NoService => self.conditions.no_service = begins,
            Fault::RegistrationReject { cause } => self.conditions.reject = begins.then_some(*cause),
            Fault::CallEnd { r#type, code, family } => {
                let item = (VerboseCallEndReason { reason_type: *r#type, reason: *code }, *family);
                self.conditions.call_end.retain(|present| *present != item);
                if begins {
                    self.conditions.call_end.push(item);
                }
            }
            Fault::NoReason => self.conditions.no_reason = begins,
            Fault::Throttled => self.conditions.throttled = begins,
            Fault::SimAbsent => {
                self.card.pulled = begins;
                self.card.power_cycle();
                self.card_changed();
            }
            Fault::SlowSim => {
                self.card.slow = begins;
                self.card_changed();
            }
            Fault::SimIllegal => {
                self.card.illegal = begins;
                self.card_changed();
            }
            Fault::Silent => self.conditions.silent = begins,
            Fault::HangOnce => self.conditions.hang_once = begins,
            Fault::LeakClients { service } if begins => {
                if let Some(service) = service_named(service) {
                    self.clients.leak(service);
                }
            }
            Fault::LeakClients { .. } => self.clients.find_leaked(),
            Fault::PolicyMismatch => self.conditions.policy_mismatch = begins,
            Fault::PdnDead => self.mark_sessions_dead(begins),
            Fault::PathDead => {
                self.conditions.path_dead = begins;
                self.pace_sessions();
            }
            Fault::AtChatter => self.conditions.at_chatter = begins,
            Fault::Unplugged if !begins => {
                if self.away_until.is_some() {
                    self.come_back();
                }
            }
            _ if !begins => {}
            Fault::PinRequired => {
                self.card.require_pin();
                self.card_changed();
            }
            Fault::SimStuck => {
                self.card.stuck = true;
                self.card_changed();
            }
            Fault::SimRefresh { imsi } => self.begin_refresh(imsi.clone()),
            Fault::StaleSession => self.adopt_stale_session(),
            Fault::SettingsChanged { indication } => self.change_settings(*indication),
            Fault::PdnDropped { r#type, code, indication } => {
                let reason = VerboseCallEndReason { reason_type: *r#type, reason: *code };
                self.drop_sessions(reason, *indication);
            }
            Fault::Reset => self.leave(),
            Fault::Unplugged => {
                self.leave();
                self.away_until = Some(self.now + FOR_EVER);
            }
            Fault::ImageLost => self.firmware.lose_preferred(),
            Fault::Garbage => {
                let count = self.random.usize(1..40);
                let bytes = (0..count).map(|_| self.random.u8(..)).collect();
                self.put(Output::Qmi(bytes));
            }
        }
        self.settle();
    }

    /// The USB device disappears and everything volatile with it.
    fn leave(&mut self) {
        self.leaves_at = None;
        if self.away_until.is_some() {
            return;
        }
        let away = self.settings.scenario.modem.restart_ms.unwrap_or(4000);
        self.away_until = Some(self.now + Duration::from_millis(away));
        self.clients.clear();
        self.calls.clear();
        self.network = Network::default();
        self.card.power_cycle();
        self.refresh = None;
        self.raw_ip = false;
        self.at = At::default();
        self.conditions.policy_mismatch = false;
        self.conditions.silent = false;
        self.conditions.hang_once = false;
        self.put(Output::Gone);
    }

    fn come_back(&mut self) {
        self.away_until = None;
        self.device_number = if self.device_number >= 127 { 2 } else { self.device_number + 1 };
        self.image_mismatch = !self.firmware.boot();
        self.mode = if self.image_mismatch { OperatingMode::LowPower } else { OperatingMode::Online };
        self.put(Output::Back);
        self.settle();
    }

    /// A reset was asked for: answered first, carried out soon after.
    fn reset_soon(&mut self) {
        self.leaves_at = Some(self.now + Duration::from_millis(200));
    }

    fn put(&mut self, output: Output) {
        if self.outputs.len() >= MAX_OUTPUTS {
            let oldest =
                self.outputs.iter().position(|output| matches!(output, Output::Qmi(_) | Output::At(_)));
            self.outputs.remove(oldest.unwrap_or(0));
        }
        self.outputs.push_back(output);
    }

    fn put_frame(&mut self, frame: &Frame) {
        if self.conditions.silent || self.away_until.is_some() {
            return;
        }
        self.put(Output::Qmi(frame.encode()));
    }

    /// Sends an indication to these clients of its service.
    fn indicate<I: Indication>(&mut self, indication: &I, clients: &[u8]) {
        for client in clients {
            self.put_frame(&Frame::indication(*client, indication));
        }
    }

    fn refuse(&mut self, frame: &Frame, error: ProtocolError) {
        self.put_frame(&frame.answer(error, &Tlvs::new()));
    }

    fn dispatch(&mut self, frame: &Frame) {
        let known = frame.service == Service::Ctl || self.clients.contains(frame.service, frame.client);
        if !known {
            return self.refuse(frame, ProtocolError::InvalidClientId);
        }
        match frame.service {
            Service::Ctl => self.ctl(frame),
            Service::Dms => self.dms(frame),
            Service::Nas => self.nas(frame),
            Service::Wds => self.wds(frame),
            Service::Wda => self.wda(frame),
            Service::Uim => self.uim(frame),
            _ => self.refuse(frame, ProtocolError::InvalidServiceType),
        }
    }

    /// Reads the request, acts on it and answers.
    fn answer<R: Request>(&mut self, frame: &Frame, act: impl FnOnce(&mut Self, u8, R) -> Answer<R>)
    where
        R::Failure: Default,
    {
        let result = match R::from_tlvs(&frame.tlvs) {
            Ok(request) => act(self, frame.client, request),
            Err(missing) => Err(match frame.tlvs.raw(missing.tlv_type) {
                Some(_) => ProtocolError::MalformedMessage.into(),
                None => ProtocolError::MissingArgument.into(),
            }),
        };
        self.put_frame(&match result {
            Ok(response) => frame.success(&response),
            Err(No(error, details)) => frame.refusal(error, &details),
        });
    }

    fn ctl(&mut self, frame: &Frame) {
        match frame.message {
            ctl::Sync::ID => {
                self.answer(frame, |modem, _, _: ctl::Sync| {
                    modem.clients.clear();
                    modem.conditions.policy_mismatch = false;
                    modem.end_unowned_sessions();
                    Ok(crate::qmi::Done)
                });
            }
            ctl::GetVersionInfo::ID => self.answer(frame, |modem, _, _: ctl::GetVersionInfo| {
                let version = |(service, major_version, minor_version)| ctl::ServiceVersion {
                    service,
                    major_version,
                    minor_version,
                };
                Ok(ctl::GetVersionInfoResponse { service_list: modem.services().map(version).collect() })
            }),
            ctl::SetDataFormat::ID if self.framing() == Framing::Ctl => {
                self.answer(frame, Self::ctl_data_format);
            }
            ctl::AllocateCid::ID => self.answer(frame, Self::allocate_client),
            ctl::ReleaseCid::ID => self.answer(frame, Self::release_client),
            ctl::SetInstanceId::ID => {
                self.answer(frame, |_, _, request: ctl::SetInstanceId| {
                    Ok(ctl::SetInstanceIdResponse { link_id: request.id.into() })
                });
            }
            _ => self.refuse(frame, ProtocolError::InvalidQmiCommand),
        }
    }

    fn framing(&self) -> Framing {
        self.settings.scenario.modem.framing
    }

    /// Services offered, with their versions.
    fn services(&self) -> impl Iterator<Item = (Service, u16, u16)> {
        let has_wda = self.framing() != Framing::Ctl;
        SERVICES.into_iter().filter(move |(service, ..)| has_wda || *service != Service::Wda)
    }

    fn allocate_client(&mut self, _: u8, request: ctl::AllocateCid) -> Answer<ctl::AllocateCid> {
        let service = request.service;
        if service == Service::Ctl || !self.services().any(|(known, ..)| known == service) {
            return Err(ProtocolError::InvalidServiceType.into());
        }
        let cid = self.clients.allocate(service).ok_or(ProtocolError::ClientIdsExhausted)?;
        Ok(ctl::AllocateCidResponse { allocation_info: ctl::ClientId { service, cid } })
    }

    fn release_client(&mut self, _: u8, request: ctl::ReleaseCid) -> Answer<ctl::ReleaseCid> {
        let ctl::ClientId { service, cid } = request.release_info;
        if !self.clients.release(service, cid) {
            return Err(ProtocolError::InvalidClientId.into());
        }
        if service == Service::Wds {
            self.end_unowned_sessions();
        }
        Ok(ctl::ReleaseCidResponse { release_info: request.release_info })
    }

    /// The clients of a service for which `wants` holds.
    fn clients_that(&self, service: Service, wants: impl Fn(&Client) -> bool) -> Vec<u8> {
        self.clients.iter(service).filter(|(_, client)| wants(client)).map(|(id, _)| id).collect()
    }

    /// The client a request came from.
    fn client(&mut self, service: Service, id: u8) -> &mut Client {
        self.clients.get_mut(service, id).expect("dispatch lets only known clients in")
    }
}

/// Services offered, with the versions of a real MC7455.
const SERVICES: [(Service, u16, u16); 6] = [
    (Service::Ctl, 1, 5),
    (Service::Wds, 1, 67),
    (Service::Dms, 1, 14),
    (Service::Nas, 1, 25),
    (Service::Uim, 1, 46),
    (Service::Wda, 1, 16),
];

fn service_named(name: &str) -> Option<Service> {
    SERVICES.iter().map(|(service, ..)| *service).find(|service| service.name() == Some(name))
}

/// The header of a frame whose TLVs are broken.
fn header_of(bytes: &[u8], area: usize) -> Option<Frame> {
    let mut head = bytes.get(..area)?.to_vec();
    let last = head.len();
    head[last - 2..].fill(0);
    let length = u16::try_from(last - 1).ok()?.to_le_bytes();
    head[1..3].copy_from_slice(&length);
    Frame::decode(&head).ok()
}
