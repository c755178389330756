//! Several signers of one image.

use sandbox::RekorVersion;

use crate::images::BUNDLE;
use harness::{Interop, Program, RegistryKind, Signer};

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn eight_of_us_at_the_same_time_lose_nothing_behind_the_fallback_tag() {
    eight_of_us_lose_nothing(RegistryKind::FallbackTag);
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn eight_of_us_at_the_same_time_lose_nothing_with_the_referrers_api() {
    eight_of_us_lose_nothing(RegistryKind::ReferrersApi);
}

fn eight_of_us_lose_nothing(store: RegistryKind) {
    let interop = Interop::new(store, RekorVersion::V1);
    let image = interop.image("demo/ours");
    let signers =
        (0..8).map(|_| interop.ambisign_as(Signer::Workload, "sign").arg(&image)).collect();
    for outcome in Program::run_all(signers) {
        outcome.succeeds();
    }
    assert_eq!(interop.discover(&image, Some(BUNDLE)).len(), 8);
    let signer = interop.identity(Signer::Workload);
    let verified = interop.ambisign("verify").args(signer.policy()).arg(&image).run().succeeds();
    assert_eq!(verified.signatures().len(), 8);
    let verified = interop.cosign("verify").args(signer.policy()).arg(&image).run().succeeds();
    assert_eq!(verified.signatures().len(), 8);
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn cosign_and_we_take_turns_behind_the_fallback_tag() {
    cosign_and_we_take_turns(RegistryKind::FallbackTag, RekorVersion::V1);
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn cosign_and_we_take_turns_with_the_referrers_api() {
    cosign_and_we_take_turns(RegistryKind::ReferrersApi, RekorVersion::V2);
}

fn cosign_and_we_take_turns(store: RegistryKind, log: RekorVersion) {
    let interop = Interop::new(store, log);
    let image = interop.image("demo/both");
    interop.ambisign_as(Signer::Workload, "sign").arg(&image).run().succeeds();
    interop.cosign_as(Signer::Email, "sign").arg(&image).run().succeeds();
    interop.ambisign_as(Signer::Job, "sign").arg(&image).run().succeeds();
    interop.cosign_as(Signer::Email, "sign").arg(&image).run().succeeds();
    for (who, count) in [(Signer::Workload, 1), (Signer::Job, 1), (Signer::Email, 2)] {
        let policy = interop.identity(who);
        for verify in [interop.ambisign("verify"), interop.cosign("verify")] {
            let verified = verify.args(policy.policy()).arg(&image).run().succeeds();
            assert_eq!(verified.signatures().len(), count, "{verified:#?}");
        }
    }
    assert_eq!(interop.discover(&image, None).len(), 4);
    // What cosign wrote to the fallback tag hides the type of its own signatures; ours keep theirs.
    let typed = if store == RegistryKind::FallbackTag { 2 } else { 4 };
    assert_eq!(interop.discover(&image, Some(BUNDLE)).len(), typed);
}
