//! Calls to the issuer: capped, within the time that is left, and with its errors told apart.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use host::{CallPolicy, Redirects, Transport, TransportError, escape_remote};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::Error;

/// Calls to one issuer.
pub(crate) struct Caller<'a> {
    pub(crate) http: &'a dyn Transport,
    /// As it is configured, for error texts.
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) client_secret: Option<&'a SecretString>,
}

impl Caller<'_> {
    /// The JSON object at `url`.
    pub(crate) async fn get(
        &self,
        what: &'static str,
        url: &Url,
        cap: usize,
    ) -> Result<Map<String, Value>, Error> {
        let policy = policy(url, PATIENCE).with_body_cap(cap);
        let request = Request::get(url.as_str()).header(ACCEPT, "application/json");
        let answer = self.send(what, request.body(Bytes::new()), &policy).await?;
        if !answer.status().is_success() {
            return Err(self.refused(what, &answer));
        }
        self.object(what, &answer)
    }

    /// Posts a form in the client's name, and reads the JSON object that answers it. Sent twice
    /// only if nothing reached the issuer: codes are good for one use.
    pub(crate) async fn post(
        &self,
        what: &'static str,
        url: &Url,
        authentication: Authentication,
        fields: &[(&str, &str)],
        patience: Duration,
    ) -> Result<Map<String, Value>, Error> {
        let request = self.form(url, authentication, fields);
        let policy = form_policy(url, patience);
        let answer = self.send(what, request, &policy).await?;
        if !answer.status().is_success() {
            return Err(self.refused(what, &answer));
        }
        self.object(what, &answer)
    }

    fn form(
        &self,
        url: &Url,
        authentication: Authentication,
        fields: &[(&str, &str)],
    ) -> Result<Request<Bytes>, http::Error> {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(fields);
        let mut request = Request::post(url.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        // Dex reads the id from the form even where the header has it.
        form.append_pair("client_id", self.client_id);
        match (self.client_secret, authentication) {
            (Some(secret), Authentication::Basic) => {
                // RFC 6749 2.3.1: each part is form-encoded first.
                let part = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", part(self.client_id), part(secret.expose_secret()));
                let header = format!("Basic {}", STANDARD.encode(pair));
                if let Ok(mut header) = HeaderValue::try_from(header) {
                    header.set_sensitive(true);
                    request = request.header(AUTHORIZATION, header);
                }
            }
            (Some(secret), Authentication::Form) => {
                form.append_pair("client_secret", secret.expose_secret());
            }
            (None, _) => {}
        }
        request.body(Bytes::from(form.finish()))
    }

    async fn send(
        &self,
        what: &'static str,
        request: Result<Request<Bytes>, http::Error>,
        policy: &CallPolicy,
    ) -> Result<Response<Bytes>, Error> {
        let request = request.map_err(|_| self.answer(what, "its URL cannot be requested"))?;
        self.http.send(request, policy).await.map_err(|source| self.silent(what, source))
    }

    fn object(
        &self,
        what: &'static str,
        answer: &Response<Bytes>,
    ) -> Result<Map<String, Value>, Error> {
        serde_json::from_slice(answer.body()).map_err(|_| {
            let start = answer.body().get(..100).unwrap_or(answer.body());
            let found = escape_remote(&String::from_utf8_lossy(start));
            self.answer(what, format!("expected a JSON object, found {found:?}"))
        })
    }

    /// What an answer that is no success says, in OAuth's way if it can be read that way.
    fn refused(&self, what: &'static str, answer: &Response<Bytes>) -> Error {
        let body: Map<String, Value> = serde_json::from_slice(answer.body()).unwrap_or_default();
        let field = |name: &str| body.get(name).and_then(Value::as_str).map(escape_remote);
        let status = answer.status();
        let error = match field("error") {
            // A server in trouble may word it as it likes; the status decides what to do.
            Some(error) if status.is_client_error() => error,
            _ => format!("HTTP status {}", status.as_u16()),
        };
        let description = field("error_description").filter(|text| !text.is_empty());
        match error.as_str() {
            "access_denied" => Error::Denied { description },
            _ => Error::Refused { what, issuer: self.issuer.to_owned(), error, description },
        }
    }

    pub(crate) fn answer(&self, what: &'static str, reason: impl Into<String>) -> Error {
        Error::Answer { what, issuer: self.issuer.to_owned(), reason: reason.into() }
    }

    fn silent(&self, what: &'static str, source: TransportError) -> Error {
        Error::Transport { what, issuer: self.issuer.to_owned(), source }
    }
}

