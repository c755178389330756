//! The IAM Credentials API, which gives tokens of one service account to another.

use host::Host;
use http::StatusCode;
use id_token::{Audience, IdToken};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::Url;

use crate::fetch::{self, Call, Failure};

/// The scope of the access tokens that are asked for.
pub const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The URL of `generateIdToken` of the service account `account`, which a variable names.
pub(crate) fn account_url(host: &Host, account: &str) -> Result<Url, Failure> {
    let var = |name| host.env.var(name);
    let (name, base) = match (var(ENDPOINT), var(UNIVERSE)) {
        (Some(base), _) => (ENDPOINT, base),
        (None, Some(universe)) => (UNIVERSE, format!("https://iamcredentials.{universe}/")),
        (None, None) => ("the IAM Credentials API", DEFAULT_ENDPOINT.to_owned()),
    };
    let mut url = fetch::endpoint(name, &base)?;
    let action = format!("{account}:generateIdToken");
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["v1", "projects", "-", "serviceAccounts", action.as_str()]);
    }
    Ok(url)
}

/// `url`, which a file of credentials gives for some action on an account, for the action `name`.
///
/// # Errors
/// It is not such a URL, or not an https one.
pub fn action(url: &str, name: &str) -> Result<Url, Failure> {
    let (account, _) =
        url.rsplit_once(':').filter(|(_, action)| !action.contains('/')).ok_or_else(|| {
            Failure::new("`service_account_impersonation_url` names no action of an account")
        })?;
    fetch::endpoint("`service_account_impersonation_url`", &format!("{account}:{name}"))
}

/// An identity token of the account that `url` names, with the email address that Fulcio
/// certifies. `access` is the access token of the caller.
///
/// # Errors
/// The caller may not have it.
pub async fn generate_id_token(
    host: &Host,
    url: Url,
    access: &SecretString,
    audience: &Audience,
    delegates: &[String],
) -> Result<IdToken, Failure> {
    let mut body = json!({ "audience": audience.as_str(), "includeEmail": true });
    add_delegates(&mut body, delegates);
    post(url, access, &body)?.token(host, "/token").await.map_err(hinted)
}

/// An access token of the account that `url` names. `access` is the access token of the caller.
///
/// # Errors
/// The caller may not have it.
pub async fn generate_access_token(
    host: &Host,
    url: &str,
    access: &SecretString,
    delegates: &[String],
) -> Result<SecretString, Failure> {
    let url = action(url, "generateAccessToken")?;
    let mut body = json!({ "scope": [SCOPE] });
    add_delegates(&mut body, delegates);
    post(url, access, &body)?.secret(host, "accessToken").await.map_err(hinted)
}

/// `token`, unless it is one of Google's without an email address: that is what is certified of a
/// Google account. An emulator, or an old answer, may leave it out.
///
/// # Errors
/// It has no email address.
pub fn with_email(token: IdToken) -> Result<IdToken, Failure> {
    if token.claims().issuer() != Some(ISSUER) || token.claims().email().is_some() {
        return Ok(token);
    }
    Err(Failure::new(
        "expected a token with the claim `email`, found none: the certificate of a Google account \
         is issued for its address",
    )
    .with_hint(
        "ask the metadata service with `format=full`, `generateIdToken` with `includeEmail`, and \
         `gcloud auth print-identity-token` with `--include-email`",
    ))
}

fn add_delegates(body: &mut Value, delegates: &[String]) {
    if !delegates.is_empty() {
        body["delegates"] = json!(delegates);
    }
}

fn post(url: Url, access: &SecretString, body: &Value) -> Result<Call, Failure> {
    Call::post_json(url, body).bearer("the access token", access.expose_secret())
}

fn hinted(failure: Failure) -> Failure {
    let hint = match failure.status {
        Some(StatusCode::FORBIDDEN) => {
            "grant the caller the role `roles/iam.serviceAccountOpenIdTokenCreator` on the service \
             account to impersonate, and enable the IAM Credentials API in its project"
        }
        Some(StatusCode::NOT_FOUND) => {
            "check the address of the service account: there is none of that name"
        }
        _ => "check that iamcredentials.googleapis.com can be reached from here",
    };
    failure.with_hint(hint)
}

/// As Google's own command line lets it be overridden.
const ENDPOINT: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS";
const UNIVERSE: &str = "GOOGLE_CLOUD_UNIVERSE_DOMAIN";
const DEFAULT_ENDPOINT: &str = "https://iamcredentials.googleapis.com/";
const ISSUER: &str = "https://accounts.google.com";
