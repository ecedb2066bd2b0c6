//! What lies in a spool that no agent has open. Reads only, and may run beside one that writes.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::value::RawValue;

use super::SpoolError;
use super::store::{self, FILE, StoreError};
use crate::event::Epoch;

/// A spool that is only looked at.
pub struct Look {
    directory: PathBuf,
    db: Connection,
    epoch: Epoch,
}

impl Look {
    /// Opens the spool in `directory`.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when there is none, or it cannot be read.
    pub fn open(directory: &Path) -> Result<Self, SpoolError> {
        let open = || {
            let path = directory.join(FILE);
            if !path.exists() {
                return Err(StoreError::File(format!("there is no {FILE}")));
            }
            let db = store::open_read_only(&path)?;
            let (_, progress) = store::read_meta(&db)?;
            Ok((db, progress.epoch))
        };
        let (db, epoch) = open().map_err(|error| unreadable(directory, &error))?;
        Ok(Self { directory: directory.to_owned(), db, epoch })
    }

    /// As [`super::Spool::newest`].
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    pub fn newest(&self, limit: u32, max_bytes: usize) -> Result<Vec<Box<RawValue>>, SpoolError> {
        let newest = store::newest(&self.db, self.epoch, limit, max_bytes);
        newest.map_err(|error| unreadable(&self.directory, &error))
    }

    /// What was remembered under `key`.
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    pub fn recall(&self, key: &str) -> Result<Option<String>, SpoolError> {
        store::recall(&self.db, key).map_err(|error| unreadable(&self.directory, &error))
    }
}

fn unreadable(directory: &Path, error: &StoreError) -> SpoolError {
    SpoolError::Disk { directory: directory.to_owned(), cause: error.to_string() }
}
