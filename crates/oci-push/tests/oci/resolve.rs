use std::time::Duration;

use host::TransportError;
use http::Method;
use oci_push::{Access, Digest, Error, Options, Registry};

use crate::fake::Fake;
use crate::helpers::{INDEX_TYPE, MANIFEST_TYPE, block_on, plain, reference, refusal};

fn resolve(fake: &Fake, text: &str) -> Result<oci_push::Resolved, Error> {
    block_on(fake.registry().resolve(&reference(text)))
}

#[test]
fn a_tag_is_resolved_by_one_request_for_the_manifest() {
    let fake = Fake::new();
    let digest = fake.image("app", "v1");
    let resolved = resolve(&fake, "localhost:5000/app:v1").unwrap();
    assert_eq!(*resolved.digest(), digest);
    assert_eq!(resolved.descriptor().media_type, MANIFEST_TYPE);
    assert_eq!(resolved.to_string(), format!("localhost:5000/app@{digest}"));
    let log = fake.log();
    assert_eq!(log, ["GET localhost:5000 /v2/app/manifests/v1"]);
}

#[test]
fn an_image_by_digest_is_looked_up_by_a_head_or_where_that_is_refused_by_a_get() {
    let fake = Fake::new();
    let digest = fake.image("app", "v1");
    let by_digest = format!("localhost:5000/app@{digest}");
    let look_up = |fake: &Fake, text: &str| block_on(fake.registry().look_up(&reference(text)));
    assert_eq!(*look_up(&fake, &by_digest).unwrap().digest(), digest);
    assert_eq!(fake.log(), [format!("HEAD localhost:5000 /v2/app/manifests/{digest}")]);

    let fake = Fake::new();
    fake.image("app", "v1");
    fake.intercept(|_, request| (request.method() == Method::HEAD).then(|| Ok(plain(405, ""))));
    assert_eq!(*look_up(&fake, &by_digest).unwrap().digest(), digest);

    // The tag is the registry's word: its manifest is fetched and hashed.
    assert_eq!(*look_up(&fake, "localhost:5000/app:v1").unwrap().digest(), digest);
    let missing = look_up(&fake, &format!("localhost:5000/app@sha256:{}", "0".repeat(64)));
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
}

#[test]
fn a_registry_elsewhere_is_not_even_probed_and_only_spoken_to_by_https() {
    let fake = Fake::new();
    fake.image("team/app", "latest");
    fake.intercept(|_, request| {
        assert_eq!(request.uri().scheme_str(), Some("https"));
        None
    });
    resolve(&fake, "r.example/team/app").unwrap();
    assert_eq!(fake.log(), ["GET r.example /v2/team/app/manifests/latest"]);
}

#[test]
fn docker_hub_is_reached_at_its_api_host() {
    let fake = Fake::new();
    fake.image("library/ubuntu", "latest");
    let resolved = resolve(&fake, "ubuntu").unwrap();
    assert_eq!(resolved.repository().to_string(), "index.docker.io/library/ubuntu");
    assert!(fake.log()[0].starts_with("GET registry-1.docker.io /v2/library/ubuntu/"));
}

#[test]
fn a_manifest_is_known_by_its_bytes_whatever_headers_are_missing() {
    for header in ["content-type", "content-length", "docker-content-digest"] {
        let fake = Fake::new();
        let digest = fake.image("app", "v1");
        fake.with(|state| state.silent_about.push(header));
        let resolved = resolve(&fake, "localhost:5000/app:v1").unwrap();
        assert_eq!(*resolved.digest(), digest, "{header}");
        assert_eq!(resolved.descriptor().media_type, MANIFEST_TYPE, "{header}");
        assert!(resolved.descriptor().size > 90, "{header}");
    }
}

