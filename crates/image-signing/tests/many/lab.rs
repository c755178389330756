//! A sandbox without sockets.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt as _;
use host::{Answer, BoxFuture, CallPolicy, Clock, Host, NoPrograms, Transport};
use http::{Request, Response};
use id_token::{Audience, Found, IdToken, Outcome, TokenSource};
use image_signing::oci_push::{Options, Registry};
use image_signing::{
    AcceptedSigners, Error, Image, ImageSigner, ImageVerifier, SignedImage, Target,
};
use sandbox::{Config, Delay, RekorVersion, SampleImage, Sandbox};
use signer::{Event, Services, Session, Signer};
use tokio::time::Instant;
use trust_root::{SigningConfig, TrustedRoot};
use verify::{AcceptedSigner, StringMatch};

/// The clock of a paused runtime: nothing waits for real.
pub(crate) struct PausedClock {
    start: SystemTime,
    began: Instant,
}

impl Clock for PausedClock {
    fn now(&self) -> SystemTime {
        self.start + self.began.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A request, and when it was on its way.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) port: u16,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) start: Duration,
    pub(crate) end: Duration,
}

type Rule = dyn Fn(&Call) -> Option<Response<Bytes>> + Send + Sync;

/// The network: it keeps a record of the requests, and each answer takes its time.
pub(crate) struct Network {
    sandbox: Sandbox,
    registry_port: u16,
    clock: Arc<PausedClock>,
    calls: Mutex<Vec<Call>>,
    rule: Mutex<Box<Rule>>,
    /// What a request takes, to the registry and to the other services.
    latency: Mutex<(Duration, Duration)>,
}

impl Transport for Network {
    fn send(&self, request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        let policy = policy.clone();
        Box::pin(async move {
            let port = request.uri().port_u16().unwrap();
            let latency = *self.latency.lock().unwrap();
            let start = self.clock.began.elapsed();
            let latency = if port == self.registry_port { latency.0 } else { latency.1 };
            let (method, path) = (request.method().to_string(), request.uri().to_string());
            let mut call = Call { port, method, path, start, end: start };
            tokio::time::sleep(latency).await;
            let ruled = (self.rule.lock().unwrap())(&call);
            let answer = match ruled {
                Some(answer) => Ok(answer),
                None => self.sandbox.send(request, &policy).await,
            };
            if let Some(Delay(delay)) =
                answer.as_ref().ok().and_then(|answer| answer.extensions().get::<Delay>())
            {
                tokio::time::sleep(*delay).await;
            }
            call.end = self.clock.began.elapsed();
            self.calls.lock().unwrap().push(call);
            answer
        })
    }
}

/// A sandbox and whoever signs with it.
pub(crate) struct Lab {
    pub(crate) network: Arc<Network>,
    pub(crate) clock: Arc<PausedClock>,
    pub(crate) host: Host,
    pub(crate) registry: Registry,
    /// Warnings, and what was waited for.
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
}

