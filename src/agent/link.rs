//! The shell around one link: feeds the pure machine and carries out what it asks for.
//!
//! One task per link. It wakes for the answer of the operation in flight, a notice of the modem, a reading that
//! is due, an order, a change of the slots, a deadline of the machine, and the stop. It may be stopped at any
//! time: sessions stay up, client ids that own none are given back.
//!
//! Operations and readings run as futures of this task, so nothing outlives it and a wedged modem never delays
//! the stop.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout};

use super::Emission;
use super::batch::{SignalBatch, TrafficBatch};
use super::beats;
use super::correlation::Correlations;
use super::counters::Meter;
use super::emit;
use super::journal::Journal;
use super::recover::Climber;
use super::report::{self, Look};
use super::socket::Answer;
use super::uplinks::{View, Wish, Wishes};
use crate::config::{DeviceInterface, Sample, Serial};
use crate::event::{Body, ImageChanged, IpFamily, LinkState, ModemDetected, ModemRemoved, Rung};
use crate::link::failure::Cause;
use crate::link::ladder::{Arbiter, Refusal};
use crate::link::machine::Machine;
use crate::link::memory::{Memory, Stamped};
use crate::link::status::{LinkStatus, PacketStatistics};
use crate::link::words::{Dialled, Identity, Input, LinkConfig, Operation, Output, Path as DataPath};
use crate::modem::driver::{Call, Driver, DriverError, Notice, Notices, OpenOptions, Reading, Statistics};
use crate::modem::image_change;
use crate::modem::sysfs::Slot;
use crate::modem::usb_power;
use crate::qmi::uim::SessionType;
use crate::qmi::wds::ConnectionStatus;

/// Orders that wait for a link. When it is full the sender waits.
pub const ORDERS_MAX: usize = 8;
/// Why a modem is not there any more, as far as a look at the bus tells.
const GONE: &str = "device removed";
/// How long giving client ids back may take at stop.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// How long the modem may take to say over AT why a call was refused.
const EXTENDED_ERROR_DEADLINE: Duration = Duration::from_secs(8);
/// How long one reading of signal, counters, card and registration may take.
const READING_DEADLINE: Duration = Duration::from_secs(20);

/// What an operator wants of a link.
#[derive(Debug)]
pub enum Order {
    /// An attempt now.
    Retry,
    /// A reset.
    Reset {
        /// By which rung.
        rung: Rung,
        /// Even when it is the only working uplink.
        forced: bool,
    },
    /// Another configuration.
    Config(Box<Part>),
    /// Something of the modem itself, for a technician.
    Ask(Ask, oneshot::Sender<Answer>),
}

/// What a technician may ask of a modem.
#[derive(Debug)]
pub enum Ask {
    /// A look at it.
    Look(Look),
    /// To make the stored image of this carrier run.
    SetImage {
        /// The carrier.
        carrier: String,
        /// Even when it is the only working uplink.
        forced: bool,
    },
}

/// All of a link's part in the configuration.
#[derive(Debug)]
pub struct Part {
    /// What to dial and how to behave.
    pub config: LinkConfig,
    /// Status as far as the configuration tells it.
    pub status: LinkStatus,
    /// Where its modem is looked for.
    pub place: Place,
    /// How AT ports are spoken to.
    pub serial: Serial,
    /// How often to sample.
    pub sample: Sample,
    /// How long samples are batched.
    pub batch_interval: Duration,
}

/// Where a link's modem is looked for.
#[derive(Clone, Debug)]
pub struct Place {
    target_interface: String,
    /// Control port, and AT ports, named by hand; otherwise sysfs is asked for the target-interface.
    fixed_slot: Option<Slot>,
    /// AT port named by hand.
    usb_port: Option<PathBuf>,
}

impl Place {
    /// As the configuration says.
    #[must_use]
    pub fn of(device: &DeviceInterface) -> Self {
        let (target_interface, usb_port) = (device.target_interface.clone(), device.usb_port.clone());
        let by_path =
            |control: &PathBuf| Slot::by_path(&target_interface, control, usb_port.iter().cloned().collect());
        Self { fixed_slot: device.control_port.as_ref().map(by_path), target_interface, usb_port }
    }

    /// The modem's slot, while it is there.
    #[must_use]
    pub fn find(&self, slots: &[Slot]) -> Option<Slot> {
        if let Some(slot) = &self.fixed_slot {
            return slot.control.exists().then(|| slot.clone());
        }
        let slot = slots.iter().find(|slot| slot.netdev == self.target_interface)?.clone();
        let named = self.usb_port.as_ref().map(|port| vec![port.clone()]);
        Some(Slot { at_ports: named.unwrap_or(slot.at_ports), ..slot })
    }
}

