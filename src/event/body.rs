//! The kinds of event: one variant and one struct each. Structs only grow: a new field is optional, none is
//! renamed or removed, and `tests/events/` holds one example of every kind ever released.
//!
//! Units stand at the end of the names. Octets and counts are totals since the start of the batch interval
//! unless a field says otherwise. Absent values are left out, never written as a sentinel.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How an event is kept. Status events are few and precious; samples are many and replaceable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Kept for a year or more, never thinned while a sample is left.
    Status,
    /// Thinned first when room or bytes run out.
    Sample,
}

/// An event of a type this build does not know, kept as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Its CloudEvents type.
    pub kind: String,
    /// Its `data`, JSON.
    pub data: String,
}

macro_rules! bodies {
    ($($(#[doc = $doc:literal])+ $variant:ident = $kind:literal, $class:ident;)+) => {
        /// What happened: one variant for each kind of event.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Body {
            $($(#[doc = $doc])+ $variant($variant),)+
            /// A type this build does not know.
            #[serde(skip)]
            Unknown(Unknown),
        }

        impl Body {
            /// Every known CloudEvents type with its class, in the order of the reference table.
            pub const KINDS: &[(&'static str, Class)] = &[$(($kind, Class::$class)),+];

            /// The CloudEvents `type`.
            #[must_use]
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $kind,)+
                    Self::Unknown(unknown) => &unknown.kind,
                }
            }

            /// Reads the `data` of an event of type `kind`.
            ///
            /// # Errors
            /// When `data` does not fit a known type. An unknown type is no error.
            pub fn read(kind: &str, data: &RawValue) -> serde_json::Result<Self> {
                Ok(match kind {
                    $($kind => Self::$variant(serde_json::from_str(data.get())?),)+
                    _ => Self::Unknown(Unknown { kind: kind.to_owned(), data: data.get().to_owned() }),
                })
            }

            /// Reads the fields of an event of type `kind`. An unknown type is an error here: its `data` is to be
            /// kept as it came.
            pub(super) fn read_fields<'de, D: serde::Deserializer<'de>>(
                kind: &str,
                fields: D,
            ) -> Result<Self, D::Error> {
                match kind {
                    $($kind => $variant::deserialize(fields).map(Self::$variant),)+
                    _ => Err(serde::de::Error::custom("unknown type")),
                }
            }

            /// JSON Schemas of the fields of every known kind, by type.
            #[must_use]
            pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
                vec![$(($kind, schemars::schema_for!($variant))),+]
            }
        }

        $(impl From<$variant> for Body {
            fn from(fields: $variant) -> Self {
                Self::$variant(fields)
            }
        })+
    };
}

bodies! {
    /// The agent took up its work.
    AgentStarted = "io.tandem.agent.started.v1", Status;
    /// The agent is about to hand over and end.
    AgentStopping = "io.tandem.agent.stopping.v1", Status;
    /// A new configuration is in force.
    ConfigCommitted = "io.tandem.config.committed.v1", Status;
    /// The configuration before it is in force again.
    ConfigRolledBack = "io.tandem.config.rolled-back.v1", Status;
    /// A modem is there.
    ModemDetected = "io.tandem.modem.detected.v1", Status;
    /// A modem is gone.
    ModemRemoved = "io.tandem.modem.removed.v1", Status;
    /// The SIM, its PIN or its identity changed.
    SimChanged = "io.tandem.sim.changed.v1", Status;
    /// Registration, carrier, radio or cell changed.
    RegistrationChanged = "io.tandem.registration.changed.v1", Status;
    /// A link went from one state to another.
    LinkChanged = "io.tandem.link.changed.v1", Status;
    /// An attempt to bring a link up, or the link itself, failed.
    LinkFailed = "io.tandem.link.failed.v1", Status;
    /// Other uplinks carry the traffic now.
    UplinkSelected = "io.tandem.uplink.selected.v1", Status;
    /// Routes came and went.
    RouteChanged = "io.tandem.route.changed.v1", Status;
    /// A rung of the recovery ladder was climbed.
    RecoveryPerformed = "io.tandem.recovery.performed.v1", Status;
    /// Somebody ran an AT command.
    AtExecuted = "io.tandem.at.executed.v1", Status;
    /// The preferred firmware image changed.
    ImageChanged = "io.tandem.image.changed.v1", Status;
    /// The data plan is about to be used up.
    TrafficWarned = "io.tandem.traffic.warned.v1", Status;
    /// Events were given up.
    SpoolDropped = "io.tandem.spool.dropped.v1", Status;
    /// The wall clock jumped.
    ClockStepped = "io.tandem.clock.stepped.v1", Status;
    /// Signal, in columns.
    SignalSampled = "io.tandem.signal.sampled.v1", Sample;
    /// Traffic, in columns.
    TrafficSampled = "io.tandem.traffic.sampled.v1", Sample;
    /// Round trips to one probe target.
    ProbeSampled = "io.tandem.probe.sampled.v1", Sample;
    /// What the agent itself takes.
    AgentSampled = "io.tandem.agent.sampled.v1", Sample;
}

impl Body {
    /// The class of a type. Unknown types count as status: what we do not know we do not thin.
    #[must_use]
    pub fn class_of(kind: &str) -> Class {
        Self::KINDS.iter().find(|(known, _)| *known == kind).map_or(Class::Status, |(_, class)| *class)
    }

    /// The class of this event.
    #[must_use]
    pub fn class(&self) -> Class {
        Self::class_of(self.kind())
    }
}

// ---- shared words ----

/// Whether the wall clock can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClockState {
    /// Set from NTP, the network or a person since boot.
    Synced,
    /// Not set since boot: times may lie by decades.
    Unsynced,
    /// A value of a newer release.
    #[serde(other)]
    Unknown,
}

