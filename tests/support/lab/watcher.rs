//! Watches one invariant all the time: the client's traffic has a route while any way out works.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Space;
use super::server::{SERVER, SERVER_V6};

/// How often the router's kernel is asked.
const EVERY: Duration = Duration::from_millis(20);

/// One look: when, and the interface that the kernel would send the client's packets to.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// When.
    pub at: Instant,
    /// `None`: there is no route.
    pub device: Option<String>,
    /// What was answered.
    pub answer: String,
}

/// A thread in the router's namespace that asks the kernel again and again.
pub struct Watcher {
    looks: Arc<Mutex<Vec<Look>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts to look at the client's way to the server over IPv4.
    pub fn start(router: &Space) -> Self {
        Self::start_asking(router, format!("route get {SERVER} from 172.16.0.2 iif lan0"))
    }

    /// The same over IPv6.
    pub fn start_v6(router: &Space) -> Self {
        Self::start_asking(router, format!("-6 route get {SERVER_V6} from fd00:1ab::2 iif lan0"))
    }

    fn start_asking(router: &Space, question: String) -> Self {
        let (looks, stop) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let (log, ended) = (looks.clone(), stop.clone());
        let thread = router.spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let at = Instant::now();
                let answer = ask(&question);
                log.lock().unwrap().push(Look { at, device: device_in(&answer), answer });
                std::thread::sleep(EVERY.saturating_sub(at.elapsed()));
            }
        });
        Self { looks, stop, thread: Some(thread) }
    }

    /// Everything seen so far.
    pub fn looks(&self) -> Vec<Look> {
        self.looks.lock().unwrap().clone()
    }

    /// Longest time without a route since `since`.
    pub fn longest_without_route(&self, since: Instant) -> Duration {
        let looks = self.looks.lock().unwrap();
        let mut longest = Duration::ZERO;
        let mut lost: Option<Instant> = None;
        for look in looks.iter().filter(|look| look.at >= since) {
            match (&look.device, lost) {
                (None, None) => lost = Some(look.at),
                (_, Some(start)) => longest = longest.max(look.at - start),
                (Some(_), None) => {}
            }
            if look.device.is_some() {
                lost = None;
            }
        }
        longest
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the kernel answers, by the router's rules.
fn ask(question: &str) -> String {
    let output = Command::new("ip").args(question.split(' ')).output().unwrap();
    (String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr)).into_owned()
}

/// The interface of the way.
fn device_in(answer: &str) -> Option<String> {
    let mut words = answer.split_whitespace();
    words.find(|word| *word == "dev")?;
    words.next().map(ToOwned::to_owned)
}
