//! A broker for the time of the bench.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use tandem::stream::KafkaSettings;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/broker");
/// Ends the broker when its input ends: when this program does.
const KEEPER: &str = r#"
folder=$(mktemp -d)
trap '"$0" stop "$folder"; rm -rf "$folder"' EXIT
"$0" start "$folder" && cat "$folder/1/pid" && cat >/dev/null
"#;

pub struct Broker {
    servers: String,
    /// Its process.
    pub pid: u32,
    /// Ends it when its input ends, which is in here.
    _keeper: Child,
}

impl Broker {
    pub fn start() -> Self {
        let mut keeper = Command::new("bash")
            .args(["-c", KEEPER, SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("bash");
        let mut lines = BufReader::new(keeper.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let mut line = || lines.next().expect("the broker starts");
        let (servers, pid) = (line(), line().parse().expect("a process"));
        Self { servers, pid, _keeper: keeper }
    }

    /// A place that is empty.
    pub fn place(&self, prefix: &str, partitions: u32) -> KafkaSettings {
        let url = format!("kafka://{}/{prefix}?partitions={partitions}&replication=1", self.servers);
        url.parse().expect("an address")
    }
}
