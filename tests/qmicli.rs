//! Real `qmicli` and real `qmi-proxy` of Debian's `libqmi-utils` work with the simulated modem, and read from it what it
//! holds.
#![cfg(feature = "central")]

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tandem::qmi::Service;
use tandem::sim::modem::{MANUFACTURER, MODEL, Modem, Outcome, REVISION, Registration, Settings};
use tandem::sim::port::SimModem;
use tandem::sim::radio::{Cell, Reading, Technology};
use tandem::sim::scenario::{Fault, Scenario};
use tandem::sim::trace::Trace;
use tokio::process::Command;

/// Longest run of one qmicli; its own deadline is 10 s.
const DEADLINE: Duration = Duration::from_secs(30);

/// A modem on ptys in a folder of its own.
struct Bench {
    sim: SimModem,
    folder: tempfile::TempDir,
}

/// What one qmicli said.
#[derive(Debug)]
struct Said {
    text: String,
    good: bool,
}

impl Bench {
    /// A modem that has been on long enough to be registered, if it can be. Its signal stands still.
    async fn new(scenario: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let reading = Reading {
            technology: Technology::Lte,
            rsrp_dbm: Some(-97),
            rsrq_db: Some(-11),
            snr_tenth_db: Some(128),
            rssi_dbm: Some(-67),
            cell: Cell::observed(0x0123_4501, 0x9CBA, Technology::Lte),
            active: true,
            ping_ms: None,
        };
        let trace = Trace::evenly(Duration::from_secs(60), [reading]);
        let settings = Settings { seed: 2, scenario: Scenario::parse(scenario).unwrap(), trace };
        let sim = SimModem::on_ptys(settings, &folder.path().join("qmi"), &folder.path().join("at")).unwrap();
        let bench = Self { sim, folder };
        let settled = |modem: &Modem| modem.registration() != Registration::Searching;
        bench.until(settled).await;
        bench
    }

    async fn until(&self, holds: impl Fn(&Modem) -> bool) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while !self.sim.inspect(&holds) {
            assert!(tokio::time::Instant::now() < deadline, "the modem does not get there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn device(&self) -> PathBuf {
        self.folder.path().join("qmi").canonicalize().unwrap()
    }

    /// Runs qmicli on the pty itself.
    async fn qmicli(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new("qmicli");
        command.arg("-d").arg(self.device()).args(["--device-open-qmi", "--verbose-full"]).args(arguments);
        Said::judged(&run(&mut command).await, arguments)
    }

    /// Runs one qmicli that must succeed.
    async fn good(&self, arguments: &[&str]) -> Said {
        let said = self.qmicli(arguments).await;
        assert!(said.good, "{arguments:?}: {}", said.text);
        said
    }

    /// Runs one qmicli that must fail with this QMI error.
    async fn refused(&self, arguments: &[&str], error: &str) -> Said {
        let said = self.qmicli(arguments).await;
        assert!(!said.good && said.text.contains(&format!("'{error}'")), "{arguments:?}: {}", said.text);
        said
    }

    /// Runs one qmicli for each action, all at once, through a real proxy that nobody else sees.
    async fn proxied(&self, actions: &[&str]) -> Vec<Said> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/proxied.sh");
        let out = tempfile::tempdir().unwrap();
        let mut command = Command::new("unshare");
        command.arg("-rn").arg(script).arg(proxy()).arg(self.device()).arg(out.path()).args(actions);
        let output = run(&mut command).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read = |number: usize, what: &str| {
            std::fs::read_to_string(out.path().join(format!("{number}.{what}"))).unwrap()
        };
        (1..)
            .zip(actions)
            .map(|(number, action)| {
                let good = read(number, "status").trim() == "0";
                Said::new(&read(number, "out"), &read(number, "err"), good, &[action])
            })
            .collect()
    }
}

