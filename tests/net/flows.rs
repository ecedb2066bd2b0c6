//! Real packets through the router: flows stay on their link, and the right ones are moved.
//!
//! ```text
//! client ── lan0 [router] wwan1 ── carrier1 ┐
//!                         wwan2 ── carrier2 ┴─ each plays 198.51.100.0/24
//! ```

use super::machine::{is_router, sh};
use super::{bring, carrying, down, lte, network, wanted};

/// Links are veth pairs; the carrier answers for every address, as a point-to-point link would.
const TOPOLOGY: &str = "
    ip netns add client
    ip link add lan0 type veth peer name eth0 netns client
    ip address add 192.168.7.1/24 dev lan0; ip link set lan0 up
    ip -n client link set lo up; ip -n client link set eth0 up
    ip -n client address add 192.168.7.2/24 dev eth0; ip -n client route add default via 192.168.7.1
    sysctl -qw net.ipv4.ip_forward=1
    for i in 1 2; do
        ip netns add carrier$i
        ip link add wwan$i type veth peer name down0 netns carrier$i
        ip -n carrier$i link set lo up; ip -n carrier$i link set down0 mtu 1430 up
        ip -n carrier$i address add 198.51.100.1/24 dev lo
        ip -n carrier$i address add 198.51.100.2/24 dev lo
        ip -n carrier$i route add 10.0.0.0/8 dev down0
        ip netns exec carrier$i sysctl -qw net.ipv4.conf.all.proxy_arp=1 net.ipv4.neigh.down0.proxy_delay=0
    done";

/// UDP flows from the client, one for each source port; nobody listens there.
fn flows(ports: std::ops::Range<u16>) -> String {
    let send =
        |port| format!("echo x | socat -t 0 - UDP4:198.51.100.1:9,sourceport={port} 2>/dev/null || true; ");
    let all: String = ports.map(send).collect();
    format!("ip netns exec client bash -ec '{all}'")
}

/// Lines of `conntrack -L` of flows with that mark.
fn entries(mark: u32) -> Vec<String> {
    let all = sh(&format!("conntrack -L -m {mark:#x}/0xff0000 2>/dev/null"));
    all.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn flows_stay_on_their_link_and_only_those_of_a_dead_link_move() {
    if !is_router("flows::flows_stay_on_their_link_and_only_those_of_a_dead_link_move", &[]) {
        return;
    }
    sh(TOPOLOGY);
    let mut network = network();
    let [one, two] = [lte(1, [10, 64, 0, 2]), lte(2, [10, 65, 0, 2])];
    let both = wanted([carrying(one.clone(), 1), carrying(two.clone(), 1)]);
    bring(&mut network, &both).await;
    sh("ip netns exec client ping -c 2 -i 0.1 -W 2 198.51.100.1");
    sh(&flows(2000..2040));
    let [first, second] = [entries(0x1_0000), entries(0x2_0000)];
    assert!(first.len() > 5 && second.len() > 5, "spread over both: {} and {}", first.len(), second.len());
    assert!(first.iter().all(|line| line.contains("dst=10.64.0.2")), "each has the address of its link");
    assert!(second.iter().all(|line| line.contains("dst=10.65.0.2")));

    // Other weights spread new flows otherwise; those that run stay where they are.
    let heavier = wanted([carrying(one.clone(), 200), carrying(two.clone(), 1)]);
    bring(&mut network, &heavier).await;
    sh(&flows(2000..2040));
    let ports = |lines: &[String]| {
        let port = |line: &String| {
            line.split("sport=").nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_owned)
        };
        let mut ports: Vec<_> = lines.iter().filter(|line| line.contains("udp")).filter_map(port).collect();
        ports.sort();
        ports
    };
    assert_eq!([ports(&entries(0x1_0000)), ports(&entries(0x2_0000))], [ports(&first), ports(&second)]);

    // The first link dies: its flows are forgotten, the others are not touched.
    let left = wanted([down(one.clone()), carrying(two.clone(), 1)]);
    let applied = network.apply(&left).await;
    assert!(applied.moved_routes());
    assert_eq!(network.settle(&left).await, []);
    assert_eq!(entries(0x1_0000), Vec::<String>::new());
    assert_eq!(ports(&entries(0x2_0000)), ports(&second));
    sh(&flows(2000..2040));
    assert_eq!(ports(&entries(0x2_0000)).len(), 40, "all go on over the other link");
    assert!(entries(0x2_0000).iter().all(|line| line.contains("dst=10.65.0.2")));
    sh("ip netns exec client ping -c 2 -i 0.1 -W 2 198.51.100.1");

    // It is back: what runs stays.
    bring(&mut network, &both).await;
    sh(&flows(2000..2040));
    assert_eq!(ports(&entries(0x2_0000)).len(), 40);
}

