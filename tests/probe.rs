//! Probes over real interfaces: two carriers in network namespaces of their own, each at the far end of a veth pair.

#![cfg(feature = "agent")]

use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tandem::net::probe::{ProbeError, Prober, Request};

#[path = "support/namespace.rs"]
mod namespace;
use namespace::in_namespace;

/// A carrier: what stands at the far end is a script's word, run in the carrier's namespace.
struct Carrier {
    device: String,
    net: u8,
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Carrier {
    /// `198.51.NET.1` and `fd00:NET::1` here, `.2` and `::2` there. Both carriers own 203.0.113.9 as well.
    fn start(net: u8) -> Self {
        let (device, far) = (format!("wan{net}"), format!("far{net}"));
        let mut shell = Command::new("unshare")
            .args(["-n", "--kill-child", "sh", "-s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = shell.stdin.take().unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        let mut carrier = Self { device, net, shell, input, output };
        // The namespace is there once the shell in it answers.
        carrier.run(":");
        let pid = carrier.ask("echo $$");
        let device = carrier.device.clone();
        ip(&format!("link add {device} type veth peer name {far} netns {pid}"));
        ip(&format!("addr add 198.51.{net}.1/24 dev {device}"));
        ip(&format!("addr add fd00:{net}::1/64 dev {device} nodad"));
        ip(&format!("link set {device} up"));
        carrier.run(&format!(
            "ip link set lo up; ip addr add 198.51.{net}.2/24 dev {far}; ip addr add fd00:{net}::2/64 dev {far} nodad; \
             ip addr add 203.0.113.9/32 dev lo; ip link set {far} up"
        ));
        ip(&format!("route add 203.0.113.9 via 198.51.{net}.2 dev {device} metric {net}"));
        carrier
    }

    /// Runs a command over there to its end.
    fn run(&mut self, command: &str) {
        assert_eq!(self.ask(&format!("{{ {command} ; }} >&2; echo $?")), "0", "{command}");
    }

    fn ask(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Starts a program over there; it says `ready` when it listens.
    fn serve(&mut self, program: &str) {
        writeln!(self.input, "python3 -u -c '{program}' &").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready");
    }

    fn request(&self, target: &str) -> Request {
        let target: tandem::config::ProbeTarget =
            target.replace("NET", &self.net.to_string()).parse().unwrap();
        let source: IpAddr = if target.address.is_ipv4() {
            format!("198.51.{}.1", self.net).parse().unwrap()
        } else {
            format!("fd00:{}::1", self.net).parse().unwrap()
        };
        let timeout = Duration::from_secs(2);
        Request { device: self.device.clone(), source: Some(source), mark: None, target, timeout }
    }

    /// Packets that left through the device.
    fn sent(&self) -> u64 {
        let output = Command::new("ip").args(["-s", "-j", "link", "show", &self.device]).output().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        value[0]["stats64"]["tx"]["packets"].as_u64().unwrap()
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn probe(request: &Request) -> Result<Duration, ProbeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Prober::default().probe(request))
}

#[track_caller]
fn assert_lost(request: Request) {
    let short = Request { timeout: Duration::from_millis(300), ..request };
    assert!(matches!(probe(&short), Err(ProbeError::Lost)), "{:?}", probe(&short));
}

#[track_caller]
fn assert_undeliverable(request: &Request) {
    assert!(matches!(probe(request), Err(ProbeError::Undeliverable(_))), "{:?}", probe(request));
}

const DNS_SERVER: &str = r#"
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 53))
print("ready")
while True:
    data, peer = s.recvfrom(512)
    wrong = bytes([data[0] ^ 1]) + data[1:2] + b"\x81\x80" + data[4:]
    s.sendto(b"", peer)
    s.sendto(b"\xff" * 700, peer)
    s.sendto(wrong, peer)
    s.sendto(data, peer)
    if SILENT: continue
    s.sendto(data[:2] + b"\x81\x80" + data[4:], peer)
"#;

const TCP_SERVER: &str = r#"
import socket, threading
def serve(port, answer):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", port))
    s.listen(8)
    while True:
        c, _ = s.accept()
        try:
            if answer: c.recv(1000); c.sendall(answer)
        except OSError: pass
        c.close()
for port, answer in [(80, b"HTTP/1.1 204 No Content\r\n\r\n"), (81, b"SSH-2.0-nothing\r\n"), (82, b"HTTP"), (443, b"")]:
    threading.Thread(target=serve, args=(port, answer)).start()
import time
for port in (80, 81, 82, 443):
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError: time.sleep(0.01)
print("ready")
"#;

/// Answers every echo with wrong ones: another identifier, another sequence number, a wrong type, cut off, a broken
/// checksum.
const FORGER: &str = r#"
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
def checksum(b):
    if len(b) % 2: b += b"\0"
    t = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    t = (t & 0xffff) + (t >> 16)
    return ~(t + (t >> 16)) & 0xffff
def message(kind, number, spoil=0):
    m = struct.pack("!BBH", kind, 0, 0) + number
    return struct.pack("!BBH", kind, 0, checksum(m) ^ spoil) + number
print("ready")
while True:
    data, peer = s.recvfrom(2000)
    data = data[(data[0] & 15) * 4:]
    if data[0] != 8: continue
    n = data[4:8]
    s.sendto(message(0, bytes([n[0] ^ 1]) + n[1:]), peer)
    s.sendto(message(0, n[:3] + bytes([n[3] ^ 1])), peer)
    s.sendto(message(13, n), peer)
    s.sendto(message(0, n)[:6], peer)
    s.sendto(message(0, n, 0x55), peer)
"#;

#[test]
fn an_echo_is_answered_through_the_device_it_is_bound_to() {
    if !in_namespace("an_echo_is_answered_through_the_device_it_is_bound_to") {
        return;
    }
    let (first, second) = (Carrier::start(11), Carrier::start(12));
    for target in ["198.51.NET.2", "fd00:NET::2"] {
        // The first has to find the neighbour.
        probe(&first.request(target)).unwrap();
        let took = probe(&first.request(target)).unwrap();
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    // Both carriers own this address and the route of the first is the better one: the device decides all the same.
    let (before_first, before_second) = (first.sent(), second.sent());
    for _ in 0..20 {
        probe(&second.request("203.0.113.9")).unwrap();
    }
    assert!(second.sent() - before_second >= 20);
    assert!(
        first.sent() - before_first < 10,
        "{} packets left through the other device",
        first.sent() - before_first
    );
}

#[test]
fn silence_is_lost_and_a_forged_answer_is_silence() {
    if !in_namespace("silence_is_lost_and_a_forged_answer_is_silence") {
        return;
    }
    let mut carrier = Carrier::start(11);
    carrier.run("sysctl -qw net.ipv4.icmp_echo_ignore_all=1");
    assert_lost(carrier.request("198.51.NET.2"));
    carrier.serve(FORGER);
    assert_lost(carrier.request("198.51.NET.2"));
    carrier.run("sysctl -qw net.ipv4.icmp_echo_ignore_all=0");
    probe(&carrier.request("198.51.NET.2")).unwrap();
}

#[test]
fn what_cannot_be_delivered_is_said_at_once() {
    if !in_namespace("what_cannot_be_delivered_is_said_at_once") {
        return;
    }
    let mut carrier = Carrier::start(11);
    // The carrier has no way there and says so.
    ip(&format!("route add 192.0.2.0/24 via 198.51.11.2 dev {}", carrier.device));
    carrier.run("sysctl -qw net.ipv4.ip_forward=1");
    assert_undeliverable(&carrier.request("192.0.2.1"));
    let gone = Request { device: "wan99".into(), ..carrier.request("198.51.NET.2") };
    for target in ["198.51.11.2", "dns://198.51.11.2", "tcp://198.51.11.2:443", "http://198.51.11.2/"] {
        assert_undeliverable(&Request { target: target.parse().unwrap(), ..gone.clone() });
    }
    let foreign = Request { source: Some([198, 51, 77, 1].into()), ..carrier.request("198.51.NET.2") };
    assert_undeliverable(&foreign);
}

#[test]
fn a_device_that_vanishes_under_a_probe_ends_it() {
    if !in_namespace("a_device_that_vanishes_under_a_probe_ends_it") {
        return;
    }
    let mut carrier = Carrier::start(11);
    carrier.run("sysctl -qw net.ipv4.icmp_echo_ignore_all=1");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let request = Request { timeout: Duration::from_secs(3), ..carrier.request("198.51.NET.2") };
    let result = runtime.block_on(async {
        let prober = Prober::default();
        let vanish = async {
            tokio::task::yield_now().await;
            ip(&format!("link del {}", carrier.device));
        };
        tokio::join!(prober.probe(&request), vanish).0
    });
    assert!(result.is_err(), "{result:?}");
    assert_undeliverable(&request);
}

#[test]
fn a_dns_server_answers_and_what_does_not_match_is_ignored() {
    if !in_namespace("a_dns_server_answers_and_what_does_not_match_is_ignored") {
        return;
    }
    let mut carrier = Carrier::start(11);
    // Nobody listens: the refusal has come all the way.
    probe(&carrier.request("dns://198.51.NET.2")).unwrap();
    carrier.serve(&DNS_SERVER.replace("SILENT", "False"));
    probe(&carrier.request("dns://198.51.NET.2")).unwrap();
    let mut forger = Carrier::start(12);
    forger.serve(&DNS_SERVER.replace("SILENT", "True"));
    assert_lost(forger.request("dns://198.51.NET.2"));
}

#[test]
fn tcp_and_http_servers_answer() {
    if !in_namespace("tcp_and_http_servers_answer") {
        return;
    }
    let mut carrier = Carrier::start(11);
    carrier.serve(TCP_SERVER);
    probe(&carrier.request("tcp://198.51.NET.2:443")).unwrap();
    // Refused: the target has answered. An HTTP server that is not there has not.
    probe(&carrier.request("tcp://198.51.NET.2:444")).unwrap();
    assert_undeliverable(&carrier.request("http://198.51.NET.2:444/"));
    probe(&carrier.request("http://198.51.NET.2/health")).unwrap();
    assert_undeliverable(&carrier.request("http://198.51.NET.2:81/"));
    assert_undeliverable(&carrier.request("http://198.51.NET.2:82/"));
}

#[test]
fn no_more_are_on_their_way_than_are_allowed() {
    if !in_namespace("no_more_are_on_their_way_than_are_allowed") {
        return;
    }
    let mut carrier = Carrier::start(11);
    carrier.run("sysctl -qw net.ipv4.icmp_echo_ignore_all=1");
    let request = Request { timeout: Duration::from_millis(500), ..carrier.request("198.51.NET.2") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (busy, lost) = runtime.block_on(async {
        let prober = std::sync::Arc::new(Prober::default());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..80 {
            let (prober, request) = (prober.clone(), request.clone());
            tasks.spawn(async move { prober.probe(&request).await });
        }
        let results = tasks.join_all().await;
        let count = |wanted: fn(&ProbeError) -> bool| {
            results.iter().filter(|result| result.as_ref().is_err_and(wanted)).count()
        };
        (count(|error| matches!(error, ProbeError::Busy)), count(|error| matches!(error, ProbeError::Lost)))
    });
    assert_eq!((busy, lost), (16, 64));
}
