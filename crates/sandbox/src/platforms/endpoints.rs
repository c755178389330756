//! What all endpoints for tokens have in common.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use host::Clock;
use http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::misbehaviour::Misbehaviour;
use crate::oidc::Oidc;
use crate::service::{answer, json_answer};
use crate::{Error, Fault};

/// The issuers of platforms that no Fulcio of ours believes, as the public one does not believe
/// theirs.
pub const UNTRUSTED_ISSUERS: [&str; 8] =
    ["aws", "azure", "bitbucket", "fly", "forgejo", "semaphore", "terraform", "vercel"];

/// The endpoints of all platforms, below paths of their own.
pub(crate) struct Platforms {
    oidc: Arc<Oidc>,
    /// What stands in the variables for request tokens.
    secret: String,
    pub(super) misbehaviour: Misbehaviour,
    clock: Arc<dyn Clock>,
}

impl Platforms {
    pub(crate) fn new(
        oidc: Arc<Oidc>,
        secret: String,
        misbehaviour: Misbehaviour,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { oidc, secret, misbehaviour, clock }
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.misbehaviour.has(fault)
    }

    /// The time, in seconds since 1970.
    pub(super) fn seconds(&self) -> u64 {
        self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// A token of `issuer` that lives for `life` seconds.
    pub(crate) fn mint(
        &self,
        issuer: &str,
        audience: &Value,
        claims: &Map<String, Value>,
        life: u64,
    ) -> Result<String, Error> {
        let issuer = self
            .oidc
            .issuer(issuer)
            .ok_or_else(|| Error::Config { reason: format!("there is no issuer {issuer:?}") })?;
        issuer.mint_living(audience, claims, Duration::from_secs(life), self.clock.now())
    }

    /// The token as the member `field` of an object.
    pub(super) fn json(&self, field: &str, token: Result<String, Error>) -> Response<Bytes> {
        match token {
            Ok(token) => json_answer(StatusCode::OK, &json!({ field: token })),
            Err(error) => {
                answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string())
            }
        }
    }
}

/// The first value of `name` in the query.
pub(super) fn first(request: &Request<Bytes>, name: &str) -> Option<String> {
    url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
