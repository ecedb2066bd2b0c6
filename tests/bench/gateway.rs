//! The gateway with the embedded stream behind it: what taking in a minute of samples costs. From the request to
//! the answer, without the socket and TLS.

use std::time::Instant;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use chrono::{DateTime, Utc};
use tandem::event::{
    AgentSampled, BATCH_MEDIA_TYPE, Body as EventBody, ClockState, Epoch, Event, Origin, ProbeSampled,
    SPAN_HEADER, Sequence, SignalSampled, Span, TrafficSampled,
};
use tandem::gateway::{Admission, Gateway, router};
use tower::ServiceExt as _;

use crate::figure::{Bench, cpu_s, figure};
use crate::signal;

/// Samples of the signal in a batch: two links, one each ten seconds, a minute long.
const SAMPLES: usize = 12;

/// Requests under way at the same time.
const TOGETHER: usize = 32;

/// Samples a second of 100,000 routers.
const FLEET_SAMPLES: f64 = 20_000.0;

struct Batch {
    packed: Vec<u8>,
    span: Span,
    events: usize,
}

pub fn run(bench: &Bench) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let count = if bench.quick() { 64 } else { 6_400 };
    let batches: Vec<Batch> = (0..count).map(batch).collect();
    let events: usize = batches.iter().map(|batch| batch.events).sum();
    let bytes: usize = batches.iter().map(|batch| batch.packed.len()).sum();
    figure("gateway.batch", bytes as f64 / count as f64, "bytes");
    let (mut best_s, mut best_cpu_s) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..3 {
        let (wall_s, used_s) = runtime.block_on(ingest(&batches));
        (best_s, best_cpu_s) = (best_s.min(wall_s), best_cpu_s.min(used_s));
    }
    let samples = (count * SAMPLES) as f64;
    figure("gateway.ingest.events", events as f64 / best_s, "events/s");
    figure("gateway.ingest.events-per-core", events as f64 / best_cpu_s, "events/s");
    figure("gateway.ingest.samples-per-core", samples / best_cpu_s, "samples/s");
    figure("gateway.ingest.core-for-100000-routers", FLEET_SAMPLES / (samples / best_cpu_s) * 100.0, "%");
}

/// Sends every batch once; returns seconds and processor seconds.
async fn ingest(batches: &[Batch]) -> (f64, f64) {
    let folder = tempfile::tempdir().expect("a folder");
    let stream = crate::stream::open(folder.path());
    let app = router(Gateway::start(stream, Admission::Open).await.expect("a gateway"));
    let (began, began_cpu_s) = (Instant::now(), cpu_s());
    for group in batches.chunks(TOGETHER) {
        let requests = group.iter().map(|batch| app.clone().oneshot(request(batch)));
        for response in futures_util::future::join_all(requests).await {
            assert_eq!(response.expect("an answer").status(), StatusCode::OK);
        }
    }
    (began.elapsed().as_secs_f64(), cpu_s() - began_cpu_s)
}

fn request(batch: &Batch) -> Request<Body> {
    Request::post("/v1/events")
        .header(header::CONTENT_TYPE, BATCH_MEDIA_TYPE)
        .header(header::CONTENT_ENCODING, "zstd")
        .header(header::CONTENT_LENGTH, batch.packed.len())
        .header(SPAN_HEADER, batch.span.to_string())
        .body(Body::from(batch.packed.clone()))
        .expect("a request")
}

/// A minute of one router with two links.
fn batch(number: usize) -> Batch {
    let time = Utc::now();
    let mut bodies: Vec<(Option<&str>, EventBody)> = Vec::new();
    for link in ["lte-dev-1", "lte-dev-2"] {
        bodies.push((Some(link), signal(number).into()));
        bodies.push((Some(link), traffic(number).into()));
        bodies.push((Some(link), probe().into()));
    }
    bodies.push((None, agent()));
    let events = bodies.len();
    let texts: Vec<String> = bodies
        .into_iter()
        .enumerate()
        .map(|(n, (subject, body))| event(number, n as u64 + 1, subject, body, time).to_json())
        .map(|json| String::from_utf8(json).expect("JSON is UTF-8"))
        .collect();
    let json = format!("[{}]", texts.join(","));
    let span = Span { epoch: Epoch(7), after: Sequence(0), last: Sequence(events as u64) };
    Batch { packed: zstd::encode_all(json.as_bytes(), 3).expect("memory"), span, events }
}

/// An event of router `number`.
pub fn event(
    number: usize,
    sequence: u64,
    subject: Option<&str>,
    body: EventBody,
    time: DateTime<Utc>,
) -> Event {
    Event {
        router: format!("branch-{number:05}").parse().expect("a name"),
        epoch: Epoch(7),
        sequence: Sequence(sequence),
        time,
        subject: subject.map(str::to_owned),
        origin: Origin {
            boot_id: "0f8fad5b-d9cb-469f-a165-70867728950e".into(),
            uptime_ms: 86_400_000,
            clock: ClockState::Synced,
        },
        body,
    }
}

/// What the agent takes.
pub fn agent() -> EventBody {
    AgentSampled { interval_ms: 60_000, memory_bytes: 7_340_032, ..Default::default() }.into()
}

/// A minute of the signal of one link.
pub fn signal(seed: usize) -> SignalSampled {
    signal::sampled(seed, SAMPLES / 2)
}

/// A minute of the traffic of one link.
pub fn traffic(seed: usize) -> TrafficSampled {
    let column = |base: u64| vec![base + seed as u64 % 977];
    TrafficSampled {
        offset_ms: vec![60_000],
        rx_bytes: column(48_213),
        tx_bytes: column(22_871),
        rx_packets: column(311),
        tx_packets: column(287),
        ..Default::default()
    }
}

/// A minute of probes.
pub fn probe() -> ProbeSampled {
    ProbeSampled { target: "192.0.2.1".into(), interval_ms: 60_000, sent: 2, lost: 0, rtt_us: None }
}
