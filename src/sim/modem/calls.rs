//! Pure: data sessions of the modem: how they come up, what they carry, how they end.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{CardCondition, Modem};
use crate::qmi::dms::OperatingMode;
use crate::qmi::wds::{self, ConnectionStatus, PdpType};
use crate::qmi::{Frame, ProtocolError, Service, VerboseCallEndReason};
use crate::sim::scenario::{Family, ModemSpec};

/// Attempts remembered; older ones are only counted.
pub const MAX_ATTEMPTS: usize = 256;
/// Profiles a modem stores.
pub const MAX_PROFILES: u8 = 16;
/// How long the network takes for a session unless the scenario says otherwise.
const CONNECT: Duration = Duration::from_millis(120);

/// One attempt to start a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it was asked for.
    pub at: Duration,
    /// For which family.
    pub family: Family,
    /// With which APN; empty: the network's default.
    pub apn: String,
    /// How it ended; `None` while under way.
    pub outcome: Option<Outcome>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A session is up.
    Connected,
    /// The network or the modem refused.
    Failed(VerboseCallEndReason),
    /// The modem refused the request itself.
    Refused(ProtocolError),
}

/// A data session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Packet data handle.
    pub handle: u32,
    /// IP family.
    pub family: Family,
    /// WDS client that started it; `None`: nobody that the modem knows.
    pub client: Option<u8>,
    /// APN.
    pub apn: String,
    /// When it came up.
    pub since: Duration,
    /// Addresses.
    pub settings: IpSettings,
    /// It carries nothing any more.
    pub(super) dead: bool,
    /// Bytes sent.
    pub(super) sent: Flow,
    /// Bytes received.
    pub(super) received: Flow,
}

/// What the network hands out for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpSettings {
    /// IPv4 address, in an IPv4 session.
    pub ipv4: Ipv4Addr,
    /// IPv4 gateway.
    pub gateway: Ipv4Addr,
    /// IPv6 address, with a prefix of 64 bits, in an IPv6 session.
    pub ipv6: Ipv6Addr,
    /// MTU in bytes.
    pub mtu: u32,
}

impl Session {
    /// Bytes sent and received until `now`; they never fall.
    #[must_use]
    pub fn bytes(&self, now: Duration) -> (u64, u64) {
        (self.sent.bytes(now), self.received.bytes(now))
    }
}

/// A counter that grows at a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flow {
    base: u64,
    since: Duration,
    rate_per_s: u64,
}

impl Flow {
    fn bytes(&self, now: Duration) -> u64 {
        let grown = u128::from(self.rate_per_s) * now.saturating_sub(self.since).as_millis() / 1000;
        self.base + grown as u64
    }

    fn pace(&mut self, rate_per_s: u64, now: Duration) {
        *self = Self { base: self.bytes(now), since: now, rate_per_s };
    }
}

/// A connection profile.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) apn: String,
    pub(super) pdp_type: PdpType,
    pub(super) authentication: wds::Authentication,
    pub(super) username: String,
    pub(super) password: String,
}

#[derive(Debug)]
struct Pending {
    due: Duration,
    /// The request to answer; `None`: the modem's own wish (autoconnect).
    frame: Option<Frame>,
    family: Family,
    apn: String,
    attempt: u64,
}

#[derive(Debug)]
pub(super) struct Calls {
    sessions: Vec<Session>,
    pending: Vec<Pending>,
    attempts: VecDeque<Attempt>,
    attempt_count: u64,
    handles: u32,
    pub(super) profiles: BTreeMap<u8, Profile>,
    pub(super) default_profile: u8,
    pub(super) autoconnect: bool,
    pub(super) attach_profiles: Vec<u16>,
    last_bytes: (u64, u64),
    connect: Duration,
    fixed_address: Option<Ipv4Addr>,
    apns: Vec<String>,
}

impl Calls {
    pub(super) fn new(spec: &ModemSpec) -> Self {
        let profile =
            Profile { name: "profile1".to_owned(), pdp_type: PdpType::Ipv4OrIpv6, ..Profile::default() };
        Self {
            sessions: Vec::new(),
            pending: Vec::new(),
            attempts: VecDeque::new(),
            attempt_count: 0,
            handles: 0,
            profiles: BTreeMap::from([(1, profile)]),
            default_profile: 1,
            autoconnect: false,
            attach_profiles: vec![1],
            last_bytes: (0, 0),
            connect: spec.connect_ms.map_or(CONNECT, Duration::from_millis),
            fixed_address: spec.address,
            apns: spec.apns.clone(),
        }
    }

