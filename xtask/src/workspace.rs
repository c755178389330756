//! Where things are, and how the programs of this workspace are built.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// The build directory, wherever the person has put it.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A shell in the root of the workspace.
pub(crate) fn shell() -> Result<Shell> {
    let shell = Shell::new().context("no shell")?;
    shell.change_dir(root());
    Ok(shell)
}

/// Builds the programs `ambisign` and `sigstore-sandbox` and returns the directory they are in.
pub(crate) fn build_programs() -> Result<PathBuf> {
    let shell = shell()?;
    cmd!(shell, "cargo build --quiet --locked -p ambisign -p sigstore-sandbox").quiet().run()?;
    Ok(target().join("debug"))
}

/// Builds the release program, as the README says, and returns it. Alone, because together with
/// the sandbox it would have features of dependencies that only the sandbox asks for.
pub(crate) fn build_release() -> Result<PathBuf> {
    let shell = shell()?;
    cmd!(shell, "cargo build --quiet --release --locked -p ambisign").quiet().run()?;
    Ok(target().join("release/ambisign"))
}
