//! One modem, driven: the link's commands as straight sequences of QMI and AT exchanges. Every exchange has a deadline.
//!
//! The driver decides nothing about retries or recovery: it does one thing when told to and says how that ended. What the
//! modem says unasked comes out of [`Notices`].
//!
//! Client ids are given back on every path: by [`Driver::close`], when the driver is dropped, and after a crash by the next
//! [`Driver::open`], which finds them in a file. The ids that own a live session stay, and the next start adopts the session.

mod call;
mod error;
mod framing;
mod image;
mod notice;
mod power;
mod radio;
mod sim;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(in crate::modem) use call::merge;
pub use call::{Call, Session, Statistics};
pub use error::DriverError;
pub use image::{Image, ImageKind, Images};
pub use notice::{Notice, Notices};
pub use power::at_reset;
pub use radio::Reading;

use super::ids::{Ids, Ledger, StoredSession};
use super::port::{Access, Port};
use super::proxy::Proxy;
use super::qmi::Qmi;
use super::serial;
use super::sysfs::Slot;
use crate::at::{CallEnd, Command, Reply};
use crate::config::Serial;
use crate::event::{IpFamily, Reject};
use crate::link::failure::{Cause, verbose};
use crate::link::words::Identity;
use crate::qmi::{ProtocolError, Refusal, Request, Service, VerboseCallEndReason, ctl, dms, wds};

/// Deadlines of the exchanges.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// One liveness probe at open.
    pub probe: Duration,
    /// Probes at open before the modem counts as silent.
    pub probes: u32,
    /// A request that the modem answers from memory.
    pub quick: Duration,
    /// A request that reaches the SIM or changes the radio's state.
    pub slow: Duration,
    /// Start Network: the network may take minutes.
    pub connect: Duration,
    /// Stop Network.
    pub disconnect: Duration,
    /// Time after a restart for the radio to come on by itself.
    pub settle: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            probe: Duration::from_secs(1),
            probes: 15,
            quick: Duration::from_secs(5),
            slow: Duration::from_secs(15),
            connect: Duration::from_secs(170),
            disconnect: Duration::from_secs(45),
            settle: Duration::from_secs(20),
        }
    }
}

/// How to open a modem.
#[derive(Clone)]
pub struct OpenOptions {
    /// Way to the control port.
    pub access: Access,
    /// Our own proxy, for a port opened directly: then other programs can use the modem too.
    pub proxy: Option<Arc<Proxy>>,
    /// Folder where client ids are kept for the next start, and where the slot is locked.
    pub state: Option<PathBuf>,
    /// How long to wait for another process of ours that has the slot.
    pub lock_wait: Duration,
    /// The IMEI that the modem must have.
    pub expected_imei: Option<String>,
    /// Families to make WDS clients for.
    pub families: Vec<IpFamily>,
    /// How AT ports are spoken to.
    pub serial: Serial,
    /// Deadlines.
    pub deadlines: Deadlines,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            access: Access::Auto,
            proxy: None,
            state: None,
            lock_wait: Duration::from_secs(5),
            expected_imei: None,
            families: vec![IpFamily::Ipv4, IpFamily::Ipv6],
            serial: Serial::default(),
            deadlines: Deadlines::default(),
        }
    }
}

/// An open modem. Its methods may run side by side.
pub struct Driver {
    slot: Slot,
    qmi: Qmi,
    deadlines: Deadlines,
    serial: Serial,
    clients: Clients,
    is_shared: bool,
    sessions: Mutex<Vec<StoredSession>>,
    last_reject: Arc<Mutex<Option<Reject>>>,
    at_port: Mutex<Option<PathBuf>>,
}

/// Our client ids.
#[derive(Clone, Debug, Default)]
struct Clients {
    dms: u8,
    nas: u8,
    uim: Option<u8>,
    wda: Option<u8>,
    wds: Vec<(IpFamily, u8)>,
}

impl Driver {
    /// Opens the control port of a slot, gives back what an earlier run held, allocates client ids and checks the IMEI.
    ///
    /// # Errors
    /// [`DriverError`]; everything held is given back then.
    pub async fn open(slot: &Slot, options: &OpenOptions) -> Result<(Self, Notices), DriverError> {
        let ledger = lock(slot, options).await;
        let port = Port::open(&slot.control, &options.access).await?;
        let port = match &options.proxy {
            Some(proxy) if !port.is_shared() => proxy
                .serve(port)
                .map_err(|error| DriverError::Open(format!("cannot share the port: {error}")))?,
            _ => port,
        };
        Self::start(port, slot, options, ledger).await
    }

