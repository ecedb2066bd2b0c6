//! The shell around one link: feeds the pure machine and carries out what it asks for.
//!
//! One task per link. It wakes for the answer of the operation in flight, a notice of the modem, a reading that
//! is due, an order, a change of the slots, a deadline of the machine, and the stop. It may be stopped at any
//! time: sessions stay up, client ids that own none are given back.
//!
//! Operations and readings run as futures of this task, so nothing outlives it and a wedged modem never delays
//! the stop.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use super::Emission;
use super::batch::{SignalBatch, TrafficBatch};
use super::emit;
use super::journal::Journal;
use crate::config::Sample;
use crate::event::{Body, IpFamily, LinkState, ModemDetected, ModemRemoved, Rung};
use crate::link::failure::Cause;
use crate::link::ladder::Arbiter;
use crate::link::machine::Machine;
use crate::link::memory::{Memory, Stamped};
use crate::link::status::{LinkStatus, PacketStatistics};
use crate::link::words::{Dialled, Identity, Input, LinkConfig, Operation, Output};
use crate::modem::driver::{Call, Driver, DriverError, Notice, Notices, OpenOptions, Reading, Statistics};
use crate::modem::sysfs::Slot;
use crate::qmi::wds::ConnectionStatus;

/// Orders that wait for a link. When it is full the sender waits.
pub const ORDERS_MAX: usize = 8;
/// How long giving client ids back may take at stop.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// How long one reading of signal, counters, card and registration may take.
const READING_DEADLINE: Duration = Duration::from_secs(20);
/// Intervals in a row that sent and received nothing before the data path is suspected.
const SILENT_INTERVALS: u32 = 3;

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
    Config(Box<LinkConfig>),
}

/// What a link's task is given.
pub struct Setup {
    /// What to dial and how to behave.
    pub config: LinkConfig,
    /// Status as far as the configuration tells it.
    pub status: LinkStatus,
    /// Control port, and AT ports, named by hand; otherwise sysfs is asked for the target-interface.
    pub fixed_slot: Option<Slot>,
    /// Folder shaped like `/sys`.
    pub sysfs: PathBuf,
    /// Folder where client ids are kept for the next start.
    pub state_dir: PathBuf,
    /// How often to sample.
    pub sample: Sample,
    /// How long samples are batched.
    pub batch_interval: Duration,
    /// Where events go.
    pub journal: Journal,
    /// Who may climb the recovery ladder.
    pub arbiter: Arc<Mutex<Arbiter>>,
    /// Names of the uplinks that carry traffic now.
    pub working: watch::Receiver<Vec<String>>,
}

