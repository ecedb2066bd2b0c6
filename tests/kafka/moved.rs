//! What an operator finds who moved to Kafka: the same fleet, now and in the past, with the data folder as it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tandem::central::Central;
use tandem::stream::{
    Kafka, Record, Shared, Sqlite, SqliteSettings, Stream as _, Topic,
    copy::{READER, copy},
};
use tandem::view::FleetView;
use tokio::sync::watch;

use super::{PATIENCE, broker, events};

const ROUTERS: u64 = 5;
const HOURS: i64 = 6;
/// Events of each router in an hour.
const EVENTS: u64 = 20;

async fn caught_up(stream: Shared, data: &std::path::Path) -> Arc<Central> {
    let central = Central::open(stream, data).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !central.step().await.unwrap() {
        assert!(Instant::now() < deadline, "it does not catch up");
    }
    central
}

/// Events counted of each router, and how many were missing.
fn counts(fleet: &FleetView) -> Vec<(String, u64, u64)> {
    let count = |view: &Arc<tandem::view::RouterView>| {
        let counts = view.completeness();
        (view.name.to_string(), counts.received, counts.missing)
    };
    fleet.routers_after(None).map(count).collect()
}

async fn story(central: &Central, times: &[DateTime<Utc>]) -> Vec<Vec<(String, u64, u64)>> {
    let mut story = vec![counts(&central.fleet().read().unwrap())];
    for time in times {
        story.push(counts(&central.as_of(*time).await.unwrap()));
    }
    story
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_of_the_embedded_stream_are_not_taken_for_those_of_its_copy() {
    let data = tempfile::tempdir().unwrap();
    let began = Utc::now().duration_trunc(TimeDelta::hours(1)).unwrap() - TimeDelta::hours(HOURS);
    let source = Sqlite::open(data.path(), SqliteSettings::default()).unwrap();
    for hour in 0..HOURS {
        let time = began + TimeDelta::hours(hour) + TimeDelta::minutes(10);
        let first = hour as u64 * EVENTS + 1;
        let sequences = first..first + EVENTS;
        let records = sequences
            .flat_map(|n| (0..ROUTERS).map(move |router| events::status(&format!("router-{router}"), n)));
        source.append(records.map(|record| Record { time, ..record }).collect()).await.unwrap();
    }
    let source: Shared = Arc::new(source);
    let times: Vec<_> = (1..HOURS).map(|hour| began + TimeDelta::hours(hour)).collect();
    let before = caught_up(source.clone(), data.path()).await;
    // In order: the last snapshot is written too.
    before.follow(watch::channel(true).1).await;
    let told = story(&before, &times).await;
    drop(before);
    let all = HOURS as u64 * EVENTS;
    assert!(told[0].len() as u64 == ROUTERS && told[0].iter().all(|(_, received, _)| *received == all));

    let target = Arc::new(Kafka::open(broker::settings(2)).await.unwrap());
    copy(&*source, &*target, Utc::now(), |_, _| {}).await.unwrap();
    let after = caught_up(target, data.path()).await;
    assert_eq!(story(&after, &times).await, told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_copy_left_open_does_not_hold_up_the_next_one() {
    let data = tempfile::tempdir().unwrap();
    let settings = broker::settings(2);
    let source = Sqlite::open(data.path(), SqliteSettings::default()).unwrap();
    source.append((1..=30).map(|n| events::status("router-1", n)).collect()).await.unwrap();
    let target = Kafka::open(settings.clone()).await.unwrap();

    // As it is killed between the positions and the end of its transaction.
    let name = settings.named(&format!("tandem.{READER}"));
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker::address());
    let killed: BaseProducer = config
        .clone()
        .set("transactional.id", &name)
        .set("transaction.timeout.ms", "600000")
        .create()
        .unwrap();
    let group: BaseConsumer = config.set("group.id", &name).create().unwrap();
    killed.init_transactions(PATIENCE).unwrap();
    killed.begin_transaction().unwrap();
    let mut positions = TopicPartitionList::new();
    positions.add_partition_offset(&settings.named(Topic::Status.name()), 0, Offset::Offset(20)).unwrap();
    killed.send_offsets_to_transaction(&positions, &group.group_metadata().unwrap(), PATIENCE).unwrap();

    let began = Instant::now();
    let copied = copy(&source, &target, Utc::now(), |_, _| {}).await.unwrap();
    let status = copied.iter().find(|copied| copied.topic == Topic::Status).unwrap();
    assert_eq!((status.now, status.source), (30, status.target), "its positions never counted");
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "it ends what is open, not the broker after ten minutes"
    );
}
