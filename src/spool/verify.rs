//! Whether a spool is whole. Reads only, also while an agent writes.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::mark::Mark;
use super::store::{self, FILE, StoreError};
use super::{Progress, aside};
use crate::event::{Epoch, RouterName, Sequence};

/// Sequences without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Hole {
    /// First one missing.
    pub first: Sequence,
    /// Last one missing.
    pub last: Sequence,
    /// Whether the spool itself says that it gave them up.
    pub declared: bool,
}

/// What [`verify`] found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether there are neither holes nor damage.
    pub whole: bool,
    /// The router it belongs to.
    pub router: Option<RouterName>,
    /// Its life.
    pub epoch: Option<Epoch>,
    /// Lowest sequence that is there.
    pub first: Option<Sequence>,
    /// Highest sequence ever written; absent before the first.
    pub last: Option<Sequence>,
    /// Highest sequence acknowledged by central; absent before the first.
    pub acknowledged: Option<Sequence>,
    /// Status events.
    pub status_events: u64,
    /// Sample events.
    pub sample_events: u64,
    /// Bytes that the files take.
    pub bytes: u64,
    /// Sequences missing between the acknowledged and the last one.
    pub holes: Vec<Hole>,
    /// What is broken, in words.
    pub damage: Vec<String>,
    /// Damaged files of earlier lives; they do not make this one less whole.
    pub set_aside: Vec<PathBuf>,
}

/// Examines the spool in `directory`: its structure, every record, every place of the sequence.
///
/// # Errors
/// When `directory` is not a folder, or the spool cannot be read for another reason than its damage.
pub fn verify(directory: &Path) -> anyhow::Result<Report> {
    anyhow::ensure!(directory.is_dir(), "{} is not a folder", directory.display());
    // Before the database: what is read later can only be ahead of it.
    let mark = Mark::peek(directory);
    let mut report = Report {
        whole: false,
        router: None,
        epoch: mark.map(|mark| mark.epoch),
        first: None,
        last: None,
        acknowledged: None,
        status_events: 0,
        sample_events: 0,
        bytes: store::files_bytes(directory),
        holes: Vec::new(),
        damage: Vec::new(),
        set_aside: aside::set_aside_files(directory),
    };
    match examine(directory, mark, &mut report) {
        Err(error) if error.is_damage() => report.damage.push(error.to_string()),
        other => other?,
    }
    report.whole = report.holes.is_empty() && report.damage.is_empty();
    Ok(report)
}

fn examine(directory: &Path, mark: Option<Progress>, report: &mut Report) -> Result<(), StoreError> {
    let path = directory.join(FILE);
    if !path.exists() {
        return Err(StoreError::Damaged("there is no such file".into()));
    }
    let mut db = store::open_read_only(&path)?;
    // One snapshot for all that follows.
    let db = db.transaction()?;
    let structure = store::check_structure(&db);
    let (router, progress) = store::read_meta(&db)?;
    let sequence = |value: u64| (value > 0).then_some(Sequence(value));
    report.epoch = Some(progress.epoch);
    report.last = sequence(progress.last);
    report.acknowledged = sequence(progress.acknowledged);
    report.router = Some(router);
    structure?;
    let rows = store::scan(&db, progress)?;
    report.first = rows.first;
    report.status_events = rows.status;
    report.sample_events = rows.samples;
    report.holes = rows.holes;
    for broken in rows.broken {
        report.damage.push(format!("record {} does not match its checksum", broken.sequence.0));
    }
    if let Some(beyond) = rows.beyond {
        report.damage.push(format!("record {} lies beyond the last sequence {}", beyond.0, progress.last));
    }
    if let Some(mark) = mark.filter(|mark| mark.epoch == progress.epoch && mark.last > progress.last) {
        report.damage.push(format!(
            "{FILE} ends at sequence {}, but {} was written: it has lost its end",
            progress.last, mark.last
        ));
    }
    Ok(())
}
