//! Images are moved with what is attached to them, between a registry with the referrers API, one
//! without, and a directory.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use host::{BoxFuture, CallPolicy, Host, Parts, Transport, TransportError};
use http::{Method, Request, Response};
use image_signing::Image;
use image_signing::host::{self, bytes, http};
use image_signing::moving::{Attachments, Error, ImageMover, MoveOptions, MoveReport};
use image_signing::oci_push::{AttachmentKind, Digest, Layout, Options, Registry, Resolved, Store};
use sandbox::{Config, Running, SampleImage, Sandbox};
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
const SPDX: &str = "https://spdx.dev/Document";

/// A registry with the referrers API and one without.
struct World {
    api: Running,
    plain: Running,
    directory: tempfile::TempDir,
    http: Arc<Wire>,
    registry: Registry,
}

/// The network, which can be cut after a number of requests.
struct Wire {
    inner: Arc<dyn Transport>,
    left: AtomicUsize,
    sent: AtomicUsize,
    /// Requests other than GET and HEAD.
    written: AtomicUsize,
    /// Blobs come with a wrong first byte.
    corrupt: AtomicBool,
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
    fn send(
        &self,
        request: Request<Bytes>,
        policy: &CallPolicy,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        match self.pass(&request) {
            Ok(()) => self.inner.send(request, policy),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn send_parts(
        &self,
        request: Request<Parts>,
        policy: &CallPolicy,
    ) -> BoxFuture<'_, Result<Response<Parts>, TransportError>> {
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
    async fn new() -> Self {
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

    fn mover(&self) -> ImageMover {
        ImageMover::new(self.registry.clone())
    }

    fn attachments(&self) -> Attachments {
        Attachments::new(self.registry.clone())
    }

    /// A client that has learned nothing yet.
    fn fresh(&self) -> Registry {
        let host = http_client::system_host().with_http(Arc::clone(&self.http) as _);
        Registry::new(host.with_env(Arc::new([("", "")])), Options::default()).unwrap()
    }

    /// An image of two platforms in the registry with the API: the index has a signature and an
    /// attestation, one platform a signature, and the index a `.sig` tag.
    async fn signed(&self) -> Image {
        let sample = SampleImage::new("demo/app");
        let base = format!("http://{}", self.api.registry()).parse().unwrap();
        let http = Arc::clone(&self.http) as Arc<dyn Transport>;
        sample.push(&http, &base, "demo/app", "v1").await.unwrap();
        let image = image(&self.api, "demo/app:v1");
        let index = self.registry.resolve(image.reference()).await.unwrap();
        let part = self.registry.parts(&index).await.unwrap().swap_remove(0);
        for (subject, kind) in [(&index, SIGN), (&index, SPDX), (&part, SIGN)] {
            self.attach(subject, kind, "one").await;
        }
        self.earlier(&self.api, "demo/app", index.digest(), "one").await;
        image
    }

    async fn attach(&self, subject: &Resolved, kind: &str, note: &str) {
        let bundle = bundle(subject.digest(), kind, note);
        self.registry.attach(subject, bundle.as_bytes(), &BTreeMap::new()).await.unwrap();
    }

    /// Puts a signature under the tag `.sig` of `subject`.
    async fn earlier(&self, at: &Running, repository: &str, subject: &Digest, note: &str) {
        let config = self.put_blob(at, repository, b"{}").await;
        let payload = format!("{{\"note\":\"{note}\"}}");
        let blob = self.put_blob(at, repository, payload.as_bytes()).await;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2,
            },
            "layers": [{
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                "digest": blob, "size": payload.len(),
                "annotations": { "dev.cosignproject.cosign/signature": note },
            }],
        });
        let tag = format!("sha256-{}.sig", subject.hex());
        self.put_manifest(at, repository, &tag, &manifest).await;
    }

    async fn put_blob(&self, at: &Running, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::sha256(content);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.ask(at, Method::POST, &path, content).await;
        assert!(answer.status().is_success(), "{answer:?}");
        digest
    }

    async fn put_manifest(&self, at: &Running, repository: &str, name: &str, manifest: &Value) {
        let path = format!("/v2/{repository}/manifests/{name}");
        let answer = self.ask(at, Method::PUT, &path, manifest.to_string().as_bytes()).await;
        assert!(answer.status().is_success(), "{answer:?}");
    }

