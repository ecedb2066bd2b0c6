//! The fold: what an event costs from its JSON into the view of the fleet, how soon a central of 100,000 routers
//! answers after a restart, and how soon it answers about the past.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use tandem::api::{self, Sources};
use tandem::central::{Central, Snapshots};
use tandem::event::{
    AgentStarted, Body, CardState, Carrier, CauseSource, Cell, Event, FailureClass, IpSettings, LinkChanged,
    LinkFailed, LinkState, ModemDetected, Radio, RegistrationChanged, RegistrationState, SimChanged,
    UplinkSelected,
};
use tandem::stream::{CE_TYPE, EMBEDDED, Record, Shared, Topic};
use tandem::view::FleetView;
use tower::ServiceExt as _;

use crate::figure::{Bench, cpu_s, figure};
use crate::gateway::{agent, event, probe, signal, traffic};

/// Minutes that each router tells of.
const MINUTES: u64 = 3;

/// Status events of one router in a round of the fleet: one router in this many has something to say.
const STATUS_SHARE: usize = 8;

pub fn run(bench: &Bench) {
    apply(bench);
    serve(bench);
}

/// Decodes and folds mixed events of many routers, minute by minute, in the order in which they arrive.
fn apply(bench: &Bench) {
    let routers = if bench.quick() { 100 } else { 10_000 };
    let start = Utc::now();
    let mut fleet = FleetView::default();
    for router in 0..routers {
        life(router, start).iter().for_each(|event| fleet.apply(event, start));
    }
    let rounds: Vec<Vec<u8>> = (0..MINUTES)
        .flat_map(|minute| (0..routers).flat_map(move |router| round(router, minute, start)))
        .map(|event| event.to_json())
        .collect();
    let bytes: usize = rounds.iter().map(Vec::len).sum();
    figure("fold.event", bytes as f64 / rounds.len() as f64, "bytes");
    let (mut decoded_s, mut folded_s) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..3 {
        let began_s = cpu_s();
        rounds.iter().for_each(|json| {
            black_box(Event::from_json(json).expect("an event"));
        });
        decoded_s = decoded_s.min(cpu_s() - began_s);
        let mut fleet = fleet.clone();
        // Views are shared with a snapshot at most once a minute, so taking them over is not part of the figure.
        touch(&mut fleet, routers, start);
        let began_s = cpu_s();
        for json in &rounds {
            fleet.apply(&Event::from_json(json).expect("an event"), start);
        }
        folded_s = folded_s.min(cpu_s() - began_s);
    }
    figure("fold.decode", decoded_s / rounds.len() as f64 * 1e9, "ns");
    figure("fold.events", rounds.len() as f64 / folded_s, "events/s");
}

fn touch(fleet: &mut FleetView, routers: usize, time: DateTime<Utc>) {
    for router in 0..routers {
        fleet.apply(&event(router, 15, None, agent(), time), time);
    }
}

