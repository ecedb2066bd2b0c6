//! Pure: answers and indications of the NAS service.

use super::{Answer, Client, Modem, Registration};
use crate::qmi::band::ActiveBand;
use crate::qmi::layout::Coded as _;
use crate::qmi::message::Request;
use crate::qmi::nas::{
    self, AttachState, DLBandwidth, NetworkServiceDomain, RadioInterface, RegistrationState,
    RoamingIndicatorStatus, RoamingStatus, ServiceStatus,
};
use crate::qmi::{Done, Frame, ProtocolError, RejectCause, Service};
use crate::sim::radio::{Reading, Technology};

/// LAC of an attach without circuit-switched part.
const NO_LAC: u16 = 0xFFFE;

/// Which changes of the signal a client wants to hear of: thresholds crossed, or steps taken.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SignalWatch {
    wanted: bool,
    rssi: Watch,
    rsrp: Watch,
    rsrq: Watch,
    snr: Watch,
    rscp: Watch,
    /// What was told last.
    last: Reading,
}

/// One quantity in 0.1 dB.
#[derive(Debug, Clone, PartialEq, Default)]
struct Watch {
    thresholds: Vec<i16>,
    delta: Option<u16>,
}

impl Watch {
    fn list(thresholds: Vec<i16>) -> Self {
        Self { thresholds, delta: None }
    }

    fn notices(&self, before: Option<i16>, after: Option<i16>) -> bool {
        let (Some(before), Some(after)) = (before, after) else { return before != after };
        let crossed = |threshold: &i16| (before < *threshold) != (after < *threshold);
        self.thresholds.iter().any(crossed)
            || self.delta.is_some_and(|delta| delta > 0 && before.abs_diff(after) >= delta)
    }
}

impl SignalWatch {
    fn notices(&self, now: &Reading) -> bool {
        let tenths = |value: Option<i16>| value.map(|value| value.saturating_mul(10));
        let power = if now.technology == Technology::Lte { &self.rsrp } else { &self.rscp };
        let last = &self.last;
        last.technology != now.technology
            || power.notices(tenths(last.rsrp_dbm), tenths(now.rsrp_dbm))
            || self.rssi.notices(tenths(last.rssi_dbm), tenths(now.rssi_dbm))
            || self.rsrq.notices(tenths(last.rsrq_db), tenths(now.rsrq_db))
            || self.snr.notices(last.snr_tenth_db, now.snr_tenth_db)
    }
}

impl Modem {
    pub(super) fn nas(&mut self, frame: &Frame) {
        match frame.message {
            nas::RegisterIndications::ID => self.answer(frame, Self::register_indications),
            nas::ConfigSignalInfo::ID => self.answer(frame, Self::config_signal_info),
            nas::ConfigSignalInfoV2::ID => self.answer(frame, Self::config_signal_info_v2),
            nas::GetSignalInfo::ID => {
                self.answer(frame, |modem, _, _: nas::GetSignalInfo| Ok(signal_info(&modem.reading())));
            }
            nas::GetSignalStrength::ID => self.answer(frame, Self::signal_strength),
            nas::GetServingSystem::ID => {
                self.answer(frame, |modem, _, _: nas::GetServingSystem| Ok(modem.serving_system()));
            }
            nas::GetSystemInfo::ID => {
                self.answer(frame, |modem, _, _: nas::GetSystemInfo| Ok(modem.system_info()));
            }
            nas::GetHomeNetwork::ID => self.answer(frame, |modem, _, _: nas::GetHomeNetwork| {
                modem.card.unlocked().map_err(|_| ProtocolError::NotProvisioned)?;
                let (mcc, mnc, includes_pcs_digit) = modem.identity.plmn();
                let description = modem.identity.carrier.name.clone();
                Ok(nas::GetHomeNetworkResponse {
                    home_network: nas::NamedPlmn { mcc, mnc, description },
                    home_network_3gpp_mnc: Some(nas::HomeNetworkMnc { is_3gpp: true, includes_pcs_digit }),
                    ..Default::default()
                })
            }),
            nas::GetRfBandInformation::ID => self.answer(frame, Self::rf_band),
            nas::GetCellLocationInfo::ID => self.answer(frame, Self::cell_location),
            nas::GetLteCphyCaInfo::ID => self.answer(frame, Self::carrier_aggregation),
            _ => self.nas_selection(frame),
        }
    }

