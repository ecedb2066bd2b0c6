//! Pure: what a modem's radio measured over time, replayed in a loop; read from a CSV log in the G-NetTrack format.
//!
//! Columns are found by their names in the first line: `Timestamp` and `NetworkMode` must be there; `RSRP`, `RSRQ`, `SNR`,
//! `RSSI`, `RAWCELLID` (or `NODEHEX` and `CellID`), `LACHEX`, `State` and `PINGAVG` are used when they are. `-` or nothing means
//! not measured. A second with several rows is shared out among them. On 3G rows RSRP is RSCP and RSRQ is
//! Ec/Io. `5G` of such a log is EN-DC: an LTE anchor cell, whose figures the row gives, with NR beside it.

use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::NaiveDateTime;

use super::radio::{Cell, Reading, Technology};

/// Most rows of one trace: a day at ten rows a second. More are an error.
pub const MAX_ROWS: usize = 864_000;

/// One row of a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Time since the first row.
    pub offset: Duration,
    /// What was measured.
    pub reading: Reading,
}

/// Readings over time; never empty, offsets never fall.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    samples: Vec<Sample>,
    length: Duration,
}

/// What is wrong with a trace, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// The first line has no such column.
    #[error("line 1: no column {0:?}; a G-NetTrack log names its columns in the first line")]
    MissingColumn(&'static str),
    /// The log has no rows.
    #[error("line {line}: no rows")]
    Empty {
        /// Where the first row was expected.
        line: usize,
    },
    /// More than [`MAX_ROWS`] rows.
    #[error("line {line}: more than {MAX_ROWS} rows")]
    TooLong {
        /// The first row too many.
        line: usize,
    },
    /// A row with another number of fields than the first line.
    #[error("line {line}: {found} fields, the first line names {wanted}")]
    Fields {
        /// The row.
        line: usize,
        /// Fields it has.
        found: usize,
        /// Fields it should have.
        wanted: usize,
    },
    /// A field that does not hold what its column is for.
    #[error("line {line}, column {column} ({name}): {found:?} is not {wanted}")]
    Field {
        /// The row.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The column's name.
        name: &'static str,
        /// What the field holds, shortened.
        found: String,
        /// What it should hold.
        wanted: &'static str,
    },
}

impl Trace {
    /// A trace of readings taken each `interval`; `None` when there are none.
    #[must_use]
    pub fn evenly(interval: Duration, readings: impl IntoIterator<Item = Reading>) -> Option<Self> {
        let samples: Vec<_> = (0..)
            .zip(readings)
            .map(|(index, reading)| Sample { offset: interval * index, reading })
            .collect();
        Self::new(samples, interval)
    }

    fn new(samples: Vec<Sample>, last: Duration) -> Option<Self> {
        let length = samples.last()?.offset + last.max(Duration::from_millis(1));
        Some(Self { samples, length })
    }

    /// Reads a G-NetTrack log.
    ///
    /// # Errors
    /// [`TraceError`] names the line and the column of the first fault; nothing of a bad log is used.
    pub fn from_csv(text: &str) -> Result<Self, TraceError> {
        let mut lines = (1..).zip(text.lines());
        let header = lines.next().map_or("", |(_, line)| line);
        let columns = Columns::find(header.trim_start_matches('\u{feff}'))?;
        let mut rows: Vec<(NaiveDateTime, Reading)> = Vec::new();
        for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
            if rows.len() == MAX_ROWS {
                return Err(TraceError::TooLong { line });
            }
            let row = Row { line, fields: text.trim_end().split(',').map(str::trim).collect() };
            if row.fields.len() != columns.count {
                return Err(TraceError::Fields { line, found: row.fields.len(), wanted: columns.count });
            }
            let time = columns.time(&row, rows.last().map(|(time, _)| *time))?;
            rows.push((time, columns.reading(&row)?));
        }
        Self::new(spread(&rows), Duration::from_secs(1)).ok_or(TraceError::Empty { line: 2 })
    }

    /// The reading at this time since the start of the replay; after its end the trace begins again.
    #[must_use]
    pub fn at(&self, elapsed: Duration) -> Reading {
        let offset = self.wrapped(elapsed);
        let next = self.samples.partition_point(|sample| sample.offset <= offset);
        self.samples[next.saturating_sub(1)].reading
    }

    /// When, after `elapsed`, the next row begins.
    #[must_use]
    pub fn next_change(&self, elapsed: Duration) -> Duration {
        let offset = self.wrapped(elapsed);
        let next = self.samples.partition_point(|sample| sample.offset <= offset);
        elapsed + self.samples.get(next).map_or(self.length, |sample| sample.offset) - offset
    }

    /// All rows.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// How long one round takes.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.length
    }

    fn wrapped(&self, elapsed: Duration) -> Duration {
        let nanos = elapsed.as_nanos() % self.length.as_nanos();
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Rows of one second share it.
fn spread(rows: &[(NaiveDateTime, Reading)]) -> Vec<Sample> {
    let Some((start, _)) = rows.first() else { return Vec::new() };
    let mut samples = Vec::with_capacity(rows.len());
    for second in rows.chunk_by(|a, b| a.0 == b.0) {
        let offset = (second[0].0 - *start).to_std().unwrap_or_default();
        let share = Duration::from_secs(1) / u32::try_from(second.len()).unwrap_or(u32::MAX);
        samples.extend(
            (0..)
                .zip(second)
                .map(|(index, (_, reading))| Sample { offset: offset + share * index, reading: *reading }),
        );
    }
    samples
}

struct Row<'a> {
    line: usize,
    fields: Vec<&'a str>,
}

