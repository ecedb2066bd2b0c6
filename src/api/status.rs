//! What people read of a router, made from its view: ages and texts that a view has no business with.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::event::{
    AgentSampled, Cell, ClockStepped, FailureClass, IpSettings, LinkFailed, LinkState, Radio,
    RecoveryPerformed, RecoveryResult, RegistrationState, RoundTrips, RouterName, Rung, Signal,
    UplinkStopped,
};
use crate::link::memory::FailureContext;
use crate::link::status::{ActiveProfile, Counters, LinkStatus, ProbeStatus, strength};
use crate::view::{Completeness, FleetView, Latest, LinkView, RouterState, RouterView, TrafficTotals};

/// A router in a list.
#[derive(Serialize)]
pub struct RouterSummary {
    /// Its name.
    pub name: RouterName,
    state: RouterState,
    since: Option<DateTime<Utc>>,
    heard_at: DateTime<Utc>,
    labels: BTreeMap<Box<str>, Box<str>>,
    agent: Agent,
    /// Absent where samples were left out: then nobody can tell what is missing.
    completeness: Option<Completeness>,
    links: Vec<LinkSummary>,
}

#[derive(Serialize)]
struct Agent {
    version: Option<String>,
    /// Whether it runs, as far as it told.
    running: Option<bool>,
    started_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct LinkSummary {
    name: String,
    state: Option<LinkState>,
    since: Option<DateTime<Utc>>,
    cause: Option<String>,
    up: bool,
    /// Whether traffic goes here; absent when the router told no selection.
    carrying: Option<bool>,
    carrier: Option<String>,
    registration: Option<RegistrationState>,
    radio: Option<Radio>,
    band: Option<u16>,
    signal: Option<Signal>,
    signal_at: Option<DateTime<Utc>>,
    strength: Option<&'static str>,
    /// The failure that keeps it down.
    failure: Option<Failure>,
}

/// A failure, dated by the router's clocks that do not lie.
#[derive(Serialize)]
struct Failure {
    attempt: u32,
    r#type: u16,
    code: i32,
    reason: String,
    class: FailureClass,
    failed_at: Option<DateTime<Utc>>,
    next_retry_time: Option<DateTime<Utc>>,
}

impl RouterSummary {
    /// What `view`, a router of `fleet`, says.
    pub fn of(view: &RouterView, fleet: &FleetView) -> Self {
        let state = fleet.state_of(view);
        Self {
            name: view.name.clone(),
            state,
            since: view.since(state),
            heard_at: view.heard_at,
            labels: view.labels.iter().flat_map(|labels| labels.value.iter().cloned()).collect(),
            agent: Agent {
                version: view.started.as_ref().map(|started| started.value.clone()),
                running: view.agent_runs(),
                started_at: dated(view, view.started.as_deref()),
            },
            completeness: fleet.freshness.samples_as_of.is_none().then(|| view.completeness()),
            links: view.links.iter().map(|link| LinkSummary::of(view, link)).collect(),
        }
    }
}

impl LinkSummary {
    fn of(view: &RouterView, link: &LinkView) -> Self {
        let registration = link.registration.as_ref().map(|registration| &registration.value);
        let signal = link.signal.as_ref().map(|signal| &signal.value);
        let run = signal.and_then(|signal| signal.cell.as_ref());
        Self {
            name: link.name.to_string(),
            state: link.state.as_ref().map(|state| state.value),
            since: dated(view, link.changed.as_deref()),
            cause: link.changed.as_ref().map(|changed| changed.value.clone()),
            up: link.is_up(),
            carrying: view.carries(&link.name),
            carrier: link.carrier_name().map(str::to_owned),
            registration: registration.map(|registration| registration.state),
            radio: registration.map(|registration| registration.radio).or(run.map(|run| run.radio)),
            band: run
                .and_then(|run| run.band)
                .or(registration.and_then(|registration| registration.cell.band)),
            signal: signal.map(|signal| signal.signal.clone()),
            signal_at: dated(view, link.signal.as_deref()),
            strength: signal.and_then(|signal| strength(&signal.signal)),
            failure: link.failing().map(|failure| Failure::of(view, failure)),
        }
    }
}

impl Failure {
    fn of(view: &RouterView, failure: &Latest<LinkFailed>) -> Self {
        let failed = &failure.value;
        Self {
            attempt: failed.attempt,
            r#type: failed.r#type,
            code: failed.code,
            reason: failed.reason.clone(),
            class: failed.class,
            failed_at: dated(view, Some(failure)),
            next_retry_time: next_retry_time(view, failure),
        }
    }
}

/// By the span until the retry where it was told: a router that lives in 1970 names a time in 1970.
fn next_retry_time(view: &RouterView, failure: &Latest<LinkFailed>) -> Option<DateTime<Utc>> {
    let after = failure.value.retry_in_ms.and_then(|ms| TimeDelta::try_milliseconds(i64::try_from(ms).ok()?));
    match (dated(view, Some(failure)), after) {
        (Some(failed_at), Some(after)) => failed_at.checked_add_signed(after),
        _ => failure.value.next_retry_time,
    }
}

fn dated<T>(view: &RouterView, latest: Option<&Latest<T>>) -> Option<DateTime<Utc>> {
    view.date(latest?.stamp.moment())
}

/// A router in full.
#[derive(Serialize)]
pub struct RouterStatus {
    #[serde(flatten)]
    summary: RouterSummary,
    config_hash: Option<String>,
    uplinks: Option<Uplinks>,
    agent_usage: Option<AgentSampled>,
    clock_stepped: Option<ClockStepped>,
    /// Sequences that are missing, as far as they are remembered.
    holes: Vec<Hole>,
    details: Vec<LinkDetails>,
}

#[derive(Serialize)]
struct Uplinks {
    carrying: Vec<String>,
    stopped: Vec<UplinkStopped>,
    detection_to_route_ms: Option<f64>,
    selected_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct Hole {
    epoch: String,
    first: u64,
    last: u64,
}

#[derive(Serialize)]
struct LinkDetails {
    /// As the router's own socket would answer, as far as events tell.
    status: LinkStatus,
    settings: Option<IpSettings>,
    modem_present: bool,
    /// Why it last stopped carrying traffic.
    stopped: Option<String>,
    recovery: Option<Recovery>,
    traffic: Option<TrafficTotals>,
    /// Recent signal, oldest first.
    recent: Vec<Point>,
}

#[derive(Serialize)]
struct Recovery {
    rung: Rung,
    result: RecoveryResult,
    cause: Option<String>,
    performed_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct Point {
    time: Option<DateTime<Utc>>,
    rsrp_dbm: Option<i16>,
    snr_db: Option<f32>,
}

impl RouterStatus {
    /// Holes listed.
    const HOLES: usize = 20;