    /// The same over a port that is open already.
    ///
    /// # Errors
    /// As [`Driver::open`].
    pub async fn over(
        port: Port,
        slot: &Slot,
        options: &OpenOptions,
    ) -> Result<(Self, Notices), DriverError> {
        let ledger = lock(slot, options).await;
        Self::start(port, slot, options, ledger).await
    }

    async fn start(
        port: Port,
        slot: &Slot,
        options: &OpenOptions,
        ledger: Option<Ledger>,
    ) -> Result<(Self, Notices), DriverError> {
        let is_shared = port.is_shared();
        let ledger = match ledger {
            Some(ledger) => ledger,
            // Beside its owner, as any other program.
            None if is_shared => Ledger::none(),
            None => {
                return Err(DriverError::Open(format!(
                    "{} is in use by an agent that keeps it for itself: stop that, or have it share with qmi-proxy = true in its \
                     [agent]",
                    slot.control.display()
                )));
            }
        };
        let earlier = ledger.load(slot);
        let (qmi, indications) = Qmi::start(port, ledger, earlier.clone());
        let opening = Opening { qmi: &qmi, options, is_shared };
        let services = opening.probe().await?;
        opening.release_stale(&earlier).await;
        let (clients, sessions) = opening.clients(&services, &earlier).await?;
        let last_reject = Arc::default();
        let notices = Notices::new(indications, clients.wds.clone(), Arc::clone(&last_reject));
        let driver = Self {
            slot: slot.clone(),
            qmi,
            deadlines: options.deadlines,
            serial: options.serial.clone(),
            clients,
            is_shared,
            sessions: Mutex::new(sessions),
            last_reject,
            at_port: Mutex::new(None),
        };
        if let Some(expected) = &options.expected_imei {
            driver.check_imei(expected).await?;
        }
        Ok((driver, notices))
    }

    /// The slot that was opened.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Who the modem is. What it does not say is left out.
    ///
    /// # Errors
    /// [`DriverError`] when it does not answer.
    pub async fn identity(&self) -> Result<Identity, DriverError> {
        let told = |text: String| (!text.is_empty()).then_some(text);
        Ok(Identity {
            manufacturer: said(self.dms(dms::GetManufacturer {}).await)?.and_then(|r| told(r.manufacturer)),
            model: said(self.dms(dms::GetModel {}).await)?.and_then(|r| told(r.model)),
            firmware: said(self.dms(dms::GetRevision {}).await)?.and_then(|r| told(r.revision)),
            imei: said(self.dms(dms::GetIds {}).await)?.and_then(|r| r.imei).filter(|imei| imei.len() > 1),
        })
    }

    /// Hardware revision, where the modem tells it.
    ///
    /// # Errors
    /// [`DriverError`] when it does not answer.
    pub async fn hardware_revision(&self) -> Result<Option<String>, DriverError> {
        Ok(said(self.dms(dms::GetHardwareRevision {}).await)?.map(|told| told.revision))
    }

    /// The families that have a client.
    #[must_use]
    pub fn families(&self) -> Vec<IpFamily> {
        self.clients.wds.iter().map(|(family, _)| *family).collect()
    }

    /// Runs one AT command on the modem's serial port: locked while it runs, open no longer. Rate and deadline are those of
    /// [`OpenOptions::serial`].
    ///
    /// # Errors
    /// [`DriverError::Serial`]: no port, port in use, or no answer in time.
    pub async fn at(&self, command: &Command) -> Result<Reply, DriverError> {
        let known = self.at_port.lock().expect("no task panics with the lock").clone();
        let candidates = known.map_or_else(|| self.slot.at_ports.clone(), |port| vec![port]);
        if candidates.is_empty() {
            return Err(DriverError::Serial(format!(
                "{} has no serial port for AT commands",
                self.slot.netdev
            )));
        }
        let mut port = serial::open_first(&candidates, self.serial.baud_rate).await?;
        let reply = port.execute(command, self.serial.timeout).await?;
        *self.at_port.lock().expect("no task panics with the lock") = Some(port.path().to_owned());
        Ok(reply)
    }

