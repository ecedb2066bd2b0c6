//! The shell around the choice of uplinks: hears of links, circuits and probes, has the pure machine decide, moves
//! the routes and tells of it.
//!
//! ```text
//! links ── news ──▶┌─────────┐ ── wishes ──▶ links (data path dead or alive, standby)
//! kernel ─ hints ─▶│ uplinks │ ── apply ───▶ network: routes and rules, then NAT, flows, DNS
//! probes ─ fates ─▶└─────────┘ ── emit ────▶ journal: uplink.selected, route.changed, link.changed, probe.sampled
//! ```
//!
//! One task. It may be stopped at any time: the network half reads what is there before it changes anything. News
//! and wishes are states, not queues: the latest of each link counts and nothing can fill up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::Emission;
use super::correlation::{Cause, Correlations};
use super::journal::Journal;
use super::link::{AllNews, News};
use super::{beats, ticks};
use crate::config::{Config, DeviceInterface, InterfaceType};
use crate::event::{Body, IpSettings, LinkChanged, LinkState, ProbeSampled, RouteChanged, UplinkSelected};
use crate::link::failover::{Failover, Families, Input, Output, Overview, Selection, Settings};
use crate::link::quota::Usage;
use crate::link::words::Path;
use crate::net::index::Indexes;
use crate::net::probe::{ProbeError, Prober, Request};
use crate::net::{self, Applied, DeviceStatus, Hint, Monitor, Network, Problem, Wanted};

/// How often the counters of the interfaces are read.
const COUNTERS_INTERVAL: Duration = Duration::from_millis(500);
/// How often everything is compared with the kernel although nobody hinted at a change.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);
/// Shortest time between two comparisons on hints: a host that changes routes all day must not keep us busy.
const HINT_PAUSE: Duration = Duration::from_millis(200);
/// How often the use of data plans is put on disk; what a power cut may forget.
const USAGE_INTERVAL: Duration = Duration::from_secs(300);
/// How soon the kernel is asked again for what it has just refused.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// What the numbers of the interfaces are kept under over a restart.
const INDEXES_KEY: &str = "uplink-indexes";
/// A deadline for what has none.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// What the choice wants of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// What probes and counters say of its data path.
    pub verdict: Option<Verdict>,
    /// Whether it is to stay without a session.
    pub standby: bool,
    /// While the kernel says that its interface is gone: the id of that.
    pub gone: Option<String>,
}

/// What probes and counters say of a data path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// No two in a row have the same.
    pub number: u64,
    /// Whether the path answers.
    pub answers: bool,
    /// What it belongs to.
    pub correlation_id: String,
}

/// The wishes for every link, by name.
pub type Wishes = BTreeMap<String, Wish>;

/// What others may see of the uplinks.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// What the choice knows and decided.
    pub overview: Option<Overview>,
    /// The last selection, as it was told.
    pub selected: Option<UplinkSelected>,
    /// State of each wired circuit, by name.
    pub wired: BTreeMap<String, Wired>,
    /// State and counters of each interface, by device-interface.
    pub devices: BTreeMap<String, DeviceStatus>,
    /// Octets of this cycle, by device-interface, where there is a plan.
    pub cycle_used_bytes: BTreeMap<String, u64>,
    /// What the network half cannot do at the moment.
    pub problems: Vec<Problem>,
}

/// A wired circuit at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Wired {
    /// Its state, in the words of a link.
    pub state: LinkState,
    /// What brought it there.
    pub cause: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Id of the change that brought it there.
    pub correlation_id: String,
    /// When that was noticed.
    pub detected_at: Instant,
    /// Its layer 3, as the host has it.
    pub settings: Option<IpSettings>,
}

/// What the task is given.
pub struct Setup {
    /// The configuration in force; it changes.
    pub config: watch::Receiver<Arc<Config>>,
    /// The network of this machine, or a stand-in.
    pub network: Network,
    /// Its hints.
    pub monitor: Monitor,
    /// Sends the probes.
    pub prober: Arc<Prober>,
    /// What the links tell.
    pub news: watch::Receiver<AllNews>,
    /// What they are told.
    pub wishes: watch::Sender<Wishes>,
    /// Names of those that carry traffic.
    pub carrying: watch::Sender<Vec<String>>,
    /// Names of those that could.
    pub working: watch::Sender<Vec<String>>,
    /// What others may see.
    pub view: watch::Sender<View>,
    /// Where events go.
    pub journal: Journal,
    /// Begins the correlation ids that the machine gives.
    pub correlation_prefix: String,
    /// Ids for what is noticed here.
    pub correlations: Arc<Correlations>,
}

