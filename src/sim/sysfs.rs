//! A folder shaped like `/sys` and one like `/dev`, in which discovery finds simulated modems as if they hung on the
//! USB: a Sierra MC7455 each (vendor 1199, product 9071) with a diagnostic, a position and an AT port and one QMI
//! function.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The two folders of one router. They stay when this value goes.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
}

/// One modem's place in the tree, and its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Port of the root hub, from 1.
    pub port: u8,
    /// USB device number: another after each re-enumeration.
    pub device: u16,
    /// N of `cdc-wdmN`.
    pub wdm: u16,
    /// First of the three N of `ttyUSBN`.
    pub tty: u16,
}

impl Place {
    /// Where the modem of this index (from 0) sits on a router, before any re-enumeration.
    #[must_use]
    pub fn of(index: u8) -> Self {
        let number = u16::from(index);
        Self { port: index + 1, device: number + 2, wdm: number, tty: number * 3 }
    }

    /// Network interface as systemd names it: `wwp0s21u1i8`.
    #[must_use]
    pub fn netdev(&self) -> String {
        format!("wwp0s21u{}i8", self.port)
    }

    /// Name of the control port in the device folder.
    #[must_use]
    pub fn control(&self) -> String {
        format!("cdc-wdm{}", self.wdm)
    }

    /// Name of the AT port in the device folder.
    #[must_use]
    pub fn at(&self) -> String {
        format!("ttyUSB{}", self.tty + 2)
    }

    fn usb_path(&self) -> String {
        format!("1-{}", self.port)
    }
}

impl Tree {
    /// Makes `root/sys` and `root/dev` with a USB controller and no modem.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(root: &Path) -> io::Result<Self> {
        let tree = Self { root: root.to_owned() };
        fs::create_dir_all(tree.dev())?;
        let hub = tree.hub();
        write(&hub, &[("idVendor", "1d6b"), ("idProduct", "0002"), ("busnum", "1"), ("devnum", "1")])?;
        fs::create_dir_all(hub.join("1-0:1.0"))?;
        tree.link("bus/usb/devices", "usb1", &hub)?;
        Ok(tree)
    }

    /// The folder to use in place of `/sys`.
    #[must_use]
    pub fn sys(&self) -> PathBuf {
        self.root.join("sys")
    }

    /// The folder to use in place of `/dev`.
    #[must_use]
    pub fn dev(&self) -> PathBuf {
        self.root.join("dev")
    }

    /// Where the pty of the control port is to be linked.
    #[must_use]
    pub fn control_path(&self, place: &Place) -> PathBuf {
        self.dev().join(place.control())
    }

    /// Where the pty of the AT port is to be linked.
    #[must_use]
    pub fn at_path(&self, place: &Place) -> PathBuf {
        self.dev().join(place.at())
    }

    /// Plugs a modem in. Its device nodes are the simulator's to link.
    ///
    /// # Errors
    /// What the file system says, such as that the place is taken.
    pub fn plug(&self, place: &Place) -> io::Result<()> {
        let (usb_path, folder) = (place.usb_path(), self.hub().join(place.usb_path()));
        write(
            &folder,
            &[
                ("idVendor", "1199"),
                ("idProduct", "9071"),
                ("busnum", "1"),
                ("devnum", &place.device.to_string()),
                ("manufacturer", "Sierra Wireless, Incorporated"),
                ("product", "Sierra Wireless MC7455 Qualcomm Snapdragon X7 LTE-A"),
            ],
        )?;
        write(&folder.join("power"), &[("control", "auto")])?;
        self.link("bus/usb/devices", &usb_path, &folder)?;
        for (tty, number) in (place.tty..).zip([0, 2, 3]) {
            let name = format!("ttyUSB{tty}");
            let interface = self.interface(&usb_path, number, "qcserial")?;
            let class = interface.join(&name).join("tty").join(&name);
            fs::create_dir_all(&class)?;
            self.link("class/tty", &name, &class)?;
        }
        let interface = self.interface(&usb_path, 8, "qmi_wwan")?;
        let net = interface.join("net").join(place.netdev());
        write(&net.join("qmi"), &[("raw_ip", "N"), ("pass_through", "N")])?;
        write(&net, &[("address", "da:d1:54:e1:4e:54"), ("operstate", "down"), ("mtu", "1500")])?;
        self.link("class/net", &place.netdev(), &net)?;
        symlink(&interface, net.join("device"))?;
        let control = interface.join("usbmisc").join(place.control());
        fs::create_dir_all(&control)?;
        self.link("class/usbmisc", &place.control(), &control)?;
        symlink(&interface, control.join("device"))
    }

    /// Pulls a modem out.
    ///
    /// # Errors
    /// What the file system says. A modem that is not there is none.
    pub fn unplug(&self, place: &Place) -> io::Result<()> {
        let folder = self.hub().join(place.usb_path());
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        prune(&self.sys().join("bus"))?;
        prune(&self.sys().join("class"))
    }

    fn hub(&self) -> PathBuf {
        self.sys().join("devices/pci0000:00/0000:00:15.0/usb1")
    }

    fn interface(&self, usb_path: &str, number: u8, driver: &str) -> io::Result<PathBuf> {
        let name = format!("{usb_path}:1.{number}");
        let folder = self.hub().join(usb_path).join(&name);
        write(&folder, &[("bInterfaceNumber", &format!("{number:02x}")), ("bInterfaceClass", "ff")])?;
        self.link("bus/usb/devices", &name, &folder)?;
        let drivers = format!("bus/usb/drivers/{driver}");
        self.link(&drivers, &name, &folder)?;
        symlink(self.sys().join(drivers), folder.join("driver"))?;
        Ok(folder)
    }

    fn link(&self, folder: &str, name: &str, to: &Path) -> io::Result<()> {
        let folder = self.sys().join(folder);
        fs::create_dir_all(&folder)?;
        symlink(to, folder.join(name))
    }
}

