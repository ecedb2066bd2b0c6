//! NAS, service 0x03: registration, radio, signal, cells, network selection.

mod layouts;
mod messages;
mod readings;
mod values;

pub use layouts::*;
pub use messages::*;
pub use readings::Reading;
pub use values::*;

use super::message::{Done, service};

service! {
    Nas
    requests {
        0x0003 "Register Indications" RegisterIndications => Done;
        0x0050 "Config Signal Info" ConfigSignalInfo => Done;
        0x006C "Config Signal Info v2" ConfigSignalInfoV2 => Done;
        0x004F "Get Signal Info" GetSignalInfo => SignalInfo;
        0x0020 "Get Signal Strength" GetSignalStrength => GetSignalStrengthResponse;
        0x0024 "Get Serving System" GetServingSystem => GetServingSystemResponse;
        0x004D "Get System Info" GetSystemInfo => GetSystemInfoResponse;
        0x0021 "Network Scan" NetworkScan => NetworkScanResponse;
        0x0025 "Get Home Network" GetHomeNetwork => GetHomeNetworkResponse;
        0x0031 "Get RF Band Information" GetRfBandInformation => GetRfBandInformationResponse;
        0x0043 "Get Cell Location Info" GetCellLocationInfo => GetCellLocationInfoResponse;
        0x00AC "Get LTE Cphy CA Info" GetLteCphyCaInfo => GetLteCphyCaInfoResponse;
        0x0034 "Get System Selection Preference" GetSystemSelectionPreference => GetSystemSelectionPreferenceResponse;
        0x0033 "Set System Selection Preference" SetSystemSelectionPreference => Done;
        0x005A "Get Tx Rx Info" GetTxRxInfo => GetTxRxInfoResponse;
        0x0022 "Initiate Network Register" InitiateNetworkRegister => Done;
        0x0023 "Attach Detach" AttachDetach => Done;
        0x0067 "Force Network Search" ForceNetworkSearch => Done;
        0x0039 "Get Operator Name" GetOperatorName => OperatorName;
        0x0044 "Get PLMN Name" GetPlmnName => GetPlmnNameResponse;
        0x5556 "Swi Get Status" SwiGetStatus => SwiGetStatusResponse;
    }
    indications {
        0x0051 "Signal Info" SignalInfo;
        0x0024 "Serving System" ServingSystem;
        0x004E "System Info" SystemInfo;
        0x0068 "Network Reject" NetworkReject;
        0x003A "Operator Name" OperatorName;
        0x004C "Network Time" NetworkTime;
    }
}
