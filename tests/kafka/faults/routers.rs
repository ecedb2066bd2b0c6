//! Routers that tell of their links, send each batch until it is acknowledged, and keep count of what they told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use tandem::event::{
    Acknowledgement, BATCH_MEDIA_TYPE, Body, ClockState, Epoch, Event, LinkChanged, LinkState, Origin,
    SPAN_HEADER, Sequence, Span, TrafficSampled,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::PATIENCE;

const EPOCH: Epoch = Epoch(0x00c0_ffee);
/// Events of a batch, statuses and samples by turns.
const BATCH: u64 = 4;
/// Between two batches of a router.
const PACE: Duration = Duration::from_millis(100);
/// A router takes an answer that does not come for none.
const ANSWER: Duration = Duration::from_secs(4);
const AGAIN: Duration = Duration::from_millis(100);

/// What one router has told: to be found in every view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub name: String,
    /// Events: their sequences run from 1 to here.
    pub events: u64,
    /// Octets of all its traffic samples.
    pub rx_bytes: u64,
    /// What its last status event says.
    pub cause: String,
}

/// Many of them.
pub struct Routers {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<Told>>,
}

struct Shared {
    gateways: Mutex<Vec<String>>,
    acknowledged: Vec<AtomicU64>,
    unanswered: AtomicU64,
    client: reqwest::Client,
}

impl Routers {
    /// As many routers start to talk to `gateways`.
    pub fn start(count: usize, gateways: Vec<String>) -> Self {
        let shared = Arc::new(Shared {
            gateways: Mutex::new(gateways),
            acknowledged: (0..count).map(|_| AtomicU64::new(0)).collect(),
            unanswered: AtomicU64::new(0),
            client: reqwest::Client::new(),
        });
        let (stop, stopped) = watch::channel(false);
        let tasks = (0..count)
            .map(|number| tokio::spawn(Arc::clone(&shared).talk(number, stopped.clone())))
            .collect();
        Self { shared, stop, tasks }
    }

    /// From now on they talk to `gateways`.
    pub fn talk_to(&self, gateways: Vec<String>) {
        *self.shared.gateways.lock().unwrap() = gateways;
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shared.acknowledged.len()
    }

    /// Batches acknowledged to each.
    fn acknowledged(&self) -> Vec<u64> {
        self.shared.acknowledged.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Requests that were not answered, or not well.
    pub fn unanswered(&self) -> u64 {
        self.shared.unanswered.load(Ordering::Relaxed)
    }

    /// Waits until `batches` more of each router are acknowledged.
    pub async fn until_heard(&self, batches: u64) {
        let before = self.acknowledged();
        super::until("every router is heard", async || {
            self.acknowledged().iter().zip(&before).all(|(now, before)| *now >= before + batches)
        })
        .await;
    }

    /// What they have told, once all of it is acknowledged.
    pub async fn stop(self) -> Vec<Told> {
        self.stop.send_replace(true);
        let mut told = Vec::new();
        for task in self.tasks {
            told.push(
                tokio::time::timeout(PATIENCE, task).await.expect("the last batch is acknowledged").unwrap(),
            );
        }
        told
    }
}

impl Shared {
    async fn talk(self: Arc<Self>, number: usize, mut stopped: watch::Receiver<bool>) -> Told {
        let mut told =
            Told { name: format!("router-{number:03}"), events: 0, rx_bytes: 0, cause: String::new() };
        let mut gateway = number;
        while !*stopped.borrow() {
            let first = told.events + 1;
            let events: Vec<String> = (first..first + BATCH).map(|sequence| told.tell(sequence)).collect();
            let span = Span { epoch: EPOCH, after: Sequence(first - 1), last: Sequence(told.events) };
            while !self.send(gateway, &events, span).await {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
                gateway += 1;
                tokio::time::sleep(AGAIN).await;
            }
            self.acknowledged[number].fetch_add(1, Ordering::Relaxed);
            let _ = tokio::time::timeout(PACE, stopped.wait_for(|stop| *stop)).await;
        }
        told
    }

    /// Whether all of `events` is acknowledged.
    async fn send(&self, gateway: usize, events: &[String], span: Span) -> bool {
        let url = {
            let gateways = self.gateways.lock().unwrap();
            format!("{}/v1/events", gateways[gateway % gateways.len()])
        };
        let request = self
            .client
            .post(url)
            .timeout(ANSWER)
            .header("content-type", BATCH_MEDIA_TYPE)
            .header(SPAN_HEADER, span.to_string())
            .body(format!("[{}]", events.join(",")));
        let Ok(response) = request.send().await else { return false };
        match response.json::<Acknowledgement>().await {
            Ok(answer) => (answer.epoch, answer.sequence) == (span.epoch, span.last),
            Err(_) => false,
        }
    }
}

impl Told {
    /// The next event, as JSON.
    fn tell(&mut self, sequence: u64) -> String {
        self.events = sequence;
        let body: Body = if sequence.is_multiple_of(2) {
            self.rx_bytes += sequence;
            TrafficSampled { offset_ms: vec![1_000], rx_bytes: vec![sequence], ..Default::default() }.into()
        } else {
            self.cause = format!("cause {sequence}");
            let (from, to) = (LinkState::Connecting, LinkState::Connected);
            LinkChanged {
                from,
                to,
                cause: self.cause.clone(),
                settings: None,
                adopted: None,
                apn: None,
                correlation_id: None,
            }
            .into()
        };
        let event = Event {
            router: self.name.parse().unwrap(),
            epoch: EPOCH,
            sequence: Sequence(sequence),
            time: Utc::now(),
            subject: Some("lte-dev-1".into()),
            origin: Origin { boot_id: "boot".into(), uptime_ms: sequence * 1_000, clock: ClockState::Synced },
            body,
        };
        String::from_utf8(event.to_json()).unwrap()
    }
}
