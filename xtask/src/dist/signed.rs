//! A release signed by the program that is in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// What is attested of an archive: how the name of its document ends, and of which type that is.
pub(super) const ATTESTATIONS: [(&str, &str); 2] =
    [("cdx", "cyclonedx"), ("provenance", "slsaprovenance1")];

/// Signs every file of `made`, and attests each archive's list of dependencies and provenance.
/// `env` is added to the environment of this process. Returns the bundles.
pub(super) fn sign(
    program: &Path,
    home: &Path,
    made: &[PathBuf],
    env: &[(String, String)],
) -> Result<Vec<PathBuf>> {
    let run = |arguments: &[&Path]| -> Result<()> {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(home).envs(env.iter().cloned());
        let status = command.status().context("ambisign could not be run")?;
        ensure!(status.success(), "{command:?} failed");
        Ok(())
    };
    let mut sign = vec![Path::new("sign-blob")];
    sign.extend(made.iter().map(PathBuf::as_path));
    run(&sign)?;
    let mut bundles: Vec<PathBuf> = made.iter().map(|file| beside(file, "sigstore.json")).collect();
    for archive in made.iter().filter(|file| is_archive(file)) {
        let name = archive.to_string_lossy();
        let name = name.strip_suffix(".tar.gz").context("an archive of another kind")?;
        for (document, kind) in ATTESTATIONS {
            let predicate = PathBuf::from(format!("{name}.{document}.json"));
            let bundle = beside(archive, &format!("{document}.sigstore.json"));
            run(&[
                Path::new("attest-blob"),
                Path::new("--type"),
                Path::new(kind),
                Path::new("--predicate"),
                &predicate,
                Path::new("--bundle"),
                &bundle,
                archive,
            ])?;
            bundles.push(bundle);
        }
    }
    Ok(bundles)
}

/// Whether `file` is one of the archives.
pub(super) fn is_archive(file: &Path) -> bool {
    file.extension().is_some_and(|it| it == "gz")
}

/// `file` with more after its name.
pub(super) fn beside(file: &Path, more: &str) -> PathBuf {
    PathBuf::from(format!("{}.{more}", file.display()))
}
