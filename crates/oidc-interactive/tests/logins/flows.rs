//! Every flow and every way of going wrong, against the sandbox's issuer, without a network.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use host::{Answer, CallPolicy, Transport, TransportError};
use http::{Method, Request, Response};
use id_token::{Audience, IdToken, Outcome, TokenSource as _};
use oidc_interactive::{Error, Flow, InteractiveLogin, Login, Notice};
use sandbox::{Config, Fault, LOGIN_EMAIL, LoginPage, SECRET_CLIENT, Sandbox};
use secrecy::SecretString;
use url::Url;

use crate::fake::{Browser, FakeClock, FakeUser, block_on, fetch, host, location, whole};

pub(crate) struct Setup {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) clock: FakeClock,
    pub(crate) login: Login,
}

impl Setup {
    pub(crate) fn new(page: LoginPage, faults: &[Fault]) -> Self {
        let clock = FakeClock::at(1_800_000_000);
        let faults: BTreeSet<Fault> = faults.iter().copied().collect();
        let config =
            Config { login: page, faults, clock: Arc::new(clock.clone()), ..Config::new("unused") };
        let sandbox = Arc::new(Sandbox::in_process(&config).unwrap());
        let login = Login::new(format!("{}/dex", sandbox.oidc()));
        Self { sandbox, clock, login }
    }

    pub(crate) fn direct(faults: &[Fault]) -> Self {
        Self::new(LoginPage::Direct, faults)
    }

    /// A browser that goes to the login page and where that sends it.
    pub(crate) fn browser(&self) -> Browser {
        let sandbox = Arc::clone(&self.sandbox);
        Browser::new(move |browser, url| {
            let answer = fetch(&*sandbox, &Method::GET, url.as_str(), &[]).unwrap();
            browser.come_back(location(&answer));
            Ok(Some(0))
        })
    }

    pub(crate) fn log_in(&self, browser: &Browser, person: &FakeUser) -> Result<IdToken, Error> {
        self.log_in_through(Arc::clone(&self.sandbox) as Arc<dyn Transport>, browser, person)
    }

    pub(crate) fn log_in_through(
        &self,
        http: Arc<dyn Transport>,
        browser: &Browser,
        person: &FakeUser,
    ) -> Result<IdToken, Error> {
        block_on(self.login.log_in(&host(http, &self.clock, browser), browser, person))
    }

    fn fails(&self) -> String {
        whole(&self.log_in(&self.browser(), &FakeUser::default()).unwrap_err())
    }

    /// FakeUser who enters the code of the device flow and presses this button.
    fn device_user(&self, button: &'static str) -> FakeUser {
        let sandbox = Arc::clone(&self.sandbox);
        FakeUser::reacting(move |notice| {
            if let Notice::Device { user_code, url, complete_url, .. } = notice {
                assert!(complete_url.unwrap().starts_with(url));
                let fields = [("user_code", *user_code), ("approval", button)];
                let done = fetch(&*sandbox, &Method::POST, url, &fields).unwrap();
                assert_eq!(done.status(), 200);
            }
        })
    }
}

/// The code that the page of the out-of-band redirect shows.
fn code_shown(sandbox: &Sandbox, url: &Url) -> String {
    let page = fetch(sandbox, &Method::GET, url.as_str(), &[]).unwrap();
    let html = String::from_utf8(page.into_body().to_vec()).unwrap();
    let (_, rest) = html.split_once("id=\"code\" type=\"text\" readonly value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn a_browser_logs_in() {
    let setup = Setup::direct(&[]);
    let (browser, person) = (setup.browser(), FakeUser::default());
    let token = setup.log_in(&browser, &person).unwrap();
    assert_eq!(token.claims().email(), Some(LOGIN_EMAIL));
    assert_eq!(token.claims().audiences(), ["sigstore"]);
    assert!(person.was_told("Browser { url: \"http://localhost:"));
    let told = person.told.lock().unwrap().join("");
    assert!(told.contains("code_challenge_method=S256"), "{told}");
    let shown = browser.shown.lock().unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].0, 200);
}

