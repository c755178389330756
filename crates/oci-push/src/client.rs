//! One authenticated request and its redirects.
//!
//! Redirects are followed here and not by the transport, because credentials stay at the registry's
//! own origin: servers that it redirects to get none.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_lock::OnceCell;
use bytes::Bytes;
use host::{BoxFuture, CallPolicy, Env, Host, Redirects, TransportError};
use http::header::{AUTHORIZATION, HeaderName, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use url::Url;

use crate::answer::{Answer, shown};
use crate::auth::Auth;
use crate::bodies::{self, Bodies};
use crate::error::{Access, Error};
use crate::habits::Habits;
use crate::locks::{Locks, guard};
use crate::mirrors::Mirrors;
use crate::options::Options;
use crate::patience::Patience;
use crate::repository::Repository;
use crate::{address, challenge, endpoint, keychain};

/// The state that all clones of a registry client share.
pub(crate) struct Client {
    pub(crate) host: Host,
    /// One writer of a fallback tag at a time.
    pub(crate) writers: Locks,
    pub(crate) options: Options,
    /// What was learned of each repository.
    pub(crate) habits: Habits,
    pub(crate) auth: Auth,
    /// What Docker's file adds to every request.
    headers: OnceCell<HeaderMap>,
    pub(crate) mirrors: OnceCell<Mirrors>,
    bases: Mutex<HashMap<String, Url>>,
    patience: Arc<Patience>,
}

/// A request to a registry.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    method: Method,
    pub(crate) repository: &'a Repository,
    access: Access,
    target: Target,
    headers: HeaderMap,
    body: Bytes,
    bodies: Bodies,
    policy: CallPolicy,
}

#[derive(Clone, Debug)]
enum Target {
    /// Below `/v2/<name>/`.
    Path(String),
    /// Where the registry leads.
    Url(Url),
}

impl<'a> Call<'a> {
    /// A request for `path` below `/v2/<name>/`.
    pub(crate) fn new(
        method: Method,
        repository: &'a Repository,
        access: Access,
        path: impl Into<String>,
    ) -> Self {
        Self {
            method,
            repository,
            access,
            target: Target::Path(path.into()),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            bodies: Bodies::default(),
            policy: CallPolicy::new(),
        }
    }

    /// A request to a URL that the registry named.
    pub(crate) fn to(method: Method, repository: &'a Repository, access: Access, url: Url) -> Self {
        Self { target: Target::Url(url), ..Self::new(method, repository, access, "") }
    }

    /// The same at another repository.
    pub(crate) fn at(&self, repository: &'a Repository) -> Self {
        Self { repository, ..self.clone() }
    }

    /// Whether what is asked for is named by its digest, so that it is the same wherever it is.
    pub(crate) fn is_by_digest(&self) -> bool {
        match &self.target {
            Target::Path(path) => {
                path.starts_with("blobs/") || path.starts_with("manifests/") && path.contains(':')
            }
            Target::Url(_) => false,
        }
    }

    /// Whether the registry led to what is asked for.
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(self.target, Target::Url(_))
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        // Every value here is a media type, a digest or an ETag that came as a header.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// Has the body of the request or of its answer travel in parts.
    pub(crate) fn bodies(mut self, bodies: Bodies) -> Self {
        self.bodies = bodies;
        self
    }

    pub(crate) fn policy(mut self, policy: CallPolicy) -> Self {
        self.policy = policy;
        self
    }
}

/// The repository for signatures that the variable `AMBISIGN_REPOSITORY` or `COSIGN_REPOSITORY` names.
///
/// # Errors
/// [`Error::Reference`]: the value is not a repository.
pub fn signature_repository(env: &dyn Env) -> Result<Option<Repository>, Error> {
    for name in ["AMBISIGN_REPOSITORY", "COSIGN_REPOSITORY"] {
        let Some(value) = env.var(name) else { continue };
        return value.parse().map(Some).map_err(|error| match error {
            Error::Reference { text, reason } => {
                Error::Reference { text, reason: format!("{reason} (in {name})") }
            }
            other => other,
        });
    }
    Ok(None)
}

