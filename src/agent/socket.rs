//! The agent's local socket: one JSON request a line, one JSON answer a line, so that the commands of a
//! technician are answered by the running agent and not by a second hand on the modem.
//!
//! Each connection is its own task. A request longer than [`REQUEST_MAX`], a peer that is slower than
//! [`DEADLINE`], or a connection beyond [`PEERS_MAX`] is refused with an error line. The socket file is
//! readable and writable by its owner and group only.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Longest request line.
const REQUEST_MAX: u64 = 16 * 1024;
/// Longest answer a client accepts.
const ANSWER_MAX: u64 = 16 * 1024 * 1024;
/// How long a peer may take to write its request or read its answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a command may take: a reset with re-enumeration is the slowest.
const COMMAND_DEADLINE: Duration = Duration::from_secs(180);
/// How long a change of image may take: two restarts of the modem, where the first does not bring the image asked for.
const IMAGE_DEADLINE: Duration = Duration::from_secs(600);
/// Connections served at once; more are told to come back.
const PEERS_MAX: usize = 16;
/// Commands that wait for the agent's main loop. When it is full the connection's task waits, up to
/// [`COMMAND_DEADLINE`].
pub const COMMANDS_MAX: usize = 16;

/// What a technician asks of a running agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask", deny_unknown_fields)]
pub enum Request {
    /// Status of all links, or of one.
    Links {
        /// Name of a device-interface or of its network interface.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Which uplinks carry traffic, and why.
    Uplinks,
    /// The newest events.
    Events {
        /// How many.
        limit: u32,
    },
    /// The configuration in force, secrets removed.
    Config,
    /// Try again now.
    Retry {
        /// Name of the device-interface.
        name: String,
    },
    /// Reset the modem.
    Reset {
        /// Name of the device-interface.
        name: String,
        /// By AT command instead of QMI.
        at: bool,
        /// Even when it is the only working uplink.
        force: bool,
    },
    /// Read the configuration file again.
    Reload {
        /// Who committed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// What changes in a modem, asked of itself.
    State {
        /// Name of the device-interface or of its network interface.
        name: String,
    },
    /// What does not change in a modem, asked of itself.
    Info {
        /// Name of the device-interface or of its network interface.
        name: String,
    },
    /// Firmware images of a modem, asked of itself.
    Images {
        /// Name of the device-interface or of its network interface.
        name: String,
    },
    /// Make a stored carrier's image run: the modem restarts.
    SetImage {
        /// Name of the device-interface or of its network interface.
        name: String,
        /// Carrier, such as `VERIZON`.
        carrier: String,
        /// Even when it is the only working uplink.
        #[serde(default)]
        force: bool,
    },
    /// Report the result of an AT command that was run beside the agent.
    AtExecuted(crate::event::AtExecuted),
    /// Report a change of the preferred firmware image.
    ImageChanged {
        /// Name of the device-interface or of its network interface.
        name: String,
        /// What changed.
        change: crate::event::ImageChanged,
    },
}

impl Request {
    /// How long the agent may take to answer.
    fn deadline(&self) -> Duration {
        match self {
            Self::SetImage { .. } => IMAGE_DEADLINE,
            _ => COMMAND_DEADLINE,
        }
    }
}

/// What comes back: the value asked for, or why there is none.
pub type Answer = Result<Value, String>;

/// A request on its way to the agent, and the way back.
pub struct Command {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// The bound socket. Dropping it removes the file.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Binds the socket. A file left behind by a dead agent is replaced; a living one is an error.
    ///
    /// # Errors
    /// When another agent answers there, or the socket cannot be made.
    pub fn bind(path: &Path) -> anyhow::Result<Self> {
        let context = || format!("local socket {}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(context)?;
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            anyhow::bail!("local socket {}: another agent answers there; stop it first", path.display());
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(context),
            _ => {}
        }
        let listener = UnixListener::bind(path).with_context(context)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).with_context(context)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Serves until dropped. May be stopped at any point: a request is handed on whole or not at all.
    pub async fn serve(self, commands: mpsc::Sender<Command>) {
        let places = Arc::new(Semaphore::new(PEERS_MAX));
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "local socket: accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (commands, place) = (commands.clone(), places.clone().try_acquire_owned());
            tokio::spawn(async move {
                let served = match place {
                    Ok(_place) => serve_one(stream, commands).await,
                    Err(_) => {
                        answer(stream, &Err(format!("{PEERS_MAX} peers are served already; ask again"))).await
                    }
                };
                if let Err(error) = served {
                    tracing::debug!(%error, "local socket: peer not served");
                }
            });
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve_one(mut stream: UnixStream, commands: mpsc::Sender<Command>) -> anyhow::Result<()> {
    let mut line = Vec::new();
    let mut reader = BufReader::new((&mut stream).take(REQUEST_MAX));
    timeout(DEADLINE, reader.read_until(b'\n', &mut line)).await??;
    let result = match serde_json::from_slice::<Request>(&line) {
        Err(error) => Err(format!("request is not understood: {error}")),
        Ok(request) => {
            let deadline = request.deadline();
            let late = |_| Err(format!("no answer from the agent within {} s", deadline.as_secs()));
            timeout(deadline, carry_out(request, commands)).await.unwrap_or_else(late)
        }
    };
    answer(stream, &result).await
}

async fn carry_out(request: Request, commands: mpsc::Sender<Command>) -> Answer {
    let (answer, answered) = oneshot::channel();
    let stopping = || "the agent is stopping".to_owned();
    commands.send(Command { request, answer }).await.map_err(|_| stopping())?;
    answered.await.map_err(|_| stopping())?
}

async fn answer(mut stream: UnixStream, answer: &Answer) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    timeout(DEADLINE, stream.write_all(&line)).await??;
    Ok(())
}

/// Why an agent could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No agent listens there.
    #[error("no agent answers at {path}: {error}")]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// What connecting said.
        error: io::Error,
    },
    /// It listens but gave no whole answer.
    #[error("the agent at {path} gave no answer: {why}")]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// It answered that it cannot.
    #[error("{0}")]
    Refused(String),
}

/// Asks the agent behind `path`.
///
/// # Errors
/// [`AskError::NotRunning`] tells a caller to turn to the modem itself.
pub async fn ask(path: &Path, request: &Request) -> Result<Value, AskError> {
    let no_answer = |why: String| AskError::NoAnswer { path: path.to_owned(), why };
    let mut stream = UnixStream::connect(path).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::NotRunning { path: path.to_owned(), error }
        }
        // One runs: it is busy, or not for this user.
        _ => no_answer(error.to_string()),
    })?;
    let mut line = serde_json::to_vec(request).expect("a request is plain data");
    line.push(b'\n');
    stream.write_all(&line).await.map_err(|error| no_answer(error.to_string()))?;
    let mut text = Vec::new();
    let mut reader = stream.take(ANSWER_MAX);
    let reading = reader.read_to_end(&mut text);
    match timeout(request.deadline() + DEADLINE, reading).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(no_answer(error.to_string())),
        Err(_) => return Err(no_answer("it took too long".into())),
    }
    let answer: Answer = serde_json::from_slice(&text).map_err(|error| no_answer(error.to_string()))?;
    answer.map_err(AskError::Refused)
}
