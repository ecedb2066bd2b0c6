//! UIM, service 0x0B: SIM cards, slots, PINs, files.

mod layouts;
mod messages;
mod values;

pub use layouts::*;
pub use messages::*;
pub use values::*;

use super::message::{Done, service};

service! {
    Uim
    requests {
        0x002F "Get Card Status" GetCardStatus => CardStatus;
        0x002E "Register Events" RegisterEvents => RegisterEventsResponse;
        0x0026 "Verify PIN" VerifyPin => VerifyPinResponse, failure VerifyPinFailure;
        0x0025 "Set PIN Protection" SetPinProtection => SetPinProtectionResponse, failure SetPinProtectionFailure;
        0x0027 "Unblock PIN" UnblockPin => UnblockPinResponse, failure UnblockPinFailure;
        0x0028 "Change PIN" ChangePin => ChangePinResponse, failure ChangePinFailure;
        0x0047 "Get Slot Status" GetSlotStatus => SlotStatus;
        0x0046 "Switch Slot" SwitchSlot => Done;
        0x0020 "Read Transparent" ReadTransparent => ReadTransparentResponse;
        0x0030 "Power Off SIM" PowerOffSim => Done;
        0x0031 "Power On SIM" PowerOnSim => Done;
        0x0044 "Refresh Register All" RefreshRegisterAll => Done;
        0x002C "Refresh Complete" RefreshComplete => Done;
        0x0038 "Change Provisioning Session" ChangeProvisioningSession => Done;
        0x0024 "Get File Attributes" GetFileAttributes => GetFileAttributesResponse;
    }
    indications {
        0x0032 "Card Status" CardStatus;
        0x0033 "Refresh" Refresh;
        0x0048 "Slot Status" SlotStatus;
    }
}
