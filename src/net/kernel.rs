//! Routes, rules, addresses and interfaces of this machine's kernel, over rtnetlink.
//!
//! Reading asks only for what matters, filtered in the kernel: a router with a hundred thousand routes of others costs
//! nothing more. A change goes out as one datagram; the kernel takes its requests in order and answers each.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use nix::errno::Errno;
use rtnetlink::packet_core::{
    ErrorMessage, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol};
use rtnetlink::packet_route::rule::RuleMessage;
use rtnetlink::proto::ConnectionHandle;
use rtnetlink::sys::{AsyncSocket as _, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use tokio::time::timeout;

use super::message::{self, Held, Message};
use super::state::{Address, Change, MAIN, PROTOCOL, Present, Route, TABLE};
use super::words::{DeviceStatus, FAMILIES, Problem};
use crate::event::{IpFamily, IpSettings, Ipv4Settings, Ipv6Settings};

/// The kernel answers at once, or something is badly wrong.
const DEADLINE: Duration = Duration::from_secs(5);
/// Attempts to read a state that changes while it is read.
const READS_MAX: usize = 4;

/// The kernel's side of routes and interfaces.
pub struct Kernel {
    handle: ConnectionHandle<RouteNetlinkMessage>,
}

impl Kernel {
    /// Connects to the kernel. Within a tokio runtime.
    ///
    /// # Errors
    /// When there is no netlink socket to be had.
    pub fn open() -> io::Result<Self> {
        let (mut connection, handle, _) =
            rtnetlink::proto::new_connection_with_socket::<RouteNetlinkMessage, TokioSocket>(NETLINK_ROUTE)?;
        // So that each request of a batch has its answer.
        connection.set_forward_ack(true);
        let socket = connection.socket_mut().socket_mut();
        // Filters of dumps work with it alone; kernels before 4.20 filter nothing, and the answer is filtered again here.
        let _ = socket.set_netlink_get_strict_chk(true);
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// What of the state matters, with the addresses and the foreign routes of `devices`.
    ///
    /// # Errors
    /// [`Problem::Unreadable`].
    pub async fn read(&self, devices: &[&str]) -> Result<Present, Problem> {
        let mut present = Present::default();
        let mut names = BTreeMap::new();
        for told in self.links().await? {
            names.insert(told.link.index, told.name.clone());
            if told.ipv6 {
                present.ipv6.insert(told.name.clone());
            }
            present.links.insert(told.name, told.link);
        }
        for Held { number, address, prefix_length, .. } in self.addresses().await? {
            if let Some(device) = names.get(&number).filter(|name| devices.contains(&name.as_str())) {
                present.addresses.insert(Address { device: device.clone(), address, prefix_length });
            }
        }
        for family in FAMILIES {
            if family == IpFamily::Ipv6 && present.ipv6.is_empty() {
                continue;
            }
            let mut rules = RuleMessage::default();
            rules.header.family = message::family(family);
            let rules = self.dump("rules", RouteNetlinkMessage::GetRule(rules)).await?;
            present.rules.extend(rules.into_iter().filter_map(|answer| match answer {
                RouteNetlinkMessage::NewRule(rule) => message::rule(&rule),
                _ => None,
            }));
            let mut ours = RouteMessage::default();
            ours.header.protocol = RouteProtocol::from(PROTOCOL);
            let mut routes = self.routes(family, ours, &names).await?;
            routes.retain(Route::is_ours);
            for device in devices {
                let Some(link) = present.links.get(*device) else { continue };
                routes.extend(
                    self.main_routes(family, link.index, &names).await?.into_iter().filter(|r| !r.is_ours()),
                );
            }
            present.routes.extend(routes);
        }
        Ok(present)
    }

    /// The default routes that traffic can follow while no agent runs: everybody's in the main table, and what an agent that was
    /// killed left in ours.
    ///
    /// # Errors
    /// [`Problem::Unreadable`].
    pub async fn default_routes(&self) -> Result<Vec<Route>, Problem> {
        let links = self.links().await?;
        let names = links.iter().map(|told| (told.link.index, told.name.clone())).collect();
        let mut routes = self.routes(IpFamily::Ipv4, RouteMessage::default(), &names).await?;
        if links.iter().any(|told| told.ipv6) {
            routes.extend(self.routes(IpFamily::Ipv6, RouteMessage::default(), &names).await?);
        }
        routes.retain(|route| [MAIN, TABLE].contains(&route.table));
        Ok(routes)
    }

    /// Everybody's default routes in the main table over one interface.
    async fn main_routes(
        &self,
        family: IpFamily,
        number: u32,
        names: &BTreeMap<u32, String>,
    ) -> Result<Vec<Route>, Problem> {
        let mut filter = RouteMessage::default();
        filter.header.table = MAIN as u8;
        filter.attributes.push(RouteAttribute::Oif(number));
        let mut routes = self.routes(family, filter, names).await?;
        let device = names.get(&number);
        routes
            .retain(|route| route.table == MAIN && route.hops.iter().any(|hop| Some(&hop.device) == device));
        Ok(routes)
    }

    async fn routes(
        &self,
        family: IpFamily,
        mut filter: RouteMessage,
        names: &BTreeMap<u32, String>,
    ) -> Result<Vec<Route>, Problem> {
        filter.header.address_family = message::family(family);
        let answers = self.dump("routes", RouteNetlinkMessage::GetRoute(filter)).await?;
        let route = |answer| match answer {
            RouteNetlinkMessage::NewRoute(route) => message::route(&route, names),
            _ => None,
        };
        Ok(answers.into_iter().filter_map(route).collect())
    }

    async fn links(&self) -> Result<Vec<message::Told>, Problem> {
        let mut all = LinkMessage::default();
        all.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let answers = self.dump("interfaces", RouteNetlinkMessage::GetLink(all)).await?;
        let link = |answer| match answer {
            RouteNetlinkMessage::NewLink(link) => message::link(&link),
            _ => None,
        };
        Ok(answers.into_iter().filter_map(link).collect())
    }

    async fn addresses(&self) -> Result<Vec<Held>, Problem> {
        let answers =
            self.dump("addresses", RouteNetlinkMessage::GetAddress(AddressMessage::default())).await?;
        let address = |answer| match answer {
            RouteNetlinkMessage::NewAddress(address) => message::address(&address),
            _ => None,
        };
        Ok(answers.into_iter().filter_map(address).collect())
    }

    /// Carries out `changes` as one batch. Returns, in their order, which of them hold now, and what was refused.
    pub async fn carry_out(&self, changes: &[Change], links: &message::Numbers) -> (Vec<bool>, Vec<Problem>) {
        let mut holds = vec![false; changes.len()];
        let mut problems = Vec::new();
        let (mut sent, mut requests) = (Vec::new(), Vec::new());
        for (position, change) in changes.iter().enumerate() {
            match message::request(change, links) {
                Some(request) => {
                    sent.push(position);
                    requests.push(request);
                }
                // Gone with its interface.
                None if matches!(change, Change::RemoveRoute(_) | Change::RemoveAddress(_)) => {
                    holds[position] = true
                }
                None => problems.push(refused(change, "its interface is gone")),
            }
        }
        if requests.is_empty() {
            return (holds, problems);
        }
        let answers = match self.exchange(requests).await {
            Ok(answers) => answers,
            Err(reason) => {
                problems.push(refused(&changes[sent[0]], &reason));
                return (holds, problems);
            }
        };
        for (position, errno) in sent.iter().zip(answers) {
            let change = &changes[*position];
            match errno {
                None => holds[*position] = true,
                Some(errno) if is_as_wanted(change, errno) => holds[*position] = true,
                Some(errno) => problems.push(refused(change, errno.desc())),
            }
        }
        (holds, problems)
    }

    /// Sends a batch; the answers in the order of the requests, `None` for success.
    async fn exchange(&self, requests: Vec<Message>) -> Result<Vec<Option<Errno>>, String> {
        let answers =
            self.handle.request_batch(requests, SocketAddr::new(0, 0)).map_err(|e| e.to_string())?;
        let errors = answers.filter_map(|answer| async move {
            match answer.payload {
                NetlinkPayload::Error(error) => Some(errno(&error)),
                _ => None,
            }
        });
        timeout(DEADLINE, errors.collect()).await.map_err(|_| "no answer in time".to_owned())
    }

    /// A dump, whole: one that was cut into by a change is asked for again.
    async fn dump(
        &self,
        what: &str,
        request: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, Problem> {
        let mut reason = String::new();
        for _ in 0..READS_MAX {
            let mut request = NetlinkMessage::from(request.clone());
            request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
            match timeout(DEADLINE, self.dump_once(request)).await {
                Ok(Ok(answers)) => return Ok(answers),
                Ok(Err(error)) => reason = error,
                Err(_) => reason = "no answer in time".into(),
            }
        }
        Err(Problem::Unreadable { what: what.to_owned(), reason })
    }

    async fn dump_once(&self, request: Message) -> Result<Vec<RouteNetlinkMessage>, String> {
        let mut answers =
            self.handle.request(request, SocketAddr::new(0, 0)).map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        while let Some(answer) = answers.next().await {
            if answer.header.flags & NLM_F_DUMP_INTR != 0 {
                return Err("it changes while it is read".into());
            }
            match answer.payload {
                NetlinkPayload::InnerMessage(inner) => found.push(inner),
                // Tables that nobody has used yet do not exist.
                NetlinkPayload::Error(error) if errno(&error) == Some(Errno::ENOENT) => return Ok(found),
                NetlinkPayload::Error(error) => {
                    return Err(errno(&error).map_or("refused", Errno::desc).to_owned());
                }
                NetlinkPayload::Overrun(_) => return Err("messages were lost".into()),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Layer 3 of an interface that the host looks after, of each family that has a default route there: the gateway of the one
    /// with the lowest metric, and of the addresses the first that is to stay and reaches it. `None` where there is neither.
    ///
    /// # Errors
    /// [`Problem::Unreadable`].
    pub async fn wired(&self, device: &str) -> Result<Option<IpSettings>, Problem> {
        let links = self.links().await?;
        let Some(told) = links.iter().find(|told| told.name == device) else { return Ok(None) };
        let (number, names) = (told.link.index, BTreeMap::from([(told.link.index, told.name.clone())]));
        let addresses = self.addresses().await?;
        let mut settings = IpSettings { mtu_bytes: Some(told.link.mtu_bytes), ..IpSettings::default() };
        for family in FAMILIES {
            let mut routes = self.main_routes(family, number, &names).await?;
            routes.retain(|route| !route.is_ours());
            let Some(route) = routes.into_iter().min_by_key(|route| route.metric) else { continue };
            let gateway = route.hops.iter().find(|hop| hop.device == device).and_then(|hop| hop.gateway);
            let choice =
                |held: &&Held| (held.is_second_choice, !gateway.is_some_and(|gateway| held.reaches(gateway)));
            let on_device = addresses
                .iter()
                .filter(|held| held.number == number && held.address.is_ipv4() == (family == IpFamily::Ipv4));
            let Some(held) = on_device.min_by_key(choice) else { continue };
            let prefix_length = held.prefix_length;
            match held.address {
                IpAddr::V4(address) => {
                    let gateway = gateway.and_then(|gateway| match gateway {
                        IpAddr::V4(gateway) => Some(gateway),
                        IpAddr::V6(_) => None,
                    });
                    settings.ipv4 = Some(Ipv4Settings { address, prefix_length, gateway, dns: Vec::new() });
                }
                IpAddr::V6(address) => {
                    let gateway = gateway.and_then(|gateway| match gateway {
                        IpAddr::V6(gateway) => Some(gateway),
                        IpAddr::V4(_) => None,
                    });
                    settings.ipv6 = Some(Ipv6Settings { address, prefix_length, gateway, dns: Vec::new() });
                }
            }
        }
        Ok((settings.ipv4.is_some() || settings.ipv6.is_some()).then_some(settings))
    }

    /// State and counters of one interface; `None` when there is none of that name.
    ///
    /// # Errors
    /// [`Problem::Unreadable`].
    pub async fn device(&self, name: &str) -> Result<Option<DeviceStatus>, Problem> {
        let mut one = LinkMessage::default();
        one.attributes.push(LinkAttribute::IfName(name.to_owned()));
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetLink(one));
        request.header.flags = NLM_F_REQUEST;
        let unreadable = |reason: String| Problem::Unreadable { what: format!("interface {name}"), reason };
        let mut answers = self
            .handle
            .request(request, SocketAddr::new(0, 0))
            .map_err(|error| unreadable(error.to_string()))?;
        let answer =
            timeout(DEADLINE, answers.next()).await.map_err(|_| unreadable("no answer in time".into()))?;
        match answer.map(|answer| answer.payload) {
            Some(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link))) => {
                Ok(message::link(&link).map(|told| DeviceStatus {
                    mac_address: told.mac_address,
                    speed_bps: speed_bps(name),
                    admin_up: told.link.up,
                    operational_up: told.operational_up,
                    mtu_bytes: told.link.mtu_bytes,
                    counters: told.counters,
                }))
            }
            Some(NetlinkPayload::Error(error)) if errno(&error) == Some(Errno::ENODEV) => Ok(None),
            other => Err(unreadable(format!("unexpected answer {other:?}"))),
        }
    }
}

/// What the driver says in `/sys`; modems and tunnels say nothing, or -1.
fn speed_bps(device: &str) -> Option<u64> {
    // A name with a slash is none, and would lead elsewhere.
    let file = (!device.contains('/')).then(|| format!("/sys/class/net/{device}/speed"))?;
    let megabits: u64 = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (megabits > 0).then(|| megabits * 1_000_000)
}

/// The reason in an answer; `None` for success.
fn errno(error: &ErrorMessage) -> Option<Errno> {
    error.code.map(|code| Errno::from_raw(code.get().saturating_neg()))
}

/// Whether a refusal says that all is as it should be already.
fn is_as_wanted(change: &Change, errno: Errno) -> bool {
    match change {
        Change::AddAddress(_) | Change::SetRoute(_) | Change::AppendRoute(_) | Change::AddRule(_) => {
            errno == Errno::EEXIST
        }
        Change::RemoveAddress(_) | Change::RemoveRoute(_) | Change::RemoveRule(_) => {
            matches!(
                errno,
                Errno::ESRCH | Errno::ENOENT | Errno::ENODEV | Errno::ENXIO | Errno::EADDRNOTAVAIL
            )
        }
        Change::LinkUp(_) | Change::Mtu { .. } => false,
    }
}

fn refused(change: &Change, reason: &str) -> Problem {
    Problem::Refused { change: change.to_string(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::state::Rule;
    use crate::net::state::Selector;

    #[test]
    fn what_is_there_or_gone_already_is_success() {
        let rule = Rule { family: IpFamily::Ipv4, priority: 1, selector: Selector::All, table: 7000 };
        let address =
            Address { device: "wwan0".into(), address: IpAddr::from([10, 0, 0, 1]), prefix_length: 32 };
        for (change, errno, is_fine) in [
            (Change::AddRule(rule.clone()), Errno::EEXIST, true),
            (Change::AddRule(rule.clone()), Errno::EBUSY, false),
            (Change::RemoveRule(rule.clone()), Errno::ENOENT, true),
            (Change::RemoveRule(rule), Errno::EEXIST, false),
            (Change::RemoveAddress(address.clone()), Errno::EADDRNOTAVAIL, true),
            (Change::RemoveAddress(address), Errno::ENODEV, true),
            (Change::LinkUp("wwan0".into()), Errno::ENODEV, false),
        ] {
            assert_eq!(is_as_wanted(&change, errno), is_fine, "{change} {errno}");
        }
    }
}
