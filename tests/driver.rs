//! The driver against a simulated modem, on a clock that jumps. The simulator counts the client ids that are held, so every
//! path can be checked for leaks.
#![cfg(all(feature = "agent", feature = "central"))]

#[path = "support/rate.rs"]
mod rate;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rate::rate_of;
use tandem::config::{AuthenticationProtocol, Secret};
use tandem::event::{CardState, FailureClass, IpFamily, PinState, Radio, RegistrationState};
use tandem::link::words::{Login, Profile, Session as Made};
use tandem::modem::driver::{Call, Driver, DriverError, Notice, Notices, OpenOptions};
use tandem::modem::image_change;
use tandem::modem::port::{Access, Port};
use tandem::modem::sysfs::{Slot, discover};
use tandem::qmi::ProtocolError;
use tandem::qmi::wds::ConnectionStatus;
use tandem::sim::modem::{DATA_INTERFACE, Settings};
use tandem::sim::port::{Publish, SimModem};
use tandem::sim::scenario::{Family, Fault, Framing, ModemSpec, Scenario};
use tandem::sim::sysfs::{Place, Tree};

const BOTH: [IpFamily; 2] = [IpFamily::Ipv4, IpFamily::Ipv6];

struct Bench {
    sim: SimModem,
    slot: Slot,
    options: OpenOptions,
    _state: tempfile::TempDir,
}

impl Bench {
    fn new(modem: ModemSpec) -> Self {
        let state = tempfile::tempdir().unwrap();
        let settings = Settings { seed: 7, scenario: Scenario { modem, steps: Vec::new() }, trace: None };
        Self {
            sim: SimModem::in_memory(settings),
            slot: Slot::by_path("wwan0", Path::new("/dev/cdc-wdm0"), Vec::new()),
            options: OpenOptions { state: Some(state.path().to_owned()), ..OpenOptions::default() },
            _state: state,
        }
    }

    async fn open(&self) -> Result<(Driver, Notices), DriverError> {
        let port = Port::from_stream(&self.slot.control, self.sim.open_control().unwrap(), false);
        Driver::over(port, &self.slot, &self.options).await
    }

    fn held(&self) -> usize {
        self.sim.inspect(|modem| modem.clients().len())
    }

    fn sessions(&self) -> usize {
        self.sim.inspect(|modem| modem.sessions().len())
    }

    /// Waits until no client id is held any more.
    async fn nothing_is_held(&self) {
        for _ in 0..1000 {
            if self.held() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} client ids are still held", self.held());
    }
}

fn profile() -> Profile {
    let login = Login {
        user_name: "foo".into(),
        password: Secret::new("bar"),
        protocol: AuthenticationProtocol::Chap,
    };
    Profile { apn_name: "broadband".into(), index: None, authentication: Some(login) }
}

