//! The program on the router: one task per link, one that decides which uplinks carry traffic, one that
//! writes events to the spool, one that uploads them, one that answers on the local socket.
//!
//! Links and the other tasks speak of what happens by sending an [`Emission`]; the writer stamps it, gives it
//! its place in the sequence and makes it durable. Nothing in here waits for central.

mod batch;
pub mod config_file;
pub mod emit;
pub mod footprint;
pub mod journal;
pub mod link;
pub mod run;
pub mod slots;
pub mod socket;
pub mod upload;

use crate::event::Body;

/// What a task has to tell. It becomes an event when the writer stamps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Emission {
    /// The device-interface it is about, where it is about one.
    pub subject: Option<String>,
    /// When it happened, where that was before it was sent: the first sample of a batch.
    pub time: Option<chrono::DateTime<chrono::Utc>>,
    /// What happened.
    pub body: Body,
}

/// How many emissions wait for the writer. When it is full the sender waits: the writer only ever waits for
/// the disk, and a disk that fails is answered by the spool's ring in memory.
pub const EMISSIONS_MAX: usize = 256;