/// What became of a change of image, and who asked for it.
type ImageFate = (Result<ImageChanged, DriverError>, oneshot::Sender<Answer>);

/// What the choice of uplinks must know of a link.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// What may be on its network interface.
    pub path: DataPath,
    /// Its state.
    pub state: LinkState,
    /// What brought it there.
    pub cause: String,
    /// When that was noticed.
    pub at: Instant,
    /// Id of the change that brought it there; its events carry the same.
    pub correlation_id: Option<String>,
    /// Counters of its sessions together, as last read.
    pub statistics: Option<Statistics>,
}

/// The news of every link, by name. The latest of each counts.
pub type AllNews = BTreeMap<String, News>;

/// What a link's task is given.
pub struct Setup {
    /// Its part in the configuration; it changes.
    pub part: Part,
    /// How control ports are opened.
    pub opening: OpenOptions,
    /// Folder shaped like `/sys`.
    pub sysfs: PathBuf,
    /// Folder where client ids are kept for the next start.
    pub state_dir: PathBuf,
    /// Where events go.
    pub journal: Journal,
    /// Who may climb the recovery ladder.
    pub arbiter: Arc<Mutex<Arbiter>>,
    /// Names of the uplinks that could carry traffic now.
    pub working: watch::Receiver<Vec<String>>,
    /// Where the choice of uplinks hears of this link.
    pub news: watch::Sender<AllNews>,
    /// What the choice of uplinks wants of this link.
    pub wishes: watch::Receiver<Wishes>,
    /// What the choice of uplinks knows, with the counters of each interface.
    pub view: watch::Receiver<View>,
    /// Ids for what is noticed here.
    pub correlations: Arc<Correlations>,
}

impl Setup {
    async fn emit(&self, body: impl Into<Body>) {
        let subject = Some(self.part.config.name.clone());
        self.journal.emit(Emission { subject, time: None, body: body.into() }).await;
    }

    async fn remember(&self, memory: Memory, last_failure_time: Option<DateTime<Utc>>) {
        let reading = emit::Reading::now();
        let stamped = Stamped {
            boot_id: emit::boot_id(),
            uptime_ms: u64::try_from(reading.uptime.as_millis()).unwrap_or(u64::MAX),
            last_failure_time,
            memory,
        };
        let text = serde_json::to_string(&stamped).expect("a memory is plain data");
        if let Err(error) = self.journal.remember(&memory_key(&self.part.config.name), text).await {
            tracing::warn!(link = self.part.config.name, %error, "failure context not kept over a restart");
        }
    }
}

type Job<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What an operation gave: its answer, and the driver where it opened one.
struct Done {
    input: Input,
    opened: Option<(Arc<Driver>, Notices)>,
}

/// What a look at the modem gave.
struct Looked {
    /// When it began.
    at: DateTime<Utc>,
    /// Whether its reading is a sample whatever it says.
    sample: bool,
    inputs: Vec<Input>,
    reading: Option<Reading>,
    /// Of each family that is up.
    statistics: Option<Vec<(IpFamily, Statistics)>>,
}

/// What the next look is to cover.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Due {
    registration: bool,
    sim: bool,
    /// A refresh of the card waits for our word.
    refresh: Option<SessionType>,
    signal: bool,
    /// The signal is to be recorded; otherwise only where the cell is another one.
    sample: bool,
    statistics: bool,
}

struct Link {
    setup: Setup,
    machine: Machine,
    /// What the machine asked for that is not done yet.
    outputs: VecDeque<Output>,
    /// Id of the last change.
    correlation_id: Option<String>,
    slot: Option<Slot>,
    driver: Option<Arc<Driver>>,
    notices: Option<Notices>,
    operation: Option<Job<Done>>,
    look: Option<Job<Looked>>,
    /// While its image is changed the modem is not the machine's, which takes it for pulled out.
    image: Option<Job<ImageFate>>,
    due: Due,
    signals: SignalBatch,
    meter: Meter,
    traffic: TrafficBatch,
    wish: Wish,
    status: watch::Sender<LinkStatus>,
}

