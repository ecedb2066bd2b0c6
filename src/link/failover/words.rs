//! What goes into the failover machine and what comes out of it: plain data.

use std::time::{Duration, Instant};

use crate::config::{Config, DeviceInterface, Failover, InterfaceType, Probe, ProbeTarget};
use crate::event::{UplinkSelected, UplinkStopped};

/// Everything the machine must know of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Policy, proof, stay and flap budget.
    pub failover: Failover,
    /// Targets and pace of the probes.
    pub probe: Probe,
    /// The ways out, in the order of the file.
    pub uplinks: Vec<UplinkSettings>,
    /// What correlation ids begin with; each gets a number behind it. Unique to this run of the agent.
    pub correlation_prefix: String,
}

impl Settings {
    /// The settings of `config`; every device-interface is an uplink.
    #[must_use]
    pub fn of(config: &Config, correlation_prefix: impl Into<String>) -> Self {
        Self {
            failover: config.failover.clone(),
            probe: config.probe.clone(),
            uplinks: config.device_interfaces.iter().map(UplinkSettings::of).collect(),
            correlation_prefix: correlation_prefix.into(),
        }
    }
}

/// One way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkSettings {
    /// Name of its device-interface.
    pub name: String,
    /// Modem or wired circuit.
    pub kind: InterfaceType,
    /// Rank, lowest first.
    pub priority: u32,
    /// Share of new flows under `active-active`.
    pub weight: u16,
}

impl UplinkSettings {
    /// The settings of one device-interface.
    #[must_use]
    pub fn of(device: &DeviceInterface) -> Self {
        Self {
            name: device.name.clone(),
            kind: device.kind,
            priority: device.priority(),
            weight: device.weight,
        }
    }
}

/// IP families with an address and a way out; a target of another family cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// IPv4 works.
    pub ipv4: bool,
    /// IPv6 works.
    pub ipv6: bool,
}

impl Families {
    /// IPv4 only.
    pub const IPV4: Self = Self { ipv4: true, ipv6: false };
    /// Both.
    pub const BOTH: Self = Self { ipv4: true, ipv6: true };

    /// Whether `target` can be asked.
    #[must_use]
    pub fn reach(self, target: &ProbeTarget) -> bool {
        if target.address.is_ipv4() { self.ipv4 } else { self.ipv6 }
    }
}

/// What happens to an uplink. Inputs about uplinks that are not configured are ignored.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The uplink works as far as its own state tells: the link is connected, the wired circuit has carrier and
    /// address. May be said again, as when the families change.
    Up {
        /// Which.
        uplink: String,
        /// What it has addresses of.
        families: Families,
        /// Of the change that it comes from, where that has one.
        correlation_id: Option<String>,
    },
    /// The uplink is up but says itself that it may not work: registration lost, probes lost.
    Suspect {
        /// Which.
        uplink: String,
        /// Why, in a few words.
        cause: String,
        /// When the agent learnt of it.
        detected_at: Instant,
        /// Of the change that it comes from, where that has one.
        correlation_id: Option<String>,
    },
    /// The uplink does not work: session ended, device gone, carrier lost.
    Down {
        /// Which.
        uplink: String,
        /// Why, in a few words.
        cause: String,
        /// When the agent learnt of it.
        detected_at: Instant,
        /// Of the change that it comes from, where that has one.
        correlation_id: Option<String>,
    },
    /// Packets of the uplink's network interface, as the kernel counts them. To be read each second at least, twice
    /// a second for the quickest detection; a counter that went back is taken as begun anew.
    Counters {
        /// Which.
        uplink: String,
        /// Packets sent.
        tx_packets: u64,
        /// Packets received.
        rx_packets: u64,
    },
    /// The answer to [`Output::Probe`]; late ones are welcome too.
    ProbeAnswered {
        /// Number of the probe.
        id: u64,
        /// From sending to answer.
        round_trip: Duration,
    },
    /// The probe could not be sent, or the network said that it cannot be delivered. A probe without an answer
    /// needs no input: the machine has its own deadline.
    ProbeFailed {
        /// Number of the probe.
        id: u64,
        /// Why, in a few words.
        cause: String,
    },
    /// Whether the data plan of the uplink is used up.
    Quota {
        /// Which.
        uplink: String,
        /// Used up, or not any more.
        spent: bool,
    },
    /// The configuration changed. Uplinks that stay keep what is known of them.
    Configured(Box<Settings>),
    /// A deadline may have passed.
    Timeout,
}

/// What must be done next, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send one probe now.
    Probe {
        /// Number to answer with; never used twice by one machine.
        id: u64,
        /// Through which uplink.
        uplink: String,
        /// Whom to ask, and how.
        target: ProbeTarget,
        /// Why it is sent.
        purpose: Purpose,
        /// How long to listen for the answer.
        timeout: Duration,
    },
    /// Other uplinks carry the traffic from now on: change the routes, then say so.
    Select(Selection),
    /// The probes say that the uplink is dead. For a link: its machine's `ProbeLost`.
    Suspect {
        /// Which.
        uplink: String,
        /// That of the selection that comes of the same, where one does.
        correlation_id: String,
    },
    /// The probes say that it answers again. For a link: its machine's `ProbeAnswered`.
    Cleared {
        /// Which.
        uplink: String,
        /// That of the selection that comes of the same, where one does.
        correlation_id: String,
    },
    /// The uplink is needed: connect it. Every uplink is, until [`Output::Rest`].
    Dial {
        /// Which.
        uplink: String,
    },
    /// The uplink is not needed (`standby = "cold"`): end its session and keep it registered.
    Rest {
        /// Which.
        uplink: String,
    },
}

/// Why a probe is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing was received for a while, or the uplink has just come up.
    Heartbeat,
    /// The uplink is suspect.
    Suspicion,
    /// Another uplink is suspect: does this one reach the same target?
    Witness,
    /// The uplink failed and must prove that it works.
    Recovery,
}

/// Which uplinks carry the traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Those that carry, in the order of the configuration. Empty when no uplink is up.
    pub carrying: Vec<Carrier>,
    /// Those that carried before and do not any more.
    pub stopped: Vec<UplinkStopped>,
    /// When the agent learnt of what made the change necessary.
    pub detected_at: Instant,
    /// Ties cause, selection and routes together.
    pub correlation_id: String,
}

/// An uplink that carries traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Name of its device-interface.
    pub uplink: String,
    /// Share of new flows, relative to the others.
    pub weight: u16,
}

impl Selection {
    /// The names of those that carry.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.carrying.iter().map(|carrier| carrier.uplink.clone()).collect()
    }

    /// The event to record once the routes are in the kernel, `routed_at`; without it when they could not be set.
    #[must_use]
    pub fn event(&self, routed_at: Option<Instant>) -> UplinkSelected {
        let took = routed_at.map(|at| at.saturating_duration_since(self.detected_at).as_secs_f64() * 1000.0);
        UplinkSelected {
            carrying: self.names(),
            stopped: self.stopped.clone(),
            detection_to_route_ms: took,
            correlation_id: self.correlation_id.clone(),
        }
    }
}