async fn run(command: &mut Command) -> Output {
    let program = command.as_std().get_program().to_owned();
    let child = command.stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(DEADLINE, child).await.expect("it ends") {
        Ok(output) => output,
        Err(error) => panic!(
            "{program:?} cannot be run ({error}): these tests need Debian's packages libqmi-utils and util-linux"
        ),
    }
}

fn proxy() -> PathBuf {
    let paths = ["/usr/libexec/qmi-proxy", "/usr/lib/libqmi/qmi-proxy"].map(PathBuf::from);
    paths.into_iter().find(|path| path.exists()).expect("qmi-proxy of Debian's package libqmi-utils")
}

impl Said {
    fn judged(output: &Output, arguments: &[&str]) -> Self {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Self::new(&out, &err, output.status.success(), arguments)
    }

    /// Keeps what a person reads; an oddity that libqmi found in our frames fails the test.
    fn new(out: &str, err: &str, good: bool, arguments: &[&str]) -> Self {
        // A pty is no USB device: two warnings about that are no news.
        let usual = |line: &&str| !line.contains("transport type");
        for (stream, oddities) in [(err, ["unread", "mandatory"]), (out, ["would overflow", "ERROR:"])] {
            let odd =
                stream.lines().filter(usual).find(|line| oddities.iter().any(|oddity| line.contains(oddity)));
            assert_eq!(odd, None, "{arguments:?}: {out}\n{err}");
        }
        let is_log = |line: &str| {
            let stamp = line.strip_prefix('[').and_then(|line| line.chars().next());
            line.starts_with(['<', '>']) || stamp.is_some_and(|first| first.is_ascii_digit())
        };
        let lines = out.lines().chain(err.lines()).filter(|line| !is_log(line));
        let bare = |line: &str| {
            line.split_once("] ").filter(|_| line.starts_with('[')).map(|(_, rest)| rest.to_owned())
        };
        let text = lines.map(|line| bare(line).unwrap_or_else(|| line.trim().to_owned()) + "\n").collect();
        Self { text, good }
    }

    /// The value behind a label, without quotes; of several the first.
    fn field(&self, label: &str) -> &str {
        let value = self.text.lines().find_map(|line| line.strip_prefix(label)?.strip_prefix(':'));
        let value = value.unwrap_or_else(|| panic!("no {label:?} in {}", self.text));
        value.trim().trim_matches('\'')
    }

    fn contains(&self, text: &str) -> bool {
        self.text.contains(text)
    }
}

/// The handle and the client id that a start-network without release leaves behind.
async fn start(bench: &Bench, arguments: &str) -> (String, String) {
    let start = format!("--wds-start-network={arguments}");
    let said = bench.good(&[&start, "--client-no-release-cid"]).await;
    (said.field("Packet data handle").to_owned(), said.field("CID").to_owned())
}

#[tokio::test]
async fn the_device_says_what_it_is() {
    let bench = Bench::new("").await;
    assert_eq!(bench.good(&["--dms-get-manufacturer"]).await.field("Manufacturer"), MANUFACTURER);
    assert_eq!(bench.good(&["--dms-get-model"]).await.field("Model"), MODEL);
    assert_eq!(bench.good(&["--dms-get-revision"]).await.field("Revision"), REVISION);
    let identity = bench.sim.inspect(|modem| modem.identity().clone());
    assert_eq!(bench.good(&["--dms-get-ids"]).await.field("IMEI"), identity.imei);
    assert_eq!(bench.good(&["--dms-get-operating-mode"]).await.field("Mode"), "online");
    assert_eq!(bench.good(&["--dms-uim-get-iccid"]).await.field("ICCID"), identity.iccid);
    assert_eq!(bench.good(&["--dms-uim-get-imsi"]).await.field("IMSI"), identity.imsi);
    for action in ["--dms-get-capabilities", "--dms-get-power-state", "--dms-get-band-capabilities"] {
        bench.good(&[action]).await;
    }
    bench.good(&["--get-service-version-info"]).await;
    bench.refused(&["--dms-read-user-data"], "InvalidQmiCommand").await;
    assert_eq!(bench.sim.inspect(|modem| modem.clients().len()), 0, "every client id came back");
}

