//! The token endpoint, and what comes of its answer.

use std::time::{Duration, SystemTime};

use host::{Clock, Host};
use id_token::IdToken;
use serde_json::{Map, Value};

use crate::call::Caller;
use crate::discovery::Discovery;
use crate::key_set::KeySet;
use crate::pkce::Attempt;
use crate::verification::Expected;
use crate::{Error, Untrusted};

/// One issuer whose discovery document is at hand.
pub(crate) struct Exchange<'a> {
    pub(crate) caller: Caller<'a>,
    pub(crate) discovery: Discovery,
    pub(crate) host: &'a Host,
}

impl Exchange<'_> {
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.host.clock
    }

    /// Trades an authorization code for the identity token (RFC 6749 4.1.3).
    pub(crate) async fn redeem(
        &self,
        code: &str,
        redirect: &str,
        attempt: &Attempt,
    ) -> Result<IdToken, Error> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", attempt.verifier()),
        ];
        let answer = self.post_for_token(&fields, Duration::MAX).await?;
        self.accept(&answer, Some(&attempt.nonce)).await
    }

    pub(crate) async fn post_for_token(
        &self,
        fields: &[(&str, &str)],
        patience: Duration,
    ) -> Result<Map<String, Value>, Error> {
        let authentication = self.discovery.authentication;
        self.caller
            .post("token endpoint", &self.discovery.token, authentication, fields, patience)
            .await
    }

    /// The identity token in an answer of the token endpoint, once every check has passed.
    pub(crate) async fn accept(
        &self,
        answer: &Map<String, Value>,
        nonce: Option<&str>,
    ) -> Result<IdToken, Error> {
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let untrusted = |source| Error::Untrusted { issuer: self.discovery.issuer.clone(), source };
        let token = text("id_token")
            .ok_or_else(|| self.caller.answer("token endpoint", "its answer has no id_token"))?;
        let token = IdToken::parse(token)
            .map_err(|error| untrusted(Untrusted::Malformed { reason: error.to_string() }))?;
        let keys = self.caller.get("key set", &self.discovery.keys, KEYS_CAP).await?;
        let now: SystemTime = self.clock().now();
        let expected = Expected {
            issuer: &self.discovery.issuer,
            client_id: self.caller.client_id,
            algorithms: &self.discovery.algorithms,
            nonce,
            access_token: text("access_token"),
            now,
        };
        expected.check(&token, &KeySet::read(&keys)).map_err(untrusted)?;
        Ok(token)
    }
}

/// The largest key set, in bytes.
const KEYS_CAP: usize = 256 << 10;
