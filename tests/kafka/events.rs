//! Events as a router writes them, and records as a gateway makes them of them.

use chrono::Utc;
use tandem::stream::{CE_TYPE, Record, Topic};

pub const EPOCH: &str = "00c0ffee00c0ffee";
pub const STATUS: &str = "io.tandem.link.changed.v1";
pub const SAMPLE: &str = "io.tandem.probe.sampled.v1";

/// A status event as JSON.
pub fn status_json(router: &str, sequence: u64) -> String {
    json(router, sequence, STATUS, r#""from":"connecting","to":"connected","cause":"test""#)
}

/// A status event as a record.
pub fn status(router: &str, sequence: u64) -> Record {
    record(Topic::Status, router, STATUS, status_json(router, sequence))
}

/// A sample event as a record.
pub fn sample(router: &str, sequence: u64) -> Record {
    let fields = r#""target":"192.0.2.1","interval_ms":60000,"sent":6,"lost":0"#;
    record(Topic::Samples, router, SAMPLE, json(router, sequence, SAMPLE, fields))
}

fn record(topic: Topic, router: &str, kind: &str, json: String) -> Record {
    let headers = vec![(CE_TYPE.into(), kind.into())];
    Record { topic, key: router.into(), headers, value: Some(json.into()), time: Utc::now() }
}

fn json(router: &str, sequence: u64, kind: &str, fields: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{EPOCH}-{sequence:020}","source":"/routers/{router}","subject":"lte-dev-1","time":"2026-11-24T00:00:00Z","epoch":"{EPOCH}","sequence":"{sequence:020}","partitionkey":"{router}","type":"{kind}","data":{{"boot_id":"b","uptime_ms":1,"clock":"synced",{fields}}}}}"#
    )
}
