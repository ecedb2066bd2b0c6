//! Views on disk, so that a restart serves at once and the past can be looked at.
//!
//! A snapshot is a zstd file of items, each CBOR (RFC 8949) behind its length in four octets, the highest first: a
//! header (format, version, stream, freshness, number of routers), then arrays of [`RouterView`]. Fields go by their
//! names, so views may grow and older snapshots stay of use. The stream is named because its offsets mean nothing in
//! another one: a central that moved to Kafka leaves its snapshots of the embedded stream aside. It is written beside
//! its place and moved there, so it is whole or not there; the checksum of zstd and the number of routers tell a damaged
//! one. What cannot be read is no loss: the view is folded again from the stream.
//!
//! A snapshot bears the time of the last event in it (`2026-11-02T08-00-00.000Z.view`): it serves any later
//! moment. [`LATEST`] beside them is where a restart begins.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, mpsc};

use anyhow::{Context, ensure};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::stream::EMBEDDED;
use crate::view::{FleetView, Freshness, RouterView};

/// Name of the snapshot that a restart begins with.
pub const LATEST: &str = "latest.view";

/// Changes whenever an older release could not read the views, or would fold on from them wrongly.
pub(super) const VERSION: u32 = 4;
const FORMAT: &str = "tandem.view";
const SUFFIX: &str = ".view";
const NAME_TIME: &str = "%Y-%m-%dT%H-%M-%S%.3fZ";

/// Level 1: a snapshot is written often and read seldom.
const ZSTD_LEVEL: i32 = 1;

/// Routers of an item: few, so that the allocator has room for the next one when it has been read.
const PIECE_ROUTERS: usize = 8;
/// No item is larger; a view takes 64 KiB at most.
const ITEM_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Most are not.
const ITEM_BYTES_USUAL: usize = 64 * 1024;
/// Threads that read a snapshot.
const THREADS_MAX: usize = 8;

/// Snapshots of each hour are kept this long, then one of each day.
const HOURLY_KEPT: TimeDelta = TimeDelta::hours(48);
/// Snapshots of each day are kept this long.
const DAILY_KEPT: TimeDelta = TimeDelta::days(366);

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    /// [`crate::stream::Stream::identity`]; those that name none are of the embedded one.
    #[serde(default = "embedded")]
    stream: String,
    routers: u64,
    freshness: Freshness,
}

fn embedded() -> String {
    EMBEDDED.to_owned()
}

/// The folder of snapshots.
#[derive(Clone, Debug)]
pub struct Snapshots {
    folder: PathBuf,
    /// Identity of the stream that is folded.
    stream: String,
}

impl Snapshots {
    /// Uses `folder`, which is made when it is not there, for views of the stream with this identity.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path, stream: String) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot make the folder", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), stream })
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

    /// The snapshots to begin with after a restart, best first: [`LATEST`], then the dated ones.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn all(&self) -> anyhow::Result<Vec<PathBuf>> {
        let latest = Some(self.folder.join(LATEST)).filter(|path| path.exists());
        let dated = self.dated()?.into_iter().rev().map(|(_, path)| path);
        Ok(latest.into_iter().chain(dated).collect())
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

    /// Reads the snapshot at `path`.
    ///
    /// # Errors
    /// When it is not one, is of another version or stream, or is damaged: says which and where.
    pub fn read(&self, path: &Path) -> anyhow::Result<FleetView> {
        read(path, &self.stream).with_context(|| format!("{}: not a usable snapshot", path.display()))
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
        let written = write(&beside, &self.stream, fleet).and_then(|()| Ok(fs::rename(&beside, &path)?));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written.with_context(|| format!("{}: cannot write the snapshot", path.display()))?;
        File::open(&self.folder)?.sync_all().context("cannot sync the folder of snapshots")
    }
}

