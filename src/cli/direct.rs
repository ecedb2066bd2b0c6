//! The way of commands to a modem itself, for when no agent has it.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use super::ask::AgentSocket;
use crate::agent::socket::Request;
use crate::config::Agent;
use crate::link::status::LinkStatus;
use crate::modem::driver::{Driver, Notices, OpenOptions};
use crate::modem::port::Access;
use crate::modem::sysfs::{self, Slot};

/// Which modem, where its name in sysfs is not enough.
#[derive(clap::Args, Clone)]
pub struct Direct {
    /// Folder to use in place of /sys.
    #[arg(long, value_name = "DIR", default_value = sysfs::DEFAULT_ROOT)]
    pub sysfs: PathBuf,
    /// Control port, instead of the one sysfs knows.
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Serial port for AT commands, instead of those sysfs knows.
    #[arg(long, value_name = "PATH")]
    pub at: Option<PathBuf>,
    #[command(flatten)]
    pub agent: AgentSocket,
}

impl Direct {
    /// Asks the agent that runs on this router. `None` when the modem itself must be asked: no agent runs, it has not
    /// opened this modem, or a control port was named by hand.
    ///
    /// # Errors
    /// When the agent refuses, and the modem is not to be found without it.
    pub fn ask_agent(&self, interface: &str, request: &Request) -> anyhow::Result<Option<Value>> {
        if self.control.is_some() {
            return Ok(None);
        }
        match self.agent.ask(request) {
            Err(_) if self.find(interface).is_some() => Ok(None),
            answer => answer,
        }
    }

    /// Tells the agent, where one runs, what was done to a modem beside it.
    pub fn tell_agent(&self, request: &Request) {
        if let Err(error) = self.agent.ask(request) {
            eprintln!("tandem: the agent was not told: {error:#}");
        }
    }

    /// The slot of a network interface, also where only the agent's configuration names its control port.
    #[must_use]
    pub fn find_or_ask(&self, interface: &str) -> Option<Slot> {
        self.find(interface).or_else(|| {
            let request = Request::Links { name: Some(interface.to_owned()) };
            let links: Vec<LinkStatus> = serde_json::from_value(self.agent.ask(&request).ok()??).ok()?;
            let link = links.into_iter().next()?;
            let (control, at) = link.modem.map(|modem| (modem.control_port, modem.at_port))?;
            let at_ports = self.at.clone().or(at.map(PathBuf::from)).into_iter().collect();
            Some(Slot::by_path(&link.target_interface, control?.as_ref(), at_ports))
        })
    }

    /// The slot of a network interface.
    #[must_use]
    pub fn find(&self, interface: &str) -> Option<Slot> {
        let at_ports = || self.at.iter().cloned().collect::<Vec<_>>();
        if let Some(control) = &self.control {
            return control.exists().then(|| Slot::by_path(interface, control, at_ports()));
        }
        let mut slot = sysfs::discover(&self.sysfs).slot(interface)?;
        if self.at.is_some() {
            slot.at_ports = at_ports();
        }
        Some(slot)
    }

    /// How to open it. A port named by hand belongs to a bench or a simulator: no ids are kept for it, and no proxy is asked.
    #[must_use]
    pub fn options(&self) -> OpenOptions {
        match self.control {
            Some(_) => OpenOptions { access: Access::Direct, ..OpenOptions::default() },
            // Ids and lock are shared with the agent, unless its configuration names another folder.
            None => OpenOptions { state: Some(Agent::default().state_dir), ..OpenOptions::default() },
        }
    }

    /// Opens the modem of a network interface.
    ///
    /// # Errors
    /// No such modem, with those that there are; or it cannot be opened.
    pub async fn open(&self, interface: &str) -> anyhow::Result<(Driver, Notices)> {
        let slot = self.find(interface).with_context(|| self.missing(interface))?;
        Driver::open(&slot, &self.options()).await.with_context(|| format!("cannot use {interface}"))
    }

    /// What to say when there is no such interface.
    #[must_use]
    pub fn missing(&self, interface: &str) -> String {
        if let Some(control) = &self.control {
            return format!("{} is not there", control.display());
        }
        let found = sysfs::discover(&self.sysfs);
        let known: Vec<_> = found.slots().into_iter().map(|slot| slot.netdev).collect();
        let mut text = match known.as_slice() {
            [] => format!("no LTE interface {interface}: no QMI modem was found"),
            known => format!("no LTE interface {interface}, there are: {}", known.join(", ")),
        };
        for error in found.errors {
            text.push_str(&format!("\n  {error}"));
        }
        text
    }
}

/// Runs a command's future on a runtime of its own.
///
/// # Errors
/// The future's.
pub fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