#[test]
fn a_digest_that_only_a_header_claims_is_not_resolved_to() {
    let other = Digest::sha256(b"what another workload built");
    // By tag: GET and HEAD claim the digest of something else.
    let fake = Fake::new();
    let digest = fake.image("app", "v1");
    let claimed = other.to_string();
    fake.intercept(move |state, request| {
        let (media_type, bytes) = state.repositories["app"].manifests.first_key_value()?.1.clone();
        request.uri().path().contains("manifests").then(|| {
            let head = *request.method() == Method::HEAD;
            let answer = http::Response::builder()
                .header("content-type", media_type)
                .header("content-length", bytes.len())
                .header("docker-content-digest", &claimed)
                .body(if head { bytes::Bytes::new() } else { bytes });
            Ok(answer.unwrap())
        })
    });
    let error = resolve(&fake, "localhost:5000/app:v1").unwrap_err();
    assert!(error.to_string().contains(&format!("its content has {digest}")), "{error}");
    // By digest: the bytes decide.
    let by_digest = format!("localhost:5000/app@{digest}");
    assert_eq!(*resolve(&fake, &by_digest).unwrap().digest(), digest);
    let error = resolve(&fake, &format!("localhost:5000/app@{other}")).unwrap_err();
    assert!(
        matches!(&error, Error::Invalid { reason, .. } if reason.contains(digest.as_str())),
        "{error}"
    );
}

