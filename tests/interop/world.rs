//! A sandbox, a registry, an empty home, and everybody's programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use host::Transport;
use http_client::{HttpClient, Settings};
use sandbox::{Config, RekorVersion, Running, SampleImage, Sandbox};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::peers::Peers;

/// How long a child may take. cosign would wait five minutes for a person to log in.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which registry, and so how signatures hang on to an image.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Store {
    /// docker-registry, which knows nothing of referrers.
    FallbackTag,
    /// The sandbox's.
    ReferrersApi,
}

/// Who signs.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    /// A person with an e-mail address and a token in a file.
    Person,
    /// A step of a GitHub job.
    Job,
    /// A SPIFFE workload.
    Workload,
}

/// A peer behind a driver of ours.
#[derive(Clone, Copy)]
pub(crate) enum Driver {
    /// sigstore-python.
    Python,
    /// sigstore-rust.
    Rust,
}

/// What a certificate says of somebody.
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) issuer: String,
}

/// A running Sigstore, a registry, and an empty directory to work in.
pub(crate) struct World {
    // Dropped in this order: the services before the runtime they run on.
    pub(crate) sandbox: Running,
    docker: Option<DockerRegistry>,
    runtime: Runtime,
    pub(crate) peers: Peers,
    log: RekorVersion,
    directory: TempDir,
}

impl World {
    /// Nothing where the peers are missing.
    pub(crate) fn new(store: Store, log: RekorVersion) -> Option<Self> {
        let peers = Peers::find()?;
        let directory = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let config = Config::new(directory.path().join("sandbox"));
        let sandbox = runtime.block_on(Sandbox::start(config)).unwrap();
        let docker = (store == Store::FallbackTag)
            .then(|| DockerRegistry::start(&peers.docker_registry, directory.path()));
        Some(Self { sandbox, docker, runtime, peers, log, directory })
    }

    fn registry(&self) -> &str {
        self.docker.as_ref().map_or_else(|| self.sandbox.registry(), |docker| &docker.address)
    }

    /// Pushes an image to `repository` and gives its reference, by digest.
    pub(crate) fn image(&self, repository: &str) -> String {
        let http: Arc<dyn Transport> = Arc::new(HttpClient::new(&Settings::new()));
        let base = format!("http://{}", self.registry()).parse().unwrap();
        let image = SampleImage::new(repository);
        self.runtime.block_on(image.push(&http, &base, repository, "v1")).unwrap();
        format!("{}/{repository}@{}", self.registry(), image.digest())
    }

    /// A timestamp (RFC 3161) of this world's authority over `data`.
    pub(crate) fn stamp(&self, data: &[u8]) -> Vec<u8> {
        // TimeStampReq: version 1, the imprint by SHA-256, no nonce, with the certificate.
        let head = b"\x30\x39\x02\x01\x01\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\
                     \x02\x01\x05\x00\x04\x20";
        let query = [head.as_slice(), &keys::sha256(data), b"\x01\x01\xff"].concat();
        let url = format!("{}/api/v1/timestamp", self.sandbox.endpoints().tsa);
        let request = http::Request::post(url)
            .header(http::header::CONTENT_TYPE, "application/timestamp-query")
            .body(bytes::Bytes::from(query))
            .unwrap();
        let http = HttpClient::new(&Settings::new());
        let answer = self.runtime.block_on(http.send(request)).unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.into_body().to_vec()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn identity(&self, who: Who) -> Identity {
        let (name, issuer) = match who {
            Who::Person => ("jane@example.org".to_owned(), self.sandbox.endpoints().oidc.clone()),
            Who::Job => (self.sandbox.github_identity(), self.sandbox.github_issuer()),
            Who::Workload => {
                let first = self.sandbox.registrations()[0].spiffe_id.to_string();
                (first, self.sandbox.spiffe_issuer())
            }
        };
        Identity { name, issuer }
    }

    pub(crate) fn email_token(&self) -> String {
        self.sandbox.email_token(&self.identity(Who::Person).name).unwrap()
    }

    /// Our program, trusting the sandbox, without an identity.
    pub(crate) fn ambisign(&self, command: &str) -> Program<'_> {
        self.program(Path::new(env!("CARGO_BIN_EXE_ambisign")))
            .args([command, "--trusted-root"])
            .arg(self.sandbox.trusted_root())
    }

