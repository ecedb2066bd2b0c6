//! Why a link failed, and into which class that falls. The class decides the pace of the retries
//! ([`super::retry`]) and whether the recovery ladder may be climbed ([`super::ladder`]).
//!
//! A cause keeps the numbers of the message that named it, so that a field engineer can look them up. Numbers
//! that this table does not know fall into the class of their kind; none is left without a pace.

use crate::event::{CardState, CauseSource, FailureClass, IpFamily};

/// A named cause: who said it, its numbers and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The message that named it.
    pub source: CauseSource,
    /// QMI verbose call end reason type, 0 elsewhere.
    pub r#type: u16,
    /// Code within the source, and within the type for verbose call end reasons.
    pub code: i32,
    /// Its name, such as `option-unsubscribed`.
    pub reason: String,
    /// Further words of the modem or the system.
    pub detail: Option<String>,
}

/// What can be wrong with the control port. The discriminants are the codes of [`CauseSource::Port`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum PortFault {
    /// No answer within the deadline.
    Timeout = 1,
    /// The port closed or broke (EPROTO, EPIPE, hang-up).
    Closed = 2,
    /// The port could not be opened.
    OpenFailed = 3,
    /// The modem answered something that cannot be read.
    Malformed = 4,
    /// The modem in the slot is not the one configured.
    WrongImei = 5,
    /// The two sides do not agree on raw-ip framing.
    Framing = 6,
}

/// What can be wrong with the SIM. The discriminants are the codes of [`CauseSource::Sim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum SimFault {
    /// No card.
    Absent = 1,
    /// The card does not become ready.
    NotReady = 2,
    /// A PIN is asked for and none is configured.
    PinRequired = 3,
    /// The configured PIN was refused, or its try had no answer.
    PinRefused = 4,
    /// Too few tries are left to spend one.
    PinRetriesLow = 5,
    /// PUK asked for.
    PukRequired = 6,
    /// PUK used up, or card unusable.
    Blocked = 7,
    /// The network calls the card illegal.
    Illegal = 8,
    /// The modem cannot read the card.
    Error = 9,
    /// The card is not the one configured.
    WrongIccid = 10,
}

