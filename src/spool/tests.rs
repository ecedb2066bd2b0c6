use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::store::FILE;
use super::*;
use crate::event::{ClockState, ConfigRolledBack, SignalSampled};

const ONE_MIB: u64 = 1 << 20;

fn router() -> RouterName {
    "branch-0042".parse().unwrap()
}

fn stamp(body: Body) -> Draft {
    let time = DateTime::from_timestamp(1_764_000_000, 0).unwrap();
    let origin = Origin { boot_id: "boot".into(), uptime_ms: 1, clock: ClockState::Synced };
    Draft { time, subject: None, origin, body }
}

fn status(number: u64) -> Draft {
    let cause = format!("number {number}");
    stamp(ConfigRolledBack { from_hash: "a".into(), hash: "b".into(), cause }.into())
}

/// A batch of samples whose JSON takes about 1 kB.
fn sample(subject: &str) -> Draft {
    let column = || (0..40).map(|index| Some(-90 - index % 7)).collect();
    let sampled = SignalSampled {
        offset_ms: (0..40).map(|index| index * 10_000).collect(),
        rssi_dbm: column(),
        rsrp_dbm: column(),
        ..SignalSampled::default()
    };
    Draft { subject: Some(subject.into()), ..stamp(sampled.into()) }
}

fn open(folder: &TempDir) -> Spool {
    Spool::open(folder.path(), router(), ONE_MIB).unwrap()
}

fn all(spool: &mut Spool) -> Vec<Event> {
    let mut events = Vec::new();
    let mut after = Sequence(0);
    loop {
        let batch = spool.read(after, 64 * 1024).unwrap();
        let Some(last) = batch.events.last() else { return events };
        after = last.sequence;
        events.extend(
            batch.events.iter().map(|stored| Event::from_json(stored.json.get().as_bytes()).unwrap()),
        );
    }
}

fn sequences(spool: &mut Spool) -> Vec<u64> {
    all(spool).iter().map(|event| event.sequence.0).collect()
}

/// Bytes of everything in the folder.
fn bytes_in(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

proptest! {
    #[test]
    fn a_record_reads_back_at_its_place_only(epoch: u64, sequence: u64, sample: bool, json in ".{0,200}") {
        let class = if sample { Class::Sample } else { Class::Status };
        let bytes = record::encode(Epoch(epoch), Sequence(sequence), class, json.as_bytes());
        prop_assert_eq!(record::decode(Epoch(epoch), Sequence(sequence), &bytes), Ok((class, json.as_bytes())));
        prop_assert!(record::decode(Epoch(epoch), Sequence(sequence ^ 1), &bytes).is_err());
        prop_assert!(record::decode(Epoch(epoch ^ 1), Sequence(sequence), &bytes).is_err());
    }

    #[test]
    fn a_torn_or_broken_record_is_found(json in ".{0,200}", cut: prop::sample::Index, flip in 0u8..8) {
        let bytes = record::encode(Epoch(1), Sequence(2), Class::Status, json.as_bytes());
        let at = cut.index(bytes.len());
        prop_assert!(record::decode(Epoch(1), Sequence(2), &bytes[..at]).is_err());
        let mut broken = bytes.clone();
        broken[at] ^= 1 << flip;
        prop_assert!(record::decode(Epoch(1), Sequence(2), &broken).is_err());
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes: Vec<u8>) {
        let _ = record::decode(Epoch(1), Sequence(2), &bytes);
    }
}

#[test]
fn events_come_back_in_order_and_go_when_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    assert_eq!(spool.append(sample("a")), Appended::Grouped);
    assert_eq!(spool.append(status(1)), Appended::Stored(Sequence(2)));
    assert_eq!(spool.append(status(2)), Appended::Stored(Sequence(3)));
    let events = all(&mut spool);
    assert_eq!(sequences(&mut spool), [1, 2, 3]);
    assert!(events.iter().all(|event| event.router == router() && Some(event.epoch) == spool.depth().epoch));
    assert_eq!(events[1].body, status(1).body);

    let epoch = events[0].epoch;
    spool.acknowledge(epoch, Sequence(2)).unwrap();
    assert_eq!(sequences(&mut spool), [3]);
    spool.acknowledge(epoch, Sequence(1)).unwrap();
    assert_eq!(sequences(&mut spool), [3]);
    let depth = spool.depth();
    assert_eq!((depth.status_events, depth.sample_events, depth.acknowledged), (1, 0, Sequence(2)));
    assert_eq!(depth.oldest, Some(status(0).time));
}

