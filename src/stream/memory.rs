//! A stream in memory: for tests and for a central that may forget. Nothing survives the process.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::bounds::{self, AllBounds, Bounds};
use super::{
    Answer, Batch, Commit, Limit, Position, Record, Stored, Stream, StreamError, Topic, check, partition_of,
};

/// Records looked at by one read with a key.
const SCAN_MAX: usize = 100_000;

/// A stream in memory.
pub struct Memory {
    partitions: u32,
    bytes_max: usize,
    state: Mutex<State>,
    bounds: watch::Sender<AllBounds>,
}

#[derive(Default)]
struct State {
    logs: HashMap<(Topic, u32), Log>,
    readers: BTreeMap<String, BTreeMap<(Topic, u32), u64>>,
    bytes: usize,
}

#[derive(Default)]
struct Log {
    records: BTreeMap<u64, Record>,
    /// Offset of each key's record; kept for compacted topics.
    latest: HashMap<String, u64>,
    next: u64,
    last_ms: i64,
}

impl Memory {
    /// Room for records unless [`Memory::with_room`] says otherwise.
    pub const ROOM_BYTES: usize = 1024 * 1024 * 1024;

    /// An empty stream whose topics have `partitions` partitions each.
    ///
    /// # Panics
    /// When `partitions` is 0.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        Self::with_room(partitions, Self::ROOM_BYTES)
    }

    /// The same with room for `bytes_max` bytes of records; when they are used up, appending fails with
    /// [`StreamError::Full`] until records expire.
    ///
    /// # Panics
    /// When `partitions` is 0.
    #[must_use]
    pub fn with_room(partitions: u32, bytes_max: usize) -> Self {
        assert!(partitions > 0, "a topic has at least one partition");
        let mut all = AllBounds::default();
        for topic in Topic::ALL {
            for partition in 0..partitions {
                all.set(topic, Bounds { partition, first: 0, next: 0 });
            }
        }
        Self { partitions, bytes_max, state: Mutex::default(), bounds: watch::Sender::new(all) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no call panics while it holds the lock")
    }

    fn write(
        &self,
        records: Vec<Record>,
        reader: Option<(String, Vec<Position>)>,
    ) -> Result<(), StreamError> {
        check(&records)?;
        let mut state = self.state();
        let bytes: usize = records.iter().map(Record::bytes).sum();
        if state.bytes + bytes > self.bytes_max {
            let detail = format!("{} of {} bytes in use", state.bytes, self.bytes_max);
            return Err(StreamError::Full { path: PathBuf::from("memory"), detail });
        }
        for (topic, partition) in reader.iter().flat_map(|(_, to)| to).map(|at| (at.topic, at.partition)) {
            self.bounds.borrow().get(topic, partition)?;
        }
        let mut touched = Vec::new();
        for record in records {
            let place = (record.topic, partition_of(&record.key, self.partitions));
            state.append(place, record);
            touched.push(place);
        }
        if let Some((name, positions)) = reader {
            let own = state.readers.entry(name).or_default();
            own.extend(positions.into_iter().map(|at| ((at.topic, at.partition), at.offset)));
        }
        self.publish(&state, &touched);
        Ok(())
    }

    /// Tells those who wait, while the lock is held, so that bounds never run ahead or go back.
    fn publish(&self, state: &State, places: &[(Topic, u32)]) {
        if places.is_empty() {
            return;
        }
        self.bounds.send_modify(|all| {
            for place in places {
                all.set(place.0, state.logs[place].bounds(place.1));
            }
        });
    }

    fn read_now(&self, from: Position, limit: Limit<'_>) -> Result<Batch, StreamError> {
        self.bounds.borrow().get(from.topic, from.partition)?;
        let state = self.state();
        let Some(log) = state.logs.get(&(from.topic, from.partition)) else {
            return Ok(Batch { records: Vec::new(), next: from.offset });
        };
        let mut batch = Batch { records: Vec::new(), next: from.offset };
        let mut bytes = 0;
        for (scanned, (offset, record)) in log.records.range(from.offset..).enumerate() {
            let wanted = limit.key.is_none_or(|key| key == record.key);
            let too_many = batch.records.len() >= limit.records.max(1)
                || (wanted && !batch.records.is_empty() && bytes + record.bytes() > limit.bytes);
            if too_many || scanned == SCAN_MAX {
                return Ok(batch);
            }
            batch.next = offset + 1;
            if wanted {
                bytes += record.bytes();
                batch.records.push(Stored { offset: *offset, record: record.clone() });
            }
        }
        batch.next = batch.next.max(log.next);
        Ok(batch)
    }

    fn expire_now(&self, topic: Topic, before: DateTime<Utc>) -> u64 {
        let mut state = self.state();
        let mut gone = 0;
        let mut touched = Vec::new();
        for partition in 0..self.partitions {
            let Some(log) = state.logs.get_mut(&(topic, partition)) else { continue };
            let old: Vec<u64> = log
                .records
                .iter()
                .take_while(|(_, record)| record.time < before)
                .filter(|(_, record)| !topic.is_compacted() || record.value.is_none())
                .map(|(offset, _)| *offset)
                .collect();
            let mut bytes = 0;
            for offset in &old {
                let record = log.records.remove(offset).expect("it was listed under this lock");
                log.latest.remove(&record.key);
                bytes += record.bytes();
            }
            gone += old.len() as u64;
            state.bytes -= bytes;
            touched.push((topic, partition));
        }
        self.publish(&state, &touched);
        gone
    }
}

