//! The tag that each signature has of its own.

use std::sync::{Arc, Mutex};

use http::Method;
use oci_push::{Digest, Found, Options, Registry};
use serde_json::json;

use crate::attach::{attach, attach_with, digests};
use crate::fake::{Fake, TagListing};
use crate::find::{entry, index};
use crate::helpers::{BUNDLE_TYPE, block_on, bundle, refusal, subject};

fn own_tag(image: &Digest, manifest: &Digest) -> String {
    format!("{}.{}", image.fallback_tag(), &manifest.hex()[..16])
}

/// The union, as a verifier takes it that finds nothing acceptable in the list.
fn union(registry: &Registry, image: &Digest) -> Found {
    let mut found = block_on(registry.find(&subject(image))).unwrap();
    let more = block_on(registry.find_more(&subject(image), &found));
    found.bundles.extend(more.bundles);
    found.unreachable.extend(more.unreachable);
    found
}

/// A client, and what it tells.
fn told(fake: &Fake) -> (Registry, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let options =
        Options::new().with_listener(move |event| log.lock().unwrap().push(event.to_string()));
    (Registry::new(fake.host(), options).unwrap(), told)
}

fn erase_list(fake: &Fake, image: &Digest) {
    fake.list("app", image, &index(&[]));
}

#[test]
fn a_signature_that_was_erased_from_the_list_is_found_by_its_own_tag() {
    let listings = [
        TagListing::AllUnsorted,
        TagListing::Pages { linked: true },
        TagListing::Pages { linked: false },
        TagListing::FromKnownTags,
    ];
    for listing in listings {
        let fake = Fake::without_referrers();
        fake.with(|state| state.tag_listing = listing);
        let image = fake.image("app", "v1");
        for number in 0..30 {
            fake.image("app", &format!("a{number}"));
            fake.image("app", &format!("z{number}"));
        }
        let first = attach(&fake, &image, "first").unwrap();
        assert_eq!(first.own_tag.as_deref(), Some(own_tag(&image, &first.digest).as_str()));
        erase_list(&fake, &image);
        let registry = fake.registry();
        let found = block_on(registry.find(&subject(&image))).unwrap();
        assert_eq!(found.bundles.len(), 1, "nothing listed: the tags are read at once");
        assert_eq!(found.bundles[0].manifest, first.digest);

        // Another signature is listed: the tags are read when that is not enough.
        let other = fake.referrer("app", &image, &bundle("other"));
        fake.list("app", &image, &index(&[entry(&other, BUNDLE_TYPE)]));
        let found = block_on(registry.find(&subject(&image))).unwrap();
        assert_eq!(found.bundles.len(), 1);
        assert_eq!(union(&registry, &image).bundles.len(), 2);
    }
}

#[test]
fn a_list_that_cannot_be_read_does_not_hide_an_own_tag() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    attach(&fake, &image, "a").unwrap();
    let broken = fake.manifest("app", crate::helpers::INDEX_TYPE, b"{\"manifests\":");
    fake.tag("app", &image.fallback_tag(), &broken);
    assert_eq!(block_on(fake.registry().find(&subject(&image))).unwrap().bundles.len(), 1);
    let tag = image.fallback_tag();
    fake.intercept(move |_, request| {
        request.uri().path().ends_with(&tag).then(|| Ok(refusal(500, "X", "no")))
    });
    assert_eq!(block_on(fake.registry().find(&subject(&image))).unwrap().bundles.len(), 1);
}

#[test]
fn the_next_writer_lists_what_was_erased() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let first = attach(&fake, &image, "first").unwrap();
    let listed = fake.listed("app", &image).unwrap()["manifests"][0].clone();
    erase_list(&fake, &image);
    let second = attach(&fake, &image, "second").unwrap();
    let list = fake.listed("app", &image).unwrap();
    let entries = digests(&list);
    assert_eq!(entries, [second.digest.to_string(), first.digest.to_string()]);
    assert_eq!(list["manifests"][1], listed, "the entry is the one that its writer made");
}

