//! Finds modems in sysfs. The root folder is an argument, so a test hands in a folder shaped like a router's `/sys`.
//!
//! A modem is a USB device; each of its QMI functions is one [`Slot`]: a network interface and the control port
//! *of the same USB interface*, for a port controls no other (one composition may hold two). Serial ports belong to the
//! device. Slots are told apart by where they sit in the USB tree, never by device numbers, which change.
//!
//! One unreadable device never hides another: what could not be read is listed with its path.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Longest sysfs attribute read, in bytes.
const MAX_ATTRIBUTE_LEN: usize = 4096;

/// Where the kernel shows its devices.
pub const DEFAULT_ROOT: &str = "/sys";

/// What could not be read, and where.
#[derive(Debug, thiserror::Error)]
pub enum SysfsError {
    /// The file or folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else than it should.
    #[error("{} holds {found:?} where {wanted} is expected", path.display())]
    Garbage {
        /// The file.
        path: PathBuf,
        /// Its content, shortened.
        found: String,
        /// What belongs there.
        wanted: &'static str,
    },
    /// A QMI function whose halves do not pair up.
    #[error("{}: {problem}", path.display())]
    Function {
        /// The USB interface.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// What a serial port of a modem is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortRole {
    /// Answers AT commands.
    At,
    /// AT commands and PPP data; second choice for commands.
    Modem,
    /// Position reports.
    Nmea,
    /// The maker's diagnostics; never write AT to it.
    Diag,
    /// The boot loader's download port; never write to it.
    Download,
    /// Not in the table: ask the port.
    Unknown,
}

/// A serial port of a modem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SerialPort {
    /// The device node, such as `/dev/ttyUSB8`.
    pub path: PathBuf,
    /// The USB interface, such as `1-4:1.3`.
    pub interface: String,
    /// Number of the USB interface.
    pub interface_number: u8,
    /// Kernel driver, such as `qcserial`.
    pub driver: Option<String>,
    /// What it is for, by vendor, product and interface.
    pub role: PortRole,
}

/// A QMI function: a network interface and its control port on one USB interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataFunction {
    /// The USB interface, such as `1-4:1.8`.
    pub interface: String,
    /// Number of the USB interface.
    pub interface_number: u8,
    /// Network interface, such as `wwp0s21u4i8`.
    pub netdev: String,
    /// Control port, such as `/dev/cdc-wdm0`.
    pub control: PathBuf,
}

/// What a modem is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// At least one QMI function is there.
    Ready,
    /// In its boot loader: one serial port, no control port. Only power or its maker's tool brings it out.
    BootHold,
    /// A modem without a QMI function: driver not loaded, or another USB composition.
    NoDataFunction,
}

/// A modem on the USB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsbModem {
    /// Place in the USB tree as the kernel names it, such as `1-4`.
    pub usb_path: String,
    /// Place in the machine that does not depend on the order of buses, such as `pci-0000:00:15.0-usb-0:4`.
    pub topology: String,
    /// USB bus.
    pub bus: u16,
    /// Device number on the bus; another after each re-enumeration.
    pub device: u16,
    /// USB vendor.
    pub vendor_id: u16,
    /// USB product.
    pub product_id: u16,
    /// Manufacturer, as the USB descriptor says.
    pub manufacturer: Option<String>,
    /// Product, as the USB descriptor says.
    pub product: Option<String>,
    /// What it is ready for.
    pub mode: Mode,
    /// Its QMI functions, by interface number.
    pub functions: Vec<DataFunction>,
    /// Its serial ports, by interface number.
    pub serial_ports: Vec<SerialPort>,
}

/// One place where a link can live: a QMI function and what is needed to drive it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// Stable name: topology and interface, such as `pci-0000:00:15.0-usb-0:4:1.8`.
    pub id: String,
    /// Place in the USB tree, such as `1-4`.
    pub usb_path: String,
    /// USB bus.
    pub bus: u16,
    /// Device number on the bus.
    pub device: u16,
    /// USB vendor.
    pub vendor_id: u16,
    /// USB product.
    pub product_id: u16,
    /// Kernel driver of the QMI function.
    pub driver: String,
    /// Number of the USB interface; the WDA endpoint.
    pub interface_number: u8,
    /// Network interface.
    pub netdev: String,
    /// Control port.
    pub control: PathBuf,
    /// Serial ports that should answer AT commands, best first.
    pub at_ports: Vec<PathBuf>,
}

impl Slot {
    /// A slot named by hand: a control port, and serial ports for AT, that sysfs does not know (a simulator, a test bench).
    #[must_use]
    pub fn by_path(netdev: &str, control: &Path, at_ports: Vec<PathBuf>) -> Self {
        Self {
            id: control.display().to_string(),
            usb_path: String::new(),
            bus: 0,
            device: 0,
            vendor_id: 0,
            product_id: 0,
            driver: String::new(),
            interface_number: 0,
            netdev: netdev.to_owned(),
            control: control.to_owned(),
            at_ports,
        }
    }

