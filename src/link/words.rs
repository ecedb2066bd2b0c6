//! What goes into the link machine and what comes out of it: plain data, in our words and not in QMI's.

use std::time::Duration;

use crate::config::{AuthenticationProtocol, Recovery, Retry, Secret};
use crate::event::{
    Body, Cell, IpFamily, IpSettings, RegistrationChanged as Registration, Rung, Signal,
    SimChanged as SimStatus,
};

use super::failure::Cause;
use super::memory::Memory;

/// Everything the machine must know of the configuration, secrets read from their files.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    /// Name of the device-interface.
    pub name: String,
    /// What to dial.
    pub profile: Profile,
    /// IP families to ask for.
    pub families: Vec<IpFamily>,
    /// PIN of the SIM.
    pub pin: Option<Secret>,
    /// IMEI that the modem must have.
    pub imei: Option<String>,
    /// ICCID that the SIM must have.
    pub iccid: Option<String>,
    /// Paces of the retries.
    pub retry: Retry,
    /// How far to go to wake a modem.
    pub recovery: Recovery,
}

/// The attach and data profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Access point name.
    pub apn_name: String,
    /// Which of the modem's 3GPP profiles to use; the default one when absent.
    pub index: Option<u8>,
    /// Who we are to the carrier.
    pub authentication: Option<Login>,
}

/// Name and password for the carrier.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// User name.
    pub user_name: String,
    /// Password.
    pub password: Secret,
    /// How it is sent.
    pub protocol: AuthenticationProtocol,
}

/// Who a modem says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Manufacturer.
    pub manufacturer: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Firmware revision.
    pub firmware: Option<String>,
    /// IMEI.
    pub imei: Option<String>,
}

/// How the dialling of one family ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Dialled {
    /// The family.
    pub family: IpFamily,
    /// Up, or why not.
    pub result: Result<Session, Cause>,
}

/// A session that is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Made by this dial.
    New,
    /// Was up before (start-network answered *no effect*): its traffic goes on.
    Adopted,
}

/// What happens to a link.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The slot has a modem. Said again by every re-scan.
    Appeared,
    /// The slot's modem is gone.
    Vanished,

    /// [`Operation::Open`] ended.
    Opened(Result<Identity, Cause>),
    /// [`Operation::ReadSim`] ended.
    SimRead(Result<SimStatus, Cause>),
    /// [`Operation::VerifyPin`] ended.
    PinVerified(Result<(), Cause>),
    /// [`Operation::PowerCycleSim`] ended.
    SimCycled(Result<(), Cause>),
    /// [`Operation::Prepare`] ended.
    Prepared(Result<(), Cause>),
    /// [`Operation::Register`] ended, with the registration as it is now.
    RegisterAsked(Result<Registration, Cause>),
    /// [`Operation::Connect`] ended, with one answer for each family asked for.
    Connected(Vec<Dialled>),
    /// [`Operation::Disconnect`] ended.
    Disconnected(Result<(), Cause>),
    /// [`Operation::CleanUp`] ended.
    CleanedUp(Result<(), Cause>),
    /// [`Operation::ReadSettings`] ended.
    SettingsRead(Result<IpSettings, Cause>),
    /// [`Operation::Recover`] ended.
    Recovered(Result<(), String>),

    /// The card, its PIN or its identity changed.
    SimChanged(SimStatus),
    /// Registration, carrier or cell changed.
    RegistrationChanged(Registration),
    /// A session that was up is down.
    SessionDown {
        /// Its family; both when the message does not say.
        family: Option<IpFamily>,
        /// Why, where the message says so.
        cause: Option<Cause>,
    },
    /// The network changed the settings of a session, or may have.
    SettingsChanged,
    /// Signal and cell as they are.
    Measured {
        /// Signal.
        signal: Signal,
        /// Cell.
        cell: Cell,
    },
    /// Probes say that the data path does not answer.
    ProbeLost,
    /// Probes say that it does.
    ProbeAnswered,
    /// The control port failed outside an operation.
    ChannelFault(Cause),

    /// Whether the link is to stay registered but without a session, because another uplink does the work
    /// and this one costs by the minute or the megabyte.
    Standby(bool),
    /// An operator wants an attempt now.
    RetryNow,
    /// An operator wants a reset.
    ResetNow {
        /// Which one.
        rung: Rung,
        /// Even when it is the only working uplink.
        forced: bool,
    },
    /// The configuration changed.
    ConfigChanged(Box<LinkConfig>),
    /// The rung that was asked for may be climbed.
    RecoveryGranted,
    /// It may not, and why.
    RecoveryRefused(String),
    /// A deadline may have passed.
    Timeout,
}

