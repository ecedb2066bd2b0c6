//! The async side of QMI: one task owns the port and the transactions, everyone else holds a [`Qmi`].
//!
//! The task ends when the port is gone, when the modem has left [`DEAD_AFTER_TIMEOUTS`](crate::qmi::client::DEAD_AFTER_TIMEOUTS)
//! requests unanswered, or when the last [`Qmi`] is dropped. In the last case it first gives back every client id, except those
//! that own a session that is to stay up. It keeps the list of ids on disk as they come and go, so that a killed process leaves
//! a trace for its successor. An answer to an allocation that nobody waits for any more is given back at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use super::ids::{Ids, Ledger, StoredSession};
use super::port::{Port, PortError};
use crate::event::IpFamily;
use crate::qmi::client::{Client, Event, Key, TooManyInFlight};
use crate::qmi::ctl::{AllocateCid, ClientId, ReleaseCid, Sync};
use crate::qmi::{Frame, ProtocolError, Refusal, Request, Service};

/// Commands waiting for the task. When it is full the callers wait; their deadlines run on.
const COMMANDS: usize = 32;

/// Indications waiting for whoever listens. When it is full further ones are dropped and
/// [`Indications::next`] says so, for then everything must be read anew.
const INDICATIONS: usize = 128;

/// Time for all ids to be given back at the end.
const RELEASE_DEADLINE: Duration = Duration::from_secs(3);

/// How much longer than its caller the task waits for an allocation, to give a late id back.
const LATE_ALLOCATION: Duration = Duration::from_secs(30);

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RequestError<F> {
    /// Nothing came within the deadline.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The port is gone.
    #[error("{0}")]
    Gone(String),
    /// Too many requests wait already.
    #[error(transparent)]
    Busy(#[from] TooManyInFlight),
    /// The modem refused, or its answer is malformed.
    #[error(transparent)]
    Refusal(Refusal<F>),
}

type Answer = Result<Frame, Lost>;

/// Why the task has no frame for a request.
enum Lost {
    TimedOut,
    Busy,
}

/// Puts a request of some type into the client's queue.
type Queue = Box<dyn FnOnce(&mut Client, Instant) -> Result<Key, TooManyInFlight> + Send>;

enum Command {
    Request {
        queue: Queue,
        /// When the task gives up; later than the caller for allocations.
        patience: Duration,
        answer: oneshot::Sender<Answer>,
    },
    /// A session is up, or down; said back when that is on disk.
    Session(IpFamily, Option<StoredSession>, oneshot::Sender<()>),
    /// An id of an earlier run is used on.
    Adopt(Service, u8),
    /// An id is void: the modem does not know it.
    Forget(Service, u8),
}

/// A handle to the modem's control port. Clones share the port.
#[derive(Clone)]
pub struct Qmi {
    commands: mpsc::Sender<Command>,
    end: End,
}

/// What the modem says unasked.
pub struct Indications {
    frames: mpsc::Receiver<Frame>,
    missed: Arc<AtomicBool>,
    end: End,
}

/// One thing the modem said unasked, or the end of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// An indication.
    Indication(Frame),
    /// Indications were dropped, because nobody took them.
    Missed,
    /// The port is gone; nothing more will come.
    Gone(String),
}

impl Indications {
    /// Waits for the next. Safe to cancel.
    pub async fn next(&mut self) -> Heard {
        if self.missed.swap(false, Ordering::Relaxed) {
            return Heard::Missed;
        }
        match self.frames.recv().await {
            Some(frame) => Heard::Indication(frame),
            None => Heard::Gone(reason(&self.end)),
        }
    }
}

impl Qmi {
    /// Starts the task. `ids` is what of an earlier run is still held in the modem.
    #[must_use]
    pub fn start(port: Port, ledger: Ledger, ids: Ids) -> (Self, Indications) {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (indications, frames) = mpsc::channel(INDICATIONS);
        let (missed, (ending, end)) = (Arc::<AtomicBool>::default(), watch::channel(None));
        let task = Task {
            port,
            client: Client::new(),
            callers: HashMap::new(),
            indications,
            missed: Arc::clone(&missed),
            ledger,
            ids,
        };
        tokio::spawn(task.run(receiver, ending));
        (Self { commands, end: end.clone() }, Indications { frames, missed, end })
    }

