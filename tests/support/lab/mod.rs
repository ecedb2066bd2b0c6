//! A laboratory of network namespaces: a router with two simulated modems and perhaps a wired circuit, a client behind
//! it, carriers, and servers behind them all at the same addresses. Real kernels, real packets, no device of the host.
//!
//! ```text
//!                         ┌ wwp0s21u1i8 (TUN) ─ Carrier ─ core0 (TUN) ┐ carrier-a ─ up0 198.51.100.1 ┐
//!  client ── lan0 ─ router ┼ wwp0s21u4i8 (TUN) ─ Carrier ─ core0 (TUN) ┤ carrier-b ─ up0 203.0.113.1 ─┼─ internet
//!  172.16.0.2              └ enp4s0f0 (veth) ───────────────── cpe0    ┘ circuit ─── up0 198.18.0.1 ──┘ 192.0.2.53, .80
//! ```
//!
//! Each way has source NAT at its end, so a server tells by a client's address which way a packet came. The router starts
//! with a strict reverse path filter, as hosts do. Everything ends with the process (see `space`): run tests in `in_namespace`.

#![allow(dead_code)] // each program uses its part

pub mod server;
pub mod space;
pub mod traffic;
pub mod watcher;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tandem::sim::carrier::{Carrier, Opener, Packets};
use tandem::sim::modem::Settings;
use tandem::sim::port::{Publish, SimModem};
use tandem::sim::scenario::{CarrierSpec, Fault, ModemSpec, Scenario};
use tandem::sim::sysfs::{Place, Tree};
use tandem::sim::tun;

pub use space::Space;
use watcher::Watcher;

/// The program under test, unless a bench brings another.
pub const TANDEM: &str = env!("CARGO_BIN_EXE_tandem");

/// The addresses by which the servers see the client: by the first link, by the second, by the wired circuit.
pub const SEEN: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
    IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)),
];
/// The modems' network interfaces.
pub const NETDEVS: [&str; 2] = ["wwp0s21u1i8", "wwp0s21u4i8"];
/// The wired circuit's.
pub const WIRED: &str = "enp4s0f0";

/// What the laboratory is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Everything random follows from it.
    pub seed: u64,
    /// `[failover] policy`.
    pub policy: &'static str,
    /// Weight of each link.
    pub weights: [u16; 2],
    /// `source-nat`, `default-route` and so on of the links' network-interfaces.
    pub network: &'static str,
    /// Whether they have a management-vector.
    pub vectors: bool,
    /// Further sections of the configuration.
    pub extra: String,
    /// Whether there is a wired circuit.
    pub wired: bool,
    /// What each carrier hands out; `None`: an address of its own.
    pub addresses: [Option<Ipv4Addr>; 2],
    /// Where events go.
    pub upload: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            policy: "active-active",
            weights: [1, 1],
            network: "source-nat = true\ndhcp = \"v4\"\ndefault-route = true\n",
            vectors: true,
            extra: String::new(),
            wired: false,
            addresses: [None, None],
            upload: None,
        }
    }
}

/// A modem and the carrier behind it.
pub struct Link {
    /// The modem.
    pub modem: SimModem,
    /// The way of its packets.
    pub carrier: Carrier,
    /// The carrier's namespace.
    pub space: Space,
}

/// All of it.
pub struct Lab {
    /// Where the agent runs.
    pub router: Space,
    /// Behind the router.
    pub client: Space,
    /// The far end of the wired circuit.
    pub circuit: Option<Space>,
    /// Where the servers are.
    pub internet: Space,
    /// The two links.
    pub links: [Link; 2],
    /// The machine's devices.
    pub tree: Tree,
    folder: tempfile::TempDir,
    agent: Option<Child>,
    /// Looks on, and since when.
    watcher: Option<(Watcher, Instant)>,
    program: PathBuf,
}

