//! The command line: one file per subcommand, wired together here and nowhere else.

#[cfg(feature = "agent")]
mod agent;
#[cfg(feature = "agent")]
mod ask;
mod config;
mod output;
mod qmi;
#[cfg(feature = "central")]
mod sim;
#[cfg(feature = "agent")]
mod spool;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps a Linux router online over two LTE modems and makes a fleet of such routers understandable.
#[derive(Parser)]
#[command(name = "tandem", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[cfg(feature = "agent")]
    Agent(agent::AgentArguments),
    #[cfg(feature = "agent")]
    Retry(ask::RetryArguments),
    #[cfg(feature = "agent")]
    Reset(ask::ResetArguments),
    Config(config::ConfigArguments),
    /// Read the QMI protocol.
    Qmi(qmi::QmiArguments),
    #[cfg(feature = "central")]
    Sim(sim::SimArguments),
    #[cfg(feature = "agent")]
    Spool(spool::SpoolArguments),
}

/// Runs the program and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tandem: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        #[cfg(feature = "agent")]
        Command::Agent(arguments) => agent::run(&arguments),
        #[cfg(feature = "agent")]
        Command::Retry(arguments) => ask::retry(&arguments),
        #[cfg(feature = "agent")]
        Command::Reset(arguments) => ask::reset(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Qmi(arguments) => qmi::run(&arguments),
        #[cfg(feature = "central")]
        Command::Sim(arguments) => sim::run(&arguments),
        #[cfg(feature = "agent")]
        Command::Spool(arguments) => spool::run(&arguments),
    }
}