    fn nas_selection(&mut self, frame: &Frame) {
        match frame.message {
            nas::GetSystemSelectionPreference::ID => {
                self.answer(frame, |_, _, _: nas::GetSystemSelectionPreference| {
                    Ok(nas::GetSystemSelectionPreferenceResponse {
                        emergency_mode: Some(false),
                        mode_preference: Some(nas::RatModePreference::UMTS | nas::RatModePreference::LTE),
                        roaming_preference: Some(nas::RoamingPreference::Any),
                        network_selection_preference: Some(nas::NetworkSelectionPreference::Automatic),
                        service_domain_preference: Some(nas::ServiceDomainPreference::CsPs),
                        acquisition_order_preference: Some(vec![RadioInterface::Lte, RadioInterface::Umts]),
                        ..Default::default()
                    })
                });
            }
            nas::SetSystemSelectionPreference::ID => {
                self.answer(frame, |modem, _, _: nas::SetSystemSelectionPreference| {
                    modem.search_again();
                    Ok(Done)
                });
            }
            nas::InitiateNetworkRegister::ID => {
                self.answer(frame, |modem, _, _: nas::InitiateNetworkRegister| {
                    modem.search_again();
                    Ok(Done)
                });
            }
            nas::ForceNetworkSearch::ID => self.answer(frame, |modem, _, _: nas::ForceNetworkSearch| {
                modem.search_again();
                Ok(Done)
            }),
            nas::AttachDetach::ID => self.answer(frame, |modem, _, request: nas::AttachDetach| {
                let detached = request.action == nas::PsAttachAction::Detach;
                if modem.network.detached == detached {
                    return Err(ProtocolError::NoEffect.into());
                }
                modem.network.detached = detached;
                if detached {
                    let reason = crate::qmi::VerboseCallEndReason { reason_type: 3, reason: 1028 };
                    modem.drop_sessions(reason, true);
                }
                modem.indicate_system();
                Ok(Done)
            }),
            nas::GetOperatorName::ID => self.answer(frame, |modem, _, _: nas::GetOperatorName| {
                if modem.registration() != Registration::Registered {
                    return Err(ProtocolError::InformationUnavailable.into());
                }
                let operator_string_name = Some(modem.identity.carrier.name.clone());
                Ok(nas::OperatorName { operator_string_name, ..Default::default() })
            }),
            nas::NetworkScan::ID => self.answer(frame, |modem, _, _: nas::NetworkScan| {
                if !modem.hears() {
                    return Err(ProtocolError::NoNetworkFound.into());
                }
                let (mcc, mnc, includes_pcs_digit) = modem.identity.plmn();
                let network = nas::ScannedNetwork {
                    mcc,
                    mnc,
                    network_status: nas::NetworkStatus::CURRENT_SERVING
                        | nas::NetworkStatus::HOME
                        | nas::NetworkStatus::NOT_FORBIDDEN,
                    description: modem.identity.carrier.name.clone(),
                };
                let radio_interface = interface(modem.reading.technology);
                Ok(nas::NetworkScanResponse {
                    network_information: Some(vec![network]),
                    radio_access_technology: Some(vec![nas::ScannedRadio { mcc, mnc, radio_interface }]),
                    mnc_pcs_digit_include_status: Some(vec![nas::MccMnc { mcc, mnc, includes_pcs_digit }]),
                    network_scan_result: Some(nas::NetworkScanResult::Success),
                })
            }),
            _ => self.refuse(frame, ProtocolError::InvalidQmiCommand),
        }
    }

    /// Tells those who asked how the modem stands with the network.
    pub(super) fn indicate_system(&mut self) {
        let told = self.serving_system();
        let indication = nas::ServingSystem {
            serving_system: told.serving_system,
            roaming_indicator: told.roaming_indicator,
            data_service_capability: told.data_service_capability,
            current_plmn: told.current_plmn,
            lac_3gpp: told.lac_3gpp,
            cid_3gpp: told.cid_3gpp,
            detailed_service_status: told.detailed_service_status,
            lte_tac: told.lte_tac,
            mnc_pcs_digit_include_status: told.mnc_pcs_digit_include_status,
            ..Default::default()
        };
        let wanting = self.clients_that(Service::Nas, |client| client.serving_system);
        self.indicate(&indication, &wanting);
        let told = self.system_info();
        let indication = nas::SystemInfo {
            wcdma_service_status: told.wcdma_service_status,
            lte_service_status: told.lte_service_status,
            wcdma_system_info_v2: told.wcdma_system_info_v2,
            lte_system_info_v2: told.lte_system_info_v2,
            sim_reject_info: told.sim_reject_info,
            ..Default::default()
        };
        let wanting = self.clients_that(Service::Nas, |client| client.system_info);
        self.indicate(&indication, &wanting);
    }

