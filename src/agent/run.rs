//! Starts the tasks of the agent, tells them of a changed configuration, answers the local socket, and stops
//! them in order: links first, which leave their sessions up, then the routes, which are handed to the host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::Emission;
use super::config_file::{ConfigFile, Settled, boot_time};
use super::correlation::Correlations;
use super::emit::{Stamper, boot_id};
use super::footprint::Footprint;
use super::journal::Journal;
use super::link::{self, Ask, News, ORDERS_MAX, Order, Part, Place, Setup};
use super::report::Look;
use super::slots::{self, Roots};
use super::socket::{Answer, COMMANDS_MAX, Command, Request, Server};
use super::uplinks::{self, View, Wishes};
use super::{beats, ticks, upload};
use crate::config::{Config, DeviceInterface, InterfaceType, Secret};
use crate::event::{
    AgentSampled, AgentStarted, AgentStopping, Body, ConfigCommitted, ConfigRolledBack, IpFamily,
    LinkChanged, LinkState, Rung,
};
use crate::link::ladder::Arbiter;
use crate::link::status::{ActiveProfile, LinkStatus};
use crate::link::words::{LinkConfig, Login, Path as DataPath, Profile};
use crate::modem::driver::OpenOptions;
use crate::modem::port::{self, Access};
use crate::modem::proxy::Proxy;
use crate::modem::sysfs::Slot;
use crate::net::probe::{Prober, StandIn};
use crate::net::{DNS_FILE, DeviceStatus, Network};

/// How often the configuration file is looked at.
const CONFIG_LOOK: Duration = Duration::from_secs(5);
/// How long a configuration must be in force before an exchange with central speaks for it: links that are dialled again
/// are down by then.
const PROOF_DELAY: Duration = Duration::from_secs(5);
/// How long stopping the tasks may take.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of spooled events read to answer `show events`.
pub(super) const EVENTS_BYTES: usize = 8 * 1024 * 1024;

/// Where the agent finds things.
#[derive(Clone)]
pub struct Options {
    /// Its configuration.
    pub config: PathBuf,
    /// The machine's devices.
    pub roots: Roots,
    /// Which network.
    pub ground: Ground,
}

/// What becomes of addresses, routes and probes.
#[derive(Clone)]
pub enum Ground {
    /// This machine's kernel.
    Kernel,
    /// They are worked out and told, and nothing is touched.
    Paper,
    /// As [`Ground::Paper`], and this answers the probes.
    Simulated(StandIn),
}

/// Runs the agent until `stop` turns true.
///
/// # Errors
/// When the configuration is not valid, or spool or socket are in use.
pub async fn run(options: Options, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let file = ConfigFile::new(&options.config);
    let settled = file.settle(&boot_time()?, false);
    let config = read(&file)?;
    let server = Server::bind(&config.agent.socket)?;
    let stamper = Stamper::new(boot_id(), config.privacy.clone());
    let (journal, writer) =
        Journal::start(&config.spool.dir, config.router.name.clone(), config.spool.max_size_bytes, stamper)?;
    let mut agent = Agent::new(options, file, config, journal);
    if let Ok(settled) = settled {
        agent.tell_settled(settled).await;
    }
    let result = agent.work(server, stop).await;
    agent.stop(if result.is_ok() { "signal" } else { "fault" }).await;
    drop(agent);
    let _ = timeout(STOP_DEADLINE, tokio::task::spawn_blocking(move || writer.join())).await;
    result
}

fn read(file: &ConfigFile) -> anyhow::Result<Config> {
    let name = file.path().display().to_string();
    let text = file
        .read()?
        .with_context(|| format!("{name}: there is no such file; write one, or name it with --config"))?;
    let checked = Config::parse(&text, &name).map_err(|error| anyhow::anyhow!("{error}"))?;
    for warning in &checked.warnings {
        tracing::warn!("{warning}");
    }
    Ok(checked.config)
}

