//! Kafka as the stream when things break: three real brokers, `tandem central` in a process for each role, routers that send until
//! they are acknowledged. After each fault every event is counted once in every view, as an independent reader counts
//! them, and nobody had to help.
//!
//! The brokers are started for this program and end with it. The tests take turns: each breaks them.
#![cfg(all(feature = "agent", feature = "central", feature = "kafka"))]

mod cluster;
mod cut;
mod deaths;
mod judge;
#[path = "../../support/namespace.rs"]
mod namespace;
mod odd;
mod pauses;
mod process;
mod routers;
mod setting;
mod sheet;
#[path = "../../support/started.rs"]
mod started;
mod storm;
mod straight;

use std::time::Duration;

/// No test waits longer than this for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Between two looks at something that is waited for.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Waits until `holds`, for [`PATIENCE`] at most.
pub async fn until(what: &str, holds: impl AsyncFnMut() -> bool) {
    assert!(in_time(holds).await, "{what}: not in {PATIENCE:?}");
}

/// Whether `holds` within [`PATIENCE`].
pub async fn in_time(mut holds: impl AsyncFnMut() -> bool) -> bool {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds().await {
        if tokio::time::Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    true
}
