//! Makes events of what tasks tell: gives them their clocks, notices when the wall clock jumps, and keeps
//! identities of people's contracts as private as `[privacy]` says. What it decides follows from its
//! arguments; only [`Reading::now`] looks at the machine.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use nix::time::{ClockId, clock_gettime};
use sha2::{Digest as _, Sha256};

use super::Emission;
use crate::config::{Identifiers, Privacy, Secret};
use crate::event::{Body, ClockState, ClockStepped, Origin};
use crate::spool::Draft;

/// A wall clock that departs from the boot clock by more than this has been set.
const STEP: TimeDelta = TimeDelta::seconds(2);
/// And by this part of the time between two readings, for slewing (500 ppm) is no step.
const SLEW_PARTS: i32 = 1000;
/// No router with this program has lived before 2026: an earlier clock was never set.
pub(super) const EARLIEST_S: i64 = 1_767_225_600;
/// Digits in a row in the answer of a modem that may be an identity: MSISDNs begin at 10.
const IDENTITY_DIGITS: usize = 10;

/// All clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// `CLOCK_REALTIME`.
    pub wall: DateTime<Utc>,
    /// `CLOCK_BOOTTIME`: goes on in suspend, never jumps.
    pub uptime: Duration,
    /// Whether the wall clock can be trusted.
    pub clock: ClockState,
}

impl Reading {
    /// Reads the clocks.
    ///
    /// The wall clock counts as synced when it stands in the time of this program, and, where
    /// systemd-timesyncd keeps it, when that has heard from a server since boot.
    #[must_use]
    pub fn now() -> Self {
        let uptime = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
        let wall = Utc::now();
        let keeper = Path::new("/run/systemd/timesync");
        let heard = !keeper.exists() || keeper.join("synchronized").exists();
        Self { wall, uptime, clock: clock_state(wall, heard) }
    }
}

fn clock_state(wall: DateTime<Utc>, heard: bool) -> ClockState {
    if heard && wall.timestamp() >= EARLIEST_S { ClockState::Synced } else { ClockState::Unsynced }
}

/// The kernel's name for this boot.
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}

/// Turns [`Emission`]s into drafts of events.
#[derive(Debug)]
pub struct Stamper {
    boot_id: String,
    privacy: Shown,
    last: Option<Reading>,
}

impl Stamper {
    /// For the boot `boot_id`, with identities shown as `privacy` says.
    #[must_use]
    pub fn new(boot_id: String, privacy: Privacy) -> Self {
        Self { boot_id, privacy: Shown(privacy), last: None }
    }

    /// From now on shows identities as `privacy` says.
    pub fn set_privacy(&mut self, privacy: Privacy) {
        self.privacy = Shown(privacy);
    }

    /// The draft of what was told, its time in whole milliseconds as that since boot. Look for a step of the clock first ([`Self::step`]).
    #[must_use]
    pub fn stamp(&self, emission: Emission, now: Reading) -> Draft {
        let Emission { subject, time, mut body } = emission;
        self.privacy.apply(&mut body);
        let origin = Origin {
            boot_id: self.boot_id.clone(),
            uptime_ms: u64::try_from(now.uptime.as_millis()).unwrap_or(u64::MAX),
            clock: now.clock,
        };
        Draft { time: time.unwrap_or(now.wall).trunc_subsecs(3), subject, origin, body }
    }

    /// Compares the clocks with the reading before; a draft when the wall clock was set in between.
    pub fn step(&mut self, now: Reading) -> Option<Draft> {
        let last = self.last.replace(now)?;
        let passed = TimeDelta::from_std(now.uptime.saturating_sub(last.uptime)).ok()?;
        let from = last.wall.checked_add_signed(passed)?;
        if (now.wall - from).abs() <= STEP + passed / SLEW_PARTS {
            return None;
        }
        let body = ClockStepped { from, to: now.wall }.into();
        Some(self.stamp(Emission { subject: None, time: None, body }, now))
    }
}

/// Shows identities as `[privacy]` says.
#[derive(Debug)]
struct Shown(Privacy);

impl Shown {
    /// Rewrites every identity in `body`.
    fn apply(&self, body: &mut Body) {
        if self.0.identifiers == Identifiers::Clear {
            return;
        }
        match body {
            Body::ModemDetected(modem) => self.field(&mut modem.imei),
            Body::SimChanged(sim) => {
                for identity in [&mut sim.iccid, &mut sim.imsi, &mut sim.msisdn] {
                    self.field(identity);
                }
            }
            Body::AtExecuted(at) => {
                at.command = self.text(&at.command);
                for line in &mut at.answer {
                    *line = self.text(line);
                }
            }
            Body::LinkFailed(failed) => {
                if let Some(detail) = &mut failed.detail {
                    *detail = self.text(detail);
                }
            }
            _ => {}
        }
    }

    fn field(&self, identity: &mut Option<String>) {
        *identity = identity.take().and_then(|identity| self.shown(&identity));
    }

    fn shown(&self, identity: &str) -> Option<String> {
        match self.0.identifiers {
            Identifiers::Clear => Some(identity.to_owned()),
            Identifiers::Hashed => Some(hash(self.0.salt.as_ref().map_or("", Secret::reveal), identity)),
            Identifiers::Omitted => None,
        }
    }

