//! Kafka as the stream, against the real broker that `tests/run` starts: what others see of our records, what
//! happens when the cluster is not as it should be, processes that share the fold, and the way there.
#![cfg(all(feature = "agent", feature = "central", feature = "kafka"))]

mod ahead;
mod between;
mod broker;
mod events;
mod fold;
mod lag;
mod large;
mod moved;
mod moving;
mod outside;
mod refused;
mod roles;
mod router;
mod secure;
#[path = "../support/started.rs"]
mod started;
mod topics;

use std::time::Duration;

/// No test waits longer than this for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(180);
