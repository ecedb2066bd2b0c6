//! Pure: samples of one link, gathered into columns until they leave as one event.

use chrono::{DateTime, Utc};

use crate::event::{Body, Cell, CellRun, Radio, Signal, SignalSampled, TrafficSampled};
use crate::modem::driver::Statistics;

/// Samples in a batch at most; the oldest batch leaves early when more come.
const SAMPLES_MAX: usize = 360;
/// Offsets are told in steps of this: finer ones say nothing of a radio, and take as many bytes as a value.
const STEP_MS: i64 = 100;

/// Signal samples.
#[derive(Debug, Default)]
pub struct SignalBatch {
    start: Option<DateTime<Utc>>,
    columns: SignalSampled,
}

impl SignalBatch {
    /// Adds a sample. A full batch takes no more until it is taken.
    pub fn push(&mut self, now: DateTime<Utc>, signal: &Signal, radio: Radio, cell: &Cell) {
        if self.columns.offset_ms.len() >= SAMPLES_MAX {
            return;
        }
        let start = *self.start.get_or_insert(now);
        let columns = &mut self.columns;
        columns.offset_ms.push(offset_ms(start, now));
        columns.rssi_dbm.push(signal.rssi_dbm);
        columns.rsrp_dbm.push(signal.rsrp_dbm);
        columns.rsrq_db.push(signal.rsrq_db);
        columns.snr_db.push(signal.snr_db);
        let run = run(radio, cell);
        match columns.runs.last_mut() {
            Some(last) if (CellRun { count: 1, ..last.clone() }) == run => last.count += 1,
            _ => columns.runs.push(run),
        }
    }

    /// Whether a sample taken there would begin another run.
    #[must_use]
    pub fn is_elsewhere(&self, radio: Radio, cell: &Cell) -> bool {
        let count = self.columns.runs.last().map_or(0, |last| last.count);
        self.columns.runs.last() != Some(&CellRun { count, ..run(radio, cell) })
    }

    /// What was gathered, with the time of the first sample; `None` when nothing was.
    pub fn take(&mut self) -> Option<(DateTime<Utc>, Body)> {
        let start = self.start.take()?;
        Some((start, std::mem::take(&mut self.columns).into()))
    }
}

fn run(radio: Radio, cell: &Cell) -> CellRun {
    CellRun { count: 1, radio, band: cell.band, cell_id: cell.cell_id, tac: cell.tac }
}

/// Traffic intervals.
#[derive(Debug, Default)]
pub struct TrafficBatch {
    start: Option<DateTime<Utc>>,
    columns: TrafficSampled,
}

impl TrafficBatch {
    /// Adds what was carried in an interval. A full batch takes no more until it is taken.
    pub fn push(&mut self, since: DateTime<Utc>, now: DateTime<Utc>, carried: &Statistics) {
        if self.columns.offset_ms.len() >= SAMPLES_MAX {
            return;
        }
        let start = *self.start.get_or_insert(since);
        let columns = &mut self.columns;
        columns.offset_ms.push(offset_ms(start, now));
        columns.rx_bytes.push(carried.rx_bytes.unwrap_or(0));
        columns.tx_bytes.push(carried.tx_bytes.unwrap_or(0));
        columns.rx_packets.push(carried.rx_packets.unwrap_or(0));
        columns.tx_packets.push(carried.tx_packets.unwrap_or(0));
        columns.rx_errors.push(carried.rx_errors.unwrap_or(0));
        columns.tx_errors.push(carried.tx_errors.unwrap_or(0));
        columns.rx_dropped.push(carried.rx_dropped.unwrap_or(0));
        columns.tx_dropped.push(carried.tx_dropped.unwrap_or(0));
    }

