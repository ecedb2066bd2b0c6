//! Registration, cell and signal. Values that the modem marks as not available are absent, never a number.

use super::{Driver, DriverError, said};
use crate::event::{
    Carrier, CauseSource, Cell, Radio, RegistrationChanged, RegistrationState, Reject, Signal,
};
use crate::qmi::dms;
use crate::qmi::layout::Coded as _;
use crate::qmi::nas::{self, RadioInterface, ServiceStatus};

/// One reading of the radio.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Radio access technology that the signal is of.
    pub radio: Radio,
    /// Signal.
    pub signal: Signal,
    /// Band, cell and tracking area.
    pub cell: Cell,
}

impl Driver {
    /// Registration as serving system, system info and the last network reject tell it together; one of them alone often says
    /// nothing about a refusal.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer.
    pub async fn registration(&self) -> Result<RegistrationChanged, DriverError> {
        let serving = self.nas(nas::GetServingSystem {}).await?;
        let system = said(self.nas(nas::GetSystemInfo {}).await)?.unwrap_or_default();
        let mut told = registration_of(&serving, &system);
        if told.reject.is_none() && told.state != RegistrationState::Registered {
            told.reject = self.last_reject.lock().expect("no task panics with the lock").clone();
        }
        told.cell.band = self.band().await?;
        Ok(told)
    }

    /// Signal and cell.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer.
    pub async fn signal(&self) -> Result<Reading, DriverError> {
        let (radio, signal) = match self.nas(nas::GetSignalInfo {}).await {
            Ok(info) => signal_of(&info),
            Err(error) if error.is_unsupported() => {
                let request_mask = Some(nas::SignalStrengthRequest(0xEF));
                let told = said(self.nas(nas::GetSignalStrength { request_mask }).await)?;
                told.map_or((Radio::None, Signal::default()), |told| legacy_signal_of(&told))
            }
            Err(DriverError::Protocol { .. }) => (Radio::None, Signal::default()),
            Err(error) => return Err(error),
        };
        let system = said(self.nas(nas::GetSystemInfo {}).await)?.unwrap_or_default();
        let mut cell = cell_of(&system);
        cell.band = self.band().await?;
        Ok(Reading { radio, signal, cell })
    }

    /// LTE bands and NR bands that the modem can use.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer.
    pub async fn bands(&self) -> Result<(Vec<u16>, Vec<u16>), DriverError> {
        let Some(told) = said(self.dms(dms::GetBandCapabilities {}).await)? else {
            return Ok(Default::default());
        };
        let of_mask = || crate::qmi::band::bands(&[told.lte_band_capability.unwrap_or(0)]);
        let lte = told.extended_lte_band_capability.clone().unwrap_or_else(of_mask);
        Ok((lte, told.nr5g_band_capability.unwrap_or_default()))
    }

    async fn band(&self) -> Result<Option<u16>, DriverError> {
        let told = said(self.nas(nas::GetRfBandInformation {}).await)?;
        Ok(told.and_then(|told| told.list.first().and_then(|band| band_number(band.active_band_class))))
    }
}

fn band_number(band: crate::qmi::band::ActiveBand) -> Option<u16> {
    band.lte().or_else(|| band.nr())
}

pub(super) fn radio_of(radio: RadioInterface) -> Radio {
    match radio {
        RadioInterface::None => Radio::None,
        RadioInterface::Gsm => Radio::Gsm,
        RadioInterface::Umts | RadioInterface::TdScdma => Radio::Umts,
        RadioInterface::Lte => Radio::Lte,
        RadioInterface::Nr5g => Radio::Nr5g,
        _ => Radio::Unknown,
    }
}

/// An EMM cause with its name and its source.
pub(super) fn reject_of(cause: crate::qmi::RejectCause, source: CauseSource) -> Option<Reject> {
    let number = cause.number() as u16;
    (number != 0).then(|| Reject { cause: number, name: cause.to_string(), source })
}

