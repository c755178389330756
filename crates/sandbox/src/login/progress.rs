//! Logins in progress, and what the endpoints have in common.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};
use url::form_urlencoded::{byte_serialize, parse};

use crate::issuer::Issuer;
use crate::service::json_answer;
use crate::{Fault, Faults};

/// The names of the issuers at which people log in.
pub const LOGIN_ISSUERS: [&str; 2] = ["email", "dex"];

/// A client that has a secret, and the secret. The client `sigstore` has none.
pub const SECRET_CLIENT: (&str, &str) = ("sandbox-app", "sandbox app: secret");

/// The e-mail address of a login that names none.
pub const LOGIN_EMAIL: &str = "kilgore@kilgore.trout";

/// The identity provider behind the issuer `dex`.
const CONNECTOR: &str = "https://github.com/login/oauth";

/// What happens at the login page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginPage {
    /// A form that a person or a test fills in.
    #[default]
    Form,
    /// The form sends itself, in a browser that runs scripts.
    Script,
    /// The page redirects at once, and devices are let in at their second question.
    Direct,
}

/// What is in progress at the login pages.
pub(crate) struct Logins {
    pub(super) page: LoginPage,
    pub(super) faults: Faults,
    pub(super) pending: Mutex<Pending>,
}

#[derive(Default)]
pub(super) struct Pending {
    /// By the id that the form carries.
    pub(super) requests: BTreeMap<String, Authorization>,
    pub(super) codes: BTreeMap<String, Grant>,
    /// By device code.
    pub(super) devices: BTreeMap<String, Device>,
}

/// An authorization request (RFC 6749 4.1.1).
#[derive(Clone)]
pub(super) struct Authorization {
    pub(super) issuer: String,
    pub(super) client: String,
    pub(super) redirect: String,
    pub(super) state: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) challenge: Option<Challenge>,
}

/// A code that can be redeemed.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) request: Authorization,
    pub(super) email: String,
    pub(super) until: SystemTime,
}

/// Of PKCE (RFC 7636).
#[derive(Clone)]
pub(super) struct Challenge {
    pub(super) text: String,
    pub(super) plain: bool,
}

impl Challenge {
    pub(super) fn read(form: &Form) -> Option<Self> {
        let text = form.get("code_challenge")?.to_owned();
        Some(Self { text, plain: form.get("code_challenge_method") != Some("S256") })
    }

    pub(super) fn fits(&self, verifier: &str) -> bool {
        let hashed = URL_SAFE_NO_PAD.encode(keys::sha256(verifier.as_bytes()));
        self.text == if self.plain { verifier } else { &hashed }
    }
}

impl Logins {
    pub(crate) fn new(page: LoginPage, faults: &Faults) -> Self {
        Self { page, faults: faults.clone(), pending: Mutex::default() }
    }
}

/// A login by device code that was begun.
pub(super) struct Device {
    pub(super) issuer: String,
    pub(super) client: String,
    pub(super) user_code: String,
    pub(super) challenge: Option<Challenge>,
    pub(super) until: SystemTime,
    pub(super) interval: Duration,
    pub(super) asked: Option<SystemTime>,
    /// The e-mail address of the user who approved; `Err` when the user refused.
    pub(super) decision: Option<Result<String, ()>>,
}

/// The login pages of one issuer.
pub(super) struct LoginEndpoint<'a> {
    pub(super) logins: &'a Logins,
    pub(super) name: &'a str,
    pub(super) issuer: &'a Issuer,
    pub(super) now: SystemTime,
}

impl LoginEndpoint<'_> {
    pub(super) fn pending<T>(&self, work: impl FnOnce(&mut Pending) -> T) -> T {
        work(&mut self.logins.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn fault(&self, fault: Fault) -> bool {
        self.logins.faults.contains(&fault)
    }
}

/// The fields of a form or a query, each once.
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    pub(super) fn read(text: &[u8]) -> Self {
        Self(parse(text).take(FIELDS).map(|(k, v)| (k.into_owned(), v.into_owned())).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

pub(super) fn is_client(id: &str) -> bool {
    ["sigstore", SECRET_CLIENT.0].contains(&id)
}

/// Makes room: the logins that began first are dropped.
pub(super) fn trim<T>(map: &mut BTreeMap<String, T>) {
    while map.len() >= IN_PROGRESS {
        map.pop_first();
    }
}

/// An error of OAuth's endpoints (RFC 6749 5.2).
pub(super) fn refuse(error: &str, description: &str) -> Response<Bytes> {
    let status =
        if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    let mut body = json!({ "error": error });
    if !description.is_empty() {
        body["error_description"] = description.into();
    }
    json_answer(status, &body)
}

/// Whether the client of `form` has shown its secret if it has one.
pub(super) fn authenticate(form: &Form, header: Option<&HeaderValue>) -> Option<String> {
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
pub(super) fn decoded(text: &str) -> String {
    parse(format!("v={text}").as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

/// A subject as Dex makes it: opaque, and the same for the same address.
pub(super) fn subject(email: &str) -> String {
    let id: String = byte_serialize(email.as_bytes()).collect();
    STANDARD.encode(format!("\n{id}\u{12}\u{4}mock"))
}

/// The claims about the user who has logged in at the issuer `name`.
pub(super) fn claims_of(name: &str, email: &str) -> Map<String, Value> {
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

/// How many logins of a kind are in progress at once.
const IN_PROGRESS: usize = 1000;

/// How many fields of a form are read.
const FIELDS: usize = 64;
