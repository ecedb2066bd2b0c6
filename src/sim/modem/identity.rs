//! Pure: who a modem is. What the scenario leaves open follows from the seed.

use fastrand::Rng;

use crate::sim::scenario::{CarrierSpec, ModemSpec};

/// Numbers and names of one modem and its card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// IMEI, 15 digits with check digit (3GPP TS 23.003, 6.2.1).
    pub imei: String,
    /// ICCID, 20 digits with check digit (ITU-T E.118).
    pub iccid: String,
    /// IMSI, 15 digits.
    pub imsi: String,
    /// Telephone number.
    pub msisdn: String,
    /// Carrier of the card; also the network it meets.
    pub carrier: CarrierSpec,
}

/// Manufacturer, as DMS and `ATI` say it.
pub const MANUFACTURER: &str = "Sierra Wireless, Incorporated";
/// Model.
pub const MODEL: &str = "MC7455";
/// Version of the firmware, the first part of image names.
pub const FIRMWARE: &str = "02.33.03.00";
/// Revision as DMS says it.
pub const REVISION: &str = "SWI9X30C_02.33.03.00 r8209 CARMD-EV-FRMWR2 2019/08/28 20:59:30";

impl Identity {
    /// The identity of a modem with this seed.
    #[must_use]
    pub fn new(spec: &ModemSpec, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed ^ 0x6964_656e_7469_7479);
        let mut digits = |count| (0..count).map(|_| char::from(random.u8(b'0'..=b'9'))).collect::<String>();
        let (imei, iccid, imsi, msisdn) = (digits(6), digits(11), digits(10), digits(7));
        let carrier = spec.carrier.clone().unwrap_or_else(|| default_carrier(seed));
        let subscriber = &imsi[..15 - carrier.mcc.len() - carrier.mnc.len()];
        Self {
            imei: spec.imei.clone().unwrap_or_else(|| checked(format!("35907206{imei}"))),
            iccid: spec.iccid.clone().unwrap_or_else(|| checked(format!("8901{:0>4}{iccid}", carrier.mnc))),
            imsi: spec.imsi.clone().unwrap_or_else(|| format!("{}{}{subscriber}", carrier.mcc, carrier.mnc)),
            msisdn: spec.msisdn.clone().unwrap_or_else(|| format!("1555{msisdn}")),
            carrier,
        }
    }

    /// MCC and MNC as numbers, and whether the MNC has three digits.
    pub(super) fn plmn(&self) -> (u16, u16, bool) {
        let number = |text: &str| text.parse().unwrap_or(0);
        (number(&self.carrier.mcc), number(&self.carrier.mnc), self.carrier.mnc.len() == 3)
    }
}

/// The two carriers of the manual's router.
fn default_carrier(seed: u64) -> CarrierSpec {
    let (name, mcc, mnc) =
        if seed.is_multiple_of(2) { ("AT&T", "310", "410") } else { ("Verizon", "311", "480") };
    CarrierSpec { name: name.to_owned(), mcc: mcc.to_owned(), mnc: mnc.to_owned() }
}

/// The digits with their Luhn digit behind them (ISO/IEC 7812-1 annex B).
fn checked(mut digits: String) -> String {
    let sum: u32 = (0..)
        .zip(digits.bytes().rev())
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0');
            if place % 2 == 1 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
        })
        .sum();
    digits.push(char::from_digit((10 - sum % 10) % 10, 10).expect("below ten"));
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_is_that_of_published_examples() {
        // 3GPP TS 23.003 annex B does the sum for an IMEI; ISO/IEC 7812 for a card.
        assert_eq!(checked("49015420323751".to_owned()), "490154203237518");
        assert_eq!(checked("7992739871".to_owned()), "79927398713");
    }

    #[test]
    fn numbers_have_their_lengths_and_follow_the_seed() {
        for seed in 0..50 {
            let identity = Identity::new(&ModemSpec::default(), seed);
            let lengths = [identity.imei.len(), identity.iccid.len(), identity.imsi.len()];
            assert_eq!(lengths, [15, 20, 15], "{identity:?}");
            assert_eq!(identity, Identity::new(&ModemSpec::default(), seed));
            assert_ne!(identity.imei, Identity::new(&ModemSpec::default(), seed + 1).imei);
        }
    }
}
