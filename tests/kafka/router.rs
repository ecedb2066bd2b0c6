//! A router that writes straight to Kafka: its spool remains the truth.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use tandem::agent::Emission;
use tandem::agent::emit::Stamper;
use tandem::agent::journal::Journal;
use tandem::agent::upload::{self, Deadlines, Progress};
use tandem::config::{Privacy, Secret, Upload};
use tandem::event::{Body, ConfigRolledBack, Event, Sequence};
use tandem::stream::{Kafka, KafkaSettings, Record, Sqlite, SqliteSettings, Topic};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{PATIENCE, broker, outside, secure};

const EVENTS: u64 = 300;

fn journal(folder: &Path) -> Journal {
    let stamper = Stamper::new("boot".into(), Privacy::default());
    Journal::start(folder, "branch-0042".parse().unwrap(), 4 << 20, stamper).unwrap().0
}

async fn write(journal: &Journal, causes: std::ops::RangeInclusive<u64>) {
    for cause in causes {
        let (from_hash, hash) = ("a".into(), "b".into());
        let body = ConfigRolledBack { from_hash, hash, cause: cause.to_string() }.into();
        journal.emit_durably(Emission { subject: None, time: None, body }).await.unwrap();
    }
}

fn options(settings: &KafkaSettings) -> Upload {
    let to = format!("kafka://{}/{}?partitions={}", settings.servers, settings.prefix, settings.partitions);
    Upload { to: Some(to), ..Upload::default() }
}

struct Running {
    task: JoinHandle<()>,
    progress: watch::Receiver<Progress>,
    stop: watch::Sender<bool>,
}

impl Running {
    fn start(options: Upload, journal: &Journal) -> Self {
        let journal = journal.clone();
        let (stop, stopped) = watch::channel(false);
        let (publish, progress) = watch::channel(Progress::default());
        let task = tokio::spawn(upload::run(options, Deadlines::default(), journal, publish, stopped));
        Self { task, progress, stop }
    }

    async fn until(&mut self, reached: impl FnMut(&Progress) -> bool) -> Progress {
        timeout(PATIENCE, self.progress.wait_for(reached)).await.expect("in time").unwrap().clone()
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        timeout(PATIENCE, self.task).await.expect("it stops when told").unwrap();
    }
}

