//! A request's body: what it claims to be, unpacked within bounds.

use std::cell::RefCell;
use std::io::Read as _;

use axum::http::{HeaderMap, header};
use zstd::stream::read::Decoder;
use zstd::zstd_safe::{DCtx, DParameter, ResetDirective};

use super::Refusal;
use crate::event::{BATCH_MEDIA_TYPE, EVENT_MEDIA_TYPE};

/// Largest body as sent.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Largest body once unpacked: what a small body may grow to, and no bomb beyond it.
pub const DECODED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most events of one batch.
pub const EVENTS_MAX: usize = 10_000;

/// Largest window a zstd frame may ask memory for: 2^23 bytes, which every decoder must grant (RFC 8878).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What a router's batch grows to, as a rule.
const USUAL_RATIO: usize = 8;

/// What the headers say about the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub shape: Shape,
    pub encoding: Encoding,
}

/// One event or an array of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Batch,
    Single,
}

/// How the body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Zstd,
}

impl Form {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let text = |name| headers.get(name).map_or("", |value| value.to_str().unwrap_or("?")).trim();
        let media_type = text(header::CONTENT_TYPE);
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let shape = match essence.as_str() {
            BATCH_MEDIA_TYPE => Shape::Batch,
            EVENT_MEDIA_TYPE => Shape::Single,
            _ => return Err(Refusal::MediaType(media_type.chars().take(80).collect())),
        };
        let coding = text(header::CONTENT_ENCODING);
        let encoding = match coding.to_ascii_lowercase().as_str() {
            "" | "identity" => Encoding::Identity,
            "zstd" => Encoding::Zstd,
            _ => return Err(Refusal::Encoding(coding.chars().take(80).collect())),
        };
        Ok(Self { shape, encoding })
    }
}

/// The body as JSON text.
pub(super) fn unpack(packed: &[u8], encoding: Encoding) -> Result<Vec<u8>, Refusal> {
    if encoding == Encoding::Identity {
        return Ok(packed.to_vec());
    }
    let broken = |error: std::io::Error| Refusal::Malformed(format!("the body is not whole zstd: {error}"));
    CONTEXT.with_borrow_mut(|context| {
        // What a broken body before it left behind.
        let _ = context.reset(ResetDirective::SessionOnly);
        let _ = context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX));
        let mut unpacked =
            Vec::with_capacity(packed.len().saturating_mul(USUAL_RATIO).min(DECODED_BYTES_MAX));
        Decoder::with_context(packed, context)
            .take(DECODED_BYTES_MAX as u64 + 1)
            .read_to_end(&mut unpacked)
            .map_err(broken)?;
        if unpacked.len() > DECODED_BYTES_MAX { Err(Refusal::UnpackedTooLarge) } else { Ok(unpacked) }
    })
}

thread_local! {
    /// Made once a thread: making one costs more than unpacking a router's minute.
    static CONTEXT: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}
