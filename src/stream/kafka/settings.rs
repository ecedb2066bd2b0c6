//! How to reach a Kafka cluster: `kafka://host:port,host:port/prefix?setting=value`. Pure but for the file.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use super::StreamError;

/// What to do about topics that are not there, or not as they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopicPolicy {
    /// Missing ones are created, others are checked.
    #[default]
    Create,
    /// Missing ones are an error, others are checked.
    Check,
    /// Missing ones are an error, others are taken as they are as long as they have the partitions wanted.
    Take,
}

/// Which cluster, which topics in it, and how its client is set.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port` of brokers to begin with, separated by commas.
    pub servers: String,
    /// Put before the name of each topic and group, so that several fleets share a cluster. May be empty.
    pub prefix: String,
    /// Partitions of each topic.
    pub partitions: u32,
    /// Replicas of each partition of a topic that is created; the cluster's default when absent.
    pub replication: Option<i32>,
    /// What to do about topics.
    pub topics: TopicPolicy,
    client: BTreeMap<String, String>,
}

/// Settings of librdkafka that the promises of the stream hang on.
pub(super) const FIXED: [(&str, &str); 11] = [
    ("bootstrap.servers", "given by the address"),
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "chosen by each reader"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("auto.offset.reset", "earliest"),
    ("group.id", "named by each reader"),
    ("transactional.id", "named by each reader"),
];

