//! Pure. What the agent asks of the network and what it is told: plain values.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::config::InterfaceType;
use crate::event::{self, IpFamily, IpSettings};

/// Highest index of an uplink: it numbers its table and its mark.
pub const INDEX_MAX: u8 = 250;

/// Everything the kernel is to hold for us, as one value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The uplinks, in the order of the configuration.
    pub uplinks: Vec<Uplink>,
}

/// One way out, as the network half sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Uplink {
    /// Name of the device-interface.
    pub name: String,
    /// Linux interface.
    pub device: String,
    /// Modem or wired circuit. The addresses and the MTU of a wired circuit are the host's business.
    pub kind: InterfaceType,
    /// Small number, 1 to [`INDEX_MAX`], that stays with the interface (see [`super::index`]): table 7000 + index, mark index << 16.
    pub index: u8,
    /// Its layer 3.
    pub settings: Settings,
    /// Metric of the default route that it has in the main table while it is up, and that stays at hand-over; `None`: none.
    pub handover_metric: Option<u32>,
    /// Whether packets that leave here take the address of the interface.
    pub source_nat: bool,
    /// Its share of new flows, 1 to 256, while it carries traffic; `None` while it does not.
    pub carries: Option<u16>,
}

/// What is known of the layer 3 of an uplink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Settings {
    /// Nothing yet, as after a start: all that the kernel has of this uplink stays as it is.
    #[default]
    Unknown,
    /// There is none: the uplink is down.
    Down,
    /// In force, as the network gave them (for a wired circuit: as the host has them, see `Network::wired`).
    Up(IpSettings),
}

impl Uplink {
    /// Table of this uplink.
    #[must_use]
    pub fn table(&self) -> u32 {
        super::state::TABLE + u32::from(self.index)
    }

    /// Mark of flows that left here, within [`super::state::MARK_MASK`].
    #[must_use]
    pub fn mark(&self) -> u32 {
        u32::from(self.index) << 16
    }

    /// Settings in force.
    #[must_use]
    pub fn up(&self) -> Option<&IpSettings> {
        match &self.settings {
            Settings::Up(settings) => Some(settings),
            Settings::Unknown | Settings::Down => None,
        }
    }
}

/// How a change of routes went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// Routes that came, for `route.changed`.
    pub added: Vec<event::Route>,
    /// Routes that went.
    pub removed: Vec<event::Route>,
    /// Requests sent to the kernel; 0 when all was as wanted.
    pub changes: usize,
    /// From the call to the last answer of the kernel: all routes and rules are in place then.
    pub took: Duration,
    /// When the kernel held all that was wanted; `None` where it refused something or could not be asked.
    pub routed_at: Option<Instant>,
    /// What went wrong or cannot be had, each told once for as long as it lasts.
    pub problems: Vec<Problem>,
}

impl Applied {
    /// Whether routes came or went.
    #[must_use]
    pub fn moved_routes(&self) -> bool {
        !(self.added.is_empty() && self.removed.is_empty())
    }
}

/// What went wrong at the edge to the network, as data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Problem {
    /// The interface of an uplink does not exist.
    #[error("there is no interface {0}")]
    NoDevice(String),
    /// Two uplinks share an index, or it is out of range.
    #[error("uplink {0}: its index is used twice or is not in 1..=250")]
    Index(String),
    /// The kernel speaks no IPv6, or not on this interface; IPv4 is not affected.
    #[error("no IPv6 on {0}: the kernel has it switched off")]
    NoIpv6(String),
    /// The network gave an MTU that cannot be used.
    #[error("an MTU of {bytes} bytes on {device} is not used")]
    Mtu {
        /// Interface.
        device: String,
        /// The MTU.
        bytes: u32,
    },
    /// The kernel refused a change; the next reconciliation tries again.
    #[error("the kernel refused to {change}: {reason}")]
    Refused {
        /// The change, in the words of `ip`.
        change: String,
        /// Its reason.
        reason: String,
    },
    /// The kernel's state could not be read.
    #[error("cannot read {what} from the kernel: {reason}")]
    Unreadable {
        /// What was asked for.
        what: String,
        /// Why.
        reason: String,
    },
    /// Source NAT and the marks of flows could not be set; routes work all the same.
    #[error("no source NAT: {0}")]
    Nat(String),
    /// Entries of moved flows could not be deleted; they end by their own timers.
    #[error("moved flows keep their old entries: {0}")]
    Conntrack(String),
    /// DNS servers could not be handed to the host.
    #[error("DNS servers are not handed over: {0}")]
    Dns(String),
    /// A kernel setting could not be changed.
    #[error("cannot set {setting}: {reason}")]
    Setting {
        /// Path below `/proc/sys`.
        setting: String,
        /// Why.
        reason: String,
    },
}

impl Problem {
    /// Whether the kernel may not hold all that was wanted: to be tried again.
    #[must_use]
    pub fn leaves_undone(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Unreadable { .. })
    }
}

/// Tells each problem once for as long as it lasts.
#[derive(Debug, Default)]
pub struct Told(BTreeSet<Problem>);

impl Told {
    /// Of the problems of this round, those that the round before did not have.
    pub fn news(&mut self, now: Vec<Problem>) -> Vec<Problem> {
        let now: BTreeSet<_> = now.into_iter().collect();
        let news = now.difference(&self.0).cloned().collect();
        self.0 = now;
        news
    }

    /// Those that last.
    #[must_use]
    pub fn standing(&self) -> Vec<Problem> {
        self.0.iter().cloned().collect()
    }
}

/// State of a network interface, as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceStatus {
    /// MAC address; a raw-IP interface has none.
    pub mac_address: Option<String>,
    /// Speed, where the interface tells one.
    pub speed_bps: Option<u64>,
    /// Whether the interface is switched on.
    pub admin_up: bool,
    /// Whether it can pass packets: RFC 2863 operational state `up`, or `unknown` for those that do not tell.
    pub operational_up: bool,
    /// MTU.
    pub mtu_bytes: u32,
    /// Counters.
    pub counters: crate::link::status::Counters,
}

/// The two families, in the order in which everything is done.
pub const FAMILIES: [IpFamily; 2] = [IpFamily::Ipv4, IpFamily::Ipv6];