fn registration_of(
    serving: &nas::GetServingSystemResponse,
    system: &nas::GetSystemInfoResponse,
) -> RegistrationChanged {
    let registration = &serving.serving_system;
    let radio =
        registration.radio_interfaces.iter().map(|radio| radio_of(*radio)).max().unwrap_or(Radio::None);
    let lte = system.lte_system_info_v2.as_ref();
    // A home network and a roaming one: the serving system's 0 is *on*.
    let roaming = serving.roaming_indicator.map(|indicator| indicator == nas::RoamingIndicatorStatus::On);
    let mut cell = cell_of(system);
    cell.tac = cell.tac.or_else(|| available_tac(serving.lte_tac)).or(serving.lac_3gpp.map(u32::from));
    cell.cell_id = cell.cell_id.or(serving.cid_3gpp).filter(|id| *id != u32::MAX);
    let reject = lte
        .and_then(|info| info.reject.as_ref())
        .and_then(|reject| reject_of(reject.cause, CauseSource::SystemInfo));
    let mut state = match registration.registration_state {
        nas::RegistrationState::NotRegistered => RegistrationState::NotRegistered,
        nas::RegistrationState::Registered => RegistrationState::Registered,
        nas::RegistrationState::NotRegisteredSearching => RegistrationState::Searching,
        nas::RegistrationState::RegistrationDenied => RegistrationState::Denied,
        _ => RegistrationState::Unknown,
    };
    // Registered for emergency calls only is no registration.
    let service = system.lte_service_status.as_ref().map(|status| status.service_status);
    let is_limited = matches!(service, Some(ServiceStatus::Limited | ServiceStatus::LimitedRegional));
    if state == RegistrationState::Registered && radio == Radio::Lte && is_limited {
        state = RegistrationState::Denied;
    }
    let reject = reject.filter(|_| state != RegistrationState::Registered);
    RegistrationChanged { state, radio, carrier: carrier_of(serving, system), roaming, cell, reject }
}

fn carrier_of(
    serving: &nas::GetServingSystemResponse,
    system: &nas::GetSystemInfoResponse,
) -> Option<Carrier> {
    let plmn = serving.current_plmn.as_ref().filter(|plmn| plmn.mcc != 0)?;
    let of_system = system.lte_system_info_v2.as_ref().and_then(|info| info.network_id.as_ref());
    let three_digits = match (&serving.mnc_pcs_digit_include_status, of_system) {
        (Some(told), _) if (told.mcc, told.mnc) == (plmn.mcc, plmn.mnc) => told.includes_pcs_digit,
        (_, Some(id)) if id.mcc.parse() == Ok(plmn.mcc) && id.mnc.parse() == Ok(plmn.mnc) => {
            id.mnc.len() == 3
        }
        _ => false,
    };
    let digits = if three_digits || plmn.mnc > 99 { 3 } else { 2 };
    let name = plmn.description.trim();
    Some(Carrier {
        name: (!name.is_empty()).then(|| name.to_owned()),
        mcc: format!("{:03}", plmn.mcc),
        mnc: format!("{:0digits$}", plmn.mnc),
    })
}

fn cell_of(system: &nas::GetSystemInfoResponse) -> Cell {
    if let Some(info) = &system.lte_system_info_v2 {
        let tac = available_tac(info.tac);
        return Cell { cell_id: info.cid.filter(|id| *id != u32::MAX), tac, band: None };
    }
    if let Some(info) = &system.wcdma_system_info_v2 {
        return Cell {
            cell_id: info.cid.filter(|id| *id != u32::MAX),
            tac: available_tac(info.lac),
            band: None,
        };
    }
    match &system.gsm_system_info_v2 {
        Some(info) => {
            Cell { cell_id: info.cid.filter(|id| *id != u32::MAX), tac: available_tac(info.lac), band: None }
        }
        None => Cell::default(),
    }
}

