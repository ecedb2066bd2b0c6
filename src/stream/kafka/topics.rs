//! The topics in the cluster: made as they must be, or held against it.

use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigResourceResult, NewTopic,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::{Cluster, Context, let_go, listen};
use super::{Kept, RECORD_BYTES_MAX, StreamError, Topic, TopicPolicy};

/// How long the cluster may take to answer at first.
const CONNECT: Duration = Duration::from_secs(15);
/// How long it may take to make topics.
const MAKE: Duration = Duration::from_secs(30);
/// How long it may take until every broker knows what was set.
const SETTLE: Duration = Duration::from_secs(5);
const ASK: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(100);

/// Room of a batch around its only record.
const FRAME_BYTES: usize = 64 * 1024;

/// A record of a compacted topic is looked at by compaction after this long at the latest.
const COMPACTION_LAG_MS: u64 = 10 * 60 * 1000;

/// And it is in the active segment no longer once that holds so many bytes: some thousand routers, packed.
const COMPACTED_SEGMENT_BYTES: u64 = 4 * 1024 * 1024;

/// The clock of a writer may be ahead of the broker's by this much.
const CLOCK_AHEAD_MS: u64 = 60 * 60 * 1000;

/// With so many replicas one may be away and nothing is taken that only one holds.
const SPARE: i32 = 3;

/// Makes missing topics and checks the others, as the settings say. Returns what names the cluster, wherever it is reached.
pub(super) async fn ensure(cluster: &Cluster) -> Result<String, StreamError> {
    let settings = &cluster.settings;
    let (cluster_id, mut found) = {
        let cluster = cluster.clone();
        blocking(move || connect(&cluster)).await?
    };
    let missing: Vec<Topic> =
        Topic::ALL.into_iter().filter(|topic| partitions(&found, cluster, *topic).is_none()).collect();
    let admin: AdminClient<Context> = cluster.client(&[])?;
    if !missing.is_empty() {
        if settings.topics != TopicPolicy::Create {
            return Err(StreamError::TopicMissing { topic: settings.named(missing[0].name()) });
        }
        make(cluster, &admin, &missing).await?;
        let there = cluster.clone();
        found = blocking(move || wait_until_there(&there)).await?;
        secure(cluster, &admin, &missing, &found).await?;
    }
    for topic in Topic::ALL {
        let name = settings.named(topic.name());
        let Some(found) = found.iter().find(|found| found.name == name) else { continue };
        if found.partitions != settings.partitions {
            return Err(other_partitions(cluster, name, found.partitions));
        }
        let asked = settings.replication.unwrap_or(1);
        if settings.topics != TopicPolicy::Take && found.replicas < asked {
            return Err(StreamError::TopicSetting {
                topic: name,
                setting: "replicas of a partition".into(),
                found: found.replicas.to_string(),
                wanted: format!("{asked} or more"),
                advice: "add some with kafka-reassign-partitions, or give replication= as the topics were made",
            });
        }
    }
    if settings.topics != TopicPolicy::Take {
        // What was set a moment ago is not known to every broker yet.
        let deadline = Instant::now() + if missing.is_empty() { Duration::ZERO } else { SETTLE };
        loop {
            match check(cluster, &admin, &found).await {
                Err(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                checked => break checked?,
            }
        }
    }
    let_go(admin);
    Ok(cluster_id)
}

async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StreamError> + Send + 'static,
) -> Result<T, StreamError> {
    tokio::task::spawn_blocking(call).await.map_err(|_| StreamError::Closed)?
}

/// A topic that is there.
struct Found {
    name: String,
    partitions: u32,
    /// Of the partition that has the fewest.
    replicas: i32,
}

/// Asks the cluster whether `topics` are there with the partitions that the settings say.
pub(super) fn check_partitions<C: ClientContext>(
    cluster: &Cluster,
    client: &Client<C>,
    topics: &[Topic],
    patience: Duration,
) -> Result<(), StreamError> {
    for topic in topics {
        let name = cluster.settings.named(topic.name());
        let metadata = client.fetch_metadata(Some(&name), patience);
        let metadata =
            metadata.map_err(|error| cluster.refusal().unwrap_or_else(|| cluster.error(&error)))?;
        let found = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        if found == 0 {
            return Err(StreamError::TopicMissing { topic: name });
        }
        if found != cluster.settings.partitions as usize {
            return Err(other_partitions(cluster, name, found));
        }
    }
    Ok(())
}

