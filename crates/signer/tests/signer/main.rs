//! What a signer refuses before it asks, and what a session asks before it refuses.
//!
//! What comes of the ceremony is tested with the program, in its integration tests.

#![expect(clippy::disallowed_methods, reason = "the sandbox runs at the real time")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod hostile;
mod keys;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ambisign_signer as signer;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use host::{Answer, BoxFuture, CallPolicy, Clock, Transport, TransportError};
use hostile::ChangedNetwork;
use http::{Request, Response};
use http_client::{HttpClient, Settings};
use id_token::{Absence, Audience, Broken, Found, IdToken, Outcome, TokenSource};
use rekor_client::ApiVersion;
use signer::{Error, Event, FileDigest, Log, Services, Session, Signer};
use trust_root::{SigningConfig, TrustedRoot};
use url::Url;

#[test]
fn a_v2_log_without_a_timestamp_authority_is_refused_before_anything_is_asked() {
    let error = signer(&[ApiVersion::V2], false).unwrap_err();
    let Error::Unverifiable { reason } = error else { panic!("{error}") };
    assert!(reason.contains("Rekor v2"), "{reason}");
}

#[test]
fn neither_log_nor_timestamp_authority_is_refused() {
    let error = signer(&[], false).unwrap_err();
    let Error::Unverifiable { reason } = error else { panic!("{error}") };
    assert!(reason.contains("neither"), "{reason}");
}

#[test]
fn one_source_of_time_is_enough() {
    signer(&[ApiVersion::V1], false).unwrap();
    signer(&[ApiVersion::V2], true).unwrap();
    signer(&[ApiVersion::V1, ApiVersion::V2], false).unwrap();
    signer(&[], true).unwrap();
}

#[test]
fn a_root_that_knows_no_authority_is_refused() {
    let root = TrustedRoot::new(Vec::new(), Vec::new(), Vec::new(), Vec::new()).unwrap();
    let services = services(&[ApiVersion::V1], true);
    let http = Arc::new(|_: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        panic!("nothing may be asked")
    });
    let error = Signer::new(services, Arc::new(root), http, Arc::new(now())).unwrap_err();
    assert!(matches!(error, Error::Unverifiable { .. }), "{error}");
}

#[test]
fn the_public_good_config_selects_its_services() {
    let now = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let services = Services::select(&SigningConfig::public_good(), now).unwrap();
    let fulcio = services.fulcio.as_ref().map(Url::as_str);
    assert_eq!(fulcio, Some("https://fulcio.sigstore.dev/"));
    assert_eq!(services.logs.len(), 1);
    assert_eq!(services.timestamp_authorities.len(), 1);
}

#[test]
fn without_an_identity_no_service_is_asked() {
    let asked = Asked::default();
    let absent = || Outcome::Absent(Absence::new("NOTHING is not set"));
    let error = fails(&asked, absent);
    assert!(
        matches!(&error, Error::IdentityMissing { provider, .. } if provider == "test"),
        "{error}"
    );
    let broken = || Outcome::Broken(Broken::new("", "no permission"));
    let error = fails(&asked, broken);
    assert!(matches!(error, Error::IdentityBroken { .. }), "{error}");
    assert!(asked.paths().is_empty());
}

