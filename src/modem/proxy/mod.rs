//! Our own `qmi-proxy`, for routers where libqmi's is not installed: the same abstract socket, so that `qmicli -p` works
//! beside the agent.
//!
//! One task listens; one task for each client connection turns bytes into frames; one task for each modem owns its port and a
//! [`Switch`]. The agent itself is a client like the others. A connection or a modem may end at any time: the other tasks see
//! its channel close. Modems the agent does not drive are not opened: the connection is closed, as libqmi's proxy
//! does when a device does not open.

mod switch;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::port::{PROXY_SOCKET, Port, READ_LEN};
use crate::qmi::ctl::ProxyOpen;
use crate::qmi::{Deframer, Done, Frame};
use switch::{ConnectionId, Switch};

/// Connections at once, over all modems. One more waits to be accepted.
const MAX_CONNECTIONS: usize = 32;

/// Frames waiting for one client. A client that reads slower is disconnected, for it would miss answers.
const CLIENT_QUEUE: usize = 256;

/// Frames of all clients waiting for the modem. When it is full, clients wait.
const MODEM_QUEUE: usize = 64;

/// Time a new connection has to name its device.
const OPEN_DEADLINE: Duration = Duration::from_secs(10);

/// Pause after a failed accept, such as no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the task of a modem is told.
enum Message {
    Connect(ConnectionId, mpsc::Sender<Frame>),
    Frame(ConnectionId, Frame),
    Disconnect(ConnectionId),
}

/// By device. Weak, so that a port closes when its last client has gone.
type Modems = Arc<Mutex<HashMap<PathBuf, mpsc::WeakSender<Message>>>>;

