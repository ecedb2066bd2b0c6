//! WDS, service 0x01: data sessions, their settings and statistics, profiles.

mod counters;
mod layouts;
mod messages;
mod values;

pub use counters::Counters;
pub use layouts::*;
pub use messages::*;
pub use values::*;

use super::message::{Done, service};

service! {
    Wds
    requests {
        0x0020 "Start Network" StartNetwork => StartNetworkResponse, failure CallFailure;
        0x0021 "Stop Network" StopNetwork => Done;
        0x0002 "Abort" Abort => Done;
        0x0022 "Get Packet Service Status" GetPacketServiceStatus => GetPacketServiceStatusResponse;
        0x0024 "Get Packet Statistics" GetPacketStatistics => GetPacketStatisticsResponse;
        0x0023 "Get Channel Rates" GetChannelRates => GetChannelRatesResponse;
        0x002D "Get Current Settings" GetCurrentSettings => GetCurrentSettingsResponse;
        0x004D "Set IP Family" SetIpFamily => Done;
        0x0037 "Get Data Bearer Technology" GetDataBearerTechnology => GetDataBearerTechnologyResponse, failure GetDataBearerTechnologyFailure;
        0x0044 "Get Current Data Bearer Technology" GetCurrentDataBearerTechnology => GetCurrentDataBearerTechnologyResponse;
        0x00A2 "Bind Mux Data Port" BindMuxDataPort => Done;
        0x0089 "Bind Data Port" BindDataPort => Done;
        0x0001 "Set Event Report" SetEventReport => Done;
        0x0003 "Indication Register" IndicationRegister => Done;
        0x002A "Get Profile List" GetProfileList => GetProfileListResponse, failure GetProfileListFailure;
        0x002B "Get Profile Settings" GetProfileSettings => GetProfileSettingsResponse, failure GetProfileSettingsFailure;
        0x0027 "Create Profile" CreateProfile => CreateProfileResponse, failure CreateProfileFailure;
        0x0028 "Modify Profile" ModifyProfile => Done, failure ModifyProfileFailure;
        0x0029 "Delete Profile" DeleteProfile => Done, failure DeleteProfileFailure;
        0x0049 "Get Default Profile Number" GetDefaultProfileNumber => GetDefaultProfileNumberResponse, failure GetDefaultProfileNumberFailure;
        0x004A "Set Default Profile Number" SetDefaultProfileNumber => Done, failure SetDefaultProfileNumberFailure;
        0x0034 "Get Autoconnect Settings" GetAutoconnectSettings => GetAutoconnectSettingsResponse;
        0x0051 "Set Autoconnect Settings" SetAutoconnectSettings => Done;
        0x006C "Get PDN Throttle Info" GetPdnThrottleInfo => GetPdnThrottleInfoResponse;
        0x0085 "Get LTE Attach Parameters" GetLteAttachParameters => GetLteAttachParametersResponse;
        0x0094 "Get LTE Attach PDN List" GetLteAttachPdnList => GetLteAttachPdnListResponse;
        0x0093 "Set LTE Attach PDN List" SetLteAttachPdnList => Done;
    }
    indications {
        0x0022 "Packet Service Status" PacketServiceStatus;
        0x0001 "Event Report" EventReport;
        0x008C "Extended Ip Config" ExtendedIpConfig;
    }
}
