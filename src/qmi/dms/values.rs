//! Numbers with names; the names are those libqmi prints.

use super::super::layout::{mask, open_enum};

open_enum! {
    /// Boot image download mode.
    BootImageDownloadMode {
        0 Normal "normal",
        1 BootAndRecovery "boot-and-recovery",
    }
    /// Data service capability.
    DataServiceCapability {
        0 None "none",
        1 Cs "cs",
        2 Ps "ps",
        3 SimultaneousCsPs "simultaneous-cs-ps",
        4 NonSimultaneousCsPs "non-simultaneous-cs-ps",
    }
    /// Firmware image type.
    FirmwareImageType {
        0 Modem "modem",
        1 Pri "pri",
    }
    /// Operating mode.
    OperatingMode {
        0 Online "online",
        1 LowPower "low-power",
        2 FactoryTest "factory-test",
        3 Offline "offline",
        4 Reset "reset",
        5 ShuttingDown "shutting-down",
        6 PersistentLowPower "persistent-low-power",
        7 ModeOnlyLowPower "mode-only-low-power",
        255 Unknown "unknown",
    }
    /// Radio interface.
    RadioInterface {
        1 Cdma20001x "cdma20001x",
        2 Evdo "evdo",
        4 Gsm "gsm",
        5 Umts "umts",
        8 Lte "lte",
        9 Tds "tds",
        10 Nr5g "5gnr",
    }
    /// Sim capability.
    SimCapability {
        1 NotSupported "not-supported",
        2 Supported "supported",
    }
    /// Time source.
    TimeSource {
        0 Device "device",
        1 CdmaNetwork "cdma-network",
        2 HdrNetwork "hdr-network",
    }
    /// UIM PIN id.
    UimPinId {
        1 Pin "pin",
        2 Pin2 "pin2",
    }
    /// UIM PIN status.
    UimPinStatus {
        0 NotInitialized "not-initialized",
        1 EnabledNotVerified "enabled-not-verified",
        2 EnabledVerified "enabled-verified",
        3 Disabled "disabled",
        4 Blocked "blocked",
        5 PermanentlyBlocked "permanently-blocked",
        6 Unblocked "unblocked",
        7 Changed "changed",
    }
    /// UIM state.
    UimState {
        0 InitializationCompleted "initialization-completed",
        1 LockedOrFailed "locked-or-failed",
        2 NotPresent "not-present",
        3 Reserved "reserved",
        255 Unknown "unknown",
    }
}

mask! {
    /// Offline reason.
    OfflineReason {
        0x1 HOST_IMAGE_MISCONFIGURATION "host-image-misconfiguration",
        0x2 PRI_IMAGE_MISCONFIGURATION "pri-image-misconfiguration",
        0x4 PRI_VERSION_INCOMPATIBLE "pri-version-incompatible",
        0x8 DEVICE_MEMORY_FULL "device-memory-full",
    }
}
