//! Attestations, made by us and read by the others, and the other way round.

use std::path::{Path, PathBuf};

use sandbox::RekorVersion;

use harness::{Interop, Library, RegistryKind, Signer};

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn cosign_verifies_our_attestation_of_an_image() {
    for (store, log) in [
        (RegistryKind::ReferrersApi, RekorVersion::V1),
        (RegistryKind::FallbackTag, RekorVersion::V2),
    ] {
        let interop = Interop::new(store, log);
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

/// A file, and the bundle of our attestation of it.
fn attested_file(interop: &Interop, flags: &[&str]) -> (PathBuf, PathBuf) {
    let file = interop.write("artifact.txt", "attested by us\n");
    let predicate = interop.write("predicate.json", r#"{"ok":true}"#);
    let bundle = interop.path("artifact.att.json");
    let attest = interop.ambisign_as(Signer::Job, "attest-blob").args(["--type", "spdx"]);
    let attest = attest.args(flags).arg("--predicate").arg(predicate).arg("--bundle");
    attest.arg(&bundle).arg(&file).run().succeeds();
    (file, bundle)
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn cosign_and_sigstore_go_verify_our_attestation_of_a_file() {
    for log in [RekorVersion::V1, RekorVersion::V2] {
        let interop = Interop::new(RegistryKind::ReferrersApi, log);
        let (file, bundle) = attested_file(&interop, &[]);
        let signer = interop.identity(Signer::Job);
        let verify = interop.cosign("verify-blob-attestation").args(["--type", "spdx", "--bundle"]);
        verify.arg(&bundle).args(signer.policy()).arg(&file).run().succeeds();
        let verify = interop.sigstore_go_verification().arg("-artifact").arg(&file);
        verify.args(signer.policy_of_go()).arg(&bundle).run().succeeds();
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn we_verify_cosigns_attestation_of_an_image() {
    let interop = Interop::new(RegistryKind::FallbackTag, RekorVersion::V1);
    let image = interop.image("demo/theirs");
    let predicate = interop.write("predicate.json", r#"{"spdxVersion":"SPDX-2.3"}"#);
    let attest = interop.cosign_as(Signer::Email, "attest").args(["--type", "spdxjson"]);
    attest.arg("--predicate").arg(predicate).arg(&image).run().succeeds();
    let signer = interop.identity(Signer::Email);
    let verify = interop.ambisign("verify-attestation").args(["--type", "spdxjson", &image]);
    verify.args(signer.policy()).run().succeeds();
}

/// What cosign finds of the type `vuln`, by the job: the envelopes that it prints.
fn found_by_cosign(interop: &Interop, image: &str, extra: &[&str]) -> usize {
    let verify = interop.cosign("verify-attestation").args(["--type", "vuln"]).args(extra);
    let found = verify.args(interop.identity(Signer::Job).policy()).arg(image).run().succeeds();
    found.stdout.lines().filter(|line| line.contains("\"payload\"")).count()
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn cosign_and_oras_find_one_attestation_where_ours_replaced_the_others() {
    for store in [RegistryKind::ReferrersApi, RegistryKind::FallbackTag] {
        let interop = Interop::new(store, RekorVersion::V1);
        let image = interop.image("demo/replaced");
        let predicate = interop.write("p.json", r#"{"scanner":{}}"#);
        let attest = |program: harness::Program, kind: &str| {
            program.args(["--type", kind, "--predicate"]).arg(&predicate).arg(&image)
        };
        let ours = |kind: &str| attest(interop.ambisign_as(Signer::Job, "attest"), kind);
        // One of cosign's, too, is replaced.
        attest(interop.cosign_as(Signer::Job, "attest"), "vuln").run().succeeds();
        ours("vuln").run().succeeds();
        attest(interop.ambisign_as(Signer::Workload, "attest"), "vuln").run().succeeds();
        assert_eq!(found_by_cosign(&interop, &image, &[]), 2);
        // Others attest other types meanwhile, and lose nothing.
        let others: Vec<_> = ["spdx", "cyclonedx", "link", "openvex"]
            .into_iter()
            .map(|kind| (kind, ours(kind).spawn()))
            .collect();
        ours("vuln").arg("--replace").run().succeeds();
        for (kind, other) in others {
            assert!(other.wait_with_output().unwrap().status.success(), "{kind}");
            let verify = interop.cosign("verify-attestation").args(["--type", kind, &image]);
            verify.args(interop.identity(Signer::Job).policy()).run().succeeds();
        }
        assert_eq!(found_by_cosign(&interop, &image, &[]), 1);
        // That of the workload stays: another signer made it.
        assert_eq!(interop.discover(&image, None).len(), 6);
        let verify = interop.ambisign("verify-attestation").args(["--type", "vuln", &image]);
        let found = verify.args(interop.identity(Signer::Job).policy()).run().succeeds();
        assert_eq!(found.stdout.matches("\"payload\"").count(), 1, "{found:#?}");
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn cosign_finds_one_attestation_under_its_earlier_tag_where_ours_replaced_the_others() {
    let interop = Interop::new(RegistryKind::FallbackTag, RekorVersion::V1);
    let image = interop.image("demo/replaced");
    let predicate = interop.write("p.json", r#"{"scanner":{}}"#);
    let attest = |kind: &str, flags: &[&str]| {
        let attest = interop.ambisign_as(Signer::Job, "attest").args(["--type", kind]);
        let attest = attest.args(["--new-bundle-format=false"]).args(flags).arg("--predicate");
        attest.arg(&predicate).arg(&image).run().succeeds();
    };
    let count = || found_by_cosign(&interop, &image, &["--new-bundle-format=false"]);
    attest("vuln", &[]);
    attest("spdx", &[]);
    attest("vuln", &[]);
    assert_eq!(count(), 2);
    attest("vuln", &["--replace"]);
    assert_eq!(count(), 1);
    let verify = interop.cosign("verify-attestation").args(["--type", "spdx", &image]);
    let verify = verify.arg("--new-bundle-format=false");
    verify.args(interop.identity(Signer::Job).policy()).run().succeeds();
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn others_take_an_attestation_by_its_digest_from_a_log_of_version_2_only() {
    for log in [RekorVersion::V1, RekorVersion::V2] {
        let interop = Interop::new(RegistryKind::ReferrersApi, log);
        let (file, bundle) = attested_file(&interop, &["--log-digest-only"]);
        let signer = interop.identity(Signer::Job);
        let cosign = interop.cosign("verify-blob-attestation").args(["--type", "spdx", "--bundle"]);
        let cosign = cosign.arg(&bundle).args(signer.policy()).arg(&file).run();
        let go = interop.sigstore_go_verification().arg("-artifact").arg(&file);
        let go = go.args(signer.policy_of_go()).arg(&bundle).run();
        if log == RekorVersion::V2 {
            cosign.succeeds();
            go.succeeds();
        } else {
            let reason = "rekor v1 entry is not a dsse_v001 or intoto_v002 entry";
            cosign.refuses(1, reason);
            go.refuses(1, reason);
        }
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn sigstore_python_verifies_our_attestation_of_a_file() {
    for log in [RekorVersion::V1, RekorVersion::V2] {
        let interop = Interop::new(RegistryKind::ReferrersApi, log);
        let file = interop.write("artifact.txt", "attested by us\n");
        let other = interop.write("other.txt", "something else\n");
        let predicate = interop.write("predicate.json", r#"{"x-unknown":[1.50,{"kept":null}]}"#);
        let bundle = interop.path("artifact.att.json");
        let attest = interop.ambisign_as(Signer::Job, "attest-blob").args(["--type", "cyclonedx"]);
        let attest = attest.arg("--predicate").arg(predicate).arg("--bundle").arg(&bundle);
        attest.arg(&file).run().succeeds();
        let cases = [(bundle.clone(), file), (bundle.clone(), other)];
        let signer = interop.identity(Signer::Job);
        let verdicts = interop.ask(Library::Python, &signer, &cases);
        assert_eq!(verdicts[0], "");
        assert!(verdicts[1].contains("no subject has the digest"), "{verdicts:?}");
        let verdicts = interop.ask(Library::Python, &signer.another(), &cases);
        assert!(verdicts[0].contains("Certificate's SANs do not match"), "{verdicts:?}");
    }
}

/// A predicate that sigstore-python takes: it knows SLSA provenance only, and checks its form.
const PROVENANCE: &str = r#"{
    "buildDefinition": {
        "buildType": "https://example.org/build/v1",
        "externalParameters": { "x-unknown": "kept" }
    },
    "runDetails": { "builder": { "id": "https://example.org/builder" } }
}"#;

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn we_verify_the_attestation_of_a_file_that_sigstore_python_made() {
    for log in [RekorVersion::V1, RekorVersion::V2] {
        let interop = Interop::new(RegistryKind::ReferrersApi, log);
        let file = interop.write("artifact.txt", "attested by sigstore-python\n");
        let predicate = interop.write("provenance.json", PROVENANCE);
        let bundle = interop.path("python.att.json");
        let attest = interop.sigstore_python().args(["attest", "--predicate-type"]);
        let attest = attest.arg("https://slsa.dev/provenance/v1").arg("--predicate");
        let attest = attest.arg(predicate).args(["--identity-token", &interop.email_token()]);
        attest.arg("--bundle").arg(&bundle).arg(&file).run().succeeds();
        verify_provenance(&interop, &bundle, &file, Signer::Email);
    }
}

/// Ours verifies the attestation, for this file, type and signer only.
fn verify_provenance(interop: &Interop, bundle: &Path, file: &Path, signer: Signer) {
    let signer = interop.identity(signer);
    let verify = |file: &Path, kind: &str, policy: [&str; 4]| {
        let verify = interop.ambisign("verify-blob-attestation").args(["--type", kind]);
        verify.args(policy).args(["-o", "json", "--bundle"]).arg(bundle).arg(file).run()
    };
    let kind = "slsaprovenance1";
    verify(file, kind, signer.policy()).succeeds();
    let other = interop.write("other.txt", "something else\n");
    verify(&other, kind, signer.policy()).refuses(12, "");
    verify(file, "spdx", signer.policy()).refuses(12, "");
    verify(file, kind, signer.another().policy()).refuses(12, "");
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn we_verify_the_attestation_of_a_file_that_sigstore_go_made() {
    for log in [RekorVersion::V1, RekorVersion::V2] {
        let interop = Interop::new(RegistryKind::ReferrersApi, log);
        let file = interop.write("artifact.txt", "attested by sigstore-go\n");
        let hex = keys::Digest::sha256(b"attested by sigstore-go\n").to_hex();
        let statement = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"artifact.txt",
            "digest":{{"sha256":"{hex}"}}}}],"predicateType":"https://slsa.dev/provenance/v1",
            "predicate":{PROVENANCE}}}"#
        );
        let statement = interop.write("statement.json", &statement);
        let sign = interop.sigstore_go_signing().args(["-in-toto", "-id-token"]);
        let made = sign.arg(interop.email_token()).arg(statement).run().succeeds();
        let made = made.stdout.lines().find(|line| line.starts_with('{')).unwrap();
        let bundle = interop.write("go.att.json", made);
        verify_provenance(&interop, &bundle, &file, Signer::Email);
    }
}
