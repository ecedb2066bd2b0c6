//! Session Smart Router configuration text to ours. Reads it flat or indented, with or without `exit`, with
//! or without the way down from `config authority`, one statement a line.
//!
//! Nothing is lost silently: a statement that has no counterpart becomes a comment with its line number,
//! beside the object it stood in. A statement that has one, but a value that makes no sense, is an error.

mod statement;
mod write;

use std::collections::BTreeMap;

use statement::{Statement, Word};

use super::ConfigError;
use super::report::Mark;

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Our configuration, with comments.
    pub toml: String,
    /// What has no counterpart or needs a hand, each with its line: also in the comments.
    pub warnings: Vec<String>,
}

/// Where a statement belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// `config`, `authority`.
    Top,
    Router,
    Node,
    Device,
    Lte,
    Authentication,
    Network,
    Vector,
    /// A block without counterpart.
    Foreign,
}

/// What a value must look like.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Secret,
    Number,
    Flag,
    /// Their word and ours.
    Choice(&'static [(&'static str, &'static str)]),
}

const PROTOCOLS: &[(&str, &str)] = &[
    ("none", "none"),
    ("pap", "pap"),
    ("chap", "chap"),
    ("pap-or-chap", "pap-or-chap"),
    ("pap-chap", "pap-or-chap"),
];

const FAMILIES: &[(&str, &str)] = &[("v4", "v4"), ("v6", "v6"), ("v4v6", "v4v6")];

/// Every statement with a counterpart of the same name.
const KEYWORDS: [(&str, Level, Shape); 11] = [
    ("type", Level::Device, Shape::Text),
    ("target-interface", Level::Device, Shape::Text),
    ("usb-port", Level::Device, Shape::Text),
    ("apn-name", Level::Lte, Shape::Text),
    ("user-name", Level::Authentication, Shape::Text),
    ("password", Level::Authentication, Shape::Secret),
    ("authentication-protocol", Level::Authentication, Shape::Choice(PROTOCOLS)),
    ("source-nat", Level::Network, Shape::Flag),
    ("dhcp", Level::Network, Shape::Choice(FAMILIES)),
    ("default-route", Level::Network, Shape::Flag),
    ("priority", Level::Vector, Shape::Number),
];

/// Values as TOML, by level and key.
type Fields = BTreeMap<(Level, &'static str), String>;

#[derive(Default)]
struct Device {
    name: String,
    line: usize,
    fields: Fields,
    networks: Vec<Network>,
    comments: Vec<String>,
    /// Every line that went into it, for the case that it cannot be imported.
    lines: Vec<(usize, String)>,
}

struct Network {
    name: String,
    fields: Fields,
}

struct Frame {
    level: Level,
    indent: usize,
    name: String,
}

/// Reads `text`; `file_name` is only for messages. `router` names the router when the text does not, and says
/// which one to take when the text has several.
///
/// # Errors
/// Statements that cannot be read, all of them, with file, line and column.
pub fn import(text: &str, file_name: &str, router: Option<&str>) -> Result<Imported, ConfigError> {
    let mut marks = Vec::new();
    let statements = statement::split(text, &mut marks);
    let mut importer = Importer {
        wanted_router: router,
        indented: statements.windows(2).any(|pair| opens_block(&pair[0]) && pair[1].indent > pair[0].indent),
        has_exit: statements.iter().any(|statement| statement.is("exit")),
        marks,
        ..Importer::default()
    };
    importer.find_routers(&statements);
    for (index, statement) in statements.iter().enumerate() {
        importer.statement(statement, statements.get(index + 1));
    }
    if !importer.marks.is_empty() {
        return Err(ConfigError::from_marks(text, file_name, importer.marks));
    }
    let name = router.map(str::to_owned).or_else(|| importer.routers.pop());
    Ok(write::write(name, importer.devices, importer.comments))
}

#[derive(Default)]
struct Importer<'a> {
    wanted_router: Option<&'a str>,
    indented: bool,
    has_exit: bool,
    marks: Vec<Mark>,
    frames: Vec<Frame>,
    routers: Vec<String>,
    devices: Vec<Device>,
    /// Comments that belong to no device.
    comments: Vec<String>,
}

