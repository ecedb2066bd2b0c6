//! Our words as messages of rtnetlink and back. No input or output happens here.
//!
//! The traps: `rtnh_hops` is the weight less one; a rule without an action makes every lookup that meets it fail; the kernel
//! prints `suppress_prefixlength` -1 for rules without one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, State, Stats64,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteProtocol, RouteScope,
    RouteType,
};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::state::{Address, Change, Hop, Link, MAIN, MARK_MASK, PROTOCOL, Route, Rule, Selector};
use crate::event::IpFamily;
use crate::link::status::Counters;

/// Numbers of the interfaces, by name.
pub type Numbers = BTreeMap<String, Link>;
/// A message of rtnetlink.
pub type Message = NetlinkMessage<RouteNetlinkMessage>;

/// The request that makes `change`; `None` when it names an interface that is not there.
#[must_use]
pub fn request(change: &Change, links: &Numbers) -> Option<Message> {
    use RouteNetlinkMessage as Kind;
    const ADD: u16 = NLM_F_CREATE | NLM_F_EXCL;
    let (kind, flags) = match change {
        Change::LinkUp(device) => (Kind::SetLink(link_up(number(device, links)?)), 0),
        Change::Mtu { device, bytes } => (Kind::SetLink(mtu(number(device, links)?, *bytes)), 0),
        Change::AddAddress(address) => (Kind::NewAddress(address_message(address, links)?), ADD),
        Change::RemoveAddress(address) => (Kind::DelAddress(address_message(address, links)?), 0),
        Change::SetRoute(route) => {
            (Kind::NewRoute(route_message(route, links)?), NLM_F_CREATE | NLM_F_REPLACE)
        }
        Change::AppendRoute(route) => {
            (Kind::NewRoute(route_message(route, links)?), NLM_F_CREATE | NLM_F_APPEND)
        }
        Change::RemoveRoute(route) => (Kind::DelRoute(route_removal(route, links)?), 0),
        Change::AddRule(rule) => (Kind::NewRule(rule_message(rule)), ADD),
        Change::RemoveRule(rule) => (Kind::DelRule(rule_message(rule)), 0),
    };
    let mut message = NetlinkMessage::from(kind);
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    Some(message)
}

/// Number of an interface. One that is gone keeps the name `ifN`.
fn number(device: &str, links: &Numbers) -> Option<u32> {
    let by_name = links.get(device).map(|link| link.index);
    by_name.or_else(|| device.strip_prefix("if").and_then(|number| number.parse().ok()))
}

fn gone(number: u32) -> String {
    format!("if{number}")
}

/// `AF_INET` or `AF_INET6`.
#[must_use]
pub fn family(family: IpFamily) -> AddressFamily {
    match family {
        IpFamily::Ipv4 => AddressFamily::Inet,
        IpFamily::Ipv6 => AddressFamily::Inet6,
    }
}

fn ip_family(family: AddressFamily) -> Option<IpFamily> {
    match family {
        AddressFamily::Inet => Some(IpFamily::Ipv4),
        AddressFamily::Inet6 => Some(IpFamily::Ipv6),
        _ => None,
    }
}

fn link_up(number: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = number;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message
}

fn mtu(number: u32, bytes: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = number;
    message.attributes.push(LinkAttribute::Mtu(bytes));
    message
}

fn address_message(address: &Address, links: &Numbers) -> Option<AddressMessage> {
    let mut message = AddressMessage::default();
    message.header.index = number(&address.device, links)?;
    message.header.prefix_len = address.prefix_length;
    message.header.family =
        if address.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.attributes.push(AddressAttribute::Local(address.address));
    message.attributes.push(AddressAttribute::Address(address.address));
    // Nobody else can have the address that the network gave us, and waiting to find out costs a second.
    message.attributes.push(AddressAttribute::Flags(AddressFlags::Noprefixroute | AddressFlags::Nodad));
    Some(message)
}

fn route_message(route: &Route, links: &Numbers) -> Option<RouteMessage> {
    let mut message = route_head(route);
    message.header.kind = RouteType::Unicast;
    let has_gateway = route.hops.iter().any(|hop| hop.gateway.is_some());
    message.header.scope = match route.family {
        IpFamily::Ipv4 if !has_gateway => RouteScope::Link,
        _ => RouteScope::Universe,
    };
    match route.hops.as_slice() {
        [hop] => {
            message.attributes.push(RouteAttribute::Oif(number(&hop.device, links)?));
            if let Some(gateway) = hop.gateway {
                message.attributes.push(RouteAttribute::Gateway(gateway.into()));
                message.header.flags |= rtnetlink::packet_route::route::RouteFlags::Onlink;
            }
        }
        hops => {
            let ways = hops.iter().map(|hop| next_hop(hop, links)).collect::<Option<Vec<_>>>()?;
            message.attributes.push(RouteAttribute::MultiPath(ways));
        }
    }
    Some(message)
}

