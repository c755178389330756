//! Images that are moved with their signatures: to directories and to other registries, by us and
//! by the others, and read by all at every end.

use std::path::Path;

use sandbox::RekorVersion;
use serde_json::Value;

use harness::{Interop, RegistryKind, Signer};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// docker-registry, which has no referrers API, and the sandbox's, which has it.
fn start() -> Interop {
    Interop::new(RegistryKind::FallbackTag, RekorVersion::V1)
}

/// An image in the sandbox's registry with five attachments: signed by us and by cosign, by cosign
/// in its earlier format as well, and with an SBOM attested by each.
fn signed(interop: &Interop) -> (String, String) {
    let registry = interop.setup.sandbox.registry();
    let digest = interop.setup.push(registry, "demo/app").digest();
    let image = format!("{registry}/demo/app@{digest}");
    let predicate = interop.write("sbom.json", r#"{"spdxVersion":"SPDX-2.3","name":"app"}"#);
    interop.ambisign_as(Signer::Workload, "sign").arg(&image).run().succeeds();
    let attest = interop.ambisign_as(Signer::Workload, "attest").args(["--type", "spdxjson"]);
    attest.arg("--predicate").arg(&predicate).arg(&image).run().succeeds();

    interop.cosign_as(Signer::Email, "sign").arg(&image).run().succeeds();
    let attest = interop.cosign_as(Signer::Email, "attest").args(["--type", "spdxjson"]);
    attest.arg("--predicate").arg(&predicate).arg(&image).run().succeeds();

    let endpoints = interop.setup.sandbox.endpoints();
    let token = interop.write("earlier.jwt", &interop.email_token());
    let sign = interop.cosign("sign").args(["--yes", "--new-bundle-format=false"]);
    let sign = sign.args(["--use-signing-config=false", "--fulcio-url", &endpoints.fulcio]);
    let sign = sign.args(["--rekor-url", &endpoints.rekor_v1, "--identity-token"]);
    sign.arg(token).arg(&image).run().succeeds();
    (image, digest)
}

/// Everyone finds and verifies all that [`signed`] made.
fn all_verify(interop: &Interop, image: &str) {
    for signer in [Signer::Workload, Signer::Email] {
        let signer = interop.identity(signer);
        for verify in [interop.ambisign("verify"), interop.cosign("verify")] {
            verify.args(signer.policy()).arg(image).run().succeeds();
        }
        for verify in [interop.ambisign("verify-attestation"), interop.cosign("verify-attestation")]
        {
            verify.args(["--type", "spdxjson"]).args(signer.policy()).arg(image).run().succeeds();
        }
    }
    let email = interop.identity(Signer::Email);
    let earlier = interop.ambisign("verify").args(["--signature-format", "legacy"]);
    earlier.args(email.policy()).arg(image).run().succeeds();
    assert_eq!(interop.discover(image, Some(BUNDLE)).len(), 4, "{image}");
    let tree = interop.ambisign_plain("tree").args(["-o", "json", image]).run().succeeds();
    assert_eq!(tree.json()[0]["parts"][0]["attached"].as_array().unwrap().len(), 5);
}

fn digest_of(report: &Value) -> &str {
    report["digest"].as_str().unwrap()
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn signatures_of_both_kinds_go_to_a_registry_without_the_api_to_a_directory_and_back() {
    let interop = start();
    let (image, digest) = signed(&interop);
    all_verify(&interop, &image);

    let docker = format!("{}/copy/app", interop.registry());
    let copy = || {
        let tag = format!("{docker}:v1");
        let copy =
            interop.ambisign_plain("copy").args(["-o", "json", &image, &tag]).run().succeeds();
        copy.json().remove(0)
    };
    let copied = copy();
    assert_eq!(digest_of(&copied), digest);
    assert_eq!(copied["attachments"].as_array().unwrap().len(), 5);
    all_verify(&interop, &format!("{docker}@{digest}"));
    let again = copy();
    assert_eq!(again["unchanged"], true, "{again}");

    let directory = interop.path("layout");
    let save =
        interop.ambisign_plain("save").arg("--dir").arg(&directory).arg(format!("{docker}:v1"));
    save.run().succeeds();
    layout_verifies(&interop, &directory);
    let listed = interop.oras_plain(&["discover", "--format", "json", "--oci-layout"]);
    let listed = listed.arg(format!("{}@{digest}", directory.display())).run().succeeds();
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed["referrers"].as_array().unwrap().len(), 4, "{listed}");

    let back = format!("{}/back/app", interop.setup.sandbox.registry());
    let load =
        interop.ambisign_plain("load").arg("--dir").arg(&directory).arg(format!("{back}:v1"));
    load.run().succeeds();
    all_verify(&interop, &format!("{back}@{digest}"));
}

/// We and cosign verify the image in a directory.
fn layout_verifies(interop: &Interop, directory: &Path) {
    // Beside a signature in the earlier format cosign does not look at bundles there.
    let email = interop.identity(Signer::Email);
    let verify = interop.cosign("verify").arg("--local-image").args(email.policy());
    verify.arg(directory).run().succeeds();
    for signer in [Signer::Workload, Signer::Email] {
        let signer = interop.identity(signer);
        let verify = interop.ambisign("verify").arg("--local-image").args(signer.policy());
        verify.arg(directory).run().succeeds();
        let verify = interop.ambisign("verify-attestation").args(["--type", "spdxjson"]);
        let verify = verify.arg("--local-image").args(signer.policy());
        verify.arg(directory).run().succeeds();
        let other = signer.another();
        let verify = interop.ambisign("verify").arg("--local-image").args(other.policy());
        assert_eq!(verify.arg(directory).run().code, 12);
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn we_read_the_directories_that_cosign_and_oras_write() {
    let interop = start();
    let (image, digest) = signed(&interop);

    let theirs = interop.path("cosign-layout");
    interop.cosign_plain("save").arg("--dir").arg(&theirs).arg(&image).run().succeeds();
    layout_verifies(&interop, &theirs);
    let loaded = format!("{}/from/cosign", interop.registry());
    let load = interop.ambisign_plain("load").arg("--dir").arg(&theirs).arg(format!("{loaded}:v1"));
    load.run().succeeds();
    all_verify(&interop, &format!("{loaded}@{digest}"));

    // oras takes referrers along and does not know cosign's earlier tags.
    let theirs = interop.path("oras-layout");
    let copy = interop.oras_plain(&["cp", "-r", "--from-plain-http", "--to-oci-layout"]);
    copy.arg(&image).arg(format!("{}:v1", theirs.display())).run().succeeds();
    let signer = interop.identity(Signer::Workload);
    let verify = || interop.ambisign("verify").arg("--local-image").args(signer.policy());
    verify().arg(&theirs).run().succeeds();
    let loaded = format!("{}/from/oras", interop.registry());
    let load = interop.ambisign_plain("load").arg("--dir").arg(&theirs).arg(format!("{loaded}:v1"));
    load.run().succeeds();
    let at = format!("{loaded}@{digest}");
    assert_eq!(interop.discover(&at, Some(BUNDLE)).len(), 4);
    interop.cosign("verify").args(signer.policy()).arg(&at).run().succeeds();
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn cosign_verifies_bundles_in_a_directory_that_we_wrote() {
    let interop = start();
    // Of an index cosign finds no bundles in a directory: this is an image of one platform.
    let index = interop.image("demo/app");
    let (name, _) = index.split_once('@').unwrap();
    let image = format!("{name}:arm64");
    let copy = interop.ambisign_plain("copy").args(["--platform", "linux/arm64"]);
    copy.args([&index, &image]).run().succeeds();
    interop.ambisign_as(Signer::Workload, "sign").arg(&image).run().succeeds();
    let directory = interop.path("layout");
    let save = interop.ambisign_plain("save").arg("--dir").arg(&directory).arg(&image);
    save.run().succeeds();
    let signer = interop.identity(Signer::Workload);
    let verify = |signer: &harness::Identity| {
        let verify = interop.cosign("verify").arg("--local-image").args(signer.policy());
        verify.arg(&directory).run()
    };
    verify(&signer).succeeds();
    assert_ne!(verify(&signer.another()).code, 0);

    // A bundle that came by another way.
    let bundle = interop.ambisign_plain("download").args(["signature", &image]).run().succeeds();
    let bundle = interop.write("beside.sigstore.json", &bundle.stdout);
    let bare = format!("{}/bare/app:v1", interop.setup.sandbox.registry());
    interop.ambisign_plain("copy").args([&image, &bare]).run().succeeds();
    interop.ambisign_plain("clean").args(["-f", &bare]).run().succeeds();
    let unsigned = interop.path("unsigned");
    interop.ambisign_plain("save").arg("--dir").arg(&unsigned).arg(&bare).run().succeeds();
    let verify = || interop.ambisign("verify").arg("--local-image").args(signer.policy());
    assert_eq!(verify().arg(&unsigned).run().code, 10);
    verify().arg("--bundle").arg(&bundle).arg(&unsigned).run().succeeds();
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn what_is_downloaded_can_be_attached_again_and_what_is_cleaned_nobody_finds() {
    let interop = start();
    let (image, digest) = signed(&interop);
    let docker = format!("{}/copy/app", interop.registry());
    let copy = interop.ambisign_plain("copy").args([&image, &format!("{docker}:v1")]);
    copy.run().succeeds();
    let docker = format!("{docker}@{digest}");
    let lines = |text: &str| {
        let mut lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.sort_by_key(Value::to_string);
        lines
    };
    let ours = interop.ambisign_plain("download").args(["attestation", &docker]).run().succeeds();
    let attestations = lines(&ours.stdout);
    assert_eq!(attestations.len(), 2);
    let ours = interop.ambisign_plain("download").args(["signature", &docker]).run().succeeds();
    let signatures = lines(&ours.stdout);
    assert_eq!(signatures.len(), 2);

    // What was downloaded can be attached again.
    let bundle = interop.write("kept.sigstore.json", &signatures[0].to_string());
    interop.ambisign_plain("clean").args(["-f", "--type", "signature", &docker]).run().succeeds();
    // cosign would take an attestation for a signature.
    let signer = interop.identity(Signer::Workload);
    let refused = interop.ambisign("verify").args(signer.policy()).arg(&docker).run();
    assert_eq!(refused.code, 10, "{refused:#?}");
    assert_eq!(interop.discover(&docker, Some(BUNDLE)).len(), 2);
    interop.ambisign_plain("attach").arg(&bundle).arg(&docker).run().succeeds();
    assert_eq!(interop.discover(&docker, Some(BUNDLE)).len(), 3);
    interop.ambisign_plain("clean").args(["-f", &docker]).run().succeeds();
    assert_eq!(interop.discover(&docker, None).len(), 0);
}
