use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use host::{BoxFuture, Clock};
use http::header::CONTENT_TYPE;
use id_token::IdToken;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::progress::authenticate;
use super::*;
use crate::Faults;
use crate::oidc::Oidc;
use crate::service::Service as _;
use crate::state::State;

const DEX: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/captures/dex/answers.json"
));

const BASE: &str = "http://localhost:9/dex";

/// A clock that is moved by hand.
#[derive(Clone, Default)]
struct ManualClock(Arc<Mutex<Duration>>);

impl ManualClock {
    fn pass(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        *self.0.lock().unwrap() += duration;
        Box::pin(std::future::ready(()))
    }
}

struct Setup {
    oidc: Oidc,
    clock: ManualClock,
}

impl Setup {
    fn new(page: LoginPage, faults: &[Fault]) -> Self {
        let clock = ManualClock::default();
        let faults: Faults = faults.iter().copied().collect();
        let mut oidc =
            Oidc::new("http://localhost:9", Arc::new(clock.clone())).with_login(page, &faults);
        for name in ["dex", "github"] {
            oidc.add(name, &faults, &State::in_memory()).unwrap();
        }
        Self { oidc, clock }
    }

    fn get(&self, url: &str) -> Response<Bytes> {
        self.oidc.handle(Request::get(url).body(Bytes::new()).unwrap())
    }

    fn post(&self, url: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
        let form = Serializer::new(String::new()).extend_pairs(fields).finish();
        self.oidc.handle(Request::post(url).body(Bytes::from(form)).unwrap())
    }

    fn authorize(&self, change: &[(&str, &str)]) -> Response<Bytes> {
        let mut query: BTreeMap<&str, &str> = BTreeMap::from([
            ("client_id", "sigstore"),
            ("response_type", "code"),
            ("scope", "openid email"),
            ("state", "st"),
            ("nonce", "no"),
            ("redirect_uri", "http://localhost:45141/auth/callback"),
            ("code_challenge", "1bx2z0iUAQ-WDWSy2UnchoauAyq_cniucyiMWEUH4SQ"),
            ("code_challenge_method", "S256"),
        ]);
        query.extend(change.iter().copied());
        let query = Serializer::new(String::new()).extend_pairs(query).finish();
        self.get(&format!("{BASE}/auth?{query}"))
    }

    fn code(&self) -> String {
        field_of(&self.authorize(&[]), "code")
    }

    fn redeem(&self, code: &str, change: &[(&str, &str)]) -> Response<Bytes> {
        let mut form: BTreeMap<&str, &str> = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("client_id", "sigstore"),
            ("code", code),
            ("redirect_uri", "http://localhost:45141/auth/callback"),
            ("code_verifier", "e4X_vcCgJE3glL2qn73ypQ6VI5lca2ByalQjaIaQKMQ"),
        ]);
        form.extend(change.iter().copied());
        self.post(&format!("{BASE}/token"), &form.into_iter().collect::<Vec<_>>())
    }

    fn poll(&self, code: &str) -> Response<Bytes> {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let fields = [("grant_type", grant), ("client_id", "sigstore"), ("device_code", code)];
        self.post(&format!("{BASE}/token"), &fields)
    }

    fn device(&self) -> Value {
        let fields = [("client_id", "sigstore"), ("scope", "openid email")];
        json(&self.post(&format!("{BASE}/device/code"), &fields))
    }
}