/// Runs until `stop` turns true, then gives the interfaces back to plain Linux.
pub async fn run(setup: Setup, mut stop: watch::Receiver<bool>) {
    let config = setup.config.borrow().clone();
    let settings = Settings::of(&config, setup.correlation_prefix.clone());
    let usage = recall(&setup.journal, &config).await;
    let indexes = setup.journal.recall(INDEXES_KEY).await.and_then(|kept| serde_json::from_str(&kept).ok());
    let mut uplinks = Uplinks {
        failover: Failover::new(settings, Instant::now()),
        probes: JoinSet::new(),
        config,
        setup,
        heard: AllNews::default(),
        told: BTreeMap::new(),
        gone: BTreeMap::new(),
        caused: None,
        indexes: indexes.unwrap_or_default(),
        wired: BTreeMap::new(),
        carrying: BTreeMap::new(),
        applied: Wanted::default(),
        reconcile_at: Instant::now(),
        retry_pause: RETRY_PAUSE,
        usage,
        sampled_at: Instant::now(),
    };
    let mut counters_tick = ticks(COUNTERS_INTERVAL);
    let mut usage_tick = ticks(USAGE_INTERVAL);
    let mut probe_beat = beats(uplinks.config.sample.probe_interval);
    usage_tick.tick().await;
    uplinks.number().await;
    uplinks.look_at_wired().await;
    loop {
        uplinks.carry_out().await;
        let deadline = uplinks.failover.next_deadline().unwrap_or_else(|| Instant::now() + NEVER);
        let reconcile_at = uplinks.reconcile_at;
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Ok(()) = uplinks.setup.news.changed() => uplinks.hear(),
            hint = uplinks.setup.monitor.next() => uplinks.hint(hint).await,
            Some(Ok(fate)) = uplinks.probes.join_next() => uplinks.fate(fate),
            () = sleep_until(deadline.into()) => uplinks.feed(Input::Timeout),
            Ok(()) = uplinks.setup.config.changed() => {
                uplinks.configured().await;
                probe_beat = beats(uplinks.config.sample.probe_interval);
            }
            _ = counters_tick.tick() => uplinks.count().await,
            () = sleep_until(reconcile_at.into()) => {
                uplinks.look_at_wired().await;
                uplinks.carry_out().await;
                uplinks.apply(None).await;
            }
            _ = probe_beat.tick() => uplinks.flush().await,
            _ = usage_tick.tick() => uplinks.remember_usage().await,
        }
    }
    uplinks.flush().await;
    uplinks.remember_usage().await;
    let wanted = uplinks.wanted();
    let applied = uplinks.setup.network.hand_over(&wanted).await;
    uplinks.tell_routes(applied, None, None).await;
}

struct Uplinks {
    setup: Setup,
    config: Arc<Config>,
    failover: Failover,
    probes: JoinSet<Fate>,
    /// The news that the machine was told of: routes follow from the same, or an uplink that just came up would lose its flows.
    heard: AllNews,
    /// What the machine was last told of each uplink.
    told: BTreeMap<String, Condition>,
    /// Interfaces that the kernel says are not there: the id of that, and when it was noticed.
    gone: BTreeMap<String, (String, Instant)>,
    /// Why the kernel may have to hold other things than before.
    caused: Option<Cause>,
    indexes: Indexes,
    wired: BTreeMap<String, Wired>,
    /// Weights of those that carry traffic.
    carrying: BTreeMap<String, u16>,
    /// What the network half was last asked for.
    applied: Wanted,
    reconcile_at: Instant,
    /// How soon what the kernel refused is tried again.
    retry_pause: Duration,
    usage: BTreeMap<String, Usage>,
    sampled_at: Instant,
}

/// How an uplink is by its own account.
#[derive(Clone, Debug, PartialEq)]
enum Condition {
    Up(Families),
    Suspect(String),
    Down(String),
}

