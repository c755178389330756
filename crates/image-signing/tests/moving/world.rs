//! Two registries, a network that can be cut, and an image.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use host::{Answer, CallPolicy, Host, Parts, Transport, TransportError};
use http::{Method, Request, Response};
use image_signing::Image;
use image_signing::host::{self, bytes, http};
use image_signing::moving::{Attachments, ImageMover, MoveOptions, MoveReport};
use image_signing::oci_push::{Digest, Options, Registry, Resolved};
use sandbox::{Config, Running, SampleImage, Sandbox};
use serde_json::{Value, json};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
pub(crate) const SPDX: &str = "https://spdx.dev/Document";

/// A registry with the referrers API and one without.
pub(crate) struct World {
    pub(crate) api: Running,
    pub(crate) plain: Running,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) http: Arc<Wire>,
    pub(crate) registry: Registry,
}

/// The network, which can be cut after a number of requests.
pub(crate) struct Wire {
    pub(crate) inner: Arc<dyn Transport>,
    pub(crate) left: AtomicUsize,
    pub(crate) sent: AtomicUsize,
    /// Requests other than GET and HEAD.
    pub(crate) written: AtomicUsize,
    /// Blobs come with a wrong first byte.
    pub(crate) corrupt: AtomicBool,
}

impl Wire {
    fn pass<B>(&self, request: &Request<B>) -> Result<(), TransportError> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            self.written.fetch_add(1, Ordering::Relaxed);
        }
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        let (url, reason) = (request.uri().to_string(), "the network is cut".to_owned());
        left.map(drop).map_err(|_| TransportError::Unusable { url, reason })
    }
}

