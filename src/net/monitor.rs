//! When to look at the kernel again: it says when interfaces, addresses, routes, rules or our ruleset change.
//!
//! A message is only a hint. What there is, a reconciliation reads; so a lost message costs time, never truth. An interface is told
//! at once, for it may be the loss of an uplink; a burst of routes is one hint. The sockets' own buffers bound what waits.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use netlink_sys::{
    AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket,
    protocols::{NETLINK_NETFILTER, NETLINK_ROUTE},
};
use nix::errno::Errno;
use tokio::time::{Instant, sleep_until};

use super::nat;
use super::state::PROTOCOL;

/// `RTNLGRP_` LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE, IPV6_RULE, as bits.
const ROUTE_GROUPS: u32 = 1 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 18;
/// `NFNLGRP_NFTABLES` as a bit.
const NFTABLES_GROUP: u32 = 1 << 6;
/// How long routes must be quiet before they are told.
const QUIET: Duration = Duration::from_millis(50);
/// Longest wait for that.
const LONGEST_BURST: Duration = Duration::from_millis(500);

/// Why it is time to look again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// An interface came, went, or changed its state: its name.
    Link(String),
    /// Addresses, routes or rules changed, by us or by others.
    Routes,
    /// Somebody, perhaps we, changed our table of nftables.
    Ruleset,
    /// Messages were lost.
    Overrun,
}

/// A stream of hints.
#[derive(Default)]
pub struct Monitor {
    routes: Option<TokioSocket>,
    ruleset: Option<TokioSocket>,
    /// Told to the one who looks after the ruleset.
    ruleset_changed: Arc<AtomicBool>,
    waiting: VecDeque<Hint>,
    burst: Option<Burst>,
}

struct Burst {
    began: Instant,
    last: Instant,
}

impl Burst {
    fn ends(&self) -> Instant {
        (self.last + QUIET).min(self.began + LONGEST_BURST)
    }
}

impl Monitor {
    /// Listens to the kernel. `ruleset_changed` is set when our table of nftables changes.
    ///
    /// # Errors
    /// When there is no netlink socket to be had. A kernel without nftables is none.
    pub fn open(ruleset_changed: Arc<AtomicBool>) -> io::Result<Self> {
        let routes = listen(NETLINK_ROUTE, ROUTE_GROUPS)?;
        let ruleset = listen(NETLINK_NETFILTER, NFTABLES_GROUP);
        Ok(Self { routes: Some(routes), ruleset: ruleset.ok(), ruleset_changed, ..Self::default() })
    }

    /// Waits for the next hint; for ever where there is no kernel. Safe to cancel.
    pub async fn next(&mut self) -> Hint {
        loop {
            if let Some(hint) = self.waiting.pop_front() {
                return hint;
            }
            let burst_ends = self.burst.as_ref().map(Burst::ends);
            tokio::select! {
                biased;
                message = message(self.routes.as_ref()) => self.take_routes(message),
                message = message(self.ruleset.as_ref()) => self.take_ruleset(&message),
                () = until(burst_ends) => {
                    self.burst = None;
                    return Hint::Routes;
                }
            }
        }
    }

    fn take_routes(&mut self, message: io::Result<Vec<u8>>) {
        match message {
            Ok(bytes) => {
                for concern in messages(&bytes).filter_map(|message| concern(&message)) {
                    match concern {
                        Hint::Routes => {
                            let now = Instant::now();
                            self.burst.get_or_insert(Burst { began: now, last: now }).last = now;
                        }
                        hint if !self.waiting.contains(&hint) => self.waiting.push_back(hint),
                        _ => {}
                    }
                }
            }
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {
                self.waiting.push_back(Hint::Overrun)
            }
            // The timer of the agent is left.
            Err(_) => self.routes = None,
        }
    }

    fn take_ruleset(&mut self, message: &io::Result<Vec<u8>>) {
        match message {
            Ok(bytes) if !messages(bytes).any(|message| is_of_our_table(&message)) => return,
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {}
            Err(_) => {
                self.ruleset = None;
                return;
            }
        }
        self.ruleset_changed.store(true, Ordering::Relaxed);
        if !self.waiting.contains(&Hint::Ruleset) {
            self.waiting.push_back(Hint::Ruleset);
        }
    }
}

