//! Failures: every class at its pace, holds, retry now, the recovery ladder.

use super::*;
use crate::event::{CauseSource, RecoveryResult};
use crate::link::retry;

fn cause_of(class: FailureClass) -> Cause {
    match class {
        FailureClass::NetworkBusy => Cause::verbose(6, 26, "insufficient-resources"),
        FailureClass::Subscription => unsubscribed(),
        FailureClass::Throttled => throttled(),
        FailureClass::StaleState => Cause::protocol(79, "PolicyMismatch"),
        FailureClass::ControlChannel => timed_out(),
        _ => Cause::verbose(3, 2001, "no-service"),
    }
}

#[test]
fn every_class_keeps_its_pace_within_the_jitter_and_dials_no_earlier() {
    use FailureClass as C;
    for class in [C::Passing, C::NetworkBusy, C::Subscription, C::Throttled, C::StaleState, C::ControlChannel]
    {
        // The ladder is left out: a rung has its own time.
        let recovery = config::Recovery { rungs: vec![], ..config::Recovery::default() };
        let mut bench = Bench::started(LinkConfig { recovery, ..config(&[V4]) }, None);
        for failure in 0..10 {
            bench.reach_dial().give(refused(&[(V4, cause_of(class))]));
            let failed_at = bench.now;
            let failed = bench.failures()[0].clone();
            assert_eq!((failed.class, failed.attempt), (class, failure + 1));
            let told = Duration::from_millis(failed.retry_in_ms.unwrap());
            let pace = retry::wait(&config::Retry::default(), class, failure).unwrap();
            let least = if class == C::Throttled { pace } else { pace.mul_f64(0.8) };
            assert!(told + seconds(1) > least && told <= pace.mul_f64(1.2), "{class:?} {failure}: {told:?}");
            bench.wait_for_operation();
            assert!(bench.now >= failed_at + told, "{class:?} {failure}");
        }
    }
}

#[test]
fn the_manuals_case_is_attempt_19_an_hour_apart() {
    let mut bench = Bench::started(config(&[V4]), None);
    for _ in 0..19 {
        bench.reach_dial().give(refused(&[(V4, unsubscribed())]));
    }
    let context = bench.machine.failure().unwrap();
    let shown = (context.attempt, context.r#type, context.code, context.reason.as_str());
    assert_eq!(shown, (19, 6, 33, "option-unsubscribed"));
    let wait = bench.failures()[0].retry_in_ms.unwrap();
    assert!((2_880_000..=4_320_000).contains(&wait), "{wait} ms");
}

#[test]
fn a_fade_does_not_hide_the_refusal_behind_it() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_dial().give(refused(&[(V4, unsubscribed())]));
    bench.reach_dial().give(refused(&[(V4, Cause::verbose(3, 2001, "no-service"))]));
    assert_eq!(bench.machine.failure().unwrap().code, 33);
    assert_eq!(bench.machine.passing_failure().unwrap().code, 2001);
}

#[test]
fn service_that_returns_shortens_the_wait_of_a_fade_and_of_nothing_else() {
    for (cause, at_once) in [(Cause::verbose(3, 2001, "no-service"), true), (unsubscribed(), false)] {
        let mut bench = Bench::started(config(&[V4]), None);
        for _ in 0..6 {
            bench.reach_dial().give(refused(&[(V4, cause.clone())]));
        }
        bench.give(Input::RegistrationChanged(searching()));
        bench.give(Input::RegistrationChanged(registered()));
        let left = bench.machine.next_attempt().unwrap() - bench.now;
        assert_eq!(left <= seconds(2), at_once, "{cause:?}: {left:?}");
    }
}

#[test]
fn a_hold_outlives_a_modem_that_vanishes_and_comes_back() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_dial().give(refused(&[(V4, throttled())]));
    let until = bench.machine.next_attempt().unwrap();
    bench.pass(seconds(30)).give(Input::Vanished).give(Input::Appeared);
    while let Some(operation) = bench.flight.clone() {
        assert!(!matches!(operation, Operation::Connect { .. }), "dialled while throttled");
        bench.give(healthy(&operation));
    }
    assert_eq!((bench.state(), bench.machine.next_attempt()), (LinkState::Waiting, Some(until)));
    bench.reach_dial();
    assert!(bench.now >= until);
}

#[test]
fn a_throttled_modem_is_not_reset_either() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_dial().give(refused(&[(V4, throttled())]));
    bench.give(Input::ResetNow { rung: Rung::QmiReset, forced: false });
    assert_eq!(bench.rungs()[0].result, RecoveryResult::Refused);
    // Its port dies meanwhile, often enough for the ladder, and well within the twelve minutes.
    bench.give(Input::Vanished).give(Input::Appeared);
    for _ in 0..6 {
        bench.give(Input::Opened(Err(timed_out())));
        bench.wait();
        assert_eq!(bench.flight, Some(Operation::Open), "{:?}", bench.out);
    }
}

#[test]
fn a_wait_is_over_at_once_when_an_operator_says_so() {
    for cause in [unsubscribed(), throttled(), Cause::reject(CauseSource::NetworkReject, 6, "illegal-me")] {
        let mut bench = Bench::started(config(&[V4]), None);
        bench.reach_dial().give(refused(&[(V4, cause)]));
        let begin = bench.now;
        bench.give(Input::RetryNow).reach_dial();
        assert_eq!(bench.now, begin);
    }
}

