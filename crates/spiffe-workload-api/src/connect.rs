//! The connection, and the errors that failures are.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use id_token::SpiffeId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower_service::Service;

use crate::endpoint::Endpoint;
use crate::error::{Error, Unreachable};

/// How long an open stream may be silent before the server is asked whether it is still there. A
/// frozen agent, or one behind a lost TCP connection, would otherwise be waited for without end.
/// Servers in Go end the connection of a client that asks more often than every five minutes.
const KEEP_ALIVE: Duration = Duration::from_secs(330);

/// How long the server may take to answer that question.
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(20);

/// Connects, within `deadline`.
pub(crate) async fn connect(endpoint: &Endpoint, deadline: Duration) -> Result<Channel, Error> {
    // The authority means nothing on a socket; gRPC requires one, and `localhost` is usual.
    let builder = tonic::transport::Endpoint::from_static("http://localhost")
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER);
    let connecting = builder.connect_with_connector(Connector(endpoint.clone()));
    match tokio::time::timeout(deadline, connecting).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(broken(endpoint, &error)),
        Err(_) => Err(Error::TimedOut { endpoint: endpoint.clone(), after: deadline }),
    }
}

/// The error that a gRPC status is.
pub(crate) fn failure(
    endpoint: &Endpoint,
    asked: Option<&SpiffeId>,
    after: Duration,
    status: &Status,
) -> Error {
    let endpoint = endpoint.clone();
    let message = host::escape_remote(status.message());
    // A status without a source came over the wire; one with a source was made on this side.
    if let Some(source) = status.source() {
        return broken(&endpoint, source);
    }
    match status.code() {
        Code::PermissionDenied => {
            let (asked, offered) = (asked.cloned(), Vec::new());
            Error::NoIdentity { endpoint, asked, offered, message }
        }
        Code::Unavailable => Error::Unavailable { endpoint, message },
        Code::DeadlineExceeded => Error::TimedOut { endpoint, after },
        code => Error::Refused { endpoint, code: code_name(code), message },
    }
}

/// A failure on this side of the wire, by the operating system's reason, which stands somewhere in
/// the chain of causes.
fn broken(endpoint: &Endpoint, error: &(dyn StdError + 'static)) -> Error {
    let endpoint = endpoint.clone();
    match io_cause(error) {
        Some(cause) if cause.get_ref().is_some_and(is_not_connected) => {
            let source = Arc::new(copy(cause));
            let why = unreachable(&endpoint, cause);
            Error::Unreachable { endpoint, why, source }
        }
        _ => Error::NotGrpc { endpoint, reason: deepest(error) },
    }
}

fn unreachable(endpoint: &Endpoint, cause: &io::Error) -> Unreachable {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        // Connecting to a regular file is "refused", too, as if an agent had stopped.
        let metadata = endpoint.path().and_then(|path| std::fs::metadata(path).ok());
        if metadata.is_some_and(|metadata| !metadata.file_type().is_socket()) {
            return Unreachable::NotASocket;
        }
    }
    match cause.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::NotFound => Unreachable::Missing,
        io::ErrorKind::ConnectionRefused => Unreachable::Refused,
        io::ErrorKind::PermissionDenied => Unreachable::PermissionDenied,
        _ => Unreachable::Other,
    }
}

/// Marks an error of opening a connection, to tell it from one of a connection that existed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotConnected(String);

fn is_not_connected(error: &(dyn StdError + Send + Sync + 'static)) -> bool {
    error.is::<NotConnected>()
}

fn copy(cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), cause.to_string())
}

fn io_cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The last cause says what happened; those above it say "transport error".
fn deepest(error: &(dyn StdError + 'static)) -> String {
    host::escape_remote(&causes(error).last().map_or_else(String::new, ToString::to_string))
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let below = |error: &&'a (dyn StdError + 'static)| StdError::source(*error);
    // Chains are short; the bound is against one that bites its tail.
    std::iter::successors(Some(error), below).take(32)
}

/// As the gRPC documentation spells them.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Opens the connection of a channel.
#[derive(Clone)]
struct Connector(Endpoint);

/// A TCP or Unix stream.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let endpoint = self.0.clone();
        Box::pin(async move {
            match open(&endpoint).await {
                Ok(stream) => Ok(TokioIo::new(stream)),
                Err(error) => Err(io::Error::new(error.kind(), NotConnected(error.to_string()))),
            }
        })
    }
}

async fn open(endpoint: &Endpoint) -> io::Result<Box<dyn Stream>> {
    match endpoint {
        Endpoint::Tcp(address) => Ok(Box::new(TcpStream::connect(address).await?)),
        #[cfg(unix)]
        Endpoint::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        #[cfg(not(unix))]
        Endpoint::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}
