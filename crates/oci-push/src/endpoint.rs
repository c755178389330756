//! By which scheme a registry is reached.

use std::time::Duration;

use host::{CallPolicy, TransportError};
use http::{Method, StatusCode};
use url::Url;

use crate::answer::Answer;
use crate::error::Error;
use crate::repository::Repository;

/// Where the registry of `repository` may be, in the order in which it is tried: `https` unless
/// plain http is allowed.
///
/// A registry on this machine is tried by http first: TLS there is rare, and trying it would load
/// trust anchors for nothing. Any other is tried by https first, so that allowing http changes
/// nothing where https works. The first request is the trial. It carries no credentials: they are
/// sent only after a challenge.
pub(crate) fn candidates(repository: &Repository, allow_http: bool) -> Result<Vec<Url>, Error> {
    let schemes: &[&str] = match (repository.is_loopback(), allow_http) {
        (true, _) => &["http", "https"],
        (false, true) => &["https", "http"],
        (false, false) => &["https"],
    };
    schemes.iter().map(|scheme| base(repository, scheme)).collect()
}

/// `policy` for a request that also tries whether `base` is the right scheme.
pub(crate) fn trial(base: &Url, policy: CallPolicy) -> CallPolicy {
    let attempt = policy.attempt.min(Duration::from_secs(10));
    // A handshake that fails once is the expected answer of the other scheme.
    let attempts = if base.scheme() == "http" { policy.attempts } else { 1 };
    policy.with_attempt(attempt).with_attempts(attempts)
}

/// The failure that explains more: of TLS rather than of plain http, else the first.
pub(crate) fn likelier(first: Option<TransportError>, next: TransportError) -> TransportError {
    match first {
        Some(first) if !matches!(next, TransportError::Tls { .. }) => first,
        _ => next,
    }
}

/// Whether it is the server at `base` that could not be reached, as far as the error says.
pub(crate) fn is_of(error: &TransportError, base: &Url) -> bool {
    Url::parse(error.url()).map_or(true, |url| url.origin() == base.origin())
}

/// Whether a server that expects TLS answered plain http, saying so.
pub(crate) fn wants_tls(answer: &Answer) -> bool {
    answer.url.scheme() == "http"
        && answer.status == StatusCode::BAD_REQUEST
        && String::from_utf8_lossy(&answer.body).to_ascii_uppercase().contains("HTTPS")
}

/// Whether this answer, which has no body to say so, may come from such a server.
pub(crate) fn may_want_tls(answer: &Answer) -> bool {
    answer.url.scheme() == "http"
        && answer.method == Method::HEAD
        && answer.status == StatusCode::BAD_REQUEST
}

fn base(repository: &Repository, scheme: &str) -> Result<Url, Error> {
    Url::parse(&format!("{scheme}://{}/", repository.api_authority())).map_err(|error| {
        Error::Reference { text: repository.to_string(), reason: error.to_string() }
    })
}