/// Runs a link until `stop` turns true.
pub async fn run(
    setup: Setup,
    mut slots: watch::Receiver<Vec<Slot>>,
    mut orders: mpsc::Receiver<Order>,
    status: watch::Sender<LinkStatus>,
    mut stop: watch::Receiver<bool>,
) {
    let memory = recall(&setup).await;
    let last_failure_time = memory.as_ref().and_then(|stamped| stamped.last_failure_time);
    let reading = emit::Reading::now();
    let uptime_ms = u64::try_from(reading.uptime.as_millis()).unwrap_or(u64::MAX);
    let memory = memory.map(|stamped| stamped.recall(&emit::boot_id(), uptime_ms));
    let seed =
        setup.part.config.name.bytes().fold(uptime_ms, |seed, byte| seed.rotate_left(5) ^ u64::from(byte));
    let machine = Machine::new(setup.part.config.clone(), memory, seed, Instant::now());
    let mut signal_tick = beats(setup.part.sample.signal_interval);
    let mut traffic_tick = beats(setup.part.sample.traffic_interval);
    let mut flush_beat = beats(setup.part.batch_interval);
    let mut link = Link {
        setup,
        machine,
        outputs: VecDeque::new(),
        correlation_id: None,
        slot: None,
        driver: None,
        notices: None,
        operation: None,
        look: None,
        image: None,
        due: Due::default(),
        signals: SignalBatch::default(),
        meter: Meter::default(),
        traffic: TrafficBatch::default(),
        wish: Wish::default(),
        status,
    };
    link.status.send_modify(|status| status.last_failure_time = last_failure_time);
    let known = slots.borrow_and_update().clone();
    link.find_slot(&known, GONE).await;
    link.wish();
    loop {
        link.carry_out().await;
        link.start_look();
        let deadline =
            link.machine.next_deadline().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            () = stopped(&mut stop) => break,
            done = finished(&mut link.operation) => link.done(done).await,
            looked = finished(&mut link.look) => link.looked(looked),
            fate = finished(&mut link.image) => {
                let slots = slots.borrow().clone();
                link.image_is_set(fate, &slots).await;
            }
            notice = next_notice(&mut link.notices) => link.notice(notice).await,
            Some(order) = orders.recv() => match order {
                Order::Retry => link.feed(Input::RetryNow),
                Order::Reset { rung, forced } => link.feed(Input::ResetNow { rung, forced }),
                Order::Config(part) => {
                    let before = link.take_over(*part);
                    let known = slots.borrow().clone();
                    link.find_slot(&known, "configured elsewhere").await;
                    let Part { sample, batch_interval, .. } = &link.setup.part;
                    if (&before.sample, &before.batch_interval) != (sample, batch_interval) {
                        signal_tick = beats(sample.signal_interval);
                        traffic_tick = beats(sample.traffic_interval);
                        flush_beat = beats(*batch_interval);
                    }
                }
                Order::Ask(Ask::Look(look), answer) => {
                    tokio::spawn(report::answer(link.driver.clone(), look, answer));
                }
                Order::Ask(Ask::SetImage { carrier, forced }, answer) => match link.may_set_image(forced) {
                    Ok(()) => link.set_image(carrier, answer, &slots).await,
                    Err(why) => drop(answer.send(Err(why))),
                },
            },
            Ok(()) = link.setup.wishes.changed() => link.wish(),
            Ok(()) = slots.changed() => {
                let slots = slots.borrow_and_update().clone();
                link.find_slot(&slots, GONE).await;
            }
            () = sleep_until(deadline.into()) => link.feed(Input::Timeout),
            _ = signal_tick.tick() => (link.due.signal, link.due.sample) = (true, true),
            _ = traffic_tick.tick() => link.due.statistics = true,
            _ = flush_beat.tick() => link.flush().await,
        }
    }
    link.flush().await;
    (link.operation, link.look, link.image, link.notices) = (None, None, None, None);
    if let Some(driver) = link.driver.take().and_then(Arc::into_inner) {
        let _ = timeout(CLOSE_DEADLINE, driver.close(true)).await;
    }
}

impl Link {
    fn feed(&mut self, input: Input) {
        self.feed_because(input, None);
    }

    /// Feeds the machine with what somebody else noticed first, and gave this id.
    fn feed_because(&mut self, input: Input, correlation_id: Option<String>) {
        let now = Instant::now();
        self.machine.handle(input, now);
        self.gather(correlation_id);
        self.tell(now);
    }

    /// Takes over what the machine asks for. A change has a new id, and what is told with or after it bears the same. While
    /// the kernel says that the interface is gone, all that happens here comes of that.
    fn gather(&mut self, known: Option<String>) {
        let mut outputs: Vec<_> = std::iter::from_fn(|| self.machine.poll_output()).collect();
        let is_change = |output: &Output| matches!(output, Output::Report(body) if matches!(**body, Body::LinkChanged(_)));
        if outputs.iter().any(is_change) {
            let name = &self.setup.part.config.name;
            let gone = || self.setup.wishes.borrow().get(name)?.gone.clone();
            let id = known.or_else(gone).unwrap_or_else(|| self.setup.correlations.next(name));
            self.correlation_id = Some(id);
        }
        for output in &mut outputs {
            if let Output::Report(body) = output
                && let Some(correlation_id) = correlation_id_of(body)
            {
                correlation_id.clone_from(&self.correlation_id);
            }
        }
        self.outputs.extend(outputs);
    }

