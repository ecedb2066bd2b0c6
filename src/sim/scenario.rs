//! Pure: what a simulated modem is and what befalls it, as TOML.
//!
//! ```toml
//! [modem]                             # all optional; what is left out follows from the seed
//! carrier = { name = "AT&T", mcc = "310", mnc = "410" }
//! imei = "359072061234569"
//! pin = "1234"                        # the card asks for it after each reset
//! connect-ms = 150                    # how long the network takes for a session
//! framing = "wda-endpoint"            # how raw-ip is agreed on; also "wda" and "ctl"
//!
//! [[step]]
//! at-s = 60                           # once; or every-s = 600, or random-s = 900 (mean of an exponential)
//! for-s = 30                          # how long; without it for ever (or, for what has no length, at once)
//! fault = "no-service"
//!
//! [[step]]
//! at-s = 120
//! fault = { call-end = { type = 6, code = 33 } }
//! ```

use std::time::Duration;

use fastrand::Rng;
use serde::Deserialize;
use toml::Spanned;

/// A fault that lasts until it is lifted, or that happens at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// No cell is heard. Sessions end with (3, 2001).
    NoService,
    /// The network refuses registration with this EMM cause (3GPP TS 24.301, 9.9.3.9).
    RegistrationReject {
        /// The cause, such as 11 (PLMN not allowed).
        cause: u8,
    },
    /// The network refuses every session with this verbose call end reason.
    CallEnd {
        /// Type of the reason, such as 6 (3GPP).
        r#type: u16,
        /// The reason, such as 33 (option unsubscribed).
        code: i16,
        /// Only for this IP family.
        #[serde(default)]
        family: Option<Family>,
    },
    /// QMI names no reason of a refused session; `AT+CEER` still does.
    NoReason,
    /// The modem itself refuses sessions: (2, 209) for IPv4, (2, 211) for IPv6.
    Throttled,
    /// The card asks for its PIN (again).
    PinRequired,
    /// The card is pulled; at the end it is put back.
    SimAbsent,
    /// The card is there but does not become ready: UIM requests fail with 37.
    SlowSim,
    /// The card is refused as illegal.
    SimIllegal,
    /// The card counts as illegal until its power is cycled.
    SimStuck,
    /// The provider refreshes the card over the air. Those who registered for it are told, and when all of them have said
    /// that they are done, the card has this IMSI.
    SimRefresh {
        /// IMSI, 14 or 15 digits.
        imsi: String,
    },
    /// The control port answers nothing.
    Silent,
    /// The control port swallows the next request.
    HangOnce,
    /// Client ids of a service are taken by nobody until none is left.
    LeakClients {
        /// `nas`, `wds`, `dms`, `uim` or `wda`.
        service: String,
    },
    /// A session is up that belongs to a client id nobody knows: start-network answers *no effect*.
    StaleSession,
    /// Clients fail with *policy mismatch* at start-network until a CTL sync.
    PolicyMismatch,
    /// The network hands out another address.
    SettingsChanged {
        /// Whether clients are told.
        #[serde(default = "yes")]
        indication: bool,
    },
    /// The network ends all sessions.
    PdnDropped {
        /// Type of the verbose reason.
        #[serde(default = "type_3gpp")]
        r#type: u16,
        /// The verbose reason.
        #[serde(default = "regular_deactivation")]
        code: i16,
        /// Whether clients are told.
        #[serde(default = "yes")]
        indication: bool,
    },
    /// The sessions that are up stay so and carry nothing any more; new ones do.
    PdnDead,
    /// No session carries anything.
    PathDead,
    /// The modem restarts by itself and comes back as a new USB device.
    Reset,
    /// The modem is pulled out; at the end it is plugged in again, as a new USB device.
    Unplugged,
    /// The preferred firmware image is gone: after the next reset the modem stays in low power.
    ImageLost,
    /// Bytes that are no frame come out of the control port.
    Garbage,
    /// Unsolicited lines come between the lines of AT answers.
    AtChatter,
}

/// An IP family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

fn yes() -> bool {
    true
}

fn type_3gpp() -> u16 {
    6
}

fn regular_deactivation() -> i16 {
    36
}

