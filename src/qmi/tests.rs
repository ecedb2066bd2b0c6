//! Golden frames both ways, and what any other bytes do.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::message::{BodySpec, MessageSpec, with_result};
use super::tlv::Tlvs;
use super::*;

const SERVICES: [Service; 6] =
    [Service::Ctl, Service::Dms, Service::Nas, Service::Wds, Service::Wda, Service::Uim];

/// The description of a frame's TLVs, by its id, direction and result.
fn body_spec(frame: &Frame) -> Option<&'static BodySpec> {
    let spec = |spec: &'static MessageSpec| match frame.kind {
        Kind::Request => spec.request.as_ref(),
        Kind::Response if frame.result() == Some(ProtocolError::None) => spec.response.as_ref(),
        Kind::Response => spec.failure.as_ref(),
        Kind::Indication => spec.indication.as_ref(),
    };
    frame.service.messages().iter().filter(|found| found.id == frame.message).find_map(spec)
}

fn bodies() -> impl Iterator<Item = (&'static str, &'static BodySpec)> {
    SERVICES.into_iter().flat_map(Service::messages).flat_map(|spec| {
        let bodies = [&spec.request, &spec.response, &spec.failure, &spec.indication];
        bodies.into_iter().flatten().map(|body| (spec.name, body))
    })
}

fn exchange(action: &str) -> (Frame, Frame) {
    let found = golden::EXCHANGES.iter().find(|(name, _, _)| *name == action);
    let (_, request, response) = found.expect("a golden exchange");
    let frame = |hex: &str| Frame::decode(&golden::bytes(hex)).unwrap();
    (frame(request), frame(response))
}

/// The request our code writes, and the answer it reads.
fn check<R: Request>(action: &str, client: u8, transaction: u16, request: &R) -> R::Response {
    let (asked, answered) = exchange(action);
    assert_eq!(Frame::request(client, transaction, request), asked, "{action}");
    let answer = answered.read_answer::<R>().ok().expect(action);
    assert_eq!(asked.success(&answer), answered, "{action}");
    answer
}

fn check_refused<R: Request>(action: &str, request: &R) -> (ProtocolError, R::Failure) {
    let (asked, answered) = exchange(action);
    assert_eq!(Frame::request(1, 1, request), asked, "{action}");
    let Err(Refusal::Refused { error, details }) = answered.read_answer::<R>() else {
        panic!("{action} was refused")
    };
    assert_eq!(asked.refusal(error, &details), answered, "{action}");
    (error, details)
}

fn indication<I: Indication>(index: usize) -> I {
    let (name, hex) = golden::INDICATIONS[index];
    let frame = Frame::decode(&golden::bytes(hex)).unwrap();
    let read = frame.read_indication::<I>().expect(name).expect(name);
    assert_eq!(Frame::indication(frame::BROADCAST, &read), frame, "{name}");
    read
}

#[test]
fn golden_frames_read_and_write_to_the_same_bytes() {
    for (name, bytes) in golden::all() {
        let frame = Frame::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(frame.encode(), bytes, "{name}");
    }
}

#[test]
fn golden_bodies_read_and_write_to_the_same_bytes() {
    for (name, bytes) in golden::all() {
        let frame = Frame::decode(&bytes).unwrap();
        let spec = body_spec(&frame).expect("golden messages are described");
        let body = (spec.rewrite)(&frame.tlvs).unwrap_or_else(|error| panic!("{name}: {error}"));
        let tlvs = match frame.kind {
            Kind::Request => body.descending(),
            Kind::Response => with_result(frame.result().unwrap(), &body),
            Kind::Indication => body,
        };
        assert_eq!(tlvs, frame.tlvs, "{name}");
    }
}

#[test]
fn requests_of_qmicli_read_and_write_to_the_same_bytes() {
    for (service, id, action, hex) in golden::REQUEST_TLVS {
        let spec = service.messages().iter().find(|spec| spec.id == *id && spec.request.is_some());
        let request = spec.and_then(|spec| spec.request.as_ref()).expect("a described request");
        let tlvs = Tlvs::parse(golden::bytes(hex)).unwrap();
        let written = (request.rewrite)(&tlvs).unwrap_or_else(|error| panic!("{action}: {error}"));
        assert_eq!(written.descending(), tlvs, "{action}");
    }
}

