//! What people meet at registries, with the real parts: caches that pull through, a repository for
//! signatures, and the attestation manifests of BuildKit.

use std::collections::BTreeMap;

use harness::{HostileServer, Interop, RegistryKind, Reply, Signer};
use sandbox::RekorVersion;
use serde_json::json;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// docker-registry as a cache that pulls through from the registry at `origin`.
fn cache_of(interop: &Interop, origin: &str) -> harness::DockerRegistry {
    interop.guarded_registry(&format!("proxy:\n  remoteurl: http://{origin}\n"))
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn a_cache_that_pulls_through_serves_the_list_and_takes_no_signature() {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    // A registry without the referrers API.
    let origin = HostileServer::before(interop.registry(), |request| {
        match request.is("GET", "/referrers/") {
            true => Reply::response(404, &[("content-type", "text/plain")], "404 page not found"),
            false => Reply::Forward,
        }
    });
    let image = interop.image("demo/app").replace(interop.registry(), origin.address());
    interop.ambisign_as(Signer::Workload, "sign").arg(&image).run().succeeds();
    let cache = cache_of(&interop, origin.address());
    let cached = image.replace(origin.address(), &cache.address);
    let signer = interop.identity(Signer::Workload);
    let verify = |image: &str| interop.ambisign("verify").args(signer.policy()).arg(image);
    assert_eq!(verify(&cached).run().succeeds().signatures().len(), 1);

    // Nothing is logged for a registry that takes nothing.
    let logged = interop.setup.logged();
    let sign = interop.ambisign_as(Signer::Workload, "sign").arg(&cached).run();
    assert_eq!(sign.code, 1, "{sign:#?}");
    assert_eq!(interop.setup.logged(), logged);
}

/// It has no referrers API, and was never asked for the referrers by their digests.
#[test]
#[ignore = "needs `cargo xtask peers`"]
fn behind_a_cache_the_signatures_are_found_at_the_registry_itself() {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    let image = interop.image("demo/app");
    interop.ambisign_as(Signer::Workload, "sign").arg(&image).run().succeeds();
    let cache = cache_of(&interop, interop.registry());
    let signer = interop.identity(Signer::Workload);
    let verify = || interop.ambisign("verify").args(signer.policy());
    // Named alone, the cache has an image without signatures.
    let cached = image.replace(interop.registry(), &cache.address);
    assert_eq!(verify().arg(&cached).run().code, 10);

    let conf = format!(
        "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        interop.registry(),
        cache.address
    );
    let conf = interop.write("registries.conf", &conf);
    let verify = verify().env("CONTAINERS_REGISTRIES_CONF", conf).arg(&image);
    assert_eq!(verify.run().succeeds().signatures().len(), 1);
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn a_repository_for_signatures_holds_ours_and_cosigns_and_both_read_it() {
    for store in [RegistryKind::FallbackTag, RegistryKind::ReferrersApi] {
        let interop = Interop::new(store, RekorVersion::V1);
        let image = interop.image("demo/app");
        let there = format!("{}/all/signatures", interop.registry());
        let set = |program: harness::Program| program.env("COSIGN_REPOSITORY", &there);
        set(interop.ambisign_as(Signer::Workload, "sign")).arg(&image).run().succeeds();
        set(interop.cosign_as(Signer::Email, "sign")).arg(&image).run().succeeds();
        for signer in [Signer::Workload, Signer::Email] {
            let signer = interop.identity(signer);
            for program in [interop.ambisign("verify"), interop.cosign("verify")] {
                let verified = set(program).args(signer.policy()).arg(&image).run().succeeds();
                assert_eq!(verified.signatures().len(), 1);
            }
            // Without the variable there are none.
            let verify = interop.ambisign("verify").args(signer.policy()).arg(&image);
            assert_eq!(verify.run().code, 10);
        }
    }
}

/// An index with an attestation manifest, as BuildKit makes it, and the references of what it lists.
fn index_with_attestation(interop: &Interop, name: &str) -> (String, [String; 2]) {
    let registry = interop.registry();
    let empty = interop.setup.put_blob(registry, name, b"{}");
    let config =
        json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2 });
    let parts = [("image", "linux"), ("attestation", "unknown")].map(|(kind, platform)| {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [config],
            "annotations": { "kind": kind },
        });
        let text = manifest.to_string();
        let digest = format!("sha256:{}", keys::Digest::sha256(text.as_bytes()).to_hex());
        interop.setup.put_manifest(registry, name, &digest, &manifest);
        let mut annotations = BTreeMap::new();
        if kind == "attestation" {
            annotations.insert("vnd.docker.reference.type", "attestation-manifest");
        }
        let platform = json!({ "os": platform, "architecture": "amd64" });
        (
            digest.clone(),
            json!({
                "mediaType": MANIFEST, "digest": digest, "size": text.len(),
                "platform": platform, "annotations": annotations,
            }),
        )
    });
    let listed = parts.clone().map(|(_, entry)| entry);
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed });
    interop.setup.put_manifest(registry, name, "v1", &index);
    let at = |(digest, _): (String, _)| format!("{registry}/{name}@{digest}");
    (format!("{registry}/{name}:v1"), parts.map(at))
}

/// The policies of BuildKit verify the signature of the attestation manifest itself.
#[test]
#[ignore = "needs `cargo xtask peers`"]
fn attestation_manifests_of_buildkit_are_signed_as_cosign_signs_them() {
    let interop = Interop::new(RegistryKind::FallbackTag, RekorVersion::V1);
    for (name, signer) in [("demo/ours", Signer::Workload), ("demo/theirs", Signer::Email)] {
        let (index, parts) = index_with_attestation(&interop, name);
        let sign = match signer {
            Signer::Workload => interop.ambisign_as(signer, "sign"),
            _ => interop.cosign_as(signer, "sign"),
        };
        sign.arg("-r").arg(&index).run().succeeds();
        let signer = interop.identity(signer);
        for image in [&index, &parts[0], &parts[1]] {
            for verify in [interop.ambisign("verify"), interop.cosign("verify")] {
                let verified = verify.args(signer.policy()).arg(image).run().succeeds();
                assert_eq!(verified.signatures().len(), 1);
            }
        }
        let verify = interop.ambisign("verify").arg("--recursive").args(signer.policy());
        verify.arg(&index).run().succeeds();
    }
}
