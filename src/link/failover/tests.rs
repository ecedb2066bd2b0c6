//! Uplinks on a virtual clock: they carry packets, lose them, die with or without a word; the machine's probes travel
//! over them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::config::{Failover as Rules, Probe, ProbeTarget};

const SECOND: Duration = Duration::from_secs(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn target(last: u8) -> ProbeTarget {
    ProbeTarget::icmp([192, 0, 2, last].into())
}

/// `wan` is wired, all else are modems; ranked in this order.
fn settings(policy: Policy, names: &[&str]) -> Settings {
    let uplinks = names.iter().zip([100, 300, 500]).map(|(name, priority)| UplinkSettings {
        name: (*name).to_owned(),
        kind: if *name == "wan" { InterfaceType::Ethernet } else { InterfaceType::Lte },
        priority,
        weight: 1,
    });
    Settings {
        failover: Rules { policy, ..Rules::default() },
        probe: Probe { targets: vec![target(1), target(2)], ..Probe::default() },
        uplinks: uplinks.collect(),
        correlation_prefix: "r".into(),
    }
}

/// What really is.
#[derive(Clone, Debug)]
struct Way {
    name: String,
    up: bool,
    /// Packets go through.
    alive: bool,
    /// Packets sent and received in a second.
    traffic: (u64, u64),
    counters: (u64, u64),
    probes: u64,
}

struct World {
    failover: Failover,
    start: Instant,
    now: Instant,
    ways: Vec<Way>,
    dead_targets: Vec<ProbeTarget>,
    round_trip: Duration,
    reading: Duration,
    next_reading: Instant,
    answers: BTreeMap<(Instant, u64), Duration>,
    selections: Vec<(Duration, Selection)>,
    told: Vec<String>,
    /// Moves away from an uplink that works.
    returns: Vec<Instant>,
    verdict_ids: Vec<String>,
    last_change: Option<Instant>,
    /// A new policy moves traffic at once; that is no return.
    policy_changes: bool,
}

impl World {
    fn new(settings: Settings) -> Self {
        let start = Instant::now();
        let ways = settings.uplinks.iter().map(|one| Way {
            name: one.name.clone(),
            up: false,
            alive: true,
            traffic: (0, 0),
            counters: (0, 0),
            probes: 0,
        });
        let ways = ways.collect();
        let mut world = Self {
            failover: Failover::new(settings, start),
            start,
            now: start,
            ways,
            dead_targets: Vec::new(),
            round_trip: ms(60),
            reading: SECOND,
            next_reading: start + ms(700),
            answers: BTreeMap::new(),
            selections: Vec::new(),
            told: Vec::new(),
            returns: Vec::new(),
            verdict_ids: Vec::new(),
            last_change: None,
            policy_changes: false,
        };
        world.outputs();
        world
    }

    fn way(&mut self, name: &str) -> &mut Way {
        self.ways.iter_mut().find(|way| way.name == name).unwrap()
    }

    fn up(&mut self, name: &str) {
        self.way(name).up = true;
        let input = Input::Up { uplink: name.into(), families: Families::IPV4, correlation_id: None };
        self.handle(input);
    }

    fn down(&mut self, name: &str) {
        self.way(name).up = false;
        self.handle(Input::Down {
            uplink: name.into(),
            cause: "session ended".into(),
            detected_at: self.now,
            correlation_id: None,
        });
    }

    fn all_up(settings: Settings) -> Self {
        let mut world = Self::new(settings);
        for at in 0..world.ways.len() {
            let name = world.ways[at].name.clone();
            world.up(&name);
        }
        world.run(20 * SECOND);
        world
    }

    fn handle(&mut self, input: Input) {
        self.failover.handle(input, self.now);
        self.outputs();
    }

    fn outputs(&mut self) {
        while let Some(output) = self.failover.poll_output() {
            match output {
                Output::Probe { id, uplink, target, .. } => {
                    let (answers, round_trip) = (!self.dead_targets.contains(&target), self.round_trip);
                    let way = self.way(&uplink);
                    way.probes += 1;
                    way.counters.0 += 1;
                    if way.up && way.alive && answers {
                        self.answers.insert((self.now + round_trip, id), round_trip);
                        self.way(&uplink).counters.1 += 1;
                    }
                }
                Output::Select(selection) => self.selected(selection),
                Output::Suspect { uplink, correlation_id } => {
                    self.told.push(format!("suspect {uplink}"));
                    self.verdict_ids.push(correlation_id);
                }
                Output::Cleared { uplink, correlation_id } => {
                    self.told.push(format!("cleared {uplink}"));
                    self.verdict_ids.push(correlation_id);
                }
                Output::Dial { uplink } => self.told.push(format!("dial {uplink}")),
                Output::Rest { uplink } => self.told.push(format!("rest {uplink}")),
            }
        }
        let any_up = self.ways.iter().any(|way| way.up);
        assert_eq!(any_up, !self.failover.carrying().is_empty(), "at {:?}", self.now - self.start);
    }

    fn selected(&mut self, selection: Selection) {
        let names = selection.names();
        let before = self.selections.last().map(|(_, before)| before.names()).unwrap_or_default();
        let overview = self.failover.overview(self.now);
        let standing =
            |name: &String| overview.uplinks.iter().find(|one| one.name == *name).map(|one| one.standing);
        let best = overview.uplinks.iter().map(|one| one.standing).min().unwrap();
        for name in &names {
            if !before.contains(name) {
                assert_eq!(standing(name), Some(best), "moved to {name}: {overview:#?}");
            }
        }
        let as_good = |name: &String| best <= Standing::Spent && standing(name) == Some(best);
        let left_working = before.iter().any(|name| !names.contains(name) && as_good(name));
        let failed = |name: &String| overview.uplinks.iter().any(|one| one.name == *name && one.failures > 0);
        let rejoined = before.iter().any(|name| names.contains(name) && as_good(name))
            && names.iter().any(|name| !before.contains(name) && failed(name));
        if (left_working || rejoined) && !self.policy_changes {
            let stayed = self.last_change.map(|at| self.now - at);
            let rules = &self.failover.settings().failover;
            if self.now > self.start + START {
                assert!(stayed >= Some(rules.minimum_stay), "stayed {stayed:?}");
            }
            self.returns.push(self.now);
            let window = self.now - rules.flap_window.min(self.now - self.start);
            let lately = self.returns.iter().filter(|at| **at > window).count();
            assert!(lately <= rules.flap_budget as usize, "{lately} returns in the window");
        }
        if names != before {
            self.last_change = Some(self.now);
        }
        self.selections.push((self.now - self.start, selection));
    }

    fn read(&mut self) {
        let interval_ms = self.reading.as_millis() as u64;
        for at in 0..self.ways.len() {
            let way = &mut self.ways[at];
            if !way.up {
                continue;
            }
            way.counters.0 += way.traffic.0 * interval_ms / 1000;
            if way.alive {
                way.counters.1 += way.traffic.1 * interval_ms / 1000;
            }
            let (uplink, (tx_packets, rx_packets)) = (way.name.clone(), way.counters);
            self.handle(Input::Counters { uplink, tx_packets, rx_packets });
        }
        self.next_reading = self.now + self.reading;
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let answer = self.answers.keys().next().map(|(at, _)| *at);
            let deadline = self.failover.next_deadline();
            let next = [Some(self.next_reading), answer, deadline].into_iter().flatten().min().unwrap();
            if next > end {
                self.now = end;
                return;
            }
            assert!(next >= self.now, "a deadline in the past was not served");
            self.now = next;
            if Some(next) == answer {
                let ((_, id), round_trip) = self.answers.pop_first().unwrap();
                self.handle(Input::ProbeAnswered { id, round_trip });
            } else if next == self.next_reading {
                self.read();
            } else {
                self.handle(Input::Timeout);
                assert!(
                    self.failover.next_deadline().is_none_or(|at| at > self.now),
                    "a deadline stands still"
                );
            }
        }
    }

    /// Time from now until the selection changes, and to what.
    fn until_selection(&mut self, at_most: Duration) -> Option<(Duration, Vec<String>)> {
        let (from, count) = (self.now, self.selections.len());
        while self.now < from + at_most {
            if self.selections.len() > count {
                let (at, selection) = &self.selections[count];
                return Some((self.start + *at - from, selection.names()));
            }
            self.run(ms(10));
        }
        None
    }

    fn report(&mut self, name: &str) -> UplinkReport {
        let overview = self.failover.overview(self.now);
        overview.uplinks.into_iter().find(|one| one.name == name).unwrap()
    }
}

