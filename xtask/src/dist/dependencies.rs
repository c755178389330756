//! What the programs are made of: `cargo metadata` of one target, without what only builds or tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;
use xshell::cmd;

use crate::workspace;

/// A package that is linked into a program.
#[derive(Clone, Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) licence: Option<String>,
    pub(super) repository: Option<String>,
    /// The SHA-256 of the package as the registry has it, in hex. Ours have none.
    pub(super) checksum: Option<String>,
    /// Where its sources are.
    pub(super) directory: PathBuf,
    /// Names and versions of what it uses.
    pub(super) uses: BTreeSet<(String, String)>,
}

impl Package {
    pub(super) fn is_ours(&self) -> bool {
        self.checksum.is_none()
    }

    /// The package URL.
    pub(super) fn purl(&self) -> String {
        purl(&self.name, &self.version)
    }
}

/// The package URL of a crate.
pub(super) fn purl(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{version}")
}

/// Everything that is linked into `programs` (package and program) for `target`, in the order of
/// names and versions.
pub(super) fn of(programs: &[(&str, &str)], target: &str) -> Result<Vec<Package>> {
    let shell = workspace::shell()?;
    let metadata = cmd!(
        shell,
        "cargo metadata --quiet --locked --format-version 1 --filter-platform {target}"
    );
    let metadata: Value = serde_json::from_str(&metadata.quiet().read()?)?;
    let checksums = checksums(&shell.read_file(workspace::root().join("Cargo.lock"))?);
    let packages: BTreeMap<&str, &Value> = list(&metadata["packages"])
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let nodes: BTreeMap<&str, &Value> = list(&metadata["resolve"]["nodes"])
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();

    let is_root = |package: &Value| programs.iter().any(|(name, _)| package["name"] == *name);
    let mut waiting: Vec<&str> =
        packages.iter().filter(|(_, package)| is_root(package)).map(|(id, _)| *id).collect();
    let mut found = BTreeMap::new();
    while let Some(id) = waiting.pop() {
        if found.contains_key(id) {
            continue;
        }
        let package = packages.get(id).context("a dependency without a package")?;
        let node = nodes.get(id).context("a package that was not resolved")?;
        let linked = list(&node["deps"]).iter().filter(|dependency| {
            list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null())
        });
        let linked: Vec<&str> = linked.filter_map(|it| it["pkg"].as_str()).collect();
        let uses = linked.iter().filter_map(|id| packages.get(id)).map(|it| identity(it)).collect();
        waiting.extend(&linked);
        found.insert(id, described(package, uses, &checksums)?);
    }
    let mut found: Vec<Package> = found.into_values().collect();
    found.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(found)
}

fn described(
    package: &Value,
    uses: BTreeSet<(String, String)>,
    checksums: &BTreeMap<(String, String), String>,
) -> Result<Package> {
    let text = |name: &str| package[name].as_str().map(str::to_owned);
    let manifest = PathBuf::from(text("manifest_path").context("a package without a manifest")?);
    let (name, version) = identity(package);
    let checksum = checksums.get(&(name.clone(), version.clone())).cloned();
    Ok(Package {
        licence: text("license"),
        repository: text("repository"),
        directory: manifest.parent().context("a manifest without a directory")?.to_owned(),
        checksum,
        name,
        version,
        uses,
    })
}

fn identity(package: &Value) -> (String, String) {
    let text = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
    (text("name"), text("version"))
}

/// The checksums of a lock file.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
        line.map(|value| value.trim_end_matches('"').to_owned())
    };
    let blocks = lock.split("[[package]]").skip(1);
    blocks
        .filter_map(|block| {
            let identity = (field(block, "name")?, field(block, "version")?);
            Some((identity, field(block, "checksum")?))
        })
        .collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_and_what_only_builds_or_tests_is_not() {
        let found = of(&[("ambisign", "ambisign")], "x86_64-unknown-linux-gnu").unwrap();
        let has = |name: &str| found.iter().any(|package| package.name == name);
        assert!(has("ambisign") && has("rustls") && has("ring"));
        for absent in ["trycmd", "sigstore-sandbox", "tonic-prost-build", "cc", "windows-sys"] {
            assert!(!has(absent), "{absent}");
        }
        for package in &found {
            assert_eq!(package.is_ours(), package.directory.starts_with(workspace::root()));
            assert!(package.licence.is_some(), "{} has no licence", package.name);
        }
    }
}
