//! Several signers of one image.

use sandbox::RekorVersion;

use crate::images::BUNDLE;
use crate::world::{Program, Store, Who, World};

#[test]
fn eight_of_us_at_the_same_time_lose_nothing_behind_the_fallback_tag() {
    eight_of_us_lose_nothing(Store::FallbackTag);
}

#[test]
fn eight_of_us_at_the_same_time_lose_nothing_with_the_referrers_api() {
    eight_of_us_lose_nothing(Store::ReferrersApi);
}

fn eight_of_us_lose_nothing(store: Store) {
    let Some(world) = World::new(store, RekorVersion::V1) else { return };
    let image = world.image("demo/ours");
    let signers = (0..8).map(|_| world.ambisign_as(Who::Workload, "sign").arg(&image)).collect();
    for outcome in Program::run_all(signers) {
        outcome.succeeds();
    }
    assert_eq!(world.discover(&image, Some(BUNDLE)).len(), 8);
    let signer = world.identity(Who::Workload);
    let verified = world.ambisign("verify").args(signer.policy()).arg(&image).run().succeeds();
    assert_eq!(verified.signatures().len(), 8);
    let verified = world.cosign("verify").args(signer.policy()).arg(&image).run().succeeds();
    assert_eq!(verified.signatures().len(), 8);
}

#[test]
fn cosign_and_we_take_turns_behind_the_fallback_tag() {
    cosign_and_we_take_turns(Store::FallbackTag, RekorVersion::V1);
}

#[test]
fn cosign_and_we_take_turns_with_the_referrers_api() {
    cosign_and_we_take_turns(Store::ReferrersApi, RekorVersion::V2);
}

fn cosign_and_we_take_turns(store: Store, log: RekorVersion) {
    let Some(world) = World::new(store, log) else { return };
    let image = world.image("demo/both");
    world.ambisign_as(Who::Workload, "sign").arg(&image).run().succeeds();
    world.cosign_as(Who::Person, "sign").arg(&image).run().succeeds();
    world.ambisign_as(Who::Job, "sign").arg(&image).run().succeeds();
    world.cosign_as(Who::Person, "sign").arg(&image).run().succeeds();
    for (who, count) in [(Who::Workload, 1), (Who::Job, 1), (Who::Person, 2)] {
        let policy = world.identity(who);
        for verify in [world.ambisign("verify"), world.cosign("verify")] {
            let verified = verify.args(policy.policy()).arg(&image).run().succeeds();
            assert_eq!(verified.signatures().len(), count, "{verified:#?}");
        }
    }
    assert_eq!(world.discover(&image, None).len(), 4);
    // What cosign wrote to the fallback tag hides the type of its own signatures; ours keep theirs.
    let typed = if store == Store::FallbackTag { 2 } else { 4 };
    assert_eq!(world.discover(&image, Some(BUNDLE)).len(), typed);
}
