//! The services that trade one of Google's credentials for another.

use std::net::IpAddr;

use bytes::Bytes;
use host::Host;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use id_token::{Audience, IdToken};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::fetch::{self, Fault};

/// The URL of an action on the service account `account`, which a variable names.
pub(crate) fn account_url(host: &Host, account: &str) -> Result<Url, Fault> {
    let bad = || Fault::new("the IAM Credentials endpoint has no usable URL");
    let var = |name| host.env.var(name);
    let base = var(ENDPOINT).or_else(|| {
        let universe = var(UNIVERSE)?;
        Some(format!("https://iamcredentials.{universe}/"))
    });
    let mut url = secure(base.as_deref().unwrap_or(DEFAULT_ENDPOINT)).ok_or_else(bad)?;
    let action = format!("{account}:generateIdToken");
    let path = ["v1", "projects", "-", "serviceAccounts", action.as_str()];
    url.path_segments_mut().map_err(|()| bad())?.pop_if_empty().extend(path);
    Ok(url)
}

/// `url`, which a file gives for some action, for the action `name`.
pub(crate) fn action(url: &str, name: &str) -> Result<Url, Fault> {
    let (account, _) =
        url.rsplit_once(':').filter(|(_, action)| !action.contains('/')).ok_or_else(|| {
            Fault::new("`service_account_impersonation_url` names no action of an account")
        })?;
    secure(&format!("{account}:{name}"))
        .ok_or_else(|| Fault::new("`service_account_impersonation_url` is not an https URL"))
}

/// An identity token of the account that `url` names, with the e-mail address that Fulcio
/// certifies.
pub(crate) async fn generate_id_token(
    host: &Host,
    url: &Url,
    access: &str,
    audience: &Audience,
    delegates: &[String],
) -> Result<IdToken, Fault> {
    let mut body = json!({ "audience": audience.as_str(), "includeEmail": true });
    if !delegates.is_empty() {
        body["delegates"] = json!(delegates);
    }
    let request = post(url, access, &body)?;
    fetch::json_token(host, &request, "/token").await.map_err(hinted)
}

/// An access token of the account that `url` names.
pub(crate) async fn generate_access_token(
    host: &Host,
    url: &str,
    access: &str,
    delegates: &[String],
) -> Result<String, Fault> {
    let url = action(url, "generateAccessToken")?;
    let mut body = json!({ "scope": [super::SCOPE] });
    if !delegates.is_empty() {
        body["delegates"] = json!(delegates);
    }
    secret_field(host, &post(&url, access, &body)?, "accessToken").await.map_err(hinted)
}

/// A form for the token endpoint at `url`.
pub(crate) fn form(url: &str, fields: &[(&str, &str)]) -> Result<Request<Bytes>, Fault> {
    let bad = || Fault::new("the token endpoint is not an https URL");
    let url = secure(url).ok_or_else(bad)?;
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    Request::post(url.as_str())
        .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
        .extension(fetch::policy())
        .body(Bytes::from(body))
        .map_err(|_| bad())
}

/// Sends `request` and takes the string `name` of the answer, of which nothing else is shown:
/// access tokens are not shaped like a JWT.
pub(crate) async fn secret_field(
    host: &Host,
    request: &Request<Bytes>,
    name: &str,
) -> Result<String, Fault> {
    let answer = fetch::send(host, request).await?;
    let value: Option<Value> = serde_json::from_slice(answer.body()).ok();
    let field = value.as_ref().and_then(|value| value.get(name)?.as_str());
    field.map(str::to_owned).ok_or_else(|| Fault::new(format!("the answer has no `{name}`")))
}

fn post(url: &Url, access: &str, body: &Value) -> Result<Request<Bytes>, Fault> {
    let bearer = fetch::secret("the access token", &format!("Bearer {access}"))?;
    Request::post(url.as_str())
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(AUTHORIZATION, bearer)
        .extension(fetch::policy())
        .body(Bytes::from(body.to_string()))
        .map_err(|_| Fault::new("the IAM Credentials endpoint has no usable URL"))
}

fn hinted(fault: Fault) -> Fault {
    let hint = match fault.status {
        Some(StatusCode::FORBIDDEN) => {
            "grant the caller the role `roles/iam.serviceAccountOpenIdTokenCreator` on the service \
             account to impersonate, and enable the IAM Credentials API in its project"
        }
        Some(StatusCode::NOT_FOUND) => "there is no such service account: check its address",
        _ => "see that iamcredentials.googleapis.com can be reached from here",
    };
    Fault { hint: Some(hint.to_owned()), ..fault }
}

/// A URL that a credential may be sent to: over TLS, or on this machine.
pub(crate) fn secure(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(Url::has_host)?;
    let name = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
    let local = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let fits = url.scheme() == "https" || url.scheme() == "http" && local;
    fits.then_some(url)
}

/// As Google's own command line lets it be overridden.
pub(crate) const ENDPOINT: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS";
const UNIVERSE: &str = "GOOGLE_CLOUD_UNIVERSE_DOMAIN";
const DEFAULT_ENDPOINT: &str = "https://iamcredentials.googleapis.com/";
