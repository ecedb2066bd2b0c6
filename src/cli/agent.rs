//! `tandem agent`: the program on the router.

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::sync::watch;

use super::stop;
use crate::agent::run::{self, Ground, Options};
use crate::agent::slots::Roots;

/// Keep this router online over its modems until SIGTERM.
#[derive(clap::Args)]
pub struct AgentArguments {
    /// Configuration of this router.
    #[arg(long, value_name = "FILE", default_value = "/etc/tandem/agent.toml")]
    config: PathBuf,
    /// Folder shaped like /sys, for a simulated machine.
    #[arg(long, value_name = "DIR", default_value = "/sys")]
    sysfs: PathBuf,
    /// Folder shaped like /dev.
    #[arg(long, value_name = "DIR", default_value = "/dev")]
    dev: PathBuf,
    /// Leave the network interfaces, routes and NAT of this machine alone; only tell what would be done.
    #[arg(long)]
    no_network: bool,
}

/// Runs until told to stop.
///
/// # Errors
/// When the configuration cannot be read, or the agent cannot start.
pub fn run(arguments: &AgentArguments) -> anyhow::Result<ExitCode> {
    stop::log();
    let roots = Roots { sys: arguments.sysfs.clone(), dev: arguments.dev.clone() };
    let options = Options {
        config: arguments.config.clone(),
        roots,
        ground: if arguments.no_network { Ground::Paper } else { Ground::Kernel },
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let signalled = stop::signalled()?;
        let agent = run::run(options, stopped);
        tokio::pin!(agent);
        tokio::select! {
            result = &mut agent => return result,
            () = signalled => {}
        }
        stop.send_replace(true);
        agent.await
    })?;
    Ok(ExitCode::SUCCESS)
}
