//! The habits of real registries, one test each. The table in the crate's README names them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use host::{FakeEnv, NoPrograms, TransportError};
use http::Method;
use oci_push::{Digest, How, Options, Registry, Search};

use crate::attach::{attach, attach_with, digests};
use crate::fake::{Answer, Fake, State, TagListing};
use crate::find::{entry, index};
use crate::helpers::{
    BUNDLE_TYPE, INDEX_TYPE, MANIFEST_TYPE, block_on, bundle, plain, reference, refusal, subject,
};

fn told(fake: &Fake) -> (Registry, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let options =
        Options::new().with_listener(move |event| log.lock().unwrap().push(event.to_string()));
    (Registry::new(fake.host(), options).unwrap(), told)
}

fn manifests(registry: &Registry, image: &Digest) -> Vec<Digest> {
    let mut found = block_on(registry.find(&subject(image))).unwrap();
    let more = block_on(registry.find_more(&subject(image), &found));
    found.bundles.extend(more.bundles);
    let mut digests: Vec<Digest> = found.bundles.into_iter().map(|one| one.manifest).collect();
    digests.sort();
    digests
}

#[test]
fn ecr_and_harbor_with_immutable_tags_keep_the_second_signature_by_its_own_tag() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    // Whatever has a tag keeps it.
    fake.intercept(|state, request| {
        let name = request.uri().path().rsplit_once("/manifests/")?.1.to_owned();
        let exists = state.repositories["app"].tags.contains_key(&name);
        let writes = *request.method() == Method::PUT && exists;
        writes.then(|| Ok(refusal(400, "TAG_INVALID", "the tag is immutable")))
    });
    let (registry, told) = told(&fake);
    let mut attached: Vec<Digest> = ["a", "b", "c"]
        .iter()
        .map(|note| attach_with(&registry, &image, note).unwrap().digest)
        .collect();
    attached.sort();
    assert_eq!(manifests(&registry, &image), attached);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("not in the list") && told[0].contains("immutable"), "{told:?}");
}

#[test]
fn gitlab_takes_the_tag_of_the_list_for_the_image_and_own_tags_serve() {
    let fake = Fake::without_referrers();
    let child = fake.image("app", "v1");
    let list = index(&[entry(&child, "")]).to_string();
    let image = fake.manifest("app", INDEX_TYPE, list.as_bytes());
    // The name means the digest, whatever was stored under it.
    let tag = image.fallback_tag();
    let is = image.to_string();
    fake.intercept(move |state, request| {
        let app = state.repositories.get_mut("app").unwrap();
        if request.uri().path().ends_with(&tag) && *request.method() != Method::PUT {
            app.tags.insert(tag.clone(), is.clone());
        }
        None
    });
    let (registry, told) = told(&fake);
    let attached = attach_with(&registry, &image, "a").unwrap();
    assert!(attached.own_tag.is_some());
    assert_eq!(manifests(&registry, &image), [attached.digest]);
    assert!(told.lock().unwrap()[0].contains("not in the list"), "{told:?}");
}

#[test]
fn ghcr_answers_a_missing_list_with_the_image_and_keeps_a_list_that_is_written() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let tag = image.fallback_tag();
    fake.intercept(move |state, _| {
        state.tag_is_digest = !state.repositories["app"].tags.contains_key(&tag);
        None
    });
    let attached = attach(&fake, &image, "a").unwrap();
    assert_eq!(digests(&fake.listed("app", &image).unwrap()), [attached.digest.to_string()]);
    assert_eq!(manifests(&fake.registry(), &image), [attached.digest]);
}

#[test]
fn ghcr_loses_untagged_manifests_to_clean_ups_and_a_signature_has_a_tag() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let attached = attach(&fake, &image, "a").unwrap();
    fake.with(|state| {
        let app = state.repositories.get_mut("app").unwrap();
        let tagged: Vec<String> = app.tags.values().cloned().collect();
        app.manifests.retain(|digest, _| tagged.contains(digest));
    });
    assert_eq!(manifests(&fake.registry(), &image), [attached.digest]);
}

#[test]
fn ecr_claims_the_api_and_does_not_have_it() {
    let fake = Fake::without_referrers();
    fake.with(|state| state.acknowledges_subject = true);
    let image = fake.image("app", "v1");
    let attached = attach(&fake, &image, "a").unwrap();
    assert_eq!(attached.how, How::FallbackTag);
    assert!(attached.own_tag.is_some());
    assert_eq!(digests(&fake.listed("app", &image).unwrap()).len(), 1);
}

