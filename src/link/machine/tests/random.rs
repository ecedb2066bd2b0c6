//! Random lives: whatever comes in, the promises of the machine hold. A failing sequence prints itself.

use proptest::prelude::*;

use super::*;
use crate::event::CauseSource;

/// One step of a life.
#[derive(Clone, Debug)]
enum Step {
    /// The operation in flight is answered well, or something happens where none is.
    Answer,
    /// The operation in flight fails for this cause.
    Refuse(usize),
    /// Something happens by itself.
    Happen(usize),
    /// The next deadline comes.
    Wait,
    /// Time passes and nobody comes.
    Pass(u16),
    /// The agent is killed and starts again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Answer),
        4 => (0..causes().len()).prop_map(Step::Refuse),
        6 => (0..happenings().len()).prop_map(Step::Happen),
        6 => Just(Step::Wait),
        2 => (0u16..2000).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

fn causes() -> Vec<Cause> {
    vec![
        unsubscribed(),
        throttled(),
        timed_out(),
        Cause::verbose(3, 2001, "no-service"),
        Cause::verbose(6, 26, "insufficient-resources"),
        Cause::verbose(6, 50, "pdp-ipv4-only-allowed"),
        Cause::verbose(6, 51, "pdp-ipv6-only-allowed"),
        Cause::verbose(6, 52, "single-address-bearers-only"),
        Cause::protocol(79, "PolicyMismatch"),
        Cause::protocol(12, "IncorrectPin"),
        Cause::reject(CauseSource::NetworkReject, 6, "illegal-me"),
    ]
}

fn happenings() -> Vec<Input> {
    let busy = Reject { cause: 22, name: "congestion".into(), source: CauseSource::SystemInfo };
    let apn = |name: &str| Profile { apn_name: name.into(), index: None, authentication: None };
    let changed = |config| Input::ConfigChanged(Box::new(config));
    let dual = || config(&[V4, V6]);
    vec![
        Input::Appeared,
        Input::Appeared,
        Input::Vanished,
        Input::SimChanged(ready()),
        Input::SimChanged(card(CardState::Ready, Some(OTHER_ICCID))),
        Input::SimChanged(card(CardState::Absent, None)),
        Input::SimChanged(card(CardState::PinRequired, None)),
        Input::RegistrationChanged(registered()),
        Input::RegistrationChanged(searching()),
        Input::RegistrationChanged(registration(RegistrationState::Denied, Some(busy))),
        Input::SessionDown { family: None, cause: None },
        Input::SessionDown { family: Some(V4), cause: Some(unsubscribed()) },
        Input::SessionDown { family: Some(V6), cause: None },
        Input::SettingsChanged,
        Input::Measured { signal: Signal::default(), cell: Cell::default() },
        Input::ProbeLost,
        Input::ProbeAnswered,
        Input::ChannelFault(Cause::port(PortFault::Closed, "EPROTO")),
        Input::Standby(true),
        Input::Standby(false),
        Input::RetryNow,
        Input::ResetNow { rung: Rung::QmiReset, forced: false },
        Input::ResetNow { rung: Rung::AtReset, forced: true },
        changed(dual()),
        changed(LinkConfig { profile: apn("vzwinternet"), ..dual() }),
        changed(LinkConfig { recovery: config::Recovery { reboot: true, ..Default::default() }, ..dual() }),
        Input::RecoveryGranted,
        Input::RecoveryRefused("the other modem".into()),
        Input::Timeout,
    ]
}

/// What an observer from outside demands of a link.
struct Judge {
    config: LinkConfig,
    /// Of each family: no dial before, and the class that says so.
    not_before: [Option<(Instant, FailureClass)>; 2],
    /// An operator must act before the next dial.
    operator: bool,
    /// The card last known to be in.
    iccid: Option<String>,
    prepared: bool,
    /// A failure was told that is not yet written down.
    unwritten: bool,
    /// Throttled until then.
    throttled: Option<Instant>,
    pin_tries: u32,
}

impl Judge {
    fn new() -> Self {
        Self {
            config: config(&[V4, V6]),
            not_before: [None; 2],
            operator: false,
            iccid: None,
            prepared: false,
            unwritten: false,
            throttled: None,
            pin_tries: 0,
        }
    }

