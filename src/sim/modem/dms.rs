//! Pure: answers of the DMS service.

use super::identity::{FIRMWARE, MANUFACTURER, MODEL, REVISION};
use super::{Answer, CardCondition, Modem, Pin};
use crate::qmi::dms::{self, OperatingMode, UimPinStatus, UimState};
use crate::qmi::message::Request;
use crate::qmi::{Done, Frame, ProtocolError, Service};

/// LTE bands 1-5, 7, 12, 13, 20, 25, 26, 29, 30, 41 of an MC7455, bit n-1 for band n.
const LTE_BANDS: u64 = 0x0100_3308_185F;

impl Modem {
    pub(super) fn dms(&mut self, frame: &Frame) {
        match frame.message {
            dms::Reset::ID => self.answer(frame, |modem, id, _: dms::Reset| {
                *modem.client(Service::Dms, id) = super::Client::default();
                Ok(Done)
            }),
            dms::SetEventReport::ID => self.answer(frame, Self::set_dms_events),
            dms::GetCapabilities::ID => self.answer(frame, |_, _, _: dms::GetCapabilities| {
                let info = dms::Capabilities {
                    max_tx_channel_rate: 50_000_000,
                    max_rx_channel_rate: 300_000_000,
                    data_service_capability: dms::DataServiceCapability::NonSimultaneousCsPs,
                    sim_capability: dms::SimCapability::Supported,
                    radio_interface_list: vec![dms::RadioInterface::Umts, dms::RadioInterface::Lte],
                };
                Ok(dms::GetCapabilitiesResponse { info })
            }),
            dms::GetManufacturer::ID => self.answer(frame, |_, _, _: dms::GetManufacturer| {
                Ok(dms::GetManufacturerResponse { manufacturer: MANUFACTURER.to_owned() })
            }),
            dms::GetModel::ID => self.answer(frame, |_, _, _: dms::GetModel| {
                Ok(dms::GetModelResponse { model: MODEL.to_owned() })
            }),
            dms::GetRevision::ID => self.answer(frame, |_, _, _: dms::GetRevision| {
                Ok(dms::GetRevisionResponse { revision: REVISION.to_owned() })
            }),
            dms::GetSoftwareVersion::ID => self.answer(frame, |_, _, _: dms::GetSoftwareVersion| {
                Ok(dms::GetSoftwareVersionResponse { version: REVISION.to_owned() })
            }),
            dms::GetHardwareRevision::ID => self.answer(frame, |_, _, _: dms::GetHardwareRevision| {
                Ok(dms::GetHardwareRevisionResponse { revision: "1.0".to_owned() })
            }),
            dms::GetMsisdn::ID => self.answer(frame, |modem, _, _: dms::GetMsisdn| {
                modem.card.unlocked().map_err(|_| ProtocolError::NotProvisioned)?;
                Ok(dms::GetMsisdnResponse { msisdn: modem.identity.msisdn.clone() })
            }),
            dms::GetIds::ID => self.answer(frame, |modem, _, _: dms::GetIds| {
                Ok(dms::GetIdsResponse {
                    esn: Some("0".to_owned()),
                    imei: Some(modem.identity.imei.clone()),
                    meid: Some(modem.identity.imei[..14].to_owned()),
                    imei_software_version: Some("32".to_owned()),
                })
            }),
            dms::GetPowerState::ID => self.answer(frame, |_, _, _: dms::GetPowerState| {
                let info = dms::PowerState { power_state_flags: 0x09, battery_level: 100 };
                Ok(dms::GetPowerStateResponse { info })
            }),
            dms::GetBandCapabilities::ID => self.answer(frame, |_, _, _: dms::GetBandCapabilities| {
                Ok(dms::GetBandCapabilitiesResponse {
                    band_capability: 0x0002_0000_04C0_0000,
                    lte_band_capability: Some(LTE_BANDS),
                    ..Default::default()
                })
            }),
            dms::GetTime::ID => self.answer(frame, Self::device_time),
            dms::GetOperatingMode::ID => self.answer(frame, |modem, _, _: dms::GetOperatingMode| {
                let reason = modem.image_mismatch.then_some(dms::OfflineReason::PRI_IMAGE_MISCONFIGURATION);
                Ok(dms::GetOperatingModeResponse {
                    mode: modem.mode,
                    offline_reason: reason.filter(|_| modem.mode == OperatingMode::Offline),
                    hardware_restricted_mode: Some(false),
                })
            }),
            dms::SetOperatingMode::ID => self.answer(frame, Self::set_operating_mode),
            dms::SetFccAuthentication::ID => {
                self.answer(frame, |_, _, _: dms::SetFccAuthentication| Ok(Done));
            }
            dms::SwiGetUsbComposition::ID => self.answer(frame, |_, _, _: dms::SwiGetUsbComposition| {
                let (current, supported) = (Some(6), Some(vec![6, 8, 9]));
                Ok(dms::SwiGetUsbCompositionResponse { current, supported })
            }),
            _ => self.dms_images(frame),
        }
    }

