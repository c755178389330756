use std::collections::BTreeMap;
use std::sync::Arc;

use host::{NoPrograms, TransportError};
use oci_push::{Access, Credentials, Error, Options, Registry};

use crate::fake::{Auth, Fake};
use crate::helpers::{MANIFEST_TYPE, block_on, bundle, plain, reference, refusal};

/// `user:hunter2`
const PAIR: &str = "dXNlcjpodW50ZXIy";

fn with(fake: &Fake, credentials: Credentials) -> Registry {
    let options = Options::new()
        .with_credentials("localhost:5000", credentials.clone())
        .with_credentials("r.example", credentials);
    Registry::new(fake.host(), options).unwrap()
}

fn known(fake: &Fake) -> Registry {
    with(fake, Credentials::basic("user", "hunter2"))
}

fn bearer(anonymous_pull: bool) -> Auth {
    Auth::Bearer {
        realm: "http://localhost:5001/token",
        pair: Some(PAIR),
        identity: Some("refresh"),
        anonymous_pull,
    }
}

fn fake(auth: Auth) -> Fake {
    let fake = Fake::new();
    fake.image("app", "v1");
    fake.with(|state| state.auth = auth);
    fake
}

#[test]
fn a_public_image_is_read_with_an_anonymous_token() {
    let fake = fake(bearer(true));
    block_on(fake.registry().resolve(&reference("localhost:5000/app:v1"))).unwrap();
    let log = fake.log();
    assert_eq!(log[0], "GET localhost:5000 /v2/app/manifests/v1");
    assert_eq!(
        log[1],
        "GET localhost:5001 /token?service=fake&scope=repository%3Aapp%3Apull&client_id=ambisign"
    );
    assert_eq!(log[2], "GET localhost:5000 /v2/app/manifests/v1 [Bearer app:pull]");
}

#[test]
fn a_token_is_used_until_it_ends_and_pushing_needs_one_of_its_own() {
    let fake = fake(bearer(false));
    let registry = known(&fake);
    let image = reference("localhost:5000/app:v1");
    for _ in 0..3 {
        block_on(registry.resolve(&image)).unwrap();
    }
    let tokens = || fake.log().iter().filter(|line| line.contains("/token")).count();
    assert_eq!(tokens(), 1);
    block_on(registry.prove_push(&image)).unwrap();
    block_on(registry.prove_push(&image)).unwrap();
    assert_eq!(tokens(), 2);
    let to_service: Vec<String> =
        fake.log().into_iter().filter(|line| line.contains("/token")).collect();
    assert!(to_service.iter().all(|line| line.ends_with(&format!("[Basic {PAIR}]"))));
    assert!(to_service[1].contains("repository%3Aapp%3Apull%2Cpush"), "{to_service:?}");
}