/// How control ports are opened: through a proxy that is there, else shared by one of our own. The machine's proxy is
/// for the machine's own modems, not for simulated ones.
fn opening(through_proxy: bool, roots: &Roots) -> OpenOptions {
    let direct = OpenOptions { access: Access::Direct, ..OpenOptions::default() };
    if !through_proxy {
        return direct;
    }
    if port::has_proxy() {
        return if roots.is_machine() { OpenOptions::default() } else { direct };
    }
    match Proxy::listen() {
        Ok(proxy) => OpenOptions { proxy: Some(Arc::new(proxy)), ..direct },
        Err(error) => {
            tracing::warn!(%error, "qmicli -p will not work beside this agent");
            direct
        }
    }
}

/// A running link, as seen from here.
struct Running {
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<LinkStatus>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

struct Agent {
    options: Options,
    file: ConfigFile,
    config: Config,
    journal: Journal,
    links: BTreeMap<String, Running>,
    /// Links that cannot be started, for a file that they need cannot be read. The others have no part in it.
    held: BTreeMap<String, LinkStatus>,
    news: watch::Sender<link::AllNews>,
    wishes: watch::Sender<Wishes>,
    slots: watch::Sender<Vec<Slot>>,
    arbiter: Arc<Mutex<Arbiter>>,
    /// What the ids of this run begin with.
    correlation_prefix: String,
    correlations: Arc<Correlations>,
    opening: OpenOptions,
    carrying: watch::Sender<Vec<String>>,
    working: watch::Sender<Vec<String>>,
    in_force: watch::Sender<Arc<Config>>,
    view: watch::Receiver<View>,
    uplinks: Option<(watch::Sender<bool>, JoinHandle<()>)>,
    upload: Option<(watch::Sender<bool>, JoinHandle<()>)>,
    progress: watch::Receiver<upload::Progress>,
    sampled: (Instant, Footprint, (u64, u64)),
    /// Since when this configuration is in force.
    in_force_since: Instant,
    /// An exchange with central that began after this proves that it is reached with this configuration. Absent until a
    /// confirmed commit asks for the proof.
    proof_since: Option<Instant>,
}

impl Agent {
    fn new(options: Options, file: ConfigFile, config: Config, journal: Journal) -> Self {
        let boot = boot_id();
        let (boot, started) = (boot.get(..8).unwrap_or(&boot), Utc::now().timestamp());
        let correlation_prefix = format!("{}-{boot}-{started:x}", config.router.name);
        Self {
            correlations: Arc::new(Correlations::new(correlation_prefix.clone())),
            correlation_prefix,
            opening: opening(config.agent.qmi_proxy, &options.roots),
            options,
            file,
            in_force: watch::Sender::new(Arc::new(config.clone())),
            config,
            journal,
            links: BTreeMap::new(),
            held: BTreeMap::new(),
            news: watch::Sender::default(),
            wishes: watch::Sender::default(),
            slots: watch::Sender::new(Vec::new()),
            arbiter: Arc::default(),
            carrying: watch::Sender::default(),
            working: watch::Sender::default(),
            view: watch::channel(View::default()).1,
            uplinks: None,
            upload: None,
            progress: watch::channel(upload::Progress::default()).1,
            sampled: (Instant::now(), Footprint::read(), (0, 0)),
            in_force_since: Instant::now(),
            proof_since: None,
        }
    }

