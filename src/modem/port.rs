//! A modem's QMI control port as bytes: opened directly or through `qmi-proxy`.
//!
//! - A char device (`/dev/cdc-wdm0`) takes one whole message a write; a read gives a message or what is left of one.
//! - A pty or a Unix stream socket (a simulator) is a stream; so is the proxy.
//!
//! Bytes are handed on as they come; whoever reads joins them to frames by length. There is one reader: two programs on one
//! port steal each other's answers, so a port is shared through a proxy or owned alone.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

/// Abstract Unix socket of libqmi's proxy, and of ours.
pub const PROXY_SOCKET: &str = "qmi-proxy";

/// Where distributions put libqmi's proxy.
const PROXY_PROGRAMS: &[&str] =
    &["/usr/libexec/qmi-proxy", "/usr/lib/libqmi/qmi-proxy", "/usr/lib/qmi-proxy"];

/// Longest message a cdc-wdm takes; the kernel cuts what is longer without a word.
const MAX_DEVICE_MESSAGE: usize = 4096;

/// Bytes asked for with one read: more than any message of a cdc-wdm.
pub const READ_LEN: usize = 8192;

/// Reads in a row that give nothing before the port counts as gone.
const MAX_EMPTY_READS: u32 = 64;

/// Pause after an empty read or an overflow, so that a port that only fails does not eat a core.
const EMPTY_PAUSE: Duration = Duration::from_millis(10);

/// Time for one write. A modem that takes no message for so long is dead.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);

/// Time for the proxy to open the device: it tries for 10 s itself.
const PROXY_DEADLINE: Duration = Duration::from_secs(12);

/// Tries to reach a proxy just started, [`PROXY_PAUSE`] apart.
const PROXY_TRIES: u32 = 20;
const PROXY_PAUSE: Duration = Duration::from_millis(100);

/// How the control port is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Through libqmi's proxy when it runs or is installed, else directly.
    #[default]
    Auto,
    /// Directly, as sole owner.
    Direct,
    /// Through a proxy that listens on this abstract socket already.
    Proxy(String),
}

/// What went wrong with a port.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// It could not be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The control port.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another driver or program has it.
    #[error("{} is in use by another program", path.display())]
    Busy {
        /// The control port.
        path: PathBuf,
    },
    /// The path is neither a device nor a socket.
    #[error("{} is neither a character device nor a socket", path.display())]
    NoDevice {
        /// The control port.
        path: PathBuf,
    },
    /// The proxy is there but would not open the device.
    #[error("qmi-proxy did not open {}: {reason}", path.display())]
    Proxy {
        /// The control port.
        path: PathBuf,
        /// What it did instead.
        reason: String,
    },
    /// The modem, or the proxy, is gone. Nothing will come any more.
    #[error("{} is gone: {reason}", path.display())]
    Gone {
        /// The control port.
        path: PathBuf,
        /// How that showed.
        reason: String,
    },
    /// A message longer than the port can take; nothing was written.
    #[error("a message of {len} bytes does not fit {}, which takes {MAX_DEVICE_MESSAGE}", path.display())]
    TooLong {
        /// The control port.
        path: PathBuf,
        /// Length of the message.
        len: usize,
    },
}

/// An open control port.
#[derive(Debug)]
pub struct Port {
    path: PathBuf,
    line: Line,
    shared: bool,
    empty_reads: u32,
}

/// What a simulator or a proxy offers: bytes without bounds between messages.
trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

impl std::fmt::Debug for dyn Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

#[derive(Debug)]
enum Line {
    Device(Device),
    Stream(Box<dyn Stream>),
}

impl Port {
    /// Opens `path` as `access` says.
    ///
    /// # Errors
    /// [`PortError`]; with [`Access::Auto`] the direct way is tried only where no proxy is.
    pub async fn open(path: &Path, access: &Access) -> Result<Self, PortError> {
        match access {
            Access::Direct => Self::open_direct(path).await,
            Access::Proxy(socket) => match connect_proxy(socket) {
                Ok(stream) => Self::through(stream, path).await,
                Err(error) => {
                    let reason = format!("cannot reach it: {error}");
                    Err(PortError::Proxy { path: path.to_owned(), reason })
                }
            },
            Access::Auto => match running_or_started_proxy().await {
                Some(stream) => Self::through(stream, path).await,
                None => Self::open_direct(path).await,
            },
        }
    }

