//! The embedded stream: records appended and read a second, and what they cost.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use tandem::stream::{CE_TYPE, Limit, Position, Record, Shared, Sqlite, SqliteSettings, Topic};

use crate::figure::{Bench, cpu_s, figure};

/// Size of the value: that of a signal batch of six samples.
const VALUE_BYTES: usize = 700;

pub fn run(bench: &Bench) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for records in [1, 100, 1_000] {
        let folder = tempfile::tempdir().expect("a folder");
        let stream = open(folder.path());
        let (appended, wall_s, used_s) = runtime.block_on(append(bench, &stream, records));
        figure(&format!("stream.append.sqlite.batch-{records}"), appended / wall_s, "records/s");
        figure(&format!("stream.append.sqlite.batch-{records}.cpu"), used_s / appended * 1e9, "ns/record");
        if records == 1_000 {
            let (read, wall_s) = runtime.block_on(read(&stream));
            figure("stream.read.sqlite", read / wall_s, "records/s");
        }
    }
}

pub fn open(folder: &std::path::Path) -> Shared {
    Arc::new(Sqlite::open(folder, SqliteSettings::default()).expect("a stream"))
}

/// Appends batches one after the other; returns records, seconds, processor seconds.
async fn append(bench: &Bench, stream: &Shared, records: usize) -> (f64, f64, f64) {
    let batch: Vec<Record> = (0..records).map(|n| record(&format!("router-{n}"))).collect();
    let (began, began_cpu_s, mut appended) = (Instant::now(), cpu_s(), 0);
    while began.elapsed() < bench.length() {
        stream.append(batch.clone()).await.expect("room on the disk");
        appended += records;
    }
    (appended as f64, began.elapsed().as_secs_f64(), cpu_s() - began_cpu_s)
}

async fn read(stream: &Shared) -> (f64, f64) {
    let next = stream.bounds(Topic::Samples).await.expect("bounds")[0].next;
    let mut from = Position { topic: Topic::Samples, partition: 0, offset: 0 };
    let began = Instant::now();
    while from.offset < next {
        from.offset = stream.read(from, Limit::default()).await.expect("a batch").next;
    }
    (next as f64, began.elapsed().as_secs_f64())
}

fn record(key: &str) -> Record {
    let headers = vec![(CE_TYPE.into(), "io.tandem.signal.sampled.v1".into())];
    let value = Some(vec![b'x'; VALUE_BYTES]);
    Record { topic: Topic::Samples, key: key.into(), headers, value, time: Utc::now() }
}