#[test]
fn a_person_fills_in_the_form() {
    let setup = Setup::new(LoginPage::Form, &[]);
    for (button, email) in [("approve", Some("a@b.example")), ("reject", None)] {
        let sandbox = Arc::clone(&setup.sandbox);
        let browser = Browser::new(move |browser, url| {
            let page = fetch(&*sandbox, &Method::GET, url.as_str(), &[]).unwrap();
            let html = String::from_utf8(page.into_body().to_vec()).unwrap();
            let part = |before: &str| {
                let (_, rest) = html.split_once(before).unwrap();
                rest.split('"').next().unwrap().to_owned()
            };
            let (action, id) = (part("action=\""), part("name=\"request\" value=\""));
            let fields = [("request", &*id), ("email", "a@b.example"), ("approval", button)];
            let answer = fetch(&*sandbox, &Method::POST, &action, &fields).unwrap();
            browser.come_back(location(&answer));
            Ok(Some(0))
        });
        let token = setup.log_in(&browser, &FakeUser::default());
        match email {
            Some(_) => assert_eq!(token.unwrap().claims().email(), email),
            None => {
                let error = token.unwrap_err();
                assert!(matches!(error, Error::Denied { .. }), "{error}");
                assert!(error.to_string().contains("denied the request"), "{error}");
                assert_eq!(browser.shown.lock().unwrap()[0].0, 400);
            }
        }
    }
}

#[test]
fn each_fault_of_an_issuer_has_its_own_words() {
    for (fault, words) in [
        (Fault::LoginDenied, "the login was denied: The resource owner"),
        (Fault::LoginForged, "its signature does not verify with the issuer's key"),
        (Fault::LoginWrongNonce, "its nonce is not the one of this login"),
        (Fault::LoginWrongState, "does not belong to this login: its state is another one"),
        (Fault::TokenExpired, "it expired 60 s ago by the clock of this machine"),
        (Fault::TokenForAnother, "expected the audience sigstore, found another"),
    ] {
        let error = Setup::direct(&[fault]).fails();
        assert!(error.contains(words), "{fault}: {error}");
        assert!(!error.contains("eyJ"), "{fault}: {error}");
    }
}

#[test]
fn a_browser_that_never_comes_back_is_waited_for_until_the_deadline() {
    let mut setup = Setup::direct(&[]);
    setup.login = setup.login.with_deadline(Duration::from_secs(120));
    let closed = Browser::new(|_, _| Ok(Some(0)));
    let error = setup.log_in(&closed, &FakeUser::default()).unwrap_err();
    assert_eq!(error.to_string(), "the login in the browser was not finished within 120s");
    assert_eq!(*setup.clock.slept.lock().unwrap(), [120]);
}

#[test]
fn other_requests_to_the_port_do_not_disturb_the_login() {
    let setup = Setup::direct(&[]);
    let sandbox = Arc::clone(&setup.sandbox);
    let browser = Browser::new(move |browser, url| {
        for noise in [
            "/",
            "/favicon.ico",
            "/auth/callback",
            "/auth/callback?state=x",
            "/auth?code=1",
            "/auth/callback?code=c&state=of-another-login",
            "/auth/callback?error=access_denied",
        ] {
            browser.come_back(&format!("http://localhost:45141{noise}"));
        }
        let answer = fetch(&*sandbox, &Method::GET, url.as_str(), &[]).unwrap();
        browser.come_back(location(&answer));
        Ok(Some(0))
    });
    setup.log_in(&browser, &FakeUser::default()).unwrap();
    let statuses: Vec<u16> = browser.shown.lock().unwrap().iter().map(|it| it.0).collect();
    assert_eq!(statuses, [404, 404, 404, 404, 404, 400, 400, 200]);
}

