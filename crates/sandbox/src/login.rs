//! People who log in: the authorization code flow with PKCE, the device flow and the code that is
//! shown, with the pages and the answers of a Dex.

mod device;
mod pages;
mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use url::Url;
use url::form_urlencoded::{byte_serialize, parse};

use self::device::Device;
use crate::oidc::{Issuer, hex, random};
use crate::service::{answer, json_answer};
use crate::{Error, Fault};

/// The names of the issuers at which people log in.
pub const LOGIN_ISSUERS: [&str; 2] = ["email", "dex"];

/// A client that has a secret, and the secret. The client `sigstore` has none.
pub const SECRET_CLIENT: (&str, &str) = ("sandbox-app", "sandbox app: secret");

/// Who has logged in where nobody says who.
pub const LOGIN_EMAIL: &str = "kilgore@kilgore.trout";

/// The identity provider behind the issuer `dex`.
const CONNECTOR: &str = "https://github.com/login/oauth";

/// What happens at the login page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginPage {
    /// A person fills in a form, or whoever plays one.
    #[default]
    Form,
    /// The form sends itself, in a browser that runs scripts.
    Script,
    /// The page redirects at once, and devices are let in at their second question.
    Direct,
}

/// What is in progress at the login pages.
pub(crate) struct Logins {
    page: LoginPage,
    faults: BTreeSet<Fault>,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    /// By the id that the form carries.
    requests: BTreeMap<String, Authorization>,
    codes: BTreeMap<String, Grant>,
    /// By device code.
    devices: BTreeMap<String, Device>,
}

/// An authorization request (RFC 6749 4.1.1).
#[derive(Clone)]
struct Authorization {
    issuer: String,
    client: String,
    redirect: String,
    state: Option<String>,
    nonce: Option<String>,
    challenge: Option<Challenge>,
}

/// A code that can be redeemed.
#[derive(Clone)]
struct Grant {
    request: Authorization,
    email: String,
    until: SystemTime,
}

/// Of PKCE (RFC 7636).
#[derive(Clone)]
struct Challenge {
    text: String,
    plain: bool,
}

impl Challenge {
    fn read(form: &Form) -> Option<Self> {
        let text = form.get("code_challenge")?.to_owned();
        Some(Self { text, plain: form.get("code_challenge_method") != Some("S256") })
    }

    fn fits(&self, verifier: &str) -> bool {
        let hashed = URL_SAFE_NO_PAD.encode(keys::sha256(verifier.as_bytes()));
        self.text == if self.plain { verifier } else { &hashed }
    }
}

impl Logins {
    pub(crate) fn new(page: LoginPage, faults: &BTreeSet<Fault>) -> Self {
        Self { page, faults: faults.clone(), pending: Mutex::default() }
    }

    /// What the discovery document of the issuer `name` has beside the usual.
    pub(crate) fn describe(&self, name: &str, issuer: &Issuer, document: &mut Value) {
        if !LOGIN_ISSUERS.contains(&name) {
            return;
        }
        let url = issuer.url();
        for (field, value) in [
            ("authorization_endpoint", json!(format!("{url}/auth"))),
            ("device_authorization_endpoint", json!(format!("{url}/device/code"))),
            (
                "grant_types_supported",
                json!(["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"]),
            ),
            ("response_types_supported", json!(["code"])),
            ("code_challenge_methods_supported", json!(["S256", "plain"])),
            ("scopes_supported", json!(["openid", "email"])),
            (
                "token_endpoint_auth_methods_supported",
                json!(["client_secret_basic", "client_secret_post"]),
            ),
        ] {
            document[field] = value;
        }
    }

