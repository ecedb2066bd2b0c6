//! The status of one router, folded from its events.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::clock::{Boots, Moment};
use super::link::{LinkView, Stamp, Told, put};
use super::sequences::Epochs;
use crate::event::{
    AgentSampled, AgentStopping, Body, ClockStepped, Event, LinkState, RouterName, UplinkSelected,
};

/// What a router's events say of it, each thing by its latest word.
///
/// The fold cannot fail. It withstands
/// - the same event twice: told by (epoch, sequence), counted and left out;
/// - a gap: what is missing is counted ([`Completeness`]) and the next word stands;
/// - late arrival, in any order: a word never overrides a later one of the same router. Later is what has
///   the greater sequence in the same epoch, or belongs to a later epoch; wall time decides nothing, so
///   stepping clocks and routers that live in 1970 are harmless;
/// - a spool set aside and the new epoch after it, also when events of the old one trickle in afterwards;
/// - sequences that jump, columns of unequal length, endless names of links: everything is bounded;
/// - kinds it does not know: counted as heard, for they belong to the sequence.
///
/// Apart from the dates of unsynced clocks, the same events give the same view whatever their order, with
/// two exceptions that only the bounds bring about: more than [`Sequences::RANGES_MAX`] holes, more than
/// [`LinkView::TARGETS_MAX`] probe targets.
///
/// [`Sequences::RANGES_MAX`]: super::sequences::Sequences::RANGES_MAX
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouterView {
    /// Its name.
    pub name: RouterName,
    /// When central last took in an event of it.
    pub heard_at: DateTime<Utc>,
    /// Doubles left out.
    #[serde(default)]
    pub doubles: u64,
    /// Events about a link that name none, or one too many.
    #[serde(default)]
    pub unplaced: u64,
    /// Events given up by the router and told by it.
    #[serde(default)]
    pub dropped: u64,
    epochs: Epochs,
    boots: Boots,
    /// The agent's last start: its release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Told<String>,
    /// The agent's last stop in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Told<AgentStopping>,
    /// Hash of the configuration in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_hash: Told<String>,
    /// Labels, by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Told<Labels>,
    /// Which uplinks carry traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplinks: Told<UplinkSelected>,
    /// What the agent takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Told<AgentSampled>,
    /// The last jump of its clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_stepped: Told<ClockStepped>,
    /// Its links, by name.
    #[serde(default)]
    pub links: Vec<LinkView>,
}

/// Keys and values in the order of the keys, in as little room as they take: a hundred thousand routers have some.
pub type Labels = Box<[(Box<str>, Box<str>)]>;

fn labels(told: &BTreeMap<String, String>) -> Labels {
    told.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
}

/// How much of what a router said has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completeness {
    /// Different events received.
    pub received: u64,
    /// Events that must exist, by their sequence.
    pub expected: u64,
    /// Those not here: on their way, or lost.
    pub missing: u64,
    /// Those that the router told it gave up.
    pub dropped: u64,
    /// Doubles left out.
    pub doubles: u64,
}

/// State of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouterState {
    /// All links are up.
    BothUp,
    /// Some links are up.
    Degraded,
    /// No link is up.
    Down,
    /// Nothing heard, although the stream moved.
    Silent,
}

impl RouterState {
    /// All states, best first.
    pub const ALL: [Self; 4] = [Self::BothUp, Self::Degraded, Self::Down, Self::Silent];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BothUp => "both-up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Silent => "silent",
        }
    }
}

impl RouterView {
    /// Links kept; events about one more are counted as unplaced.
    pub const LINKS_MAX: usize = 16;
    /// A router is silent when the stream moved on this far beyond its last word. Telemetry comes each minute.
    pub const SILENT_AFTER: TimeDelta = TimeDelta::seconds(180);

    /// A router of which nothing is known yet.
    #[must_use]
    pub fn new(name: RouterName) -> Self {
        Self {
            name,
            heard_at: DateTime::<Utc>::MIN_UTC,
            doubles: 0,
            unplaced: 0,
            dropped: 0,
            epochs: Epochs::default(),
            boots: Boots::default(),
            started: None,
            stopping: None,
            config_hash: None,
            labels: None,
            uplinks: None,
            agent: None,
            clock_stepped: None,
            links: Vec::new(),
        }
    }

