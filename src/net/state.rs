//! Pure. What of the kernel's state matters here, and the changes to it, as ordered data.
//!
//! Ours is what carries our protocol number, [`PROTOCOL`]. Everything else is foreign and never touched, with one
//! exception: the default routes that a hand-over left in the main table, which the next start takes back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use crate::event::{self, IpFamily};

/// Protocol number of our routes and rules.
pub const PROTOCOL: u8 = 201;
/// Protocol number of routes that somebody set by hand; what a hand-over leaves.
pub const BOOT: u8 = 3;
/// Table of the default route; an uplink's own table is this plus its index.
pub const TABLE: u32 = 7000;
/// The main table.
pub const MAIN: u32 = 254;
/// The bits of a mark that are ours.
pub const MARK_MASK: u32 = 0x00ff_0000;
/// Metric that the kernel gives an IPv6 route without one.
pub const IPV6_METRIC: u32 = 1024;

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Number of the interface.
    pub index: u32,
    /// Whether it is switched on.
    pub up: bool,
    /// MTU.
    pub mtu_bytes: u32,
}

/// An address on an interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Interface.
    pub device: String,
    /// Address.
    pub address: IpAddr,
    /// Length of its prefix.
    pub prefix_length: u8,
}

/// One way of a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// Interface.
    pub device: String,
    /// Gateway; absent on an interface that has no neighbours.
    pub gateway: Option<IpAddr>,
    /// Share of the flows, 1 to 256; 1 where there is one way.
    pub weight: u16,
}

/// A default route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Family.
    pub family: IpFamily,
    /// Table.
    pub table: u32,
    /// Metric; 0 is none, as the kernel has it for IPv4.
    pub metric: u32,
    /// Who set it.
    pub protocol: u8,
    /// Its ways, in the order of the uplinks.
    pub hops: Vec<Hop>,
}

impl Route {
    /// Whether we set it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.protocol == PROTOCOL
    }

    /// The route as events tell it, one for each way.
    pub fn told(&self) -> impl Iterator<Item = event::Route> + '_ {
        self.hops.iter().map(|hop| event::Route {
            prefix: match self.family {
                IpFamily::Ipv4 => "0.0.0.0/0".into(),
                IpFamily::Ipv6 => "::/0".into(),
            },
            device: hop.device.clone(),
            gateway: hop.gateway,
            metric: (self.metric != 0).then_some(self.metric),
            table: self.table,
        })
    }
}

/// Of [`MAIN`] and [`TABLE`], those that flows without a mark follow: of each family ours, where there is one, else the one with
/// the lowest metric.
#[must_use]
pub fn followed(routes: &[Route]) -> Vec<&Route> {
    let of = |family| routes.iter().filter(move |route| route.family == family);
    let first = |family| of(family).min_by_key(|route| (route.table != TABLE, route.metric));
    [IpFamily::Ipv4, IpFamily::Ipv6].into_iter().filter_map(first).collect()
}

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    /// Everything, but a default route that is found does not count.
    AllButDefault,
    /// Sockets bound to an interface.
    Device(String),
    /// The mark of the flow, within [`MARK_MASK`].
    Mark(u32),
    /// The source address.
    From(IpAddr),
    /// Everything.
    All,
}

/// A routing rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Family.
    pub family: IpFamily,
    /// Lowest first.
    pub priority: u32,
    /// What it looks at.
    pub selector: Selector,
    /// Where it sends the search.
    pub table: u32,
}

/// What of the kernel's state matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// All interfaces, by name.
    pub links: BTreeMap<String, Link>,
    /// Addresses on the interfaces of the uplinks.
    pub addresses: BTreeSet<Address>,
    /// Our default routes in every table, and everybody's in the main table over the interfaces of the uplinks.
    /// In the order of the kernel.
    pub routes: Vec<Route>,
    /// Our rules.
    pub rules: BTreeSet<Rule>,
    /// Interfaces on which IPv6 is switched on.
    pub ipv6: BTreeSet<String>,
}

