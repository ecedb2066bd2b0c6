//! A damaged database is set aside under another name, and a new one begins.

use std::fs;
use std::path::{Path, PathBuf};

use super::Progress;
use super::store::{self, FILE, Store, StoreError};
use crate::event::{Class, RouterName, SpoolDropped};

/// Damaged databases kept for whoever wants to look; older ones are removed.
const KEPT: usize = 2;
/// What SQLite puts beside a database.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// Opens the database of `directory`. One that is damaged, or missing although the mark knows of one, is
/// replaced, and what it held is written down as given up. So is one that is `distrusted`: it passed this
/// examination before and failed at work all the same.
pub fn open_or_replace(
    directory: &Path,
    router: &RouterName,
    max_bytes: u64,
    mark: Option<Progress>,
    distrusted: bool,
) -> Result<Store, StoreError> {
    let path = directory.join(FILE);
    let written = mark.is_some_and(|mark| mark.last > 0);
    if path.exists() && (written || !Store::is_blank(&path)) {
        let opened = if distrusted {
            Err(StoreError::Damaged("it fails at work, and no examination finds why".into()))
        } else {
            Store::open(&path, router, max_bytes).and_then(|mut store| {
                mark.map_or(Ok(()), |mark| store.reconcile(mark))?;
                Ok(store)
            })
        };
        match opened {
            Err(damage) if damage.is_damage() => {
                tracing::error!(directory = %directory.display(), %damage, "spool is set aside, a new epoch begins");
            }
            opened_or_failed => return opened_or_failed,
        }
        let known = mark.or_else(|| {
            store::open_read_only(&path)
                .and_then(|db| store::read_meta(&db))
                .map(|(_, progress)| progress)
                .ok()
        });
        let lost = lost(known);
        set_aside(directory, max_bytes)?;
        return Store::create(&path, router, max_bytes, store::random_epoch()?, Some(&lost));
    }
    remove_all(directory)?;
    let lost = written.then(|| lost(mark));
    Store::create(&path, router, max_bytes, store::random_epoch()?, lost.as_ref())
}

/// Files that were set aside, oldest first.
pub fn set_aside_files(directory: &Path) -> Vec<PathBuf> {
    let mut numbered: Vec<_> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((number(&entry.file_name().into_string().ok()?)?, entry.path())))
        .collect();
    numbered.sort();
    numbered.into_iter().map(|(_, path)| path).collect()
}

/// What is gone with a database that had come so far; a count of 0 where that is not known.
fn lost(known: Option<Progress>) -> SpoolDropped {
    let (first_sequence, last_sequence) = known.map_or((0, 0), |known| (known.acknowledged + 1, known.last));
    SpoolDropped {
        class: Class::Status,
        first_sequence,
        last_sequence,
        count: known.map_or(0, |known| known.last - known.acknowledged),
        cause: "damaged".into(),
        of_epoch: known.map(|known| known.epoch),
    }
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix("damaged-")?.strip_suffix(".db")?.parse().ok()
}

fn set_aside(directory: &Path, max_bytes: u64) -> Result<(), StoreError> {
    let files = set_aside_files(directory);
    let newest = files.last().and_then(|path| number(path.file_name()?.to_str()?)).unwrap_or(0);
    let aside = format!("damaged-{}.db", newest + 1);
    // The log first: a database without its log is still whole pages, a log without its database is nothing.
    for suffix in ["-wal", ""] {
        let from = directory.join(format!("{FILE}{suffix}"));
        if from.exists() {
            fs::rename(&from, directory.join(format!("{aside}{suffix}")))
                .map_err(|error| StoreError::File(format!("set aside {}: {error}", from.display())))?;
        }
    }
    remove_all(directory)?;
    prune(directory, max_bytes);
    Ok(())
}

/// Keeps the newest few, in no more than the room of one spool.
fn prune(directory: &Path, max_bytes: u64) {
    let mut files = set_aside_files(directory);
    let mut bytes = 0;
    let mut kept = 0;
    while let Some(path) = files.pop() {
        bytes += SUFFIXES
            .iter()
            .map(|suffix| fs::metadata(with_suffix(&path, suffix)).map_or(0, |file| file.len()))
            .sum::<u64>();
        kept += 1;
        if kept > KEPT || (bytes > max_bytes && kept > 1) {
            for suffix in SUFFIXES {
                let _ = fs::remove_file(with_suffix(&path, suffix));
            }
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes what is left of a database that is not there.
fn remove_all(directory: &Path) -> Result<(), StoreError> {
    for suffix in SUFFIXES {
        let path = directory.join(format!("{FILE}{suffix}"));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::File(format!("remove {}: {error}", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}
