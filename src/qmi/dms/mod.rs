//! DMS, service 0x02: the device itself: identity, firmware images, operating mode, legacy SIM access.

mod layouts;
mod messages;
mod values;

pub use layouts::*;
pub use messages::*;
pub use values::*;

use super::message::{Done, service};

service! {
    Dms
    requests {
        0x0000 "Reset" Reset => Done;
        0x0020 "Get Capabilities" GetCapabilities => GetCapabilitiesResponse;
        0x0021 "Get Manufacturer" GetManufacturer => GetManufacturerResponse;
        0x0022 "Get Model" GetModel => GetModelResponse;
        0x0023 "Get Revision" GetRevision => GetRevisionResponse;
        0x0024 "Get MSISDN" GetMsisdn => GetMsisdnResponse;
        0x0025 "Get IDs" GetIds => GetIdsResponse;
        0x0026 "Get Power State" GetPowerState => GetPowerStateResponse;
        0x002C "Get Hardware Revision" GetHardwareRevision => GetHardwareRevisionResponse;
        0x002D "Get Operating Mode" GetOperatingMode => GetOperatingModeResponse;
        0x002E "Set Operating Mode" SetOperatingMode => Done;
        0x002F "Get Time" GetTime => GetTimeResponse;
        0x0051 "Get Software Version" GetSoftwareVersion => GetSoftwareVersionResponse;
        0x0001 "Set Event Report" SetEventReport => Done;
        0x0047 "Get Firmware Preference" GetFirmwarePreference => GetFirmwarePreferenceResponse;
        0x0048 "Set Firmware Preference" SetFirmwarePreference => SetFirmwarePreferenceResponse;
        0x0049 "List Stored Images" ListStoredImages => ListStoredImagesResponse;
        0x004C "Get Stored Image Info" GetStoredImageInfo => GetStoredImageInfoResponse;
        0x004A "Delete Stored Image" DeleteStoredImage => Done;
        0x004F "Get Boot Image Download Mode" GetBootImageDownloadMode => GetBootImageDownloadModeResponse;
        0x0050 "Set Boot Image Download Mode" SetBootImageDownloadMode => Done;
        0x5556 "Swi Get Current Firmware" SwiGetCurrentFirmware => SwiGetCurrentFirmwareResponse;
        0x555B "Swi Get USB Composition" SwiGetUsbComposition => SwiGetUsbCompositionResponse;
        0x555C "Swi Set USB Composition" SwiSetUsbComposition => Done;
        0x555F "Set FCC Authentication" SetFccAuthentication => Done;
        0x0045 "Get Band Capabilities" GetBandCapabilities => GetBandCapabilitiesResponse;
        0x002B "UIM Get PIN Status" UimGetPinStatus => UimGetPinStatusResponse;
        0x0028 "UIM Verify PIN" UimVerifyPin => Done, failure UimVerifyPinFailure;
        0x003C "UIM Get ICCID" UimGetIccid => UimGetIccidResponse;
        0x0043 "UIM Get IMSI" UimGetImsi => UimGetImsiResponse;
        0x0044 "UIM Get State" UimGetState => UimGetStateResponse;
    }
    indications {
        0x0001 "Event Report" EventReport;
    }
}
