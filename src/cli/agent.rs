//! `tandem agent`: the program on the router.

use std::path::PathBuf;
use std::process::ExitCode;

/// Keep this router online over its modems until SIGTERM.
#[derive(clap::Args)]
pub struct AgentArguments {
    /// Configuration of this router.
    #[arg(long, value_name = "FILE", default_value = "/etc/tandem/agent.toml")]
    config: PathBuf,
}

/// Runs until told to stop.
///
/// # Errors
/// When the configuration cannot be read, or the agent cannot start.
pub fn run(arguments: &AgentArguments) -> anyhow::Result<ExitCode> {
    anyhow::bail!("{}: the agent is not built yet", arguments.config.display())
}
