//! `tandem demo`: central and a small fleet of simulated routers, each a real agent over two simulated modems.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::central::{Running, StreamArguments};
use super::stop;
use crate::agent::run::{self, Ground, Options};
use crate::agent::slots::Roots;
use crate::gateway::Admission;
use crate::sim::modem::Settings;
use crate::sim::port::{Publish, SimModem};
use crate::sim::radio::{self, Motion};
use crate::sim::scenario::{Family, Scenario};
use crate::sim::sysfs::{Place, Tree};
use crate::sim::trace::Trace;

/// Central and simulated routers on this machine, faults included, until Ctrl-C. Needs neither root nor hardware.
#[derive(clap::Args)]
pub struct DemoArguments {
    /// How many routers, two modems each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    routers: u16,
    /// Where the page is served; loopback only.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// Folder to keep everything in; without it a temporary one, removed at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What radios measure: logs in the G-NetTrack format, replayed in turn. Without it the demo makes its own.
    #[arg(long, value_name = "CSV")]
    trace: Vec<PathBuf>,
    /// Everything random follows from this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const SITES: [(&str, &str); 5] = [
    ("Springfield ATM", "midwest"),
    ("Harbour kiosk", "coast"),
    ("Ridge substation", "north"),
    ("Market hall", "coast"),
    ("Airport lounge", "midwest"),
];

/// Carriers of the first and the second modem: name, MCC, MNC of the test range, APN.
const CARRIERS: [(&str, &str, &str); 3] = [
    ("Aurora Mobile", "01", "broadband"),
    ("Borealis LTE", "02", "internet"),
    ("Cirrus Wireless", "03", "iot.fixed"),
];

/// What befalls a modem of the demo.
struct Part {
    /// Index of the router, modulo 20.
    router: u16,
    /// Index of its modem.
    modem: u8,
    /// In a word, for those who look for it.
    word: &'static str,
    script: &'static str,
}

/// The first six routers tell the whole story within half a minute; the others have troubles of their own.
const CAST: [Part; 8] = [
    Part {
        router: 1,
        modem: 1,
        word: "SIM pulled",
        script: "[[step]]\nat-s = 10\nfor-s = 60\nfault = \"sim-absent\"\n[[step]]\nevery-s = 180\nfor-s = 60\nfault = \"sim-absent\"\n",
    },
    Part {
        router: 2,
        modem: 1,
        word: "option-unsubscribed",
        script: "[[step]]\nat-s = 0\nfault = { call-end = { type = 6, code = 33 } }\n",
    },
    Part {
        router: 3,
        modem: 0,
        word: "silent death",
        script: "[[step]]\nat-s = 12\nfor-s = 60\nfault = \"pdn-dead\"\n[[step]]\nevery-s = 150\nfor-s = 45\nfault = \"pdn-dead\"\n",
    },
    Part { router: 5, modem: 0, word: "throttled", script: "[[step]]\nat-s = 0\nfault = \"throttled\"\n" },
    Part {
        router: 14,
        modem: 0,
        word: "out of coverage",
        script: "[[step]]\nat-s = 15\nfor-s = 45\nfault = \"no-service\"\n[[step]]\nevery-s = 240\nfor-s = 45\nfault = \"no-service\"\n",
    },
    Part {
        router: 14,
        modem: 1,
        word: "out of coverage",
        script: "[[step]]\nat-s = 18\nfor-s = 30\nfault = \"no-service\"\n[[step]]\nevery-s = 240\nfor-s = 30\nfault = \"no-service\"\n",
    },
    Part {
        router: 17,
        modem: 1,
        word: "refused by the network",
        script: "[[step]]\nat-s = 5\nfor-s = 120\nfault = { registration-reject = { cause = 15 } }\n",
    },
    Part {
        router: 19,
        modem: 0,
        word: "modem restarts",
        script: "[[step]]\nat-s = 20\nfault = \"reset\"\n[[step]]\nevery-s = 200\nfault = \"reset\"\n",
    },
];

/// Longest wait for all agents to stop in order.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// What befalls everybody else, now and then.
const WEATHER: &str = "[[step]]\nrandom-s = 400\nfault = { pdn-dropped = {} }\n[[step]]\nrandom-s = 900\nfor-s = 20\nfault = \"no-service\"\n";