    async fn ask(&self, at: &Running, method: Method, path: &str, body: &[u8]) -> Response<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", at.registry()))
            .header("content-type", MANIFEST)
            .header("accept", format!("{MANIFEST}, application/vnd.oci.image.index.v1+json"));
        let request = request.body(Bytes::copy_from_slice(body)).unwrap();
        self.http.inner.send(request, &CallPolicy::new()).await.unwrap()
    }

    async fn json(&self, at: &Running, path: &str) -> Option<Value> {
        let answer = self.ask(at, Method::GET, path, b"").await;
        serde_json::from_slice(answer.body()).ok().filter(|_| answer.status().is_success())
    }

    async fn tags(&self, at: &Running, repository: &str) -> Vec<String> {
        let list = self.json(at, &format!("/v2/{repository}/tags/list")).await;
        let tags = list.and_then(|list| list["tags"].as_array().cloned()).unwrap_or_default();
        tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
    }

    /// What a verifier would find of `image` and of its parts.
    async fn found(&self, image: &Image) -> Vec<(usize, usize)> {
        let registry = self.fresh();
        let index = registry.resolve(image.reference()).await.unwrap();
        let mut found = Vec::new();
        let parts = registry.parts(&index).await.unwrap();
        for part in std::iter::once(&index).chain(&parts) {
            let bundles = registry.find(part).await.unwrap().bundles.len();
            found.push((bundles, registry.find_legacy(part).await.unwrap().legacy.len()));
        }
        found
    }

    fn layout(&self) -> std::path::PathBuf {
        self.directory.path().join("layout")
    }

    /// Every manifest under a tag of the repository has all that it refers to.
    async fn assert_whole(&self, at: &Running, repository: &str) {
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

fn image(at: &Running, name: &str) -> Image {
    Image::parse(&format!("{}/{name}", at.registry())).unwrap()
}

/// A bundle about `digest`, as far as its structure goes.
fn bundle(digest: &Digest, kind: &str, note: &str) -> String {
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

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn options() -> MoveOptions {
    MoveOptions::default()
}

fn kinds(report: &MoveReport) -> Vec<&'static str> {
    let mut kinds: Vec<_> =
        report.copied.attachments.iter().map(|attachment| attachment.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds
}

const ALL: [&str; 4] = ["attestation", "signature", "signature", "signature"];

#[test]
fn a_copy_has_all_platforms_and_all_signatures_and_a_second_run_writes_nothing() {
    run(async {
        let world = World::new().await;
        let (from, to) = (world.signed().await, image(&world.plain, "copy/app:v2"));
        let report = world.mover().copy(&from, &to, &options()).await.unwrap();
        assert_eq!(kinds(&report), ALL);
        assert_eq!((report.copied.manifests, report.unchanged), (3 + 4, false));
        assert_eq!(world.found(&to).await, world.found(&from).await);
        assert_eq!(world.found(&to).await, [(2, 1), (1, 0), (0, 0)]);

        // The lists are as signers write them: an index, and a tag for each signature.
        let hex = report.digest.hex();
        let tags = world.tags(&world.plain, "copy/app").await;
        let own = tags
            .iter()
            .filter(|tag| tag.starts_with(&format!("sha256-{hex}.")) && !tag.ends_with(".sig"));
        assert_eq!(own.count(), 2, "{tags:?}");
        let path = format!("/v2/copy/app/manifests/sha256-{hex}");
        let list = world.json(&world.plain, &path).await.unwrap();
        assert_eq!(list["manifests"].as_array().unwrap().len(), 2);
        assert!(tags.contains(&"v2".to_owned()));
        world.assert_whole(&world.plain, "copy/app").await;

        let before = world.http.written.load(Ordering::Relaxed);
        let again = ImageMover::new(world.fresh()).copy(&from, &to, &options()).await.unwrap();
        assert!(again.unchanged, "{again:?}");
        assert_eq!(world.http.written.load(Ordering::Relaxed), before);
        assert!(again.copied.attachments.iter().all(|attachment| attachment.present));
    });
}

#[test]
fn whenever_a_copy_is_cut_off_nothing_refers_to_what_is_not_there() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let whole = image(&world.plain, "whole/app:v1");
        let start = world.http.sent.load(Ordering::Relaxed);
        ImageMover::new(world.fresh()).copy(&from, &whole, &options()).await.unwrap();
        let requests = world.http.sent.load(Ordering::Relaxed) - start;
        assert!(requests > 30, "{requests}");
        // One repository for all, so that a later run meets what an earlier one left.
        for cut in (0..requests + 10).step_by(3) {
            let name = format!("cut{}/app", cut % 2);
            let to = image(&world.plain, &format!("{name}:v1"));
            world.http.left.store(cut, Ordering::Relaxed);
            let result = ImageMover::new(world.fresh()).copy(&from, &to, &options()).await;
            world.http.left.store(usize::MAX, Ordering::Relaxed);
            world.assert_whole(&world.plain, &name).await;
            let tagged = world.tags(&world.plain, &name).await.contains(&"v1".to_owned());
            // The tag means that everything is there.
            if tagged {
                assert_eq!(world.found(&to).await, [(2, 1), (1, 0), (0, 0)], "after {cut}");
            } else {
                assert!(result.is_err());
            }
        }
    });
}

