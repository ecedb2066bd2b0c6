//! WDA, service 0x1A: how packets are framed on the data endpoint.

use super::layout::{As, Bool, layout, open_enum};
use super::message::{May, body, service};

service! {
    Wda
    requests {
        0x0020 "Set Data Format" SetDataFormat => DataFormat;
        0x0021 "Get Data Format" GetDataFormat => DataFormat;
    }
    indications {
    }
}

body! {
    /// Chooses the framing; only while no call is up. The response says what the firmware really selected:
    /// compare, do not assume. Newer (PCIe, multi-endpoint) modems demand the endpoint.
    SetDataFormat {
        0x10 "QoS Format" qos_format: May<Bool>,
        0x11 "Link Layer Protocol" link_layer_protocol: May<As<u32, LinkLayerProtocol>>,
        0x12 "Uplink Data Aggregation Protocol" uplink_data_aggregation_protocol: May<As<u32, DataAggregationProtocol>>,
        0x13 "Downlink Data Aggregation Protocol" downlink_data_aggregation_protocol: May<As<u32, DataAggregationProtocol>>,
        0x14 "NDP Signature" ndp_signature: May<u32>,
        0x15 "Downlink Data Aggregation Max Datagrams" downlink_data_aggregation_max_datagrams: May<u32>,
        0x16 "Downlink Data Aggregation Max Size" downlink_data_aggregation_max_size: May<u32>,
        0x17 "Endpoint Info" endpoint_info: May<EndpointInfo>,
        0x1B "Uplink Data Aggregation Max Datagrams" uplink_data_aggregation_max_datagrams: May<u32>,
        0x1C "Uplink Data Aggregation Max Size" uplink_data_aggregation_max_size: May<u32>,
    }
    /// The framing in use, answer to [`SetDataFormat`] and [`GetDataFormat`].
    DataFormat {
        0x10 "QoS Format" qos_format: May<Bool>,
        0x11 "Link Layer Protocol" link_layer_protocol: May<As<u32, LinkLayerProtocol>>,
        0x12 "Uplink Data Aggregation Protocol" uplink_data_aggregation_protocol: May<As<u32, DataAggregationProtocol>>,
        0x13 "Downlink Data Aggregation Protocol" downlink_data_aggregation_protocol: May<As<u32, DataAggregationProtocol>>,
        0x14 "NDP Signature" ndp_signature: May<u32>,
        0x15 "Downlink Data Aggregation Max Datagrams" downlink_data_aggregation_max_datagrams: May<u32>,
        0x16 "Downlink Data Aggregation Max Size" downlink_data_aggregation_max_size: May<u32>,
        0x17 "Uplink Data Aggregation Max Datagrams" uplink_data_aggregation_max_datagrams: May<u32>,
        0x18 "Uplink Data Aggregation Max Size" uplink_data_aggregation_max_size: May<u32>,
        0x1A "Download Minimum Padding" download_minimum_padding: May<u32>,
        0x1B "Flow Control" flow_control: May<u8>,
    }
    /// Asks for the framing in use. Newer modems demand the endpoint.
    GetDataFormat {
        0x10 "Endpoint Info" endpoint_info: May<EndpointInfo>,
    }
}

layout! {
    /// Which data endpoint; for USB the interface number of the data function.
    EndpointInfo {
        endpoint_type: As<u32, DataEndpointType>,
        interface_number: u32,
    }
}

open_enum! {
    /// Data endpoint type.
    DataEndpointType {
        0 Unknown "unknown",
        1 Hsic "hsic",
        2 Hsusb "hsusb",
        3 Pcie "pcie",
        4 Embedded "embedded",
        5 BamDmux "bam-dmux",
        6 Ethernet "ethernet",
        255 Undefined "undefined",
    }
    /// Data aggregation protocol.
    DataAggregationProtocol {
        0 Disabled "disabled",
        1 Tlp "tlp",
        2 QcNcm "qc-ncm",
        3 Mbim "mbim",
        4 Rndis "rndis",
        5 Qmap "qmap",
        6 Qmapv2 "qmapv2",
        7 Qmapv3 "qmapv3",
        8 Qmapv4 "qmapv4",
        9 Qmapv5 "qmapv5",
    }
    /// Link layer protocol.
    LinkLayerProtocol {
        0 Unknown "unknown",
        1 Ieee8023 "802-3",
        2 RawIp "raw-ip",
        3 EthernetPdu "ethernet-pdu",
    }
}
