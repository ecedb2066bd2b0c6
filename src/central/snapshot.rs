//! Views on disk, so that a restart serves at once and the past can be looked at.
//!
//! A snapshot is a zstd file of JSON lines: a header (format, version, freshness, number of routers), then one
//! [`RouterView`] a line. It is written beside its place and moved there, so it is whole or not there; the
//! checksum of zstd and the number of routers tell a damaged one. What cannot be read is no loss: the view is
//! folded again from the stream.
//!
//! A snapshot bears the time of the last event in it (`2026-11-02T08-00-00.000Z.view`): it serves any later
//! moment. [`LATEST`] beside them is where a restart begins.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::view::{FleetView, Freshness, RouterView};

/// Name of the snapshot that a restart begins with.
pub const LATEST: &str = "latest.view";

/// Changes whenever an older release could not read the lines, or would fold on from them wrongly.
const VERSION: u32 = 1;
const FORMAT: &str = "tandem.view";
const SUFFIX: &str = ".view";
const NAME_TIME: &str = "%Y-%m-%dT%H-%M-%S%.3fZ";

/// Level 1: a snapshot is written often and read seldom.
const ZSTD_LEVEL: i32 = 1;

/// Snapshots of each hour are kept this long, then one of each day.
const HOURLY_KEPT: TimeDelta = TimeDelta::hours(48);
/// Snapshots of each day are kept this long.
const DAILY_KEPT: TimeDelta = TimeDelta::days(366);

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    routers: usize,
    freshness: Freshness,
}

/// The folder of snapshots.
#[derive(Clone, Debug)]
pub struct Snapshots {
    folder: PathBuf,
}

impl Snapshots {
    /// Uses `folder`, which is made when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot make the folder", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Writes `fleet` as [`LATEST`].
    ///
    /// # Errors
    /// When it cannot be written; the one before it is still there then.
    pub fn write_latest(&self, fleet: &FleetView) -> anyhow::Result<()> {
        self.write(LATEST, fleet)
    }

    /// Writes `fleet` under the time of its last event. A view of an empty stream is not worth a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_dated(&self, fleet: &FleetView) -> anyhow::Result<()> {
        match fleet.freshness.stream_moved_at {
            Some(moved_at) => self.write(&format!("{}{SUFFIX}", moved_at.format(NAME_TIME)), fleet),
            None => Ok(()),
        }
    }

    /// The view to begin with after a restart.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn read_latest(&self) -> anyhow::Result<Option<FleetView>> {
        let path = self.folder.join(LATEST);
        if path.exists() { read(&path).map(Some) } else { Ok(None) }
    }

    /// The snapshots whose last event is no later than `time`, latest first.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn before(&self, time: DateTime<Utc>) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = self.dated()?;
        found.retain(|(dated, _)| *dated <= time);
        Ok(found.into_iter().rev().map(|(_, path)| path).collect())
    }

    /// Removes what is not kept any longer at `now`: hourly ones after two days, daily ones after a year.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn thin(&self, now: DateTime<Utc>) -> anyhow::Result<()> {
        let mut day_before = None;
        for (dated, path) in self.dated()? {
            let age = now - dated;
            let day = dated.date_naive();
            let first_of_day = day_before.replace(day) != Some(day);
            if age > DAILY_KEPT || (age > HOURLY_KEPT && !first_of_day) {
                fs::remove_file(&path).with_context(|| format!("{}: cannot remove", path.display()))?;
            }
        }
        Ok(())
    }

    /// All dated snapshots, oldest first. Other files are left alone.
    fn dated(&self) -> anyhow::Result<Vec<(DateTime<Utc>, PathBuf)>> {
        let mut found = Vec::new();
        let folder = fs::read_dir(&self.folder)
            .with_context(|| format!("{}: cannot list snapshots", self.folder.display()))?;
        for entry in folder {
            let path = entry?.path();
            let name =
                path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(SUFFIX));
            let dated = name.and_then(|name| NaiveDateTime::parse_from_str(name, NAME_TIME).ok());
            found.extend(dated.map(|dated| (dated.and_utc(), path)));
        }
        found.sort();
        Ok(found)
    }

    fn write(&self, name: &str, fleet: &FleetView) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        let beside = self.folder.join(format!("{name}.new"));
        let written = write(&beside, fleet).and_then(|()| Ok(fs::rename(&beside, &path)?));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written.with_context(|| format!("{}: cannot write the snapshot", path.display()))?;
        File::open(&self.folder)?.sync_all().context("cannot sync the folder of snapshots")
    }
}

fn write(path: &Path, fleet: &FleetView) -> anyhow::Result<()> {
    let mut out = zstd::Encoder::new(BufWriter::new(File::create(path)?), ZSTD_LEVEL)?;
    out.include_checksum(true)?;
    let mut line = Vec::with_capacity(16 * 1024);
    let header = Header {
        format: FORMAT.into(),
        version: VERSION,
        routers: fleet.routers_after(None).count(),
        freshness: fleet.freshness.clone(),
    };
    serde_json::to_writer(&mut line, &header)?;
    line.push(b'\n');
    for view in fleet.routers_after(None) {
        out.write_all(&line)?;
        line.clear();
        serde_json::to_writer(&mut line, &**view)?;
        line.push(b'\n');
    }
    out.write_all(&line)?;
    out.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    Ok(())
}

/// Reads a snapshot.
///
/// # Errors
/// When it is not one, is of another version, or is damaged: says which and where.
pub fn read(path: &Path) -> anyhow::Result<FleetView> {
    read_lines(path).with_context(|| format!("{}: not a usable snapshot", path.display()))
}

fn read_lines(path: &Path) -> anyhow::Result<FleetView> {
    let mut lines = BufReader::with_capacity(256 * 1024, zstd::Decoder::new(File::open(path)?)?);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let header: Header = serde_json::from_str(&line).context("line 1: no header")?;
    ensure!(header.format == FORMAT, "line 1: format is {:?}, expected {FORMAT:?}", header.format);
    ensure!(header.version == VERSION, "line 1: version is {}, expected {VERSION}", header.version);
    let mut fleet = FleetView::default();
    fleet.freshness = header.freshness;
    for number in 0..header.routers {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            bail!("ends after {number} of {} routers", header.routers);
        }
        let view: RouterView = serde_json::from_str(&line).with_context(|| format!("line {}", number + 2))?;
        fleet.restore(view);
    }
    ensure!(lines.read_line(&mut line)? == 0, "goes on after {} routers", header.routers);
    Ok(fleet)
}
