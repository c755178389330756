//! New key files, as cosign writes them: `PREFIX.key`, encrypted, and `PREFIX.pub`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use keys::{KeyPair, Sign as _};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::file::write::in_directory;
use crate::file::write_atomically;

/// Where a key pair is written.
#[derive(Clone, Debug)]
pub struct KeyFiles {
    private: PathBuf,
    public: PathBuf,
    overwrite: bool,
}

/// Why key files are not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// A file of this name exists. What a lost key signed can be verified, and nothing more signed.
    #[error("{} exists and is not overwritten", _0.display())]
    Exists(PathBuf),
    /// The key cannot be encrypted.
    #[error("the private key cannot be encrypted")]
    Key(#[source] keys::Error),
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

impl KeyFiles {
    /// The files `PREFIX.key` and `PREFIX.pub`, which must not exist unless they are to be
    /// overwritten.
    ///
    /// # Errors
    /// [`KeyFileError::Exists`].
    pub fn new(prefix: &str, overwrite: bool) -> Result<Self, KeyFileError> {
        let file = |suffix| PathBuf::from(format!("{prefix}.{suffix}"));
        let files = Self { private: file("key"), public: file("pub"), overwrite };
        for path in [&files.private, &files.public] {
            if !overwrite && path.symlink_metadata().is_ok() {
                return Err(KeyFileError::Exists(path.clone()));
            }
        }
        Ok(files)
    }

    /// The file of the private key.
    pub fn private(&self) -> &Path {
        &self.private
    }

    /// The file of the public key.
    pub fn public(&self) -> &Path {
        &self.public
    }

    /// Writes both, beside the runtime: encrypting takes some tenths of a second. Only the owner can
    /// read the private key.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub async fn write(
        &self,
        key: KeyPair,
        password: Zeroizing<Vec<u8>>,
    ) -> Result<(), KeyFileError> {
        let files = self.clone();
        let work = move || {
            let text = key.to_encrypted_pem(&password).map_err(KeyFileError::Key)?;
            let failed = |path: &Path| {
                let path = path.to_owned();
                move |source| KeyFileError::Write { path, source }
            };
            files.write_private(text.as_bytes()).map_err(failed(&files.private))?;
            let public = key.public_key().to_pem();
            write_atomically(&files.public, public.as_bytes()).map_err(failed(&files.public))
        };
        let failed = |source| KeyFileError::Write { path: self.private.clone(), source };
        host::off_thread(work).await.unwrap_or_else(|source| Err(failed(source)))
    }

    /// A new temporary file has the mode 0600.
    fn write_private(&self, text: &[u8]) -> io::Result<()> {
        let directory = self.private.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or_else(|| Path::new("."));
        let draft = NamedTempFile::new_in(directory);
        let mut draft = draft.map_err(|error| in_directory(directory, error))?;
        draft.write_all(text)?;
        draft.as_file().sync_all()?;
        let kept = match self.overwrite {
            true => draft.persist(&self.private),
            false => draft.persist_noclobber(&self.private),
        };
        kept.map(drop).map_err(|error| error.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(prefix: &str, overwrite: bool) -> Result<KeyFiles, KeyFileError> {
        let files = KeyFiles::new(prefix, overwrite)?;
        let password = Zeroizing::new(b"pw".to_vec());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(files.write(KeyPair::generate().unwrap(), password))?;
        Ok(files)
    }

    #[test]
    fn key_files_are_written_once_and_only_the_owner_can_read_the_private_one() {
        let directory = tempfile::tempdir().unwrap();
        let prefix = directory.path().join("my").display().to_string();
        let files = write(&prefix, false).unwrap();
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let key = KeyPair::from_encrypted_pem(&read(files.private()), b"pw").unwrap();
        assert_eq!(read(files.public()), key.public_key().to_pem());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(files.private()), 0o600);
        }

        let missing = directory.path().join("absent").join("my").display().to_string();
        let error = host::with_causes(&write(&missing, false).unwrap_err());
        assert!(error.ends_with("absent does not exist"), "{error}");

        let kept = read(files.private());
        let error = write(&prefix, false).unwrap_err();
        assert!(matches!(&error, KeyFileError::Exists(path) if path == files.private()), "{error}");
        std::fs::remove_file(files.private()).unwrap();
        assert!(matches!(write(&prefix, false), Err(KeyFileError::Exists(_))));
        write(&prefix, true).unwrap();
        assert_ne!(read(files.private()), kept);
    }
}