    /// Why the last call failed, as the modem tells over AT, for when QMI names no reason. `None` when it does not know either.
    ///
    /// # Errors
    /// [`DriverError::Serial`] when no port answers.
    pub async fn extended_error(&self) -> Result<Option<Cause>, DriverError> {
        let command = Command::new("AT+CEER").expect("a fixed text that begins with AT");
        let reply = self.at(&command).await?;
        Ok(CallEnd::read(&reply.information).map(|told| {
            let named = |reason| VerboseCallEndReason { reason_type: verbose::TGPP, reason }.name();
            let cause = told.cause.and_then(|code| Some((code, named(code)?.to_owned())));
            Cause::told_over_at(cause, told.words)
        }))
    }

    /// Gives the client ids back and closes the port. With `keep_sessions` those that own a live session stay, and traffic
    /// goes on without us.
    pub async fn close(self, keep_sessions: bool) {
        if !keep_sessions {
            for (family, _) in &self.clients.wds {
                self.qmi.note_session(*family, None).await;
            }
        }
        self.qmi.closed().await;
    }

    /// Clears what an earlier life left in the modem: calls of anyone, the modem's own dialling and, where no other program may
    /// use it, every client id. Afterwards the driver must be opened anew.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer, or refuses and there is no stronger way.
    pub async fn clean_up(&self) -> Result<(), DriverError> {
        let stopped = self.stop_stale_sessions().await;
        if self.is_shared {
            return stopped;
        }
        exchange(&self.qmi, 0, ctl::Sync {}, self.deadlines.slow).await.map(|_| ())
    }

    async fn check_imei(&self, expected: &str) -> Result<(), DriverError> {
        let found = self.identity().await?.imei.unwrap_or_default();
        if found == expected {
            return Ok(());
        }
        Err(DriverError::WrongModem { expected: expected.to_owned(), found })
    }

    async fn dms<R>(&self, request: R) -> Result<R::Response, DriverError>
    where
        R: Request + Send + 'static,
    {
        exchange(&self.qmi, self.clients.dms, request, self.deadlines.quick).await
    }

    async fn nas<R>(&self, request: R) -> Result<R::Response, DriverError>
    where
        R: Request + Send + 'static,
    {
        exchange(&self.qmi, self.clients.nas, request, self.deadlines.quick).await
    }
}

async fn lock(slot: &Slot, options: &OpenOptions) -> Option<Ledger> {
    match &options.state {
        Some(folder) => Ledger::lock(folder, slot, options.lock_wait).await,
        None => Some(Ledger::none()),
    }
}

/// One exchange, its failure in the driver's words.
async fn exchange<R>(
    qmi: &Qmi,
    client: u8,
    request: R,
    deadline: Duration,
) -> Result<R::Response, DriverError>
where
    R: Request + Send + 'static,
{
    qmi.request(client, request, deadline).await.map_err(DriverError::of::<R>)
}

/// A refusal as `None`; what is wrong with the port stays an error.
fn said<T>(result: Result<T, DriverError>) -> Result<Option<T>, DriverError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(DriverError::Protocol { .. } | DriverError::Malformed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The IP family as WDS numbers it.
fn wds_family(family: IpFamily) -> wds::IpFamily {
    match family {
        IpFamily::Ipv4 => wds::IpFamily::Ipv4,
        IpFamily::Ipv6 => wds::IpFamily::Ipv6,
    }
}

/// The steps of opening.
struct Opening<'a> {
    qmi: &'a Qmi,
    options: &'a OpenOptions,
    is_shared: bool,
}

