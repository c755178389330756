use std::path::PathBuf;

use http::Method;
use oci_push::{Digest, Error, Found, LegacyKind, Search};
use serde_json::json;

use crate::fake::Fake;
use crate::helpers::{
    BUNDLE_TYPE, INDEX_TYPE, MANIFEST_TYPE, block_on, bundle, plain, refusal, subject,
};

fn find(fake: &Fake, image: &Digest) -> Result<Found, Error> {
    block_on(fake.registry().find(&subject(image)))
}

fn entry(digest: &Digest, artifact_type: &str) -> serde_json::Value {
    json!({"mediaType": MANIFEST_TYPE, "size": 9, "digest": digest.as_str(), "artifactType": artifact_type})
}

fn index(entries: &[serde_json::Value]) -> serde_json::Value {
    json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries})
}

#[test]
fn bundles_are_found_through_the_api_page_by_page() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    fake.with(|state| state.page = 2);
    let mut notes: Vec<String> = (0..7).map(|note| bundle(&note.to_string())).collect();
    for note in &notes {
        fake.referrer("app", &image, note);
    }
    let found = find(&fake, &image).unwrap();
    let mut bytes: Vec<String> = found
        .bundles
        .iter()
        .map(|bundle| String::from_utf8(bundle.bytes.to_vec()).unwrap())
        .collect();
    bytes.sort();
    notes.sort();
    assert_eq!(bytes, notes);
    let first = &found.bundles[0];
    assert_eq!(first.digest, Digest::sha256(&first.bytes));
    assert_eq!(first.media_type, BUNDLE_TYPE);
    assert_eq!(first.predicate_type(), Some("https://sigstore.dev/cosign/sign/v1"));
    assert!(found.unusable.is_empty() && found.legacy.is_empty());
}

#[test]
fn unrelated_referrers_are_not_fetched_from_the_api() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    for index in 0..30 {
        let content = format!("sbom {index}");
        fake.referrer_of_type(
            "app",
            &image,
            content.as_bytes(),
            "application/spdx+json",
            "text/spdx",
        );
    }
    fake.referrer("app", &image, &bundle("a"));
    assert_eq!(find(&fake, &image).unwrap().bundles.len(), 1);
    assert_eq!(fake.log().len(), 5, "probe, list, tag, manifest, blob");
}

#[test]
fn on_the_tag_a_wrong_artifact_type_hides_nothing() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let types = ["application/vnd.oci.empty.v1+json", "", "text/spdx", BUNDLE_TYPE];
    let entries: Vec<_> = types
        .iter()
        .map(|stated| entry(&fake.referrer("app", &image, &bundle(stated)), stated))
        .collect();
    fake.list("app", &image, &index(&entries));
    assert_eq!(find(&fake, &image).unwrap().bundles.len(), 4);
}

#[test]
fn registries_without_the_api_say_so_in_many_ways() {
    for status in [400, 404, 405, 406, 501, 200] {
        let fake = Fake::without_referrers();
        let image = fake.image("app", "v1");
        let referrer = fake.referrer("app", &image, &bundle("a"));
        fake.list("app", &image, &index(&[entry(&referrer, BUNDLE_TYPE)]));
        fake.intercept(move |_, request| {
            request.uri().path().contains("referrers").then(|| Ok(plain(status, "<html>")))
        });
        assert_eq!(find(&fake, &image).unwrap().bundles.len(), 1, "{status}");
    }
}

/// Which error a registry's refusal with `status` is.
fn is_refusal(error: &Error, status: u16) -> bool {
    match status {
        401 => matches!(error, Error::Unauthorized { .. }),
        403 => matches!(error, Error::Denied { .. }),
        429 => matches!(error, Error::RateLimited { .. }),
        _ => matches!(error, Error::Answer { .. }),
    }
}