    fn dms_images(&mut self, frame: &Frame) {
        match frame.message {
            dms::GetFirmwarePreference::ID => {
                self.answer(frame, |modem, _, _: dms::GetFirmwarePreference| {
                    Ok(dms::GetFirmwarePreferenceResponse { list: modem.firmware.preferred().to_vec() })
                })
            }
            dms::SetFirmwarePreference::ID => {
                self.answer(frame, |modem, _, request: dms::SetFirmwarePreference| {
                    let image_download_list = modem.firmware.prefer(request.list);
                    Ok(dms::SetFirmwarePreferenceResponse { image_download_list })
                });
            }
            dms::ListStoredImages::ID => self.answer(frame, |modem, _, _: dms::ListStoredImages| {
                Ok(dms::ListStoredImagesResponse { list: modem.firmware.lists() })
            }),
            dms::GetStoredImageInfo::ID => self.answer(frame, Self::stored_image_info),
            dms::DeleteStoredImage::ID => {
                self.answer(frame, |modem, _, request: dms::DeleteStoredImage| {
                    match modem.firmware.delete(&request.image_details) {
                        true => Ok(Done),
                        false => Err(ProtocolError::FwFileNotFound.into()),
                    }
                });
            }
            dms::GetBootImageDownloadMode::ID => {
                self.answer(frame, |_, _, _: dms::GetBootImageDownloadMode| {
                    let mode = Some(dms::BootImageDownloadMode::Normal);
                    Ok(dms::GetBootImageDownloadModeResponse { mode })
                });
            }
            dms::SwiGetCurrentFirmware::ID => {
                self.answer(frame, |modem, _, _: dms::SwiGetCurrentFirmware| {
                    Ok(dms::SwiGetCurrentFirmwareResponse {
                        model: Some(MODEL.to_owned()),
                        boot_version: Some(format!("SWI9X30C_{FIRMWARE}")),
                        amss_version: Some(format!("SWI9X30C_{FIRMWARE}")),
                        sku_id: Some("1102526".to_owned()),
                        carrier: Some(modem.firmware.carrier().to_owned()),
                        config_version: Some(modem.firmware.version()),
                        pri_version: Some(modem.firmware.version()),
                        ..Default::default()
                    })
                })
            }
            _ => self.dms_card(frame),
        }
    }

    fn dms_card(&mut self, frame: &Frame) {
        match frame.message {
            dms::UimGetPinStatus::ID => self.answer(frame, |modem, _, _: dms::UimGetPinStatus| {
                modem.card.reachable()?;
                let pin2_status = dms::PinStatus {
                    current_status: UimPinStatus::EnabledNotVerified,
                    verify_retries_left: 3,
                    unblock_retries_left: 10,
                };
                let (pin1_status, pin2_status) = (Some(modem.pin_status()), Some(pin2_status));
                Ok(dms::UimGetPinStatusResponse { pin1_status, pin2_status })
            }),
            dms::UimVerifyPin::ID => self.answer(frame, Self::dms_verify_pin),
            dms::UimGetIccid::ID => self.answer(frame, |modem, _, _: dms::UimGetIccid| {
                modem.card.reachable()?;
                Ok(dms::UimGetIccidResponse { iccid: modem.identity.iccid.clone() })
            }),
            dms::UimGetImsi::ID => self.answer(frame, |modem, _, _: dms::UimGetImsi| {
                modem.card.unlocked()?;
                Ok(dms::UimGetImsiResponse { imsi: modem.identity.imsi.clone() })
            }),
            dms::UimGetState::ID => self.answer(frame, |modem, _, _: dms::UimGetState| {
                Ok(dms::UimGetStateResponse { state: modem.uim_state() })
            }),
            _ => self.refuse(frame, ProtocolError::InvalidQmiCommand),
        }
    }

    fn set_dms_events(&mut self, id: u8, request: dms::SetEventReport) -> Answer<dms::SetEventReport> {
        let client = self.client(Service::Dms, id);
        client.operating_mode = request.operating_mode_reporting.unwrap_or(client.operating_mode);
        let card = request.uim_state_reporting.or(request.pin_state_reporting);
        client.uim_state = card.unwrap_or(client.uim_state);
        Ok(Done)
    }

