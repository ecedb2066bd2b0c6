//! What happened on a router, as [CloudEvents 1.0](https://github.com/cloudevents/spec) in JSON.
//!
//! An event's identity is (`source`, `epoch`, `sequence`): the epoch is fixed when a spool is created, the
//! sequence is a contiguous counter kept in the spool. So a loss can be proved and a double is harmless.
//!
//! On the wire the envelope's fields come first, then `type` beside the nested `data`; a reader that only
//! routes never parses `data`. Inside `data` stand `boot_id`, `uptime_ms` and `clock`, then the fields of
//! the kind ([`Body`]). A reader keeps what it does not know: an event of an unknown type is
//! [`Body::Unknown`] and is written out again as it came.
//!
//! This module is plain data: it reads no clock and touches no file.

mod body;
mod envelope;
mod histogram;
mod identity;
mod quick;
pub mod schema;
#[cfg(test)]
mod tests;
mod upload;

pub use body::*;
pub use envelope::{Envelope, Event, EventError, Origin};
pub use histogram::{HistogramError, RoundTrips};
pub use identity::{Epoch, RouterName, RouterNameError, Sequence};
pub use upload::{Acknowledgement, BATCH_MEDIA_TYPE, EVENT_MEDIA_TYPE, SPAN_HEADER, Span};
