//! A sandbox, an empty directory, and the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::{Bundle, VerificationMaterial};
use fulcio_client::Fulcio;
use fulcio_client::predict::{Prediction, Profile};
use host::{CallPolicy, Host, Transport};
use http_client::{HttpClient, Settings};
use id_token::Claims;
use oci_push::{Options, Registry};
use sandbox::{Config, Fault, Platform, Running, SampleImage, Sandbox};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use x509::Certificate;

use crate::hostile::{HostileServer, RawRequest, Reply};
use crate::program::Program;

/// A running sandbox and an empty directory to work in.
pub struct Setup {
    // Dropped in this order: the services before the runtime they run on.
    /// The services.
    pub sandbox: Running,
    runtime: Runtime,
    directory: TempDir,
}

impl Setup {
    /// A sandbox as it is by default.
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    /// A sandbox whose configuration `change` has changed.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let mut config = Config::new(directory.path().join("sandbox"));
        change(&mut config);
        let sandbox = runtime.block_on(Sandbox::start(config)).unwrap();
        Self { sandbox, runtime, directory }
    }

    /// A sandbox with one fault.
    pub fn with_fault(fault: Fault) -> Self {
        Self::with(|config| config.faults = BTreeSet::from([fault]))
    }

    /// Runs `future` to its end.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Pushes an image to `repository` and gives its reference.
    pub fn image(&self, repository: &str) -> String {
        self.push(self.sandbox.registry(), repository);
        format!("{}/{repository}:v1", self.sandbox.registry())
    }

    /// Pushes an image to `repository` of `registry` with the tag `v1`.
    pub fn push(&self, registry: &str, repository: &str) -> SampleImage {
        let http: Arc<dyn Transport> = Arc::new(HttpClient::new(&Settings::new()));
        let base = format!("http://{registry}").parse().unwrap();
        let image = SampleImage::new(repository);
        self.runtime.block_on(image.push(&http, &base, repository, "v1")).unwrap();
        image
    }

    /// The sandbox's registry behind a server that answers some requests itself. An image of the
    /// registry is at `ADDRESS/REPOSITORY:v1` as well.
    pub fn hostile_registry(
        &self,
        rule: impl Fn(&RawRequest) -> Reply + Send + Sync + 'static,
    ) -> HostileServer {
        HostileServer::before(self.sandbox.registry(), rule)
    }

    /// Pushes different images to `repository`, with the tags `v0`, `v1` and so on, and gives their
    /// references.
    pub fn images(&self, repository: &str, number: usize) -> Vec<String> {
        self.images_at(self.sandbox.registry(), repository, number)
    }

    /// The same in another registry.
    pub fn images_at(&self, registry: &str, repository: &str, number: usize) -> Vec<String> {
        let http: Arc<dyn Transport> = Arc::new(HttpClient::new(&Settings::new()));
        let base = format!("http://{registry}").parse().unwrap();
        let push = |number: usize| {
            let tag = format!("v{number}");
            let image = SampleImage::new(&format!("{repository} {number}"));
            self.runtime.block_on(image.push(&http, &base, repository, &tag)).unwrap();
            format!("{registry}/{repository}:{tag}")
        };
        (0..number).map(push).collect()
    }

    /// Puts a blob into `repository` of `registry` and gives its digest.
    pub fn put_blob(&self, registry: &str, repository: &str, content: &[u8]) -> String {
        let digest = format!("sha256:{}", keys::Digest::sha256(content).to_hex());
        let base = format!("http://{registry}");
        let start = http::Request::post(format!("{base}/v2/{repository}/blobs/uploads/"));
        let answer = self.send(start.body(bytes::Bytes::new()).unwrap());
        let location = answer.headers()["location"].to_str().unwrap();
        let url = if location.starts_with('/') { base + location } else { location.to_owned() };
        let separator = if url.contains('?') { '&' } else { '?' };
        let put = http::Request::put(format!("{url}{separator}digest={digest}"))
            .header("content-type", "application/octet-stream");
        let answer = self.send(put.body(content.to_vec().into()).unwrap());
        assert_eq!(answer.status(), 201, "{answer:?}");
        digest
    }

    /// Puts a manifest into `repository` of `registry` under a tag or its digest.
    pub fn put_manifest(&self, registry: &str, repository: &str, reference: &str, json: &Value) {
        let put =
            http::Request::put(format!("http://{registry}/v2/{repository}/manifests/{reference}"))
                .header("content-type", json["mediaType"].as_str().unwrap());
        let answer = self.send(put.body(json.to_string().into()).unwrap());
        assert_eq!(answer.status(), 201, "{answer:?}");
    }

    fn send(&self, request: http::Request<bytes::Bytes>) -> http::Response<bytes::Bytes> {
        let http = HttpClient::new(&Settings::new());
        self.runtime.block_on(http.send(request, &CallPolicy::default())).unwrap()
    }

    /// How many entries Rekor v1 has, which the default signing config names.
    pub fn logged(&self) -> u64 {
        let url = format!("{}/api/v1/log", self.sandbox.endpoints().rekor_v1);
        let request = http::Request::get(url).body(bytes::Bytes::new()).unwrap();
        let answer = self.send(request);
        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
        answer["treeSize"].as_u64().unwrap()
    }

    /// Attaches `bundle` to `image` without a look at it.
    pub fn attach(&self, image: &str, bundle: &[u8]) {
        let host = Host::new(
            Arc::new(HttpClient::new(&Settings::new())),
            Arc::new([("", "")]),
            Arc::new(http_client::SystemClock),
            Arc::new(host::NoPrograms),
        );
        let registry = Registry::new(host, Options::default()).unwrap();
        self.runtime.block_on(async {
            let image = registry.resolve(&image.parse().unwrap()).await.unwrap();
            registry.attach(&image, bundle, &BTreeMap::new()).await.unwrap();
        });
    }

    /// The digest of the image that [`Setup::image`] pushes to `repository`.
    pub fn digest(&self, repository: &str) -> String {
        SampleImage::new(repository).digest()
    }

    /// The directory that programs run in; it is their home as well.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The path of `name` in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file in the directory and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The program without an identity. It trusts the sandbox.
    pub fn program(&self) -> Program {
        Program::new(self.directory.path()).envs(self.sandbox.trust_env())
    }

    /// The program as a SPIFFE workload runs it.
    pub fn workload(&self) -> Program {
        let socket = format!("unix://{}", self.sandbox.spiffe_socket().display());
        self.program().env("SPIFFE_ENDPOINT_SOCKET", socket)
    }

    /// The program as a step of a GitHub job runs it.
    pub fn job(&self) -> Program {
        self.program().envs(self.sandbox.github_env())
    }

    /// The platform of this name.
    pub fn platform(&self, name: &str) -> Platform {
        self.sandbox.platform(name).unwrap()
    }

    /// The program as it runs on `platform`.
    pub fn on(&self, platform: &Platform) -> Program {
        self.program().envs(&platform.env).with_files(&platform.files)
    }

    /// The SPIFFE ID of [`Setup::workload`].
    pub fn workload_id(&self) -> String {
        self.sandbox.registrations()[0].spiffe_id.to_string()
    }

    /// Policy flags that accept only the workload's signature.
    pub fn by_workload(&self) -> [String; 4] {
        by(&self.workload_id(), &self.sandbox.spiffe_issuer())
    }

    /// Policy flags that accept only the GitHub job's signature.
    pub fn by_job(&self) -> [String; 4] {
        by(&self.sandbox.github_identity(), &self.sandbox.github_issuer())
    }

    /// What Fulcio would certify of a token with these claims, according to its configuration.
    pub fn prediction(&self, issuer: &str, claims: &Map<String, Value>) -> Option<Prediction> {
        let mut claims = claims.clone();
        claims.insert("iss".to_owned(), issuer.into());
        let claims = Claims::new(claims);
        let url = self.sandbox.endpoints().fulcio.parse().unwrap();
        let fulcio = Fulcio::new(url, Arc::new(HttpClient::new(&Settings::new())));
        let configuration = self.runtime.block_on(fulcio.configuration()).unwrap();
        Profile::of(configuration.issuer_for(issuer)?, &claims).predict(&claims)
    }

    /// Signs a file with `program` and reads the certificate out of its bundle.
    #[track_caller]
    pub fn certificate(&self, program: Program) -> Certificate {
        let file = self.write("artifact", "content");
        program.args([&file]).command("sign-blob").run().ends(0);
        let bundle = std::fs::read(self.path("artifact.sigstore.json")).unwrap();
        let bundle = Bundle::from_json(&bundle).unwrap();
        let VerificationMaterial::Certificate(der) = bundle.material() else {
            panic!("{:?}", bundle.material())
        };
        Certificate::from_der(der).unwrap()
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

/// Policy flags that accept only this identity.
pub fn by(identity: &str, issuer: &str) -> [String; 4] {
    ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer].map(str::to_owned)
}
