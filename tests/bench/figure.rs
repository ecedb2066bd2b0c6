//! How a figure is measured and printed.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long to measure.
pub struct Bench {
    time: Duration,
    quick: bool,
}

impl Bench {
    /// Half a second a figure; `quick` only shows that it runs.
    pub fn new(quick: bool) -> Self {
        Self { time: Duration::from_millis(if quick { 5 } else { 500 }), quick }
    }

    /// How long to measure a rate.
    #[cfg(feature = "central")]
    pub fn length(&self) -> Duration {
        self.time
    }

    /// Prints how long one call takes: the best of ten rounds, so that other work on the machine counts least.
    pub fn time<T>(&self, name: &str, mut step: impl FnMut() -> T) {
        let mut best = f64::INFINITY;
        for _ in 0..10 {
            let (start, mut calls) = (Instant::now(), 0_u32);
            while start.elapsed() < self.time / 10 {
                for _ in 0..16 {
                    black_box(step());
                }
                calls += 16;
            }
            best = best.min(start.elapsed().as_secs_f64() / f64::from(calls.max(1)));
        }
        figure(name, best * 1e9, "ns");
    }

    /// Whether only to show that everything runs.
    pub fn quick(&self) -> bool {
        self.quick
    }

    /// Prints how many things a second `step` does; it returns how many it did in one call.
    pub fn rate(&self, name: &str, mut step: impl FnMut() -> u64) {
        let (start, mut done) = (Instant::now(), 0);
        while start.elapsed() < self.time {
            done += step();
        }
        figure(name, done as f64 / start.elapsed().as_secs_f64(), "/s");
    }
}

/// Prints one figure.
pub fn figure(name: &str, value: f64, unit: &str) {
    println!("{name}\t{value:.1}\t{unit}");
}

/// Processor time that this process has used, all threads, in seconds.
#[cfg(feature = "central")]
pub fn cpu_s() -> f64 {
    let usage =
        nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).expect("it cannot fail");
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .sum()
}
