//! Many signers of one image on docker-registry 2.8, which has no referrers API, behind a proxy that
//! delays each request for a tag by up to three seconds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use harness::{HostileServer, Interop, RegistryKind, Reply, Signer};
use sandbox::RekorVersion;

const SIGNERS: usize = 50;
const KILLED: usize = 10;

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn fifty_slow_signers_with_ten_killed_lose_no_reported_signature() {
    let interop = Interop::new(RegistryKind::FallbackTag, RekorVersion::V1);
    let direct = interop.image("demo/slow");
    let requests = AtomicU64::new(0);
    let proxy = HostileServer::before(interop.registry(), move |request| {
        if request.target.contains("/manifests/sha256-") || request.target.contains("/tags/list") {
            // Spread over 0 to 3 s, in an order that has nothing to do with that of arrival.
            let number = requests.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(number.wrapping_mul(2_654_435_761) % 3000));
        }
        Reply::Forward
    });
    let image = direct.replace(interop.registry(), proxy.address());
    let mut signers: Vec<_> = (0..SIGNERS)
        .map(|number| {
            let writer = format!("writer={number}");
            let sign = interop.ambisign_as(Signer::Workload, "sign").args(["-a", &writer]);
            Some(sign.arg(&image).within(Duration::from_secs(240)).spawn())
        })
        .collect();
    for number in 0..KILLED {
        std::thread::sleep(Duration::from_millis(700));
        // A child that has ended already is not killed; its result counts below.
        _ = signers[number * SIGNERS / KILLED].as_mut().unwrap().kill();
    }
    let reported: Vec<usize> = signers
        .iter_mut()
        .enumerate()
        .filter_map(|(number, child)| {
            let output = child.take().unwrap().wait_with_output().unwrap();
            output.status.success().then_some(number)
        })
        .collect();
    assert!(reported.len() >= SIGNERS - KILLED - 5, "{} signed", reported.len());
    let policy = interop.identity(Signer::Workload);
    for number in &reported {
        let writer = format!("writer={number}");
        let verify = interop.ambisign("verify").args(policy.policy()).args(["-a", &writer]);
        assert!(verify.arg(&direct).run().succeeds().signatures().len() == 1, "writer {number}");
    }
    let listed = interop.ambisign("verify").args(policy.policy()).arg(&direct).run().succeeds();
    let cosign = interop.cosign("verify").args(policy.policy()).arg(&direct).run();
    println!(
        "{} of {SIGNERS} signers reported success; ambisign finds each of them, {} by the list \
         alone; cosign finds {}",
        reported.len(),
        listed.signatures().len(),
        cosign.signatures().len()
    );
}
