//! The channel, with a look at each answer before it is read as gRPC.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::CONTENT_TYPE;
use http::{Request, Response};
use tonic::body::Body;
use tonic::transport::Channel;
use tower_service::Service;

/// A channel that refuses answers of servers that do not speak gRPC. tonic would read them as an
/// empty or a torn message.
#[derive(Clone, Debug)]
pub(crate) struct GrpcOnly(pub(crate) Channel);

/// Any failure on this side of the wire; its cause is looked for down the chain.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
#[error("it speaks HTTP and not gRPC: it answers {status} with the content type {content_type:?}")]
struct NotGrpc {
    status: http::StatusCode,
    content_type: String,
}

impl Service<Request<Body>> for GrpcOnly {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Failure>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let response = answer.await?;
            let content_type = response.headers().get(CONTENT_TYPE);
            if content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
                return Ok(response);
            }
            let content_type = content_type
                .map_or_else(String::new, |kind| String::from_utf8_lossy(kind.as_bytes()).into());
            Err(NotGrpc { status: response.status(), content_type }.into())
        })
    }
}