impl Uplinks {
    fn feed(&mut self, input: Input) {
        self.failover.handle(input, Instant::now());
    }

    /// Tells the machine what is new of links and circuits.
    fn hear(&mut self) {
        let before = std::mem::replace(&mut self.heard, self.setup.news.borrow_and_update().clone());
        for (name, news) in &self.heard {
            if before.get(name).is_none_or(|before| before.path != news.path)
                && let Some(correlation_id) = news.correlation_id.clone()
            {
                self.caused = Some(Cause { correlation_id, detected_at: news.at });
            }
        }
        let config = self.config.clone();
        for device in &config.device_interfaces {
            let (condition, detected_at, correlation_id) = match device.kind {
                InterfaceType::Ethernet => {
                    let Some(wired) = self.wired.get(&device.name) else { continue };
                    (of_circuit(wired), wired.detected_at, Some(wired.correlation_id.clone()))
                }
                InterfaceType::Lte => {
                    let gone = self.gone.get(&device.target_interface).cloned();
                    let Some(news) = self.heard.get(&device.name) else { continue };
                    let Some(condition) = of_link(news, gone.is_some()) else { continue };
                    match gone {
                        Some((id, noticed_at)) => (condition, noticed_at, Some(id)),
                        None => (condition, news.at, news.correlation_id.clone()),
                    }
                }
            };
            if self.told.get(&device.name) == Some(&condition) {
                continue;
            }
            let uplink = device.name.clone();
            self.told.insert(uplink.clone(), condition.clone());
            self.feed(match condition {
                Condition::Up(families) => Input::Up { uplink, families, correlation_id },
                Condition::Suspect(cause) => Input::Suspect { uplink, cause, detected_at, correlation_id },
                Condition::Down(cause) => Input::Down { uplink, cause, detected_at, correlation_id },
            });
        }
    }

    async fn hint(&mut self, hint: Hint) {
        let noticed_at = Instant::now();
        let config = self.config.clone();
        for uplink in &config.device_interfaces {
            let device = &uplink.target_interface;
            // Of messages that were lost, each may have told of an interface.
            let is_meant = match &hint {
                Hint::Link(name) => name == device,
                Hint::Overrun => true,
                Hint::Routes | Hint::Ruleset => false,
            };
            if !is_meant {
                continue;
            }
            match self.setup.network.device(device).await {
                Some(_) => self.is_there(device),
                None if !self.gone.contains_key(device) => {
                    let id = self.why_gone(&uplink.name);
                    self.wish(&uplink.name, |wish| wish.gone = Some(id.clone()));
                    self.gone.insert(device.clone(), (id, noticed_at));
                }
                None => {}
            }
        }
        // What is known already is acted upon before circuits are looked at.
        self.hear();
        self.carry_out().await;
        self.look_at_wired().await;
        self.reconcile_at = self.reconcile_at.min(Instant::now() + HINT_PAUSE);
    }

    /// The id for an interface that is gone: that of the link where it has noticed something already, such as a control
    /// port that closed.
    fn why_gone(&self, uplink: &str) -> String {
        let all = self.setup.news.borrow();
        let noticed = all.get(uplink).filter(|news| {
            matches!(news.path, Path::Up(_))
                && !matches!(news.state, LinkState::Connected | LinkState::Suspect)
        });
        let known = noticed.and_then(|news| news.correlation_id.clone());
        known.unwrap_or_else(|| self.setup.correlations.next(uplink))
    }

    /// The kernel has this interface.
    fn is_there(&mut self, device: &str) {
        if self.gone.remove(device).is_none() {
            return;
        }
        let of_it = self.config.device_interfaces.iter().filter(|uplink| uplink.target_interface == device);
        of_it.for_each(|uplink| self.wish(&uplink.name, |wish| wish.gone = None));
    }

    /// Reads the circuits of the host.
    async fn look_at_wired(&mut self) {
        let config = self.config.clone();
        for device in &config.device_interfaces {
            if device.kind != InterfaceType::Ethernet {
                continue;
            }
            let noticed_at = Instant::now();
            let status = self.setup.network.device(&device.target_interface).await;
            let settings = self.setup.network.wired(&device.target_interface).await;
            let (state, cause) = circuit(status.as_ref(), settings.as_ref());
            self.wired_is(&device.name, state, cause, settings, (None, noticed_at)).await;
        }
        self.hear();
    }