impl Cause {
    /// A cause in the words of its source.
    #[must_use]
    pub fn new(source: CauseSource, r#type: u16, code: i32, reason: impl Into<String>) -> Self {
        Self { source, r#type, code, reason: reason.into(), detail: None }
    }

    /// WDS verbose call end reason.
    #[must_use]
    pub fn verbose(r#type: u16, code: i16, reason: impl Into<String>) -> Self {
        Self::new(CauseSource::VerboseCallEndReason, r#type, code.into(), reason)
    }

    /// WDS legacy call end reason.
    #[must_use]
    pub fn legacy(code: u16, reason: impl Into<String>) -> Self {
        Self::new(CauseSource::CallEndReason, 0, code.into(), reason)
    }

    /// EMM, GMM or MM reject cause (3GPP TS 24.301, 24.008), told by `source`.
    #[must_use]
    pub fn reject(source: CauseSource, code: u16, reason: impl Into<String>) -> Self {
        Self::new(source, 0, code.into(), reason)
    }

    /// QMI protocol error.
    #[must_use]
    pub fn protocol(code: u16, reason: impl Into<String>) -> Self {
        Self::new(CauseSource::ProtocolError, 0, code.into(), reason)
    }

    /// A fault of the control port.
    #[must_use]
    pub fn port(fault: PortFault, detail: impl Into<String>) -> Self {
        let reason = match fault {
            PortFault::Timeout => "timeout",
            PortFault::Closed => "port-closed",
            PortFault::OpenFailed => "open-failed",
            PortFault::Malformed => "malformed-answer",
            PortFault::WrongImei => "wrong-imei",
            PortFault::Framing => "framing-mismatch",
        };
        Self::new(CauseSource::Port, 0, fault as i32, reason).with_detail(detail)
    }

    /// A fault of the SIM.
    #[must_use]
    pub fn sim(fault: SimFault) -> Self {
        let reason = match fault {
            SimFault::Absent => "sim-absent",
            SimFault::NotReady => "sim-not-ready",
            SimFault::PinRequired => "pin-required",
            SimFault::PinRefused => "pin-refused",
            SimFault::PinRetriesLow => "pin-retries-low",
            SimFault::PukRequired => "puk-required",
            SimFault::Blocked => "sim-blocked",
            SimFault::Illegal => "sim-illegal",
            SimFault::Error => "sim-error",
            SimFault::WrongIccid => "wrong-iccid",
        };
        Self::new(CauseSource::Sim, 0, fault as i32, reason)
    }

    /// What a card state alone says against going on; `None` for a card that is ready or may become so.
    #[must_use]
    pub fn card(state: CardState) -> Option<Self> {
        let fault = match state {
            CardState::Ready | CardState::Present | CardState::Unknown => return None,
            CardState::Absent => SimFault::Absent,
            CardState::PinRequired => SimFault::PinRequired,
            CardState::PukRequired => SimFault::PukRequired,
            CardState::Blocked => SimFault::Blocked,
            CardState::Illegal => SimFault::Illegal,
            CardState::Error => SimFault::Error,
        };
        Some(Self::sim(fault))
    }

    /// What the modem says of the last call over AT, and the number of the session management cause (3GPP TS 24.301, 9.9.4.4)
    /// that it names, with the name.
    #[must_use]
    pub fn told_over_at(cause: Option<(i16, String)>, words: impl Into<String>) -> Self {
        let (r#type, code, reason) = match cause {
            Some((code, reason)) => (verbose::TGPP, code, reason),
            None => (0, 0, "call-failed".to_owned()),
        };
        Self::new(CauseSource::AtCommand, r#type, code.into(), reason).with_detail(words)
    }

    /// Whether this says no more than that a call failed: others may know why.
    #[must_use]
    pub fn is_vague(&self) -> bool {
        match self.source {
            CauseSource::ProtocolError => self.code == protocol::CALL_FAILED,
            CauseSource::CallEndReason => self.code == LEGACY_UNSPECIFIED,
            // A number without a name.
            CauseSource::VerboseCallEndReason => self.reason == self.code.to_string(),
            CauseSource::NetworkReject
            | CauseSource::SystemInfo
            | CauseSource::ServingSystem
            | CauseSource::Sim
            | CauseSource::AtCommand
            | CauseSource::Port
            | CauseSource::Probe
            | CauseSource::Kernel
            | CauseSource::Unknown => false,
        }
    }

    /// Not registered, and no message says why.
    #[must_use]
    pub fn no_service() -> Self {
        Self::new(CauseSource::ServingSystem, 0, 0, "no-service")
    }

    /// The session is up, but nothing comes back through it.
    #[must_use]
    pub fn data_path_dead() -> Self {
        Self::new(CauseSource::Probe, 0, 0, "data-path-dead")
    }

    /// The session ended, and no message says why.
    #[must_use]
    pub fn session_ended() -> Self {
        Self::legacy(LEGACY_UNSPECIFIED as u16, "generic-unspecified")
    }

    /// The same cause with further words.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        self.detail = (!detail.is_empty()).then_some(detail);
        self
    }

    /// The class of the cause.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self.source {
            CauseSource::VerboseCallEndReason | CauseSource::AtCommand => {
                class_of_verbose(self.r#type, self.code)
            }
            CauseSource::CallEndReason => class_of_legacy(self.code),
            CauseSource::NetworkReject | CauseSource::SystemInfo | CauseSource::ServingSystem => {
                class_of_reject(self.code)
            }
            CauseSource::ProtocolError => class_of_protocol(self.code),
            CauseSource::Sim => class_of_sim(self.code),
            CauseSource::Port if self.code == PortFault::WrongImei as i32 => FailureClass::OperatorMustAct,
            CauseSource::Port => FailureClass::ControlChannel,
            CauseSource::Probe | CauseSource::Kernel | CauseSource::Unknown => FailureClass::Passing,
        }
    }

    /// Whether the modem knows our client ids no more: nothing can be asked of it until others are allocated.
    #[must_use]
    pub fn voids_clients(&self) -> bool {
        (self.source, self.code) == (CauseSource::ProtocolError, protocol::INVALID_CLIENT_ID)
    }

    /// Of a family limit: the family that the network permits. `failed` is the family that was refused.
    /// A single-address bearer (52) permits the other one.
    #[must_use]
    pub fn permitted_family(&self, failed: Option<IpFamily>) -> Option<IpFamily> {
        if !matches!(self.source, CauseSource::VerboseCallEndReason | CauseSource::AtCommand) {
            return None;
        }
        match (self.r#type, self.code) {
            (verbose::TGPP, 50) | (verbose::INTERNAL, 210) => Some(IpFamily::Ipv4),
            (verbose::TGPP, 51) | (verbose::INTERNAL, 208) => Some(IpFamily::Ipv6),
            (verbose::TGPP, 52) if failed == Some(IpFamily::Ipv4) => Some(IpFamily::Ipv6),
            (verbose::TGPP, 52) => Some(IpFamily::Ipv4),
            _ => None,
        }
    }
}

/// Types of the verbose call end reason.
pub(crate) mod verbose {
    pub const INTERNAL: u16 = 2;
    pub const CALL_MANAGER: u16 = 3;
    pub const TGPP: u16 = 6;
}

/// The legacy call end reason that says nothing.
const LEGACY_UNSPECIFIED: i32 = 1;

/// QMI protocol errors.
mod protocol {
    pub const INVALID_CLIENT_ID: i32 = 7;
    pub const CALL_FAILED: i32 = 14;
}

fn class_of_verbose(r#type: u16, code: i32) -> FailureClass {
    use FailureClass as C;
    match (r#type, code) {
        (verbose::TGPP, 50..=52) | (verbose::INTERNAL, 208 | 210) => C::FamilyLimits,
        (verbose::INTERNAL, 209 | 211 | 258) => C::Throttled,
        // A call of this interface or profile is there already; the modem's own autoconnect makes them.
        (verbose::INTERNAL, 236 | 237 | 241) => C::StaleState,
        (verbose::TGPP, 26 | 34 | 38 | 115 | 126) => C::NetworkBusy,
        (verbose::TGPP, 25 | 36 | 39 | 43 | 54 | 127 | 128) => C::Passing,
        (verbose::TGPP, _) => C::Subscription,
        (verbose::INTERNAL, 220 | 225 | 230..=233 | 235 | 238..=240 | 242 | 244..=249) => C::Subscription,
        (verbose::INTERNAL, 251..=253 | 255..=257 | 259..=264 | 268) => C::Subscription,
        (verbose::INTERNAL, 228 | 229 | 243) => C::NetworkBusy,
        (verbose::CALL_MANAGER, 518 | 2504) => C::OperatorMustAct,
        (verbose::CALL_MANAGER, 1004 | 1005 | 1010 | 1097) => C::OperatorMustAct,
        (verbose::CALL_MANAGER, 1006 | 1007 | 1012 | 1096 | 1098 | 1099 | 1112 | 1118) => C::Subscription,
        (verbose::CALL_MANAGER, 523 | 1015 | 1017 | 1053 | 1060 | 1100) => C::NetworkBusy,
        (verbose::CALL_MANAGER, 524) => C::Throttled,
        _ => C::Passing,
    }
}

fn class_of_legacy(code: i32) -> FailureClass {
    use FailureClass as C;
    match code {
        10 | 1012..=1019 | 1034 | 1036 | 1501 => C::Subscription,
        1005 | 1006 | 1009 | 1500 => C::NetworkBusy,
        1007 => C::StaleState,
        _ => C::Passing,
    }
}

/// EMM, GMM and MM causes; 0 is "not registered" without a cause.
fn class_of_reject(code: i32) -> FailureClass {
    use FailureClass as C;
    match code {
        3 | 5 | 6 | 11 => C::OperatorMustAct,
        // 19, ESM failure: the attach bearer was refused, that is, the attach APN or its PDN type.
        2 | 7 | 8 | 14 | 19 | 23 | 25 | 26 | 32 | 33 | 35 | 95..=111 => C::Subscription,
        16 | 17 | 20..=22 | 24 | 34 | 38 | 39 | 42 => C::NetworkBusy,
        _ => C::Passing,
    }
}

fn class_of_protocol(code: i32) -> FailureClass {
    use FailureClass as C;
    match code {
        // invalid client id, invalid handle, out of call, no effect, policy mismatch, device in use
        protocol::INVALID_CLIENT_ID | 9 | 15 | 23 | 26 | 79 => C::StaleState,
        10 | 19 | 28..=30 | 34 | 49 | 64 | 81 => C::Subscription,
        12 | 35 | 36 | 95 | 102 | 104 | 106 => C::OperatorMustAct,
        // call failed without a reason, no network, not provisioned, SIM or device or network not ready yet
        13 | protocol::CALL_FAILED | 16 | 37 | 52 | 53 | 74 | 90 | 93 | 97 | 118 => C::Passing,
        68 | 116 => C::NetworkBusy,
        _ => C::ControlChannel,
    }
}

fn class_of_sim(code: i32) -> FailureClass {
    const NOT_READY: i32 = SimFault::NotReady as i32;
    const ERROR: i32 = SimFault::Error as i32;
    match code {
        NOT_READY => FailureClass::Passing,
        ERROR => FailureClass::ControlChannel,
        _ => FailureClass::OperatorMustAct,
    }
}

/// Whether a failure goes away by itself. Only the others become the failure context that an operator is
/// shown: a fade must not hide the refused APN behind it.
#[must_use]
pub fn is_passing(class: FailureClass) -> bool {
    match class {
        FailureClass::Passing | FailureClass::StaleState => true,
        FailureClass::NetworkBusy
        | FailureClass::Subscription
        | FailureClass::FamilyLimits
        | FailureClass::Throttled
        | FailureClass::OperatorMustAct
        | FailureClass::ControlChannel
        | FailureClass::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureClass as C;

    #[test]
    fn every_example_of_the_class_table_falls_into_its_class() {
        let verbose = |t, c| Cause::verbose(t, c, "x");
        let emm = |c| Cause::reject(CauseSource::NetworkReject, c, "x");
        let protocol = |c| Cause::protocol(c, "x");
        let cases: Vec<(Cause, C)> = [
            (C::Passing, vec![verbose(3, 2001), verbose(3, 2002), verbose(3, 1028), verbose(3, 1052)]),
            (C::Passing, vec![verbose(2, 206), verbose(2, 212), Cause::legacy(4, "generic-fade"), emm(10)]),
            (C::NetworkBusy, vec![verbose(6, 26), verbose(6, 38), emm(17), emm(22)]),
            (C::Subscription, [8, 27, 28, 29, 30, 31, 32, 33, 66, 220].map(|c| verbose(6, c)).to_vec()),
            (C::Subscription, vec![verbose(2, 220), protocol(34), Cause::legacy(10, "x"), emm(19)]),
            (C::FamilyLimits, vec![verbose(6, 50), verbose(6, 51), verbose(6, 52), verbose(2, 208)]),
            (C::FamilyLimits, vec![verbose(2, 210)]),
            (C::Throttled, vec![verbose(2, 209), verbose(2, 211)]),
            (C::StaleState, vec![protocol(26), protocol(79), protocol(7), verbose(2, 241)]),
            (C::OperatorMustAct, vec![emm(3), emm(6), emm(5), emm(11), Cause::sim(SimFault::Absent)]),
            (C::OperatorMustAct, vec![Cause::sim(SimFault::PinRefused), Cause::sim(SimFault::PukRequired)]),
            (
                C::OperatorMustAct,
                vec![Cause::port(PortFault::WrongImei, ""), Cause::sim(SimFault::WrongIccid)],
            ),
            (C::ControlChannel, vec![protocol(5), Cause::port(PortFault::Timeout, "")]),
            (C::ControlChannel, vec![Cause::port(PortFault::Closed, "EPROTO")]),
        ]
        .into_iter()
        .flat_map(|(class, causes)| causes.into_iter().map(move |cause| (cause, class)))
        .collect();
        for (cause, class) in cases {
            assert_eq!(cause.class(), class, "{cause:?}");
        }
    }

    #[test]
    fn only_what_names_no_reason_is_vague_and_at_names_one() {
        for cause in [
            Cause::protocol(14, "call-failed"),
            Cause::legacy(1, "generic-unspecified"),
            Cause::verbose(6, 4711, "4711"),
        ] {
            assert!(cause.is_vague(), "{cause:?}");
        }
        let told = Cause::told_over_at(Some((33, "option-unsubscribed".into())), "words");
        for cause in [
            Cause::verbose(6, 33, "option-unsubscribed"),
            Cause::legacy(1018, "option-unsubscribed"),
            Cause::port(PortFault::Timeout, ""),
            told.clone(),
        ] {
            assert!(!cause.is_vague(), "{cause:?}");
        }
        assert_eq!(told.class(), C::Subscription);
        assert_eq!(Cause::told_over_at(None, "words").class(), C::Passing);
    }

    #[test]
    fn passing_and_permanent_are_apart() {
        assert!(is_passing(Cause::no_service().class()));
        assert!(!is_passing(Cause::verbose(6, 33, "option-unsubscribed").class()));
    }

    #[test]
    fn a_family_limit_names_the_permitted_family() {
        let permitted = |t, c, failed| Cause::verbose(t, c, "x").permitted_family(failed);
        assert_eq!(permitted(6, 50, None), Some(IpFamily::Ipv4));
        assert_eq!(permitted(6, 51, None), Some(IpFamily::Ipv6));
        assert_eq!(permitted(2, 208, None), Some(IpFamily::Ipv6));
        assert_eq!(permitted(2, 210, None), Some(IpFamily::Ipv4));
        assert_eq!(permitted(6, 52, Some(IpFamily::Ipv6)), Some(IpFamily::Ipv4));
        assert_eq!(permitted(6, 33, Some(IpFamily::Ipv6)), None);
    }

    #[test]
    fn no_number_is_without_a_class() {
        for t in 0..13 {
            for c in -10..2600 {
                assert_ne!(Cause::verbose(t, c, "").class(), C::Unknown);
            }
        }
        for c in 0..2000 {
            assert_ne!(Cause::legacy(c, "").class(), C::Unknown);
            assert_ne!(Cause::protocol(c, "").class(), C::Unknown);
        }
    }
}
