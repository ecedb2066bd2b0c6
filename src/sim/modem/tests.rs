//! The modem as a client meets it, with time as a number.

use proptest::prelude::*;

use super::*;
use crate::qmi::dms;
use crate::qmi::frame::Refusal;
use crate::qmi::nas::{self, RegistrationState};
use crate::qmi::uim::{self, CardApplicationState, CardState};
use crate::qmi::wds::{self, ConnectionStatus, PacketStatisticsMaskFlag, RequestedSettings};
use crate::sim::scenario::{ModemSpec, Step, When};

/// A short trace, made once: making the usual one takes longer than a test should.
fn trace() -> Trace {
    static TRACE: std::sync::LazyLock<Trace> =
        std::sync::LazyLock::new(|| radio::generate(2, Motion::Drive, Duration::from_secs(60)));
    TRACE.clone()
}

/// A modem with a clock, and what it said.
struct Bench {
    modem: Modem,
    now: Duration,
    frames: Vec<Frame>,
    text: String,
    presence: Vec<Output>,
}

impl Bench {
    fn with(spec: ModemSpec, steps: Vec<Step>) -> Self {
        let scenario = Scenario { modem: spec, steps };
        let mut bench = Self {
            modem: Modem::new(Settings { seed: 2, scenario, trace: Some(trace()) }),
            now: Duration::ZERO,
            frames: Vec::new(),
            text: String::new(),
            presence: Vec::new(),
        };
        bench.pass(2000);
        bench
    }

    fn new() -> Self {
        Self::with(ModemSpec::default(), Vec::new())
    }

    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.modem.advance(self.now);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(output) = self.modem.poll_output() {
            match output {
                Output::Qmi(bytes) => self.frames.push(Frame::decode(&bytes).unwrap()),
                Output::At(bytes) => self.text += std::str::from_utf8(&bytes).unwrap(),
                output => self.presence.push(output),
            }
        }
    }

    /// The answer to a request, awaited for three seconds; `None` when none comes.
    fn try_ask<R: Request>(
        &mut self,
        client: u8,
        request: &R,
    ) -> Option<Result<R::Response, Refusal<R::Failure>>> {
        self.modem.handle_qmi(&Frame::request(client, 7, request).encode(), self.now);
        self.collect();
        for _ in 0..30 {
            let found = self.frames.iter().position(|frame| {
                (frame.kind, frame.service, frame.message) == (Kind::Response, R::SERVICE, R::ID)
            });
            if let Some(index) = found {
                let frame = self.frames.remove(index);
                assert_eq!((frame.client, frame.transaction), (client, 7));
                return Some(frame.read_answer::<R>());
            }
            self.pass(100);
        }
        None
    }

    fn ask<R: Request>(&mut self, client: u8, request: &R) -> Result<R::Response, Refusal<R::Failure>> {
        self.try_ask(client, request).expect("an answer within three seconds")
    }

    fn error<R: Request>(&mut self, client: u8, request: &R) -> ProtocolError {
        match self.ask(client, request) {
            Err(Refusal::Refused { error, .. }) => error,
            Err(Refusal::Malformed(missing)) => panic!("{missing}"),
            Ok(_) => ProtocolError::None,
        }
    }

    fn client(&mut self, service: Service) -> u8 {
        self.ask(0, &ctl::AllocateCid { service }).expect("an id is free").allocation_info.cid
    }

    fn connect(&mut self, client: u8) -> u32 {
        let request = wds::StartNetwork { apn: Some("broadband".to_owned()), ..Default::default() };
        self.ask(client, &request).expect("the network takes us").packet_data_handle
    }

    fn call_failure(&mut self, client: u8) -> (u16, i16) {
        match self.ask(client, &wds::StartNetwork::default()) {
            Err(Refusal::Refused { error: ProtocolError::CallFailed, details }) => {
                let reason = details.verbose_call_end_reason.unwrap();
                (reason.reason_type, reason.reason)
            }
            Ok(_) => (0, 0),
            Err(Refusal::Refused { error, .. }) => panic!("{error}"),
            Err(Refusal::Malformed(missing)) => panic!("{missing}"),
        }
    }

    fn indications<I: Indication>(&mut self) -> Vec<(u8, I)> {
        let (found, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.frames).into_iter().partition(|frame| {
                frame.kind == Kind::Indication && (frame.service, frame.message) == (I::SERVICE, I::ID)
            });
        self.frames = rest;
        found.iter().map(|frame| (frame.client, frame.read_indication::<I>().unwrap().unwrap())).collect()
    }

    fn registration(&mut self, client: u8) -> RegistrationState {
        self.ask(client, &nas::GetServingSystem {}).unwrap().serving_system.registration_state
    }

    fn bytes(&mut self, client: u8) -> (u64, u64) {
        let mask = PacketStatisticsMaskFlag(0x3ff);
        let answer = self.ask(client, &wds::GetPacketStatistics { mask }).unwrap();
        (answer.tx_bytes_ok.unwrap(), answer.rx_bytes_ok.unwrap())
    }

    fn settings(&mut self, client: u8) -> Result<wds::GetCurrentSettingsResponse, ProtocolError> {
        let requested_settings = RequestedSettings(0xE338);
        self.ask(client, &wds::GetCurrentSettings { requested_settings }).map_err(|refusal| match refusal {
            Refusal::Refused { error, .. } => error,
            Refusal::Malformed(missing) => panic!("{missing}"),
        })
    }

    fn begin(&mut self, fault: &Fault) {
        self.modem.begin(fault, self.now);
        self.collect();
    }

    fn end(&mut self, fault: &Fault) {
        self.modem.end(fault, self.now);
        self.collect();
    }

    fn at(&mut self, line: &str) -> String {
        self.text.clear();
        self.modem.handle_at(format!("{line}\r").as_bytes(), self.now);
        self.collect();
        std::mem::take(&mut self.text)
    }
}

