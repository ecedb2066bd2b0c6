mod properties;

use super::*;
use crate::event::{IpSettings, Ipv4Settings};
use crate::net::recorder::Recorder;

fn lte(index: u8, carries: Option<u16>) -> Uplink {
    let ipv4 =
        Ipv4Settings { address: [10, 64, 0, index].into(), prefix_length: 30, gateway: None, dns: vec![] };
    Uplink {
        name: format!("lte-dev-{index}"),
        device: format!("wwan{index}"),
        kind: InterfaceType::Lte,
        index,
        settings: Settings::Up(IpSettings {
            ipv4: Some(ipv4),
            mtu_bytes: Some(1430),
            ..IpSettings::default()
        }),
        handover_metric: Some(200 + 100 * u32::from(index)),
        source_nat: true,
        carries,
    }
}

fn words(recorder: &Recorder) -> Vec<String> {
    recorder.steps().iter().map(ToString::to_string).collect()
}

#[test]
fn two_links_that_both_carry_traffic() {
    let mut recorder = Recorder::default();
    let wanted = Wanted { uplinks: vec![lte(1, Some(3)), lte(2, Some(1))] };
    let applied = recorder.apply(&wanted);
    let expected = [
        "link set wwan1 up",
        "link set wwan2 up",
        "link set wwan1 mtu 1430",
        "link set wwan2 mtu 1430",
        "address add 10.64.0.1/32 dev wwan1",
        "address add 10.64.0.2/32 dev wwan2",
        "route replace default dev wwan1 table 7001 proto 201 metric 0",
        "route replace default dev wwan2 table 7002 proto 201 metric 0",
        "route replace default nexthop dev wwan1 weight 3 nexthop dev wwan2 weight 1 table 7000 proto 201 metric 0",
        "rule add priority 7000 lookup 254 suppress_prefixlength 0",
        "rule add priority 7010 oif wwan1 lookup 7001",
        "rule add priority 7010 oif wwan2 lookup 7002",
        "rule add priority 7020 fwmark 0x10000/0xff0000 lookup 7001",
        "rule add priority 7020 fwmark 0x20000/0xff0000 lookup 7002",
        "rule add priority 7030 from 10.64.0.1 lookup 7001",
        "rule add priority 7030 from 10.64.0.2 lookup 7002",
        "rule add priority 7040 lookup 7000",
        "rule add -6 priority 7000 lookup 254 suppress_prefixlength 0",
        "rule add -6 priority 7040 lookup 7000",
        "route append default dev wwan1 table 254 proto 201 metric 300",
        "route append default dev wwan2 table 254 proto 201 metric 400",
    ];
    assert_eq!(words(&recorder), expected);
    assert_eq!(applied.added.len(), 6);
    assert_eq!(recorder.apply(&wanted).changes, 0);
}
