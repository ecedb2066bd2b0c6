//! When it is too much, too slow or the disk is full.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use tandem::gateway::BODY_BYTES_MAX;
use tandem::stream::{Answer as StreamAnswer, Batch, Bounds, Commit, Record, Stream, Topic as StreamTopic};
use tokio::sync::Semaphore;

use super::events::{sample, status};
use super::*;

/// A stream whose appends wait for a permit each.
struct Gated {
    inner: Memory,
    permits: Semaphore,
    appends: AtomicUsize,
}

impl Gated {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: Memory::new(1), permits: Semaphore::new(0), appends: AtomicUsize::new(0) })
    }
}

impl Stream for Gated {
    fn partitions(&self, topic: StreamTopic) -> u32 {
        self.inner.partitions(topic)
    }

    fn append(&self, records: Vec<Record>) -> StreamAnswer<'_, ()> {
        Box::pin(async move {
            self.appends.fetch_add(1, Ordering::SeqCst);
            self.permits.acquire().await.unwrap().forget();
            self.inner.append(records).await
        })
    }

    fn read<'a>(&'a self, from: Position, limit: Limit<'a>) -> StreamAnswer<'a, Batch> {
        self.inner.read(from, limit)
    }

    fn wait<'a>(&'a self, from: &'a [Position], patience: Duration) -> StreamAnswer<'a, bool> {
        self.inner.wait(from, patience)
    }

    fn bounds(&self, topic: StreamTopic) -> StreamAnswer<'_, Vec<Bounds>> {
        self.inner.bounds(topic)
    }

    fn offset_at(&self, topic: StreamTopic, partition: u32, time: DateTime<Utc>) -> StreamAnswer<'_, u64> {
        self.inner.offset_at(topic, partition, time)
    }

    fn commit(&self, commit: Commit) -> StreamAnswer<'_, ()> {
        self.inner.commit(commit)
    }

    fn committed<'a>(&'a self, reader: &'a str) -> StreamAnswer<'a, Vec<Position>> {
        self.inner.committed(reader)
    }

    fn expire(&self, topic: StreamTopic, before: DateTime<Utc>) -> StreamAnswer<'_, u64> {
        self.inner.expire(topic, before)
    }
}

/// A batch of one event in a task of its own.
fn spawn_post(bench: &Bench, router: &str) -> tokio::task::JoinHandle<Answer> {
    let body = batch(&[status(router, 1)]);
    let app = bench.app.clone();
    tokio::spawn(async move {
        Answer::of(app.oneshot(post(&body).body(Body::from(body)).unwrap()).await.unwrap()).await
    })
}

