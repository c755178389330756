//! Where things are, and how the programs of this workspace are built.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Starts this program again without the variables in which cargo describes the package that it runs.
/// The build script of ring depends on them: what cargo builds from here would be built anew when it is
/// called by hand, and the other way round.
pub(crate) fn leave_package() -> Result<()> {
    let described = ["CARGO_MANIFEST_", "CARGO_PKG_"];
    let is_described = |name: &String| described.iter().any(|start| name.starts_with(start));
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let names: Vec<_> = names.filter(is_described).collect();
    if names.is_empty() {
        return Ok(());
    }
    let mut again = Command::new(std::env::current_exe()?);
    again.args(std::env::args_os().skip(1));
    for name in &names {
        again.env_remove(name);
    }
    Err(again.exec()).context("cannot start this program again")
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
