//! An agent whose streams the test holds: what is sent, when it is cut, when the agent restarts.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use host::{BoxFuture, Clock};
use http::{HeaderMap, Request, Response};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use spiffe_workload_api::Endpoint;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::wire;

/// An agent at a socket.
pub(crate) struct Agent {
    calls: UnboundedReceiver<Call>,
    sender: UnboundedSender<Call>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
    directory: TempDir,
}

/// A request that was received and waits for its answer.
pub(crate) struct Call {
    pub(crate) method: String,
    frames: UnboundedSender<Result<Frame<Bytes>, Truncated>>,
}

#[derive(Debug, thiserror::Error)]
#[error("cut")]
pub(crate) struct Truncated;

impl Agent {
    pub(crate) fn start() -> Self {
        let (sender, calls) = unbounded_channel();
        let directory = tempfile::tempdir().unwrap();
        let agent = Self { calls, sender, tasks: Arc::default(), directory };
        agent.listen();
        agent
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::unix(self.directory.path().join("agent.sock")).unwrap()
    }

    /// The next request, of any connection.
    pub(crate) async fn call(&mut self) -> Call {
        let call = tokio::time::timeout(Duration::from_secs(10), self.calls.recv()).await;
        call.expect("a request within ten seconds").unwrap()
    }

    /// Whether a request waits.
    pub(crate) fn is_asked(&mut self) -> bool {
        !self.calls.is_empty()
    }

    /// Ends every connection and the socket with them.
    pub(crate) fn kill(&self) {
        self.tasks.lock().unwrap().drain(..).for_each(|task| task.abort());
        std::fs::remove_file(self.directory.path().join("agent.sock")).unwrap();
    }

    pub(crate) fn listen(&self) {
        let listener = UnixListener::bind(self.directory.path().join("agent.sock")).unwrap();
        let (sender, tasks) = (self.sender.clone(), Arc::clone(&self.tasks));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                let answer = service_fn(move |request: Request<Incoming>| {
                    let sender = sender.clone();
                    async move { Ok::<_, Infallible>(held(&sender, &request)) }
                });
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let serving = connection.serve_connection(TokioIo::new(stream), answer);
                tasks.lock().unwrap().push(tokio::spawn(async move {
                    let _ = serving.await;
                }));
            }
        });
        self.tasks.lock().unwrap().push(accepting);
    }
}

fn held(sender: &UnboundedSender<Call>, request: &Request<Incoming>) -> Response<HeldStream> {
    let (frames, receiver) = unbounded_channel();
    let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
    let _ = sender.send(Call { method, frames });
    Response::builder()
        .header("content-type", "application/grpc")
        .body(HeldStream(receiver))
        .unwrap()
}

impl Call {
    /// Sends a message, and leaves the stream open.
    pub(crate) fn send(&self, message: &[u8]) {
        let mut frame = vec![0];
        frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend(message);
        let _ = self.frames.send(Ok(Frame::data(frame.into())));
    }

    /// Sends bytes that need not be a message.
    pub(crate) fn send_raw(&self, bytes: impl Into<Bytes>) {
        let _ = self.frames.send(Ok(Frame::data(bytes.into())));
    }

    /// Ends the stream with a status and a text.
    pub(crate) fn refuse(self, status: u32, message: &str) {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.into());
        trailers.insert("grpc-message", message.parse().unwrap());
        let _ = self.frames.send(Ok(Frame::trailers(trailers)));
    }

    /// Ends the stream with a status.
    pub(crate) fn end(self, status: u32) {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.into());
        let _ = self.frames.send(Ok(Frame::trailers(trailers)));
    }

    /// Ends the stream in the middle of a message.
    pub(crate) fn cut(self) {
        let _ = self.frames.send(Ok(Frame::data(Bytes::from_static(&[0, 0, 0, 1, 0, 7, 7]))));
        let _ = self.frames.send(Err(Truncated));
    }

    /// Answers a request for one JWT-SVID.
    pub(crate) fn token(self, spiffe_id: &str, token: &str) {
        let svid = vec![(1, spiffe_id.as_bytes().to_vec()), (2, token.as_bytes().to_vec())];
        self.send(&wire::of_svids(&[svid]));
        self.end(0);
    }

    /// Whether this side has dropped the stream.
    pub(crate) async fn is_dropped(&self) {
        self.frames.closed().await;
    }
}

pub(crate) struct HeldStream(UnboundedReceiver<Result<Frame<Bytes>, Truncated>>);

impl Body for HeldStream {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        self.0.poll_recv(context)
    }
}

/// A clock that is set by hand, and whose waits take a hundredth of their time.
pub(crate) struct Quick(Mutex<SystemTime>);

impl Quick {
    pub(crate) fn at(now: SystemTime) -> Arc<Self> {
        Arc::new(Self(Mutex::new(now)))
    }

    pub(crate) fn set(&self, now: SystemTime) {
        *self.0.lock().unwrap() = now;
    }
}

impl Clock for Quick {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration / 100))
    }
}
