//! The TLVs of each message.

use super::super::layout::{As, Bool, List8, List16, Text};
use super::super::message::{May, Must, body};
use super::layouts::{
    BatteryLevelLimits, BootVersion, Capabilities, DeviceTime, FirmwareImage, PinInfo, PinRetries, PinStatus,
    PowerState, PriVersion, StoredImageList,
};
use super::values::{BootImageDownloadMode, FirmwareImageType, OfflineReason, OperatingMode, UimState};

body! {
    /// Forgets what this client registered for; the modem itself is not reset.
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
    /// Asks for the firmware revision.
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
    /// Asks for ESN, IMEI and MEID. Those a modem does not have are mostly the text "0".
    GetIds {}
    /// Answer to [`GetIds`].
    GetIdsResponse {
        0x10 "Esn" esn: May<Text>,
        0x11 "Imei" imei: May<Text>,
        0x12 "Meid" meid: May<Text>,
        0x13 "Imei Software Version" imei_software_version: May<Text>,
    }
    /// Asks for power source and battery.
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
    /// Asks for the operating mode. The offline reason tells of firmware that does not fit its carrier
    /// settings.
    GetOperatingMode {}
    /// Answer to [`GetOperatingMode`].
    GetOperatingModeResponse {
        0x01 "Mode" mode: Must<As<u8, OperatingMode>>,
        0x10 "Offline Reason" offline_reason: May<As<u16, OfflineReason>>,
        0x11 "Hardware Restricted Mode" hardware_restricted_mode: May<Bool>,
    }
    /// Sets the operating mode. A reset is offline and then reset. Refused with `InvalidTransition`,
    /// `HardwareRestricted`, or `Internal` by Sierra modules whose radio is locked.
    SetOperatingMode {
        0x01 "Mode" mode: Must<As<u8, OperatingMode>>,
    }
    /// Asks for the device's time: counts of 1.25 ms, system and user time in ms, all since 1980-01-06.
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
    /// Chooses the images to run. For Sierra two: the modem image (unique id `?_?`, build id
    /// `<firmware>_?`) and the PRI image (unique id the configuration version, build id
    /// `<firmware>_<carrier>`). Takes effect after offline and reset.
    SetFirmwarePreference {
        0x01 "List" list: Must<List8<FirmwareImage>>,
        0x10 "Download Override" download_override: May<Bool>,
        0x11 "Modem Storage Index" modem_storage_index: May<u8>,
    }
    /// Answer to [`SetFirmwarePreference`]: image types that still have to be downloaded.
    SetFirmwarePreferenceResponse {
        0x01 "Image Download List" image_download_list: Must<List8<As<u8, FirmwareImageType>>>,
    }
    /// Asks for the images on the module. `index_of_running_image` counts within its type; a
    /// `storage_index` of 255 means that there is none (PRI).
    ListStoredImages {}
    /// Answer to [`ListStoredImages`].
    ListStoredImagesResponse {
        0x01 "List" list: Must<List8<StoredImageList>>,
    }
    /// Asks about one image, named as [`ListStoredImages`] gave it.
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
    /// Asks a Sierra module what it runs. Vendors share message numbers: only for USB vendor 1199.
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
    /// Sets the USB composition of a Sierra module; takes effect after reset.
    SwiSetUsbComposition {
        0x01 "Current" current: Must<u8>,
    }
    /// Unlocks the radio of OEM-locked Sierra modules after power-up; the operating mode must be set online
    /// afterwards.
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
    /// Asks for PIN states; newer firmware refuses it in favour of UIM Get Card Status.
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