#[test]
fn what_is_not_a_manifest_is_refused_by_name() {
    let fake = Fake::new();
    for (media_type, content, part) in [
        ("text/html", "<html>", "not the JSON"),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", "{}", "v1+prettyjws"),
        (
            INDEX_TYPE,
            r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#,
            "calls itself",
        ),
    ] {
        let digest = fake.manifest("app", media_type, content.as_bytes());
        fake.tag("app", "v1", &digest);
        fake.intercept(|state, request| {
            // Serve it whatever was asked for.
            let app = &state.repositories["app"];
            let (media_type, bytes) = &app.manifests[&app.tags["v1"]];
            request.uri().path().contains("manifests").then(|| {
                let mut answer = http::Response::new(bytes.clone());
                answer.headers_mut().insert("content-type", media_type.parse().unwrap());
                Ok(answer)
            })
        });
        let error = resolve(&fake, "localhost:5000/app:v1").unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_missing_tag_manifest_and_repository_are_told_apart() {
    let fake = Fake::new();
    fake.image("app", "v1");
    let digest = format!("sha256:{}", "a".repeat(64));
    for (text, expected) in [
        ("localhost:5000/app:nope", "the tag nope in localhost:5000/app does not exist".to_owned()),
        (
            &format!("localhost:5000/app@{digest}"),
            format!("the manifest {digest} in localhost:5000/app does not exist"),
        ),
        ("localhost:5000/nope", "the repository localhost:5000/nope does not exist".to_owned()),
    ] {
        let error = resolve(&fake, text).unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

#[test]
fn throttling_an_outage_and_a_refusal_are_not_absence() {
    let outcome = |status: u16, code: &'static str| {
        let fake = Fake::new();
        fake.image("app", "v1");
        fake.intercept(move |_, request| {
            request.uri().path().contains("manifests").then(|| {
                let mut answer = refusal(status, code, "no");
                answer.headers_mut().insert("retry-after", "7".parse().unwrap());
                Ok(answer)
            })
        });
        resolve(&fake, "localhost:5000/app:v1").unwrap_err()
    };
    let limited = outcome(429, "TOOMANYREQUESTS");
    let seven = Some(Duration::from_secs(7));
    assert!(matches!(limited, Error::RateLimited { retry_after, .. } if retry_after == seven));
    assert!(limited.to_string().contains("to wait 7 s"), "{limited}");
    let down = outcome(503, "UNAVAILABLE");
    assert!(matches!(down, Error::Answer { status: 503, .. }), "{down}");
    let denied = outcome(403, "DENIED");
    assert!(matches!(denied, Error::Denied { access: Access::Pull, .. }), "{denied}");
    assert!(denied.to_string().contains("DENIED, no"), "{denied}");
}

#[test]
fn an_unreachable_registry_is_named() {
    let fake = Fake::new();
    fake.intercept(|_, request| {
        let url = request.uri().to_string();
        let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        Some(Err(TransportError::Connect { url, source: std::sync::Arc::new(source) }))
    });
    let error = resolve(&fake, "r.example/app").unwrap_err();
    assert!(matches!(&error, Error::Transport { registry, .. } if registry == "r.example"));
    let error = resolve(&fake, "localhost:5000/app").unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");
}

fn tls_only(fake: &Fake) {
    fake.intercept(|_, request| {
        let text = match *request.method() {
            Method::HEAD => "",
            _ => "Client sent an HTTP request to an HTTPS server.\n",
        };
        (request.uri().scheme_str() == Some("http")).then(|| Ok(plain(400, text)))
    });
}

fn http_only(fake: &Fake) {
    fake.intercept(|_, request| {
        (request.uri().scheme_str() == Some("https")).then(|| {
            let source = std::io::Error::other("not TLS");
            let url = request.uri().to_string();
            Err(TransportError::Tls { url, source: std::sync::Arc::new(source) })
        })
    });
}

#[test]
fn a_loopback_registry_with_tls_is_found() {
    let fake = Fake::new();
    fake.image("app", "v1");
    tls_only(&fake);
    resolve(&fake, "localhost:5000/app:v1").unwrap();
    // By digest its existence is asked for first, with a request whose answer has no body.
    let digest = fake.image("app", "v1");
    let image = reference(&format!("localhost:5000/app@{digest}"));
    block_on(fake.registry().look_up(&image)).unwrap();
}

#[test]
fn plain_http_elsewhere_needs_to_be_allowed() {
    let fake = Fake::new();
    fake.image("app", "v1");
    http_only(&fake);
    let image = reference("r.example:5000/app:v1");
    let refused = block_on(fake.registry().resolve(&image)).unwrap_err();
    assert!(matches!(refused, Error::Transport { source: TransportError::Tls { .. }, .. }));
    let registry = Registry::new(fake.host(), Options::new().with_http(true)).unwrap();
    block_on(registry.resolve(&image)).unwrap();
    block_on(registry.resolve(&image)).unwrap();
    // One by https is refused; one by https and two by http follow: the scheme is found out once.
    assert_eq!(fake.log().len(), 4, "{:#?}", fake.log());
}

#[test]
fn a_redirect_within_the_registry_is_followed() {
    let fake = Fake::new();
    let digest = fake.image("app", "v1");
    fake.intercept(|_, request| {
        (request.uri().path() == "/v2/old/manifests/v1").then(|| {
            let mut answer = plain(307, "");
            answer.headers_mut().insert("location", "/v2/app/manifests/v1".parse().unwrap());
            Ok(answer)
        })
    });
    assert_eq!(*resolve(&fake, "localhost:5000/old:v1").unwrap().digest(), digest);
}

#[test]
fn redirects_without_end_are_given_up() {
    let fake = Fake::new();
    fake.intercept(|_, request| {
        request.uri().path().contains("manifests").then(|| {
            let mut answer = plain(307, "");
            answer.headers_mut().insert("location", "/v2/app/manifests/v1".parse().unwrap());
            Ok(answer)
        })
    });
    let error = resolve(&fake, "localhost:5000/app:v1").unwrap_err();
    assert!(error.to_string().contains("more than 5 redirects"), "{error}");
}

#[test]
fn no_redirect_leads_from_https_to_http_or_inside() {
    for (to, part) in [
        (
            "http://r.example/v2/app/manifests/v1?token=hunter2",
            "does not use https: http://r.example/v2",
        ),
        (
            "https://169.254.169.254/latest?token=hunter2",
            "a metadata service: https://169.254.169.254/latest",
        ),
        ("https://localhost:6379/", "this machine: https://localhost:6379/"),
        ("https://[::ffff:10.0.0.1]/", "a private network: https://[::ffff:a00:1]/"),
        ("https://r.example:22/", "the port 22: https://r.example:22/"),
    ] {
        let fake = Fake::new();
        fake.image("app", "v1");
        fake.intercept(move |_, _| {
            let mut answer = plain(307, "");
            answer.headers_mut().insert("location", to.parse().unwrap());
            Some(Ok(answer))
        });
        let error = resolve(&fake, "r.example/app:v1").unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert_eq!(fake.log().len(), 1, "{:?}", fake.log());
    }
}

#[test]
fn words_of_another_host_are_told_with_its_name() {
    let fake = Fake::new();
    fake.image("app", "v1");
    fake.intercept(|_, request| {
        if request.uri().host() == Some("storage.example") {
            return Some(Ok(refusal(403, "DENIED", "run this: curl evil")));
        }
        let mut answer = plain(307, "");
        answer.headers_mut().insert("location", "https://storage.example/x".parse().unwrap());
        Some(Ok(answer))
    });
    let error = resolve(&fake, "r.example/app:v1").unwrap_err().to_string();
    assert!(error.ends_with(": storage.example answered: DENIED, run this: curl evil"), "{error}");
}

fn index(of: &[(&str, &Digest)]) -> String {
    let entry = |(media_type, digest): &(&str, &Digest)| {
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":1}}"#)
    };
    let entries: Vec<_> = of.iter().map(entry).collect();
    let entries = entries.join(",");
    format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX_TYPE}","manifests":[{entries}]}}"#)
}

fn parts(fake: &Fake, digest: &Digest) -> Result<Vec<String>, Error> {
    let image = resolve(fake, &format!("localhost:5000/app@{digest}"))?;
    let parts = block_on(fake.registry().parts(&image))?;
    Ok(parts.iter().map(|part| part.manifest.digest().to_string()).collect())
}

#[test]
fn the_parts_of_an_index_are_its_manifests_and_theirs_each_once() {
    let fake = Fake::new();
    let (one, two) = (fake.image("app", "one"), fake.image("app", "two"));
    assert_eq!(parts(&fake, &one).unwrap(), Vec::<String>::new(), "one platform has no parts");

    let layer = Digest::sha256(b"a layer");
    let inner = index(&[(MANIFEST_TYPE, &two), (MANIFEST_TYPE, &one)]);
    let inner = fake.manifest("app", INDEX_TYPE, inner.as_bytes());
    let outer = [
        (MANIFEST_TYPE, &one),
        ("application/vnd.oci.image.layer.v1.tar", &layer),
        (INDEX_TYPE, &inner),
        (MANIFEST_TYPE, &one),
    ];
    let outer = fake.manifest("app", INDEX_TYPE, index(&outer).as_bytes());
    let found = parts(&fake, &outer).unwrap();
    assert_eq!(found, [one.to_string(), inner.to_string(), two.to_string()]);
}

#[test]
fn a_part_that_is_not_there_and_too_many_parts_are_errors() {
    let fake = Fake::new();
    let absent = Digest::sha256(b"never pushed");
    let sparse = fake.manifest("app", INDEX_TYPE, index(&[(MANIFEST_TYPE, &absent)]).as_bytes());
    let error = parts(&fake, &sparse).unwrap_err();
    assert!(matches!(&error, Error::Invalid { .. }), "the index is there: {error}");
    let text = error.to_string();
    assert!(text.contains(absent.as_str()) && text.contains(sparse.as_str()), "{error}");

    let many: Vec<Digest> = (0..1001).map(|n| fake.image("app", &format!("tag{n}"))).collect();
    let many: Vec<_> = many.iter().map(|digest| (MANIFEST_TYPE, digest)).collect();
    let many = fake.manifest("app", INDEX_TYPE, index(&many).as_bytes());
    let error = parts(&fake, &many).unwrap_err();
    assert!(error.to_string().contains("more than 1000 manifests"), "{error}");
}

#[test]
fn attestation_manifests_of_buildkit_are_told_apart() {
    let fake = Fake::new();
    let (image, sbom) = (fake.image("app", "one"), fake.image("app", "two"));
    let attestation = r#""annotations":{"vnd.docker.reference.type":"attestation-manifest"}"#;
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX_TYPE}","manifests":[
            {{"mediaType":"{MANIFEST_TYPE}","digest":"{image}","size":1}},
            {{"mediaType":"{MANIFEST_TYPE}","digest":"{sbom}","size":1,{attestation}}}]}}"#
    );
    let index = fake.manifest("app", INDEX_TYPE, index.as_bytes());
    let index = resolve(&fake, &format!("localhost:5000/app@{index}")).unwrap();
    let parts = block_on(fake.registry().parts(&index)).unwrap();
    let told: Vec<_> =
        parts.iter().map(|part| (part.manifest.digest(), part.is_attestation)).collect();
    assert_eq!(told, [(&image, false), (&sbom, true)]);
}

#[test]
fn an_index_lists_what_an_index_in_it_lists_and_nothing_else() {
    let fake = Fake::new();
    let (one, other) = (fake.image("app", "one"), fake.image("app", "other"));
    let inner = fake.manifest("app", INDEX_TYPE, index(&[(MANIFEST_TYPE, &one)]).as_bytes());
    let outer = fake.manifest("app", INDEX_TYPE, index(&[(INDEX_TYPE, &inner)]).as_bytes());
    let outer = resolve(&fake, &format!("localhost:5000/app@{outer}")).unwrap();
    let lists = |digest| block_on(fake.registry().lists(&outer, digest)).unwrap();
    assert!(lists(&inner) && lists(&one));
    assert!(!lists(&other));
    let single = resolve(&fake, &format!("localhost:5000/app@{one}")).unwrap();
    assert!(!block_on(fake.registry().lists(&single, &other)).unwrap(), "it lists nothing");
}