impl Lab {
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Arc::new(PausedClock { start: SystemTime::now(), began: Instant::now() });
        let mut config = Config::new("unused");
        config.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        change(&mut config);
        let sandbox = Sandbox::in_process(&config).unwrap();
        let registry_port = sandbox.registry().rsplit(':').next().unwrap().parse().unwrap();
        let network = Arc::new(Network {
            sandbox,
            registry_port,
            clock: Arc::clone(&clock),
            calls: Mutex::default(),
            rule: Mutex::new(Box::new(|_| None)),
            latency: Mutex::default(),
        });
        let http: Arc<dyn Transport> = Arc::clone(&network) as Arc<dyn Transport>;
        let env = Arc::new([("HOME", "/nowhere")]);
        let host = Host::new(http, env, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(NoPrograms));
        let registry = Registry::new(host.clone(), Options::new()).unwrap();
        Self { network, clock, host, registry, heard: Arc::default() }
    }

    /// What a request takes from now on, to the registry and to the other services.
    pub(crate) fn latency(&self, registry: u64, services: u64) {
        let latency = (Duration::from_millis(registry), Duration::from_millis(services));
        *self.network.latency.lock().unwrap() = latency;
    }

    /// `rule` answers what it wants to.
    pub(crate) fn rule(
        &self,
        rule: impl Fn(&Call) -> Option<Response<Bytes>> + Send + Sync + 'static,
    ) {
        *self.network.rule.lock().unwrap() = Box::new(rule);
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.began.elapsed()
    }

    /// A client that has learned nothing yet.
    pub(crate) fn forget(&mut self) {
        self.registry = Registry::new(self.host.clone(), Options::new()).unwrap();
    }

    /// Pushes an image of two platforms.
    pub(crate) async fn push(&self, repository: &str) -> Image {
        let name = format!("{}/{repository}:v1", self.network.sandbox.registry());
        let base = format!("http://{}", self.network.sandbox.registry()).parse().unwrap();
        let image = SampleImage::new(repository);
        image.push(&self.host.http, &base, repository, "v1").await.unwrap();
        Image::parse(&name).unwrap()
    }

    pub(crate) fn root(&self) -> TrustedRoot {
        let root = self.network.sandbox.trust().trusted_root();
        TrustedRoot::from_json(root.to_string().as_bytes()).unwrap()
    }

    pub(crate) fn services(&self, log: RekorVersion) -> Services {
        let config = self.network.sandbox.trust().signing_config(log).to_string();
        let config = SigningConfig::from_json(config.as_bytes()).unwrap();
        Services::select(&config, self.host.clock.now()).unwrap()
    }

    pub(crate) fn signer(&self, services: Services) -> Signer {
        let (http, clock) = (Arc::clone(&self.host.http), Arc::clone(&self.host.clock));
        let signer = Signer::new(services, Arc::new(self.root()), http, clock).unwrap();
        let heard = Arc::clone(&self.heard);
        signer.with_listener(Arc::new(move |event| match event {
            Event::Warning { text } => heard.lock().unwrap().push((*text).to_owned()),
            Event::Waiting(outage) => {
                let line = format!("waiting for {}: {}", outage.service, outage.reason);
                heard.lock().unwrap().push(line);
            }
            _ => {}
        }))
    }

    /// A session of `name`, whose tokens cost a request.
    pub(crate) fn session(&self, log: RekorVersion, name: &'static str) -> Session {
        self.session_of(self.signer(self.services(log)), name)
    }

    pub(crate) fn session_of(&self, signer: Signer, name: &'static str) -> Session {
        Session::new(signer, Arc::new(Source { network: Arc::clone(&self.network), name }))
    }

    /// Pushes images to `app0`, `app1` and so on.
    pub(crate) async fn push_many(&self, number: usize) -> Vec<Image> {
        let mut images = Vec::new();
        for number in 0..number {
            images.push(self.push(&format!("app{number}")).await);
        }
        images
    }

    /// Pushes different images to one repository.
    pub(crate) async fn push_tags(&self, repository: &str, number: usize) -> Vec<Image> {
        let registry = self.network.sandbox.registry();
        let base = format!("http://{registry}").parse().unwrap();
        let mut images = Vec::new();
        for number in 0..number {
            let (image, tag) = (SampleImage::new(&format!("{number}")), format!("v{number}"));
            image.push(&self.host.http, &base, repository, &tag).await.unwrap();
            images.push(Image::parse(&format!("{registry}/{repository}:{tag}")).unwrap());
        }
        images
    }

    /// Puts a manifest, and gives its digest.
    pub(crate) async fn put_manifest(&self, repository: &str, json: &serde_json::Value) -> String {
        let bytes = json.to_string().into_bytes();
        let digest = format!("sha256:{}", keys::Digest::sha256(&bytes).to_hex());
        let registry = self.network.sandbox.registry();
        let put = Request::put(format!("http://{registry}/v2/{repository}/manifests/{digest}"))
            .header("content-type", json["mediaType"].as_str().unwrap());
        let put = put.body(Bytes::from(bytes)).unwrap();
        let answer = self.network.send(put, &CallPolicy::new()).await.unwrap();
        assert_eq!(answer.status(), 201, "{answer:?}");
        digest
    }

    pub(crate) async fn put_empty_blob(&self, repository: &str) {
        let base = format!("http://{}/v2/{repository}", self.network.sandbox.registry());
        let digest = format!("sha256:{}", keys::Digest::sha256(b"{}").to_hex());
        let post = Request::post(format!("{base}/blobs/uploads/?digest={digest}"));
        let answer = self.network.send(post.body("{}".into()).unwrap(), &CallPolicy::new()).await;
        assert_eq!(answer.unwrap().status(), 201);
    }

    /// Locates and signs all of `images` that are not signed yet.
    pub(crate) async fn sign_all(
        &self,
        signer: &ImageSigner,
        session: &Session,
        images: &[Image],
    ) -> Vec<Result<SignedImage, Error>> {
        let mut targets: Vec<Target> = Vec::new();
        let mut located = signer.locate_all(images);
        while let Some((_, found)) = located.next().await {
            targets.extend(found.unwrap().into_iter().filter(|target| !target.is_signed()));
        }
        signer.sign_all(&targets, session).map(|(_, signed)| signed).collect().await
    }

    /// Verifies that `name` signed.
    pub(crate) fn verifier(&self, name: &str) -> ImageVerifier {
        let subject = StringMatch::exact(format!("http://localhost/{name}"));
        let issuer = StringMatch::exact(format!("{}/uri", self.network.sandbox.oidc()));
        let signers = AcceptedSigners::rule(AcceptedSigner::identity(subject, issuer));
        let (root, clock) = (Arc::new(self.root()), Arc::clone(&self.host.clock));
        ImageVerifier::new(self.registry.clone(), root, clock, signers)
    }

    /// The requests since the last call of this.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let mut calls = std::mem::take(&mut *self.network.calls.lock().unwrap());
        calls.sort_by_key(|call| call.start);
        calls
    }

    /// How many of `calls` went to the registry.
    pub(crate) fn to_registry(&self, calls: &[Call]) -> usize {
        calls.iter().filter(|call| call.port == self.network.registry_port).count()
    }
}

