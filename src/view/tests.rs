//! Properties of the folds.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;
use crate::event::*;

fn start() -> DateTime<Utc> {
    "2026-11-02T08:00:00Z".parse().unwrap()
}

/// A word of a router: which kind, about which link, with which choice of content.
type Word = (u8, bool, u8);

/// Events of one router that speak `words`, ten seconds apart.
fn life(router: &str, epoch: u64, words: &[Word]) -> Vec<Event> {
    words.iter().enumerate().map(|(index, word)| event(router, epoch, index as u64 + 1, *word)).collect()
}

fn event(router: &str, epoch: u64, sequence: u64, (kind, second, choice): Word) -> Event {
    let body = body(kind, choice);
    let about_link = !matches!(
        body,
        Body::AgentStarted(_)
            | Body::UplinkSelected(_)
            | Body::AgentSampled(_)
            | Body::Unknown(_)
            | Body::SpoolDropped(_)
    );
    let link = if second { "lte-dev-2" } else { "lte-dev-1" };
    let uptime_ms = epoch * 1_000_000 + sequence * 10_000;
    Event {
        router: router.parse().unwrap(),
        epoch: Epoch(epoch),
        sequence: Sequence(sequence),
        time: start() + TimeDelta::milliseconds(uptime_ms as i64),
        subject: about_link.then(|| link.to_owned()),
        origin: Origin { boot_id: "boot-a".into(), uptime_ms, clock: ClockState::Synced },
        body,
    }
}

fn body(kind: u8, choice: u8) -> Body {
    let states = [LinkState::Connected, LinkState::Waiting, LinkState::Suspect, LinkState::Registering];
    let state = |choice: u8| states[usize::from(choice) % states.len()];
    match kind % 10 {
        0 => AgentStarted {
            version: format!("1.{choice}"),
            build: None,
            cause: "boot".into(),
            config_hash: format!("h{choice}"),
            clean_shutdown: None,
            labels: BTreeMap::from([("region".into(), format!("r{}", choice % 3))]),
        }
        .into(),
        1 | 2 => LinkChanged {
            from: state(choice / 4),
            to: state(choice),
            cause: format!("cause {choice}"),
            settings: choice.is_multiple_of(2).then(IpSettings::default),
            adopted: None,
            apn: Some("broadband".into()),
            correlation_id: None,
        }
        .into(),
        3 => LinkFailed {
            attempt: u32::from(choice),
            r#type: 6,
            code: 33,
            reason: ["option-unsubscribed", "no-service"][usize::from(choice) % 2].into(),
            class: FailureClass::Subscription,
            source: CauseSource::VerboseCallEndReason,
            family: None,
            next_retry_time: None,
            retry_in_ms: Some(1000),
            signal: None,
            cell: None,
            detail: None,
            correlation_id: None,
        }
        .into(),
        4 => RegistrationChanged {
            state: RegistrationState::Registered,
            radio: [Radio::Lte, Radio::Umts][usize::from(choice) % 2],
            carrier: (!choice.is_multiple_of(3)).then(|| Carrier {
                name: Some(format!("carrier-{}", choice % 3)),
                mcc: "310".into(),
                mnc: "410".into(),
            }),
            roaming: None,
            cell: Cell::default(),
            reject: None,
        }
        .into(),
        5 => signal(usize::from(choice % 8), -80 - i16::from(choice)).into(),
        6 => TrafficSampled {
            offset_ms: vec![10_000],
            rx_bytes: vec![u64::from(choice)],
            ..Default::default()
        }
        .into(),
        7 => UplinkSelected {
            carrying: vec!["lte-dev-1".into()],
            stopped: vec![UplinkStopped { uplink: "lte-dev-2".into(), cause: format!("why {choice}") }],
            detection_to_route_ms: None,
            correlation_id: "c".into(),
        }
        .into(),
        8 => AgentSampled { memory_bytes: u64::from(choice), ..Default::default() }.into(),
        _ => Body::Unknown(Unknown { kind: "io.tandem.moon.risen.v1".into(), data: "{}".into() }),
    }
}

fn signal(samples: usize, rsrp_dbm: i16) -> SignalSampled {
    SignalSampled {
        offset_ms: (0..samples as u32).map(|index| index * 10_000).collect(),
        rssi_dbm: vec![Some(-60); samples],
        rsrp_dbm: vec![Some(rsrp_dbm); samples],
        rsrq_db: vec![None; samples],
        snr_db: vec![Some(13.4); samples],
        runs: vec![CellRun {
            count: samples as u32,
            radio: Radio::Lte,
            band: Some(3),
            cell_id: None,
            tac: None,
        }],
    }
}

