//! Clients of the cluster: how they are set, and what they say when they cannot do it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Statistics};
use tokio::time::Instant;

use super::{KafkaSettings, StreamError};

/// Events that one [`listen`] hears.
const EVENTS_HEARD: usize = 64;
/// What a client said stays the likely cause of a failure for this long.
const CAUSE_LIFE: Duration = Duration::from_secs(60);

/// What everything that speaks to one cluster shares: settings, and the last trouble heard.
#[derive(Clone)]
pub(super) struct Cluster {
    pub settings: Arc<KafkaSettings>,
    trouble: Arc<Mutex<Option<Trouble>>>,
    traffic: Arc<Mutex<(u64, u64)>>,
}

struct Trouble {
    since: Instant,
    text: String,
    /// Trying again does not help.
    refused: bool,
}

impl Trouble {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < CAUSE_LIFE
    }
}

impl Cluster {
    pub fn new(settings: KafkaSettings) -> Self {
        Self { settings: Arc::new(settings), trouble: Arc::default(), traffic: Arc::default() }
    }

    /// Those of `defaults` that the operator did not set otherwise.
    pub fn unless_given<'a>(&self, defaults: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        defaults.iter().filter(|(name, _)| !self.settings.has(name)).copied().collect()
    }

    /// A client with the given settings over our defaults, and `own` over both.
    pub fn client<T>(&self, own: &[(&str, &str)]) -> Result<T, StreamError>
    where
        T: FromClientConfigAndContext<Context>,
    {
        self.client_with(own, Context { cluster: self.clone() })
    }

    /// The same with a context of its own.
    pub fn client_with<T, C>(&self, own: &[(&str, &str)], context: C) -> Result<T, StreamError>
    where
        C: ClientContext,
        T: FromClientConfigAndContext<C>,
    {
        let mut config = ClientConfig::new();
        config.set("client.id", "tandem");
        // Connections that wait are cut by firewalls.
        config.set("socket.keepalive.enable", "true");
        config.set("reconnect.backoff.max.ms", "2000");
        // A broker that stands still without closing its connections holds up what is asked of it for so long.
        config.set("socket.timeout.ms", "10000");
        for (name, value) in self.settings.given() {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.settings.servers);
        for (name, value) in own {
            config.set(*name, *value);
        }
        config.create_with_context(context).map_err(|error| match error {
            KafkaError::ClientConfig(_, what, name, _) if !name.is_empty() => {
                StreamError::Settings(format!("setting {name} of the Kafka client: {what}"))
            }
            error => self.error(&error),
        })
    }

    /// `error` with the likely cause behind it.
    pub fn error(&self, error: &KafkaError) -> StreamError {
        self.failure(match error {
            KafkaError::Transaction(error) => error.string(),
            error => error.to_string(),
        })
    }

    /// A failure with the likely cause behind it.
    pub fn failure(&self, detail: impl Into<String>) -> StreamError {
        let detail = detail.into();
        let detail = match self.cause() {
            Some(cause) if !detail.contains(&cause) => format!("{detail} ({cause})"),
            _ => detail,
        };
        StreamError::Broker { servers: self.settings.servers.clone(), detail }
    }

    /// What a client heard last that waiting does not mend, such as wrong credentials.
    pub fn refusal(&self) -> Option<StreamError> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = trouble.as_ref().filter(|trouble| trouble.refused && trouble.is_fresh())?;
        Some(StreamError::Broker { servers: self.settings.servers.clone(), detail: refused.text.clone() })
    }

    /// Bytes sent and received, as the last client told that tells (`statistics.interval.ms`).
    pub fn traffic(&self) -> (u64, u64) {
        *self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cause(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().filter(|trouble| trouble.is_fresh()).map(|trouble| trouble.text.clone())
    }

    fn heard(&self, text: &str, refused: bool) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let keep = trouble.as_ref().is_some_and(|old| old.refused && !refused && old.is_fresh());
        if !keep {
            *trouble = Some(Trouble { since: Instant::now(), text: text.to_owned(), refused });
        }
    }
}

/// Serves what `consumer` has to say, which it says to nobody otherwise. What it may have read is dropped.
pub(super) fn listen<C: ConsumerContext>(consumer: &BaseConsumer<C>) {
    // One event a call; one that was heard cannot be told from none.
    for _ in 0..EVENTS_HEARD {
        let _ = consumer.poll(Duration::ZERO);
    }
}

/// Hears what clients say.
#[derive(Clone)]
pub(super) struct Context {
    pub cluster: Cluster,
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        let count = |bytes: i64| u64::try_from(bytes).unwrap_or_default();
        let traffic = (count(statistics.tx_bytes), count(statistics.rx_bytes));
        *self.cluster.traffic.lock().unwrap_or_else(PoisonError::into_inner) = traffic;
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        if facility == "FAIL" {
            self.cluster.heard(text, false);
        }
        match level {
            // Settings that this kind of client has no use for are given to all kinds.
            _ if facility == "CONFWARN" => tracing::debug!(facility, "{text}"),
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(facility, "{text}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, "{text}"),
            RDKafkaLogLevel::Debug => tracing::debug!(facility, "{text}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        let refused = matches!(
            code,
            Some(
                RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::SSL
                    | RDKafkaErrorCode::SaslAuthenticationFailed
                    | RDKafkaErrorCode::UnsupportedSASLMechanism
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::ClusterAuthorizationFailed
                    | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
            )
        );
        tracing::debug!(%error, reason, "the Kafka client is in trouble");
        // That all brokers are down follows from what was said of each, and an end is no trouble.
        if !matches!(code, Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::PartitionEOF)) {
            self.cluster.heard(reason, refused);
        }
    }
}

impl ConsumerContext for Context {}

/// Lets go of a client without waiting for its threads to end, which takes a tenth of a second.
pub(super) fn let_go(client: impl Send + 'static) {
    // Without another thread it ends here.
    drop(std::thread::Builder::new().spawn(move || drop(client)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_client_heard_is_the_cause_of_failures_for_a_while_and_no_longer() {
        let cluster = Cluster::new("kafka://a:9092".parse().unwrap());
        let told = || cluster.failure("no answer").to_string();
        cluster.heard("wrong password", true);
        tokio::time::advance(CAUSE_LIFE / 2).await;
        cluster.heard("connection refused", false);
        assert!(cluster.refusal().is_some() && told().contains("wrong password"), "{}", told());
        tokio::time::advance(CAUSE_LIFE / 2).await;
        assert_eq!(cluster.refusal(), None, "it may be right by now");
        assert!(!told().contains("password"), "{}", told());
        cluster.heard("connection refused", false);
        assert!(cluster.refusal().is_none() && told().contains("connection refused"), "{}", told());
        tokio::time::advance(CAUSE_LIFE).await;
        assert!(!told().contains("refused"), "{}", told());
    }
}