    async fn work(&mut self, server: Server, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let clean_shutdown = self.journal.recall("clean-shutdown").await.map(|clean| clean == "true");
        let _ = self.journal.remember("clean-shutdown", "false".into()).await;
        let cause = match clean_shutdown {
            None => "boot",
            Some(true) => "restart",
            Some(false) => "crash",
        };
        self.emit(AgentStarted {
            version: env!("CARGO_PKG_VERSION").into(),
            build: option_env!("TANDEM_BUILD").map(str::to_owned),
            cause: cause.into(),
            config_hash: self.config.hash(),
            clean_shutdown,
            labels: self.config.router.labels.clone(),
        })
        .await;
        let (commands, mut asked) = mpsc::channel::<Command>(COMMANDS_MAX);
        let serving = tokio::spawn(server.serve(commands));
        let watching = tokio::spawn(slots::watch(self.options.roots.clone(), self.slots.clone()));
        self.start_uplinks()?;
        for device in self.config.lte_interfaces().cloned().collect::<Vec<_>>() {
            self.try_link(&device).await;
        }
        self.start_upload();
        let mut config_tick = ticks(CONFIG_LOOK);
        let mut agent_interval = self.config.sample.agent_interval;
        let mut agent_beat = beats(agent_interval);
        let (mut taken_over, mut refused) = (self.file.stamp(), None);
        loop {
            if agent_interval != self.config.sample.agent_interval {
                agent_interval = self.config.sample.agent_interval;
                agent_beat = beats(agent_interval);
            }
            tokio::select! {
                () = stopped(&mut stop) => break,
                Some(command) = asked.recv() => self.serve(command).await,
                _ = config_tick.tick() => {
                    let now = self.file.stamp();
                    if now != taken_over {
                        // What is refused is tried again at each look: a file that it names may come.
                        let why = self.reload(None).await.err().map(|error| format!("{error:#}"));
                        match &why {
                            None => taken_over = now,
                            Some(why) if refused.as_ref() != Some(why) => {
                                tracing::error!("configuration not taken over, the one before stays: {why}");
                            }
                            Some(_) => {}
                        }
                        refused = why;
                    }
                    self.settle().await;
                    self.try_held().await;
                }
                _ = agent_beat.tick() => self.sample().await,
            }
        }
        serving.abort();
        watching.abort();
        Ok(())
    }

    async fn emit(&self, body: impl Into<Body>) {
        self.journal.emit(Emission { subject: None, time: None, body: body.into() }).await;
    }

    /// Starts a link. Where its part cannot be made, that link is stopped, with the reason told.
    async fn try_link(&mut self, device: &DeviceInterface) {
        match part(&self.config, device) {
            Ok(part) => self.start_link(part).await,
            Err(error) => self.hold(device, format!("{error:#}")).await,
        }
    }

    /// What was missing may have come.
    async fn try_held(&mut self) {
        let is_held = |device: &&DeviceInterface| self.held.contains_key(&device.name);
        for device in self.config.lte_interfaces().filter(is_held).cloned().collect::<Vec<_>>() {
            self.try_link(&device).await;
        }
    }

    async fn hold(&mut self, device: &DeviceInterface, cause: String) {
        let before = self.held.get(&device.name);
        if before.is_some_and(|status| status.state_cause == cause) {
            return;
        }
        tracing::error!(link = device.name, "stopped: {cause}");
        let from = before.map_or(LinkState::Absent, |status| status.state);
        let to = LinkState::Stopped;
        self.held.insert(
            device.name.clone(),
            LinkStatus { state: to, state_cause: cause.clone(), ..first_status(device) },
        );
        let correlation_id = self.tell_moved(&device.name, from, to, &cause).await;
        let path = DataPath::Unknown;
        let at = Instant::now().into_std();
        let news =
            News { path, state: to, cause, at, correlation_id: Some(correlation_id), statistics: None };
        self.news.send_modify(|all| drop(all.insert(device.name.clone(), news)));
    }

    /// Tells of a link that has no task. Returns the id of it.
    async fn tell_moved(&self, name: &str, from: LinkState, to: LinkState, cause: &str) -> String {
        let correlation_id = self.correlations.next(name);
        let changed = LinkChanged {
            from,
            to,
            cause: cause.to_owned(),
            settings: None,
            adopted: None,
            apn: None,
            correlation_id: Some(correlation_id.clone()),
        };
        let subject = Some(name.to_owned());
        self.journal.emit(Emission { subject, time: None, body: changed.into() }).await;
        correlation_id
    }