#[test]
fn a_session_comes_up_counts_and_goes_down() {
    let mut bench = Bench::new();
    let (wds, other) = (bench.client(Service::Wds), bench.client(Service::Wds));
    assert_eq!(bench.settings(wds), Err(ProtocolError::OutOfCall));
    let handle = bench.connect(wds);
    let told = bench.indications::<wds::PacketServiceStatus>();
    assert_eq!(told.iter().map(|(client, _)| *client).collect::<Vec<_>>(), [wds, other]);
    assert_eq!(told[0].1.connection_status.status, ConnectionStatus::Connected);
    let settings = bench.settings(wds).unwrap();
    assert_eq!(settings.ipv4_address, Some(bench.modem.sessions()[0].settings.ipv4));
    assert_eq!((settings.ip_family, settings.ipv6_address), (Some(wds::IpFamily::Ipv4), None));
    assert_eq!(settings.apn_name.as_deref(), Some("broadband"));
    let before = bench.bytes(wds);
    bench.pass(10_000);
    let after = bench.bytes(wds);
    assert!(after.0 > before.0 && after.1 > before.1, "{before:?} {after:?}");
    assert_eq!(bench.error(other, &wds::StartNetwork::default()), ProtocolError::NoEffect);
    let stop = |packet_data_handle| wds::StopNetwork { packet_data_handle, disable_autoconnect: None };
    assert_eq!(bench.error(wds, &stop(handle + 1)), ProtocolError::InvalidHandle);
    assert_eq!(bench.error(wds, &stop(handle)), ProtocolError::None);
    let told = bench.indications::<wds::PacketServiceStatus>();
    assert_eq!(told[0].1.connection_status.status, ConnectionStatus::Disconnected);
    assert_eq!(bench.error(wds, &stop(u32::MAX)), ProtocolError::NoEffect);
    assert_eq!(bench.modem.attempt_count(), 2);
    let outcomes: Vec<_> = bench.modem.attempts().map(|attempt| attempt.outcome).collect();
    let refused = Outcome::Refused(ProtocolError::NoEffect);
    assert_eq!(outcomes, [Some(Outcome::Connected), Some(refused)]);
}

