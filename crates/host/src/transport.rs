//! The network, as one method.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::{Method, Request, Response, Uri};

use crate::address::is_https_or_local;
use crate::future::BoxFuture;

/// A way to send one HTTP request and read the whole answer.
///
/// An implementation honours the whole [`CallPolicy`]. Any status is an answer: only what yields no
/// answer is an error.
///
/// A closure is a transport, which is how tests replay recorded services. It finds the policy among
/// the request's extensions, and is not asked for what [`CallPolicy::check`] refuses:
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
    /// Sends `request` as `policy` allows and resolves to the complete answer.
    fn send(&self, request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes>;

    /// As [`send`](Self::send), with a body that may be too large for memory. It is made
    /// anew for each attempt.
    ///
    /// By default it is held in memory after all.
    fn send_body(&self, request: Request<Body>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        let policy = policy.clone();
        Box::pin(async move {
            let (head, content) = request.into_parts();
            let mut parts = content.parts();
            let mut body = BytesMut::new();
            while let Some(part) = parts.next().await.transpose()? {
                body.extend_from_slice(&part);
            }
            self.send(Request::from_parts(head, body.freeze()), &policy).await
        })
    }

    /// Sends `request`, whose body comes in parts, and resolves when the head of the answer is
    /// there; its body follows in parts. For what is too large to be held in memory.
    ///
    /// The request is sent once, and a redirect is handed to the caller. [`CallPolicy::attempt`]
    /// limits the wait for each part, sent or received; [`CallPolicy::body_cap`] limits the answer.
    ///
    /// By default both bodies are held in memory after all, up to `body_cap` bytes each.
    fn send_parts(&self, request: Request<Parts>, policy: &CallPolicy) -> Answer<'_, Parts> {
        let policy = policy.clone().with_attempts(1).with_redirects(Redirects::Never);
        Box::pin(async move {
            let (head, mut parts) = request.into_parts();
            let mut body = BytesMut::new();
            while let Some(part) = parts.next().await.transpose()? {
                if part.len() > policy.body_cap.saturating_sub(body.len()) {
                    let (url, cap) = (head.uri.to_string(), policy.body_cap);
                    return Err(TransportError::TooLarge { url, cap });
                }
                body.extend_from_slice(&part);
            }
            let answer = self.send(Request::from_parts(head, body.freeze()), &policy).await?;
            Ok(answer.map(|body| -> Parts { Box::pin(stream::iter([Ok(body)])) }))
        })
    }
}

/// What a [`Transport`] promises: an answer with a body of type `B`.
pub type Answer<'a, B> = BoxFuture<'a, Result<Response<B>, TransportError>>;

/// A body that comes in parts. After an error nothing follows.
pub type Parts = BoxStream<'static, Result<Bytes, TransportError>>;

/// A body that may be large, and may be sent more than once: its parts are made anew each time.
#[derive(Clone)]
pub struct Body {
    size: u64,
    parts: Arc<dyn Fn() -> Parts + Send + Sync>,
    whole: Option<Bytes>,
}

impl Body {
    /// The `size` bytes that come in the parts that `parts` makes, the same ones each time.
    pub fn new(size: u64, parts: impl Fn() -> Parts + Send + Sync + 'static) -> Self {
        Self { size, parts: Arc::new(parts), whole: None }
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its parts, from the first on.
    pub fn parts(&self) -> Parts {
        (self.parts)()
    }

    /// All of it, where it is in memory.
    pub fn whole(&self) -> Option<&Bytes> {
        self.whole.as_ref()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let part = bytes.clone();
        let parts = move || -> Parts { Box::pin(stream::iter([Ok(part.clone())])) };
        Self { whole: Some(bytes.clone()), ..Self::new(bytes.len() as u64, parts) }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.size)
    }
}

impl<F> Transport for F
where
    F: Fn(Request<Bytes>) -> Result<Response<Bytes>, TransportError> + Send + Sync,
{
    fn send(&self, mut request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        request.extensions_mut().insert(policy.clone());
        let answer = policy.check(request.uri()).and_then(|()| self(request));
        Box::pin(std::future::ready(answer))
    }
}

/// The rules of one call: deadlines, size, retries, redirects, proxy, socket and trust.
///
/// ```
/// # use ambisign_host as host;
/// use host::{CallPolicy, Redirects};
///
/// let policy = CallPolicy::new().with_body_cap(64 << 10).with_redirects(Redirects::Never);
/// assert_eq!(policy.attempts, 3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
    /// Whether 408, 429 and 5xx are retried; if not, the caller waits by itself and only what
    /// yields no answer is retried.
    pub retry_answers: bool,
    /// Whether sending the request twice is harmless; `None` where its method decides. If not
    /// harmless, only a failure to connect is retried: then nothing was sent.
    pub idempotent: Option<bool>,
    /// Whether a failure to connect is retried at all. It is the answer where a service either
    /// runs here or does not.
    pub reconnect: bool,
    /// What to do with a redirect.
    pub redirects: Redirects,
    /// Whether a proxy may be used; metadata and loopback services never go through one.
    pub proxy: bool,
    /// The request goes over this Unix socket, whatever host its URL names.
    pub unix_socket: Option<PathBuf>,
    /// The server's certificate must come from one of the authorities in this PEM text and from no
    /// other. Such a request has a connection of its own.
    pub trust_only: Option<Bytes>,
    /// Whether plain http is used to any host. Without it only to this machine and its cloud's
    /// metadata service: see [`Self::check`].
    pub plain_http: bool,
}