fn write(path: &Path, stream: &str, fleet: &FleetView) -> anyhow::Result<()> {
    let mut out = zstd::Encoder::new(BufWriter::new(File::create(path)?), ZSTD_LEVEL)?;
    out.include_checksum(true)?;
    let header = Header {
        format: FORMAT.into(),
        version: VERSION,
        stream: stream.to_owned(),
        routers: fleet.counts().routers,
        freshness: fleet.freshness.clone(),
    };
    let mut item = Vec::with_capacity(ITEM_BYTES_USUAL);
    write_item(&mut out, &mut item, &header)?;
    let mut views = fleet.routers_after(None).map(|view| &**view).peekable();
    while views.peek().is_some() {
        let piece: Vec<&RouterView> = views.by_ref().take(PIECE_ROUTERS).collect();
        write_item(&mut out, &mut item, &piece)?;
    }
    out.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    Ok(())
}

/// Writes `content` behind its length; `item` is room for it.
fn write_item(out: &mut impl Write, item: &mut Vec<u8>, content: &impl Serialize) -> anyhow::Result<()> {
    item.clear();
    *item = cbor4ii::serde::to_vec(std::mem::take(item), content)?;
    out.write_all(&u32::try_from(item.len())?.to_be_bytes())?;
    out.write_all(item)?;
    Ok(())
}

fn read(path: &Path, stream: &str) -> anyhow::Result<FleetView> {
    let mut input = BufReader::with_capacity(256 * 1024, zstd::Decoder::new(File::open(path)?)?);
    let item = read_item(&mut input)?.context("item 0: no header")?;
    let header: Header = cbor4ii::serde::from_slice(&item).context("item 0: no header")?;
    ensure!(header.format == FORMAT, "format is {:?}, expected {FORMAT:?}", header.format);
    ensure!(header.version == VERSION, "version is {}, expected {VERSION}", header.version);
    ensure!(header.stream == stream, "stream is {:?}, expected {stream:?}", header.stream);
    let mut fleet = read_routers(input)?;
    let routers = fleet.counts().routers;
    ensure!(routers == header.routers, "holds {routers} of {} routers", header.routers);
    fleet.freshness = header.freshness;
    Ok(fleet)
}

/// The next item without its length; none at the end.
fn read_item(input: &mut impl BufRead) -> anyhow::Result<Option<Vec<u8>>> {
    if input.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    ensure!(length <= ITEM_BYTES_MAX, "an item of {length} bytes");
    // Whatever the length says, no more room than is usual before so much is there.
    let mut item = Vec::with_capacity((length as usize).min(ITEM_BYTES_USUAL));
    input.take(length.into()).read_to_end(&mut item)?;
    ensure!(item.len() == length as usize, "ends within an item");
    Ok(Some(item))
}

/// Some routers, with the number of the item that holds them.
type Piece = (usize, Vec<u8>);

/// Reads the pieces here and has them taken in by a thread for each processor.
fn read_routers(mut input: impl BufRead) -> anyhow::Result<FleetView> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let (give, take) = mpsc::sync_channel(threads * 2);
    let take = Mutex::new(take);
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads).map(|_| scope.spawn(|| take_pieces(&take))).collect();
        let read = give_pieces(&mut input, give);
        let mut fleet = FleetView::default();
        for part in parts {
            fleet.absorb(part.join().expect("taking in does not panic")?);
        }
        read.map(|()| fleet)
    })
}

fn give_pieces(input: &mut impl BufRead, give: mpsc::SyncSender<Piece>) -> anyhow::Result<()> {
    let mut number = 1;
    while let Some(piece) = read_item(input).with_context(|| format!("item {number}"))? {
        give.send((number, piece)).context("nobody takes them in")?;
        number += 1;
    }
    Ok(())
}

/// Takes in pieces until there are no more. After a fault it takes the rest without looking at it, so that nobody
/// waits for a place in the channel.
fn take_pieces(take: &Mutex<mpsc::Receiver<Piece>>) -> anyhow::Result<FleetView> {
    let mut taken = Ok(FleetView::default());
    loop {
        let piece = take.lock().expect("nothing panics under this lock").recv();
        let Ok((number, piece)) = piece else { return taken };
        if let Ok(fleet) = &mut taken {
            match cbor4ii::serde::from_slice::<Vec<RouterView>>(&piece) {
                Ok(views) => views.into_iter().for_each(|view| fleet.restore(view)),
                Err(error) => taken = Err(error).with_context(|| format!("item {number}")),
            }
        }
    }
}
