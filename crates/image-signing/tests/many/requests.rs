//! How many requests there are, and how many of them one after another.

use std::time::Duration;

use futures_util::future::join;
use image_signing::{Image, ImageSigner};
use sandbox::RekorVersion;

use crate::lab::{Lab, count, round_trips, shown};

#[tokio::test(start_paused = true)]
async fn one_image_is_signed_in_few_round_trips() {
    // Without the API: the manifest under its own tag, the list, and the list once more.
    for (referrers, most) in [(true, 7), (false, 8)] {
        let mut lab = Lab::new(|config| config.referrers = referrers);
        let image = lab.push("one").await;
        lab.forget();
        lab.latency(50, 50);
        lab.calls();
        let signer = ImageSigner::new(lab.registry.clone());
        let session = lab.session(RekorVersion::V1, "jane");
        let (targets, begun) = join(signer.locate(&image), session.begin()).await;
        begun.unwrap();
        signer.sign_and_attach(&targets.unwrap()[0], &session).await.unwrap();
        let calls = lab.calls();
        let trips = round_trips(&calls);
        println!("sign, referrers API {referrers}: {trips} round trips, {} requests", calls.len());
        assert!(trips <= most, "{trips}\n{}", shown(&calls));
    }
}

#[tokio::test(start_paused = true)]
async fn one_image_is_verified_by_digest_in_three_round_trips() {
    for referrers in [true, false] {
        let mut lab = Lab::new(|config| config.referrers = referrers);
        let image = lab.push("one").await;
        let signer = ImageSigner::new(lab.registry.clone());
        let session = lab.session(RekorVersion::V1, "jane");
        lab.sign_all(&signer, &session, std::slice::from_ref(&image)).await;
        let digest = Image::from(&lab.registry.resolve(image.reference()).await.unwrap());
        lab.forget();
        lab.latency(50, 50);
        lab.calls();
        lab.verifier("jane").verify(&digest).await.unwrap();
        let calls = lab.calls();
        println!("verify: {} round trips, {} requests", round_trips(&calls), calls.len());
        assert_eq!(round_trips(&calls), 3, "{}", shown(&calls));
    }
}

/// A registry after 20 ms, the services after 100 ms, a log that publishes every two seconds.
#[tokio::test(start_paused = true)]
async fn a_hundred_images_cost_one_token_one_certificate_and_few_requests_each() {
    for (referrers, log, of_one, of_each) in [
        (true, RekorVersion::V1, 4, 6),
        (false, RekorVersion::V1, 8, 9),
        (true, RekorVersion::V2, 4, 6),
    ] {
        for one_repository in [true, false] {
            let mut lab = Lab::new(|config| {
                config.referrers = referrers;
                config.checkpoint_interval = Duration::from_secs(2);
            });
            let images = match one_repository {
                true => lab.push_tags("app", 100).await,
                false => lab.push_many(100).await,
            };
            lab.forget();
            lab.latency(20, 100);
            lab.calls();
            let start = lab.elapsed();
            let signer = ImageSigner::new(lab.registry.clone());
            let session = lab.session(log, "jane");
            let results = lab.sign_all(&signer, &session, &images).await;
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 100);
            let (calls, took) = (lab.calls(), lab.elapsed() - start);
            let requests = lab.to_registry(&calls);
            println!(
                "100 images, one repository {one_repository}, referrers API {referrers}, Rekor {log:?}: \
                 {took:?}, {requests} requests to the registry"
            );
            assert_eq!((count(&calls, "/token"), count(&calls, "signingCert")), (1, 1));
            assert!(took < Duration::from_secs(10), "{took:?}");
            // What is asked once of a repository is not the images'.
            let most = 24 + 100 * if one_repository { of_one } else { of_each };
            assert!(requests <= most, "{requests} for {most}");
        }
    }
}