/// A central of 100,000 routers: an hour of status events behind its last hourly snapshot.
fn serve(bench: &Bench) {
    let routers = if bench.quick() { 200 } else { 100_000 };
    let folder = tempfile::tempdir().expect("a folder");
    let now = Utc::now();
    let hour_ago = now - TimeDelta::hours(1);
    let mut fleet = FleetView::default();
    for router in 0..routers {
        let minutes = (0..5).flat_map(|minute| round(router, minute, hour_ago));
        life(router, hour_ago)
            .iter()
            .chain(&minutes.collect::<Vec<_>>())
            .for_each(|event| fleet.apply(event, hour_ago));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let snapshots = folder.path().join("snapshots");
        let writer = Snapshots::open(&snapshots, EMBEDDED.into()).expect("a folder");
        let began = Instant::now();
        writer.write_latest(&fleet).expect("room on the disk");
        figure("central.snapshot.write", began.elapsed().as_secs_f64(), "s");
        writer.write_dated(&fleet).expect("room on the disk");
        let size = std::fs::metadata(snapshots.join("latest.view")).expect("a file").len();
        figure("central.snapshot.router", size as f64 / routers as f64, "bytes");
        drop(fleet);
        let stream = crate::stream::open(folder.path());
        hour(&stream, routers, hour_ago).await;

        let (began, began_s) = (Instant::now(), cpu_s());
        let (central, app) = open(&stream, &snapshots).await;
        ask(&app, "/v1/routers").await;
        figure("central.restart", began.elapsed().as_secs_f64(), "s");
        figure("central.restart.cpu", cpu_s() - began_s, "s");
        let began = Instant::now();
        ask(&app, "/v1/routers?q=99").await;
        figure("central.filter", began.elapsed().as_secs_f64() * 1e3, "ms");
        let began = Instant::now();
        while !central.step().await.expect("a stream") {}
        figure("central.catch-up", (routers as f64) / began.elapsed().as_secs_f64(), "events/s");
        // An hour in which every router told something, the first minutes of it, and another moment of those.
        for (figure_name, minutes) in
            [("central.as-of", 59), ("central.as-of.early", 5), ("central.as-of.again", 4)]
        {
            let as_of = (hour_ago + TimeDelta::minutes(minutes)).format("%Y-%m-%dT%H:%M:%SZ");
            let (began, began_s) = (Instant::now(), cpu_s());
            ask(&app, &format!("/v1/routers?as_of={as_of}")).await;
            figure(figure_name, began.elapsed().as_secs_f64(), "s");
            figure(&format!("{figure_name}.cpu"), cpu_s() - began_s, "s");
        }
    });
}

/// One status event of each router, spread over the hour.
async fn hour(stream: &Shared, routers: usize, start: DateTime<Utc>) {
    for chunk in (0..routers).collect::<Vec<_>>().chunks(10_000) {
        let records = chunk.iter().map(|&router| {
            let time = start + TimeDelta::milliseconds((router * 3_600_000 / routers) as i64);
            let event = status(router, 60, time);
            Record {
                topic: Topic::Status,
                key: event.router.to_string(),
                headers: vec![(CE_TYPE.into(), event.body.kind().to_owned())],
                value: Some(event.to_json()),
                time,
            }
        });
        stream.append(records.collect()).await.expect("room on the disk");
    }
}

async fn open(stream: &Shared, snapshots: &Path) -> (Arc<Central>, axum::Router) {
    let central = Central::open(stream.clone(), snapshots).await.expect("a central");
    let past = central.clone();
    let sources = Sources {
        fleet: central.fleet(),
        past: Arc::new(move |time| {
            let central = past.clone();
            Box::pin(async move { central.as_of(time).await })
        }),
        live: central.live(),
        stream: stream.clone(),
        stop: tokio::sync::watch::channel(false).1,
        ready: Arc::default(),
    };
    (central, api::router(sources))
}

async fn ask(app: &axum::Router, path: &str) {
    let request = Request::get(path).body(HttpBody::empty()).expect("a request");
    let response = app.clone().oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    assert!(body.len() > 1_000, "{path} is empty");
}

