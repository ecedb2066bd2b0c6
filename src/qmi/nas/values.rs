//! Numbers with names; the names are those libqmi prints.

use super::super::layout::{mask, open_enum};

open_enum! {
    /// Attach state.
    AttachState {
        0 Unknown "unknown",
        1 Attached "attached",
        2 Detached "detached",
    }
    /// Boolean.
    Boolean {
        0 False "false",
        1 True "true",
        2 Unknown "unknown",
    }
    /// Call barring status.
    CallBarringStatus {
        0 NormalOnly "normal-only",
        1 EmergencyOnly "emergency-only",
        2 NoCalls "no-calls",
        3 AllCalls "all-calls",
        -1 Unknown "unknown",
    }
    /// Cell broadcast capability.
    CellBroadcastCapability {
        0 Unknown "unknown",
        1 Off "off",
        2 On "on",
    }
    /// Change duration.
    ChangeDuration {
        0 PowerCycle "power-cycle",
        1 Permanent "permanent",
    }
    /// Downlink bandwidth.
    DLBandwidth {
        0 Mhz1_4 "1-4",
        1 Mhz3 "3",
        2 Mhz5 "5",
        3 Mhz10 "10",
        4 Mhz15 "15",
        5 Mhz20 "20",
        6 Nr5g5 "5gnr-5",
        7 Nr5g10 "5gnr-10",
        8 Nr5g15 "5gnr-15",
        9 Nr5g20 "5gnr-20",
        10 Nr5g25 "5gnr-25",
        11 Nr5g30 "5gnr-30",
        12 Nr5g40 "5gnr-40",
        13 Nr5g50 "5gnr-50",
        14 Nr5g60 "5gnr-60",
        15 Nr5g80 "5gnr-80",
        16 Nr5g90 "5gnr-90",
        17 Nr5g100 "5gnr-100",
        18 Nr5g200 "5gnr-200",
        19 Nr5g400 "5gnr-400",
        20 Gsm02 "gsm-02",
        21 Tdscdma16 "tdscdma-16",
        22 Wcdma5 "wcdma-5",
        23 Wcdma10 "wcdma-10",
        24 Nr5g70 "5gnr-70",
        255 Unknown "unknown",
    }
    /// Data capability.
    DataCapability {
        0 None "none",
        1 Gprs "gprs",
        2 Edge "edge",
        3 Hsdpa "hsdpa",
        4 Hsupa "hsupa",
        5 Wcdma "wcdma",
        6 Cdma "cdma",
        7 EvdoRev0 "evdo-rev-0",
        8 EvdoRevA "evdo-rev-a",
        9 Gsm "gsm",
        10 EvdoRevB "evdo-rev-b",
        11 Lte "lte",
        12 HsdpaPlus "hsdpa-plus",
        13 DcHsdpaPlus "dc-hsdpa-plus",
    }
    /// Day of week.
    DayOfWeek {
        0 Monday "monday",
        1 Tuesday "tuesday",
        2 Wednesday "wednesday",
        3 Thursday "thursday",
        4 Friday "friday",
        5 Saturday "saturday",
        6 Sunday "sunday",
    }
    /// Daylight savings adjustment.
    DaylightSavingsAdjustment {
        0 None "none",
        1 OneHour "one-hour",
        2 TwoHours "two-hours",
    }
    /// GSM WCDMA acquisition order preference.
    GsmWcdmaAcquisitionOrderPreference {
        0 Automatic "automatic",
        1 Gsm "gsm",
        2 Wcdma "wcdma",
    }
    /// LTE cell access status.
    LteCellAccessStatus {
        0 NormalOnly "normal-only",
        1 EmergencyOnly "emergency-only",
        2 NoCalls "no-calls",
        3 AllCalls "all-calls",
        255 Unknown "unknown",
    }
    /// LTE registration domain.
    LteRegistrationDomain {
        0 NotApplicable "not-applicable",
        1 CsOnly "cs-only",
        2 PsOnly "ps-only",
        3 CsPs "cs-ps",
        4 LimitedService "limited-service",
    }
    /// LTE voice domain.
    LteVoiceDomain {
        0 None "none",
        1 Ims "ims",
        2 OneX "1x",
        3 ThreeGpp "3gpp",
    }
    /// Network description encoding.
    NetworkDescriptionEncoding {
        0 Unspecified "unspecified",
        1 Ascii7 "ascii7",
        4 Unicode "unicode",
        9 Gsm "gsm",
    }
    /// Network name source.
    NetworkNameSource {
        0 Unknown "unknown",
        1 OperatorPlmnListAndPlmnNetworkName "operator-plmn-list-and-plmn-network-name",
        2 CommonPcnHandsetSpecificationAndOperatorNameString "common-pcn-handset-specification-and-operator-name-string",
        3 Nitz "nitz",
        4 Se13 "se13",
        5 MccMnc "mcc-mnc",
        6 ServiceProviderName "service-provider-name",
    }
    /// Network register type.
    NetworkRegisterType {
        1 Automatic "automatic",
        2 Manual "manual",
    }
    /// Network scan result.
    NetworkScanResult {
        0 Success "success",
        1 Abort "abort",
        2 RadioLinkFailure "radio-link-failure",
    }
    /// Network selection preference.
    NetworkSelectionPreference {
        0 Automatic "automatic",
        1 Manual "manual",
    }
    /// Network selection registration restriction.
    NetworkSelectionRegistrationRestriction {
        0 Unrestricted "unrestricted",
        1 CampedOnly "camped-only",
        2 Limited "limited",
    }
    /// Network service domain.
    NetworkServiceDomain {
        0 None "none",
        1 Cs "cs",
        2 Ps "ps",
        3 CsPs "cs-ps",
        4 Camped "camped",
    }
    /// Network type.
    NetworkType {
        0 Unknown "unknown",
        1 ThreeGpp2 "3gpp2",
        2 ThreeGpp "3gpp",
    }
    /// Packet service attach action.
    PsAttachAction {
        1 Attach "attach",
        2 Detach "detach",
    }
    /// Radio interface.
    RadioInterface {
        -1 Unknown "unknown",
        0 None "none",
        1 Cdma1x "cdma-1x",
        2 Cdma1xevdo "cdma-1xevdo",
        3 Amps "amps",
        4 Gsm "gsm",
        5 Umts "umts",
        8 Lte "lte",
        9 TdScdma "td-scdma",
        12 Nr5g "5gnr",
        255 NoChange "no-change",
    }
    /// Registration state.
    RegistrationState {
        0 NotRegistered "not-registered",
        1 Registered "registered",
        2 NotRegisteredSearching "not-registered-searching",
        3 RegistrationDenied "registration-denied",
        4 Unknown "unknown",
    }
    /// Roaming as the serving system has it: 0 is roaming, the opposite of [`RoamingStatus`].
    RoamingIndicatorStatus {
        0 On "on",
        1 Off "off",
    }
    /// Roaming preference.
    RoamingPreference {
        1 Off "off",
        2 NotOff "not-off",
        3 NotFlashing "not-flashing",
        255 Any "any",
    }
    /// Roaming as system info has it: 0 is home.
    RoamingStatus {
        0 Off "off",
        1 On "on",
        2 Blink "blink",
        3 OutOfNeighborhood "out-of-neighborhood",
        4 OutOfBuilding "out-of-building",
        5 PreferredSystem "preferred-system",
        6 AvailableSystem "available-system",
        7 AlliancePartner "alliance-partner",
        8 PremiumPartner "premium-partner",
        9 FullService "full-service",
        10 PartialService "partial-service",
        11 BannerOn "banner-on",
        12 BannerOff "banner-off",
    }
    /// Secondary cell state.
    ScellState {
        0 Deconfigured "deconfigured",
        1 Deactivated "deactivated",
        2 Activated "activated",
    }
    /// Service domain preference.
    ServiceDomainPreference {
        0 CsOnly "cs-only",
        1 PsOnly "ps-only",
        2 CsPs "cs-ps",
        3 PsAttach "ps-attach",
        4 PsDetach "ps-detach",
    }
    /// Service status.
    ServiceStatus {
        0 None "none",
        1 Limited "limited",
        2 Available "available",
        3 LimitedRegional "limited-regional",
        4 PowerSave "power-save",
    }
    /// Sim reject state.
    SimRejectState {
        0 Unavailable "unavailable",
        1 Available "available",
        2 CsInvalid "cs-invalid",
        3 PsInvalid "ps-invalid",
        4 CsPsInvalid "cs-ps-invalid",
    }
    /// Sierra EMM connection state.
    SwiEmmConnectionState {
        0 RrcIdle "rrc-idle",
        1 WaitingRrcCfm "waiting-rrc-cfm",
        2 RrcConnecting "rrc-connecting",
        3 RrcReleasing "rrc-releasing",
        255 Unknown "unknown",
    }
    /// Sierra EMM state.
    SwiEmmState {
        0 Deregistered "deregistered",
        1 RegInitiated "reg-initiated",
        2 Registered "registered",
        3 TauInitiated "tau-initiated",
        4 SrInitiated "sr-initiated",
        5 DeregInitiated "dereg-initiated",
        6 Invalid "invalid",
        255 Unknown "unknown",
    }
    /// Sierra IMS registration state.
    SwiImsRegState {
        0 NoSrv "no-srv",
        1 InProg "in-prog",
        2 Failed "failed",
        3 Limited "limited",
        4 FullSrv "full-srv",
        255 Unknown "unknown",
    }
    /// Sierra modem mode.
    SwiModemMode {
        0 PoweringOff "powering-off",
        1 FactoryTest "factory-test",
        2 Offline "offline",
        3 OfflineAmps "offline-amps",
        4 OfflineCdma "offline-cdma",
        5 Online "online",
        6 LowPower "low-power",
        7 Resetting "resetting",
        8 NetworkTest "network-test",
        9 OfflineRequest "offline-request",
        10 PseudoOnline "pseudo-online",
        11 ResettingModem "resetting-modem",
        255 Unknown "unknown",
    }
    /// Sierra packet service state.
    SwiPsState {
        0 Attached "attached",
        1 Detached "detached",
        255 Unknown "unknown",
    }
    /// Sierra system mode.
    SwiSystemMode {
        0 NoService "no-service",
        1 Amps "amps",
        2 Cdma "cdma",
        3 Gsm "gsm",
        4 Hdr "hdr",
        5 Wcdma "wcdma",
        6 Gps "gps",
        8 Wlan "wlan",
        9 Lte "lte",
        255 Unknown "unknown",
    }
    /// Usage preference.
    UsagePreference {
        0 Unknown "unknown",
        1 VoiceCentric "voice-centric",
        2 DataCentric "data-centric",
    }
    /// Voice domain preference.
    VoiceDomainPreference {
        0 CsOnly "cs-only",
        1 PsOnly "ps-only",
        2 CsPreferred "cs-preferred",
        3 PsPreferred "ps-preferred",
    }
    /// WCDMA high-speed service.
    WcdmaHsService {
        0 HsdpaHsupaUnsupported "hsdpa-hsupa-unsupported",
        1 HsdpaSupported "hsdpa-supported",
        2 HsupaSupported "hsupa-supported",
        3 HsdpaHsupaSupported "hsdpa-hsupa-supported",
        4 HsdpaPlusSupported "hsdpa-plus-supported",
        5 HsdpaPlusHsupaSupported "hsdpa-plus-hsupa-supported",
        6 DcHsdpaPlusSupported "dc-hsdpa-plus-supported",
        7 DcHsdpaPlusHsupaSupported "dc-hsdpa-plus-hsupa-supported",
    }
    /// WCDMA RRC state.
    WcdmaRrcState {
        0 Disconnected "disconnected",
        1 CellPch "cell-pch",
        2 UraPch "ura-pch",
        3 CellFach "cell-fach",
        4 CellDch "cell-dch",
    }
}