    /// Free text of a modem: every run of digits long enough to be an identity is replaced.
    fn text(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, from) = rest.split_at(start);
            let (digits, after) =
                from.split_at(from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len()));
            shown += before;
            if digits.len() < IDENTITY_DIGITS {
                shown += digits;
            } else {
                shown += &self.shown(digits).unwrap_or_else(|| "omitted".to_owned());
            }
            rest = after;
        }
        shown + rest
    }
}

/// HMAC-SHA-256 (RFC 2104) of an identity under the fleet's salt, the first 128 bits in hex.
fn hash(salt: &str, identity: &str) -> String {
    const BLOCK: usize = 64;
    let mut key = [0; BLOCK];
    if salt.len() > BLOCK {
        key[..32].copy_from_slice(&Sha256::digest(salt.as_bytes()));
    } else {
        key[..salt.len()].copy_from_slice(salt.as_bytes());
    }
    let inner = Sha256::new().chain_update(key.map(|byte| byte ^ 0x36)).chain_update(identity).finalize();
    let outer = Sha256::new().chain_update(key.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize();
    outer.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AtExecuted, CardState, ModemDetected, SimChanged};

    const IMSI: &str = "001010123456789";

    fn reading(wall_s: i64, uptime_s: u64) -> Reading {
        let wall = DateTime::from_timestamp(wall_s, 0).unwrap();
        Reading { wall, uptime: Duration::from_secs(uptime_s), clock: clock_state(wall, true) }
    }

    fn stamper(identifiers: Identifiers) -> Stamper {
        Stamper::new("boot".into(), Privacy { identifiers, salt: Some(Secret::new("fleet")) })
    }

    fn emission(body: impl Into<Body>) -> Emission {
        Emission { subject: Some("lte-dev-1".into()), time: None, body: body.into() }
    }

    #[test]
    fn an_event_carries_its_clocks_and_keeps_a_time_of_its_own() {
        let now = reading(EARLIEST_S + 5, 77);
        let stamper = stamper(Identifiers::Clear);
        let draft = stamper.stamp(emission(ModemDetected::default()), now);
        assert_eq!((draft.time, draft.origin.uptime_ms), (now.wall, 77_000));
        assert_eq!((draft.origin.boot_id.as_str(), draft.origin.clock), ("boot", ClockState::Synced));
        let time = Some(reading(EARLIEST_S, 0).wall);
        let draft = stamper.stamp(Emission { time, ..emission(ModemDetected::default()) }, now);
        assert_eq!(Some(draft.time), time);
    }

    #[test]
    fn a_clock_of_1970_or_one_that_heard_no_server_is_unsynced() {
        assert_eq!(reading(12, 12).clock, ClockState::Unsynced);
        assert_eq!(
            clock_state(DateTime::from_timestamp(EARLIEST_S, 0).unwrap(), false),
            ClockState::Unsynced
        );
    }

    #[test]
    fn a_step_is_told_once_with_both_times_and_slewing_is_none() {
        let mut stamper = stamper(Identifiers::Clear);
        assert_eq!(stamper.step(reading(100, 100)), None);
        assert_eq!(stamper.step(reading(161, 160)), None);
        let stepped = stamper.step(reading(EARLIEST_S, 170)).unwrap();
        let expected = ClockStepped { from: reading(171, 0).wall, to: reading(EARLIEST_S, 0).wall };
        assert_eq!(stepped.body, Body::from(expected));
        assert_eq!(stepped.origin.clock, ClockState::Synced);
        assert_eq!(stamper.step(reading(EARLIEST_S + 1, 171)), None);
        // A day without a reading, slewed by 500 ppm all the way.
        assert_eq!(stamper.step(reading(EARLIEST_S + 1 + 86_400 + 43, 171 + 86_400)), None);
        assert!(stamper.step(reading(EARLIEST_S, 171 + 86_401)).is_some(), "a step back");
    }

    fn every_identity() -> [Body; 3] {
        let sim = SimChanged {
            card: CardState::Ready,
            slot: Some(1),
            iccid: Some(IMSI.into()),
            imsi: Some(IMSI.into()),
            msisdn: Some(IMSI.into()),
            pin: None,
            pin_retries: None,
            puk_retries: None,
        };
        let at = AtExecuted {
            port: "/dev/ttyUSB2".into(),
            command: "AT+CIMI".into(),
            answer: vec![format!("+CIMI: \"{IMSI}\",7"), "OK".into()],
            result: "OK".into(),
            by: None,
        };
        [ModemDetected { imei: Some(IMSI.into()), ..ModemDetected::default() }.into(), sim.into(), at.into()]
    }

    #[test]
    fn no_identity_leaves_unless_it_may() {
        for (identifiers, clear) in
            [(Identifiers::Clear, true), (Identifiers::Hashed, false), (Identifiers::Omitted, false)]
        {
            for body in every_identity() {
                let draft = stamper(identifiers).stamp(emission(body), reading(0, 0));
                let text = serde_json::to_string(&draft.body).unwrap();
                assert_eq!(text.contains(IMSI), clear, "{identifiers:?}: {text}");
            }
        }
    }

    #[test]
    fn a_hash_follows_an_identity_within_a_fleet_only() {
        assert_eq!(hash("fleet", IMSI), hash("fleet", IMSI));
        assert_ne!(hash("fleet", IMSI), hash("other", IMSI));
        // RFC 4231, test case 2.
        assert_eq!(hash("Jefe", "what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c7");
    }
}
