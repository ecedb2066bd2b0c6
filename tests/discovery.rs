//! Modems are found in folders shaped like real routers', and one broken device hides no other.
#![cfg(feature = "agent")]

#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tandem::modem::sysfs::{Mode, PortRole, discover};
use tree::{Function, Tree};

fn names(paths: &[PathBuf]) -> Vec<&str> {
    paths.iter().map(|path| path.to_str().unwrap()).collect()
}

#[test]
fn the_manuals_router_has_two_slots() {
    let tree = Tree::dual_lte();
    let found = discover(tree.root());
    assert!(found.errors.is_empty(), "{:?}", found.errors);
    let slots = found.slots();
    assert_eq!(slots.len(), 2);
    let second = found.slot("wwp0s21u4i8").unwrap();
    assert_eq!(second, slots[1]);
    assert_eq!((second.bus, second.device, second.vendor_id, second.product_id), (1, 4, 0x1199, 0x9071));
    assert_eq!(second.id, "pci-0000:00:15.0-usb-0:4:1.8");
    assert_eq!(second.usb_path, "1-4");
    assert_eq!(second.interface_number, 8);
    assert_eq!(second.control, Path::new("/dev/cdc-wdm1"));
    assert_eq!(names(&second.at_ports), ["/dev/ttyUSB8"]);
    let ports: Vec<_> = found.modems[1]
        .serial_ports
        .iter()
        .map(|port| (port.interface.as_str(), port.path.to_str().unwrap(), port.role))
        .collect();
    assert_eq!(
        ports,
        [
            ("1-4:1.0", "/dev/ttyUSB6", PortRole::Diag),
            ("1-4:1.2", "/dev/ttyUSB7", PortRole::Nmea),
            ("1-4:1.3", "/dev/ttyUSB8", PortRole::At),
        ]
    );
    assert!(found.slot("wwp0s21u3i8").is_none());
}

#[test]
fn a_slot_keeps_its_name_when_the_modem_comes_back_with_other_numbers() {
    let tree = Tree::dual_lte();
    let before = discover(tree.root()).slot("wwp0s21u4i8").unwrap();
    tree.remove("1-4");
    assert_eq!(discover(tree.root()).slots().len(), 1);
    tree.sierra("1-4", 17, 5, ["ttyUSB0", "ttyUSB1", "ttyUSB2"], "wwp0s21u4i8");
    let after = discover(tree.root()).slot("wwp0s21u4i8").unwrap();
    assert_eq!(after.id, before.id);
    assert_ne!((after.device, &after.control), (before.device, &before.control));
}

#[test]
fn one_modem_with_two_data_functions_is_two_slots_paired_by_interface() {
    let tree = Tree::new();
    tree.device(
        "1-2.3",
        9,
        0x1199,
        0x9071,
        &[
            (3, Function::Serial { driver: "qcserial", tty: "ttyUSB0" }),
            // Numbered against the order of the interfaces on purpose.
            (8, Function::Qmi { netdev: "wwp0s21u2u3i8", control: "cdc-wdm1" }),
            (10, Function::Qmi { netdev: "wwp0s21u2u3i10", control: "cdc-wdm0" }),
        ],
    );
    let found = discover(tree.root());
    assert_eq!(found.modems.len(), 1);
    let pairs: Vec<_> = found
        .slots()
        .iter()
        .map(|slot| (slot.id.clone(), slot.netdev.clone(), slot.control.display().to_string()))
        .collect();
    let expected = [
        ("pci-0000:00:15.0-usb-0:2.3:1.8", "wwp0s21u2u3i8", "/dev/cdc-wdm1"),
        ("pci-0000:00:15.0-usb-0:2.3:1.10", "wwp0s21u2u3i10", "/dev/cdc-wdm0"),
    ];
    assert_eq!(pairs, expected.map(|(id, netdev, control)| (id.into(), netdev.into(), control.into())));
}

