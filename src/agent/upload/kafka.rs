//! Straight to Kafka (`[upload] to = "kafka://host:port,host:port/prefix?setting=value"`), for small fleets in private
//! networks.
//!
//! The spool remains the truth: a batch counts as taken once every one of its records is stored by the brokers
//! (delivery reports), and then as a whole; otherwise it stays in the spool and is sent again, which is harmless. So no
//! more than one batch is ever in the client's memory.
//!
//! Records carry this router's time, and brokers refuse what lies years back or more than an hour ahead: a router without a
//! clock keeps its events in the spool until it has one, and does not pay for sending them in vain; one whose clock is
//! off otherwise is told by the broker, and sends them again.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use super::super::emit::EARLIEST_S;
use super::meter::Meter;
use super::wire::{Answer, token};
use crate::config::Upload;
use crate::event::{Acknowledgement, Envelope, Span};
use crate::spool::Batch;
use crate::stream::{CE_TYPE, Feeder, KafkaSettings, Record, StreamError, Topic};

/// What the client may take of a small router: a batch and its packed copy, and no more talk than needed.
const FRUGAL: [(&str, &str); 6] = [
    ("queue.buffering.max.kbytes", "1024"),
    ("queue.buffering.max.messages", "4096"),
    ("receive.message.max.bytes", "1000512"),
    ("topic.metadata.refresh.interval.ms", "3600000"),
    ("log.connection.close", "false"),
    ("statistics.interval.ms", "15000"),
];

/// The way to the brokers.
pub struct Brokers {
    feeder: Feeder,
    meter: Arc<Meter>,
    counted: (u64, u64),
}

impl Brokers {
    /// Reads settings and secrets; connects to nobody yet.
    ///
    /// # Errors
    /// When a setting is wrong, or a file cannot be read.
    pub fn new(options: &Upload, meter: Arc<Meter>) -> anyhow::Result<Self> {
        let to = options.to.as_deref().context("[upload] to is not set")?;
        let mut settings: KafkaSettings = to.parse().context("[upload] to")?;
        let mut default = |name: &str, value: &str| match settings.has(name) {
            true => Ok(()),
            false => settings.set(name, value),
        };
        for (name, value) in FRUGAL {
            default(name, value)?;
        }
        let files = [
            ("ssl.ca.location", &options.ca_file),
            ("ssl.certificate.location", &options.cert_file),
            ("ssl.key.location", &options.key_file),
        ];
        for (name, file) in &files {
            if let Some(file) = file {
                std::fs::File::open(file).with_context(|| format!("read {}", file.display()))?;
                default(name, &file.display().to_string())?;
            }
        }
        let encrypted = files.iter().any(|(_, file)| file.is_some());
        match token(options)? {
            Some(token) => {
                default("security.protocol", "SASL_SSL")?;
                default("sasl.mechanism", "SCRAM-SHA-512")?;
                default("sasl.password", &token)?;
                anyhow::ensure!(
                    settings.has("sasl.username"),
                    "[upload] to = {:?}: a token is there but no name for it; add ?sasl.username=NAME",
                    to
                );
            }
            None if encrypted => default("security.protocol", "SSL")?,
            None => {}
        }
        // The client reads what is in them, and says what is wrong but not in which.
        let named = || {
            let all = files.iter().filter_map(|(_, file)| Some(file.as_ref()?.display().to_string()));
            all.fold("[upload] to".to_owned(), |text, file| format!("{text} with {file}"))
        };
        Ok(Self { feeder: Feeder::new(settings).with_context(named)?, meter, counted: (0, 0) })
    }

    /// Has the first `events` events of `batch` stored.
    ///
    /// # Errors
    /// When not all of them are: says why.
    pub async fn send(&mut self, batch: &Batch, events: usize, span: Span) -> Result<Answer, String> {
        let now = Utc::now();
        check_clock(now)?;
        let records: Result<Vec<Record>, String> = batch.events[..events]
            .iter()
            .map(|stored| {
                let json = stored.json.get().as_bytes();
                let event = Envelope::read(json).map_err(|error| error.to_string())?;
                let router = event.router().map_err(|error| error.to_string())?;
                Ok(Record {
                    topic: Topic::of(event.class()),
                    key: router.as_str().to_owned(),
                    headers: vec![(Cow::Borrowed(CE_TYPE), event.kind.into_owned())],
                    value: Some(json.to_vec()),
                    time: now,
                })
            })
            .collect();
        let records = match records {
            Ok(records) => records,
            // Nobody could read it, as a gateway would say.
            Err(detail) => {
                return Ok(refused(400, &detail));
            }
        };
        let stored = self.feeder.append(records).await;
        let (sent, received) = self.feeder.traffic();
        self.meter.add(sent.saturating_sub(self.counted.0), received.saturating_sub(self.counted.1));
        self.counted = (sent, received);
        match stored {
            Ok(()) => {
                let acknowledged = Acknowledgement { epoch: span.epoch, sequence: span.last };
                let body = serde_json::to_vec(&acknowledged).expect("two texts");
                Ok(Answer { status: 200, retry_after: None, date: None, body: body.into() })
            }
            // As a gateway answers it: the batch is halved until the one event is found and given up.
            Err(error @ StreamError::TooLarge { .. }) => Ok(refused(413, &error.to_string())),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn refused(status: u16, detail: &str) -> Answer {
    let body = serde_json::json!({ "detail": detail }).to_string();
    Answer { status, retry_after: None, date: None, body: body.into() }
}

/// Whether a broker may take a record of `now`: not when the clock stands before this program was made.
fn check_clock(now: DateTime<Utc>) -> Result<(), String> {
    if now.timestamp() >= EARLIEST_S {
        return Ok(());
    }
    Err(format!(
        "the clock of this router is not set, it says {}: brokers take no events of that time; they wait until it is",
        now.format("%Y-%m-%d %H:%M")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_without_a_clock_says_so_and_sends_nothing() {
        let fault = check_clock(DateTime::UNIX_EPOCH).unwrap_err();
        assert!(fault.contains("clock") && fault.contains("1970-01-01 00:00"), "{fault}");
        assert_eq!(check_clock(DateTime::from_timestamp(EARLIEST_S, 0).unwrap()), Ok(()));
    }
}
