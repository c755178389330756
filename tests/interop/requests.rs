//! How many requests docker-registry 2.8, which has no referrers API, gets for each image that is
//! signed, beside cosign.

use std::time::Duration;

use harness::{Counted, Delays, HostileServer, Interop, Program, RegistryKind, Reply, Signer};
use sandbox::RekorVersion;

const IMAGES: usize = 100;
/// cosign signs one image after the other.
const IMAGES_OF_COSIGN: usize = 5;

/// Requests for each image.
fn count(proxy: &HostileServer, images: usize, sign: Program) -> f64 {
    let before = proxy.requests().len();
    sign.within(Duration::from_secs(120)).run().succeeds();
    (proxy.requests().len() - before) as f64 / images as f64
}

/// Images behind the proxy, in one repository or each in its own.
fn images(interop: &Interop, proxy: &HostileServer, name: &str, apart: bool) -> Vec<String> {
    let at =
        |repository: &str, reference: &str| format!("{}/{repository}{reference}", proxy.address());
    if apart {
        let push = |number| {
            let repository = format!("{name}/{number}");
            interop.setup.push(interop.registry(), &repository);
            at(&repository, ":v1")
        };
        return (0..IMAGES).map(push).collect();
    }
    let tags = interop.setup.images_at(interop.registry(), name, IMAGES);
    tags.iter().map(|image| image.replace(interop.registry(), proxy.address())).collect()
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn each_of_a_hundred_images_costs_seven_requests_in_one_repository_and_eight_apart() {
    let interop = Interop::new(RegistryKind::FallbackTag, RekorVersion::V1);
    let proxy = HostileServer::before(interop.registry(), |_| Reply::Forward);
    for apart in [false, true] {
        let list = images(&interop, &proxy, if apart { "apart" } else { "together" }, apart);
        let file = interop.write("images.txt", &list.join("\n"));
        let sign = interop.ambisign_as(Signer::Workload, "sign").arg("--from-file").arg(file);
        let ours = count(&proxy, IMAGES, sign);

        let theirs = &list[..IMAGES_OF_COSIGN];
        let sign = interop.cosign_as(Signer::Email, "sign").args(theirs);
        let theirs = count(&proxy, IMAGES_OF_COSIGN, sign);
        println!("apart {apart}: {ours} requests for each image, cosign {theirs}");

        let policy = interop.identity(Signer::Workload);
        let verify = interop.ambisign("verify").args(policy.policy()).args(&list);
        verify.within(Duration::from_secs(120)).run().succeeds();
        let verify = interop.cosign("verify").args(policy.policy()).args(&list[..3]);
        verify.run().succeeds();
        // Apart, each image costs eight; the first one a few more, for what is asked of the registry.
        let most = if apart { 8.1 } else { 8.0 };
        assert!(ours <= most, "{ours} requests for each image, apart {apart}");
    }
}

/// Token, certificate, timestamp, log, bundle, manifest, list: docs/registries.md.
#[test]
#[ignore = "needs `cargo xtask peers`"]
fn one_image_is_signed_in_seven_round_trips_whatever_signatures_it_has() {
    let interop = Interop::new(RegistryKind::FallbackTag, RekorVersion::V1);
    let setup = &interop.setup;
    let delays =
        Delays { registry: Duration::from_millis(20), services: Duration::from_millis(100) };
    let mut counted = Counted::new(setup, interop.registry(), RekorVersion::V1, delays);
    for (repository, signature) in
        [("one", "first"), ("one", "second"), ("one", "third"), ("two", "first")]
    {
        let image = interop.image(repository).replace(interop.registry(), counted.registry());
        counted.forget();
        counted.sign(setup).arg(&image).run().ends(0);
        let ((trips, shown), requests) = (counted.round_trips(), counted.requests());
        let shown = format!("{requests} requests, {signature} signature of {repository}\n{shown}");
        println!("{trips} round trips, {shown}");
        assert!(trips <= 7 && requests <= 11, "{trips} round trips, {shown}");
    }
}