#[test]
fn acknowledgements_of_the_future_and_of_other_epochs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    spool.append(status(1));
    let epoch = spool.depth().epoch.unwrap();
    assert!(matches!(spool.acknowledge(epoch, Sequence(2)), Err(SpoolError::Future { .. })));
    assert!(matches!(spool.acknowledge(Epoch(epoch.0 ^ 1), Sequence(1)), Err(SpoolError::OtherEpoch { .. })));
    assert_eq!(sequences(&mut spool), [1]);
}

#[test]
fn a_sequence_is_never_given_again_after_acknowledgement_and_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    let mut epochs = BTreeSet::new();
    for round in 0..5 {
        let mut spool = open(&folder);
        let Appended::Stored(sequence) = spool.append(status(round)) else { panic!("not stored") };
        assert_eq!(sequence.0, last + 1);
        last = sequence.0;
        let epoch = spool.depth().epoch.unwrap();
        epochs.insert(epoch);
        spool.acknowledge(epoch, sequence).unwrap();
    }
    assert_eq!(epochs.len(), 1);
}

#[test]
fn samples_wait_for_their_group_and_lose_nothing_to_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for _ in 1..GROUP_EVENTS {
        assert_eq!(spool.append(sample("a")), Appended::Grouped);
    }
    assert_eq!(spool.append(sample("a")), Appended::Stored(Sequence(GROUP_EVENTS as u64)));
    spool.append(sample("a"));
    assert_eq!(sequences(&mut spool).len(), GROUP_EVENTS + 1);
}

#[test]
fn the_second_agent_is_told_who_holds_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&folder);
    let refused = Spool::open(folder.path(), router(), ONE_MIB).unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, SpoolError::InUse { .. }));
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    drop(first);
    open(&folder);
}

#[test]
fn status_outlives_every_sample_and_the_files_stay_in_their_bound() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let mut given = BTreeSet::new();
    for round in 0..1600 {
        spool.append(sample(if round % 2 == 0 { "a" } else { "b" }));
        if round % 40 == 0 {
            let Appended::Stored(sequence) = spool.append(status(round)) else { panic!("not stored") };
            given.insert(sequence.0);
            assert!(bytes_in(folder.path()) <= ONE_MIB, "{} bytes", bytes_in(folder.path()));
        }
    }
    let events = all(&mut spool);
    let kept: BTreeSet<_> =
        events.iter().filter(|event| event.class() == Class::Status).map(|event| event.sequence.0).collect();
    assert_eq!(kept, given, "a status event went although samples were left");
    let samples = events.len() - kept.len();
    assert!(samples > 200, "only {samples} samples are left");

    let gone = spool.undeclared().unwrap();
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert_eq!((gone[0].class, gone[0].cause.as_str()), (Class::Sample, "full"));
    let last = spool.depth().last.0;
    assert_eq!(gone[0].count + events.len() as u64, last);

    assert_eq!(spool.declare(stamp).unwrap(), 1);
    assert_eq!(spool.declare(stamp).unwrap(), 0);
    let declared = all(&mut spool).pop().unwrap();
    assert_eq!(declared.sequence.0, last + 1);
    assert!(matches!(declared.body, Body::SpoolDropped(dropped) if dropped.count == 1600 - samples as u64));
}

#[test]
fn old_samples_are_thinner_than_new_ones_for_each_subject() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for _ in 0..800 {
        spool.append(sample("a"));
        spool.append(sample("b"));
    }
    let events = all(&mut spool);
    let last = spool.depth().last.0;
    for subject in ["a", "b"] {
        let kept = |from: u64, to: u64| {
            let place = |event: &&Event| {
                event.subject.as_deref() == Some(subject) && (from..to).contains(&event.sequence.0)
            };
            events.iter().filter(place).count()
        };
        let (newest, middle) = (kept(last - 100, last + 1), kept(last - 900, last - 500));
        assert!(newest >= 49, "{subject}: {newest} of the newest 50 are left");
        assert!(middle > 10 && middle < 190, "{subject}: {middle} of 200 older ones are left");
    }
}

