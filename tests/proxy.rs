//! Ways to share one control port, judged by libqmi: our driver through the real `qmi-proxy`, and the real `qmicli -p` through
//! our proxy. Each test that needs the abstract socket `qmi-proxy` runs this file again in a network namespace of its own,
//! where abstract names are private.
#![cfg(all(feature = "agent", feature = "central"))]

#[path = "support/namespace.rs"]
mod namespace;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use namespace::in_namespace;
use tandem::event::IpFamily;
use tandem::link::words::{Profile, Session};
use tandem::modem::driver::{Call, Driver, OpenOptions};
use tandem::modem::port::{Access, Port};
use tandem::modem::proxy::Proxy;
use tandem::modem::sysfs::Slot;
use tandem::sim::modem::Settings;
use tandem::sim::port::SimModem;
use tandem::sim::scenario::{Fault, ModemSpec, Scenario};

struct Bench {
    sim: SimModem,
    control: PathBuf,
    slot: Slot,
    _folder: tempfile::TempDir,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let [control, at] = ["control", "at"].map(|name| folder.path().join(name));
    let modem = ModemSpec { register_ms: Some(1), connect_ms: Some(1), ..ModemSpec::default() };
    let settings = Settings { seed: 5, scenario: Scenario { modem, steps: Vec::new() }, trace: None };
    let sim = SimModem::on_ptys(settings, &control, &at).unwrap();
    let slot = Slot::by_path("wwan0", &control, vec![at]);
    Bench { sim, control, slot, _folder: folder }
}

impl Bench {
    /// Asks qmicli through the proxy that listens on `qmi-proxy`.
    async fn qmicli(&self, arguments: &[&str]) -> Output {
        let device = std::fs::canonicalize(&self.control).unwrap();
        let run = tokio::process::Command::new("qmicli")
            .args(["-p", "--device-open-qmi", "-d"])
            .arg(device)
            .args(arguments)
            .output();
        tokio::time::timeout(Duration::from_secs(20), run)
            .await
            .expect("qmicli ends in time")
            .expect("qmicli is installed")
    }

    fn held(&self) -> usize {
        self.sim.inspect(|modem| modem.clients().len())
    }
}

fn said(output: &Output) -> String {
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}

async fn connect(driver: &Driver) -> Session {
    let profile = Profile { apn_name: "broadband".into(), index: None, authentication: None };
    let call = Call { family: IpFamily::Ipv4, profile: &profile };
    driver.connect(call).await.unwrap().made
}

/// Everything a technician may do beside a connected agent.
async fn qmicli_beside(bench: &Bench, driver: &Driver) {
    assert_eq!(connect(driver).await, Session::New);
    let held = bench.held();
    for (action, expected) in [
        ("--dms-get-manufacturer", "Sierra Wireless"),
        ("--dms-get-model", "MC7455"),
        ("--dms-get-operating-mode", "Mode: 'online'"),
        ("--nas-get-serving-system", "Registration state: 'registered'"),
        ("--nas-get-signal-info", "RSRP"),
        ("--uim-get-card-status", "Card state: 'present'"),
        ("--dms-list-stored-images", "ATT"),
    ] {
        let text = said(&bench.qmicli(&[action]).await);
        assert!(text.contains(expected), "{action}: {text}");
    }
    let (first, second) =
        tokio::join!(bench.qmicli(&["--dms-get-revision"]), bench.qmicli(&["--dms-get-ids"]));
    assert!(said(&first).contains("SWI9X30C") && said(&second).contains("IMEI"));
    assert_eq!(bench.held(), held, "qmicli gave its ids back");
    driver.signal().await.unwrap();
    assert!(driver.current_settings(IpFamily::Ipv4).await.unwrap().ipv4.is_some());
}

