//! Images, on both kinds of registry and with both kinds of log.

use sandbox::RekorVersion;
use serde_json::{Value, json};

use harness::{Interop, RegistryKind, Signer};

/// The artifact type of a bundle that hangs on to an image.
pub(crate) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A test for each kind of registry and log.
macro_rules! everywhere {
    ($name:ident) => {
        mod $name {
            use super::{RegistryKind, RekorVersion};

            #[test]
            #[ignore = "needs `cargo xtask peers`"]
            fn with_the_referrers_api_and_rekor_v1() {
                super::$name(RegistryKind::ReferrersApi, RekorVersion::V1);
            }

            #[test]
            #[ignore = "needs `cargo xtask peers`"]
            fn with_the_referrers_api_and_rekor_v2() {
                super::$name(RegistryKind::ReferrersApi, RekorVersion::V2);
            }

            #[test]
            #[ignore = "needs `cargo xtask peers`"]
            fn with_the_fallback_tag_and_rekor_v1() {
                super::$name(RegistryKind::FallbackTag, RekorVersion::V1);
            }

            #[test]
            #[ignore = "needs `cargo xtask peers`"]
            fn with_the_fallback_tag_and_rekor_v2() {
                super::$name(RegistryKind::FallbackTag, RekorVersion::V2);
            }
        }
    };
}

everywhere!(cosign_verifies_our_signature);
everywhere!(we_verify_cosigns_signature);
everywhere!(oras_discovers_our_signature);

fn cosign_verifies_our_signature(store: RegistryKind, log: RekorVersion) {
    let interop = Interop::new(store, log);
    let image = interop.image("demo/ours");
    let signer = interop.identity(Signer::Workload);
    interop.ambisign_as(Signer::Workload, "sign").args(["-a", "env=prod", &image]).run().succeeds();

    let verified = interop.cosign("verify").args(signer.policy()).arg(&image).run().succeeds();
    let [found] = verified.signatures().try_into().unwrap();
    let (_, digest) = image.split_once('@').unwrap();
    assert_eq!(found["critical"]["image"]["docker-manifest-digest"], digest);
    assert_eq!(found["critical"]["type"], "https://sigstore.dev/cosign/sign/v1");
    assert_eq!(found["optional"], json!({ "env": "prod" }));
    let demand = |annotation: &str| {
        let verify = interop.cosign("verify").args(signer.policy());
        verify.args(["-a", annotation, &image]).run()
    };
    demand("env=prod").succeeds();
    demand("env=test").refuses(1, "missing or incorrect annotation");

    let other = signer.another();
    let refused = interop.cosign("verify").args(other.policy()).arg(&image).run();
    refused.refuses(1, &format!("expected SAN value \"{}\"", other.name));
}

fn we_verify_cosigns_signature(store: RegistryKind, log: RekorVersion) {
    let interop = Interop::new(store, log);
    let image = interop.image("demo/theirs");
    let signer = interop.identity(Signer::Email);
    interop.cosign_as(Signer::Email, "sign").args(["-a", "env=prod", &image]).run().succeeds();

    let verify = || interop.ambisign("verify").arg(&image);
    let verified = verify().args(signer.policy()).args(["-a", "env=prod"]).run().succeeds();
    let [found] = verified.signatures().try_into().unwrap();
    let (_, digest) = image.split_once('@').unwrap();
    assert_eq!(found["critical"]["image"]["docker-manifest-digest"], digest);
    assert_eq!(found["optional"]["Subject"], signer.name.as_str());
    assert_eq!(found["optional"]["Issuer"], signer.issuer.as_str());
    assert_eq!(found["optional"]["env"], "prod");

    let other = signer.another();
    verify().args(other.policy()).run().refuses(12, &format!("expected \"{}\"", other.name));
    verify().args(signer.policy()).args(["-a", "env=test"]).run().refuses(12, "env");
}

/// cosign signs any annotation: one with the name of a verified fact must not pass for the fact.
#[test]
#[ignore = "needs `cargo xtask peers`"]
fn an_annotation_of_cosign_with_the_name_of_a_fact_is_a_claim_and_no_fact() {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    let image = interop.image("demo/theirs");
    let signer = interop.identity(Signer::Email);
    let source = "https://github.com/acme/app";
    let forged = [
        format!("SourceRepositoryURI={source}"),
        "runnerenvironment=github-hosted".to_owned(),
        "Subject=root@example.org".to_owned(),
        "env=prod".to_owned(),
    ];
    let flags = forged.iter().flat_map(|annotation| ["-a", annotation]);
    interop.cosign_as(Signer::Email, "sign").args(flags).arg(&image).run().succeeds();

    let verify = interop.ambisign("verify").arg(&image).args(signer.policy());
    let [found] = verify.run().succeeds().signatures().try_into().unwrap();
    let facts = found["optional"].as_object().unwrap();
    assert_eq!(facts["Subject"], signer.name.as_str());
    assert_eq!(facts["env"], "prod");
    let has = |name: &str| facts.keys().any(|fact| fact.eq_ignore_ascii_case(name));
    assert!(!has("SourceRepositoryURI") && !has("RunnerEnvironment"), "{facts:#?}");
    let claims = found["claims"]["annotations"].as_object().unwrap();
    assert_eq!(claims["SourceRepositoryURI"], source);
    assert_eq!(claims["runnerenvironment"], "github-hosted");
    assert_eq!(claims["Subject"], "root@example.org");
}

fn oras_discovers_our_signature(store: RegistryKind, log: RekorVersion) {
    let interop = Interop::new(store, log);
    let image = interop.image("demo/ours");
    let sign = interop.ambisign_as(Signer::Job, "sign").args(["-o", "json", &image]);
    let signed: Value = serde_json::from_str(&sign.run().succeeds().stdout).unwrap();
    let attached = if store == RegistryKind::FallbackTag { "fallback-tag" } else { "referrers" };
    assert_eq!(signed["attached"], attached);

    for artifact_type in [None, Some(BUNDLE)] {
        let [found] = interop.discover(&image, artifact_type).try_into().unwrap();
        assert_eq!(found["artifactType"], BUNDLE);
        let annotations = found["annotations"].as_object().unwrap();
        assert_eq!(annotations["dev.sigstore.bundle.content"], "dsse-envelope");
        let predicate_type = &annotations["dev.sigstore.bundle.predicateType"];
        assert_eq!(predicate_type, "https://sigstore.dev/cosign/sign/v1");
        assert!(annotations["org.opencontainers.image.created"].is_string(), "{found}");
        // oras reads what hangs there as well.
        let manifest = found["reference"].as_str().unwrap();
        let manifest = interop.oras(&["manifest", "fetch"]).arg(manifest).run().succeeds().stdout;
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(manifest["subject"]["digest"], signed["digest"]);
        assert_eq!(manifest["layers"][0]["digest"], signed["bundle_digest"]);
    }
    assert_eq!(interop.discover(&image, Some("application/spdx+json")), Vec::<Value>::new());
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn we_verify_what_cosign_signs_in_a_github_job() {
    we_verify_cosign_as(Signer::Job);
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn we_verify_what_cosign_signs_as_a_spiffe_workload() {
    we_verify_cosign_as(Signer::Workload);
}

fn we_verify_cosign_as(who: Signer) {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    let image = interop.image("demo/theirs");
    let signer = interop.identity(who);
    interop.cosign_as(who, "sign").arg(&image).run().succeeds();
    let verified = interop.ambisign("verify").args(signer.policy()).arg(&image).run().succeeds();
    assert_eq!(verified.signatures()[0]["optional"]["Subject"], signer.name.as_str());
}