/// Where the columns of interest stand.
struct Columns {
    count: usize,
    timestamp: Column,
    mode: Column,
    rsrp: Option<Column>,
    rsrq: Option<Column>,
    snr: Option<Column>,
    rssi: Option<Column>,
    raw_cell: Option<Column>,
    cell: Option<Column>,
    node: Option<Column>,
    area: Option<Column>,
    state: Option<Column>,
    ping: Option<Column>,
}

#[derive(Clone, Copy)]
struct Column {
    name: &'static str,
    index: usize,
}

impl Columns {
    fn find(header: &str) -> Result<Self, TraceError> {
        let names: Vec<_> = header.split(',').map(|name| name.trim().trim_matches('"')).collect();
        let find = |name| names.iter().position(|found| *found == name).map(|index| Column { name, index });
        let must = |name| find(name).ok_or(TraceError::MissingColumn(name));
        Ok(Self {
            count: names.len(),
            timestamp: must("Timestamp")?,
            mode: must("NetworkMode")?,
            rsrp: find("RSRP"),
            rsrq: find("RSRQ"),
            snr: find("SNR"),
            rssi: find("RSSI"),
            raw_cell: find("RAWCELLID"),
            cell: find("CellID"),
            node: find("NODEHEX"),
            area: find("LACHEX"),
            state: find("State"),
            ping: find("PINGAVG"),
        })
    }

    fn time(&self, row: &Row<'_>, before: Option<NaiveDateTime>) -> Result<NaiveDateTime, TraceError> {
        let text = row.fields[self.timestamp.index];
        let time = NaiveDateTime::parse_from_str(text, "%Y.%m.%d_%H.%M.%S")
            .map_err(|_| row.fault(self.timestamp, "a time such as 2020.02.14_09.38.22"))?;
        match before {
            Some(before) if time < before => Err(row.fault(self.timestamp, "as late as the row before it")),
            _ => Ok(time),
        }
    }

    fn reading(&self, row: &Row<'_>) -> Result<Reading, TraceError> {
        let technology = self.technology(row)?;
        let (power, quality) = match technology {
            Technology::Lte => (-160..=-20, -45..=25),
            _ => (-140..=-10, -45..=0),
        };
        Ok(Reading {
            technology,
            rsrp_dbm: row.whole(self.rsrp, power, "a power in dBm")?,
            rsrq_db: row.whole(self.rsrq, quality, "a ratio in dB")?,
            rssi_dbm: row.whole(self.rssi, -127..=-1, "a power in dBm from -127 to -1")?,
            snr_tenth_db: row.tenths(self.snr)?,
            cell: self.cell(row, technology)?,
            active: self.state.is_none_or(|column| row.fields[column.index] != "I"),
            ping_ms: row.number(self.ping, 0.0..=600_000.0, "a time in ms")?.map(|ms| ms.round() as u32),
        })
    }

