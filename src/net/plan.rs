//! Pure. Wanted minus present, as ordered steps.
//!
//! ```text
//! priority  rule                                    finds
//!     7000  lookup main suppress_prefixlength 0     connected and specific routes of the host
//!     7010  oif DEVICE lookup 7000+N                sockets bound to an uplink, such as probes, also while it carries nothing
//!     7020  fwmark N<<16/0xff0000 lookup 7000+N     flows that left there before, while it carries traffic
//!     7030  from ADDRESS lookup 7000+N              sockets that have its address
//!     7040  lookup 7000                             everything else: one default route over all that carry traffic
//! ```
//!
//! The host's own routes stand first, for a marked packet may be the answer to a client on the local network. The mark stands
//! before the address, for two carriers may hand out the same address. Where no uplink carries, the search goes on to the
//! main table and what the host has there.
//!
//! In the main table each LTE uplink that is up has the default route that stays at hand-over, under our protocol number. So
//! a hand-over only takes away, and what a killed agent leaves works as well.
//!
//! Order: nothing is removed before what replaces it is there. IPv6 knows no second route that differs only in its protocol, so
//! in the main table it is removed and added again; the route in table 7000 stands meanwhile.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use super::state::{
    Address, BOOT, Change, Hop, IPV6_METRIC, MAIN, PROTOCOL, Present, Route, Rule, Selector, TABLE,
};
use super::words::{FAMILIES, INDEX_MAX, Problem, Settings, Uplink, Wanted};
use crate::config::InterfaceType;
use crate::event::{self, IpFamily};

/// MTUs that are used: RFC 791 asks every host for 576 bytes.
const MTU_BYTES: std::ops::RangeInclusive<u32> = 576..=65_535;
/// Least MTU of IPv6 (RFC 8200, section 5); the kernel ends IPv6 on an interface with less.
const IPV6_MTU_BYTES: u32 = 1280;
/// Gateway of IPv6 hops on interfaces without neighbours: the kernel wants one in a route of several ways.
const STAND_IN: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// Steps, in order, and what cannot be had.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The steps.
    pub changes: Vec<Change>,
    /// What cannot be had.
    pub problems: Vec<Problem>,
}

/// All that the kernel is to hold, worked out.
#[derive(Default)]
struct Target {
    links_up: Vec<String>,
    mtus: Vec<(String, u32)>,
    addresses: BTreeSet<Address>,
    /// Interfaces whose addresses are ours to remove.
    owned: BTreeSet<String>,
    /// In tables of our own.
    routes: Vec<Route>,
    main: Vec<Route>,
    rules: BTreeSet<Rule>,
    problems: Vec<Problem>,
}

/// The steps from `present` to `wanted`. Empty when all is as wanted.
#[must_use]
pub fn plan(wanted: &Wanted, present: &Present) -> Plan {
    let target = target(wanted, present);
    let mut changes = Vec::new();
    let links = |device: &String| present.links.get(device);
    changes.extend(
        target
            .links_up
            .into_iter()
            .filter(|device| links(device).is_some_and(|link| !link.up))
            .map(Change::LinkUp),
    );
    for (device, bytes) in target.mtus {
        if links(&device).is_some_and(|link| link.mtu_bytes != bytes) {
            changes.push(Change::Mtu { device, bytes });
        }
    }
    changes.extend(target.addresses.difference(&present.addresses).cloned().map(Change::AddAddress));
    for route in &target.routes {
        if !present.routes.contains(route) {
            changes.push(Change::SetRoute(route.clone()));
        }
    }
    let mut rules: Vec<_> = target.rules.difference(&present.rules).cloned().collect();
    rules.sort_by_key(|rule| (rule.family, rule.priority));
    changes.extend(rules.into_iter().map(Change::AddRule));
    main_table(&target.main, present, &mut changes);
    let mut rules: Vec<_> = present.rules.difference(&target.rules).cloned().collect();
    rules.sort_by_key(|rule| (rule.family, std::cmp::Reverse(rule.priority)));
    changes.extend(rules.into_iter().map(Change::RemoveRule));
    let replaced = |present: &Route| {
        target.routes.iter().any(|route| {
            (route.family, route.table, route.metric) == (present.family, present.table, present.metric)
        })
    };
    for route in present.routes.iter().filter(|route| route.is_ours() && route.table != MAIN) {
        if !replaced(route) {
            changes.push(Change::RemoveRoute(route.clone()));
        }
    }
    for address in present.addresses.difference(&target.addresses) {
        if target.owned.contains(&address.device) {
            changes.push(Change::RemoveAddress(address.clone()));
        }
    }
    Plan { changes, problems: target.problems }
}

