//! The sandbox on the ports of a machine.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use crate::environment::Variables;
use crate::github::Github;
use crate::issuer::Issuer;
use crate::platform::{Builder, PLATFORMS, Platform};
use crate::sandbox::Sandbox;
use crate::server::Served;
use crate::service::Service;
use crate::state::{State, file_error};
use crate::trust::{Endpoints, RekorVersion};
use crate::urls::{SERVICES, Urls};
use crate::{Config, Error, Registration, server, spiffe};

impl Sandbox {
    /// Starts every service of `config` and writes the files for clients. Needs a tokio runtime
    /// with its timer and I/O drivers; the services run in tasks of it.
    ///
    /// # Errors
    /// The directory cannot be used, a port or the socket is taken, or the configuration
    /// contradicts itself.
    pub async fn start(config: Config) -> Result<Running, Error> {
        let absolute = |path: &Path| std::path::absolute(path).map_err(file_error(path));
        let directory = absolute(&config.directory)?;
        let socket = match &config.spiffe_socket {
            Some(socket) => absolute(socket)?,
            None => directory.join("spiffe.sock"),
        };
        let state = State::in_directory(&directory)?;
        let (listeners, urls) = open_ports(&config).await?;
        let sandbox = Self::new(&config, urls, &state)?;
        let agent = listen_on_socket(&socket).await?;

        let mut tasks = JoinSet::new();
        tasks.spawn(spiffe::serve(agent, Arc::clone(sandbox.agent())));
        let fly_socket = directory.join("fly.sock");
        let fly = listen_on_socket(&fly_socket).await?;
        let machine = Served::plain(Arc::clone(sandbox.platforms()) as Arc<dyn Service>);
        tasks.spawn(server::serve_socket(fly, machine));
        for (listener, served) in listeners.into_iter().zip(sandbox.served()) {
            tasks.spawn(server::serve(listener, served.clone()));
        }
        let running = Running { sandbox, socket, fly_socket, directory, tasks };
        running.publish(&state)?;
        Ok(running)
    }
}

/// A sandbox that runs until it is dropped or stopped.
pub struct Running {
    sandbox: Sandbox,
    socket: PathBuf,
    fly_socket: PathBuf,
    directory: PathBuf,
    /// Dropping it ends every task.
    tasks: JoinSet<()>,
}

impl Running {
    /// The services, without the network.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The trusted root, as a file.
    pub fn trusted_root(&self) -> PathBuf {
        self.directory.join("trusted_root.json")
    }

    /// The TUF repository that serves the same.
    pub fn tuf_url(&self) -> &str {
        self.sandbox.tuf_url()
    }

    /// The file with the first root of that repository.
    pub fn tuf_root(&self) -> PathBuf {
        self.directory.join("tuf_root.json")
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
        self.sandbox.endpoints()
    }

    /// What all issuers' URLs begin with: `BASE/github` is the one of GitHub jobs.
    pub fn oidc(&self) -> &str {
        self.sandbox.oidc()
    }

    /// The registry as an image reference names it: `127.0.0.1:5006` for example.
    pub fn registry(&self) -> &str {
        self.sandbox.registry()
    }

    /// The socket of the Workload API.
    pub fn spiffe_socket(&self) -> &Path {
        &self.socket
    }

    /// The identities of this machine's workloads.
    pub fn registrations(&self) -> &[Registration] {
        self.sandbox.agent().registrations()
    }

    /// The identity that a certificate for the GitHub job names.
    pub fn github_identity(&self) -> String {
        self.sandbox.github().job().identity()
    }

    /// The issuer that a certificate for the GitHub job names.
    pub fn github_issuer(&self) -> String {
        self.sandbox.issuer_url("github")
    }

