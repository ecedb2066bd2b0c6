//! `tandem sim modem`: one simulated modem on two ptys.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::sim::modem::Settings;
use crate::sim::port::SimModem;
use crate::sim::scenario::Scenario;
use crate::sim::trace::Trace;

/// Simulate modems.
#[derive(Args)]
pub struct SimArguments {
    #[command(subcommand)]
    command: SimCommand,
}

#[derive(Subcommand)]
enum SimCommand {
    Modem(ModemArguments),
}

/// Simulate one modem, whose QMI port and AT port appear as links at the given paths until Ctrl-C.
#[derive(Args)]
struct ModemArguments {
    /// Where the link to the QMI port is made (use it with `qmicli --device-open-qmi -d "$(readlink -f PATH)"`).
    #[arg(long, value_name = "PATH")]
    control: PathBuf,
    /// Where the link to the AT port is made.
    #[arg(long, value_name = "PATH")]
    at: PathBuf,
    /// What the modem is and what befalls it (TOML).
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// What its radio measures: a log in the G-NetTrack format, replayed in a loop.
    #[arg(long, value_name = "CSV")]
    trace: Option<PathBuf>,
    /// Everything that is left open follows from this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the subcommand.
///
/// # Errors
/// Files that cannot be read, with the place of the fault, and ports that cannot be made.
pub fn run(arguments: &SimArguments) -> anyhow::Result<ExitCode> {
    let SimCommand::Modem(arguments) = &arguments.command;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(modem(arguments))
}

async fn modem(arguments: &ModemArguments) -> anyhow::Result<ExitCode> {
    let scenario = match &arguments.scenario {
        Some(path) => Scenario::parse(&text(path)?).with_context(|| path.display().to_string())?,
        None => Scenario::default(),
    };
    let trace = match &arguments.trace {
        Some(path) => Some(Trace::from_csv(&text(path)?).with_context(|| path.display().to_string())?),
        None => None,
    };
    let (control, at) = (&arguments.control, &arguments.at);
    anyhow::ensure!(
        control != at,
        "--control and --at both name {}: each port needs a path of its own",
        at.display()
    );
    let settings = Settings { seed: arguments.seed, scenario, trace };
    let mut terminated = signal(SignalKind::terminate())?;
    let sim = SimModem::on_ptys(settings, control, at)?;
    println!("QMI {}\nAT  {}", control.display(), at.display());
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminated.recv() => {}
    }
    drop(sim);
    Ok(ExitCode::SUCCESS)
}

fn text(path: &PathBuf) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
