//! The list under the fallback tag.

use crate::attach::{attach, attach_with, digests, list_only};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use http::Method;
use oci_push::{Digest, Error, How, Options, Registry};
use serde_json::json;

use crate::fake::Fake;
use crate::helpers::{INDEX_TYPE, MANIFEST_TYPE, RealClock, refusal};

#[test]
fn what_others_listed_stays() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let foreign = json!({
        "schemaVersion": 2, "mediaType": INDEX_TYPE,
        "manifests": [{"mediaType": MANIFEST_TYPE, "size": 3, "digest": "sha256:zz", "x": [1.5]}],
        "annotations": {"k": "v"}, "later": {"a": null},
    });
    fake.list("app", &image, &foreign);
    let attached = attach(&fake, &image, "a").unwrap();
    let mut index = fake.listed("app", &image).unwrap();
    assert_eq!(digests(&index), ["sha256:zz", attached.digest.as_str()]);
    index["manifests"].as_array_mut().unwrap().pop();
    assert_eq!(index, foreign);
}

#[test]
fn a_writer_between_our_read_and_our_write_loses_nothing_where_conditions_are_honoured() {
    let fake = Fake::without_referrers();
    fake.with(|state| state.conditional = true);
    let image = fake.image("app", "v1");
    let other = fake.referrer("app", &image, "other");
    interrupt_puts(&fake, &image, &other, 1);
    let attached = attach(&fake, &image, "a").unwrap();
    let listed = digests(&fake.listed("app", &image).unwrap());
    assert_eq!(listed, [other.to_string(), attached.digest.to_string()]);
}

#[test]
fn a_weak_etag_is_no_condition_and_a_strong_one_is() {
    for (weak, expected) in [(true, None), (false, Some(()))] {
        let fake = Fake::without_referrers();
        let image = fake.image("app", "v1");
        fake.list("app", &image, &json!({"mediaType": INDEX_TYPE, "manifests": []}));
        fake.with(|state| (state.conditional, state.weak_etags) = (true, weak));
        let tag = image.fallback_tag();
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        fake.intercept(move |_, request| {
            if request.uri().path().ends_with(&tag) && *request.method() == Method::PUT {
                log.lock().unwrap().push(request.headers().get("if-match").map(|_| ()));
            }
            None
        });
        attach(&fake, &image, "a").unwrap();
        assert_eq!(*seen.lock().unwrap(), [expected]);
    }
}

/// An image is signed by ambisign only if each entry of its list has an own tag, and each own tag an
/// entry.
#[test]
fn a_signature_is_read_back_only_where_a_tool_without_own_tags_signed_the_image_before() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let list = format!("/manifests/{}", image.fallback_tag());
    let is_read = |line: &&String| line.starts_with("GET") && line.ends_with(&list);
    let reads = || fake.log().iter().filter(is_read).count();
    attach(&fake, &image, "a").unwrap();
    attach(&fake, &image, "b").unwrap();
    assert_eq!(reads(), 2, "{:#?}", fake.log());
    let (tag, other) = (image.fallback_tag(), fake.referrer("app", &image, "other"));
    fake.with(|state| only(state, &tag, &other));
    attach(&fake, &image, "c").unwrap();
    assert!(reads() > 3, "{:#?}", fake.log());
    assert_eq!(digests(&fake.listed("app", &image).unwrap()).len(), 4);
}

#[test]
fn a_writer_who_overwrites_us_is_merged_with() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let [before, other] = ["before", "other"].map(|text| fake.referrer("app", &image, text));
    // It signed the image before, read the list before us and writes after us, three times over.
    let mut left = 3;
    let tag = image.fallback_tag();
    fake.with(|state| only(state, &tag, &before));
    let mut wrote = false;
    fake.intercept(move |state, request| {
        let ours = request.uri().path().ends_with(&tag);
        if ours && *request.method() == Method::PUT {
            wrote = true;
        } else if ours && wrote && left > 0 {
            left -= 1;
            wrote = false;
            only(state, &tag, &other);
        }
        None
    });
    let attached = attach(&fake, &image, "a").unwrap();
    let listed = digests(&fake.listed("app", &image).unwrap());
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.contains(&attached.digest.to_string()));
}

#[test]
fn a_writer_who_never_stops_is_reported() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let other = fake.referrer("app", &image, "other");
    let tag = image.fallback_tag();
    fake.intercept(move |state, request| {
        let reads = request.uri().path().ends_with(&tag) && *request.method() == Method::GET;
        if reads {
            only(state, &tag, &other);
        }
        None
    });
    let error = attach_with(&list_only(&fake), &image, "a").unwrap_err();
    assert!(matches!(error, Error::Overwritten { .. }), "{error}");
    assert!(fake.log().len() < 100, "it does not try for ever");
}

/// Makes `other` the only entry under `tag`.
fn only(state: &mut crate::fake::State, tag: &str, other: &Digest) {
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX_TYPE,
        "manifests": [{"mediaType": MANIFEST_TYPE, "size": 3, "digest": other.as_str()}],
    });
    let bytes = index.to_string();
    let digest = Digest::sha256(bytes.as_bytes()).to_string();
    let app = state.repositories.get_mut("app").unwrap();
    app.manifests.insert(digest.clone(), (INDEX_TYPE.to_owned(), bytes.into()));
    app.tags.insert(tag.to_owned(), digest);
}