// ---- start and indications ----

#[test]
fn a_new_uplink_carries_at_once() {
    let mut world = World::new(settings(Policy::ActiveActive, &["a", "b"]));
    world.up("a");
    assert_eq!(world.failover.carrying(), ["a"]);
    world.run(3 * SECOND);
    world.up("b");
    assert_eq!(world.failover.carrying(), ["a", "b"]);
}

#[test]
fn a_better_uplink_that_starts_a_little_later_takes_the_traffic() {
    let mut world = World::new(settings(Policy::Failover, &["a", "b"]));
    world.up("b");
    world.run(3 * SECOND);
    world.up("a");
    assert_eq!(world.failover.carrying(), ["a"]);
}

#[test]
fn an_indication_moves_traffic_in_the_same_step_and_says_when_it_was_learnt_of() {
    let mut world = World::all_up(settings(Policy::ActiveActive, &["a", "b"]));
    let learnt = world.now - ms(2);
    world.way("a").up = false;
    world.handle(Input::Down {
        uplink: "a".into(),
        cause: "PDN gone".into(),
        detected_at: learnt,
        correlation_id: Some("of the link".into()),
    });
    let (_, selection) = world.selections.last().unwrap();
    assert_eq!((selection.names(), selection.detected_at), (vec!["b".to_owned()], learnt));
    let event = selection.event(Some(learnt + ms(5)));
    assert_eq!(event.detection_to_route_ms, Some(5.0));
    assert_eq!(event.stopped[0].cause, "PDN gone");
    assert_eq!(event.correlation_id, "of the link", "one id from the cause to the routes");
}