#[test]
fn without_samples_the_oldest_status_goes_and_is_declared() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for number in 0..500 {
        let cause = format!("{number} {}", "x".repeat(2000));
        let long = stamp(ConfigRolledBack { from_hash: "a".into(), hash: "b".into(), cause }.into());
        assert!(matches!(spool.append(long), Appended::Stored(_)));
    }
    let kept = sequences(&mut spool);
    assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1), "a hole in what is left");
    assert_eq!(kept.last(), Some(&500));
    let gone = spool.undeclared().unwrap();
    assert_eq!(gone.len(), 1);
    assert_eq!(
        (gone[0].class, gone[0].first_sequence, gone[0].last_sequence),
        (Class::Status, 1, kept[0] - 1)
    );
    assert_eq!(gone[0].count, kept[0] - 1);
    assert_eq!(spool.declare(stamp).unwrap(), 1);
    assert!(bytes_in(folder.path()) <= ONE_MIB);
}

#[test]
fn samples_given_up_for_the_plan_leave_status_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for number in 0..20 {
        spool.append(sample("a"));
        spool.append(status(number));
    }
    spool.give_up_samples("budget").unwrap();
    assert_eq!(sequences(&mut spool), (1..=20).map(|number| number * 2).collect::<Vec<_>>());
    let gone = spool.undeclared().unwrap();
    assert_eq!((gone[0].count, gone[0].cause.as_str()), (20, "budget"));
}

/// Damages the database of a spool with ten events, four of them acknowledged, and opens it again.
fn reopened_after(damage: impl Fn(&Path)) -> (TempDir, Spool, Epoch) {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for number in 0..10 {
        spool.append(status(number));
    }
    let epoch = spool.depth().epoch.unwrap();
    spool.acknowledge(epoch, Sequence(4)).unwrap();
    drop(spool);
    damage(&folder.path().join(FILE));
    let spool = open(&folder);
    (folder, spool, epoch)
}

#[test]
fn a_damaged_file_is_set_aside_and_the_gap_is_an_event_of_a_new_epoch() {
    type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
    let overwrite = |path: &Path, change: Change<'_>| {
        let mut bytes = std::fs::read(path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    };
    let cases: [(&str, Change<'_>); 6] = [
        ("zero filled", &|bytes| bytes.fill(0)),
        ("empty", &Vec::clear),
        ("cut in half", &|bytes| bytes.truncate(bytes.len() / 2 / 4096 * 4096)),
        ("cut inside a page", &|bytes| bytes.truncate(5000)),
        ("not a database", &|bytes| *bytes = b"to whom it may concern".to_vec()),
        ("first page overwritten", &|bytes| bytes[100..4096].fill(0xa5)),
    ];
    for (name, change) in cases {
        let (folder, mut spool, before) = reopened_after(|path| overwrite(path, change));
        assert_eq!(spool.fault(), None, "{name}");
        let gone = spool.undeclared().unwrap();
        assert_eq!(gone.len(), 1, "{name}: {gone:?}");
        let expected = SpoolDropped {
            class: Class::Status,
            first_sequence: 5,
            last_sequence: 10,
            count: 6,
            cause: "damaged".into(),
            of_epoch: Some(before),
        };
        assert_eq!(gone[0], expected, "{name}");
        assert_ne!(spool.depth().epoch, Some(before), "{name}");
        spool.declare(stamp).unwrap();
        assert_eq!(sequences(&mut spool), [1], "{name}");
        assert!(folder.path().join("damaged-1.db").exists(), "{name}");
    }
}

#[test]
fn a_missing_database_is_a_gap_too() {
    let (_folder, mut spool, before) = reopened_after(|path| std::fs::remove_file(path).unwrap());
    let gone = spool.undeclared().unwrap();
    assert_eq!((gone[0].of_epoch, gone[0].first_sequence, gone[0].last_sequence), (Some(before), 5, 10));
}

#[test]
fn only_so_many_damaged_files_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        open(&folder).append(status(1));
        std::fs::write(folder.path().join(FILE), "nothing").unwrap();
    }
    drop(open(&folder));
    let names: Vec<_> = aside::set_aside_files(folder.path())
        .into_iter()
        .map(|path| path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["damaged-4.db", "damaged-5.db"]);
}

