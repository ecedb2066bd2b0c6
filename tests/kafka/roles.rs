//! Central in several processes: what one takes in, another shows.

use std::ffi::OsStr;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;
use tandem::stream::{Kafka, KafkaSettings, Stream as _, Topic, partition_of};

use super::started::{Started, central, start};
use super::{PATIENCE, broker, events, outside};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_somebody_adds_are_told_and_each_router_keeps_its_own() {
    const PARTITIONS: u32 = 2;
    const ROUTERS: u32 = 12;
    let settings = broker::settings(PARTITIONS);
    let parts = ["gateway", "api"].map(|role| Process::start(&settings, role));
    let [gateway, node] = &parts;
    let send = async |sequence| {
        for router in 0..ROUTERS {
            post(gateway, &[events::status_json(&format!("r-{router}"), sequence)]).await;
        }
    };
    send(1).await;
    outside::add_partitions(&settings, Topic::Status, 5).await;
    let deadline = Instant::now() + PATIENCE;
    for part in &parts {
        // It is of use all the same: nobody who asks should send its routers elsewhere.
        let told = async || {
            part.ask("/readyz").await.is_some_and(|said| {
                let warnings = said["warnings"].to_string();
                said["ready"] == true && warnings.contains("tandem.status: partitions is 5, wanted 2")
            })
        };
        while !told().await {
            assert!(Instant::now() < deadline, "{:?}", part.ask("/readyz").await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    send(2).await;
    let counts = async |router| {
        let shown = node.ask(&format!("/v1/routers/r-{router}")).await?;
        let count = |name: &str| shown["completeness"][name].as_u64();
        Some((count("received")?, count("missing")?, count("doubles")?))
    };
    for router in 0..ROUTERS {
        while counts(router).await != Some((2, 0, 0)) {
            assert!(Instant::now() < deadline, "r-{router}: {:?}", counts(router).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let records = outside::kcat_reads(&settings, Topic::Status);
    assert_eq!(records.len() as u32, 2 * ROUTERS);
    for record in records {
        let own = partition_of(record["key"].as_str().unwrap(), PARTITIONS);
        assert_eq!(record["partition"], own, "{}", record["key"]);
    }
}