#[test]
fn lost_registration_moves_traffic_and_the_last_link_keeps_it() {
    let mut world = World::all_up(settings(Policy::Failover, &["a", "b"]));
    let suspect = |name: &str, at| Input::Suspect {
        uplink: name.into(),
        cause: "registration lost".into(),
        detected_at: at,
        correlation_id: None,
    };
    world.handle(suspect("a", world.now));
    assert_eq!(world.failover.carrying(), ["b"]);
    world.handle(suspect("b", world.now));
    assert_eq!(world.failover.carrying(), ["b"]);
    assert_eq!(world.report("b").reason, "the last there is: registration lost");
}

// ---- silent death ----

#[test]
fn silent_death_with_traffic_moves_it_within_three_seconds() {
    for phase in 0..10 {
        for policy in [Policy::ActiveActive, Policy::Failover] {
            let mut world = World::all_up(settings(policy, &["a", "b"]));
            world.way("a").traffic = (20, 20);
            world.run(60 * SECOND + phase * ms(100));
            world.way("a").alive = false;
            let (took, carrying) = world.until_selection(10 * SECOND).unwrap();
            assert!(took <= 3 * SECOND, "{policy:?}, phase {phase}: {took:?}");
            assert_eq!(carrying, ["b"]);
            assert_eq!(world.told, ["suspect a"]);
            let selection = &world.selections.last().unwrap().1;
            assert_eq!(selection.stopped[0].cause, "probes lost after: packets sent, none received");
            assert_eq!(
                world.verdict_ids,
                [selection.correlation_id.as_str()],
                "verdict and selection are one"
            );
            let ids: BTreeSet<_> = world.selections.iter().map(|(_, one)| &one.correlation_id).collect();
            assert_eq!(ids.len(), world.selections.len(), "what has no cause in common has no id in common");
        }
    }
}

