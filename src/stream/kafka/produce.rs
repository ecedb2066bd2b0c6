//! Appending: one idempotent producer, asked for delivery reports.
//!
//! A broker refuses a packed batch of records when that is larger than its topic takes, and with it every record in it.
//! Those are sent again in smaller and smaller pieces, until each is stored or one that is too large by itself is found.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer,
};
use tokio::sync::Notify;

use super::client::{Cluster, Context};
use super::{RECORD_BYTES_MAX, Record, StreamError, Topic, cloud_event, partition_of, too_large};

/// A record that is not stored after this long has failed. Shorter than the gateway's deadline, so that it hears why.
const DELIVERY_TIMEOUT_MS: &str = "15000";
/// How long an append waits for room in the queue.
const ROOM_DEADLINE: Duration = Duration::from_secs(15);
/// Between two looks whether there is room.
const ROOM_PAUSE: Duration = Duration::from_millis(2);
/// Parts that a piece is cut into when it holds a batch that is too large.
const PARTS: usize = 4;

/// Settings of every producer of ours. The queue (`queue.buffering.max.*`) holds 64 MiB or 100,000 records: when it
/// is full, an append waits for room, and fails at its deadline.
pub(super) const PRODUCER: [(&str, &str); 2] = [("acks", "all"), ("enable.idempotence", "true")];
/// Those that an operator may set otherwise.
const PRODUCER_DEFAULTS: [(&str, &str); 5] = [
    // Also where packing makes nothing smaller, a batch is what a topic of ours takes at least.
    ("batch.size", "851968"),
    ("compression.type", "zstd"),
    ("queue.buffering.max.kbytes", "65536"),
    ("queue.buffering.max.messages", "100000"),
    ("linger.ms", "5"),
];

/// A client that produces.
pub(super) type Client = ThreadedProducer<Reports>;

/// Makes a producer with `own` settings over ours.
pub(super) fn client(cluster: &Cluster, own: &[(&str, &str)]) -> Result<Client, StreamError> {
    let mut settings = cluster.unless_given(&PRODUCER_DEFAULTS);
    settings.extend(PRODUCER);
    settings.extend(own);
    cluster.client_with(&settings, Reports(Context { cluster: cluster.clone() }))
}

/// Takes delivery reports to the append that waits for them.
pub(super) struct Reports(Context);

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.0.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        self.0.stats(statistics);
    }
}

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = Box<Report>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Box<Report>) {
        let Report { pending, at } = *report;
        match result {
            Ok(message) => pending.stored((message.topic(), message.partition(), message.offset())),
            Err((error, _)) if is_too_large(error) => pending.too_large(at),
            Err((error, message)) => {
                let place = format!("{}/{}", message.topic(), message.partition());
                pending.failed(format!("{place}: {}", explained(error)));
            }
        }
        pending.done();
    }
}

fn explained(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::InvalidTimestamp) => {
            "the broker refuses the time of a record: the clock of this machine or of the broker is off"
                .into()
        }
        // What the client says of several records with wrong times in one batch, and of others in it.
        Some(code @ (RDKafkaErrorCode::InvalidRecord | RDKafkaErrorCode::InvalidDifferentRecord)) => {
            format!("{code}; most likely for its time: the clock of this machine or of the broker is off")
        }
        Some(code) => code.to_string(),
        None => error.to_string(),
    }
}

/// Also said of each record of a batch that is.
fn is_too_large(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge))
}

/// What comes back with the delivery report of a record.
pub(super) struct Report {
    pending: Arc<Pending>,
    /// Place of the record among those under way together.
    at: usize,
}

/// Records under way together.
#[derive(Default)]
pub(super) struct Pending {
    open: AtomicUsize,
    too_large: Mutex<HashSet<usize>>,
    error: Mutex<Option<String>>,
    last: Mutex<HashMap<(String, i32), i64>>,
    keep_last: bool,
    all_done: Notify,
}

impl Pending {
    /// With one part open: the caller's own.
    fn new(keep_last: bool) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(1), keep_last, ..Self::default() })
    }

    fn stored(&self, (topic, partition, offset): (&str, i32, i64)) {
        if self.keep_last {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let own = last.entry((topic.to_owned(), partition)).or_default();
            *own = (*own).max(offset);
        }
    }

    fn too_large(&self, at: usize) {
        self.too_large.lock().unwrap_or_else(PoisonError::into_inner).insert(at);
    }

    /// Those that were refused, alone or in a batch, for being too large.
    fn all_too_large(&self) -> HashSet<usize> {
        self.too_large.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, text: String) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
    }

    fn done(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all_done.notify_waiters();
        }
    }

    fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Highest offset stored of each partition.
    pub fn last(&self) -> HashMap<(String, i32), i64> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Puts `record` into the queue of `client`; `Err(None)` when it is full.
fn enqueue(
    client: &Client,
    topic: &str,
    partitions: u32,
    (at, record): (usize, &Record),
    time_ms: i64,
    pending: &Arc<Pending>,
) -> Result<(), Option<KafkaError>> {
    let outside = record.value.as_deref().map(|value| cloud_event::outside(&record.headers, value));
    let added = outside.as_ref().map_or(&[][..], |outside| &outside.headers[..]);
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len() + added.len());
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    for (key, value) in added {
        headers = headers.insert(Header { key, value: Some(value.as_ref()) });
    }
    let partition = i32::try_from(partition_of(&record.key, partitions)).expect("at most 10000 partitions");
    pending.open.fetch_add(1, Ordering::AcqRel);
    let report = Box::new(Report { pending: Arc::clone(pending), at });
    let mut message = BaseRecord::with_opaque_to(topic, report)
        .partition(partition)
        .key(record.key.as_bytes())
        .timestamp(time_ms)
        .headers(headers);
    if let Some(outside) = &outside {
        message = message.payload(outside.value);
    }
    client.send(message).map_err(|(error, _)| {
        pending.done();
        (error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull)).then_some(error)
    })
}

