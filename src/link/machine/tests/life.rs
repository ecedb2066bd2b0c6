//! A link's life: up, adopted, kept up, one family without the other, the card, standby.

use super::*;

#[test]
fn from_an_empty_slot_to_traffic_every_step_has_its_turn() {
    let mut bench = Bench::started(config(&[V4]), None);
    let mut steps = Vec::new();
    while let Some(operation) = bench.flight.clone() {
        steps.push(operation.name());
        bench.give(healthy(&operation));
    }
    assert_eq!(steps, ["open", "read SIM", "prepare", "register", "connect", "read settings"]);
    assert_eq!((bench.state(), bench.applied.clone()), (LinkState::Connected, Some(settings(2))));
    assert!(!bench.machine.adopted());
}

#[test]
fn a_live_session_is_adopted_without_touching_it() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_dial();
    bench.give(up(&[V4], Session::Adopted)).give(Input::SettingsRead(Ok(settings(9))));
    let changed = bench.reports().find_map(|body| match body {
        Body::LinkChanged(changed) => Some(changed),
        _ => None,
    });
    assert_eq!(changed.unwrap().adopted, Some(true));
    assert_eq!(bench.applied, Some(settings(9)));
    assert!(bench.machine.adopted());
}

#[test]
fn a_lost_port_leaves_the_interface_alone_and_the_session_is_adopted() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_connected();
    bench.give(Input::ChannelFault(Cause::port(PortFault::Closed, "EPROTO")));
    assert!(bench.out.contains(&Output::Close) && !bench.out.contains(&Output::Withdraw));
    assert_eq!(bench.applied, Some(settings(2)));
    bench.reach_dial();
    bench.give(up(&[V4], Session::Adopted)).give(Input::SettingsRead(Ok(settings(2))));
    assert_eq!(bench.state(), LinkState::Connected);
    let untouched = |output: &Output| !matches!(output, Output::Apply(_) | Output::Withdraw);
    assert!(bench.out.iter().all(untouched), "the same settings lie there already");
}

#[test]
fn a_session_that_is_down_for_good_is_cleared_away_before_the_next_dial() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_connected().give(Input::SessionDown { family: None, cause: None });
    assert_eq!(bench.applied, None);
    bench.wait_for_operation();
    assert_eq!(bench.flight, Some(Operation::Disconnect));
    bench.give(Input::Disconnected(Err(Cause::protocol(9, "InvalidHandle"))));
    assert!(matches!(bench.flight, Some(Operation::Connect { .. })));
}

#[test]
fn a_stale_session_is_cleaned_up_and_dialled_at_once() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_dial();
    let begin = bench.now;
    bench.give(refused(&[(V4, Cause::protocol(79, "PolicyMismatch"))])).wait_for_operation();
    assert_eq!((bench.flight.clone(), bench.now), (Some(Operation::CleanUp), begin));
    // What was cleared may be our own client ids: the port is opened anew, and that is all it takes.
    bench.give(Input::CleanedUp(Ok(())));
    assert_eq!((bench.state(), bench.flight.clone()), (LinkState::Opening, Some(Operation::Open)));
    assert!(bench.out.contains(&Output::Close));
    bench.reach_connected();
    assert_eq!((bench.state(), bench.now), (LinkState::Connected, begin));
}

#[test]
fn a_client_id_that_the_modem_does_not_know_is_replaced_wherever_that_shows() {
    let unknown = || Cause::protocol(7, "InvalidClientId");
    let mut bench = Bench::started(config(&[V4]), None);
    bench.give(Input::Opened(Ok(Identity::default()))).give(Input::SimRead(Err(unknown())));
    assert!(bench.out.contains(&Output::Close));
    bench.wait_for_operation();
    assert_eq!(bench.flight, Some(Operation::Open));
}

#[test]
fn an_illegal_card_is_power_cycled_once_before_the_link_stops() {
    let illegal = || Input::SimRead(Ok(card(CardState::Illegal, Some(ICCID))));
    let mut bench = Bench::started(config(&[V4]), None);
    bench.give(Input::Opened(Ok(Identity::default()))).give(illegal());
    assert_eq!((bench.state(), bench.flight.clone()), (LinkState::Sim, Some(Operation::PowerCycleSim)));
    bench.give(Input::SimCycled(Ok(()))).wait_for_operation();
    assert_eq!(bench.flight, Some(Operation::ReadSim));
    bench.give(illegal());
    assert_eq!((bench.state(), bench.failures()[0].reason.as_str()), (LinkState::Stopped, "sim-illegal"));
    // Its power helped, or the network has changed its mind.
    bench.give(Input::SimChanged(ready())).reach_connected();
    assert_eq!(bench.state(), LinkState::Connected);
    // Within the same outage it is not tried again.
    bench.give(Input::SimChanged(card(CardState::Illegal, Some(ICCID)))).give(illegal());
    assert_eq!(bench.state(), LinkState::Stopped);
}

