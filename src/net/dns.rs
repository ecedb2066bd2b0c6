//! Hands the carriers' DNS servers to the host in the way that it uses.
//!
//! | the host has | we call |
//! |---|---|
//! | systemd-resolved behind `/etc/resolv.conf`, and `resolvectl` | `resolvectl dns`, `domain`, `default-route`; `revert` |
//! | `resolvconf` | `resolvconf -a DEVICE.tandem`; `-d` |
//! | neither | a file of our own, to link or to include |
//!
//! Withdrawn when a link goes down, kept at hand-over.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::program;
use super::words::{Problem, Settings, Wanted};
use crate::config::InterfaceType;

/// Servers that the C library reads from a file (`MAXNS`).
const FILE_SERVERS_MAX: usize = 3;

/// How the host wants to hear of DNS servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// systemd-resolved.
    Resolved,
    /// Any program that goes by the name of `resolvconf`.
    Resolvconf,
    /// A file of our own.
    File(PathBuf),
}

/// DNS servers of one link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// Servers, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Search domains.
    pub domains: Vec<String>,
    /// Whether traffic goes out here.
    pub carries: bool,
}

/// What the host shows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look<'a> {
    /// Text of `/etc/resolv.conf`.
    pub resolv_conf: &'a str,
    /// Whether `resolvectl` is installed.
    pub has_resolvectl: bool,
    /// Whether `resolvconf` is installed.
    pub has_resolvconf: bool,
}

/// The way for a host that looks like `look`.
#[must_use]
pub fn choose(look: Look<'_>, file: &Path) -> Way {
    let mut servers = look.resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let asks_resolved = servers.any(|server| ["127.0.0.53", "127.0.0.54"].contains(&server.trim()));
    match look {
        Look { has_resolvectl: true, .. } if asks_resolved => Way::Resolved,
        Look { has_resolvconf: true, .. } => Way::Resolvconf,
        _ => Way::File(file.to_owned()),
    }
}

/// The servers of each LTE uplink that is up, by interface. `None` while something is not known yet.
#[must_use]
pub fn servers(wanted: &Wanted) -> BTreeMap<String, Option<Servers>> {
    let lte = wanted.uplinks.iter().filter(|uplink| uplink.kind == InterfaceType::Lte);
    lte.filter_map(|uplink| {
        let servers = match &uplink.settings {
            Settings::Unknown => None,
            Settings::Down => return None,
            Settings::Up(settings) => {
                let v4 = settings.ipv4.iter().flat_map(|ipv4| &ipv4.dns).map(|server| IpAddr::V4(*server));
                let v6 = settings.ipv6.iter().flat_map(|ipv6| &ipv6.dns).map(|server| IpAddr::V6(*server));
                let domains = settings.domains.iter().filter(|domain| is_domain(domain)).cloned().collect();
                Some(Servers {
                    addresses: v4.chain(v6).collect(),
                    domains,
                    carries: uplink.carries.is_some(),
                })
            }
        };
        Some((uplink.device.clone(), servers))
    })
    .collect()
}

/// A name from the network goes to programs of the host: letters, digits, dots and hyphens alone.
fn is_domain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['-', '.'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
}

/// Our own file: servers of the uplinks that carry traffic first.
#[must_use]
pub fn file_text(all: &BTreeMap<String, Servers>) -> String {
    let mut links: Vec<_> = all.iter().collect();
    links.sort_by_key(|(_, servers)| !servers.carries);
    // One server of each link before the second of any: so the C library's three cover both.
    let longest = links.iter().map(|(_, servers)| servers.addresses.len()).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|turn| {
        links.iter().filter_map(move |(device, servers)| Some((device, servers.addresses.get(turn)?)))
    });
    let mut seen = Vec::new();
    let mut text = String::from("# Written by tandem from what the carriers gave.\n");
    for (device, server) in turns {
        if !seen.contains(server) && seen.len() < FILE_SERVERS_MAX {
            seen.push(*server);
            text += &format!("nameserver {server} # {device}\n");
        }
    }
    let domains: Vec<_> =
        links.iter().flat_map(|(_, servers)| &servers.domains).map(String::as_str).collect();
    if !domains.is_empty() {
        text += &format!("search {}\n", domains.join(" "));
    }
    text
}

