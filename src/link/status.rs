//! Everything that is known of one uplink at one moment, as plain data: what the local socket answers and
//! `show device-interface` prints.

use std::time::Duration;

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
    /// Whether the interface is switched on; absent when there is none.
    #[serde(default)]
    pub admin_up: Option<bool>,
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

impl LinkStatus {
    /// Whether this is its name, or that of its network interface.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.target_interface == name
    }
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

/// [`show`] as the command prints it: after the time, before how long it took.
#[must_use]
pub fn show_at(status: &LinkStatus, now: DateTime<Utc>, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    format!("{}\n{}Completed in {seconds:.2} seconds\n", now.format("%a %Y-%m-%d %H:%M:%S UTC"), show(status))
}

/// The text of `show device-interface`: the fields of the manual in its order, then ours, one a line.
#[must_use]
pub fn show(status: &LinkStatus) -> String {
    const NONE: &str = "Error Retrieving Information";
    const UNKNOWN: &str = "unknown";
    let mut out = String::new();
    let mut line = |label: &str, value: &str| {
        let space = if value.is_empty() { "" } else { " " };
        out += &format!("{label}:{space}{value}\n");
    };
    let up = matches!(status.state, LinkState::Connected | LinkState::Suspect);
    let number = |value: Option<u64>| value.unwrap_or(0).to_string();
    line("Type", &status.r#type);
    line("Forwarding", "true");
    line("Mode", "host");
    line("MAC Address", status.mac_address.as_deref().unwrap_or(UNKNOWN));
    line(
        "Admin Status",
        match status.admin_up {
            Some(true) => "up",
            Some(false) => "down",
            None => UNKNOWN,
        },
    );
    line("Operational Status", if up { "up" } else { "down" });
    line("Redundancy Status", "non-redundant");
    line("Speed", &number(status.speed_bps));
    let count = |of: fn(&Counters) -> u64| {
        status.counters.as_ref().map_or(UNKNOWN.to_owned(), |counters| of(counters).to_string())
    };
    line("in-octets", &count(|counters| counters.in_octets));
    line("in-unicast-pkts", &count(|counters| counters.in_unicast_packets));
    line("in-errors", &count(|counters| counters.in_errors));
    line("out-octets", &count(|counters| counters.out_octets));
    line("out-unicast-pkts", &count(|counters| counters.out_unicast_packets));
    line("out-errors", &count(|counters| counters.out_errors));
    line("Active Profile", "");
    // Central is told neither before the link was up for the first time.
    let is_told = !status.profile.families.is_empty();
    line("APN", if status.profile.apn.is_empty() && !is_told { UNKNOWN } else { &status.profile.apn });
    line("Auth", if status.profile.auth.is_empty() { "none" } else { &status.profile.auth });
    line("PDP type", if is_told { status.profile.pdp_type() } else { UNKNOWN });
    line("Connection Status", if up { "connected" } else { "disconnected" });
    match status.settings.as_ref().and_then(|settings| settings.ipv4.as_ref()) {
        None => line("Current Ipv4 Settings", NONE),
        Some(ipv4) => {
            line("Current Ipv4 Settings", "");
            line("Address", &format!("{}/{}", ipv4.address, ipv4.prefix_length));
            line("Gateway", &ipv4.gateway.map_or("none".into(), |gateway| gateway.to_string()));
            let dns: Vec<String> = ipv4.dns.iter().map(ToString::to_string).collect();
            line("DNS", &dns.join(", "));
            let mtu = status.settings.as_ref().and_then(|settings| settings.mtu_bytes);
            line("MTU", &mtu.map_or("not given".into(), |mtu| mtu.to_string()));
        }
    }
    let failure = status.failure.as_ref().or(status.passing_failure.as_ref());
    match failure {
        None => line("Failure Context", "none"),
        Some(failure) => {
            let time = |time: Option<DateTime<Utc>>| {
                time.map_or("none planned".into(), |time| time.format("%a %b %e %H:%M:%S %Y").to_string())
            };
            line("Failure Context", "");
            line("attempt", &failure.attempt.to_string());
            line("code", &failure.code.to_string());
            line("last-failure-time", &time(status.last_failure_time));
            line("next-retry-time", &time(status.next_retry_time));
            line("reason", &failure.reason);
            line("type", &failure.r#type.to_string());
        }
    }
    match &status.packet_statistics {
        None => line("Packet Stats", NONE),
        Some(statistics) => {
            line("Packet Stats", "");
            line("rx-bytes", &number(statistics.rx_bytes_ok));
            line("rx-packets", &number(statistics.rx_packets_ok));
            line("tx-bytes", &number(statistics.tx_bytes_ok));
            line("tx-packets", &number(statistics.tx_packets_ok));
        }
    }
    let word = |value: serde_json::Value| value.as_str().unwrap_or("unknown").to_owned();
    let dbm =
        |value: Option<i16>, unit: &str| value.map_or(NONE.to_owned(), |value| format!("{value} {unit}"));
    let signal = status.signal.clone().unwrap_or_default();
    let registration = status.registration.as_ref();
    line("RSSI Signal Strength", &dbm(signal.rssi_dbm, "dBm"));
    line("Radio Interface", &registration.map_or(NONE.into(), |r| word(serde_json::json!(r.radio))));
    line("Registration Status", &registration.map_or(NONE.into(), |r| word(serde_json::json!(r.state))));
    line("Signal Strength", strength(&signal).unwrap_or(NONE));
    let modem = status.modem.as_ref();
    line("usb-port", modem.and_then(|modem| modem.at_port.as_deref()).unwrap_or("none"));
    line("Name", &status.name);
    line("Target Interface", &status.target_interface);
    line("Link State", &word(serde_json::json!(status.state)));
    line("Link Cause", &status.state_cause);
    if let Some(ipv6) = status.settings.as_ref().and_then(|settings| settings.ipv6.as_ref()) {
        line("IPv6 Address", &format!("{}/{}", ipv6.address, ipv6.prefix_length));
        line("IPv6 Gateway", &ipv6.gateway.map_or("none".into(), |gateway| gateway.to_string()));
        let dns: Vec<String> = ipv6.dns.iter().map(ToString::to_string).collect();
        line("IPv6 DNS", &dns.join(", "));
    }
    line("RSRP", &dbm(signal.rsrp_dbm, "dBm"));
    line("RSRQ", &dbm(signal.rsrq_db, "dB"));
    line("SNR", &signal.snr_db.map_or(NONE.into(), |snr| format!("{snr:.1} dB")));
    let told = |value: Option<u32>| value.map_or("unknown".to_owned(), |value| value.to_string());
    let cell = registration.map(|registration| registration.cell.clone()).unwrap_or_default();
    line("Band", &told(cell.band.map(u32::from)));
    line("Cell", &told(cell.cell_id));
    line("TAC", &told(cell.tac));
    let carrier = registration.and_then(|registration| registration.carrier.as_ref());
    line(
        "Carrier",
        &carrier.map_or("unknown".into(), |c| {
            format!("{} ({}-{})", c.name.as_deref().unwrap_or("unnamed"), c.mcc, c.mnc)
        }),
    );
    line("ICCID", status.sim.as_ref().and_then(|sim| sim.iccid.as_deref()).unwrap_or("unknown"));
    line("IMEI", modem.and_then(|modem| modem.imei.as_deref()).unwrap_or("unknown"));
    line("Firmware", modem.and_then(|modem| modem.firmware.as_deref()).unwrap_or("unknown"));
    line("Failure Class", &failure.map_or("none".into(), |failure| word(serde_json::json!(failure.class))));
    line("Uplink Role", if status.carrying { "carrying traffic" } else { "not carrying traffic" });
    if let Some(probe) = &status.probe {
        line("Probe Loss", &format!("{} of {}", probe.lost, probe.sent));
        let ms = |us: u64| us as f64 / 1000.0;
        let round_trip = match (probe.p50_us, probe.p95_us, probe.p99_us) {
            (Some(p50), Some(p95), Some(p99)) => {
                format!("p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms", ms(p50), ms(p95), ms(p99))
            }
            _ => "none".to_owned(),
        };
        line("Probe Round Trip", &round_trip);
    }
    if let Some(used) = status.cycle_used_bytes {
        line("Data Used", &format!("{used} bytes this cycle"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{CauseSource, FailureClass};

    /// The status of a golden case, and the text that it must give.
    fn check(name: &str, status: &LinkStatus) {
        let now: DateTime<Utc> = "2019-12-19T15:22:54Z".parse().unwrap();
        let text = show_at(status, now, Duration::from_millis(80));
        let path = format!("{}/tests/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("TANDEM_REWRITE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&path).unwrap(), "{path}");
    }

    fn status(name: &str) -> LinkStatus {
        let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn the_manuals_link_that_is_down_is_shown_as_the_manual_shows_it() {
        let down = status("show-down");
        check("show-down", &down);
        let failure = down.failure.as_ref().unwrap();
        assert_eq!(
            (failure.class, failure.source),
            (FailureClass::Subscription, CauseSource::VerboseCallEndReason)
        );
        let text = show(&down);
        let manual = [
            "Type: lte",
            "Forwarding: true",
            "Mode: host",
            "MAC Address: da:d1:54:e1:4e:54",
            "Admin Status: up",
            "Operational Status: down",
            "Redundancy Status: non-redundant",
            "Speed: 0",
            "in-octets: 16450",
            "in-unicast-pkts: 225",
            "in-errors: 0",
            "out-octets: 0",
            "out-unicast-pkts: 0",
            "out-errors: 0",
            "Active Profile:",
            "APN: broadband",
            "Auth: none",
            "PDP type: ipv4-or-ipv6",
            "Connection Status: disconnected",
            "Current Ipv4 Settings: Error Retrieving Information",
            "Failure Context:",
            "attempt: 19",
            "code: 33",
            "last-failure-time: Thu Dec 19 15:08:04 2019",
            "next-retry-time: Thu Dec 19 16:08:04 2019",
            "reason: option-unsubscribed",
            "type: 6",
            "Packet Stats: Error Retrieving Information",
            "RSSI Signal Strength: -48 dBm",
            "Radio Interface: lte",
            "Registration Status: registered",
            "Signal Strength: excellent",
            "usb-port: /dev/ttyUSB8",
        ];
        assert_eq!(text.lines().take(manual.len()).collect::<Vec<_>>(), manual);
    }

    #[test]
    fn a_connected_link_shows_its_settings_and_counters() {
        check("show-connected", &status("show-connected"));
    }

    #[test]
    fn an_interface_that_is_off_or_gone_is_not_told_as_on() {
        let mut gone = LinkStatus { admin_up: Some(false), ..status("show-connected") };
        assert!(show(&gone).contains("Admin Status: down\n"));
        (gone.admin_up, gone.mac_address, gone.counters) = (None, None, None);
        let text = show(&gone);
        assert!(text.contains("Admin Status: unknown\n"), "{text}");
        assert!(text.contains("MAC Address: unknown\n") && text.contains("in-octets: unknown\n"), "{text}");
    }

    #[test]
    fn what_nobody_told_or_measured_is_not_made_up() {
        let mut told = status("show-connected");
        told.profile = ActiveProfile::default();
        told.probe = Some(ProbeStatus::default());
        let text = show(&told);
        assert!(text.contains("\nAPN: unknown\n") && text.contains("\nPDP type: unknown\n"), "{text}");
        assert!(text.contains("\nProbe Loss: 0 of 0\nProbe Round Trip: none\n"), "{text}");
    }

    #[test]
    fn the_manuals_signal_is_excellent() {
        let signal = |rssi_dbm, rsrp_dbm| Signal { rssi_dbm, rsrp_dbm, ..Signal::default() };
        assert_eq!(strength(&signal(Some(-48), None)), Some("excellent"));
        assert_eq!(strength(&signal(Some(-60), Some(-112))), Some("very poor"));
        assert_eq!(strength(&signal(None, None)), None);
    }
}
