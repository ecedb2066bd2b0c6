//! The TLVs of each message.

use super::super::cause::RejectCause;
use super::super::layout::{As, Bool, Bytes8, List8, List16, Tac24, Text};
use super::super::message::{May, Must, body};
use super::layouts::{
    AdditionalLteSystemInfo, AdditionalSystemInfo, CallBarring, DetailedServiceStatus, DisplayBitInformation,
    EcioOf, EonsPlmnName, ErrorRateOf, ExtendedLteBands, GeranInfo, GsmSystemInfo, HomeNetworkMnc,
    HomeSystemId, IndexedSecondaryCell, InterfrequencyLteInfo, IntrafrequencyLteInfo, LteInfoNeighboringGsm,
    LteInfoNeighboringWcdma, LteSignalStrength, LteSystemInfo, MccMnc, NamedPlmn, NetworkRejectReporting,
    NetworkSelection, Nr5gBands, Nr5gCellInformation, Nr5gSignalStrength, Nr5gSystemInfo, OperatorPlmn,
    OperatorPlmnName, PlainMccMnc, PlmnNameWithLanguageId, PrimaryCell, Registration, ReportRate, RfBand,
    RfBandExtended, RfBandwidth, RoamingIndicatorOf, RsrqOf, RssiOf, RxChain, ScannedNetwork, ScannedRadio,
    SecondaryCell, ServiceProviderName, ServiceStatusInfo, StrengthOf, SwiCommonInfo, SwiLteInfo, TxChain,
    UmtsInfo, UmtsInfoNeighboringLte, UniversalTime, UniversalTimeAndZone, WcdmaSignalStrength,
    WcdmaSystemInfo,
};
use super::values::{
    Boolean, ChangeDuration, DLBandwidth, DataCapability, DaylightSavingsAdjustment,
    GsmWcdmaAcquisitionOrderPreference, LteCellAccessStatus, LteRegistrationDomain, LteVoiceDomain,
    NetworkNameSource, NetworkRegisterType, NetworkScanResult, NetworkScanType, NetworkSelectionPreference,
    NetworkSelectionRegistrationRestriction, NetworkServiceDomain, PsAttachAction, RadioInterface,
    RatModePreference, RoamingIndicatorStatus, RoamingPreference, ServiceDomainPreference,
    SignalStrengthRequest, SimRejectState, UsagePreference, VoiceDomainPreference,
};

