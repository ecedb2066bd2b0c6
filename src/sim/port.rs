//! A simulated modem behind real ports: ptys with links to them, a place in a sysfs tree, a Unix socket, or memory.
//!
//! One task per modem owns its two lines; it waits for bytes, for the modem's next deadline, or for a nudge of a handle,
//! then writes out what the modem said. It may be stopped at any time: its links go with it. Handles act on the modem
//! under a lock that is never held while waiting.
//!
//! A line that nobody reads holds [`MAX_WAITING`] frames; then the oldest are lost, as in the kernel's buffer.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, ReadHalf, WriteHalf,
};
use tokio::net::UnixListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::modem::{Modem, Output, Settings};
use super::scenario::Fault;
use super::sysfs::{Place, Tree};

/// Frames or AT texts that wait for a reader of one line.
pub const MAX_WAITING: usize = 256;
/// Longest frame taken: what a cdc-wdm takes in one write.
const MAX_FRAME_LEN: usize = 4096;
/// Bytes in flight each way of a port in memory.
const MEMORY_BYTES: usize = 64 * 1024;

/// Where the ports of a modem appear.
#[derive(Debug, Clone)]
pub enum Publish {
    /// Only in memory: see [`SimModem::open_control`].
    Memory,
    /// Ptys, with links to them at these paths.
    Links {
        /// Of the control port.
        control: PathBuf,
        /// Of the AT port.
        at: PathBuf,
    },
    /// Ptys, with links in the tree's device folder; the modem is plugged into the tree and, when it restarts, leaves it
    /// and comes back with another device number.
    Tree {
        /// The folders.
        tree: Tree,
        /// Its place.
        place: Place,
    },
}

