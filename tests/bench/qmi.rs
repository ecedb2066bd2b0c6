//! QMI: what one message costs to read and to write.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tandem::qmi::client::Client;
use tandem::qmi::describe::describe;
use tandem::qmi::{Frame, Request, nas, wds};

use crate::figure::Bench;

pub fn run(bench: &Bench) {
    let ask = |transaction| Frame::request(1, transaction, &nas::GetSignalInfo {});
    let lte = nas::LteSignalStrength { rssi: -62, rsrq: -11, rsrp: -95, snr: 134 };
    let signal = nas::SignalInfo { lte_signal_strength: Some(lte), ..Default::default() };
    let small = ask(1).success(&signal).encode();
    let large = settings();

    bench.time("qmi.decode.signal-info", || read::<nas::GetSignalInfo>(black_box(&small)));
    bench.time("qmi.decode.current-settings", || read::<wds::GetCurrentSettings>(black_box(&large)));
    bench.time("qmi.encode.signal-info-request", || ask(black_box(1)).encode());
    bench.time("qmi.encode.start-network", || {
        let start = wds::StartNetwork { apn: Some("internet".to_owned()), ..Default::default() };
        Frame::request(1, black_box(1), &start).encode()
    });
    bench.time("qmi.describe.current-settings", || serde_json::to_string(&describe(black_box(&large))));

    let (mut client, deadline) = (Client::new(), Instant::now() + Duration::from_secs(3600));
    bench.time("qmi.client.exchange", || {
        client.request(1, &nas::GetSignalInfo {}, deadline).expect("nothing else is in flight");
        let request = Frame::decode(&client.poll_transmit().expect("a request")).expect("a frame");
        client.handle_bytes(&request.success(&signal).encode());
        client.poll_event().expect("an answer")
    });
}

fn read<R: Request>(bytes: &[u8]) -> R::Response {
    let frame = Frame::decode(bytes).expect("a frame");
    frame.read_answer::<R>().ok().expect("an answer")
}

fn settings() -> Vec<u8> {
    let address = |last| Some([10, 1, 2, last].into());
    let settings = wds::GetCurrentSettingsResponse {
        apn_name: Some("internet".to_owned()),
        ipv4_address: address(3),
        ipv4_gateway_address: address(4),
        ipv4_gateway_subnet_mask: Some([255, 255, 255, 248].into()),
        primary_ipv4_dns_address: address(53),
        secondary_ipv4_dns_address: address(54),
        mtu: Some(1430),
        ip_family: Some(wds::IpFamily::Ipv4),
        domain_name_list: Some(vec!["example.org".to_owned()]),
        ..Default::default()
    };
    let requested_settings = wds::RequestedSettings(0xE330);
    Frame::request(1, 1, &wds::GetCurrentSettings { requested_settings }).success(&settings).encode()
}