    async fn start_link(&mut self, part: Part) {
        let name = part.config.name.clone();
        if let Some(held) = self.held.remove(&name) {
            self.tell_moved(&name, held.state, LinkState::Absent, "what was missing is there").await;
        }
        let (orders, order_queue) = mpsc::channel(ORDERS_MAX);
        let (status, status_seen) = watch::channel(part.status.clone());
        let (stop, stopped) = watch::channel(false);
        let setup = Setup {
            part,
            opening: self.opening.clone(),
            sysfs: self.options.roots.sys.clone(),
            state_dir: self.config.agent.state_dir.clone(),
            journal: self.journal.clone(),
            arbiter: self.arbiter.clone(),
            working: self.working.subscribe(),
            news: self.news.clone(),
            wishes: self.wishes.subscribe(),
            view: self.view.clone(),
            correlations: self.correlations.clone(),
        };
        let task = tokio::spawn(link::run(setup, self.slots.subscribe(), order_queue, status, stopped));
        self.links.insert(name, Running { orders, status: status_seen, stop, task });
    }

    fn start_upload(&mut self) {
        let options = self.config.upload.clone();
        if options.to.is_none() {
            return;
        }
        let (progress, seen) = watch::channel(upload::Progress::default());
        let (stop, stopped) = watch::channel(false);
        let journal = self.journal.clone();
        let deadlines = upload::Deadlines::default();
        let task = tokio::spawn(upload::run(options, deadlines, journal, progress, stopped));
        self.progress = seen;
        self.upload = Some((stop, task));
    }

    fn start_uplinks(&mut self) -> anyhow::Result<()> {
        let (network, monitor) = match &self.options.ground {
            Ground::Kernel => {
                Network::kernel(Path::new(DNS_FILE)).context("the kernel's routes cannot be reached")?
            }
            Ground::Paper | Ground::Simulated(_) => Network::recorder(),
        };
        let prober = match &self.options.ground {
            Ground::Simulated(stand_in) => Prober::simulated(stand_in.clone()),
            Ground::Kernel | Ground::Paper => Prober::default(),
        };
        let (view, seen) = watch::channel(View::default());
        let (stop, stopped) = watch::channel(false);
        let setup = uplinks::Setup {
            config: self.in_force.subscribe(),
            network,
            monitor,
            prober: Arc::new(prober),
            news: self.news.subscribe(),
            wishes: self.wishes.clone(),
            carrying: self.carrying.clone(),
            working: self.working.clone(),
            view,
            journal: self.journal.clone(),
            correlation_prefix: self.correlation_prefix.clone(),
            correlations: self.correlations.clone(),
        };
        self.view = seen;
        self.uplinks = Some((stop, tokio::spawn(uplinks::run(setup, stopped))));
        Ok(())
    }

    async fn sample(&mut self) {
        let (since, before, octets) = self.sampled;
        let (now, footprint) = (Instant::now(), Footprint::read());
        let Ok(depth) = self.journal.depth().await else { return };
        let usage = self.progress.borrow().usage.clone();
        self.sampled = (now, footprint, (usage.sent_bytes, usage.received_bytes));
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let lag = depth.oldest.map_or(0, |oldest| (Utc::now() - oldest).num_milliseconds().max(0));
        self.emit(AgentSampled {
            interval_ms: u32::try_from(ms(now - since)).unwrap_or(u32::MAX),
            memory_bytes: footprint.memory_bytes,
            cpu_ms: ms(footprint.cpu.saturating_sub(before.cpu)),
            spool_events: depth.status_events + depth.sample_events + depth.waiting_events,
            spool_bytes: depth.bytes,
            upload_lag_ms: lag.unsigned_abs(),
            sent_bytes: usage.sent_bytes.saturating_sub(octets.0),
            received_bytes: usage.received_bytes.saturating_sub(octets.1),
        })
        .await;
    }

