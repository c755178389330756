use std::path::PathBuf;

use http::Method;
use oci_push::{Digest, Error, Found, Search};
use serde_json::json;

use crate::fake::Fake;
use crate::helpers::{
    BUNDLE_TYPE, INDEX_TYPE, MANIFEST_TYPE, block_on, bundle, plain, refusal, subject,
};

pub(crate) fn find(fake: &Fake, image: &Digest) -> Result<Found, Error> {
    block_on(fake.registry().find(&subject(image)))
}

pub(crate) fn entry(digest: &Digest, artifact_type: &str) -> serde_json::Value {
    json!({"mediaType": MANIFEST_TYPE, "size": 9, "digest": digest.as_str(), "artifactType": artifact_type})
}

pub(crate) fn index(entries: &[serde_json::Value]) -> serde_json::Value {
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
    assert_eq!(fake.log().len(), 4, "list, tag, manifest, blob");
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

pub(crate) fn capture(path: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures");
    std::fs::read(PathBuf::from(root).join(path)).unwrap()
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