fn next_hop(hop: &Hop, links: &Numbers) -> Option<RouteNextHop> {
    let mut way = RouteNextHop::default();
    way.interface_index = number(&hop.device, links)?;
    way.hops = u8::try_from(hop.weight.clamp(1, 256) - 1).unwrap_or(u8::MAX);
    if let Some(gateway) = hop.gateway {
        way.flags |= RouteNextHopFlags::Onlink;
        way.attributes.push(RouteAttribute::Gateway(gateway.into()));
    }
    Some(way)
}

/// In tables of ours the key says enough; in the main table others have routes as well, so there the way counts too.
fn route_removal(route: &Route, links: &Numbers) -> Option<RouteMessage> {
    let mut message = route_head(route);
    message.header.scope = match route.family {
        IpFamily::Ipv4 => RouteScope::NoWhere,
        IpFamily::Ipv6 => RouteScope::Universe,
    };
    if let ([hop], MAIN) = (route.hops.as_slice(), route.table) {
        message.attributes.push(RouteAttribute::Oif(number(&hop.device, links)?));
        if let Some(gateway) = hop.gateway {
            message.attributes.push(RouteAttribute::Gateway(gateway.into()));
        }
    }
    Some(message)
}

fn route_head(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.family);
    message.header.protocol = RouteProtocol::from(route.protocol);
    match u8::try_from(route.table) {
        Ok(table) => message.header.table = table,
        Err(_) => message.attributes.push(RouteAttribute::Table(route.table)),
    }
    if route.metric != 0 {
        message.attributes.push(RouteAttribute::Priority(route.metric));
    }
    message
}

fn rule_message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(rule.family);
    message.header.action = RuleAction::ToTable;
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Priority(rule.priority));
    attributes.push(RuleAttribute::Table(rule.table));
    attributes.push(RuleAttribute::Protocol(RouteProtocol::from(PROTOCOL)));
    match &rule.selector {
        Selector::All => {}
        Selector::AllButDefault => attributes.push(RuleAttribute::SuppressPrefixLen(0)),
        Selector::Device(device) => attributes.push(RuleAttribute::Oifname(device.clone())),
        Selector::Mark(mark) => {
            attributes.push(RuleAttribute::FwMark(*mark));
            attributes.push(RuleAttribute::FwMask(MARK_MASK));
        }
        Selector::From(address) => {
            attributes.push(RuleAttribute::Source(*address));
            message.header.src_len = if address.is_ipv4() { 32 } else { 128 };
        }
    }
    message
}

/// A default route of the kernel; `None` for any other route.
#[must_use]
pub fn route(message: &RouteMessage, names: &BTreeMap<u32, String>) -> Option<Route> {
    let header = &message.header;
    if header.destination_prefix_length != 0 || header.kind != RouteType::Unicast || header.tos != 0 {
        return None;
    }
    let name = |number: u32| names.get(&number).cloned().unwrap_or_else(|| gone(number));
    let (mut table, mut metric, mut one, mut via, mut hops) =
        (u32::from(header.table), 0, None, None, Vec::new());
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::Oif(number) => one = Some(name(*number)),
            RouteAttribute::Gateway(address) => via = ip(address),
            RouteAttribute::MultiPath(ways) => {
                hops.extend(ways.iter().map(|way| Hop {
                    // After its interface was down a way of an IPv6 route can stay dead: then it is not what was asked for.
                    device: match way.flags.contains(RouteNextHopFlags::Dead) {
                        true => gone(way.interface_index),
                        false => name(way.interface_index),
                    },
                    gateway: way.attributes.iter().find_map(|attribute| match attribute {
                        RouteAttribute::Gateway(address) => ip(address),
                        _ => None,
                    }),
                    weight: u16::from(way.hops) + 1,
                }));
            }
            _ => {}
        }
    }
    hops.extend(one.map(|device| Hop { device, gateway: via, weight: 1 }));
    Some(Route {
        family: ip_family(header.address_family)?,
        table,
        metric,
        protocol: header.protocol.into(),
        hops,
    })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// A rule of ours; `None` for any other.
