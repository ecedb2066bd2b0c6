//! Processes that share the fold: each event counts once in `tandem.state`, whoever comes and goes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer as _};
use tandem::central::{Central, FOLD_READER, Share, ShareProgress};
use tandem::stream::{Kafka, KafkaSettings, Limit, Position, REASON, Record, Stored, Stream as _, Topic};
use tandem::view::RouterView;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::between::Between;
use super::{PATIENCE, broker, events, outside};

const PARTITIONS: u32 = 6;
const ROUTERS: u64 = 20;

/// A process that folds.
struct Folder {
    progress: Arc<Mutex<ShareProgress>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Folder {
    async fn start(settings: &KafkaSettings) -> Self {
        let kafka = Arc::new(Kafka::open(settings.clone()).await.unwrap());
        let share = Share::join(kafka).unwrap();
        let progress = share.progress();
        let (stop, stopped) = watch::channel(false);
        Self { progress, stop, task: tokio::spawn(share.follow(stopped)) }
    }

    fn partitions(&self) -> Vec<u32> {
        self.progress.lock().unwrap().partitions.clone()
    }

    /// In order: commits and takes leave.
    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }

    /// As `kill -9` would, but that the group is told at once.
    fn kill(self) {
        self.task.abort();
    }
}

/// What the state says of each router.
async fn state(stream: &Kafka) -> BTreeMap<String, RouterView> {
    let mut routers = BTreeMap::new();
    for record in outside::all(stream, Topic::State).await {
        match record.value {
            Some(cbor) => routers.insert(record.key, cbor4ii::serde::from_slice(&cbor).unwrap()),
            None => routers.remove(&record.key),
        };
    }
    routers
}