    /// Takes in an event that central received at `received_at`.
    pub fn apply(&mut self, event: &Event, received_at: DateTime<Utc>) {
        self.heard_at = self.heard_at.max(received_at);
        let (boot, moment) = self.boots.note(&event.origin, event.time, received_at);
        let Some(order) = self.epochs.admit(event.epoch, event.sequence, boot, event.origin.uptime_ms) else {
            self.doubles += 1;
            return;
        };
        let stamp = Stamp::new(order, boot, moment);
        match &event.body {
            Body::AgentStarted(started) => {
                put(&mut self.started, stamp, &started.version);
                put(&mut self.config_hash, stamp, &started.config_hash);
                put(&mut self.labels, stamp, &labels(&started.labels));
            }
            Body::AgentStopping(stopping) => put(&mut self.stopping, stamp, stopping),
            Body::ConfigCommitted(committed) => {
                put(&mut self.config_hash, stamp, &committed.hash);
                put(&mut self.labels, stamp, &labels(&committed.labels));
            }
            Body::ConfigRolledBack(back) => put(&mut self.config_hash, stamp, &back.hash),
            Body::UplinkSelected(selected) => {
                put(&mut self.uplinks, stamp, selected);
                for stopped in &selected.stopped {
                    if let Some(link) = self.link_mut(&stopped.uplink) {
                        put(&mut link.stopped, stamp, &stopped.cause);
                    }
                }
            }
            Body::AgentSampled(sample) => put(&mut self.agent, stamp, sample),
            Body::ClockStepped(stepped) => put(&mut self.clock_stepped, stamp, stepped),
            Body::SpoolDropped(dropped) => self.dropped = self.dropped.saturating_add(dropped.count),
            Body::RouteChanged(_) | Body::AtExecuted(_) | Body::ImageChanged(_) | Body::Unknown(_) => {}
            Body::ModemDetected(_)
            | Body::ModemRemoved(_)
            | Body::SimChanged(_)
            | Body::RegistrationChanged(_)
            | Body::LinkChanged(_)
            | Body::LinkFailed(_)
            | Body::RecoveryPerformed(_)
            | Body::TrafficWarned(_)
            | Body::SignalSampled(_)
            | Body::TrafficSampled(_)
            | Body::ProbeSampled(_) => {
                match event.subject.as_deref().and_then(|subject| self.link_mut(subject)) {
                    Some(link) => link.apply(stamp, &event.body),
                    None => self.unplaced += 1,
                }
            }
        }
    }

    /// Its state at `now`, when the stream last moved at `stream_moved_at`. While the stream stands still nobody
    /// turns silent: then it is central that hears nothing.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>, stream_moved_at: DateTime<Utc>) -> RouterState {
        if self.is_silent(now, stream_moved_at) { RouterState::Silent } else { self.link_state() }
    }

    /// Its state by its links alone: those that told a state and do not rest on purpose.
    #[must_use]
    pub fn link_state(&self) -> RouterState {
        let rests =
            |link: &&LinkView| link.state.as_ref().is_some_and(|state| state.value == LinkState::Standby);
        let watched = || self.links.iter().filter(|link| link.state.is_some() && !rests(link));
        match watched().filter(|link| link.is_up()).count() {
            0 => RouterState::Down,
            up if up == watched().count() => RouterState::BothUp,
            _ => RouterState::Degraded,
        }
    }

    /// Whether nothing was heard for [`Self::SILENT_AFTER`] of the stream's time.
    #[must_use]
    pub fn is_silent(&self, now: DateTime<Utc>, stream_moved_at: DateTime<Utc>) -> bool {
        now.min(stream_moved_at).signed_duration_since(self.heard_at) >= Self::SILENT_AFTER
    }

    /// Since when it is in that state: when it was last heard, or the latest change of one of its links.
    #[must_use]
    pub fn since(&self, state: RouterState) -> Option<DateTime<Utc>> {
        if state == RouterState::Silent {
            return Some(self.heard_at);
        }
        self.links.iter().filter_map(|link| self.date(link.changed.as_ref()?.stamp.moment())).max()
    }

    /// When a moment of this router's clocks was.
    #[must_use]
    pub fn date(&self, moment: Moment) -> Option<DateTime<Utc>> {
        self.boots.date(moment)
    }

    /// How much of what it said is here.
    #[must_use]
    pub fn completeness(&self) -> Completeness {
        let (received, expected) = self.epochs.received_expected();
        Completeness {
            received,
            expected,
            missing: expected.saturating_sub(received),
            dropped: self.dropped,
            doubles: self.doubles,
        }
    }

    /// Its epochs and what is missing of them.
    #[must_use]
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Whether the agent runs, as far as it told: it started and did not stop since.
    #[must_use]
    pub fn agent_runs(&self) -> Option<bool> {
        let started = self.started.as_ref().map(|started| started.stamp.order);
        let stopping = self.stopping.as_ref().map(|stopping| stopping.stamp.order);
        match (started, stopping) {
            (None, None) => None,
            (started, stopping) => Some(started > stopping),
        }
    }

    /// Whether a link carries traffic; `None` when no selection was told.
    #[must_use]
    pub fn carries(&self, link: &str) -> Option<bool> {
        self.uplinks.as_ref().map(|selected| selected.value.carrying.iter().any(|name| name == link))
    }

    /// The link of that name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&LinkView> {
        self.links.binary_search_by(|link| (*link.name).cmp(name)).ok().map(|at| &self.links[at])
    }

    /// Gives back room that it does not need: who reads a list does not know its length before.
    pub fn shrink(&mut self) {
        self.epochs.shrink();
        self.boots.shrink();
        self.links.shrink_to_fit();
        self.links.iter_mut().for_each(LinkView::shrink);
    }

    fn link_mut(&mut self, name: &str) -> Option<&mut LinkView> {
        match self.links.binary_search_by(|link| (*link.name).cmp(name)) {
            Ok(at) => Some(&mut self.links[at]),
            Err(_) if self.links.len() == Self::LINKS_MAX => None,
            Err(at) => {
                self.links.reserve_exact(1);
                self.links.insert(at, LinkView::new(name));
                Some(&mut self.links[at])
            }
        }
    }
}
