//! The agent in the laboratory: real routes, real NAT, real packets, every policy and every kind of switch. What a UDP stream, a
//! ping and a download saw is printed by each test.
#![cfg(all(feature = "agent", feature = "central"))]

#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/namespace.rs"]
mod namespace;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use lab::server::{NAME_SERVER, SERVER_V6};
use lab::traffic::{Download, Ping, UdpStream, ask_once, ask_once_at};
use lab::watcher::Watcher;
use lab::{Lab, Options, SEEN, Space, within};
use namespace::in_namespace;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tandem::sim::scenario::{Family, Fault};

/// How long links may take to come up.
const UP: Duration = Duration::from_secs(30);
/// How long a switch may take that somebody told the agent of. The target is 25 ms; here other tests run beside it.
const TOLD: Duration = Duration::from_millis(1500);
/// How long the agent may take to find out by itself, with traffic; the target is 3 s.
const FOUND_OUT: Duration = Duration::from_secs(5);
const PDN_DOWN: Fault = Fault::PdnDropped { r#type: 6, code: 36, indication: true };

/// The agent finds no program of the host, `nft` neither.
const NO_PROGRAMS: &[(&str, &str)] = &[("PATH", "/nowhere")];

/// Short times, so that a return is seen in a test; targets in the laboratory.
const QUICK: &str = "recovery-count = 2\nminimum-stay = \"1s\"\nflap-budget = 1000\n\n\
    [probe]\ntargets = [\"192.0.2.53\", \"192.0.2.80\"]\n\n\
    [retry]\npassing = [\"200ms\", \"1s\"]\nnetwork-busy = [\"200ms\", \"1s\"]\nstale-state = [\"200ms\", \"1s\"]\n";

fn options(policy: &'static str) -> Options {
    Options { policy, extra: QUICK.into(), ..Options::default() }
}

/// Waits until exactly these ways carry, as the servers see it and as the agent says.
async fn carried_by(lab: &Lab, wanted: &[&str]) {
    within(UP, &format!("carried by {wanted:?}"), || (lab.carrying() == wanted).then_some(())).await;
}

async fn started(options: &Options, carrying: &[&str]) -> Lab {
    let mut lab = Lab::new(options);
    lab.start_agent();
    carried_by(&lab, carrying).await;
    within(UP, "NAT", || lab.router.ask("nft list ruleset").contains("masquerade").then_some(())).await;
    // The agent says so just before.
    within(UP, "a route", || lab.router.ask("ip route show table all").contains("table 7000").then_some(()))
        .await;
    lab.watch();
    lab
}

/// The link by which the servers see the stream.
async fn seen_by(stream: &UdpStream, limit: Duration, index: usize) {
    let since = Instant::now();
    let by = |(from, sent): (IpAddr, Instant)| (from == SEEN[index] && sent > since).then_some(());
    within(limit, &format!("the stream goes by way {index}"), || stream.last_answer().and_then(by)).await;
}

/// Everything that runs while something happens.
struct Scene {
    stream: UdpStream,
    ping: Ping,
    watcher: Watcher,
    since: Instant,
}

impl Scene {
    async fn begin(lab: &Lab, index: usize) -> Self {
        Self::begin_from(&lab.client, lab, index).await
    }

    /// With the traffic of `from`: the client's, or the router's own.
    async fn begin_from(from: &Space, lab: &Lab, index: usize) -> Self {
        let stream = UdpStream::start(from, Duration::from_millis(5));
        seen_by(&stream, UP, index).await;
        let watcher = Watcher::start(&lab.router);
        Self { stream, ping: Ping::start(from), watcher, since: Instant::now() }
    }

    /// Says what was seen; gives the longest time that the client had no way, and that the router had no route.
    async fn end(self, name: &str) -> (Duration, Duration) {
        within(UP, "enough to judge", || (self.stream.sent_and_lost().0 > 20).then_some(())).await;
        let (gap, no_route) = (self.stream.longest_gap(), self.watcher.longest_without_route(self.since));
        let (sent, lost) = self.stream.sent_and_lost();
        let (pings, answers) = self.ping.end();
        println!(
            "{name}: UDP each 5 ms: {lost} of {sent} lost, longest gap {gap:?}; ping each 100 ms: {} of {pings} lost; \
             no route for {no_route:?} at most",
            pings.saturating_sub(answers)
        );
        (gap, no_route)
    }
}

/// A link that carries fails; its traffic goes by the other and comes back once the link works again.
async fn switches_and_returns(test: &str, fault: Option<Fault>, limit: Duration) {
    let lab = started(&options("failover"), &["lte-dev-1"]).await;
    let scene = Scene::begin(&lab, 0).await;
    let download = Download::start(&lab.client, 100_000_000, 200_000);
    within(UP, "the download runs", || (download.progress().received_bytes > 50_000).then_some(())).await;

    match &fault {
        Some(fault) => lab.begin(0, fault),
        None => lab.links[0].carrier.die(true),
    }
    seen_by(&scene.stream, limit, 1).await;
    let asked = Instant::now();
    let fresh = Download::start(&lab.client, 300_000, usize::MAX);
    within(UP, "a new download goes by the other link", || fresh.progress().complete.filter(|ok| *ok)).await;
    let took = asked.elapsed();
    match &fault {
        Some(fault) if fault.lasts() => lab.end(0, fault),
        Some(_) => {}
        None => lab.links[0].carrier.die(false),
    }
    carried_by(&lab, &["lte-dev-1"]).await;
    seen_by(&scene.stream, UP, 0).await;
    let running = download.progress();
    let fate = match running.complete {
        None => format!("waits, silent for {:?}", running.last.elapsed()),
        Some(_) => format!("ended {:?} ago", running.last.elapsed()),
    };
    println!("{test}: a new download of 300 kB took {took:?}; the one that ran before: {fate}");
    told_of(&lab, limit);
    let (gap, no_route) = scene.end(test).await;
    assert!(gap < limit, "{gap:?}");
    assert_eq!(no_route, Duration::ZERO, "traffic has a route while any uplink works");
}

/// The events tell of the switch away from the first link: why, how long it took, and which routes came of it.
fn told_of(lab: &Lab, limit: Duration) {
    let socket = lab.path("agent.sock");
    let shown = lab.tandem(&format!("show events --json --limit 200 --socket {}", socket.display()));
    let events: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let of =
        |kind: &'static str| events.as_array().unwrap().iter().filter(move |event| event["type"] == kind);
    let left = |event: &&serde_json::Value| event["data"]["stopped"][0]["uplink"] == "lte-dev-1";
    let selected = of("io.tandem.uplink.selected.v1").find(left).expect("the switch is told of");
    let (body, id) = (&selected["data"], &selected["data"]["correlation_id"]);
    println!("told: {body}");
    assert_eq!(body["carrying"], serde_json::json!(["lte-dev-2"]));
    assert!(body["stopped"][0]["cause"].as_str().is_some_and(|cause| !cause.is_empty()));
    assert!(body["detection_to_route_ms"].as_f64().unwrap() < limit.as_secs_f64() * 1000.0);
    let routes = of("io.tandem.route.changed.v1").find(|event| event["data"]["correlation_id"] == *id);
    let routes = &routes.expect("the routes bear the same id")["data"];
    assert_eq!(routes["detection_to_route_ms"], body["detection_to_route_ms"]);
    // What came of it later bears the id too.
    let is_first = |event: &&serde_json::Value| event["data"]["from"] == "connected";
    let cause =
        of("io.tandem.link.changed.v1").filter(|event| event["data"]["correlation_id"] == *id).find(is_first);
    let cause = cause.expect("the change of the link bears the same id");
    assert_eq!(cause["subject"], "lte-dev-1");
    println!("told: {}", cause["data"]);
    let by_now = serde_json::json!({ "prefix": "0.0.0.0/0", "device": lab::NETDEVS[1], "table": 7000 });
    assert!(routes["added"].as_array().is_some_and(|routes| routes.contains(&by_now)), "{routes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_network_ends_moves_its_traffic() {
    let name = "a_session_that_the_network_ends_moves_its_traffic";
    if in_namespace(name) {
        switches_and_returns(name, Some(PDN_DOWN), TOLD).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_lost_moves_its_traffic() {
    let name = "a_registration_that_is_lost_moves_its_traffic";
    if in_namespace(name) {
        switches_and_returns(name, Some(Fault::NoService), TOLD).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modem_that_is_pulled_out_moves_its_traffic() {
    let name = "a_modem_that_is_pulled_out_moves_its_traffic";
    if in_namespace(name) {
        switches_and_returns(name, Some(Fault::Unplugged), TOLD).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_dies_silently_under_traffic_moves_it() {
    let name = "a_link_that_dies_silently_under_traffic_moves_it";
    if in_namespace(name) {
        switches_and_returns(name, None, FOUND_OUT).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_links_carry_by_weight_and_flows_stay() {
    if !in_namespace("both_links_carry_by_weight_and_flows_stay") {
        return;
    }
    let lab =
        started(&Options { weights: [3, 1], ..options("active-active") }, &["lte-dev-1", "lte-dev-2"]).await;
    let streams: Vec<_> = (0..80).map(|_| UdpStream::start(&lab.client, Duration::from_millis(50))).collect();
    within(UP, "all are answered", || {
        streams
            .iter()
            .all(|stream| stream.log().iter().filter(|one| one.answered.is_some()).count() > 20)
            .then_some(())
    })
    .await;
    let ways: Vec<_> =
        streams.iter().map(|stream| stream.uplinks().into_keys().collect::<Vec<_>>()).collect();
    assert!(ways.iter().all(|ways| ways.len() == 1), "flows stay on their link: {ways:?}");
    let first = ways.iter().filter(|ways| ways[0] == SEEN[0]).count();
    println!("weights 3 and 1: {first} of 80 flows by the first link");
    assert!((45..=75).contains(&first), "{first} of 80 by the first link");

    // The flows of the link that fails move; those of the other do not notice.
    let unmoved = Instant::now();
    lab.begin(0, &Fault::NoService);
    for stream in &streams {
        seen_by(stream, FOUND_OUT, 1).await;
    }
    for (stream, ways) in streams.iter().zip(&ways) {
        if ways[0] == SEEN[1] {
            let log = stream.log();
            let old = log
                .iter()
                .filter(|one| one.sent.elapsed() > Duration::from_millis(500) && one.sent > unmoved);
            assert!(old.clone().count() > 0 && old.clone().all(|one| one.answered.is_some()));
        }
    }
    lab.end(0, &Fault::NoService);
    carried_by(&lab, &["lte-dev-1", "lte-dev-2"]).await;
    let mut by_first = 0;
    for _ in 0..20 {
        by_first += usize::from(ask_once(&lab.client, UP).await == Some(SEEN[0]));
    }
    assert!(by_first > 0, "new flows go by the link that came back");
}

async fn last_resort(standby: &str) {
    let extra = format!("standby = \"{standby}\"\n{QUICK}");
    let lab = started(&Options { wired: true, extra, ..options("last-resort") }, &["wired-1"]).await;
    let sessions = || lab.links[0].modem.inspect(|modem| modem.sessions().len());
    let is_hot = standby == "hot";
    within(UP, "the link stands by", || ((sessions() > 0) == is_hot).then_some(())).await;
    let scene = Scene::begin(&lab, 2).await;
    let limit = if is_hot { TOLD } else { UP };
    lab.pull_cable(true);
    seen_by(&scene.stream, limit, 0).await;
    lab.pull_cable(false);
    seen_by(&scene.stream, UP, 2).await;
    within(UP, "the link stands by again", || ((sessions() > 0) == is_hot).then_some(())).await;
    lab.kill_wired(true);
    seen_by(&scene.stream, FOUND_OUT + limit, 0).await;
    lab.kill_wired(false);
    seen_by(&scene.stream, UP, 2).await;
    let (gap, no_route) = scene.end(&format!("last resort, {standby}")).await;
    assert!(gap < FOUND_OUT + limit, "{gap:?}");
    assert_eq!(no_route, Duration::ZERO, "traffic has a route while any uplink works");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_link_of_last_resort_takes_over_at_once() {
    if in_namespace("a_hot_link_of_last_resort_takes_over_at_once") {
        last_resort("hot").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_link_of_last_resort_connects_only_when_the_circuit_fails() {
    if in_namespace("a_cold_link_of_last_resort_connects_only_when_the_circuit_fails") {
        last_resort("cold").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_links_die_together_and_come_back() {
    if !in_namespace("both_links_die_together_and_come_back") {
        return;
    }
    let mut lab = started(&options("active-active"), &["lte-dev-1", "lte-dev-2"]).await;
    let stream = UdpStream::start(&lab.client, Duration::from_millis(5));
    within(UP, "an answer", || stream.last_answer()).await;
    lab.unwatch();
    for index in [0, 1] {
        lab.begin(index, &Fault::NoService);
    }
    carried_by(&lab, &[]).await;
    for index in [0, 1] {
        lab.end(index, &Fault::NoService);
    }
    carried_by(&lab, &["lte-dev-1", "lte-dev-2"]).await;
    let since = Instant::now();
    within(UP, "the stream goes on", || stream.last_answer().filter(|(_, sent)| *sent > since)).await;

    // Silently as well: neither is better than the other, and a doubtful way is better than none.
    for index in [0, 1] {
        lab.links[index].carrier.die(true);
    }
    lab.watch(); // Traffic keeps a route while nothing is known to be better.
    within(FOUND_OUT * 3, "the agent notices", || {
        lab.states().iter().any(|state| state == "suspect").then_some(())
    })
    .await;
    for index in [0, 1] {
        lab.links[index].carrier.die(false);
    }
    let revived = Instant::now();
    within(UP, "the stream goes on", || stream.last_answer().filter(|(_, sent)| *sent > revived)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn carriers_that_hand_out_one_address_are_kept_apart() {
    if !in_namespace("carriers_that_hand_out_one_address_are_kept_apart") {
        return;
    }
    let same = Options { addresses: [Some(Ipv4Addr::new(10, 64, 0, 2)); 2], ..options("active-active") };
    let lab = started(&same, &["lte-dev-1", "lte-dev-2"]).await;
    let streams: Vec<_> = (0..20).map(|_| UdpStream::start(&lab.client, Duration::from_millis(20))).collect();
    within(UP, "all are answered", || {
        streams
            .iter()
            .all(|stream| stream.log().iter().filter(|one| one.answered.is_some()).count() > 20)
            .then_some(())
    })
    .await;
    assert!(streams.iter().all(|stream| stream.uplinks().len() == 1), "flows stay on their link");
    let by = |seen| streams.iter().filter(|stream| stream.uplinks().contains_key(&seen)).count();
    assert!(by(SEEN[0]) > 0 && by(SEEN[1]) > 0, "both carry");
    lab.begin(1, &Fault::NoService);
    for stream in &streams {
        seen_by(stream, FOUND_OUT, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_changes_within_a_session_is_followed() {
    if !in_namespace("an_address_that_changes_within_a_session_is_followed") {
        return;
    }
    let lab = started(&options("failover"), &["lte-dev-1"]).await;
    let scene = Scene::begin(&lab, 0).await;
    let address = || lab.links[0].modem.inspect(|modem| modem.sessions().first().map(|s| s.settings.ipv4));
    let before = address().unwrap();
    lab.begin(0, &Fault::SettingsChanged { indication: true });
    let after = address().unwrap();
    assert_ne!(before, after);
    let changed = Instant::now();
    within(UP, "the new address is on the interface, the old one is not", || {
        let text = lab.router.ask("ip -4 -o addr show");
        (text.contains(&after.to_string()) && !text.contains(&before.to_string())).then_some(())
    })
    .await;
    println!("address changed: followed after {:?}", changed.elapsed());
    seen_by(&scene.stream, FOUND_OUT, 0).await;
    let sessions = lab.links[0].modem.inspect(|modem| modem.attempt_count());
    assert_eq!(sessions, 1, "the session was not made anew");
    let (_, no_route) = scene.end("address changed").await;
    assert_eq!(no_route, Duration::ZERO, "traffic has a route while any uplink works");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_target_moves_nothing() {
    if !in_namespace("a_dead_target_moves_nothing") {
        return;
    }
    let quick = QUICK.replace("[probe]\n", "[probe]\nheartbeat = \"500ms\"\nmonthly-budget = \"1GB\"\n");
    let lab = started(&Options { extra: quick, ..options("failover") }, &["lte-dev-1"]).await;
    lab.kill_target(NAME_SERVER, true);
    let since = Instant::now();
    let up = |index: usize| lab.links[index].carrier.counts().up;
    let before = [up(0), up(1)];
    within(UP, "both links have probed again and again", || {
        (up(0) > before[0] + 15 && up(1) > before[1] + 15 && since.elapsed() > Duration::from_secs(5))
            .then_some(())
    })
    .await;
    assert_eq!(lab.carrying(), ["lte-dev-1"]);
    assert_eq!(ask_once(&lab.client, UP).await, Some(SEEN[0]));
    assert!(lab.states().iter().all(|state| state == "connected"), "{:?}", lab.states());
}

/// What stays when the agent goes: the routes of the design, the sessions, and the traffic.
async fn handed_over(lab: &Lab, download: &Download) {
    let wired = "default via 192.168.1.1 dev enp4s0f0 proto static metric 100 \n";
    let links =
        "default dev wwp0s21u1i8 scope link metric 300 \ndefault dev wwp0s21u4i8 scope link metric 500 \n";
    let wanted = if lab.circuit.is_some() { wired.to_owned() + links } else { links.to_owned() };
    assert_eq!(lab.router.ask("ip route show default"), wanted);
    assert_eq!(
        lab.router.ask("ip rule"),
        "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"
    );
    for link in &lab.links {
        assert!(link.modem.inspect(|modem| modem.carries_data(Family::V4)), "the session stays");
    }
    goes_on(download).await;
}

async fn goes_on(download: &Download) {
    let before = download.progress();
    assert_eq!(before.complete, None);
    within(TOLD, "the download goes on", || {
        (download.progress().received_bytes > before.received_bytes + 20_000).then_some(())
    })
    .await;
}

/// How an agent ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// SIGTERM.
    Asked,
    /// SIGKILL, and `tandem handover` some time after it.
    Killed,
    /// As systemd does it: SIGTERM to the agent, SIGKILL to what else there is in its control group, then `ExecStopPost`.
    ByUnit,
}

async fn hands_over_and_takes_back(policy: &'static str, carrying: &[&str], end: End) {
    let wired = carrying == ["wired-1"];
    let mut lab = started(&Options { wired, ..options(policy) }, carrying).await;
    let download = Download::start(&lab.client, 1_000_000_000, 200_000);
    within(UP, "the download runs", || (download.progress().received_bytes > 50_000).then_some(())).await;
    within(UP, "both links are up", || {
        let routes = lab.router.ask("ip route show default");
        routes.contains("metric 300").then_some(()).filter(|()| routes.contains("metric 500"))
    })
    .await;
    println!("before:\n{}", lab.router.ask("ip route"));
    let dialled = [0, 1].map(|index| sessions_made(&lab, index));
    let scene = Scene::begin(&lab, if wired { 2 } else { 0 }).await;
    let in_its_group = children(lab.agent_id());
    match end {
        End::Asked | End::ByUnit => {
            assert!(lab.stop_agent(Signal::SIGTERM), "the agent leaves in good order")
        }
        End::Killed => {
            lab.stop_agent(Signal::SIGKILL);
            goes_on(&download).await;
        }
    }
    if end != End::Asked {
        for child in in_its_group {
            let _ = nix::sys::signal::kill(child, Signal::SIGKILL);
        }
        let config = lab.path("agent.toml");
        let output = lab.tandem(&format!("handover --config {}", config.display()));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    println!("handed over:\n{}", lab.router.ask("ip route"));
    handed_over(&lab, &download).await;
    lab.start_agent();
    carried_by(&lab, carrying).await;
    println!("taken back:\n{}", lab.router.ask("ip route"));
    goes_on(&download).await;
    assert_eq!([0, 1].map(|index| sessions_made(&lab, index)), dialled, "no session was made anew");
    all_answered(&scene.stream).await;
    let name = match end {
        End::Asked => "stop and start",
        End::Killed => "kill -9, handover and start",
        End::ByUnit => "stop by its unit and start",
    };
    let (_, no_route) = scene.end(name).await;
    assert_eq!(no_route, Duration::ZERO, "traffic has a route while any uplink works");
}

/// The processes that a process has started and that still run.
fn children(parent: u32) -> Vec<Pid> {
    let list = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    list.split_whitespace().map(|id| Pid::from_raw(id.parse().unwrap())).collect()
}

/// Sessions that came up anew.
fn sessions_made(lab: &Lab, index: usize) -> usize {
    use tandem::sim::modem::Outcome;
    lab.links[index].modem.inspect(|modem| {
        modem.attempts().filter(|attempt| attempt.outcome == Some(Outcome::Connected)).count()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_survives_stop_and_start_of_the_agent() {
    if in_namespace("a_download_survives_stop_and_start_of_the_agent") {
        hands_over_and_takes_back("failover", &["lte-dev-1"], End::Asked).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_over_lte_survives_a_killed_agent_and_the_handover_after_it() {
    if in_namespace("a_download_over_lte_survives_a_killed_agent_and_the_handover_after_it") {
        hands_over_and_takes_back("failover", &["lte-dev-1"], End::Killed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_survives_a_stop_by_the_unit() {
    if in_namespace("a_download_survives_a_stop_by_the_unit") {
        hands_over_and_takes_back("failover", &["lte-dev-1"], End::ByUnit).await;
    }
}

/// Starts and stops an agent; gives the default routes that stay.
async fn left_behind(network: &'static str, vectors: bool) -> String {
    let mut lab =
        started(&Options { network, vectors, ..options("active-active") }, &["lte-dev-1", "lte-dev-2"]).await;
    // Where no default route is asked for, none is left.
    lab.unwatch();
    assert!(lab.stop_agent(Signal::SIGTERM), "the agent leaves in good order");
    lab.router.ask("ip route show default")
}

/// The metric-128 rule.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_management_vector_the_default_routes_of_old_are_left() {
    if in_namespace("without_a_management_vector_the_default_routes_of_old_are_left") {
        let network = "source-nat = true\ndhcp = \"v4\"\n";
        let routes = left_behind(network, false).await;
        assert_eq!(
            routes,
            "default dev wwp0s21u1i8 scope link metric 128 \ndefault dev wwp0s21u4i8 scope link metric 128 \n"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_management_vector_and_no_default_route_none_is_left() {
    if in_namespace("with_a_management_vector_and_no_default_route_none_is_left") {
        let network = "source-nat = true\ndhcp = \"v4\"\ndefault-route = false\n";
        assert_eq!(left_behind(network, true).await, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_survives_a_killed_agent_and_the_handover_after_it() {
    if in_namespace("a_download_survives_a_killed_agent_and_the_handover_after_it") {
        hands_over_and_takes_back("last-resort", &["wired-1"], End::Killed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_families_move_together() {
    if !in_namespace("both_families_move_together") {
        return;
    }
    let network = "source-nat = true\ndhcp = \"v4v6\"\ndefault-route = true\n";
    let lab = started(&Options { network, ..options("failover") }, &["lte-dev-1"]).await;
    let by: [IpAddr; 2] = ["3fff:a::1", "3fff:b::1"].map(|address| address.parse().unwrap());
    let moment = Duration::from_millis(500);
    let goes_by = async |index: usize, limit: Duration| {
        let deadline = Instant::now() + limit;
        loop {
            let v4 = ask_once(&lab.client, moment).await;
            let v6 = ask_once_at(&lab.client, SERVER_V6, moment).await;
            if (v4, v6) == (Some(SEEN[index]), Some(by[index])) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "not by link {index} after {limit:?}, but by {v4:?} and {v6:?}"
            );
        }
    };
    goes_by(0, UP).await;
    let (watcher, since) = (Watcher::start_v6(&lab.router), Instant::now());
    lab.begin(0, &Fault::NoService);
    goes_by(1, FOUND_OUT).await;
    lab.end(0, &Fault::NoService);
    goes_by(0, UP).await;
    assert!(watcher.looks().len() > 20 && watcher.looks().iter().any(|look| look.device.is_some()));
    assert_eq!(watcher.longest_without_route(since), Duration::ZERO, "so does that over IPv6");
}

/// Somebody else takes our routes, rules and NAT away: they are put back, and what is not ours stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_break_is_repaired_and_what_is_theirs_stays() {
    if !in_namespace("what_others_break_is_repaired_and_what_is_theirs_stays") {
        return;
    }
    let lab = started(&options("active-active"), &["lte-dev-1", "lte-dev-2"]).await;
    let theirs = "blackhole 198.51.100.128/25 proto static metric 7 \n";
    lab.router.ip("route add blackhole 198.51.100.128/25 metric 7 proto static");
    let stream = UdpStream::start(&lab.client, Duration::from_millis(5));
    within(UP, "an answer", || stream.last_answer()).await;
    // Meanwhile the main table leads out.
    lab.router.ip("route flush table 7000\nrule del priority 7040\nrule del priority 7000");
    lab.router.nft("delete table inet tandem");
    within(FOUND_OUT, "all is back", || {
        let (rules, routes) = (lab.router.ask("ip rule"), lab.router.ask("ip route show table 7000"));
        let ruleset = lab.router.ask("nft list ruleset");
        let is_whole =
            rules.contains("7040:") && rules.contains("7000:") && routes.matches("nexthop").count() == 2;
        (is_whole && ruleset.contains("masquerade")).then_some(())
    })
    .await;
    let since = Instant::now();
    within(FOUND_OUT, "the stream goes on", || stream.last_answer().filter(|(_, sent)| *sent > since)).await;
    assert_eq!(lab.router.ask("ip route show type blackhole"), theirs);
}

/// On a router that lacks something: traffic moves, is handed over and taken back all the same, and never is without a route.
async fn moves_all_the_same(lab: &mut Lab, from: Space, environment: &[(&str, &str)], name: &str) {
    let scene = Scene::begin_from(&from, lab, 0).await;
    for fault in [PDN_DOWN, Fault::NoService, Fault::Unplugged] {
        lab.begin(0, &fault);
        seen_by(&scene.stream, TOLD, 1).await;
        if fault.lasts() {
            lab.end(0, &fault);
        }
        carried_by(lab, &["lte-dev-1"]).await;
        seen_by(&scene.stream, UP, 0).await;
    }
    assert!(lab.stop_agent(Signal::SIGTERM), "the agent leaves in good order");
    seen_by(&scene.stream, TOLD, 0).await;
    lab.start_agent_in(environment);
    carried_by(lab, &["lte-dev-1"]).await;
    seen_by(&scene.stream, UP, 0).await;
    let (gap, no_route) = scene.end(name).await;
    assert!(gap < TOLD, "{gap:?}");
    assert_eq!(no_route, Duration::ZERO, "traffic has a route while any uplink works");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nftables_traffic_has_a_route_all_the_time() {
    let name = "without_nftables_traffic_has_a_route_all_the_time";
    if !in_namespace(name) {
        return;
    }
    let mut lab = Lab::new(&options("failover"));
    lab.start_agent_in(NO_PROGRAMS);
    carried_by(&lab, &["lte-dev-1"]).await;
    within(UP, "it is said", || lab.log().contains("nft is not installed").then_some(())).await;
    // The router's own: that of clients finds no way back without source NAT.
    let own = lab.router.clone();
    moves_all_the_same(&mut lab, own, NO_PROGRAMS, name).await;
    assert_eq!(lab.router.ask("nft list ruleset"), "", "there was no NAT");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ipv6_traffic_has_a_route_all_the_time() {
    let name = "without_ipv6_traffic_has_a_route_all_the_time";
    if !in_namespace(name) {
        return;
    }
    let network = "source-nat = true\ndhcp = \"v4v6\"\ndefault-route = true\n";
    let mut lab = Lab::new(&Options { network, ..options("failover") });
    let disabled = ["all", "default"].map(|of| format!("net/ipv6/conf/{of}/disable_ipv6"));
    disabled.iter().for_each(|setting| lab.router.sysctl(&[(setting, "1")]));
    lab.start_agent();
    carried_by(&lab, &["lte-dev-1"]).await;
    within(UP, "NAT", || lab.router.ask("nft list ruleset").contains("masquerade").then_some(())).await;
    within(UP, "it is said", || lab.log().contains("no IPv6 on").then_some(())).await;
    let client = lab.client.clone();
    moves_all_the_same(&mut lab, client, &[], name).await;
    assert_eq!(lab.router.ask("ip -6 -o addr"), "", "there was no IPv6");
}

/// The configuration on disk, with these of its device-interfaces, in this order. A running agent takes it over.
fn keep_devices(lab: &Lab, order: &[&str]) {
    let text = std::fs::read_to_string(lab.path("agent.toml")).unwrap();
    let parts: Vec<_> = text.split("\n[[device-interface]]\n").collect();
    let named = |name: &&str| {
        let line = format!("name = \"{name}\"\n");
        *parts[1..].iter().find(|part| part.starts_with(&line)).expect("there is such a device-interface")
    };
    let devices = order.iter().map(named).map(|part| format!("\n[[device-interface]]\n{part}"));
    std::fs::write(lab.path("agent.toml"), parts[0].to_owned() + &devices.collect::<String>()).unwrap();
}

/// Streams that the two links share, each with the way that it goes.
async fn spread(lab: &Lab) -> Vec<(UdpStream, IpAddr)> {
    let mut streams = Vec::new();
    for _ in 0..20 {
        let stream = UdpStream::start(&lab.client, Duration::from_millis(20));
        let (way, _) = within(UP, "an answer", || stream.last_answer()).await;
        streams.push((stream, way));
    }
    for way in &SEEN[..2] {
        assert!(streams.iter().any(|(_, by)| by == way), "none by {way}");
    }
    streams
}

fn forget(streams: &[(UdpStream, IpAddr)]) {
    streams.iter().for_each(|(stream, _)| stream.forget());
}

/// Streams of the first link have gone on by it, all that they sent until now was answered.
async fn unmoved(streams: &[(UdpStream, IpAddr)]) {
    for (stream, _) in streams.iter().filter(|(_, way)| *way == SEEN[0]) {
        all_answered(stream).await;
        assert_eq!(stream.uplinks().into_keys().collect::<Vec<_>>(), [SEEN[0]]);
    }
}

/// Nothing was lost of what a stream has sent until now.
async fn all_answered(stream: &UdpStream) {
    let sent = stream.log().len();
    within(UP, "enough to judge", || (stream.sent_and_lost().0 > sent).then_some(())).await;
    assert_eq!(stream.sent_and_lost().1, 0, "a flow that does not move lost a packet");
}

/// Tables and marks stay with their interfaces: flows of those that are not touched do not notice.
#[tokio::test(flavor = "multi_thread")]
async fn another_order_and_a_removed_device_leave_the_other_flows_alone() {
    if !in_namespace("another_order_and_a_removed_device_leave_the_other_flows_alone") {
        return;
    }
    let mut lab = started(&options("active-active"), &["lte-dev-1", "lte-dev-2"]).await;
    let numbers = |lab: &Lab| {
        let rules = lab.router.ask("ip rule");
        let bound =
            |device| rules.lines().find(|line| line.contains(&format!("oif {device} "))).map(str::to_owned);
        lab::NETDEVS.map(bound)
    };
    let before = numbers(&lab);
    assert!(before.iter().all(Option::is_some), "{before:?}");
    let streams = spread(&lab).await;

    // Over a restart, in which the flows keep their marks. Those of the second link move at the hand-over.
    forget(&streams);
    assert!(lab.stop_agent(Signal::SIGTERM));
    keep_devices(&lab, &["lte-dev-2", "lte-dev-1"]);
    lab.start_agent();
    carried_by(&lab, &["lte-dev-2", "lte-dev-1"]).await;
    assert_eq!(numbers(&lab), before);
    unmoved(&streams).await;

    // And while the agent runs: the device that came first is gone.
    let streams = spread(&lab).await;
    forget(&streams);
    keep_devices(&lab, &["lte-dev-1"]);
    carried_by(&lab, &["lte-dev-1"]).await;
    for (stream, _) in &streams {
        seen_by(stream, FOUND_OUT, 0).await;
    }
    unmoved(&streams).await;
    assert_eq!(numbers(&lab), [before[0].clone(), None]);
    let left = [
        "ip route show table all",
        "ip -6 route show table all",
        "ip rule",
        "nft list ruleset",
        "ip -4 -o addr",
    ];
    within(UP, "nothing of ours is left on it", || {
        let shown: String = left.iter().map(|line| lab.router.ask(line)).collect();
        let is_clean = |line: &str| {
            !line.contains(lab::NETDEVS[1]) || line.contains("fe80::") || line.contains("ff00::")
        };
        shown.lines().all(is_clean).then_some(())
    })
    .await;
}

/// The clock is set while the agent runs, back to the epoch and years ahead: times that decide are not read from it.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_moves_nothing_and_delays_nothing() {
    if !in_namespace("a_clock_that_jumps_moves_nothing_and_delays_nothing") {
        return;
    }
    let mut lab = Lab::new(&options("failover"));
    let clock = lab.path("clock");
    std::fs::write(&clock, "+0").unwrap();
    let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
    assert!(std::path::Path::new(&library).exists(), "{library}: install faketime");
    lab.start_agent_in(&[
        ("LD_PRELOAD", &library),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    carried_by(&lab, &["lte-dev-1"]).await;
    within(UP, "NAT", || lab.router.ask("nft list ruleset").contains("masquerade").then_some(())).await;
    let scene = Scene::begin(&lab, 0).await;
    for jump in ["-56y", "+20y", "+0"] {
        std::fs::write(&clock, jump).unwrap();
        let since = Instant::now();
        within(UP, "the stream goes on", || {
            scene.stream.last_answer().filter(|(_, sent)| *sent > since + Duration::from_secs(2))
        })
        .await;
        assert_eq!(lab.carrying(), ["lte-dev-1"], "{jump} alone moves nothing");
        lab.begin(0, &Fault::NoService);
        seen_by(&scene.stream, TOLD, 1).await;
        lab.end(0, &Fault::NoService);
        seen_by(&scene.stream, UP, 0).await;
    }
    // The jumps were such for the agent.
    let socket = lab.path("agent.sock");
    let events = lab.tandem(&format!("show events --json --limit 1000 --socket {}", socket.display()));
    let events = String::from_utf8(events.stdout).unwrap();
    let years: BTreeSet<_> =
        events.split("\"time\":").filter_map(|rest| rest.trim_start().get(1..5)).collect();
    println!("years by the clock of the agent: {years:?}");
    assert!(years.contains("1970") && years.contains("2046"), "{years:?}");
    let (gap, no_route) = scene.end("a clock that jumps").await;
    assert!(gap < TOLD, "{gap:?}");
    assert_eq!(no_route, Duration::ZERO, "traffic has a route while any uplink works");
}

/// What an engineer sees who looks at a router at work.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_at_work_reads_like_this() {
    if !in_namespace("a_router_at_work_reads_like_this") {
        return;
    }
    let addresses = [Some(Ipv4Addr::new(10, 64, 0, 2)), Some(Ipv4Addr::new(10, 64, 0, 6))];
    let options = Options { addresses, weights: [3, 1], wired: true, ..options("active-active") };
    let lab = started(&options, &["lte-dev-1", "lte-dev-2", "wired-1"]).await;
    let commands = [
        "ip route",
        "ip route show table 7000",
        "ip route show table 7001",
        "ip route show table 7002",
        "ip route show table 7003",
        "ip rule",
        "nft list table inet tandem",
    ];
    // A flow by each way.
    let mut seen = BTreeSet::new();
    let mut asked = 0;
    while seen.len() < 3 {
        asked += 1;
        assert!(asked < 1000, "all carry new flows: {seen:?}");
        seen.extend(ask_once(&lab.client, UP).await);
    }
    let shown = || {
        let answers =
            commands.iter().map(|line| format!("$ {line}\n{}", sorted_rules(line, lab.router.ask(line))));
        answers.collect::<String>() + "$ conntrack -L\n" + &flows(&lab)
    };
    let wanted = include_str!("failover/at-work.txt");
    let deadline = Instant::now() + UP;
    while shown() != wanted && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(shown(), wanted, "what is shown is on the left");
}

/// Rules of one priority stand in the order in which their uplinks came.
fn sorted_rules(line: &str, text: String) -> String {
    if line != "ip rule" {
        return text;
    }
    let mut lines: Vec<_> = text.lines().map(|line| format!("{line}\n")).collect();
    lines.sort_by_key(|line| (line.split(':').next().unwrap().parse::<u32>().unwrap(), line.clone()));
    lines.concat()
}

/// The clients' flows without what differs each time: ports, timers, counts.
fn flows(lab: &Lab) -> String {
    let text = lab.router.ask("conntrack -L -p udp --orig-port-dst 7");
    let is_steady = |word: &&str| ["src=", "dst=", "mark="].iter().any(|name| word.starts_with(name));
    let steady = |line: &str| line.split_whitespace().filter(is_steady).collect::<Vec<_>>().join(" ") + "\n";
    text.lines().map(steady).collect::<BTreeSet<_>>().into_iter().collect()
}
