//! The command line: one file per subcommand, wired together here and nowhere else.

#[cfg(feature = "agent")]
mod agent;
#[cfg(feature = "agent")]
mod ask;
#[cfg(feature = "central")]
mod central;
mod config;
#[cfg(all(feature = "agent", feature = "central"))]
mod demo;
#[cfg(feature = "agent")]
mod direct;
#[cfg(feature = "agent")]
mod discover;
#[cfg(feature = "agent")]
mod handover;
#[cfg(feature = "agent")]
mod lte_image_preference;
#[cfg(feature = "agent")]
mod lte_info;
#[cfg(feature = "agent")]
mod lte_state;
mod output;
mod qmi;
#[cfg(feature = "agent")]
mod serial_command;
#[cfg(feature = "agent")]
mod show;
#[cfg(feature = "central")]
mod sim;
#[cfg(feature = "agent")]
mod spool;
mod stop;
#[cfg(feature = "central")]
mod stream;

use std::ffi::OsString;
use std::path::Path;
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
    #[cfg(feature = "central")]
    Central(central::CentralArguments),
    Config(config::ConfigArguments),
    #[cfg(all(feature = "agent", feature = "central"))]
    Demo(demo::DemoArguments),
    #[cfg(feature = "agent")]
    Show(Box<show::ShowArguments>),
    #[cfg(feature = "agent")]
    Discover(discover::DiscoverArguments),
    #[cfg(feature = "agent")]
    Handover(handover::HandoverArguments),
    #[cfg(feature = "agent")]
    LteImagePreference(lte_image_preference::ImageArguments),
    #[cfg(feature = "agent")]
    LteInfo(lte_info::LteInfoArguments),
    #[cfg(feature = "agent")]
    LteState(lte_state::LteStateArguments),
    #[cfg(feature = "agent")]
    #[command(name = "serial-command")]
    Serial(serial_command::SerialCommandArguments),
    /// Read the QMI protocol.
    Qmi(qmi::QmiArguments),
    #[cfg(feature = "central")]
    Sim(sim::SimArguments),
    #[cfg(feature = "agent")]
    Spool(spool::SpoolArguments),
    #[cfg(feature = "central")]
    Stream(stream::StreamCommand),
}

/// Runs the program and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse_from(arguments(std::env::args_os()));
    match run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tandem: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and what caused it, each thing once: many tell their cause in their own text.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text {
        text if text.is_empty() => cause,
        text if text.ends_with(&cause) => text,
        text => format!("{text}: {cause}"),
    })
}

/// Commands that also go by their own name, through links to the binary.
const OWN_NAMES: [&str; 4] = ["lte-image-preference", "lte-info", "lte-state", "serial-command"];

/// `lte-state wwan0` is `tandem lte-state wwan0`.
fn arguments(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = given.collect();
    let called =
        arguments.first().and_then(|name| Path::new(name).file_name()).and_then(|name| name.to_str());
    if let Some(name) = called.filter(|name| OWN_NAMES.contains(name)) {
        let name = name.to_owned();
        arguments.splice(..1, ["tandem".into(), name.into()]);
    }
    arguments
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        #[cfg(feature = "agent")]
        Command::Agent(arguments) => agent::run(&arguments),
        #[cfg(feature = "agent")]
        Command::Retry(arguments) => ask::retry(&arguments),
        #[cfg(feature = "agent")]
        Command::Reset(arguments) => ask::reset(&arguments),
        #[cfg(feature = "central")]
        Command::Central(arguments) => central::run(arguments),
        #[cfg(all(feature = "agent", feature = "central"))]
        Command::Demo(arguments) => demo::run(&arguments),
        #[cfg(feature = "agent")]
        Command::Show(arguments) => show::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        #[cfg(feature = "agent")]
        Command::Discover(arguments) => discover::run(&arguments),
        #[cfg(feature = "agent")]
        Command::Handover(arguments) => handover::run(&arguments),
        #[cfg(feature = "agent")]
        Command::LteImagePreference(arguments) => lte_image_preference::run(&arguments),
        #[cfg(feature = "agent")]
        Command::LteInfo(arguments) => lte_info::run(&arguments),
        #[cfg(feature = "agent")]
        Command::LteState(arguments) => lte_state::run(&arguments),
        #[cfg(feature = "agent")]
        Command::Serial(arguments) => serial_command::run(&arguments),
        Command::Qmi(arguments) => qmi::run(&arguments),
        #[cfg(feature = "central")]
        Command::Sim(arguments) => sim::run(&arguments),
        #[cfg(feature = "agent")]
        Command::Spool(arguments) => spool::run(&arguments),
        #[cfg(feature = "central")]
        Command::Stream(arguments) => stream::run(arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_called_by_its_own_name_is_that_of_tandem() {
        let of = |given: &[&str]| {
            let given = arguments(given.iter().map(OsString::from));
            given.iter().map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(&["/usr/bin/lte-state", "wwan0"]), "tandem lte-state wwan0");
        assert_eq!(of(&["/usr/bin/tandem", "lte-state", "wwan0"]), "/usr/bin/tandem lte-state wwan0");
        assert_eq!(of(&["show", "uplinks"]), "show uplinks");
        assert_eq!(of(&[]), "");
    }

    #[test]
    fn a_cause_is_told_once() {
        let cause = || anyhow::anyhow!("no such file");
        assert_eq!(told(&cause()), "no such file");
        assert_eq!(told(&cause().context("cannot open x")), "cannot open x: no such file");
        assert_eq!(told(&cause().context("cannot open x: no such file")), "cannot open x: no such file");
    }
}
