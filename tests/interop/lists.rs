//! Lists of signatures under the tag `sha256-<hex>` that oras, sigstore-js, cosign and we write in
//! turn: none of us loses what the others listed.

use harness::{Interop, RegistryKind, Signer};
use sandbox::RekorVersion;
use serde_json::Value;

use crate::images::BUNDLE;

/// The entries of the list, by their digests.
fn list(interop: &Interop, image: &str) -> Vec<Value> {
    let (repository, digest) = image.split_once('@').unwrap();
    let tag = format!("{repository}:{}", digest.replace(':', "-"));
    let fetched = interop.oras(&["manifest", "fetch"]).arg(tag).run().succeeds();
    let index: Value = serde_json::from_str(&fetched.stdout).unwrap();
    index["manifests"].as_array().unwrap().clone()
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
enum Writer {
    Ambisign,
    Cosign,
    Oras,
    SigstoreJs,
}

use Writer::{Ambisign, Cosign, Oras, SigstoreJs};

/// Attaches something and returns what is listed afterwards. Everything that was listed before is
/// still there; what cosign leaves of an entry is its digest.
fn write(interop: &Interop, writer: Writer, image: &str, before: &[Value]) -> Vec<Value> {
    match writer {
        Ambisign => {
            interop.ambisign_as(Signer::Workload, "sign").arg(image).run().succeeds();
        }
        Cosign => {
            interop.cosign_as(Signer::Email, "sign").arg(image).run().succeeds();
        }
        Oras => {
            // Never the same manifest twice, which would be one entry.
            interop.write("sbom.txt", &format!("SBOM number {}", before.len()));
            let attach = interop.oras(&["attach", "--artifact-type", "text/spdx", "-a", "by=oras"]);
            attach.args([image, "sbom.txt:text/spdx"]).run().succeeds();
        }
        SigstoreJs => sigstore_js(interop, image),
    }
    let after = list(interop, image);
    assert_eq!(after.len(), before.len() + 1, "{writer:?}");
    for entry in before {
        let kept = after.iter().find(|kept| kept["digest"] == entry["digest"]);
        let kept = kept.unwrap_or_else(|| panic!("{writer:?} loses {entry}"));
        match writer {
            Cosign => {}
            _ => assert_eq!(kept, entry, "{writer:?}"),
        }
    }
    after
}

/// Attaches a signature that we made and did not attach, as `actions/attest` attaches its own.
fn sigstore_js(interop: &Interop, image: &str) {
    let bundle = interop.path("job.sigstore.json");
    let sign = interop.ambisign_as(Signer::Job, "sign").args(["--upload=false", "--bundle"]);
    sign.arg(&bundle).arg(image).run().succeeds();
    let script = harness::workspace().join("tests/interop/sigstore_js.js");
    let (name, digest) = image.split_once('@').unwrap();
    let attach = interop.sigstore_js().arg(script).args([name, digest]).arg(&bundle);
    attach.run().succeeds();
    std::fs::remove_file(bundle).unwrap();
}

/// We and cosign find `count` signatures of each signer.
fn verifies(interop: &Interop, image: &str, counts: [(Signer, usize); 3]) {
    for (signer, count) in counts {
        let signer = interop.identity(signer);
        for verify in [interop.ambisign("verify"), interop.cosign("verify")] {
            let verified = verify.args(signer.policy()).arg(image).run().succeeds();
            assert_eq!(verified.signatures().len(), count, "{verified:#?}");
        }
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn lists_that_oras_sigstore_js_cosign_and_we_write_in_turn_lose_nothing() {
    let interop = Interop::new(RegistryKind::FallbackTag, RekorVersion::V1);
    for (name, writers) in [
        ("by-oras", [Oras, Ambisign, SigstoreJs, Ambisign, Cosign, Oras, Ambisign]),
        ("by-js", [SigstoreJs, Ambisign, Oras, Cosign, Ambisign, Oras, Ambisign]),
        ("by-us", [Ambisign, Oras, SigstoreJs, Oras, Ambisign, Cosign, Ambisign]),
    ] {
        let image = interop.image(&format!("demo/{name}"));
        let mut listed = Vec::new();
        for writer in writers {
            listed = write(&interop, writer, &image, &listed);
        }
        verifies(&interop, &image, [(Signer::Workload, 3), (Signer::Job, 1), (Signer::Email, 1)]);
        assert_eq!(interop.discover(&image, None).len(), 7);
        let oras = writers.iter().filter(|writer| matches!(writer, Oras)).count();
        assert_eq!(interop.discover(&image, Some("text/spdx")).len(), oras);
        let ours = interop.discover(&image, Some(BUNDLE)).len();
        assert!(ours >= 4, "cosign hides the type of its own signature only: {ours}");

        // And all of it moves, to a registry with the referrers API.
        let there = format!("{}/moved/{name}", interop.setup.sandbox.registry());
        let copy = interop.ambisign_plain("copy").args(["--all-referrers", &image]);
        copy.arg(format!("{there}:v1")).run().succeeds();
        let (_, digest) = image.split_once('@').unwrap();
        assert_eq!(interop.discover(&format!("{there}@{digest}"), None).len(), 7);
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn sigstore_js_attaches_where_the_registry_lists_referrers_and_we_find_it() {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V2);
    let image = interop.image("demo/js");
    sigstore_js(&interop, &image);
    let signer = interop.identity(Signer::Job);
    for verify in [interop.ambisign("verify"), interop.cosign("verify")] {
        let verified = verify.args(signer.policy()).arg(&image).run().succeeds();
        assert_eq!(verified.signatures().len(), 1);
    }
}
