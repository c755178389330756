//! Sources that a user declares in a file, for platforms that this crate does not know.

mod declaration;
mod parse;
mod run;
mod template;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{Env, FileError, Host, with_causes};
use id_token::TokenSource;

use self::parse::parse;
use self::run::Declared;
use crate::error::Error;
use crate::files;
use crate::table::{Sources, Stage};

impl Sources {
    /// Adds the sources that the file at `path` declares, in its order, before those of the job. The
    /// crate's README describes the file.
    ///
    /// # Errors
    /// [`Error::Declaration`]: the file is not there or cannot be read, is not TOML, or declares
    /// something that is not valid. Nothing is added then.
    pub async fn declare(&mut self, host: &Host, path: &Path) -> Result<(), Error> {
        match files::read(host, path, FILE_CAP).await {
            Ok(bytes) => self.declare_bytes(host, path, &bytes),
            Err(error) => Err(Error::Declaration {
                path: path.to_owned(),
                line: None,
                reason: with_causes(&error),
            }),
        }
    }

    /// The same with the file where a person keeps it, `ambisign/identity.toml` below
    /// `XDG_CONFIG_HOME` or `~/.config`. There need not be one. One that cannot be read, as with
    /// the home directory of another user, counts as absent: the reason is returned, to be shown as
    /// a warning.
    ///
    /// # Errors
    /// [`Error::Declaration`]: the file can be read and is not valid.
    pub async fn declare_default(&mut self, host: &Host) -> Result<Option<FileError>, Error> {
        let Some(path) = default_path(host.env.as_ref()) else { return Ok(None) };
        match files::read(host, &path, FILE_CAP).await {
            Ok(bytes) => self.declare_bytes(host, &path, &bytes).map(|()| None),
            Err(FileError::NotFound { .. }) => Ok(None),
            Err(error) => Ok(Some(error)),
        }
    }

    fn declare_bytes(&mut self, host: &Host, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let invalid = |line, reason| Error::Declaration { path: path.to_owned(), line, reason };
        let text =
            std::str::from_utf8(bytes).map_err(|_| invalid(None, "it is not UTF-8".to_owned()))?;
        // Editors of some systems write a byte order mark.
        let text = text.trim_start_matches('\u{feff}');
        let declared =
            parse(text, &self.names()).map_err(|error| invalid(error.line, error.reason))?;
        for declaration in declared {
            let source = Declared::new(host.clone(), declaration);
            self.add(Stage::Declared, Arc::new(source) as Arc<dyn TokenSource>);
        }
        Ok(())
    }
}

/// Where [`Sources::declare_default`] looks.
fn default_path(env: &dyn Env) -> Option<PathBuf> {
    let directory = |name| env.path(name).filter(|path| path.is_absolute());
    let config = directory("XDG_CONFIG_HOME").or_else(|| Some(directory("HOME")?.join(".config")));
    Some(config?.join("ambisign").join("identity.toml"))
}

const FILE_CAP: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_where_configurations_are() {
        let path =
            |env: &[(&str, &str)]| Some(default_path(env_of(env).as_ref())?.display().to_string());
        assert_eq!(
            path(&[("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")]).unwrap(),
            "/c/ambisign/identity.toml"
        );
        assert_eq!(
            path(&[("XDG_CONFIG_HOME", "c"), ("HOME", "/h")]).unwrap(),
            "/h/.config/ambisign/identity.toml"
        );
        assert_eq!(path(&[]), None);
    }

    fn env_of(pairs: &[(&str, &str)]) -> Arc<dyn Env> {
        Arc::new(pairs.iter().copied().collect::<host::FakeEnv>())
    }
}
