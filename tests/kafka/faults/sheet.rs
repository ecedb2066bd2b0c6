//! The run sheet: a line for each case, in a file because what a test prints is seen only when it fails.

use std::fs::File;
use std::io::Write as _;
use std::sync::Once;

use super::namespace;

const FILE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/kafka-faults.tsv");

/// Begins a new one, unless this run has one.
pub fn begin() {
    static BEGUN: Once = Once::new();
    // Within a namespace a test of the same run goes on.
    if !namespace::is_inside() {
        BEGUN.call_once(|| drop(File::create(FILE).unwrap()));
    }
}

/// Adds the line of `case`: counts by name, tab-separated.
pub fn add(case: &str, counts: &[(&str, u64)]) {
    let counts = counts.iter().map(|(name, count)| format!("\t{name}\t{count}"));
    let line = format!("{case}{}\n", counts.collect::<String>());
    print!("{line}");
    File::options().append(true).create(true).open(FILE).unwrap().write_all(line.as_bytes()).unwrap();
}
