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

const TRIES: [Try; 49] = [
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
    endless("empty lines without an end", b"", b"\r\n", "broken"),
    once("no head", b"hello, this is HTTP/0.9\r\n\r\n", "broken"),
    once("a head that is cut short", b"HTTP/1.1 200 OK\r\nContent-Len", "broken"),
    once("a space before the colon", b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nab", "broken"),
    once("a header over two lines", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", "broken"),
    once("a carriage return in a header", b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", "broken"),
    once("a header without a name", b"HTTP/1.1 200 OK\r\n: x\r\n\r\n", "broken"),
    once("a length with a sign", b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab", "broken"),
    once("a hexadecimal length", b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nab", "broken"),
    once("a list of lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab", "broken 200"),
    once("two equal lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", "broken 200"),
    once("an empty length", b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nab", "broken"),
    once(
        "a length and chunks",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "broken 200",
    ),
    once("chunks that end early", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "broken"),
    once("chunks without the last", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "broken"),
    once("a chunk longer than it says", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", "broken"),
    once("a chunk of 0x2 bytes", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n", "broken"),
    once("a chunk of no size", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\nab\r\n0\r\n\r\n", "broken"),
    once("chunks in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "broken"),
    once("chunks and then gzip", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n2\r\nab\r\n0\r\n\r\n", "200"),
    once("an unknown transfer coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "200"),
    once("a body behind 204", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "204"),
    once("a body behind 103", b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n", "broken"),
    once("a status of four digits", b"HTTP/1.1 2000 OK\r\n\r\n", "broken"),
    once("HTTP/2 without asking", b"\0\0\0\x04\0\0\0\0\0", "broken"),
];

/// Each ends in the error or the answer that is expected, soon after its deadline of a second at
/// the latest, and never with more than the 100,000 bytes that are allowed.
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
            .with_attempt(Duration::from_secs(1))
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
        if !expected.contains(&found) || started.elapsed() > Duration::from_secs(15) {
            wrong.push(format!("{name}: {found} after {:?}", started.elapsed()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A server sends the answer to the next request before that is made: whoever shares a connection
/// with another request must not get its answer.
#[tokio::test]
async fn an_answer_that_comes_before_its_question_answers_nothing() {
    let pause = Duration::from_millis(600);
    for together in [true, false] {
        let address = raw(move |number, mut stream| async move {
            head(&mut stream).await;
            let planted = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nplanted";
            let first = format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nconn{number}");
            if together {
                stream.write_all(format!("{first}{planted}").as_bytes()).await.unwrap();
            } else {
                stream.write_all(first.as_bytes()).await.unwrap();
                tokio::time::sleep(pause / 2).await;
                stream.write_all(planted.as_bytes()).await.unwrap();
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        })
        .await;
        let client = client();
        let url = format!("http://{address}/");
        for number in 1..4 {
            let answer = send(&client, get(&url), CallPolicy::new()).await.unwrap();
            assert_eq!(answer.body(), format!("conn{number}").as_bytes());
            tokio::time::sleep(pause).await;
        }
    }
}

/// The bytes of an answer are handed over as they came: nothing is decompressed.
#[tokio::test]
async fn a_compressed_answer_is_not_unpacked() {
    let address = raw(|_, mut stream| async move {
        let request = head(&mut stream).await;
        assert!(!request.to_ascii_lowercase().contains("accept-encoding"), "{request}");
        let packed =
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\0";
        stream.write_all(packed).await.unwrap();
    })
    .await;
    let answer = send(&client(), get(&format!("http://{address}/")), CallPolicy::new()).await;
    assert_eq!(&answer.unwrap().body()[..], b"\x1f\x8b\x08\0");
}

/// A request that is given up in the middle does not hand its answer to the next one.
#[tokio::test]
async fn the_answer_to_a_request_that_was_given_up_is_not_the_next_ones() {
    let address = raw(|_, mut stream| async move {
        loop {
            let request = head(&mut stream).await;
            let path = request.split(' ').nth(1).unwrap().to_owned();
            if path == "/slow" {
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await;
    let client = client();
    let ask =
        |path: &str| send(&client, get(&format!("http://{address}{path}")), CallPolicy::new());
    for _ in 0..5 {
        let given_up = tokio::time::timeout(Duration::from_millis(50), ask("/slow")).await;
        assert!(given_up.is_err());
        assert_eq!(ask("/next").await.unwrap().body(), "/next");
    }
}
