//! The database of one spool: schema, rows, room. Knows nothing of locks, marks and files set aside.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Transaction, ffi, params};
use serde_json::value::RawValue;

use super::waiting::{Lost, Sized};
use super::{Draft, Progress, Stored, record};
use crate::event::{Class, Envelope, Epoch, Event, RouterName, Sequence, SpoolDropped};

pub const FILE: &str = "spool.db";
/// Lanes that samples are dealt to; the last takes all that the others leave.
const LANES: usize = 6;
/// Where rows live: status first, then the lanes.
pub const TABLES: [&str; 1 + LANES] =
    ["status", "sample_0", "sample_1", "sample_2", "sample_3", "sample_4", "sample_5"];
/// Kinds and subjects that are counted apart; beyond it counting starts anew, which costs evenness only.
const COUNTED_MAX: usize = 64;

pub const KEY_MAX_BYTES: usize = 256;
pub const VALUE_MAX_BYTES: usize = 8 * 1024;
pub const KEYS_MAX: usize = 128;

const FORMAT: u32 = 1;
/// The type of the events that declare what was given up.
const DROPPED: &str = "io.tandem.spool.dropped.v1";
const PAGE_BYTES: u64 = 4096;
/// Rows dropped at a time while room is made.
const DROP_ROWS: usize = 4;
/// Rows of one read at most.
const READ_ROWS: usize = 1024;
/// How long a writer waits for a reader such as `tandem spool verify`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the database did not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says so.
    #[error("{FILE}: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// It is readable but not what we wrote.
    #[error("{FILE} is damaged: {0}")]
    Damaged(String),
    /// A file operation beside it.
    #[error("{0}")]
    File(String),
}

impl StoreError {
    /// Whether the file itself is broken, so that trying again cannot help.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::File(_) => false,
            Self::Sqlite(rusqlite::Error::SqliteFailure(failure, _)) => {
                matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                    // Our SQL is fixed, so a plain error means that a table or column of ours is missing.
                    || failure.extended_code == ffi::SQLITE_ERROR
                    || failure.extended_code == ffi::SQLITE_IOERR_SHORT_READ
            }
            Self::Sqlite(rusqlite::Error::SqlInputError { .. }) => true,
            Self::Sqlite(error) => matches!(
                error,
                rusqlite::Error::QueryReturnedNoRows
                    | rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
            ),
        }
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// Pages that the database may have.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// SQLite refuses to go beyond.
    hard_pages: u64,
    /// Rows are dropped to stay below.
    soft_pages: u64,
    log_pages: u64,
}

impl Room {
    fn of(max_bytes: u64) -> Self {
        let hard_pages = max_bytes / PAGE_BYTES * 5 / 8;
        Self {
            hard_pages,
            soft_pages: hard_pages - (hard_pages / 16).max(12),
            log_pages: (max_bytes / PAGE_BYTES / 16).clamp(16, 256),
        }
    }
}

/// What is on disk.
#[derive(Debug)]
pub struct Counts {
    pub status: u64,
    pub samples: u64,
    pub oldest: Option<DateTime<Utc>>,
}

/// The open database.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    router: RouterName,
    room: Room,
    progress: Progress,
    /// Samples seen of each kind and subject, which deals them to lanes.
    counted: HashMap<(String, Option<String>), u64>,
}

impl Store {
    /// Creates the database; `lost` is declared as the first thing of the new epoch.
    pub fn create(
        path: &Path,
        router: &RouterName,
        max_bytes: u64,
        epoch: Epoch,
        lost: Option<&SpoolDropped>,
    ) -> Result<Self> {
        let room = Room::of(max_bytes);
        let mut db = connect(path, room)?;
        let transaction = db.transaction()?;
        transaction.execute_batch(&schema())?;
        let progress = Progress { epoch, acknowledged: 0, last: 0 };
        transaction.execute("INSERT INTO meta VALUES (1, ?1, '', '', 0, 0, 0)", [FORMAT])?;
        write_meta(&transaction, router, progress)?;
        if let Some(lost) = lost {
            add_gone(&transaction, lost)?;
        }
        transaction.commit()?;
        Ok(Self { db, router: router.clone(), room, progress, counted: HashMap::new() })
    }

