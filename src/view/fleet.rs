//! The status of all routers, and what the operator counts over them. Counts follow each event by what changed
//! on its one router; only silence, which no event announces, takes a walk over all ([`FleetView::settle`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::router::{RouterState, RouterView};
use crate::event::{Body, Event, Radio, RouterName};

/// All routers, folded.
#[derive(Clone, Debug, Default)]
pub struct FleetView {
    routers: BTreeMap<RouterName, Arc<RouterView>>,
    silent: BTreeSet<RouterName>,
    counts: FleetCounts,
    /// How far the stream was folded.
    pub freshness: Freshness,
}

/// How fresh a view is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Freshness {
    /// Next offset to read of each partition, by `topic/partition`.
    pub position: BTreeMap<String, u64>,
    /// When central took in the last event that was folded.
    pub stream_moved_at: Option<DateTime<Utc>>,
    /// Whether the end of the stream was reached, and what was read since came in only just before.
    #[serde(skip)]
    pub caught_up: bool,
    /// Where a view of the past holds samples only up to an earlier moment: that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_as_of: Option<DateTime<Utc>>,
}

impl Freshness {
    /// How far the view is behind the stream, in milliseconds: 0 when it has caught up, else the age of the last event
    /// folded.
    #[must_use]
    pub fn lag_ms(&self, now: DateTime<Utc>) -> i64 {
        match self.stream_moved_at {
            Some(moved_at) if !self.caught_up => (now - moved_at).num_milliseconds().max(0),
            _ => 0,
        }
    }
}

/// Links of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounts {
    /// How many.
    pub links: u64,
    /// How many of them are up.
    pub up: u64,
}

/// Counts over the fleet. Groups of nobody are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetCounts {
    /// Routers.
    pub routers: u64,
    /// Links that told a state.
    pub links: LinkCounts,
    /// Routers by state.
    pub states: BTreeMap<RouterState, u64>,
    /// Links by the carrier they were last registered with.
    pub carriers: BTreeMap<String, LinkCounts>,
    /// Links by radio.
    pub radios: BTreeMap<Radio, LinkCounts>,
    /// Links that are down, by the reason of their last failure.
    pub reasons: BTreeMap<String, u64>,
    /// Routers by label (`key=value`, keys of [`FleetCounts::GROUPED_LABELS`]) and state.
    pub labels: BTreeMap<String, BTreeMap<RouterState, u64>>,
}

impl FleetCounts {
    /// Labels that group many routers; others (a site) name one.
    pub const GROUPED_LABELS: [&str; 2] = ["region", "tenant"];

    fn add(&mut self, other: Self) {
        self.routers += other.routers;
        self.links.add(other.links);
        add_all(&mut self.states, other.states, |own, other| *own += other);
        add_all(&mut self.carriers, other.carriers, LinkCounts::add);
        add_all(&mut self.radios, other.radios, LinkCounts::add);
        add_all(&mut self.reasons, other.reasons, |own, other| *own += other);
        add_all(&mut self.labels, other.labels, |own, other| {
            add_all(own, other, |own, other| *own += other);
        });
    }

    fn count(&mut self, facets: &Facets, change: Change) {
        change.of(&mut self.routers);
        tally(&mut self.states, facets.state, change);
        for label in &facets.labels {
            let states = self.labels.entry(label.clone()).or_default();
            tally(states, facets.state, change);
            if states.is_empty() {
                self.labels.remove(label);
            }
        }
        for link in &facets.links {
            self.links.count(link.up, change);
            tally_link(&mut self.carriers, &link.carrier, link.up, change);
            tally_link(&mut self.radios, &link.radio, link.up, change);
            if let Some(reason) = &link.reason {
                tally(&mut self.reasons, reason.clone(), change);
            }
        }
    }
}

fn add_all<K: Ord, V: Default>(own: &mut BTreeMap<K, V>, other: BTreeMap<K, V>, add: impl Fn(&mut V, V)) {
    for (key, value) in other {
        add(own.entry(key).or_default(), value);
    }
}

impl LinkCounts {
    fn add(&mut self, other: Self) {
        self.links += other.links;
        self.up += other.up;
    }

