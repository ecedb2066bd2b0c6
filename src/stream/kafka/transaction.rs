//! Committing: outputs and positions of a reader in one transaction.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};

use super::client::Cluster;
use super::produce::{self, Pending};
use super::{KafkaSettings, Position, Record, StreamError};

/// A transaction that is open for longer is aborted by the broker; until then those who read what it wrote, and the
/// next owner of its positions, wait.
const TIMEOUT_MS: u64 = 10_000;
/// Records that wait to be sent: the next ones are made while these go out.
const QUEUE: [(&str, &str); 2] =
    [("queue.buffering.max.messages", "10000"), ("queue.buffering.max.kbytes", "16384")];
/// Records of a transaction are stored within this time.
const DELIVERY_TIMEOUT_MS: u64 = 9_000;
/// The longest time that the client takes.
const DELIVERY_MAX_MS: u64 = i32::MAX as u64;
/// How long one call may take. Beyond the broker's own deadline, so that its verdict is heard.
const CALL: Duration = Duration::from_secs(15);
/// How long a call that may be repeated is repeated.
const REPEAT: Duration = Duration::from_secs(15);

/// The transactional producers, by transactional id. Each serves one commit at a time.
pub(super) struct Transactions {
    cluster: Cluster,
    writers: Mutex<HashMap<String, Writer>>,
}

type Writer = Arc<Mutex<Option<produce::Client>>>;

impl Transactions {
    pub fn new(cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone(), writers: Mutex::default() }
    }

    /// Makes what commits as `id` need, so that the first one need not wait for it. Blocks.
    pub fn prepare(&self, id: &str) {
        let writer = self.writer(id);
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_none() {
            // What is wrong the first commit meets too.
            *writer = self.begin(id).ok();
        }
    }

    fn writer(&self, id: &str) -> Writer {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(writers.entry(id.to_owned()).or_default())
    }

    /// Commits as `id`. Whoever began with the same id later takes over: then this one is told, and none of it counts.
    /// Blocks.
    pub fn commit(
        &self,
        id: &str,
        positions: &[Position],
        outputs: impl Iterator<Item = impl Borrow<Record>>,
        group: &ConsumerGroupMetadata,
    ) -> Result<Arc<Pending>, StreamError> {
        let writer = self.writer(id);
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match writer.take() {
            Some(client) => client,
            None => self.begin(id)?,
        };
        match self.attempt(&client, positions, outputs, group) {
            Ok(pending) => {
                *writer = Some(client);
                Ok(pending)
            }
            Err(failure) => {
                // One that cannot abort, or was taken over, is of no further use; the next commit begins anew, which
                // ends what this one left open.
                if !failure.fatal && repeat(|| client.abort_transaction(CALL)).is_ok() {
                    *writer = Some(client);
                }
                if failure.fenced {
                    return Err(StreamError::Fenced { reader: id.to_owned() });
                }
                Err(failure.error)
            }
        }
    }

    fn begin(&self, id: &str) -> Result<produce::Client, StreamError> {
        let times = times(&self.cluster.settings);
        let times = times.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let own = [vec![("transactional.id", id)], times, self.cluster.unless_given(&QUEUE)].concat();
        let client = produce::client(&self.cluster, &own)?;
        repeat(|| client.init_transactions(CALL)).map_err(|error| self.cluster.error(&error))?;
        Ok(client)
    }

    fn attempt(
        &self,
        client: &produce::Client,
        positions: &[Position],
        outputs: impl Iterator<Item = impl Borrow<Record>>,
        group: &ConsumerGroupMetadata,
    ) -> Result<Arc<Pending>, Failure> {
        let told = |error: KafkaError| Failure::of(&self.cluster, &error);
        client.begin_transaction().map_err(told)?;
        let pending = produce::put_all(client, &self.cluster, outputs).map_err(|error| Failure {
            error,
            fatal: false,
            fenced: false,
        })?;
        if !positions.is_empty() {
            let mut offsets = TopicPartitionList::new();
            for position in positions {
                let partition = i32::try_from(position.partition).unwrap_or(i32::MAX);
                let offset = Offset::Offset(i64::try_from(position.offset).unwrap_or(i64::MAX));
                let name = self.cluster.settings.named(position.topic.name());
                offsets.add_partition_offset(&name, partition, offset).map_err(told)?;
            }
            repeat(|| client.send_offsets_to_transaction(&offsets, group, CALL)).map_err(told)?;
        }
        repeat(|| client.commit_transaction(CALL)).map_err(told)?;
        Ok(pending)
    }
}

/// The times of transactions and of their records, as far as the operator does not give them. The client wants a
/// transaction to last longer than its records may take.
fn times(settings: &KafkaSettings) -> Vec<(&'static str, String)> {
    let given = |wanted| settings.given().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    match (given("transaction.timeout.ms"), given("delivery.timeout.ms")) {
        (Some(_), _) => Vec::new(),
        (None, Some(delivery)) => {
            let margin_ms = TIMEOUT_MS - DELIVERY_TIMEOUT_MS;
            let delivery_ms = delivery.parse().unwrap_or(0).min(DELIVERY_MAX_MS);
            vec![("transaction.timeout.ms", TIMEOUT_MS.max(delivery_ms + margin_ms).to_string())]
        }
        (None, None) => vec![
            ("transaction.timeout.ms", TIMEOUT_MS.to_string()),
            ("delivery.timeout.ms", DELIVERY_TIMEOUT_MS.to_string()),
        ],
    }
}

struct Failure {
    error: StreamError,
    fatal: bool,
    fenced: bool,
}

impl Failure {
    fn of(cluster: &Cluster, error: &KafkaError) -> Self {
        let fatal = matches!(error, KafkaError::Transaction(error) if error.is_fatal());
        let fenced = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::Fenced
                    | RDKafkaErrorCode::ProducerFenced
                    | RDKafkaErrorCode::InvalidProducerEpoch
                    | RDKafkaErrorCode::IllegalGeneration
                    | RDKafkaErrorCode::UnknownMemberId
                    | RDKafkaErrorCode::FencedInstanceId
            )
        );
        Self { error: cluster.error(error), fatal, fenced }
    }
}

/// Repeats a call that the client says may be repeated.
fn repeat(mut call: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
    let deadline = Instant::now() + REPEAT;
    loop {
        match call() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_lasts_longer_than_its_records_may_take_and_as_the_operator_says() {
        for (given, wanted) in [
            ("", &[("transaction.timeout.ms", "10000"), ("delivery.timeout.ms", "9000")][..]),
            ("delivery.timeout.ms=60000", &[("transaction.timeout.ms", "61000")]),
            ("message.timeout.ms=3000", &[("transaction.timeout.ms", "10000")]),
            ("transaction.timeout.ms=20000", &[]),
            ("transaction.timeout.ms=20000&delivery.timeout.ms=5000", &[]),
        ] {
            let settings = format!("kafka://a:9092?{given}").parse().unwrap();
            let times = times(&settings);
            let times: Vec<_> = times.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(times, wanted, "{given}");
        }
    }
}
