//! A sandbox, an empty home, and the program.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use host::{Host, Transport};
use http_client::{HttpClient, Settings};
use oci_push::{Options, Registry};
use sandbox::{Config, Fault, Running, SampleImage, Sandbox};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A running sandbox and an empty directory to work in.
pub(crate) struct World {
    // Dropped in this order: the services before the runtime they run on.
    pub(crate) sandbox: Running,
    runtime: Runtime,
    directory: TempDir,
}

/// What the program did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let mut config = Config::new(directory.path().join("sandbox"));
        change(&mut config);
        let sandbox = runtime.block_on(Sandbox::start(config)).unwrap();
        Self { sandbox, runtime, directory }
    }

    pub(crate) fn with_fault(fault: Fault) -> Self {
        Self::with(|config| config.faults = BTreeSet::from([fault]))
    }

    /// Pushes an image to `repository` and gives its reference.
    pub(crate) fn image(&self, repository: &str) -> String {
        let http: Arc<dyn Transport> = Arc::new(HttpClient::new(&Settings::new()));
        let base = format!("http://{}", self.sandbox.registry()).parse().unwrap();
        let image = SampleImage::new(repository);
        self.runtime.block_on(image.push(&http, &base, repository, "v1")).unwrap();
        format!("{}/{repository}:v1", self.sandbox.registry())
    }

    /// Attaches `bundle` to `image`, whatever it is.
    pub(crate) fn attach(&self, image: &str, bundle: &[u8]) {
        let host = Host {
            http: Arc::new(HttpClient::new(&Settings::new())),
            env: Arc::new([("", "")]),
            clock: Arc::new(http_client::SystemClock),
            programs: Arc::new(host::NoPrograms),
        };
        let registry = Registry::new(host, Options::default()).unwrap();
        self.runtime.block_on(async {
            let image = registry.resolve(&image.parse().unwrap()).await.unwrap();
            registry.attach(&image, bundle, &BTreeMap::new()).await.unwrap();
        });
    }

    pub(crate) fn digest(&self, repository: &str) -> String {
        SampleImage::new(repository).digest()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The program as a stranger runs it: it trusts the sandbox and has no identity.
    pub(crate) fn stranger(&self) -> Program {
        Program::new(self.directory.path()).envs(self.sandbox.trust_env())
    }

    /// The program as a SPIFFE workload runs it.
    pub(crate) fn workload(&self) -> Program {
        let socket = format!("unix://{}", self.sandbox.spiffe_socket().display());
        self.stranger().env("SPIFFE_ENDPOINT_SOCKET", socket)
    }

    /// The program as a step of a GitHub job runs it.
    pub(crate) fn job(&self) -> Program {
        self.stranger().envs(self.sandbox.github_env())
    }

    pub(crate) fn workload_id(&self) -> String {
        self.sandbox.registrations()[0].spiffe_id.to_string()
    }

    /// Demands the workload's signature.
    pub(crate) fn by_workload(&self) -> [String; 4] {
        by(&self.workload_id(), &self.sandbox.spiffe_issuer())
    }

    /// Demands the GitHub job's signature.
    pub(crate) fn by_job(&self) -> [String; 4] {
        by(&self.sandbox.github_identity(), &self.sandbox.github_issuer())
    }
}

/// Policy flags.
pub(crate) fn by(identity: &str, issuer: &str) -> [String; 4] {
    ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer].map(str::to_owned)
}

/// The program, about to be run.
pub(crate) struct Program(Command);

impl Program {
    pub(crate) fn new(directory: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ambisign"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", directory);
        command.current_dir(directory).stdin(Stdio::null());
        Self(command)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn envs(mut self, pairs: Vec<(String, String)>) -> Self {
        self.0.envs(pairs);
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.0.args(args);
        self
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    /// stdin is a pipe that stays open.
    pub(crate) fn piped(mut self) -> Self {
        self.0.stdin(Stdio::piped());
        self
    }

    /// With so many bytes of address space.
    pub(crate) fn limited_to(self, bytes: u64) -> Self {
        let mut command = Command::new("sh");
        let script = format!("ulimit -v {}; exec \"$0\" \"$@\"", bytes / 1024);
        command.args(["-c", &script]).arg(self.0.get_program()).args(self.0.get_args());
        command.env_clear();
        command.envs(self.0.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.0.get_current_dir().unwrap()).stdin(Stdio::null());
        Self(command)
    }

    /// With a terminal of its own, which all it writes comes out of as its stdout, and no program
    /// that it could find.
    pub(crate) fn at_a_terminal(self) -> Self {
        let quoted = |text: &OsStr| format!("'{}'", text.to_str().unwrap());
        let words: Vec<_> =
            [self.0.get_program()].into_iter().chain(self.0.get_args()).map(quoted).collect();
        let line = format!("PATH=/nowhere exec {}", words.join(" "));
        let mut command = Command::new("/usr/bin/script");
        command.args(["-qefc", &line, "/dev/null"]).env_clear();
        command.envs(self.0.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.0.get_current_dir().unwrap()).stdin(Stdio::piped());
        Self(command)
    }

    pub(crate) fn spawn(mut self) -> Child {
        self.0.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn run(mut self) -> Outcome {
        Outcome::new(self.0.output().unwrap())
    }

    pub(crate) fn run_with_stdin(mut self, input: &[u8]) -> Outcome {
        self.0.stdin(Stdio::piped());
        let mut child = self.spawn();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
        Outcome::new(child.wait_with_output().unwrap())
    }
}

impl Outcome {
    pub(crate) fn new(output: std::process::Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// stderr says each of these.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is missing in {self:#?}");
        }
        self
    }

    /// Neither stream holds this.
    #[track_caller]
    pub(crate) fn hides(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text) && !self.stdout.contains(text), "{self:#?}");
        self
    }

    /// stdout, a line of JSON each.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