    /// Takes down how a circuit is. `noticed`: the id of what somebody else noticed first, and when it was noticed.
    async fn wired_is(
        &mut self,
        name: &str,
        state: LinkState,
        cause: &str,
        settings: Option<IpSettings>,
        (known, detected_at): (Option<String>, Instant),
    ) {
        let before = self.wired.get(name);
        let suspected = before.is_some_and(|wired| wired.state == LinkState::Suspect);
        // Probes know better than the kernel until the circuit itself goes down.
        let state = if suspected && state == LinkState::Connected { LinkState::Suspect } else { state };
        let from = before.map_or(LinkState::Absent, |wired| wired.state);
        let since = before.filter(|_| from == state).map_or_else(Utc::now, |wired| wired.since);
        let cause = match before {
            Some(wired) if from == state => wired.cause.clone(),
            _ => cause.to_owned(),
        };
        let changed = before.is_none() || from != state;
        let correlation_id = match before {
            Some(wired) if !changed && wired.settings == settings => wired.correlation_id.clone(),
            _ => {
                let correlation_id = known.unwrap_or_else(|| self.setup.correlations.next(name));
                self.caused = Some(Cause { correlation_id: correlation_id.clone(), detected_at });
                correlation_id
            }
        };
        let wired = Wired {
            state,
            cause: cause.clone(),
            since,
            correlation_id: correlation_id.clone(),
            detected_at,
            settings: settings.clone(),
        };
        self.wired.insert(name.to_owned(), wired);
        if changed {
            let settings = settings.filter(|_| state == LinkState::Connected);
            let changed = LinkChanged {
                from,
                to: state,
                cause,
                settings,
                adopted: None,
                apn: None,
                correlation_id: Some(correlation_id),
            };
            self.emit(Some(name), changed).await;
        }
    }

    /// Does what the machine asks for until it asks for nothing more, and brings the kernel to what is wanted.
    async fn carry_out(&mut self) {
        while let Some(output) = self.failover.poll_output() {
            match output {
                Output::Select(selection) => self.select(selection).await,
                Output::Probe { id, uplink, target, timeout, .. } => {
                    if let Some(device) = self.config.device_interface(&uplink) {
                        let device = device.target_interface.clone();
                        let (prober, request) = (
                            self.setup.prober.clone(),
                            Request { device, source: None, mark: None, target, timeout },
                        );
                        self.probes.spawn(async move { Fate { id, result: prober.probe(&request).await } });
                    }
                }
                Output::Suspect { uplink, correlation_id } => {
                    self.verdict(&uplink, false, correlation_id).await;
                }
                Output::Cleared { uplink, correlation_id } => {
                    self.verdict(&uplink, true, correlation_id).await;
                }
                Output::Dial { uplink } => self.wish(&uplink, |wish| wish.standby = false),
                Output::Rest { uplink } => self.wish(&uplink, |wish| wish.standby = true),
            }
        }
        let working = self.failover.working();
        self.setup.working.send_if_modified(|known| {
            let changed = *known != working;
            *known = working;
            changed
        });
        let cause = self.caused.take();
        if self.wanted() != self.applied {
            self.apply(cause).await;
        }
    }

    /// Moves the traffic: routes first, then the event with the measured time, then what may come later.
    async fn select(&mut self, selection: Selection) {
        // Another selection may wait behind this one: uplinks of both take their flows over at once.
        let carriers = self.failover.carriers();
        self.carrying = carriers.iter().map(|carrier| (carrier.uplink.clone(), carrier.weight)).collect();
        self.setup.carrying.send_replace(self.failover.carrying());
        let wanted = self.wanted();
        let applied = self.setup.network.apply(&wanted).await;
        let event = selection.event(applied.routed_at);
        self.applied = wanted;
        self.reconciled(&applied);
        self.setup.view.send_modify(|view| view.selected = Some(event.clone()));
        let (id, took_ms) = (event.correlation_id.clone(), event.detection_to_route_ms);
        self.emit(None, event).await;
        self.settle(applied, Some(id), took_ms).await;
        // What the probes said before is told with it.
        self.flush().await;
    }

