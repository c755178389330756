//! The token endpoint.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::progress::{Form, LoginEndpoint, authenticate, claims_of, refuse};
use crate::certificate::unix_seconds;
use crate::service::json_answer;
use crate::{Error, Fault};

impl LoginEndpoint<'_> {
    /// `POST token`.
    pub(super) fn token(
        &self,
        form: &Form,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response<Bytes>, Error> {
        let Some(client) = authenticate(form, authorization) else {
            return Ok(refuse("invalid_client", "Invalid client credentials."));
        };
        match form.get("grant_type") {
            Some("authorization_code") => self.redeem(form, &client),
            Some("urn:ietf:params:oauth:grant-type:device_code") => self.poll(form, &client),
            _ => Ok(refuse("unsupported_grant_type", "")),
        }
    }

    fn redeem(&self, form: &Form, client: &str) -> Result<Response<Bytes>, Error> {
        let code = form.get("code").unwrap_or_default();
        let grant = self.pending(|pending| pending.codes.get(code).cloned());
        let grant = grant.filter(|grant| {
            let request = &grant.request;
            grant.until > self.now && request.client == client && request.issuer == self.name
        });
        let Some(grant) = grant else {
            return Ok(refuse("invalid_grant", "Invalid or expired code parameter."));
        };
        let request = &grant.request;
        match (&request.challenge, form.get("code_verifier")) {
            (Some(challenge), Some(verifier)) if challenge.fits(verifier) => {}
            (None, None) => {}
            (Some(_), Some(_)) => return Ok(refuse("invalid_grant", "Invalid code_verifier.")),
            (Some(_), None) => {
                let description = "Expecting parameter code_verifier in PKCE flow.";
                return Ok(refuse("invalid_grant", description));
            }
            (None, Some(_)) => {
                let description = "No PKCE flow started. Cannot check code_verifier.";
                return Ok(refuse("invalid_request", description));
            }
        }
        if form.get("redirect_uri") != Some(&request.redirect) {
            let description = "redirect_uri did not match URI from initial request.";
            return Ok(refuse("invalid_request", description));
        }
        self.pending(|pending| pending.codes.remove(code));
        self.tokens(client, &grant.email, request.nonce.as_deref(), code)
    }

    /// What the client came for.
    pub(super) fn tokens(
        &self,
        client: &str,
        email: &str,
        nonce: Option<&str>,
        code: &str,
    ) -> Result<Response<Bytes>, Error> {
        let audience = json!(client);
        let mut claims = claims_of(self.name, email);
        claims.insert("auth_time".to_owned(), unix_seconds(self.now).into());
        if let Some(nonce) = nonce {
            let wrong = self.fault(Fault::LoginWrongNonce);
            claims.insert("nonce".to_owned(), if wrong { "another" } else { nonce }.into());
        }
        let mint = |claims: &_| self.issuer.mint_living(&audience, claims, LIFE, self.now);
        let access_token = mint(&claims)?;
        claims.insert("at_hash".to_owned(), half_hash(&access_token));
        claims.insert("c_hash".to_owned(), half_hash(code));
        let mut id_token = mint(&claims)?;
        if self.fault(Fault::LoginForged) {
            // The signature of another text.
            let signature = access_token.rsplit_once('.').map_or("", |(_, signature)| signature);
            let signed = id_token.rsplit_once('.').map_or("", |(signed, _)| signed);
            id_token = format!("{signed}.{signature}");
        }
        let mut response = json_answer(
            StatusCode::OK,
            &json!({
                "access_token": access_token,
                "token_type": "bearer",
                "expires_in": LIFE.as_secs().saturating_sub(1),
                "id_token": id_token,
            }),
        );
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// The left half of the SHA-256, as goes with ES256.
fn half_hash(text: &str) -> Value {
    URL_SAFE_NO_PAD.encode(&keys::sha256(text.as_bytes())[..16]).into()
}

/// How long the tokens of people live at the public Sigstore.
const LIFE: Duration = Duration::from_secs(60);
