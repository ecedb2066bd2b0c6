//! Settings of the kernel that two uplinks at once need.
//!
//! - `rp_filter` 2 (loose) on each uplink: an answer may come in where the best route back does not lead. The kernel takes the
//!   higher of `all` and the interface, so a strict `all` is no obstacle and is left alone.
//! - `accept_ra` 0 on LTE uplinks: a router advertisement would add addresses and default routes beside ours.
//! - `fib_multipath_hash_policy` 1: flows, not pairs of addresses, are spread over the uplinks.

use std::fs;
use std::path::Path;

use super::words::{Problem, Wanted};
use crate::config::InterfaceType;

/// Where the settings are.
pub const ROOT: &str = "/proc/sys";

/// Sets what `wanted` needs under `root`. What is as it should be is not written.
#[must_use]
pub fn apply(wanted: &Wanted, root: &Path) -> Vec<Problem> {
    settings(wanted).into_iter().filter_map(|(setting, value)| set(root, &setting, value)).collect()
}

/// The settings: path below the root and value.
fn settings(wanted: &Wanted) -> Vec<(String, &'static str)> {
    let up: Vec<_> = wanted.uplinks.iter().filter(|uplink| uplink.up().is_some()).collect();
    let mut settings = Vec::new();
    if !up.is_empty() {
        settings
            .extend(["ipv4", "ipv6"].map(|family| (format!("net/{family}/fib_multipath_hash_policy"), "1")));
    }
    for uplink in up.into_iter().filter(|uplink| !uplink.device.contains('/')) {
        settings.push((format!("net/ipv4/conf/{}/rp_filter", uplink.device), "2"));
        if uplink.kind == InterfaceType::Lte {
            settings.push((format!("net/ipv6/conf/{}/accept_ra", uplink.device), "0"));
        }
    }
    settings
}

fn set(root: &Path, setting: &str, value: &str) -> Option<Problem> {
    let path = root.join(setting);
    // A kernel without the setting (no IPv6, interface gone) has nothing to set.
    let now = fs::read_to_string(&path).ok()?;
    if now.trim() == value {
        return None;
    }
    let error = fs::write(&path, value).err()?;
    Some(Problem::Setting { setting: setting.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::IpSettings;
    use crate::net::words::{Settings, Uplink};

    fn wanted() -> Wanted {
        let uplink = |device: &str, kind, index| Uplink {
            name: device.into(),
            device: device.into(),
            kind,
            index,
            settings: Settings::Up(IpSettings::default()),
            handover_metric: None,
            source_nat: false,
            carries: None,
        };
        Wanted {
            uplinks: vec![uplink("wwan0", InterfaceType::Lte, 1), uplink("eth0", InterfaceType::Ethernet, 2)],
        }
    }

    fn tree(values: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, value) in values {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        }
        folder
    }

    #[test]
    fn each_uplink_is_loose_and_what_the_kernel_lacks_is_no_fault() {
        let [rp_filter, wired, hash] = [
            "net/ipv4/conf/wwan0/rp_filter",
            "net/ipv4/conf/eth0/rp_filter",
            "net/ipv4/fib_multipath_hash_policy",
        ];
        let folder = tree(&[(rp_filter, "1\n"), (wired, "0\n"), (hash, "0\n")]);
        assert_eq!(apply(&wanted(), folder.path()), []);
        let read = |file| fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!([read(rp_filter), read(wired), read(hash)], ["2", "2", "1"]);
    }

    #[test]
    fn no_setting_without_an_uplink_that_is_up() {
        let mut down = wanted();
        down.uplinks.iter_mut().for_each(|uplink| uplink.settings = Settings::Down);
        assert!(settings(&down).is_empty());
        assert!(settings(&wanted()).iter().all(|(path, _)| !path.contains("conf/all")));
    }
}
