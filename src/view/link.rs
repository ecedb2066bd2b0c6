//! What is known of one link (device-interface) of a router: for each thing that events tell, the latest word.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::clock::Moment;
use super::sequences::Order;
use crate::event::{
    Body, Carrier, CellRun, IpSettings, LinkFailed, LinkState, ModemDetected, ProbeSampled,
    RecoveryPerformed, RegistrationChanged, Signal, SignalSampled, SimChanged, TrafficSampled, TrafficWarned,
};

/// Place and moment of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Place in the router's life.
    #[serde(rename = "o")]
    pub order: Order,
    /// When.
    #[serde(rename = "m")]
    pub moment: Moment,
    /// The boot it belongs to.
    #[serde(rename = "b")]
    pub boot: u32,
}

/// The latest word on one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latest<T> {
    /// Whose word it is.
    #[serde(rename = "s")]
    pub stamp: Stamp,
    /// The word.
    #[serde(rename = "v")]
    pub value: T,
}

/// Puts `value` in place when it is later than what is there: late arrivals change nothing.
pub(super) fn put<T: Clone>(place: &mut Option<Latest<T>>, stamp: Stamp, value: &T) {
    match place {
        Some(latest) if latest.stamp.order > stamp.order => {}
        Some(latest) => {
            latest.stamp = stamp;
            latest.value.clone_from(value);
        }
        None => *place = Some(Latest { stamp, value: value.clone() }),
    }
}

/// A reading of the signal and where it was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalView {
    /// The reading.
    #[serde(flatten)]
    pub signal: Signal,
    /// Radio and cell.
    #[serde(flatten)]
    pub cell: Option<CellRun>,
}

/// One point of the recent signal. Written as an array.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalPoint(Order, u16, pub Moment, i16, i16);

impl SignalPoint {
    /// Stands for a value that the modem did not give.
    const ABSENT: i16 = i16::MIN;

    /// RSRP.
    #[must_use]
    pub fn rsrp_dbm(&self) -> Option<i16> {
        (self.3 != Self::ABSENT).then_some(self.3)
    }

    /// SNR.
    #[must_use]
    pub fn snr_db(&self) -> Option<f32> {
        (self.4 != Self::ABSENT).then(|| f32::from(self.4) / 10.0)
    }

    fn key(&self) -> (Order, u16) {
        (self.0, self.1)
    }
}

/// Octets and packets since the first sample of one boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficTotals {
    /// The boot they count from.
    pub boot: u32,
    /// Octets received.
    pub rx_bytes: u64,
    /// Octets sent.
    pub tx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// Send errors.
    pub tx_errors: u64,
}

impl TrafficTotals {
    /// Adds a batch. One of an older boot is left out, one of a newer boot starts the count again.
    fn add(&mut self, boot: u32, batch: &TrafficSampled) {
        if boot < self.boot {
            return;
        }
        if boot > self.boot {
            *self = Self { boot, ..Self::default() };
        }
        for (total, column) in [
            (&mut self.rx_bytes, &batch.rx_bytes),
            (&mut self.tx_bytes, &batch.tx_bytes),
            (&mut self.rx_packets, &batch.rx_packets),
            (&mut self.tx_packets, &batch.tx_packets),
            (&mut self.rx_errors, &batch.rx_errors),
            (&mut self.tx_errors, &batch.tx_errors),
        ] {
            *total = column.iter().fold(*total, |sum, value| sum.saturating_add(*value));
        }
    }
}

/// What is known of one link.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkView {
    /// Its device-interface.
    pub name: Box<str>,
    /// State of the link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Latest<LinkState>>,
    /// What brought the last change about, and when the state last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Latest<String>>,
    /// When the link last came up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<Stamp>,
    /// IP settings; none while the link is not up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Latest<Option<IpSettings>>>,
    /// APN last asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apn: Option<Latest<String>>,
    /// The last failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Latest<LinkFailed>>,
    /// The modem, as it last told of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modem: Option<Latest<ModemDetected>>,
    /// When the modem was last found gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modem_removed: Option<Stamp>,
    /// The SIM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sim: Option<Latest<SimChanged>>,
    /// Registration, carrier, radio and cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<Latest<RegistrationChanged>>,
    /// The carrier it was last registered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier: Option<Latest<Carrier>>,
    /// The last rung of the recovery ladder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Latest<RecoveryPerformed>>,
    /// Why it last stopped carrying traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Latest<String>>,
    /// Use against the data plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Latest<TrafficWarned>>,
    /// The last signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<Latest<SignalView>>,
    /// Recent signal, oldest first, at most [`LinkView::POINTS_MAX`] points.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub points: VecDeque<SignalPoint>,
    /// Traffic since boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficTotals>,
    /// When traffic was last told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_at: Option<Stamp>,
    /// The last interval of each probe target, at most [`LinkView::TARGETS_MAX`] targets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Latest<ProbeSampled>>,
}

impl LinkView {
    /// Points of recent signal kept: five minutes at a sample each 10 s.
    pub const POINTS_MAX: usize = 30;
    /// Probe targets kept. One more replaces the one not heard of for longest.
    pub const TARGETS_MAX: usize = 4;

