//! The sandbox answers what the real services were recorded to answer: the same requests get the
//! same status, the same code and the same kind of message, and the certificates, log entries and
//! timestamps it makes are the recorded ones but for keys, times and serial numbers.
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests may")]

mod fulcio;
mod issuer;
mod rekor_v1;
mod rekor_v2;
mod trust;
mod tsa;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use sigstore_sandbox::Service;

/// The bytes of a recording.
fn recording(path: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures/");
    std::fs::read(format!("{root}{path}")).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json_recording(path: &str) -> Value {
    serde_json::from_slice(&recording(path)).unwrap()
}

fn at(unix_seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(unix_seconds)
}

fn send(
    service: &dyn Service,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    service.handle(request.body(body.into()).unwrap())
}

fn get(service: &dyn Service, path: &str) -> Response<Bytes> {
    send(service, "GET", path, &[], Bytes::new())
}

fn post(service: &dyn Service, path: &str, body: impl Into<Bytes>) -> Response<Bytes> {
    send(service, "POST", path, &[("content-type", "application/json")], body)
}

fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body())
        .unwrap_or_else(|error| panic!("{error} in {:?}", response.body()))
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}"))
}
