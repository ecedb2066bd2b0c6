//! The configuration file on disk: read, replaced, taken back. Used by the agent and by the command line.
//!
//! ```text
//! agent.toml            in force
//! agent.toml.previous   what was in force before the last commit
//! agent.toml.pending    there while a commit waits for its confirmation (`config::pending`)
//! ```
//!
//! Everything that a change needs is written and synced under other names first; then come only renames, the
//! file itself last. A full disk or a lost power therefore leaves either the old state or the new one. A lock on
//! the folder keeps two changes apart.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::config::pending::{BootTime, Cause, Decision, Pending};

/// Longest file that is read as a configuration; a longer one is a mistake.
const SIZE_MAX: u64 = 1 << 20;

/// Mode of a file that had no predecessor: it may hold passwords.
const PRIVATE: u32 = 0o600;

/// The place of a configuration.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: PathBuf,
}

/// Why a configuration could not be read or changed. The state on disk is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// The disk or the system refused.
    #[error("cannot {doing} {}: {error}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is not text, or far too long.
    #[error("{} is not a configuration: {why}", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: &'static str,
    },
    /// Somebody else wrote the file since it was read.
    #[error("{} changed meanwhile; look at it and commit again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Another change is under way.
    #[error("another commit to {} is under way; try again", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing to confirm.
    #[error("no commit to {} waits for a confirmation", path.display())]
    NothingPending {
        /// The file.
        path: PathBuf,
    },
}

/// Changes when somebody writes the file; equal stamps mean an unchanged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    modified_ns: (i64, i64),
    length: u64,
}

/// What [`ConfigFile::settle`] did.
#[derive(Clone, PartialEq, Eq)]
pub enum Settled {
    /// No commit waits.
    NothingPending,
    /// It waits on, this long at most.
    Waiting(Duration),
    /// The new configuration is there to stay.
    Kept,
    /// The file was edited by hand since the commit: the edit stands.
    EditedByHand,
    /// The configuration before is in force again.
    RolledBack {
        /// Why.
        cause: Cause,
        /// The text that was given up.
        given_up: String,
        /// The text in force again; `None` when there was no configuration.
        restored: Option<String>,
    },
}

impl std::fmt::Debug for Settled {
    /// Without the texts: they may hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NothingPending => f.write_str("NothingPending"),
            Self::Waiting(left) => f.debug_tuple("Waiting").field(left).finish(),
            Self::Kept => f.write_str("Kept"),
            Self::EditedByHand => f.write_str("EditedByHand"),
            Self::RolledBack { cause, .. } => {
                f.debug_tuple("RolledBack").field(cause).finish_non_exhaustive()
            }
        }
    }
}

/// The running boot and how long it has lasted.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn boot_time() -> io::Result<BootTime> {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
    let uptime = fs::read_to_string("/proc/uptime")?;
    let seconds = uptime.split_whitespace().next().and_then(|text| text.parse::<f64>().ok());
    let seconds = seconds.ok_or_else(|| io::Error::other("/proc/uptime holds no number"))?;
    Ok(BootTime { boot_id, boottime_ms: (seconds * 1000.0) as u64 })
}

impl ConfigFile {
    /// The configuration at `path`. A symbolic link is followed: what it points to is replaced.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text, `None` when there is no file.
    ///
    /// # Errors
    /// When it cannot be read, is no text or longer than 1 MiB.
    pub fn read(&self) -> Result<Option<String>, ConfigFileError> {
        read_text(&self.path)
    }