impl Input {
    /// Whether this is an answer to an operation at all.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Opened(_)
            | Self::SimRead(_)
            | Self::PinVerified(_)
            | Self::SimCycled(_)
            | Self::Prepared(_)
            | Self::RegisterAsked(_)
            | Self::Connected(_)
            | Self::Disconnected(_)
            | Self::CleanedUp(_)
            | Self::SettingsRead(_)
            | Self::Recovered(_) => true,
            Self::Appeared
            | Self::Vanished
            | Self::SimChanged(_)
            | Self::RegistrationChanged(_)
            | Self::SessionDown { .. }
            | Self::SettingsChanged
            | Self::Measured { .. }
            | Self::ProbeLost
            | Self::ProbeAnswered
            | Self::ChannelFault(_)
            | Self::Standby(_)
            | Self::RetryNow
            | Self::ResetNow { .. }
            | Self::ConfigChanged(_)
            | Self::RecoveryGranted
            | Self::RecoveryRefused(_)
            | Self::Timeout => false,
        }
    }

    /// Whether this answers `operation`.
    #[must_use]
    pub fn answers(&self, operation: &Operation) -> bool {
        matches!(
            (self, operation),
            (Self::Opened(_), Operation::Open)
                | (Self::SimRead(_), Operation::ReadSim)
                | (Self::PinVerified(_), Operation::VerifyPin(_))
                | (Self::SimCycled(_), Operation::PowerCycleSim)
                | (Self::Prepared(_), Operation::Prepare(_))
                | (Self::RegisterAsked(_), Operation::Register)
                | (Self::Connected(_), Operation::Connect { .. })
                | (Self::Disconnected(_), Operation::Disconnect)
                | (Self::CleanedUp(_), Operation::CleanUp)
                | (Self::SettingsRead(_), Operation::ReadSettings)
                | (Self::Recovered(_), Operation::Recover(_))
        )
    }
}

/// What the shell must do with the modem. One is in flight at a time, and each is answered by exactly one input,
/// unless [`Output::Abort`] comes before.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Open the control port, clear left-over clients, subscribe to indications, ask who the modem is.
    Open,
    /// Read card, PIN state and identities.
    ReadSim,
    /// Give the PIN. Once.
    VerifyPin(Secret),
    /// Take the power of the card off and on again.
    PowerCycleSim,
    /// Bring framing and profile in order: raw-ip on both sides, autoconnect off, attach profile written. What is right
    /// already is not touched, for a session may be alive.
    Prepare(Profile),
    /// Radio on; register.
    Register,
    /// Start a session for each family.
    Connect {
        /// What to dial.
        profile: Profile,
        /// For which families.
        families: Vec<IpFamily>,
    },
    /// Stop our sessions.
    Disconnect,
    /// Clear what an earlier life left: stop foreign sessions, autoconnect off, free all client ids where no other program
    /// uses the modem. The control port is opened anew afterwards.
    CleanUp,
    /// Read the settings of every session that is up.
    ReadSettings,
    /// Climb a rung of the recovery ladder.
    Recover(Rung),
}

impl Operation {
    /// How long the operation may take. The shell ends it by then; the machine gives it up
    /// [`Self::GRACE`] later at the latest.
    #[must_use]
    pub fn limit(&self) -> Duration {
        Duration::from_secs(match self {
            Self::Open => 45,
            Self::ReadSim | Self::VerifyPin(_) | Self::ReadSettings => 20,
            Self::Prepare(_) | Self::Disconnect | Self::CleanUp => 60,
            // Two exchanges that may be slow, and the pause between.
            Self::PowerCycleSim => 45,
            Self::Register => 30,
            // Networks may take minutes; libqmi waits 180 s.
            Self::Connect { .. } => 185,
            Self::Recover(_) => 90,
        })
    }

    /// Beyond [`Self::limit`], how long the machine waits for the shell's word.
    pub const GRACE: Duration = Duration::from_secs(5);

    /// A few words for logs and causes.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::ReadSim => "read SIM",
            Self::VerifyPin(_) => "verify PIN",
            Self::PowerCycleSim => "power-cycle SIM",
            Self::Prepare(_) => "prepare",
            Self::Register => "register",
            Self::Connect { .. } => "connect",
            Self::Disconnect => "disconnect",
            Self::CleanUp => "clean up",
            Self::ReadSettings => "read settings",
            Self::Recover(_) => "recover",
        }
    }
}

/// What is known of the network interface of a link.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Path {
    /// Nothing yet. What an earlier run left on the interface may carry traffic and stays as it is.
    #[default]
    Unknown,
    /// No session: nothing may be on the interface.
    Down,
    /// A session with these settings.
    Up(IpSettings),
}

/// What comes out of the machine, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Carry this out.
    Operate(Operation),
    /// Give up the operation in flight; its answer must not arrive any more.
    Abort,
    /// Let go of the control port.
    Close,
    /// Put these settings on the network interface, in place of those before.
    Apply(IpSettings),
    /// Take everything off the network interface.
    Withdraw,
    /// This happened.
    Report(Box<Body>),
    /// Keep this over restarts.
    Remember(Box<Memory>),
    /// Ask whether this rung may be climbed; answered by [`Input::RecoveryGranted`] or
    /// [`Input::RecoveryRefused`].
    AskRecovery {
        /// Which rung.
        rung: Rung,
        /// Even when it is the only working uplink.
        forced: bool,
    },
    /// The modem is out of recovery, whether it helped or not.
    RecoveryOver,
}