#[test]
fn foreign_and_junk_tags_are_neither_listed_nor_taken_for_signatures() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let other = fake.image("app", "v2");
    let foreign = fake.referrer("app", &other, &bundle("foreign"));
    fake.tag("app", &own_tag(&image, &foreign), &foreign);
    fake.tag("app", &format!("{}.0123456789abcdef", image.fallback_tag()), &other);
    fake.tag("app", &format!("{}.sig.0123456789abcdef", image.fallback_tag()), &other);
    let attached = attach(&fake, &image, "a").unwrap();
    assert_eq!(digests(&fake.listed("app", &image).unwrap()), [attached.digest.to_string()]);
    let found = union(&fake.registry(), &image);
    assert_eq!(found.bundles.len(), 1);
}

#[test]
fn a_registry_that_refuses_own_tags_is_told_once_and_the_list_serves() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    fake.intercept(|_, request| {
        let own = request.uri().path().contains("/manifests/sha256-")
            && request.uri().path().contains('.')
            && request.method() == Method::PUT;
        own.then(|| Ok(refusal(400, "TAG_INVALID", "no dots")))
    });
    let (registry, told) = told(&fake);
    for note in ["a", "b", "c"] {
        assert_eq!(attach_with(&registry, &image, note).unwrap().own_tag, None);
    }
    assert_eq!(union(&registry, &image).bundles.len(), 3);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("no tag of their own") && told[0].contains("no dots"), "{told:?}");
}

#[test]
fn a_registry_that_lists_no_tags_is_told_once_and_the_list_serves() {
    let fake = Fake::without_referrers();
    fake.with(|state| state.tag_listing = TagListing::Nothing);
    let image = fake.image("app", "v1");
    let (registry, told) = told(&fake);
    for note in ["a", "b"] {
        assert_eq!(attach_with(&registry, &image, note).unwrap().own_tag, None);
    }
    assert_eq!(digests(&fake.listed("app", &image).unwrap()).len(), 2);
    assert_eq!(told.lock().unwrap().len(), 1);
}

#[test]
fn without_own_tags_the_list_alone_is_written_and_no_tags_are_listed() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let registry = Registry::new(fake.host(), Options::new().with_signature_tags(false)).unwrap();
    assert_eq!(attach_with(&registry, &image, "a").unwrap().own_tag, None);
    assert!(!fake.log().iter().any(|line| line.contains("tags/list")));
    fake.with(|state| {
        assert_eq!(state.repositories["app"].tags.len(), 2, "the image's and the list's");
    });
}

#[test]
fn tags_without_end_are_an_error_and_not_an_absence() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let mut page = 0;
    fake.intercept(move |_, request| {
        let path = request.uri().path().to_owned();
        path.ends_with("/tags/list").then(|| {
            page += 1;
            let tags = json!({"tags": [format!("a{page}")]}).to_string();
            let mut answer = crate::helpers::plain(200, &tags);
            let link = format!("<{path}?page={page}>; rel=\"next\"");
            answer.headers_mut().insert("link", link.parse().unwrap());
            Ok(answer)
        })
    });
    let error = block_on(fake.registry().find(&subject(&image))).unwrap_err();
    assert!(error.to_string().contains("more than 100 pages"), "{error}");
}

#[test]
fn more_own_tags_than_the_limits_are_counted() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let tags = |count: u32| {
        let tag = |number| format!("{}.{number:016x}", image.fallback_tag());
        json!({"tags": (0..count).map(tag).collect::<Vec<_>>()}).to_string()
    };
    for (count, part) in [(1100, "more referrers"), (10_001, "more than 10000 signatures")] {
        let body = tags(count);
        let fake = Fake::without_referrers();
        fake.image("app", "v1");
        fake.intercept(move |_, request| {
            let listed = request.uri().path().ends_with("/tags/list");
            listed.then(|| Ok(crate::helpers::plain(200, &body)))
        });
        let error = block_on(fake.registry().find(&subject(&image))).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}
