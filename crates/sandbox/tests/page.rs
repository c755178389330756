//! The page for a browser, and its API.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests may")]

use std::sync::Arc;

use bytes::Bytes;
use host::{CallPolicy, Transport};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, HOST, LOCATION, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use serde_json::Value;
use sigstore_sandbox::{Config, Fault, SampleImage, Sandbox};

fn sandbox() -> Sandbox {
    Sandbox::in_process(&Config::new("unused")).unwrap()
}

async fn ask(
    sandbox: &Sandbox,
    method: Method,
    path: &str,
    headers: &[(http::HeaderName, &str)],
    body: &str,
) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(format!("{}{path}", sandbox.oidc()));
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    sandbox.send(request, &CallPolicy::new()).await.unwrap()
}

async fn state(sandbox: &Sandbox) -> Value {
    let answer = ask(sandbox, Method::GET, "/sandbox/state", &[], "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    serde_json::from_slice(answer.body()).unwrap()
}

async fn is_on(sandbox: &Sandbox, fault: &str) -> bool {
    let state = state(sandbox).await;
    let faults = state["faults"].as_array().unwrap();
    faults.iter().find(|it| it["name"] == fault).unwrap()["on"].as_bool().unwrap()
}

fn text(answer: &Response<Bytes>) -> &str {
    std::str::from_utf8(answer.body()).unwrap()
}

#[tokio::test]
async fn the_page_names_every_service_and_every_fault() {
    let sandbox = sandbox();
    let page = ask(&sandbox, Method::GET, "/", &[], "").await;
    assert_eq!(page.status(), StatusCode::OK);
    let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for place in [&sandbox.endpoints().fulcio, &sandbox.endpoints().tsa, sandbox.registry()] {
        assert!(text(&page).contains(place), "{place}");
    }
    for fault in Fault::ALL {
        assert!(text(&page).contains(fault.name()), "{fault}");
        assert!(!fault.description().is_empty(), "{fault}");
    }
}

#[tokio::test]
async fn a_fault_is_switched_on_and_off_by_the_form_and_by_the_api() {
    let sandbox = sandbox();
    let sign = |sandbox| async move {
        let request =
            Request::post(format!("{}/api/v2/signingCert", Sandbox::endpoints(sandbox).fulcio));
        let request = request.body(Bytes::from_static(b"{}")).unwrap();
        sandbox.send(request, &CallPolicy::new()).await.unwrap().status()
    };
    assert_eq!(sign(&sandbox).await, StatusCode::BAD_REQUEST);
    let own = sandbox.oidc().to_owned();
    let form = "fault=fulcio-error&on=true";
    let answer = ask(&sandbox, Method::POST, "/sandbox/faults", &[(ORIGIN, &own)], form).await;
    assert_eq!(
        (answer.status(), &answer.headers()[LOCATION]),
        (StatusCode::SEE_OTHER, &http::HeaderValue::from_static("/#faults"))
    );
    assert_eq!(sign(&sandbox).await, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(is_on(&sandbox, "fulcio-error").await);

    let path = "/sandbox/faults/fulcio-error";
    let answer = ask(&sandbox, Method::DELETE, path, &[], "").await;
    assert_eq!(text(&answer), "{\"fault\":\"fulcio-error\",\"on\":false}");
    assert_eq!(sign(&sandbox).await, StatusCode::BAD_REQUEST);
    ask(&sandbox, Method::PUT, path, &[], "").await;
    assert_eq!(sign(&sandbox).await, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn what_cannot_be_switched_is_said() {
    let sandbox = sandbox();
    for (method, path, body, status) in [
        (Method::PUT, "/sandbox/faults/rain", "", StatusCode::NOT_FOUND),
        (Method::PUT, "/sandbox/faults/tuf-expired", "", StatusCode::CONFLICT),
        (Method::POST, "/sandbox/faults", "fault=tsa-error", StatusCode::BAD_REQUEST),
        (Method::POST, "/sandbox/faults", "fault=rain&on=true", StatusCode::NOT_FOUND),
        (Method::POST, "/sandbox/faults/tsa-error", "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/sandbox/faults", "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/sandbox/other", "", StatusCode::NOT_FOUND),
    ] {
        let answer = ask(&sandbox, method.clone(), path, &[], body).await;
        assert_eq!(answer.status(), status, "{method} {path}");
    }
    assert!(!is_on(&sandbox, "tsa-error").await);
}

#[tokio::test]
async fn another_web_site_neither_switches_nor_reads() {
    let sandbox = sandbox();
    let port = sandbox.oidc().rsplit(':').next().unwrap();
    let form = "fault=tsa-error&on=true";
    let elsewhere = format!("evil.test:{port}");
    let rebound = format!("http://{elsewhere}");
    for headers in [
        [(ORIGIN, "https://evil.test"), (HOST, "localhost:5550")],
        [(ORIGIN, "null"), (HOST, "localhost:5550")],
        [(ORIGIN, "http://localhost.evil.test"), (HOST, "localhost:5550")],
        [(ORIGIN, "http://192.168.0.9"), (HOST, "127.0.0.1:5550")],
        // A name of that site that leads to this machine.
        [(ORIGIN, &rebound), (HOST, &elsewhere)],
    ] {
        for (method, path) in [
            (Method::POST, "/sandbox/faults"),
            (Method::PUT, "/sandbox/faults/tsa-error"),
            (Method::OPTIONS, "/sandbox/faults/tsa-error"),
            (Method::GET, "/sandbox/state"),
            (Method::GET, "/"),
        ] {
            let answer = ask(&sandbox, method.clone(), path, &headers, form).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{method} {path} {headers:?}");
            assert!(answer.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN).is_none());
        }
    }
    // Its page cannot read without an `Origin` either.
    let answer = ask(&sandbox, Method::GET, "/", &[(HOST, &elsewhere)], "").await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(!is_on(&sandbox, "tsa-error").await);
}

#[tokio::test]
async fn pages_of_this_machine_may_use_the_api() {
    let sandbox = sandbox();
    for origin in
        ["http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:9", "https://localhost"]
    {
        let path = "/sandbox/faults/tsa-error";
        let asked = ask(&sandbox, Method::OPTIONS, path, &[(ORIGIN, origin)], "").await;
        assert_eq!(asked.status(), StatusCode::NO_CONTENT);
        assert_eq!(asked.headers()["access-control-allow-methods"], "PUT, DELETE, OPTIONS");
        let answer = ask(&sandbox, Method::PUT, path, &[(ORIGIN, origin)], "").await;
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], origin);
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn what_was_pushed_and_logged_is_shown_and_cannot_become_markup() {
    let sandbox = Arc::new(sandbox());
    let image = SampleImage::new("hello");
    let repository = "demo/app";
    let http: Arc<dyn Transport> = Arc::clone(&sandbox) as _;
    let base = url::Url::parse(&format!("http://{}", sandbox.registry())).unwrap();
    image.push(&http, &base, repository, "v1").await.unwrap();
    let manifest = "{\"schemaVersion\":2,\"artifactType\":\"<script>alert(1)</script>\",\
                    \"subject\":{\"digest\":\"\\\"'><b>\"}}";
    let url = format!("http://{}/v2/{repository}/manifests/odd", sandbox.registry());
    let request = Request::put(url)
        .header("content-type", "application/vnd.oci.image.manifest.v1+json")
        .body(Bytes::from_static(manifest.as_bytes()))
        .unwrap();
    assert_eq!(sandbox.send(request, &CallPolicy::new()).await.unwrap().status(), 201);

    let page = ask(&sandbox, Method::GET, "/", &[], "").await;
    let page = text(&page);
    assert!(page.contains("demo/app") && page.contains("&lt;script&gt;alert(1)"), "{page}");
    assert!(!page.contains("<script>alert") && !page.contains("'><b>"), "{page}");
    let state = state(&sandbox).await;
    let manifests = state["manifests"].as_array().unwrap();
    assert!(manifests.iter().any(|it| it["tags"][0] == "odd"), "{state:#}");
}

#[tokio::test]
async fn a_caller_that_asks_for_nothing_gets_a_token_that_fulcio_takes() {
    let sandbox = sandbox();
    let issuers = sigstore_sandbox::ISSUERS;
    for name in issuers {
        let answer = ask(&sandbox, Method::GET, &format!("/{name}/token"), &[], "").await;
        let token = id_token::IdToken::parse(text(&answer)).unwrap();
        // Without a key: the token is looked at first, and the key is what is missing.
        let body = serde_json::json!({ "credentials": { "oidcIdentityToken": token.reveal() } });
        let url = format!("{}/api/v2/signingCert", sandbox.endpoints().fulcio);
        let request = Request::post(url).body(Bytes::from(body.to_string())).unwrap();
        let answer = sandbox.send(request, &CallPolicy::new()).await.unwrap();
        assert!(!text(&answer).contains("identity token"), "{name}: {}", text(&answer));
    }
}