fn target(wanted: &Wanted, present: &Present) -> Target {
    let mut target = Target::default();
    let mut indexes = BTreeSet::new();
    let mut uplinks = Vec::new();
    for uplink in &wanted.uplinks {
        if !(1..=INDEX_MAX).contains(&uplink.index) || !indexes.insert(uplink.index) {
            target.problems.push(Problem::Index(uplink.name.clone()));
            continue;
        }
        if uplink.up().is_some() && !present.links.contains_key(&uplink.device) {
            target.problems.push(Problem::NoDevice(uplink.device.clone()));
            continue;
        }
        uplinks.push(uplink);
    }
    for uplink in &uplinks {
        device(uplink, present, &mut target);
    }
    for family in FAMILIES {
        if uplinks.is_empty() || (family == IpFamily::Ipv6 && present.ipv6.is_empty()) {
            continue;
        }
        target.rules.insert(Rule { family, priority: 7000, selector: Selector::AllButDefault, table: MAIN });
        target.rules.insert(Rule { family, priority: 7040, selector: Selector::All, table: TABLE });
        let mut hops = Vec::new();
        for uplink in &uplinks {
            match uplink.settings {
                Settings::Unknown => keep(uplink, family, present, &mut target, &mut hops),
                Settings::Down => {}
                Settings::Up(_) => one(uplink, family, &uplinks, present, &mut target, &mut hops),
            }
        }
        if let [hop] = hops.as_mut_slice() {
            hop.weight = 1;
        }
        if !hops.is_empty() {
            target.routes.push(Route {
                family,
                table: TABLE,
                metric: least_metric(family, 0),
                protocol: PROTOCOL,
                hops,
            });
        }
    }
    target
}

/// The interface itself: on, MTU, whose addresses are ours.
fn device(uplink: &Uplink, present: &Present, target: &mut Target) {
    if uplink.kind != InterfaceType::Lte || uplink.settings == Settings::Unknown {
        return;
    }
    target.owned.insert(uplink.device.clone());
    let Some(settings) = uplink.up() else { return };
    target.links_up.push(uplink.device.clone());
    if settings.ipv6.is_some() && !present.ipv6.contains(&uplink.device) {
        target.problems.push(Problem::NoIpv6(uplink.device.clone()));
    }
    if let Some(bytes) = settings.mtu_bytes {
        let fits_ipv6 = settings.ipv6.is_none() || bytes >= IPV6_MTU_BYTES;
        match MTU_BYTES.contains(&bytes) && fits_ipv6 {
            true => target.mtus.push((uplink.device.clone(), bytes)),
            false => target.problems.push(Problem::Mtu { device: uplink.device.clone(), bytes }),
        }
    }
}

/// Nothing is known of the uplink yet: what is there stays.
fn keep(uplink: &Uplink, family: IpFamily, present: &Present, target: &mut Target, hops: &mut Vec<Hop>) {
    let ours = present.routes.iter().filter(|route| route.is_ours() && route.family == family);
    for route in ours {
        let over = |hop: &&Hop| hop.device == uplink.device;
        match route.table {
            TABLE => hops.extend(route.hops.iter().filter(over).cloned()),
            MAIN if route.hops.iter().any(|hop| over(&hop)) => target.main.push(route.clone()),
            table if table == uplink.table() => target.routes.push(route.clone()),
            _ => {}
        }
    }
    let of_uplink = |rule: &&Rule| rule.family == family && rule.table == uplink.table();
    target.rules.extend(present.rules.iter().filter(of_uplink).cloned());
    // Left by a hand-over: its flows bear its mark still, and do not go by another uplink that is known sooner.
    let was_left = |route: &Route| *route == left_route(family, &uplink.device, route.metric, BOOT);
    if present.routes.iter().any(was_left) && !present.rules.iter().any(|rule| of_uplink(&rule)) {
        target.routes.retain(|route| (route.family, route.table) != (family, uplink.table()));
        own(uplink, family, None, target);
        pin(uplink, family, target);
    }
}

