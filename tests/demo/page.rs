//! The page in a real browser, over a running demo.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::browser::Browser;
use super::process::{Demo, json, until};
use assert_cmd::cargo::cargo_bin;
use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const ROUTERS: u16 = 20;

fn count(browser: &Browser, selector: &str) -> u64 {
    browser.run(&format!("return document.querySelectorAll('{selector}').length")).as_u64().unwrap()
}

/// Nothing sticks out at the side, and nothing covers anything else.
fn assert_tidy(browser: &Browser, what: &str) {
    let wide = browser.run(
        "return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1) \
         .map(e => e.tagName + '.' + e.className + ' ' + e.innerText)",
    );
    assert_eq!(wide, serde_json::json!([]), "{what}: wider than the window");
    let covered = browser.run(
        "const boxes = [...document.querySelectorAll('button, input, a, td, dd, dt, h1, h2, figure, .facts, li')] \
           .filter(e => !e.closest('ol') || e.tagName === 'LI') \
           .filter(e => e.tagName !== 'LI' || e.offsetTop < 100) \
           .map(e => [e, e.getBoundingClientRect()]).filter(([, r]) => r.width && r.height); \
         const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1; \
         const found = []; \
         for (const [a, ra] of boxes) for (const [b, rb] of boxes) \
           if (a !== b && !a.contains(b) && !b.contains(a) && !apart(ra, rb)) found.push(a.outerHTML.slice(0, 80) + ' / ' + b.outerHTML.slice(0, 80)); \
         return found.slice(0, 5)",
    );
    assert_eq!(covered, serde_json::json!([]), "{what}: boxes lie over each other");
    let empty = browser.run(
        "return [...document.querySelectorAll('section, table, figure, ul, ol, dl, td')] \
           .filter(e => !e.innerText.trim() && !e.querySelector('svg')).map(e => e.outerHTML.slice(0, 80))",
    );
    assert_eq!(empty, serde_json::json!([]), "{what}: empty boxes");
}

#[test]
fn the_page_shows_the_fleet_one_router_and_the_past() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(ROUTERS, folder.path());
    let browser = Browser::open(1400, 900);
    browser.visit(&demo.url);
    until("twenty routers in the table", PATIENCE, || {
        (count(&browser, "tbody tr") == u64::from(ROUTERS)).then_some(())
    });
    the_fleet_moves(&browser);
    let then = Utc::now().trunc_subsecs(0);
    a_filter_is_typed_and_kept(&browser);
    a_state_is_chosen(&browser, &demo);
    a_click_opens_a_router(&browser, folder.path());
    // By now the past is far enough away to differ.
    the_past_is_shown_with_a_banner(&browser, &demo, then);
    it_fits_a_telephone(&browser, &demo);

    assert_eq!(browser.complaints(), Vec::<String>::new());
    let outside = browser.network().into_iter().filter(|(method, parameters)| {
        let url = parameters["request"]["url"].as_str().unwrap_or_default();
        method == "Network.requestWillBeSent" && !url.starts_with(&demo.url) && !url.starts_with("data:")
    });
    assert_eq!(outside.collect::<Vec<_>>(), [], "it asks nobody but central");
    picture(&browser, &demo);
}

fn the_fleet_moves(browser: &Browser) {
    assert_tidy(browser, "fleet");
    assert!(browser.text(".bar").contains("20\nall routers"), "{}", browser.text(".bar"));
    assert_eq!(browser.text("#freshness"), "live");
    assert_eq!(browser.run("return document.getElementById('banner').hidden"), true);
    let readings = "return [...document.querySelectorAll('tbody td')].map(e => (e.innerText.match(/-?\\d+ dBm/) || [''])[0])";
    let before = browser.run(readings);
    until("signal that moves, without a click", PATIENCE, || {
        let after = browser.run(readings);
        let pairs = before.as_array()?.iter().zip(after.as_array()?);
        (pairs.filter(|(before, after)| before != after).count() > 5).then_some(())
    });
    until("events by SSE", PATIENCE, || {
        let told = browser.network();
        told.iter().any(|(method, _)| method == "Network.eventSourceMessageReceived").then_some(())
    });
    until("the story", PATIENCE, || {
        let table = browser.text("table");
        (table.contains("option-unsubscribed (type 6, code 33), attempt") && table.contains("throttled"))
            .then_some(())
    });
}

fn a_filter_is_typed_and_kept(browser: &Browser) {
    browser.press("/branch-0007");
    until("one router", PATIENCE, || (count(browser, "tbody tr") == 1).then_some(()));
    assert!(browser.text("tbody").contains("branch-0007"));
    // The next look at central, which comes by itself, takes neither text nor focus away.
    browser.run("document.querySelector('table').dataset.old = 'yes'");
    until("the table made anew", PATIENCE, || (count(browser, "table[data-old]") == 0).then_some(()));
    let focus = "return [document.activeElement.id, document.activeElement.value]";
    assert_eq!(browser.run(focus), serde_json::json!(["filter", "branch-0007"]));
    browser.press(&"\u{e003}".repeat(11));
    until("all routers again", PATIENCE, || (count(browser, "tbody tr") == u64::from(ROUTERS)).then_some(()));
    browser.press("nobody");
    until("a word instead of an empty table", PATIENCE, || {
        browser.text("main").contains("No router is like that.").then_some(())
    });
    browser.press(&"\u{e003}".repeat(6));
    until("all routers again", PATIENCE, || (count(browser, "tbody tr") == u64::from(ROUTERS)).then_some(()));
}