/// State of one link, as in the diagram of `link::machine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// No modem in the slot.
    Absent,
    /// Control port being opened.
    Opening,
    /// SIM being read or unlocked.
    Sim,
    /// Waiting for the network.
    Registering,
    /// Data connection being set up.
    Connecting,
    /// Carries or can carry traffic.
    Connected,
    /// Connected, but the data path does not answer.
    Suspect,
    /// Failed; tries again at a known time.
    Waiting,
    /// An operator must act.
    Stopped,
    /// Registered without a session on purpose: a link of last resort that is not needed.
    Standby,
    /// A value of a newer release.
    #[serde(other)]
    Unknown,
}

/// Class of a failure; it decides the pace of the retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// No service, detached, fade.
    Passing,
    /// Congestion.
    NetworkBusy,
    /// APN, authentication, subscription.
    Subscription,
    /// Only one IP family is allowed.
    FamilyLimits,
    /// The modem refuses to dial for a while.
    Throttled,
    /// A leftover of an earlier session.
    StaleState,
    /// No retry helps: SIM, PIN, IMEI.
    OperatorMustAct,
    /// The modem does not answer.
    ControlChannel,
    /// A value of a newer release.
    #[serde(other)]
    Unknown,
}

/// Which source named the cause of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CauseSource {
    /// WDS legacy call end reason.
    CallEndReason,
    /// WDS verbose call end reason.
    VerboseCallEndReason,
    /// NAS network reject indication.
    NetworkReject,
    /// NAS system info.
    SystemInfo,
    /// NAS serving system.
    ServingSystem,
    /// QMI protocol error.
    ProtocolError,
    /// UIM card status.
    Sim,
    /// `AT+CEER`.
    AtCommand,
    /// The control port itself.
    Port,
    /// Probes through the link.
    Probe,
    /// The kernel's network stack.
    Kernel,
    /// A value of a newer release.
    #[serde(other)]
    Unknown,
}

/// Radio access technology, in the words of `show device-interface`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Radio {
    /// Not in service.
    None,
    /// GSM/EDGE.
    Gsm,
    /// UMTS/HSPA.
    Umts,
    /// LTE.
    Lte,
    /// 5G NR, also with an LTE anchor.
    Nr5g,
    /// A value of a newer release.
    #[serde(other)]
    Unknown,
}

/// Registration with the network (QMI NAS serving system).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RegistrationState {
    /// Not registered, not searching.
    NotRegistered,
    /// Registered.
    Registered,
    /// Searching for a network.
    Searching,
    /// The network refused.
    Denied,
    /// A value of a newer release.
    #[serde(other)]
    Unknown,
}

/// State of the SIM card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CardState {
    /// No card.
    Absent,
    /// Card found, not ready yet.
    Present,
    /// Provisioned application ready.
    Ready,
    /// Waits for its PIN.
    PinRequired,
    /// PIN blocked, waits for its PUK.
    PukRequired,
    /// PUK blocked, or card unusable.
    Blocked,
    /// Card refused by the network.
    Illegal,
    /// The modem cannot read the card.
    Error,
    /// A value of a newer release.
    #[serde(other)]
    Unknown,
}