    fn count(&mut self, up: bool, change: Change) {
        change.of(&mut self.links);
        if up {
            change.of(&mut self.up);
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Change {
    Enter,
    Leave,
}

impl Change {
    fn of(self, count: &mut u64) {
        match self {
            Self::Enter => *count += 1,
            Self::Leave => *count = count.checked_sub(1).expect("who leaves was counted when entering"),
        }
    }
}

fn tally<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, change: Change) {
    match counts.entry(key) {
        std::collections::btree_map::Entry::Vacant(entry) => change.of(entry.insert(0)),
        std::collections::btree_map::Entry::Occupied(mut entry) => {
            change.of(entry.get_mut());
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

fn tally_link<K: Ord + Clone>(counts: &mut BTreeMap<K, LinkCounts>, key: &K, up: bool, change: Change) {
    let group = counts.entry(key.clone()).or_default();
    group.count(up, change);
    if group.links == 0 {
        counts.remove(key);
    }
}

/// What one router adds to the counts.
#[derive(Debug, PartialEq)]
struct Facets {
    state: RouterState,
    labels: Vec<String>,
    links: Vec<LinkFacets>,
}

#[derive(Debug, PartialEq)]
struct LinkFacets {
    up: bool,
    carrier: String,
    radio: Radio,
    reason: Option<String>,
}

impl Facets {
    fn of(view: &RouterView, silent: bool) -> Self {
        let labels = view.labels.as_ref().map(|labels| &*labels.value).unwrap_or_default();
        let value = |key: &str| labels.iter().find(|(own, _)| **own == *key).map(|(_, value)| value);
        let label = |key: &&str| value(key).map(|value| format!("{key}={value}"));
        let links = view.links.iter().filter(|link| link.state.is_some()).map(|link| LinkFacets {
            up: link.is_up(),
            carrier: link.carrier_name().unwrap_or("unknown").to_owned(),
            radio: link.registration.as_ref().map_or(Radio::None, |registration| registration.value.radio),
            reason: link.failing().map(|failure| failure.value.reason.clone()),
        });
        Self {
            state: if silent { RouterState::Silent } else { view.link_state() },
            labels: FleetCounts::GROUPED_LABELS.iter().filter_map(label).collect(),
            links: links.collect(),
        }
    }
}

impl FleetView {
    /// Takes in an event that central received at `received_at`.
    pub fn apply(&mut self, event: &Event, received_at: DateTime<Utc>) {
        self.freshness.stream_moved_at = self.freshness.stream_moved_at.max(Some(received_at));
        let Some(view) = self.routers.get_mut(&event.router) else {
            let mut view = RouterView::new(event.router.clone());
            view.apply(event, received_at);
            self.restore(view);
            return;
        };
        let was_silent = self.silent.remove(&event.router);
        let view = Arc::make_mut(view);
        if is_sample(&event.body) && !was_silent {
            view.apply(event, received_at);
            return;
        }
        let before = Facets::of(view, was_silent);
        view.apply(event, received_at);
        let after = Facets::of(view, false);
        if before != after {
            self.counts.count(&before, Change::Leave);
            self.counts.count(&after, Change::Enter);
        }
    }

    /// Works out who is silent at `now`. Call it before reading states; it walks over all routers.
    pub fn settle(&mut self, now: DateTime<Utc>) {
        let Some(moved_at) = self.freshness.stream_moved_at else { return };
        for (name, view) in &self.routers {
            let silent = view.is_silent(now, moved_at);
            if silent != self.silent.contains(name) {
                self.counts.count(&Facets::of(view, !silent), Change::Leave);
                self.counts.count(&Facets::of(view, silent), Change::Enter);
                if silent {
                    self.silent.insert(name.clone());
                } else {
                    self.silent.remove(name);
                }
            }
        }
    }

    /// Takes in a router as it was folded before.
    pub fn restore(&mut self, mut view: RouterView) {
        view.shrink();
        let facets = Facets::of(&view, false);
        if let Some(replaced) = self.routers.insert(view.name.clone(), Arc::new(view)) {
            let was_silent = self.silent.remove(&replaced.name);
            self.counts.count(&Facets::of(&replaced, was_silent), Change::Leave);
        }
        self.counts.count(&facets, Change::Enter);
    }

    /// Takes in the routers of a view that was restored beside this one, how far both were folded and their counts.
    pub fn absorb(&mut self, mut other: Self) {
        let routers = self.routers.len() + other.routers.len();
        self.routers.append(&mut other.routers);
        self.silent.append(&mut other.silent);
        self.freshness.position.append(&mut other.freshness.position);
        self.freshness.stream_moved_at = self.freshness.stream_moved_at.max(other.freshness.stream_moved_at);
        self.counts.add(other.counts);
        if self.routers.len() < routers {
            // Some were in both.
            self.counts = FleetCounts::default();
            for view in self.routers.values() {
                self.counts.count(&Facets::of(view, self.silent.contains(&view.name)), Change::Enter);
            }
        }
    }

    /// The router of that name.
    #[must_use]
    pub fn router(&self, name: &str) -> Option<&Arc<RouterView>> {
        self.routers.get(name)
    }

    /// Its state, as of the last [`Self::settle`] or event.
    #[must_use]
    pub fn state_of(&self, view: &RouterView) -> RouterState {
        if self.silent.contains(&view.name) { RouterState::Silent } else { view.link_state() }
    }

    /// All routers by name, those after `cursor` when there is one.
    pub fn routers_after(&self, cursor: Option<&str>) -> impl Iterator<Item = &Arc<RouterView>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = cursor.map_or(Unbounded, Excluded);
        self.routers.range::<str, _>((from, Unbounded)).map(|(_, view)| view)
    }

    /// The counts, as of the last [`Self::settle`] or event.
    #[must_use]
    pub fn counts(&self) -> &FleetCounts {
        &self.counts
    }

    /// The routers that are worst off: worst state first, within it the longest; at most `most`.
    #[must_use]
    pub fn worst(&self, most: usize) -> Vec<Ill<'_>> {
        let rated = self.routers.values().map(|view| (view, self.state_of(view)));
        let mut ill: Vec<_> = rated
            .filter(|(_, state)| *state != RouterState::BothUp)
            .map(|(view, state)| Ill { view, state, since: view.since(state) })
            .collect();
        let severity = |state| match state {
            RouterState::Down => 0,
            RouterState::Silent => 1,
            RouterState::Degraded => 2,
            RouterState::BothUp => 3,
        };
        ill.sort_by(|a, b| {
            let key = |ill: &Ill| (severity(ill.state), ill.since);
            key(a).cmp(&key(b)).then_with(|| a.view.name.cmp(&b.view.name))
        });
        ill.truncate(most);
        ill
    }
}

/// A router that is not both up.
#[derive(Clone, Copy, Debug)]
pub struct Ill<'a> {
    /// The router.
    pub view: &'a RouterView,
    /// Its state.
    pub state: RouterState,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
}

fn is_sample(body: &Body) -> bool {
    matches!(
        body,
        Body::SignalSampled(_) | Body::TrafficSampled(_) | Body::ProbeSampled(_) | Body::AgentSampled(_)
    )
}
