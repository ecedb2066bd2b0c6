//! Structs inside TLVs.

use super::super::layout::{As, Bool, Bytes8, Bytes16, Iccid8, List8, List16, Text8, layout};
use super::values::{
    CardApplicationPersonalizationFeatureStatus, CardApplicationPersonalizationState, CardApplicationState,
    CardApplicationType, CardError, CardProtocol, CardState, FileType, PhysicalCardState, PinId, PinState,
    RefreshMode, RefreshStage, SessionType, SlotState,
};

layout! {
    /// All cards and which applications are provisioned.
    Cards {
        index_gw_primary: u16,
        index_1x_primary: u16,
        index_gw_secondary: u16,
        index_1x_secondary: u16,
        cards: List8<Card>,
    }
    /// One card.
    Card {
        card_state: As<u8, CardState>,
        upin_state: As<u8, PinState>,
        upin_retries: u8,
        upuk_retries: u8,
        error_code: As<u8, CardError>,
        applications: List8<Application>,
    }
    /// One application on a card.
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
    /// Whose files and PINs: a provisioned application or a slot.
    Session {
        session_type: As<u8, SessionType>,
        application_identifier: Bytes8,
    }
    /// A PIN.
    PinInfo {
        pin_id: As<u8, PinId>,
        pin_value: Text8,
    }
    /// Status words of the card; 90 00 is success.
    CardResult {
        sw1: u8,
        sw2: u8,
    }
    /// Tries left.
    Retries {
        verify_retries_left: u8,
        unblock_retries_left: u8,
    }
    /// A PIN to switch on or off.
    PinProtection {
        pin_id: As<u8, PinId>,
        pin_enabled: Bool,
        pin_value: Text8,
    }
    /// A PUK and the new PIN.
    PinUnblock {
        pin_id: As<u8, PinId>,
        puk: Text8,
        new_pin: Text8,
    }
    /// The old and the new PIN.
    PinChange {
        pin_id: As<u8, PinId>,
        old_pin: Text8,
        new_pin: Text8,
    }
    /// One slot: card, activity, ICCID as the card holds it.
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
    /// Identity of an eUICC.
    Eid {
        eid: Bytes8,
    }
    /// A file and its path: little-endian ids as bytes.
    File {
        file_id: u16,
        file_path: Bytes8,
    }
    /// How far a refresh is, of what kind, of whose files.
    RefreshEvent {
        stage: As<u8, RefreshStage>,
        mode: As<u8, RefreshMode>,
        session_type: As<u8, SessionType>,
        application_identifier: Bytes8,
        files: List16<File>,
    }
    /// From where, how much; 0 is all.
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
