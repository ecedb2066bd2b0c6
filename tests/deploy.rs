//! What is delivered for the host: systemd itself reads the units.
#![cfg(all(feature = "agent", feature = "central"))]

use std::path::Path;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd");

#[test]
fn systemd_takes_the_units_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(UNITS).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // The program is not installed where this runs.
        let text = text.replace("/usr/bin/tandem", cargo_bin("tandem").to_str().unwrap());
        names.push(folder.path().join(path.file_name().unwrap()));
        std::fs::write(names.last().unwrap(), text).unwrap();
    }
    assert_eq!(names.len(), 3, "{names:?}");
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&names).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn a_stop_of_the_agent_ends_in_plain_linux_and_takes_no_proxy_with_it() {
    let unit = |name: &str| std::fs::read_to_string(Path::new(UNITS).join(name)).unwrap();
    let agent = unit("tandem-agent.service");
    // Asked to leave first; whatever ended it, the rest is handed over.
    for line in ["KillMode=mixed", "ExecStopPost=/usr/bin/tandem handover", "RuntimeDirectoryPreserve=yes"] {
        assert!(agent.lines().any(|own| own == line), "{line}");
    }
    let wants = agent.lines().find(|line| line.starts_with("Wants=")).unwrap();
    assert!(wants.contains("tandem-qmi-proxy.service"), "{wants}");
    assert!(!unit("tandem-qmi-proxy.service").contains("BindsTo") && !agent.contains("Requires="));
}