#[test]
fn what_belongs_to_another_login_is_never_taken_for_this_one() {
    let setup = Setup::direct(&[]);
    for (query, reason) in [
        ("code=c", "its state is another one"),
        ("code=c&state=other", "its state is another one"),
        ("error=access_denied&state=other", "its state is another one"),
        ("code=c&state=STATE&state=STATE", "its state is another one"),
        ("code=c&state=STATE&iss=http://evil.test", "it comes from another issuer"),
    ] {
        let browser = Browser::new(move |browser, url| {
            let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1;
            let query = query.replace("STATE", &state);
            browser.come_back(&format!("http://localhost:45141/auth/callback?{query}"));
            Ok(Some(0))
        });
        let error = setup.log_in(&browser, &FakeUser::default()).unwrap_err();
        let Error::WrongState { reason: found } = error else { panic!("{query}: {error}") };
        assert_eq!(found, reason, "{query}");
    }
}

#[test]
fn the_issuers_own_error_is_told() {
    let setup = Setup::direct(&[]);
    let browser = Browser::new(|browser, url| {
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1;
        let words = "error=server_error&error_description=bad%1b%5bday";
        browser.come_back(&format!("http://localhost:45141/auth/callback?{words}&state={state}"));
        Ok(Some(0))
    });
    let error = setup.log_in(&browser, &FakeUser::default()).unwrap_err().to_string();
    assert!(error.ends_with("answered with an error: server_error: bad\\u{1b}[day"), "{error}");
}

#[test]
fn without_a_browser_the_code_is_typed() {
    let setup = Setup::direct(&[]);
    let sandbox = Arc::clone(&setup.sandbox);
    let person = FakeUser::typing(move |url| Ok(format!(" {}\n", code_shown(&sandbox, url))));
    setup.log_in(&Browser::none(), &person).unwrap();
    assert!(person.was_told("NoBrowser { reason: \"there is no xdg-open\""));
    assert!(person.was_told("OutOfBand { url: "));
}

#[test]
fn without_a_browser_to_open_the_page_may_be_opened_by_hand() {
    let setup = Setup::direct(&[]);
    let sandbox = Arc::clone(&setup.sandbox);
    let later = Browser::new(|_, _| Ok(Some(3)));
    let hand = later.clone();
    let person = FakeUser::reacting(move |notice| {
        if let Notice::NoBrowser { reason, url } = notice {
            assert_eq!(*reason, "xdg-open ended with code 3");
            let answer = fetch(&*sandbox, &Method::GET, url, &[]).unwrap();
            hand.come_back(location(&answer));
        }
    });
    setup.log_in(&later, &person).unwrap();
}

#[test]
fn out_of_band_the_code_is_typed_and_nothing_is_launched_or_listened_on() {
    let mut setup = Setup::direct(&[]);
    setup.login = setup.login.with_flow(Flow::OutOfBand);
    let unused = Browser::new(|_, _| unreachable!());
    let sandbox = Arc::clone(&setup.sandbox);
    let person = FakeUser::typing(move |url| Ok(code_shown(&sandbox, url)));
    setup.log_in(&unused, &person).unwrap();
    for (typed, words) in [
        (Ok(" \n"), "no code was typed in: the line is empty"),
        (Err("stdin is closed"), "no code was typed in: stdin is closed"),
        (Ok("nonsense"), "invalid_grant: Invalid or expired code parameter."),
    ] {
        let person = FakeUser::typing(move |_| typed.map(str::to_owned).map_err(str::to_owned));
        let error = setup.log_in(&unused, &person).unwrap_err().to_string();
        assert!(error.ends_with(words), "{error}");
    }
    let error = setup.log_in(&unused, &FakeUser::default()).unwrap_err();
    assert!(matches!(error, Error::NoCode { .. }), "{error}");
}

