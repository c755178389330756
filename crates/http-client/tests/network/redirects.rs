//! Where a redirect is followed to, and what goes along.

use bytes::Bytes;
use host::{CallPolicy, Redirects, TransportError};
use http::{HeaderValue, Request, Response};

use crate::server::{Server, answer, chain, client, send};

fn found(to: &str) -> Response<Bytes> {
    Response::builder().status(307).header("location", to).body(Bytes::new()).unwrap()
}

fn with_secrets(url: &str) -> Request<Bytes> {
    let mut other = HeaderValue::from_static("secret");
    other.set_sensitive(true);
    Request::get(url)
        .header("authorization", "Bearer secret")
        .header("cookie", "session=secret")
        .header("x-other", other)
        .header("accept", "text/plain")
        .body(Bytes::new())
        .unwrap()
}

fn rule(redirects: Redirects) -> CallPolicy {
    CallPolicy::new().with_redirects(redirects)
}

#[tokio::test]
async fn within_an_origin_credentials_go_along() {
    let server = Server::start(|_, request| match request.uri().path() {
        "/a" => found("/b?x=1"),
        _ => answer(200, "there"),
    })
    .await;
    let policy = rule(Redirects::SameOrigin);
    let done = send(&client(), with_secrets(&server.url("/a")), policy).await.unwrap();
    assert_eq!(done.body(), "there");
    assert_eq!(server.request(1).uri(), "/b?x=1");
    assert_eq!(server.request(1).headers()["authorization"], "Bearer secret");
}

#[tokio::test]
async fn another_origin_gets_no_credentials() {
    let target = Server::start(|_, _| answer(200, "there")).await;
    let to = target.url("/blob");
    let server = Server::start(move |_, _| found(&to)).await;
    let policy = rule(Redirects::DropCredentials);
    let done = send(&client(), with_secrets(&server.url("/")), policy).await.unwrap();
    assert_eq!(done.body(), "there");
    let seen = target.request(0);
    for name in ["authorization", "cookie", "x-other"] {
        assert!(!seen.headers().contains_key(name), "{name}");
    }
    assert_eq!(seen.headers()["accept"], "text/plain");
    assert_eq!(seen.headers()["host"], target.address.to_string());
}

#[tokio::test]
async fn what_may_not_be_followed_is_handed_over() {
    let target = Server::start(|_, _| answer(200, "there")).await;
    let to = target.url("/token");
    let server = Server::start(move |_, _| found(&to)).await;
    for redirects in [Redirects::SameOrigin, Redirects::Never] {
        let policy = rule(redirects);
        let handed = send(&client(), with_secrets(&server.url("/")), policy).await.unwrap();
        assert_eq!(handed.status().as_u16(), 307);
        assert_eq!(handed.headers()["location"], target.url("/token"));
    }
    assert_eq!(target.count(), 0);
}

#[tokio::test]
async fn a_circle_ends() {
    let server = Server::start(|_, _| found("/again")).await;
    let policy = rule(Redirects::SameOrigin);
    let error = send(&client(), with_secrets(&server.url("/")), policy).await.unwrap_err();
    assert!(matches!(error, TransportError::Broken { .. }), "{error}");
    assert!(chain(&error).contains("more than 5 redirects"), "{}", chain(&error));
    assert_eq!(server.count(), 6);
}

#[tokio::test]
async fn a_post_stays_a_post_with_its_body() {
    let server = Server::start(|_, request| match request.uri().path() {
        "/a" => found("/b"),
        _ => answer(201, ""),
    })
    .await;
    let request = Request::post(server.url("/a")).body(Bytes::from_static(b"data")).unwrap();
    let done = send(&client(), request, rule(Redirects::SameOrigin)).await.unwrap();
    assert_eq!(done.status().as_u16(), 201);
    assert_eq!(
        (server.request(1).method().as_str(), &server.request(1).body()[..]),
        ("POST", &b"data"[..])
    );
}
