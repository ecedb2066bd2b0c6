//! The file: locked, made, recognised; SQLite's errors in the stream's words.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{SqliteSettings, StreamError, Topic};

/// `application_id` of the file: "TNDM".
const APPLICATION_ID: i64 = 0x544e_444d;

/// `user_version` of the file.
const LAYOUT: i64 = 1;

/// A file up to this size is checked page by page when it is opened, which takes well under a second;
/// damage in a larger one shows when its page is read.
const CHECK_AT_OPEN_BYTES: u64 = 256 * 1024 * 1024;

const LOCK_NAME: &str = "stream.lock";

/// Keeps other processes out for as long as the answer lives.
pub(super) fn lock(folder: &Path) -> Result<File, StreamError> {
    let path = folder.join(LOCK_NAME);
    let storage =
        |error: std::io::Error| StreamError::Storage { path: path.clone(), detail: error.to_string() };
    std::fs::create_dir_all(folder).map_err(storage)?;
    let file = File::options().create(true).append(true).open(&path).map_err(storage)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StreamError::InUse { path }),
        Err(std::fs::TryLockError::Error(error)) => Err(storage(error)),
    }
}

/// Opens the file for writing, or makes it.
pub(super) fn open(path: &Path, settings: SqliteSettings) -> Result<Connection, StreamError> {
    let size = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(StreamError::Storage { path: path.into(), detail: error.to_string() }),
    };
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    if size == 0 && std::fs::metadata(&wal).is_ok_and(|metadata| metadata.len() > 0) {
        let detail = "its -wal file is there but the file itself is empty or missing".into();
        return Err(StreamError::Damaged { path: path.into(), detail });
    }
    let told = |error| explain(path, &error);
    let mut connection = Connection::open(path).map_err(told)?;
    // Looked at before anything is set: a file that is not ours stays as it is.
    let blank = is_blank(&connection).map_err(told)?;
    if !blank {
        recognise(&connection, path, settings.partitions, size)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL").map_err(told)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(told)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024).map_err(told)?;
    connection.set_prepared_statement_cache_capacity(64);
    if blank {
        make(&mut connection, settings.partitions).map_err(told)?;
    }
    if let Some(bytes) = settings.bytes_max {
        let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(told)?;
        connection.pragma_update(None, "max_page_count", bytes.div_ceil(page).max(1)).map_err(told)?;
    }
    Ok(connection)
}

/// Opens the file for reading only.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StreamError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| explain(path, &error))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The table of a partition, quoted.
pub(super) fn table(topic: Topic, partition: u32) -> String {
    format!("\"{}/{partition}\"", topic.name())
}

/// Whether nothing was ever kept in it: new, or its making was cut off.
fn is_blank(connection: &Connection) -> rusqlite::Result<bool> {
    let tables: u64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok(tables == 0 && number("application_id")? == 0 && number("user_version")? == 0)
}

/// One transaction, so that a power cut while the file is made leaves an empty one.
fn make(connection: &mut Connection, partitions: u32) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(
        "CREATE TABLE partition (topic TEXT, partition INTEGER, next INTEGER NOT NULL, time_ms INTEGER NOT NULL,
             PRIMARY KEY (topic, partition)) WITHOUT ROWID;
         CREATE TABLE reader (name TEXT, topic TEXT, partition INTEGER, offset INTEGER NOT NULL,
             PRIMARY KEY (name, topic, partition)) WITHOUT ROWID;",
    )?;
    for topic in Topic::ALL {
        for partition in 0..partitions {
            make_partition(&transaction, topic, partition)?;
        }
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    transaction.commit()
}

fn make_partition(connection: &Connection, topic: Topic, partition: u32) -> rusqlite::Result<()> {
    let name = format!("{}/{partition}", topic.name());
    connection.execute_batch(&format!(
        "CREATE TABLE \"{name}\" (offset INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, key TEXT NOT NULL,
             headers TEXT NOT NULL, value BLOB);"
    ))?;
    if topic.is_indexed() {
        connection.execute_batch(&format!("CREATE INDEX \"{name}/key\" ON \"{name}\" (key);"))?;
    }
    if topic.is_compacted() {
        connection.execute_batch(&format!(
            "CREATE INDEX \"{name}/tombstone\" ON \"{name}\" (time_ms) WHERE value IS NULL;"
        ))?;
    }
    connection.execute("INSERT INTO partition VALUES (?1, ?2, 0, 0)", (topic.name(), partition)).map(|_| ())
}

fn recognise(connection: &Connection, path: &Path, partitions: u32, size: u64) -> Result<(), StreamError> {
    let told = |error| explain(path, &error);
    let foreign = |detail| Err(StreamError::Foreign { path: path.into(), detail });
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(told);
    if number("application_id")? != APPLICATION_ID {
        return foreign("a SQLite file, but not a stream of tandem; choose another data folder".into());
    }
    let layout = number("user_version")?;
    if layout != LAYOUT {
        return foreign(format!(
            "layout {layout} of the stream, this release knows {LAYOUT}; use a newer one"
        ));
    }
    let found: u32 = connection
        .query_row("SELECT count(*) FROM partition WHERE topic = ?1", [Topic::Status.name()], |row| {
            row.get(0)
        })
        .map_err(told)?;
    if found != partitions {
        return foreign(format!("made with {found} partitions a topic, asked to open it with {partitions}"));
    }
    if size <= CHECK_AT_OPEN_BYTES {
        let verdict: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(told)?;
        if verdict != "ok" {
            return Err(StreamError::Damaged { path: path.into(), detail: verdict });
        }
    }
    Ok(())
}

/// SQLite's error in the stream's words.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> StreamError {
    let path = PathBuf::from(path);
    let detail = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StreamError::Full { path, detail },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StreamError::Damaged { path, detail },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StreamError::InUse { path },
        _ => StreamError::Storage { path, detail },
    }
}