impl Fault {
    /// Whether it lasts until it is lifted.
    #[must_use]
    pub fn lasts(&self) -> bool {
        match self {
            Self::NoService
            | Self::RegistrationReject { .. }
            | Self::CallEnd { .. }
            | Self::NoReason
            | Self::Throttled
            | Self::SimAbsent
            | Self::SlowSim
            | Self::SimIllegal
            | Self::Silent
            | Self::LeakClients { .. }
            | Self::PolicyMismatch
            | Self::PdnDead
            | Self::PathDead
            | Self::Unplugged
            | Self::AtChatter => true,
            Self::PinRequired
            | Self::SimStuck
            | Self::SimRefresh { .. }
            | Self::HangOnce
            | Self::StaleSession
            | Self::SettingsChanged { .. }
            | Self::PdnDropped { .. }
            | Self::Reset
            | Self::ImageLost
            | Self::Garbage => false,
        }
    }
}

/// When a step happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// Once, this long after the start.
    At(Duration),
    /// Again and again, first after one interval.
    Every(Duration),
    /// Again and again after random times with this mean.
    Random(Duration),
}

/// One line of the script.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When it happens.
    pub when: When,
    /// How long a lasting fault lasts; `None`: for ever.
    pub length: Option<Duration>,
    /// What happens.
    pub fault: Fault,
}

/// Which carrier a card belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CarrierSpec {
    /// Name as the network sends it.
    pub name: String,
    /// Mobile country code, three digits.
    pub mcc: String,
    /// Mobile network code, two or three digits.
    pub mnc: String,
}

/// How the modem lets its framing be chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// By WDA, for the one data endpoint that there is.
    #[default]
    Wda,
    /// By WDA, and the request must name the endpoint, as modems with several want it.
    WdaEndpoint,
    /// By CTL; there is no WDA, as before it was invented.
    Ctl,
}

/// What is said about the modem; the rest follows from the seed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ModemSpec {
    /// IMEI, 15 digits.
    pub imei: Option<String>,
    /// ICCID, 18 to 20 digits.
    pub iccid: Option<String>,
    /// IMSI, 14 or 15 digits.
    pub imsi: Option<String>,
    /// Telephone number.
    pub msisdn: Option<String>,
    /// Carrier of the card and of the network.
    pub carrier: Option<CarrierSpec>,
    /// PIN that the card asks for after each reset; without it none.
    pub pin: Option<String>,
    /// How long the network takes to register, in milliseconds.
    pub register_ms: Option<u64>,
    /// How long it takes to set up a session, in milliseconds.
    pub connect_ms: Option<u64>,
    /// How long the modem is away when it restarts, in milliseconds.
    pub restart_ms: Option<u64>,
    /// APNs of the subscription; others are refused with (6, 27). Empty: all are taken.
    pub apns: Vec<String>,
    /// The IPv4 address handed out, instead of one from the seed: two carriers may use the same private one.
    pub address: Option<std::net::Ipv4Addr>,
    /// How its framing is chosen.
    pub framing: Framing,
}

/// A modem and its script.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scenario {
    /// The modem.
    pub modem: ModemSpec,
    /// Its script.
    pub steps: Vec<Step>,
}

/// A scenario that cannot be used, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct ScenarioError {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Script {
    modem: Option<Spanned<ModemSpec>>,
    #[serde(default)]
    step: Vec<Spanned<ScriptStep>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ScriptStep {
    at_s: Option<Spanned<f64>>,
    every_s: Option<Spanned<f64>>,
    random_s: Option<Spanned<f64>>,
    for_s: Option<Spanned<f64>>,
    fault: Spanned<Fault>,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// [`ScenarioError`] names line and column of the first fault.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let place = |offset: usize, problem: String| {
            let before = &text.as_bytes()[..offset.min(text.len())];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
            ScenarioError { line, column, problem }
        };
        let script: Script = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(text.len(), |span| span.start);
            place(offset, error.message().trim().replace('\n', ", "))
        })?;
        let steps = script.step.into_iter().map(step).collect::<Result<_, _>>();
        let steps = steps.map_err(|(offset, problem)| place(offset, problem))?;
        let Some(modem) = script.modem else { return Ok(Self { modem: ModemSpec::default(), steps }) };
        modem.get_ref().check().map_err(|problem| place(modem.span().start, problem))?;
        Ok(Self { modem: modem.into_inner(), steps })
    }
}

type Misplaced = (usize, String);

