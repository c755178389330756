//! Through a proxy and past it. The target names do not exist: only the proxy can reach them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use ambisign_http_client::{HttpClient, Settings, danger};
use host::{CallPolicy, Transport as _, TransportError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{Server, answer, chain, client_with, get, head, raw, send};
use crate::tls::{Authority, serve_tls};

/// A CONNECT proxy that leads everywhere to `target`, and what it was asked.
async fn connect_proxy(target: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = heads.clone();
    let address = raw(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            let head = head(&mut stream).await;
            seen.lock().unwrap().push(head);
            let mut there = TcpStream::connect(target).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
        }
    })
    .await;
    (address, heads)
}

/// Plain http to other machines, as a registry is asked for when it has nothing else.
fn plain() -> CallPolicy {
    CallPolicy::new().with_plain_http(true)
}

#[tokio::test]
async fn plain_http_goes_to_the_proxy_with_the_whole_url_and_the_credentials() {
    let proxy = Server::start(|_, _| answer(200, "from the proxy")).await;
    let url = format!("http://user:pa%20ss@{}", proxy.address);
    let client = client_with(&[("http_proxy", &url)]);
    let done = client.send(get("http://service.example/a?b=c"), &plain()).await.unwrap();
    assert_eq!(done.body(), "from the proxy");
    let seen = proxy.request(0);
    assert_eq!(seen.uri(), "http://service.example/a?b=c");
    assert_eq!(seen.headers()["host"], "service.example");
    assert_eq!(seen.headers()["proxy-authorization"], "Basic dXNlcjpwYSBzcw==");
}

#[tokio::test]
async fn https_goes_through_a_tunnel_and_keeps_its_credentials_from_the_target() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let authority = Authority::new();
    authority.write_to(file.path());
    let acceptor = authority.acceptor("service.example", &["h2"]);
    let target = raw(move |_, stream| serve_tls(acceptor.clone(), stream)).await;
    let (proxy, heads) = connect_proxy(target).await;
    let url = format!("http://user:pass@{proxy}");
    let client =
        client_with(&[("HTTPS_PROXY", &url), ("SSL_CERT_FILE", file.path().to_str().unwrap())]);
    let done = client.send(get("https://service.example/a"), &CallPolicy::new()).await.unwrap();
    assert_eq!(done.body(), "HTTP/2.0");
    let heads = heads.lock().unwrap();
    assert!(heads[0].starts_with("CONNECT service.example:443 HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"), "{}", heads[0]);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_with_its_status_and_not_asked_again() {
    let proxy = Server::start(|_, _| answer(407, "")).await;
    let url = format!("http://user:secret@{}", proxy.address);
    let client = client_with(&[("ALL_PROXY", &url)]);
    let error =
        client.send(get("https://service.example/a"), &CallPolicy::new()).await.unwrap_err();
    assert!(matches!(error, TransportError::Connect { .. }), "{error}");
    let text = chain(&error);
    assert!(text.contains(&format!("through the proxy http://{}", proxy.address)), "{text}");
    assert!(text.contains("407") && !text.contains("secret"), "{text}");
    assert_eq!(proxy.connections.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_proxy_that_is_down_is_named() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = client_with(&[("ALL_PROXY", &format!("http://{address}"))]);
    for url in ["http://service.example/", "https://service.example/"] {
        let error = client.send(get(url), &plain()).await.unwrap_err();
        assert!(matches!(error, TransportError::Connect { .. }), "{error}");
        assert!(chain(&error).contains(&format!("proxy http://{address}")), "{}", chain(&error));
    }
}

#[tokio::test]
async fn loopback_no_proxy_and_requests_that_forbid_it_go_past_the_proxy() {
    let proxy = Server::start(|_, _| answer(200, "proxy")).await;
    let server = Server::start(|_, _| answer(200, "direct")).await;
    let url = format!("http://{}", proxy.address);
    let client = client_with(&[("ALL_PROXY", &url), ("NO_PROXY", "exempt.invalid")]);
    assert_eq!(
        client.send(get(&server.url("/")), &CallPolicy::new()).await.unwrap().body(),
        "direct"
    );
    let local = format!("http://localhost:{}/", server.address.port());
    assert_eq!(client.send(get(&local), &CallPolicy::new()).await.unwrap().body(), "direct");
    let policy = |proxy| plain().with_proxy(proxy).with_attempts(1);
    let error = send(&client, get("http://exempt.invalid/"), policy(true)).await.unwrap_err();
    assert!(matches!(error, TransportError::Connect { .. }), "{error}");
    let error = send(&client, get("http://other.invalid/"), policy(false)).await.unwrap_err();
    assert!(matches!(error, TransportError::Connect { .. }), "{error}");
    let through = send(&client, get("http://other.invalid/"), policy(true)).await.unwrap();
    assert_eq!(through.body(), "proxy");
    assert_eq!(proxy.count(), 1);
}

#[tokio::test]
async fn a_socks_proxy_resolves_the_name() {
    let server = Server::start(|_, _| answer(200, "through socks")).await;
    let target = server.address;
    let proxy = raw(move |_, mut stream| async move {
        // RFC 1928: greeting, then a request for a domain name.
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting).await.unwrap();
        assert_eq!(greeting[0], 5);
        stream.write_all(&[5, 0]).await.unwrap();
        let mut request = [0; 5];
        stream.read_exact(&mut request).await.unwrap();
        assert_eq!(request[..4], [5, 1, 0, 3]);
        let mut rest = vec![0; usize::from(request[4]) + 2];
        stream.read_exact(&mut rest).await.unwrap();
        assert_eq!(rest, b"service.example\x00\x50");
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let mut there = TcpStream::connect(target).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
    })
    .await;
    let client = client_with(&[("ALL_PROXY", &format!("socks5h://{proxy}"))]);
    let done = client.send(get("http://service.example/"), &plain()).await.unwrap();
    assert_eq!(done.body(), "through socks");
    let client = client_with(&[("ALL_PROXY", "socks4://127.0.0.1:1")]);
    let error = client.send(get("http://service.example/"), &plain()).await.unwrap_err();
    assert!(error.to_string().contains("`socks4` is not supported"), "{error}");
}