#[test]
fn an_expired_token_is_not_sent() {
    let asked = Asked::default();
    let error = fails(&asked, || here(r#"{"iss":"https://i","sub":"s","aud":"sigstore","exp":1}"#));
    assert!(matches!(error, Error::Preflight { .. }), "{error}");
    assert!(asked.paths().iter().all(|path| path.ends_with("/configuration")), "{asked:?}");
}

#[test]
fn a_token_for_another_audience_is_not_sent() {
    let asked = Asked::default();
    let error = fails(&asked, || here(r#"{"iss":"https://i","sub":"s","aud":"x","exp":9e9}"#));
    assert!(matches!(error, Error::Preflight { .. }), "{error}");
    assert!(asked.paths().iter().all(|path| path.ends_with("/configuration")), "{asked:?}");
}

#[test]
fn a_certificate_authority_that_refuses_is_named_and_nothing_is_logged() {
    let asked = Asked::default();
    let error = fails(&asked, || {
        here(
            r#"{"iss":"https://i","sub":"s","email":"a@b","email_verified":true,"aud":"sigstore","exp":9e9}"#,
        )
    });
    let Error::Certificate { url, .. } = &error else { panic!("{error}") };
    assert_eq!(url, "https://fulcio.test/");
    assert!(!asked.paths().iter().any(|path| path.ends_with("/log/entries")), "{asked:?}");
}

#[test]
fn the_listener_hears_what_is_being_asked() {
    let heard = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&heard);
    let signer = signer(&[ApiVersion::V1], true).unwrap();
    let signer = signer.with_listener(Arc::new(move |event| {
        if matches!(event, Event::Looking { provider: "test" }) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let source = Source(Box::new(|| Outcome::Absent(Absence::new(String::new()))));
    block_on(Session::new(signer, Arc::new(source)).prepare()).unwrap_err();
    assert_eq!(heard.load(Ordering::Relaxed), 1);
}

#[test]
fn a_session_asks_for_one_certificate_however_many_sign_at_once_and_for_another_near_its_end() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock(Mutex::new(SystemTime::now())));
    let mut config = sandbox::Config::new(directory.path());
    config.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    runtime.block_on(async {
        let sandbox = Arc::new(sandbox::Sandbox::start(config).await.unwrap());
        let read = |path: std::path::PathBuf| std::fs::read(path).unwrap();
        let root = TrustedRoot::from_json(&read(sandbox.trusted_root())).unwrap();
        let config = read(sandbox.signing_config(sandbox::RekorVersion::V1));
        let config = SigningConfig::from_json(&config).unwrap();
        let services = Services::select(&config, clock.now()).unwrap();
        // The services' clock is set by hand, and their answers have the `Date` of another.
        let http = Arc::new(Undated(HttpClient::new(&Settings::new())));
        let certified = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&certified);
        let hand = Arc::clone(&clock) as Arc<dyn Clock>;
        let signer = Signer::new(services, Arc::new(root), http, hand).unwrap();
        let signer = signer.with_listener(Arc::new(move |event| {
            if matches!(event, Event::Certified { .. }) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let source = Source(Box::new(move || {
            let token = IdToken::parse(&sandbox.email_token("jane@example.org").unwrap()).unwrap();
            Outcome::Found(Found::new(token, "test"))
        }));
        let session = Arc::new(Session::new(signer, Arc::new(source)));

        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..20_u8 {
            let session = Arc::clone(&session);
            tasks.spawn(async move { session.sign_file(&file(&[number])).await });
        }
        for signed in tasks.join_all().await {
            assert_eq!(signed.unwrap().by(), "as jane@example.org");
        }
        assert_eq!(certified.load(Ordering::Relaxed), 1);

        clock.advance(Duration::from_secs(8 * 60));
        session.sign_file(&file(b"still")).await.unwrap();
        assert_eq!(certified.load(Ordering::Relaxed), 1);
        clock.advance(Duration::from_secs(60));
        session.sign_file(&file(b"renewed")).await.unwrap();
        assert_eq!(certified.load(Ordering::Relaxed), 2);
    });
}

/// Signs a file as Jane on a sandbox with Rekor v1, believing the root that `change` makes of its
/// own, over the network that `between` makes of the real one.
fn with_sandbox(
    change: impl FnOnce(&mut serde_json::Value),
    between: impl FnOnce(HttpClient, &sandbox::Running) -> ChangedNetwork,
) -> Result<signer::Signed, Error> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let sandbox = sandbox::Sandbox::start(sandbox::Config::new(directory.path()));
        let sandbox = sandbox.await.unwrap();
        let read = |path: std::path::PathBuf| std::fs::read(path).unwrap();
        let mut root = serde_json::from_slice(&read(sandbox.trusted_root())).unwrap();
        change(&mut root);
        let root = TrustedRoot::from_json(root.to_string().as_bytes()).unwrap();
        let config = read(sandbox.signing_config(sandbox::RekorVersion::V1));
        let config = SigningConfig::from_json(&config).unwrap();
        let clock = Arc::new(http_client::SystemClock);
        let services = Services::select(&config, clock.now()).unwrap();
        let network = Arc::new(between(HttpClient::new(&Settings::new()), &sandbox));
        let signer = Signer::new(services, Arc::new(root), network, clock)?;
        let token = user_token(&sandbox, "jane");
        let source = Source(Box::new(move || {
            Outcome::Found(Found::new(IdToken::parse(&token).unwrap(), "test"))
        }));
        Session::new(signer, Arc::new(source)).sign_file(&file(b"a file")).await
    })
}

/// A token whose certificate is certain: the subject, at the domain of the issuer.
fn user_token(sandbox: &sandbox::Running, name: &str) -> String {
    let claims = serde_json::json!({ "sub": format!("http://localhost/{name}") });
    sandbox.token("uri", claims.as_object().unwrap()).unwrap()
}

#[test]
fn a_certificate_of_another_identity_is_refused_before_anything_is_logged() {
    let logged = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&logged);
    let signed = with_sandbox(
        |_| (),
        |http, sandbox| ChangedNetwork {
            http,
            logged: count,
            token: Some(user_token(sandbox, "mallory")),
            change: None,
        },
    );
    let Err(Error::Untrusted(reason)) = signed else { panic!("{signed:?}") };
    let reason = reason.to_string();
    assert!(reason.contains("/mallory") && reason.contains("/jane"), "{reason}");
    assert_eq!(logged.load(Ordering::Relaxed), 0);
}

#[test]
fn a_root_without_the_timestamp_authority_in_use_fails_before_anything_is_logged() {
    let logged = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&logged);
    let other = TrustedRoot::public_good().to_json();
    let other: serde_json::Value = serde_json::from_str(&other).unwrap();
    let signed = with_sandbox(
        |root| root["timestampAuthorities"] = other["timestampAuthorities"].clone(),
        |http, _| ChangedNetwork { http, logged: count, token: None, change: None },
    );
    assert!(matches!(signed, Err(Error::Untrusted(_))), "{signed:?}");
    assert_eq!(logged.load(Ordering::Relaxed), 0);
}

#[test]
fn a_root_without_the_log_in_use_fails_before_anything_is_logged() {
    let logged = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&logged);
    let other = TrustedRoot::public_good().to_json();
    let other: serde_json::Value = serde_json::from_str(&other).unwrap();
    let signed = with_sandbox(
        |root| root["tlogs"] = other["tlogs"].clone(),
        |http, _| ChangedNetwork { http, logged: count, token: None, change: None },
    );
    let Err(Error::Untrusted(reason)) = signed else { panic!("{signed:?}") };
    assert!(reason.to_string().contains("does not know the transparency log"), "{reason}");
    assert_eq!(logged.load(Ordering::Relaxed), 0);
}