    fn technology(&self, row: &Row<'_>) -> Result<Technology, TraceError> {
        match row.fields[self.mode.index] {
            "LTE" | "LTE-A" | "LTE+" | "LTE-CA" | "LTE_CA" | "5G" | "5G NSA" | "NR" => Ok(Technology::Lte),
            "UMTS" | "HSPA" | "HSPA+" | "HSPAP" | "HSDPA" | "HSUPA" | "WCDMA" => Ok(Technology::Umts),
            "GSM" | "GPRS" | "EDGE" => Ok(Technology::Gsm),
            "-" | "" | "UNKNOWN" => Ok(Technology::None),
            _ => Err(row.fault(self.mode, "a network mode such as LTE, 5G, UMTS, HSPA+, EDGE or -")),
        }
    }

    /// E-UTRAN cell identities have 28 bits: 20 of the node, 8 of the cell (3GPP TS 36.413, 9.2.1.38).
    fn cell(&self, row: &Row<'_>, technology: Technology) -> Result<Cell, TraceError> {
        let most = if technology == Technology::Lte { (1 << 28) - 1 } else { u32::MAX };
        let raw = row.integer(self.raw_cell, 10, most, "a cell identity")?;
        let node = row.integer(self.node, 16, (1 << 20) - 1, "a node in hexadecimal")?;
        let local = row.integer(self.cell, 10, u32::MAX, "a cell number")?;
        let joined = node.zip(local).map(|(node, local)| (node << 8) | (local & 0xFF));
        let area = row.integer(self.area, 16, 0xFFFF, "an area code in hexadecimal")?;
        Ok(Cell::observed(raw.or(joined).unwrap_or(0), area.unwrap_or(0) as u16, technology))
    }
}

