//! ICMP echo (RFC 792, RFC 4443) without payload, 8 octets each way: identifier and sequence number are random and
//! match the answer. On a raw socket, because sockets for unprivileged echo are forbidden by default even to root.

use core::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, bind, connect,
    setsockopt, socket,
};
use tokio::net::UdpSocket;

use super::{ProbeError, Request};

const ECHO_V4: u8 = 8;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// Identifier and sequence number.
type Number = [u8; 4];

pub async fn probe(request: &Request) -> Result<Duration, ProbeError> {
    let is_v4 = request.target.address.is_ipv4();
    let socket = open(request, is_v4)?;
    let number = fastrand::u32(..).to_be_bytes();
    let sent_at = Instant::now();
    socket.send(&echo(is_v4, number)).await.map_err(ProbeError::Undeliverable)?;
    let mut packet = [0; 256];
    loop {
        let length = socket.recv(&mut packet).await.map_err(ProbeError::Undeliverable)?;
        if answers(is_v4, &packet[..length], number) {
            return Ok(sent_at.elapsed());
        }
    }
}

/// Connected, so that the kernel hands over what comes from the target only, and errors about it.
fn open(request: &Request, is_v4: bool) -> Result<UdpSocket, ProbeError> {
    let (family, protocol) = if is_v4 {
        (AddressFamily::Inet, SockProtocol::Icmp)
    } else {
        (AddressFamily::Inet6, SockProtocol::IcmpV6)
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Raw, flags, protocol)?;
    request.bind(&socket)?;
    if is_v4 {
        setsockopt(&socket, Ipv4RecvErr, &true)?;
    } else {
        setsockopt(&socket, Ipv6RecvErr, &true)?;
    }
    if let Some(source) = request.source() {
        bind(socket.as_raw_fd(), &*raw(source))?;
    }
    let target = SocketAddr::new(request.target.address, 0);
    connect(socket.as_raw_fd(), &*raw(target))?;
    // The runtime knows no raw sockets; sending and receiving on a connected one is the same as with UDP.
    UdpSocket::from_std(socket.into()).map_err(ProbeError::Undeliverable)
}

fn raw(address: SocketAddr) -> Box<dyn SockaddrLike> {
    match address {
        SocketAddr::V4(address) => Box::new(SockaddrIn::from(address)),
        SocketAddr::V6(address) => Box::new(SockaddrIn6::from(address)),
    }
}

/// Type, code, checksum, identifier, sequence number. For IPv6 the kernel fills in the checksum, which covers addresses.
fn echo(is_v4: bool, number: Number) -> [u8; 8] {
    let [a, b, c, d] = number;
    let mut packet = [if is_v4 { ECHO_V4 } else { ECHO_V6 }, 0, 0, 0, a, b, c, d];
    if is_v4 {
        let checksum = !ones_complement_sum(&packet);
        packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    packet
}

/// RFC 1071, of an even number of octets.
fn ones_complement_sum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (folded + (folded >> 16)) as u16
}

/// Whether `packet` is the reply to the echo with `number`. IPv4 raw sockets hand over the IP header as well and verify
/// no checksum.
fn answers(is_v4: bool, packet: &[u8], number: Number) -> bool {
    let message = if is_v4 {
        let Some(first) = packet.first() else { return false };
        let header_length = usize::from(first & 0x0f) * 4;
        if header_length < 20 {
            return false;
        }
        packet.get(header_length..)
    } else {
        Some(packet)
    };
    let reply = if is_v4 { ECHO_REPLY_V4 } else { ECHO_REPLY_V6 };
    message.and_then(|message| message.first_chunk::<8>()).is_some_and(|message| {
        let intact = !is_v4 || ones_complement_sum(message) == 0xffff;
        intact && message[0] == reply && message[1] == 0 && message[4..] == number
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NUMBER: Number = [0xbe, 0xef, 0x00, 0x07];

    #[test]
    fn the_checksum_makes_the_sum_all_ones() {
        assert_eq!(ones_complement_sum(&echo(true, NUMBER)), 0xffff);
        assert_eq!(echo(false, NUMBER)[..4], [128, 0, 0, 0]);
    }

    #[test]
    fn only_the_reply_to_this_echo_answers() {
        let ip = |length: u8| {
            let mut header = vec![0; usize::from(length) * 4];
            header[0] = 0x40 | length;
            header
        };
        let reply = |kind: u8, number: Number| {
            let mut message = [&[kind, 0, 0, 0][..], &number].concat();
            let checksum = (!ones_complement_sum(&message)).to_be_bytes();
            message[2..4].copy_from_slice(&checksum);
            message
        };
        let v4 = |header: Vec<u8>, message: Vec<u8>| answers(true, &[header, message].concat(), NUMBER);
        assert!(v4(ip(5), reply(0, NUMBER)));
        assert!(v4(ip(6), reply(0, NUMBER)), "with IP options");
        assert!(!v4(ip(5), reply(8, NUMBER)), "an echo, not a reply");
        assert!(!v4(ip(5), reply(3, NUMBER)), "unreachable");
        assert!(!v4(ip(5), reply(0, [0xbe, 0xef, 0x00, 0x08])), "another sequence number");
        assert!(!v4(ip(5), reply(0, NUMBER)[..7].to_vec()), "cut off");
        assert!(!v4(ip(5), [&[0, 0, 1, 2][..], &NUMBER].concat()), "a wrong checksum");
        assert!(!v4(ip(4), reply(0, NUMBER)), "no IP header");
        assert!(answers(false, &reply(129, NUMBER), NUMBER));
        assert!(!answers(false, &reply(128, NUMBER), NUMBER));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(is_v4: bool, bytes in prop::collection::vec(any::<u8>(), 0..96)) {
            let _ = answers(is_v4, &bytes, NUMBER);
        }
    }
}
