//! What a router says now and then, and when its carrier fails.

use chrono::{DateTime, Utc};
use tandem::event::{
    AgentSampled, Body, CauseSource, ClockState, Epoch, Event, FailureClass, LinkChanged, LinkFailed,
    LinkState, Origin, ProbeSampled, Sequence, TrafficSampled,
};
use tandem::stream::{CE_TYPE, Record, Topic};

use crate::signal;

/// Between two samples of a link.
const SAMPLE_S: f64 = 10.0;
pub const EPOCH: Epoch = Epoch(7);
const LINKS: [&str; 2] = ["lte-dev-1", "lte-dev-2"];

/// Name of router `number`.
pub fn name(number: usize) -> String {
    format!("branch-{number:06}")
}

/// Whether it is a customer of the carrier that fails: 40 % are.
pub fn is_hit(number: usize) -> bool {
    number % 5 < 2
}

/// Signal samples of one router in `seconds`.
pub fn samples(seconds: f64) -> u64 {
    LINKS.len() as u64 * (seconds / SAMPLE_S) as u64
}

/// The samples of `seconds`; behind those of one router in a hundred, a failure and its end.
pub fn batch(number: usize, first: u64, time: DateTime<Utc>, seconds: f64) -> Vec<Event> {
    let (minutes, interval_ms) = ((seconds / 60.0).ceil() as u32, (seconds * 1e3) as u32);
    let mut bodies: Vec<(Option<&str>, Body)> = Vec::with_capacity(9);
    for link in LINKS {
        bodies.push((Some(link), signal::sampled(number, (seconds / SAMPLE_S) as usize).into()));
        let traffic = TrafficSampled {
            offset_ms: (1..=minutes).map(|minute| minute * 60_000).collect(),
            rx_bytes: column(minutes, 48_213 + number as u64 % 977),
            tx_bytes: column(minutes, 22_871),
            rx_packets: column(minutes, 311),
            tx_packets: column(minutes, 287),
            ..Default::default()
        };
        bodies.push((Some(link), traffic.into()));
        let probe = ProbeSampled {
            target: "192.0.2.1".into(),
            interval_ms,
            sent: 2 * minutes,
            lost: 0,
            rtt_us: None,
        };
        bodies.push((Some(link), probe.into()));
    }
    bodies.push((None, AgentSampled { interval_ms, memory_bytes: 7_340_032, ..Default::default() }.into()));
    if number.is_multiple_of(100) {
        bodies.push((Some(LINKS[1]), failed("no-service").into()));
        bodies.push((
            Some(LINKS[1]),
            changed(LinkState::Connecting, LinkState::Connected, "service is back").into(),
        ));
    }
    events(number, first, time, bodies)
}

/// The carrier of the first link fails.
pub fn outage(number: usize, first: u64, time: DateTime<Utc>) -> Vec<Event> {
    let bodies = vec![
        (Some(LINKS[0]), failed(OUTAGE).into()),
        (Some(LINKS[0]), changed(LinkState::Connected, LinkState::Waiting, OUTAGE).into()),
    ];
    events(number, first, time, bodies)
}

/// Reason of the outage.
pub const OUTAGE: &str = "network-failure";

/// A change of a link, as event `sequence`.
pub fn status(number: usize, sequence: u64, time: DateTime<Utc>) -> Event {
    let (from, to) = if sequence.is_multiple_of(2) {
        (LinkState::Connecting, LinkState::Connected)
    } else {
        (LinkState::Connected, LinkState::Waiting)
    };
    let body = changed(from, to, "cause").into();
    events(number, sequence, time, vec![(Some(LINKS[sequence as usize / 2 % 2]), body)]).remove(0)
}

/// As a gateway stores it.
pub fn record(event: &Event, time: DateTime<Utc>) -> Record {
    Record {
        topic: Topic::of(event.class()),
        key: event.router.to_string(),
        headers: vec![(CE_TYPE.into(), event.body.kind().to_owned())],
        value: Some(event.to_json()),
        time,
    }
}

fn events(number: usize, first: u64, time: DateTime<Utc>, bodies: Vec<(Option<&str>, Body)>) -> Vec<Event> {
    let event = |(sequence, (subject, body)): (u64, (Option<&str>, Body))| Event {
        router: name(number).parse().expect("a name"),
        epoch: EPOCH,
        sequence: Sequence(sequence),
        time,
        subject: subject.map(str::to_owned),
        origin: Origin {
            boot_id: "0f8fad5b-d9cb-469f-a165-70867728950e".into(),
            uptime_ms: 86_400_000 + sequence,
            clock: ClockState::Synced,
        },
        body,
    };
    (first..).zip(bodies).map(event).collect()
}

/// What hardly moves, once a minute.
fn column(minutes: u32, value: u64) -> Vec<u64> {
    (0..u64::from(minutes)).map(|minute| value + minute % 7).collect()
}

fn changed(from: LinkState, to: LinkState, cause: &str) -> LinkChanged {
    LinkChanged {
        from,
        to,
        cause: cause.into(),
        settings: None,
        adopted: None,
        apn: Some("broadband".into()),
        correlation_id: None,
    }
}

fn failed(reason: &str) -> LinkFailed {
    LinkFailed {
        attempt: 1,
        r#type: 6,
        code: 38,
        reason: reason.into(),
        class: FailureClass::NetworkBusy,
        source: CauseSource::VerboseCallEndReason,
        family: None,
        next_retry_time: None,
        retry_in_ms: Some(10_000),
        signal: None,
        cell: None,
        detail: None,
        correlation_id: None,
    }
}