    /// Our program about to use the identity that its place has.
    pub(crate) fn ambisign_in_place(&self, command: &str, config: &Path) -> Program<'_> {
        let root = self.sandbox.trusted_root().display().to_string();
        let program = self.program(Path::new(env!("CARGO_BIN_EXE_ambisign"))).arg(command);
        // Not a flag: not every command judges signatures.
        let program = program.env("AMBISIGN_TRUSTED_ROOT", &root);
        program.arg("--signing-config").arg(config)
    }

    /// Our program about to sign as `who`.
    pub(crate) fn ambisign_as(&self, who: Who, command: &str) -> Program<'_> {
        self.ambisign_with(who, command, &self.signing_config())
    }

    /// The same, with the services of another signing config.
    pub(crate) fn ambisign_with(&self, who: Who, command: &str, config: &Path) -> Program<'_> {
        let program = self.ambisign_in_place(command, config);
        let socket = format!("unix://{}", self.sandbox.spiffe_socket().display());
        self.with_identity(program, who, &socket)
    }

    /// cosign, trusting the sandbox, without an identity.
    pub(crate) fn cosign(&self, command: &str) -> Program<'_> {
        self.program(&self.peers.cosign)
            .args([command, "--trusted-root"])
            .arg(self.sandbox.trusted_root())
    }

    /// cosign about to sign as `who`.
    pub(crate) fn cosign_as(&self, who: Who, command: &str) -> Program<'_> {
        self.cosign_with(who, command, &self.signing_config())
    }

    /// The same, with the services of another signing config.
    pub(crate) fn cosign_with(&self, who: Who, command: &str, config: &Path) -> Program<'_> {
        // It knows the socket by its bare path only.
        let socket = self.sandbox.spiffe_socket().display().to_string();
        self.with_identity(self.cosign_in_place(command, config), who, &socket)
    }

    /// cosign about to use the identity that its place has.
    pub(crate) fn cosign_in_place(&self, command: &str, config: &Path) -> Program<'_> {
        let program = self.cosign(command).args(["--yes", "--signing-config"]);
        program.arg(config)
    }

    fn with_identity<'a>(&self, program: Program<'a>, who: Who, socket: &str) -> Program<'a> {
        match who {
            Who::Person => {
                let token = self.write("token.jwt", &self.email_token());
                program.arg("--identity-token").arg(token)
            }
            Who::Job => self.sandbox.github_env().iter().fold(program, |program, (name, value)| {
                if name.starts_with("SANDBOX_") { program } else { program.env(name, value) }
            }),
            Who::Workload => program.env("SPIFFE_ENDPOINT_SOCKET", socket),
        }
    }

    /// oras, speaking plain http.
    pub(crate) fn oras(&self, command: &[&str]) -> Program<'_> {
        self.program(&self.peers.oras).args(command).arg("--plain-http")
    }

    /// What hangs on to `image` according to oras, of one artifact type when that is given.
    pub(crate) fn discover(&self, image: &str, artifact_type: Option<&str>) -> Vec<Value> {
        let mut oras = self.oras(&["discover"]).args(["--format", "json", image]);
        if let Some(artifact_type) = artifact_type {
            oras = oras.args(["--artifact-type", artifact_type]);
        }
        let found: Value = serde_json::from_str(&oras.run().succeeds().stdout).unwrap();
        found["referrers"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn sigstore_go_verification(&self) -> Program<'_> {
        let program = self.program(&self.peers.sigstore_go_verification);
        program.arg("-trustedrootJSONpath").arg(self.sandbox.trusted_root())
    }

    pub(crate) fn sigstore_go_signing(&self) -> Program<'_> {
        self.sigstore_go_signing_with(&self.signing_config()).arg("-tsa")
    }

    /// The same without a timestamp, and with the services of another signing config.
    pub(crate) fn sigstore_go_signing_with(&self, config: &Path) -> Program<'_> {
        let program = self.program(&self.peers.sigstore_go_signing).arg("-rekor");
        let program = program.arg("-signing-config").arg(config);
        program.arg("-trusted-root").arg(self.sandbox.trusted_root())
    }

    pub(crate) fn sigstore_python(&self) -> Program<'_> {
        self.sigstore_python_with(self.log)
    }

    /// The same, with another log than the world's.
    pub(crate) fn sigstore_python_with(&self, log: RekorVersion) -> Program<'_> {
        let program = self.program(&self.peers.sigstore_python);
        program.arg("--trust-config").arg(self.sandbox.client_trust_config(log))
    }

    /// A peer that has a library and no program that would judge many bundles at once: asks it
    /// about each pair of bundle and artifact, and gives what it had against it, if anything.
    pub(crate) fn ask(
        &self,
        driver: Driver,
        signer: &Identity,
        cases: &[(PathBuf, PathBuf)],
    ) -> Vec<String> {
        let (program, root) = match driver {
            Driver::Python => {
                let script =
                    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/sigstore_python.py");
                let program = self.program(&self.peers.python).arg(script);
                (program, self.sandbox.client_trust_config(self.log))
            }
            Driver::Rust => (self.program(&self.peers.sigstore_rust), self.sandbox.trusted_root()),
        };
        let cases = cases
            .iter()
            .map(|(bundle, artifact)| json!({ "bundle": bundle, "artifact": artifact }));
        let request = json!({
            "root": root,
            "identity": signer.name,
            "issuer": signer.issuer,
            "cases": cases.collect::<Vec<_>>(),
        });
        let request = self.write("request.json", &request.to_string());
        let answer = program.reading(&request).run().succeeds().stdout;
        serde_json::from_str(&answer).unwrap()
    }

    /// Python, with the modules of the peers.
    pub(crate) fn python(&self) -> Program<'_> {
        self.program(&self.peers.python)
    }

    pub(crate) fn signing_config(&self) -> PathBuf {
        self.sandbox.signing_config(self.log)
    }

    fn program(&self, path: &Path) -> Program<'_> {
        let mut command = Command::new(path);
        let home = self.directory.path();
        command.env_clear().current_dir(home).stdin(Stdio::null());
        command.env("PATH", "/usr/bin:/bin");
        for (name, below) in [
            ("HOME", ""),
            ("DOCKER_CONFIG", "docker"),
            ("TUF_ROOT", "tuf"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
        ] {
            command.env(name, home.join(below));
        }
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env(name, "http://127.0.0.1:9");
        }
        for name in ["NO_PROXY", "no_proxy"] {
            command.env(name, "localhost,127.0.0.1");
        }
        Program { command, runtime: &self.runtime }
    }
}