#[tokio::test]
async fn the_radio_says_what_the_trace_holds() {
    let bench = Bench::new("").await;
    let signal = bench.good(&["--nas-get-signal-info"]).await;
    let fields = ["RSSI", "RSRQ", "RSRP", "SNR"].map(|label| signal.field(label));
    assert_eq!(fields, ["-67 dBm", "-11 dB", "-97 dBm", "12.8 dB"]);
    let serving = bench.good(&["--nas-get-serving-system"]).await;
    let cell = bench.sim.inspect(|modem| modem.reading().cell);
    assert_eq!(serving.field("Registration state"), "registered");
    assert_eq!(serving.field("3GPP cell ID"), cell.id.to_string());
    assert_eq!(serving.field("LTE tracking area code"), cell.area.to_string());
    assert_eq!((serving.field("MCC"), serving.field("MNC")), ("310", "410"));
    assert_eq!(serving.field("Description"), "AT&T");
    assert_eq!(serving.field("Roaming status"), "off");
    let system = bench.good(&["--nas-get-system-info"]).await;
    assert_eq!(system.field("Tracking Area Code"), cell.area.to_string());
    assert!(system.contains("Status: 'available'"));
    let band = bench.good(&["--nas-get-rf-band-info"]).await;
    assert_eq!(band.field("Active Band Class"), format!("eutran-{}", cell.band));
    let location = bench.good(&["--nas-get-cell-location-info"]).await;
    assert_eq!(location.field("Global Cell ID"), cell.id.to_string());
    assert!(bench.good(&["--nas-get-signal-strength"]).await.contains("-67 dBm"));
    for action in ["--nas-get-home-network", "--nas-get-operator-name", "--nas-get-lte-cphy-ca-info"] {
        bench.good(&[action]).await;
    }
}

#[tokio::test]
async fn a_session_is_started_read_and_stopped() {
    let bench = Bench::new("").await;
    bench.refused(&["--wds-get-current-settings"], "OutOfCall").await;
    let (handle, cid) = start(&bench, "apn=broadband,ip-type=4").await;
    let session = bench.sim.inspect(|modem| modem.sessions()[0].clone());
    assert_eq!(
        (handle.as_str(), cid.as_str()),
        (&*session.handle.to_string(), &*session.client.unwrap().to_string())
    );
    assert_eq!(session.apn, "broadband");
    let client = format!("--client-cid={cid}");
    let adopted = [client.as_str(), "--client-no-release-cid"];
    let status = bench.good(&["--wds-get-packet-service-status", adopted[0], adopted[1]]).await;
    assert_eq!(status.field("Connection status"), "connected");
    let settings = bench.good(&["--wds-get-current-settings", adopted[0], adopted[1]]).await;
    assert_eq!(settings.field("IPv4 address"), session.settings.ipv4.to_string());
    assert_eq!(settings.field("IPv4 gateway address"), session.settings.gateway.to_string());
    assert_eq!(settings.field("MTU"), session.settings.mtu.to_string());
    assert_eq!(settings.field("IP Family"), "IPv4");
    let (low, _) = bench.sim.inspect(|modem| modem.sessions()[0].bytes(bench.sim.now()));
    let statistics = bench.good(&["--wds-get-packet-statistics", adopted[0], adopted[1]]).await;
    let (high, _) = bench.sim.inspect(|modem| modem.sessions()[0].bytes(bench.sim.now()));
    let sent: u64 = statistics.field("TX bytes OK").parse().unwrap();
    assert!((low..=high).contains(&sent), "{low} {sent} {high}");
    bench.good(&["--wds-get-current-data-bearer-technology", adopted[0], adopted[1]]).await;
    let second = bench.refused(&["--wds-start-network=apn=broadband,ip-type=4"], "NoEffect").await;
    assert!(!second.contains("call end reason"));
    bench.good(&[&format!("--wds-stop-network={handle}"), &client]).await;
    assert!(bench.sim.inspect(|modem| modem.sessions().is_empty() && modem.clients().is_empty()));
}

