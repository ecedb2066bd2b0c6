//! A carrier behind a simulated modem: takes the router's packets from the modem's network interface to the carrier's
//! kernel and back, as long as the modem has a session for them.
//!
//! ```text
//!  router's TUN ──up──▶ session of that address? ─▶ impairment ─▶ carrier's TUN
//!       ▲                                                            │
//!       └───────────── impairment ◀─ session of that address? ◀──down┘
//! ```
//!
//! One task per carrier; it may be stopped at any time, and both interfaces are gone with it. The modem's interface is
//! there while the modem is on the bus: it vanishes with a restart and comes back with the ports. Each direction holds
//! [`MAX_WAITING`] packets that are on their way; more are lost, as in a full buffer.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::impairment::{Direction, Impairment, Path};
use super::packet::Flow;
use super::port::SimModem;

/// Packets on their way in one direction.
pub const MAX_WAITING: usize = 4096;
/// Packets that a slow watcher may lag behind; then it misses the oldest.
const MAX_SEEN: usize = 4096;
/// Longest packet.
const MAX_PACKET_LEN: usize = 65_535;

/// One end of the path: reads and writes whole packets.
pub trait Packets: AsyncRead + AsyncWrite + Send + Unpin {}
impl<P: AsyncRead + AsyncWrite + Send + Unpin> Packets for P {}

/// Makes the modem's network interface, at the start and each time the modem is back on the bus.
pub type Opener = Box<dyn FnMut() -> io::Result<Box<dyn Packets>> + Send>;

/// A packet as the carrier saw it, when it was taken in.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// Which way it went.
    pub direction: Direction,
    /// Whose it was.
    pub flow: Flow,
    /// Its length in bytes, IP header included.
    pub len: usize,
}

/// What a carrier has done so far, in packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken from the router.
    pub up: u64,
    /// Taken for the router.
    pub down: u64,
    /// Of no session that carries data, such as one with a foreign source address.
    pub strangers: u64,
    /// Lost to the impairment, or to a full buffer.
    pub lost: u64,
}

/// A running carrier. It stops when the value is dropped.
#[derive(Debug)]
pub struct Carrier {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    path: Mutex<Path>,
    counts: Mutex<Counts>,
    seen: broadcast::Sender<Seen>,
    start: Instant,
    /// Whether the modem's interface is there.
    is_open: watch::Sender<bool>,
}