fn a_state_is_chosen(browser: &Browser, demo: &Demo) {
    browser.click("[data-key='state degraded']");
    until("the degraded ones alone", PATIENCE, || {
        let states = browser
            .run("return [...document.querySelectorAll('tbody td:nth-child(2)')].map(e => e.innerText)");
        let states = states.as_array()?.clone();
        let all = states.iter().all(|state| state.as_str().is_some_and(|state| state.contains("degraded")));
        let fleet = json(&format!("{}/v1/fleet", demo.url));
        (all && fleet["states"]["degraded"] == states.len()).then_some(())
    });
    let pressed = browser.run("return document.querySelector('[aria-pressed=true]').dataset.key");
    assert_eq!(pressed, "state degraded");
    browser.click("[data-key='state ']");
    until("all routers again", PATIENCE, || (count(browser, "tbody tr") == u64::from(ROUTERS)).then_some(()));
}

fn a_click_opens_a_router(browser: &Browser, folder: &Path) {
    browser.click("a[href='#/routers/branch-0003']");
    until("the router's screen", PATIENCE, || browser.text("h1").starts_with("branch-0003").then_some(()));
    until("its failure", PATIENCE, || {
        browser.text("main").contains("option-unsubscribed (type 6, code 33, subscription)").then_some(())
    });
    assert_eq!(count(browser, ".cards .card"), 2);
    let text = browser.text("main");
    for wanted in ["lte-dev-1", "lte-dev-2", "dBm", "dB,", "MTU 1", "link.failed", "retry in ", "events here"]
    {
        assert!(text.contains(wanted), "{wanted:?} is not in {text}");
    }
    assert_tidy(browser, "router");
    let live = browser.text("ol");
    // Its links may have nothing to say for minutes; one that tries again says how that went.
    let retry = Command::new(cargo_bin("tandem"))
        .args(["retry", "lte-dev-2", "--socket"])
        .arg(folder.join("branch-0003/agent.sock"))
        .status();
    assert!(retry.unwrap().success());
    until("events that come by themselves", PATIENCE, || (browser.text("ol") != live).then_some(()));
    browser.run("document.querySelector('[data-key=back]').focus()");
    browser.press("\u{e007}");
    until("the fleet again", PATIENCE, || (count(browser, "tbody tr") == u64::from(ROUTERS)).then_some(()));
}

fn the_past_is_shown_with_a_banner(browser: &Browser, demo: &Demo, then: DateTime<Utc>) {
    let set = |text: &str| {
        browser.run(&format!(
            "const box = document.getElementById('as-of'); box.value = '{text}'; box.dispatchEvent(new Event('change'))"
        ))
    };
    set(&then.format("%Y-%m-%dT%H:%M:%S").to_string());
    let as_of = then.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let past: Value = json(&format!("{}/v1/routers?as_of={as_of}", demo.url));
    let wanted: Vec<String> = past["routers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|router| format!("{} {}", router["name"].as_str().unwrap(), router["state"].as_str().unwrap()))
        .collect();
    let shown = "return [...document.querySelectorAll('tbody tr')].map(row => row.cells[0].querySelector('a').innerText + ' ' \
                 + row.cells[1].querySelector('span').innerText.slice(2))";
    until("the state of then", PATIENCE, || (browser.run(shown) == serde_json::json!(wanted)).then_some(()));
    let banner = browser.text("#banner");
    assert!(banner.starts_with("You are looking at the past") && banner.contains(&as_of[..19]), "{banner}");
    assert!(browser.text("#freshness").starts_with("not live"));
    assert_tidy(browser, "the past");
    set("2099-01-01T00:00:00");
    until("a word about the future", PATIENCE, || {
        browser.text("#freshness").contains("future").then_some(())
    });
    browser.complaints(); // The refusal is one, and wanted.
    browser.click("#now");
    until("the present", PATIENCE, || (browser.text("#freshness") == "live").then_some(()));
    assert_eq!(browser.run("return document.getElementById('banner').hidden"), true);
}

fn it_fits_a_telephone(browser: &Browser, demo: &Demo) {
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        browser.resize(390, 800);
        assert_tidy(browser, "narrow fleet");
        browser.visit(&format!("{}/#/routers/branch-0003", demo.url));
        until("the router's screen", PATIENCE, || {
            browser.text("h1").starts_with("branch-0003").then_some(())
        });
        assert_tidy(browser, "narrow router");
        browser.visit(&format!("{}/#/", demo.url));
        until("the fleet", PATIENCE, || (count(browser, "tbody tr") == u64::from(ROUTERS)).then_some(()));
    }
    let ground = browser.run("return getComputedStyle(document.body).backgroundColor");
    assert_eq!(ground, "rgb(16, 21, 29)", "dark where the user prefers dark");
    browser.prefer("light");
    browser.resize(1400, 900);
}

/// Renews the picture in the README when asked to: `TANDEM_RENEW=1`.
fn picture(browser: &Browser, demo: &Demo) {
    browser.visit(&format!("{}/#/", demo.url));
    until("the fleet", PATIENCE, || (count(browser, "tbody tr") == u64::from(ROUTERS)).then_some(()));
    let png = browser.picture();
    assert!(png.len() > 10_000, "a picture");
    if std::env::var_os("TANDEM_RENEW").is_some() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/fleet.png");
        std::fs::write(path, png).unwrap();
    }
}
