//! Asking a service for a token over HTTP.

use std::time::Duration;

use bytes::Bytes;
use host::{CallPolicy, Host, escape_remote};
use http::header::{HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};
use id_token::IdToken;
use serde_json::Value;
use url::Url;

use crate::outcome::with_causes;

/// Why a service gave no token.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// For a person; scrubbed.
    pub(crate) reason: String,
    /// What was answered, if anything was.
    pub(crate) status: Option<StatusCode>,
    /// The mend, where it is known better here than by whoever asked.
    pub(crate) hint: Option<String>,
}

impl Fault {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), status: None, hint: None }
    }

    pub(crate) fn hinted(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..Self::new(reason) }
    }
}

/// The bounds of every request that carries a credential of the place we run in.
///
/// `SameOrigin`: a redirect must not carry it to another host.
pub(crate) fn policy() -> CallPolicy {
    CallPolicy::new()
        .with_attempt(Duration::from_secs(10))
        .with_total(Duration::from_secs(30))
        .with_body_cap(64 << 10)
        .with_attempts(5)
        .with_idempotent(true)
}

/// A URL from a variable or a file that a credential is sent to.
pub(crate) fn endpoint(name: &str, text: &str) -> Result<Url, Fault> {
    // The value is not shown: it may hold a secret.
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| Fault::new(format!("{name} is not an http or https URL")))
}

/// The same for services of this very machine: no proxy, less patience.
pub(crate) fn local_policy() -> CallPolicy {
    policy().with_total(Duration::from_secs(15)).with_proxy(false)
}

/// A header value that must not be shown.
pub(crate) fn secret(what: &str, text: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Fault::new(format!("{what} holds characters that no header may hold")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Sends `request` and takes the token from the string `field` of the JSON object in the answer.
///
/// An answer of success that is not JSON comes from something between us and the service, and is
/// tried again.
pub(crate) async fn json_token(
    host: &Host,
    request: &Request<Bytes>,
    field: &str,
) -> Result<IdToken, Fault> {
    let answer = json(host, request).await?;
    match answer.pointer(field).and_then(Value::as_str) {
        Some(text) => token(text),
        None => Err(Fault::new(format!(
            "expected a JSON object with the string `{}`, found {}",
            field.trim_start_matches('/').replace('/', "."),
            shape(&answer),
        ))),
    }
}

/// Sends `request` and reads the answer as JSON.
pub(crate) async fn json(host: &Host, request: &Request<Bytes>) -> Result<Value, Fault> {
    let mut number = 0_u32;
    loop {
        number += 1;
        let answer = send(host, request).await?;
        match serde_json::from_slice(answer.body()) {
            Ok(value) => return Ok(value),
            Err(_) if number < GARBLED_ATTEMPTS => {
                host.clock.sleep(GARBLED_PAUSE.saturating_mul(number)).await;
            }
            Err(_) => {
                return Err(Fault {
                    reason: format!(
                        "expected JSON, found {}",
                        shown_body(answer.body()).unwrap_or_else(|| "nothing".to_owned())
                    ),
                    status: Some(answer.status()),
                    hint: None,
                });
            }
        }
    }
}

/// Sends `request`; any status but 2xx is a fault.
pub(crate) async fn send(host: &Host, request: &Request<Bytes>) -> Result<Response<Bytes>, Fault> {
    // Each source puts the policy of its request among the extensions.
    let policy = request.extensions().get::<CallPolicy>().cloned().unwrap_or_default();
    let sent = host.http.send(request.clone(), &policy).await;
    let answer = sent.map_err(|error| Fault::new(with_causes(&error)))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let whom = request.uri().authority().map_or("the service", |authority| authority.as_str());
    let mut reason = format!("{whom} answered {status}");
    if status.is_redirection() {
        let target = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let target = target.map(without_query).unwrap_or_default();
        reason.push_str(&format!(
            ", a redirect to `{}` that is not followed: a credential must not go elsewhere",
            escape_remote(target)
        ));
    } else if let Some(body) = shown_body(answer.body()) {
        reason.push_str(": ");
        reason.push_str(&body);
    }
    Err(Fault { reason, status: Some(status), hint: None })
}

/// Reads a token out of an answer.
pub(crate) fn token(text: &str) -> Result<IdToken, Fault> {
    IdToken::parse(text)
        .map_err(|error| Fault::new(format!("what was answered is no token: {error}")))
}

/// The message of an error body: a JSON body's own, or the text.
fn shown_body(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let value = serde_json::from_slice::<Value>(body).ok();
    let message = value.as_ref().and_then(|value| {
        ["/error/message", "/message", "/error_description", "/error", "/Message"]
            .into_iter()
            .find_map(|pointer| value.pointer(pointer)?.as_str())
    });
    let text =
        message.map(str::to_owned).or_else(|| xml_message(&text)).unwrap_or_else(|| text.into());
    let text = text.trim();
    (!text.is_empty()).then(|| format!("`{}`", escape_remote(text)))
}

/// What the error of an AWS service says.
fn xml_message(text: &str) -> Option<String> {
    Some(format!("{}: {}", xml_text(text, "Code")?, xml_text(text, "Message")?))
}

/// The text of the first element `name` in an XML document of the plain kind that AWS writes.
pub(crate) fn xml_text<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    Some(after.split_once(&format!("</{name}>"))?.0.trim())
}

/// The keys of an answer: its values may be secrets of a kind that we do not know.
fn shape(value: &Value) -> String {
    match value {
        Value::Object(object) if object.is_empty() => "an empty object".to_owned(),
        Value::Object(object) => {
            let keys: Vec<&str> = object.keys().map(String::as_str).take(8).collect();
            format!("an object with `{}`", escape_remote(&keys.join("`, `")))
        }
        Value::Array(_) => "a list".to_owned(),
        Value::String(_) => "a string".to_owned(),
        _ => "a bare value".to_owned(),
    }
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

const GARBLED_ATTEMPTS: u32 = 3;
const GARBLED_PAUSE: Duration = Duration::from_millis(300);
