//! `tandem central`: gateway, stream, views, API and page in one process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::stop;
use crate::api::{self, Sources};
use crate::central::Central;
use crate::gateway::{self, Admission, Gateway, Tls, Tokens};
use crate::stream::{Shared, Sqlite, SqliteSettings};

/// Take events from routers and show the fleet, until SIGTERM.
#[derive(clap::Args)]
pub struct CentralArguments {
    /// Where to listen, for routers and for browsers.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// Folder of the stream and the snapshots.
    #[arg(long, value_name = "DIR", default_value = "tandem-central")]
    data: PathBuf,
    /// File with one token per router. Without tokens and client certificates anybody on this machine may
    /// speak for any router, and only loopback is served.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Certificate chain (PEM); goes with --tls-key.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM) of --tls-cert.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Authority (PEM) that signs the certificates of routers.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
}

/// A central that runs.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts one.
    ///
    /// # Errors
    /// When the folder is in use or damaged, or the address cannot be had.
    pub async fn start(
        listen: SocketAddr,
        data: &Path,
        admission: Admission,
        tls: Option<Tls>,
    ) -> anyhow::Result<Self> {
        let listener = gateway::listen(listen, &admission)?;
        let address = listener.local_addr()?;
        let stream: Shared = Arc::new(Sqlite::open(data, SqliteSettings::default())?);
        let central = Central::open(stream.clone(), &data.join("snapshots")).await?;
        let gateway = Gateway::start(stream.clone(), admission).await?;
        let past = central.clone();
        let sources = Sources {
            fleet: central.fleet(),
            past: Arc::new(move |time| {
                let central = past.clone();
                Box::pin(async move { central.as_of(time).await })
            }),
            live: central.live(),
            stream,
        };
        let app = api::router(sources).merge(gateway::router(gateway.clone()));
        let loaded = tls.as_ref().map(Tls::load).transpose()?;
        let (stop, stopped) = watch::channel(false);
        let mut ending = stopped.clone();
        let mut tasks = vec![tokio::spawn(async move { central.follow(stopped).await })];
        let fresh = tls.zip(loaded.clone());
        let refreshing = tokio::spawn(gateway::keep_fresh(gateway, fresh));
        tasks.push(tokio::spawn(async move {
            let stop = async move {
                let _ = ending.wait_for(|stop| *stop).await;
            };
            if let Err(error) = gateway::serve(listener, loaded, app, stop).await {
                tracing::error!(%error, "serving ended");
            }
            refreshing.abort();
        }));
        Ok(Self { address, stop, tasks })
    }

    /// Stops it: requests under way finish, a last snapshot is written.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

/// Runs until told to stop.
///
/// # Errors
/// As [`Running::start`].
pub fn run(arguments: CentralArguments) -> anyhow::Result<ExitCode> {
    stop::log();
    let tls = arguments.tls_cert.clone().zip(arguments.tls_key.clone()).map(|(certificate, key)| Tls {
        certificate,
        key,
        client_authority: arguments.client_ca.clone(),
    });
    let tokens = arguments.tokens.as_deref().map(Tokens::load).transpose()?;
    let admission = match (tokens, &arguments.client_ca) {
        (None, None) => {
            tracing::warn!(
                "no --tokens and no --client-ca: anybody on this machine may speak for any router"
            );
            Admission::Open
        }
        (tokens, _) => Admission::Proven(tokens),
    };
    if tls.is_none() && !arguments.listen.ip().is_loopback() {
        anyhow::bail!(
            "{} is not loopback: give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that has them",
            arguments.listen
        );
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let running = Running::start(arguments.listen, &arguments.data, admission, tls)
            .await
            .with_context(|| format!("cannot start on {}", arguments.listen))?;
        tracing::info!(address = %running.address, "listening");
        stop::signalled().await?;
        running.stop().await;
        anyhow::Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}
