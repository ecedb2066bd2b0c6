//! `lte-image-preference`: which firmware images a modem stores and prefers, and the change of carrier as a transaction.

use std::process::ExitCode;

use anyhow::Context as _;

use super::direct::{Direct, block_on};
use super::output;
use crate::agent::socket::Request;
use crate::event::ImageChanged;
use crate::modem::driver::{ImageKind, Images};
use crate::modem::image_change;
use crate::net::way_out;

/// Show or change the firmware image that an LTE modem prefers.
#[derive(clap::Args)]
pub struct ImageArguments {
    /// Network interface, such as wwp0s21u1i8.
    #[arg(long)]
    interface: String,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    direct: Direct,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List stored, preferred and running images.
    Get,
    /// Make a stored carrier's image run. The modem restarts; what does not take is taken back.
    Set {
        /// Carrier, such as ATT, VERIZON or GENERIC.
        carrier: String,
        /// Even when this is the only way out of the router.
        #[arg(long)]
        force: bool,
    },
}

/// Runs `lte-image-preference`. Exit status 1 when the image was not changed.
///
/// # Errors
/// No such modem, the image is not stored, or it is the last working link.
pub fn run(arguments: &ImageArguments) -> anyhow::Result<ExitCode> {
    match &arguments.action {
        Action::Get => get(arguments),
        Action::Set { carrier, force } => set(arguments, carrier, *force),
    }
}

fn get(arguments: &ImageArguments) -> anyhow::Result<ExitCode> {
    let direct = &arguments.direct;
    let request = Request::Images { name: arguments.interface.clone() };
    let images = match direct.ask_agent(&arguments.interface, &request)? {
        Some(images) => serde_json::from_value(images).context("the agent's answer is not understood")?,
        None => {
            let slot = direct.find(&arguments.interface);
            let slot = slot.with_context(|| direct.missing(&arguments.interface))?;
            block_on(async { Ok(image_change::read(&slot, &direct.options()).await?) })?
        }
    };
    let text = if arguments.json { serde_json::to_string_pretty(&images)? } else { listing(&images) };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn set(arguments: &ImageArguments, carrier: &str, force: bool) -> anyhow::Result<ExitCode> {
    let (direct, interface) = (&arguments.direct, &arguments.interface);
    let changed = match by_agent(direct, interface, carrier, force)? {
        Some(changed) => changed,
        None => {
            // An agent knows which uplinks work; without one the main table tells.
            if !force {
                way_out::ensure_other(interface)?;
            }
            beside_agent(direct, interface, carrier)?
        }
    };
    let text = if arguments.json { serde_json::to_string_pretty(&changed)? } else { told(&changed) };
    output::print(&text)?;
    let good = matches!(changed.result.as_str(), "changed" | "unchanged");
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The agent changes the image of a modem that it has: two hands on one modem would take each other's answers. `None` where no
/// agent has it.
fn by_agent(
    direct: &Direct,
    interface: &str,
    carrier: &str,
    force: bool,
) -> anyhow::Result<Option<ImageChanged>> {
    let known = Request::Links { name: Some(interface.to_owned()) };
    if direct.control.is_some() || !matches!(direct.agent.ask(&known), Ok(Some(_))) {
        return Ok(None);
    }
    let name = || interface.to_owned();
    let odd = "the agent's answer is not understood";
    // For the change itself the link is let go, which a mistake in the name is not worth.
    let Some(images) = direct.agent.ask(&Request::Images { name: name() })? else { return Ok(None) };
    let images: Images = serde_json::from_value(images).context(odd)?;
    if let Some(unchanged) = image_change::without_a_restart(&images, carrier)? {
        return Ok(Some(unchanged));
    }
    let request = Request::SetImage { name: name(), carrier: carrier.to_owned(), force };
    let Some(answer) = direct.agent.ask(&request)? else { return Ok(None) };
    Ok(Some(serde_json::from_value(answer).context(odd)?))
}

fn beside_agent(direct: &Direct, interface: &str, carrier: &str) -> anyhow::Result<ImageChanged> {
    let known = direct.find_or_ask(interface).with_context(|| direct.missing(interface))?;
    let options = direct.options();
    let find = || {
        let named_by_hand = || known.control.exists().then(|| known.clone());
        direct.find(interface).or_else(named_by_hand)
    };
    let change = image_change::change(carrier, &options, find);
    let changed = block_on(async { Ok(change.await?) })?;
    direct.tell_agent(&Request::ImageChanged { name: interface.to_owned(), change: changed.clone() });
    Ok(changed)
}

fn listing(images: &Images) -> String {
    let mut lines = vec!["stored images:".to_owned()];
    for image in &images.stored {
        let kind = match image.kind {
            ImageKind::Modem => "modem",
            ImageKind::Carrier => "carrier",
        };
        let marks = match (image.running, image.preferred) {
            (true, true) => "  (running, preferred)",
            (true, false) => "  (running)",
            (false, true) => "  (preferred)",
            (false, false) => "",
        };
        lines.push(format!("  {kind:<8}{}  {}{marks}", image.build, image.unique_id));
    }
    let shown = |build: &Option<String>| build.clone().unwrap_or_else(|| "none".to_owned());
    lines.push("preferred images:".to_owned());
    lines.push(format!("  modem   {}", shown(&images.preferred.firmware)));
    lines.push(format!("  carrier {}", shown(&images.preferred.carrier)));
    lines.join("\n")
}

fn told(changed: &ImageChanged) -> String {
    let shown = |build: &Option<String>| build.clone().unwrap_or_else(|| "unknown".to_owned());
    let (before, after) = (shown(&changed.before.carrier), shown(&changed.after.carrier));
    let cause = changed.cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
    match changed.result.as_str() {
        "unchanged" => format!("{after} runs already"),
        "changed" => format!("changed from {before} to {after}"),
        result => format!("{result} to {after}{cause}"),
    }
}
