//! Figures of single steps, printed one a line: name, value, unit. See `tests/bench/micro`.

mod figure;
#[cfg(feature = "central")]
mod fold;
#[cfg(feature = "central")]
mod gateway;
mod qmi;
#[cfg(feature = "central")]
mod signal;
mod spool;
#[cfg(feature = "central")]
mod stream;

use figure::Bench;

type Part = fn(&Bench);

fn main() {
    let asked = |name: &str| std::env::args().any(|argument| argument == name);
    let bench = Bench::new(asked("--quick"));
    let parts: &[(&str, Part)] = &[
        ("qmi", qmi::run),
        ("spool", spool::run),
        #[cfg(feature = "central")]
        ("stream", stream::run),
        #[cfg(feature = "central")]
        ("gateway", gateway::run),
        #[cfg(feature = "central")]
        ("fold", fold::run),
    ];
    let chosen = parts.iter().any(|(name, _)| asked(name));
    for (name, run) in parts {
        if !chosen || asked(name) {
            run(&bench);
        }
    }
}