#[test]
fn settings_are_read_again_in_place_each_five_minutes_and_not_within_ten_seconds() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_connected();
    bench.pass(seconds(1)).give(Input::SettingsChanged);
    assert_eq!(bench.flight, Some(Operation::ReadSettings), "the old address carries nothing");
    bench.give(Input::SettingsRead(Ok(settings(2))));
    let begin = bench.now;
    bench.pass(seconds(1)).give(Input::SettingsChanged);
    assert_eq!(bench.flight, None, "read again a second ago");
    bench.wait();
    assert_eq!((bench.flight.clone(), bench.now - begin), (Some(Operation::ReadSettings), SETTINGS_FLOOR));
    bench.give(Input::SettingsRead(Ok(settings(6))));
    assert_eq!(bench.out.first(), Some(&Output::Apply(settings(6))));
    assert!(!bench.out.contains(&Output::Withdraw));
    assert_eq!(bench.state(), LinkState::Connected);
    let read = bench.now;
    while bench.flight.is_none() {
        bench.wait();
    }
    // Asked for 10 s ago, and due again 300 s after that reading began.
    assert_eq!(bench.flight, Some(Operation::ReadSettings));
    assert_eq!(bench.now - read, SETTINGS_PERIOD);
    bench.give(Input::SettingsRead(Ok(settings(6))));
    assert_eq!(bench.out, [], "nothing changed");
}

#[test]
fn a_session_that_went_without_a_word_is_noticed_by_reading_its_settings() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_connected().pass(SETTINGS_PERIOD).give(Input::Timeout);
    bench.give(Input::SettingsRead(Err(Cause::protocol(15, "OutOfCall"))));
    assert_eq!((bench.state(), bench.failures().len()), (LinkState::Waiting, 1));
}

#[test]
fn a_silent_path_is_suspect_then_given_up_and_a_word_in_time_saves_it() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_connected().give(Input::ProbeLost);
    assert_eq!((bench.state(), bench.applied.is_some()), (LinkState::Suspect, true));
    bench.pass(seconds(10)).give(Input::ProbeAnswered);
    assert_eq!(bench.state(), LinkState::Connected);
    bench.give(Input::ProbeLost).pass(seconds(15)).give(Input::Timeout);
    assert_eq!(bench.failures()[0].reason, "data-path-dead");
    bench.wait();
    assert_eq!(bench.out, [Output::AskRecovery { rung: Rung::Redial, forced: false }]);
}

#[test]
fn registration_that_comes_back_within_a_minute_costs_nothing() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_connected().give(Input::RegistrationChanged(searching()));
    assert_eq!(bench.state(), LinkState::Suspect);
    bench.give(Input::SettingsRead(Ok(settings(2))));
    bench.pass(seconds(59)).give(Input::Timeout).give(Input::RegistrationChanged(registered()));
    assert_eq!((bench.state(), bench.applied.is_some()), (LinkState::Connected, true));
}

// ---- families ----

#[test]
fn a_family_limit_is_dialled_at_once_with_the_permitted_family_and_remembered() {
    let mut bench = Bench::dual();
    bench.give(Input::Appeared).reach_dial();
    let begin = bench.now;
    let only_v4 = Cause::verbose(6, 50, "pdp-ipv4-only-allowed");
    bench.give(refused(&[(V4, only_v4.clone()), (V6, only_v4)]));
    assert_eq!(bench.failures()[0].class, FailureClass::FamilyLimits);
    bench.reach_dial();
    assert_eq!((bench.dialled_families(), bench.now), (vec![V4], begin));
    let mut again = bench.restarted(seconds(1));
    again.reach_dial();
    assert_eq!(again.dialled_families(), [V4], "no second question after a restart");
}

#[test]
fn a_family_limit_that_leaves_no_family_is_a_matter_of_subscription() {
    let mut bench = Bench::started(config(&[V6]), None);
    bench.reach_dial().give(refused(&[(V6, Cause::verbose(6, 50, "pdp-ipv4-only-allowed"))]));
    assert_eq!(bench.failures()[0].class, FailureClass::Subscription);
}

