//! Registries that lie, lead elsewhere or hold too much. The numbers are those of the faults.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use harness::{HostileServer, Reply, Setup};
use serde_json::{Value, json};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The image of a hostile registry.
fn image(registry: &HostileServer) -> String {
    format!("{}/demo/app:v1", registry.address())
}

/// A signed image in a registry with or without the referrers API.
fn signed(referrers: bool) -> Setup {
    let setup = Setup::with(|config| config.referrers = referrers);
    let image = setup.image("demo/app");
    setup.workload().args(["sign", &image]).run().ends(0);
    setup
}

fn index(body: impl AsRef<[u8]>) -> Reply {
    Reply::response(200, &[("content-type", INDEX)], body)
}

fn hex(number: u32) -> String {
    format!("{number:064x}")
}

/// 29: the check for duplicate members was quadratic.
#[test]
fn a_list_of_a_hundred_and_forty_thousand_members_does_not_keep_verify_busy() {
    let setup = signed(false);
    let members: Vec<String> = (0..140_000).map(|n| format!(r#""m{n:08}":0"#)).collect();
    let list = format!(r#"{{"manifests":[],{}}}"#, members.join(","));
    let registry = setup.hostile_registry(move |request| match request.is("GET", "/referrers/") {
        true => index(&list),
        false => Reply::Forward,
    });
    let start = Instant::now();
    let verify = setup.program().args(["verify", &image(&registry)]).args(setup.by_workload());
    verify.within(Duration::from_secs(60)).run().ends(0);
    assert!(start.elapsed() < Duration::from_secs(60));
}

/// 31: five thousand junk referrers hid the good one.
#[test]
fn five_thousand_referrers_of_others_do_not_hide_the_signature() {
    let setup = signed(false);
    let entries: Vec<Value> = (0..5000)
        .map(|number| {
            json!({
                "mediaType": MANIFEST, "size": 9, "digest": format!("sha256:{}", hex(number)),
                "artifactType": BUNDLE,
                "annotations": {"dev.sigstore.bundle.predicateType": "https://junk.example"},
            })
        })
        .collect();
    let list = json!({"manifests": entries}).to_string();
    let registry = setup.hostile_registry(move |request| match request.is("GET", "/referrers/") {
        true => index(&list),
        false => Reply::Forward,
    });
    let verify = setup.program().args(["verify", &image(&registry)]).args(setup.by_workload());
    verify.within(Duration::from_secs(120)).run().ends(0);
    let asked = registry.requests().len();
    assert!(asked < 1100, "{asked} requests");
}

/// 31: 200,000 entries without a digest printed 12.5 MB.
#[test]
fn entries_without_a_digest_are_reported_together() {
    let setup = signed(false);
    let entries: Vec<String> =
        (0..50_000).map(|number| format!(r#"{{"digest":"\u001b[2J{number}"}}"#)).collect();
    let list = format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
    let registry = setup.hostile_registry(move |request| match request.is("GET", "/referrers/") {
        true => index(&list),
        false => Reply::Forward,
    });
    let other = ["--certificate-identity", "nobody", "--certificate-oidc-issuer", "nobody"];
    let refused = setup.program().args(["verify", &image(&registry)]).args(other).run().ends(12);
    let refused = refused.says(&["50000 listed referrers"]).hides("\u{1b}");
    assert!(refused.stderr.len() < 8000, "{}", refused.stderr.len());
}

/// 30: annotations were cloned for each of a thousand layers.
#[test]
fn a_manifest_of_a_thousand_layers_and_megabytes_of_annotations_is_read_once() {
    let setup = signed(false);
    let digest = setup.digest("demo/app");
    let annotations: serde_json::Map<String, Value> =
        (0..1000).map(|number| (format!("a{number}"), "x".repeat(3500).into())).collect();
    let layer = json!({"mediaType": BUNDLE, "size": 2, "digest": format!("sha256:{}", hex(1))});
    let manifest = json!({
        "mediaType": MANIFEST, "artifactType": BUNDLE, "layers": vec![layer; 1000],
        "annotations": annotations, "subject": {"digest": digest},
    })
    .to_string();
    let own = keys::Digest::sha256(manifest.as_bytes()).to_hex();
    let list = json!({"manifests": [{"mediaType": MANIFEST, "digest": format!("sha256:{own}")}]});
    let list = list.to_string();
    let registry = setup.hostile_registry(move |request| {
        if request.is("GET", "/referrers/") {
            return index(&list);
        }
        match request.is("GET", &own) {
            true => Reply::response(200, &[("content-type", MANIFEST)], &manifest),
            false => Reply::Forward,
        }
    });
    let verify = setup.program().args(["verify", &image(&registry)]).args(setup.by_workload());
    verify.limited_to(1 << 30).run().ends(0);
    // Each of the layers was asked for, and each had a copy of the annotations.
    let asked = registry.requests().iter().filter(|request| request.is("GET", "/blobs/")).count();
    assert!(asked <= 101, "{asked} blobs");
}

/// 5: one candidate that could not be fetched failed the verdict.
#[test]
fn a_candidate_that_cannot_be_fetched_hides_no_good_signature_and_is_no_absence() {
    for status in [403, 503] {
        let setup = signed(false);
        let junk = format!("sha256:{}", hex(7));
        let list =
            json!({"manifests": [{"mediaType": MANIFEST, "digest": junk, "artifactType": BUNDLE}]});
        let list = list.to_string();
        let registry = setup.hostile_registry(move |request| {
            if request.is("GET", "/referrers/") {
                return index(&list);
            }
            match request.is("GET", &junk) {
                true => Reply::refusal(status, "DENIED"),
                false => Reply::Forward,
            }
        });
        let verify = || setup.program().args(["verify", &image(&registry)]);
        verify().args(setup.by_workload()).run().ends(0);
        // Whether the right one signed cannot be said.
        verify().args(setup.by_job()).run().ends(1);
    }
}

/// 8: the digest of a HEAD's header was signed and logged.
#[test]
fn a_digest_that_only_a_header_claims_is_not_signed() {
    let setup = Setup::new();
    setup.image("demo/app");
    let claimed = format!("sha256:{}", hex(1));
    let registry =
        setup.hostile_registry(move |request| match request.target.contains("/manifests/v1") {
            true => Reply::with_header("docker-content-digest", claimed.clone()),
            false => Reply::Forward,
        });
    let before = setup.logged();
    setup
        .workload()
        .args(["sign", &image(&registry)])
        .run()
        .ends(1)
        .says(&["the registry calls it sha256:0000", "its content has sha256:"]);
    assert_eq!(setup.logged(), before, "nothing was logged");
}

/// 11: explicit credentials served every registry of the command.
#[test]
fn explicit_credentials_go_to_the_registry_named_first_and_to_no_other() {
    let setup = signed(true);
    let first = setup.hostile_registry(|_| Reply::Forward);
    let second = setup.hostile_registry(|request| match request.header("authorization") {
        None => Reply::response(401, &[("www-authenticate", "Basic realm=\"x\"")], ""),
        Some(_) => Reply::Forward,
    });
    let credentials = ["--registry-username", "me", "--registry-password", "hunter2"];
    setup
        .program()
        .args(["verify", &image(&first), &image(&second)])
        .args(setup.by_workload())
        .args(credentials)
        .run()
        .ends(1);
    assert!(!second.requests().is_empty());
    assert!(second.requests().iter().all(|request| request.header("authorization").is_none()));
    // The other way round it gets them.
    setup
        .program()
        .args(["verify", &image(&second), &image(&first)])
        .args(setup.by_workload())
        .args(credentials)
        .run()
        .ends(0);
    let sent =
        second.requests().into_iter().filter(|request| request.header("authorization").is_some());
    assert!(sent.count() > 0);
}

/// 11: the registry that credentials are for can be named.
#[test]
fn explicit_credentials_go_to_the_registry_that_is_named_with_them() {
    let setup = signed(true);
    let registry = setup.hostile_registry(|request| match request.header("authorization") {
        None => Reply::response(401, &[("www-authenticate", "Basic realm=\"x\"")], ""),
        Some(_) => Reply::Forward,
    });
    let verify = |username: &str| {
        let verify = setup.program().args(["verify", &image(&registry)]).args(setup.by_workload());
        verify.args(["--registry-username", username, "--registry-password", "hunter2"]).run()
    };
    verify(&format!("{}=me", registry.address())).ends(0);
    let sent = registry
        .requests()
        .into_iter()
        .filter_map(|request| request.header("authorization").map(str::to_owned));
    assert!(sent.clone().count() > 0);
    // `me:hunter2`
    assert!(sent.clone().all(|sent| sent == "Basic bWU6aHVudGVyMg=="));
    let before = sent.count();
    verify("other.example=me").ends(1);
    let requests = registry.requests();
    let sent = requests.iter().filter(|request| request.header("authorization").is_some());
    assert_eq!(sent.count(), before, "they are for another registry");
}

/// 37: upload locations and redirects led anywhere.
#[test]
fn a_registry_does_not_lead_to_the_metadata_service() {
    let metadata = "http://169.254.169.254/latest/meta-data/";
    let setup = signed(true);
    let uploads = setup.hostile_registry(move |request| match request.is("POST", "/uploads/") {
        true => Reply::response(202, &[("location", metadata)], ""),
        false => Reply::Forward,
    });
    let before = setup.logged();
    setup.workload().args(["sign", &image(&uploads)]).run().ends(1).says(&[
        "it leads to a link-local address or a metadata service",
        "use --insecure-registry-redirects",
    ]);
    assert_eq!(setup.logged(), before, "nothing was logged");

    let blobs = setup.hostile_registry(move |request| match request.is("GET", "/blobs/") {
        true => Reply::redirect(307, metadata),
        false => Reply::Forward,
    });
    let verify = setup.program().args(["verify", &image(&blobs)]).args(setup.by_workload());
    verify.run().says(&["169.254.169.254"]);
}

/// 37: tokens for foreign repositories were requested with the user's credentials.
#[test]
fn a_challenge_gets_a_token_for_the_repository_asked_for_only() {
    let setup = signed(true);
    let registry = setup.hostile_registry(|request| {
        if request.target.starts_with("/token") {
            return Reply::response(200, &[], r#"{"token":"t"}"#);
        }
        match request.header("authorization") {
            Some(_) => Reply::Forward,
            None => {
                let host = request.header("host").unwrap();
                let scope = "repository:secret/other:pull,push repository:demo/app:pull";
                let challenge =
                    format!(r#"Bearer realm="http://{host}/token",service="s",scope="{scope}""#);
                Reply::response(401, &[("www-authenticate", challenge.as_str())], "")
            }
        }
    });
    let credentials = ["--registry-username", "me", "--registry-password", "hunter2"];
    let verify = setup.program().args(["verify", &image(&registry)]).args(setup.by_workload());
    verify.args(credentials).run().ends(0);
    let tokens: Vec<String> = registry
        .requests()
        .into_iter()
        .map(|request| request.target)
        .filter(|target| target.starts_with("/token"))
        .collect();
    assert!(!tokens.is_empty());
    for target in tokens {
        assert!(target.contains("scope=repository%3Ademo%2Fapp%3Apull&"), "{target}");
        assert!(!target.contains("secret"), "{target}");
    }
}

/// 38: the words of another host appeared as the registry's.
#[test]
fn words_of_another_host_are_told_with_its_name() {
    let setup = signed(true);
    let storage = HostileServer::new(|_| Reply::refusal(403, "LOG_IN_AT_EVIL"));
    // Another name of this machine, so that it is another host.
    let port = storage.address().rsplit(':').next().unwrap().to_owned();
    let location = format!("http://localhost:{port}/x");
    let registry =
        setup.hostile_registry(move |request| match request.is("GET", "/manifests/v1") {
            true => Reply::redirect(307, &location),
            false => Reply::Forward,
        });
    let verify = setup.program().args(["verify", &image(&registry)]).args(setup.by_workload());
    verify.run().ends(1).says(&["localhost answered: LOG_IN_AT_EVIL"]);
}

/// 38: the legacy tag of a SHA-512 digest is longer than a tag may be, which was taken for a failure.
#[test]
fn an_unsigned_sha512_image_has_no_signature() {
    let setup = Setup::new();
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": []}).to_string();
    let digest = keys::Digest::of(keys::HashAlgorithm::Sha512, manifest.as_bytes()).to_hex();
    let name = format!("sha512:{digest}");
    let registry = setup.hostile_registry(move |request| {
        let reference = request.target.rsplit('/').next().unwrap();
        if request.is("GET", "/manifests/") && reference == name {
            return Reply::response(200, &[("content-type", MANIFEST)], &manifest);
        }
        match !reference.contains(':') && reference.len() > 128 {
            true => Reply::refusal(400, "TAG_INVALID"),
            false => Reply::refusal(404, "MANIFEST_UNKNOWN"),
        }
    });
    let image = format!("{}/demo/app@sha512:{digest}", registry.address());
    setup.program().args(["verify", &image]).args(setup.by_workload()).run().ends(10);
}

/// 429 with `Retry-After: 2` five times ended in "could not decide" after four seconds.
#[test]
fn a_throttled_image_is_verified_after_the_waits_that_the_registry_asks_for() {
    let setup = signed(true);
    let left = AtomicU32::new(5);
    let registry = setup.hostile_registry(move |request| {
        let throttled = request.is("GET", "/referrers/")
            && left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_ok();
        match throttled {
            true => Reply::response(429, &[("retry-after", "2")], "slow down"),
            false => Reply::Forward,
        }
    });
    let verify = setup.program().args(["verify", &image(&registry)]).args(setup.by_workload());
    verify.run().ends(0).says(&["waiting 3 s for 127.0.0.1, which answered 429"]);
}

/// A slow writer erased the list: the signature's own tag remains.
#[test]
fn a_list_that_was_erased_hides_no_signature() {
    let setup = signed(false);
    let registry = setup.hostile_registry(|request| {
        let list = request.is("GET", "/manifests/sha256-") && !request.target.contains('.');
        if list { index(r#"{"manifests":[]}"#) } else { Reply::Forward }
    });
    let verify = || setup.program().args(["verify", &image(&registry)]);
    verify().args(setup.by_workload()).run().ends(0);
    verify().args(setup.by_job()).run().ends(12);
    let inspect = setup.program().args(["inspect", &image(&registry), "-o", "json"]).run();
    assert_eq!(inspect.ends(0).json()[0].as_array().map_or(1, Vec::len), 1);

    // Without own tags it is lost with the list.
    let setup = Setup::with(|config| config.referrers = false);
    setup.image("demo/app");
    let named = format!("{}/demo/app:v1", setup.sandbox.registry());
    setup.workload().args(["sign", "--signature-tags=false", &named]).run().ends(0);
    let registry = setup.hostile_registry(|request| {
        let list = request.is("GET", "/manifests/sha256-") && !request.target.contains('.');
        if list { index(r#"{"manifests":[]}"#) } else { Reply::Forward }
    });
    let verify = setup.program().args(["verify", &image(&registry)]);
    verify.args(setup.by_workload()).run().ends(10);
}