    /// All that `view`, a router of `fleet`, says.
    pub fn of(view: &RouterView, fleet: &FleetView) -> Self {
        let holes =
            view.epochs().holes().map(|(epoch, first, last)| Hole { epoch: epoch.to_string(), first, last });
        Self {
            summary: RouterSummary::of(view, fleet),
            config_hash: view.config_hash.as_ref().map(|hash| hash.value.clone()),
            uplinks: view.uplinks.as_ref().map(|selected| Uplinks {
                carrying: selected.value.carrying.clone(),
                stopped: selected.value.stopped.clone(),
                detection_to_route_ms: selected.value.detection_to_route_ms,
                selected_at: dated(view, Some(selected)),
            }),
            agent_usage: view.agent.as_ref().map(|agent| agent.value.clone()),
            clock_stepped: view.clock_stepped.as_ref().map(|stepped| stepped.value.clone()),
            holes: holes.filter(|_| fleet.freshness.samples_as_of.is_none()).take(Self::HOLES).collect(),
            details: view.links.iter().map(|link| LinkDetails::of(view, link)).collect(),
        }
    }
}

impl LinkDetails {
    fn of(view: &RouterView, link: &LinkView) -> Self {
        let recent = link.points.iter().map(|point| Point {
            time: view.date(point.2),
            rsrp_dbm: point.rsrp_dbm(),
            snr_db: point.snr_db(),
        });
        Self {
            status: link_status(view, link),
            settings: link.settings.as_ref().and_then(|settings| settings.value.as_ref()?.unpack()),
            modem_present: link.modem_present(),
            stopped: link.stopped.as_ref().map(|stopped| stopped.value.clone()),
            recovery: link.recovery.as_ref().and_then(|recovery| {
                let RecoveryPerformed { rung, result, cause, .. } = recovery.value.unpack()?;
                Some(Recovery { rung, result, cause, performed_at: dated(view, Some(recovery)) })
            }),
            traffic: link.traffic.as_deref().copied(),
            recent: recent.collect(),
        }
    }
}

/// The status as the router's own socket would answer it. What no event carries is absent or empty: MAC
/// address, speed, session counters, credentials, priority.
fn link_status(view: &RouterView, link: &LinkView) -> LinkStatus {
    let modem = link.modem.as_ref().and_then(|modem| modem.value.unpack());
    let context = |failure: &Latest<LinkFailed>| FailureContext {
        attempt: failure.value.attempt,
        r#type: failure.value.r#type,
        code: failure.value.code,
        reason: failure.value.reason.clone(),
        class: failure.value.class,
        source: failure.value.source,
        family: failure.value.family,
    };
    let failing = link.failing();
    let is_passing = |failure: &&Latest<LinkFailed>| failure.value.class == FailureClass::Passing;
    LinkStatus {
        name: link.name.to_string(),
        r#type: if modem.is_some() || link.registration.is_some() { "lte" } else { "ethernet" }.into(),
        target_interface: modem.as_ref().and_then(|modem| modem.netdev.clone()).unwrap_or_default(),
        network_interface: None,
        state: link.state.as_ref().map_or(LinkState::Unknown, |state| state.value),
        state_since: dated(view, link.changed.as_deref()).unwrap_or(view.heard_at),
        state_cause: link.changed.as_ref().map(|changed| changed.value.clone()).unwrap_or_default(),
        mac_address: None,
        admin_up: None,
        speed_bps: None,
        counters: link.traffic.as_deref().map(|traffic| Counters {
            in_octets: traffic.rx_bytes,
            in_unicast_packets: traffic.rx_packets,
            in_errors: traffic.rx_errors,
            out_octets: traffic.tx_bytes,
            out_unicast_packets: traffic.tx_packets,
            out_errors: traffic.tx_errors,
            ..Counters::default()
        }),
        profile: ActiveProfile {
            apn: link.apn.as_ref().map(|apn| apn.value.clone()).unwrap_or_default(),
            ..ActiveProfile::default()
        },
        adopted: false,
        settings: link.settings.as_ref().and_then(|settings| settings.value.as_ref()?.unpack()),
        failure: failing.filter(|failure| !is_passing(failure)).map(context),
        passing_failure: failing.filter(is_passing).map(context),
        last_failure_time: dated(view, link.failure.as_deref()),
        next_retry_time: failing.and_then(|failure| next_retry_time(view, failure)),
        packet_statistics: None,
        modem,
        sim: link.sim.as_ref().and_then(|sim| sim.value.unpack()),
        registration: link.registration.as_ref().map(|registration| {
            let mut registration = registration.value.clone();
            registration.cell = newest_cell(link).unwrap_or(registration.cell);
            registration
        }),
        signal: link.signal.as_ref().map(|signal| signal.value.signal.clone()),
        carrying: view.carries(&link.name).unwrap_or(false),
        priority: 0,
        weight: 0,
        probe: probe_status(link),
        cycle_used_bytes: link.plan.as_ref().map(|plan| plan.value.used_bytes),
    }
}

/// The cell of the last sample, where that is later than the registration.
fn newest_cell(link: &LinkView) -> Option<Cell> {
    let (signal, registration) = (link.signal.as_ref()?, link.registration.as_ref()?);
    let run = signal.value.cell.as_ref().filter(|_| signal.stamp.order > registration.stamp.order)?;
    Some(Cell { cell_id: run.cell_id, tac: run.tac, band: run.band })
}

/// The last interval of all targets together.
fn probe_status(link: &LinkView) -> Option<ProbeStatus> {
    if link.probes.is_empty() {
        return None;
    }
    let mut all = RoundTrips::default();
    for probe in &link.probes {
        if let Some(Ok(round_trips)) = probe.value.rtt_us.as_deref().map(RoundTrips::from_base64) {
            all.add(&round_trips);
        }
    }
    let quantile_us = |quantile| (all.count() > 0).then(|| all.quantile_us(quantile));
    Some(ProbeStatus {
        sent: link.probes.iter().map(|probe| u64::from(probe.value.sent)).sum(),
        lost: link.probes.iter().map(|probe| u64::from(probe.value.lost)).sum(),
        p50_us: quantile_us(0.5),
        p95_us: quantile_us(0.95),
        p99_us: quantile_us(0.99),
    })
}
