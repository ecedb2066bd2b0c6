//! The modems of this machine: found in sysfs, opened, driven.
//!
//! ```text
//! sysfs ─▶ Slot ─▶ port ─▶ qmi (task: bytes ⇄ transactions) ─▶ driver (link commands as exchanges)
//!   ▲                        serial (AT, beside it) ────────────▶┘
//! hotplug: when to look again                    proxy: our port, for other people's qmicli
//! ```

pub mod driver;
pub mod hotplug;
pub mod ids;
pub mod image_change;
pub mod interface;
pub mod port;
pub mod proxy;
pub mod qmi;
pub mod report;
pub mod serial;
pub mod sysfs;
pub mod usb_power;
