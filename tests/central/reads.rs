//! Reads of the API: lists, one router, its events, the fleet, health, and what is refused.

use std::collections::BTreeSet;

use chrono::Utc;
use tandem::event::LinkState;
use tandem::stream::{Memory, Record};

use super::events::*;
use super::*;

/// A fleet whose routers are named in order; each has two links.
async fn fleet(count: usize) -> Bench {
    let bench = Bench::over(std::sync::Arc::new(Memory::new(3))).await;
    let now = Utc::now();
    let records: Vec<Record> = (0..count)
        .flat_map(|n| {
            let name = format!("branch-{n:04}");
            let second = match n % 4 {
                0 => vec![up()],
                1 => vec![down(), failed("option-unsubscribed")],
                2 => vec![down(), failed("no-service")],
                _ => vec![changed(LinkState::Absent, LinkState::Opening)],
            };
            let first = if n % 10 == 1 { down() } else { up() };
            let mut told = vec![
                (None, started(["north", "south"][n % 2])),
                (Some("lte-dev-1"), registered(["Aurora", "Borealis"][n % 2])),
                (Some("lte-dev-1"), first),
            ];
            told.extend(second.into_iter().map(|body| (Some("lte-dev-2"), body)));
            (1..)
                .zip(told)
                .map(move |(sequence, (link, body))| record(&event(&name, sequence, link, body), now))
        })
        .collect();
    bench.stream.append(records).await.unwrap();
    bench.fold_all().await;
    bench
}

fn names(page: &Value) -> Vec<String> {
    page["routers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|router| router["name"].as_str().unwrap().to_owned())
        .collect()
}

/// All pages of a list.
async fn pages(bench: &Bench, path: &str) -> Vec<Value> {
    let mut pages = vec![bench.json(path).await];
    while let Some(cursor) = pages.last().unwrap()["cursor"].as_str().map(str::to_owned) {
        assert!(pages.len() < 1_000, "the pages do not end");
        pages.push(bench.json(&format!("{path}&cursor={cursor}")).await);
    }
    pages
}

#[tokio::test(start_paused = true)]
async fn pages_hold_every_router_once() {
    let bench = fleet(2_500).await;
    let all: Vec<String> = (0..2_500).map(|n| format!("branch-{n:04}")).collect();
    for limit in [1_000, 999, 500, 250] {
        let pages = pages(&bench, &format!("/v1/routers?limit={limit}")).await;
        assert!(pages.iter().all(|page| names(page).len() <= limit));
        assert_eq!(pages.len(), 2_500_usize.div_ceil(limit), "no empty page at the end");
        assert_eq!(pages.iter().flat_map(names).collect::<Vec<_>>(), all);
    }
    assert_eq!(names(&bench.json("/v1/routers").await).len(), 100);
    // A router that comes between two pages moves none of the others.
    let first = bench.json("/v1/routers?limit=1000").await;
    bench
        .stream
        .append(vec![record(&event("a-new-one", 1, None, started("north")), Utc::now())])
        .await
        .unwrap();
    bench.fold_all().await;
    let second =
        bench.json(&format!("/v1/routers?limit=1000&cursor={}", first["cursor"].as_str().unwrap())).await;
    assert_eq!(names(&second)[0], "branch-1000");
}

#[tokio::test(start_paused = true)]
async fn filters_choose_and_combine() {
    let bench = fleet(200).await;
    let chosen = |path: &'static str| {
        let bench = &bench;
        async move { pages(bench, path).await.iter().flat_map(names).collect::<BTreeSet<_>>() }
    };
    let of = |wanted: &dyn Fn(usize) -> bool| {
        (0..200).filter(|n| wanted(*n)).map(|n| format!("branch-{n:04}")).collect::<BTreeSet<_>>()
    };
    let first_up = |n: usize| n % 10 != 1;
    assert_eq!(chosen("/v1/routers?state=both-up").await, of(&|n| n % 4 == 0 && first_up(n)));
    assert_eq!(chosen("/v1/routers?state=down").await, of(&|n| n % 4 != 0 && !first_up(n)));
    let some = |n: usize| n.is_multiple_of(4) != first_up(n);
    assert_eq!(chosen("/v1/routers?state=degraded,down").await, of(&|n| some(n) || n % 4 != 0));
    assert_eq!(chosen("/v1/routers?reason=option-unsubscribed").await, of(&|n| n % 4 == 1));
    assert_eq!(chosen("/v1/routers?carrier=Borealis&reason=no-service").await, of(&|_| false));
    assert_eq!(chosen("/v1/routers?carrier=Aurora&reason=no-service&limit=7").await, of(&|n| n % 4 == 2));
    assert_eq!(chosen("/v1/routers?q=BRANCH-01&limit=9").await, of(&|n| n >= 100));
    assert_eq!(chosen("/v1/routers?q=south&limit=9").await, of(&|n| n % 2 == 1), "labels are searched too");
    assert_eq!(chosen("/v1/routers?q=nobody").await, of(&|_| false));
    let filtered = pages(&bench, "/v1/routers?reason=no-service&limit=50").await;
    assert_eq!(filtered.len(), 1, "a full page behind which nothing comes has no cursor");
}