impl CallPolicy {
    /// 30 seconds for an attempt, a minute for up to three of them, an answer of up to 4 MiB, and
    /// redirects within the same origin.
    pub fn new() -> Self {
        Self {
            attempt: Duration::from_secs(30),
            total: Duration::from_secs(60),
            body_cap: 4 << 20,
            attempts: 3,
            retry_answers: true,
            idempotent: None,
            reconnect: true,
            redirects: Redirects::SameOrigin,
            proxy: true,
            unix_socket: None,
            trust_only: None,
            plain_http: false,
        }
    }

    /// Limits one attempt to `attempt`.
    #[must_use]
    pub fn with_attempt(mut self, attempt: Duration) -> Self {
        self.attempt = attempt;
        self
    }

    /// Limits all attempts together to `total`.
    #[must_use]
    pub fn with_total(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }

    /// Accepts answers of up to `body_cap` bytes.
    #[must_use]
    pub fn with_body_cap(mut self, body_cap: usize) -> Self {
        self.body_cap = body_cap;
        self
    }

    /// Tries up to `attempts` times.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Says whether a failure to connect is retried.
    #[must_use]
    pub fn with_reconnect(mut self, reconnect: bool) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// Says whether answers of 408, 429 and 5xx are retried.
    #[must_use]
    pub fn with_retry_answers(mut self, retry_answers: bool) -> Self {
        self.retry_answers = retry_answers;
        self
    }

    /// Says whether the request may be sent twice, whatever its method.
    #[must_use]
    pub fn with_idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = Some(idempotent);
        self
    }

    /// Treats redirects by `redirects`.
    #[must_use]
    pub fn with_redirects(mut self, redirects: Redirects) -> Self {
        self.redirects = redirects;
        self
    }

    /// Says whether a proxy may be used.
    #[must_use]
    pub fn with_proxy(mut self, proxy: bool) -> Self {
        self.proxy = proxy;
        self
    }

    /// Sends the request over the Unix socket at `path`.
    #[must_use]
    pub fn with_unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.unix_socket = Some(path.into());
        self
    }

    /// Trusts the authorities in the PEM text `pem` and no other.
    #[must_use]
    pub fn with_trust_only(mut self, pem: impl Into<Bytes>) -> Self {
        self.trust_only = Some(pem.into());
        self
    }

    /// Says whether plain http may be used to any host.
    #[must_use]
    pub fn with_plain_http(mut self, plain_http: bool) -> Self {
        self.plain_http = plain_http;
        self
    }

    /// Refuses to send a request to `url` in clear: tokens, credentials and trust data travel over
    /// https, or stay on this machine or between it and its cloud's metadata service. Every
    /// transport checks this, also before it follows a redirect.
    ///
    /// # Errors
    /// [`TransportError::PlainHttp`].
    pub fn check(&self, url: &Uri) -> Result<(), TransportError> {
        let is_plain = url.scheme_str() == Some("http") && self.unix_socket.is_none();
        if is_plain && !self.plain_http && !is_https_or_local(url) {
            let authority = url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            return Err(TransportError::PlainHttp { url: format!("http://{host}") });
        }
        Ok(())
    }

    /// Whether a request with `method` may be sent twice: what [`Self::idempotent`] says, else what
    /// the method promises (RFC 9110 section 9.2.2).
    pub fn is_idempotent(&self, method: &Method) -> bool {
        self.idempotent.unwrap_or_else(|| method.is_idempotent())
    }
}

impl Default for CallPolicy {
    fn default() -> Self {
        Self::new()
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
        /// The server that did not answer.
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
        /// The server.
        url: String,
        /// What broke.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The request would travel in clear, and the policy does not allow that.
    #[error("plain http to {url} is refused: a token or trust data would travel unencrypted")]
    PlainHttp {
        /// The target.
        url: String,
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

impl TransportError {
    /// The URL of the request, or of the server.
    pub fn url(&self) -> &str {
        match self {
            Self::Connect { url, .. }
            | Self::Tls { url, .. }
            | Self::Timeout { url, .. }
            | Self::TooLarge { url, .. }
            | Self::Broken { url, .. }
            | Self::PlainHttp { url }
            | Self::Unusable { url, .. } => url,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_travels_in_clear_unless_the_policy_allows_it() {
        let policy = CallPolicy::new();
        let check = |policy: &CallPolicy, url: &str| policy.check(&url.parse().unwrap());
        let error = check(&policy, "http://user:secret@fulcio.example:81/api?x").unwrap_err();
        assert!(
            matches!(&error, TransportError::PlainHttp { url } if url == "http://fulcio.example:81"),
            "{error}"
        );
        for url in ["https://fulcio.example/", "http://127.0.0.1:1/", "http://169.254.169.254/"] {
            check(&policy, url).unwrap();
        }
        let url = "http://fulcio.example/";
        check(&policy.clone().with_unix_socket("/run/socket"), url).unwrap();
        check(&policy.clone().with_plain_http(true), url).unwrap();

        let network = |_: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
            Ok(Response::new(Bytes::new()))
        };
        let request = Request::get(url).body(Bytes::new()).unwrap();
        let mut answer = network.send(request, &policy);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let answer = answer.as_mut().poll(&mut context);
        assert!(matches!(answer, std::task::Poll::Ready(Err(TransportError::PlainHttp { .. }))));
    }

    #[test]
    fn the_method_says_whether_a_request_may_be_sent_twice_unless_the_policy_does() {
        let policy = CallPolicy::new();
        for (method, twice) in [(Method::GET, true), (Method::PUT, true), (Method::POST, false)] {
            assert_eq!(policy.is_idempotent(&method), twice, "{method}");
        }
        assert!(policy.clone().with_idempotent(true).is_idempotent(&Method::POST));
        assert!(!policy.with_idempotent(false).is_idempotent(&Method::GET));
    }
}
