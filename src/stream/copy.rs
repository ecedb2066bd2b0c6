//! Moves what one stream holds into another: from the embedded one to Kafka, without losing history.
//!
//! Records go over as they are, in their order, with the time at which central took them in. Each piece and how far the
//! source was read are one commit in the target ([`READER`]), so a copy that was cut off goes on where it was and nothing
//! is there twice. Then both sides are read and compared.
//!
//! Not copied: `tandem.state`, which speaks of places in the source and is folded anew, and what the target would let go
//! of at once because it is older than its topic keeps ([`Topic::kept`]).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Commit, Kept, Limit, Position, Record, Stored, Stream, StreamError, Topic};

/// Under this name the target keeps how far the source was copied.
pub const READER: &str = "copy";

/// Records of one commit.
const PIECE: Limit<'static> = Limit { records: 5_000, bytes: 8 * 1024 * 1024, key: None };

/// Records within this of their end are not copied: they would go while they are.
const MARGIN: TimeDelta = TimeDelta::hours(1);

/// What became of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The topic.
    pub topic: Topic,
    /// Records copied now.
    pub now: u64,
    /// Records too old to be kept by the target.
    pub expired: u64,
    /// Records of the source that the target should hold.
    pub source: Content,
    /// Records that it does hold.
    pub target: Content,
}

/// What a topic holds, told in two numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Records.
    pub records: u64,
    /// Sum over the hashes of all records; equal for equal records in whatever order.
    pub digest: u64,
}

/// Why nothing, or not all, was copied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// One of the streams failed; the copy can be repeated.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The target holds records that are not from an earlier copy.
    #[error("{topic} of the target is not empty; copy into a new prefix", topic = topic.name())]
    NotEmpty {
        /// The topic.
        topic: Topic,
    },
    /// A key's place in the source does not exist in the target, which remembers it.
    #[error("the source has {source_count} partitions, the target {target_count}: it needs as many at least")]
    TooFew {
        /// Of the source.
        source_count: u32,
        /// Of the target.
        target_count: u32,
    },
}

/// Copies all topics but `tandem.state`, and compares. `told` hears after each piece how many records of a topic are over.
///
/// # Errors
/// When a stream fails, or the target is in use already.
pub async fn copy(
    source: &dyn Stream,
    target: &dyn Stream,
    now: DateTime<Utc>,
    mut told: impl FnMut(Topic, u64),
) -> Result<Vec<Copied>, CopyError> {
    let (source_count, target_count) = (source.partitions(Topic::Status), target.partitions(Topic::Status));
    if source_count > target_count {
        return Err(CopyError::TooFew { source_count, target_count });
    }
    // Ends what a copy that was killed left open, which hides how far it came.
    target.commit(Commit { reader: READER.into(), positions: Vec::new(), outputs: Vec::new() }).await?;
    let committed = target.committed(READER).await?;
    let topics = Topic::ALL.into_iter().filter(|topic| *topic != Topic::State);
    if committed.is_empty() {
        for topic in topics.clone() {
            if holds_a_record(target, topic).await? {
                return Err(CopyError::NotEmpty { topic });
            }
        }
    }
    let mut copied = Vec::new();
    for topic in topics {
        let since = kept_since(topic, now);
        let (mut over, mut expired) = (0, 0);
        for bounds in source.bounds(topic).await? {
            let mut at = Position { topic, partition: bounds.partition, offset: bounds.first };
            let known = committed.iter().find(|own| (own.topic, own.partition) == (topic, at.partition));
            at.offset = known.map_or(at.offset, |own| own.offset.max(at.offset));
            while at.offset < bounds.next {
                let batch = source.read(at, PIECE).await?;
                at.offset = batch.next;
                let read = batch.records.len();
                let kept = |record: &Record| since.is_none_or(|since| record.time >= since);
                let records = batch.records.into_iter().map(|Stored { record, .. }| record);
                let outputs: Vec<Record> = records.filter(kept).collect();
                over += outputs.len() as u64;
                expired += (read - outputs.len()) as u64;
                let commit = Commit { reader: READER.into(), positions: vec![at], outputs };
                target.commit(commit).await?;
                told(topic, over);
            }
        }
        let (source, target) = (content(source, topic, since).await?, content(target, topic, since).await?);
        copied.push(Copied { topic, now: over, expired, source, target });
    }
    Ok(copied)
}

/// Whether anything can be read there. Bounds alone do not say: places of a commit that never was are taken too, such as
/// those of a copy that was killed in its first piece.
async fn holds_a_record(stream: &dyn Stream, topic: Topic) -> Result<bool, StreamError> {
    for bounds in stream.bounds(topic).await? {
        let mut at = Position { topic, partition: bounds.partition, offset: bounds.first };
        while at.offset < bounds.next {
            let batch = stream.read(at, Limit { records: 1, ..PIECE }).await?;
            if !batch.records.is_empty() {
                return Ok(true);
            }
            if batch.next <= at.offset {
                break;
            }
            at.offset = batch.next;
        }
    }
    Ok(false)
}

/// Records older than this are not kept; `None` keeps all.
fn kept_since(topic: Topic, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match topic.kept() {
        Kept::For(time) => now.checked_sub_signed(TimeDelta::from_std(time).ok()? - MARGIN),
        Kept::Latest { .. } => None,
    }
}