    pub(super) fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    pub(super) fn session(&self, family: Family) -> Option<&Session> {
        self.sessions.iter().find(|session| session.family == family)
    }

    pub(super) fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter()
    }

    pub(super) fn attempt_count(&self) -> u64 {
        self.attempt_count
    }

    /// Bytes of the last session that ended.
    pub(super) fn last_bytes(&self) -> (u64, u64) {
        self.last_bytes
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.pending.iter().map(|pending| pending.due).min()
    }

    /// What a restart leaves: profiles and settings, no sessions.
    pub(super) fn clear(&mut self) {
        self.sessions.clear();
        self.pending.clear();
        self.last_bytes = (0, 0);
    }

    fn note(&mut self, at: Duration, family: Family, apn: &str, outcome: Option<Outcome>) -> u64 {
        if self.attempts.len() == MAX_ATTEMPTS {
            self.attempts.pop_front();
        }
        self.attempts.push_back(Attempt { at, family, apn: apn.to_owned(), outcome });
        self.attempt_count += 1;
        self.attempt_count - 1
    }

    fn conclude(&mut self, attempt: u64, outcome: Outcome) {
        let back = (self.attempt_count - attempt) as usize;
        let index = self.attempts.len().checked_sub(back);
        if let Some(attempt) = index.and_then(|index| self.attempts.get_mut(index)) {
            attempt.outcome = Some(outcome);
        }
    }
}

impl Modem {
    /// Start Network: refused at once or answered when the network has.
    pub(super) fn start_network(&mut self, frame: &Frame, request: &wds::StartNetwork) {
        let family = match request.ip_family_preference {
            Some(wds::IpFamily::Ipv6) => Family::V6,
            Some(wds::IpFamily::Ipv4) => Family::V4,
            _ => self.client(Service::Wds, frame.client).family.unwrap_or(Family::V4),
        };
        let profile = request.profile_index_3gpp.map(|index| self.calls.profiles.get(&index));
        let apn = match (&request.apn, profile) {
            (Some(apn), _) => apn.clone(),
            (None, Some(Some(profile))) => profile.apn.clone(),
            (None, _) => String::new(),
        };
        let refusal = if profile == Some(None) {
            Some(ProtocolError::InvalidProfile)
        } else if self.conditions.policy_mismatch {
            Some(ProtocolError::PolicyMismatch)
        } else if self.calls.session(family).is_some() {
            Some(ProtocolError::NoEffect)
        } else if self.calls.pending.iter().any(|pending| pending.family == family) {
            Some(ProtocolError::OperationInProgress)
        } else {
            None
        };
        if let Some(error) = refusal {
            self.calls.note(self.now, family, &apn, Some(Outcome::Refused(error)));
            return self.refuse(frame, error);
        }
        if request.enable_autoconnect == Some(true) {
            self.calls.autoconnect = true;
        }
        let attempt = self.calls.note(self.now, family, &apn, None);
        let due = self.now + self.calls.connect;
        self.calls.pending.push(Pending { due, frame: Some(frame.clone()), family, apn, attempt });
    }

    /// Abort of a Start Network still under way.
    pub(super) fn abort_start(&mut self, client: u8, transaction: u16) -> Result<(), ProtocolError> {
        let wanted = |pending: &Pending| {
            pending
                .frame
                .as_ref()
                .is_some_and(|frame| (frame.client, frame.transaction) == (client, transaction))
        };
        let index = self.calls.pending.iter().position(wanted).ok_or(ProtocolError::InvalidTransactionId)?;
        let pending = self.calls.pending.remove(index);
        self.calls.conclude(pending.attempt, Outcome::Refused(ProtocolError::Aborted));
        if let Some(frame) = &pending.frame {
            self.refuse(frame, ProtocolError::Aborted);
        }
        Ok(())
    }

    /// Stop Network.
    pub(super) fn stop_network(
        &mut self,
        client: u8,
        handle: u32,
        autoconnect_off: bool,
    ) -> Result<(), ProtocolError> {
        if autoconnect_off {
            self.calls.autoconnect = false;
        }
        let family = self.family_of(client);
        let wanted = |session: &Session| {
            if handle == u32::MAX { session.family == family } else { session.handle == handle }
        };
        let index = self.calls.sessions.iter().position(wanted);
        let index = index.ok_or(if handle == u32::MAX {
            ProtocolError::NoEffect
        } else {
            ProtocolError::InvalidHandle
        })?;
        self.end_session(index, VerboseCallEndReason { reason_type: 3, reason: 2003 }, true);
        Ok(())
    }

