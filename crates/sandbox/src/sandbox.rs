//! All services together.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use host::{Answer, CallPolicy, Clock, Transport, TransportError};
use http::Request;
use serde_json::{Map, Value, json};
use spiffe_workload_api::TrustDomain;

use crate::ca::Authority;
use crate::certificate::unix_seconds;
use crate::ct::CtLog;
use crate::fulcio::{CiProvider, Fulcio, IssuerKind, TrustedIssuer};
use crate::github::Github;
use crate::issuer::{Issuer, random};
use crate::key::ServiceKey;
use crate::oidc::Oidc;
use crate::page::{Observed, Page};
use crate::platforms::claims;
use crate::platforms::kubernetes::{ApiServer, ClusterTls};
use crate::platforms::misbehaviour::Misbehaviour;
use crate::platforms::{Platforms, UNTRUSTED_ISSUERS};
use crate::registry::{BLOB_CAP, Registry};
use crate::rekor_v1::RekorV1;
use crate::rekor_v2::RekorV2;
use crate::server::Served;
use crate::service::Service;
use crate::spiffe::SpiffeAgent;
use crate::state::State;
use crate::trust::{Endpoints, RekorVersion, TrustFiles};
use crate::tsa::Tsa;
use crate::tuf::{Tuf, TufKey, TufKeys};
use crate::urls::{SERVICES, Urls};
use crate::{Config, Error, Fault, Faults};

/// The names of the issuers that Fulcio believes. Each is at `$SANDBOX_OIDC/NAME`.
pub const ISSUERS: [&str; 13] = [
    "email",
    "dex",
    "github",
    "gitlab",
    "buildkite",
    "circleci",
    "codefresh",
    "buddy",
    "kubernetes",
    "uri",
    "username",
    "chainguard",
    "spiffe",
];

/// The first port that a sandbox without a network pretends to have.
const PRETENDED_PORT: u16 = 5550;

/// A whole Sigstore, as one value.
///
/// It is a [`Transport`]: a client that is given it instead of the network reaches every service
/// at the URLs of [`Sandbox::endpoints`]. Only the Workload API needs a socket, and so
/// [`Sandbox::start`].
pub struct Sandbox {
    urls: Urls,
    served: [Served; SERVICES],
    oidc: Arc<Oidc>,
    fulcio: Arc<Fulcio>,
    github: Arc<Github>,
    agent: Arc<SpiffeAgent>,
    platforms: Arc<Platforms>,
    cluster: Arc<ApiServer>,
    cluster_authority: String,
    trust: TrustFiles,
    tuf: Arc<Tuf>,
    clock: Arc<dyn Clock>,
}

impl Sandbox {
    /// A sandbox that keeps everything in memory and listens nowhere. The directory, the address
    /// and the socket of `config` are not looked at.
    ///
    /// # Errors
    /// The system has no randomness, or the configuration contradicts itself.
    pub fn in_process(config: &Config) -> Result<Self, Error> {
        let first = if config.port == 0 { PRETENDED_PORT } else { config.port };
        let urls = Urls::new(|number| {
            let number = u16::try_from(number).unwrap_or_default();
            SocketAddr::from((Ipv4Addr::LOCALHOST, first.saturating_add(number)))
        });
        let config = Config { keep_images: false, ..config.clone() };
        Self::new(&config, urls, &State::in_memory())
    }