/// What the host has been told.
#[derive(Debug)]
pub struct Dns {
    file: PathBuf,
    way: Option<Way>,
    told: BTreeMap<String, Servers>,
}

impl Dns {
    /// `file` is used where the host has no way of its own.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), way: None, told: BTreeMap::new() }
    }

    /// Tells the host what changed since the last call.
    ///
    /// # Errors
    /// [`Problem::Dns`]; what the host did not take is told again at the next call.
    pub async fn apply(&mut self, wanted: &Wanted) -> Result<(), Problem> {
        let servers = servers(wanted);
        let known: BTreeMap<_, _> =
            servers.iter().filter_map(|(device, servers)| Some((device.clone(), servers.clone()?))).collect();
        let gone: Vec<_> =
            self.told.keys().filter(|device| !servers.contains_key(*device)).cloned().collect();
        if gone.is_empty() && known.iter().all(|(device, servers)| self.told.get(device) == Some(servers)) {
            return Ok(());
        }
        let way = self.way.get_or_insert_with(|| look(&self.file)).clone();
        if let Way::File(file) = &way {
            if servers.values().any(Option::is_none) && file.exists() {
                return Ok(()); // it may hold servers of a link that is not known yet
            }
            write(file, &file_text(&known))
                .map_err(|error| Problem::Dns(format!("{}: {error}", file.display())))?;
            self.told = known;
            return Ok(());
        }
        for device in gone {
            withdraw(&way, &device).await?;
            self.told.remove(&device);
        }
        for (device, servers) in known {
            if self.told.get(&device) != Some(&servers) {
                hand(&way, &device, &servers).await?;
                self.told.insert(device, servers);
            }
        }
        Ok(())
    }
}

/// The host's resolver at its own pace: while it is slow to answer, traffic can be moved.
#[derive(Debug)]
pub enum Handing {
    /// All that was given is told, or was refused.
    Idle(Dns),
    /// The host is being told.
    Busy(JoinHandle<(Dns, Result<(), Problem>)>),
    /// Nobody will be told any more: a task ended that cannot end.
    Lost,
}

impl Handing {
    /// As [`Dns::apply`], but waits for the host no longer than `patience`. What is not done by then goes on by itself, and how it
    /// went is told by the next call, which also tells what has changed meanwhile.
    ///
    /// # Errors
    /// [`Problem::Dns`].
    pub async fn apply(&mut self, wanted: &Wanted, patience: Duration) -> Result<(), Problem> {
        let deadline = Instant::now() + patience;
        if let Self::Busy(_) = self {
            self.finish(deadline).await?;
        }
        match std::mem::replace(self, Self::Lost) {
            Self::Idle(mut dns) => {
                let wanted = wanted.clone();
                *self = Self::Busy(tokio::spawn(async move {
                    let result = dns.apply(&wanted).await;
                    (dns, result)
                }));
                self.finish(deadline).await
            }
            other => {
                *self = other;
                Ok(())
            }
        }
    }

    async fn finish(&mut self, deadline: Instant) -> Result<(), Problem> {
        let Self::Busy(task) = self else { return Ok(()) };
        let Ok(ended) = timeout_at(deadline, task).await else { return Ok(()) };
        let Ok((dns, result)) = ended else {
            *self = Self::Lost;
            return Ok(());
        };
        *self = Self::Idle(dns);
        result
    }
}

fn look(file: &Path) -> Way {
    let resolv_conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let look = Look {
        resolv_conf: &resolv_conf,
        has_resolvectl: is_installed("resolvectl"),
        has_resolvconf: is_installed("resolvconf"),
    };
    choose(look, file)
}

fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

