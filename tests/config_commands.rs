//! `tandem config` as an operator types it.
#![cfg(feature = "agent")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

const OLD: &str = r#"
[router]
name = "branch-0042"

[[device-interface]]
name = "lte-dev-1"
type = "lte"
target-interface = "wwp0s21u1i8"
lte = { apn-name = "broadband" }
network-interface = [{ name = "lte-intf-1", default-route = true, management-vector = { name = "v", priority = 300 } }]
"#;

struct Router {
    folder: tempfile::TempDir,
}

impl Router {
    fn new() -> Self {
        let router = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(router.file(), OLD).unwrap();
        router
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("agent.toml")
    }

    fn candidate(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("candidate.toml");
        fs::write(&path, text).unwrap();
        path
    }

    fn config(&self, verb: &str) -> Command {
        let mut command = Command::cargo_bin("tandem").unwrap();
        command.env("TANDEM_SOCKET", self.folder.path().join("no-agent.sock")).args(["config", verb]);
        command
    }

    fn commit(&self, text: &str) -> Command {
        let candidate = self.candidate(text);
        let mut command = self.config("commit");
        command.arg(candidate).arg("--to").arg(self.file());
        command
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn is_as_it_was(&self) {
        assert_eq!(self.text(), OLD);
        assert_eq!(self.names(), ["agent.toml", "candidate.toml"]);
    }
}

fn new() -> String {
    OLD.replace("broadband", "internet").replace(
        "default-route = true, management-vector = { name = \"v\", priority = 300 }",
        "dhcp = \"v4\"",
    )
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn check_says_nothing_is_wrong_or_what_is() {
    let router = Router::new();
    let good = router.config("check").arg(router.file()).output().unwrap();
    assert!(good.status.success());
    assert!(out(&good).ends_with("agent.toml: no errors\n"), "{}", out(&good));

    let warned = router.config("check").arg(router.candidate(&new())).output().unwrap();
    assert!(warned.status.success());
    let text = out(&warned);
    assert!(text.starts_with("1. ") && text.contains("metric 128"), "{text}");
    assert!(text.contains(
        "\n   router branch-0042\n   device-interface lte-dev-1\n   network-interface lte-intf-1\n"
    ));

    let bad =
        router.config("check").arg(router.candidate(&OLD.replace("apn-name", "apn-nmae"))).output().unwrap();
    assert_eq!(bad.status.code(), Some(1));
    assert!(err(&bad).contains("candidate.toml:9:9") && err(&bad).contains("^^^^^^^^"), "{}", err(&bad));

    let piped = router.config("check").arg("-").write_stdin(OLD).output().unwrap();
    assert!(piped.status.success());
    let missing = router.config("check").arg("/nowhere/agent.toml").output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(err(&missing).contains("/nowhere/agent.toml"), "{}", err(&missing));
}

#[test]
fn show_says_what_goes_without_saying_and_no_secret() {
    let router = Router::new();
    let secret = OLD.replace("\"broadband\"", "\"broadband\", pin = \"4711\"");
    let output = router.config("show").arg(router.candidate(&secret)).output().unwrap();
    let text = out(&output);
    assert!(
        output.status.success() && text.contains("pin = \"********\"") && !text.contains("4711"),
        "{text}"
    );
    let policy = text.lines().find(|line| line.starts_with("policy")).unwrap();
    assert!(policy.ends_with("# default"), "{policy}");
}

#[test]
fn a_commit_names_what_waits_for_the_next_start() {
    let router = Router::new();
    let output =
        router.commit(&format!("{OLD}\n[spool]\nmax-size = \"2MiB\"\n")).arg("--yes").output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    assert!(
        out(&output).contains("untouched: lte-dev-1\nat the next start of the agent: [spool]\n"),
        "{}",
        out(&output)
    );
    let output = router.commit(OLD).arg("--yes").output().unwrap();
    assert!(out(&output).contains("at the next start of the agent: [spool]\n"), "{}", out(&output));
}

#[test]
fn a_commit_that_renames_the_router_warns_that_this_waits_for_the_next_start() {
    let router = Router::new();
    let renamed = new().replace("branch-0042", "branch-0043");
    let output = router.commit(&renamed).arg("--yes").output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    let text = out(&output);
    let first = "1. the name of the router changes at the next start of the agent: until then its events go on under \
                 `branch-0042`\n   router branch-0043\n2. ";
    assert!(text.starts_with(first), "{text}");
    let output = router.commit(&renamed.replace("internet", "third")).arg("--yes").output().unwrap();
    assert!(!out(&output).contains("the name of the router"), "{}", out(&output));
}

#[test]
fn commit_warns_asks_and_replaces() {
    let router = Router::new();
    let output = router.commit(&new()).write_stdin("y\n").output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    let text = out(&output);
    let parts = [
        "1. ",
        "network-interface lte-intf-1",
        "dialled again: lte-dev-1",
        "Are you sure you want to commit the candidate config? [y/N]: ",
        "⚠ Validating, then committing...",
        "Configuration committed",
        "No agent runs",
    ];
    let mut rest = &*text;
    for part in parts {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("no `{part}` in order in\n{text}")).1;
    }
    assert_eq!(router.text(), new());
    assert_eq!(fs::read_to_string(router.folder.path().join("agent.toml.previous")).unwrap(), OLD);
}

#[test]
fn anything_but_yes_leaves_the_file_alone() {
    let router = Router::new();
    for answer in ["n\n", "\n", "", "maybe\n", "N\n"] {
        let output = router.commit(&new()).write_stdin(answer).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{answer:?}");
        assert!(out(&output).contains("Nothing is committed"), "{answer:?}");
        router.is_as_it_was();
    }
}

#[test]
fn errors_leave_the_file_alone_without_asking() {
    let router = Router::new();
    let output = router.commit(&OLD.replace("type", "typ")).write_stdin("y\n").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("unknown field `typ`"), "{}", err(&output));
    assert!(!out(&output).contains("Are you sure"));
    router.is_as_it_was();
}