    /// Tells those who asked that the network refused.
    pub(super) fn indicate_reject(&mut self, reject_cause: RejectCause) {
        let (mcc, mnc, includes_pcs_digit) = self.identity.plmn();
        let indication = nas::NetworkReject {
            radio_interface: interface(self.reading.technology),
            service_domain: NetworkServiceDomain::Ps,
            reject_cause,
            plmn: Some(nas::MccMnc { mcc, mnc, includes_pcs_digit }),
            closed_subscriber_group: None,
        };
        let wanting = self.clients_that(Service::Nas, |client| client.network_reject);
        self.indicate(&indication, &wanting);
    }

    /// Tells those whose thresholds were crossed.
    pub(super) fn indicate_signal(&mut self) {
        let reading = self.reading();
        let mut wanting = Vec::new();
        for (id, client) in self.clients.iter_mut(Service::Nas) {
            if client.signal.wanted && client.signal.notices(&reading) {
                client.signal.last = reading;
                wanting.push(id);
            }
        }
        self.indicate(&signal_info(&reading), &wanting);
    }

    fn register_indications(
        &mut self,
        id: u8,
        request: nas::RegisterIndications,
    ) -> Answer<nas::RegisterIndications> {
        let reading = self.reading();
        let client = self.client(Service::Nas, id);
        client.serving_system = request.serving_system_events.unwrap_or(client.serving_system);
        client.system_info = request.system_info.unwrap_or(client.system_info);
        if let Some(wanted) = request.signal_info {
            client.signal.wanted = wanted;
            client.signal.last = reading;
        }
        if let Some(reject) = request.network_reject_information {
            client.network_reject = reject.enable_network_reject_indications;
        }
        Ok(Done)
    }

    fn config_signal_info(
        &mut self,
        id: u8,
        request: nas::ConfigSignalInfo,
    ) -> Answer<nas::ConfigSignalInfo> {
        let tenths = |value: i16| value.saturating_mul(10);
        let bytes = |list: Vec<i8>| Watch::list(list.into_iter().map(|value| tenths(value.into())).collect());
        let signal = self.signal_watch(id);
        replace(&mut signal.rssi, request.rssi_threshold.map(bytes));
        replace(&mut signal.rsrq, request.rsrq_threshold.map(bytes));
        replace(&mut signal.rscp, request.rscp_threshold.map(bytes));
        let words = |list: Vec<i16>| Watch::list(list.into_iter().map(tenths).collect());
        replace(&mut signal.rsrp, request.rsrp_threshold.map(words));
        replace(&mut signal.snr, request.lte_snr_threshold.map(Watch::list));
        Ok(Done)
    }

    fn config_signal_info_v2(
        &mut self,
        id: u8,
        request: nas::ConfigSignalInfoV2,
    ) -> Answer<nas::ConfigSignalInfoV2> {
        let watch = |list: Option<Vec<i16>>, delta: Option<u16>| match (list, delta) {
            (None, None) => None,
            (list, delta) => Some(Watch { thresholds: list.unwrap_or_default(), delta }),
        };
        let signal = self.signal_watch(id);
        replace(&mut signal.rssi, watch(request.lte_rssi_threshold_list, request.lte_rssi_delta));
        replace(&mut signal.rsrp, watch(request.lte_rsrp_threshold_list, request.lte_rsrp_delta));
        replace(&mut signal.rsrq, watch(request.lte_rsrq_threshold_list, request.lte_rsrq_delta));
        replace(&mut signal.snr, watch(request.lte_snr_threshold_list, request.lte_snr_delta));
        replace(&mut signal.rscp, watch(request.wcdma_rscp_threshold_list, request.wcdma_rscp_delta));
        Ok(Done)
    }

    fn signal_watch(&mut self, id: u8) -> &mut SignalWatch {
        let reading = self.reading();
        let signal = &mut self.client(Service::Nas, id).signal;
        signal.last = reading;
        signal
    }

