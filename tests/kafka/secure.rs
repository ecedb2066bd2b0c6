//! A listener with TLS and SCRAM: who we are, and who we speak to.

use std::path::PathBuf;
use std::time::Instant;

use tandem::stream::{Kafka, KafkaSettings, Stream as _, Topic};

use super::{broker, events};

/// The broker's second listener, with these settings in a file as an operator keeps them.
fn settings(lines: &str) -> KafkaSettings {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kafka.conf");
    std::fs::write(&file, format!("security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n{lines}"))
        .unwrap();
    let mut settings = broker::settings(1);
    settings.servers = secure_address();
    settings.load(&file).unwrap();
    settings
}

/// Where the broker listens with TLS and SCRAM.
fn secure_address() -> String {
    let file = folder().join("1").join("secure");
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())).trim().into()
}

fn authority() -> String {
    folder().join("tls.pem").display().to_string()
}

/// The folder of the broker that `tests/run` starts.
fn folder() -> PathBuf {
    const NAME: &str = "TANDEM_KAFKA_FOLDER";
    std::env::var_os(NAME).unwrap_or_else(|| panic!("{NAME} is not set; see tests/kafka/broker")).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_right_password_over_tls_all_works() {
    let settings = settings(&format!(
        "ssl.ca.location={}\nsasl.username=tandem\nsasl.password=fleet-secret\n",
        authority()
    ));
    let stream = Kafka::open(settings).await.unwrap();
    stream.append(vec![events::status("r", 1)]).await.unwrap();
    assert_eq!(stream.bounds(Topic::Status).await.unwrap()[0].next, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_and_a_foreign_authority_are_told_at_once() {
    let began = Instant::now();
    let wrong = format!("ssl.ca.location={}\nsasl.username=tandem\nsasl.password=guess\n", authority());
    let error = Kafka::open(settings(&wrong)).await.err().expect("it was let in").to_string();
    assert!(error.contains("uthentication") && error.contains(&secure_address()), "{error}");
    assert!(!error.contains("guess"), "a password is not told");

    let foreign = "sasl.username=tandem\nsasl.password=fleet-secret\n";
    let error = Kafka::open(settings(foreign)).await.err().expect("anybody may be the broker").to_string();
    assert!(error.contains("certificate"), "{error}");
    assert!(began.elapsed() < super::PATIENCE, "{:?}", began.elapsed());
}
