//! How long traffic stands still when a link fails. See `tests/bench/switch`.
//!
//! The program starts itself again in namespaces of its own, once for each router; a router prints one time a line.

#[path = "../support/lab/mod.rs"]
mod lab;
#[path = "../support/namespace.rs"]
mod namespace;

use std::process::Stdio;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use lab::server::REFLECT;
use lab::traffic::{UdpStream, ask_once};
use lab::{Lab, NETDEVS, Options, SEEN, within};
use tandem::sim::carrier::Seen;
use tandem::sim::impairment::Direction;
use tandem::sim::packet::UDP;
use tandem::sim::scenario::Fault;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// How long a router may take to be ready for the next switch.
const UP: Duration = Duration::from_secs(60);
/// How long a switch may take before it counts as none.
const LIMIT: Duration = Duration::from_secs(60);
const MONTH_S: f64 = 30.0 * 24.0 * 3600.0;

/// The agent as it is delivered, except that it may return as often as it likes and dials again at once: the next switch
/// is not to wait long. It never moves traffic back by itself, so that each move has its cause.
const CONFIGURATION: &str = "recovery-count = 1\nminimum-stay = \"0s\"\nflap-budget = 0\n\n\
    [retry]\npassing = [\"100ms\", \"1s\"]\nnetwork-busy = [\"100ms\", \"1s\"]\nstale-state = [\"100ms\", \"1s\"]\n\
    control-channel = [\"100ms\", \"1s\"]\n";
const TARGETS: &str = "\n[probe]\ntargets = [\"192.0.2.53\", \"192.0.2.80\"]\n";

/// After some eleven hours without any traffic the savings of the probe budget are used up, and this is the pace.
const SAVINGS_SPENT: &str = "heartbeat = \"33s\"\n";

/// What befalls the link that carries the traffic.
static CAUSES: [Cause; 6] = [
    told("pdn-down", Fault::PdnDropped { r#type: 6, code: 36, indication: true }),
    told("registration-loss", Fault::NoService),
    told("device-removal", Fault::Unplugged),
    silent("silent-with-traffic", false),
    silent("silent-idle", true),
    Cause { name: "silent-idle-savings-spent", fault: None, idle: true, probe: SAVINGS_SPENT, part: 10 },
];

struct Cause {
    name: &'static str,
    /// `None`: the path dies silently.
    fault: Option<Fault>,
    /// No client says anything meanwhile.
    idle: bool,
    /// What else is configured of probes.
    probe: &'static str,
    /// It happens once for so many switches that are asked for: some take half a minute each.
    part: usize,
}

/// Something that the modem tells.
const fn told(name: &'static str, fault: Fault) -> Cause {
    Cause { name, fault: Some(fault), idle: false, probe: "", part: 1 }
}

/// Nobody tells: the path dies.
const fn silent(name: &'static str, idle: bool) -> Cause {
    Cause { name, fault: None, idle, probe: "", part: 1 }
}

impl Cause {
    /// The number of its probe setting.
    fn setting(&self) -> usize {
        SETTINGS.iter().position(|(_, setting)| *setting == self.probe).expect("it is among them")
    }

    /// The cause of this name.
    fn named(name: &str) -> &'static Self {
        CAUSES.iter().find(|known| known.name == name).unwrap_or_else(|| {
            let names: Vec<_> = CAUSES.iter().map(|known| known.name).collect();
            panic!("--cause is one of {}", names.join(", "))
        })
    }
}

/// Probe settings whose cost is counted: a name, and what is configured. Those of all causes are among them.
const SETTINGS: [(&str, &str); 4] = [
    ("default", ""),
    ("heartbeat 5s", "heartbeat = \"5s\"\nmonthly-budget = \"1GB\"\n"),
    ("heartbeat 33s", SAVINGS_SPENT),
    ("dns, default pace", "targets = [\"dns://192.0.2.53\", \"192.0.2.80\"]\n"),
];

/// How mwan3 tracks an interface: a round asks its targets one after the other until one answers.
struct PingTracking {
    name: &'static str,
    /// Pause between two rounds.
    interval_s: f64,
    /// How long one ping is waited for.
    timeout_s: f64,
    /// Rounds in a row that fail before the interface is off.
    down: u32,
}

/// The defaults of the script `mwan3track`, and the configuration that the package is delivered with.
const MWAN3: [PingTracking; 2] = [
    PingTracking { name: "mwan3-script-defaults", interval_s: 10.0, timeout_s: 4.0, down: 5 },
    PingTracking { name: "mwan3-delivered-config", interval_s: 5.0, timeout_s: 2.0, down: 3 },
];
const MWAN3_TARGETS: f64 = 2.0;
/// An echo of 56 octets and its answer, with ICMP and IP headers.
const MWAN3_PING_BYTES: f64 = 2.0 * 84.0;

impl PingTracking {
    /// From a silent death, `phase_s` after a round, to the decision.
    fn detection_s(&self, phase_s: f64) -> f64 {
        let failing = MWAN3_TARGETS * self.timeout_s;
        (self.interval_s - phase_s)
            + f64::from(self.down) * failing
            + f64::from(self.down - 1) * self.interval_s
    }

    fn mb_a_month(&self) -> f64 {
        MONTH_S / self.interval_s * MWAN3_PING_BYTES / 1e6
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{name} takes a value")).clone())
    };
    let number = |name: &str, default: usize| after(name).map_or(default, |text| text.parse().expect(name));
    if namespace::is_inside() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (count, seed) = (number("--count", 1), number("--seed", 1));
        match after("--cause") {
            Some(cause) => runtime.block_on(switch(Cause::named(&cause), count, seed as u64)),
            None => runtime.block_on(probes(number("--setting", 0), Duration::from_secs(count as u64))),
        }
        return;
    }
    let switches = number("--switches", 1000);
    let routers = number("--routers", 24);
    let seconds = number("--probe-seconds", 120);
    if let Some(name) = after("--cause") {
        let cause = Cause::named(&name);
        let megabytes = count_probes(&[cause.setting()], seconds).remove(0);
        measure(cause, switches, routers, &megabytes);
        return;
    }
    let megabytes = count_probes(&[0, 1, 2, 3], seconds);
    for cause in &CAUSES {
        measure(cause, switches, routers, &megabytes[cause.setting()]);
    }
    let mut random = fastrand::Rng::with_seed(1);
    for tracking in &MWAN3 {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        for _ in 0..switches {
            let detection_s = tracking.detection_s(random.f64() * tracking.interval_s);
            histogram.record((detection_s * 1e6) as u64).unwrap();
        }
        print(tracking.name, &histogram, &format!("{:.2}", tracking.mb_a_month()));
    }
    for ((name, _), megabytes) in SETTINGS.iter().zip(&megabytes) {
        println!("probe-mb-month\t{name}\t{megabytes}");
    }
}

