//! By which scheme a registry is reached.

use std::time::Duration;

use bytes::Bytes;
use host::{CallPolicy, Redirects, Transport, TransportError};
use http::{Method, Request, StatusCode};
use url::Url;

use crate::error::Error;
use crate::repository::Repository;

/// Finds the scheme by which the registry of `repository` is reached, `https` unless plain http
/// is allowed.
///
/// A registry on this machine is tried by http first: TLS there is rare, and trying it would load
/// trust anchors for nothing. Any other is tried by https first, so that allowing http changes
/// nothing where https works. The probe carries no credentials.
pub(crate) async fn find(
    http: &dyn Transport,
    repository: &Repository,
    allow_http: bool,
) -> Result<Url, Error> {
    let loopback = repository.is_loopback();
    let schemes: &[&str] = match (loopback, allow_http) {
        (true, _) => &["http", "https"],
        (false, true) => &["https", "http"],
        (false, false) => &["https"],
    };
    let bases: Result<Vec<Url>, Error> =
        schemes.iter().map(|scheme| base(repository, scheme)).collect();
    let bases = bases?;
    if let [only] = bases.as_slice() {
        return Ok(only.clone());
    }
    let mut failure: Option<TransportError> = None;
    for base in bases {
        match probe(http, &base, loopback).await {
            Ok(true) => return Ok(base),
            Ok(false) => {}
            // A TLS failure explains more than a failure of plain http.
            Err(error) => {
                let explains_more = matches!(error, TransportError::Tls { .. });
                if failure.is_none() || explains_more {
                    failure = Some(error);
                }
            }
        }
    }
    let registry = repository.registry().to_owned();
    Err(match failure {
        Some(source) => Error::Transport { registry, source },
        None => Error::Invalid {
            what: format!("the registry {registry}"),
            reason: "it answers by neither http nor https".to_owned(),
        },
    })
}

fn base(repository: &Repository, scheme: &str) -> Result<Url, Error> {
    Url::parse(&format!("{scheme}://{}/", repository.api_authority())).map_err(|error| {
        Error::Reference { text: repository.to_string(), reason: error.to_string() }
    })
}

/// Whether something at `base` speaks this scheme.
async fn probe(http: &dyn Transport, base: &Url, loopback: bool) -> Result<bool, TransportError> {
    let unusable = |reason: String| TransportError::Unusable { url: base.to_string(), reason };
    let url = base.join("v2/").map_err(|error| unusable(error.to_string()))?;
    let policy = CallPolicy::new()
        .with_attempt(Duration::from_secs(10))
        .with_total(Duration::from_secs(20))
        // A handshake that fails once is the expected answer of the other scheme.
        .with_attempts(if base.scheme() == "http" { 3 } else { 1 })
        .with_redirects(Redirects::Never)
        .with_proxy(!loopback)
        .with_plain_http(true);
    let request = Request::builder()
        .method(Method::GET)
        .uri(url.as_str())
        .body(Bytes::new())
        .map_err(|error| unusable(error.to_string()))?;
    let answer = http.send(request, &policy).await?;
    // Servers that expect TLS say so in the answer to plain http.
    let wants_tls = base.scheme() == "http"
        && answer.status() == StatusCode::BAD_REQUEST
        && String::from_utf8_lossy(answer.body()).to_ascii_uppercase().contains("HTTPS");
    Ok(!wants_tls)
}
