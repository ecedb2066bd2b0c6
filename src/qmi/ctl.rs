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
    /// Frees all client ids of all programs on this control port and drops the calls they own. Only for the
    /// sole owner, at start-up.
    Sync {}
    /// The modem has rebooted: all client ids are gone.
    SyncIndication {}
    /// Asks which services there are, CTL among them, in which versions. Answered before anything is
    /// allocated: the usual probe for life.
    GetVersionInfo {}
    /// Answer to [`GetVersionInfo`].
    GetVersionInfoResponse {
        0x01 "Service list" service_list: Must<List8<ServiceVersion>>,
    }
    /// Asks for a client id of a service. It lives in the modem until it is released, not in the open file.
    AllocateCid {
        0x01 "Service" service: Must<As<u8, Service>>,
    }
    /// Answer to [`AllocateCid`].
    AllocateCidResponse {
        0x01 "Allocation Info" allocation_info: Must<ClientId>,
    }
    /// Gives a client id back; what it registered for and the calls it owns go with it.
    ReleaseCid {
        0x01 "Release Info" release_info: Must<ClientId>,
    }
    /// Answer to [`ReleaseCid`].
    ReleaseCidResponse {
        0x01 "Release Info" release_info: Must<ClientId>,
    }
    /// The way to choose 802.3 or raw-ip before there was WDA; newer modems refuse it.
    SetDataFormat {
        0x01 "Format" format: Must<As<u8, DataFormat>>,
        0x10 "Protocol" protocol: May<As<u16, DataLinkProtocol>>,
    }
    /// Answer to [`SetDataFormat`].
    SetDataFormatResponse {
        0x10 "Protocol" protocol: Must<As<u16, DataLinkProtocol>>,
    }
    /// Sets the instance id of the link.
    SetInstanceId {
        0x01 "ID" id: Must<u8>,
    }
    /// Answer to [`SetInstanceId`].
    SetInstanceIdResponse {
        0x01 "Link ID" link_id: Must<u16>,
    }
    /// Names the device behind a qmi-proxy connection: its first message, once. On failure the proxy hangs
    /// up without an answer.
    ProxyOpen {
        0x01 "Device Path" device_path: Must<Text>,
    }
}

layout! {
    /// One service and its version.
    ServiceVersion {
        service: As<u8, Service>,
        major_version: u16,
        minor_version: u16,
    }
    /// A client id and its service.
    ClientId {
        service: As<u8, Service>,
        cid: u8,
    }
}

open_enum! {
    /// Whether packets carry a QoS header.
    DataFormat {
        0 QosHeaderAbsent "qos-header-absent",
        1 QosHeaderPresent "qos-header-present",
    }
    /// What packets are framed as.
    DataLinkProtocol {
        1 Ieee8023 "802-3",
        2 RawIp "raw-ip",
    }
}