    /// The serial port to show as `usb-port`.
    #[must_use]
    pub fn at_port(&self) -> Option<&Path> {
        self.at_ports.first().map(PathBuf::as_path)
    }
}

/// The modems of a machine, and what could not be read.
#[derive(Debug, Default)]
pub struct Discovery {
    /// The modems, by place in the USB tree.
    pub modems: Vec<UsbModem>,
    /// What could not be read. The modems are good all the same.
    pub errors: Vec<SysfsError>,
}

impl Discovery {
    /// Every slot, in the order of the modems and their interfaces.
    #[must_use]
    pub fn slots(&self) -> Vec<Slot> {
        self.modems.iter().flat_map(UsbModem::slots).collect()
    }

    /// The slot whose network interface is `netdev`: the configuration's `target-interface`.
    #[must_use]
    pub fn slot(&self, netdev: &str) -> Option<Slot> {
        self.slots().into_iter().find(|slot| slot.netdev == netdev)
    }
}

impl UsbModem {
    /// One slot for each QMI function.
    #[must_use]
    pub fn slots(&self) -> Vec<Slot> {
        self.functions
            .iter()
            .map(|function| {
                let suffix = function.interface.rsplit(':').next().unwrap_or_default();
                Slot {
                    id: format!("{}:{suffix}", self.topology),
                    usb_path: self.usb_path.clone(),
                    bus: self.bus,
                    device: self.device,
                    vendor_id: self.vendor_id,
                    product_id: self.product_id,
                    driver: QMI_DRIVER.to_owned(),
                    interface_number: function.interface_number,
                    netdev: function.netdev.clone(),
                    control: function.control.clone(),
                    at_ports: self.at_ports(),
                }
            })
            .collect()
    }

    /// Ports to try AT commands on: those of the table first, then those nobody knows. Diagnostic, position
    /// and download ports never.
    #[must_use]
    pub fn at_ports(&self) -> Vec<PathBuf> {
        let mut ports: Vec<_> = self
            .serial_ports
            .iter()
            .filter(|port| matches!(port.role, PortRole::At | PortRole::Modem | PortRole::Unknown))
            .collect();
        ports.sort_by_key(|port| (port.role == PortRole::Unknown, port.role, port.interface_number));
        ports.into_iter().map(|port| port.path.clone()).collect()
    }
}

const QMI_DRIVER: &str = "qmi_wwan";

/// Vendors that make modems, or sell them under their name.
const MODEM_VENDORS: &[u16] = &[
    0x03f0, // HP
    0x05c6, // Qualcomm
    0x1199, // Sierra Wireless
    0x12d1, // Huawei
    0x1546, // u-blox
    0x19d2, // ZTE
    0x1bc7, // Telit
    0x1e0e, // SIMCom
    0x2c7c, // Quectel
    0x2cb7, // Fibocom
    0x413c, // Dell
];

/// Products that are a modem in its boot loader, also when more than one interface shows.
const BOOT_HOLD: &[(u16, u16)] = &[
    (0x05c6, 0x9008),
    (0x1199, 0x68a2),
    (0x1199, 0x9070),
    (0x1199, 0x9078),
    (0x1199, 0x9090),
    (0x1199, 0x90d2),
    (0x2c7c, 0x0801),
    (0x413c, 0x81b5),
];

/// Reads the modems under `root` (`/sys`, or a folder shaped like it).
#[must_use]
pub fn discover(root: &Path) -> Discovery {
    let mut found = Discovery::default();
    let devices = root.join("bus/usb/devices");
    let mut names = match entries(&devices) {
        Ok(names) => names,
        Err(error) => {
            found.errors.push(error);
            return found;
        }
    };
    // `1-4:1.0` is an interface and `usb1` a root hub; `1-4` and `1-4.2` are devices.
    names.retain(|name| !name.contains(':') && name.starts_with(|c: char| c.is_ascii_digit()));
    names.sort_by_key(|name| natural_order(name));
    for name in names {
        let errors = &mut found.errors;
        if let Some(modem) = read_modem(&devices.join(&name), &name, errors) {
            found.modems.push(modem);
        }
    }
    found
}