/// Attributes as the kernel shows them, with a line end.
fn write(folder: &Path, attributes: &[(&str, &str)]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    attributes.iter().try_for_each(|(name, value)| fs::write(folder.join(name), format!("{value}\n")))
}

/// Removes links that lead nowhere.
fn prune(folder: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_symlink() {
            if !path.exists() {
                fs::remove_file(path)?;
            }
        } else if path.is_dir() {
            prune(&path)?;
        }
    }
    Ok(())
}

#[cfg(all(test, feature = "agent"))]
mod tests {
    use super::*;
    use crate::modem::sysfs::{Mode, discover};

    #[test]
    fn discovery_finds_what_is_plugged_in_and_misses_what_is_pulled_out() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::create(&folder.path().join("router")).unwrap();
        let (first, second) = (Place::of(0), Place::of(1));
        tree.plug(&first).unwrap();
        tree.plug(&second).unwrap();
        assert!(tree.plug(&first).is_err());
        let found = discover(&tree.sys());
        assert!(found.errors.is_empty(), "{:?}", found.errors);
        assert!(found.modems.iter().all(|modem| modem.mode == Mode::Ready));
        let slots = found.slots();
        assert_eq!(slots.len(), 2);
        assert_eq!((slots[1].netdev.as_str(), slots[1].vendor_id), ("wwp0s21u2i8", 0x1199));
        assert_eq!(slots[1].control.file_name().unwrap(), "cdc-wdm1");
        assert_eq!(slots[1].at_port().unwrap().file_name().unwrap(), "ttyUSB5");
        tree.unplug(&first).unwrap();
        tree.unplug(&first).unwrap();
        assert_eq!(discover(&tree.sys()).slots().len(), 1);
        tree.plug(&Place { device: 9, wdm: 4, tty: 12, ..first.clone() }).unwrap();
        let again = discover(&tree.sys()).slot(&first.netdev()).unwrap();
        assert_eq!((again.id.as_str(), again.device), (slots[0].id.as_str(), 9));
    }
}