/// What the probes of these settings cost, in megabytes a month and link, one router for each beside the others.
fn count_probes(settings: &[usize], seconds: usize) -> Vec<String> {
    let arguments = |router: usize| format!("--setting {} --count {seconds}", settings[router]);
    let mut counted = in_parallel(settings.len(), arguments);
    // Each begins with the number of its setting.
    counted.sort();
    counted.iter().map(|line| line.split_once('\t').expect(line).1.to_owned()).collect()
}

/// Lets one cause happen again and again; prints its line. Causes that the agent is told of happen on one router, so that
/// nothing else delays it; silent ones take seconds of waiting each, on `routers` at once.
fn measure(cause: &Cause, switches: usize, routers: usize, megabytes: &str) {
    let count = switches.div_ceil(cause.part);
    let routers = if cause.fault.is_some() { 1 } else { routers.clamp(1, count.max(1)) };
    let times = in_parallel(routers, |router| {
        let share = count / routers + usize::from(router < count % routers);
        format!("--cause {} --count {share} --seed {}", cause.name, router + 1)
    });
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    times.iter().for_each(|line| histogram.record(line.parse().expect(line)).unwrap());
    print(cause.name, &histogram, megabytes);
}

fn print(name: &str, histogram: &Histogram<u64>, megabytes: &str) {
    let ms = |us: u64| us as f64 / 1000.0;
    println!(
        "{name}\t{}\t{:.1}\t{:.1}\t{:.1}\t{megabytes}",
        histogram.len(),
        ms(histogram.value_at_quantile(0.5)),
        ms(histogram.value_at_quantile(0.99)),
        ms(histogram.max())
    );
}

/// Runs routers side by side; gives every line that they print.
fn in_parallel(routers: usize, arguments: impl Fn(usize) -> String) -> Vec<String> {
    let program = std::env::current_exe().unwrap();
    let start = |router| {
        let mut command = namespace::command(&program);
        command.args(arguments(router).split(' ')).stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let children: Vec<_> = (0..routers).map(start).collect();
    let mut lines = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "a router of the bench failed");
        lines.extend(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned));
    }
    lines
}

