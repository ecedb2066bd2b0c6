//! A group of processes that share out the partitions of a topic, each partition to one of them.
//!
//! The consumer here only holds the membership (incremental rebalancing, `cooperative-sticky`): what it is given
//! stays where it is while others come and go, and is not read by it. Whoever owns partition N of the topic
//! owns partition N of every topic with the same keys, and reads and commits those positions; so topics that belong
//! together stay together, which no assignor of the client promises.
//!
//! A commit goes with the membership: the broker refuses it from a process that was put out meanwhile. So between two
//! owners of a partition there is neither a gap nor a double, whatever the first one believes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::client::Context;
use super::{Inner, Kafka, Position, Record, StreamError, Topic, group_of};

/// When the group puts a process out, unless the operator says otherwise: when it says nothing for the session, or does
/// not ask for [`Member::changes`] for the last of these.
const TIMES: [(&str, &str); 3] =
    [("session.timeout.ms", "10000"), ("heartbeat.interval.ms", "1000"), ("max.poll.interval.ms", "90000")];

/// What happened to the share of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These partitions are ours now.
    Gained(Vec<u32>),
    /// These are not ours any longer.
    Lost(Vec<u32>),
}

/// The membership of this process.
pub struct Member {
    inner: Arc<Inner>,
    consumer: Arc<BaseConsumer<Listening>>,
    id: String,
}

/// Notes what the group decides.
struct Listening {
    context: Context,
    changes: Mutex<Vec<Change>>,
}

impl ClientContext for Listening {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.context.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ConsumerContext for Listening {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            self.note(Change::Lost(partitions(list)));
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                // The membership reads nothing.
                if let Err(error) = consumer.pause(list) {
                    tracing::debug!(%error, "pause");
                }
                self.note(Change::Gained(partitions(list)));
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => tracing::warn!(%error, "the group of folds"),
        }
    }
}

impl Listening {
    fn note(&self, change: Change) {
        let (Change::Gained(list) | Change::Lost(list)) = &change;
        if !list.is_empty() {
            self.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
        }
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<u32> {
    let mut found: Vec<u32> =
        list.elements().iter().filter_map(|element| u32::try_from(element.partition()).ok()).collect();
    found.sort_unstable();
    found
}

impl Kafka {
    /// Becomes a member of the group of `reader`, which shares out the partitions of `topic`.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn join(&self, reader: &str, topic: Topic) -> Result<Member, StreamError> {
        let cluster = &self.inner.cluster;
        let group = group_of(cluster, reader);
        let fixed = [
            ("group.id", group.as_str()),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("isolation.level", "read_committed"),
            // It is paused; what slips through before that is little.
            ("queued.min.messages", "1"),
            ("fetch.message.max.bytes", "1024"),
        ];
        let own = [&cluster.unless_given(&TIMES)[..], &fixed].concat();
        let context = Context { cluster: cluster.clone() };
        let listening = Listening { context, changes: Mutex::default() };
        let consumer: BaseConsumer<Listening> = cluster.client_with(&own, listening)?;
        let name = cluster.settings.named(topic.name());
        consumer.subscribe(&[&name]).map_err(|error| cluster.error(&error))?;
        let id = format!("{group}-{:016x}", fastrand::u64(..));
        // A cluster takes half a second for the first transaction of a new writer.
        let (inner, writer) = (Arc::clone(&self.inner), id.clone());
        drop(std::thread::Builder::new().spawn(move || inner.transactions.prepare(&writer)));
        Ok(Member { inner: Arc::clone(&self.inner), consumer: Arc::new(consumer), id })
    }
}

impl Member {
    /// What changed since the last call. To be called again and again, within `max.poll.interval.ms` also when a commit
    /// takes long; the group hears from us by it.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        for _ in 0..4 {
            if let Some(Err(error)) = self.consumer.poll(Duration::ZERO) {
                tracing::warn!(%error, "the group of folds");
            }
        }
        std::mem::take(&mut *self.consumer.context().changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Appends outputs, as they are made, and moves positions, both or neither, as the owner of the positions' partitions.
    ///
    /// # Errors
    /// [`StreamError::Fenced`] when the group gave them to another process meanwhile; [`Self::changes`] tells. As
    /// [`super::Stream::commit`] otherwise.
    pub async fn commit(
        &self,
        positions: Vec<Position>,
        outputs: impl Iterator<Item = Record> + Send + 'static,
    ) -> Result<(), StreamError> {
        let (inner, consumer, id) = (Arc::clone(&self.inner), Arc::clone(&self.consumer), self.id.clone());
        let commit = move || {
            let group = consumer
                .group_metadata()
                .ok_or_else(|| inner.cluster.failure("the group has no metadata"))?;
            inner.transactions.commit(&id, &positions, outputs, &group).map(drop)
        };
        tokio::task::spawn_blocking(commit).await.map_err(|_| StreamError::Closed)?
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::Cluster;
    use super::*;

    #[test]
    fn an_operator_may_give_the_group_other_times() {
        let cluster = Cluster::new("kafka://a:9092?session.timeout.ms=45000".parse().unwrap());
        let ours = cluster.unless_given(&TIMES);
        assert_eq!(ours, TIMES[1..], "the session is as given");
    }
}
