//! A link on a clock of its own, driven by hand: [`Bench`] holds what the shell would hold.

mod life;
mod memory;
mod pace;
mod random;
mod table;

use std::time::{Duration, Instant};

use super::*;
use crate::config;
use crate::event::{
    CardState, FailureClass, Ipv4Settings, Ipv6Settings, LinkFailed, Radio, RecoveryPerformed,
    RegistrationState, Reject,
};
use crate::link::words::{Dialled, Profile, Session};

const ICCID: &str = "8901410321111851072";
const OTHER_ICCID: &str = "8901410321111851999";
const V4: IpFamily = IpFamily::Ipv4;
const V6: IpFamily = IpFamily::Ipv6;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn config(families: &[IpFamily]) -> LinkConfig {
    LinkConfig {
        name: "lte-dev-1".into(),
        profile: Profile { apn_name: "broadband".into(), index: None, authentication: None },
        families: families.to_vec(),
        pin: Some(config::Secret::new("1234")),
        imei: None,
        iccid: None,
        retry: config::Retry::default(),
        recovery: config::Recovery::default(),
    }
}

fn card(card: CardState, iccid: Option<&str>) -> SimStatus {
    let (iccid, pin_retries) = (iccid.map(str::to_owned), Some(3));
    SimStatus {
        card,
        slot: Some(1),
        iccid,
        imsi: None,
        msisdn: None,
        pin: None,
        pin_retries,
        puk_retries: None,
    }
}

fn ready() -> SimStatus {
    card(CardState::Ready, Some(ICCID))
}

fn registration(state: RegistrationState, reject: Option<Reject>) -> Registration {
    Registration { state, radio: Radio::Lte, carrier: None, roaming: None, cell: Cell::default(), reject }
}

fn registered() -> Registration {
    registration(RegistrationState::Registered, None)
}

fn searching() -> Registration {
    registration(RegistrationState::Searching, None)
}

fn settings(host: u8) -> IpSettings {
    let ipv4 = Ipv4Settings {
        address: [10, 0, 0, host].into(),
        prefix_length: 30,
        gateway: Some([10, 0, 0, 1].into()),
        dns: vec![],
    };
    IpSettings { ipv4: Some(ipv4), mtu_bytes: Some(1430), ..IpSettings::default() }
}

fn both_settings() -> IpSettings {
    let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
    let ipv6 = Ipv6Settings { address, prefix_length: 64, gateway: None, dns: vec![] };
    IpSettings { ipv6: Some(ipv6), ..settings(2) }
}

fn unsubscribed() -> Cause {
    Cause::verbose(6, 33, "option-unsubscribed")
}

fn throttled() -> Cause {
    Cause::verbose(2, 211, "apn-disabled")
}

fn timed_out() -> Cause {
    Cause::port(PortFault::Timeout, "no answer")
}

fn up(families: &[IpFamily], made: Session) -> Input {
    Input::Connected(families.iter().map(|family| Dialled { family: *family, result: Ok(made) }).collect())
}

fn refused(causes: &[(IpFamily, Cause)]) -> Input {
    let answer =
        |(family, cause): &(IpFamily, Cause)| Dialled { family: *family, result: Err(cause.clone()) };
    Input::Connected(causes.iter().map(answer).collect())
}

/// The shell's side of one link.
struct Bench {
    machine: Machine,
    now: Instant,
    /// Outputs since the last input.
    out: Vec<Output>,
    /// The operation in flight.
    flight: Option<Operation>,
    /// Last memory that was written.
    kept: Option<Memory>,
    /// What lies on the network interface.
    applied: Option<IpSettings>,
}

impl Bench {
    fn new(config: LinkConfig, memory: Option<Memory>) -> Self {
        let now = Instant::now();
        let machine = Machine::new(config, memory.clone(), 7, now);
        Self { machine, now, out: Vec::new(), flight: None, kept: memory, applied: None }
    }

    fn dual() -> Self {
        Self::new(config(&[V4, V6]), None)
    }

