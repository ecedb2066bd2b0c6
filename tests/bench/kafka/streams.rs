//! What a team would write instead of our fold, on the same topic of the same broker: a fold by Kafka Streams
//! (`tests/bench/kafka/streams`). Exactly once, one thread, otherwise as it comes.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tandem::stream::{KafkaSettings, Topic};

use crate::fold::{LOOK_AGAIN, PATIENCE};
use crate::process::Process;
use crate::{figure, fleet};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/kafka/streams/run");
/// Its application id, which is the name of its group.
const APPLICATION: &str = "kafka-streams";
const THREADS: &str = "1";
/// For one answer of the broker.
const ASK: Duration = Duration::from_secs(10);

/// `share_rate`: what our own process reached before, events/s.
pub async fn run(place: &KafkaSettings, share_rate: f64) {
    let prepared = Command::new(SCRIPT).arg("prepare").stdout(Stdio::null()).status().expect("bash");
    assert!(prepared.success(), "what it needs is installed");
    let folder = tempfile::tempdir().expect("a folder");
    // Beneath, for its beginning without a store.
    let state = folder.path().join("state");
    let group = Group::of(place);
    let events = group.end();

    // From its start, with that of the JVM and with joining the group, as ours is counted; until the group has committed all.
    let began = Instant::now();
    let fold = start(place, &state);
    while tokio::task::block_in_place(|| group.committed()) < events {
        assert!(began.elapsed() < PATIENCE, "Kafka Streams folds");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let rate = events as f64 / began.elapsed().as_secs_f64();
    figure("streams_fold_rate", rate, "events/s");
    figure("share_over_streams", share_rate / rate, "of Kafka Streams");
    figure("streams_memory", fold.resident_bytes() / 1e6, "MB");
    fold.stop();

    for from in ["from", "without"] {
        if from == "without" {
            std::fs::remove_dir_all(&state).expect("its state");
        }
        let began = Instant::now();
        let fold = start(place, &state);
        let path = format!("/routers/{}", fleet::name(0));
        while fold.ask(&path).await.is_none() {
            assert!(began.elapsed() < PATIENCE, "Kafka Streams answers");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let took_s = began.elapsed().as_secs_f64();
        figure(&format!("streams_restart_{from}_store_to_first_answer"), took_s, "s");
        fold.stop();
    }
}

/// Starts it and waits until it listens, which is before it can answer.
fn start(place: &KafkaSettings, state: &Path) -> Process {
    let mut command = Command::new(SCRIPT);
    command.args([&place.servers, &place.named(Topic::Status.name()), APPLICATION]);
    command.arg(state).args([THREADS, "0"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("bash");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let port = lines.find_map(|line| line.strip_prefix("port\t").map(str::to_owned)).expect("it starts");
    std::thread::spawn(move || lines.for_each(drop));
    Process::of(child, &format!("127.0.0.1:{port}"))
}

/// Where its group is, asked by one that is no member.
struct Group {
    consumer: BaseConsumer,
    topic: String,
    partitions: i32,
}

impl Group {
    fn of(place: &KafkaSettings) -> Self {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", &place.servers)
            .set("group.id", APPLICATION)
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .create()
            .expect("a consumer");
        let partitions = i32::try_from(place.partitions).expect("few");
        Self { consumer, topic: place.named(Topic::Status.name()), partitions }
    }

    /// Sum of the ends of the partitions.
    fn end(&self) -> i64 {
        let end = |partition| {
            self.consumer.fetch_watermarks(&self.topic, partition, ASK).expect("the broker tells").1
        };
        (0..self.partitions).map(end).sum()
    }

    /// Sum of the committed offsets; 0 while the broker does not tell, as when the group is being made.
    fn committed(&self) -> i64 {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.topic, 0, self.partitions - 1);
        let Ok(committed) = self.consumer.committed_offsets(list, ASK) else { return 0 };
        let offset = |offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
        committed.elements().iter().map(|element| offset(element.offset())).sum()
    }
}
