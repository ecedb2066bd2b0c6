use std::time::Duration;

use super::*;

pub(super) const MINIMAL: &str = r#"
[router]
name = "branch-0042"
labels = { site = "Springfield ATM", region = "midwest", tenant = "bank-a" }

[[device-interface]]
name = "lte-dev-1"
type = "lte"
target-interface = "wwp0s21u1i8"
lte = { apn-name = "broadband", authentication = { user-name = "foo", password-file = "/etc/tandem/apn1", authentication-protocol = "chap" } }

[[device-interface.network-interface]]
name = "lte-intf-1"
source-nat = true
dhcp = "v4"
default-route = true
management-vector = { name = "lte-route-1", priority = 300 }
"#;

pub(super) const TWO_MODEMS: &str = r#"
[router]
name = "kiosk-7"

[[device-interface]]
name = "lte-dev-1"
type = "lte"
target-interface = "wwp0s21u1i8"
lte = { apn-name = "first.example", authentication = { user-name = "one", password = "one", authentication-protocol = "chap" } }
network-interface = [{ name = "lte-intf-1", source-nat = true, dhcp = "v4", default-route = true, management-vector = { name = "lte-route-1", priority = 300 } }]

[[device-interface]]
name = "lte-dev-2"
type = "lte"
target-interface = "wwp0s21u4i8"
weight = 3
lte = { apn-name = "second.example", authentication = { user-name = "two", password = "two", authentication-protocol = "pap" } }
network-interface = [{ name = "lte-intf-2", source-nat = true, dhcp = "v6", default-route = true, management-vector = { name = "lte-route-2", priority = 500 } }]
"#;

pub(super) fn parse(text: &str) -> Config {
    Config::parse(text, "agent.toml").unwrap_or_else(|error| panic!("{error}")).config
}

#[test]
fn the_minimal_file_parses_without_warnings_and_fills_in_the_rest() {
    let Checked { config, warnings } = Config::parse(MINIMAL, "agent.toml").unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.router.labels["region"], "midwest");
    let device = config.device_interface("lte-dev-1").unwrap();
    assert_eq!(config.by_target_interface("wwp0s21u1i8"), Some(device));
    assert_eq!(device.handover_metric(), Some(300));
    assert_eq!(device.priority(), 300);
    assert_eq!(device.network_interface().unwrap().dhcp, Dhcp::V4);
    assert_eq!(config.failover.policy, Policy::ActiveActive);
    assert_eq!(config.retry.passing.last(), Some(&Duration::from_secs(60)));
}

#[test]
fn the_metric_of_old_follows_from_what_is_not_said() {
    let vector = "management-vector = { name = \"lte-route-1\", priority = 300 }";
    for (default_route, management_vector, metric, warns) in [
        ("", "", Some(128), true),
        ("default-route = false", "", Some(128), true),
        ("default-route = true", "", Some(128), false),
        ("", vector, None, false),
        ("default-route = false", vector, None, false),
        ("default-route = true", vector, Some(300), false),
        ("default-route = false", "management-vector = {}", Some(128), true),
        ("default-route = false", "management-vector = { name = \"\", priority = 7 }", Some(128), true),
        ("default-route = true", "management-vector = { priority = 7 }", Some(7), false),
    ] {
        let text = MINIMAL.replace("default-route = true", default_route).replace(vector, management_vector);
        let Checked { config, warnings } = Config::parse(&text, "agent.toml").unwrap();
        let case = format!("{default_route} {management_vector}");
        assert_eq!(config.device_interfaces[0].handover_metric(), metric, "{case}");
        assert_eq!(config.device_interfaces[0].legacy_default_route(), warns, "{case}");
        assert_eq!(warnings.len(), usize::from(warns), "{case}: {warnings:?}");
    }
}

