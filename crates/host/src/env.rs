//! The environment: variables, and files read with a cap.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::files::{FileError, read_file};

/// The process environment, or what stands for it in a test.
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
    /// The value of the variable `name`. Unset, empty and not UTF-8 are all `None`.
    fn var(&self, name: &str) -> Option<String>;

    /// Reads the file at `path`, at most `cap` bytes. See [`read_file`] for what it refuses.
    fn read(&self, path: &Path, cap: usize) -> Result<Vec<u8>, FileError> {
        read_file(path, cap)
    }
}

impl<const N: usize> Env for [(&str, &str); N] {
    fn var(&self, name: &str) -> Option<String> {
        self.as_slice().var(name)
    }
}

impl Env for [(&str, &str)] {
    fn var(&self, name: &str) -> Option<String> {
        let (_, value) = self.iter().find(|(key, _)| *key == name)?;
        (!value.is_empty()).then(|| (*value).to_owned())
    }
}

impl Env for BTreeMap<String, String> {
    fn var(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).cloned()
    }
}

impl Env for HashMap<String, String> {
    fn var(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).cloned()
    }
}