#[tokio::test]
async fn ipv6_has_its_own_session() {
    let bench = Bench::new("").await;
    let (_, cid) = start(&bench, "apn=broadband,ip-type=6").await;
    let address = bench.sim.inspect(|modem| modem.sessions()[0].settings.ipv6);
    bench.good(&["--wds-set-ip-family=6", &format!("--client-cid={cid}"), "--client-no-release-cid"]).await;
    let settings = bench.good(&["--wds-get-current-settings", &format!("--client-cid={cid}")]).await;
    assert_eq!(settings.field("IPv6 address"), format!("{address}/64"));
}

#[tokio::test]
async fn a_refusal_names_type_and_code() {
    let script = "[[step]]\nat-s = 0\nfault = { call-end = { type = 6, code = 33 } }\n";
    let bench = Bench::new(script).await;
    let said = bench.refused(&["--wds-start-network=apn=broadband"], "CallFailed").await;
    assert!(said.contains("verbose call end reason (6,33): [3gpp] option-unsubscribed"), "{}", said.text);
    assert_eq!(bench.good(&["--nas-get-serving-system"]).await.field("Registration state"), "registered");
    bench.sim.begin(&Fault::Throttled);
    let said = bench.refused(&["--wds-start-network=apn=broadband"], "CallFailed").await;
    assert!(said.contains("(2,209): [internal] pdn-ipv4-call-throttled"), "{}", said.text);
    let codes = bench.sim.inspect(|modem| {
        let outcomes = modem.attempts().map(|attempt| attempt.outcome.unwrap());
        outcomes
            .map(|outcome| matches!(outcome, Outcome::Failed(reason) if reason.reason > 0))
            .collect::<Vec<_>>()
    });
    assert_eq!(codes, [true, true]);
}

#[tokio::test]
async fn a_denied_registration_shows_its_cause() {
    let bench = Bench::new("").await;
    bench.sim.begin(&Fault::RegistrationReject { cause: 11 });
    bench.until(|modem| modem.registration() == Registration::Denied(11)).await;
    let serving = bench.good(&["--nas-get-serving-system"]).await;
    assert_eq!(serving.field("Registration state"), "registration-denied");
    let system = bench.good(&["--nas-get-system-info"]).await;
    assert!(system.contains("plmn-not-allowed") || system.contains("Registration cause"), "{}", system.text);
    bench.sim.end(&Fault::RegistrationReject { cause: 11 });
    bench.until(|modem| modem.registration() == Registration::Registered).await;
    bench.sim.begin(&Fault::NoService);
    let serving = bench.good(&["--nas-get-serving-system"]).await;
    assert_eq!(serving.field("Registration state"), "not-registered-searching");
    let said = bench.refused(&["--wds-start-network=apn=broadband"], "CallFailed").await;
    assert!(said.contains("(3,2001): [cm] no-service"), "{}", said.text);
}

#[tokio::test]
async fn a_card_is_shown_as_it_is() {
    let bench = Bench::new("[modem]\npin = \"4711\"\n").await;
    let card = bench.good(&["--uim-get-card-status"]).await;
    assert_eq!(card.field("Application state"), "pin1-or-upin-pin-required");
    assert_eq!(card.field("PIN1 state"), "enabled-not-verified");
    assert_eq!(bench.good(&["--nas-get-serving-system"]).await.field("Registration state"), "not-registered");
    bench.refused(&["--uim-verify-pin=PIN1,0000"], "IncorrectPin").await;
    assert_eq!(bench.good(&["--uim-get-card-status"]).await.field("PIN1 retries"), "2");
    bench.good(&["--uim-verify-pin=PIN1,4711"]).await;
    bench.until(|modem| modem.registration() == Registration::Registered).await;
    let card = bench.good(&["--uim-get-card-status"]).await;
    assert_eq!((card.field("Application state"), card.field("PIN1 state")), ("ready", "enabled-verified"));
    let slots = bench.good(&["--uim-get-slot-status"]).await;
    assert_eq!(slots.field("ICCID"), bench.sim.inspect(|modem| modem.identity().iccid.clone()));
    bench.good(&["--uim-read-transparent=0x3F00,0x2FE2"]).await;
    bench.sim.begin(&Fault::SimAbsent);
    let card = bench.good(&["--uim-get-card-status"]).await;
    assert_eq!(card.field("Card state"), "absent");
    bench.refused(&["--dms-uim-get-iccid"], "NoSim").await;
    let said = bench.refused(&["--wds-start-network=apn=broadband"], "CallFailed").await;
    assert!(said.contains("(3,518): [cm] uim-not-present"), "{}", said.text);
}

