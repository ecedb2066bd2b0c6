//! Events that are not on disk yet: samples that wait for their group, and everything while the disk does not
//! take events. Bounded: when it is full the oldest sample goes, then the oldest status, and what went is
//! counted for `spool.dropped`.
//!
//! Pure.

use std::collections::VecDeque;

use super::Draft;
use crate::event::{Class, Epoch, Sequence};

/// Bytes of JSON that may wait: an hour of two links without a disk.
const WAITING_MAX_BYTES: usize = 256 * 1024;
/// Largest event; a larger one would not leave room for others in the smallest spool.
const EVENT_MAX_BYTES: usize = 64 * 1024;
/// Bytes of JSON committed at once, so that the log of a small spool stays small.
const COMMIT_MAX_BYTES: usize = 64 * 1024;

/// A draft with the bytes it counts for.
#[derive(Debug)]
pub struct Sized {
    pub draft: Draft,
    bytes: usize,
}

/// How many events of each class went before they had a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    pub status: u64,
    pub samples: u64,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Waiting {
    drafts: VecDeque<Sized>,
    bytes: usize,
    lost: Lost,
}

impl Waiting {
    /// Adds a draft at the end and drops what no longer fits.
    pub fn push(&mut self, draft: Draft) {
        let bytes = bytes_of(&draft);
        if bytes > EVENT_MAX_BYTES {
            return self.lose(draft.body.class());
        }
        self.bytes += bytes;
        self.drafts.push_back(Sized { draft, bytes });
        while self.bytes > WAITING_MAX_BYTES && self.drafts.len() > 1 {
            let sample = self.drafts.iter().position(|sized| sized.draft.body.class() == Class::Sample);
            if let Some(dropped) = self.drafts.remove(sample.unwrap_or(0)) {
                self.bytes -= dropped.bytes;
                self.lose(dropped.draft.body.class());
            }
        }
    }

    fn lose(&mut self, class: Class) {
        match class {
            Class::Status => self.lost.status += 1,
            Class::Sample => self.lost.samples += 1,
        }
    }

    /// The oldest drafts, as many as one commit takes, and what was lost before them; `None` when neither.
    pub fn front(&mut self) -> Option<(&[Sized], Lost)> {
        if self.is_empty() {
            return None;
        }
        let drafts = &*self.drafts.make_contiguous();
        let mut bytes = 0;
        let fit = drafts.iter().take_while(|sized| {
            bytes += sized.bytes;
            bytes <= COMMIT_MAX_BYTES
        });
        let count = fit.count().max(1).min(drafts.len());
        Some((&drafts[..count], self.lost))
    }

    /// Removes what [`Self::front`] gave, `count` drafts and the losses: it is on disk.
    pub fn pop(&mut self, count: usize) {
        for sized in self.drafts.drain(..count) {
            self.bytes -= sized.bytes;
        }
        self.lost = Lost::default();
    }

    pub fn len(&self) -> usize {
        self.drafts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty() && self.lost == Lost::default()
    }
}

/// Size of the event's JSON; its place does not change it, for both are of fixed width.
fn bytes_of(draft: &Draft) -> usize {
    let router = "waiting".parse().expect("a valid router name");
    draft.clone().into_event(router, Epoch(0), Sequence(0)).to_json().len()
}
