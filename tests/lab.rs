//! The laboratory itself, with plain Linux commands in place of the agent: what is proven elsewhere is worth what this
//! proves.
#![cfg(all(feature = "agent", feature = "central"))]

#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/namespace.rs"]
mod namespace;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use lab::server::{NAME_SERVER, SERVER};
use lab::traffic::{Download, Ping, UdpStream, ask_once};
use lab::watcher::Watcher;
use lab::{Lab, NETDEVS, Options, SEEN, WIRED, within};
use namespace::in_namespace;
use tandem::event::IpFamily;
use tandem::link::words::Profile;
use tandem::modem::driver::{Call, Driver, Notices, OpenOptions};
use tandem::modem::sysfs::discover;
use tandem::sim::impairment::{Direction, Impairment};
use tandem::sim::modem::{Modem, Registration};
use tandem::sim::scenario::Fault;

const SOON: Duration = Duration::from_secs(5);
const NOT: Duration = Duration::from_millis(300);

/// What the agent would do, by hand: a session, its address on the interface, a default route, source NAT.
struct ByHand {
    _driver: Driver,
    _notices: Notices,
    address: Ipv4Addr,
}

async fn by_hand(lab: &Lab, index: usize) -> ByHand {
    let mut slot = discover(&lab.tree.sys()).slot(NETDEVS[index]).unwrap();
    slot.control = lab.tree.dev().join(slot.control.file_name().unwrap());
    let options = OpenOptions { state: Some(lab.path("state")), ..OpenOptions::default() };
    let (driver, notices) = Driver::open(&slot, &options).await.unwrap();
    driver.agree_raw_ip(&lab.tree.sys()).await.unwrap();
    driver.ensure_online().await.unwrap();
    let modem = &lab.links[index].modem;
    within(SOON, "registered", || {
        (modem.inspect(Modem::registration) == Registration::Registered).then_some(())
    })
    .await;
    let profile = Profile { apn_name: "broadband".into(), index: None, authentication: None };
    driver.connect(Call { family: IpFamily::Ipv4, profile: &profile }).await.unwrap();
    let address = modem.inspect(|modem| modem.sessions()[0].settings.ipv4);
    lab.router.ip(&format!(
        "link set {0} up\naddr replace {address}/32 dev {0}\nroute replace default dev {0} metric {1}",
        NETDEVS[index],
        300 + index
    ));
    lab.router.nft("table inet nat { chain out { type nat hook postrouting priority 100; oifname != lan0 masquerade; }; }");
    lab.router.sysctl(&[(&format!("net/ipv4/conf/{}/rp_filter", NETDEVS[index]), "2")]);
    ByHand { _driver: driver, _notices: notices, address }
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_pass_while_the_modem_has_a_session_for_them() {
    if !in_namespace("packets_pass_while_the_modem_has_a_session_for_them") {
        return;
    }
    let lab = Lab::new(&Options { wired: true, ..Options::default() });
    lab.router.nft("table inet nat { chain out { type nat hook postrouting priority 100; oifname != lan0 masquerade; }; }");
    assert_eq!(ask_once(&lab.client, SOON).await, Some(SEEN[2]), "by the circuit");
    lab.router.ip(&format!("link set {WIRED} down"));
    assert_eq!(ask_once(&lab.client, NOT).await, None);

    let first = by_hand(&lab, 0).await;
    assert_eq!(ask_once(&lab.client, SOON).await, Some(SEEN[0]), "by the first link");
    lab.client.ask(&format!("ping -c 1 -W 5 {NAME_SERVER}"));
    let download = Download::start(&lab.client, 1_000_000, usize::MAX);
    within(SOON, "the download ends", || download.progress().complete.filter(|complete| *complete)).await;

    // A packet with an address that the carrier did not hand out gets nowhere.
    let strangers = lab.links[0].carrier.counts().strangers;
    lab.router
        .ip(&format!("addr replace 10.9.9.9/32 dev {0}\naddr del {1}/32 dev {0}", NETDEVS[0], first.address));
    assert_eq!(ask_once(&lab.client, NOT).await, None);
    assert!(lab.links[0].carrier.counts().strangers > strangers);
    lab.router
        .ip(&format!("addr replace {1}/32 dev {0}\naddr del 10.9.9.9/32 dev {0}", NETDEVS[0], first.address));
    assert_eq!(ask_once(&lab.client, SOON).await, Some(SEEN[0]));

    lab.begin(0, &Fault::PdnDropped { r#type: 6, code: 36, indication: true });
    assert_eq!(ask_once(&lab.client, NOT).await, None, "no session, no way");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_carriers_may_hand_out_one_address() {
    if !in_namespace("both_carriers_may_hand_out_one_address") {
        return;
    }
    let address = Ipv4Addr::new(10, 64, 0, 2);
    let lab = Lab::new(&Options { addresses: [Some(address); 2], ..Options::default() });
    let hands = [by_hand(&lab, 0).await, by_hand(&lab, 1).await];
    assert!(hands.iter().all(|hand| hand.address == address));
    assert_eq!(ask_once(&lab.client, SOON).await, Some(SEEN[0]));
    lab.router.ip(&format!("route del default dev {} metric 300", NETDEVS[0]));
    assert_eq!(ask_once(&lab.client, SOON).await, Some(SEEN[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_can_be_late_lossy_or_dead_and_a_modem_can_leave() {
    if !in_namespace("a_path_can_be_late_lossy_or_dead_and_a_modem_can_leave") {
        return;
    }
    let lab = Lab::new(&Options::default());
    let _hand = by_hand(&lab, 0).await;
    let carrier = &lab.links[0].carrier;
    let stream = UdpStream::start(&lab.client, Duration::from_millis(5));
    let ping = Ping::start(&lab.client);
    within(SOON, "an answer", || stream.last_answer()).await;

    let late = Impairment { delay: Duration::from_millis(40), ..Impairment::default() };
    carrier.impair(Direction::Down, late);
    let changed = Instant::now();
    let round_trip = within(SOON, "a later answer", || {
        let log = stream.log();
        let datagram =
            log.into_iter().find(|datagram| datagram.sent > changed && datagram.answered.is_some())?;
        datagram.answered.map(|answered| answered - datagram.sent)
    })
    .await;
    assert!(round_trip >= late.delay, "{round_trip:?}");

    carrier.impair(Direction::Down, Impairment { loss: 0.5, ..Impairment::default() });
    within(SOON, "some are lost, some are not", || {
        let (sent, lost) = stream.sent_and_lost();
        (lost > 20 && lost < sent).then_some(())
    })
    .await;
    carrier.impair(Direction::Down, Impairment { dead: true, ..Impairment::default() });
    let before = carrier.counts();
    within(SOON, "packets still go up, and none come back", || {
        let now = carrier.counts();
        (now.up > before.up + 50 && now.lost > before.lost + 50).then_some(())
    })
    .await;
    carrier.impair(Direction::Down, Impairment::default());
    let revived = Instant::now();
    within(SOON, "answers again", || stream.last_answer().filter(|(_, sent)| *sent > revived)).await;
    let (sent, received) = ping.end();
    assert!(sent > 5 && received > 0 && received < sent, "{received} of {sent}");

    let watcher = Watcher::start(&lab.router);
    within(SOON, "a route", || watcher.looks().last().filter(|look| look.device.is_some()).cloned()).await;
    lab.begin(0, &Fault::Unplugged);
    within(SOON, "the route goes with the interface", || {
        watcher.looks().last().filter(|look| look.device.is_none()).cloned()
    })
    .await;
    assert!(!lab.router.ask("ip -br link").contains(NETDEVS[0]));
    assert!(lab.router.ask("ip -br link").contains(NETDEVS[1]));
    lab.end(0, &Fault::Unplugged);
    within(SOON, "it is back", || lab.router.ask("ip -br link").contains(NETDEVS[0]).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cable_circuit_and_server_can_fail() {
    if !in_namespace("cable_circuit_and_server_can_fail") {
        return;
    }
    let lab = Lab::new(&Options { wired: true, ..Options::default() });
    lab.router.nft("table inet nat { chain out { type nat hook postrouting priority 100; oifname != lan0 masquerade; }; }");
    assert_eq!(
        lab.router.ask("ip route show default"),
        "default via 192.168.1.1 dev enp4s0f0 proto static metric 100 \n"
    );
    assert_eq!(ask_once(&lab.client, SOON).await, Some(SEEN[2]));
    lab.kill_wired(true);
    assert_eq!(ask_once(&lab.client, NOT).await, None);
    lab.kill_wired(false);
    assert_eq!(ask_once(&lab.client, SOON).await, Some(SEEN[2]));
    lab.kill_target(SERVER, true);
    assert_eq!(ask_once(&lab.client, NOT).await, None);
    lab.client.ask(&format!("ping -c 1 -W 5 {NAME_SERVER}"));
    lab.kill_target(SERVER, false);
    assert_eq!(ask_once(&lab.client, SOON).await, Some(SEEN[2]));
    lab.pull_cable(true);
    within(SOON, "no carrier", || lab.router.ask("ip -br link").contains("NO-CARRIER").then_some(())).await;
    lab.pull_cable(false);
    within(SOON, "an answer again", || lab.router.ask("ip -br link").contains(WIRED).then_some(())).await;
    assert_eq!(ask_once(&lab.client, SOON).await, Some(SEEN[2]));
}