    /// Tells the choice of uplinks at once, before anything slower is done.
    fn tell(&self, at: Instant) {
        let machine = &self.machine;
        self.setup.news.send_if_modified(|all| {
            let known = all.get(&self.setup.part.config.name);
            if known.is_some_and(|news| news.path == *machine.path() && news.state == machine.state()) {
                return false;
            }
            let (path, cause) = (machine.path().clone(), machine.cause().to_owned());
            let correlation_id = self.correlation_id.clone();
            let news = News { path, state: machine.state(), cause, at, correlation_id, statistics: None };
            all.insert(self.setup.part.config.name.clone(), news);
            true
        });
    }

    /// Looks for the modem. Where another one is found than before, or none, `cause` says why.
    async fn find_slot(&mut self, slots: &[Slot], cause: &str) {
        let found = if self.image.is_some() { None } else { self.setup.part.place.find(slots) };
        let place = |slot: &Slot| (slot.netdev.clone(), slot.device, slot.control.clone());
        let moved = |old: &Slot, new: &Slot| place(old) != place(new);
        let gone = match (&self.slot, &found) {
            (Some(old), Some(new)) => moved(old, new),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if gone && let Some(slot) = self.slot.take() {
            let removed =
                ModemRemoved { usb_path: slot.usb_path, netdev: Some(slot.netdev), cause: cause.into() };
            self.setup.emit(removed).await;
            self.feed(Input::Vanished);
        }
        if let Some(slot) = found {
            if self.slot.is_none() {
                self.setup.emit(detected(&slot, None)).await;
            }
            self.slot = Some(slot);
            self.feed(Input::Appeared);
        }
    }

    async fn carry_out(&mut self) {
        self.gather(None);
        while let Some(output) = self.outputs.pop_front() {
            match output {
                Output::Operate(operation) => self.operation = Some(self.operate(operation)),
                Output::Abort => self.operation = None,
                Output::Close => self.close(),
                Output::Apply(settings) => self.status.send_modify(|status| status.settings = Some(settings)),
                Output::Withdraw => self.status.send_modify(|status| status.settings = None),
                Output::Report(body) => self.report(*body).await,
                Output::Remember(memory) => {
                    let last_failure_time = self.status.borrow().last_failure_time;
                    self.setup.remember(*memory, last_failure_time).await;
                }
                Output::AskRecovery { rung, forced } => self.ask_recovery(rung, forced),
                // A change of the image has the modem for longer than the machine knows.
                Output::RecoveryOver if self.image.is_some() => {}
                Output::RecoveryOver => self.arbiter(|arbiter, name| arbiter.over(name)),
            }
        }
        self.publish();
    }

    fn close(&mut self) {
        (self.operation, self.look, self.notices) = (None, None, None);
        if let Some(driver) = self.driver.take().and_then(Arc::into_inner) {
            tokio::spawn(timeout(CLOSE_DEADLINE, driver.close(true)));
        }
    }

    fn arbiter<T>(&self, decide: impl FnOnce(&mut Arbiter, &str) -> T) -> T {
        decide(
            &mut self.setup.arbiter.lock().expect("no task panics with the lock"),
            &self.setup.part.config.name,
        )
    }

    fn ask_recovery(&mut self, rung: Rung, forced: bool) {
        let working = self.setup.working.borrow().clone();
        let input = match self.arbiter(|arbiter, name| arbiter.ask(name, rung, forced, &working)) {
            Ok(()) => Input::RecoveryGranted,
            Err(refusal) => Input::RecoveryRefused(refusal.to_string()),
        };
        self.feed(input);
    }

    async fn report(&mut self, body: Body) {
        match &body {
            Body::LinkFailed(_) => {
                self.status.send_modify(|status| status.last_failure_time = Some(Utc::now()))
            }
            Body::LinkChanged(changed) => {
                let (to, cause) = (changed.to, changed.cause.clone());
                self.status.send_modify(|status| {
                    if status.state != to {
                        status.state_since = Utc::now();
                    }
                    (status.state, status.state_cause) = (to, cause);
                });
            }
            _ => {}
        }
        self.flush().await;
        self.setup.emit(body).await;
    }

    /// Sends what was sampled so far.
    async fn flush(&mut self) {
        let batches = [self.signals.take(), self.traffic.take()];
        for (time, body) in batches.into_iter().flatten() {
            let subject = Some(self.setup.part.config.name.clone());
            self.setup.journal.emit(Emission { subject, time: Some(time), body }).await;
        }
    }

    fn publish(&mut self) {
        let machine = &self.machine;
        let now = Instant::now();
        self.status.send_if_modified(|status| {
            let before = status.clone();
            status.adopted = machine.adopted();
            status.failure = machine.failure().cloned();
            status.passing_failure = machine.passing_failure().cloned();
            let next = machine.next_attempt().map(|at| Utc::now() + at.saturating_duration_since(now));
            // The same moment read twice differs by microseconds; an operator wants one time.
            let same = |a: DateTime<Utc>, b: DateTime<Utc>| (a - b).num_milliseconds().abs() < 500;
            if !matches!((status.next_retry_time, next), (Some(old), Some(new)) if same(old, new)) {
                status.next_retry_time = next;
            }
            status.sim = machine.sim().cloned();
            status.registration = machine.registration().cloned();
            status.modem = self.slot.as_ref().map(|slot| detected(slot, machine.identity()));
            *status != before
        });
    }

    /// What the session does not depend on changes in place. Returns the part as it was.
    fn take_over(&mut self, part: Part) -> Part {
        self.status.send_modify(|shown| {
            shown.target_interface.clone_from(&part.status.target_interface);
            shown.network_interface.clone_from(&part.status.network_interface);
            shown.profile.clone_from(&part.status.profile);
            (shown.priority, shown.weight) = (part.status.priority, part.status.weight);
        });
        let config = Box::new(part.config.clone());
        let before = std::mem::replace(&mut self.setup.part, part);
        self.feed(Input::ConfigChanged(config));
        before
    }

    /// Hands on what the choice of uplinks found out or decided since the last time.
    fn wish(&mut self) {
        let wishes = self.setup.wishes.borrow_and_update();
        let wish = wishes.get(&self.setup.part.config.name).cloned().unwrap_or_default();
        drop(wishes);
        let before = std::mem::replace(&mut self.wish, wish.clone());
        if let Some(verdict) = wish.verdict.filter(|verdict| before.verdict.as_ref() != Some(verdict)) {
            let input = if verdict.answers { Input::ProbeAnswered } else { Input::ProbeLost };
            self.feed_because(input, Some(verdict.correlation_id));
        }
        if wish.standby != before.standby {
            self.feed(Input::Standby(wish.standby));
        }
    }

    async fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::ServingSystem | Notice::NetworkReject(_) | Notice::OperatingMode(_) => {
                self.due.registration = true
            }
            Notice::SignalInfo { .. } => self.due.signal = true,
            Notice::PacketStatus { family, status: ConnectionStatus::Disconnected, cause, .. } => {
                // Traffic moves first.
                self.feed(Input::SessionDown { family, cause });
                let ended = family.map_or(vec![IpFamily::Ipv4, IpFamily::Ipv6], |family| vec![family]);
                if let Some(driver) = self.driver.clone() {
                    for family in ended {
                        driver.session_ended(family).await;
                    }
                }
            }
            Notice::PacketStatus { reconfigure: true, .. } | Notice::SettingsChanged => {
                self.feed(Input::SettingsChanged);
            }
            Notice::PacketStatus { .. } => {}
            Notice::CardStatus => self.due.sim = true,
            Notice::CardRefresh { waits_for } => {
                (self.due.sim, self.due.refresh) = (true, waits_for.or(self.due.refresh));
            }
            Notice::Missed => self.due = Due { registration: true, sim: true, ..self.due },
            Notice::ModemReset => {
                self.feed(Input::ChannelFault(DriverError::Gone("the modem has restarted".into()).cause()));
            }
            Notice::Gone(reason) => {
                self.notices = None;
                self.feed(Input::ChannelFault(DriverError::Gone(reason).cause()));
            }
        }
    }

    async fn done(&mut self, done: Done) {
        if let Some((driver, notices)) = done.opened {
            (self.driver, self.notices) = (Some(driver), Some(notices));
            (self.due.signal, self.due.sample) = (true, true);
        }
        if let (Input::Opened(Ok(identity)), Some(slot)) = (&done.input, &self.slot) {
            self.setup.emit(detected(slot, Some(identity))).await;
        }
        self.feed(done.input);
    }

    /// Whether its image may be changed, which restarts the modem as a reset does.
    fn may_set_image(&self, forced: bool) -> Result<(), String> {
        if self.image.is_some() {
            return Err("its image is being changed already".into());
        }
        if self.slot.is_none() {
            return Err("there is no modem".into());
        }
        let working = self.setup.working.borrow().clone();
        let asked = self.arbiter(|arbiter, name| arbiter.ask(name, Rung::QmiReset, forced, &working));
        asked.map_err(|refusal| match refusal {
            Refusal::OtherInRecovery(_) => format!("{refusal}: one modem restarts at a time"),
            Refusal::OnlyUplink(_) | Refusal::RebootStops(_) => {
                format!("{refusal}, and its modem restarts: use --force")
            }
        })
    }

    /// Gives the modem up for a change of its image, which restarts it once or twice.
    async fn set_image(
        &mut self,
        carrier: String,
        answer: oneshot::Sender<Answer>,
        slots: &watch::Receiver<Vec<Slot>>,
    ) {
        let (options, place, seen) = (self.options(), self.setup.part.place.clone(), slots.clone());
        self.image = Some(Box::pin(async move {
            let find = || place.find(&seen.borrow());
            (image_change::change(&carrier, &options, find).await, answer)
        }));
        // The port is closed, and only then opened for the change, which waits for that.
        self.find_slot(&[], "its image is changed").await;
    }

    /// Tells what became of it, and takes the modem back.
    async fn image_is_set(&mut self, (changed, answer): ImageFate, slots: &[Slot]) {
        self.arbiter(|arbiter, name| arbiter.over(name));
        if let Ok(changed) = &changed {
            self.setup.emit(changed.clone()).await;
        }
        let told = |changed| serde_json::to_value(changed).map_err(|error| error.to_string());
        let _ = answer.send(changed.map_err(|error| error.to_string()).and_then(told));
        self.find_slot(slots, GONE).await;
    }

    fn start_look(&mut self) {
        if self.look.is_some() || self.due == Due::default() {
            return;
        }
        let due = std::mem::take(&mut self.due);
        if let Some(driver) = self.driver.clone() {
            let settled = matches!(self.machine.state(), LinkState::Connected | LinkState::Suspect);
            self.look = Some(Box::pin(look(driver, Due { statistics: due.statistics && settled, ..due })));
        }
    }

    fn looked(&mut self, looked: Looked) {
        for input in looked.inputs {
            self.feed(input);
        }
        if let Some(reading) = looked.reading {
            if looked.sample || self.signals.is_elsewhere(reading.radio, &reading.cell) {
                self.signals.push(looked.at, &reading.signal, reading.radio, &reading.cell);
            }
            self.status.send_modify(|status| status.signal = Some(reading.signal.clone()));
            self.feed(Input::Measured { signal: reading.signal, cell: reading.cell });
        }
        if let Some(statistics) = looked.statistics {
            self.count(looked.at, &statistics);
        }
    }

    fn count(&mut self, at: DateTime<Utc>, sessions: &[(IpFamily, Statistics)]) {
        let name = &self.setup.part.config.name;
        let interface = self.setup.view.borrow().devices.get(name).map(|device| device.counters);
        let metered = self.meter.read(at, sessions, interface.as_ref());
        self.status.send_modify(|status| status.packet_statistics = Some(packet_statistics(&metered.total)));
        if let Some((since, carried)) = metered.grown {
            self.traffic.push(since, at, &carried);
        }
        self.setup.news.send_if_modified(|all| {
            all.get_mut(name).map(|news| news.statistics = Some(metered.total)).is_some()
        });
    }

    fn operate(&self, operation: Operation) -> Job<Done> {
        let limit = operation.limit();
        let work = self.work(operation.clone());
        Box::pin(async move {
            match timeout(limit, work).await {
                Ok(done) => done,
                Err(_) => {
                    let error = DriverError::Timeout {
                        message: operation.name(),
                        after_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
                    };
                    Done { input: failed(&operation, &error.cause()), opened: None }
                }
            }
        })
    }

    fn work(&self, operation: Operation) -> Job<Done> {
        if operation == Operation::Open {
            return self.open();
        }
        let (driver, sysfs) = (self.driver.clone(), self.setup.sysfs.clone());
        if let Operation::Recover(rung) = operation {
            let (slot, options) = (self.slot.clone(), self.options());
            let reboot = self.machine.config().recovery.reboot;
            let climber = Climber { driver, slot, options, sysfs, reboot };
            return Box::pin(async move {
                Done { input: Input::Recovered(climber.climb(rung).await), opened: None }
            });
        }
        if operation == Operation::PowerCycleSim
            && let Some(driver) = driver
        {
            // On its own, for a card whose cycle is given up half way stays off.
            let cycle = tokio::spawn(async move { driver.power_cycle_sim().await });
            return Box::pin(async move {
                let result = cycle.await.unwrap_or_else(|error| Err(DriverError::Gone(error.to_string())));
                Done { input: Input::SimCycled(result.map_err(|error| error.cause())), opened: None }
            });
        }
        let families = self.machine.config().families.clone();
        Box::pin(async move {
            let input = match driver {
                Some(driver) => exchange(&driver, &operation, &families, &sysfs).await,
                None => failed(&operation, &DriverError::Gone("the control port is closed".into()).cause()),
            };
            Done { input, opened: None }
        })
    }

    fn options(&self) -> OpenOptions {
        let config = self.machine.config();
        OpenOptions {
            state: Some(self.setup.state_dir.clone()),
            expected_imei: config.imei.clone(),
            families: config.families.clone(),
            serial: self.setup.part.serial.clone(),
            ..self.setup.opening.clone()
        }
    }

    fn open(&self) -> Job<Done> {
        let options = self.options();
        let (slot, sysfs) = (self.slot.clone(), self.setup.sysfs.clone());
        Box::pin(async move {
            let opened = async {
                let slot = slot.ok_or_else(|| DriverError::Gone("there is no modem".into()))?;
                if !slot.usb_path.is_empty()
                    && let Err(error) = usb_power::keep_awake(&sysfs, &slot.usb_path).await
                {
                    tracing::warn!(%error, "the kernel may suspend the modem");
                }
                let (driver, notices) = Driver::open(&slot, &options).await?;
                driver.subscribe().await?;
                let identity = driver.identity().await?;
                Ok::<_, DriverError>((driver, notices, identity))
            };
            match opened.await {
                Ok((driver, notices, identity)) => {
                    Done { input: Input::Opened(Ok(identity)), opened: Some((Arc::new(driver), notices)) }
                }
                Err(error) => Done { input: Input::Opened(Err(error.cause())), opened: None },
            }
        })
    }
}