#[tokio::test]
async fn images_are_listed_preferred_and_run_after_a_reset() {
    let bench = Bench::new("[modem]\nrestart-ms = 50\n").await;
    let images = bench.good(&["--dms-list-stored-images"]).await;
    assert_eq!(images.text.matches("[CURRENT]").count(), 2);
    assert!(images.contains("'02.33.03.00_ATT'") && images.contains("'02.33.03.00_VERIZON'"));
    let choice = "--dms-set-firmware-preference=firmware-version=02.33.03.00,config-version=002.061_000,carrier=VERIZON";
    bench.good(&[choice]).await;
    assert!(bench.good(&["--dms-get-firmware-preference"]).await.contains("'02.33.03.00_VERIZON'"));
    bench.good(&["--dms-set-operating-mode=offline"]).await;
    bench.good(&["--dms-set-operating-mode=reset"]).await;
    bench.sim.device().wait_for(|device| *device == Some(3)).await.unwrap();
    assert_eq!(bench.sim.inspect(|modem| modem.firmware().carrier().to_owned()), "VERIZON");
    assert_eq!(bench.good(&["--dms-get-model"]).await.field("Model"), MODEL);
}

#[tokio::test]
async fn profiles_and_the_data_format_are_kept() {
    let bench = Bench::new("").await;
    bench.good(&["--wds-modify-profile=3gpp,1,apn=broadband,pdp-type=IPV4V6"]).await;
    assert_eq!(bench.good(&["--wds-get-profile-list=3gpp"]).await.field("APN"), "broadband");
    bench.good(&["--wds-create-profile=3gpp,apn=second"]).await;
    assert!(bench.good(&["--wds-get-profile-list=3gpp"]).await.contains("'second'"));
    bench.good(&["--wds-set-autoconnect-settings=disabled"]).await;
    assert_eq!(bench.good(&["--wds-get-autoconnect-settings"]).await.field("Status"), "disabled");
    assert_eq!(bench.good(&["--wda-get-data-format"]).await.field("Link layer protocol"), "802-3");
    bench.good(&["--wda-set-data-format=link-layer-protocol=raw-ip"]).await;
    assert!(bench.sim.inspect(Modem::is_raw_ip));
    bench.good(&["--wds-start-network=3gpp-profile=1"]).await;
    assert_eq!(bench.sim.inspect(|modem| modem.attempts().last().unwrap().apn.clone()), "broadband");
    for action in ["--wds-get-lte-attach-parameters", "--wds-get-lte-attach-pdn-list"] {
        bench.good(&[action]).await;
    }
}

#[tokio::test]
async fn client_ids_leak_run_out_and_can_be_adopted() {
    let bench = Bench::new("").await;
    for number in 1..=10 {
        let said = bench.good(&["--nas-get-signal-info", "--client-no-release-cid"]).await;
        assert_eq!(said.field("CID"), number.to_string());
    }
    assert_eq!(bench.sim.inspect(|modem| modem.clients().of(Service::Nas).len()), 10);
    let said = bench.qmicli(&["--nas-get-signal-info"]).await;
    assert!(!said.good && said.contains("ClientIdsExhausted"), "{}", said.text);
    bench.good(&["--nas-get-signal-info", "--client-cid=3"]).await;
    bench.good(&["--nas-get-signal-info"]).await;
    assert_eq!(bench.sim.inspect(|modem| modem.clients().of(Service::Nas).len()), 9);
}

