//! What is known of one link (device-interface) of a router: for each thing that events tell, the latest word.

use serde::{Deserialize, Serialize};

use super::clock::Moment;
use super::packed::Packed;
use super::points::Points;
use super::sequences::Order;
use crate::event::{
    Body, Carrier, CellRun, IpSettings, LinkFailed, LinkState, ModemDetected, ProbeSampled,
    RecoveryPerformed, RegistrationChanged, Signal, SignalSampled, SimChanged, TrafficSampled, TrafficWarned,
};

/// Place and moment of an event. Written as `[order, milliseconds, boot]`, the boot negative while no clock was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(Order, i64, i64)", into = "(Order, i64, i64)")]
pub struct Stamp {
    /// Place in the router's life.
    pub order: Order,
    ms: i64,
    /// The boot it belongs to.
    pub boot: u32,
    is_dated: bool,
}

impl Stamp {
    /// Stamp of the event at `order`, in that boot and at that moment, which is of the same boot when no clock was set.
    #[must_use]
    pub fn new(order: Order, boot: u32, moment: Moment) -> Self {
        let (ms, clock) = moment.into();
        Self { order, ms, boot, is_dated: clock == 0 }
    }

    /// When.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment::from((self.ms, if self.is_dated { 0 } else { self.boot }))
    }

    fn plus_ms(self, offset_ms: u32) -> Self {
        Self::new(self.order, self.boot, self.moment().plus_ms(offset_ms))
    }
}

impl From<(Order, i64, i64)> for Stamp {
    fn from((order, ms, boot): (Order, i64, i64)) -> Self {
        let number = u32::try_from(boot.unsigned_abs()).unwrap_or(u32::MAX);
        Self { order, ms, boot: number, is_dated: boot >= 0 }
    }
}

impl From<Stamp> for (Order, i64, i64) {
    fn from(stamp: Stamp) -> Self {
        let boot = i64::from(stamp.boot);
        (stamp.order, stamp.ms, if stamp.is_dated { boot } else { -boot })
    }
}

/// The latest word on one thing, once there is one. Most routers have little to tell of most things, so what is not
/// there takes the room of a pointer.
pub type Told<T> = Option<Box<Latest<T>>>;

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
pub(super) fn put<T: Clone>(place: &mut Told<T>, stamp: Stamp, value: &T) {
    match place {
        Some(latest) if latest.stamp.order > stamp.order => {}
        Some(latest) => {
            latest.stamp = stamp;
            latest.value.clone_from(value);
        }
        None => *place = Some(Box::new(Latest { stamp, value: value.clone() })),
    }
}

/// A reading of the signal and where it was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalView {
    /// The reading.
    pub signal: Signal,
    /// Radio and cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<CellRun>,
}

/// One point of the recent signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignalPoint(Order, u16, pub Moment, i16, i16);

impl SignalPoint {
    /// Fields.
    pub(super) const NUMBERS: usize = 6;

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

    pub(super) fn key(&self) -> (Order, u16) {
        (self.0, self.1)
    }

    /// Its fields in order.
    pub(super) fn to_numbers(self) -> [i64; Self::NUMBERS] {
        let (ms, boot) = self.2.into();
        let order = u64::from(self.0).cast_signed();
        [order, self.1.into(), ms, boot.into(), self.3.into(), self.4.into()]
    }

    /// The point of these numbers; of each the bits that its field has.
    pub(super) fn from_numbers([order, index, ms, boot, rsrp_dbm, snr_db]: [i64; Self::NUMBERS]) -> Self {
        let moment = Moment::from((ms, boot as u32));
        Self(Order::from(order.cast_unsigned()), index as u16, moment, rsrp_dbm as i16, snr_db as i16)
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
    pub state: Told<LinkState>,
    /// What brought the last change about, and when the state last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Told<String>,
    /// When the link last came up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<Stamp>,
    /// IP settings; none while the link is not up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Told<Option<Packed<IpSettings>>>,
    /// APN last asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apn: Told<String>,
    /// The last failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Told<LinkFailed>,
    /// The modem, as it last told of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modem: Told<Packed<ModemDetected>>,
    /// When the modem was last found gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modem_removed: Option<Stamp>,
    /// The SIM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sim: Told<Packed<SimChanged>>,
    /// Registration, carrier, radio and cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Told<RegistrationChanged>,
    /// The carrier it was last registered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier: Told<Carrier>,
    /// The last rung of the recovery ladder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Told<Packed<RecoveryPerformed>>,
    /// Why it last stopped carrying traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Told<String>,
    /// Use against the data plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Told<TrafficWarned>,
    /// The last signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Told<SignalView>,
    /// Recent signal.
    #[serde(skip_serializing_if = "Points::is_empty")]
    pub points: Points,
    /// Traffic since boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Box<TrafficTotals>>,
    /// When traffic was last told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_at: Option<Stamp>,
    /// The last interval of each probe target, at most [`LinkView::TARGETS_MAX`] targets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Latest<ProbeSampled>>,
}

impl LinkView {
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
        self.failure.as_deref().filter(since_up).filter(|_| !self.is_up())
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

    /// Gives back room that it does not need.
    pub(super) fn shrink(&mut self) {
        self.probes.shrink_to_fit();
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
                    put(&mut self.settings, stamp, &changed.settings.as_ref().map(Packed::of));
                }
                if let Some(apn) = &changed.apn {
                    put(&mut self.apn, stamp, apn);
                }
            }
            Body::LinkFailed(failed) => put(&mut self.failure, stamp, failed),
            Body::ModemDetected(modem) => put(&mut self.modem, stamp, &Packed::of(modem)),
            Body::ModemRemoved(_) => later(&mut self.modem_removed, stamp),
            Body::SimChanged(sim) => put(&mut self.sim, stamp, &Packed::of(sim)),
            Body::RegistrationChanged(registration) => {
                put(&mut self.registration, stamp, registration);
                if let Some(carrier) = &registration.carrier {
                    put(&mut self.carrier, stamp, carrier);
                }
            }
            Body::RecoveryPerformed(recovery) => put(&mut self.recovery, stamp, &Packed::of(recovery)),
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
            self.signal = Some(Box::new(Latest { stamp: stamp.plus_ms(batch.offset_ms[last]), value }));
        }
        let latest = count.saturating_sub(Points::KEPT_MAX)..count;
        self.points.add(latest.map(|index| {
            let snr = cell(&batch.snr_db, index).filter(|snr| snr.is_finite());
            SignalPoint(
                stamp.order,
                u16::try_from(index).unwrap_or(u16::MAX),
                stamp.moment().plus_ms(batch.offset_ms[index]),
                cell(&batch.rsrp_dbm, index).unwrap_or(SignalPoint::ABSENT),
                snr.map_or(SignalPoint::ABSENT, |snr| (snr * 10.0).round() as i16),
            )
        }));
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
        self.probes.reserve_exact(1);
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
