//! What cosign wrote.

use crate::find::{capture, find};

use oci_push::{Digest, LegacyKind};

use crate::fake::Fake;
use crate::helpers::{INDEX_TYPE, MANIFEST_TYPE, block_on, bundle, subject};

#[test]
fn broken_layers_of_an_earlier_signature_among_the_referrers_are_told() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let earlier = "application/vnd.dev.cosign.artifact.sig.v1+json";
    let layer_type = "application/vnd.dev.cosign.simplesigning.v1+json";
    for content in ["good", "gone"] {
        fake.referrer_of_type("app", &image, content.as_bytes(), earlier, layer_type);
    }
    fake.with(|state| {
        let app = state.repositories.get_mut("app").unwrap();
        app.blobs.remove(Digest::sha256(b"gone").as_str());
    });
    let found = find(&fake, &image).unwrap();
    assert_eq!((found.legacy.len(), found.unusable.len()), (1, 1));
    assert!(found.unusable[0].reason.contains("does not exist"), "{:?}", found.unusable);
}

#[test]
fn what_cosign_left_on_a_registry_without_the_api_is_found() {
    let fake = Fake::without_referrers();
    let image = fake.manifest("app", MANIFEST_TYPE, &capture("bundles/image/manifest.json"));
    let referrer =
        fake.manifest("app", MANIFEST_TYPE, &capture("bundles/image/referrer-0.manifest.json"));
    let content = fake.blob("app", &capture("bundles/image/referrer-0.sigstore.json"));
    let list = fake.manifest("app", INDEX_TYPE, &capture("bundles/image/fallback-index.json"));
    fake.tag("app", &image.fallback_tag(), &list);
    let found = find(&fake, &image).unwrap();
    assert_eq!(found.bundles.len(), 1);
    assert_eq!((&found.bundles[0].manifest, &found.bundles[0].digest), (&referrer, &content));
    // The other entry of the recording was not kept with it.
    assert_eq!(found.unusable.len(), 1);
}

#[test]
fn the_fallback_index_of_cosign_is_extended_byte_for_byte() {
    let fake = Fake::without_referrers();
    let image = fake.manifest("app", MANIFEST_TYPE, &capture("bundles/image/manifest.json"));
    let recorded = capture("bundles/image/fallback-index.json");
    let list = fake.manifest("app", INDEX_TYPE, &recorded);
    fake.tag("app", &image.fallback_tag(), &list);
    let annotations = std::collections::BTreeMap::new();
    let bundle = bundle("a");
    block_on(fake.registry().attach(&subject(&image), bundle.as_bytes(), &annotations)).unwrap();
    let written = fake.with(|state| {
        let app = &state.repositories["app"];
        app.manifests[&app.tags[&image.fallback_tag()]].1.clone()
    });
    let kept = recorded.strip_suffix(b"]}").unwrap();
    assert!(written.starts_with(kept), "{}", String::from_utf8_lossy(&written));
}

#[test]
fn a_legacy_signature_of_cosign_is_found_where_there_is_no_bundle() {
    for fake in [Fake::new(), Fake::without_referrers()] {
        let image =
            fake.manifest("app", MANIFEST_TYPE, &capture("bundles-v1/legacy/manifest.json"));
        let list =
            fake.manifest("app", MANIFEST_TYPE, &capture("bundles-v1/legacy/sig-manifest.json"));
        let payload = capture("bundles-v1/legacy/payload.json");
        fake.blob("app", &payload);
        fake.tag("app", &format!("sha256-{}.sig", image.hex()), &list);
        let found = find(&fake, &image).unwrap();
        assert_eq!(found.legacy.len(), 1);
        let legacy = &found.legacy[0];
        assert_eq!(legacy.kind, LegacyKind::Signature);
        assert_eq!(legacy.bytes, payload);
        assert!(legacy.annotations.contains_key("dev.cosignproject.cosign/signature"));
        assert_eq!(legacy.manifest, list);

        fake.referrer("app", &image, &bundle("a"));
        let registry = fake.registry();
        let always = block_on(registry.find_legacy(&subject(&image))).unwrap();
        assert_eq!(always.legacy.len(), 1);
    }
}

#[test]
fn a_legacy_signature_among_the_referrers_is_found() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    fake.referrer_of_type(
        "app",
        &image,
        b"payload",
        "application/vnd.dev.cosign.artifact.sig.v1+json",
        "application/vnd.dev.cosign.simplesigning.v1+json",
    );
    let found = find(&fake, &image).unwrap();
    assert_eq!(found.legacy.len(), 1);
    assert_eq!(found.legacy[0].bytes, "payload");
}
