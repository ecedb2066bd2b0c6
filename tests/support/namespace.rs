//! Tests that need a network namespace run themselves again in one: abstract sockets and network interfaces are private there.

#![allow(dead_code)] // each program uses its part

use std::path::Path;
use std::process::Command;

/// Set in the process that has the namespace.
const INSIDE: &str = "TANDEM_TEST_NAMESPACE";

/// Whether this process has namespaces of its own.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// A command that runs `program` in new namespaces.
pub fn command(program: &Path) -> Command {
    let is_root = nix::unistd::geteuid().is_root();
    let mut command = Command::new("unshare");
    // With process ids of its own, so that whatever was started ends with it, and with mounts of its own, so that what it
    // makes under /run is seen by nobody else.
    command.args([if is_root { "-nmpf" } else { "-rnmpf" }, "--mount-proc", "--kill-child"]);
    command.arg(program).env(INSIDE, "1");
    command
}

/// Runs `test` (its own name) in a new network namespace; inside it says true.
pub fn in_namespace(test: &str) -> bool {
    if is_inside() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let arguments = [test, "--exact", "--nocapture", "--test-threads=1"];
    let output = command(&program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    print!("{text}");
    false
}