    /// Takes over the configuration on disk. Links whose part did not change are not touched.
    async fn reload(&mut self, by: Option<String>) -> anyhow::Result<()> {
        let name = self.file.path().display().to_string();
        let text = self.file.read()?.with_context(|| format!("{name} is gone"))?;
        let checked = Config::parse(&text, &name).map_err(|error| anyhow::anyhow!("{error}"))?;
        let changes = crate::config::diff(&self.config, &checked.config);
        if changes.is_empty() {
            return Ok(());
        }
        // Every part is made before any is put in force, so that a fault leaves all as it was.
        let mut parts = Vec::new();
        // What all links have in common goes to all of them; it leaves the sessions alone.
        let common = ["retry", "recovery", "sample", "serial", "upload"]
            .iter()
            .any(|section| changes.section(section));
        // One that is held and has no part in the change stays held.
        let untouched = changes.untouched.iter().filter(|name| common && !self.held.contains_key(*name));
        let touched = [&changes.added, &changes.redialled, &changes.adjusted].into_iter().flatten();
        let names: Vec<_> = touched.chain(untouched).collect();
        for device in checked.config.lte_interfaces().filter(|device| names.contains(&&device.name)) {
            parts.push(part(&checked.config, device)?);
        }
        self.config = checked.config;
        (self.in_force_since, self.proof_since) = (Instant::now(), None);
        self.in_force.send_replace(Arc::new(self.config.clone()));
        self.journal.set_privacy(self.config.privacy.clone()).await;
        for name in &changes.removed {
            self.held.remove(name);
            if let Some(link) = self.links.remove(name) {
                end(link).await;
            }
            self.news.send_modify(|news| {
                news.remove(name);
            });
            // Whatever it was at, the others wait for it no longer.
            self.arbiter.lock().expect("no task panics with the lock").over(name);
        }
        for part in parts {
            match self.links.get(&part.config.name) {
                Some(link) => {
                    let _ = link.orders.send(Order::Config(Box::new(part))).await;
                }
                None => self.start_link(part).await,
            }
        }
        if changes.section("upload") {
            self.stop_upload().await;
            self.start_upload();
        }
        let warnings = changes.warnings().iter().chain(&checked.warnings).map(ToString::to_string).collect();
        let confirm_by = self.file.pending().ok().flatten().and_then(|pending| {
            match pending.decide(&boot_time().ok()?, false) {
                crate::config::pending::Decision::Wait(left) => Some(Utc::now() + left),
                _ => None,
            }
        });
        self.emit(ConfigCommitted {
            hash: self.config.hash(),
            warnings,
            by,
            confirm_by,
            labels: self.config.router.labels.clone(),
        })
        .await;
        Ok(())
    }

    async fn settle(&mut self) {
        self.ask_for_proof().await;
        let reached = self.config.upload.to.is_none() || {
            let reached_since = self.progress.borrow().reached_since;
            self.proof_since.is_some_and(|proof| reached_since.is_some_and(|since| since >= proof))
        };
        let Ok(now) = boot_time() else { return };
        match self.file.settle(&now, reached) {
            Ok(settled @ Settled::RolledBack { .. }) => {
                if let Err(error) = self.reload(None).await {
                    tracing::error!("configuration rolled back on disk but not taken over: {error:#}");
                }
                self.tell_settled(settled).await;
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "a waiting commit could not be settled"),
        }
    }

    /// Once an operator has confirmed a commit, tells central, at once, as status events are: its answer is the proof that it
    /// is reached with this configuration too. What it answered before says nothing of that.
    async fn ask_for_proof(&mut self) {
        let is_confirmed = || self.file.pending().ok().flatten().is_some_and(|pending| pending.confirmed);
        if self.proof_since.is_some() || self.in_force_since.elapsed() < PROOF_DELAY || !is_confirmed() {
            return;
        }
        self.proof_since = Some(Instant::now());
        self.emit(ConfigCommitted {
            hash: self.config.hash(),
            warnings: Vec::new(),
            by: None,
            confirm_by: None,
            labels: self.config.router.labels.clone(),
        })
        .await;
    }

