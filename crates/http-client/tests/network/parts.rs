//! Bodies that travel in parts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{iter, unfold};
use host::{Body, CallPolicy, Parts, Transport as _, TransportError};
use http::Request;
use tokio::io::AsyncWriteExt as _;

use crate::server::{Server, answer, client, head, raw};

fn policy() -> CallPolicy {
    CallPolicy::new().with_attempt(Duration::from_millis(300))
}

fn put(url: &str, length: usize, parts: Parts) -> Request<Parts> {
    Request::put(url).header("content-length", length).body(parts).unwrap()
}

/// `count` parts of one byte, each after a pause.
fn slowly(count: u32) -> Parts {
    Box::pin(unfold(count, async |left| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        left.checked_sub(1).map(|left| (Ok(Bytes::from_static(b"x")), left))
    }))
}

async fn whole(mut parts: Parts) -> Result<Vec<u8>, TransportError> {
    let mut bytes = Vec::new();
    while let Some(part) = parts.next().await {
        bytes.extend_from_slice(&part?);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_long_upload_and_a_long_answer_may_take_longer_than_the_wait_for_a_part() {
    let server = Server::start(|_, _| answer(201, "stored")).await;
    let request = put(&server.url("/"), 8, slowly(8));
    let stored = client().send_parts(request, &policy()).await.unwrap();
    assert_eq!(stored.status(), 201);
    assert_eq!(whole(stored.into_body()).await.unwrap(), b"stored");
    assert_eq!(server.request(0).body().as_ref(), b"xxxxxxxx");
    assert_eq!(server.request(0).headers()["content-length"], "8");

    let address = raw(|_, mut stream| async move {
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n").await.unwrap();
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            stream.write_all(b"y").await.unwrap();
        }
    })
    .await;
    let request = put(&format!("http://{address}/"), 0, Box::pin(iter([])));
    let answer = client().send_parts(request, &policy()).await.unwrap();
    assert_eq!(whole(answer.into_body()).await.unwrap(), b"yyyyyyyy");
}

#[tokio::test]
async fn a_body_that_stops_coming_meets_the_deadline_and_one_that_is_too_long_the_cap() {
    let address = raw(|_, mut stream| async move {
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nyyyy").await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    })
    .await;
    let send = async |policy: CallPolicy| {
        let request = put(&format!("http://{address}/"), 0, Box::pin(iter([])));
        let answer = client().send_parts(request, &policy).await.unwrap();
        whole(answer.into_body()).await.unwrap_err()
    };
    let error = send(policy()).await;
    assert!(matches!(error, TransportError::Timeout { .. }), "{error}");
    let error = send(policy().with_body_cap(3)).await;
    assert!(matches!(error, TransportError::TooLarge { cap: 3, .. }), "{error}");
}

#[tokio::test]
async fn a_source_that_fails_completes_no_upload() {
    let server = Server::start(|_, _| answer(201, "stored")).await;
    let broken = TransportError::Unusable { url: "source".to_owned(), reason: "gone".to_owned() };
    let parts = iter([Ok(Bytes::from_static(b"xxxx")), Err(broken)]);
    let request = put(&server.url("/"), 8, Box::pin(parts));
    let error = client().send_parts(request, &policy()).await.map(drop).unwrap_err();
    assert!(host::with_causes(&error).contains("gone"), "{error}");
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_body_that_can_be_made_anew_is_sent_again_after_an_outage() {
    let server = Server::start(|number, _| match number {
        1 => answer(503, "down"),
        _ => answer(201, "stored"),
    })
    .await;
    let made = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&made);
    let body = Body::new(8, move || {
        count.fetch_add(1, Ordering::Relaxed);
        Box::pin(iter([Ok(Bytes::from_static(b"xxxx")), Ok(Bytes::from_static(b"yyyy"))]))
    });
    let request = Request::post(server.url("/")).body(body).unwrap();
    let policy = CallPolicy::new().with_idempotent(true);
    let stored = client().send_body(request, &policy).await.unwrap();
    assert_eq!(stored.status(), 201);
    for number in 0..2 {
        assert_eq!(server.request(number).body().as_ref(), b"xxxxyyyy");
        assert_eq!(server.request(number).headers()["content-length"], "8");
    }
    assert_eq!((server.count(), made.load(Ordering::Relaxed)), (2, 2));
}