impl Carrier {
    /// Starts a carrier in the current runtime, between the interface of `modem`, made by `open`, and `core`.
    ///
    /// # Errors
    /// When the interface cannot be made.
    pub fn spawn(modem: SimModem, mut open: Opener, core: Box<dyn Packets>, seed: u64) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            path: Mutex::new(Path::new(seed)),
            counts: Mutex::default(),
            seen: broadcast::Sender::new(MAX_SEEN),
            start: Instant::now(),
            is_open: watch::Sender::new(true),
        });
        let device = modem.device();
        let edge = Some(open()?);
        let relay = Relay { shared: shared.clone(), modem, open, edge, core, waiting: Default::default() };
        Ok(Self { shared, task: tokio::spawn(relay.run(device)) })
    }

    /// How bad a direction is from now on.
    pub fn impair(&self, direction: Direction, impairment: Impairment) {
        lock(&self.shared.path).set(direction, impairment);
    }

    /// Both directions die silently, or live again.
    pub fn die(&self, dead: bool) {
        let mut path = lock(&self.shared.path);
        for direction in [Direction::Up, Direction::Down] {
            let impairment = Impairment { dead, ..path.impairment(direction) };
            path.set(direction, impairment);
        }
    }

    /// The packets from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Seen> {
        self.shared.seen.subscribe()
    }

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *lock(&self.shared.counts)
    }

    /// Whether the modem's interface is there, and each change of that.
    #[must_use]
    pub fn is_open(&self) -> watch::Receiver<bool> {
        self.shared.is_open.subscribe()
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A poisoned lock means that a test failed while holding it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Relay {
    shared: Arc<Shared>,
    modem: SimModem,
    open: Opener,
    edge: Option<Box<dyn Packets>>,
    core: Box<dyn Packets>,
    waiting: Waiting,
}

/// Packets on their way, with the time when each arrives.
#[derive(Default)]
struct Waiting {
    up: VecDeque<(Duration, Vec<u8>)>,
    down: VecDeque<(Duration, Vec<u8>)>,
}

enum Wake {
    Device(bool),
    Packet(Direction, usize),
    /// The modem's interface does not work any more.
    Broken(io::Error),
    Due,
    /// Modem or carrier's kernel is gone for good.
    End,
}

impl Relay {
    async fn run(mut self, mut device: watch::Receiver<Option<u16>>) {
        let mut buffers = [vec![0; MAX_PACKET_LEN], vec![0; MAX_PACKET_LEN]];
        loop {
            self.deliver().await;
            let wake = self.wait(&mut device, &mut buffers).await;
            match wake {
                Wake::Device(present) => self.follow(present),
                Wake::Packet(Direction::Up, len) => self.take(Direction::Up, &buffers[0][..len]),
                Wake::Packet(Direction::Down, len) => self.take(Direction::Down, &buffers[1][..len]),
                Wake::Broken(error) => {
                    tracing::warn!(%error, "the network interface of a simulated modem is gone");
                    self.edge = None;
                    self.shared.is_open.send_replace(false);
                }
                Wake::Due => {}
                Wake::End => return,
            }
        }
    }

    async fn wait(
        &mut self,
        device: &mut watch::Receiver<Option<u16>>,
        [up, down]: &mut [Vec<u8>; 2],
    ) -> Wake {
        let due = [&self.waiting.up, &self.waiting.down];
        let due = due.iter().filter_map(|queue| queue.front()).map(|(due, _)| *due).min();
        let at = self.shared.start + due.unwrap_or(Duration::MAX / 4);
        tokio::select! {
            changed = device.changed() => match changed {
                Ok(()) => Wake::Device(device.borrow_and_update().is_some()),
                Err(_) => Wake::End,
            },
            len = read(&mut self.edge, up) => len.map_or_else(Wake::Broken, |len| Wake::Packet(Direction::Up, len)),
            len = self.core.read(down) => len.map_or(Wake::End, |len| Wake::Packet(Direction::Down, len)),
            () = sleep_until(at), if due.is_some() => Wake::Due,
        }
    }

    /// The interface comes and goes with the modem.
    fn follow(&mut self, present: bool) {
        // Even when it was away so shortly that only the new device is seen.
        self.edge = None;
        self.waiting = Waiting::default();
        if present {
            match (self.open)() {
                Ok(edge) => self.edge = Some(edge),
                Err(error) => {
                    tracing::error!(%error, "the network interface of a simulated modem cannot be made")
                }
            }
        }
        self.shared.is_open.send_replace(self.edge.is_some());
    }

    fn take(&mut self, direction: Direction, packet: &[u8]) {
        let mut counts = lock(&self.shared.counts);
        let Some(flow) = Flow::of(packet) else {
            counts.strangers += 1;
            return;
        };
        let (router, count, queue) = match direction {
            Direction::Up => (flow.source.ip(), &mut counts.up, &mut self.waiting.up),
            Direction::Down => (flow.destination.ip(), &mut counts.down, &mut self.waiting.down),
        };
        if !self.modem.carries(router) {
            counts.strangers += 1;
            return;
        }
        *count += 1;
        let at = Instant::now();
        let due = lock(&self.shared.path).judge(direction, at - self.shared.start);
        match due {
            Some(due) if queue.len() < MAX_WAITING => queue.push_back((due, packet.to_vec())),
            _ => counts.lost += 1,
        }
        // Nobody may be watching.
        let _ = self.shared.seen.send(Seen { at, direction, flow, len: packet.len() });
    }

    /// Hands on what is due. What an interface does not take, such as one that is down, is lost.
    async fn deliver(&mut self) {
        let now = self.shared.start.elapsed();
        let due = |queue: &mut VecDeque<(Duration, Vec<u8>)>| {
            let is_due = queue.front().is_some_and(|(due, _)| *due <= now);
            if is_due { queue.pop_front().map(|(_, packet)| packet) } else { None }
        };
        while let Some(packet) = due(&mut self.waiting.up) {
            if self.core.write(&packet).await.is_err() {
                lock(&self.shared.counts).lost += 1;
            }
        }
        while let Some(packet) = due(&mut self.waiting.down) {
            let written = match &mut self.edge {
                Some(edge) => edge.write(&packet).await.is_ok(),
                None => false,
            };
            if !written {
                lock(&self.shared.counts).lost += 1;
            }
        }
    }
}

async fn read(edge: &mut Option<Box<dyn Packets>>, buffer: &mut [u8]) -> io::Result<usize> {
    match edge {
        Some(edge) => match edge.read(buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            len => Ok(len),
        },
        None => std::future::pending().await,
    }
}