    async fn tell_settled(&self, settled: Settled) {
        let Settled::RolledBack { cause, given_up, .. } = settled else { return };
        let from_hash =
            Config::parse(&given_up, "given up").map_or_else(|_| String::new(), |c| c.config.hash());
        self.emit(ConfigRolledBack { from_hash, hash: self.config.hash(), cause: cause.as_str().into() })
            .await;
    }

    /// What is asked of a modem is answered by its link, for it takes as long as the modem does.
    async fn serve(&mut self, command: Command) {
        let (name, ask) = match command.request {
            Request::State { name } => (name, Ask::Look(Look::State)),
            Request::Info { name } => (name, Ask::Look(Look::Info)),
            Request::Images { name } => (name, Ask::Look(Look::Images)),
            Request::SetImage { name, carrier, force } => (name, Ask::SetImage { carrier, forced: force }),
            request => {
                let answer = self.answer(request).await;
                let _ = command.answer.send(answer);
                return;
            }
        };
        let Some(link) = self.links.values().find(|link| link.status.borrow().is_called(&name)) else {
            let _ = command.answer.send(Err(self.unknown(&name)));
            return;
        };
        if let Err(refused) = link.orders.try_send(Order::Ask(ask, command.answer))
            && let Order::Ask(_, answer) = refused.into_inner()
        {
            let _ = answer.send(Err("the link has too many orders already".into()));
        }
    }

