//! `tandem central` in a process of its own.

use std::collections::VecDeque;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tandem::stream::KafkaSettings;

use super::started::{Started, central, start};

const LOG_LINES: usize = 30;
const ASK: Duration = Duration::from_secs(20);

/// One that runs.
pub struct Process {
    child: Child,
    role: String,
    /// `http://host:port`.
    pub url: String,
    log: Arc<Mutex<VecDeque<String>>>,
    _data: tempfile::TempDir,
}

impl Process {
    /// Starts one that plays `role` and listens.
    pub fn start(place: &KafkaSettings, role: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let stream = format!(
            "kafka://{}/{}?partitions={}&replication=3",
            place.servers, place.prefix, place.partitions
        );
        let mut command = central(data.path());
        let Started { child, address, lines } = start(command.args(["--role", role, "--stream", &stream]));
        let url = format!("http://{address}");
        let log = Arc::<Mutex<VecDeque<String>>>::default();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines {
                let mut log = kept.lock().unwrap();
                log.push_back(line);
                if log.len() > LOG_LINES {
                    log.pop_front();
                }
            }
        });
        Self { child, role: role.into(), url, log, _data: data }
    }

    /// What it answers; `None` when it does not, or says no.
    pub async fn ask(&self, path: &str) -> Option<Value> {
        let response =
            reqwest::Client::new().get(format!("{}{path}", self.url)).timeout(ASK).send().await.ok()?;
        if response.status().is_success() { response.json().await.ok() } else { None }
    }

    /// What it says of itself, ready or not.
    pub async fn readiness(&self) -> Option<(u16, Value)> {
        let request = reqwest::Client::new().get(format!("{}/readyz", self.url)).timeout(ASK);
        let response = request.send().await.ok()?;
        Some((response.status().as_u16(), response.json().await.ok()?))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells it to stop and waits until it has.
    pub async fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        super::until("it stops when told", async || self.child.try_wait().unwrap().is_some()).await;
    }

    /// Whether it has not ended by itself.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} last said: {:#?}", self.role, self.log.lock().unwrap());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