/// 0xFFFE and 0xFFFF stand for no area (3GPP TS 23.003, 19.4.2.3).
fn available_tac(tac: Option<u16>) -> Option<u32> {
    tac.filter(|tac| !matches!(tac, 0xFFFE | 0xFFFF)).map(u32::from)
}

/// Radio and signal of a signal info, the best radio first.
pub(super) fn signal_of(info: &nas::SignalInfo) -> (Radio, Signal) {
    if let Some(lte) = &info.lte_signal_strength {
        return (Radio::Lte, lte_signal(lte));
    }
    if let Some(nr) = info.nr5g_signal_strength.as_ref().filter(|nr| rsrp(nr.rsrp).is_some()) {
        let signal = Signal {
            rssi_dbm: None,
            rsrp_dbm: rsrp(nr.rsrp),
            rsrq_db: info.nr5g_signal_strength_extended.filter(|rsrq| (-43..=20).contains(rsrq)),
            snr_db: snr(nr.snr),
        };
        return (Radio::Nr5g, signal);
    }
    if let Some(wcdma) = &info.wcdma_signal_strength {
        return (Radio::Umts, Signal { rssi_dbm: rssi(wcdma.rssi), ..Signal::default() });
    }
    match info.gsm_signal_strength {
        Some(gsm) => (Radio::Gsm, Signal { rssi_dbm: rssi(gsm), ..Signal::default() }),
        None => (Radio::None, Signal::default()),
    }
}

/// While searching, some firmware sends zeros for everything.
fn lte_signal(lte: &nas::LteSignalStrength) -> Signal {
    if (lte.rssi, lte.rsrq, lte.rsrp, lte.snr) == (0, 0, 0, 0) {
        return Signal::default();
    }
    Signal {
        rssi_dbm: rssi(lte.rssi),
        rsrp_dbm: rsrp(lte.rsrp),
        rsrq_db: Some(i16::from(lte.rsrq)).filter(|rsrq| (-50..=10).contains(rsrq)),
        snr_db: snr(lte.snr),
    }
}

fn legacy_signal_of(told: &nas::GetSignalStrengthResponse) -> (Radio, Signal) {
    let radio = radio_of(told.signal_strength.radio_interface);
    let of_list = told.rssi_list.iter().flatten().find(|rssi| radio_of(rssi.radio_interface) == radio);
    let signal = Signal {
        rssi_dbm: of_list
            .map(|rssi| -i16::from(rssi.rssi))
            .filter(|rssi| (-125..=-1).contains(rssi))
            .or_else(|| rssi(told.signal_strength.strength)),
        rsrp_dbm: told.lte_rsrp.and_then(rsrp),
        rsrq_db: told.rsrq.as_ref().map(|told| i16::from(told.rsrq)).filter(|rsrq| (-50..=10).contains(rsrq)),
        snr_db: told.lte_snr.and_then(snr),
    };
    (radio, signal)
}

/// -128 and everything out of reach is *not available*.
fn rssi(dbm: i8) -> Option<i16> {
    Some(i16::from(dbm)).filter(|dbm| (-127..=-1).contains(dbm))
}

/// -32768 is *not available*; 3GPP TS 36.133 reports -140 to -44, extended to -156 and -31.
fn rsrp(dbm: i16) -> Option<i16> {
    Some(dbm).filter(|dbm| (-156..=-20).contains(dbm))
}

