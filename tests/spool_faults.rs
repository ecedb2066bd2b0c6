//! The spool under fire: a process that appends, sends and trims is killed at any moment; after some of the
//! kills its files are torn, flipped, zeroed or lost. Nothing that was promised may be lost without a word,
//! no place of the sequence may be given to two events, and no person is needed.
//!
//! `TANDEM_SPOOL_ROUNDS=1000` runs more rounds, `TANDEM_SPOOL_SEED` repeats a run.
#![cfg(feature = "agent")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use chrono::DateTime;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tandem::event::{
    Body, Class, ClockState, ConfigRolledBack, Epoch, Event, Origin, RouterName, Sequence, SignalSampled,
    SpoolDropped,
};
use tandem::spool::{Appended, Draft, Spool, verify};

const MAX_BYTES: u64 = 1 << 20;
const ROUNDS: u64 = 200;
/// Every so many rounds the files are damaged as well.
const DAMAGE_EVERY: u64 = 3;
const CHILD: &str = "TANDEM_SPOOL_CHILD";

fn router() -> RouterName {
    "branch-0042".parse().unwrap()
}

fn stamp(body: Body) -> Draft {
    let time = DateTime::from_timestamp(1_764_000_000, 0).unwrap();
    let origin = Origin { boot_id: "boot".into(), uptime_ms: 1, clock: ClockState::Synced };
    Draft { time, subject: None, origin, body }
}

fn status(content: u64) -> Draft {
    let hash = "f".repeat((content % 400) as usize);
    stamp(ConfigRolledBack { from_hash: hash, hash: "b".into(), cause: content.to_string() }.into())
}

fn sample() -> Draft {
    let sampled = SignalSampled { offset_ms: vec![0; 200], ..SignalSampled::default() };
    stamp(sampled.into())
}

/// The content of an event, unique to it for status events.
fn content(event: &Event) -> String {
    match &event.body {
        Body::ConfigRolledBack(rolled_back) => rolled_back.cause.clone(),
        Body::SpoolDropped(dropped) => format!("{dropped:?}"),
        other => other.kind().to_owned(),
    }
}

/// What the child does until it is killed. Each line tells of a promise: `A` appended and synced, `S` sent to
/// central, `K` acknowledged by central.
#[test]
#[ignore = "the process that `kills_and_torn_writes…` starts and kills"]
fn child() {
    let folder = std::env::var(CHILD).expect("started by the test");
    let mut random = fastrand::Rng::new();
    let mut spool = Spool::open(Path::new(&folder), router(), MAX_BYTES).unwrap();
    println!("E {}", spool.depth().epoch.unwrap());
    loop {
        for _ in 0..random.usize(0..4) {
            spool.append(sample());
        }
        let number = random.u64(..);
        let Appended::Stored(sequence) = spool.append(status(number)) else { panic!("{:?}", spool.fault()) };
        println!("A {} {number}", sequence.0);
        if random.u8(0..6) == 0 {
            spool.declare(stamp).unwrap();
            let acknowledged = spool.depth().acknowledged;
            let batch = spool.read(acknowledged, 8 * 1024).unwrap();
            for stored in &batch.events {
                let event = Event::from_json(stored.json.get().as_bytes()).unwrap();
                println!("S {} {}", event.sequence.0, content(&event));
            }
            if let Some(stored) = random.choice(&batch.events) {
                println!("K {} -", stored.sequence.0);
                spool.acknowledge(batch.epoch, stored.sequence).unwrap();
            }
        }
    }
}

/// What the child promised.
#[derive(Default)]
struct Promises {
    /// Everything that anybody saw at a place.
    seen: BTreeMap<(Epoch, u64), String>,
    /// Status events that must still be there.
    owed: BTreeMap<u64, String>,
}

impl Promises {
    fn see(&mut self, epoch: Epoch, sequence: u64, content: String) {
        let first = self.seen.entry((epoch, sequence)).or_insert_with(|| content.clone());
        assert_eq!(*first, content, "place {sequence} of {epoch} was given to two events");
    }