mask! {
    /// Network name display condition.
    NetworkNameDisplayCondition {
        0x1 REGISTERED_PLMN_IF_KNOWN_NETWORK "registered-plmn-if-known-network",
        0x2 SPN_NOT_REQUIRED_IF_UNKNOWN_NETWORK "spn-not-required-if-unknown-network",
    }
    /// Network scan type.
    NetworkScanType {
        0x1 GSM "gsm",
        0x2 UMTS "umts",
        0x4 LTE "lte",
        0x8 TD_SCDMA "td-scdma",
        0x10 NR5G "5gnr",
    }
    /// Network status.
    NetworkStatus {
        0x1 CURRENT_SERVING "current-serving",
        0x2 AVAILABLE "available",
        0x4 HOME "home",
        0x8 ROAMING "roaming",
        0x10 FORBIDDEN "forbidden",
        0x20 NOT_FORBIDDEN "not-forbidden",
        0x40 PREFERRED "preferred",
        0x80 NOT_PREFERRED "not-preferred",
    }
    /// Radio mode preference.
    RatModePreference {
        0x1 CDMA_1X "cdma-1x",
        0x2 CDMA_1XEVDO "cdma-1xevdo",
        0x4 GSM "gsm",
        0x8 UMTS "umts",
        0x10 LTE "lte",
        0x20 TD_SCDMA "td-scdma",
        0x40 NR5G "5gnr",
    }
    /// Signal strength request.
    SignalStrengthRequest {
        0x0 NONE "none",
        0x1 RSSI "rssi",
        0x2 ECIO "ecio",
        0x4 IO "io",
        0x8 SINR "sinr",
        0x10 ERROR_RATE "error-rate",
        0x20 RSRQ "rsrq",
        0x40 LTE_SNR "lte-snr",
        0x80 LTE_RSRP "lte-rsrp",
    }
}
