//! The shape of `src` is the architecture: a module uses the rows above it in `src/lib.rs`, none beside it
//! and none below; and what is pure names no clock, file, socket or runtime.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules that are pure as a whole. A single file elsewhere says so with a `//! Pure` line of its doc.
const PURE: [&str; 6] = ["event", "at", "config", "qmi", "link", "view"];

/// What pure code must not name. Instants and durations as arguments are fine.
const IMPURE: [&str; 19] = [
    "Instant::now",
    "SystemTime",
    "Utc::now",
    "Local::now",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os",
    "std::process",
    "std::thread",
    "std::env",
    "tokio",
    "nix::",
    "rusqlite",
    "reqwest",
    "axum",
    "tracing::",
    "println!",
    "fastrand::u",
];

#[test]
fn modules_use_only_the_rows_above_them() {
    let rows = rows();
    let mut faults = Vec::new();
    for (module, row) in &rows {
        for file in files(&source().join(module)) {
            let text = code(&file);
            for used in crate_paths(&text) {
                let Some(used_row) = rows.get(&used) else { continue };
                if used != *module && used_row >= row {
                    faults
                        .push(format!("{}: uses crate::{used}, which is not above {module}", file.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn pure_code_names_no_clock_file_socket_or_runtime() {
    let mut faults = Vec::new();
    for file in files(&source()) {
        let module = file.strip_prefix(source()).unwrap().iter().next().unwrap().to_str().unwrap().to_owned();
        let marked = fs::read_to_string(&file).unwrap().lines().any(|line| line.starts_with("//! Pure"));
        if !marked && !PURE.contains(&module.as_str()) {
            continue;
        }
        for (number, line) in code(&file).lines().enumerate() {
            for word in IMPURE {
                if line.contains(word) {
                    faults.push(format!("{}:{}: names {word}", file.display(), number + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_stands_in_a_row_and_says_what_it_is_for() {
    let rows = rows();
    for entry in fs::read_dir(source()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !["lib.rs", "main.rs"].contains(&name.as_str()) {
            assert!(rows.contains_key(&name), "src/{name} stands in no row of src/lib.rs");
        }
    }
    for file in files(&source()) {
        let text = fs::read_to_string(&file).unwrap();
        let is_test = file.file_name().unwrap().to_str().unwrap().contains("tests");
        assert!(text.starts_with("//!") || is_test, "{} has no module doc", file.display());
    }
}

#[test]
fn the_rows_would_catch_an_upward_path() {
    assert_eq!(
        crate_paths("use crate::{event::Body, link};\ncrate::spool::open()"),
        ["event", "link", "spool"]
    );
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Module name to number of its row, the lowest layer first.
fn rows() -> BTreeMap<String, usize> {
    let text = fs::read_to_string(source().join("lib.rs")).unwrap();
    let mut row = 0;
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            row += 1;
        }
        if let Some(name) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            rows.insert(name.to_owned(), row);
        }
    }
    assert!(rows.len() > 10, "src/lib.rs was not read as expected");
    rows
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The file without its comments and without what only its own tests use.
fn code(file: &Path) -> String {
    let is_test_file = file.file_name().is_some_and(|name| name == "tests.rs")
        || file.parent().is_some_and(|folder| folder.ends_with("tests"));
    if is_test_file {
        return String::new();
    }
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// First segments of all `crate::` paths, `crate::{a, b::c}` included.
fn crate_paths(text: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for rest in text.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => found.push(name(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && !c.is_whitespace() => {
                            found.push(name(&group[at..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}
