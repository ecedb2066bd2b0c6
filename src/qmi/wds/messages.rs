//! The TLVs of each message.

use super::super::cause::{CallEndReason, VerboseCallEndReason};
use super::super::layout::{As, Bool, Ipv4, Ipv6, List8, Text, Text16};
use super::super::message::{May, Must, body};
use super::super::wda::EndpointInfo;
use super::layouts::{
    BearerTechnology, ChannelRates, CurrentChannelRates, DataCallTypes, DataSystems, DefaultProfile,
    ExtendedBearerTechnology, GprsQos, Ipv6Prefix, ListedProfile, LteQos, OperatorReservedPco,
    PacketServiceState, PdnFilters, PdnThrottle, ProfileId, ProfileTypeAndFamily, TransferStatistics,
    UmtsQos, UmtsQosWithSignaling, VlanIdRange,
};
use super::values::{
    AddressAllocationPreference, ApnTypeMask, AttachPdnListAction, Authentication, AutoconnectSetting,
    AutoconnectSettingRoaming, CallType, ClientType, ConnectionStatus, DataBearerTechnology, DataCallStatus,
    DataSystem, DataSystemNetworkType, DormancyStatus, DsProfileError, ExtendedTechnologyPreference,
    IpFamily, IpSupportType, PacketStatisticsMaskFlag, PdpAccessControl, PdpDataCompressionType,
    PdpHeaderCompressionType, PdpType, ProfileType, RequestedSettings, SioPort, TechnologyPreference,
};