    /// Takes one line of the child. A line that the kill cut off promised nothing.
    fn hear(&mut self, epoch: &mut Option<Epoch>, line: &str) {
        let mut words = line.splitn(3, ' ');
        let (Some(kind), Some(place)) = (words.next(), words.next()) else { return };
        if kind == "E" {
            *epoch = place.parse().ok();
            return;
        }
        let (Some(content), Ok(sequence), Some(epoch)) = (words.next(), place.parse::<u64>(), *epoch) else {
            return;
        };
        match kind {
            "A" => {
                self.see(epoch, sequence, content.to_owned());
                self.owed.insert(sequence, content.to_owned());
            }
            "S" => self.see(epoch, sequence, content.to_owned()),
            "K" => self.owed.retain(|owed, _| *owed > sequence),
            _ => {}
        }
    }
}

#[test]
fn kills_and_torn_writes_lose_nothing_without_a_word_and_double_nothing() {
    let setting = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let rounds = setting("TANDEM_SPOOL_ROUNDS").unwrap_or(ROUNDS);
    let seed = setting("TANDEM_SPOOL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("TANDEM_SPOOL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut promises = Promises::default();
    let mut epoch = None;
    for round in 0..rounds {
        run_and_kill(folder.path(), &mut promises, &mut epoch, random.usize(1..40));
        let damaged = (round % DAMAGE_EVERY == 0).then(|| damage(folder.path(), &mut random));
        let what = format!("round {round}, damage {damaged:?}");
        let report = verify(folder.path()).unwrap();
        assert!(damaged.is_some() || report.damage.is_empty(), "{what}: {report:?}");
        epoch = Some(settle(folder.path(), &mut promises, epoch, damaged.is_some(), &what));
    }
}

/// Starts the child and kills it after it has told `lines` lines, in the middle of whatever it does.
fn run_and_kill(folder: &Path, promises: &mut Promises, epoch: &mut Option<Epoch>, lines: usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "child"])
        .env(CHILD, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut heard = 0;
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        if line.ends_with('\n') {
            promises.hear(epoch, line.trim_end());
        }
        line.clear();
        heard += 1;
        if heard == lines {
            child.kill().unwrap();
        }
    }
    assert!(heard >= lines, "the child ended by itself after {heard} lines");
    child.wait().unwrap();
}

/// Does to one file what flash and power cuts do.
fn damage(folder: &Path, random: &mut fastrand::Rng) -> String {
    let name =
        *random.choice(&["spool.db", "spool.db", "spool.db-wal", "spool.db-wal", "spool.mark"]).unwrap();
    let path = folder.join(name);
    let Ok(mut bytes) = std::fs::read(&path) else { return format!("{name} is not there") };
    let at = if bytes.is_empty() { 0 } else { random.usize(..bytes.len()) };
    let end = bytes.len().min(at + random.usize(1..8192));
    let how = match random.u8(0..5) {
        0 => {
            bytes.truncate(at);
            "cut"
        }
        1 => {
            bytes[at..end].fill(0);
            "zeroed"
        }
        2 => {
            bytes[at..end].fill_with(|| random.u8(..));
            "overwritten"
        }
        3 if !bytes.is_empty() => {
            bytes[at] ^= 1 << random.u8(0..8);
            "flipped"
        }
        _ => {
            std::fs::remove_file(&path).unwrap();
            return format!("{name} removed");
        }
    };
    std::fs::write(&path, bytes).unwrap();
    format!("{name} {how} at {at}")
}

/// Opens what is left and holds it against the promises: each is kept, or its loss is told. Returns the epoch
/// that goes on.
fn settle(folder: &Path, promises: &mut Promises, before: Option<Epoch>, damaged: bool, what: &str) -> Epoch {
    let mut spool = Spool::open(folder, router(), MAX_BYTES).unwrap();
    assert_eq!(spool.fault(), None, "{what}");
    let epoch = spool.depth().epoch.unwrap();
    let gone = spool.undeclared().unwrap();
    spool.declare(stamp).unwrap();
    let mut kept = BTreeMap::new();
    let mut after = Sequence(0);
    loop {
        let batch = spool.read(after, usize::MAX).unwrap();
        let Some(last) = batch.events.last() else { break };
        after = last.sequence;
        for stored in &batch.events {
            let event = Event::from_json(stored.json.get().as_bytes()).unwrap();
            promises.see(epoch, event.sequence.0, content(&event));
            if event.class() == Class::Status {
                kept.insert(event.sequence.0, event);
            }
        }
    }
    let before = before.unwrap_or(epoch);
    let same = epoch == before;
    assert!(damaged || same, "{what}: a new epoch without damage");
    let told = |sequence: u64, dropped: &SpoolDropped| {
        let of_this = if same { dropped.of_epoch.is_none() } else { dropped.of_epoch == Some(before) };
        of_this && (dropped.first_sequence..=dropped.last_sequence).contains(&sequence)
    };
    // Without a mark and with an unreadable database nobody can know what was in it, only that it is gone.
    let unknown = gone
        .iter()
        .any(|dropped| dropped.cause == "damaged" && dropped.of_epoch.is_none() && dropped.count == 0);
    let declared: Vec<_> = kept
        .values()
        .filter_map(|event| match &event.body {
            Body::SpoolDropped(dropped) => Some(dropped),
            _ => None,
        })
        .collect();
    for (sequence, owed) in &promises.owed {
        let here = same && kept.get(sequence).is_some_and(|event| content(event) == *owed);
        let excused = gone.iter().chain(declared.iter().copied()).any(|dropped| told(*sequence, dropped));
        assert!(here || excused || unknown, "{what}: status {sequence} is lost without a word: {gone:?}");
        assert!(here || damaged || excused, "{what}: status {sequence} is lost to a kill: {gone:?}");
    }
    promises.owed.retain(|sequence, _| same && kept.contains_key(sequence));
    epoch
}