    async fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Links { name } => self.link_answer(name.as_deref()),
            Request::State { .. }
            | Request::Info { .. }
            | Request::Images { .. }
            | Request::SetImage { .. } => Err("that is the link's to answer".into()),
            Request::Uplinks => {
                let view = self.view.borrow().clone();
                Ok(json!({
                    "policy": self.config.failover.policy,
                    "carrying": *self.carrying.borrow(),
                    "selected": view.selected,
                    "choice": view.overview,
                    "problems": view.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "uplinks": self.statuses(),
                }))
            }
            Request::Events { limit } => self.events(limit).await,
            Request::Config => Ok(Value::String(self.config.to_marked_toml())),
            Request::Retry { name } if self.held.contains_key(&name) => {
                self.try_held().await;
                if self.held.contains_key(&name) { Err(self.unknown(&name)) } else { Ok("trying now".into()) }
            }
            Request::Retry { name } => self.order(&name, Order::Retry, "trying now").await,
            Request::Reset { name, at, force } => {
                let rung = if at { Rung::AtReset } else { Rung::QmiReset };
                self.order(&name, Order::Reset { rung, forced: force }, "reset asked for").await
            }
            Request::Reload { by } => match self.reload(by).await {
                Ok(()) => Ok("configuration in force".into()),
                Err(error) => Err(format!("{error:#}")),
            },
            Request::AtExecuted(executed) => {
                let has_port = |status: &LinkStatus| {
                    let modem = status.modem.as_ref();
                    modem.is_some_and(|modem| modem.at_port.as_deref() == Some(&*executed.port))
                };
                let subject = self.link_that(has_port);
                self.journal.emit(Emission { subject, time: None, body: executed.into() }).await;
                Ok(Value::Null)
            }
            Request::ImageChanged { name, change } => {
                let subject = self.link_that(|status| status.is_called(&name)).or(Some(name));
                self.journal.emit(Emission { subject, time: None, body: change.into() }).await;
                Ok(Value::Null)
            }
        }
    }

    /// Every uplink in the order of the configuration, as its own task and the choice of uplinks know it.
    fn statuses(&self) -> Vec<LinkStatus> {
        let (carrying, view) = (self.carrying.borrow(), self.view.borrow());
        let of = |device: &DeviceInterface| {
            let mut status = match (self.links.get(&device.name), view.wired.get(&device.name)) {
                (Some(link), _) => link.status.borrow().clone(),
                (None, Some(wired)) => LinkStatus {
                    state: wired.state,
                    state_since: wired.since,
                    state_cause: wired.cause.clone(),
                    settings: wired.settings.clone(),
                    ..first_status(device)
                },
                (None, None) => self.held.get(&device.name).cloned().unwrap_or_else(|| first_status(device)),
            };
            status.carrying = carrying.contains(&device.name);
            if let Some(interface) = view.devices.get(&device.name) {
                with_interface(&mut status, interface);
            }
            let reports = view.overview.iter().flat_map(|overview| &overview.uplinks);
            status.probe = reports.into_iter().find(|report| report.name == device.name).map(|r| r.probe);
            status.cycle_used_bytes = view.cycle_used_bytes.get(&device.name).copied();
            status
        };
        self.config.device_interfaces.iter().map(of).collect()
    }

    fn link_that(&self, is_it: impl Fn(&LinkStatus) -> bool) -> Option<String> {
        let found = self.links.iter().find(|(_, link)| is_it(&link.status.borrow()));
        found.map(|(name, _)| name.clone())
    }

    fn link_answer(&self, name: Option<&str>) -> Answer {
        let mut statuses = self.statuses();
        if let Some(name) = name {
            statuses.retain(|status| status.is_called(name));
            if statuses.is_empty() {
                return Err(self.unknown(name));
            }
        }
        serde_json::to_value(statuses).map_err(|error| error.to_string())
    }

    /// Why no link of that name can be asked.
    fn unknown(&self, name: &str) -> String {
        if let Some(held) = self.held.values().find(|status| status.is_called(name)) {
            return format!("{} is stopped: {}", held.name, held.state_cause);
        }
        no_lte_interface(&self.config, name)
    }

    async fn order(&self, name: &str, order: Order, done: &str) -> Answer {
        let link = self.links.get(name).ok_or_else(|| self.unknown(name))?;
        link.orders.send(order).await.map_err(|_| "the link has stopped".to_owned())?;
        Ok(done.into())
    }

    /// The newest events, newest first: those that still lie in the spool, then those that central has already.
    async fn events(&self, limit: u32) -> Answer {
        let events = self.journal.newest(limit, EVENTS_BYTES).await.map_err(|error| error.to_string())?;
        let values: Result<Vec<Value>, _> =
            events.iter().map(|json| serde_json::from_str(json.get())).collect();
        values.map(Value::Array).map_err(|error| error.to_string())
    }

    async fn stop_upload(&mut self) {
        if let Some((stop, task)) = self.upload.take() {
            stop.send_replace(true);
            let _ = timeout(STOP_DEADLINE, task).await;
        }
    }

    /// Ends the links, which leave their sessions up, then tells that it stops and sends what is left.
    async fn stop(&mut self, cause: &str) {
        for (_, link) in std::mem::take(&mut self.links) {
            end(link).await;
        }
        if let Some((stop, task)) = self.uplinks.take() {
            stop.send_replace(true);
            if timeout(STOP_DEADLINE, task).await.is_err() {
                tracing::error!("routes are not handed over in time; `tandem handover` does it");
            }
        }
        let stopping = AgentStopping {
            version: env!("CARGO_PKG_VERSION").into(),
            cause: cause.into(),
            config_hash: self.config.hash(),
        };
        let emission = Emission { subject: None, time: None, body: stopping.into() };
        let _ = timeout(STOP_DEADLINE, self.journal.emit_durably(emission)).await;
        let _ = timeout(STOP_DEADLINE, self.journal.remember("clean-shutdown", "true".into())).await;
        self.stop_upload().await;
    }
}

async fn end(link: Running) {
    link.stop.send_replace(true);
    let mut task = link.task;
    if timeout(STOP_DEADLINE, &mut task).await.is_err() {
        task.abort();
    }
}

/// All of a link's part in `config`.
fn part(config: &Config, device: &DeviceInterface) -> anyhow::Result<Part> {
    Ok(Part {
        status: first_status(device),
        config: link_config(config, device)?,
        place: Place::of(device),
        serial: config.serial.clone(),
        sample: config.sample.clone(),
        batch_interval: config.upload.batch_interval,
    })
}

