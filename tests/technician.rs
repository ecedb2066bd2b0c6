//! What a field technician types, against simulated modems and folders shaped like a router's `/sys`.
#![cfg(all(feature = "agent", feature = "central"))]

#[path = "support/rate.rs"]
mod rate;
#[path = "support/tree.rs"]
mod tree;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rate::rate_of;
use serde_json::Value;
use tree::{Function, Tree};

const BINARY: &str = env!("CARGO_BIN_EXE_tandem");

fn tandem(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `tandem sim modem`, until dropped.
struct Sim {
    process: Child,
    folder: tempfile::TempDir,
}

impl Sim {
    fn start(scenario: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scenario.toml");
        std::fs::write(&file, scenario).unwrap();
        let [control, at] = ["control", "at"].map(|name| folder.path().join(name));
        let process = Command::new(BINARY)
            .args(["sim", "modem", "--seed", "3"])
            .args(["--control".as_ref(), control.as_os_str(), "--at".as_ref(), at.as_os_str()])
            .args(["--scenario".as_ref(), file.as_os_str()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while !(control.exists() && at.exists()) {
            assert!(Instant::now() < end, "the simulator does not come up");
            std::thread::yield_now();
        }
        Self { process, folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn at(&self) -> String {
        self.path("at")
    }

    fn ask(&self, command: &str) -> Value {
        json(&tandem(&[command, "wwan0", "--control", &self.path("control"), "--at", &self.at()]))
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn discover_answers_what_to_write_in_target_interface() {
    let tree = Tree::dual_lte();
    tree.device("1-2", 9, 0x1199, 0x9070, &[(0, Function::Serial { driver: "qcserial", tty: "ttyUSB0" })]);
    let sysfs = tree.root().to_str().unwrap();
    let output = tandem(&["discover", "--sysfs", sysfs]);
    let shown = text(&output.stdout);
    let lines: Vec<Vec<_>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 4, "{shown}");
    assert_eq!(
        lines[1],
        [
            "001",
            "003",
            "1-1",
            "1199:9071",
            "ready",
            "qmi_wwan",
            "wwp0s21u1i8",
            "/dev/cdc-wdm0",
            "/dev/ttyUSB5"
        ]
    );
    assert_eq!(lines[2], ["001", "009", "1-2", "1199:9070", "boot-hold", "qcserial", "-", "-", "-"]);
    assert_eq!(lines[3][6..], ["wwp0s21u4i8", "/dev/cdc-wdm1", "/dev/ttyUSB8"]);
    let all = json(&tandem(&["discover", "--json", "--sysfs", sysfs]));
    assert_eq!(all["slots"][1]["netdev"], "wwp0s21u4i8");
    assert_eq!(all["modems"][1]["mode"], "boot-hold");

    std::fs::write(tree.device_folder("1-1").join("devnum"), "seven").unwrap();
    let output = tandem(&["discover", "--sysfs", sysfs]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("1-1/devnum holds \"seven\""), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("wwp0s21u4i8"));
}

#[test]
fn an_unknown_interface_is_told_with_those_there_are() {
    let tree = Tree::dual_lte();
    let output = tandem(&["lte-state", "wwan7", "--sysfs", tree.root().to_str().unwrap()]);
    assert!(!output.status.success());
    let error = text(&output.stderr);
    assert!(error.contains("no LTE interface wwan7, there are: wwp0s21u1i8, wwp0s21u4i8"), "{error}");
}

#[test]
fn state_and_info_tell_one_modem_in_json() {
    let sim = Sim::start("[modem]\nimei = \"356938035643809\"\nregister-ms = 1\n");
    let state = sim.ask("lte-state");
    assert_eq!(state["interface"], "wwan0");
    assert_eq!(state["connection_status"], "disconnected");
    assert_eq!(state["operating_mode"], "online");
    assert_eq!(state["sim"]["card"], "ready");
    assert_eq!(state["registration"]["state"], "registered");
    assert!(state["signal"]["rsrp_dbm"].as_i64().unwrap() < -20);
    assert_eq!(state.get("errors"), None, "{state}");
    let info = sim.ask("lte-info");
    assert_eq!((&info["imei"], &info["model"]), (&"356938035643809".into(), &"MC7455".into()));
    assert!(!info["lte_bands"].as_array().unwrap().is_empty());
    assert!(info["images"]["stored"].as_array().unwrap().len() > 2);
    assert_eq!(info.get("errors"), None, "{info}");
}

#[test]
fn commands_go_by_their_own_names_too() {
    let sim = Sim::start("");
    let link = PathBuf::from(sim.path("serial-command"));
    std::os::unix::fs::symlink(BINARY, &link).unwrap();
    let output = Command::new(&link).args(["port", &sim.at(), "ATQ0"]).output().unwrap();
    assert_eq!(
        (text(&output.stdout), output.status.success()),
        ("OK\n".into(), true),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn one_at_command_is_answered_and_everything_else_is_refused_by_name() {
    let sim = Sim::start("");
    let run = |arguments: &[&str]| tandem(&[&["serial-command", "port"], arguments].concat());
    let output = run(&[&sim.at(), "ATI"]);
    assert!(text(&output.stdout).contains("MC7455") && text(&output.stdout).ends_with("OK\n"));
    let output = run(&[&sim.at(), "AT!NOSUCH"]);
    assert_eq!((text(&output.stdout), output.status.success()), ("ERROR\n".into(), false));
    let answer: Value = serde_json::from_slice(&run(&[&sim.at(), "AT+CSQ", "--json"]).stdout).unwrap();
    assert_eq!(answer["result"], "OK");
    for (arguments, message) in [
        ([sim.at().as_str(), "CSQ"], "an AT command begins with \"AT\""),
        ([sim.at().as_str(), "AT\rATZ"], "position 2"),
        (["/dev/ttyUSB99", "ATI"], "/dev/ttyUSB99"),
        (["/dev/null", "ATI"], "/dev/null"),
    ] {
        let output = run(&arguments);
        assert!(!output.status.success());
        assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
    }
}

#[test]
fn a_serial_port_runs_at_the_rate_of_the_configuration_unless_another_is_named() {
    let sim = Sim::start("");
    let config = sim.path("agent.toml");
    std::fs::write(&config, "[router]\nname = \"r\"\n[serial]\nbaud-rate = 9600\n").unwrap();
    for (arguments, wanted) in [
        (&["--config", &config][..], 9_600),
        (&["--config", &config, "--baud-rate", "57600"], 57_600),
        (&["--config", "/nowhere"], 115_200),
    ] {
        let output = tandem(&[&["serial-command", "port", &sim.at(), "ATI"], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(rate_of(Path::new(&sim.at())), wanted, "{arguments:?}");
    }
}

fn images(sim: &Sim, arguments: &[&str]) -> Output {
    let control = sim.path("control");
    let start = ["lte-image-preference", "--interface=wwan0", "--control", &control];
    tandem(&[&start, arguments].concat())
}

#[test]
fn a_change_of_image_restarts_the_modem_and_is_compared() {
    let sim = Sim::start("[modem]\nrestart-ms = 200\nregister-ms = 1\n");
    let before = json(&images(&sim, &["get", "--json"]));
    let carrier = |images: &Value| images["preferred"]["carrier"].as_str().unwrap().to_owned();
    let other = if carrier(&before).ends_with("_ATT") { "VERIZON" } else { "ATT" };
    let output = images(&sim, &["set", other, "--force"]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).starts_with("changed from "), "{}", text(&output.stdout));
    let after = json(&images(&sim, &["get", "--json"]));
    assert!(carrier(&after).ends_with(&format!("_{other}")));
    let running = |images: &Value| {
        let stored = images["stored"].as_array().unwrap();
        stored.iter().filter(|image| image["running"] == true && image["preferred"] == true).count()
    };
    assert_eq!(running(&after), 2);
    let output = images(&sim, &["set", other, "--force"]);
    assert!(text(&output.stdout).contains("runs already"));
    let output = images(&sim, &["set", "TELEKOM", "--force"]);
    assert!(!output.status.success());
    assert!(
        text(&output.stderr).contains("no image of TELEKOM is stored, there are: ATT"),
        "{}",
        text(&output.stderr)
    );
    assert!(text(&images(&sim, &["get"]).stdout).contains("(running, preferred)"));
    assert!(!Path::new("/run/tandem/control.ids").exists());
}
