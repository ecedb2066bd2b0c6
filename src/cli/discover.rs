//! `tandem discover`: which modems there are, and what to write in `target-interface`.

use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde::Serialize;

use super::output;
use crate::modem::sysfs::{self, Discovery, UsbModem};

/// List the modems of this machine: USB place, driver, QMI interface names, control ports, AT ports.
#[derive(clap::Args)]
pub struct DiscoverArguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Folder to use in place of /sys.
    #[arg(long, value_name = "DIR", default_value = sysfs::DEFAULT_ROOT)]
    sysfs: PathBuf,
}

/// What was found.
#[derive(Serialize)]
struct Found<'a> {
    modems: &'a [UsbModem],
    slots: Vec<sysfs::Slot>,
    errors: Vec<String>,
}

/// Runs `tandem discover`. Exit status 1 when something could not be read.
///
/// # Errors
/// When standard output fails.
pub fn run(arguments: &DiscoverArguments) -> anyhow::Result<ExitCode> {
    let found = sysfs::discover(&arguments.sysfs);
    let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
    if arguments.json {
        let all = Found { modems: &found.modems, slots: found.slots(), errors };
        output::print(&serde_json::to_string_pretty(&all)?)?;
    } else {
        errors.iter().for_each(|error| eprintln!("tandem: {error}"));
        output::print(&table(&found))?;
    }
    Ok(if found.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(found: &Discovery) -> String {
    if found.modems.is_empty() {
        return "no modem was found on the USB".to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["BUS", "DEVICE", "PLACE", "ID", "MODE", "DRIVER", "INTERFACE", "CONTROL", "AT PORTS"]);
    for modem in &found.modems {
        let at_ports: Vec<_> = modem.at_ports().iter().map(|port| port.display().to_string()).collect();
        let start = [
            format!("{:03}", modem.bus),
            format!("{:03}", modem.device),
            modem.usb_path.clone(),
            format!("{:04x}:{:04x}", modem.vendor_id, modem.product_id),
            mode(modem).to_owned(),
        ];
        let at_ports = if at_ports.is_empty() { "-".to_owned() } else { at_ports.join(" ") };
        if modem.functions.is_empty() {
            let driver = modem.serial_ports.iter().find_map(|port| port.driver.clone());
            let end = [driver.unwrap_or_else(|| "-".into()), "-".into(), "-".into(), at_ports];
            table.add_row(start.into_iter().chain(end));
            continue;
        }
        for slot in modem.slots() {
            let control = slot.control.display().to_string();
            let end = [slot.driver, slot.netdev, control, at_ports.clone()];
            table.add_row(start.clone().into_iter().chain(end));
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn mode(modem: &UsbModem) -> &'static str {
    match modem.mode {
        sysfs::Mode::Ready => "ready",
        sysfs::Mode::BootHold => "boot-hold",
        sysfs::Mode::NoDataFunction => "no-data-function",
    }
}
