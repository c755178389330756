//! One attempt: a request, its redirects, and the whole answer.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use host::{Body, CallPolicy, TransportError};
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::connect::{Connector, Shared};
use crate::failure::{Failure, shown};
use crate::parts::Outgoing;
use crate::proxy::Route;
use crate::redirect::{self, MOST_HOPS};
use crate::settings::Settings;

/// The pools of connections.
pub(crate) struct Exchange {
    shared: Arc<Shared>,
    direct: Pools,
    proxied: Pools,
}

/// Connections by the protocols that were offered for them.
struct Pools {
    any: Client<Connector, Outgoing>,
    http1: Client<Connector, Outgoing>,
}

impl Exchange {
    pub(crate) fn new(settings: &Settings) -> Self {
        let shared = Arc::new(Shared::new(settings));
        Self { direct: Pools::new(&shared, false), proxied: Pools::new(&shared, true), shared }
    }

    /// Sends `request`, follows redirects as `policy` allows, and reads the answer to its end.
    pub(crate) async fn run(
        &self,
        request: &Request<Body>,
        policy: &CallPolicy,
        http1: bool,
    ) -> Result<Response<Bytes>, Failure> {
        let socket = policy.unix_socket.as_deref();
        let mut leg = Leg {
            uri: request.uri().clone(),
            method: request.method().clone(),
            headers: request.headers().clone(),
            body: request.body().clone(),
        };
        for _ in 0..=MOST_HOPS {
            policy.check(&leg.uri).map_err(Failure::never)?;
            let answer = match socket {
                Some(socket) => over_unix_socket(&leg, socket).await?,
                None => self.over_network(&leg, policy, http1).await?,
            };
            let (status, headers) = (answer.status(), answer.headers());
            let (rule, has_body) = (policy.redirects, leg.body.size() > 0);
            let hop = redirect::next(rule, &leg.method, &leg.uri, status, headers, has_body);
            // A socket's redirect to another host does not lead to the same socket.
            let hop = hop.filter(|hop| socket.is_none() || !hop.other_origin);
            let Some(hop) = hop else {
                return collect(&leg, answer, policy.body_cap).await;
            };
            leg.follow(hop);
        }
        Err(Failure::never(TransportError::Broken {
            url: shown(request.uri()),
            source: Arc::new(TooManyRedirects),
        }))
    }

    async fn over_network(
        &self,
        leg: &Leg,
        policy: &CallPolicy,
        http1: bool,
    ) -> Result<Response<Incoming>, Failure> {
        self.request(leg.request(leg.uri.clone()), policy, http1).await
    }

    /// Sends `request` over the network, and resolves when the head of the answer is there.
    pub(crate) async fn request(
        &self,
        mut request: Request<Outgoing>,
        policy: &CallPolicy,
        http1: bool,
    ) -> Result<Response<Incoming>, Failure> {
        let uri = request.uri().clone();
        let pools = if policy.proxy { &self.proxied } else { &self.direct };
        // Only the request itself can carry it: there is no CONNECT for plain http.
        if policy.proxy
            && uri.scheme_str() == Some("http")
            && let Route::Via(proxy) = self.shared.route(&uri)
            && let Some(credentials) = proxy.basic_auth()
        {
            request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        let pool = if http1 { &pools.http1 } else { &pools.any };
        pool.request(request).await.map_err(|error| Failure::from_client(&uri, error))
    }
}

impl Pools {
    fn new(shared: &Arc<Shared>, proxied: bool) -> Self {
        let pool = |http1| {
            Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .build(Connector::new(Arc::clone(shared), http1, proxied))
        };
        Self { any: pool(false), http1: pool(true) }
    }
}

/// What is sent to one URL of a chain of redirects.
struct Leg {
    uri: Uri,
    method: Method,
    headers: HeaderMap,
    body: Body,
}

impl Leg {
    fn request(&self, uri: Uri) -> Request<Outgoing> {
        let mut request = Request::new(Outgoing::content(&self.body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        request
    }

    fn follow(&mut self, hop: redirect::Hop) {
        self.uri = hop.to;
        self.method = hop.method;
        // A `Host` of the first request would name the wrong server.
        self.headers.remove(http::header::HOST);
        if !hop.keeps_body {
            self.body = Bytes::new().into();
            for name in [http::header::CONTENT_TYPE, http::header::CONTENT_LENGTH] {
                self.headers.remove(name);
            }
        }
        if hop.other_origin {
            for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                self.headers.remove(name);
            }
            // Callers mark other secrets as sensitive.
            let secret: Vec<_> = self
                .headers
                .iter()
                .filter(|(_, value)| value.is_sensitive())
                .map(|(name, _)| name.clone())
                .collect();
            for name in secret {
                self.headers.remove(name);
            }
        }
    }
}

/// Reads an answer, never keeping more than `cap` bytes of it.
async fn collect(
    leg: &Leg,
    answer: Response<Incoming>,
    cap: usize,
) -> Result<Response<Bytes>, Failure> {
    let too_large = || Failure::never(TransportError::TooLarge { url: shown(&leg.uri), cap });
    let (head, mut body) = answer.into_parts();
    // The length announced for a HEAD is not that of the body at hand; this one is.
    let announced = body.size_hint().lower();
    if announced > cap as u64 {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::broken(&leg.uri, error))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > cap.saturating_sub(bytes.len()) {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Response::from_parts(head, bytes.freeze()))
}

#[cfg(unix)]
async fn over_unix_socket(leg: &Leg, socket: &Path) -> Result<Response<Incoming>, Failure> {
    use crate::failure::ConnectFailure;

    let connecting = |error| Failure::connecting(&leg.uri, ConnectFailure::connect(error));
    let stream = tokio::net::UnixStream::connect(socket)
        .await
        .map_err(|source| connecting(AtSocket { path: socket.to_owned(), source }))?;
    let io = hyper_util::rt::TokioIo::new(stream);
    let broken = |error| Failure::broken(&leg.uri, error);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(broken)?;
    // Ends when the answer has been read and the sender is gone. Its errors reach the sender too.
    tokio::spawn(connection);
    let path = leg.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    let mut request = leg.request(path);
    if let Some(authority) = leg.uri.authority()
        && let Ok(host) = authority.as_str().parse()
    {
        request.headers_mut().entry(http::header::HOST).or_insert(host);
    }
    sender.send_request(request).await.map_err(broken)
}

#[cfg(not(unix))]
async fn over_unix_socket(leg: &Leg, _: &Path) -> Result<Response<Incoming>, Failure> {
    Err(Failure::never(TransportError::Unusable {
        url: shown(&leg.uri),
        reason: "Unix sockets are not available on this system".to_owned(),
    }))
}

/// A Unix socket that cannot be connected to.
#[cfg(unix)]
#[derive(Debug, thiserror::Error)]
#[error("the socket {} cannot be connected to", path.display())]
struct AtSocket {
    path: std::path::PathBuf,
    source: std::io::Error,
}

#[derive(Debug)]
struct TooManyRedirects;

impl fmt::Display for TooManyRedirects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {MOST_HOPS} redirects in a row")
    }
}

impl std::error::Error for TooManyRedirects {}
