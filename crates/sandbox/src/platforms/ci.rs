//! CI platforms and machines that hand out tokens over HTTP.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::claims;
use super::endpoints::{Platforms, first};
use super::misbehaviour::refusal;
use crate::issuer::TOKEN_LIFE;
use crate::service::{answer, json_answer};

/// The audience of Azure's tokens, which is fixed.
pub(crate) const AZURE_AUDIENCE: &str = "api://AzureADTokenExchange";

/// The service connection that Azure's pipeline uses.
pub(crate) const AZURE_CONNECTION: &str = "8b6f2c1e-0000-4000-8000-00000000000a";

/// What machines of Azure's sign for, whatever they are asked for.
const HOUR: u64 = 3600;

impl Platforms {
    /// `GET /forgejo/...?placeholder=true&audience=`, as GitHub's.
    pub(super) fn forgejo(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if request.uri().path() != FORGEJO_PATH {
            return None;
        }
        Some(self.granted(request, "Bearer ", || {
            let audience = first(request, "audience").unwrap_or_else(|| "https://acme".to_owned());
            let token = self.mint("forgejo", &audience.into(), &claims::forgejo(), LIFE);
            self.json("value", token)
        }))
    }

    /// `POST /buildkite/v3/jobs/{id}/oidc/tokens`.
    pub(super) fn buildkite(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let rest = request.uri().path().strip_prefix("/buildkite/v3/jobs/")?;
        let job = rest.strip_suffix("/oidc/tokens")?;
        if request.method() != Method::POST {
            return Some(answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", ""));
        }
        Some(self.granted(request, "Token ", || {
            if job != claims::BUILDKITE_JOB {
                return refusal(StatusCode::NOT_FOUND, "NOT_FOUND", "No such job");
            }
            let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
            let own = json!("https://buildkite.com/acme");
            let audience = body.get("audience").filter(|value| value.is_string()).unwrap_or(&own);
            let life = body.get("lifetime").and_then(Value::as_u64).unwrap_or(LIFE);
            self.json("token", self.mint("buildkite", audience, &claims::buildkite(), life))
        }))
    }

    /// `GET /codefresh/token?audience=`; the authorization is the bare request token.
    pub(super) fn codefresh(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if request.uri().path() != "/codefresh/token" {
            return None;
        }
        Some(self.granted(request, "", || {
            let audience = first(request, "audience").unwrap_or_else(|| "codefresh".to_owned());
            let token = self.mint("codefresh", &audience.into(), &claims::codefresh(), LIFE);
            self.json("id_token", token)
        }))
    }

    /// `POST /azure-pipelines/oidctoken?api-version=7.1&serviceConnectionId=`.
    pub(super) fn azure_pipelines(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if request.uri().path() != "/azure-pipelines/oidctoken" {
            return None;
        }
        if request.method() != Method::POST {
            return Some(answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", ""));
        }
        Some(self.granted(request, "Bearer ", || {
            if first(request, "api-version").is_none() {
                return refusal(StatusCode::BAD_REQUEST, "", "No api-version was supplied");
            }
            if first(request, "serviceConnectionId").as_deref() != Some(AZURE_CONNECTION) {
                return refusal(StatusCode::NOT_FOUND, "", "There is no such service connection");
            }
            let claims = claims::subject("sc://acme/app/signing");
            self.json("oidcToken", self.mint("azure", &AZURE_AUDIENCE.into(), &claims, LIFE))
        }))
    }

    /// The metadata service of Azure's machines, and that of its app services.
    pub(super) fn azure_machine(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let header = match request.uri().path() {
            "/metadata/identity/oauth2/token" => ("metadata", "true"),
            "/azure/msi/token" => ("x-identity-header", self.secret()),
            _ => return None,
        };
        let (name, wanted) = header;
        if request.headers().get(name).is_none_or(|value| value != wanted) {
            let message = "Required metadata header not specified";
            return Some(refusal(StatusCode::BAD_REQUEST, "invalid_request", message));
        }
        if let Some(instead) = self.misbehaviour.instead(request) {
            return Some(instead);
        }
        let Some(resource) = first(request, "resource") else {
            let message = "Required query variable 'resource' is missing";
            return Some(refusal(StatusCode::BAD_REQUEST, "invalid_request", message));
        };
        let claims = claims::subject("6f2c1e8b-0000-4000-8000-00000000000b");
        let mut fields = match self.mint("azure", &json!(resource), &claims, HOUR) {
            Ok(token) => json!({ "access_token": token }),
            Err(error) => return Some(self.json("access_token", Err(error))),
        };
        // Numbers are texts here; Azure's own client takes no token without its end.
        let end = self.seconds().saturating_add(HOUR);
        fields["expires_on"] = end.to_string().into();
        fields["resource"] = resource.into();
        fields["token_type"] = "Bearer".into();
        Some(json_answer(StatusCode::OK, &fields))
    }

    /// `POST /v1/tokens/oidc` on the socket of a Fly.io machine: the answer is the bare token.
    pub(super) fn fly(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if (request.method(), request.uri().path()) != (&Method::POST, "/v1/tokens/oidc") {
            return None;
        }
        if let Some(instead) = self.misbehaviour.instead(request) {
            return Some(instead);
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let own = json!("https://fly.io/acme");
        let audience = body.get("aud").filter(|value| value.is_string()).unwrap_or(&own);
        let token = self.mint("fly", audience, &claims::subject("acme:app:builder"), 900);
        Some(match token {
            Ok(token) => answer(StatusCode::OK, "text/plain", token),
            Err(error) => {
                answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string())
            }
        })
    }

    /// `POST /aws/` with the action GetWebIdentityToken, in a request that is signed somehow: the
    /// signature itself is AWS's to check.
    pub(super) fn aws(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if request.uri().path() != "/aws/" {
            return None;
        }
        let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let scheme = "AWS4-HMAC-SHA256 Credential=AKIASANDBOX/";
        if !bearer.is_some_and(|value| value.starts_with(scheme)) {
            return Some(aws_error(StatusCode::FORBIDDEN, "MissingAuthenticationToken"));
        }
        if let Some(instead) = self.misbehaviour.instead(request) {
            return Some(instead);
        }
        let form: Vec<(String, String)> =
            url::form_urlencoded::parse(request.body()).into_owned().collect();
        let field =
            |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let (Some("GetWebIdentityToken"), Some("2011-06-15")) = (field("Action"), field("Version"))
        else {
            return Some(aws_error(StatusCode::BAD_REQUEST, "InvalidAction"));
        };
        let (Some(audience), Some("RS256" | "ES384")) =
            (field("Audience.member.1"), field("SigningAlgorithm"))
        else {
            return Some(aws_error(StatusCode::BAD_REQUEST, "ValidationError"));
        };
        let claims = claims::subject("arn:aws:iam::123456789012:role/builder");
        Some(match self.mint("aws", &audience.into(), &claims, LIFE) {
            Ok(token) => answer(
                StatusCode::OK,
                "text/xml",
                format!(
                    "<GetWebIdentityTokenResponse><GetWebIdentityTokenResult><WebIdentityToken>\
                     {token}</WebIdentityToken></GetWebIdentityTokenResult>\
                     </GetWebIdentityTokenResponse>"
                ),
            ),
            Err(_) => aws_error(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
        })
    }

    /// Answers with `token` those who have the request token behind `scheme`.
    fn granted(
        &self,
        request: &Request<Bytes>,
        scheme: &str,
        token: impl FnOnce() -> Response<Bytes>,
    ) -> Response<Bytes> {
        let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let secret = given
            .filter(|given| given.to_ascii_lowercase().starts_with(&scheme.to_ascii_lowercase()))
            .and_then(|given| given.get(scheme.len()..));
        if secret != Some(self.secret()) {
            let message = "The request token is missing or wrong";
            return refusal(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message);
        }
        self.misbehaviour.instead(request).unwrap_or_else(token)
    }
}

fn aws_error(status: StatusCode, code: &str) -> Response<Bytes> {
    let body = format!(
        "<ErrorResponse><Error><Code>{code}</Code><Message>the sandbox's STS refuses this\
         </Message></Error></ErrorResponse>"
    );
    answer(status, "text/xml", body)
}

/// What a Forgejo job's variable has behind the host.
pub(crate) const FORGEJO_PATH: &str = "/forgejo/api/actions/_apis/pipelines/workflows/7/idtoken";

/// In seconds.
const LIFE: u64 = TOKEN_LIFE.as_secs();
