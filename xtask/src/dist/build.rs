//! Static programs, the same wherever they are built.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use xshell::cmd;

use super::archive::digest_of;
use super::{PROGRAMS, archive};
use crate::workspace;

/// A target that this machine can build for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target(&'static str);

/// For each processor the targets in the order of preference. musl is static by itself; glibc is
/// told to be.
const TARGETS: [&[&str]; 2] = [
    &["x86_64-unknown-linux-musl", "x86_64-unknown-linux-gnu"],
    &["aarch64-unknown-linux-musl", "aarch64-unknown-linux-gnu"],
];

impl Target {
    /// For tests with stand-ins for programs.
    #[cfg(test)]
    pub(super) const TRIED: Self = Self("x86_64-unknown-linux-gnu");

    pub(super) fn triple(self) -> &'static str {
        self.0
    }

    /// The system and the processor, as `uname` calls them: which C library is linked into a static
    /// program is nothing that its user has to know.
    pub(super) fn platform(self) -> String {
        format!("linux-{}", self.0.split('-').next().unwrap_or_default())
    }

    /// As OCI calls the processor.
    pub(super) fn architecture(self) -> &'static str {
        if self.0.starts_with("aarch64") { "arm64" } else { "amd64" }
    }

    /// Whether rustc links it with its own lld, which can give equal functions one body: 1 %. It does so
    /// for one target, from release 1.90 on.
    fn folds_functions(self) -> Result<bool> {
        let shell = workspace::shell()?;
        let said = cmd!(shell, "rustc --version").quiet().read()?;
        let minor = said.strip_prefix("rustc 1.").and_then(|rest| rest.split('.').next());
        let minor = minor.and_then(|minor| minor.parse::<u32>().ok());
        Ok(self.0 == "x86_64-unknown-linux-gnu" && minor.is_some_and(|minor| minor >= 90))
    }

    pub(super) fn is_of_this_machine(self) -> bool {
        self.0.starts_with(std::env::consts::ARCH)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The targets whose standard library is installed, and says which are not.
pub(super) fn targets() -> Result<Vec<Target>> {
    let shell = workspace::shell()?;
    let mut found = Vec::new();
    for choices in TARGETS {
        let mut chosen = None;
        for triple in choices {
            let directory =
                cmd!(shell, "rustc --print target-libdir --target {triple}").quiet().read()?;
            if Path::new(directory.trim()).is_dir() {
                chosen = Some(Target(triple));
                break;
            }
            println!("no standard library for {triple}: `rustup target add {triple}` installs it");
        }
        found.extend(chosen);
    }
    ensure!(!found.is_empty(), "there is no target to build for");
    Ok(found)
}

/// Builds the programs of the sources in `root` below `home`, and returns their directory.
pub(super) fn programs(root: &Path, home: &Path, target: &Target) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let cargo = cargo.context("there is no home directory")?;
    let mut flags = vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={}=/ambisign", root.display()),
        format!("--remap-path-prefix={}=/cargo", cargo.display()),
        "-Clink-arg=-Wl,--build-id=none".to_owned(),
    ];
    if target.folds_functions()? {
        flags.push("-Clink-arg=-Wl,--icf=all".to_owned());
    }
    let triple = target.triple();
    for (package, _) in PROGRAMS {
        // One after the other: together they would have the features of each other's dependencies.
        let status = Command::new("cargo")
            .args(["build", "--quiet", "--release", "--locked", "--package", package])
            .args(["--target", triple, "--target-dir"])
            .arg(home)
            .current_dir(root)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            .env("SOURCE_DATE_EPOCH", archive::source_date()?.to_string())
            .env_remove("RUSTFLAGS")
            .status()?;
        ensure!(status.success(), "cargo build of {package} for {triple} failed");
    }
    Ok(home.join(triple).join("release"))
}

/// Builds a copy of the sources in another directory, and compares the programs byte for byte.
pub(super) fn check(home: &Path, targets: &[Target]) -> Result<()> {
    let shell = workspace::shell()?;
    let copy = tempfile::Builder::new().prefix("ambisign-dist-").tempdir()?;
    let sources = copy.path().join("another/place");
    shell.create_dir(&sources)?;
    // What is committed and what is not: the sources as they are, without what was built.
    let files = cmd!(shell, "git ls-files --cached --others --exclude-standard").quiet().read()?;
    for file in files.lines() {
        let (from, to) = (workspace::root().join(file), sources.join(file));
        if let (true, Some(parent)) = (from.is_file(), to.parent()) {
            std::fs::create_dir_all(parent)?;
            std::fs::copy(&from, &to)?;
        }
    }
    let mut different = Vec::new();
    for target in targets {
        let first = programs(&workspace::root(), &home.join("build"), target)?;
        let second = programs(&sources, &copy.path().join("built"), target)?;
        for (_, program) in PROGRAMS {
            let digests = [&first, &second].map(|place| digest_of(&place.join(program)));
            let [first, second] = digests;
            let (first, second) = (first?, second?);
            println!("{target} {program} {first}");
            if first != second {
                different.push(format!("{target} {program} {second}"));
            }
        }
    }
    if !different.is_empty() {
        bail!("two builds differ; the second gave {}", different.join(", "));
    }
    println!("both builds are equal");
    Ok(())
}
