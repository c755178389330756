//! A Sigstore on this machine, with an image in a registry, for the demonstration and the bench.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use host::Transport;
use http_client::{HttpClient, Settings};
use sandbox::{Config, Running, SampleImage, Sandbox};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use url::Url;

use crate::workspace;

/// Which registry holds the image.
pub(crate) enum Registry {
    /// The sandbox's own, with the referrers API.
    Sandbox,
    /// Debian's docker-registry of target/peers, without it.
    Docker,
    /// One that the person named, as `HOST[:PORT]`.
    At(String),
}

/// Everything runs until this is dropped.
pub(crate) struct Stage {
    /// The sandbox.
    pub(crate) running: Running,
    /// The registry's address, as an image reference begins.
    pub(crate) registry: String,
    interrupted: Arc<AtomicBool>,
    // Dropped in this order: who writes into the directory before the directory.
    docker: Option<Docker>,
    home: TempDir,
    http: Arc<dyn Transport>,
    runtime: Runtime,
}

impl Stage {
    /// Starts a sandbox and the registry.
    pub(crate) fn set(registry: Registry) -> Result<Self> {
        Self::set_with(registry, |_| ())
    }

    /// The same, with a sandbox whose configuration `change` has changed.
    pub(crate) fn set_with(registry: Registry, change: impl FnOnce(&mut Config)) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("ambisign-").tempdir()?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let interrupted = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&interrupted);
        // From now on a signal does not end this process: it ends what runs, then this cleans up.
        runtime.spawn(async move {
            if told_to_stop().await.is_ok() {
                heard.store(true, Ordering::Relaxed);
            }
        });
        let mut config = Config::new(home.path().join("sandbox"));
        change(&mut config);
        let running = runtime.block_on(Sandbox::start(config)).context("no sandbox")?;
        let (registry, docker) = match registry {
            Registry::Sandbox => (running.registry().to_owned(), None),
            Registry::Docker => {
                let docker = Docker::start(home.path())?;
                (docker.address.clone(), Some(docker))
            }
            Registry::At(address) => (address, None),
        };
        let nothing: [(&str, &str); 0] = [];
        let http = HttpClient::new(&Settings::from_env(&nothing));
        let http = Arc::new(http);
        Ok(Self { running, registry, interrupted, docker, home, http, runtime })
    }

    /// Runs `command` to its end, or to Ctrl-C.
    pub(crate) fn run(&self, command: &mut Command) -> Result<ExitStatus> {
        let mut child = command.spawn()?;
        loop {
            if let Some(status) = child.try_wait()? {
                self.go_on()?;
                return Ok(status);
            }
            if let Err(interrupted) = self.go_on() {
                child.kill()?;
                child.wait()?;
                return Err(interrupted);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it was not told to stop.
    pub(crate) fn go_on(&self) -> Result<()> {
        ensure!(!self.interrupted.load(Ordering::Relaxed), "interrupted");
        Ok(())
    }

    /// Pushes a small image for two platforms and returns its reference.
    pub(crate) fn push(&self, repository: &str, tag: &str, greeting: &str) -> Result<String> {
        self.push_to(&self.registry, repository, tag, &SampleImage::new(greeting))
    }

    /// Pushes `image` to `registry` and returns its reference.
    pub(crate) fn push_to(
        &self,
        registry: &str,
        repository: &str,
        tag: &str,
        image: &SampleImage,
    ) -> Result<String> {
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
        let loopback = ["127.0.0.1", "localhost", "[::1]"].contains(&host);
        let scheme = if loopback { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{registry}/"))
            .with_context(|| format!("{registry:?} is not the address of a registry"))?;
        let push = image.push(&self.http, &base, repository, tag);
        self.runtime.block_on(push).context("the image could not be pushed")?;
        Ok(format!("{registry}/{repository}:{tag}"))
    }

    /// Pushes images to `registry`, some at a time.
    pub(crate) fn push_all(
        &self,
        registry: &str,
        images: impl IntoIterator<Item = (String, String, SampleImage)>,
    ) -> Result<()> {
        let base = Url::parse(&format!("http://{registry}/"))?;
        self.runtime.block_on(async {
            let mut pushes = JoinSet::new();
            for (repository, tag, image) in images {
                self.go_on()?;
                let (http, base) = (Arc::clone(&self.http), base.clone());
                pushes.spawn(async move { image.push(&http, &base, &repository, &tag).await });
                if pushes.len() >= PUSHES
                    && let Some(pushed) = pushes.join_next().await
                {
                    pushed?.context("an image could not be pushed")?;
                }
            }
            while let Some(pushed) = pushes.join_next().await {
                pushed?.context("an image could not be pushed")?;
            }
            Ok(())
        })
    }

    /// The process of docker-registry, if it runs.
    pub(crate) fn docker(&self) -> Option<u32> {
        self.docker.as_ref().map(|docker| docker.child.id())
    }

    /// The runtime that the sandbox runs on.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// A command in an environment that holds nothing but what is named: what this process found
    /// around it (a CI job's identity, say) must not reach the program.
    pub(crate) fn command(&self, program: &Path, identity: &[(String, String)]) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.home.path()).stdin(Stdio::null());
        command.envs(self.env(identity));
        command
    }

    /// The environment of [`Stage::command`].
    pub(crate) fn env(&self, identity: &[(String, String)]) -> Vec<(String, String)> {
        let mut env = self.running.trust_env();
        env.extend(identity.iter().cloned());
        env.push(("HOME".to_owned(), self.home.path().display().to_string()));
        env.push(("PATH".to_owned(), "/usr/bin:/bin".to_owned()));
        env
    }

    /// A directory that ends with the stage.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Ends everything and says what could not be ended.
    pub(crate) fn strike(self) -> Result<()> {
        drop(self.docker);
        self.runtime.block_on(self.running.stop());
        self.home.close().context("the temporary directory could not be removed")
    }
}

/// How many images are pushed at a time.
const PUSHES: usize = 8;

/// Waits for Ctrl-C, and for what else tells a process to stop.
#[cfg(unix)]
async fn told_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
        _ = hang_up.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn told_to_stop() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// A docker-registry in a process of its own, ended when dropped.
struct Docker {
    child: Child,
    address: String,
}

impl Docker {
    fn start(home: &Path) -> Result<Self> {
        let program = workspace::target().join("peers/usr/bin/docker-registry");
        ensure!(
            program.is_file(),
            "docker-registry is not in target/peers: `cargo xtask peers` fetches it"
        );
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let storage = home.join("docker-registry");
        let config: PathBuf = home.join("docker-registry.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
             http:\n  addr: {address}\n",
            storage.display()
        );
        std::fs::write(&config, text)?;
        let child = Command::new(program)
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let docker = Self { child, address };
        docker.wait()?;
        Ok(docker)
    }

    fn wait(&self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if std::net::TcpStream::connect(&self.address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("docker-registry does not listen on {} after 20 s", self.address)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
