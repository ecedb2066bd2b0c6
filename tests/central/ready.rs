//! Whether others had better be asked: `/readyz`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tandem::stream::{
    Answer as StreamAnswer, Batch, Bounds, Commit, Limit, Position, Record, Stream, StreamError, Topic,
};

use super::*;

/// A stream that cannot be read while it is cut off.
struct Cut {
    inner: Memory,
    off: AtomicBool,
}

impl Cut {
    fn check(&self) -> Result<(), StreamError> {
        let off = self.off.load(Ordering::SeqCst);
        let fault = || StreamError::Storage { path: "stream".into(), detail: "the disk is gone".into() };
        if off { Err(fault()) } else { Ok(()) }
    }
}

impl Stream for Cut {
    fn partitions(&self, topic: Topic) -> u32 {
        self.inner.partitions(topic)
    }

    fn append(&self, records: Vec<Record>) -> StreamAnswer<'_, ()> {
        self.inner.append(records)
    }

    fn read<'a>(&'a self, from: Position, limit: Limit<'a>) -> StreamAnswer<'a, Batch> {
        Box::pin(async move {
            self.check()?;
            self.inner.read(from, limit).await
        })
    }

    fn wait<'a>(&'a self, from: &'a [Position], patience: Duration) -> StreamAnswer<'a, bool> {
        self.inner.wait(from, patience)
    }

    fn bounds(&self, topic: Topic) -> StreamAnswer<'_, Vec<Bounds>> {
        self.inner.bounds(topic)
    }

    fn offset_at(&self, topic: Topic, partition: u32, time: DateTime<Utc>) -> StreamAnswer<'_, u64> {
        self.inner.offset_at(topic, partition, time)
    }

    fn commit(&self, commit: Commit) -> StreamAnswer<'_, ()> {
        self.inner.commit(commit)
    }

    fn committed<'a>(&'a self, reader: &'a str) -> StreamAnswer<'a, Vec<Position>> {
        self.inner.committed(reader)
    }

    fn expire(&self, topic: Topic, before: DateTime<Utc>) -> StreamAnswer<'_, u64> {
        self.inner.expire(topic, before)
    }
}

#[tokio::test(start_paused = true)]
async fn a_central_that_cannot_read_its_stream_says_so_and_is_ready_again_by_itself() {
    let stream = Arc::new(Cut { inner: Memory::new(1), off: AtomicBool::new(false) });
    let bench = Bench::over(stream.clone()).await;
    let (central, stop) = (bench.central.clone(), bench.stop.subscribe());
    let following = tokio::spawn(async move { central.follow(stop).await });
    let until = async |status: u16| {
        let begun = tokio::time::Instant::now();
        while bench.get("/readyz").await.status != status {
            assert!(begun.elapsed() < Duration::from_secs(60), "never {status}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        (begun.elapsed(), serde_json::from_slice::<Value>(&bench.get("/readyz").await.body).unwrap())
    };
    until(200).await;
    stream.off.store(true, Ordering::SeqCst);
    let (took, answer) = until(503).await;
    assert!(took > Duration::from_secs(5), "{took:?}: a moment is no reason");
    assert_eq!(answer["ready"], false);
    let fault = answer["faults"][0].as_str().unwrap();
    assert!(fault.contains("cannot be read") && fault.contains("the disk is gone"), "{answer}");
    assert_eq!(bench.get("/v1/fleet").await.status, 200, "what is known is still told");
    stream.off.store(false, Ordering::SeqCst);
    assert_eq!(until(200).await.1["faults"], serde_json::json!([]));
    bench.stop.send_replace(true);
    following.await.unwrap();
}
