//! The seam between what a service is and how it is reached.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};

/// A service that answers whole requests. Listening is `server`'s business.
///
/// The path of the request starts at the service's root: each service has a port of its own.
pub trait Service: Send + Sync {
    /// Answers `request`. Never fails: what is wrong with a request is an answer too.
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes>;
}

impl<F> Service for F
where
    F: Fn(Request<Bytes>) -> Response<Bytes> + Send + Sync,
{
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        self(request)
    }
}

/// An answer of `status` whose body is `content`, of the type `content_type`.
pub fn answer(
    status: StatusCode,
    content_type: &'static str,
    content: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::new(content.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A JSON answer.
pub fn json_answer(status: StatusCode, value: &Value) -> Response<Bytes> {
    answer(status, "application/json", value.to_string())
}

/// An error as gRPC gateways (Fulcio, Rekor v2) write it: `code` is the gRPC code.
pub fn gateway_error(status: StatusCode, code: u32, message: &str) -> Response<Bytes> {
    json_answer(status, &json!({ "code": code, "message": message, "details": [] }))
}

/// Nothing is at this path.
pub fn not_found() -> Response<Bytes> {
    gateway_error(StatusCode::NOT_FOUND, 5, "Not Found")
}

/// A JSON answer that ends with a newline, as Go's encoder leaves it.
pub(crate) fn json_line(status: StatusCode, value: &Value) -> Response<Bytes> {
    answer(status, "application/json", format!("{value}\n"))
}