/// A limit on the size of files fails where a full disk would: in the middle of a write.
#[test]
fn a_full_disk_leaves_the_file_alone() {
    let router = Router::new();
    let big = format!("{}\n# {}", new(), "x".repeat(8000));
    let candidate = router.candidate(&big);
    let script = format!(
        "trap '' XFSZ; ulimit -f 4; exec '{}' config commit '{}' --to '{}' --yes --confirmed 10m",
        assert_cmd::cargo::cargo_bin!("tandem").display(),
        candidate.display(),
        router.file().display()
    );
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = err(&output);
    assert!(text.contains("nothing is committed") && text.contains("agent.toml.new.tmp"), "{text}");
    router.is_as_it_was();
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let router = Router::new();
    let candidate = router.candidate(&new());
    let commit = |to: &Path| {
        router.config("commit").arg(&candidate).arg("--to").arg(to).arg("--yes").output().unwrap()
    };
    let missing = commit(&router.folder.path().join("missing/agent.toml"));
    assert_eq!(missing.status.code(), Some(1));
    assert!(err(&missing).contains("missing") && err(&missing).contains("No such file"), "{}", err(&missing));
    // Nobody, root included, makes files in /proc.
    let forbidden = commit(Path::new("/proc/agent.toml"));
    assert_eq!(forbidden.status.code(), Some(1));
    assert!(err(&forbidden).contains("/proc/agent.toml"), "{}", err(&forbidden));
    router.is_as_it_was();
}

#[test]
fn a_confirmed_commit_stays_and_an_unconfirmed_one_goes_back() {
    let router = Router::new();
    let commit = |text: &str| {
        let output = router.commit(text).args(["--yes", "--confirmed", "10m"]).output().unwrap();
        assert!(output.status.success(), "{}", err(&output));
        assert!(out(&output).contains("goes back in 10m unless"), "{}", out(&output));
    };
    let confirm = || router.config("confirm").arg("--to").arg(router.file()).output().unwrap();

    commit(&new());
    let pending = router.folder.path().join("agent.toml.pending");
    assert!(pending.exists());
    let output = confirm();
    assert!(output.status.success() && out(&output).contains("Configuration confirmed"), "{}", err(&output));
    assert!(!pending.exists());
    assert_eq!(confirm().status.code(), Some(1));

    commit(&OLD.replace("broadband", "third"));
    // A record of another boot: the router was restarted before anybody confirmed.
    let record = fs::read_to_string(&pending).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&record).unwrap();
    record["boot-id"] = "another".into();
    fs::write(&pending, record.to_string()).unwrap();
    let late = confirm();
    assert_eq!(late.status.code(), Some(1));
    assert!(err(&late).contains("not-confirmed"), "{}", err(&late));
    assert_eq!(router.text(), new());
    assert!(!pending.exists());

    for wrong in ["10", "1s", "2d", ""] {
        let output = router.commit(OLD).args(["--yes", "--confirmed", wrong]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn what_is_in_force_can_be_committed_again_but_not_for_a_while() {
    let router = Router::new();
    assert!(router.commit(OLD).arg("--yes").output().unwrap().status.success());
    router.is_as_it_was();
    let output = router.commit(OLD).args(["--yes", "--confirmed", "10m"]).output().unwrap();
    assert!(err(&output).contains("nothing to return to"), "{}", err(&output));
    router.is_as_it_was();
}

#[test]
fn passwords_stay_private() {
    let router = Router::new();
    fs::set_permissions(router.file(), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(router.commit(&new()).args(["--yes", "--confirmed", "10m"]).output().unwrap().status.success());
    for name in ["agent.toml", "agent.toml.previous", "agent.toml.pending"] {
        let mode = fs::metadata(router.folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn imported_text_can_be_checked_at_once() {
    let router = Router::new();
    let text = "device-interface a\ntype lte\ntarget-interface wwan0\napn-name x\nsnow white\nnetwork-interface n\ndhcp v4\n";
    let output =
        router.config("import").args(["-", "--router", "kiosk-7"]).write_stdin(text).output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    assert!(
        out(&output).contains("name = \"kiosk-7\"") && out(&output).contains("# line 5: "),
        "{}",
        out(&output)
    );
    assert!(err(&output).contains("warning: line 5: no counterpart: snow white"), "{}", err(&output));
    let checked = router.config("check").arg("-").write_stdin(out(&output)).output().unwrap();
    assert!(checked.status.success(), "{}", err(&checked));

    let broken = router.config("import").arg("-").write_stdin("network-interface n\n").output().unwrap();
    assert_eq!(broken.status.code(), Some(1));
    assert!(err(&broken).contains("-:1:1") && out(&broken).is_empty(), "{}", err(&broken));
    // Readable, but not enough for a router: printed for the hand to finish, and said.
    let unfinished = router
        .config("import")
        .arg("-")
        .write_stdin("device-interface a\ntype lte\ntarget-interface w\n")
        .output()
        .unwrap();
    assert_eq!(unfinished.status.code(), Some(1));
    assert!(out(&unfinished).contains("[[device-interface]]") && err(&unfinished).contains("needs lte"));
}