fn read_modem(folder: &Path, usb_path: &str, errors: &mut Vec<SysfsError>) -> Option<UsbModem> {
    let interfaces = read_interfaces(folder, usb_path, errors);
    let has_function = interfaces.iter().any(|interface| interface.driver.as_deref() == Some(QMI_DRIVER));
    let vendor_id = match number(folder, "idVendor", 16) {
        Ok(id) => id,
        // A keyboard with a bad descriptor is nobody's business here.
        Err(_) if !has_function => return None,
        Err(error) => {
            errors.push(error);
            return None;
        }
    };
    if !has_function && !MODEM_VENDORS.contains(&vendor_id) {
        return None;
    }
    let mut read = |name, radix| number(folder, name, radix).map_err(|error| errors.push(error)).ok();
    let product_id = read("idProduct", 16)?;
    let (bus, device) = (read("busnum", 10)?, read("devnum", 10)?);
    let has_serial = interfaces.iter().any(|interface| interface.tty.is_some());
    let known_loader = BOOT_HOLD.contains(&(vendor_id, product_id));
    if !has_function && !has_serial && !known_loader {
        return None; // another product of a vendor that also makes modems
    }
    let functions = data_functions(folder, &interfaces, errors);
    let mode = match (functions.is_empty(), has_function) {
        (false, _) => Mode::Ready,
        (true, false) if known_loader || interfaces.len() == 1 => Mode::BootHold,
        (true, _) => Mode::NoDataFunction,
    };
    let serial_ports = serial_ports(&interfaces, vendor_id, product_id, mode);
    Some(UsbModem {
        usb_path: usb_path.to_owned(),
        topology: topology(folder, usb_path),
        bus,
        device,
        vendor_id,
        product_id,
        manufacturer: attribute(folder, "manufacturer").ok().filter(|text| !text.is_empty()),
        product: attribute(folder, "product").ok().filter(|text| !text.is_empty()),
        mode,
        functions,
        serial_ports,
    })
}

/// One USB interface, as far as it matters here.
struct Interface {
    name: String,
    number: u8,
    driver: Option<String>,
    tty: Option<String>,
}

fn read_interfaces(folder: &Path, usb_path: &str, errors: &mut Vec<SysfsError>) -> Vec<Interface> {
    let names = match entries(folder) {
        Ok(names) => names,
        Err(error) => {
            errors.push(error);
            return Vec::new();
        }
    };
    let prefix = format!("{usb_path}:");
    let mut interfaces: Vec<_> = names
        .into_iter()
        .filter(|name| name.starts_with(&prefix))
        .filter_map(|name| {
            let path = folder.join(&name);
            let number = interface_number(&path, &name).map_err(|error| errors.push(error)).ok()?;
            let driver = fs::read_link(path.join("driver"))
                .ok()
                .and_then(|to| Some(to.file_name()?.to_str()?.to_owned()));
            let tty = tty_name(&path);
            Some(Interface { name, number, driver, tty })
        })
        .collect();
    interfaces.sort_by_key(|interface| interface.number);
    interfaces
}

/// The number from `bInterfaceNumber`, else from the folder's name (`1-4:1.8`).
fn interface_number(path: &Path, name: &str) -> Result<u8, SysfsError> {
    match number(path, "bInterfaceNumber", 16) {
        Ok(number) if number <= 255 => Ok(number as u8),
        result => name.rsplit('.').next().and_then(|text| text.parse().ok()).ok_or_else(|| match result {
            Err(error) => error,
            Ok(number) => SysfsError::Garbage {
                path: path.join("bInterfaceNumber"),
                found: number.to_string(),
                wanted: "a number below 256",
            },
        }),
    }
}

/// `ttyUSB8` stands in the interface folder itself (usb-serial), `ttyACM0` in `tty/` (cdc_acm).
fn tty_name(interface: &Path) -> Option<String> {
    let first = |folder: &Path| {
        let mut names: Vec<_> = entries(folder).ok()?.into_iter().filter(|name| is_tty(name)).collect();
        names.sort();
        names.into_iter().next()
    };
    first(interface).or_else(|| first(&interface.join("tty")))
}

fn is_tty(name: &str) -> bool {
    ["ttyUSB", "ttyACM"].iter().any(|prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    })
}

fn data_functions(
    folder: &Path,
    interfaces: &[Interface],
    errors: &mut Vec<SysfsError>,
) -> Vec<DataFunction> {
    let mut functions = Vec::new();
    for interface in interfaces.iter().filter(|interface| interface.driver.as_deref() == Some(QMI_DRIVER)) {
        let path = folder.join(&interface.name);
        match (only_entry(&path, "net"), only_entry(&path, "usbmisc")) {
            (Ok(netdev), Ok(control)) => functions.push(DataFunction {
                interface: interface.name.clone(),
                interface_number: interface.number,
                netdev,
                control: Path::new("/dev").join(control),
            }),
            (netdev, control) => errors.extend([netdev.err(), control.err()].into_iter().flatten()),
        }
    }
    functions
}

/// The one name in `path/folder`, such as the network interface in `net/`.
fn only_entry(path: &Path, folder: &str) -> Result<String, SysfsError> {
    let path = path.join(folder);
    let mut names = entries(&path)?;
    match names.len() {
        1 => Ok(names.remove(0)),
        count => {
            Err(SysfsError::Function { path, problem: format!("one entry is expected, there are {count}") })
        }
    }
}