/// A proxy that listens. Dropping it stops listening and ends every connection and every modem's task.
pub struct Proxy {
    modems: Modems,
    next: Arc<AtomicU64>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Proxy {
    /// Listens on the abstract socket `qmi-proxy`.
    ///
    /// # Errors
    /// `AddrInUse` when another proxy does already: use that one.
    pub fn listen() -> io::Result<Self> {
        Self::listen_on(PROXY_SOCKET)
    }

    /// Listens on another abstract socket.
    ///
    /// # Errors
    /// As [`Proxy::listen`].
    pub fn listen_on(name: &str) -> io::Result<Self> {
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        let listener = std::os::unix::net::UnixListener::bind_addr(&address)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let (modems, next) = (Modems::default(), Arc::new(AtomicU64::new(1)));
        let task = tokio::spawn(accept(listener, Arc::clone(&modems), Arc::clone(&next)));
        Ok(Self { modems, next, tasks: Mutex::new(vec![task]) })
    }

    /// Takes over an open control port and gives back a port for the agent itself. When the modem goes, every
    /// connection to it ends.
    ///
    /// # Errors
    /// When no socket pair can be made.
    pub fn serve(&self, port: Port) -> io::Result<Port> {
        let path = port.path().to_owned();
        let (ours, agents) = UnixStream::pair()?;
        let (sender, receiver) = mpsc::channel(MODEM_QUEUE);
        let key = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        self.modems.lock().expect("no task panics with the lock").insert(key, sender.downgrade());
        let connection = self.next.fetch_add(1, Ordering::Relaxed);
        let mut tasks = self.tasks.lock().expect("no task panics with the lock");
        tasks.retain(|task| !task.is_finished());
        tasks.push(tokio::spawn(drive(port, receiver)));
        tasks.push(tokio::spawn(attend(ours, Deframer::default(), connection, sender)));
        Ok(Port::from_stream(&path, agents, true))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.lock().expect("no task panics with the lock").iter().for_each(JoinHandle::abort);
        self.modems.lock().expect("no task panics with the lock").clear();
    }
}

async fn accept(listener: UnixListener, modems: Modems, next: Arc<AtomicU64>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let permit = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let (modems, id) = (Arc::clone(&modems), next.fetch_add(1, Ordering::Relaxed));
                connections.spawn(async move {
                    welcome(stream, id, modems).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the proxy cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Checks who it is and which device it wants. Every refusal is the same: the connection closes.
async fn welcome(mut stream: UnixStream, id: ConnectionId, modems: Modems) {
    let uid = stream.peer_cred().map(|peer| peer.uid());
    if !matches!(uid, Ok(uid) if uid == 0 || uid == nix::unistd::geteuid().as_raw()) {
        tracing::warn!(?uid, "a user who may not use the proxy tried to");
        return;
    }
    let mut frames = Deframer::default();
    let Ok(Some(request)) = timeout(OPEN_DEADLINE, next_frame(&mut stream, &mut frames)).await else {
        return;
    };
    let Some(Ok(ProxyOpen { device_path })) = request.read_request::<ProxyOpen>() else {
        tracing::debug!(connection = id, "the first message does not name a device");
        return;
    };
    let key = fs::canonicalize(&device_path).unwrap_or_else(|_| PathBuf::from(&device_path));
    let modem =
        modems.lock().expect("no task panics with the lock").get(&key).and_then(mpsc::WeakSender::upgrade);
    let Some(modem) = modem else {
        tracing::info!(device = %Path::new(&device_path).display(), "the proxy was asked for a device that it does not serve");
        return;
    };
    if stream.write_all(&request.success(&Done).encode()).await.is_ok() {
        attend(stream, frames, id, modem).await;
    }
}

/// One client, until it or the modem ends.
async fn attend(stream: UnixStream, mut frames: Deframer, id: ConnectionId, modem: mpsc::Sender<Message>) {
    let (sender, mut receiver) = mpsc::channel::<Frame>(CLIENT_QUEUE);
    if modem.send(Message::Connect(id, sender)).await.is_err() {
        return;
    }
    let (mut reader, mut writer) = stream.into_split();
    let outward = async {
        while let Some(frame) = receiver.recv().await {
            if writer.write_all(&frame.encode()).await.is_err() {
                return;
            }
        }
    };
    let inward = async {
        while let Some(frame) = next_frame(&mut reader, &mut frames).await {
            if modem.send(Message::Frame(id, frame)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = outward => {}, () = inward => {} }
    let _ = modem.send(Message::Disconnect(id)).await;
}

async fn next_frame(
    reader: &mut (impl tokio::io::AsyncRead + Unpin),
    frames: &mut Deframer,
) -> Option<Frame> {
    let mut bytes = vec![0; READ_LEN];
    loop {
        if let Some(frame) = frames.next_frame() {
            return Some(frame);
        }
        match reader.read(&mut bytes).await {
            Ok(count) if count > 0 => frames.push(&bytes[..count]),
            _ => return None,
        }
    }
}

/// One modem: its port, and who gets what. Ends when the port is gone or the last sender is dropped.
async fn drive(mut port: Port, mut messages: mpsc::Receiver<Message>) {
    let mut clients: HashMap<ConnectionId, mpsc::Sender<Frame>> = HashMap::new();
    let (mut switch, mut frames, mut bytes) = (Switch::default(), Deframer::default(), Vec::new());
    loop {
        tokio::select! {
            read = port.read(&mut bytes) => {
                if let Err(error) = read {
                    tracing::info!(%error, "the proxy closes all connections to this modem");
                    return;
                }
                frames.push(&bytes);
                while let Some(frame) = frames.next_frame() {
                    for (id, frame) in switch.modem_frame(frame) {
                        let Some(client) = clients.get(&id) else { continue };
                        if client.try_send(frame).is_err() {
                            tracing::warn!(connection = id, "a client of the proxy does not read, it is disconnected");
                            clients.remove(&id);
                            switch.disconnect(id);
                        }
                    }
                }
            }
            message = messages.recv() => match message {
                None => return,
                Some(Message::Connect(id, client)) => {
                    switch.connect(id);
                    clients.insert(id, client);
                }
                Some(Message::Disconnect(id)) => {
                    switch.disconnect(id);
                    clients.remove(&id);
                }
                Some(Message::Frame(id, frame)) => {
                    let now = tokio::time::Instant::now().into_std();
                    let Some(frame) = switch.client_frame(id, frame, now) else { continue };
                    if let Err(error) = port.write(&frame.encode()).await {
                        tracing::info!(%error, "the proxy closes all connections to this modem");
                        return;
                    }
                }
            }
        }
    }
}
