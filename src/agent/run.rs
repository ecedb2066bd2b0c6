//! Starts the tasks of the agent, tells them of a changed configuration, answers the local socket, and stops
//! them in order.
//!
//! Routes are not set by this build: links, events and answers are complete, the network interfaces are
//! left to the host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::Emission;
use super::config_file::{ConfigFile, Settled, boot_time};
use super::emit::{Stamper, boot_id};
use super::footprint::Footprint;
use super::journal::Journal;
use super::link::{self, ORDERS_MAX, Order, Setup};
use super::slots::{self, Roots};
use super::socket::{Answer, COMMANDS_MAX, Command, Request, Server};
use super::upload;
use crate::config::{Config, DeviceInterface, InterfaceType, Secret};
use crate::event::{
    AgentSampled, AgentStarted, AgentStopping, Body, ConfigCommitted, ConfigRolledBack, IpFamily, LinkState,
    Rung,
};
use crate::link::failover::{self, Uplink};
use crate::link::ladder::Arbiter;
use crate::link::status::{ActiveProfile, LinkStatus};
use crate::link::words::{LinkConfig, Login, Profile};
use crate::modem::sysfs::Slot;

/// How often the configuration file is looked at.
const CONFIG_LOOK: Duration = Duration::from_secs(5);
/// How long stopping the tasks may take.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of spooled events read to answer `show events`.
const EVENTS_BYTES: usize = 8 * 1024 * 1024;

/// Where the agent finds things.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its configuration.
    pub config: PathBuf,
    /// The machine's devices.
    pub roots: Roots,
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
    slots: watch::Sender<Vec<Slot>>,
    changed: watch::Sender<u64>,
    arbiter: Arc<Mutex<Arbiter>>,
    carrying: watch::Sender<Vec<String>>,
    selections: u64,
    selected: Option<Value>,
    upload: Option<(watch::Sender<bool>, JoinHandle<()>)>,
    progress: watch::Receiver<upload::Progress>,
    sampled: (Instant, Footprint, (u64, u64)),
}

