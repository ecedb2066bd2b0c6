//! Appending only, for whoever has little memory: one client, no reading, no topics made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::producer::Producer as _;

use super::client::Cluster;
use super::produce::Producer;
use super::topics::check_partitions;
use super::{KafkaSettings, Record, StreamError, Topic, check};

/// How long the brokers may take to tell their topics.
const ASK: Duration = Duration::from_secs(15);

/// Appends events to the topics of a cluster.
pub struct Feeder {
    cluster: Cluster,
    producer: Arc<Producer>,
    checked: AtomicBool,
}

impl Feeder {
    /// Takes the settings; connects in the background.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn new(settings: KafkaSettings) -> Result<Self, StreamError> {
        let cluster = Cluster::new(settings);
        let producer = Arc::new(Producer::new(&cluster)?);
        Ok(Self { cluster, producer, checked: AtomicBool::new(false) })
    }

    /// Stores `records` as [`super::Kafka`] does.
    ///
    /// # Errors
    /// When a topic is missing or has other partitions than the settings say, or not all are stored.
    pub async fn append(&self, records: Vec<Record>) -> Result<(), StreamError> {
        check(&records)?;
        if !self.checked.load(Ordering::Acquire) {
            let (cluster, producer) = (self.cluster.clone(), Arc::clone(&self.producer));
            let checked = tokio::task::spawn_blocking(move || {
                check_partitions(&cluster, producer.client().client(), &[Topic::Status, Topic::Samples], ASK)
            });
            checked.await.map_err(|_| StreamError::Closed)??;
            self.checked.store(true, Ordering::Release);
        }
        self.producer.append(records).await
    }

    /// Bytes sent and received since the beginning, as the client last told (`statistics.interval.ms`).
    #[must_use]
    pub fn traffic(&self) -> (u64, u64) {
        self.cluster.traffic()
    }
}
