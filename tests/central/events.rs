//! Events as a router writes them, and records as the gateway stores them.

use chrono::{DateTime, Utc};
use tandem::event::{AgentStarted, Carrier};
use tandem::event::{
    Body, CauseSource, Cell, CellRun, ClockState, Epoch, Event, FailureClass, LinkChanged, LinkFailed,
    LinkState, Origin, Radio, RegistrationChanged, RegistrationState, Sequence, SignalSampled,
    TrafficSampled, Unknown,
};
use tandem::stream::{CE_TYPE, Record, Topic};

/// An event of the only epoch of `router`, ten seconds after the one before it.
pub fn event(router: &str, sequence: u64, link: Option<&str>, body: Body) -> Event {
    let uptime_ms = sequence * 10_000;
    Event {
        router: router.parse().unwrap(),
        epoch: Epoch(7),
        sequence: Sequence(sequence),
        time: super::after_s(sequence as i64 * 10),
        subject: link.map(str::to_owned),
        origin: Origin { boot_id: "boot-a".into(), uptime_ms, clock: ClockState::Synced },
        body,
    }
}

/// `event` as it lies in the stream.
pub fn record(event: &Event, taken_in: DateTime<Utc>) -> Record {
    Record {
        topic: Topic::of(event.class()),
        key: event.router.to_string(),
        headers: vec![(CE_TYPE.into(), event.body.kind().to_owned())],
        value: Some(event.to_json()),
        time: taken_in,
    }
}

pub fn started(region: &str) -> Body {
    AgentStarted {
        version: "0.1.0".into(),
        build: None,
        cause: "boot".into(),
        config_hash: "c0ffee".into(),
        clean_shutdown: None,
        labels: [("region".to_owned(), region.to_owned())].into(),
    }
    .into()
}

pub fn changed(from: LinkState, to: LinkState) -> Body {
    LinkChanged {
        from,
        to,
        cause: "test".into(),
        settings: None,
        adopted: None,
        apn: Some("broadband".into()),
        correlation_id: None,
    }
    .into()
}

pub fn up() -> Body {
    changed(LinkState::Connecting, LinkState::Connected)
}

pub fn down() -> Body {
    changed(LinkState::Connected, LinkState::Waiting)
}

pub fn failed(reason: &str) -> Body {
    LinkFailed {
        attempt: 3,
        r#type: 6,
        code: 33,
        reason: reason.into(),
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
    .into()
}

pub fn registered(carrier: &str) -> Body {
    RegistrationChanged {
        state: RegistrationState::Registered,
        radio: Radio::Lte,
        carrier: Some(Carrier { name: Some(carrier.into()), mcc: "001".into(), mnc: "01".into() }),
        roaming: None,
        cell: Cell::default(),
        reject: None,
    }
    .into()
}

pub fn signal(rsrp_dbm: i16) -> Body {
    SignalSampled {
        offset_ms: vec![0, 10_000],
        rssi_dbm: vec![Some(-60); 2],
        rsrp_dbm: vec![Some(rsrp_dbm), Some(rsrp_dbm + 1)],
        rsrq_db: vec![Some(-11); 2],
        snr_db: vec![Some(13.4); 2],
        runs: vec![CellRun { count: 2, radio: Radio::Lte, band: Some(3), cell_id: Some(77), tac: Some(5) }],
    }
    .into()
}

pub fn traffic(bytes: u64) -> Body {
    TrafficSampled { offset_ms: vec![10_000], rx_bytes: vec![bytes], ..Default::default() }.into()
}

/// A kind of a release to come.
pub fn unknown() -> Body {
    Body::Unknown(Unknown {
        kind: "io.tandem.moon.risen.v1".into(),
        data: r#"{"boot_id":"boot-a","uptime_ms":10000,"clock":"synced","phase":"full"}"#.into(),
    })
}