    /// Opens and examines the database: structure, every row, every place. Rows that do not match their
    /// checksum and rows that are missing are written down as given up.
    ///
    /// # Errors
    /// [`StoreError::is_damage`] tells whether the file must be replaced.
    pub fn open(path: &Path, router: &RouterName, max_bytes: u64) -> Result<Self> {
        let room = Room::of(max_bytes);
        let db = connect(path, room)?;
        check_structure(&db)?;
        let (named, progress) = read_meta(&db)?;
        let mut store = Self { db, router: router.clone(), room, progress, counted: HashMap::new() };
        store.examine_rows()?;
        if named != *router {
            store.rename()?;
        }
        Ok(store)
    }

    /// Whether nothing was ever written to the database: a creation that was cut off.
    pub fn is_blank(path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0)
            || open_read_only(path)
                .and_then(|db| {
                    Ok(db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, u32>(0))?)
                })
                .is_ok_and(|tables| tables == 0)
    }

    pub fn progress(&self) -> Progress {
        self.progress
    }

    pub fn epoch(&self) -> Epoch {
        self.progress.epoch
    }

    pub fn last(&self) -> Sequence {
        Sequence(self.progress.last)
    }

    /// Takes over what the mark knows better: sequences that were given before the file lost its end.
    pub fn reconcile(&mut self, mark: Progress) -> Result<()> {
        if mark.epoch != self.progress.epoch {
            return Ok(());
        }
        if mark.last > self.progress.last {
            let mut progress = self.progress;
            let lost = SpoolDropped {
                class: Class::Status,
                first_sequence: progress.last + 1,
                last_sequence: mark.last,
                count: mark.last - progress.last,
                cause: "damaged".into(),
                of_epoch: None,
            };
            progress.last = mark.last;
            let transaction = self.db.transaction()?;
            add_gone(&transaction, &lost)?;
            write_meta(&transaction, &self.router, progress)?;
            transaction.commit()?;
            self.progress = progress;
        }
        if mark.acknowledged > self.progress.acknowledged {
            self.acknowledge(Sequence(mark.acknowledged.min(self.progress.last)))?;
        }
        Ok(())
    }

    /// Commits the drafts in one transaction, synced, after giving the lost ones their places.
    pub fn append(&mut self, drafts: &[Sized], lost: Lost) -> Result<()> {
        let mut progress = self.progress;
        let transaction = self.db.transaction()?;
        for (class, count) in [(Class::Status, lost.status), (Class::Sample, lost.samples)] {
            if count > 0 {
                let first_sequence = progress.last + 1;
                progress.last += count;
                let last_sequence = progress.last;
                let cause = "full".into();
                add_gone(
                    &transaction,
                    &SpoolDropped { class, first_sequence, last_sequence, count, cause, of_epoch: None },
                )?;
            }
        }
        for sized in drafts {
            let lane = lane_of(&mut self.counted, &sized.draft);
            insert(&transaction, self.room, &self.router, &mut progress, &sized.draft, lane)?;
        }
        write_meta(&transaction, &self.router, progress)?;
        transaction.commit()?;
        self.progress = progress;
        Ok(())
    }

    /// Appends one event for each thing given up, as `event` makes it, and forgets the things.
    pub fn declare(&mut self, event: impl Fn(SpoolDropped) -> Draft) -> Result<usize> {
        let gone = self.gone()?;
        if gone.is_empty() {
            return Ok(0);
        }
        let declared = gone.len();
        let mut progress = self.progress;
        let transaction = self.db.transaction()?;
        transaction.execute("DELETE FROM gone", [])?;
        for dropped in gone {
            insert(&transaction, self.room, &self.router, &mut progress, &event(dropped), 0)?;
        }
        write_meta(&transaction, &self.router, progress)?;
        transaction.commit()?;
        self.progress = progress;
        Ok(declared)
    }

    /// What was given up and is not declared yet.
    pub fn gone(&self) -> Result<Vec<SpoolDropped>> {
        read_gone(&self.db)
    }

    /// Events after `after` in order, up to `max_bytes` of JSON, one at least.
    pub fn read(&mut self, after: Sequence, max_bytes: usize) -> Result<Vec<Stored>> {
        let mut stored = Vec::new();
        let mut broken = Vec::new();
        {
            let mut query = self.db.prepare_cached(
                "SELECT sequence, record, lane FROM event WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
            )?;
            let mut rows = query.query(params![signed(after.0), READ_ROWS as i64])?;
            let mut bytes = 0;
            while let Some(row) = rows.next()? {
                let sequence = Sequence(unsigned(row.get(0)?));
                let packed =
                    row.get_ref(1)?.as_blob().map_err(|error| StoreError::Damaged(error.to_string()))?;
                match unpack(self.progress.epoch, sequence, packed) {
                    Some((class, json)) => {
                        bytes += json.get().len();
                        if bytes > max_bytes && !stored.is_empty() {
                            break;
                        }
                        stored.push(Stored { sequence, class, json });
                    }
                    None => broken.push((row.get::<_, u8>(2)?.into(), sequence)),
                }
            }
        }
        if !broken.is_empty() {
            self.give_up_rows(&broken, "damaged")?;
        }
        Ok(stored)
    }

    /// See [`newest`].
    pub fn newest(&self, limit: u32, max_bytes: usize) -> Result<Vec<Box<RawValue>>> {
        newest(&self.db, self.progress.epoch, limit, max_bytes)
    }

    /// Trims everything up to `sequence`.
    pub fn acknowledge(&mut self, sequence: Sequence) -> Result<()> {
        if sequence.0 <= self.progress.acknowledged {
            return Ok(());
        }
        let transaction = self.db.transaction()?;
        for table in TABLES {
            transaction
                .prepare_cached(&format!("DELETE FROM {table} WHERE sequence <= ?1"))?
                .execute([signed(sequence.0)])?;
        }
        let progress = Progress { acknowledged: sequence.0, ..self.progress };
        write_meta(&transaction, &self.router, progress)?;
        transaction.commit()?;
        self.progress = progress;
        Ok(())
    }

    /// Drops every sample.
    pub fn give_up_samples(&mut self, cause: &str) -> Result<()> {
        let transaction = self.db.transaction()?;
        for lane in 1..TABLES.len() {
            while drop_oldest(&transaction, lane, 256, cause)? > 0 {}
        }
        Ok(transaction.commit()?)
    }

    /// Drops one event.
    pub fn give_up(&mut self, sequence: Sequence, cause: &str) -> Result<()> {
        let lane = self
            .db
            .query_row("SELECT lane FROM event WHERE sequence = ?1", [signed(sequence.0)], |row| {
                row.get::<_, u8>(0)
            })
            .optional()?;
        match lane {
            Some(lane) => self.give_up_rows(&[(lane.into(), sequence)], cause),
            None => Ok(()),
        }
    }

    pub fn remember(&mut self, key: &str, value: &str) -> Result<()> {
        let transaction = self.db.transaction()?;
        transaction
            .execute("INSERT OR REPLACE INTO remembered (key, value) VALUES (?1, ?2)", [key, value])?;
        transaction.execute(
            "DELETE FROM remembered WHERE place <= (SELECT max(place) FROM remembered) AND place NOT IN
             (SELECT place FROM remembered ORDER BY place DESC LIMIT ?1)",
            [KEYS_MAX as i64],
        )?;
        Ok(transaction.commit()?)
    }

    pub fn recall(&self, key: &str) -> Result<Option<String>> {
        recall(&self.db, key)
    }

    pub fn depth(&mut self) -> Result<Counts> {
        let mut counts = [0; TABLES.len()];
        for (count, table) in counts.iter_mut().zip(TABLES) {
            *count = self
                .db
                .prepare_cached(&format!("SELECT count(*) FROM {table}"))?
                .query_row([], |row| row.get(0))
                .map(unsigned)?;
        }
        let oldest = self.read(Sequence(self.progress.acknowledged), 0)?;
        let oldest = oldest.first().and_then(|stored| Envelope::read(stored.json.get().as_bytes()).ok());
        let [status, samples @ ..] = counts;
        Ok(Counts { status, samples: samples.iter().sum(), oldest: oldest.map(|event| event.time) })
    }

    /// Looks at every row: gives up what is broken and writes down what is missing without a reason.
    fn examine_rows(&mut self) -> Result<()> {
        let rows = scan(&self.db, self.progress)?;
        if let Some(beyond) = rows.beyond {
            return Err(StoreError::Damaged(format!(
                "row {} lies beyond the last sequence {}",
                beyond.0, self.progress.last
            )));
        }
        let broken: Vec<_> = rows.broken.iter().map(|broken| (broken.lane, broken.sequence)).collect();
        if !broken.is_empty() {
            self.give_up_rows(&broken, "damaged")?;
        }
        let missing: Vec<_> = rows.holes.iter().filter(|hole| !hole.declared).collect();
        if !missing.is_empty() {
            let transaction = self.db.transaction()?;
            for hole in missing {
                add_gone(
                    &transaction,
                    &SpoolDropped {
                        class: Class::Status,
                        first_sequence: hole.first.0,
                        last_sequence: hole.last.0,
                        count: hole.last.0 - hole.first.0 + 1,
                        cause: "damaged".into(),
                        of_epoch: None,
                    },
                )?;
            }
            transaction.commit()?;
        }
        Ok(())
    }

    fn give_up_rows(&mut self, rows: &[(usize, Sequence)], cause: &str) -> Result<()> {
        let transaction = self.db.transaction()?;
        for (lane, sequence) in rows {
            transaction.execute(
                &format!("DELETE FROM {} WHERE sequence = ?1", TABLES[*lane]),
                [signed(sequence.0)],
            )?;
            let dropped = SpoolDropped {
                class: class_of(*lane),
                first_sequence: sequence.0,
                last_sequence: sequence.0,
                count: 1,
                cause: cause.to_owned(),
                of_epoch: None,
            };
            add_gone(&transaction, &dropped)?;
        }
        Ok(transaction.commit()?)
    }

    /// The router has a new name: what waits is told under it, in an epoch of its own, for a name's sequence
    /// has no holes it cannot explain.
    fn rename(&mut self) -> Result<()> {
        let epoch = random_epoch()?;
        let mut waiting = Vec::new();
        let mut after = Sequence(self.progress.acknowledged);
        loop {
            let batch = self.read(after, usize::MAX)?;
            let Some(last) = batch.last() else { break };
            after = last.sequence;
            waiting.extend(batch);
        }
        let mut progress = Progress { epoch, acknowledged: 0, last: 0 };
        let transaction = self.db.transaction()?;
        for table in TABLES {
            transaction.execute(&format!("DELETE FROM {table}"), [])?;
        }
        transaction.execute(
            "UPDATE gone SET of_epoch = ?1 WHERE of_epoch IS NULL",
            [self.progress.epoch.to_string()],
        )?;
        for stored in waiting {
            let event = Envelope::read(stored.json.get().as_bytes()).and_then(Envelope::into_unread_event);
            let Ok(event) = event else { continue };
            let Event { time, subject, origin, body, .. } = event;
            let draft = Draft { time, subject, origin, body };
            let lane = lane_of(&mut self.counted, &draft);
            insert(&transaction, self.room, &self.router, &mut progress, &draft, lane)?;
        }
        write_meta(&transaction, &self.router, progress)?;
        transaction.commit()?;
        self.progress = progress;
        Ok(())
    }
}

