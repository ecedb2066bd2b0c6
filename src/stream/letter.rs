//! Dead letters: what could not be read, with the reason.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::{Headers, Record, Topic};

/// Bytes of a dead letter that are kept.
pub const DEAD_LETTER_BYTES: usize = 16 * 1024;

/// Header of a dead letter: why it could not be read, with its place.
pub const REASON: &str = "tandem_reason";

/// Header of a dead letter: the router that sent it.
pub const ROUTER: &str = "tandem_router";

/// Header of a dead letter: how long it was when it came.
pub const LENGTH: &str = "tandem_length";

impl Record {
    /// The dead letter of `bytes`, which `router` sent and which could not be read for `reason`; `headers` are those that
    /// are known of it.
    #[must_use]
    pub fn dead_letter(
        router: String,
        mut headers: Headers,
        reason: String,
        bytes: &[u8],
        now: DateTime<Utc>,
    ) -> Self {
        headers.push((Cow::Borrowed(REASON), reason));
        headers.push((Cow::Borrowed(ROUTER), router.clone()));
        headers.push((Cow::Borrowed(LENGTH), bytes.len().to_string()));
        let kept = bytes[..bytes.len().min(DEAD_LETTER_BYTES)].to_vec();
        Self { topic: Topic::DeadLetters, key: router, headers, value: Some(kept), time: now }
    }
}
