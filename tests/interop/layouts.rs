//! Images in directories with signatures and SBOM attestations of one format each, written by us, by
//! cosign and by oras, and read by all of them: from a registry with the referrers API through
//! directories to one without it, and back.

use std::path::{Path, PathBuf};

use harness::{Interop, Program, RegistryKind, Signer};
use sandbox::RekorVersion;
use serde_json::Value;

/// Who signs in these tests.
const SIGNERS: [Signer; 2] = [Signer::Workload, Signer::Email];

/// How signatures are attached.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Bundles,
    /// The tags `.sig` and `.att`.
    Earlier,
}

/// An image of one platform in the sandbox's registry, signed by us and by cosign, and with an SBOM
/// attested by each. Of an index cosign finds no bundles in a directory.
fn signed(interop: &Interop, format: Format) -> (String, String) {
    let index = interop.setup.push(interop.setup.sandbox.registry(), "demo/index").digest();
    let index = format!("{}/demo/index@{index}", interop.setup.sandbox.registry());
    let image = format!("{}/demo/app:v1", interop.setup.sandbox.registry());
    let copy = interop.ambisign_plain("copy").args(["--platform", "linux/arm64", "-o", "json"]);
    let copied = copy.args([&index, &image]).run().succeeds().json().remove(0);
    let digest = copied["digest"].as_str().unwrap().to_owned();
    let image = image.replace(":v1", &format!("@{digest}"));
    let predicate = interop.write("sbom.json", r#"{"spdxVersion":"SPDX-2.3","name":"app"}"#);
    let endpoints = interop.setup.sandbox.endpoints();
    for command in ["sign", "attest"] {
        let what = |program: Program| match command {
            "sign" => program.arg(&image),
            _ => program.args(["--type", "spdxjson", "--predicate"]).arg(&predicate).arg(&image),
        };
        let ours = interop.ambisign_as(Signer::Workload, command);
        let (ours, theirs) = match format {
            Format::Bundles => (ours, interop.cosign_as(Signer::Email, command)),
            Format::Earlier => {
                let token = interop.write("earlier.jwt", &interop.email_token());
                let theirs = interop.cosign(command).args(["--yes", "--new-bundle-format=false"]);
                let theirs = theirs.args(["--use-signing-config=false", "--fulcio-url"]);
                let theirs = theirs.args([&endpoints.fulcio, "--rekor-url", &endpoints.rekor_v1]);
                let theirs = theirs.arg("--identity-token").arg(token);
                (ours.arg("--new-bundle-format=false"), theirs)
            }
        };
        what(ours).run().succeeds();
        what(theirs).run().succeeds();
    }
    (image, digest)
}

/// Both signers, verified by us and by cosign, as signers and attesters, and nobody else. `what` is a
/// reference or a directory.
fn all_verify(interop: &Interop, what: &Path, format: Format, local: bool) {
    let local = if local { &["--local-image"] as &[&str] } else { &[] };
    let (of_ours, of_cosign) = match format {
        Format::Bundles => (&[] as &[&str], &[] as &[&str]),
        Format::Earlier => (
            &["--signature-format", "legacy"] as &[&str],
            &["--new-bundle-format=false"] as &[&str],
        ),
    };
    for signer in SIGNERS {
        let signer = interop.identity(signer);
        for command in ["verify", "verify-attestation"] {
            let kind = if command == "verify" { &[] as &[&str] } else { &["--type", "spdxjson"] };
            let ours = || interop.ambisign(command).args(local).args(of_ours).args(kind);
            let cosign = || interop.cosign(command).args(local).args(of_cosign).args(kind);
            for program in [ours(), cosign()] {
                program.args(signer.policy()).arg(what).run().succeeds();
            }
            for program in [ours(), cosign()] {
                let refused = program.args(signer.another().policy()).arg(what).run();
                assert_ne!(refused.code, 0, "{refused:#?}");
            }
        }
    }
}

/// What oras lists in a directory.
fn listed_by_oras(interop: &Interop, directory: &Path, digest: &str) -> usize {
    let oras = interop.oras_plain(&["discover", "--format", "json", "--oci-layout"]);
    let listed = oras.arg(format!("{}@{digest}", directory.display())).run().succeeds();
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    listed["referrers"].as_array().map_or(0, Vec::len)
}

/// How many attachments our `tree` lists.
fn listed_by_us(interop: &Interop, image: &str) -> usize {
    let tree = interop.ambisign_plain("tree").args(["-o", "json", image]).run().succeeds();
    tree.json()[0]["parts"][0]["attached"].as_array().map_or(0, Vec::len)
}

fn save(interop: &Interop, image: &str, name: &str) -> PathBuf {
    let directory = interop.path(name);
    interop.ambisign_plain("save").arg("--dir").arg(&directory).arg(image).run().succeeds();
    directory
}

fn load(interop: &Interop, directory: &Path, repository: &str, digest: &str) -> String {
    let load = interop.ambisign_plain("load").arg("--dir").arg(directory);
    load.arg(format!("{repository}:v1")).run().succeeds();
    format!("{repository}@{digest}")
}

fn through_directories(format: Format) {
    // docker-registry, which has no referrers API, and the sandbox's, which has it.
    let interop = Interop::new(RegistryKind::FallbackTag, RekorVersion::V1);
    let interop = &interop;
    let (image, digest) = signed(interop, format);
    // Of earlier signatures there are two tags, and a layer for each signature.
    let (bundles, attached) = if format == Format::Bundles { (4, 4) } else { (0, 2) };
    let in_directory = |directory: &Path| all_verify(interop, directory, format, true);
    let at_registry = |image: &str| {
        all_verify(interop, Path::new(image), format, false);
        assert_eq!(listed_by_us(interop, image), attached, "{image}");
        assert_eq!(interop.discover(image, None).len(), bundles, "{image}");
    };
    at_registry(&image);

    let directory = save(interop, &image, "there");
    in_directory(&directory);
    assert_eq!(listed_by_oras(interop, &directory, &digest), bundles);
    let docker = load(interop, &directory, &format!("{}/far/app", interop.registry()), &digest);
    at_registry(&docker);

    let directory = save(interop, &docker, "back");
    in_directory(&directory);
    assert_eq!(listed_by_oras(interop, &directory, &digest), bundles);
    let home = format!("{}/home/app", interop.setup.sandbox.registry());
    at_registry(&load(interop, &directory, &home, &digest));

    // Directories of cosign, and of oras, which knows referrers only.
    let theirs = interop.path("cosign-layout");
    interop.cosign_plain("save").arg("--dir").arg(&theirs).arg(&image).run().succeeds();
    in_directory(&theirs);
    let loaded = format!("{}/from/cosign", interop.registry());
    at_registry(&load(interop, &theirs, &loaded, &digest));
    if format == Format::Bundles {
        let theirs = interop.path("oras-layout");
        let copy = interop.oras_plain(&["cp", "-r", "--from-plain-http", "--to-oci-layout"]);
        copy.arg(&image).arg(format!("{}:v1", theirs.display())).run().succeeds();
        for signer in SIGNERS {
            let signer = interop.identity(signer);
            for (command, kind) in [("verify", None), ("verify-attestation", Some("spdxjson"))] {
                let verify = interop.ambisign(command).arg("--local-image").args(signer.policy());
                let verify = kind.into_iter().fold(verify, |it, kind| it.args(["--type", kind]));
                verify.arg(&theirs).run().succeeds();
            }
        }
        let loaded = format!("{}/from/oras", interop.registry());
        at_registry(&load(interop, &theirs, &loaded, &digest));
    }
    // Directories that we wrote, loaded by oras and by cosign.
    let to = format!("{}/by/oras:v1", interop.setup.sandbox.registry());
    if format == Format::Bundles {
        let copy = interop.oras_plain(&["cp", "-r", "--from-oci-layout", "--to-plain-http"]);
        copy.arg(format!("{}@{digest}", directory.display())).arg(&to).run().succeeds();
        at_registry(&to.replace(":v1", &format!("@{digest}")));
    } else {
        let to = to.replace("oras", "cosign");
        interop.cosign_plain("load").arg("--dir").arg(&directory).arg(&to).run().succeeds();
        at_registry(&to.replace(":v1", &format!("@{digest}")));
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn bundles_go_through_directories_to_a_registry_without_the_api_and_back() {
    through_directories(Format::Bundles);
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn earlier_signatures_go_through_directories_to_a_registry_without_the_api_and_back() {
    through_directories(Format::Earlier);
}