#[test]
fn a_device_waits_for_the_person() {
    let mut setup = Setup::new(LoginPage::Form, &[]);
    setup.login = setup.login.with_flow(Flow::Device);
    let browser = Browser::new(|_, _| unreachable!());
    let token = setup.log_in(&browser, &setup.device_user("approve")).unwrap();
    assert_eq!(token.claims().email(), Some(LOGIN_EMAIL));
    let error = setup.log_in(&browser, &setup.device_user("reject")).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error}");
    let error = setup.log_in(&browser, &FakeUser::default()).unwrap_err();
    assert_eq!(error.to_string(), "the login in another device was not finished within 300s");

    let mut setup = Setup::new(LoginPage::Form, &[Fault::DeviceExpired]);
    setup.login = setup.login.with_flow(Flow::Device);
    let error = setup.log_in(&browser, &FakeUser::default()).unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }), "{error}");
}

/// A network that fails in the middle of a device flow.
struct Unsteady {
    sandbox: Arc<Sandbox>,
    polls: AtomicU32,
}

impl Transport for Unsteady {
    fn send(&self, request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        if !request.uri().path().ends_with("/token") {
            return self.sandbox.send(request, policy);
        }
        match self.polls.fetch_add(1, Ordering::Relaxed) {
            0 => {
                let url = "http://localhost".to_owned();
                let after = Duration::from_secs(10);
                Box::pin(async move { Err(TransportError::Timeout { url, after }) })
            }
            1 => {
                let answer = Response::builder().status(503).body(Bytes::from("<html>")).unwrap();
                Box::pin(std::future::ready(Ok(answer)))
            }
            _ => self.sandbox.send(request, policy),
        }
    }
}

#[test]
fn a_device_goes_on_when_the_issuer_is_silent_for_a_while() {
    let mut setup = Setup::new(LoginPage::Form, &[]);
    setup.login = setup.login.with_flow(Flow::Device);
    let person = setup.device_user("approve");
    let sandbox = Arc::clone(&setup.sandbox);
    let network = Arc::new(Unsteady { sandbox, polls: AtomicU32::new(0) });
    setup.log_in_through(network, &Browser::none(), &person).unwrap();
    assert!(person.was_told("Unsteady"));
    // RFC 8628 3.5: twice as long each time.
    assert_eq!(*setup.clock.slept.lock().unwrap(), [5, 10, 20]);
}

#[test]
fn a_client_with_a_secret_logs_in_in_every_flow() {
    let mut setup = Setup::direct(&[]);
    let (id, secret) = SECRET_CLIENT;
    setup.login = setup.login.with_client(id, Some(SecretString::from(secret)));
    assert!(!format!("{:?}", setup.login).contains(secret));
    let token = setup.log_in(&setup.browser(), &FakeUser::default()).unwrap();
    assert_eq!(token.claims().audiences(), [id]);
    setup.login = setup.login.with_flow(Flow::Device);
    setup.log_in(&Browser::none(), &FakeUser::default()).unwrap();
    setup.login = setup.login.with_client(id, Some(SecretString::from("wrong")));
    let error = setup.log_in(&Browser::none(), &FakeUser::default()).unwrap_err().to_string();
    assert!(error.ends_with("invalid_client: Invalid client credentials."), "{error}");
    assert!(!error.contains("wrong"), "{error}");
}

#[test]
fn the_redirect_can_be_another_port_and_path() {
    let mut setup = Setup::direct(&[]);
    let redirect = Url::parse("http://127.0.0.1:8123/other").unwrap();
    setup.login = setup.login.with_redirect(&redirect).unwrap();
    let person = FakeUser::default();
    setup.log_in(&setup.browser(), &person).unwrap();
    assert!(person.was_told("redirect_uri=http%3A%2F%2F127.0.0.1%3A8123%2Fother"));
    let taken = Url::parse("http://localhost:1/cb").unwrap();
    setup.login = setup.login.with_redirect(&taken).unwrap();
    let error = setup.log_in(&setup.browser(), &person).unwrap_err();
    assert_eq!(error.to_string(), "cannot wait for the browser at http://localhost:1/cb");
    let outside = Url::parse("http://example.com/cb").unwrap();
    assert!(Login::new("x").with_redirect(&outside).is_err());
}