fn step(step: Spanned<ScriptStep>) -> Result<Step, Misplaced> {
    let offset = step.span().start;
    let step = step.into_inner();
    let seconds = |value: Spanned<f64>, least: f64| {
        let (offset, value) = (value.span().start, value.into_inner());
        match value {
            value if (least..=1e8).contains(&value) => Ok(Duration::from_secs_f64(value)),
            _ => Err((offset, format!("{value} is no time from {least} to 100000000 seconds"))),
        }
    };
    let when = match (step.at_s, step.every_s, step.random_s) {
        (Some(at), None, None) => When::At(seconds(at, 0.0)?),
        (None, Some(every), None) => When::Every(seconds(every, 1.0)?),
        (None, None, Some(mean)) => When::Random(seconds(mean, 1.0)?),
        _ => return Err((offset, "a step has one of at-s, every-s and random-s".to_owned())),
    };
    let (fault_offset, fault) = (step.fault.span().start, step.fault.into_inner());
    if let Fault::LeakClients { service } = &fault
        && !["nas", "wds", "dms", "uim", "wda"].contains(&service.as_str())
    {
        return Err((fault_offset, format!("{service:?} is none of nas, wds, dms, uim, wda")));
    }
    let length = match step.for_s {
        Some(length) if !fault.lasts() => {
            return Err((length.span().start, "this fault happens at once and has no for-s".to_owned()));
        }
        length => length.map(|length| seconds(length, 0.0)).transpose()?,
    };
    Ok(Step { when, length, fault })
}

impl ModemSpec {
    fn check(&self) -> Result<(), String> {
        let digits = |name: &str, text: &Option<String>, lengths: std::ops::RangeInclusive<usize>| match text
        {
            Some(text)
                if !lengths.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                Err(format!(
                    "{name} {text:?} is not a text of {} to {} digits",
                    lengths.start(),
                    lengths.end()
                ))
            }
            _ => Ok(()),
        };
        digits("imei", &self.imei, 15..=15)?;
        digits("iccid", &self.iccid, 18..=20)?;
        digits("imsi", &self.imsi, 14..=15)?;
        digits("pin", &self.pin, 4..=8)?;
        if let Some(carrier) = &self.carrier {
            digits("mcc", &Some(carrier.mcc.clone()), 3..=3)?;
            digits("mnc", &Some(carrier.mnc.clone()), 2..=3)?;
        }
        Ok(())
    }
}

/// A fault begins or ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// It begins.
    Begin(Fault),
    /// It ends.
    End(Fault),
}

/// The script in time: what is due, in order.
#[derive(Debug, Clone)]
pub struct Schedule {
    steps: Vec<Step>,
    /// When each step begins next.
    begins: Vec<Option<Duration>>,
    ends: Vec<(Duration, Fault)>,
    random: Rng,
}

impl Schedule {
    /// Starts the script at time zero.
    #[must_use]
    pub fn new(steps: Vec<Step>, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed ^ 0x7363_6865_6475_6c65);
        let begins = steps.iter().map(|step| next_begin(step.when, None, &mut random)).collect();
        Self { steps, begins, ends: Vec::new(), random }
    }

    /// When something is due next.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let ends = self.ends.iter().map(|(time, _)| *time);
        self.begins.iter().flatten().copied().chain(ends).min()
    }

    /// What became due until `now`, with its time, earliest first; ends come before begins of the same moment.
    pub fn take_due(&mut self, now: Duration) -> Option<(Duration, Turn)> {
        let end =
            self.ends.iter().enumerate().min_by_key(|(_, (time, _))| *time).map(|(i, (time, _))| (*time, i));
        let begin = self.begins.iter().enumerate().filter_map(|(i, time)| Some(((*time)?, i))).min();
        match (end, begin) {
            (Some((time, index)), begin) if time <= now && begin.is_none_or(|(begin, _)| time <= begin) => {
                Some((time, Turn::End(self.ends.swap_remove(index).1)))
            }
            (_, Some((time, index))) if time <= now => {
                let step = &self.steps[index];
                self.begins[index] = next_begin(step.when, Some(time), &mut self.random);
                if let Some(length) = step.length {
                    self.ends.push((time + length, step.fault.clone()));
                }
                Some((time, Turn::Begin(step.fault.clone())))
            }
            _ => None,
        }
    }
}

