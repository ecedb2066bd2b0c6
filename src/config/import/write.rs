//! What was read, as TOML for people.

use super::{Device, Fields, Imported, Level, Network};
use crate::config::Secret;

/// Name that stands in where the text names no router.
const UNNAMED: &str = "router-name";

pub(super) fn write(router: Option<String>, mut devices: Vec<Device>, comments: Vec<String>) -> Imported {
    let mut toml = String::new();
    let mut warnings = Vec::new();
    let mut comment = |toml: &mut String, text: String| {
        let text = one_line(&text);
        *toml += &format!("# {text}\n");
        warnings.push(text);
    };
    for text in comments {
        comment(&mut toml, text);
    }
    toml += "[router]\n";
    if router.is_none() {
        comment(&mut toml, "the text names no router: set the name by hand".into());
    }
    toml += &format!("name = {}\n", quoted(router.as_deref().unwrap_or(UNNAMED)));
    devices.sort_by_key(|device| device.line);
    for device in devices {
        toml.push('\n');
        match reason_to_leave_out(&device) {
            None => {
                device.comments.iter().for_each(|text| comment(&mut toml, text.clone()));
                toml += &device_toml(&device);
            }
            Some(reason) => {
                comment(
                    &mut toml,
                    format!("line {}: device-interface {} is left out: {reason}", device.line, device.name),
                );
                for (line, text) in &device.lines {
                    toml += &format!("#    line {line}: {}\n", one_line(text));
                }
            }
        }
    }
    Imported { toml, warnings }
}

/// Interfaces of other kinds, or found by PCI address, are no uplinks of ours.
fn reason_to_leave_out(device: &Device) -> Option<String> {
    let kind = device.fields.get(&(Level::Device, "type")).map(String::as_str);
    match kind {
        Some("\"lte\"" | "\"ethernet\"") => {}
        Some(other) => return Some(format!("its type is {other}, not lte or ethernet")),
        None => return Some("it has no type".into()),
    }
    let target = device.fields.contains_key(&(Level::Device, "target-interface"));
    (!target).then(|| "it has no target-interface".into())
}

fn device_toml(device: &Device) -> String {
    let fields = &device.fields;
    let mut toml = format!("[[device-interface]]\nname = {}\n", quoted(&device.name));
    toml += &lines(fields, Level::Device);
    let mut lte = pairs(fields, Level::Lte);
    let authentication = pairs(fields, Level::Authentication);
    if !authentication.is_empty() {
        lte.push(format!("authentication = {{ {} }}", authentication.join(", ")));
    }
    if !lte.is_empty() {
        toml += &format!("lte = {{ {} }}\n", lte.join(", "));
    }
    device.networks.iter().for_each(|network| toml += &network_toml(network));
    toml
}

fn network_toml(network: &Network) -> String {
    let mut toml = format!("\n[[device-interface.network-interface]]\nname = {}\n", quoted(&network.name));
    toml += &lines(&network.fields, Level::Network);
    let vector: Vec<_> = pairs(&network.fields, Level::Vector);
    if !vector.is_empty() {
        toml += &format!("management-vector = {{ {} }}\n", vector.join(", "));
    }
    toml
}

/// `key = value` for each field of a level, in the order in which the manual writes them.
fn pairs(fields: &Fields, level: Level) -> Vec<String> {
    let name = fields.get(&(level, "name")).filter(|name| !name.is_empty());
    let name = name.map(|name| format!("name = {name}"));
    let others = super::KEYWORDS.iter().filter(|(_, at, _)| *at == level);
    name.into_iter()
        .chain(others.filter_map(|(key, ..)| Some(format!("{key} = {}", fields.get(&(level, key))?))))
        .collect()
}

fn lines(fields: &Fields, level: Level) -> String {
    pairs(fields, level).into_iter().map(|pair| pair + "\n").collect()
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.replace('\n', " ")).to_string()
}

/// Text that may stand in a comment: TOML allows no control characters there. A password in a statement that
/// was not understood is hidden.
fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.split_once("password ") {
        Some((before, _)) => format!("{before}password {}", Secret::HIDDEN),
        None => text,
    }
}
