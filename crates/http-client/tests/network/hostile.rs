//! Servers that answer what no server should.

use std::time::{Duration, Instant};

use host::{CallPolicy, TransportError};
use tokio::io::AsyncWriteExt as _;

use crate::server::{client, get, head, raw, send};

/// What a server sends after the request: `start` once, then `forever` until it is hung up on.
struct Try {
    name: &'static str,
    start: &'static [u8],
    forever: &'static [u8],
    expected: &'static str,
}

const fn once(name: &'static str, start: &'static [u8], expected: &'static str) -> Try {
    Try { name, start, forever: b"", expected }
}

const fn endless(
    name: &'static str,
    start: &'static [u8],
    forever: &'static [u8],
    expected: &'static str,
) -> Try {
    Try { name, start, forever, expected }
}

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const KILOBYTE: &[u8] = &[b'x'; 1024];

const TRIES: [Try; 24] = [
    endless("a status line without an end", b"HTTP/1.1 200 ", KILOBYTE, "broken"),
    endless("a header without an end", b"HTTP/1.1 200 OK\r\nX: ", KILOBYTE, "broken"),
    endless("headers without an end", b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", "broken"),
    endless("interim answers without an end", b"", b"HTTP/1.1 100 Continue\r\n\r\n", "timeout"),
    endless(
        "early hints without an end",
        b"",
        b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n",
        "timeout",
    ),
    endless("a chunk's extension without an end", CHUNKED, KILOBYTE, "broken"),
    endless(
        "an extension after a size",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        KILOBYTE,
        "broken",
    ),
    endless(
        "trailers without an end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X: y\r\n",
        "broken",
    ),
    endless("chunks of one byte without an end", CHUNKED, b"1\r\nx\r\n", "too large or timeout"),
    endless(
        "a body without a length and an end",
        b"HTTP/1.0 200 OK\r\n\r\n",
        KILOBYTE,
        "too large",
    ),
    once(
        "a chunk of 2^68 bytes",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        "broken",
    ),
    once(
        "a chunk of a negative size",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "broken",
    ),
    once("a negative length", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "broken"),
    once(
        "two lengths",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "broken",
    ),
    once(
        "a length beyond 2^64",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "broken",
    ),
    once("less than announced", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "broken"),
    once("a status that is not a number", b"HTTP/1.1 abc OK\r\n\r\n", "broken"),
    once("a status of 99", b"HTTP/1.1 99 OK\r\n\r\n", "broken"),
    once("a version that does not exist", b"HTTP/7.3 200 OK\r\n\r\n", "broken"),
    once("a NUL in a header", b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n", "broken"),
    once(
        "another protocol",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "101",
    ),
    once("a redirect to nothing", b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "302"),
    once(
        "a redirect that is not text",
        b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        "302",
    ),
    once("nothing at all", b"", "broken"),
];

/// Each ends in the error or the answer that is expected, well before its deadline of two seconds
/// plus a moment, and never with more than the 100,000 bytes that are allowed.
#[tokio::test]
async fn no_answer_hangs_floods_or_passes_for_another() {
    let mut wrong = Vec::new();
    for Try { name, start, forever, expected } in TRIES {
        let address = raw(move |_, mut stream| async move {
            head(&mut stream).await;
            if stream.write_all(start).await.is_err() || forever.is_empty() {
                return;
            }
            let many = forever.repeat(65_536 / forever.len());
            while stream.write_all(&many).await.is_ok() {}
        })
        .await;
        let policy = CallPolicy::new()
            .with_attempts(1)
            .with_attempt(Duration::from_secs(2))
            .with_body_cap(100_000);
        let started = Instant::now();
        let outcome = send(&client(), get(&format!("http://{address}/")), policy).await;
        let found = match &outcome {
            Ok(answer) => answer.status().as_str().to_owned(),
            Err(TransportError::Broken { .. }) => "broken".to_owned(),
            Err(TransportError::Timeout { .. }) => "timeout".to_owned(),
            Err(TransportError::TooLarge { .. }) => "too large".to_owned(),
            Err(other) => other.to_string(),
        };
        if !expected.contains(&found) || started.elapsed() > Duration::from_secs(6) {
            wrong.push(format!("{name}: {found} after {:?}", started.elapsed()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
