//! Batches good and bad, and what is stored and acknowledged of them.

use std::io::Write as _;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use tandem::event::EVENT_MEDIA_TYPE;
use tandem::gateway::{BODY_BYTES_MAX, DECODED_BYTES_MAX, EVENTS_MAX, REASON, ROUTER};
use tandem::stream::{Sqlite, SqliteSettings};

use super::events::{dropped, sample, status, unreadable};
use super::*;

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn packed(bytes: Vec<u8>) -> Request<Body> {
    post(&bytes).header(header::CONTENT_ENCODING, "zstd").body(Body::from(bytes)).unwrap()
}

fn plain(bytes: Vec<u8>) -> Request<Body> {
    post(&bytes).body(Body::from(bytes)).unwrap()
}

#[tokio::test]
async fn events_are_stored_by_class_as_they_came() {
    let bench = Bench::open().await;
    assert_eq!(bench.post(&[status("r1", 1), sample("r1", 2)]).await.acknowledged(), 2);
    let more = batch(&[sample("r1", 3), status("r1", 4)]);
    assert_eq!(bench.send(packed(zstd(more.as_bytes()))).await.acknowledged(), 4);
    let one = Request::post("/v1/events")
        .header(header::CONTENT_TYPE, format!("{EVENT_MEDIA_TYPE}; charset=utf-8"))
        .body(Body::from(format!(" {} ", status("r1", 5))))
        .unwrap();
    assert_eq!(bench.send(one).await.acknowledged(), 5);

    let values = |topic| {
        let stream = Arc::clone(&bench.stream);
        async move {
            let records = stored(&stream, topic).await;
            assert!(records.iter().all(|stored| stored.record.key == "r1"));
            let text = |stored: Stored| String::from_utf8(stored.record.value.unwrap()).unwrap();
            records.into_iter().map(text).collect::<Vec<_>>()
        }
    };
    assert_eq!(values(Topic::Status).await, [status("r1", 1), status("r1", 4), status("r1", 5)]);
    assert_eq!(values(Topic::Samples).await, [sample("r1", 2), sample("r1", 3)]);
    let figures = bench.gateway.figures();
    assert_eq!((figures.batches, figures.status_events, figures.sample_events), (3, 3, 2));
    assert!(figures.packed_bytes < figures.unpacked_bytes);
    bench.gateway.ready().unwrap();
}

#[tokio::test]
async fn bad_events_go_to_the_dead_letters_and_hold_up_nothing() {
    let bench = Bench::new(Arc::new(Memory::new(1)), Admission::Proven(Some(tokens()))).await;
    let elements = [status("r1", 1), unreadable("r1", 2), "{\"specversion\":oops}".into(), status("r1", 4)];
    let request = post(batch(&elements)).header(header::AUTHORIZATION, format!("Bearer {TOKEN_1}"));
    let answer = bench.send(request.body(Body::from(batch(&elements))).unwrap()).await;
    assert_eq!(answer.acknowledged(), 4);
    assert_eq!(sequences(&bench.stream, Topic::Status).await, [1, 4]);
    let letters = stored(&bench.stream, Topic::DeadLetters).await;
    let told: Vec<(&str, &str, &[u8])> = letters
        .iter()
        .map(|stored| &stored.record)
        .map(|record| {
            (record.header(REASON).unwrap(), record.header(ROUTER).unwrap(), record.value.as_deref().unwrap())
        })
        .collect();
    let second_at = 1 + elements[0].len() + 1;
    let third_at = second_at + elements[1].len() + 1;
    assert_eq!(told.len(), 2);
    assert!(told[0].0.starts_with(&format!("element 1 at byte {second_at}: ")), "{}", told[0].0);
    assert!(told[0].0.contains("missing field `to`"), "{}", told[0].0);
    assert!(told[1].0.starts_with(&format!("element 2 at byte {third_at}: ")), "{}", told[1].0);
    assert_eq!((told[0].1, told[0].2), ("r1", elements[1].as_bytes()));
    assert_eq!((told[1].1, told[1].2), ("r1", elements[2].as_bytes()));
    assert_eq!(bench.gateway.figures().dead_letters, 2);
}