async fn hand(way: &Way, device: &str, servers: &Servers) -> Result<(), Problem> {
    let addresses: Vec<_> = servers.addresses.iter().map(ToString::to_string).collect();
    match way {
        Way::Resolved => {
            let strings =
                |first: &str, rest: &[String]| [&[first.to_owned(), device.to_owned()], rest].concat();
            let empty = [String::new()];
            let or_empty = |list: &[String]| if list.is_empty() { empty.to_vec() } else { list.to_vec() };
            run("resolvectl", &strings("dns", &or_empty(&addresses)), "").await?;
            run("resolvectl", &strings("domain", &or_empty(&servers.domains)), "").await?;
            let default = if servers.carries { "yes" } else { "no" };
            run("resolvectl", &strings("default-route", &[default.to_owned()]), "").await
        }
        Way::Resolvconf => {
            let mut text: String = addresses.iter().map(|server| format!("nameserver {server}\n")).collect();
            if !servers.domains.is_empty() {
                text += &format!("search {}\n", servers.domains.join(" "));
            }
            run("resolvconf", &["-a".into(), format!("{device}.tandem")], &text).await
        }
        Way::File(_) => Ok(()),
    }
}

async fn withdraw(way: &Way, device: &str) -> Result<(), Problem> {
    match way {
        // resolved forgets an interface that is gone by itself.
        Way::Resolved if !Path::new("/sys/class/net").join(device).exists() => Ok(()),
        Way::Resolved => run("resolvectl", &["revert".into(), device.to_owned()], "").await,
        Way::Resolvconf => run("resolvconf", &["-d".into(), format!("{device}.tandem")], "").await,
        Way::File(_) => Ok(()),
    }
}

async fn run(program: &str, arguments: &[String], input: &str) -> Result<(), Problem> {
    let done = program::run(program, arguments, input).await;
    done.map(drop).map_err(|error| Problem::Dns(format!("{program}: {error}")))
}

/// Whole or not at all: a resolver may read at any time.
fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = file.with_extension("new");
    fs::write(&fresh, text)?;
    fs::rename(&fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(addresses: &[[u8; 4]], carries: bool) -> Servers {
        Servers { addresses: addresses.iter().map(|a| IpAddr::from(*a)).collect(), domains: vec![], carries }
    }

    #[test]
    fn the_way_follows_from_what_the_host_has() {
        let file = Path::new("/run/tandem/resolv.conf");
        let stub = "# stub\nnameserver 127.0.0.53\noptions edns0\n";
        let ours = Way::File(file.to_owned());
        for (resolv_conf, has_resolvectl, has_resolvconf, way) in [
            (stub, true, false, Way::Resolved),
            (stub, true, true, Way::Resolved),
            (stub, false, true, Way::Resolvconf),
            ("nameserver 192.168.1.1", true, true, Way::Resolvconf),
            ("nameserver 192.168.1.1", true, false, ours.clone()),
            ("#nameserver 127.0.0.53", true, false, ours.clone()),
            ("", false, false, ours),
        ] {
            assert_eq!(
                choose(Look { resolv_conf, has_resolvectl, has_resolvconf }, file),
                way,
                "{resolv_conf}"
            );
        }
    }

    #[test]
    fn our_file_names_first_who_carries_and_both_links_within_three() {
        let all = BTreeMap::from([
            ("wwan0".into(), servers(&[[10, 0, 0, 1], [10, 0, 0, 2]], false)),
            (
                "wwan1".into(),
                Servers {
                    domains: vec!["example.net".into()],
                    ..servers(&[[9, 9, 9, 9], [10, 0, 0, 1]], true)
                },
            ),
        ]);
        let expected = "# Written by tandem from what the carriers gave.\n\
            nameserver 9.9.9.9 # wwan1\nnameserver 10.0.0.1 # wwan0\nnameserver 10.0.0.2 # wwan0\nsearch example.net\n";
        assert_eq!(file_text(&all), expected);
    }

    #[test]
    fn a_domain_from_the_network_cannot_be_an_option_or_a_second_line() {
        for (name, good) in
            [("lte.example.net", true), ("-x", false), ("a\nnameserver 6.6.6.6", false), ("", false)]
        {
            assert_eq!(is_domain(name), good, "{name:?}");
        }
    }
}
