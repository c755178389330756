//! All services together, on the ports of one machine.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use host::{BoxFuture, Clock};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use spiffe_workload_api::{SpiffeId, TrustDomain};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::Error;
use crate::ca::Authority;
use crate::certificate::unix_seconds;
use crate::ct::CtLog;
use crate::environment::Variables;
use crate::fault::Fault;
use crate::fulcio::{CiProvider, Fulcio, IssuerKind, TrustedIssuer};
use crate::github::{Github, GithubJob};
use crate::key::ServiceKey;
use crate::oidc::{Issuer, Oidc};
use crate::registry::Registry;
use crate::rekor_v1::RekorV1;
use crate::rekor_v2::RekorV2;
use crate::server::{self, Served};
use crate::service::{Service, json_answer};
use crate::spiffe::{Registration, SpiffeAgent};
use crate::state::State;
use crate::trust::{Endpoints, RekorVersion, TrustFiles};
use crate::tsa::Tsa;

/// The largest request to any service but the registry, in bytes. The services have narrower
/// limits of their own, with their own answers.
const BODY_CAP: usize = 8 << 20;

/// The largest blob that the registry takes in one request, in bytes.
const BLOB_CAP: usize = 1 << 30;

/// How long [`Fault::SlowLog`] takes: longer than an impatient client waits, within the time that
/// a real log may need.
const SLOW_LOG: Duration = Duration::from_secs(10);

/// What a sandbox is to be.
#[derive(Clone)]
pub struct Config {
    /// Where keys and the files for clients are kept. Made if it is not there.
    pub directory: PathBuf,
    /// The address to listen on. Everyone who reaches it is whoever they say they are.
    pub listen: IpAddr,
    /// The first of seven ports in a row, or 0 for any seven.
    pub port: u16,
    /// Whether the registry has the referrers API.
    pub referrers: bool,
    /// Whether the registry keeps its contents in the directory, too.
    pub keep_images: bool,
    /// Where the Workload API listens; `None` is `spiffe.sock` in the directory.
    pub spiffe_socket: Option<PathBuf>,
    /// Who the workloads of this machine are, all of one trust domain.
    pub registrations: Vec<Registration>,
    /// The job whose tokens the GitHub-shaped endpoint hands out.
    pub github_job: GithubJob,
    /// The interval of Rekor v2's checkpoints; zero makes one for each entry.
    pub checkpoint_interval: Duration,
    /// How to misbehave.
    pub faults: BTreeSet<Fault>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Config {
    /// A sandbox on loopback, on any ports, with one SPIFFE identity
    /// (`spiffe://example.org/ns/ci/sa/builder`) and one GitHub job, that keeps its keys in
    /// `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let builder = SpiffeId::parse("spiffe://example.org/ns/ci/sa/builder").ok();
        let registration = |spiffe_id| Registration { spiffe_id, hint: String::new() };
        Self {
            directory: directory.into(),
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            referrers: true,
            keep_images: false,
            spiffe_socket: None,
            registrations: builder.into_iter().map(registration).collect(),
            github_job: GithubJob::default(),
            checkpoint_interval: Duration::ZERO,
            faults: BTreeSet::new(),
            clock: Arc::new(WallClock),
        }
    }
}

/// A whole Sigstore.
pub struct Sandbox;

impl Sandbox {
    /// Starts every service of `config` and writes the files for clients. Needs a tokio runtime
    /// with its timer and I/O drivers; the services run in tasks of it.
    ///
    /// # Errors
    /// The directory cannot be used, a port or the socket is taken, or the configuration
    /// contradicts itself.
    pub async fn start(config: Config) -> Result<Running, Error> {
        let state = State::in_directory(&config.directory)?;
        let ports = Ports::open(&config).await?;
        let services = Services::new(&config, &ports.urls()?, &state)?;
        let socket = config.spiffe_socket.clone();
        let socket = socket.unwrap_or_else(|| config.directory.join("spiffe.sock"));
        let socket = std::path::absolute(&socket).map_err(crate::state::file_error(&socket))?;
        Running::new(config, state, ports, services, socket).await
    }
}

/// A sandbox that runs until it is dropped or stopped.
pub struct Running {
    services: Services,
    state: State,
    urls: Urls,
    socket: PathBuf,
    directory: PathBuf,
    clock: Arc<dyn Clock>,
    /// Dropping it ends every task.
    tasks: JoinSet<()>,
}

