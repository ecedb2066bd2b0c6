//! Where the routers of the load send to, and how often in vain.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use tandem::event::{BATCH_MEDIA_TYPE, Event, SPAN_HEADER, Sequence, Span};
use tandem::stream::{Kafka, Stream as _};

use crate::fleet;

const PATIENCE: Duration = Duration::from_secs(120);
const ANSWER: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(200);

/// Where the routers send to.
pub enum Target {
    Gateway(reqwest::Client, String),
    Kafka(Box<Kafka>),
}

#[derive(Default)]
pub struct Counts {
    pub events: AtomicU64,
    pub samples: AtomicU64,
    pub batches: AtomicU64,
    pub bytes: AtomicU64,
    pub unanswered: AtomicU64,
    /// Milliseconds by which the latest batch was late at its start.
    pub late_ms: AtomicU64,
}

/// A batch as it goes to the gateway.
pub struct Packed {
    body: Vec<u8>,
    span: Span,
}

impl Packed {
    pub fn of(events: &[Event]) -> Self {
        let mut json = vec![b'['];
        for event in events {
            json.extend_from_slice(&event.to_json());
            json.push(b',');
        }
        *json.last_mut().expect("a bracket at least") = b']';
        let (first, last) = (events[0].sequence.0, events[events.len() - 1].sequence);
        Self {
            body: zstd::encode_all(&json[..], 3).expect("memory"),
            span: Span { epoch: fleet::EPOCH, after: Sequence(first - 1), last },
        }
    }
}

impl Target {
    /// Sends events of a router until they are taken.
    pub async fn send(&self, events: &[Event], counts: &Counts) {
        counts.events.fetch_add(events.len() as u64, Ordering::Relaxed);
        counts.batches.fetch_add(1, Ordering::Relaxed);
        match self {
            Self::Kafka(stream) => {
                let began = Instant::now();
                while !append(stream, events).await {
                    again(counts, began).await;
                }
            }
            Self::Gateway(..) => self.send_packed(&Packed::of(events), counts).await,
        }
    }

    /// Sends a batch to the gateway until it is taken.
    pub async fn send_packed(&self, batch: &Packed, counts: &Counts) {
        let Self::Gateway(client, url) = self else { panic!("only a gateway unpacks") };
        let began = Instant::now();
        counts.bytes.fetch_add(batch.body.len() as u64, Ordering::Relaxed);
        while !post(client, url, batch).await {
            again(counts, began).await;
        }
    }
}

async fn append(stream: &Kafka, events: &[Event]) -> bool {
    let now = Utc::now();
    stream.append(events.iter().map(|event| fleet::record(event, now)).collect()).await.is_ok()
}

async fn post(client: &reqwest::Client, url: &str, batch: &Packed) -> bool {
    let request = client
        .post(url)
        .timeout(ANSWER)
        .header("content-type", BATCH_MEDIA_TYPE)
        .header("content-encoding", "zstd")
        .header(SPAN_HEADER, batch.span.to_string())
        .body(batch.body.clone());
    match request.send().await {
        Ok(response) => response.status().is_success() && response.bytes().await.is_ok(),
        Err(_) => false,
    }
}

async fn again(counts: &Counts, began: Instant) {
    counts.unanswered.fetch_add(1, Ordering::Relaxed);
    assert!(began.elapsed() < PATIENCE, "a batch is taken");
    tokio::time::sleep(AGAIN).await;
}
