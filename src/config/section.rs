//! The sections beside the device-interfaces. Every key has a default.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

use super::quantity;
use super::{ProbeTarget, Secret};
use crate::event::{FailureClass, RouterName, Rung};

/// Who this router is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Router {
    /// Name of the router in every event.
    pub name: RouterName,
    /// What to group routers by: site, region, tenant.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Which uplink carries the traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Failover {
    /// How uplinks share the traffic.
    pub policy: Policy,
    /// What a link of last resort does while it is not needed.
    pub standby: Standby,
    /// Good probes in a row before an uplink that failed may carry traffic again.
    pub recovery_count: u32,
    /// Shortest time that traffic stays on an uplink before it moves back to a better one.
    #[serde(with = "quantity::duration")]
    pub minimum_stay: Duration,
    /// Returns allowed in each `flap-window`; beyond it traffic stays where it works.
    pub flap_budget: u32,
    /// Window of the flap budget.
    #[serde(with = "quantity::duration")]
    pub flap_window: Duration,
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            standby: Standby::default(),
            recovery_count: 5,
            minimum_stay: Duration::from_secs(60),
            flap_budget: 6,
            flap_window: Duration::from_secs(3600),
        }
    }
}

/// How uplinks share the traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// All that work, by weight.
    #[default]
    ActiveActive,
    /// The lowest priority that works.
    Failover,
    /// LTE only when the wired circuit has failed.
    LastResort,
}

/// What a link of last resort does while it is not needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standby {
    /// Not connected: costs nothing, takes seconds to help.
    Cold,
    /// Connected and quiet.
    #[default]
    Hot,
}

/// How uplinks are tried out. What was received lately needs no probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Probe {
    /// Whom to ask and how; two at least, so that a dead target is not taken for a dead link.
    pub targets: Vec<ProbeTarget>,
    /// Time between two probes of an uplink on which nothing arrives and nothing is suspect. It slows down where
    /// `monthly-budget` does not allow it for long: an echo and its answer each 7 s are 21 MB in a month without any
    /// traffic, each 30 s 4.8 MB.
    #[serde(with = "quantity::duration")]
    pub heartbeat: Duration,
    /// Probes sent in a row on suspicion; all of them lost means dead.
    pub burst_count: u32,
    /// Time between two probes of a burst.
    #[serde(with = "quantity::duration")]
    pub burst_interval: Duration,
    /// How long an answer may take at most. Where round trips are known to be short, less is waited.
    #[serde(with = "quantity::duration")]
    pub timeout: Duration,
    /// Bytes of probes, both ways, that one uplink may spend in a month; the heartbeat slows down to
    /// stay inside.
    #[serde(rename = "monthly-budget", with = "quantity::size")]
    pub monthly_budget_bytes: u64,
}

impl Default for Probe {
    fn default() -> Self {
        let echo = |address: [u8; 4]| ProbeTarget::icmp(Ipv4Addr::from(address).into());
        Self {
            targets: vec![echo([1, 1, 1, 1]), echo([9, 9, 9, 9])],
            heartbeat: Duration::from_secs(7),
            burst_count: 3,
            burst_interval: Duration::from_millis(150),
            timeout: Duration::from_millis(600),
            monthly_budget_bytes: 5_000_000,
        }
    }
}

/// How soon a failed link is tried again: one list of waits for each class of failure, the last of
/// which repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Retry {
    /// No service, detached, fade.
    #[serde(with = "quantity::durations")]
    pub passing: Vec<Duration>,
    /// Congestion.
    #[serde(with = "quantity::durations")]
    pub network_busy: Vec<Duration>,
    /// APN, authentication, subscription.
    #[serde(with = "quantity::durations")]
    pub subscription: Vec<Duration>,
    /// Only one IP family is allowed.
    #[serde(with = "quantity::durations")]
    pub family_limits: Vec<Duration>,
    /// The modem refuses to dial for a while.
    #[serde(with = "quantity::durations")]
    pub throttled: Vec<Duration>,
    /// A leftover of an earlier session.
    #[serde(with = "quantity::durations")]
    pub stale_state: Vec<Duration>,
    /// The modem does not answer.
    #[serde(with = "quantity::durations")]
    pub control_channel: Vec<Duration>,
    /// Each wait is longer or shorter by up to this much, at random.
    pub jitter_percent: u8,
}

impl Default for Retry {
    fn default() -> Self {
        let seconds = |list: &[u64]| list.iter().copied().map(Duration::from_secs).collect();
        let minutes = |list: &[u64]| list.iter().map(|minutes| Duration::from_secs(minutes * 60)).collect();
        Self {
            passing: seconds(&[1, 2, 5, 10, 20, 40, 60]),
            network_busy: seconds(&[10, 30, 60, 120, 300, 900]),
            subscription: minutes(&[1, 1, 1, 1, 5, 10, 15, 30, 60]),
            family_limits: seconds(&[0, 60, 300, 900, 3600]),
            throttled: minutes(&[12]),
            stale_state: seconds(&[0, 5, 10, 20, 40, 60]),
            control_channel: seconds(&[1, 2, 5, 10, 20, 40, 60]),
            jitter_percent: 20,
        }
    }
}

