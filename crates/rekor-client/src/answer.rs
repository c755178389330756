//! What both versions' answers have in common.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::LogEntry;
use bundle::log_body::{LogBody, LogKind};
use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use url::Url;

use crate::error::Error;

/// A log's URL as errors show it: without what may be secret in it.
#[derive(Clone, Debug)]
pub(crate) struct LogUrl(String);

impl LogUrl {
    pub(crate) fn new(url: &Url) -> Self {
        Self(host::public_url(url.as_str()))
    }

    pub(crate) fn malformed(&self, reason: impl Into<String>) -> Error {
        // A parser's words may hold a part of the answer.
        let reason = host::escape_remote(&reason.into());
        Error::Malformed { url: self.0.clone(), reason }
    }

    pub(crate) fn mismatch(
        &self,
        what: &'static str,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Error {
        Error::Mismatch {
            url: self.0.clone(),
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// The body of `logged`, which must be of the kind `expected`, in the entry as in the body.
    pub(crate) fn body(&self, logged: &LogEntry, expected: LogKind) -> Result<LogBody, Error> {
        let differs = |kind: &str, version: &str| {
            let found = host::escape_remote(&format!("{kind} {version}"));
            let expected = format!("{} {}", expected.kind(), expected.version());
            Err(self.mismatch("the kind", expected, found))
        };
        if LogKind::of(&logged.kind, &logged.version) != Some(expected) {
            return differs(&logged.kind, &logged.version);
        }
        match LogBody::parse(&logged.canonicalized_body) {
            Ok(body) if body.kind() == expected => Ok(body),
            Ok(body) => differs(body.kind().kind(), body.kind().version()),
            Err(bundle::Error::LogKind { kind, version }) if !kind.is_empty() => {
                differs(&kind, &version)
            }
            Err(error) => Err(self.malformed(format!("the entry's body: {error}"))),
        }
    }

    /// The error that an answer other than the expected one is. Both versions explain themselves
    /// in a `message`; an answer may also be text, or empty.
    pub(crate) fn refused(&self, response: &Response<Bytes>) -> Error {
        let body = response.body();
        // Nothing else is built of an answer that may be large.
        let explained = serde_json::from_slice::<Explanation>(body).ok();
        let message = match explained.and_then(|it| it.message) {
            Some(message) => host::escape_remote(&message),
            None if response.status().is_success() => "expected 201 for a new log entry".into(),
            None if body.is_empty() => "no explanation".into(),
            None => host::escape_remote(&String::from_utf8_lossy(body)),
        };
        Error::Http { url: self.0.clone(), status: response.status().as_u16(), message }
    }
}

/// An error as the service explains it.
#[derive(Deserialize)]
struct Explanation {
    message: Option<String>,
}

impl fmt::Display for LogUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `text` if it is the id of an entry of a log of version 1.
pub(crate) fn entry_id(text: &str) -> Option<&str> {
    let is_id = matches!(text.len(), 64 | 80) && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then_some(text)
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    base16ct::mixed::decode_vec(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_id_cannot_lead_to_another_path() {
        assert!(entry_id(&"0a".repeat(32)).is_some());
        assert!(entry_id(&"0a".repeat(40)).is_some());
        assert!(entry_id(&"0a".repeat(33)).is_none());
        assert!(entry_id(&format!("../{}", "a".repeat(61))).is_none());
    }

    #[test]
    fn a_url_is_shown_without_credentials() {
        let url = "https://user:secret@log.example/path?key=secret".parse().unwrap();
        assert_eq!(LogUrl::new(&url).to_string(), "https://log.example/path");
    }

    #[test]
    fn every_shape_of_refusal_is_explained() {
        let site = LogUrl::new(&"https://log.example".parse().unwrap());
        let refused = |status: u16, body: &'static str| {
            let response = Response::builder().status(status).body(Bytes::from(body)).unwrap();
            site.refused(&response).to_string()
        };
        let prefix = "the log at https://log.example/ answered";
        assert_eq!(
            refused(400, r#"{"code":3,"message":"no","details":[]}"#),
            format!("{prefix} 400: no")
        );
        assert_eq!(refused(404, ""), format!("{prefix} 404: no explanation"));
        assert_eq!(refused(405, "frozen\n"), format!("{prefix} 405: frozen"));
        assert_eq!(refused(200, "{}"), format!("{prefix} 200: expected 201 for a new log entry"));
    }

    /// As a tree of values, each of these took up to a hundred megabytes.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "it measures how long the work takes")]
    fn a_large_refusal_is_explained_at_once_and_in_a_line() {
        let site = LogUrl::new(&"https://log.example".parse().unwrap());
        let megabytes = |text: &str| text.repeat((4 << 20) / text.len());
        for body in [
            format!("[{}0]", megabytes("0,")),
            format!("{{\"message\":[{}0]}}", megabytes("[],")),
            megabytes("{\"a\":"),
            megabytes("[["),
            megabytes("ey"),
            megabytes("ey."),
            megabytes("\u{1b}[2J"),
            format!("{{\"message\":\"{}\"}}", megabytes("\\u202e")),
        ] {
            let response = Response::builder().status(500).body(Bytes::from(body)).unwrap();
            let started = std::time::Instant::now();
            let shown = site.refused(&response).to_string();
            assert!(shown.len() < 300 && !shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
            assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
        }
    }
}