    /// Brings the kernel to what is wanted. Without a cause it is a repair, or nothing.
    async fn apply(&mut self, cause: Option<Cause>) {
        self.applied = self.wanted();
        let applied = self.setup.network.apply(&self.applied).await;
        let routed_at = applied.routed_at;
        self.reconciled(&applied);
        let took = |cause: &Cause| Some(routed_at?.saturating_duration_since(cause.detected_at));
        let took_ms = cause.as_ref().and_then(took).map(|took| took.as_secs_f64() * 1000.0);
        self.settle(applied, cause.map(|cause| cause.correlation_id), took_ms).await;
    }

    /// What the kernel refused is tried again soon, then less and less often. Any other problem is told once for as long as
    /// it lasts, and looked at soon only then.
    fn reconciled(&mut self, applied: &Applied) {
        let is_undone = applied.routed_at.is_none();
        let soon = is_undone || !applied.problems.is_empty();
        let pause = if soon { self.retry_pause } else { RECONCILE_INTERVAL };
        self.retry_pause = if is_undone { (pause * 2).min(RECONCILE_INTERVAL) } else { RETRY_PAUSE };
        self.reconcile_at = Instant::now() + pause;
    }

    async fn settle(&mut self, applied: Applied, correlation_id: Option<String>, took_ms: Option<f64>) {
        let mut problems = self.tell_routes(applied, correlation_id, took_ms).await;
        problems.extend(self.setup.network.settle(&self.applied).await);
        for problem in problems {
            tracing::warn!("{problem}");
        }
        let standing = self.setup.network.problems();
        self.setup.view.send_if_modified(|view| {
            let changed = view.problems != standing;
            view.problems = standing;
            changed
        });
    }

    async fn tell_routes(
        &self,
        applied: Applied,
        correlation_id: Option<String>,
        detection_to_route_ms: Option<f64>,
    ) -> Vec<Problem> {
        if applied.moved_routes() {
            let Applied { added, removed, .. } = applied;
            self.emit(None, RouteChanged { added, removed, correlation_id, detection_to_route_ms }).await;
        }
        applied.problems
    }

    /// What the kernel is to hold.
    fn wanted(&self) -> Wanted {
        let settings = |device: &DeviceInterface| match device.kind {
            InterfaceType::Ethernet => self
                .wired
                .get(&device.name)
                .and_then(|wired| wired.settings.clone())
                .map_or(net::Settings::Down, net::Settings::Up),
            InterfaceType::Lte => match self.heard.get(&device.name).map(|news| &news.path) {
                None | Some(Path::Unknown) => net::Settings::Unknown,
                Some(Path::Up(settings)) if !self.gone.contains_key(&device.target_interface) => {
                    net::Settings::Up(settings.clone())
                }
                Some(Path::Up(_) | Path::Down) => net::Settings::Down,
            },
        };
        let uplink = |device: &DeviceInterface| {
            Some(net::Uplink {
                name: device.name.clone(),
                device: device.target_interface.clone(),
                kind: device.kind,
                index: self.indexes.of(&device.target_interface)?,
                settings: settings(device),
                handover_metric: device.handover_metric(),
                source_nat: device.network_interface().is_some_and(|network| network.source_nat),
                carries: self.carrying.get(&device.name).copied(),
            })
        };
        Wanted { uplinks: self.config.device_interfaces.iter().filter_map(uplink).collect() }
    }

    /// Numbers the interfaces that have no number yet.
    async fn number(&mut self) {
        if self.indexes.assign(&interfaces(&self.config)) {
            let text = serde_json::to_string(&self.indexes).expect("indexes are plain data");
            if let Err(error) = self.setup.journal.remember(INDEXES_KEY, text).await {
                tracing::warn!(%error, "numbers of the interfaces not kept over a restart");
            }
        }
    }