/// Waits until the state counts `events` of each router, and holds it against them.
async fn counts_each_once(stream: &Kafka, events: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let state = state(stream).await;
        let complete = |view: &RouterView| view.completeness().received == events;
        if state.len() as u64 == ROUTERS && state.values().all(complete) {
            for (router, view) in state {
                let completeness = view.completeness();
                assert_eq!((completeness.missing, completeness.doubles), (0, 0), "{router}");
            }
            return;
        }
        let received: BTreeMap<_, _> =
            state.iter().map(|(router, view)| (router, view.completeness().received)).collect();
        assert!(Instant::now() < deadline, "wanted {events} of each, counted {received:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn append(stream: &Kafka, sequences: std::ops::RangeInclusive<u64>) {
    for sequence in sequences {
        let records = (0..ROUTERS).map(|router| {
            let name = format!("router-{router}");
            if sequence % 3 == 0 { events::sample(&name, sequence) } else { events::status(&name, sequence) }
        });
        stream.append(records.collect()).await.unwrap();
    }
}

/// Waits until every partition has one owner among `folders`, and each of them some.
async fn shared_out(folders: &[&Folder]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let owned: Vec<Vec<u32>> = folders.iter().map(|folder| folder.partitions()).collect();
        let mut all: Vec<u32> = owned.iter().flatten().copied().collect();
        all.sort_unstable();
        if all == (0..PARTITIONS).collect::<Vec<_>>() && owned.iter().all(|own| !own.is_empty()) {
            return;
        }
        assert!(Instant::now() < deadline, "{owned:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folds_come_and_go_and_each_event_counts_once() {
    let settings = broker::settings(PARTITIONS);
    let stream = Kafka::open(settings.clone()).await.unwrap();
    let writer = {
        let stream = Kafka::open(settings.clone()).await.unwrap();
        tokio::spawn(async move { append(&stream, 1..=120).await })
    };
    let first = Folder::start(&settings).await;
    shared_out(&[&first]).await;
    let second = Folder::start(&settings).await;
    shared_out(&[&first, &second]).await;
    let third = Folder::start(&settings).await;
    shared_out(&[&first, &second, &third]).await;
    second.kill();
    shared_out(&[&first, &third]).await;
    first.stop().await;
    shared_out(&[&third]).await;
    writer.await.unwrap();
    append(&stream, 121..=123).await;
    counts_each_once(&stream, 123).await;
    third.stop().await;

    // The committed positions are the ends.
    for position in stream.committed(FOLD_READER).await.unwrap() {
        let end = stream.bounds(position.topic).await.unwrap()[position.partition as usize].next;
        assert_eq!(position.offset, end, "{position:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_somebody_adds_meanwhile_are_told_and_hold_up_nothing() {
    let mut settings = broker::settings(PARTITIONS);
    settings.set("topic.metadata.refresh.interval.ms", "300").unwrap();
    let stream = Kafka::open(settings.clone()).await.unwrap();
    append(&stream, 1..=3).await;
    let folder = Folder::start(&settings).await;
    counts_each_once(&stream, 3).await;
    outside::add_partitions(&settings, Topic::Status, PARTITIONS as usize + 2).await;
    let deadline = Instant::now() + PATIENCE;
    let told = || stream.ready().unwrap().unwrap_or_default();
    while !told().contains("partitions is 8, wanted 6") {
        assert!(Instant::now() < deadline && !folder.task.is_finished(), "{}", told());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(folder.progress.lock().unwrap().fault, None, "it is of use all the same");
    append(&stream, 4..=7).await;
    counts_each_once(&stream, 7).await;
    folder.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_that_is_gone_is_folded_again_from_the_stream() {
    let settings = broker::settings(PARTITIONS);
    let stream = Kafka::open(settings.clone()).await.unwrap();
    append(&stream, 1..=5).await;
    let folder = Folder::start(&settings).await;
    counts_each_once(&stream, 5).await;
    folder.stop().await;
    // Positions stay in the group; the state does not.
    let gone = state(&stream).await.into_keys().map(|key| {
        let mut tombstone = events::status(&key, 1);
        (tombstone.topic, tombstone.value) = (Topic::State, None);
        tombstone.headers.clear();
        tombstone
    });
    stream.append(gone.collect()).await.unwrap();
    let folder = Folder::start(&settings).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let views = state(&stream).await;
        if views.len() as u64 == ROUTERS && views.values().all(|view| view.completeness().received == 5) {
            break;
        }
        assert!(Instant::now() < deadline, "{} of {ROUTERS}", views.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    folder.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_of_another_release_is_folded_anew_once_and_what_has_no_events_goes() {
    let settings = broker::settings(PARTITIONS);
    let stream = Kafka::open(settings.clone()).await.unwrap();
    append(&stream, 1..=5).await;
    let foreign = |router: &str| Record {
        topic: Topic::State,
        headers: vec![("tandem_view".into(), "999".into())],
        value: Some(b"{\"another\":true}".to_vec()),
        ..events::status(router, 1)
    };
    let gone: Vec<_> = (0..4).map(|router| format!("gone-{router}")).collect();
    let left = gone.iter().map(String::as_str).chain(["router-0", "router-1"]);
    stream.append(left.map(foreign).collect()).await.unwrap();
    let folder = Folder::start(&settings).await;
    let deadline = Instant::now() + PATIENCE;
    let known = async || -> BTreeMap<String, bool> {
        let mut known = BTreeMap::new();
        for bounds in stream.bounds(Topic::State).await.unwrap() {
            let mut from =
                Position { topic: Topic::State, partition: bounds.partition, offset: bounds.first };
            while from.offset < bounds.next {
                let batch = stream.read(from, Limit::default()).await.unwrap();
                from.offset = batch.next;
                for Stored { record, .. } in batch.records {
                    match record.header("tandem_view") == Some("999") {
                        _ if record.value.is_none() => known.remove(&record.key),
                        foreign => known.insert(record.key, foreign),
                    };
                }
            }
        }
        known
    };
    while known().await != (0..ROUTERS).map(|router| (format!("router-{router}"), false)).collect() {
        assert!(Instant::now() < deadline, "{:?}", known().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    folder.stop().await;
    let folder = Folder::start(&settings).await;
    shared_out(&[&folder]).await;
    append(&stream, 6..=6).await;
    while folder.progress.lock().unwrap().commits == 0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(folder.progress.lock().unwrap().events <= ROUTERS, "the next owner folds what is new, no more");
    folder.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_event_becomes_a_dead_letter_and_holds_up_nothing() {
    let settings = broker::settings(1);
    let stream = Kafka::open(settings.clone()).await.unwrap();
    stream.append(vec![events::status("router-0", 1)]).await.unwrap();
    outside::kcat_writes(&settings, Topic::Status, "router-0", &[], "poison");
    outside::kcat_writes(&settings, Topic::Status, "router-0", &["ce_type=x"], "");
    let unknown = events::status_json("router-0", 2).replace(events::STATUS, "io.tandem.moon.landed.v7");
    outside::kcat_writes(&settings, Topic::Status, "router-0", &[], &unknown);
    stream.append(vec![events::status("router-0", 3)]).await.unwrap();
    let folder = Folder::start(&settings).await;
    let deadline = Instant::now() + PATIENCE;
    while state(&stream).await.get("router-0").is_none_or(|view| view.completeness().received < 3) {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let end = stream.bounds(Topic::DeadLetters).await.unwrap()[0];
    let from = Position { topic: Topic::DeadLetters, partition: 0, offset: end.first };
    let letters = stream.read(from, Limit::default()).await.unwrap().records;
    let letters: Vec<_> = letters.iter().map(|stored| &stored.record).collect();
    assert_eq!(letters.len(), 2, "the unknown kind is an event");
    assert_eq!((letters[0].key.as_str(), letters[0].value.as_deref()), ("router-0", Some(&b"poison"[..])));
    let reason = |n: usize| letters[n].header(REASON).unwrap();
    assert!(reason(0).contains("tandem.status/0 at offset 1"), "{}", reason(0));
    assert!(reason(1).contains("offset 2: a tombstone"), "{}", reason(1));
    folder.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_written_and_is_taken_for_failed_counts_once() {
    let settings = broker::settings(PARTITIONS);
    let stream = Kafka::open(settings.clone()).await.unwrap();
    append(&stream, 1..=3).await;
    let between = Between::start();
    let folder = Folder::start(&between.settings(&settings)).await;
    counts_each_once(&stream, 3).await;

    let (written, heard) = oneshot::channel();
    between.at_next_commit(move |id| {
        // Repeated, it is refused: another one has begun under that id.
        let other: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", broker::address())
            .set("transactional.id", id)
            .create()
            .unwrap();
        other.init_transactions(PATIENCE).unwrap();
        written.send(()).unwrap();
    });
    // First what would be there twice: a state that is written again is the same one.
    outside::kcat_writes(&settings, Topic::Status, "router-0", &[], "poison");
    append(&stream, 4..=6).await;
    timeout(PATIENCE, heard).await.expect("it commits in time").unwrap();
    assert_eq!(outside::all(&stream, Topic::DeadLetters).await.len(), 1, "the commit was written");
    let commits = || folder.progress.lock().unwrap().commits;
    let before = commits();
    append(&stream, 7..=7).await;
    counts_each_once(&stream, 7).await;
    let deadline = Instant::now() + PATIENCE;
    while commits() == before {
        assert!(Instant::now() < deadline, "it commits no more");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    folder.stop().await;
    assert_eq!(outside::all(&stream, Topic::DeadLetters).await.len(), 1, "it is not written again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_node_serves_from_the_state_at_once_and_then_follows() {
    let settings = broker::settings(PARTITIONS);
    let stream = Arc::new(Kafka::open(settings.clone()).await.unwrap());
    append(&stream, 1..=9).await;
    let folder = Folder::start(&settings).await;
    counts_each_once(&stream, 9).await;
    folder.stop().await;
    append(&stream, 10..=11).await;

    let data = tempfile::tempdir().unwrap();
    let node = Arc::new(Kafka::open(settings).await.unwrap());
    let central = Central::open(node, data.path()).await.unwrap();
    let counted = |central: &Central| -> Vec<u64> {
        let fleet = central.fleet();
        let fleet = fleet.read().unwrap();
        fleet.routers_after(None).map(|view| view.completeness().received).collect()
    };
    assert_eq!(counted(&central), vec![9; ROUTERS as usize], "from the state alone");
    let freshness = central.fleet().read().unwrap().freshness.clone();
    assert!(!freshness.caught_up && freshness.stream_moved_at.is_some(), "it says that it is behind");
    assert!(freshness.lag_ms(chrono::Utc::now()) > 0);

    let mut live = central.live().subscribe();
    let (stop, stopped) = watch::channel(false);
    let following = {
        let central = central.clone();
        tokio::spawn(async move { central.follow(stopped).await })
    };
    let deadline = Instant::now() + PATIENCE;
    while counted(&central) != vec![11; ROUTERS as usize]
        || !central.fleet().read().unwrap().freshness.caught_up
    {
        assert!(Instant::now() < deadline, "{:?}", counted(&central));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut seen = 0;
    while live.try_recv().is_ok() {
        seen += 1;
    }
    assert_eq!(seen, 2 * ROUTERS, "each new event was told live, none of the old");
    for view in central.fleet().read().unwrap().routers_after(None) {
        assert_eq!(view.completeness().doubles, 0, "{}", view.name);
    }
    stop.send_replace(true);
    following.await.unwrap();
}
