//! Any wish upon any state, on a model of the kernel that is as strict as the real one.

use proptest::prelude::*;

use super::super::*;
use crate::event::{IpSettings, Ipv4Settings, Ipv6Settings};
use crate::net::state::Link;

const DEVICES: [&str; 3] = ["wwan1", "wwan2", "eth0"];

fn settings() -> impl Strategy<Value = Settings> {
    let ipv4 = prop::option::weighted(0.8, (0..3_u8, prop::option::of(Just([10, 0, 0, 254].into()))));
    let ipv6 = prop::option::of((0..3_u16, any::<bool>()));
    let up = (ipv4, ipv6, prop::option::of(prop_oneof![Just(1280), Just(1430), Just(40), Just(900)]));
    let up = up.prop_map(|(ipv4, ipv6, mtu_bytes)| {
        let ipv4 = ipv4.map(|(last, gateway)| Ipv4Settings {
            address: [10, 0, 0, last].into(),
            prefix_length: 30,
            gateway,
            dns: vec![],
        });
        let address = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
        let ipv6 = ipv6.map(|(last, has_gateway)| Ipv6Settings {
            address: address(last),
            prefix_length: 64,
            gateway: has_gateway.then(|| address(1)),
            dns: vec![],
        });
        Settings::Up(IpSettings { ipv4, ipv6, mtu_bytes, ..IpSettings::default() })
    });
    prop_oneof![1 => Just(Settings::Unknown), 2 => Just(Settings::Down), 6 => up]
}

fn uplink(number: usize) -> impl Strategy<Value = Uplink> {
    let metric = prop::option::of(prop_oneof![Just(128), Just(300), Just(0)]);
    (settings(), metric, prop::option::weighted(0.7, 0..300_u16)).prop_map(
        move |(settings, handover_metric, carries)| {
            let kind = if number == 2 { InterfaceType::Ethernet } else { InterfaceType::Lte };
            Uplink {
                name: format!("uplink-{number}"),
                device: DEVICES[number].into(),
                kind,
                index: number as u8 + 1,
                settings,
                handover_metric,
                source_nat: true,
                carries,
            }
        },
    )
}

fn wanted() -> impl Strategy<Value = Wanted> {
    (uplink(0), uplink(1), uplink(2), prop::array::uniform3(prop::bool::weighted(0.85))).prop_map(
        |(one, two, three, configured)| {
            let uplinks = [one, two, three].into_iter().zip(configured).filter(|(_, configured)| *configured);
            Wanted { uplinks: uplinks.map(|(uplink, _)| uplink).collect() }
        },
    )
}

/// A default route of somebody else in the main table.
fn foreign() -> impl Strategy<Value = Route> {
    let protocol = prop_oneof![Just(BOOT), Just(4), Just(16)];
    let gateway = prop::option::of(Just(()));
    (any::<bool>(), 0..3_usize, protocol, prop_oneof![Just(128_u32), Just(300), Just(1024)], gateway)
        .prop_map(|(is_ipv4, device, protocol, metric, gateway)| {
            let family = FAMILIES[usize::from(!is_ipv4)];
            let gateway = gateway.map(|()| match is_ipv4 {
                true => [192, 168, 0, 1].into(),
                false => IpAddr::V6(STAND_IN),
            });
            let hops = vec![Hop { device: DEVICES[device].into(), gateway, weight: 1 }];
            Route { family, table: MAIN, metric, protocol, hops }
        })
}

/// A kernel after some earlier wish, with what others added and broke.
fn present() -> impl Strategy<Value = Present> {
    let damage = prop::collection::vec(any::<prop::sample::Index>(), 0..6);
    let there = prop::array::uniform3(prop::bool::weighted(0.9));
    (wanted(), prop::collection::vec(foreign(), 0..4), damage, there, there).prop_map(
        |(earlier, foreign, damage, there, speaks_ipv6)| {
            let mut present = Present::default();
            for (number, device) in DEVICES.iter().enumerate() {
                if there[number] {
                    let link = Link { index: number as u32 + 1, up: speaks_ipv6[number], mtu_bytes: 1500 };
                    present.links.insert((*device).into(), link);
                    if speaks_ipv6[number] {
                        present.ipv6.insert((*device).into());
                    }
                }
            }
            for route in foreign {
                let is_there = present.routes.iter().any(|other| clash(other, &route));
                let speaks = route.family == IpFamily::Ipv4 || present.ipv6.contains(&route.hops[0].device);
                if !is_there && speaks && present.links.contains_key(&route.hops[0].device) {
                    present.routes.push(route);
                }
            }
            for change in plan(&earlier, &present).changes {
                strictly(&mut present, &change);
            }
            for index in damage {
                let (routes, rules) = (present.routes.len(), present.rules.len());
                if routes + rules == 0 {
                    break;
                }
                match index.index(routes + rules) {
                    number if number < routes => drop(present.routes.remove(number)),
                    number => drop(present.rules.pop_first().filter(|_| number % 2 == 0)),
                }
            }
            present
        },
    )
}

