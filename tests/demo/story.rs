//! The demo tells a true and moving story within half a minute, and ends without a trace.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::process::{Demo, json, until};
use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};
use serde_json::Value;

/// Time for the whole story, from the moment the demo is started.
const STORY: Duration = Duration::from_secs(30);
/// Seconds for it instead, on a machine that is known to be too slow.
const SLOWER: &str = "TANDEM_STORY_S";

fn story() -> Duration {
    std::env::var(SLOWER).map_or(STORY, |text| Duration::from_secs(text.parse().expect("seconds")))
}

fn show(arguments: &[&str]) -> String {
    let output = Command::new(cargo_bin("tandem")).arg("show").args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn failure_of(router: &Value, link: usize) -> Option<&str> {
    router["links"][link]["failure"]["reason"].as_str()
}

/// Whether `router` ever told that a link went silent and its probes found out.
fn told_of_silent_death(demo: &Demo, router: &str) -> bool {
    let page = json(&format!("{}/v1/routers/{router}/events?type=link.changed&limit=1000", demo.url));
    let mut changes = page["events"].as_array().unwrap().iter().map(|told| &told["event"]["data"]);
    changes.any(|change| change["to"] == "suspect" && change["cause"] == "probes lost")
}

#[test]
fn six_routers_tell_the_whole_story_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let mut demo = Demo::start(6, folder.path());
    let done = |what: &str| println!("{:4.1} s: {what}", began.elapsed().as_secs_f64());
    for wanted in
        ["SIM pulled", "option-unsubscribed", "silent death", "throttled", "Ctrl-C", "--router branch-0001"]
    {
        assert!(demo.greeting.contains(wanted), "{wanted} is not in\n{}", demo.greeting);
    }
    let left = || story().saturating_sub(began.elapsed());
    let router = |name: &str| json(&format!("{}/v1/routers/{name}", demo.url));
    until("six routers that speak", left(), || {
        (json(&format!("{}/v1/fleet", demo.url))["routers"] == 6).then_some(())
    });
    done("six routers that speak");
    // When each link last told its signal; null before it did.
    let readings = || {
        let list = json(&format!("{}/v1/routers", demo.url));
        let links =
            list["routers"].as_array().unwrap().iter().flat_map(|router| router["links"].as_array().unwrap());
        links.map(|link| link["signal_at"].clone()).collect::<Vec<_>>()
    };
    let before = until("signal of most links", left(), || {
        let told = readings();
        (told.iter().filter(|at| !at.is_null()).count() >= 9).then_some(told)
    });
    done("signal of most links");
    until("option-unsubscribed", left(), || {
        let router = router("branch-0003");
        (failure_of(&router, 1) == Some("option-unsubscribed") && router["state"] == "degraded").then_some(())
    });
    done("option-unsubscribed");
    until("throttled", left(), || {
        let throttled = |reason: &str| reason.contains("throttled");
        failure_of(&router("branch-0006"), 0).is_some_and(throttled).then_some(())
    });
    done("throttled");
    until("a pulled SIM", left(), || {
        (failure_of(&router("branch-0002"), 1) == Some("sim-absent")).then_some(())
    });
    done("a pulled SIM");
    until("a silent death", left(), || told_of_silent_death(&demo, "branch-0004").then_some(()));
    done("a silent death");
    // It moves: routers told new signal meanwhile.
    until("new signal of most links", left(), || {
        let moved = before.iter().zip(readings()).filter(|(before, after)| **before != *after).count();
        (moved >= 9).then_some(())
    });
    done("new signal of most links");
    let fleet = json(&format!("{}/v1/fleet", demo.url));
    let states = fleet["states"].as_object().unwrap();
    assert!(states.contains_key("both-up") && states.contains_key("degraded"), "{fleet}");
    assert_eq!(fleet["freshness"]["lag_ms"], 0);

    let then = Utc::now();
    // The same by the command line, of central and of the router itself.
    let socket = folder.path().join("branch-0003/agent.sock");
    for asked in
        [&["--central", &demo.url, "--router", "branch-0003"][..], &["--socket", socket.to_str().unwrap()]]
    {
        let text = show(&[&["device-interface", "name", "lte-dev-2"], asked].concat());
        assert!(text.contains("option-unsubscribed") && text.contains("Operational Status: down"), "{text}");
        assert!(text.contains("Signal Strength"), "{text}");
        // Also what central has already, which the spool no longer holds.
        let told = show(&[&["events", "--limit", "40"], asked].concat());
        let is_told = |line: &str| line.starts_with("20") && line.contains("Z  ");
        assert!(told.lines().count() > 5 && told.lines().all(is_told), "{told}");
        assert!(told.contains("link.failed") && told.contains("code=33"), "{told}");
        let uplinks = show(&[&["uplinks"], asked].concat());
        assert!(uplinks.contains("carrying: ") && uplinks.contains(" lte-dev-2  wwp0s21u2i8  "), "{uplinks}");
    }
    done("the same by the command line");
    assert!(began.elapsed() < story(), "the command line tells it in time, too: {:?}", began.elapsed());
    let both = show(&["device-interface", "--central", &demo.url, "--router", "branch-0001", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&both).unwrap().as_array().unwrap().len(), 2);

    the_past_is_shown(&demo, then);

    // A browser that looks on holds nothing up.
    let mut watching = TcpStream::connect(demo.url.trim_start_matches("http://")).unwrap();
    std::io::Write::write_all(&mut watching, b"GET /v1/events/live HTTP/1.1\r\nHost: demo\r\n\r\n").unwrap();
    watching.read_exact(&mut [0; 15]).unwrap();
    let children = processes_of(demo.id());
    assert_eq!(children, BTreeSet::new(), "all of it is one process");
    let (status, took) = demo.interrupt();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(!demo_speaks(folder.path()), "no socket answers");

    // The folder serves again, and the past is still there.
    let mut again = Demo::start(6, folder.path());
    let past = json(&format!("{}/v1/routers/branch-0003", again.url));
    let received = past["completeness"]["received"].as_u64().unwrap();
    assert!(received > 10, "views are taken up at once: {past}");
    until("new events of the old routers", Duration::from_secs(40), || {
        let router = json(&format!("{}/v1/routers/branch-0003", again.url));
        assert_eq!(router["completeness"]["missing"], 0, "the spool went on where it was");
        (router["completeness"]["received"].as_u64() > Some(received + 5)).then_some(())
    });
    assert!(again.interrupt().0.success());
}

