//! Packet statistics without the values that stand for "not available".

use super::super::known::known;
use super::GetPacketStatisticsResponse;

/// Counts of one session, as far as the modem keeps them. Packet counts wrap at 2³².
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets sent.
    pub tx_packets: Option<u32>,
    /// Packets received.
    pub rx_packets: Option<u32>,
    /// Bytes sent.
    pub tx_bytes: Option<u64>,
    /// Bytes received.
    pub rx_bytes: Option<u64>,
    /// Packets that could not be sent.
    pub tx_errors: Option<u32>,
    /// Packets received broken.
    pub rx_errors: Option<u32>,
    /// Packets dropped instead of sent.
    pub tx_dropped: Option<u32>,
    /// Packets dropped after they were received.
    pub rx_dropped: Option<u32>,
}

impl GetPacketStatisticsResponse {
    /// What the modem really counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            tx_packets: known(self.tx_packets_ok),
            rx_packets: known(self.rx_packets_ok),
            tx_bytes: known(self.tx_bytes_ok),
            rx_bytes: known(self.rx_bytes_ok),
            tx_errors: known(self.tx_packets_error),
            rx_errors: known(self.rx_packets_error),
            tx_dropped: known(self.tx_packets_dropped),
            rx_dropped: known(self.rx_packets_dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ones_are_no_count() {
        let response = GetPacketStatisticsResponse {
            tx_packets_ok: Some(10),
            rx_packets_error: Some(u32::MAX),
            rx_bytes_ok: Some(u64::from(u32::MAX)),
            tx_bytes_ok: Some(u64::MAX),
            ..Default::default()
        };
        let wanted =
            Counters { tx_packets: Some(10), rx_bytes: Some(u64::from(u32::MAX)), ..Default::default() };
        assert_eq!(response.counters(), wanted);
    }
}