/// The uplink's own table, for sockets that are bound to it.
fn own(uplink: &Uplink, family: IpFamily, gateway: Option<IpAddr>, target: &mut Target) {
    let (table, metric) = (uplink.table(), least_metric(family, 0));
    let hops = vec![Hop { device: uplink.device.clone(), gateway, weight: 1 }];
    target.routes.push(Route { family, table, metric, protocol: PROTOCOL, hops });
    target.rules.insert(Rule {
        family,
        priority: 7010,
        selector: Selector::Device(uplink.device.clone()),
        table,
    });
}

/// The flows of the uplink stay on it.
fn pin(uplink: &Uplink, family: IpFamily, target: &mut Target) {
    let selector = Selector::Mark(uplink.mark());
    target.rules.insert(Rule { family, priority: 7020, selector, table: uplink.table() });
}

/// What one uplink that is up is to have in one family.
fn one(
    uplink: &Uplink,
    family: IpFamily,
    uplinks: &[&Uplink],
    present: &Present,
    target: &mut Target,
    hops: &mut Vec<Hop>,
) {
    let Some((address, prefix_length, gateway)) = layer3(uplink, family) else { return };
    if family == IpFamily::Ipv6 && !present.ipv6.contains(&uplink.device) {
        return;
    }
    let is_lte = uplink.kind == InterfaceType::Lte;
    if is_lte {
        // An address for this host alone: a raw-IP link has no neighbours, and the prefixes of two carriers may overlap.
        let prefix_length = if family == IpFamily::Ipv4 { 32 } else { prefix_length };
        target.addresses.insert(Address { device: uplink.device.clone(), address, prefix_length });
    }
    let own_gateway = if is_lte { None } else { gateway };
    own(uplink, family, own_gateway, target);
    if let Some(weight) = uplink.carries {
        pin(uplink, family, target);
        let gateway = match family {
            IpFamily::Ipv4 => own_gateway,
            IpFamily::Ipv6 => gateway.filter(|gateway| *gateway != address).or(Some(IpAddr::V6(STAND_IN))),
        };
        hops.push(Hop { device: uplink.device.clone(), gateway, weight: weight.clamp(1, 256) });
    }
    // Of two uplinks with one address, the sockets that have it go where traffic goes.
    let better = uplinks.iter().any(|other| {
        other.index != uplink.index
            && layer3(other, family).is_some_and(|(theirs, ..)| theirs == address)
            && (other.carries.is_some(), std::cmp::Reverse(other.index))
                > (uplink.carries.is_some(), std::cmp::Reverse(uplink.index))
    });
    if !better {
        let (selector, table) = (Selector::From(address), uplink.table());
        target.rules.insert(Rule { family, priority: 7030, selector, table });
    }
    if let Some(metric) = uplink.handover_metric.filter(|_| is_lte) {
        target.main.push(left_route(family, &uplink.device, metric, PROTOCOL));
    }
}

/// Address, length of its prefix and gateway of one family.
fn layer3(uplink: &Uplink, family: IpFamily) -> Option<(IpAddr, u8, Option<IpAddr>)> {
    let settings = uplink.up()?;
    match family {
        IpFamily::Ipv4 => {
            settings.ipv4.as_ref().map(|v4| (v4.address.into(), v4.prefix_length, v4.gateway.map(IpAddr::V4)))
        }
        IpFamily::Ipv6 => {
            settings.ipv6.as_ref().map(|v6| (v6.address.into(), v6.prefix_length, v6.gateway.map(IpAddr::V6)))
        }
    }
}

/// The default route of the main table that stays at hand-over.
fn left_route(family: IpFamily, device: &str, metric: u32, protocol: u8) -> Route {
    let hops = vec![Hop { device: device.to_owned(), gateway: None, weight: 1 }];
    Route { family, table: MAIN, metric: least_metric(family, metric), protocol, hops }
}

/// IPv6 has no metric 0.
fn least_metric(family: IpFamily, metric: u32) -> u32 {
    if family == IpFamily::Ipv6 && metric == 0 { IPV6_METRIC } else { metric }
}