/// State of PIN 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PinState {
    /// No PIN asked.
    Disabled,
    /// Asked for, not given.
    EnabledNotVerified,
    /// Given and right.
    EnabledVerified,
    /// Too many wrong ones; PUK needed.
    Blocked,
    /// PUK used up.
    PermanentlyBlocked,
    /// A value of a newer release.
    #[serde(other)]
    Unknown,
}

/// An IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IpFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// A rung of the recovery ladder, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Disconnect and dial again.
    Redial,
    /// Radio off and on.
    RadioCycle,
    /// DMS reset.
    QmiReset,
    /// Reset by AT command.
    AtReset,
    /// Power of the USB port off and on.
    UsbPower,
    /// Reboot of the router.
    Reboot,
    /// A value of a newer release.
    #[serde(other)]
    Unknown,
}

/// How a rung ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecoveryResult {
    /// Carried out.
    Done,
    /// Could not be carried out.
    Failed,
    /// Not allowed: last working uplink, the other modem is in recovery, or no budget.
    Refused,
    /// A value of a newer release.
    #[serde(other)]
    Unknown,
}

/// A carrier (PLMN).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Carrier {
    /// Name as the network or SIM gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Mobile country code, three digits.
    pub mcc: String,
    /// Mobile network code, two or three digits.
    pub mnc: String,
}

/// Where the modem camps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// E-UTRAN cell identity, 28 bits (or the cell id of an older radio).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell_id: Option<u32>,
    /// Tracking area code (or location area code).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tac: Option<u32>,
    /// Band number of 3GPP TS 36.101.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<u16>,
}

/// One reading of the signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Signal {
    /// RSSI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rssi_dbm: Option<i16>,
    /// RSRP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rsrp_dbm: Option<i16>,
    /// RSRQ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rsrq_db: Option<i16>,
    /// SNR, steps of 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snr_db: Option<f32>,
}

/// IPv4 settings of a data connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ipv4Settings {
    /// Own address.
    pub address: Ipv4Addr,
    /// Length of the subnet prefix.
    pub prefix_length: u8,
    /// Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
    /// DNS servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<Ipv4Addr>,
}

/// IPv6 settings of a data connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ipv6Settings {
    /// Own address.
    pub address: Ipv6Addr,
    /// Length of the prefix.
    pub prefix_length: u8,
    /// Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv6Addr>,
    /// DNS servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<Ipv6Addr>,
}

/// IP settings of a data connection, as the network gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IpSettings {
    /// IPv4, where it is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Settings>,
    /// IPv6, where it is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Settings>,
    /// MTU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu_bytes: Option<u32>,
    /// Search domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
}

/// A refusal by the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reject {
    /// EMM, GMM or MM cause of 3GPP TS 24.301 / 24.008.
    pub cause: u16,
    /// Its name.
    pub name: String,
    /// Which message told it.
    pub source: CauseSource,
}

// ---- status ----

/// [`Body::AgentStarted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentStarted {
    /// Version of the agent.
    pub version: String,
    /// Commit or build the version was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Why it started: `boot`, `restart`, `crash`.
    pub cause: String,
    /// Hash of the configuration in force.
    pub config_hash: String,
    /// Whether the run before it ended in order; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean_shutdown: Option<bool>,
    /// Labels of the router, such as site, region, tenant.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// [`Body::AgentStopping`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentStopping {
    /// Version of the agent.
    pub version: String,
    /// Why it stops: `signal`, `operator`, `fault`.
    pub cause: String,
    /// Hash of the configuration in force.
    pub config_hash: String,
}

/// [`Body::ConfigCommitted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigCommitted {
    /// Hash of the configuration.
    pub hash: String,
    /// Warnings, with the path of the object each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Who committed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it rolls back unless confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_by: Option<DateTime<Utc>>,
    /// Labels of the router in this configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// [`Body::ConfigRolledBack`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigRolledBack {
    /// Hash of the configuration that was given up.
    pub from_hash: String,
    /// Hash of the configuration in force again.
    pub hash: String,
    /// Why: `not-confirmed`, `central-unreachable`, `operator`.
    pub cause: String,
}