/// Draws a new epoch; never 0.
pub fn random_epoch() -> Result<Epoch> {
    use std::io::Read as _;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| StoreError::File(format!("read /dev/urandom: {error}")))?;
    Ok(Epoch(u64::from_le_bytes(bytes).max(1)))
}

/// Bytes that the database and its log take.
pub fn files_bytes(directory: &Path) -> u64 {
    let size = |suffix: &str| {
        std::fs::metadata(directory.join(format!("{FILE}{suffix}"))).map_or(0, |metadata| metadata.len())
    };
    ["", "-wal", "-shm"].into_iter().map(size).sum()
}

fn connect(path: &Path, room: Room) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES};
         PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = {};
         PRAGMA journal_size_limit = {};
         PRAGMA max_page_count = {};
         PRAGMA cache_size = -256;
         PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;",
        room.log_pages,
        room.log_pages * PAGE_BYTES,
        room.hard_pages,
    ))?;
    Ok(db)
}

/// Opens the database so that nothing in it can change. While no log lies beside it, without leaving one.
pub fn open_read_only(path: &Path) -> Result<Connection> {
    let log = path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().to_string_lossy()));
    let immutable = if log.exists() { "" } else { "&immutable=1" };
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte))
            }
            other => uri += &format!("%{other:02x}"),
        }
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(format!("{uri}?mode=ro{immutable}"), flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    Ok(db)
}