async fn content(
    stream: &dyn Stream,
    topic: Topic,
    since: Option<DateTime<Utc>>,
) -> Result<Content, StreamError> {
    let bounds = stream.bounds(topic).await?;
    let mut at: Vec<Position> = bounds
        .iter()
        .map(|bounds| Position { topic, partition: bounds.partition, offset: bounds.first })
        .collect();
    stream.read_ahead(&at).await?;
    let mut content = Content::default();
    for (at, bounds) in at.iter_mut().zip(&bounds) {
        while at.offset < bounds.next {
            let batch = stream.read_on(*at, PIECE).await?;
            if batch.next <= at.offset {
                break;
            }
            at.offset = batch.next;
            for Stored { record, .. } in &batch.records {
                if since.is_none_or(|since| record.time >= since) {
                    content.records += 1;
                    content.digest = content.digest.wrapping_add(hash(record));
                }
            }
        }
    }
    Ok(content)
}

fn hash(record: &Record) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&record.key, &record.headers, &record.value, record.time.timestamp_millis()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::{CE_TYPE, Memory};
    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::days(day)
    }

    fn record(topic: Topic, n: u32, day: i64) -> Record {
        let headers = vec![(CE_TYPE.into(), "t".into())];
        Record {
            topic,
            key: format!("r{}", n % 7),
            headers,
            value: Some(n.to_string().into()),
            time: at(day),
        }
    }

    #[tokio::test]
    async fn everything_that_is_kept_goes_over_once_and_in_order() {
        let (source, target) = (Memory::new(1), Memory::new(5));
        for n in 0..100 {
            let records = [Topic::Status, Topic::Samples, Topic::Acknowledged, Topic::State];
            source.append(records.map(|topic| record(topic, n, i64::from(n) / 10)).into()).await.unwrap();
        }
        let copied = copy(&source, &target, at(9), |_, _| {}).await.unwrap();
        let of = |topic| *copied.iter().find(|copied| copied.topic == topic).unwrap();
        for (topic, now, expired) in [
            (Topic::Status, 100, 0),
            (Topic::Samples, 70, 30),
            (Topic::Acknowledged, 7, 0),
            (Topic::Alerts, 0, 0),
        ] {
            let copied = of(topic);
            assert_eq!((copied.now, copied.expired), (now, expired), "{topic:?}");
            assert_eq!(copied.source, copied.target, "{topic:?}");
            assert_eq!(copied.target.records, now, "{topic:?}");
        }
        assert!(copied.iter().all(|copied| copied.topic != Topic::State), "folded anew");
        for partition in 0..5 {
            let from = Position { topic: Topic::Status, partition, offset: 0 };
            let batch = target.read(from, Limit::default()).await.unwrap();
            let mut last = std::collections::HashMap::new();
            for Stored { record, .. } in batch.records {
                let n: u32 = String::from_utf8(record.value.unwrap()).unwrap().parse().unwrap();
                assert!(last.insert(record.key, n).is_none_or(|before| before < n), "order of a key");
            }
        }
    }

    #[tokio::test]
    async fn a_copy_that_was_cut_off_goes_on_and_one_that_ended_does_nothing() {
        let (source, target) = (Memory::new(1), Memory::new(2));
        for n in 0..50 {
            source.append(vec![record(Topic::Status, n, 0)]).await.unwrap();
        }
        // As a copy leaves it that is cut off after 20 records.
        let first = (0..20).map(|n| record(Topic::Status, n, 0)).collect();
        let position = Position { topic: Topic::Status, partition: 0, offset: 20 };
        let commit = Commit { reader: READER.into(), positions: vec![position], outputs: first };
        target.commit(commit).await.unwrap();
        for now in [30, 0] {
            let copied = copy(&source, &target, at(1), |_, _| {}).await.unwrap();
            let status = copied.iter().find(|copied| copied.topic == Topic::Status).unwrap();
            assert_eq!((status.now, status.target.records), (now, 50));
            assert_eq!(status.source, status.target);
        }
    }

    #[tokio::test]
    async fn a_target_in_use_or_too_narrow_is_refused() {
        let (source, target) = (Memory::new(1), Memory::new(1));
        target.append(vec![record(Topic::Alerts, 1, 0)]).await.unwrap();
        let error = copy(&source, &target, at(1), |_, _| {}).await.unwrap_err();
        assert_eq!(error, CopyError::NotEmpty { topic: Topic::Alerts });
        let error = copy(&Memory::new(2), &target, at(1), |_, _| {}).await.unwrap_err();
        assert_eq!(error, CopyError::TooFew { source_count: 2, target_count: 1 });
    }

    #[tokio::test]
    async fn a_record_that_differs_shows_in_the_digest() {
        let (one, other) = (Memory::new(1), Memory::new(1));
        one.append(vec![record(Topic::Status, 1, 0)]).await.unwrap();
        other
            .append(vec![Record { value: Some(b"2".to_vec()), ..record(Topic::Status, 1, 0) }])
            .await
            .unwrap();
        let (one, other) = (
            content(&one, Topic::Status, None).await.unwrap(),
            content(&other, Topic::Status, None).await.unwrap(),
        );
        assert_eq!((one.records, other.records), (1, 1));
        assert_ne!(one.digest, other.digest);
    }
}