#[test]
fn each_family_has_its_own_session_and_client() {
    let mut bench = Bench::new();
    let (v4, v6) = (bench.client(Service::Wds), bench.client(Service::Wds));
    let family = wds::SetIpFamily { preference: wds::IpFamily::Ipv6 };
    assert_eq!(bench.error(v6, &family), ProtocolError::None);
    let (first, second) = (bench.connect(v4), bench.connect(v6));
    assert_ne!(first, second);
    let settings = bench.settings(v6).unwrap();
    assert!(settings.ipv4_address.is_none() && settings.ipv6_address.is_some());
    let release = ctl::ReleaseCid { release_info: ctl::ClientId { service: Service::Wds, cid: v4 } };
    assert_eq!(bench.error(0, &release), ProtocolError::None);
    let families: Vec<_> = bench.modem.sessions().iter().map(|session| session.family).collect();
    assert_eq!(families, [Family::V6], "a session ends with the client that owns it");
}

#[test]
fn client_ids_run_out_and_sync_gives_them_back() {
    let mut bench = Bench::new();
    for _ in 0..MAX_NAS_CLIENTS {
        bench.client(Service::Nas);
    }
    let allocate = ctl::AllocateCid { service: Service::Nas };
    assert_eq!(bench.error(0, &allocate), ProtocolError::ClientIdsExhausted);
    assert_eq!(bench.error(0, &ctl::Sync {}), ProtocolError::None);
    assert_eq!(bench.error(0, &allocate), ProtocolError::None);
    let leak = Fault::LeakClients { service: "nas".to_owned() };
    bench.begin(&leak);
    assert_eq!(bench.error(0, &allocate), ProtocolError::ClientIdsExhausted);
    bench.end(&leak);
    assert_eq!(bench.modem.clients().of(Service::Nas), [1]);
}

#[test]
fn what_a_modem_cannot_read_or_does_not_know_is_refused_by_name() {
    let mut bench = Bench::new();
    let dms = bench.client(Service::Dms);
    assert_eq!(bench.error(dms + 1, &dms::GetModel {}), ProtocolError::InvalidClientId);
    let unknown = ctl::AllocateCid { service: Service::Loc };
    assert_eq!(bench.error(0, &unknown), ProtocolError::InvalidServiceType);
    let mut say = |mut frame: Frame, spoil: fn(&mut Vec<u8>)| {
        frame.transaction = 9;
        let mut bytes = frame.encode();
        spoil(&mut bytes);
        bench.modem.handle_qmi(&bytes, bench.now);
        bench.collect();
        bench.frames.pop().map(|frame| frame.result().unwrap())
    };
    let request = || Frame::request(dms, 9, &dms::SetOperatingMode { mode: OperatingMode::Online });
    let unnamed = Frame { message: 0x7777, ..request() };
    assert_eq!(say(unnamed, |_| {}), Some(ProtocolError::InvalidQmiCommand));
    let empty = Frame { tlvs: Tlvs::new(), ..request() };
    assert_eq!(say(empty, |_| {}), Some(ProtocolError::MissingArgument));
    assert_eq!(say(request(), |bytes| bytes[14] = 9), Some(ProtocolError::MalformedMessage));
    assert_eq!(say(request(), |bytes| bytes[6] = 0x33), None);
    assert_eq!(say(request(), |bytes| bytes[1] = 0xFF), None);
}

