//! A place between clients and the broker, where answers can be kept back: what was asked is done, and nobody
//! hears so.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use tandem::stream::KafkaSettings;

use super::broker;

/// Numbers of requests in the protocol of Kafka.
const FETCH: i16 = 1;
const METADATA: i16 = 3;
const FIND_COORDINATOR: i16 = 10;
const END_TRANSACTION: i16 = 26;

const HOST: &str = "127.0.0.1";

/// One such place.
pub struct Between {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// Port of the broker, and ours.
    ports: [u16; 2],
    connections: AtomicUsize,
    /// Connections before this one hear nothing more once they fetch.
    silent: AtomicUsize,
    at_commit: Mutex<Option<AtCommit>>,
}

type AtCommit = Box<dyn FnOnce(&str) + Send>;

/// What was asked on a connection and is not answered yet.
struct Asked {
    kind: i16,
    /// Whose transaction is to be committed, and what is to happen then.
    commit: Option<(String, AtCommit)>,
}

impl Between {
    /// Begins to listen, for as long as this process runs.
    pub fn start() -> Self {
        let broker_port = broker::address().rsplit_once(':').unwrap().1.parse().unwrap();
        let listener = TcpListener::bind((HOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            ports: [broker_port, port],
            connections: AtomicUsize::new(0),
            silent: AtomicUsize::new(0),
            at_commit: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&own);
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || shared.serve(&client, number));
            }
        });
        Self { address: format!("{HOST}:{port}"), shared }
    }

    /// The same place in the broker, reached through here.
    pub fn settings(&self, direct: &KafkaSettings) -> KafkaSettings {
        let mut settings = direct.clone();
        settings.servers.clone_from(&self.address);
        settings
    }

    /// From now on nobody hears anything more who fetches on a connection that there is already.
    pub fn silence_fetchers(&self) {
        self.shared.silent.store(self.shared.connections.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Calls `then` with the transactional id once the broker has committed the next transaction that it is asked
    /// to; its owner does not hear of it, for the connection is closed.
    pub fn at_next_commit(&self, then: impl FnOnce(&str) + Send + 'static) {
        *self.shared.at_commit.lock().unwrap() = Some(Box::new(then));
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream, number: usize) {
        let broker = TcpStream::connect((HOST, self.ports[0])).unwrap();
        let (asked, asking) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let asked = asked;
                while let Some(frame) = read(client) {
                    let _ = asked.send(self.asked(&frame));
                    if write(&broker, &frame).is_none() {
                        break;
                    }
                }
                let _ = broker.shutdown(Shutdown::Both);
            });
            self.answer(client, &broker, &asking, number);
            for side in [client, &broker] {
                let _ = side.shutdown(Shutdown::Both);
            }
        });
    }

    /// Behind kind, version and number of a request stands the name of the client, and the id of a transaction
    /// behind that; at its end whether it is to be committed.
    fn asked(&self, frame: &[u8]) -> Asked {
        let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        let kind = number(0);
        let commits = kind == END_TRANSACTION && frame.last() == Some(&1);
        let then = if commits { self.at_commit.lock().unwrap().take() } else { None };
        let commit = then.map(|then| {
            assert!(number(2) < 3, "another version of the request, with other texts");
            let length = |at| usize::try_from(number(at)).unwrap_or(0);
            let at = 10 + length(8);
            (String::from_utf8(frame[at + 2..at + 2 + length(at)].to_vec()).unwrap(), then)
        });
        Asked { kind, commit }
    }

    /// Takes answers to the client, which come in the order of what was asked.
    fn answer(&self, client: &TcpStream, broker: &TcpStream, asking: &mpsc::Receiver<Asked>, number: usize) {
        let mut is_silent = false;
        while let Some(mut frame) = read(broker)
            && let Ok(asked) = asking.recv()
        {
            is_silent |= asked.kind == FETCH && number < self.silent.load(Ordering::SeqCst);
            if is_silent {
                continue;
            }
            if let Some((id, then)) = asked.commit {
                // Behind its number and how long to wait stands what went wrong.
                assert_eq!(frame[8..10], [0, 0], "the broker did not commit");
                return then(&id);
            }
            if [METADATA, FIND_COORDINATOR].contains(&asked.kind) {
                self.redirect(&mut frame);
            }
            if write(client, &frame).is_none() {
                return;
            }
        }
    }

    /// Has whoever hears of the broker come here.
    fn redirect(&self, frame: &mut [u8]) {
        let address = |port: u16| [HOST.as_bytes(), &u32::from(port).to_be_bytes()].concat();
        let [theirs, ours] = self.ports.map(address);
        for at in 0..=frame.len().saturating_sub(theirs.len()) {
            if frame[at..].starts_with(&theirs) {
                frame[at..at + ours.len()].copy_from_slice(&ours);
            }
        }
    }
}

fn read(mut from: &TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut frame).ok()?;
    Some(frame)
}

fn write(mut to: &TcpStream, frame: &[u8]) -> Option<()> {
    let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
    to.write_all(&[&length, frame].concat()).ok()
}