#[test]
fn a_warning_is_followed_by_the_path_of_its_object() {
    let text = MINIMAL.replace("default-route = true", "").replace("management-vector", "#");
    let warnings = Config::parse(&text, "agent.toml").unwrap().warnings;
    let text = warnings[0].to_string();
    let (message, path) = text.split_once('\n').unwrap();
    for needed in ["metric 128", "wwp0s21u1i8", "default-route = false", "management-vector"] {
        assert!(message.contains(needed), "{message}");
    }
    assert_eq!(path, "   router branch-0042\n   device-interface lte-dev-1\n   network-interface lte-intf-1");
}

#[test]
fn a_wired_circuit_keeps_its_own_routes_and_comes_first() {
    let wired =
        "\n[[device-interface]]\nname = \"wan\"\ntype = \"ethernet\"\ntarget-interface = \"enp4s0f0\"\n";
    let config = parse(&format!("{MINIMAL}{wired}"));
    let wan = config.device_interface("wan").unwrap();
    assert_eq!((wan.handover_metric(), wan.legacy_default_route()), (None, false));
    assert!(wan.priority() < config.device_interface("lte-dev-1").unwrap().priority());
}

#[test]
fn equal_priorities_and_odd_sections_are_warned_about() {
    let warned = |text: &str| Config::parse(text, "agent.toml").unwrap().warnings;
    let equal = warned(&TWO_MODEMS.replace("500", "300"));
    assert_eq!(equal.len(), 1);
    assert_eq!(equal[0].path[1], ("device-interface", "lte-dev-2".to_owned()));
    for section in [
        "[probe]\ntargets = [\"192.0.2.1\"]",
        "[retry]\nthrottled = [\"5m\"]",
        "[upload]\nto = \"http://central.example\"",
    ] {
        assert_eq!(warned(&format!("{MINIMAL}{section}")).len(), 1, "{section}");
    }
    assert_eq!(warned(&format!("{MINIMAL}[upload]\nto = \"http://127.0.0.1:8080\"")), []);
    assert_eq!(warned("[router]\nname = \"r\"").len(), 1);
}

#[test]
fn secrets_are_never_printed() {
    let text = format!("{TWO_MODEMS}[upload]\ntoken = \"token-5\"\n")
        .replace("password = \"two\"", "password = \"sesame\"")
        .replace("apn-name = \"first", "pin = \"4711\", apn-name = \"first");
    let config = parse(&text);
    for printed in [format!("{config:?}"), config.to_toml(), config.to_marked_toml()] {
        for secret in ["sesame", "token-5", "4711"] {
            assert!(!printed.contains(secret), "{printed}");
        }
        assert!(printed.contains(Secret::HIDDEN));
    }
    let reveal =
        config.lte_interfaces().nth(1).unwrap().lte.as_ref().unwrap().authentication.as_ref().unwrap();
    assert_eq!(reveal.password.as_ref().unwrap().reveal(), "sesame");
}

#[test]
fn one_meaning_has_one_hash() {
    let config = parse(TWO_MODEMS);
    assert_eq!(config.hash().len(), 64);
    assert_eq!(
        parse(&format!("# comment\n{TWO_MODEMS}\n[failover]\nstandby = \"hot\"")).hash(),
        config.hash()
    );
    assert_ne!(parse(&TWO_MODEMS.replace("500", "501")).hash(), config.hash());
}

#[test]
fn defaults_are_marked_and_only_they() {
    let shown = parse(&format!("{MINIMAL}[spool]\nmax-size = \"2MiB\"")).to_marked_toml();
    let marked =
        |start: &str| shown.lines().find(|line| line.starts_with(start)).unwrap().ends_with("# default");
    assert!(marked("policy") && marked("dir = \"/var/lib/tandem/spool\"") && marked("passing"));
    assert!(!marked("max-size") && !marked("name") && !marked("target-interface"));
    assert_eq!(parse(&shown), parse(&parse(&format!("{MINIMAL}[spool]\nmax-size = \"2MiB\"")).to_toml()));
}