#[test]
fn device_answers_say_what_qmicli_reads() {
    let ids = check("--dms-get-ids", 2, 1, &dms::GetIds {});
    assert_eq!(ids.imei.as_deref(), Some("490154203237518"));
    assert_eq!((ids.esn.as_deref(), ids.imei_software_version.as_deref()), (Some("0"), Some("78")));
    let revision = check("--dms-get-revision", 1, 1, &dms::GetRevision {}).revision;
    assert_eq!(revision, "SWI9X30C_02.33.03.00 r8209 CARMD-EV-FRMWR2 2019/08/28 20:59:30");
    let mode = check("--dms-get-operating-mode", 3, 1, &dms::GetOperatingMode {});
    assert_eq!((mode.mode, mode.hardware_restricted_mode), (dms::OperatingMode::Online, Some(false)));
    let swi = check("--dms-swi-get-current-firmware", 6, 1, &dms::SwiGetCurrentFirmware {});
    assert_eq!((swi.package_id.as_deref(), swi.carrier.as_deref()), (Some(""), Some("GENERIC")));
}

#[test]
fn firmware_preference_is_read_and_set_as_qmicli_does() {
    let image = |image_type, unique_id: &str, build_id: &str| dms::FirmwareImage {
        image_type,
        unique_id: layout::unique_id(unique_id),
        build_id: build_id.to_owned(),
    };
    use dms::FirmwareImageType::{Modem, Pri};
    let stored = check("--dms-get-firmware-preference", 4, 1, &dms::GetFirmwarePreference {});
    let pri = image(Pri, "002.079_000", "02.33.03.00_GENERIC");
    assert_eq!(stored.list, [image(Modem, "002.072_000", "02.33.03.00_?"), pri.clone()]);
    let action = "--dms-set-firmware-preference=firmware-version=02.33.03.00,config-version=002.079_000,carrier=GENERIC";
    let list = vec![image(Modem, "?_?", "02.33.03.00_?"), pri];
    let wanted = dms::SetFirmwarePreference { list, ..Default::default() };
    assert_eq!(check(action, 5, 1, &wanted).image_download_list, [Modem, Pri]);
}

#[test]
fn network_answers_say_what_qmicli_reads() {
    let signal = check("--nas-get-signal-info", 1, 1, &nas::GetSignalInfo {});
    let lte = nas::LteSignalStrength { rssi: -62, rsrq: -11, rsrp: -95, snr: 134 };
    assert_eq!(signal.lte_signal_strength, Some(lte));
    let serving = check("--nas-get-serving-system", 2, 1, &nas::GetServingSystem {});
    assert_eq!(serving.serving_system.registration_state, nas::RegistrationState::Registered);
    assert_eq!(serving.serving_system.radio_interfaces, [nas::RadioInterface::Lte]);
    assert_eq!(serving.roaming_indicator, Some(nas::RoamingIndicatorStatus::Off));
    assert_eq!((serving.cid_3gpp, serving.lte_tac), (Some(19_088_641), Some(6699)));
    let system = check("--nas-get-system-info", 3, 1, &nas::GetSystemInfo {});
    let lte = system.lte_system_info_v2.unwrap();
    let network = lte.network_id.unwrap();
    assert_eq!((network.mcc.as_str(), network.mnc.as_str()), ("001", "01"));
    assert_eq!((lte.reject, lte.tac, lte.forbidden), (None, Some(6699), Some(false)));
    let bands = check("--nas-get-rf-band-info", 4, 1, &nas::GetRfBandInformation {});
    assert_eq!((bands.list[0].active_band_class.lte(), bands.list[0].active_channel), (Some(3), 1300));
    assert_eq!(bands.bandwidth_list.unwrap()[0].bandwidth, nas::DLBandwidth::Mhz20);
    let cells = check("--nas-get-cell-location-info", 5, 1, &nas::GetCellLocationInfo {});
    let serving = cells.intrafrequency_lte_info_v2.unwrap();
    assert_eq!((serving.plmn.as_str(), serving.earfcn, serving.serving_cell_id), ("00101", 1300, 17));
    assert_eq!((serving.cell[0].rsrp, serving.cell[0].rsrq), (-950, -110));
    let carriers = check("--nas-get-lte-cphy-ca-info", 6, 1, &nas::GetLteCphyCaInfo {});
    let second = &carriers.phy_ca_agg_secondary_cells.unwrap()[0];
    assert_eq!((second.lte_band.lte(), second.state), (Some(7), nas::ScellState::Activated));
    let scan = check("--nas-network-scan", 7, 1, &nas::NetworkScan::default());
    let networks = scan.network_information.unwrap();
    let status = networks[0].network_status;
    assert!(status.contains(nas::NetworkStatus::CURRENT_SERVING | nas::NetworkStatus::FORBIDDEN));
    assert_eq!(scan.network_scan_result, Some(nas::NetworkScanResult::Success));
}