#[test]
fn silent_death_while_idle_moves_within_ten_seconds() {
    let mut world = World::all_up(settings(Policy::Failover, &["a", "b"]));
    for _ in 0..5 {
        world.run(ms(4_321));
        let mut world = World::all_up(settings(Policy::Failover, &["a", "b"]));
        world.way("a").alive = false;
        let (took, carrying) = world.until_selection(60 * SECOND).unwrap();
        assert!(took <= 10 * SECOND, "{took:?}");
        assert_eq!(carrying, ["b"]);
    }
}

#[test]
fn an_uplink_that_receives_is_not_probed_and_not_condemned() {
    let mut world = World::all_up(settings(Policy::Failover, &["a", "b"]));
    world.way("a").traffic = (20, 20);
    world.dead_targets = vec![target(1), target(2)];
    world.run(SECOND);
    let before = world.way("a").probes;
    world.run(600 * SECOND);
    // Those that bear witness for the other one.
    assert!(world.way("a").probes - before < 30, "{}", world.way("a").probes - before);
    assert_eq!(world.report("a").standing, Standing::Working);
    assert_eq!(world.failover.carrying(), ["a"]);
}

#[test]
fn one_way_traffic_is_quiet_without_being_dead_and_costs_little() {
    let mut world = World::all_up(settings(Policy::ActiveActive, &["a", "b"]));
    let before = world.way("a").probes;
    world.way("a").traffic = (5, 0);
    world.run(3600 * SECOND);
    assert_eq!(world.selections.len(), 2);
    assert!(world.way("a").probes - before < 700, "{}", world.way("a").probes - before);
}

#[test]
fn a_slow_answer_is_no_lost_uplink() {
    let mut world = World::all_up(settings(Policy::ActiveActive, &["a", "b"]));
    world.round_trip = ms(850);
    world.run(600 * SECOND);
    assert_eq!(world.selections.len(), 2, "{:?}", world.selections);
    assert!(world.report("a").probe.lost > 0);
}

// ---- targets ----

#[test]
fn one_dead_target_moves_nothing_and_is_shown() {
    let mut world = World::all_up(settings(Policy::ActiveActive, &["a", "b"]));
    world.dead_targets = vec![target(1)];
    world.run(900 * SECOND);
    assert_eq!(world.selections.len(), 2);
    assert_eq!(world.told, [""; 0]);
    let targets = world.failover.overview(world.now).targets;
    assert!(targets[0].ignored_ms.is_some() && targets[1].ignored_ms.is_none(), "{targets:?}");
    world.dead_targets.clear();
    world.run(900 * SECOND);
    assert_eq!(world.failover.overview(world.now).targets[0].ignored_ms, None);
}

#[test]
fn targets_that_a_living_uplink_loses_too_are_to_blame() {
    let mut world = World::all_up(settings(Policy::ActiveActive, &["a", "b"]));
    world.way("a").traffic = (20, 20);
    world.run(5 * SECOND);
    world.dead_targets = vec![target(1), target(2)];
    world.run(240 * SECOND);
    assert_eq!(world.selections.len(), 2, "{:?}", world.selections);
    assert_eq!(world.told, [""; 0]);
}

#[test]
fn who_never_reached_a_target_excuses_nobody() {
    let mut world = World::new(settings(Policy::ActiveActive, &["a", "b"]));
    world.way("a").traffic = (20, 20);
    world.dead_targets = vec![target(1), target(2)];
    (world.reading, world.next_reading) = (ms(200), world.start + ms(100));
    world.up("a");
    world.run(20 * SECOND);
    world.dead_targets.clear();
    world.up("b");
    world.run(20 * SECOND);
    world.dead_targets = vec![target(1), target(2)];
    world.way("b").alive = false;
    world.run(30 * SECOND);
    assert_eq!(world.failover.carrying(), ["a"]);
}

#[test]
fn when_everything_is_dead_everything_still_carries() {
    let mut world = World::all_up(settings(Policy::ActiveActive, &["a", "b"]));
    for way in &mut world.ways {
        way.alive = false;
    }
    world.run(120 * SECOND);
    assert_eq!(world.failover.carrying(), ["a", "b"]);
    world.way("b").alive = true;
    world.run(120 * SECOND);
    assert_eq!(world.failover.carrying(), ["b"]);
    assert!(world.told.contains(&"cleared b".into()), "{:?}", world.told);
}

