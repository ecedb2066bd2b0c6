//! Three brokers, and what may be done to one of them.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tandem::stream::{KafkaSettings, Topic};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use super::{namespace, sheet, until};

const BROKERS: u32 = 3;
/// A slow broker stands still for so long,
const STANDS: Duration = Duration::from_millis(450);
/// then runs for so long.
const RUNS: Duration = Duration::from_millis(50);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/broker");

/// Starts the brokers, tells where they are, and ends them when its input ends: when this program does.
const KEEPER: &str = r#"
folder=$(mktemp -d)
trap '"$0" stop "$folder"; rm -rf "$folder"' EXIT
"$0" start "$folder" "$@" && echo "$folder" && cat >/dev/null
"#;

static CLUSTER: Mutex<Option<Cluster>> = Mutex::const_new(None);

/// The brokers.
pub struct Cluster {
    folder: PathBuf,
    servers: String,
    asking: BaseConsumer,
    /// Ends them when its input ends, which is in here.
    keeper: Child,
}

impl Cluster {
    /// The brokers, for one test at a time, once all are well.
    pub async fn take() -> MappedMutexGuard<'static, Self> {
        let cluster = MutexGuard::map(Self::turn().await, |cluster| cluster.get_or_insert_with(Self::start));
        cluster.until_whole().await;
        cluster
    }

    /// The turn of a test that has brokers elsewhere.
    pub async fn turn() -> MutexGuard<'static, Option<Self>> {
        sheet::begin();
        CLUSTER.lock().await
    }

    fn start() -> Self {
        let mut keeper = Command::new("bash")
            .args(["-c", KEEPER, SCRIPT, &BROKERS.to_string()])
            // Where the network is ours, it can be cut.
            .args(namespace::is_inside().then_some("apart"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(keeper.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut line = || lines.next().expect("the brokers start");
        let (servers, folder) = (line(), PathBuf::from(line()));
        let asking = ClientConfig::new()
            .set("bootstrap.servers", &servers)
            .set("group.id", "judge")
            // One that does not answer is left for another.
            .set("socket.timeout.ms", "4000")
            .create()
            .unwrap();
        Self { folder, servers, asking, keeper }
    }

    /// A place of its own among the brokers, three times over.
    pub fn place(&self, partitions: u32) -> KafkaSettings {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let url = format!("kafka://{}/f{number}?partitions={partitions}&replication=3", self.servers);
        url.parse().unwrap()
    }

    /// The broker that leads a partition.
    pub async fn leader(&self, place: &KafkaSettings, topic: Topic, partition: usize) -> u32 {
        self.leader_but(None, place, topic, partition).await
    }

    /// Waits until another broker than `before` leads a partition.
    pub async fn until_another_leads(
        &self,
        before: u32,
        place: &KafkaSettings,
        topic: Topic,
        partition: usize,
    ) {
        self.leader_but(Some(before), place, topic, partition).await;
    }

    async fn leader_but(
        &self,
        before: Option<u32>,
        place: &KafkaSettings,
        topic: Topic,
        partition: usize,
    ) -> u32 {
        let name = place.named(topic.name());
        let told = || {
            let metadata = self.asking.fetch_metadata(Some(&name), Duration::from_secs(5)).ok()?;
            u32::try_from(metadata.topics().first()?.partitions().get(partition)?.leader()).ok()
        };
        let mut leader = None;
        until("a broker leads, and another than before", async || {
            leader = told().filter(|leader| before != Some(*leader));
            leader.is_some()
        })
        .await;
        leader.expect("it was waited for")
    }

    /// Where the log of a partition ends on the disk of `broker`.
    pub fn held(&self, broker: u32, place: &KafkaSettings, topic: Topic, partition: i32) -> i64 {
        let log = format!("{broker}/log/{}-{partition}/{:020}.log", place.named(topic.name()), 0);
        let log = std::fs::read(self.folder.join(log)).unwrap();
        let (mut rest, mut end) = (log.as_slice(), 0);
        // Of each batch: its first offset, the bytes that follow, and how far its last offset is from the first.
        while let Some((first, tail)) = rest.split_first_chunk::<8>()
            && let Some((bytes, tail)) = tail.split_first_chunk::<4>()
            && let Some(batch) = tail.get(..u32::from_be_bytes(*bytes) as usize)
            && let Some(last) = batch.get(11..).and_then(<[u8]>::first_chunk::<4>)
        {
            end = i64::from_be_bytes(*first) + i64::from(i32::from_be_bytes(*last)) + 1;
            rest = &tail[batch.len()..];
        }
        end
    }

    /// Waits until every broker has every partition.
    pub async fn until_whole(&self) {
        until("every broker has every partition", async || {
            let Ok(metadata) = self.asking.fetch_metadata(None, Duration::from_secs(5)) else { return false };
            metadata.brokers().len() == BROKERS as usize
                && metadata
                    .topics()
                    .iter()
                    .flat_map(|topic| topic.partitions())
                    .all(|partition| partition.isr().len() == BROKERS as usize)
        })
        .await;
    }

    /// Stops a broker where it stands, until the guard goes.
    pub fn pause(&self, broker: u32) -> Paused {
        let pid = self.pid(broker);
        kill(pid, Signal::SIGSTOP).unwrap();
        Paused(pid)
    }

    /// Stops all of them.
    pub fn pause_all(&self) -> Vec<Paused> {
        (1..=BROKERS).map(|broker| self.pause(broker)).collect()
    }

    /// Lets a broker run for a moment now and then only, until the guard goes.
    pub fn slow(&self, broker: u32) -> Slow {
        let pid = self.pid(broker);
        let (end, ended) = mpsc::channel::<()>();
        let goes = move |time: Duration| ended.recv_timeout(time) == Err(mpsc::RecvTimeoutError::Timeout);
        let thread = std::thread::spawn(move || {
            loop {
                kill(pid, Signal::SIGSTOP).unwrap();
                let on = goes(STANDS);
                kill(pid, Signal::SIGCONT).unwrap();
                if !on || !goes(RUNS) {
                    return;
                }
            }
        });
        Slow { end: Some(end), thread: Some(thread) }
    }

    /// Kills a broker, until the guard goes.
    pub fn kill(&self, broker: u32) -> Killed {
        kill(self.pid(broker), Signal::SIGKILL).unwrap();
        Killed { folder: self.folder.clone(), broker }
    }

    fn pid(&self, broker: u32) -> Pid {
        let text = std::fs::read_to_string(self.folder.join(broker.to_string()).join("pid")).unwrap();
        Pid::from_raw(text.trim().parse().unwrap())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It ends its input before it waits.
        let _ = self.keeper.wait();
    }
}

/// A broker that stands still.
pub struct Paused(Pid);

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

/// A broker that is slow.
pub struct Slow {
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Slow {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A broker that is dead.
pub struct Killed {
    folder: PathBuf,
    broker: u32,
}

impl Drop for Killed {
    fn drop(&mut self) {
        let one = Command::new(SCRIPT).arg("one").arg(&self.folder).arg(self.broker.to_string()).status();
        assert!(
            one.is_ok_and(|status| status.success()) || std::thread::panicking(),
            "the broker starts again"
        );
    }
}
