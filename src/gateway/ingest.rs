//! The one task that appends: takes all batches that wait, leaves out doubles, appends the rest in one step,
//! then answers each with its acknowledgement.
//!
//! It alone knows how far each router is, so a count never runs ahead of what is stored: a group is counted
//! on copies, which become the truth only when the append has succeeded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Refusal;
use super::check::{Checked, Item};
use super::counters::Counters;
use super::sequence::Progress;
use crate::event::{Acknowledgement, Class, Epoch, RouterName};
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
            for Record { key, value, .. } in batch.records.into_iter().map(|stored| stored.record) {
                let progress = value.and_then(|json| serde_json::from_slice(&json).ok());
                if let (Ok(router), Some(progress)) = (key.parse(), progress) {
                    routers.insert(router, Known { progress, vouches: false });
                }
            }
        }
    }
    Ok(routers)
}

#[derive(Clone, Default)]
struct Known {
    progress: Progress,
    /// The router needs no memory of ours.
    vouches: bool,
}

struct Task {
    stream: stream::Shared,
    counters: Arc<Counters>,
    routers: HashMap<RouterName, Known>,
    trouble: Trouble,
}

/// A group of batches on its way into the stream.
#[derive(Default)]
struct Group {
    records: Vec<Record>,
    counted: Vec<Option<Class>>,
    routers: HashMap<RouterName, Known>,
    doubles: u64,
    answers: Vec<(oneshot::Sender<Result<Acknowledgement, Refusal>>, Acknowledgement)>,
    memory: Vec<OwnedSemaphorePermit>,
}

impl Task {
    /// Ends when every sender is gone. May be dropped at any time: what it had not answered is sent again.
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(job) = queue.recv().await {
            let mut group = Group::default();
            self.add(&mut group, job);
            while group.records.len() < GROUP_EVENTS
                && let Ok(job) = queue.try_recv()
            {
                self.add(&mut group, job);
            }
            self.store(group).await;
        }
    }

    fn add(&mut self, group: &mut Group, job: Job) {
        let Job { batch: Checked { router, span, items }, answer, _memory: memory } = job;
        let mut known = match &router {
            Some(router) => match group.routers.remove(router) {
                Some(known) => known,
                None if !self.has_room_for(router, group) => {
                    let _ = answer.send(Err(Refusal::Unavailable("it serves too many routers")));
                    return;
                }
                None => self.routers.get(router).cloned().unwrap_or_default(),
            },
            None => Known::default(),
        };
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
        group.answers.push((answer, Acknowledgement { epoch, sequence }));
        group.memory.push(memory);
        if let Some(router) = router {
            group.routers.insert(router, known);
        }
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
                for (answer, acknowledgement) in group.answers {
                    let _ = answer.send(Ok(acknowledgement));
                }
            }
            Err(error) => {
                let refusal = Refusal::Unavailable(in_public(&error));
                for (answer, _) in group.answers {
                    let _ = answer.send(Err(refusal.clone()));
                }
            }
        }
    }

    /// Logs the first refusal and the recovery, not each of a thousand in between.
    fn note(&self, outcome: &Result<(), StreamError>) {
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
        _ => "the stream cannot be written",
    }
}
