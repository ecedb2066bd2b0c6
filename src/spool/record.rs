//! The bytes of one row.
//!
//! Pure.
//!
//! ```text
//! 0        1       2                       6
//! ┌────────┬───────┬───────────────────────┬──────────────┐
//! │ format │ class │ CRC-32, little endian │ event, JSON  │
//! └────────┴───────┴───────────────────────┴──────────────┘
//! ```
//!
//! The checksum covers epoch, sequence, format, class and JSON, so a record in the wrong place is found as
//! surely as a broken one.

use crate::event::{Class, Epoch, Sequence};

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 6;

/// Why bytes are no record of this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Shorter than its header.
    #[error("record ends too early")]
    Short,
    /// Written by a release we do not know.
    #[error("record has format {0}, expected {FORMAT}")]
    Format(u8),
    /// Neither status nor sample.
    #[error("record has class {0}")]
    Class(u8),
    /// Broken, or of another place.
    #[error("record does not match its checksum")]
    Checksum,
}

/// Packs the JSON of the event at (`epoch`, `sequence`).
#[must_use]
pub fn encode(epoch: Epoch, sequence: Sequence, class: Class, json: &[u8]) -> Vec<u8> {
    let class = match class {
        Class::Status => 0,
        Class::Sample => 1,
    };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + json.len());
    bytes.extend([FORMAT, class]);
    bytes.extend(checksum(epoch, sequence, class, json).to_le_bytes());
    bytes.extend(json);
    bytes
}

/// Unpacks what [`encode`] packed for the same place: class and JSON.
///
/// # Errors
/// When the bytes are torn, broken, or belong elsewhere.
pub fn decode(epoch: Epoch, sequence: Sequence, bytes: &[u8]) -> Result<(Class, &[u8]), RecordError> {
    let Some((&[format, class, ref crc @ ..], json)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(RecordError::Short);
    };
    if format != FORMAT {
        return Err(RecordError::Format(format));
    }
    if checksum(epoch, sequence, class, json) != u32::from_le_bytes(*crc) {
        return Err(RecordError::Checksum);
    }
    match class {
        0 => Ok((Class::Status, json)),
        1 => Ok((Class::Sample, json)),
        other => Err(RecordError::Class(other)),
    }
}

fn checksum(epoch: Epoch, sequence: Sequence, class: u8, json: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&epoch.0.to_le_bytes());
    crc.update(&sequence.0.to_le_bytes());
    crc.update(&[FORMAT, class]);
    crc.update(json);
    crc.finalize()
}