#[tokio::test]
async fn a_download_through_the_router_survives_stop_and_start() {
    if !is_router("flows::a_download_through_the_router_survives_stop_and_start", &[]) {
        return;
    }
    sh(TOPOLOGY);
    let both = wanted([carrying(lte(1, [10, 64, 0, 2]), 1), carrying(lte(2, [10, 65, 0, 2]), 1)]);
    let mut before = network();
    bring(&mut before, &both).await;
    // Over the link that the main table prefers after the hand-over, whose flows need not move.
    sh("head -c 3000000 /dev/urandom > /run/file
        ip netns exec carrier1 socat TCP4-LISTEN:80,fork,reuseaddr OPEN:/run/file,rdonly </dev/null >/dev/null 2>&1 & disown
        ip netns exec carrier2 socat TCP4-LISTEN:80,fork,reuseaddr OPEN:/run/file,rdonly </dev/null >/dev/null 2>&1 & disown
        for i in 1 2; do until ip netns exec carrier$i ss -Hltn | grep -q :80; do sleep 0.02; done; done
        tc qdisc add dev lan0 root tbf rate 8mbit burst 20kb latency 200ms");
    let mut ports = 3000_u16..;
    let client = loop {
        let port = ports.next().unwrap();
        let mut client = std::process::Command::new("/sbin/ip")
            .args(["netns", "exec", "client", "socat", "-u"])
            .args([format!("TCP4:198.51.100.1:80,sourceport={port}"), "CREATE:/run/got".into()])
            .spawn()
            .unwrap();
        sh("until [ -s /run/got ]; do sleep 0.01; done");
        if entries(0x1_0000).iter().any(|line| line.contains(&format!("sport={port}"))) {
            break client;
        }
        client.kill().unwrap();
        client.wait().unwrap();
        sh("rm /run/got");
    };
    let mut client = client;
    assert_eq!(before.hand_over(&both).await.problems, []);
    drop(before);
    let size = || std::fs::metadata("/run/got").unwrap().len();
    let at_stop = size();
    sh(&format!("until [ $(stat -c %s /run/got) -gt {} ]; do sleep 0.01; done", at_stop + 200_000));
    assert!(size() < 2_500_000, "it runs still");
    let mut next = network();
    bring(&mut next, &both).await;
    assert!(client.wait().unwrap().success());
    sh("cmp /run/file /run/got");
}

#[tokio::test]
async fn a_stranger_who_comes_in_over_one_link_is_answered_there() {
    if !is_router("flows::a_stranger_who_comes_in_over_one_link_is_answered_there", &[]) {
        return;
    }
    sh(TOPOLOGY);
    // The same address on both, so that the source address alone says nothing.
    let same = [10, 0, 0, 2];
    let mut network = network();
    bring(&mut network, &wanted([carrying(lte(1, same), 1), carrying(lte(2, same), 1)])).await;
    for carrier in [1, 2] {
        sh(&format!("ip netns exec carrier{carrier} ping -c 3 -i 0.05 -W 2 -I 198.51.100.2 10.0.0.2"));
    }
    // And probes bound to a link leave there, whether it carries or not.
    for uplinks in [[carrying(lte(1, same), 1), lte(2, same)], [lte(1, same), carrying(lte(2, same), 1)]] {
        bring(&mut network, &wanted(uplinks)).await;
        for link in [1, 2] {
            let sent = || {
                sh(&format!("cat /sys/class/net/wwan{link}/statistics/tx_packets")).parse::<u64>().unwrap()
            };
            let before = sent();
            sh(&format!("ping -c 5 -i 0.02 -W 2 -I wwan{link} 198.51.100.1"));
            assert!(sent() >= before + 5, "wwan{link}");
        }
    }
}