/// How a client with a secret shows it (RFC 6749 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authentication {
    /// In the header, which every issuer must take.
    Basic,
    /// In the form, where an issuer says that it takes that: at its device endpoint, Dex takes
    /// nothing else.
    Form,
}

fn policy(url: &Url, total: Duration) -> CallPolicy {
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    CallPolicy::new()
        .with_attempt(ATTEMPT.min(total))
        .with_total(total)
        .with_body_cap(ANSWER_CAP)
        .with_proxy(!loopback)
}

/// For a form: sent once, and to the issuer alone.
fn form_policy(url: &Url, patience: Duration) -> CallPolicy {
    policy(url, patience.min(PATIENCE)).with_redirects(Redirects::Never)
}

/// For one attempt. Facts of the public issuer: it answers within a second.
const ATTEMPT: Duration = Duration::from_secs(10);

/// For all attempts of one call.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest answer to a form, in bytes. It holds two tokens.
const ANSWER_CAP: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use url::form_urlencoded::parse;

    use super::*;

    fn form(authentication: Authentication, secret: Option<&str>) -> Request<Bytes> {
        let nowhere = |_: Request<Bytes>| -> Result<_, TransportError> { unreachable!() };
        let secret = secret.map(SecretString::from);
        let caller = Caller {
            http: &nowhere as &dyn Transport,
            issuer: "https://issuer.test",
            client_id: "an app",
            client_secret: secret.as_ref(),
        };
        let url = Url::parse("https://issuer.test/token").unwrap();
        caller.form(&url, authentication, &[("code", "a+b&c")]).unwrap()
    }

    fn fields(request: &Request<Bytes>) -> BTreeMap<String, String> {
        parse(request.body()).into_owned().collect()
    }

    #[test]
    fn a_secret_is_shown_in_the_header_or_in_the_form_and_never_in_both() {
        let basic = form(Authentication::Basic, Some("s: %"));
        // RFC 6749 2.3.1: "an+app" and "s%3A+%25".
        assert_eq!(basic.headers()[AUTHORIZATION], "Basic YW4rYXBwOnMlM0ErJTI1");
        assert!(basic.headers()[AUTHORIZATION].is_sensitive());
        assert_eq!(fields(&basic).get("client_secret"), None);
        let post = form(Authentication::Form, Some("s: %"));
        assert_eq!(post.headers().get(AUTHORIZATION), None);
        assert_eq!(fields(&post)["client_secret"], "s: %");
        let public = form(Authentication::Basic, None);
        assert_eq!(public.headers().get(AUTHORIZATION), None);
        for request in [basic, post, public] {
            assert_eq!(fields(&request)["client_id"], "an app");
            assert_eq!(fields(&request)["code"], "a+b&c");
        }
    }

    #[test]
    fn codes_are_sent_once_and_never_follow_a_redirect() {
        let request = form(Authentication::Form, None);
        let policy = form_policy(&Url::parse("https://i.test/").unwrap(), Duration::from_secs(3));
        assert!(!policy.is_idempotent(request.method()));
        assert_eq!(policy.redirects, Redirects::Never);
        assert_eq!(policy.total, Duration::from_secs(3));
        assert!(policy.attempt <= policy.total);
        assert!(policy.proxy);
        let loopback = Url::parse("http://127.0.0.1:5557/dex").unwrap();
        assert!(!super::policy(&loopback, PATIENCE).proxy);
    }
}
