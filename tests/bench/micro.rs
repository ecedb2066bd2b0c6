//! Figures of single steps, printed one a line: name, value, unit. See `tests/bench/micro`.

mod figure;
#[cfg(feature = "central")]
mod gateway;
mod qmi;
mod spool;
#[cfg(feature = "central")]
mod stream;

use figure::Bench;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let bench = Bench::new(quick);
    qmi::run(&bench);
    spool::run(&bench);
    #[cfg(feature = "central")]
    {
        stream::run(&bench);
        gateway::run(&bench);
    }
}
