//! qmicli judges the codec: what our code writes it must read, and what it writes our code must read and write again
//! byte by byte. The other end of its port is a table of answers, not the simulator.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::ttyname;
use tandem::qmi::layout::unique_id;
use tandem::qmi::tlv::Tlvs;
use tandem::qmi::{Body, Deframer, Done, Frame, ProtocolError, Request, Service, ctl, dms, nas, wda, wds};

type Answers = BTreeMap<(Service, u16), Tlvs>;

/// Asks qmicli; gives what it printed, without its log. Panics when it complained.
fn qmicli(action: &str, answers: Answers) -> String {
    let port = openpty(None, None).expect("a pty");
    let mut settings = tcgetattr(&port.slave).expect("a terminal");
    cfmakeraw(&mut settings);
    tcsetattr(&port.slave, SetArg::TCSANOW, &settings).expect("a raw terminal");
    let path = ttyname(port.slave.as_fd()).expect("a name");
    let modem = std::thread::spawn(move || serve(port.master, &answers));

    let output = Command::new("qmicli")
        .arg("--device")
        .arg(&path)
        .args(["--device-open-qmi", "--verbose-full", action])
        .output()
        .expect("qmicli is installed");
    // The last slave end closes here, which ends the modem's reading.
    drop(port.slave);
    modem.join().expect("every request of qmicli reads and writes to the same bytes");

    let (text, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for complaint in ["unread", "mandatory", "would overflow", "ERROR"] {
        assert!(
            !text.contains(complaint) && !log.contains(complaint),
            "{action}: {complaint}\n{text}\n{log}"
        );
    }
    assert!(output.status.success(), "{action}: {text}\n{log}");
    text.lines()
        .filter(|line| !line.starts_with(['[', '<', '>']))
        .map(|line| format!("{}\n", line.trim()))
        .collect()
}

fn serve(master: OwnedFd, answers: &Answers) {
    let (mut port, mut deframer, mut bytes) = (File::from(master), Deframer::default(), [0; 4096]);
    while let Ok(count @ 1..) = port.read(&mut bytes) {
        deframer.push(&bytes[..count]);
        while let Some(request) = deframer.next_frame() {
            let spec = request.service.messages().iter().find(|spec| spec.id == request.message);
            let body = spec.and_then(|spec| spec.request.as_ref()).expect("a described request");
            let written = (body.rewrite)(&request.tlvs).expect("its mandatory TLVs");
            assert_eq!(written.descending(), request.tlvs);
            let _ = port.write_all(&answer(&request, answers).encode());
        }
    }
}

fn answer(request: &Frame, answers: &Answers) -> Frame {
    if let Some(Ok(asked)) = request.read_request::<ctl::AllocateCid>() {
        let allocation_info = ctl::ClientId { service: asked.service, cid: 1 };
        return request.success(&ctl::AllocateCidResponse { allocation_info });
    }
    if let Some(Ok(asked)) = request.read_request::<ctl::ReleaseCid>() {
        return request.success(&ctl::ReleaseCidResponse { release_info: asked.release_info });
    }
    match answers.get(&(request.service, request.message)) {
        Some(tlvs) => request.answer(ProtocolError::None, tlvs),
        None => request.refusal(ProtocolError::InvalidQmiCommand, &Done),
    }
}

fn one<R: Request>(response: &R::Response) -> Answers {
    Answers::from([((R::SERVICE, R::ID), response.to_tlvs())])
}

fn check<R: Request>(action: &str, response: &R::Response, readings: &[&str]) {
    check_all(action, one::<R>(response), readings);
}

fn check_all(action: &str, answers: Answers, readings: &[&str]) {
    let text = qmicli(action, answers);
    for reading in readings {
        assert!(text.contains(reading), "{action} does not say {reading}:\n{text}");
    }
}

#[test]
fn device() {
    let capabilities = dms::Capabilities {
        max_tx_channel_rate: 50_000_000,
        max_rx_channel_rate: 150_000_000,
        data_service_capability: dms::DataServiceCapability::NonSimultaneousCsPs,
        sim_capability: dms::SimCapability::Supported,
        radio_interface_list: vec![dms::RadioInterface::Umts, dms::RadioInterface::Lte],
    };
    check::<dms::GetCapabilities>(
        "--dms-get-capabilities",
        &dms::GetCapabilitiesResponse { info: capabilities },
        &[
            "Max RX channel rate: '150000000'",
            "Data Service: 'non-simultaneous-cs-ps'",
            "Networks: 'umts, lte'",
        ],
    );
    check::<ctl::GetVersionInfo>(
        "--get-service-version-info",
        &ctl::GetVersionInfoResponse {
            service_list: vec![ctl::ServiceVersion {
                service: Service::Dms,
                major_version: 1,
                minor_version: 14,
            }],
        },
        &["dms (1.14)"],
    );
    let pin = dms::PinStatus {
        current_status: dms::UimPinStatus::EnabledVerified,
        verify_retries_left: 3,
        unblock_retries_left: 10,
    };
    check::<dms::UimGetPinStatus>(
        "--dms-uim-get-pin-status",
        &dms::UimGetPinStatusResponse { pin1_status: Some(pin), ..Default::default() },
        &["Status: enabled-verified", "Unblock: 10"],
    );
}

#[test]
fn stored_images() {
    let image = dms::StoredImage {
        storage_index: 1,
        failure_count: 0,
        unique_id: unique_id("002.072_000"),
        build_id: "02.33.03.00_?".to_owned(),
    };
    let images = dms::StoredImageList {
        image_type: dms::FirmwareImageType::Modem,
        maximum_images: 4,
        index_of_running_image: 0,
        images: vec![image],
    };
    let mut answers = one::<dms::ListStoredImages>(&dms::ListStoredImagesResponse { list: vec![images] });
    answers.extend(one::<dms::GetStoredImageInfo>(&dms::GetStoredImageInfoResponse {
        boot_version: Some(dms::BootVersion { major_version: 1, minor_version: 2 }),
        pri_version: Some(dms::PriVersion { pri_version: 7, pri_info: "info".to_owned() }),
        oem_lock_id: Some(9),
    }));
    let readings =
        ["CURRENT", "Unique ID:     '002.072_000'", "Boot version:  '1.2'", "PRI info:      'info'"];
    check_all("--dms-list-stored-images", answers, &readings);
}

#[test]
fn network() {
    let home_network = nas::NamedPlmn { mcc: 1, mnc: 1, description: "Test PLMN".to_owned() };
    check::<nas::GetHomeNetwork>(
        "--nas-get-home-network",
        &nas::GetHomeNetworkResponse { home_network, ..Default::default() },
        &["MCC: '1'", "Description: 'Test PLMN'"],
    );
    let preference = nas::GetSystemSelectionPreferenceResponse {
        mode_preference: Some(nas::RatModePreference::LTE),
        roaming_preference: Some(nas::RoamingPreference::Any),
        lte_band_preference: Some(0x45),
        network_selection_preference: Some(nas::NetworkSelectionPreference::Automatic),
        usage_preference: Some(nas::UsagePreference::DataCentric),
        extended_lte_band_preference: Some(nas::ExtendedLteBands { mask_low: 0x45, ..Default::default() }),
        ..Default::default()
    };
    check::<nas::GetSystemSelectionPreference>(
        "--nas-get-system-selection-preference",
        &preference,
        &["Mode preference: 'lte'", "LTE band preference (extended): '1, 3, 7'", "'data-centric'"],
    );
    let radio_interface = nas::RadioInterface::Lte;
    let strength = nas::GetSignalStrengthResponse {
        signal_strength: nas::StrengthOf { strength: -62, radio_interface },
        rssi_list: Some(vec![nas::RssiOf { rssi: 62, radio_interface }]),
        rsrq: Some(nas::RsrqOf { rsrq: -11, radio_interface }),
        lte_snr: Some(134),
        lte_rsrp: Some(-95),
        ..Default::default()
    };
    let readings = ["Network 'lte': '-62 dBm'", "'-11 dB'", "'13.4 dB'", "'-95 dBm'"];
    check::<nas::GetSignalStrength>("--nas-get-signal-strength", &strength, &readings);
    let chain = nas::RxChain {
        is_radio_tuned: true,
        rx_power: -620,
        rsrp: -950,
        phase: u32::MAX,
        ..Default::default()
    };
    check::<nas::GetTxRxInfo>(
        "--nas-get-tx-rx-info=lte",
        &nas::GetTxRxInfoResponse { rx_chain_0_info: Some(chain), ..Default::default() },
        &["Power: '-62.0 dBm'", "RSRP: '-95.0 dBm'", "Phase: 'unknown'"],
    );
}

#[test]
fn profiles() {
    let profile = wds::ListedProfile {
        profile_type: wds::ProfileType::ThreeGpp,
        profile_index: 1,
        profile_name: "one".to_owned(),
    };
    let mut answers =
        one::<wds::GetProfileList>(&wds::GetProfileListResponse { profile_list: vec![profile] });
    answers.extend(one::<wds::GetProfileSettings>(&wds::GetProfileSettingsResponse {
        pdp_type: Some(wds::PdpType::Ipv4OrIpv6),
        apn_name: Some("internet".to_owned()),
        username: Some("foo".to_owned()),
        authentication: Some(wds::Authentication::PAP | wds::Authentication::CHAP),
        pdp_context_number: Some(1),
        ..Default::default()
    }));
    let readings = ["[1] 3gpp - one", "APN: 'internet'", "PDP type: 'ipv4-or-ipv6'", "Auth: 'pap, chap'"];
    check_all("--wds-get-profile-list=3gpp", answers, &readings);
    let profile_identifier = wds::ProfileId { profile_type: wds::ProfileType::ThreeGpp, profile_index: 3 };
    check::<wds::CreateProfile>(
        "--wds-create-profile=3gpp,apn=x",
        &wds::CreateProfileResponse { profile_identifier },
        &["Profile index: '3'"],
    );
    check::<wds::ModifyProfile>("--wds-modify-profile=3gpp,1,apn=x", &Done, &["successfully modified"]);
    check::<wds::GetDefaultProfileNumber>(
        "--wds-get-default-profile-number=3gpp",
        &wds::GetDefaultProfileNumberResponse { index: 1 },
        &["Default profile number: '1'"],
    );
}

#[test]
fn sessions() {
    let channel_rates = wds::ChannelRates {
        channel_tx_rate_bps: 1,
        channel_rx_rate_bps: 2,
        max_channel_tx_rate_bps: 3,
        max_channel_rx_rate_bps: 4,
    };
    check::<wds::GetChannelRates>(
        "--wds-get-channel-rates",
        &wds::GetChannelRatesResponse { channel_rates },
        &["Current TX rate: 1bps", "Max RX rate:     4bps"],
    );
    check::<wds::GetAutoconnectSettings>(
        "--wds-get-autoconnect-settings",
        &wds::GetAutoconnectSettingsResponse {
            status: wds::AutoconnectSetting::Disabled,
            roaming: Some(wds::AutoconnectSettingRoaming::HomeOnly),
        },
        &["Status: 'disabled'", "Roaming: 'home-only'"],
    );
    check::<wds::GetLteAttachParameters>(
        "--wds-get-lte-attach-parameters",
        &wds::GetLteAttachParametersResponse {
            apn: Some("internet".to_owned()),
            ip_support_type: Some(wds::IpSupportType::Ipv4v6),
            ota_attach_performed: Some(true),
        },
        &["APN: internet", "IP support type: ipv4v6", "OTA attach performed: yes"],
    );
    check::<wds::GetLteAttachPdnList>(
        "--wds-get-lte-attach-pdn-list",
        &wds::GetLteAttachPdnListResponse { current_list: Some(vec![1]), pending_list: Some(vec![1, 2]) },
        &["Current list: '1'", "Pending list: '1, 2'"],
    );
    check::<wda::GetDataFormat>(
        "--wda-get-data-format",
        &wda::DataFormat { link_layer_protocol: Some(wda::LinkLayerProtocol::RawIp), ..Default::default() },
        &["Link layer protocol: 'raw-ip'"],
    );
}