/// Carries out one operation over an open driver.
async fn exchange(driver: &Driver, operation: &Operation, families: &[IpFamily], sysfs: &Path) -> Input {
    let cause = |error: DriverError| error.cause();
    match operation {
        Operation::Open => failed(operation, &DriverError::Gone("already open".into()).cause()),
        Operation::ReadSim => Input::SimRead(driver.sim_status().await.map_err(cause)),
        Operation::VerifyPin(pin) => Input::PinVerified(driver.verify_pin(pin).await.map_err(cause)),
        Operation::Prepare(profile) => {
            let prepare = async {
                driver.agree_raw_ip(sysfs).await?;
                driver.disable_autoconnect().await?;
                if driver.write_attach_profile(profile, families).await? {
                    driver.set_radio(false).await?;
                }
                Ok::<(), DriverError>(())
            };
            Input::Prepared(prepare.await.map_err(cause))
        }
        Operation::Register => {
            let register = async {
                driver.ensure_online().await?;
                driver.registration().await
            };
            Input::RegisterAsked(register.await.map_err(cause))
        }
        Operation::Connect { profile, families } => {
            let mut results = Vec::with_capacity(families.len());
            for family in families {
                let call = Call { family: *family, profile };
                let result = driver.connect(call).await.map(|session| session.made).map_err(cause);
                results.push(Dialled { family: *family, result });
            }
            say_why(driver, &mut results).await;
            Input::Connected(results)
        }
        Operation::Disconnect => {
            let mut result = Ok(());
            for family in families {
                result = driver.disconnect(*family).await.map_err(cause).and(result);
            }
            Input::Disconnected(result)
        }
        Operation::CleanUp => Input::CleanedUp(driver.clean_up().await.map_err(cause)),
        Operation::ReadSettings => Input::SettingsRead(settings(driver, families).await.map_err(cause)),
        Operation::PowerCycleSim => Input::SimCycled(driver.power_cycle_sim().await.map_err(cause)),
        Operation::Recover(_) => Input::Recovered(Err("not by an exchange".into())),
    }
}