/// SQLite's own examination of the file.
pub fn check_structure(db: &Connection) -> Result<()> {
    let verdict: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    match verdict.as_str() {
        "ok" => Ok(()),
        other => Err(StoreError::Damaged(other.replace('\n', " "))),
    }
}

fn schema() -> String {
    let rows = TABLES
        .map(|table| format!("CREATE TABLE {table} (sequence INTEGER PRIMARY KEY, record BLOB NOT NULL);"));
    let parts: Vec<_> = TABLES
        .iter()
        .enumerate()
        .map(|(lane, table)| format!("SELECT sequence, record, {lane} AS lane FROM {table}"))
        .collect();
    format!(
        "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER NOT NULL, router TEXT NOT NULL,
                            epoch TEXT NOT NULL, last INTEGER NOT NULL, acknowledged INTEGER NOT NULL,
                            checksum INTEGER NOT NULL);
         CREATE TABLE gone (class TEXT NOT NULL, cause TEXT NOT NULL, of_epoch TEXT, first INTEGER NOT NULL,
                            last INTEGER NOT NULL, count INTEGER NOT NULL);
         CREATE TABLE remembered (place INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL, value TEXT NOT NULL);
         {}
         CREATE VIEW event AS {};",
        rows.concat(),
        parts.join(" UNION ALL "),
    )
}