#[test]
fn an_empty_list_or_a_page_for_an_unknown_path_is_not_the_api() {
    for (media_type, body) in
        [(INDEX_TYPE, r#"{"schemaVersion":2,"manifests":[]}"#), ("text/html", "<html>welcome")]
    {
        let fake = Fake::without_referrers();
        fake.with(|state| state.acknowledges_subject = true);
        let image = fake.image("app", "v1");
        fake.intercept(move |_, request| {
            request.uri().path().contains("referrers").then(|| {
                let mut answer = plain(200, body);
                answer.headers_mut().insert("content-type", media_type.parse().unwrap());
                Ok(answer)
            })
        });
        let attached = attach(&fake, &image, "a").unwrap();
        assert_eq!(attached.how, How::FallbackTag, "{media_type}");
        assert_eq!(manifests(&fake.registry(), &image), [attached.digest]);
    }
}

#[test]
fn a_tag_that_cosign_copy_left_on_the_image_becomes_the_list() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    fake.tag("app", &image.fallback_tag(), &image);
    let attached = attach(&fake, &image, "a").unwrap();
    assert_eq!(digests(&fake.listed("app", &image).unwrap()), [attached.digest.to_string()]);
}

#[test]
fn a_list_tag_that_another_image_has_is_left_alone_and_the_own_tag_serves() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let other = fake.image("app", "other");
    fake.tag("app", &image.fallback_tag(), &other);
    let (registry, told) = told(&fake);
    let attached = attach_with(&registry, &image, "a").unwrap();
    assert_eq!(manifests(&registry, &image), [attached.digest]);
    fake.with(|state| {
        assert_eq!(state.repositories["app"].tags[&image.fallback_tag()], other.as_str());
    });
    let told = told.lock().unwrap();
    assert!(told[0].contains(MANIFEST_TYPE), "{told:?}");
}

#[test]
fn gar_and_docker_registry_list_all_tags_at_once_and_unsorted() {
    let fake = Fake::without_referrers();
    fake.with(|state| state.tag_listing = TagListing::AllUnsorted);
    let image = fake.image("app", "v1");
    for number in 0..2500 {
        fake.tag("app", &format!("v1.{number}"), &image);
    }
    let attached = attach(&fake, &image, "a").unwrap();
    fake.list("app", &image, &index(&[]));
    assert_eq!(manifests(&fake.registry(), &image), [attached.digest]);
}

#[test]
fn a_registry_that_gained_the_api_is_asked_for_both() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let before = attach(&fake, &image, "before").unwrap();
    fake.with(|state| {
        state.referrers = true;
        state.acknowledges_subject = true;
    });
    let after = attach(&fake, &image, "after").unwrap();
    assert_eq!(after.how, How::Referrers);
    let mut expected = [before.digest, after.digest];
    expected.sort();
    assert_eq!(manifests(&fake.registry(), &image), expected);
}

#[test]
fn a_reference_to_an_unsigned_image_of_many_tags_asks_for_few() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    for number in 0..5000 {
        fake.tag("app", &format!("v{number}"), &image);
    }
    assert!(block_on(fake.registry().find(&subject(&image))).unwrap().is_empty());
    let listed = fake.log().iter().filter(|line| line.contains("tags/list")).count();
    assert_eq!(listed, 1, "the tags after the list's are enough");
}

/// How many requests follow each other, if each waits for all that were sent before it.
#[test]
fn a_look_by_digest_asks_for_image_and_lists_at_once() {
    for (fake, requests) in [(Fake::new(), 5), (Fake::without_referrers(), 5)] {
        let image = fake.image("app", "v1");
        let referrer = fake.referrer("app", &image, &bundle("a"));
        fake.list("app", &image, &index(&[entry(&referrer, BUNDLE_TYPE)]));
        let registry = fake.registry();
        let named = reference(&format!("localhost:5000/app@{image}"));
        let (resolved, found) =
            block_on(registry.look_up_and_find(&named, &Search::default())).unwrap();
        assert_eq!(*resolved.digest(), image);
        assert_eq!(found.bundles.len(), 1);
        // HEAD image, referrers, list; manifest; bundle.
        assert_eq!(fake.log().len(), requests, "{:#?}", fake.log());
    }
}

