//! Detached signatures and the other formats from before bundles, with cosign on the other side.

use std::path::PathBuf;

use sandbox::RekorVersion;

use harness::{Interop, Program, RegistryKind, Signer};

/// cosign has fetched the sandbox's trusted root.
fn interop() -> Interop {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    let trust = interop.setup.sandbox.trust_env();
    let of = |name: &str| trust.iter().find(|(found, _)| found == name).unwrap().1.clone();
    let initialize = interop.cosign_plain("initialize");
    let initialize = initialize.args(["--mirror", &of("SANDBOX_TUF"), "--root"]);
    initialize.arg(of("SANDBOX_TUF_ROOT")).run().succeeds();
    interop
}

/// cosign about to sign as it did before there were bundles.
fn cosign_sign_blob(interop: &Interop) -> Program {
    let endpoints = interop.setup.sandbox.endpoints();
    let token = interop.write("earlier.jwt", &interop.email_token());
    let sign = interop.cosign("sign-blob").args(["--yes", "--new-bundle-format=false"]);
    let sign = sign.args(["--use-signing-config=false", "--fulcio-url", &endpoints.fulcio]);
    let sign = sign.args(["--rekor-url", &endpoints.rekor_v1, "--timestamp-server-url"]);
    sign.arg(format!("{}/api/v1/timestamp", endpoints.tsa)).arg("--identity-token").arg(token)
}

/// The files with the parts of a signature: signature, certificate, timestamp.
fn parts(interop: &Interop) -> [PathBuf; 3] {
    ["a.sig", "a.pem", "a.tsr"].map(|name| interop.path(name))
}

fn writing(program: Program, [signature, certificate, timestamp]: &[PathBuf; 3]) -> Program {
    let program = program.arg("--output-signature").arg(signature);
    let program = program.arg("--output-certificate").arg(certificate);
    program.arg("--rfc3161-timestamp").arg(timestamp)
}

fn reading(program: Program, [signature, certificate, _]: &[PathBuf; 3]) -> Program {
    program.arg("--signature").arg(signature).arg("--certificate").arg(certificate)
}

/// cosign about to verify without a bundle, asking the sandbox's log. It takes no `--trusted-root`
/// then.
fn cosign_verify_blob(interop: &Interop) -> Program {
    let rekor = &interop.setup.sandbox.endpoints().rekor_v1;
    let verify = interop.cosign_plain("verify-blob");
    verify.args(["--new-bundle-format=false", "--rekor-url", rekor])
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn both_verify_the_detached_signatures_of_both_by_the_entry_in_the_log() {
    let interop = interop();
    let parts = parts(&interop);
    let signer = interop.identity(Signer::Email);
    for (name, sign) in [
        ("theirs", cosign_sign_blob(&interop)),
        ("ours", interop.ambisign_as(Signer::Email, "sign-blob")),
    ] {
        let file = interop.write(name, &format!("signed by {name}\n"));
        writing(sign, &parts).arg(&file).run().succeeds();
        for verify in [cosign_verify_blob(&interop), interop.ambisign("verify-blob")] {
            reading(verify, &parts).args(signer.policy()).arg(&file).run().succeeds();
        }
        let changed = interop.write("changed", "not signed\n");
        for verify in [cosign_verify_blob(&interop), interop.ambisign("verify-blob")] {
            assert_ne!(reading(verify, &parts).args(signer.policy()).arg(&changed).run().code, 0);
        }
        let verify = reading(interop.ambisign("verify-blob"), &parts);
        let verify = verify.arg("--rfc3161-timestamp").arg(&parts[2]);
        let verify = verify.arg("--use-signed-timestamps").args(signer.policy());
        verify.arg(&file).run().succeeds();
        let another = signer.another();
        let verify = reading(interop.ambisign("verify-blob"), &parts).args(another.policy());
        verify.arg(&file).run().refuses(12, &format!("expected \"{}\"", another.name));
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn both_verify_the_older_json_of_both_and_the_bundles_made_of_it() {
    let interop = interop();
    let signer = interop.identity(Signer::Email);
    let (old, new) = (interop.path("old.json"), interop.path("new.json"));
    let ours = interop.ambisign_as(Signer::Email, "sign-blob").arg("--new-bundle-format=false");
    for (name, sign) in [("theirs", cosign_sign_blob(&interop)), ("ours", ours)] {
        let file = interop.write(name, &format!("signed by {name}\n"));
        sign.arg("--bundle").arg(&old).arg(&file).run().succeeds();
        for verify in [cosign_verify_blob(&interop), interop.ambisign("verify-blob")] {
            let verify = verify.arg("--bundle").arg(&old).args(signer.policy());
            verify.arg(&file).run().succeeds();
        }
        let root = interop.setup.sandbox.trusted_root();
        let create = interop.ambisign_plain("bundle").args(["create", "--artifact"]).arg(&file);
        let create = create.arg("--bundle").arg(&old).arg("--trusted-root").arg(&root);
        create.arg("--out").arg(&new).run().succeeds();
        for verify in [interop.cosign("verify-blob"), interop.ambisign("verify-blob")] {
            let verify = verify.arg("--bundle").arg(&new).args(signer.policy());
            verify.arg(&file).run().succeeds();
        }
    }
}