    fn signal_strength(&mut self, _: u8, _: nas::GetSignalStrength) -> Answer<nas::GetSignalStrength> {
        let reading = self.reading();
        let radio_interface = interface(reading.technology);
        let rssi = reading.rssi_dbm.ok_or(ProtocolError::InformationUnavailable)?;
        let lte = reading.technology == Technology::Lte;
        Ok(nas::GetSignalStrengthResponse {
            signal_strength: nas::StrengthOf { strength: byte(rssi), radio_interface },
            rssi_list: Some(vec![nas::RssiOf { rssi: rssi.unsigned_abs().min(255) as u8, radio_interface }]),
            rsrq: reading
                .rsrq_db
                .filter(|_| lte)
                .map(|rsrq| nas::RsrqOf { rsrq: byte(rsrq), radio_interface }),
            lte_snr: reading.snr_tenth_db.filter(|_| lte),
            lte_rsrp: reading.rsrp_dbm.filter(|_| lte),
            ..Default::default()
        })
    }

    fn serving_system(&self) -> nas::GetServingSystemResponse {
        let registered = self.registration() == Registration::Registered;
        let technology = self.reading().technology;
        let attached = |on| if on { AttachState::Attached } else { AttachState::Detached };
        let serving_system = nas::Registration {
            registration_state: match self.registration() {
                Registration::Idle => RegistrationState::NotRegistered,
                Registration::Searching => RegistrationState::NotRegisteredSearching,
                Registration::Registered => RegistrationState::Registered,
                Registration::Denied(_) => RegistrationState::RegistrationDenied,
            },
            cs_attach_state: attached(registered && technology != Technology::Lte),
            ps_attach_state: attached(self.is_attached()),
            selected_network: nas::NetworkType::ThreeGpp,
            radio_interfaces: vec![if registered { interface(technology) } else { RadioInterface::None }],
        };
        let detailed_service_status = Some(nas::DetailedServiceStatus {
            status: self.service_status(technology),
            capability: if registered { NetworkServiceDomain::CsPs } else { NetworkServiceDomain::None },
            hdr_status: ServiceStatus::None,
            hdr_hybrid: false,
            forbidden: matches!(self.registration(), Registration::Denied(11..=15)),
        });
        if !registered {
            return nas::GetServingSystemResponse {
                serving_system,
                detailed_service_status,
                ..Default::default()
            };
        }
        let (mcc, mnc, includes_pcs_digit) = self.identity.plmn();
        let cell = self.reading().cell;
        let lte = technology == Technology::Lte;
        nas::GetServingSystemResponse {
            serving_system,
            roaming_indicator: Some(RoamingIndicatorStatus::Off),
            data_service_capability: Some(vec![capability(technology)]),
            current_plmn: Some(nas::NamedPlmn { mcc, mnc, description: self.identity.carrier.name.clone() }),
            roaming_indicator_list: Some(vec![nas::RoamingIndicatorOf {
                radio_interface: interface(technology),
                roaming_indicator: RoamingIndicatorStatus::Off,
            }]),
            lac_3gpp: Some(if lte { NO_LAC } else { cell.area }),
            cid_3gpp: Some(cell.id),
            detailed_service_status,
            lte_tac: lte.then_some(cell.area),
            mnc_pcs_digit_include_status: Some(nas::MccMnc { mcc, mnc, includes_pcs_digit }),
            ..Default::default()
        }
    }

    /// What of service there is on one technology.
    fn service_status(&self, technology: Technology) -> ServiceStatus {
        match self.registration() {
            _ if technology == Technology::None || self.reading().technology != technology => {
                ServiceStatus::None
            }
            Registration::Registered => ServiceStatus::Available,
            // Cells are heard; the network lets nobody in.
            Registration::Idle | Registration::Searching | Registration::Denied(_) => ServiceStatus::Limited,
        }
    }

