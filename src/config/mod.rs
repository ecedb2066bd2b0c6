//! What an operator writes for one router: the text of `/etc/tandem/agent.toml` as values, and
//! back. Parses, fills in defaults, checks, compares, prints. Never opens a file, never looks at
//! the machine: whether a target-interface exists is for `modem` to find out.
//!
//! ```text
//! text ─▶ Config::parse ─▶ Checked { config, warnings }      nothing is applied on ConfigError
//!              └─ check: every broken rule at once, each underlined in the text
//! ```

mod check;
pub mod diff;
pub mod import;
mod interface;
pub mod pending;
mod quantity;
mod report;
mod secret;
mod section;
mod show;
mod target;

pub use check::Warning;
pub use diff::{Changes, diff};
pub use interface::{
    Authentication, AuthenticationProtocol, DataPlan, DeviceInterface, Dhcp, InterfaceType, LEGACY_METRIC,
    Lte, ManagementVector, NetworkInterface,
};
pub use quantity::{format_duration, format_size, parse_duration, parse_size};
pub use report::{ConfigError, Fault};
pub use secret::Secret;
pub use section::{
    Agent, Failover, Identifiers, Policy, Privacy, Probe, Recovery, Retry, Router, Sample, Serial, Spool,
    Standby, Upload,
};
pub use target::{ProbeKind, ProbeTarget};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where the configuration of a router lives unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/tandem/agent.toml";

/// The configuration of one router. Every section but `router` may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// Who this router is.
    pub router: Router,
    /// The ways out of this router.
    #[serde(default, rename = "device-interface")]
    pub device_interfaces: Vec<DeviceInterface>,
    /// Which uplink carries the traffic.
    #[serde(default)]
    pub failover: Failover,
    /// How uplinks are tried out.
    #[serde(default)]
    pub probe: Probe,
    /// How soon a failed link is tried again, by class of failure.
    #[serde(default)]
    pub retry: Retry,
    /// How far the agent goes to wake a modem.
    #[serde(default)]
    pub recovery: Recovery,
    /// How often signal and traffic are recorded.
    #[serde(default)]
    pub sample: Sample,
    /// Where events wait on disk.
    #[serde(default)]
    pub spool: Spool,
    /// Where events go.
    #[serde(default)]
    pub upload: Upload,
    /// What is said about identities.
    #[serde(default)]
    pub privacy: Privacy,
    /// How AT ports are spoken to.
    #[serde(default)]
    pub serial: Serial,
    /// The agent itself.
    #[serde(default)]
    pub agent: Agent,
}

/// A configuration without errors, and what its author should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// What will happen that the author may not expect, in the order to be numbered.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// Reads and checks `text`; `file_name` is only for the messages.
    ///
    /// # Errors
    /// Syntax, unknown keys and wrong types (the first one), or broken rules (all of them), each
    /// with file, line, column and the offending text underlined.
    pub fn parse(text: &str, file_name: &str) -> Result<Checked, ConfigError> {
        let config: Config =
            toml::from_str(text).map_err(|error| ConfigError::from_toml(text, file_name, &error))?;
        let problems = check::problems(&config);
        if !problems.is_empty() {
            return Err(ConfigError::from_problems(text, file_name, &problems));
        }
        let warnings = check::warnings(&config);
        Ok(Checked { config, warnings })
    }

    /// The device-interface of that name.
    #[must_use]
    pub fn device_interface(&self, name: &str) -> Option<&DeviceInterface> {
        self.device_interfaces.iter().find(|device| device.name == name)
    }

    /// The device-interface on that Linux interface.
    #[must_use]
    pub fn by_target_interface(&self, target_interface: &str) -> Option<&DeviceInterface> {
        self.device_interfaces.iter().find(|device| device.target_interface == target_interface)
    }

    /// The device-interfaces that are LTE modems, in the order of the file.
    pub fn lte_interfaces(&self) -> impl Iterator<Item = &DeviceInterface> {
        self.device_interfaces.iter().filter(|device| device.kind == InterfaceType::Lte)
    }

    /// SHA-256 of the canonical form, as hex. Two files that mean the same have one hash. Secrets
    /// do not enter it: the hash leaves the router, and a password could be guessed from it.
    #[must_use]
    pub fn hash(&self) -> String {
        Sha256::digest(self.to_toml()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The effective configuration, defaults included, as TOML. Secrets are hidden.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every value of a configuration has a TOML form")
    }
}

#[cfg(test)]
mod tests;
