//! The program as an image of one layer on nothing, as an OCI layout. No daemon builds it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use keys::Digest;
use serde_json::{Value, json};

use super::archive;
use super::build::Target;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Writes the layout and returns its directory.
pub(super) fn write(home: &Path, programs: &Path, target: &Target) -> Result<PathBuf> {
    let layout = home.join(format!("image-{target}"));
    write_layout(&layout, &programs.join("ambisign"), target.architecture())?;
    Ok(layout)
}

fn write_layout(layout: &Path, program: &Path, architecture: &str) -> Result<()> {
    if layout.exists() {
        std::fs::remove_dir_all(layout)?;
    }
    let blobs = layout.join("blobs/sha256");
    std::fs::create_dir_all(&blobs)?;
    let work = tempfile::tempdir()?;
    let root = work.path().join("rootfs");
    std::fs::create_dir(&root)?;
    archive::put_program(program, &root.join("ambisign"))?;
    let tar = work.path().join("layer.tar");
    archive::tar_of_content(&root, &tar)?;
    let uncompressed = archive::digest_of(&tar)?;
    let layer = std::fs::read(archive::gzip(&tar)?)?;

    let put = |bytes: &[u8], media_type: &str| -> Result<Value> {
        let hex = Digest::sha256(bytes).to_hex();
        std::fs::write(blobs.join(&hex), bytes)?;
        Ok(
            json!({ "mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len() }),
        )
    };
    let layer = put(&layer, LAYER)?;
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Entrypoint": ["/ambisign"], "User": "65532:65532" },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{uncompressed}")] },
        "history": [{ "created_by": "cargo xtask dist --image" }],
    });
    let config = put(config.to_string().as_bytes(), CONFIG)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
        "annotations": {
            "org.opencontainers.image.source": "https://github.com/ambisign/ambisign",
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
        },
    });
    let manifest = put(manifest.to_string().as_bytes(), MANIFEST)?;
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    std::fs::write(layout.join("index.json"), index.to_string())?;
    std::fs::write(layout.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}")?;
    Ok(())
}

/// Pushes the image by the program that is in it, which with `sign` signs it as well. `env` is
/// added to the environment of this process.
pub(super) fn push(
    program: &Path,
    layout: &Path,
    reference: &str,
    sign: bool,
    env: &[(String, String)],
) -> Result<()> {
    let run = |command: &mut Command| -> Result<()> {
        let status =
            command.envs(env.iter().cloned()).status().context("ambisign could not be run")?;
        ensure!(status.success(), "{command:?} failed");
        Ok(())
    };
    run(Command::new(program).arg("load").arg("--dir").arg(layout).arg(reference))?;
    if sign {
        run(Command::new(program).args(["sign", reference]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{Registry, Stage};
    use crate::workspace;

    #[test]
    fn the_image_is_pushed_signed_and_verified_and_cosign_agrees() {
        let programs = workspace::build_programs().unwrap();
        let ambisign = programs.join("ambisign");
        let stage = Stage::set(Registry::Sandbox).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let stand_in = directory.path().join("program");
        std::fs::write(&stand_in, "a program").unwrap();
        let layout = directory.path().join("image");
        write_layout(&layout, &stand_in, "amd64").unwrap();
        let first = std::fs::read(layout.join("index.json")).unwrap();
        write_layout(&layout, &stand_in, "amd64").unwrap();
        assert_eq!(std::fs::read(layout.join("index.json")).unwrap(), first, "built twice");

        let github = stage.running.github_env();
        let env = stage.env(&github);
        let image = format!("{}/ambisign/ambisign:v1", stage.registry);
        push(&ambisign, &layout, &image, true, &env).unwrap();
        let (identity, issuer) = (stage.running.github_identity(), stage.running.github_issuer());
        let policy = ["--certificate-identity", &identity, "--certificate-oidc-issuer", &issuer];
        let cosign = workspace::target().join("peers/usr/bin/cosign");
        for program in [ambisign, cosign].iter().filter(|program| program.is_file()) {
            let mut command = stage.command(program, &[]);
            let status = stage.run(command.arg("verify").args(policy).arg(&image)).unwrap();
            assert!(status.success(), "{}", program.display());
        }
    }
}
