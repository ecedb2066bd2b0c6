//! Numbers with names; the names are those libqmi prints.

use super::super::layout::{mask, open_enum};

open_enum! {
    /// Card application personalization feature status.
    CardApplicationPersonalizationFeatureStatus {
        0 GwNetwork "gw-network",
        1 GwNetworkSubset "gw-network-subset",
        2 GwServiceProvider "gw-service-provider",
        3 GwCorporate "gw-corporate",
        4 GwUim "gw-uim",
        5 OneXNetworkType1 "1x-network-type-1",
        6 OneXNetworkType2 "1x-network-type-2",
        7 OneXHrpd "1x-hrpd",
        8 OneXServiceProvider "1x-service-provider",
        9 OneXCorporate "1x-corporate",
        10 OneXRuim "1x-ruim",
        11 Unknown "unknown",
        12 GwServiceProviderName "gw-service-provider-name",
        13 GwSpEhplmn "gw-sp-ehplmn",
        14 GwIccid "gw-iccid",
        15 GwImpi "gw-impi",
        16 GwNetworkSubsetServiceProvider "gw-network-subset-service-provider",
        17 GwCarrier "gw-carrier",
    }
    /// Card application personalization state.
    CardApplicationPersonalizationState {
        0 Unknown "unknown",
        1 InProgress "in-progress",
        2 Ready "ready",
        3 CodeRequired "code-required",
        4 PukCodeRequired "puk-code-required",
        5 PermanentlyBlocked "permanently-blocked",
    }
    /// Card application state.
    CardApplicationState {
        0 Unknown "unknown",
        1 Detected "detected",
        2 Pin1OrUpinPinRequired "pin1-or-upin-pin-required",
        3 Puk1OrUpinPukRequired "puk1-or-upin-puk-required",
        4 CheckPersonalizationState "check-personalization-state",
        5 Pin1Blocked "pin1-blocked",
        6 Illegal "illegal",
        7 Ready "ready",
    }
    /// Card application type.
    CardApplicationType {
        0 Unknown "unknown",
        1 Sim "sim",
        2 Usim "usim",
        3 Ruim "ruim",
        4 Csim "csim",
        5 Isim "isim",
    }
    /// Card error.
    CardError {
        0 Unknown "unknown",
        1 PowerDown "power-down",
        2 Poll "poll",
        3 NoAtrReceived "no-atr-received",
        4 VoltageMismatch "voltage-mismatch",
        5 Parity "parity",
        6 PossiblyRemoved "possibly-removed",
        7 Technical "technical",
    }
    /// Card protocol.
    CardProtocol {
        0 Unknown "unknown",
        1 Icc "icc",
        2 Uicc "uicc",
    }
    /// Card state.
    CardState {
        0 Absent "absent",
        1 Present "present",
        2 Error "error",
    }
    /// File type.
    FileType {
        0 Transparent "transparent",
        1 Cyclic "cyclic",
        2 LinearFixed "linear-fixed",
        3 DedicatedFile "dedicated-file",
        4 MasterFile "master-file",
    }
    /// Physical card state.
    PhysicalCardState {
        0 Unknown "unknown",
        1 Absent "absent",
        2 Present "present",
    }
    /// PIN id.
    PinId {
        0 Unknown "unknown",
        1 Pin1 "pin1",
        2 Pin2 "pin2",
        3 Upin "upin",
        4 HiddenKey "hidden-key",
    }
    /// PIN state.
    PinState {
        0 NotInitialized "not-initialized",
        1 EnabledNotVerified "enabled-not-verified",
        2 EnabledVerified "enabled-verified",
        3 Disabled "disabled",
        4 Blocked "blocked",
        5 PermanentlyBlocked "permanently-blocked",
    }
    /// What of the card is refreshed.
    RefreshMode {
        0 Reset "reset",
        1 Init "init",
        2 InitFcn "init-fcn",
        3 Fcn "fcn",
        4 InitFullFcn "init-full-fcn",
        5 AppReset "app-reset",
        6 ThreeGReset "3g-reset",
    }
    /// How far a refresh is.
    RefreshStage {
        0 WaitForOk "wait-for-ok",
        1 Start "start",
        2 EndWithSuccess "end-with-success",
        3 EndWithFailure "end-with-failure",
    }
    /// Session type.
    SessionType {
        0 PrimaryGwProvisioning "primary-gw-provisioning",
        1 Primary1xProvisioning "primary-1x-provisioning",
        2 SecondaryGwProvisioning "secondary-gw-provisioning",
        3 Secondary1xProvisioning "secondary-1x-provisioning",
        4 NonprovisioningSlot1 "nonprovisioning-slot-1",
        5 NonprovisioningSlot2 "nonprovisioning-slot-2",
        6 CardSlot1 "card-slot-1",
        7 CardSlot2 "card-slot-2",
        8 LogicalChannelSlot1 "logical-channel-slot-1",
        9 LogicalChannelSlot2 "logical-channel-slot-2",
        10 TertiaryGwProvisioning "tertiary-gw-provisioning",
        11 Tertiary1xProvisioning "tertiary-1x-provisioning",
        12 QuaternaryGwProvisioning "quaternary-gw-provisioning",
        13 Quaternary1xProvisioning "quaternary-1x-provisioning",
        14 QuinaryGwProvisioning "quinary-gw-provisioning",
        15 Quinary1xProvisioning "quinary-1x-provisioning",
        16 NonprovisioningSlot3 "nonprovisioning-slot-3",
        17 NonprovisioningSlot4 "nonprovisioning-slot-4",
        18 NonprovisioningSlot5 "nonprovisioning-slot-5",
        19 CardSlot3 "card-slot-3",
        20 CardSlot4 "card-slot-4",
        21 CardSlot5 "card-slot-5",
        22 LogicalChannelSlot3 "logical-channel-slot-3",
        23 LogicalChannelSlot4 "logical-channel-slot-4",
        24 LogicalChannelSlot5 "logical-channel-slot-5",
    }
    /// Slot state.
    SlotState {
        0 Inactive "inactive",
        1 Active "active",
    }
}

mask! {
    /// Event registration flag.
    EventRegistrationFlag {
        0x1 CARD_STATUS "card-status",
        0x2 SAP_CONNECTION "sap-connection",
        0x4 EXTENDED_CARD_STATUS "extended-card-status",
        0x10 PHYSICAL_SLOT_STATUS "physical-slot-status",
    }
}
