//! The files of one mirror on disk, and the lock that keeps processes from mixing them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use host::Clock;
use sigstore_tuf::MetadataStore;

use crate::error::Error;
use crate::files::{self, Owner};
use crate::root_metadata::check_keys_in;
use crate::warning::Warning;

/// One mirror's files: metadata by role, `root_history/N.root.json`, `targets/NAME`, and when it
/// was refreshed. All are untrusted when read.
///
/// What is written is kept in memory until [`Cache::commit`]: a refresh that fails in the middle
/// leaves the other files as they were, and they can be used until they expire.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    trusted: Owner,
    pending: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Cache {
    /// The files in `directory`, which need not exist.
    pub(crate) fn new(directory: PathBuf, trusted: Owner) -> Self {
        Self { directory, trusted, pending: Mutex::default() }
    }

    /// A file, if it can be read and is not larger than such a file may be.
    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.path(name)?;
        if let Some(bytes) = self.pending().get(name) {
            return Some(bytes.clone());
        }
        let bytes = files::read(&path, cap_of(name), self.trusted).ok()?;
        // A root that breaks the rule ends the walk here; the mirror is then asked for it.
        let usable = !name.ends_with(".root.json") || check_keys_in(&bytes).is_ok();
        usable.then_some(bytes)
    }

    /// Keeps a file until [`Cache::commit`].
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        if self.path(name).is_some() {
            self.pending().insert(name.to_owned(), bytes.to_vec());
        }
    }

    /// Writes the roots that were kept and drops the rest, after a refresh that failed. They were
    /// verified, and what they revoke stays revoked.
    pub(crate) fn commit_roots(&self) -> Option<Warning> {
        let is_root = |name: &str| name == "root.json" || name.starts_with("root_history/");
        self.pending().retain(|name, _| is_root(name));
        self.commit()
    }

    /// Writes what was kept, and reports the first failure.
    pub(crate) fn commit(&self) -> Option<Warning> {
        let pending = std::mem::take(&mut *self.pending());
        // Each file is written in one step, and the timestamp, which refers to the others, last.
        let (last, others): (Vec<_>, Vec<_>) =
            pending.iter().partition(|(name, _)| [TIMESTAMP, REFRESHED].contains(&name.as_str()));
        let mut failure = None;
        for (name, bytes) in others.into_iter().chain(last.into_iter().rev()) {
            let Some(path) = self.path(name) else { continue };
            if let Err(source) = files::write(&path, bytes, self.trusted) {
                failure.get_or_insert(Warning::NotKept { path, source });
            }
        }
        failure
    }

    /// When the cache was last refreshed, from its own file.
    pub(crate) fn refreshed(&self) -> Option<SystemTime> {
        let text = self.read(REFRESHED)?;
        let seconds = std::str::from_utf8(&text).ok()?.trim().parse().ok()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    pub(crate) fn set_refreshed(&self, now: SystemTime) {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.write(REFRESHED, seconds.to_string().as_bytes());
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        name.split('/').all(is_plain).then(|| self.directory.join(name))
    }
}

impl MetadataStore for Cache {
    fn load(&self, name: &str) -> sigstore_tuf::Result<Option<Vec<u8>>> {
        Ok(self.read(name))
    }

    fn store(&self, name: &str, bytes: &[u8]) -> sigstore_tuf::Result<()> {
        // Of the versions of a file only the last is used, and it is stored without its version.
        let versioned =
            name.split('.').next().is_some_and(|v| v.bytes().all(|b| b.is_ascii_digit()));
        if !versioned {
            self.write(name, bytes);
        }
        Ok(())
    }
}

/// Whether `name` can be a file's name and nothing else, in a URL as on disk.
pub(crate) fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.len() <= 255 && name.bytes().all(plain)
}

/// Holds the mirror's files against other processes until it is dropped.
pub(crate) struct Lock {
    /// `None` where the directory is read-only or the system has no locks: then nothing is written,
    /// or each file is at least whole.
    _file: Option<File>,
}

/// Takes the lock at `path`, waiting for others by `clock`.
pub(crate) async fn lock(path: &Path, trusted: Owner, clock: &dyn Clock) -> Result<Lock, Error> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    let opened = files::create_directory(directory, trusted).and_then(|()| files::open_lock(path));
    let Ok(file) = opened else { return Ok(Lock { _file: None }) };
    for _ in 0..ROUNDS {
        match try_lock(&file) {
            Some(true) => return Ok(Lock { _file: Some(file) }),
            Some(false) => clock.sleep(ROUND).await,
            None => return Ok(Lock { _file: None }),
        }
    }
    Err(Error::Busy { path: path.to_owned(), waited: ROUND.saturating_mul(ROUNDS) })
}