/// Where QMI names no reason for a refused call, asks over AT: once, for the modem tells of its last call alone.
async fn say_why(driver: &Driver, results: &mut [Dialled]) {
    let is_vague = |dialled: &&mut Dialled| dialled.result.as_ref().is_err_and(Cause::is_vague);
    let mut vague = results.iter_mut().filter(is_vague).peekable();
    if vague.peek().is_none() {
        return;
    }
    match timeout(EXTENDED_ERROR_DEADLINE, driver.extended_error()).await {
        Ok(Ok(Some(told))) => vague.for_each(|dialled| dialled.result = Err(told.clone())),
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "no reason of a refused call over AT"),
        Err(_) => tracing::debug!("no reason of a refused call over AT in time"),
    }
}

/// The settings of all families that are up; an error when none is.
async fn settings(driver: &Driver, families: &[IpFamily]) -> Result<crate::event::IpSettings, DriverError> {
    let mut all = crate::event::IpSettings::default();
    let mut error = None;
    for family in families {
        match driver.current_settings(*family).await {
            Ok(settings) => {
                all.ipv4 = settings.ipv4.or(all.ipv4);
                all.ipv6 = settings.ipv6.or(all.ipv6);
                all.mtu_bytes = [settings.mtu_bytes, all.mtu_bytes].into_iter().flatten().min();
                all.domains.extend(settings.domains);
            }
            Err(found) => error = Some(found),
        }
    }
    all.domains.dedup();
    match error {
        Some(error) if all.ipv4.is_none() && all.ipv6.is_none() => Err(error),
        _ => Ok(all),
    }
}

