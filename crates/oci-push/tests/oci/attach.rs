use std::collections::BTreeMap;

use host::{FakeEnv, NoPrograms};
use oci_push::{Attached, Digest, Error, How, Options, Registry};
use serde_json::Value;

use crate::fake::Fake;
use crate::helpers::{
    BUNDLE_TYPE, INDEX_TYPE, MANIFEST_TYPE, block_on, bundle, plain, reference, subject,
};

pub(crate) fn attach(fake: &Fake, image: &Digest, note: &str) -> Result<Attached, Error> {
    attach_with(&fake.registry(), image, note)
}

pub(crate) fn attach_with(
    registry: &Registry,
    image: &Digest,
    note: &str,
) -> Result<Attached, Error> {
    block_on(registry.attach(&subject(image), bundle(note).as_bytes(), &BTreeMap::new()))
}

/// A registry client that gives signatures no tags of their own.
pub(crate) fn list_only(fake: &Fake) -> Registry {
    Registry::new(fake.host(), Options::new().with_signature_tags(false)).unwrap()
}

pub(crate) fn digests(index: &Value) -> Vec<String> {
    let manifests = index["manifests"].as_array().unwrap();
    manifests.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_registry_with_the_api_gets_a_referrer_and_no_tag() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let attached = attach(&fake, &image, "a").unwrap();
    assert_eq!(attached.how, How::Referrers);
    assert_eq!(attached.bundle_digest, Digest::sha256(bundle("a").as_bytes()));
    assert!(fake.listed("app", &image).is_none());
    let manifest: Value = fake.with(|state| {
        let (_, bytes) = &state.repositories["app"].manifests[attached.digest.as_str()];
        serde_json::from_slice(bytes).unwrap()
    });
    assert_eq!(manifest["artifactType"], BUNDLE_TYPE);
    assert_eq!(manifest["subject"]["digest"], image.as_str());
    assert_eq!(manifest["layers"][0]["digest"], attached.bundle_digest.as_str());
    let annotations = &manifest["annotations"];
    assert_eq!(annotations["org.opencontainers.image.created"], "2026-11-22T11:11:19Z");
    assert_eq!(annotations["dev.sigstore.bundle.content"], "dsse-envelope");
    assert!(manifest["config"].get("artifactType").is_none());
    // POST+PUT bundle, POST+PUT {}, PUT manifest, GET referrers
    assert_eq!(fake.log().len(), 6, "{:#?}", fake.log());
}

#[test]
fn what_was_learned_with_the_first_signature_is_not_asked_for_the_second() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let registry = fake.registry();
    let attach = |name| {
        let (bundle, annotations) = (bundle(name), BTreeMap::new());
        block_on(registry.attach(&subject(&image), bundle.as_bytes(), &annotations)).unwrap();
        fake.log().len()
    };
    let before = attach("a");
    // POST+PUT bundle, PUT manifest: {} is there, and the API lists referrers.
    assert_eq!(attach("b") - before, 3, "{:#?}", fake.log());
}

#[test]
fn a_registry_without_the_api_gets_an_index_under_the_tag() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let annotations = BTreeMap::from([("who".to_owned(), "me".to_owned())]);
    let attached =
        block_on(fake.registry().attach(&subject(&image), bundle("a").as_bytes(), &annotations))
            .unwrap();
    assert_eq!(attached.how, How::FallbackTag);
    let index = fake.listed("app", &image).unwrap();
    assert_eq!(index["mediaType"], INDEX_TYPE);
    let entry = &index["manifests"][0];
    assert_eq!(entry["digest"], attached.digest.as_str());
    assert_eq!(entry["mediaType"], MANIFEST_TYPE);
    assert_eq!(entry["artifactType"], BUNDLE_TYPE);
    assert_eq!(entry["annotations"]["who"], "me");
    assert_eq!(entry["annotations"]["dev.sigstore.bundle.content"], "dsse-envelope");
}

#[test]
fn a_registry_that_only_claims_to_have_the_api_gets_the_tag_too() {
    let fake = Fake::without_referrers();
    fake.with(|state| state.acknowledges_subject = true);
    let image = fake.image("app", "v1");
    assert_eq!(attach(&fake, &image, "a").unwrap().how, How::FallbackTag);
    assert_eq!(digests(&fake.listed("app", &image).unwrap()).len(), 1);
}

#[test]
fn a_registry_that_fails_to_list_gets_the_tag_too() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    fake.intercept(|_, request| {
        request.uri().path().contains("referrers").then(|| Ok(plain(500, "")))
    });
    assert_eq!(attach(&fake, &image, "a").unwrap().how, How::FallbackTag);
}

#[test]
fn signatures_go_to_the_repository_that_a_variable_names() {
    for name in ["COSIGN_REPOSITORY", "AMBISIGN_REPOSITORY"] {
        let fake = Fake::without_referrers();
        let image = fake.image("app", "v1");
        let variables = FakeEnv::new().with_var(name, "localhost:5000/sigs");
        let registry =
            Registry::new(fake.host_with(variables, NoPrograms), Options::default()).unwrap();
        block_on(registry.prove_push(&reference("localhost:5000/app:v1"))).unwrap();
        let attached = attach_with(&registry, &image, "a").unwrap();
        assert_eq!(attached.repository.to_string(), "localhost:5000/sigs");
        assert!(fake.listed("sigs", &image).is_some());
        assert!(fake.listed("app", &image).is_none());
        assert!(fake.log().iter().all(|line| !line.contains("/v2/app/")), "{:#?}", fake.log());
        let found = block_on(registry.find(&subject(&image))).unwrap();
        assert_eq!(found.bundles.len(), 1);
    }
}

#[test]
fn a_variable_that_names_no_repository_is_an_error_from_the_start() {
    let fake = Fake::new();
    let host = fake.host_with([("COSIGN_REPOSITORY", "http://bad")], NoPrograms);
    let error = Registry::new(host, Options::default()).unwrap_err();
    assert!(error.to_string().contains("COSIGN_REPOSITORY"), "{error}");
}