#[test]
fn retry_now_overrules_a_hold_that_is_still_to_be_recalled() {
    let mut first = Bench::started(config(&[V4]), None);
    first.reach_dial().give(refused(&[(V4, throttled())]));
    let mut second = first.restarted(seconds(10));
    second.give(Input::Opened(Err(timed_out()))).give(Input::RetryNow);
    let begin = second.now;
    second.reach_dial();
    assert_eq!(second.now, begin);
}

#[test]
fn stopped_by_the_carrier_nothing_but_an_operator_or_another_card_helps() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_dial().give(refused(&[(V4, Cause::reject(CauseSource::NetworkReject, 6, "illegal-me"))]));
    for input in [
        Input::SimChanged(card(CardState::Absent, None)),
        Input::SimChanged(ready()),
        Input::RegistrationChanged(searching()),
        Input::RegistrationChanged(registered()),
        Input::Vanished,
        Input::Appeared,
    ] {
        bench.give(input);
        while let Some(operation) = bench.flight.clone() {
            assert!(!matches!(operation, Operation::Connect { .. }));
            bench.give(healthy(&operation));
        }
        bench.pass(seconds(4000)).give(Input::Timeout);
        assert_eq!(bench.flight, None);
    }
    assert_eq!(bench.state(), LinkState::Stopped);
    bench.give(Input::SimChanged(card(CardState::Ready, Some(OTHER_ICCID))));
    assert_eq!(bench.flight, Some(Operation::ReadSim));
}

// ---- the ladder ----

/// Fails to open until the modem has been asked for `rungs` times; says which were climbed and which refused.
fn climb(bench: &mut Bench, failures: u32) -> Vec<(Rung, RecoveryResult)> {
    let mut told = Vec::new();
    for _ in 0..failures * 3 {
        match (bench.flight.clone(), bench.out.last()) {
            (Some(Operation::Open), _) => bench.give(Input::Opened(Err(timed_out()))),
            (Some(Operation::Recover(_)), _) => bench.give(Input::Recovered(Ok(()))),
            (None, Some(Output::AskRecovery { .. })) => bench.give(Input::RecoveryGranted),
            (None, _) => bench.wait(),
            (Some(other), _) => panic!("{other:?}"),
        };
        told.extend(bench.rungs().iter().map(|performed| (performed.rung, performed.result)));
    }
    told
}

#[test]
fn a_dead_port_climbs_each_rung_once_an_outage() {
    let done = |rung| (rung, RecoveryResult::Done);
    let mut bench = Bench::started(config(&[V4]), None);
    let told = climb(&mut bench, 40);
    assert_eq!(told, [done(Rung::QmiReset), done(Rung::AtReset), done(Rung::UsbPower)]);
    let mut again = bench.restarted(seconds(60));
    assert_eq!(climb(&mut again, 40), [], "a restart of the agent is no new outage");
}

#[test]
fn a_new_outage_may_climb_again_within_the_budget() {
    let recovery = config::Recovery { budget_per_hour: 2, ..config::Recovery::default() };
    let mut bench = Bench::started(LinkConfig { recovery, ..config(&[V4]) }, None);
    let told = climb(&mut bench, 30);
    let refused = (Rung::UsbPower, RecoveryResult::Refused);
    assert_eq!(
        told[..3],
        [(Rung::QmiReset, RecoveryResult::Done), (Rung::AtReset, RecoveryResult::Done), refused]
    );
}

#[test]
fn a_rung_that_is_refused_is_told_and_the_link_tries_on_without() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_connected().give(Input::ProbeLost).pass(seconds(15)).give(Input::Timeout).wait();
    assert!(matches!(bench.out[..], [Output::AskRecovery { rung: Rung::Redial, .. }]));
    bench.give(Input::RecoveryRefused("lte-dev-1 is the only working uplink".into()));
    assert_eq!(bench.rungs()[0].result, RecoveryResult::Refused);
    assert_eq!(bench.flight, Some(Operation::Disconnect));
    let mut silent = Bench::started(config(&[V4]), None);
    silent.reach_connected().give(Input::ProbeLost).pass(seconds(15)).give(Input::Timeout).wait();
    silent.wait();
    assert_eq!(silent.rungs()[0].cause.as_deref(), Some("nobody answered in time"));
}

#[test]
fn a_modem_that_vanishes_in_its_reset_has_been_reset() {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_connected().give(Input::ResetNow { rung: Rung::QmiReset, forced: true });
    bench.give(Input::RecoveryGranted).give(Input::Vanished);
    assert_eq!(bench.rungs()[0].result, RecoveryResult::Done);
    bench.give(Input::Appeared).reach_connected();
    assert!(bench.out.contains(&Output::RecoveryOver), "{:?}", bench.out);
}

#[test]
fn recovery_ends_with_a_link_that_works_a_new_failure_or_three_minutes() {
    let recovering = || {
        let mut bench = Bench::started(config(&[V4]), None);
        bench.reach_connected().give(Input::ResetNow { rung: Rung::RadioCycle, forced: false });
        bench.give(Input::RecoveryGranted).give(Input::Recovered(Ok(())));
        bench
    };
    let mut fails = recovering();
    fails.reach_dial().give(refused(&[(V4, unsubscribed())]));
    assert!(fails.out.contains(&Output::RecoveryOver));
    let mut lost = recovering();
    lost.give(Input::Vanished).pass(seconds(180)).give(Input::Timeout);
    assert_eq!(lost.out, [Output::RecoveryOver]);
}