    /// Probes and counters have judged the data path of an uplink.
    async fn verdict(&mut self, uplink: &str, answers: bool, correlation_id: String) {
        if self.wired.contains_key(uplink) {
            let wired = &self.wired[uplink];
            let (state, settings) = (wired.state, wired.settings.clone());
            let (from, to, cause) = match answers {
                true => (LinkState::Suspect, LinkState::Connected, "probes answered"),
                false => (LinkState::Connected, LinkState::Suspect, "probes lost"),
            };
            if state == from {
                self.wired_is(uplink, to, cause, settings, (Some(correlation_id), Instant::now())).await;
            }
            return;
        }
        self.wish(uplink, |wish| {
            let number = wish.verdict.as_ref().map_or(0, |verdict| verdict.number + 1);
            wish.verdict = Some(Verdict { number, answers, correlation_id });
        });
    }

    fn wish(&self, uplink: &str, change: impl FnOnce(&mut Wish)) {
        self.setup.wishes.send_modify(|wishes| change(wishes.entry(uplink.to_owned()).or_default()));
    }

    fn fate(&mut self, fate: Fate) {
        match fate.result {
            Ok(round_trip) => self.feed(Input::ProbeAnswered { id: fate.id, round_trip }),
            // The machine has a deadline of its own.
            Err(ProbeError::Lost) => {}
            Err(error) => self.feed(Input::ProbeFailed { id: fate.id, cause: error.to_string() }),
        }
    }

    /// Reads the counters of every interface: signs of life, and use of the data plans.
    async fn count(&mut self) {
        let config = self.config.clone();
        let statistics: BTreeMap<_, _> = {
            let all = self.setup.news.borrow();
            all.iter().filter_map(|(name, news)| Some((name.clone(), news.statistics?))).collect()
        };
        let mut devices = BTreeMap::new();
        for device in &config.device_interfaces {
            let status = self.setup.network.device(&device.target_interface).await;
            let packets = match (&status, statistics.get(&device.name)) {
                (Some(status), _) => {
                    let counters = status.counters;
                    Some((counters.out_unicast_packets, counters.in_unicast_packets))
                }
                (None, Some(modem)) => modem.tx_packets.zip(modem.rx_packets),
                (None, None) => None,
            };
            if let Some((tx_packets, rx_packets)) = packets {
                self.feed(Input::Counters { uplink: device.name.clone(), tx_packets, rx_packets });
            }
            if let Some(status) = status {
                self.use_plan(device, status.counters.in_octets + status.counters.out_octets).await;
                devices.insert(device.name.clone(), status);
                self.is_there(&device.target_interface);
            }
        }
        self.hear();
        let cycle_used_bytes =
            self.usage.iter().map(|(name, usage)| (name.clone(), usage.used_bytes)).collect();
        let overview = Some(self.failover.overview(Instant::now()));
        let wired = self.wired.clone();
        self.setup.view.send_modify(|view| {
            *view = View { overview, wired, devices, cycle_used_bytes, ..std::mem::take(view) };
        });
    }

    async fn use_plan(&mut self, device: &DeviceInterface, total_bytes: u64) {
        let Some(plan) = &device.data_plan else { return };
        let usage = self.usage.entry(device.name.clone()).or_default();
        usage.count(total_bytes);
        let warned = usage.judge(plan, Utc::now());
        let spent = usage.is_spent(plan);
        self.feed(Input::Quota { uplink: device.name.clone(), spent });
        if let Some(warned) = warned {
            self.emit(Some(&device.name), warned).await;
        }
    }

    async fn configured(&mut self) {
        let before = std::mem::replace(&mut self.config, self.setup.config.borrow_and_update().clone());
        self.number().await;
        let settings = Settings::of(&self.config, self.setup.correlation_prefix.clone());
        self.feed(Input::Configured(Box::new(settings)));
        let config = self.config.clone();
        // One whose type changed is another uplink of the same name.
        let kind = |config: &Config, name: &str| config.device_interface(name).map(|device| device.kind);
        let known = |name: &String| {
            let now = kind(&config, name);
            now.is_some() && kind(&before, name).is_none_or(|before| Some(before) == now)
        };
        self.wired.retain(|name, _| known(name));
        self.told.retain(|name, _| known(name));
        self.carrying.retain(|name, _| known(name));
        self.usage.retain(|name, _| known(name));
        self.setup.wishes.send_modify(|wishes| wishes.retain(|name, _| known(name)));
        self.look_at_wired().await;
        // Routes first, then the addresses of what is ours no longer.
        self.carry_out().await;
        let given_up: Vec<_> = before
            .lte_interfaces()
            .map(|device| device.target_interface.as_str())
            .filter(|name| !config.lte_interfaces().any(|device| device.target_interface == *name))
            .collect();
        if !given_up.is_empty() {
            for problem in self.setup.network.give_up(&given_up).await {
                tracing::warn!("{problem}");
            }
        }
    }