#[test]
fn not_being_able_to_look_is_never_nothing_found() {
    let steps =
        ["/referrers/", "/manifests/sha256-", "/manifests/sha256:", "/blobs/", ".sig", ".att"];
    for step in steps {
        for status in [401, 403, 429, 500, 503] {
            let fake = Fake::without_referrers();
            let image = fake.image("app", "v1");
            if ["/manifests/sha256:", "/blobs/"].contains(&step) {
                let referrer = fake.referrer("app", &image, &bundle("a"));
                fake.list("app", &image, &index(&[entry(&referrer, BUNDLE_TYPE)]));
            }
            fake.intercept(move |_, request| {
                let hit = request.uri().path().contains(step);
                hit.then(|| Ok(refusal(status, "X", "no")))
            });
            let error = find(&fake, &image).expect_err(step);
            assert!(is_refusal(&error, status), "{step} {status}: {error}");
        }
    }
}

#[test]
fn a_signature_is_found_although_another_candidate_or_list_is_refused() {
    for status in [401, 403, 429, 500, 503] {
        let fake = Fake::new();
        let image = fake.image("app", "v1");
        let good = fake.referrer("app", &image, &bundle("good"));
        let forbidden = fake.referrer("app", &image, &bundle("forbidden"));
        let lost = Digest::sha256(bundle("lost").as_bytes());
        let broken = fake.referrer("app", &image, &bundle("lost"));
        let path = forbidden.to_string();
        fake.intercept(move |_, request| {
            let hit = [path.as_str(), lost.as_str(), "/manifests/sha256-"]
                .iter()
                .any(|part| request.uri().path().contains(part));
            hit.then(|| Ok(refusal(status, "X", "no")))
        });
        let found = find(&fake, &image).unwrap();
        assert_eq!(found.bundles.len(), 1, "{status}");
        assert_eq!(found.bundles[0].manifest, good);
        assert!(found.unusable.is_empty());
        let unreachable: Vec<&str> =
            found.unreachable.iter().map(|one| one.what.as_str()).collect();
        let tag = format!("localhost:5000/app:{}", image.fallback_tag());
        assert_eq!(unreachable.len(), 3, "{unreachable:?}");
        for part in [forbidden.as_str(), broken.as_str(), &tag] {
            assert!(unreachable.contains(&part), "{part}: {unreachable:?}");
        }
        assert!(found.unreachable.iter().all(|one| is_refusal(&one.error, status)));
    }
}

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
    assert!(fake.log().len() < 40, "{}", fake.log().len());
}

#[test]
fn bundles_of_the_api_and_of_the_tag_are_both_found() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    // Under the tag only: the registry did not know the API when it was attached.
    let signature = fake.referrer("app", &image, &bundle("signature"));
    let attestation = fake.referrer("app", &image, &bundle("attestation"));
    fake.list("app", &image, &index(&[entry(&signature, BUNDLE_TYPE)]));
    let listed = index(&[entry(&attestation, BUNDLE_TYPE)]).to_string();
    fake.intercept(move |_, request| {
        request.uri().path().contains("referrers").then(|| {
            let mut answer = plain(200, &listed);
            answer.headers_mut().insert("content-type", INDEX_TYPE.parse().unwrap());
            Ok(answer)
        })
    });
    let found = find(&fake, &image).unwrap();
    let manifests: Vec<&Digest> = found.bundles.iter().map(|bundle| &bundle.manifest).collect();
    assert_eq!(manifests, [&attestation, &signature]);
}

#[test]
fn nothing_is_said_after_everything_was_looked_at() {
    for fake in [Fake::new(), Fake::without_referrers()] {
        let image = fake.image("app", "v1");
        assert!(find(&fake, &image).unwrap().is_empty());
        let log = fake.log();
        for part in ["/referrers/", &image.fallback_tag(), ".sig", ".att"] {
            assert!(log.iter().any(|line| line.contains(part)), "{part}: {log:#?}");
        }
    }
}

#[test]
fn a_list_from_before_the_api_is_still_read() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let referrer = fake.referrer("app", &image, &bundle("a"));
    fake.list("app", &image, &index(&[entry(&referrer, BUNDLE_TYPE)]));
    fake.intercept(|_, request| {
        request.uri().path().contains("referrers").then(|| {
            let mut answer = plain(200, r#"{"manifests":[]}"#);
            answer.headers_mut().insert("content-type", INDEX_TYPE.parse().unwrap());
            Ok(answer)
        })
    });
    assert_eq!(find(&fake, &image).unwrap().bundles.len(), 1);
}

