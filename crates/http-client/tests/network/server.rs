//! Small servers, and the client's errors as text.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ambisign_http_client::{HttpClient, Settings};
use bytes::Bytes;
use host::{CallPolicy, Transport, TransportError};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A server on loopback that remembers what it was asked.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<Mutex<Vec<Request<Bytes>>>>,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Server {
    /// Answers as `answer` says; its first argument is the number of the request, from 1.
    pub(crate) async fn start<F>(answer: F) -> Self
    where
        F: Fn(usize, &Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Request<Bytes>>>> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let server = Self { address, requests: requests.clone(), connections: connections.clone() };
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, answer.clone(), requests.clone()));
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub(crate) fn request(&self, index: usize) -> Request<Bytes> {
        self.requests.lock().unwrap()[index].clone()
    }
}

/// Serves HTTP/1.1 on one connection.
pub(crate) async fn serve<S, F>(
    stream: S,
    answer: Arc<F>,
    requests: Arc<Mutex<Vec<Request<Bytes>>>>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(usize, &Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (answer, requests) = (answer.clone(), requests.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let request = Request::from_parts(head, body);
            let number = {
                let mut requests = requests.lock().unwrap();
                requests.push(request.clone());
                requests.len()
            };
            Ok::<_, Infallible>(answer(number, &request).map(Full::new))
        }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
}

/// Hands every connection to `talk`, with its number from 1.
pub(crate) async fn raw<F, T>(talk: F) -> SocketAddr
where
    F: Fn(usize, TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 1.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(talk(number, stream));
        }
    });
    address
}

/// Reads one head, byte by byte.
pub(crate) async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

pub(crate) fn answer(status: u16, body: &'static str) -> Response<Bytes> {
    Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap()
}

pub(crate) fn client() -> HttpClient {
    HttpClient::new(&Settings::new())
}

pub(crate) fn client_with(env: &[(&str, &str)]) -> HttpClient {
    HttpClient::new(&Settings::from_env(&env_of(env)))
}

pub(crate) fn env_of(env: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

pub(crate) async fn send(
    client: &HttpClient,
    request: Request<Bytes>,
    policy: CallPolicy,
) -> Result<Response<Bytes>, TransportError> {
    client.send(request, &policy).await
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
