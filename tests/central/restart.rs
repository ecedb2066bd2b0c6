//! Restarts: what a central says at once, and what it takes up.

use chrono::Utc;
use tandem::central::{LIVE_RECORDS, Snapshots};
use tandem::stream::Record;

use super::events::*;
use super::*;

/// `count` status events of each of two routers, one a second each.
fn story(first: u64, count: u64) -> Vec<Record> {
    (first..first + count)
        .flat_map(|n| ["a", "b"].map(|router| (router, n)))
        .map(|(router, n)| {
            let body = if n % 3 == 0 { down() } else { up() };
            record(&event(router, n, Some("lte-dev-1"), body), after_s(n as i64))
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_restart_serves_at_once_and_shows_its_lag_until_it_has_caught_up() {
    let bench = Bench::new().await;
    bench.stream.append(story(1, 10)).await.unwrap();
    bench.fold_all().await;
    let before = bench.json("/v1/routers/a").await;
    let bench = bench.restart().await;
    bench.stream.append(story(11, 3_000)).await.unwrap();

    let at_once = bench.json("/v1/routers/a").await;
    assert_eq!(at_once["links"], before["links"], "the snapshot answers before anything is read");
    assert_eq!(at_once["completeness"]["received"], 10);
    let age_ms = (Utc::now() - after_s(10)).num_milliseconds();
    let lag_ms = at_once["freshness"]["lag_ms"].as_i64().unwrap();
    assert!((lag_ms - age_ms).abs() < 60_000, "{lag_ms} is the age of the last event folded, {age_ms}");
    let ready = bench.get("/readyz").await;
    assert_eq!(ready.status, 503, "views of the past month are no use to an operator");
    let ready: Value = serde_json::from_slice(&ready.body).unwrap();
    assert_eq!((ready["ready"].as_bool(), ready["caught_up"].as_bool()), (Some(false), Some(false)));

    assert!(!bench.central.step().await.unwrap());
    let between = bench.json("/v1/routers/a").await;
    let lag_between = between["freshness"]["lag_ms"].as_i64().unwrap();
    assert!(lag_between < lag_ms && lag_between > 0, "it falls while it catches up");
    bench.fold_all().await;
    let after = bench.json("/v1/routers/a").await;
    assert_eq!(after["freshness"]["lag_ms"], 0);
    assert_eq!(after["completeness"]["received"], 3_010);
    assert_eq!(after["freshness"]["stream_moved_at"], "2026-11-02T08:50:10Z");
    assert_eq!(bench.get("/readyz").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_fold_taken_up_anywhere_counts_each_event_once() {
    let whole = Bench::new().await;
    whole.stream.append(story(1, 200)).await.unwrap();
    whole.fold_all().await;
    for cut in [1, 2, 7, 199] {
        let bench = Bench::new().await;
        bench.stream.append(story(1, cut)).await.unwrap();
        bench.fold_all().await;
        let bench = bench.restart().await;
        bench.stream.append(story(cut + 1, 200 - cut)).await.unwrap();
        bench.fold_all().await;
        // A crash after that: what no snapshot holds is read again.
        let bench = bench.crash().await;
        bench.fold_all().await;
        assert_eq!(bench.told(), whole.told(), "cut after {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_snapshot_is_left_aside_for_the_one_before_it() {
    let sound = Bench::new().await;
    sound.stream.append(story(1, 50)).await.unwrap();
    sound.fold_all().await;
    let told = sound.told();
    let sound = sound.restart().await;
    let latest = sound.snapshots().join("latest.view");
    let bytes = std::fs::read(&latest).unwrap();
    let fleet = sound.central.fleet();
    Snapshots::open(sound.snapshots(), sound.stream.identity())
        .unwrap()
        .write_dated(&fleet.read().unwrap())
        .unwrap();
    drop(fleet);
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 0x40;
    let mut bench = sound;
    for damaged in [&bytes[..bytes.len() - 3], &bytes[..10], b"", b"{}\n", &flipped, &[0xff; 300]] {
        std::fs::write(&latest, damaged).unwrap();
        bench = bench.crash().await;
        assert_eq!(bench.told(), told, "taken from the dated one, nothing folded yet");
    }
    let dated = std::fs::read_dir(bench.snapshots()).unwrap().map(|entry| entry.unwrap().path());
    dated.for_each(|path| std::fs::remove_file(path).unwrap());
    std::fs::write(&latest, &flipped).unwrap();
    let bench = bench.crash().await;
    assert_eq!(bench.central.fleet().read().unwrap().counts().routers, 0);
    bench.fold_all().await;
    assert_eq!(bench.told(), told, "without any it is folded anew");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_another_stream_is_left_aside() {
    let long = Bench::new().await;
    long.stream.append(story(1, 500)).await.unwrap();
    long.fold_all().await;
    long.central.follow(tokio::sync::watch::channel(true).1).await;
    let bench = Bench::take_up(std::sync::Arc::new(tandem::stream::Memory::new(2)), long.folder).await;
    assert_eq!(bench.central.fleet().read().unwrap().counts().routers, 0);
    bench.stream.append(story(1, 2)).await.unwrap();
    bench.fold_all().await;
    assert_eq!(bench.json("/v1/routers/a").await["completeness"]["received"], 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_event_is_passed_over_and_unknown_kinds_count() {
    let bench = Bench::new().await;
    let broken = |value: Option<Vec<u8>>| Record { value, ..story(9, 1).remove(0) };
    let strange = record(&event("a", 2, None, unknown()), after_s(2));
    bench
        .stream
        .append(vec![
            broken(None),
            broken(Some(b"{".to_vec())),
            broken(Some(vec![0xff; 40])),
            story(1, 1).remove(0),
            strange.clone(),
            record(&event("a", 3, Some("lte-dev-1"), down()), after_s(3)),
        ])
        .await
        .unwrap();
    bench.fold_all().await;
    let router = bench.json("/v1/routers/a").await;
    assert_eq!(router["completeness"]["received"], 3);
    assert_eq!(router["completeness"]["missing"], 0, "a kind of a later release leaves no gap");
    assert_eq!(router["links"][0]["state"], "waiting");
    let events = bench.json("/v1/routers/a/events").await;
    let kept = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|told| told["event"]["type"] == "io.tandem.moon.risen.v1");
    assert_eq!(kept.unwrap()["event"]["data"]["phase"], "full", "kept as it came");
}

#[tokio::test(start_paused = true)]
async fn gaps_are_counted_exactly_and_closed_by_late_arrivals() {
    let bench = Bench::new().await;
    let told = |n| record(&event("a", n, Some("lte-dev-1"), signal(-90)), after_s(n as i64));
    bench.stream.append([1, 2, 5, 6, 6, 9].map(told).into()).await.unwrap();
    bench.fold_all().await;
    let router = bench.json("/v1/routers/a").await;
    let completeness = serde_json::json!(
        {"received": 5, "expected": 9, "missing": 4, "dropped": 0, "doubles": 1});
    assert_eq!(router["completeness"], completeness);
    let holes: Vec<_> = router["holes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| (h["first"].as_u64().unwrap(), h["last"].as_u64().unwrap()))
        .collect();
    assert_eq!(holes, [(3, 4), (7, 8)]);
    bench.stream.append([8, 3, 4].map(told).into()).await.unwrap();
    bench.fold_all().await;
    let router = bench.json("/v1/routers/a").await;
    assert_eq!(router["completeness"]["missing"], 1);
    assert_eq!(router["holes"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_router_is_silent_only_while_the_stream_moves() {
    let bench = Bench::new().await;
    let now = Utc::now();
    let ago = |s| now - TimeDelta::seconds(s);
    bench
        .stream
        .append(vec![
            record(&event("quiet", 1, Some("lte-dev-1"), up()), ago(400)),
            record(&event("talks", 1, Some("lte-dev-1"), up()), ago(390)),
        ])
        .await
        .unwrap();
    bench.fold_all().await;
    let states = |fleet: &Value| fleet["states"].clone();
    assert_eq!(
        states(&bench.json("/v1/fleet").await),
        serde_json::json!({"both-up": 2}),
        "the stream stands"
    );
    bench
        .stream
        .append(vec![record(&event("talks", 2, Some("lte-dev-1"), signal(-90)), ago(1))])
        .await
        .unwrap();
    bench.fold_all().await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    bench.fold_all().await;
    assert_eq!(states(&bench.json("/v1/fleet").await), serde_json::json!({"both-up": 1, "silent": 1}));
    let silent = bench.json("/v1/routers?state=silent").await;
    assert_eq!(silent["routers"][0]["name"], "quiet");
    assert_eq!(silent["routers"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn following_writes_snapshots_by_itself_and_sends_each_record_once() {
    let bench = Bench::new().await;
    let mut watcher = bench.central.live().subscribe();
    let (stop, stopped) = watch::channel(false);
    let central = bench.central.clone();
    let following = tokio::spawn(async move { central.follow(stopped).await });
    bench.stream.append(story(1, 100)).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 200 {
        let live = watcher.recv().await.unwrap();
        seen.push((live.0.partition, live.0.offset));
    }
    assert!(watcher.try_recv().is_err());
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 200);
    const { assert!(LIVE_RECORDS > 200) };
    let latest = bench.snapshots().join("latest.view");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(600);
    while !latest.exists() {
        assert!(tokio::time::Instant::now() < deadline, "no snapshot in ten minutes");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let told = bench.told();
    stop.send_replace(true);
    following.await.unwrap();
    assert_eq!(bench.crash().await.told(), told);
}