#[test]
fn the_image_itself_under_the_tag_is_not_a_list() {
    let fake = Fake::without_referrers();
    let child = fake.image("app", "v1");
    let image =
        fake.manifest("app", INDEX_TYPE, index(&[entry(&child, "")]).to_string().as_bytes());
    fake.with(|state| state.tag_is_digest = true);
    assert!(find(&fake, &image).unwrap().is_empty());
}

#[test]
fn what_refers_to_another_image_is_not_taken_for_ours() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let other = fake.image("app", "v2");
    let foreign = fake.referrer("app", &other, &bundle("a"));
    fake.list("app", &image, &index(&[entry(&foreign, BUNDLE_TYPE), entry(&other, "")]));
    let found = find(&fake, &image).unwrap();
    assert!(found.bundles.is_empty());
    assert_eq!(found.unusable.len(), 1, "the platform image is not a signature");
    assert!(found.unusable[0].reason.contains(other.as_str()), "{:?}", found.unusable);
}

#[test]
fn a_broken_bundle_is_listed_with_its_reason_and_hides_no_other() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    fake.referrer("app", &image, &bundle("good"));
    for note in ["gone", "changed", "longer"] {
        fake.referrer("app", &image, &bundle(note));
    }
    fake.with(|state| {
        let blobs = &mut state.repositories.get_mut("app").unwrap().blobs;
        let digest = |note: &str| Digest::sha256(bundle(note).as_bytes()).to_string();
        blobs.remove(&digest("gone"));
        blobs.insert(digest("changed"), bundle("chanGed").into());
        blobs.insert(digest("longer"), (bundle("longer") + " ").into());
    });
    let found = find(&fake, &image).unwrap();
    assert_eq!(found.bundles.len(), 1);
    let reasons: Vec<&str> = found.unusable.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(reasons.len(), 3);
    for part in ["does not exist", "its content has the digest", "expected 111 bytes, found 112"] {
        assert!(reasons.iter().any(|reason| reason.contains(part)), "{part}: {reasons:#?}");
    }
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
fn an_unsigned_sha512_image_has_no_signature() {
    for fake in [Fake::new(), Fake::without_referrers()] {
        let image: Digest = format!("sha512:{}", "ab".repeat(64)).parse().unwrap();
        fake.image("app", "v1");
        // Real registries refuse what cannot be a tag.
        fake.intercept(|_, request| {
            let name = request.uri().path().rsplit('/').next()?;
            let too_long = !name.contains(':') && name.len() > 128;
            too_long.then(|| Ok(refusal(400, "TAG_INVALID", "too long")))
        });
        assert!(find(&fake, &image).unwrap().is_empty());
    }
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
fn a_list_that_is_not_json_is_an_error() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    fake.intercept(|_, request| {
        request.uri().path().contains("referrers").then(|| {
            let mut answer = plain(200, r#"{"manifests":"#);
            answer.headers_mut().insert("content-type", INDEX_TYPE.parse().unwrap());
            Ok(answer)
        })
    });
    assert!(matches!(find(&fake, &image), Err(Error::Invalid { .. })));
}

fn capture(path: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures");
    std::fs::read(PathBuf::from(root).join(path)).unwrap()
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

#[test]
fn finding_only_reads() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    fake.intercept(|_, request| {
        assert!(matches!(*request.method(), Method::GET | Method::HEAD));
        None
    });
    find(&fake, &image).unwrap();
}

#[test]
fn the_futures_may_move_between_threads() {
    fn assert_send<T: Send>(_: T) {}
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let (registry, subject) = (fake.registry(), subject(&image));
    let reference = subject.reference();
    assert_send(registry.resolve(&reference));
    assert_send(registry.manifest(&reference));
    assert_send(registry.parts(&subject));
    assert_send(registry.prove_push(&reference));
    assert_send(registry.find(&subject));
    let search = Search::default();
    assert_send(registry.find_with(&subject, &search));
    assert_send(registry.find_legacy(&subject));
    let annotations = std::collections::BTreeMap::new();
    assert_send(registry.attach(&subject, b"", &annotations));
}
