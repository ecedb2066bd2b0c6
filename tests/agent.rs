//! The agent as a whole: the real program, two simulated modems in a folder shaped like `/sys`, and the commands of a
//! technician. The modems live in the test, so they outlast an agent that is killed.
#![cfg(all(feature = "agent", feature = "central"))]

#[path = "support/namespace.rs"]
mod namespace;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tandem::sim::modem::{Registration, Settings};
use tandem::sim::port::{Publish, SimModem};
use tandem::sim::scenario::{Fault, ModemSpec, Scenario};
use tandem::sim::sysfs::{Place, Tree};

const BINARY: &str = env!("CARGO_BIN_EXE_tandem");
/// Longest wait for anything; a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(90);
/// The way up where nothing is wrong.
const UP: [&str; 5] = ["opening", "sim", "registering", "connecting", "connected"];
const UNSUBSCRIBED: Fault = Fault::CallEnd { r#type: 6, code: 33, family: None };

/// A router with two modems; the agent may come and go.
struct Router {
    folder: tempfile::TempDir,
    modems: [SimModem; 2],
    agent: RefCell<Option<Child>>,
    _runtime: tokio::runtime::Runtime,
}

impl Router {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let tree = Tree::create(&folder.path().join("machine")).unwrap();
        let modems = [0, 1].map(|index| {
            let modem = ModemSpec { register_ms: Some(20), connect_ms: Some(20), ..ModemSpec::default() };
            let scenario = Scenario { modem, steps: Vec::new() };
            let settings = Settings { seed: 40 + u64::from(index), scenario, trace: None };
            let publish = Publish::Tree { tree: tree.clone(), place: Place::of(index) };
            let _inside = runtime.enter();
            SimModem::spawn(settings, publish).unwrap()
        });
        let router = Self { folder, modems, agent: RefCell::default(), _runtime: runtime };
        fs::write(router.path("agent.toml"), router.config(["broadband", "broadband"], "")).unwrap();
        router
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, apns: [&str; 2], more: &str) -> String {
        let [socket, state, spool] = ["agent.sock", "state", "spool"].map(|name| self.path(name));
        let mut text = format!(
            "[router]\nname = \"branch-0042\"\n\n[agent]\nsocket = {socket:?}\nstate-dir = {state:?}\nqmi-proxy = false\n\n\
             [spool]\ndir = {spool:?}\n\n[sample]\nsignal-interval = \"500ms\"\ntraffic-interval = \"1s\"\n\n\
             [probe]\ntargets = []\n\n[retry]\npassing = [\"1s\"]\ncontrol-channel = [\"1s\"]\n\
             subscription = [\"1s\", \"1h\"]\n{more}\n"
        );
        for (index, apn) in apns.iter().enumerate() {
            let place = Place::of(u8::try_from(index).unwrap());
            text += &format!(
                "\n[[device-interface]]\nname = \"lte-dev-{n}\"\ntype = \"lte\"\ntarget-interface = \"{netdev}\"\n\
                 lte = {{ apn-name = \"{apn}\" }}\nnetwork-interface = [{{ name = \"lte-intf-{n}\", dhcp = \"v4\", default-route = true, \
                 management-vector = {{ name = \"v{n}\", priority = {n}00 }} }}]\n",
                n = index + 1,
                netdev = place.netdev(),
            );
        }
        text
    }

    /// Commits `config`; says what the command says.
    fn commit(&self, config: &str) -> String {
        let (candidate, to) = (self.path("candidate.toml"), self.path("agent.toml"));
        fs::write(&candidate, config).unwrap();
        let [candidate, to] = [&candidate, &to].map(|path| path.display().to_string());
        let output = self.tandem(&["config", "commit", &candidate, "--to", &to, "--yes"]);
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout) + &text(&output.stderr)
    }

    fn agent(&self, config: &str) -> Command {
        let machine = self.path("machine");
        let mut command = Command::new(BINARY);
        command.args(["agent", "--no-network", "--config"]).arg(self.path(config));
        command.arg("--sysfs").arg(machine.join("sys")).arg("--dev").arg(machine.join("dev"));
        command.env("TANDEM_LOG", "warn");
        command
    }

    fn start(&mut self) {
        *self.agent.get_mut() = Some(self.agent("agent.toml").stdout(Stdio::null()).spawn().unwrap());
    }

    /// SIGKILL: nothing is put in order.
    fn kill(&mut self) {
        let mut agent = self.agent.get_mut().take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// SIGTERM, and the end it brings.
    fn stop(&mut self) {
        let mut agent = self.agent.get_mut().take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(agent.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(agent.wait().unwrap().success());
    }

    fn tandem(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(arguments).env("TANDEM_SOCKET", self.path("agent.sock"));
        command.output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.tandem(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The same for when no agent runs: the configuration and the machine to answer from are named.
    fn alone(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(arguments).env("TANDEM_SOCKET", self.path("agent.sock"));
        for (option, name) in
            [("--config", "agent.toml"), ("--sysfs", "machine/sys"), ("--dev", "machine/dev")]
        {
            command.arg(option).arg(self.path(name));
        }
        command.output().unwrap()
    }

    /// The status of a link (from 1), once the agent answers.
    fn link(&self, number: usize) -> Option<Value> {
        let name = format!("lte-dev-{number}");
        let output = self.tandem(&["show", "device-interface", &name, "--json"]);
        let links: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(links[0].clone())
    }

    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so(self) {
            let mut agent = self.agent.borrow_mut();
            let ended = agent.as_mut().and_then(|agent| agent.try_wait().unwrap());
            assert!(ended.is_none(), "the agent has ended: {ended:?}");
            let states = [1, 2].map(|number| self.link(number).map(|link| link["state"].clone()));
            assert!(Instant::now() < end, "{what} does not happen; the links are {states:?}");
        }
    }

    fn is(&self, number: usize, state: &str) -> bool {
        self.link(number).is_some_and(|link| link["state"] == state)
    }

    fn until_connected(&self) {
        self.until("both links up", |router| router.is(1, "connected") && router.is(2, "connected"));
    }

    /// Events oldest first, as the spool has them.
    fn events(&self) -> Vec<Value> {
        let events = self.json(&["show", "events", "--limit", "5000", "--json"]);
        let mut events = events.as_array().unwrap().clone();
        events.sort_by(|a, b| a["sequence"].as_str().cmp(&b["sequence"].as_str()));
        events
    }

    /// Data of the events of a kind, about a link (from 1) or about the agent (0).
    fn told(&self, kind: &str, number: usize) -> Vec<Value> {
        let subject = (number > 0).then(|| format!("lte-dev-{number}"));
        let kind = format!("io.tandem.{kind}.v1");
        let events = self.events();
        let about = |event: &&Value| event["type"] == kind && event["subject"].as_str() == subject.as_deref();
        events.iter().filter(about).map(|event| event["data"].clone()).collect()
    }

    /// The states that a link (from 1) went through.
    fn steps(&self, number: usize) -> Vec<String> {
        let changes = self.told("link.changed", number);
        changes.iter().map(|data| data["to"].as_str().unwrap().to_owned()).collect()
    }

    fn dials(&self, index: usize) -> u64 {
        self.modems[index].inspect(|modem| modem.attempt_count())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.get_mut().take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn two_links_come_up_and_tell_each_step_in_order() {
    let mut router = Router::new();
    router.start();
    router.until_connected();
    for number in [1, 2] {
        assert_eq!(router.steps(number), UP, "link {number}");
        let modems = router.told("modem.detected", number);
        assert_eq!(
            (&modems[0]["imei"], modems.last().unwrap()["model"].as_str()),
            (&Value::Null, Some("MC7455"))
        );
        assert_eq!(router.told("sim.changed", number)[0]["card"], "ready");
        let place = modems[0]["usb_path"].as_str().unwrap();
        let power = router.path("machine/sys/bus/usb/devices").join(place).join("power/control");
        assert_eq!(fs::read_to_string(power).unwrap().trim(), "on", "the kernel is not to suspend it");
    }
    let events = router.events();
    assert_eq!(events[0]["type"], "io.tandem.agent.started.v1");
    let numbers: Vec<u64> =
        events.iter().map(|event| event["sequence"].as_str().unwrap().parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    router.until("a sample of the signal", |router| !router.told("signal.sampled", 1).is_empty());
    router.stop();
    let verified = router.tandem(&["spool", "verify", router.path("spool").to_str().unwrap()]);
    assert!(verified.status.success(), "{}", text(&verified.stdout));
}

#[test]
fn what_both_families_carry_is_counted() {
    let mut router = Router::new();
    let config = router.config(["broadband", "broadband"], "[upload]\nbatch-interval = \"1s\"");
    let both = config.replace("dhcp = \"v4\"", "dhcp = \"v4v6\"");
    fs::write(router.path("agent.toml"), both).unwrap();
    router.start();
    router.until_connected();
    // More than either session has carried alone.
    let most = |router: &Router| {
        let now = router.modems[0].now();
        router.modems[0].inspect(|modem| modem.sessions().iter().map(|one| one.bytes(now).1).max().unwrap())
    };
    router.until("counters of both sessions", |router| {
        let shown = router.link(1).unwrap()["packet_statistics"]["rx_bytes_ok"].as_u64();
        shown.is_some_and(|shown| shown > most(router))
    });
    router.until("traffic of both sessions", |router| {
        let samples = router.told("traffic.sampled", 1);
        let columns = samples.iter().flat_map(|sample| sample["rx_bytes"].as_array().unwrap());
        columns.map(|count| count.as_u64().unwrap()).sum::<u64>() > most(router)
    });
    assert_eq!(router.modems[0].inspect(|modem| modem.sessions().len()), 2);
}

#[test]
fn exhausted_ids_and_stale_clients_are_freed_without_a_reset() {
    let mut router = Router::new();
    router.modems[0].begin(&Fault::LeakClients { service: "nas".into() });
    router.modems[1].begin(&Fault::PolicyMismatch);
    let device = |router: &Router, index: usize| router.modems[index].inspect(|modem| modem.device_number());
    let before = [0, 1].map(|index| device(&router, index));
    router.start();
    router.until_connected();
    assert_eq!(router.steps(1), UP, "the ids were freed before anything failed");
    assert_eq!(router.told("link.failed", 1), [] as [Value; 0]);
    let stale: Vec<&str> = [&UP[..4], &["waiting", "connecting"], &UP].concat();
    assert_eq!(router.steps(2), stale);
    let failed = router.told("link.failed", 2);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(
        (&failed[0]["reason"], &failed[0]["class"]),
        (&json!("policy-mismatch"), &json!("stale-state"))
    );
    for number in [1, 2] {
        assert_eq!(router.told("recovery.performed", number), [] as [Value; 0]);
        assert_eq!(device(&router, number - 1), before[number - 1]);
    }
    router.stop();
    assert!(router.modems.iter().all(|modem| modem.inspect(|modem| modem.clients().len()) <= 1));
}

#[test]
fn a_session_that_nobody_owns_is_adopted_and_one_in_the_wrong_framing_is_replaced() {
    let mut router = Router::new();
    router.start();
    router.until_connected();
    router.stop();
    // No trace of the run before but in the first modem: its framing. The other one has forgotten that too.
    for file in ["state", "spool"] {
        fs::remove_dir_all(router.path(file)).unwrap();
    }
    router.modems[0].begin(&Fault::PdnDropped { r#type: 6, code: 36, indication: false });
    router.modems[1].begin(&Fault::Reset);
    let end = Instant::now() + PATIENCE;
    for modem in &router.modems {
        while modem.inspect(|modem| modem.registration()) != Registration::Registered {
            assert!(Instant::now() < end, "the modem does not register");
            std::thread::yield_now();
        }
        modem.begin(&Fault::StaleSession);
    }
    let dials = [router.dials(0), router.dials(1)];
    router.start();
    router.until_connected();
    for (number, adopted) in [(1, true), (2, false)] {
        assert_eq!(router.steps(number), UP);
        assert_eq!(router.told("link.changed", number).last().unwrap()["adopted"], adopted);
        assert_eq!(router.told("link.failed", number), [] as [Value; 0]);
        assert_eq!(router.told("recovery.performed", number), [] as [Value; 0]);
        assert_eq!(router.dials(number - 1), dials[number - 1] + 1);
        let owned = router.modems[number - 1].inspect(|modem| {
            modem.sessions().iter().map(|session| session.client.is_some()).collect::<Vec<_>>()
        });
        assert_eq!(owned, [!adopted]);
        assert!(router.modems[number - 1].inspect(|modem| modem.is_raw_ip()));
    }
}

#[test]
fn a_refusal_without_a_reason_is_asked_for_over_at() {
    let mut router = Router::new();
    for modem in &router.modems {
        modem.begin(&Fault::NoReason);
    }
    router.modems[0].begin(&UNSUBSCRIBED);
    // No words of the standard, but words.
    router.modems[1].begin(&Fault::CallEnd { r#type: 3, code: 2002, family: None });
    router.start();
    router.until("an answer", |router| router.link(1).is_some());
    router.until("a refusal of each", |router| {
        [1, 2].iter().all(|number| !router.told("link.failed", *number).is_empty())
    });
    let failed = [1, 2].map(|number| router.told("link.failed", number)[0].clone());
    let shown = |failed: &Value| {
        ["source", "type", "code", "reason", "class", "detail"].map(|name| failed[name].clone())
    };
    assert_eq!(
        Value::from(shown(&failed[0]).to_vec()),
        json!([
            "at-command",
            6,
            33,
            "option-unsubscribed",
            "subscription",
            "requested service option not subscribed"
        ])
    );
    assert_eq!(
        Value::from(shown(&failed[1]).to_vec()),
        json!(["at-command", 0, 0, "call-failed", "passing", "fade"])
    );
    router.modems[0].end(&Fault::NoReason);
    assert!(router.tandem(&["retry", "lte-dev-1"]).status.success());
    router.until("another refusal", |router| router.told("link.failed", 1).len() > 1);
    assert_eq!(router.told("link.failed", 1).last().unwrap()["source"], "verbose-call-end-reason");
}

#[test]
fn a_technician_asks_and_orders_through_the_agent() {
    let mut router = Router::new();
    router.start();
    router.until_connected();
    let netdev = Place::of(0).netdev();
    // No sysfs of this machine knows the modem: the agent answers.
    let state = router.json(&["lte-state", &netdev]);
    assert_eq!((&state["interface"], &state["connection_status"]), (&json!(netdev), &json!("connected")));
    let info = router.json(&["lte-info", "lte-dev-1"]);
    assert_eq!(info["model"], "MC7455");
    let images = router.json(&["lte-image-preference", "--interface", &netdev, "get", "--json"]);
    assert!(images["stored"].as_array().unwrap().len() > 2, "{images}");
    let unknown = router.tandem(&["lte-state", "wwan9"]);
    assert!(text(&unknown.stderr).contains("there are: lte-dev-1, lte-dev-2"), "{}", text(&unknown.stderr));
    let held = router.modems[0].inspect(|modem| modem.clients().len());

    let at = router.link(1).unwrap()["modem"]["at_port"].as_str().unwrap().to_owned();
    let answer = router.json(&["serial-command", "port", &at, "ATI", "--json"]);
    assert_eq!(answer["result"], "OK");
    let executed = router.told("at.executed", 1);
    assert_eq!((&executed[0]["command"], &executed[0]["result"]), (&json!("ATI"), &json!("OK")));

    let shown = text(&router.tandem(&["show", "device-interface", "name", "lte-dev-1"]).stdout);
    assert!(shown.contains("\nOperational Status: up\n") && shown.contains("\nCompleted in "), "{shown}");
    let uplinks = text(&router.tandem(&["show", "uplinks"]).stdout);
    assert!(uplinks.contains("carrying: ") && uplinks.contains("lte-dev-2"), "{uplinks}");
    let events = text(&router.tandem(&["show", "events", "--limit", "3"]).stdout);
    assert_eq!(events.lines().count(), 3, "{events}");
    assert_eq!(router.json(&["show", "config", "--json"])["router"]["name"], "branch-0042");

    for what in ["device-interface", "uplinks", "events", "config"] {
        let pipe = format!("{{ {BINARY} show {what} --json; echo $? >&2; }} | head -c 1");
        let output =
            Command::new("sh").args(["-c", &pipe]).env("TANDEM_SOCKET", router.path("agent.sock")).output();
        assert_eq!(text(&output.unwrap().stderr), "0\n", "show {what} with a reader that goes");
    }

    let dials = router.dials(0);
    assert_eq!(router.json(&["retry", "lte-dev-1", "--json"])["done"], "trying now");
    assert!(router.is(1, "connected") && router.dials(0) == dials, "a link that works is left alone");
    let refused = router.tandem(&["retry", "lte-dev-9"]);
    assert!(
        !refused.status.success()
            && text(&refused.stderr).contains("there is no LTE device-interface lte-dev-9")
    );

    assert!(router.tandem(&["reset", "lte-dev-1"]).status.success());
    router.until("the reset", |router| !router.told("recovery.performed", 1).is_empty());
    let rung = &router.told("recovery.performed", 1)[0];
    assert_eq!((&rung["rung"], &rung["result"]), (&json!("qmi-reset"), &json!("done")));
    router.until("a new session", |router| router.dials(0) > dials);
    router.until_connected();
    assert_eq!(router.dials(1), 1, "the other link has no part in it");
    assert!(router.modems[0].inspect(|modem| modem.clients().len()) <= held, "no client id is lost");
}

#[test]
fn a_commit_dials_only_the_link_it_changes_and_goes_back_unless_confirmed() {
    let mut router = Router::new();
    router.start();
    router.until_connected();
    let candidate = router.path("candidate.toml");
    fs::write(&candidate, router.config(["broadband", "vzwinternet"], "")).unwrap();
    let to = router.path("agent.toml");
    let [candidate, to] = [candidate, to].map(|path| path.display().to_string());
    let output = router.tandem(&["config", "commit", &candidate, "--to", &to, "--yes", "--confirmed", "10s"]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let apn = |router: &Router| router.told("link.changed", 2).last().unwrap()["apn"].clone();
    router.until("the new APN", |router| router.is(2, "connected") && apn(router) == "vzwinternet");
    assert_eq!(router.told("config.committed", 0).len(), 1);
    router.until("the way back", |router| !router.told("config.rolled-back", 0).is_empty());
    assert_eq!(router.told("config.rolled-back", 0)[0]["cause"], "not-confirmed");
    router.until("the old APN", |router| router.is(2, "connected") && apn(router) == "broadband");
    assert!(!fs::read_to_string(to).unwrap().contains("vzwinternet"));
    assert_eq!(router.dials(0), 1, "the other session was never touched");
    assert_eq!(router.told("link.changed", 1).last().unwrap()["to"], "connected");
}

/// A central on a port; ends with the value.
struct Central {
    port: u16,
    stream: tandem::stream::Shared,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    task: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
}

impl Central {
    fn start(runtime: &tokio::runtime::Runtime, port: u16) -> Self {
        use tandem::gateway::{self, Admission, Gateway};
        let stream: tandem::stream::Shared = std::sync::Arc::new(tandem::stream::Memory::new(1));
        let listener = gateway::listen(([127, 0, 0, 1], port).into(), &Admission::Open).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let gateway = runtime.block_on(Gateway::start(stream.clone(), Admission::Open)).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let serving = gateway::serve(listener, None, gateway::router(gateway), async { drop(stopped.await) });
        Self { port, stream, stop: Some(stop), task: Some(runtime.spawn(serving)) }
    }

    fn has_events(&self, runtime: &tokio::runtime::Runtime) -> bool {
        let bounds = runtime.block_on(self.stream.bounds(tandem::stream::Topic::Status)).unwrap();
        bounds.iter().any(|bounds| bounds.next > 0)
    }

    fn end(mut self, runtime: &tokio::runtime::Runtime) {
        self.stop.take().unwrap().send(()).unwrap();
        runtime.block_on(self.task.take().unwrap()).unwrap().unwrap();
    }
}

#[test]
fn a_confirmed_commit_that_cuts_central_off_goes_back_however_well_it_was_reached_before() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let central = Central::start(&runtime, 0);
    let port = central.port;
    let mut router = Router::new();
    let upload = format!("[upload]\nto = \"http://127.0.0.1:{port}\"\nbatch-interval = \"1s\"");
    let (candidate, to) = (router.path("candidate.toml"), router.path("agent.toml"));
    fs::write(&to, router.config(["broadband", "broadband"], &upload)).unwrap();
    router.start();
    router.until_connected();
    router.until("events at central", |_| central.has_events(&runtime));
    let commit = |window: &str| {
        fs::write(&candidate, router.config(["broadband", "vzwinternet"], &upload)).unwrap();
        let [candidate, to] = [&candidate, &to].map(|path| path.display().to_string());
        for words in [
            &["commit", &candidate, "--to", &to, "--yes", "--confirmed", window][..],
            &["confirm", "--to", &to],
        ] {
            let output = router.tandem(&[&["config"], words].concat());
            assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        }
    };
    let has_new = || fs::read_to_string(&to).unwrap().contains("vzwinternet");

    // What this commit is taken to have broken.
    central.end(&runtime);
    commit("12s");
    assert!(has_new());
    router.until("the way back", |router| !router.told("config.rolled-back", 0).is_empty());
    assert_eq!(router.told("config.rolled-back", 0)[0]["cause"], "central-unreachable");
    assert!(!has_new());

    let central = Central::start(&runtime, port);
    router.until("events at central again", |_| central.has_events(&runtime));
    commit("60s");
    let pending = router.path("agent.toml.pending");
    router.until("it to stay", |_| !pending.exists());
    assert!(has_new());
    assert_eq!(router.told("config.rolled-back", 0).len(), 1);
    central.end(&runtime);
}

#[test]
fn a_commit_reaches_the_modem_a_link_is_given_its_rank_and_the_paces_of_all() {
    let mut router = Router::new();
    let to = router.path("agent.toml");
    let right = fs::read_to_string(&to).unwrap();
    let (netdev, wrong) = (Place::of(1).netdev(), "wwp9s9u9i9");
    fs::write(&to, right.replace(&netdev, wrong)).unwrap();
    router.start();
    router.until("the first link", |router| router.is(1, "connected"));
    assert!(router.is(2, "absent"), "there is no such interface");
    let sampled = |router: &Router| router.told("signal.sampled", 1).len();
    let before = sampled(&router);
    let changed = right
        .replace("priority = 200", "priority = 900")
        .replace("signal-interval = \"500ms\"", "signal-interval = \"1h\"");
    router.commit(&format!("{changed}\n[upload]\nbatch-interval = \"1s\"\n"));
    router.until_connected();
    let link = router.link(2).unwrap();
    assert_eq!((&link["target_interface"], &link["priority"]), (&json!(netdev), &json!(900)));
    router.until("batches at the new pace", |router| router.told("traffic.sampled", 1).len() > 2);
    assert!(sampled(&router) <= before + 2, "signal is sampled as seldom as it says now");
    assert_eq!(router.dials(0), 1, "the session of the other link is left alone");
}

#[test]
fn a_link_taken_out_of_the_configuration_is_let_go_and_adopted_when_it_comes_back() {
    let mut router = Router::new();
    router.start();
    router.until_connected();
    let both = fs::read_to_string(router.path("agent.toml")).unwrap();
    let second = second_device(&both);
    let said = router.commit(&both[..second]);
    assert!(
        said.contains("the session in a modem stays: lte-dev-2") && said.contains("untouched: lte-dev-1"),
        "{said}"
    );
    assert!(router.link(2).is_none(), "it is no link any more");
    assert_eq!(router.modems[1].inspect(|modem| modem.sessions().len()), 1, "its session lives on");
    router.commit(&both);
    router.until_connected();
    assert_eq!(router.told("link.changed", 2).last().unwrap()["adopted"], true);
    assert_eq!(router.modems[1].inspect(|modem| modem.sessions().len()), 1);
    assert_eq!(
        (router.dials(0), router.told("link.changed", 1).last().unwrap()["to"].clone()),
        (1, json!("connected"))
    );
}

/// Where the second device-interface begins.
fn second_device(config: &str) -> usize {
    config.rfind("\n[[device-interface]]").unwrap()
}

/// The second link with a login, or a PIN, that is read from this file.
fn with_file(config: &str, what: &str, file: &Path) -> String {
    let second = second_device(config);
    let part = match what {
        "password-file" => format!("authentication = {{ user-name = \"we\", password-file = {file:?} }}"),
        _ => format!("{what} = {file:?}"),
    };
    let changed = config[second..].replace("lte = { ", &format!("lte = {{ {part}, "));
    format!("{}{changed}", &config[..second])
}

#[test]
fn a_commit_with_a_part_that_cannot_be_made_changes_nothing_until_it_can() {
    let mut router = Router::new();
    router.start();
    router.until_connected();
    let before = fs::read_to_string(router.path("agent.toml")).unwrap();
    let secret = router.path("secret");
    // The second link goes and another of its modem comes, with a file that is not there.
    let candidate = with_file(&before, "password-file", &secret).replace("lte-dev-2", "lte-dev-3");
    let said = router.commit(&candidate);
    assert!(said.contains(&format!("cannot read {}", secret.display())), "{said}");
    assert!(router.is(2, "connected") && router.link(3).is_none());
    assert_eq!(router.told("config.committed", 0).len(), 0);
    assert_eq!(router.json(&["show", "config", "--json"])["device-interface"][1]["name"], "lte-dev-2");

    fs::write(&secret, "sesame\n").unwrap();
    router.until("the take-over", |router| router.is(3, "connected"));
    assert!(router.link(2).is_none());
    assert_eq!(router.told("config.committed", 0).len(), 1);
    assert_eq!(router.dials(0), 1, "the other link has no part in it");
}

#[test]
fn another_type_under_the_same_name_ends_the_link_and_starts_it() {
    let mut router = Router::new();
    let lte = router.config(["broadband", "broadband"], "[upload]\nbatch-interval = \"1s\"");
    let wired =
        "\n[[device-interface]]\nname = \"lte-dev-2\"\ntype = \"ethernet\"\ntarget-interface = \"none0\"\n";
    let ethernet = format!("{}{wired}", &lte[..second_device(&lte)]);
    fs::write(router.path("agent.toml"), &ethernet).unwrap();
    router.start();
    router.until("the first link", |router| router.is(1, "connected"));
    assert_eq!(router.link(2).unwrap()["type"], "ethernet");

    router.commit(&lte);
    router.until_connected();
    assert_eq!(router.link(2).unwrap()["type"], "lte");

    router.commit(&ethernet);
    router.until("the circuit", |router| router.is(2, "absent"));
    let refused = router.tandem(&["retry", "lte-dev-2"]);
    assert!(text(&refused.stderr).contains("there is no LTE device-interface lte-dev-2"));
    let dials = router.dials(1);
    router.modems[1].begin(&Fault::PdnDropped { r#type: 6, code: 36, indication: true });
    let samples = |router: &Router| router.told("traffic.sampled", 1).len();
    let before = samples(&router);
    router.until("some time", |router| samples(router) > before);
    assert_eq!((router.dials(0), router.dials(1)), (1, dials), "nobody dials for a circuit");
}

#[test]
fn a_file_that_is_missing_stops_only_the_link_that_needs_it_until_it_comes() {
    for what in ["password-file", "pin-file"] {
        let mut router = Router::new();
        let (config, secret) = (router.path("agent.toml"), router.path("secret"));
        let with = with_file(&fs::read_to_string(&config).unwrap(), what, &secret);
        fs::write(&config, &with).unwrap();
        router.start();
        router.until("the other link", |router| router.is(1, "connected"));
        let why = format!("cannot read {}: No such file", secret.display());
        let link = router.link(2).unwrap();
        assert_eq!(link["state"], "stopped");
        assert!(link["state_cause"].as_str().unwrap().starts_with(&why), "{what}: {link}");
        let changed = router.told("link.changed", 2);
        assert_eq!((changed.len(), &changed[0]["to"]), (1, &json!("stopped")), "{changed:?}");
        assert!(changed[0]["cause"].as_str().unwrap().starts_with(&why), "{changed:?}");
        for command in [&["show", "device-interface", "name", "lte-dev-2"][..], &["show", "uplinks"]] {
            let shown = text(&router.tandem(command).stdout);
            assert!(shown.contains(&why), "{shown}");
        }
        for command in [["retry", "lte-dev-2"], ["lte-state", "lte-dev-2"]] {
            let refused = router.tandem(&command);
            assert!(text(&refused.stderr).contains(&format!("lte-dev-2 is stopped: {why}")), "{refused:?}");
        }
        // What has nothing to do with it is taken over all the same.
        router.commit(&with.replace("signal-interval = \"500ms\"", "signal-interval = \"400ms\""));
        assert_eq!((router.told("config.committed", 0).len(), router.is(2, "stopped")), (1, true));

        fs::write(&secret, "1234\n").unwrap();
        router.until_connected();
        let steps: Vec<_> = router.told("link.changed", 2).iter().map(|data| data["to"].clone()).collect();
        assert_eq!(steps[..3], ["stopped", "absent", "opening"], "{steps:?}");
        assert_eq!(router.dials(0), 1);
    }
}

#[test]
fn a_killed_agent_adopts_its_sessions_and_keeps_the_failure_context() {
    let mut router = Router::new();
    router.modems[1].begin(&UNSUBSCRIBED);
    router.start();
    let attempts = |router: &Router| router.link(2).and_then(|link| link["failure"]["attempt"].as_u64());
    router.until("two refusals", |router| router.is(1, "connected") && attempts(router) == Some(2));
    let refused = router.link(2).unwrap();
    assert_eq!(refused["failure"]["reason"], "option-unsubscribed");
    let (adopted, dials) = (router.dials(0), router.dials(1));
    router.kill();
    assert_eq!(router.modems[0].inspect(|modem| modem.sessions().len()), 1, "the session lives on");

    router.start();
    router.until("the adoption", |router| router.is(1, "connected"));
    let started = router.told("agent.started", 0);
    assert_eq!(started.last().unwrap()["cause"], "crash");
    assert_eq!(started.last().unwrap()["build"].as_str(), option_env!("TANDEM_BUILD"));
    assert_eq!(router.told("link.changed", 1).last().unwrap()["adopted"], true);
    assert_eq!(router.modems[0].inspect(|modem| modem.sessions().len()), 1);
    assert!(router.dials(0) <= adopted + 1, "no more than the question whether it is up");
    router.until("the wait of before", |router| router.is(2, "waiting"));
    router.until("the failure of before", |router| attempts(router) == Some(2));
    assert_eq!(router.dials(1), dials, "a restart does not dial");
    assert_eq!(router.link(2).unwrap()["last_failure_time"], refused["last_failure_time"]);

    router.modems[1].end(&UNSUBSCRIBED);
    assert!(router.tandem(&["retry", "lte-dev-2"]).status.success());
    router.until_connected();
}

#[test]
fn where_no_agent_runs_configuration_spool_and_modems_answer_in_its_place() {
    let mut router = Router::new();
    router.modems[1].begin(&UNSUBSCRIBED);
    router.start();
    let attempts = |router: &Router| router.link(2).and_then(|link| link["failure"]["attempt"].as_u64());
    router.until("two refusals", |router| router.is(1, "connected") && attempts(router) == Some(2));
    let show = |what| ["show", what, "--json"];
    let [links, uplinks, events, config] =
        ["device-interface", "uplinks", "events", "config"].map(|what| router.json(&show(what)));
    let dials = [router.dials(0), router.dials(1)];
    router.kill();

    let alone = |what| {
        let output = router.alone(&show(what));
        let notes = text(&output.stderr);
        assert!(output.status.success() && notes.contains("no agent answers at"), "{notes}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let now = alone("device-interface");
    for (now, before) in now.as_array().unwrap().iter().zip(links.as_array().unwrap()) {
        assert_eq!(keys(now), keys(before));
        for same in ["name", "profile", "settings", "modem", "sim", "failure", "last_failure_time"] {
            assert_eq!(now[same], before[same], "{same}");
        }
        assert!(now["signal"].is_object() && now["registration"]["state"] == "registered", "{now}");
    }
    assert_eq!((&now[0]["state"], &now[1]["state"]), (&json!("connected"), &json!("stopped")));
    assert_eq!(now[1]["failure"]["reason"], "option-unsubscribed");
    assert_eq!(now[1]["next_retry_time"], Value::Null, "nobody tries again");
    let shown = text(&router.alone(&["show", "device-interface", "name", "lte-dev-2"]).stdout);
    assert!(shown.contains("\nattempt: 2\n") && shown.contains("\nOperational Status: down\n"), "{shown}");
    assert_eq!(keys(&alone("uplinks")), keys(&uplinks));
    assert_eq!(alone("config"), config);
    let told = alone("events");
    let sequence = |event: &Value| event["sequence"].as_str().unwrap().parse::<u64>().unwrap();
    let order: Vec<_> = told.as_array().unwrap().iter().map(sequence).collect();
    assert!(order.windows(2).all(|pair| pair[0] > pair[1]) && order[0] >= sequence(&events[0]), "{order:?}");
    assert!(told.as_array().unwrap().contains(&events[0]));
    assert_eq!([router.dials(0), router.dials(1)], dials, "who looks does not dial");

    let retry = router.alone(&["retry", "lte-dev-2"]);
    assert!(!retry.status.success() && text(&retry.stderr).contains("systemctl start tandem-agent"));
    let unknown = router.alone(&["show", "device-interface", "lte-dev-9"]);
    assert!(text(&unknown.stderr).contains("there are: lte-dev-1, lte-dev-2"), "{}", text(&unknown.stderr));
    let nothing = router.tandem(&["show", "events", "--config", "/nowhere"]);
    assert!(!nothing.status.success() && text(&nothing.stderr).contains("cannot read /nowhere"));

    fs::remove_file(router.path("machine/dev").join(Place::of(1).control())).unwrap();
    let now = alone("device-interface");
    assert!(now[1]["state_cause"].as_str().unwrap().starts_with("the modem cannot be asked: "), "{now}");
    assert_eq!((&now[0]["state"], &now[1]["failure"]), (&json!("connected"), &links[1]["failure"]));

    router.start();
    router.until("the adoption", |router| router.is(1, "connected"));
    assert_eq!(router.told("link.changed", 1).last().unwrap()["adopted"], true);
    assert_eq!(router.modems[0].inspect(|modem| modem.sessions().len()), 1, "no look has ended it");
}

#[test]
fn where_no_agent_runs_the_routes_of_the_kernel_count_and_the_last_way_out_is_not_reset() {
    if !namespace::in_namespace(
        "where_no_agent_runs_the_routes_of_the_kernel_count_and_the_last_way_out_is_not_reset",
    ) {
        return;
    }
    let router = Router::new();
    let [first, second] = [0, 1].map(|index| Place::of(index).netdev());
    let ip = |words: &str| {
        let output = Command::new("ip").args(words.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {words}: {}", text(&output.stderr));
    };
    for (netdev, metric) in [(&first, 300), (&second, 500)] {
        ip(&format!("tuntap add dev {netdev} mode tun"));
        ip(&format!("link set {netdev} up"));
        ip(&format!("route add default dev {netdev} metric {metric}"));
    }
    ip("link add enp4s0f0 type veth peer name provider");
    ip("link set provider up");
    ip("link set enp4s0f0 up");
    ip("address add 192.168.1.2/24 dev enp4s0f0");
    ip("route add default via 192.168.1.1 dev enp4s0f0 metric 100");
    let wired =
        "[[device-interface]]\nname = \"wired\"\ntype = \"ethernet\"\ntarget-interface = \"enp4s0f0\"\n";
    fs::write(router.path("agent.toml"), router.config(["broadband", "broadband"], "") + wired).unwrap();
    let circuit: Value =
        serde_json::from_slice(&router.alone(&["show", "device-interface", "wired", "--json"]).stdout)
            .unwrap();
    assert_eq!(
        (&circuit[0]["state"], &circuit[0]["settings"]["ipv4"]["gateway"]),
        (&json!("connected"), &json!("192.168.1.1"))
    );
    let uplinks = || text(&router.alone(&["show", "uplinks"]).stdout);
    let shown = uplinks();
    assert!(
        shown.contains("carrying: wired\n") && shown.contains("default route with metric 100"),
        "{shown}"
    );
    ip("route del default via 192.168.1.1 dev enp4s0f0 metric 100");
    let shown = uplinks();
    assert!(shown.contains("carrying: lte-dev-1\nproblem: no agent runs: nobody chooses"), "{shown}");
    assert!(shown.contains("default route with metric 300") && shown.contains("metric 500"), "{shown}");
    ip(&format!("route add default dev {second} table 7000 proto 201"));
    let shown = uplinks();
    assert!(shown.contains("carrying: lte-dev-2\n") && shown.contains("`tandem handover`"), "{shown}");

    let number = |index: usize| router.modems[index].inspect(|modem| modem.device_number());
    let before = [number(0), number(1)];
    let reset = |words: &[&str]| router.alone(&[&["reset"], words].concat());
    let done = reset(&["lte-dev-2", "--json"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&done.stdout).unwrap()["done"], "the modem restarts");
    router.until("the restart", |_| number(1) != before[1]);
    ip(&format!("route del default dev {second} metric 500"));
    let refused = reset(&["lte-dev-1"]);
    assert!(!refused.status.success() && number(0) == before[0]);
    assert!(text(&refused.stderr).contains("only way out of this router"), "{}", text(&refused.stderr));
    let forced = reset(&["lte-dev-1", "--at", "--force"]);
    assert!(forced.status.success(), "{}", text(&forced.stderr));
    router.until("the forced restart", |_| number(0) != before[0]);
}

#[test]
fn a_second_agent_on_the_same_socket_or_spool_is_told_so() {
    let mut router = Router::new();
    router.start();
    router.until("an answer", |router| router.link(1).is_some());
    let same = router.agent("agent.toml").output().unwrap();
    assert!(!same.status.success());
    assert!(text(&same.stderr).contains("another agent answers there"), "{}", text(&same.stderr));
    let socket = router.path("agent.sock").display().to_string();
    let other = router.config(["broadband", "broadband"], "").replace(&socket, &format!("{socket}2"));
    fs::write(router.path("other.toml"), other).unwrap();
    let same_spool = router.agent("other.toml").output().unwrap();
    assert!(!same_spool.status.success());
    let spool = router.path("spool").display().to_string();
    assert!(text(&same_spool.stderr).contains(&spool), "{}", text(&same_spool.stderr));
    assert!(router.link(1).is_some(), "the first one goes on");
}

#[test]
fn a_pulled_card_stops_its_link_and_its_return_brings_it_back() {
    let mut router = Router::new();
    router.start();
    router.until_connected();
    router.modems[0].begin(&Fault::SimAbsent);
    router.until("the stop", |router| router.is(1, "stopped"));
    assert_eq!(router.told("link.failed", 1).last().unwrap()["class"], "operator-must-act");
    let batches = router.told("traffic.sampled", 1).len();
    router.modems[0].end(&Fault::SimAbsent);
    router.until_connected();
    assert!(router.told("traffic.sampled", 1).len() <= batches + 1, "no counters of a link that is stopped");
    assert_eq!(router.dials(1), 1);
}

#[test]
fn an_illegal_card_is_power_cycled_once_and_stops_its_link_only_if_that_does_not_help() {
    let mut router = Router::new();
    router.modems[0].begin(&Fault::SimStuck);
    router.modems[1].begin(&Fault::SimIllegal);
    router.start();
    router.until("the end of both", |router| router.is(1, "connected") && router.is(2, "stopped"));
    let cycles = |router: &Router| {
        [0, 1].map(|index| router.modems[index].inspect(|modem| modem.card().power_cycles()))
    };
    assert_eq!(cycles(&router), [1, 1]);
    let cycled: Vec<&str> = [&UP[..2], &UP[1..]].concat();
    assert_eq!(router.steps(1), cycled);
    assert_eq!(router.told("link.failed", 1), [] as [Value; 0]);
    assert_eq!(router.steps(2), ["opening", "sim", "sim", "stopped"]);
    let failed = router.told("link.failed", 2);
    assert_eq!(
        (&failed[0]["reason"], &failed[0]["class"]),
        (&json!("sim-illegal"), &json!("operator-must-act"))
    );
    router.modems[1].end(&Fault::SimIllegal);
    router.until_connected();
    assert_eq!((cycles(&router), failed.len()), ([1, 1], 1));
}

#[test]
fn a_slow_card_is_waited_for() {
    let mut router = Router::new();
    router.modems[0].begin(&Fault::SlowSim);
    router.start();
    let card =
        |router: &Router| Some(router.told("sim.changed", 1).last()?["card"].as_str().unwrap().to_owned());
    router.until("the other link", |router| router.is(2, "connected"));
    router.until("a card that is not ready", |router| card(router).as_deref() == Some("present"));
    assert!(router.is(1, "sim"));
    router.modems[0].end(&Fault::SlowSim);
    router.until_connected();
    assert_eq!((router.steps(1), card(&router).as_deref()), (UP.map(str::to_owned).to_vec(), Some("ready")));
    assert_eq!(router.told("link.failed", 1), [] as [Value; 0]);
}

#[test]
fn a_card_that_its_provider_refreshes_is_let_go_on_and_read_again() {
    let mut router = Router::new();
    router.start();
    router.until_connected();
    let imsi = |router: &Router| router.told("sim.changed", 1).last().unwrap()["imsi"].clone();
    let new = "310410123456789";
    assert_ne!(imsi(&router), new);
    router.modems[0].begin(&Fault::SimRefresh { imsi: new.into() });
    router.until("the card as it is now", |router| imsi(router) == new);
    assert!(router.is(1, "connected") && router.dials(0) == 1, "a refresh is no loss");
}

#[test]
fn a_modem_pulled_out_is_told_and_taken_again_under_its_new_numbers() {
    let mut router = Router::new();
    router.start();
    router.until_connected();
    router.modems[0].begin(&Fault::Unplugged);
    router.until("its absence", |router| router.is(1, "absent"));
    assert_eq!(router.told("modem.removed", 1).len(), 1);
    router.modems[0].end(&Fault::Unplugged);
    router.until_connected();
    assert!(router.told("modem.detected", 1).len() >= 3);
}

#[test]
fn an_image_is_changed_by_an_agent_that_keeps_the_modem_for_itself() {
    let mut router = Router::new();
    router.start();
    router.until_connected();
    let netdev = Place::of(0).netdev();
    let set = |carrier| ["lte-image-preference", "--interface", &netdev, "set", carrier, "--force", "--json"];
    let refused = router.tandem(&set("TELEKOM"));
    assert!(!refused.status.success());
    let why = text(&refused.stderr);
    assert!(why.contains("no image of TELEKOM is stored, there are: ATT"), "{why}");
    let changed = router.json(&set("VERIZON"));
    assert_eq!(changed["result"], "changed", "{changed}");
    router.until("the session after it", |router| router.is(1, "connected") && router.dials(0) == 2);
    let told = router.told("image.changed", 1);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0]["after"]["carrier"].as_str().unwrap().ends_with("_VERIZON"), "{told:?}");
    assert_eq!(router.json(&set("VERIZON"))["result"], "unchanged");
    assert!(router.is(1, "connected"), "what changes nothing leaves the session alone");
    assert_eq!(
        [router.dials(0), router.dials(1)],
        [2, 1],
        "one restart, and the other link has no part in it"
    );
    router.stop();
    assert!(router.modems[0].inspect(|modem| modem.clients().len()) <= 2, "no client id was left behind");
}

#[test]
fn images_are_changed_one_modem_after_the_other_not_even_by_force_together() {
    let mut router = Router::new();
    // One carries, and the agent knows that the other would.
    let config = router.config(["broadband", "broadband"], "[failover]\npolicy = \"failover\"");
    fs::write(router.path("agent.toml"), config).unwrap();
    router.start();
    router.until_connected();
    let [first, second] = [0, 1].map(|index| Place::of(index).netdev());
    let mut changing = Command::new(BINARY)
        .args(["lte-image-preference", "--interface", &first, "set", "VERIZON"])
        .env("TANDEM_SOCKET", router.path("agent.sock"))
        .spawn()
        .unwrap();
    router.until("its restart", |router| !router.modems[0].inspect(|modem| modem.is_present()));
    // It takes as long as this test needs.
    router.modems[0].begin(&Fault::Unplugged);
    for force in [&[][..], &["--force"]] {
        let set = ["lte-image-preference", "--interface", &second, "set", "ATT"];
        let refused = router.tandem(&[&set, force].concat());
        let why = text(&refused.stderr);
        assert!(why.contains("lte-dev-1 is in recovery: one modem restarts at a time"), "{why}");
    }
    router.modems[0].end(&Fault::Unplugged);
    assert!(changing.wait().unwrap().success());
    router.until_connected();
    assert_eq!([router.dials(0), router.dials(1)], [2, 1], "the other link has no part in it");
    let set = ["lte-image-preference", "--interface", &second, "set", "ATT", "--json"];
    assert_eq!(router.json(&set)["result"], "changed");
}

#[test]
fn the_image_of_the_only_uplink_that_works_is_not_changed_unless_forced() {
    let mut router = Router::new();
    router.modems[1].begin(&UNSUBSCRIBED);
    router.start();
    router.until("one link", |router| router.is(1, "connected") && router.is(2, "waiting"));
    let netdev = Place::of(0).netdev();
    let set = ["lte-image-preference", "--interface", &netdev, "set", "VERIZON", "--json"];
    let refused = router.tandem(&set);
    let why = text(&refused.stderr);
    assert!(
        why.contains("lte-dev-1 is the only working uplink, and its modem restarts: use --force"),
        "{why}"
    );
    assert!(router.is(1, "connected") && router.dials(0) == 1);
    let changed = router.json(&[&set[..], &["--force"]].concat());
    assert_eq!(changed["result"], "changed");
}

/// Where libqmi's proxy may be; hidden, so that the agent finds none.
const HIDE_PROXY: &str =
    "for program in /usr/libexec/qmi-proxy /usr/lib/libqmi/qmi-proxy /usr/lib/qmi-proxy; do
    if [ -e $program ]; then mount --bind /dev/null $program || exit 1; fi
done
exec \"$@\"";

#[test]
fn qmicli_works_beside_a_running_agent_where_libqmis_proxy_is_not_installed() {
    if !namespace::in_namespace("qmicli_works_beside_a_running_agent_where_libqmis_proxy_is_not_installed") {
        return;
    }
    let mut router = Router::new();
    let config =
        router.config(["broadband", "broadband"], "").replace("qmi-proxy = false", "qmi-proxy = true");
    fs::write(router.path("agent.toml"), config).unwrap();
    let plain = router.agent("agent.toml");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", HIDE_PROXY, "sh"]).arg(plain.get_program()).args(plain.get_args());
    *router.agent.get_mut() = Some(command.env("TANDEM_LOG", "warn").stdout(Stdio::null()).spawn().unwrap());
    router.until_connected();
    let control = fs::canonicalize(router.path("machine/dev").join(Place::of(0).control())).unwrap();
    for (action, answer) in [("--dms-get-model", "MC7455"), ("--nas-get-signal-info", "RSRP")] {
        let mut qmicli = Command::new("qmicli");
        let output =
            qmicli.args(["-p", "--device-open-qmi", "-d"]).arg(&control).arg(action).output().unwrap();
        assert!(text(&output.stdout).contains(answer), "{}{}", text(&output.stdout), text(&output.stderr));
    }
    assert!(router.is(1, "connected") && router.dials(0) == 1);

    // The same way the change of an image goes on over the restart of the modem.
    let images = ["lte-image-preference", "--interface", &Place::of(0).netdev()];
    let changed = router.json(&[&images[..], &["set", "VERIZON", "--force", "--json"]].concat());
    assert_eq!(changed["result"], "changed", "{changed}");
    router.until("the session after it", |router| router.is(1, "connected") && router.dials(0) == 2);
    let told = router.told("image.changed", 1);
    assert!(told[0]["after"]["carrier"].as_str().unwrap().ends_with("_VERIZON"), "{told:?}");
    assert_eq!(router.dials(1), 1, "the other link has no part in it");
}
