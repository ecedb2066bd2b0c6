//! The one task that appends: takes all batches that wait, leaves out doubles, appends the rest in one step,
//! then answers each with its acknowledgement.
//!
//! A count never runs ahead of what is stored: a group is counted on copies, which become the truth only when the
//! append has succeeded. Where several gateways share a stream, a router may come from another one: what that
//! one counted is read from the stream before a router that is new here, or ahead of what is known of it, is answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use super::Refusal;
use super::check::{Checked, Item};
use super::counters::Counters;
use super::sequence::Progress;
use crate::event::{Acknowledgement, Class, Epoch, RouterName, Sequence};
use crate::stream::{self, Limit, Position, Record, StreamError, Topic};

/// Batches that wait for the task. When it is full, further ones get `429`.
const QUEUE_BATCHES: usize = 2_048;

/// Events after which a group takes no further batch: bounds how long the first one waits for the last.
const GROUP_EVENTS: usize = 20_000;

/// A stream that takes longer to append is taken for stuck: the group gets `503`. Should it be stored after
/// all, the routers' repetitions are doubles.
const APPEND_DEADLINE: Duration = Duration::from_secs(20);

/// Longest wait of a request for its answer: its group and the one before it.
const ANSWER_DEADLINE: Duration = Duration::from_secs(45);

/// How long the count of a router may take to be read.
const RECALL_DEADLINE: Duration = Duration::from_secs(10);

/// A router of which the stream knew no more than we do is not looked up again for so long.
const RECALL_AGAIN: Duration = Duration::from_secs(10);

/// How long a refusal of the stream makes the gateway unready without a new attempt.
const UNREADY: Duration = Duration::from_secs(10);

/// Routers remembered. Beyond, those that vouch for their batches are forgotten first, which costs doubles.
const ROUTERS_MAX: usize = 250_000;

/// The way into the task.
pub(super) struct Ingest {
    jobs: mpsc::Sender<Job>,
    trouble: Trouble,
}

type Trouble = Arc<Mutex<Option<(Instant, String)>>>;

struct Job {
    batch: Checked,
    answer: oneshot::Sender<Result<Acknowledgement, Refusal>>,
    /// Held until the batch is stored.
    _memory: OwnedSemaphorePermit,
}

impl Ingest {
    pub(super) async fn start(stream: stream::Shared, counters: Arc<Counters>) -> Result<Self, StreamError> {
        let routers = load(&stream).await?;
        let (jobs, queue) = mpsc::channel(QUEUE_BATCHES);
        let trouble = Trouble::default();
        let task = Task { stream, counters, routers, trouble: Arc::clone(&trouble) };
        tokio::spawn(task.run(queue));
        Ok(Self { jobs, trouble })
    }

    /// Stores a batch and says up to where its router is stored.
    pub(super) async fn store(
        &self,
        batch: Checked,
        memory: OwnedSemaphorePermit,
    ) -> Result<Acknowledgement, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.jobs.try_send(Job { batch, answer, _memory: memory }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::Busy,
            mpsc::error::TrySendError::Closed(_) => Refusal::Unavailable("it is stopping"),
        })?;
        match tokio::time::timeout(ANSWER_DEADLINE, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Refusal::Unavailable("it is stopping")),
            Err(_) => Err(Refusal::Unavailable("the stream is too slow")),
        }
    }

    pub(super) fn ready(&self) -> Result<(), String> {
        if self.jobs.is_closed() {
            return Err("the ingest task has ended".into());
        }
        let trouble = self.trouble.lock().expect("nothing panics under this lock");
        match &*trouble {
            Some((since, text)) if since.elapsed() < UNREADY => Err(text.clone()),
            _ => Ok(()),
        }
    }
}

/// The counts of routers that do not vouch, as the stream keeps them.
async fn load(stream: &stream::Shared) -> Result<HashMap<RouterName, Known>, StreamError> {
    let mut routers = HashMap::new();
    for bounds in stream.bounds(Topic::Acknowledged).await? {
        let mut from =
            Position { topic: Topic::Acknowledged, partition: bounds.partition, offset: bounds.first };
        while from.offset < bounds.next {
            let batch = stream.read(from, Limit::default()).await?;
            from.offset = batch.next;
            for record in batch.records.into_iter().map(|stored| stored.record) {
                if let (Ok(router), Some(progress)) = (record.key.parse(), progress(&record)) {
                    routers.insert(router, Known { progress, ..Known::default() });
                }
            }
        }
    }
    Ok(routers)
}

