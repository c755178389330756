//! A registry in memory, with the habits of real ones as switches.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use host::{BoxFuture, Clock, Env, Host, NoPrograms, Programs, TransportError};
use http::{Method, Request, Response, StatusCode};
use oci_push::{Descriptor, Digest, Options, Reference, Registry, Resolved};
use serde_json::{Value, json};

pub(crate) const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) type Answer = Result<Response<Bytes>, TransportError>;
type Interceptor = Box<dyn FnMut(&mut State, &Request<Bytes>) -> Option<Answer> + Send>;

/// What a registry holds and how it behaves.
pub(crate) struct State {
    pub(crate) repositories: HashMap<String, Repository>,
    /// The referrers API exists.
    pub(crate) referrers: bool,
    /// A manifest with a subject is acknowledged with `OCI-Subject`.
    pub(crate) acknowledges_subject: bool,
    /// How many referrers fit on a page.
    pub(crate) page: usize,
    /// Conditions on a PUT are honoured.
    pub(crate) conditional: bool,
    /// A tag `sha256-<hex>` that does not exist means the manifest of that digest.
    pub(crate) tag_is_digest: bool,
    /// `Location` of uploads: before the path.
    pub(crate) upload_origin: String,
    /// Headers left out of answers.
    pub(crate) silent_about: Vec<&'static str>,
    pub(crate) auth: Auth,
    /// Looked at before the request is served; the first answer wins.
    pub(crate) interceptors: Vec<Interceptor>,
    /// `METHOD host path?query [authorization]`
    pub(crate) log: Vec<String>,
    /// How long a request takes.
    pub(crate) latency: Duration,
    uploads: u32,
}

#[derive(Default)]
pub(crate) struct Repository {
    /// Media type and bytes by digest.
    pub(crate) manifests: BTreeMap<String, (String, Bytes)>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) blobs: BTreeMap<String, Bytes>,
}

#[derive(Clone)]
pub(crate) enum Auth {
    None,
    Basic {
        pair: &'static str,
    },
    /// Tokens from `realm`; `pair` may do all, anyone else only pull if `anonymous_pull`.
    Bearer {
        realm: &'static str,
        pair: Option<&'static str>,
        identity: Option<&'static str>,
        anonymous_pull: bool,
    },
}

/// The registry, and whatever else is on its network.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) state: Arc<Mutex<State>>,
}

impl Fake {
    /// With the referrers API, without authentication.
    pub(crate) fn new() -> Self {
        let state = State {
            repositories: HashMap::new(),
            referrers: true,
            acknowledges_subject: true,
            page: 1000,
            conditional: false,
            tag_is_digest: false,
            upload_origin: String::new(),
            silent_about: Vec::new(),
            auth: Auth::None,
            interceptors: Vec::new(),
            log: Vec::new(),
            latency: Duration::ZERO,
            uploads: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn without_referrers() -> Self {
        let fake = Self::new();
        fake.with(|state| {
            state.referrers = false;
            state.acknowledges_subject = false;
        });
        fake
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    pub(crate) fn intercept(
        &self,
        interceptor: impl FnMut(&mut State, &Request<Bytes>) -> Option<Answer> + Send + 'static,
    ) {
        self.with(|state| state.interceptors.push(Box::new(interceptor)));
    }

    /// Stores an image as `tag` and returns its digest.
    pub(crate) fn image(&self, repository: &str, tag: &str) -> Digest {
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{{}},"layers":[],"annotations":{{"t":"{tag}"}}}}"#
        );
        let digest = self.manifest(repository, MANIFEST_TYPE, manifest.as_bytes());
        self.with(|state| {
            let repository = state.repositories.get_mut(repository).unwrap();
            repository.tags.insert(tag.to_owned(), digest.to_string());
        });
        digest
    }

    pub(crate) fn manifest(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        self.with(|state| {
            let repository = state.repositories.entry(repository.to_owned()).or_default();
            let entry = (media_type.to_owned(), Bytes::copy_from_slice(bytes));
            repository.manifests.insert(digest.to_string(), entry);
        });
        digest
    }