mod properties {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn network_interface(index: usize)(
            source_nat: bool,
            dhcp in prop_oneof![Just(Dhcp::V4), Just(Dhcp::V6), Just(Dhcp::V4v6)],
            default_route: Option<bool>,
            vector in prop::option::of((".{0,20}", 0u32..=u32::MAX)),
        ) -> NetworkInterface {
            let management_vector = vector.map(|(name, priority)| ManagementVector { name, priority });
            NetworkInterface { name: format!("net-{index}"), source_nat, dhcp, default_route, management_vector }
        }
    }

    prop_compose! {
        fn device(index: usize)(
            network in network_interface(index),
            apn_name in "[!-~]{1,100}",
            profile in prop::option::of(1u8..=24),
            user_name in ".{0,30}",
            protocol in prop_oneof![Just(AuthenticationProtocol::None), Just(AuthenticationProtocol::PapOrChap)],
            with_authentication: bool,
            weight in 1u16..=256,
            plan in prop::option::of((1u64..1 << 50, 1u8..=28)),
        ) -> DeviceInterface {
            let authentication = with_authentication.then_some(Authentication {
                user_name,
                password: None,
                password_file: Some("/etc/tandem/apn \"1\"".into()),
                authentication_protocol: protocol,
            });
            DeviceInterface {
                name: format!("lte-{index}"),
                kind: InterfaceType::Lte,
                target_interface: format!("wwan{index}"),
                usb_port: None,
                imei: None,
                iccid: None,
                control_port: None,
                weight,
                lte: Some(Lte { apn_name, profile, pin: None, pin_file: None, authentication }),
                data_plan: plan.map(|(limit_bytes, cycle_day)| DataPlan { limit_bytes, cycle_day }),
                network_interfaces: vec![network],
            }
        }
    }

    fn config() -> impl Strategy<Value = Config> {
        let labels = prop::collection::btree_map(".{0,12}", ".{0,12}", 0..4);
        let waits = prop::collection::vec(1000u64..10_000_000, 1..6);
        (labels, device(0), device(1), waits, any::<bool>()).prop_map(
            |(labels, first, second, waits, reboot)| {
                let mut config = parse("[router]\nname = \"r\"");
                config.router.labels = BTreeMap::from_iter(labels);
                config.device_interfaces = vec![first, second];
                config.retry.passing = waits.into_iter().map(Duration::from_millis).collect();
                config.recovery.reboot = reboot;
                config
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(config in config()) {
            prop_assert_eq!(&parse(&config.to_toml()), &config);
            prop_assert_eq!(&parse(&config.to_marked_toml()), &config);
            prop_assert!(diff(&config, &parse(&config.to_toml())).is_empty());
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = (Config::parse(&text, "x"), import::import(&text, "x", None));
        }

        /// Texts that are nearly right reach further than noise.
        #[test]
        fn no_damaged_file_panics(at in 0usize..900, length in 0usize..40, inserted in "[\\[\\]{}=\"'a-z0-9.,\n\té]{0,8}") {
            let text: Vec<char> = TWO_MODEMS.chars().collect();
            let (at, end) = (at.min(text.len()), (at + length).min(text.len()));
            let damaged: String = text[..at].iter().copied().chain(inserted.chars()).chain(text[end..].iter().copied()).collect();
            if let Err(error) = Config::parse(&damaged, "x") {
                prop_assert!(error.faults.iter().all(|fault| fault.line <= damaged.matches('\n').count() + 1));
            }
        }

        #[test]
        fn no_imported_text_panics_and_what_comes_out_is_toml(
            lines in prop::collection::vec(
                "( {0,8})(config|authority|router r|node n|device-interface [ab]|network-interface n|management-vector( v)?|lte|authentication|exit|name [abnv]|type (lte|host)|target-interface w|apn-name \"?x\"?|password p|priority [0-9é]|foreign x|dhcp v4|default-route true)",
                0..40,
            ),
        ) {
            if let Ok(imported) = import::import(&lines.join("\n"), "x", None) {
                prop_assert!(imported.toml.parse::<toml::Table>().is_ok(), "{}", imported.toml);
            }
        }
    }
}