async fn until_acknowledged(journal: &Journal, events: u64) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while journal.depth().await.unwrap().acknowledged < Sequence(events) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn causes(stream: &Kafka) -> Vec<u64> {
    let cause = |record: Record| {
        assert_eq!(record.key, "branch-0042");
        let event = Event::from_json(record.value.as_ref().unwrap()).unwrap();
        let Body::ConfigRolledBack(body) = event.body else { panic!("another event") };
        body.cause.parse().unwrap()
    };
    outside::all(stream, Topic::Status).await.into_iter().map(cause).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_wait_in_the_spool_until_every_one_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    write(&journal, 1..=EVENTS).await;
    let settings = broker::settings(3);
    let mut running = Running::start(options(&settings), &journal);
    let fault = running.until(|progress| progress.fault.is_some()).await.fault.unwrap();
    assert!(fault.contains(&settings.named("tandem.status")), "{fault}");
    let depth = journal.depth().await.unwrap();
    assert_eq!((depth.acknowledged, depth.status_events), (Sequence(0), EVENTS), "nothing is given up");

    let stream = Kafka::open(settings).await.unwrap();
    running.until(|progress| progress.acknowledged_at.is_some() && progress.fault.is_none()).await;
    write(&journal, EVENTS + 1..=EVENTS + 5).await;
    until_acknowledged(&journal, EVENTS + 5).await;
    running.stop().await;
    assert_eq!(journal.depth().await.unwrap().status_events, 0, "what is stored leaves the spool");
    assert_eq!(causes(&stream).await, (1..=EVENTS + 5).collect::<Vec<_>>(), "all, once, in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_wrong_password_all_waits_in_the_spool_until_it_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    write(&journal, 1..=EVENTS).await;
    let settings = broker::settings(1);
    let stream = Kafka::open(settings.clone()).await.unwrap();
    let options = |password: &str| Upload {
        to: Some(format!(
            "kafka://{}/{}?partitions=1&sasl.username=tandem",
            secure::address(),
            settings.prefix
        )),
        token: Some(Secret::new(password)),
        ca_file: Some(secure::authority().into()),
        ..Upload::default()
    };
    let mut wrong = Running::start(options("guess"), &journal);
    let refused = |fault: &String| fault.contains("uthentication");
    let fault = wrong.until(|progress| progress.fault.as_ref().is_some_and(refused)).await.fault.unwrap();
    assert!(!fault.contains("guess"), "a password is not told");
    wrong.stop().await;
    let depth = journal.depth().await.unwrap();
    assert_eq!((depth.acknowledged, depth.status_events), (Sequence(0), EVENTS), "nothing is given up");

    let right = Running::start(options("fleet-secret"), &journal);
    until_acknowledged(&journal, EVENTS).await;
    right.stop().await;
    assert_eq!(causes(&stream).await, (1..=EVENTS).collect::<Vec<_>>(), "all, once, in order");
}

/// Set in the process that measures itself.
const MEASURED: &str = "TANDEM_KAFKA_ROUTER_MEASURED";
/// Events of a full spool, and bytes of the text in each: together three times what the client may queue.
const FULL: u64 = 1_500;
const CAUSE_BYTES: usize = 2_000;
/// Most that the client may take of a router, threads and buffers included, in KiB.
const CLIENT_KB_MAX: u64 = 16 * 1024;

/// A line of `/proc/self/status`, in KiB.
fn memory_kb(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t']).split(' ').next().unwrap().parse().unwrap()
}

/// In a process of its own, because memory is a process's.
#[test]
fn what_the_client_takes_of_a_router_is_bounded() {
    if std::env::var_os(MEASURED).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        return runtime.unwrap().block_on(upload_a_full_spool());
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["router::what_the_client_takes_of_a_router_is_bounded", "--exact", "--nocapture"])
        .env(MEASURED, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{output:?}");
    print!("{text}");
}

async fn upload_a_full_spool() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    for _ in 0..FULL {
        let mut random = fastrand::Rng::new();
        let cause = (0..CAUSE_BYTES).map(|_| random.alphanumeric()).collect();
        let body = ConfigRolledBack { from_hash: "a".into(), hash: "b".into(), cause }.into();
        journal.emit_durably(Emission { subject: None, time: None, body }).await.unwrap();
    }
    let settings = broker::settings(3);
    let before_kb = memory_kb("VmRSS");
    // The most so far is forgotten.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let mut running = Running::start(options(&settings), &journal);
    running.until(|progress| progress.fault.is_some()).await;
    let waiting_kb = memory_kb("VmHWM").saturating_sub(before_kb);
    // Made by another process: what that takes is not the router's.
    let empty = nothing_to_copy();
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(["stream", "copy", "--to", options(&settings).to.as_deref().unwrap(), "--from"])
        .arg(empty.path())
        .output()
        .unwrap();
    // The router may write into them before the copy finds them empty: they are made all the same.
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success() || said.contains("is not empty"), "{said}");
    running.until(|progress| progress.acknowledged_at.is_some() && progress.fault.is_none()).await;
    until_acknowledged(&journal, FULL).await;
    let sent_kb = memory_kb("VmHWM").saturating_sub(before_kb);
    running.stop().await;
    println!("client of a router: {waiting_kb} KiB while topics are missing, {sent_kb} KiB with all sent");
    assert!(waiting_kb.max(sent_kb) < CLIENT_KB_MAX, "{waiting_kb} KiB, then {sent_kb} KiB");
}

/// An embedded stream without records.
fn nothing_to_copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    drop(Sqlite::open(folder.path(), SqliteSettings::default()).unwrap());
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_settings_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let settings = broker::settings(1);
    let nameless = Upload { token: Some(Secret::new("secret")), ..options(&settings) };
    let unknown =
        Upload { to: Some(format!("{}&lingerms=1", options(&settings).to.unwrap())), ..options(&settings) };
    for (options, told) in [(nameless, "sasl.username"), (unknown, "lingerms")] {
        let mut running = Running::start(options, &journal);
        let fault = running.until(|progress| progress.fault.is_some()).await.fault.unwrap();
        assert!(fault.contains(told), "{fault}");
        running.stop().await;
    }
}

