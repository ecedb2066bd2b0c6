//! `tandem demo` as a process of its own, on a port that the system chose.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running demo; ends with the value.
pub struct Demo {
    /// The page's address, without a slash at the end.
    pub url: String,
    /// What it said when it started.
    pub greeting: String,
    child: Child,
}

impl Demo {
    /// Starts one that keeps its things in `data`.
    pub fn start(routers: u16, data: &Path) -> Self {
        Self::start_with(routers, data, &[])
    }

    /// The same with further arguments.
    pub fn start_with(routers: u16, data: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(cargo_bin("tandem"))
            .args(["demo", "--seed", "1", "--listen", "127.0.0.1:0", "--routers", &routers.to_string()])
            .arg("--data")
            .arg(data)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut greeting = String::new();
        // It ends with an empty line.
        while !(greeting.contains("What happens where") && greeting.ends_with("\n\n")) {
            greeting += &lines.next().expect("it says how to go on").unwrap();
            greeting.push('\n');
        }
        let address = greeting.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:"));
        let url = address.expect("it says where the page is").trim_end_matches('/').to_owned();
        // Read on, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Self { url, greeting, child }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ctrl-C; the status with which it ended, and how long that took.
    pub fn interrupt(&mut self) -> (ExitStatus, Duration) {
        interrupt(&mut self.child)
    }
}

/// Ctrl-C for a demo; the status with which it ended, and how long that took.
pub fn interrupt(demo: &mut Child) -> (ExitStatus, Duration) {
    let began = Instant::now();
    kill(Pid::from_raw(demo.id().cast_signed()), Signal::SIGINT).unwrap();
    while began.elapsed() < Duration::from_secs(60) {
        if let Some(status) = demo.try_wait().unwrap() {
            return (status, began.elapsed());
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    panic!("it does not end");
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until `answer` gives something, for `patience` at most.
pub fn until<T>(what: &str, patience: Duration, mut answer: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = answer() {
            return found;
        }
        assert!(began.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

/// The JSON at `url`.
pub fn json(url: &str) -> serde_json::Value {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let response = client.get(url).send().await.unwrap();
        assert!(response.status().is_success(), "{url}: {}", response.status());
        response.json().await.unwrap()
    })
}
