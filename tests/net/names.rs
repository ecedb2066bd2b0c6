//! DNS servers reach the host in the way that it uses. The host's programs are stand-ins that write down what they are told.

use std::time::{Duration, Instant};

use super::machine::{is_router, sh};
use super::{bring, carrying, down, lte, network, wanted};
use tandem::net::{Problem, Settings, Uplink};

const PATH: (&str, &str) = ("PATH", "/run/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");

/// A host with two links, whose `/etc/resolv.conf` names `server`, and which has `program`.
fn host(server: &str, program: &str) {
    sh("for i in 1 2; do ip tuntap add dev wwan$i mode tun; done; mkdir /run/bin");
    sh(&format!("echo nameserver {server} > /run/etc; mount --bind /run/etc /etc/resolv.conf"));
    std::fs::write(
        format!("/run/bin/{program}"),
        "#!/bin/bash\n{ echo \"$@\"; cat; } >> /run/said; while [ -e /run/slow ]; do sleep 0.02; done; ! [ -e /run/broken ]\n",
    )
    .unwrap();
    sh(&format!("chmod +x /run/bin/{program}"));
}

fn said() -> String {
    let said = sh("touch /run/said; cat /run/said; rm /run/said");
    assert!(!std::path::Path::new("/run/tandem").exists(), "our own file is for hosts without a way");
    said
}

fn links() -> [Uplink; 2] {
    let mut first = lte(1, [10, 64, 0, 2]);
    if let Settings::Up(settings) = &mut first.settings {
        settings.domains = vec!["lte.example.net".into(), "-x".into()];
    }
    [first, lte(2, [10, 65, 0, 2])]
}

#[tokio::test]
async fn a_host_with_resolved() {
    if !is_router("names::a_host_with_resolved", &[PATH]) {
        return;
    }
    host("127.0.0.53", "resolvectl");
    let mut network = network();
    let [one, two] = links();
    bring(&mut network, &wanted([carrying(one.clone(), 1), two.clone()])).await;
    assert_eq!(
        said(),
        "dns wwan1 10.0.0.1\ndomain wwan1 lte.example.net\ndefault-route wwan1 yes\n\
         dns wwan2 10.0.0.2\ndomain wwan2\ndefault-route wwan2 no"
    );
    bring(&mut network, &wanted([carrying(one.clone(), 1), two.clone()])).await;
    assert_eq!(said(), "", "nothing new is not told");
    bring(&mut network, &wanted([down(one.clone()), two.clone()])).await;
    assert_eq!(said(), "revert wwan1");
    network.hand_over(&wanted([one, two])).await;
    assert_eq!(said(), "", "the servers stay at hand-over");
}

#[tokio::test]
async fn a_host_with_resolvconf() {
    if !is_router("names::a_host_with_resolvconf", &[PATH]) {
        return;
    }
    host("192.168.1.1", "resolvconf");
    let mut network = network();
    let [one, two] = links();
    let both = wanted([carrying(one.clone(), 1), two.clone()]);
    sh("touch /run/broken");
    network.apply(&both).await;
    assert!(matches!(network.settle(&both).await.as_slice(), [Problem::Dns(_)]));
    assert_eq!(network.settle(&both).await, [], "told once");
    said();
    sh("rm /run/broken");
    bring(&mut network, &both).await;
    assert_eq!(
        said(),
        "-a wwan1.tandem\nnameserver 10.0.0.1\nsearch lte.example.net\n-a wwan2.tandem\nnameserver 10.0.0.2"
    );
    bring(&mut network, &wanted([down(one), down(two)])).await;
    assert_eq!(said(), "-d wwan1.tandem\n-d wwan2.tandem");
}

#[tokio::test]
async fn a_resolver_that_does_not_answer_keeps_no_switch_waiting() {
    if !is_router("names::a_resolver_that_does_not_answer_keeps_no_switch_waiting", &[PATH]) {
        return;
    }
    host("127.0.0.53", "resolvectl");
    sh("touch /run/slow");
    let mut network = network();
    let [one, two] = links();
    let begun = Instant::now();
    for wanted in [
        wanted([carrying(one.clone(), 1), two.clone()]),
        wanted([one.clone(), carrying(two.clone(), 1)]),
        wanted([down(one.clone()), carrying(two.clone(), 1)]),
    ] {
        bring(&mut network, &wanted).await;
        assert!(sh("ip route get 198.51.100.1").contains("table 7000"));
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}: each waits a second at most", begun.elapsed());
    // It answers again, and learns what holds now.
    sh("rm /run/slow");
    let last = wanted([down(one), carrying(two, 1)]);
    let mut all = String::new();
    while !all.contains("default-route wwan2 yes") {
        assert!(begun.elapsed() < Duration::from_secs(30), "{all}");
        assert_eq!(network.settle(&last).await, []);
        all += &said();
    }
    assert_eq!(network.settle(&last).await, []);
    assert!((all + &said()).contains("revert wwan1"));
}
