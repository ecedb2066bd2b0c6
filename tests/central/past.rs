//! `as_of`: the view of an earlier moment is the fold of what central had taken in by then, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;
use tandem::event::{Event, LinkState};
use tandem::stream::{Memory, Record};

use super::events::*;
use super::*;

/// What a router says: which kind, about which link, with which content.
type Word = (u8, bool, u8);

fn body(kind: u8, choice: u8) -> tandem::event::Body {
    let states = [LinkState::Connected, LinkState::Waiting, LinkState::Suspect, LinkState::Registering];
    let state = |choice: u8| states[usize::from(choice) % states.len()];
    match kind % 8 {
        0 => started(["north", "south"][usize::from(choice) % 2]),
        1 | 2 => changed(state(choice / 4), state(choice)),
        3 => failed(["option-unsubscribed", "no-service"][usize::from(choice) % 2]),
        4 => registered(["Aurora", "Borealis"][usize::from(choice) % 2]),
        5 => signal(-80 - i16::from(choice) / 4),
        6 => traffic(u64::from(choice)),
        _ => unknown(),
    }
}

/// Records in the order in which central takes them in: three routers mixed, some events lost, some twice,
/// some late; half a minute to half an hour between two of them.
fn taken_in(words: &[(Word, u8)], seed: u64) -> Vec<Record> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut sequences = [0_u64; 3];
    let mut events: Vec<Event> = Vec::new();
    for ((kind, second, choice), router) in words {
        let router = usize::from(*router) % 3;
        sequences[router] += 1 + u64::from(random.u8(..6) == 0);
        let link = if *second { "lte-dev-2" } else { "lte-dev-1" };
        let body = body(*kind, *choice);
        events.push(event(&format!("r{router}"), sequences[router], Some(link), body));
        if random.u8(..5) == 0 {
            events.push(events[random.usize(..events.len())].clone());
        }
    }
    for _ in 0..events.len() / 4 {
        let (a, b) = (random.usize(..events.len()), random.usize(..events.len()));
        events.swap(a, b);
    }
    let mut time = start();
    events
        .iter()
        .map(|event| {
            time += TimeDelta::milliseconds(random.i64(0..1_800_000).max(1));
            record(event, time)
        })
        .collect()
}

/// The fold of the records that were taken in by `time`, made without central.
fn independent(records: &[Record], time: DateTime<Utc>) -> FleetView {
    let mut fleet = FleetView::default();
    for record in records.iter().filter(|record| record.time <= time) {
        fleet.apply(&Event::from_json(record.value.as_deref().unwrap()).unwrap(), record.time);
    }
    fleet.settle(time);
    fleet
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_past_is_the_fold_of_what_had_been_taken_in_by_then(
        words in prop::collection::vec(((0..8_u8, any::<bool>(), any::<u8>()), any::<u8>()), 1..80),
        seed in any::<u64>(),
        pieces in prop::collection::vec((1..30_usize, any::<bool>()), 1..12),
        moments in prop::collection::vec(-100..40_000_i64, 8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all().start_paused(true).build().unwrap();
        let outcome: Result<(), TestCaseError> = runtime.block_on(async {
            let records = taken_in(&words, seed);
            let mut bench = Bench::over(Arc::new(Memory::new(2))).await;
            let mut rest = records.as_slice();
            for (count, restarts) in pieces.into_iter().chain([(usize::MAX, true)]) {
                let (piece, behind) = rest.split_at(count.min(rest.len()));
                bench.stream.append(piece.to_vec()).await.unwrap();
                rest = behind;
                bench.fold_all().await;
                bench = if restarts { bench.restart().await } else { bench };
            }
            bench.fold_all().await;
            let last = records.last().unwrap().time;
            let times = moments.iter().map(|s| after_s(*s)).chain(records.iter().step_by(7).map(|r| r.time));
            for time in times {
                let past = bench.central.as_of(time).await.unwrap();
                prop_assert_eq!(told(&past), told(&independent(&records, time)), "as of {}", time);
                prop_assert!(past.freshness.stream_moved_at.is_none_or(|moved_at| moved_at <= time));
            }
            let live = { bench.central.fleet().read().unwrap().clone() };
            prop_assert_eq!(without_silence(live, last), told(&independent(&records, last)));
            Ok(())
        });
        outcome?;
    }
}

/// The live view, silent routers judged at `time`.
fn without_silence(mut fleet: FleetView, time: DateTime<Utc>) -> String {
    fleet.settle(time);
    told(&fleet)
}

#[tokio::test(start_paused = true)]
async fn snapshots_lie_on_the_hours_and_damage_to_one_costs_only_time() {
    let bench = Bench::new().await;
    let records: Vec<Record> = (1..=20)
        .map(|n| {
            record(
                &event("a", n, Some("lte-dev-1"), if n % 2 == 0 { up() } else { down() }),
                after_s(n as i64 * 600),
            )
        })
        .collect();
    bench.stream.append(records.clone()).await.unwrap();
    bench.fold_all().await;
    let dated = || -> Vec<_> {
        std::fs::read_dir(bench.snapshots())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "view"))
            .filter(|path| path.to_string_lossy().contains("2026-11-02T"))
            .collect()
    };
    // They are written beside the fold.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while dated().len() < 3 {
        assert!(tokio::time::Instant::now() < deadline, "one at the end of each hour: {:?}", dated());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let dated = dated();
    assert_eq!(dated.len(), 3, "and no others: {dated:?}");
    let time = after_s(11_000);
    let told_whole = told(&bench.central.as_of(time).await.unwrap());
    for path in &dated {
        std::fs::write(path, b"not a snapshot").unwrap();
    }
    let bench = bench.crash().await;
    assert_eq!(told(&bench.central.as_of(time).await.unwrap()), told_whole);
    assert_eq!(told_whole, told(&independent(&records, time)));
}