impl Row<'_> {
    fn fault(&self, column: Column, wanted: &'static str) -> TraceError {
        TraceError::Field {
            line: self.line,
            column: column.index + 1,
            name: column.name,
            found: self.fields[column.index].chars().take(32).collect(),
            wanted,
        }
    }

    fn number(
        &self,
        column: Option<Column>,
        range: RangeInclusive<f64>,
        wanted: &'static str,
    ) -> Result<Option<f64>, TraceError> {
        let Some(column) = column else { return Ok(None) };
        match self.fields[column.index] {
            "-" | "" => Ok(None),
            text => match text.parse() {
                Ok(number) if range.contains(&number) => Ok(Some(number)),
                _ => Err(self.fault(column, wanted)),
            },
        }
    }

    fn whole(
        &self,
        column: Option<Column>,
        range: RangeInclusive<i16>,
        wanted: &'static str,
    ) -> Result<Option<i16>, TraceError> {
        let range = f64::from(*range.start())..=f64::from(*range.end());
        Ok(self.number(column, range, wanted)?.map(|number| number.round() as i16))
    }

    fn tenths(&self, column: Option<Column>) -> Result<Option<i16>, TraceError> {
        let number = self.number(column, -40.0..=60.0, "a ratio in dB from -40 to 60")?;
        Ok(number.map(|number| (number * 10.0).round() as i16))
    }

    fn integer(
        &self,
        column: Option<Column>,
        radix: u32,
        most: u32,
        wanted: &'static str,
    ) -> Result<Option<u32>, TraceError> {
        let Some(column) = column else { return Ok(None) };
        match self.fields[column.index] {
            "-" | "" => Ok(None),
            text => match u32::from_str_radix(text, radix) {
                Ok(number) if number <= most => Ok(Some(number)),
                _ => Err(self.fault(column, wanted)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOG: &str =
        "Timestamp,Longitude,CellID,NetworkMode,RSRP,RSRQ,SNR,RSSI,State,PINGAVG,NODEHEX,LACHEX,RAWCELLID
2020.02.14_09.38.22,-8.5,1,LTE,-89,-12,1.0,-71,D,-,53B22,9CBA,87761409
2020.02.14_09.38.22,-8.5,1,5G,-87,-9,3.5,-69,I,41.6,53B22,9CBA,87761409
2020.02.14_09.38.25,-8.5,8682,UMTS,-69,-2,-,-,D,-,C,75AA,795114
2020.02.14_09.38.26,-8.5,-,-,-,-,-,-,D,-,-,-,-
";

    fn at(trace: &Trace, ms: u64) -> Reading {
        trace.at(Duration::from_millis(ms))
    }

    #[test]
    fn rows_are_read_by_the_names_of_their_columns_and_replayed_in_a_loop() {
        let trace = Trace::from_csv(LOG).unwrap();
        assert_eq!(trace.length(), Duration::from_secs(5));
        let first = at(&trace, 0);
        assert_eq!(
            (first.technology, first.rsrp_dbm, first.rsrq_db),
            (Technology::Lte, Some(-89), Some(-12))
        );
        assert_eq!((first.snr_tenth_db, first.rssi_dbm, first.ping_ms), (Some(10), Some(-71), None));
        assert_eq!((first.cell.id, first.cell.area, first.active), (87_761_409, 0x9CBA, true));
        let second = at(&trace, 500);
        assert_eq!((second.rsrp_dbm, second.snr_tenth_db, second.ping_ms), (Some(-87), Some(35), Some(42)));
        assert!(!second.active);
        assert_eq!(at(&trace, 499), first);
        assert_eq!(at(&trace, 2999), second);
        let third = at(&trace, 3000);
        assert_eq!(
            (third.technology, third.rsrp_dbm, third.snr_tenth_db),
            (Technology::Umts, Some(-69), None)
        );
        assert_eq!(at(&trace, 4000).technology, Technology::None);
        assert_eq!(at(&trace, 5000), first);
        assert_eq!(trace.next_change(Duration::from_millis(5200)), Duration::from_millis(5500));
        assert_eq!(trace.next_change(Duration::from_millis(4200)), Duration::from_millis(5000));
    }

    #[test]
    fn the_cell_is_put_together_from_node_and_number_when_the_log_has_no_raw_one() {
        let log = LOG.replace("RAWCELLID", "Ignored");
        assert_eq!(Trace::from_csv(&log).unwrap().at(Duration::ZERO).cell.id, 87_761_409);
    }

    #[test]
    fn a_bad_row_is_named_with_line_and_column() {
        for (from, to, text) in [
            ("-8.5,1,LTE,-89", "-8.5,1,LTE,+x", r#"line 2, column 5 (RSRP): "+x" is not a power in dBm"#),
            ("LTE,-89,-12,1.0", "LTE,-89,-12,nan", "line 2, column 7 (SNR)"),
            ("1,5G", "1,6G", "line 3, column 4 (NetworkMode)"),
            ("2020.02.14_09.38.25", "2020.02.14_09.38.21", "line 4, column 1 (Timestamp)"),
            ("2020.02.14_09.38.25", "yesterday", "line 4, column 1 (Timestamp)"),
            ("C,75AA,795114", "C,75AA", "line 4: 12 fields, the first line names 13"),
            (
                "53B22,9CBA,87761409\n2020.02.14_09.38.22,-8.5,1,5G",
                "53B22,9CBA,4294967295\n2020.02.14_09.38.22,-8.5,1,5G",
                "line 2, column 13 (RAWCELLID)",
            ),
            (",PINGAVG", ",NetworkMode2", ""),
            ("Timestamp,", "Time,", r#"line 1: no column "Timestamp""#),
            (LOG, "", r#"line 1: no column "Timestamp""#),
            (LOG, "Timestamp,NetworkMode\n\n", "line 2: no rows"),
        ] {
            let result = Trace::from_csv(&LOG.replace(from, to));
            match result {
                Ok(_) => assert!(text.is_empty(), "{to}"),
                Err(error) => assert!(!text.is_empty() && error.to_string().contains(text), "{to}: {error}"),
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,200}", field in "\\PC{0,12}", position in 0_usize..14) {
            let _ = Trace::from_csv(&text);
            let lines: Vec<_> = LOG.lines().map(|line| {
                let mut fields: Vec<_> = line.split(',').collect();
                if line.starts_with("2020.02.14_09.38.25") && position < fields.len() {
                    fields[position] = &field;
                }
                fields.join(",")
            }).collect();
            if let Err(error) = Trace::from_csv(&lines.join("\n")) {
                prop_assert!(error.to_string().starts_with("line 4"), "{}", error);
            }
        }

        #[test]
        fn the_next_change_is_later_and_nothing_changes_before(ms in 0_u64..20_000) {
            let trace = Trace::from_csv(LOG).unwrap();
            let now = Duration::from_millis(ms);
            let next = trace.next_change(now);
            prop_assert!(next > now);
            prop_assert_eq!(trace.at(next - Duration::from_nanos(1)), trace.at(now));
        }
    }
}