    pub(crate) fn blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        self.with(|state| {
            let repository = state.repositories.entry(repository.to_owned()).or_default();
            repository.blobs.insert(digest.to_string(), Bytes::copy_from_slice(bytes));
        });
        digest
    }

    pub(crate) fn tag(&self, repository: &str, tag: &str, digest: &Digest) {
        self.with(|state| {
            let repository = state.repositories.get_mut(repository).unwrap();
            repository.tags.insert(tag.to_owned(), digest.to_string());
        });
    }

    /// Stores a referrer with one bundle layer, as cosign would; not listed under any tag.
    pub(crate) fn referrer(&self, repository: &str, subject: &Digest, bundle: &str) -> Digest {
        self.referrer_of_type(repository, subject, bundle.as_bytes(), BUNDLE_TYPE, BUNDLE_TYPE)
    }

    pub(crate) fn referrer_of_type(
        &self,
        repository: &str,
        subject: &Digest,
        content: &[u8],
        artifact_type: &str,
        layer_type: &str,
    ) -> Digest {
        let layer = self.blob(repository, content);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": artifact_type,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
                       "digest": Digest::sha256(b"{}").as_str()},
            "layers": [{"mediaType": layer_type, "size": content.len(), "digest": layer.as_str()}],
            "subject": {"mediaType": MANIFEST_TYPE, "size": 7, "digest": subject.as_str()},
            "annotations": {"dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"},
        });
        self.manifest(repository, MANIFEST_TYPE, manifest.to_string().as_bytes())
    }

    /// The list under the fallback tag of `subject`.
    pub(crate) fn listed(&self, repository: &str, subject: &Digest) -> Option<Value> {
        self.with(|state| {
            let repository = state.repositories.get(repository)?;
            let digest = repository.tags.get(&subject.fallback_tag())?;
            serde_json::from_slice(&repository.manifests.get(digest)?.1).ok()
        })
    }

    pub(crate) fn list(&self, repository: &str, subject: &Digest, index: &Value) -> Digest {
        let digest = self.manifest(repository, INDEX_TYPE, index.to_string().as_bytes());
        self.tag(repository, &subject.fallback_tag(), &digest);
        digest
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.with(|state| state.log.clone())
    }

    pub(crate) fn host(&self) -> Host {
        self.host_with([("NO", "VARIABLES")], NoPrograms)
    }

    pub(crate) fn host_with(
        &self,
        env: impl Env + 'static,
        programs: impl Programs + 'static,
    ) -> Host {
        let fake = self.clone();
        Host::new(
            Arc::new(move |request: Request<Bytes>| fake.answer(&request)),
            Arc::new(env),
            Arc::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_345_879)),
            Arc::new(programs),
        )
    }

    pub(crate) fn registry(&self) -> Registry {
        Registry::new(self.host(), Options::default()).unwrap()
    }

    pub(crate) fn answer(&self, request: &Request<Bytes>) -> Answer {
        let latency = self.with(|state| state.latency);
        if !latency.is_zero() {
            std::thread::sleep(latency);
        }
        let mut state = self.state.lock().unwrap();
        let authorization = request.headers().get("authorization");
        state.log.push(format!(
            "{} {} {}{}",
            request.method(),
            request.uri().authority().unwrap(),
            request.uri().path_and_query().unwrap(),
            authorization
                .map(|value| format!(" [{}]", value.to_str().unwrap()))
                .unwrap_or_default()
        ));
        let mut interceptors = std::mem::take(&mut state.interceptors);
        let answer = interceptors.iter_mut().find_map(|one| one(&mut state, request));
        let added = std::mem::replace(&mut state.interceptors, interceptors);
        state.interceptors.extend(added);
        answer.unwrap_or_else(|| Ok(state.serve(request)))
    }
}

impl State {
    fn serve(&mut self, request: &Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        if path == "/token" {
            return self.token(request);
        }
        if let Some(challenge) = self.challenge(request) {
            return challenge;
        }
        if path == "/v2/" {
            return plain(200, "{}");
        }
        let Some(rest) = path.strip_prefix("/v2/") else {
            return plain(404, "404 page not found");
        };
        for kind in ["/manifests/", "/blobs/uploads/", "/blobs/", "/referrers/"] {
            if let Some((name, reference)) = rest.split_once(kind) {
                let mut answer = match kind {
                    "/manifests/" => self.manifests(request, name, reference),
                    "/blobs/uploads/" => self.uploads(request, name),
                    "/blobs/" => self.blobs(request, name, reference),
                    _ => self.list_referrers(request, name, reference),
                };
                for header in &self.silent_about {
                    answer.headers_mut().remove(*header);
                }
                return answer;
            }
        }
        plain(404, "404 page not found")
    }