#[test]
fn refusals_of_the_network_carry_type_and_code() {
    let mut bench =
        Bench::with(ModemSpec { apns: vec!["broadband".to_owned()], ..Default::default() }, Vec::new());
    let wds = bench.client(Service::Wds);
    assert_eq!(bench.call_failure(wds), (6, 27));
    let unsubscribed = Fault::CallEnd { r#type: 6, code: 33, family: None };
    bench = Bench::new();
    let wds = bench.client(Service::Wds);
    for (fault, reason) in [
        (unsubscribed, (6, 33)),
        (Fault::CallEnd { r#type: 6, code: 50, family: Some(Family::V4) }, (6, 50)),
        (Fault::CallEnd { r#type: 6, code: 50, family: Some(Family::V6) }, (0, 0)),
        (Fault::Throttled, (2, 209)),
        (Fault::NoService, (3, 2001)),
        (Fault::RegistrationReject { cause: 11 }, (3, 2001)),
        (Fault::SimAbsent, (3, 518)),
        (Fault::SlowSim, (3, 2504)),
    ] {
        bench.begin(&fault);
        bench.pass(1000);
        assert_eq!(bench.call_failure(wds), reason, "{fault:?}");
        bench.end(&fault);
        bench.pass(2000);
        bench.ask(wds, &wds::StopNetwork { packet_data_handle: u32::MAX, disable_autoconnect: None }).ok();
    }
    assert_eq!(bench.call_failure(wds), (0, 0));
}

#[test]
fn registration_follows_faults_and_tells_those_who_asked() {
    let mut bench = Bench::new();
    let (nas, silent) = (bench.client(Service::Nas), bench.client(Service::Nas));
    let register = nas::RegisterIndications {
        serving_system_events: Some(true),
        system_info: Some(true),
        network_reject_information: Some(nas::NetworkRejectReporting {
            enable_network_reject_indications: true,
            suppress_system_info_indications: false,
        }),
        ..Default::default()
    };
    bench.ask(nas, &register).unwrap();
    assert_eq!(bench.registration(silent), RegistrationState::Registered);
    let reject = Fault::RegistrationReject { cause: 11 };
    bench.begin(&reject);
    bench.pass(1000);
    assert_eq!(bench.registration(nas), RegistrationState::RegistrationDenied);
    let told = bench.indications::<nas::NetworkReject>();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].0, told[0].1.reject_cause), (nas, crate::qmi::RejectCause::PlmnNotAllowed));
    let info = bench.ask(nas, &nas::GetSystemInfo {}).unwrap().lte_system_info_v2.unwrap();
    assert_eq!(info.reject.unwrap().cause, crate::qmi::RejectCause::PlmnNotAllowed);
    let states: Vec<_> = bench.indications::<nas::ServingSystem>();
    assert!(states.iter().all(|(client, _)| *client == nas));
    bench.end(&reject);
    bench.pass(1000);
    assert_eq!(bench.registration(nas), RegistrationState::Registered);
    bench.begin(&Fault::NoService);
    assert_eq!(bench.registration(nas), RegistrationState::NotRegisteredSearching);
    assert_eq!(bench.ask(nas, &nas::GetSignalInfo {}).unwrap(), nas::SignalInfo::default());
}

#[test]
fn a_signal_is_told_only_when_it_crosses_a_threshold() {
    use crate::sim::radio::{Cell, Reading, Technology};
    let cell = Cell::observed(0x0123_4501, 7, Technology::Lte);
    let reading =
        |rsrp| Reading { technology: Technology::Lte, rsrp_dbm: Some(rsrp), cell, ..Default::default() };
    let trace = Trace::evenly(Duration::from_secs(10), [-80, -85, -95, -97, -89].map(reading)).unwrap();
    let mut bench = Bench::new();
    bench.modem = Modem::new(Settings { seed: 2, trace: Some(trace), ..Default::default() });
    bench.now = Duration::ZERO;
    bench.pass(1000);
    let nas = bench.client(Service::Nas);
    let config = nas::ConfigSignalInfo { rsrp_threshold: Some(vec![-90]), ..Default::default() };
    bench.ask(nas, &config).unwrap();
    bench.ask(nas, &nas::RegisterIndications { signal_info: Some(true), ..Default::default() }).unwrap();
    bench.pass(45_000);
    let told: Vec<_> = bench.indications::<nas::SignalInfo>();
    let powers: Vec<_> =
        told.iter().map(|(_, info)| info.lte_signal_strength.clone().unwrap().rsrp).collect();
    assert_eq!(powers, [-95, -89]);
}

#[test]
fn a_pulled_card_ends_everything_and_a_returned_one_brings_it_back() {
    let mut bench = Bench::new();
    let (wds, uim, nas) =
        (bench.client(Service::Wds), bench.client(Service::Uim), bench.client(Service::Nas));
    let mask = uim::EventRegistrationFlag::CARD_STATUS | uim::EventRegistrationFlag::PHYSICAL_SLOT_STATUS;
    bench.ask(uim, &uim::RegisterEvents { event_registration_mask: mask }).unwrap();
    bench.connect(wds);
    bench.begin(&Fault::SimAbsent);
    let status = bench.indications::<uim::CardStatus>().remove(0).1.card_status.unwrap();
    assert_eq!(status.cards[0].card_state, CardState::Absent);
    assert_eq!(bench.indications::<uim::SlotStatus>().len(), 1);
    assert!(bench.modem.sessions().is_empty());
    assert_eq!(bench.registration(nas), RegistrationState::NotRegistered);
    bench.end(&Fault::SimAbsent);
    bench.pass(1000);
    assert_eq!(bench.registration(nas), RegistrationState::Registered);
    bench.connect(wds);
}

#[test]
fn a_pin_is_asked_for_after_each_restart() {
    let mut bench = Bench::with(ModemSpec { pin: Some("4711".to_owned()), ..Default::default() }, Vec::new());
    for round in 0..2 {
        let uim = bench.client(Service::Uim);
        let state = bench.ask(uim, &uim::GetCardStatus {}).unwrap().card_status.unwrap();
        let application = &state.cards[0].applications[0];
        assert_eq!(application.state, CardApplicationState::Pin1OrUpinPinRequired, "{round}");
        let verify = |code: &str| uim::VerifyPin {
            info: uim::PinInfo { pin_id: uim::PinId::Pin1, pin_value: code.to_owned() },
            ..Default::default()
        };
        match bench.ask(uim, &verify("0000")) {
            Err(Refusal::Refused { error: ProtocolError::IncorrectPin, details }) => {
                assert_eq!(details.retries_remaining.unwrap().verify_retries_left, 2);
            }
            other => panic!("{:?}", other.is_ok()),
        }
        assert_eq!(bench.error(uim, &verify("4711")), ProtocolError::None);
        bench.pass(1000);
        assert_eq!(bench.modem.registration(), Registration::Registered);
        bench.begin(&Fault::Reset);
        bench.pass(10_000);
    }
}

#[test]
fn a_restart_forgets_clients_and_sessions_and_changes_the_device_number() {
    let mut bench = Bench::new();
    let (wds, dms) = (bench.client(Service::Wds), bench.client(Service::Dms));
    bench.connect(wds);
    let set = |mode| dms::SetOperatingMode { mode };
    assert_eq!(bench.error(dms, &set(OperatingMode::Reset)), ProtocolError::InvalidTransition);
    assert_eq!(bench.error(dms, &set(OperatingMode::Offline)), ProtocolError::None);
    assert!(bench.modem.sessions().is_empty());
    assert_eq!(bench.error(dms, &set(OperatingMode::Online)), ProtocolError::InvalidTransition);
    let number = bench.modem.device_number();
    assert_eq!(bench.error(dms, &set(OperatingMode::Reset)), ProtocolError::None);
    bench.pass(1000);
    assert_eq!((bench.presence.as_slice(), bench.modem.is_present()), ([Output::Gone].as_slice(), false));
    assert!(bench.try_ask(dms, &dms::GetModel {}).is_none());
    bench.pass(10_000);
    assert_eq!(bench.presence, [Output::Gone, Output::Back]);
    assert_eq!(bench.modem.device_number(), number + 1);
    assert_eq!(bench.error(dms, &dms::GetModel {}), ProtocolError::InvalidClientId);
    assert_eq!(bench.modem.registration(), Registration::Registered);
}

#[test]
fn a_lost_image_keeps_the_radio_off_until_a_stored_one_is_preferred() {
    let mut bench = Bench::new();
    bench.begin(&Fault::ImageLost);
    assert!(bench.at("AT!RESET").contains("OK"));
    bench.pass(10_000);
    assert_eq!(bench.modem.operating_mode(), OperatingMode::LowPower);
    let dms = bench.client(Service::Dms);
    let online = dms::SetOperatingMode { mode: OperatingMode::Online };
    assert_eq!(bench.error(dms, &online), ProtocolError::InvalidTransition);
    let lists = bench.ask(dms, &dms::ListStoredImages {}).unwrap().list;
    let pri = &lists[1].images[0];
    let image = dms::FirmwareImage {
        image_type: dms::FirmwareImageType::Pri,
        unique_id: pri.unique_id,
        build_id: pri.build_id.clone(),
    };
    let prefer = dms::SetFirmwarePreference { list: vec![image], ..Default::default() };
    assert_eq!(bench.ask(dms, &prefer).unwrap().image_download_list, []);
    bench.at("AT!RESET");
    bench.pass(10_000);
    assert_eq!(bench.modem.operating_mode(), OperatingMode::Online);
    assert_eq!(format!("02.33.03.00_{}", bench.modem.firmware().carrier()), pri.build_id);
}

#[test]
fn faults_of_the_control_port_and_of_sessions_do_what_they_say() {
    let mut bench = Bench::new();
    let wds = bench.client(Service::Wds);
    let status = wds::GetPacketServiceStatus {};
    bench.begin(&Fault::HangOnce);
    assert!(bench.try_ask(wds, &status).is_none());
    assert!(bench.try_ask(wds, &status).is_some());
    bench.begin(&Fault::Silent);
    assert!(bench.try_ask(wds, &status).is_none());
    assert!(bench.at("AT").contains("OK"));
    bench.end(&Fault::Silent);
    bench.begin(&Fault::StaleSession);
    assert_eq!(bench.error(wds, &wds::StartNetwork::default()), ProtocolError::NoEffect);
    assert!(bench.settings(wds).is_ok());
    let stop = wds::StopNetwork { packet_data_handle: u32::MAX, disable_autoconnect: Some(true) };
    assert_eq!(bench.error(wds, &stop), ProtocolError::None);
    bench.begin(&Fault::PolicyMismatch);
    assert_eq!(bench.error(wds, &wds::StartNetwork::default()), ProtocolError::PolicyMismatch);
    bench.ask(0, &ctl::Sync {}).unwrap();
    let wds = bench.client(Service::Wds);
    bench.connect(wds);
    bench.frames.clear();
    let before = bench.settings(wds).unwrap();
    bench.begin(&Fault::SettingsChanged { indication: true });
    assert_ne!(bench.settings(wds).unwrap().ipv4_address, before.ipv4_address);
    let told = bench.indications::<wds::PacketServiceStatus>();
    assert!(told.len() == 1 && told[0].1.connection_status.reconfiguration_required);
    bench.begin(&Fault::PdnDead);
    let bytes = bench.bytes(wds);
    bench.pass(5000);
    let later = bench.bytes(wds);
    assert!(later.0 > bytes.0 && later.1 == bytes.1 && !bench.modem.carries_data(Family::V4));
    bench.begin(&Fault::PdnDropped { r#type: 6, code: 36, indication: true });
    let told = bench.indications::<wds::PacketServiceStatus>();
    assert_eq!(told[0].1.verbose_call_end_reason.map(|reason| reason.reason), Some(36));
    bench.connect(wds);
    assert!(bench.modem.carries_data(Family::V4), "a new session is alive");
    bench.frames.clear();
    bench.begin(&Fault::PdnDropped { r#type: 6, code: 36, indication: false });
    assert!(bench.frames.is_empty() && bench.modem.sessions().is_empty());
}

#[test]
fn autoconnect_takes_the_session_first() {
    let mut bench = Bench::new();
    let wds = bench.client(Service::Wds);
    let on = wds::SetAutoconnectSettings { status: wds::AutoconnectSetting::Enabled, roaming: None };
    bench.ask(wds, &on).unwrap();
    bench.pass(1000);
    assert_eq!(bench.modem.sessions()[0].client, None);
    assert_eq!(bench.error(wds, &wds::StartNetwork::default()), ProtocolError::NoEffect);
}

#[test]
fn the_at_port_answers_as_a_terminal_expects() {
    let mut bench = Bench::with(ModemSpec { pin: Some("1234".to_owned()), ..Default::default() }, Vec::new());
    assert_eq!(bench.at("ATQ0"), "ATQ0\r\r\nOK\r\n");
    assert_eq!(bench.at("ATE0"), "ATE0\r\r\nOK\r\n");
    assert_eq!(bench.at("at"), "\r\nOK\r\n");
    let imei = bench.modem.identity().imei.clone();
    for (line, answer) in [
        ("AT+CPIN?", "+CPIN: SIM PIN"),
        ("AT+CIMI", "+CME ERROR: 11"),
        ("AT+CPIN=\"9999\"", "+CME ERROR: 16"),
        ("AT+CPIN=\"1234\"", "OK"),
        ("AT+CPIN?;+CGSN", &imei),
        ("AT+CNONSENSE", "ERROR"),
        ("AT+CSQ", "+CSQ: "),
        ("AT+CEER", "No cause"),
        ("AT+CGDCONT=1,\"IP\",\"broadband\"", "OK"),
        ("AT+CGDCONT?", "\"broadband\""),
        ("AT!GSTATUS?", "RSRP (dBm):"),
        ("ATI", "Model: MC7455"),
    ] {
        let text = bench.at(line);
        assert!(text.contains(answer), "{line}: {text}");
    }
    bench.at("AT+CEREG=2");
    bench.pass(1000);
    assert!(bench.text.contains("+CEREG: 1,\""), "{}", bench.text);
    assert!(bench.at("AT+COPS?").contains("AT&T"));
    bench.begin(&Fault::AtChatter);
    let text = bench.at("AT+CGSN;+CSQ");
    let (imei_at, chatter, csq) =
        (text.find(&imei).unwrap(), text.find("+CEREG").unwrap(), text.find("+CSQ").unwrap());
    assert!(imei_at < chatter && chatter < csq, "{text}");
    bench.begin(&Fault::SimAbsent);
    assert!(bench.at("AT+CPIN?").contains("+CME ERROR: 10"));
}

/// One thing that may happen to a modem.
#[derive(Debug, Clone)]
enum Act {
    Wait(u64),
    Bytes(Vec<u8>),
    Request(usize, u8, Vec<u8>),
    At(Vec<u8>),
    Begin(usize),
    End(usize),
}

fn faults() -> Vec<Fault> {
    vec![
        Fault::NoService,
        Fault::RegistrationReject { cause: 15 },
        Fault::CallEnd { r#type: 6, code: 33, family: None },
        Fault::Throttled,
        Fault::PinRequired,
        Fault::SimAbsent,
        Fault::SlowSim,
        Fault::SimIllegal,
        Fault::SimStuck,
        Fault::SimRefresh { imsi: "310410123456789".to_owned() },
        Fault::NoReason,
        Fault::Silent,
        Fault::HangOnce,
        Fault::LeakClients { service: "wds".to_owned() },
        Fault::StaleSession,
        Fault::PolicyMismatch,
        Fault::SettingsChanged { indication: true },
        Fault::PdnDropped { r#type: 2, code: 206, indication: false },
        Fault::PdnDead,
        Fault::PathDead,
        Fault::Reset,
        Fault::ImageLost,
        Fault::AtChatter,
    ]
}

/// Every request described, of every service offered.
fn requests() -> Vec<(Service, u16)> {
    let offered =
        SERVICES.iter().flat_map(|(service, ..)| service.messages().iter().map(|spec| (*service, spec)));
    offered.filter(|(_, spec)| spec.request.is_some()).map(|(service, spec)| (service, spec.id)).collect()
}

fn act() -> impl Strategy<Value = Act> {
    let tlv = (0_u8..0x40, proptest::collection::vec(any::<u8>(), 0..20)).prop_map(|(kind, value)| {
        let mut tlvs = Tlvs::new();
        tlvs.push(kind, &value);
        tlvs.as_bytes().to_vec()
    });
    let tlvs = proptest::collection::vec(tlv, 0..4).prop_map(|tlvs| tlvs.concat());
    prop_oneof![
        2 => (0_u64..3000).prop_map(Act::Wait),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Act::Bytes),
        6 => (0..requests().len(), 0_u8..4, tlvs).prop_map(|(index, client, tlvs)| Act::Request(index, client, tlvs)),
        1 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Act::At),
        1 => "AT[+!&EQIZ]?[A-Z]{0,7}[=?]{0,2}[0-9,\"]{0,8}\r".prop_map(|line: String| Act::At(line.into_bytes())),
        1 => (0..faults().len()).prop_map(Act::Begin),
        1 => (0..faults().len()).prop_map(Act::End),
    ]
}

/// Lets a modem live through `acts`, checks it after each, and gives what came out.
fn live(seed: u64, acts: &[Act]) -> Vec<Output> {
    let mut modem = Modem::new(Settings { seed, trace: Some(trace()), ..Default::default() });
    let (mut now, mut out) = (Duration::ZERO, Vec::new());
    let (mut handles, mut counted) = (std::collections::BTreeSet::new(), std::collections::BTreeMap::new());
    for service in [Service::Wds, Service::Dms, Service::Nas, Service::Uim, Service::Wda].repeat(3) {
        modem.handle_qmi(&Frame::request(0, 1, &ctl::AllocateCid { service }).encode(), now);
    }
    for act in acts {
        match act {
            Act::Wait(ms) => {
                now += Duration::from_millis(*ms);
                modem.advance(now);
            }
            Act::Bytes(bytes) => modem.handle_qmi(bytes, now),
            Act::Request(index, client, tlvs) => {
                let (service, message) = requests()[*index];
                let client = if service == Service::Ctl { 0 } else { *client };
                let tlvs = Tlvs::parse(tlvs.clone()).unwrap();
                let frame = Frame { service, client, kind: Kind::Request, transaction: 5, message, tlvs };
                modem.handle_qmi(&frame.encode(), now);
            }
            Act::At(bytes) => modem.handle_at(bytes, now),
            Act::Begin(index) => modem.begin(&faults()[*index], now),
            Act::End(index) => modem.end(&faults()[*index], now),
        }
        out.extend(std::iter::from_fn(|| modem.poll_output()));
        assert!(modem.next_deadline().is_some_and(|deadline| deadline > now), "nothing due is left undone");
        for session in modem.sessions() {
            let bytes = session.bytes(now);
            if let Some((tx, rx)) = counted.insert(session.handle, bytes) {
                assert!(tx <= bytes.0 && rx <= bytes.1, "counters fell");
            } else {
                assert!(handles.insert(session.handle), "a handle came twice");
            }
        }
        let families: std::collections::BTreeSet<_> =
            modem.sessions().iter().map(|session| session.family).collect();
        assert_eq!(families.len(), modem.sessions().len(), "two sessions of one family");
        assert!(modem.clients().of(Service::Nas).len() <= MAX_NAS_CLIENTS.into());
        let registered = modem.registration() == Registration::Registered && modem.is_present();
        assert!(modem.sessions().is_empty() || registered, "a session without a network");
    }
    for output in &out {
        if let Output::Qmi(bytes) = output {
            Frame::decode(bytes).expect("whole frames only");
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_life_is_survived_keeps_the_invariants_and_follows_the_seed(
        seed in 0_u64..4, acts in proptest::collection::vec(act(), 1..120),
    ) {
        prop_assert_eq!(live(seed, &acts), live(seed, &acts));
    }
}

#[test]
fn a_script_happens_at_its_times() {
    let step = |at, length, fault| Step {
        when: When::At(Duration::from_secs(at)),
        length: Some(Duration::from_secs(length)),
        fault,
    };
    let mut bench = Bench::with(ModemSpec::default(), vec![step(10, 5, Fault::NoService)]);
    bench.pass(7900);
    assert_eq!(bench.modem.registration(), Registration::Registered);
    bench.pass(200);
    assert_eq!(bench.modem.registration(), Registration::Searching);
    bench.pass(5500);
    assert_eq!(bench.modem.registration(), Registration::Registered);
}
