//! What can be answered while no agent runs: the same requests with answers of the same shape, from the configuration, the
//! spool, the modems and the kernel.
//!
//! It only looks, [`Request::Reset`] excepted: sessions, addresses and routes that an agent left stay as they are. A modem
//! that does not answer hides nothing of the others.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::link::{Place, detected, memory_key, packet_statistics};
use super::recover::Climber;
use super::run::{EVENTS_BYTES, first_status, no_lte_interface, with_interface};
use super::slots::Roots;
use super::socket::Request;
use super::uplinks::circuit;
use crate::config::{Config, DeviceInterface, InterfaceType};
use crate::event::{LinkState, Rung};
use crate::link::memory::Stamped;
use crate::link::status::LinkStatus;
use crate::link::words::Identity;
use crate::modem::driver::{Driver, OpenOptions};
use crate::modem::port::Access;
use crate::modem::report::{self, LteState};
use crate::modem::sysfs::Slot;
use crate::net::kernel::Kernel;
use crate::net::state::{Route, TABLE, followed};
use crate::net::{Problem, way_out};
use crate::spool::Look;

/// How long one modem may take: one that hangs is told so.
const MODEM_DEADLINE: Duration = Duration::from_secs(60);

/// An answer.
pub struct Told {
    /// As an agent gives it.
    pub value: Value,
    /// What is missing in it, and why.
    pub missing: Vec<String>,
}

impl From<Value> for Told {
    fn from(value: Value) -> Self {
        Self { value, missing: Vec::new() }
    }
}

/// Answers in place of the agent of `config`.
///
/// # Errors
/// When only an agent can do it, there is no such link, or there is nothing to answer from.
pub async fn answer(config: &Config, roots: &Roots, request: &Request) -> anyhow::Result<Told> {
    match request {
        Request::Config => Ok(Value::String(config.to_marked_toml()).into()),
        Request::Events { limit } => events(config, *limit),
        Request::Links { name } => {
            let Found { links, missing, .. } = look(config, roots, name.as_deref()).await?;
            Ok(Told { value: serde_json::to_value(links)?, missing })
        }
        Request::Uplinks => uplinks(config, look(config, roots, None).await?),
        Request::Reset { name, at, force } => Ok(reset(config, roots, name, *at, *force).await?.into()),
        _ => anyhow::bail!(
            "only an agent does that: `systemctl start tandem-agent`, or `tandem agent`, starts one"
        ),
    }
}

fn events(config: &Config, limit: u32) -> anyhow::Result<Told> {
    let newest = Look::open(&config.spool.dir)?.newest(limit, EVENTS_BYTES)?;
    let values: Result<Vec<Value>, _> = newest.iter().map(|json| serde_json::from_str(json.get())).collect();
    // An agent keeps the last of them in memory.
    let missing = config.upload.to.iter().map(|_| "what central has already is told by --router".to_owned());
    Ok(Told { value: Value::Array(values?), missing: missing.collect() })
}

/// Nobody chooses: which uplinks carry traffic is what the kernel's default routes say.
fn uplinks(config: &Config, found: Found) -> anyhow::Result<Told> {
    let Found { mut links, routes, missing } = found;
    let mut problems =
        vec!["no agent runs: nobody chooses, the default route with the lowest metric counts".to_owned()];
    if routes.iter().any(|route| route.table == TABLE) {
        problems.push(
            "routes of an agent that was killed are still in force: `tandem handover` ends that".into(),
        );
    }
    for link in &mut links {
        let of_it = routes.iter().filter(|route| leads_over(route, &link.target_interface));
        if let Some(route) = of_it.min_by_key(|route| (route.table != TABLE, route.metric)) {
            link.state_cause += &format!("; default route with metric {}", route.metric);
        }
    }
    let carrying: Vec<_> = links.iter().filter(|link| link.carrying).map(|link| &link.name).collect();
    let value = json!({
        "policy": config.failover.policy,
        "carrying": carrying,
        "selected": null,
        "choice": null,
        "problems": problems,
        "uplinks": links,
    });
    Ok(Told { value, missing })
}