/// One step. A list of them is carried out in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Switch an interface on.
    LinkUp(String),
    /// Set the MTU of an interface.
    Mtu {
        /// Interface.
        device: String,
        /// MTU.
        bytes: u32,
    },
    /// Put an address on an interface, without a route to its prefix.
    AddAddress(Address),
    /// Take an address away.
    RemoveAddress(Address),
    /// Put a route in the place of the one with its family, table and metric, if there is one.
    SetRoute(Route),
    /// Add a route behind those of the same metric.
    AppendRoute(Route),
    /// Remove a route.
    RemoveRoute(Route),
    /// Add a rule.
    AddRule(Rule),
    /// Remove a rule.
    RemoveRule(Rule),
}

impl Present {
    /// What the state is after a change, as far as the kernel obeys: the model that the tests and the recorder use.
    pub fn take(&mut self, change: &Change) {
        match change {
            Change::LinkUp(device) => {
                if let Some(link) = self.links.get_mut(device) {
                    link.up = true;
                }
            }
            Change::Mtu { device, bytes } => {
                if let Some(link) = self.links.get_mut(device) {
                    link.mtu_bytes = *bytes;
                }
            }
            Change::AddAddress(address) => _ = self.addresses.insert(address.clone()),
            Change::RemoveAddress(address) => _ = self.addresses.remove(address),
            Change::SetRoute(route) => {
                let key = |route: &Route| (route.family, route.table, route.metric);
                match self.routes.iter_mut().find(|present| key(present) == key(route)) {
                    Some(present) => *present = route.clone(),
                    None => self.routes.push(route.clone()),
                }
            }
            Change::AppendRoute(route) => {
                if !self.routes.contains(route) {
                    self.routes.push(route.clone());
                }
            }
            Change::RemoveRoute(route) => self.routes.retain(|present| present != route),
            Change::AddRule(rule) => _ = self.rules.insert(rule.clone()),
            Change::RemoveRule(rule) => _ = self.rules.remove(rule),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkUp(device) => write!(f, "link set {device} up"),
            Self::Mtu { device, bytes } => write!(f, "link set {device} mtu {bytes}"),
            Self::AddAddress(address) => write!(f, "address add {address}"),
            Self::RemoveAddress(address) => write!(f, "address del {address}"),
            Self::SetRoute(route) => write!(f, "route replace {route}"),
            Self::AppendRoute(route) => write!(f, "route append {route}"),
            Self::RemoveRoute(route) => write!(f, "route del {route}"),
            Self::AddRule(rule) => write!(f, "rule add {rule}"),
            Self::RemoveRule(rule) => write!(f, "rule del {rule}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} dev {}", self.address, self.prefix_length, self.device)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.family == IpFamily::Ipv6 { "-6 " } else { "" };
        write!(f, "{family}default")?;
        for hop in &self.hops {
            if self.hops.len() > 1 {
                write!(f, " nexthop")?;
            }
            if let Some(gateway) = hop.gateway {
                write!(f, " via {gateway}")?;
            }
            write!(f, " dev {}", hop.device)?;
            if self.hops.len() > 1 {
                write!(f, " weight {}", hop.weight)?;
            }
        }
        write!(f, " table {} proto {} metric {}", self.table, self.protocol, self.metric)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.family == IpFamily::Ipv6 { "-6 " } else { "" };
        write!(f, "{family}priority {} ", self.priority)?;
        match &self.selector {
            Selector::AllButDefault => write!(f, "lookup {} suppress_prefixlength 0", self.table),
            Selector::All => write!(f, "lookup {}", self.table),
            Selector::Device(device) => write!(f, "oif {device} lookup {}", self.table),
            Selector::Mark(mark) => write!(f, "fwmark {mark:#x}/{MARK_MASK:#x} lookup {}", self.table),
            Selector::From(address) => write!(f, "from {address} lookup {}", self.table),
        }
    }
}