impl Retry {
    /// The waits of a class, first to last; `None` where no retry helps until something changes.
    #[must_use]
    pub fn waits(&self, class: FailureClass) -> Option<&[Duration]> {
        match class {
            FailureClass::Passing | FailureClass::Unknown => Some(&self.passing),
            FailureClass::NetworkBusy => Some(&self.network_busy),
            FailureClass::Subscription => Some(&self.subscription),
            FailureClass::FamilyLimits => Some(&self.family_limits),
            FailureClass::Throttled => Some(&self.throttled),
            FailureClass::StaleState => Some(&self.stale_state),
            FailureClass::ControlChannel => Some(&self.control_channel),
            FailureClass::OperatorMustAct => None,
        }
    }
}

/// How far the agent goes to wake a modem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Recovery {
    /// Rungs of the ladder in order. `reboot` needs `reboot = true` as well.
    pub rungs: Vec<Rung>,
    /// Failed attempts between two rungs.
    pub attempts_per_rung: u32,
    /// Rungs of one modem in an hour.
    pub budget_per_hour: u32,
    /// Rungs of one modem in a day.
    pub budget_per_day: u32,
    /// Whether the agent may reboot the router.
    pub reboot: bool,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            rungs: vec![
                Rung::Redial,
                Rung::RadioCycle,
                Rung::QmiReset,
                Rung::AtReset,
                Rung::UsbPower,
                Rung::Reboot,
            ],
            attempts_per_rung: 4,
            budget_per_hour: 6,
            budget_per_day: 24,
            reboot: false,
        }
    }
}

impl Recovery {
    /// The rungs that may be climbed, in order.
    pub fn allowed_rungs(&self) -> impl Iterator<Item = Rung> {
        self.rungs.iter().copied().filter(|rung| self.reboot || *rung != Rung::Reboot)
    }
}

/// How often signal, traffic, probes and the agent itself are recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Sample {
    /// Time between two signal samples of a link.
    #[serde(with = "quantity::duration")]
    pub signal_interval: Duration,
    /// Time between two readings of the traffic counters of a link.
    #[serde(with = "quantity::duration")]
    pub traffic_interval: Duration,
    /// How long the answers to probes are gathered into one histogram of each target; a change of the uplinks ends it early.
    #[serde(with = "quantity::duration")]
    pub probe_interval: Duration,
    /// Time between two samples of the agent's own memory, CPU and spool.
    #[serde(with = "quantity::duration")]
    pub agent_interval: Duration,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            signal_interval: Duration::from_secs(10),
            traffic_interval: Duration::from_secs(60),
            probe_interval: Duration::from_secs(3600),
            agent_interval: Duration::from_secs(900),
        }
    }
}

/// Where events wait on disk until central has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Spool {
    /// Folder of the spool.
    pub dir: PathBuf,
    /// Bytes that it may take; at least 1 MiB.
    #[serde(rename = "max-size", with = "quantity::size")]
    pub max_size_bytes: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self { dir: "/var/lib/tandem/spool".into(), max_size_bytes: 16 << 20 }
    }
}

/// Where events go. Without `to` they stay in the spool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Upload {
    /// Address of central, such as `https://central.example.net`; or of Kafka, for small fleets in private networks:
    /// `kafka://HOST:PORT,HOST:PORT/PREFIX?NAME=VALUE`. There the token is the password of `sasl.username`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Token that says who we are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// File that holds the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) that may sign central's; those of the system when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Our certificate (PEM) for TLS; goes with `key-file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// Private key (PEM) of `cert-file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Longest time that samples wait for company; status events do not wait. Each exchange with central costs
    /// some 550 bytes beside its batch: of 1 minute a month takes 50 MB, of 5 minutes 12.5, of 10 minutes 7.8,
    /// of 15 minutes 6.6 (two links, a signal sample each 10 s; `tests/bench/micro`).
    #[serde(with = "quantity::duration")]
    pub batch_interval: Duration,
    /// Bytes of telemetry on the wire in a month; samples thin out to stay inside.
    #[serde(rename = "monthly-budget", with = "quantity::size")]
    pub monthly_budget_bytes: u64,
}

impl Default for Upload {
    fn default() -> Self {
        Self {
            to: None,
            token: None,
            token_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            batch_interval: Duration::from_secs(600),
            monthly_budget_bytes: 9_000_000,
        }
    }
}

/// What is said about identities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Privacy {
    /// How IMEI, IMSI, ICCID and MSISDN appear in events.
    pub identifiers: Identifiers,
    /// Secret of the fleet that goes into every hash. Without it a hash can be guessed: there are few
    /// enough identities to try them all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salt: Option<Secret>,
}

/// How IMEI, IMSI, ICCID and MSISDN appear in events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identifiers {
    /// As they are.
    #[default]
    Clear,
    /// As a hash: one identity can be followed but not read.
    Hashed,
    /// Not at all.
    Omitted,
}

/// How AT ports are spoken to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Serial {
    /// Bits per second.
    pub baud_rate: u32,
    /// How long a command may take.
    #[serde(with = "quantity::duration")]
    pub timeout: Duration,
}

impl Default for Serial {
    fn default() -> Self {
        Self { baud_rate: 115_200, timeout: Duration::from_secs(5) }
    }
}

/// The agent itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Agent {
    /// Local socket on which the agent answers the command line.
    pub socket: PathBuf,
    /// Folder of what must survive a restart, such as the failure contexts.
    pub state_dir: PathBuf,
    /// Whether modems are opened through `qmi-proxy`, libqmi's where it is installed and else our own, so that
    /// `qmicli -p` works beside the agent. Otherwise the agent is their sole owner.
    pub qmi_proxy: bool,
}

impl Default for Agent {
    fn default() -> Self {
        Self { socket: "/run/tandem/agent.sock".into(), state_dir: "/var/lib/tandem".into(), qmi_proxy: true }
    }
}