/// Whether IPv6 takes the two for one, or IPv4 for the same.
fn clash(one: &Route, other: &Route) -> bool {
    let same = (one.family, one.table, one.metric, &one.hops)
        == (other.family, other.table, other.metric, &other.hops);
    same && (one.family == IpFamily::Ipv6 || one.protocol == other.protocol)
}

/// Takes a step as the kernel would; a step that it would refuse is a fault of the plan.
fn strictly(present: &mut Present, change: &Change) {
    let has = |device: &str| assert!(present.links.contains_key(device), "{change}: no such interface");
    match change {
        Change::LinkUp(device) | Change::Mtu { device, .. } => has(device),
        Change::AddAddress(address) => {
            has(&address.device);
            assert!(!present.addresses.contains(address), "{change}: it is there");
        }
        Change::SetRoute(route) | Change::AppendRoute(route) => {
            route.hops.iter().for_each(|hop| has(&hop.device));
            assert!(
                !route.hops.is_empty() && route.is_ours() | (route.table == MAIN && route.protocol == BOOT)
            );
            let in_place = matches!(change, Change::SetRoute(_));
            assert_eq!(in_place, route.table != MAIN, "{change}: in the main table others have the same key");
            if let (IpFamily::Ipv6, true) = (route.family, route.hops.len() > 1) {
                assert!(
                    route.hops.iter().all(|hop| hop.gateway.is_some()),
                    "{change}: a way without gateway"
                );
            }
            let clashes = present.routes.iter().any(|other| clash(other, route));
            assert!(in_place || !clashes, "{change}: it is there");
        }
        Change::RemoveRoute(route) => assert!(present.routes.contains(route), "{change}: it is not there"),
        Change::AddRule(rule) => assert!(!present.rules.contains(rule), "{change}: it is there"),
        Change::RemoveRule(rule) => assert!(present.rules.contains(rule), "{change}: it is not there"),
        Change::RemoveAddress(address) => assert!(present.addresses.contains(address), "{change}"),
    }
    present.take(change);
}

/// Ways that traffic without a mark of its own finds.
fn ways(present: &Present, family: IpFamily) -> Vec<Hop> {
    let leads = present.rules.iter().any(|rule| rule.family == family && rule.selector == Selector::All);
    let route = present.routes.iter().find(|route| route.family == family && route.table == TABLE);
    let hops = route.filter(|_| leads).map_or_else(Vec::new, |route| route.hops.clone());
    hops.into_iter().filter(|hop| present.links.contains_key(&hop.device)).collect()
}

/// Marks whose flows find the way of their uplink.
fn pinned(present: &Present, family: IpFamily) -> Vec<u32> {
    let has_route = |table| present.routes.iter().any(|route| route.family == family && route.table == table);
    let rules = present.rules.iter().filter(|rule| rule.family == family && has_route(rule.table));
    rules
        .filter_map(|rule| match rule.selector {
            Selector::Mark(mark) => Some(mark),
            _ => None,
        })
        .collect()
}