impl Setup {
    async fn emit(&self, body: impl Into<Body>) {
        let subject = Some(self.config.name.clone());
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
        if let Err(error) = self.journal.remember(&memory_key(&self.config.name), text).await {
            tracing::warn!(link = self.config.name, %error, "failure context not kept over a restart");
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
#[derive(Default)]
struct Looked {
    inputs: Vec<Input>,
    reading: Option<Reading>,
    statistics: Option<Statistics>,
}

/// What the next look is to cover.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Due {
    registration: bool,
    sim: bool,
    signal: bool,
    statistics: bool,
}

struct Link {
    setup: Setup,
    machine: Machine,
    slot: Option<Slot>,
    driver: Option<Arc<Driver>>,
    notices: Option<Notices>,
    operation: Option<Job<Done>>,
    look: Option<Job<Looked>>,
    due: Due,
    signals: SignalBatch,
    traffic: TrafficBatch,
    silent_intervals: u32,
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
    let seed = setup.config.name.bytes().fold(uptime_ms, |seed, byte| seed.rotate_left(5) ^ u64::from(byte));
    let machine = Machine::new(setup.config.clone(), memory, seed, Instant::now());
    let mut signal_tick = ticks(setup.sample.signal_interval);
    let mut traffic_tick = ticks(setup.sample.traffic_interval);
    let mut flush_tick = ticks(setup.batch_interval);
    let mut link = Link {
        setup,
        machine,
        slot: None,
        driver: None,
        notices: None,
        operation: None,
        look: None,
        due: Due::default(),
        signals: SignalBatch::default(),
        traffic: TrafficBatch::default(),
        silent_intervals: 0,
        status,
    };
    link.status.send_modify(|status| status.last_failure_time = last_failure_time);
    let known = slots.borrow_and_update().clone();
    link.find_slot(&known).await;
    loop {
        link.carry_out().await;
        link.start_look();
        let deadline =
            link.machine.next_deadline().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            () = stopped(&mut stop) => break,
            done = finished(&mut link.operation) => link.done(done).await,
            looked = finished(&mut link.look) => link.looked(looked),
            notice = next_notice(&mut link.notices) => link.notice(notice).await,
            Some(order) = orders.recv() => link.order(order),
            Ok(()) = slots.changed() => {
                let slots = slots.borrow_and_update().clone();
                link.find_slot(&slots).await;
            }
            () = sleep_until(deadline.into()) => link.feed(Input::Timeout),
            _ = signal_tick.tick() => link.due.signal = true,
            _ = traffic_tick.tick() => link.due.statistics = true,
            _ = flush_tick.tick() => link.flush().await,
        }
    }
    link.flush().await;
    (link.operation, link.look, link.notices) = (None, None, None);
    if let Some(driver) = link.driver.take().and_then(Arc::into_inner) {
        let _ = timeout(CLOSE_DEADLINE, driver.close(true)).await;
    }
}

impl Link {
    fn feed(&mut self, input: Input) {
        self.machine.handle(input, Instant::now());
    }

