//! Structs inside TLVs.

use super::super::layout::{As, Bool, Bytes8, Bytes16, Iccid8, List8, Text8, layout};
use super::values::{
    CardApplicationPersonalizationFeatureStatus, CardApplicationPersonalizationState, CardApplicationState,
    CardApplicationType, CardError, CardProtocol, CardState, FileType, PhysicalCardState, PinId, PinState,
    SessionType, SlotState,
};

layout! {
    /// Card Status.
    Cards {
        index_gw_primary: u16,
        index_1x_primary: u16,
        index_gw_secondary: u16,
        index_1x_secondary: u16,
        cards: List8<Card>,
    }
    /// Card Status.
    Card {
        card_state: As<u8, CardState>,
        upin_state: As<u8, PinState>,
        upin_retries: u8,
        upuk_retries: u8,
        error_code: As<u8, CardError>,
        applications: List8<Application>,
    }
    /// Card Status.
    Application {
        application_type: As<u8, CardApplicationType>,
        state: As<u8, CardApplicationState>,
        personalization_state: As<u8, CardApplicationPersonalizationState>,
        personalization_feature: As<u8, CardApplicationPersonalizationFeatureStatus>,
        personalization_retries: u8,
        personalization_unblock_retries: u8,
        aid: Bytes8,
        upin_replaces_pin1: Bool,
        pin1_state: As<u8, PinState>,
        pin1_retries: u8,
        puk1_retries: u8,
        pin2_state: As<u8, PinState>,
        pin2_retries: u8,
        puk2_retries: u8,
    }
    /// Session.
    Session {
        session_type: As<u8, SessionType>,
        application_identifier: Bytes8,
    }
    /// Info.
    PinInfo {
        pin_id: As<u8, PinId>,
        pin_value: Text8,
    }
    /// Card Result.
    CardResult {
        sw1: u8,
        sw2: u8,
    }
    /// Retries Remaining.
    Retries {
        verify_retries_left: u8,
        unblock_retries_left: u8,
    }
    /// Info.
    PinProtection {
        pin_id: As<u8, PinId>,
        pin_enabled: Bool,
        pin_value: Text8,
    }
    /// Info.
    PinUnblock {
        pin_id: As<u8, PinId>,
        puk: Text8,
        new_pin: Text8,
    }
    /// Info.
    PinChange {
        pin_id: As<u8, PinId>,
        old_pin: Text8,
        new_pin: Text8,
    }
    /// Physical Slot Status.
    PhysicalSlotStatus {
        physical_card_status: As<u32, PhysicalCardState>,
        physical_slot_status: As<u32, SlotState>,
        logical_slot: u8,
        iccid: Iccid8,
    }
    /// Physical Slot Information.
    PhysicalSlotInformation {
        card_protocol: As<u32, CardProtocol>,
        valid_applications: u8,
        atr_value: Bytes8,
        is_euicc: Bool,
    }
    /// Slot EID.
    Eid {
        eid: Bytes8,
    }
    /// File.
    File {
        file_id: u16,
        file_path: Bytes8,
    }
    /// Read Information.
    ReadInformation {
        offset: u16,
        length: u16,
    }
    /// Session Change.
    SessionChange {
        session_type: As<u8, SessionType>,
        activate: Bool,
    }
    /// Application Information.
    ApplicationInformation {
        slot: u8,
        application_identifier: Bytes8,
    }
    /// File Attributes.
    FileAttributes {
        file_size: u16,
        file_id: u16,
        file_type: As<u8, FileType>,
        record_size: u16,
        record_count: u16,
        read_security_attributes_logic: u8,
        read_security_attributes: u16,
        write_security_attributes_logic: u8,
        write_security_attributes: u16,
        increase_security_attributes_logic: u8,
        increase_security_attributes: u16,
        deactivate_security_attributes_logic: u8,
        deactivate_security_attributes: u16,
        activate_security_attributes_logic: u8,
        activate_security_attributes: u16,
        raw_data: Bytes16,
    }
}
