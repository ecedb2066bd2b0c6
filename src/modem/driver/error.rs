//! What can go wrong with a modem, with enough in it to tell what to do next.

use crate::event::{CauseSource, IpFamily};
use crate::link::failure::{Cause, PortFault, SimFault};
use crate::modem::port::PortError;
use crate::modem::qmi::RequestError;
use crate::modem::serial::SerialError;
use crate::qmi::{ProtocolError, Refusal, Request};

/// Why a command to a modem failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DriverError {
    /// The control port could not be opened.
    #[error("{0}")]
    Open(String),
    /// The modem, or the way to it, is gone.
    #[error("{0}")]
    Gone(String),
    /// The modem did not answer in time.
    #[error("no answer to {message} within {after_ms} ms")]
    Timeout {
        /// The QMI message.
        message: &'static str,
        /// The deadline that passed.
        after_ms: u64,
    },
    /// Too many requests wait for this modem already.
    #[error("too many requests wait for this modem, {message} was not sent")]
    Busy {
        /// The QMI message.
        message: &'static str,
    },
    /// The modem answered something that cannot be read.
    #[error("malformed answer to {message}: {reason}")]
    Malformed {
        /// The QMI message.
        message: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Earlier clients did not give their ids back.
    #[error("the modem has no client id left for {service}")]
    ClientIdsExhausted {
        /// The QMI service.
        service: String,
    },
    /// The modem refused.
    #[error("{service} {message} refused: {name} ({code})")]
    Protocol {
        /// The QMI service.
        service: String,
        /// The QMI message.
        message: &'static str,
        /// QMI protocol error.
        code: u16,
        /// Its name.
        name: String,
    },
    /// The data call did not come up.
    #[error("data call failed: {name}")]
    CallFailed {
        /// The family dialled.
        family: IpFamily,
        /// Legacy call end reason.
        legacy: Option<u16>,
        /// Type of the verbose call end reason.
        verbose_type: Option<u16>,
        /// Verbose call end reason within its type.
        verbose_code: Option<i16>,
        /// Name of the most telling of them.
        name: String,
    },
    /// The modem in this slot is not the one that belongs there.
    #[error("the modem has IMEI {found}, {expected} is configured")]
    WrongModem {
        /// Configured IMEI.
        expected: String,
        /// The modem's IMEI.
        found: String,
    },
    /// No PIN was tried, for too few tries are left.
    #[error("only {left} tries are left for the PIN, none is spent")]
    PinRetriesLow {
        /// Tries left.
        left: u8,
    },
    /// The PIN is wrong.
    #[error("the PIN was refused, {} tries are left", left.map_or("an unknown number of".to_owned(), |left| left.to_string()))]
    PinRefused {
        /// Tries left, where the modem says so.
        left: Option<u8>,
    },
    /// The radio does not come on.
    #[error("the radio stays off: {reason}")]
    RadioOff {
        /// Why.
        reason: String,
    },
    /// Modem and kernel do not agree on how packets are framed.
    #[error("raw-ip framing cannot be agreed: {reason}")]
    Framing {
        /// What does not fit.
        reason: String,
    },
    /// A serial port failed.
    #[error("{0}")]
    Serial(String),
    /// The firmware image asked for cannot be had.
    #[error("{0}")]
    Image(String),
}

impl DriverError {
    /// An error of request `R`, its details left out.
    pub(super) fn of<R: Request>(error: RequestError<R::Failure>) -> Self {
        match error {
            RequestError::Timeout(after) => Self::Timeout {
                message: R::NAME,
                after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            },
            RequestError::Gone(reason) => Self::Gone(reason),
            RequestError::Busy(_) => Self::Busy { message: R::NAME },
            RequestError::Refusal(Refusal::Malformed(missing)) => {
                Self::Malformed { message: R::NAME, reason: missing.to_string() }
            }
            RequestError::Refusal(Refusal::Refused { error, .. }) => Self::refused::<R>(error),
        }
    }

    /// The modem refused an `R`.
    pub(super) fn refused<R: Request>(error: ProtocolError) -> Self {
        Self::Protocol {
            service: R::SERVICE.to_string(),
            message: R::NAME,
            code: number(error),
            name: error.to_string(),
        }
    }

    /// The QMI protocol error, where the modem refused.
    #[must_use]
    pub fn protocol(&self) -> Option<ProtocolError> {
        match self {
            Self::Protocol { code, .. } => Some(crate::qmi::layout::Coded::from_number((*code).into())),
            Self::ClientIdsExhausted { .. } => Some(ProtocolError::ClientIdsExhausted),
            Self::CallFailed { .. } => Some(ProtocolError::CallFailed),
            _ => None,
        }
    }

