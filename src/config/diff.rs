//! What changes when one configuration follows another, so that the agent touches nothing else.

use super::{Config, DeviceInterface, Warning};

/// The difference between two configurations. Each device-interface, by name, is in exactly one list, but for one whose
/// type changes: that is another uplink of the same name, and so both removed and added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Only in the new configuration, or of another type there.
    pub added: Vec<String>,
    /// Only in the old configuration, or of another type there.
    pub removed: Vec<String>,
    /// The session cannot stay: dial again.
    pub redialled: Vec<String>,
    /// Something changed that leaves the session alone: rank, weight, NAT, hand-over, data plan, AT port.
    pub adjusted: Vec<String>,
    /// The same in both.
    pub untouched: Vec<String>,
    /// Sections whose values differ, by their name in the file.
    pub sections: Vec<&'static str>,
    /// The old and the new name of the router, where they differ.
    pub renamed: Option<(String, String)>,
}

impl Changes {
    /// Whether both configurations mean the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { added, removed, redialled, adjusted, untouched: _, sections, renamed: _ } = self;
        [added, removed, redialled, adjusted].iter().all(|list| list.is_empty()) && sections.is_empty()
    }

    /// Whether that section differs.
    #[must_use]
    pub fn section(&self, name: &str) -> bool {
        self.sections.contains(&name)
    }

    /// What will happen by the change, and what its author may not expect.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let renamed = |(old, new): &(String, String)| Warning {
            message: format!(
                "the name of the router changes at the next start of the agent: until then its events go on under `{old}`"
            ),
            path: vec![("router", new.clone())],
        };
        self.renamed.iter().map(renamed).collect()
    }
}

/// Compares two configurations. The order of device-interfaces does not count; the contents of files that
/// they name are not looked at.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Changes {
    let names = (old.router.name.to_string(), new.router.name.to_string());
    let renamed = Some(names).filter(|(old, new)| old != new);
    let mut changes = Changes { sections: changed_sections(old, new), renamed, ..Changes::default() };
    for device in &new.device_interfaces {
        let list = match old.device_interface(&device.name) {
            None => &mut changes.added,
            Some(before) if before.kind != device.kind => {
                changes.removed.push(device.name.clone());
                &mut changes.added
            }
            Some(before) if before == device => &mut changes.untouched,
            Some(before) if session(before) == session(device) => &mut changes.adjusted,
            Some(_) => &mut changes.redialled,
        };
        list.push(device.name.clone());
    }
    let gone = old.device_interfaces.iter().filter(|device| new.device_interface(&device.name).is_none());
    changes.removed.extend(gone.map(|device| device.name.clone()));
    changes
}

/// What a running session depends on.
fn session(device: &DeviceInterface) -> impl PartialEq {
    let families = device.network_interface().map(|network| network.dhcp);
    let belongs = (device.imei.clone(), device.iccid.clone());
    (device.target_interface.clone(), belongs, device.lte.clone(), families)
}

