//! Issuers and browsers that say what they should not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use host::{Answer, CallPolicy, Transport};
use http::{Method, Request, Response};
use oidc_interactive::{Error, Flow};
use sandbox::{LoginPage, Sandbox};
use serde_json::{Value, json};

use crate::fake::{Browser, FakeUser, fetch, location, whole};
use crate::flows::Setup;

type Change = dyn Fn(&mut Value) + Send + Sync;

/// The sandbox's issuer, with one of its answers changed.
struct Changed {
    sandbox: Arc<Sandbox>,
    path: &'static str,
    change: Box<Change>,
    asked: AtomicUsize,
}

impl Transport for Changed {
    fn send(&self, request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        let is_changed = request.uri().path().ends_with(self.path);
        let answer = self.sandbox.send(request, policy);
        Box::pin(async move {
            let mut answer = answer.await?;
            if is_changed {
                self.asked.fetch_add(1, Ordering::Relaxed);
                let mut document = serde_json::from_slice(answer.body()).unwrap_or_default();
                (self.change)(&mut document);
                if let Some(status) = document.as_object_mut().and_then(|it| it.remove("STATUS")) {
                    let status = u16::try_from(status.as_u64().unwrap()).unwrap();
                    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
                }
                *answer.body_mut() = document.to_string().into();
            }
            Ok(answer)
        })
    }
}

fn changed(
    setup: &Setup,
    path: &'static str,
    change: impl Fn(&mut Value) + Send + Sync + 'static,
) -> Arc<Changed> {
    let sandbox = Arc::clone(&setup.sandbox);
    Arc::new(Changed { sandbox, path, change: Box::new(change), asked: AtomicUsize::new(0) })
}

const DISCOVERY: &str = "/.well-known/openid-configuration";
const DEVICE: &str = "/device/code";
const TOKEN: &str = "/token";
const KEYS: &str = "/keys";

fn put(name: &'static str, value: Value) -> Box<Change> {
    Box::new(move |document| document[name] = value.clone())
}

/// A short error in a line.
fn refused(name: &str, error: &Error, words: &str) {
    let text = whole(error);
    assert!(text.contains(words), "{name}: {text} lacks {words}");
    assert!(text.len() < 1000 && !text.chars().any(host::is_unsafe), "{name}: {text:?}");
}

