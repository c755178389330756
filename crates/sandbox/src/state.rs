//! What survives a restart: the keys of every service, and the files for clients.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::Error;

/// The largest secret that is read back, in bytes: the root, its CA and their keys fit many times.
const SECRET_CAP: usize = 1 << 20;

/// Where the sandbox keeps what it made: a directory, or memory.
///
/// The secrets are the keys of services that no client outside this machine trusts. They are
/// nevertheless readable by their owner only.
#[derive(Debug)]
pub struct State {
    place: Storage,
}

#[derive(Debug)]
enum Storage {
    Directory(PathBuf),
    Memory(Mutex<BTreeMap<String, String>>),
}

impl State {
    /// Keeps everything in `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let directory = directory.into();
        let keys = directory.join("keys");
        std::fs::create_dir_all(&keys).map_err(file_error(&keys))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let owner_only = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(&keys, owner_only).map_err(file_error(&keys))?;
        }
        Ok(Self { place: Storage::Directory(directory) })
    }

    /// Keeps everything until it is dropped.
    pub fn in_memory() -> Self {
        Self { place: Storage::Memory(Mutex::default()) }
    }

    /// The directory, if there is one.
    pub fn directory(&self) -> Option<&Path> {
        match &self.place {
            Storage::Directory(directory) => Some(directory),
            Storage::Memory(_) => None,
        }
    }

    /// The secret text called `name` (a PEM file's name, say), made by `make` the first time.
    ///
    /// # Errors
    /// The file cannot be read or written, or `make` failed.
    pub fn secret(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<String, Error>,
    ) -> Result<String, Error> {
        match &self.place {
            Storage::Memory(secrets) => {
                let mut secrets = secrets.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(known) = secrets.get(name) {
                    return Ok(known.clone());
                }
                let made = make()?;
                secrets.insert(name.to_owned(), made.clone());
                Ok(made)
            }
            Storage::Directory(directory) => {
                let path = directory.join("keys").join(name);
                match host::read_file(&path, SECRET_CAP) {
                    Ok(bytes) => String::from_utf8(bytes)
                        .map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))
                        .map_err(file_error(&path)),
                    Err(host::FileError::NotFound { .. }) => {
                        let made = make()?;
                        write_secret(&path, &made).map_err(file_error(&path))?;
                        Ok(made)
                    }
                    Err(error) => Err(file_error(&path)(std::io::Error::other(error))),
                }
            }
        }
    }

    /// Writes a file for clients into the directory and returns its path; with no directory,
    /// writes nothing. A reader sees the old file or the new one, never a half.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn publish(&self, name: &str, content: &str) -> Result<Option<PathBuf>, Error> {
        let Some(directory) = self.directory() else { return Ok(None) };
        let path = directory.join(name);
        let draft = directory.join(format!(".{name}.{}", std::process::id()));
        std::fs::write(&draft, content).map_err(file_error(&draft))?;
        std::fs::rename(&draft, &path).map_err(file_error(&path))?;
        Ok(Some(path))
    }
}

pub(crate) fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File { path, source }
}

fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_read_back_by_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::in_directory(directory.path()).unwrap();
        let first = state.secret("ca.pem", || Ok("one".to_owned())).unwrap();
        let again = State::in_directory(directory.path()).unwrap();
        let second = again.secret("ca.pem", || Ok("two".to_owned())).unwrap();
        assert_eq!((first.as_str(), second.as_str()), ("one", "one"));
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let state = State::in_directory(directory.path()).unwrap();
        state.secret("ca.pem", || Ok("one".to_owned())).unwrap();
        let mode = |path: &str| {
            std::fs::metadata(directory.path().join(path)).unwrap().permissions().mode() & 0o777
        };
        assert_eq!((mode("keys"), mode("keys/ca.pem")), (0o700, 0o600));
    }

    #[test]
    fn memory_keeps_secrets_and_publishes_nothing() {
        let state = State::in_memory();
        state.secret("k", || Ok("one".to_owned())).unwrap();
        assert_eq!(state.secret("k", || Ok("two".to_owned())).unwrap(), "one");
        assert_eq!(state.publish("env", "A=1").unwrap(), None);
    }
}
