//! What a technician asks of one modem: what changes (`lte-state`) and what does not (`lte-info`), as plain data.
//!
//! A part that cannot be read is left out and named under `errors`; the others are told all the same.

use std::collections::BTreeMap;

use serde::Serialize;

use super::driver::{Driver, DriverError, Images, Statistics, merge};
use super::sysfs::Slot;
use crate::event::{Cell, IpFamily, IpSettings, Radio, RegistrationChanged, Signal, SimChanged};
use crate::qmi::ProtocolError;
use crate::qmi::wds::ConnectionStatus;

/// What changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LteState {
    /// Network interface.
    pub interface: String,
    /// `connected` when any family is.
    pub connection_status: String,
    /// Operating mode, such as `online`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operating_mode: Option<String>,
    /// Card, PIN and identities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sim: Option<SimChanged>,
    /// Registration, carrier and cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<RegistrationChanged>,
    /// Radio that the signal is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radio: Option<Radio>,
    /// Signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// Cell that the signal is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<Cell>,
    /// Settings of the sessions that are up.
    pub settings: IpSettings,
    /// The sessions.
    pub sessions: Vec<SessionState>,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<&'static str, String>,
}

/// The session of one family.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionState {
    /// The family.
    pub family: IpFamily,
    /// Its status, such as `connected`.
    pub status: String,
    /// Its counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
}

/// What does not change.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LteInfo {
    /// Network interface.
    pub interface: String,
    /// Place in the machine.
    pub slot: String,
    /// USB vendor and product, such as `1199:9071`.
    pub usb_id: String,
    /// Control port.
    pub control_port: String,
    /// Serial port for AT commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usb_port: Option<String>,
    /// Manufacturer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Firmware revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Hardware revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// IMEI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imei: Option<String>,
    /// ICCID of the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iccid: Option<String>,
    /// IMSI of the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imsi: Option<String>,
    /// Telephone number of the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msisdn: Option<String>,
    /// LTE bands that the modem can use.
    pub lte_bands: Vec<u16>,
    /// NR bands that the modem can use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nr_bands: Vec<u16>,
    /// Firmware images, on modems that have several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<Images>,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<&'static str, String>,
}

type Errors = BTreeMap<&'static str, String>;

fn noted<T>(errors: &mut Errors, part: &'static str, result: Result<T, DriverError>) -> Option<T> {
    result.map_err(|error| errors.insert(part, error.to_string())).ok()
}

/// Reads what changes.
pub async fn state(driver: &Driver) -> LteState {
    let mut errors = Errors::new();
    let mut state = LteState { interface: driver.slot().netdev.clone(), ..LteState::default() };
    let mode = noted(&mut errors, "operating_mode", driver.operating_mode().await);
    state.operating_mode = mode.map(|mode| mode.to_string());
    state.sim = noted(&mut errors, "sim", driver.sim_status().await);
    state.registration = noted(&mut errors, "registration", driver.registration().await);
    if let Some(reading) = noted(&mut errors, "signal", driver.signal().await) {
        state.radio = Some(reading.radio);
        state.signal = Some(reading.signal);
        state.cell = Some(reading.cell);
    }
    for family in driver.families() {
        let Some(status) = noted(&mut errors, "sessions", driver.packet_status(family).await) else {
            continue;
        };
        let mut session = SessionState { family, status: status.to_string(), statistics: None };
        if status == ConnectionStatus::Connected {
            session.statistics = noted(&mut errors, "statistics", driver.statistics(family).await);
            if let Some(settings) = noted(&mut errors, "settings", driver.current_settings(family).await) {
                merge(&mut state.settings, settings);
            }
        }
        state.sessions.push(session);
    }
    let connected =
        state.sessions.iter().any(|session| session.status == ConnectionStatus::Connected.to_string());
    state.connection_status = if connected { "connected" } else { "disconnected" }.to_owned();
    state.errors = errors;
    state
}

/// Reads what does not change.
pub async fn info(driver: &Driver) -> LteInfo {
    let mut errors = Errors::new();
    let slot = driver.slot();
    let mut info = LteInfo {
        interface: slot.netdev.clone(),
        slot: slot.id.clone(),
        usb_id: usb_id(slot),
        control_port: slot.control.display().to_string(),
        usb_port: slot.at_port().map(|port| port.display().to_string()),
        ..LteInfo::default()
    };
    if let Some(identity) = noted(&mut errors, "identity", driver.identity().await) {
        (info.manufacturer, info.model) = (identity.manufacturer, identity.model);
        (info.firmware, info.imei) = (identity.firmware, identity.imei);
    }
    info.hardware = noted(&mut errors, "hardware", driver.hardware_revision().await).flatten();
    if let Some(sim) = noted(&mut errors, "sim", driver.sim_status().await) {
        (info.iccid, info.imsi, info.msisdn) = (sim.iccid, sim.imsi, sim.msisdn);
    }
    (info.lte_bands, info.nr_bands) = noted(&mut errors, "bands", driver.bands().await).unwrap_or_default();
    info.images = match driver.images().await {
        // Most makers have one image only, which is no error.
        Err(error) if error.is_unsupported() || error.protocol() == Some(ProtocolError::NoEntry) => None,
        result => noted(&mut errors, "images", result),
    };
    info.errors = errors;
    info
}

/// `1199:9071`.
#[must_use]
pub fn usb_id(slot: &Slot) -> String {
    format!("{:04x}:{:04x}", slot.vendor_id, slot.product_id)
}