impl Lab {
    /// Builds it, in the current runtime. No agent runs yet.
    pub fn new(options: &Options) -> Self {
        Space::prepare();
        let folder = tempfile::tempdir().unwrap();
        let [router, client, internet] = ["router", "client", "internet"].map(Space::create);
        let loose = [("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")];
        router.sysctl(&[("net/ipv4/conf/all/rp_filter", "0"), ("net/ipv4/conf/default/rp_filter", "1")]);
        router.sysctl(&loose);
        wire(&router, "lan0", &client, "eth0");
        router.ip("addr add 172.16.0.1/24 dev lan0\naddr add fd00:1ab::1/64 dev lan0 nodad");
        client.ip("addr add 172.16.0.2/24 dev eth0\naddr add fd00:1ab::2/64 dev eth0 nodad\n\
                   route add default via 172.16.0.1\nroute add default via fd00:1ab::1");
        internet
            .ip("addr add 192.0.2.53/32 dev lo\naddr add 192.0.2.80/32 dev lo\naddr add 3fff::80/128 dev lo");
        let tree = Tree::create(folder.path()).unwrap();
        let links = [0, 1].map(|index| {
            let space = Space::create(["carrier-a", "carrier-b"][index]);
            uplink(&space, index, &internet);
            link(options, index, &tree, &router, space)
        });
        let circuit = options.wired.then(|| {
            let space = Space::create("circuit");
            uplink(&space, 2, &internet);
            wire(&router, WIRED, &space, "cpe0");
            space.ip("addr add 192.168.1.1/24 dev cpe0");
            router.ip("addr add 192.168.1.10/24 dev enp4s0f0\n\
                       route add default via 192.168.1.1 dev enp4s0f0 proto static metric 100");
            space
        });
        server::start(&internet);
        let lab = Self {
            router,
            client,
            circuit,
            internet,
            links,
            tree,
            folder,
            agent: None,
            watcher: None,
            program: TANDEM.into(),
        };
        lab.configure(options);
        lab
    }

    /// Runs another build of the agent.
    pub fn use_program(&mut self, program: &Path) {
        self.program = program.to_owned();
    }

    /// A file of the router.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the agent's configuration. A running agent looks at it by itself.
    pub fn configure(&self, options: &Options) {
        std::fs::write(self.path("agent.toml"), configuration(options, self.folder.path())).unwrap();
    }

    /// Starts the agent.
    pub fn start_agent(&mut self) {
        self.start_agent_in(&[]);
    }

    /// Starts the agent with more in its environment.
    pub fn start_agent_in(&mut self, environment: &[(&str, &str)]) {
        assert!(self.agent.is_none(), "an agent runs already");
        let log = std::fs::File::options().create(true).append(true).open(self.path("agent.log")).unwrap();
        let mut command = Command::new(&self.program);
        command.arg("agent").args(["--config".as_ref(), self.path("agent.toml").as_os_str()]);
        command.args(["--sysfs".as_ref(), self.tree.sys().as_os_str()]);
        command.args(["--dev".as_ref(), self.tree.dev().as_os_str()]);
        command.stderr(log).envs(environment.iter().copied());
        self.agent = Some(self.router.enter(|| command.spawn().unwrap()));
    }

    /// From now on to the end, or to [`Lab::unwatch`], the client's traffic must have a route.
    pub fn watch(&mut self) {
        self.watcher = Some((Watcher::start(&self.router), Instant::now()));
    }

    /// What comes now may leave it without a route.
    pub fn unwatch(&mut self) {
        if let Some((watcher, since)) = self.watcher.take() {
            let longest = watcher.longest_without_route(since);
            let without: Vec<_> = watcher.looks().into_iter().filter(|look| look.device.is_none()).collect();
            assert_eq!(
                longest,
                Duration::ZERO,
                "traffic has a route while any uplink works, watched for {:?}: {:?}",
                since.elapsed(),
                without.iter().map(|look| (look.at - since, &look.answer)).collect::<Vec<_>>()
            );
        }
    }

    /// Process id of the agent.
    pub fn agent_id(&self) -> u32 {
        self.agent.as_ref().expect("an agent runs").id()
    }

