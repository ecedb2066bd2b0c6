//! The network edge on a real kernel: what an engineer's commands show, and what happens when things go wrong.
#![cfg(feature = "agent")]

#[path = "../support/machine.rs"]
mod machine;

mod faults;
mod flows;
mod names;
mod shown;

use std::net::{Ipv4Addr, Ipv6Addr};

use tandem::config::InterfaceType;
use tandem::event::{IpSettings, Ipv4Settings, Ipv6Settings};
use tandem::net::{Applied, Network, Settings, Uplink, Wanted};

/// A link that is up, on `wwanN`, and has carried nothing yet.
fn lte(index: u8, address: [u8; 4]) -> Uplink {
    let address = Ipv4Addr::from(address);
    let ipv4 =
        Ipv4Settings { address, prefix_length: 30, gateway: None, dns: vec![[10, 0, 0, index].into()] };
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
        handover_metric: Some(100 + 200 * u32::from(index)),
        source_nat: true,
        carries: None,
    }
}

fn with_ipv6(mut uplink: Uplink) -> Uplink {
    let address = Ipv6Addr::new(0x2001, 0xdb8, u16::from(uplink.index), 0, 0, 0, 0, 2);
    let gateway = Some(Ipv6Addr::new(0x2001, 0xdb8, u16::from(uplink.index), 0, 0, 0, 0, 1));
    if let Settings::Up(settings) = &mut uplink.settings {
        settings.ipv6 = Some(Ipv6Settings { address, prefix_length: 64, gateway, dns: vec![] });
    }
    uplink
}

fn carrying(mut uplink: Uplink, weight: u16) -> Uplink {
    uplink.carries = Some(weight);
    uplink
}

fn down(mut uplink: Uplink) -> Uplink {
    uplink.settings = Settings::Down;
    uplink.carries = None;
    uplink
}

fn wanted<const N: usize>(uplinks: [Uplink; N]) -> Wanted {
    Wanted { uplinks: uplinks.into() }
}

fn network() -> Network {
    Network::kernel("/run/tandem/resolv.conf".as_ref()).unwrap().0
}

/// Applies and settles; nothing may be wrong.
async fn bring(network: &mut Network, wanted: &Wanted) -> Applied {
    let applied = network.apply(wanted).await;
    assert_eq!(applied.problems, []);
    assert_eq!(network.settle(wanted).await, []);
    assert_eq!(network.apply(wanted).await.changes, 0, "a second time there is nothing left to do");
    applied
}