#[tokio::test]
async fn qmicli_works_beside_the_agent_through_our_proxy() {
    if !in_namespace("qmicli_works_beside_the_agent_through_our_proxy") {
        return;
    }
    let bench = bench();
    let proxy = Arc::new(Proxy::listen().unwrap());
    assert!(Proxy::listen().is_err(), "there is one proxy");
    let options =
        OpenOptions { access: Access::Direct, proxy: Some(Arc::clone(&proxy)), ..OpenOptions::default() };
    let (driver, _notices) = Driver::open(&bench.slot, &options).await.unwrap();
    qmicli_beside(&bench, &driver).await;
    // An id kept on purpose stays usable in another connection.
    let text = said(&bench.qmicli(&["--dms-get-model", "--client-no-release-cid"]).await);
    let cid = text.split("CID: '").nth(1).unwrap().split('\'').next().unwrap();
    said(&bench.qmicli(&["--dms-get-model", &format!("--client-cid={cid}")]).await);
    // Freeing all ids would harm the agent: through us it is not possible.
    let unknown = Command::new("qmicli")
        .args(["-p", "--device-open-qmi", "-d", "/dev/zero", "--dms-get-model"])
        .output()
        .unwrap();
    assert!(!unknown.status.success(), "a device that we do not drive");
    driver.close(false).await;
    assert_eq!(bench.held(), 0);
}

#[tokio::test]
async fn the_driver_and_qmicli_share_libqmis_proxy() {
    if !in_namespace("the_driver_and_qmicli_share_libqmis_proxy") {
        return;
    }
    let bench = bench();
    // Access::Auto starts libqmi's proxy, for it is installed here.
    let (driver, _notices) = Driver::open(&bench.slot, &OpenOptions::default()).await.unwrap();
    let held = bench.held();
    driver.clean_up().await.unwrap();
    assert_eq!(bench.held(), held, "client ids are never freed through a shared port");
    qmicli_beside(&bench, &driver).await;
    driver.close(false).await;
    assert_eq!(bench.held(), 0);
    // A device that libqmi's proxy cannot open.
    let file = bench.control.with_file_name("file");
    std::fs::write(&file, "").unwrap();
    let error = Port::open(&file, &Access::Auto).await.unwrap_err();
    assert!(error.to_string().contains("qmi-proxy did not open"), "{error}");
}

#[tokio::test]
async fn when_the_modem_goes_every_client_of_our_proxy_sees_it() {
    let name = format!("tandem-test-gone-{}", std::process::id());
    let bench = bench();
    let proxy = Proxy::listen_on(&name).unwrap();
    let port = Port::open(&bench.control, &Access::Direct).await.unwrap();
    let mut agents = proxy.serve(port).unwrap();
    let mut other = Port::open(&bench.control, &Access::Proxy(name)).await.unwrap();
    bench.sim.begin(&Fault::Reset);
    let mut bytes = Vec::new();
    assert!(agents.read(&mut bytes).await.is_err());
    assert!(other.read(&mut bytes).await.is_err());
}

#[tokio::test]
async fn nonsense_at_our_proxy_harms_nobody() {
    use std::io::{Read as _, Write as _};
    use std::os::linux::net::SocketAddrExt as _;
    let name = format!("tandem-test-nonsense-{}", std::process::id());
    let bench = bench();
    let proxy = Proxy::listen_on(&name).unwrap();
    let port = Port::open(&bench.control, &Access::Direct).await.unwrap();
    let agents = proxy.serve(port).unwrap();
    let options = OpenOptions::default();
    let (driver, _notices) = Driver::over(agents, &bench.slot, &options).await.unwrap();
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let opening = b"\x01\x1b\x00\x00\x00\x00\x00\x01\x21\x00\x00\x00";
    for bytes in [&b""[..], &[0xff; 4000], opening, b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let closed = tokio::task::spawn_blocking(move || stream.read(&mut [0; 64]));
        let closed = tokio::time::timeout(Duration::from_secs(5), closed).await.unwrap().unwrap();
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
        driver.identity().await.unwrap();
    }
    assert!(Path::new(&bench.control).exists());
    driver.close(false).await;
    assert_eq!(bench.held(), 0);
}