#[test]
fn what_is_at_the_destination_stays() {
    run(async {
        let world = World::new().await;
        let (from, to) = (world.signed().await, image(&world.plain, "copy/app:v1"));
        world.mover().copy(&from, &to, &options()).await.unwrap();
        let there = world.registry.resolve(to.reference()).await.unwrap();
        world.attach(&there, SIGN, "of the destination").await;
        world.earlier(&world.plain, "copy/app", there.digest(), "of the destination").await;
        let source = world.registry.resolve(from.reference()).await.unwrap();
        world.attach(&source, SIGN, "later").await;

        let report = world.mover().copy(&from, &to, &options()).await.unwrap();
        assert!(!report.unchanged);
        assert_eq!(world.found(&to).await[0], (4, 2));
        let again = world.mover().copy(&from, &to, &options()).await.unwrap();
        assert!(again.unchanged, "{again:?}");
    });
}

#[test]
fn a_tag_that_is_another_image_is_replaced_only_when_that_is_forced() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let other = SampleImage::new("another");
        let base = format!("http://{}", world.plain.registry()).parse().unwrap();
        let http = Arc::clone(&world.http) as Arc<dyn Transport>;
        other.push(&http, &base, "copy/app", "v1").await.unwrap();
        let to = image(&world.plain, "copy/app:v1");
        let before = world.http.written.load(Ordering::Relaxed);
        let refused = world.mover().copy(&from, &to, &options()).await.unwrap_err();
        assert!(matches!(&refused, Error::Occupied { found, .. } if *found == other.digest()));
        assert_eq!(world.http.written.load(Ordering::Relaxed), before);
        let mut force = options();
        force.force = true;
        let report = world.mover().copy(&from, &to, &force).await.unwrap();
        let there = world.registry.resolve(to.reference()).await.unwrap();
        assert_eq!(*there.digest(), report.digest);
    });
}

#[test]
fn one_platform_or_only_some_attachments_can_be_copied() {
    run(async {
        let world = World::new().await;
        let (from, to) = (world.signed().await, image(&world.plain, "copy/app:v1"));
        let mut only = options();
        only.only = vec![AttachmentKind::Attestation];
        let missing = world.mover().copy(&from, &to, &only).await.unwrap_err();
        assert!(host::with_causes(&missing).contains("does not exist"), "{missing}");

        let mut platform = options();
        platform.platform = Some("linux/arm64".to_owned());
        let arm = image(&world.plain, "copy/arm:v1");
        let report = world.mover().copy(&from, &arm, &platform).await.unwrap();
        assert_eq!((report.copied.manifests, kinds(&report).len()), (1, 0));
        platform.platform = Some("linux/amd64".to_owned());
        let amd = image(&world.plain, "copy/amd:v1");
        let report = world.mover().copy(&from, &amd, &platform).await.unwrap();
        assert_eq!(kinds(&report), ["signature"]);
        platform.platform = Some("plan9/386".to_owned());
        let refused = world.mover().copy(&from, &amd, &platform).await.unwrap_err().to_string();
        assert!(refused.contains("found linux/amd64, linux/arm64"), "{refused}");

        let mut bare = options();
        bare.only = vec![AttachmentKind::Attestation];
        // The image comes by another tool, its signatures later.
        let unsigned = SampleImage::new("demo/app");
        let base = format!("http://{}", world.plain.registry()).parse().unwrap();
        let http = Arc::clone(&world.http) as Arc<dyn Transport>;
        unsigned.push(&http, &base, "copy/app", "v1").await.unwrap();
        let report = world.mover().copy(&from, &to, &bare).await.unwrap();
        assert_eq!(kinds(&report), ["attestation"]);
        assert_eq!(world.found(&to).await, [(1, 0), (0, 0), (0, 0)]);
    });
}

