//! The TLVs of each message.

use super::super::layout::{As, Bool, List8, List16, Text};
use super::super::message::{May, Must, body};
use super::layouts::{
    BatteryLevelLimits, BootVersion, Capabilities, DeviceTime, FirmwareImage, PinInfo, PinRetries, PinStatus,
    PowerState, PriVersion, StoredImageList,
};
use super::values::{BootImageDownloadMode, FirmwareImageType, OfflineReason, OperatingMode, UimState};

body! {
    /// Reset. Resets this service client state (event registrations), not the modem
    Reset {}
    /// Get Capabilities.
    GetCapabilities {}
    /// Answer to [`GetCapabilities`].
    GetCapabilitiesResponse {
        0x01 "Info" info: Must<Capabilities>,
    }
    /// Get Manufacturer.
    GetManufacturer {}
    /// Answer to [`GetManufacturer`].
    GetManufacturerResponse {
        0x01 "Manufacturer" manufacturer: Must<Text>,
    }
    /// Get Model.
    GetModel {}
    /// Answer to [`GetModel`].
    GetModelResponse {
        0x01 "Model" model: Must<Text>,
    }
    /// Get Revision. Firmware revision string. Other TLVs are not named by libqmi
    GetRevision {}
    /// Answer to [`GetRevision`].
    GetRevisionResponse {
        0x01 "Revision" revision: Must<Text>,
    }
    /// Get MSISDN.
    GetMsisdn {}
    /// Answer to [`GetMsisdn`].
    GetMsisdnResponse {
        0x01 "MSISDN" msisdn: Must<Text>,
    }
    /// Get IDs. Unsupported ids are usually the string "0"
    GetIds {}
    /// Answer to [`GetIds`].
    GetIdsResponse {
        0x10 "Esn" esn: May<Text>,
        0x11 "Imei" imei: May<Text>,
        0x12 "Meid" meid: May<Text>,
        0x13 "Imei Software Version" imei_software_version: May<Text>,
    }
    /// Get Power State. flags: DmsPowerState mask
    GetPowerState {}
    /// Answer to [`GetPowerState`].
    GetPowerStateResponse {
        0x01 "Info" info: Must<PowerState>,
    }
    /// Get Hardware Revision.
    GetHardwareRevision {}
    /// Answer to [`GetHardwareRevision`].
    GetHardwareRevisionResponse {
        0x01 "Revision" revision: Must<Text>,
    }
    /// Get Operating Mode. Offline Reason is a bit mask and tells firmware/PRI mismatch on Gobi/Sierra modems
    GetOperatingMode {}
    /// Answer to [`GetOperatingMode`].
    GetOperatingModeResponse {
        0x01 "Mode" mode: Must<As<u8, OperatingMode>>,
        0x10 "Offline Reason" offline_reason: May<As<u16, OfflineReason>>,
        0x11 "Hardware Restricted Mode" hardware_restricted_mode: May<Bool>,
    }
    /// Set Operating Mode. Typical reset: set 3 (offline), then 4 (reset). 0 → online, 1 → low power. Errors:
    /// 60 InvalidTransition, 83 HardwareRestricted, 3 Internal (Sierra lock)
    SetOperatingMode {
        0x01 "Mode" mode: Must<As<u8, OperatingMode>>,
    }
    /// Get Time. time_count is 6 bytes, units of 1.25 ms since 1980-01-06 (GPS epoch); System/User Time in ms
    /// since then
    GetTime {}
    /// Answer to [`GetTime`].
    GetTimeResponse {
        0x01 "Device Time" device_time: Must<DeviceTime>,
        0x10 "System Time" system_time: May<u64>,
        0x11 "User Time" user_time: May<u64>,
    }
    /// Get Software Version.
    GetSoftwareVersion {}
    /// Answer to [`GetSoftwareVersion`].
    GetSoftwareVersionResponse {
        0x01 "Version" version: Must<Text>,
    }
    /// Set Event Report.
    SetEventReport {
        0x10 "Power State Reporting" power_state_reporting: May<Bool>,
        0x11 "Battery Level Report Limits" battery_level_report_limits: May<BatteryLevelLimits>,
        0x12 "PIN State Reporting" pin_state_reporting: May<Bool>,
        0x13 "Activation State Reporting" activation_state_reporting: May<Bool>,
        0x14 "Operating Mode Reporting" operating_mode_reporting: May<Bool>,
        0x15 "UIM State Reporting" uim_state_reporting: May<Bool>,
        0x16 "Wireless Disable State Reporting" wireless_disable_state_reporting: May<Bool>,
    }
    /// Event Report.
    EventReport {
        0x10 "Power State" power_state: May<PowerState>,
        0x11 "PIN1 Status" pin1_status: May<PinStatus>,
        0x12 "PIN2 Status" pin2_status: May<PinStatus>,
        0x13 "Activation State" activation_state: May<u16>,
        0x14 "Operating Mode" operating_mode: May<As<u8, OperatingMode>>,
        0x15 "UIM State" uim_state: May<As<u8, UimState>>,
        0x16 "Wireless Disable State" wireless_disable_state: May<Bool>,
    }
    /// Get Firmware Preference.
    GetFirmwarePreference {}
    /// Answer to [`GetFirmwarePreference`].
    GetFirmwarePreferenceResponse {
        0x01 "List" list: Must<List8<FirmwareImage>>,
    }
    /// Set Firmware Preference. qmicli sends two images: modem = unique_id `?_?` NUL-padded to 16, build_id
    /// `<fw>_?`; pri = unique_id config version NUL-padded, build_id `<fw>_<carrier>`. Response lists image
    /// types still to be downloaded (then: offline + reset → QDL mode)  List `u8 n, n × { type
    /// u8:DmsFirmwareImageType, unique_id 16 × u8, build_id str(u8 len) }` · 10 Download Override `u8:bool` ·
    /// 11 Modem Storage Index `u8` — rsp: 01
    SetFirmwarePreference {
        0x01 "List" list: Must<List8<FirmwareImage>>,
        0x10 "Download Override" download_override: May<Bool>,
        0x11 "Modem Storage Index" modem_storage_index: May<u8>,
    }
    /// Answer to [`SetFirmwarePreference`].
    SetFirmwarePreferenceResponse {
        0x01 "Image Download List" image_download_list: Must<List8<As<u8, FirmwareImageType>>>,
    }
    /// List Stored Images. index_of_running_image is an index into this sublist; storage_index 255 = not
    /// applicable (PRI)
    ListStoredImages {}
    /// Answer to [`ListStoredImages`].
    ListStoredImagesResponse {
        0x01 "List" list: Must<List8<StoredImageList>>,
    }
    /// Get Stored Image Info. One request per image, ids copied from List Stored Images
    GetStoredImageInfo {
        0x01 "Image Details" image_details: Must<FirmwareImage>,
    }
    /// Answer to [`GetStoredImageInfo`].
    GetStoredImageInfoResponse {
        0x10 "Boot Version" boot_version: May<BootVersion>,
        0x11 "PRI Version" pri_version: May<PriVersion>,
        0x12 "OEM Lock ID" oem_lock_id: May<u32>,
    }
    /// Delete Stored Image.
    DeleteStoredImage {
        0x01 "Image Details" image_details: Must<FirmwareImage>,
    }
    /// Get Boot Image Download Mode.
    GetBootImageDownloadMode {}
    /// Answer to [`GetBootImageDownloadMode`].
    GetBootImageDownloadModeResponse {
        0x10 "Mode" mode: May<As<u8, BootImageDownloadMode>>,
    }
    /// Set Boot Image Download Mode.
    SetBootImageDownloadMode {
        0x01 "Mode" mode: Must<As<u8, BootImageDownloadMode>>,
    }
    /// Swi Get Current Firmware. Sierra. Vendor messages share numbers (0x5556 is something else on HP
    /// devices): only send after the model/manufacturer or USB vendor id 1199 says Sierra
    SwiGetCurrentFirmware {}
    /// Answer to [`SwiGetCurrentFirmware`].
    SwiGetCurrentFirmwareResponse {
        0x10 "Model" model: May<Text>,
        0x11 "Boot version" boot_version: May<Text>,
        0x12 "AMSS version" amss_version: May<Text>,
        0x13 "SKU ID" sku_id: May<Text>,
        0x14 "Package ID" package_id: May<Text>,
        0x15 "Carrier ID" carrier_id: May<Text>,
        0x16 "PRI version" pri_version: May<Text>,
        0x17 "Carrier" carrier: May<Text>,
        0x18 "Config version" config_version: May<Text>,
    }
    /// Swi Get USB Composition.
    SwiGetUsbComposition {}
    /// Answer to [`SwiGetUsbComposition`].
    SwiGetUsbCompositionResponse {
        0x10 "Current" current: May<u8>,
        0x11 "Supported" supported: May<List8<u8>>,
    }
    /// Swi Set USB Composition. Takes effect after reset
    SwiSetUsbComposition {
        0x01 "Current" current: Must<u8>,
    }
    /// Set FCC Authentication. Unlocks radio on OEM-locked Sierra EM/MC cards after each power-up (no TLV);
    /// then set operating mode online
    SetFccAuthentication {}
    /// Get Band Capabilities.
    GetBandCapabilities {}
    /// Answer to [`GetBandCapabilities`].
    GetBandCapabilitiesResponse {
        0x01 "Band Capability" band_capability: Must<u64>,
        0x10 "LTE Band Capability" lte_band_capability: May<u64>,
        0x12 "Extended LTE Band Capability" extended_lte_band_capability: May<List16<u16>>,
        0x13 "NR5G Band Capability" nr5g_band_capability: May<List16<u16>>,
    }
    /// UIM Get PIN Status. Legacy PIN status; deprecated on newer firmware (answers 94/71) → UIM Get Card
    /// Status
    UimGetPinStatus {}
    /// Answer to [`UimGetPinStatus`].
    UimGetPinStatusResponse {
        0x11 "PIN1 Status" pin1_status: May<PinStatus>,
        0x12 "PIN2 Status" pin2_status: May<PinStatus>,
    }
    /// UIM Verify PIN.
    UimVerifyPin {
        0x01 "Info" info: Must<PinInfo>,
    }
    /// What a refused [`UimVerifyPin`] says besides the error.
    UimVerifyPinFailure {
        0x10 "Pin Retries Status" pin_retries_status: May<PinRetries>,
    }
    /// UIM Get ICCID.
    UimGetIccid {}
    /// Answer to [`UimGetIccid`].
    UimGetIccidResponse {
        0x01 "ICCID" iccid: Must<Text>,
    }
    /// UIM Get IMSI.
    UimGetImsi {}
    /// Answer to [`UimGetImsi`].
    UimGetImsiResponse {
        0x01 "IMSI" imsi: Must<Text>,
    }
    /// UIM Get State.
    UimGetState {}
    /// Answer to [`UimGetState`].
    UimGetStateResponse {
        0x01 "State" state: Must<As<u8, UimState>>,
    }
}