#[test]
fn a_document_that_an_issuer_should_not_send_is_refused_in_a_line() {
    let long = format!("https://localhost/{}", "x".repeat(3000));
    let many: Vec<String> = (0..5000).map(|number| format!("\u{1b}X{number}")).collect();
    let tries: [(&str, &'static str, Box<Change>, &str); 17] = [
        (
            "a browser's URL of 3,000 characters",
            DISCOVERY,
            put("authorization_endpoint", json!(long)),
            "authorization_endpoint",
        ),
        (
            "a URL with a user",
            DISCOVERY,
            put("token_endpoint", json!("http://known@localhost/")),
            "token_endpoint",
        ),
        ("a URL without a host", DISCOVERY, put("jwks_uri", json!("http:///keys")), "jwks_uri"),
        (
            "a file as the key set",
            DISCOVERY,
            put("jwks_uri", json!("file:///etc/passwd")),
            "jwks_uri",
        ),
        ("a list as the issuer", DISCOVERY, put("issuer", json!(["a"])), "expected the issuer"),
        (
            "a number as the endpoint",
            DISCOVERY,
            put("token_endpoint", json!(7)),
            "no token_endpoint",
        ),
        (
            "5,000 algorithms",
            DISCOVERY,
            put("id_token_signing_alg_values_supported", json!(many)),
            "\\u{1b}X0",
        ),
        (
            "no algorithm",
            DISCOVERY,
            put("id_token_signing_alg_values_supported", json!([])),
            "expected an algorithm of",
        ),
        (
            "a list as the document",
            DISCOVERY,
            Box::new(|it| *it = json!(["\u{1b}[2J"])),
            "expected a JSON object",
        ),
        (
            "a document nested 10,000 deep",
            DISCOVERY,
            Box::new(|it| *it = json!("[".repeat(10_000))),
            "expected a JSON object",
        ),
        ("a number as the token", TOKEN, put("id_token", json!(1)), "no id_token"),
        (
            "a token of 100 kB",
            TOKEN,
            put("id_token", json!("e".repeat(100_000))),
            "cannot be trusted",
        ),
        (
            "a token of controls",
            TOKEN,
            put("id_token", json!("\u{1b}.\u{202e}.x")),
            "cannot be trusted",
        ),
        ("another access token", TOKEN, put("access_token", json!("other")), "at_hash"),
        ("a key set without keys", KEYS, put("keys", json!([])), "has no key"),
        (
            "keys that are numbers",
            KEYS,
            put("keys", json!([1, null, "x", {"kty": 1}])),
            "has no key",
        ),
        (
            "an error of 64 kB",
            TOKEN,
            Box::new(|it| *it = json!({ "STATUS": 400, "error": "\u{202e}".repeat(30_000) })),
            "answered with an error",
        ),
    ];
    for (name, path, change, words) in tries {
        let setup = Setup::direct(&[]);
        let network = changed(&setup, path, change);
        let error = setup.log_in_through(network, &setup.browser(), &FakeUser::default());
        refused(name, &error.expect_err(name), words);
    }
}

#[test]
fn keys_that_share_an_id_are_each_tried() {
    let setup = Setup::direct(&[]);
    let network = changed(&setup, KEYS, |document| {
        let right = document["keys"][0].clone();
        // RFC 7515 appendix A.3.
        let wrong = json!({
            "kty": "EC", "crv": "P-256", "kid": right["kid"],
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        });
        document["keys"] = json!([wrong, right]);
    });
    setup.log_in_through(network, &setup.browser(), &FakeUser::default()).unwrap();
}

#[test]
fn a_page_for_a_device_that_misleads_or_floods_is_not_shown() {
    for url in [
        "http://accounts.known.example@localhost/device".to_owned(),
        "http://:secret@localhost/device".to_owned(),
        format!("http://localhost/{}", "x".repeat(3000)),
        "javascript:alert(1)".to_owned(),
        "file:///etc/passwd".to_owned(),
        "\u{1b}[2J".to_owned(),
        String::new(),
    ] {
        let mut setup = Setup::direct(&[]);
        setup.login = setup.login.with_flow(Flow::Device);
        let network = changed(&setup, DEVICE, put("verification_uri", json!(url)));
        let user = FakeUser::default();
        let error = setup.log_in_through(network, &Browser::none(), &user).unwrap_err();
        refused(&url, &error, "verification_uri");
        assert!(user.told.lock().unwrap().is_empty(), "{url}");
        // The other page is an offer only.
        let network = changed(&setup, DEVICE, put("verification_uri_complete", json!(url)));
        setup.log_in_through(network, &Browser::none(), &user).unwrap();
        assert!(user.was_told("complete_url: None"), "{url}");
    }
}

/// Whatever an issuer answers to the questions of a device, they are few and end with the deadline.
#[test]
fn a_device_asks_an_issuer_that_never_decides_a_bounded_number_of_times() {
    let error = |status: u16, error: &'static str| -> Box<Change> {
        Box::new(move |it| *it = json!({ "STATUS": status, "error": error }))
    };
    let tries: [(&str, Value, Box<Change>, usize); 8] = [
        ("slow down, always", json!(5), error(400, "slow_down"), 11),
        ("pending, without a pause", json!(0.000_001), error(400, "authorization_pending"), 301),
        ("pending, with a pause before zero", json!(-1), error(400, "authorization_pending"), 61),
        ("pending, with a pause of text", json!("1"), error(400, "authorization_pending"), 61),
        (
            "pending, with a pause of 10^300 s",
            json!(1e300),
            error(400, "authorization_pending"),
            61,
        ),
        ("pending, with a pause of years", json!(1e9), error(400, "authorization_pending"), 1),
        ("too many requests, always", json!(1), error(429, "slow_down"), 12),
        ("in trouble, always", json!(1), error(503, "authorization_pending"), 12),
    ];
    for (name, interval, answer, most) in tries {
        let mut setup = Setup::new(LoginPage::Form, &[]);
        setup.login = setup.login.with_flow(Flow::Device);
        let sandbox = Arc::clone(&setup.sandbox);
        let grant = changed(&setup, DEVICE, put("interval", interval));
        let polls = Arc::new(Polls { grant, answer, sandbox, asked: AtomicUsize::new(0) });
        let network = Arc::clone(&polls) as Arc<dyn Transport>;
        let outcome = setup.log_in_through(network, &Browser::none(), &FakeUser::default());
        assert!(matches!(outcome, Err(Error::Deadline { .. })), "{name}: {outcome:?}");
        let asked = polls.asked.load(Ordering::Relaxed);
        assert!(asked <= most, "{name}: asked {asked} times");
        let slept: u64 = setup.clock.slept.lock().unwrap().iter().sum();
        assert!(slept <= 300, "{name}: waited for {slept} s");
    }
}

