//! What a person may do at the start: give up early, or bring logs of radios.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use assert_cmd::cargo::cargo_bin;

use super::process::{Demo, interrupt, json, until};

#[test]
fn who_gives_up_before_all_routers_are_there_finds_nothing_left_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let begun = || fs::read_dir(temporary.path()).unwrap().count() > 0;
    let mut demo = Command::new(cargo_bin("tandem"))
        .args(["demo", "--routers", "500", "--listen", "127.0.0.1:0"])
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("its folder", Duration::from_secs(30), || begun().then_some(()));
    let (status, _) = interrupt(&mut demo);
    let said = String::from_utf8(demo.wait_with_output().unwrap().stdout).unwrap();
    assert!(status.success() && !begun(), "{status}: {said}");
    assert_eq!(said, "stopping\n", "it was early enough to mean anything");
}

const LOG: &str = "Timestamp,CellID,NetworkMode,RSRP,RSRQ,SNR,State,RAWCELLID
2020.02.14_09.38.22,1,LTE,-113,-17,-2.5,D,87761409
2020.02.14_09.38.23,1,LTE,-113,-17,-2.5,D,87761409
";

#[test]
fn radios_measure_what_a_log_says() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.csv");
    fs::write(&log, LOG).unwrap();
    let demo = Demo::start_with(1, folder.path(), &["--trace", log.to_str().unwrap()]);
    for link in [0, 1] {
        let measured = until("a measured signal", Duration::from_secs(60), || {
            let router = json(&format!("{}/v1/routers", demo.url))["routers"][0].clone();
            let signal = router["links"][link]["signal"].clone();
            signal["rsrp_dbm"].is_number().then_some(signal)
        });
        assert_eq!(
            (measured["rsrp_dbm"].as_f64(), measured["rsrq_db"].as_f64()),
            (Some(-113.0), Some(-17.0))
        );
    }
}

#[test]
fn a_log_that_is_none_is_named_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.csv");
    let name = log.to_str().unwrap();
    let word = LOG.replace("23,1,LTE,-113", "23,1,LTE,strong");
    let short = LOG.replace("09.38.23,1,LTE", "09.38.23,LTE");
    for (content, place) in [
        ("", "line 1: no column \"Timestamp\""),
        ("date;signal\n1;2\n", "line 1: no column \"Timestamp\""),
        (&*word, "line 3, column 4 (RSRP): \"strong\" is not a power in dBm"),
        (&*short, "line 3: 7 fields, the first line names 8"),
    ] {
        fs::write(&log, content).unwrap();
        let data = folder.path().join("data");
        let mut demo = Command::new(cargo_bin("tandem"));
        demo.args(["demo", "--listen", "127.0.0.1:0", "--trace", name, "--data"]).arg(&data);
        let output = demo.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && said.contains(&format!("{name}: {place}")),
            "{content:?}: {said}"
        );
        assert!(!data.exists(), "nothing is begun");
    }
    fs::remove_file(&log).unwrap();
    let missing = Command::new(cargo_bin("tandem")).args(["demo", "--trace", name]).output().unwrap();
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(!missing.status.success() && said.contains(&format!("cannot read {name}")), "{said}");
}
