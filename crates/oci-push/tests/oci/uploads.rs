//! Putting blobs.

use crate::attach::{attach, attach_with};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use host::TransportError;
use http::Method;
use oci_push::{Error, Options, Registry};

use crate::fake::{Auth, Fake};
use crate::helpers::{block_on, bundle, reference, refusal};

#[test]
fn an_upload_location_may_be_relative_absolute_or_on_another_host() {
    for (origin, host) in [
        ("", "localhost:5000"),
        ("http://localhost:5000", "localhost:5000"),
        ("https://storage.example", "storage.example"),
    ] {
        let fake = Fake::new();
        let image = fake.image("app", "v1");
        fake.with(|state| {
            state.upload_origin = origin.to_owned();
            state.auth = Auth::Basic { pair: "dXNlcjpodW50ZXIy" };
        });
        fake.intercept(move |state, request| {
            if request.uri().host() == Some("storage.example") {
                assert!(request.headers().get("authorization").is_none());
                state.auth = Auth::None;
            } else if !matches!(state.auth, Auth::None) || host != "localhost:5000" {
                state.auth = Auth::Basic { pair: "dXNlcjpodW50ZXIy" };
            }
            None
        });
        let credentials = oci_push::Credentials::basic("user", "hunter2");
        let options = Options::new().with_credentials("localhost:5000", credentials);
        let registry = Registry::new(fake.host(), options).unwrap();
        attach_with(&registry, &image, "a").unwrap();
        let put = fake.log().into_iter().find(|line| line.contains("&digest=")).unwrap();
        assert!(put.starts_with(&format!("PUT {host} ")), "{put}");
    }
}

#[test]
fn an_upload_location_over_http_is_corrected_on_the_same_host_and_refused_on_another() {
    let run = |origin: &'static str| {
        let fake = Fake::new();
        let image = fake.image("app", "v1");
        fake.with(|state| state.upload_origin = origin.to_owned());
        fake.intercept(|_, request| {
            assert_eq!(request.uri().scheme_str(), Some("https"));
            None
        });
        let resolved =
            block_on(fake.registry().resolve(&reference(&format!("r.example/app@{image}"))))
                .unwrap();
        block_on(fake.registry().attach(&resolved, bundle("a").as_bytes(), &BTreeMap::new()))
    };
    run("http://r.example").unwrap();
    let error = run("http://storage.example").unwrap_err();
    assert!(error.to_string().contains("does not use https: http://storage.example"), "{error}");
}

#[test]
fn an_upload_location_inside_is_refused_unless_it_is_allowed() {
    for origin in ["https://169.254.169.254", "https://localhost:6379", "https://10.0.0.1:2375"] {
        let fake = Fake::new();
        let image = fake.image("app", "v1");
        fake.with(|state| state.upload_origin = origin.to_owned());
        let prove = |options: Options| {
            let registry = Registry::new(fake.host(), options).unwrap();
            block_on(registry.prove_push(&reference(&format!("r.example/app@{image}"))))
        };
        let error = prove(Options::new()).unwrap_err();
        assert!(error.to_string().contains("it leads to "), "{error}");
        assert!(fake.log().iter().all(|line| line.contains(" r.example ")), "{:?}", fake.log());
        prove(Options::new().with_internal_addresses(true)).unwrap();
    }
}

#[test]
fn an_interrupted_upload_starts_again() {
    for fault in [429, 503, 404] {
        let fake = Fake::new();
        let image = fake.image("app", "v1");
        let mut left = 2;
        fake.intercept(move |_, request| {
            let uploads = request.uri().query().is_some_and(|query| query.contains("&digest="));
            if !uploads || left == 0 {
                return None;
            }
            left -= 1;
            Some(Ok(refusal(fault, "BLOB_UPLOAD_UNKNOWN", "again")))
        });
        attach(&fake, &image, "a").unwrap_or_else(|error| panic!("{fault}: {error}"));
    }
}

#[test]
fn an_upload_that_arrived_unheard_is_not_sent_again() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let broke = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&broke);
    fake.intercept(move |state, request| {
        let digest = request.uri().query()?.split_once("&digest=")?.1.to_owned();
        count.fetch_add(1, Ordering::Relaxed);
        let app = state.repositories.get_mut("app").unwrap();
        app.blobs.insert(digest, request.body().clone());
        let source = Arc::new(std::io::Error::other("reset"));
        Some(Err(TransportError::Broken { url: "x".to_owned(), source }))
    });
    attach(&fake, &image, "a").unwrap();
    assert_eq!(broke.load(Ordering::Relaxed), 2, "one for each blob");
}

#[test]
fn an_upload_that_is_refused_for_good_is_reported_at_once() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    fake.intercept(|_, request| {
        request
            .uri()
            .query()?
            .contains("&digest=")
            .then(|| Ok(refusal(400, "DIGEST_INVALID", "no")))
    });
    let error = attach(&fake, &image, "a").unwrap_err();
    assert!(matches!(error, Error::Answer { status: 400, .. }), "{error}");
    assert!(error.to_string().contains("DIGEST_INVALID, no"), "{error}");
}

#[test]
fn a_blob_that_hides_for_a_moment_is_waited_for() {
    for (times, waited) in [(3, true), (u32::MAX, false)] {
        let fake = Fake::new();
        let image = fake.image("app", "v1");
        let mut left = times;
        fake.intercept(move |_, request| {
            let manifest = request.method() == Method::PUT
                && request.uri().path().starts_with("/v2/app/manifests/");
            if !manifest || left == 0 {
                return None;
            }
            left -= 1;
            Some(Ok(refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")))
        });
        match attach(&fake, &image, "a") {
            Ok(_) => assert!(waited),
            Err(error) => assert!(!waited && error.to_string().contains("blob unknown"), "{error}"),
        }
    }
}
