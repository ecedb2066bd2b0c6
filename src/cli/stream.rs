//! `tandem stream`: what an operator does to a stream as a whole.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::Utc;

use super::central::KafkaArguments;
use super::{output, stop};
use crate::stream::{Sqlite, SqliteSettings, StreamError, copy};

/// Move a stream.
#[derive(clap::Args)]
pub struct StreamCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Copy the embedded stream of a central into another one, such as Kafka, with all it has kept. Stop that central
    /// first. Cut off, it goes on where it was; at the end both are read and compared.
    Copy(CopyArguments),
}

#[derive(clap::Args)]
struct CopyArguments {
    /// Data folder of the central (its --data).
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The stream to copy to: kafka://HOST:PORT,HOST:PORT/PREFIX?NAME=VALUE&NAME=VALUE, as of central --stream.
    #[arg(long, value_name = "URL")]
    to: String,
    #[command(flatten)]
    kafka: KafkaArguments,
}

/// Runs the command.
///
/// # Errors
/// When a stream cannot be had, or the copy is not what it should be.
pub fn run(command: StreamCommand) -> anyhow::Result<ExitCode> {
    let Action::Copy(arguments) = command.action;
    stop::log();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run_copy(arguments))
}

async fn run_copy(CopyArguments { from, to, kafka }: CopyArguments) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        from.join(Sqlite::FILE_NAME).exists(),
        "{}: no stream there ({} is missing)",
        from.display(),
        Sqlite::FILE_NAME
    );
    let source = Sqlite::open(&from, SqliteSettings::default()).map_err(|error| match error {
        StreamError::InUse { path } => anyhow::anyhow!("{}: in use; stop that central first", path.display()),
        error => error.into(),
    })?;
    let target = kafka.open(&to).await.context("the stream to copy to")?;
    let told = |topic: crate::stream::Topic, records| tracing::info!(topic = topic.name(), records, "copied");
    let copied = copy::copy(&source, &*target, Utc::now(), told).await?;
    let mut text = String::from("topic\tcopied now\texpired\tin source\tin target\tcompared");
    for topic in &copied {
        let same = if topic.source == topic.target { "same" } else { "DIFFERENT" };
        let (source, target) = (topic.source.records, topic.target.records);
        text += &format!(
            "\n{}\t{}\t{}\t{source}\t{target}\t{same}",
            topic.topic.name(),
            topic.now,
            topic.expired
        );
    }
    output::print(&text)?;
    let different = copied.iter().any(|topic| topic.source != topic.target);
    if different {
        eprintln!("tandem: the copy differs from its source; was the target written to meanwhile?");
    }
    Ok(if different { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
