//! Which modems are there, kept up to date: kernel uevents as hints, a re-scan by timer beside them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use crate::modem::hotplug::Hotplug;
use crate::modem::sysfs::{self, Slot};

/// Longest time that a modem which came or went without a uevent goes unnoticed.
const RESCAN: Duration = Duration::from_secs(10);

/// Where the machine shows its devices. Other roots than `/sys` and `/dev` serve tests and the demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// The sysfs tree.
    pub sys: PathBuf,
    /// The folder of device nodes.
    pub dev: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { sys: sysfs::DEFAULT_ROOT.into(), dev: "/dev".into() }
    }
}

impl Roots {
    /// Whether they show the machine itself, and not a simulated one.
    #[must_use]
    pub fn is_machine(&self) -> bool {
        self.sys == Path::new(sysfs::DEFAULT_ROOT)
    }

    /// The slots there are now, their device nodes under our `dev`. What cannot be read is logged.
    #[must_use]
    pub fn slots(&self) -> Vec<Slot> {
        let found = sysfs::discover(&self.sys);
        for error in &found.errors {
            tracing::debug!(%error, "sysfs");
        }
        let mut slots = found.slots();
        for slot in &mut slots {
            slot.control = self.node(&slot.control);
            for port in &mut slot.at_ports {
                *port = self.node(port);
            }
        }
        slots
    }

    fn node(&self, path: &Path) -> PathBuf {
        path.strip_prefix("/dev").map_or_else(|_| path.to_owned(), |below| self.dev.join(below))
    }
}

/// Keeps `slots` up to date until every receiver is gone. May be stopped at any point: each look is whole.
pub async fn watch(roots: Roots, slots: watch::Sender<Vec<Slot>>) {
    let mut hotplug = Hotplug::open(RESCAN).unwrap_or_else(|error| {
        tracing::warn!(%error, "no uevents from the kernel; looking by timer only");
        Hotplug::timer_only(RESCAN)
    });
    loop {
        let found = roots.slots();
        slots.send_if_modified(|known| {
            let changed = *known != found;
            *known = found;
            changed
        });
        tokio::select! {
            _ = hotplug.next() => {}
            () = slots.closed() => return,
        }
    }
}