/// One router: its link fails `count` times; prints each time in microseconds.
async fn switch(cause: &Cause, count: usize, seed: u64) {
    let extra = format!("{CONFIGURATION}{TARGETS}{}", cause.probe);
    let mut lab = Lab::new(&Options { policy: "failover", extra, seed, ..Options::default() });
    lab.start_agent();
    let every = Duration::from_millis(if cause.fault.is_some() { 1 } else { 20 });
    let mut random = fastrand::Rng::with_seed(seed);
    let mut stream = None;
    for _ in 0..count {
        // Both links work, by their own account and by that of the probes, and one of them carries: the one by which the
        // client's packets go.
        if !cause.idle && stream.is_none() {
            stream = Some(UdpStream::start(&lab.client, every));
        }
        if let Some(stream) = &stream {
            stream.forget();
        }
        let carrier = within(UP, "both links are ready, and one carries", || {
            let carrier = ready(&lab)?;
            let passes =
                |stream: &UdpStream| stream.last_answer().is_some_and(|(from, _)| from == SEEN[carrier]);
            stream.as_ref().is_none_or(passes).then_some(carrier)
        })
        .await;
        // No two switches at the same time of the agent's timers.
        tokio::time::sleep(random_phase(cause, &mut random)).await;
        let other = 1 - carrier;
        let mut packets = lab.links[other].carrier.watch();
        let start = Instant::now();
        match &cause.fault {
            Some(fault) => lab.begin(carrier, fault),
            None => lab.links[carrier].carrier.die(true),
        }
        if cause.idle {
            let device = NETDEVS[other];
            let line = "ip route get 192.0.2.80 from 172.16.0.2 iif lan0";
            while !lab.router.ask(line).contains(device) {
                assert!(start.elapsed() < LIMIT, "the route moves");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // The client has something to say again.
            assert_eq!(ask_once(&lab.client, LIMIT).await, Some(SEEN[other]));
        }
        let seen = tokio::time::timeout(LIMIT, first(&mut packets, start)).await.expect("traffic moves");
        println!("{}", (seen - start).as_micros());
        match &cause.fault {
            Some(fault) if fault.lasts() => lab.end(carrier, fault),
            Some(_) => {}
            None => lab.links[carrier].carrier.die(false),
        }
    }
}

/// A time within the longest period of the agent's timers that matter.
fn random_phase(cause: &Cause, random: &mut fastrand::Rng) -> Duration {
    let period_ms = match (cause.idle, cause.probe) {
        (false, _) => 200,
        (true, "") => 7_000,
        (true, _) => 33_000,
    };
    Duration::from_millis(random.u64(0..period_ms))
}

/// Which link carries, once both are fit to.
fn ready(lab: &Lab) -> Option<usize> {
    let uplinks = lab.uplinks()?;
    let states: Vec<_> =
        uplinks["uplinks"].as_array()?.iter().map(|uplink| uplink["state"].as_str()).collect();
    if states != [Some("connected"); 2] || !lab.is_passable(0) || !lab.is_passable(1) {
        return None;
    }
    match uplinks["carrying"].as_array()?.as_slice() {
        [carrier] => ["lte-dev-1", "lte-dev-2"].iter().position(|name| *name == carrier),
        _ => None,
    }
}

/// When the carrier sees the first packet of the client after `start`.
async fn first(packets: &mut Receiver<Seen>, start: Instant) -> Instant {
    loop {
        match packets.recv().await {
            Ok(seen) => {
                let flow = seen.flow;
                let is_clients = (flow.protocol, flow.destination.port()) == (UDP, REFLECT);
                let at = seen.at.into_std();
                if seen.direction == Direction::Up && is_clients && at >= start {
                    return at;
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => panic!("the carrier is gone"),
        }
    }
}

/// One router without traffic, for so long; prints the number of the setting and its megabytes a month and link.
async fn probes(number: usize, length: Duration) {
    let (_, setting) = SETTINGS[number];
    let targets = if setting.contains("targets") { "\n[probe]\n" } else { TARGETS };
    let extra = format!("{targets}{setting}");
    let mut lab = Lab::new(&Options { policy: "failover", extra, ..Options::default() });
    lab.start_agent();
    within(UP, "both links are ready", || ready(&lab)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut packets: Vec<_> = lab.links.iter().map(|link| link.carrier.watch()).collect();
    let start = Instant::now();
    tokio::time::sleep(length).await;
    let took_s = start.elapsed().as_secs_f64();
    let mut bytes = 0;
    for packets in &mut packets {
        while let Ok(seen) = packets.try_recv() {
            bytes += seen.len;
        }
    }
    let megabytes = bytes as f64 / 2.0 * MONTH_S / took_s / 1e6;
    println!("{number}\t{megabytes:.2}");
}
