//! `tandem show`: what the agent on this router knows, or what is known without one; or what central knows.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Table, presets};
use serde_json::Value;

use super::ask::Local;
use super::output::print;
use crate::agent::socket::Request;
use crate::agent::upload::server;
use crate::link::status::{LinkStatus, show_at};

/// How long central may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// A page of events takes far less.
const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Show what is known of this router; with --router, what central knows of any router.
#[derive(clap::Args)]
pub struct ShowArguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    local: Local,
    /// Ask central about this router.
    #[arg(long, global = true, value_name = "NAME")]
    router: Option<String>,
    /// As of this moment: RFC 3339, or how long ago, such as -1h. Goes with --router.
    #[arg(long, global = true, value_name = "TIME", requires = "router", allow_hyphen_values = true)]
    at: Option<String>,
    /// Where central answers.
    #[arg(
        long,
        global = true,
        env = "TANDEM_CENTRAL",
        value_name = "URL",
        default_value = "http://127.0.0.1:7070"
    )]
    central: String,
    /// JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum What {
    /// State, settings, failure context and signal of the links.
    DeviceInterface {
        /// Only this one: `name NAME`, or NAME.
        #[arg(value_name = "[name] NAME", num_args = 0..=2)]
        name: Vec<String>,
    },
    /// Which uplinks carry the traffic, and why.
    Uplinks,
    /// The newest events, newest first.
    Events {
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// The configuration in force, secrets removed.
    Config,
}