/// A running simulated modem. Clones are handles of the same one; it stops with the last of them.
#[derive(Debug, Clone)]
pub struct SimModem {
    shared: Arc<Shared>,
    _task: Arc<Task>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Shared {
    modem: Mutex<Modem>,
    incoming: Mutex<Incoming>,
    start: Instant,
    nudge: Notify,
    device: watch::Sender<Option<u16>>,
}

/// Streams handed in, not yet taken by the task.
#[derive(Debug, Default)]
struct Incoming {
    control: Option<Line>,
    at: Option<Line>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl SimModem {
    /// Starts a modem in the current runtime.
    ///
    /// # Errors
    /// A pty or a link that could not be made, such as a path where something else than a link is.
    pub fn spawn(settings: Settings, publish: Publish) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            modem: Mutex::new(Modem::new(settings)),
            incoming: Mutex::default(),
            start: Instant::now(),
            nudge: Notify::new(),
            device: watch::Sender::new(None),
        });
        let mut ports = Ports { shared: shared.clone(), publish, control: None, at: None, links: Vec::new() };
        ports.appear()?;
        let task = Task(tokio::spawn(ports.run()));
        Ok(Self { shared, _task: Arc::new(task) })
    }

    /// Starts a modem whose ports are in memory.
    #[must_use]
    pub fn in_memory(settings: Settings) -> Self {
        Self::spawn(settings, Publish::Memory).expect("memory needs no path")
    }

    /// Starts a modem on ptys, with links to them at these paths.
    ///
    /// # Errors
    /// As [`SimModem::spawn`].
    pub fn on_ptys(settings: Settings, control: &Path, at: &Path) -> io::Result<Self> {
        Self::spawn(settings, Publish::Links { control: control.to_owned(), at: at.to_owned() })
    }

    /// Opens the control port in memory. The opener before hears nothing any more.
    ///
    /// # Errors
    /// `NotFound` while the modem restarts.
    pub fn open_control(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(MEMORY_BYTES);
        self.attach(|incoming| incoming.control = Some(Line::new(ours)))?;
        Ok(theirs)
    }

    /// Opens the AT port in memory.
    ///
    /// # Errors
    /// `NotFound` while the modem restarts.
    pub fn open_at(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(MEMORY_BYTES);
        self.attach(|incoming| incoming.at = Some(Line::new(ours)))?;
        Ok(theirs)
    }

    /// Offers the control port on a Unix stream socket, one client at a time, until the future is dropped.
    ///
    /// # Errors
    /// What the socket says.
    pub async fn serve_socket(&self, path: &Path) -> io::Result<()> {
        let listener = UnixListener::bind(path)?;
        loop {
            let (stream, _) = listener.accept().await?;
            // While the modem restarts a client is turned away.
            let _ = self.attach(|incoming| incoming.control = Some(Line::new(stream)));
        }
    }

    fn attach(&self, put: impl FnOnce(&mut Incoming)) -> io::Result<()> {
        if !self.inspect(|modem| modem.is_present()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        put(&mut lock(&self.shared.incoming));
        self.shared.nudge.notify_one();
        Ok(())
    }

    /// A fault begins, or happens.
    pub fn begin(&self, fault: &Fault) {
        self.act(|modem, now| modem.begin(fault, now));
    }

    /// A fault that lasts is lifted.
    pub fn end(&self, fault: &Fault) {
        self.act(|modem, now| modem.end(fault, now));
    }

    /// Looks at the modem as it is now.
    pub fn inspect<T>(&self, look: impl FnOnce(&Modem) -> T) -> T {
        self.act(|modem, now| {
            modem.advance(now);
            look(modem)
        })
    }

    /// Whether a packet from or to this address of the router passes now, as the modem's task last saw it.
    #[must_use]
    pub fn carries(&self, address: IpAddr) -> bool {
        lock(&self.shared.modem).carries(address)
    }

    /// Time since the modem was made: the time of [`Modem`].
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.now()
    }

    /// The USB device number while the ports are there, and each change of that: another one after a restart.
    #[must_use]
    pub fn device(&self) -> watch::Receiver<Option<u16>> {
        self.shared.device.subscribe()
    }

    fn act<T>(&self, act: impl FnOnce(&mut Modem, Duration) -> T) -> T {
        let now = self.shared.now();
        let result = act(&mut lock(&self.shared.modem), now);
        self.shared.nudge.notify_one();
        result
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A poisoned lock means that a test failed while holding it; the modem itself never panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The two lines of one modem and where they are published.
struct Ports {
    shared: Arc<Shared>,
    publish: Publish,
    control: Option<Line>,
    at: Option<Line>,
    links: Vec<Link>,
}

enum Wake {
    Control(io::Result<Vec<u8>>),
    At(io::Result<Vec<u8>>),
    Nudge,
    Deadline,
}

impl Ports {
    async fn run(mut self) {
        let mut frames = Reassembly::default();
        loop {
            let deadline = self.pump();
            match self.wait(deadline).await {
                Wake::Control(Ok(bytes)) => {
                    frames.push(&bytes);
                    let (mut modem, now) = (lock(&self.shared.modem), self.shared.now());
                    while let Some(frame) = frames.next_frame() {
                        modem.handle_qmi(&frame, now);
                    }
                }
                Wake::At(Ok(bytes)) => lock(&self.shared.modem).handle_at(&bytes, self.shared.now()),
                Wake::Control(Err(_)) => {
                    self.control = None;
                    frames = Reassembly::default();
                }
                Wake::At(Err(_)) => self.at = None,
                Wake::Nudge | Wake::Deadline => {}
            }
        }
    }

    async fn wait(&mut self, deadline: Option<Duration>) -> Wake {
        // Far enough to be never.
        let never = Duration::from_secs(365 * 24 * 3600);
        let wake_at = self.shared.start + deadline.unwrap_or(self.shared.now() + never);
        tokio::select! {
            result = read(&mut self.control) => Wake::Control(result),
            result = read(&mut self.at) => Wake::At(result),
            () = self.shared.nudge.notified() => Wake::Nudge,
            () = sleep_until(wake_at) => Wake::Deadline,
        }
    }

    /// Lets the modem act and hands what it says to the lines; gives its next deadline.
    fn pump(&mut self) -> Option<Duration> {
        let mut outputs = Vec::new();
        let deadline = {
            let mut modem = lock(&self.shared.modem);
            modem.advance(self.shared.now());
            outputs.extend(std::iter::from_fn(|| modem.poll_output()));
            modem.next_deadline()
        };
        for output in outputs {
            match output {
                Output::Qmi(frame) => self.control.as_mut().map_or((), |line| line.put(frame)),
                Output::At(text) => self.at.as_mut().map_or((), |line| line.put(text)),
                Output::Gone => self.vanish(),
                Output::Back => {
                    if let Err(error) = self.appear() {
                        tracing::error!(%error, "a simulated modem cannot come back");
                    }
                }
            }
        }
        let incoming = std::mem::take(&mut *lock(&self.shared.incoming));
        if self.shared.device.borrow().is_some() {
            self.control = incoming.control.or(self.control.take());
            self.at = incoming.at.or(self.at.take());
        }
        deadline
    }

    fn appear(&mut self) -> io::Result<()> {
        let number = lock(&self.shared.modem).device_number();
        let (control, at) = match &mut self.publish {
            Publish::Memory => {
                self.shared.device.send_replace(Some(number));
                return Ok(());
            }
            Publish::Links { control, at } => (control.clone(), at.clone()),
            Publish::Tree { tree, place } => {
                place.device = number;
                tree.plug(place)?;
                (tree.control_path(place), tree.at_path(place))
            }
        };
        for (path, line) in [(control, &mut self.control), (at, &mut self.at)] {
            let (master, name) = Pty::open()?;
            self.links.push(Link::create(&name, path)?);
            *line = Some(Line::new(master));
        }
        self.shared.device.send_replace(Some(number));
        Ok(())
    }

    fn vanish(&mut self) {
        self.links.clear();
        (self.control, self.at) = (None, None);
        if let Publish::Tree { tree, place } = &self.publish
            && let Err(error) = tree.unplug(place)
        {
            tracing::error!(%error, "a simulated modem cannot be pulled out");
        }
        self.shared.device.send_replace(None);
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        self.links.clear();
        if let Publish::Tree { tree, place } = &self.publish {
            let _ = tree.unplug(place);
        }
    }
}

async fn read(line: &mut Option<Line>) -> io::Result<Vec<u8>> {
    match line {
        Some(line) => line.transfer().await,
        None => std::future::pending().await,
    }
}

/// One port: what comes in, and what waits to go out, one frame a write.
#[derive(Debug)]
struct Line {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    waiting: VecDeque<Vec<u8>>,
    /// Bytes of the first waiting one that are out already.
    written: usize,
}

impl std::fmt::Debug for dyn Stream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Stream")
    }
}

