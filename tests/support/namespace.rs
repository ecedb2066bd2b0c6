//! Tests that need a network namespace run themselves again in one: abstract sockets and network interfaces are private there.

use std::process::Command;

/// Set in the process that has the namespace.
const INSIDE: &str = "TANDEM_TEST_NAMESPACE";

/// Runs `test` (its own name) in a new network namespace; inside it says true.
pub fn in_namespace(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    let output = Command::new("unshare")
        // With process ids of its own, so that the proxy that was started ends with the test.
        .args([if is_root { "-npf" } else { "-rnpf" }, "--kill-child"])
        .arg(program)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}
