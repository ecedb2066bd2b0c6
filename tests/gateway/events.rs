//! Events as a router writes them.

pub const EPOCH: &str = "00c0ffee00c0ffee";

/// A status event.
pub fn status(router: &str, sequence: u64) -> String {
    let fields = r#""from":"connecting","to":"connected","cause":"test""#;
    event(router, sequence, "io.tandem.link.changed.v1", fields)
}

/// A sample event.
pub fn sample(router: &str, sequence: u64) -> String {
    let fields = r#""target":"192.0.2.1","interval_ms":60000,"sent":6,"lost":0"#;
    event(router, sequence, "io.tandem.probe.sampled.v1", fields)
}

/// The declaration that `count` events from `first` to `last` are gone.
pub fn dropped(router: &str, sequence: u64, first: u64, last: u64, count: u64) -> String {
    let fields = format!(
        r#""class":"sample","first_sequence":{first},"last_sequence":{last},"count":{count},"cause":"full""#
    );
    event(router, sequence, "io.tandem.spool.dropped.v1", &fields)
}

/// An event whose data lacks what its type must have.
pub fn unreadable(router: &str, sequence: u64) -> String {
    event(router, sequence, "io.tandem.link.changed.v1", r#""from":"connecting""#)
}

fn event(router: &str, sequence: u64, kind: &str, fields: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{EPOCH}-{sequence:020}","source":"/routers/{router}","time":"2026-11-24T00:00:00Z","epoch":"{EPOCH}","sequence":"{sequence:020}","partitionkey":"{router}","type":"{kind}","data":{{"boot_id":"b","uptime_ms":1,"clock":"synced",{fields}}}}}"#
    )
}