/// After what is asked of a registry once: in one repository, or each image in its own.
#[test]
fn an_image_is_signed_in_five_requests_with_the_api_and_in_eight_without() {
    for (api, takes_content, apart, expected) in [
        (true, true, false, 3),
        (true, true, true, 4),
        (true, false, false, 4),
        (true, false, true, 5),
        (false, true, false, 6),
        (false, true, true, 7),
        (false, false, false, 7),
        (false, false, true, 8),
    ] {
        let fake = if api { Fake::new() } else { Fake::without_referrers() };
        fake.with(|state| state.takes_content = takes_content);
        let registry = fake.registry();
        let sign = |number: usize| {
            let name = if apart { format!("app{number}") } else { "app".to_owned() };
            let image = fake.image(&name, &format!("v{number}"));
            let before = fake.log().len();
            let reference = reference(&format!("localhost:5000/{name}:v{number}"));
            let resolved = block_on(registry.prepare(&reference)).unwrap();
            let note = bundle(&number.to_string());
            block_on(registry.attach(&resolved, note.as_bytes(), &BTreeMap::new())).unwrap();
            let log = fake.log().split_off(before);
            assert_eq!(*resolved.digest(), image);
            assert_eq!(block_on(registry.find(&resolved)).unwrap().bundles.len(), 1);
            log
        };
        sign(0);
        for number in 1..10 {
            let log = sign(number);
            assert_eq!(log.len(), expected, "{api} {takes_content} {apart}: {log:#?}");
        }
    }
}

/// What is learned of one repository is used for another, and does no harm where it does not hold.
#[test]
fn a_repository_that_differs_from_the_first_one_gets_its_signature_as_well() {
    for (change, requests) in [
        ((|state| state.mounts = false) as fn(&mut State), 10),
        (|state| state.takes_content = true, 8),
        (|state| state.acknowledges_subject = true, 8),
    ] {
        let fake = Fake::without_referrers();
        let registry = fake.registry();
        for name in ["first", "second", "third"] {
            fake.image(name, "v1");
            let image = reference(&format!("localhost:5000/{name}:v1"));
            let image = block_on(registry.prepare(&image)).unwrap();
            let before = fake.log().len();
            let note = bundle(name);
            let attached =
                block_on(registry.attach(&image, note.as_bytes(), &BTreeMap::new())).unwrap();
            assert!(fake.log().len() - before <= requests, "{:#?}", fake.log());
            assert!(attached.own_tag.is_some());
            let found = block_on(registry.find(&image)).unwrap();
            assert_eq!(found.bundles[0].manifest, attached.digest);
            fake.with(change);
        }
    }
}

/// `OCI-Subject` alone is not believed, and a registry that lists referrers must say it each time.
#[test]
fn a_registry_that_stops_acknowledging_referrers_gets_a_list() {
    let fake = Fake::new();
    let registry = fake.registry();
    for (name, how) in [("first", How::Referrers), ("second", How::FallbackTag)] {
        let image = fake.image(name, "v1");
        let named = reference(&format!("localhost:5000/{name}@{image}"));
        let image = block_on(registry.resolve(&named)).unwrap();
        let attached =
            block_on(registry.attach(&image, bundle(name).as_bytes(), &BTreeMap::new())).unwrap();
        assert_eq!(attached.how, how);
        fake.with(|state| state.acknowledges_subject = false);
    }
}

#[test]
fn the_upload_that_proved_the_push_carries_the_bundle_and_a_missing_image_leaves_none() {
    let fake = Fake::new();
    fake.image("app", "v1");
    let registry = fake.registry();
    let image = block_on(registry.prepare(&reference("localhost:5000/app:v1"))).unwrap();
    let note = bundle("a");
    block_on(registry.attach(&image, note.as_bytes(), &BTreeMap::new())).unwrap();
    let log = fake.log();
    let digest = Digest::sha256(note.as_bytes());
    let opened = log.iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(opened, 2, "one for the bundle and one for the empty blob: {log:#?}");
    assert!(log.iter().any(|line| line.contains("/uploads/1?") && line.ends_with(digest.as_str())));

    let fake = Fake::new();
    fake.image("app", "v1");
    block_on(fake.registry().prepare(&reference("localhost:5000/app:gone"))).unwrap_err();
    assert!(fake.log().last().unwrap().starts_with("DELETE"), "{:#?}", fake.log());
}