/// What is neither ours nor what a hand-over left.
fn strangers(present: &Present, wanted: &Wanted) -> Vec<Route> {
    let was_left = |route: &Route| {
        route.protocol == BOOT
            && wanted.uplinks.iter().any(|uplink| {
                uplink
                    .handover_metric
                    .is_some_and(|metric| least_metric(route.family, metric) == route.metric)
                    && route.hops == [Hop { device: uplink.device.clone(), gateway: None, weight: 1 }]
            })
    };
    present.routes.iter().filter(|route| !route.is_ours() && !was_left(route)).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_wish_is_reached_without_a_gap_and_strangers_are_left_alone(wanted in wanted(), before in present()) {
        let mut after = before.clone();
        let steps = plan(&wanted, &before).changes;
        steps.iter().for_each(|change| strictly(&mut after, change));
        prop_assert_eq!(plan(&wanted, &after).changes, [], "a second plan has nothing to do");
        prop_assert_eq!(strangers(&after, &wanted), strangers(&before, &wanted));
        let mut now = before.clone();
        for change in &steps {
            let step_before = now.clone();
            now.take(change);
            for family in FAMILIES {
                let [first, then, last] = [&before, &now, &after].map(|present| ways(present, family));
                if !first.is_empty() && !last.is_empty() {
                    prop_assert!(!then.is_empty(), "{}: nothing leads out", change);
                }
                if !last.is_empty() && ways(&step_before, family) == last {
                    prop_assert_eq!(then, last, "{}: what was reached is left", change);
                }
                let last = pinned(&after, family);
                for mark in pinned(&before, family).iter().filter(|mark| last.contains(mark)) {
                    prop_assert!(pinned(&now, family).contains(mark), "{}: flows of {:#x} are lost", change, mark);
                }
            }
        }
    }

    #[test]
    fn whoever_carries_traffic_is_reached(wanted in wanted(), before in present()) {
        let mut after = before.clone();
        plan(&wanted, &before).changes.iter().for_each(|change| after.take(change));
        for family in FAMILIES {
            let able = |uplink: &&Uplink| {
                let speaks = family == IpFamily::Ipv4 || after.ipv6.contains(&uplink.device);
                uplink.carries.is_some() && layer3(uplink, family).is_some() && speaks
                    && after.links.contains_key(&uplink.device)
            };
            let able: Vec<_> = wanted.uplinks.iter().filter(able).collect();
            let ways: Vec<_> = ways(&after, family).into_iter().map(|hop| hop.device).collect();
            for uplink in able {
                prop_assert!(ways.contains(&uplink.device), "{} has no way", uplink.name);
                prop_assert!(pinned(&after, family).contains(&uplink.mark()));
            }
            for uplink in wanted.uplinks.iter().filter(|uplink| uplink.settings == Settings::Down) {
                prop_assert!(!ways.contains(&uplink.device), "{} is down", uplink.name);
            }
        }
    }

    #[test]
    fn nothing_known_nothing_changed(mut wanted in wanted(), before in present()) {
        wanted.uplinks.iter_mut().for_each(|uplink| uplink.settings = Settings::Unknown);
        let changes = plan(&wanted, &before).changes;
        let concerns = |table: u32| wanted.uplinks.iter().any(|uplink| uplink.table() == table);
        // What a hand-over left has its own table at once.
        let was_left = |family: IpFamily, table: u32| wanted.uplinks.iter().any(|uplink| {
            let left = |route: &Route| *route == left_route(family, &uplink.device, route.metric, BOOT);
            uplink.table() == table && before.routes.iter().any(left)
        });
        for change in changes {
            match change {
                Change::AddRule(rule) => prop_assert!(
                    [7000, 7040].contains(&rule.priority)
                        || ([7010, 7020].contains(&rule.priority) && was_left(rule.family, rule.table))
                ),
                Change::RemoveRule(rule) => prop_assert!(!concerns(rule.table), "{}", rule),
                // Ways over interfaces that no uplink has any more.
                Change::RemoveRoute(route) => prop_assert!(
                    !concerns(route.table) && !route.hops.iter().any(|hop| {
                        wanted.uplinks.iter().any(|uplink| uplink.device == hop.device)
                    }), "{}", route
                ),
                Change::SetRoute(route) => {
                    prop_assert!(route.table == TABLE || was_left(route.family, route.table), "{}", route);
                }
                other => prop_assert!(false, "{}", other),
            }
        }
    }

    #[test]
    fn a_hand_over_leaves_plain_linux_and_the_next_start_takes_it_back(wanted in wanted(), before in present()) {
        let mut running = before.clone();
        plan(&wanted, &before).changes.iter().for_each(|change| strictly(&mut running, change));
        let left = Left::of(&wanted);
        let mut handed_over = running.clone();
        hand_over(&left, &running).changes.iter().for_each(|change| strictly(&mut handed_over, change));
        prop_assert!(!handed_over.routes.iter().any(Route::is_ours) && handed_over.rules.is_empty());
        prop_assert_eq!(hand_over(&left, &handed_over).changes, []);
        prop_assert_eq!(&handed_over.addresses, &running.addresses);
        prop_assert_eq!(strangers(&handed_over, &wanted), strangers(&running, &wanted));
        for route in running.routes.iter().filter(|route| route.is_ours() && route.table == MAIN) {
            let told: Vec<_> = route.told().collect();
            let configured = left.0.iter().find(|(device, _)| *device == route.hops[0].device);
            let metric = configured.map(|(_, metric)| metric.map(|metric| least_metric(route.family, metric)));
            if metric.is_none_or(|metric| metric == Some(route.metric)) {
                prop_assert!(handed_over.routes.iter().any(|left| left.told().eq(told.clone())), "{} is gone", route);
            }
        }
        let again = plan(&wanted, &handed_over);
        let (added, removed) = told(&again.changes, &handed_over);
        let in_main = |routes: &[event::Route]| routes.iter().filter(|route| route.table == MAIN).count();
        prop_assert_eq!(in_main(&removed), 0);
        prop_assert_eq!(in_main(&added), 0, "{:?}", added);
    }
}