#[tokio::test(start_paused = true)]
async fn the_fleet_is_counted_and_its_worst_are_named() {
    let bench = fleet(200).await;
    let fleet = bench.json("/v1/fleet").await;
    assert_eq!(fleet["routers"], 200);
    assert_eq!(fleet["links"], serde_json::json!({"links": 400, "up": 230}));
    assert_eq!(fleet["reasons"], serde_json::json!({"option-unsubscribed": 50, "no-service": 50}));
    let listed = |state: &str| {
        let path = format!("/v1/routers?state={state}&limit=1000");
        let bench = &bench;
        async move { names(&bench.json(&path).await).len() }
    };
    for (state, count) in fleet["states"].as_object().unwrap() {
        assert_eq!(listed(state).await as u64, count.as_u64().unwrap(), "{state}");
    }
    let north = fleet["labels"]["region=north"].as_object().unwrap();
    assert_eq!(north.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 100);
    assert_eq!(fleet["worst"].as_array().unwrap().len(), 10);
    assert!(fleet["worst"].as_array().unwrap().iter().all(|router| router["state"] == "down"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_known_is_not_sent_again() {
    let bench = fleet(20).await;
    let paths = ["/v1/routers", "/v1/routers/branch-0003", "/v1/fleet", "/v1/routers/branch-0003/events"];
    for (path, sequence) in paths.into_iter().zip((90..).step_by(2)) {
        let first = bench.get(path).await;
        let etag = first.headers[header::ETAG].to_str().unwrap().to_owned();
        let again = |etag: &str| {
            let request = Request::get(path).header(header::IF_NONE_MATCH, etag).body(Body::empty()).unwrap();
            bench.send(request)
        };
        for known in [etag.as_str(), &format!("\"other\", {etag}"), "*"] {
            let answer = again(known).await;
            assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{path} {known}");
            assert!(answer.body.is_empty() && answer.headers[header::ETAG] == etag.as_str());
        }
        assert_eq!(again("\"other\"").await.status, StatusCode::OK);
        let change = record(&event("branch-0003", sequence, Some("lte-dev-2"), down()), Utc::now());
        bench.stream.append(vec![change]).await.unwrap();
        bench.fold_all().await;
        assert_eq!(again(&etag).await.status, StatusCode::OK, "{path} tells something else now");
        // The next path must find a change as well.
        let back = record(&event("branch-0003", sequence + 1, Some("lte-dev-2"), up()), Utc::now());
        bench.stream.append(vec![back]).await.unwrap();
        bench.fold_all().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_router_is_told_in_full() {
    let bench = Bench::new().await;
    let told = [
        (None, started("north")),
        (Some("lte-dev-1"), registered("Aurora")),
        (Some("lte-dev-1"), up()),
        (Some("lte-dev-1"), signal(-91)),
        (Some("lte-dev-1"), traffic(500)),
        (Some("lte-dev-1"), traffic(700)),
        (Some("lte-dev-2"), down()),
        (Some("lte-dev-2"), failed("option-unsubscribed")),
    ];
    let records = (1..).zip(told).map(|(n, (link, body))| record(&event("a", n, link, body), after_s(100)));
    bench.stream.append(records.collect()).await.unwrap();
    bench.fold_all().await;
    let router = bench.json("/v1/routers/a").await;
    assert_eq!(router["state"], "degraded");
    assert_eq!(router["labels"]["region"], "north");
    let [first, second] = [&router["links"][0], &router["links"][1]];
    assert_eq!((first["state"].as_str(), first["carrier"].as_str()), (Some("connected"), Some("Aurora")));
    assert_eq!((first["signal"]["rsrp_dbm"].as_i64(), first["band"].as_u64()), (Some(-90), Some(3)));
    assert_eq!(first["failure"], Value::Null);
    assert_eq!(second["failure"]["reason"], "option-unsubscribed");
    assert_eq!(second["failure"]["failed_at"], "2026-11-02T08:01:20Z");
    assert_eq!(second["failure"]["next_retry_time"], "2026-11-02T08:02:20Z");
    let details = &router["details"][0];
    assert_eq!(details["traffic"]["rx_bytes"], 1_200);
    let recent: Vec<_> = details["recent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["rsrp_dbm"].as_i64().unwrap())
        .collect();
    assert_eq!(recent, [-91, -90]);
    assert_eq!(router["freshness"]["lag_ms"], 0);
}

/// Four hundred status events and as many samples of one router, a second between two; half as many of another.
async fn talkative() -> Bench {
    let bench = Bench::new().await;
    let mut records = Vec::new();
    for n in 1..=400_u64 {
        let link = if n % 4 == 0 { "lte-dev-2" } else { "lte-dev-1" };
        let body = if n % 2 == 0 { up() } else { failed("no-service") };
        records.push(record(&event("a", n * 2, Some(link), body), after_s(n as i64)));
        records.push(record(&event("a", n * 2 + 1, Some(link), signal(-90)), after_s(n as i64)));
        if n % 2 == 0 {
            records.push(record(&event("b", n, Some(link), up()), after_s(n as i64)));
        }
    }
    bench.stream.append(records).await.unwrap();
    bench.fold_all().await;
    bench
}

/// The sequences on all pages of the events at `path`, as they come.
async fn told_at(bench: &Bench, path: &str) -> Vec<u64> {
    let pages = pages(bench, path).await;
    let events = pages.iter().flat_map(|page| page["events"].as_array().unwrap());
    events.map(|told| told["event"]["sequence"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn events_come_newest_first_page_by_page() {
    let bench = talkative().await;
    let all: Vec<u64> = (1..=400).rev().map(|n| n * 2).collect();
    for limit in [1_000, 400, 100, 7] {
        assert_eq!(told_at(&bench, &format!("/v1/routers/a/events?limit={limit}")).await, all, "{limit}");
    }
    let page = bench.json("/v1/routers/a/events?limit=3").await;
    let newest = &page["events"][0];
    assert_eq!(newest["received_at"], "2026-11-02T08:06:40Z");
    assert!(newest["position"].as_str().unwrap().starts_with("tandem.status/"));
    assert_eq!(newest["event"]["source"], "/routers/a");
    // What arrives meanwhile does not shift the pages.
    let cursor = page["cursor"].as_str().unwrap();
    bench
        .stream
        .append(vec![record(&event("a", 9_000, Some("lte-dev-1"), up()), after_s(500))])
        .await
        .unwrap();
    bench.fold_all().await;
    let next = bench.json(&format!("/v1/routers/a/events?limit=1&cursor={cursor}")).await;
    assert_eq!(next["events"][0]["event"]["sequence"], "00000000000000000794");
}

#[tokio::test(start_paused = true)]
async fn events_are_chosen_by_class_type_link_and_time() {
    let bench = talkative().await;
    let chosen = |query: &'static str| {
        let bench = &bench;
        async move { told_at(bench, &format!("/v1/routers/a/events?{query}")).await }
    };
    let of = |wanted: &dyn Fn(u64) -> bool| (1..=400).rev().filter(|n| wanted(*n)).collect::<Vec<u64>>();
    let status = |wanted: &dyn Fn(u64) -> bool| of(wanted).iter().map(|n| n * 2).collect::<Vec<_>>();
    let sample = |wanted: &dyn Fn(u64) -> bool| of(wanted).iter().map(|n| n * 2 + 1).collect::<Vec<_>>();
    assert_eq!(chosen("class=status&limit=90").await, status(&|_| true));
    assert_eq!(chosen("class=sample&limit=90").await, sample(&|_| true));
    assert_eq!(chosen("type=signal.sampled&limit=90").await, sample(&|_| true));
    assert_eq!(chosen("type=link.failed&limit=30").await, status(&|n| n % 2 == 1));
    assert_eq!(
        chosen("type=link.failed,io.tandem.link.changed.v1&link=lte-dev-2").await,
        status(&|n| n % 4 == 0)
    );
    assert_eq!(chosen("class=sample&link=lte-dev-2").await, sample(&|n| n % 4 == 0));
    let window = "from=2026-11-02T08:01:00Z&to=2026-11-02T08:02:00Z&limit=9";
    let told = told_at(&bench, &format!("/v1/routers/a/events?{window}")).await;
    assert_eq!(told, status(&|n| (60..=120).contains(&n)));
    let as_of = bench.json("/v1/routers/a/events?as_of=2026-11-02T08:00:30Z&limit=1").await;
    assert_eq!(as_of["events"][0]["event"]["sequence"], "00000000000000000060");
    assert_eq!(as_of["freshness"]["as_of"], "2026-11-02T08:00:30Z");
    let b = told_at(&bench, "/v1/routers/b/events?limit=50").await;
    assert_eq!(b, of(&|n| n % 2 == 0), "each router its own");
}

#[tokio::test(start_paused = true)]
async fn every_read_answers_about_the_past() {
    let bench = Bench::new().await;
    let told = [(10, up()), (20, down()), (30, up()), (40, failed("no-service"))];
    let records =
        (1..).zip(told).map(|(n, (s, body))| record(&event("a", n, Some("lte-dev-1"), body), after_s(s)));
    bench.stream.append(records.collect()).await.unwrap();
    bench.stream.append(vec![record(&event("b", 1, Some("lte-dev-1"), up()), after_s(25))]).await.unwrap();
    bench.fold_all().await;
    for (time, state, routers) in [
        ("2026-11-02T08:00:10Z", Some("both-up"), 1),
        ("2026-11-02T08:00:19.999Z", Some("both-up"), 1),
        ("2026-11-02T08:00:20Z", Some("down"), 1),
        ("2026-11-02T09:00:25%2B01:00", Some("down"), 2),
        ("2026-11-02T08:00:30.000Z", Some("both-up"), 2),
        ("2026-11-02T08:00:09Z", None, 0),
    ] {
        let list = bench.json(&format!("/v1/routers?as_of={time}")).await;
        assert_eq!(names(&list).len(), routers, "{time}");
        assert_eq!(bench.json(&format!("/v1/fleet?as_of={time}")).await["routers"], routers as u64);
        let one = bench.get(&format!("/v1/routers/a?as_of={time}")).await;
        match state {
            Some(state) => {
                let one = one.json();
                assert_eq!(one["state"], state, "{time}");
                let as_of: DateTime<Utc> = one["freshness"]["as_of"].as_str().unwrap().parse().unwrap();
                let wanted = time.replace("%2B", "+").parse::<DateTime<chrono::FixedOffset>>().unwrap();
                assert_eq!(as_of, wanted.to_utc());
            }
            None => assert!(one.problem(404).contains("\"a\"")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_wrongly_is_refused_by_the_name_of_the_parameter() {
    let bench = fleet(3).await;
    for (path, status, named) in [
        ("/v1/routers?as_of=yesterday", 400, "as_of"),
        ("/v1/routers?as_of=2026-13-02T08:00:00Z", 400, "as_of"),
        ("/v1/routers?as_of=2026-11-02T09:00:00+01:00", 400, "%2B"),
        ("/v1/routers?as_of=", 400, "as_of"),
        ("/v1/fleet?as_of=2099-01-01T00:00:00Z", 400, "future"),
        ("/v1/routers/branch-0001?as_of=-5x", 400, "as_of"),
        ("/v1/routers/branch-0001/events?as_of=no", 400, "as_of"),
        ("/v1/routers/branch-0001/events?from=no", 400, "from"),
        ("/v1/routers/branch-0001/events?to=no", 400, "to"),
        ("/v1/routers/branch-0001/events?type=moon.risen", 400, "moon.risen"),
        ("/v1/routers/branch-0001/events?type=link.failed,signal.sampled", 400, "type"),
        ("/v1/routers/branch-0001/events?type=link.failed&class=sample", 400, "class"),
        ("/v1/routers/branch-0001/events?class=precious", 400, "class"),
        ("/v1/routers/branch-0001/events?cursor=7", 400, "cursor"),
        ("/v1/routers/branch-0001/events?limit=0", 400, "limit"),
        ("/v1/routers/branch-0001/events?limit=1001", 400, "limit"),
        ("/v1/routers/nobody/events", 404, "nobody"),
        ("/v1/routers?limit=0", 400, "limit"),
        ("/v1/routers?limit=1001", 400, "limit"),
        ("/v1/routers?limit=many", 400, "limit"),
        ("/v1/routers?state=broken", 400, "state"),
        ("/v1/routers?colour=red", 400, "colour"),
        ("/v1/fleet?colour=red", 400, "colour"),
        ("/v1/events/live?colour=red", 400, "colour"),
        ("/v1/events/live?class=precious", 400, "class"),
        ("/v1/routers/nobody", 404, "nobody"),
        ("/v1/routers/%FF", 400, ""),
        ("/v1/nothing", 404, "/v1/nothing"),
        ("/nothing.html", 404, "/nothing.html"),
    ] {
        let detail = bench.get(path).await.problem(status);
        assert!(detail.contains(named), "{path}: {detail}");
    }
    for path in ["/v1/routers", "/v1/routers/a", "/v1/fleet", "/v1/events/live", "/healthz", "/", "/page.js"]
    {
        for method in ["POST", "DELETE", "PUT"] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let answer = bench.send(request).await;
            assert!(answer.problem(405).contains(method), "{method} {path}");
            assert_eq!(answer.headers[header::ALLOW], "GET,HEAD", "{method} {path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn health_is_told_apart_from_readiness() {
    let bench = Bench::new().await;
    assert_eq!(bench.get("/healthz").await.body, b"ok\n");
    let ready = bench.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE, "nothing is folded yet");
    bench.fold_all().await;
    let ready = bench.json("/readyz").await;
    assert_eq!(ready["ready"], true, "an empty stream is folded whole");
    assert_eq!(bench.json("/v1/routers").await["routers"], serde_json::json!([]));
    assert_eq!(bench.json("/v1/fleet").await["routers"], 0);
}
