//! Good input, damaged a little, again and again: no reader may panic, and none may take longer than it should. Everything
//! follows from a seed, which a failure prints; `TANDEM_MUTATIONS` asks for more turns than fit into every run.
#![cfg(all(feature = "agent", feature = "central"))]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tandem::at::{self, Command, Exchange, Lines};
use tandem::config::{Config, import::import};
use tandem::event::Event;
use tandem::qmi::{Deframer, describe};
use tandem::sim::scenario::Scenario;
use tandem::sim::trace::Trace;

/// Turns of each test without `TANDEM_MUTATIONS`.
const TURNS: u64 = 3000;
/// Longest time for one small input; hundreds of times what it takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Hands damaged copies of `corpus` to `read`.
fn survive(corpus: &[Vec<u8>], read: impl Fn(&[u8])) {
    assert!(!corpus.is_empty(), "nothing to damage");
    let turns =
        std::env::var("TANDEM_MUTATIONS").map_or(TURNS, |text| text.parse().expect("a number of turns"));
    for seed in 0..turns {
        let input = damaged(corpus, seed);
        let began = Instant::now();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&input)));
        assert!(outcome.is_ok(), "seed {seed} makes it panic: {:?}", String::from_utf8_lossy(&input));
        assert!(began.elapsed() < PATIENCE, "seed {seed} takes {:?}", began.elapsed());
    }
}

/// One of the corpus with up to eight damages: bytes changed, cut out, doubled, moved in from another, numbers at their ends.
fn damaged(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    const ENDS: [&[u8]; 10] = [
        b"\0",
        b"\xff\xff",
        b"\x7f\xff\xff\xff",
        b"-1",
        b"99999999999999999999",
        b"\"",
        b"[[[[",
        b"{",
        b"\r\n",
        b"\xc3",
    ];
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..random.usize(1..=8) {
        let at = random.usize(..=bytes.len());
        let length = random.usize(..=16).min(bytes.len() - at);
        match random.u8(..6) {
            0 if at < bytes.len() => bytes[at] = random.u8(..),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            2 => drop(bytes.drain(at..at + length)),
            3 => {
                let copy = bytes[at..at + length].to_vec();
                bytes.splice(at..at, copy);
            }
            4 => {
                let other = &corpus[random.usize(..corpus.len())];
                let from = random.usize(..=other.len());
                let piece = other[from..(from + 24).min(other.len())].to_vec();
                bytes.splice(at..at + length, piece);
            }
            _ => drop(bytes.splice(at..at + length, ENDS[random.usize(..ENDS.len())].iter().copied())),
        }
    }
    bytes
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Contents of the files of a folder with this ending.
fn files(folder: &str, ending: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> =
        fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let paths = paths.iter().filter(|path| path.extension().is_some_and(|found| found == ending));
    paths.map(|path| fs::read(path).unwrap()).collect()
}

/// The golden frames, out of the strings of their file.
fn frames() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(root().join("src/qmi/golden.rs")).unwrap();
    let mut joined = String::new();
    for line in text.lines() {
        match line.strip_suffix('\\') {
            Some(part) => joined += part.trim_start(),
            None => joined = joined + line.trim_start() + "\n",
        }
    }
    let is_frame = |word: &&str| {
        word.len() >= 24 && word.len().is_multiple_of(2) && word.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let frames: Vec<Vec<u8>> =
        joined.split('"').filter(is_frame).map(|hex| hex.as_bytes().chunks(2).map(byte).collect()).collect();
    assert!(frames.len() > 20, "{} golden frames were found", frames.len());
    frames
}

#[test]
fn damaged_qmi_frames_are_frames_or_errors() {
    survive(&frames(), |bytes| {
        let _ = serde_json::to_string(&describe::describe(bytes)).unwrap();
        let mut deframer = Deframer::default();
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        for part in [first, rest] {
            deframer.push(part);
            while let Some(frame) = deframer.next_frame() {
                let _ = frame.encode();
            }
        }
    });
}

#[test]
fn damaged_at_answers_end_or_wait_for_more() {
    let answers = [
        "\r\nManufacturer: Sierra Wireless, Incorporated\r\nModel: MC7455\r\n\r\nOK\r\n",
        "AT+CSQ\r\r\n+CSQ: 31,99\r\n\r\nOK\r\n",
        "\r\n+CREG: 1\r\n\r\n+CPIN: SIM PIN\r\n\r\n+CME ERROR: 11\r\n",
        "+CGPADDR: 1,\"10.64.12.9\"\r\nNO CARRIER\r\nERROR\r\n",
    ];
    let corpus: Vec<Vec<u8>> = answers.iter().map(|answer| answer.as_bytes().to_vec()).collect();
    survive(&corpus, |bytes| {
        let command = Command::new("AT+CSQ").unwrap();
        let (mut lines, mut exchange) = (Lines::default(), Exchange::new(&command));
        for part in bytes.chunks(7) {
            lines.push(part);
            while let Some(line) = lines.next_line() {
                let _ = at::redact(&line);
                if exchange.line(line).is_some() {
                    return;
                }
            }
        }
        let _ = Command::new(&String::from_utf8_lossy(bytes));
    });
}

#[test]
fn damaged_configurations_are_read_or_told_where_they_are_wrong() {
    let mut corpus = files("tests/config", "toml");
    corpus.extend(files("tests/config/import", "toml"));
    survive(&corpus, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Err(error) = Config::parse(&text, "damaged.toml") {
            assert!(error.to_string().contains("damaged.toml"), "{error}");
        }
    });
}