impl Running {
    async fn new(
        config: Config,
        state: State,
        ports: Ports,
        services: Services,
        socket: PathBuf,
    ) -> Result<Self, Error> {
        let urls = ports.urls()?;
        let agent = listen_on_socket(&socket).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(crate::spiffe::serve(agent, Arc::clone(&services.agent)));
        for (listener, served) in ports.0.into_iter().zip(services.served(&config.faults)) {
            tasks.spawn(server::serve(listener, served));
        }
        let directory = std::path::absolute(&config.directory)
            .map_err(crate::state::file_error(&config.directory))?;
        let clock = config.clock;
        let running = Self { services, state, urls, socket, directory, clock, tasks };
        running.publish()?;
        Ok(running)
    }

    fn publish(&self) -> Result<(), Error> {
        let trust = &self.services.trust;
        for (name, document) in [
            ("trusted_root.json", trust.trusted_root()),
            ("signing_config.json", trust.signing_config(RekorVersion::V1)),
            ("signing_config.v2.json", trust.signing_config(RekorVersion::V2)),
            ("client_trust_config.json", trust.client_trust_config(RekorVersion::V1)),
            ("client_trust_config.v2.json", trust.client_trust_config(RekorVersion::V2)),
        ] {
            self.state.publish(name, &format!("{document:#}\n"))?;
        }
        let github = self.trust_variables().and(self.github_variables());
        let spiffe = self.trust_variables().and(self.spiffe_variables());
        self.state.publish("env", &github.to_shell())?;
        self.state.publish("env.spiffe", &spiffe.to_shell())?;
        Ok(())
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file that says whom to trust.
    pub fn trusted_root(&self) -> PathBuf {
        self.directory.join("trusted_root.json")
    }

    /// The file that says which services to sign with.
    pub fn signing_config(&self, rekor: RekorVersion) -> PathBuf {
        self.directory.join(match rekor {
            RekorVersion::V1 => "signing_config.json",
            RekorVersion::V2 => "signing_config.v2.json",
        })
    }

    /// The file that says both, for sigstore-python.
    pub fn client_trust_config(&self, rekor: RekorVersion) -> PathBuf {
        self.directory.join(match rekor {
            RekorVersion::V1 => "client_trust_config.json",
            RekorVersion::V2 => "client_trust_config.v2.json",
        })
    }

    /// Where Fulcio, the logs, the timestamp authority and the issuer for e-mail identities are.
    pub fn endpoints(&self) -> &Endpoints {
        &self.urls.endpoints
    }

    /// The registry as an image reference names it: `127.0.0.1:5006` for example.
    pub fn registry(&self) -> &str {
        &self.urls.registry
    }

    /// The socket of the Workload API.
    pub fn spiffe_socket(&self) -> &Path {
        &self.socket
    }

    /// The identities of this machine's workloads.
    pub fn registrations(&self) -> &[Registration] {
        self.services.agent.registrations()
    }

    /// The identity that a certificate for the GitHub job names.
    pub fn github_identity(&self) -> String {
        self.services.github.job().identity()
    }

    /// The issuer that a certificate for the GitHub job names.
    pub fn github_issuer(&self) -> String {
        self.urls.issuer("github")
    }

    /// The issuer that a certificate for a SPIFFE workload names.
    pub fn spiffe_issuer(&self) -> String {
        self.urls.issuer("spiffe")
    }

    /// The environment in which clients trust this sandbox and sign with Rekor v1. An identity is
    /// not part of it.
    pub fn trust_env(&self) -> Vec<(String, String)> {
        self.trust_variables().into_pairs()
    }

    /// The environment of the GitHub job.
    pub fn github_env(&self) -> Vec<(String, String)> {
        self.github_variables().into_pairs()
    }

    /// The environment of a workload of this machine.
    pub fn spiffe_env(&self) -> Vec<(String, String)> {
        self.spiffe_variables().into_pairs()
    }

    /// An issuer by its name; [`ISSUERS`] has them all.
    pub fn issuer(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.services.oidc.issuer(name)
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

    /// A token of a person with a verified e-mail address.
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

    /// Ends every service. Dropping does the same, without waiting.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    fn trust_variables(&self) -> Variables {
        let path = |path: PathBuf| path.display().to_string();
        let v1 = path(self.signing_config(RekorVersion::V1));
        let v2 = path(self.signing_config(RekorVersion::V2));
        Variables::default()
            .set("COSIGN_TRUSTED_ROOT", path(self.trusted_root()))
            .set("COSIGN_SIGNING_CONFIG", v1)
            .set("SANDBOX_SIGNING_CONFIG_V2", v2)
            .set("SANDBOX_TRUST_CONFIG", path(self.client_trust_config(RekorVersion::V1)))
            .set("SANDBOX_TRUST_CONFIG_V2", path(self.client_trust_config(RekorVersion::V2)))
            .set("SANDBOX_REGISTRY", self.registry())
            .set("SANDBOX_OIDC", &self.urls.oidc)
    }

    fn github_variables(&self) -> Variables {
        let url = format!("{}{}", self.urls.github, Github::PATH);
        Variables::default()
            .unset("SPIFFE_ENDPOINT_SOCKET")
            .set("GITHUB_ACTIONS", "true")
            .set("ACTIONS_ID_TOKEN_REQUEST_URL", url)
            .set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", self.services.github.request_token())
            .set("SANDBOX_IDENTITY", self.github_identity())
            .set("SANDBOX_ISSUER", self.github_issuer())
    }

    fn spiffe_variables(&self) -> Variables {
        let identity = self.registrations().first().map(|first| first.spiffe_id.to_string());
        Variables::default()
            .unset("GITHUB_ACTIONS")
            .unset("ACTIONS_ID_TOKEN_REQUEST_URL")
            .unset("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
            .set("SPIFFE_ENDPOINT_SOCKET", format!("unix://{}", self.socket.display()))
            .set("SANDBOX_IDENTITY", identity.unwrap_or_default())
            .set("SANDBOX_ISSUER", self.spiffe_issuer())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A socket outlives its listener, and then looks to clients like an agent that crashed.
        drop(std::fs::remove_file(&self.socket));
    }
}

/// The names of the issuers that Fulcio believes. Each is at `SANDBOX_OIDC/NAME`.
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

fn issuer_kind(name: &str, trust_domain: &TrustDomain) -> IssuerKind {
    match name {
        "buddy" => IssuerKind::Ci(CiProvider::Buddy),
        "buildkite" => IssuerKind::Ci(CiProvider::Buildkite),
        "chainguard" => IssuerKind::Chainguard,
        "circleci" => IssuerKind::Ci(CiProvider::CircleCi),
        "codefresh" => IssuerKind::Ci(CiProvider::Codefresh),
        "dex" => {
            let claim = "$.federated_claims.connector_id".to_owned();
            IssuerKind::Email { issuer_claim: Some(claim) }
        }
        "github" => IssuerKind::Ci(CiProvider::GitHub),
        "gitlab" => IssuerKind::Ci(CiProvider::GitLab),
        "kubernetes" => IssuerKind::Kubernetes,
        "spiffe" => IssuerKind::Spiffe { trust_domain: trust_domain.to_string() },
        "uri" => IssuerKind::Uri { subject_domain: "http://localhost".to_owned() },
        "username" => IssuerKind::Username { subject_domain: "localhost".to_owned() },
        _ => IssuerKind::Email { issuer_claim: None },
    }
}

/// The listeners, in the order of the ports.
struct Ports(Vec<TcpListener>);

#[derive(Clone, Debug)]
struct Urls {
    endpoints: Endpoints,
    oidc: String,
    github: String,
    registry: String,
}

impl Ports {
    const COUNT: u16 = 7;

    async fn open(config: &Config) -> Result<Self, Error> {
        let mut listeners = Vec::new();
        for number in 0..Self::COUNT {
            let port = match config.port {
                0 => 0,
                first => first.checked_add(number).ok_or_else(|| Error::Config {
                    reason: format!("there are no seven ports from {first} on"),
                })?,
            };
            let address = SocketAddr::new(config.listen, port);
            let listener = TcpListener::bind(address).await;
            let listener = listener
                .map_err(|source| Error::Listen { address: address.to_string(), source })?;
            listeners.push(listener);
        }
        Ok(Self(listeners))
    }

    /// Services go by `localhost`, which is the origin of both logs. The registry goes by its
    /// address: clients know that loopback addresses speak plain http.
    fn urls(&self) -> Result<Urls, Error> {
        let mut addresses = Vec::new();
        for listener in &self.0 {
            let address = listener.local_addr();
            addresses.push(
                address.map_err(|source| Error::Listen { address: "a port".to_owned(), source })?,
            );
        }
        let address = |number: usize| addresses.get(number).copied();
        let url = |number: usize| {
            let port = address(number).map_or(0, |address| address.port());
            format!("http://localhost:{port}")
        };
        let oidc = url(0);
        let endpoints = Endpoints {
            oidc: format!("{oidc}/email"),
            fulcio: url(2),
            rekor_v1: url(3),
            rekor_v2: url(4),
            tsa: url(5),
        };
        let registry = match address(6) {
            Some(address) if !address.ip().is_unspecified() => address.to_string(),
            address => format!("localhost:{}", address.map_or(0, |address| address.port())),
        };
        Ok(Urls { endpoints, oidc, github: url(1), registry })
    }
}

impl Urls {
    fn issuer(&self, name: &str) -> String {
        format!("{}/{name}", self.oidc)
    }
}

struct Services {
    oidc: Arc<Oidc>,
    github: Arc<Github>,
    fulcio: Arc<Fulcio>,
    rekor_v1: Arc<RekorV1>,
    rekor_v2: Arc<RekorV2>,
    tsa: Arc<Tsa>,
    registry: Arc<Registry>,
    agent: Arc<SpiffeAgent>,
    trust: TrustFiles,
}

impl Services {
    fn new(config: &Config, urls: &Urls, state: &State) -> Result<Self, Error> {
        let (clock, faults) = (&config.clock, &config.faults);
        let now = created(state, clock.now())?;
        let trust_domain = match config.registrations.first() {
            Some(first) => first.spiffe_id.trust_domain(),
            None => TrustDomain::parse("example.org").map_err(Error::make("a trust domain"))?,
        };

        let mut oidc = Oidc::new(&urls.oidc, Arc::clone(clock));
        let mut trusted = Vec::new();
        for name in ISSUERS {
            oidc.add(name, faults, state)?;
            trusted.push(TrustedIssuer::new(urls.issuer(name), issuer_kind(name, &trust_domain)));
        }
        let oidc = Arc::new(oidc);
        let issuer = |name: &str| {
            let missing = || Error::make("an issuer")(format!("{name} is missing"));
            oidc.issuer(name).cloned().ok_or_else(missing)
        };
        let job = config.github_job.clone();
        let github = Github::new(issuer("github")?, job, faults, Arc::clone(clock), state)?;
        let registrations = config.registrations.clone();
        let agent = SpiffeAgent::new(
            trust_domain,
            registrations,
            issuer("spiffe")?,
            faults,
            Arc::clone(clock),
            state,
        )?;

        let authority = state.secret("fulcio.pem", || Authority::generate(now)?.to_pem())?;
        let authority = Authority::from_pem(&authority)?;
        let ct = state.secret("ct.pem", || Ok(CtLog::generate()?.to_pem()))?;
        let ct = Arc::new(CtLog::from_pem(&ct)?);
        let keys: Arc<Oidc> = Arc::clone(&oidc);
        let fulcio = Fulcio::new(authority, ct, trusted, keys, Arc::clone(clock));

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
        Ok(Self {
            oidc,
            github: Arc::new(github),
            fulcio: Arc::new(fulcio),
            rekor_v1: Arc::new(rekor_v1),
            rekor_v2: Arc::new(rekor_v2),
            tsa: Arc::new(tsa),
            registry: Arc::new(registry.with_faults(faults)),
            agent: Arc::new(agent),
            trust,
        })
    }

    /// In the order of the ports.
    fn served(&self, faults: &BTreeSet<Fault>) -> [Served; Ports::COUNT as usize] {
        let plain = |service: Arc<dyn Service>| Served {
            service,
            body_cap: BODY_CAP,
            pause: Duration::ZERO,
        };
        let failing = |service: Arc<dyn Service>, fault: Fault| match faults.contains(&fault) {
            true => plain(Arc::new(Failing(service))),
            false => plain(service),
        };
        let pause = if faults.contains(&Fault::SlowLog) { SLOW_LOG } else { Duration::ZERO };
        let log = |service| Served { pause, ..failing(service, Fault::RekorError) };
        [
            plain(Arc::clone(&self.oidc) as Arc<dyn Service>),
            plain(Arc::clone(&self.github) as Arc<dyn Service>),
            failing(Arc::clone(&self.fulcio) as Arc<dyn Service>, Fault::FulcioError),
            log(Arc::clone(&self.rekor_v1) as Arc<dyn Service>),
            log(Arc::clone(&self.rekor_v2) as Arc<dyn Service>),
            failing(Arc::clone(&self.tsa) as Arc<dyn Service>, Fault::TsaError),
            Served { body_cap: BLOB_CAP, ..plain(Arc::clone(&self.registry) as Arc<dyn Service>) },
        ]
    }
}

/// A service that cannot take anything new.
struct Failing(Arc<dyn Service>);

impl Service for Failing {
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        if request.method() != Method::POST {
            return self.0.handle(request);
        }
        let body = json!({ "code": 13, "message": "injected fault", "details": [] });
        json_answer(StatusCode::INTERNAL_SERVER_ERROR, &body)
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

/// Listens on the socket at `path`. One that a crash left behind is removed; one that answers is
/// somebody else's.
async fn listen_on_socket(path: &Path) -> Result<tokio::net::UnixListener, Error> {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

    let error = |source| Error::Listen { address: path.display().to_string(), source };
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    if is_socket && tokio::net::UnixStream::connect(path).await.is_err() {
        std::fs::remove_file(path).map_err(error)?;
    }
    let listener = tokio::net::UnixListener::bind(path).map_err(error)?;
    // As SPIRE's agent does: a workload may be any user.
    let everyone = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(path, everyone).map_err(error)?;
    Ok(listener)
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
