//! Attestations, made by us and read by the others, and the other way round.

use sandbox::RekorVersion;

use harness::{Interop, RegistryKind, Signer};

#[test]
fn cosign_verifies_our_attestation_of_an_image() {
    for (store, log) in [
        (RegistryKind::ReferrersApi, RekorVersion::V1),
        (RegistryKind::FallbackTag, RekorVersion::V2),
    ] {
        let Some(interop) = Interop::new(store, log) else { return };
        let image = interop.image("demo/ours");
        let predicate = interop.write("sbom.json", r#"{"x-unknown":{"kept":true}}"#);
        let attest = interop.ambisign_as(Signer::Job, "attest").args(["--type", "cyclonedx"]);
        attest.arg("--predicate").arg(predicate).arg(&image).run().succeeds();

        let signer = interop.identity(Signer::Job);
        let verify = |kind: &str, signer: &harness::Identity| {
            let verify = interop.cosign("verify-attestation").args(["--type", kind]);
            verify.args(signer.policy()).arg(&image).run()
        };
        let found = verify("cyclonedx", &signer).succeeds();
        assert!(found.stdout.contains("\"payload\""), "{found:#?}");
        verify("spdx", &signer).refuses(1, "predicate type");
        let other = signer.another();
        verify("cyclonedx", &other).refuses(1, &format!("expected SAN value \"{}\"", other.name));
    }
}

#[test]
fn cosign_and_sigstore_go_verify_our_attestation_of_a_file() {
    for log in [RekorVersion::V1, RekorVersion::V2] {
        let Some(interop) = Interop::new(RegistryKind::ReferrersApi, log) else { return };
        let file = interop.write("artifact.txt", "attested by us\n");
        let predicate = interop.write("predicate.json", r#"{"ok":true}"#);
        let bundle = interop.path("artifact.att.json");
        let attest = interop.ambisign_as(Signer::Job, "attest-blob").args(["--type", "spdx"]);
        let attest = attest.arg("--predicate").arg(predicate).arg("--bundle").arg(&bundle);
        attest.arg(&file).run().succeeds();

        let signer = interop.identity(Signer::Job);
        let verify = interop.cosign("verify-blob-attestation").args(["--type", "spdx", "--bundle"]);
        verify.arg(&bundle).args(signer.policy()).arg(&file).run().succeeds();
        let verify = interop.sigstore_go_verification().arg("-artifact").arg(&file);
        verify.args(signer.policy_of_go()).arg(&bundle).run().succeeds();
    }
}

#[test]
fn we_verify_cosigns_attestation_of_an_image() {
    let Some(interop) = Interop::new(RegistryKind::FallbackTag, RekorVersion::V1) else { return };
    let image = interop.image("demo/theirs");
    let predicate = interop.write("predicate.json", r#"{"spdxVersion":"SPDX-2.3"}"#);
    let attest = interop.cosign_as(Signer::Email, "attest").args(["--type", "spdxjson"]);
    attest.arg("--predicate").arg(predicate).arg(&image).run().succeeds();
    let signer = interop.identity(Signer::Email);
    let verify = interop.ambisign("verify-attestation").args(["--type", "spdxjson", &image]);
    verify.args(signer.policy()).run().succeeds();
}
