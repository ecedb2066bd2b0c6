//! How a figure is measured and printed.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long to measure.
pub struct Bench {
    time: Duration,
}

impl Bench {
    /// Half a second a figure; `quick` only shows that it runs.
    pub fn new(quick: bool) -> Self {
        Self { time: Duration::from_millis(if quick { 5 } else { 500 }) }
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
}

/// Prints one figure.
pub fn figure(name: &str, value: f64, unit: &str) {
    println!("{name}\t{value:.1}\t{unit}");
}
