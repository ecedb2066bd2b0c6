//! AT over a serial port: one locked port, one command at a time, a deadline for each.
//!
//! The port is opened in exclusive mode and locked with `flock`, so that two programs cannot read each other's
//! answers. After [`MAX_TIMEOUTS`] unanswered commands in a row the port counts as dead.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_serial::{SerialPortBuilderExt as _, SerialStream};

use crate::at::{Command, CommandError, Exchange, FinalResult, Lines, Reply};

/// Commands in a row that may stay unanswered before the port counts as dead.
pub const MAX_TIMEOUTS: u32 = 10;

/// How long to try for a port that another program has locked.
const LOCK_WAIT: Duration = Duration::from_secs(3);

/// Pause between two tries for the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Reads before a command to get rid of what is left; a port that babbles on is used all the same.
const MAX_STALE_READS: usize = 64;

/// Unsolicited lines kept between two commands; the oldest go first.
const MAX_UNSOLICITED: usize = 256;

/// Why a command has no reply.
#[derive(Debug, thiserror::Error)]
pub enum SerialError {
    /// The port could not be opened.
    #[error("cannot open {}: {source}", port.display())]
    Open {
        /// The port.
        port: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program holds the port.
    #[error("{} is in use by another program", port.display())]
    Locked {
        /// The port.
        port: PathBuf,
    },
    /// The text is not an AT command.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// No final result in time.
    #[error("{}: no answer to {command} within {} ms", port.display(), after.as_millis())]
    Timeout {
        /// The port.
        port: PathBuf,
        /// The command, secrets removed.
        command: String,
        /// The deadline that passed.
        after: Duration,
    },
    /// Too many timeouts in a row.
    #[error("{} has not answered {MAX_TIMEOUTS} commands in a row", port.display())]
    Dead {
        /// The port.
        port: PathBuf,
    },
    /// The port is gone.
    #[error("{} is gone: {source}", port.display())]
    Gone {
        /// The port.
        port: PathBuf,
        /// How that showed.
        source: io::Error,
    },
}

/// An open serial port that answers AT commands.
pub struct AtPort {
    path: PathBuf,
    stream: SerialStream,
    lines: Lines,
    timeouts: u32,
    unsolicited: Vec<String>,
}

impl AtPort {
    /// Opens and locks the port, waiting up to 3 s for a program that holds it. USB ports ignore the rate, in bits a second;
    /// a real UART does not.
    ///
    /// # Errors
    /// [`SerialError::Locked`] when it does not let go, [`SerialError::Open`] for anything else.
    pub async fn open(path: &Path, baud_rate: u32) -> Result<Self, SerialError> {
        let end = Instant::now() + LOCK_WAIT;
        loop {
            match tokio_serial::new(path.to_string_lossy(), baud_rate).open_native_async() {
                Ok(stream) => {
                    return Ok(Self {
                        path: path.to_owned(),
                        stream,
                        lines: Lines::default(),
                        timeouts: 0,
                        unsolicited: Vec::new(),
                    });
                }
                Err(error) if is_locked(&error) && Instant::now() < end => {
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                Err(error) if is_locked(&error) => return Err(SerialError::Locked { port: path.to_owned() }),
                Err(error) => return Err(SerialError::Open { port: path.to_owned(), source: error.into() }),
            }
        }
    }

    /// The port's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends one command and waits for its final result.
    ///
    /// A modem that asks for text (`> `) is told to forget the command, for no text will follow.
    ///
    /// # Errors
    /// [`SerialError`]; after a timeout the port can still be used, until it is [`SerialError::Dead`].
    pub async fn execute(&mut self, command: &Command, deadline: Duration) -> Result<Reply, SerialError> {
        if self.timeouts >= MAX_TIMEOUTS {
            return Err(SerialError::Dead { port: self.path.clone() });
        }
        let end = Instant::now() + deadline;
        if self.timeouts > 0 {
            self.resynchronise().await?;
        }
        self.drain().await?;
        let mut exchange = Exchange::new(command);
        match timeout_at(end, self.exchange(command, &mut exchange)).await {
            Ok(Ok(reply)) => {
                self.timeouts = 0;
                if reply.result == FinalResult::Prompt {
                    self.write(&[ESCAPE]).await?;
                }
                Ok(reply)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                self.timeouts += 1;
                self.keep(exchange.into_unsolicited());
                Err(SerialError::Timeout {
                    port: self.path.clone(),
                    command: command.to_string(),
                    after: deadline,
                })
            }
        }
    }

    /// Whether an AT interpreter answers on this port: `AT` twice, for the first may end another's line.
    pub async fn answers(&mut self) -> bool {
        let at = Command::new("AT").expect("AT is a command");
        for _ in 0..2 {
            if let Ok(reply) = self.execute(&at, PROBE_DEADLINE).await
                && reply.result.is_ok()
            {
                return true;
            }
        }
        false
    }

    /// Unsolicited lines that came while no command was waiting. Reading them forgets them.
    pub fn take_unsolicited(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unsolicited)
    }

