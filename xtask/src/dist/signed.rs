//! A release signed by the program that is in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

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
    for archive in made.iter().filter(|file| file.extension().is_some_and(|it| it == "gz")) {
        let name = archive.to_string_lossy();
        let name = name.strip_suffix(".tar.gz").context("an archive of another kind")?;
        for (document, kind) in [("cdx", "cyclonedx"), ("provenance", "slsaprovenance1")] {
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

/// `file` with more after its name.
fn beside(file: &Path, more: &str) -> PathBuf {
    PathBuf::from(format!("{}.{more}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::{PROGRAMS, archive, assemble};
    use crate::stage::{Registry, Stage};
    use crate::workspace;

    const TARGET: &str = "x86_64-unknown-linux-gnu";

    #[test]
    fn a_release_is_signed_by_the_program_and_cosign_verifies_the_archive() {
        let programs = workspace::build_programs().unwrap();
        let ambisign = programs.join("ambisign");
        let stage = Stage::set(Registry::Sandbox).unwrap();
        let home = tempfile::tempdir().unwrap();
        // Stand-ins for the programs, which are large.
        let built = home.path().join("built");
        std::fs::create_dir(&built).unwrap();
        for (_, program) in PROGRAMS {
            std::fs::write(built.join(program), program).unwrap();
        }
        let mut made = assemble(home.path(), &built, TARGET).unwrap();
        let first = archive::digest_of(&made[0]).unwrap();
        assert_eq!(assemble(home.path(), &built, TARGET).unwrap(), made);
        assert_eq!(archive::digest_of(&made[0]).unwrap(), first, "made twice");
        made.push(archive::write_sums(home.path(), &made).unwrap());
        let env = stage.env(&stage.running.github_env());
        let bundles = sign(&ambisign, home.path(), &made, &env).unwrap();
        assert_eq!(bundles.len(), made.len() + 2);

        let run = |program: &Path, arguments: &[&str]| {
            let mut command = stage.command(program, &[]);
            stage.run(command.args(arguments).current_dir(home.path())).unwrap().success()
        };
        assert!(run(Path::new("sha256sum"), &["--check", "--quiet", "SHA256SUMS"]));
        let (identity, issuer) = (stage.running.github_identity(), stage.running.github_issuer());
        let policy = ["--certificate-identity", &identity, "--certificate-oidc-issuer", &issuer];
        let archive = made[0].to_string_lossy();
        let cosign = workspace::target().join("peers/usr/bin/cosign");
        for program in [ambisign, cosign].iter().filter(|program| program.is_file()) {
            for file in &made {
                let (file, bundle) = (file.to_string_lossy(), beside(file, "sigstore.json"));
                let bundle = bundle.to_string_lossy();
                let arguments = ["verify-blob", "--bundle", &bundle, &file];
                assert!(run(program, &[&arguments[..], &policy].concat()), "{program:?} {file}");
            }
            for (document, kind) in [("cdx", "cyclonedx"), ("provenance", "slsaprovenance1")] {
                let bundle = format!("{archive}.{document}.sigstore.json");
                let arguments =
                    ["verify-blob-attestation", "--type", kind, "--bundle", &bundle, &archive];
                assert!(run(program, &[&arguments[..], &policy].concat()), "{program:?} {kind}");
            }
        }
        let listed = Command::new("tar").arg("-tzf").arg(&made[0]).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        for wanted in [
            "/ambisign\n",
            "/sigstore-sandbox\n",
            "/completions/ambisign.bash\n",
            "/completions/_ambisign\n",
            "/completions/ambisign.fish\n",
            "/completions/_ambisign.ps1\n",
            "/completions/ambisign.elv\n",
            "/man/man1/ambisign.1\n",
            "/man/man1/ambisign-verify.1\n",
            "/LICENSE\n",
            "/THIRD-PARTY.txt\n",
            "/sbom.cdx.json\n",
        ] {
            assert!(listed.contains(wanted), "no {wanted:?} in {listed}");
        }
    }
}
