//! A node in a process of its own, and what it takes.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tandem::stream::KafkaSettings;

use crate::started::{Started, central, start};

/// Ticks of `/proc/PID/stat`, the same on every Linux.
const TICKS_PER_S: f64 = 100.0;
const LOOK_AGAIN: Duration = Duration::from_millis(5);

pub struct Process {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl Process {
    /// Starts `tandem central` and waits until it listens.
    pub fn start(place: &KafkaSettings, role: &str, data: &Path) -> Self {
        let stream = format!(
            "kafka://{}/{}?partitions={}&replication=1",
            place.servers, place.prefix, place.partitions
        );
        let mut command = central(data);
        let Started { child, address, lines } = start(command.args(["--role", role, "--stream", &stream]));
        std::thread::spawn(move || lines.for_each(drop));
        Self::of(child, &address)
    }

    /// One that listens at `address`.
    pub fn of(child: Child, address: &str) -> Self {
        Self { child, url: format!("http://{address}"), client: reqwest::Client::new() }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it answers, when it does.
    pub async fn ask(&self, path: &str) -> Option<Value> {
        let url = format!("{}{path}", self.url);
        let response = self.client.get(url).timeout(Duration::from_secs(60)).send().await.ok()?;
        if response.status().is_success() { response.json().await.ok() } else { None }
    }

    /// Waits until it tells of a router.
    pub async fn until_it_tells_of_routers(&self, patience: Duration) {
        let tells = |answer: Value| answer["routers"].as_array().is_some_and(|routers| !routers.is_empty());
        let began = Instant::now();
        while !self.ask("/v1/routers").await.is_some_and(tells) {
            assert!(began.elapsed() < patience, "the node answers");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Resident memory, bytes.
    pub fn resident_bytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
    }

    /// Processor time so far, seconds.
    pub fn cpu_s(&self) -> f64 {
        cpu_s(self.child.id())
    }

    /// Tells it to stop, and waits.
    pub fn stop(mut self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a process")), Signal::SIGTERM)
            .expect("it runs");
        self.child.wait().expect("a child");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of a process so far, seconds.
pub fn cpu_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields = stat.rsplit_once(')').expect("a name in brackets").1;
    let ticks = |field: usize| -> f64 {
        fields.split_whitespace().nth(field).and_then(|text| text.parse().ok()).expect("a number")
    };
    (ticks(11) + ticks(12)) / TICKS_PER_S
}