async fn look(driver: Arc<Driver>, due: Due) -> Looked {
    let mut looked =
        Looked { at: Utc::now(), sample: due.sample, inputs: Vec::new(), reading: None, statistics: None };
    let all = async {
        if due.registration
            && let Ok(registration) = driver.registration().await
        {
            looked.inputs.push(Input::RegistrationChanged(registration));
        }
        if let Some(session) = due.refresh
            && let Err(error) = driver.complete_refresh(session).await
        {
            tracing::debug!(%error, "a refresh of the card goes on without our word");
        }
        if due.sim
            && let Ok(sim) = driver.sim_status().await
        {
            looked.inputs.push(Input::SimChanged(sim));
        }
        if due.signal {
            looked.reading = driver.signal().await.ok();
        }
        if due.statistics {
            looked.statistics = driver.session_statistics().await.ok();
        }
    };
    let _ = timeout(READING_DEADLINE, all).await;
    looked
}

/// The answer of an operation that failed.
fn failed(operation: &Operation, cause: &Cause) -> Input {
    let cause = cause.clone();
    match operation {
        Operation::Open => Input::Opened(Err(cause)),
        Operation::ReadSim => Input::SimRead(Err(cause)),
        Operation::VerifyPin(_) => Input::PinVerified(Err(cause)),
        Operation::PowerCycleSim => Input::SimCycled(Err(cause)),
        Operation::Prepare(_) => Input::Prepared(Err(cause)),
        Operation::Register => Input::RegisterAsked(Err(cause)),
        Operation::Connect { families, .. } => Input::Connected(
            families.iter().map(|family| Dialled { family: *family, result: Err(cause.clone()) }).collect(),
        ),
        Operation::Disconnect => Input::Disconnected(Err(cause)),
        Operation::CleanUp => Input::CleanedUp(Err(cause)),
        Operation::ReadSettings => Input::SettingsRead(Err(cause)),
        Operation::Recover(_) => Input::Recovered(Err(cause.reason)),
    }
}