#[test]
fn other_referrers_and_their_signatures_are_copied_when_asked_for() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let index = world.registry.resolve(from.reference()).await.unwrap();
        let config = world.put_blob(&world.api, "demo/app", b"{}").await;
        let notes = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "text/notes",
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 },
            "layers": [],
            "subject": { "mediaType": MANIFEST, "digest": index.digest(), "size": 1 },
        });
        let digest = Digest::sha256(notes.to_string().as_bytes());
        world.put_manifest(&world.api, "demo/app", digest.as_str(), &notes).await;
        let name = format!("{}@{digest}", index.repository());
        let notes = world.registry.resolve(&name.parse().unwrap()).await.unwrap();
        world.attach(&notes, SIGN, "of the notes").await;

        let without = image(&world.plain, "without/app:v1");
        let report = world.mover().copy(&from, &without, &options()).await.unwrap();
        assert_eq!(kinds(&report), ALL);
        let mut all = options();
        all.all_referrers = true;
        let with = image(&world.plain, "with/app:v1");
        let report = world.mover().copy(&from, &with, &all).await.unwrap();
        assert_eq!(kinds(&report).len(), ALL.len() + 2);
        let there = format!("{}@{digest}", with.reference().repository()).parse().unwrap();
        let there = world.registry.resolve(&there).await.unwrap();
        assert_eq!(world.registry.find(&there).await.unwrap().bundles.len(), 1);
    });
}

#[test]
fn within_one_registry_no_blob_of_the_image_is_sent() {
    run(async {
        let world = World::new().await;
        let (from, to) = (world.signed().await, image(&world.api, "elsewhere/app:v1"));
        let report = world.mover().copy(&from, &to, &options()).await.unwrap();
        assert_eq!((report.copied.blobs, report.copied.bytes), (0, 0));
        assert!(report.copied.blobs_mounted > 4, "{report:?}");
        assert_eq!(world.found(&to).await, [(2, 1), (1, 0), (0, 0)]);
    });
}

#[test]
fn an_image_goes_to_a_directory_and_on_to_another_registry() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let saved = world.mover().save(&from, &world.layout(), &options()).await.unwrap();
        assert_eq!(kinds(&saved), ALL);
        let again = world.mover().save(&from, &world.layout(), &options()).await.unwrap();
        assert!(again.unchanged, "{again:?}");

        let index: Value =
            serde_json::from_slice(&std::fs::read(world.layout().join("index.json")).unwrap())
                .unwrap();
        let entries = index["manifests"].as_array().unwrap();
        let of_kind = |kind: &str| {
            let kind = format!("dev.cosignproject.cosign/{kind}");
            entries.iter().filter(|entry| entry["annotations"]["kind"] == kind.as_str()).count()
        };
        assert_eq!((of_kind("imageIndex"), of_kind("sigs")), (1, 1), "{index}");
        assert!(
            entries.iter().any(|it| it["annotations"]["org.opencontainers.image.ref.name"] == "v1")
        );

        let to = image(&world.plain, "loaded/app:v3");
        let loaded = world.mover().load(&world.layout(), &to, &options()).await.unwrap();
        assert_eq!((kinds(&loaded), &loaded.digest), (ALL.to_vec(), &saved.digest));
        assert_eq!(world.found(&to).await, [(2, 1), (1, 0), (0, 0)]);
        world.assert_whole(&world.plain, "loaded/app").await;

        let layout = Layout::open(world.layout()).await.unwrap();
        let found = world.registry.find_in_layout(&layout, &saved.digest).await.unwrap();
        assert_eq!((found.bundles.len(), found.legacy.len()), (2, 1));
    });
}

