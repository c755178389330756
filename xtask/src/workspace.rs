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
pub(crate) fn build_programs(release: bool) -> Result<PathBuf> {
    let shell = shell()?;
    let (flag, directory) = if release { (Some("--release"), "release") } else { (None, "debug") };
    cmd!(shell, "cargo build --quiet --locked {flag...} -p ambisign -p sigstore-sandbox")
        .quiet()
        .run()?;
    Ok(target().join(directory))
}
