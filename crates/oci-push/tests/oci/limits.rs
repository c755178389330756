//! The limits of a search.

use crate::find::{entry, find, index};

use oci_push::{Digest, Error, Search};
use serde_json::json;

use crate::fake::Fake;
use crate::helpers::{
    BUNDLE_TYPE, INDEX_TYPE, MANIFEST_TYPE, block_on, bundle, plain, refusal, subject,
};

#[test]
fn a_registry_that_refuses_everything_is_not_asked_for_a_thousand_candidates() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let entries: Vec<_> = (0..900_u32)
        .map(|number| entry(&Digest::sha256(&number.to_be_bytes()), BUNDLE_TYPE))
        .collect();
    fake.list("app", &image, &index(&entries));
    fake.intercept(|_, request| {
        request.uri().path().contains("/manifests/sha256:").then(|| Ok(refusal(429, "X", "no")))
    });
    assert!(matches!(find(&fake, &image), Err(Error::RateLimited { .. })));
    // Sixteen, each three times, and the lists.
    assert!(fake.log().len() < 80, "{}", fake.log().len());
}

#[test]
fn a_bundle_over_the_limit_is_not_fetched() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": BUNDLE_TYPE,
        "layers": [{"mediaType": BUNDLE_TYPE, "size": (32 << 20) + 1, "digest": image.as_str()}],
        "subject": {"digest": image.as_str()},
    });
    fake.manifest("app", MANIFEST_TYPE, manifest.to_string().as_bytes());
    let found = find(&fake, &image).unwrap();
    assert!(found.unusable[0].reason.contains("more than 33554432"), "{:?}", found.unusable);
    assert!(!fake.log().iter().any(|line| line.contains("/blobs/")));
}

#[test]
fn more_referrers_than_the_limit_are_counted_and_bundles_come_first() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let mut entries: Vec<_> = (0..5000_u32)
        .map(|number| entry(&Digest::sha256(&number.to_be_bytes()), "text/spdx"))
        .collect();
    entries.push(entry(&fake.referrer("app", &image, &bundle("last")), BUNDLE_TYPE));
    fake.list("app", &image, &index(&entries));
    let found = find(&fake, &image).unwrap();
    assert_eq!(found.bundles.len(), 1);
    assert!(found.unusable.is_empty());
    assert_eq!(found.unreachable.len(), 1);
    let told = &found.unreachable[0];
    assert_eq!(told.what, "4001 more referrers in localhost:5000/app");
    assert!(told.error.to_string().ends_with("the limit is 1000"), "{}", told.error);
}

#[test]
fn five_thousand_junk_referrers_do_not_hide_the_signature() {
    for fake in [Fake::new(), Fake::without_referrers()] {
        let image = fake.image("app", "v1");
        let good = fake.referrer("app", &image, &bundle("good"));
        let predicate = "dev.sigstore.bundle.predicateType";
        let annotated = |digest: &Digest, predicate_type: &str| {
            let mut entry = entry(digest, BUNDLE_TYPE);
            entry["annotations"] = json!({predicate: predicate_type});
            entry
        };
        let mut entries: Vec<_> = (0..5000_u32)
            .map(|number| annotated(&Digest::sha256(&number.to_be_bytes()), "https://junk.example"))
            .collect();
        entries.push(annotated(&good, "https://sigstore.dev/cosign/sign/v1"));
        let list = index(&entries);
        fake.list("app", &image, &list);
        if fake.with(|state| state.referrers) {
            fake.intercept(move |_, request| {
                request.uri().path().contains("referrers").then(|| {
                    let mut answer = plain(200, &list.to_string());
                    answer.headers_mut().insert("content-type", INDEX_TYPE.parse().unwrap());
                    Ok(answer)
                })
            });
        }
        let found = find(&fake, &image).unwrap();
        assert_eq!(found.bundles.len(), 1);
        assert_eq!(found.bundles[0].manifest, good);
        let limits = found.unreachable.iter().filter(|one| one.what.contains("more referrers"));
        assert_eq!(limits.count(), 1, "{:?}", found.unreachable);

        // Who looks for the other predicate type reads others first.
        let search = Search::prefer("https://junk.example");
        let registry = fake.registry();
        let error = block_on(registry.find_with(&subject(&image), &search)).unwrap_err();
        assert!(error.to_string().contains("more referrers"), "{error}");
    }
}

#[test]
fn a_blob_that_a_thousand_layers_name_is_fetched_and_kept_once() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let content = fake.blob("app", bundle("a").as_bytes());
    let annotations: serde_json::Map<String, serde_json::Value> =
        (0..1000).map(|number| (format!("annotation-{number}"), "x".repeat(500).into())).collect();
    let layer =
        json!({"mediaType": BUNDLE_TYPE, "size": bundle("a").len(), "digest": content.as_str()});
    for number in 0..3 {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": BUNDLE_TYPE,
            "layers": vec![&layer; 1000], "annotations": annotations, "number": number,
            "subject": {"digest": image.as_str()},
        });
        fake.manifest("app", MANIFEST_TYPE, manifest.to_string().as_bytes());
    }
    let found = find(&fake, &image).unwrap();
    assert_eq!(found.bundles.len(), 1, "the same bundle three thousand times");
    assert_eq!(fake.log().iter().filter(|line| line.contains("/blobs/")).count(), 1);
    let limits: Vec<_> = found.unreachable.iter().map(|one| one.what.as_str()).collect();
    assert_eq!(limits.len(), 3, "{limits:?}");
    assert!(limits[0].starts_with("900 more layers of sha256:"), "{limits:?}");
}

