//! From the embedded stream to Kafka, with the command that an operator uses.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{SysconfVar, pipe2, sysconf};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tandem::stream::{Kafka, KafkaSettings, Record, Sqlite, SqliteSettings, Stream as _, Topic};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::time::timeout;

use super::{PATIENCE, broker, events, outside};

const RECORDS: u64 = 12_000;
const PIECE: u64 = 5_000;
/// Pieces that a copy does at most before it is killed: one is heard of, what is said of the next waits in the pipe, and what is said of
/// the third does not fit in.
const PIECES: u64 = 3;
const MANY_RECORDS: u64 = (PIECES * KILLS + 1) * PIECE;
const KILLS: u64 = 3;

fn command(data: &Path, settings: &KafkaSettings) -> Command {
    let to = format!("kafka://{}/{}?partitions={}", settings.servers, settings.prefix, settings.partitions);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(["stream", "copy", "--to", &to, "--from"]).arg(data);
    command
}

fn copy(data: &Path, settings: &KafkaSettings) -> Output {
    command(data, settings).output().unwrap()
}

/// A way for lines on which one can be under way, and the next waits.
fn narrow_pipe() -> (pipe::Receiver, OwnedFd) {
    // In packet mode each page holds what was written at once.
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC | OFlag::O_DIRECT).unwrap();
    let page = i32::try_from(sysconf(SysconfVar::PAGE_SIZE).unwrap().unwrap()).unwrap();
    assert_eq!(fcntl(&theirs, FcntlArg::F_SETPIPE_SZ(page)), Ok(page));
    (pipe::Receiver::from_owned_fd(ours).unwrap(), theirs)
}

/// Copies until some of it is over, and a little longer; then the copy is killed.
async fn cut_off(data: &Path, settings: &KafkaSettings, longer: Duration) {
    let (ours, theirs) = narrow_pipe();
    let mut child = tokio::process::Command::from(command(data, settings)).stderr(theirs).spawn().unwrap();
    let mut lines = BufReader::new(ours).lines();
    let some_is_over = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("copied") {
                return;
            }
        }
        panic!("the copy ended before a piece was over");
    };
    timeout(PATIENCE, some_is_over).await.expect("a piece is over in time");
    let ended = timeout(longer, child.wait()).await;
    assert!(ended.is_err(), "nothing was left to be cut off: {ended:?}");
    child.kill().await.unwrap();
}

