//! Deadlines and caps.

use std::time::{Duration, Instant};

use host::{CallPolicy, Transport as _, TransportError};
use http::{Method, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::server::{Server, answer, chain, client, get, head, raw, send};

fn patient_for(attempt: u64, attempts: u32) -> CallPolicy {
    CallPolicy::new().with_attempt(Duration::from_millis(attempt)).with_attempts(attempts)
}

#[tokio::test]
async fn a_server_that_says_nothing_meets_the_deadline_of_one_attempt() {
    let address = raw(|_, mut stream| async move {
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let started = Instant::now();
    let url = format!("http://{address}/slow?secret=1");
    let error = send(&client(), get(&url), patient_for(100, 1)).await.unwrap_err();
    assert!(matches!(error, TransportError::Timeout { .. }), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn the_deadline_reaches_to_the_last_byte_of_the_answer() {
    let address = raw(|_, mut stream| async move {
        head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(b"1\r\nx\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let policy = patient_for(200, 1);
    let error = send(&client(), get(&format!("http://{address}/")), policy).await.unwrap_err();
    assert!(matches!(error, TransportError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn all_attempts_together_end_at_the_total() {
    let address = raw(|_, stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
    })
    .await;
    let policy = patient_for(200, 100).with_total(Duration::from_millis(500));
    let started = Instant::now();
    let error = send(&client(), get(&format!("http://{address}/")), policy).await.unwrap_err();
    assert!(matches!(error, TransportError::Timeout { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_endless_body_ends_at_the_cap() {
    let address = raw(|_, mut stream| async move {
        head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
        while stream.write_all(chunk.as_bytes()).await.is_ok() {}
    })
    .await;
    let policy = CallPolicy::new().with_body_cap(100_000);
    let error = send(&client(), get(&format!("http://{address}/")), policy).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { cap: 100_000, .. }), "{error}");
}

#[tokio::test]
async fn an_announced_length_beyond_the_cap_is_refused_before_the_body_comes() {
    let address = raw(|_, mut stream| async move {
        head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
        stream.write_all(head).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let started = Instant::now();
    let error =
        client().send(get(&format!("http://{address}/")), &CallPolicy::new()).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_body_of_exactly_the_cap_is_read() {
    let server = Server::start(|_, _| answer(200, "12345")).await;
    let policy = |body_cap| CallPolicy::new().with_body_cap(body_cap);
    let whole = send(&client(), get(&server.url("/")), policy(5)).await.unwrap();
    assert_eq!(whole.body(), "12345");
    let error = send(&client(), get(&server.url("/")), policy(4)).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { cap: 4, .. }), "{error}");
}

#[tokio::test]
async fn the_length_in_the_answer_to_a_head_is_not_a_body() {
    let server = Server::start(|_, _| answer(200, "0123456789")).await;
    let mut request = get(&server.url("/"));
    *request.method_mut() = Method::HEAD;
    let policy = CallPolicy::new().with_body_cap(5);
    let head = send(&client(), request, policy).await.unwrap();
    assert_eq!(head.headers()["content-length"], "10");
    assert!(head.body().is_empty());
}

#[tokio::test]
async fn what_is_not_http_is_broken_and_says_so() {
    let address = raw(|_, mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await;
    })
    .await;
    let policy = CallPolicy::new().with_attempts(1);
    let error = send(&client(), get(&format!("http://{address}/")), policy).await.unwrap_err();
    assert!(matches!(error, TransportError::Broken { .. }), "{}", chain(&error));
    assert!(!chain(&error).contains("client error"), "{}", chain(&error));
}

#[tokio::test]
async fn urls_that_cannot_be_sent_are_refused_by_name() {
    for (url, reason) in [
        ("ftp://host/x", "its scheme is neither http nor https"),
        ("/just/a/path", "its URL has no scheme"),
        ("http://user:secret@host/x", "its URL holds credentials"),
    ] {
        let error = client().send(get(url), &CallPolicy::new()).await.unwrap_err();
        assert!(error.to_string().ends_with(reason), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn the_user_agent_names_the_program_unless_the_caller_does() {
    let server = Server::start(|_, _| answer(200, "")).await;
    client().send(get(&server.url("/")), &CallPolicy::new()).await.unwrap();
    let own = Request::get(server.url("/")).header("user-agent", "mine/1");
    let own = own.body(bytes::Bytes::new()).unwrap();
    client().send(own, &CallPolicy::new()).await.unwrap();
    let agent = server.request(0).headers()["user-agent"].to_str().unwrap().to_owned();
    assert!(agent.starts_with("ambisign/"), "{agent}");
    assert_eq!(server.request(1).headers()["user-agent"], "mine/1");
}
