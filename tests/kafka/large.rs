//! Topics that take less than we send, which somebody set while we ran: what is too large by itself is named, the rest is
//! stored.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use tandem::event::BATCH_MEDIA_TYPE;
use tandem::gateway::{self, Admission, Gateway};
use tandem::stream::{Kafka, KafkaSettings, Record, Shared, Stream as _, StreamError, Topic};
use tower::ServiceExt as _;

use super::{broker, events, outside};

/// What a batch of the topic may have.
const LIMIT: usize = 100_000;

/// Topics that take no more than [`LIMIT`], and records that packing does not make smaller.
async fn narrow() -> (KafkaSettings, Arc<Kafka>) {
    let mut settings = broker::settings(1);
    settings.set("compression.type", "none").unwrap();
    let stream = Arc::new(Kafka::open(settings.clone()).await.unwrap());
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker::address()).create().unwrap();
    let name = settings.named(Topic::Status.name());
    let limit = LIMIT.to_string();
    let change = AlterConfig::new(ResourceSpecifier::Topic(&name)).set("max.message.bytes", &limit);
    admin.alter_configs(&[change], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    (settings, stream)
}

/// An event with so many bytes of text in it.
fn event(router: &str, sequence: u64, bytes: usize) -> String {
    let text = format!(r#""cause":"{}""#, "x".repeat(bytes));
    events::status_json(router, sequence).replace(r#""cause":"test""#, &text)
}

fn record(router: &str, sequence: u64, bytes: usize) -> Record {
    Record { value: Some(event(router, sequence, bytes).into()), ..events::status(router, sequence) }
}

/// Which events of which routers are stored.
fn stored(settings: &KafkaSettings) -> std::collections::BTreeSet<(String, u64)> {
    let records = outside::kcat_reads(settings, Topic::Status);
    let identity = |record: &serde_json::Value| {
        let headers: Vec<String> = serde_json::from_value(record["headers"].clone()).unwrap();
        let at = headers.iter().position(|name| name == "ce_sequence").unwrap();
        (record["key"].as_str().unwrap().to_owned(), headers[at + 1].parse().unwrap())
    };
    records.iter().map(identity).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_larger_than_the_topic_takes_is_cut_and_a_record_that_is_by_itself_is_named() {
    let (settings, stream) = narrow().await;
    stream.append((1..=60).map(|n| record("r-1", n, LIMIT / 3)).collect()).await.unwrap();
    assert_eq!(stored(&settings), (1..=60).map(|n| ("r-1".into(), n)).collect());

    let size = |n| if n == 7 { LIMIT * 2 } else { LIMIT / 3 };
    let error = stream.append((1..=12).map(|n| record("r-2", n, size(n))).collect()).await.unwrap_err();
    let StreamError::TooLarge { at, key, topic, bytes } = &error else { panic!("{error}") };
    assert_eq!((*at, key.as_str(), *topic), (6, "r-2", Topic::Status));
    assert!(*bytes > LIMIT * 2, "{error}");
}

async fn post(app: axum::Router, events: &[String]) -> StatusCode {
    let request = Request::post("/v1/events")
        .header(header::CONTENT_TYPE, BATCH_MEDIA_TYPE)
        .body(Body::from(format!("[{}]", events.join(","))))
        .unwrap();
    app.oneshot(request).await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_refuses_the_batch_with_the_event_that_is_too_large_and_serves_all_others() {
    let (settings, stream) = narrow().await;
    let gateway = Gateway::start(stream as Shared, Admission::Open).await.unwrap();
    let app = gateway::router(Arc::clone(&gateway));
    let large = [event("r-1", 1, 10), event("r-1", 2, LIMIT * 2)];
    // Together, so that they may be of one group.
    let others = (0..8).map(|router| {
        let app = app.clone();
        tokio::spawn(async move {
            let event = event(&format!("r-2{router}"), 1, 10);
            while post(app.clone(), std::slice::from_ref(&event)).await != StatusCode::OK {}
        })
    });
    let others: Vec<_> = others.collect();
    for _ in 0..3 {
        assert_eq!(post(app.clone(), &large).await, StatusCode::PAYLOAD_TOO_LARGE);
    }
    for other in others {
        tokio::time::timeout(super::PATIENCE, other).await.expect("it is served").unwrap();
    }
    // As a router goes on: halved, the one event given up.
    assert_eq!(post(app.clone(), &large[1..]).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(post(app, &large[..1]).await, StatusCode::OK);
    gateway.ready().expect("one event does not make the stream unready");
    let mut wanted: std::collections::BTreeSet<_> =
        (0..8).map(|router| (format!("r-2{router}"), 1)).collect();
    wanted.insert(("r-1".into(), 1));
    assert_eq!(stored(&settings), wanted);
}
