//! A cluster, a setting, a clock or a record that is not as it should be: said by name, nothing lost, nothing stuck.

use std::time::Instant;

use chrono::{TimeDelta, Utc};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tandem::stream::{
    Commit, Kafka, KafkaSettings, Position, RECORD_BYTES_MAX, Record, Stream as _, StreamError, Topic,
};

use super::{broker, events, outside};

fn with(settings: &KafkaSettings, name: &str, value: &str) -> KafkaSettings {
    let mut settings = settings.clone();
    settings.set(name, value).unwrap();
    settings
}

async fn refusal(settings: KafkaSettings) -> StreamError {
    Kafka::open(settings).await.err().expect("it was opened")
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", broker::address()).create().unwrap()
}

async fn records(stream: &Kafka, topic: Topic) -> u64 {
    stream.bounds(topic).await.unwrap().iter().map(|bounds| bounds.next).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_topic_that_may_not_be_created_is_named() {
    for policy in ["check", "take"] {
        let settings = with(&broker::settings(2), "topics", policy);
        let name = settings.named("tandem.status");
        let error = refusal(settings.clone()).await;
        assert_eq!(error, StreamError::TopicMissing { topic: name.clone() });
        assert!(error.to_string().contains(&name) && error.to_string().contains("topics=create"), "{error}");
        let again = refusal(settings).await;
        assert_eq!(again, error, "nothing was created");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_number_of_partitions_is_told() {
    let settings = broker::settings(2);
    Kafka::open(settings.clone()).await.unwrap().append(vec![events::status("r", 1)]).await.unwrap();
    let error = refusal(with(&settings, "partitions", "3")).await;
    let StreamError::TopicSetting { topic, setting, found, wanted, .. } = &error else { panic!("{error}") };
    let name = settings.named("tandem.status");
    assert_eq!((topic, setting.as_str(), found.as_str(), wanted.as_str()), (&name, "partitions", "2", "3"));

    // Somebody adds partitions: keys would move, and with them the order of a router's events.
    outside::add_partitions(&settings, Topic::Samples, 4).await;
    let deadline = Instant::now() + super::PATIENCE;
    let error = loop {
        match Kafka::open(settings.clone()).await {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < deadline, "the change is not seen"),
        }
    };
    assert!(error.to_string().contains("tandem.samples: partitions is 4, wanted 2"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_with_other_settings_is_told_or_taken() {
    for (topic, setting, value) in [
        (Topic::State, "cleanup.policy", "delete"),
        (Topic::Status, "retention.ms", "3600000"),
        (Topic::Alerts, "max.message.bytes", "1000"),
        (Topic::Samples, "message.timestamp.type", "LogAppendTime"),
    ] {
        let settings = broker::settings(1);
        let name = settings.named(topic.name());
        let new = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
        let new = if setting == "retention.ms" { new } else { new.set("retention.ms", "-1") };
        let new = new.set(setting, value);
        admin().create_topics(&[new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
        let error = refusal(settings.clone()).await;
        let StreamError::TopicSetting { topic: told, setting: of, found, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((told, of.as_str(), found.as_str()), (&name, setting, value));
        Kafka::open(with(&settings, "topics", "take")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_replicas_than_asked_for_are_told_or_taken() {
    let settings = broker::settings(1);
    Kafka::open(settings.clone()).await.unwrap();
    let replicated = with(&settings, "replication", "3");
    let error = refusal(replicated.clone()).await.to_string();
    assert!(error.contains("tandem.status: replicas of a partition is 1, wanted 3 or more"), "{error}");
    assert!(error.contains("kafka-reassign-partitions"), "{error}");
    Kafka::open(with(&replicated, "topics", "take")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_told_in_time() {
    let began = Instant::now();
    let error = refusal("kafka://127.0.0.1:1".parse().unwrap()).await.to_string();
    assert!(error.contains("127.0.0.1:1/") && error.contains("refused"), "{error}");
    assert!(began.elapsed() < super::PATIENCE, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_that_the_client_does_not_know_is_named() {
    let mut settings = broker::settings(1);
    settings.set("lingerms", "5").unwrap();
    let error = refusal(settings).await.to_string();
    assert!(error.contains("lingerms") && error.contains("No such configuration property"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_years_off_is_told_and_forgotten_when_it_is_right_again() {
    let stream = Kafka::open(broker::settings(1)).await.unwrap();
    for years in [-50, 10] {
        let time = Utc::now() + TimeDelta::days(365 * years);
        let error =
            stream.append(vec![Record { time, ..events::status("r", 1) }]).await.unwrap_err().to_string();
        assert!(error.contains("clock") && error.contains("tandem.status/0"), "{error}");
    }
    stream.append(vec![events::status("r", 1)]).await.unwrap();
    assert_eq!(records(&stream, Topic::Status).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_record_goes_through_and_a_larger_one_is_refused_before_anything_is_written() {
    let stream = Kafka::open(broker::settings(1)).await.unwrap();
    let mut record = events::status("r", 1);
    record.value = Some(Vec::new());
    // Nothing that packing makes small.
    let mut random = fastrand::Rng::with_seed(7);
    record.value = Some((record.bytes()..RECORD_BYTES_MAX).map(|_| random.u8(..)).collect());
    stream.append(vec![record.clone()]).await.unwrap();
    record.value.as_mut().unwrap().push(b'x');
    let error = stream.append(vec![events::status("r", 2), record]).await.unwrap_err();
    assert!(matches!(error, StreamError::TooLarge { topic: Topic::Status, .. }), "{error}");
    assert_eq!(records(&stream, Topic::Status).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_commits_under_the_same_name_later_fences_off_the_one_before() {
    let settings = broker::settings(1);
    let (old, new) = (Kafka::open(settings.clone()).await.unwrap(), Kafka::open(settings).await.unwrap());
    let commit = |offset| Commit {
        reader: "alerts".into(),
        positions: vec![Position { topic: Topic::Status, partition: 0, offset }],
        outputs: vec![Record { topic: Topic::Alerts, ..events::status("r", offset) }],
    };
    old.commit(commit(1)).await.unwrap();
    new.commit(commit(2)).await.unwrap();
    let error = old.commit(commit(3)).await.unwrap_err();
    assert!(matches!(error, StreamError::Fenced { .. }), "{error}");
    assert_eq!(new.committed("alerts").await.unwrap()[0].offset, 2, "nothing of the fenced one counts");
    new.commit(commit(4)).await.unwrap();
    assert_eq!(new.committed("alerts").await.unwrap()[0].offset, 4);
}
