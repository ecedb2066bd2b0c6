//! `serial-command port /dev/ttyUSB8 ATQ0`: one AT command on a serial port.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::ask::AgentSocket;
use super::direct::block_on;
use super::output;
use crate::agent::socket::Request;
use crate::at::{Command, Reply, redact};
use crate::config::{Config, Serial};
use crate::event::AtExecuted;
use crate::modem::serial::AtPort;

/// Run one AT command on a serial port.
#[derive(clap::Args)]
pub struct SerialCommandArguments {
    #[command(subcommand)]
    target: Target,
}

#[derive(clap::Subcommand)]
enum Target {
    /// Name the serial port; `tandem discover` lists those that answer AT commands.
    Port(PortArguments),
}

#[derive(clap::Args)]
struct PortArguments {
    /// Serial port, such as /dev/ttyUSB8.
    port: PathBuf,
    /// AT command, such as ATQ0.
    #[arg(allow_hyphen_values = true)]
    command: String,
    /// Seconds to wait for the answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    deadline: u64,
    /// Bits a second on a real UART; USB ports ignore it. What goes without saying is that of the configuration.
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..))]
    baud_rate: Option<u32>,
    /// Configuration of the agent, whose `[serial]` holds here too. It need not be there.
    #[arg(long, value_name = "FILE", default_value = crate::config::DEFAULT_PATH)]
    config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    agent: AgentSocket,
}

#[derive(Serialize)]
struct Answer<'a> {
    port: String,
    result: String,
    answer: &'a [String],
    unsolicited: &'a [String],
    truncated: bool,
}

/// Runs `serial-command`: the answer and the final result go to standard output, unsolicited lines to standard error. Exit
/// status 1 when the modem refused.
///
/// # Errors
/// The text is no AT command, the port cannot be had, or nothing answers in time.
pub fn run(arguments: &SerialCommandArguments) -> anyhow::Result<ExitCode> {
    let Target::Port(arguments) = &arguments.target;
    let command = Command::new(&arguments.command)?;
    let reply = block_on(execute(arguments, &command))?;
    tell_agent(arguments, &command, &reply);
    if arguments.json {
        output::print(&serde_json::to_string_pretty(&Answer {
            port: arguments.port.display().to_string(),
            result: reply.result.to_string(),
            answer: &reply.information,
            unsolicited: &reply.unsolicited,
            truncated: reply.truncated,
        })?)?;
    } else {
        reply.unsolicited.iter().for_each(|line| eprintln!("unsolicited: {line}"));
        let result = reply.result.to_string();
        let lines: Vec<_> = reply.information.iter().chain([&result]).map(String::as_str).collect();
        output::print(&lines.join("\n"))?;
    }
    Ok(if reply.result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The agent, where one runs, keeps what was done to the modem as an event.
fn tell_agent(arguments: &PortArguments, command: &Command, reply: &Reply) {
    let executed = AtExecuted {
        port: arguments.port.display().to_string(),
        command: command.to_string(),
        answer: reply.information.iter().map(|line| redact(line)).collect(),
        result: reply.result.to_string(),
        by: ["SUDO_USER", "USER"].iter().find_map(|name| std::env::var(name).ok()),
    };
    if let Err(error) = arguments.agent.ask(&Request::AtExecuted(executed)) {
        eprintln!("tandem: the agent was not told: {error:#}");
    }
}

async fn execute(arguments: &PortArguments, command: &Command) -> anyhow::Result<Reply> {
    let mut port = AtPort::open(&arguments.port, baud_rate(arguments)).await?;
    Ok(port.execute(command, Duration::from_secs(arguments.deadline)).await?)
}

/// The rate that was named, else that of the configuration. A technician at a serial console is helped by a default more
/// than by an error about a file.
fn baud_rate(arguments: &PortArguments) -> u32 {
    let configured = || {
        let text = std::fs::read_to_string(&arguments.config).ok()?;
        Some(Config::parse(&text, "").ok()?.config.serial.baud_rate)
    };
    arguments.baud_rate.or_else(configured).unwrap_or(Serial::default().baud_rate)
}
