//! A sandbox, a registry, and the programs of other Sigstore clients.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use host::Transport as _;
use http_client::{HttpClient, Settings};
use sandbox::RekorVersion;
use serde_json::{Value, json};

use crate::paths;
use crate::peers::{Peers, peer};
use crate::program::Program;
use crate::setup::Setup;

/// How long a client may take. cosign would wait five minutes for a login in a browser.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which registry, and so how signatures are attached to an image.
#[derive(Clone, Copy, PartialEq)]
pub enum RegistryKind {
    /// docker-registry, which has no referrers API.
    FallbackTag,
    /// The sandbox's.
    ReferrersApi,
}

/// The identity that signs.
#[derive(Clone, Copy)]
pub enum Signer {
    /// An e-mail address, with a token in a file.
    Email,
    /// A step of a GitHub job.
    Job,
    /// A SPIFFE workload.
    Workload,
}

/// A Sigstore library that a program of ours drives.
#[derive(Clone, Copy)]
pub enum Library {
    /// sigstore-python.
    Python,
    /// sigstore-rust.
    Rust,
}

/// The identity in a certificate.
pub struct Identity {
    /// The subject.
    pub name: String,
    /// The OIDC issuer.
    pub issuer: String,
}

/// A sandbox, a registry and the other clients.
pub struct Interop {
    // Dropped before the directory that it writes into.
    docker: Option<DockerRegistry>,
    /// The sandbox and the directory.
    pub setup: Setup,
    peers: Peers,
    log: RekorVersion,
}

impl Interop {
    /// # Panics
    /// A peer is missing.
    pub fn new(registry: RegistryKind, log: RekorVersion) -> Self {
        let peers = Peers::find();
        let setup = Setup::new();
        let docker = (registry == RegistryKind::FallbackTag)
            .then(|| DockerRegistry::start(&peers.docker_registry, setup.directory(), ""));
        Self { docker, setup, peers, log }
    }

    /// The registry's address.
    pub fn registry(&self) -> &str {
        self.docker.as_ref().map_or_else(|| self.setup.sandbox.registry(), |it| &it.address)
    }

    /// Another docker-registry with the same content, whose configuration ends with `settings`, below
    /// `http`.
    pub fn guarded_registry(&self, settings: &str) -> DockerRegistry {
        DockerRegistry::start(&self.peers.docker_registry, self.setup.directory(), settings)
    }

    /// Pushes an image to `repository` and gives its reference, by digest.
    pub fn image(&self, repository: &str) -> String {
        let image = self.setup.push(self.registry(), repository);
        format!("{}/{repository}@{}", self.registry(), image.digest())
    }

    /// A timestamp (RFC 3161) of the sandbox's authority over `data`.
    pub fn stamp(&self, data: &[u8]) -> Vec<u8> {
        // TimeStampReq: version 1, the imprint by SHA-256, no nonce, with the certificate.
        let head = b"\x30\x39\x02\x01\x01\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\
                     \x02\x01\x05\x00\x04\x20";
        let query = [head.as_slice(), &keys::sha256(data), b"\x01\x01\xff"].concat();
        let url = format!("{}/api/v1/timestamp", self.setup.sandbox.endpoints().tsa);
        let request = http::Request::post(url)
            .header(http::header::CONTENT_TYPE, "application/timestamp-query")
            .body(bytes::Bytes::from(query))
            .unwrap();
        let http = HttpClient::new(&Settings::new());
        let answer = self.setup.block_on(http.send(request, &host::CallPolicy::new())).unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.into_body().to_vec()
    }