#[tokio::test]
async fn plain_http_to_another_machine_is_refused_before_anything_is_sent_unless_it_is_allowed() {
    let proxy = Server::start(|_, _| answer(200, "sent")).await;
    let address = format!("http://{}", proxy.address);
    let env = [("ALL_PROXY", address.as_str())];
    let url = "http://fulcio.example/api/v2/signingCert";
    let error = client_with(&env).send(get(url), &CallPolicy::new()).await.unwrap_err();
    assert!(matches!(error, TransportError::PlainHttp { .. }), "{error}");
    assert_eq!(proxy.count(), 0);
    let client = HttpClient::new(&danger::allow_plain_http(Settings::from_env(&env)));
    assert_eq!(client.send(get(url), &CallPolicy::new()).await.unwrap().body(), "sent");
}

/// What a proxy says to `CONNECT`, or instead of it, and what comes of it.
#[tokio::test]
async fn a_proxy_that_lies_is_named_and_gets_nothing() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(9000));
    let tries: [(&str, &str, &str); 13] = [
        ("a page instead of the tunnel", "HTTP/1.1 200 OK\r\n\r\n<html>log in here</html>", "tls"),
        (
            "a login page by redirect",
            "HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\n\r\n",
            "connect",
        ),
        (
            "an interim answer first",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "connect",
        ),
        ("a head of 9 kB", &long, "connect"),
        ("a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", "connect"),
        ("a status of letters", "HTTP/1.1 2OO OK\r\n\r\n", "connect"),
        ("another version", "HTTP/2 200\r\n\r\n", "connect"),
        ("another protocol", "SSH-2.0-x\r\n\r\n", "connect"),
        ("lines without a carriage return", "HTTP/1.1 200 OK\n\n", "timeout"),
        ("half a head", "HTTP/1.1 200 OK\r\n", "timeout"),
        ("nothing", "", "timeout"),
        ("a tunnel to nowhere", "HTTP/1.1 200 OK\r\n\r\n", "timeout"),
        (
            "an alert instead of a certificate",
            "HTTP/1.1 200 OK\r\n\r\n\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{28}",
            "tls",
        ),
    ];
    for (name, says, expected) in tries {
        let says = says.to_owned();
        let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let proxy = raw(move |_, mut stream| {
            let (says, kept) = (says.clone(), Arc::clone(&kept));
            async move {
                head(&mut stream).await;
                let _ = stream.write_all(says.as_bytes()).await;
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                    kept.lock().unwrap().extend_from_slice(&bytes[..length]);
                }
            }
        })
        .await;
        let client = client_with(&[("ALL_PROXY", &format!("http://user:hunter2@{proxy}"))]);
        let mut request = get("https://service.example/secret-path");
        request.headers_mut().insert("authorization", "Bearer hunter3".parse().unwrap());
        let policy =
            CallPolicy::new().with_attempts(1).with_attempt(std::time::Duration::from_millis(700));
        let error = send(&client, request, policy).await.unwrap_err();
        let found = match &error {
            TransportError::Connect { .. } => "connect",
            TransportError::Tls { .. } => "tls",
            TransportError::Timeout { .. } => "timeout",
            _ => "another error",
        };
        let text = chain(&error);
        assert_eq!(found, expected, "{name}: {text}");
        assert!(!text.contains("hunter") && text.len() < 600, "{name}: {text}");
        // The request itself never leaves: at most a TLS handshake.
        let seen = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
        assert!(!seen.contains("hunter3") && !seen.contains("secret-path"), "{name}: {seen}");
    }
}

#[tokio::test]
async fn a_socks_proxy_that_lies_is_named_and_gets_nothing() {
    let tries: [(&str, &[u8]); 8] = [
        ("nothing", b""),
        ("an older version", b"\x04\x5a\0\0\0\0\0\0"),
        ("no way to log in", b"\x05\xff"),
        ("an unknown way to log in", b"\x05\x99"),
        ("a refusal", b"\x05\0\x05\x02\0\x01\0\0\0\0\0\0"),
        ("an address of an unknown type", b"\x05\0\x05\0\0\x77\0\0\0\0\0\0"),
        ("HTTP", b"HTTP/1.1 200 OK\r\n\r\n"),
        ("half an answer", b"\x05\0\x05\0"),
    ];
    for (name, says) in tries {
        let proxy = raw(move |_, mut stream| async move {
            let _ = stream.write_all(says).await;
            let mut bytes = [0; 4096];
            while let Ok(1..) = stream.read(&mut bytes).await {}
        })
        .await;
        let client = client_with(&[("ALL_PROXY", &format!("socks5://user:hunter2@{proxy}"))]);
        let policy = plain().with_attempts(1).with_attempt(std::time::Duration::from_millis(700));
        let error = send(&client, get("http://service.example/"), policy).await.unwrap_err();
        let text = chain(&error);
        let fits = matches!(error, TransportError::Connect { .. } | TransportError::Timeout { .. });
        assert!(fits && !text.contains("hunter") && text.len() < 600, "{name}: {text}");
    }
}