    async fn exchange(&mut self, command: &Command, exchange: &mut Exchange) -> Result<Reply, SerialError> {
        self.write(&command.to_bytes()).await?;
        loop {
            while let Some(line) = self.lines.next_line() {
                if let Some(mut reply) = exchange.line(line) {
                    reply.truncated |= self.lines.take_dropped();
                    return Ok(reply);
                }
            }
            self.read().await?;
        }
    }

    /// After a timeout the late answer may still come, and its `OK` would end the next command. A bare `AT` makes a
    /// modem that is alive finish it; what it says until it is quiet belongs to nobody.
    async fn resynchronise(&mut self) -> Result<(), SerialError> {
        let end = Instant::now() + PROBE_DEADLINE;
        let _ = timeout_at(end, self.write(b"AT\r")).await;
        while Instant::now() < end {
            match timeout(QUIET, self.read()).await {
                Ok(read) => read?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Takes in what is there already: news, and the late end of an answer nobody waits for any more.
    async fn drain(&mut self) -> Result<(), SerialError> {
        for _ in 0..MAX_STALE_READS {
            match timeout(Duration::ZERO, self.read()).await {
                Ok(read) => read?,
                Err(_) => break,
            }
        }
        let mut stale = Vec::new();
        while let Some(line) = self.lines.next_line() {
            stale.push(line);
        }
        self.lines.clear();
        self.keep(stale);
        Ok(())
    }

    fn keep(&mut self, lines: Vec<String>) {
        self.unsolicited.extend(lines);
        let excess = self.unsolicited.len().saturating_sub(MAX_UNSOLICITED);
        self.unsolicited.drain(..excess);
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), SerialError> {
        let port = &self.path;
        self.stream.write_all(bytes).await.map_err(|source| SerialError::Gone { port: port.clone(), source })
    }

    async fn read(&mut self) -> Result<(), SerialError> {
        let mut bytes = [0; 4096];
        let port = &self.path;
        let gone = |source| SerialError::Gone { port: port.clone(), source };
        match self.stream.read(&mut bytes).await.map_err(gone)? {
            0 => Err(gone(io::ErrorKind::UnexpectedEof.into())),
            count => {
                self.lines.push(&bytes[..count]);
                Ok(())
            }
        }
    }
}

/// Ends a text prompt without sending the text (3GPP TS 27.005, 3.5.1).
const ESCAPE: u8 = 0x1b;

/// Silence after which a modem is taken to have said all.
const QUIET: Duration = Duration::from_millis(100);

/// Time for the answer to a bare `AT`.
const PROBE_DEADLINE: Duration = Duration::from_millis(700);

/// `serialport` reports both the exclusive mode and the lock of another program as a device that is not there.
fn is_locked(error: &tokio_serial::Error) -> bool {
    error.kind() == tokio_serial::ErrorKind::NoDevice
}

/// Opens the first of `ports` that answers. With a single candidate from the vendor table no probe is needed.
///
/// # Errors
/// The error of the last port tried; [`io::ErrorKind::NotFound`] when there are none.
pub async fn open_first(ports: &[PathBuf], baud_rate: u32) -> Result<AtPort, SerialError> {
    let mut last = SerialError::Open { port: PathBuf::new(), source: io::ErrorKind::NotFound.into() };
    for path in ports {
        match AtPort::open(path, baud_rate).await {
            Ok(port) if ports.len() == 1 => return Ok(port),
            Ok(mut port) => {
                if port.answers().await {
                    return Ok(port);
                }
                last = SerialError::Timeout { port: port.path, command: "AT".into(), after: PROBE_DEADLINE };
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    use tokio_serial::SerialPort as _;

    const BAUD_RATE: u32 = 115_200;
    const DEADLINE: Duration = Duration::from_secs(5);

    /// A modem behind a pty that answers each command line with what `answer` says.
    fn modem(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> (PathBuf, std::os::fd::OwnedFd) {
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut termios = nix::sys::termios::tcgetattr(&pty.slave).unwrap();
        nix::sys::termios::cfmakeraw(&mut termios);
        nix::sys::termios::tcsetattr(&pty.slave, nix::sys::termios::SetArg::TCSANOW, &termios).unwrap();
        let path = nix::unistd::ttyname(&pty.slave).unwrap();
        let mut master = File::from(pty.master);
        std::thread::spawn(move || {
            let mut line = Vec::new();
            let mut byte = [0];
            while master.read_exact(&mut byte).is_ok() {
                match byte[0] {
                    b'\r' => {
                        let text = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
                        master.write_all(&answer(&text)).unwrap();
                    }
                    other => line.push(other),
                }
            }
        });
        (path, pty.slave)
    }

    fn command(text: &str) -> Command {
        Command::new(text).unwrap()
    }

    #[tokio::test]
    async fn commands_are_answered_and_news_is_kept_apart() {
        let (path, _slave) = modem(|line| match line {
            "ATQ0" => b"ATQ0\r\r\nOK\r\n+CREG: 5\r\n".to_vec(),
            "AT+CSQ" => b"\r\n+CSQ: 17,99\r\nRING\r\nOK\r\n".to_vec(),
            _ => b"\r\nERROR\r\n".to_vec(),
        });
        let mut port = AtPort::open(&path, BAUD_RATE).await.unwrap();
        let reply = port.execute(&command("ATQ0"), DEADLINE).await.unwrap();
        assert_eq!((reply.result, reply.information.len()), (FinalResult::Ok, 0));
        let reply = port.execute(&command("AT+CSQ"), DEADLINE).await.unwrap();
        assert_eq!((reply.information, reply.unsolicited), (vec!["+CSQ: 17,99".into()], vec!["RING".into()]));
        assert_eq!(port.take_unsolicited(), ["+CREG: 5"]);
        let reply = port.execute(&command("AT!NONE"), DEADLINE).await.unwrap();
        assert_eq!(reply.result, FinalResult::Error);
    }

    #[tokio::test]
    async fn a_late_answer_is_not_the_next_commands() {
        let (path, _slave) = modem(|line| match line {
            "AT+COPS=?" => b"+COPS: (2,\"A\"".to_vec(),
            "AT" => b",\"26201\")\r\nOK\r\nAT\r\r\nOK\r\n".to_vec(),
            _ => b"AT+CSQ\r\r\n+CSQ: 5,99\r\nOK\r\n".to_vec(),
        });
        let mut port = AtPort::open(&path, BAUD_RATE).await.unwrap();
        let error = port.execute(&command("AT+COPS=?"), Duration::from_millis(30)).await.unwrap_err();
        assert!(error.to_string().contains("no answer to AT+COPS=? within 30 ms"), "{error}");
        let reply = port.execute(&command("AT+CSQ"), DEADLINE).await.unwrap();
        assert_eq!(reply.information, ["+CSQ: 5,99"]);
        assert!(port.take_unsolicited().contains(&"+COPS: (2,\"A\",\"26201\")".into()));
    }

    #[tokio::test]
    async fn ten_timeouts_in_a_row_make_a_dead_port() {
        let (path, _slave) = modem(|_| Vec::new());
        let mut port = AtPort::open(&path, BAUD_RATE).await.unwrap();
        for _ in 0..MAX_TIMEOUTS {
            let result = port.execute(&command("AT"), Duration::from_millis(5)).await;
            assert!(matches!(result, Err(SerialError::Timeout { .. })));
        }
        let result = port.execute(&command("AT"), Duration::from_millis(5)).await;
        assert!(matches!(result, Err(SerialError::Dead { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_in_use_is_refused_by_name_and_a_missing_one_too() {
        let (path, _slave) = modem(|_| Vec::new());
        let _held = AtPort::open(&path, BAUD_RATE).await.unwrap();
        let error = AtPort::open(&path, BAUD_RATE).await.err().unwrap();
        assert!(matches!(&error, SerialError::Locked { port } if *port == path), "{error}");
        let error = AtPort::open(Path::new("/dev/ttyUSB-none"), BAUD_RATE).await.err().unwrap();
        assert!(error.to_string().contains("/dev/ttyUSB-none"), "{error}");
    }

    #[tokio::test]
    async fn the_port_runs_at_the_rate_that_was_asked_for() {
        let (path, _slave) = modem(|_| b"OK\r\n".to_vec());
        for baud_rate in [9_600, 250_000, BAUD_RATE] {
            let mut port = open_first(std::slice::from_ref(&path), baud_rate).await.unwrap();
            assert!(port.answers().await);
            assert_eq!(port.stream.baud_rate().unwrap(), baud_rate, "as the kernel has it");
        }
    }

    #[tokio::test]
    async fn the_port_that_answers_is_chosen() {
        let (silent, _a) = modem(|_| b"$GPGGA,1\r\n".to_vec());
        let (at, _b) = modem(|_| b"OK\r\n".to_vec());
        let port = open_first(&[silent, at.clone()], BAUD_RATE).await.unwrap();
        assert_eq!(port.path(), at);
    }
}
