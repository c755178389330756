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