impl Importer<'_> {
    /// Which routers the text has, and whether it is clear which one is meant.
    fn find_routers(&mut self, statements: &[Statement]) {
        for statement in statements {
            let mut words =
                statement.words.iter().skip_while(|word| matches!(&*word.text, "config" | "authority"));
            let (Some(head), Some(name)) = (words.next(), words.next()) else { continue };
            if head.text != "router" || self.routers.contains(&name.text) {
                continue;
            }
            self.routers.push(name.text.clone());
            if self.routers.len() > 1 && self.wanted_router.is_none() {
                self.wrong(name, "another router: say with --router which one to import".into());
            }
        }
        if let (Some(wanted), [_, second, ..]) = (self.wanted_router, self.routers.as_slice())
            && !self.routers.iter().any(|name| name == wanted)
        {
            let message =
                format!("none of the routers is {wanted}: there are {}, {second}…", self.routers[0]);
            self.marks.push(Mark { span: 0..0, message, related: None });
        }
    }

    fn statement(&mut self, statement: &Statement, next: Option<&Statement>) {
        if statement.is("config") {
            self.frames.clear();
        }
        let closed = self.indented && self.close_by_indent(statement.indent);
        if statement.is("exit") {
            if !closed {
                self.frames.pop();
            }
            return;
        }
        let rest = self.descend(statement);
        if self.elsewhere() {
            return;
        }
        if self.in_device()
            && let Some(device) = self.devices.last_mut()
        {
            device.lines.push((statement.line, statement.text.clone()));
        }
        if !rest.is_empty() {
            self.value(statement, rest, next);
        }
    }

    /// Inside a router that is not the one asked for.
    fn elsewhere(&self) -> bool {
        let wanted = |name: &str| self.wanted_router.is_none_or(|wanted| wanted == name);
        self.routers.len() > 1
            && self.frames.iter().any(|frame| frame.level == Level::Router && !wanted(&frame.name))
    }

    fn in_device(&self) -> bool {
        self.frames.iter().any(|frame| frame.level == Level::Device)
    }

    fn level(&self) -> Option<Level> {
        self.frames.last().map(|frame| frame.level)
    }

    /// Closes what begins at this indentation or further right.
    fn close_by_indent(&mut self, indent: usize) -> bool {
        let before = self.frames.len();
        while self.frames.last().is_some_and(|frame| frame.indent >= indent) {
            self.frames.pop();
        }
        self.frames.len() < before
    }

    /// Opens the blocks that the line names, and gives the words that are left.
    fn descend<'s>(&mut self, statement: &'s Statement) -> &'s [Word] {
        let mut words = statement.words.as_slice();
        while let Some((head, rest)) = words.split_first() {
            if self.level() == Some(Level::Foreign) && (self.indented || self.has_exit) {
                break;
            }
            let key = rest.first().filter(|word| !matches!(&*word.text, "name" | "priority"));
            let (level, needs_key) = match &*head.text {
                "config" | "authority" => (Level::Top, false),
                "router" => (Level::Router, true),
                "node" => (Level::Node, true),
                "device-interface" => (Level::Device, true),
                "network-interface" => (Level::Network, true),
                "management-vector" => (Level::Vector, false),
                "lte" => (Level::Lte, false),
                "authentication" => (Level::Authentication, false),
                _ => break,
            };
            let takes_key = needs_key || level == Level::Vector;
            let key = key.filter(|_| takes_key);
            if needs_key && key.is_none() {
                self.wrong(head, format!("{} needs a name", head.text));
                return &[];
            }
            if !self.open(level, head, key, statement) {
                return &[];
            }
            words = if key.is_some() { &rest[1..] } else { rest };
        }
        words
    }

    fn open(&mut self, level: Level, head: &Word, key: Option<&Word>, statement: &Statement) -> bool {
        let name = key.map(|key| key.text.clone()).unwrap_or_default();
        if !self.indented {
            // Without indentation a block ends where one of its own or a higher level begins.
            let inside = |frame: &Frame| frame.level < level || frame.level == Level::Top;
            while self.frames.last().is_some_and(|frame| !inside(frame)) {
                self.frames.pop();
            }
            self.frames.retain(|frame| !(level == Level::Network && is_lte(frame.level)));
        }
        if matches!(level, Level::Lte | Level::Authentication | Level::Network) && !self.in_device() {
            self.wrong(head, format!("{} stands outside any device-interface", head.text));
            return false;
        }
        match level {
            Level::Device if !self.elsewhere() => self.open_device(&name, statement.line),
            Level::Network if !self.elsewhere() => self.open_network(&name),
            Level::Vector if !self.elsewhere() => return self.open_vector(head, key, statement),
            _ => {}
        }
        self.frames.push(Frame { level, indent: statement.indent, name });
        true
    }

    /// Opens a device-interface, again where each line tells the whole way down.
    fn open_device(&mut self, name: &str, line: usize) {
        let device = match self.devices.iter().position(|device| device.name == name) {
            Some(known) => self.devices.remove(known),
            None => Device { name: name.to_owned(), line, ..Device::default() },
        };
        // The open device is the last one; writing restores the order of the text.
        self.devices.push(device);
    }

    fn open_network(&mut self, name: &str) {
        let Some(device) = self.devices.last_mut() else { return };
        let network = match device.networks.iter().position(|network| network.name == name) {
            Some(known) => device.networks.remove(known),
            None => Network { name: name.to_owned(), fields: Fields::new() },
        };
        device.networks.push(network);
    }

    fn open_vector(&mut self, head: &Word, key: Option<&Word>, statement: &Statement) -> bool {
        let Some(network) = self.devices.last_mut().and_then(|device| device.networks.last_mut()) else {
            self.wrong(head, "management-vector stands outside any network-interface".into());
            return false;
        };
        let name = key.map(|key| key.text.clone()).unwrap_or_default();
        let written = network.fields.entry((Level::Vector, "name")).or_default();
        if !name.is_empty() {
            *written = write::quoted(&name);
        }
        self.frames.push(Frame { level: Level::Vector, indent: statement.indent, name });
        true
    }

    /// A keyword and its value.
    fn value(&mut self, statement: &Statement, words: &[Word], next: Option<&Statement>) {
        let (head, values) = words.split_first().expect("only called with words");
        let foreign = self.level() == Some(Level::Foreign);
        if foreign && (self.indented || self.has_exit) {
            return self.comment(statement);
        }
        if head.text == "name" {
            return self.name(statement, head, values);
        }
        let keyword = KEYWORDS.iter().find(|(keyword, ..)| *keyword == head.text);
        match keyword.filter(|(_, level, _)| self.is_open(*level)) {
            Some((keyword, level, shape)) => {
                if foreign {
                    self.frames.pop();
                }
                let Some(value) = self.one_value(head, values) else { return };
                self.field(statement, (*level, keyword), *shape, value);
            }
            None => {
                self.comment(statement);
                let deeper = self.indented && next.is_some_and(|next| next.indent > statement.indent);
                let named = next.is_some_and(|next| {
                    next.is("name")
                        && values.first().is_some_and(|v| next.words.get(1).is_some_and(|n| n.text == v.text))
                });
                if deeper || (named && !self.indented) {
                    let name = values.first().map(|value| value.text.clone()).unwrap_or_default();
                    self.frames.push(Frame { level: Level::Foreign, indent: statement.indent, name });
                }
            }
        }
    }

    /// Whether a statement of that level has an object to go to.
    fn is_open(&self, level: Level) -> bool {
        let device = self.devices.last().filter(|_| self.in_device());
        let network = device.and_then(|device| device.networks.last());
        match level {
            Level::Device | Level::Lte | Level::Authentication => device.is_some(),
            Level::Network => network.is_some(),
            Level::Vector => network.is_some_and(|n| n.fields.contains_key(&(Level::Vector, "name"))),
            Level::Top | Level::Router | Level::Node | Level::Foreign => false,
        }
    }

    /// `name` repeats what the block's first line said, or says it where that line did not.
    fn name(&mut self, statement: &Statement, head: &Word, values: &[Word]) {
        let Some(value) = self.one_value(head, values) else { return };
        if self.frames.iter().any(|frame| frame.name == value.text) {
            return;
        }
        match self.frames.last_mut() {
            Some(frame) if frame.level == Level::Vector && frame.name.is_empty() => {
                frame.name.clone_from(&value.text);
                let network = self.devices.last_mut().and_then(|device| device.networks.last_mut());
                if let Some(network) = network {
                    network.fields.insert((Level::Vector, "name"), write::quoted(&value.text));
                }
            }
            Some(frame) if matches!(frame.level, Level::Device | Level::Network | Level::Vector) => {
                let message = format!("this block began with the name `{}`", frame.name);
                self.wrong(value, message);
            }
            _ => self.comment(statement),
        }
    }

    fn one_value<'w>(&mut self, head: &Word, values: &'w [Word]) -> Option<&'w Word> {
        match values {
            [] => self.wrong(head, format!("{} needs a value", head.text)),
            [value] => return Some(value),
            [_, more, ..] => {
                self.wrong(more, format!("{} takes one value; quote it if it has spaces", head.text));
            }
        }
        None
    }

    fn field(&mut self, statement: &Statement, key: (Level, &'static str), shape: Shape, value: &Word) {
        let text = &*value.text;
        let written = match shape {
            Shape::Secret if text == "(removed)" => {
                self.comment_text(
                    statement,
                    format!("{}: it was removed from the text, set it by hand", key.1),
                );
                return;
            }
            Shape::Text | Shape::Secret => Ok(write::quoted(text)),
            Shape::Number => text
                .parse::<u32>()
                .map(|number| number.to_string())
                .map_err(|_| "expected a whole number".into()),
            Shape::Flag => match text {
                "true" | "enabled" => Ok("true".into()),
                "false" | "disabled" => Ok("false".into()),
                _ => Err("expected true or false".into()),
            },
            // An interface with fixed addresses: nothing to ask the carrier for.
            Shape::Choice(_) if key.1 == "dhcp" && text == "disabled" => return self.comment(statement),
            Shape::Choice(words) => words
                .iter()
                .find(|(theirs, _)| *theirs == text)
                .map(|(_, ours)| write::quoted(ours))
                .ok_or_else(|| {
                    let known: Vec<_> = words.iter().map(|(theirs, _)| *theirs).collect();
                    format!("expected {}", known.join(", "))
                }),
        };
        let written = match written {
            Ok(written) => written,
            Err(message) => return self.wrong(value, message),
        };
        let device = self.devices.last_mut().expect("checked by is_open");
        let fields = match key.0 {
            Level::Network | Level::Vector => {
                &mut device.networks.last_mut().expect("checked by is_open").fields
            }
            _ => &mut device.fields,
        };
        if fields.insert(key, written.clone()).is_some_and(|earlier| earlier != written) {
            self.wrong(&statement.words[statement.words.len() - 2], format!("{} is set twice", key.1));
        }
    }

    fn comment(&mut self, statement: &Statement) {
        self.comment_text(statement, format!("no counterpart: {}", statement.text));
    }

    fn comment_text(&mut self, statement: &Statement, text: String) {
        let comment = format!("line {}: {text}", statement.line);
        match self.devices.last_mut() {
            Some(device) if self.frames.iter().any(|frame| frame.level == Level::Device) => {
                device.comments.push(comment);
            }
            _ => self.comments.push(comment),
        }
    }

    fn wrong(&mut self, word: &Word, message: String) {
        self.marks.push(Mark { span: word.span.clone(), message, related: None });
    }
}

/// Whether the line begins with a block that we know: what follows one tells how the text is laid out.
fn opens_block(statement: &Statement) -> bool {
    ["config", "authority", "router", "node", "device-interface", "network-interface"]
        .iter()
        .any(|block| statement.is(block))
}

fn is_lte(level: Level) -> bool {
    matches!(level, Level::Lte | Level::Authentication)
}