impl Identity {
    /// The flags of cosign and of us that demand this identity.
    pub(crate) fn policy(&self) -> [&str; 4] {
        ["--certificate-identity", &self.name, "--certificate-oidc-issuer", &self.issuer]
    }

    /// The same of sigstore-go.
    pub(crate) fn policy_of_go(&self) -> [&str; 4] {
        ["-expectedSAN", &self.name, "-expectedIssuer", &self.issuer]
    }

    /// The same of sigstore-python.
    pub(crate) fn policy_of_python(&self) -> [&str; 4] {
        ["--cert-identity", &self.name, "--cert-oidc-issuer", &self.issuer]
    }

    /// Somebody else by the same issuer.
    pub(crate) fn stranger(&self) -> Self {
        Self { name: format!("{}-not", self.name), issuer: self.issuer.clone() }
    }
}

/// A program about to be run.
pub(crate) struct Program<'a> {
    command: Command,
    runtime: &'a Runtime,
}

impl Program<'_> {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Its stdin is this file.
    pub(crate) fn reading(mut self, file: &Path) -> Self {
        self.command.stdin(std::fs::File::open(file).unwrap());
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Outcome {
        let Self { command, runtime } = self;
        let shown = format!("{command:?}");
        runtime.block_on(output(command, &shown))
    }

    /// Runs all of them at the same time.
    pub(crate) fn run_all(programs: Vec<Self>) -> Vec<Outcome> {
        let Some(runtime) = programs.first().map(|program| program.runtime) else {
            return Vec::new();
        };
        let children: Vec<_> = programs
            .into_iter()
            .map(|program| {
                let shown = format!("{:?}", program.command);
                runtime.spawn(async move { output(program.command, &shown).await })
            })
            .collect();
        children.into_iter().map(|child| runtime.block_on(child).unwrap()).collect()
    }
}

async fn output(command: Command, shown: &str) -> Outcome {
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).output();
    match tokio::time::timeout(PATIENCE, output).await {
        Ok(output) => Outcome::new(&output.unwrap(), shown),
        Err(_) => panic!("after {PATIENCE:?} still running: {shown}"),
    }
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Outcome {
    #[expect(dead_code, reason = "a failing test shows it")]
    shown: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    fn new(output: &Output, shown: &str) -> Self {
        Self {
            shown: shown.to_owned(),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// It fails with this code, and for this reason.
    #[track_caller]
    pub(crate) fn refuses(self, code: i32, reason: &str) {
        assert_eq!(self.code, code, "{self:#?}");
        // sigstore-python breaks lines, wherever they are shown.
        let said = format!("{}{}", self.stdout, self.stderr);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(reason), "{reason:?} is missing in {self:#?}");
    }

    /// The signatures that a verification of one image found.
    #[track_caller]
    pub(crate) fn signatures(&self) -> Vec<Map<String, Value>> {
        let found: Result<Vec<Map<String, Value>>, _> = serde_json::from_str(&self.stdout);
        found.unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A docker-registry in a process of its own, ended when dropped.
struct DockerRegistry {
    child: Child,
    address: String,
}

impl DockerRegistry {
    fn start(program: &Path, directory: &Path) -> Self {
        let config = directory.join("docker-registry.yml");
        let log = directory.join("docker-registry.log");
        let storage = directory.join("docker-registry");
        let text = format!(
            "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: true\n\
             storage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
            storage.display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(program)
            .arg("serve")
            .arg(&config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut registry = Self { child, address: String::new() };
        let start = Instant::now();
        // It takes any port and writes which one it was.
        while registry.address.is_empty() {
            let said = std::fs::read_to_string(&log).unwrap();
            let address =
                said.split_once("listening on ").and_then(|(_, rest)| rest.split_once('"'));
            registry.address = address.map(|(address, _)| address.to_owned()).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "docker-registry does not listen: {said}");
            std::thread::sleep(Duration::from_millis(10));
        }
        registry
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
