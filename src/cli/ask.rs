//! The way to the agent of this router, and where none runs to what it would look at; the commands that are nothing but a
//! question to it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use super::config::load;
use super::direct::block_on;
use crate::agent::absent;
use crate::agent::slots::Roots;
use crate::agent::socket::{self, AskError, Request};

/// Where the agent listens.
#[derive(clap::Args, Clone)]
pub struct AgentSocket {
    /// Local socket of the agent.
    #[arg(
        long,
        global = true,
        env = "TANDEM_SOCKET",
        value_name = "PATH",
        default_value = "/run/tandem/agent.sock"
    )]
    pub socket: PathBuf,
}

impl AgentSocket {
    /// Asks the agent. `None` when no agent runs.
    ///
    /// # Errors
    /// When the agent refuses or gives no answer.
    pub fn ask(&self, request: &Request) -> anyhow::Result<Option<Value>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match runtime.block_on(socket::ask(&self.socket, request)) {
            Ok(answer) => Ok(Some(answer)),
            Err(AskError::NotRunning { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The agent of this router; where none runs, what it would look at.
#[derive(clap::Args, Clone)]
pub struct Local {
    #[command(flatten)]
    agent: AgentSocket,
    /// Configuration of this router, which counts where no agent runs.
    #[arg(long, global = true, value_name = "FILE", default_value = crate::config::DEFAULT_PATH)]
    config: PathBuf,
    /// Folder to use in place of /sys where no agent runs.
    #[arg(long, global = true, value_name = "DIR", default_value = "/sys")]
    sysfs: PathBuf,
    /// Folder to use in place of /dev where no agent runs.
    #[arg(long, global = true, value_name = "DIR", default_value = "/dev")]
    dev: PathBuf,
}

impl Local {
    /// The answer of the agent; where none runs, that of configuration, spool, modems and kernel, with a word about it on
    /// standard error.
    ///
    /// # Errors
    /// When the agent refuses, or none runs and there is no answer without one.
    pub fn ask(&self, request: &Request) -> anyhow::Result<Value> {
        if let Some(answer) = self.agent.ask(request)? {
            return Ok(answer);
        }
        let nobody = || format!("no agent answers at {}", self.agent.socket.display());
        let config = load(&self.config)
            .context("start one, name its socket with --socket, or the configuration with --config")
            .with_context(nobody)?;
        // Its agent may listen elsewhere.
        let named = AgentSocket { socket: config.agent.socket.clone() };
        if let Some(answer) = named.ask(request)? {
            return Ok(answer);
        }
        let roots = Roots { sys: self.sysfs.clone(), dev: self.dev.clone() };
        let told = block_on(absent::answer(&config, &roots, request)).with_context(nobody)?;
        eprintln!("tandem: {}: this is what is known without one", nobody());
        told.missing.iter().for_each(|missing| eprintln!("tandem: {missing}"));
        Ok(told.value)
    }
}

/// Try to connect now, whatever the retry pace says.
#[derive(clap::Args)]
pub struct RetryArguments {
    /// Name of the device-interface.
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    local: Local,
}

/// Reset the modem of a link.
#[derive(clap::Args)]
pub struct ResetArguments {
    /// Name of the device-interface.
    name: String,
    /// By AT command instead of QMI.
    #[arg(long)]
    at: bool,
    /// Even when it is the only working uplink.
    #[arg(long)]
    force: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    local: Local,
}

/// Runs `tandem retry`.
///
/// # Errors
/// When no agent runs, or it knows no such link.
pub fn retry(arguments: &RetryArguments) -> anyhow::Result<ExitCode> {
    tell(&arguments.local, &Request::Retry { name: arguments.name.clone() }, arguments.json)
}

/// Runs `tandem reset`.
///
/// # Errors
/// When there is no such link, or the reset is refused.
pub fn reset(arguments: &ResetArguments) -> anyhow::Result<ExitCode> {
    let (name, at, force) = (arguments.name.clone(), arguments.at, arguments.force);
    tell(&arguments.local, &Request::Reset { name, at, force }, arguments.json)
}

fn tell(local: &Local, request: &Request, json: bool) -> anyhow::Result<ExitCode> {
    let answer = local.ask(request)?;
    let done = answer.as_str().unwrap_or("done");
    let text = if json { serde_json::json!({ "done": done }).to_string() } else { done.to_owned() };
    super::output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