    /// The path of `name` in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.setup.path(name)
    }

    /// Writes a file in the directory and gives its path.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        self.setup.write(name, content)
    }

    /// What the certificate of `signer` says.
    pub fn identity(&self, signer: Signer) -> Identity {
        let (name, issuer) = match signer {
            Signer::Email => {
                ("jane@example.org".to_owned(), self.setup.sandbox.endpoints().oidc.clone())
            }
            Signer::Job => {
                (self.setup.sandbox.github_identity(), self.setup.sandbox.github_issuer())
            }
            Signer::Workload => (self.setup.workload_id(), self.setup.sandbox.spiffe_issuer()),
        };
        Identity { name, issuer }
    }

    /// An identity token of [`Signer::Email`].
    pub fn email_token(&self) -> String {
        self.setup.sandbox.email_token(&self.identity(Signer::Email).name).unwrap()
    }

    /// Our program, trusting the sandbox, without an identity.
    pub fn ambisign(&self, command: &str) -> Program {
        self.program(&paths::ambisign())
            .args([command, "--trusted-root"])
            .arg(self.setup.sandbox.trusted_root())
    }

    /// Our program, for a command that trusts nobody.
    pub fn ambisign_plain(&self, command: &str) -> Program {
        self.program(&paths::ambisign()).arg(command)
    }

    /// cosign, for a command that trusts nobody.
    pub fn cosign_plain(&self, command: &str) -> Program {
        self.program(&self.peers.cosign).arg(command)
    }

    /// oras, without a word on how to reach registries.
    pub fn oras_plain(&self, command: &[&str]) -> Program {
        self.program(&self.peers.oras).args(command)
    }

    /// Our program about to sign with the ambient identity.
    pub fn ambisign_ambient(&self, command: &str, config: &Path) -> Program {
        let root = self.setup.sandbox.trusted_root().display().to_string();
        let program = self.program(&paths::ambisign()).arg(command);
        // Not a flag: some commands have no such flag.
        let program = program.env("AMBISIGN_TRUSTED_ROOT", &root);
        program.arg("--signing-config").arg(config)
    }

    /// Our program about to sign as `signer`.
    pub fn ambisign_as(&self, signer: Signer, command: &str) -> Program {
        self.ambisign_with(signer, command, &self.signing_config())
    }

    /// The same, with the services of another signing config.
    pub fn ambisign_with(&self, signer: Signer, command: &str, config: &Path) -> Program {
        let program = self.ambisign_ambient(command, config);
        let socket = format!("unix://{}", self.setup.sandbox.spiffe_socket().display());
        self.with_identity(program, signer, &socket)
    }

    /// cosign, trusting the sandbox, without an identity.
    pub fn cosign(&self, command: &str) -> Program {
        self.program(&self.peers.cosign)
            .args([command, "--trusted-root"])
            .arg(self.setup.sandbox.trusted_root())
    }

    /// cosign about to sign as `signer`.
    pub fn cosign_as(&self, signer: Signer, command: &str) -> Program {
        self.cosign_with(signer, command, &self.signing_config())
    }

    /// The same, with the services of another signing config.
    pub fn cosign_with(&self, signer: Signer, command: &str, config: &Path) -> Program {
        // It knows the socket by its bare path only.
        let socket = self.setup.sandbox.spiffe_socket().display().to_string();
        self.with_identity(self.cosign_ambient(command, config), signer, &socket)
    }

    /// cosign about to sign with the ambient identity.
    pub fn cosign_ambient(&self, command: &str, config: &Path) -> Program {
        let program = self.cosign(command).args(["--yes", "--signing-config"]);
        program.arg(config)
    }

    fn with_identity(&self, program: Program, signer: Signer, socket: &str) -> Program {
        match signer {
            Signer::Email => {
                let token = self.write("token.jwt", &self.email_token());
                program.arg("--identity-token").arg(token)
            }
            Signer::Job => {
                self.setup.sandbox.github_env().iter().fold(program, |program, (name, value)| {
                    if name.starts_with("SANDBOX_") { program } else { program.env(name, value) }
                })
            }
            Signer::Workload => program.env("SPIFFE_ENDPOINT_SOCKET", socket),
        }
    }

    /// skopeo with its own libraries, which are newer than this machine's.
    pub fn skopeo(&self) -> Program {
        let peers = paths::target().join("peers/usr");
        let libraries = peers.join("lib/x86_64-linux-gnu");
        let (skopeo, loader) = (peers.join("bin/skopeo"), libraries.join("ld-linux-x86-64.so.2"));
        let (skopeo, loader) = (peer(&skopeo), peer(&loader));
        self.program(loader).arg("--library-path").arg(libraries).arg(skopeo)
    }

    /// oras, speaking plain http.
    pub fn oras(&self, command: &[&str]) -> Program {
        self.program(&self.peers.oras).args(command).arg("--plain-http")
    }

    /// The referrers of `image` according to oras, of one artifact type when that is given.
    pub fn discover(&self, image: &str, artifact_type: Option<&str>) -> Vec<Value> {
        let mut oras = self.oras(&["discover"]).args(["--format", "json", image]);
        if let Some(artifact_type) = artifact_type {
            oras = oras.args(["--artifact-type", artifact_type]);
        }
        let found: Value = serde_json::from_str(&oras.run().succeeds().stdout).unwrap();
        found["referrers"].as_array().cloned().unwrap_or_default()
    }

    /// sigstore-go, trusting the sandbox, about to verify.
    pub fn sigstore_go_verification(&self) -> Program {
        let program = self.program(&self.peers.sigstore_go_verification);
        program.arg("-trustedrootJSONpath").arg(self.setup.sandbox.trusted_root())
    }

    /// sigstore-go about to sign, with a timestamp.
    pub fn sigstore_go_signing(&self) -> Program {
        self.sigstore_go_signing_with(&self.signing_config()).arg("-tsa")
    }

    /// The same without a timestamp, and with the services of another signing config.
    pub fn sigstore_go_signing_with(&self, config: &Path) -> Program {
        let program = self.program(&self.peers.sigstore_go_signing).arg("-rekor");
        let program = program.arg("-signing-config").arg(config);
        program.arg("-trusted-root").arg(self.setup.sandbox.trusted_root())
    }

    /// sigstore-python, trusting the sandbox.
    pub fn sigstore_python(&self) -> Program {
        self.sigstore_python_with(self.log)
    }

    /// The same, with another log.
    pub fn sigstore_python_with(&self, log: RekorVersion) -> Program {
        let program = self.program(&self.peers.sigstore_python);
        program.arg("--trust-config").arg(self.setup.sandbox.client_trust_config(log))
    }

    /// Asks a library about each pair of bundle and artifact; gives each refusal's reason, or an
    /// empty text where the bundle verifies.
    pub fn ask(
        &self,
        library: Library,
        signer: &Identity,
        cases: &[(PathBuf, PathBuf)],
    ) -> Vec<String> {
        let (program, root) = match library {
            Library::Python => {
                let script = paths::workspace().join("tests/interop/sigstore_python.py");
                let program = self.program(&self.peers.python).arg(script);
                (program, self.setup.sandbox.client_trust_config(self.log))
            }
            Library::Rust => {
                (self.program(&self.peers.sigstore_rust), self.setup.sandbox.trusted_root())
            }
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
    pub fn python(&self) -> Program {
        self.program(&self.peers.python)
    }

    /// node.
    pub fn node(&self) -> Program {
        self.program(&self.peers.node)
    }

    /// The modules of node that GitHub's own client is made of.
    pub fn modules(&self) -> &Path {
        &self.peers.modules
    }

    /// node with sigstore-js's client of registries.
    pub fn sigstore_js(&self) -> Program {
        let modules = sigstore_js_modules();
        peer(&modules.join("@sigstore/oci"));
        self.node().env("NODE_PATH", modules)
    }

    /// The signing config with the chosen log.
    pub fn signing_config(&self) -> PathBuf {
        self.setup.sandbox.signing_config(self.log)
    }

    /// A program with an empty home and a proxy that does not answer: a request that would leave
    /// this machine fails at once.
    fn program(&self, path: &Path) -> Program {
        let home = self.setup.directory();
        let mut program = Program::at(path, home).within(PATIENCE);
        for (name, below) in [
            ("DOCKER_CONFIG", "docker"),
            ("TUF_ROOT", "tuf"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
        ] {
            program = program.env(name, home.join(below));
        }
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            program = program.env(name, "http://127.0.0.1:9");
        }
        for name in ["NO_PROXY", "no_proxy"] {
            program = program.env(name, "localhost,127.0.0.1");
        }
        program
    }
}

impl Identity {
    /// Flags of cosign and of ours that accept only this identity.
    pub fn policy(&self) -> [&str; 4] {
        ["--certificate-identity", &self.name, "--certificate-oidc-issuer", &self.issuer]
    }

    /// The flags of sigstore-go.
    pub fn policy_of_go(&self) -> [&str; 4] {
        ["-expectedSAN", &self.name, "-expectedIssuer", &self.issuer]
    }

    /// The flags of sigstore-python.
    pub fn policy_of_python(&self) -> [&str; 4] {
        ["--cert-identity", &self.name, "--cert-oidc-issuer", &self.issuer]
    }

    /// Another identity of the same issuer.
    pub fn another(&self) -> Self {
        Self { name: format!("{}-not", self.name), issuer: self.issuer.clone() }
    }
}

fn sigstore_js_modules() -> PathBuf {
    paths::target().join("peers/sigstore-js/node_modules")
}

/// A docker-registry in a process of its own, ended when dropped.
pub struct DockerRegistry {
    child: Child,
    /// Its address.
    pub address: String,
}

impl DockerRegistry {
    fn start(program: &Path, directory: &Path, settings: &str) -> Self {
        let kind = if settings.is_empty() { "open" } else { "guarded" };
        let config = directory.join(format!("docker-registry-{kind}.yml"));
        let log = directory.join(format!("docker-registry-{kind}.log"));
        let storage = directory.join("docker-registry");
        let text = format!(
            "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: true\n\
             storage:\n  delete:\n    enabled: true\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n{settings}",
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
                said.split_once("listening on ").and_then(|(_, rest)| rest.split_once(['"', ',']));
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