fn next_begin(when: When, last: Option<Duration>, random: &mut Rng) -> Option<Duration> {
    let from = last.unwrap_or_default();
    match when {
        When::At(time) => last.is_none().then_some(time),
        When::Every(interval) => Some(from + interval),
        When::Random(mean) => {
            let factor = -(1.0 - random.f64()).ln();
            Some(from + mean.mul_f64(factor).max(Duration::from_millis(100)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SCRIPT: &str = r#"
[modem]
pin = "1234"
carrier = { name = "AT&T", mcc = "310", mnc = "410" }

[[step]]
at-s = 60
for-s = 30
fault = "no-service"

[[step]]
every-s = 100.5
fault = { call-end = { type = 6, code = 33, family = "v6" } }

[[step]]
random-s = 900
for-s = 5
fault = { leak-clients = { service = "nas" } }
"#;

    #[test]
    fn a_script_is_read() {
        let scenario = Scenario::parse(SCRIPT).unwrap();
        assert_eq!(scenario.modem.pin.as_deref(), Some("1234"));
        assert_eq!(scenario.modem.carrier.unwrap().mnc, "410");
        assert_eq!(scenario.steps.len(), 3);
        assert_eq!(
            scenario.steps[1],
            Step {
                when: When::Every(Duration::from_millis(100_500)),
                length: None,
                fault: Fault::CallEnd { r#type: 6, code: 33, family: Some(Family::V6) },
            }
        );
        assert_eq!(Scenario::parse("").unwrap(), Scenario::default());
    }

    #[test]
    fn every_fault_has_a_name_and_its_defaults() {
        for (text, fault) in [
            ("\"silent\"", Fault::Silent),
            ("\"throttled\"", Fault::Throttled),
            ("{ settings-changed = {} }", Fault::SettingsChanged { indication: true }),
            ("{ pdn-dropped = {} }", Fault::PdnDropped { r#type: 6, code: 36, indication: true }),
            ("{ registration-reject = { cause = 11 } }", Fault::RegistrationReject { cause: 11 }),
        ] {
            let script = format!("[[step]]\nat-s = 1\nfault = {text}\n");
            assert_eq!(Scenario::parse(&script).unwrap().steps[0].fault, fault, "{text}");
        }
    }

    #[test]
    fn faults_of_the_script_are_named_with_line_and_column() {
        for (from, to, text) in [
            ("at-s = 60", "at-s = 60\nevery-s = 2", "line 6, column 1: a step has one of"),
            ("at-s = 60", "", "line 6, column 1: a step has one of"),
            ("at-s = 60", "at-s = -1", "line 7, column 8: -1 is no time"),
            ("at-s = 60", "at-s = nan", "line 7, column 8: "),
            ("at-s = 60", "at-s = \"x\"", "line 7, column 8: "),
            ("at-s = 60", "at-z = 60", "line 7, column 1: unknown field `at-z`"),
            ("\"no-service\"", "\"no-servic\"", "line 9, column 9: unknown variant `no-servic`"),
            ("\"no-service\"", "\"reset\"", "line 8, column 9: this fault happens at once"),
            ("\"nas\"", "\"loc\"", "line 18, column 9: \"loc\" is none of"),
            ("\"1234\"", "\"12\"", "pin \"12\" is not a text of 4 to 8 digits"),
            ("\"410\"", "\"4x0\"", "mnc"),
            ("[modem]", "[modem", "line 2"),
        ] {
            let error = Scenario::parse(&SCRIPT.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(text), "{to}: {error}");
        }
    }

    #[test]
    fn the_schedule_gives_what_is_due_in_order() {
        let steps = Scenario::parse(SCRIPT).unwrap().steps;
        let mut schedule = Schedule::new(steps[..2].to_vec(), 1);
        let second = Duration::from_secs_f64;
        assert_eq!(schedule.next_due(), Some(second(60.0)));
        assert_eq!(schedule.take_due(second(59.9)), None);
        let mut turns = Vec::new();
        while let Some((time, turn)) = schedule.take_due(second(202.0)) {
            turns.push((time.as_secs_f64(), turn));
        }
        let call_end = steps[1].fault.clone();
        assert_eq!(
            turns,
            [
                (60.0, Turn::Begin(Fault::NoService)),
                (90.0, Turn::End(Fault::NoService)),
                (100.5, Turn::Begin(call_end.clone())),
                (201.0, Turn::Begin(call_end)),
            ]
        );
    }

    proptest! {
        #[test]
        fn random_steps_follow_the_seed_and_come_at_their_mean_pace(seed: u64) {
            let step = Step { when: When::Random(Duration::from_secs(10)), length: None, fault: Fault::Reset };
            let run = || {
                let mut schedule = Schedule::new(vec![step.clone()], seed);
                let end = Duration::from_secs(20_000);
                std::iter::from_fn(|| schedule.take_due(end)).map(|(time, _)| time).collect::<Vec<_>>()
            };
            let times = run();
            prop_assert_eq!(&times, &run());
            prop_assert!(times.is_sorted());
            prop_assert!((1700..2300).contains(&times.len()), "{}", times.len());
        }

        #[test]
        fn any_text_is_survived(text in "\\PC{0,200}") {
            if let Err(error) = Scenario::parse(&text) {
                prop_assert!(error.line >= 1 && error.column >= 1);
            }
        }
    }
}