/// The count in a record of [`Topic::Acknowledged`].
fn progress(record: &Record) -> Option<Progress> {
    serde_json::from_slice(record.value.as_deref()?).ok()
}

#[derive(Clone, Default)]
struct Known {
    progress: Progress,
    /// The router needs no memory of ours.
    vouches: bool,
    /// When the stream knew no more than we do.
    looked_up: Option<Instant>,
}

impl Known {
    /// Whether a batch that begins at `first` tells of a count that is not ours.
    fn is_behind(&self, first: Option<(Epoch, Sequence)>) -> bool {
        let beyond = |(epoch, sequence): (Epoch, Sequence)| {
            sequence.0 > self.progress.contiguous(epoch).0.saturating_add(1)
        };
        first.is_some_and(beyond) && self.looked_up.is_none_or(|at| at.elapsed() >= RECALL_AGAIN)
    }
}

struct Task {
    stream: stream::Shared,
    counters: Arc<Counters>,
    routers: HashMap<RouterName, Known>,
    trouble: Trouble,
}

/// One that waits for its answer.
struct Waiting {
    answer: oneshot::Sender<Result<Acknowledgement, Refusal>>,
    acknowledgement: Acknowledgement,
    /// Records of the group up to its last one.
    records: usize,
}

/// A group of batches on its way into the stream.
#[derive(Default)]
struct Group {
    records: Vec<Record>,
    counted: Vec<Option<Class>>,
    routers: HashMap<RouterName, Known>,
    doubles: u64,
    answers: Vec<Waiting>,
    memory: Vec<OwnedSemaphorePermit>,
}