/// What a link must know, secrets read from their files.
fn link_config(config: &Config, device: &DeviceInterface) -> anyhow::Result<LinkConfig> {
    let lte = device.lte.as_ref().with_context(|| format!("{} has no lte part", device.name))?;
    let authentication = match &lte.authentication {
        None => None,
        Some(login) => Some(Login {
            user_name: login.user_name.clone(),
            password: secret(login.password.as_ref(), login.password_file.as_deref())?
                .unwrap_or_else(|| Secret::new("")),
            protocol: login.authentication_protocol,
        }),
    };
    Ok(LinkConfig {
        name: device.name.clone(),
        profile: Profile { apn_name: lte.apn_name.clone(), index: lte.profile, authentication },
        families: families(device),
        pin: secret(lte.pin.as_ref(), lte.pin_file.as_deref())?,
        imei: device.imei.clone(),
        iccid: device.iccid.clone(),
        retry: config.retry.clone(),
        recovery: config.recovery.clone(),
    })
}

fn families(device: &DeviceInterface) -> Vec<IpFamily> {
    let dhcp = device.network_interface().map(|network| network.dhcp).unwrap_or_default();
    let mut families = Vec::new();
    if dhcp.wants_ipv4() {
        families.push(IpFamily::Ipv4);
    }
    if dhcp.wants_ipv6() {
        families.push(IpFamily::Ipv6);
    }
    families
}

fn secret(inline: Option<&Secret>, file: Option<&Path>) -> anyhow::Result<Option<Secret>> {
    match (inline, file) {
        (Some(secret), _) => Ok(Some(secret.clone())),
        (None, Some(path)) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(Some(Secret::new(text.trim_end())))
        }
        (None, None) => Ok(None),
    }
}

/// What to say where there is none of that name.
pub(super) fn no_lte_interface(config: &Config, name: &str) -> String {
    let known: Vec<&str> = config.lte_interfaces().map(|device| device.name.as_str()).collect();
    format!("there is no LTE device-interface {name}; there are: {}", known.join(", "))
}

/// As far as the configuration tells it.
pub(super) fn first_status(device: &DeviceInterface) -> LinkStatus {
    let lte = device.lte.as_ref();
    let auth = match lte.and_then(|lte| lte.authentication.as_ref()) {
        None => "none".to_owned(),
        Some(login) => {
            let text = serde_json::to_value(login.authentication_protocol).unwrap_or_default();
            text.as_str().unwrap_or("none").to_owned()
        }
    };
    LinkStatus {
        name: device.name.clone(),
        r#type: match device.kind {
            InterfaceType::Lte => "lte",
            InterfaceType::Ethernet => "ethernet",
        }
        .into(),
        target_interface: device.target_interface.clone(),
        network_interface: device.network_interface().map(|network| network.name.clone()),
        state: LinkState::Absent,
        state_since: Utc::now(),
        state_cause: "starting".into(),
        mac_address: None,
        admin_up: None,
        speed_bps: None,
        counters: None,
        profile: ActiveProfile {
            apn: lte.map(|lte| lte.apn_name.clone()).unwrap_or_default(),
            auth,
            families: lte.map(|_| families(device)).unwrap_or_default(),
        },
        adopted: false,
        settings: None,
        failure: None,
        passing_failure: None,
        last_failure_time: None,
        next_retry_time: None,
        packet_statistics: None,
        modem: None,
        sim: None,
        registration: None,
        signal: None,
        carrying: false,
        priority: device.priority(),
        weight: device.weight,
        probe: None,
        cycle_used_bytes: None,
    }
}

/// What the kernel says of its interface.
pub(super) fn with_interface(status: &mut LinkStatus, interface: &DeviceStatus) {
    status.mac_address.clone_from(&interface.mac_address);
    status.speed_bps = interface.speed_bps;
    status.admin_up = Some(interface.admin_up);
    status.counters = Some(interface.counters);
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
