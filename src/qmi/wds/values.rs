//! Numbers with names; the names are those libqmi prints.

use super::super::layout::{mask, open_enum};

open_enum! {
    /// Sio port.
    SioPort {
        0 None "none",
        3588 A2MuxRmnet0 "a2-mux-rmnet0",
        3589 A2MuxRmnet1 "a2-mux-rmnet1",
        3590 A2MuxRmnet2 "a2-mux-rmnet2",
        3591 A2MuxRmnet3 "a2-mux-rmnet3",
        3592 A2MuxRmnet4 "a2-mux-rmnet4",
        3593 A2MuxRmnet5 "a2-mux-rmnet5",
        3594 A2MuxRmnet6 "a2-mux-rmnet6",
        3595 A2MuxRmnet7 "a2-mux-rmnet7",
    }
    /// Address allocation preference.
    AddressAllocationPreference {
        0 Nas "nas",
        1 Dhcp "dhcp",
    }
    /// Attach PDN list action.
    AttachPdnListAction {
        1 None "none",
        2 DetachOrPdnDisconnect "detach-or-pdn-disconnect",
    }
    /// Autoconnect setting.
    AutoconnectSetting {
        0 Disabled "disabled",
        1 Enabled "enabled",
        2 Paused "paused",
    }
    /// Autoconnect setting roaming.
    AutoconnectSettingRoaming {
        0 Allowed "allowed",
        1 HomeOnly "home-only",
    }
    /// Call type.
    CallType {
        0 Laptop "laptop",
        1 Embedded "embedded",
    }
    /// Client type.
    ClientType {
        1 Tethered "tethered",
        255 Undefined "undefined",
    }
    /// Connection status.
    ConnectionStatus {
        0 Unknown "unknown",
        1 Disconnected "disconnected",
        2 Connected "connected",
        3 Suspended "suspended",
        4 Authenticating "authenticating",
    }
    /// Data bearer technology.
    DataBearerTechnology {
        -1 Unknown "unknown",
        1 Cdma20001x "cdma20001x",
        2 OneXEvdo "1xevdo",
        3 Gsm "gsm",
        4 Umts "umts",
        5 OneXEvdoReva "1xevdo-reva",
        6 Edge "edge",
        7 Hsdpa "hsdpa",
        8 Hsupa "hsupa",
        9 HsdpaHsupda "hsdpa-hsupda",
        10 Lte "lte",
        11 Ehrpd "ehrpd",
        12 Hsdpaplus "hsdpaplus",
        13 HsdpaplusHsupa "hsdpaplus-hsupa",
        14 Dchsdpaplus "dchsdpaplus",
        15 DchsdpaplusHsupa "dchsdpaplus-hsupa",
        16 HsdpaplusPlus64qam "hsdpaplus-plus-64qam",
        17 HsdpaplusPlus64qamHsupa "hsdpaplus-plus-64qam-hsupa",
        18 Tdscdma "tdscdma",
        19 TdscdmaHsdpa "tdscdma-hsdpa",
        20 TdscdmaHsupa "tdscdma-hsupa",
    }
    /// Data call status.
    DataCallStatus {
        0 Unknown "unknown",
        1 Activated "activated",
        2 Terminated "terminated",
    }
    /// Data call type.
    DataCallType {
        0 Unknown "unknown",
        1 Embedded "embedded",
        2 Tethered "tethered",
        3 ModemEmbedded "modem-embedded",
    }
    /// Data system.
    DataSystem {
        0 Unknown "unknown",
        1 Cdma1x "cdma1x",
        2 Cdma1xEvdo "cdma1x-evdo",
        3 Gprs "gprs",
        4 Wcdma "wcdma",
        5 Lte "lte",
        6 Tdscdma "tdscdma",
    }
    /// Data system network type.
    DataSystemNetworkType {
        0 ThreeGpp "3gpp",
        1 ThreeGpp2 "3gpp2",
    }
    /// Dormancy status.
    DormancyStatus {
        0 Unknown "unknown",
        1 TrafficChannelDormant "traffic-channel-dormant",
        2 TrafficChannelActive "traffic-channel-active",
    }
    /// Data services profile error.
    DsProfileError {
        0 Unknown "unknown",
        1 Fail "fail",
        2 InvalidHandle "invalid-handle",
        3 InvalidOperation "invalid-operation",
        4 InvalidProfileType "invalid-profile-type",
        5 InvalidProfileNumber "invalid-profile-number",
        6 InvalidProfileId "invalid-profile-id",
        7 InvalidArgument "invalid-argument",
        8 RegistryNotInitialized "registry-not-initialized",
        9 InvalidParameterLength "invalid-parameter-length",
        10 ListEnd "list-end",
        11 InvalidSubscriptionId "invalid-subscription-id",
        12 InvalidProfileFamily "invalid-profile-family",
        1001 ThreeGppInvalidProfileFamily "3gpp-invalid-profile-family",
        1002 ThreeGppAccessError "3gpp-access-error",
        1003 ThreeGppContextNotDefined "3gpp-context-not-defined",
        1004 ThreeGppValidFlagNotSet "3gpp-valid-flag-not-set",
        1005 ThreeGppReadOnlyFlagSet "3gpp-read-only-flag-set",
        1006 ThreeGppOutOfProfiles "3gpp-out-of-profiles",
        1101 ThreeGpp2InvalidProfileId "3gpp2-invalid-profile-id",
    }
    /// Extended technology preference.
    ExtendedTechnologyPreference {
        32769 Cdma "cdma",
        32772 Umts "umts",
        34944 Epc "epc",
        34946 Embms "embms",
        34952 ModemLinkLocal "modem-link-local",
    }
    /// IP family.
    IpFamily {
        0 Unknown "unknown",
        4 Ipv4 "ipv4",
        6 Ipv6 "ipv6",
        8 Unspecified "unspecified",
        12 Ethernet "ethernet",
    }
    /// IP support type.
    IpSupportType {
        0 Ipv4 "ipv4",
        1 Ipv6 "ipv6",
        2 Ipv4v6 "ipv4v6",
    }
    /// Network type.
    NetworkType {
        0 Unknown "unknown",
        1 ThreeGpp2 "3gpp2",
        2 ThreeGpp "3gpp",
    }
    /// PDP access control.
    PdpAccessControl {
        0 None "none",
        1 Reject "reject",
        2 Permission "permission",
    }
    /// PDP data compression type.
    PdpDataCompressionType {
        0 Off "off",
        1 ManufacturerPreferred "manufacturer-preferred",
        2 V42bis "v42bis",
        3 V44 "v44",
    }
    /// PDP header compression type.
    PdpHeaderCompressionType {
        0 Off "off",
        1 ManufacturerPreferred "manufacturer-preferred",
        2 Rfc1144 "rfc1144",
        3 Rfc2507 "rfc2507",
        4 Rfc3095 "rfc3095",
    }
    /// PDP type.
    PdpType {
        0 Ipv4 "ipv4",
        1 Ppp "ppp",
        2 Ipv6 "ipv6",
        3 Ipv4OrIpv6 "ipv4-or-ipv6",
        4 NonIp "non-ip",
    }
    /// Profile family.
    ProfileFamily {
        0 Embedded "embedded",
        1 Tethered "tethered",
    }
    /// Profile type.
    ProfileType {
        0 ThreeGpp "3gpp",
        1 ThreeGpp2 "3gpp2",
        2 Epc "epc",
        255 All "all",
    }
    /// Radio access technology.
    RadioAccessTechnology {
        0 NullBearer "null-bearer",
        1 ThreeGppWcdma "3gpp-wcdma",
        2 ThreeGppGeran "3gpp-geran",
        3 ThreeGppLte "3gpp-lte",
        4 ThreeGppTdscdma "3gpp-tdscdma",
        5 ThreeGppWlan "3gpp-wlan",
        100 ThreeGppMaximum "3gpp-maximum",
        101 ThreeGpp2_1x "3gpp2-1x",
        102 ThreeGpp2Hrpd "3gpp2-hrpd",
        103 ThreeGpp2Ehrpd "3gpp2-ehrpd",
        104 ThreeGpp2Wlan "3gpp2-wlan",
        200 ThreeGpp2Maximum "3gpp2-maximum",
    }
    /// Tethered call type.
    TetheredCallType {
        0 NonTethered "non-tethered",
        1 Rmnet "rmnet",
        2 Dun "dun",
    }
}

