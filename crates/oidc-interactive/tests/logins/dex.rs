//! The recorded answers of a real Dex, with its real signatures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use host::{Transport, TransportError};
use http::{Method, Request, Response};
use oidc_interactive::{Error, Flow, Login};
use serde_json::{Value, json};
use url::form_urlencoded::parse;

use crate::fake::{Browser, FakeClock, FakeUser, block_on, host, whole};

const ISSUER: &str = "http://127.0.0.1:5557/dex";

const ANSWERS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/captures/dex/answers.json"
));
const DISCOVERY: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/captures/dex/openid-configuration.json"
));
const KEYS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/dex-keys.json"));

/// When the recorded tokens were good.
const DEVICE_TIME: u64 = 1_795_357_627;
const CODE_TIME: u64 = 1_795_357_582;

fn case(name: &str) -> Value {
    let cases: Vec<Value> = serde_json::from_str(ANSWERS).unwrap();
    cases.into_iter().find(|case| case["case"] == name).expect(name)
}

/// A Dex that answers the forms it is sent with these cases, in order.
struct Dex {
    cases: Mutex<Vec<&'static str>>,
    forms: Mutex<Vec<BTreeMap<String, String>>>,
    /// What comes instead of the recorded body, by name of the case.
    instead: BTreeMap<&'static str, Value>,
}

