//! The gateway as a router meets it: in memory, then over real TLS.
#![cfg(feature = "central")]

#[path = "../support/answer.rs"]
mod answer;
mod events;
mod memory;
mod overload;
mod patience;
mod program;
mod property;
#[path = "../support/started.rs"]
mod started;
mod tls;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::Value;
use tandem::event::{Acknowledgement, BATCH_MEDIA_TYPE, SPAN_HEADER, Sequence};
use tandem::gateway::{self, Admission, Gateway, Tokens};
use tandem::stream::{Limit, Memory, Position, Shared, Stored, Topic};
use tower::ServiceExt as _;

use answer::Answer;
use events::EPOCH;

/// A gateway in front of a stream, called in memory.
#[derive(Clone)]
struct Bench {
    stream: Shared,
    gateway: Arc<Gateway>,
    app: axum::Router,
}

impl Bench {
    async fn open() -> Self {
        Self::new(Arc::new(Memory::new(2)), Admission::Open).await
    }

    async fn new(stream: Shared, admission: Admission) -> Self {
        let gateway = Gateway::start(Arc::clone(&stream), admission).await.unwrap();
        let app = gateway::router(Arc::clone(&gateway));
        Self { stream, gateway, app }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.app.clone().oneshot(request).await.unwrap()).await
    }

    async fn post(&self, elements: &[String]) -> Answer {
        self.send(post(batch(elements)).body(Body::from(batch(elements))).unwrap()).await
    }

    async fn post_span(&self, elements: &[String], after: u64, last: u64) -> Answer {
        let request = post(batch(elements)).header(SPAN_HEADER, format!("{EPOCH}-{after:020}-{last:020}"));
        self.send(request.body(Body::from(batch(elements))).unwrap()).await
    }

    fn refused(&self, reason: &str) -> u64 {
        let figures = self.gateway.figures();
        figures.refused.iter().find(|(name, _)| *name == reason).map(|(_, count)| *count).unwrap()
    }
}

impl Answer {
    /// The sequence acknowledged.
    fn acknowledged(&self) -> u64 {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        let Acknowledgement { epoch, sequence: Sequence(sequence) } =
            serde_json::from_slice(&self.body).unwrap();
        assert_eq!(epoch.to_string(), EPOCH);
        sequence
    }

    fn retry_after_s(&self) -> u64 {
        self.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap()
    }
}

fn post(body: impl AsRef<[u8]>) -> axum::http::request::Builder {
    Request::post("/v1/events")
        .header(header::CONTENT_TYPE, BATCH_MEDIA_TYPE)
        .header(header::CONTENT_LENGTH, body.as_ref().len())
}

fn batch(elements: &[String]) -> String {
    format!("[{}]", elements.join(","))
}

/// Everything of a topic, partition by partition.
async fn stored(stream: &Shared, topic: Topic) -> Vec<Stored> {
    let mut records = Vec::new();
    for bounds in stream.bounds(topic).await.unwrap() {
        let mut from = Position { topic, partition: bounds.partition, offset: bounds.first };
        while from.offset < bounds.next {
            let batch = stream.read(from, Limit::default()).await.unwrap();
            from.offset = batch.next;
            records.extend(batch.records);
        }
    }
    records
}

/// The sequences stored in a topic, in the order of the stream.
async fn sequences(stream: &Shared, topic: Topic) -> Vec<u64> {
    let sequence = |stored: &Stored| {
        let event: Value = serde_json::from_slice(stored.record.value.as_deref().unwrap()).unwrap();
        event["sequence"].as_str().unwrap().parse().unwrap()
    };
    stored(stream, topic).await.iter().map(sequence).collect()
}

const TOKEN_1: &str = "the-token-of-router-1";
const TOKEN_2: &str = "the-token-of-router-2";

/// Tokens of `r1` and `r2`.
fn tokens() -> Tokens {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    std::fs::write(&path, format!("[routers]\nr1 = \"{TOKEN_1}\"\nr2 = \"{TOKEN_2}\"\n")).unwrap();
    Tokens::load(&path).unwrap()
}