/// A fold in the given order; every event is received at one and the same time.
fn folded<'a>(events: impl IntoIterator<Item = &'a Event>) -> FleetView {
    let mut fleet = FleetView::default();
    events.into_iter().for_each(|event| fleet.apply(event, start()));
    fleet
}

/// Everything that a fleet says, as bytes.
fn bytes(fleet: &FleetView) -> String {
    let routers: Vec<_> =
        fleet.routers_after(None).map(|view| serde_json::to_string(&**view).unwrap()).collect();
    format!("{}\n{}", serde_json::to_string(&fleet.counts()).unwrap(), routers.join("\n"))
}

/// The same but for the number of doubles.
fn bytes_without_doubles(fleet: &FleetView) -> String {
    let mut copy = FleetView::default();
    for view in fleet.routers_after(None) {
        let mut view = (**view).clone();
        view.doubles = 0;
        copy.restore(view);
    }
    bytes(&copy)
}

fn words() -> impl Strategy<Value = Vec<Word>> {
    prop::collection::vec((0..10_u8, any::<bool>(), any::<u8>()), 1..60)
}

proptest! {
    #[test]
    fn doubles_are_harmless(words in words(), again in prop::collection::vec(any::<prop::sample::Index>(), 0..30)) {
        let events = life("a", 1, &words);
        let mut doubled: Vec<&Event> = events.iter().collect();
        for index in &again {
            let at = index.index(events.len());
            doubled.push(&events[at]);
        }
        let (once, twice) = (folded(&events), folded(doubled));
        prop_assert_eq!(twice.router("a").unwrap().completeness().doubles, again.len() as u64);
        prop_assert_eq!(bytes_without_doubles(&once), bytes_without_doubles(&twice));
    }

    #[test]
    fn any_order_of_arrival_gives_the_same_bytes(words in words(), seed in any::<u64>()) {
        let events = life("a", 1, &words);
        let mut shuffled: Vec<&Event> = events.iter().collect();
        shuffle(&mut shuffled, seed);
        prop_assert_eq!(bytes(&folded(&events)), bytes(&folded(shuffled)));
    }

    #[test]
    fn routers_do_not_touch_each_other(a in words(), b in words(), seed in any::<u64>()) {
        let (a, b) = (life("a", 1, &a), life("b", 1, &b));
        let one_after_the_other: Vec<&Event> = a.iter().chain(&b).collect();
        let mut mixed = one_after_the_other.clone();
        shuffle(&mut mixed, seed);
        prop_assert_eq!(bytes(&folded(one_after_the_other)), bytes(&folded(mixed)));
    }

    #[test]
    fn a_snapshot_at_any_place_and_the_rest_give_the_whole(words in words(), cut in any::<prop::sample::Index>()) {
        let events = life("a", 1, &words);
        let cut = cut.index(events.len() + 1);
        let mut resumed = FleetView::default();
        for view in folded(&events[..cut]).routers_after(None) {
            let cbor = cbor4ii::serde::to_vec(Vec::new(), &**view).unwrap();
            let read: RouterView = cbor4ii::serde::from_slice(&cbor).unwrap();
            prop_assert_eq!(&read, &**view);
            resumed.restore(read);
        }
        events[cut..].iter().for_each(|event| resumed.apply(event, start()));
        prop_assert_eq!(bytes(&folded(&events)), bytes(&resumed));
    }

    #[test]
    fn parts_restored_beside_each_other_give_the_whole(
        words in prop::collection::vec(words(), 1..6),
        parts in prop::collection::vec(0..3_usize, 12),
    ) {
        let lives = ["a", "b", "c", "d", "e", "f"].into_iter().zip(&words).map(|(name, words)| life(name, 1, words));
        let whole = folded(&lives.flatten().collect::<Vec<_>>());
        let mut restored = [FleetView::default(), FleetView::default(), FleetView::default()];
        // Some in two parts.
        let views: Vec<RouterView> = whole.routers_after(None).map(|view| (**view).clone()).collect();
        for (view, at) in views.iter().cycle().zip(&parts) {
            restored[*at].restore(view.clone());
        }
        let mut joined = FleetView::default();
        restored.into_iter().for_each(|part| joined.absorb(part));
        prop_assert_eq!(bytes(&whole), bytes(&joined));
    }

    #[test]
    fn counts_kept_step_by_step_equal_counts_made_anew(a in words(), b in words(), silent_after in 0..400_i64) {
        let mut fleet = folded(&life("a", 1, &a));
        let later = start() + TimeDelta::seconds(silent_after);
        fleet.settle(start());
        life("b", 1, &b).iter().for_each(|event| fleet.apply(event, later));
        fleet.settle(later);
        let mut anew = FleetView::default();
        anew.freshness = fleet.freshness.clone();
        fleet.routers_after(None).for_each(|view| anew.restore((**view).clone()));
        anew.settle(later);
        prop_assert_eq!(fleet.counts(), anew.counts());
        prop_assert_eq!(fleet.counts().states.contains_key(&RouterState::Silent), silent_after >= 180);
    }

    #[test]
    fn hostile_columns_and_sequences_are_survived(
        columns in prop::collection::vec(prop::collection::vec(any::<Option<i16>>(), 0..50), 3),
        offsets in prop::collection::vec(any::<u32>(), 0..50),
        snr in prop::collection::vec(any::<Option<f32>>(), 0..50),
        places in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 1..20),
    ) {
        let mut fleet = FleetView::default();
        for (epoch, sequence, uptime_ms) in places {
            let mut event = event("a", epoch % 1000, sequence % 1000, (5, false, 0));
            (event.sequence, event.epoch, event.origin.uptime_ms) = (Sequence(sequence), Epoch(epoch), uptime_ms);
            event.body = SignalSampled {
                offset_ms: offsets.clone(),
                rssi_dbm: columns[0].clone(),
                rsrp_dbm: columns[1].clone(),
                rsrq_db: columns[2].clone(),
                snr_db: snr.clone(),
                runs: vec![],
            }
            .into();
            fleet.apply(&event, start());
        }
        fleet.settle(start());
        let view = fleet.router("a").unwrap();
        prop_assert!(view.links.iter().all(|link| link.points.iter().count() <= Points::KEPT_MAX));
        for point in view.links.iter().flat_map(|link| link.points.iter()) {
            let _ = view.date(point.2);
        }
    }
}

