//! Servers that break HTTP/2, frame by frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use host::{CallPolicy, TransportError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::server::{client_with, get, raw, send};
use crate::tls::Authority;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// `:status: 200` of the static table; `:status: 100` in full; a header `x: y`.
const OK: &[u8] = &[0x88];
const CONTINUE: &[u8] = b"\x08\x03100";
const X: &[u8] = b"\x00\x01x\x01y";

/// What a server sends once it was asked: `start`, then `forever` until it is hung up on.
struct Try {
    name: &'static str,
    start: Vec<u8>,
    forever: Vec<u8>,
    expected: &'static str,
}

fn tries() -> Vec<Try> {
    let once = |name, start, expected| Try { name, start, forever: Vec::new(), expected };
    let endless = |name, start, forever, expected| Try { name, start, forever, expected };
    let head = || frame(HEADERS, END_HEADERS, 1, OK);
    let code = |code: u32| code.to_be_bytes();
    let either = "broken timeout";
    vec![
        endless("pings", vec![], frame(PING, 0, 0, &[0; 8]), either),
        endless("settings", vec![], frame(SETTINGS, 0, 0, &[]), either),
        endless("unknown frames", vec![], frame(0xf0, 0, 0, &[0; 64]), either),
        endless("interim answers", vec![], frame(HEADERS, END_HEADERS, 1, CONTINUE), either),
        endless("empty pieces", head(), frame(DATA, 0, 1, &[]), either),
        endless(
            "pieces of padding",
            head(),
            frame(DATA, 8, 1, &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            either,
        ),
        endless("a body", head(), frame(DATA, 0, 1, &[b'x'; 16_384]), "too large broken"),
        endless("a head in pieces", frame(HEADERS, 0, 1, OK), frame(CONTINUATION, 0, 1, X), either),
        endless(
            "empty pieces of a head",
            frame(HEADERS, 0, 1, OK),
            frame(CONTINUATION, 0, 1, &[]),
            either,
        ),
        endless("windows", head(), frame(WINDOW, 0, 0, &1_u32.to_be_bytes()), either),
        endless("resets of other streams", vec![], frame(RESET, 0, 3, &code(8)), either),
        endless("trailers that go on", head(), frame(HEADERS, END_HEADERS, 1, X), either),
        once(
            "a window beyond 2^31",
            [head(), frame(WINDOW, 0, 0, &0x7fff_ffff_u32.to_be_bytes())].concat(),
            "broken",
        ),
        once("a window of nothing", [head(), frame(WINDOW, 0, 1, &[0; 4])].concat(), "broken"),
        once("a frame of 16 MB", vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1], "broken"),
        once("a ping of three bytes", frame(PING, 0, 0, &[0; 3]), "broken"),
        once("a push", frame(PUSH, END_HEADERS, 1, &[&[0, 0, 0, 2][..], OK].concat()), "broken"),
        once("a head without a status", frame(HEADERS, END_HEADERS | 1, 1, X), "broken"),
        once("a status of letters", frame(HEADERS, END_HEADERS | 1, 1, b"\x08\x03abc"), "broken"),
        once(
            "a header in capital letters",
            frame(HEADERS, END_HEADERS | 1, 1, &[OK, b"\x00\x01X\x01y"].concat()),
            "broken",
        ),
        once(
            "a table entry that is not there",
            frame(HEADERS, END_HEADERS | 1, 1, &[0xff, 0xff, 0x03]),
            "broken",
        ),
        once("a number without an end", frame(HEADERS, END_HEADERS | 1, 1, &[0xff; 64]), "broken"),
        once(
            "more than announced",
            [
                frame(HEADERS, END_HEADERS, 1, &[OK, b"\x0f\x0d\x011"].concat()),
                frame(DATA, 1, 1, b"abc"),
            ]
            .concat(),
            "broken",
        ),
        once(
            "less than announced",
            [
                frame(HEADERS, END_HEADERS, 1, &[OK, b"\x0f\x0d\x019"].concat()),
                frame(DATA, 1, 1, b"abc"),
            ]
            .concat(),
            "broken",
        ),
        once(
            "a reset in the body",
            [head(), frame(DATA, 0, 1, b"abc"), frame(RESET, 0, 1, &code(8))].concat(),
            "broken",
        ),
        once("a refusal", frame(RESET, 0, 1, &code(7)), "broken"),
        once("goodbye at once", frame(GOAWAY, 0, 0, &[[0; 4], code(0)].concat()), "broken"),
        once(
            "goodbye with 16 kB of words",
            frame(GOAWAY, 0, 0, &[&[0; 4], &code(11)[..], &[0x1b; 16_000]].concat()),
            "broken",
        ),
        once("HTTP/1.1", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(), "broken"),
    ]
}

