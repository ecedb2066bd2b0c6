//! `lte-info`: what does not change in one modem, as JSON.

use std::process::ExitCode;

use super::direct::{Direct, block_on};
use super::output;
use crate::agent::socket::Request;
use crate::modem::report;

/// Print what does not change in an LTE modem (model, firmware, identities, bands) as JSON.
#[derive(clap::Args)]
pub struct LteInfoArguments {
    /// Network interface, such as wwp0s21u1i8.
    interface: String,
    #[command(flatten)]
    direct: Direct,
    /// Print JSON, which is what it always prints.
    #[arg(long)]
    json: bool,
}

/// Runs `lte-info`.
///
/// # Errors
/// No such modem, or it does not answer.
pub fn run(arguments: &LteInfoArguments) -> anyhow::Result<ExitCode> {
    let request = Request::Info { name: arguments.interface.clone() };
    let info = match arguments.direct.ask_agent(&arguments.interface, &request)? {
        Some(info) => info,
        None => serde_json::to_value(block_on(gather(arguments))?)?,
    };
    output::print(&serde_json::to_string_pretty(&info)?)?;
    Ok(ExitCode::SUCCESS)
}

async fn gather(arguments: &LteInfoArguments) -> anyhow::Result<report::LteInfo> {
    let (driver, _notices) = arguments.direct.open(&arguments.interface).await?;
    let info = report::info(&driver).await;
    driver.close(true).await;
    Ok(info)
}