fn changed_sections(old: &Config, new: &Config) -> Vec<&'static str> {
    [
        ("router", old.router != new.router),
        ("failover", old.failover != new.failover),
        ("probe", old.probe != new.probe),
        ("retry", old.retry != new.retry),
        ("recovery", old.recovery != new.recovery),
        ("sample", old.sample != new.sample),
        ("spool", old.spool != new.spool),
        ("upload", old.upload != new.upload),
        ("privacy", old.privacy != new.privacy),
        ("serial", old.serial != new.serial),
        ("agent", old.agent != new.agent),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TWO_MODEMS, parse};
    use super::*;

    fn check(from: &str, to: &str, edit: &[(&str, &str)], expected: Changes) {
        let (mut old, mut new) = (from.to_owned(), to.to_owned());
        for (before, after) in edit {
            assert!(new.contains(before), "{before}");
            new = new.replace(before, after);
        }
        assert_eq!(diff(&parse(&old), &parse(&new)), expected, "{edit:?}");
        // The way back names the same links.
        std::mem::swap(&mut old, &mut new);
        let back = diff(&parse(&old), &parse(&new));
        assert_eq!(back.untouched.len(), expected.untouched.len(), "{edit:?}");
        assert_eq!((back.added.len(), back.removed.len()), (expected.removed.len(), expected.added.len()));
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_unchanged_link_is_untouched_whatever_else_changes() {
        let untouched = names(&["lte-dev-1"]);
        let other = names(&["lte-dev-2"]);
        for (edit, expected) in [
            (("second.example", "third.example"), Changes { redialled: other.clone(), ..Changes::default() }),
            (
                ("password = \"two\"", "password = \"three\""),
                Changes { redialled: other.clone(), ..Changes::default() },
            ),
            (("wwp0s21u4i8", "wwp0s21u5i8"), Changes { redialled: other.clone(), ..Changes::default() }),
            (
                ("dhcp = \"v6\"", "dhcp = \"v4v6\""),
                Changes { redialled: other.clone(), ..Changes::default() },
            ),
            (("priority = 500", "priority = 200"), Changes { adjusted: other.clone(), ..Changes::default() }),
            (("weight = 3", "weight = 4"), Changes { adjusted: other.clone(), ..Changes::default() }),
            (
                ("lte-dev-2", "lte-dev-3"),
                Changes { added: names(&["lte-dev-3"]), removed: other.clone(), ..Changes::default() },
            ),
        ] {
            check(TWO_MODEMS, TWO_MODEMS, &[edit], Changes { untouched: untouched.clone(), ..expected });
        }
    }

    #[test]
    fn another_type_under_the_same_name_is_another_uplink() {
        let second = TWO_MODEMS.rfind("[[device-interface]]").unwrap();
        let wired =
            "[[device-interface]]\nname = \"lte-dev-2\"\ntype = \"ethernet\"\ntarget-interface = \"eth1\"\n";
        let new = format!("{}{wired}", &TWO_MODEMS[..second]);
        let (both, untouched) = (names(&["lte-dev-2"]), names(&["lte-dev-1"]));
        let expected = Changes { added: both.clone(), removed: both, untouched, ..Changes::default() };
        check(TWO_MODEMS, &new, &[], expected);
    }

    #[test]
    fn sections_change_without_touching_links() {
        let both = names(&["lte-dev-1", "lte-dev-2"]);
        for (section, text) in [
            ("failover", "[failover]\npolicy = \"failover\""),
            ("retry", "[retry]\npassing = [\"5s\"]"),
            ("upload", "[upload]\nto = \"https://central.example\""),
            ("privacy", "[privacy]\nidentifiers = \"hashed\""),
        ] {
            let new = format!("{TWO_MODEMS}\n{text}\n");
            let expected = Changes { untouched: both.clone(), sections: vec![section], ..Changes::default() };
            assert!(!expected.is_empty());
            check(TWO_MODEMS, &new, &[], expected);
        }
    }

    #[test]
    fn another_name_of_the_router_is_warned_of_and_other_labels_are_not() {
        let old = parse(TWO_MODEMS);
        let mut new = old.clone();
        new.router.labels.insert("site".into(), "elsewhere".into());
        assert!(diff(&old, &new).section("router"));
        assert_eq!(diff(&old, &new).warnings(), []);
        new.router.name = "another".parse().unwrap();
        let warnings = diff(&old, &new).warnings();
        assert_eq!(warnings.len(), 1);
        let text = warnings[0].to_string();
        assert!(text.contains("next start of the agent") && text.contains(&format!("`{}`", old.router.name)));
        assert!(text.ends_with("\n   router another"), "{text}");
    }

    #[test]
    fn writing_a_default_down_changes_nothing() {
        let written = format!("{TWO_MODEMS}\n[spool]\nmax-size = \"16MiB\"\n");
        assert!(diff(&parse(TWO_MODEMS), &parse(&written)).is_empty());
    }
}