    fn device_time(&mut self, _: u8, _: dms::GetTime) -> Answer<dms::GetTime> {
        // A modem without network time counts from the start of GPS time.
        let millis = self.now.as_millis() as u64;
        Ok(dms::GetTimeResponse {
            device_time: dms::DeviceTime { time_count: millis * 4 / 5, time_source: dms::TimeSource::Device },
            system_time: Some(millis),
            user_time: Some(millis),
        })
    }

    fn set_operating_mode(&mut self, _: u8, request: dms::SetOperatingMode) -> Answer<dms::SetOperatingMode> {
        use OperatingMode::{LowPower, Offline, Online, PersistentLowPower, Reset, ShuttingDown};
        match (self.mode, request.mode) {
            (Offline, Online | LowPower | PersistentLowPower) => {
                return Err(ProtocolError::InvalidTransition.into());
            }
            (_, Online) if self.image_mismatch => return Err(ProtocolError::InvalidTransition.into()),
            (Offline, Reset | ShuttingDown) => self.reset_soon(),
            (_, Reset | ShuttingDown) => return Err(ProtocolError::InvalidTransition.into()),
            (_, mode @ (Online | LowPower | PersistentLowPower | Offline)) => self.change_mode(mode),
            _ => return Err(ProtocolError::InvalidArgument.into()),
        }
        Ok(Done)
    }

    /// Puts the radio on or off and tells those who asked.
    pub(super) fn change_mode(&mut self, mode: OperatingMode) {
        if self.mode == mode {
            return;
        }
        self.mode = mode;
        let wanting = self.clients_that(Service::Dms, |client| client.operating_mode);
        self.indicate(&dms::EventReport { operating_mode: Some(mode), ..Default::default() }, &wanting);
        self.settle();
    }

    fn stored_image_info(
        &mut self,
        _: u8,
        request: dms::GetStoredImageInfo,
    ) -> Answer<dms::GetStoredImageInfo> {
        let image = &request.image_details;
        if !self.firmware.contains(image) {
            return Err(ProtocolError::FwFileNotFound.into());
        }
        let pri = image.image_type == dms::FirmwareImageType::Pri;
        let pri_info = image.build_id.rsplit('_').next().unwrap_or_default().to_owned();
        Ok(dms::GetStoredImageInfoResponse {
            boot_version: (!pri).then_some(dms::BootVersion { major_version: 1, minor_version: 0 }),
            pri_version: pri.then_some(dms::PriVersion { pri_version: 0, pri_info }),
            oem_lock_id: None,
        })
    }

    fn dms_verify_pin(&mut self, _: u8, request: dms::UimVerifyPin) -> Answer<dms::UimVerifyPin> {
        if request.info.pin_id != dms::UimPinId::Pin {
            return Err(ProtocolError::InvalidPinId.into());
        }
        let result = self.card.verify(&request.info.pin);
        self.card_changed();
        result.map(|()| Done).map_err(|error| {
            let (verify_retries_left, unblock_retries_left) = self.card.tries_left();
            let retries = dms::PinRetries { verify_retries_left, unblock_retries_left };
            super::No(error, dms::UimVerifyPinFailure { pin_retries_status: Some(retries) })
        })
    }

    fn pin_status(&self) -> dms::PinStatus {
        let (verify_retries_left, unblock_retries_left) = self.card.tries_left();
        let current_status = match self.card.pin() {
            Pin::Disabled => UimPinStatus::Disabled,
            Pin::NotVerified => UimPinStatus::EnabledNotVerified,
            Pin::Verified => UimPinStatus::EnabledVerified,
            Pin::Blocked => UimPinStatus::Blocked,
            Pin::PermanentlyBlocked => UimPinStatus::PermanentlyBlocked,
        };
        dms::PinStatus { current_status, verify_retries_left, unblock_retries_left }
    }

    fn uim_state(&self) -> UimState {
        match self.card.condition() {
            CardCondition::Ready => UimState::InitializationCompleted,
            CardCondition::Absent => UimState::NotPresent,
            CardCondition::Off | CardCondition::Initialising => UimState::Unknown,
            _ => UimState::LockedOrFailed,
        }
    }

    /// Tells DMS clients about the card.
    pub(super) fn indicate_uim_state(&mut self) {
        let report = dms::EventReport {
            pin1_status: Some(self.pin_status()),
            uim_state: Some(self.uim_state()),
            ..Default::default()
        };
        let wanting = self.clients_that(Service::Dms, |client| client.uim_state);
        self.indicate(&report, &wanting);
    }
}
