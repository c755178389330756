//! Requests over a Unix socket.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use host::{CallPolicy, TransportError};
use http::Request;

use crate::server::{answer, chain, client, send, serve};

#[tokio::test]
async fn a_request_goes_over_the_socket_whatever_its_url_names() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("api");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let requests: Arc<Mutex<Vec<Request<Bytes>>>> = Arc::default();
    let seen = requests.clone();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, Arc::new(|_: usize, _: &Request<Bytes>| answer(200, "token")), seen).await;
    });
    let request = Request::post("http://localhost/v1/tokens/oidc?x=1")
        .body(Bytes::from_static(b"{}"))
        .unwrap();
    let done = send(&client(), request, CallPolicy::new().with_unix_socket(path)).await.unwrap();
    assert_eq!(done.body(), "token");
    let seen = requests.lock().unwrap();
    assert_eq!(seen[0].uri(), "/v1/tokens/oidc?x=1");
    assert_eq!(seen[0].headers()["host"], "localhost");
    assert_eq!(seen[0].body(), "{}");
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named() {
    let request = Request::get("http://localhost/").body(Bytes::new()).unwrap();
    let policy = CallPolicy::new().with_attempts(1).with_unix_socket("/nonexistent/api");
    let error = send(&client(), request, policy).await.unwrap_err();
    assert!(matches!(error, TransportError::Connect { .. }), "{error}");
    assert!(chain(&error).contains("/nonexistent/api"), "{}", chain(&error));
}
