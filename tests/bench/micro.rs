//! Figures of single steps, printed one a line: name, value, unit. See `tests/bench/micro`.

mod figure;
mod qmi;
mod spool;

use figure::Bench;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let bench = Bench::new(quick);
    qmi::run(&bench);
    spool::run(&bench);
}
