//! Structs inside TLVs.

use super::super::band::ActiveBand;
use super::super::cause::RejectCause;
use super::super::layout::{As, Bool, Bytes8, Digits3, List8, Plmn, Tac24, Text8, Valid, layout};
use super::values::{
    AttachState, Boolean, CallBarringStatus, CellBroadcastCapability, DLBandwidth, DayOfWeek,
    NetworkDescriptionEncoding, NetworkNameDisplayCondition, NetworkSelectionPreference,
    NetworkServiceDomain, NetworkStatus, NetworkType, RadioInterface, RegistrationState,
    RoamingIndicatorStatus, RoamingStatus, ScellState, ServiceStatus, SwiEmmConnectionState, SwiEmmState,
    SwiImsRegState, SwiModemMode, SwiPsState, SwiSystemMode, WcdmaHsService, WcdmaRrcState,
};

layout! {
    /// Which indications a refusal brings.
    NetworkRejectReporting {
        enable_network_reject_indications: Bool,
        suppress_system_info_indications: Bool,
    }
    /// How often, and averaged over what.
    ReportRate {
        rate: u8,
        average_period: u8,
    }
    /// WCDMA signal.
    WcdmaSignalStrength {
        /// dBm.
        rssi: i8,
        /// -0.5 dB.
        ecio: i16,
    }
    /// LTE signal; [`reading`](Self::reading) gives it without sentinels.
    LteSignalStrength {
        /// dBm, of the whole channel.
        rssi: i8,
        /// dB.
        rsrq: i8,
        /// dBm.
        rsrp: i16,
        /// 0.1 dB.
        snr: i16,
    }
    /// NR signal.
    Nr5gSignalStrength {
        /// dBm; -32768 while no NR cell is in use.
        rsrp: i16,
        /// 0.1 dB.
        snr: i16,
    }
    /// Signal strength of one radio, dBm.
    StrengthOf {
        strength: i8,
        radio_interface: As<i8, RadioInterface>,
    }
    /// RSSI of one radio, -dBm.
    RssiOf {
        rssi: u8,
        radio_interface: As<i8, RadioInterface>,
    }
    /// Ec/Io of one radio, -0.5 dB.
    EcioOf {
        ecio: u8,
        radio_interface: As<i8, RadioInterface>,
    }
    /// Error rate of one radio.
    ErrorRateOf {
        rate: u16,
        radio_interface: As<i8, RadioInterface>,
    }
    /// RSRQ of one radio, dB.
    RsrqOf {
        rsrq: i8,
        radio_interface: As<i8, RadioInterface>,
    }
    /// State of the registration.
    Registration {
        registration_state: As<u8, RegistrationState>,
        cs_attach_state: As<u8, AttachState>,
        ps_attach_state: As<u8, AttachState>,
        selected_network: As<u8, NetworkType>,
        radio_interfaces: List8<As<i8, RadioInterface>>,
    }
    /// A network by number and name.
    NamedPlmn {
        mcc: u16,
        mnc: u16,
        description: Text8,
    }
    /// Roaming on one radio.
    RoamingIndicatorOf {
        radio_interface: As<u8, RadioInterface>,
        roaming_indicator: As<u8, RoamingIndicatorStatus>,
    }
    /// What service there is.
    DetailedServiceStatus {
        status: As<u8, ServiceStatus>,
        capability: As<u8, NetworkServiceDomain>,
        hdr_status: As<u8, ServiceStatus>,
        hdr_hybrid: Bool,
        forbidden: Bool,
    }
    /// Call Barring Status.
    CallBarring {
        cs_status: As<i32, CallBarringStatus>,
        ps_status: As<i32, CallBarringStatus>,
    }
    /// A network by number.
    MccMnc {
        mcc: u16,
        mnc: u16,
        /// Whether the MNC has three digits.
        includes_pcs_digit: Bool,
    }
    /// Universal Time and Local Time Zone 3GPP.
    UniversalTimeAndZone {
        year: u16,
        month: u8,
        day: u8,
        hour: u8,
        minute: u8,
        second: u8,
        time_zone: u8,
    }
    /// Service on one radio.
    ServiceStatusInfo {
        service_status: As<u8, ServiceStatus>,
        true_service_status: As<u8, ServiceStatus>,
        preferred_data_path: Bool,
    }
    /// GSM System Info v2.
    GsmSystemInfo {
        domain: Valid<As<u8, NetworkServiceDomain>>,
        service_capability: Valid<As<u8, NetworkServiceDomain>>,
        roaming_status: Valid<As<u8, RoamingStatus>>,
        forbidden: Valid<Bool>,
        lac: Valid<u16>,
        cid: Valid<u32>,
        reject: Valid<Reject>,
        network_id: Valid<NetworkId>,
        egprs_support: Valid<Bool>,
        dtm_support: Valid<Bool>,
    }
    /// Why the network refused, and for which domain.
    Reject {
        domain: As<u8, NetworkServiceDomain>,
        cause: As<u8, RejectCause>,
    }
    /// A network by digits.
    NetworkId {
        mcc: Digits3,
        mnc: Digits3,
    }
    /// WCDMA System Info v2.
    WcdmaSystemInfo {
        domain: Valid<As<u8, NetworkServiceDomain>>,
        service_capability: Valid<As<u8, NetworkServiceDomain>>,
        roaming_status: Valid<As<u8, RoamingStatus>>,
        forbidden: Valid<Bool>,
        lac: Valid<u16>,
        cid: Valid<u32>,
        reject: Valid<Reject>,
        network_id: Valid<NetworkId>,
        hs_call_status: Valid<As<u8, WcdmaHsService>>,
        hs_service: Valid<As<u8, WcdmaHsService>>,
        primary_scrambling_code: Valid<u16>,
    }
    /// LTE System Info v2.
    LteSystemInfo {
        domain: Valid<As<u8, NetworkServiceDomain>>,
        service_capability: Valid<As<u8, NetworkServiceDomain>>,
        roaming_status: Valid<As<u8, RoamingStatus>>,
        forbidden: Valid<Bool>,
        lac: Valid<u16>,
        cid: Valid<u32>,
        reject: Valid<Reject>,
        network_id: Valid<NetworkId>,
        tac: Valid<u16>,
    }
    /// Additional GSM System Info.
    AdditionalSystemInfo {
        geo_system_index: u16,
        cell_broadcast_support: As<u32, CellBroadcastCapability>,
    }
    /// Additional LTE System Info.
    AdditionalLteSystemInfo {
        geo_system_index: u16,
    }
    /// NR5G System Info.
    Nr5gSystemInfo {
        domain: Valid<As<u8, NetworkServiceDomain>>,
        service_capability: Valid<As<u8, NetworkServiceDomain>>,
        roaming_status: Valid<As<u8, RoamingStatus>>,
        forbidden: Valid<Bool>,
        lac: Valid<u16>,
        cid: Valid<u32>,
        reject: Valid<Nr5gReject>,
        network_id: Valid<NetworkId>,
        tac: Valid<u16>,
    }
    /// NR5G System Info.
    Nr5gReject {
        domain: As<u8, NetworkServiceDomain>,
        cause: u8,
    }
    /// Network Information.
    ScannedNetwork {
        mcc: u16,
        mnc: u16,
        network_status: As<u8, NetworkStatus>,
        description: Text8,
    }
    /// Radio Access Technology.
    ScannedRadio {
        mcc: u16,
        mnc: u16,
        radio_interface: As<i8, RadioInterface>,
    }
    /// Home System ID.
    HomeSystemId {
        sid: u16,
        nid: u16,
    }
    /// Home Network 3GPP MNC.
    HomeNetworkMnc {
        is_3gpp: Bool,
        includes_pcs_digit: Bool,
    }
    /// List.
    RfBand {
        radio_interface: As<i8, RadioInterface>,
        active_band_class: As<u16, ActiveBand>,
        active_channel: u16,
    }
    /// Extended List.
    RfBandExtended {
        radio_interface: As<i8, RadioInterface>,
        active_band_class: As<u16, ActiveBand>,
        active_channel: u32,
    }
    /// Bandwidth List.
    RfBandwidth {
        radio_interface: As<i8, RadioInterface>,
        bandwidth: As<u32, DLBandwidth>,
    }
    /// GERAN Info v2.
    GeranInfo {
        cell_id: u32,
        plmn: Plmn,
        lac: u16,
        arfcn: u16,
        base_station_identity_code: u8,
        timing_advance: u32,
        rx_level: u16,
        cell: List8<GeranCell>,
    }
    /// GERAN Info v2.
    GeranCell {
        cell_id: u32,
        plmn: Plmn,
        lac: u16,
        arfcn: u16,
        base_station_identity_code: u8,
        rx_level: u16,
    }
    /// UMTS Info v2.
    UmtsInfo {
        cell_id: u16,
        plmn: Plmn,
        lac: u16,
        uarfcn: u16,
        primary_scrambling_code: u16,
        rscp: i16,
        ecio: i16,
        cell: List8<UmtsCell>,
        neighboring_geran: List8<NeighboringGeranCell>,
    }
    /// UMTS Info v2.
    UmtsCell {
        uarfcn: u16,
        primary_scrambling_code: u16,
        rscp: i16,
        ecio: i16,
    }
    /// UMTS Info v2.
    NeighboringGeranCell {
        arfcn: u16,
        network_color_code: u8,
        base_station_color_code: u8,
        rssi: i16,
    }
    /// Serving LTE cell and its neighbours on the same channel.
    IntrafrequencyLteInfo {
        ue_in_idle: Bool,
        plmn: Plmn,
        tracking_area_code: u16,
        /// 28 bits: eNodeB id and, in the low 8, the sector.
        global_cell_id: u32,
        earfcn: u16,
        /// Physical cell id of the serving cell.
        serving_cell_id: u16,
        cell_reselection_priority: u8,
        s_non_intra_search_threshold: u8,
        serving_cell_low_threshold: u8,
        s_intra_search_threshold: u8,
        cell: List8<LteCell>,
    }
    /// One cell as the modem hears it.
    LteCell {
        physical_cell_id: u16,
        /// 0.1 dB.
        rsrq: i16,
        /// 0.1 dBm.
        rsrp: i16,
        /// 0.1 dBm.
        rssi: i16,
        cell_selection_rx_level: i16,
    }
    /// Interfrequency LTE Info.
    InterfrequencyLteInfo {
        ue_in_idle: Bool,
        frequency: List8<LteFrequency>,
    }
    /// Interfrequency LTE Info.
    LteFrequency {
        earfcn: u16,
        cell_selection_rx_level_low_threshold: u8,
        cell_selection_rx_level_high_threshold: u8,
        cell_reselection_priority: u8,
        cell: List8<LteCell>,
    }
    /// LTE Info Neighboring GSM.
    LteInfoNeighboringGsm {
        ue_in_idle: Bool,
        frequency: List8<GsmFrequency>,
    }
    /// LTE Info Neighboring GSM.
    GsmFrequency {
        cell_reselection_priority: u8,
        cell_reselection_high_threshold: u8,
        cell_reselection_low_threshold: u8,
        ncc_permitted: u8,
        cell: List8<GsmCell>,
    }
    /// LTE Info Neighboring GSM.
    GsmCell {
        arfcn: u16,
        band_is_1900: Bool,
        cell_id_valid: Bool,
        base_station_identity_code: u8,
        rssi: i16,
        cell_selection_rx_level: i16,
    }
    /// LTE Info Neighboring WCDMA.
    LteInfoNeighboringWcdma {
        ue_in_idle: Bool,
        frequency: List8<WcdmaFrequency>,
    }
    /// LTE Info Neighboring WCDMA.
    WcdmaFrequency {
        uarfcn: u16,
        cell_reselection_priority: u8,
        cell_reselection_high_threshold: u16,
        cell_reselection_low_threshold: u16,
        cell: List8<WcdmaCell>,
    }
    /// LTE Info Neighboring WCDMA.
    WcdmaCell {
        primary_scrambling_code: u16,
        cpich_rscp: i16,
        cpich_ecno: i16,
        cell_selection_rx_level: i16,
    }
    /// UMTS Info Neighboring LTE.
    UmtsInfoNeighboringLte {
        rrc_state: As<u32, WcdmaRrcState>,
        frequency: List8<UmtsLteFrequency>,
    }
    /// UMTS Info Neighboring LTE.
    UmtsLteFrequency {
        earfcn: u16,
        physical_cell_id: u16,
        rsrp: f32,
        rsrq: f32,
        cell_selection_rx_level: i16,
        is_tdd: Bool,
    }
    /// NR5G Cell Information.
    Nr5gCellInformation {
        plmn: Plmn,
        tracking_area_code: Tac24,
        global_cell_id: u64,
        physical_cell_id: u16,
        rsrq: i16,
        rsrp: i16,
        snr: i16,
    }
    /// Phy CA Agg SCell Info.
    SecondaryCell {
        physical_cell_id: u16,
        rx_channel: u16,
        dl_bandwidth: As<u32, DLBandwidth>,
        lte_band: As<u16, ActiveBand>,
        state: As<u32, ScellState>,
    }
    /// Phy CA Agg PCell Info.
    PrimaryCell {
        physical_cell_id: u16,
        rx_channel: u16,
        dl_bandwidth: As<u32, DLBandwidth>,
        lte_band: As<u16, ActiveBand>,
    }
    /// Phy CA Agg Secondary Cells.
    IndexedSecondaryCell {
        physical_cell_id: u16,
        rx_channel: u16,
        dl_bandwidth: As<u32, DLBandwidth>,
        lte_band: As<u16, ActiveBand>,
        state: As<u32, ScellState>,
        cell_index: u8,
    }
    /// Extended LTE Band Preference.
    ExtendedLteBands {
        mask_low: u64,
        mask_mid_low: u64,
        mask_mid_high: u64,
        mask_high: u64,
    }
    /// NR5G SA Band Preference.
    Nr5gBands {
        mask_0: u64,
        mask_1: u64,
        mask_2: u64,
        mask_3: u64,
        mask_4: u64,
        mask_5: u64,
        mask_6: u64,
        mask_7: u64,
    }
    /// Network Selection Preference.
    NetworkSelection {
        mode: As<u8, NetworkSelectionPreference>,
        mcc: u16,
        mnc: u16,
    }
    /// One receive antenna.
    RxChain {
        is_radio_tuned: Bool,
        /// 0.1 dBm.
        rx_power: i32,
        ecio: i32,
        rscp: i32,
        /// 0.1 dBm.
        rsrp: i32,
        /// 0.01 degrees; all ones: unknown.
        phase: u32,
    }
    /// Tx Info.
    TxChain {
        is_in_traffic: Bool,
        tx_power: i32,
    }
    /// Service Provider Name.
    ServiceProviderName {
        name_display_condition: As<u8, NetworkNameDisplayCondition>,
        name: Text8,
    }
    /// Operator PLMN List.
    OperatorPlmn {
        mcc: Digits3,
        mnc: Digits3,
        lac1: u16,
        lac2: u16,
        plmn_name_record_identifier: u8,
    }
    /// Operator PLMN Name.
    OperatorPlmnName {
        name_encoding: u8,
        short_country_initials: u8,
        long_name_spare_bits: u8,
        short_name_spare_bits: u8,
        long_name: Bytes8,
        short_name: Bytes8,
    }
    /// PLMN.
    PlainMccMnc {
        mcc: u16,
        mnc: u16,
    }
    /// 3GPP EONS PLMN Name.
    EonsPlmnName {
        service_provider_name_encoding: As<u8, NetworkDescriptionEncoding>,
        service_provider_name: Bytes8,
        short_name_encoding: As<u8, NetworkDescriptionEncoding>,
        short_name_country_initials: u8,
        short_name_spare_bits: u8,
        short_name: Bytes8,
        long_name_encoding: As<u8, NetworkDescriptionEncoding>,
        long_name_country_initials: u8,
        long_name_spare_bits: u8,
        long_name: Bytes8,
    }
    /// Display Bit Information.
    DisplayBitInformation {
        service_provider_name_set: As<u32, Boolean>,
        plmn_name_set: As<u32, Boolean>,
    }
    /// PLMN Name With Language Id.
    PlmnNameWithLanguageId {
        long_name: List8<u16>,
        short_name: List8<u16>,
        language_id: u32,
    }
    /// Universal Time.
    UniversalTime {
        year: u16,
        month: u8,
        day: u8,
        hour: u8,
        minute: u8,
        second: u8,
        day_of_week: As<u8, DayOfWeek>,
    }
    /// Common Info v2.
    SwiCommonInfo {
        temperature: i8,
        modem_mode: As<u8, SwiModemMode>,
        system_mode: As<u8, SwiSystemMode>,
        ims_registration_state: As<u8, SwiImsRegState>,
        packet_service_state: As<u8, SwiPsState>,
    }
    /// LTE Info.
    SwiLteInfo {
        band: As<u8, ActiveBand>,
        bandwidth: As<u8, DLBandwidth>,
        rx_channel: u16,
        tx_channel: u16,
        emm_state: As<u8, SwiEmmState>,
        emm_sub_state: u8,
        emm_connection_state: As<u8, SwiEmmConnectionState>,
    }
}