#[test]
fn an_upload_that_ended_meanwhile_is_opened_again() {
    let fake = Fake::new();
    fake.image("app", "v1");
    let registry = fake.registry();
    let image = block_on(registry.prepare(&reference("localhost:5000/app:v1"))).unwrap();
    fake.intercept(|_, request| {
        let old = request.uri().path().ends_with("/uploads/1") && request.method() == Method::PUT;
        old.then(|| Ok(refusal(404, "BLOB_UPLOAD_UNKNOWN", "gone")))
    });
    block_on(registry.attach(&image, bundle("a").as_bytes(), &BTreeMap::new())).unwrap();
}

/// A machine whose `registries.conf` says that `localhost:5001` mirrors `localhost:5000`.
fn mirrored(fake: &Fake) -> Registry {
    let conf = "[[registry]]\nlocation = \"localhost:5000\"\n\
                [[registry.mirror]]\nlocation = \"localhost:5001\"\n";
    let path = "/etc/containers/registries.conf";
    let host = fake.host_with(FakeEnv::new().with_file(path, conf), NoPrograms);
    Registry::new(host, Options::new().with_mirrors(true)).unwrap()
}

/// Answers of one port are broken or missing.
fn without(fake: &Fake, port: u16, answer: impl Fn() -> Option<Answer> + Send + 'static) {
    fake.intercept(move |_, request| {
        (request.uri().port_u16() == Some(port)).then(&answer).flatten()
    });
}

fn unreachable() -> Option<Answer> {
    let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let url = "http://localhost/".to_owned();
    Some(Err(TransportError::Connect { url, source: Arc::new(source) }))
}

#[test]
fn what_a_digest_names_is_read_from_a_mirror_and_what_else_there_is_from_the_registry() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    fake.referrer("app", &image, "{}");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    fake.intercept(move |_, request| {
        let uri = request.uri();
        log.lock().unwrap().push(format!("{} {}", uri.port_u16().unwrap(), uri.path()));
        None
    });
    let registry = mirrored(&fake);
    let (_, found) = block_on(
        registry.look_up_and_find(&reference("localhost:5000/app:v1"), &Search::default()),
    )
    .unwrap();
    assert_eq!(found.bundles.len(), 1);
    for asked in &*asked.lock().unwrap() {
        let by_digest = asked.contains("/blobs/") || asked.contains("/manifests/sha256:");
        assert_eq!(asked.starts_with("5001"), by_digest, "{asked}");
    }
}

#[test]
fn a_mirror_that_lacks_something_does_not_decide() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    fake.referrer("app", &image, "{}");
    for answer in [
        (|| Some(Ok(plain(404, "")))) as fn() -> Option<Answer>,
        || Some(Ok(plain(503, ""))),
        unreachable,
    ] {
        without(&fake, 5001, answer);
        assert_eq!(manifests(&mirrored(&fake), &image).len(), 1);
    }
}

#[test]
fn a_mirror_serves_all_where_the_registry_cannot_be_reached() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    fake.referrer("app", &image, "{}");
    without(&fake, 5000, unreachable);
    let registry = mirrored(&fake);
    let (resolved, found) = block_on(
        registry.look_up_and_find(&reference("localhost:5000/app:v1"), &Search::default()),
    )
    .unwrap();
    assert_eq!((resolved.digest(), found.bundles.len()), (&image, 1));
    // Not without being told to.
    let host = fake.host();
    let error = block_on(
        Registry::new(host, Options::new()).unwrap().resolve(&reference("localhost:5000/app:v1")),
    );
    assert!(error.is_err());
}

#[test]
fn a_file_of_mirrors_that_is_not_understood_is_told_once_and_the_registry_asked() {
    let fake = Fake::new();
    fake.image("app", "v1");
    let conf = "[[registry]]\nlocation = \"localhost:5000\"\nmirror = 5\n";
    let env = FakeEnv::new().with_var("CONTAINERS_REGISTRIES_CONF", "/c").with_file("/c", conf);
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let options = Options::new().with_mirrors(true);
    let options = options.with_listener(move |event| log.lock().unwrap().push(event.to_string()));
    let registry = Registry::new(fake.host_with(env, NoPrograms), options).unwrap();
    for _ in 0..2 {
        block_on(registry.resolve(&reference("localhost:5000/app:v1"))).unwrap();
    }
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("no mirrors are used: /c cannot be used: line 3: "), "{told:?}");
}