async fn reset(config: &Config, roots: &Roots, name: &str, at: bool, force: bool) -> anyhow::Result<Value> {
    let device = config
        .lte_interfaces()
        .find(|device| device.name == name)
        .with_context(|| no_lte_interface(config, name))?;
    if !force {
        way_out::ensure_other(&device.target_interface)?;
    }
    let climber = Climber {
        driver: None,
        slot: Place::of(device).find(&roots.slots()),
        options: opening(config, device, roots),
        sysfs: roots.sys.clone(),
        reboot: false,
    };
    let rung = if at { Rung::AtReset } else { Rung::QmiReset };
    climber.climb(rung).await.map_err(anyhow::Error::msg)?;
    Ok("the modem restarts".into())
}

/// What a look at everything gave.
struct Found {
    links: Vec<LinkStatus>,
    /// The kernel's default routes.
    routes: Vec<Route>,
    missing: Vec<String>,
}

/// Looks at all device-interfaces, or at the one of that name.
async fn look(config: &Config, roots: &Roots, name: Option<&str>) -> anyhow::Result<Found> {
    let all = &config.device_interfaces;
    let is_meant = |device: &&DeviceInterface| {
        name.is_none_or(|name| device.name == name || device.target_interface == name)
    };
    let devices: Vec<_> = all.iter().filter(is_meant).collect();
    if let Some(name) = name.filter(|_| devices.is_empty()) {
        let known: Vec<_> = all.iter().map(|device| device.name.as_str()).collect();
        anyhow::bail!("there is no device-interface {name}; there are: {}", known.join(", "));
    }
    let mut missing = Vec::new();
    let memories = memories(config, &devices, &mut missing);
    let slots = roots.slots();
    let modems = join_all(devices.iter().map(|device| modem(config, device, roots, &slots))).await;
    let unknown = |device: &&DeviceInterface| LinkStatus {
        state: LinkState::Unknown,
        state_cause: "the kernel does not say".into(),
        ..first_status(device)
    };
    let mut links: Vec<_> = devices.iter().map(unknown).collect();
    for ((link, modem), memory) in links.iter_mut().zip(modems).zip(memories) {
        if let Some(modem) = modem {
            tell_modem(link, modem, &mut missing);
            tell_memory(link, memory);
        }
    }
    let routes = match kernel(&devices, &mut links).await {
        Ok(routes) => routes,
        Err(problem) => {
            missing.push(problem.to_string());
            Vec::new()
        }
    };
    Ok(Found { links, routes, missing })
}

/// What the last agent remembered of each of `devices`.
fn memories(
    config: &Config,
    devices: &[&DeviceInterface],
    missing: &mut Vec<String>,
) -> Vec<Option<Stamped>> {
    let recall = |look: &Look, device: &DeviceInterface| {
        let text = look.recall(&memory_key(&device.name))?;
        anyhow::Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    };
    let look = Look::open(&config.spool.dir);
    let mut told = |why: String| missing.push(format!("earlier failures are not known: {why}"));
    match look {
        Ok(look) => devices
            .iter()
            .map(|device| {
                recall(&look, device).unwrap_or_else(|error| {
                    told(format!("{}: {error:#}", device.name));
                    None
                })
            })
            .collect(),
        Err(error) => {
            told(error.to_string());
            vec![None; devices.len()]
        }
    }
}

/// How a modem was found.
enum Modem {
    Absent,
    Silent(Slot, String),
    Answers(Box<(Slot, Identity, LteState)>),
}

/// Asks the modem of a device-interface; `None` where it is no modem.
async fn modem(config: &Config, device: &DeviceInterface, roots: &Roots, slots: &[Slot]) -> Option<Modem> {
    if device.kind != InterfaceType::Lte {
        return None;
    }
    let Some(slot) = Place::of(device).find(slots) else { return Some(Modem::Absent) };
    let asked = async {
        let (driver, _notices) = Driver::open(&slot, &opening(config, device, roots)).await?;
        let identity = driver.identity().await;
        let state = report::state(&driver).await;
        // A session that an agent left up for its next start stays.
        driver.close(true).await;
        anyhow::Ok((identity?, state))
    };
    let late = |_| Err(anyhow::anyhow!("no answer within {} s", MODEM_DEADLINE.as_secs()));
    Some(match timeout(MODEM_DEADLINE, asked).await.unwrap_or_else(late) {
        Ok((identity, state)) => Modem::Answers(Box::new((slot, identity, state))),
        Err(error) => Modem::Silent(slot, format!("{error:#}")),
    })
}