    /// The issuer that a certificate for a SPIFFE workload names.
    pub fn spiffe_issuer(&self) -> String {
        self.sandbox.issuer_url("spiffe")
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

    /// The place that a job of the platform `name` runs in; [`PLATFORMS`](crate::PLATFORMS) has
    /// them all. The tokens in it are made now.
    ///
    /// # Errors
    /// There is no such platform, or its files cannot be written.
    pub fn platform(&self, name: &str) -> Result<Platform, Error> {
        self.builder().build(name)
    }

    /// The variables of a job of the platform `name`; see [`Self::platform`].
    ///
    /// # Errors
    /// As [`Self::platform`].
    pub fn platform_env(&self, name: &str) -> Result<Vec<(String, String)>, Error> {
        self.platform(name).map(|platform| platform.env)
    }

    /// An issuer by its name; [`ISSUERS`](crate::ISSUERS) has them all.
    pub fn issuer(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.sandbox.issuer(name)
    }

    /// A token of the issuer `name`; see [`Sandbox::token`].
    ///
    /// # Errors
    /// There is no such issuer.
    pub fn token(&self, name: &str, claims: &Map<String, Value>) -> Result<String, Error> {
        self.sandbox.token(name, claims)
    }

    /// A token for an e-mail address; see [`Sandbox::email_token`].
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn email_token(&self, email: &str) -> Result<String, Error> {
        self.sandbox.email_token(email)
    }

    /// Ends every service. Dropping does the same, without waiting.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    fn publish(&self, state: &State) -> Result<(), Error> {
        let trust = self.sandbox.trust();
        for (name, document) in [
            ("trusted_root.json", trust.trusted_root()),
            ("signing_config.json", trust.signing_config(RekorVersion::V1)),
            ("signing_config.v2.json", trust.signing_config(RekorVersion::V2)),
            ("client_trust_config.json", trust.client_trust_config(RekorVersion::V1)),
            ("client_trust_config.v2.json", trust.client_trust_config(RekorVersion::V2)),
        ] {
            state.publish(name, &format!("{document:#}\n"))?;
        }
        let root = self.sandbox.tuf().first_root();
        state.publish("tuf_root.json", &String::from_utf8_lossy(&root))?;
        // What asks for its token is good for as long as we run; a token in a file is for a day.
        let builder = Builder { life: DAY, ..self.builder() };
        let platforms: Vec<Platform> =
            PLATFORMS.iter().map(|name| builder.build(name)).collect::<Result<_, _>>()?;
        for platform in &platforms {
            let file = self.trust_variables().and(self.place(platform, &platforms)).to_shell();
            if platform.name == "github" {
                state.publish("env", &file)?;
            }
            state.publish(&format!("env.{}", platform.name), &file)?;
        }
        Ok(())
    }

    /// The variables of one platform, without those of the others.
    fn place(&self, platform: &Platform, all: &[Platform]) -> Variables {
        let others = all.iter().flat_map(|platform| &platform.env).map(|(name, _)| name.as_str());
        let others: BTreeSet<&str> = others.filter(|name| *name != SEARCH_PATH).collect();
        let mut place = Variables::default().unset("SANDBOX_IDENTITY");
        for (wanted, kept) in &platform.files {
            let (wanted, kept) = (wanted.display(), kept.display());
            place = place.comment(&format!("a client looks for this at {wanted}: {kept}"));
        }
        place = others.into_iter().fold(place, Variables::unset);
        for (name, value) in &platform.env {
            place = match name == SEARCH_PATH {
                true => place.programs(value.split_once(':').map_or(value, |(first, _)| first)),
                false => place.set(name, value),
            };
        }
        place = place.set("SANDBOX_ISSUER", &platform.issuer);
        match self.sandbox.certified(&platform.issuer, &platform.claims) {
            Some(identity) => place.set("SANDBOX_IDENTITY", identity),
            None => place,
        }
    }