#[tokio::test]
async fn batches_that_wait_together_are_stored_in_one_step() {
    let gated = Gated::new();
    let bench = Bench::new(gated.clone(), Admission::Open).await;
    let first = spawn_post(&bench, "first");
    while gated.appends.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let others: Vec<_> = (0..100).map(|n| spawn_post(&bench, &format!("r{n}"))).collect();
    // Each has run until it waits: this is the only thread.
    tokio::task::yield_now().await;
    gated.permits.add_permits(2);
    assert_eq!(first.await.unwrap().acknowledged(), 1);
    for other in others {
        assert_eq!(other.await.unwrap().acknowledged(), 1);
    }
    assert_eq!(gated.appends.load(Ordering::SeqCst), 2);
    assert_eq!(sequences(&bench.stream, Topic::Status).await.len(), 101);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_gets_429_and_room_comes_back() {
    let gated = Gated::new();
    let bench = Bench::new(gated.clone(), Admission::Open).await;
    let waiting: Vec<_> = (0..2_200).map(|n| spawn_post(&bench, &format!("r{n}"))).collect();
    let (mut taken, mut refused) = (Vec::new(), 0);
    for post in waiting {
        tokio::task::yield_now().await;
        if post.is_finished() {
            let answer = post.await.unwrap();
            assert!(answer.problem(429).contains("Retry-After"));
            assert!((2..=10).contains(&answer.retry_after_s()));
            refused += 1;
        } else {
            taken.push(post);
        }
    }
    assert!(refused > 50 && taken.len() >= 2_048, "{refused} refused, {} taken", taken.len());
    assert_eq!(bench.refused("busy"), refused);
    gated.permits.add_permits(1_000_000);
    let count = taken.len();
    for post in taken {
        assert_eq!(post.await.unwrap().acknowledged(), 1);
    }
    assert_eq!(sequences(&bench.stream, Topic::Status).await.len(), count, "what was refused is not stored");
    assert_eq!(bench.post(&[status("late", 1)]).await.acknowledged(), 1);
}

#[tokio::test]
async fn memory_for_batches_is_bounded() {
    let bench = Bench::open().await;
    let endless = || {
        let request = post([]).header(header::CONTENT_TYPE, BATCH_MEDIA_TYPE);
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.headers.insert(header::CONTENT_LENGTH, BODY_BYTES_MAX.into());
        let never = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        Box::pin(bench.app.clone().oneshot(Request::from_parts(parts, never)))
    };
    let mut waiting = Vec::new();
    let refused = loop {
        let mut request = endless();
        match (&mut request).now_or_never() {
            Some(answer) => break Answer::of(answer.unwrap()).await,
            None => waiting.push(request),
        }
        assert!(waiting.len() < 1_000);
    };
    refused.problem(429);
    assert_eq!(waiting.len(), 128);
    bench.post(&[status("r1", 1)]).await.problem(429);
    waiting.pop();
    assert_eq!(bench.post(&[status("r1", 1)]).await.acknowledged(), 1, "who gives up gives its room back");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let bench = Bench::open().await;
    let never = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let request =
        Request::post("/v1/events").header(header::CONTENT_TYPE, BATCH_MEDIA_TYPE).body(never).unwrap();
    let began = tokio::time::Instant::now();
    bench.send(request).await.problem(408);
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(bench.refused("slow"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_answer_gets_503_and_is_tried_again() {
    let gated = Gated::new();
    let bench = Bench::new(gated.clone(), Admission::Open).await;
    let answer = bench.post(&[status("r1", 1)]).await;
    answer.problem(503);
    assert!((10..=30).contains(&answer.retry_after_s()));
    gated.permits.add_permits(1);
    assert_eq!(bench.post(&[status("r1", 1)]).await.acknowledged(), 1);
}

#[tokio::test]
async fn a_full_disk_gets_503_and_nothing_is_acknowledged_that_is_not_stored() {
    let bench = Bench::new(Arc::new(Memory::with_room(1, 20_000)), Admission::Open).await;
    let mut last = 0;
    let answer = loop {
        let answer = bench.post(&[sample("r1", last + 1), sample("r1", last + 2)]).await;
        if answer.status != StatusCode::OK {
            break answer;
        }
        last += 2;
        assert_eq!(answer.acknowledged(), last);
    };
    let detail = answer.problem(503);
    assert!(detail.contains("disk is full") && !detail.contains("memory"), "no paths: {detail}");
    assert!((10..=30).contains(&answer.retry_after_s()));
    assert!(bench.gateway.ready().unwrap_err().contains("no room"));
    assert_eq!(bench.refused("unavailable"), 1);
    assert_eq!(sequences(&bench.stream, Topic::Samples).await, (1..=last).collect::<Vec<_>>());

    bench.stream.expire(Topic::Samples, Utc::now() + Duration::from_secs(60)).await.unwrap();
    let answer = bench.post(&[sample("r1", last + 1), sample("r1", last + 2)]).await;
    assert_eq!(answer.acknowledged(), last + 2, "the refused batch was not taken for stored");
    bench.gateway.ready().unwrap();
}

/// Waits until the gateway is ready, as one that nobody sends anything to any longer.
async fn until_ready(bench: &Bench) -> Duration {
    let began = tokio::time::Instant::now();
    while bench.gateway.ready().is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "a refusal is held against the stream for ever");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_was_refused_is_sent_to_again_after_a_while() {
    let bench = Bench::new(Arc::new(Memory::with_room(1, 1_000)), Admission::Open).await;
    let large = || [status("r1", 1), status("r1", 2), status("r1", 3)];
    bench.post(&large()).await.problem(503);
    let first = until_ready(&bench).await;
    assert!(first > Duration::ZERO, "it says so before it is asked again");
    // Still so: it counts from the last refusal.
    bench.post(&large()).await.problem(503);
    tokio::time::advance(first / 2).await;
    bench.post(&large()).await.problem(503);
    assert_eq!(until_ready(&bench).await, first);
}
