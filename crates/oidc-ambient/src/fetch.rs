//! Asking a service for a token over HTTP: for the sources of this crate, and for those of others.

use std::time::Duration;

use bytes::Bytes;
use host::{CallPolicy, Host, TransportError, escape_remote, with_causes};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use id_token::IdToken;
use secrecy::SecretString;
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::redact;

/// Why a service gave no token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What went wrong, for a person. Never holds a secret.
    pub reason: String,
    /// The status of the answer, if there was one.
    pub status: Option<StatusCode>,
    /// What to do about it, where that is known better here than by the caller.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without an answer.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), status: None, hint: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn of(error: &dyn std::error::Error) -> Self {
        Self::new(with_causes(error))
    }
}

impl From<host::FileError> for Failure {
    fn from(error: host::FileError) -> Self {
        Self::of(&error)
    }
}

impl From<host::ProgramError> for Failure {
    fn from(error: host::ProgramError) -> Self {
        Self::of(&error)
    }
}

/// The bounds of a request that carries a credential of this place: 10 seconds for each of up to
/// five attempts, 30 in all, and an answer of at most 64 KiB. A redirect does not carry the
/// credential to another origin.
pub fn policy() -> CallPolicy {
    CallPolicy::new()
        .with_attempt(Duration::from_secs(10))
        .with_total(Duration::from_secs(30))
        .with_body_cap(64 << 10)
        .with_attempts(5)
        .with_idempotent(true)
}

/// The same for a service of this machine: no proxy, and 15 seconds in all.
pub fn local_policy() -> CallPolicy {
    policy().with_total(Duration::from_secs(15)).with_proxy(false)
}

/// The URL in the variable or file entry `name`, to which a credential may be sent. Whether plain
/// http is acceptable is decided by the transport: see [`CallPolicy::check`].
///
/// # Errors
/// It is not an http or https URL. The value is not shown: it may hold a secret.
pub fn endpoint(name: &str, text: &str) -> Result<Url, Failure> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| Failure::new(format!("{name} is not an http or https URL")))
}

/// A header value that is not shown. `what` names it in the error.
///
/// # Errors
/// `text` holds characters that a header may not hold.
pub fn secret(what: &str, text: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Failure::new(format!("{what} holds characters that no header may hold")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A request to a service, with the rules under which it is sent.
#[derive(Clone)]
pub struct Call {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    policy: CallPolicy,
}

impl Call {
    /// A request with [`policy`] and without a body.
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: Bytes::new(), policy: policy() }
    }

    /// A GET that asks for JSON.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url).header(ACCEPT, HeaderValue::from_static("application/json"))
    }

    /// A POST of `body` that asks for JSON.
    pub fn post_json(url: Url, body: &Value) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self::new(Method::POST, url)
            .header(ACCEPT, json.clone())
            .header(CONTENT_TYPE, json)
            .body(body.to_string())
    }

    /// A POST of a form.
    pub fn post_form(url: Url, fields: &[(&str, &str)]) -> Self {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Self::new(Method::POST, url).header(CONTENT_TYPE, form).body(body)
    }

    /// With this body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With `secret` as a bearer token. `what` names it in the error.
    ///
    /// # Errors
    /// It holds characters that a header may not hold.
    pub fn bearer(self, what: &str, text: &str) -> Result<Self, Failure> {
        Ok(self.header(AUTHORIZATION, secret(what, &format!("Bearer {text}"))?))
    }

    /// Under this policy.
    #[must_use]
    pub fn policy(self, policy: CallPolicy) -> Self {
        Self { policy, ..self }
    }

    /// The request alone, to be signed and then sent by [`send`].
    ///
    /// # Errors
    /// The URL is not one that can be asked.
    pub fn into_request(self) -> Result<(Request<Bytes>, CallPolicy), Failure> {
        let unusable = |_| Failure::new("the URL of the service cannot be used");
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.url.as_str())
            .body(self.body)
            .map_err(unusable)?;
        *request.headers_mut() = self.headers;
        Ok((request, self.policy))
    }

    /// Sends it; any status but 2xx is a failure.
    ///
    /// # Errors
    /// There is no answer, or one without success.
    pub async fn send(self, host: &Host) -> Result<Response<Bytes>, Failure> {
        let (request, policy) = self.into_request()?;
        send(host, &request, &policy).await
    }

    /// Sends it and takes the token from the string at `pointer` (RFC 6901) of the JSON answer.
    ///
    /// # Errors
    /// As of [`Self::send`]; the answer is not JSON or has no such token.
    pub async fn token(self, host: &Host, pointer: &str) -> Result<IdToken, Failure> {
        let answer = self.json(host).await?;
        match answer.pointer(pointer).and_then(Value::as_str) {
            Some(text) => token(text),
            None => Err(Failure::new(format!(
                "expected a JSON object with the string `{}`, found {}",
                pointer.trim_start_matches('/').replace('/', "."),
                shape(&answer),
            ))),
        }
    }

    /// Sends it and takes the string `field` of the JSON answer, of which nothing else is shown:
    /// access tokens are not shaped like a JWT and cannot be recognised.
    ///
    /// # Errors
    /// As of [`Self::send`]; the answer is not JSON or has no such string.
    pub async fn secret(self, host: &Host, field: &str) -> Result<SecretString, Failure> {
        let answer = self.json(host).await?;
        let value = answer.get(field).and_then(Value::as_str);
        value
            .map(SecretString::from)
            .ok_or_else(|| Failure::new(format!("the answer has no string `{field}`")))
    }

    /// Sends it and reads the answer as JSON. An answer of success that is not JSON comes from
    /// something between us and the service, and is asked for again.
    ///
    /// # Errors
    /// As of [`Self::send`]; the answer is not JSON.
    pub async fn json(self, host: &Host) -> Result<Value, Failure> {
        let (request, policy) = self.into_request()?;
        let mut number = 0_u32;
        loop {
            number += 1;
            let answer = send(host, &request, &policy).await?;
            match serde_json::from_slice(answer.body()) {
                Ok(value) => return Ok(value),
                Err(_) if number < GARBLED_ATTEMPTS => {
                    host.clock.sleep(GARBLED_PAUSE.saturating_mul(number)).await;
                }
                Err(_) => {
                    let found = kind(answer.body());
                    return Err(Failure {
                        status: Some(answer.status()),
                        ..Failure::new(format!("expected JSON, found {found}"))
                    });
                }
            }
        }
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

/// Sends `request` under `policy`; any status but 2xx is a failure.
///
/// # Errors
/// There is no answer, or one without success.
pub async fn send(
    host: &Host,
    request: &Request<Bytes>,
    policy: &CallPolicy,
) -> Result<Response<Bytes>, Failure> {
    let sent = host.http.send(request.clone(), policy).await;
    let answer = sent.map_err(|error| match error {
        TransportError::PlainHttp { .. } => Failure::of(&error).with_hint(PLAIN_HTTP_HINT),
        error => Failure::of(&error),
    })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let service = request.uri().authority().map_or("the service", |authority| authority.as_str());
    let mut reason = format!("{service} answered {status}");
    if status.is_redirection() {
        let target = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let target = target.map(without_query).unwrap_or_default();
        reason.push_str(&format!(
            ", a redirect to `{}` that is not followed: a credential must not go elsewhere",
            escape_remote(&redact::without(target, redact::of_request(request)))
        ));
    } else if let Some(body) = error_text(answer.body(), redact::of_request(request)) {
        reason.push_str(": ");
        reason.push_str(&body);
    }
    Err(Failure { status: Some(status), ..Failure::new(reason) })
}

/// Reads a token out of an answer.
///
/// # Errors
/// It is not one; the text is not shown.
pub fn token(text: &str) -> Result<IdToken, Failure> {
    IdToken::parse(text)
        .map_err(|error| Failure::new(format!("the answer is not an identity token: {error}")))
}

/// The text of the first element `name` in an XML document of the plain kind that AWS writes.
pub fn xml_text<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    Some(after.split_once(&format!("</{name}>"))?.0.trim())
}

