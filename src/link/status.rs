//! Everything that is known of one uplink at one moment, as plain data: what the local socket answers and
//! `show device-interface` prints.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::{IpFamily, IpSettings, LinkState, ModemDetected, RegistrationChanged, Signal, SimChanged};

use super::memory::FailureContext;

/// One uplink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Name of the device-interface.
    pub name: String,
    /// Kind: `lte` or `ethernet`.
    pub r#type: String,
    /// Linux interface.
    pub target_interface: String,
    /// Name of the network-interface.
    #[serde(default)]
    pub network_interface: Option<String>,
    /// State of the link.
    pub state: LinkState,
    /// Since when.
    pub state_since: DateTime<Utc>,
    /// What brought it there, in a few words.
    pub state_cause: String,
    /// MAC address, where the interface has one.
    #[serde(default)]
    pub mac_address: Option<String>,
    /// Speed in bits per second as the interface tells it; absent for modems.
    #[serde(default)]
    pub speed_bps: Option<u64>,
    /// Counters of the interface; absent when there is none.
    #[serde(default)]
    pub counters: Option<Counters>,
    /// What is dialled.
    pub profile: ActiveProfile,
    /// Whether the session was taken over from an earlier run.
    #[serde(default)]
    pub adopted: bool,
    /// Settings of the sessions that are up; absent while there is none.
    #[serde(default)]
    pub settings: Option<IpSettings>,
    /// The last failure that does not pass by itself.
    #[serde(default)]
    pub failure: Option<FailureContext>,
    /// The last failure that passes by itself, since the link last worked.
    #[serde(default)]
    pub passing_failure: Option<FailureContext>,
    /// When the last failure happened.
    #[serde(default)]
    pub last_failure_time: Option<DateTime<Utc>>,
    /// When the next attempt is due; absent when none is planned.
    #[serde(default)]
    pub next_retry_time: Option<DateTime<Utc>>,
    /// Counters of the session, as the modem tells them.
    #[serde(default)]
    pub packet_statistics: Option<PacketStatistics>,
    /// The modem and where it is.
    #[serde(default)]
    pub modem: Option<ModemDetected>,
    /// The SIM.
    #[serde(default)]
    pub sim: Option<SimChanged>,
    /// Registration, carrier, cell.
    #[serde(default)]
    pub registration: Option<RegistrationChanged>,
    /// Signal as last measured.
    #[serde(default)]
    pub signal: Option<Signal>,
    /// Whether traffic is sent here.
    #[serde(default)]
    pub carrying: bool,
    /// Priority of its management-vector.
    pub priority: u32,
    /// Share of new flows under `active-active`.
    pub weight: u16,
    /// Probes through the uplink.
    #[serde(default)]
    pub probe: Option<ProbeStatus>,
    /// Octets of this cycle of the data plan, both ways.
    #[serde(default)]
    pub cycle_used_bytes: Option<u64>,
}

/// Counters of a network interface since it came up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Octets received.
    pub in_octets: u64,
    /// Packets received.
    pub in_unicast_packets: u64,
    /// Receive errors.
    pub in_errors: u64,
    /// Packets dropped on receipt.
    pub in_dropped: u64,
    /// Octets sent.
    pub out_octets: u64,
    /// Packets sent.
    pub out_unicast_packets: u64,
    /// Send errors.
    pub out_errors: u64,
    /// Packets dropped on sending.
    pub out_dropped: u64,
}

/// What is dialled, without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveProfile {
    /// APN.
    pub apn: String,
    /// Authentication: `none`, `pap`, `chap`, `pap-or-chap`.
    pub auth: String,
    /// Families asked for.
    pub families: Vec<IpFamily>,
}

impl ActiveProfile {
    /// PDP type in the words of `show device-interface`.
    #[must_use]
    pub fn pdp_type(&self) -> &'static str {
        match self.families.as_slice() {
            [IpFamily::Ipv4] => "ipv4",
            [IpFamily::Ipv6] => "ipv6",
            _ => "ipv4-or-ipv6",
        }
    }
}

/// Counters of a data session. Absent values are those that the modem does not keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketStatistics {
    /// Packets sent.
    #[serde(default)]
    pub tx_packets_ok: Option<u64>,
    /// Packets received.
    #[serde(default)]
    pub rx_packets_ok: Option<u64>,
    /// Send errors.
    #[serde(default)]
    pub tx_packets_error: Option<u64>,
    /// Receive errors.
    #[serde(default)]
    pub rx_packets_error: Option<u64>,
    /// Packets dropped on sending.
    #[serde(default)]
    pub tx_packets_dropped: Option<u64>,
    /// Packets dropped on receipt.
    #[serde(default)]
    pub rx_packets_dropped: Option<u64>,
    /// Octets sent.
    #[serde(default)]
    pub tx_bytes_ok: Option<u64>,
    /// Octets received.
    #[serde(default)]
    pub rx_bytes_ok: Option<u64>,
}

/// What probes say of an uplink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbeStatus {
    /// Probes sent.
    pub sent: u64,
    /// Of those, lost.
    pub lost: u64,
    /// Median round trip.
    #[serde(default)]
    pub p50_us: Option<u64>,
    /// 95th percentile.
    #[serde(default)]
    pub p95_us: Option<u64>,
    /// 99th percentile.
    #[serde(default)]
    pub p99_us: Option<u64>,
}

/// RSSI in words, the coarsest judgement: where RSRP is known it rules, for on LTE RSSI counts every cell and noise.
#[must_use]
pub fn strength(signal: &Signal) -> Option<&'static str> {
    let (value, bands) = match (signal.rsrp_dbm, signal.rssi_dbm) {
        (Some(rsrp), _) => (rsrp, [-80, -90, -100, -110]),
        (None, Some(rssi)) => (rssi, [-65, -75, -85, -95]),
        (None, None) => return None,
    };
    let words = ["excellent", "good", "fair", "poor"];
    Some(bands.iter().zip(words).find(|(least, _)| value >= **least).map_or("very poor", |(_, word)| word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manuals_signal_is_excellent() {
        let signal = |rssi_dbm, rsrp_dbm| Signal { rssi_dbm, rsrp_dbm, ..Signal::default() };
        assert_eq!(strength(&signal(Some(-48), None)), Some("excellent"));
        assert_eq!(strength(&signal(Some(-60), Some(-112))), Some("very poor"));
        assert_eq!(strength(&signal(None, None)), None);
    }
}
