//! What router and gateway say to each other around a batch of events (`POST /v1/events`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Epoch, Sequence};

/// Media type of a batch: a JSON array of events.
pub const BATCH_MEDIA_TYPE: &str = "application/cloudevents-batch+json";

/// Media type of a single event.
pub const EVENT_MEDIA_TYPE: &str = "application/cloudevents+json";

/// Request header with the [`Span`] of the batch.
pub const SPAN_HEADER: &str = "tandem-span";

/// What a batch covers, as its router vouches: *of this epoch, the batch holds all that the spool has behind
/// `after` up to `last`, and everything up to `after` is acknowledged or given up*.
///
/// So the gateway can acknowledge up to `last` at once: numbers in between that did not come will never come
/// (thinned, damaged), and a gateway that has lost its memory needs none. A router that vouches sends one
/// batch at a time and sends it again until it is acknowledged.
///
/// Written `<epoch>-<after>-<last>`, for example
/// `00c0ffee00c0ffee-00000000000000000041-00000000000000000099`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The life of the spool.
    pub epoch: Epoch,
    /// Last sequence before the batch; 0 when there is none.
    pub after: Sequence,
    /// Last sequence of the batch.
    pub last: Sequence,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.epoch, self.after, self.last)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('-');
        let (Some(epoch), Some(after), Some(last), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(format!("{text:?} is not <epoch>-<after>-<last>"));
        };
        let span = Self { epoch: epoch.parse()?, after: after.parse()?, last: last.parse()? };
        if span.after > span.last {
            return Err(format!("{text:?} ends before it begins"));
        }
        Ok(span)
    }
}

/// The gateway's answer: everything of `epoch` up to `sequence` is stored for good, and the spool may let go
/// of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// The life of the spool.
    pub epoch: Epoch,
    /// Highest sequence with none missing before it; 0 when there is none.
    pub sequence: Sequence,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_reads_back_as_written_and_nothing_else_does() {
        let text = "00c0ffee00c0ffee-00000000000000000041-00000000000000000099";
        let span: Span = text.parse().unwrap();
        assert_eq!(span, Span { epoch: Epoch(0xc0_ffee_00c0_ffee), after: Sequence(41), last: Sequence(99) });
        assert_eq!(span.to_string(), text);
        for bad in [
            "",
            "-",
            "00c0ffee00c0ffee-00000000000000000041",
            "00c0ffee00c0ffee-00000000000000000099-00000000000000000041",
            "00c0ffee00c0ffee-41-99",
            "00c0ffee00c0ffee-00000000000000000041-00000000000000000099-0",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?} was read");
        }
    }
}