fn line(output: &Output, topic: &str) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let line = text.lines().find(|line| line.starts_with(topic));
    let line = line.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
    line.split('\t').skip(1).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_moves_to_kafka_without_losing_history() {
    let data = tempfile::tempdir().unwrap();
    let settings = broker::settings(4);
    let source = Sqlite::open(data.path(), SqliteSettings::default()).unwrap();
    let long_ago = Utc::now() - TimeDelta::days(300);
    for first in (1..=RECORDS).step_by(1_000) {
        let mut records: Vec<Record> =
            (first..first + 1_000).map(|n| events::status(&format!("router-{}", n % 50), n)).collect();
        records.iter_mut().for_each(|record| record.time = long_ago + TimeDelta::minutes(first as i64));
        source.append(records).await.unwrap();
    }
    source.append((1..=70).map(|n| events::sample("router-1", n)).collect()).await.unwrap();

    let refused = copy(data.path(), &settings);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("stop that central first"), "{refused:?}");
    drop(source);

    let copied = copy(data.path(), &settings);
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    assert_eq!(line(&copied, "tandem.status"), ["12000", "0", "12000", "12000", "same"]);
    assert_eq!(line(&copied, "tandem.samples"), ["70", "0", "70", "70", "same"]);
    let again = copy(data.path(), &settings);
    assert_eq!(line(&again, "tandem.status"), ["0", "0", "12000", "12000", "same"], "nothing goes twice");

    // More came before the operator switched over; a copy goes on from where it was.
    let source = Sqlite::open(data.path(), SqliteSettings::default()).unwrap();
    source.append(vec![events::status("router-7", RECORDS + 1)]).await.unwrap();
    drop(source);
    let more = copy(data.path(), &settings);
    assert_eq!(line(&more, "tandem.status"), ["1", "0", "12001", "12001", "same"]);

    assert_eq!(outside::kcat_reads(&settings, Topic::Status).len() as u64, RECORDS + 1, "as others count");

    // Order and time of each router's events are what they were.
    let stream = Arc::new(Kafka::open(settings.clone()).await.unwrap());
    let mut last = std::collections::HashMap::new();
    let mut oldest = Utc::now();
    for record in outside::all(&stream, Topic::Status).await {
        let event = tandem::event::Event::from_json(record.value.as_ref().unwrap()).unwrap();
        let before = last.insert(record.key, event.sequence);
        assert!(before.is_none_or(|before| before < event.sequence));
        oldest = oldest.min(record.time);
    }
    assert!((oldest - long_ago).num_minutes() <= 2);

    stream.append(vec![events::status("router-1", RECORDS + 9)]).await.unwrap();
    let differs = copy(data.path(), &settings);
    assert!(!differs.status.success(), "a target in use is told");
    assert_eq!(line(&differs, "tandem.status")[4], "DIFFERENT");
    let nothing = copy(&data.path().join("nothing-here"), &settings);
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no stream there"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_killed_again_and_again_ends_whole_and_without_doubles() {
    let data = tempfile::tempdir().unwrap();
    let settings = broker::settings(4);
    let source = Sqlite::open(data.path(), SqliteSettings::default()).unwrap();
    for first in (1..=MANY_RECORDS).step_by(1_000) {
        let records = (first..first + 1_000).map(|n| events::status(&format!("router-{}", n % 50), n));
        source.append(records.collect()).await.unwrap();
    }
    drop(source);
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..KILLS {
        cut_off(data.path(), &settings, Duration::from_millis(random.u64(0..40))).await;
    }
    let copied = copy(data.path(), &settings);
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let told = line(&copied, "tandem.status");
    let rest: u64 = told[0].parse().unwrap();
    println!("{rest} of {MANY_RECORDS} records were left for the last copy");
    assert!((1..=MANY_RECORDS - KILLS * PIECE).contains(&rest), "each began where the one before was killed");
    let all = MANY_RECORDS.to_string();
    assert_eq!(told[1..], ["0", &all, &all, "same"]);
    let read = outside::kcat_reads(&settings, Topic::Status);
    // The identity of an event is in its headers.
    let events: HashSet<_> = read.iter().map(|record| record["headers"].to_string()).collect();
    assert_eq!((read.len() as u64, events.len() as u64), (MANY_RECORDS, MANY_RECORDS), "each is there once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_killed_in_its_first_piece_can_be_repeated() {
    let data = tempfile::tempdir().unwrap();
    let settings = broker::settings(2);
    let source = Sqlite::open(data.path(), SqliteSettings::default()).unwrap();
    source.append((1..=30).map(|n| events::status("router-1", n)).collect()).await.unwrap();
    drop(source);
    // What it leaves behind: records that never count, in places that are taken all the same.
    let target = Kafka::open(settings.clone()).await.unwrap();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker::address())
        .set("transactional.id", settings.named("killed"))
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    let topic = settings.named("tandem.status");
    producer.send(BaseRecord::to(&topic).partition(0).key("router-1").payload("lost")).unwrap();
    producer.flush(PATIENCE).unwrap();
    producer.abort_transaction(PATIENCE).unwrap();
    let taken = async || target.bounds(Topic::Status).await.unwrap()[0].next > 0;
    timeout(PATIENCE, async { while !taken().await {} }).await.expect("places are taken");
    drop(target);

    let copied = copy(data.path(), &settings);
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    assert_eq!(line(&copied, "tandem.status"), ["30", "0", "30", "30", "same"]);
}
