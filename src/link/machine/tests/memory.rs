//! What is remembered over restarts and reboots.

use super::*;
use crate::link::memory::{Hold, Stamped};

fn refused_five_times() -> Bench {
    let mut bench = Bench::started(config(&[V4]), None);
    for _ in 0..5 {
        bench.reach_dial().give(refused(&[(V4, unsubscribed())]));
    }
    bench
}

#[test]
fn the_failure_context_survives_a_restart_and_goes_on_at_its_pace() {
    let first = refused_five_times();
    let due = first.machine.next_attempt().unwrap() - first.now;
    let mut second = first.restarted(seconds(60));
    while let Some(operation) = second.flight.clone() {
        assert!(!matches!(operation, Operation::Connect { .. }), "a restart must not dial");
        second.give(healthy(&operation));
    }
    assert_eq!(second.machine.failure(), first.machine.failure());
    let left = second.machine.next_attempt().unwrap() - second.now;
    assert!(due - left >= seconds(60) && due - left < seconds(61), "{due:?} {left:?}");
    second.reach_dial().give(refused(&[(V4, unsubscribed())]));
    let failed = second.failures()[0];
    assert_eq!(failed.attempt, 6);
    assert!(failed.retry_in_ms.unwrap() >= 480_000, "the sixth wait is ten minutes");
}

#[test]
fn over_a_reboot_the_whole_wait_is_left() {
    let first = refused_five_times();
    let memory = first.kept.clone().unwrap();
    let Some(Hold::Wait { left_ms, .. }) = memory.hold else { panic!("{memory:?}") };
    let stamped = Stamped { boot_id: "a".into(), uptime_ms: 900_000, last_failure_time: None, memory };
    let mut second = Bench::started(config(&[V4]), Some(stamped.recall("b", 5_000)));
    let begin = second.now;
    second.reach_dial();
    assert!(milliseconds(second.now - begin) >= left_ms);
}

#[test]
fn a_crash_loop_does_not_dial_faster() {
    let mut bench = refused_five_times();
    let mut passed = Duration::ZERO;
    let due = bench.machine.next_attempt().unwrap() - bench.now;
    while passed + seconds(7) < due {
        passed += seconds(7);
        bench = bench.restarted(seconds(7));
        while let Some(operation) = bench.flight.clone() {
            assert!(!matches!(operation, Operation::Connect { .. }), "dialled after {passed:?} of {due:?}");
            bench.give(healthy(&operation));
        }
    }
}

#[test]
fn another_card_or_apn_has_no_part_in_it() {
    let memory = refused_five_times().kept;
    let mut other_card = Bench::started(config(&[V4]), memory.clone());
    let begin = other_card.now;
    other_card.give(Input::Opened(Ok(Identity::default())));
    other_card.give(Input::SimRead(Ok(card(CardState::Ready, Some(OTHER_ICCID))))).reach_dial();
    assert_eq!((other_card.now, other_card.machine.failure()), (begin, None));

    let profile = Profile { apn_name: "vzwinternet".into(), index: None, authentication: None };
    let mut other_apn = Bench::started(LinkConfig { profile, ..config(&[V4]) }, memory);
    let begin = other_apn.now;
    other_apn.reach_dial();
    assert_eq!((other_apn.now, other_apn.machine.failure()), (begin, None));
}

#[test]
fn a_card_swapped_while_it_waits_is_dialled_at_once() {
    let mut bench = refused_five_times();
    let begin = bench.now;
    bench.give(Input::SimChanged(card(CardState::Ready, Some(OTHER_ICCID))));
    assert_eq!((bench.machine.failure(), bench.kept.clone().unwrap().attempt), (None, 0));
    assert_eq!(bench.flight, Some(Operation::ReadSim));
    bench.give(Input::SimRead(Ok(card(CardState::Ready, Some(OTHER_ICCID))))).reach_dial();
    assert_eq!(bench.now, begin);
}

#[test]
fn a_card_that_does_not_tell_its_number_is_held_to_what_was_before() {
    let mut bench = Bench::started(config(&[V4]), refused_five_times().kept);
    bench.give(Input::Opened(Ok(Identity::default())));
    bench.give(Input::SimRead(Ok(card(CardState::Ready, None))));
    assert_eq!((bench.state(), bench.flight.clone()), (LinkState::Waiting, None));
    bench.give(Input::SimChanged(card(CardState::Ready, Some(OTHER_ICCID))));
    assert_eq!(bench.flight, Some(Operation::ReadSim), "another card after all");
}

#[test]
fn a_stop_by_the_carrier_is_remembered_and_a_missing_card_is_looked_for() {
    let illegal = Cause::reject(crate::event::CauseSource::NetworkReject, 6, "illegal-me");
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_dial().give(refused(&[(V4, illegal)]));
    let mut second = bench.restarted(seconds(86_400));
    while let Some(operation) = second.flight.clone() {
        assert!(!matches!(operation, Operation::Connect { .. }));
        second.give(healthy(&operation));
    }
    assert_eq!(second.state(), LinkState::Stopped);

    let mut pulled = Bench::started(config(&[V4]), None);
    pulled.reach_connected().give(Input::SimChanged(card(CardState::Absent, None)));
    pulled.restarted(seconds(1)).reach_connected();
}

#[test]
fn what_is_not_recalled_yet_is_not_lost() {
    let first = refused_five_times();
    let mut second = first.restarted(seconds(10));
    second.give(Input::Opened(Err(timed_out()))).give(Input::Vanished);
    let (was, is) = (first.kept.unwrap(), second.kept.unwrap());
    assert_eq!((is.attempt, &is.failure, &is.steps), (was.attempt, &was.failure, &was.steps));
}

#[test]
fn a_minute_of_work_ends_what_was_before() {
    let mut bench = refused_five_times();
    bench.reach_connected();
    assert!(bench.machine.failure().is_some(), "it has not proved anything yet");
    bench.pass(seconds(60)).give(Input::Timeout);
    assert_eq!(bench.machine.failure(), None);
    let kept = bench.kept.unwrap();
    assert_eq!((kept.attempt, kept.hold, kept.steps.len()), (0, None, 0));
}