    /// Sends one request from client id `client` (0 for CTL) and waits for its answer.
    ///
    /// # Errors
    /// [`RequestError`]; with [`RequestError::Timeout`] the answer may still come and is then ignored.
    pub async fn request<R>(
        &self,
        client: u8,
        request: R,
        deadline: Duration,
    ) -> Result<R::Response, RequestError<R::Failure>>
    where
        R: Request + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let is_allocation = (R::SERVICE, R::ID) == (AllocateCid::SERVICE, AllocateCid::ID);
        let patience = if is_allocation { deadline + LATE_ALLOCATION } else { deadline };
        let queue = Box::new(move |client_side: &mut Client, deadline| {
            client_side.request(client, &request, deadline)
        });
        let exchange = async {
            let command = Command::Request { queue, patience, answer: sender };
            self.commands.send(command).await.map_err(|_| self.gone())?;
            match answer.await {
                Ok(Ok(frame)) => frame.read_answer::<R>().map_err(RequestError::Refusal),
                Ok(Err(Lost::TimedOut)) => Err(RequestError::Timeout(deadline)),
                Ok(Err(Lost::Busy)) => Err(RequestError::Busy(TooManyInFlight)),
                Err(_) => Err(self.gone()),
            }
        };
        // The task's own deadline is the rule; this one is for a task that is stuck in a write.
        match tokio::time::timeout(deadline + GRACE, exchange).await {
            Ok(result) => result,
            Err(_) => Err(RequestError::Timeout(deadline)),
        }
    }

    /// Allocates a client id. It is given back when the last [`Qmi`] is dropped, or by [`Qmi::release`].
    ///
    /// # Errors
    /// [`RequestError`]; the modem's `ClientIdsExhausted` means that earlier clients did not give theirs back.
    pub async fn allocate(
        &self,
        service: Service,
        deadline: Duration,
    ) -> Result<u8, RequestError<<AllocateCid as Request>::Failure>> {
        Ok(self.request(0, AllocateCid { service }, deadline).await?.allocation_info.cid)
    }

    /// Gives a client id back.
    ///
    /// # Errors
    /// [`RequestError`]; the id stays on the list then.
    pub async fn release(
        &self,
        service: Service,
        cid: u8,
        deadline: Duration,
    ) -> Result<(), RequestError<<ReleaseCid as Request>::Failure>> {
        self.request(0, ReleaseCid { release_info: ClientId { service, cid } }, deadline).await.map(|_| ())
    }

    /// Uses an id of an earlier run on.
    pub async fn adopt(&self, service: Service, cid: u8) {
        let _ = self.commands.send(Command::Adopt(service, cid)).await;
    }

    /// Strikes an id that the modem does not know.
    pub async fn forget(&self, service: Service, cid: u8) {
        let _ = self.commands.send(Command::Forget(service, cid)).await;
    }

    /// Notes the session of a family, so that its client id outlives us; `None` when it is down. Returns when it is on disk, for
    /// we may be killed next.
    pub async fn note_session(&self, family: IpFamily, session: Option<StoredSession>) {
        let (sender, done) = oneshot::channel();
        if self.commands.send(Command::Session(family, session, sender)).await.is_ok() {
            let _ = tokio::time::timeout(GRACE, done).await;
        }
    }

    /// Waits until the task has ended, all ids given back, after every other handle is gone.
    pub async fn closed(self) {
        let Self { commands, mut end } = self;
        drop(commands);
        let _ = tokio::time::timeout(RELEASE_DEADLINE + GRACE, end.wait_for(Option::is_some)).await;
    }

    fn gone<F>(&self) -> RequestError<F> {
        RequestError::Gone(reason(&self.end))
    }
}

/// Beyond a request's deadline, how long to wait for the task's word.
const GRACE: Duration = Duration::from_secs(6);

/// Why the task has ended; `None` while it runs.
type End = watch::Receiver<Option<String>>;

fn reason(end: &End) -> String {
    end.borrow().clone().unwrap_or_else(|| "the control port is closed".to_owned())
}

struct Task {
    port: Port,
    client: Client,
    callers: HashMap<Key, oneshot::Sender<Answer>>,
    indications: mpsc::Sender<Frame>,
    missed: Arc<AtomicBool>,
    ledger: Ledger,
    ids: Ids,
}