body! {
    /// Starts a data session. May take minutes; [`Abort`] ends the wait. With a profile index APN and
    /// authentication are only overrides. Refused with `NoEffect` when another client holds this session
    /// already.
    StartNetwork {
        0x10 "Primary DNS Address Preference" primary_dns_address_preference: May<Ipv4>,
        0x11 "Secondary DNS Address Preference" secondary_dns_address_preference: May<Ipv4>,
        0x12 "Primary NBNS Address Preference" primary_nbns_address_preference: May<Ipv4>,
        0x13 "Secondary NBNS Address Preference" secondary_nbns_address_preference: May<Ipv4>,
        0x14 "APN" apn: May<Text>,
        0x15 "IPv4 Address Preference" ipv4_address_preference: May<Ipv4>,
        0x16 "Authentication Preference" authentication_preference: May<As<u8, Authentication>>,
        0x17 "Username" username: May<Text>,
        0x18 "Password" password: May<Text>,
        0x19 "IP Family Preference" ip_family_preference: May<As<u8, IpFamily>>,
        0x30 "Technology Preference" technology_preference: May<As<u8, TechnologyPreference>>,
        0x31 "Profile Index 3GPP" profile_index_3gpp: May<u8>,
        0x32 "Profile Index 3GPP2" profile_index_3gpp2: May<u8>,
        0x33 "Enable Autoconnect" enable_autoconnect: May<Bool>,
        0x34 "Extended Technology Preference" extended_technology_preference: May<As<u16, ExtendedTechnologyPreference>>,
        0x35 "Call Type" call_type: May<As<u8, CallType>>,
    }
    /// Answer to [`StartNetwork`].
    StartNetworkResponse {
        0x01 "Packet Data Handle" packet_data_handle: Must<u32>,
    }
    /// What a refused [`StartNetwork`] says besides the error.
    CallFailure {
        0x10 "Call End Reason" call_end_reason: May<As<u16, CallEndReason>>,
        0x11 "Verbose Call End Reason" verbose_call_end_reason: May<VerboseCallEndReason>,
    }
    /// Ends a data session. Handle 0xFFFFFFFF with autoconnect disabled ends it whoever started it.
    StopNetwork {
        0x01 "Packet Data Handle" packet_data_handle: Must<u32>,
        0x10 "Disable Autoconnect" disable_autoconnect: May<Bool>,
    }
    /// Aborts a pending request of this client id.
    Abort {
        0x01 "Transaction ID" transaction_id: Must<u16>,
    }
    /// Asks whether the session of this client id and its IP family is up.
    GetPacketServiceStatus {}
    /// Answer to [`GetPacketServiceStatus`].
    GetPacketServiceStatusResponse {
        0x01 "Connection Status" connection_status: Must<As<u8, ConnectionStatus>>,
    }
    /// The session went up or down, with the reasons. When reconfiguration is required, read
    /// [`GetCurrentSettings`] again.
    PacketServiceStatus {
        0x01 "Connection Status" connection_status: Must<PacketServiceState>,
        0x10 "Call End Reason" call_end_reason: May<As<u16, CallEndReason>>,
        0x11 "Verbose Call End Reason" verbose_call_end_reason: May<VerboseCallEndReason>,
        0x12 "IP Family" ip_family: May<As<u8, IpFamily>>,
        0x14 "Bearer ID" bearer_id: May<u8>,
        0x15 "XLAT Capability" xlat_capability: May<Bool>,
        0x34 "Extended Technology Preference" extended_technology_preference: May<As<u16, ExtendedTechnologyPreference>>,
    }
    /// Asks for packet and byte counts; see [`Counters`](super::Counters) for values without sentinels.
    GetPacketStatistics {
        0x01 "Mask" mask: Must<As<u32, PacketStatisticsMaskFlag>>,
    }
    /// Answer to [`GetPacketStatistics`].
    GetPacketStatisticsResponse {
        0x10 "Tx Packets Ok" tx_packets_ok: May<u32>,
        0x11 "Rx Packets Ok" rx_packets_ok: May<u32>,
        0x12 "Tx Packets Error" tx_packets_error: May<u32>,
        0x13 "Rx Packets Error" rx_packets_error: May<u32>,
        0x14 "Tx Overflows" tx_overflows: May<u32>,
        0x15 "Rx Overflows" rx_overflows: May<u32>,
        0x19 "Tx Bytes Ok" tx_bytes_ok: May<u64>,
        0x1A "Rx Bytes Ok" rx_bytes_ok: May<u64>,
        0x1B "Last Call Tx Bytes Ok" last_call_tx_bytes_ok: May<u64>,
        0x1C "Last Call Rx Bytes Ok" last_call_rx_bytes_ok: May<u64>,
        0x1D "Tx Packets Dropped" tx_packets_dropped: May<u32>,
        0x1E "Rx Packets Dropped" rx_packets_dropped: May<u32>,
    }
    /// Get Channel Rates.
    GetChannelRates {}
    /// Answer to [`GetChannelRates`].
    GetChannelRatesResponse {
        0x01 "Channel Rates" channel_rates: Must<ChannelRates>,
    }
    /// Asks for addresses, DNS, MTU and more; only on the client id of the session, else refused with
    /// `OutOfCall`. What is not available is absent.
    GetCurrentSettings {
        0x10 "Requested Settings" requested_settings: Must<As<u32, RequestedSettings>>,
    }
    /// Answer to [`GetCurrentSettings`].
    GetCurrentSettingsResponse {
        0x10 "Profile Name" profile_name: May<Text>,
        0x11 "PDP Type" pdp_type: May<As<u8, PdpType>>,
        0x14 "APN Name" apn_name: May<Text>,
        0x15 "Primary IPv4 DNS Address" primary_ipv4_dns_address: May<Ipv4>,
        0x16 "Secondary IPv4 DNS Address" secondary_ipv4_dns_address: May<Ipv4>,
        0x17 "UMTS Granted QoS" umts_granted_qos: May<UmtsQos>,
        0x19 "GPRS Granted QoS" gprs_granted_qos: May<GprsQos>,
        0x1B "Username" username: May<Text>,
        0x1D "Authentication" authentication: May<As<u8, Authentication>>,
        0x1E "IPv4 Address" ipv4_address: May<Ipv4>,
        0x1F "Profile ID" profile_id: May<ProfileId>,
        0x20 "IPv4 Gateway Address" ipv4_gateway_address: May<Ipv4>,
        0x21 "IPv4 Gateway Subnet Mask" ipv4_gateway_subnet_mask: May<Ipv4>,
        0x22 "PCSCF Address Using PCO" pcscf_address_using_pco: May<u8>,
        0x23 "PCSCF Server Address List" pcscf_server_address_list: May<List8<Ipv4>>,
        0x24 "PCSCF Domain Name List" pcscf_domain_name_list: May<List8<Text16>>,
        0x25 "IPv6 Address" ipv6_address: May<Ipv6Prefix>,
        0x26 "IPv6 Gateway Address" ipv6_gateway_address: May<Ipv6Prefix>,
        0x27 "IPv6 Primary DNS Address" ipv6_primary_dns_address: May<Ipv6>,
        0x28 "IPv6 Secondary DNS Address" ipv6_secondary_dns_address: May<Ipv6>,
        0x29 "MTU" mtu: May<u32>,
        0x2A "Domain Name List" domain_name_list: May<List8<Text16>>,
        0x2B "IP Family" ip_family: May<As<u8, IpFamily>>,
        0x2C "IMCN Flag" imcn_flag: May<i8>,
        0x2D "Extended Technology Preference" extended_technology_preference: May<As<u16, ExtendedTechnologyPreference>>,
        0x2F "Operator Reserved PCO" operator_reserved_pco: May<OperatorReservedPco>,
    }
    /// Binds this client id to one IP family: one client id per family.
    SetIpFamily {
        0x01 "Preference" preference: Must<As<u8, IpFamily>>,
    }
    /// Asks for the radio the old way. Refused with `OutOfCall` when idle.
    GetDataBearerTechnology {}
    /// Answer to [`GetDataBearerTechnology`].
    GetDataBearerTechnologyResponse {
        0x01 "Current" current: Must<As<i8, DataBearerTechnology>>,
    }
    /// What a refused [`GetDataBearerTechnology`] says besides the error.
    GetDataBearerTechnologyFailure {
        0x10 "Last" last: May<As<i8, DataBearerTechnology>>,
    }
    /// Asks for the radio that carries the session.
    GetCurrentDataBearerTechnology {}
    /// Answer to [`GetCurrentDataBearerTechnology`].
    GetCurrentDataBearerTechnologyResponse {
        0x01 "Current" current: Must<BearerTechnology>,
        0x10 "Last" last: May<BearerTechnology>,
    }
    /// Binds this client id to a QMAP channel; before [`StartNetwork`]. The interface number is that of the
    /// USB function.
    BindMuxDataPort {
        0x10 "Endpoint Info" endpoint_info: May<EndpointInfo>,
        0x11 "Mux ID" mux_id: May<u8>,
        0x13 "Client Type" client_type: May<As<u32, ClientType>>,
    }
    /// Bind Data Port.
    BindDataPort {
        0x01 "Data Port" data_port: Must<As<u16, SioPort>>,
    }
    /// Set Event Report.
    SetEventReport {
        0x10 "Channel Rate" channel_rate: May<Bool>,
        0x11 "Transfer Statistics" transfer_statistics: May<TransferStatistics>,
        0x12 "Data Bearer Technology" data_bearer_technology: May<Bool>,
        0x13 "Dormancy Status" dormancy_status: May<Bool>,
        0x15 "Current Data Bearer Technology" current_data_bearer_technology: May<Bool>,
        0x17 "Data Call Status" data_call_status: May<Bool>,
        0x18 "Preferred Data System" preferred_data_system: May<Bool>,
        0x1A "Data Systems" data_systems: May<Bool>,
        0x1B "Uplink Flow Control" uplink_flow_control: May<Bool>,
        0x1C "Limited Data System Status" limited_data_system_status: May<Bool>,
        0x1D "PDN Filter Removals" pdn_filter_removals: May<Bool>,
        0x1E "Extended Data Bearer Technology" extended_data_bearer_technology: May<Bool>,
    }
    /// Event Report.
    EventReport {
        0x10 "Tx Packets Ok" tx_packets_ok: May<u32>,
        0x11 "Rx Packets Ok" rx_packets_ok: May<u32>,
        0x12 "Tx Packets Error" tx_packets_error: May<u32>,
        0x13 "Rx Packets Error" rx_packets_error: May<u32>,
        0x14 "Tx Overflows" tx_overflows: May<u32>,
        0x15 "Rx Overflows" rx_overflows: May<u32>,
        0x16 "Channel Rates" channel_rates: May<CurrentChannelRates>,
        0x17 "Data Bearer Technology" data_bearer_technology: May<As<i8, DataBearerTechnology>>,
        0x18 "Dormancy Status" dormancy_status: May<As<u8, DormancyStatus>>,
        0x19 "Tx Bytes Ok" tx_bytes_ok: May<u64>,
        0x1A "Rx Bytes Ok" rx_bytes_ok: May<u64>,
        0x1D "Current Data Bearer Technology" current_data_bearer_technology: May<BearerTechnology>,
        0x1F "Data Call Status" data_call_status: May<As<u8, DataCallStatus>>,
        0x20 "Preferred Data System" preferred_data_system: May<As<u32, DataSystem>>,
        0x22 "Data Call Type" data_call_type: May<DataCallTypes>,
        0x24 "Data Systems" data_systems: May<DataSystems>,
        0x25 "Tx Packets Dropped" tx_packets_dropped: May<u32>,
        0x26 "Rx Packets Dropped" rx_packets_dropped: May<u32>,
        0x27 "Uplink Flow Control Enabled" uplink_flow_control_enabled: May<Bool>,
        0x28 "Data Call Address Family" data_call_address_family: May<As<u32, IpFamily>>,
        0x29 "PDN Filters Removed" pdn_filters_removed: May<PdnFilters>,
        0x2A "Extended Data Bearer Technology" extended_data_bearer_technology: May<ExtendedBearerTechnology>,
    }
    /// Indication Register.
    IndicationRegister {
        0x12 "Report Extended IP Configuration Change" report_extended_ip_configuration_change: May<Bool>,
        0x19 "Report Profile Changes" report_profile_changes: May<Bool>,
    }
    /// Settings have changed: read [`GetCurrentSettings`] again.
    ExtendedIpConfig {
        0x10 "Changed IP Configuration" changed_ip_configuration: May<As<u32, RequestedSettings>>,
    }
    /// Get Profile List.
    GetProfileList {
        0x10 "Profile Type" profile_type: May<As<u8, ProfileType>>,
    }
    /// Answer to [`GetProfileList`].
    GetProfileListResponse {
        0x01 "Profile List" profile_list: Must<List8<ListedProfile>>,
    }
    /// What a refused [`GetProfileList`] says besides the error.
    GetProfileListFailure {
        0xE0 "Extended Error Code" extended_error_code: May<As<u16, DsProfileError>>,
    }
    /// Get Profile Settings.
    GetProfileSettings {
        0x01 "Profile ID" profile_id: Must<ProfileId>,
    }
    /// What a refused [`GetProfileSettings`] says besides the error.
    GetProfileSettingsFailure {
        0xE0 "Extended Error Code" extended_error_code: May<As<u16, DsProfileError>>,
    }
    /// Answer to [`CreateProfile`].
    CreateProfileResponse {
        0x01 "Profile Identifier" profile_identifier: Must<ProfileId>,
    }
    /// What a refused [`CreateProfile`] says besides the error.
    CreateProfileFailure {
        0xE0 "Extended Error Code" extended_error_code: May<As<u16, DsProfileError>>,
    }
    /// What a refused [`ModifyProfile`] says besides the error.
    ModifyProfileFailure {
        0xE0 "Extended Error Code" extended_error_code: May<As<u16, DsProfileError>>,
    }
    /// Delete Profile.
    DeleteProfile {
        0x01 "Profile Identifier" profile_identifier: Must<ProfileId>,
    }
    /// What a refused [`DeleteProfile`] says besides the error.
    DeleteProfileFailure {
        0xE0 "Extended Error Code" extended_error_code: May<As<u16, DsProfileError>>,
    }
    /// Asks which profile is used by default.
    GetDefaultProfileNumber {
        0x01 "Profile Type" profile_type: Must<ProfileTypeAndFamily>,
    }
    /// Answer to [`GetDefaultProfileNumber`].
    GetDefaultProfileNumberResponse {
        0x01 "Index" index: Must<u8>,
    }
    /// What a refused [`GetDefaultProfileNumber`] says besides the error.
    GetDefaultProfileNumberFailure {
        0xE0 "Extended Error Code" extended_error_code: May<As<u16, DsProfileError>>,
    }
    /// Set Default Profile Number.
    SetDefaultProfileNumber {
        0x01 "Profile Identifier" profile_identifier: Must<DefaultProfile>,
    }
    /// What a refused [`SetDefaultProfileNumber`] says besides the error.
    SetDefaultProfileNumberFailure {
        0xE0 "Extended Error Code" extended_error_code: May<As<u16, DsProfileError>>,
    }
    /// Get Autoconnect Settings.
    GetAutoconnectSettings {}
    /// Answer to [`GetAutoconnectSettings`].
    GetAutoconnectSettingsResponse {
        0x01 "Status" status: Must<As<u8, AutoconnectSetting>>,
        0x10 "Roaming" roaming: May<As<u8, AutoconnectSettingRoaming>>,
    }
    /// Set Autoconnect Settings.
    SetAutoconnectSettings {
        0x01 "Status" status: Must<As<u8, AutoconnectSetting>>,
        0x10 "Roaming" roaming: May<As<u8, AutoconnectSettingRoaming>>,
    }
    /// Get PDN Throttle Info.
    GetPdnThrottleInfo {
        0x01 "Network Type" network_type: Must<As<u8, DataSystemNetworkType>>,
    }
    /// Answer to [`GetPdnThrottleInfo`].
    GetPdnThrottleInfoResponse {
        0x10 "Info" info: May<List8<PdnThrottle>>,
    }
    /// Get LTE Attach Parameters.
    GetLteAttachParameters {}
    /// Answer to [`GetLteAttachParameters`].
    GetLteAttachParametersResponse {
        0x10 "APN" apn: May<Text>,
        0x11 "IP Support Type" ip_support_type: May<As<u8, IpSupportType>>,
        0x12 "OTA Attach Performed" ota_attach_performed: May<Bool>,
    }
    /// Get LTE Attach PDN List.
    GetLteAttachPdnList {}
    /// Answer to [`GetLteAttachPdnList`].
    GetLteAttachPdnListResponse {
        0x10 "Current List" current_list: May<List8<u16>>,
        0x11 "Pending List" pending_list: May<List8<u16>>,
    }
    /// Set LTE Attach PDN List.
    SetLteAttachPdnList {
        0x01 "List" list: Must<List8<u16>>,
        0x10 "Action" action: May<As<u32, AttachPdnListAction>>,
    }
}

