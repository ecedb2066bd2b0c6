//! Rules that types cannot say. Problems stop a configuration; warnings do not.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::report::{Problem, Step, is_hidden};
use super::{Config, DeviceInterface, InterfaceType, LEGACY_METRIC, Secret};
use crate::event::Rung;

/// Something that will happen and that the author may not expect.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    /// What, and what to do about it.
    pub message: String,
    /// The object it concerns, outermost first: kind and name.
    pub path: Vec<(&'static str, String)>,
}

impl fmt::Display for Warning {
    /// The message, then one line for each step of the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.path.iter().try_for_each(|(kind, name)| write!(f, "\n   {kind} {name}"))
    }
}

/// Every broken rule, in the order of the file.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Findings::default();
    for (index, device) in config.device_interfaces.iter().enumerate() {
        device_interface(device, index, &mut found);
    }
    uniqueness(config, &mut found);
    sections(config, &mut found);
    found.0
}

#[derive(Default)]
struct Findings(Vec<Problem>);

impl Findings {
    fn add(&mut self, path: &[Step], message: impl Into<String>) {
        self.0.push(Problem { path: path.to_vec(), message: message.into(), related: None });
    }

    fn add_if(&mut self, broken: bool, path: &[Step], message: impl Into<String>) {
        if broken {
            self.add(path, message);
        }
    }
}

use Step::{Index, Key};

/// Names end up in paths, topics and shell commands.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && name.chars().any(|c| c.is_ascii_alphanumeric())
}

fn name_rule(what: &str) -> String {
    format!("{what} needs 1 to 63 letters, digits, `-`, `_` or `.`")
}

fn device_interface(device: &DeviceInterface, index: usize, found: &mut Findings) {
    let root = [Key("device-interface"), Index(index)];
    let at = |key| [root[0], root[1], Key(key)];
    found.add_if(!is_name(&device.name), &at("name"), name_rule("the name of a device-interface"));
    // Linux: IFNAMSIZ, and no slash or white space (dev_valid_name).
    let target = &device.target_interface;
    found.add_if(
        target.is_empty() || target.len() > 15 || target.contains(['/', ':']) || target.contains(char::is_whitespace),
        &at("target-interface"),
        "a Linux interface name has 1 to 15 characters without `/`, `:` and white space; `tandem discover` lists them",
    );
    found.add_if(!(1..=256).contains(&device.weight), &at("weight"), "weight must be 1 to 256");
    if let Some(imei) = &device.imei {
        let valid = imei.len() == 15 && imei.bytes().all(|byte| byte.is_ascii_digit());
        found.add_if(!valid, &at("imei"), "an IMEI has 15 digits");
    }
    if let Some(iccid) = &device.iccid {
        let valid = (18..=20).contains(&iccid.len()) && iccid.bytes().all(|byte| byte.is_ascii_digit());
        found.add_if(!valid, &at("iccid"), "an ICCID has 18 to 20 digits");
    }
    if let Some(plan) = &device.data_plan {
        let inside = |key| [root[0], root[1], Key("data-plan"), Key(key)];
        found.add_if(plan.limit_bytes == 0, &inside("limit"), "a data plan of nothing: leave data-plan out");
        found.add_if(!(1..=28).contains(&plan.cycle_day), &inside("cycle-day"), "cycle-day must be 1 to 28");
    }
    match (device.kind, &device.lte) {
        (InterfaceType::Lte, None) => {
            found.add(&root, "a device-interface of type lte needs lte = { apn-name = \"…\" }")
        }
        (InterfaceType::Ethernet, Some(_)) => {
            found.add(&at("lte"), "a device-interface of type ethernet has no lte settings");
        }
        (InterfaceType::Lte, Some(_)) => lte(device, index, found),
        (InterfaceType::Ethernet, None) => {}
    }
    network_interfaces(device, index, found);
}