    pub(crate) fn new(config: &Config, urls: Urls, state: &State) -> Result<Self, Error> {
        let clock = &config.clock;
        let faults: &Faults = &config.faults.iter().copied().collect();
        let now = created(state, clock.now())?;
        let trust_domain = match config.registrations.first() {
            Some(first) => first.spiffe_id.trust_domain(),
            None => TrustDomain::parse("example.org").map_err(Error::make("a trust domain"))?,
        };

        let mut oidc = Oidc::new(&urls.oidc, Arc::clone(clock)).with_login(config.login, faults);
        let mut trusted = Vec::new();
        let mut add = |name: &str| {
            let issuer = TrustedIssuer::new(urls.issuer(name), issuer_kind(name, &trust_domain));
            trusted.push(match config.audiences.get(name) {
                Some(audience) => issuer.with_audience(audience),
                None => issuer,
            });
            oidc.add(name, faults, state)
        };
        let github_issuer = add("github")?;
        let spiffe_issuer = add("spiffe")?;
        for name in ISSUERS.into_iter().filter(|name| !["github", "spiffe"].contains(name)) {
            add(name)?;
        }
        let (accepted, others): (Vec<_>, Vec<_>) =
            UNTRUSTED_ISSUERS.iter().partition(|name| config.audiences.contains_key(**name));
        for name in accepted {
            add(name)?;
        }
        for name in others {
            oidc.add(name, faults, state)?;
        }
        let workload = config.registrations.first().map(|it| it.spiffe_id.to_string());
        for name in ISSUERS.into_iter().chain(UNTRUSTED_ISSUERS) {
            let workload = workload.as_deref().unwrap_or_default();
            oidc.set_claims(name, claims::default(name, &config.github_job, workload));
        }
        let oidc = Arc::new(oidc);
        let job = config.github_job.clone();
        let github = Github::new(github_issuer, job, faults, Arc::clone(clock), state)?;
        let agent = SpiffeAgent::new(
            trust_domain,
            config.registrations.clone(),
            spiffe_issuer,
            faults,
            Arc::clone(clock),
            state,
        )?;

        let secret = state.secret("platform-request-token", || {
            random::<20>().map(|bytes| base16ct::lower::encode_string(&bytes))
        })?;
        let misbehaviour = Misbehaviour::new(faults);
        let platforms = Platforms::new(Arc::clone(&oidc), secret, misbehaviour, Arc::clone(clock));
        let kubernetes_issuer = oidc.issuer("kubernetes").map(Arc::clone).ok_or_else(|| {
            Error::Config { reason: "there is no issuer for the cluster".to_owned() }
        })?;
        let misbehaviour = Misbehaviour::new(faults);
        let cluster = ApiServer::new(kubernetes_issuer, misbehaviour, Arc::clone(clock));
        let tls = ClusterTls::new(now, config.listen, state)?;

        let authority = state.secret("fulcio.pem", || Authority::generate(now)?.to_pem())?;
        let authority = Authority::from_pem(&authority)?;
        let ct = state.secret("ct.pem", || Ok(CtLog::generate()?.to_pem()))?;
        let ct = Arc::new(CtLog::from_pem(&ct)?);
        let keys: Arc<Oidc> = Arc::clone(&oidc);
        let fulcio =
            Fulcio::new(authority, ct, trusted, keys, Arc::clone(clock)).with_faults(faults);

        let key = state.secret("rekor-v1.pem", || Ok(RekorV1::generate_key()?.to_pem()))?;
        let rekor_v1 = RekorV1::new(ServiceKey::from_pem(&key)?, Arc::clone(clock));
        let key = state.secret("rekor-v2.pem", || Ok(RekorV2::generate_key()?.to_pem()))?;
        let rekor_v2 = RekorV2::new(ServiceKey::from_pem(&key)?, Arc::clone(clock))?
            .with_checkpoint_interval(config.checkpoint_interval);
        let tsa = state.secret("tsa.pem", || Tsa::generate_pem(now))?;
        let tsa = Tsa::from_pem(&tsa, Arc::clone(clock))?;

        let registry = if config.keep_images {
            Registry::in_directory(&config.directory.join("registry"), config.referrers)?
        } else {
            Registry::in_memory(config.referrers)
        };
        let endpoints = urls.endpoints.clone();
        let trust = TrustFiles::new(endpoints, &fulcio, &rekor_v1, &rekor_v2, &tsa, now)?;
        let trust = trust.with_faults(faults);
        let key = |name: &str| -> Result<TufKey, Error> {
            let pem = state.secret(name, || Ok(Tuf::generate_key()?.to_pem()))?;
            ServiceKey::from_pem(&pem).map(TufKey::new)
        };
        let keys =
            TufKeys { root: vec![key("tuf-root.pem")?], threshold: 1, online: key("tuf.pem")? };
        let documents = [
            ("trusted_root.json", trust.trusted_root()),
            ("signing_config.v0.2.json", trust.signing_config(RekorVersion::V1)),
            ("signing_config_rekor_v2.v0.2.json", trust.signing_config(RekorVersion::V2)),
        ];
        let tuf = Arc::new(Tuf::of_documents(keys, &documents, (now, clock.now()), faults)?);
        let github = Arc::new(github);
        let registry = Arc::new(registry.with_faults(faults));
        let (fulcio, rekor_v1, rekor_v2) =
            (Arc::new(fulcio), Arc::new(rekor_v1), Arc::new(rekor_v2));
        let observed = Observed {
            services: urls.named(),
            fulcio: Arc::clone(&fulcio),
            rekor_v1: Arc::clone(&rekor_v1),
            rekor_v2: Arc::clone(&rekor_v2),
            registry: Arc::clone(&registry),
            faults: faults.clone(),
        };
        let page = Page::new(observed, Arc::clone(&oidc) as Arc<dyn Service>);
        let mut registry = Served::plain(registry);
        registry.body_cap = BLOB_CAP;
        let (platforms, cluster) = (Arc::new(platforms), Arc::new(cluster));
        let mut api_server = Served::plain(Arc::clone(&cluster) as Arc<dyn Service>);
        api_server.tls = Some(tls.config);
        Ok(Self {
            served: [
                Served::plain(Arc::new(page)),
                Served::plain(Arc::clone(&github) as Arc<dyn Service>),
                Served::failing(
                    Arc::clone(&fulcio) as Arc<dyn Service>,
                    faults,
                    Fault::FulcioError,
                ),
                Served::log(rekor_v1, faults),
                Served::log(rekor_v2, faults),
                Served::failing(Arc::new(tsa), faults, Fault::TsaError),
                registry,
                Served::plain(Arc::clone(&platforms) as Arc<dyn Service>),
                api_server,
                Served::plain(Arc::clone(&tuf) as Arc<dyn Service>),
            ]
            .map(|served| served.with_clock(clock)),
            platforms,
            cluster,
            cluster_authority: tls.authority,
            urls,
            oidc,
            fulcio,
            github,
            agent: Arc::new(agent),
            trust,
            tuf,
            clock: Arc::clone(clock),
        })
    }

