//! Whether the cluster answers, asked now and then: who reads where nothing comes, or writes nothing, would not notice.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rdkafka::Offset;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Inner, Topic};

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
}

impl Pulse {
    /// Begins to ask; the cluster has answered just now.
    pub fn of(inner: &Arc<Inner>) -> Self {
        let felt = Arc::new(Mutex::new(Felt { answered: Instant::now(), fault: "no answer".into() }));
        let task = tokio::spawn(ask(Arc::downgrade(inner), Arc::clone(&felt)));
        Self { felt, task }
    }

    /// Whether every partition of status has answered lately; why not otherwise.
    pub fn ready(&self) -> Result<(), String> {
        let felt = self.felt.lock().unwrap_or_else(PoisonError::into_inner);
        if felt.answered.elapsed() < SILENT { Ok(()) } else { Err(felt.fault.clone()) }
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
            answer
        };
        let Ok(answer) = tokio::task::spawn_blocking(question).await else { return };
        let mut felt = felt.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(_) => felt.answered = Instant::now(),
            Err(error) => felt.fault = error.to_string(),
        }
    }
}
