//! `tandem show`: what the agent on this router, or central, knows.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use chrono::Utc;
use serde_json::Value;

use super::ask::AgentSocket;
use super::output::print;
use crate::agent::socket::Request;
use crate::link::status::{LinkStatus, show};

/// Show what the agent of this router knows; with --router, what central knows of any router.
#[derive(clap::Args)]
pub struct ShowArguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    agent: AgentSocket,
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
/// When neither agent nor central answers, or they know no such thing.
pub fn run(arguments: &ShowArguments) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    match &arguments.what {
        What::DeviceInterface { name } => {
            let name = name.iter().rfind(|word| *word != "name" || name.len() == 1);
            let links = arguments.links(name.map(String::as_str))?;
            if arguments.json {
                print(&serde_json::to_string_pretty(&links)?)?;
            } else {
                for link in links {
                    let seconds = began.elapsed().as_secs_f64();
                    print(&format!(
                        "{}\n{}Completed in {seconds:.2} seconds\n",
                        Utc::now().format("%a %Y-%m-%d %H:%M:%S UTC"),
                        show(&link)
                    ))?;
                }
            }
        }
        What::Uplinks => arguments.value(&Request::Uplinks, "", |status| status["uplinks"].clone())?,
        What::Events { limit } => {
            let path = format!("/events?limit={limit}");
            let request = Request::Events { limit: *limit };
            arguments.value(&request, &path, |page| page["events"].clone())?;
        }
        What::Config => {
            let text = arguments.agent.ask_running(&Request::Config)?;
            print(text.as_str().unwrap_or_default())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl ShowArguments {
    fn links(&self, name: Option<&str>) -> anyhow::Result<Vec<LinkStatus>> {
        let Some(router) = &self.router else {
            let answer = self.agent.ask_running(&Request::Links { name: name.map(str::to_owned) })?;
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
    ) -> anyhow::Result<()> {
        let value = match &self.router {
            Some(router) => of_central(&self.fetch(router, path)?),
            None => self.agent.ask_running(request)?,
        };
        match (&value, self.json) {
            (Value::Array(items), false) => items.iter().try_for_each(|item| print(&item.to_string()))?,
            _ => print(&serde_json::to_string_pretty(&value)?)?,
        }
        Ok(())
    }

    fn fetch(&self, router: &str, path: &str) -> anyhow::Result<Value> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let router: crate::event::RouterName = router.parse()?;
        let mut url = format!("{}/v1/routers/{router}{path}", self.central.trim_end_matches('/'));
        if let Some(at) = &self.at {
            let mark = if url.contains('?') { '&' } else { '?' };
            url += &format!("{mark}as_of={}", at.replace('+', "%2B"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(30)).build()?;
            let response = client
                .get(&url)
                .send()
                .await
                .with_context(|| format!("central does not answer at {}", self.central))?;
            let status = response.status();
            let body: Value =
                response.json().await.with_context(|| format!("{url} answered {status} without JSON"))?;
            let why = body["detail"].as_str().or(body["title"].as_str()).unwrap_or("no reason given");
            anyhow::ensure!(status.is_success(), "central answered {status}: {why}");
            Ok(body)
        })
    }
}
