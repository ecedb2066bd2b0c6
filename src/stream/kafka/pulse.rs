//! Whether the cluster answers, asked now and then: who reads where nothing comes, or writes nothing, would not notice.
//! Nor would anybody that a topic has other partitions than at the start, until the next start fails.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::topics::check_partitions;
use super::{ASK, Inner, StreamError, Topic};

/// Between two questions.
const EVERY: Duration = Duration::from_secs(5);
/// Without an answer for so long, others had better be asked: a cluster elects a leader in less.
const SILENT: Duration = Duration::from_secs(15);

/// The last answers.
pub(super) struct Pulse {
    felt: Arc<Mutex<Felt>>,
    task: JoinHandle<()>,
}

struct Felt {
    answered: Instant,
    fault: String,
    changed: Option<String>,
}

impl Pulse {
    /// Begins to ask; the cluster has answered just now.
    pub fn of(inner: &Arc<Inner>) -> Self {
        let felt = Felt { answered: Instant::now(), fault: "no answer".into(), changed: None };
        let felt = Arc::new(Mutex::new(felt));
        let task = tokio::spawn(ask(Arc::downgrade(inner), Arc::clone(&felt)));
        Self { felt, task }
    }

    /// Whether every partition of status has answered lately, and which topic was changed; why not otherwise.
    pub fn ready(&self) -> Result<Option<String>, String> {
        let felt = self.felt.lock().unwrap_or_else(PoisonError::into_inner);
        if felt.answered.elapsed() < SILENT { Ok(felt.changed.clone()) } else { Err(felt.fault.clone()) }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn ask(inner: Weak<Inner>, felt: Arc<Mutex<Felt>>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        let silent = felt.lock().unwrap_or_else(PoisonError::into_inner).answered.elapsed() >= SILENT;
        let question = move || {
            let partitions = 0..inner.cluster.settings.partitions;
            let places: Vec<_> =
                partitions.map(|partition| (Topic::Status, partition, Offset::End)).collect();
            let answer = inner.ask_offsets(&places);
            // Where nobody else asks, nobody else gives up a client that stays wrong.
            if silent && answer.is_err() {
                inner.ask_anew()?;
            }
            answer.map(|_| (Instant::now(), changed(&inner)))
        };
        let Ok(answer) = tokio::task::spawn_blocking(question).await else { return };
        let mut felt = felt.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok((answered, changed)) => {
                felt.answered = answered;
                // Who cannot ask knows what was said before.
                let changed = changed.unwrap_or_else(|| felt.changed.clone());
                if felt.changed != changed
                    && let Some(changed) = &changed
                {
                    tracing::error!(changed, "a topic was changed");
                }
                felt.changed = changed;
            }
            Err(error) => felt.fault = error.to_string(),
        }
    }
}

/// What to say of a topic that has other partitions than it had at the start; `None` when it cannot be asked.
fn changed(inner: &Inner) -> Option<Option<String>> {
    let asking = Arc::clone(&inner.asking.lock().unwrap_or_else(PoisonError::into_inner));
    match check_partitions(&inner.cluster, asking.client(), &Topic::ALL, ASK) {
        Ok(()) => Some(None),
        Err(error @ StreamError::TopicSetting { .. }) => Some(Some(format!(
            "{error}; this process goes on with {}, one that starts will refuse the topic",
            inner.cluster.settings.partitions
        ))),
        Err(_) => None,
    }
}