impl Opening<'_> {
    /// Asks until the modem answers: the first requests after a reset may be lost. Gives the services it has.
    async fn probe(&self) -> Result<Vec<Service>, DriverError> {
        let deadlines = &self.options.deadlines;
        let mut result = Err(DriverError::Timeout { message: "Get Version Info", after_ms: 0 });
        for _ in 0..deadlines.probes.max(1) {
            result = exchange(self.qmi, 0, ctl::GetVersionInfo {}, deadlines.probe).await;
            if !matches!(result, Err(DriverError::Timeout { .. })) {
                break;
            }
        }
        match said(result)? {
            Some(answer) => Ok(answer.service_list.into_iter().map(|version| version.service).collect()),
            None => Ok(Vec::new()),
        }
    }

    /// Gives back the ids of a run that could not do so itself.
    async fn release_stale(&self, earlier: &Ids) {
        for (service, cid) in &earlier.clients {
            let service = Service::from(*service);
            if !earlier.owns_session(service, *cid)
                && self.qmi.release(service, *cid, self.options.deadlines.quick).await.is_err()
            {
                self.qmi.forget(service, *cid).await;
            }
        }
    }

    /// Allocates our ids; ids of sessions that are still up are used on. When a service has none left, all are freed once: not
    /// beside other programs, and not while a session of ours lives, for both would lose theirs.
    async fn clients(
        &self,
        services: &[Service],
        earlier: &Ids,
    ) -> Result<(Clients, Vec<StoredSession>), DriverError> {
        let mut sessions = Vec::new();
        for session in &earlier.sessions {
            match self.is_up(session).await {
                true if self.options.families.contains(&session.family) => sessions.push(*session),
                _ => self.drop_stale(session).await,
            }
        }
        let clients = match self.allocate_all(services, &sessions).await {
            Err(error @ DriverError::ClientIdsExhausted { .. }) if !self.is_shared && sessions.is_empty() => {
                tracing::warn!(%error, "all client ids are freed");
                exchange(self.qmi, 0, ctl::Sync {}, self.options.deadlines.slow).await?;
                self.probe().await?;
                self.allocate_all(services, &sessions).await?
            }
            result => result?,
        };
        Ok((clients, sessions))
    }

    async fn allocate_all(
        &self,
        services: &[Service],
        sessions: &[StoredSession],
    ) -> Result<Clients, DriverError> {
        let has = |service| services.is_empty() || services.contains(&service);
        let mut clients = Clients {
            dms: self.allocate(Service::Dms).await?,
            nas: self.allocate(Service::Nas).await?,
            ..Clients::default()
        };
        if has(Service::Uim) {
            clients.uim = said(self.allocate(Service::Uim).await)?;
        }
        if has(Service::Wda) {
            clients.wda = said(self.allocate(Service::Wda).await)?;
        }
        for family in &self.options.families {
            let adopted =
                sessions.iter().find(|session| session.family == *family).map(|session| session.cid);
            let cid = match adopted {
                Some(cid) => {
                    self.qmi.adopt(Service::Wds, cid).await;
                    cid
                }
                None => self.wds_client(*family).await?,
            };
            clients.wds.push((*family, cid));
        }
        Ok(clients)
    }

    async fn wds_client(&self, family: IpFamily) -> Result<u8, DriverError> {
        let cid = self.allocate(Service::Wds).await?;
        let preference = wds::SetIpFamily { preference: wds_family(family) };
        // Old single-stack firmware does not know the message; Start Network names the family too.
        said(exchange(self.qmi, cid, preference, self.options.deadlines.quick).await)?;
        Ok(cid)
    }

    async fn allocate(&self, service: Service) -> Result<u8, DriverError> {
        use crate::modem::qmi::RequestError;
        match self.qmi.allocate(service, self.options.deadlines.quick).await {
            Ok(cid) => Ok(cid),
            Err(RequestError::Refusal(Refusal::Refused {
                error: ProtocolError::ClientIdsExhausted, ..
            })) => Err(DriverError::ClientIdsExhausted { service: service.to_string() }),
            Err(error) => Err(DriverError::of::<ctl::AllocateCid>(error)),
        }
    }

    async fn is_up(&self, session: &StoredSession) -> bool {
        let status =
            exchange(self.qmi, session.cid, wds::GetPacketServiceStatus {}, self.options.deadlines.quick)
                .await;
        matches!(status, Ok(status) if status.connection_status == wds::ConnectionStatus::Connected)
    }

    async fn drop_stale(&self, session: &StoredSession) {
        self.qmi.note_session(session.family, None).await;
        if self.qmi.release(Service::Wds, session.cid, self.options.deadlines.quick).await.is_err() {
            self.qmi.forget(Service::Wds, session.cid).await;
        }
    }
}
