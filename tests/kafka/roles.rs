//! Central in several processes: what one takes in, another shows.

use std::ffi::OsStr;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;
use tandem::stream::{Kafka, KafkaSettings, Stream as _, Topic};

use super::started::{Started, central, start};
use super::{PATIENCE, broker, events};

/// A `tandem central` of its own.
pub struct Process {
    child: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Process {
    fn start(settings: &KafkaSettings, role: &str) -> Self {
        Self::start_with(settings, role, &[])
    }

    /// With further arguments.
    pub fn start_with(settings: &KafkaSettings, role: &str, more: &[&OsStr]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let data = tempfile::tempdir().unwrap();
        let stream = format!("kafka://{}/{}", settings.servers, settings.prefix);
        let mut command = central(data.path());
        command.args(["--role", role, "--stream", &stream]);
        command.args(["--kafka-set", &format!("partitions={}", settings.partitions)]).args(more);
        let Started { child, address, lines } = start(&mut command);
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, _data: data }
    }

    pub async fn ask(&self, path: &str) -> Option<Value> {
        let url = format!("http://{}{path}", self.address);
        let response = reqwest::get(url).await.ok()?;
        if response.status().is_success() { response.json().await.ok() } else { None }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn post(gateway: &Process, events: &[String]) {
    let response = reqwest::Client::new()
        .post(format!("http://{}/v1/events", gateway.address))
        .header("content-type", "application/cloudevents-batch+json")
        .body(format!("[{}]", events.join(",")))
        .send()
        .await
        .unwrap();
    assert!(response.status().is_success(), "{}", response.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_gateway_takes_every_node_shows() {
    let settings = broker::settings(4);
    let gateways = [Process::start(&settings, "gateway"), Process::start(&settings, "gateway")];
    let _folds = [Process::start(&settings, "fold"), Process::start(&settings, "fold")];
    let nodes = [Process::start(&settings, "api"), Process::start(&settings, "api")];
    for (router, gateway) in [("r-1", &gateways[0]), ("r-2", &gateways[1]), ("r-3", &gateways[0])] {
        post(gateway, &[events::status_json(router, 1), events::status_json(router, 2)]).await;
    }
    let shows = |node: Value| node["routers"].as_u64() == Some(3) && node["freshness"]["lag_ms"] == 0;
    let deadline = Instant::now() + PATIENCE;
    for node in &nodes {
        while !node.ask("/v1/fleet").await.is_some_and(shows) {
            assert!(Instant::now() < deadline, "{:?}", node.ask("/v1/fleet").await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(node.ask("/v1/routers/r-2/events").await.unwrap()["events"].as_array().unwrap().len() == 2);
    }
    assert!(gateways[0].ask("/v1/fleet").await.is_none(), "a gateway serves no views");
    assert!(gateways[0].ask("/readyz").await.unwrap()["ready"].as_bool().unwrap());

    // What the folds left is where the next node begins.
    let stream = Kafka::open(settings.clone()).await.unwrap();
    while stream.bounds(Topic::State).await.unwrap().iter().all(|bounds| bounds.next == 0) {
        assert!(Instant::now() < deadline, "no fold wrote state");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
