//! A registry in memory, with the habits of real ones as switches.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use host::{Env, FakeEnv, Host, NoPrograms, Programs, TransportError};
use http::{Method, Request, Response};
use oci_push::{Digest, Options, Registry};
use serde_json::{Value, json};

use crate::helpers::{BUNDLE_TYPE, INDEX_TYPE, MANIFEST_TYPE};

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
    /// How tags are listed.
    pub(crate) tag_listing: TagListing,
    /// Conditions on a PUT are honoured.
    pub(crate) conditional: bool,
    /// ETags are weak.
    pub(crate) weak_etags: bool,
    /// A tag `sha256-<hex>` that does not exist means the manifest of that digest.
    pub(crate) tag_is_digest: bool,
    /// `Location` of uploads: before the path.
    pub(crate) upload_origin: String,
    /// A blob that comes with the request that opens an upload is stored.
    pub(crate) takes_content: bool,
    /// Blobs are taken from other repositories.
    pub(crate) mounts: bool,
    /// Headers left out of answers.
    pub(crate) silent_about: Vec<&'static str>,
    pub(crate) auth: Auth,
    /// Looked at before the request is served; the first answer wins.
    pub(crate) interceptors: Vec<Interceptor>,
    /// `METHOD host path?query [authorization]`
    pub(crate) log: Vec<String>,
    /// How long a request takes.
    pub(crate) latency: Duration,
    pub(crate) uploads: u32,
}

#[derive(Default)]
pub(crate) struct Repository {
    /// Media type and bytes by digest.
    pub(crate) manifests: BTreeMap<String, (String, Bytes)>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) blobs: BTreeMap<String, Bytes>,
}

/// How a registry lists tags.
#[derive(Clone, Copy)]
pub(crate) enum TagListing {
    /// As docker-registry 2.8: `n` and `last` do nothing.
    AllUnsorted,
    /// As the specification has it, with or without a link to the next page.
    Pages { linked: bool },
    /// `last` must be a tag that exists; else nothing is listed.
    FromKnownTags,
    /// There is no list.
    Nothing,
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
            tag_listing: TagListing::Pages { linked: true },
            conditional: false,
            weak_etags: false,
            tag_is_digest: false,
            upload_origin: String::new(),
            takes_content: false,
            mounts: true,
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

    /// Another writer read what is under `tag` of the repository `app` before us, and writes it,
    /// `digest`, back after each of our first writes, `times` of them.
    pub(crate) fn is_put_back(&self, tag: String, digest: String, times: usize) {
        let (mut wrote, mut left) = (false, times);
        self.intercept(move |state, request| {
            let ours = request.uri().path().ends_with(&tag);
            if ours && *request.method() == Method::PUT {
                wrote = true;
            } else if ours && wrote && left > 0 {
                (left, wrote) = (left - 1, false);
                let app = state.repositories.get_mut("app").unwrap();
                app.tags.insert(tag.clone(), digest.clone());
            }
            None
        });
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
        self.host_with(FakeEnv::new(), NoPrograms)
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