    /// A link of which nothing is known yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Whether it carries or can carry traffic.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.value == LinkState::Connected)
    }

    /// The failure that keeps it down; `None` when it is up or has come up since.
    #[must_use]
    pub fn failing(&self) -> Option<&Latest<LinkFailed>> {
        let since_up = |failure: &&Latest<LinkFailed>| {
            self.connected.is_none_or(|connected| connected.order < failure.stamp.order)
        };
        self.failure.as_ref().filter(since_up).filter(|_| !self.is_up())
    }

    /// The carrier it was last registered with: its name, or MCC and MNC when it told none.
    #[must_use]
    pub fn carrier_name(&self) -> Option<&str> {
        let carrier = &self.carrier.as_ref()?.value;
        Some(carrier.name.as_deref().unwrap_or(&carrier.mcc))
    }

    /// Whether the modem is in its slot.
    #[must_use]
    pub fn modem_present(&self) -> bool {
        self.modem
            .as_ref()
            .is_some_and(|modem| self.modem_removed.is_none_or(|removed| removed.order < modem.stamp.order))
    }

    /// Takes in an event about this link. Kinds that are not about links change nothing.
    pub(super) fn apply(&mut self, stamp: Stamp, body: &Body) {
        match body {
            Body::LinkChanged(changed) => {
                put(&mut self.state, stamp, &changed.to);
                if changed.from != changed.to {
                    put(&mut self.changed, stamp, &changed.cause);
                    if changed.to == LinkState::Connected {
                        later(&mut self.connected, stamp);
                    }
                }
                let up = matches!(changed.to, LinkState::Connected | LinkState::Suspect);
                if changed.settings.is_some() || !up {
                    put(&mut self.settings, stamp, &changed.settings);
                }
                if let Some(apn) = &changed.apn {
                    put(&mut self.apn, stamp, apn);
                }
            }
            Body::LinkFailed(failed) => put(&mut self.failure, stamp, failed),
            Body::ModemDetected(modem) => put(&mut self.modem, stamp, modem),
            Body::ModemRemoved(_) => later(&mut self.modem_removed, stamp),
            Body::SimChanged(sim) => put(&mut self.sim, stamp, sim),
            Body::RegistrationChanged(registration) => {
                put(&mut self.registration, stamp, registration);
                if let Some(carrier) = &registration.carrier {
                    put(&mut self.carrier, stamp, carrier);
                }
            }
            Body::RecoveryPerformed(recovery) => put(&mut self.recovery, stamp, recovery),
            Body::TrafficWarned(plan) => put(&mut self.plan, stamp, plan),
            Body::SignalSampled(batch) => self.apply_signal(stamp, batch),
            Body::TrafficSampled(batch) => {
                later(&mut self.traffic_at, stamp);
                self.traffic.get_or_insert_default().add(stamp.boot, batch);
            }
            Body::ProbeSampled(probe) => self.apply_probe(stamp, probe),
            _ => {}
        }
    }

    fn apply_signal(&mut self, stamp: Stamp, batch: &SignalSampled) {
        let count = batch.offset_ms.len();
        let Some(last) = count.checked_sub(1) else { return };
        let late = self.signal.as_ref().is_some_and(|latest| latest.stamp.order > stamp.order);
        if !late {
            let value = SignalView {
                signal: Signal {
                    rssi_dbm: cell(&batch.rssi_dbm, last),
                    rsrp_dbm: cell(&batch.rsrp_dbm, last),
                    rsrq_db: cell(&batch.rsrq_db, last),
                    snr_db: cell(&batch.snr_db, last),
                },
                cell: batch.runs.last().cloned(),
            };
            let stamp = Stamp { moment: stamp.moment.plus_ms(batch.offset_ms[last]), ..stamp };
            self.signal = Some(Latest { stamp, value });
        }
        for index in count.saturating_sub(Self::POINTS_MAX)..count {
            let snr = cell(&batch.snr_db, index).filter(|snr| snr.is_finite());
            self.add_point(SignalPoint(
                stamp.order,
                u16::try_from(index).unwrap_or(u16::MAX),
                stamp.moment.plus_ms(batch.offset_ms[index]),
                cell(&batch.rsrp_dbm, index).unwrap_or(SignalPoint::ABSENT),
                snr.map_or(SignalPoint::ABSENT, |snr| (snr * 10.0).round() as i16),
            ));
        }
    }

    /// Keeps the latest points in order, whatever the order they come in.
    fn add_point(&mut self, point: SignalPoint) {
        let at = match self.points.back() {
            Some(back) if back.key() > point.key() => {
                self.points.partition_point(|known| known.key() < point.key())
            }
            _ => self.points.len(),
        };
        if self.points.len() < Self::POINTS_MAX {
            self.points.insert(at, point);
        } else if at > 0 {
            self.points.pop_front();
            self.points.insert(at - 1, point);
        }
    }

    fn apply_probe(&mut self, stamp: Stamp, probe: &ProbeSampled) {
        if let Some(known) = self.probes.iter_mut().find(|known| known.value.target == probe.target) {
            if known.stamp.order <= stamp.order {
                known.stamp = stamp;
                known.value.clone_from(probe);
            }
            return;
        }
        let at = self.probes.partition_point(|known| known.value.target < probe.target);
        self.probes.insert(at, Latest { stamp, value: probe.clone() });
        if self.probes.len() > Self::TARGETS_MAX {
            let oldest = (0..self.probes.len()).min_by_key(|&at| self.probes[at].stamp.order);
            self.probes.remove(oldest.expect("the list is full"));
        }
    }
}

fn later(place: &mut Option<Stamp>, stamp: Stamp) {
    if place.is_none_or(|known| known.order < stamp.order) {
        *place = Some(stamp);
    }
}

fn cell<T: Copy>(column: &[Option<T>], row: usize) -> Option<T> {
    column.get(row).copied().flatten()
}