#[test]
fn data_session_answers_say_what_qmicli_reads() {
    let start = |family| wds::StartNetwork {
        apn: Some("internet".to_owned()),
        ip_family_preference: Some(family),
        ..Default::default()
    };
    let action = "--wds-start-network=apn=internet,ip-type=4";
    assert_eq!(check(action, 1, 1, &start(wds::IpFamily::Ipv4)).packet_data_handle, 265_056);
    let status = check("--wds-get-packet-service-status", 2, 1, &wds::GetPacketServiceStatus {});
    assert_eq!(status.connection_status, wds::ConnectionStatus::Connected);
    let mask = wds::PacketStatisticsMaskFlag(0x3FF);
    let statistics = check("--wds-get-packet-statistics", 3, 1, &wds::GetPacketStatistics { mask });
    assert_eq!((statistics.tx_packets_ok, statistics.rx_bytes_ok), (Some(10), Some(5678)));
    let requested_settings = wds::RequestedSettings(0xE330);
    let request = wds::GetCurrentSettings { requested_settings };
    let settings = check("--wds-get-current-settings", 4, 1, &request);
    assert_eq!(settings.ipv4_address, Some(Ipv4Addr::new(10, 1, 2, 3)));
    assert_eq!(settings.ipv4_gateway_subnet_mask, Some(Ipv4Addr::new(255, 255, 255, 248)));
    let address = settings.ipv6_address.unwrap();
    assert_eq!((address.address, address.prefix_length), ("2001:db8::1".parse().unwrap(), 64));
    assert_eq!(settings.ipv6_primary_dns_address, Some("2001:db8::53".parse().unwrap()));
    assert_eq!((settings.mtu, settings.domain_name_list), (Some(1430), Some(vec!["example.org".to_owned()])));
    let bearer = check("--wds-get-data-bearer-technology", 5, 1, &wds::GetDataBearerTechnology {});
    assert_eq!(bearer.current, wds::DataBearerTechnology::Lte);
    let bearer =
        check("--wds-get-current-data-bearer-technology", 6, 1, &wds::GetCurrentDataBearerTechnology {});
    assert_eq!(bearer.current.rat_mask, wds::Rat3gpp::LTE.0 as u32);
    assert_eq!(bearer.current.rat_3gpp(), Some(wds::Rat3gpp::LTE));
    let raw_ip =
        wda::SetDataFormat { link_layer_protocol: Some(wda::LinkLayerProtocol::RawIp), ..Default::default() };
    let format = check("--wda-set-data-format=raw-ip", 1, 1, &raw_ip);
    assert_eq!(format.link_layer_protocol, Some(wda::LinkLayerProtocol::RawIp));
    assert_eq!(format.uplink_data_aggregation_protocol, Some(wda::DataAggregationProtocol::Disabled));
}

#[test]
fn client_ids_come_and_go_and_services_have_versions() {
    let id = ctl::ClientId { service: Service::Dms, cid: 1 };
    let allocated = check("ctl allocate cid", 0, 1, &ctl::AllocateCid { service: Service::Dms });
    assert_eq!(allocated.allocation_info, id);
    let released = check("ctl release cid", 0, 2, &ctl::ReleaseCid { release_info: id.clone() });
    assert_eq!(released.release_info, id);
    let versions = check("ctl get version info", 0, 1, &ctl::GetVersionInfo {}).service_list;
    let dms = ctl::ServiceVersion { service: Service::Dms, major_version: 1, minor_version: 14 };
    assert_eq!(versions, [dms]);
}

