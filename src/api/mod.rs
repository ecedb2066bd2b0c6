//! The HTTP API and the web page. Reads only: what it answers is a view, live or of the past, or the stream
//! itself. `router` is built apart from serving, so that tests call it in memory.
//!
//! Answers are JSON; errors are problem details (RFC 9457) that say what to do. Reads carry a weak `ETag` over
//! what they tell, without how fresh it is. Unknown query parameters are refused: a misspelt filter must
//! not look like an empty fleet.

mod answer;
mod events;
mod fleet;
mod health;
mod live;
mod page;
mod problem;
mod routers;
mod status;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use axum::Router;
use axum::http::{Method, Uri};
use axum::routing::get;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use tokio::sync::{broadcast, watch};
use tower_http::compression::CompressionLayer;

use crate::stream::{self, Position, Record};
use crate::view::FleetView;

pub use problem::Problem;

/// Makes the view of a moment in the past.
pub type Past =
    Arc<dyn Fn(DateTime<Utc>) -> BoxFuture<'static, anyhow::Result<Arc<FleetView>>> + Send + Sync>;

/// What the API answers from.
#[derive(Clone)]
pub struct Sources {
    /// The live view.
    pub fleet: Arc<RwLock<FleetView>>,
    /// Views of the past.
    pub past: Past,
    /// Every record, once it is folded.
    pub live: broadcast::Sender<Arc<(Position, Record)>>,
    /// The events themselves.
    pub stream: stream::Shared,
    /// Turns true when central stops: answers without end come to theirs.
    pub stop: watch::Receiver<bool>,
    /// What else must be well, for `/readyz`.
    pub ready: Ready,
}

impl Sources {
    fn fleet(&self) -> RwLockReadGuard<'_, FleetView> {
        self.fleet.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers from the live view, or from the one of the past that `as_of` names. With the view comes the time
    /// that counts as now.
    async fn view<T>(
        &self,
        as_of: Option<&str>,
        answer: impl FnOnce(&FleetView, DateTime<Utc>) -> T,
    ) -> Result<T, Problem> {
        let now = Utc::now();
        let Some(as_of) = as_of else { return Ok(answer(&self.fleet(), now)) };
        let time = answer::moment("as_of", as_of, now)?;
        let fleet = (self.past)(time).await.map_err(Problem::internal)?;
        Ok(answer(&fleet, time))
    }
}

/// Says what is wrong when something is; while nothing is, what somebody should look at all the same.
pub type Check = Box<dyn Fn() -> Result<Option<String>, String> + Send + Sync>;

/// One for each thing a process does.
pub type Ready = Arc<Vec<Check>>;

/// The routes by which a process without API is watched.
pub fn health_router(ready: Ready) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::plain_readyz))
        .with_state(ready)
}

/// The routes of the API and the page.
pub fn router(sources: Sources) -> Router {
    Router::new()
        .route("/v1/routers", get(routers::list))
        .route("/v1/routers/{name}", get(routers::one))
        .route("/v1/routers/{name}/events", get(events::list))
        .route("/v1/fleet", get(fleet::counts))
        .route("/v1/events/live", get(live::events))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .with_state(sources)
        .merge(page::router())
        .fallback(nowhere)
        .method_not_allowed_fallback(read_only)
        .layer(CompressionLayer::new().gzip(true))
}

async fn nowhere(uri: Uri) -> Problem {
    Problem::not_found(format!("{} is not served here; the page is at /, the API below /v1", uri.path()))
}

async fn read_only(method: Method, uri: Uri) -> Problem {
    Problem::method_not_allowed(format!("{} does not take {method}; it is there to be read: GET", uri.path()))
}