    /// What was gathered, with the start of the first interval; `None` when nothing was. Columns of errors and drops
    /// that there were none of are left out.
    pub fn take(&mut self) -> Option<(DateTime<Utc>, Body)> {
        let start = self.start.take()?;
        let mut columns = std::mem::take(&mut self.columns);
        for column in
            [&mut columns.rx_errors, &mut columns.tx_errors, &mut columns.rx_dropped, &mut columns.tx_dropped]
        {
            if column.iter().all(|count| *count == 0) {
                column.clear();
            }
        }
        Some((start, columns.into()))
    }
}

fn offset_ms(start: DateTime<Utc>, now: DateTime<Utc>) -> u32 {
    let ms = (now - start).num_milliseconds().max(0);
    u32::try_from((ms + STEP_MS / 2) / STEP_MS * STEP_MS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    #[test]
    fn columns_are_of_one_length_and_runs_add_up() {
        let mut batch = SignalBatch::default();
        for second in 0..5 {
            let cell = Cell { cell_id: Some(if second < 3 { 7 } else { 8 }), ..Cell::default() };
            batch.push(
                at(second * 10),
                &Signal { rsrp_dbm: Some(-95), ..Signal::default() },
                Radio::Lte,
                &cell,
            );
        }
        let (start, Body::SignalSampled(columns)) = batch.take().unwrap() else { panic!("other body") };
        assert_eq!(start, at(0));
        assert_eq!(columns.offset_ms, [0, 10_000, 20_000, 30_000, 40_000]);
        assert_eq!(columns.runs.iter().map(|run| run.count).collect::<Vec<_>>(), [3, 2]);
        assert_eq!([columns.rssi_dbm.len(), columns.rsrp_dbm.len(), columns.snr_db.len()], [5; 3]);
        assert!(batch.take().is_none());
    }

    #[test]
    fn another_cell_is_elsewhere_and_the_same_is_not() {
        let cell = |id| Cell { cell_id: Some(id), ..Cell::default() };
        let mut batch = SignalBatch::default();
        assert!(batch.is_elsewhere(Radio::Lte, &cell(7)));
        for second in [0, 10] {
            batch.push(at(second), &Signal::default(), Radio::Lte, &cell(7));
        }
        assert!(!batch.is_elsewhere(Radio::Lte, &cell(7)));
        assert!(batch.is_elsewhere(Radio::Lte, &cell(8)) && batch.is_elsewhere(Radio::Umts, &cell(7)));
    }

    #[test]
    fn offsets_are_told_in_tenths_of_a_second() {
        let offset = |ms| offset_ms(at(0), at(0) + chrono::TimeDelta::milliseconds(ms));
        assert_eq!([-20, 10_004, 10_049, 10_050, 20_181].map(offset), [0, 10_000, 10_000, 10_100, 20_200]);
    }

    #[test]
    fn a_column_of_what_never_happened_is_left_out() {
        let mut batch = TrafficBatch::default();
        for (second, errors) in [(60, 0), (120, 2)] {
            let carried = Statistics { rx_errors: Some(errors), ..Statistics::default() };
            batch.push(at(second - 60), at(second), &carried);
        }
        let Some((_, Body::TrafficSampled(columns))) = batch.take() else { panic!("other body") };
        assert_eq!((columns.rx_errors, columns.tx_errors), (vec![0, 2], vec![]));
        assert_eq!((columns.rx_bytes, columns.rx_dropped), (vec![0, 0], vec![]));
    }

    #[test]
    fn intervals_are_told_from_the_start_of_the_first() {
        let carried = |rx, tx| Statistics { rx_bytes: Some(rx), tx_bytes: Some(tx), ..Statistics::default() };
        let mut batch = TrafficBatch::default();
        batch.push(at(0), at(10), &carried(500, 100));
        batch.push(at(10), at(20), &carried(40, 20));
        let (start, Body::TrafficSampled(columns)) = batch.take().unwrap() else { panic!("other body") };
        assert_eq!((start, columns.offset_ms), (at(0), vec![10_000, 20_000]));
        assert_eq!((columns.rx_bytes, columns.tx_bytes), (vec![500, 40], vec![100, 20]));
        assert!(batch.take().is_none());
    }
}
