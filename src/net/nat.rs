//! Source NAT and the marks of flows: one nftables table, replaced in one transaction.
//!
//! The text follows from the configuration alone, not from which uplinks carry traffic. So a switch never waits for `nft`
//! (some 20 ms), and a router that hands over keeps its NAT: to take it away would reset every connection of its clients.
//!
//! ```text
//! prerouting   a flow that comes in over an uplink is marked with it; a packet of a marked flow from elsewhere takes its mark
//! output       so do the router's own packets, and are routed again
//! postrouting  a flow without mark takes that of the uplink it leaves by
//! source_nat   and there the address of the interface
//! ```
//!
//! The mark decides in `ip rule`, and there only while the uplink carries traffic. Other bits of the mark are left alone.

use std::io;

use super::program;
use super::state::MARK_MASK;
use super::words::{Problem, Uplink, Wanted};

/// Our table.
pub const TABLE: &str = "tandem";

/// The ruleset as text for `nft -f -`; takes the place of what our table held before.
#[must_use]
pub fn ruleset(wanted: &Wanted) -> String {
    let uplinks: Vec<_> = wanted.uplinks.iter().filter(|uplink| is_plain(&uplink.device)).collect();
    if uplinks.is_empty() {
        return removal();
    }
    let names = |some: &[&&Uplink]| {
        let names: Vec<_> = some.iter().map(|uplink| format!("\"{}\"", uplink.device)).collect();
        format!("{{ {} }}", names.join(", "))
    };
    let keep = !MARK_MASK;
    let mark_flow = |way: &str, uplink: &Uplink| {
        let (device, mark) = (&uplink.device, uplink.mark());
        format!(
            "{way} \"{device}\" ct mark & {MARK_MASK:#010x} == 0 ct mark set ct mark & {keep:#010x} | {mark:#010x}"
        )
    };
    let mark_packet = |uplink: &Uplink| {
        let mark = uplink.mark();
        format!(
            "ct mark & {MARK_MASK:#010x} == {mark:#010x} meta mark set meta mark & {keep:#010x} | {mark:#010x}"
        )
    };
    let all: Vec<_> = uplinks.iter().collect();
    let elsewhere = format!("iifname != {}", names(&all));
    let incoming = uplinks.iter().map(|uplink| mark_flow("iifname", uplink));
    let incoming =
        incoming.chain(uplinks.iter().map(|uplink| format!("{elsewhere} {}", mark_packet(uplink))));
    let outgoing = uplinks.iter().map(|uplink| mark_flow("oifname", uplink));
    let hidden: Vec<_> = uplinks.iter().filter(|uplink| uplink.source_nat).collect();
    let mut text = removal() + &format!("table inet {TABLE} {{\n");
    text += &chain("prerouting", "filter hook prerouting priority mangle", incoming);
    text += &chain(
        "output",
        "route hook output priority mangle",
        uplinks.iter().map(|uplink| mark_packet(uplink)),
    );
    text += &chain("postrouting", "filter hook postrouting priority mangle", outgoing);
    if !hidden.is_empty() {
        let rule = format!("oifname {} masquerade", names(&hidden));
        text += &chain("source_nat", "nat hook postrouting priority srcnat", [rule].into_iter());
    }
    text + "}\n"
}

fn chain(name: &str, head: &str, rules: impl Iterator<Item = String>) -> String {
    let rules: String = rules.map(|rule| format!("\t\t{rule}\n")).collect();
    format!("\tchain {name} {{\n\t\ttype {head}; policy accept;\n{rules}\t}}\n")
}

/// Takes our table away.
fn removal() -> String {
    // To delete a table that is not there is an error; to add one that is there is none.
    format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")
}

/// A name that needs no quoting; `nft` knows no escapes, and `*` would be a pattern.
fn is_plain(device: &str) -> bool {
    !device.is_empty() && device.chars().all(|c| c.is_ascii_alphanumeric() || "._-@+".contains(c))
}

/// What is in force, as far as we know.
#[derive(Debug, Default)]
pub struct Nat {
    /// Text last given to `nft`.
    applied: Option<String>,
    /// The table as `nft` listed it right after.
    listing: Option<String>,
}

impl Nat {
    /// Whether `wanted` asks for another ruleset than the one in force.
    #[must_use]
    pub fn is_due(&self, wanted: &Wanted) -> bool {
        self.applied.as_deref() != Some(&ruleset(wanted))
    }