/// [`Body::ModemDetected`]. Sent when the modem is found, and again once it has told who it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModemDetected {
    /// USB bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usb_bus: Option<u16>,
    /// USB device number on the bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usb_device: Option<u16>,
    /// Place in the USB tree, such as `1-4`.
    pub usb_path: String,
    /// USB vendor, four hex digits.
    pub vendor_id: String,
    /// USB product, four hex digits.
    pub product_id: String,
    /// Kernel driver of the data function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Network interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netdev: Option<String>,
    /// QMI control port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_port: Option<String>,
    /// Serial port that answers AT commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_port: Option<String>,
    /// Manufacturer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Firmware revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// IMEI, 15 digits (see `[privacy]`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imei: Option<String>,
}

/// [`Body::ModemRemoved`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModemRemoved {
    /// Place in the USB tree.
    pub usb_path: String,
    /// Network interface it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netdev: Option<String>,
    /// Why it is thought gone.
    pub cause: String,
}

/// [`Body::SimChanged`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SimChanged {
    /// State of the card.
    pub card: CardState,
    /// Physical slot, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u8>,
    /// ICCID (see `[privacy]`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iccid: Option<String>,
    /// IMSI (see `[privacy]`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imsi: Option<String>,
    /// MSISDN (see `[privacy]`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msisdn: Option<String>,
    /// State of PIN 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinState>,
    /// Tries left for PIN 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_retries: Option<u8>,
    /// Tries left for the PUK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub puk_retries: Option<u8>,
}

/// [`Body::RegistrationChanged`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegistrationChanged {
    /// State.
    pub state: RegistrationState,
    /// Radio.
    pub radio: Radio,
    /// Carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<Carrier>,
    /// Whether roaming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roaming: Option<bool>,
    /// Cell.
    pub cell: Cell,
    /// Last refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject: Option<Reject>,
}

/// [`Body::LinkChanged`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkChanged {
    /// State before.
    pub from: LinkState,
    /// State now.
    pub to: LinkState,
    /// What brought it about, in a few words.
    pub cause: String,
    /// On connect, and when they change: the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<IpSettings>,
    /// Whether a session of an earlier run was taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<bool>,
    /// APN asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apn: Option<String>,
    /// Ties it to what brought it about and to what follows: other changes, failures, selection and routes of the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

/// [`Body::LinkFailed`]: one failure record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkFailed {
    /// Attempts in a row that failed, this one included.
    pub attempt: u32,
    /// Type of the cause: QMI verbose call end reason type, 0 where there is none.
    pub r#type: u16,
    /// Code of the cause within its type.
    pub code: i32,
    /// Name of the cause, libqmi's words, such as `option-unsubscribed`.
    pub reason: String,
    /// Class; it decides the pace.
    pub class: FailureClass,
    /// Which message named the cause.
    pub source: CauseSource,
    /// IP family that failed, where only one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<IpFamily>,
    /// When the next attempt is due, by wall clock; absent when an operator must act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_retry_time: Option<DateTime<Utc>>,
    /// Time until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    /// Signal before the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// Cell before the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<Cell>,
    /// Further words of the modem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// That of the change of the link that came of it, or that it explains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

/// An uplink that no longer carries traffic, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UplinkStopped {
    /// The uplink.
    pub uplink: String,
    /// Why.
    pub cause: String,
}

/// [`Body::UplinkSelected`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UplinkSelected {
    /// Uplinks that carry traffic now.
    pub carrying: Vec<String>,
    /// Uplinks that stopped carrying it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<UplinkStopped>,
    /// From detection to the route in the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection_to_route_ms: Option<f64>,
    /// Ties cause, selection and routes together.
    pub correlation_id: String,
}

/// A route, as in `ip route`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// Prefix, `default` written as `0.0.0.0/0` or `::/0`.
    pub prefix: String,
    /// Device.
    pub device: String,
    /// Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// Table; 254 is main.
    pub table: u32,
}

/// [`Body::RouteChanged`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteChanged {
    /// Routes added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<Route>,
    /// Routes removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Route>,
    /// Ties cause, selection and routes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// From the detection of the cause to the routes in the kernel; absent where nothing but a repair brought it about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection_to_route_ms: Option<f64>,
}

/// [`Body::RecoveryPerformed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryPerformed {
    /// Rung.
    pub rung: Rung,
    /// How it ended.
    pub result: RecoveryResult,
    /// Why it was refused or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Rungs this modem may still climb this hour.
    pub budget_left_hour: u32,
    /// Rungs this modem may still climb today.
    pub budget_left_day: u32,
    /// That of the change of the link that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

