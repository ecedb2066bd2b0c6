//! What others break, what the kernel refuses, what is not installed.

use std::time::Duration;

use super::machine::{is_router, sh};
use super::{bring, carrying, down, lte, network, wanted, with_ipv6};
use tandem::net::kernel::Kernel;
use tandem::net::plan;
use tandem::net::{Hint, Network, Problem, Settings, Wanted};

const TWO_LINKS: &str = "for i in 1 2; do ip tuntap add dev wwan$i mode tun; done";

fn both() -> Wanted {
    wanted([carrying(with_ipv6(lte(1, [10, 64, 0, 2])), 1), carrying(with_ipv6(lte(2, [10, 65, 0, 2])), 1)])
}

/// Everything of ours that the kernel holds.
fn everything() -> String {
    sh("ip rule; ip -6 rule; ip route show table all proto 201; ip -6 route show table all proto 201
        ip -br -4 address; ip -br -6 address show scope global; nft list ruleset; ls /run/tandem && cat /run/tandem/*")
}

#[tokio::test]
async fn what_others_break_is_repaired_and_they_are_heard() {
    if !is_router("faults::what_others_break_is_repaired_and_they_are_heard", &[]) {
        return;
    }
    sh(TWO_LINKS);
    let (mut network, mut monitor) = Network::kernel("/run/tandem/resolv.conf".as_ref()).unwrap();
    bring(&mut network, &both()).await;
    let good = everything();
    for (damage, heard) in [
        ("ip route flush table 7000", Some(Hint::Routes)),
        ("ip -6 route flush proto 201 table main; ip route flush table 7002", Some(Hint::Routes)),
        ("ip rule del priority 7040; ip -6 rule del priority 7000", Some(Hint::Routes)),
        (
            "ip rule flush; ip rule add priority 32766 lookup main; ip rule add priority 32767 lookup default",
            Some(Hint::Routes),
        ),
        ("ip address flush dev wwan1", Some(Hint::Routes)),
        ("ip link set wwan2 down", Some(Hint::Link("wwan2".into()))),
        ("ip link set wwan2 mtu 1300", Some(Hint::Link("wwan2".into()))),
        ("ip address add 192.0.2.9/24 dev wwan1", Some(Hint::Routes)),
        ("nft flush ruleset", Some(Hint::Ruleset)),
        ("nft flush chain inet tandem source_nat", Some(Hint::Ruleset)),
    ] {
        // What is still to be told of the last round.
        while tokio::time::timeout(Duration::from_millis(120), monitor.next()).await.is_ok() {}
        sh(damage);
        let mut hints = Vec::new();
        while let Ok(hint) = tokio::time::timeout(Duration::from_secs(2), monitor.next()).await {
            let is_last = Some(&hint) == heard.as_ref();
            hints.push(hint);
            if is_last {
                break;
            }
        }
        assert!(hints.contains(heard.as_ref().unwrap()), "{damage}: {hints:?}");
        let applied = network.apply(&both()).await;
        assert_eq!(applied.problems, [], "{damage}");
        assert_eq!(network.settle(&both()).await, [], "{damage}");
        assert_eq!(everything(), good, "{damage}");
    }
}

#[tokio::test]
async fn an_interface_that_comes_and_goes_under_our_hands() {
    if !is_router("faults::an_interface_that_comes_and_goes_under_our_hands", &[]) {
        return;
    }
    sh(TWO_LINKS);
    let mut network = network();
    let start = std::time::Instant::now();
    let trouble = std::thread::spawn(move || {
        for _ in 0..60 {
            sh("ip link del wwan2; ip tuntap add dev wwan2 mode tun");
        }
    });
    let mut rounds = 0;
    while !trouble.is_finished() {
        assert!(start.elapsed() < Duration::from_secs(60));
        for round in [both(), wanted([both().uplinks[0].clone(), down(both().uplinks[1].clone())])] {
            network.apply(&round).await;
            rounds += 1;
            // The link that stands carries traffic throughout.
            let route = sh("ip route get 198.51.100.1 fibmatch; ip route get 198.51.100.1 from 10.64.0.2");
            assert!(route.contains("wwan1"), "{route}");
        }
    }
    trouble.join().unwrap();
    assert!(rounds > 10);
    network.apply(&both()).await;
    bring(&mut network, &both()).await;

    // Pulled out: the kernel took its routes along; then the agent learns of it.
    sh("ip link del wwan2");
    let applied = network.apply(&both()).await;
    assert_eq!(applied.problems, [Problem::NoDevice("wwan2".into())]);
    assert!(!sh("ip route show table 7000").contains("wwan2"));
    assert_eq!(network.apply(&both()).await.problems, [], "told once");
    assert_eq!(network.problems(), [Problem::NoDevice("wwan2".into())]);
}

#[tokio::test]
async fn what_is_there_or_gone_already_is_no_fault() {
    if !is_router("faults::what_is_there_or_gone_already_is_no_fault", &[]) {
        return;
    }
    sh(TWO_LINKS);
    let kernel = Kernel::open().unwrap();
    let devices = ["wwan1", "wwan2"];
    let empty = kernel.read(&devices).await.unwrap();
    let there = plan::plan(&both(), &empty).changes;
    assert!(there.len() > 20);
    for _ in 0..2 {
        let (holds, problems) = kernel.carry_out(&there, &empty.links).await;
        assert_eq!((holds, problems), (vec![true; there.len()], vec![]));
    }
    let full = kernel.read(&devices).await.unwrap();
    assert_eq!(plan::plan(&both(), &full).changes, []);
    let gone = plan::plan(&wanted([down(both().uplinks[0].clone()), down(both().uplinks[1].clone())]), &full)
        .changes;
    for _ in 0..2 {
        let (holds, problems) = kernel.carry_out(&gone, &full.links).await;
        assert_eq!((holds, problems), (vec![true; gone.len()], vec![]));
    }
    // Interfaces that went in the meantime take what was on them along.
    sh("for i in 1 2; do ip link del wwan$i; done");
    let (holds, problems) = kernel.carry_out(&gone, &full.links).await;
    assert_eq!((holds, problems), (vec![true; gone.len()], vec![]));
    let (holds, problems) = kernel.carry_out(&there, &full.links).await;
    assert!(!problems.is_empty() && holds.contains(&true) && holds.contains(&false));
}

#[tokio::test]
async fn without_nft_routes_work_and_it_is_said_once() {
    if !is_router("faults::without_nft_routes_work_and_it_is_said_once", &[("PATH", "/nowhere")]) {
        return;
    }
    sh(TWO_LINKS);
    let mut network = network();
    let applied = network.apply(&both()).await;
    assert_eq!(applied.problems, [Problem::Nat("the program nft is not installed".into())]);
    for _ in 0..3 {
        assert_eq!(network.settle(&both()).await, []);
        let again = network.apply(&both()).await;
        assert_eq!((again.changes, again.problems.as_slice()), (0, &[][..]));
    }
    assert!(sh("ip route get 198.51.100.1").contains("table 7000"));
    assert_eq!(network.hand_over(&both()).await.problems, []);
}

#[tokio::test]
async fn without_ipv6_the_rest_works_and_it_is_said_once() {
    if !is_router("faults::without_ipv6_the_rest_works_and_it_is_said_once", &[]) {
        return;
    }
    sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
    sh(TWO_LINKS);
    let mut network = network();
    let applied = network.apply(&both()).await;
    assert_eq!(applied.problems, [Problem::NoIpv6("wwan1".into()), Problem::NoIpv6("wwan2".into())]);
    assert_eq!(network.settle(&both()).await, []);
    assert_eq!((network.apply(&both()).await.changes, network.apply(&both()).await.problems.len()), (0, 0));
    assert!(sh("ip route show table 7000").contains("nexthop dev wwan2"));
    // On one interface alone.
    sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.wwan2.disable_ipv6=1");
    let applied = network.apply(&both()).await;
    assert_eq!(applied.problems, []);
    assert!(sh("ip -6 route show table 7000").contains("dev wwan1"));
    assert_eq!(network.problems(), [Problem::NoIpv6("wwan2".into())]);
}

#[tokio::test]
async fn an_address_changes_without_a_gap() {
    if !is_router("faults::an_address_changes_without_a_gap", &[]) {
        return;
    }
    sh(TWO_LINKS);
    // As some other program may have left it, with an address of the same subnet.
    sh("ip link set wwan1 up; ip address add 10.64.0.1/30 dev wwan1");
    let mut network = network();
    for last in [2, 1, 2] {
        let change = wanted([carrying(lte(1, [10, 64, 0, last]), 1), lte(2, [10, 65, 0, 2])]);
        let listener = std::process::Command::new("/sbin/ip")
            .args(["monitor", "route"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        bring(&mut network, &change).await;
        sh(&format!("kill {}", listener.id()));
        let seen = listener.wait_with_output().unwrap();
        let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
        assert!(!seen.contains("Deleted default"), "{seen}");
        assert_eq!(sh("ip -4 -o address show dev wwan1").lines().count(), 1);
        assert!(sh("ip route get 198.51.100.1").contains(&format!("src 10.64.0.{last}")));
        assert_eq!(sh("ip rule").matches("lookup 7001").count(), 3);
    }
}

#[tokio::test]
async fn two_carriers_hand_out_one_address() {
    if !is_router("faults::two_carriers_hand_out_one_address", &[]) {
        return;
    }
    sh(TWO_LINKS);
    let mut network = network();
    let [one, two] = [lte(1, [10, 0, 0, 2]), lte(2, [10, 0, 0, 2])];
    let route = |what: &str| sh(&format!("ip route get 198.51.100.1 {what}"));
    bring(&mut network, &wanted([carrying(one.clone(), 1), carrying(two.clone(), 1)])).await;
    for number in [1, 2] {
        assert!(route(&format!("oif wwan{number}")).contains(&format!("dev wwan{number} table 700{number}")));
        assert!(
            route(
                &format!("from 10.0.0.2 mark {number}<<16")
                    .replace("1<<16", "0x10000")
                    .replace("2<<16", "0x20000")
            )
            .contains(&format!("dev wwan{number} table 700{number}"))
        );
    }
    assert!(route("from 10.0.0.2").contains("wwan1"));
    bring(&mut network, &wanted([one.clone(), carrying(two.clone(), 1)])).await;
    assert!(route("from 10.0.0.2").contains("wwan2"), "sockets of the address go where traffic goes");
    bring(&mut network, &wanted([down(one), carrying(two, 1)])).await;
    assert!(route("from 10.0.0.2").contains("wwan2"));
    assert!(sh("ip -o address show dev wwan2").contains("10.0.0.2/32"));
    // Of both families.
    let [mut one, mut two] = [with_ipv6(lte(1, [10, 0, 0, 2])), with_ipv6(lte(2, [10, 0, 0, 2]))];
    two.settings = one.settings.clone();
    (one.carries, two.carries) = (Some(1), Some(1));
    bring(&mut network, &wanted([one.clone(), two.clone()])).await;
    let route = |what: &str| sh(&format!("ip route get 2001:db8:99::1 {what}"));
    for number in [1, 2] {
        let way = route(&format!("oif wwan{number}"));
        assert!(way.contains(&format!("dev wwan{number} table 700{number}")), "{way}");
    }
    bring(&mut network, &wanted([down(one), two])).await;
    assert!(route("").contains("dev wwan2") && route("from 2001:db8:1::2").contains("dev wwan2"));
}

const CONFIG: &str = "
[router]
name = \"r\"
[agent]
socket = \"/run/none\"
[[device-interface]]
name = \"lte-dev-1\"
type = \"lte\"
target-interface = \"wwan1\"
lte = { apn-name = \"a\" }
[[device-interface.network-interface]]
name = \"i1\"
source-nat = true
default-route = true
management-vector = { name = \"v1\", priority = 300 }
[[device-interface]]
name = \"lte-dev-2\"
type = \"lte\"
target-interface = \"wwan2\"
lte = { apn-name = \"b\" }
[[device-interface.network-interface]]
name = \"i2\"
";

#[tokio::test]
async fn killed_then_handed_over_by_hand() {
    if !is_router("faults::killed_then_handed_over_by_hand", &[]) {
        return;
    }
    sh(TWO_LINKS);
    std::fs::write("/run/agent.toml", CONFIG).unwrap();
    let tandem = env!("CARGO_BIN_EXE_tandem");
    let handover = format!("{tandem} handover --config /run/agent.toml 2>&1");
    let never_run = sh(&handover);
    assert!(never_run.contains("nothing to do"), "{never_run}");
    // The second link has the route of old.
    let mut both = both();
    both.uplinks[1].handover_metric = Some(128);
    let mut before = network();
    bring(&mut before, &both).await;
    drop(before); // nothing of it outlives the process
    assert!(sh("ip route get 198.51.100.1").contains("table 7000"), "traffic goes on without it");
    let said = sh(&handover);
    assert!(said.contains("route append default dev wwan1 table 254 proto 3 metric 300"), "{said}");
    let left = "default dev wwan2 scope link metric 128\ndefault dev wwan1 scope link metric 300";
    let routes = || sh("ip route").replace(" linkdown", "");
    assert_eq!(routes(), left);
    assert_eq!(sh("ip rule; ip -6 rule").lines().count(), 5);
    assert_eq!(sh("ip route show table all proto 201; ip -6 route show table all proto 201"), "");
    assert_eq!(
        sh("ip -6 route show default"),
        "default dev wwan2 metric 128 linkdown pref medium\ndefault dev wwan1 metric 300 linkdown pref medium"
    );
    assert!(sh("nft list ruleset").contains("masquerade"), "clients keep their NAT");
    assert!(sh(&handover).contains("nothing to do"));
    assert_eq!(routes(), left);
    // A crash in the middle: a route of the main table is missing; and one without configuration.
    bring(&mut network(), &both).await;
    sh("ip -6 route del default dev wwan1 table main");
    sh(&handover);
    assert!(sh("ip -6 route show default").contains("wwan1 metric 300"));
    bring(&mut network(), &both).await;
    let said = sh(&format!("{tandem} handover --config /nowhere 2>&1"));
    assert!(said.contains("cannot read /nowhere"), "{said}");
    assert_eq!(routes(), left);
}

#[tokio::test]
async fn two_links_of_one_metric_and_the_settings_of_the_kernel() {
    if !is_router("faults::two_links_of_one_metric_and_the_settings_of_the_kernel", &[]) {
        return;
    }
    sh(TWO_LINKS);
    sh("sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.wwan1.rp_filter=1");
    let mut legacy = both();
    legacy.uplinks.iter_mut().for_each(|uplink| uplink.handover_metric = Some(128));
    let mut network = network();
    bring(&mut network, &legacy).await;
    let value = |setting: &str| sh(&format!("sysctl -n net.{setting}"));
    assert_eq!(value("ipv4.conf.wwan1.rp_filter") + &value("ipv4.conf.all.rp_filter"), "21");
    assert_eq!(value("ipv4.fib_multipath_hash_policy"), "1");
    assert_eq!(value("ipv6.conf.wwan2.accept_ra"), "0");
    network.hand_over(&legacy).await;
    let left = "default dev wwan1 scope link metric 128\ndefault dev wwan2 scope link metric 128";
    assert_eq!(sh("ip route").replace(" linkdown", ""), left);
    assert_eq!(sh("ip -6 route show default").lines().count(), 2);
    bring(&mut network, &legacy).await;
    assert_eq!(sh("ip route").lines().count(), 2);
    assert_eq!(sh("ip -6 route show default proto 201").lines().count(), 2);
    assert_eq!(sh("cat /run/tandem/resolv.conf | grep -c nameserver"), "2");
    legacy.uplinks[0] = down(legacy.uplinks[0].clone());
    bring(&mut network, &legacy).await;
    assert_eq!(sh("grep nameserver /run/tandem/resolv.conf"), "nameserver 10.0.0.2 # wwan2");
    legacy.uplinks[1].settings = Settings::Unknown;
    network.hand_over(&legacy).await;
    assert!(sh("cat /run/tandem/resolv.conf").contains("10.0.0.2"), "DNS servers stay at hand-over");
}
