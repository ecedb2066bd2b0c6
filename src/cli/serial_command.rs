//! `serial-command port /dev/ttyUSB8 ATQ0`: one AT command on a serial port.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::direct::block_on;
use super::output;
use crate::at::{Command, Reply};
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
    /// Print JSON.
    #[arg(long)]
    json: bool,
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

async fn execute(arguments: &PortArguments, command: &Command) -> anyhow::Result<Reply> {
    let mut port = AtPort::open(&arguments.port).await?;
    Ok(port.execute(command, Duration::from_secs(arguments.deadline)).await?)
}
