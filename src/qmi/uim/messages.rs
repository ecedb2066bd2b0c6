//! The TLVs of each message.

use super::super::layout::{As, Bool, Bytes16, List8};
use super::super::message::{May, Must, body};
use super::layouts::{
    ApplicationInformation, CardResult, Cards, Eid, File, FileAttributes, PhysicalSlotInformation,
    PhysicalSlotStatus, PinChange, PinInfo, PinProtection, PinUnblock, ReadInformation, Retries, Session,
    SessionChange,
};
use super::values::EventRegistrationFlag;

body! {
    /// Get Card Status. index fields = (slot index × 256) + application index (both 0-based) of the
    /// provisioned application, 0xFFFF = no session
    GetCardStatus {}
    /// Card Status. Needs Register Events bit 0x1
    CardStatus {
        0x10 "Card Status" card_status: May<Cards>,
    }
    /// Register Events.
    RegisterEvents {
        0x01 "Event Registration Mask" event_registration_mask: Must<As<u32, EventRegistrationFlag>>,
    }
    /// Answer to [`RegisterEvents`].
    RegisterEventsResponse {
        0x10 "Event Registration Mask" event_registration_mask: May<As<u32, EventRegistrationFlag>>,
    }
    /// Verify PIN. Retries TLV only on failure. Wrong-PIN guard: check pin1_retries ≥ 2 (OpenWrt: refuses
    /// below 3) before trying a stored PIN
    VerifyPin {
        0x01 "Session" session: Must<Session>,
        0x02 "Info" info: Must<PinInfo>,
        0x12 "Response In Indication Token" response_in_indication_token: May<u32>,
    }
    /// Answer to [`VerifyPin`].
    VerifyPinResponse {
        0x12 "Response In Indication Token" response_in_indication_token: May<u32>,
        0x13 "Card Result" card_result: May<CardResult>,
    }
    /// What a refused [`VerifyPin`] says besides the error.
    VerifyPinFailure {
        0x10 "Retries Remaining" retries_remaining: May<Retries>,
    }
    /// Set PIN Protection.
    SetPinProtection {
        0x01 "Session" session: Must<Session>,
        0x02 "Info" info: Must<PinProtection>,
        0x11 "Response In Indication Token" response_in_indication_token: May<u32>,
    }
    /// Answer to [`SetPinProtection`].
    SetPinProtectionResponse {
        0x12 "Response In Indication Token" response_in_indication_token: May<u32>,
    }
    /// What a refused [`SetPinProtection`] says besides the error.
    SetPinProtectionFailure {
        0x10 "Retries Remaining" retries_remaining: May<Retries>,
    }
    /// Unblock PIN.
    UnblockPin {
        0x01 "Session" session: Must<Session>,
        0x02 "Info" info: Must<PinUnblock>,
        0x11 "Response In Indication Token" response_in_indication_token: May<u32>,
    }
    /// Answer to [`UnblockPin`].
    UnblockPinResponse {
        0x12 "Response In Indication Token" response_in_indication_token: May<u32>,
        0x13 "Card Result" card_result: May<CardResult>,
    }
    /// What a refused [`UnblockPin`] says besides the error.
    UnblockPinFailure {
        0x10 "Retries Remaining" retries_remaining: May<Retries>,
    }
    /// Change PIN.
    ChangePin {
        0x01 "Session" session: Must<Session>,
        0x02 "Info" info: Must<PinChange>,
        0x11 "Response In Indication Token" response_in_indication_token: May<u32>,
    }
    /// Answer to [`ChangePin`].
    ChangePinResponse {
        0x12 "Response In Indication Token" response_in_indication_token: May<u32>,
        0x13 "Card Result" card_result: May<CardResult>,
    }
    /// What a refused [`ChangePin`] says besides the error.
    ChangePinFailure {
        0x10 "Retries Remaining" retries_remaining: May<Retries>,
    }
    /// Get Slot Status. iccid bytes are nibble-swapped BCD; logical_slot valid only if slot active. EID: 16
    /// bytes BCD (not swapped)
    GetSlotStatus {}
    /// Slot Status. Needs Register Events bit 0x10
    SlotStatus {
        0x10 "Physical Slot Status" physical_slot_status: May<List8<PhysicalSlotStatus>>,
        0x11 "Physical Slot Information" physical_slot_information: May<List8<PhysicalSlotInformation>>,
        0x12 "Slot EID" slot_eid: May<List8<Eid>>,
    }
    /// Switch Slot. logical slot 1-based; error 26 NoEffect if already there. SIM and registration restart
    /// Logical Slot `u8` · 02
    SwitchSlot {
        0x01 "Logical Slot" logical_slot: Must<u8>,
        0x02 "Physical Slot" physical_slot: Must<u32>,
    }
    /// Read Transparent. file_path = list of u16 little-endian ids as bytes (3F00 → `00 3f`). offset 0,
    /// length 0 = whole file. ICCID: file 2FE2 path 3F00; IMSI: file 6F07 path 3F00 7FFF, session primary-gw-
    /// provisioning. ICCID content is nibble-swapped BCD, F-padded. sw 90 00 = ok
    ReadTransparent {
        0x01 "Session" session: Must<Session>,
        0x02 "File" file: Must<File>,
        0x03 "Read Information" read_information: Must<ReadInformation>,
        0x10 "Response In Indication Token" response_in_indication_token: May<u32>,
        0x11 "Encrypt Data" encrypt_data: May<Bool>,
    }
    /// Answer to [`ReadTransparent`].
    ReadTransparentResponse {
        0x10 "Card Result" card_result: May<CardResult>,
        0x11 "Read result" read_result: May<Bytes16>,
        0x12 "Response In Indication Token" response_in_indication_token: May<u32>,
        0x13 "Encrypted Data" encrypted_data: May<Bool>,
    }
    /// Power Off SIM.
    PowerOffSim {
        0x01 "Slot" slot: Must<u8>,
    }
    /// Power On SIM.
    PowerOnSim {
        0x01 "Slot" slot: Must<u8>,
    }
    /// Change Provisioning Session.
    ChangeProvisioningSession {
        0x01 "Session Change" session_change: Must<SessionChange>,
        0x10 "Application Information" application_information: May<ApplicationInformation>,
    }
    /// Get File Attributes.
    GetFileAttributes {
        0x01 "Session" session: Must<Session>,
        0x02 "File" file: Must<File>,
        0x10 "Response In Indication Token" response_in_indication_token: May<u32>,
    }
    /// Answer to [`GetFileAttributes`].
    GetFileAttributesResponse {
        0x10 "Card Result" card_result: May<CardResult>,
        0x11 "File Attributes" file_attributes: May<FileAttributes>,
        0x12 "Response In Indication Token" response_in_indication_token: May<u32>,
    }
}
