//! How many requests the program makes, and how many of them one after another: a registry and
//! services behind proxies that delay and count.

use std::time::{Duration, Instant};

use harness::{Counted, Delays, Reply, Setup};
use sandbox::RekorVersion;

/// A sandbox whose log of version 2 publishes every two seconds.
fn sandbox(referrers: bool) -> Setup {
    Setup::with(|config| {
        config.referrers = referrers;
        config.checkpoint_interval = Duration::from_secs(2);
    })
}

fn delays(registry: u64, services: u64) -> Delays {
    let [registry, services] = [registry, services].map(Duration::from_millis);
    Delays { registry, services }
}

/// docs/registries.md says which.
#[test]
fn one_image_is_signed_in_seven_round_trips_and_verified_by_digest_in_three() {
    for referrers in [true, false] {
        let setup = sandbox(referrers);
        let registry = setup.sandbox.registry();
        let mut counted = Counted::new(&setup, registry, RekorVersion::V1, delays(20, 100));
        setup.image("demo/app");
        let image = format!("{}/demo/app", counted.registry());
        for signature in ["first", "second", "third"] {
            counted.forget();
            counted.sign(&setup).arg(format!("{image}:v1")).run().ends(0);
            let (trips, requests) = (counted.round_trips(), counted.requests());
            let shown = format!("{signature} signature, referrers API {referrers}\n{}", trips.1);
            println!("{} round trips, {requests} requests: {shown}", trips.0);
            assert!(trips.0 <= 7, "{} round trips, {shown}", trips.0);
        }
        counted.forget();
        let by_digest = format!("{image}@{}", setup.digest("demo/app"));
        setup.program().args(["verify", &by_digest]).args(setup.by_job()).run().ends(0);
        let (trips, shown) = counted.round_trips();
        assert!(trips <= 3, "{trips} round trips, referrers API {referrers}\n{shown}");
    }
}

/// A registry after 20 ms, services after 100 ms, a log that publishes every two seconds; the images
/// in one repository, or each in its own.
#[test]
fn a_hundred_images_cost_one_token_one_certificate_and_few_requests_each() {
    for (referrers, log, apart) in [
        (true, RekorVersion::V1, true),
        (true, RekorVersion::V2, false),
        (false, RekorVersion::V1, true),
        (false, RekorVersion::V1, false),
    ] {
        let setup = sandbox(referrers);
        let counted = Counted::new(&setup, setup.sandbox.registry(), log, delays(20, 100));
        let images = match apart {
            true => (0..100).map(|number| setup.image(&format!("demo/app{number}"))).collect(),
            false => setup.images("demo/app", 100),
        };
        let list: Vec<_> = images
            .iter()
            .map(|image| image.replace(setup.sandbox.registry(), counted.registry()))
            .collect();
        setup.write("list", list.join("\n"));
        let start = Instant::now();
        let sign = counted.sign(&setup).args(["--from-file", "list"]);
        sign.run().ends(0).says(&["signed 100, "]);
        let (took, requests) = (start.elapsed(), counted.requests());
        assert_eq!(
            (counted.count("the issuer", ""), counted.count("Fulcio", "signingCert")),
            (1, 1)
        );
        println!("referrers API {referrers}, apart {apart}: {requests} requests in {took:?}");
        // With what is asked once of the registry.
        assert!(requests <= 100 * if referrers { 5 } else { 8 }, "{requests} requests");
        assert!(took < Duration::from_secs(30), "{took:?}; an optimised program takes a third");
    }
}

/// What is public for ever is not made for an image that does not exist or may not be written.
#[test]
fn nothing_is_certified_stamped_or_logged_for_an_image_that_cannot_be_signed() {
    let setup = sandbox(true);
    let counted = Counted::new(&setup, setup.sandbox.registry(), RekorVersion::V1, delays(0, 0));
    setup.image("demo/app");
    let there = format!("{}/demo/app", counted.registry());
    let (tag, repository) = (format!("{there}:v2"), there.replace("demo/app", "demo/none:v1"));
    let denied = setup.hostile_registry(|request| match request.is("POST", "/blobs/uploads/") {
        true => Reply::refusal(403, "DENIED"),
        false => Reply::Forward,
    });
    let denied = format!("{}/demo/app:v1", denied.address());
    let unknown = setup.hostile_registry(|_| Reply::refusal(401, "UNAUTHORIZED"));
    let unknown = format!("{}/demo/app:v1", unknown.address());
    for (image, code) in [(tag, 11), (repository, 11), (denied, 1), (unknown, 1)] {
        counted.sign(&setup).arg(&image).run().ends(code);
        for service in ["Fulcio", "Rekor", "the TSA"] {
            assert_eq!(counted.count(service, "POST"), 0, "{service}, {image}");
        }
    }
    assert_eq!(setup.logged(), 0);
}