#[test]
fn damaged_router_texts_are_imported_or_told_where_they_are_wrong() {
    survive(&files("tests/config/import", "txt"), |bytes| {
        let _ = import(&String::from_utf8_lossy(bytes), "damaged.txt", None);
    });
}

#[test]
fn damaged_traces_are_read_or_told_where_they_are_wrong() {
    let trace = "Timestamp,Longitude,CellID,NetworkMode,RSRP,RSRQ,SNR,RSSI,State,PINGAVG,NODEHEX,LACHEX,RAWCELLID\n\
                 2020.02.14_09.38.21,-8.39,11,LTE,-95,-11,9.0,-66,D,41,A4DF,9CBA,10805003\n\
                 2020.02.14_09.38.22,-8.39,11,LTE,-96,-12,8.0,-67,I,-,A4DF,9CBA,10805003\n\
                 2020.02.14_09.38.25,-8.39,11,HSPA+,-101,-,-,-83,D,-,A4DF,9CBA,10805003\n";
    survive(&[trace.as_bytes().to_vec()], |bytes| {
        if let Ok(trace) = Trace::from_csv(&String::from_utf8_lossy(bytes)) {
            for second in [0, 1, 5, 86_400, u32::MAX.into()] {
                let _ =
                    (trace.at(Duration::from_secs(second)), trace.next_change(Duration::from_secs(second)));
            }
        }
    });
}

#[test]
fn damaged_scenarios_are_read_or_told_where_they_are_wrong() {
    let script = "[modem]\npin = \"1234\"\ncarrier = { name = \"AT&T\", mcc = \"310\", mnc = \"410\" }\n\n[[step]]\nat-s = 60\n\
                  for-s = 30\nfault = \"no-service\"\n\n[[step]]\nrandom-s = 900\nfault = { call-end = { type = 6, code = 33 } }\n";
    survive(&[script.as_bytes().to_vec()], |bytes| {
        let _ = Scenario::parse(&String::from_utf8_lossy(bytes));
    });
}

#[test]
fn damaged_events_are_read_back_as_they_were_taken_or_refused() {
    survive(&files("tests/events", "json"), |bytes| {
        if let Ok(event) = Event::from_json(bytes) {
            assert_eq!(Event::from_json(&event.to_json()).unwrap(), event);
        }
    });
}