/// Whether the lock was free; `None` where there are no locks.
#[cfg(unix)]
fn try_lock(file: &File) -> Option<bool> {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;

    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Some(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Some(false),
        Err(_) => None,
    }
}

#[cfg(not(unix))]
fn try_lock(_: &File) -> Option<bool> {
    None
}

const REFRESHED: &str = "refreshed";
const TIMESTAMP: &str = "timestamp.json";
/// The largest file of this name that is read, in bytes: as large as the TUF client fetches it.
fn cap_of(name: &str) -> usize {
    match name {
        REFRESHED => 64,
        TIMESTAMP => 16 << 10,
        name if name.ends_with("root.json") && !name.starts_with("targets/") => ROOT_CAP,
        name if name.starts_with("targets/") => TARGET_CAP,
        _ => METADATA_CAP,
    }
}

/// The limits of `sigstore-tuf` for a root and for the other roles.
const ROOT_CAP: usize = 512_000;
const METADATA_CAP: usize = 5_000_000;
/// The largest target, as the readers of trusted roots and signing configs have it.
const TARGET_CAP: usize = 16 << 20;
/// How often and in which intervals the lock is tried: together longer than a refresh may take.
const ROUNDS: u32 = 1_200;
const ROUND: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_paths_are_neither_read_nor_written() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path().join("cache"), Owner::default());
        std::fs::write(directory.path().join("secret.json"), "{}").unwrap();
        for name in
            ["../secret.json", "a/../../secret.json", "/etc/passwd", "..", "", "a//b", "%2e%2e"]
        {
            assert_eq!(cache.read(name), None, "{name}");
            cache.write(name, b"overwritten");
            assert!(cache.commit().is_none());
        }
        assert_eq!(std::fs::read(directory.path().join("secret.json")).unwrap(), b"{}");
        assert!(!directory.path().join("cache").exists());
    }

    #[test]
    fn writing_leaves_nothing_beside_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path().to_owned(), Owner::default());
        for content in ["one", "two"] {
            cache.write("targets/a.json", content.as_bytes());
            assert!(cache.commit().is_none());
        }
        cache.store("17.snapshot.json", b"{}").unwrap();
        assert!(cache.commit().is_none());
        let targets = directory.path().join("targets");
        let names: Vec<_> =
            std::fs::read_dir(&targets).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(names, [targets.join("a.json")]);
        assert_eq!(cache.read("targets/a.json").unwrap(), b"two");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_cached_file_is_not_larger_than_what_is_fetched() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("targets")).unwrap();
        let cache = Cache::new(directory.path().to_owned(), Owner::default());
        for (name, most) in [
            ("timestamp.json", 16 << 10),
            ("snapshot.json", 5_000_000),
            ("refreshed", 64),
            ("targets/trusted_root.json", 16 << 20),
        ] {
            let path = directory.path().join(name);
            std::fs::write(&path, vec![b' '; most]).unwrap();
            assert_eq!(cache.read(name).map(|bytes| bytes.len()), Some(most), "{name}");
            std::fs::write(&path, vec![b' '; most + 1]).unwrap();
            assert_eq!(cache.read(name), None, "{name}");
        }
    }

    #[test]
    fn nothing_is_written_before_it_is_committed() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path().to_owned(), Owner::default());
        cache.write("timestamp.json", b"{}");
        assert_eq!(cache.read("timestamp.json").unwrap(), b"{}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        let other = Cache::new(directory.path().to_owned(), Owner::default());
        assert_eq!(other.read("timestamp.json"), None);
    }

    #[test]
    fn a_cache_that_cannot_be_written_says_so_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        let cache = Cache::new(file, Owner::default());
        cache.write("root.json", b"{}");
        cache.write("snapshot.json", b"{}");
        let warning = cache.commit();
        assert!(
            matches!(&warning, Some(Warning::NotKept { path, .. }) if path.ends_with("root.json")),
            "{warning:?}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_is_held_by_one_and_waited_for_by_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mirror.lock");
        let taken = || {
            let mut future = std::pin::pin!(lock(&path, Owner::default(), &UNIX_EPOCH));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match future.as_mut().poll(&mut context) {
                std::task::Poll::Ready(result) => result,
                std::task::Poll::Pending => panic!("the clock does not wait"),
            }
        };
        let first = taken().unwrap();
        let error = taken().err().unwrap();
        assert!(matches!(error, Error::Busy { .. }), "{error}");
        drop(first);
        taken().unwrap();
    }
}
