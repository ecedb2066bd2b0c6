//! What the stream keeps, and for how long ([`Topic::kept`]).

use chrono::{DateTime, TimeDelta, Utc};

use crate::stream::{Kept, Stream, StreamError, Topic};

/// Removes from `stream` what no topic keeps any longer at `now`; returns how many records went.
///
/// # Errors
/// When they cannot be removed; what went before that is gone.
pub async fn expire(stream: &dyn Stream, now: DateTime<Utc>) -> Result<u64, StreamError> {
    let mut gone = 0;
    for topic in Topic::ALL {
        let (Kept::For(kept) | Kept::Latest { tombstone: kept }) = topic.kept();
        let before = TimeDelta::from_std(kept).ok().and_then(|kept| now.checked_sub_signed(kept));
        if let Some(before) = before {
            gone += stream.expire(topic, before).await?;
        }
    }
    Ok(gone)
}
