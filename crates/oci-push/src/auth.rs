//! Meeting a registry's challenge: which credentials, which token, and for how long.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use host::{CallPolicy, Host, TransportError};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::answer::Answer;
use crate::challenge::{Challenge, merge_scopes};
use crate::concurrent::{Locks, guard};
use crate::credentials::{self, Lookup, TOKEN_USER};
use crate::{Access, Credentials, Error, Repository, realm};

/// Credentials and tokens of one process, each kept for one repository.
pub(crate) struct Auth {
    explicit: Option<Credentials>,
    host: Host,
    lookups: Mutex<HashMap<Repository, Arc<Lookup>>>,
    ready: Mutex<HashMap<(Repository, Access), Ready>>,
    /// One token request at a time for one purpose: parallel uploads share what the first gets.
    asking: Locks,
}

/// An `Authorization` header that was good a moment ago.
struct Ready {
    authorization: HeaderValue,
    until: Option<SystemTime>,
}

impl Auth {
    pub(crate) fn new(host: Host, explicit: Option<Credentials>) -> Self {
        Self {
            explicit,
            host,
            lookups: Mutex::default(),
            ready: Mutex::default(),
            asking: Locks::default(),
        }
    }

    /// The header to send without being asked, if an earlier challenge taught us one. The right to
    /// push includes the right to pull.
    pub(crate) fn ready(&self, repository: &Repository, access: Access) -> Option<HeaderValue> {
        let now = self.host.clock.now();
        let ready = guard(&self.ready);
        [access, Access::Push].into_iter().find_map(|access| {
            let known = ready.get(&(repository.clone(), access))?;
            let fresh = known.until.is_none_or(|until| now < until);
            fresh.then(|| known.authorization.clone())
        })
    }