#[test]
fn one_family_up_and_the_other_on_its_own_pace() {
    let mut bench = Bench::dual();
    bench.give(Input::Appeared).reach_dial();
    let mixed = vec![
        Dialled { family: V4, result: Ok(Session::New) },
        Dialled { family: V6, result: Err(unsubscribed()) },
    ];
    bench.give(Input::Connected(mixed));
    let wait = bench.failures()[0].retry_in_ms.unwrap();
    assert!((48_000..=72_000).contains(&wait), "{wait} ms");
    bench.give(Input::SettingsRead(Ok(settings(2))));
    assert_eq!(bench.state(), LinkState::Connected);
    let dialled_at = bench.now;
    while bench.flight.is_none() {
        bench.wait();
    }
    assert_eq!((bench.dialled_families(), milliseconds(bench.now - dialled_at)), (vec![V6], wait));
    bench.give(up(&[V6], Session::New));
    assert_eq!(bench.flight, Some(Operation::ReadSettings));
    bench.give(Input::SettingsRead(Ok(both_settings())));
    assert_eq!(bench.applied, Some(both_settings()));
    bench.give(Input::SessionDown { family: Some(V6), cause: Some(unsubscribed()) });
    assert_eq!((bench.state(), bench.applied.clone()), (LinkState::Connected, Some(settings(2))));
}

#[test]
fn a_refused_family_keeps_its_pace_while_the_other_one_works() {
    let mut bench = Bench::dual();
    bench.give(Input::Appeared).reach_dial();
    let mixed = vec![
        Dialled { family: V4, result: Ok(Session::New) },
        Dialled { family: V6, result: Err(unsubscribed()) },
    ];
    bench.give(Input::Connected(mixed)).give(Input::SettingsRead(Ok(settings(2))));
    let mut waits = Vec::new();
    for _ in 0..6 {
        // A doubt that passes: the link settles anew each time.
        bench.give(Input::ProbeLost).give(Input::ProbeAnswered);
        loop {
            match bench.flight.clone() {
                Some(Operation::Connect { .. }) => break,
                Some(operation) => bench.give(healthy(&operation)),
                None => bench.wait(),
            };
        }
        bench.give(refused(&[(V6, unsubscribed())]));
        waits.push(bench.failures()[0].retry_in_ms.unwrap() / 60_000);
    }
    assert!(waits[4] >= 8 && waits[5] >= 12, "{waits:?} minutes");
}

#[test]
fn a_missing_family_that_came_with_the_next_session_is_not_dialled_again() {
    let mut bench = Bench::dual();
    bench.give(Input::Appeared).reach_dial();
    let mixed = vec![
        Dialled { family: V4, result: Ok(Session::New) },
        Dialled { family: V6, result: Err(Cause::verbose(3, 2001, "no-service")) },
    ];
    bench.give(Input::Connected(mixed)).give(Input::SettingsRead(Ok(settings(2))));
    bench.pass(seconds(2)).give(Input::SessionDown { family: None, cause: None });
    bench.reach_dial();
    assert_eq!(bench.dialled_families(), [V4, V6]);
    bench.give(up(&[V4, V6], Session::New)).give(Input::SettingsRead(Ok(both_settings())));
    for _ in 0..4 {
        bench.wait();
        assert!(!matches!(bench.flight, Some(Operation::Connect { .. })), "both families are up");
        if let Some(operation) = bench.flight.clone() {
            bench.give(healthy(&operation));
        }
    }
}

// ---- the card ----

#[test]
fn a_pulled_card_stops_the_link_and_its_return_starts_it() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_connected().give(Input::SimChanged(card(CardState::Absent, None)));
    assert_eq!((bench.state(), bench.applied.clone()), (LinkState::Stopped, None));
    assert_eq!(bench.machine.next_deadline(), None, "nothing is tried without a card");
    bench.pass(seconds(3600)).give(Input::SimChanged(ready()));
    assert_eq!(bench.flight, Some(Operation::ReadSim));
    bench.reach_connected();
}

#[test]
fn a_pin_is_given_once_and_never_with_too_few_tries() {
    let locked = |tries| SimStatus { pin_retries: tries, ..card(CardState::PinRequired, None) };
    for (tries, given) in [(Some(3), true), (Some(2), false), (None, false)] {
        let mut bench = Bench::started(config(&[V4]), None);
        bench.give(Input::Opened(Ok(Identity::default()))).give(Input::SimRead(Ok(locked(tries))));
        let asked = matches!(bench.flight, Some(Operation::VerifyPin(_)));
        assert_eq!((asked, bench.state() == LinkState::Stopped), (given, !given), "{tries:?} tries left");
        if given {
            bench.give(Input::PinVerified(Err(Cause::protocol(12, "IncorrectPin"))));
            assert_eq!(
                (bench.state(), bench.failures()[0].reason.as_str()),
                (LinkState::Stopped, "pin-refused")
            );
            bench.give(Input::RetryNow).give(Input::SimRead(Ok(locked(Some(2)))));
            assert_eq!((bench.flight.clone(), bench.state()), (None, LinkState::Stopped));
        }
    }
}