/// Answers each connection with `start` and `forever`, after its own settings, and counts them.
async fn serve(
    start: Vec<u8>,
    forever: Vec<u8>,
    authority: &Authority,
) -> (String, Arc<AtomicUsize>) {
    let acceptor = authority.acceptor("localhost", &["h2"]);
    let connections: Arc<AtomicUsize> = Arc::default();
    let count = Arc::clone(&connections);
    let address = raw(move |_, stream| {
        let (acceptor, start, forever) = (acceptor.clone(), start.clone(), forever.clone());
        let count = Arc::clone(&count);
        async move {
            let Ok(mut tls) = acceptor.accept(stream).await else { return };
            count.fetch_add(1, Ordering::Relaxed);
            // The preface, settings, and the head of the request come within one or two reads.
            let mut seen = Vec::new();
            while seen.len() < 60 {
                let mut some = [0; 4096];
                match tls.read(&mut some).await {
                    Ok(length) if length > 0 => seen.extend_from_slice(&some[..length]),
                    _ => return,
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            let greeting = [frame(SETTINGS, 0, 0, &[]), start].concat();
            if tls.write_all(&greeting).await.is_err() || tls.flush().await.is_err() {
                return;
            }
            let many = match forever.len() {
                0 => Vec::new(),
                length => forever.repeat(65_536 / length + 1),
            };
            while !many.is_empty() && tls.write_all(&many).await.is_ok() {}
            // Waits until the client hangs up.
            while matches!(tls.read(&mut [0; 4096]).await, Ok(length) if length > 0) {}
        }
    })
    .await;
    (format!("https://localhost:{}/", address.port()), connections)
}

/// Each ends as expected, soon after the deadline of its attempt at the latest, and with no more
/// than the 100,000 bytes that are allowed.
#[test]
fn no_sequence_of_frames_hangs_floods_or_passes_for_an_answer() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let authority = Authority::new();
    authority.write_to(file.path());
    let mut wrong = Vec::new();
    for Try { name, start, forever, expected } in tries() {
        // A connection outlives a request that is given up: each try has a runtime, which ends it.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        // Only what goes on for ever ends by its deadline.
        let attempt = if expected.contains("timeout") { 300 } else { 20_000 };
        let started = Instant::now();
        let found = runtime.block_on(async {
            let client = client_with(&[("SSL_CERT_FILE", file.path().to_str().unwrap())]);
            let (url, _) = serve(start, forever, &authority).await;
            let policy = CallPolicy::new()
                .with_attempts(1)
                .with_attempt(Duration::from_millis(attempt))
                .with_body_cap(100_000);
            match send(&client, get(&url), policy).await {
                Ok(answer) => answer.status().as_str().to_owned(),
                Err(TransportError::Broken { .. }) => "broken".to_owned(),
                Err(TransportError::Timeout { .. }) => "timeout".to_owned(),
                Err(TransportError::TooLarge { .. }) => "too large".to_owned(),
                Err(other) => other.to_string(),
            }
        });
        runtime.shutdown_background();
        if !expected.contains(&found) || started.elapsed() > Duration::from_secs(15) {
            wrong.push(format!("{name}: {found} after {:?}", started.elapsed()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A server that refuses every stream is asked as often as the policy says, and not once more.
#[tokio::test]
async fn a_server_that_resets_every_request_is_asked_as_often_as_the_policy_says() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let authority = Authority::new();
    authority.write_to(file.path());
    let client = client_with(&[("SSL_CERT_FILE", file.path().to_str().unwrap())]);
    for code in [7_u32, 8, 11] {
        let reset = frame(RESET, 0, 1, &code.to_be_bytes());
        let (url, connections) = serve(reset, Vec::new(), &authority).await;
        let policy = CallPolicy::new().with_attempt(Duration::from_secs(1)).with_attempts(3);
        send(&client, get(&url), policy).await.unwrap_err();
        let asked = connections.load(Ordering::Relaxed);
        assert!(asked <= 3, "code {code}: {asked} connections");
    }
}
