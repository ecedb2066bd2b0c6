//! One agent per spool: `spool.lock`, held with flock for as long as the spool is open. The kernel lets go of
//! it when the process ends, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::SpoolError;

/// The lock, held.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] Flock<File>);

impl Lock {
    /// Takes the lock and leaves our process id in it.
    pub fn take(directory: &Path) -> Result<Self, SpoolError> {
        let disk = |what: &str, error: std::io::Error| SpoolError::Disk {
            directory: directory.to_owned(),
            cause: format!("{what} spool.lock: {error}"),
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join("spool.lock"))
            .map_err(|error| disk("open", error))?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut process = String::new();
                let _ = (&mut file).take(32).read_to_string(&mut process);
                let process = match process.trim() {
                    "" => "unknown".to_owned(),
                    process => process.to_owned(),
                };
                return Err(SpoolError::InUse { directory: directory.to_owned(), process });
            }
            Err((_, errno)) => return Err(disk("lock", errno.into())),
        };
        // The process id only helps a person; a full disk must not stop us here.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
        Ok(Self(file))
    }
}
