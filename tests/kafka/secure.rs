//! A listener with TLS and SCRAM: who we are, and who we speak to.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tandem::central::FOLD_READER;
use tandem::stream::{Commit, Kafka, KafkaSettings, Position, Record, Stream as _, Topic};
use tempfile::NamedTempFile;

use super::roles::{Process, post};
use super::{PATIENCE, broker, events};

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A file with settings of the second listener, as an operator keeps them.
fn file(lines: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, format!("security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n{lines}"))
        .unwrap();
    file
}

/// The broker's second listener, with these settings in a file.
fn settings(lines: &str) -> KafkaSettings {
    let mut settings = broker::settings(1);
    settings.servers = address();
    settings.load(file(lines).path()).unwrap();
    settings
}

/// Who may enter, and whom we trust.
fn right() -> String {
    format!("ssl.ca.location={}\nsasl.username=tandem\nsasl.password=fleet-secret\n", authority())
}

/// Where the broker listens with TLS and SCRAM.
pub fn address() -> String {
    let file = folder().join("1").join("secure");
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())).trim().into()
}

/// Certificate of the authority that the broker's own is from.
pub fn authority() -> String {
    folder().join("tls.pem").display().to_string()
}

/// The folder of the broker that `tests/run` starts.
fn folder() -> PathBuf {
    const NAME: &str = "TANDEM_KAFKA_FOLDER";
    std::env::var_os(NAME).unwrap_or_else(|| panic!("{NAME} is not set; see tests/kafka/broker")).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_right_password_over_tls_all_works() {
    let settings = settings(&right());
    let stream = Kafka::open(settings).await.unwrap();
    stream.append(vec![events::status("r", 1)]).await.unwrap();
    assert_eq!(stream.bounds(Topic::Status).await.unwrap()[0].next, 1);
    let positions = vec![Position { topic: Topic::Status, partition: 0, offset: 1 }];
    let outputs = vec![Record { topic: Topic::Alerts, ..events::status("r", 1) }];
    stream.commit(Commit { reader: "alerts".into(), positions: positions.clone(), outputs }).await.unwrap();
    assert_eq!(stream.committed("alerts").await.unwrap(), positions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_works_over_tls_with_the_settings_of_a_file() {
    let settings = settings(&right());
    let file = file(&right());
    let more = [OsStr::new("--kafka-config"), file.path().as_os_str()];
    let [gateway, _fold, node] =
        ["gateway", "fold", "api"].map(|role| Process::start_with(&settings, role, &more));
    post(&gateway, &[events::status_json("r", 1), events::status_json("r", 2)]).await;
    let deadline = Instant::now() + PATIENCE;
    let received = |shown: Option<Value>| shown.and_then(|shown| shown["completeness"]["received"].as_u64());
    while received(node.ask("/v1/routers/r").await) != Some(2) {
        assert!(Instant::now() < deadline, "{:?}", node.ask("/readyz").await);
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    // The fold is a member of its group, and commits.
    let stream = Kafka::open(settings).await.unwrap();
    while !stream.committed(FOLD_READER).await.unwrap().iter().any(|at| at.offset == 2) {
        assert!(Instant::now() < deadline, "the fold commits nothing");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    assert!(stream.bounds(Topic::State).await.unwrap()[0].next > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_and_a_foreign_authority_are_told_at_once() {
    let began = Instant::now();
    let wrong = format!("ssl.ca.location={}\nsasl.username=tandem\nsasl.password=guess\n", authority());
    let error = Kafka::open(settings(&wrong)).await.err().expect("it was let in").to_string();
    assert!(error.contains("uthentication") && error.contains(&address()), "{error}");
    assert!(!error.contains("guess"), "a password is not told");

    let foreign = "sasl.username=tandem\nsasl.password=fleet-secret\n";
    let error = Kafka::open(settings(foreign)).await.err().expect("anybody may be the broker").to_string();
    assert!(error.contains("certificate"), "{error}");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}
