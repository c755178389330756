//! The programs that `cargo xtask peers` fetches.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The modules of Python that the tests import.
const MODULES: [&str; 4] = ["google/auth", "id", "sigstore", "spiffe"];

/// Where they are.
pub(crate) struct Peers {
    pub(crate) cosign: PathBuf,
    pub(crate) docker_registry: PathBuf,
    pub(crate) oras: PathBuf,
    /// Has the modules of [`MODULES`].
    pub(crate) python: PathBuf,
    pub(crate) sigstore_go_signing: PathBuf,
    pub(crate) sigstore_go_verification: PathBuf,
    pub(crate) sigstore_python: PathBuf,
    /// sigstore-rust, which has no program of its own.
    pub(crate) sigstore_rust: PathBuf,
}

impl Peers {
    /// All of them. Where one is missing this panics in CI; elsewhere it says that the running
    /// test is skipped.
    pub(crate) fn find() -> Option<Self> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let programs = target.join("peers/usr/bin");
        let peers = Self {
            cosign: programs.join("cosign"),
            docker_registry: programs.join("docker-registry"),
            oras: programs.join("oras"),
            sigstore_go_signing: programs.join("sigstore-go-signing"),
            sigstore_go_verification: programs.join("sigstore-go-verification"),
            sigstore_python: target.join("peers/python/bin/sigstore"),
            python: target.join("peers/python/bin/python3"),
            sigstore_rust: target.join("peers/sigstore-rust/debug/sigstore-rust-peer"),
        };
        let missing = peers.all().into_iter().filter(|program| !program.is_file());
        let missing = missing.filter_map(Path::file_name).map(OsStr::to_string_lossy);
        let modules = MODULES.into_iter().filter(|module| !has_module(target, module));
        let missing: Vec<_> = missing.chain(modules.map(Into::into)).collect();
        if missing.is_empty() {
            return Some(peers);
        }
        let reason =
            format!("no {} in target/peers; `cargo xtask peers` fetches them", missing.join(", "));
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        let thread = std::thread::current();
        // Past the harness, which shows only what failing tests print.
        let line = format!("skipped: {}: {reason}\n", thread.name().unwrap_or("a test"));
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        None
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

/// Whether some version of Python in the virtual environment has this module.
fn has_module(target: &Path, module: &str) -> bool {
    let versions = std::fs::read_dir(target.join("peers/python/lib")).into_iter().flatten();
    versions.flatten().any(|version| {
        version.path().join("site-packages").join(module).join("__init__.py").is_file()
    })
}
