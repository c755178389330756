//! The adapter between [`Service`] and the network.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host::Clock;
use http::header::DATE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, rustls};

use crate::Faults;
use crate::rekor_v2::Delay;
use crate::service::{Service, answer};

/// The pause after a connection could not be accepted, which happens when descriptors run out.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The time that a request may take to arrive.
const REQUEST_DEADLINE: Duration = Duration::from_secs(60);

/// A service and how it is served.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) service: Arc<dyn Service>,
    /// The largest request body, in bytes.
    pub(crate) body_cap: usize,
    /// The faults under which each POST is held back, if there are any.
    pub(crate) slow: Option<Faults>,
    /// How the service shows who it is, if it does not speak plain HTTP.
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    /// The clock of its answers' `Date`, if it is another than that of this machine.
    pub(crate) clock: Option<Arc<dyn Clock>>,
}

/// Serves HTTP/1.1 and HTTP/2 on `listener` until the task is aborted.
pub(crate) async fn serve(listener: TcpListener, served: Served) {
    // Aborting this task aborts those of its connections.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Small answers should not wait for the acknowledgement of the ones before.
        drop(stream.set_nodelay(true));
        let served = served.clone();
        connections.spawn(async move {
            let Some(config) = served.tls.clone() else { return converse(stream, served).await };
            let accepted = TlsAcceptor::from(config).accept(stream);
            if let Ok(Ok(stream)) = tokio::time::timeout(REQUEST_DEADLINE, accepted).await {
                converse(stream, served).await;
            }
        });
    }
}

/// The same on a Unix socket.
pub(crate) async fn serve_socket(listener: UnixListener, served: Served) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        connections.spawn(converse(stream, served.clone()));
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, served: Served) {
    let mut connection = auto::Builder::new(TokioExecutor::new());
    connection.http1().timer(TokioTimer::new()).header_read_timeout(REQUEST_DEADLINE);
    connection.http2().timer(TokioTimer::new());
    let handler = service_fn(move |request| respond(served.clone(), request));
    // What breaks off a connection is between client and network.
    drop(connection.serve_connection(TokioIo::new(stream), handler).await);
}

async fn respond(
    served: Served,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let clock = served.clock.clone();
    let mut response = match receive(request, served.body_cap).await {
        Ok(request) => {
            if let Some(pause) = served.pause().filter(|_| request.method() == Method::POST) {
                tokio::time::sleep(pause).await;
            }
            let service = served.service;
            // A handler computes; it must not hold up the sockets of the others.
            let answer = tokio::task::spawn_blocking(move || service.handle(request)).await;
            let answer = answer.unwrap_or_else(|_| problem(StatusCode::INTERNAL_SERVER_ERROR));
            if let Some(Delay(delay)) = answer.extensions().get() {
                tokio::time::sleep(*delay).await;
            }
            answer
        }
        Err(status) => problem(status),
    };
    if let Some(clock) = clock
        && let Ok(date) = httpdate::fmt_http_date(clock.now()).parse()
    {
        response.headers_mut().entry(DATE).or_insert(date);
    }
    Ok(response.map(Full::new))
}

async fn receive(request: Request<Incoming>, cap: usize) -> Result<Request<Bytes>, StatusCode> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, cap).collect();
    let body = tokio::time::timeout(REQUEST_DEADLINE, body)
        .await
        .map_err(|_| StatusCode::REQUEST_TIMEOUT)?
        .map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
            true => StatusCode::PAYLOAD_TOO_LARGE,
            false => StatusCode::BAD_REQUEST,
        })?;
    Ok(Request::from_parts(head, body.to_bytes()))
}

fn problem(status: StatusCode) -> Response<Bytes> {
    answer(status, "text/plain", status.canonical_reason().unwrap_or_default())
}
