//! `tandem central` as a process: started, and read until it says where it listens.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// One that listens. Nothing ends it but its owner.
pub struct Started {
    pub child: Child,
    /// `host:port`.
    pub address: String,
    /// What it says, from the first line; to be read on, or it would wait for us.
    pub lines: Box<dyn Iterator<Item = String> + Send>,
}

/// The command: a port that the system chooses, everything kept in `data`.
pub fn central(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(["central", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    command.env("NO_COLOR", "1").stderr(Stdio::piped());
    command
}

/// Starts it and waits until it listens.
pub fn start(command: &mut Command) -> Started {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut said = Vec::new();
    let address = loop {
        let line = lines.next().unwrap_or_else(|| panic!("it ended before it listened: {said:#?}"));
        if let Some((_, address)) = line.split_once("listening address=") {
            break address.trim().to_owned();
        }
        said.push(line);
    };
    Started { child, address, lines: Box::new(said.into_iter().chain(lines)) }
}