/// Tenths of a decibel; -32768 is *not available*.
fn snr(tenths: i16) -> Option<f32> {
    Some(tenths).filter(|tenths| (-300..=500).contains(tenths)).map(|tenths| f32::from(tenths) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lte(rssi: i8, rsrq: i8, rsrp: i16, snr: i16) -> nas::SignalInfo {
        let lte_signal_strength = Some(nas::LteSignalStrength { rssi, rsrq, rsrp, snr });
        nas::SignalInfo { lte_signal_strength, ..nas::SignalInfo::default() }
    }

    #[test]
    fn signal_has_its_units_and_no_sentinel_becomes_a_value() {
        let (radio, signal) = signal_of(&lte(-48, -11, -77, 156));
        assert_eq!(radio, Radio::Lte);
        let expected =
            Signal { rssi_dbm: Some(-48), rsrp_dbm: Some(-77), rsrq_db: Some(-11), snr_db: Some(15.6) };
        assert_eq!(signal, expected);
        for info in [lte(-128, -128, i16::MIN, i16::MIN), lte(0, 0, 0, 0), lte(127, 127, i16::MAX, i16::MAX)]
        {
            assert_eq!(signal_of(&info).1, Signal::default(), "{info:?}");
        }
        assert_eq!(signal_of(&nas::SignalInfo::default()), (Radio::None, Signal::default()));
        let nr = nas::Nr5gSignalStrength { rsrp: i16::MIN, snr: i16::MIN };
        let anchored = nas::SignalInfo { nr5g_signal_strength: Some(nr), ..lte(-60, -10, -90, 0) };
        assert_eq!(signal_of(&anchored).0, Radio::Lte, "the 5G leg is not connected");
    }

    fn serving(
        state: nas::RegistrationState,
        mcc: u16,
        mnc: u16,
        name: &str,
    ) -> nas::GetServingSystemResponse {
        nas::GetServingSystemResponse {
            serving_system: nas::Registration {
                registration_state: state,
                radio_interfaces: vec![RadioInterface::Lte],
                ..nas::Registration::default()
            },
            roaming_indicator: Some(nas::RoamingIndicatorStatus::Off),
            current_plmn: Some(nas::NamedPlmn { mcc, mnc, description: name.into() }),
            ..nas::GetServingSystemResponse::default()
        }
    }

    fn lte_system(info: nas::LteSystemInfo, status: ServiceStatus) -> nas::GetSystemInfoResponse {
        nas::GetSystemInfoResponse {
            lte_service_status: Some(nas::ServiceStatusInfo {
                service_status: status,
                ..nas::ServiceStatusInfo::default()
            }),
            lte_system_info_v2: Some(info),
            ..nas::GetSystemInfoResponse::default()
        }
    }

    #[test]
    fn a_carriers_code_keeps_its_leading_zeros() {
        let system = nas::GetSystemInfoResponse::default();
        let told = |serving: &nas::GetServingSystemResponse| {
            let carrier = registration_of(serving, &system).carrier.unwrap();
            (carrier.mcc, carrier.mnc)
        };
        let home = serving(nas::RegistrationState::Registered, 262, 1, "Telekom");
        assert_eq!(told(&home), ("262".into(), "01".into()));
        let mut american = serving(nas::RegistrationState::Registered, 310, 4, "Verizon");
        american.mnc_pcs_digit_include_status =
            Some(nas::MccMnc { mcc: 310, mnc: 4, includes_pcs_digit: true });
        assert_eq!(told(&american), ("310".into(), "004".into()));
        let long = serving(nas::RegistrationState::Registered, 311, 480, "");
        assert_eq!(told(&long), ("311".into(), "480".into()));
    }

    #[test]
    fn a_refusal_is_told_with_its_source_and_limited_service_is_a_refusal() {
        let info = nas::LteSystemInfo {
            reject: Some(nas::Reject {
                domain: nas::NetworkServiceDomain::Ps,
                cause: crate::qmi::RejectCause::from_number(15),
            }),
            tac: Some(0xFFFE),
            ..nas::LteSystemInfo::default()
        };
        let system = lte_system(info, ServiceStatus::Limited);
        let told = registration_of(&serving(nas::RegistrationState::Registered, 262, 1, "x"), &system);
        assert_eq!(told.state, RegistrationState::Denied);
        let reject = told.reject.unwrap();
        assert_eq!((reject.cause, reject.source), (15, CauseSource::SystemInfo));
        assert_eq!((told.roaming, told.cell.tac), (Some(false), None));
    }
}
