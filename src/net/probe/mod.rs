//! Sends one probe through one uplink and waits for its answer: an ICMP echo, a DNS query, a TCP connection, an HTTP
//! request. Bound to the uplink's device, so that no route of another uplink can answer for it.
//!
//! Answers are read as untrusted bytes: what does not match is as if it had not come. Nothing here decides anything;
//! see `link::failover` for that.

mod dns;
mod echo;

use core::net::{IpAddr, SocketAddr};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{BindToDevice, Mark};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::{ProbeKind, ProbeTarget};

/// Probes on their way at once; beyond it they are refused at once, for a late probe tells nothing.
const IN_FLIGHT_MAX: usize = 64;
/// Octets of a UDP answer that are looked at.
const ANSWER_MAX: usize = 2048;

/// One probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Network interface of the uplink.
    pub device: String,
    /// Address of the uplink to send from; the kernel chooses when absent or of another family than the target.
    pub source: Option<IpAddr>,
    /// Mark that leads to the routing table of the uplink.
    pub mark: Option<u32>,
    /// Whom to ask, and how.
    pub target: ProbeTarget,
    /// How long to wait for the answer.
    pub timeout: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// None came in time.
    #[error("no answer in time")]
    Lost,
    /// It could not be sent, or the network said that it cannot be delivered.
    #[error("cannot be delivered: {0}")]
    Undeliverable(#[source] io::Error),
    /// Too many are on their way.
    #[error("too many probes on their way")]
    Busy,
}

impl From<Errno> for ProbeError {
    fn from(error: Errno) -> Self {
        Self::Undeliverable(error.into())
    }
}

/// What answers in place of a network: the round trip through a device now, `None` when nothing comes back.
pub type StandIn = Arc<dyn Fn(&str) -> Option<Duration> + Send + Sync>;

/// Sends probes, only so many at once.
pub struct Prober {
    permits: Semaphore,
    stand_in: Option<StandIn>,
}

impl Default for Prober {
    fn default() -> Self {
        Self { permits: Semaphore::new(IN_FLIGHT_MAX), stand_in: None }
    }
}

impl Prober {
    /// One that sends nothing; `stand_in` says what becomes of each probe.
    #[must_use]
    pub fn simulated(stand_in: StandIn) -> Self {
        Self { stand_in: Some(stand_in), ..Self::default() }
    }

    /// Sends one probe; the time from sending to its answer.
    ///
    /// # Errors
    /// When no answer came or none can come.
    pub async fn probe(&self, request: &Request) -> Result<Duration, ProbeError> {
        let _permit = self.permits.try_acquire().map_err(|_| ProbeError::Busy)?;
        let exchange = async {
            if let Some(stand_in) = &self.stand_in {
                return match stand_in(&request.device) {
                    Some(round_trip) => {
                        tokio::time::sleep(round_trip).await;
                        Ok(round_trip)
                    }
                    None => std::future::pending().await,
                };
            }
            match &request.target.kind {
                ProbeKind::Icmp => echo::probe(request).await,
                ProbeKind::Dns { port } => query(request, *port).await,
                ProbeKind::Tcp { port } => connect(request, *port).await.map(|(_, took)| took),
                ProbeKind::Http { port, path } => http(request, *port, path).await,
            }
        };
        timeout(request.timeout, exchange).await.unwrap_or(Err(ProbeError::Lost))
    }
}

impl Request {
    /// Ties a socket to device and mark. The device is looked up now: one that is gone is an error here.
    fn bind(&self, socket: &impl AsFd) -> Result<(), ProbeError> {
        setsockopt(socket, BindToDevice, &self.device.clone().into())?;
        if let Some(mark) = &self.mark {
            setsockopt(socket, Mark, mark)?;
        }
        Ok(())
    }

    fn source(&self) -> Option<SocketAddr> {
        let source = self.source.filter(|source| source.is_ipv4() == self.target.address.is_ipv4())?;
        Some(SocketAddr::new(source, 0))
    }
}

/// Anything to our question counts, a refusal too: it has come all the way.
async fn query(request: &Request, port: u16) -> Result<Duration, ProbeError> {
    let any: IpAddr = if request.target.address.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
    let local = request.source().unwrap_or(SocketAddr::new(any, 0));
    let socket = UdpSocket::bind(local).await.map_err(ProbeError::Undeliverable)?;
    request.bind(&socket)?;
    let remote = SocketAddr::new(request.target.address, port);
    socket.connect(remote).await.map_err(ProbeError::Undeliverable)?;
    let id = fastrand::u16(..);
    let sent_at = Instant::now();
    socket.send(&dns::query(id)).await.map_err(ProbeError::Undeliverable)?;
    let mut answer = [0; ANSWER_MAX];
    loop {
        match socket.recv(&mut answer).await {
            Ok(length) if dns::answers(&answer[..length], id) => return Ok(sent_at.elapsed()),
            Ok(_) => {}
            Err(error) => return refused_or(error, sent_at),
        }
    }
}

/// A refusal comes from the target itself.
fn refused_or(error: io::Error, sent_at: Instant) -> Result<Duration, ProbeError> {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return Ok(sent_at.elapsed());
    }
    Err(ProbeError::Undeliverable(error))
}

/// A connection, and how long it took; none when it was refused.
async fn connect(request: &Request, port: u16) -> Result<(Option<TcpStream>, Duration), ProbeError> {
    let family = if request.target.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = family.map_err(ProbeError::Undeliverable)?;
    request.bind(&socket)?;
    if let Some(source) = request.source() {
        socket.bind(source).map_err(ProbeError::Undeliverable)?;
    }
    // Closed with a reset: one packet instead of four.
    socket.set_zero_linger().map_err(ProbeError::Undeliverable)?;
    let sent_at = Instant::now();
    match socket.connect(SocketAddr::new(request.target.address, port)).await {
        Ok(stream) => Ok((Some(stream), sent_at.elapsed())),
        Err(error) => refused_or(error, sent_at).map(|took| (None, took)),
    }
}

/// The round trip is that of the connection: what the server makes of the request is its own time. A connection that is
/// refused serves no HTTP.
async fn http(request: &Request, port: u16, path: &str) -> Result<Duration, ProbeError> {
    let (stream, took) = connect(request, port).await?;
    let Some(mut stream) = stream else {
        return Err(ProbeError::Undeliverable(io::ErrorKind::ConnectionRefused.into()));
    };
    let host = match request.target.address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let head = format!("HEAD {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.map_err(ProbeError::Undeliverable)?;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.map_err(ProbeError::Undeliverable)?;
    if is_status_line(&start) {
        return Ok(took);
    }
    Err(ProbeError::Undeliverable(io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer")))
}

/// `HTTP/1.1 200` (RFC 9112 section 4).
fn is_status_line(start: &[u8; 12]) -> bool {
    start.starts_with(b"HTTP/1.") && start[8] == b' ' && start[9..].iter().all(u8::is_ascii_digit)
}
