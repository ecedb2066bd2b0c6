//! The probes of one uplink: what is due, what is lost, what a burst says.

use std::time::{Duration, Instant};

use crate::config::Probe;

use super::super::budget::sustained_heartbeat;
use super::super::words::{Output, Purpose};
use super::{Check, Desk, Flight, Health, IGNORE, Own, RECOVERY_PACE, Uplink};

/// Traffic that goes one way only is quiet without being dead: after each proof of that the next suspicion waits
/// twice as long, up to this.
const ONE_WAY_LONGEST: Duration = Duration::from_secs(64);
/// Least time for an answer, however quick the round trips are: a sleeping LTE radio needs some 300 ms to wake up.
const ANSWER_LEAST: Duration = Duration::from_millis(400);
/// How long the answer to a lost probe is still welcome.
const LISTEN: Duration = Duration::from_secs(3);
/// Longest time between two probes of a dead uplink.
const RECOVERY_SLOWEST: Duration = Duration::from_secs(60);
/// A budget that does not pay for so many probes at once is none.
const PROBES_LEAST: u64 = 20;
/// Losses in a row of one target, while another answers, that put the blame on it.
const BLAME_AFTER: u32 = 2;
/// Without money for a probe, when to look again.
const SAVE: Duration = Duration::from_secs(10);
/// Packets out and none back for this long raise suspicion. A little less than the second between two readings of
/// the counters, for readings are not punctual.
const SILENCE: Duration = Duration::from_millis(800);
/// Time between two readings of the counters, at most.
const READING: Duration = Duration::from_millis(1200);

impl Uplink {
    pub fn answered(&mut self, id: u64, round_trip: Duration, desk: &mut Desk, now: Instant) -> bool {
        let Some(at) = self.flights.iter().position(|flight| flight.id == id) else { return false };
        let flight = self.flights.swap_remove(at);
        let one_way_checked = self.check.is_some() && self.silent_since.is_some();
        self.answers_since_reading += 1;
        self.statistics.answered(&self.targets[flight.target].target, round_trip, flight.lost);
        let target = &mut self.targets[flight.target];
        target.lost_in_a_row = 0;
        target.answered_at = Some(now);
        target.ignored_until = None;
        self.alive(now);
        if one_way_checked {
            self.trust_silence(now);
        }
        self.judge_targets(now);
        let good = match self.health {
            Health::Trusted => return true,
            Health::Dead => 1,
            // An answer that was given up says that the uplink lives, not that it is well.
            Health::Proving { good } => good + u32::from(!flight.lost),
        };
        if std::mem::take(&mut self.told_dead) {
            let (uplink, correlation_id) = (self.settings.name.clone(), desk.correlation.id());
            desk.out.push_back(Output::Cleared { uplink, correlation_id });
        }
        self.wait = RECOVERY_PACE;
        self.next_at = now + RECOVERY_PACE;
        self.health = if good >= desk.recovery_count { Health::Trusted } else { Health::Proving { good } };
        true
    }

    fn trust_silence(&mut self, now: Instant) {
        self.one_way = (self.one_way * 2).clamp(RECOVERY_PACE, ONE_WAY_LONGEST);
        self.one_way_until = Some(now + self.one_way);
    }

    /// The probe will not be answered.
    pub fn undeliverable(&mut self, id: u64, now: Instant) -> bool {
        let flight = self.flights.iter_mut().find(|flight| flight.id == id);
        if let Some(flight) = flight {
            flight.judge_at = flight.judge_at.min(now);
            flight.until = flight.until.min(now);
            return true;
        }
        false
    }

    // ---- as time passes ----

    /// Judges what is overdue and sends what is due. Verdicts are left to the caller, who sees the other uplinks too.
    pub fn advance(&mut self, desk: &mut Desk, now: Instant) {
        if matches!(self.own, Own::Down(_)) {
            return;
        }
        self.judge(desk, now);
        if self.health == Health::Trusted && self.check.is_none() && self.is_silent(now) {
            self.start_check("packets sent, none received", desk, now);
        }
        self.burst(desk, now);
        if self.check.is_some() || self.next_probe_at(desk.probe, now).is_none_or(|at| at > now) {
            return;
        }
        let purpose = match self.health {
            Health::Trusted => Purpose::Heartbeat,
            Health::Proving { .. } | Health::Dead => Purpose::Recovery,
        };
        let target = self.next_target(now);
        let sent = target.is_some_and(|target| self.send(target, purpose, desk, now));
        self.next_at = now + if sent { self.wait } else { SAVE };
    }

    /// When the next heartbeat or recovery probe is due, where none is on its way.
    fn next_probe_at(&mut self, probe: &Probe, now: Instant) -> Option<Instant> {
        if !self.can_probe() || self.flights.iter().any(|flight| !flight.lost) {
            return None;
        }
        match self.health {
            Health::Proving { .. } | Health::Dead => Some(self.next_at),
            // The first tells the round trip.
            Health::Trusted if self.probed_at.is_none() => Some(self.next_at),
            Health::Trusted => {
                let quiet_since = self.alive_at.max(self.probed_at).unwrap_or(now);
                let due = (quiet_since + self.pace(probe, now)).max(self.next_at);
                Some(self.all_ignored_until().map_or(due, |until| until.max(due)))
            }
        }
    }