#[tokio::test]
async fn an_array_that_does_not_end_is_refused_whole() {
    let bench = Bench::open().await;
    let first = status("r1", 1);
    let body = format!("[{first},{{\"specversion\":\"1.0\",\"id\":");
    let detail = bench.send(plain(body.into())).await.problem(400);
    assert!(detail.contains(&format!("byte {}", first.len() + 2)), "{detail}");
    bench.send(plain(b"\xff\xfe not JSON".into())).await.problem(400);
    bench.send(plain(first.into())).await.problem(400);
    assert!(stored(&bench.stream, Topic::Status).await.is_empty());
    assert!(stored(&bench.stream, Topic::DeadLetters).await.is_empty());
    assert_eq!(bench.refused("malformed"), 3);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_takes_room() {
    let bench = Bench::open().await;
    let bomb = zstd(&vec![b' '; 64 * DECODED_BYTES_MAX]);
    assert!(bomb.len() < BODY_BYTES_MAX / 4, "{} bytes", bomb.len());
    assert!(bench.send(packed(bomb)).await.problem(413).contains("unpacked"));
    // A frame that asks for a window of 128 MiB.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(batch(&[status("r1", 1)]).as_bytes()).unwrap();
    bench.send(packed(encoder.finish().unwrap())).await.problem(400);

    let large = vec![b' '; BODY_BYTES_MAX + 1];
    bench.send(plain(large.clone())).await.problem(413);
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
        large.chunks(65_536).map(|piece| Ok(piece.to_vec())).collect();
    let unannounced = Request::post("/v1/events")
        .header(header::CONTENT_TYPE, BATCH_MEDIA_TYPE)
        .body(Body::from_stream(futures_util::stream::iter(pieces)))
        .unwrap();
    bench.send(unannounced).await.problem(413);

    let many = vec!["1".to_owned(); EVENTS_MAX + 1];
    assert!(bench.post(&many).await.problem(413).contains("events"));
    assert_eq!(bench.refused("too-large"), 4);
    assert!(stored(&bench.stream, Topic::DeadLetters).await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_unpacked_or_is_no_batch_is_refused_with_what_to_send() {
    let bench = Bench::open().await;
    let good = batch(&[status("r1", 1)]).into_bytes();
    bench.send(packed(b"not zstd".to_vec())).await.problem(400);
    let mut cut = zstd(&good);
    cut.truncate(cut.len() - 3);
    assert!(bench.send(packed(cut)).await.problem(400).contains("zstd"));

    for media_type in ["application/json", "text/plain", ""] {
        let request = Request::post("/v1/events").header(header::CONTENT_TYPE, media_type);
        let detail = bench.send(request.body(Body::from(good.clone())).unwrap()).await.problem(415);
        assert!(detail.contains(BATCH_MEDIA_TYPE), "{detail}");
    }
    let gzip = post(&good).header(header::CONTENT_ENCODING, "gzip").body(Body::from(good.clone())).unwrap();
    let answer = bench.send(gzip).await;
    assert!(answer.problem(415).contains("zstd"));
    assert_eq!(answer.headers[header::ACCEPT_ENCODING], "zstd");
    let span = post(&good).header(SPAN_HEADER, "1-2-3").body(Body::from(good.clone())).unwrap();
    assert!(bench.send(span).await.problem(400).contains(SPAN_HEADER));
    assert!(bench.post_span(&[status("r1", 4)], 3, 5).await.problem(400).contains("does not fit"));
    assert!(stored(&bench.stream, Topic::Status).await.is_empty());
}

#[tokio::test]
async fn a_router_must_say_who_it_is_and_speaks_for_itself_only() {
    let bench = Bench::new(Arc::new(Memory::new(1)), Admission::Proven(Some(tokens()))).await;
    let send = |authorization: Option<&str>, router: &str| {
        let body = batch(&[status(router, 1)]);
        let mut request = post(&body);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        bench.send(request.body(Body::from(body)).unwrap())
    };
    for wrong in
        [None, Some("Bearer the-token-of-nobody"), Some("Bearer"), Some("Basic cjE6eA=="), Some(TOKEN_1)]
    {
        let answer = send(wrong, "r1").await;
        assert!(answer.problem(401).contains("token"), "{wrong:?}");
        assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE));
    }
    let detail = send(Some(&format!("Bearer {TOKEN_2}")), "r1").await.problem(403);
    assert!(detail.contains("this is r2") && detail.contains("comes from r1"), "{detail}");
    assert!(stored(&bench.stream, Topic::Status).await.is_empty());
    assert_eq!(send(Some(&format!("bearer {TOKEN_1}")), "r1").await.acknowledged(), 1);
    assert_eq!((bench.refused("unauthorized"), bench.refused("forbidden")), (5, 1));
}

#[tokio::test]
async fn doubles_are_acknowledged_and_not_stored_again() {
    let bench = Bench::open().await;
    let all: Vec<String> = (1..=5).map(|n| status("r1", n)).collect();
    assert_eq!(bench.post(&all[..3]).await.acknowledged(), 3);
    assert_eq!(bench.post(&all[..3]).await.acknowledged(), 3);
    assert_eq!(bench.post(&all).await.acknowledged(), 5);
    assert_eq!(bench.post(&[status("r1", 6), status("r1", 6)]).await.acknowledged(), 6);
    assert_eq!(sequences(&bench.stream, Topic::Status).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(bench.gateway.figures().doubles, 7);
}

#[tokio::test]
async fn a_hole_holds_the_acknowledgement_until_it_is_filled_or_declared() {
    let bench = Bench::open().await;
    assert_eq!(bench.post(&[status("r1", 3), status("r1", 4)]).await.acknowledged(), 0);
    assert_eq!(bench.post(&[status("r1", 1)]).await.acknowledged(), 1);
    assert_eq!(bench.post(&[status("r1", 2)]).await.acknowledged(), 4);
    assert_eq!(bench.post(&[sample("r1", 6), sample("r1", 9)]).await.acknowledged(), 4);
    assert_eq!(bench.post(&[dropped("r1", 10, 5, 8, 3)]).await.acknowledged(), 10);
    assert_eq!(bench.post(&[status("r2", 1)]).await.acknowledged(), 1, "each router has its own");
}

#[tokio::test]
async fn who_vouches_for_its_batch_is_never_held_up() {
    let bench = Bench::open().await;
    // This gateway knows nothing of the first 900, and 903 and 904 were thinned on the router.
    let elements = [status("r1", 901), sample("r1", 902), status("r1", 905)];
    assert_eq!(bench.post_span(&elements, 900, 905).await.acknowledged(), 905);
    assert_eq!(bench.post_span(&[unreadable("r1", 906), "null".into()], 905, 907).await.acknowledged(), 907);
    assert_eq!(bench.post_span(&[], 907, 907).await.acknowledged(), 907);
    assert_eq!(bench.post_span(&elements, 900, 905).await.acknowledged(), 907, "a late repetition");
    assert_eq!(sequences(&bench.stream, Topic::Status).await, [901, 905]);
    assert!(stored(&bench.stream, Topic::Acknowledged).await.is_empty(), "no memory is needed for it");
}

async fn on_disk(folder: &Path) -> Bench {
    let stream = Sqlite::open(folder, SqliteSettings::default()).unwrap();
    Bench::new(Arc::new(stream), Admission::Open).await
}

#[tokio::test]
async fn a_restart_keeps_the_count_and_knows_doubles() {
    let folder = tempfile::tempdir().unwrap();
    let bench = on_disk(folder.path()).await;
    assert_eq!(bench.post(&[status("r1", 1), status("r1", 2)]).await.acknowledged(), 2);
    assert_eq!(bench.post(&[status("r1", 4), status("r1", 7)]).await.acknowledged(), 2);
    let Bench { stream, gateway, app } = bench;
    drop((gateway, app));
    let file = Arc::downgrade(&stream);
    drop(stream);
    while file.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
    let bench = on_disk(folder.path()).await;
    assert_eq!(bench.post(&[status("r1", 4)]).await.acknowledged(), 2);
    assert_eq!(bench.post(&[status("r1", 3)]).await.acknowledged(), 4);
    assert_eq!(bench.post(&[status("r1", 5), status("r1", 6)]).await.acknowledged(), 7);
    assert_eq!(bench.gateway.figures().doubles, 1);
    assert_eq!(sequences(&bench.stream, Topic::Status).await, [1, 2, 4, 7, 3, 5, 6]);
}

#[tokio::test]
async fn a_router_may_go_from_one_gateway_to_another_and_back() {
    let one = Bench::open().await;
    let other = Bench::new(Arc::clone(&one.stream), Admission::Open).await;
    let all: Vec<String> = (1..=40).map(|sequence| status("r1", sequence)).collect();
    for (turn, events) in all.chunks(4).enumerate() {
        let gateway = if turn % 3 == 1 { &other } else { &one };
        let last = 4 * (turn as u64 + 1);
        assert_eq!(gateway.post(events).await.acknowledged(), last, "turn {turn}");
    }
    assert_eq!(other.post(&all[8..12]).await.acknowledged(), 32, "what it knew itself");
    let third = Bench::new(Arc::clone(&one.stream), Admission::Open).await;
    assert_eq!(third.post(&[status("r1", 41)]).await.acknowledged(), 41);
    let stored = sequences(&one.stream, Topic::Status).await;
    assert_eq!(stored, (1..=41).collect::<Vec<_>>(), "each once, in order");
}

#[tokio::test]
async fn a_hole_is_not_stepped_over_whichever_gateway_sees_it() {
    let one = Bench::open().await;
    let other = Bench::new(Arc::clone(&one.stream), Admission::Open).await;
    assert_eq!(one.post(&[status("r1", 1)]).await.acknowledged(), 1);
    assert_eq!(other.post(&[status("r1", 3)]).await.acknowledged(), 1);
    assert_eq!(other.post(&[status("r1", 4)]).await.acknowledged(), 1);
    assert_eq!(other.post(&[status("r1", 2)]).await.acknowledged(), 4);
    assert_eq!(one.post(&[status("r1", 5)]).await.acknowledged(), 5, "what the other one has is known");
}

#[tokio::test(start_paused = true)]
async fn a_router_of_which_nobody_knew_more_is_looked_up_again_after_a_while() {
    let one = Bench::open().await;
    let other = Bench::new(Arc::clone(&one.stream), Admission::Open).await;
    assert_eq!(one.post(&[status("r1", 1)]).await.acknowledged(), 1);
    assert_eq!(one.post(&[status("r1", 3)]).await.acknowledged(), 1, "nobody has the second");
    assert_eq!(other.post(&[status("r1", 2)]).await.acknowledged(), 3);
    // The first one is not told by anybody: it looks, but not for each batch.
    let began = tokio::time::Instant::now();
    let mut answers = vec![one.post(&[status("r1", 3)]).await.acknowledged()];
    while answers.last() != Some(&3) {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{answers:?}");
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        answers.push(one.post(&[status("r1", 3)]).await.acknowledged());
    }
    assert!(
        answers.len() > 1 && answers[..answers.len() - 1].iter().all(|answer| *answer == 1),
        "{answers:?}"
    );
    assert_eq!(one.post(&[status("r1", 4)]).await.acknowledged(), 4);
}

#[tokio::test]
async fn other_methods_and_paths_are_not_ours() {
    let bench = Bench::open().await;
    let get = Request::get("/v1/events").body(Body::empty()).unwrap();
    assert_eq!(bench.send(get).await.status, StatusCode::METHOD_NOT_ALLOWED);
}