/// Lets another writer put `other` under the tag just before our first `times` writes.
fn interrupt_puts(fake: &Fake, image: &Digest, other: &Digest, times: u32) {
    let (tag, other, mut left) = (image.fallback_tag(), other.clone(), times);
    fake.intercept(move |state, request| {
        let writes = request.uri().path().ends_with(&tag) && *request.method() == Method::PUT;
        if writes && left > 0 {
            left -= 1;
            only(state, &tag, &other);
        }
        None
    });
}

fn real(fake: &Fake) -> Registry {
    let host = fake.host().with_clock(Arc::new(RealClock));
    Registry::new(host, Options::default()).unwrap()
}

fn sixteen_at_once(fake: &Fake, registries: &[Registry]) {
    let image = fake.image("app", "v1");
    let barrier = Arc::new(Barrier::new(16));
    let threads: Vec<_> = (0..16)
        .map(|index| {
            let registry = registries[index % registries.len()].clone();
            let (barrier, image) = (Arc::clone(&barrier), image.clone());
            std::thread::spawn(move || {
                barrier.wait();
                attach_with(&registry, &image, &index.to_string()).unwrap().digest.to_string()
            })
        })
        .collect();
    let mut attached: Vec<String> =
        threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let mut listed = digests(&fake.listed("app", &image).unwrap());
    attached.sort();
    listed.sort();
    assert_eq!(listed, attached);
}

#[test]
fn sixteen_signers_of_one_process_keep_all_signatures() {
    let fake = Fake::without_referrers();
    let registry = fake.registry();
    sixteen_at_once(&fake, &[registry]);
}

#[test]
fn sixteen_processes_keep_all_signatures_on_a_registry_that_ignores_conditions() {
    let fake = Fake::without_referrers();
    fake.with(|state| state.latency = Duration::from_millis(2));
    let registries: Vec<Registry> = (0..16).map(|_| real(&fake)).collect();
    sixteen_at_once(&fake, &registries);
}

#[test]
fn a_tag_that_is_the_image_itself_counts_as_empty() {
    // GitLab and GHCR before there is a list; `cosign copy` for good.
    for copied in [false, true] {
        let fake = Fake::without_referrers();
        let image = fake.image("app", "v1");
        if copied {
            fake.tag("app", &image.fallback_tag(), &image);
        } else {
            let tag = image.fallback_tag();
            fake.intercept(move |state, _| {
                state.tag_is_digest = !state.repositories["app"].tags.contains_key(&tag);
                None
            });
        }
        let attached = attach(&fake, &image, "a").unwrap();
        let listed = digests(&fake.listed("app", &image).unwrap());
        assert_eq!(listed, [attached.digest.to_string()]);
    }
}

#[test]
fn a_tag_that_is_something_else_is_not_overwritten() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let other = fake.image("app", "other");
    fake.tag("app", &image.fallback_tag(), &other);
    let error = attach_with(&list_only(&fake), &image, "a").unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    assert!(error.to_string().contains(MANIFEST_TYPE), "{error}");
    fake.with(|state| {
        assert_eq!(state.repositories["app"].tags[&image.fallback_tag()], other.as_str());
    });
}

#[test]
fn a_registry_that_takes_the_tag_for_the_image_for_good_is_explained() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let tag = image.fallback_tag();
    fake.intercept(move |state, _| {
        state.repositories.get_mut("app").unwrap().tags.remove(&tag);
        state.tag_is_digest = true;
        None
    });
    let error = attach_with(&list_only(&fake), &image, "a").unwrap_err();
    assert!(error.to_string().contains("the registry returns something else"), "{error}");
}

#[test]
fn a_list_that_cannot_be_written_is_an_error_of_the_registry() {
    let run = |status: u16, times: u32| {
        let fake = Fake::without_referrers();
        let image = fake.image("app", "v1");
        let (tag, mut left) = (image.fallback_tag(), times);
        fake.intercept(move |_, request| {
            let writes = request.uri().path().ends_with(&tag) && *request.method() == Method::PUT;
            if !writes || left == 0 {
                return None;
            }
            left -= 1;
            Some(Ok(refusal(status, "X", "no")))
        });
        attach_with(&list_only(&fake), &image, "a")
    };
    assert!(matches!(run(503, 9), Err(Error::Answer { status: 503, .. })));
    assert!(matches!(run(429, 9), Err(Error::RateLimited { .. })));
    assert!(matches!(run(403, 1), Err(Error::Denied { .. })));
    assert_eq!(run(503, 2).unwrap().how, How::FallbackTag);
    assert_eq!(run(412, 5).unwrap().how, How::FallbackTag);
}

#[test]
fn attaching_to_a_list_of_a_hundred_and_forty_thousand_members_takes_no_time() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let members: Vec<String> =
        (0..140_000).map(|n| format!(r#""member-number-{n:08}":0"#)).collect();
    let list = format!(r#"{{"mediaType":"{INDEX_TYPE}","manifests":[],{}}}"#, members.join(","));
    assert!(list.len() > 3 << 20, "{}", list.len());
    let digest = fake.manifest("app", INDEX_TYPE, list.as_bytes());
    fake.tag("app", &image.fallback_tag(), &digest);
    let start = std::time::Instant::now();
    attach(&fake, &image, "a").unwrap();
    // Quadratic, this took minutes; the build of the tests is not optimised.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
