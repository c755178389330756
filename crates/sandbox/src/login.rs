//! Logins: the authorization code flow with PKCE, the device flow and the code that is shown, with
//! the pages and the answers of a Dex.

mod device;
mod pages;
mod progress;
mod token;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use self::progress::{Authorization, Challenge, Form, Grant, LoginEndpoint, is_client, trim};
use crate::issuer::{Issuer, random};
use crate::service::answer;
use crate::{Error, Fault};

pub(crate) use self::progress::Logins;
pub use self::progress::{LOGIN_EMAIL, LOGIN_ISSUERS, LoginPage, SECRET_CLIENT};

impl Logins {
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
        let endpoint = LoginEndpoint { logins: self, name, issuer, now };
        let query = Form::read(request.uri().query().unwrap_or_default().as_bytes());
        let form = Form::read(request.body());
        let done = match (request.method(), rest) {
            (&Method::GET, "auth") => endpoint.authorize(&query),
            (&Method::POST, "auth/login") => endpoint.submit(&form),
            (&Method::POST, "device/code") => endpoint.device_code(&form),
            (&Method::GET, "device") => endpoint.device_page(&query),
            (&Method::POST, "device") => endpoint.device_submit(&form),
            (&Method::POST, "token") if form.get("grant_type").is_some() => {
                endpoint.token(&form, request.headers().get(AUTHORIZATION))
            }
            _ => return None,
        };
        Some(done.unwrap_or_else(|error| {
            answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string())
        }))
    }
}

impl LoginEndpoint<'_> {
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
        let id = base16ct::lower::encode_string(&random::<16>()?);
        self.pending(|pending| {
            trim(&mut pending.requests);
            pending.requests.insert(id.clone(), request);
        });
        let action = format!("{}/auth/login", self.issuer.url());
        let itself = self.logins.page == LoginPage::Script;
        Ok(pages::login(&action, "request", &id, itself))
    }

    /// `POST auth/login`: the user has decided.
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
        let code = base16ct::lower::encode_string(&random::<16>()?);
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

/// A public client may be sent to any port and path of loopback.
fn is_loopback(redirect: &str) -> bool {
    Url::parse(redirect).is_ok_and(|url| {
        let host = url.host_str().unwrap_or_default();
        url.scheme() == "http" && ["localhost", "127.0.0.1", "[::1]"].contains(&host)
    })
}

/// The redirect that shows the code instead.
const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

/// How long a code is good.
const CODE_LIFE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests;