/// Why the task ends.
enum Why {
    Port(PortError),
    Dead,
    Closed,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, end: watch::Sender<Option<String>>) {
        let why = self.serve(&mut commands).await;
        let text = match &why {
            Why::Port(error) => error.to_string(),
            Why::Dead => format!("{} does not answer any more", self.port.path().display()),
            Why::Closed => {
                self.release_all().await;
                "the control port is closed".to_owned()
            }
        };
        tracing::debug!(port = %self.port.path().display(), reason = %text, counts = ?self.client.counts(), "control port closed");
        // Unlocked before anyone hears of the end and opens anew; told before the callers' channels close.
        self.ledger = Ledger::none();
        end.send_replace(Some(text));
    }

    async fn serve(&mut self, commands: &mut mpsc::Receiver<Command>) -> Why {
        let mut bytes = Vec::new();
        loop {
            if let Err(end) = self.settle().await {
                return end;
            }
            let deadline = self.client.next_deadline();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return Why::Closed,
                },
                read = self.port.read(&mut bytes) => match read {
                    Ok(()) => self.client.handle_bytes(&bytes),
                    Err(error) => return Why::Port(error),
                },
                () = sleep_until(deadline.unwrap_or_else(now).into()), if deadline.is_some() => {
                    self.client.handle_timeout(now());
                }
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Request { queue, patience, answer } => {
                // Whoever gave up before we got to it needs no answer any more.
                if answer.is_closed() {
                    return;
                }
                match queue(&mut self.client, now() + patience) {
                    Ok(key) => drop(self.callers.insert(key, answer)),
                    Err(TooManyInFlight) => drop(answer.send(Err(Lost::Busy))),
                }
            }
            Command::Session(family, session, done) => {
                self.ids.sessions.retain(|stored| stored.family != family);
                self.ids.sessions.extend(session);
                self.ledger.store(&self.ids);
                let _ = done.send(());
            }
            Command::Adopt(service, cid) => {
                self.ids.hold(service, cid);
                self.ledger.store(&self.ids);
            }
            Command::Forget(service, cid) => {
                self.ids.let_go(service, cid);
                self.ledger.store(&self.ids);
            }
        }
    }

    /// Writes what is to be written and hands out what has happened.
    async fn settle(&mut self) -> Result<(), Why> {
        loop {
            while let Some(frame) = self.client.poll_transmit() {
                self.port.write(&frame).await.map_err(Why::Port)?;
            }
            let Some(event) = self.client.poll_event() else { return Ok(()) };
            match event {
                Event::Answer { key, frame } => {
                    let caller = self.callers.remove(&key);
                    self.note_ids(&frame, caller.as_ref().is_none_or(oneshot::Sender::is_closed));
                    caller.map(|caller| caller.send(Ok(frame)));
                }
                Event::TimedOut { key } => {
                    self.callers.remove(&key).map(|caller| caller.send(Err(Lost::TimedOut)));
                }
                Event::Indication(frame) => {
                    if self.indications.try_send(frame).is_err() {
                        self.missed.store(true, Ordering::Relaxed);
                    }
                }
                Event::Dead => return Err(Why::Dead),
            }
        }
    }

    /// Keeps the list of ids. An id that nobody waits for is given back.
    fn note_ids(&mut self, frame: &Frame, is_unwanted: bool) {
        if frame.service != Service::Ctl {
            return;
        }
        if frame.message == AllocateCid::ID
            && let Ok(answer) = frame.read_answer::<AllocateCid>()
        {
            let id = answer.allocation_info;
            self.ids.hold(id.service, id.cid);
            if is_unwanted {
                let release = ReleaseCid { release_info: id };
                let _ = self.client.request(0, &release, now() + RELEASE_DEADLINE);
            }
        } else if frame.message == ReleaseCid::ID {
            match frame.read_answer::<ReleaseCid>() {
                Ok(answer) => self.ids.let_go(answer.release_info.service, answer.release_info.cid),
                Err(_) => return,
            }
        } else if frame.message == Sync::ID && frame.read_answer::<Sync>().is_ok() {
            self.ids.let_all_go();
        } else {
            return;
        }
        self.ledger.store(&self.ids);
    }

    /// Gives back every id but those that own a session.
    async fn release_all(&mut self) {
        self.callers.clear();
        let end = now() + RELEASE_DEADLINE;
        let free: Vec<_> = self
            .ids
            .clients
            .iter()
            .map(|(service, cid)| (Service::from(*service), *cid))
            .filter(|(service, cid)| !self.ids.owns_session(*service, *cid))
            .collect();
        for (service, cid) in free {
            let release = ReleaseCid { release_info: ClientId { service, cid } };
            let _ = self.client.request(0, &release, end);
        }
        let mut bytes = Vec::new();
        while self.settle().await.is_ok() && self.client.in_flight() > 0 && now() < end {
            tokio::select! {
                read = self.port.read(&mut bytes) => match read {
                    Ok(()) => self.client.handle_bytes(&bytes),
                    Err(_) => return,
                },
                () = sleep_until(end.into()) => return,
            }
        }
    }
}

/// The runtime's clock, which tests can hold.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// True when the modem does not know the request: an older or newer sibling of the message may do.
#[must_use]
pub fn is_unsupported(error: ProtocolError) -> bool {
    matches!(
        error,
        ProtocolError::NotSupported | ProtocolError::InvalidQmiCommand | ProtocolError::DeviceUnsupported
    )
}