// ---- the way back ----

#[test]
fn the_way_back_needs_proof_and_stay() {
    let mut world = World::all_up(settings(Policy::Failover, &["a", "b"]));
    world.down("a");
    assert_eq!(world.failover.carrying(), ["b"]);
    world.run(20 * SECOND);
    world.up("a");
    world.run(ms(100));
    assert_eq!(world.report("a").standing, Standing::Proving);
    world.run(10 * SECOND);
    assert_eq!(
        (world.report("a").standing, world.failover.carrying()),
        (Standing::Working, vec!["b".into()])
    );
    assert!(world.report("a").hold_ms.is_some_and(|ms| ms < 30_000));
    let (took, carrying) = world.until_selection(60 * SECOND).unwrap();
    assert_eq!(carrying, ["a"]);
    assert!((29 * SECOND..32 * SECOND).contains(&took), "{took:?}");
    let (_, selection) = world.selections.last().unwrap();
    assert_eq!(selection.stopped[0].cause, "a better uplink works");
}

#[test]
fn an_unproven_uplink_carries_when_it_is_the_last() {
    let mut world = World::all_up(settings(Policy::Failover, &["a", "b"]));
    world.down("a");
    world.up("a");
    assert_eq!(world.failover.carrying(), ["b"]);
    world.down("b");
    assert_eq!(world.failover.carrying(), ["a"]);
}

#[test]
fn each_failure_holds_longer_and_the_budget_ends_it() {
    let mut world = World::all_up(settings(Policy::Failover, &["a", "b"]));
    let mut waits = Vec::new();
    for _ in 0..4 {
        world.down("a");
        world.run(SECOND);
        world.up("a");
        waits.push(world.until_selection(4000 * SECOND).unwrap().0.as_secs());
        world.run(SECOND);
    }
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0] * 3 / 2), "{waits:?}");

    let mut rules = settings(Policy::Failover, &["a", "b"]);
    rules.failover.flap_budget = 1;
    let mut world = World::all_up(rules);
    for _ in 0..2 {
        world.down("a");
        world.run(SECOND);
        world.up("a");
        world.run(600 * SECOND);
    }
    assert_eq!(
        (world.failover.carrying(), world.failover.overview(world.now).flaps_left),
        (vec!["b".into()], 0)
    );
    world.run(3600 * SECOND);
    assert_eq!(world.failover.carrying(), ["a"]);
}

#[test]
fn a_dead_uplink_is_asked_ever_less_often() {
    let mut world = World::all_up(settings(Policy::Failover, &["a", "b"]));
    world.way("a").alive = false;
    world.run(60 * SECOND);
    let before = world.way("a").probes;
    world.run(3600 * SECOND);
    assert!((55..70).contains(&(world.way("a").probes - before)), "{}", world.way("a").probes - before);
}

// ---- quota, standby, configuration ----

#[test]
fn a_spent_uplink_is_avoided_unless_it_is_the_last() {
    let mut world = World::all_up(settings(Policy::Failover, &["a", "b"]));
    world.handle(Input::Quota { uplink: "a".into(), spent: true });
    assert_eq!(world.failover.carrying(), ["b"]);
    assert_eq!(world.selections.last().unwrap().1.stopped[0].cause, "data plan used up");
    world.down("b");
    assert_eq!(world.failover.carrying(), ["a"]);
}

#[test]
fn last_resort_uses_a_modem_only_while_no_circuit_works() {
    let mut world = World::all_up(settings(Policy::LastResort, &["wan", "a"]));
    assert_eq!(world.failover.carrying(), ["wan"]);
    world.way("wan").traffic = (20, 20);
    world.run(5 * SECOND);
    world.way("wan").alive = false;
    let (took, carrying) = world.until_selection(10 * SECOND).unwrap();
    assert!(took <= 3 * SECOND && carrying == ["a"], "{took:?} {carrying:?}");
    world.way("wan").alive = true;
    let (_, carrying) = world.until_selection(200 * SECOND).unwrap();
    assert_eq!(carrying, ["wan"]);
}

