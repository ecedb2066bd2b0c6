//! Errors as problem details (RFC 9457).

use axum::extract::rejection::QueryRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request was not answered: status, what to do about it, and for the log what went wrong inside.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    cause: Option<anyhow::Error>,
}

impl Problem {
    /// The request is wrong.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into(), cause: None }
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, detail: detail.into(), cause: None }
    }

    /// There is such a thing, but it cannot be treated so.
    #[must_use]
    pub fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::METHOD_NOT_ALLOWED, detail: detail.into(), cause: None }
    }

    /// Central failed. The cause goes to the log, not to the client.
    #[must_use]
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            detail: "central could not read its stream; its log says why. Try again later".into(),
            cause: Some(cause.into()),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            tracing::error!(error = format!("{cause:#}"), "request failed");
        }
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}