/// The router that the spool belongs to and how far the database says it has come.
pub fn read_meta(db: &Connection) -> Result<(RouterName, Progress)> {
    let query = "SELECT format, router, epoch, last, acknowledged, checksum FROM meta";
    let (format, router, epoch, last, acknowledged, checksum): (u32, String, String, i64, i64, u32) =
        db.query_row(query, [], |row| row.try_into())?;
    let damaged = |what: String| StoreError::Damaged(what);
    if format != FORMAT {
        return Err(damaged(format!("format is {format}, expected {FORMAT}")));
    }
    let router: RouterName = router.parse().map_err(|error| damaged(format!("{error}")))?;
    let epoch: Epoch = epoch.parse().map_err(damaged)?;
    let progress = Progress { epoch, last: unsigned(last), acknowledged: unsigned(acknowledged) };
    if meta_checksum(&router, progress) != checksum || progress.acknowledged > progress.last {
        return Err(damaged("its state does not match its checksum".into()));
    }
    Ok((router, progress))
}

fn write_meta(transaction: &Transaction<'_>, router: &RouterName, progress: Progress) -> Result<()> {
    transaction
        .prepare_cached(
            "UPDATE meta SET router = ?1, epoch = ?2, last = ?3, acknowledged = ?4, checksum = ?5",
        )?
        .execute(params![
            router.as_str(),
            progress.epoch.to_string(),
            signed(progress.last),
            signed(progress.acknowledged),
            meta_checksum(router, progress),
        ])?;
    Ok(())
}

fn meta_checksum(router: &RouterName, progress: Progress) -> u32 {
    crc32fast::hash(
        format!("{router} {} {} {}", progress.epoch, progress.last, progress.acknowledged).as_bytes(),
    )
}

/// A row that does not match its checksum.
#[derive(Debug)]
pub struct Broken {
    pub lane: usize,
    pub sequence: Sequence,
}

/// What a walk over all rows finds.
#[derive(Debug, Default)]
pub struct Rows {
    pub first: Option<Sequence>,
    pub status: u64,
    pub samples: u64,
    pub broken: Vec<Broken>,
    /// Runs of sequences without a row, after the acknowledged one.
    pub holes: Vec<super::Hole>,
    /// A row that cannot be there yet.
    pub beyond: Option<Sequence>,
}

/// Walks over all rows in order.
pub fn scan(db: &Connection, progress: Progress) -> Result<Rows> {
    let mut found = Rows::default();
    let mut explained: Vec<SpoolDropped> = read_gone(db)?;
    let mut previous = progress.acknowledged;
    let hole = |first: u64, next: u64, holes: &mut Vec<super::Hole>| {
        if first < next {
            holes.push(super::Hole { first: Sequence(first), last: Sequence(next - 1), declared: false });
        }
    };
    let mut query = db.prepare("SELECT sequence, record, lane FROM event ORDER BY sequence")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let sequence = Sequence(unsigned(row.get(0)?));
        let lane: usize = row.get::<_, u8>(2)?.into();
        if sequence.0 > progress.last {
            found.beyond = Some(sequence);
            break;
        }
        if sequence.0 <= previous {
            return Err(StoreError::Damaged(format!(
                "row {} is there twice or was acknowledged",
                sequence.0
            )));
        }
        found.first.get_or_insert(sequence);
        hole(previous + 1, sequence.0, &mut found.holes);
        previous = sequence.0;
        let packed = row.get_ref(1)?.as_blob().map_err(|error| StoreError::Damaged(error.to_string()))?;
        match unpack(progress.epoch, sequence, packed) {
            None => found.broken.push(Broken { lane, sequence }),
            Some((Class::Sample, _)) => found.samples += 1,
            Some((Class::Status, json)) => {
                found.status += 1;
                explained.extend(declared_in(&json));
            }
        }
    }
    if found.beyond.is_none() {
        hole(previous + 1, progress.last + 1, &mut found.holes);
    }
    for hole in &mut found.holes {
        hole.declared = explained.iter().any(|gone| {
            gone.of_epoch.is_none()
                && gone.first_sequence <= hole.first.0
                && hole.last.0 <= gone.last_sequence
        });
    }
    Ok(found)
}