#[test]
fn a_directory_that_is_damaged_incomplete_or_another_image_is_refused() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let to = image(&world.plain, "loaded/app:v1");
        let layout = world.layout();
        world.mover().save(&from, &layout, &options()).await.unwrap();
        let refused = async |part: &str| {
            let error = world.mover().load(&layout, &to, &options()).await.unwrap_err();
            let text = host::with_causes(&error);
            assert!(text.contains(part), "{text}");
            assert!(!world.tags(&world.plain, "loaded/app").await.contains(&"v1".to_owned()));
        };

        let other = SampleImage::new("another");
        let base = format!("http://{}", world.api.registry()).parse().unwrap();
        let http = Arc::clone(&world.http) as Arc<dyn Transport>;
        other.push(&http, &base, "other/app", "v1").await.unwrap();
        let another = image(&world.api, "other/app:v1");
        let error = world.mover().save(&another, &layout, &options()).await.unwrap_err();
        assert!(matches!(error, Error::Occupied { .. }), "{error}");

        let index = std::fs::read_to_string(layout.join("index.json")).unwrap();
        let hostile = index.replacen("sha256:", "sha256:../../", 1);
        std::fs::write(layout.join("index.json"), hostile).unwrap();
        refused("needs 64 hex characters").await;
        std::fs::remove_file(layout.join("index.json")).unwrap();
        refused("it is not complete").await;
        std::fs::write(layout.join("index.json"), &index).unwrap();

        let largest = |directory: &Path| {
            let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap());
            files.max_by_key(|file| file.metadata().unwrap().len()).unwrap().path()
        };
        let blob = largest(&layout.join("blobs/sha256"));
        let good = std::fs::read(&blob).unwrap();
        let mut bad = good.clone();
        bad[700] ^= 1;
        std::fs::write(&blob, bad).unwrap();
        refused("its content has the digest").await;
        std::fs::write(&blob, &good[1..]).unwrap();
        refused("bytes, found").await;
        std::fs::remove_file(&blob).unwrap();
        refused("does not exist").await;

        let full = world.directory.path().join("full");
        std::fs::create_dir(&full).unwrap();
        std::fs::write(full.join("notes.txt"), "mine").unwrap();
        let error = world.mover().save(&from, &full, &options()).await.unwrap_err();
        assert!(host::with_causes(&error).contains("neither empty nor"), "{error}");
        assert_eq!(std::fs::read_dir(&full).unwrap().count(), 1);
    });
}

#[test]
fn a_save_that_was_interrupted_is_no_layout_and_a_later_run_goes_on() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let layout = Layout::create(world.layout()).await.unwrap();
        let index = world.registry.resolve(from.reference()).await.unwrap();
        let source = Store::Repository(index.repository().clone());
        world
            .registry
            .copy(&source, index.digest(), &Store::Layout(layout), &Default::default())
            .await
            .unwrap();
        // Interrupted before the index was written: nobody takes it for a layout, and a later run
        // goes on with it.
        assert!(Layout::open(world.layout()).await.is_err());
        let saved = world.mover().save(&from, &world.layout(), &options()).await.unwrap();
        assert_eq!(saved.copied.blobs, 0);
        Layout::open(world.layout()).await.unwrap();
    });
}

#[test]
fn a_blob_that_is_not_what_its_digest_says_is_not_completed() {
    run(async {
        let world = World::new().await;
        let (from, to) = (world.signed().await, image(&world.plain, "copy/app:v1"));
        world.http.corrupt.store(true, Ordering::Relaxed);
        let error = world.mover().copy(&from, &to, &options()).await.unwrap_err();
        assert!(host::with_causes(&error).contains("its content has the digest"), "{error}");
        let error = world.mover().save(&from, &world.layout(), &options()).await.unwrap_err();
        assert!(host::with_causes(&error).contains("its content has the digest"), "{error}");
        world.http.corrupt.store(false, Ordering::Relaxed);
        assert_eq!(world.tags(&world.plain, "copy/app").await, Vec::<String>::new());
        let blobs = std::fs::read_dir(world.layout().join("blobs/sha256")).unwrap();
        assert_eq!(blobs.count(), 0);
    });
}

