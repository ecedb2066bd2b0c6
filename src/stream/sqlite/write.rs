//! The one writer: takes all calls that wait and commits them in one transaction.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use rusqlite::{CachedStatement, Connection, Transaction};
use tokio::sync::{mpsc, oneshot, watch};

use super::file::{self, explain};
use super::read;
use crate::stream::bounds::{AllBounds, Bounds};
use crate::stream::{Position, Record, StreamError, Topic, partition_of};

/// A transaction takes no further call once it holds this much: bounds the WAL and the time a call waits.
const GROUP_BYTES: usize = 8 * 1024 * 1024;

/// Records removed by one transaction, so that appends in between wait a few milliseconds at most.
pub(super) const EXPIRE_RECORDS: u64 = 10_000;

type Reply<T> = oneshot::Sender<Result<T, StreamError>>;

/// What the writer is asked.
pub(super) enum Request {
    Write { records: Vec<Record>, reader: Option<(String, Vec<Position>)>, reply: Reply<()> },
    Expire { expiry: Expiry, reply: Reply<u64> },
}

/// Remove a piece of what is older than `before`.
#[derive(Clone, Copy)]
pub(super) struct Expiry {
    pub topic: Topic,
    pub partition: u32,
    pub before: DateTime<Utc>,
}

pub(super) struct Writer {
    connection: Connection,
    path: PathBuf,
    partitions: u32,
    tails: Vec<Tail>,
}

/// The end of one partition.
#[derive(Clone, Copy)]
struct Tail {
    topic: Topic,
    bounds: Bounds,
    last_ms: i64,
    touched: bool,
}

struct Waiting {
    records: Vec<Record>,
    reader: Option<(String, Vec<Position>)>,
    reply: Reply<()>,
}

impl Writer {
    /// Reads where each partition stands.
    pub(super) fn new(
        connection: Connection,
        path: PathBuf,
        partitions: u32,
    ) -> Result<(Self, AllBounds), StreamError> {
        let mut all = AllBounds::default();
        let mut tails = Vec::new();
        for topic in Topic::ALL {
            for partition in 0..partitions {
                let tail =
                    Tail::load(&connection, topic, partition).map_err(|error| explain(&path, &error))?;
                all.set(topic, tail.bounds);
                tails.push(tail);
            }
        }
        Ok((Self { connection, path, partitions, tails }, all))
    }

    /// Serves until every sender is gone.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>, publish: &watch::Sender<AllBounds>) {
        let mut expiries = Vec::new();
        while let Some(request) = queue.blocking_recv() {
            let mut group = Vec::new();
            let mut bytes = 0;
            let mut next = Some(request);
            while let Some(request) = next {
                match request {
                    Request::Write { records, reader, reply } => {
                        bytes += records.iter().map(Record::bytes).sum::<usize>();
                        group.push(Waiting { records, reader, reply });
                    }
                    Request::Expire { expiry, reply } => expiries.push((expiry, reply)),
                }
                next = if bytes < GROUP_BYTES { queue.try_recv().ok() } else { None };
            }
            self.write_group(group, publish);
            for (expiry, reply) in expiries.drain(..) {
                let _ = reply.send(self.expire(expiry, publish));
            }
        }
    }

    fn write_group(&mut self, group: Vec<Waiting>, publish: &watch::Sender<AllBounds>) {
        if group.is_empty() {
            return;
        }
        let before = self.tails.clone();
        let outcome = self.try_write(&group).map_err(|error| explain(&self.path, &error));
        match &outcome {
            Ok(()) => self.publish(publish),
            Err(_) => self.tails = before,
        }
        for waiting in group {
            let _ = waiting.reply.send(outcome.clone());
        }
    }

    /// All of the group or nothing: a transaction that is dropped rolls back.
    fn try_write(&mut self, group: &[Waiting]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut tables = Tables::new(&transaction, self.partitions);
            for waiting in group {
                for record in &waiting.records {
                    tables.insert(record, &mut self.tails)?;
                }
            }
            let mut save = transaction.prepare_cached(
                "UPDATE partition SET next = ?3, time_ms = ?4 WHERE topic = ?1 AND partition = ?2",
            )?;
            for tail in self.tails.iter().filter(|tail| tail.touched) {
                let Bounds { partition, next, .. } = tail.bounds;
                save.execute((tail.topic.name(), partition, next, tail.last_ms))?;
            }
            let mut move_reader =
                transaction.prepare_cached("INSERT OR REPLACE INTO reader VALUES (?1, ?2, ?3, ?4)")?;
            for (name, positions) in group.iter().filter_map(|waiting| waiting.reader.as_ref()) {
                for Position { topic, partition, offset } in positions {
                    move_reader.execute((name, topic.name(), partition, offset))?;
                }
            }
        }
        transaction.commit()
    }

    fn expire(&mut self, expiry: Expiry, publish: &watch::Sender<AllBounds>) -> Result<u64, StreamError> {
        let Expiry { topic, partition, .. } = expiry;
        let index = index_of(topic, partition, self.partitions);
        let removed = self.try_expire(expiry, index).map_err(|error| explain(&self.path, &error))?;
        if removed > 0 {
            let tail = Tail::load(&self.connection, topic, partition)
                .map_err(|error| explain(&self.path, &error))?;
            self.tails[index].bounds.first = tail.bounds.first;
            self.tails[index].touched = true;
            self.publish(publish);
        }
        Ok(removed)
    }

    fn try_expire(&mut self, expiry: Expiry, index: usize) -> rusqlite::Result<u64> {
        let Expiry { topic, partition, before } = expiry;
        let table = file::table(topic, partition);
        let removed = if topic.is_compacted() {
            self.connection.execute(
                &format!(
                    "DELETE FROM {table} WHERE offset IN (SELECT offset FROM {table}
                     WHERE value IS NULL AND time_ms < ?1 LIMIT {EXPIRE_RECORDS})"
                ),
                [before.timestamp_millis()],
            )?
        } else {
            let Bounds { first, next, .. } = self.tails[index].bounds;
            let cut = read::offset_at(&self.connection, topic, partition, next, before)?;
            let cut = cut.min(first.saturating_add(EXPIRE_RECORDS));
            self.connection.execute(&format!("DELETE FROM {table} WHERE offset < ?1"), [cut])?
        };
        Ok(removed as u64)
    }

    fn publish(&mut self, publish: &watch::Sender<AllBounds>) {
        publish.send_modify(|all| {
            for tail in self.tails.iter_mut().filter(|tail| tail.touched) {
                all.set(tail.topic, tail.bounds);
                tail.touched = false;
            }
        });
    }
}

