//! What a link remembers over restarts and reboots, so that a crash loop cannot dial a carrier faster than its class
//! allows. It belongs to one ICCID and one APN; when either changes it is dropped, all but the budget of the recovery
//! ladder, which belongs to the modem.
//!
//! Waits are kept as durations, beside the boot and the uptime at which they were taken. Within one boot the time that
//! passed is taken off; over a reboot none is, for nobody knows how long the router was off.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::{CauseSource, FailureClass, IpFamily, Rung};

use super::retry::Steps;

/// A failure as an operator is shown it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureContext {
    /// Attempts in a row that failed, this one included.
    pub attempt: u32,
    /// QMI verbose call end reason type, 0 where there is none.
    pub r#type: u16,
    /// Code within the type.
    pub code: i32,
    /// Its name.
    pub reason: String,
    /// Its class.
    pub class: FailureClass,
    /// Who named it.
    pub source: CauseSource,
    /// The IP family that failed, where only one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<IpFamily>,
}

/// When the carrier may be dialled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "until")]
pub enum Hold {
    /// After this much time.
    Wait {
        /// What is left of the wait.
        left_ms: u64,
        /// Class of the failure that asked for it.
        class: FailureClass,
    },
    /// When an operator has acted.
    Operator,
}

/// A family that was refused while the other one is up, and when it may be dialled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingFamily {
    /// The family.
    pub family: IpFamily,
    /// Attempts in a row that failed.
    pub attempt: u32,
    /// What is left of the wait; absent when no retry helps.
    #[serde(default)]
    pub left_ms: Option<u64>,
}

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// SIM it belongs to.
    #[serde(default)]
    pub iccid: Option<String>,
    /// APN it belongs to.
    #[serde(default)]
    pub apn_name: String,
    /// Attempts in a row that failed.
    #[serde(default)]
    pub attempt: u32,
    /// The last failure that does not pass by itself.
    #[serde(default)]
    pub failure: Option<FailureContext>,
    /// The last failure that passes by itself, where it is the newer one.
    #[serde(default)]
    pub passing: Option<FailureContext>,
    /// Places in the lists of waits.
    #[serde(default)]
    pub steps: Steps,
    /// When to dial again.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// The only family that this SIM's network permits.
    #[serde(default)]
    pub permitted_family: Option<IpFamily>,
    /// The family that is waited for while the other one is up.
    #[serde(default)]
    pub missing: Option<MissingFamily>,
    /// Rungs climbed in this outage.
    #[serde(default)]
    pub climbed: Vec<Rung>,
    /// How long ago rungs were climbed, within the last day.
    #[serde(default)]
    pub climbed_ms_ago: Vec<u64>,
}

impl Memory {
    /// Whether it belongs to this SIM and APN.
    #[must_use]
    pub fn belongs_to(&self, iccid: Option<&str>, apn_name: &str) -> bool {
        self.iccid.is_some() && self.iccid.as_deref() == iccid && self.apn_name == apn_name
    }

    /// The same memory after `elapsed`.
    #[must_use]
    pub fn aged(mut self, elapsed: Duration) -> Self {
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if let Some(Hold::Wait { left_ms, .. }) = &mut self.hold {
            *left_ms = left_ms.saturating_sub(elapsed_ms);
        }
        if let Some(left_ms) = self.missing.as_mut().and_then(|missing| missing.left_ms.as_mut()) {
            *left_ms = left_ms.saturating_sub(elapsed_ms);
        }
        for ago in &mut self.climbed_ms_ago {
            *ago = ago.saturating_add(elapsed_ms);
        }
        self
    }
}

/// A memory with the moment at which it was taken: what lies on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// Boot in which it was taken.
    pub boot_id: String,
    /// Uptime at which it was taken.
    pub uptime_ms: u64,
    /// When the last failure happened, by wall clock. Only shown, nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure_time: Option<DateTime<Utc>>,
    /// The memory.
    pub memory: Memory,
}

impl Stamped {
    /// The memory as it is at `uptime_ms` of boot `boot_id`.
    #[must_use]
    pub fn recall(self, boot_id: &str, uptime_ms: u64) -> Memory {
        let elapsed_ms = if self.boot_id == boot_id { uptime_ms.saturating_sub(self.uptime_ms) } else { 0 };
        self.memory.aged(Duration::from_millis(elapsed_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped() -> Stamped {
        let hold = Some(Hold::Wait { left_ms: 600_000, class: FailureClass::Throttled });
        let failure = FailureContext {
            attempt: 19,
            r#type: 6,
            code: 33,
            reason: "option-unsubscribed".into(),
            class: FailureClass::Subscription,
            source: CauseSource::VerboseCallEndReason,
            family: Some(IpFamily::Ipv4),
        };
        let memory = Memory {
            iccid: Some("8901410321111851072".into()),
            apn_name: "broadband".into(),
            attempt: 19,
            failure: Some(failure),
            steps: Steps::from([(FailureClass::Subscription, 19), (FailureClass::Throttled, 1)]),
            hold,
            permitted_family: Some(IpFamily::Ipv4),
            climbed: vec![Rung::Redial, Rung::RadioCycle],
            climbed_ms_ago: vec![1000, 90_000],
            missing: Some(MissingFamily { family: IpFamily::Ipv6, attempt: 2, left_ms: Some(1) }),
            passing: None,
        };
        Stamped { boot_id: "b1".into(), uptime_ms: 50_000, last_failure_time: None, memory }
    }

    #[test]
    fn a_memory_survives_the_way_to_disk_and_back() {
        let text = serde_json::to_string(&stamped()).unwrap();
        assert_eq!(serde_json::from_str::<Stamped>(&text).unwrap(), stamped());
    }

    #[test]
    fn within_one_boot_the_time_that_passed_is_taken_off() {
        let memory = stamped().recall("b1", 170_000);
        assert_eq!(memory.hold, Some(Hold::Wait { left_ms: 480_000, class: FailureClass::Throttled }));
        assert_eq!(memory.climbed_ms_ago, [121_000, 210_000]);
    }

    #[test]
    fn over_a_reboot_the_whole_wait_is_left() {
        assert_eq!(stamped().recall("b2", 5).hold, stamped().memory.hold);
    }

    #[test]
    fn another_sim_or_apn_has_no_part_in_it() {
        let memory = stamped().memory;
        assert!(memory.belongs_to(Some("8901410321111851072"), "broadband"));
        assert!(!memory.belongs_to(Some("8901410321111851073"), "broadband"));
        assert!(!memory.belongs_to(Some("8901410321111851072"), "vzwinternet"));
        assert!(!memory.belongs_to(None, "broadband"));
        assert!(!Memory::default().belongs_to(None, ""), "without a SIM there is nothing to keep it by");
    }

    #[test]
    fn an_older_or_newer_file_is_read_as_far_as_it_goes() {
        let text = r#"{"boot_id":"b","uptime_ms":1,"memory":{"attempt":3,"later":true}}"#;
        assert_eq!(serde_json::from_str::<Stamped>(text).unwrap().memory.attempt, 3);
    }
}