fn lte(device: &DeviceInterface, index: usize, found: &mut Findings) {
    let Some(lte) = &device.lte else { return };
    let root = [Key("device-interface"), Index(index), Key("lte")];
    let at = |key| [root[0], root[1], root[2], Key(key)];
    // 3GPP TS 23.003 section 9.1: at most 100 octets.
    let apn = &lte.apn_name;
    found.add_if(
        apn.is_empty() || apn.len() > 100 || !apn.chars().all(|c| c.is_ascii_graphic()),
        &at("apn-name"),
        "an APN has 1 to 100 printable characters without spaces; ask the carrier for it",
    );
    found.add_if(
        lte.profile.is_some_and(|n| !(1..=24).contains(&n)),
        &at("profile"),
        "profile must be 1 to 24",
    );
    found.add_if(
        lte.pin.is_some() && lte.pin_file.is_some(),
        &at("pin-file"),
        "pin and pin-file exclude each other",
    );
    if let Some(pin) = &lte.pin {
        hidden(pin, &at("pin"), found);
        // 3GPP TS 31.101 section 9.5.1: 4 to 8 decimal digits.
        let valid = (4..=8).contains(&pin.reveal().len()) && pin.reveal().bytes().all(|b| b.is_ascii_digit());
        found.add_if(!valid && !is_hidden(pin), &at("pin"), "a PIN has 4 to 8 digits");
    }
    if let Some(authentication) = &lte.authentication {
        let inside = |key| [root[0], root[1], root[2], Key("authentication"), Key(key)];
        found.add_if(
            authentication.password.is_some() && authentication.password_file.is_some(),
            &inside("password-file"),
            "password and password-file exclude each other",
        );
        if let Some(password) = &authentication.password {
            hidden(password, &inside("password"), found);
        }
    }
}

fn hidden(secret: &Secret, path: &[Step], found: &mut Findings) {
    let message = "this is how a secret is printed, not the secret itself; write the secret or name a file";
    found.add_if(is_hidden(secret), path, message);
}

fn network_interfaces(device: &DeviceInterface, index: usize, found: &mut Findings) {
    let root = [Key("device-interface"), Index(index)];
    if device.kind == InterfaceType::Lte && device.network_interfaces.is_empty() {
        found.add(&root, "a device-interface of type lte needs one [[device-interface.network-interface]]");
    }
    for (n, network) in device.network_interfaces.iter().enumerate() {
        let path = [root[0], root[1], Key("network-interface"), Index(n)];
        found.add_if(n > 0, &path, "a device-interface has one network-interface only");
        let name = [path[0], path[1], path[2], path[3], Key("name")];
        found.add_if(!is_name(&network.name), &name, name_rule("the name of a network-interface"));
    }
}

