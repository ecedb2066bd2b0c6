//! Commands that only a running agent can carry out, and the way to ask it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

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

    /// Asks the agent, which must run.
    ///
    /// # Errors
    /// Also when no agent runs.
    pub fn ask_running(&self, request: &Request) -> anyhow::Result<Value> {
        self.ask(request)?.with_context(|| {
            format!(
                "no agent answers at {}: start it, or name its socket with --socket",
                self.socket.display()
            )
        })
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
    agent: AgentSocket,
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
    agent: AgentSocket,
}

/// Runs `tandem retry`.
///
/// # Errors
/// When no agent runs, or it knows no such link.
pub fn retry(arguments: &RetryArguments) -> anyhow::Result<ExitCode> {
    tell(&arguments.agent, &Request::Retry { name: arguments.name.clone() }, arguments.json)
}

/// Runs `tandem reset`.
///
/// # Errors
/// When no agent runs, it knows no such link, or the reset is refused.
pub fn reset(arguments: &ResetArguments) -> anyhow::Result<ExitCode> {
    let (name, at, force) = (arguments.name.clone(), arguments.at, arguments.force);
    tell(&arguments.agent, &Request::Reset { name, at, force }, arguments.json)
}

fn tell(agent: &AgentSocket, request: &Request, json: bool) -> anyhow::Result<ExitCode> {
    let answer = agent.ask_running(request)?;
    let done = answer.as_str().unwrap_or("done");
    let text = if json { serde_json::json!({ "done": done }).to_string() } else { done.to_owned() };
    super::output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
