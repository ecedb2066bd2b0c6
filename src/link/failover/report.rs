//! What the machine knows, as plain data: the answer to `show uplinks`.

use serde::{Deserialize, Serialize};

use crate::config::{InterfaceType, Policy, ProbeTarget};
use crate::event::RoundTrips;
use crate::link::status::ProbeStatus;

/// All uplinks at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// How uplinks share the traffic.
    pub policy: Policy,
    /// The uplinks, in the order of the configuration.
    pub uplinks: Vec<UplinkReport>,
    /// The probe targets, in the order of the configuration.
    pub targets: Vec<TargetReport>,
    /// Returns to a better uplink that the flap budget still allows now.
    pub flaps_left: u32,
}

/// One uplink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UplinkReport {
    /// Name of its device-interface.
    pub name: String,
    /// Modem or wired circuit.
    pub kind: InterfaceType,
    /// Rank, lowest first.
    pub priority: u32,
    /// Share of new flows under `active-active`.
    pub weight: u16,
    /// Whether traffic is sent here.
    pub carrying: bool,
    /// Why, or why not, in a few words.
    pub reason: String,
    /// What it is worth.
    pub standing: Standing,
    /// Whether a burst of probes is on its way to find out.
    pub checking: bool,
    /// Good probes in a row since it failed; absent unless it must prove itself.
    pub good_probes: Option<u32>,
    /// Probes lost in a row.
    pub lost_probes: u32,
    /// Since the last sign of life.
    pub quiet_ms: Option<u64>,
    /// How long it may not take traffic back from another uplink that works.
    pub hold_ms: Option<u64>,
    /// Failures in the flap window.
    pub failures: u32,
    /// Whether its data plan is used up.
    pub quota_spent: bool,
    /// Whether it rests until it is needed.
    pub resting: bool,
    /// Time between two heartbeats that the budget allows now.
    pub heartbeat_ms: u64,
    /// Octets of probes, both ways, since the agent started.
    pub probe_bytes: u64,
    /// Its probes since the agent started.
    pub probe: ProbeStatus,
}

/// What an uplink is worth, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Works.
    Working,
    /// Works, but its data plan is used up.
    Spent,
    /// May not work.
    Suspect,
    /// Failed, and has not proved yet that it works again.
    Proving,
    /// Up by its own account, but probes are lost.
    Dead,
    /// Not up.
    Down,
}

/// One probe target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// Whom, and how.
    pub target: ProbeTarget,
    /// How long it is not asked, because every uplink lost it while another target answered.
    pub ignored_ms: Option<u64>,
}

/// Probes through one uplink to one target since they were last taken.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSample {
    /// Uplink.
    pub uplink: String,
    /// Target.
    pub target: ProbeTarget,
    /// Probes sent whose fate is known.
    pub sent: u32,
    /// Of those, without an answer in time.
    pub lost: u32,
    /// Round trips of the others.
    pub round_trips: RoundTrips,
}
