//! One uplink: what it says of itself, what its packets and probes say of it.
//!
//! ```text
//!              packets out, none back                all lost, nothing received
//!              or heartbeat lost       ┌─────────┐
//!  trusted ──────────────────────────▶ │ burst   │ ───────────────────────────▶ dead
//!     ▲  ▲  anything received          └────┬────┘                              │  ▲
//!     │  └──────────────────────────────────┘                 one probe answered│  │ as many lost as a burst has
//!     │                                                                         ▼  │
//!     └──────────────── N good probes in a row ─────────────────────────────── proving ◀── up again after it was down
//! ```

mod probing;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::{Probe, ProbeTarget};

use super::budget::ByteBudget;
use super::correlation::Correlation;
use super::report::Standing;
use super::statistics::Statistics;
use super::words::{Families, Output, Purpose, UplinkSettings};

/// Time between two probes of an uplink that proves itself.
const RECOVERY_PACE: Duration = Duration::from_secs(1);
/// How long a target is not asked that was lost while others answered.
pub(super) const IGNORE: Duration = Duration::from_secs(300);
/// Least time between two probes of a dead uplink on which something arrives.
const LOOK_SOONER: Duration = Duration::from_secs(10);

/// What the uplink says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Own {
    Up,
    Suspect(String),
    Down(String),
}

/// What packets and probes say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Health {
    Trusted,
    Proving { good: u32 },
    Dead,
}

/// A burst of probes to find out.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub cause: String,
    pub started: Instant,
    sent: u32,
    next_at: Instant,
    pub wants_witness: bool,
}

/// A probe on its way.
#[derive(Clone, Debug)]
struct Flight {
    id: u64,
    target: usize,
    purpose: Purpose,
    sent_at: Instant,
    judge_at: Instant,
    until: Instant,
    lost: bool,
}

/// One target, as seen through this uplink.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub target: ProbeTarget,
    lost_in_a_row: u32,
    pub answered_at: Option<Instant>,
    pub ignored_until: Option<Instant>,
}

/// What all uplinks share while time passes.
pub(super) struct Desk<'a> {
    pub probe: &'a Probe,
    pub recovery_count: u32,
    pub out: &'a mut VecDeque<Output>,
    pub next_id: &'a mut u64,
    pub correlation: &'a mut Correlation,
}

#[derive(Debug)]
pub(super) struct Uplink {
    pub settings: UplinkSettings,
    pub own: Own,
    pub families: Families,
    pub health: Health,
    pub check: Option<Check>,
    /// Why it last failed.
    pub cause: String,
    pub quota_spent: bool,
    pub resting: bool,
    pub carrying: bool,
    /// When it failed, within the flap window.
    pub failures: VecDeque<Instant>,
    pub lost_in_a_row: u32,
    pub alive_at: Option<Instant>,
    pub targets: Vec<Target>,
    pub statistics: Statistics,
    pub budget: ByteBudget,
    flights: Vec<Flight>,
    cursor: usize,
    counters: Option<(Instant, u64, u64)>,
    silent_since: Option<Instant>,
    answers_since_reading: u64,
    one_way: Duration,
    one_way_until: Option<Instant>,
    probed_at: Option<Instant>,
    next_at: Instant,
    wait: Duration,
    told_dead: bool,
}

impl Uplink {
    pub fn new(settings: UplinkSettings, probe: &Probe, now: Instant) -> Self {
        let mut uplink = Self {
            settings,
            own: Own::Down("not up yet".into()),
            families: Families::BOTH,
            health: Health::Trusted,
            check: None,
            cause: String::new(),
            quota_spent: false,
            resting: false,
            carrying: false,
            failures: VecDeque::new(),
            lost_in_a_row: 0,
            alive_at: None,
            targets: Vec::new(),
            statistics: Statistics::default(),
            budget: ByteBudget::new(probe.monthly_budget_bytes, now),
            flights: Vec::new(),
            cursor: 0,
            counters: None,
            silent_since: None,
            answers_since_reading: 0,
            one_way: Duration::ZERO,
            one_way_until: None,
            probed_at: None,
            next_at: now,
            wait: RECOVERY_PACE,
            told_dead: false,
        };
        uplink.set_probe(probe, now);
        uplink
    }

    /// Other targets or another budget.
    pub fn set_probe(&mut self, probe: &Probe, now: Instant) {
        self.budget.set_budget(probe.monthly_budget_bytes, now);
        if self.targets.iter().map(|one| &one.target).eq(&probe.targets) {
            return;
        }
        let fresh = |target| Target { target, lost_in_a_row: 0, answered_at: None, ignored_until: None };
        self.targets = probe.targets.iter().cloned().map(fresh).collect();
        self.cursor = 0;
        self.flights.clear();
        self.check = None;
    }

    // ---- what happens ----

    pub fn up(&mut self, families: Families, now: Instant) {
        let before = std::mem::replace(&mut self.own, Own::Up);
        self.families = families;
        match before {
            Own::Up => {}
            Own::Suspect(_) => self.prove_again(now),
            Own::Down(_) => {
                self.start_afresh(now);
                self.prove_again(now);
            }
        }
    }

