//! Static programs, the same wherever they are built.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use sandbox::RekorVersion;
use xshell::cmd;

use super::archive::digest_of;
use super::{PROGRAMS, archive};
use crate::stage::{Registry, Stage};
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
    pub(super) fn triple(self) -> &'static str {
        self.0
    }

    /// As OCI calls the processor.
    pub(super) fn architecture(self) -> &'static str {
        if self.0.starts_with("aarch64") { "arm64" } else { "amd64" }
    }

    fn is_of_this_machine(self) -> bool {
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
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={}=/ambisign", root.display()),
        format!("--remap-path-prefix={}=/cargo", cargo.display()),
        "-Clink-arg=-Wl,--build-id=none".to_owned(),
    ];
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

/// A program of this machine among those built before.
pub(super) fn runnable(home: &Path, targets: &[Target]) -> Result<PathBuf> {
    let target = targets.iter().find(|target| target.is_of_this_machine());
    let target = target.context("nothing was built for this machine")?;
    Ok(home.join("build").join(target.triple()).join("release/ambisign"))
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

/// Signs and verifies in a root directory that holds nothing but the program, its configuration
/// and the file, where this process may do so: no libraries, no `/etc`, no certificates. The
/// services are found by name.
pub(super) fn try_in_an_empty_root(programs: &Path) -> Result<()> {
    let stage = Stage::set(Registry::Sandbox)?;
    let root = tempfile::tempdir()?;
    let put = |from: &Path, name: &str| archive::put_program(from, &root.path().join(name));
    put(&programs.join("ambisign"), "ambisign")?;
    put(&stage.running.trusted_root(), "trusted_root.json")?;
    put(&stage.running.signing_config(RekorVersion::V1), "signing_config.json")?;
    std::fs::write(root.path().join("file"), "a file")?;
    let run = |arguments: &[&str]| {
        let mut command = Command::new("chroot");
        command.arg(root.path()).arg("/ambisign").args(arguments).env_clear();
        command.env("COSIGN_TRUSTED_ROOT", "/trusted_root.json").env("PATH", "/usr/sbin:/usr/bin");
        command.env("COSIGN_SIGNING_CONFIG", "/signing_config.json");
        command.envs(stage.running.github_env()).output()
    };
    let (identity, issuer) = (stage.running.github_identity(), stage.running.github_issuer());
    let policy = ["--certificate-identity", &identity, "--certificate-oidc-issuer", &issuer];
    for arguments in [vec!["sign-blob", "/file"], [&["verify-blob", "/file"], &policy[..]].concat()]
    {
        match run(&arguments) {
            Ok(output) if output.status.success() => {}
            // chroot itself ends with 125 where it may not.
            Ok(output) if output.status.code() == Some(125) => {
                let reason = lossy(&output.stderr);
                println!("not tried in an empty root directory: {}", reason.trim());
                return Ok(());
            }
            Ok(output) => bail!("in an empty root directory: {}", lossy(&output.stderr)),
            Err(error) => {
                println!("not tried in an empty root directory: {error}");
                return Ok(());
            }
        }
    }
    println!("signs and verifies in an empty root directory");
    stage.strike()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