    /// What the network has decided until now.
    pub(super) fn calls_tick(&mut self) {
        while let Some(index) = self.calls.pending.iter().position(|pending| pending.due <= self.now) {
            let pending = self.calls.pending.remove(index);
            // A client that is gone wants no session.
            let gone = pending
                .frame
                .as_ref()
                .is_some_and(|frame| !self.clients.contains(Service::Wds, frame.client));
            if gone {
                self.calls.conclude(pending.attempt, Outcome::Refused(ProtocolError::Aborted));
                continue;
            }
            match self.obstacle(pending.family, &pending.apn) {
                // Somebody else's came up meanwhile.
                _ if self.calls.session(pending.family).is_some() => {
                    self.calls.conclude(pending.attempt, Outcome::Refused(ProtocolError::NoEffect));
                    if let Some(frame) = &pending.frame {
                        self.refuse(frame, ProtocolError::NoEffect);
                    }
                }
                Some(reason) => self.call_failed(&pending, reason),
                None => self.connect(pending),
            }
        }
    }

    /// Why a session cannot come up now.
    fn obstacle(&self, family: Family, apn: &str) -> Option<VerboseCallEndReason> {
        let reason = |reason_type, reason| Some(VerboseCallEndReason { reason_type, reason });
        let refused = |(_, of): &&(VerboseCallEndReason, Option<Family>)| of.is_none_or(|of| of == family);
        match self.card.condition() {
            _ if self.mode != OperatingMode::Online => reason(3, 2500),
            CardCondition::Absent => reason(3, 518),
            CardCondition::Ready if self.is_attached() => {
                if self.conditions.throttled {
                    return reason(2, if family == Family::V4 { 209 } else { 211 });
                }
                if !self.calls.apns.is_empty() && !self.calls.apns.iter().any(|known| known == apn) {
                    return reason(6, 27);
                }
                self.conditions.call_end.iter().find(refused).map(|(reason, _)| *reason)
            }
            CardCondition::Ready if self.network.detached => reason(3, 1028),
            CardCondition::Ready => reason(3, 2001),
            _ => reason(3, 2504),
        }
    }

    fn call_failed(&mut self, pending: &Pending, reason: VerboseCallEndReason) {
        self.calls.conclude(pending.attempt, Outcome::Failed(reason));
        self.at.last_call_end = Some(reason);
        if let Some(frame) = &pending.frame {
            let details = match self.conditions.no_reason {
                true => wds::CallFailure::default(),
                false => wds::CallFailure {
                    call_end_reason: Some(legacy(reason)),
                    verbose_call_end_reason: Some(reason),
                },
            };
            self.put_frame(&frame.refusal(ProtocolError::CallFailed, &details));
        }
    }

    fn connect(&mut self, pending: Pending) {
        self.calls.conclude(pending.attempt, Outcome::Connected);
        let client = pending.frame.as_ref().map(|frame| frame.client);
        let handle = self.open_session(pending.family, client, pending.apn);
        if let Some(frame) = &pending.frame {
            self.put_frame(&frame.success(&wds::StartNetworkResponse { packet_data_handle: handle }));
        }
        self.indicate_status(pending.family, ConnectionStatus::Connected, false, None);
    }

    fn open_session(&mut self, family: Family, client: Option<u8>, apn: String) -> u32 {
        // Handles look like addresses on real modems; they never repeat here.
        self.calls.handles += 1;
        let handle = 0x8000_0000 + (self.calls.handles << 4) + self.random.u32(0..16);
        let settings = self.hand_out();
        let (sent, received) = (Flow::default(), Flow::default());
        let session =
            Session { handle, family, client, apn, since: self.now, settings, dead: false, sent, received };
        self.calls.sessions.push(session);
        self.pace_sessions();
        handle
    }

