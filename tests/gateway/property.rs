//! Any batches in any order, with doubles and losses of answers.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::events::{sample, status};
use super::*;

const EVENTS: u64 = 40;

fn event(router: u64, sequence: u64) -> String {
    let router = format!("r{router}");
    if sequence.is_multiple_of(3) { status(&router, sequence) } else { sample(&router, sequence) }
}

/// Batches that hold each of the first numbers at least once, in any order.
fn batches() -> impl Strategy<Value = Vec<Vec<u64>>> {
    let order = Just((1..=EVENTS).collect::<Vec<_>>()).prop_shuffle();
    let doubles = prop::collection::vec(1..=EVENTS, 0..30);
    (order, doubles, prop::collection::vec(1..9usize, 80)).prop_map(|(mut order, doubles, sizes)| {
        for (place, double) in doubles.into_iter().enumerate() {
            order.insert((place * 3) % order.len(), double);
        }
        let mut batches = Vec::new();
        for size in sizes {
            let rest = order.split_off(size.min(order.len()));
            batches.push(std::mem::replace(&mut order, rest));
        }
        batches.retain(|batch| !batch.is_empty());
        batches
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_event_is_stored_once_and_no_acknowledgement_runs_ahead(
        first in batches(),
        second in batches(),
        together in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::open().await;
            let mut senders = tokio::task::JoinSet::new();
            for (router, batches) in [(1, first), (2, second)] {
                let bench = bench.clone();
                let send = async move {
                    let mut sent = BTreeSet::new();
                    for batch in batches {
                        let elements: Vec<String> = batch.iter().map(|n| event(router, *n)).collect();
                        let acknowledged = bench.post(&elements).await.acknowledged();
                        sent.extend(batch);
                        let contiguous = (1..).find(|n| !sent.contains(n)).unwrap() - 1;
                        assert_eq!(acknowledged, contiguous);
                    }
                    assert_eq!(sent.len() as u64, EVENTS);
                };
                if together {
                    senders.spawn(send);
                } else {
                    send.await;
                }
            }
            while let Some(sender) = senders.join_next().await {
                sender.unwrap();
            }
            let mut stored_events = Vec::new();
            for topic in [Topic::Status, Topic::Samples] {
                for record in stored(&bench.stream, topic).await.into_iter().map(|stored| stored.record) {
                    stored_events.push(String::from_utf8(record.value.unwrap()).unwrap());
                }
            }
            stored_events.sort();
            let mut wanted: Vec<String> =
                (1..=2).flat_map(|router| (1..=EVENTS).map(move |n| event(router, n))).collect();
            wanted.sort();
            assert_eq!(stored_events, wanted);
        });
    }
}

/// A batch with a few damages that follow from the seed.
fn damaged(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = batch(&(1..=3).map(|sequence| event(1, sequence)).collect::<Vec<_>>()).into_bytes();
    for _ in 0..random.usize(1..=6) {
        let at = random.usize(..bytes.len());
        let length = random.usize(..=12).min(bytes.len() - at);
        match random.u8(..4) {
            0 => bytes[at] = random.u8(..),
            1 => drop(bytes.drain(at..at + length)),
            2 => drop(bytes.splice(at..at, bytes[at..at + length].to_vec())),
            _ => drop(bytes.splice(at..at + length, *b"},{\"sequence\":")),
        }
    }
    bytes
}

#[tokio::test]
async fn damaged_batches_are_answered_and_the_good_batch_after_them_is_taken() {
    let bench = Bench::open().await;
    for seed in 0..500 {
        let body = damaged(seed);
        let answer = bench.send(post(&body).body(Body::from(body)).unwrap()).await;
        let code = answer.status.as_u16();
        assert!(code == 200 || (400..500).contains(&code), "seed {seed} is answered with {code}");
    }
    let good = bench.post(&(1..=EVENTS).map(|sequence| event(2, sequence)).collect::<Vec<_>>()).await;
    assert_eq!(good.acknowledged(), EVENTS);
}
