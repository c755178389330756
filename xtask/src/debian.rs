//! Packages of Debian, unpacked without being installed.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

/// The list of what was unpacked, beside the programs.
pub(crate) const VERSIONS: &str = "versions";

/// The suite that has cosign 3.1.
const SUITE: &str = "sid";

/// Unpacks packages of [`SUITE`] into `home`.
pub(crate) fn fetch(shell: &Shell, home: &Path, packages: &[&str]) -> Result<()> {
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
    shell.create_dir(home.join("usr/bin"))?;
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
