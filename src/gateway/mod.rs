//! Takes batches of events from routers, checks them and appends them to the stream.
//!
//! ```text
//! POST /v1/events ─▶ who speaks ─▶ unpack ─▶ check each event ─▶ queue ─▶ ingest task ─▶ stream
//!                    admission      batch       check              │        sequence        │
//!                        ◀──────── {"epoch":"…","sequence":"…"} ◀──┴────────────────────────┘
//! ```
//!
//! **What is sent**: CloudEvents JSON, a batch (`application/cloudevents-batch+json`) or one event
//! (`application/cloudevents+json`), as it is or `Content-Encoding: zstd`. A request speaks for one router; a
//! router may speak only for its own `source`.
//!
//! **What is answered**: an [`Acknowledgement`]: everything of the epoch up to `sequence` is stored for good.
//! Which number that is:
//!
//! - A router says with the header [`SPAN_HEADER`] what its batch covers ([`Span`]). Then it is the last of
//!   the span, whatever holes the batch has: the router vouches that nothing more will come for them. It
//!   needs no memory here, so any gateway can answer any router, also one that lost everything.
//! - Without the header it is the end of an unbroken count from 1. Batches may come in any order. Holes that a
//!   `spool.dropped` declares are stepped over once all else of their range is there. This count is kept in
//!   the stream (`tandem.acknowledged`) together with the events and survives a restart; another gateway of the
//!   same stream reads it there when such a router comes to it. When it is lost
//!   with the stream, such a router stalls until it says the header: the gateway never acknowledges what
//!   it has not seen and nobody vouches for.
//!
//! **Doubles** are dropped where the gateway remembers them and stored again where it does not; readers of the
//! stream ignore them by (source, epoch, sequence).
//!
//! **Bad events** go to `tandem.dead-letters` with the reason, the place and their bytes; they count as stored
//! and hold up nothing. A batch whose array does not end is refused whole, with the place.
//!
//! **When it is too much**: `429` when the queue or the memory for batches is full, `503` when the stream
//! refuses; both with `Retry-After`, and nothing of the batch is stored. `413` when the stream takes no record as large as
//! one of the batch, which is then sent in halves until that one event is found and given up.

mod admission;
mod batch;
mod check;
mod counters;
mod ingest;
mod problem;
mod sequence;
mod serve;
mod split;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::routing::post;
use axum_server::tls::TlsInfo;
use axum_server::tls_rustls::RustlsConfig;
use chrono::Utc;
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::event::{Acknowledgement, SPAN_HEADER, Span};
use crate::stream;
pub use crate::stream::{DEAD_LETTER_BYTES, REASON, ROUTER};
pub use admission::{Admission, AdmissionError, Tokens};
pub use batch::{BODY_BYTES_MAX, DECODED_BYTES_MAX, EVENTS_MAX};
pub use check::EVENT_BYTES_MAX;
pub use counters::{Counters, Figures};
pub use problem::{Problem, Refusal};
pub use serve::{Limits, Tls, TlsError, listen, serve, serve_within};

/// Memory for batches between receipt and answer. When it is used up, further batches get `429`.
const IN_FLIGHT_KIB: u32 = 128 * 1024;

/// A request whose body is not there after this long gets `408`.
const BODY_DEADLINE: Duration = Duration::from_secs(60);

/// The gateway: what all requests share.
pub struct Gateway {
    admission: Admission,
    counters: Arc<Counters>,
    ingest: ingest::Ingest,
    memory_kib: Arc<Semaphore>,
}

impl Gateway {
    /// A gateway in front of `stream`; starts its ingest task.
    ///
    /// # Errors
    /// When the counts of earlier runs cannot be read from the stream.
    pub async fn start(
        stream: stream::Shared,
        admission: Admission,
    ) -> Result<Arc<Self>, stream::StreamError> {
        let counters = Arc::new(Counters::default());
        let ingest = ingest::Ingest::start(stream, Arc::clone(&counters)).await?;
        let memory_kib = Arc::new(Semaphore::new(IN_FLIGHT_KIB as usize));
        Ok(Arc::new(Self { admission, counters, ingest, memory_kib }))
    }