/// Changes rows behind the spool's back.
fn with_sql(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn one_broken_record_is_given_up_alone() {
    let broken = "UPDATE status SET record = zeroblob(length(record)) WHERE sequence = 7";
    let (_folder, mut spool, epoch) = reopened_after(|path| with_sql(path, broken));
    assert_eq!(spool.depth().epoch, Some(epoch));
    assert_eq!(sequences(&mut spool), [5, 6, 8, 9, 10]);
    let gone = spool.undeclared().unwrap();
    assert_eq!((gone[0].first_sequence, gone[0].count, gone[0].of_epoch), (7, 1, None));
}

#[test]
fn a_missing_row_is_declared_once() {
    let (folder, mut spool, _) =
        reopened_after(|path| with_sql(path, "DELETE FROM status WHERE sequence IN (6, 7)"));
    let gone = spool.undeclared().unwrap();
    assert_eq!((gone[0].first_sequence, gone[0].last_sequence, gone[0].count), (6, 7, 2));
    spool.declare(stamp).unwrap();
    drop(spool);
    assert_eq!(open(&folder).undeclared().unwrap(), []);
}

#[test]
fn a_database_that_lost_its_end_gives_no_sequence_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let mut spool = open(&folder);
    (0..5).for_each(|number| assert!(matches!(spool.append(status(number)), Appended::Stored(_))));
    drop(spool);
    let earlier = std::fs::read(&path).unwrap();
    let mut spool = open(&folder);
    (5..9).for_each(|number| assert!(matches!(spool.append(status(number)), Appended::Stored(_))));
    drop(spool);
    std::fs::write(&path, earlier).unwrap();

    let mut spool = open(&folder);
    let gone = spool.undeclared().unwrap();
    assert_eq!((gone[0].first_sequence, gone[0].last_sequence, gone[0].count), (6, 9, 4));
    assert_eq!(spool.append(status(9)), Appended::Stored(Sequence(10)));
}

#[test]
fn damage_found_while_running_is_mended_while_running() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    spool.append(status(1));
    let before = spool.depth().epoch;
    with_sql(&folder.path().join(FILE), "DROP TABLE status");
    assert!(matches!(spool.append(status(2)), Appended::Stored(_)));
    assert_ne!(spool.depth().epoch, before);
    assert_eq!(all(&mut spool).len(), 1);
    assert_eq!(spool.undeclared().unwrap().len(), 1);
}

#[test]
fn a_disk_that_refuses_is_survived_in_memory_and_what_did_not_fit_is_declared() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("spool");
    std::fs::write(&place, "a file where the folder should be").unwrap();
    let mut spool = Spool::open(&place, router(), ONE_MIB).unwrap();
    assert!(spool.fault().is_some());
    for number in 0..3000 {
        assert_eq!(spool.append(status(number)), Appended::Held);
    }
    spool.remember("key", "1").unwrap();
    assert_eq!(spool.recall("key").as_deref(), Some("1"));
    let held = spool.depth().waiting_events;
    assert!(held < 3000);

    std::fs::remove_file(&place).unwrap();
    spool.flush().unwrap();
    assert_eq!(spool.fault(), None);
    assert_eq!(spool.recall("key").as_deref(), Some("1"));
    let gone = spool.undeclared().unwrap();
    assert_eq!((gone[0].first_sequence, gone[0].count, gone[0].cause.as_str()), (1, 3000 - held, "full"));
    assert_eq!(sequences(&mut spool), (3001 - held..=3000).collect::<Vec<_>>());
}

#[test]
fn an_event_too_large_for_any_spool_does_not_block_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    let cause = "x".repeat(3 << 20);
    spool.append(stamp(ConfigRolledBack { from_hash: "a".into(), hash: "b".into(), cause }.into()));
    assert_eq!(spool.append(status(2)), Appended::Stored(Sequence(2)));
    assert_eq!(spool.undeclared().unwrap()[0].count, 1);
}

#[test]
fn what_is_remembered_survives_and_the_oldest_of_too_many_goes() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    for number in 0..=store::KEYS_MAX {
        spool.remember(&format!("key {number}"), "{}").unwrap();
        spool.remember("always", &number.to_string()).unwrap();
    }
    assert!(spool.remember("large", &"x".repeat(1 << 20)).is_err());
    drop(spool);
    let mut spool = open(&folder);
    assert_eq!(spool.recall("always"), Some(store::KEYS_MAX.to_string()));
    assert_eq!(spool.recall("key 0"), None);
    assert_eq!(spool.recall("key 100").as_deref(), Some("{}"));
}