/// The producer of appends.
pub(super) struct Producer {
    cluster: Cluster,
    client: RwLock<Arc<Client>>,
    /// Latest time written to each partition by this process: times of a partition do not fall. Held while records are
    /// put into the queue, so that they get there in the order of their times.
    times: tokio::sync::Mutex<HashMap<(Topic, u32), i64>>,
}

impl Producer {
    pub fn new(cluster: &Cluster) -> Result<Self, StreamError> {
        let client = RwLock::new(Arc::new(Self::make(cluster)?));
        Ok(Self { cluster: cluster.clone(), client, times: tokio::sync::Mutex::default() })
    }

    fn make(cluster: &Cluster) -> Result<Client, StreamError> {
        client(cluster, &cluster.unless_given(&[("delivery.timeout.ms", DELIVERY_TIMEOUT_MS)]))
    }

    /// The client as it is now; it is replaced when it ends.
    pub fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stores `records`; those of compacted topics (folds, counts) only once the others are stored, because they tell
    /// of them.
    pub async fn append(&self, records: Vec<Record>) -> Result<(), StreamError> {
        let (after, first): (Vec<_>, Vec<_>) =
            records.iter().enumerate().partition(|(_, record)| record.topic.is_compacted());
        for records in [first, after] {
            self.store(records).await?;
        }
        Ok(())
    }

    async fn store(&self, records: Vec<(usize, &Record)>) -> Result<(), StreamError> {
        let mut waiting = vec![records];
        while let Some(piece) = waiting.pop() {
            let refused = self.send(&piece).await?;
            match (&piece[..], &refused[..]) {
                (_, []) => {}
                ([(at, record)], _) => return Err(too_large(*at, record)),
                _ => {
                    let parts = refused.chunks(refused.len().div_ceil(PARTS));
                    waiting.extend(parts.rev().map(<[_]>::to_vec));
                }
            }
        }
        Ok(())
    }

    /// Has `records` stored; returns those that were refused because they, or the batch that they were packed into, are
    /// too large.
    async fn send<'a>(
        &self,
        records: &[(usize, &'a Record)],
    ) -> Result<Vec<(usize, &'a Record)>, StreamError> {
        let client = self.client();
        let pending = Pending::new(false);
        {
            let mut times = self.times.lock().await;
            for record in records {
                if let Err(error) = self.put(&client, *record, &mut times, &pending).await {
                    pending.failed(error);
                    break;
                }
            }
        }
        pending.done();
        loop {
            let done = pending.all_done.notified();
            if pending.open.load(Ordering::Acquire) == 0 {
                break;
            }
            done.await;
        }
        let Some(error) = pending.error() else {
            let refused = pending.all_too_large();
            return Ok(records.iter().filter(|(at, _)| refused.contains(at)).copied().collect());
        };
        // Should they have been wrong times: they are not held against later records.
        self.times.lock().await.clear();
        if let Some((_, fatal)) = client.client().fatal_error() {
            tracing::error!(error = fatal, "the Kafka producer has ended; making a new one");
            let fresh = Arc::new(Self::make(&self.cluster)?);
            let mut current = self.client.write().unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&current, &client) {
                *current = fresh;
            }
        }
        Err(self.cluster.failure(error))
    }

    async fn put(
        &self,
        client: &Client,
        (at, record): (usize, &Record),
        times: &mut HashMap<(Topic, u32), i64>,
        pending: &Arc<Pending>,
    ) -> Result<(), String> {
        let partitions = self.cluster.settings.partitions;
        let name = self.cluster.settings.named(record.topic.name());
        let time_ms = times.entry((record.topic, partition_of(&record.key, partitions))).or_default();
        *time_ms = (*time_ms).max(record.time_ms());
        let deadline = Instant::now() + ROOM_DEADLINE;
        loop {
            match enqueue(client, &name, partitions, (at, record), *time_ms, pending) {
                Ok(()) => return Ok(()),
                Err(Some(error)) if is_too_large(&error) => {
                    pending.too_large(at);
                    return Ok(());
                }
                Err(Some(error)) => return Err(format!("{name}: {}", explained(&error))),
                Err(None) if Instant::now() >= deadline => {
                    return Err(format!("{name}: the queue stays full; the brokers are too slow or away"));
                }
                Err(None) => tokio::time::sleep(ROOM_PAUSE).await,
            }
        }
    }
}

/// Puts `records` into the transaction of `client`; blocks. Their reports come with the commit.
pub(super) fn put_all(
    client: &Client,
    cluster: &Cluster,
    records: impl Iterator<Item = impl Borrow<Record>>,
) -> Result<Arc<Pending>, StreamError> {
    let partitions = cluster.settings.partitions;
    let pending = Pending::new(true);
    let deadline = Instant::now() + ROOM_DEADLINE;
    for (at, record) in records.enumerate() {
        let record = record.borrow();
        if record.bytes() > RECORD_BYTES_MAX {
            return Err(too_large(at, record));
        }
        let name = cluster.settings.named(record.topic.name());
        loop {
            match enqueue(client, &name, partitions, (at, record), record.time_ms(), &pending) {
                Ok(()) => break,
                Err(Some(error)) => return Err(cluster.failure(format!("{name}: {}", explained(&error)))),
                Err(None) if Instant::now() >= deadline => {
                    return Err(cluster.failure(format!("{name}: the queue stays full")));
                }
                Err(None) => std::thread::sleep(ROOM_PAUSE),
            }
        }
    }
    Ok(pending)
}
