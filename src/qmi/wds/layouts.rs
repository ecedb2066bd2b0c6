//! Structs inside TLVs.

use serde_json::{Value, json};

use super::super::layout::{As, Bool, Bytes8, Codec, Coded, Ipv6, List8, Text8, layout};
use super::super::tlv::{EndedEarly, Reader};
use super::values::{
    ConnectionStatus, DataCallType, DataSystemNetworkType, ExtendedDataBearerTechnology3gpp,
    ExtendedDataBearerTechnology3gpp2, NetworkType, ProfileFamily, ProfileType, RadioAccessTechnology,
    Rat3gpp, SetEventReportTransferStatistics, TetheredCallType,
};

layout! {
    /// Whether the session is up, and whether its settings have changed.
    PacketServiceState {
        status: As<u8, ConnectionStatus>,
        reconfiguration_required: Bool,
    }
    /// Current and highest rates.
    ChannelRates {
        channel_tx_rate_bps: u32,
        channel_rx_rate_bps: u32,
        max_channel_tx_rate_bps: u32,
        max_channel_rx_rate_bps: u32,
    }
    /// UMTS quality of service.
    UmtsQos {
        traffic_class: u8,
        max_ul: u32,
        max_dl: u32,
        guaranteed_ul: u32,
        guaranteed_dl: u32,
        delivery_order: u8,
        max_sdu: u32,
        sdu_error_ratio: u8,
        residual_ber: u8,
        deliver_erroneous: u8,
        transfer_delay: u32,
        priority: u32,
    }
    /// GPRS quality of service.
    GprsQos {
        precedence: u32,
        delay: u32,
        reliability: u32,
        peak: u32,
        mean: u32,
    }
    /// A profile by type and index.
    ProfileId {
        profile_type: As<u8, ProfileType>,
        profile_index: u8,
    }
    /// An IPv6 address with the length of its prefix.
    Ipv6Prefix {
        address: Ipv6,
        prefix_length: u8,
    }
    /// Operator Reserved PCO.
    OperatorReservedPco {
        mcc: u16,
        mnc: u16,
        mnc_includes_pcs_digit: Bool,
        app_specific_info: Bytes8,
        container_id: u16,
    }
    /// Which statistics to report, and how often.
    TransferStatistics {
        interval_seconds: u8,
        indicators: As<i32, SetEventReportTransferStatistics>,
    }
    /// Rates, bit/s.
    CurrentChannelRates {
        tx_rate_bps: i32,
        rx_rate_bps: i32,
    }
    /// Data Call Type.
    DataCallTypes {
        data_call_type: As<u8, DataCallType>,
        tethered_call_type: As<u8, TetheredCallType>,
    }
    /// Data Systems.
    DataSystems {
        preferred_network_type: As<u8, DataSystemNetworkType>,
        networks: List8<DataSystemOf>,
    }
    /// One network and its radios.
    DataSystemOf {
        network_type: As<u8, DataSystemNetworkType>,
        rat_mask: u32,
        so_mask: u32,
    }
    /// PDN Filters Removed.
    PdnFilters {
        pdn_filter_handler: List8<u32>,
    }
    /// Extended Data Bearer Technology.
    ExtendedBearerTechnology {
        data_bearer_technology: As<u32, DataSystemNetworkType>,
        radio_access_technology: As<u32, RadioAccessTechnology>,
        extended_data_bearer_technology_3gpp: As<u16, ExtendedDataBearerTechnology3gpp>,
        reserved1: u8,
        extended_data_bearer_technology_3gpp2: As<u16, ExtendedDataBearerTechnology3gpp2>,
        reserved2: u8,
        reserved3: u8,
        reserved4: u8,
    }
    /// A profile by name.
    ListedProfile {
        profile_type: As<u8, ProfileType>,
        profile_index: u8,
        profile_name: Text8,
    }
    /// UMTS Requested QoS With Signaling Indication Flag.
    UmtsQosWithSignaling {
        traffic_class: u8,
        max_ul: u32,
        max_dl: u32,
        guaranteed_ul: u32,
        guaranteed_dl: u32,
        delivery_order: u8,
        max_sdu: u32,
        sdu_error_ratio: u8,
        residual_ber: u8,
        deliver_erroneous: u8,
        transfer_delay: u32,
        priority: u32,
        signaling_indication: i8,
    }
    /// LTE QoS Parameters.
    LteQos {
        qos_class_identifier: u8,
        guaranteed_downlink_bitrate: u32,
        max_downlink_bitrate: u32,
        guaranteed_uplink_bitrate: u32,
        max_uplink_bitrate: u32,
    }
    /// VLAN ID Type.
    VlanIdRange {
        vlan_id_range_start: u16,
        vlan_id_range_end: u16,
    }
    /// Profile Type.
    ProfileTypeAndFamily {
        profile_type: As<u8, ProfileType>,
        family: As<u8, ProfileFamily>,
    }
    /// A profile as the default of its type and family.
    DefaultProfile {
        profile_type: As<u8, ProfileType>,
        family: As<u8, ProfileFamily>,
        index: u8,
    }
    /// Whether and for how long the modem refuses to dial an APN.
    PdnThrottle {
        ipv4_throttled: Bool,
        ipv6_throttled: Bool,
        ipv4_throttle_time_left_ms: u32,
        ipv6_throttle_time_left_ms: u32,
        apn: Text8,
    }
}

/// What radio carries the session.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BearerTechnology {
    /// Whose masks the next two are.
    pub network_type: NetworkType,
    /// Radio access technologies: [`Rat3gpp`] in a 3GPP network.
    pub rat_mask: u32,
    /// Service options, 3GPP2 only.
    pub so_mask: u32,
}

impl BearerTechnology {
    /// The radio access technologies, in a 3GPP network.
    #[must_use]
    pub fn rat_3gpp(&self) -> Option<Rat3gpp> {
        (self.network_type == NetworkType::ThreeGpp).then_some(Rat3gpp(self.rat_mask.into()))
    }
}

impl Codec for BearerTechnology {
    type Value = Self;

    fn read(reader: &mut Reader<'_>) -> Result<Self, EndedEarly> {
        let network_type = As::<u8, NetworkType>::read(reader)?;
        Ok(Self { network_type, rat_mask: u32::read(reader)?, so_mask: u32::read(reader)? })
    }

    fn write(value: &Self, out: &mut Vec<u8>) {
        As::<u8, NetworkType>::write(&value.network_type, out);
        u32::write(&value.rat_mask, out);
        u32::write(&value.so_mask, out);
    }

    fn json(value: &Self) -> Value {
        let rat = value.rat_3gpp().map_or_else(|| json!(value.rat_mask), Coded::json);
        json!({ "network_type": value.network_type.json(), "rat_mask": rat, "so_mask": value.so_mask })
    }
}