fn listen(protocol: isize, groups: u32) -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(protocol)?;
    socket.socket_mut().bind(&SocketAddr::new(0, groups))?;
    Ok(socket)
}

async fn message(socket: Option<&TokioSocket>) -> io::Result<Vec<u8>> {
    let Some(socket) = socket else { return std::future::pending().await };
    loop {
        let (bytes, from) = socket.recv_from_full().await?;
        // Only the kernel has port 0; anyone else may be lying.
        if from.port_number() == 0 {
            return Ok(bytes.to_vec());
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// One netlink message: its type, and what follows the header.
struct Raw<'a> {
    kind: u16,
    body: &'a [u8],
}

/// The messages of a datagram; ends at the first that is cut off.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Raw<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
        let body = bytes.get(16..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Raw { kind, body })
    })
}

/// What a message of rtnetlink means to us. Routes of others to single places do not, and there may be very many.
fn concern(message: &Raw<'_>) -> Option<Hint> {
    match message.kind {
        // RTM_NEWLINK and RTM_DELLINK: `ifinfomsg`, then attributes, IFLA_IFNAME is 3.
        16 | 17 => {
            let name = attribute(message.body.get(16..)?, 3)?;
            Some(Hint::Link(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()))
        }
        // RTM_NEWROUTE and RTM_DELROUTE: `rtmsg`, the length of the destination at 1, the protocol at 5.
        24 | 25 => {
            let (length, protocol) = (*message.body.get(1)?, *message.body.get(5)?);
            (length == 0 || protocol == PROTOCOL).then_some(Hint::Routes)
        }
        // Addresses and rules.
        20 | 21 | 32 | 33 => Some(Hint::Routes),
        _ => None,
    }
}

/// Whether a message of nftables names our table: `nfgenmsg`, then attributes, of which 1 is the table in all of them.
fn is_of_our_table(message: &Raw<'_>) -> bool {
    let attributes = message.body.get(4..).unwrap_or_default();
    attribute(attributes, 1)
        .is_some_and(|name| name.strip_suffix(b"\0").unwrap_or(name) == nat::TABLE.as_bytes())
}

fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = bytes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn datagram(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn hints(bytes: &[u8]) -> Vec<Hint> {
        messages(bytes).filter_map(|message| concern(&message)).collect()
    }

    #[test]
    fn what_concerns_us_is_told_and_a_strangers_route_is_not() {
        let link = [&[0; 16][..], &[10, 0, 3, 0], b"wwan0\0\0\0"].concat();
        let default = [2, 0, 0, 0, 254, 16, 0, 1, 0, 0, 0, 0];
        let single = [2, 24, 0, 0, 254, 16, 0, 1, 0, 0, 0, 0];
        let ours = [2, 24, 0, 0, 254, PROTOCOL, 0, 1, 0, 0, 0, 0];
        let burst = [datagram(16, &link), datagram(24, &default), datagram(24, &single), datagram(25, &ours)]
            .concat();
        assert_eq!(hints(&burst), [Hint::Link("wwan0".into()), Hint::Routes, Hint::Routes]);
        assert_eq!(hints(&datagram(28, &link)), []);
    }

    #[test]
    fn our_table_is_known_by_its_name() {
        let table = |name: &[u8]| {
            let length = (4 + name.len() as u16).to_ne_bytes();
            datagram(0x0a00, &[&[1, 0, 0, 0][..], &length, &[1, 0], name].concat())
        };
        for (name, is_ours) in
            [(&b"tandem\0"[..], true), (b"tandem2\0", false), (b"filter\0", false), (b"", false)]
        {
            assert_eq!(messages(&table(name)).any(|message| is_of_our_table(&message)), is_ours, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic_or_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let count = messages(&bytes).take(1000).filter(|message| {
                let _ = (concern(message), is_of_our_table(message));
                true
            }).count();
            prop_assert!(count < 1000);
        }
    }
}