fn other_partitions(cluster: &Cluster, topic: String, found: impl ToString) -> StreamError {
    StreamError::TopicSetting {
        topic,
        setting: "partitions".into(),
        found: found.to_string(),
        wanted: cluster.settings.partitions.to_string(),
        advice: "the order of a router's events hangs on it: give partitions= as the topics were made, or use a \
                 new prefix",
    }
}

/// The name of the cluster and the topics that are there, once it answers.
fn connect(cluster: &Cluster) -> Result<(String, Vec<Found>), StreamError> {
    let client: BaseConsumer<Context> =
        cluster.client(&[("group.id", "tandem"), ("enable.auto.commit", "false")])?;
    let deadline = Instant::now() + CONNECT;
    loop {
        let answer = list(&client);
        listen(&client);
        match answer {
            Ok(found) => {
                // It was told with the topics; a cluster without one is known by its servers.
                let id = client.client().fetch_cluster_id(ASK);
                let_go(client);
                return Ok((id.unwrap_or_else(|| cluster.settings.servers.clone()), found));
            }
            Err(error) => {
                if let Some(refusal) = cluster.refusal() {
                    return Err(refusal);
                }
                if Instant::now() >= deadline {
                    return Err(cluster.error(&error));
                }
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn list(client: &BaseConsumer<Context>) -> Result<Vec<Found>, KafkaError> {
    let metadata = client.fetch_metadata(None, ASK)?;
    let known = |topic: &rdkafka::metadata::MetadataTopic| {
        let partitions = u32::try_from(topic.partitions().len()).ok()?;
        let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min()?;
        let replicas = i32::try_from(replicas).unwrap_or(i32::MAX);
        Some(Found { name: topic.name().to_owned(), partitions, replicas })
    };
    Ok(metadata.topics().iter().filter_map(known).collect())
}

fn partitions(found: &[Found], cluster: &Cluster, topic: Topic) -> Option<u32> {
    let name = cluster.settings.named(topic.name());
    found.iter().find(|found| found.name == name).map(|found| found.partitions)
}

async fn make(cluster: &Cluster, admin: &AdminClient<Context>, missing: &[Topic]) -> Result<(), StreamError> {
    let settings = &cluster.settings;
    let names: Vec<String> = missing.iter().map(|topic| settings.named(topic.name())).collect();
    let configs: Vec<Vec<(&str, String)>> = missing.iter().map(|topic| wanted(*topic)).collect();
    let count = i32::try_from(settings.partitions).unwrap_or(i32::MAX);
    let replicas = settings.replication.unwrap_or(-1);
    let new = names.iter().zip(&configs).map(|(name, config)| {
        let topic = NewTopic::new(name, count, TopicReplication::Fixed(replicas));
        let topic = config.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
        if replicas >= SPARE { topic.set("min.insync.replicas", "2") } else { topic }
    });
    let new: Vec<NewTopic<'_>> = new.collect();
    let options = AdminOptions::new().operation_timeout(Some(MAKE)).request_timeout(Some(MAKE));
    let made = admin.create_topics(&new, &options).await.map_err(|error| cluster.error(&error))?;
    for result in made {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(cluster.failure(format!("topic {topic} cannot be created: {code}")));
            }
        }
    }
    Ok(())
}

/// Where the cluster chose how many replicas there are, has those that were just made keep nothing on one broker alone.
async fn secure(
    cluster: &Cluster,
    admin: &AdminClient<Context>,
    made: &[Topic],
    found: &[Found],
) -> Result<(), StreamError> {
    let settings = &cluster.settings;
    let spare = |name: &String| found.iter().any(|found| found.name == *name && found.replicas >= SPARE);
    let made = made.iter().map(|topic| (settings.named(topic.name()), wanted(*topic)));
    let made: Vec<_> = made.filter(|(name, _)| settings.replication.is_none() && spare(name)).collect();
    // Those not named would be as the cluster has them.
    let changes = made.iter().map(|(name, config)| {
        let change = AlterConfig::new(ResourceSpecifier::Topic(name));
        let change = config.iter().fold(change, |change, (name, value)| change.set(name, value));
        change.set("min.insync.replicas", "2")
    });
    let changes: Vec<AlterConfig<'_>> = changes.collect();
    if changes.is_empty() {
        return Ok(());
    }
    let options = AdminOptions::new().request_timeout(Some(MAKE));
    let answers = admin.alter_configs(&changes, &options).await.map_err(|error| cluster.error(&error))?;
    for ((name, _), answer) in made.iter().zip(answers) {
        answer.map_err(|(_, code)| {
            cluster.failure(format!("topic {name}: min.insync.replicas cannot be set: {code}"))
        })?;
    }
    Ok(())
}

fn wait_until_there(cluster: &Cluster) -> Result<Vec<Found>, StreamError> {
    let client: BaseConsumer<Context> =
        cluster.client(&[("group.id", "tandem"), ("enable.auto.commit", "false")])?;
    let deadline = Instant::now() + MAKE;
    loop {
        let found = list(&client).unwrap_or_default();
        let waited_for = Topic::ALL
            .into_iter()
            .find(|topic| partitions(&found, cluster, *topic) != Some(cluster.settings.partitions));
        match waited_for {
            None => return Ok(found),
            Some(topic) if Instant::now() >= deadline => {
                let name = cluster.settings.named(topic.name());
                return Err(cluster.failure(format!("topic {name} was created but does not appear")));
            }
            Some(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Settings of a topic that we make.
fn wanted(topic: Topic) -> Vec<(&'static str, String)> {
    let mut wanted = vec![("message.timestamp.type", "CreateTime".to_owned())];
    match topic.kept() {
        Kept::For(time) => wanted.extend([
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", time.as_millis().to_string()),
            // A writer whose clock is years off is refused, or its records would go at once or never.
            ("message.timestamp.before.max.ms", time.as_millis().to_string()),
            ("message.timestamp.after.max.ms", CLOCK_AHEAD_MS.to_string()),
        ]),
        Kept::Latest { tombstone } => wanted.extend([
            ("cleanup.policy", "compact".to_owned()),
            ("delete.retention.ms", tombstone.as_millis().to_string()),
            // What is in the active segment is not compacted, and a new node reads it all.
            ("segment.ms", COMPACTION_LAG_MS.to_string()),
            ("segment.bytes", COMPACTED_SEGMENT_BYTES.to_string()),
            ("max.compaction.lag.ms", COMPACTION_LAG_MS.to_string()),
            ("min.cleanable.dirty.ratio", "0.1".to_owned()),
        ]),
    }
    wanted
}

async fn check(cluster: &Cluster, admin: &AdminClient<Context>, found: &[Found]) -> Result<(), StreamError> {
    let names: Vec<String> = Topic::ALL.iter().map(|topic| cluster.settings.named(topic.name())).collect();
    let asked: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(CONNECT));
    let deadline = Instant::now() + CONNECT;
    let answers = loop {
        let answers =
            admin.describe_configs(&asked, &options).await.map_err(|error| cluster.error(&error))?;
        // A broker that has not heard of a topic yet tells nothing of it, and no error reaches us either.
        let tells =
            |answer: &ConfigResourceResult| answer.as_ref().is_ok_and(|told| !told.entries.is_empty());
        if answers.iter().all(tells) || Instant::now() >= deadline {
            break answers;
        }
        tokio::time::sleep(PAUSE).await;
    };
    for ((topic, name), answer) in Topic::ALL.into_iter().zip(&names).zip(answers) {
        let config = answer.map_err(|code| {
            cluster.failure(format!(
                "settings of topic {name} cannot be read: {code} (topics=take goes without)"
            ))
        })?;
        let replicas = found.iter().find(|found| found.name == *name).map_or(1, |found| found.replicas);
        check_one(topic, name, replicas, &config)?;
    }
    Ok(())
}

fn check_one(topic: Topic, name: &str, replicas: i32, config: &ConfigResource) -> Result<(), StreamError> {
    let found =
        |setting: &str| config.get(setting).and_then(|entry| entry.value.as_deref()).unwrap_or("unknown");
    let number = |setting: &str| found(setting).parse::<i128>().unwrap_or(i128::MAX);
    let wrong = |setting: &str, wanted: String| {
        Err(StreamError::TopicSetting {
            topic: name.to_owned(),
            setting: setting.to_owned(),
            found: found(setting).to_owned(),
            wanted,
            advice: "change it with kafka-configs, or give topics=take to go on with it",
        })
    };
    // Older brokers do not have all of them.
    for (setting, value) in wanted(topic).into_iter().filter(|(setting, _)| config.get(setting).is_some()) {
        let least = || value.parse::<i128>().is_ok_and(|wanted| number(setting) >= wanted);
        let most = || value.parse::<i128>().is_ok_and(|wanted| number(setting) <= wanted);
        let (right, rest) = match setting {
            // Longer is no loss, and -1 is for ever.
            "retention.ms" => (number(setting) < 0 || least(), " or more"),
            "delete.retention.ms" => (least(), " or more"),
            // What is taken must stay.
            "message.timestamp.before.max.ms" => {
                let kept = number("retention.ms");
                (least() && (kept < 0 || number(setting) <= kept), " or more, up to retention.ms")
            }
            "message.timestamp.after.max.ms" | "segment.ms" | "max.compaction.lag.ms" => (most(), " or less"),
            "cleanup.policy" | "message.timestamp.type" => (found(setting) == value, ""),
            // Only a matter of disk.
            _ => (true, ""),
        };
        if !right {
            return wrong(setting, value + rest);
        }
    }
    let room = RECORD_BYTES_MAX + FRAME_BYTES;
    if number("max.message.bytes") < room as i128 {
        return wrong("max.message.bytes", format!("{room} or more"));
    }
    // Who has replicas wants no record on one broker alone, and none refused while all of them are there.
    if replicas > 1 {
        let least = if replicas >= SPARE { 2 } else { 1 };
        if !(least..=i128::from(replicas)).contains(&number("min.insync.replicas")) {
            return wrong("min.insync.replicas", format!("{least} to {replicas}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rdkafka::admin::{ConfigEntry, ConfigSource, OwnedResourceSpecifier};

    use super::*;

    /// The first thing wrong with a topic that is as we make it but for these settings, with so many replicas.
    fn found_wrong(topic: Topic, replicas: i32, settings: &[(&'static str, &str)]) -> Option<String> {
        let room = (RECORD_BYTES_MAX + FRAME_BYTES).to_string();
        let mut entries: BTreeMap<&str, String> = wanted(topic).into_iter().collect();
        entries.insert("max.message.bytes", room);
        entries.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let entry = |(name, value): (&str, String)| ConfigEntry {
            name: name.to_owned(),
            value: Some(value),
            source: ConfigSource::DynamicTopic,
            is_read_only: false,
            is_default: false,
            is_sensitive: false,
        };
        let specifier = OwnedResourceSpecifier::Topic("t".into());
        let config = ConfigResource { specifier, entries: entries.into_iter().map(entry).collect() };
        check_one(topic, "t", replicas, &config).err().map(|error| error.to_string())
    }

    #[test]
    fn as_many_replicas_must_have_a_record_as_those_that_are_there_are_good_for() {
        for (replicas, in_sync) in [(1, "1"), (2, "1"), (2, "2"), (3, "2"), (3, "3"), (4, "2")] {
            let wrong = found_wrong(Topic::Status, replicas, &[("min.insync.replicas", in_sync)]);
            assert_eq!(wrong, None, "{replicas}, {in_sync:?}");
        }
        assert_eq!(found_wrong(Topic::Status, 1, &[]), None);
        for (replicas, in_sync, wanted) in [
            (3, &[("min.insync.replicas", "1")][..], "min.insync.replicas is 1, wanted 2 to 3"),
            (2, &[("min.insync.replicas", "3")], "min.insync.replicas is 3, wanted 1 to 2"),
            (3, &[], "min.insync.replicas is unknown, wanted 2 to 3"),
        ] {
            let error = found_wrong(Topic::Status, replicas, in_sync).unwrap();
            assert!(error.contains(wanted) && error.contains("kafka-configs"), "{error}");
        }
    }

    #[test]
    fn a_topic_may_keep_more_and_longer_than_ours_but_not_less() {
        const FOR_EVER: &str = "9223372036854775807";
        for (topic, settings) in [
            (Topic::Samples, &[("retention.ms", "864000000")][..]),
            (Topic::Samples, &[("retention.ms", "-1"), ("message.timestamp.before.max.ms", FOR_EVER)]),
            (Topic::Samples, &[("message.timestamp.after.max.ms", "60000")]),
            (Topic::State, &[("segment.ms", "1000"), ("max.compaction.lag.ms", "1000")]),
            (Topic::State, &[("delete.retention.ms", "864000000"), ("min.cleanable.dirty.ratio", "0.5")]),
        ] {
            assert_eq!(found_wrong(topic, 1, settings), None, "{settings:?}");
        }
        for (topic, setting, value) in [
            (Topic::Samples, "retention.ms", "1000"),
            (Topic::Samples, "message.timestamp.before.max.ms", FOR_EVER),
            (Topic::Samples, "message.timestamp.before.max.ms", "1000"),
            (Topic::Samples, "message.timestamp.after.max.ms", FOR_EVER),
            (Topic::State, "segment.ms", "604800000"),
            (Topic::State, "max.compaction.lag.ms", FOR_EVER),
            (Topic::State, "delete.retention.ms", "1000"),
        ] {
            let error = found_wrong(topic, 1, &[(setting, value)]).unwrap();
            assert!(error.contains(&format!("{setting} is {value}, wanted")), "{error}");
        }
    }
}