/// The newest `limit` events, newest first, as many as fit in `max_bytes` of JSON, one at least. What is damaged is left out.
pub fn newest(db: &Connection, epoch: Epoch, limit: u32, max_bytes: usize) -> Result<Vec<Box<RawValue>>> {
    let mut query = db.prepare("SELECT sequence, record FROM event ORDER BY sequence DESC LIMIT ?1")?;
    let mut rows = query.query([limit])?;
    let (mut newest, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let sequence = Sequence(unsigned(row.get(0)?));
        let packed = row.get_ref(1)?.as_blob().map_err(|error| StoreError::Damaged(error.to_string()))?;
        let Some((_, json)) = unpack(epoch, sequence, packed) else { continue };
        bytes += json.get().len();
        if bytes > max_bytes && !newest.is_empty() {
            break;
        }
        newest.push(json);
    }
    Ok(newest)
}

/// What is remembered under `key`.
pub fn recall(db: &Connection, key: &str) -> Result<Option<String>> {
    let query = "SELECT value FROM remembered WHERE key = ?1";
    Ok(db.query_row(query, [key], |row| row.get(0)).optional()?)
}

/// What an event declares as given up.
fn declared_in(json: &RawValue) -> Option<SpoolDropped> {
    if !json.get().contains(DROPPED) {
        return None;
    }
    let event = Envelope::read(json.get().as_bytes()).ok()?;
    if event.kind == DROPPED { event.data().ok() } else { None }
}

fn unpack(epoch: Epoch, sequence: Sequence, packed: &[u8]) -> Option<(Class, Box<RawValue>)> {
    let (class, json) = record::decode(epoch, sequence, packed).ok()?;
    let json = RawValue::from_string(String::from_utf8(json.to_vec()).ok()?).ok()?;
    Some((class, json))
}

fn insert(
    transaction: &Transaction<'_>,
    room: Room,
    router: &RouterName,
    progress: &mut Progress,
    draft: &Draft,
    lane: usize,
) -> Result<()> {
    let sequence = Sequence(progress.last + 1);
    let event = draft.clone().into_event(router.clone(), progress.epoch, sequence);
    let packed = record::encode(progress.epoch, sequence, event.class(), &event.to_json());
    make_room(transaction, room, *progress, packed.len() as u64)?;
    transaction
        .prepare_cached(&format!("INSERT INTO {} VALUES (?1, ?2)", TABLES[lane]))?
        .execute(params![signed(sequence.0), packed])?;
    progress.last = sequence.0;
    Ok(())
}

/// Table of a draft: 0 for status, else 1 + lane. Of every kind and subject apart, every second sample goes
/// to the first lane, every fourth to the next.
fn lane_of(counted: &mut HashMap<(String, Option<String>), u64>, draft: &Draft) -> usize {
    if draft.body.class() == Class::Status {
        return 0;
    }
    if counted.len() > COUNTED_MAX {
        counted.clear();
    }
    let count = counted.entry((draft.body.kind().to_owned(), draft.subject.clone())).or_default();
    *count += 1;
    1 + (count.trailing_zeros() as usize).min(LANES - 1)
}

fn class_of(lane: usize) -> Class {
    if lane == 0 { Class::Status } else { Class::Sample }
}