    /// Puts the ruleset in force where it is due.
    ///
    /// # Errors
    /// [`Problem::Nat`]; tried again at the next call.
    pub async fn apply(&mut self, wanted: &Wanted) -> Result<(), Problem> {
        if let Some(uplink) = wanted.uplinks.iter().find(|uplink| !is_plain(&uplink.device)) {
            return Err(Problem::Nat(format!("{:?} is no name that nft can be told", uplink.device)));
        }
        if !self.is_due(wanted) {
            return Ok(());
        }
        let text = ruleset(wanted);
        self.applied = None;
        nft(&["-f", "-"], &text).await?;
        self.listing = Some(list().await?);
        self.applied = Some(text);
        Ok(())
    }

    /// Looks whether the table is still as it was put; if not, it is due again.
    pub async fn look(&mut self) {
        if self.applied.is_some() && list().await.ok() != self.listing {
            self.applied = None;
        }
    }
}

/// Takes our table away; fine when there is none.
///
/// # Errors
/// [`Problem::Nat`].
pub async fn remove() -> Result<(), Problem> {
    nft(&["-f", "-"], &removal()).await.map(drop)
}

/// Our table, in the words of `nft`; empty when there is none.
///
/// # Errors
/// [`Problem::Nat`].
pub async fn list() -> Result<String, Problem> {
    match nft(&["list", "table", "inet", TABLE], "").await {
        Err(Problem::Nat(reason)) if reason.contains("No such file or directory") => Ok(String::new()),
        other => other,
    }
}

async fn nft(arguments: &[&str], input: &str) -> Result<String, Problem> {
    program::run("nft", arguments, input).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Problem::Nat("the program nft is not installed".into()),
        _ => Problem::Nat(format!("nft: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::InterfaceType;
    use crate::net::words::Settings;

    fn uplink(index: u8, device: &str, source_nat: bool) -> Uplink {
        Uplink {
            name: device.into(),
            device: device.into(),
            kind: InterfaceType::Lte,
            index,
            settings: Settings::Down,
            handover_metric: None,
            source_nat,
            carries: None,
        }
    }

    #[test]
    fn two_links_of_which_one_hides_its_clients() {
        let wanted =
            Wanted { uplinks: vec![uplink(1, "wwp0s21u1i8", true), uplink(250, "enp4s0f0.7", false)] };
        let expected = "\
add table inet tandem
delete table inet tandem
table inet tandem {
\tchain prerouting {
\t\ttype filter hook prerouting priority mangle; policy accept;
\t\tiifname \"wwp0s21u1i8\" ct mark & 0x00ff0000 == 0 ct mark set ct mark & 0xff00ffff | 0x00010000
\t\tiifname \"enp4s0f0.7\" ct mark & 0x00ff0000 == 0 ct mark set ct mark & 0xff00ffff | 0x00fa0000
\t\tiifname != { \"wwp0s21u1i8\", \"enp4s0f0.7\" } ct mark & 0x00ff0000 == 0x00010000 meta mark set meta mark & 0xff00ffff | 0x00010000
\t\tiifname != { \"wwp0s21u1i8\", \"enp4s0f0.7\" } ct mark & 0x00ff0000 == 0x00fa0000 meta mark set meta mark & 0xff00ffff | 0x00fa0000
\t}
\tchain output {
\t\ttype route hook output priority mangle; policy accept;
\t\tct mark & 0x00ff0000 == 0x00010000 meta mark set meta mark & 0xff00ffff | 0x00010000
\t\tct mark & 0x00ff0000 == 0x00fa0000 meta mark set meta mark & 0xff00ffff | 0x00fa0000
\t}
\tchain postrouting {
\t\ttype filter hook postrouting priority mangle; policy accept;
\t\toifname \"wwp0s21u1i8\" ct mark & 0x00ff0000 == 0 ct mark set ct mark & 0xff00ffff | 0x00010000
\t\toifname \"enp4s0f0.7\" ct mark & 0x00ff0000 == 0 ct mark set ct mark & 0xff00ffff | 0x00fa0000
\t}
\tchain source_nat {
\t\ttype nat hook postrouting priority srcnat; policy accept;
\t\toifname { \"wwp0s21u1i8\" } masquerade
\t}
}
";
        assert_eq!(ruleset(&wanted), expected);
    }

    #[test]
    fn the_text_does_not_depend_on_who_carries_traffic() {
        let mut wanted = Wanted { uplinks: vec![uplink(1, "wwan0", true), uplink(2, "wwan1", true)] };
        let before = ruleset(&wanted);
        wanted.uplinks[0].carries = Some(7);
        wanted.uplinks[1].settings = Settings::Unknown;
        assert_eq!(ruleset(&wanted), before);
    }

    #[test]
    fn no_uplink_no_table_and_no_name_can_break_out() {
        assert_eq!(ruleset(&Wanted::default()), removal());
        for name in ["", "a\"b", "wwan*", "a;b", "a b", "a\n"] {
            assert_eq!(ruleset(&Wanted { uplinks: vec![uplink(1, name, true)] }), removal(), "{name:?}");
        }
    }
}
