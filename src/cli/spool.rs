//! `tandem spool verify DIR`: whether a spool is whole.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::spool::{Report, verify};

/// Look into a router's spool.
#[derive(clap::Args)]
pub struct SpoolArguments {
    #[command(subcommand)]
    command: SpoolCommand,
}

#[derive(Subcommand)]
enum SpoolCommand {
    /// Tell epoch, first and last sequence, holes and damage; ends with 0 when whole, 1 when not.
    ///
    /// Reads only, and may run beside the agent.
    Verify {
        /// Folder of the spool.
        directory: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs `tandem spool`.
///
/// # Errors
/// When the folder cannot be read.
pub fn run(arguments: &SpoolArguments) -> anyhow::Result<ExitCode> {
    let SpoolCommand::Verify { directory, json } = &arguments.command;
    let report = verify(directory)?;
    let text = if *json { serde_json::to_string_pretty(&report)? + "\n" } else { describe(&report) };
    print(&text)?;
    Ok(if report.whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes to standard output; a reader that has seen enough is no error.
fn print(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Holes told one by one; of more only the number is told.
const HOLES_SHOWN: usize = 20;

fn describe(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ =
            writeln!(text, "{:<15}{value}", if name.is_empty() { String::new() } else { format!("{name}:") });
    };
    fn or_none<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(|| "none".to_owned(), |value| value.to_string())
    }
    line("router", or_none(report.router.as_ref()));
    line("epoch", or_none(report.epoch));
    line("first", or_none(report.first.map(|sequence| sequence.0)));
    line("last", or_none(report.last.map(|sequence| sequence.0)));
    line("acknowledged", or_none(report.acknowledged.map(|sequence| sequence.0)));
    line("events", format!("{} status, {} samples", report.status_events, report.sample_events));
    line("bytes", report.bytes.to_string());
    line("holes", if report.holes.is_empty() { "none".into() } else { report.holes.len().to_string() });
    for hole in report.holes.iter().take(HOLES_SHOWN) {
        let known = if hole.declared { "given up by the spool" } else { "not explained" };
        line("", format!("{} to {}, {known}", hole.first.0, hole.last.0));
    }
    if report.holes.len() > HOLES_SHOWN {
        line("", format!("and {} more", report.holes.len() - HOLES_SHOWN));
    }
    line("damage", if report.damage.is_empty() { "none".into() } else { report.damage.join("; ") });
    for path in &report.set_aside {
        line("set aside", path.display().to_string());
    }
    line("whole", if report.whole { "yes" } else { "no" }.into());
    text
}