#[test]
fn an_unlocked_card_is_no_other_card() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.give(Input::Opened(Ok(Identity::default())));
    bench.give(Input::SimRead(Ok(card(CardState::PinRequired, Some(ICCID)))));
    bench.give(Input::PinVerified(Ok(()))).wait_for_operation().reach_connected();
    bench.give(Input::SimChanged(ready()));
    assert_eq!(bench.state(), LinkState::Connected);
}

#[test]
fn the_wrong_modem_is_not_used() {
    let wanted = LinkConfig { imei: Some("356938035643809".into()), ..config(&[V4]) };
    let mut bench = Bench::started(wanted, None);
    bench.give(Input::Opened(Ok(Identity { imei: Some("1".into()), ..Identity::default() })));
    assert_eq!((bench.state(), bench.failures()[0].reason.as_str()), (LinkState::Stopped, "wrong-imei"));
}

#[test]
fn the_wrong_card_is_not_dialled_with_and_the_right_one_is() {
    let wanted = LinkConfig { iccid: Some(ICCID.into()), ..config(&[V4]) };
    let other = card(CardState::Ready, Some(OTHER_ICCID));
    let mut bench = Bench::started(wanted.clone(), None);
    bench.give(Input::Opened(Ok(Identity::default()))).give(Input::SimRead(Ok(other.clone())));
    let failure = bench.failures()[0].clone();
    assert_eq!((bench.state(), failure.reason.as_str()), (LinkState::Stopped, "wrong-iccid"));
    assert_eq!(failure.detail, Some(format!("configured {ICCID}, found {OTHER_ICCID}")));
    assert_eq!(bench.machine.next_deadline(), None, "nothing is tried with it");
    // Changed by hand, and nobody saw the slot empty.
    bench.pass(seconds(3600)).give(Input::SimChanged(ready())).reach_connected();

    bench.give(Input::SimChanged(other)).give(Input::SimRead(Ok(card(CardState::Ready, Some(OTHER_ICCID)))));
    assert_eq!((bench.state(), bench.applied.clone()), (LinkState::Stopped, None));
    let configured = LinkConfig { iccid: Some(OTHER_ICCID.into()), ..wanted };
    bench.give(Input::ConfigChanged(Box::new(configured)));
    assert_eq!(bench.flight, Some(Operation::ReadSim), "the card is looked at again");
}

#[test]
fn a_card_that_does_not_tell_its_number_is_looked_at_again() {
    let mut bench = Bench::started(LinkConfig { iccid: Some(ICCID.into()), ..config(&[V4]) }, None);
    bench.give(Input::Opened(Ok(Identity::default())));
    bench.give(Input::SimRead(Ok(card(CardState::Ready, None))));
    assert_eq!((bench.state(), bench.flight.clone()), (LinkState::Sim, None));
    bench.wait_for_operation();
    assert_eq!(bench.flight, Some(Operation::ReadSim));
    bench.reach_connected();
}

// ---- standby and configuration ----

#[test]
fn a_link_in_standby_is_registered_without_a_session_and_dials_when_it_is_needed() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_connected().give(Input::Standby(true));
    assert_eq!((bench.flight.clone(), bench.applied.clone()), (Some(Operation::Disconnect), None));
    bench.give(Input::RetryNow);
    assert_eq!((bench.flight.clone(), bench.state()), (None, LinkState::Standby));
    bench.give(Input::ChannelFault(timed_out()));
    assert_eq!(bench.state(), LinkState::Waiting);
    bench.wait_for_operation();
    assert_eq!(bench.flight, Some(Operation::Open), "a dead port does not stay dead in standby");
    while let Some(operation) = bench.flight.clone() {
        bench.give(healthy(&operation));
    }
    assert_eq!((bench.state(), bench.applied.clone()), (LinkState::Standby, None));
    bench.give(Input::Standby(false)).reach_connected();
}

#[test]
fn other_paces_do_not_touch_a_session_and_another_apn_redials() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_connected();
    let paces = config::Retry { jitter_percent: 0, ..config::Retry::default() };
    bench.give(Input::ConfigChanged(Box::new(LinkConfig { retry: paces, ..config(&[V4]) })));
    assert_eq!((bench.out.as_slice(), bench.state()), ([].as_slice(), LinkState::Connected));
    let profile = Profile { apn_name: "vzwinternet".into(), index: None, authentication: None };
    bench.give(Input::ConfigChanged(Box::new(LinkConfig { profile: profile.clone(), ..config(&[V4]) })));
    assert_eq!(bench.applied, None);
    bench.reach_dial();
    assert_eq!(bench.flight, Some(Operation::Connect { profile, families: vec![V4] }));
}