#[test]
fn a_cold_standby_is_dialled_when_the_circuit_fails_and_rests_again() {
    let mut cold = settings(Policy::LastResort, &["wan", "a"]);
    cold.failover.standby = Standby::Cold;
    let mut world = World::new(cold.clone());
    assert_eq!(world.told, ["rest a"]);
    world.up("wan");
    world.run(100 * SECOND);
    world.down("wan");
    assert_eq!(world.told, ["rest a", "dial a"]);
    world.run(5 * SECOND);
    world.up("a");
    assert_eq!(world.failover.carrying(), ["a"]);
    world.up("wan");
    world.run(300 * SECOND);
    assert_eq!(world.failover.carrying(), ["wan"]);
    assert_eq!(world.told, ["rest a", "dial a", "rest a"]);
    // Resting is no failure.
    world.down("a");
    assert_eq!(world.report("a").failures, 0);

    let mut world = World::new(cold);
    world.run(ms(4_900));
    assert_eq!(world.told, ["rest a"]);
    world.run(SECOND);
    assert_eq!(world.told, ["rest a", "dial a"], "no circuit came up");
}

#[test]
fn a_changed_configuration_keeps_what_is_known() {
    let mut world = World::all_up(settings(Policy::ActiveActive, &["a", "b"]));
    let mut other = settings(Policy::Failover, &["a", "b"]);
    other.uplinks[1].weight = 7;
    world.policy_changes = true;
    world.handle(Input::Configured(Box::new(other)));
    assert_eq!(world.failover.carrying(), ["a"]);
    let mut other = settings(Policy::ActiveActive, &["b"]);
    other.uplinks[0].weight = 7;
    world.ways.remove(0);
    world.handle(Input::Configured(Box::new(other)));
    let (_, selection) = world.selections.last().unwrap();
    assert_eq!(selection.carrying, [Carrier { uplink: "b".into(), weight: 7 }]);
    assert_eq!(selection.stopped[0].cause, "no longer configured");
}

#[test]
fn another_kind_under_the_same_name_has_to_come_up_first() {
    let mut world = World::all_up(settings(Policy::Failover, &["a", "b"]));
    let mut other = settings(Policy::Failover, &["a", "b"]);
    other.uplinks[0].kind = InterfaceType::Ethernet;
    world.handle(Input::Configured(Box::new(other)));
    assert_eq!(world.failover.carrying(), ["b"]);
}

#[test]
fn without_targets_the_own_word_of_the_uplinks_decides() {
    let mut none = settings(Policy::Failover, &["a", "b"]);
    none.probe.targets.clear();
    let mut world = World::all_up(none);
    world.way("a").traffic = (5, 0);
    world.run(60 * SECOND);
    assert_eq!(world.failover.carrying(), ["a"]);
    world.down("a");
    world.run(SECOND);
    world.up("a");
    world.run(100 * SECOND);
    assert_eq!(world.failover.carrying(), ["a"]);
}

#[test]
fn samples_tell_sent_lost_and_round_trips() {
    let mut world = World::all_up(settings(Policy::ActiveActive, &["a", "b"]));
    world.run(100 * SECOND);
    let samples = world.failover.take_samples();
    assert_eq!(samples.len(), 4);
    assert!(
        samples
            .iter()
            .all(|one| one.sent > 3 && one.lost == 0 && one.round_trips.count() == u64::from(one.sent))
    );
    assert!((59_000..62_000).contains(&samples[0].round_trips.quantile_us(0.5)));
    assert!(world.failover.take_samples().is_empty());
}

// ---- budgets and everything at random ----

#[test]
fn a_month_of_probes_stays_inside_the_budget() {
    let mut world = World::all_up(settings(Policy::ActiveActive, &["a", "b", "c"]));
    world.reading = 60 * SECOND;
    world.way("b").traffic = (5, 0);
    // The third is dead half of the time.
    for hour in 0..31 * 24 {
        world.way("c").alive = hour % 2 == 0;
        world.run(3600 * SECOND);
    }
    for way in &world.ways {
        let bytes = way.probes * 56;
        assert!((500_000..=5_000_000).contains(&bytes), "{}: {bytes}", way.name);
    }
}

