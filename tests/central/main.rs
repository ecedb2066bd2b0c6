//! Central: the views it folds, keeps and remembers, and the API over them, called in memory.
#![cfg(feature = "central")]

#[path = "../support/answer.rs"]
mod answer;
mod events;
mod live;
mod past;
mod reads;
mod ready;
mod restart;
mod retention;

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tandem::api::{self, Sources};
use tandem::central::Central;
use tandem::stream::{Memory, Shared};
use tandem::view::{FleetView, RouterView};
use tokio::sync::watch;
use tower::ServiceExt as _;

use answer::Answer;

/// A central over a stream, its API called in memory.
struct Bench {
    stream: Shared,
    central: Arc<Central>,
    app: axum::Router,
    stop: watch::Sender<bool>,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self::over(Arc::new(Memory::new(2))).await
    }

    async fn over(stream: Shared) -> Self {
        Self::take_up(stream, tempfile::tempdir().unwrap()).await
    }

    async fn take_up(stream: Shared, folder: tempfile::TempDir) -> Self {
        let central = Central::open(stream.clone(), folder.path()).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let (past, followed) = (central.clone(), central.clone());
        let sources = Sources {
            fleet: central.fleet(),
            past: Arc::new(move |time| {
                let central = past.clone();
                Box::pin(async move { central.as_of(time).await })
            }),
            live: central.live(),
            stream: stream.clone(),
            stop: stopped,
            ready: Arc::new(vec![Box::new(move || followed.ready().map(|()| None))]),
        };
        Self { stream, central, app: api::router(sources), stop, folder }
    }

    /// Ends as a stop in order does, with a last snapshot, and begins again.
    async fn restart(self) -> Self {
        self.central.follow(watch::channel(true).1).await;
        self.crash().await
    }

    /// Begins again with what is on the disk.
    async fn crash(self) -> Self {
        Self::take_up(self.stream, self.folder).await
    }

    async fn fold_all(&self) {
        while !self.central.step().await.unwrap() {}
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.app.clone().oneshot(request).await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn json(&self, path: &str) -> Value {
        self.get(path).await.json()
    }

    /// Everything that the live view says, as text.
    fn told(&self) -> String {
        told(&self.central.fleet().read().unwrap())
    }

    fn snapshots(&self) -> &Path {
        self.folder.path()
    }
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Everything that a view says, as text.
fn told(fleet: &FleetView) -> String {
    let router = |view: &Arc<RouterView>| {
        format!("{:?} {}", fleet.state_of(view), serde_json::to_string(&**view).unwrap())
    };
    let routers: Vec<_> = fleet.routers_after(None).map(router).collect();
    format!("{}\n{}", serde_json::to_string(fleet.counts()).unwrap(), routers.join("\n"))
}

fn start() -> DateTime<Utc> {
    "2026-11-02T08:00:00Z".parse().unwrap()
}

fn after_s(seconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(seconds)
}
