//! The fold against a bare consumer of the same topic, in the same run; what it takes to remember a fleet, and how soon it
//! answers after a restart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tandem::central::{Central, FOLD_READER};
use tandem::stream::{Kafka, KafkaSettings, Stream as _, Topic};
use tokio::sync::watch;

use crate::broker::Broker;
use crate::process::Process;
use crate::{Options, figure, fleet, streams};

const PARTITIONS: u32 = 4;
/// Events of each router.
const EVENTS: u64 = 10;
const ROUNDS: usize = 3;
pub const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Nothing here takes longer.
pub const PATIENCE: Duration = Duration::from_secs(300);

pub async fn run(options: &Options) {
    let quick = options.has("--quick");
    let routers = options.value("--routers").unwrap_or(if quick { 1_000 } else { 100_000 });
    let broker = Broker::start();
    let place = broker.place("fold", PARTITIONS);
    let stream = Kafka::open(place.clone()).await.expect("a stream");
    fill(&stream, routers).await;
    let events = routers as u64 * EVENTS;
    figure("fold_events", events as f64, "events");

    let (mut bare_s, mut view_s) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..if quick { 1 } else { ROUNDS } {
        let reading = place.clone();
        let took_s = tokio::task::spawn_blocking(move || bare(&reading, events)).await.expect("it reads");
        bare_s = bare_s.min(took_s);
        view_s = view_s.min(view(&place, routers, events).await);
    }
    figure("fold_bare_rate", events as f64 / bare_s, "events/s");
    figure("fold_rate", events as f64 / view_s, "events/s");
    figure("fold_ratio", bare_s / view_s, "of the bare consumer");

    let share_rate = share(&place, &stream, events).await;
    if options.has("--kafka-streams") {
        streams::run(&place, share_rate).await;
    }
    restart(&broker, &place, routers).await;
}

/// Appends the events of all routers, round by round.
async fn fill(stream: &Kafka, routers: usize) {
    for sequence in 1..=EVENTS {
        for chunk in (0..routers).collect::<Vec<_>>().chunks(10_000) {
            let now = Utc::now();
            let records =
                chunk.iter().map(|&router| fleet::record(&fleet::status(router, sequence, now), now));
            stream.append(records.collect()).await.expect("the broker stores");
        }
    }
}

/// Seconds that a consumer takes that does nothing with what it reads.
fn bare(place: &KafkaSettings, events: u64) -> f64 {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &place.servers)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    let topic = place.named(Topic::Status.name());
    for partition in 0..PARTITIONS as i32 {
        list.add_partition_offset(&topic, partition, Offset::Beginning).expect("a partition");
    }
    let began = Instant::now();
    consumer.assign(&list).expect("an assignment");
    let (mut read, mut bytes) = (0, 0);
    while read < events {
        assert!(began.elapsed() < PATIENCE, "the consumer reads");
        if let Some(Ok(message)) = consumer.poll(Duration::from_secs(1)) {
            read += 1;
            bytes += message.payload_len();
        }
    }
    let took_s = began.elapsed().as_secs_f64();
    assert!(bytes > 0);
    took_s
}

/// Seconds that a node takes to have all in its view.
async fn view(place: &KafkaSettings, routers: usize, events: u64) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let stream = Arc::new(Kafka::open(place.clone()).await.expect("a stream"));
    let began = Instant::now();
    let central = Central::open(stream, folder.path()).await.expect("a central");
    let (stop, stopped) = watch::channel(false);
    let following = {
        let central = central.clone();
        tokio::spawn(async move { central.follow(stopped).await })
    };
    let fleet = central.fleet();
    let folded = || -> u64 {
        let fleet = fleet.read().expect("nobody panics");
        fleet
            .freshness
            .position
            .iter()
            .filter(|(place, _)| place.starts_with("tandem.status"))
            .map(|at| at.1)
            .sum()
    };
    while folded() < events {
        assert!(began.elapsed() < PATIENCE, "the node folds");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let took_s = began.elapsed().as_secs_f64();
    assert_eq!(fleet.read().expect("nobody panics").counts().routers, routers as u64);
    stop.send_replace(true);
    following.await.expect("it stops");
    took_s
}

/// A process that folds all partitions and commits the state of each router. Returns its rate, events/s.
async fn share(place: &KafkaSettings, stream: &Kafka, events: u64) -> f64 {
    let data = tempfile::tempdir().expect("a folder");
    let began = Instant::now();
    let fold = Process::start(place, "fold", data.path());
    let idle_bytes = fold.resident_bytes();
    loop {
        let committed = stream.committed(FOLD_READER).await.expect("the broker tells");
        let done = committed.iter().filter(|at| at.topic == Topic::Status).map(|at| at.offset).sum::<u64>();
        if done >= events {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "the share is folded");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    // From its start, with joining the group.
    let rate = events as f64 / began.elapsed().as_secs_f64();
    figure("fold_share_rate", rate, "events/s");
    figure("fold_share_memory", fold.resident_bytes() / 1e6, "MB");
    figure("fold_share_memory_idle", idle_bytes / 1e6, "MB");
    fold.stop();
    rate
}

async fn restart(broker: &Broker, place: &KafkaSettings, routers: usize) {
    let empty = tempfile::tempdir().expect("a folder");
    let idle = Process::start(&broker.place("empty", PARTITIONS), "api", empty.path());
    let idle_bytes = idle.resident_bytes();
    idle.stop();
    let data = tempfile::tempdir().expect("a folder");
    for from in ["state", "snapshot"] {
        let began = Instant::now();
        let node = Process::start(place, "api", data.path());
        node.until_it_tells_of_routers(PATIENCE).await;
        figure(&format!("restart_from_{from}_to_first_answer"), began.elapsed().as_secs_f64(), "s");
        while node.ask("/readyz").await.is_none_or(|ready| ready["caught_up"] != true) {
            assert!(began.elapsed() < PATIENCE, "the node catches up");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        figure(&format!("restart_from_{from}_to_caught_up"), began.elapsed().as_secs_f64(), "s");
        assert_eq!(node.ask("/v1/fleet").await.expect("it answers")["routers"], routers as u64);
        let bytes = node.resident_bytes();
        figure(&format!("node_memory_from_{from}"), bytes / 1e6, "MB");
        figure(
            &format!("node_memory_from_{from}_per_1000_routers"),
            (bytes - idle_bytes) / 1e6 / (routers as f64 / 1e3),
            "MB",
        );
        node.stop();
    }
}