/// The modem in a slot, as far as is known.
pub(super) fn detected(slot: &Slot, identity: Option<&Identity>) -> ModemDetected {
    let identity = identity.cloned().unwrap_or_default();
    ModemDetected {
        usb_bus: (slot.bus > 0).then_some(slot.bus),
        usb_device: (slot.device > 0).then_some(slot.device),
        usb_path: slot.usb_path.clone(),
        vendor_id: format!("{:04x}", slot.vendor_id),
        product_id: format!("{:04x}", slot.product_id),
        driver: (!slot.driver.is_empty()).then(|| slot.driver.clone()),
        netdev: Some(slot.netdev.clone()),
        control_port: Some(slot.control.display().to_string()),
        at_port: slot.at_port().map(|port| port.display().to_string()),
        manufacturer: identity.manufacturer,
        model: identity.model,
        firmware: identity.firmware,
        imei: identity.imei,
    }
}

/// Where an event of a link says what it belongs to.
fn correlation_id_of(body: &mut Body) -> Option<&mut Option<String>> {
    match body {
        Body::LinkChanged(changed) => Some(&mut changed.correlation_id),
        Body::LinkFailed(failed) => Some(&mut failed.correlation_id),
        Body::RecoveryPerformed(performed) => Some(&mut performed.correlation_id),
        _ => None,
    }
}

/// The counters of a session as they are shown.
pub(super) fn packet_statistics(statistics: &Statistics) -> PacketStatistics {
    PacketStatistics {
        tx_packets_ok: statistics.tx_packets,
        rx_packets_ok: statistics.rx_packets,
        tx_packets_error: statistics.tx_errors,
        rx_packets_error: statistics.rx_errors,
        tx_packets_dropped: statistics.tx_dropped,
        rx_packets_dropped: statistics.rx_dropped,
        tx_bytes_ok: statistics.tx_bytes,
        rx_bytes_ok: statistics.rx_bytes,
    }
}

async fn recall(setup: &Setup) -> Option<Stamped> {
    let text = setup.journal.recall(&memory_key(&setup.part.config.name)).await?;
    serde_json::from_str(&text)
        .inspect_err(|error| tracing::warn!(%error, "failure context of an earlier run is not readable"))
        .ok()
}

/// What the memory of a link is kept under over a restart.
pub(super) fn memory_key(link: &str) -> String {
    format!("link/{link}")
}

/// Waits for the job and clears it; for ever without one.
async fn finished<T>(job: &mut Option<Job<T>>) -> T {
    let Some(running) = job else { return std::future::pending().await };
    let result = running.await;
    *job = None;
    result
}

async fn next_notice(notices: &mut Option<Notices>) -> Notice {
    match notices {
        Some(notices) => notices.next().await,
        None => std::future::pending().await,
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