#[test]
fn what_is_attached_is_listed_printed_added_and_removed() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let to = image(&world.plain, "copy/app:v1");
        world.mover().copy(&from, &to, &options()).await.unwrap();
        for image in [&from, &to] {
            let attachments = world.attachments();
            let tree = attachments.tree(image).await.unwrap();
            let counts: Vec<usize> = tree.parts.iter().map(|part| part.attached.len()).collect();
            assert_eq!(counts, [3, 1, 0], "{tree}");
            assert!(tree.to_string().contains("linux/arm64"), "{tree}");
            let digest = tree.parts[0].digest.clone();

            let signatures = attachments.signatures(image).await.unwrap();
            assert_eq!(signatures, [bundle(&digest, SIGN, "one")]);
            let attestations = attachments.attestations(image, None).await.unwrap();
            assert_eq!(attestations, [bundle(&digest, SPDX, "one")]);
            let none = attachments.attestations(image, Some("other")).await.unwrap();
            assert_eq!(none, Vec::<String>::new());

            let more = bundle(&digest, SIGN, "kept by a run that could not attach it");
            let report = attachments.attach("b.json", more.as_bytes(), image).await.unwrap();
            assert_ne!(report.attached, "present");
            let again = attachments.attach("b.json", more.as_bytes(), image).await.unwrap();
            assert_eq!((again.attached, &again.manifest), ("present", &report.manifest));
            assert_eq!(attachments.signatures(image).await.unwrap().len(), 2);
            let wrong = bundle(&Digest::sha256(b"x"), SIGN, "other");
            for (bundle, part) in [(wrong.as_str(), "it is about another image"), ("{}", "not a")] {
                let error = attachments.attach("b.json", bundle.as_bytes(), image).await;
                let text = error.unwrap_err().to_string();
                assert!(text.starts_with("b.json was not attached to"), "{text}");
                assert!(text.contains(part), "{text}");
            }

            let kinds = [AttachmentKind::Signature];
            let plan = attachments.plan_cleaning(image, &kinds).await.unwrap();
            assert_eq!(plan.removals.len(), 3);
            attachments.clean(&plan).await.unwrap();
            let left = attachments.tree(image).await.unwrap();
            assert_eq!(left.parts[0].attached.len(), 1, "{left}");
            assert_eq!(left.parts[0].attached[0].kind, AttachmentKind::Attestation);
            let plan = attachments.plan_cleaning(image, &kinds).await.unwrap();
            assert!(plan.removals.is_empty(), "{plan:?}");
        }
        // Neither tags of their own nor entries of the list are left of what was removed.
        world.assert_whole(&world.plain, "copy/app").await;
        let digest = world.registry.resolve(to.reference()).await.unwrap().digest().clone();
        let tags = world.tags(&world.plain, "copy/app").await;
        let own = tags.iter().filter(|tag| tag.starts_with(&format!("sha256-{}.", digest.hex())));
        assert_eq!(own.count(), 1, "{tags:?}");
    });
}

#[test]
fn entries_of_manifests_that_are_gone_are_removed_whatever_is_asked_for() {
    run(async {
        let world = World::new().await;
        let (from, to) = (world.signed().await, image(&world.plain, "copy/app:v1"));
        world.mover().copy(&from, &to, &options()).await.unwrap();
        let tree = world.attachments().tree(&to).await.unwrap();
        let gone = tree.parts[0].attached.iter().find(|item| item.tag.is_none()).unwrap();
        let path = format!("/v2/copy/app/manifests/{}", gone.manifest);
        world.ask(&world.plain, Method::DELETE, &path, b"").await;
        let plan = world.attachments().plan_cleaning(&to, &[]).await.unwrap();
        assert_eq!(plan.removals.len(), 1);
        assert_eq!((plan.removals[0].kind, &plan.removals[0].manifest), (None, &gone.manifest));
        world.attachments().clean(&plan).await.unwrap();
        world.assert_whole(&world.plain, "copy/app").await;
        assert_eq!(world.found(&to).await[0], (1, 1));
    });
}