#[must_use]
pub fn rule(message: &RuleMessage) -> Option<Rule> {
    let (mut priority, mut table, mut selector) = (0, u32::from(message.header.table), Selector::All);
    let mut is_ours = false;
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Protocol(protocol) => is_ours = u8::from(*protocol) == PROTOCOL,
            RuleAttribute::Priority(number) => priority = *number,
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::SuppressPrefixLen(0) => selector = Selector::AllButDefault,
            RuleAttribute::Oifname(device) => selector = Selector::Device(device.clone()),
            RuleAttribute::FwMark(mark) => selector = Selector::Mark(*mark),
            RuleAttribute::Source(address) => selector = Selector::From(*address),
            _ => {}
        }
    }
    is_ours.then_some(Rule { family: ip_family(message.header.family)?, priority, selector, table })
}

/// An address and the number of its interface; `None` for those that the kernel gives itself.
#[must_use]
pub fn address(message: &AddressMessage) -> Option<Held> {
    if message.header.scope != AddressScope::Universe {
        return None;
    }
    let (mut local, mut peer, mut flags) = (None, None, AddressFlags::empty());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    // IPv6 calls temporary (RFC 8981) what IPv4 calls secondary.
    let second = AddressFlags::Secondary
        | AddressFlags::Deprecated
        | AddressFlags::Tentative
        | AddressFlags::Dadfailed;
    Some(Held {
        number: message.header.index,
        address: local.or(peer)?,
        prefix_length: message.header.prefix_len,
        is_second_choice: flags.intersects(second),
    })
}

/// An address as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Number of its interface.
    pub number: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of its prefix.
    pub prefix_length: u8,
    /// Whether it is secondary, temporary, deprecated, or not known to be nobody else's.
    pub is_second_choice: bool,
}

impl Held {
    /// Whether `other` is in the same network.
    #[must_use]
    pub fn reaches(&self, other: IpAddr) -> bool {
        let bits = |address| match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let ((one, width), (other, other_width)) = (bits(self.address), bits(other));
        let ignored = 128 - u32::from(self.prefix_length.min(width));
        width == other_width && (one ^ other).checked_shr(ignored).unwrap_or(0) == 0
    }
}

/// An interface as the kernel tells it.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Name.
    pub name: String,
    /// Number, state, MTU.
    pub link: Link,
    /// Whether IPv6 is switched on.
    pub ipv6: bool,
    /// MAC address of an interface that has one.
    pub mac_address: Option<String>,
    /// Whether it can pass packets.
    pub operational_up: bool,
    /// Counters.
    pub counters: Counters,
}

/// An interface; `None` when the message has no name.
#[must_use]
pub fn link(message: &LinkMessage) -> Option<Told> {
    let mut told = Told::default();
    told.link.index = message.header.index;
    told.link.up = message.header.flags.contains(LinkFlags::Up);
    let lower_up = message.header.flags.contains(LinkFlags::LowerUp);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => told.name.clone_from(name),
            LinkAttribute::Mtu(bytes) => told.link.mtu_bytes = *bytes,
            LinkAttribute::OperState(State::Up) => told.operational_up = true,
            // A raw-IP interface does not tell; then the carrier counts.
            LinkAttribute::OperState(State::Unknown) => told.operational_up = told.link.up && lower_up,
            LinkAttribute::Address(bytes) if message.header.link_layer_type == LinkLayerType::Ether => {
                told.mac_address = (bytes.len() == 6)
                    .then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"));
            }
            LinkAttribute::Stats64(stats) => told.counters = counters(stats),
            LinkAttribute::AfSpecUnspec(specs) => {
                told.ipv6 = specs.iter().any(|spec| match spec {
                    AfSpecUnspec::Inet6(parts) => parts.iter().any(
                        |part| matches!(part, AfSpecInet6::DevConf(settings) if settings.disable_ipv6 == 0),
                    ),
                    _ => false,
                });
            }
            _ => {}
        }
    }
    (!told.name.is_empty()).then_some(told)
}

fn counters(stats: &Stats64) -> Counters {
    Counters {
        in_octets: stats.rx_bytes,
        in_unicast_packets: stats.rx_packets.saturating_sub(stats.multicast),
        in_errors: stats.rx_errors,
        in_dropped: stats.rx_dropped,
        out_octets: stats.tx_bytes,
        out_unicast_packets: stats.tx_packets,
        out_errors: stats.tx_errors,
        out_dropped: stats.tx_dropped,
    }
}