#[test]
fn under_a_new_name_what_waits_is_told_in_an_epoch_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder);
    (0..6).for_each(|number| assert!(matches!(spool.append(status(number)), Appended::Stored(_))));
    let before = spool.depth().epoch.unwrap();
    spool.acknowledge(before, Sequence(2)).unwrap();
    drop(spool);
    let mut spool = Spool::open(folder.path(), "branch-7".parse().unwrap(), ONE_MIB).unwrap();
    let events = all(&mut spool);
    assert_eq!(events.iter().map(|event| event.sequence.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(events.iter().all(|event| event.router.as_str() == "branch-7" && event.epoch != before));
    assert_eq!(spool.undeclared().unwrap(), []);
}

#[test]
fn verify_tells_whole_from_holed_from_damaged() {
    let (folder, spool, epoch) = reopened_after(|_| ());
    let report = verify(folder.path()).unwrap();
    assert!(report.whole, "{report:?}");
    assert_eq!(report.epoch, Some(epoch));
    assert_eq!(
        (report.first, report.last, report.acknowledged),
        (Some(Sequence(5)), Some(Sequence(10)), Some(Sequence(4)))
    );
    drop(spool);

    with_sql(&folder.path().join(FILE), "DELETE FROM status WHERE sequence = 8");
    let report = verify(folder.path()).unwrap();
    assert!(!report.whole);
    assert_eq!(report.holes, [Hole { first: Sequence(8), last: Sequence(8), declared: false }]);

    let mut spool = open(&folder);
    spool.declare(stamp).unwrap();
    let report = verify(folder.path()).unwrap();
    assert!(!report.whole && report.holes[0].declared, "{report:?}");
    drop(spool);

    with_sql(&folder.path().join(FILE), "UPDATE status SET record = x'00' WHERE sequence = 9");
    let report = verify(folder.path()).unwrap();
    assert_eq!(report.damage, ["record 9 does not match its checksum"]);

    std::fs::write(folder.path().join(FILE), vec![0; 8192]).unwrap();
    let report = verify(folder.path()).unwrap();
    assert!(!report.whole && report.damage.len() == 1, "{report:?}");
    assert!(verify(&folder.path().join("nowhere")).is_err());
}

#[test]
fn a_look_shows_the_newest_and_what_is_remembered_also_beside_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Look::open(folder.path()).is_err_and(|error| error.to_string().contains("there is no spool.db")));
    let mut spool = open(&folder);
    spool.remember("key", "1").unwrap();
    spool.append(sample("lte-dev-1"));
    for number in 0..5 {
        spool.append(status(number));
    }
    let path = folder.path().join(FILE);
    let causes = |events: Vec<Box<RawValue>>| {
        let cause = |json: Box<RawValue>| match Event::from_json(json.get().as_bytes()).unwrap().body {
            Body::ConfigRolledBack(told) => told.cause,
            other => other.kind().to_owned(),
        };
        events.into_iter().map(cause).collect::<Vec<_>>()
    };
    let check = || {
        let look = Look::open(folder.path()).unwrap();
        assert_eq!(causes(look.newest(3, 1 << 20).unwrap()), ["number 4", "number 3", "number 2"]);
        assert_eq!(causes(look.newest(3, 1).unwrap()), ["number 4"]);
        assert_eq!(look.newest(100, 1 << 20).unwrap().len(), 6);
        assert_eq!(look.recall("key").unwrap().as_deref(), Some("1"));
        assert_eq!(look.recall("other").unwrap(), None);
    };
    check();
    assert_eq!(causes(spool.newest(1, 1).unwrap()), ["number 4"]);
    drop(spool);
    check();
    with_sql(&path, "UPDATE status SET record = x'00' WHERE sequence = (SELECT max(sequence) FROM status)");
    let look = Look::open(folder.path()).unwrap();
    assert_eq!(causes(look.newest(2, 1 << 20).unwrap()), ["number 3"], "what is damaged is left out");
}

#[test]
fn verify_changes_nothing() {
    let (folder, spool, _) = reopened_after(|_| ());
    drop(spool);
    let listing = || {
        let mut files: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = listing();
    verify(folder.path()).unwrap();
    assert_eq!(listing(), before);
}