    async fn find_slot(&mut self, slots: &[Slot]) {
        let wanted = &self.setup.status.target_interface;
        let found = match &self.setup.fixed_slot {
            Some(slot) => slot.control.exists().then(|| slot.clone()),
            None => slots.iter().find(|slot| slot.netdev == *wanted).cloned(),
        };
        let moved = |old: &Slot, new: &Slot| (old.device, &old.control) != (new.device, &new.control);
        let gone = match (&self.slot, &found) {
            (Some(old), Some(new)) => moved(old, new),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if gone && let Some(slot) = self.slot.take() {
            let removed = ModemRemoved {
                usb_path: slot.usb_path,
                netdev: Some(slot.netdev),
                cause: "device removed".into(),
            };
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
        while let Some(output) = self.machine.poll_output() {
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
        decide(&mut self.setup.arbiter.lock().expect("no task panics with the lock"), &self.setup.config.name)
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
            let subject = Some(self.setup.config.name.clone());
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

    fn order(&mut self, order: Order) {
        match order {
            Order::Retry => self.feed(Input::RetryNow),
            Order::Reset { rung, forced } => self.feed(Input::ResetNow { rung, forced }),
            Order::Config(config) => self.feed(Input::ConfigChanged(config)),
        }
    }

    async fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::ServingSystem | Notice::NetworkReject(_) | Notice::OperatingMode(_) => {
                self.due.registration = true
            }
            Notice::SignalInfo { .. } => self.due.signal = true,
            Notice::PacketStatus { family, status: ConnectionStatus::Disconnected, cause, .. } => {
                let ended = family.map_or(vec![IpFamily::Ipv4, IpFamily::Ipv6], |family| vec![family]);
                if let Some(driver) = self.driver.clone() {
                    for family in ended {
                        driver.session_ended(family).await;
                    }
                }
                self.feed(Input::SessionDown { family, cause });
            }
            Notice::PacketStatus { reconfigure: true, .. } | Notice::SettingsChanged => {
                self.feed(Input::SettingsChanged);
            }
            Notice::PacketStatus { .. } => {}
            Notice::CardStatus => self.due.sim = true,
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
            self.due.signal = true;
        }
        if let (Input::Opened(Ok(identity)), Some(slot)) = (&done.input, &self.slot) {
            self.setup.emit(detected(slot, Some(identity))).await;
        }
        self.feed(done.input);
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
            self.signals.push(Utc::now(), &reading.signal, reading.radio, &reading.cell);
            self.status.send_modify(|status| status.signal = Some(reading.signal.clone()));
            self.feed(Input::Measured { signal: reading.signal, cell: reading.cell });
        }
        if let Some(statistics) = looked.statistics {
            self.count(&statistics);
        }
    }

    /// Notes the counters of the session. A path that is sent into and gives nothing back is suspect.
    fn count(&mut self, now: &Statistics) {
        self.status.send_modify(|status| status.packet_statistics = Some(packet_statistics(now)));
        let Some((received, sent)) = self.traffic.push(Utc::now(), now) else { return };
        if received > 0 {
            self.silent_intervals = 0;
            self.feed(Input::ProbeAnswered);
        } else if sent > 0 {
            self.silent_intervals += 1;
            if self.silent_intervals >= SILENT_INTERVALS {
                self.feed(Input::ProbeLost);
            }
        }
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
        let families = self.setup.config.families.clone();
        Box::pin(async move {
            let input = match driver {
                Some(driver) => exchange(&driver, &operation, &families, &sysfs).await,
                None => failed(&operation, &DriverError::Gone("the control port is closed".into()).cause()),
            };
            Done { input, opened: None }
        })
    }

    fn open(&self) -> Job<Done> {
        let options = OpenOptions {
            state: Some(self.setup.state_dir.clone()),
            expected_imei: self.setup.config.imei.clone(),
            families: self.setup.config.families.clone(),
            ..OpenOptions::default()
        };
        let slot = self.slot.clone();
        Box::pin(async move {
            let opened = async {
                let slot = slot.ok_or_else(|| DriverError::Gone("there is no modem".into()))?;
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
            Input::Connected(results)
        }
        Operation::Disconnect => {
            let mut result = Ok(());
            for family in families {
                result = driver.disconnect(*family).await.map_err(cause).and(result);
            }
            Input::Disconnected(result)
        }
        Operation::CleanUp => Input::CleanedUp(driver.stop_stale_sessions().await.map_err(cause)),
        Operation::ReadSettings => Input::SettingsRead(settings(driver, families).await.map_err(cause)),
        Operation::Recover(rung) => Input::Recovered(recover(driver, *rung, families).await),
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

async fn recover(driver: &Driver, rung: Rung, families: &[IpFamily]) -> Result<(), String> {
    let told = |error: DriverError| error.to_string();
    match rung {
        Rung::Redial => {
            for family in families {
                driver.disconnect(*family).await.map_err(told)?;
            }
            Ok(())
        }
        Rung::RadioCycle => {
            driver.set_radio(false).await.map_err(told)?;
            driver.set_radio(true).await.map_err(told)
        }
        Rung::QmiReset => driver.reset_operating_mode().await.map_err(told),
        Rung::AtReset => driver.at_reset().await.map_err(told),
        Rung::UsbPower | Rung::Reboot | Rung::Unknown => Err("this build cannot do that".into()),
    }
}

async fn look(driver: Arc<Driver>, due: Due) -> Looked {
    let mut looked = Looked::default();
    let all = async {
        if due.registration
            && let Ok(registration) = driver.registration().await
        {
            looked.inputs.push(Input::RegistrationChanged(registration));
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
            for family in [IpFamily::Ipv4, IpFamily::Ipv6] {
                if looked.statistics.is_none() {
                    looked.statistics = driver.statistics(family).await.ok();
                }
            }
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

fn detected(slot: &Slot, identity: Option<&Identity>) -> ModemDetected {
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

fn packet_statistics(statistics: &Statistics) -> PacketStatistics {
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
    let text = setup.journal.recall(&memory_key(&setup.config.name)).await?;
    serde_json::from_str(&text)
        .inspect_err(|error| tracing::warn!(%error, "failure context of an earlier run is not readable"))
        .ok()
}

fn memory_key(link: &str) -> String {
    format!("link/{link}")
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period.max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
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