    /// A port over something connected: the other end is a modem in memory, or our own proxy.
    #[must_use]
    pub fn from_stream(
        path: &Path,
        stream: impl AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static,
        shared: bool,
    ) -> Self {
        Self { path: path.to_owned(), line: Line::Stream(Box::new(stream)), shared, empty_reads: 0 }
    }

    /// The control port's path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True when other programs may use the modem through the same proxy: never send CTL Sync then.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Writes one whole message.
    ///
    /// # Errors
    /// [`PortError::Gone`] when the port is gone or takes nothing for 5 s, [`PortError::TooLong`].
    pub async fn write(&mut self, message: &[u8]) -> Result<(), PortError> {
        if matches!(&self.line, Line::Device(device) if device.is_message_based)
            && message.len() > MAX_DEVICE_MESSAGE
        {
            return Err(PortError::TooLong { path: self.path.clone(), len: message.len() });
        }
        let write = async {
            match &mut self.line {
                Line::Device(device) => device.write(message).await,
                Line::Stream(stream) => stream.write_all(message).await,
            }
        };
        match timeout(WRITE_DEADLINE, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.gone(&error.to_string())),
            Err(_) => Err(self.gone("it takes no message any more")),
        }
    }

    /// Waits for bytes and gives them as they come. Safe to cancel.
    ///
    /// # Errors
    /// [`PortError::Gone`]: unplugged, reset, hung up, or the proxy ended. Drop the port at once.
    pub async fn read(&mut self, buffer: &mut Vec<u8>) -> Result<(), PortError> {
        buffer.resize(READ_LEN, 0);
        loop {
            let read = match &mut self.line {
                Line::Device(device) => device.read(buffer).await,
                Line::Stream(stream) => stream.read(buffer).await,
            };
            match read {
                Ok(count) if count > 0 => {
                    self.empty_reads = 0;
                    buffer.truncate(count);
                    return Ok(());
                }
                // An error of the USB endpoint (EPIPE) comes as an empty read of a device; of a stream it is the end.
                Ok(_) if self.line.has_hung_up() => return Err(self.gone("hung up")),
                // A message was longer than the kernel's buffer; the next one may fit.
                Ok(_) => {}
                Err(error) if is_overflow(&error) => {
                    tracing::warn!(port = %self.path.display(), "the kernel dropped a message of the modem");
                }
                Err(error) => return Err(self.gone(&error.to_string())),
            }
            self.empty_reads += 1;
            if self.empty_reads >= MAX_EMPTY_READS {
                return Err(self.gone("it only gives empty reads"));
            }
            sleep(EMPTY_PAUSE).await;
        }
    }

    fn gone(&self, reason: &str) -> PortError {
        PortError::Gone { path: self.path.clone(), reason: reason.to_owned() }
    }

    async fn open_direct(path: &Path) -> Result<Self, PortError> {
        let failed = |source: io::Error| match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EBUSY) => PortError::Busy { path: path.to_owned() },
            _ => PortError::Open { path: path.to_owned(), source },
        };
        let kind = fs::metadata(path).map_err(failed)?.file_type();
        let line = if kind.is_socket() {
            Line::Stream(Box::new(UnixStream::connect(path).await.map_err(failed)?))
        } else if kind.is_char_device() {
            Line::Device(Device::open(path).map_err(failed)?)
        } else {
            return Err(PortError::NoDevice { path: path.to_owned() });
        };
        Ok(Self { path: path.to_owned(), line, shared: false, empty_reads: 0 })
    }

    /// Asks a proxy for the device. The request goes out once: a second one would double every indication.
    async fn through(stream: UnixStream, path: &Path) -> Result<Self, PortError> {
        let real =
            fs::canonicalize(path).map_err(|source| PortError::Open { path: path.to_owned(), source })?;
        let mut port = Self::from_stream(path, stream, true);
        port.write(&proxy_open_request(&real)).await?;
        let answer = timeout(PROXY_DEADLINE, port.read_exactly(PROXY_OPENED.len())).await;
        let reason = match answer {
            Ok(Ok(bytes)) if bytes == PROXY_OPENED => return Ok(port),
            Ok(Ok(bytes)) => format!("it answered {bytes:02x?}"),
            // The proxy never says why.
            Ok(Err(_)) => "it closed the connection".to_owned(),
            Err(_) => format!("no answer within {} s", PROXY_DEADLINE.as_secs()),
        };
        Err(PortError::Proxy { path: path.to_owned(), reason })
    }

    async fn read_exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        match &mut self.line {
            Line::Stream(stream) => stream.read_exact(&mut bytes).await?,
            Line::Device(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(bytes)
    }
}

