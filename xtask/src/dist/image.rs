//! A program as an image on nothing, as an OCI layout. No daemon builds it.
//!
//! Its one layer holds the program, the certificate authorities that Mozilla trusts (a program on
//! nothing has no system to ask), the licences, and an empty `/tmp`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use keys::Digest;
use serde_json::{Value, json};
use xshell::cmd;

use super::build::Target;
use super::{archive, dependencies, licences};
use crate::workspace;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The package with Mozilla's list.
const AUTHORITIES: &str = "webpki-root-certs";

/// Writes the layout of the image of `program`, for every target of `built` (with the directory of
/// its programs), and returns its directory.
pub(super) fn write(home: &Path, program: &str, built: &[(Target, PathBuf)]) -> Result<PathBuf> {
    let layout = Layout::create(home.join(format!("image-{program}")))?;
    let mut manifests = Vec::new();
    for (target, programs) in built {
        let roots = [(program, program), (AUTHORITIES, "")];
        let texts = licences::text(&dependencies::of(&roots, target.triple())?)?;
        let manifest = layout.image(program, &programs.join(program), *target, &texts)?;
        manifests.push(manifest);
    }
    layout.finish(&manifests)
}

/// An OCI layout that is being written.
struct Layout(PathBuf);

impl Layout {
    fn create(directory: PathBuf) -> Result<Self> {
        if directory.exists() {
            std::fs::remove_dir_all(&directory)?;
        }
        std::fs::create_dir_all(directory.join("blobs/sha256"))?;
        Ok(Self(directory))
    }

    fn put(&self, bytes: &[u8], media_type: &str) -> Result<Value> {
        let hex = Digest::sha256(bytes).to_hex();
        std::fs::write(self.0.join("blobs/sha256").join(&hex), bytes)?;
        let digest = format!("sha256:{hex}");
        Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
    }

    /// Adds the image for one target and returns its descriptor.
    fn image(&self, name: &str, program: &Path, target: Target, licences: &str) -> Result<Value> {
        let work = tempfile::tempdir()?;
        let root = work.path().join("rootfs");
        std::fs::create_dir_all(root.join("etc/ssl/certs"))?;
        std::fs::create_dir_all(root.join("licenses"))?;
        std::fs::create_dir(root.join("tmp"))?;
        archive::put_program(program, &root.join(name))?;
        std::fs::write(root.join("etc/ssl/certs/ca-certificates.crt"), authorities())?;
        let licence = workspace::root().join("LICENSE");
        std::fs::copy(licence, root.join("licenses/LICENSE"))?;
        std::fs::write(root.join("licenses/THIRD-PARTY.txt"), licences)?;
        let tar = work.path().join("layer.tar");
        archive::tar_of_content(&root, &tar)?;
        let uncompressed = archive::digest_of(&tar)?;
        let layer = self.put(&std::fs::read(archive::gzip(&tar)?)?, LAYER)?;
        let config = json!({
            "architecture": target.architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": [format!("/{name}")],
                "User": "65532:65532",
                "WorkingDir": "/tmp",
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{uncompressed}")] },
            "history": [{ "created_by": "cargo xtask dist --image" }],
        });
        let config = self.put(config.to_string().as_bytes(), CONFIG)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [layer],
            "annotations": annotations(),
        });
        let mut descriptor = self.put(manifest.to_string().as_bytes(), MANIFEST)?;
        descriptor["platform"] = json!({ "architecture": target.architecture(), "os": "linux" });
        Ok(descriptor)
    }

    /// Names the images, under one index, as what the layout holds.
    fn finish(self, manifests: &[Value]) -> Result<PathBuf> {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": manifests,
            "annotations": annotations(),
        });
        let index = self.put(index.to_string().as_bytes(), INDEX)?;
        let root = json!({ "schemaVersion": 2, "manifests": [index] });
        std::fs::write(self.0.join("index.json"), root.to_string())?;
        std::fs::write(self.0.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}")?;
        Ok(self.0)
    }
}

fn annotations() -> Value {
    json!({
        "org.opencontainers.image.source": "https://github.com/ambisign/ambisign",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
    })
}

/// As PEM.
fn authorities() -> String {
    let blocks = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let blocks: Vec<_> =
        blocks.map(|it| pem::Pem::new("CERTIFICATE", it.as_ref().to_vec())).collect();
    pem::encode_many_config(&blocks, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
}

/// Unpacks the layer of the image for `architecture` in `layout` into `root`.
pub(super) fn unpack(layout: &Path, architecture: &str, root: &Path) -> Result<()> {
    let read = |descriptor: &Value| -> Result<Value> {
        let bytes = std::fs::read(blob(layout, descriptor)?)?;
        Ok(serde_json::from_slice(&bytes)?)
    };
    let top: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json"))?)?;
    let index = read(&top["manifests"][0])?;
    let images = index["manifests"].as_array().context("an index without images")?;
    let image = images.iter().find(|it| it["platform"]["architecture"] == architecture);
    let manifest = read(image.context("no image for this machine")?)?;
    let layer = blob(layout, &manifest["layers"][0])?;
    let shell = workspace::shell()?;
    Ok(cmd!(shell, "tar --extract --gzip --file {layer} --directory {root}").quiet().run()?)
}

fn blob(layout: &Path, descriptor: &Value) -> Result<PathBuf> {
    let digest = descriptor["digest"].as_str().and_then(|it| it.strip_prefix("sha256:"));
    Ok(layout.join("blobs/sha256").join(digest.context("a descriptor without a digest")?))
}

/// Pushes the image by the program `ambisign`, which with `sign` signs it as well. `env` is added to
/// the environment of this process.
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