#[test]
fn a_layer_that_states_a_wrong_size_does_not_spoil_the_blob_for_another() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let content = fake.blob("app", bundle("good").as_bytes());
    for (number, size) in [(0, 7), (1, bundle("good").len()), (2, 8)] {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": BUNDLE_TYPE, "n": number,
            "layers": [{"mediaType": BUNDLE_TYPE, "size": size, "digest": content.as_str()}],
            "subject": {"digest": image.as_str()},
        });
        fake.manifest("app", MANIFEST_TYPE, manifest.to_string().as_bytes());
    }
    let found = find(&fake, &image).unwrap();
    assert_eq!((found.bundles.len(), found.unusable.len()), (1, 2));
}

#[test]
fn a_manifest_that_names_a_bundle_as_another_type_does_not_replace_it() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let content = fake.blob("app", bundle("good").as_bytes());
    for media_type in ["application/vnd.dev.sigstore.bundle.junk", BUNDLE_TYPE] {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": BUNDLE_TYPE,
            "layers": [{"mediaType": media_type, "size": bundle("good").len(),
                        "digest": content.as_str()}],
            "subject": {"digest": image.as_str()},
        });
        fake.manifest("app", MANIFEST_TYPE, manifest.to_string().as_bytes());
    }
    let found = find(&fake, &image).unwrap();
    assert_eq!(found.bundles.len(), 2);
    assert!(found.bundles.iter().any(|bundle| bundle.media_type == BUNDLE_TYPE));
}

#[test]
fn manifests_and_bundles_together_have_one_limit() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let referrer = |layer: &Digest, size: usize, padding: usize| {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": BUNDLE_TYPE,
            "layers": [{"mediaType": BUNDLE_TYPE, "size": size, "digest": layer.as_str()}],
            "subject": {"digest": image.as_str()}, "padding": "x".repeat(padding),
        });
        entry(&fake.manifest("app", MANIFEST_TYPE, manifest.to_string().as_bytes()), BUNDLE_TYPE)
    };
    // 124 of 128 MiB are counted for blobs that are not there, and the manifests count as well.
    let mut entries: Vec<_> =
        (0..4_u8).map(|number| referrer(&Digest::sha256(&[number]), 31 << 20, 0)).collect();
    for note in ["first", "second", "third"] {
        let content = fake.blob("app", bundle(note).as_bytes());
        entries.push(referrer(&content, bundle(note).len(), 1_900_000));
    }
    fake.list("app", &image, &index(&entries));
    let found = find(&fake, &image).unwrap();
    assert_eq!(found.bundles.len(), 2);
    assert_eq!(found.unusable.len(), 5);
    assert!(found.unusable[4].reason.contains("larger than 134217728 bytes"));
    assert_eq!(found.unreachable.len(), 1, "it is said that not everything was read");
}

#[test]
fn pages_that_lead_elsewhere_or_in_a_circle_are_refused() {
    for (link, part) in [
        ("<https://elsewhere.example/x>; rel=\"next\"", "leads to another server"),
        ("</v2/app/referrers/again>; rel=\"next\"", "more than 100 pages"),
    ] {
        let fake = Fake::new();
        let image = fake.image("app", "v1");
        fake.intercept(move |_, request| {
            request.uri().path().contains("referrers").then(|| {
                let mut answer = plain(200, r#"{"manifests":[]}"#);
                answer.headers_mut().insert("content-type", INDEX_TYPE.parse().unwrap());
                answer.headers_mut().insert("link", link.parse().unwrap());
                Ok(answer)
            })
        });
        let error = find(&fake, &image).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn what_a_registry_wrote_is_shown_without_its_control_characters() {
    let no_control = |text: &str| assert!(!text.contains(char::is_control), "{text:?}");
    // A layer that is not listed by a digest.
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let layers = r#"[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":2,"digest":"sha256:\u001b[2J"}]"#;
    let manifest =
        format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","layers":{layers}}}"#);
    let list = fake.manifest("app", MANIFEST_TYPE, manifest.as_bytes());
    fake.tag("app", &format!("sha256-{}.sig", image.hex()), &list);
    let found = find(&fake, &image).unwrap();
    assert_eq!(found.unusable.len(), 1);
    assert!(found.unusable[0].what.contains("\\u{1b}[2J"), "{:?}", found.unusable);
    no_control(&found.unusable[0].reason);

    // A list with a name twice, which the parser repeats, however long it is.
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let name = format!(r"\u001b[2J{}", "x".repeat(5000));
    let index = format!(r#"{{"mediaType":"{INDEX_TYPE}","{name}":1,"{name}":2,"manifests":[]}}"#);
    let list = fake.manifest("app", INDEX_TYPE, index.as_bytes());
    fake.tag("app", &image.fallback_tag(), &list);
    let error = find(&fake, &image).unwrap_err().to_string();
    assert!(error.contains("not an image index") && error.len() < 500, "{error}");
    no_control(&error);
}