    fn builder(&self) -> Builder<'_> {
        Builder {
            sandbox: &self.sandbox,
            platforms: self.sandbox.platforms(),
            directory: self.directory.join("platforms"),
            fly_socket: &self.fly_socket,
            spiffe_uri: format!("unix://{}", uri_path(&self.socket)),
            life: HOUR,
        }
    }

    fn trust_variables(&self) -> Variables {
        let path = |path: PathBuf| path.display().to_string();
        Variables::default()
            .set("COSIGN_TRUSTED_ROOT", path(self.trusted_root()))
            .set("COSIGN_SIGNING_CONFIG", path(self.signing_config(RekorVersion::V1)))
            .set("SANDBOX_SIGNING_CONFIG_V2", path(self.signing_config(RekorVersion::V2)))
            .set("SANDBOX_TRUST_CONFIG", path(self.client_trust_config(RekorVersion::V1)))
            .set("SANDBOX_TRUST_CONFIG_V2", path(self.client_trust_config(RekorVersion::V2)))
            .set("SANDBOX_TUF", self.tuf_url())
            .set("SANDBOX_TUF_ROOT", path(self.tuf_root()))
            .set("SANDBOX_REGISTRY", self.registry())
            .set("SANDBOX_OIDC", self.oidc())
    }

    fn github_variables(&self) -> Variables {
        let url = format!("{}{}", self.sandbox.github_url(), Github::PATH);
        Variables::default()
            .unset("SPIFFE_ENDPOINT_SOCKET")
            .set("GITHUB_ACTIONS", "true")
            .set("ACTIONS_ID_TOKEN_REQUEST_URL", url)
            .set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", self.sandbox.github().request_token())
            .set("SANDBOX_IDENTITY", self.github_identity())
            .set("SANDBOX_ISSUER", self.github_issuer())
    }

    fn spiffe_variables(&self) -> Variables {
        let identity = self.registrations().first().map(|first| first.spiffe_id.to_string());
        Variables::default()
            .unset("GITHUB_ACTIONS")
            .unset("ACTIONS_ID_TOKEN_REQUEST_URL")
            .unset("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
            .set("SPIFFE_ENDPOINT_SOCKET", format!("unix://{}", uri_path(&self.socket)))
            .set("SANDBOX_IDENTITY", identity.unwrap_or_default())
            .set("SANDBOX_ISSUER", self.spiffe_issuer())
    }
}

/// How long the tokens live that stand in variables, in seconds.
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

const SEARCH_PATH: &str = "PATH";

impl Drop for Running {
    fn drop(&mut self) {
        // A socket outlives its listener, and then looks to clients like an agent that crashed.
        for socket in [&self.socket, &self.fly_socket] {
            drop(std::fs::remove_file(socket));
        }
    }
}

async fn open_ports(config: &Config) -> Result<(Vec<TcpListener>, Urls), Error> {
    let mut listeners = Vec::new();
    let mut addresses = Vec::new();
    for number in 0..SERVICES {
        let port = match config.port {
            0 => Some(0),
            first => u16::try_from(number).ok().and_then(|number| first.checked_add(number)),
        };
        let port = port.ok_or_else(|| Error::Config {
            reason: format!("there are no {SERVICES} ports from {} on", config.port),
        })?;
        let address = SocketAddr::new(config.listen, port);
        let error = |source| Error::Listen { address: address.to_string(), source };
        let listener = TcpListener::bind(address).await.map_err(error)?;
        addresses.push(listener.local_addr().map_err(error)?);
        listeners.push(listener);
    }
    Ok((listeners, Urls::new(|number| addresses.get(number).copied().unwrap_or(UNKNOWN))))
}

/// Stands for a listener that was not opened, which does not occur.
const UNKNOWN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// Listens on the socket at `path`. One that a crash left behind is removed; one that answers is
/// another program's.
async fn listen_on_socket(path: &Path) -> Result<UnixListener, Error> {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

    let error = |source| Error::Listen { address: path.display().to_string(), source };
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    if is_socket && tokio::net::UnixStream::connect(path).await.is_err() {
        std::fs::remove_file(path).map_err(error)?;
    }
    let listener = UnixListener::bind(path).map_err(error)?;
    // As SPIRE's agent does: a workload may be any user.
    let everyone = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(path, everyone).map_err(error)?;
    Ok(listener)
}

/// A path in the form that a URI takes (RFC 3986 section 3.3).
fn uri_path(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;

    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
    let bytes = path.as_os_str().as_bytes().iter();
    bytes
        .map(|&byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use spiffe_workload_api::Endpoint;

    use super::*;

    #[test]
    fn every_path_survives_its_uri() {
        let path = Path::new("/tmp/a b%c?d#é/agent.sock");
        let endpoint = Endpoint::parse(&format!("unix://{}", uri_path(path))).unwrap();
        assert_eq!(endpoint, Endpoint::unix(path).unwrap());
    }
}
