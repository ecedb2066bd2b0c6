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