impl Client {
    pub(crate) fn new(host: Host, mut options: Options) -> Result<Self, Error> {
        if options.signature_repository.is_none() {
            options.signature_repository = signature_repository(&*host.env)?;
        }
        let patience =
            Arc::new(Patience::new(options.patience, options.retry_for, options.listener.clone()));
        Ok(Self {
            auth: Auth::new(host.clone(), options.clone(), Arc::clone(&patience)),
            host,
            writers: Locks::default(),
            habits: Habits::default(),
            options,
            headers: OnceCell::new(),
            mirrors: OnceCell::new(),
            bases: Mutex::default(),
            patience,
        })
    }

    pub(crate) fn signatures_of<'a>(&'a self, repository: &'a Repository) -> &'a Repository {
        self.options.signature_repository.as_ref().unwrap_or(repository)
    }

    /// Sends `call` to its registry, and answers its challenge if there is one. Any status is an
    /// answer.
    pub(crate) async fn call_registry(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let registry = call.repository.registry();
        let known = guard(&self.bases).get(registry).cloned();
        if let Some(base) = known {
            return self.call_at(call, base).await;
        }
        let mut bases = endpoint::candidates(call.repository, self.options.allow_http)?;
        let last = bases.pop();
        let mut failure = None;
        for base in bases {
            let policy = endpoint::trial(&base, call.policy.clone());
            match self.call_at(&call.clone().policy(policy), base.clone()).await {
                Ok(answer) if endpoint::wants_tls(&answer) => {}
                Ok(answer)
                    if endpoint::may_want_tls(&answer) && self.wants_tls(call, &base).await => {}
                Ok(answer) => {
                    guard(&self.bases).insert(registry.to_owned(), base);
                    return Ok(answer);
                }
                // Of another server, such as a token service, it says nothing about the scheme.
                Err(Error::Transport { source, .. }) if endpoint::is_of(&source, &base) => {
                    failure = Some(source);
                }
                Err(error) => return Err(error),
            }
        }
        let invalid = || Error::Invalid {
            what: format!("the registry {registry}"),
            reason: "it answers by neither http nor https".to_owned(),
        };
        let base = last.ok_or_else(invalid)?;
        match self.call_at(call, base.clone()).await {
            Ok(answer) if endpoint::wants_tls(&answer) && failure.is_none() => Err(invalid()),
            Ok(answer) => {
                guard(&self.bases).insert(registry.to_owned(), base);
                Ok(answer)
            }
            Err(Error::Transport { registry, source }) => {
                Err(Error::Transport { registry, source: endpoint::likelier(failure, source) })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the server at `base` says that it expects TLS, now that it may have a body to say so.
    async fn wants_tls(&self, call: &Call<'_>, base: &Url) -> bool {
        let call = Call { method: Method::GET, ..call.clone() };
        let answer = self.call_at(&call, base.clone()).await;
        answer.is_ok_and(|answer| endpoint::wants_tls(&answer))
    }

    /// In a box, as what it waits for is: it is waited for in many places, each of which would be a
    /// copy of it.
    fn call_at<'a>(
        &'a self,
        call: &'a Call<'_>,
        base: Url,
    ) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(self.answer_of(call, base))
    }

    async fn answer_of(&self, call: &Call<'_>, base: Url) -> Result<Answer, Error> {
        let url = match &call.target {
            Target::Path(path) => {
                let path = format!("v2/{}/{path}", call.repository.path());
                base.join(&path)
                    .map_err(|error| Error::Reference { text: path, reason: error.to_string() })?
            }
            Target::Url(url) => url.clone(),
        };
        let at_home = url.origin() == base.origin();
        let mut authorization = match at_home {
            true => self.auth.foresee(&base, call.repository, call.access).await,
            false => None,
        };
        // Enough for a header that has become stale and for a scope that was too small.
        let mut left = MOST_CHALLENGES;
        loop {
            let mut answer = self.exchange(call, &base, url.clone(), authorization.clone()).await?;
            let asked = answer.status == StatusCode::UNAUTHORIZED
                && answer.url.origin() == base.origin()
                && at_home;
            self.note_credentials(&mut answer, call.repository, authorization.is_some());
            if !asked || left == 0 {
                return Ok(answer);
            }
            left -= 1;
            let Some(challenge) = challenge::pick(&answer.headers) else {
                return Ok(answer);
            };
            let sent = authorization.as_ref();
            let next = self.auth.meet(&base, call.repository, call.access, &challenge, sent);
            let Some(next) = next.await? else {
                self.note_credentials(&mut answer, call.repository, authorization.is_some());
                return Ok(answer);
            };
            authorization = Some(next);
        }
    }

    /// The URL that `link` in `answer` names, where the registry wants us to go on. Credentials go
    /// there only if it is the registry itself.
    pub(crate) fn follow(
        &self,
        repository: &Repository,
        answer: &Answer,
        link: &str,
    ) -> Result<Url, Error> {
        let base = self.base(repository)?;
        // A proxy that ends TLS in front of a registry that does not know of it.
        let upgraded = answer.url.join(link).ok().and_then(|mut url| {
            let ours =
                url.host() == base.host() && (url.port().is_none() || url.port() == base.port());
            let stepped_down = base.scheme() == "https" && url.scheme() == "http";
            (ours && stepped_down).then_some(())?;
            url.set_scheme("https").ok()?;
            url.set_port(base.port()).ok()?;
            Some(url.to_string())
        });
        let link = upgraded.as_deref().unwrap_or(link);
        let internal = self.options.allow_internal_addresses;
        address::resolve(link, &answer.url, &base, internal).map_err(|reason| Error::Invalid {
            what: format!("the address in the answer to {}", answer.request()),
            reason,
        })
    }

    /// Notes in `answer` where credentials came from, or were looked for.
    fn note_credentials(&self, answer: &mut Answer, repository: &Repository, sent: bool) {
        let Some(lookup) = self.auth.looked_up(repository) else {
            return;
        };
        answer.looked_for = Some(lookup.origin.clone());
        if sent && lookup.credentials.is_some() {
            answer.credentials = Some(lookup.origin.clone());
        }
    }

    /// Where the registry is, or will be tried first.
    fn base(&self, repository: &Repository) -> Result<Url, Error> {
        if let Some(base) = guard(&self.bases).get(repository.registry()) {
            return Ok(base.clone());
        }
        let bases = endpoint::candidates(repository, self.options.allow_http)?;
        bases.into_iter().next().ok_or_else(|| Error::Invalid {
            what: repository.to_string(),
            reason: "it has no registry".to_owned(),
        })
    }

    /// Sends and follows redirects. Reading may lead to another host, without credentials; writing
    /// may not.
    async fn exchange(
        &self,
        call: &Call<'_>,
        base: &Url,
        mut url: Url,
        mut authorization: Option<HeaderValue>,
    ) -> Result<Answer, Error> {
        let reading = matches!(call.method, Method::GET | Method::HEAD);
        let mut asked_elsewhere = false;
        for _ in 0..=MOST_REDIRECTS {
            let elsewhere = url.origin() != base.origin();
            let headers = match elsewhere {
                true => &call.headers,
                false => &self.with_configured(&call.headers).await,
            };
            let mut answer = self.send(call, headers, &url, authorization.as_ref()).await?;
            if elsewhere {
                answer.other_host = url.host_str().map(str::to_owned);
            }
            if elsewhere && reading && answer.status == StatusCode::UNAUTHORIZED && !asked_elsewhere
            {
                asked_elsewhere = true;
                if let Some(challenge) = challenge::pick(&answer.headers)
                    && let Some(token) =
                        self.auth.anonymous(&url, &challenge, call.repository).await?
                {
                    authorization = Some(token);
                    continue;
                }
            }
            let Some(to) = self.redirect(&answer, base, reading)? else {
                return Ok(answer);
            };
            if to.origin() != url.origin() {
                authorization = None;
            }
            url = to;
        }
        Err(Error::Invalid {
            what: format!("the answer to {} {}", call.method, shown(&url)),
            reason: format!("more than {MOST_REDIRECTS} redirects in a row"),
        })
    }

    /// Where to go on; `None` if the answer is to be taken as it is.
    fn redirect(&self, answer: &Answer, base: &Url, reading: bool) -> Result<Option<Url>, Error> {
        let followed = match answer.status {
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => reading,
            _ => false,
        };
        let Some(location) = answer.header(&LOCATION).filter(|_| followed) else {
            return Ok(None);
        };
        let internal = self.options.allow_internal_addresses;
        let to = address::resolve(location, &answer.url, base, internal).map_err(|reason| {
            Error::Invalid { what: format!("the redirect of {}", answer.request()), reason }
        })?;
        Ok((reading || to.origin() == answer.url.origin()).then_some(to))
    }

    /// Sends once, and again where the server asks for it and it does no harm.
    async fn send(
        &self,
        call: &Call<'_>,
        headers: &HeaderMap,
        url: &Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, Error> {
        let send = || self.send_once(call, headers, url, authorization);
        match call.policy.is_idempotent(&call.method) {
            true => self.patience.send(&self.host, send).await,
            false => send().await,
        }
    }

    /// `headers`, and those that Docker's file adds to every request to a registry.
    async fn with_configured(&self, headers: &HeaderMap) -> HeaderMap {
        let read = || keychain::headers(&*self.host.env);
        let mut all = self.headers.get_or_init(read).await.clone();
        for (name, value) in headers {
            all.insert(name, value.clone());
        }
        all
    }

    async fn send_once(
        &self,
        call: &Call<'_>,
        headers: &HeaderMap,
        url: &Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, Error> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(url.as_str())
            .body(call.body.clone())
            .map_err(|error| Error::Invalid { what: shown(url), reason: error.to_string() })?;
        request.headers_mut().extend(headers.clone());
        if let Some(authorization) = authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        // A registry on this machine is not behind a proxy.
        let proxy = call.policy.proxy && !call.repository.is_loopback();
        // `endpoint` says which schemes are tried.
        let policy = call
            .policy
            .clone()
            .with_redirects(Redirects::Never)
            .with_proxy(proxy)
            .with_plain_http(self.options.allow_http)
            .with_retry_answers(false);
        tracing::debug!(method = %call.method, url = shown(url), "registry request");
        let sent = bodies::send(&*self.host.http, request, &call.bodies, &policy);
        let (response, parts) = sent.await.map_err(|source| match source {
            TransportError::TooLarge { cap, .. } => Error::Invalid {
                what: format!("the answer to {} {}", call.method, shown(url)),
                reason: format!("it is larger than the limit of {cap} bytes"),
            },
            source => {
                Error::Transport { registry: url.host_str().unwrap_or_default().to_owned(), source }
            }
        })?;
        let (head, body) = response.into_parts();
        if let Some(warning) = head.headers.get("warning").and_then(|value| value.to_str().ok()) {
            tracing::warn!(
                registry = call.repository.registry(),
                warning = host::escape_remote(warning),
                "the registry warns"
            );
        }
        Ok(Answer {
            method: call.method.clone(),
            url: url.clone(),
            status: head.status,
            headers: head.headers,
            body,
            parts,
            other_host: None,
            credentials: None,
            looked_for: None,
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.options).finish_non_exhaustive()
    }
}

const MOST_CHALLENGES: u32 = 2;
const MOST_REDIRECTS: u32 = 5;