#[tokio::test]
async fn the_proxy_serves_four_clients_at_once() {
    let bench = Bench::new("").await;
    let actions = [
        "--dms-get-model",
        "--nas-get-serving-system",
        "--uim-get-card-status",
        "--wds-start-network=apn=broadband,ip-type=4",
    ];
    let said = bench.proxied(&actions).await;
    assert!(said.iter().all(|said| said.good), "{said:?}");
    assert_eq!(said[0].field("Model"), MODEL);
    assert_eq!(said[1].field("Registration state"), "registered");
    assert_eq!(said[2].field("Card state"), "present");
    assert!(said[3].contains("Network started"));
    assert_eq!(bench.sim.inspect(Modem::attempt_count), 1);
    assert!(bench.sim.inspect(|modem| modem.clients().is_empty()));
}

#[tokio::test]
async fn the_proxy_hands_on_refusals() {
    let script = "[[step]]\nat-s = 0\nfault = { call-end = { type = 6, code = 33 } }\n";
    let bench = Bench::new(script).await;
    bench.sim.begin(&Fault::AtChatter);
    let actions = ["--wds-start-network=apn=broadband", "--wds-get-packet-service-status", "--dms-get-ids"];
    let said = bench.proxied(&actions).await;
    assert!(!said[0].good && said[0].contains("(6,33): [3gpp] option-unsubscribed"), "{said:?}");
    assert!(said[1].good && said[2].good, "{said:?}");
}

#[tokio::test]
async fn the_program_links_its_ports_and_takes_the_links_away() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tandem = || {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("tandem"));
        command.args(["sim", "modem", "--control"]).arg(path("qmi")).arg("--at").arg(path("at"));
        command
    };
    std::fs::write(path("bad.toml"), "[modem]\npin = 12\n").unwrap();
    let output = run(tandem().arg("--scenario").arg(path("bad.toml"))).await;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("bad.toml: line 2, column 7"), "{text}");
    std::fs::write(path("bad.csv"), "Timestamp,NetworkMode,RSRP\n2020.02.14_09.38.22,LTE,loud\n").unwrap();
    let output = run(tandem().arg("--trace").arg(path("bad.csv"))).await;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("bad.csv: line 2, column 3 (RSRP)"), "{text}");

    let mut command = Command::new(assert_cmd::cargo::cargo_bin("tandem"));
    command.args(["sim", "modem", "--control"]).arg(path("qmi")).arg("--at").arg(path("qmi"));
    let output = run(&mut command).await;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("each port needs a path of its own"), "{text}");

    std::fs::write(path("good.csv"), "Timestamp,NetworkMode,RSRP\n2020.02.14_09.38.22,LTE,-101\n").unwrap();
    for stop in [nix::sys::signal::SIGINT, nix::sys::signal::SIGTERM] {
        let mut command = tandem();
        let mut child = command
            .arg("--trace")
            .arg(path("good.csv"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..2 {
            tokio::time::timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap().unwrap();
        }
        let mut command = Command::new("qmicli");
        command
            .arg("-d")
            .arg(path("qmi").canonicalize().unwrap())
            .args(["--device-open-qmi", "--nas-get-signal-info"]);
        let said = Said::judged(&run(&mut command).await, &["--nas-get-signal-info"]);
        assert_eq!(said.field("RSRP"), "-101 dBm");
        let id = nix::unistd::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
        nix::sys::signal::kill(id, stop).unwrap();
        assert!(tokio::time::timeout(DEADLINE, child.wait()).await.unwrap().unwrap().success());
        assert!(!path("qmi").is_symlink() && !path("at").is_symlink());
    }
}
