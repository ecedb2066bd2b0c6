//! Kernel uevents arrive, and only the kernel's.
#![cfg(feature = "agent")]

#[path = "support/namespace.rs"]
mod namespace;

use std::process::Command;
use std::time::Duration;

use namespace::in_namespace;
use tandem::modem::hotplug::{Hint, Hotplug};

#[tokio::test]
async fn a_device_that_comes_and_goes_is_a_hint_long_before_the_timer() {
    if !in_namespace("a_device_that_comes_and_goes_is_a_hint_long_before_the_timer") {
        return;
    }
    let mut hotplug = Hotplug::open(Duration::from_secs(3600)).unwrap();
    for arguments in
        [&["link", "add", "wwan7", "type", "veth", "peer", "name", "wwan8"][..], &["link", "del", "wwan7"]]
    {
        let status = Command::new("ip").args(arguments).status().unwrap();
        assert!(status.success());
        let hint = tokio::time::timeout(Duration::from_secs(10), hotplug.next()).await.unwrap();
        let Hint::Uevent(event) = hint else { panic!("{hint:?}") };
        assert_eq!(event.subsystem, "net");
        assert_eq!(event.action, arguments[1].replace("del", "remove"));
    }
}