/// What the child on a full disk does: appends until the disk takes no more, goes on, and gets its room back.
/// The shell that starts it has SIGXFSZ ignored and the soft limit of the size of files lowered.
#[test]
#[ignore = "the process that `a_full_disk…` starts"]
fn child_on_a_full_disk() {
    let folder = std::env::var(CHILD).expect("started by the test");
    let mut spool = Spool::open(Path::new(&folder), router(), MAX_BYTES).unwrap();
    let mut number = 0;
    while !matches!(spool.append(status(number)), Appended::Held) {
        number += 1;
        assert!(number < 10_000, "the disk never filled");
    }
    let fault = spool.fault().unwrap().to_owned();
    for further in 1..=50 {
        assert_eq!(spool.append(status(number + further)), Appended::Held);
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
    assert!(matches!(spool.append(status(number + 51)), Appended::Stored(_)), "{:?}", spool.fault());
    assert_eq!(spool.fault(), None);
    println!("filled after {number}: {fault}");
}

#[test]
fn a_full_disk_is_survived_in_memory_and_no_place_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let shell =
        "trap '' XFSZ; ulimit -S -f 100; exec \"$0\" --ignored --exact --nocapture child_on_a_full_disk";
    let output = Command::new("bash")
        .args(["-c", shell])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let filled = text.split("filled after ").nth(1).and_then(|text| text.split(':').next()).unwrap();
    let written = filled.parse::<u64>().unwrap() + 52;

    let report = verify(folder.path()).unwrap();
    assert!(report.whole, "{report:?}");
    assert_eq!((report.first, report.last), (Some(Sequence(1)), Some(Sequence(written))));
    let mut spool = Spool::open(folder.path(), router(), MAX_BYTES).unwrap();
    let mut after = Sequence(0);
    let mut contents = Vec::new();
    while let batch = spool.read(after, usize::MAX).unwrap()
        && let Some(last) = batch.events.last()
    {
        after = last.sequence;
        contents.extend(
            batch
                .events
                .iter()
                .map(|stored| content(&Event::from_json(stored.json.get().as_bytes()).unwrap())),
        );
    }
    assert_eq!(contents, (0..written).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn the_command_tells_whole_from_holed_and_runs_beside_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let command = Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(["spool", "verify"])
            .arg(folder.path())
            .args(arguments)
            .output()
            .unwrap();
        (command.status.code(), String::from_utf8(command.stdout).unwrap())
    };
    let mut spool = Spool::open(folder.path(), router(), MAX_BYTES).unwrap();
    for number in 0..5 {
        spool.append(status(number));
    }
    let epoch = spool.depth().epoch.unwrap();
    spool.acknowledge(epoch, Sequence(1)).unwrap();
    let (code, text) = run(&[]);
    assert_eq!(code, Some(0), "{text}");
    for line in [
        format!("epoch:         {epoch}"),
        "first:         2".into(),
        "last:          5".into(),
        "whole:         yes".into(),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    spool.give_up(Sequence(3), "refused").unwrap();
    let (code, text) = run(&["--json"]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["whole"]), (Some(1), &serde_json::json!(false)));
    assert_eq!(report["holes"][0]["declared"], true);
    drop(spool);
    std::fs::write(folder.path().join("spool.db"), "no database").unwrap();
    let (code, text) = run(&[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("damage:") && text.contains("not a database"), "{text}");
}
