//! `tandem config`: check, commit, confirm and import configurations.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::output::print;
use crate::config::import::import;
use crate::config::{Checked, Config, Warning};

/// Configuration of a router.
#[derive(clap::Args)]
pub struct ConfigArguments {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(clap::Subcommand)]
enum ConfigCommand {
    /// Say what is wrong with a configuration, or that nothing is.
    Check {
        /// File to check; `-` reads standard input.
        file: PathBuf,
    },
    /// Print a configuration with everything that goes without saying; secrets are hidden.
    Show {
        /// File to read.
        #[arg(default_value = crate::config::DEFAULT_PATH)]
        file: PathBuf,
    },
    /// Print Session Smart Router configuration text as a configuration of ours.
    Import {
        /// File to read; `-` reads standard input.
        file: PathBuf,
        /// Name of the router, where the text names none or several.
        #[arg(long, value_name = "NAME")]
        router: Option<String>,
    },
    #[cfg(feature = "agent")]
    Commit(commit::CommitArguments),
    #[cfg(feature = "agent")]
    Confirm(commit::ConfirmArguments),
}

/// Runs `tandem config`.
///
/// # Errors
/// When a file cannot be read or written. A configuration with errors is an exit code, its report goes to
/// standard error.
pub fn run(arguments: &ConfigArguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        ConfigCommand::Check { file } => check(file),
        ConfigCommand::Show { file } => {
            print(show(file)?.trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
        ConfigCommand::Import { file, router } => import_file(file, router.as_deref()),
        #[cfg(feature = "agent")]
        ConfigCommand::Commit(arguments) => commit::commit(arguments),
        #[cfg(feature = "agent")]
        ConfigCommand::Confirm(arguments) => commit::confirm(arguments),
    }
}

/// The configuration in the file `path` as `show config` prints it: defaults marked, secrets hidden.
///
/// # Errors
/// When it cannot be read or has errors.
pub fn show(path: &Path) -> anyhow::Result<String> {
    let text = read(path)?;
    Ok(Config::parse(&text, &path.display().to_string())?.config.to_marked_toml())
}

/// The configuration in the file `path`.
///
/// # Errors
/// When it cannot be read or has errors.
#[cfg(feature = "agent")]
pub fn load(path: &Path) -> anyhow::Result<Config> {
    let checked = Config::parse(&read(path)?, &path.display().to_string());
    Ok(checked.with_context(|| format!("{} is not valid", path.display()))?.config)
}

fn check(file: &Path) -> anyhow::Result<ExitCode> {
    let Some(checked) = parse(&read(file)?, file) else { return Ok(ExitCode::FAILURE) };
    print(&format!("{}{}: no errors", numbered(&checked.warnings), file.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn import_file(file: &Path, router: Option<&str>) -> anyhow::Result<ExitCode> {
    let imported = match import(&read(file)?, &file.display().to_string(), router) {
        Ok(imported) => imported,
        Err(error) => {
            eprintln!("{error}");
            return Ok(ExitCode::FAILURE);
        }
    };
    print(imported.toml.trim_end())?;
    imported.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    let usable = parse(&imported.toml, Path::new("<imported>")).is_some();
    Ok(if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The configuration, or its errors on standard error.
fn parse(text: &str, file: &Path) -> Option<Checked> {
    let parsed = Config::parse(text, &file.display().to_string());
    parsed.map_err(|error| eprintln!("{error}")).ok()
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The warnings, numbered, each with the path of its object.
fn numbered(warnings: &[Warning]) -> String {
    warnings.iter().enumerate().fold(String::new(), |mut text, (index, warning)| {
        let _ = writeln!(text, "{}. {warning}", index + 1);
        text
    })
}

#[cfg(feature = "agent")]
mod commit {
    use std::io::{self, BufRead as _, Write as _};
    use std::path::PathBuf;
    use std::process::ExitCode;
    use std::time::Duration;

    use anyhow::Context as _;

    use super::super::ask::AgentSocket;
    use super::super::output::print;
    use super::{numbered, parse, read};
    use crate::agent::config_file::{ConfigFile, Settled, boot_time};
    use crate::agent::socket::Request;
    use crate::config::pending::Pending;
    use crate::config::{self, Changes, Config};

    /// Put a configuration in force.
    #[derive(clap::Args)]
    pub struct CommitArguments {
        /// The candidate.
        file: PathBuf,
        /// Configuration to replace.
        #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
        to: PathBuf,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Return to the old configuration unless `tandem config confirm` follows within this time.
        #[arg(long, value_name = "TIME", value_parser = window)]
        confirmed: Option<Duration>,
        #[command(flatten)]
        agent: AgentSocket,
    }

    /// Confirm what was committed with `--confirmed`.
    #[derive(clap::Args)]
    pub struct ConfirmArguments {
        /// Configuration that was replaced.
        #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
        to: PathBuf,
        #[command(flatten)]
        agent: AgentSocket,
    }

    fn window(text: &str) -> Result<Duration, String> {
        let window = config::parse_duration(text)?;
        let sensible = (10..=24 * 3600).contains(&window.as_secs());
        if sensible { Ok(window) } else { Err("10 s at least and 24 hours at most".into()) }
    }

    pub fn commit(arguments: &CommitArguments) -> anyhow::Result<ExitCode> {
        let candidate = read(&arguments.file)?;
        let Some(checked) = parse(&candidate, &arguments.file) else {
            eprintln!("nothing is committed");
            return Ok(ExitCode::FAILURE);
        };
        let file = ConfigFile::new(&arguments.to);
        settle(&file)?;
        let base = file.read()?;
        if base.as_deref() == Some(&*candidate) {
            anyhow::ensure!(
                arguments.confirmed.is_none(),
                "{} holds this text already: there is nothing to return to",
                file.path().display()
            );
        }
        let previous =
            base.as_deref().and_then(|text| Config::parse(text, "").ok()).map(|checked| checked.config);
        let changes = previous.map(|previous| config::diff(&previous, &checked.config));
        let warnings = changes.iter().flat_map(Changes::warnings).chain(checked.warnings);
        let notes =
            numbered(&warnings.collect::<Vec<_>>()) + &changes.as_ref().map(describe).unwrap_or_default();
        if !notes.is_empty() {
            print(notes.trim_end())?;
        }
        if !arguments.yes && !agreed()? {
            print("Nothing is committed")?;
            return Ok(ExitCode::FAILURE);
        }
        print("⚠ Validating, then committing...")?;
        let now = boot_time().context("cannot read the time since boot")?;
        if base.as_deref() != Some(&*candidate) {
            let confirm = arguments.confirmed.map(|window| (window, &now));
            file.commit(&candidate, base.as_deref(), confirm).context("nothing is committed")?;
        }
        print("Configuration committed")?;
        if let Some(window) = arguments.confirmed {
            let window = config::format_duration(window);
            print(&format!("It goes back in {window} unless `tandem config confirm` follows"))?;
        }
        tell(&arguments.agent)?;
        Ok(ExitCode::SUCCESS)
    }

    pub fn confirm(arguments: &ConfirmArguments) -> anyhow::Result<ExitCode> {
        let file = ConfigFile::new(&arguments.to);
        if settle(&file)? {
            return Ok(ExitCode::FAILURE);
        }
        let text = file.read()?.unwrap_or_default();
        let uploads = Config::parse(&text, "").is_ok_and(|checked| checked.config.upload.to.is_some());
        // Without a running agent nobody tries to reach central: the operator's word stands alone.
        let running = uploads && arguments.agent.ask(&Request::Config).ok().flatten().is_some();
        if file.confirm(running)? {
            print("Configuration confirmed")?;
        } else {
            print("Configuration confirmed; it stays as soon as an uplink has reached central")?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Takes back a commit whose time is over, where no agent did. Returns whether it had to.
    fn settle(file: &ConfigFile) -> anyhow::Result<bool> {
        let now = boot_time().context("cannot read the time since boot")?;
        // Whether central was reached is for the agent to know.
        if file.pending()?.is_none_or(|Pending { confirmed, .. }| confirmed) {
            return Ok(false);
        }
        match file.settle(&now, false)? {
            Settled::RolledBack { cause, .. } => {
                eprintln!("the last commit has gone back to the configuration before it: {}", cause.as_str());
                Ok(true)
            }
            Settled::EditedByHand => {
                eprintln!("{} was edited since the last commit: the edit stands", file.path().display());
                Ok(false)
            }
            Settled::NothingPending | Settled::Waiting(_) | Settled::Kept => Ok(false),
        }
    }

    /// Asks. No answer, such as Ctrl-D, is no.
    fn agreed() -> anyhow::Result<bool> {
        let mut out = io::stdout().lock();
        write!(out, "Are you sure you want to commit the candidate config? [y/N]: ")?;
        out.flush()?;
        let mut answer = String::new();
        if io::stdin().lock().read_line(&mut answer)? == 0 {
            writeln!(out)?;
        }
        Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
    }

    /// What the commit will do to the links.
    fn describe(changes: &Changes) -> String {
        let lists = [
            ("added", &changes.added),
            ("removed, neither dialled nor routed any more; the session in a modem stays", &changes.removed),
            ("dialled again", &changes.redialled),
            ("adjusted without interruption", &changes.adjusted),
            ("untouched", &changes.untouched),
        ];
        lists
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .fold(String::new(), |text, (what, names)| text + &format!("{what}: {}\n", names.join(", ")))
            + &at_the_next_start(changes)
    }

    /// What a running agent does not take over.
    fn at_the_next_start(changes: &Changes) -> String {
        let later: Vec<_> =
            ["agent", "spool"].into_iter().filter(|section| changes.section(section)).collect();
        if later.is_empty() {
            String::new()
        } else {
            format!("at the next start of the agent: [{}]\n", later.join("], ["))
        }
    }

    /// Tells a running agent. The commit stands whatever it says.
    fn tell(agent: &AgentSocket) -> anyhow::Result<()> {
        let by = ["SUDO_USER", "USER"].iter().find_map(|name| std::env::var(name).ok());
        match agent.ask(&Request::Reload { by }) {
            Ok(Some(_)) => print("The agent has taken it over")?,
            Ok(None) => print("No agent runs: it takes effect when one starts")?,
            Err(error) => eprintln!("warning: the agent did not take it over: {error:#}"),
        }
        Ok(())
    }
}