#[test]
fn card_answers_say_what_qmicli_reads() {
    let cards = check("--uim-get-card-status", 1, 1, &uim::GetCardStatus {}).card_status.unwrap();
    let application = &cards.cards[0].applications[0];
    assert_eq!(cards.cards[0].card_state, uim::CardState::Present);
    assert_eq!(application.state, uim::CardApplicationState::Ready);
    assert_eq!((application.pin1_retries, application.puk1_retries), (3, 10));
    let slots = check("--uim-get-slot-status", 2, 1, &uim::GetSlotStatus {}).physical_slot_status.unwrap();
    assert_eq!(layout::swapped_digits(&slots[0].iccid), "89440000000000000012");
    assert_eq!(slots[1].physical_card_status, uim::PhysicalCardState::Absent);
    let iccid = uim::ReadTransparent {
        session: uim::Session::default(),
        file: uim::File { file_id: 0x2FE2, file_path: vec![0x00, 0x3F] },
        read_information: uim::ReadInformation::default(),
        response_in_indication_token: None,
        encrypt_data: None,
    };
    let read = check("--uim-read-transparent=0x3F00,0x2FE2", 3, 1, &iccid).read_result.unwrap();
    assert_eq!(layout::swapped_digits(&read), "89440000000000000012");
    let session = uim::Session { session_type: uim::SessionType::CardSlot1, ..Default::default() };
    check("--uim-monitor-refresh-all", 1, 1, &uim::RefreshRegisterAll { session, register: true });
}

#[test]
fn refusals_keep_what_the_modem_said_besides() {
    let start = wds::StartNetwork {
        apn: Some("internet".to_owned()),
        ip_family_preference: Some(wds::IpFamily::Unspecified),
        ..Default::default()
    };
    let (error, details) = check_refused("--wds-start-network=apn=internet", &start);
    assert_eq!(error, ProtocolError::CallFailed);
    assert_eq!(details.call_end_reason, Some(cause::CallEndReason::GenericUnspecified));
    let verbose = details.verbose_call_end_reason.unwrap();
    assert_eq!(verbose.to_string(), "(6,33): [3gpp] option-unsubscribed");
    let pin = uim::PinInfo { pin_id: uim::PinId::Pin1, pin_value: "1234".to_owned() };
    let session = uim::Session { session_type: uim::SessionType::CardSlot1, ..Default::default() };
    let verify = uim::VerifyPin { session, info: pin, ..Default::default() };
    let (error, details) = check_refused("--uim-verify-pin=PIN1,1234", &verify);
    assert_eq!(error, ProtocolError::IncorrectPin);
    let retries = details.retries_remaining.unwrap();
    assert_eq!((retries.verify_retries_left, retries.unblock_retries_left), (2, 10));
}

#[test]
fn indications_say_what_qmicli_reads() {
    let signal = indication::<nas::SignalInfo>(0);
    assert_eq!(signal.lte_signal_strength.map(|lte| lte.snr), Some(-20));
    let serving = indication::<nas::ServingSystem>(1).serving_system;
    assert_eq!(serving.registration_state, nas::RegistrationState::RegistrationDenied);
    let reject = indication::<nas::NetworkReject>(2);
    assert_eq!(reject.reject_cause, RejectCause::NoSuitableCellsInLocationArea);
    assert_eq!(reject.service_domain, nas::NetworkServiceDomain::CsPs);
    let system = indication::<nas::SystemInfo>(3);
    assert_eq!(system.lte_service_status.unwrap().service_status, nas::ServiceStatus::Available);
    let status = indication::<wds::PacketServiceStatus>(4);
    assert_eq!(status.connection_status.status, wds::ConnectionStatus::Disconnected);
    let verbose = status.verbose_call_end_reason.unwrap();
    assert_eq!(verbose.to_string(), "(2,241): [internal] interface-in-use-config-match");
    let device = indication::<dms::EventReport>(5);
    assert_eq!(device.operating_mode, Some(dms::OperatingMode::LowPower));
    assert_eq!(device.wireless_disable_state, Some(true));
    let (cards, _) = (indication::<uim::CardStatus>(6), indication::<uim::SlotStatus>(7));
    assert_eq!(cards, check("--uim-get-card-status", 1, 1, &uim::GetCardStatus {}));
    let bearer = indication::<wds::EventReport>(8);
    assert_eq!(bearer.dormancy_status, Some(wds::DormancyStatus::TrafficChannelActive));
}

