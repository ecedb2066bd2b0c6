//! Ids that tie together what has one cause: the change of a link, the choice of other uplinks, the routes.
//!
//! Who notices first gives the id, and hands it on with the news: a link for what its modem tells, the choice of uplinks for
//! what probes and the kernel tell.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Gives ids for what is noticed of uplinks; no two alike in one run of the agent, nor in two.
#[derive(Debug)]
pub struct Correlations {
    prefix: String,
    given: AtomicU64,
}

impl Correlations {
    /// Ids that begin with `prefix`, which is unique to this run.
    #[must_use]
    pub fn new(prefix: String) -> Self {
        Self { prefix, given: AtomicU64::new(0) }
    }

    /// An id for something new about `uplink`.
    #[must_use]
    pub fn next(&self, uplink: &str) -> String {
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{}-{uplink}-{number}", self.prefix)
    }
}

/// Why routes change.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Its id.
    pub correlation_id: String,
    /// When the agent learnt of it.
    pub detected_at: Instant,
}