    /// Without a target to ask there is no proof to wait for.
    fn prove_again(&mut self, now: Instant) {
        if self.health == Health::Trusted {
            return;
        }
        if !self.can_probe() {
            self.health = Health::Trusted;
        }
        self.next_at = now;
        self.wait = RECOVERY_PACE;
    }

    fn start_afresh(&mut self, now: Instant) {
        self.flights.clear();
        self.check = None;
        self.counters = None;
        self.silent_since = None;
        (self.one_way, self.one_way_until) = (Duration::ZERO, None);
        self.lost_in_a_row = 0;
        self.alive_at = None;
        self.probed_at = None;
        self.next_at = now;
        self.told_dead = false;
    }

    pub fn suspect(&mut self, cause: String, now: Instant) {
        self.fail(&cause, Health::Proving { good: 0 }, now);
        if matches!(self.own, Own::Down(_)) {
            self.start_afresh(now);
        }
        self.own = Own::Suspect(cause);
    }

    pub fn down(&mut self, cause: String, now: Instant) {
        if !matches!(self.own, Own::Down(_)) {
            if self.resting {
                self.check = None;
            } else {
                self.fail(&cause, Health::Proving { good: 0 }, now);
                self.health = Health::Proving { good: 0 };
            }
            self.start_afresh(now);
        }
        self.own = Own::Down(cause);
    }

    /// Counts once for each outage.
    fn fail(&mut self, cause: &str, health: Health, now: Instant) {
        if self.health == Health::Trusted {
            self.failures.push_back(now);
            self.cause = cause.to_owned();
            self.health = health;
        }
        self.check = None;
    }

    pub fn read_counters(&mut self, tx: u64, rx: u64, now: Instant) {
        let before = self.counters.replace((now, tx, rx));
        let answers = std::mem::take(&mut self.answers_since_reading);
        let Some((read_at, tx_before, rx_before)) = before else { return };
        if tx < tx_before || rx < rx_before {
            self.silent_since = None;
        } else if rx > rx_before {
            self.alive(now);
            if rx - rx_before > answers {
                (self.one_way, self.one_way_until) = (Duration::ZERO, None);
                self.look_sooner(now);
            }
        } else if tx > tx_before {
            self.silent_since.get_or_insert(read_at);
        }
    }

    fn alive(&mut self, now: Instant) {
        self.silent_since = None;
        self.alive_at = Some(now);
        self.lost_in_a_row = 0;
        self.check = None;
    }

    /// Something arrives on a dead uplink: it may be back.
    fn look_sooner(&mut self, now: Instant) {
        if self.health == Health::Dead {
            let soonest = self.probed_at.map_or(now, |at| now.max(at + LOOK_SOONER));
            self.next_at = self.next_at.min(soonest);
        }
    }

    // ---- what it is worth ----

    pub fn standing(&self) -> Standing {
        let by_itself = match self.own {
            Own::Up => Standing::Working,
            Own::Suspect(_) => Standing::Suspect,
            Own::Down(_) => return Standing::Down,
        };
        let by_probes = match self.health {
            // Traffic stays until the burst has told; it does not move here meanwhile.
            Health::Trusted if self.check.is_some() && !self.carrying => Standing::Suspect,
            Health::Trusted if self.quota_spent => Standing::Spent,
            Health::Trusted => Standing::Working,
            Health::Proving { .. } if matches!(self.own, Own::Suspect(_)) => Standing::Suspect,
            Health::Proving { .. } => Standing::Proving,
            Health::Dead => Standing::Dead,
        };
        by_itself.max(by_probes)
    }

    /// Why it is worth no more than that, in a few words.
    pub fn reason(&self) -> String {
        match (&self.own, self.standing()) {
            (Own::Down(cause) | Own::Suspect(cause), _) if self.health != Health::Dead => cause.clone(),
            (_, Standing::Working) => "works".into(),
            (_, Standing::Spent) => "data plan used up".into(),
            (_, Standing::Suspect) => {
                self.check.as_ref().map_or("suspect".into(), |check| check.cause.clone())
            }
            (_, Standing::Proving) => format!("must prove itself after: {}", self.cause),
            (_, Standing::Dead | Standing::Down) => self.cause.clone(),
        }
    }

    /// Until when it may not take traffic from an uplink that works: longer with each failure in the window.
    pub fn hold_until(&self, stay: Duration, window: Duration) -> Option<Instant> {
        let last = self.failures.back()?;
        let doublings = u32::try_from(self.failures.len() - 1).unwrap_or(u32::MAX).min(16);
        Some(*last + (stay * 2u32.pow(doublings)).min(window.max(stay)))
    }

    pub fn forget_before_window(&mut self, window: Duration, now: Instant) {
        // The last is kept as long as its hold lasts, which the window bounds.
        while self.failures.front().is_some_and(|at| *at + window <= now) {
            self.failures.pop_front();
        }
    }
}