impl Line {
    fn has_hung_up(&self) -> bool {
        match self {
            Self::Stream(_) => true,
            Self::Device(device) => device.has_hung_up(),
        }
    }
}

/// CTL Internal Proxy Open, transaction 1: TLV 0x01 is the path.
fn proxy_open_request(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = path.as_os_str().as_bytes();
    let tlv = (path.len() as u16).to_le_bytes(); // a path has at most 4,096 bytes
    let area = (path.len() as u16 + 3).to_le_bytes();
    let length = (path.len() as u16 + 14).to_le_bytes();
    let header =
        [0x01, length[0], length[1], 0, 0, 0, 0, 1, 0x00, 0xff, area[0], area[1], 0x01, tlv[0], tlv[1]];
    [&header[..], path].concat()
}

/// Its answer: success, transaction 1.
const PROXY_OPENED: &[u8] = &[0x01, 0x12, 0, 0x80, 0, 0, 1, 1, 0x00, 0xff, 7, 0, 2, 4, 0, 0, 0, 0, 0];

fn connect_proxy(socket: &str) -> io::Result<UnixStream> {
    let address = std::os::unix::net::SocketAddr::from_abstract_name(socket)?;
    let stream = std::os::unix::net::UnixStream::connect_addr(&address)?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Whether there is a proxy that is not ours: one that runs, or libqmi's, which is started when it is needed.
#[must_use]
pub fn has_proxy() -> bool {
    connect_proxy(PROXY_SOCKET).is_ok() || installed_proxy().is_some()
}

fn installed_proxy() -> Option<&'static str> {
    PROXY_PROGRAMS.iter().copied().find(|program| Path::new(program).is_file())
}

/// A connection to the proxy that runs, or to one started now. `None` where none is installed.
async fn running_or_started_proxy() -> Option<UnixStream> {
    if let Ok(stream) = connect_proxy(PROXY_SOCKET) {
        return Some(stream);
    }
    let program = installed_proxy()?;
    let spawned = std::process::Command::new(program)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its own group: it outlives us when other programs use it, and a Ctrl-C is not meant for it. A service manager ends
        // it with us all the same; there a unit of its own has started it before us.
        .process_group(0)
        .spawn();
    match spawned {
        // Whoever waits for it reaps it; when nobody uses the proxy any more it ends by itself.
        Ok(mut child) => drop(std::thread::spawn(move || child.wait())),
        Err(error) => {
            tracing::warn!(program, %error, "qmi-proxy does not start, the control port is opened directly");
            return None;
        }
    }
    for _ in 0..PROXY_TRIES {
        sleep(PROXY_PAUSE).await;
        if let Ok(stream) = connect_proxy(PROXY_SOCKET) {
            return Some(stream);
        }
    }
    tracing::warn!(program, "qmi-proxy does not listen, the control port is opened directly");
    None
}

fn is_overflow(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENOBUFS as i32)
}

/// A character device without blocking calls.
#[derive(Debug)]
struct Device {
    file: Option<AsyncFd<OwnedFd>>,
    is_message_based: bool,
}