    /// The answer to a request for the page `rest` of the issuer `name`, if it is one of ours.
    pub(crate) fn handle(
        &self,
        (name, issuer): (&str, &Issuer),
        rest: &str,
        request: &Request<Bytes>,
        now: SystemTime,
    ) -> Option<Response<Bytes>> {
        if !LOGIN_ISSUERS.contains(&name) {
            return None;
        }
        let desk = Desk { logins: self, name, issuer, now };
        let query = Form::read(request.uri().query().unwrap_or_default().as_bytes());
        let form = Form::read(request.body());
        let done = match (request.method(), rest) {
            (&Method::GET, "auth") => desk.authorize(&query),
            (&Method::POST, "auth/login") => desk.submit(&form),
            (&Method::POST, "device/code") => desk.device_code(&form),
            (&Method::GET, "device") => desk.device_page(&query),
            (&Method::POST, "device") => desk.device_submit(&form),
            (&Method::POST, "token") if form.get("grant_type").is_some() => {
                desk.token(&form, request.headers().get(AUTHORIZATION))
            }
            _ => return None,
        };
        Some(done.unwrap_or_else(|error| {
            answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string())
        }))
    }
}

/// The login pages of one issuer.
struct Desk<'a> {
    logins: &'a Logins,
    name: &'a str,
    issuer: &'a Issuer,
    now: SystemTime,
}