    fn free(&mut self) {
        (self.not_before, self.operator, self.throttled) = ([None; 2], false, None);
    }

    /// What an input allows.
    fn hears(&mut self, input: &Input, state: LinkState, now: Instant) {
        match input {
            Input::RetryNow => {
                self.free();
                self.pin_tries = 0;
            }
            Input::ConfigChanged(new) => {
                let dials_otherwise = new.profile != self.config.profile;
                if dials_otherwise || (**new != self.config && state == LinkState::Stopped) {
                    self.free();
                    self.pin_tries = 0;
                }
                self.config = (**new).clone();
            }
            Input::SimChanged(status) | Input::SimRead(Ok(status)) => {
                let listens = state != LinkState::Absent && state != LinkState::Opening;
                if let (Some(iccid), true) = (&status.iccid, listens) {
                    if self.iccid.as_ref().is_some_and(|known| known != iccid) {
                        self.free();
                        self.pin_tries = 0;
                    }
                    self.iccid = Some(iccid.clone());
                }
                if status.card == CardState::Ready {
                    self.pin_tries = 0;
                }
            }
            Input::RegistrationChanged(now_registered)
                if now_registered.state == RegistrationState::Registered && !self.operator =>
            {
                // A fade is over: its wait may shrink to the first of its list.
                for (at, class) in self.not_before.iter_mut().flatten() {
                    *at = if *class == FailureClass::Passing { now.min(*at) } else { *at };
                }
            }
            Input::Vanished => (self.prepared, self.pin_tries) = (false, 0),
            _ => {}
        }
    }

