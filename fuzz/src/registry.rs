//! What a registry answers, and the names of images.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use host::{Host, NoPrograms, TransportError};
use http::{Method, Request, Response};
use oci_push::{
    Descriptor, Digest, Found, How, Options, Reference, Registry, Repository, Resolved,
};
use serde_json::Value;

use super::read;

/// The name of an image: what is shown of it is the same name, and nothing that moves a cursor.
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(digest) = read(text.parse::<Digest>()) {
        assert_eq!(digest.to_string(), text);
    }
    if let Some(repository) = read(text.parse::<Repository>()) {
        assert_eq!(repository.to_string().parse::<Repository>().as_ref().ok(), Some(&repository));
    }
    let Some(reference) = read(text.parse::<Reference>()) else { return };
    let shown = reference.to_string();
    assert_eq!(shown.parse::<Reference>().as_ref().ok(), Some(&reference), "{shown}");
    assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()), "{shown:?}");
    assert!(reference.tag().is_some() || reference.digest().is_some());
    assert!(!reference.repository().registry().is_empty());
}

/// The manifest of an image, of a referrer and of cosign's earlier tags: it is known by its own
/// digest, and every signature in it by that of its bytes.
pub fn oci_manifest(data: &[u8]) {
    let manifest = Bytes::copy_from_slice(data);
    let digest = Digest::sha256(data);
    let list = format!(
        r#"{{"manifests":[{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{}}}]}}"#,
        data.len()
    );
    let registry = registry(move |request| match request.uri().path() {
        path if path.contains("/referrers/") => ok(INDEX, list.clone()),
        path if path.contains("/blobs/") => ok("application/octet-stream", BLOB),
        path if path.ends_with(SUBJECT_TAG) => status(404),
        path if path.contains("/manifests/") => ok(MANIFEST, manifest.clone()),
        _ => status(200),
    });
    let reference: Reference = "localhost:5000/app:v1".parse().expect("a reference");
    if let Some((resolved, bytes)) = read(run(registry.manifest(&reference))) {
        assert_eq!(bytes, data);
        assert_eq!(*resolved.digest(), digest);
    }
    for found in [run(registry.find(&image())), run(registry.find_legacy(&image()))] {
        // An error says that a limit was reached before anything usable was read.
        if let Some(found) = read(found) {
            check(&found);
        }
    }
}

/// The list of an image's referrers, by the registry or under a tag: a signature added to it leaves
/// everything else as it was.
pub fn oci_index(data: &[u8]) {
    let list = Bytes::copy_from_slice(data);
    let listing = registry(move |request| match request.uri().path() {
        path if path.contains("/referrers/") => ok(INDEX, list.clone()),
        _ => status(404),
    });
    if let Some(found) = read(run(listing.find(&image()))) {
        check(&found);
    }

    // The image itself under the tag stands for nothing there.
    if *image().digest() == Digest::sha256(data) {
        return;
    }
    let tag = Arc::new(Mutex::new(Bytes::copy_from_slice(data)));
    let tagging = registry({
        let tag = tag.clone();
        move |request| {
            let path = request.uri().path();
            match *request.method() {
                Method::PUT if path.ends_with(SUBJECT_TAG) => {
                    *tag.lock().expect("one thread") = request.body().clone();
                    status(201)
                }
                Method::PUT => status(201),
                Method::POST => Response::builder()
                    .status(202)
                    .header("location", "/v2/app/blobs/uploads/1")
                    .body(Bytes::new()),
                Method::HEAD => status(200),
                _ if path.ends_with(SUBJECT_TAG) => {
                    ok(INDEX, tag.lock().expect("one thread").clone())
                }
                _ => status(404),
            }
        }
    });
    let attached = read(run(tagging.attach(&image(), BUNDLE, &BTreeMap::new())));
    let Some(attached) = attached else { return };
    assert_eq!(attached.how, How::FallbackTag);
    // Numbers beyond all bounds are kept, and cannot be compared.
    let Ok(mut before) = serde_json::from_slice::<Value>(data) else { return };
    let mut after: Value =
        serde_json::from_slice(&tag.lock().expect("one thread")).expect("what we wrote is JSON");
    let (old, mut new) = (before["manifests"].take(), after["manifests"].take());
    assert_eq!(before, after);
    let new = new.as_array_mut().expect("a list");
    let last = new.pop().expect("it is not empty");
    assert_eq!(last["digest"].as_str(), Some(attached.digest.as_str()));
    assert_eq!(old.as_array().map_or(&[][..], Vec::as_slice), new);
}

/// Of what was found, everything is what it says, and safe to print.
fn check(found: &Found) {
    for signature in &found.bundles {
        assert!(signature.digest.matches(&signature.bytes));
    }
    for signature in &found.legacy {
        assert!(signature.digest.matches(&signature.bytes));
    }
    for unusable in &found.unusable {
        let shown = format!("{}{}", unusable.what, unusable.reason);
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(shown.len() < 4096, "{shown}");
    }
}

fn image() -> Resolved {
    let repository = "localhost:5000/app".parse().expect("a repository");
    let digest = SUBJECT.parse().expect("a digest");
    Resolved::new(repository, Descriptor { media_type: MANIFEST.to_owned(), size: 401, digest })
}

fn registry(
    answer: impl Fn(Request<Bytes>) -> http::Result<Response<Bytes>> + Send + Sync + 'static,
) -> Registry {
    let http = move |request| -> Result<Response<Bytes>, TransportError> {
        Ok(answer(request).expect("a response"))
    };
    let host = Host::new(
        Arc::new(http),
        Arc::new([("HOME", "/nowhere")]),
        Arc::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_345_879)),
        Arc::new(NoPrograms),
    );
    Registry::new(host, Options::default()).expect("a registry")
}

fn ok(media_type: &str, body: impl Into<Bytes>) -> http::Result<Response<Bytes>> {
    Response::builder().status(200).header("content-type", media_type).body(body.into())
}

fn status(code: u16) -> http::Result<Response<Bytes>> {
    Response::builder().status(code).body(Bytes::new())
}

/// Nothing here waits for anything: the network is a function and the clock stands still.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(output) = polled {
            return output;
        }
    }
}

const BLOB: &[u8] = b"{}";
const BUNDLE: &[u8] =
    include_bytes!("../../tests/fixtures/captures/bundles/image/referrer-0.sigstore.json");
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const SUBJECT: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const SUBJECT_TAG: &str = "sha256-44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
