//! Where each partition begins and ends, watched by those who wait for more.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use super::{Position, StreamError, Topic};

/// The offsets of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Partition, from 0.
    pub partition: u32,
    /// Offset of the first record kept, or `next` when there is none.
    pub first: u64,
    /// Offset that the next record gets.
    pub next: u64,
}

/// Bounds of every partition of an embedded stream.
#[derive(Clone, Debug, Default)]
pub(super) struct AllBounds(BTreeMap<(Topic, u32), Bounds>);

impl AllBounds {
    pub(super) fn of(&self, topic: Topic) -> Vec<Bounds> {
        self.0.range((topic, 0)..=(topic, u32::MAX)).map(|(_, bounds)| *bounds).collect()
    }

    pub(super) fn get(&self, topic: Topic, partition: u32) -> Result<Bounds, StreamError> {
        self.0.get(&(topic, partition)).copied().ok_or(StreamError::NoPartition { topic, partition })
    }

    pub(super) fn set(&mut self, topic: Topic, bounds: Bounds) {
        self.0.insert((topic, bounds.partition), bounds);
    }

    fn any_behind(&self, from: &[Position]) -> Result<bool, StreamError> {
        for position in from {
            if self.get(position.topic, position.partition)?.next > position.offset {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Waits until one of `from` has a record to read. See [`super::Stream::wait`].
pub(super) async fn wait(
    mut bounds: watch::Receiver<AllBounds>,
    from: &[Position],
    patience: Duration,
) -> Result<bool, StreamError> {
    let ready = bounds.wait_for(|bounds| bounds.any_behind(from).unwrap_or(true));
    match tokio::time::timeout(patience, ready).await {
        Ok(Ok(bounds)) => bounds.any_behind(from),
        Ok(Err(_)) => Err(StreamError::Closed),
        Err(_) => Ok(false),
    }
}