    fn challenge(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
        let given = request.headers().get("authorization").map(|value| value.to_str().unwrap());
        let name = request.uri().path().strip_prefix("/v2/")?;
        let name = name.split("/manifests").next()?.split("/blobs").next()?;
        let name = name.split("/referrers").next()?;
        let (expected, challenge) = match &self.auth {
            Auth::None => return None,
            Auth::Basic { pair } => (format!("Basic {pair}"), r#"Basic realm="fake""#.to_owned()),
            Auth::Bearer { realm, .. } => {
                let action = if writes { "pull,push" } else { "pull" };
                let challenge = format!(
                    r#"Bearer realm="{realm}",service="fake",scope="repository:{name}:{action}""#
                );
                (format!("Bearer {name}:{action}"), challenge)
            }
        };
        let all = format!("Bearer {name}:pull,push");
        if given == Some(expected.as_str()) || given == Some(all.as_str()) {
            return None;
        }
        let error = match given {
            Some(value) if value.starts_with("Bearer") => r#",error="insufficient_scope""#,
            _ => "",
        };
        let mut answer = refusal(401, "UNAUTHORIZED", "authentication required");
        let challenge = format!("{challenge}{error}").parse().unwrap();
        answer.headers_mut().insert("www-authenticate", challenge);
        Some(answer)
    }

    /// A token is `<name>:<actions>`.
    fn token(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let Auth::Bearer { pair, identity, anonymous_pull, .. } = &self.auth else {
            return plain(404, "");
        };
        let posted = *request.method() == Method::POST;
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        let query =
            if posted { body } else { request.uri().query().unwrap_or_default().to_owned() };
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let get = |key: &str| pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        let basic = request.headers().get("authorization").map(|value| value.to_str().unwrap());
        let known = match (posted, identity) {
            (true, Some(identity)) => get("refresh_token").as_deref() == Some(*identity),
            (true, None) => return plain(404, ""),
            (false, _) => {
                basic.is_some() && basic == pair.map(|pair| format!("Basic {pair}")).as_deref()
            }
        };
        if !known && (basic.is_some() || posted || !anonymous_pull) {
            return refusal(401, "UNAUTHORIZED", "incorrect username or password");
        }
        let scope = get("scope").unwrap_or_default();
        let (resource, actions) = scope.rsplit_once(':').unwrap();
        let name = resource.strip_prefix("repository:").unwrap();
        let actions = if known { actions } else { "pull" };
        let token = json!({"token": format!("{name}:{actions}"), "expires_in": 300});
        plain(200, &token.to_string())
    }

    fn manifests(
        &mut self,
        request: &Request<Bytes>,
        name: &str,
        reference: &str,
    ) -> Response<Bytes> {
        if *request.method() == Method::PUT {
            return self.put_manifest(request, name, reference);
        }
        let Some(repository) = self.repositories.get(name) else {
            return refusal(404, "NAME_UNKNOWN", "repository name not known to registry");
        };
        let mut digest =
            repository.tags.get(reference).map_or(reference, String::as_str).to_owned();
        if self.tag_is_digest {
            digest = digest.replace("sha256-", "sha256:");
        }
        let Some((media_type, bytes)) = repository.manifests.get(&digest) else {
            return refusal(404, "MANIFEST_UNKNOWN", "manifest unknown");
        };
        let accepts = request.headers().get("accept").map(|value| value.to_str().unwrap());
        if !accepts.is_some_and(|accepts| accepts.contains(media_type.as_str())) {
            return refusal(
                404,
                "MANIFEST_UNKNOWN",
                "OCI index found, but accept header does not support OCI indexes",
            );
        }
        let head = *request.method() == Method::HEAD;
        Response::builder()
            .header("content-type", media_type)
            .header("content-length", bytes.len())
            .header("docker-content-digest", &digest)
            .header("etag", format!("\"{digest}\""))
            .body(if head { Bytes::new() } else { bytes.clone() })
            .unwrap()
    }

    fn put_manifest(
        &mut self,
        request: &Request<Bytes>,
        name: &str,
        reference: &str,
    ) -> Response<Bytes> {
        let conditional = self.conditional;
        let repository = self.repositories.entry(name.to_owned()).or_default();
        let bytes = request.body().clone();
        let digest = Digest::sha256(&bytes).to_string();
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        for blob in document["layers"].as_array().into_iter().flatten().chain([&document["config"]])
        {
            if blob["digest"].as_str().is_some_and(|digest| !repository.blobs.contains_key(digest))
            {
                return refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
            }
        }
        if reference.contains(':') {
            assert_eq!(reference, digest, "a manifest is stored under its own digest");
        } else {
            let now = repository.tags.get(reference).cloned();
            if conditional {
                let header = |name| {
                    request.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
                };
                let matches = header("if-match").is_none_or(|etag| {
                    now.as_ref().is_some_and(|now| etag == format!("\"{now}\""))
                });
                if !matches || header("if-none-match").is_some() && now.is_some() {
                    return refusal(412, "PRECONDITION", "the tag has changed");
                }
            }
            repository.tags.insert(reference.to_owned(), digest.clone());
        }
        let media_type = request.headers()["content-type"].to_str().unwrap().to_owned();
        repository.manifests.insert(digest.clone(), (media_type, bytes));
        let mut answer = Response::builder().status(201).header("docker-content-digest", &digest);
        if let (true, Some(subject)) =
            (self.acknowledges_subject, document["subject"]["digest"].as_str())
        {
            answer = answer.header("oci-subject", subject);
        }
        answer.body(Bytes::new()).unwrap()
    }

    fn uploads(&mut self, request: &Request<Bytes>, name: &str) -> Response<Bytes> {
        match *request.method() {
            Method::POST => {
                self.uploads += 1;
                let location = format!(
                    "{}/v2/{name}/blobs/uploads/{}?_state=a%2Fb",
                    self.upload_origin, self.uploads
                );
                Response::builder()
                    .status(202)
                    .header("location", location)
                    .body(Bytes::new())
                    .unwrap()
            }
            Method::PUT => {
                let query = request.uri().query().unwrap();
                assert!(query.starts_with("_state=a%2Fb&digest="), "{query}");
                let digest = Digest::sha256(request.body()).to_string();
                assert!(query.ends_with(&digest), "{query}");
                let repository = self.repositories.entry(name.to_owned()).or_default();
                repository.blobs.insert(digest, request.body().clone());
                plain(201, "")
            }
            Method::DELETE => plain(204, ""),
            _ => plain(405, ""),
        }
    }

    fn blobs(&self, request: &Request<Bytes>, name: &str, digest: &str) -> Response<Bytes> {
        let blob = self.repositories.get(name).and_then(|repository| repository.blobs.get(digest));
        match blob {
            None => refusal(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            Some(bytes) => {
                let head = *request.method() == Method::HEAD;
                Response::new(if head { Bytes::new() } else { bytes.clone() })
            }
        }
    }

    fn list_referrers(
        &self,
        request: &Request<Bytes>,
        name: &str,
        digest: &str,
    ) -> Response<Bytes> {
        if !self.referrers {
            return plain(404, "404 page not found");
        }
        let manifests =
            self.repositories.get(name).into_iter().flat_map(|repository| &repository.manifests);
        let listed: Vec<Value> = manifests
            .filter_map(|(own, (media_type, bytes))| {
                let document: Value = serde_json::from_slice(bytes).ok()?;
                (document["subject"]["digest"] == digest).then(|| {
                    json!({"mediaType": media_type, "size": bytes.len(), "digest": own,
                           "artifactType": document["artifactType"], "annotations": document["annotations"]})
                })
            })
            .collect();
        let from: usize = request
            .uri()
            .query()
            .and_then(|query| query.strip_prefix("from=")?.parse().ok())
            .unwrap_or(0);
        let page: Vec<&Value> = listed.iter().skip(from).take(self.page).collect();
        let mut answer = Response::builder().header("content-type", INDEX_TYPE);
        if from + self.page < listed.len() {
            let next =
                format!("</v2/{name}/referrers/{digest}?from={}>; rel=\"next\"", from + self.page);
            answer = answer.header("link", next);
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": page});
        answer.body(Bytes::from(index.to_string())).unwrap()
    }
}

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