impl Line {
    fn new(stream: impl Stream + 'static) -> Self {
        let (reader, writer) = tokio::io::split(Box::new(stream) as Box<dyn Stream>);
        Self { reader, writer, waiting: VecDeque::new(), written: 0 }
    }

    fn put(&mut self, bytes: Vec<u8>) {
        if self.waiting.len() >= MAX_WAITING {
            // The first one may be half out.
            self.waiting.remove(1);
        }
        self.waiting.push_back(bytes);
    }

    /// Writes what waits until something comes in. May be dropped and called again at any time.
    async fn transfer(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = [0; MAX_FRAME_LEN];
        loop {
            let first = self.waiting.front().map_or(&[][..], |first| &first[self.written..]);
            tokio::select! {
                biased;
                written = self.writer.write(first), if !first.is_empty() => {
                    self.written += written?;
                    if self.waiting.front().is_some_and(|first| first.len() == self.written) {
                        self.waiting.pop_front();
                        self.written = 0;
                    }
                }
                count = self.reader.read(&mut buffer) => match count? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => return Ok(buffer[..count].to_vec()),
                },
            }
        }
    }
}

/// Whole frames out of a stream of bytes, by their length alone; what cannot be one is skipped byte by byte.
#[derive(Debug, Default)]
struct Reassembly {
    bytes: Vec<u8>,
}

impl Reassembly {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn next_frame(&mut self) -> Option<Vec<u8>> {
        loop {
            let start = self.bytes.iter().position(|byte| *byte == 1).unwrap_or(self.bytes.len());
            self.bytes.drain(..start);
            let size = usize::from(u16::from_le_bytes([*self.bytes.get(1)?, *self.bytes.get(2)?])) + 1;
            match size {
                12..=MAX_FRAME_LEN if self.bytes.len() < size => return None,
                12..=MAX_FRAME_LEN => return Some(self.bytes.drain(..size).collect()),
                _ => drop(self.bytes.drain(..1)),
            }
        }
    }
}

