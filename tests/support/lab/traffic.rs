//! What runs behind the router while things happen: a UDP stream, a download, a ping.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::server::{DOWNLOAD, REFLECT, SERVER};
use super::{Space, server};

/// One datagram of a stream.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// When it was sent.
    pub sent: Instant,
    /// When its answer came.
    pub answered: Option<Instant>,
    /// The address that the server saw: it tells the uplink.
    pub seen_from: Option<IpAddr>,
}

/// A stream of small datagrams to [`SERVER`], each answered.
pub struct UdpStream {
    log: Arc<Mutex<Log>>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Default)]
struct Log {
    /// Number of the first datagram in it.
    first: usize,
    datagrams: Vec<Datagram>,
}

impl UdpStream {
    /// Starts a stream from `space`, one datagram an interval, from a port of its own.
    pub fn start(space: &Space, every: Duration) -> Self {
        let socket = Arc::new(server::udp(space, SocketAddr::from(([0, 0, 0, 0], 0))));
        let log = Arc::<Mutex<Log>>::default();
        let sending = tokio::spawn(send(socket.clone(), log.clone(), every));
        let receiving = tokio::spawn(receive(socket, log.clone()));
        Self { log, tasks: [sending, receiving] }
    }

    /// Everything so far.
    pub fn log(&self) -> Vec<Datagram> {
        self.log.lock().unwrap().datagrams.clone()
    }

    /// Forgets everything so far.
    pub fn forget(&self) {
        let mut log = self.log.lock().unwrap();
        log.first += log.datagrams.len();
        log.datagrams.clear();
    }

    /// The last answer: its uplink's address and when its question was sent.
    pub fn last_answer(&self) -> Option<(IpAddr, Instant)> {
        let log = self.log.lock().unwrap();
        log.datagrams.iter().rev().find_map(|datagram| Some((datagram.seen_from?, datagram.sent)))
    }

    /// Longest time within which no datagram that was answered was sent.
    pub fn longest_gap(&self) -> Duration {
        let log = self.log.lock().unwrap();
        let answered: Vec<_> = log.datagrams.iter().filter(|datagram| datagram.answered.is_some()).collect();
        answered.windows(2).map(|pair| pair[1].sent - pair[0].sent).max().unwrap_or_default()
    }

    /// Datagrams sent, and those never answered; the last half second is not judged.
    pub fn sent_and_lost(&self) -> (usize, usize) {
        let log = self.log.lock().unwrap();
        let old = |datagram: &&Datagram| datagram.sent.elapsed() > Duration::from_millis(500);
        let sent = log.datagrams.iter().filter(old).count();
        (sent, log.datagrams.iter().filter(old).filter(|datagram| datagram.answered.is_none()).count())
    }

    /// How many answers came by each uplink.
    pub fn uplinks(&self) -> BTreeMap<IpAddr, usize> {
        let mut counts = BTreeMap::new();
        for address in self.log.lock().unwrap().datagrams.iter().filter_map(|datagram| datagram.seen_from) {
            *counts.entry(address).or_default() += 1;
        }
        counts
    }
}

impl Drop for UdpStream {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn send(socket: Arc<UdpSocket>, log: Arc<Mutex<Log>>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let number = {
            let mut log = log.lock().unwrap();
            log.datagrams.push(Datagram { sent: Instant::now(), answered: None, seen_from: None });
            log.first + log.datagrams.len() - 1
        };
        // The router may say that there is no way; the next one may find one.
        let _ = socket.send_to(number.to_string().as_bytes(), (SERVER, REFLECT)).await;
    }
}