impl Agent {
    fn new(options: Options, file: ConfigFile, config: Config, journal: Journal) -> Self {
        Self {
            options,
            file,
            config,
            journal,
            links: BTreeMap::new(),
            slots: watch::Sender::new(Vec::new()),
            changed: watch::Sender::new(0),
            arbiter: Arc::default(),
            carrying: watch::Sender::new(Vec::new()),
            selections: 0,
            selected: None,
            upload: None,
            progress: watch::channel(upload::Progress::default()).1,
            sampled: (Instant::now(), Footprint::read(), (0, 0)),
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
            build: None,
            cause: cause.into(),
            config_hash: self.config.hash(),
            clean_shutdown,
            labels: self.config.router.labels.clone(),
        })
        .await;
        let (commands, mut asked) = mpsc::channel::<Command>(COMMANDS_MAX);
        let serving = tokio::spawn(server.serve(commands));
        let watching = tokio::spawn(slots::watch(self.options.roots.clone(), self.slots.clone()));
        for device in self.config.device_interfaces.clone() {
            self.start_link(&device)?;
        }
        self.start_upload();
        let mut changed = self.changed.subscribe();
        let mut config_tick = ticks(CONFIG_LOOK);
        let mut agent_tick = ticks(self.config.sample.agent_interval);
        agent_tick.tick().await;
        let mut stamp = self.file.stamp();
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                Ok(()) = changed.changed() => self.select().await,
                Some(command) = asked.recv() => {
                    let answer = self.answer(command.request).await;
                    let _ = command.answer.send(answer);
                    stamp = self.file.stamp();
                }
                _ = config_tick.tick() => {
                    let now = self.file.stamp();
                    if now != stamp {
                        stamp = now;
                        if let Err(error) = self.reload(None).await {
                            tracing::error!("configuration not taken over, the one before stays: {error}");
                        }
                    }
                    self.settle().await;
                }
                _ = agent_tick.tick() => self.sample().await,
            }
        }
        serving.abort();
        watching.abort();
        Ok(())
    }

    async fn emit(&self, body: impl Into<Body>) {
        self.journal.emit(Emission { subject: None, time: None, body: body.into() }).await;
    }

    fn start_link(&mut self, device: &DeviceInterface) -> anyhow::Result<()> {
        if device.kind != InterfaceType::Lte {
            return Ok(());
        }
        let config = link_config(&self.config, device)?;
        let fixed_slot = device.control_port.as_ref().map(|control| {
            Slot::by_path(&device.target_interface, control, device.usb_port.iter().cloned().collect())
        });
        let (orders, order_queue) = mpsc::channel(ORDERS_MAX);
        let (status, status_seen) = watch::channel(first_status(device, &config));
        let (stop, stopped) = watch::channel(false);
        let setup = Setup {
            config,
            status: status_seen.borrow().clone(),
            fixed_slot,
            sysfs: self.options.roots.sys.clone(),
            state_dir: self.config.agent.state_dir.clone(),
            sample: self.config.sample.clone(),
            batch_interval: self.config.upload.batch_interval,
            journal: self.journal.clone(),
            arbiter: self.arbiter.clone(),
            working: self.carrying.subscribe(),
        };
        let task = tokio::spawn(link::run(setup, self.slots.subscribe(), order_queue, status, stopped));
        let (mut seen, changed) = (status_seen.clone(), self.changed.clone());
        tokio::spawn(async move {
            while seen.changed().await.is_ok() {
                seen.borrow_and_update();
                changed.send_modify(|count| *count += 1);
            }
        });
        self.links.insert(device.name.clone(), Running { orders, status: status_seen, stop, task });
        Ok(())
    }

    fn start_upload(&mut self) {
        let options = self.config.upload.clone();
        if options.to.is_none() {
            return;
        }
        let (progress, seen) = watch::channel(upload::Progress::default());
        let (stop, stopped) = watch::channel(false);
        let journal = self.journal.clone();
        let task = tokio::spawn(async move {
            if let Err(error) =
                upload::run(&options, upload::Deadlines::default(), journal, progress, stopped).await
            {
                tracing::error!("events stay in the spool: {error:#}");
            }
        });
        self.progress = seen;
        self.upload = Some((stop, task));
    }

    /// Chooses the uplinks anew and tells when they changed.
    async fn select(&mut self) {
        let uplinks: Vec<Uplink> = self
            .links
            .iter()
            .map(|(name, link)| {
                let status = link.status.borrow();
                Uplink {
                    name: name.clone(),
                    state: status.state,
                    cause: status.state_cause.clone(),
                    priority: status.priority,
                }
            })
            .collect();
        let now = failover::carrying(self.config.failover.policy, &uplinks);
        let before = self.carrying.borrow().clone();
        let id = format!("{}-{}", self.config.router.name, self.selections + 1);
        let Some(selected) = failover::selected(&before, &now, &uplinks, id) else { return };
        self.selections += 1;
        self.carrying.send_replace(now);
        self.selected = serde_json::to_value(&selected).ok();
        self.emit(selected).await;
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
        let mut orders = Vec::new();
        for name in changes.redialled.iter().chain(&changes.adjusted) {
            if let Some(device) =
                checked.config.device_interface(name).filter(|d| d.kind == InterfaceType::Lte)
            {
                orders.push((name.clone(), link_config(&checked.config, device)?));
            }
        }
        self.config = checked.config;
        self.journal.set_privacy(self.config.privacy.clone()).await;
        for name in &changes.removed {
            if let Some(link) = self.links.remove(name) {
                end(link).await;
            }
        }
        for (name, config) in orders {
            if let Some(link) = self.links.get(&name) {
                let _ = link.orders.send(Order::Config(Box::new(config))).await;
            }
        }
        for name in &changes.added {
            if let Some(device) = self.config.device_interface(name).cloned() {
                self.start_link(&device)?;
            }
        }
        if changes.section("upload") {
            self.stop_upload().await;
            self.start_upload();
        }
        let warnings = checked.warnings.iter().map(ToString::to_string).collect();
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
        self.select().await;
        Ok(())
    }

    async fn settle(&mut self) {
        let reached = self.config.upload.to.is_none() || self.progress.borrow().acknowledged_at.is_some();
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

    async fn tell_settled(&self, settled: Settled) {
        let Settled::RolledBack { cause, given_up, .. } = settled else { return };
        let from_hash =
            Config::parse(&given_up, "given up").map_or_else(|_| String::new(), |c| c.config.hash());
        self.emit(ConfigRolledBack { from_hash, hash: self.config.hash(), cause: cause.as_str().into() })
            .await;
    }

    async fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Links { name } => self.link_answer(name.as_deref()),
            Request::Info { name } => self.link_answer(Some(&name)),
            Request::Uplinks => Ok(json!({
                "policy": self.config.failover.policy,
                "carrying": *self.carrying.borrow(),
                "selected": self.selected,
                "uplinks": self.statuses(),
            })),
            Request::Events { limit } => self.events(limit).await,
            Request::Config => Ok(Value::String(self.config.to_marked_toml())),
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
                self.emit(executed).await;
                Ok(Value::Null)
            }
            Request::ImageChanged { name, change } => {
                let body = Body::from(change);
                self.journal.emit(Emission { subject: Some(name), time: None, body }).await;
                Ok(Value::Null)
            }
        }
    }

    fn statuses(&self) -> Vec<LinkStatus> {
        let carrying = self.carrying.borrow();
        self.links
            .values()
            .map(|link| {
                let status = link.status.borrow().clone();
                LinkStatus { carrying: carrying.contains(&status.name), ..status }
            })
            .collect()
    }

    fn link_answer(&self, name: Option<&str>) -> Answer {
        let mut statuses = self.statuses();
        if let Some(name) = name {
            statuses.retain(|status| status.name == name || status.target_interface == name);
            if statuses.is_empty() {
                return Err(self.unknown(name));
            }
        }
        serde_json::to_value(statuses).map_err(|error| error.to_string())
    }

    fn unknown(&self, name: &str) -> String {
        let known: Vec<&str> = self.links.keys().map(String::as_str).collect();
        format!("there is no LTE device-interface {name}; there are: {}", known.join(", "))
    }

    async fn order(&self, name: &str, order: Order, done: &str) -> Answer {
        let link = self.links.get(name).ok_or_else(|| self.unknown(name))?;
        link.orders.send(order).await.map_err(|_| "the link has stopped".to_owned())?;
        Ok(done.into())
    }

    /// The newest events that still lie in the spool, newest first.
    async fn events(&self, limit: u32) -> Answer {
        let batch = self.journal.read(None, EVENTS_BYTES).await.map_err(|error| error.to_string())?;
        let events = batch.events.iter().rev().take(limit as usize);
        let values: Result<Vec<Value>, _> =
            events.map(|event| serde_json::from_str(event.json.get())).collect();
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

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period.max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
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

fn first_status(device: &DeviceInterface, config: &LinkConfig) -> LinkStatus {
    let auth = match &config.profile.authentication {
        None => "none".to_owned(),
        Some(login) => {
            let text = serde_json::to_value(login.protocol).unwrap_or_default();
            text.as_str().unwrap_or("none").to_owned()
        }
    };
    LinkStatus {
        name: device.name.clone(),
        r#type: "lte".into(),
        target_interface: device.target_interface.clone(),
        network_interface: device.network_interface().map(|network| network.name.clone()),
        state: LinkState::Absent,
        state_since: Utc::now(),
        state_cause: "looking for the modem".into(),
        mac_address: None,
        speed_bps: None,
        counters: None,
        profile: ActiveProfile {
            apn: config.profile.apn_name.clone(),
            auth,
            families: config.families.clone(),
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

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