    /// Answers `challenge` of the registry at `base`. `None` when there is nothing better to send
    /// than `tried`.
    pub(crate) async fn meet(
        &self,
        base: &Url,
        repository: &Repository,
        access: Access,
        challenge: &Challenge,
        tried: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Error> {
        let _held = self.asking.hold(format!("{repository} {access:?}")).await;
        if let Some(ready) = self.ready(repository, access)
            && Some(&ready) != tried
        {
            return Ok(Some(ready));
        }
        let lookup = self.lookup(repository).await?;
        let (authorization, until) = match (challenge, &lookup.credentials) {
            (_, Some(Credentials::RegistryToken(token))) => (bearer(token, base)?, None),
            (Challenge::Bearer { .. }, _) => {
                let token = self.token(base, repository, access, challenge, &lookup).await?;
                (token.0, Some(token.1))
            }
            (Challenge::Basic, Some(Credentials::Basic { username, password })) => {
                (basic(username, password), None)
            }
            (Challenge::Basic, Some(Credentials::IdentityToken(_)) | None) => return Ok(None),
        };
        if Some(&authorization) == tried {
            return Ok(None);
        }
        let ready = Ready { authorization: authorization.clone(), until };
        guard(&self.ready).insert((repository.clone(), access), ready);
        Ok(Some(authorization))
    }

    /// A token for nobody in particular, for a server that a registry redirected a download to.
    pub(crate) async fn anonymous(
        &self,
        server: &Url,
        challenge: &Challenge,
        repository: &Repository,
    ) -> Result<Option<HeaderValue>, Error> {
        let Challenge::Bearer { realm, service, scope, .. } = challenge else {
            return Ok(None);
        };
        let realm = realm::check(realm, server)?;
        let scopes: Vec<String> = scope
            .iter()
            .flat_map(|scope| scope.split_ascii_whitespace())
            .map(str::to_owned)
            .collect();
        let lookup = Lookup { credentials: None, origin: "no credentials".to_owned() };
        let request = get(&realm, service.as_deref(), &scopes, None);
        let answer = self.ask(&realm, request, &lookup).await?;
        if !answer.status.is_success() {
            return Err(answer.into_error(repository, Access::Pull, || "the token".to_owned()));
        }
        self.read_token(&answer, server).map(|(authorization, _)| Some(authorization))
    }

    /// The credentials for `repository`, searched for once.
    pub(crate) async fn lookup(&self, repository: &Repository) -> Result<Arc<Lookup>, Error> {
        if let Some(known) = guard(&self.lookups).get(repository) {
            return Ok(Arc::clone(known));
        }
        let _held = self.asking.hold(format!("{repository} credentials")).await;
        if let Some(known) = guard(&self.lookups).get(repository) {
            return Ok(Arc::clone(known));
        }
        let found = match &self.explicit {
            Some(credentials) => Lookup {
                credentials: Some(credentials.clone()),
                origin: "the credentials given explicitly".to_owned(),
            },
            None => credentials::find(&self.host, repository).await?,
        };
        let found = Arc::new(found);
        guard(&self.lookups).insert(repository.clone(), Arc::clone(&found));
        Ok(found)
    }

    /// What is known of the search for `repository`, if there was one.
    pub(crate) fn looked_up(&self, repository: &Repository) -> Option<Arc<Lookup>> {
        guard(&self.lookups).get(repository).cloned()
    }

    async fn token(
        &self,
        base: &Url,
        repository: &Repository,
        access: Access,
        challenge: &Challenge,
        lookup: &Lookup,
    ) -> Result<(HeaderValue, SystemTime), Error> {
        let Challenge::Bearer { realm, service, scope, .. } = challenge else {
            return Err(Error::Invalid {
                what: format!("the challenge of {repository}"),
                reason: "expected a bearer challenge".to_owned(),
            });
        };
        let realm = realm::check(realm, base)?;
        let actions = match access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        let needed = format!("repository:{}:{actions}", repository.path());
        let scopes = merge_scopes(scope.as_deref(), &needed);
        let service = service.as_deref();
        let answer = match &lookup.credentials {
            Some(Credentials::IdentityToken(token)) => {
                let request = post(
                    &realm,
                    service,
                    &scopes,
                    &[("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())],
                );
                let answer = self.ask(&realm, request, lookup).await?;
                if speaks_no_oauth(&answer) {
                    let request = get(&realm, service, &scopes, Some(basic(TOKEN_USER, token)));
                    self.ask(&realm, request, lookup).await?
                } else {
                    answer
                }
            }
            Some(Credentials::Basic { username, password }) => {
                let request = get(&realm, service, &scopes, Some(basic(username, password)));
                let answer = self.ask(&realm, request, lookup).await?;
                if speaks_no_oauth(&answer) {
                    let request = post(
                        &realm,
                        service,
                        &scopes,
                        &[
                            ("grant_type", "password"),
                            ("username", username),
                            ("password", password.expose_secret()),
                        ],
                    );
                    self.ask(&realm, request, lookup).await?
                } else {
                    answer
                }
            }
            Some(Credentials::RegistryToken(_)) | None => {
                self.ask(&realm, get(&realm, service, &scopes, None), lookup).await?
            }
        };
        if answer.status.is_success() {
            return self.read_token(&answer, base);
        }
        // What an anonymous client may not have, a known one might.
        let anonymous = lookup.credentials.is_none();
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status)
            || answer.status == StatusCode::BAD_REQUEST && !anonymous;
        if refused && (anonymous || answer.status != StatusCode::FORBIDDEN) {
            let who = realm.host_str().unwrap_or_default();
            return Err(Error::Unauthorized {
                repository: repository.to_string(),
                access,
                credentials: match anonymous {
                    true => lookup.origin.clone(),
                    false => format!("{} were refused by {who}", lookup.origin),
                },
                detail: answer.detail(),
            });
        }
        Err(answer.into_error(repository, access, || {
            format!("the token service {}", crate::answer::shown(&realm))
        }))
    }

    async fn ask(
        &self,
        realm: &Url,
        request: Result<Request<Bytes>, http::Error>,
        lookup: &Lookup,
    ) -> Result<Answer, Error> {
        let registry = realm.host_str().unwrap_or_default().to_owned();
        let request = request.map_err(|error| Error::Invalid {
            what: format!("the token service {}", crate::answer::shown(realm)),
            reason: error.to_string(),
        })?;
        // Asking for a token a second time is harmless.
        let policy = CallPolicy::new().with_body_cap(TOKEN_ANSWER_CAP).with_idempotent(true);
        let method = request.method().clone();
        let response =
            self.host.http.send(request, &policy).await.map_err(|source| match source {
                TransportError::TooLarge { cap, .. } => Error::Invalid {
                    what: format!("the answer of the token service {registry}"),
                    reason: format!("it is larger than the limit of {cap} bytes"),
                },
                source => Error::Transport { registry, source },
            })?;
        let (parts, body) = response.into_parts();
        let credentials = lookup.credentials.as_ref().map(|_| lookup.origin.clone());
        Ok(Answer {
            method,
            url: realm.clone(),
            status: parts.status,
            headers: parts.headers,
            body,
            credentials,
            looked_for: Some(lookup.origin.clone()),
        })
    }

    fn read_token(&self, answer: &Answer, base: &Url) -> Result<(HeaderValue, SystemTime), Error> {
        let invalid = |reason: &str| Error::Invalid {
            what: format!("the answer of the token service {}", crate::answer::shown(&answer.url)),
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
        let now = self.host.clock.now();
        let until = now.checked_add(lifetime.saturating_sub(SKEW)).unwrap_or(now);
        Ok((bearer(&token, base)?, until))
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("explicit", &self.explicit).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<SecretString>,
    token: Option<SecretString>,
    expires_in: Option<serde_json::Value>,
}

fn get(
    realm: &Url,
    service: Option<&str>,
    scopes: &[String],
    authorization: Option<HeaderValue>,
) -> Result<Request<Bytes>, http::Error> {
    let mut url = realm.clone();
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(service.map(|service| ("service", service)));
        query.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
        query.append_pair("client_id", CLIENT_ID);
    }
    let mut request =
        Request::builder().method(Method::GET).uri(url.as_str()).header(ACCEPT, "application/json");
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    request.body(Bytes::new())
}

fn post(
    realm: &Url,
    service: Option<&str>,
    scopes: &[String],
    grant: &[(&str, &str)],
) -> Result<Request<Bytes>, http::Error> {
    let mut form = Serializer::new(String::new());
    form.extend_pairs(grant);
    form.extend_pairs(service.map(|service| ("service", service)));
    form.append_pair("scope", &scopes.join(" ")).append_pair("client_id", CLIENT_ID);
    Request::builder()
        .method(Method::POST)
        .uri(realm.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(form.finish()))
}

/// Token services know one of two ways to be asked, and say so about the other.
fn speaks_no_oauth(answer: &Answer) -> bool {
    [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&answer.status)
}

fn basic(username: &str, password: &SecretString) -> HeaderValue {
    let pair = STANDARD.encode(format!("{username}:{}", password.expose_secret()));
    // Base64 is always a valid header value.
    let value = HeaderValue::from_str(&format!("Basic {pair}"));
    sensitive(value.unwrap_or_else(|_| HeaderValue::from_static("Basic")))
}

fn bearer(token: &SecretString, base: &Url) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
    value.map(sensitive).map_err(|_| Error::Invalid {
        what: format!("the token for {}", base.host_str().unwrap_or_default()),
        reason: "it contains characters that no header can carry".to_owned(),
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