    fn system_info(&self) -> nas::GetSystemInfoResponse {
        let status = |technology| {
            let service_status = self.service_status(technology);
            Some(nas::ServiceStatusInfo {
                service_status,
                true_service_status: service_status,
                preferred_data_path: false,
            })
        };
        let reading = self.reading();
        let cell = reading.cell;
        let network_id = Some(nas::NetworkId {
            mcc: self.identity.carrier.mcc.clone(),
            mnc: self.identity.carrier.mnc.clone(),
        });
        let domain = Some(match self.registration() {
            Registration::Registered => NetworkServiceDomain::CsPs,
            _ => NetworkServiceDomain::Camped,
        });
        let service_capability = Some(NetworkServiceDomain::CsPs);
        let roaming_status = Some(RoamingStatus::Off);
        let forbidden = Some(matches!(self.registration(), Registration::Denied(11..=15)));
        let reject = self.network.last_reject.map(|cause| nas::Reject {
            domain: NetworkServiceDomain::Ps,
            cause: RejectCause::from_number(cause.into()),
        });
        let lte = (reading.technology == Technology::Lte).then(|| nas::LteSystemInfo {
            domain,
            service_capability,
            roaming_status,
            forbidden,
            lac: Some(NO_LAC),
            cid: Some(cell.id),
            reject: reject.clone(),
            network_id: network_id.clone(),
            tac: Some(cell.area),
        });
        let umts = (reading.technology == Technology::Umts).then_some(nas::WcdmaSystemInfo {
            domain,
            service_capability,
            roaming_status,
            forbidden,
            lac: Some(cell.area),
            cid: Some(cell.id),
            reject,
            network_id,
            hs_call_status: None,
            hs_service: Some(nas::WcdmaHsService::HsdpaPlusHsupaSupported),
            primary_scrambling_code: Some(cell.physical_id),
        });
        nas::GetSystemInfoResponse {
            gsm_service_status: status(Technology::Gsm),
            wcdma_service_status: status(Technology::Umts),
            lte_service_status: status(Technology::Lte),
            wcdma_system_info_v2: umts,
            lte_system_info_v2: lte,
            sim_reject_info: Some(match self.card.condition() {
                super::CardCondition::Ready => nas::SimRejectState::Available,
                super::CardCondition::Illegal => nas::SimRejectState::CsPsInvalid,
                _ => nas::SimRejectState::Unavailable,
            }),
            ..Default::default()
        }
    }

    fn rf_band(&mut self, _: u8, _: nas::GetRfBandInformation) -> Answer<nas::GetRfBandInformation> {
        let reading = self.reading();
        let radio_interface = interface(reading.technology);
        let (band, bandwidth) = band_of(&reading).ok_or(ProtocolError::InformationUnavailable)?;
        let channel = reading.cell.channel;
        Ok(nas::GetRfBandInformationResponse {
            list: vec![nas::RfBand { radio_interface, active_band_class: band, active_channel: channel }],
            extended_list: Some(vec![nas::RfBandExtended {
                radio_interface,
                active_band_class: band,
                active_channel: channel.into(),
            }]),
            bandwidth_list: Some(vec![nas::RfBandwidth { radio_interface, bandwidth }]),
        })
    }

    fn cell_location(&mut self, _: u8, _: nas::GetCellLocationInfo) -> Answer<nas::GetCellLocationInfo> {
        let reading = self.reading();
        let cell = reading.cell;
        let plmn = format!("{}{}", self.identity.carrier.mcc, self.identity.carrier.mnc);
        let tenths = |value: Option<i16>| value.map_or(i16::MIN, |value| value.saturating_mul(10));
        match reading.technology {
            Technology::Lte => Ok(nas::GetCellLocationInfoResponse {
                intrafrequency_lte_info_v2: Some(nas::IntrafrequencyLteInfo {
                    ue_in_idle: !reading.active,
                    plmn,
                    tracking_area_code: cell.area,
                    global_cell_id: cell.id,
                    earfcn: cell.channel,
                    serving_cell_id: cell.physical_id,
                    cell_reselection_priority: 5,
                    s_non_intra_search_threshold: 8,
                    serving_cell_low_threshold: 4,
                    s_intra_search_threshold: 62,
                    cell: vec![nas::LteCell {
                        physical_cell_id: cell.physical_id,
                        rsrq: tenths(reading.rsrq_db),
                        rsrp: tenths(reading.rsrp_dbm),
                        rssi: tenths(reading.rssi_dbm),
                        cell_selection_rx_level: 20,
                    }],
                }),
                lte_info_timing_advance: Some(u32::MAX),
                ..Default::default()
            }),
            Technology::Umts => Ok(nas::GetCellLocationInfoResponse {
                umts_info_v2: Some(nas::UmtsInfo {
                    cell_id: cell.id as u16,
                    plmn,
                    lac: cell.area,
                    uarfcn: cell.channel,
                    primary_scrambling_code: cell.physical_id,
                    rscp: reading.rsrp_dbm.unwrap_or(i16::MIN),
                    ecio: reading.rsrq_db.unwrap_or(i16::MIN),
                    ..Default::default()
                }),
                umts_cell_id: Some(cell.id),
                ..Default::default()
            }),
            Technology::Gsm | Technology::None => Err(ProtocolError::InformationUnavailable.into()),
        }
    }

