//! Files and their bundles, with both kinds of log.

use std::path::{Path, PathBuf};

use sandbox::RekorVersion;

use crate::world::{Store, Who, World};

/// A test for each kind of log.
macro_rules! with_both_logs {
    ($name:ident) => {
        mod $name {
            use super::RekorVersion;

            #[test]
            fn with_rekor_v1() {
                super::$name(RekorVersion::V1);
            }

            #[test]
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

fn world(log: RekorVersion) -> Option<World> {
    World::new(Store::ReferrersApi, log)
}

/// A file, and our bundle for it.
fn our_bundle(world: &World, who: Who) -> (PathBuf, PathBuf) {
    let file = world.write("artifact.txt", "signed by us\n");
    world.ambisign_as(who, "sign-blob").arg(&file).run().succeeds();
    (file, world.path("artifact.txt.sigstore.json"))
}

/// Demands that we take the bundle for the file it is for, by the signer it is by, and nothing else.
fn we_verify(world: &World, file: &Path, bundle: &Path, who: Who) {
    let signer = world.identity(who);
    let verify = |file: &Path| world.ambisign("verify-blob").arg(file).arg("--bundle").arg(bundle);
    verify(file).args(signer.policy()).run().succeeds();
    let other = signer.stranger();
    verify(file).args(other.policy()).run().refuses(12, &format!("expected \"{}\"", other.name));
    let changed = world.write("changed.txt", "signed by nobody\n");
    verify(&changed).args(signer.policy()).run().refuses(12, "the bundle is of sha256:");
}

fn cosign_verifies_our_bundle(log: RekorVersion) {
    let Some(world) = world(log) else { return };
    let (file, bundle) = our_bundle(&world, Who::Workload);
    let signer = world.identity(Who::Workload);
    let verify = || world.cosign("verify-blob").arg("--bundle").arg(&bundle).arg(&file);
    verify().args(signer.policy()).run().succeeds();
    verify().args(signer.policy()).arg("--use-signed-timestamps").run().succeeds();
    let other = signer.stranger();
    let refused = verify().args(other.policy()).run();
    refused.refuses(1, &format!("expected SAN value \"{}\"", other.name));
}

fn sigstore_go_verifies_our_bundle(log: RekorVersion) {
    let Some(world) = world(log) else { return };
    let (file, bundle) = our_bundle(&world, Who::Job);
    let signer = world.identity(Who::Job);
    let verify = || world.sigstore_go_verification().arg("-artifact").arg(&file);
    let verified = verify().args(signer.policy_of_go()).arg(&bundle).run().succeeds();
    assert!(verified.stdout.contains(&signer.name), "{verified:#?}");
    let other = signer.stranger();
    let refused = verify().args(other.policy_of_go()).arg(&bundle).run();
    refused.refuses(1, &format!("expected SAN value \"{}\"", other.name));
}

fn sigstore_python_verifies_our_bundle(log: RekorVersion) {
    let Some(world) = world(log) else { return };
    let (file, bundle) = our_bundle(&world, Who::Job);
    let signer = world.identity(Who::Job);
    let verify = || {
        let python = world.sigstore_python().args(["verify", "identity", "--bundle"]);
        python.arg(&bundle).arg(&file)
    };
    verify().args(signer.policy_of_python()).run().succeeds();
    let refused = verify().args(signer.stranger().policy_of_python()).run();
    refused.refuses(1, "Certificate's SANs do not match");
}

fn we_verify_cosigns_bundle(log: RekorVersion) {
    let Some(world) = world(log) else { return };
    let file = world.write("artifact.txt", "signed by cosign\n");
    for who in [Who::Person, Who::Job, Who::Workload] {
        let bundle = world.path("cosign.sigstore.json");
        world.cosign_as(who, "sign-blob").arg("--bundle").arg(&bundle).arg(&file).run().succeeds();
        we_verify(&world, &file, &bundle, who);
    }
}

fn we_verify_sigstore_gos_bundle(log: RekorVersion) {
    let Some(world) = world(log) else { return };
    let file = world.write("artifact.txt", "signed by sigstore-go\n");
    let token = world.email_token();
    let sign = world.sigstore_go_signing().args(["-id-token", &token]).arg(&file);
    // It says which key it uses, and then prints the bundle.
    let signed = sign.run().succeeds();
    let bundle = signed.stdout.lines().find(|line| line.starts_with('{')).unwrap();
    let bundle = world.write("go.sigstore.json", bundle);
    we_verify(&world, &file, &bundle, Who::Person);
}

fn we_verify_sigstore_pythons_bundle(log: RekorVersion) {
    let Some(world) = world(log) else { return };
    let file = world.write("artifact.txt", "signed by sigstore-python\n");
    let bundle = world.path("python.sigstore.json");
    let sign = world.sigstore_python().args(["sign", "--identity-token", &world.email_token()]);
    sign.arg("--bundle").arg(&bundle).arg(&file).run().succeeds();
    we_verify(&world, &file, &bundle, Who::Person);
}