#[test]
fn a_connector_is_named_to_dex() {
    let mut setup = Setup::direct(&[]);
    setup.login = setup.login.with_connector("https://github.com/login/oauth");
    let person = FakeUser::default();
    setup.log_in(&setup.browser(), &person).unwrap();
    assert!(person.was_told("connector_id=https%3A%2F%2Fgithub.com%2Flogin%2Foauth"));
}

#[test]
fn an_issuer_that_is_none_is_named() {
    let mut setup = Setup::direct(&[]);
    let issuer = |name: &str| format!("{}/{name}", setup.sandbox.oidc());
    let nowhere = "http://localhost:1/dex".to_owned();
    for (issuer, words) in [
        (issuer("nobody"), "answered with an error: HTTP status 404"),
        (nowhere, "the discovery document of http://localhost:1/dex did not answer"),
        ("nonsense".to_owned(), "the URL of nonsense cannot be used"),
        ("ftp://example.com".to_owned(), "expected a URL of https"),
        (issuer("github"), "does not offer the device flow"),
    ] {
        setup.login = Login::new(&*issuer).with_flow(Flow::Device);
        let error = setup.fails();
        assert!(error.contains(words), "{issuer}: {error}");
    }
}

#[test]
fn a_person_is_asked_again_only_when_the_token_has_grown_old() {
    let setup = Setup::direct(&[]);
    let logins = Arc::new(Mutex::new(0));
    let (sandbox, count) = (Arc::clone(&setup.sandbox), Arc::clone(&logins));
    let browser = Browser::new(move |browser, url| {
        *count.lock().unwrap() += 1;
        let answer = fetch(&*sandbox, &Method::GET, url.as_str(), &[]).unwrap();
        browser.come_back(location(&answer));
        Ok(Some(0))
    });
    let http = Arc::clone(&setup.sandbox) as Arc<dyn Transport>;
    let person = InteractiveLogin::new(
        setup.login.clone(),
        host(http, &setup.clock, &browser),
        Arc::new(browser.clone()),
        Arc::new(FakeUser::default()),
    );
    assert_eq!(person.name(), "interactive");
    let ask = |seconds| {
        let min_ttl = Duration::from_secs(seconds);
        block_on(person.find(&Audience::sigstore(), min_ttl))
    };
    assert!(matches!(ask(30), Outcome::Found(_)));
    assert!(matches!(ask(30), Outcome::Found(_)));
    assert_eq!(*logins.lock().unwrap(), 1);
    setup.clock.pass(Duration::from_secs(40));
    assert!(matches!(ask(30), Outcome::Found(_)));
    assert_eq!(*logins.lock().unwrap(), 2);
    // More than the issuer gives: the new one is the best there is, until it is half spent.
    assert!(matches!(ask(600), Outcome::Found(_)));
    assert_eq!(*logins.lock().unwrap(), 2);
    setup.clock.pass(Duration::from_secs(31));
    assert!(matches!(ask(600), Outcome::Found(_)));
    assert_eq!(*logins.lock().unwrap(), 3);
    // Two tasks that need a login at the same time share one.
    setup.clock.pass(Duration::from_secs(40));
    let both = async {
        let (audience, life) = (Audience::sigstore(), Duration::from_secs(30));
        futures_util::future::join(person.find(&audience, life), person.find(&audience, life)).await
    };
    assert!(matches!(block_on(both), (Outcome::Found(_), Outcome::Found(_))));
    assert_eq!(*logins.lock().unwrap(), 4);

    let denied = Setup::direct(&[Fault::LoginDenied]);
    let browser = denied.browser();
    let http = Arc::clone(&denied.sandbox) as Arc<dyn Transport>;
    let person = InteractiveLogin::new(
        denied.login.clone(),
        host(http, &denied.clock, &browser),
        Arc::new(browser.clone()),
        Arc::new(FakeUser::default()),
    );
    let outcome = block_on(person.find(&Audience::sigstore(), Duration::ZERO));
    let Outcome::Broken(broken) = outcome else { panic!("{outcome:?}") };
    assert!(broken.certain);
    assert!(broken.reason.contains("the login was denied"), "{}", broken.reason);
}