    /// Where Fulcio, the logs, the timestamp authority and the issuer for e-mail identities are.
    pub fn endpoints(&self) -> &Endpoints {
        &self.urls.endpoints
    }

    /// What all issuers' URLs begin with: `BASE/github` is the one of GitHub jobs.
    pub fn oidc(&self) -> &str {
        &self.urls.oidc
    }

    /// The registry as an image reference names it.
    pub fn registry(&self) -> &str {
        &self.urls.registry
    }

    /// The token endpoint of the GitHub job.
    pub fn github(&self) -> &Github {
        &self.github
    }

    /// The documents for clients.
    pub fn trust(&self) -> &TrustFiles {
        &self.trust
    }

    /// The TUF repository of those documents.
    pub fn tuf(&self) -> &Arc<Tuf> {
        &self.tuf
    }

    /// Where it is.
    pub fn tuf_url(&self) -> &str {
        &self.urls.tuf
    }

    /// An issuer by its name; [`ISSUERS`] has them all.
    pub fn issuer(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.oidc.issuer(name)
    }

    /// A token of the issuer `name` for the audience `sigstore`, with these claims beside the
    /// registered ones.
    ///
    /// # Errors
    /// There is no such issuer.
    pub fn token(&self, name: &str, claims: &Map<String, Value>) -> Result<String, Error> {
        let issuer = self.issuer(name).ok_or_else(|| {
            let known = ISSUERS.join(", ");
            Error::Config { reason: format!("there is no issuer {name:?}, only {known}") }
        })?;
        issuer.mint(&json!("sigstore"), claims, self.clock.now())
    }

    /// A token with a verified e-mail address.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn email_token(&self, email: &str) -> Result<String, Error> {
        let claims = [
            ("sub".to_owned(), json!("112233445566778899001")),
            ("email".to_owned(), json!(email)),
            ("email_verified".to_owned(), json!(true)),
        ];
        self.token("email", &claims.into_iter().collect())
    }

    /// The subject that Fulcio certifies for the holder of a token with these claims, if it does.
    pub(crate) fn certified(&self, issuer: &str, claims: &Map<String, Value>) -> Option<String> {
        self.fulcio.subject(issuer, claims)
    }

    pub(crate) fn agent(&self) -> &Arc<SpiffeAgent> {
        &self.agent
    }

    pub(crate) fn platforms(&self) -> &Arc<Platforms> {
        &self.platforms
    }

    pub(crate) fn platforms_url(&self) -> &str {
        &self.urls.platforms
    }

    /// The API server of the cluster that pods are in.
    pub(crate) fn cluster(&self) -> &ApiServer {
        &self.cluster
    }

    pub(crate) fn cluster_address(&self) -> SocketAddr {
        self.urls.cluster
    }

    pub(crate) fn cluster_authority(&self) -> &str {
        &self.cluster_authority
    }

    pub(crate) fn github_url(&self) -> &str {
        &self.urls.github
    }

    pub(crate) fn issuer_url(&self, name: &str) -> String {
        self.urls.issuer(name)
    }

    /// In the order of the ports.
    pub(crate) fn served(&self) -> &[Served; SERVICES] {
        &self.served
    }
}

