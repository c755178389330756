//! Detached signatures and the other formats from before bundles, with cosign on the other side.

use std::path::PathBuf;

use sandbox::RekorVersion;

use harness::{Interop, Program, RegistryKind, Signer};

/// cosign has fetched the sandbox's trusted root.
fn interop() -> Option<Interop> {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1)?;
    let trust = interop.setup.sandbox.trust_env();
    let of = |name: &str| trust.iter().find(|(found, _)| found == name).unwrap().1.clone();
    let initialize = interop.cosign_plain("initialize");
    let initialize = initialize.args(["--mirror", &of("SANDBOX_TUF"), "--root"]);
    initialize.arg(of("SANDBOX_TUF_ROOT")).run().succeeds();
    Some(interop)
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
fn both_verify_the_detached_signatures_of_cosign_by_the_entry_in_the_log() {
    let Some(interop) = interop() else { return };
    let parts = parts(&interop);
    let signer = interop.identity(Signer::Email);
    let file = interop.write("a", "signed by cosign\n");
    writing(cosign_sign_blob(&interop), &parts).arg(&file).run().succeeds();
    for verify in [cosign_verify_blob(&interop), interop.ambisign("verify-blob")] {
        reading(verify, &parts).args(signer.policy()).arg(&file).run().succeeds();
    }
    let changed = interop.write("changed", "not signed\n");
    for verify in [cosign_verify_blob(&interop), interop.ambisign("verify-blob")] {
        assert_ne!(reading(verify, &parts).args(signer.policy()).arg(&changed).run().code, 0);
    }
    let verify = reading(interop.ambisign("verify-blob"), &parts);
    let verify = verify.arg("--rfc3161-timestamp").arg(&parts[2]).arg("--use-signed-timestamps");
    verify.args(signer.policy()).arg(&file).run().succeeds();
    let another = signer.another();
    let verify = reading(interop.ambisign("verify-blob"), &parts).args(another.policy());
    verify.arg(&file).run().refuses(12, &format!("expected \"{}\"", another.name));
}
