//! Reading: a few read-only connections, each used by one call at a time, beside the writer.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};
use serde::de::{MapAccess, Visitor};
use serde::{Deserializer as _, Serializer as _};
use tokio::sync::Semaphore;

use super::file::{self, explain};
use crate::stream::{Batch, CE_TYPE, Headers, Position, Record, Stored, StreamError, Topic};

/// Calls that read at the same time; further ones wait for their turn.
const READERS_MAX: usize = 4;

/// Records that a read with a key looks at where there is no index.
const SCAN_MAX: u64 = 100_000;

/// The read-only connections.
pub(super) struct Readers {
    path: PathBuf,
    turns: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Reader>>>,
}

/// One read-only connection.
pub(super) struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, turns: Arc::new(Semaphore::new(READERS_MAX)), idle: Arc::default() }
    }

    /// Runs `work` where it may block.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StreamError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| StreamError::Closed)?;
        let idle = Arc::clone(&self.idle);
        let path = self.path.clone();
        let call = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let pooled = idle.lock().expect("nothing panics under this lock").pop();
            let reader = match pooled {
                Some(reader) => reader,
                None => Reader { connection: file::open_to_read(&path)?, path },
            };
            let outcome = work(&reader).map_err(|error| explain(&reader.path, &error))?;
            idle.lock().expect("nothing panics under this lock").push(reader);
            Ok(outcome)
        });
        call.await.map_err(|_| StreamError::Closed)?
    }
}

impl Reader {
    /// Records of one partition from `from` up to `next`, which all are visible.
    pub(super) fn read(
        &self,
        from: Position,
        next: u64,
        records_max: usize,
        bytes_max: usize,
        key: Option<&str>,
    ) -> rusqlite::Result<Batch> {
        let Position { topic, partition, offset } = from;
        let table = file::table(topic, partition);
        let columns = "SELECT offset, time_ms, key, headers, value FROM";
        let end = match key {
            Some(_) if !topic.is_indexed() => {
                next.min(self.first_from(&table, offset)?.saturating_add(SCAN_MAX))
            }
            _ => next,
        };
        let condition = if key.is_some() { "AND key = ?3" } else { "AND ?3 IS NULL" };
        let sql = format!("{columns} {table} WHERE offset >= ?1 AND offset < ?2 {condition} ORDER BY offset");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![offset, end, key])?;
        let mut batch = Batch { records: Vec::new(), next: offset };
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            if batch.records.len() >= records_max {
                return Ok(batch);
            }
            let stored = stored(topic, row)?;
            bytes += stored.record.bytes();
            if bytes > bytes_max && !batch.records.is_empty() {
                return Ok(batch);
            }
            batch.next = stored.offset + 1;
            batch.records.push(stored);
        }
        batch.next = end;
        Ok(batch)
    }

    fn first_from(&self, table: &str, offset: u64) -> rusqlite::Result<u64> {
        let sql = format!("SELECT min(offset) FROM {table} WHERE offset >= ?1");
        let first: Option<u64> =
            self.connection.prepare_cached(&sql)?.query_row([offset], |row| row.get(0))?;
        Ok(first.unwrap_or(offset))
    }

    pub(super) fn offset_at(
        &self,
        topic: Topic,
        partition: u32,
        next: u64,
        time: DateTime<Utc>,
    ) -> rusqlite::Result<u64> {
        offset_at(&self.connection, topic, partition, next, time)
    }

    pub(super) fn committed(&self, reader: &str) -> rusqlite::Result<Vec<Position>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT topic, partition, offset FROM reader WHERE name = ?1 ORDER BY topic, partition",
        )?;
        let rows = statement.query_map([reader], |row| {
            let name: String = row.get(0)?;
            let topic = Topic::ALL.into_iter().find(|topic| topic.name() == name);
            Ok(topic.map(|topic| (topic, row.get(1), row.get(2))))
        })?;
        let mut positions = Vec::new();
        for row in rows {
            if let Some((topic, partition, offset)) = row? {
                positions.push(Position { topic, partition: partition?, offset: offset? });
            }
        }
        Ok(positions)
    }
}

/// First offset taken in at or after `time`, by halving: times of a partition never fall.
pub(super) fn offset_at(
    connection: &Connection,
    topic: Topic,
    partition: u32,
    next: u64,
    time: DateTime<Utc>,
) -> rusqlite::Result<u64> {
    let sql = format!(
        "SELECT offset, time_ms FROM {} WHERE offset >= ?1 AND offset < ?2 ORDER BY offset LIMIT 1",
        file::table(topic, partition)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut probe = |from: u64, to: u64| -> rusqlite::Result<Option<(u64, i64)>> {
        let mut rows = statement.query((from, to))?;
        rows.next()?.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
    };
    // Everything below `low` is older; `found` is the first known one that is not.
    let Some((mut low, _)) = probe(0, next)? else { return Ok(next) };
    let (mut high, mut found) = (next, next);
    while low < high {
        let middle = low + (high - low) / 2;
        match probe(middle, high)? {
            Some((offset, time_ms)) if time_ms < time.timestamp_millis() => low = offset + 1,
            Some((offset, _)) => (found, high) = (offset, middle),
            None => high = middle,
        }
    }
    Ok(found)
}

fn stored(topic: Topic, row: &Row<'_>) -> rusqlite::Result<Stored> {
    let time = DateTime::from_timestamp_millis(row.get(1)?).unwrap_or_default();
    let headers = headers_from_text(row.get_ref(3)?.as_str()?);
    let record = Record { topic, key: row.get(2)?, headers, value: row.get(4)?, time };
    Ok(Stored { offset: row.get(0)?, record })
}

/// Headers as one JSON object, which SQLite's shell can take apart.
pub(super) fn headers_to_text(headers: &Headers) -> String {
    let mut out = Vec::new();
    let mut json = serde_json::Serializer::new(&mut out);
    json.collect_map(headers.iter().map(|(name, value)| (name, value))).expect("texts are JSON");
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// Headers that cannot be read are none: the value still tells all.
fn headers_from_text(text: &str) -> Headers {
    serde_json::Deserializer::from_str(text).deserialize_map(InOrder).unwrap_or_default()
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Headers;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let mut headers = Headers::new();
        while let Some((name, value)) = map.next_entry::<Cow<'de, str>, String>()? {
            let name = if name == CE_TYPE { Cow::Borrowed(CE_TYPE) } else { Cow::Owned(name.into_owned()) };
            headers.push((name, value));
        }
        Ok(headers)
    }
}
