//! Why a batch is refused, in the words of HTTP (RFC 9457) and with what to do about it.

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{BODY_BYTES_MAX, DECODED_BYTES_MAX, EVENTS_MAX};
use crate::event::{BATCH_MEDIA_TYPE, EVENT_MEDIA_TYPE, RouterName};

/// Why a batch is refused. Nothing of it was stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody said who speaks, or with a token or certificate that is not known.
    #[error("{0}")]
    Unauthorized(String),
    /// A router speaks for another one.
    #[error(
        "this is {speaker}, but element {element} comes from {source_router}; a router may send its own events only"
    )]
    Forbidden {
        /// Whom token or certificate names.
        speaker: RouterName,
        /// Whom the event names.
        source_router: RouterName,
        /// Place in the batch, from 0.
        element: usize,
    },
    /// The certificate and the token name different routers.
    #[error("the client certificate is that of {certificate}, the token that of {token}; send one of them")]
    TwoSpeakers {
        /// Router of the certificate.
        certificate: RouterName,
        /// Router of the token.
        token: RouterName,
    },
    /// Cannot be read at all.
    #[error("{0}")]
    Malformed(String),
    /// The body took too long.
    #[error("the body did not arrive in time; send smaller batches")]
    Slow,
    /// Too large as sent.
    #[error("the body is larger than {BODY_BYTES_MAX} bytes; send smaller batches")]
    BodyTooLarge,
    /// Too large once unpacked.
    #[error("the batch is larger than {DECODED_BYTES_MAX} bytes once unpacked; send smaller batches")]
    UnpackedTooLarge,
    /// Too many events.
    #[error("the batch has more than {EVENTS_MAX} events; send smaller batches")]
    TooManyEvents,
    /// The stream takes no record as large as one of its events.
    #[error(
        "an event of {0} bytes is larger than the stream of central takes; the others are taken without it"
    )]
    EventTooLarge(usize),
    /// Neither batch nor event.
    #[error("content type {0:?} is not taken; send {BATCH_MEDIA_TYPE} or {EVENT_MEDIA_TYPE}")]
    MediaType(String),
    /// Packed in a way not known here.
    #[error("content encoding {0:?} is not taken; send zstd or none")]
    Encoding(String),
    /// Queue or memory is full.
    #[error("too many batches wait to be stored; try again after the time in Retry-After")]
    Busy,
    /// The stream takes nothing.
    #[error("central cannot store events now ({0}); keep them and try again after the time in Retry-After")]
    Unavailable(&'static str),
}

impl Refusal {
    /// Every reason, as the counters name them.
    pub const REASONS: [&'static str; 8] =
        ["unauthorized", "forbidden", "malformed", "slow", "too-large", "unsupported", "busy", "unavailable"];

    /// One of [`Refusal::REASONS`].
    #[must_use]
    pub fn reason(&self) -> &'static str {
        Self::REASONS[self.place()]
    }

    pub(super) fn place(&self) -> usize {
        match self {
            Self::Unauthorized(_) => 0,
            Self::Forbidden { .. } | Self::TwoSpeakers { .. } => 1,
            Self::Malformed(_) => 2,
            Self::Slow => 3,
            Self::BodyTooLarge | Self::UnpackedTooLarge | Self::TooManyEvents | Self::EventTooLarge(_) => 4,
            Self::MediaType(_) | Self::Encoding(_) => 5,
            Self::Busy => 6,
            Self::Unavailable(_) => 7,
        }
    }

    fn status(&self) -> StatusCode {
        const STATUS: [StatusCode; 8] = [
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::BAD_REQUEST,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        STATUS[self.place()]
    }

    /// Spread, so that routers that were refused together do not come back together.
    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Busy => Some(fastrand::u32(2..=10)),
            Self::Unavailable(_) => Some(fastrand::u32(10..=30)),
            _ => None,
        }
    }
}

/// The answer to any other method than POST.
pub(super) async fn only_post(method: Method) -> Response {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": format!(
            "batches of events are sent here with POST, not {method}; read them at /v1/routers/{{name}}/events"
        ),
    });
    let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::ALLOW, "POST")];
    (status, headers, body.to_string()).into_response()
}

/// A refusal as `application/problem+json`.
#[derive(Debug)]
pub struct Problem {
    refusal: Refusal,
    retry_after_s: Option<u32>,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let retry_after_s = refusal.retry_after_s();
        Self { refusal, retry_after_s }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.refusal.status();
        let body = json!({
            "type": format!("urn:tandem:problem:{}", self.refusal.reason()),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": self.refusal.to_string(),
        });
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match &self.refusal {
            Refusal::Unauthorized(_) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tandem\""));
            }
            Refusal::Encoding(_) => {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("zstd"));
            }
            _ => {}
        }
        response
    }
}