/// Names, Linux interfaces, AT ports and modems belong to one device-interface each.
fn uniqueness(config: &Config, found: &mut Findings) {
    type Part = fn(&DeviceInterface) -> Option<String>;
    let unique: [(&'static str, Part); 5] = [
        ("name", |device| Some(device.name.clone())),
        ("target-interface", |device| Some(device.target_interface.clone())),
        ("usb-port", |device| device.usb_port.as_ref().map(|port| port.display().to_string())),
        ("imei", |device| device.imei.clone()),
        ("iccid", |device| device.iccid.clone()),
    ];
    for (key, part) in unique {
        let values: Vec<_> = config.device_interfaces.iter().map(part).collect();
        for (index, value) in values.iter().enumerate() {
            let first = values[..index].iter().position(|earlier| earlier == value);
            if let (Some(value), Some(first)) = (value, first) {
                found.0.push(Problem {
                    path: vec![Key("device-interface"), Index(index), Key(key)],
                    message: format!("two device-interfaces have the {key} `{value}`"),
                    related: Some((vec![Key("device-interface"), Index(first), Key(key)], "used here first")),
                });
            }
        }
    }
    let networks: Vec<(usize, usize, &str)> = config
        .device_interfaces
        .iter()
        .enumerate()
        .flat_map(|(i, d)| {
            d.network_interfaces.iter().enumerate().map(move |(n, net)| (i, n, net.name.as_str()))
        })
        .collect();
    let path = |(i, n, _): (usize, usize, &str)| {
        vec![Key("device-interface"), Index(i), Key("network-interface"), Index(n), Key("name")]
    };
    for (at, network) in networks.iter().enumerate() {
        if let Some(first) = networks[..at].iter().find(|earlier| earlier.2 == network.2) {
            found.0.push(Problem {
                path: path(*network),
                message: format!("two network-interfaces have the name `{}`", network.2),
                related: Some((path(*first), "used here first")),
            });
        }
    }
}

fn sections(config: &Config, found: &mut Findings) {
    let waits: [(&str, &str, Duration); 10] = [
        ("failover", "flap-window", config.failover.flap_window),
        ("probe", "heartbeat", config.probe.heartbeat),
        ("probe", "burst-interval", config.probe.burst_interval),
        ("probe", "timeout", config.probe.timeout),
        ("sample", "signal-interval", config.sample.signal_interval),
        ("sample", "traffic-interval", config.sample.traffic_interval),
        ("sample", "probe-interval", config.sample.probe_interval),
        ("sample", "agent-interval", config.sample.agent_interval),
        ("upload", "batch-interval", config.upload.batch_interval),
        ("serial", "timeout", config.serial.timeout),
    ];
    for (section, key, wait) in waits {
        let short = wait < Duration::from_millis(100);
        found.add_if(short, &[Key(section), Key(key)], format!("{key} must be 100ms at least"));
    }
    let counts = [
        ("failover", "recovery-count", config.failover.recovery_count),
        ("probe", "burst-count", config.probe.burst_count),
        ("recovery", "attempts-per-rung", config.recovery.attempts_per_rung),
        ("serial", "baud-rate", config.serial.baud_rate),
    ];
    for (section, key, count) in counts {
        found.add_if(count == 0, &[Key(section), Key(key)], format!("{key} must be 1 at least"));
    }
    found.add_if(
        config.probe.burst_count > 20,
        &[Key("probe"), Key("burst-count")],
        "burst-count must be 20 at most",
    );
    retry(config, found);
    for (index, rung) in config.recovery.rungs.iter().enumerate() {
        let path = [Key("recovery"), Key("rungs"), Index(index)];
        let rungs = "redial, radio-cycle, qmi-reset, at-reset, usb-power, reboot";
        found.add_if(*rung == Rung::Unknown, &path, format!("no such rung; there are {rungs}"));
        found.add_if(config.recovery.rungs[..index].contains(rung), &path, "each rung stands once");
    }
    found.add_if(
        config.spool.max_size_bytes < 1 << 20,
        &[Key("spool"), Key("max-size")],
        "the spool needs 1MiB at least",
    );
    upload(config, found);
}

fn retry(config: &Config, found: &mut Findings) {
    let retry = &config.retry;
    let classes = [
        ("passing", &retry.passing),
        ("network-busy", &retry.network_busy),
        ("subscription", &retry.subscription),
        ("family-limits", &retry.family_limits),
        ("throttled", &retry.throttled),
        ("stale-state", &retry.stale_state),
        ("control-channel", &retry.control_channel),
    ];
    for (class, waits) in classes {
        let path = [Key("retry"), Key(class)];
        // The last wait repeats for ever: a short one would hammer the carrier.
        let ends_fast = waits.last().is_none_or(|wait| *wait < Duration::from_secs(1));
        found.add_if(ends_fast, &path, "the last wait repeats and must be 1s at least");
    }
    found.add_if(
        retry.jitter_percent > 50,
        &[Key("retry"), Key("jitter-percent")],
        "jitter-percent must be 0 to 50",
    );
}

fn upload(config: &Config, found: &mut Findings) {
    let upload = &config.upload;
    let at = |key| [Key("upload"), Key(key)];
    if let Some(to) = &upload.to {
        let schemes = ["https://", "http://", "kafka://"];
        let host = schemes.into_iter().find_map(|scheme| to.strip_prefix(scheme));
        let valid = host.is_some_and(|host| {
            !host.is_empty() && !host.starts_with(['/', ':']) && host.chars().all(|c| c.is_ascii_graphic())
        });
        found.add_if(
            !valid,
            &at("to"),
            "expected an address like https://central.example.net, or kafka://broker:9092",
        );
    }
    found.add_if(
        upload.token.is_some() && upload.token_file.is_some(),
        &at("token-file"),
        "token and token-file exclude each other",
    );
    if let Some(token) = &upload.token {
        hidden(token, &at("token"), found);
    }
    match (&upload.cert_file, &upload.key_file) {
        (Some(_), None) => found.add(&at("cert-file"), "cert-file needs key-file beside it"),
        (None, Some(_)) => found.add(&at("key-file"), "key-file needs cert-file beside it"),
        _ => {}
    }
}

/// What the author should know, in the order to be numbered.
pub(super) fn warnings(config: &Config) -> Vec<Warning> {
    let router = ("router", config.router.name.to_string());
    let mut warnings = Vec::new();
    for device in config.device_interfaces.iter().filter(|device| device.legacy_default_route()) {
        warnings.push(Warning {
            message: format!(
                "Neither default-route = true nor a management-vector with a name is set: when the agent stops, \
                 a default route with metric {LEGACY_METRIC} will be left on {}. To disable this, set \
                 default-route = false and give the management-vector a name.",
                device.target_interface
            ),
            path: path_of(&router, device),
        });
    }
    let mut seen = BTreeSet::new();
    for device in &config.device_interfaces {
        if !seen.insert(device.priority()) {
            warnings.push(Warning {
                message: format!(
                    "Priority {} is used by another uplink as well: which of them comes first depends on their \
                     order in the file.",
                    device.priority()
                ),
                path: path_of(&router, device),
            });
        }
    }
    if config.device_interfaces.is_empty() {
        warnings.push(Warning {
            message: "No device-interface is configured: the agent has nothing to keep online.".into(),
            path: vec![router.clone()],
        });
    }
    let addresses: BTreeSet<_> = config.probe.targets.iter().map(|target| target.address).collect();
    if addresses.len() < 2 {
        warnings.push(Warning {
            message: "With fewer than two probe targets, a dead target looks like a dead link.".into(),
            path: vec![router.clone(), ("section", "probe".into())],
        });
    }
    if config.retry.throttled.iter().any(|wait| *wait < Duration::from_secs(12 * 60)) {
        warnings.push(Warning {
            message: "A throttled modem is dialled again in less than 12 minutes: each try may prolong the throttling."
                .into(),
            path: vec![router.clone(), ("section", "retry".into())],
        });
    }
    if config.upload.to.as_deref().is_some_and(|to| to.starts_with("http://") && !is_loopback(to)) {
        warnings.push(Warning {
            message: "Events and token travel in clear text. To disable this, write https:// in upload.to."
                .into(),
            path: vec![router.clone(), ("section", "upload".into())],
        });
    }
    let is_clear = |to: &str| !to.contains("security.protocol=") && !is_loopback(to);
    let secured = config.upload.ca_file.is_some() || config.upload.token.is_some();
    if config.upload.to.as_deref().is_some_and(|to| to.starts_with("kafka://") && is_clear(to))
        && !(secured || config.upload.token_file.is_some())
    {
        warnings.push(Warning {
            message: "Events travel to the brokers in clear text. To disable this, add ?security.protocol=SSL to upload.to."
                .into(),
            path: vec![router, ("section", "upload".into())],
        });
    }
    warnings
}

fn path_of(router: &(&'static str, String), device: &DeviceInterface) -> Vec<(&'static str, String)> {
    let mut path = vec![router.clone(), ("device-interface", device.name.clone())];
    path.extend(device.network_interface().map(|network| ("network-interface", network.name.clone())));
    path
}

fn is_loopback(to: &str) -> bool {
    let host = ["http://", "kafka://"].iter().find_map(|scheme| to.strip_prefix(scheme));
    host.is_some_and(|host| ["127.", "localhost", "[::1]"].iter().any(|prefix| host.starts_with(prefix)))
}