/// Runs until told to stop.
///
/// # Errors
/// When the address cannot be had, or a trace or the folder cannot be used.
pub fn run(arguments: &DemoArguments) -> anyhow::Result<ExitCode> {
    if std::env::var_os("TANDEM_LOG").is_some() {
        stop::log();
    } else {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let traces = arguments.trace.iter().map(|path| trace(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Before there is a folder that would be left behind.
    let signalled = runtime.block_on(async { stop::signalled() })?;
    let temporary = arguments.data.is_none();
    let folder = arguments
        .data
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("tandem-demo-{}", std::process::id())));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let folder = folder.canonicalize()?;
    let result = runtime.block_on(play(arguments, &folder, &traces, signalled));
    drop(runtime);
    if temporary {
        let _ = std::fs::remove_dir_all(&folder);
    }
    result.map(|()| ExitCode::SUCCESS)
}

fn trace(path: &Path) -> anyhow::Result<Trace> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Trace::from_csv(&text).with_context(|| path.display().to_string())
}

async fn play(
    arguments: &DemoArguments,
    folder: &Path,
    traces: &[Trace],
    signalled: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let central = Running::start(
        arguments.listen,
        &folder.join("central"),
        &StreamArguments::default(),
        &[],
        Admission::Open,
        None,
    )
    .await
    .context("central does not start (--listen takes another address, --data another folder)")?;
    let (stop, stopped) = watch::channel(false);
    let mut routers = Vec::new();
    let start = async {
        for index in 0..arguments.routers {
            routers.push(Router::start(index, arguments, central.address, folder, traces, stopped.clone())?);
            // There may be hundreds, and somebody who does not want them after all.
            tokio::task::yield_now().await;
        }
        super::output::print(&greeting(arguments, central.address, folder))?;
        std::future::pending::<anyhow::Result<()>>().await
    };
    tokio::select! {
        biased;
        () = signalled => {}
        fault = start => fault?,
    }
    super::output::print("stopping")?;
    stop.send_replace(true);
    let deadline = tokio::time::Instant::now() + STOP_DEADLINE;
    for router in routers {
        let _ = tokio::time::timeout_at(deadline, router.agent).await;
    }
    central.stop().await;
    Ok(())
}

/// What a person needs to go on from here: commands that work as they stand.
fn greeting(arguments: &DemoArguments, central: SocketAddr, folder: &Path) -> String {
    let called = std::env::args().next().unwrap_or_else(|| "tandem".into());
    let show = format!("{called} show device-interface");
    let of_central =
        if central.port() == 7070 { String::new() } else { format!(" --central http://{central}") };
    let socket = folder.join("branch-0001/agent.sock");
    let kept = if arguments.data.is_some() { "kept" } else { "removed at the end" };
    let mut text = format!(
        "Tandem demo: {} routers, two modems each\n\n\
         \x20 page          http://{central}/\n\
         \x20 ask central   {show}{of_central} --router branch-0001\n\
         \x20 ask a router  {show} --socket {}\n\
         \x20 data          {} ({kept})\n\
         \x20 end           Ctrl-C\n\nWhat happens where:\n",
        arguments.routers,
        socket.display(),
        folder.display(),
    );
    for part in CAST.iter().filter(|part| part.router < arguments.routers) {
        text += &format!("  branch-{:04}   lte-dev-{}: {}\n", part.router + 1, part.modem + 1, part.word);
    }
    text
}

/// One simulated router. Its modems live as long as it does.
struct Router {
    agent: JoinHandle<()>,
}