#[test]
fn reasons_without_a_name_stay_numbers() {
    let verbose = |reason_type, reason| VerboseCallEndReason { reason_type, reason }.to_string();
    assert_eq!(verbose(6, 65), "(6,65): [3gpp] 65");
    assert_eq!(verbose(12, -4), "(12,-4): [12] -4");
    assert_eq!(verbose(7, -1), "(7,-1): [ppp] unknown");
    let cause: RejectCause = layout::Coded::from_number(27);
    assert_eq!((cause.name(), cause.to_string()), (None, "27".to_owned()));
}

#[test]
fn every_truncation_of_a_golden_frame_is_an_error_that_names_a_place_inside() {
    for (name, bytes) in golden::all() {
        for length in 0..bytes.len() {
            let error = Frame::decode(&bytes[..length]).expect_err(name);
            assert!(error.offset() <= length, "{name} cut at {length}: {error}");
        }
    }
}

#[test]
fn a_stream_finds_its_way_back_after_every_cut() {
    let whole: Vec<_> = golden::all().map(|(_, bytes)| bytes).collect();
    let longest = whole.iter().max_by_key(|bytes| bytes.len()).unwrap();
    for (name, bytes) in golden::all() {
        for length in 0..bytes.len() {
            let mut deframer = Deframer::default();
            deframer.push(&bytes[..length]);
            while deframer.next_frame().is_some() {}
            (0..2).for_each(|_| deframer.push(longest));
            let last = std::iter::from_fn(|| deframer.next_frame()).last();
            assert_eq!(last.map(|frame| frame.encode()).as_ref(), Some(longest), "{name} cut at {length}");
        }
    }
}

#[test]
fn a_golden_tlv_cut_short_reads_as_absent_and_never_as_something_else() {
    for (name, bytes) in golden::all() {
        let frame = Frame::decode(&bytes).unwrap();
        let spec = body_spec(&frame).unwrap();
        for (tlv_type, value) in frame.tlvs.iter() {
            let Some(known) = spec.tlvs.iter().find(|known| known.tlv_type == tlv_type) else { continue };
            let whole = (known.describe)(value).unwrap();
            assert_eq!(whole.1, 0, "{name}: nothing is left over");
            for length in 0..value.len() {
                // A shorter text is a text; anything else misses bytes.
                if let Ok((cut, _)) = (known.describe)(&value[..length]) {
                    assert!(cut.is_string(), "{name} 0x{tlv_type:02x} cut at {length}");
                }
            }
        }
    }
}

/// Flips, cuts, copies and inserts, from a seed: what `cargo fuzz` would do, in a bounded time.
#[test]
fn mutated_golden_frames_do_no_harm() {
    let mut random = fastrand::Rng::with_seed(0x7A4D);
    let frames: Vec<_> = golden::all().map(|(_, bytes)| bytes).collect();
    let mut whole = 0;
    for _ in 0..10_000 {
        let mut bytes = random.choice(&frames).expect("there are frames").clone();
        for _ in 0..random.usize(1..4) {
            mutate(&mut random, &mut bytes, &frames);
        }
        // Most mutations break the lengths; put them right so that the inside is reached too.
        if random.bool() {
            mend_lengths(&mut bytes);
        }
        let _ = describe::describe(&bytes);
        if let Ok(frame) = Frame::decode(&bytes) {
            whole += 1;
            assert_eq!(Frame::decode(&frame.encode()).as_ref(), Ok(&frame));
            rewrite_twice(&frame.tlvs, body_spec(&frame));
        }
        let mut deframer = Deframer::default();
        deframer.push(&bytes);
        while deframer.next_frame().is_some() {}
        assert!(deframer.pending() <= bytes.len());
    }
    assert!(whole > 1_500, "only {whole} mutants reached the TLVs");
}

fn mutate(random: &mut fastrand::Rng, bytes: &mut Vec<u8>, frames: &[Vec<u8>]) {
    let at = random.usize(..=bytes.len());
    match random.u8(..5) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, random.u8(..)),
        2 => {
            let other = random.choice(frames).expect("there are frames");
            bytes.splice(at.., other[random.usize(..other.len())..].iter().copied());
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte =
                    *random.choice([0, 1, 0x7F, 0x80, 0xFF, byte.wrapping_add(1)].iter()).expect("not empty");
            }
        }
    }
}