/// How to open it: for both families, or a look would end the session of the one that is not configured.
fn opening(config: &Config, device: &DeviceInterface, roots: &Roots) -> OpenOptions {
    let through_proxy = config.agent.qmi_proxy && roots.is_machine();
    OpenOptions {
        access: if through_proxy { Access::Auto } else { Access::Direct },
        state: Some(config.agent.state_dir.clone()),
        expected_imei: device.imei.clone(),
        serial: config.serial.clone(),
        ..OpenOptions::default()
    }
}

fn tell_modem(link: &mut LinkStatus, modem: Modem, missing: &mut Vec<String>) {
    let (state, cause) = match modem {
        Modem::Absent => (LinkState::Absent, "there is no modem".to_owned()),
        Modem::Silent(slot, why) => {
            link.modem = Some(detected(&slot, None));
            (LinkState::Stopped, format!("the modem cannot be asked: {why}"))
        }
        Modem::Answers(answers) => {
            let (slot, identity, state) = *answers;
            link.modem = Some(detected(&slot, Some(&identity)));
            let statistics = state.sessions.iter().find_map(|session| session.statistics.as_ref());
            link.packet_statistics = statistics.map(packet_statistics);
            (link.sim, link.registration, link.signal) = (state.sim, state.registration, state.signal);
            missing.extend(state.errors.iter().map(|(part, why)| format!("{}: {part}: {why}", link.name)));
            if state.connection_status == "connected" {
                link.settings = Some(state.settings);
                (LinkState::Connected, "session up".into())
            } else if let Some(why) = state.errors.get("sessions") {
                (LinkState::Stopped, format!("the modem does not say whether a session is up: {why}"))
            } else {
                (LinkState::Stopped, "no session, and no agent to dial".into())
            }
        }
    };
    (link.state, link.state_cause) = (state, cause);
}

/// The failures that an agent remembered, unless they are known to be of another SIM or APN. Nobody tries again by itself.
fn tell_memory(link: &mut LinkStatus, memory: Option<Stamped>) {
    let Some(Stamped { memory, last_failure_time, .. }) = memory else { return };
    let iccid = link.sim.as_ref().and_then(|sim| sim.iccid.as_ref());
    let is_other_sim = iccid.zip(memory.iccid.as_ref()).is_some_and(|(now, then)| now != then);
    if !is_other_sim && memory.apn_name == link.profile.apn {
        (link.failure, link.passing_failure) = (memory.failure, memory.passing);
        link.last_failure_time = last_failure_time;
    }
}

/// What the kernel says of each link. Gives its default routes.
async fn kernel(devices: &[&DeviceInterface], links: &mut [LinkStatus]) -> Result<Vec<Route>, Problem> {
    let unreadable =
        |error: std::io::Error| Problem::Unreadable { what: "routes".into(), reason: error.to_string() };
    let kernel = Kernel::open().map_err(unreadable)?;
    let routes = kernel.default_routes().await?;
    let followed = followed(&routes);
    for (link, device) in links.iter_mut().zip(devices) {
        let interface = kernel.device(&device.target_interface).await?;
        if device.kind == InterfaceType::Ethernet {
            link.settings = kernel.wired(&device.target_interface).await?;
            let (state, cause) = circuit(interface.as_ref(), link.settings.as_ref());
            (link.state, link.state_cause) = (state, cause.into());
        }
        if let Some(interface) = interface {
            with_interface(link, &interface);
        }
        link.carrying = followed.iter().any(|route| leads_over(route, &device.target_interface));
    }
    Ok(routes)
}

fn leads_over(route: &Route, device: &str) -> bool {
    route.hops.iter().any(|hop| hop.device == device)
}
