//! Answers, names and futures.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use host::{BoxFuture, Clock};
use http::{Response, StatusCode};
use oci_push::{Descriptor, Digest, Reference, Resolved};
use serde_json::json;

pub(crate) const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) fn plain(status: u16, body: &str) -> Response<Bytes> {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap()
}

pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Response<Bytes> {
    plain(status, &json!({"errors": [{"code": code, "message": message}]}).to_string())
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// `digest` in `localhost:5000/app`.
pub(crate) fn subject(digest: &Digest) -> Resolved {
    let descriptor =
        Descriptor { media_type: MANIFEST_TYPE.to_owned(), size: 99, digest: digest.clone() };
    Resolved::new("localhost:5000/app".parse().unwrap(), descriptor)
}

/// A bundle that differs from others by `note`.
pub(crate) fn bundle(note: &str) -> String {
    format!(
        r#"{{"mediaType":"{BUNDLE_TYPE}","dsseEnvelope":{{"payload":"e30="}},"note":"{note}"}}"#
    )
}

/// A clock that runs.
pub(crate) struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move { std::thread::sleep(duration) })
    }
}

/// Runs a future to its end, parking the thread while it waits for another.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}
