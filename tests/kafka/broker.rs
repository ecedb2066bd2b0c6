//! The broker that `tests/run` starts once for a run, and places in it that no other test knows.

use std::sync::atomic::{AtomicU32, Ordering};

use tandem::stream::KafkaSettings;

/// Environment variable with the address: `host:port`.
pub const ADDRESS: &str = "TANDEM_KAFKA";

/// Where the broker listens.
pub fn address() -> String {
    std::env::var(ADDRESS).unwrap_or_else(|_| {
        panic!("{ADDRESS} is not set: `export {ADDRESS}=$(tests/kafka/broker start /tmp/broker)`, or run tests/run")
    })
}

/// A place of its own in the broker.
pub fn settings(partitions: u32) -> KafkaSettings {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    let began_ms = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    format!("kafka://{}/t{began_ms}-{process}-{number}?partitions={partitions}", address()).parse().unwrap()
}