fn mend_lengths(bytes: &mut [u8]) {
    let offset = if bytes.get(4) == Some(&0) { 12 } else { 13 };
    if bytes.len() >= offset {
        let put = |at: usize, length: usize, bytes: &mut [u8]| {
            bytes[at..at + 2].copy_from_slice(&(length as u16).to_le_bytes());
        };
        put(1, bytes.len() - 1, bytes);
        put(offset - 2, bytes.len() - offset, bytes);
        bytes[0] = 1;
    }
}

/// What was read writes to bytes that read the same.
fn rewrite_twice(tlvs: &Tlvs, spec: Option<&BodySpec>) {
    let Some(spec) = spec else { return };
    if let Ok(once) = (spec.rewrite)(tlvs) {
        assert_eq!((spec.rewrite)(&once), Ok(once));
    }
}

/// TLVs whose types are those of the body, so that its layouts are reached.
fn tlvs_for(spec: &'static BodySpec) -> impl Strategy<Value = Tlvs> {
    let types: Vec<u8> = spec.tlvs.iter().map(|tlv| tlv.tlv_type).chain([0x02, 0x77]).collect();
    let tlv = (prop::sample::select(types), prop::collection::vec(any::<u8>(), 0..90));
    prop::collection::vec(tlv, 0..8).prop_map(|items| {
        let mut tlvs = Tlvs::new();
        items.iter().for_each(|(tlv_type, value)| tlvs.push(*tlv_type, value));
        tlvs
    })
}

proptest! {
    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(frame) = Frame::decode(&bytes) {
            prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }
        let _ = Tlvs::parse(bytes);
    }

    #[test]
    fn what_any_message_reads_writes_to_what_reads_the_same(
        tlvs in prop::sample::select(bodies().map(|(_, body)| body).collect::<Vec<_>>())
            .prop_flat_map(|spec| tlvs_for(spec).prop_map(move |tlvs| (spec, tlvs))),
    ) {
        let (spec, tlvs) = tlvs;
        rewrite_twice(&tlvs, Some(spec));
        for (tlv_type, value) in tlvs.iter() {
            if let Some(known) = spec.tlvs.iter().find(|known| known.tlv_type == tlv_type) {
                let _ = (known.describe)(value);
            }
        }
    }

    #[test]
    fn texts_and_lists_too_long_for_their_place_are_cut_and_the_frame_stays_whole(length in 0_usize..70_000) {
        let image = dms::FirmwareImage { build_id: "x".repeat(length), ..Default::default() };
        let list = vec![image; length.min(300)];
        let frame = Frame::request(1, 1, &dms::SetFirmwarePreference { list, ..Default::default() });
        prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        let start = wds::StartNetwork { apn: Some("x".repeat(length)), ..Default::default() };
        let frame = Frame::request(1, 1, &start);
        prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
    }
}

#[test]
fn descriptions_hold_each_message_and_each_tlv_once() {
    for service in SERVICES {
        let mut seen = std::collections::BTreeSet::new();
        for spec in service.messages() {
            assert!(seen.insert((spec.id, spec.indication.is_some())), "{service} {} twice", spec.name);
        }
    }
    for (name, body) in bodies() {
        let types: Vec<_> = body.tlvs.iter().map(|tlv| tlv.tlv_type).collect();
        assert!(types.is_sorted_by(|one, next| one < next), "{name}: lowest type first, each once");
        for tlv in body.tlvs {
            assert!((tlv.describe)(&[0; 1024]).is_ok(), "{name}: {} has no reader", tlv.name);
        }
    }
}

#[test]
fn tables_of_names_are_sorted_where_they_are_searched() {
    for reason_type in [1, 2, 3, 6, 7, 8, 9] {
        let named = (-1..3000)
            .filter(|reason| VerboseCallEndReason { reason_type, reason: *reason }.name().is_some());
        assert!(named.count() >= 3, "type {reason_type}");
    }
    assert_eq!(VerboseCallEndReason { reason_type: 3, reason: 2500 }.name(), Some("offline"));
    assert_eq!(
        VerboseCallEndReason { reason_type: 6, reason: 128 }.name(),
        Some("ue-init-detach-or-disconnect")
    );
}
