//! The stream lets go of what it keeps no longer, and the views stay right.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tandem::stream::{Kept, Memory, Record, Sqlite, SqliteSettings, Topic};

use super::events::*;
use super::*;

fn days_ago(days: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::days(days)
}

/// A router that told `samples` samples, an hour apart, the last of them an hour ago.
fn life(samples: u64) -> Vec<Record> {
    let first = Utc::now() - TimeDelta::hours(samples as i64);
    let mut records = vec![record(&event("a", 1, Some("lte-dev-1"), up()), first)];
    records.extend((0..samples).map(|n| {
        let event = event("a", n + 2, Some("lte-dev-1"), signal(-90 - (n % 20) as i16));
        record(&event, first + TimeDelta::hours(n as i64))
    }));
    records
}

async fn counts(stream: &Shared, topic: Topic) -> u64 {
    stream.bounds(topic).await.unwrap().iter().map(|bounds| bounds.next - bounds.first).sum()
}

async fn old_samples_go_and_the_views_stay(stream: Shared) {
    let bench = Bench::over(stream).await;
    bench.stream.append(life(240)).await.unwrap();
    assert_eq!(bench.central.expire(Utc::now()).await.unwrap(), 0, "nothing goes that is not folded yet");
    bench.fold_all().await;
    let told = bench.told();
    let gone = bench.central.expire(Utc::now()).await.unwrap();
    assert!((71..=73).contains(&gone), "ten days are there, seven are kept: {gone}");
    assert_eq!(counts(&bench.stream, Topic::Samples).await, 240 - gone);
    assert_eq!(counts(&bench.stream, Topic::Status).await, 1, "status is kept for a year and more");
    assert_eq!(bench.central.expire(Utc::now()).await.unwrap(), 0);

    assert_eq!(bench.told(), told);
    let bench = bench.restart().await;
    bench.fold_all().await;
    assert_eq!(bench.told(), told);
    // Without the latest snapshot the hourly ones still know what is gone from the stream.
    std::fs::remove_file(bench.snapshots().join("latest.view")).unwrap();
    let bench = bench.crash().await;
    bench.fold_all().await;
    assert_eq!(bench.told(), told);
    assert_eq!(bench.json("/v1/routers/a").await["completeness"]["missing"], 0);

    let past = bench.central.as_of(days_ago(2)).await.unwrap();
    assert_eq!(past.freshness.samples_as_of, None, "they are still there");
    assert_eq!(past.router("a").unwrap().completeness().missing, 0);
    let time = days_ago(9).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let past = bench.json(&format!("/v1/routers/a?as_of={time}")).await;
    let samples_as_of: DateTime<Utc> =
        past["freshness"]["samples_as_of"].as_str().expect("it says that samples are gone").parse().unwrap();
    assert!(samples_as_of <= days_ago(9));
    assert_eq!(past["links"][0]["state"], "connected");
    assert_eq!(past["completeness"], Value::Null, "nobody can tell any more");
}

#[tokio::test(start_paused = true)]
async fn old_samples_go_from_memory_and_the_views_stay() {
    old_samples_go_and_the_views_stay(Arc::new(Memory::new(2))).await;
}

#[tokio::test(start_paused = true)]
async fn old_samples_go_from_the_file_and_the_views_stay() {
    let folder = tempfile::tempdir().unwrap();
    old_samples_go_and_the_views_stay(Arc::new(
        Sqlite::open(folder.path(), SqliteSettings::default()).unwrap(),
    ))
    .await;
}

#[tokio::test(start_paused = true)]
async fn every_topic_is_kept_as_long_as_it_says_and_no_longer() {
    let bench = Bench::new().await;
    bench.fold_all().await;
    for topic in Topic::ALL {
        let (Kept::For(kept) | Kept::Latest { tombstone: kept }) = topic.kept();
        let kept = TimeDelta::from_std(kept).unwrap();
        let value = (!topic.is_compacted()).then(|| b"{}".to_vec());
        let old = |key: &str, age| Record {
            topic,
            key: key.into(),
            headers: Vec::new(),
            value: value.clone(),
            time: Utc::now() - age,
        };
        let minute = TimeDelta::minutes(1);
        bench.stream.append(vec![old("over", kept + minute), old("kept", kept - minute)]).await.unwrap();
        if topic.is_compacted() {
            let living = Record { value: Some(b"{}".to_vec()), ..old("living", kept * 9) };
            bench.stream.append(vec![living]).await.unwrap();
        }
    }
    assert_eq!(bench.central.expire(Utc::now()).await.unwrap(), Topic::ALL.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn following_expires_by_itself() {
    let bench = Bench::new().await;
    bench.stream.append(life(240)).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let central = bench.central.clone();
    let following = tokio::spawn(async move { central.follow(stopped).await });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3600);
    while counts(&bench.stream, Topic::Samples).await > 170 {
        assert!(tokio::time::Instant::now() < deadline, "nothing expired in an hour");
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    stop.send_replace(true);
    following.await.unwrap();
    assert_eq!(bench.json("/v1/routers/a").await["completeness"]["received"], 241);
}
