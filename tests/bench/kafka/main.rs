//! Figures of the stream in Kafka, printed one a line: name, value, unit. See `tests/bench/fold` and `tests/bench/load`.

mod broker;
mod fleet;
mod fold;
mod load;
mod process;
#[path = "../signal.rs"]
mod signal;
#[path = "../../support/started.rs"]
mod started;
mod streams;
mod target;

use std::str::FromStr;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match arguments.first().map(String::as_str) {
        Some("fold") => runtime.block_on(fold::run(&Options(arguments))),
        Some("load") => runtime.block_on(load::run_in_time(&Options(arguments))),
        _ => println!("say fold or load: tests/bench/fold, tests/bench/load"),
    }
}

/// What the command line says.
pub struct Options(Vec<String>);

impl Options {
    /// Whether `--name` is there.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|argument| argument == name)
    }

    /// The value behind `name`.
    pub fn value<T: FromStr>(&self, name: &str) -> Option<T> {
        let at = self.0.iter().position(|argument| argument == name)?;
        let value = self.0.get(at + 1).and_then(|text| text.parse().ok());
        Some(value.unwrap_or_else(|| panic!("{name} wants a value")))
    }
}

/// Prints a figure.
pub fn figure(name: &str, value: f64, unit: &str) {
    println!("{name}\t{value:.2}\t{unit}");
}