body! {
    /// Chooses indications; only those named are changed. Signal info also needs thresholds
    /// ([`ConfigSignalInfoV2`]).
    RegisterIndications {
        0x10 "System Selection Preference" system_selection_preference: May<Bool>,
        0x13 "Serving System Events" serving_system_events: May<Bool>,
        0x14 "Dual Standby Preference" dual_standby_preference: May<Bool>,
        0x15 "Subscription Info" subscription_info: May<Bool>,
        0x17 "Network Time" network_time: May<Bool>,
        0x18 "System Info" system_info: May<Bool>,
        0x19 "Signal Info" signal_info: May<Bool>,
        0x1A "Error Rate" error_rate: May<Bool>,
        0x1D "Managed Roaming" managed_roaming: May<Bool>,
        0x1E "Current PLMN Name" current_plmn_name: May<Bool>,
        0x1F "eMBMS Status" embms_status: May<Bool>,
        0x20 "RF Band Information" rf_band_information: May<Bool>,
        0x21 "Network Reject Information" network_reject_information: May<NetworkRejectReporting>,
    }
    /// Thresholds that trigger signal info indications: RSSI and RSRP in dBm, RSRQ in dB, LTE SNR in 0.1
    /// dB.
    ConfigSignalInfo {
        0x10 "RSSI Threshold" rssi_threshold: May<List8<i8>>,
        0x11 "ECIO Threshold" ecio_threshold: May<List8<i16>>,
        0x12 "SINR Threshold" sinr_threshold: May<Bytes8>,
        0x13 "LTE SNR Threshold" lte_snr_threshold: May<List8<i16>>,
        0x14 "IO Threshold" io_threshold: May<List8<i32>>,
        0x15 "RSRQ Threshold" rsrq_threshold: May<List8<i8>>,
        0x16 "RSRP Threshold" rsrp_threshold: May<List8<i16>>,
        0x17 "LTE Report" lte_report: May<ReportRate>,
        0x18 "RSCP Threshold" rscp_threshold: May<List8<i8>>,
    }
    /// Thresholds or deltas, in 0.1 dB, that trigger signal info indications. Older firmware refuses it:
    /// then [`ConfigSignalInfo`].
    ConfigSignalInfoV2 {
        0x1C "GSM RSSI Threshold List" gsm_rssi_threshold_list: May<List8<i16>>,
        0x1D "GSM RSSI Delta" gsm_rssi_delta: May<u16>,
        0x1E "WCDMA RSSI Threshold List" wcdma_rssi_threshold_list: May<List8<i16>>,
        0x1F "WCDMA RSSI Delta" wcdma_rssi_delta: May<u16>,
        0x20 "WCDMA ECIO Threshold List" wcdma_ecio_threshold_list: May<List8<i16>>,
        0x21 "WCDMA ECIO Delta" wcdma_ecio_delta: May<u16>,
        0x22 "LTE RSSI Threshold List" lte_rssi_threshold_list: May<List8<i16>>,
        0x23 "LTE RSSI Delta" lte_rssi_delta: May<u16>,
        0x24 "LTE SNR Threshold List" lte_snr_threshold_list: May<List8<i16>>,
        0x25 "LTE SNR Delta" lte_snr_delta: May<u16>,
        0x26 "LTE RSRQ Threshold List" lte_rsrq_threshold_list: May<List8<i16>>,
        0x27 "LTE RSRQ Delta" lte_rsrq_delta: May<u16>,
        0x28 "LTE RSRP Threshold List" lte_rsrp_threshold_list: May<List8<i16>>,
        0x29 "LTE RSRP Delta" lte_rsrp_delta: May<u16>,
        0x2A "LTE Report" lte_report: May<ReportRate>,
        0x33 "NR5G SNR Threshold List" nr5g_snr_threshold_list: May<List8<i16>>,
        0x34 "NR5G SNR Delta" nr5g_snr_delta: May<u16>,
        0x35 "NR5G RSRP Threshold List" nr5g_rsrp_threshold_list: May<List8<i16>>,
        0x36 "NR5G RSRP Delta" nr5g_rsrp_delta: May<u16>,
        0x37 "NR5G Report" nr5g_report: May<ReportRate>,
        0x38 "NR5G RSRQ Threshold List" nr5g_rsrq_threshold_list: May<List8<i16>>,
        0x39 "NR5G RSRQ Delta" nr5g_rsrq_delta: May<u16>,
        0x3A "WCDMA RSCP Threshold List" wcdma_rscp_threshold_list: May<List8<i16>>,
        0x3B "WCDMA RSCP Delta" wcdma_rscp_delta: May<u16>,
    }
    /// Get Signal Info.
    GetSignalInfo {}
    /// Signal of the radios in use, as answer and as indication. RSSI and RSRP in dBm, RSRQ in dB, SNR in
    /// 0.1 dB; see [`Reading`](super::Reading) for values without sentinels.
    SignalInfo {
        0x12 "GSM Signal Strength" gsm_signal_strength: May<i8>,
        0x13 "WCDMA Signal Strength" wcdma_signal_strength: May<WcdmaSignalStrength>,
        0x14 "LTE Signal Strength" lte_signal_strength: May<LteSignalStrength>,
        0x17 "5G Signal Strength" nr5g_signal_strength: May<Nr5gSignalStrength>,
        0x18 "5G Signal Strength Extended" nr5g_signal_strength_extended: May<i16>,
        0x19 "WCDMA RSCP" wcdma_rscp: May<i16>,
    }
    /// Asks for the signal the old way. The RSSI list is in -dBm.
    GetSignalStrength {
        0x10 "Request Mask" request_mask: May<As<u16, SignalStrengthRequest>>,
    }
    /// Answer to [`GetSignalStrength`].
    GetSignalStrengthResponse {
        0x01 "Signal Strength" signal_strength: Must<StrengthOf>,
        0x10 "Strength List" strength_list: May<List16<StrengthOf>>,
        0x11 "RSSI List" rssi_list: May<List16<RssiOf>>,
        0x12 "ECIO List" ecio_list: May<List16<EcioOf>>,
        0x13 "IO" io: May<i32>,
        0x14 "SINR" sinr: May<u8>,
        0x15 "Error Rate List" error_rate_list: May<List16<ErrorRateOf>>,
        0x16 "RSRQ" rsrq: May<RsrqOf>,
        0x17 "LTE SNR" lte_snr: May<i16>,
        0x18 "LTE RSRP" lte_rsrp: May<i16>,
    }
    /// Get Serving System.
    GetServingSystem {}
    /// Answer to [`GetServingSystem`].
    GetServingSystemResponse {
        0x01 "Serving System" serving_system: Must<Registration>,
        0x10 "Roaming Indicator" roaming_indicator: May<As<u8, RoamingIndicatorStatus>>,
        0x11 "Data Service Capability" data_service_capability: May<List8<As<u8, DataCapability>>>,
        0x12 "Current PLMN" current_plmn: May<NamedPlmn>,
        0x15 "Roaming Indicator List" roaming_indicator_list: May<List8<RoamingIndicatorOf>>,
        0x16 "Default Roaming Indicator" default_roaming_indicator: May<As<u8, RoamingIndicatorStatus>>,
        0x1A "Time Zone 3GPP" time_zone_3gpp: May<i8>,
        0x1B "Daylight Saving Time Adjustment 3GPP" daylight_saving_time_adjustment_3gpp: May<u8>,
        0x1C "LAC 3GPP" lac_3gpp: May<u16>,
        0x1D "CID 3GPP" cid_3gpp: May<u32>,
        0x20 "DTM Support" dtm_support: May<Bool>,
        0x21 "Detailed Service Status" detailed_service_status: May<DetailedServiceStatus>,
        0x24 "LTE TAC" lte_tac: May<u16>,
        0x25 "Call Barring Status" call_barring_status: May<CallBarring>,
        0x26 "UMTS Primary Scrambling Code" umts_primary_scrambling_code: May<u16>,
        0x27 "MNC PCS Digit Include Status" mnc_pcs_digit_include_status: May<MccMnc>,
        0x29 "Network Name Source" network_name_source: May<As<u32, NetworkNameSource>>,
    }
    /// Registration has changed. TLV numbers differ from those of the response from 0x1C on.
    ServingSystem {
        0x01 "Serving System" serving_system: Must<Registration>,
        0x10 "Roaming Indicator" roaming_indicator: May<As<u8, RoamingIndicatorStatus>>,
        0x11 "Data Service Capability" data_service_capability: May<List8<As<u8, DataCapability>>>,
        0x12 "Current PLMN" current_plmn: May<NamedPlmn>,
        0x15 "Roaming Indicator List" roaming_indicator_list: May<List8<RoamingIndicatorOf>>,
        0x16 "Default Roaming Indicator" default_roaming_indicator: May<As<u8, RoamingIndicatorStatus>>,
        0x19 "PLMN Name Flag 3GPP" plmn_name_flag_3gpp: May<Bool>,
        0x1A "Time Zone 3GPP" time_zone_3gpp: May<i8>,
        0x1B "Daylight Saving Time Adjustment 3GPP" daylight_saving_time_adjustment_3gpp: May<u8>,
        0x1C "Universal Time and Local Time Zone 3GPP" universal_time_and_local_time_zone_3gpp: May<UniversalTimeAndZone>,
        0x1D "LAC 3GPP" lac_3gpp: May<u16>,
        0x1E "CID 3GPP" cid_3gpp: May<u32>,
        0x21 "DTM Support" dtm_support: May<Bool>,
        0x22 "Detailed Service Status" detailed_service_status: May<DetailedServiceStatus>,
        0x25 "LTE TAC" lte_tac: May<u16>,
        0x26 "Call Barring Status" call_barring_status: May<CallBarring>,
        0x27 "PLMN Not Changed Indication" plmn_not_changed_indication: May<Bool>,
        0x28 "UMTS Primary Scrambling Code" umts_primary_scrambling_code: May<u16>,
        0x29 "MNC PCS Digit Include Status" mnc_pcs_digit_include_status: May<MccMnc>,
        0x2B "Network Name Source" network_name_source: May<As<u32, NetworkNameSource>>,
    }
    /// Get System Info.
    GetSystemInfo {}
    /// Answer to [`GetSystemInfo`].
    GetSystemInfoResponse {
        0x12 "GSM Service Status" gsm_service_status: May<ServiceStatusInfo>,
        0x13 "WCDMA Service Status" wcdma_service_status: May<ServiceStatusInfo>,
        0x14 "LTE Service Status" lte_service_status: May<ServiceStatusInfo>,
        0x17 "GSM System Info v2" gsm_system_info_v2: May<GsmSystemInfo>,
        0x18 "WCDMA System Info v2" wcdma_system_info_v2: May<WcdmaSystemInfo>,
        0x19 "LTE System Info v2" lte_system_info_v2: May<LteSystemInfo>,
        0x1C "Additional GSM System Info" additional_gsm_system_info: May<AdditionalSystemInfo>,
        0x1D "Additional WCDMA System Info" additional_wcdma_system_info: May<AdditionalSystemInfo>,
        0x1E "Additional LTE System Info" additional_lte_system_info: May<AdditionalLteSystemInfo>,
        0x1F "GSM Call Barring Status" gsm_call_barring_status: May<CallBarring>,
        0x20 "WCDMA Call Barring Status" wcdma_call_barring_status: May<CallBarring>,
        0x21 "LTE Voice Support" lte_voice_support: May<Bool>,
        0x22 "GSM Cipher Domain" gsm_cipher_domain: May<As<u8, NetworkServiceDomain>>,
        0x23 "WCDMA Cipher Domain" wcdma_cipher_domain: May<As<u8, NetworkServiceDomain>>,
        0x26 "LTE eMBMS Coverage Info Support" lte_embms_coverage_info_support: May<Bool>,
        0x27 "SIM Reject Info" sim_reject_info: May<As<u32, SimRejectState>>,
        0x29 "IMS Voice Support" ims_voice_support: May<Bool>,
        0x2A "LTE Voice Domain" lte_voice_domain: May<As<u32, LteVoiceDomain>>,
        0x2C "GSM Routing Area Code" gsm_routing_area_code: May<u8>,
        0x2D "WCDMA Routing Area Code" wcdma_routing_area_code: May<u8>,
        0x2F "Network Selection Registration Restriction" network_selection_registration_restriction: May<As<u32, NetworkSelectionRegistrationRestriction>>,
        0x31 "LTE Registration Domain" lte_registration_domain: May<As<u32, LteRegistrationDomain>>,
        0x34 "LTE eMBMS Coverage Info Trace ID" lte_embms_coverage_info_trace_id: May<u16>,
        0x44 "LTE Cell Access Status" lte_cell_access_status: May<As<u32, LteCellAccessStatus>>,
        0x4A "NR5G Service Status Info" nr5g_service_status_info: May<ServiceStatusInfo>,
        0x4B "NR5G System Info" nr5g_system_info: May<Nr5gSystemInfo>,
        0x4E "EUTRA with NR5G availability" eutra_with_nr5g_availability: May<Bool>,
        0x4F "DCNR restriction Info" dcnr_restriction_info: May<Bool>,
        0x50 "NR5G Tracking Area Code" nr5g_tracking_area_code: May<Tac24>,
    }
    /// System info has changed. TLV numbers differ from those of the response from 0x24 on.
    SystemInfo {
        0x12 "GSM Service Status" gsm_service_status: May<ServiceStatusInfo>,
        0x13 "WCDMA Service Status" wcdma_service_status: May<ServiceStatusInfo>,
        0x14 "LTE Service Status" lte_service_status: May<ServiceStatusInfo>,
        0x17 "GSM System Info v2" gsm_system_info_v2: May<GsmSystemInfo>,
        0x18 "WCDMA System Info v2" wcdma_system_info_v2: May<WcdmaSystemInfo>,
        0x19 "LTE System Info v2" lte_system_info_v2: May<LteSystemInfo>,
        0x1C "Additional GSM System Info" additional_gsm_system_info: May<AdditionalSystemInfo>,
        0x1D "Additional WCDMA System Info" additional_wcdma_system_info: May<AdditionalSystemInfo>,
        0x1E "Additional LTE System Info" additional_lte_system_info: May<AdditionalLteSystemInfo>,
        0x1F "GSM Call Barring Status" gsm_call_barring_status: May<CallBarring>,
        0x20 "WCDMA Call Barring Status" wcdma_call_barring_status: May<CallBarring>,
        0x21 "LTE Voice Support" lte_voice_support: May<Bool>,
        0x22 "GSM Cipher Domain" gsm_cipher_domain: May<As<u8, NetworkServiceDomain>>,
        0x23 "WCDMA Cipher Domain" wcdma_cipher_domain: May<As<u8, NetworkServiceDomain>>,
        0x24 "PLMN Not Changed Indication" plmn_not_changed_indication: May<Bool>,
        0x27 "LTE eMBMS Coverage Info Support" lte_embms_coverage_info_support: May<Bool>,
        0x28 "SIM Reject Info" sim_reject_info: May<As<u32, SimRejectState>>,
        0x4C "NR5G Service Status Info" nr5g_service_status_info: May<ServiceStatusInfo>,
        0x4D "NR5G System Info" nr5g_system_info: May<Nr5gSystemInfo>,
        0x50 "EUTRA with NR5G availability" eutra_with_nr5g_availability: May<Bool>,
        0x51 "DCNR restriction Info" dcnr_restriction_info: May<Bool>,
        0x52 "NR5G Tracking Area Code" nr5g_tracking_area_code: May<Tac24>,
    }
    /// The network refused a registration. TLV 0x02 is no result here.
    NetworkReject {
        0x01 "Radio Interface" radio_interface: Must<As<u8, RadioInterface>>,
        0x02 "Service Domain" service_domain: Must<As<u8, NetworkServiceDomain>>,
        0x03 "Reject Cause" reject_cause: Must<As<u8, RejectCause>>,
        0x10 "PLMN" plmn: May<MccMnc>,
        0x11 "Closed Subscriber Group" closed_subscriber_group: May<u32>,
    }
    /// Scans for networks: 30 to 180 s.
    NetworkScan {
        0x10 "Network Type" network_type: May<As<u8, NetworkScanType>>,
    }
    /// Answer to [`NetworkScan`].
    NetworkScanResponse {
        0x10 "Network Information" network_information: May<List16<ScannedNetwork>>,
        0x11 "Radio Access Technology" radio_access_technology: May<List16<ScannedRadio>>,
        0x12 "MNC PCS Digit Include Status" mnc_pcs_digit_include_status: May<List16<MccMnc>>,
        0x13 "Network Scan Result" network_scan_result: May<As<u32, NetworkScanResult>>,
    }
    /// Get Home Network.
    GetHomeNetwork {}
    /// Answer to [`GetHomeNetwork`].
    GetHomeNetworkResponse {
        0x01 "Home Network" home_network: Must<NamedPlmn>,
        0x10 "Home System ID" home_system_id: May<HomeSystemId>,
        0x12 "Home Network 3GPP MNC" home_network_3gpp_mnc: May<HomeNetworkMnc>,
        0x13 "Network Name Source" network_name_source: May<As<u32, NetworkNameSource>>,
    }
    /// Asks for bands and channels. The extended list has room for channels above 65535.
    GetRfBandInformation {}
    /// Answer to [`GetRfBandInformation`].
    GetRfBandInformationResponse {
        0x01 "List" list: Must<List8<RfBand>>,
        0x11 "Extended List" extended_list: May<List8<RfBandExtended>>,
        0x12 "Bandwidth List" bandwidth_list: May<List8<RfBandwidth>>,
    }
    /// Asks for serving and neighbour cells. RSRP, RSRQ and RSSI in 0.1 dB; `serving_cell_id` is the
    /// physical cell id, and the cells include the serving one.
    GetCellLocationInfo {}
    /// Answer to [`GetCellLocationInfo`].
    GetCellLocationInfoResponse {
        0x10 "GERAN Info v2" geran_info_v2: May<GeranInfo>,
        0x11 "UMTS Info v2" umts_info_v2: May<UmtsInfo>,
        0x13 "Intrafrequency LTE Info v2" intrafrequency_lte_info_v2: May<IntrafrequencyLteInfo>,
        0x14 "Interfrequency LTE Info" interfrequency_lte_info: May<InterfrequencyLteInfo>,
        0x15 "LTE Info Neighboring GSM" lte_info_neighboring_gsm: May<LteInfoNeighboringGsm>,
        0x16 "LTE Info Neighboring WCDMA" lte_info_neighboring_wcdma: May<LteInfoNeighboringWcdma>,
        0x17 "UMTS Cell ID" umts_cell_id: May<u32>,
        0x18 "UMTS Info Neighboring LTE" umts_info_neighboring_lte: May<UmtsInfoNeighboringLte>,
        0x1E "LTE Info Timing Advance" lte_info_timing_advance: May<u32>,
        0x2E "NR5G ARFCN" nr5g_arfcn: May<u32>,
        0x2F "NR5G Cell Information" nr5g_cell_information: May<Nr5gCellInformation>,
    }
    /// Asks for carrier aggregation. TLV 0x12 is one secondary cell, 0x15 all of them.
    GetLteCphyCaInfo {}
    /// Answer to [`GetLteCphyCaInfo`].
    GetLteCphyCaInfoResponse {
        0x11 "DL Bandwidth" dl_bandwidth: May<As<u32, DLBandwidth>>,
        0x12 "Phy CA Agg SCell Info" phy_ca_agg_scell_info: May<SecondaryCell>,
        0x13 "Phy CA Agg PCell Info" phy_ca_agg_pcell_info: May<PrimaryCell>,
        0x14 "SCell index" scell_index: May<u8>,
        0x15 "Phy CA Agg Secondary Cells" phy_ca_agg_secondary_cells: May<List8<IndexedSecondaryCell>>,
    }
    /// Get System Selection Preference.
    GetSystemSelectionPreference {}
    /// Answer to [`GetSystemSelectionPreference`].
    GetSystemSelectionPreferenceResponse {
        0x10 "Emergency mode" emergency_mode: May<Bool>,
        0x11 "Mode Preference" mode_preference: May<As<u16, RatModePreference>>,
        0x12 "Band Preference" band_preference: May<u64>,
        0x14 "Roaming Preference" roaming_preference: May<As<u16, RoamingPreference>>,
        0x15 "LTE Band Preference" lte_band_preference: May<u64>,
        0x16 "Network Selection Preference" network_selection_preference: May<As<u8, NetworkSelectionPreference>>,
        0x18 "Service Domain Preference" service_domain_preference: May<As<u32, ServiceDomainPreference>>,
        0x19 "GSM WCDMA Acquisition Order Preference" gsm_wcdma_acquisition_order_preference: May<As<u32, GsmWcdmaAcquisitionOrderPreference>>,
        0x1B "Manual Network Selection" manual_network_selection: May<MccMnc>,
        0x1C "Acquisition Order Preference" acquisition_order_preference: May<List8<As<i8, RadioInterface>>>,
        0x1D "Network Selection Registration Restriction" network_selection_registration_restriction: May<As<u32, NetworkSelectionRegistrationRestriction>>,
        0x1F "Usage Preference" usage_preference: May<As<u32, UsagePreference>>,
        0x20 "Voice Domain Preference" voice_domain_preference: May<As<u32, VoiceDomainPreference>>,
        0x22 "Disabled Modes" disabled_modes: May<As<u16, RatModePreference>>,
        0x23 "Extended LTE Band Preference" extended_lte_band_preference: May<ExtendedLteBands>,
        0x2C "NR5G SA Band Preference" nr5g_sa_band_preference: May<Nr5gBands>,
        0x2D "NR5G NSA Band Preference" nr5g_nsa_band_preference: May<Nr5gBands>,
    }
    /// Restricts radios, bands and networks. The modem registers anew and a call drops. Say the change
    /// duration: most firmware keeps it for ever.
    SetSystemSelectionPreference {
        0x10 "Emergency mode" emergency_mode: May<Bool>,
        0x11 "Mode Preference" mode_preference: May<As<u16, RatModePreference>>,
        0x12 "Band Preference" band_preference: May<u64>,
        0x14 "Roaming Preference" roaming_preference: May<As<u16, RoamingPreference>>,
        0x15 "LTE Band Preference" lte_band_preference: May<u64>,
        0x16 "Network Selection Preference" network_selection_preference: May<NetworkSelection>,
        0x17 "Change Duration" change_duration: May<As<u8, ChangeDuration>>,
        0x18 "Service Domain Preference" service_domain_preference: May<As<u32, ServiceDomainPreference>>,
        0x19 "GSM WCDMA Acquisition Order Preference" gsm_wcdma_acquisition_order_preference: May<As<u32, GsmWcdmaAcquisitionOrderPreference>>,
        0x1A "MNC PCS Digit Include Status" mnc_pcs_digit_include_status: May<Bool>,
        0x1E "Acquisition Order Preference" acquisition_order_preference: May<List8<As<i8, RadioInterface>>>,
        0x1F "Network Selection Registration Restriction" network_selection_registration_restriction: May<As<u32, NetworkSelectionRegistrationRestriction>>,
        0x21 "Usage Preference" usage_preference: May<As<u32, UsagePreference>>,
        0x23 "Voice Domain Preference" voice_domain_preference: May<As<u32, VoiceDomainPreference>>,
        0x24 "Extended LTE Band Preference" extended_lte_band_preference: May<ExtendedLteBands>,
        0x2F "NR5G SA Band Preference" nr5g_sa_band_preference: May<Nr5gBands>,
        0x30 "NR5G NSA Band Preference" nr5g_nsa_band_preference: May<Nr5gBands>,
    }
    /// Get Tx Rx Info.
    GetTxRxInfo {
        0x01 "Radio Interface" radio_interface: Must<As<i8, RadioInterface>>,
    }
    /// Answer to [`GetTxRxInfo`].
    GetTxRxInfoResponse {
        0x10 "Rx Chain 0 Info" rx_chain_0_info: May<RxChain>,
        0x11 "Rx Chain 1 Info" rx_chain_1_info: May<RxChain>,
        0x12 "Tx Info" tx_info: May<TxChain>,
        0x15 "Rx Chain 2 Info" rx_chain_2_info: May<RxChain>,
        0x16 "Rx Chain 3 Info" rx_chain_3_info: May<RxChain>,
    }
    /// Initiate Network Register.
    InitiateNetworkRegister {
        0x01 "Action" action: Must<As<u8, NetworkRegisterType>>,
        0x10 "Manual Registration Info 3GPP" manual_registration_info_3gpp: May<ScannedRadio>,
        0x11 "Change Duration" change_duration: May<As<u8, ChangeDuration>>,
        0x12 "MNC PCS Digit Include Status" mnc_pcs_digit_include_status: May<Bool>,
    }
    /// Attaches to or detaches from packet service.
    AttachDetach {
        0x10 "Action" action: Must<As<u8, PsAttachAction>>,
    }
    /// Force Network Search.
    ForceNetworkSearch {}
    /// Get Operator Name.
    GetOperatorName {}
    /// Operator Name.
    OperatorName {
        0x10 "Service Provider Name" service_provider_name: May<ServiceProviderName>,
        0x11 "Operator PLMN List" operator_plmn_list: May<List16<OperatorPlmn>>,
        0x12 "Operator PLMN Name" operator_plmn_name: May<List8<OperatorPlmnName>>,
        0x13 "Operator String Name" operator_string_name: May<Text>,
        0x14 "NITZ Information" nitz_information: May<OperatorPlmnName>,
    }
    /// Get PLMN Name.
    GetPlmnName {
        0x01 "PLMN" plmn: Must<PlainMccMnc>,
        0x10 "Suppress SIM Error" suppress_sim_error: May<Bool>,
        0x11 "MNC PCS Digit Include Status" mnc_pcs_digit_include_status: May<Bool>,
        0x12 "Always Send PLMN Name" always_send_plmn_name: May<Bool>,
        0x13 "Use Static Table Only" use_static_table_only: May<Bool>,
        0x14 "CSG ID" csg_id: May<u32>,
        0x15 "Radio Access Technology" radio_access_technology: May<As<u8, RadioInterface>>,
        0x16 "Send All Information" send_all_information: May<Bool>,
    }
    /// Answer to [`GetPlmnName`].
    GetPlmnNameResponse {
        0x10 "3GPP EONS PLMN Name" eons_plmn_name: May<EonsPlmnName>,
        0x11 "Display Bit Information" display_bit_information: May<DisplayBitInformation>,
        0x12 "Network Information" network_information: May<As<u32, Boolean>>,
        0x13 "PLMN Name With Language Id" plmn_name_with_language_id: May<List8<PlmnNameWithLanguageId>>,
        0x14 "Additional Information" additional_information: May<List8<u16>>,
        0x15 "Network Name Source" network_name_source: May<As<u32, NetworkNameSource>>,
    }
    /// Network Time.
    NetworkTime {
        0x01 "Universal Time" universal_time: Must<UniversalTime>,
        0x10 "Timezone Offset" timezone_offset: May<i8>,
        0x11 "Daylight Savings Adjustment" daylight_savings_adjustment: May<As<u8, DaylightSavingsAdjustment>>,
        0x12 "Radio Interface" radio_interface: May<As<i8, RadioInterface>>,
    }
    /// Asks a Sierra module for its temperature, mode and EMM state.
    SwiGetStatus {}
    /// Answer to [`SwiGetStatus`].
    SwiGetStatusResponse {
        0x01 "Common Info v2" common_info_v2: Must<SwiCommonInfo>,
        0x10 "LTE Info" lte_info: May<SwiLteInfo>,
    }
}