    fn give(&mut self, input: Input) -> &mut Self {
        if self.flight.as_ref().is_some_and(|operation| input.answers(operation)) {
            self.flight = None;
        }
        self.machine.handle(input, self.now);
        self.out.clear();
        while let Some(output) = self.machine.poll_output() {
            match &output {
                Output::Operate(operation) => {
                    assert_eq!(self.flight, None, "one operation at a time; now {operation:?}");
                    self.flight = Some(operation.clone());
                }
                Output::Abort => assert!(self.flight.take().is_some(), "nothing to abort"),
                Output::Apply(settings) => self.applied = Some(settings.clone()),
                Output::Withdraw => self.applied = None,
                Output::Remember(memory) => self.kept = Some((**memory).clone()),
                Output::Close | Output::Report(_) | Output::AskRecovery { .. } | Output::RecoveryOver => {}
            }
            self.out.push(output);
        }
        self
    }

    fn pass(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    /// On to the next deadline.
    fn wait(&mut self) -> &mut Self {
        self.now = self.machine.next_deadline().expect("something is due").max(self.now);
        self.give(Input::Timeout)
    }

    /// On from deadline to deadline until an operation is asked for.
    fn wait_for_operation(&mut self) -> &mut Self {
        for _ in 0..32 {
            if self.flight.is_some() {
                return self;
            }
            if let Some(Output::AskRecovery { .. }) = self.out.last() {
                self.give(Input::RecoveryRefused("not in this test".into()));
            } else {
                self.wait();
            }
        }
        panic!("nothing is asked for in {:?}", self.state());
    }

    /// Answers every operation as a healthy modem does until the dial is in flight.
    fn reach_dial(&mut self) -> &mut Self {
        for _ in 0..32 {
            match self.flight.clone() {
                Some(Operation::Connect { .. }) => return self,
                None => self.wait_for_operation(),
                Some(operation) => self.give(healthy(&operation)),
            };
        }
        panic!("no dial in {:?}", self.state());
    }

    /// Up with every family asked for.
    fn reach_connected(&mut self) -> &mut Self {
        self.reach_dial();
        for _ in 0..4 {
            match self.flight.clone() {
                Some(operation) => self.give(healthy(&operation)),
                None => break,
            };
        }
        assert_eq!(self.state(), LinkState::Connected);
        self
    }

    /// A modem that has just been found.
    fn started(config: LinkConfig, memory: Option<Memory>) -> Self {
        let mut bench = Self::new(config, memory);
        bench.give(Input::Appeared);
        bench
    }

    /// What the agent would find on the next start, `later`, in the same boot.
    fn restarted(&self, later: Duration) -> Self {
        let memory = self.kept.clone().map(|memory| memory.aged(later));
        Self::started(self.machine.config().clone(), memory)
    }

    fn state(&self) -> LinkState {
        self.machine.state()
    }

    fn dialled_families(&self) -> Vec<IpFamily> {
        match &self.flight {
            Some(Operation::Connect { families, .. }) => families.clone(),
            other => panic!("no dial but {other:?}"),
        }
    }

    fn reports(&self) -> impl Iterator<Item = &Body> {
        self.out.iter().filter_map(|output| match output {
            Output::Report(body) => Some(&**body),
            _ => None,
        })
    }

    /// The failures just reported.
    fn failures(&self) -> Vec<&LinkFailed> {
        self.reports()
            .filter_map(|body| if let Body::LinkFailed(failed) = body { Some(failed) } else { None })
            .collect()
    }

    /// The rungs just reported.
    fn rungs(&self) -> Vec<&RecoveryPerformed> {
        self.reports()
            .filter_map(
                |body| if let Body::RecoveryPerformed(performed) = body { Some(performed) } else { None },
            )
            .collect()
    }
}

/// What a modem answers when all is well.
fn healthy(operation: &Operation) -> Input {
    match operation {
        Operation::Open => Input::Opened(Ok(Identity::default())),
        Operation::ReadSim => Input::SimRead(Ok(ready())),
        Operation::VerifyPin(_) => Input::PinVerified(Ok(())),
        Operation::PowerCycleSim => Input::SimCycled(Ok(())),
        Operation::Prepare(_) => Input::Prepared(Ok(())),
        Operation::Register => Input::RegisterAsked(Ok(registered())),
        Operation::Connect { families, .. } => up(families, Session::New),
        Operation::Disconnect => Input::Disconnected(Ok(())),
        Operation::CleanUp => Input::CleanedUp(Ok(())),
        Operation::ReadSettings => Input::SettingsRead(Ok(settings(2))),
        Operation::Recover(_) => Input::Recovered(Ok(())),
    }
}
