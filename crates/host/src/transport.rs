//! The network, as one method.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::BoxFuture;

/// A way to send one HTTP request and read the whole answer.
///
/// An implementation honours the [`CallPolicy`], the [`UnixSocket`] and the [`TrustOnly`] that it finds among the
/// request's extensions. Any status is an answer: only what yields no answer is an error.
///
/// A closure is a transport, which is how tests replay recorded services:
///
/// ```
/// # use ambisign_host as host;
/// use bytes::Bytes;
/// use host::{Transport, TransportError};
/// use http::{Request, Response};
///
/// let teapot = |_: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
///     Ok(Response::builder().status(418).body(Bytes::new()).unwrap())
/// };
/// fn takes(_: &dyn Transport) {}
/// takes(&teapot);
/// ```
pub trait Transport: Send + Sync {
    /// Sends `request` and resolves to the complete answer.
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>>;
}

impl<F> Transport for F
where
    F: Fn(Request<Bytes>) -> Result<Response<Bytes>, TransportError> + Send + Sync,
{
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        let answer = self(request);
        Box::pin(std::future::ready(answer))
    }
}

/// Bounds for one call, carried as a request extension. Without one, [`CallPolicy::default`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallPolicy {
    /// Limit for one attempt, from connecting to the last byte of the answer.
    pub attempt: Duration,
    /// Limit for all attempts and the pauses between them.
    pub total: Duration,
    /// The largest answer accepted, in bytes; a larger one is [`TransportError::TooLarge`].
    pub body_cap: usize,
    /// How many attempts at most; 1 never retries. A retry happens after failures to connect or
    /// to agree on TLS, after an exchange that broke off or met `attempt`, and after 408, 429 and
    /// 5xx; `Retry-After` is honoured within `total`.
    pub attempts: u32,
    /// Whether sending the request twice is harmless. If not, only a failure to connect is
    /// retried: then nothing was sent.
    pub idempotent: bool,
    /// What to do with a redirect.
    pub redirects: Redirects,
    /// Whether a proxy may be used; metadata and loopback services never go through one.
    pub proxy: bool,
}

impl Default for CallPolicy {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(30),
            total: Duration::from_secs(60),
            body_cap: 4 << 20,
            attempts: 3,
            idempotent: true,
            redirects: Redirects::SameOrigin,
            proxy: true,
        }
    }
}

/// What to do when the answer is a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Redirects {
    /// Hand the redirect to the caller as the answer.
    Never,
    /// Follow within the same scheme, host and port; hand any other to the caller.
    SameOrigin,
    /// Follow everywhere, leaving `Authorization` and cookies behind when the origin changes and
    /// never from https to http.
    DropCredentials,
}

/// The request goes over this Unix socket, whatever host its URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket(pub PathBuf);

/// The server's certificate must come from one of the authorities in this PEM text and from no
/// other. Such a request has a connection of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustOnly(pub Bytes);

/// Why there was no answer. `url` never holds credentials or a query.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No connection came about: name not found, refused, unreachable.
    #[error("could not connect to {url}")]
    Connect {
        /// What was being connected to.
        url: String,
        /// The operating system's or resolver's reason.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A connection came about and TLS did not: an unknown authority, a wrong name, an old version.
    #[error("could not establish a trusted TLS connection to {url}")]
    Tls {
        /// What was being connected to.
        url: String,
        /// The TLS library's reason.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The deadline passed.
    #[error("no complete answer from {url} within {after:.1?}")]
    Timeout {
        /// Whom we waited for.
        url: String,
        /// How long, over all attempts.
        after: Duration,
    },
    /// The answer was larger than the caller allows.
    #[error("the answer from {url} is larger than the limit of {cap} bytes")]
    TooLarge {
        /// Who answered.
        url: String,
        /// The limit.
        cap: usize,
    },
    /// The connection broke, or what came over it is not HTTP.
    #[error("the exchange with {url} broke off")]
    Broken {
        /// Whom we talked to.
        url: String,
        /// What broke.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The request cannot be sent at all: its URL has no host, a scheme we do not speak, or the
    /// configuration (a proxy, a CA file) cannot be used.
    #[error("cannot send a request to {url}: {reason}")]
    Unusable {
        /// The target.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}