fn shuffle<T>(items: &mut [T], seed: u64) {
    fastrand::Rng::with_seed(seed).shuffle(items);
}

fn changed(from: LinkState, to: LinkState) -> Body {
    LinkChanged {
        from,
        to,
        cause: "test".into(),
        settings: None,
        adopted: None,
        apn: None,
        correlation_id: None,
    }
    .into()
}

fn with_body(router: &str, sequence: u64, link: &str, body: Body) -> Event {
    Event { subject: Some(link.into()), body, ..event(router, 1, sequence, (9, false, 0)) }
}

#[test]
fn states_follow_the_links() {
    let up =
        |sequence, link| with_body("a", sequence, link, changed(LinkState::Connecting, LinkState::Connected));
    let fails =
        |sequence, link| with_body("a", sequence, link, changed(LinkState::Connected, LinkState::Waiting));
    let mut fleet = FleetView::default();
    let mut check = |event: Event, state: RouterState| {
        fleet.apply(&event, start());
        assert_eq!(fleet.router("a").unwrap().link_state(), state);
        assert_eq!(fleet.counts().states, BTreeMap::from([(state, 1)]));
    };
    check(event("a", 1, 1, (9, false, 0)), RouterState::Down);
    check(up(2, "lte-dev-1"), RouterState::BothUp);
    check(fails(3, "lte-dev-2"), RouterState::Degraded);
    check(up(4, "lte-dev-2"), RouterState::BothUp);
    check(fails(6, "lte-dev-1"), RouterState::Degraded);
    check(up(5, "lte-dev-1"), RouterState::Degraded);
    check(fails(7, "lte-dev-2"), RouterState::Down);
}

#[test]
fn nobody_is_silent_while_the_stream_stands_still() {
    let mut fleet = folded([&event("a", 1, 1, (9, false, 0)), &event("b", 1, 1, (9, false, 0))]);
    fleet.settle(start() + TimeDelta::days(1));
    assert_eq!(fleet.counts().states, BTreeMap::from([(RouterState::Down, 2)]));
    let moved_at = start() + RouterView::SILENT_AFTER;
    fleet.apply(&event("b", 1, 2, (9, false, 0)), moved_at);
    fleet.settle(moved_at);
    assert_eq!(fleet.state_of(fleet.router("a").unwrap()), RouterState::Silent);
    assert_eq!(fleet.state_of(fleet.router("b").unwrap()), RouterState::Down);
    fleet.apply(&event("a", 1, 2, (5, false, 3)), moved_at);
    assert_eq!(fleet.state_of(fleet.router("a").unwrap()), RouterState::Down, "a sample is a sign of life");
}

