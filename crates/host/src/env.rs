//! The environment: variables, and files read with a cap.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::files::FileError;
use crate::future::BoxFuture;

/// The process environment, or what stands for it in a test.
///
/// An array of pairs or a map is an environment without files; [`FakeEnv`] has files too.
///
/// ```
/// # use ambisign_host as host;
/// use host::Env;
///
/// let env = [("CI", "true"), ("EMPTY", "")];
/// assert_eq!(env.var("CI").as_deref(), Some("true"));
/// assert_eq!(env.var("EMPTY"), None, "an empty variable counts as unset");
/// ```
pub trait Env: Send + Sync {
    /// The value of the variable `name` as it is, also when it is empty; `None` when it is unset.
    fn var_os(&self, name: &str) -> Option<OsString>;

    /// Reads the file at `path`, at most `cap` bytes. See
    /// [`read_file_or_fifo`](crate::files::read_file_or_fifo) for what is refused. An implementation never blocks the thread that polls the future, so that a
    /// caller's deadline holds whatever the file system does.
    fn read<'a>(&'a self, path: &'a Path, cap: usize) -> BoxFuture<'a, Result<Vec<u8>, FileError>>;

    /// The value of the variable `name`; `None` when it is unset or empty.
    ///
    /// A value that is not UTF-8 counts as set: each wrong byte becomes U+FFFD, so that what uses
    /// the value fails instead of going on as if there were none. [`Self::try_var`] names it.
    fn var(&self, name: &str) -> Option<String> {
        let value = self.var_os(name).filter(|value| !value.is_empty())?;
        Some(value.into_string().unwrap_or_else(|value| value.to_string_lossy().into_owned()))
    }

    /// The value of the variable `name`; `None` when it is unset or empty.
    ///
    /// # Errors
    /// The value is not UTF-8.
    fn try_var(&self, name: &str) -> Result<Option<String>, NotUtf8> {
        let Some(value) = self.var_os(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        value.into_string().map(Some).map_err(|_| NotUtf8 { name: name.to_owned() })
    }

    /// The path in the variable `name`, byte for byte; `None` when it is unset or empty. Paths need
    /// not be text.
    fn path(&self, name: &str) -> Option<PathBuf> {
        self.var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }
}

/// A variable whose value is not text. The value is not shown: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of the variable {name} is not valid UTF-8")]
pub struct NotUtf8 {
    /// The variable.
    pub name: String,
}

/// What a host without files answers.
fn no_files(path: &Path) -> BoxFuture<'_, Result<Vec<u8>, FileError>> {
    Box::pin(std::future::ready(Err(FileError::NotFound { path: path.to_owned() })))
}

impl<const N: usize> Env for [(&str, &str); N] {
    fn var_os(&self, name: &str) -> Option<OsString> {
        self.as_slice().var_os(name)
    }

    fn read<'a>(&'a self, path: &'a Path, _: usize) -> BoxFuture<'a, Result<Vec<u8>, FileError>> {
        no_files(path)
    }
}

impl Env for [(&str, &str)] {
    fn var_os(&self, name: &str) -> Option<OsString> {
        let (_, value) = self.iter().find(|(key, _)| *key == name)?;
        Some(value.into())
    }

    fn read<'a>(&'a self, path: &'a Path, _: usize) -> BoxFuture<'a, Result<Vec<u8>, FileError>> {
        no_files(path)
    }
}

impl Env for BTreeMap<String, String> {
    fn var_os(&self, name: &str) -> Option<OsString> {
        self.get(name).map(OsString::from)
    }

    fn read<'a>(&'a self, path: &'a Path, _: usize) -> BoxFuture<'a, Result<Vec<u8>, FileError>> {
        no_files(path)
    }
}

impl Env for HashMap<String, String> {
    fn var_os(&self, name: &str) -> Option<OsString> {
        self.get(name).map(OsString::from)
    }

    fn read<'a>(&'a self, path: &'a Path, _: usize) -> BoxFuture<'a, Result<Vec<u8>, FileError>> {
        no_files(path)
    }
}

/// An environment for tests, with variables and files.
///
/// ```
/// # use ambisign_host as host;
/// use host::FakeEnv;
///
/// let env = FakeEnv::new().with_var("TOKEN_FILE", "/run/token").with_file("/run/token", "secret");
/// ```
#[derive(Clone, Debug, Default)]
pub struct FakeEnv {
    variables: BTreeMap<String, OsString>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl FakeEnv {
    /// Without variables and files.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the variable `name`.
    #[must_use]
    pub fn with_var(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// With a file at `path`.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>, contents: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), contents.into());
        self
    }
}

impl<'v> FromIterator<(&'v str, &'v str)> for FakeEnv {
    fn from_iter<I: IntoIterator<Item = (&'v str, &'v str)>>(variables: I) -> Self {
        variables.into_iter().fold(Self::new(), |env, (name, value)| env.with_var(name, value))
    }
}

impl Env for FakeEnv {
    fn var_os(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned()
    }

    fn read<'a>(&'a self, path: &'a Path, cap: usize) -> BoxFuture<'a, Result<Vec<u8>, FileError>> {
        let Some(contents) = self.files.get(path) else { return no_files(path) };
        let result = if contents.len() > cap {
            Err(FileError::TooLarge { path: path.to_owned(), cap })
        } else {
            Ok(contents.clone())
        };
        Box::pin(std::future::ready(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf8_counts_as_set() {
        use std::os::unix::ffi::OsStringExt as _;

        let env = FakeEnv::new().with_var("ROOT", OsString::from_vec(b"/r\xffot".to_vec()));
        assert_eq!(env.var("ROOT").as_deref(), Some("/r\u{fffd}ot"));
        let error = env.try_var("ROOT").unwrap_err();
        assert_eq!(error.to_string(), "the value of the variable ROOT is not valid UTF-8");
        assert_eq!(env.path("ROOT").unwrap().as_os_str(), env.var_os("ROOT").unwrap());
    }

    #[test]
    fn unset_and_empty_are_the_same_but_for_who_asks_for_the_raw_value() {
        let env = FakeEnv::new().with_var("EMPTY", "");
        for name in ["EMPTY", "UNSET"] {
            assert_eq!(env.var(name), None);
            assert_eq!(env.try_var(name), Ok(None));
        }
        assert_eq!(env.var_os("EMPTY"), Some(OsString::new()));
        assert_eq!(env.var_os("UNSET"), None);
    }
}