/// Sets from which age on the topic refuses a record.
async fn refuse_older(settings: &KafkaSettings, than_ms: &str) {
    alter(settings, "message.timestamp.before.max.ms", than_ms).await;
}

/// Sets one setting of the topic of status, as somebody may while we run.
async fn alter(settings: &KafkaSettings, setting: &str, value: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker::address()).create().unwrap();
    let name = settings.named(Topic::Status.name());
    let change = AlterConfig::new(ResourceSpecifier::Topic(&name)).set(setting, value);
    admin.alter_configs(&[change], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off_is_told_and_no_event_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    write(&journal, 1..=EVENTS).await;
    let settings = broker::settings(2);
    let stream = Kafka::open(settings.clone()).await.unwrap();
    // To such a broker the clock of this router is behind.
    refuse_older(&settings, "0").await;
    let mut running = Running::start(options(&settings), &journal);
    running.until(|progress| progress.failures >= 2).await;
    let told = running.until(|progress| progress.fault.is_some()).await.fault.unwrap();
    assert!(told.contains("clock"), "{told}");
    let depth = journal.depth().await.unwrap();
    assert_eq!((depth.acknowledged, depth.status_events), (Sequence(0), EVENTS), "nothing is given up");

    refuse_older(&settings, "604800000").await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while journal.depth().await.unwrap().acknowledged < Sequence(EVENTS) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.stop().await;
    assert_eq!(causes(&stream).await, (1..=EVENTS).collect::<Vec<_>>(), "all, once, in order");
}

/// What a batch of the topic may have in the test below.
const LIMIT: usize = 50_000;
/// Events that are too large for it, by their sequence.
const LARGE: [u64; 2] = [7, 8];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_larger_than_the_topic_takes_are_given_up_and_told_and_those_behind_them_go_out() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let settings = broker::settings(1);
    let stream = Kafka::open(settings.clone()).await.unwrap();
    alter(&settings, "max.message.bytes", &LIMIT.to_string()).await;
    for sequence in 1..=20 {
        let cause = "x".repeat(if LARGE.contains(&sequence) { LIMIT } else { 10 });
        let body = ConfigRolledBack { from_hash: "a".into(), hash: "b".into(), cause }.into();
        journal.emit_durably(Emission { subject: None, time: None, body }).await.unwrap();
    }
    let mut plain = options(&settings);
    plain.to.as_mut().unwrap().push_str("&compression.type=none");
    let mut running = Running::start(plain, &journal);
    let told = |progress: &Progress| progress.fault.as_ref().is_some_and(|fault| fault.contains("larger"));
    let fault = running.until(told).await.fault.unwrap();
    assert!(fault.contains("branch-0042") && fault.contains("tandem.status"), "{fault}");
    // What was given up is said in an event of its own, behind all others.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while journal.depth().await.unwrap().status_events > 0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.until(|progress| progress.fault.is_none()).await;
    running.stop().await;

    // Halves of a batch go more than once, which costs doubles.
    let mut stored = BTreeMap::new();
    for record in outside::all(&stream, Topic::Status).await {
        let event = Event::from_json(record.value.as_ref().unwrap()).unwrap();
        let is_next = stored.last_key_value().is_none_or(|(last, _)| *last < event.sequence.0);
        assert!(is_next || stored.contains_key(&event.sequence.0), "{} is out of order", event.sequence.0);
        stored.insert(event.sequence.0, event.body);
    }
    let mut given_up = Vec::new();
    for sequence in 1..=20 {
        match stored.remove(&sequence) {
            Some(body) => assert!(matches!(body, Body::ConfigRolledBack(_)), "{sequence}"),
            None => given_up.push(sequence),
        }
    }
    assert_eq!(given_up, LARGE, "all others are stored");
    let mut accounted_for = 0;
    for body in stored.into_values() {
        let Body::SpoolDropped(dropped) = body else { panic!("another event: {body:?}") };
        assert_eq!(dropped.cause, "refused");
        assert!(LARGE.contains(&dropped.first_sequence) && LARGE.contains(&dropped.last_sequence));
        accounted_for += dropped.count;
    }
    assert_eq!(accounted_for, LARGE.len() as u64);
}