impl Dex {
    fn new(cases: &[&'static str]) -> Arc<Self> {
        Self::lying(cases, BTreeMap::new())
    }

    fn lying(cases: &[&'static str], instead: BTreeMap<&'static str, Value>) -> Arc<Self> {
        let cases = Mutex::new(cases.iter().rev().copied().collect());
        Arc::new(Self { cases, forms: Mutex::default(), instead })
    }

    fn transport(self: &Arc<Self>) -> Arc<dyn Transport> {
        let dex = Arc::clone(self);
        Arc::new(move |request: Request<Bytes>| -> Result<_, TransportError> {
            Ok(dex.answer(&request))
        })
    }

    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let answer = |status: u16, body: String| {
            Response::builder().status(status).body(Bytes::from(body)).unwrap()
        };
        let path = request.uri().path();
        if request.method() == Method::GET {
            return answer(
                200,
                match path {
                    "/dex/.well-known/openid-configuration" => DISCOVERY.to_owned(),
                    "/dex/keys" => KEYS.to_owned(),
                    other => panic!("there is no {other}"),
                },
            );
        }
        let form: BTreeMap<_, _> = parse(request.body()).into_owned().collect();
        let name = self.cases.lock().unwrap().pop().expect("no more requests");
        let recorded = case(name);
        assert_eq!(recorded["url"], request.uri().to_string());
        // Everything that the recorded request had is in ours.
        for field in recorded["form"].as_object().unwrap().keys() {
            assert!(form.contains_key(field), "{name} lacks {field}");
        }
        self.forms.lock().unwrap().push(form);
        let body = self.instead.get(name).unwrap_or_else(|| &recorded["body"]);
        answer(recorded["status"].as_u64().unwrap().try_into().unwrap(), body.to_string())
    }
}

const DEVICE_CASES: [&str; 4] = [
    "device code",
    "device token before consent",
    "device token again at once",
    "device token after consent",
];

fn device_login(dex: &Arc<Dex>, clock: &FakeClock, person: &FakeUser) -> Result<(), Error> {
    let browser = Browser::none();
    let host = host(dex.transport(), clock, &browser);
    let login = Login::new(ISSUER).with_flow(Flow::Device);
    let token = block_on(login.log_in(&host, &browser, person))?;
    assert_eq!(token.claims().email(), Some("kilgore@kilgore.trout"));
    assert_eq!(token.claims().audiences(), ["sigstore"]);
    Ok(())
}

#[test]
fn the_device_flow_ends_with_a_token_that_dex_signed() {
    let dex = Dex::new(&DEVICE_CASES);
    let clock = FakeClock::at(DEVICE_TIME);
    let person = FakeUser::default();
    device_login(&dex, &clock, &person).unwrap();
    assert!(person.was_told("RQPF-GXKW"));
    assert!(person.was_told("http://127.0.0.1:5557/dex/device?user_code=RQPF-GXKW"));
    assert!(person.was_told("expires_in: 300s"));
    // The interval that Dex asks for, and five seconds more once it says slow_down.
    assert_eq!(*clock.slept.lock().unwrap(), [5, 5, 10]);
    let forms = dex.forms.lock().unwrap();
    assert_eq!(forms[0]["scope"], "openid email");
    assert_eq!(forms[0]["code_challenge_method"], "S256");
    let code = "gjszgvmasem4jntsbmxm55okasjz6gb24kq7es7aqsdknspckgu";
    for poll in &forms[1..] {
        assert_eq!(poll["device_code"], code);
        assert_eq!(poll["client_id"], "sigstore");
        assert_eq!(poll.get("client_secret"), None);
        assert_eq!(poll["code_verifier"], forms[1]["code_verifier"]);
    }
}

#[test]
fn the_recorded_token_is_expired_a_minute_later() {
    let clock = FakeClock::at(DEVICE_TIME + 60);
    let error = device_login(&Dex::new(&DEVICE_CASES), &clock, &FakeUser::default()).unwrap_err();
    let text = whole(&error);
    // It was waited for 20 seconds.
    let expected = "it expired 20 s ago by the clock of this machine, and was issued 80 s ago";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_token_that_dex_did_not_sign_is_refused() {
    let good = case("device token after consent")["body"].clone();
    let token = good["id_token"].as_str().unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        let instead = BTreeMap::from([("device token after consent", body)]);
        let dex = Dex::lying(&DEVICE_CASES, instead);
        let clock = FakeClock::at(DEVICE_TIME);
        whole(&device_login(&dex, &clock, &FakeUser::default()).unwrap_err())
    };
    // The signature of the access token.
    let (signed, _) = token.rsplit_once('.').unwrap();
    let (_, other) = good["access_token"].as_str().unwrap().rsplit_once('.').unwrap();
    let error = changed(&|body| body["id_token"] = json!(format!("{signed}.{other}")));
    assert!(
        error.contains("signature does not verify with the issuer's key f9dfe3dc84"),
        "{error}"
    );
    // The access token of another user.
    let error = changed(&|body| body["access_token"] = json!("another"));
    assert!(error.contains("at_hash does not fit"), "{error}");
    let error = changed(&|body| body["id_token"] = json!("not a token"));
    assert!(error.contains("three parts"), "{error}");
    let error = changed(&|body| drop(body.as_object_mut().unwrap().remove("id_token")));
    assert!(error.contains("has no id_token"), "{error}");
    assert!(!error.contains("eyJ"), "{error}");
}

/// The browser flow as far as a recording goes: our nonce is another one each time.
fn code_login(answer: &'static str) -> (Error, Arc<Dex>, Browser) {
    let dex = Dex::new(&[answer]);
    let browser = Browser::new(|browser, url| {
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        let recorded = case("authorize with redirect http://localhost:PORT/auth/callback");
        for field in recorded["query"].as_object().unwrap().keys() {
            assert!(query.contains_key(field), "the request lacks {field}");
        }
        assert_eq!(query["redirect_uri"], "http://localhost:45141/auth/callback");
        let back = format!(
            "{}?code=vkqo422jecyc5lnzhxbhudkbd&state={}",
            query["redirect_uri"], query["state"]
        );
        browser.come_back("http://localhost:45141/favicon.ico");
        browser.come_back(&back);
        Ok(Some(0))
    });
    let clock = FakeClock::at(CODE_TIME);
    let host = host(dex.transport(), &clock, &browser);
    let login = Login::new(ISSUER);
    let error = block_on(login.log_in(&host, &browser, &FakeUser::default())).unwrap_err();
    (error, dex, browser)
}

#[test]
fn the_code_flow_accepts_all_of_dexs_token_but_the_nonce_of_another_login() {
    let (error, dex, browser) = code_login("code");
    assert!(whole(&error).contains("its nonce is not the one of this login"), "{}", whole(&error));
    let form = dex.forms.lock().unwrap().pop().unwrap();
    assert_eq!(form["redirect_uri"], "http://localhost:45141/auth/callback");
    assert_eq!(form["code"], "vkqo422jecyc5lnzhxbhudkbd");
    assert_eq!(form["client_id"], "sigstore");
    let shown = browser.shown.lock().unwrap();
    assert_eq!(shown.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [404, 200]);
    assert!(shown[1].1.contains("You can close this window"));
}

#[test]
fn every_recorded_refusal_of_a_code_is_told_in_dexs_words() {
    for (name, code, words) in [
        ("code, wrong verifier", "invalid_grant", "Invalid code_verifier."),
        (
            "code, other redirect_uri",
            "invalid_request",
            "redirect_uri did not match URI from initial request.",
        ),
        ("code used twice", "invalid_grant", "Invalid or expired code parameter."),
        ("code, unknown", "invalid_grant", "Invalid or expired code parameter."),
    ] {
        let (error, _, _) = code_login(name);
        let Error::Refused { what, error, description, .. } = &error else { panic!("{error}") };
        assert_eq!((*what, error.as_str()), ("token endpoint", code), "{name}");
        assert_eq!(description.as_deref(), Some(words), "{name}");
    }
}

#[test]
fn an_unknown_device_code_ends_the_wait() {
    let dex = Dex::new(&["device code, unknown client", "device token, unknown code"]);
    let clock = FakeClock::at(DEVICE_TIME);
    let error = device_login(&dex, &clock, &FakeUser::default()).unwrap_err();
    assert!(error.to_string().ends_with("invalid_request: Invalid Device code."), "{error}");
}

#[test]
fn the_wait_ends_with_the_deadline_of_the_caller_or_of_dex() {
    for (deadline, slept) in [(12, vec![5, 5, 2]), (3600, vec![5; 60])] {
        let mut cases = vec!["device code"];
        cases.extend(vec!["device token before consent"; 60]);
        let dex = Dex::new(&cases);
        let clock = FakeClock::at(DEVICE_TIME);
        let browser = Browser::none();
        let host = host(dex.transport(), &clock, &browser);
        let login =
            Login::new(ISSUER).with_flow(Flow::Device).with_deadline(Duration::from_secs(deadline));
        let error = block_on(login.log_in(&host, &browser, &FakeUser::default())).unwrap_err();
        let Error::Deadline { place, after } = error else { panic!("{error}") };
        assert_eq!((place, after.as_secs()), ("another device", deadline.min(300)));
        assert_eq!(*clock.slept.lock().unwrap(), slept);
    }
}
