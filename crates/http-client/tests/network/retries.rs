//! What is tried again, and when.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use host::{CallPolicy, Transport as _, TransportError};
use http::{Request, Response};
use tokio::io::AsyncReadExt as _;

use crate::server::{Server, answer, chain, client, get, raw, send};

fn retry_after(status: u16, value: &str) -> Response<Bytes> {
    Response::builder().status(status).header("retry-after", value).body(Bytes::new()).unwrap()
}

fn post(url: &str) -> Request<Bytes> {
    Request::post(url).body(Bytes::from_static(b"payload")).unwrap()
}

fn once_only() -> CallPolicy {
    CallPolicy::new().with_idempotent(false)
}

#[tokio::test]
async fn an_overloaded_server_is_asked_again() {
    let server =
        Server::start(|number, _| if number < 3 { answer(503, "") } else { answer(200, "ok") })
            .await;
    let done = client()
        .send(post(&server.url("/")), &CallPolicy::new().with_idempotent(true))
        .await
        .unwrap();
    assert_eq!(done.body(), "ok");
    assert_eq!(server.count(), 3);
    assert_eq!(server.request(2).body(), "payload");
}

#[tokio::test]
async fn attempts_run_out_and_the_last_answer_is_handed_over() {
    let server = Server::start(|_, _| answer(502, "bad gateway")).await;
    let last = client().send(get(&server.url("/")), &CallPolicy::new()).await.unwrap();
    assert_eq!((last.status().as_u16(), server.count()), (502, 3));
}

#[tokio::test]
async fn a_refusal_is_not_asked_again() {
    let server = Server::start(|_, _| answer(403, "")).await;
    client().send(get(&server.url("/")), &CallPolicy::new()).await.unwrap();
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn what_must_not_happen_twice_is_sent_once() {
    let server = Server::start(|_, _| answer(503, "")).await;
    let answer = send(&client(), post(&server.url("/")), once_only()).await.unwrap();
    assert_eq!((answer.status().as_u16(), server.count()), (503, 1));
}

#[tokio::test]
async fn what_must_not_happen_twice_is_not_repeated_when_the_answer_is_lost() {
    let connections = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = connections.clone();
    let address = raw(move |number, mut stream| {
        seen.store(number, Ordering::Relaxed);
        async move {
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).await;
        }
    })
    .await;
    let url = format!("http://{address}/");
    let error = send(&client(), post(&url), once_only()).await.unwrap_err();
    assert!(matches!(error, TransportError::Broken { .. }), "{}", chain(&error));
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    let error = send(&client(), get(&url), CallPolicy::default()).await.unwrap_err();
    assert!(matches!(error, TransportError::Broken { .. }), "{}", chain(&error));
    assert_eq!(connections.load(Ordering::Relaxed), 4, "three more for the idempotent one");
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let server = Server::start(
        |number, _| {
            if number == 1 { retry_after(429, "1") } else { answer(200, "ok") }
        },
    )
    .await;
    let started = Instant::now();
    let done = client().send(get(&server.url("/")), &CallPolicy::new()).await.unwrap();
    assert_eq!(done.body(), "ok");
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_retry_after_beyond_the_total_gives_up_at_once() {
    let server = Server::start(|_, _| retry_after(503, "3600")).await;
    let started = Instant::now();
    let last = client().send(get(&server.url("/")), &CallPolicy::new()).await.unwrap();
    assert_eq!((last.status().as_u16(), server.count()), (503, 1));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_refused_connection_names_the_systems_reason() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client()
        .send(get(&format!("http://{address}/v2/?x=y")), &CallPolicy::new())
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Connect { .. }), "{error}");
    assert_eq!(error.to_string(), format!("could not connect to http://{address}/v2/"));
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    let mut kind = None;
    while let Some(error) = cause {
        kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind).or(kind);
        cause = error.source();
    }
    assert_eq!(kind, Some(std::io::ErrorKind::ConnectionRefused), "{}", chain(&error));
}

#[tokio::test]
async fn a_server_that_comes_up_late_is_reached_even_by_what_must_not_happen_twice() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let handler = std::sync::Arc::new(|_: usize, _: &Request<Bytes>| answer(201, ""));
        crate::server::serve(stream, handler, std::sync::Arc::default()).await;
    });
    let url = format!("http://{address}/");
    let done = send(&client(), post(&url), once_only()).await.unwrap();
    assert_eq!(done.status().as_u16(), 201);
}

#[tokio::test]
async fn connections_are_kept() {
    let server = Server::start(|_, _| answer(200, "ok")).await;
    let client = client();
    for _ in 0..3 {
        client.send(get(&server.url("/")), &CallPolicy::new()).await.unwrap();
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}