fn json(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

/// What the browser is to bring to the client.
fn field_of(answer: &Response<Bytes>, name: &str) -> String {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{answer:?}");
    let url = Url::parse(answer.headers()[LOCATION].to_str().unwrap()).unwrap();
    url.query_pairs().find(|(known, _)| known == name).map(|(_, v)| v.into_owned()).unwrap()
}

/// The value of the hidden or visible input `name` of a page.
fn input(page: &Response<Bytes>, name: &str) -> String {
    let html = std::str::from_utf8(page.body()).unwrap();
    let (_, rest) = html.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// The recorded answer of Dex is the one that we give.
fn assert_as_dex(case: &str, answer: &Response<Bytes>) {
    let cases: Vec<Value> = serde_json::from_str(DEX).unwrap();
    let recorded = cases.iter().find(|it| it["case"] == case).unwrap();
    assert_eq!(recorded["status"], answer.status().as_u16(), "{case}");
    assert_eq!(
        recorded["headers"]["content-type"],
        answer.headers()[CONTENT_TYPE].to_str().unwrap()
    );
    let shape = |value: &Value| match value {
        Value::Object(fields) if fields.contains_key("error") => value.clone(),
        Value::Object(fields) => json!(fields.keys().collect::<Vec<_>>()),
        other => other.clone(),
    };
    assert_eq!(shape(&recorded["body"]), shape(&json(answer)), "{case}");
}

#[test]
fn the_code_flow_answers_as_dex_does() {
    let site = Setup::new(LoginPage::Direct, &[]);
    let wrong = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    assert_as_dex("code, wrong verifier", &site.redeem(&site.code(), &[("code_verifier", wrong)]));
    let elsewhere = [("redirect_uri", "http://127.0.0.1:1/callback")];
    assert_as_dex("code, other redirect_uri", &site.redeem(&site.code(), &elsewhere));
    assert_as_dex("code, unknown", &site.redeem("nope", &[]));
    let code = site.code();
    let answer = site.redeem(&code, &[]);
    assert_as_dex("code", &answer);
    assert_as_dex("code used twice", &site.redeem(&code, &[]));
    let late = site.code();
    site.clock.pass(301);
    assert_as_dex("code, unknown", &site.redeem(&late, &[]));

    let answer = json(&answer);
    let token = answer["id_token"].as_str().unwrap();
    assert!(site.oidc.issuer("dex").unwrap().verifies(token));
    let token = IdToken::parse(token).unwrap();
    let recorded: Vec<Value> = serde_json::from_str(DEX).unwrap();
    let recorded = recorded.iter().find(|it| it["case"] == "claims of the code flow ID token");
    for name in recorded.unwrap()["claims"].as_object().unwrap().keys() {
        assert!(token.claims().get(name).is_some(), "{name}");
    }
    assert_eq!(token.claims().text("nonce"), Some("no"));
    assert_eq!(token.claims().email(), Some(LOGIN_EMAIL));
}

#[test]
fn the_device_flow_answers_as_dex_does() {
    let site = Setup::new(LoginPage::Form, &[]);
    let fields = [("client_id", "nope"), ("scope", "openid email")];
    let answer = site.post(&format!("{BASE}/device/code"), &fields);
    assert_as_dex("device code, unknown client", &answer);
    let device = site.device();
    assert_eq!(device["interval"], 5);
    assert_eq!(device["expires_in"], 300);
    let code = device["device_code"].as_str().unwrap();
    assert_as_dex("device token before consent", &site.poll(code));
    assert_as_dex("device token again at once", &site.poll(code));
    assert_as_dex("device token, unknown code", &site.poll("nope"));

    let page = site.get(device["verification_uri_complete"].as_str().unwrap());
    assert_eq!(input(&page, "user_code"), device["user_code"].as_str().unwrap());
    let user_code = device["user_code"].as_str().unwrap().to_lowercase();
    let fields = [("user_code", &*user_code), ("email", "a@b.example")];
    assert_eq!(site.post(&format!("{BASE}/device"), &fields).status(), StatusCode::OK);
    site.clock.pass(5);
    let answer = site.poll(code);
    assert_as_dex("device token after consent", &answer);
    let token = IdToken::parse(json(&answer)["id_token"].as_str().unwrap()).unwrap();
    assert_eq!(token.claims().email(), Some("a@b.example"));
    assert_eq!(token.claims().get("nonce"), None);
    site.clock.pass(5);
    assert_as_dex("device token, unknown code", &site.poll(code));
}

#[test]
fn a_person_logs_in_or_does_not() {
    let site = Setup::new(LoginPage::Form, &[]);
    let submit = |approval| {
        let request = input(&site.authorize(&[]), "request");
        let fields = [("request", &*request), ("email", "a@b.example"), ("approval", approval)];
        let answer = site.post(&format!("{BASE}/auth/login"), &fields);
        let again = site.post(&format!("{BASE}/auth/login"), &fields);
        assert_eq!(again.status(), StatusCode::BAD_REQUEST, "a form is good for one use");
        answer
    };
    let approved = submit("approve");
    assert_eq!(field_of(&approved, "state"), "st");
    let answer = json(&site.redeem(&field_of(&approved, "code"), &[]));
    let token = IdToken::parse(answer["id_token"].as_str().unwrap()).unwrap();
    assert_eq!(token.claims().email(), Some("a@b.example"));
    assert_eq!(field_of(&submit("reject"), "error"), "access_denied");
}

#[test]
fn a_code_is_shown_where_no_browser_comes_back() {
    let site = Setup::new(LoginPage::Direct, &[]);
    let page = site.authorize(&[("redirect_uri", OUT_OF_BAND)]);
    let html = std::str::from_utf8(page.body()).unwrap();
    let (_, rest) = html.split_once("id=\"code\" type=\"text\" readonly value=\"").unwrap();
    let code = rest.split('"').next().unwrap();
    assert_eq!(site.redeem(code, &[("redirect_uri", OUT_OF_BAND)]).status(), StatusCode::OK);
}

#[test]
fn only_known_clients_are_sent_back_and_only_to_this_machine() {
    let site = Setup::new(LoginPage::Direct, &[]);
    for change in [
        ("client_id", "nope"),
        ("redirect_uri", "https://localhost/cb"),
        ("redirect_uri", "http://example.com/cb"),
        ("redirect_uri", "<script>"),
    ] {
        let answer = site.authorize(&[change]);
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{change:?}");
        assert!(!std::str::from_utf8(answer.body()).unwrap().contains("<script>"));
    }
    let answer = site.authorize(&[("response_type", "token")]);
    assert_eq!(field_of(&answer, "error"), "unsupported_response_type");
    let answer = site.authorize(&[("scope", "email")]);
    assert_eq!(field_of(&answer, "error"), "invalid_scope");
}

#[test]
fn a_client_with_a_secret_shows_it_in_either_way() {
    let site = Setup::new(LoginPage::Direct, &[]);
    let (id, secret) = SECRET_CLIENT;
    let code = || field_of(&site.authorize(&[("client_id", id)]), "code");
    let answer = site.redeem(&code(), &[("client_id", id)]);
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(json(&answer)["error"], "invalid_client");
    let fields = [("client_id", id), ("client_secret", secret)];
    assert_eq!(site.redeem(&code(), &fields).status(), StatusCode::OK);

    let part = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let header = format!("Basic {}", STANDARD.encode(format!("{}:{}", part(id), part(secret))));
    let form = Form::read(b"");
    assert_eq!(authenticate(&form, Some(&header.parse().unwrap())).as_deref(), Some(id));
    assert_eq!(authenticate(&form, Some(&"Basic x".parse().unwrap())), None);
}

#[test]
fn jobs_do_not_log_in() {
    let site = Setup::new(LoginPage::Direct, &[]);
    let answer = site.get("http://localhost:9/github/auth?client_id=sigstore");
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    let document = json(&site.get("http://localhost:9/github/.well-known/openid-configuration"));
    assert_eq!(document.get("device_authorization_endpoint"), None);
    let document = json(&site.get(&format!("{BASE}/.well-known/openid-configuration")));
    assert_eq!(document["device_authorization_endpoint"], format!("{BASE}/device/code"));
}

#[test]
fn logins_go_wrong_on_demand() {
    let site = Setup::new(LoginPage::Direct, &[Fault::LoginDenied, Fault::LoginWrongState]);
    let answer = site.authorize(&[]);
    assert_eq!(field_of(&answer, "error"), "access_denied");
    assert_eq!(field_of(&answer, "state"), "another");

    let site = Setup::new(LoginPage::Direct, &[Fault::LoginForged, Fault::LoginWrongNonce]);
    let answer = json(&site.redeem(&site.code(), &[]));
    let token = answer["id_token"].as_str().unwrap();
    assert!(!site.oidc.issuer("dex").unwrap().verifies(token));
    assert_eq!(IdToken::parse(token).unwrap().claims().text("nonce"), Some("another"));

    let site = Setup::new(LoginPage::Direct, &[Fault::DeviceExpired]);
    let device = site.device();
    let answer = json(&site.poll(device["device_code"].as_str().unwrap()));
    assert_eq!(answer["error"], "expired_token");
}

#[test]
fn the_direct_page_logs_in_at_once_and_the_page_with_a_script_sends_itself() {
    let site = Setup::new(LoginPage::Direct, &[]);
    let device = site.device();
    let code = device["device_code"].as_str().unwrap();
    assert_eq!(json(&site.poll(code))["error"], "authorization_pending");
    site.clock.pass(1);
    assert_eq!(site.poll(code).status(), StatusCode::OK);
    let site = Setup::new(LoginPage::Script, &[]);
    let page = site.authorize(&[]);
    assert!(std::str::from_utf8(page.body()).unwrap().contains("<script>"));
}