impl Task {
    /// Ends when every sender is gone. May be dropped at any time: what it had not answered is sent again.
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = queue.recv().await {
            let mut group = Group::default();
            self.add(&mut group, job).await;
            while group.records.len() < GROUP_EVENTS
                && let Ok(job) = queue.try_recv()
            {
                self.add(&mut group, job).await;
            }
            self.store(group).await;
        }
    }

    async fn add(&mut self, group: &mut Group, job: Job) {
        let Job { batch: Checked { router, span, items }, answer, _memory: memory } = job;
        let known = match &router {
            Some(router) => match group.routers.remove(router) {
                Some(known) => Some(known),
                None if !self.has_room_for(router, group) => {
                    let _ = answer.send(Err(Refusal::Unavailable("it serves too many routers")));
                    return;
                }
                None => self.routers.get(router).cloned(),
            },
            None => Some(Known::default()),
        };
        let is_new = known.is_none();
        let mut known = known.unwrap_or_default();
        let first = items.iter().find_map(|item| item.place);
        if let Some(router) = &router
            && span.is_none()
            && self.stream.is_shared()
            && (is_new || known.is_behind(first))
            && let Err(error) = self.recall(router, &mut known).await
        {
            self.note(&Err(error.clone()));
            let _ = answer.send(Err(Refusal::Unavailable(in_public(&error))));
            if !is_new {
                group.routers.insert(router.clone(), known);
            }
            return;
        }
        let last_epoch = items.iter().rev().find_map(|item| item.place).map(|(epoch, _)| epoch);
        for item in items {
            group.take(item, &mut known.progress);
        }
        if let Some(span) = span {
            known.progress.vouch(span);
        }
        known.vouches = span.is_some();
        let epoch =
            span.map(|span| span.epoch).or(last_epoch).or(known.progress.latest()).unwrap_or(Epoch(0));
        let sequence = known.progress.contiguous(epoch);
        let acknowledgement = Acknowledgement { epoch, sequence };
        group.answers.push(Waiting { answer, acknowledgement, records: group.records.len() });
        group.memory.push(memory);
        if let Some(router) = router {
            group.routers.insert(router, known);
        }
    }

    /// Learns what other gateways counted of `router`.
    async fn recall(&self, router: &RouterName, known: &mut Known) -> Result<(), StreamError> {
        let key = router.as_str();
        let partition = self.stream.partition_of(Topic::Acknowledged, key);
        let mut from = Position { topic: Topic::Acknowledged, partition, offset: 0 };
        let limit = Limit { key: Some(key), ..Limit::default() };
        let before = known.progress.clone();
        let read = async {
            loop {
                let batch = self.stream.read(from, limit).await?;
                for told in batch.records.iter().filter_map(|stored| progress(&stored.record)) {
                    known.progress.learn(told);
                }
                if batch.next <= from.offset {
                    return Ok(());
                }
                from.offset = batch.next;
            }
        };
        tokio::time::timeout(RECALL_DEADLINE, read).await.unwrap_or(Err(StreamError::Closed))?;
        // That nobody knew a new router says nothing of later.
        known.looked_up = (known.progress == before && before != Progress::default()).then(Instant::now);
        Ok(())
    }

    fn has_room_for(&mut self, router: &RouterName, group: &Group) -> bool {
        let full = |routers: &HashMap<RouterName, Known>| routers.len() + group.routers.len() >= ROUTERS_MAX;
        if full(&self.routers) && !self.routers.contains_key(router) {
            self.routers.retain(|_, known| !known.vouches);
        }
        self.routers.contains_key(router) || !full(&self.routers)
    }

    async fn store(&mut self, mut group: Group) {
        group.keep_counts(&self.routers);
        let outcome = if group.records.is_empty() {
            Ok(())
        } else {
            let append = self.stream.append(std::mem::take(&mut group.records));
            tokio::time::timeout(APPEND_DEADLINE, append).await.unwrap_or(Err(StreamError::Closed))
        };
        self.note(&outcome);
        match outcome {
            Ok(()) => {
                self.routers.extend(group.routers);
                self.counters.doubled(group.doubles);
                group.counted.into_iter().for_each(|class| self.counters.stored(class));
                for Waiting { answer, acknowledgement, .. } in group.answers {
                    let _ = answer.send(Ok(acknowledgement));
                }
            }
            Err(error) => {
                let at_fault = match error {
                    StreamError::TooLarge { at, bytes, .. } => {
                        let own = group.answers.iter().position(|waiting| at < waiting.records);
                        own.map(|own| (own, Refusal::EventTooLarge(bytes)))
                    }
                    _ => None,
                };
                for (number, Waiting { answer, .. }) in group.answers.into_iter().enumerate() {
                    let refusal = match &at_fault {
                        Some((own, refusal)) if *own == number => refusal.clone(),
                        _ => Refusal::Unavailable(in_public(&error)),
                    };
                    let _ = answer.send(Err(refusal));
                }
            }
        }
    }

    /// Logs the first refusal and the recovery, not each of a thousand in between.
    fn note(&self, outcome: &Result<(), StreamError>) {
        if let Err(error @ StreamError::TooLarge { .. }) = outcome {
            // It takes all others.
            tracing::warn!(%error, "the stream does not take an event");
            return;
        }
        let mut trouble = self.trouble.lock().expect("nothing panics under this lock");
        match (outcome, trouble.is_some()) {
            (Ok(()), true) => tracing::info!("the stream takes events again"),
            (Err(error), false) => tracing::error!(%error, "the stream takes no events"),
            _ => {}
        }
        *trouble = outcome.as_ref().err().map(|error| (Instant::now(), error.to_string()));
    }
}

impl Group {
    fn take(&mut self, item: Item, progress: &mut Progress) {
        let Item { place, class, dropped, record } = item;
        if let Some((epoch, sequence)) = place {
            if progress.has(epoch, sequence) {
                self.doubles += 1;
                return;
            }
            progress.store(epoch, sequence);
        }
        if let Some(dropped) = dropped {
            progress.declare(dropped);
        }
        self.counted.push(class);
        self.records.push(record);
    }

    /// Adds the counts that must survive a restart to what is appended: those of routers that do not vouch,
    /// where they changed.
    fn keep_counts(&mut self, before: &HashMap<RouterName, Known>) {
        let now = Utc::now();
        for (router, known) in self.routers.iter().filter(|(_, known)| !known.vouches) {
            if before.get(router).is_some_and(|before| !before.vouches && before.progress == known.progress) {
                continue;
            }
            let json = serde_json::to_vec(&known.progress).expect("numbers and texts are JSON");
            self.records.push(Record {
                topic: Topic::Acknowledged,
                key: router.as_str().to_owned(),
                headers: Vec::new(),
                value: Some(json),
                time: now,
            });
        }
    }
}

/// What routers may know of a failure: no paths.
fn in_public(error: &StreamError) -> &'static str {
    match error {
        StreamError::Full { .. } => "its disk is full",
        StreamError::Damaged { .. } => "its stream is damaged",
        StreamError::Closed => "the stream does not answer",
        StreamError::TooLarge { .. } => "an event that came with it is too large",
        _ => "the stream cannot be written",
    }
}