/// An issuer that gives `grant` and then answers every question with `answer`.
struct Polls {
    grant: Arc<Changed>,
    answer: Box<Change>,
    sandbox: Arc<Sandbox>,
    asked: AtomicUsize,
}

impl Transport for Polls {
    fn send(&self, request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        if request.uri().path().ends_with(DEVICE) {
            return self.grant.send(request, policy);
        }
        if !request.uri().path().ends_with(TOKEN) {
            return self.sandbox.send(request, policy);
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut document = Value::Null;
        (self.answer)(&mut document);
        let status = u16::try_from(document["STATUS"].as_u64().unwrap()).unwrap();
        let answer = Response::builder().status(status).body(document.to_string().into());
        Box::pin(std::future::ready(Ok(answer.unwrap())))
    }
}

/// Thousands of wrong answers to the port of the login, then the right one.
#[test]
fn a_flood_of_wrong_returns_does_not_end_the_login_or_show_what_it_says() {
    let setup = Setup::direct(&[]);
    let sandbox = Arc::clone(&setup.sandbox);
    let browser = Browser::new(move |browser, url| {
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let (half, rest) = state.split_at(state.len() / 2);
        for query in [
            format!("code=c&state={half}"),
            format!("code=c&state={state}x"),
            format!("code=c&state={}", state.to_ascii_uppercase()),
            format!("code=c&state={half}%00{rest}"),
            format!("code=c&state={half}&state={rest}"),
            format!("code=c&STATE={state}"),
            format!("code=c&code=d&state={state}"),
            format!("code={}&state=x", "c".repeat(20_000)),
            "code=<script>&state=<script>".to_owned(),
        ] {
            for _ in 0..300 {
                browser.come_back(&format!("http://localhost:45141/auth/callback?{query}"));
            }
        }
        for path in
            ["/auth/callback/", "//auth/callback", "/auth/../auth/callbacks", "/AUTH/callback"]
        {
            browser.come_back(&format!("http://localhost:45141{path}?code=c&state={state}"));
        }
        let answer = fetch(&*sandbox, &Method::GET, url.as_str(), &[]).unwrap();
        browser.come_back(location(&answer));
        Ok(Some(0))
    });
    setup.log_in(&browser, &FakeUser::default()).unwrap();
    let shown = browser.shown.lock().unwrap();
    let (last, wrong) = shown.split_last().unwrap();
    assert_eq!(last.0, 200);
    assert!(wrong.iter().all(|(status, page)| *status >= 400 && !page.contains("script")));
}

/// A clock that is set back while a user logs in does not make the login endless.
#[test]
fn a_clock_that_is_set_back_does_not_keep_a_device_waiting() {
    let mut setup = Setup::new(LoginPage::Form, &[]);
    setup.login = setup.login.with_flow(Flow::Device);
    let clock = setup.clock.clone();
    let network = changed(&setup, TOKEN, move |it| {
        clock.set_back(Duration::from_secs(3600));
        *it = json!({ "STATUS": 400, "error": "authorization_pending" });
    });
    let outcome = setup.log_in_through(network, &Browser::none(), &FakeUser::default());
    assert!(matches!(outcome, Err(Error::Deadline { .. })), "{outcome:?}");
    assert!(setup.clock.slept.lock().unwrap().iter().sum::<u64>() <= 300);
}