impl Transport for Sandbox {
    fn send(&self, request: Request<Bytes>, _: &CallPolicy) -> Answer<'_, Bytes> {
        let port = request.uri().port_u16();
        let number = self.urls.ports.iter().position(|known| Some(*known) == port);
        let answer = match number.and_then(|number| self.served.get(number)) {
            Some(served) => Ok(served.service.handle(request)),
            None => Err(TransportError::Connect {
                url: request.uri().authority().map(ToString::to_string).unwrap_or_default(),
                source: Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)),
            }),
        };
        Box::pin(std::future::ready(answer))
    }
}

fn issuer_kind(name: &str, trust_domain: &TrustDomain) -> IssuerKind {
    match name {
        "buddy" => IssuerKind::Ci(CiProvider::BUDDY),
        "buildkite" => IssuerKind::Ci(CiProvider::BUILDKITE),
        "chainguard" => IssuerKind::Chainguard,
        "circleci" => IssuerKind::Ci(CiProvider::CIRCLECI),
        "codefresh" => IssuerKind::Ci(CiProvider::CODEFRESH),
        "dex" => {
            let claim = "$.federated_claims.connector_id".to_owned();
            IssuerKind::Email { issuer_claim: Some(claim) }
        }
        "github" => IssuerKind::Ci(CiProvider::GITHUB),
        "gitlab" => IssuerKind::Ci(CiProvider::GITLAB),
        "kubernetes" => IssuerKind::Kubernetes,
        "spiffe" => IssuerKind::Spiffe { trust_domain: trust_domain.to_string() },
        "uri" => IssuerKind::Uri { subject_domain: "http://localhost".to_owned() },
        "azure" | "semaphore" | "username" | "vercel" => {
            IssuerKind::Username { subject_domain: "localhost".to_owned() }
        }
        _ => IssuerKind::Email { issuer_claim: None },
    }
}

/// When the authorities of this directory were made. What was signed then must still be within
/// the times that today's trusted root states.
fn created(state: &State, now: SystemTime) -> Result<SystemTime, Error> {
    let seconds = state.secret("created", || Ok(unix_seconds(now).to_string()))?;
    let seconds: u64 =
        seconds.trim().parse().map_err(Error::make("the time of the first start"))?;
    Ok(UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use http::StatusCode;

    use super::*;

    fn send(
        sandbox: &Sandbox,
        request: Request<Bytes>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        match pin!(sandbox.send(request, &CallPolicy::new()))
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("a handler answers at once"),
        }
    }

    #[test]
    fn every_service_is_reached_without_a_network() {
        let sandbox = Sandbox::in_process(&Config::new("unused")).unwrap();
        let endpoints = sandbox.endpoints();
        let discovery = format!("{}/.well-known/openid-configuration", endpoints.oidc);
        let configuration = format!("{}/api/v2/configuration", endpoints.fulcio);
        let log = format!("{}/api/v1/log", endpoints.rekor_v1);
        let checkpoint = format!("{}/api/v2/checkpoint", endpoints.rekor_v2);
        let chain = format!("{}/api/v1/timestamp/certchain", endpoints.tsa);
        let registry = format!("http://{}/v2/", sandbox.registry());
        for url in [discovery, configuration, log, checkpoint, chain, registry] {
            let answer = send(&sandbox, Request::get(&url).body(Bytes::new()).unwrap()).unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{url}");
        }
        let elsewhere = Request::get("http://localhost:1/").body(Bytes::new()).unwrap();
        assert!(matches!(send(&sandbox, elsewhere), Err(TransportError::Connect { .. })));
    }

    #[test]
    fn an_unknown_issuer_is_answered_with_those_there_are() {
        let sandbox = Sandbox::in_process(&Config::new("unused")).unwrap();
        let error = sandbox.token("nobody", &Map::new()).unwrap_err().to_string();
        assert!(error.contains("github"), "{error}");
        assert_eq!(ISSUERS.iter().filter(|name| sandbox.issuer(name).is_some()).count(), 13);
    }
}
