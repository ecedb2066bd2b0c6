//! The edge to the router's network: routes, rules, addresses, source NAT, flows, DNS servers.
//!
//! `plan.rs` works out the steps from what is to what is wanted; [`Network`] carries them out, on a kernel or on paper.

/// Flows forgotten by their mark.
pub mod conntrack;
/// DNS servers, in the way that the host uses.
pub mod dns;
/// The number of an interface, which stays.
pub mod index;
/// Routes, rules, addresses and interfaces of the kernel.
pub mod kernel;
/// The network of this machine.
pub mod machine;
/// Our words as messages of rtnetlink.
pub mod message;
/// Hints that something changed.
pub mod monitor;
/// Source NAT and the marks of flows.
pub mod nat;
/// Wanted minus present.
pub mod plan;
/// One probe through one uplink.
pub mod probe;
/// Programs of the host.
mod program;
/// The stand-in for a kernel.
pub mod recorder;
/// Routes, rules and the changes to them.
pub mod state;
/// Settings of the kernel.
pub mod sysctl;
/// Another way out.
pub mod way_out;
/// What is asked and what is told.
pub mod words;

use std::io;
use std::path::Path;

use crate::event::IpSettings;

pub use machine::{DNS_FILE, Machine};
pub use monitor::{Hint, Monitor};
pub use recorder::Recorder;
pub use words::{Applied, DeviceStatus, Problem, Settings, Uplink, Wanted};

/// The network of this machine, or a stand-in.
///
/// On every change: [`Network::apply`], tell `route.changed` and the time, then [`Network::settle`]. On a hint of the [`Monitor`] and
/// on a timer the same pair again: it repairs what others broke. At the end [`Network::hand_over`].
pub enum Network {
    /// This machine's kernel.
    Kernel(Box<Machine>),
    /// Nothing is touched.
    Recorder(Box<Recorder>),
}

impl Network {
    /// This machine's network; nothing is changed yet. `dns_file` (such as [`DNS_FILE`]) takes DNS servers on a host that has no way
    /// of its own. Within a tokio runtime.
    ///
    /// # Errors
    /// When there is no netlink socket to be had.
    pub fn kernel(dns_file: &Path) -> io::Result<(Self, Monitor)> {
        let (machine, monitor) = Machine::open(dns_file)?;
        Ok((Self::Kernel(Box::new(machine)), monitor))
    }

    /// A stand-in that touches nothing, and whose monitor says nothing.
    #[must_use]
    pub fn recorder() -> (Self, Monitor) {
        (Self::Recorder(Box::default()), Monitor::default())
    }

    /// Brings addresses, routes and rules to `wanted`, then deletes the entries of moved flows: only what traffic waits for
    /// happens here.
    pub async fn apply(&mut self, wanted: &Wanted) -> Applied {
        match self {
            Self::Kernel(machine) => machine.apply(wanted).await,
            Self::Recorder(recorder) => recorder.apply(wanted),
        }
    }

    /// What may come after the routes: source NAT that others broke, kernel settings, DNS servers.
    pub async fn settle(&mut self, wanted: &Wanted) -> Vec<Problem> {
        match self {
            Self::Kernel(machine) => machine.settle(wanted).await,
            Self::Recorder(_) => Vec::new(),
        }
    }

    /// Gives the interfaces back to plain Linux: sessions, addresses and DNS servers stay, our rules and tables go. Source NAT stays
    /// where it is configured: to take it away would reset every connection of the router's clients.
    pub async fn hand_over(&mut self, wanted: &Wanted) -> Applied {
        match self {
            Self::Kernel(machine) => {
                let keeps_nat = wanted.uplinks.iter().any(|uplink| uplink.source_nat);
                machine.hand_over(&plan::Left::of(wanted), keeps_nat).await.0
            }
            Self::Recorder(recorder) => recorder.hand_over(wanted),
        }
    }

    /// Takes every address from LTE interfaces that are ours no longer; their routes and rules go with the next
    /// [`Network::apply`]. Returns what the kernel refused.
    pub async fn give_up(&mut self, devices: &[&str]) -> Vec<Problem> {
        match self {
            Self::Kernel(machine) => machine.give_up(devices).await,
            Self::Recorder(_) => Vec::new(),
        }
    }

    /// Layer 3 of a wired circuit as the host has it: its addresses, and the gateways of the host's own default routes.
    /// `None` while it is down or has no default route.
    pub async fn wired(&mut self, device: &str) -> Option<IpSettings> {
        match self {
            Self::Kernel(machine) => machine.wired(device).await,
            Self::Recorder(_) => None,
        }
    }

    /// State and counters of an interface; `None` when there is none of that name.
    pub async fn device(&mut self, name: &str) -> Option<DeviceStatus> {
        match self {
            Self::Kernel(machine) => machine.device(name).await,
            Self::Recorder(_) => None,
        }
    }

    /// Problems that last, for whoever asks.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Kernel(machine) => machine.problems(),
            Self::Recorder(_) => Vec::new(),
        }
    }
}