impl Router {
    fn start(
        index: u16,
        arguments: &DemoArguments,
        central: SocketAddr,
        folder: &Path,
        traces: &[Trace],
        stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let name = format!("branch-{:04}", index + 1);
        let folder = folder.join(&name);
        let machine = folder.join("machine");
        // What an earlier run simulated is gone with it; spool and configuration stay.
        let _ = std::fs::remove_dir_all(&machine);
        let tree = Tree::create(&machine)?;
        let mut modems = BTreeMap::new();
        for slot in 0..2 {
            let settings = settings(index, slot, arguments.seed, traces)?;
            let place = Place::of(slot);
            let netdev = place.netdev();
            modems.insert(netdev, SimModem::spawn(settings, Publish::Tree { tree: tree.clone(), place })?);
        }
        let config = folder.join("agent.toml");
        std::fs::write(&config, configuration(index, &name, &folder, central))?;
        let roots = Roots { sys: tree.sys(), dev: tree.dev() };
        // A probe through a device fares as the data path of its modem does.
        let answer = move |device: &str| {
            let round_trip = modems.get(device)?.inspect(|modem| modem.round_trip_ms(Family::V4))?;
            Some(Duration::from_millis(round_trip.into()))
        };
        let ground = Ground::Simulated(Arc::new(answer));
        let agent = tokio::spawn(async move {
            if let Err(error) = run::run(Options { config, roots, ground }, stopped).await {
                eprintln!("tandem: {name}: {error:#}");
            }
        });
        Ok(Self { agent })
    }
}

fn settings(index: u16, slot: u8, seed: u64, traces: &[Trace]) -> anyhow::Result<Settings> {
    let seed = seed.wrapping_mul(1_000_003) + u64::from(index) * 2 + u64::from(slot);
    let (name, mnc, _) = carrier(index, slot);
    let part = CAST.iter().find(|part| (part.router, part.modem) == (index % 20, slot));
    let script = part.map_or(WEATHER, |part| part.script);
    let scenario =
        format!("[modem]\ncarrier = {{ name = \"{name}\", mcc = \"001\", mnc = \"{mnc}\" }}\n{script}");
    let scenario = Scenario::parse(&scenario).context("script of the demo")?;
    let trace = match traces {
        [] => {
            let motion = if index % 4 == 3 { Motion::Drive } else { Motion::Static };
            radio::generate(seed, motion, Duration::from_secs(1800))
        }
        traces => traces[usize::from(index) % traces.len()].clone(),
    };
    Ok(Settings { seed, scenario, trace: Some(trace) })
}

fn carrier(index: u16, slot: u8) -> (&'static str, &'static str, &'static str) {
    CARRIERS[(usize::from(index % 3) + usize::from(slot)) % CARRIERS.len()]
}

fn configuration(index: u16, name: &str, folder: &Path, central: SocketAddr) -> String {
    let (site, region) = SITES[usize::from(index) % SITES.len()];
    let path = |below: &str| folder.join(below).display().to_string();
    let mut text = format!(
        "[router]\nname = \"{name}\"\nlabels = {{ site = \"{site}\", region = \"{region}\" }}\n\n\
         [agent]\nsocket = {:?}\nstate-dir = {:?}\nqmi-proxy = false\n\n[spool]\ndir = {:?}\n\n\
         [upload]\nto = \"http://{central}\"\nbatch-interval = \"5s\"\nmonthly-budget = \"100GB\"\n\n\
         [probe]\nheartbeat = \"3s\"\n\n[sample]\nsignal-interval = \"2s\"\ntraffic-interval = \"3s\"\nprobe-interval = \"30s\"\nagent-interval = \"30s\"\n\n\
         [failover]\npolicy = \"{}\"\n",
        path("agent.sock"),
        path("state"),
        path("spool"),
        if index.is_multiple_of(3) { "failover" } else { "active-active" },
    );
    for slot in 0..2u8 {
        let (_, _, apn) = carrier(index, slot);
        let number = slot + 1;
        let priority = 100 + u32::from(number) * 200;
        text += &format!(
            "\n[[device-interface]]\nname = \"lte-dev-{number}\"\ntype = \"lte\"\ntarget-interface = \"{}\"\n\
             lte = {{ apn-name = \"{apn}\" }}\n\n[[device-interface.network-interface]]\nname = \"lte-intf-{number}\"\n\
             source-nat = true\ndhcp = \"v4\"\ndefault-route = true\n\
             management-vector = {{ name = \"lte-route-{number}\", priority = {priority} }}\n",
            Place::of(slot).netdev(),
        );
    }
    text
}
