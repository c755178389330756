//! Asking a token service, in the two ways that token services know.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use host::{CallPolicy, Redirects, Transport, TransportError};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::answer::{Answer, shown};
use crate::credentials::{Credentials, TOKEN_USER};
use crate::error::Error;
use crate::keychain::Lookup;

/// A token service, and what to ask it for.
#[derive(Debug)]
pub(crate) struct TokenService<'a> {
    pub(crate) realm: Url,
    /// Whether it is another host than the registry's.
    pub(crate) elsewhere: bool,
    pub(crate) service: Option<&'a str>,
    pub(crate) scopes: Vec<String>,
}

impl TokenService<'_> {
    /// Asks for a token with `lookup`'s credentials, in the other way if the service does not know
    /// the first.
    pub(crate) async fn ask(&self, http: &dyn Transport, lookup: &Lookup) -> Result<Answer, Error> {
        let (first, second) = match &lookup.credentials {
            Some(Credentials::IdentityToken(token)) => {
                let grant =
                    [("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())];
                (self.post(&grant), Some(self.get(Some(basic(TOKEN_USER, token)))))
            }
            Some(Credentials::Basic { username, password }) => {
                let grant = [
                    ("grant_type", "password"),
                    ("username", username),
                    ("password", password.expose_secret()),
                ];
                (self.get(Some(basic(username, password))), Some(self.post(&grant)))
            }
            Some(Credentials::RegistryToken(_)) | None => (self.get(None), None),
        };
        let answer = self.send(http, first, lookup).await?;
        match second {
            Some(second) if knows_another_way(&answer) => self.send(http, second, lookup).await,
            _ => Ok(answer),
        }
    }

    async fn send(
        &self,
        http: &dyn Transport,
        request: Result<Request<Bytes>, http::Error>,
        lookup: &Lookup,
    ) -> Result<Answer, Error> {
        let host = self.realm.host_str().unwrap_or_default().to_owned();
        let request = request.map_err(|error| Error::Invalid {
            what: format!("the token service {}", shown(&self.realm)),
            reason: error.to_string(),
        })?;
        let method = request.method().clone();
        let policy = CallPolicy::new()
            .with_body_cap(TOKEN_ANSWER_CAP)
            .with_redirects(Redirects::SameOrigin)
            // `address` has decided whether the service may be asked by plain http.
            .with_plain_http(true)
            // Asking twice for a token does no harm.
            .with_idempotent(true)
            .with_retry_answers(false);
        let response = http.send(request, &policy).await.map_err(|source| match source {
            TransportError::TooLarge { cap, .. } => Error::Invalid {
                what: format!("the answer of the token service {host}"),
                reason: format!("it is larger than the limit of {cap} bytes"),
            },
            source => Error::Transport { registry: host.clone(), source },
        })?;
        let (parts, body) = response.into_parts();
        let credentials = lookup.credentials.as_ref().map(|_| lookup.origin.clone());
        Ok(Answer {
            parts: None,
            method,
            url: self.realm.clone(),
            status: parts.status,
            headers: parts.headers,
            body,
            other_host: self.elsewhere.then_some(host),
            credentials,
            looked_for: Some(lookup.origin.clone()),
        })
    }

    fn get(&self, authorization: Option<HeaderValue>) -> Result<Request<Bytes>, http::Error> {
        let mut url = self.realm.clone();
        url.query_pairs_mut()
            .extend_pairs(self.service.map(|service| ("service", service)))
            .extend_pairs(self.scopes.iter().map(|scope| ("scope", scope)))
            .append_pair("client_id", CLIENT_ID);
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(url.as_str())
            .header(ACCEPT, "application/json");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(Bytes::new())
    }

    fn post(&self, grant: &[(&str, &str)]) -> Result<Request<Bytes>, http::Error> {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(grant);
        form.extend_pairs(self.service.map(|service| ("service", service)));
        form.append_pair("scope", &self.scopes.join(" ")).append_pair("client_id", CLIENT_ID);
        Request::builder()
            .method(Method::POST)
            .uri(self.realm.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(form.finish()))
    }
}

/// The token in an answer, and until when it is used.
pub(crate) fn read(
    answer: &Answer,
    registry: &Url,
    now: SystemTime,
) -> Result<(HeaderValue, SystemTime), Error> {
    let invalid = |reason: &str| Error::Invalid {
        what: format!("the answer of the token service {}", shown(&answer.url)),
        reason: reason.to_owned(),
    };
    let answer: TokenAnswer = serde_json::from_slice(&answer.body)
        .map_err(|_| invalid("expected a JSON object with a token"))?;
    let given =
        |token: Option<SecretString>| token.filter(|token| !token.expose_secret().is_empty());
    let token = given(answer.access_token)
        .or_else(|| given(answer.token))
        .ok_or_else(|| invalid("it has neither token nor access_token"))?;
    let lifetime = answer.expires_in.and_then(|seconds| seconds.as_f64()).unwrap_or(60.0);
    // NaN and negative become zero; the cap keeps the addition in range.
    let lifetime = Duration::from_secs(lifetime.clamp(0.0, LONGEST_LIFETIME) as u64);
    let until = now.checked_add(lifetime.saturating_sub(SKEW)).unwrap_or(now);
    Ok((bearer(&token, registry)?, until))
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<SecretString>,
    token: Option<SecretString>,
    expires_in: Option<serde_json::Value>,
}

/// Token services know one of two ways to be asked, and say so about the other.
fn knows_another_way(answer: &Answer) -> bool {
    [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&answer.status)
}

pub(crate) fn basic(username: &str, password: &SecretString) -> HeaderValue {
    let pair = STANDARD.encode(format!("{username}:{}", password.expose_secret()));
    // Base64 is always a valid header value.
    let value = HeaderValue::from_str(&format!("Basic {pair}"));
    sensitive(value.unwrap_or_else(|_| HeaderValue::from_static("Basic")))
}

pub(crate) fn bearer(token: &SecretString, registry: &Url) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
    value.map(sensitive).map_err(|_| Error::Invalid {
        what: format!("the token for {}", registry.host_str().unwrap_or_default()),
        reason: "it contains characters that a header cannot hold".to_owned(),
    })
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

const CLIENT_ID: &str = "ambisign";
const LONGEST_LIFETIME: f64 = 86_400.0;
/// How long before its end a token is no longer used.
const SKEW: Duration = Duration::from_secs(5);
const TOKEN_ANSWER_CAP: usize = 64 << 10;