impl Device {
    fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = fs::OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path)?;
        let is_message_based = !nix::unistd::isatty(&file).unwrap_or(false);
        // An `OwnedFd` keeps its one descriptor open, which is all that the newer, unsafe constructor asks for.
        #[expect(deprecated)]
        let file = AsyncFd::new(OwnedFd::from(file))?;
        Ok(Self { file: Some(file), is_message_based })
    }

    fn file(&self) -> &AsyncFd<OwnedFd> {
        self.file.as_ref().expect("the file is taken only when the device is dropped")
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.file().readable().await?;
            match ready.try_io(|file| nix::unistd::read(file.get_ref(), buffer).map_err(io::Error::from)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.file().writable().await?;
            match ready.try_io(|file| nix::unistd::write(file.get_ref(), bytes).map_err(io::Error::from)) {
                // A pty may take a part; a cdc-wdm takes the message whole.
                Ok(Ok(count)) => bytes = &bytes[count..],
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
        Ok(())
    }

    fn has_hung_up(&self) -> bool {
        let mut polled = [PollFd::new(self.file().get_ref().as_fd(), PollFlags::POLLIN)];
        let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        nix::poll::poll(&mut polled, PollTimeout::ZERO).is_err()
            || polled[0].revents().is_some_and(|events| events.intersects(gone))
    }
}

impl Drop for Device {
    /// Closing a cdc-wdm may wait 30 s for a write that never ends; no task may wait with it.
    fn drop(&mut self) {
        let Some(file) = self.file.take().map(AsyncFd::into_inner) else { return };
        if self.is_message_based {
            std::thread::spawn(move || drop(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    fn raw_pty() -> (fs::File, OwnedFd, PathBuf) {
        use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut termios = tcgetattr(&pty.slave).unwrap();
        cfmakeraw(&mut termios);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &termios).unwrap();
        let path = nix::unistd::ttyname(&pty.slave).unwrap();
        (fs::File::from(pty.master), pty.slave, path)
    }

    #[test]
    fn the_proxy_request_is_the_one_observed() {
        let bytes: String =
            proxy_open_request(Path::new("/dev/cdc-wdm0")).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(bytes, "011b00000000000100ff1000010d002f6465762f6364632d77646d30");
    }

    #[tokio::test]
    async fn a_pty_carries_messages_both_ways_and_its_end_is_seen() {
        let (mut master, slave, path) = raw_pty();
        let mut port = Port::open(&path, &Access::Direct).await.unwrap();
        port.write(b"\x01question").await.unwrap();
        let mut question = [0; 9];
        master.read_exact(&mut question).unwrap();
        assert_eq!(&question, b"\x01question");
        master.write_all(b"answer").unwrap();
        let mut bytes = Vec::new();
        port.read(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"answer");
        drop((master, slave));
        assert!(matches!(port.read(&mut bytes).await, Err(PortError::Gone { .. })));
        assert!(matches!(port.write(b"x").await, Err(PortError::Gone { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_that_takes_nothing_is_gone_after_the_deadline() {
        let (_master, _slave, path) = raw_pty();
        let mut port = Port::open(&path, &Access::Direct).await.unwrap();
        let error = port.write(&[0; 1 << 20]).await.unwrap_err();
        assert!(error.to_string().contains("takes no message"), "{error}");
    }

    #[tokio::test]
    async fn a_socket_carries_messages_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("modem");
        let listener = UnixListener::bind(&path).unwrap();
        let mut port = Port::open(&path, &Access::Direct).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"answer").unwrap();
        let mut bytes = Vec::new();
        port.read(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"answer");
        drop(peer);
        let error = port.read(&mut bytes).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("{} is gone", path.display())), "{error}");
    }

    #[tokio::test]
    async fn what_cannot_be_a_port_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Port::open(&file, &Access::Direct).await.unwrap_err();
        assert!(matches!(&error, PortError::NoDevice { path } if *path == file), "{error}");
        let missing = folder.path().join("cdc-wdm0");
        let error = Port::open(&missing, &Access::Direct).await.unwrap_err();
        assert!(matches!(&error, PortError::Open { path, .. } if *path == missing), "{error}");
        let error = Port::open(&file, &Access::Proxy("tandem-test-nobody".into())).await.unwrap_err();
        assert!(error.to_string().contains("cannot reach it"), "{error}");
    }

    /// Listens on an abstract socket of its own and answers the proxy request with `answer`.
    async fn open_through(name: &str, answer: &'static [u8]) -> Result<Port, PortError> {
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let peer = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut request = [0; 15 + 9];
            peer.read_exact(&mut request).unwrap();
            assert_eq!(&request[15..], b"/dev/null");
            peer.write_all(answer).unwrap();
        });
        let port = Port::open(Path::new("/dev/null"), &Access::Proxy(name.into())).await;
        peer.join().unwrap();
        port
    }

    #[tokio::test]
    async fn the_proxy_is_asked_once_and_a_closed_connection_is_its_no() {
        let name = format!("tandem-test-{}", std::process::id());
        let port = open_through(&name, PROXY_OPENED).await.unwrap();
        assert!(port.is_shared());
        let error = open_through(&name, b"").await.unwrap_err();
        assert!(error.to_string().contains("it closed the connection"), "{error}");
    }
}