/// The master of a raw pty. The slave is held open too: else reading fails whenever no client is there.
struct Pty {
    master: AsyncFd<OwnedFd>,
    _slave: OwnedFd,
}

impl Pty {
    fn open() -> io::Result<(Self, PathBuf)> {
        let pair = openpty(None, None)?;
        // Raw before anybody learns the name: a cooked one would echo and eat control bytes.
        let mut modes = tcgetattr(&pair.slave)?;
        cfmakeraw(&mut modes);
        tcsetattr(&pair.slave, SetArg::TCSANOW, &modes)?;
        let name = nix::unistd::ttyname(&pair.slave)?;
        for fd in [&pair.master, &pair.slave] {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        let flags = OFlag::from_bits_retain(fcntl(&pair.master, FcntlArg::F_GETFL)?);
        fcntl(&pair.master, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        // The new way is unsafe for fds that may be closed elsewhere; this one is owned.
        #[allow(deprecated)]
        let master = AsyncFd::new(pair.master)?;
        Ok((Self { master, _slave: pair.slave }, name))
    }
}

impl AsyncRead for Pty {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.master.poll_read_ready(cx))?;
            let unfilled = out.initialize_unfilled();
            if let Ok(result) = guard.try_io(|fd| Ok(nix::unistd::read(fd.get_ref(), unfilled)?)) {
                out.advance(result?);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Pty {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.master.poll_write_ready(cx))?;
            if let Ok(result) = guard.try_io(|fd| Ok(nix::unistd::write(fd.get_ref(), bytes)?)) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A symbolic link that goes with this value.
#[derive(Debug)]
struct Link {
    path: PathBuf,
    target: PathBuf,
}

impl Link {
    /// Replaces an old link; anything else at the path stays and is an error.
    fn create(target: &Path, path: PathBuf) -> io::Result<Self> {
        let explain = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if path.is_symlink() {
            std::fs::remove_file(&path).map_err(explain)?;
        }
        symlink(target, &path).map_err(explain)?;
        Ok(Self { path, target: target.to_owned() })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Another simulator may have taken the path over.
        if std::fs::read_link(&self.path).is_ok_and(|target| target == self.target) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qmi::frame::Frame;
    use crate::qmi::message::{Body as _, Request};
    use crate::qmi::{Deframer, Service, ctl, dms};
    use proptest::prelude::*;
    use std::os::unix::fs::OpenOptionsExt as _;

    /// What is waited for here comes at once, or never.
    async fn soon<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(30), what).await.expect("it happens in time")
    }

    async fn until(holds: impl Fn() -> bool) {
        soon(async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    /// A client of a pty. It waits in no thread, so waiting can be given up.
    fn client(port: &Path) -> Pty {
        let mut options = std::fs::File::options();
        options.read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let slave = OwnedFd::from(options.open(port).unwrap());
        let _slave = slave.try_clone().unwrap();
        #[allow(deprecated)]
        Pty { master: AsyncFd::new(slave).unwrap(), _slave }
    }

    async fn ask<R: Request>(
        port: &mut (impl AsyncRead + AsyncWrite + Unpin),
        client: u8,
        request: &R,
    ) -> Frame {
        port.write_all(&Frame::request(client, 1, request).encode()).await.unwrap();
        let mut frames = Deframer::default();
        let mut buffer = [0; 4096];
        loop {
            if let Some(frame) = frames.next_frame().filter(|frame| frame.message == R::ID) {
                return frame;
            }
            let count = soon(port.read(&mut buffer)).await.unwrap();
            assert_ne!(count, 0, "hung up");
            frames.push(&buffer[..count]);
        }
    }

    async fn model(port: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
        let answer = ask(port, 0, &ctl::AllocateCid { service: Service::Dms }).await;
        let client = ctl::AllocateCidResponse::from_tlvs(&answer.tlvs).unwrap().allocation_info.cid;
        let answer = ask(port, client, &dms::GetModel {}).await;
        dms::GetModelResponse::from_tlvs(&answer.tlvs).unwrap().model
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_in_memory_answers_hangs_up_at_a_restart_and_is_there_again() {
        let sim = SimModem::in_memory(Settings::default());
        let mut port = sim.open_control().unwrap();
        assert_eq!(model(&mut port).await, "MC7455");
        sim.begin(&Fault::Reset);
        assert_eq!(soon(port.read(&mut [0; 64])).await.unwrap(), 0);
        assert_eq!(sim.open_control().unwrap_err().kind(), io::ErrorKind::NotFound);
        soon(sim.device().wait_for(|device| *device == Some(3))).await.unwrap();
        assert_eq!(model(&mut sim.open_control().unwrap()).await, "MC7455");
    }

    #[tokio::test]
    async fn ptys_and_sockets_answer_and_links_go_with_the_modem() {
        let folder = tempfile::tempdir().unwrap();
        let (control, at) = (folder.path().join("control"), folder.path().join("at"));
        std::fs::write(&at, "occupied").unwrap();
        assert!(SimModem::on_ptys(Settings::default(), &control, &at).is_err());
        assert!(!control.is_symlink());
        std::fs::remove_file(&at).unwrap();
        let sim = SimModem::on_ptys(Settings::default(), &control, &at).unwrap();
        let mut port = client(&control);
        port.write_all(&Frame::request(0, 1, &ctl::GetVersionInfo {}).encode()).await.unwrap();
        let mut head = [0; 12];
        soon(port.read_exact(&mut head)).await.unwrap();
        assert_eq!((head[0], head[4], head[6], head[8]), (1, 0, 1, 0x21));

        let socket = folder.path().join("socket");
        let server = sim.clone();
        let path = socket.clone();
        let serving = tokio::spawn(async move { server.serve_socket(&path).await });
        until(|| socket.exists()).await;
        let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        assert_eq!(model(&mut stream).await, "MC7455");
        serving.abort();
        let _ = serving.await;
        drop(sim);
        until(|| !control.is_symlink() && !at.is_symlink()).await;
    }

    // On a clock that stands still while anything is to be done: on a busy machine the modem would be back before anybody
    // saw that it was gone.
    #[tokio::test(start_paused = true)]
    async fn in_a_tree_a_restart_is_another_device_at_the_same_place() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::create(folder.path()).unwrap();
        let place = Place::of(0);
        let scenario = crate::sim::scenario::Scenario::parse("[modem]\nrestart-ms = 20\n").unwrap();
        let settings = Settings { scenario, ..Settings::default() };
        let sim =
            SimModem::spawn(settings, Publish::Tree { tree: tree.clone(), place: place.clone() }).unwrap();
        let devices = tree.sys().join("bus/usb/devices/1-1/devnum");
        let number = || std::fs::read_to_string(&devices).ok();
        assert_eq!(number().as_deref(), Some("2\n"));
        assert!(tree.control_path(&place).exists() && tree.at_path(&place).exists());
        sim.begin(&Fault::Reset);
        let mut device = sim.device();
        soon(device.wait_for(Option::is_none)).await.unwrap();
        assert!(number().is_none() && !tree.control_path(&place).is_symlink());
        soon(device.wait_for(|device| *device == Some(3))).await.unwrap();
        assert_eq!(number().as_deref(), Some("3\n"));
        assert!(tree.control_path(&place).exists());
        drop(sim);
        until(|| !devices.exists()).await;
    }

    proptest! {
        #[test]
        fn frames_are_found_however_the_bytes_are_cut(cuts in proptest::collection::vec(1_usize..20, 1..60)) {
            let frame = Frame::request(0, 1, &ctl::GetVersionInfo {}).encode();
            let stream: Vec<u8> = frame.iter().copied().cycle().take(frame.len() * 20).collect();
            let (mut rest, mut found, mut reassembly) = (&stream[..], 0, Reassembly::default());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (head, tail) = rest.split_at((*cut).min(rest.len()));
                rest = tail;
                reassembly.push(head);
                while let Some(found_frame) = reassembly.next_frame() {
                    prop_assert_eq!(&found_frame, &frame);
                    found += 1;
                }
            }
            prop_assert_eq!(found, 20);
        }
    }
}
