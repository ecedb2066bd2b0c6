//! `kill -9`: of a fold within its transaction, of a gateway before it could answer, of a broker.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tandem::stream::{KafkaSettings, Topic};

use super::cluster::Cluster;
use super::process::Process;
use super::setting::{PARTITIONS, SOME, Setting};
use super::until;

/// A transaction that is still open when nobody has gone on with it for this long was really cut.
const STANDS_OPEN: Duration = Duration::from_millis(500);
/// A replica that stands still is not put out sooner: a broker is missed after 3 s, and has said that it lives each half of a second.
const COUNTS_STILL: Duration = Duration::from_millis(2500);
/// Gateways that are killed before they could answer, and as many in vain at most.
const UNANSWERED: u64 = 3;
const IN_VAIN: u64 = 12;

/// Looks for transactions that are open in the state.
struct Transactions {
    committed: BaseConsumer,
    all: BaseConsumer,
    name: String,
}

impl Transactions {
    fn of(place: &KafkaSettings) -> Self {
        let client = |isolation: &str| {
            ClientConfig::new()
                .set("bootstrap.servers", &place.servers)
                .set("group.id", "judge")
                .set("isolation.level", isolation)
                .create()
                .unwrap()
        };
        let name = place.named(Topic::State.name());
        Self { committed: client("read_committed"), all: client("read_uncommitted"), name }
    }

    fn ends(&self, client: &BaseConsumer) -> Option<Vec<i64>> {
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS as i32 {
            list.add_partition_offset(&self.name, partition, Offset::End).unwrap();
        }
        let ends = client.offsets_for_times(list, Duration::from_secs(10)).ok()?;
        let told = |offset| if let Offset::Offset(end) = offset { Some(end) } else { None };
        ends.elements().iter().map(|end| told(end.offset())).collect()
    }

    /// Where readers of what is committed have to wait, by partition. Nowhere when the brokers do not tell.
    fn open(&self) -> Vec<(usize, i64)> {
        let (Some(all), Some(committed)) = (self.ends(&self.all), self.ends(&self.committed)) else {
            return Vec::new();
        };
        committed.into_iter().enumerate().filter(|(partition, end)| *end < all[*partition]).collect()
    }

    /// Whether a transaction is open and stays so while `fold` stands still.
    fn stands_open(&self, fold: &Process) -> bool {
        if self.open().is_empty() {
            return false;
        }
        fold.signal(Signal::SIGSTOP);
        let stopped_at = Instant::now();
        let mut open = self.open();
        while !open.is_empty() && stopped_at.elapsed() < STANDS_OPEN {
            let now = self.open();
            open.retain(|place| now.contains(place));
        }
        if open.is_empty() {
            fold.signal(Signal::SIGCONT);
        }
        !open.is_empty()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fold_that_dies_in_its_transaction_leaves_no_trace() {
    let cluster = Cluster::take().await;
    let mut setting = Setting::start(&cluster, 2).await;
    let transactions = Transactions::of(&setting.place);
    for _ in 0..2 {
        let fold = setting.folds.remove(0);
        until("a transaction of the fold is cut", async || transactions.stands_open(&fold)).await;
        fold.kill();
        setting.folds.push(Process::start(&setting.place, "fold"));
        setting.routers.until_heard(SOME).await;
    }
    setting.judge("kill -9 of a fold within its transaction, twice").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_gateway_stored_and_could_not_acknowledge_counts_once() {
    let cluster = Cluster::take().await;
    let mut setting = Setting::start(&cluster, 1).await;
    let (mut unanswered, mut killed) = (0, 0);
    while unanswered < UNANSWERED {
        killed += 1;
        assert!(killed <= UNANSWERED + IN_VAIN, "the gateway always answered first");
        cluster.until_whole().await;
        // While one replica stands still, what the leaders hold is not acknowledged by all; and the gateway waits with it, whatever
        // partitions that is in.
        let mut leaders = Vec::new();
        for partition in 0..PARTITIONS {
            leaders.push(cluster.leader(&setting.place, Topic::Status, partition as usize).await);
        }
        let stands = leaders[0] % 3 + 1;
        let (paused, paused_at) = (cluster.pause(stands), Instant::now());
        let held = |broker: u32, partition| cluster.held(broker, &setting.place, Topic::Status, partition);
        let is_ahead = |partition: u32| {
            let (leader, partition) = (leaders[partition as usize], partition.cast_signed());
            held(leader, partition) > held(stands, partition)
        };
        let holds_more = async || (0..PARTITIONS).any(is_ahead) || paused_at.elapsed() > COUNTS_STILL;
        until("the leaders hold what not all have", holds_more).await;
        setting.gateways.remove(0).kill();
        // Later that replica may have been put out, and the gateway may have answered.
        unanswered += u64::from(paused_at.elapsed() < COUNTS_STILL);
        drop(paused);
        setting.another_gateway();
        setting.routers.until_heard(SOME).await;
    }
    let sheet = setting.judge("kill -9 of the gateway between append and acknowledgement, 3 times").await;
    assert!(sheet.doubles > 0, "something was stored that was not acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_dies_takes_nothing_along() {
    let cluster = Cluster::take().await;
    let setting = Setting::start(&cluster, 2).await;
    for partition in [0, 1] {
        let leader = cluster.leader(&setting.place, Topic::Status, partition).await;
        let killed = cluster.kill(leader);
        cluster.until_another_leads(leader, &setting.place, Topic::Status, partition).await;
        setting.routers.until_heard(SOME).await;
        drop(killed);
        cluster.until_whole().await;
    }
    setting.judge("kill -9 of a broker that leads, twice").await;
}
