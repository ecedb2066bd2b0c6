//! `tandem handover`: gives the interfaces back to plain Linux, with the agent dead or never started.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::config::load;
use super::output;
use crate::config::Config;
use crate::net::plan::Left;
use crate::net::{Applied, DNS_FILE, Machine};

/// Give the network interfaces back to plain Linux: what is left to do after an agent was killed. Harmless when repeated.
#[derive(clap::Args)]
pub struct HandoverArguments {
    /// Configuration of this router.
    #[arg(long, value_name = "FILE", default_value = "/etc/tandem/agent.toml")]
    config: PathBuf,
}

/// Runs `tandem handover`. Exit status 1 when the kernel refused a step.
///
/// # Errors
/// When there is no netlink socket to be had.
pub fn run(arguments: &HandoverArguments) -> anyhow::Result<ExitCode> {
    let config = load(&arguments.config);
    let (left, keeps_nat) = match &config {
        Ok(config) => (left(config), config.device_interfaces.iter().any(hides_clients)),
        Err(error) => {
            eprintln!("tandem: {error:#}: default routes keep the metrics that they have");
            (Left::default(), true)
        }
    };
    if config.is_ok_and(|config| UnixStream::connect(&config.agent.socket).is_ok()) {
        eprintln!("tandem: the agent runs, and takes the interfaces back; stop it instead");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (applied, steps) = runtime.block_on(async {
        let (mut machine, _) = Machine::open(DNS_FILE.as_ref()).context("cannot reach the kernel")?;
        anyhow::Ok(machine.hand_over(&left, keeps_nat).await)
    })?;
    for step in &steps {
        output::print(&step.to_string())?;
    }
    output::print(&summary(&applied, keeps_nat))?;
    applied.problems.iter().for_each(|problem| eprintln!("tandem: {problem}"));
    Ok(if applied.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn left(config: &Config) -> Left {
    let lte = config.lte_interfaces();
    Left(lte.map(|interface| (interface.target_interface.clone(), interface.handover_metric())).collect())
}

fn hides_clients(interface: &crate::config::DeviceInterface) -> bool {
    interface.network_interface().is_some_and(|network| network.source_nat)
}

fn summary(applied: &Applied, keeps_nat: bool) -> String {
    let nat = if keeps_nat { "; source NAT stays as it is" } else { "" };
    match applied.changes {
        0 => format!("nothing to do: no route and no rule here is tandem's{nat}"),
        changes => format!("handed over in {changes} steps, {} ms{nat}", applied.took.as_millis()),
    }
}
