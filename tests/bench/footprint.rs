//! What the agent takes: memory, processor, and bytes on the wire. See `tests/bench/footprint`.

#[path = "../support/lab/mod.rs"]
mod lab;
#[path = "../support/namespace.rs"]
mod namespace;

use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lab::{Lab, NETDEVS, Options, within};
use rcgen::{CertificateParams, KeyPair};
use tandem::sim::packet::TCP;
use tokio::sync::broadcast::error::RecvError;

const UP: Duration = Duration::from_secs(60);
/// How long the agent may settle before anything counts.
const SETTLE: Duration = Duration::from_secs(60);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const PORT: u16 = 443;
const TOKEN: &str = "the-token-of-the-router-in-the-laboratory";

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let after =
        |name: &str| arguments.iter().position(|argument| argument == name).map(|at| &arguments[at + 1]);
    let minutes: f64 =
        after("--minutes").map_or(60.0, |text| text.parse().expect("--minutes takes a number"));
    if !namespace::is_inside() {
        let program = std::env::current_exe().unwrap();
        let status = namespace::command(&program).args(&arguments[1..]).status().unwrap();
        std::process::exit(status.code().unwrap_or(1));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let batch_interval = after("--batch-interval").cloned();
    runtime.block_on(measure(Duration::from_secs_f64(minutes * 60.0), batch_interval));
}

async fn measure(length: Duration, batch_interval: Option<String>) {
    let mut upload = format!(
        "to = \"https://{}:{PORT}\"\ntoken = {TOKEN:?}\nca-file = \"/run/central.pem\"",
        lab::server::SERVER
    );
    if let Some(interval) = batch_interval {
        upload += &format!("\nbatch-interval = {interval:?}");
    }
    let targets = "[probe]\ntargets = [\"192.0.2.53\", \"192.0.2.80\"]\n";
    let options = Options { upload: Some(upload), extra: targets.into(), ..Options::default() };
    let mut lab = Lab::new(&options);
    if let Some(program) = std::env::var_os("TANDEM_ROUTER_BUILD") {
        lab.use_program(&PathBuf::from(program));
    }
    let _central = Central::start(&lab);
    lab.start_agent();
    within(UP, "both links carry", || (lab.carrying().len() == 2).then_some(())).await;
    let bytes = count(&lab);
    within(UP, "central has heard", || (bytes.lock().unwrap().telemetry > 0).then_some(())).await;
    tokio::time::sleep(SETTLE.min(length)).await;

    let usage = |lab: &Lab| (Instant::now(), cpu(lab.agent_id()), *bytes.lock().unwrap());
    let (since, cpu_before, before) = usage(&lab);
    let mut peak_kb = 0;
    while since.elapsed() < length {
        tokio::time::sleep(Duration::from_secs(1)).await;
        peak_kb = peak_kb.max(resident_kb(lab.agent_id()));
    }
    let (until, cpu_after, after) = usage(&lab);
    let (took, bytes) = ((until - since).as_secs_f64(), after - before);
    let month = MONTH.as_secs_f64() / took / 1e6;
    figure("measured", took / 60.0, "min");
    figure("resident memory", f64::from(resident_kb(lab.agent_id())) / 1024.0, "MiB");
    figure("resident memory, most", f64::from(peak_kb) / 1024.0, "MiB");
    figure(
        "of it the agent's own: heap and stack, without pages of files",
        f64::from(anonymous_kb(lab.agent_id())) / 1024.0,
        "MiB",
    );
    figure("processor", (cpu_after - cpu_before).as_secs_f64() / took * 100.0, "% of a core");
    figure(
        "telemetry, TLS and HTTP and their acknowledgements included",
        bytes.telemetry as f64 * month,
        "MB a month",
    );
    figure("probes of both links", bytes.probes as f64 * month, "MB a month");
    figure("anything else", bytes.other as f64 * month, "MB a month");
    for netdev in NETDEVS {
        let text = lab.router.ask(&format!("ip -s link show {netdev}"));
        let counts: Vec<_> =
            text.lines().filter_map(|line| line.split_whitespace().next()?.parse::<f64>().ok()).collect();
        println!(
            "# {netdev} since its start, by its own counters: {} bytes in, {} out",
            counts[0], counts[1]
        );
    }
}

fn figure(name: &str, value: f64, unit: &str) {
    println!("{name}\t{value:.3}\t{unit}");
}

/// Bytes of IP packets on both links' interfaces, both ways.
#[derive(Clone, Copy, Debug, Default)]
struct Bytes {
    telemetry: u64,
    probes: u64,
    other: u64,
}

impl std::ops::Sub for Bytes {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            telemetry: self.telemetry - before.telemetry,
            probes: self.probes - before.probes,
            other: self.other - before.other,
        }
    }
}

fn count(lab: &Lab) -> Arc<Mutex<Bytes>> {
    let bytes = Arc::new(Mutex::new(Bytes::default()));
    for link in &lab.links {
        let (mut packets, bytes) = (link.carrier.watch(), bytes.clone());
        tokio::spawn(async move {
            loop {
                let seen = match packets.recv().await {
                    Ok(seen) => seen,
                    Err(RecvError::Lagged(count)) => panic!("{count} packets were not counted"),
                    Err(RecvError::Closed) => return,
                };
                let mut bytes = bytes.lock().unwrap();
                let ports = [seen.flow.source.port(), seen.flow.destination.port()];
                match seen.flow.protocol {
                    TCP if ports.contains(&PORT) => bytes.telemetry += seen.len as u64,
                    1 | 58 => bytes.probes += seen.len as u64,
                    _ => bytes.other += seen.len as u64,
                }
            }
        });
    }
    bytes
}

/// A central that runs where the servers are.
struct Central(Child);

impl Central {
    fn start(lab: &Lab) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![lab::server::SERVER.to_string()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write("/run/central.pem", certificate.pem()).unwrap();
        std::fs::write("/run/central.key", key.serialize_pem()).unwrap();
        std::fs::write("/run/tokens.toml", format!("[routers]\nlab = {TOKEN:?}\n")).unwrap();
        let mut command = Command::new(lab::TANDEM);
        command.args(["central", "--listen", &format!("{}:{PORT}", lab::server::SERVER)]);
        command.args(["--data", "/run/central", "--tokens", "/run/tokens.toml"]);
        command.args(["--tls-cert", "/run/central.pem", "--tls-key", "/run/central.key"]);
        command.env("TANDEM_LOG", "warn");
        Self(lab.internet.enter(|| command.spawn().unwrap()))
    }
}

impl Drop for Central {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A field of `/proc/PID/status`, in KiB.
fn status_kb(id: u32, field: &str) -> u32 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn resident_kb(id: u32) -> u32 {
    status_kb(id, "VmRSS:")
}

fn anonymous_kb(id: u32) -> u32 {
    status_kb(id, "RssAnon:")
}

/// Processor time of a process, its children that have ended included, from `/proc/PID/stat`.
fn cpu(id: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<_> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..15].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    let rate = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).unwrap().unwrap();
    Duration::from_secs_f64(ticks as f64 / rate as f64)
}
