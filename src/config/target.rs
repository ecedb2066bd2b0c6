//! Whom probes ask, as an operator writes it: `"1.1.1.1"`, `"dns://9.9.9.9"`, `"tcp://10.0.0.1:443"`,
//! `"http://10.0.0.1/health"`. Addresses only: a name would have to be looked up first, and the answer of a cache
//! says nothing about an uplink.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One probe target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeTarget {
    /// Whom to ask.
    pub address: IpAddr,
    /// How.
    pub kind: ProbeKind,
}

/// How a target is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// ICMP echo (RFC 792, RFC 4443).
    Icmp,
    /// A DNS query over UDP (RFC 1035); any answer to it counts.
    Dns {
        /// UDP port.
        port: u16,
    },
    /// A TCP connection; accepted or refused, both count.
    Tcp {
        /// TCP port.
        port: u16,
    },
    /// An HTTP request over TCP (RFC 9112); any status counts.
    Http {
        /// TCP port.
        port: u16,
        /// What to ask for, with its leading slash.
        path: String,
    },
}

const DNS_PORT: u16 = 53;
const HTTP_PORT: u16 = 80;
/// Longest path of an HTTP target.
const PATH_MAX: usize = 256;

impl ProbeTarget {
    /// An ICMP echo to `address`.
    #[must_use]
    pub fn icmp(address: IpAddr) -> Self {
        Self { address, kind: ProbeKind::Icmp }
    }

    /// Octets of one exchange in both directions together, IP headers included: what the carrier counts.
    #[must_use]
    pub fn exchange_bytes(&self) -> u64 {
        let ip = if self.address.is_ipv4() { 20 } else { 40 };
        match &self.kind {
            // An empty echo and its answer: 8 octets each.
            ProbeKind::Icmp => 2 * (ip + 8),
            // UDP 8; header 12 and question 5 (the root, type SOA) out; the same and a record of 75 back.
            ProbeKind::Dns { .. } => 2 * (ip + 8) + 17 + 92,
            // SYN and SYN-ACK with options (40 each), ACK, RST: no data.
            ProbeKind::Tcp { .. } => 4 * ip + 40 + 40 + 20 + 20,
            // The same, plus the request, its acknowledgement, a small answer of at most one segment.
            ProbeKind::Http { path, .. } => 7 * ip + 40 + 40 + 5 * 20 + 80 + path.len() as u64 + 600,
        }
    }
}

impl fmt::Display for ProbeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = |port: u16, usual: Option<u16>| {
            if usual == Some(port) {
                match self.address {
                    IpAddr::V4(address) => address.to_string(),
                    IpAddr::V6(address) => format!("[{address}]"),
                }
            } else {
                SocketAddr::new(self.address, port).to_string()
            }
        };
        match &self.kind {
            ProbeKind::Icmp => write!(f, "{}", self.address),
            ProbeKind::Dns { port } => write!(f, "dns://{}", authority(*port, Some(DNS_PORT))),
            ProbeKind::Tcp { port } => write!(f, "tcp://{}", authority(*port, None)),
            ProbeKind::Http { port, path } => {
                write!(f, "http://{}{path}", authority(*port, Some(HTTP_PORT)))
            }
        }
    }
}

impl FromStr for ProbeTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a probe target; write it like \"1.1.1.1\", \"dns://9.9.9.9\", \
                 \"tcp://10.0.0.1:443\" or \"http://10.0.0.1/health\", with an address and not a name"
            )
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            let rest = text.strip_prefix("icmp:").unwrap_or(text);
            return rest.parse().map(Self::icmp).map_err(|_| wrong());
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (address, port) = address_and_port(authority).ok_or_else(wrong)?;
        if scheme != "http" && !path.is_empty() {
            return Err(wrong());
        }
        let kind = match (scheme, port) {
            ("icmp", None) => ProbeKind::Icmp,
            ("dns", port) => ProbeKind::Dns { port: port.unwrap_or(DNS_PORT) },
            ("tcp", Some(port)) => ProbeKind::Tcp { port },
            ("tcp", None) => return Err(format!("`{text}` needs a port, as in \"tcp://10.0.0.1:443\"")),
            ("http", port) => {
                let sendable = path.len() <= PATH_MAX && path.bytes().all(|byte| byte.is_ascii_graphic());
                if !sendable {
                    return Err(wrong());
                }
                let path = if path.is_empty() { "/" } else { path };
                ProbeKind::Http { port: port.unwrap_or(HTTP_PORT), path: path.to_owned() }
            }
            _ => return Err(wrong()),
        };
        Ok(Self { address, kind })
    }
}

/// `1.1.1.1`, `1.1.1.1:53`, `[2001:db8::1]`, `[2001:db8::1]:53`; port 0 is none.
fn address_and_port(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(both) = text.parse::<SocketAddr>() {
        return (both.port() != 0).then(|| (both.ip(), Some(both.port())));
    }
    if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inside.parse::<Ipv6Addr>().ok().map(|address| (address.into(), None));
    }
    text.parse().ok().filter(IpAddr::is_ipv4).map(|address| (address, None))
}

impl Serialize for ProbeTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProbeTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_target_reads_as_written_and_prints_as_it_is_read() {
        for (text, printed) in [
            ("1.1.1.1", "1.1.1.1"),
            ("2606:4700::1111", "2606:4700::1111"),
            ("icmp://1.1.1.1", "1.1.1.1"),
            ("dns://9.9.9.9", "dns://9.9.9.9"),
            ("dns://9.9.9.9:53", "dns://9.9.9.9"),
            ("dns://[2620:fe::fe]:5353", "dns://[2620:fe::fe]:5353"),
            ("tcp://10.0.0.1:443", "tcp://10.0.0.1:443"),
            ("tcp://[fd00::1]:443", "tcp://[fd00::1]:443"),
            ("http://10.0.0.1", "http://10.0.0.1/"),
            ("http://10.0.0.1:8080/health?x=1", "http://10.0.0.1:8080/health?x=1"),
        ] {
            let target: ProbeTarget = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(target.to_string(), printed);
            assert_eq!(printed.parse(), Ok(target), "{printed}");
        }
    }

    #[test]
    fn what_is_no_target_is_named() {
        for text in [
            "",
            "one.example",
            "tcp://10.0.0.1",
            "dns://one.example",
            "dns://9.9.9.9:0",
            "dns://9.9.9.9/x",
            "https://10.0.0.1",
            "http://10.0.0.1/a b",
            "icmp://1.1.1.1:7",
            "tcp://2001:db8::1:443",
            "://",
        ] {
            assert!(text.parse::<ProbeTarget>().is_err_and(|error| error.contains(&format!("`{text}`"))));
        }
    }

    #[test]
    fn an_echo_and_its_answer_cost_two_headers_each() {
        let bytes = |text: &str| text.parse::<ProbeTarget>().unwrap().exchange_bytes();
        assert_eq!(bytes("1.1.1.1"), 56);
        assert_eq!(bytes("2606:4700::1111"), 96);
        assert!(bytes("tcp://1.1.1.1:443") > bytes("1.1.1.1"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<ProbeTarget>();
        }
    }
}