/// Brings the main table to hold `wanted`: takes back what a hand-over left there, removes what is ours and no longer wanted.
fn main_table(wanted: &[Route], present: &Present, changes: &mut Vec<Change>) {
    let in_main: Vec<_> = present.routes.iter().filter(|route| route.table == MAIN).collect();
    let mut gone: Vec<_> =
        in_main.iter().filter(|route| route.is_ours() && !wanted.contains(route)).copied().collect();
    for route in wanted {
        // Somebody's route that says the same serves as well, and IPv6 would refuse a second one.
        let same = |other: &&&Route| Route { protocol: route.protocol, ..(**other).clone() } == *route;
        let there: Vec<_> = in_main.iter().filter(same).copied().collect();
        let is_there = there.iter().any(|other| other.protocol == route.protocol);
        let ours_otherwise =
            |other: &&&Route| other.protocol != route.protocol && [PROTOCOL, BOOT].contains(&other.protocol);
        let before: Vec<_> = there.iter().filter(ours_otherwise).copied().collect();
        if !is_there && there.len() > before.len() {
            continue;
        }
        gone.retain(|other| !before.contains(other));
        let add = (!is_there).then(|| Change::AppendRoute(route.clone()));
        let remove = before.into_iter().cloned().map(Change::RemoveRoute);
        match route.family {
            IpFamily::Ipv4 => changes.extend(add.into_iter().chain(remove)),
            IpFamily::Ipv6 => changes.extend(remove.chain(add)),
        }
    }
    changes.extend(gone.into_iter().cloned().map(Change::RemoveRoute));
}

/// What a hand-over leaves: the LTE interfaces and the metrics of their default routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left(pub Vec<(String, Option<u32>)>);

impl Left {
    /// As the agent wants it.
    #[must_use]
    pub fn of(wanted: &Wanted) -> Self {
        let lte = wanted.uplinks.iter().filter(|uplink| uplink.kind == InterfaceType::Lte);
        Self(lte.map(|uplink| (uplink.device.clone(), uplink.handover_metric)).collect())
    }
}

/// The steps back to plain Linux, from `present` alone, so that they are the same after a crash: the routes of the main table
/// become anybody's, our rules and tables go. What is left of interfaces that `left` does not name keeps its metric.
#[must_use]
pub fn hand_over(left: &Left, present: &Present) -> Plan {
    let ours = || present.routes.iter().filter(|route| route.is_ours());
    let mut stays = Vec::new();
    for (device, metric) in &left.0 {
        for family in FAMILIES {
            let is_up = ours().any(|route| {
                let own = route.table == MAIN || route.table > TABLE;
                own && route.family == family && route.hops.iter().any(|hop| hop.device == *device)
            });
            stays.extend(metric.filter(|_| is_up).map(|metric| left_route(family, device, metric, BOOT)));
        }
    }
    for route in ours().filter(|route| route.table == MAIN) {
        if !route.hops.iter().any(|hop| left.0.iter().any(|(device, _)| *device == hop.device)) {
            stays.push(Route { protocol: BOOT, ..route.clone() });
        }
    }
    let mut changes = Vec::new();
    main_table(&stays, present, &mut changes);
    let mut rules: Vec<_> = present.rules.iter().cloned().collect();
    rules.sort_by_key(|rule| (rule.family, std::cmp::Reverse(rule.priority)));
    changes.extend(rules.into_iter().map(Change::RemoveRule));
    changes.extend(ours().filter(|route| route.table != MAIN).cloned().map(Change::RemoveRoute));
    Plan { changes, problems: Vec::new() }
}

/// The routes that come and go with `changes`, as events tell them. One that only changes hands is neither.
#[must_use]
pub fn told(changes: &[Change], present: &Present) -> (Vec<event::Route>, Vec<event::Route>) {
    let mut after = present.clone();
    changes.iter().for_each(|change| after.take(change));
    let told = |present: &Present| present.routes.iter().flat_map(Route::told).collect::<Vec<_>>();
    let (before, after) = (told(present), told(&after));
    let less = |some: &[event::Route], other: &[event::Route]| {
        some.iter().filter(|route| !other.contains(route)).cloned().collect()
    };
    (less(&after, &before), less(&before, &after))
}

#[cfg(test)]
mod tests;