/// Runs the subcommand.
///
/// # Errors
/// When there is no answer, or no such thing.
pub fn run(arguments: &ShowArguments) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    match &arguments.what {
        What::DeviceInterface { name } => {
            let name = name.iter().rfind(|word| *word != "name" || name.len() == 1);
            let links = arguments.links(name.map(String::as_str))?;
            if arguments.json {
                print(&serde_json::to_string_pretty(&links)?)?;
            } else {
                let texts = links.iter().map(|link| show_at(link, Utc::now(), began.elapsed()));
                print(texts.collect::<Vec<_>>().join("\n").trim_end())?;
            }
        }
        What::Uplinks => {
            let value = arguments.value(&Request::Uplinks, "", uplinks_of)?;
            arguments.tell(&value, uplinks)?;
        }
        What::Events { limit } => {
            let path = format!("/events?limit={limit}");
            let request = Request::Events { limit: *limit };
            let value = arguments.value(&request, &path, events_of)?;
            arguments.tell(&value, events)?;
        }
        What::Config => {
            anyhow::ensure!(arguments.router.is_none(), "central keeps no configurations, only their hashes");
            let text = arguments.local.ask(&Request::Config)?;
            let text = text.as_str().unwrap_or_default();
            if arguments.json {
                let table: toml::Table = text.parse().context("the agent's answer is not understood")?;
                print(&serde_json::to_string_pretty(&table)?)?;
            } else {
                print(text.trim_end())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl ShowArguments {
    fn links(&self, name: Option<&str>) -> anyhow::Result<Vec<LinkStatus>> {
        let Some(router) = &self.router else {
            let answer = self.local.ask(&Request::Links { name: name.map(str::to_owned) })?;
            return serde_json::from_value(answer).context("the agent's answer is not understood");
        };
        let status = self.fetch(router, "")?;
        let details = status["details"].as_array().cloned().unwrap_or_default();
        let links: Result<Vec<LinkStatus>, _> =
            details.into_iter().map(|mut detail| serde_json::from_value(detail["status"].take())).collect();
        let mut links = links.context("central's answer is not understood")?;
        if let Some(name) = name {
            links.retain(|link| link.name == name || link.target_interface == name);
            anyhow::ensure!(!links.is_empty(), "central knows no device-interface {name} of {router}");
        }
        Ok(links)
    }

    fn value(
        &self,
        request: &Request,
        path: &str,
        of_central: impl Fn(&Value) -> Value,
    ) -> anyhow::Result<Value> {
        match &self.router {
            Some(router) => Ok(of_central(&self.fetch(router, path)?)),
            None => self.local.ask(request),
        }
    }

    fn tell(&self, value: &Value, text: impl Fn(&Value) -> String) -> anyhow::Result<()> {
        let text = if self.json { serde_json::to_string_pretty(value)? } else { text(value) };
        Ok(print(text.trim_end())?)
    }

    fn fetch(&self, router: &str, path: &str) -> anyhow::Result<Value> {
        let router: crate::event::RouterName = router.parse()?;
        let mut path = format!("/v1/routers/{router}{path}");
        if let Some(at) = &self.at {
            let mark = if path.contains('?') { '&' } else { '?' };
            path += &format!("{mark}as_of={}", escaped(at));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (status, body) = runtime
            .block_on(server::get(&self.central, &path, ANSWER_MAX_BYTES, ANSWER_DEADLINE))
            .with_context(|| format!("central does not answer at {}", self.central))?;
        let body: Value = serde_json::from_slice(&body)
            .with_context(|| format!("{}{path} answered {status} without JSON", self.central))?;
        let why = body["detail"].as_str().or(body["title"].as_str()).unwrap_or("no reason given");
        anyhow::ensure!((200..300).contains(&status), "central answered {status}: {why}");
        Ok(body)
    }
}

/// Text as it may stand in a query (RFC 3986, 2.1).
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// What central says of the uplinks of a router, shaped as the agent says it.
fn uplinks_of(router: &Value) -> Value {
    let mut value = router["uplinks"].clone();
    if value.is_null() {
        value = serde_json::json!({ "carrying": [] });
    }
    let details = router["details"].as_array().into_iter().flatten();
    let told = details.map(|detail| {
        let mut uplink = detail["status"].clone();
        // Central is told neither of them.
        (uplink["priority"], uplink["weight"]) = (Value::Null, Value::Null);
        uplink["stopped"] = if uplink["carrying"] == true { Value::Null } else { detail["stopped"].clone() };
        uplink
    });
    value["uplinks"] = told.collect();
    value
}

/// The events on a page of central's list, without what central adds to them.
fn events_of(page: &Value) -> Value {
    page["events"].as_array().into_iter().flatten().map(|told| told["event"].clone()).collect()
}

/// The choice of uplinks, then one line for each of them.
fn uplinks(value: &Value) -> String {
    let words = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    let mut text = format!("carrying: {}\n", words(&value["carrying"]));
    if let Some(policy) = value["policy"].as_str() {
        text = format!("policy: {policy}\n{text}");
    }
    let changed = if value["selected"].is_object() { &value["selected"] } else { value };
    for stopped in changed["stopped"].as_array().into_iter().flatten() {
        text += &format!("stopped: {} ({})\n", words(&stopped["uplink"]), words(&stopped["cause"]));
    }
    for problem in value["problems"].as_array().into_iter().flatten() {
        text += &format!("problem: {}\n", words(problem));
    }
    let Some(uplinks) = value["uplinks"].as_array() else { return text };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["UPLINK", "INTERFACE", "STATE", "CARRYING", "PRIORITY", "WEIGHT", "WHY"]);
    let reports = value["choice"]["uplinks"].as_array();
    let report = |name: &Value| reports.into_iter().flatten().find(|report| report["name"] == *name);
    for uplink in uplinks {
        let carrying = if uplink["carrying"] == true { "yes" } else { "no" };
        let of = |key: &str| words(&uplink[key]);
        let (priority, weight) = (of("priority"), of("weight"));
        // Why it carries traffic or not; where nobody says so, why it is in its state.
        let chosen = report(&uplink["name"]).map_or(&uplink["stopped"], |report| &report["reason"]);
        let why = if chosen.is_null() { of("state_cause") } else { words(chosen) };
        table.add_row([
            of("name"),
            of("target_interface"),
            of("state"),
            carrying.to_owned(),
            priority,
            weight,
            why,
        ]);
    }
    text + &table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// One line an event: when, what, about what, and its plain values.
fn events(value: &Value) -> String {
    let line = |event: &Value| {
        let of = |key: &str| event[key].as_str().unwrap_or("-");
        let kind = of("type").trim_start_matches("io.tandem.").trim_end_matches(".v1");
        let plain = event["data"].as_object().into_iter().flatten().filter_map(|(key, value)| match value {
            Value::String(text) => Some(format!("{key}={text:?}")),
            Value::Number(_) | Value::Bool(_) => Some(format!("{key}={value}")),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        });
        let context = ["boot_id", "uptime_ms", "clock"].map(|key| format!("{key}="));
        let told: Vec<_> = plain.filter(|word| !context.iter().any(|key| word.starts_with(key))).collect();
        let time = of("time").parse::<DateTime<Utc>>();
        let time =
            time.map_or(of("time").to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
        format!("{time}  {kind:<22}{:<12} {}", of("subject"), told.join(" ")).trim_end().to_owned()
    };
    let lines: Vec<_> = value.as_array().into_iter().flatten().map(line).collect();
    if lines.is_empty() { "no events".to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_of_central_read_like_those_of_the_router() {
        let event = json!({
            "type": "io.tandem.link.failed.v1", "subject": "lte-dev-2", "time": "2026-11-02T08:00:00.123456789Z",
            "data": { "boot_id": "b", "uptime_ms": 1, "clock": "synced", "code": 33, "reason": "option-unsubscribed" },
        });
        let page =
            json!({ "events": [{ "position": "tandem.status/0:7", "event": event }], "cursor": "0.7" });
        let text = events(&events_of(&page));
        assert_eq!(
            text,
            "2026-11-02T08:00:00.123Z  link.failed           lte-dev-2    code=33 reason=\"option-unsubscribed\""
        );
        assert_eq!(text, events(&json!([event])));
        assert_eq!(events(&events_of(&json!({ "events": [] }))), "no events");
    }

    #[test]
    fn a_moment_stands_in_a_query_whatever_is_in_it() {
        assert_eq!(escaped("2026-11-02T08:00:00+01:00"), "2026-11-02T08:00:00%2B01:00");
        assert_eq!(escaped("-1h & more é"), "-1h%20%26%20more%20%C3%A9");
    }

    #[test]
    fn every_uplink_says_why_it_carries_traffic_or_not() {
        let links = json!([
            { "name": "lte-dev-1", "target_interface": "wwan0", "state": "connected", "state_cause": "session up",
              "carrying": true, "priority": 300, "weight": 1 },
            { "name": "lte-dev-2", "target_interface": "wwan1", "state": "connected", "state_cause": "session up",
              "carrying": false, "priority": 500, "weight": 1 },
        ]);
        let choice = json!({ "uplinks": [
            { "name": "lte-dev-1", "reason": "works" }, { "name": "lte-dev-2", "reason": "works, not needed" },
        ] });
        let told =
            json!({ "policy": "failover", "carrying": ["lte-dev-1"], "uplinks": links, "choice": choice });
        assert_eq!(
            uplinks(&told).lines().collect::<Vec<_>>(),
            [
                "policy: failover",
                "carrying: lte-dev-1",
                " UPLINK     INTERFACE  STATE      CARRYING  PRIORITY  WEIGHT  WHY",
                " lte-dev-1  wwan0      connected  yes       300       1       works",
                " lte-dev-2  wwan1      connected  no        500       1       works, not needed",
            ]
        );
        let router = json!({
            "uplinks": { "carrying": ["lte-dev-1"], "stopped": [] },
            "details": [
                { "status": links[0], "stopped": "coverage hole" },
                { "status": links[1], "stopped": "probes lost" },
            ],
        });
        assert_eq!(
            uplinks(&uplinks_of(&router)).lines().collect::<Vec<_>>(),
            [
                "carrying: lte-dev-1",
                " UPLINK     INTERFACE  STATE      CARRYING  PRIORITY  WEIGHT  WHY",
                " lte-dev-1  wwan0      connected  yes       -         -       session up",
                " lte-dev-2  wwan1      connected  no        -         -       probes lost",
            ]
        );
        assert_eq!(uplinks(&uplinks_of(&json!({}))).lines().next(), Some("carrying: none"));
    }
}
