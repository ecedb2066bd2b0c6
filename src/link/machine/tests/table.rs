//! Every input in every state, held against the table in `tests/golden/transitions.txt`.

use std::fmt::Write as _;

use super::*;

const TABLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/transitions.txt"));

type Situation = (&'static str, fn() -> Bench);

/// One situation or more of every state.
const SITUATIONS: [Situation; 14] = [
    ("absent", || Bench::new(config(&[V4]), None)),
    ("opening", || Bench::started(config(&[V4]), None)),
    ("sim, reading", reading),
    ("sim, not ready", || after(reading(), Input::SimRead(Ok(card(CardState::Present, None))))),
    ("registering, preparing", || after(reading(), Input::SimRead(Ok(ready())))),
    ("registering, searching", || {
        let preparing = after(reading(), Input::SimRead(Ok(ready())));
        after(after(preparing, Input::Prepared(Ok(()))), Input::RegisterAsked(Ok(searching())))
    }),
    ("connecting, dialling", dialling),
    ("connecting, reading settings", || after(dialling(), up(&[V4], Session::New))),
    ("connected", connected),
    ("suspect", || after(connected(), Input::ProbeLost)),
    ("waiting, no service", || after(connected(), Input::SessionDown { family: None, cause: None })),
    ("waiting, in recovery", || {
        let asked = after(connected(), Input::ResetNow { rung: Rung::QmiReset, forced: false });
        after(asked, Input::RecoveryGranted)
    }),
    ("stopped, no SIM", || after(reading(), Input::SimRead(Ok(card(CardState::Absent, None))))),
    ("stopped, by the carrier", || after(dialling(), refused(&[(V4, illegal())]))),
];

fn after(mut bench: Bench, input: Input) -> Bench {
    bench.give(input);
    bench
}

fn reading() -> Bench {
    after(Bench::started(config(&[V4]), None), Input::Opened(Ok(Identity::default())))
}

fn dialling() -> Bench {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_dial();
    bench
}

fn connected() -> Bench {
    let mut bench = Bench::started(config(&[V4]), None);
    bench.reach_connected();
    bench
}

fn illegal() -> Cause {
    Cause::reject(crate::event::CauseSource::NetworkReject, 6, "illegal-me")
}

fn inputs() -> Vec<(&'static str, Input)> {
    let busy = Reject { cause: 22, name: "congestion".into(), source: crate::event::CauseSource::SystemInfo };
    let denied = registration(RegistrationState::Denied, Some(busy));
    let other_pace = config::Retry { jitter_percent: 0, ..config::Retry::default() };
    let other_apn = Profile { apn_name: "vzwinternet".into(), index: None, authentication: None };
    let session_down = |cause| Input::SessionDown { family: Some(V4), cause };
    vec![
        ("appeared", Input::Appeared),
        ("vanished", Input::Vanished),
        ("opened", Input::Opened(Ok(Identity::default()))),
        ("not opened", Input::Opened(Err(timed_out()))),
        ("card read: ready", Input::SimRead(Ok(ready()))),
        ("card read: not ready", Input::SimRead(Ok(card(CardState::Present, None)))),
        ("card read: PIN", Input::SimRead(Ok(card(CardState::PinRequired, None)))),
        ("card read: absent", Input::SimRead(Ok(card(CardState::Absent, None)))),
        ("card read: illegal", Input::SimRead(Ok(card(CardState::Illegal, None)))),
        ("card not read", Input::SimRead(Err(timed_out()))),
        ("PIN verified", Input::PinVerified(Ok(()))),
        ("card power-cycled", Input::SimCycled(Ok(()))),
        ("prepared", Input::Prepared(Ok(()))),
        ("not prepared", Input::Prepared(Err(timed_out()))),
        ("register: registered", Input::RegisterAsked(Ok(registered()))),
        ("dialled", up(&[V4], Session::New)),
        ("dialled: adopted", up(&[V4], Session::Adopted)),
        ("dialled: no answer", refused(&[])),
        ("dialled: no service", refused(&[(V4, Cause::verbose(3, 2001, "no-service"))])),
        ("dialled: busy", refused(&[(V4, Cause::verbose(6, 26, "insufficient-resources"))])),
        ("dialled: unsubscribed", refused(&[(V4, unsubscribed())])),
        ("dialled: only IPv6", refused(&[(V4, Cause::verbose(6, 51, "pdp-ipv6-only-allowed"))])),
        ("dialled: throttled", refused(&[(V4, throttled())])),
        ("dialled: policy mismatch", refused(&[(V4, Cause::protocol(79, "PolicyMismatch"))])),
        ("dialled: illegal", refused(&[(V4, illegal())])),
        ("dialled: port dead", refused(&[(V4, timed_out())])),
        ("disconnected", Input::Disconnected(Ok(()))),
        ("cleaned up", Input::CleanedUp(Ok(()))),
        ("settings read", Input::SettingsRead(Ok(settings(2)))),
        ("settings read: none", Input::SettingsRead(Ok(IpSettings::default()))),
        ("settings not read", Input::SettingsRead(Err(Cause::protocol(15, "OutOfCall")))),
        ("recovered", Input::Recovered(Ok(()))),
        ("not recovered", Input::Recovered(Err("no answer".into()))),
        ("card: ready", Input::SimChanged(ready())),
        ("card: swapped", Input::SimChanged(card(CardState::Ready, Some(OTHER_ICCID)))),
        ("card: PIN", Input::SimChanged(card(CardState::PinRequired, None))),
        ("card: absent", Input::SimChanged(card(CardState::Absent, None))),
        ("registered", Input::RegistrationChanged(registered())),
        ("searching", Input::RegistrationChanged(searching())),
        ("denied", Input::RegistrationChanged(denied)),
        ("session down", session_down(None)),
        ("session down: unsubscribed", session_down(Some(unsubscribed()))),
        ("settings changed", Input::SettingsChanged),
        ("measured", Input::Measured { signal: Signal::default(), cell: Cell::default() }),
        ("probe lost", Input::ProbeLost),
        ("probe answered", Input::ProbeAnswered),
        ("port fault", Input::ChannelFault(Cause::port(PortFault::Closed, "EPROTO"))),
        ("standby", Input::Standby(true)),
        ("retry now", Input::RetryNow),
        ("reset now", Input::ResetNow { rung: Rung::AtReset, forced: false }),
        ("other paces", Input::ConfigChanged(Box::new(LinkConfig { retry: other_pace, ..config(&[V4]) }))),
        ("other APN", Input::ConfigChanged(Box::new(LinkConfig { profile: other_apn, ..config(&[V4]) }))),
        ("recovery granted", Input::RecoveryGranted),
        ("recovery refused", Input::RecoveryRefused("the other modem".into())),
        ("timeout", Input::Timeout),
    ]
}

fn told(output: &Output) -> String {
    match output {
        Output::Operate(operation) => operation.name().to_uppercase(),
        Output::Abort => "abort".into(),
        Output::Close => "close".into(),
        Output::Apply(_) => "apply".into(),
        Output::Withdraw => "withdraw".into(),
        Output::Remember(_) => "remember".into(),
        Output::AskRecovery { rung, .. } => format!("ask for {}", super::failing::rung_name(*rung)),
        Output::RecoveryOver => "recovery over".into(),
        Output::Report(body) => match &**body {
            Body::LinkChanged(_) => "link changed".into(),
            Body::LinkFailed(failed) => {
                let class = serde_json::to_value(failed.class).unwrap();
                let wait = failed.retry_in_ms.map_or("for ever".into(), |ms| format!("{} s", ms / 1000));
                format!("failed ({}, {wait})", class.as_str().unwrap())
            }
            Body::SimChanged(_) => "SIM changed".into(),
            Body::RegistrationChanged(_) => "registration changed".into(),
            Body::RecoveryPerformed(performed) => {
                let result = serde_json::to_value(performed.result).unwrap();
                format!("rung {}", result.as_str().unwrap())
            }
            other => format!("{other:?}"),
        },
    }
}

#[test]
fn every_input_in_every_state_does_what_the_table_says() {
    let mut table = String::from(
        "# Link machine: state, input -> state: outputs. Inputs that a state does not list change nothing.\n",
    );
    for (name, situation) in SITUATIONS {
        writeln!(table, "\n[{name}]").unwrap();
        for (input_name, input) in inputs() {
            let mut bench = situation();
            let before = bench.state();
            if input == Input::Timeout
                && let Some(due) = bench.machine.next_deadline()
            {
                bench.now = due;
            }
            bench.give(input);
            if bench.out.is_empty() && bench.state() == before {
                continue;
            }
            let state = serde_json::to_value(bench.state()).unwrap();
            let outputs: Vec<_> = bench.out.iter().map(told).collect();
            let row = format!("{input_name:<27}-> {:<12} {}", state.as_str().unwrap(), outputs.join(", "));
            writeln!(table, "{}", row.trim_end()).unwrap();
        }
    }
    if std::env::var_os("TANDEM_REWRITE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/transitions.txt");
        std::fs::write(path, &table).unwrap();
    } else if table != TABLE {
        let differs = table.lines().zip(TABLE.lines()).find(|(is, was)| is != was);
        panic!("first difference: {differs:?}\nTANDEM_REWRITE=1 writes the table anew");
    }
}
