//! Plain counters of the gateway.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Refusal;
use crate::event::Class;

/// Counters since the gateway started; shared by all requests.
#[derive(Debug, Default)]
pub struct Counters {
    batches: AtomicU64,
    packed_bytes: AtomicU64,
    unpacked_bytes: AtomicU64,
    status_events: AtomicU64,
    sample_events: AtomicU64,
    doubles: AtomicU64,
    dead_letters: AtomicU64,
    refused: [AtomicU64; Refusal::REASONS.len()],
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Batches received whole.
    pub batches: u64,
    /// Their bytes as received.
    pub packed_bytes: u64,
    /// Their bytes once unpacked.
    pub unpacked_bytes: u64,
    /// Status events stored.
    pub status_events: u64,
    /// Sample events stored.
    pub sample_events: u64,
    /// Events that were stored already and dropped.
    pub doubles: u64,
    /// Events that could not be read.
    pub dead_letters: u64,
    /// Batches refused, by reason.
    pub refused: Vec<(&'static str, u64)>,
}

impl Counters {
    pub(super) fn received(&self, packed_bytes: usize, unpacked_bytes: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.packed_bytes.fetch_add(packed_bytes as u64, Ordering::Relaxed);
        self.unpacked_bytes.fetch_add(unpacked_bytes as u64, Ordering::Relaxed);
    }

    /// `class` is `None` for a dead letter.
    pub(super) fn stored(&self, class: Option<Class>) {
        let counter = match class {
            Some(Class::Status) => &self.status_events,
            Some(Class::Sample) => &self.sample_events,
            None => &self.dead_letters,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn doubled(&self, count: u64) {
        self.doubles.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, refusal: &Refusal) {
        self.refused[refusal.place()].fetch_add(1, Ordering::Relaxed);
    }

    /// Reads them all. Each is right; together they may be a request apart.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            batches: read(&self.batches),
            packed_bytes: read(&self.packed_bytes),
            unpacked_bytes: read(&self.unpacked_bytes),
            status_events: read(&self.status_events),
            sample_events: read(&self.sample_events),
            doubles: read(&self.doubles),
            dead_letters: read(&self.dead_letters),
            refused: Refusal::REASONS.into_iter().zip(self.refused.iter().map(read)).collect(),
        }
    }
}