#[test]
fn a_gap_is_counted_and_what_was_given_up_is_told_apart() {
    let dropped = SpoolDropped {
        class: Class::Sample,
        first_sequence: 3,
        last_sequence: 5,
        count: 3,
        cause: "full".into(),
        of_epoch: None,
    };
    let fleet = folded([
        &event("a", 1, 1, (9, false, 0)),
        &event("a", 1, 2, (9, false, 0)),
        &Event { body: dropped.into(), ..event("a", 1, 10, (9, false, 0)) },
    ]);
    let completeness = fleet.router("a").unwrap().completeness();
    assert_eq!(completeness, Completeness { received: 3, expected: 10, missing: 7, dropped: 3, doubles: 0 });
}

#[test]
fn a_failure_keeps_a_link_down_only_until_it_comes_up() {
    let failed = body(3, 0);
    let mut fleet = folded([
        &with_body("a", 2, "lte-dev-1", failed.clone()),
        &with_body("a", 3, "lte-dev-1", changed(LinkState::Connecting, LinkState::Waiting)),
    ]);
    let failing =
        |fleet: &FleetView| fleet.router("a").unwrap().link("lte-dev-1").unwrap().failing().is_some();
    assert!(failing(&fleet));
    assert_eq!(fleet.counts().reasons, BTreeMap::from([("option-unsubscribed".to_owned(), 1)]));
    fleet.apply(
        &with_body("a", 4, "lte-dev-1", changed(LinkState::Connecting, LinkState::Connected)),
        start(),
    );
    assert!(!failing(&fleet));
    fleet.apply(&with_body("a", 5, "lte-dev-1", changed(LinkState::Connected, LinkState::Suspect)), start());
    assert!(!failing(&fleet), "the old failure is not why it is suspect now");
    assert!(fleet.counts().reasons.is_empty());
}

#[test]
fn a_spool_set_aside_is_followed_by_its_new_epoch() {
    let late = with_body("a", 50, "lte-dev-1", changed(LinkState::Connecting, LinkState::Connected));
    let mut fresh = with_body("a", 1, "lte-dev-1", changed(LinkState::Connected, LinkState::Waiting));
    (fresh.epoch, fresh.origin.uptime_ms) = (Epoch(9), 9_000_000);
    for order in [[&late, &fresh], [&fresh, &late]] {
        let fleet = folded(order);
        let view = fleet.router("a").unwrap();
        assert_eq!(view.link("lte-dev-1").unwrap().state.as_ref().unwrap().value, LinkState::Waiting);
        assert_eq!(view.epochs().count(), 2);
    }
}

#[test]
fn a_router_stays_small_whatever_it_says() {
    let mut fleet = FleetView::default();
    for sequence in 1..2_000 {
        let mut event =
            event("a", sequence % 40, sequence * 2, (1 + (sequence % 6) as u8, false, sequence as u8));
        event.subject = Some(format!("lte-dev-{sequence}"));
        event.origin.boot_id = format!("boot-{sequence}");
        fleet.apply(&event, start());
    }
    let view = fleet.router("a").unwrap();
    assert_eq!(view.links.len(), RouterView::LINKS_MAX);
    assert!(view.unplaced > 1_000);
    assert!(cbor4ii::serde::to_vec(Vec::new(), &**view).unwrap().len() < 64 * 1024);
}

#[test]
fn recent_signal_keeps_the_latest_points_in_order() {
    let batches: Vec<Event> = (1..=12)
        .map(|sequence| with_body("a", sequence, "lte-dev-1", signal(6, -80 - sequence as i16).into()))
        .collect();
    let mut shuffled: Vec<&Event> = batches.iter().collect();
    shuffle(&mut shuffled, 7);
    let fleet = folded(shuffled);
    let link = fleet.router("a").unwrap().link("lte-dev-1").unwrap();
    let rsrp: Vec<_> = link.points.iter().filter_map(|point| point.rsrp_dbm()).collect();
    let expected: Vec<i16> = (8..=12).flat_map(|sequence| [-80 - sequence; 6]).collect();
    assert_eq!(rsrp, expected);
    assert_eq!(link.signal.as_ref().unwrap().value.signal.rsrp_dbm, Some(-92));
    assert_eq!(link.points.iter().last().unwrap().snr_db(), Some(13.4));
}