mask! {
    /// APN type mask.
    ApnTypeMask {
        0x1 DEFAULT "default",
        0x2 IMS "ims",
        0x4 MMS "mms",
        0x8 DUN "dun",
        0x10 SUPL "supl",
        0x20 HIPRI "hipri",
        0x40 FOTA "fota",
        0x80 CBS "cbs",
        0x100 IA "ia",
        0x200 EMERGENCY "emergency",
        0x400 UT "ut",
        0x800 MCX "mcx",
    }
    /// Authentication.
    Authentication {
        0x0 NONE "none",
        0x1 PAP "pap",
        0x2 CHAP "chap",
    }
    /// Extended data bearer technology3gpp.
    ExtendedDataBearerTechnology3gpp {
        0x0 UNKNOWN "unknown",
        0x1 WCDMA "wcdma",
        0x2 HSDPA "hsdpa",
        0x4 HSUPA "hsupa",
        0x8 HSDPA_PLUS "hsdpa-plus",
        0x10 DC_HSDPA_PLUS "dc-hsdpa-plus",
        0x20 QAM64 "64qam",
        0x40 HSPA "hspa",
        0x80 GPRS "gprs",
        0x100 EDGE "edge",
        0x200 GSM "gsm",
        0x400 S2B "s2b",
        0x800 LTE_LIMITED_SERVICE "lte-limited-service",
        0x1000 LTE_FDD "lte-fdd",
        0x2000 LTE_TDD "lte-tdd",
    }
    /// Extended data bearer technology3gpp2.
    ExtendedDataBearerTechnology3gpp2 {
        0x0 UNKNOWN "unknown",
        0x1 RESERVED "reserved",
        0x2 CDMA1X_IS95 "cdma1x-is95",
        0x4 CDMA1X_IS2000 "cdma1x-is2000",
        0x8 CDMA1X_IS2000_REL_A "cdma1x-is2000-rel-a",
        0x10 HDR_REV_0_DPA "hdr-rev-0-dpa",
        0x20 HDR_REV_A_DPA "hdr-rev-a-dpa",
        0x40 HDR_REV_B_DPA "hdr-rev-b-dpa",
        0x80 HDR_REV_A_MPA "hdr-rev-a-mpa",
        0x100 HDR_REV_B_MPA "hdr-rev-b-mpa",
        0x200 HDR_REV_A_EMPA "hdr-rev-a-empa",
        0x400 HDR_REV_B_EMPA "hdr-rev-b-empa",
        0x800 HDR_REV_B_MMPA "hdr-rev-b-mmpa",
        0x1000 HDR_EVDO_FMC "hdr-evdo-fmc",
    }
    /// Packet statistics mask flag.
    PacketStatisticsMaskFlag {
        0x1 TX_PACKETS_OK "tx-packets-ok",
        0x2 RX_PACKETS_OK "rx-packets-ok",
        0x4 TX_PACKETS_ERROR "tx-packets-error",
        0x8 RX_PACKETS_ERROR "rx-packets-error",
        0x10 TX_OVERFLOWS "tx-overflows",
        0x20 RX_OVERFLOWS "rx-overflows",
        0x40 TX_BYTES_OK "tx-bytes-ok",
        0x80 RX_BYTES_OK "rx-bytes-ok",
        0x100 TX_PACKETS_DROPPED "tx-packets-dropped",
        0x200 RX_PACKETS_DROPPED "rx-packets-dropped",
    }
    /// Requested settings.
    RequestedSettings {
        0x0 NONE "none",
        0x1 PROFILE_ID "profile-id",
        0x2 PROFILE_NAME "profile-name",
        0x4 PDP_TYPE "pdp-type",
        0x8 APN_NAME "apn-name",
        0x10 DNS_ADDRESS "dns-address",
        0x20 GRANTED_QOS "granted-qos",
        0x40 USERNAME "username",
        0x80 AUTH_PROTOCOL "auth-protocol",
        0x100 IP_ADDRESS "ip-address",
        0x200 GATEWAY_INFO "gateway-info",
        0x400 PCSCF_ADDRESS "pcscf-address",
        0x800 PCSCF_SERVER_ADDRESS_LIST "pcscf-server-address-list",
        0x1000 PCSCF_DOMAIN_NAME_LIST "pcscf-domain-name-list",
        0x2000 MTU "mtu",
        0x4000 DOMAIN_NAME_LIST "domain-name-list",
        0x8000 IP_FAMILY "ip-family",
        0x10000 IMCN_FLAG "imcn-flag",
        0x20000 EXTENDED_TECHNOLOGY "extended-technology",
        0x40000 OPERATOR_RESERVED_PCO "operator-reserved-pco",
    }
    /// Set event report transfer statistics.
    SetEventReportTransferStatistics {
        0x1 TX_PACKETS_OK "tx-packets-ok",
        0x2 RX_PACKETS_OK "rx-packets-ok",
        0x4 TX_PACKETS_ERROR "tx-packets-error",
        0x8 RX_PACKETS_ERROR "rx-packets-error",
        0x10 TX_OVERFLOWS "tx-overflows",
        0x20 RX_OVERFLOWS "rx-overflows",
        0x40 TX_BYTES_OK "tx-bytes-ok",
        0x80 RX_BYTES_OK "rx-bytes-ok",
        0x100 TX_PACKETS_DROPPED "tx-packets-dropped",
        0x200 RX_PACKETS_DROPPED "rx-packets-dropped",
    }
    /// Technology preference.
    TechnologyPreference {
        0x1 THREE_GPP "3gpp",
        0x2 THREE_GPP2 "3gpp2",
    }
    /// Radio access technologies of a 3GPP network.
    Rat3gpp {
        0x1 WCDMA "wcdma",
        0x2 GPRS "gprs",
        0x4 HSDPA "hsdpa",
        0x8 HSUPA "hsupa",
        0x10 EDGE "edge",
        0x20 LTE "lte",
        0x40 HSDPAPLUS "hsdpaplus",
        0x80 DCHSDPAPLUS "dchsdpaplus",
        0x100 QAM64 "64qam",
        0x200 TDSCDMA "tdscdma",
        0x400 NR5G "5gnr",
        0x8000 NULL_BEARER "null-bearer",
    }
}