    /// For polling; `None` when there is no file.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        let metadata = fs::metadata(&self.path).ok()?;
        let modified_ns = (metadata.mtime(), metadata.mtime_nsec());
        Some(Stamp { inode: metadata.ino(), modified_ns, length: metadata.len() })
    }

    /// The commit that waits for its confirmation.
    ///
    /// # Errors
    /// When its record cannot be read. A record that makes no sense counts as none.
    pub fn pending(&self) -> Result<Option<Pending>, ConfigFileError> {
        let text = read_text(&self.beside("pending"))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Replaces the text by `new`, provided that it is still `base`, what the author looked at. With `confirm`,
    /// the change takes itself back unless confirmed within that time; one that already waits keeps what it goes
    /// back to. Without, a waiting commit is settled by this one.
    ///
    /// # Errors
    /// When the file changed, or a part cannot be written. Nothing has changed then.
    pub fn commit(
        &self,
        new: &str,
        base: Option<&str>,
        confirm: Option<(Duration, &BootTime)>,
    ) -> Result<(), ConfigFileError> {
        let _lock = self.lock()?;
        let current = self.read()?;
        if current.as_deref() != base {
            return Err(ConfigFileError::Changed { path: self.path.clone() });
        }
        let waiting = self.pending()?.filter(|pending| {
            confirm.is_some() && current.as_deref().is_some_and(|text| pending.text_sha256 == sha256(text))
        });
        let previous = waiting.map_or(current, |pending| pending.previous);
        let record = confirm.map(|(window, now)| Pending::new(now, window, sha256(new), previous.clone()));

        let record = record.map(|record| self.prepare("pending", &to_json(&record))).transpose()?;
        let previous = previous.map(|text| self.prepare("previous", &text)).transpose()?;
        let file = self.prepare("new", new)?;
        if let Some(previous) = previous {
            previous.rename_to(&self.beside("previous"))?;
        }
        let pending = self.beside("pending");
        let supersedes = record.is_none();
        if let Some(record) = record {
            record.rename_to(&pending)?;
        }
        file.rename_to(&self.path)?;
        if supersedes {
            remove(&pending)?;
        }
        self.sync_folder()
    }

    /// Takes an operator's confirmation. Unless `central_expected`, nothing else can speak against the commit
    /// and it is settled; otherwise the agent keeps it as soon as central has been reached. Returns whether it is
    /// settled.
    ///
    /// # Errors
    /// When nothing waits, or the record cannot be written.
    pub fn confirm(&self, central_expected: bool) -> Result<bool, ConfigFileError> {
        let _lock = self.lock()?;
        let pending =
            self.pending()?.ok_or_else(|| ConfigFileError::NothingPending { path: self.path.clone() })?;
        if central_expected {
            let record = to_json(&Pending { confirmed: true, ..pending });
            self.prepare("pending", &record)?.rename_to(&self.beside("pending"))?;
        } else {
            remove(&self.beside("pending"))?;
        }
        self.sync_folder()?;
        Ok(!central_expected)
    }

    /// Carries out what is decided about a waiting commit. To be called at the start, when central is reached,
    /// and when the time that [`Settled::Waiting`] gives is over. `reached_central` as in [`Pending::decide`].
    ///
    /// # Errors
    /// When the file cannot be replaced; to be tried again.
    pub fn settle(&self, now: &BootTime, reached_central: bool) -> Result<Settled, ConfigFileError> {
        if self.pending()?.is_none() {
            return Ok(Settled::NothingPending);
        }
        let _lock = self.lock()?;
        let Some(pending) = self.pending()? else { return Ok(Settled::NothingPending) };
        let current = self.read()?.unwrap_or_default();
        let settled = if sha256(&current) != pending.text_sha256 {
            Settled::EditedByHand
        } else {
            match pending.decide(now, reached_central) {
                Decision::Wait(left) => return Ok(Settled::Waiting(left)),
                Decision::Keep => Settled::Kept,
                Decision::RollBack(cause) => {
                    self.restore(pending.previous.as_deref())?;
                    Settled::RolledBack { cause, given_up: current, restored: pending.previous }
                }
            }
        };
        remove(&self.beside("pending"))?;
        self.sync_folder()?;
        Ok(settled)
    }

    /// Puts `text` in force. Where the kept copy of it is whole, that is moved: a full disk does not stand in the
    /// way back.
    fn restore(&self, text: Option<&str>) -> Result<(), ConfigFileError> {
        let Some(text) = text else { return remove(&self.path) };
        let kept = self.beside("previous");
        let prepared = if read_text(&kept).is_ok_and(|kept| kept.as_deref() == Some(text)) {
            Prepared { path: kept, keep: true }
        } else {
            self.prepare("new", text)?
        };
        prepared.rename_to(&self.path)
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".");
        path.push(ending);
        path.into()
    }

    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Held until dropped.
    fn lock(&self) -> Result<File, ConfigFileError> {
        let folder = File::open(self.folder()).map_err(io_error("open folder", self.folder()))?;
        match folder.try_lock() {
            Ok(()) => Ok(folder),
            Err(fs::TryLockError::WouldBlock) => Err(ConfigFileError::Busy { path: self.path.clone() }),
            Err(fs::TryLockError::Error(error)) => Err(io_error("lock folder", self.folder())(error)),
        }
    }

    fn sync_folder(&self) -> Result<(), ConfigFileError> {
        File::open(self.folder())
            .and_then(|folder| folder.sync_all())
            .map_err(io_error("sync", self.folder()))
    }

    /// Writes and syncs `text` under a passing name, with mode and owner of the file in force.
    fn prepare(&self, ending: &str, text: &str) -> Result<Prepared, ConfigFileError> {
        let path = self.beside(&format!("{ending}.tmp"));
        remove(&path)?;
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&path)?;
            if let Ok(old) = fs::metadata(&self.path) {
                let new = file.metadata()?;
                if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                    fchown(&file, Some(old.uid()), Some(old.gid()))?;
                }
                file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
            }
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        // From here on a failure removes the file again.
        let prepared = Prepared { path: path.clone(), keep: false };
        write().map_err(io_error("write", &path))?;
        Ok(prepared)
    }
}

