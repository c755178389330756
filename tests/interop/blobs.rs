//! Files and their bundles, with both kinds of log.

use std::path::{Path, PathBuf};

use sandbox::RekorVersion;

use harness::{Interop, RegistryKind, Signer};

/// A test for each kind of log.
macro_rules! with_both_logs {
    ($name:ident) => {
        mod $name {
            use super::RekorVersion;

            #[test]
            #[ignore = "needs `cargo xtask peers`"]
            fn with_rekor_v1() {
                super::$name(RekorVersion::V1);
            }

            #[test]
            #[ignore = "needs `cargo xtask peers`"]
            fn with_rekor_v2() {
                super::$name(RekorVersion::V2);
            }
        }
    };
}

with_both_logs!(cosign_verifies_our_bundle);
with_both_logs!(sigstore_go_verifies_our_bundle);
with_both_logs!(sigstore_python_verifies_our_bundle);
with_both_logs!(we_verify_cosigns_bundle);
with_both_logs!(we_verify_sigstore_gos_bundle);
with_both_logs!(we_verify_sigstore_pythons_bundle);

fn interop(log: RekorVersion) -> Interop {
    Interop::new(RegistryKind::ReferrersApi, log)
}

/// A file, and our bundle for it.
fn our_bundle(interop: &Interop, who: Signer) -> (PathBuf, PathBuf) {
    let file = interop.write("artifact.txt", "signed by us\n");
    interop.ambisign_as(who, "sign-blob").arg(&file).run().succeeds();
    (file, interop.path("artifact.txt.sigstore.json"))
}

/// Demands that we take the bundle for the file it is for, by the signer it is by, and nothing else.
fn we_verify(interop: &Interop, file: &Path, bundle: &Path, who: Signer) {
    let signer = interop.identity(who);
    let verify =
        |file: &Path| interop.ambisign("verify-blob").arg(file).arg("--bundle").arg(bundle);
    verify(file).args(signer.policy()).run().succeeds();
    let other = signer.another();
    verify(file).args(other.policy()).run().refuses(12, &format!("expected \"{}\"", other.name));
    let changed = interop.write("changed.txt", "not signed\n");
    verify(&changed).args(signer.policy()).run().refuses(12, "the bundle belongs to sha256:");
}

fn cosign_verifies_our_bundle(log: RekorVersion) {
    let interop = interop(log);
    let (file, bundle) = our_bundle(&interop, Signer::Workload);
    let signer = interop.identity(Signer::Workload);
    let verify = || interop.cosign("verify-blob").arg("--bundle").arg(&bundle).arg(&file);
    verify().args(signer.policy()).run().succeeds();
    verify().args(signer.policy()).arg("--use-signed-timestamps").run().succeeds();
    let other = signer.another();
    let refused = verify().args(other.policy()).run();
    refused.refuses(1, &format!("expected SAN value \"{}\"", other.name));
}

fn sigstore_go_verifies_our_bundle(log: RekorVersion) {
    let interop = interop(log);
    let (file, bundle) = our_bundle(&interop, Signer::Job);
    let signer = interop.identity(Signer::Job);
    let verify = || interop.sigstore_go_verification().arg("-artifact").arg(&file);
    let verified = verify().args(signer.policy_of_go()).arg(&bundle).run().succeeds();
    assert!(verified.stdout.contains(&signer.name), "{verified:#?}");
    let other = signer.another();
    let refused = verify().args(other.policy_of_go()).arg(&bundle).run();
    refused.refuses(1, &format!("expected SAN value \"{}\"", other.name));
}

fn sigstore_python_verifies_our_bundle(log: RekorVersion) {
    let interop = interop(log);
    let (file, bundle) = our_bundle(&interop, Signer::Job);
    let signer = interop.identity(Signer::Job);
    let verify = || {
        let python = interop.sigstore_python().args(["verify", "identity", "--bundle"]);
        python.arg(&bundle).arg(&file)
    };
    verify().args(signer.policy_of_python()).run().succeeds();
    let refused = verify().args(signer.another().policy_of_python()).run();
    refused.refuses(1, "Certificate's SANs do not match");
}

fn we_verify_cosigns_bundle(log: RekorVersion) {
    let interop = interop(log);
    let file = interop.write("artifact.txt", "signed by cosign\n");
    for who in [Signer::Email, Signer::Job, Signer::Workload] {
        let bundle = interop.path("cosign.sigstore.json");
        interop
            .cosign_as(who, "sign-blob")
            .arg("--bundle")
            .arg(&bundle)
            .arg(&file)
            .run()
            .succeeds();
        we_verify(&interop, &file, &bundle, who);
    }
}

fn we_verify_sigstore_gos_bundle(log: RekorVersion) {
    let interop = interop(log);
    let file = interop.write("artifact.txt", "signed by sigstore-go\n");
    let token = interop.email_token();
    let sign = interop.sigstore_go_signing().args(["-id-token", &token]).arg(&file);
    // It says which key it uses, and then prints the bundle.
    let signed = sign.run().succeeds();
    let bundle = signed.stdout.lines().find(|line| line.starts_with('{')).unwrap();
    let bundle = interop.write("go.sigstore.json", bundle);
    we_verify(&interop, &file, &bundle, Signer::Email);
}

fn we_verify_sigstore_pythons_bundle(log: RekorVersion) {
    let interop = interop(log);
    let file = interop.write("artifact.txt", "signed by sigstore-python\n");
    let bundle = interop.path("python.sigstore.json");
    let sign = interop.sigstore_python().args(["sign", "--identity-token", &interop.email_token()]);
    sign.arg("--bundle").arg(&bundle).arg(&file).run().succeeds();
    we_verify(&interop, &file, &bundle, Signer::Email);
}