/// A body of the TLVs given and all TLVs that describe a profile.
macro_rules! profile_body {
    ($( $(#[$meta:meta])* $name:ident { $($own:tt)* } )*) => {
        body! { $(
            $(#[$meta])*
            $name {
                $($own)*
                0x10 "Profile Name" profile_name: May<Text>,
                0x11 "PDP Type" pdp_type: May<As<u8, PdpType>>,
                0x12 "PDP Header Compression Type" pdp_header_compression_type: May<As<u8, PdpHeaderCompressionType>>,
                0x13 "PDP Data Compression Type" pdp_data_compression_type: May<As<u8, PdpDataCompressionType>>,
                0x14 "APN Name" apn_name: May<Text>,
                0x15 "Primary IPv4 DNS Address" primary_ipv4_dns_address: May<Ipv4>,
                0x16 "Secondary IPv4 DNS Address" secondary_ipv4_dns_address: May<Ipv4>,
                0x17 "UMTS Requested QoS" umts_requested_qos: May<UmtsQos>,
                0x18 "UMTS Minimum QoS" umts_minimum_qos: May<UmtsQos>,
                0x19 "GPRS Requested QoS" gprs_requested_qos: May<GprsQos>,
                0x1A "GPRS Minimum QoS" gprs_minimum_qos: May<GprsQos>,
                0x1B "Username" username: May<Text>,
                0x1C "Password" password: May<Text>,
                0x1D "Authentication" authentication: May<As<u8, Authentication>>,
                0x1E "IPv4 Address Preference" ipv4_address_preference: May<Ipv4>,
                0x1F "PCSCF Address Using PCO" pcscf_address_using_pco: May<Bool>,
                0x20 "PDP Access Control" pdp_access_control: May<As<u8, PdpAccessControl>>,
                0x21 "PCSCF Address Using DHCP" pcscf_address_using_dhcp: May<Bool>,
                0x22 "IMCN Flag" imcn_flag: May<Bool>,
                0x25 "PDP Context Number" pdp_context_number: May<u8>,
                0x26 "PDP Context Secondary Flag" pdp_context_secondary_flag: May<Bool>,
                0x27 "PDP Context Primary ID" pdp_context_primary_id: May<u8>,
                0x28 "IPv6 Address Preference" ipv6_address_preference: May<Ipv6>,
                0x29 "UMTS Requested QoS With Signaling Indication Flag" umts_requested_qos_with_signaling_indication_flag: May<UmtsQosWithSignaling>,
                0x2A "UMTS Minimum QoS With Signaling Indication Flag" umts_minimum_qos_with_signaling_indication_flag: May<UmtsQosWithSignaling>,
                0x2B "IPv6 Primary DNS Address Preference" ipv6_primary_dns_address_preference: May<Ipv6>,
                0x2C "IPv6 Secondary DNS Address Preference" ipv6_secondary_dns_address_preference: May<Ipv6>,
                0x2D "Address Allocation Preference" address_allocation_preference: May<As<u8, AddressAllocationPreference>>,
                0x2E "LTE QoS Parameters" lte_qos_parameters: May<LteQos>,
                0x2F "APN Disabled Flag" apn_disabled_flag: May<Bool>,
                0x3E "Roaming Disallowed Flag" roaming_disallowed_flag: May<Bool>,
                0x50 "VLAN ID Type" vlan_id_type: May<VlanIdRange>,
                0xDD "APN Type Mask" apn_type_mask: May<As<u64, ApnTypeMask>>,
                0xDE "CLAT Enabled" clat_enabled: May<Bool>,
                0xDF "IPv6 Prefix Delegation" ipv6_prefix_delegation: May<Bool>,
            }
        )* }
    };
}

profile_body! {
    /// Answer to [`GetProfileSettings`].
    GetProfileSettingsResponse {}
    /// Creates a profile.
    CreateProfile {
        0x01 "Profile Type" profile_type: Must<As<u8, ProfileType>>,
    }
    /// Changes a profile; only the TLVs present are changed.
    ModifyProfile {
        0x01 "Profile Identifier" profile_identifier: Must<ProfileId>,
    }
}
