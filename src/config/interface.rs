//! The ways out of a router, in the words of the Session Smart Router.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Secret;
use super::quantity;

/// Metric of the default route that a Linux router of old finds after hand-over when nothing says
/// otherwise.
pub const LEGACY_METRIC: u32 = 128;

/// Priority of a wired circuit that has no management-vector: ahead of [`LEGACY_METRIC`].
const ETHERNET_PRIORITY: u32 = 100;

/// One way out: a modem's data connection or a wired circuit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeviceInterface {
    /// Name by which everything else speaks of it.
    pub name: String,
    /// Modem or wired circuit.
    #[serde(rename = "type")]
    pub kind: InterfaceType,
    /// Linux interface, such as `wwp0s21u1i8`.
    pub target_interface: String,
    /// AT port, such as `/dev/ttyUSB8`; found by itself when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usb_port: Option<PathBuf>,
    /// QMI control port, such as `/dev/cdc-wdm0`; found by itself when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_port: Option<PathBuf>,
    /// IMEI the modem must have; another modem in the slot is not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imei: Option<String>,
    /// ICCID the SIM must have, as `tandem show device-interface` tells it; another card in the modem is not dialled with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iccid: Option<String>,
    /// Share of new flows under `active-active`, relative to the other uplinks, 1 to 256.
    #[serde(default = "one")]
    pub weight: u16,
    /// Data connection; required for `lte`, not allowed for `ethernet`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lte: Option<Lte>,
    /// What the contract allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_plan: Option<DataPlan>,
    /// Layer 3 of the interface: one for `lte`, at most one for `ethernet`.
    #[serde(default, rename = "network-interface")]
    pub network_interfaces: Vec<NetworkInterface>,
}

fn one() -> u16 {
    1
}

impl DeviceInterface {
    /// Layer 3 of the interface.
    #[must_use]
    pub fn network_interface(&self) -> Option<&NetworkInterface> {
        self.network_interfaces.first()
    }

    /// Rank among the uplinks, lowest first: the management-vector's priority.
    #[must_use]
    pub fn priority(&self) -> u32 {
        let otherwise = match self.kind {
            InterfaceType::Lte => LEGACY_METRIC,
            InterfaceType::Ethernet => ETHERNET_PRIORITY,
        };
        self.network_interface()
            .and_then(|network| network.management_vector.as_ref())
            .map_or(otherwise, |vector| vector.priority)
    }

    /// Metric of the default route left behind at hand-over; `None` leaves none. Always `None` for
    /// a wired circuit, whose routes are not ours.
    #[must_use]
    pub fn handover_metric(&self) -> Option<u32> {
        match (self.kind, self.network_interface()) {
            (InterfaceType::Lte, Some(network)) => network.handover_metric(),
            (InterfaceType::Lte, None) => Some(LEGACY_METRIC),
            (InterfaceType::Ethernet, _) => None,
        }
    }

    /// Whether hand-over leaves the default route with [`LEGACY_METRIC`] although nobody asked.
    #[must_use]
    pub fn legacy_default_route(&self) -> bool {
        self.kind == InterfaceType::Lte
            && self.network_interface().is_none_or(NetworkInterface::legacy_default_route)
    }
}

/// Kind of a way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceType {
    /// A QMI modem: dialled, watched and ranked.
    Lte,
    /// A wired circuit: watched and ranked.
    Ethernet,
}

/// Data connection of a modem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lte {
    /// Access point name of the carrier.
    pub apn_name: String,
    /// Profile of the modem to store the APN in and to dial with, 1 to 24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<u8>,
    /// PIN of the SIM, 4 to 8 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Secret>,
    /// File that holds the PIN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_file: Option<PathBuf>,
    /// Who we are to the carrier; absent means without authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
}

/// Name and password for the carrier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Authentication {
    /// User name.
    #[serde(default)]
    pub user_name: String,
    /// Password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// File that holds the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// How the password is sent.
    #[serde(default)]
    pub authentication_protocol: AuthenticationProtocol,
}

/// How a password is sent to the carrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthenticationProtocol {
    /// Not at all.
    None,
    /// In clear (RFC 1334).
    Pap,
    /// As the answer to a challenge (RFC 1994).
    Chap,
    /// As the carrier wishes.
    #[default]
    PapOrChap,
}

/// What the contract allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataPlan {
    /// Bytes of one cycle, both ways.
    #[serde(rename = "limit", with = "quantity::size")]
    pub limit_bytes: u64,
    /// Day of the month on which a cycle begins, 1 to 28.
    #[serde(default = "first_of_month")]
    pub cycle_day: u8,
}

fn first_of_month() -> u8 {
    1
}

/// Layer 3 of a device-interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NetworkInterface {
    /// Name of the network-interface.
    pub name: String,
    /// Whether packets that leave here take the address of this interface.
    #[serde(default)]
    pub source_nat: bool,
    /// Which IP families to ask for.
    #[serde(default)]
    pub dhcp: Dhcp,
    /// Whether Linux gets a default route here at hand-over. Absent acts like `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_route: Option<bool>,
    /// Rank among the uplinks and metric at hand-over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_vector: Option<ManagementVector>,
}

impl NetworkInterface {
    /// Metric of the default route left behind at hand-over; `None` leaves none.
    #[must_use]
    pub fn handover_metric(&self) -> Option<u32> {
        match (self.default_route, &self.management_vector) {
            (Some(true), vector) => Some(vector.as_ref().map_or(LEGACY_METRIC, |vector| vector.priority)),
            (Some(false) | None, _) if self.legacy_default_route() => Some(LEGACY_METRIC),
            (Some(false) | None, _) => None,
        }
    }

    /// Neither asked for a default route nor named a management-vector: the route of old is left
    /// behind. A management-vector without a name does not count.
    #[must_use]
    pub fn legacy_default_route(&self) -> bool {
        self.default_route != Some(true)
            && self.management_vector.as_ref().is_none_or(|vector| vector.name.is_empty())
    }
}

/// Which IP families to ask the carrier for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dhcp {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both.
    #[default]
    V4v6,
}

impl Dhcp {
    /// Whether IPv4 is asked for.
    #[must_use]
    pub fn wants_ipv4(self) -> bool {
        self != Dhcp::V6
    }

    /// Whether IPv6 is asked for.
    #[must_use]
    pub fn wants_ipv6(self) -> bool {
        self != Dhcp::V4
    }
}

/// Rank of an uplink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ManagementVector {
    /// Name of the vector.
    #[serde(default)]
    pub name: String,
    /// Lowest first; also the metric of the default route at hand-over.
    #[serde(default = "legacy_metric")]
    pub priority: u32,
}

fn legacy_metric() -> u32 {
    LEGACY_METRIC
}