    /// Sends what the probes showed since the last time.
    async fn flush(&mut self) {
        let since = std::mem::replace(&mut self.sampled_at, Instant::now()).elapsed();
        let interval_ms = u32::try_from(since.as_millis()).unwrap_or(u32::MAX);
        for sample in self.failover.take_samples() {
            let body = ProbeSampled {
                target: sample.target.to_string(),
                interval_ms,
                sent: sample.sent,
                lost: sample.lost,
                rtt_us: (sample.round_trips.count() > 0).then(|| sample.round_trips.to_base64()),
            };
            let emission =
                Emission { subject: Some(sample.uplink), time: Some(Utc::now() - since), body: body.into() };
            self.setup.journal.emit(emission).await;
        }
    }

    async fn remember_usage(&self) {
        for (name, usage) in &self.usage {
            let text = serde_json::to_string(usage).expect("usage is plain data");
            if let Err(error) = self.setup.journal.remember(&usage_key(name), text).await {
                tracing::warn!(uplink = name, %error, "use of the data plan not kept over a restart");
            }
        }
    }

    async fn emit(&self, subject: Option<&str>, body: impl Into<Body>) {
        let emission = Emission { subject: subject.map(str::to_owned), time: None, body: body.into() };
        self.setup.journal.emit(emission).await;
    }
}

fn interfaces(config: &Config) -> Vec<&str> {
    config.device_interfaces.iter().map(|device| device.target_interface.as_str()).collect()
}

/// What became of a probe.
struct Fate {
    id: u64,
    result: Result<Duration, ProbeError>,
}

fn of_link(news: &News, gone: bool) -> Option<Condition> {
    Some(match (&news.path, news.state) {
        (Path::Unknown, LinkState::Stopped) => Condition::Down(news.cause.clone()),
        (Path::Unknown, _) => return None,
        (Path::Up(_), _) if gone => Condition::Down("interface gone".into()),
        (Path::Up(_), LinkState::Suspect) => Condition::Suspect(news.cause.clone()),
        // Where only the control port is lost the session lives on, and the probes judge it.
        (Path::Up(settings), _) => Condition::Up(families(settings)),
        (Path::Down, _) => Condition::Down(news.cause.clone()),
    })
}

/// State of a wired circuit, from its interface and the layer 3 that the host has on it, and what brings it there.
pub(super) fn circuit(
    status: Option<&DeviceStatus>,
    settings: Option<&IpSettings>,
) -> (LinkState, &'static str) {
    match (status, settings) {
        (None, _) => (LinkState::Absent, "there is no such interface"),
        (Some(status), _) if !status.admin_up => (LinkState::Stopped, "switched off"),
        (Some(status), _) if !status.operational_up => (LinkState::Waiting, "no carrier"),
        (Some(_), None) => (LinkState::Waiting, "no default route"),
        (Some(_), Some(_)) => (LinkState::Connected, "carrier and default route"),
    }
}

fn of_circuit(wired: &Wired) -> Condition {
    match (&wired.settings, wired.state) {
        (Some(settings), LinkState::Connected | LinkState::Suspect) => Condition::Up(families(settings)),
        _ => Condition::Down(wired.cause.clone()),
    }
}

fn families(settings: &IpSettings) -> Families {
    Families { ipv4: settings.ipv4.is_some(), ipv6: settings.ipv6.is_some() }
}

async fn recall(journal: &Journal, config: &Config) -> BTreeMap<String, Usage> {
    let mut usage = BTreeMap::new();
    for device in config.device_interfaces.iter().filter(|device| device.data_plan.is_some()) {
        let kept = journal.recall(&usage_key(&device.name)).await;
        let kept = kept.and_then(|text| serde_json::from_str(&text).ok());
        usage.insert(device.name.clone(), kept.unwrap_or_default());
    }
    usage
}

fn usage_key(uplink: &str) -> String {
    format!("usage/{uplink}")
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