/// What a router says when it starts: its first 14 events.
fn life(router: usize, time: DateTime<Utc>) -> Vec<Event> {
    let mut told: Vec<(Option<&str>, Body)> = vec![(
        None,
        AgentStarted {
            version: "0.1.0".into(),
            build: None,
            cause: "boot".into(),
            config_hash: "9f86d081884c7d65".into(),
            clean_shutdown: Some(true),
            labels: [("site", format!("site {router}")), ("region", format!("region-{}", router % 12))]
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
        }
        .into(),
    )];
    for link in ["lte-dev-1", "lte-dev-2"] {
        let modem = ModemDetected {
            netdev: Some("wwp0s21u1i8".into()),
            manufacturer: Some("Sierra Wireless, Incorporated".into()),
            model: Some("EM7455".into()),
            firmware: Some("SWI9X30C_02.24.05.06".into()),
            imei: Some(format!("3520730{router:08}")),
            ..Default::default()
        };
        told.push((Some(link), modem.into()));
        let sim = SimChanged {
            card: CardState::Ready,
            slot: Some(1),
            iccid: Some(format!("89014{router:014}")),
            imsi: None,
            msisdn: None,
            pin: None,
            pin_retries: None,
            puk_retries: None,
        };
        told.push((Some(link), sim.into()));
        told.push((Some(link), registration(router).into()));
        told.push((Some(link), changed(LinkState::Registering, LinkState::Connecting, router).into()));
        told.push((Some(link), failed(1).into()));
        told.push((Some(link), changed(LinkState::Connecting, LinkState::Connected, router).into()));
    }
    let selected = UplinkSelected {
        carrying: vec!["lte-dev-1".into(), "lte-dev-2".into()],
        stopped: Vec::new(),
        detection_to_route_ms: Some(3.2),
        correlation_id: "c-1".into(),
    };
    told.push((None, selected.into()));
    (1..).zip(told).map(|(sequence, (link, body))| event(router, sequence, link, body, time)).collect()
}

/// What a router says in a minute: seven samples, now and then a status event.
fn round(router: usize, minute: u64, start: DateTime<Utc>) -> Vec<Event> {
    let time = start + TimeDelta::minutes(minute as i64);
    let first = 16 + minute * 8;
    let mut told = Vec::new();
    for link in ["lte-dev-1", "lte-dev-2"] {
        told.push((Some(link), signal(router).into()));
        told.push((Some(link), traffic(router).into()));
        told.push((Some(link), probe().into()));
    }
    told.push((None, agent()));
    let mut events: Vec<Event> = (first..)
        .zip(told)
        .map(|(sequence, (link, body))| event(router, sequence, link, body, time))
        .collect();
    if router.is_multiple_of(STATUS_SHARE) {
        events.push(status(router, first + 7, time));
    }
    events
}

fn status(router: usize, sequence: u64, time: DateTime<Utc>) -> Event {
    let body: Body = match router / STATUS_SHARE % 4 {
        0 => changed(LinkState::Connected, LinkState::Waiting, router).into(),
        1 => failed(7).into(),
        2 => registration(router).into(),
        _ => changed(LinkState::Connecting, LinkState::Connected, router).into(),
    };
    event(router, sequence, Some("lte-dev-2"), body, time)
}

fn changed(from: LinkState, to: LinkState, router: usize) -> LinkChanged {
    let settings =
        (to == LinkState::Connected).then(|| IpSettings { mtu_bytes: Some(1430), ..Default::default() });
    LinkChanged {
        from,
        to,
        cause: format!("cause {}", router % 7),
        settings,
        adopted: None,
        apn: Some("broadband".into()),
        correlation_id: None,
    }
}

fn failed(attempt: u32) -> LinkFailed {
    LinkFailed {
        attempt,
        r#type: 6,
        code: 33,
        reason: "option-unsubscribed".into(),
        class: FailureClass::Subscription,
        source: CauseSource::VerboseCallEndReason,
        family: None,
        next_retry_time: None,
        retry_in_ms: Some(60_000),
        signal: None,
        cell: None,
        detail: None,
        correlation_id: None,
    }
}

fn registration(router: usize) -> RegistrationChanged {
    RegistrationChanged {
        state: RegistrationState::Registered,
        radio: Radio::Lte,
        carrier: Some(Carrier {
            name: Some(["Aurora Mobile", "Borealis LTE", "Cirrus Wireless"][router % 3].into()),
            mcc: "001".into(),
            mnc: "01".into(),
        }),
        roaming: Some(false),
        cell: Cell { cell_id: Some(0x01a2_b301), tac: Some(4_711), band: Some(3) },
        reject: None,
    }
}