impl State {
    fn append(&mut self, place: (Topic, u32), mut record: Record) {
        self.bytes += record.bytes();
        let log = self.logs.entry(place).or_default();
        log.last_ms = log.last_ms.max(record.time_ms());
        record.time = DateTime::from_timestamp_millis(log.last_ms).expect("it came from a time");
        let offset = log.next;
        log.next += 1;
        if place.0.is_compacted()
            && let Some(older) = log.latest.insert(record.key.clone(), offset)
            && let Some(older) = log.records.remove(&older)
        {
            self.bytes -= older.bytes();
        }
        log.records.insert(offset, record);
    }
}

impl Log {
    fn bounds(&self, partition: u32) -> Bounds {
        let first = self.records.first_key_value().map_or(self.next, |(first, _)| *first);
        Bounds { partition, first, next: self.next }
    }
}

impl Stream for Memory {
    fn partitions(&self, _: Topic) -> u32 {
        self.partitions
    }

    fn append(&self, records: Vec<Record>) -> Answer<'_, ()> {
        Box::pin(async move { self.write(records, None) })
    }

    fn read<'a>(&'a self, from: Position, limit: Limit<'a>) -> Answer<'a, Batch> {
        Box::pin(async move { self.read_now(from, limit) })
    }

    fn wait<'a>(&'a self, from: &'a [Position], patience: Duration) -> Answer<'a, bool> {
        Box::pin(bounds::wait(self.bounds.subscribe(), from, patience))
    }

    fn bounds(&self, topic: Topic) -> Answer<'_, Vec<Bounds>> {
        Box::pin(async move { Ok(self.bounds.borrow().of(topic)) })
    }

    fn offset_at(&self, topic: Topic, partition: u32, time: DateTime<Utc>) -> Answer<'_, u64> {
        Box::pin(async move {
            let bounds = self.bounds.borrow().get(topic, partition)?;
            let state = self.state();
            let Some(log) = state.logs.get(&(topic, partition)) else { return Ok(bounds.next) };
            let at = log.records.iter().find(|(_, record)| record.time >= time);
            Ok(at.map_or(log.next, |(offset, _)| *offset))
        })
    }

    fn commit(&self, commit: Commit) -> Answer<'_, ()> {
        Box::pin(async move { self.write(commit.outputs, Some((commit.reader, commit.positions))) })
    }

    fn committed<'a>(&'a self, reader: &'a str) -> Answer<'a, Vec<Position>> {
        Box::pin(async move {
            let state = self.state();
            let own = state.readers.get(reader).into_iter().flatten();
            Ok(own.map(|(&(topic, partition), &offset)| Position { topic, partition, offset }).collect())
        })
    }

    fn expire(&self, topic: Topic, before: DateTime<Utc>) -> Answer<'_, u64> {
        Box::pin(async move { Ok(self.expire_now(topic, before)) })
    }
}
