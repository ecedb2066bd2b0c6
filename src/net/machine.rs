//! The network of this machine: the plan carried out on its kernel, and what belongs around it.
//!
//! Traffic waits for addresses, routes and rules alone; those are one read and one batch. Entries of moved flows are deleted right
//! after that, DNS servers last. The ruleset comes before the routes where it is new: a flow that leaves before it is in force would
//! keep its inner address for good.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::conntrack;
use super::dns::{Dns, Handing};
use super::kernel::Kernel;
use super::monitor::Monitor;
use super::nat::{self, Nat};
use super::plan::{self, Left, Plan};
use super::state::{Change, Present, Selector};
use super::sysctl;
use super::words::{Applied, DeviceStatus, Problem, Told, Wanted};
use crate::event::IpSettings;

/// Where DNS servers go on a host that has no way of its own.
pub const DNS_FILE: &str = "/run/tandem/resolv.conf";

/// How long a slow resolver of the host may keep the next switch waiting.
const DNS_PATIENCE: Duration = Duration::from_secs(1);

/// The real network.
pub struct Machine {
    kernel: Kernel,
    nat: Nat,
    dns: Handing,
    sysctl: PathBuf,
    ruleset_changed: Arc<AtomicBool>,
    /// Marks of uplinks that stopped carrying traffic, whose flows have not been forgotten yet.
    moved: BTreeSet<u32>,
    /// Problems of routes, and of what comes after.
    told: [Told; 2],
    nat_problem: Option<Problem>,
}

impl Machine {
    /// Connects to the kernel; changes nothing. Within a tokio runtime.
    ///
    /// # Errors
    /// When there is no netlink socket to be had.
    pub fn open(dns_file: &Path) -> io::Result<(Self, Monitor)> {
        let ruleset_changed = Arc::new(AtomicBool::new(false));
        let machine = Self {
            kernel: Kernel::open()?,
            nat: Nat::default(),
            dns: Handing::Idle(Dns::new(dns_file)),
            sysctl: sysctl::ROOT.into(),
            ruleset_changed: ruleset_changed.clone(),
            moved: BTreeSet::new(),
            told: Default::default(),
            nat_problem: None,
        };
        Ok((machine, Monitor::open(ruleset_changed)?))
    }

    /// See [`super::Network::apply`].
    pub async fn apply(&mut self, wanted: &Wanted) -> Applied {
        let start = Instant::now();
        if self.nat.is_due(wanted) && self.nat_problem.is_none() {
            self.nat_problem = self.nat.apply(wanted).await.err();
        }
        let devices: Vec<_> = wanted.uplinks.iter().map(|uplink| uplink.device.as_str()).collect();
        let mut applied = match self.kernel.read(&devices).await {
            Ok(present) => {
                let plan = plan::plan(wanted, &present);
                if plan
                    .changes
                    .iter()
                    .any(|change| matches!(change, Change::LinkUp(_) | Change::AddAddress(_)))
                {
                    let _ = sysctl::apply(wanted, &self.sysctl); // what fails is told when all settles
                }
                self.carry_out(plan, &present).await
            }
            Err(problem) => Applied { problems: vec![problem], ..Applied::default() },
        };
        applied.took = start.elapsed();
        applied.routed_at = (!applied.problems.iter().any(Problem::leaves_undone)).then(Instant::now);
        // Moved flows follow their routes before anything else is done or told.
        applied.problems.extend(self.forget_moved().await.err());
        applied.problems.extend(self.nat_problem.clone());
        applied.problems = self.told[0].news(applied.problems);
        applied
    }

    async fn forget_moved(&mut self) -> Result<(), Problem> {
        if !self.moved.is_empty() {
            conntrack::forget(self.moved.iter().copied().collect()).await?;
            self.moved.clear();
        }
        Ok(())
    }

    async fn carry_out(&mut self, plan: Plan, present: &Present) -> Applied {
        let (holds, problems) = self.kernel.carry_out(&plan.changes, &present.links).await;
        let done: Vec<_> = plan
            .changes
            .iter()
            .zip(&holds)
            .filter(|(_, holds)| **holds)
            .map(|(change, _)| change.clone())
            .collect();
        for change in &done {
            match change {
                Change::RemoveRule(rule) => self.moved.extend(mark(&rule.selector)),
                Change::AddRule(rule) => {
                    if let Some(mark) = mark(&rule.selector) {
                        self.moved.remove(&mark);
                    }
                }
                _ => {}
            }
        }
        let (added, removed) = plan::told(&done, present);
        let problems = [plan.problems, problems].concat();
        Applied { added, removed, changes: plan.changes.len(), problems, ..Applied::default() }
    }

    /// See [`super::Network::settle`].
    pub async fn settle(&mut self, wanted: &Wanted) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.ruleset_changed.swap(false, Ordering::Relaxed) {
            self.nat.look().await;
        }
        self.nat_problem = self.nat.apply(wanted).await.err();
        problems.extend(sysctl::apply(wanted, &self.sysctl));
        problems.extend(self.dns.apply(wanted, DNS_PATIENCE).await.err());
        self.told[1].news(problems)
    }

    /// See [`super::Network::hand_over`].
    pub async fn hand_over(&mut self, left: &Left, keeps_nat: bool) -> (Applied, Vec<Change>) {
        let start = Instant::now();
        let devices: Vec<_> = left.0.iter().map(|(device, _)| device.as_str()).collect();
        let present = match self.kernel.read(&devices).await {
            Ok(present) => present,
            Err(problem) => return (Applied { problems: vec![problem], ..Applied::default() }, Vec::new()),
        };
        let plan = plan::hand_over(left, &present);
        let changes = plan.changes.clone();
        let mut applied = self.carry_out(plan, &present).await;
        applied.took = start.elapsed();
        self.moved.clear();
        if !keeps_nat {
            applied.problems.extend(nat::remove().await.err());
        }
        (applied, changes)
    }

    /// See [`super::Network::give_up`].
    pub async fn give_up(&self, devices: &[&str]) -> Vec<Problem> {
        match self.kernel.read(devices).await {
            Ok(present) => {
                let changes: Vec<_> = present.addresses.into_iter().map(Change::RemoveAddress).collect();
                self.kernel.carry_out(&changes, &present.links).await.1
            }
            Err(problem) => vec![problem],
        }
    }

    /// See [`super::Network::wired`].
    pub async fn wired(&self, device: &str) -> Option<IpSettings> {
        self.kernel.wired(device).await.ok().flatten()
    }

    /// See [`super::Network::device`].
    pub async fn device(&self, name: &str) -> Option<DeviceStatus> {
        self.kernel.device(name).await.ok().flatten()
    }

    /// Problems that last.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.told.iter().flat_map(Told::standing).collect()
    }
}

fn mark(selector: &Selector) -> Option<u32> {
    match selector {
        Selector::Mark(mark) => Some(*mark),
        _ => None,
    }
}
