//! The environment at a node: what belongs to no person comes from one directory.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{BoxFuture, Env, FileError};

/// An environment in which the files of Docker and TUF are those of a directory such as
/// `/etc/ambisign`, whoever started the container runtime: `config.json` with the credentials of
/// registries, and `tuf` with the cached trusted root. Everything else is that of another
/// environment.
#[derive(Clone)]
pub struct NodeEnv {
    env: Arc<dyn Env>,
    directory: PathBuf,
}

impl NodeEnv {
    /// The environment `env` with the files of `directory`.
    pub fn new(env: Arc<dyn Env>, directory: &Path) -> Self {
        Self { env, directory: directory.to_owned() }
    }
}

/// The configuration of a node, in one directory such as `/etc/ambisign`.
#[derive(Clone, Debug)]
pub struct NodeFiles {
    directory: PathBuf,
    providers: Option<PathBuf>,
    programs: Option<PathBuf>,
}

impl NodeFiles {
    /// The files of `directory`.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), providers: None, programs: None }
    }

    /// With kubelet's configuration of credential providers, and the directory with their programs,
    /// elsewhere.
    #[must_use]
    pub fn with_credential_providers(
        self,
        providers: Option<PathBuf>,
        programs: Option<PathBuf>,
    ) -> Self {
        Self { providers, programs, ..self }
    }

    /// The policy.
    pub fn policy(&self) -> PathBuf {
        self.directory.join("policy.toml")
    }

    /// The trusted root, if one is there.
    pub fn trusted_root(&self) -> Option<PathBuf> {
        Some(self.directory.join("trusted_root.json")).filter(|file| file.exists())
    }

    /// The credentials of registries, as Docker has them.
    pub fn credentials(&self) -> PathBuf {
        self.directory.join("config.json")
    }

    /// kubelet's configuration of credential providers, JSON or YAML, and the directory with their
    /// programs.
    pub fn credential_providers(&self) -> (PathBuf, PathBuf) {
        let there = |named: &Option<PathBuf>, name: &str| {
            named.clone().unwrap_or_else(|| self.directory.join(name))
        };
        let json = there(&self.providers, "credential-provider-config.json");
        let yaml = json.with_extension("yaml");
        let programs = there(&self.programs, "credential-provider-bin");
        (if json.exists() { json } else { yaml }, programs)
    }
}

impl Env for NodeEnv {
    fn var_os(&self, name: &str) -> Option<OsString> {
        match name {
            "DOCKER_CONFIG" => Some(self.directory.clone().into()),
            "TUF_ROOT" => Some(self.directory.join("tuf").into()),
            _ if PERSONAL.contains(&name) => None,
            _ => self.env.var_os(name),
        }
    }

    fn read<'a>(&'a self, path: &'a Path, cap: usize) -> BoxFuture<'a, Result<Vec<u8>, FileError>> {
        self.env.read(path, cap)
    }
}

/// They lead to files of the user that started the runtime, or to another trusted root.
const PERSONAL: [&str; 8] = [
    "HOME",
    "REGISTRY_AUTH_FILE",
    "TUF_MIRROR",
    "TUF_ROOT_JSON",
    "USERPROFILE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_person_are_not_looked_for_at_a_node() {
        let person = [("HOME", "/root"), ("DOCKER_CONFIG", "/x"), ("HTTPS_PROXY", "http://p")];
        let env = NodeEnv::new(Arc::new(person), Path::new("/etc/ambisign"));
        assert_eq!(env.var("HOME"), None);
        assert_eq!(env.var("DOCKER_CONFIG").as_deref(), Some("/etc/ambisign"));
        assert_eq!(env.var("TUF_ROOT").as_deref(), Some("/etc/ambisign/tuf"));
        assert_eq!(env.var("HTTPS_PROXY").as_deref(), Some("http://p"));
    }
}
