//! The TLVs of each message.

use super::super::layout::{As, Bool, Bytes16, List8};
use super::super::message::{May, Must, body};
use super::layouts::{
    ApplicationInformation, CardResult, Cards, Eid, File, FileAttributes, PhysicalSlotInformation,
    PhysicalSlotStatus, PinChange, PinInfo, PinProtection, PinUnblock, ReadInformation, RefreshEvent,
    Retries, Session, SessionChange,
};
use super::values::EventRegistrationFlag;

body! {
    /// Asks for cards, applications and PIN states.
    GetCardStatus {}
    /// Cards, as answer and as indication. The index fields are slot × 256 + application, both from 0;
    /// 0xFFFF: no session.
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
    /// Gives the PIN. Look at the tries left first: a wrong PIN from a configuration file must not block a
    /// card.
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
    /// Asks for the physical slots.
    GetSlotStatus {}
    /// Physical slots, as answer and as indication. The logical slot counts only while the slot is active.
    SlotStatus {
        0x10 "Physical Slot Status" physical_slot_status: May<List8<PhysicalSlotStatus>>,
        0x11 "Physical Slot Information" physical_slot_information: May<List8<PhysicalSlotInformation>>,
        0x12 "Slot EID" slot_eid: May<List8<Eid>>,
    }
    /// Maps a logical slot (from 1) to a physical one; refused with `NoEffect` when it is there already.
    /// SIM and registration start again.
    SwitchSlot {
        0x01 "Logical Slot" logical_slot: Must<u8>,
        0x02 "Physical Slot" physical_slot: Must<u32>,
    }
    /// Reads a file: path of little-endian file ids as bytes, offset 0 and length 0 for all of it. ICCID:
    /// file 2FE2 in 3F00; IMSI: 6F07 in 3F00 7FFF.
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
    /// Asks to be told of every refresh of the card by its provider.
    RefreshRegisterAll {
        0x01 "Session" session: Must<Session>,
        0x02 "Info" register: Must<Bool>,
    }
    /// Says that we have done what a refresh takes; the modem waits for that, but for those that restart the card.
    RefreshComplete {
        0x01 "Session" session: Must<Session>,
        0x02 "Info" success: Must<Bool>,
    }
    /// The provider refreshes the card (3GPP TS 31.111, 6.4.7).
    Refresh {
        0x10 "Event" event: May<RefreshEvent>,
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