fn serial_ports(interfaces: &[Interface], vendor_id: u16, product_id: u16, mode: Mode) -> Vec<SerialPort> {
    interfaces
        .iter()
        .filter_map(|interface| {
            let tty = interface.tty.as_ref()?;
            let role = match mode {
                Mode::BootHold => PortRole::Download,
                Mode::Ready | Mode::NoDataFunction => role(vendor_id, product_id, interface.number),
            };
            Some(SerialPort {
                path: Path::new("/dev").join(tty),
                interface: interface.name.clone(),
                interface_number: interface.number,
                driver: interface.driver.clone(),
                role,
            })
        })
        .collect()
}

/// What the serial port on a USB interface is for. Makers keep one layout per product line.
#[must_use]
pub fn role(vendor_id: u16, product_id: u16, interface_number: u8) -> PortRole {
    use PortRole::{At, Diag, Modem, Nmea, Unknown};
    match (vendor_id, product_id, interface_number) {
        // Sierra Wireless and its Dell and HP siblings.
        (0x1199, _, 0) | (0x413c, 0x8100..=0x81ff, 0) => Diag,
        (0x1199, _, 2) | (0x413c, 0x8100..=0x81ff, 2) => Nmea,
        (0x1199, _, 3) | (0x413c, 0x8100..=0x81ff, 3) => At,
        // Quectel, and SIMCom in the same order.
        (0x2c7c, _, 0) | (0x1e0e, 0x9001, 0) => Diag,
        (0x2c7c, _, 1) | (0x1e0e, 0x9001, 1) => Nmea,
        (0x2c7c, _, 2) | (0x1e0e, 0x9001, 2) => At,
        (0x2c7c, _, 3) | (0x1e0e, 0x9001, 3) => Modem,
        // Telit LE910C and LM940.
        (0x1bc7, 0x1040 | 0x1201, 0) => Diag,
        (0x1bc7, 0x1040 | 0x1201, 3) => Nmea,
        (0x1bc7, 0x1040 | 0x1201, 4) => At,
        (0x1bc7, 0x1040 | 0x1201, 5) => Modem,
        _ => Unknown,
    }
}

/// `pci-0000:00:15.0-usb-0:4`: the controller and the chain of ports, as udev's `ID_PATH` writes it. Where the
/// controller is unknown, the kernel's name.
fn topology(folder: &Path, usb_path: &str) -> String {
    let ports = usb_path.split_once('-').map_or(usb_path, |(_, ports)| ports);
    let Ok(real) = folder.canonicalize() else { return usb_path.to_owned() };
    let parts: Vec<_> = real.iter().filter_map(|part| part.to_str()).collect();
    let is_root_hub = |part: &&str| {
        part.strip_prefix("usb").is_some_and(|bus| !bus.is_empty() && bus.bytes().all(|b| b.is_ascii_digit()))
    };
    match parts.iter().position(is_root_hub) {
        Some(hub) if hub > 0 => {
            let controller = parts[hub - 1];
            let bus = if controller.matches(':').count() == 2 { "pci" } else { "platform" };
            format!("{bus}-{controller}-usb-0:{ports}")
        }
        _ => usb_path.to_owned(),
    }
}

/// Names in a folder, sorted; names that are not UTF-8 are none of ours.
fn entries(folder: &Path) -> Result<Vec<String>, SysfsError> {
    let error = |source| SysfsError::Io { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(error)? {
        names.extend(entry.map_err(error)?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// The text of an attribute, trimmed.
fn attribute(folder: &Path, name: &str) -> Result<String, SysfsError> {
    use io::Read as _;
    let path = folder.join(name);
    let mut bytes = Vec::new();
    let read =
        fs::File::open(&path).and_then(|file| file.take(MAX_ATTRIBUTE_LEN as u64).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).trim_matches(['\n', '\r', ' ', '\0']).to_owned()),
        Err(source) => Err(SysfsError::Io { path, source }),
    }
}

fn number(folder: &Path, name: &str, radix: u32) -> Result<u16, SysfsError> {
    let text = attribute(folder, name)?;
    u16::from_str_radix(&text, radix).map_err(|_| SysfsError::Garbage {
        path: folder.join(name),
        found: text.chars().take(32).collect(),
        wanted: if radix == 16 { "a hexadecimal number of 16 bits" } else { "a decimal number of 16 bits" },
    })
}

/// `1-4` before `1-10`, `1-4` before `1-4.2`.
fn natural_order(name: &str) -> Vec<u32> {
    name.split(['-', '.']).map(|part| part.parse().unwrap_or(u32::MAX)).collect()
}
