//! `tandem qmi decode`: a capture in, one JSON object a line out.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;

const REVISION: &str = "010c0000020100010023000000";
const REJECT: &str = "0120008003ff0400006800140001010008020100030301000f1005000100010000";

fn decode(arguments: &[&str], input: &str) -> (Vec<Value>, Option<i32>) {
    let output = assert_cmd::Command::new(cargo_bin("tandem"))
        .args(["qmi", "decode"])
        .args(arguments)
        .write_stdin(input)
        .output()
        .expect("tandem runs");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("one object a line"));
    (lines.collect(), output.status.code())
}

#[test]
fn a_capture_is_read_line_by_line() {
    let (frames, code) = decode(&[], &format!("{REVISION}\n\n# a comment\n<<<<<<   data   = {REJECT}\n"));
    assert_eq!(code, Some(0));
    assert_eq!(frames[0]["message"], "Get Revision");
    assert_eq!(frames[1]["tlvs"][2]["value"], "no-suitable-cells-in-location-area");
    assert_eq!(frames.len(), 2);
}

#[test]
fn a_broken_frame_is_named_and_does_not_stop_the_others() {
    let (frames, code) = decode(&[], &format!("{REVISION}\n02ff\nnonsense\n{REJECT}"));
    assert_eq!(code, Some(1));
    assert_eq!(frames[1]["raw"], "02ff");
    assert_eq!(frames[1]["error"]["where"], "frame");
    assert_eq!(frames[2]["error"]["where"], "hex");
    assert_eq!(frames[3]["direction"], "indication");
}

#[test]
fn frames_may_be_arguments_even_when_the_shell_has_split_one() {
    let (frames, code) = decode(&[REVISION, REJECT], "");
    assert_eq!((frames.len(), code), (2, Some(0)));
    let split = ["01", "0c", "00", "00", "02", "01", "00", "01", "00", "23", "00", "00", "00"];
    let (frames, code) = decode(&split, "");
    assert_eq!((&frames[0]["message"], code), (&Value::from("Get Revision"), Some(0)));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(cargo_bin("tandem"))
        .args(["qmi", "decode"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tandem runs");
    let mut input = child.stdin.take().expect("piped");
    writeln!(input, "{REVISION}").unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).unwrap();
    assert!(first.contains("Get Revision"));
    // Nobody reads from here on; writing more must end the program quietly.
    let _ = (0..1000).try_for_each(|_| writeln!(input, "{REVISION}"));
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