    fn sees(&mut self, output: &Output, bench: &Bench) -> Result<(), TestCaseError> {
        let now = bench.now;
        match output {
            Output::Report(body) => {
                if let Body::LinkFailed(failed) = &**body {
                    self.failed(failed, bench)?;
                }
            }
            Output::Remember(_) => self.unwritten = false,
            Output::Close => self.prepared = false,
            Output::Operate(operation) => {
                prop_assert!(!self.unwritten, "{operation:?} before the failure is written down");
                match operation {
                    Operation::Prepare(_) => self.prepared = true,
                    Operation::VerifyPin(_) => {
                        self.pin_tries += 1;
                        prop_assert!(self.pin_tries == 1, "a PIN is given once");
                    }
                    Operation::Recover(rung) => {
                        let quiet = self.throttled.is_none_or(|until| until <= now) || *rung == Rung::AtReset;
                        prop_assert!(quiet, "{rung:?} of a throttled modem");
                        self.prepared &= *rung == Rung::Redial;
                    }
                    Operation::Connect { families, .. } => {
                        prop_assert!(self.prepared, "no dial before the profile is written");
                        prop_assert!(!self.operator, "dials although an operator must act");
                        for family in families {
                            let at = self.not_before[usize::from(*family == V6)];
                            prop_assert!(at.is_none_or(|(at, _)| at <= now), "{family:?} dialled too early");
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn failed(&mut self, failed: &LinkFailed, bench: &Bench) -> Result<(), TestCaseError> {
        self.unwritten = true;
        let lists = config::Retry::default();
        let waits = lists.waits(failed.class);
        prop_assert_eq!(
            waits.is_none(),
            failed.class == FailureClass::OperatorMustAct,
            "only an operator's case has no pace"
        );
        if let Some(ms) = failed.retry_in_ms {
            let longest = waits.unwrap_or_default().iter().max().copied().unwrap_or_default();
            prop_assert!(Duration::from_millis(ms) <= longest.mul_f64(1.2));
        }
        // Card and port speak for themselves at the next look.
        if matches!(failed.source, CauseSource::Sim | CauseSource::Port) {
            return Ok(());
        }
        self.operator |= bench.state() == LinkState::Stopped;
        let until = failed.retry_in_ms.map(|ms| bench.now + Duration::from_millis(ms));
        if failed.class == FailureClass::Throttled && bench.state() == LinkState::Waiting {
            self.throttled = until;
        }
        let until = until.map(|until| (until, failed.class));
        match failed.family {
            Some(family) => self.not_before[usize::from(family == V6)] = until,
            None => self.not_before = [until; 2],
        }
        Ok(())
    }
}

/// An input for what is in flight.
fn answer(bench: &Bench, cause: Option<&Cause>) -> Option<Input> {
    let operation = bench.flight.as_ref()?;
    let Some(cause) = cause.cloned() else {
        return Some(match operation {
            Operation::ReadSettings => Input::SettingsRead(Ok(both_settings())),
            other => healthy(other),
        });
    };
    Some(match operation {
        Operation::Open => Input::Opened(Err(timed_out())),
        Operation::ReadSim => Input::SimRead(Ok(card(CardState::PinRequired, Some(ICCID)))),
        Operation::VerifyPin(_) => Input::PinVerified(Err(cause)),
        Operation::PowerCycleSim => Input::SimCycled(Err(cause)),
        Operation::Prepare(_) => Input::Prepared(Err(cause)),
        Operation::Register => Input::RegisterAsked(Ok(searching())),
        Operation::Connect { families, .. } => {
            let first = Dialled { family: families[0], result: Err(cause.clone()) };
            // Every other cause takes only one family with it.
            let place = causes().iter().position(|known| *known == cause).unwrap_or_default();
            let other = causes()[(place + 3) % causes().len()].clone();
            let result = if place % 2 == 0 { Ok(Session::New) } else { Err(other) };
            let rest = families[1..].iter().map(|family| Dialled { family: *family, result: result.clone() });
            Input::Connected([first].into_iter().chain(rest).collect())
        }
        Operation::Disconnect => Input::Disconnected(Err(cause)),
        Operation::CleanUp => Input::CleanedUp(Err(cause)),
        Operation::ReadSettings => Input::SettingsRead(Err(cause)),
        Operation::Recover(_) => Input::Recovered(Err("no answer".into())),
    })
}

fn input_of(bench: &mut Bench, step: &Step) -> Input {
    match step {
        Step::Answer => answer(bench, None).unwrap_or(Input::Appeared),
        Step::Refuse(cause) => answer(bench, Some(&causes()[*cause])).unwrap_or(Input::Timeout),
        Step::Happen(happening) => happenings()[*happening].clone(),
        Step::Wait => {
            bench.now = bench.machine.next_deadline().unwrap_or(bench.now).max(bench.now);
            Input::Timeout
        }
        Step::Pass(passed) => {
            bench.pass(seconds((*passed).into()));
            Input::Timeout
        }
        Step::Restart => Input::Appeared,
    }
}

fn live(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut bench = Bench::dual();
    let mut judge = Judge::new();
    for step in steps {
        if let Step::Restart = step {
            let machine = Machine::new(bench.machine.config().clone(), bench.kept.clone(), 7, bench.now);
            bench = Bench { machine, flight: None, out: Vec::new(), ..bench };
            (judge.prepared, judge.unwritten, judge.pin_tries) = (false, false, 0);
        }
        let input = input_of(&mut bench, step);
        judge.hears(&input, bench.state(), bench.now);
        // One operation in flight, and nothing is aborted that is not: the bench sees to that.
        bench.give(input);
        let out = std::mem::take(&mut bench.out);
        for output in &out {
            judge.sees(output, &bench)?;
        }
        bench.out = out;
        settle_due(&mut bench, &mut judge)?;
        let path_up = matches!(bench.machine.path(), Path::Up(_));
        prop_assert!(!path_up || bench.applied.is_some(), "the path is up and nothing is applied");
        prop_assert_eq!(path_up, bench.applied.is_some() && *bench.machine.path() != Path::Unknown);
    }
    Ok(())
}

/// Whatever is due is handled; a link never asks to be woken without end at the same moment.
fn settle_due(bench: &mut Bench, judge: &mut Judge) -> Result<(), TestCaseError> {
    for _ in 0..8 {
        match bench.machine.next_deadline() {
            Some(due) if due <= bench.now => {
                bench.give(Input::Timeout);
                let out = std::mem::take(&mut bench.out);
                for output in &out {
                    judge.sees(output, bench)?;
                }
                bench.out = out;
            }
            Some(_) | None => return Ok(()),
        }
    }
    Err(TestCaseError::fail(format!("a deadline that stays due in {:?}", bench.state())))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_hold_whatever_comes_in(steps in proptest::collection::vec(step(), 1..120)) {
        live(&steps)?;
    }
}
