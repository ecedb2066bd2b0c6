//! What the modem says unasked, in our words, and the subscription to it.

use std::sync::{Arc, Mutex};

use super::radio::{reject_of, signal_of};
use super::{Driver, DriverError, exchange, said};
use crate::event::{CauseSource, IpFamily, Radio, Reject, Signal};
use crate::link::failure::Cause;
use crate::modem::qmi::{Heard, Indications};
use crate::qmi::layout::Coded as _;
use crate::qmi::{Frame, Indication, Service, ctl, dms, nas, uim, wds};

/// A report is made when a value has moved by this much, in tenths of a decibel.
const SIGNAL_DELTA: u16 = 50;

/// RSSI thresholds in dBm for firmware that knows no deltas.
const RSSI_THRESHOLDS_DBM: [i8; 10] = [-100, -97, -95, -92, -90, -85, -80, -75, -70, -65];

/// Something the modem said unasked. The same may be said twice.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Registration, carrier or cell may have changed: read [`Driver::registration`]. Settings may have changed with it.
    ServingSystem,
    /// Signal, as far as it moved.
    SignalInfo {
        /// Radio that the signal is of.
        radio: Radio,
        /// Signal.
        signal: Signal,
    },
    /// A call came up or went down.
    PacketStatus {
        /// Its family, where the message says so.
        family: Option<IpFamily>,
        /// How it is now.
        status: wds::ConnectionStatus,
        /// Why it went down, where the message says so.
        cause: Option<Cause>,
        /// The network changed the settings: read [`Driver::current_settings`].
        reconfigure: bool,
    },
    /// Card, PIN or slot may have changed: read [`Driver::sim_status`].
    CardStatus,
    /// The provider refreshes the card, or has done so: read [`Driver::sim_status`].
    CardRefresh {
        /// Of which session the modem waits for [`Driver::complete_refresh`], where it does.
        waits_for: Option<uim::SessionType>,
    },
    /// The network refused.
    NetworkReject(Reject),
    /// The settings of calls changed: read [`Driver::current_settings`].
    SettingsChanged,
    /// The operating mode is another.
    OperatingMode(dms::OperatingMode),
    /// The modem has restarted; it has forgotten all client ids.
    ModemReset,
    /// Notices were lost because nobody took them: read everything anew.
    Missed,
    /// The control port is gone; this is the last notice.
    Gone(String),
}

/// A stream of [`Notice`]s.
pub struct Notices {
    indications: Indications,
    wds: Vec<(IpFamily, u8)>,
    last_reject: Arc<Mutex<Option<Reject>>>,
}

impl Notices {
    pub(super) fn new(
        indications: Indications,
        wds: Vec<(IpFamily, u8)>,
        last_reject: Arc<Mutex<Option<Reject>>>,
    ) -> Self {
        Self { indications, wds, last_reject }
    }

    /// Waits for the next notice. Safe to cancel. After [`Notice::Gone`] it gives that again.
    pub async fn next(&mut self) -> Notice {
        loop {
            match self.indications.next().await {
                Heard::Missed => return Notice::Missed,
                Heard::Gone(reason) => return Notice::Gone(reason),
                Heard::Indication(frame) => {
                    if let Some(notice) = notice_of(&frame, &self.wds) {
                        if let Notice::NetworkReject(reject) = &notice {
                            *self.last_reject.lock().expect("no task panics with the lock") =
                                Some(reject.clone());
                        }
                        return notice;
                    }
                }
            }
        }
    }
}

impl Driver {
    /// Asks for every indication that a link needs. Read registration, SIM and sessions once afterwards, so that no change falls
    /// between. What the firmware does not know is left out: the agent polls as well.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer.
    pub async fn subscribe(&self) -> Result<(), DriverError> {
        let register = nas::RegisterIndications {
            serving_system_events: Some(true),
            system_info: Some(true),
            signal_info: Some(true),
            network_reject_information: Some(nas::NetworkRejectReporting {
                enable_network_reject_indications: true,
                suppress_system_info_indications: false,
            }),
            ..nas::RegisterIndications::default()
        };
        if said(self.nas(register).await)?.is_none() {
            // Old firmware refuses the whole for one switch that it does not know.
            let fewer = nas::RegisterIndications {
                serving_system_events: Some(true),
                system_info: Some(true),
                ..nas::RegisterIndications::default()
            };
            said(self.nas(fewer).await)?;
        }
        self.configure_signal().await?;
        if let Some(cid) = self.clients.uim {
            let mask =
                uim::EventRegistrationFlag::CARD_STATUS | uim::EventRegistrationFlag::PHYSICAL_SLOT_STATUS;
            let events = uim::RegisterEvents { event_registration_mask: mask };
            said(exchange(&self.qmi, cid, events, self.deadlines.quick).await)?;
            self.register_refresh(cid).await?;
        }
        let mode =
            dms::SetEventReport { operating_mode_reporting: Some(true), ..dms::SetEventReport::default() };
        said(self.dms(mode).await)?;
        for (_, cid) in &self.clients.wds {
            let settings = wds::IndicationRegister {
                report_extended_ip_configuration_change: Some(true),
                report_profile_changes: None,
            };
            said(exchange(&self.qmi, *cid, settings, self.deadlines.quick).await)?;
        }
        Ok(())
    }