    /// Addresses as a carrier hands them out: private ones of RFC 6598 and documentation ones of RFC 3849.
    fn hand_out(&mut self) -> IpSettings {
        let random = &mut self.random;
        let number = 0x6440_0000 | (random.u32(0..0x40_0000) & !3);
        let address = self.calls.fixed_address.map_or(number | 1, u32::from);
        IpSettings {
            ipv4: address.into(),
            gateway: (address ^ 3).into(),
            ipv6: Ipv6Addr::from(
                (0x2001_0db8_u128 << 96) | (u128::from(random.u32(..)) << 64) | u128::from(random.u64(..)),
            ),
            mtu: *random.choice([1428, 1430, 1500].iter()).unwrap_or(&1430),
        }
    }

    /// How fast each session's counters grow from now on.
    pub(super) fn pace_sessions(&mut self) {
        let (dead, active, now) = (self.conditions.path_dead, self.reading.active, self.now);
        for session in &mut self.calls.sessions {
            let busy = if active { 900 + u64::from(session.handle % 700) } else { 40 };
            session.sent.pace(busy, now);
            session.received.pace(if dead || session.dead { 0 } else { busy * 6 }, now);
        }
    }

    /// Sessions that are up carry nothing, or do again.
    pub(super) fn mark_sessions_dead(&mut self, dead: bool) {
        self.calls.sessions.iter_mut().for_each(|session| session.dead = dead);
        self.pace_sessions();
    }

    /// A session that nobody owns appears, if one can be.
    pub(super) fn adopt_stale_session(&mut self) {
        if self.is_attached() && self.calls.session(Family::V4).is_none() {
            self.open_session(Family::V4, None, String::new());
        }
    }

    /// The modem connects by itself when it was told to.
    pub(super) fn autoconnect(&mut self) {
        if self.calls.autoconnect && self.calls.session(Family::V4).is_none() {
            let apn =
                self.calls.profiles.get(&self.calls.default_profile).map_or(String::new(), |p| p.apn.clone());
            let attempt = self.calls.note(self.now, Family::V4, &apn, None);
            let due = self.now + self.calls.connect;
            self.calls.pending.push(Pending { due, frame: None, family: Family::V4, apn, attempt });
        }
    }

    /// The network hands out new settings to sessions that are up.
    pub(super) fn change_settings(&mut self, indication: bool) {
        for index in 0..self.calls.sessions.len() {
            let settings = self.hand_out();
            self.calls.sessions[index].settings = settings;
            if indication {
                self.indicate_status(
                    self.calls.sessions[index].family,
                    ConnectionStatus::Connected,
                    true,
                    None,
                );
                self.indicate_settings();
            }
        }
    }

    /// All sessions end, and what is under way fails in its own time.
    pub(super) fn drop_sessions(&mut self, reason: VerboseCallEndReason, indication: bool) {
        while !self.calls.sessions.is_empty() {
            self.end_session(0, reason, indication);
        }
    }

    /// Sessions end whose client is gone; those that never had one stay.
    pub(super) fn end_unowned_sessions(&mut self) {
        let gone = |clients: &super::Clients, session: &Session| {
            session.client.is_some_and(|client| !clients.contains(Service::Wds, client))
        };
        while let Some(index) = self.calls.sessions.iter().position(|session| gone(&self.clients, session)) {
            self.end_session(index, VerboseCallEndReason { reason_type: 3, reason: 2003 }, true);
        }
    }

    fn end_session(&mut self, index: usize, reason: VerboseCallEndReason, indication: bool) {
        let session = self.calls.sessions.remove(index);
        self.calls.last_bytes = session.bytes(self.now);
        self.at.last_call_end = Some(reason);
        if indication {
            self.indicate_status(session.family, ConnectionStatus::Disconnected, false, Some(reason));
        }
    }

    /// The family of a WDS client's requests.
    pub(super) fn family_of(&mut self, client: u8) -> Family {
        self.client(Service::Wds, client).family.unwrap_or(Family::V4)
    }
}

/// The older, coarser reason that goes with a verbose one.
pub(super) fn legacy(reason: VerboseCallEndReason) -> crate::qmi::cause::CallEndReason {
    use crate::qmi::layout::Coded as _;
    let number = match (reason.reason_type, reason.reason) {
        (3, 2001) => 3,
        (3, 2003) => 2,
        (6, 8) => 1012,
        (6, 27) => 1013,
        (6, 28) => 1014,
        (6, 30) => 1015,
        (6, 31) => 1016,
        (6, 32) => 1017,
        (6, 33) => 1018,
        (6, 36) => 1008,
        (6, 38) => 1009,
        _ => 1,
    };
    crate::qmi::cause::CallEndReason::from_number(number)
}
