//! Folders shaped like a router's `/sys`, with the symbolic links that the kernel makes.

#![allow(dead_code)] // each test file uses its part

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A sysfs root in a temporary folder.
pub struct Tree {
    folder: tempfile::TempDir,
}

/// What one USB interface carries.
pub enum Function<'a> {
    /// A serial port of a usb-serial driver.
    Serial { driver: &'a str, tty: &'a str },
    /// A QMI function: network interface and control port.
    Qmi { netdev: &'a str, control: &'a str },
}

impl Tree {
    /// A machine with an xHCI controller, its root hub and one Bluetooth device that is no modem.
    pub fn new() -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(tree.root().join("bus/usb/devices")).unwrap();
        let hub = tree.controller().join("usb1");
        write(&hub, &[("idVendor", "1d6b"), ("idProduct", "0002"), ("busnum", "1"), ("devnum", "1")]);
        fs::create_dir_all(hub.join("1-0:1.0")).unwrap();
        tree.link_device("usb1", &hub);
        tree.device("1-3", 2, 0x8087, 0x07db, &[]);
        tree
    }

    /// The folder to hand to `discover`.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Where the controller's devices hang.
    pub fn controller(&self) -> PathBuf {
        self.root().join("devices/pci0000:00/0000:00:15.0")
    }

    /// The folder of a USB device.
    pub fn device_folder(&self, usb_path: &str) -> PathBuf {
        self.controller().join("usb1").join(usb_path)
    }

    /// Adds a USB device with functions on numbered interfaces.
    pub fn device(
        &self,
        usb_path: &str,
        number: u16,
        vendor: u16,
        product: u16,
        functions: &[(u8, Function<'_>)],
    ) {
        let folder = self.device_folder(usb_path);
        write(
            &folder,
            &[
                ("idVendor", &format!("{vendor:04x}")),
                ("idProduct", &format!("{product:04x}")),
                ("busnum", "1"),
                ("devnum", &number.to_string()),
                ("manufacturer", "Sierra Wireless, Incorporated"),
                ("product", "Sierra Wireless MC7455"),
            ],
        );
        fs::create_dir_all(folder.join("ep_00")).unwrap();
        self.link_device(usb_path, &folder);
        for (interface, function) in functions {
            self.interface(usb_path, *interface, function);
        }
    }

    fn interface(&self, usb_path: &str, number: u8, function: &Function<'_>) {
        let name = format!("{usb_path}:1.{number}");
        let folder = self.device_folder(usb_path).join(&name);
        write(&folder, &[("bInterfaceNumber", &format!("{number:02x}")), ("bInterfaceClass", "ff")]);
        self.link_device(&name, &folder);
        let driver = match function {
            Function::Serial { driver, tty } => {
                let class = folder.join(tty).join("tty").join(tty);
                fs::create_dir_all(&class).unwrap();
                self.link("class/tty", tty, &class);
                driver
            }
            Function::Qmi { netdev, control } => {
                let net = folder.join("net").join(netdev);
                write(&net.join("qmi"), &[("raw_ip", "N"), ("pass_through", "N")]);
                self.link("class/net", netdev, &net);
                symlink(&folder, net.join("device")).unwrap();
                let port = folder.join("usbmisc").join(control);
                fs::create_dir_all(&port).unwrap();
                self.link("class/usbmisc", control, &port);
                symlink(&folder, port.join("device")).unwrap();
                "qmi_wwan"
            }
        };
        let drivers = self.root().join("bus/usb/drivers").join(driver);
        fs::create_dir_all(&drivers).unwrap();
        symlink(&drivers, folder.join("driver")).unwrap();
        symlink(&folder, drivers.join(&name)).unwrap();
    }

    /// Takes a USB device away.
    pub fn remove(&self, usb_path: &str) {
        fs::remove_dir_all(self.device_folder(usb_path)).unwrap();
        prune(&self.root().join("class"));
        prune(&self.root().join("bus"));
    }

    /// The router of the Dual LTE manual's second adapter: `1-4` with `ttyUSB6` to `ttyUSB8`, beside a first at `1-1`.
    pub fn dual_lte() -> Self {
        let tree = Self::new();
        tree.sierra("1-1", 3, 0, ["ttyUSB3", "ttyUSB4", "ttyUSB5"], "wwp0s21u1i8");
        tree.sierra("1-4", 4, 1, ["ttyUSB6", "ttyUSB7", "ttyUSB8"], "wwp0s21u4i8");
        tree
    }

    /// A Sierra MC7455 in its QMI composition.
    pub fn sierra(&self, usb_path: &str, number: u16, wdm: u8, tty: [&str; 3], netdev: &str) {
        let driver = "qcserial";
        self.device(
            usb_path,
            number,
            0x1199,
            0x9071,
            &[
                (0, Function::Serial { driver, tty: tty[0] }),
                (2, Function::Serial { driver, tty: tty[1] }),
                (3, Function::Serial { driver, tty: tty[2] }),
                (8, Function::Qmi { netdev, control: &format!("cdc-wdm{wdm}") }),
            ],
        );
    }

    fn link_device(&self, name: &str, to: &Path) {
        self.link("bus/usb/devices", name, to);
    }

    fn link(&self, folder: &str, name: &str, to: &Path) {
        let folder = self.root().join(folder);
        fs::create_dir_all(&folder).unwrap();
        symlink(to, folder.join(name)).unwrap();
    }
}

/// Writes attributes the way the kernel shows them, with a line end.
pub fn write(folder: &Path, attributes: &[(&str, &str)]) {
    fs::create_dir_all(folder).unwrap();
    for (name, value) in attributes {
        fs::write(folder.join(name), format!("{value}\n")).unwrap();
    }
}

/// Removes symbolic links that lead nowhere.
fn prune(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            if !path.exists() {
                fs::remove_file(path).unwrap();
            }
        } else if path.is_dir() {
            prune(&path);
        }
    }
}