    fn carrier_aggregation(&mut self, _: u8, _: nas::GetLteCphyCaInfo) -> Answer<nas::GetLteCphyCaInfo> {
        let reading = self.reading();
        let (lte_band, dl_bandwidth) = band_of(&reading)
            .filter(|_| reading.technology == Technology::Lte)
            .ok_or(ProtocolError::InformationUnavailable)?;
        Ok(nas::GetLteCphyCaInfoResponse {
            dl_bandwidth: Some(dl_bandwidth),
            phy_ca_agg_pcell_info: Some(nas::PrimaryCell {
                physical_cell_id: reading.cell.physical_id,
                rx_channel: reading.cell.channel,
                dl_bandwidth,
                lte_band,
            }),
            ..Default::default()
        })
    }
}

fn replace(watch: &mut Watch, by: Option<Watch>) {
    if let Some(by) = by {
        *watch = by;
    }
}

fn byte(value: i16) -> i8 {
    value.clamp(i8::MIN.into(), i8::MAX.into()) as i8
}

fn interface(technology: Technology) -> RadioInterface {
    match technology {
        Technology::None => RadioInterface::None,
        Technology::Gsm => RadioInterface::Gsm,
        Technology::Umts => RadioInterface::Umts,
        Technology::Lte => RadioInterface::Lte,
    }
}

fn capability(technology: Technology) -> nas::DataCapability {
    match technology {
        Technology::None => nas::DataCapability::None,
        Technology::Gsm => nas::DataCapability::Edge,
        Technology::Umts => nas::DataCapability::HsdpaPlus,
        Technology::Lte => nas::DataCapability::Lte,
    }
}

fn band_of(reading: &Reading) -> Option<(ActiveBand, DLBandwidth)> {
    /// Code of the UMTS band of 1900 MHz (NasActiveBand `wcdma-pcs-1900`).
    const WCDMA_1900: ActiveBand = ActiveBand(81);
    match reading.technology {
        Technology::Lte => {
            let bandwidth = if reading.cell.band == 12 { DLBandwidth::Mhz10 } else { DLBandwidth::Mhz20 };
            ActiveBand::of_lte(reading.cell.band).map(|band| (band, bandwidth))
        }
        Technology::Umts => Some((WCDMA_1900, DLBandwidth::Wcdma5)),
        Technology::Gsm | Technology::None => None,
    }
}

/// Signal Info as a modem gives it: only what it measures now. On the wire Ec/Io counts -0.5 dB and RSCP -1 dBm.
fn signal_info(reading: &Reading) -> nas::SignalInfo {
    let rssi = reading.rssi_dbm.map(byte);
    match reading.technology {
        Technology::Lte => nas::SignalInfo {
            lte_signal_strength: Some(nas::LteSignalStrength {
                rssi: rssi.unwrap_or(i8::MIN),
                rsrq: reading.rsrq_db.map_or(i8::MIN, byte),
                rsrp: reading.rsrp_dbm.unwrap_or(i16::MIN),
                snr: reading.snr_tenth_db.unwrap_or(i16::MIN),
            }),
            ..Default::default()
        },
        Technology::Umts => {
            let rscp = reading.rsrp_dbm;
            // A log without RSSI still has it: RSCP = RSSI + Ec/Io.
            let sum = || Some(byte(rscp?.saturating_sub(reading.rsrq_db?)));
            nas::SignalInfo {
                wcdma_signal_strength: Some(nas::WcdmaSignalStrength {
                    rssi: rssi.or_else(sum).unwrap_or(i8::MIN),
                    ecio: reading.rsrq_db.map_or(i16::MIN, |ecio| -2 * ecio),
                }),
                wcdma_rscp: rscp.map(|rscp| -rscp),
                ..Default::default()
            }
        }
        Technology::Gsm => nas::SignalInfo { gsm_signal_strength: rssi, ..Default::default() },
        Technology::None => nas::SignalInfo::default(),
    }
}

impl Client {
    /// Whether it hears of the signal.
    #[must_use]
    pub fn watches_signal(&self) -> bool {
        self.signal.wanted
    }
}