/// `--at` shows what central knew then.
fn the_past_is_shown(demo: &Demo, then: DateTime<Utc>) {
    let time = then.to_rfc3339_opts(SecondsFormat::Millis, true);
    let asked = ["device-interface", "--central", &demo.url, "--router", "branch-0004", "--at"];
    let shown: Vec<Value> = serde_json::from_str(&show(&[&asked[..], &[&time, "--json"]].concat())).unwrap();
    let past = json(&format!("{}/v1/routers/branch-0004?as_of={time}", demo.url));
    assert_eq!(
        past["freshness"]["as_of"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap(),
        then.trunc_subsecs(3)
    );
    for (shown, told) in shown.iter().zip(past["details"].as_array().unwrap()) {
        for field in ["name", "state", "signal", "registration", "settings", "counters"] {
            assert_eq!(shown[field], told["status"][field], "{field} as of {time}");
        }
    }
    assert_eq!(shown.len(), 2);
    let text = show(&[&asked[..], &["-1s"]].concat());
    assert_eq!(text.matches("Connection Status:").count(), 2, "{text}");
    for (wrong, named) in [("2099-01-01T00:00:00Z", "future"), ("yesterday", "as_of")] {
        let output = Command::new(cargo_bin("tandem")).arg("show").args(asked).arg(wrong).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(named), "{wrong}: {text}");
    }
}

#[test]
fn an_address_in_use_is_named_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(cargo_bin("tandem"))
        .args(["demo", "--routers", "1", "--listen", &address, "--data"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
    assert!(text.contains("--listen"), "{text}");
}

/// Processes whose parent is `parent`.
fn processes_of(parent: u32) -> BTreeSet<u32> {
    let children =
        |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).unwrap();
    let lists: Vec<String> = tasks.filter_map(Result::ok).map(children).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).map(|id| id.parse().unwrap()).collect()
}

fn demo_speaks(folder: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(folder.join("branch-0001/agent.sock")).is_ok()
}
