use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use image_signing::{Attestation, Error, Image, ImageSigner, Parts};
use sandbox::RekorVersion;

use crate::lab::{Lab, count, shown, status};

/// How many targets of `images` would be signed by `name`.
async fn unsigned(lab: &Lab, signer: ImageSigner, name: &'static str, images: &[Image]) -> usize {
    let session = lab.session(RekorVersion::V1, name);
    let signer = signer.skip_signed(&session).await.unwrap();
    let located: Vec<_> = signer.locate_all(images).collect().await;
    let targets = located.into_iter().flat_map(|(_, found)| found.unwrap());
    targets.filter(|target| !target.is_signed()).count()
}

async fn sign(lab: &Lab, signer: ImageSigner, name: &'static str, images: &[Image]) {
    let session = lab.session(RekorVersion::V1, name);
    for result in lab.sign_all(&signer, &session, images).await {
        result.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_this_identity_has_signed_is_left_alone_and_no_certificate_is_asked_for() {
    for referrers in [true, false] {
        let mut lab = Lab::new(|config| config.referrers = referrers);
        let images = lab.push_many(6).await;
        sign(&lab, ImageSigner::new(lab.registry.clone()), "jane", &images[..5]).await;
        lab.forget();
        lab.calls();
        let signer = || ImageSigner::new(lab.registry.clone());
        assert_eq!(unsigned(&lab, signer(), "jane", &images[..5]).await, 0);
        let calls = lab.calls();
        let writes = calls.iter().filter(|call| !["GET", "HEAD"].contains(&&*call.method));
        assert_eq!(writes.count(), 0, "{}", shown(&calls));
        assert_eq!(count(&calls, "/token"), 1);
        assert_eq!(unsigned(&lab, signer(), "jane", &images).await, 1);
        assert_eq!(
            unsigned(&lab, signer(), "joe", &images).await,
            6,
            "another identity's do not count"
        );
        // The platforms of those images are not signed.
        let signer = signer().parts(Parts::All);
        assert_eq!(unsigned(&lab, signer, "jane", &images[..1]).await, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_token_that_told_the_identity_gets_the_certificate() {
    let lab = Lab::new(|_| ());
    let images = lab.push_many(1).await;
    let session = lab.session(RekorVersion::V1, "jane");
    let signer = ImageSigner::new(lab.registry.clone()).skip_signed(&session).await.unwrap();
    lab.sign_all(&signer, &session, &images).await.remove(0).unwrap();
    let calls = lab.calls();
    assert_eq!((count(&calls, "/token"), count(&calls, "signingCert")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_signature_that_says_less_is_not_enough() {
    let lab = Lab::new(|_| ());
    let images = lab.push_many(1).await;
    let plain = || ImageSigner::new(lab.registry.clone());
    let annotated = |value: &str| {
        let annotations = BTreeMap::from([("stage".to_owned(), value.to_owned())]);
        plain().with_annotations(annotations).unwrap()
    };
    sign(&lab, annotated("test"), "jane", &images).await;
    assert_eq!(unsigned(&lab, annotated("test"), "jane", &images).await, 0);
    assert_eq!(unsigned(&lab, annotated("release"), "jane", &images).await, 1);
    assert_eq!(unsigned(&lab, plain(), "jane", &images).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_attestation_is_left_out_when_the_same_claim_is_there() {
    let lab = Lab::new(|_| ());
    let images = lab.push_many(1).await;
    let attests = |attestation: Attestation| {
        ImageSigner::new(lab.registry.clone()).with_attestation(attestation)
    };
    let sbom =
        |json: &str| Attestation::predicate("https://spdx.dev/Document", json.to_owned()).unwrap();
    sign(&lab, attests(sbom(r#"{"a":1}"#)), "jane", &images).await;
    assert_eq!(unsigned(&lab, attests(sbom(r#"{ "a": 1 }"#)), "jane", &images).await, 0);
    assert_eq!(unsigned(&lab, attests(sbom(r#"{"a":2}"#)), "jane", &images).await, 1);
    assert_eq!(unsigned(&lab, ImageSigner::new(lab.registry.clone()), "jane", &images).await, 1);

    let custom = |text, time| attests(Attestation::custom(text, time));
    sign(&lab, custom("tested", "2026-01-01T00:00:00Z"), "jane", &images).await;
    assert_eq!(unsigned(&lab, custom("tested", "2026-01-02T00:00:00Z"), "jane", &images).await, 0);
    assert_eq!(unsigned(&lab, custom("other", "2026-01-01T00:00:00Z"), "jane", &images).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_looked_at_is_an_error_and_is_not_signed_again() {
    let lab = Lab::new(|_| ());
    let images = lab.push_many(1).await;
    sign(&lab, ImageSigner::new(lab.registry.clone()), "jane", &images).await;
    lab.rule(|call| call.path.contains("/referrers/").then(|| status(503)));
    let session = lab.session(RekorVersion::V1, "jane");
    let signer = ImageSigner::new(lab.registry.clone()).skip_signed(&session).await.unwrap();
    let error = signer.locate(&images[0]).await.unwrap_err();
    assert!(matches!(error, Error::Registry { .. }), "{error:?}");
}
