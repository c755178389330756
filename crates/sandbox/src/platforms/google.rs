//! Google's metadata server, and the API by which one service account speaks for another.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::claims::{self, MACHINE, SIGNER};
use super::endpoints::{Platforms, first};
use super::misbehaviour::refusal;
use crate::Fault;
use crate::service::{answer, json_answer};

/// What both directions of a conversation with the metadata server carry.
const FLAVOR: &str = "metadata-flavor";

/// How long Google's tokens live, in seconds.
const LIFE: u64 = 3600;

impl Platforms {
    /// The metadata server; `None` for a path that is not its own.
    pub(super) fn metadata(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let path = request.uri().path();
        let mut response = match path.strip_prefix("/computeMetadata/v1/") {
            // Detection looks at the answer's header, and some do not send theirs.
            None if path == "/" => answer(StatusCode::OK, "application/text", "computeMetadata/\n"),
            None => return None,
            Some(what) => self.value(request, what),
        };
        response.headers_mut().insert(FLAVOR, HeaderValue::from_static("Google"));
        response.headers_mut().insert("server", HeaderValue::from_static("Metadata Server for VM"));
        Some(response)
    }

    fn value(&self, request: &Request<Bytes>, what: &str) -> Response<Bytes> {
        let flavored = request.headers().get(FLAVOR).is_some_and(|value| value == "Google");
        if !flavored {
            return text(StatusCode::FORBIDDEN, "Missing Metadata-Flavor:Google header.");
        }
        if request.headers().contains_key("x-forwarded-for") {
            return text(StatusCode::FORBIDDEN, "Requests through a proxy are not allowed.");
        }
        if request.method() != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        }
        match what {
            "project/project-id" => return text(StatusCode::OK, "sandbox-project"),
            "project/numeric-project-id" => return text(StatusCode::OK, "739419398126"),
            "instance/id" => return text(StatusCode::OK, "4520031799277581759"),
            "instance/zone" => {
                return text(StatusCode::OK, "projects/739419398126/zones/europe-west1-b");
            }
            "universe/universe-domain" | "universe/universe_domain" => {
                return text(StatusCode::OK, "googleapis.com");
            }
            "instance/service-accounts/" => {
                return text(StatusCode::OK, &format!("default/\n{MACHINE}/\n"));
            }
            _ => {}
        }
        let account = what.strip_prefix("instance/service-accounts/");
        match account.and_then(|rest| rest.split_once('/')) {
            Some(("default" | MACHINE, property)) => self.account(request, property),
            _ => text(StatusCode::NOT_FOUND, "Not Found"),
        }
    }

    fn account(&self, request: &Request<Bytes>, property: &str) -> Response<Bytes> {
        match property {
            "" if first(request, "recursive").is_some_and(|value| value == "true") => json_answer(
                StatusCode::OK,
                &json!({ "aliases": ["default"], "email": MACHINE, "scopes": [SCOPE] }),
            ),
            "" => text(StatusCode::OK, "aliases\nemail\nidentity\nscopes\ntoken\n"),
            "email" => text(StatusCode::OK, MACHINE),
            "scopes" => text(StatusCode::OK, SCOPE),
            "identity" => self.identity(request),
            "token" => json_answer(
                StatusCode::OK,
                &json!({
                    "access_token": self.access_token(),
                    "expires_in": LIFE,
                    "token_type": "Bearer",
                }),
            ),
            _ => text(StatusCode::NOT_FOUND, "Not Found"),
        }
    }

    fn identity(&self, request: &Request<Bytes>) -> Response<Bytes> {
        if let Some(instead) = self.misbehaviour.instead(request) {
            return instead;
        }
        let Some(audience) = first(request, "audience").filter(|audience| !audience.is_empty())
        else {
            return text(StatusCode::BAD_REQUEST, "non-empty audience parameter required");
        };
        let mut claims = claims::google(MACHINE);
        let full = first(request, "format").is_some_and(|format| format == "full");
        if !full || self.misbehaviour.has(Fault::IdentityWithoutEmail) {
            claims
                .retain(|name, _| !matches!(name.as_str(), "email" | "email_verified" | "google"));
        }
        match self.mint("email", &audience.into(), &claims, LIFE) {
            Ok(token) => text(StatusCode::OK, &token),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    /// `POST /v1/projects/-/serviceAccounts/{account}:generateIdToken`.
    pub(super) fn generate_id_token(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let rest = request.uri().path().strip_prefix("/v1/projects/-/serviceAccounts/")?;
        let account = rest.strip_suffix(":generateIdToken")?.replace("%40", "@");
        let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if bearer != Some(&format!("Bearer {}", self.access_token())) {
            let message = "Request had invalid authentication credentials.";
            return Some(refusal(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message));
        }
        if let Some(instead) = self.misbehaviour.instead(request) {
            return Some(instead);
        }
        if account != SIGNER && account != claims::account_id(SIGNER) {
            let message = format!("Unknown service account {account}");
            return Some(refusal(StatusCode::NOT_FOUND, "NOT_FOUND", &message));
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let Some(audience) = body.get("audience").filter(|value| value.is_string()) else {
            let message = "audience must be non-empty";
            return Some(refusal(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message));
        };
        let mut claims = claims::google(SIGNER);
        let wanted = body.get("includeEmail") == Some(&Value::Bool(true));
        if !wanted || self.misbehaviour.has(Fault::IdentityWithoutEmail) {
            claims.retain(|name, _| !name.starts_with("email"));
        }
        Some(self.json("token", self.mint("email", audience, &claims, LIFE)))
    }

    /// `POST /google/token`: an access token for who has logged in (RFC 6749 6).
    pub(super) fn refresh(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if (request.method(), request.uri().path()) != (&Method::POST, "/google/token") {
            return None;
        }
        let form: Vec<(String, String)> =
            url::form_urlencoded::parse(request.body()).into_owned().collect();
        let has = |name: &str, value: &str| form.iter().any(|(n, v)| n == name && v == value);
        if !has("grant_type", "refresh_token") || !has("refresh_token", self.secret()) {
            let error = json!({ "error": "invalid_grant", "error_description": "Bad Request" });
            return Some(json_answer(StatusCode::BAD_REQUEST, &error));
        }
        let token = json!({
            "access_token": self.access_token(),
            "expires_in": LIFE,
            "token_type": "Bearer",
        });
        Some(json_answer(StatusCode::OK, &token))
    }

    fn access_token(&self) -> String {
        format!("ya29.{}", self.secret())
    }
}

fn text(status: StatusCode, content: &str) -> Response<Bytes> {
    answer(status, "application/text", content.to_owned())
}

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
