//! Client ids and sessions on disk, so that a start after a crash can release the ids and adopt the sessions. Both live in the
//! modem, not in our process: what a killed agent held stays held until someone names it.
//!
//! Whoever works with the list of a modem holds a lock beside it: two processes of ours never take each other's ids for those
//! of a dead one.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio::time::{Instant, sleep};

use serde::{Deserialize, Serialize};

use super::sysfs::Slot;
use crate::event::IpFamily;
use crate::qmi::Service;

/// A data session and the client id that owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSession {
    /// Its IP family.
    pub family: IpFamily,
    /// Its WDS client id.
    pub cid: u8,
    /// Its packet data handle.
    pub handle: u32,
}

/// What we hold in a modem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// The modem as it was enumerated: another number on the bus means that it has restarted and forgotten all ids.
    enumeration: String,
    /// Service and client id.
    pub clients: Vec<(u8, u8)>,
    /// Sessions that are up.
    pub sessions: Vec<StoredSession>,
}

impl Ids {
    /// Nothing held in the modem of this slot.
    #[must_use]
    pub fn of(slot: &Slot) -> Self {
        let enumeration = format!("{}#{}.{}", slot.id, slot.bus, slot.device);
        Self { enumeration, ..Self::default() }
    }

    /// Notes a client id.
    pub fn hold(&mut self, service: Service, cid: u8) {
        let client = (service.number(), cid);
        if !self.clients.contains(&client) {
            self.clients.push(client);
        }
    }

    /// Strikes a client id, and the session that it owned.
    pub fn let_go(&mut self, service: Service, cid: u8) {
        self.clients.retain(|client| *client != (service.number(), cid));
        if service == Service::Wds {
            self.sessions.retain(|session| session.cid != cid);
        }
    }

    /// Strikes every client id and session.
    pub fn let_all_go(&mut self) {
        self.clients.clear();
        self.sessions.clear();
    }

    /// True for an id that owns a session.
    #[must_use]
    pub fn owns_session(&self, service: Service, cid: u8) -> bool {
        service == Service::Wds && self.sessions.iter().any(|session| session.cid == cid)
    }

    fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.sessions.is_empty()
    }
}

/// Pause between two tries for the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Where the ids of one slot are kept.
#[derive(Debug)]
pub struct Ledger {
    path: Option<PathBuf>,
    _lock: Option<Flock<fs::File>>,
}

impl Ledger {
    /// One that keeps nothing.
    #[must_use]
    pub fn none() -> Self {
        Self { path: None, _lock: None }
    }

    /// The list of the slot in `folder`, locked. `None` when another process holds it for longer than `wait`. A folder that
    /// cannot be written is logged, and nothing is kept.
    pub async fn lock(folder: &Path, slot: &Slot, wait: Duration) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
        let name: String = slot.id.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
        let (path, lock) = (folder.join(format!("{name}.ids")), folder.join(format!("{name}.lock")));
        let open = || {
            fs::create_dir_all(folder)?;
            fs::File::options().write(true).create(true).truncate(false).open(&lock)
        };
        let mut file = match open() {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(path = %lock.display(), %error, "client ids are not kept for the next start");
                return Some(Self::none());
            }
        };
        let end = Instant::now() + wait;
        loop {
            file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Some(Self { path: Some(path), _lock: Some(lock) }),
                Err((file, Errno::EWOULDBLOCK)) if Instant::now() < end => file,
                Err((_, Errno::EWOULDBLOCK)) => return None,
                Err((_, error)) => {
                    tracing::warn!(path = %lock.display(), %error, "client ids are not kept for the next start");
                    return Some(Self::none());
                }
            };
            sleep(LOCK_PAUSE).await;
        }
    }

    /// What an earlier run held in this modem. A missing or damaged file, or one of another enumeration,
    /// holds nothing.
    #[must_use]
    pub fn load(&self, slot: &Slot) -> Ids {
        let none = Ids::of(slot);
        let Some(path) = &self.path else { return none };
        match fs::read(path)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| Ok(serde_json::from_slice::<Ids>(&bytes)?))
        {
            Ok(ids) if ids.enumeration == none.enumeration => ids,
            Ok(_) => none,
            Err(error) => {
                if path.exists() {
                    tracing::warn!(path = %path.display(), %error, "the list of client ids cannot be read, it is ignored");
                }
                none
            }
        }
    }

    /// Keeps `ids`, whole or not at all. A failure is logged: it costs a few ids after a crash, not the link.
    pub fn store(&self, ids: &Ids) {
        let Some(path) = &self.path else { return };
        let result = if ids.is_empty() { remove(path) } else { replace(path, ids) };
        if let Err(error) = result {
            tracing::warn!(path = %path.display(), %error, "the list of client ids cannot be kept");
        }
    }
}

fn replace(path: &Path, ids: &Ids) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::File::create(&new)?.write_all(&serde_json::to_vec(ids)?)?;
    fs::rename(&new, path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ids_survive_until_the_modem_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let slot = Slot::by_path("wwan0", Path::new("/dev/cdc-wdm0"), Vec::new());
        let ledger = Ledger::lock(folder.path(), &slot, Duration::ZERO).await.unwrap();
        assert_eq!(ledger.load(&slot), Ids::of(&slot));
        let mut ids = Ids::of(&slot);
        ids.hold(Service::Dms, 1);
        ids.hold(Service::Wds, 2);
        ids.hold(Service::Wds, 2);
        ids.sessions.push(StoredSession { family: IpFamily::Ipv4, cid: 2, handle: 7 });
        ledger.store(&ids);
        assert_eq!(ledger.load(&slot), ids);
        assert!(ids.owns_session(Service::Wds, 2) && !ids.owns_session(Service::Dms, 1));
        let again = Slot { device: 9, ..slot.clone() };
        assert_eq!(ledger.load(&again), Ids::of(&again));
        ids.let_go(Service::Wds, 2);
        assert!(ids.sessions.is_empty());
        ids.let_go(Service::Dms, 1);
        ledger.store(&ids);
        assert!(!folder.path().join("_dev_cdc-wdm0.ids").exists(), "nothing held, nothing kept");
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let slot = Slot::by_path("wwan0", Path::new("/dev/cdc-wdm0"), Vec::new());
        let other = Slot::by_path("wwan1", Path::new("/dev/cdc-wdm1"), Vec::new());
        let wait = Duration::from_secs(1);
        let held = Ledger::lock(folder.path(), &slot, wait).await.unwrap();
        assert!(Ledger::lock(folder.path(), &slot, wait).await.is_none());
        assert!(Ledger::lock(folder.path(), &other, wait).await.is_some());
        drop(held);
        assert!(Ledger::lock(folder.path(), &slot, wait).await.is_some());
    }

    #[tokio::test]
    async fn a_damaged_list_is_an_empty_one_and_a_folder_that_cannot_be_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let slot = Slot::by_path("wwan0", Path::new("/dev/cdc-wdm0"), Vec::new());
        let file = folder.path().join("_dev_cdc-wdm0.ids");
        fs::write(&file, b"{\"clients\":[[1,").unwrap();
        let ledger = Ledger::lock(folder.path(), &slot, Duration::ZERO).await.unwrap();
        assert_eq!(ledger.load(&slot), Ids::of(&slot));
        let ledger = Ledger::lock(&file, &slot, Duration::ZERO).await.unwrap();
        ledger.store(&Ids::of(&slot));
    }
}
