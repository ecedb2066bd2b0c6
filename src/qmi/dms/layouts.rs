//! Structs inside TLVs.

use super::super::layout::{As, List8, Padded, Text8, U48, UniqueId, layout};
use super::values::{
    DataServiceCapability, FirmwareImageType, RadioInterface, SimCapability, TimeSource, UimPinId,
    UimPinStatus,
};

layout! {
    /// Rates, data services and radios the modem can do.
    Capabilities {
        max_tx_channel_rate: u32,
        max_rx_channel_rate: u32,
        data_service_capability: As<u8, DataServiceCapability>,
        sim_capability: As<u8, SimCapability>,
        radio_interface_list: List8<As<u8, RadioInterface>>,
    }
    /// Info.
    PowerState {
        power_state_flags: u8,
        battery_level: u8,
    }
    /// Device Time.
    DeviceTime {
        time_count: U48,
        time_source: As<u16, TimeSource>,
    }
    /// Battery Level Report Limits.
    BatteryLevelLimits {
        lower_limit: u8,
        upper_limit: u8,
    }
    /// State of a PIN and tries left.
    PinStatus {
        current_status: As<u8, UimPinStatus>,
        verify_retries_left: u8,
        unblock_retries_left: u8,
    }
    /// A firmware image by type, identity and build.
    FirmwareImage {
        image_type: As<u8, FirmwareImageType>,
        unique_id: UniqueId,
        build_id: Text8,
    }
    /// The images of one type.
    StoredImageList {
        image_type: As<u8, FirmwareImageType>,
        maximum_images: u8,
        index_of_running_image: u8,
        images: List8<StoredImage>,
    }
    /// One image on the module.
    StoredImage {
        storage_index: u8,
        failure_count: u8,
        unique_id: UniqueId,
        build_id: Text8,
    }
    /// Boot Version.
    BootVersion {
        major_version: u16,
        minor_version: u16,
    }
    /// PRI Version.
    PriVersion {
        pri_version: u32,
        pri_info: Padded<32>,
    }
    /// Info.
    PinInfo {
        pin_id: As<u8, UimPinId>,
        pin: Text8,
    }
    /// Pin Retries Status.
    PinRetries {
        verify_retries_left: u8,
        unblock_retries_left: u8,
    }
}