/// A file under a passing name; removed unless renamed.
struct Prepared {
    path: PathBuf,
    keep: bool,
}

impl Prepared {
    fn rename_to(mut self, target: &Path) -> Result<(), ConfigFileError> {
        fs::rename(&self.path, target).map_err(io_error("replace", target))?;
        self.keep = true;
        Ok(())
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn read_text(path: &Path) -> Result<Option<String>, ConfigFileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("read", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    let not_text = |why| ConfigFileError::NotText { path: path.to_owned(), why };
    if bytes.len() as u64 > SIZE_MAX {
        return Err(not_text("it is longer than 1 MiB"));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| not_text("it is not UTF-8 text"))
}

/// Removes a file; one that is gone already is as good.
fn remove(path: &Path) -> Result<(), ConfigFileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> ConfigFileError {
    move |error| ConfigFileError::Io { doing, path: path.to_owned(), error }
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn to_json(pending: &Pending) -> String {
    serde_json::to_string(pending).expect("a record is plain data")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(600);

    struct Fixture {
        folder: tempfile::TempDir,
        file: ConfigFile,
    }

    impl Fixture {
        fn new(text: Option<&str>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("agent.toml");
            if let Some(text) = text {
                fs::write(&path, text).unwrap();
            }
            Self { file: ConfigFile::new(&path), folder }
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.folder.path()).unwrap();
            let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }

        fn text(&self) -> Option<String> {
            self.file.read().unwrap()
        }

        fn commit(&self, new: &str, confirm: bool) {
            let (base, now) = (self.text(), at(0));
            self.file.commit(new, base.as_deref(), confirm.then_some((WINDOW, &now))).unwrap();
        }
    }

    fn at(boottime_s: u64) -> BootTime {
        BootTime { boot_id: "boot".into(), boottime_ms: boottime_s * 1000 }
    }

    #[test]
    fn a_commit_replaces_the_text_and_keeps_the_one_before() {
        let fixture = Fixture::new(Some("one"));
        let stamp = fixture.file.stamp();
        fixture.commit("two", false);
        assert_ne!(fixture.file.stamp(), stamp);
        assert_eq!(fixture.text().as_deref(), Some("two"));
        assert_eq!(fixture.names(), ["agent.toml", "agent.toml.previous"]);
        assert_eq!(fs::read_to_string(fixture.file.beside("previous")).unwrap(), "one");
    }

    #[test]
    fn mode_is_kept_and_private_at_first() {
        let fixture = Fixture::new(None);
        let mode = || fs::metadata(fixture.file.path()).unwrap().mode() & 0o777;
        fixture.commit("one", false);
        assert_eq!(mode(), 0o600);
        fs::set_permissions(fixture.file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        fixture.commit("two", false);
        assert_eq!(mode(), 0o640);
    }

    #[test]
    fn a_symbolic_link_stays_one() {
        let fixture = Fixture::new(Some("one"));
        let link = fixture.folder.path().join("link.toml");
        std::os::unix::fs::symlink(fixture.file.path(), &link).unwrap();
        ConfigFile::new(&link).commit("two", Some("one"), None).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fixture.text().as_deref(), Some("two"));
    }

    #[test]
    fn refused_changes_change_nothing() {
        let fixture = Fixture::new(Some("one"));
        let commit = |base| fixture.file.commit("two", base, None);
        assert!(matches!(commit(Some("zero")), Err(ConfigFileError::Changed { .. })));
        assert!(matches!(commit(None), Err(ConfigFileError::Changed { .. })));
        let lock = fixture.file.lock().unwrap();
        assert!(matches!(commit(Some("one")), Err(ConfigFileError::Busy { .. })));
        drop(lock);
        // A folder where a file should be written stands for any failure half-way.
        for part in ["new.tmp", "previous.tmp", "pending.tmp"] {
            let obstacle = fixture.file.beside(part);
            fs::create_dir(&obstacle).unwrap();
            let result = fixture.file.commit("two", Some("one"), Some((WINDOW, &at(0))));
            assert!(matches!(result, Err(ConfigFileError::Io { .. })), "{part}");
            fs::remove_dir(&obstacle).unwrap();
            assert_eq!(fixture.names(), ["agent.toml"], "{part}");
        }
        assert_eq!(fixture.text().as_deref(), Some("one"));
        fs::write(fixture.file.path(), b"\xff").unwrap();
        assert!(matches!(fixture.file.read(), Err(ConfigFileError::NotText { .. })));
    }

    #[test]
    fn an_unconfirmed_commit_goes_back() {
        let fixture = Fixture::new(Some("one"));
        fixture.commit("two", true);
        assert_eq!(fixture.file.settle(&at(599), true).unwrap(), Settled::Waiting(Duration::from_secs(1)));
        let Settled::RolledBack { cause, given_up, restored } = fixture.file.settle(&at(600), true).unwrap()
        else {
            panic!("not rolled back");
        };
        assert_eq!(
            (cause, given_up.as_str(), restored.as_deref()),
            (Cause::NotConfirmed, "two", Some("one"))
        );
        assert_eq!(fixture.text().as_deref(), Some("one"));
        assert_eq!(fixture.names(), ["agent.toml"]);
        assert_eq!(fixture.file.settle(&at(601), true).unwrap(), Settled::NothingPending);
    }

    #[test]
    fn a_first_configuration_goes_back_to_none() {
        let fixture = Fixture::new(None);
        fixture.commit("one", true);
        assert!(matches!(
            fixture.file.settle(&at(600), true).unwrap(),
            Settled::RolledBack { restored: None, .. }
        ));
        assert!(fixture.names().is_empty());
    }

    #[test]
    fn the_way_back_needs_no_kept_copy() {
        let fixture = Fixture::new(Some("one"));
        fixture.commit("two", true);
        remove(&fixture.file.beside("previous")).unwrap();
        fixture.file.settle(&at(600), false).unwrap();
        assert_eq!(fixture.text().as_deref(), Some("one"));
    }

    #[test]
    fn a_confirmed_commit_stays_once_central_was_reached() {
        let fixture = Fixture::new(Some("one"));
        fixture.commit("two", true);
        assert!(!fixture.file.confirm(true).unwrap());
        assert!(matches!(fixture.file.settle(&at(1), false).unwrap(), Settled::Waiting(_)));
        assert_eq!(fixture.file.settle(&at(2), true).unwrap(), Settled::Kept);
        assert_eq!(fixture.text().as_deref(), Some("two"));
        assert!(matches!(fixture.file.confirm(true), Err(ConfigFileError::NothingPending { .. })));

        fixture.commit("three", true);
        assert!(!fixture.file.confirm(true).unwrap());
        let settled = fixture.file.settle(&at(600), false).unwrap();
        assert!(
            matches!(settled, Settled::RolledBack { cause: Cause::CentralUnreachable, .. }),
            "{settled:?}"
        );
        assert_eq!(fixture.text().as_deref(), Some("two"));
    }

    #[test]
    fn without_central_a_confirmation_settles() {
        let fixture = Fixture::new(Some("one"));
        fixture.commit("two", true);
        assert!(fixture.file.confirm(false).unwrap());
        assert_eq!(fixture.file.settle(&at(600), false).unwrap(), Settled::NothingPending);
        assert_eq!(fixture.text().as_deref(), Some("two"));
    }

    #[test]
    fn a_second_try_goes_back_to_what_was_known_to_work() {
        let fixture = Fixture::new(Some("one"));
        fixture.commit("two", true);
        fixture.commit("three", true);
        fixture.file.settle(&at(600), true).unwrap();
        assert_eq!(fixture.text().as_deref(), Some("one"));
    }

    #[test]
    fn a_plain_commit_and_an_edit_by_hand_end_the_waiting() {
        let fixture = Fixture::new(Some("one"));
        fixture.commit("two", true);
        fixture.commit("three", false);
        assert_eq!(fixture.file.settle(&at(600), false).unwrap(), Settled::NothingPending);
        fixture.commit("four", true);
        fs::write(fixture.file.path(), "by hand").unwrap();
        assert_eq!(fixture.file.settle(&at(600), false).unwrap(), Settled::EditedByHand);
        assert_eq!(fixture.text().as_deref(), Some("by hand"));
    }

    #[test]
    fn a_damaged_record_takes_nothing_back() {
        let fixture = Fixture::new(Some("one"));
        fixture.commit("two", true);
        fs::write(fixture.file.beside("pending"), "{\"boot-id\":").unwrap();
        assert_eq!(fixture.file.settle(&at(600), false).unwrap(), Settled::NothingPending);
        assert_eq!(fixture.text().as_deref(), Some("two"));
    }

    #[test]
    fn boot_time_goes_forward() {
        let (first, second) = (boot_time().unwrap(), boot_time().unwrap());
        assert_eq!(first.boot_id, second.boot_id);
        assert!(second.boottime_ms >= first.boottime_ms && first.boottime_ms > 0);
    }
}
