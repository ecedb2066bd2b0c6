//! Tests that need a router of their own run themselves again as one: network, processes, mounts and `/run` are private there, so
//! that `ip netns` names, routes, rules and rulesets are nobody else's, and all of it ends with the test.

use std::process::Command;

/// Set in the process that is the router.
const INSIDE: &str = "TANDEM_TEST_MACHINE";

/// Runs `test` (its own name) as a router of its own, with `environment`; inside it says true.
pub fn is_router(test: &str, environment: &[(&str, &str)]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        sh("mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys && mkdir /run/netns && ip link set lo up");
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new("/usr/bin/unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(program)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{errors}");
    println!("{text}");
    false
}

/// What a shell says to `commands`; they must succeed, within a minute.
pub fn sh(commands: &str) -> String {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let output = Command::new("/usr/bin/timeout")
        .args(["60", "/bin/bash", "-ec", commands])
        .env("PATH", path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{commands}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    // Columns of `ip` end in blanks.
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