/// Other names that librdkafka has for settings that we make ourselves: the client would not know which of two to take.
const ALIASES: [(&str, &str); 6] = [
    ("metadata.broker.list", "bootstrap.servers"),
    ("request.required.acks", "acks"),
    ("compression.codec", "compression.type"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
];

impl KafkaSettings {
    /// Partitions of each topic unless told otherwise.
    pub const PARTITIONS: u32 = 48;

    /// How the address begins.
    pub const SCHEME: &str = "kafka://";

    /// Sets one thing: `partitions`, `replication`, `topics` (`create`, `check`, `take`) or any setting of
    /// librdkafka.
    ///
    /// # Errors
    /// When the value does not fit, or the setting is one that the promises of the stream hang on.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), StreamError> {
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
        let wrong = |wanted: &str| StreamError::Settings(format!("{name}={value:?} is not {wanted}"));
        match name {
            "partitions" => {
                let number = value.parse().ok().filter(|n| (1..=10_000).contains(n));
                self.partitions = number.ok_or_else(|| wrong("a number from 1 to 10000"))?;
            }
            "replication" => {
                let number = value.parse().ok().filter(|n| (1..=100).contains(n));
                self.replication = Some(number.ok_or_else(|| wrong("a number from 1 to 100"))?);
            }
            "topics" => {
                self.topics = match value {
                    "create" => TopicPolicy::Create,
                    "check" => TopicPolicy::Check,
                    "take" => TopicPolicy::Take,
                    _ => return Err(wrong("create, check or take")),
                }
            }
            _ => {
                if let Some((_, fixed)) =
                    FIXED.iter().find(|(own, fixed)| *own == name && !value.eq_ignore_ascii_case(fixed))
                {
                    return Err(StreamError::Settings(format!(
                        "{name} cannot be {value:?}: it is {fixed}, what the stream promises hangs on it"
                    )));
                }
                self.client.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(())
    }

    /// Sets what `text` says, `name=value`.
    ///
    /// # Errors
    /// As [`Self::set`], or when there is no `=`.
    pub fn set_pair(&mut self, text: &str) -> Result<(), StreamError> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| StreamError::Settings(format!("{text:?} is not name=value")))?;
        self.set(name.trim(), value.trim())
    }

    /// Sets what a file says, one `name=value` a line; `#` begins a comment. Passwords belong here, where no list of
    /// processes shows them.
    ///
    /// # Errors
    /// When it cannot be read, or a line is wrong: says which.
    pub fn load(&mut self, file: &Path) -> Result<(), StreamError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| StreamError::Settings(format!("{}: {error}", file.display())))?;
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        }) {
            self.set_pair(line)
                .map_err(|error| StreamError::Settings(format!("{}:{number}: {error}", file.display())))?;
        }
        Ok(())
    }

    /// The name of a topic or group in the cluster.
    #[must_use]
    pub fn named(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    /// Whether this setting of librdkafka was given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.client.contains_key(name)
    }

    /// The settings of librdkafka that were given.
    pub(super) fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        self.client.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl std::fmt::Debug for KafkaSettings {
    /// Names of settings only: values may be passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("servers", &self.servers)
            .field("prefix", &self.prefix)
            .field("partitions", &self.partitions)
            .field("replication", &self.replication)
            .field("topics", &self.topics)
            .field("client", &self.client.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl FromStr for KafkaSettings {
    type Err = StreamError;

    fn from_str(text: &str) -> Result<Self, StreamError> {
        let wrong = |what: String| StreamError::Settings(format!("stream address: {what}"));
        let rest = text.strip_prefix(Self::SCHEME).ok_or_else(|| {
            wrong(
                "it does not begin with kafka://host:port, such as kafka://broker-1:9092,broker-2:9092/fleet"
                    .into(),
            )
        })?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (servers, prefix) = place.split_once('/').unwrap_or((place, ""));
        for server in servers.split(',') {
            let port = server.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
            if port.and_then(|port| port.parse::<u16>().ok()).is_none() {
                return Err(wrong(format!("{server:?} is not host:port")));
            }
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !prefix.bytes().all(allowed) || prefix.len() > 100 {
            return Err(wrong(format!("prefix {prefix:?} is not up to 100 letters, digits, '.', '_', '-'")));
        }
        let mut settings = Self {
            servers: servers.to_owned(),
            prefix: prefix.to_owned(),
            partitions: Self::PARTITIONS,
            replication: None,
            topics: TopicPolicy::default(),
            client: BTreeMap::new(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) =
                pair.split_once('=').ok_or_else(|| wrong(format!("{pair:?} is not name=value")))?;
            let value = unescape(value).ok_or_else(|| wrong(format!("{name}: a broken %XX in its value")))?;
            settings.set(name, &value)?;
        }
        Ok(settings)
    }
}

/// `%XX` becomes the byte.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|n| u8::try_from(n).ok());
        bytes.push(if byte == b'%' { digit(rest.next())? * 16 + digit(rest.next())? } else { byte });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<KafkaSettings>().unwrap_err().to_string()
    }

    #[test]
    fn an_address_says_servers_prefix_and_settings() {
        let text = "kafka://a:9092,b:9093/fleet-1?partitions=12&replication=3&topics=check&\
                    sasl.username=tandem&sasl.password=a%26b%3Dc%25";
        let settings: KafkaSettings = text.parse().unwrap();
        assert_eq!((settings.servers.as_str(), settings.prefix.as_str()), ("a:9092,b:9093", "fleet-1"));
        assert_eq!((settings.partitions, settings.replication), (12, Some(3)));
        assert_eq!(settings.topics, TopicPolicy::Check);
        assert_eq!(settings.named("tandem.status"), "fleet-1.tandem.status");
        let given: Vec<_> = settings.given().collect();
        assert_eq!(given, [("sasl.password", "a&b=c%"), ("sasl.username", "tandem")]);
        assert!(!format!("{settings:?}").contains("a&b"), "a password is not printed");
        let plain: KafkaSettings = "kafka://a:9092".parse().unwrap();
        assert_eq!((plain.named("tandem.status"), plain.partitions), ("tandem.status".into(), 48));
    }

    #[test]
    fn a_wrong_address_is_told_by_its_part() {
        for (text, part) in [
            ("sqlite://x", "kafka://host:port"),
            ("kafka://", "host:port"),
            ("kafka://a", "\"a\""),
            ("kafka://a:9092,:9", "\":9\""),
            ("kafka://a:9092/fl eet", "prefix"),
            ("kafka://a:9092?partitions=0", "partitions"),
            ("kafka://a:9092?replication=x", "replication"),
            ("kafka://a:9092?topics=drop", "create, check or take"),
            ("kafka://a:9092?linger.ms", "name=value"),
            ("kafka://a:9092?sasl.password=%4", "sasl.password"),
            ("kafka://a:9092?enable.idempotence=false", "enable.idempotence"),
            ("kafka://a:9092?isolation.level=read_uncommitted", "read_committed"),
            ("kafka://a:9092?request.required.acks=1", "all"),
            ("kafka://a:9092?metadata.broker.list=b:9092", "given by the address"),
        ] {
            assert!(refusal(text).contains(part), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn a_setting_under_its_other_name_is_the_same_setting() {
        let settings: KafkaSettings = "kafka://a:9092?compression.codec=lz4".parse().unwrap();
        assert!(settings.has("compression.type") && !settings.has("compression.codec"));
    }

    #[test]
    fn a_file_sets_and_names_its_wrong_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kafka.conf");
        let mut settings: KafkaSettings = "kafka://a:9092".parse().unwrap();
        std::fs::write(&file, "# who we are\n\nsasl.username = tandem\nsasl.password=a=b\n").unwrap();
        settings.load(&file).unwrap();
        assert_eq!(settings.given().last(), Some(("sasl.username", "tandem")));
        std::fs::write(&file, "linger.ms=1\nacks=0\n").unwrap();
        let error = settings.load(&file).unwrap_err().to_string();
        assert!(error.contains("kafka.conf:2") && error.contains("acks"), "{error}");
    }
}
