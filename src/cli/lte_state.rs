//! `lte-state`: what changes in one modem, as JSON.

use std::process::ExitCode;

use super::direct::{Direct, block_on};
use super::output;
use crate::agent::socket::Request;
use crate::modem::report;

/// Print what changes in an LTE modem (connection, addresses, carrier, signal) as JSON.
#[derive(clap::Args)]
pub struct LteStateArguments {
    /// Network interface, such as wwp0s21u1i8.
    interface: String,
    #[command(flatten)]
    direct: Direct,
    /// Print JSON, which is what it always prints.
    #[arg(long)]
    json: bool,
}

/// Runs `lte-state`.
///
/// # Errors
/// No such modem, or it does not answer.
pub fn run(arguments: &LteStateArguments) -> anyhow::Result<ExitCode> {
    let request = Request::State { name: arguments.interface.clone() };
    let state = match arguments.direct.ask_agent(&arguments.interface, &request)? {
        Some(state) => state,
        None => serde_json::to_value(block_on(gather(arguments))?)?,
    };
    output::print(&serde_json::to_string_pretty(&state)?)?;
    Ok(ExitCode::SUCCESS)
}

async fn gather(arguments: &LteStateArguments) -> anyhow::Result<report::LteState> {
    let (driver, _notices) = arguments.direct.open(&arguments.interface).await?;
    let state = report::state(&driver).await;
    // A session that an agent left up for its next start stays.
    driver.close(true).await;
    Ok(state)
}
