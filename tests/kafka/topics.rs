//! The topics that we make, as the cluster describes them to others, and what lies in them on its disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tandem::stream::{Kafka, KafkaSettings, Stream as _};

use super::{PATIENCE, broker, events};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
const PARTITIONS: u32 = 3;
/// Numbers of compressions in a batch.
const NONE: u8 = 0;
const ZSTD: u8 = 4;

async fn described(settings: &KafkaSettings, topic: &str) -> BTreeMap<String, String> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker::address()).create().unwrap();
    let name = settings.named(topic);
    let asked = [ResourceSpecifier::Topic(&name)];
    let answer = admin.describe_configs(&asked, &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let pair = |entry: rdkafka::admin::ConfigEntry| Some((entry.name, entry.value?));
    answer.entries.into_iter().filter_map(pair).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_topic_is_made_with_its_settings() {
    let settings = broker::settings(PARTITIONS);
    Kafka::open(settings.clone()).await.unwrap();
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", broker::address()).create().unwrap();
    for (topic, policy, kept_days) in [
        ("tandem.status", "delete", Some(400)),
        ("tandem.samples", "delete", Some(7)),
        ("tandem.state", "compact", None),
        ("tandem.alerts", "delete", Some(400)),
        ("tandem.dead-letters", "delete", Some(30)),
        ("tandem.acknowledged", "compact", None),
    ] {
        let found = described(&settings, topic).await;
        assert_eq!(found["cleanup.policy"], policy, "{topic}");
        if let Some(days) = kept_days {
            assert_eq!(found["retention.ms"], (days * DAY_MS).to_string(), "{topic}");
        }
        assert_eq!(found["message.timestamp.type"], "CreateTime", "{topic}");
        assert_eq!(found["compression.type"], "producer", "{topic}: as we packed it");
        let metadata = client.fetch_metadata(Some(&settings.named(topic)), PATIENCE).unwrap();
        assert_eq!(metadata.topics()[0].partitions().len(), PARTITIONS as usize, "{topic}");
    }
}

/// The compression of the first batch that the broker has on its disk: in a batch, attributes are the two bytes behind
/// base offset, length, leader epoch, magic and checksum, and their last three bits say it.
fn compression(settings: &KafkaSettings, topic: &str) -> u8 {
    let folder = PathBuf::from(std::env::var_os("TANDEM_KAFKA_FOLDER").expect("see tests/kafka/broker"));
    let log = format!("1/log/{}-0/00000000000000000000.log", settings.named(topic));
    let bytes = std::fs::read(folder.join(log)).unwrap();
    assert_eq!(bytes[16], 2, "magic");
    bytes[22] & 0b111
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_packed_with_zstd_unless_the_operator_says_otherwise() {
    for (setting, wanted) in [(None, ZSTD), (Some("compression.codec"), NONE)] {
        let mut settings = broker::settings(1);
        if let Some(name) = setting {
            settings.set(name, "none").unwrap();
        }
        let stream = Kafka::open(settings.clone()).await.unwrap();
        stream.append((1..=50).map(|sequence| events::status("r", sequence)).collect()).await.unwrap();
        assert_eq!(compression(&settings, "tandem.status"), wanted);
    }
}
