//! Decisions about one modem's link, and about which link carries the traffic. Pure: time is an argument,
//! and what must be done comes out as data. Nothing here opens, sends, waits or reads a clock.
//!
//! ```text
//! words ─▶ machine ─▶ words          failure: what a cause is worth    retry: how soon again
//!             │                      ladder: how far to go             memory: over restarts
//!             └─▶ status: what is shown                                failover: who carries the traffic
//! ```

pub mod failover;
pub mod failure;
pub mod ladder;
pub mod machine;
pub mod memory;
pub mod quota;
pub mod retry;
pub mod status;
pub mod words;