async fn registered(driver: &Driver) {
    for _ in 0..100 {
        if driver.registration().await.unwrap().state == RegistrationState::Registered {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("the modem does not register");
}

async fn connected(bench: &Bench) -> (Driver, Notices) {
    let (driver, notices) = bench.open().await.unwrap();
    driver.ensure_online().await.unwrap();
    registered(&driver).await;
    for family in BOTH {
        driver.connect(Call { family, profile: &profile() }).await.unwrap();
    }
    (driver, notices)
}

async fn next(notices: &mut Notices, wanted: impl Fn(&Notice) -> bool) -> Notice {
    loop {
        let notice =
            tokio::time::timeout(Duration::from_secs(60), notices.next()).await.expect("a notice in time");
        if wanted(&notice) {
            return notice;
        }
        assert!(!matches!(notice, Notice::Gone(_)), "{notice:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_comes_up_step_by_step_and_leaves_nothing_behind() {
    let bench = Bench::new(ModemSpec { imei: Some("356938035643809".into()), ..ModemSpec::default() });
    let (driver, _notices) = bench.open().await.unwrap();
    let identity = driver.identity().await.unwrap();
    assert_eq!(identity.imei.as_deref(), Some("356938035643809"));
    assert_eq!(identity.model.as_deref(), Some("MC7455"));
    driver.ensure_online().await.unwrap();
    let sim = driver.sim_status().await.unwrap();
    assert_eq!((sim.card, sim.pin), (CardState::Ready, Some(PinState::Disabled)));
    bench.sim.inspect(|modem| {
        assert_eq!(sim.iccid.as_ref(), Some(&modem.identity().iccid));
        assert_eq!(sim.imsi.as_ref(), Some(&modem.identity().imsi));
        assert_eq!(sim.msisdn.as_ref(), Some(&modem.identity().msisdn));
    });
    driver.subscribe().await.unwrap();
    driver.disable_autoconnect().await.unwrap();
    driver.agree_raw_ip(Path::new("/nonexistent")).await.unwrap();
    assert!(bench.sim.inspect(|modem| modem.is_raw_ip()));
    assert!(driver.write_attach_profile(&profile(), &BOTH).await.unwrap());
    assert!(!driver.write_attach_profile(&profile(), &BOTH).await.unwrap(), "what is right is not touched");
    registered(&driver).await;
    let registration = driver.registration().await.unwrap();
    let carrier = registration.carrier.unwrap();
    bench.sim.inspect(|modem| {
        let known = &modem.identity().carrier;
        assert_eq!((carrier.mcc, carrier.mnc), (known.mcc.clone(), known.mnc.clone()));
        assert_eq!(carrier.name.as_ref(), Some(&known.name));
    });
    assert_eq!((registration.radio, registration.roaming), (Radio::Lte, Some(false)));
    assert!(registration.cell.band.is_some() && registration.cell.tac.is_some());

    for family in BOTH {
        let session = driver.connect(Call { family, profile: &profile() }).await.unwrap();
        assert_eq!((session.family, session.made), (family, Made::New));
        assert_eq!(driver.packet_status(family).await.unwrap(), ConnectionStatus::Connected);
        let settings = driver.current_settings(family).await.unwrap();
        assert!(settings.mtu_bytes.is_some());
        assert_eq!(
            (settings.ipv4.is_some(), settings.ipv6.is_some()),
            (family == BOTH[0], family == BOTH[1])
        );
        driver.statistics(family).await.unwrap();
    }
    let ipv4 = driver.current_settings(IpFamily::Ipv4).await.unwrap().ipv4.unwrap();
    bench.sim.inspect(|modem| {
        let session = modem.sessions().iter().find(|session| session.family == Family::V4).unwrap();
        assert_eq!(session.apn, "broadband");
    });
    assert!(!ipv4.dns.is_empty() && ipv4.prefix_length <= 30);
    let both = driver.settings().await.unwrap();
    assert!(both.ipv4 == Some(ipv4) && both.ipv6.is_some());
    for family in BOTH {
        driver.disconnect(family).await.unwrap();
        driver.disconnect(family).await.unwrap();
        assert_eq!(driver.packet_status(family).await.unwrap(), ConnectionStatus::Disconnected);
    }
    driver.close(false).await;
    assert_eq!((bench.held(), bench.sessions()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_modem_that_wants_its_data_endpoint_named_is_told_its_usb_interface() {
    let mut bench = Bench::new(ModemSpec { framing: Framing::WdaEndpoint, ..ModemSpec::default() });
    let is_raw_ip = |bench: &Bench| bench.sim.inspect(|modem| modem.is_raw_ip());
    bench.slot.interface_number = DATA_INTERFACE + 1;
    let (driver, _notices) = bench.open().await.unwrap();
    let error = driver.agree_raw_ip(Path::new("/nonexistent")).await.unwrap_err();
    assert_eq!((error.protocol(), is_raw_ip(&bench)), (Some(ProtocolError::InvalidArgument), false));
    driver.close(false).await;

    bench.slot.interface_number = DATA_INTERFACE;
    let (driver, _notices) = bench.open().await.unwrap();
    driver.agree_raw_ip(Path::new("/nonexistent")).await.unwrap();
    assert!(is_raw_ip(&bench));
    driver.close(false).await;
    assert_eq!(bench.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_modem_without_wda_is_framed_by_its_control_service() {
    let bench = Bench::new(ModemSpec { framing: Framing::Ctl, ..ModemSpec::default() });
    let (driver, _notices) = bench.open().await.unwrap();
    driver.agree_raw_ip(Path::new("/nonexistent")).await.unwrap();
    assert!(bench.sim.inspect(|modem| modem.is_raw_ip()));
    driver.ensure_online().await.unwrap();
    registered(&driver).await;
    for family in BOTH {
        driver.connect(Call { family, profile: &profile() }).await.unwrap();
    }
    // Sessions that are up are left alone when it is agreed on again.
    driver.agree_raw_ip(Path::new("/nonexistent")).await.unwrap();
    assert_eq!(bench.sessions(), 2);
    driver.close(false).await;
    assert_eq!(bench.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn signal_is_what_the_radio_measures() {
    let bench = Bench::new(ModemSpec::default());
    let (driver, _notices) = bench.open().await.unwrap();
    registered(&driver).await;
    let told = driver.signal().await.unwrap();
    let real = bench.sim.inspect(|modem| modem.reading());
    assert_eq!(told.radio, Radio::Lte);
    assert_eq!(told.signal.rsrp_dbm.map(f64::from), real.rsrp_dbm.map(|v| f64::from(v).round()));
    assert!(told.signal.snr_db.is_some());
}

#[tokio::test(start_paused = true)]
async fn client_ids_are_given_back_however_the_driver_ends() {
    let bench = Bench::new(ModemSpec::default());
    // Dropped without a word.
    drop(bench.open().await.unwrap());
    bench.nothing_is_held().await;
    // A wrong modem is refused.
    let mut wrong = bench.options.clone();
    wrong.expected_imei = Some("000000000000000".into());
    let port = Port::from_stream(&bench.slot.control, bench.sim.open_control().unwrap(), false);
    let error = Driver::over(port, &bench.slot, &wrong).await.err().unwrap();
    assert!(matches!(error, DriverError::WrongModem { .. }), "{error}");
    assert_eq!(error.cause().class(), FailureClass::OperatorMustAct);
    bench.nothing_is_held().await;
    // The modem has no NAS id left, and others may hold theirs: what was allocated before is given back.
    bench.sim.begin(&Fault::LeakClients { service: "nas".into() });
    let before = bench.held();
    let port = Port::from_stream(&bench.slot.control, bench.sim.open_control().unwrap(), true);
    let error = Driver::over(port, &bench.slot, &bench.options).await.err().unwrap();
    assert_eq!(error, DriverError::ClientIdsExhausted { service: "nas".into() });
    assert_eq!(error.cause().class(), FailureClass::ControlChannel);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.held(), before);
    bench.sim.end(&Fault::LeakClients { service: "nas".into() });
    // Cancelled at every moment of opening.
    for after_ms in 0..12 {
        let _ = tokio::time::timeout(Duration::from_millis(after_ms), bench.open()).await;
        bench.nothing_is_held().await;
    }
}

#[tokio::test(start_paused = true)]
async fn exhausted_ids_are_freed_once_by_the_sole_owner() {
    for service in ["dms", "nas", "uim", "wda", "wds"] {
        let bench = Bench::new(ModemSpec::default());
        bench.sim.begin(&Fault::LeakClients { service: service.into() });
        let (driver, _notices) = bench.open().await.unwrap();
        assert_eq!(
            bench.held(),
            6,
            "{service}: nobody else has any, and what was allocated before is not held twice"
        );
        driver.close(false).await;
        assert_eq!(bench.held(), 0, "{service}");
    }
}

#[tokio::test]
async fn ids_are_not_freed_over_a_session_that_lives() {
    let bench = Bench::new(ModemSpec { register_ms: Some(1), connect_ms: Some(1), ..ModemSpec::default() });
    killed(&bench).await;
    bench.sim.begin(&Fault::LeakClients { service: "nas".into() });
    let (driver, _notices) = bench.open().await.unwrap();
    assert_eq!(bench.sessions(), 2, "our own id of before was enough");
    driver.close(true).await;
    bench.sim.begin(&Fault::LeakClients { service: "nas".into() });
    let error = bench.open().await.err().unwrap();
    assert_eq!(error, DriverError::ClientIdsExhausted { service: "nas".into() });
    assert_eq!(bench.sessions(), 2);
}

/// Ends the driver the way `kill -9` does: its task just stops, nothing is given back.
async fn killed(bench: &Bench) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (slot, options) = (bench.slot.clone(), bench.options.clone());
    let stream = bench.sim.open_control().unwrap();
    let killed = std::thread::spawn(move || {
        runtime.block_on(async {
            let port = Port::from_stream(&slot.control, stream, false);
            let (driver, notices) = Driver::over(port, &slot, &options).await.unwrap();
            registered(&driver).await;
            for family in BOTH {
                driver.connect(Call { family, profile: &profile() }).await.unwrap();
            }
            std::mem::forget((driver, notices));
        });
        // The runtime goes with its tasks in mid-air.
        drop(runtime);
    });
    while !killed.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        std::thread::yield_now();
    }
    killed.join().unwrap();
}

#[tokio::test]
async fn a_session_survives_a_killed_agent_and_is_adopted_with_its_traffic() {
    let quick = ModemSpec { register_ms: Some(1), connect_ms: Some(1), ..ModemSpec::default() };
    let bench = Bench::new(quick);
    killed(&bench).await;
    let (held, sessions) = (bench.held(), bench.sessions());
    assert_eq!((held, sessions), (6, 2), "what a killed agent leaves");
    let attempts = bench.sim.inspect(|modem| modem.attempt_count());

    let (driver, _notices) = bench.open().await.unwrap();
    assert_eq!(bench.held(), 6, "the old ids were given back, those of the sessions are used on");
    for family in BOTH {
        let session = driver.connect(Call { family, profile: &profile() }).await.unwrap();
        assert_eq!(session.made, Made::Adopted);
        driver.current_settings(family).await.unwrap();
    }
    assert_eq!(bench.sim.inspect(|modem| modem.attempt_count()), attempts, "nothing was dialled");

    // Handed over: the sessions stay, everything else is given back; then taken back and taken down.
    driver.close(true).await;
    assert_eq!((bench.held(), bench.sessions()), (2, 2));
    let (driver, _notices) = bench.open().await.unwrap();
    for family in BOTH {
        driver.disconnect(family).await.unwrap();
    }
    driver.close(false).await;
    assert_eq!((bench.held(), bench.sessions()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn no_effect_adopts_a_session_whose_owner_nobody_knows() {
    let bench = Bench::new(ModemSpec::default());
    let (driver, _notices) = bench.open().await.unwrap();
    registered(&driver).await;
    bench.sim.begin(&Fault::StaleSession);
    let call = Call { family: IpFamily::Ipv4, profile: &profile() };
    let session = driver.connect(call).await.unwrap();
    assert_eq!((session.made, session.handle), (Made::Adopted, 0xFFFF_FFFF));
    driver.clean_up().await.unwrap();
    driver.close(false).await;
    assert_eq!((bench.held(), bench.sessions()), (0, 0));
    let (driver, _notices) = bench.open().await.unwrap();
    assert_eq!(driver.connect(call).await.unwrap().made, Made::New);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_says_type_code_and_name() {
    let bench = Bench::new(ModemSpec::default());
    let (driver, _notices) = bench.open().await.unwrap();
    registered(&driver).await;
    bench.sim.begin(&Fault::CallEnd { r#type: 6, code: 33, family: None });
    let error = driver.connect(Call { family: IpFamily::Ipv4, profile: &profile() }).await.unwrap_err();
    let cause = error.cause();
    assert_eq!((cause.r#type, cause.code, cause.reason.as_str()), (6, 33, "option-unsubscribed"));
    assert_eq!(cause.class(), FailureClass::Subscription);
    assert!(matches!(error, DriverError::CallFailed { family: IpFamily::Ipv4, .. }));
}

#[tokio::test(start_paused = true)]
async fn stale_clients_are_told_apart_from_other_refusals() {
    let bench = Bench::new(ModemSpec::default());
    let (driver, _notices) = bench.open().await.unwrap();
    registered(&driver).await;
    bench.sim.begin(&Fault::PolicyMismatch);
    let error = driver.connect(Call { family: IpFamily::Ipv4, profile: &profile() }).await.unwrap_err();
    assert_eq!(error.cause().class(), FailureClass::StaleState);
    driver.clean_up().await.unwrap();
    driver.close(false).await;
    let (driver, _notices) = bench.open().await.unwrap();
    driver.connect(Call { family: IpFamily::Ipv4, profile: &profile() }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refused_registration_names_cause_and_source() {
    let bench = Bench::new(ModemSpec::default());
    let (driver, mut notices) = bench.open().await.unwrap();
    driver.subscribe().await.unwrap();
    registered(&driver).await;
    bench.sim.begin(&Fault::RegistrationReject { cause: 11 });
    let heard = next(&mut notices, |notice| matches!(notice, Notice::NetworkReject(_))).await;
    let Notice::NetworkReject(reject) = heard else { unreachable!() };
    assert_eq!(reject.cause, 11);
    let registration = driver.registration().await.unwrap();
    assert_eq!(registration.state, RegistrationState::Denied);
    assert_eq!(registration.reject.unwrap().cause, 11);
}

#[tokio::test(start_paused = true)]
async fn the_pin_is_tried_once_and_never_with_few_tries_left() {
    let bench = Bench::new(ModemSpec { pin: Some("1234".into()), ..ModemSpec::default() });
    let (driver, _notices) = bench.open().await.unwrap();
    let sim = driver.sim_status().await.unwrap();
    assert_eq!((sim.card, sim.pin_retries), (CardState::PinRequired, Some(3)));
    let error = driver.verify_pin(&Secret::new("9999")).await.unwrap_err();
    assert_eq!(error, DriverError::PinRefused { left: Some(2) });
    assert_eq!(error.cause().class(), FailureClass::OperatorMustAct);
    let error = driver.verify_pin(&Secret::new("1234")).await.unwrap_err();
    assert_eq!(error, DriverError::PinRetriesLow { left: 2 });
    assert_eq!(bench.sim.inspect(|modem| modem.card().tries_left().0), 2, "no further try was spent");

    let fresh = Bench::new(ModemSpec { pin: Some("1234".into()), ..ModemSpec::default() });
    let (driver, _notices) = fresh.open().await.unwrap();
    driver.verify_pin(&Secret::new("1234")).await.unwrap();
    driver.verify_pin(&Secret::new("9999")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(driver.sim_status().await.unwrap().card, CardState::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_card_pulled_and_put_back_is_noticed() {
    let bench = Bench::new(ModemSpec::default());
    let (driver, mut notices) = bench.open().await.unwrap();
    driver.subscribe().await.unwrap();
    bench.sim.begin(&Fault::SimAbsent);
    next(&mut notices, |notice| *notice == Notice::CardStatus).await;
    assert_eq!(driver.sim_status().await.unwrap().card, CardState::Absent);
    bench.sim.end(&Fault::SimAbsent);
    next(&mut notices, |notice| *notice == Notice::CardStatus).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_and_changed_settings_are_noticed() {
    let bench = Bench::new(ModemSpec::default());
    let (driver, mut notices) = connected(&bench).await;
    driver.subscribe().await.unwrap();
    let before = driver.current_settings(IpFamily::Ipv4).await.unwrap();
    bench.sim.begin(&Fault::SettingsChanged { indication: true });
    next(&mut notices, |notice| {
        matches!(notice, Notice::SettingsChanged | Notice::PacketStatus { reconfigure: true, .. })
    })
    .await;
    assert_ne!(driver.current_settings(IpFamily::Ipv4).await.unwrap(), before);
    bench.sim.begin(&Fault::PdnDropped { r#type: 6, code: 36, indication: true });
    let wanted = |notice: &Notice| {
        matches!(notice, Notice::PacketStatus { status: ConnectionStatus::Disconnected, .. })
    };
    let Notice::PacketStatus { family, cause, .. } = next(&mut notices, wanted).await else { unreachable!() };
    assert!(family.is_some());
    assert_eq!(cause.map(|cause| (cause.r#type, cause.code)), Some((6, 36)));
}

#[tokio::test(start_paused = true)]
async fn a_silent_modem_costs_a_deadline_and_never_hangs() {
    let bench = Bench::new(ModemSpec::default());
    let (driver, mut notices) = bench.open().await.unwrap();
    bench.sim.begin(&Fault::Silent);
    let start = tokio::time::Instant::now();
    let error = driver.registration().await.unwrap_err();
    assert!(matches!(error, DriverError::Timeout { message: "Get Serving System", .. }), "{error}");
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(error.cause().class(), FailureClass::ControlChannel);
    // Ten in a row and the port is given up.
    for _ in 0..9 {
        assert!(driver.packet_status(IpFamily::Ipv4).await.is_err());
    }
    let Notice::Gone(reason) = next_or_gone(&mut notices).await else {
        panic!("the port should be given up")
    };
    assert!(reason.contains("does not answer"), "{reason}");
    assert!(matches!(driver.registration().await, Err(DriverError::Gone(_))));
    // And one that never spoke at all.
    let start = tokio::time::Instant::now();
    assert!(matches!(bench.open().await.err().unwrap(), DriverError::Timeout { .. } | DriverError::Gone(_)));
    assert!(start.elapsed() < Duration::from_secs(20));
}

async fn next_or_gone(notices: &mut Notices) -> Notice {
    loop {
        if let gone @ Notice::Gone(_) = notices.next().await {
            return gone;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_request_may_be_swallowed() {
    let bench = Bench::new(ModemSpec::default());
    bench.sim.begin(&Fault::HangOnce);
    let (driver, _notices) = bench.open().await.unwrap();
    bench.sim.begin(&Fault::Garbage);
    driver.identity().await.unwrap();
    driver.close(false).await;
    assert_eq!(bench.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_modem_that_leaves_the_bus_ends_everything_at_once() {
    let bench = Bench::new(ModemSpec::default());
    let (driver, mut notices) = connected(&bench).await;
    driver.reset_operating_mode().await.unwrap();
    assert!(matches!(next_or_gone(&mut notices).await, Notice::Gone(_)));
    assert!(matches!(driver.signal().await, Err(DriverError::Gone(_))));
    drop(driver);
    bench.sim.device().wait_for(Option::is_some).await.unwrap();
    let mut again = bench.slot.clone();
    again.device += 1;
    let port = Port::from_stream(&again.control, bench.sim.open_control().unwrap(), false);
    let (driver, _notices) = Driver::over(port, &again, &bench.options).await.unwrap();
    driver.close(false).await;
    assert_eq!(bench.held(), 0, "ids of the modem before its restart are not taken for ours");
}

#[tokio::test]
async fn at_commands_run_on_the_serial_port_and_chatter_stays_apart() {
    let folder = tempfile::tempdir().unwrap();
    let paths: [PathBuf; 2] = ["control", "at"].map(|name| folder.path().join(name));
    let sim = SimModem::on_ptys(Settings::default(), &paths[0], &paths[1]).unwrap();
    let slot = Slot::by_path("wwan0", &paths[0], vec![paths[1].clone()]);
    let options = OpenOptions { access: Access::Direct, ..OpenOptions::default() };
    let (driver, _notices) = Driver::open(&slot, &options).await.unwrap();
    sim.begin(&Fault::AtChatter);
    for text in ["ATQ0", "ATI", "AT+CSQ"] {
        let command = tandem::at::Command::new(text).unwrap();
        let reply = driver.at(&command).await.unwrap();
        assert!(reply.result.is_ok(), "{text}: {reply:?}");
        assert!(reply.information.iter().all(|line| !line.contains("RING") && !line.starts_with("+CREG")));
    }
    assert_eq!(driver.extended_error().await.unwrap(), None, "there was no call");
    driver.close(false).await;
    assert!(sim.inspect(|modem| modem.clients().is_empty()));
}

/// A port on which nobody ever answers.
#[tokio::test]
async fn an_at_port_has_the_rate_and_the_time_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let paths: [PathBuf; 2] = ["control", "at"].map(|name| folder.path().join(name));
    let _sim = SimModem::on_ptys(Settings::default(), &paths[0], &paths[1]).unwrap();
    let silent = nix::pty::openpty(None, None).unwrap();
    let port = nix::unistd::ttyname(&silent.slave).unwrap();
    let slot = Slot::by_path("wwan0", &paths[0], vec![port.clone()]);
    let serial = tandem::config::Serial { baud_rate: 19_200, timeout: Duration::from_millis(150) };
    let options = OpenOptions { access: Access::Direct, serial, ..OpenOptions::default() };
    let (driver, _notices) = Driver::open(&slot, &options).await.unwrap();
    let error = driver.at(&tandem::at::Command::new("ATI").unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("no answer to ATI within 150 ms"), "{error}");
    assert_eq!(rate_of(&port), 19_200);
    driver.close(false).await;
}

/// A modem in a sysfs tree: it leaves its place and comes back as another device.
#[tokio::test]
async fn an_image_that_does_not_take_is_taken_back() {
    let root = tempfile::tempdir().unwrap();
    let tree = Tree::create(root.path()).unwrap();
    let modem = ModemSpec { restart_ms: Some(300), register_ms: Some(1), ..ModemSpec::default() };
    let settings = Settings { seed: 7, scenario: Scenario { modem, steps: Vec::new() }, trace: None };
    let place = Place::of(0);
    let publish = Publish::Tree { tree: tree.clone(), place: place.clone() };
    let sim = SimModem::spawn(settings, publish).unwrap();
    let mut options = OpenOptions { access: Access::Direct, ..OpenOptions::default() };
    options.deadlines.settle = Duration::from_millis(300);
    let before = sim.inspect(|modem| modem.firmware().carrier().to_owned());
    let wanted = if before == "ATT" { "VERIZON" } else { "ATT" };
    let looks = std::cell::Cell::new(0);
    let find = || {
        // Between setting and restart the image gets lost.
        if looks.replace(looks.get() + 1) == 1 {
            sim.begin(&Fault::ImageLost);
        }
        let mut slot = discover(&tree.sys()).slot(&place.netdev())?;
        slot.control = tree.dev().join(slot.control.file_name()?);
        Some(slot)
    };
    let changed = image_change::change(wanted, &options, find).await.unwrap();
    assert_eq!(changed.result, "rolled-back", "{changed:?}");
    assert!(changed.cause.unwrap().contains("stays in"));
    assert_eq!(changed.after, changed.before);
    assert_eq!(sim.inspect(|modem| modem.firmware().carrier().to_owned()), before);
    assert!(sim.inspect(|modem| modem.clients().is_empty()));
}
