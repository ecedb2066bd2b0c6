//! Signal as the modem measured it: plain units, and `None` for what it did not measure.

use super::super::known::known;
use super::{GetCellLocationInfoResponse, LteCell, LteSignalStrength, SignalInfo};

/// One measurement. Each value is absent when the modem has none or sends one outside what 3GPP TS 36.133 and TS 38.133
/// let it report, which some do while searching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Received power of the whole channel.
    pub rssi_dbm: Option<i16>,
    /// Received power of the cell's reference signal.
    pub rsrp_dbm: Option<i16>,
    /// Quality of the cell's reference signal.
    pub rsrq_db: Option<i16>,
    /// Signal to noise ratio, in tenths of a dB.
    pub snr_tenth_db: Option<i16>,
}

impl Reading {
    fn of(rssi: i16, rsrp: i16, rsrq: i16, snr: i16) -> Self {
        let within =
            |value: i16, low: i16, high: i16| Some(value).filter(|value| (low..=high).contains(value));
        Self {
            rssi_dbm: within(rssi, -125, -10),
            rsrp_dbm: within(rsrp, -156, -31),
            rsrq_db: within(rsrq, -43, 20),
            snr_tenth_db: within(snr, -300, 400),
        }
    }

    /// `None` when nothing was measured.
    fn measured(self) -> Option<Self> {
        Some(self).filter(|reading| reading.rssi_dbm.is_some() || reading.rsrp_dbm.is_some())
    }
}

impl LteSignalStrength {
    /// The measurement; `None` when there is none, as when all fields are 0 while the modem searches.
    #[must_use]
    pub fn reading(&self) -> Option<Reading> {
        Reading::of(self.rssi.into(), self.rsrp, self.rsrq.into(), self.snr).measured()
    }
}

impl SignalInfo {
    /// LTE; `None` while not camped on LTE.
    #[must_use]
    pub fn lte(&self) -> Option<Reading> {
        self.lte_signal_strength.as_ref().and_then(LteSignalStrength::reading)
    }

    /// NR, beside LTE or alone; `None` while no NR cell is in use.
    #[must_use]
    pub fn nr5g(&self) -> Option<Reading> {
        let nr = self.nr5g_signal_strength.as_ref()?;
        let rsrq = self.nr5g_signal_strength_extended.unwrap_or(i16::MIN);
        Reading::of(i16::MIN, nr.rsrp, rsrq, nr.snr).measured()
    }

    /// WCDMA or GSM, of which only the RSSI is comparable; `None` while on neither.
    #[must_use]
    pub fn older(&self) -> Option<Reading> {
        let rssi = self.wcdma_signal_strength.as_ref().map(|wcdma| wcdma.rssi).or(self.gsm_signal_strength)?;
        Reading::of(rssi.into(), i16::MIN, i16::MIN, i16::MIN).measured()
    }
}

impl LteCell {
    /// The measurement, rounded to whole dB; cells carry tenths.
    #[must_use]
    pub fn reading(&self) -> Option<Reading> {
        let whole = |tenths: i16| (f32::from(tenths) / 10.0).round() as i16;
        Reading::of(whole(self.rssi), whole(self.rsrp), whole(self.rsrq), i16::MIN).measured()
    }
}

impl GetCellLocationInfoResponse {
    /// Timing advance to the LTE cell, µs.
    #[must_use]
    pub fn timing_advance_us(&self) -> Option<u32> {
        known(self.lte_info_timing_advance)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Nr5gSignalStrength;
    use super::*;

    fn lte(rssi: i8, rsrq: i8, rsrp: i16, snr: i16) -> Option<Reading> {
        LteSignalStrength { rssi, rsrq, rsrp, snr }.reading()
    }

    #[test]
    fn values_that_stand_for_nothing_are_absent() {
        let whole =
            Reading { rssi_dbm: Some(-62), rsrp_dbm: Some(-95), rsrq_db: Some(-11), snr_tenth_db: Some(134) };
        assert_eq!(lte(-62, -11, -95, 134), Some(whole));
        assert_eq!(lte(-128, -11, -95, 134), Some(Reading { rssi_dbm: None, ..whole }));
        assert_eq!(lte(-62, -11, i16::MIN, 134), Some(Reading { rsrp_dbm: None, ..whole }));
        assert_eq!(
            lte(-62, -128, -95, i16::MIN),
            Some(Reading { rsrq_db: None, snr_tenth_db: None, ..whole })
        );
        assert_eq!(lte(0, 0, 0, 0), None);
        assert_eq!(lte(-128, 0, i16::MIN, 0), None);
    }

    #[test]
    fn nr_that_is_not_connected_is_absent() {
        let nr = |rsrp, snr| Some(Nr5gSignalStrength { rsrp, snr });
        let absent = SignalInfo { nr5g_signal_strength: nr(i16::MIN, i16::MIN), ..Default::default() };
        assert_eq!(absent.nr5g(), None);
        let present = SignalInfo { nr5g_signal_strength: nr(-101, 75), ..Default::default() };
        let reading = present.nr5g().unwrap();
        assert_eq!((reading.rsrp_dbm, reading.rsrq_db, reading.snr_tenth_db), (Some(-101), None, Some(75)));
        assert_eq!((present.lte(), present.older()), (None, None));
    }

    #[test]
    fn cells_carry_tenths() {
        let cell =
            LteCell { physical_cell_id: 17, rsrq: -110, rsrp: -954, rssi: -620, cell_selection_rx_level: 50 };
        let reading = cell.reading().unwrap();
        assert_eq!((reading.rsrp_dbm, reading.rsrq_db, reading.rssi_dbm), (Some(-95), Some(-11), Some(-62)));
    }
}
