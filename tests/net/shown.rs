//! What `ip` and `nft` show.

use super::machine::{is_router, sh};
use super::{bring, carrying, down, lte, network, wanted, with_ipv6};
use tandem::net::{Settings, Wanted};

const TWO_LINKS: &str = "for i in 1 2; do ip tuntap add dev wwan$i mode tun; done";

/// A wired circuit as a DHCP client leaves it.
const CIRCUIT: &str = "ip link add enp4s0f0 type veth peer name provider; ip link set provider up; ip link set enp4s0f0 up
    ip address add 192.168.1.2/24 dev enp4s0f0; ip route add default via 192.168.1.1 dev enp4s0f0 proto static metric 100";

/// Routes without what depends on the carrier of a TUN device that nobody has opened.
fn ip(arguments: &str) -> String {
    sh(&format!("ip {arguments}"))
        .replace(" linkdown", "")
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

fn design() -> [tandem::net::Uplink; 2] {
    let [mut first, mut second] = [carrying(lte(1, [10, 64, 0, 2]), 1), carrying(lte(2, [10, 65, 0, 2]), 1)];
    first.device = "wwp0s21u1i8".into();
    second.device = "wwp0s21u4i8".into();
    [first, second]
}

#[tokio::test]
async fn before_during_and_after() {
    if !is_router("shown::before_during_and_after", &[]) {
        return;
    }
    sh("for i in 1 4; do ip tuntap add dev wwp0s21u${i}i8 mode tun; done");
    sh(CIRCUIT);
    let before = ip("route");
    assert_eq!(
        before,
        "default via 192.168.1.1 dev enp4s0f0 proto static metric 100\n\
         192.168.1.0/24 dev enp4s0f0 proto kernel scope link src 192.168.1.2"
    );
    let mut network = network();
    let both = wanted(design());
    let applied = bring(&mut network, &both).await;
    assert_eq!(applied.added.len(), 6);
    assert_eq!(
        ip("route"),
        "default via 192.168.1.1 dev enp4s0f0 proto static metric 100\n\
         default dev wwp0s21u1i8 proto 201 scope link metric 300\n\
         default dev wwp0s21u4i8 proto 201 scope link metric 500\n\
         192.168.1.0/24 dev enp4s0f0 proto kernel scope link src 192.168.1.2"
    );
    assert_eq!(
        ip("route show table 7000"),
        "default proto 201 scope link\n\tnexthop dev wwp0s21u1i8 weight 1\n\tnexthop dev wwp0s21u4i8 weight 1"
    );
    assert_eq!(ip("route show table 7001"), "default dev wwp0s21u1i8 proto 201 scope link");
    assert_eq!(
        ip("rule"),
        "0:\tfrom all lookup local\n\
         7000:\tfrom all lookup main suppress_prefixlength 0 proto 201\n\
         7010:\tfrom all oif wwp0s21u1i8 lookup 7001 proto 201\n\
         7010:\tfrom all oif wwp0s21u4i8 lookup 7002 proto 201\n\
         7020:\tfrom all fwmark 0x10000/0xff0000 lookup 7001 proto 201\n\
         7020:\tfrom all fwmark 0x20000/0xff0000 lookup 7002 proto 201\n\
         7030:\tfrom 10.64.0.2 lookup 7001 proto 201\n\
         7030:\tfrom 10.65.0.2 lookup 7002 proto 201\n\
         7040:\tfrom all lookup 7000 proto 201\n\
         32766:\tfrom all lookup main\n\
         32767:\tfrom all lookup default"
    );
    assert_eq!(
        ip("-brief address show dev wwp0s21u1i8")
            .split_whitespace()
            .filter(|word| word.contains('.'))
            .collect::<Vec<_>>(),
        ["10.64.0.2/32"]
    );
    assert!(ip("link show dev wwp0s21u1i8").contains("mtu 1430"));
    let ruleset = sh("nft list ruleset");
    for line in [
        "\t\tiifname \"wwp0s21u1i8\" ct mark & 0x00ff0000 == 0x00000000 ct mark set ct mark & 0xff01ffff | 0x00010000",
        "\t\toifname { \"wwp0s21u1i8\", \"wwp0s21u4i8\" } masquerade",
    ] {
        assert!(ruleset.contains(line), "{line}\n{ruleset}");
    }

    let left = network.hand_over(&both).await;
    assert_eq!((left.problems.as_slice(), left.added.len()), (&[][..], 0));
    let handed_over = "default via 192.168.1.1 dev enp4s0f0 proto static metric 100\n\
        default dev wwp0s21u1i8 scope link metric 300\n\
        default dev wwp0s21u4i8 scope link metric 500\n\
        192.168.1.0/24 dev enp4s0f0 proto kernel scope link src 192.168.1.2";
    assert_eq!(ip("route"), handed_over);
    assert_eq!(ip("rule").lines().count(), 3);
    assert_eq!(ip("route show table all proto 201"), "");
    assert!(ip("address show dev wwp0s21u4i8").contains("inet 10.65.0.2/32"), "addresses stay");

    // The next start, which knows one link before the other.
    let mut next = super::network();
    let mut unknown = both.clone();
    unknown.uplinks[1].settings = Settings::Unknown;
    bring(&mut next, &unknown).await;
    assert!(
        ip("route").contains("default dev wwp0s21u4i8 scope link metric 500"),
        "untouched until it is known"
    );
    for (mark, device) in [("0x10000", "wwp0s21u1i8"), ("0x20000", "wwp0s21u4i8")] {
        let way = ip(&format!("route get 198.51.100.1 mark {mark}"));
        assert!(way.contains(device), "running flows stay on their link, known or not: {way}");
    }
    assert!(
        ip("route get 198.51.100.1").contains("dev wwp0s21u1i8 table 7000"),
        "new ones take what is known"
    );
    let applied = bring(&mut next, &both).await;
    assert!(applied.added.iter().all(|route| route.table != 254), "{:?}", applied.added);
    assert!(ip("route").contains("default dev wwp0s21u4i8 proto 201 scope link metric 500"));
    assert_eq!(ip("route").lines().count(), 4, "nothing stands there twice");
}

#[tokio::test]
async fn a_switch_and_the_way_back() {
    if !is_router("shown::a_switch_and_the_way_back", &[]) {
        return;
    }
    sh(TWO_LINKS);
    let mut network = network();
    let [one, two] = [with_ipv6(lte(1, [10, 64, 0, 2])), with_ipv6(lte(2, [10, 65, 0, 2]))];
    bring(&mut network, &wanted([carrying(one.clone(), 3), carrying(two.clone(), 1)])).await;
    assert_eq!(
        ip("route show table 7000"),
        "default proto 201 scope link\n\tnexthop dev wwan1 weight 3\n\tnexthop dev wwan2 weight 1"
    );
    assert_eq!(
        ip("-6 route show table 7000"),
        "default proto 201 metric 1024 pref medium\n\
         \tnexthop via 2001:db8:1::1 dev wwan1 weight 3 onlink\n\
         \tnexthop via 2001:db8:2::1 dev wwan2 weight 1 onlink"
    );
    assert_eq!(
        ip("-6 route show table main proto 201"),
        "default dev wwan1 metric 300 pref medium\ndefault dev wwan2 metric 500 pref medium"
    );
    assert_eq!(ip("-6 rule").lines().count(), 10);

    let applied = bring(&mut network, &wanted([down(one.clone()), carrying(two.clone(), 1)])).await;
    assert_eq!(
        applied.removed.iter().filter(|route| route.table == 7000).count(),
        2,
        "{:?}",
        applied.removed
    );
    assert_eq!(ip("route show table 7000"), "default dev wwan2 proto 201 scope link");
    assert_eq!(
        ip("-6 route show table 7000"),
        "default via 2001:db8:2::1 dev wwan2 proto 201 metric 1024 onlink pref medium"
    );
    assert_eq!(ip("-4 address show dev wwan1"), "");
    assert!(!ip("rule").contains("7001"));

    // Up again, but quiet: its sockets find their way, traffic does not.
    bring(&mut network, &wanted([one.clone(), carrying(two.clone(), 1)])).await;
    assert!(ip("rule").contains("7010:\tfrom all oif wwan1 lookup 7001"));
    assert!(!ip("rule").contains("fwmark 0x10000"));
    assert!(ip("route get 198.51.100.1 oif wwan1").contains("dev wwan1 table 7001 src 10.64.0.2"));
    assert!(ip("route get 198.51.100.1 from 10.64.0.2").contains("dev wwan1 table 7001"));
    assert!(ip("route get 198.51.100.1").contains("dev wwan2 table 7000 src 10.65.0.2"));
    assert!(ip("route get 198.51.100.1 mark 0x10000").contains("dev wwan2 table 7000"));

    // Nobody carries: the host's own routes are what is left.
    bring(&mut network, &wanted([down(one), down(two)])).await;
    assert_eq!(ip("route show table all proto 201"), "");
    bring(&mut network, &Wanted::default()).await;
    assert_eq!(ip("rule").lines().count(), 3);
    assert_eq!(ip("-6 rule").lines().count(), 2);
    assert_eq!(sh("nft list ruleset"), "");
}

#[tokio::test]
async fn the_hosts_own_routes_and_a_wired_circuit() {
    if !is_router("shown::the_hosts_own_routes_and_a_wired_circuit", &[]) {
        return;
    }
    sh(TWO_LINKS);
    sh(CIRCUIT);
    sh("ip route add 172.16.0.0/12 via 192.168.1.9; ip rule add priority 100 from 203.0.113.7 lookup 99
        ip route add default dev wwan1 metric 4 2>/dev/null || { ip link set wwan1 up; ip route add default dev wwan1 proto static metric 4; }");
    let mut network = network();
    let settings = network.wired("enp4s0f0").await.unwrap();
    let ipv4 = settings.ipv4.clone().unwrap();
    assert_eq!((ipv4.address, ipv4.gateway), ([192, 168, 1, 2].into(), Some([192, 168, 1, 1].into())));
    assert_eq!(network.wired("wwan2").await, None);
    assert_eq!(network.wired("nothing").await, None);
    let circuit = tandem::net::Uplink {
        device: "enp4s0f0".into(),
        name: "wired".into(),
        kind: tandem::config::InterfaceType::Ethernet,
        settings: Settings::Up(settings),
        handover_metric: None,
        ..carrying(lte(3, [0; 4]), 1)
    };
    let foreign = (ip("address show dev enp4s0f0"), ip("route show dev enp4s0f0"));
    bring(&mut network, &wanted([lte(1, [10, 64, 0, 2]), circuit])).await;
    assert_eq!((ip("address show dev enp4s0f0"), ip("route show dev enp4s0f0")), foreign);
    assert!(ip("route").contains("default dev wwan1 proto static scope link metric 4"));
    assert_eq!(ip("route show table 7003"), "default via 192.168.1.1 dev enp4s0f0 proto 201 onlink");
    assert!(ip("route get 198.51.100.1").contains("via 192.168.1.1 dev enp4s0f0 table 7000"));
    assert!(ip("route get 172.16.5.5").contains("via 192.168.1.9 dev enp4s0f0"), "more specific: the host's");
    assert!(
        ip("route get 192.168.1.77 mark 0x10000").contains("dev enp4s0f0"),
        "answers find the local network"
    );
    assert!(ip("rule").contains("100:\tfrom 203.0.113.7 lookup 99"));
    network.hand_over(&wanted([lte(1, [10, 64, 0, 2])])).await;
    assert_eq!((ip("address show dev enp4s0f0"), ip("route show dev enp4s0f0")), foreign);
    assert!(ip("rule").contains("100:\tfrom 203.0.113.7 lookup 99"));
}

#[tokio::test]
async fn of_a_circuits_addresses_the_one_that_stays_and_reaches_the_gateway() {
    if !is_router("shown::of_a_circuits_addresses_the_one_that_stays_and_reaches_the_gateway", &[]) {
        return;
    }
    // Of IPv4 one of another network, a link-local one, the right one, a secondary one; of IPv6 a deprecated one, the right one with
    // a temporary one made for it, and one that nobody has asked about yet.
    sh("ip link add enp4s0f0 type veth peer name provider; ip link set provider up
        sysctl -qw net.ipv6.conf.enp4s0f0.use_tempaddr=2; ip link set enp4s0f0 up
        for address in 10.9.9.1/24 169.254.7.7/16 192.168.1.2/24 192.168.1.3/24; do ip address add $address dev enp4s0f0; done
        ip route add default via 192.168.1.1 dev enp4s0f0 proto dhcp metric 100
        ip address add 2001:db8:5::5/64 dev enp4s0f0 nodad preferred_lft 0
        ip address add 2001:db8:1:0:a8bb:ccff:fedd:ee02/64 dev enp4s0f0 nodad mngtmpaddr valid_lft 3600 preferred_lft 3600
        until ip -6 address show dev enp4s0f0 temporary | grep -q 2001; do sleep 0.02; done
        ip address add 2001:db8:7::9/64 dev enp4s0f0
        ip -6 route add default via fe80::1 dev enp4s0f0 metric 100");
    let settings = network().wired("enp4s0f0").await.unwrap();
    let (ipv4, ipv6) = (settings.ipv4.unwrap(), settings.ipv6.unwrap());
    assert_eq!(
        (ipv4.address, ipv4.prefix_length, ipv4.gateway),
        ([192, 168, 1, 2].into(), 24, Some([192, 168, 1, 1].into()))
    );
    let shown = ip("-6 address show dev enp4s0f0");
    assert_eq!(
        ipv6.address,
        "2001:db8:1:0:a8bb:ccff:fedd:ee02".parse::<std::net::Ipv6Addr>().unwrap(),
        "{shown}"
    );
    assert_eq!(ipv6.gateway, Some("fe80::1".parse().unwrap()));
}

#[tokio::test]
async fn what_is_given_up_keeps_no_address() {
    if !is_router("shown::what_is_given_up_keeps_no_address", &[]) {
        return;
    }
    sh(TWO_LINKS);
    let mut network = network();
    let [one, two] =
        [carrying(with_ipv6(lte(1, [10, 64, 0, 2])), 1), carrying(with_ipv6(lte(2, [10, 65, 0, 2])), 1)];
    bring(&mut network, &wanted([one, two.clone()])).await;
    bring(&mut network, &wanted([two])).await;
    assert_eq!(network.give_up(&["wwan1"]).await, []);
    assert_eq!(network.give_up(&["wwan1", "nothing"]).await, [], "a second time there is nothing left");
    for command in ["-4 address show dev wwan1", "-6 address show dev wwan1 scope global"] {
        assert_eq!(ip(command), "");
    }
    for command in ["rule", "-6 rule", "route show table all", "-6 route show table all"] {
        let shown = ip(command);
        assert!(!shown.contains("7001"), "{shown}");
        assert!(
            shown.lines().filter(|line| line.contains("default")).all(|line| !line.contains("wwan1")),
            "{shown}"
        );
    }
    assert!(!sh("nft list ruleset").contains("wwan1"));
    assert!(ip("-4 address show dev wwan2").contains("10.65.0.2/32"));
}

#[tokio::test]
async fn state_and_counters_of_an_interface() {
    if !is_router("shown::state_and_counters_of_an_interface", &[]) {
        return;
    }
    sh(CIRCUIT);
    sh("ip tuntap add dev wwan1 mode tun; ip link set enp4s0f0 address da:d1:54:e1:4e:54");
    let mut network = network();
    let wired = network.device("enp4s0f0").await.unwrap();
    assert_eq!(wired.mac_address.as_deref(), Some("da:d1:54:e1:4e:54"));
    assert!(wired.admin_up && wired.operational_up);
    assert_eq!((wired.mtu_bytes, wired.speed_bps), (1500, Some(10_000_000_000)));
    let modem = network.device("wwan1").await.unwrap();
    assert_eq!((modem.mac_address, modem.admin_up, modem.operational_up), (None, false, false));
    assert_eq!(network.device("wwan9").await, None);
    sh(
        "ip neigh add 192.168.1.1 lladdr 02:00:00:00:00:01 dev enp4s0f0; ping -c 3 -i 0.01 -W 1 192.168.1.1 || true",
    );
    let after = network.device("enp4s0f0").await.unwrap().counters;
    assert!(after.out_unicast_packets >= wired.counters.out_unicast_packets + 3, "{after:?}");
    assert!(after.out_octets >= wired.counters.out_octets + 3 * 98);
    sh("ip link set provider down");
    assert!(!network.device("enp4s0f0").await.unwrap().operational_up);
}
