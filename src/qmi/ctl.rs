//! CTL, service 0x00: client ids, synchronisation, versions. Its client id is always 0.

use super::Service;
use super::layout::{As, List8, Text, layout, open_enum};
use super::message::{Done, May, Must, body, service};

service! {
    Ctl
    requests {
        0x0027 "Sync" Sync => Done;
        0x0021 "Get Version Info" GetVersionInfo => GetVersionInfoResponse;
        0x0022 "Allocate CID" AllocateCid => AllocateCidResponse;
        0x0023 "Release CID" ReleaseCid => ReleaseCidResponse;
        0x0026 "Set Data Format" SetDataFormat => SetDataFormatResponse;
        0x0020 "Set Instance ID" SetInstanceId => SetInstanceIdResponse;
        0xFF00 "Internal Proxy Open" ProxyOpen => Done;
    }
    indications {
        0x0027 "Sync" SyncIndication;
    }
}

body! {
    /// Sync. Frees all CIDs, see 1.6
    Sync {}
    /// Sync.
    SyncIndication {}
    /// Get Version Info. Versions are major/minor pairs; the list also includes CTL itself
    GetVersionInfo {}
    /// Answer to [`GetVersionInfo`].
    GetVersionInfoResponse {
        0x01 "Service list" service_list: Must<List8<ServiceVersion>>,
    }
    /// Allocate CID.  Service `u8:Service` — rsp: 01
    AllocateCid {
        0x01 "Service" service: Must<As<u8, Service>>,
    }
    /// Answer to [`AllocateCid`].
    AllocateCidResponse {
        0x01 "Allocation Info" allocation_info: Must<ClientId>,
    }
    /// Release CID.  Release Info `service u8:Service, cid u8` — rsp: 01
    ReleaseCid {
        0x01 "Release Info" release_info: Must<ClientId>,
    }
    /// Answer to [`ReleaseCid`].
    ReleaseCidResponse {
        0x01 "Release Info" release_info: Must<ClientId>,
    }
    /// Set Data Format. Old (pre-WDA) way to choose 802.3/raw-ip: format 0 = no QoS header, 1 = QoS header;
    /// protocol 1 = 802.3, 2 = raw-ip. Newer modems answer 71/94; use WDA  Format `u8:CtlDataFormat` · 10
    /// Protocol `u16:CtlDataLinkProtocol` — rsp: 10
    SetDataFormat {
        0x01 "Format" format: Must<As<u8, DataFormat>>,
        0x10 "Protocol" protocol: May<As<u16, DataLinkProtocol>>,
    }
    /// Answer to [`SetDataFormat`].
    SetDataFormatResponse {
        0x10 "Protocol" protocol: Must<As<u16, DataLinkProtocol>>,
    }
    /// Set Instance ID.  ID `u8` — rsp: 01
    SetInstanceId {
        0x01 "ID" id: Must<u8>,
    }
    /// Answer to [`SetInstanceId`].
    SetInstanceIdResponse {
        0x01 "Link ID" link_id: Must<u16>,
    }
    /// Internal Proxy Open. Only understood by qmi-proxy
    ProxyOpen {
        0x01 "Device Path" device_path: Must<Text>,
    }
}

layout! {
    /// Service list.
    ServiceVersion {
        service: As<u8, Service>,
        major_version: u16,
        minor_version: u16,
    }
    /// Allocation Info.
    ClientId {
        service: As<u8, Service>,
        cid: u8,
    }
}

open_enum! {
    /// DataFormat.
    DataFormat {
        0 QosHeaderAbsent "qos-header-absent",
        1 QosHeaderPresent "qos-header-present",
    }
    /// DataLinkProtocol.
    DataLinkProtocol {
        1 Ieee8023 "802-3",
        2 RawIp "raw-ip",
    }
}
