//! A program of the host, run to its end.

use std::ffi::OsStr;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// `nft` takes milliseconds; others may wait for the bus of the host.
const DEADLINE: Duration = Duration::from_secs(10);

/// Runs `program` with `input` on its standard input; gives what it printed.
///
/// # Errors
/// When it cannot be run, does not end in time, or fails: then the first line of what it said on standard error.
pub async fn run(program: &str, arguments: &[impl AsRef<OsStr>], input: &str) -> io::Result<String> {
    let run = async {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends without reading says why on its standard error.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    let output = timeout(DEADLINE, run).await.map_err(late)??;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(text.lines().next().unwrap_or("failed").trim()))
}
