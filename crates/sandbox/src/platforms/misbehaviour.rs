//! Faults of the platforms' token endpoints.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::json;

use crate::rekor_v2::Delay;
use crate::service::{answer, json_answer};
use crate::{Fault, Faults};

/// How many requests come too early under [`Fault::IdentityLate`].
const TOO_EARLY: u32 = 2;

/// Longer than any client waits.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// The faults that every endpoint for tokens has.
#[derive(Debug)]
pub(crate) struct Misbehaviour {
    faults: Faults,
    asked: AtomicU32,
}

impl Misbehaviour {
    pub(crate) fn new(faults: &Faults) -> Self {
        Self { faults: faults.clone(), asked: AtomicU32::new(0) }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// What is answered to `request` for a token instead of one.
    pub(crate) fn instead(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if self.has(Fault::IdentityHangs) {
            let mut never = answer(StatusCode::OK, "text/plain", "");
            never.extensions_mut().insert(Delay(FOREVER));
            return Some(never);
        }
        if self.has(Fault::IdentityLate) && self.asked.fetch_add(1, Ordering::Relaxed) < TOO_EARLY {
            return Some(refusal(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "not ready yet"));
        }
        if self.has(Fault::IdentityHtml) {
            let page = "<!doctype html><title>Sign in</title><p>Please sign in to the proxy.";
            return Some(answer(StatusCode::OK, "text/html", page));
        }
        if self.has(Fault::IdentityForbidden) {
            let message = "The caller does not have permission";
            return Some(refusal(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message));
        }
        if self.has(Fault::IdentityMissing) {
            return Some(refusal(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such identity"));
        }
        self.has(Fault::IdentityRedirects).then(|| elsewhere(request)).flatten()
    }
}

/// To the same endpoint under another host name, which answers: a client that gets a token there
/// has carried its credential to another host.
fn elsewhere(request: &Request<Bytes>) -> Option<Response<Bytes>> {
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str))?;
    let port = host.strip_prefix("localhost")?;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut moved = answer(StatusCode::TEMPORARY_REDIRECT, "text/plain", "");
    let target = HeaderValue::try_from(format!("http://127.0.0.1{port}{path}")).ok()?;
    moved.headers_mut().insert(LOCATION, target);
    Some(moved)
}

/// An error that the readers of each platform understand.
pub(crate) fn refusal(status: StatusCode, name: &str, message: &str) -> Response<Bytes> {
    let error = json!({ "code": status.as_u16(), "status": name, "message": message });
    json_answer(status, &json!({ "error": error, "message": message }))
}
