//! `spool.mark`: how far the spool had come, beside the database and independent of it.
//!
//! The database can come back shorter than it was: a log cut by a failing flash is, for SQLite, a log that
//! was never longer. The mark tells the difference, so no sequence is given twice.
//!
//! ```text
//! two slots of 36 bytes, written in turn; the valid one with the higher count is the mark
//! 0           8               16      24      32       36
//! ┌───────────┬───────────────┬───────┬───────┬────────┐
//! │ epoch     │ acknowledged  │ last  │ count │ CRC-32 │   little endian
//! └───────────┴───────────────┴───────┴───────┴────────┘
//! ```
//!
//! It is written after each commit and not synced: against `kill -9` that is enough, and against a power cut
//! the database is synced itself. A mark that cannot be written or read only takes the second opinion away.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::Progress;
use crate::event::Epoch;

const SLOT_BYTES: usize = 36;

/// The mark of one spool.
#[derive(Debug)]
pub struct Mark {
    file: Option<File>,
    progress: Option<Progress>,
    count: u64,
}

impl Mark {
    /// Opens or creates the mark; a folder that does not let us leaves it in memory.
    pub fn open(directory: &Path) -> Self {
        let path = directory.join("spool.mark");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).ok();
        let (progress, count) = file.as_ref().and_then(newest).unzip();
        Self { file, progress, count: count.unwrap_or(0) }
    }

    /// Reads the mark without touching it.
    pub fn peek(directory: &Path) -> Option<Progress> {
        let file = File::open(directory.join("spool.mark")).ok()?;
        newest(&file).map(|(progress, _)| progress)
    }

    /// What it says.
    pub fn progress(&self) -> Option<Progress> {
        self.progress
    }

    /// Writes how far the spool has come.
    pub fn raise(&mut self, progress: Progress) {
        if self.progress == Some(progress) {
            return;
        }
        self.progress = Some(progress);
        self.count = self.count.wrapping_add(1);
        if let Some(file) = &self.file {
            let slot = encode(progress, self.count);
            let _ = file.write_all_at(&slot, (self.count % 2) * SLOT_BYTES as u64);
        }
    }
}

fn newest(file: &File) -> Option<(Progress, u64)> {
    let mut bytes = [0; 2 * SLOT_BYTES];
    let mut length = 0;
    while let Ok(count) = file.read_at(&mut bytes[length..], length as u64) {
        length += count;
        if count == 0 || length == bytes.len() {
            break;
        }
    }
    bytes[..length].chunks_exact(SLOT_BYTES).filter_map(decode).max_by_key(|(_, count)| *count)
}

fn encode(progress: Progress, count: u64) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    let words = [progress.epoch.0, progress.acknowledged, progress.last, count];
    for (place, word) in slot.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let crc = crc32fast::hash(&slot[..32]);
    slot[32..].copy_from_slice(&crc.to_le_bytes());
    slot
}

fn decode(slot: &[u8]) -> Option<(Progress, u64)> {
    let (words, crc) = slot.split_at(32);
    if crc32fast::hash(words).to_le_bytes() != crc {
        return None;
    }
    let word = |at: usize| words.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let progress = Progress { epoch: Epoch(word(0)?), acknowledged: word(8)?, last: word(16)? };
    // A slot of zeros has a valid checksum of its own, but no epoch is 0.
    (progress.epoch.0 != 0).then_some((progress, word(24)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(last: u64) -> Progress {
        Progress { epoch: Epoch(7), acknowledged: last / 2, last }
    }

    #[test]
    fn the_newest_mark_is_read_back_and_a_torn_slot_falls_back_to_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut mark = Mark::open(folder.path());
        assert_eq!(mark.progress(), None);
        for last in 1..=9 {
            mark.raise(progress(last));
            assert_eq!(Mark::peek(folder.path()), Some(progress(last)));
        }
        let path = folder.path().join("spool.mark");
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0x40;
            std::fs::write(&path, &broken).unwrap();
            let read = Mark::peek(folder.path()).unwrap();
            assert!(read == progress(9) || read == progress(8), "byte {at}: {read:?}");
            std::fs::write(&path, &whole[..at]).unwrap();
            let read = Mark::peek(folder.path());
            assert!(
                read.is_none_or(|read| read == progress(9) || read == progress(8)),
                "cut at {at}: {read:?}"
            );
        }
    }
}