    /// Ends the agent with a signal and waits until it is gone; says whether it left by itself in good order.
    pub fn stop_agent(&mut self, signal: Signal) -> bool {
        let mut agent = self.agent.take().expect("an agent runs");
        kill(Pid::from_raw(agent.id().cast_signed()), signal).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match agent.try_wait().unwrap() {
                Some(status) => return status.success(),
                None if Instant::now() > deadline => {
                    let _ = agent.kill();
                    panic!("the agent does not stop");
                }
                None => std::thread::yield_now(),
            }
        }
    }

    /// A `tandem` command as a technician would type it on the router.
    pub fn tandem(&self, line: &str) -> Output {
        let mut command = Command::new(&self.program);
        command.args(line.split_whitespace());
        self.router.output(&mut command)
    }

    /// What `show uplinks` says; `None` while no agent answers.
    pub fn uplinks(&self) -> Option<serde_json::Value> {
        let socket = self.path("agent.sock");
        let output = self.tandem(&format!("show uplinks --json --socket {}", socket.display()));
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// The uplinks that carry the traffic, as the agent says.
    pub fn carrying(&self) -> Vec<String> {
        let uplinks = self.uplinks().unwrap_or_default();
        let names = uplinks["carrying"].as_array().cloned().unwrap_or_default();
        names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// The state of each uplink, as the agent says.
    pub fn states(&self) -> Vec<String> {
        let uplinks = self.uplinks().unwrap_or_default();
        let all = uplinks["uplinks"].as_array().cloned().unwrap_or_default();
        all.iter().map(|uplink| uplink["state"].as_str().unwrap().to_owned()).collect()
    }

    /// What the agent has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    /// Whether packets can get through each way out now: by the first link, by the second, by the wired circuit.
    pub fn is_passable(&self, index: usize) -> bool {
        self.links[index].modem.inspect(|modem| {
            use tandem::sim::scenario::Family;
            modem.carries_data(Family::V4) && modem.is_raw_ip()
        })
    }

    /// A fault of a modem begins or happens.
    pub fn begin(&self, index: usize, fault: &Fault) {
        self.links[index].modem.begin(fault);
    }

    /// A fault of a modem is lifted.
    pub fn end(&self, index: usize, fault: &Fault) {
        self.links[index].modem.end(fault);
    }

    /// The wired circuit carries nothing any more, and says nothing; or does again.
    pub fn kill_wired(&self, dead: bool) {
        let circuit = self.circuit.as_ref().expect("there is a wired circuit");
        if dead {
            circuit
                .nft("table inet fault { chain way { type filter hook forward priority 0; policy drop; }; }");
        } else {
            circuit.nft("delete table inet fault");
        }
    }

    /// The cable of the wired circuit is pulled, or put back.
    pub fn pull_cable(&self, pulled: bool) {
        let circuit = self.circuit.as_ref().expect("there is a wired circuit");
        circuit.ip(if pulled { "link set cpe0 down" } else { "link set cpe0 up" });
    }

    /// A server answers nothing any more, by whatever way; or does again.
    pub fn kill_target(&self, target: IpAddr, dead: bool) {
        if dead {
            self.internet.nft(&format!(
                "table inet fault {{ chain door {{ type filter hook input priority 0; ip daddr {target} drop; }}; }}"
            ));
        } else {
            self.internet.nft("delete table inet fault");
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.unwatch();
        }
        if std::thread::panicking() && self.agent.is_some() {
            let line = format!("show events --limit 40 --socket {}", self.path("agent.sock").display());
            eprintln!("$ tandem {line}\n{}", String::from_utf8_lossy(&self.tandem(&line).stdout));
        }
        if let Some(agent) = &mut self.agent {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("last words of the agent:\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
            for (link, netdev) in self.links.iter().zip(NETDEVS) {
                let raw_ip = link.modem.inspect(|modem| modem.is_raw_ip());
                eprintln!("{netdev}: raw-ip {raw_ip}, {:?}", link.carrier.counts());
            }
            for line in ["ip route show table all", "ip rule", "ip -br addr"] {
                eprintln!("$ {line}\n{}", self.router.ask(line));
            }
        }
    }
}

/// Polls until `condition` gives something, at most this long.
pub async fn within<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A cable between two namespaces.
fn wire(one: &Space, one_end: &str, other: &Space, other_end: &str) {
    one.ip(&format!("link add {one_end} type veth peer name {other_end} netns {}", other.name()));
    one.ip(&format!("link set {one_end} up"));
    other.ip(&format!("link set {other_end} up"));
}

/// The way from a carrier or circuit to the servers, with source NAT.
fn uplink(space: &Space, index: usize, internet: &Space) {
    let (net, port) = (["198.51.100", "203.0.113", "198.18.0"][index], ["a0", "b0", "c0"][index]);
    let net6 = ["3fff:a", "3fff:b", "3fff:c"][index];
    space.sysctl(&[("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")]);
    wire(internet, port, space, "up0");
    internet.ip(&format!("addr add {net}.254/24 dev {port}\naddr add {net6}::254/64 dev {port} nodad"));
    space.ip(&format!(
        "addr add {net}.1/24 dev up0\naddr add {net6}::1/64 dev up0 nodad\n\
         route add default via {net}.254\nroute add default via {net6}::254"
    ));
    space.nft(
        "table inet carrier { chain out { type nat hook postrouting priority 100; oifname up0 masquerade; }; }",
    );
}

fn link(options: &Options, index: usize, tree: &Tree, router: &Space, space: Space) -> Link {
    let number = u16::try_from(index).unwrap();
    let (name, mnc) = [("Aurora Mobile", "01"), ("Borealis LTE", "02")][index];
    let carrier = CarrierSpec { name: name.into(), mcc: "001".into(), mnc: mnc.into() };
    let modem = ModemSpec {
        carrier: Some(carrier),
        address: options.addresses[index],
        register_ms: Some(100),
        connect_ms: Some(50),
        restart_ms: Some(1000),
        ..ModemSpec::default()
    };
    let seed = options.seed * 2 + u64::from(number);
    let settings = Settings { seed, scenario: Scenario { modem, steps: Vec::new() }, trace: None };
    let place = Place { port: [1, 4][index], device: number + 2, wdm: number, tty: number * 3 };
    assert_eq!(place.netdev(), NETDEVS[index]);
    let modem = SimModem::spawn(settings, Publish::Tree { tree: tree.clone(), place }).unwrap();
    let core = tun::open(&space.file(), "core0", 1500, true).unwrap();
    space.ip("route add 100.64.0.0/10 dev core0\nroute add 10.0.0.0/8 dev core0\nroute add 2001:db8::/32 dev core0");
    let file = router.file();
    let open: Opener = Box::new(move || {
        let edge = tun::open(&file, NETDEVS[index], 1500, false)?;
        Ok(Box::new(edge) as Box<dyn Packets>)
    });
    let carrier = Carrier::spawn(modem.clone(), open, Box::new(core), seed).unwrap();
    Link { modem, carrier, space }
}

fn configuration(options: &Options, folder: &Path) -> String {
    let path = |below: &str| folder.join(below).display().to_string();
    let mut text = format!(
        "[router]\nname = \"lab\"\n\n[agent]\nsocket = {:?}\nstate-dir = {:?}\n\n[spool]\ndir = {:?}\n\n\
         [failover]\npolicy = \"{}\"\n",
        path("agent.sock"),
        path("state"),
        path("spool"),
        options.policy,
    );
    if let Some(to) = &options.upload {
        text += &format!("\n[upload]\n{to}\n");
    }
    text += &format!("\n{}", options.extra);
    for (index, netdev) in NETDEVS.iter().enumerate() {
        let (number, priority) = (index + 1, [300, 500][index]);
        text += &format!(
            "\n[[device-interface]]\nname = \"lte-dev-{number}\"\ntype = \"lte\"\ntarget-interface = \"{netdev}\"\n\
             weight = {}\nlte = {{ apn-name = \"broadband\" }}\n\n[[device-interface.network-interface]]\n\
             name = \"lte-intf-{number}\"\n{}",
            options.weights[index], options.network,
        );
        if options.vectors {
            text +=
                &format!("management-vector = {{ name = \"lte-route-{number}\", priority = {priority} }}\n");
        }
    }
    if options.wired {
        text += &format!(
            "\n[[device-interface]]\nname = \"wired-1\"\ntype = \"ethernet\"\ntarget-interface = \"{WIRED}\"\n\n\
             [[device-interface.network-interface]]\nname = \"wired-intf-1\"\nsource-nat = true\n\
             management-vector = {{ name = \"wired-route-1\", priority = 100 }}\n",
        );
    }
    text
}
