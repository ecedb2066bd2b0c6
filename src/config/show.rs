//! The configuration in force as a person reads it.

use std::collections::BTreeSet;

use super::{Config, Router};

/// Column at which marks begin, where a line is shorter.
const MARK_COLUMN: usize = 48;

impl Config {
    /// The effective configuration as TOML. Secrets are hidden, and in the sections beside the
    /// device-interfaces every value that is the default says so.
    #[must_use]
    pub fn to_marked_toml(&self) -> String {
        let router = Router { labels: std::collections::BTreeMap::new(), ..self.router.clone() };
        let defaults = Config::of_router(router).to_toml();
        let defaults: BTreeSet<_> =
            with_headers(&defaults).filter(|(header, _)| *header != "[router]").collect();
        let text = self.to_toml();
        let lines = with_headers(&text).map(|(header, line)| {
            let is_default = line.contains('=') && defaults.contains(&(header, line));
            if is_default { format!("{line:<MARK_COLUMN$} # default\n") } else { format!("{line}\n") }
        });
        lines.collect()
    }

    /// The configuration of a router without device-interfaces, everything else by default.
    fn of_router(router: Router) -> Self {
        Self {
            router,
            device_interfaces: Vec::new(),
            failover: Default::default(),
            probe: Default::default(),
            retry: Default::default(),
            recovery: Default::default(),
            sample: Default::default(),
            spool: Default::default(),
            upload: Default::default(),
            privacy: Default::default(),
            serial: Default::default(),
            agent: Default::default(),
        }
    }
}

/// Each line with the header of its table.
fn with_headers(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().scan("", |header, line| {
        if line.starts_with('[') {
            *header = line;
        }
        Some((*header, line))
    })
}