impl Transport for Wire {
    fn send(&self, request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        match self.pass(&request) {
            Ok(()) => self.inner.send(request, policy),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn send_parts(&self, request: Request<Parts>, policy: &CallPolicy) -> Answer<'_, Parts> {
        if let Err(error) = self.pass(&request) {
            return Box::pin(std::future::ready(Err(error)));
        }
        let corrupt = self.corrupt.load(Ordering::Relaxed) && request.method() == Method::GET;
        let answer = self.inner.send_parts(request, policy);
        Box::pin(async move {
            let answer = answer.await?;
            if !corrupt {
                return Ok(answer);
            }
            Ok(answer.map(|parts| -> Parts {
                Box::pin(parts.map(|part| {
                    part.map(|part| {
                        let mut part = part.to_vec();
                        part[0] ^= 1;
                        Bytes::from(part)
                    })
                }))
            }))
        })
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = |name: &str| Config::new(directory.path().join(name));
        let api = Sandbox::start(config("api")).await.unwrap();
        let mut plain = config("plain");
        plain.referrers = false;
        let plain = Sandbox::start(plain).await.unwrap();
        let host = http_client::system_host();
        let http = Arc::new(Wire {
            inner: Arc::clone(&host.http),
            left: AtomicUsize::new(usize::MAX),
            sent: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            corrupt: AtomicBool::new(false),
        });
        let host = Host::with_http(host, Arc::clone(&http) as _).with_env(Arc::new([("", "")]));
        let registry = Registry::new(host, Options::default()).unwrap();
        Self { api, plain, directory, http, registry }
    }

    pub(crate) fn mover(&self) -> ImageMover {
        ImageMover::new(self.registry.clone())
    }

    pub(crate) fn attachments(&self) -> Attachments {
        Attachments::new(self.registry.clone())
    }

    /// A client that has learned nothing yet.
    pub(crate) fn fresh(&self) -> Registry {
        let host = http_client::system_host().with_http(Arc::clone(&self.http) as _);
        Registry::new(host.with_env(Arc::new([("", "")])), Options::default()).unwrap()
    }

    /// An image of two platforms in the registry with the API: the index has a signature and an
    /// attestation, one platform a signature, and the index a `.sig` tag.
    pub(crate) async fn signed(&self) -> Image {
        let sample = SampleImage::new("demo/app");
        let base = format!("http://{}", self.api.registry()).parse().unwrap();
        let http = Arc::clone(&self.http) as Arc<dyn Transport>;
        sample.push(&http, &base, "demo/app", "v1").await.unwrap();
        let image = image(&self.api, "demo/app:v1");
        let index = self.registry.resolve(image.reference()).await.unwrap();
        let part = self.registry.parts(&index).await.unwrap().swap_remove(0).manifest;
        for (subject, kind) in [(&index, SIGN), (&index, SPDX), (&part, SIGN)] {
            self.attach(subject, kind, "one").await;
        }
        self.earlier(&self.api, "demo/app", index.digest(), "one").await;
        image
    }

    pub(crate) async fn attach(&self, subject: &Resolved, kind: &str, note: &str) {
        let bundle = bundle(subject.digest(), kind, note);
        self.registry.attach(subject, bundle.as_bytes(), &BTreeMap::new()).await.unwrap();
    }

    /// Puts a signature under the tag `.sig` of `subject`.
    pub(crate) async fn earlier(
        &self,
        at: &Running,
        repository: &str,
        subject: &Digest,
        note: &str,
    ) {
        let config = self.put_blob(at, repository, b"{}").await;
        let payload = format!("{{\"note\":\"{note}\"}}");
        let blob = self.put_blob(at, repository, payload.as_bytes()).await;
        let manifest = json!({
            "schemaVersion": 2,
            "layers": [{
                "annotations": { "dev.cosignproject.cosign/signature": note },
                "size": payload.len(), "digest": blob,
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            }],
            "config": { "size": 2, "digest": config, "mediaType": CONFIG },
            "mediaType": MANIFEST,
        });
        let tag = format!("sha256-{}.sig", subject.hex());
        self.put_manifest(at, repository, &tag, &manifest).await;
    }

    pub(crate) async fn put_blob(&self, at: &Running, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::sha256(content);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.ask(at, Method::POST, &path, content).await;
        assert!(answer.status().is_success(), "{answer:?}");
        digest
    }

    pub(crate) async fn put_manifest(
        &self,
        at: &Running,
        repository: &str,
        name: &str,
        manifest: &Value,
    ) {
        let path = format!("/v2/{repository}/manifests/{name}");
        let answer = self.ask(at, Method::PUT, &path, manifest.to_string().as_bytes()).await;
        assert!(answer.status().is_success(), "{answer:?}");
    }

    pub(crate) async fn ask(
        &self,
        at: &Running,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> Response<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", at.registry()))
            .header("content-type", MANIFEST)
            .header("accept", format!("{MANIFEST}, application/vnd.oci.image.index.v1+json"));
        let request = request.body(Bytes::copy_from_slice(body)).unwrap();
        self.http.inner.send(request, &CallPolicy::new()).await.unwrap()
    }

    pub(crate) async fn json(&self, at: &Running, path: &str) -> Option<Value> {
        let answer = self.ask(at, Method::GET, path, b"").await;
        serde_json::from_slice(answer.body()).ok().filter(|_| answer.status().is_success())
    }

    pub(crate) async fn tags(&self, at: &Running, repository: &str) -> Vec<String> {
        let list = self.json(at, &format!("/v2/{repository}/tags/list")).await;
        let tags = list.and_then(|list| list["tags"].as_array().cloned()).unwrap_or_default();
        tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
    }

    /// What a verifier would find of `image` and of its parts.
    pub(crate) async fn found(&self, image: &Image) -> Vec<(usize, usize)> {
        let registry = self.fresh();
        let index = registry.resolve(image.reference()).await.unwrap();
        let mut found = Vec::new();
        let parts = registry.parts(&index).await.unwrap();
        for part in std::iter::once(&index).chain(parts.iter().map(|part| &part.manifest)) {
            let bundles = registry.find(part).await.unwrap().bundles.len();
            found.push((bundles, registry.find_legacy(part).await.unwrap().legacy.len()));
        }
        found
    }

    pub(crate) fn layout(&self) -> std::path::PathBuf {
        self.directory.path().join("layout")
    }

    /// Every manifest under a tag of the repository has all that it refers to.
    pub(crate) async fn assert_whole(&self, at: &Running, repository: &str) {
        let mut open: Vec<String> = self.tags(at, repository).await;
        let mut seen = BTreeSet::new();
        while let Some(name) = open.pop() {
            let path = format!("/v2/{repository}/manifests/{name}");
            let manifest = self.json(at, &path).await;
            let manifest = manifest.unwrap_or_else(|| panic!("{name} is referred to and missing"));
            let digests = |list: &Value| -> Vec<String> {
                let list = list.as_array().into_iter().flatten();
                list.map(|it| it["digest"].as_str().unwrap().to_owned()).collect()
            };
            open.extend(
                digests(&manifest["manifests"]).into_iter().filter(|it| seen.insert(it.clone())),
            );
            if let Some(subject) = manifest["subject"]["digest"].as_str() {
                open.extend(Some(subject.to_owned()).filter(|it| seen.insert(it.clone())));
            }
            let config = manifest["config"]["digest"].as_str().map(str::to_owned);
            for blob in digests(&manifest["layers"]).into_iter().chain(config) {
                let path = format!("/v2/{repository}/blobs/{blob}");
                let answer = self.ask(at, Method::HEAD, &path, b"").await;
                assert!(answer.status().is_success(), "the blob {blob} of {name} is missing");
            }
        }
    }
}

pub(crate) fn image(at: &Running, name: &str) -> Image {
    Image::parse(&format!("{}/{name}", at.registry())).unwrap()
}

/// A bundle about `digest`, as far as its structure goes.
pub(crate) fn bundle(digest: &Digest, kind: &str, note: &str) -> String {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "demo/app", "digest": { "sha256": digest.hex() } }],
        "predicateType": kind,
        "predicate": { "note": note },
    });
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": "aGludA==" } },
        "dsseEnvelope": {
            "payload": base64(&statement.to_string()),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{ "sig": base64(note) }],
        },
    })
    .to_string()
}

pub(crate) fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

pub(crate) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

pub(crate) fn options() -> MoveOptions {
    MoveOptions::default()
}

pub(crate) fn kinds(report: &MoveReport) -> Vec<&'static str> {
    let mut kinds: Vec<_> =
        report.copied.attachments.iter().map(|attachment| attachment.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds
}

/// The kinds of attachments of [`World::signed`].
pub(crate) const ALL: [&str; 4] = ["attestation", "signature", "signature", "signature"];
