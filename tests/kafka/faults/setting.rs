//! A central in several processes, with routers that talk to it.

use std::time::Instant;

use tandem::stream::KafkaSettings;

use super::cluster::Cluster;
use super::judge::{self, Beside, Sheet};
use super::process::Process;
use super::routers::{Routers, Told};
use super::sheet;

/// Partitions of each topic.
pub const PARTITIONS: u32 = 6;

const ROUTERS: usize = 24;
/// Batches of each router before anything breaks, and after it.
pub const SOME: u64 = 5;

/// What runs.
pub struct Setting {
    pub place: KafkaSettings,
    pub gateways: Vec<Process>,
    pub folds: Vec<Process>,
    pub node: Process,
    pub routers: Routers,
    began: Instant,
}

impl Setting {
    /// One gateway, as many folds, one node that serves, and routers that are heard.
    pub async fn start(cluster: &Cluster, folds: usize) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let began = Instant::now();
        let place = cluster.place(PARTITIONS);
        let gateways = vec![Process::start(&place, "gateway")];
        let folds = (0..folds).map(|_| Process::start(&place, "fold")).collect();
        let node = Process::start(&place, "api");
        let routers = Routers::start(ROUTERS, urls(&gateways));
        routers.until_heard(SOME).await;
        Self { place, gateways, folds, node, routers, began }
    }

    /// All of central.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.gateways.iter().chain(&self.folds).chain([&self.node])
    }

    /// A gateway more, instead of those before.
    pub fn another_gateway(&mut self) {
        self.gateways = vec![Process::start(&self.place, "gateway")];
        self.routers.talk_to(urls(&self.gateways));
    }

    /// Lets the routers say some more, and the judge speak; prints the line of the run sheet.
    pub async fn judge(self, case: &str) -> Sheet {
        let (told, node) = self.finish().await;
        told.judge(case, &node, Beside::default()).await
    }

    /// Lets the routers say some more, and stop.
    pub async fn finish(mut self) -> (Finished, Process) {
        self.routers.until_heard(SOME).await;
        let (unanswered, told) = (self.routers.unanswered(), self.routers.stop().await);
        for process in self.folds.iter_mut().chain(&mut self.gateways).chain([&mut self.node]) {
            assert!(process.runs(), "it needs no person");
        }
        let finished =
            Finished { place: self.place, told, unanswered, began: self.began, _folds: self.folds };
        (finished, self.node)
    }
}

/// Routers that have said all; folds that may still fold.
pub struct Finished {
    pub place: KafkaSettings,
    pub told: Vec<Told>,
    unanswered: u64,
    began: Instant,
    _folds: Vec<Process>,
}

impl Finished {
    /// The judge speaks.
    pub async fn judge(&self, case: &str, node: &Process, beside: Beside) -> Sheet {
        let sheet = judge::every_event_counts_once(&self.place, &self.told, &[node], beside).await;
        sheet::add(
            case,
            &[
                ("told", sheet.events),
                ("records", sheet.records),
                ("doubles", sheet.doubles),
                ("counted", sheet.counted),
                ("dead letters", sheet.dead_letters),
                ("unanswered", self.unanswered),
                ("seconds", self.began.elapsed().as_secs()),
            ],
        );
        assert_eq!(sheet.records - sheet.doubles, sheet.events);
        sheet
    }
}

/// Where `processes` listen.
pub fn urls(processes: &[Process]) -> Vec<String> {
    processes.iter().map(|process| process.url.clone()).collect()
}