/// An error of a service.
pub(crate) fn status(status: u16) -> Response<Bytes> {
    Response::builder().status(status).body(Bytes::new()).unwrap()
}

/// How many of `calls` hold this in their path.
pub(crate) fn count(calls: &[Call], part: &str) -> usize {
    calls.iter().filter(|call| call.path.contains(part)).count()
}

/// The longest chain of calls each of which began when the one before it had ended.
pub(crate) fn round_trips(calls: &[Call]) -> usize {
    let mut depths: Vec<(Duration, usize)> = Vec::new();
    for call in calls {
        let before = depths.iter().filter(|(end, _)| *end <= call.start).map(|(_, depth)| *depth);
        depths.push((call.end, before.max().unwrap_or(0) + 1));
    }
    depths.into_iter().map(|(_, depth)| depth).max().unwrap_or(0)
}

/// One line for each call.
pub(crate) fn shown(calls: &[Call]) -> String {
    let line = |call: &Call| {
        let Call { method, path, start, end, .. } = call;
        format!("{:>6}..{:<6} {method} {path}\n", start.as_millis(), end.as_millis())
    };
    calls.iter().map(line).collect()
}

struct Source {
    network: Arc<Network>,
    name: &'static str,
}

impl TokenSource for Source {
    fn name(&self) -> &str {
        "test"
    }

    fn find<'a>(&'a self, _: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let oidc = self.network.sandbox.oidc();
            let request = Request::get(format!("{oidc}/token")).body(Bytes::new()).unwrap();
            self.network.send(request, &CallPolicy::new()).await.unwrap();
            let claims = serde_json::json!({ "sub": format!("http://localhost/{}", self.name) });
            let token = self.network.sandbox.token("uri", claims.as_object().unwrap()).unwrap();
            Outcome::Found(Found::new(IdToken::parse(&token).unwrap(), "test"))
        })
    }
}
