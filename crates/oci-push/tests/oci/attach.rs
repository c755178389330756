use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use host::{FakeEnv, NoPrograms, TransportError};
use http::Method;
use oci_push::{Attached, Digest, Error, How, Options, Registry};
use serde_json::{Value, json};

use crate::fake::{Auth, Fake};
use crate::helpers::{
    BUNDLE_TYPE, INDEX_TYPE, MANIFEST_TYPE, RealClock, block_on, bundle, plain, reference, refusal,
    subject,
};

fn attach(fake: &Fake, image: &Digest, note: &str) -> Result<Attached, Error> {
    attach_with(&fake.registry(), image, note)
}

fn attach_with(registry: &Registry, image: &Digest, note: &str) -> Result<Attached, Error> {
    block_on(registry.attach(&subject(image), bundle(note).as_bytes(), &BTreeMap::new()))
}

fn digests(index: &Value) -> Vec<String> {
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
    // probe, POST+PUT bundle, HEAD+POST+PUT {}, PUT manifest, GET referrers
    assert_eq!(fake.log().len(), 8, "{:#?}", fake.log());
}

#[test]
fn the_second_signature_finds_the_empty_blob_there() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    attach(&fake, &image, "a").unwrap();
    let before = fake.log().len();
    attach(&fake, &image, "b").unwrap();
    assert_eq!(fake.log().len() - before, 6);
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

#[test]
fn a_writer_who_overwrites_us_is_merged_with() {
    let fake = Fake::without_referrers();
    let image = fake.image("app", "v1");
    let other = fake.referrer("app", &image, "other");
    // It read the empty list before us and writes after us, three times over.
    let mut left = 3;
    let tag = image.fallback_tag();
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
    let error = attach(&fake, &image, "a").unwrap_err();
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
    let error = attach(&fake, &image, "a").unwrap_err();
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
    let error = attach(&fake, &image, "a").unwrap_err();
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
        attach(&fake, &image, "a")
    };
    assert!(matches!(run(503, 9), Err(Error::Answer { status: 503, .. })));
    assert!(matches!(run(429, 9), Err(Error::RateLimited { .. })));
    assert!(matches!(run(403, 1), Err(Error::Denied { .. })));
    assert_eq!(run(503, 2).unwrap().how, How::FallbackTag);
    assert_eq!(run(412, 5).unwrap().how, How::FallbackTag);
}

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
fn an_upload_location_that_steps_down_to_http_is_mended_at_home_and_refused_elsewhere() {
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