#[derive(Clone, Debug)]
enum Change {
    Up(usize),
    Down(usize),
    Suspect(usize),
    Alive(usize, bool),
    Traffic(usize, u64, u64),
    Quota(usize, bool),
    Target(u8, bool),
    Policy(Policy),
    Forged(u64),
}

fn change() -> impl Strategy<Value = Change> {
    let at = 0..3usize;
    prop_oneof![
        3 => at.clone().prop_map(Change::Up),
        2 => at.clone().prop_map(Change::Down),
        1 => at.clone().prop_map(Change::Suspect),
        3 => (at.clone(), any::<bool>()).prop_map(|(at, alive)| Change::Alive(at, alive)),
        2 => (at.clone(), 0..30u64, 0..30u64).prop_map(|(at, tx, rx)| Change::Traffic(at, tx, rx)),
        1 => (at, any::<bool>()).prop_map(|(at, spent)| Change::Quota(at, spent)),
        1 => (1..3u8, any::<bool>()).prop_map(|(last, alive)| Change::Target(last, alive)),
        1 => prop_oneof![Just(Policy::ActiveActive), Just(Policy::Failover), Just(Policy::LastResort)]
            .prop_map(Change::Policy),
        1 => any::<u64>().prop_map(Change::Forged),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// [`World`] checks after each step: something carries while anything is up, traffic moves only to the best there
    /// is, minimum stay and flap budget hold, time goes on.
    #[test]
    fn whatever_happens_the_promises_hold(
        policy in prop_oneof![Just(Policy::ActiveActive), Just(Policy::Failover), Just(Policy::LastResort)],
        cold in any::<bool>(),
        steps in prop::collection::vec((0..40_000u64, change()), 1..80),
    ) {
        let mut rules = settings(policy, &["wan", "a", "b"]);
        rules.failover.flap_budget = 2;
        rules.failover.minimum_stay = 20 * SECOND;
        rules.failover.standby = if cold { Standby::Cold } else { Standby::Hot };
        let mut world = World::new(rules);
        for (wait, change) in steps {
            world.run(ms(wait));
            let name = |world: &World, at: usize| world.ways[at].name.clone();
            match change {
                Change::Up(at) => { let name = name(&world, at); world.up(&name); }
                Change::Down(at) => { let name = name(&world, at); world.down(&name); }
                Change::Suspect(at) => {
                    let (uplink, detected_at) = (name(&world, at), world.now);
                    world.ways[at].up = true;
                    world.handle(Input::Suspect {
 uplink, cause: "doubt".into(), detected_at, correlation_id: None });
                }
                Change::Alive(at, alive) => world.ways[at].alive = alive,
                Change::Traffic(at, tx, rx) => world.ways[at].traffic = (tx, rx),
                Change::Quota(at, spent) => {
                    let uplink = name(&world, at);
                    world.handle(Input::Quota { uplink, spent });
                }
                Change::Target(last, alive) => {
                    world.dead_targets.retain(|one| *one != target(last));
                    if !alive { world.dead_targets.push(target(last)); }
                }
                Change::Policy(policy) => {
                    let mut settings = world.failover.settings().clone();
                    settings.failover.policy = policy;
                    world.policy_changes = true;
                    world.handle(Input::Configured(Box::new(settings)));
                    world.policy_changes = false;
                }
                Change::Forged(id) => {
                    world.handle(Input::ProbeAnswered { id: id | 1 << 63, round_trip: ms(1) });
                    world.handle(Input::ProbeFailed { id: id | 1 << 63, cause: "no such device".into() });
                }
            }
        }
        world.run(30 * SECOND);
        // What works in the end is what carries.
        for way in world.ways.clone() {
            let report = world.report(&way.name);
            prop_assert!(!report.carrying || way.up);
            prop_assert!(report.probe_bytes <= 5_000_000);
        }
    }
}
