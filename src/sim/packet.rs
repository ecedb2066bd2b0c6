//! Pure: as much of an IP packet as tells one flow from another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// IP protocol numbers (IANA) that have ports here.
pub const TCP: u8 = 6;
/// See [`TCP`].
pub const UDP: u8 = 17;

/// Who speaks to whom in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// IP protocol number, such as [`UDP`].
    pub protocol: u8,
    /// From; port 0 where the protocol has none.
    pub source: SocketAddr,
    /// To; port 0 where the protocol has none.
    pub destination: SocketAddr,
}

impl Flow {
    /// Reads the headers of a packet without link header; `None` where it is no whole IPv4 (RFC 791) or IPv6 (RFC 8200)
    /// header. IPv6 extension headers are not followed: such a packet has no ports.
    #[must_use]
    pub fn of(packet: &[u8]) -> Option<Self> {
        let (protocol, addresses, payload) = match packet.first()? >> 4 {
            4 => {
                let address = |at: usize| Some(Ipv4Addr::from(field::<4>(packet, at)?));
                let len = usize::from(packet[0] & 15) * 4;
                let is_first = field::<2>(packet, 6).map(u16::from_be_bytes)? & 0x1fff == 0;
                let payload = packet.get(len..).filter(|_| is_first).unwrap_or(&[]);
                (*packet.get(9)?, [IpAddr::V4(address(12)?), IpAddr::V4(address(16)?)], payload)
            }
            6 => {
                let address = |at: usize| Some(Ipv6Addr::from(field::<16>(packet, at)?));
                (*packet.get(6)?, [IpAddr::V6(address(8)?), IpAddr::V6(address(24)?)], packet.get(40..)?)
            }
            _ => return None,
        };
        let has_ports = matches!(protocol, TCP | UDP);
        let port = |at| field::<2>(payload, at).filter(|_| has_ports).map_or(0, u16::from_be_bytes);
        Some(Self {
            protocol,
            source: SocketAddr::new(addresses[0], port(0)),
            destination: SocketAddr::new(addresses[1], port(2)),
        })
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_udp_packet_tells_its_flow() {
        let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 2, 192, 0, 2, 7];
        packet.extend([0x30, 0x39, 0, 7, 0, 12, 0, 0, b'h', b'i', b'!', b'!']);
        let flow = Flow::of(&packet).unwrap();
        assert_eq!((flow.protocol, flow.source), (UDP, "10.0.0.2:12345".parse().unwrap()));
        assert_eq!(flow.destination, "192.0.2.7:7".parse().unwrap());
        packet[6..8].copy_from_slice(&[0, 4]);
        assert_eq!(Flow::of(&packet).unwrap().source.port(), 0, "a later fragment has no ports");
    }

    #[test]
    fn an_icmp_packet_of_ipv6_has_addresses_and_no_ports() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 8, 58, 64];
        packet.extend("2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend("3fff::53".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend([128, 0, 0, 0, 0, 1, 0, 1]);
        let flow = Flow::of(&packet).unwrap();
        assert_eq!((flow.protocol, flow.destination), (58, "[3fff::53]:0".parse().unwrap()));
    }

    #[test]
    fn any_bytes_are_survived() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let bytes: Vec<u8> = (0..random.usize(0..70)).map(|_| random.u8(..)).collect();
            let _ = Flow::of(&bytes);
        }
    }
}
