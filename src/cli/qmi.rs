//! `tandem qmi`: the protocol for people. `decode` reads a capture without a modem.

use std::io::{self, BufRead};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::output;
use crate::qmi::describe::describe_line;

#[derive(Args)]
pub struct QmiArguments {
    #[command(subcommand)]
    command: QmiCommand,
}

#[derive(Subcommand)]
enum QmiCommand {
    /// Print QMI frames as JSON, one object a line.
    Decode(DecodeArgs),
}

#[derive(Args)]
pub struct DecodeArgs {
    /// Frames as hex: plain, with colons or spaces, or as libqmi logs them. None: one a line from standard input.
    hex: Vec<String>,
}

pub fn run(arguments: &QmiArguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        QmiCommand::Decode(arguments) => decode(arguments),
    }
}

/// Exit status 1 when a frame was broken; the others are printed all the same.
fn decode(arguments: &DecodeArgs) -> anyhow::Result<ExitCode> {
    let mut whole = true;
    let mut show = |line: &str| -> anyhow::Result<bool> {
        let Some(description) = describe_line(line) else { return Ok(true) };
        whole &= !description.is_broken();
        let line = serde_json::to_string(&description).context("writing a frame as JSON")?;
        output::offer(&line).context("writing to standard output")
    };
    for line in frames(&arguments.hex) {
        if !show(&line)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if arguments.hex.is_empty() {
        for line in io::stdin().lock().split(b'\n') {
            let line = line.context("reading frames from standard input")?;
            if !show(&String::from_utf8_lossy(&line))? {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One frame an argument; arguments of one byte each are one frame that the shell has split.
fn frames(arguments: &[String]) -> Vec<String> {
    match arguments.iter().all(|argument| argument.len() <= 2) && !arguments.is_empty() {
        true => vec![arguments.join(" ")],
        false => arguments.to_vec(),
    }
}
