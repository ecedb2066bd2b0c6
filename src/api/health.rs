//! `/healthz`: the process answers. `/readyz`: its views are of use.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde_json::json;

use super::Sources;

/// Views further behind than this are not what an operator should look at.
const LAG_MAX_MS: i64 = 60_000;

pub async fn healthz() -> &'static str {
    "ok\n"
}

pub async fn readyz(State(sources): State<Sources>) -> Response {
    let freshness = sources.fleet().freshness.clone();
    let lag_ms = freshness.lag_ms(Utc::now());
    let ready = freshness.caught_up || (freshness.stream_moved_at.is_some() && lag_ms <= LAG_MAX_MS);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": ready,
        "lag_ms": lag_ms,
        "caught_up": freshness.caught_up,
        "stream_moved_at": freshness.stream_moved_at,
        "position": freshness.position,
    });
    (status, axum::Json(body)).into_response()
}