/// The message of an error body: a JSON or XML body's own, or the text.
fn error_text(body: &[u8], secrets: Vec<String>) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let value = serde_json::from_slice::<Value>(body).ok();
    let message = value.as_ref().and_then(|value| {
        ["/error/message", "/message", "/error_description", "/error", "/Message"]
            .into_iter()
            .find_map(|pointer| value.pointer(pointer)?.as_str())
    });
    let text =
        message.map(str::to_owned).or_else(|| xml_message(&text)).unwrap_or_else(|| text.into());
    let text = redact::without(text.trim(), secrets);
    (!text.is_empty()).then(|| format!("`{}`", escape_remote(&text)))
}

/// The error of an AWS service.
fn xml_message(text: &str) -> Option<String> {
    Some(format!("{}: {}", xml_text(text, "Code")?, xml_text(text, "Message")?))
}

/// What the body of a successful answer is. It is not shown: it may be the token.
fn kind(body: &[u8]) -> String {
    let start = body.trim_ascii_start();
    let what = match start.first() {
        None => return "an empty answer".to_owned(),
        Some(b'<') => match title(body) {
            Some(title) => return format!("an HTML page `{title}`"),
            None => "HTML or XML",
        },
        Some(b'{' | b'[') => "broken JSON",
        Some(_) => "text",
    };
    format!("{what} of {} bytes", body.len())
}

/// The title of an HTML page, as of a login page or a proxy.
fn title(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let (_, after) = text.split_once("<title>")?;
    let (title, _) = after.split_once("</title>")?;
    Some(escape_remote(title))
}

/// The keys of an answer: its values may be secrets of an unknown kind.
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

const PLAIN_HTTP_HINT: &str = "use https, or --allow-insecure-service";
const GARBLED_ATTEMPTS: u32 = 3;
const GARBLED_PAUSE: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_http_or_https_url() {
        assert!(endpoint("X", "https://a.example/x").is_ok());
        for not in ["", "x", "ftp://a/", "https:", "unix:///x"] {
            assert_eq!(endpoint("X", not).unwrap_err().reason, "X is not an http or https URL");
        }
    }

    #[test]
    fn debug_shows_neither_the_query_nor_a_header_nor_the_body() {
        let url = Url::parse("https://h/p?sig=hunter2").unwrap();
        let call = Call::post_form(url, &[("a", "hunter2")]).bearer("X", "hunter2").unwrap();
        assert!(!format!("{call:?}").contains("hunter2"));
    }
}