#[test]
fn a_token_that_ends_at_once_is_still_good_for_one_request() {
    let fake = fake(bearer(true));
    fake.intercept(|_, request| {
        (request.uri().path() == "/token")
            .then(|| Ok(plain(200, r#"{"access_token":"app:pull","expires_in":1}"#)))
    });
    let registry = fake.registry();
    let image = reference("localhost:5000/app:v1");
    block_on(registry.resolve(&image)).unwrap();
    block_on(registry.resolve(&image)).unwrap();
    assert_eq!(fake.log().iter().filter(|line| line.contains("/token")).count(), 2);
}

#[test]
fn the_access_token_is_taken_before_the_token() {
    let fake = fake(bearer(true));
    fake.intercept(|_, request| {
        (request.uri().path() == "/token")
            .then(|| Ok(plain(200, r#"{"token":"x","access_token":"app:pull"}"#)))
    });
    block_on(fake.registry().resolve(&reference("localhost:5000/app:v1"))).unwrap();
}

#[test]
fn basic_credentials_are_sent_only_after_a_challenge_and_then_at_once() {
    let fake = fake(Auth::Basic { pair: PAIR });
    let registry = known(&fake);
    let image = reference("localhost:5000/app:v1");
    block_on(registry.resolve(&image)).unwrap();
    block_on(registry.resolve(&image)).unwrap();
    let requests: Vec<bool> = fake.log().iter().map(|line| line.contains("Basic")).collect();
    assert_eq!(requests, [false, true, true]);
}

#[test]
fn an_identity_token_is_exchanged_by_post() {
    let fake = fake(bearer(false));
    let registry = with(&fake, Credentials::IdentityToken("refresh".into()));
    block_on(registry.prove_push(&reference("localhost:5000/app:v1"))).unwrap();
    assert!(fake.log().iter().any(|line| line == "POST localhost:5001 /token"));
}

#[test]
fn a_token_service_that_knows_no_post_is_asked_by_get() {
    let fake = fake(Auth::Bearer {
        realm: "http://localhost:5001/token",
        // `<token>:refresh`
        pair: Some("PHRva2VuPjpyZWZyZXNo"),
        identity: None,
        anonymous_pull: false,
    });
    let registry = with(&fake, Credentials::basic("<token>", "refresh"));
    block_on(registry.prove_push(&reference("localhost:5000/app:v1"))).unwrap();
}

#[test]
fn a_registry_token_is_sent_as_it_is() {
    let fake = fake(bearer(false));
    let registry = with(&fake, Credentials::token("app:pull"));
    block_on(registry.resolve(&reference("localhost:5000/app:v1"))).unwrap();
    assert!(!fake.log().iter().any(|line| line.contains("/token")));
    let error = block_on(registry.prove_push(&reference("localhost:5000/app:v1"))).unwrap_err();
    assert!(matches!(error, Error::Denied { access: Access::Push, .. }), "{error}");
}

#[test]
fn wrong_and_missing_credentials_are_told_apart_and_never_shown() {
    let image = reference("localhost:5000/app:v1");
    for auth in [Auth::Basic { pair: PAIR }, bearer(false)] {
        let fake = fake(auth);
        let wrong = with(&fake, Credentials::basic("user", "secret-word"));
        let error = block_on(wrong.resolve(&image)).unwrap_err();
        assert!(matches!(error, Error::Unauthorized { access: Access::Pull, .. }), "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("given explicitly were refused"), "{text}");
        assert!(!text.contains("secret-word") && !text.contains("user:"), "{text}");

        let host = fake.host_with([("HOME", "/nowhere")], NoPrograms);
        let anonymous = Registry::new(host, Options::default()).unwrap();
        let error = block_on(anonymous.resolve(&image)).unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("no credentials found in /nowhere/.docker/config.json"), "{text}");
    }
}

#[test]
fn credentials_that_may_only_read_are_denied_the_push() {
    // The token service gives what it gives, and the registry then says what is missing.
    let fake = fake(bearer(true));
    fake.intercept(|_, request| {
        (request.uri().path() == "/token").then(|| Ok(plain(200, r#"{"token":"app:pull"}"#)))
    });
    let image = reference("localhost:5000/app:v1");
    let error = block_on(known(&fake).prove_push(&image)).unwrap_err();
    assert!(matches!(error, Error::Denied { access: Access::Push, .. }), "{error}");
    let error = block_on(fake.registry().prove_push(&image)).unwrap_err();
    assert!(matches!(error, Error::Unauthorized { access: Access::Push, .. }), "{error}");
    assert!(fake.log().len() < 20, "it does not ask for ever");
}

#[test]
fn refusals_to_push_say_why() {
    let image = reference("localhost:5000/app:v1");
    let prove = |status: u16, code: &'static str| {
        let fake = fake(Auth::None);
        fake.intercept(move |_, request| {
            request.uri().path().contains("uploads").then(|| Ok(refusal(status, code, "no")))
        });
        block_on(fake.registry().prove_push(&image)).unwrap_err()
    };
    assert!(matches!(prove(403, "DENIED"), Error::Denied { access: Access::Push, .. }));
    let read_only = prove(405, "UNSUPPORTED").to_string();
    assert!(
        read_only.contains("accepts no uploads") && read_only.contains("UNSUPPORTED"),
        "{read_only}"
    );
    let missing = prove(404, "NAME_UNKNOWN").to_string();
    assert!(missing.starts_with("the repository localhost:5000/app does not exist"), "{missing}");
    assert!(matches!(prove(500, "UNKNOWN"), Error::Answer { status: 500, .. }));
}

#[test]
fn the_proof_leaves_nothing_behind() {
    let fake = fake(Auth::None);
    block_on(fake.registry().prove_push(&reference("localhost:5000/app:v1"))).unwrap();
    assert_eq!(
        fake.log(),
        [
            "POST localhost:5000 /v2/app/blobs/uploads/",
            "DELETE localhost:5000 /v2/app/blobs/uploads/1?_state=a%2Fb",
        ]
    );
}

#[test]
fn a_registry_that_cannot_cancel_is_no_obstacle() {
    let fake = fake(Auth::None);
    fake.intercept(|_, request| (request.method() == "DELETE").then(|| Ok(plain(500, ""))));
    block_on(fake.registry().prove_push(&reference("localhost:5000/app:v1"))).unwrap();
}

#[test]
fn a_token_service_inside_gets_no_credentials_from_a_registry_outside() {
    for realm in [
        "http://r.example/token",
        "https://127.0.0.1/token",
        "https://169.254.169.254/",
        "https://metadata.google.internal/",
    ] {
        let fake =
            fake(Auth::Bearer { realm, pair: Some(PAIR), identity: None, anonymous_pull: true });
        let error = block_on(known(&fake).resolve(&reference("r.example/app:v1"))).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        assert_eq!(fake.log(), ["GET r.example /v2/app/manifests/v1"]);
    }
}

#[test]
fn a_challenge_for_other_repositories_gets_a_token_for_ours_only() {
    let fake = fake(bearer(true));
    fake.intercept(|_, request| {
        let known = request.headers().contains_key("authorization");
        (request.uri().path().contains("/manifests/") && !known).then(|| {
            let mut answer = plain(401, "");
            let challenge = concat!(
                r#"Bearer realm="http://localhost:5001/token",service="fake","#,
                r#"scope="repository:secret:pull,push repository:app:pull,delete registry:catalog:*""#
            );
            answer.headers_mut().insert("www-authenticate", challenge.parse().unwrap());
            Ok(answer)
        })
    });
    block_on(known(&fake).resolve(&reference("localhost:5000/app:v1"))).unwrap();
    let asked: Vec<String> =
        fake.log().into_iter().filter(|line| line.contains("/token")).collect();
    let expected = format!(
        "GET localhost:5001 /token?service=fake&scope=repository%3Aapp%3Apull&client_id=ambisign [Basic {PAIR}]"
    );
    assert_eq!(asked, [expected]);
}

#[test]
fn explicit_credentials_go_to_the_registry_they_are_for_and_to_no_other() {
    for auth in [Auth::Basic { pair: PAIR }, bearer(false)] {
        for credentials in [Credentials::basic("user", "hunter2"), Credentials::token("hunter2")] {
            let fake = fake(auth.clone());
            let options = Options::new().with_credentials("r.example", credentials);
            let registry = Registry::new(fake.host(), options).unwrap();
            let error =
                block_on(registry.resolve(&reference("localhost:5000/app:v1"))).unwrap_err();
            assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
            let sent = fake.log().into_iter().any(|line| line.contains('['));
            assert!(!sent, "{:?}", fake.log());
        }
    }
}

#[test]
fn a_token_for_one_registry_is_not_sent_to_another() {
    let fake = fake(bearer(true));
    let registry = fake.registry();
    for image in ["localhost:5000/app:v1", "localhost:5002/app:v1"] {
        block_on(registry.resolve(&reference(image))).unwrap();
    }
    let first = |host: &str| {
        fake.log().into_iter().find(|line| line.contains(&format!("{host} /v2/app/"))).unwrap()
    };
    assert!(!first("localhost:5002").contains("Bearer"), "{:?}", fake.log());
}

#[test]
fn a_throttled_token_service_is_throttling() {
    let fake = fake(bearer(true));
    fake.intercept(|_, request| (request.uri().path() == "/token").then(|| Ok(plain(429, ""))));
    let error = block_on(fake.registry().resolve(&reference("localhost:5000/app:v1"))).unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }), "{error}");
}

#[test]
fn a_token_service_that_is_not_there_says_nothing_about_the_image() {
    let image = reference("localhost:5000/app:v1");
    let missing = fake(bearer(true));
    missing.intercept(|_, request| {
        (request.uri().path() == "/token").then(|| Ok(plain(404, "404 page not found")))
    });
    let error = block_on(known(&missing).resolve(&image)).unwrap_err();
    assert!(matches!(error, Error::Answer { status: 404, .. }), "{error}");
    assert!(error.to_string().starts_with("the request for a token, POST http://localhost:5001/"));

    // The registry speaks http, as it has just shown: the error must be about the token service.
    let down = fake(bearer(true));
    down.intercept(|_, request| {
        let url = request.uri().to_string();
        let source: Arc<dyn std::error::Error + Send + Sync> = Arc::new(std::fmt::Error);
        match (request.uri().scheme_str(), request.uri().path()) {
            (_, "/token") => Some(Err(TransportError::Connect { url, source })),
            (Some("https"), _) => Some(Err(TransportError::Tls { url, source })),
            _ => None,
        }
    });
    let error = block_on(known(&down).resolve(&image)).unwrap_err();
    let Error::Transport { source: TransportError::Connect { url, .. }, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(url.starts_with("http://localhost:5001/token"), "{url}");
}

#[test]
fn a_token_answer_without_a_token_is_refused() {
    for body in ["", "[]", "{}", r#"{"token":""}"#, r#"{"token":"a\nb"}"#] {
        let fake = fake(bearer(true));
        fake.intercept(move |_, request| {
            (request.uri().path() == "/token").then(|| Ok(plain(200, body)))
        });
        let error =
            block_on(fake.registry().resolve(&reference("localhost:5000/app:v1"))).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{body}: {error}");
    }
}

#[test]
fn a_download_redirected_elsewhere_carries_no_credentials() {
    let fake = fake(bearer(true));
    let digest = fake.image("app", "v1");
    fake.intercept(|state, request| {
        let path = request.uri().path();
        if request.uri().host() == Some("storage.example") {
            assert!(request.headers().get("authorization").is_none());
            let app = &state.repositories["app"];
            let (_, bytes) = &app.manifests[&app.tags["v1"]];
            let mut answer = http::Response::new(bytes.clone());
            answer.headers_mut().insert("content-type", MANIFEST_TYPE.parse().unwrap());
            return Some(Ok(answer));
        }
        (path.contains("manifests") && request.headers().contains_key("authorization")).then(|| {
            let mut answer = plain(307, "");
            let to = "https://storage.example/x?signature=y";
            answer.headers_mut().insert("location", to.parse().unwrap());
            Ok(answer)
        })
    });
    let resolved = block_on(known(&fake).manifest(&reference("localhost:5000/app:v1"))).unwrap().0;
    assert_eq!(*resolved.digest(), digest);
    assert!(fake.log().iter().any(|line| line.contains("storage.example")));
}

#[test]
fn a_server_elsewhere_that_asks_who_we_are_gets_an_anonymous_token_only() {
    let fake = fake(bearer(false));
    fake.intercept(|state, request| {
        let host = request.uri().host();
        let sent = request.headers().get("authorization").map(|value| value.to_str().unwrap());
        if host == Some("mirror.example") {
            if sent == Some("Bearer for-anyone") {
                let app = &state.repositories["app"];
                let (_, bytes) = &app.manifests[&app.tags["v1"]];
                let mut answer = http::Response::new(bytes.clone());
                answer.headers_mut().insert("content-type", MANIFEST_TYPE.parse().unwrap());
                return Some(Ok(answer));
            }
            assert_eq!(sent, None);
            let mut answer = plain(401, "");
            let challenge =
                r#"Bearer realm="https://mirror.example/get",scope="repository:m:pull""#;
            answer.headers_mut().insert("www-authenticate", challenge.parse().unwrap());
            if request.uri().path() == "/get" {
                return Some(Ok(plain(200, r#"{"token":"for-anyone"}"#)));
            }
            return Some(Ok(answer));
        }
        (request.uri().path().contains("manifests") && sent.is_some()).then(|| {
            let mut answer = plain(307, "");
            let to = "https://mirror.example/v2/m/manifests/v1";
            answer.headers_mut().insert("location", to.parse().unwrap());
            Ok(answer)
        })
    });
    block_on(known(&fake).manifest(&reference("localhost:5000/app:v1"))).unwrap();
}

/// Images in repositories of their own, signed one after another: how many requests each cost, how
/// many of them were refused, and how many asked for a token.
fn cost(fake: &Fake, registry: &Registry, repositories: &[&str]) -> Vec<[usize; 3]> {
    let cost = |name: &&str| {
        let before = fake.log().len();
        fake.image(name, "v1");
        block_on(async {
            let image = reference(&format!("localhost:5000/{name}:v1"));
            let image = registry.prepare(&image).await.unwrap();
            registry.attach(&image, bundle(name).as_bytes(), &BTreeMap::new()).await.unwrap();
        });
        let log = fake.log().split_off(before);
        let tokens = log.iter().filter(|line| line.contains(" /token")).count();
        let sent = log.iter().filter(|line| line.contains('[')).count();
        [log.len(), log.len() - sent, tokens]
    };
    repositories.iter().map(cost).collect()
}

#[test]
fn a_challenge_is_remembered_so_that_later_repositories_cost_a_token_and_no_refusal() {
    for (auth, first, later) in
        [(Auth::Basic { pair: PAIR }, [9, 1, 0], [5, 0, 0]), (bearer(false), [10, 1, 1], [7, 0, 1])]
    {
        let fake = fake(auth);
        let costs = cost(&fake, &known(&fake), &["one", "two", "three"]);
        assert_eq!(costs, [first, later, later], "{:#?}", fake.log());
    }
}

#[test]
fn a_repository_that_anyone_may_read_is_read_although_the_token_service_refuses_it() {
    let fake = fake(bearer(false));
    fake.image("open", "v1");
    fake.intercept(|state, request| {
        let path = request.uri().path();
        if path == "/token" {
            let ours = request.uri().query().unwrap().contains("repository%3Aapp");
            return (!ours).then(|| Ok(refusal(400, "UNKNOWN", "no such scope")));
        }
        let open = path.starts_with("/v2/open/manifests/");
        let (_, bytes) = state.repositories["open"].manifests.first_key_value().unwrap().1;
        let mut answer = http::Response::new(bytes.clone());
        answer.headers_mut().insert("content-type", MANIFEST_TYPE.parse().unwrap());
        open.then_some(Ok(answer))
    });
    let registry = known(&fake);
    for image in ["app", "open"] {
        let image = reference(&format!("localhost:5000/{image}:v1"));
        block_on(registry.resolve(&image)).unwrap();
    }
}

#[test]
fn an_image_that_may_be_read_and_not_signed_is_looked_for_all_the_same() {
    let fake = fake(bearer(true));
    fake.intercept(|_, request| {
        let query = request.uri().query().unwrap_or_default();
        let push = request.uri().path() == "/token" && query.contains("push");
        push.then(|| Ok(refusal(403, "DENIED", "only pull")))
    });
    let registry = known(&fake);
    let error = block_on(registry.prepare(&reference("localhost:5000/app:v1"))).unwrap_err();
    assert!(matches!(error, Error::Denied { access: Access::Push, .. }), "{error}");
    let error = block_on(registry.prepare(&reference("localhost:5000/app:v2"))).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}