    /// True when the modem does not know the message.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.protocol().is_some_and(crate::modem::qmi::is_unsupported)
    }

    /// The failure in the words of the link machine.
    #[must_use]
    pub fn cause(&self) -> Cause {
        let text = self.to_string();
        match self {
            Self::Open(_) => Cause::port(PortFault::OpenFailed, text),
            Self::Gone(_) => Cause::port(PortFault::Closed, text),
            Self::Timeout { .. } | Self::Busy { .. } => Cause::port(PortFault::Timeout, text),
            Self::Malformed { .. } => Cause::port(PortFault::Malformed, text),
            Self::WrongModem { .. } => Cause::port(PortFault::WrongImei, text),
            Self::Framing { .. } => Cause::port(PortFault::Framing, text),
            Self::ClientIdsExhausted { .. } => {
                Cause::protocol(number(ProtocolError::ClientIdsExhausted), "client-ids-exhausted")
                    .with_detail(text)
            }
            Self::Protocol { code, name, .. } => Cause::protocol(*code, kebab(name)).with_detail(text),
            Self::CallFailed { legacy, verbose_type, verbose_code, name, .. } => {
                match (verbose_type, verbose_code, legacy) {
                    (Some(kind), Some(code), _) => Cause::verbose(*kind, *code, name.clone()),
                    (_, _, Some(code)) => Cause::legacy(*code, name.clone()),
                    _ => Cause::protocol(number(ProtocolError::CallFailed), "call-failed"),
                }
            }
            Self::PinRetriesLow { .. } => Cause::sim(SimFault::PinRetriesLow).with_detail(text),
            Self::PinRefused { .. } => Cause::sim(SimFault::PinRefused).with_detail(text),
            Self::RadioOff { .. } => {
                Cause::protocol(number(ProtocolError::HardwareRestricted), "radio-off").with_detail(text)
            }
            Self::Serial(_) => Cause::new(CauseSource::AtCommand, 0, 0, "at-failed").with_detail(text),
            Self::Image(_) => Cause::new(CauseSource::Unknown, 0, 0, "image-unavailable").with_detail(text),
        }
    }
}

impl From<PortError> for DriverError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Gone { .. } => Self::Gone(error.to_string()),
            _ => Self::Open(error.to_string()),
        }
    }
}

impl From<SerialError> for DriverError {
    fn from(error: SerialError) -> Self {
        Self::Serial(error.to_string())
    }
}

fn number(error: ProtocolError) -> u16 {
    crate::qmi::layout::Coded::number(error) as u16
}

/// `NoEffect` as `no-effect`, the form in which every other reason is written.
fn kebab(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.char_indices() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FailureClass;
    use crate::qmi::{Done, wds};

    #[test]
    fn every_kind_of_failure_falls_into_its_class() {
        let call = |verbose_type, verbose_code, legacy| DriverError::CallFailed {
            family: IpFamily::Ipv4,
            legacy,
            verbose_type,
            verbose_code,
            name: "x".into(),
        };
        let refused = |error| DriverError::refused::<wds::StopNetwork>(error);
        for (error, class) in [
            (DriverError::Gone("x".into()), FailureClass::ControlChannel),
            (DriverError::Timeout { message: "x", after_ms: 1 }, FailureClass::ControlChannel),
            (DriverError::ClientIdsExhausted { service: "nas".into() }, FailureClass::ControlChannel),
            (
                DriverError::WrongModem { expected: "1".into(), found: "2".into() },
                FailureClass::OperatorMustAct,
            ),
            (DriverError::PinRefused { left: Some(2) }, FailureClass::OperatorMustAct),
            (DriverError::PinRetriesLow { left: 2 }, FailureClass::OperatorMustAct),
            (call(Some(6), Some(33), Some(1)), FailureClass::Subscription),
            (call(Some(6), Some(50), None), FailureClass::FamilyLimits),
            (refused(ProtocolError::NoEffect), FailureClass::StaleState),
            (refused(ProtocolError::PolicyMismatch), FailureClass::StaleState),
            (refused(ProtocolError::InvalidClientId), FailureClass::StaleState),
        ] {
            assert_eq!(error.cause().class(), class, "{error:?}");
        }
    }

    #[test]
    fn an_error_says_which_message_and_why() {
        let error = DriverError::of::<wds::StopNetwork>(RequestError::Refusal(Refusal::Refused {
            error: ProtocolError::InvalidHandle,
            details: Done,
        }));
        assert_eq!(error.to_string(), "wds Stop Network refused: InvalidHandle (9)");
        assert_eq!(error.protocol(), Some(ProtocolError::InvalidHandle));
        assert_eq!(error.cause().reason, "invalid-handle");
    }
}