#[test]
fn a_log_that_is_reached_by_another_url_is_known_by_its_key() {
    let signed = with_sandbox(
        |root| {
            root["tlogs"].as_array_mut().unwrap().truncate(1);
            root["tlogs"][0]["baseUrl"] = "https://rekor.internal.example".into();
        },
        |http, _| ChangedNetwork { http, logged: Arc::default(), token: None, change: None },
    );
    signed.unwrap();
}

/// A network whose answers have no `Date`.
struct Undated(HttpClient);

impl Transport for Undated {
    fn send(&self, request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        let answer = self.0.send(request, policy);
        Box::pin(async move {
            let mut answer = answer.await?;
            answer.headers_mut().remove(http::header::DATE);
            Ok(answer)
        })
    }
}

/// A clock that is set by hand.
struct ManualClock(Mutex<SystemTime>);

impl ManualClock {
    fn advance(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Signs with the identity `find` finds, on services that answer 404 to everything.
fn fails(asked: &Asked, find: impl Fn() -> Outcome + Send + Sync + 'static) -> Error {
    let paths = Arc::clone(&asked.0);
    let http = move |request: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        paths.lock().unwrap().push(request.uri().path().to_owned());
        Ok(Response::builder().status(404).body(Bytes::new()).unwrap())
    };
    let services = services(&[ApiVersion::V1], true);
    let root = Arc::new(TrustedRoot::public_good());
    let signer = Signer::new(services, root, Arc::new(http), Arc::new(now())).unwrap();
    let session = Session::new(signer, Arc::new(Source(Box::new(find))));
    block_on(session.sign_file(&file(b"x"))).unwrap_err()
}

fn signer(logs: &[ApiVersion], stamped: bool) -> Result<Signer, Error> {
    let http = |_: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        panic!("nothing may be asked")
    };
    let root = Arc::new(TrustedRoot::public_good());
    Signer::new(services(logs, stamped), root, Arc::new(http), Arc::new(now()))
}

fn services(logs: &[ApiVersion], stamped: bool) -> Services {
    let url = |text: &str| Url::parse(text).unwrap();
    let logs = logs.iter().map(|version| Log { url: url("https://log.test"), version: *version });
    let stamps = stamped.then(|| url("https://tsa.test/api/v1/timestamp"));
    Services {
        fulcio: Some(url("https://fulcio.test")),
        logs: logs.collect(),
        spare_logs: Vec::new(),
        timestamp_authorities: stamps.into_iter().collect(),
    }
}

fn here(claims: &str) -> Outcome {
    let [header, claims] = [r#"{"alg":"RS256"}"#, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let token = IdToken::parse(&format!("{header}.{claims}.AAAA")).unwrap();
    Outcome::Found(Found::new(token, "test"))
}

fn file(content: &[u8]) -> FileDigest {
    FileDigest::of(content).unwrap()
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the fakes answer at once"),
    }
}

#[derive(Debug, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn paths(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

struct Source(Box<dyn Fn() -> Outcome + Send + Sync>);

impl TokenSource for Source {
    fn name(&self) -> &str {
        "test"
    }

    fn find<'a>(&'a self, _: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(std::future::ready((self.0)()))
    }
}
