//! `/healthz`: the process answers. `/readyz`: it is of use: its views are, or what else it does.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde_json::json;

use super::{Ready, Sources};

/// Views further behind than this are not what an operator should look at.
const LAG_MAX_MS: i64 = 60_000;

pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Faults and warnings.
fn said(ready: &Ready) -> (Vec<String>, Vec<String>) {
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    for ready in ready.iter() {
        match ready() {
            Ok(warning) => warnings.extend(warning),
            Err(fault) => faults.push(fault),
        }
    }
    (faults, warnings)
}

/// Ready while nothing says what is wrong.
pub async fn plain_readyz(State(ready): State<Ready>) -> Response {
    let (faults, warnings) = said(&ready);
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "ready": faults.is_empty(), "faults": faults, "warnings": warnings });
    (status, axum::Json(body)).into_response()
}

pub async fn readyz(State(sources): State<Sources>) -> Response {
    let freshness = sources.fleet().freshness.clone();
    let lag_ms = freshness.lag_ms(Utc::now());
    let (faults, warnings) = said(&sources.ready);
    let fresh = freshness.caught_up || (freshness.stream_moved_at.is_some() && lag_ms <= LAG_MAX_MS);
    let ready = fresh && faults.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": ready,
        "faults": faults,
        "warnings": warnings,
        "lag_ms": lag_ms,
        "caught_up": freshness.caught_up,
        "stream_moved_at": freshness.stream_moved_at,
        "position": freshness.position,
    });
    (status, axum::Json(body)).into_response()
}
