//! A Workload API that answers with recordings, and a machine to look for it.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use host::{BoxFuture, Clock, Host, NoPrograms, TransportError};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use id_token::{Audience, Outcome, TokenSource as _};
use serde_json::{Value, json};
use spiffe_workload_api::{Endpoint, Error, SpiffeId, SpiffeSource, WorkloadApi};
use tempfile::TempDir;
use tokio::net::UnixListener;

use crate::wire;

pub(crate) const BUILDER: &str = "spiffe://example.org/ns/ci/sa/builder";
pub(crate) const A_FIRST: &str = "spiffe://example.org/a-first";

/// A clock that moves by what is waited.
pub(crate) struct Advancing(pub(crate) Mutex<Duration>);

impl Clock for Advancing {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        *self.0.lock().unwrap() += duration;
        Box::pin(std::future::ready(()))
    }
}

pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn jwt(claims: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.c2ln", part(&json!({ "alg": "ES256", "kid": "k" })), part(claims))
}

/// An answer to a request for a JWT-SVID: one of `BUILDER`.
pub(crate) fn answer(token: &str) -> Value {
    let svid = vec![(1, BUILDER.as_bytes().to_vec()), (2, token.as_bytes().to_vec())];
    wire::answer(&wire::of_svids(&[svid]))
}

pub(crate) fn recorded_token() -> String {
    let recorded = recording("JWT-SVID for sigstore");
    let bytes = STANDARD.decode(recorded["response_b64"].as_str().unwrap()).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    text[text.find("eyJ").unwrap()..].to_owned()
}

pub(crate) fn machine<const N: usize>(variables: [(&str, &str); N]) -> Host {
    let variables: std::collections::BTreeMap<String, String> =
        variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let no_network = |_: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        Err(TransportError::Unusable { url: String::new(), reason: String::new() })
    };
    Host::new(
        Arc::new(no_network),
        Arc::new(variables),
        Arc::new(SystemTime::UNIX_EPOCH),
        Arc::new(NoPrograms),
    )
}

pub(crate) async fn find(source: &SpiffeSource) -> Outcome {
    source.find(&Audience::sigstore(), Duration::ZERO).await
}

pub(crate) async fn fetch(socket: &Path) -> Result<(), Error> {
    let api = WorkloadApi::connect(&Endpoint::unix(socket)?).await?;
    api.fetch_jwt_svid(&[Audience::sigstore()], None).await.map(drop)
}

pub(crate) fn id(text: &str) -> SpiffeId {
    SpiffeId::parse(text).unwrap()
}

pub(crate) fn recordings() -> Vec<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/captures/spire/workload-api.json"
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn recording(name: &str) -> Value {
    recordings().into_iter().find(|case| case["case"] == name).unwrap()
}

/// A request as far as the recording tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) header: Option<String>,
    message: Vec<u8>,
}

impl Seen {
    pub(crate) fn of(recording: &Value) -> Self {
        Self {
            method: recording["method"].as_str().unwrap().to_owned(),
            header: recording["metadata"]["workload.spiffe.io"].as_str().map(str::to_owned),
            message: STANDARD.decode(recording["request_b64"].as_str().unwrap()).unwrap(),
        }
    }
}

/// Answers request by request with the recordings, the last one again and again.
pub(crate) struct Replay {
    pub(crate) socket: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
    _directory: TempDir,
}

impl Replay {
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::unix(&self.socket).unwrap()
    }
}

pub(crate) async fn replaying(cases: &[&str]) -> (Replay, WorkloadApi) {
    replaying_values(cases.iter().map(|name| recording(name)).collect()).await
}

pub(crate) async fn replaying_values(cases: Vec<Value>) -> (Replay, WorkloadApi) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let cases = Arc::new(cases);
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (log, cases) = (Arc::clone(&log), Arc::clone(&cases));
            let answer = service_fn(move |request: Request<Incoming>| {
                let (log, cases) = (Arc::clone(&log), Arc::clone(&cases));
                async move { Ok::<_, Infallible>(replay(&log, &cases, request).await) }
            });
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), answer));
        }
    });
    let api = WorkloadApi::connect(&Endpoint::unix(&socket).unwrap()).await.unwrap();
    (Replay { socket, seen, _directory: directory }, api)
}

pub(crate) async fn replay(
    log: &Mutex<Vec<Seen>>,
    cases: &[Value],
    request: Request<Incoming>,
) -> Response<impl hyper::body::Body<Data = Bytes, Error = Infallible> + use<>> {
    let (head, body) = request.into_parts();
    let frame = body.collect().await.unwrap().to_bytes();
    assert_eq!(head.headers["content-type"], "application/grpc");
    assert_eq!(head.headers["te"], "trailers");
    let header = head.headers.get("workload.spiffe.io");
    let number = {
        let mut log = log.lock().unwrap();
        log.push(Seen {
            method: head.uri.path().to_owned(),
            header: header.map(|value| value.to_str().unwrap().to_owned()),
            message: frame[5..].to_vec(),
        });
        log.len()
    };
    let case = cases.get(number - 1).unwrap_or_else(|| cases.last().unwrap());
    let messages = case["responses_b64"].as_array().cloned().unwrap_or_default();
    let single = case["response_b64"].as_str().map(Value::from);
    let mut content = Vec::new();
    for message in messages.into_iter().chain(single) {
        let message = STANDARD.decode(message.as_str().unwrap()).unwrap();
        content.push(0);
        content.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        content.extend(message);
    }
    let code = match case["status"].as_str().unwrap() {
        "OK" => 0,
        "INVALID_ARGUMENT" => 3,
        "PERMISSION_DENIED" => 7,
        "UNIMPLEMENTED" => 12,
        "INTERNAL" => 13,
        "UNAVAILABLE" => 14,
        other => panic!("{other}"),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.into());
    if let Some(message) = case["message"].as_str() {
        trailers.insert("grpc-message", message.replace('%', "%25").parse().unwrap());
    }
    Response::builder()
        .header("content-type", "application/grpc")
        .body(Full::new(Bytes::from(content)).with_trailers(async { Some(Ok(trailers)) }))
        .unwrap()
}
