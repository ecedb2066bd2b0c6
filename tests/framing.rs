//! Raw-ip on both sides: the simulated modem's, and the kernel's of an interface in a namespace of its own that is up.
#![cfg(all(feature = "agent", feature = "central"))]

#[path = "support/namespace.rs"]
mod namespace;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use tandem::modem::driver::{Driver, OpenOptions};
use tandem::modem::port::Port;
use tandem::modem::sysfs::Slot;
use tandem::sim::modem::Settings;
use tandem::sim::port::SimModem;
use tandem::sim::scenario::Scenario;

/// The one interface that every namespace has.
const NETDEV: &str = "lo";

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
}

/// A folder that shows the interface as the kernel has it, and its framing as not switched yet.
fn shown(sysfs: &Path) {
    let folder = sysfs.join("class/net").join(NETDEV);
    fs::create_dir_all(folder.join("qmi")).unwrap();
    fs::write(folder.join("qmi/raw_ip"), "N\n").unwrap();
    let output = Command::new("ip").args(["-json", "link", "show", NETDEV]).output().unwrap();
    let links: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    fs::write(folder.join("ifindex"), format!("{}\n", links[0]["ifindex"])).unwrap();
    let up = links[0]["flags"].as_array().unwrap().contains(&"UP".into());
    fs::write(folder.join("flags"), if up { "0x1003\n" } else { "0x1002\n" }).unwrap();
}

/// How `ip monitor` marks the interface at the head of what it tells.
fn marked() -> String {
    format!(": {NETDEV}: ")
}

fn is_up() -> bool {
    let output = Command::new("ip").args(["-json", "link", "show", NETDEV]).output().unwrap();
    let links: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    links[0]["flags"].as_array().unwrap().contains(&"UP".into())
}

#[tokio::test]
async fn an_interface_that_is_up_is_taken_down_for_its_framing_and_up_again() {
    if !namespace::in_namespace("an_interface_that_is_up_is_taken_down_for_its_framing_and_up_again") {
        return;
    }
    ip(&["link", "set", NETDEV, "up"]);
    let sysfs = tempfile::tempdir().unwrap();
    shown(sysfs.path());
    let mut monitor = Command::new("ip").args(["monitor", "link"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(monitor.stdout.take().unwrap()).lines().map(Result::unwrap);
    // Once the monitor tells of something, it listens.
    let listens = loop {
        ip(&["link", "set", NETDEV, "mtu", "1400"]);
        ip(&["link", "set", NETDEV, "mtu", "1500"]);
        if let Some(line) = told.next() {
            break line;
        }
    };
    assert!(listens.contains(&marked()), "{listens}");

    let sim = SimModem::in_memory(Settings { seed: 3, scenario: Scenario::default(), trace: None });
    let slot = Slot::by_path(NETDEV, Path::new("/dev/cdc-wdm0"), Vec::new());
    let port = Port::from_stream(&slot.control, sim.open_control().unwrap(), false);
    let (driver, _notices) = Driver::over(port, &slot, &OpenOptions::default()).await.unwrap();
    driver.agree_raw_ip(sysfs.path()).await.unwrap();
    assert!(sim.inspect(|modem| modem.is_raw_ip()));
    let file = sysfs.path().join("class/net").join(NETDEV).join("qmi/raw_ip");
    assert_eq!(fs::read_to_string(file).unwrap().trim(), "Y");
    assert!(is_up(), "it is up again");
    let down = told.find(|line| line.contains(&marked()) && !line.contains(",UP")).unwrap();
    assert!(down.contains("state DOWN"), "{down}");
    monitor.kill().unwrap();
    monitor.wait().unwrap();
}