/// [`Body::AtExecuted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AtExecuted {
    /// Serial port.
    pub port: String,
    /// Command, secrets removed.
    pub command: String,
    /// Lines of the answer, secrets removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answer: Vec<String>,
    /// Final result, such as `OK`.
    pub result: String,
    /// Who ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A pair of firmware images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImagePair {
    /// Modem image: build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Carrier configuration: build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
}

/// [`Body::ImageChanged`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImageChanged {
    /// Preferred images before.
    pub before: ImagePair,
    /// Preferred images after.
    pub after: ImagePair,
    /// `changed`, `rolled-back` or `failed`.
    pub result: String,
    /// Why, where it did not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// [`Body::TrafficWarned`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficWarned {
    /// Used since the start of the cycle.
    pub used_bytes: u64,
    /// The plan.
    pub plan_bytes: u64,
    /// Expected at the end of the cycle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast_bytes: Option<u64>,
    /// Start of the cycle.
    pub cycle_start: DateTime<Utc>,
}

/// [`Body::SpoolDropped`]: proof of what was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpoolDropped {
    /// Class of what was dropped.
    pub class: Class,
    /// First sequence dropped.
    pub first_sequence: u64,
    /// Last sequence dropped.
    pub last_sequence: u64,
    /// How many events; those between the two that were kept do not count. 0 where a damaged spool does not
    /// tell any more.
    pub count: u64,
    /// Why: `full`, `damaged`, `budget`, `refused` (central does not take it).
    pub cause: String,
    /// The epoch they belonged to, where it is not this event's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_epoch: Option<super::Epoch>,
}

/// [`Body::ClockStepped`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockStepped {
    /// Wall clock before the step.
    pub from: DateTime<Utc>,
    /// Wall clock after the step.
    pub to: DateTime<Utc>,
}

// ---- samples ----

/// A run of samples taken in one cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellRun {
    /// How many samples in a row.
    pub count: u32,
    /// Radio.
    pub radio: Radio,
    /// Band number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<u16>,
    /// Cell identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell_id: Option<u32>,
    /// Tracking area code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tac: Option<u32>,
}

/// [`Body::SignalSampled`]: N samples in columns of equal length; `null` where a value is not available. The event's `time` is that of the first sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SignalSampled {
    /// Time since the event's `time`.
    pub offset_ms: Vec<u32>,
    /// RSSI.
    pub rssi_dbm: Vec<Option<i16>>,
    /// RSRP.
    pub rsrp_dbm: Vec<Option<i16>>,
    /// RSRQ.
    pub rsrq_db: Vec<Option<i16>>,
    /// SNR.
    pub snr_db: Vec<Option<f32>>,
    /// Radio and cell, run by run; the counts add up to the number of samples.
    pub runs: Vec<CellRun>,
}

/// [`Body::TrafficSampled`]: N intervals in columns of equal length. The event's `time` is the start of the first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficSampled {
    /// End of the interval, since the event's `time`.
    pub offset_ms: Vec<u32>,
    /// Octets received.
    pub rx_bytes: Vec<u64>,
    /// Octets sent.
    pub tx_bytes: Vec<u64>,
    /// Packets received.
    pub rx_packets: Vec<u64>,
    /// Packets sent.
    pub tx_packets: Vec<u64>,
    /// Receive errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rx_errors: Vec<u64>,
    /// Send errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tx_errors: Vec<u64>,
    /// Packets dropped on receipt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rx_dropped: Vec<u64>,
    /// Packets dropped on sending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tx_dropped: Vec<u64>,
}

/// [`Body::ProbeSampled`]: round trips over one uplink to one target. The event's `time` is that of the first probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeSampled {
    /// Target.
    pub target: String,
    /// Length of the interval.
    pub interval_ms: u32,
    /// Probes sent.
    pub sent: u32,
    /// Probes without an answer in time.
    pub lost: u32,
    /// Round-trip times in microseconds, HdrHistogram V2 compressed, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<String>,
}

/// [`Body::AgentSampled`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentSampled {
    /// Length of the interval.
    pub interval_ms: u32,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Processor time used in the interval.
    pub cpu_ms: u64,
    /// Events in the spool.
    pub spool_events: u64,
    /// Size of the spool on disk.
    pub spool_bytes: u64,
    /// Age of the oldest event that central has not acknowledged.
    pub upload_lag_ms: u64,
    /// Octets sent to central in the interval.
    pub sent_bytes: u64,
    /// Octets received from central in the interval.
    pub received_bytes: u64,
}