#[test]
fn a_modem_in_its_boot_loader_is_seen_and_its_port_is_left_alone() {
    let tree = Tree::dual_lte();
    tree.remove("1-4");
    tree.device("1-4", 8, 0x1199, 0x9070, &[(0, Function::Serial { driver: "qcserial", tty: "ttyUSB6" })]);
    let found = discover(tree.root());
    assert!(found.errors.is_empty(), "{:?}", found.errors);
    let modem = &found.modems[1];
    assert_eq!((modem.usb_path.as_str(), modem.mode), ("1-4", Mode::BootHold));
    assert!(modem.slots().is_empty() && modem.at_ports().is_empty());
    assert_eq!(modem.serial_ports[0].role, PortRole::Download);
    assert_eq!(found.slots().len(), 1);
}

#[test]
fn a_modem_without_its_driver_is_named_as_such() {
    let tree = Tree::new();
    let serial = |tty| Function::Serial { driver: "option", tty };
    tree.device(
        "1-4",
        8,
        0x2c7c,
        0x0125,
        &[(2, serial("ttyUSB2")), (3, serial("ttyUSB3")), (1, serial("ttyUSB1"))],
    );
    let found = discover(tree.root());
    assert_eq!(found.modems[0].mode, Mode::NoDataFunction);
    assert_eq!(names(&found.modems[0].at_ports()), ["/dev/ttyUSB2", "/dev/ttyUSB3"]);
}

#[test]
fn ports_nobody_knows_are_tried_after_the_known_ones() {
    let tree = Tree::new();
    let serial = |tty| Function::Serial { driver: "option", tty };
    tree.device(
        "1-4",
        8,
        0x2c7c,
        0x0125,
        &[
            (4, Function::Qmi { netdev: "wwan0", control: "cdc-wdm0" }),
            (7, serial("ttyUSB9")),
            (3, serial("ttyUSB3")),
            (2, serial("ttyUSB2")),
        ],
    );
    assert_eq!(
        names(&discover(tree.root()).slots()[0].at_ports),
        ["/dev/ttyUSB2", "/dev/ttyUSB3", "/dev/ttyUSB9"]
    );
}

#[test]
fn what_is_broken_is_named_and_hides_nothing_else() {
    type Break = fn(&Path);
    let cases: [(&str, Break, &str); 6] = [
        ("1-1/idVendor", |path| fs::write(path, "zz\n").unwrap(), "hexadecimal"),
        ("1-1/idProduct", |path| fs::write(path, [0xff; 9000]).unwrap(), "hexadecimal"),
        ("1-1/busnum", |path| fs::remove_file(path).unwrap(), "cannot read"),
        ("1-1/devnum", |path| fs::write(path, "-1").unwrap(), "decimal"),
        ("1-1/1-1:1.8/usbmisc/cdc-wdm0", |path| fs::remove_dir_all(path).unwrap(), "one entry is expected"),
        ("1-1/1-1:1.8/net", |path| fs::remove_dir_all(path).unwrap(), "cannot read"),
    ];
    for (file, damage, text) in cases {
        let tree = Tree::dual_lte();
        damage(&tree.controller().join("usb1").join(file));
        let found = discover(tree.root());
        let error = found.errors.iter().map(ToString::to_string).collect::<String>();
        let place = file.trim_start_matches("1-1/").trim_end_matches("/cdc-wdm0");
        assert!(error.contains(place) && error.contains(text), "{file}: {error}");
        assert!(found.slot("wwp0s21u4i8").is_some(), "{file}");
        assert!(found.slot("wwp0s21u1i8").is_none(), "{file}");
    }
    let nowhere = discover(Path::new("/nonexistent"));
    assert!(nowhere.errors[0].to_string().contains("/nonexistent/bus/usb/devices"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_content_of_any_attribute_is_survived(
        file in prop::sample::select(vec!["idVendor", "idProduct", "busnum", "devnum", "1-1:1.8/bInterfaceNumber"]),
        content in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let tree = Tree::dual_lte();
        fs::write(tree.device_folder("1-1").join(file), content).unwrap();
        prop_assert!(discover(tree.root()).slot("wwp0s21u4i8").is_some());
    }
}