impl Desk<'_> {
    fn pending<T>(&self, work: impl FnOnce(&mut Pending) -> T) -> T {
        work(&mut self.logins.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn fault(&self, fault: Fault) -> bool {
        self.logins.faults.contains(&fault)
    }

    /// `GET auth`: the login page, or what is wrong with the request.
    fn authorize(&self, query: &Form) -> Result<Response<Bytes>, Error> {
        let client = query.get("client_id").unwrap_or_default();
        if !is_client(client) {
            return Ok(pages::problem(&format!("Invalid client_id ({client:?}).")));
        }
        let redirect = query.get("redirect_uri").unwrap_or_default();
        if redirect != OUT_OF_BAND && !is_loopback(redirect) {
            return Ok(pages::problem(&format!("Unregistered redirect_uri ({redirect:?}).")));
        }
        let text = |name: &str| query.get(name).map(str::to_owned);
        let request = Authorization {
            issuer: self.name.to_owned(),
            client: client.to_owned(),
            redirect: redirect.to_owned(),
            state: text("state"),
            nonce: text("nonce"),
            challenge: Challenge::read(query),
        };
        if query.get("response_type") != Some("code") {
            let fields = [("error", "unsupported_response_type")];
            return Ok(self.back(&request, &fields));
        }
        let scopes = query.get("scope").unwrap_or_default();
        if !scopes.split_whitespace().any(|scope| scope == "openid") {
            let description = "Missing required scope(s) [\"openid\"].";
            let fields = [("error", "invalid_scope"), ("error_description", description)];
            return Ok(self.back(&request, &fields));
        }
        if self.logins.page == LoginPage::Direct {
            return self.decide(&request, LOGIN_EMAIL, true);
        }
        let id = hex(&random::<16>()?);
        self.pending(|pending| {
            trim(&mut pending.requests);
            pending.requests.insert(id.clone(), request);
        });
        let action = format!("{}/auth/login", self.issuer.url());
        let itself = self.logins.page == LoginPage::Script;
        Ok(pages::login(&action, "request", &id, itself))
    }

    /// `POST auth/login`: the person has decided.
    fn submit(&self, form: &Form) -> Result<Response<Bytes>, Error> {
        let id = form.get("request").unwrap_or_default();
        let Some(request) = self.pending(|pending| pending.requests.remove(id)) else {
            return Ok(pages::problem("User session error."));
        };
        let email = form.get("email").filter(|email| !email.is_empty()).unwrap_or(LOGIN_EMAIL);
        self.decide(&request, email, form.get("approval") != Some("reject"))
    }

    fn decide(
        &self,
        request: &Authorization,
        email: &str,
        approved: bool,
    ) -> Result<Response<Bytes>, Error> {
        if !approved || self.fault(Fault::LoginDenied) {
            let description = "The resource owner or authorization server denied the request";
            let fields = [("error", "access_denied"), ("error_description", description)];
            return Ok(self.back(request, &fields));
        }
        let code = hex(&random::<16>()?);
        let grant = Grant {
            request: request.clone(),
            email: email.to_owned(),
            until: self.now.checked_add(CODE_LIFE).unwrap_or(self.now),
        };
        self.pending(|pending| {
            trim(&mut pending.codes);
            pending.codes.insert(code.clone(), grant);
        });
        Ok(match request.redirect.as_str() {
            OUT_OF_BAND => pages::code(&code),
            _ => self.back(request, &[("code", &code)]),
        })
    }

    /// Sends the browser back to the client.
    fn back(&self, request: &Authorization, fields: &[(&str, &str)]) -> Response<Bytes> {
        let wrong = self.fault(Fault::LoginWrongState).then_some("another");
        let state = wrong.or(request.state.as_deref());
        let Ok(mut url) = Url::parse(&request.redirect) else {
            return pages::problem("Invalid redirect_uri.");
        };
        if request.redirect == OUT_OF_BAND {
            let error = fields.iter().find(|(name, _)| *name == "error");
            return pages::problem(error.map(|(_, text)| *text).unwrap_or_default());
        }
        url.query_pairs_mut().extend_pairs(fields).extend_pairs(state.map(|it| ("state", it)));
        let mut response = answer(StatusCode::SEE_OTHER, "text/html", "");
        if let Ok(location) = HeaderValue::try_from(url.as_str()) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

/// The fields of a form or a query, each once.
struct Form(BTreeMap<String, String>);

impl Form {
    fn read(text: &[u8]) -> Self {
        Self(parse(text).take(FIELDS).map(|(k, v)| (k.into_owned(), v.into_owned())).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn is_client(id: &str) -> bool {
    ["sigstore", SECRET_CLIENT.0].contains(&id)
}

/// A public client may be sent to any port and path of loopback.
fn is_loopback(redirect: &str) -> bool {
    Url::parse(redirect).is_ok_and(|url| {
        let host = url.host_str().unwrap_or_default();
        url.scheme() == "http" && ["localhost", "127.0.0.1", "[::1]"].contains(&host)
    })
}

/// Makes room: what nobody came back for is given up.
fn trim<T>(map: &mut BTreeMap<String, T>) {
    while map.len() >= IN_PROGRESS {
        map.pop_first();
    }
}

/// An error of OAuth's endpoints (RFC 6749 5.2).
fn refuse(error: &str, description: &str) -> Response<Bytes> {
    let status =
        if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    let mut body = json!({ "error": error });
    if !description.is_empty() {
        body["error_description"] = description.into();
    }
    json_answer(status, &body)
}

/// Whether the client of `form` has shown its secret if it has one.
fn authenticate(form: &Form, header: Option<&HeaderValue>) -> Option<String> {
    let (id, secret) = match header.and_then(|header| header.to_str().ok()) {
        Some(header) => {
            let pair = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
            let pair = String::from_utf8(pair).ok()?;
            let (id, secret) = pair.split_once(':')?;
            (decoded(id), decoded(secret))
        }
        None => {
            let field = |name| form.get(name).unwrap_or_default().to_owned();
            (field("client_id"), field("client_secret"))
        }
    };
    let expected = if id == SECRET_CLIENT.0 { SECRET_CLIENT.1 } else { "" };
    (is_client(&id) && secret == expected).then_some(id)
}

/// One form-encoded value.
fn decoded(text: &str) -> String {
    parse(format!("v={text}").as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

/// A subject as Dex makes it: opaque, and the same for the same person.
fn subject(email: &str) -> String {
    let id: String = byte_serialize(email.as_bytes()).collect();
    STANDARD.encode(format!("\n{id}\u{12}\u{4}mock"))
}

/// The claims about a person who has logged in at the issuer `name`.
fn person(name: &str, email: &str) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), subject(email).into());
    claims.insert("email".to_owned(), email.into());
    claims.insert("email_verified".to_owned(), true.into());
    if name == "dex" {
        let federated = json!({ "connector_id": CONNECTOR, "user_id": "112233" });
        claims.insert("federated_claims".to_owned(), federated);
    }
    claims
}

/// The redirect that shows the code instead.
const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

/// How long a code is good.
const CODE_LIFE: Duration = Duration::from_secs(300);

/// How many logins of a kind are in progress at once.
const IN_PROGRESS: usize = 1000;

/// How many fields of a form are read.
const FIELDS: usize = 64;

#[cfg(test)]
mod tests;
