//! A release signed on a Sigstore of this machine, and verified by ambisign and by cosign.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::build::Target;
use super::signed::{self, beside};
use super::{empty_root, image};
use crate::stage::{Registry, Stage};
use crate::workspace;

/// Signs copies of the files `made` by `ambisign`, and verifies every signature and attestation.
pub(super) fn files(ambisign: &Path, made: &[PathBuf]) -> Result<()> {
    let stage = Stage::set(Registry::Sandbox)?;
    let home = stage.home().join("release");
    std::fs::create_dir(&home)?;
    let mut copies = Vec::new();
    for file in made {
        let copy = home.join(file.file_name().context("a file without a name")?);
        std::fs::copy(file, &copy)?;
        copies.push(copy);
    }
    let bundles = signed::sign(ambisign, &home, &copies, &env(&stage))?;
    ensure!(bundles.iter().all(|bundle| bundle.is_file()), "not every bundle was written");

    let mut sums = stage.command(Path::new("sha256sum"), &[]);
    sums.args(["--check", "--quiet", "SHA256SUMS"]).current_dir(&home);
    ensure!(stage.run(&mut sums)?.success(), "SHA256SUMS is wrong");
    for program in verifiers(ambisign) {
        for file in &copies {
            let (file, bundle) = (text(file), beside(file, "sigstore.json"));
            verify(&stage, &program, &["verify-blob", "--bundle", &text(&bundle), &file])?;
        }
        for archive in copies.iter().filter(|file| signed::is_archive(file)) {
            for (document, kind) in signed::ATTESTATIONS {
                let bundle = text(&beside(archive, &format!("{document}.sigstore.json")));
                let command = "verify-blob-attestation";
                let arguments = [command, "--type", kind, "--bundle", &bundle, &text(archive)];
                verify(&stage, &program, &arguments)?;
            }
        }
        println!("{} files verified by {}", copies.len(), program.display());
    }
    // As docs/releases.md says it: the bundle is found beside the file.
    verify(&stage, ambisign, &["verify-blob", &text(&home.join("SHA256SUMS"))])?;
    stage.strike()
}

/// Pushes the image in `layout` to a docker-registry where there is one, signs it, verifies it, and
/// tries `program` as its layer has it.
pub(super) fn image(ambisign: &Path, program: &str, layout: &Path, target: Target) -> Result<()> {
    let root = tempfile::tempdir()?;
    image::unpack(layout, target.architecture(), root.path())?;
    ensure!(root.path().join(program).is_file(), "{program} is not in its layer");
    empty_root::try_in(root.path())?;
    push_and_verify(ambisign, program, layout)
}

fn push_and_verify(ambisign: &Path, program: &str, layout: &Path) -> Result<()> {
    let docker = workspace::target().join("peers/usr/bin/docker-registry").is_file();
    let stage = Stage::set(if docker { Registry::Docker } else { Registry::Sandbox })?;
    let reference = format!("{}/ambisign/{program}:v1", stage.registry);
    image::push(ambisign, layout, &reference, true, &env(&stage))?;
    for verifier in verifiers(ambisign) {
        verify(&stage, &verifier, &["verify", &reference])?;
        println!("{reference} verified by {}", verifier.display());
    }
    stage.strike()
}

/// The environment of a job that releases.
fn env(stage: &Stage) -> Vec<(String, String)> {
    stage.env(&stage.running.github_env())
}

/// ambisign, and cosign where it is there.
fn verifiers(ambisign: &Path) -> Vec<PathBuf> {
    let cosign = workspace::target().join("peers/usr/bin/cosign");
    if !cosign.is_file() {
        println!("no cosign in target/peers: `cargo xtask peers` fetches it");
    }
    [ambisign.to_owned(), cosign].into_iter().filter(|program| program.is_file()).collect()
}

fn verify(stage: &Stage, program: &Path, arguments: &[&str]) -> Result<()> {
    let (identity, issuer) = (stage.running.github_identity(), stage.running.github_issuer());
    let policy = ["--certificate-identity", &identity, "--certificate-oidc-issuer", &issuer];
    let mut command = stage.command(program, &[]);
    command.args(arguments).args(policy).stdout(std::process::Stdio::null());
    let output = command.stderr(std::process::Stdio::piped()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {arguments:?}: {said}", program.display());
    Ok(())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::dist::{PROGRAMS, archive, assemble};

    /// Stand-ins for the programs, which are large.
    fn stand_ins(home: &Path) -> PathBuf {
        let built = home.join("built");
        std::fs::create_dir(&built).unwrap();
        for (_, program) in PROGRAMS {
            std::fs::write(built.join(program), program).unwrap();
        }
        built
    }

    #[test]
    #[ignore = "needs `cargo xtask peers`"]
    fn a_release_is_signed_by_the_program_and_cosign_verifies_the_archive() {
        let ambisign = workspace::build_programs().unwrap().join("ambisign");
        let home = tempfile::tempdir().unwrap();
        let built = stand_ins(home.path());
        let mut made = assemble(home.path(), &built, Target::TRIED).unwrap();
        let first = archive::digest_of(&made[0]).unwrap();
        assert_eq!(assemble(home.path(), &built, Target::TRIED).unwrap(), made);
        assert_eq!(archive::digest_of(&made[0]).unwrap(), first, "made twice");
        made.push(archive::write_sums(home.path(), &made).unwrap());
        files(&ambisign, &made).unwrap();

        let name = format!("ambisign-{}-linux-x86_64", env!("CARGO_PKG_VERSION"));
        assert!(made[0].ends_with(format!("{name}.tar.gz")), "{made:?}");
        let listed = Command::new("tar").arg("-tzf").arg(&made[0]).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        for wanted in [
            "ambisign",
            "sigstore-sandbox",
            "completions/ambisign.bash",
            "completions/_ambisign",
            "completions/ambisign.fish",
            "completions/_ambisign.ps1",
            "completions/ambisign.elv",
            "man/man1/ambisign.1",
            "man/man1/ambisign-verify.1",
            "LICENSE",
            "THIRD-PARTY.txt",
            "sbom.cdx.json",
        ] {
            let wanted = format!("{name}/{wanted}\n");
            assert!(listed.contains(&wanted), "no {wanted:?} in {listed}");
        }
    }

    #[test]
    #[ignore = "needs `cargo xtask peers`"]
    fn the_image_is_pushed_signed_and_verified_and_cosign_agrees() {
        let ambisign = workspace::build_programs().unwrap().join("ambisign");
        let home = tempfile::tempdir().unwrap();
        let built = [(Target::TRIED, stand_ins(home.path()))];
        let layout = image::write(home.path(), "ambisign", &built).unwrap();
        let first = std::fs::read(layout.join("index.json")).unwrap();
        image::write(home.path(), "ambisign", &built).unwrap();
        assert_eq!(std::fs::read(layout.join("index.json")).unwrap(), first, "built twice");

        let root = home.path().join("root");
        std::fs::create_dir(&root).unwrap();
        image::unpack(&layout, "amd64", &root).unwrap();
        assert_eq!(std::fs::read_to_string(root.join("ambisign")).unwrap(), "ambisign");
        let authorities = root.join("etc/ssl/certs/ca-certificates.crt");
        let authorities = std::fs::read_to_string(authorities).unwrap();
        assert!(authorities.matches("BEGIN CERTIFICATE").count() > 100);
        let texts = std::fs::read_to_string(root.join("licenses/THIRD-PARTY.txt")).unwrap();
        assert!(texts.contains("rustls ") && texts.contains("CDLA-Permissive-2.0"));
        push_and_verify(&ambisign, "ambisign", &layout).unwrap();
    }
}