    /// What it has counted since it started.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.counters.figures()
    }

    /// Who may speak; the handle with which tokens are read again.
    #[must_use]
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Whether the stream takes events, as far as the last attempt told.
    ///
    /// # Errors
    /// What the stream answered when it refused a moment ago.
    pub fn ready(&self) -> Result<(), String> {
        self.ingest.ready()
    }

    async fn accept(&self, request: Request) -> Result<Acknowledgement, Refusal> {
        let (parts, body) = request.into_parts();
        let tls = parts.extensions.get::<Arc<TlsInfo>>().map(AsRef::as_ref);
        let speaker = self.admission.who_speaks(&parts.headers, tls, Utc::now())?;
        let form = batch::Form::of(&parts.headers)?;
        let span = span_of(&parts.headers)?;
        let mut memory = self.reserve(announced_bytes(&parts.headers)?)?;
        let packed =
            tokio::time::timeout(BODY_DEADLINE, receive(body)).await.map_err(|_| Refusal::Slow)??;
        let unpacked = batch::unpack(&packed, form.encoding)?;
        memory.merge(self.reserve(unpacked.len())?);
        self.counters.received(packed.len(), unpacked.len());
        let checked = check::check(&unpacked, form.shape, speaker.as_ref(), span, Utc::now())?;
        drop((packed, unpacked));
        self.ingest.store(checked, memory).await
    }

    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        Arc::clone(&self.memory_kib).try_acquire_many_owned(kib).map_err(|_| Refusal::Busy)
    }
}

/// The route of the gateway, to be merged with those of the API.
pub fn router(gateway: Arc<Gateway>) -> axum::Router {
    axum::Router::new()
        .route("/v1/events", post(post_events).fallback(problem::only_post))
        .with_state(gateway)
}

/// Reads tokens and certificates again when their files change, for as long as it is polled.
pub async fn keep_fresh(gateway: Option<Arc<Gateway>>, tls: Option<(Tls, RustlsConfig)>) {
    const EVERY: Duration = Duration::from_secs(15);
    let mut seen = tls.as_ref().map(|(files, _)| files.seen()).unwrap_or_default();
    loop {
        tokio::time::sleep(EVERY).await;
        if let Some(gateway) = &gateway {
            gateway.admission.refresh();
        }
        if let Some((files, config)) = &tls {
            files.refresh(config, &mut seen);
        }
    }
}

async fn post_events(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Json<Acknowledgement>, Problem> {
    gateway.accept(request).await.map(Json).map_err(|refusal| {
        gateway.counters.refused(&refusal);
        tracing::debug!(reason = refusal.reason(), %refusal, "batch refused");
        Problem::from(refusal)
    })
}

fn span_of(headers: &HeaderMap) -> Result<Option<Span>, Refusal> {
    let Some(value) = headers.get(SPAN_HEADER) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Refusal::Malformed(format!("header {SPAN_HEADER} is not text")))?;
    text.parse().map(Some).map_err(|error| Refusal::Malformed(format!("header {SPAN_HEADER}: {error}")))
}

/// The size that the body will have at most.
fn announced_bytes(headers: &HeaderMap) -> Result<usize, Refusal> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    match length.unwrap_or(BODY_BYTES_MAX) {
        bytes if bytes > BODY_BYTES_MAX => Err(Refusal::BodyTooLarge),
        bytes => Ok(bytes),
    }
}

async fn receive(body: Body) -> Result<Vec<u8>, Refusal> {
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece =
            piece.map_err(|_| Refusal::Malformed("the body ended before its announced length".into()))?;
        if bytes.len() + piece.len() > BODY_BYTES_MAX {
            return Err(Refusal::BodyTooLarge);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