    /// Time between two heartbeats, as the budget allows it now. An uplink whose data plan is used up takes the slow one.
    pub fn pace(&mut self, probe: &Probe, now: Instant) -> Duration {
        if self.budget.is_rich(now) && !self.quota_spent {
            probe.heartbeat
        } else {
            sustained_heartbeat(probe)
        }
    }

    fn is_silent(&self, now: Instant) -> bool {
        let silent = |since: Instant| now.saturating_duration_since(since) >= SILENCE;
        self.silent_since.is_some_and(silent) && self.one_way_until.is_none_or(|until| until <= now)
    }

    fn judge(&mut self, desk: &mut Desk, now: Instant) {
        let overdue: Vec<usize> = (0..self.flights.len())
            .filter(|at| !self.flights[*at].lost && self.flights[*at].judge_at <= now)
            .collect();
        for at in overdue {
            self.flights[at].lost = true;
            let flight = self.flights[at].clone();
            self.lost(&flight, desk, now);
        }
        let started = self.check.as_ref().map(|check| check.started);
        let in_burst = |flight: &Flight| started.is_some_and(|at| flight.sent_at >= at);
        self.flights.retain(|flight| flight.until > now || !flight.lost || in_burst(flight));
    }

    fn lost(&mut self, flight: &Flight, desk: &mut Desk, now: Instant) {
        self.statistics.lost(&self.targets[flight.target].target);
        self.targets[flight.target].lost_in_a_row += 1;
        self.lost_in_a_row += 1;
        self.judge_targets(now);
        let heard_since = self.alive_at.is_some_and(|at| at > flight.sent_at);
        match self.health {
            Health::Trusted if self.check.is_none() && !heard_since => {
                self.start_check("probe lost", desk, now);
            }
            Health::Trusted => {}
            Health::Proving { .. } | Health::Dead => {
                self.wait = (self.wait * 2).min(RECOVERY_SLOWEST);
                self.next_at = self.next_at.max(flight.sent_at + self.wait);
                if let Health::Proving { good } = &mut self.health {
                    *good = 0;
                }
                if self.lost_in_a_row >= desk.probe.burst_count && !self.told_dead {
                    self.die(desk);
                }
            }
        }
    }

    /// A target that is lost again and again while another one answers is to blame itself.
    fn judge_targets(&mut self, now: Instant) {
        let newest = self.targets.iter().filter_map(|one| one.answered_at).max();
        for one in &mut self.targets {
            if one.lost_in_a_row >= BLAME_AFTER && one.answered_at < newest && one.ignored_until.is_none() {
                one.ignored_until = Some(now + IGNORE);
            }
            if one.ignored_until.is_some_and(|until| until <= now) {
                one.ignored_until = None;
                one.lost_in_a_row = BLAME_AFTER - 1;
            }
        }
    }

    fn start_check(&mut self, cause: &str, desk: &mut Desk, now: Instant) {
        let burst_bytes = self.dearest_bytes() * u64::from(desk.probe.burst_count);
        if self.can_probe() && self.budget.affords(burst_bytes, now) {
            let cause = cause.to_owned();
            self.check = Some(Check { cause, started: now, sent: 0, next_at: now, wants_witness: false });
        }
    }

    fn burst(&mut self, desk: &mut Desk, now: Instant) {
        while let Some(check) = &self.check
            && check.sent < desk.probe.burst_count
            && check.next_at <= now
        {
            let Some(target) = self.next_target(now) else { break };
            self.send(target, Purpose::Suspicion, desk, now);
            let check = self.check.as_mut().expect("seen above");
            check.sent += 1;
            check.next_at = now + desk.probe.burst_interval;
            check.wants_witness = check.sent == desk.probe.burst_count;
        }
    }

    /// Whether all of the burst are lost.
    pub fn verdict_due(&self, probe: &Probe) -> bool {
        let all_sent = self.check.as_ref().is_some_and(|check| check.sent >= probe.burst_count);
        all_sent && self.burst_flights().all(|flight| flight.lost)
    }

    /// The verdict: dead.
    pub fn condemn(&mut self, desk: &mut Desk, now: Instant) {
        let Some(check) = self.check.take() else { return };
        self.fail(&format!("probes lost after: {}", check.cause), Health::Dead, now);
        self.wait = RECOVERY_PACE;
        self.next_at = now + self.wait;
        self.silent_since = None;
        self.die(desk);
    }

    fn die(&mut self, desk: &mut Desk) {
        self.health = Health::Dead;
        self.told_dead = true;
        let (uplink, correlation_id) = (self.settings.name.clone(), desk.correlation.id());
        desk.out.push_back(Output::Suspect { uplink, correlation_id });
    }

