//! What the broker hands out, as records.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::DateTime;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use super::{Record, Stored, Topic, cloud_event};

/// The record in `message`.
pub(super) fn stored(topic: Topic, message: &BorrowedMessage<'_>) -> Stored {
    // The client panics over a header whose name is no text. Such a record goes on without its headers.
    let read = catch_unwind(AssertUnwindSafe(|| {
        let headers = message.headers();
        let headers = headers.iter().flat_map(|headers| (0..headers.count()).map(|at| headers.get(at)));
        let headers = headers.map(|header| (header.key, header.value.unwrap_or_default()));
        cloud_event::inside(headers, message.payload())
    }));
    let (headers, value) = read.unwrap_or_else(|_| (Vec::new(), message.payload().map(<[u8]>::to_vec)));
    let time_ms = message.timestamp().to_millis().unwrap_or_default();
    let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
    let time = DateTime::from_timestamp_millis(time_ms).unwrap_or_default();
    let offset = u64::try_from(message.offset()).unwrap_or_default();
    Stored { offset, record: Record { topic, key, headers, value, time } }
}