    async fn configure_signal(&self) -> Result<(), DriverError> {
        let deltas = nas::ConfigSignalInfoV2 {
            lte_rssi_delta: Some(SIGNAL_DELTA),
            lte_snr_delta: Some(SIGNAL_DELTA),
            lte_rsrq_delta: Some(SIGNAL_DELTA),
            lte_rsrp_delta: Some(SIGNAL_DELTA),
            ..nas::ConfigSignalInfoV2::default()
        };
        if said(self.nas(deltas).await)?.is_none() {
            let thresholds = nas::ConfigSignalInfo {
                rssi_threshold: Some(RSSI_THRESHOLDS_DBM.to_vec()),
                ..nas::ConfigSignalInfo::default()
            };
            said(self.nas(thresholds).await)?;
        }
        Ok(())
    }
}

fn read<I: Indication>(frame: &Frame) -> Option<I> {
    frame.read_indication::<I>()?.ok()
}

fn notice_of(frame: &Frame, clients: &[(IpFamily, u8)]) -> Option<Notice> {
    let is = |service, message| (frame.service, frame.message) == (service, message);
    if is(Service::Nas, nas::ServingSystem::ID) || is(Service::Nas, nas::SystemInfo::ID) {
        return Some(Notice::ServingSystem);
    }
    if is(Service::Uim, <uim::CardStatus as Indication>::ID)
        || is(Service::Uim, <uim::SlotStatus as Indication>::ID)
    {
        return Some(Notice::CardStatus);
    }
    if is(Service::Ctl, ctl::SyncIndication::ID) {
        return Some(Notice::ModemReset);
    }
    if let Some(info) = read::<nas::SignalInfo>(frame) {
        let (radio, signal) = signal_of(&info);
        return Some(Notice::SignalInfo { radio, signal });
    }
    if let Some(reject) = read::<nas::NetworkReject>(frame) {
        return reject_of(reject.reject_cause, CauseSource::NetworkReject).map(Notice::NetworkReject);
    }
    if let Some(status) = read::<wds::PacketServiceStatus>(frame) {
        return Some(packet_status(&status, frame.client, clients));
    }
    if read::<wds::ExtendedIpConfig>(frame).is_some() {
        return Some(Notice::SettingsChanged);
    }
    if let Some(refresh) = read::<uim::Refresh>(frame) {
        return Some(Notice::CardRefresh { waits_for: refresh.event.as_ref().and_then(waiting_refresh) });
    }
    if let Some(report) = read::<dms::EventReport>(frame) {
        return report.operating_mode.map(Notice::OperatingMode);
    }
    None
}

/// A refresh that has begun waits for those who registered, unless it restarts the card.
fn waiting_refresh(event: &uim::RefreshEvent) -> Option<uim::SessionType> {
    let restarts = matches!(event.mode, uim::RefreshMode::Reset | uim::RefreshMode::InitFullFcn);
    (event.stage == uim::RefreshStage::Start && !restarts).then_some(event.session_type)
}

fn packet_status(status: &wds::PacketServiceStatus, client: u8, clients: &[(IpFamily, u8)]) -> Notice {
    let family = match status.ip_family {
        Some(wds::IpFamily::Ipv4) => Some(IpFamily::Ipv4),
        Some(wds::IpFamily::Ipv6) => Some(IpFamily::Ipv6),
        _ => clients.iter().find(|(_, cid)| *cid == client).map(|(family, _)| *family),
    };
    let verbose = status.verbose_call_end_reason.map(|reason| {
        let name = reason.name().map_or_else(|| reason.reason.to_string(), str::to_owned);
        Cause::verbose(reason.reason_type, reason.reason, name)
    });
    let legacy =
        status.call_end_reason.map(|reason| Cause::legacy(reason.number() as u16, reason.to_string()));
    Notice::PacketStatus {
        family,
        status: status.connection_status.status,
        cause: verbose.or(legacy),
        reconfigure: status.connection_status.reconfiguration_required,
    }
}