/// Drops rows until `bytes` more fit: samples while there are any, then the oldest status.
fn make_room(transaction: &Transaction<'_>, room: Room, progress: Progress, bytes: u64) -> Result<()> {
    let pragma = |name: &str| -> Result<u64> {
        Ok(transaction
            .prepare_cached(&format!("PRAGMA {name}"))?
            .query_row([], |row| row.get(0))
            .map(unsigned)?)
    };
    // A row may need its own pages and split the ones above it.
    let needed = bytes / PAGE_BYTES + 3;
    while pragma("page_count")? - pragma("freelist_count")? + needed > room.soft_pages {
        let lane = thinnest_out(transaction, progress)?.unwrap_or(0);
        if drop_oldest(transaction, lane, DROP_ROWS, "full")? == 0 {
            break;
        }
    }
    let excess = pragma("page_count")?.saturating_sub(room.hard_pages);
    if excess > 0 {
        // Only after the bound was lowered.
        transaction.execute_batch(&format!("PRAGMA incremental_vacuum({excess})"))?;
    }
    Ok(())
}

/// The table of samples that reaches back farthest for its density; `None` when no sample is left.
fn thinnest_out(transaction: &Transaction<'_>, progress: Progress) -> Result<Option<usize>> {
    let mut farthest = None;
    for (lane, table) in TABLES.iter().enumerate().skip(1) {
        let oldest: Option<i64> = transaction
            .prepare_cached(&format!("SELECT min(sequence) FROM {table}"))?
            .query_row([], |row| row.get(0))?;
        if let Some(oldest) = oldest {
            let reach = (progress.last + 1 - unsigned(oldest)) >> (lane - 1);
            if farthest.is_none_or(|(farthest, _)| reach > farthest) {
                farthest = Some((reach, lane));
            }
        }
    }
    Ok(farthest.map(|(_, lane)| lane))
}

/// Drops the oldest rows of a table and writes them down; returns how many.
fn drop_oldest(transaction: &Transaction<'_>, lane: usize, rows: usize, cause: &str) -> Result<usize> {
    let table = TABLES[lane];
    let dropped: Vec<i64> = transaction
        .prepare_cached(&format!(
            "DELETE FROM {table} WHERE sequence IN (SELECT sequence FROM {table} ORDER BY sequence LIMIT ?1) RETURNING sequence"
        ))?
        .query_map([rows as i64], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let (Some(first), Some(last)) = (dropped.iter().min(), dropped.iter().max()) else { return Ok(0) };
    let gone = SpoolDropped {
        class: class_of(lane),
        first_sequence: unsigned(*first),
        last_sequence: unsigned(*last),
        count: dropped.len() as u64,
        cause: cause.to_owned(),
        of_epoch: None,
    };
    add_gone(transaction, &gone)?;
    Ok(dropped.len())
}

/// Writes down what was given up, together with what was given up before for the same reason.
fn add_gone(transaction: &Transaction<'_>, gone: &SpoolDropped) -> Result<()> {
    let class = if gone.class == Class::Status { "status" } else { "sample" };
    let of_epoch = gone.of_epoch.map(|epoch| epoch.to_string());
    let (first, last, count) = (signed(gone.first_sequence), signed(gone.last_sequence), signed(gone.count));
    let merged = transaction
        .prepare_cached(
            "UPDATE gone SET first = min(first, ?4), last = max(last, ?5), count = count + ?6
             WHERE class = ?1 AND cause = ?2 AND of_epoch IS ?3",
        )?
        .execute(params![class, gone.cause, of_epoch, first, last, count])?;
    if merged == 0 {
        transaction.execute(
            "INSERT INTO gone (class, cause, of_epoch, first, last, count) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![class, gone.cause, of_epoch, first, last, count],
        )?;
    }
    Ok(())
}

fn read_gone(db: &Connection) -> Result<Vec<SpoolDropped>> {
    let mut query =
        db.prepare_cached("SELECT class, cause, of_epoch, first, last, count FROM gone ORDER BY first")?;
    let gone = query.query_map([], |row| {
        let class = if row.get_ref(0)?.as_str()? == "status" { Class::Status } else { Class::Sample };
        let of_epoch = row.get::<_, Option<String>>(2)?.and_then(|epoch| epoch.parse().ok());
        let (first, last, count): (i64, i64, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
        Ok(SpoolDropped {
            class,
            cause: row.get(1)?,
            of_epoch,
            first_sequence: unsigned(first),
            last_sequence: unsigned(last),
            count: unsigned(count),
        })
    })?;
    Ok(gone.collect::<rusqlite::Result<_>>()?)
}

/// SQLite's integers are signed; no router lives to see sequence 2^63.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
