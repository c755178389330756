//! Signatures over files, moved to where a verifier takes them for signatures of images.
//!
//! Who gets a workload to sign a file of their choice must not get a signature of an image by that.

use std::path::Path;

use harness::{Interop, Outcome, RegistryKind, Signer};
use sandbox::RekorVersion;
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The payload of a simple-signing signature of `image`, as a file that anyone can write.
fn simple_signing(image: &str) -> String {
    let (repository, digest) = image.split_once('@').unwrap();
    json!({
        "critical": {
            "identity": { "docker-reference": repository },
            "image": { "docker-manifest-digest": digest },
            "type": "cosign container image signature",
        },
        "optional": null,
    })
    .to_string()
}

/// Puts the signature, the certificate and the log's promise of a file's bundle under the image's
/// `.sig` tag, beside the file.
fn move_to_tag(interop: &Interop, image: &str, payload: &str, bundle: &Path) {
    let bundle: Value = serde_json::from_slice(&std::fs::read(bundle).unwrap()).unwrap();
    let (repository, digest) = image.split_once('@').unwrap();
    let (registry, repository) = repository.split_once('/').unwrap();
    let config = interop.setup.put_blob(registry, repository, b"{}");
    let blob = interop.setup.put_blob(registry, repository, payload.as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2,
        },
        "layers": [{
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "digest": blob,
            "size": payload.len(),
            "annotations": {
                "dev.cosignproject.cosign/signature": bundle["messageSignature"]["signature"],
                "dev.sigstore.cosign/certificate": harness::certificate_pem(&bundle),
                "dev.sigstore.cosign/bundle": harness::rekor_bundle(&bundle).to_string(),
            },
        }],
    });
    let tag = format!("{}.sig", digest.replace(':', "-"));
    interop.setup.put_manifest(registry, repository, &tag, &manifest);
}

fn ours(interop: &Interop, image: &str, flags: &[&str]) -> Outcome {
    let signer = interop.identity(Signer::Workload);
    interop.ambisign("verify").args(signer.policy()).args(flags).arg(image).run()
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn a_files_signature_that_was_moved_to_a_sig_tag_is_refused_where_bundles_are_asked_for() {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    let image = interop.image("demo/app");
    let payload = simple_signing(&image);
    let file = interop.write("release.json", &payload);
    let bundle = interop.path("release.sigstore.json");

    // Our signer refuses to sign such a file, before anything is logged.
    let logged = interop.setup.logged();
    let sign = interop.ambisign_as(Signer::Workload, "sign-blob").arg(&file).run();
    assert_ne!(sign.code, 0, "{sign:#?}");
    sign.says(&["simple-signing", "--danger-sign-foreign-format"]);
    assert_eq!(interop.setup.logged(), logged);

    // cosign signs it, and so the attack goes on.
    let sign = interop.cosign_as(Signer::Workload, "sign-blob").arg("--bundle").arg(&bundle);
    sign.arg(&file).run().succeeds();
    move_to_tag(&interop, &image, &payload, &bundle);

    // The format cannot tell the two apart: cosign takes it, and so do we unless told.
    let signer = interop.identity(Signer::Workload);
    interop.cosign("verify").args(signer.policy()).arg(&image).run().succeeds();
    ours(&interop, &image, &[]).succeeds();
    ours(&interop, &image, &["--signature-format", "legacy"]).succeeds();
    let refused = ours(&interop, &image, &["--signature-format", "bundle"]);
    assert!([10, 12].contains(&refused.code), "{refused:#?}");

    // A signature of the image itself passes.
    interop.ambisign_as(Signer::Workload, "sign").arg(&image).run().succeeds();
    ours(&interop, &image, &["--signature-format", "bundle"]).succeeds();
}

/// Readers written in Go take the Kelvin sign for a k and the long s for an s.
#[test]
#[ignore = "needs `cargo xtask peers`"]
fn a_files_signature_whose_names_only_some_readers_recognize_is_neither_made_nor_accepted() {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    let image = interop.image("demo/app");
    let names = "doc\u{212a}er-manife\u{17f}t-dige\u{17f}t";
    let payload = simple_signing(&image).replace("docker-manifest-digest", names);
    let file = interop.write("release.json", &payload);
    let sign = interop.ambisign_as(Signer::Workload, "sign-blob").arg(&file).run();
    assert_ne!(sign.code, 0, "{sign:#?}");
    sign.says(&["simple-signing"]);

    let bundle = interop.path("release.sigstore.json");
    let sign = interop.cosign_as(Signer::Workload, "sign-blob").arg("--bundle").arg(&bundle);
    sign.arg(&file).run().succeeds();
    move_to_tag(&interop, &image, &payload, &bundle);
    let signer = interop.identity(Signer::Workload);
    // Why our signer refuses: cosign takes it for a signature of the image.
    interop.cosign("verify").args(signer.policy()).arg(&image).run().succeeds();
    let refused = ours(&interop, &image, &[]);
    assert_eq!(refused.code, 12, "{refused:#?}");
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn a_file_that_is_an_envelopes_encoding_is_not_signed() {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    let encoding = "DSSEv1 28 application/vnd.in-toto+json 2 {}";
    let file = interop.write("release.txt", encoding);
    let logged = interop.setup.logged();
    let sign = || interop.ambisign_as(Signer::Workload, "sign-blob").arg(&file);
    let refused = sign().run();
    assert_ne!(refused.code, 0, "{refused:#?}");
    refused.says(&["--danger-sign-foreign-format"]);
    assert_eq!(interop.setup.logged(), logged);
    sign().arg("--danger-sign-foreign-format").run().succeeds();
}