async fn receive(socket: Arc<UdpSocket>, log: Arc<Mutex<Log>>) {
    let mut buffer = [0; 128];
    loop {
        let Ok(len) = socket.recv(&mut buffer).await else { continue };
        let text = String::from_utf8_lossy(&buffer[..len]);
        let (from, number) = text.split_once(' ').unwrap();
        let mut log = log.lock().unwrap();
        let number: usize = number.parse().unwrap();
        // Late answers may be to what is forgotten.
        let Some(number) = number.checked_sub(log.first) else { continue };
        let datagram = &mut log.datagrams[number];
        datagram.answered = Some(Instant::now());
        datagram.seen_from = Some(from.parse().unwrap());
    }
}

/// Asks [`SERVER`] once from a fresh port, and tells by which address it saw the question; `None` without an answer in time.
pub async fn ask_once(space: &Space, timeout: Duration) -> Option<IpAddr> {
    ask_once_at(space, SERVER, timeout).await
}

/// As [`ask_once`], by any of the server's addresses.
pub async fn ask_once_at(space: &Space, address: IpAddr, timeout: Duration) -> Option<IpAddr> {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = server::udp(space, SocketAddr::new(any, 0));
    socket.send_to(b"?", (address, REFLECT)).await.ok()?;
    let mut buffer = [0; 128];
    let len = tokio::time::timeout(timeout, socket.recv(&mut buffer)).await.ok()?.ok()?;
    String::from_utf8_lossy(&buffer[..len]).split_once(' ')?.0.parse().ok()
}

/// A TCP download from [`SERVER`].
pub struct Download {
    state: Arc<Mutex<Progress>>,
    task: JoinHandle<()>,
}

/// How a download goes.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Bytes of the answer, head included.
    pub received_bytes: usize,
    /// When the last ones came.
    pub last: Instant,
    /// Whether it ended as it should; `None` while it goes on.
    pub complete: Option<bool>,
}

impl Download {
    /// Starts a download of so many bytes at so many a second.
    pub fn start(space: &Space, size_bytes: usize, bytes_per_s: usize) -> Self {
        let progress = Progress { received_bytes: 0, last: Instant::now(), complete: None };
        let state = Arc::new(Mutex::new(progress));
        let task = tokio::spawn(fetch(space.clone(), size_bytes, bytes_per_s, state.clone()));
        Self { state, task }
    }

    /// How it goes.
    pub fn progress(&self) -> Progress {
        *self.state.lock().unwrap()
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn fetch(space: Space, size_bytes: usize, bytes_per_s: usize, state: Arc<Mutex<Progress>>) {
    let connected = tokio::task::spawn_blocking(move || {
        let address = SocketAddr::new(SERVER, DOWNLOAD);
        space.enter(|| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(10)))
    });
    let result = async {
        let stream = connected.await.unwrap()?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream)?;
        let request = format!("GET /{size_bytes}/{bytes_per_s} HTTP/1.1\r\nHost: lab\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = vec![0; 65_536];
        loop {
            let len = stream.read(&mut buffer).await?;
            let mut state = state.lock().unwrap();
            if len == 0 {
                return std::io::Result::Ok(state.received_bytes > size_bytes);
            }
            state.received_bytes += len;
            state.last = Instant::now();
        }
    };
    let complete = result.await.unwrap_or(false);
    state.lock().unwrap().complete = Some(complete);
}

/// The `ping` that everybody knows, to [`SERVER`].
pub struct Ping {
    child: Child,
}

impl Ping {
    /// Starts one, ten a second.
    pub fn start(space: &Space) -> Self {
        let mut command = Command::new("ping");
        command.args(["-i", "0.1", "-n", &SERVER.to_string()]).stdout(Stdio::piped()).stderr(Stdio::null());
        Self { child: space.enter(|| command.spawn().unwrap()) }
    }

    /// Ends it; gives how many it sent and how many answers came, by its own account.
    pub fn end(self) -> (usize, usize) {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).unwrap();
        let output = self.child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let summary = text.lines().find(|line| line.contains("packets transmitted")).expect(&text);
        let mut numbers = summary.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
        (numbers.next().unwrap(), numbers.next().unwrap())
    }
}