impl Tail {
    fn load(connection: &Connection, topic: Topic, partition: u32) -> rusqlite::Result<Self> {
        let (next, last_ms) = connection
            .prepare_cached("SELECT next, time_ms FROM partition WHERE topic = ?1 AND partition = ?2")?
            .query_row((topic.name(), partition), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let first: Option<u64> = connection
            .prepare_cached(&format!("SELECT min(offset) FROM {}", file::table(topic, partition)))?
            .query_row([], |row| row.get(0))?;
        let bounds = Bounds { partition, first: first.unwrap_or(next), next };
        Ok(Self { topic, bounds, last_ms, touched: false })
    }
}

/// Place of a partition in the list of tails.
fn index_of(topic: Topic, partition: u32, partitions: u32) -> usize {
    topic as usize * partitions as usize + partition as usize
}

/// Prepared statements of one transaction, by place of the partition.
struct Tables<'t> {
    transaction: &'t Transaction<'t>,
    partitions: u32,
    statements: Vec<Option<(CachedStatement<'t>, Option<CachedStatement<'t>>)>>,
}

impl<'t> Tables<'t> {
    fn new(transaction: &'t Transaction<'t>, partitions: u32) -> Self {
        let mut statements = Vec::new();
        statements.resize_with(Topic::ALL.len() * partitions as usize, || None);
        Self { transaction, partitions, statements }
    }

    fn insert(&mut self, record: &Record, tails: &mut [Tail]) -> rusqlite::Result<()> {
        let partition = partition_of(&record.key, self.partitions);
        let index = index_of(record.topic, partition, self.partitions);
        let statements = &mut self.statements[index];
        if statements.is_none() {
            *statements = Some(prepare(self.transaction, record.topic, partition)?);
        }
        let (insert, replace) = statements.as_mut().expect("just prepared");
        let tail = &mut tails[index];
        if let Some(replace) = replace {
            replace.execute([&record.key])?;
        }
        tail.last_ms = tail.last_ms.max(record.time_ms());
        let headers = read::headers_to_text(&record.headers);
        insert.execute((tail.bounds.next, tail.last_ms, &record.key, headers, &record.value))?;
        tail.bounds.next += 1;
        tail.touched = true;
        Ok(())
    }
}

fn prepare<'t>(
    transaction: &'t Transaction<'t>,
    topic: Topic,
    partition: u32,
) -> rusqlite::Result<(CachedStatement<'t>, Option<CachedStatement<'t>>)> {
    let table = file::table(topic, partition);
    let insert = transaction.prepare_cached(&format!("INSERT INTO {table} VALUES (?1, ?2, ?3, ?4, ?5)"))?;
    let replace = topic
        .is_compacted()
        .then(|| transaction.prepare_cached(&format!("DELETE FROM {table} WHERE key = ?1")))
        .transpose()?;
    Ok((insert, replace))
}
