//! `tandem central`: gateway, stream, views, API and page in one process; or, with Kafka as the stream, each of them in
//! as many processes as it takes.

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
    #[command(flatten)]
    stream: StreamArguments,
    /// What this process does, with commas between: all of it when not given. Several processes need --stream, for the
    /// file in --data belongs to one.
    #[arg(long, value_enum, value_name = "ROLES", value_delimiter = ',', requires = "stream")]
    role: Vec<Role>,
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

/// Which stream.
#[derive(clap::Args, Default)]
pub struct StreamArguments {
    /// Kafka as the stream instead of the file in --data: kafka://HOST:PORT,HOST:PORT/PREFIX?NAME=VALUE&NAME=VALUE.
    /// Settings are partitions, replication, topics (create, check or take) and every setting of librdkafka.
    #[arg(long, value_name = "URL", env = "TANDEM_STREAM", hide_env_values = true)]
    stream: Option<String>,
    #[command(flatten)]
    kafka: KafkaArguments,
}

/// Settings beside the address of a Kafka cluster.
#[derive(clap::Args, Default)]
pub struct KafkaArguments {
    /// File of further settings, name=value a line; passwords belong here.
    #[arg(long, value_name = "FILE")]
    kafka_config: Option<PathBuf>,
    /// One further setting; may be given again.
    #[arg(long, value_name = "NAME=VALUE")]
    kafka_set: Vec<String>,
}

impl StreamArguments {
    /// Opens the stream that they name; without a name the one in `data`.
    ///
    /// # Errors
    /// When a setting is wrong, or the stream cannot be had.
    async fn open(&self, data: &Path) -> anyhow::Result<Opened> {
        match &self.stream {
            None => {
                anyhow::ensure!(
                    self.kafka.kafka_config.is_none() && self.kafka.kafka_set.is_empty(),
                    "--kafka-config and --kafka-set go with --stream kafka://…"
                );
                Ok(Opened::Embedded(Arc::new(Sqlite::open(data, SqliteSettings::default())?)))
            }
            Some(url) => Ok(Opened::Kafka(self.kafka.open(url).await?)),
        }
    }
}

#[cfg(feature = "kafka")]
type KafkaStream = crate::stream::Kafka;
/// There is none in this program.
#[cfg(not(feature = "kafka"))]
type KafkaStream = Sqlite;

impl KafkaArguments {
    /// Opens the stream at `url`.
    ///
    /// # Errors
    /// When a setting is wrong, or the stream cannot be had.
    #[cfg(feature = "kafka")]
    pub async fn open(&self, url: &str) -> anyhow::Result<Arc<KafkaStream>> {
        let mut settings: crate::stream::KafkaSettings = url.parse()?;
        if let Some(file) = &self.kafka_config {
            settings.load(file)?;
        }
        for pair in &self.kafka_set {
            settings.set_pair(pair).context("--kafka-set")?;
        }
        Ok(Arc::new(KafkaStream::open(settings).await?))
    }

    /// Says that this program cannot.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "kafka"))]
    pub async fn open(&self, url: &str) -> anyhow::Result<Arc<KafkaStream>> {
        anyhow::bail!("{url}: this program was built without the feature kafka")
    }
}

enum Opened {
    Embedded(Shared),
    Kafka(Arc<KafkaStream>),
}

/// A part that a process plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Takes events from routers into the stream.
    Gateway,
    /// Folds a share of the stream into tandem.state, so that nodes that start serve at once.
    Fold,
    /// Serves API and page.
    Api,
}

/// A central that runs.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts one that plays `roles`, all of them when none is named. The embedded stream needs no fold.
    ///
    /// # Errors
    /// When the folder is in use or damaged, the stream cannot be had, or the address cannot be had.
    pub async fn start(
        listen: SocketAddr,
        data: &Path,
        stream: &StreamArguments,
        roles: &[Role],
        admission: Admission,
        tls: Option<Tls>,
    ) -> anyhow::Result<Self> {
        let plays = |role| roles.is_empty() || roles.contains(&role);
        let listener = gateway::listen(listen, &admission)?;
        let address = listener.local_addr()?;
        let (shared, opened) = match stream.open(data).await? {
            Opened::Embedded(shared) => (shared, None),
            Opened::Kafka(kafka) => (kafka.clone() as Shared, Some(kafka)),
        };
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        let mut ready: Vec<api::Check> = Vec::new();
        let mut app = axum::Router::new();
        #[cfg(feature = "kafka")]
        if let Some(kafka) = opened.clone() {
            ready.push(Box::new(move || kafka.ready()));
        }
        if opened.is_some() && plays(Role::Fold) {
            tasks.extend(start_share(stream, &stopped, &mut ready).await?);
        }
        let mut gateway = None;
        if plays(Role::Gateway) {
            let own = Gateway::start(shared.clone(), admission).await?;
            app = app.merge(gateway::router(own.clone()));
            let asked = own.clone();
            ready.push(Box::new(move || asked.ready().map(|()| None)));
            gateway = Some(own);
        }
        if plays(Role::Api) {
            let central = Central::open(shared.clone(), &data.join("snapshots")).await?;
            let followed = central.clone();
            ready.push(Box::new(move || followed.ready().map(|()| None)));
            app = app.merge(api::router(sources(&central, shared, &stopped, Arc::new(ready))));
            let stopped = stopped.clone();
            tasks.push(tokio::spawn(async move { central.follow(stopped).await }));
        } else {
            app = app.merge(api::health_router(Arc::new(ready)));
        }
        let loaded = tls.as_ref().map(Tls::load).transpose()?;
        let fresh = tls.zip(loaded.clone());
        let refreshing = tokio::spawn(gateway::keep_fresh(gateway, fresh));
        let mut ending = stopped;
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

fn sources(
    central: &Arc<Central>,
    stream: Shared,
    stopped: &watch::Receiver<bool>,
    ready: api::Ready,
) -> Sources {
    let past = central.clone();
    Sources {
        fleet: central.fleet(),
        past: Arc::new(move |time| {
            let central = past.clone();
            Box::pin(async move { central.as_of(time).await })
        }),
        live: central.live(),
        stream,
        stop: stopped.clone(),
        ready,
    }
}

/// Starts to fold a share, with a stream of its own: what is read ahead there is not what the API reads.
#[cfg(feature = "kafka")]
async fn start_share(
    stream: &StreamArguments,
    stopped: &watch::Receiver<bool>,
    ready: &mut Vec<api::Check>,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    use crate::central::Share;
    let kafka = stream.kafka.open(stream.stream.as_deref().unwrap_or_default()).await?;
    let share = Share::join(kafka)?;
    let progress = share.progress();
    ready.push(Box::new(move || {
        let progress = progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        progress.fault.clone().map_or(Ok(None), Err)
    }));
    let stopped = stopped.clone();
    Ok(Some(tokio::spawn(async move { share.follow(stopped).await })))
}

#[cfg(not(feature = "kafka"))]
async fn start_share(
    _: &StreamArguments,
    _: &watch::Receiver<bool>,
    _: &mut Vec<api::Check>,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    Ok(None)
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
        let running = Running::start(
            arguments.listen,
            &arguments.data,
            &arguments.stream,
            &arguments.role,
            admission,
            tls,
        )
        .await
        .with_context(|| format!("cannot start on {}", arguments.listen))?;
        tracing::info!(address = %running.address, "listening");
        stop::signalled()?.await;
        running.stop().await;
        anyhow::Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}
