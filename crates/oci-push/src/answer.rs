//! What a registry answered, and which error it is if it is a refusal.

use std::time::Duration;

use bytes::Bytes;
use host::escape_remote;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use url::Url;

use crate::bodies::Download;
use crate::challenge::{self, Challenge};
use crate::error::{Access, Error};
use crate::manifest::essence;
use crate::repository::Repository;

/// A complete answer and where it came from.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) method: Method,
    /// After redirects.
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body where it comes in parts.
    pub(crate) parts: Option<Download>,
    /// The host that answered, where it is not the registry's: storage that it redirected to, say.
    pub(crate) other_host: Option<String>,
    /// Where the credentials that were sent came from; `None` if none were sent.
    pub(crate) credentials: Option<String>,
    /// Where credentials were looked for, if the registry asked for any.
    pub(crate) looked_for: Option<String>,
}

impl Answer {
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Content-Type` without parameters; empty if there is none.
    pub(crate) fn media_type(&self) -> &str {
        essence(self.header(&CONTENT_TYPE).unwrap_or_default())
    }

    /// The digest that the registry states for its answer.
    pub(crate) fn content_digest(&self) -> Option<&str> {
        self.header(&CONTENT_DIGEST)
    }

    /// The host that answered, fit to show.
    pub(crate) fn host(&self) -> String {
        escape_remote(self.url.host_str().unwrap_or_default())
    }

    /// Method and URL, fit for an error.
    pub(crate) fn request(&self) -> String {
        format!("{} {}", self.method, shown(&self.url))
    }

    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.codes().iter().any(|known| known == code)
    }

    /// Whether coming back later may help.
    pub(crate) fn is_transient(&self) -> bool {
        self.is_rate_limit()
            || self.status == StatusCode::REQUEST_TIMEOUT
            || self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED
    }

    /// How long the registry asks us to wait: seconds, or a date beside its own (RFC 9110 section
    /// 10.2.3).
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        host::retry::retry_after(&self.headers, None)
    }

    /// The error that this answer stands for. `missing` names what a 404 says does not exist.
    pub(crate) fn into_error(
        self,
        repository: &Repository,
        access: Access,
        missing: impl FnOnce() -> String,
    ) -> Error {
        let detail = self.detail();
        let (name, registry) = (repository.to_string(), repository.registry().to_owned());
        if self.is_rate_limit() {
            return Error::RateLimited { registry, retry_after: self.retry_after() };
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let short_of_rights = self.has_code("DENIED")
                    || matches!(
                        challenge::pick(&self.headers),
                        Some(Challenge::Bearer { error: Some(error), .. })
                            if error == "insufficient_scope"
                    );
                match self.credentials {
                    Some(credentials) if short_of_rights => {
                        Error::Denied { repository: name, access, credentials, detail }
                    }
                    credentials => Error::Unauthorized {
                        repository: name,
                        access,
                        credentials: credentials
                            .map(|origin| format!("{origin} were refused"))
                            .or(self.looked_for)
                            .unwrap_or_else(|| "no way to authenticate is named".to_owned()),
                        detail,
                    },
                }
            }
            StatusCode::FORBIDDEN => {
                Error::Denied { repository: name, access, credentials: self.who(), detail }
            }
            StatusCode::METHOD_NOT_ALLOWED if access == Access::Push => Error::Denied {
                repository: name,
                access,
                credentials: self.who(),
                detail: match detail.as_str() {
                    "" => "it accepts no uploads (405), like a mirror or a read-only registry"
                        .to_owned(),
                    detail => format!("it accepts no uploads (405): {detail}"),
                },
            },
            StatusCode::NOT_FOUND if self.has_code("NAME_UNKNOWN") => {
                Error::NotFound { what: format!("the repository {name}"), detail }
            }
            StatusCode::NOT_FOUND => Error::NotFound { what: missing(), detail },
            status => Error::Answer { request: self.request(), status: status.as_u16(), detail },
        }
    }

    fn who(&self) -> String {
        self.credentials
            .clone()
            .or_else(|| self.looked_for.clone())
            .unwrap_or_else(|| "no credentials".to_owned())
    }

    fn is_rate_limit(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status.is_client_error() && self.has_code("TOOMANYREQUESTS")
    }

    fn codes(&self) -> Vec<String> {
        let text = |error: &serde_json::Value| Some(error.get("code")?.as_str()?.to_owned());
        self.errors().iter().filter_map(text).collect()
    }

    fn errors(&self) -> Vec<serde_json::Value> {
        match self.json() {
            Some(serde_json::Value::Object(mut object)) => match object.remove("errors") {
                Some(serde_json::Value::Array(errors)) => errors.into_iter().take(3).collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn json(&self) -> Option<serde_json::Value> {
        if self.body.len() > ERROR_BODY_CAP {
            return None;
        }
        serde_json::from_slice(&self.body).ok()
    }

    /// The server's own words, short and escaped; empty if there are none worth showing. Words of
    /// another host than the registry's carry its name.
    pub(crate) fn detail(&self) -> String {
        let words = escape_remote(&self.words());
        match &self.other_host {
            Some(host) if words.is_empty() => format!("answered by {}", escape_remote(host)),
            Some(host) => format!("{} answered: {words}", escape_remote(host)),
            None => words,
        }
    }

    fn words(&self) -> String {
        if self.status.is_redirection() {
            let to = self.header(&LOCATION).and_then(|location| self.url.join(location).ok());
            return match to {
                Some(to) => format!("it redirects to {}", shown(&to)),
                None => "it redirects without a usable Location".to_owned(),
            };
        }
        if self.body.len() > ERROR_BODY_CAP {
            return String::new();
        }
        let described: Vec<String> = self.errors().iter().filter_map(describe).collect();
        if !described.is_empty() {
            return described.join("; ");
        }
        if let Some(json) = self.json() {
            let known = ["error_description", "details", "detail", "message", "error"];
            let text = known.iter().find_map(|key| json.get(key)?.as_str());
            return text.unwrap_or_default().to_owned();
        }
        // A proxy's page of HTML explains nothing.
        match std::str::from_utf8(&self.body) {
            Ok(text) if !text.trim_start().starts_with('<') => {
                text.lines().next().unwrap_or_default().to_owned()
            }
            _ => String::new(),
        }
    }
}

fn describe(error: &serde_json::Value) -> Option<String> {
    let text = |key: &str| error.get(key).and_then(|value| value.as_str()).unwrap_or_default();
    match (text("code"), text("message")) {
        ("", "") => None,
        ("", message) => Some(message.to_owned()),
        (code, "") => Some(code.to_owned()),
        (code, message) => Some(format!("{code}, {message}")),
    }
}

/// A URL without user, query and fragment, which may hold secrets.
pub(crate) fn shown(url: &Url) -> String {
    host::public_url(url.as_str())
}

pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const ERROR_BODY_CAP: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use http::header::{DATE, RETRY_AFTER};

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            method: Method::GET,
            url: Url::parse("https://r.example/v2/a/manifests/x?token=hunter2").unwrap(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            parts: None,
            body: Bytes::copy_from_slice(body.as_bytes()),
            other_host: None,
            credentials: None,
            looked_for: None,
        }
    }

    fn error(answer: Answer, access: Access) -> Error {
        answer.into_error(&"r.example/a".parse().unwrap(), access, || "the tag x".to_owned())
    }

    #[test]
    fn each_refusal_is_told_apart() {
        assert!(matches!(
            error(answer(404, ""), Access::Pull),
            Error::NotFound { what, .. } if what == "the tag x"
        ));
        let unknown = answer(404, r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}"#);
        assert!(matches!(
            error(unknown, Access::Pull),
            Error::NotFound { what, detail }
                if what == "the repository r.example/a" && detail == "NAME_UNKNOWN, no"
        ));
        assert!(matches!(error(answer(403, ""), Access::Push), Error::Denied { .. }));
        assert!(matches!(error(answer(405, ""), Access::Push), Error::Denied { .. }));
        assert!(matches!(error(answer(405, ""), Access::Pull), Error::Answer { .. }));
        assert!(matches!(error(answer(401, ""), Access::Push), Error::Unauthorized { .. }));
        assert!(matches!(error(answer(500, ""), Access::Push), Error::Answer { .. }));
        assert!(matches!(error(answer(429, ""), Access::Push), Error::RateLimited { .. }));
        let limited = answer(400, r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#);
        assert!(matches!(error(limited, Access::Pull), Error::RateLimited { .. }));
    }

    #[test]
    fn credentials_without_the_right_are_denied_and_not_unauthorized() {
        let mut known = answer(401, r#"{"errors":[{"code":"DENIED","message":"no"}]}"#);
        known.credentials = Some("credentials from /f".to_owned());
        let text = error(known, Access::Push).to_string();
        assert!(text.starts_with("not permitted to push to r.example/a"), "{text}");
        assert!(text.contains("credentials from /f"), "{text}");
    }

    #[test]
    fn no_query_and_no_page_reach_an_error() {
        let text = error(answer(500, "<html>hunter2"), Access::Pull).to_string();
        assert_eq!(text, "GET https://r.example/v2/a/manifests/x was answered 500");
    }

    #[test]
    fn words_of_another_host_are_not_taken_for_the_registrys() {
        let mut elsewhere =
            answer(404, r#"{"errors":[{"code":"DENIED","message":"log in at x"}]}"#);
        elsewhere.other_host = Some("storage.example".to_owned());
        let text = error(elsewhere, Access::Pull).to_string();
        assert!(text.ends_with(": storage.example answered: DENIED, log in at x"), "{text}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let after = |headers: &[(HeaderName, &'static str)]| {
            let mut answer = answer(429, "");
            for (name, value) in headers {
                answer.headers.insert(name, value.parse().unwrap());
            }
            answer.retry_after()
        };
        let date = (DATE, "Sun, 22 Nov 2026 11:11:19 GMT");
        let later = (RETRY_AFTER, "Sun, 22 Nov 2026 11:12:20 GMT");
        assert_eq!(after(&[(RETRY_AFTER, "7")]), Some(Duration::from_secs(7)));
        assert_eq!(after(&[date, later.clone()]), Some(Duration::from_secs(61)));
        assert_eq!(after(&[later]), None, "without a date to compare with");
        assert_eq!(after(&[(RETRY_AFTER, "soon")]), None);
    }

    #[test]
    fn words_of_a_server_are_escaped() {
        let text = error(answer(502, "bad\u{1b}[2J gateway\nsecond"), Access::Pull).to_string();
        assert!(text.ends_with("502: bad\\u{1b}[2J gateway"), "{text}");
    }
}