    /// The verdict: another uplink, alive, loses the same targets. They are to blame.
    pub fn excuse(&mut self, now: Instant) {
        let Some(check) = self.check.take() else { return };
        self.silent_since = None;
        self.lost_in_a_row = 0;
        self.trust_silence(now);
        for one in &mut self.targets {
            if one.lost_in_a_row > 0 && one.answered_at.is_none_or(|at| at < check.started) {
                one.ignored_until = Some(now + IGNORE);
            }
        }
    }

    /// Asks the targets that `suspect` lost, for comparison.
    pub fn bear_witness(&mut self, suspect: &[usize], desk: &mut Desk, now: Instant) {
        for target in suspect.iter().copied() {
            if self.can_reach(target) {
                self.send(target, Purpose::Witness, desk, now);
            }
        }
    }

    /// Whether it lives although none of `targets` has answered it since `since`.
    pub fn misses_them_too(&self, targets: &[usize], since: Instant) -> bool {
        let later = |at: Option<Instant>| at.is_some_and(|at| at >= since);
        let lives = self.alive_at.is_some_and(|at| at + READING >= since);
        let asked = |target: &usize| {
            self.flights
                .iter()
                .any(|flight| flight.target == *target && flight.lost && flight.sent_at >= since)
        };
        // Who never reached them cannot tell.
        let reached = |target: &usize| self.targets.get(*target).is_some_and(|one| one.answered_at.is_some());
        lives
            && targets.iter().any(reached)
            && !self.targets.iter().any(|one| later(one.answered_at))
            && targets.iter().any(asked)
    }

    /// Whether it has yet to say what it knows about a burst that began at `since`.
    pub fn is_still_asking(&self, since: Instant) -> bool {
        let asks =
            |flight: &Flight| flight.purpose == Purpose::Witness && flight.sent_at >= since && !flight.lost;
        self.flights.iter().any(asks)
    }

    /// The targets that were lost in the burst.
    pub fn burst_targets(&self) -> Vec<usize> {
        let mut targets: Vec<usize> = self.burst_flights().map(|flight| flight.target).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    fn burst_flights(&self) -> impl Iterator<Item = &Flight> {
        let started = self.check.as_ref().map(|check| check.started);
        self.flights
            .iter()
            .filter(move |flight| flight.purpose == Purpose::Suspicion && Some(flight.sent_at) >= started)
    }

    fn send(&mut self, target: usize, purpose: Purpose, desk: &mut Desk, now: Instant) -> bool {
        let name = &self.targets[target].target;
        if !self.budget.take(name.exchange_bytes(), now) {
            return false;
        }
        let id = *desk.next_id;
        *desk.next_id += 1;
        let patience = self.statistics.patience(ANSWER_LEAST, desk.probe.timeout);
        let timeout = LISTEN.max(desk.probe.timeout);
        let (judge_at, until) = (now + patience, now + timeout);
        self.flights.push(Flight { id, target, purpose, sent_at: now, judge_at, until, lost: false });
        self.probed_at = Some(now);
        desk.out.push_back(Output::Probe {
            id,
            uplink: self.settings.name.clone(),
            target: name.clone(),
            purpose,
            timeout,
        });
        true
    }

    fn can_reach(&self, target: usize) -> bool {
        self.targets.get(target).is_some_and(|one| self.families.reach(&one.target))
    }

    /// Whether there is anybody to ask, and a budget for it.
    pub fn can_probe(&self) -> bool {
        (0..self.targets.len()).any(|target| self.can_reach(target))
            && self.budget.covers(PROBES_LEAST * self.dearest_bytes())
    }

    fn dearest_bytes(&self) -> u64 {
        self.targets.iter().map(|one| one.target.exchange_bytes()).max().unwrap_or(0)
    }

    /// Until when there is nobody worth asking.
    fn all_ignored_until(&self) -> Option<Instant> {
        let reached = self.targets.iter().filter(|one| self.families.reach(&one.target));
        reached.map(|one| one.ignored_until).min().flatten()
    }

    /// In turn, those that answer first.
    fn next_target(&mut self, now: Instant) -> Option<usize> {
        let count = self.targets.len();
        let in_turn = (1..=count).map(|step| (self.cursor + step) % count);
        let ignored = |at: usize| self.targets[at].ignored_until.is_some_and(|until| until > now);
        let next = in_turn.filter(|at| self.can_reach(*at)).min_by_key(|at| ignored(*at))?;
        self.cursor = next;
        Some(next)
    }

    pub fn next_deadline(&mut self, probe: &Probe, now: Instant) -> Option<Instant> {
        if matches!(self.own, Own::Down(_)) {
            return None;
        }
        let flights = self.flights.iter().filter(|flight| !flight.lost).map(|flight| flight.judge_at);
        let burst =
            self.check.as_ref().filter(|check| check.sent < probe.burst_count).map(|check| check.next_at);
        let silence = self.silent_since.filter(|_| self.health == Health::Trusted && self.check.is_none());
        let silence = silence
            .map(|since| self.one_way_until.map_or(since + SILENCE, |until| until.max(since + SILENCE)));
        let flights = flights.min();
        let probe = if self.check.is_none() { self.next_probe_at(probe, now) } else { None };
        [flights, burst, silence.filter(|at| *at > now), probe].into_iter().flatten().min()
    }
}
