//! What a release was built from, as SLSA provenance (v1).

use anyhow::Result;
use serde_json::{Value, json};
use xshell::cmd;

use super::archive::source_date;
use super::dependencies::Package;
use crate::workspace;

/// The predicate for the archive of one target. Which job built it is the signer's to say: the
/// signature of this statement names it.
pub(super) fn predicate(target: &str, packages: &[Package]) -> Result<Value> {
    let shell = workspace::shell()?;
    let commit = cmd!(shell, "git rev-parse HEAD").quiet().ignore_stderr().read();
    let compiler = cmd!(shell, "rustc --version").quiet().read()?;
    let repository = "https://github.com/ambisign/ambisign";
    let mut materials = Vec::new();
    if let Ok(commit) = &commit {
        let digest = json!({ "gitCommit": commit.trim() });
        materials.push(json!({ "uri": format!("git+{repository}"), "digest": digest }));
    }
    materials.extend(packages.iter().filter_map(|package| {
        let digest = json!({ "sha256": package.checksum.as_ref()? });
        Some(json!({ "uri": package.purl(), "digest": digest }))
    }));
    Ok(json!({
        "buildDefinition": {
            "buildType": format!("{repository}/blob/main/docs/releases.md#how-it-is-built"),
            "externalParameters": { "target": target, "version": env!("CARGO_PKG_VERSION") },
            "internalParameters": { "rustc": compiler.trim(), "SOURCE_DATE_EPOCH": source_date()? },
            "resolvedDependencies": materials,
        },
        "runDetails": { "builder": { "id": format!("{repository}/blob/main/docs/releases.md") } },
    }))
}
