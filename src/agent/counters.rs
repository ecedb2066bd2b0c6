//! Pure: what a link has carried, from the counters of its sessions and, where those stay at 0, of its interface.
//!
//! Each family's session counts by itself, and from 0 when it is dialled anew. Some firmware counts nothing of what takes
//! its hardware path; then the kernel's counters stand in for as long as the modem's stay at 0.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::event::IpFamily;
use crate::link::status::Counters;
use crate::modem::driver::Statistics;

/// Follows the counters of one link.
#[derive(Debug, Default)]
pub struct Meter {
    read_at: Option<DateTime<Utc>>,
    /// What each family's session had counted; a family that is down keeps its last.
    sessions: BTreeMap<IpFamily, Statistics>,
    kernel: Option<Statistics>,
    /// What the kernel counted while the modem did not.
    uncounted: Statistics,
}

/// What one reading shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metered {
    /// Of the sessions that are up, together.
    pub total: Statistics,
    /// What was carried since the reading before, and when that was. Absent the first time.
    pub grown: Option<(DateTime<Utc>, Statistics)>,
}

impl Meter {
    /// Takes the counters of the sessions that are up, and of the interface where there is one.
    pub fn read(
        &mut self,
        now: DateTime<Utc>,
        sessions: &[(IpFamily, Statistics)],
        kernel: Option<&Counters>,
    ) -> Metered {
        let (mut counted, mut grown) = (Statistics::default(), Statistics::default());
        for (family, session) in sessions {
            let before = self.sessions.insert(*family, *session).unwrap_or_default();
            counted = counted.zip(session, sum);
            grown = grown.zip(&session.zip(&before, growth), sum);
        }
        let kernel = kernel.map(of_interface);
        let moved = match (kernel, std::mem::replace(&mut self.kernel, kernel)) {
            (Some(kernel), Some(before)) => kernel.zip(&before, growth),
            _ => Statistics::default(),
        };
        self.uncounted = match is_still(&counted) {
            true => self.uncounted.zip(&moved, sum),
            false => Statistics::default(),
        };
        if is_still(&counted) && !is_still(&moved) {
            grown = moved;
        }
        Metered {
            total: if is_still(&self.uncounted) { counted } else { self.uncounted },
            grown: self.read_at.replace(now).map(|since| (since, grown)),
        }
    }
}

/// Whether nothing was carried by this account.
fn is_still(counted: &Statistics) -> bool {
    let Statistics { rx_bytes, tx_bytes, rx_packets, tx_packets, .. } = counted;
    [rx_bytes, tx_bytes, rx_packets, tx_packets].iter().all(|count| count.unwrap_or(0) == 0)
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

/// A counter that went back began anew.
fn growth(now: Option<u64>, before: Option<u64>) -> Option<u64> {
    now.map(|now| now.checked_sub(before.unwrap_or(0)).unwrap_or(now))
}

fn of_interface(counters: &Counters) -> Statistics {
    Statistics {
        rx_bytes: Some(counters.in_octets),
        tx_bytes: Some(counters.out_octets),
        rx_packets: Some(counters.in_unicast_packets),
        tx_packets: Some(counters.out_unicast_packets),
        rx_errors: Some(counters.in_errors),
        tx_errors: Some(counters.out_errors),
        rx_dropped: Some(counters.in_dropped),
        tx_dropped: Some(counters.out_dropped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::IpFamily::{Ipv4, Ipv6};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    fn counted(rx: u64, tx: u64) -> Statistics {
        Statistics { rx_bytes: Some(rx), tx_bytes: Some(tx), ..Statistics::default() }
    }

    fn interface(rx: u64, tx: u64) -> Counters {
        Counters { in_octets: rx, out_octets: tx, ..Counters::default() }
    }

    /// Octets received: of the total, and of what has grown.
    fn received(metered: Metered) -> (u64, Option<u64>) {
        (metered.total.rx_bytes.unwrap(), metered.grown.map(|(_, grown)| grown.rx_bytes.unwrap()))
    }

    #[test]
    fn the_sessions_of_both_families_are_counted() {
        let mut meter = Meter::default();
        let first = meter.read(at(0), &[(Ipv4, counted(1000, 500)), (Ipv6, counted(70_000, 9000))], None);
        assert_eq!((first.total.tx_bytes, first.grown), (Some(9500), None));
        let next = meter.read(at(10), &[(Ipv4, counted(1500, 600)), (Ipv6, counted(90_000, 9000))], None);
        assert_eq!(next.total.rx_bytes, Some(91_500));
        assert_eq!(next.grown.unwrap(), (at(0), counted(20_500, 100)));
    }

    #[test]
    fn a_session_that_begins_anew_does_not_hide_the_other() {
        let mut meter = Meter::default();
        meter.read(at(0), &[(Ipv4, counted(5000, 0)), (Ipv6, counted(90_000, 0))], None);
        // IPv6 is down, then up from 0.
        assert_eq!(received(meter.read(at(1), &[(Ipv4, counted(5100, 0))], None)), (5100, Some(100)));
        let both = [(Ipv4, counted(5200, 0)), (Ipv6, counted(40, 0))];
        assert_eq!(received(meter.read(at(2), &both, None)), (5240, Some(140)));
    }

    #[test]
    fn a_family_that_comes_up_later_is_counted_from_its_start() {
        let mut meter = Meter::default();
        meter.read(at(0), &[(Ipv4, counted(100, 0))], None);
        let both = [(Ipv4, counted(100, 0)), (Ipv6, counted(30, 0))];
        assert_eq!(received(meter.read(at(1), &both, None)), (130, Some(30)));
    }

    #[test]
    fn the_kernel_counts_for_a_modem_that_does_not() {
        let mut meter = Meter::default();
        let still = [(Ipv4, counted(0, 0))];
        assert_eq!(received(meter.read(at(0), &still, Some(&interface(7000, 70)))), (0, None));
        assert_eq!(received(meter.read(at(1), &still, Some(&interface(7300, 80)))), (300, Some(300)));
        assert_eq!(received(meter.read(at(2), &still, Some(&interface(7300, 80)))), (300, Some(0)));
        // The interface was made anew.
        assert_eq!(received(meter.read(at(3), &still, Some(&interface(50, 5)))), (350, Some(50)));
        // The modem counts after all.
        assert_eq!(
            received(meter.read(at(4), &[(Ipv4, counted(20, 2))], Some(&interface(70, 7)))),
            (20, Some(20))
        );
    }

    #[test]
    fn the_kernel_is_not_asked_while_the_modem_counts() {
        let mut meter = Meter::default();
        meter.read(at(0), &[(Ipv4, counted(100, 10))], Some(&interface(0, 0)));
        let next = meter.read(at(1), &[(Ipv4, counted(100, 10))], Some(&interface(9000, 0)));
        assert_eq!(received(next), (100, Some(0)));
    }

    #[test]
    fn without_sessions_and_interface_nothing_is_made_up() {
        let mut meter = Meter::default();
        meter.read(at(0), &[], None);
        let nothing = meter.read(at(1), &[], None);
        assert_eq!(nothing.total, Statistics::default());
        assert_eq!(nothing.grown, Some((at(0), Statistics::default())));
    }
}
