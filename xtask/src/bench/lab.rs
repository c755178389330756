//! What the programs are measured with: services, registries, and proxies in front of both.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sandbox::{RekorVersion, SampleImage};
use serde_json::json;

use super::proxy::{self, Log};
use crate::measure::{self, Cost};
use crate::stage::{Registry, Stage};
use crate::workspace;

/// How long a registry behind a proxy takes for each request, in addition.
pub(crate) const REGISTRY_DELAY: Duration = Duration::from_millis(20);

/// The same of Fulcio, of Rekor and of the timestamp authority.
pub(crate) const SERVICE_DELAY: Duration = Duration::from_millis(100);

/// How often the log of version 2 publishes a checkpoint; the answers of all entries wait for it.
pub(crate) const PUBLISHED_EVERY: Duration = Duration::from_secs(2);

/// Who signs.
const EMAIL: &str = "someone@example.org";

/// A program that is measured.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Program {
    Ambisign,
    Cosign,
    SigstoreGo,
    SigstorePython,
    Oras,
    Openssl,
    /// A process that does nothing.
    True,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ambisign => "ambisign",
            Self::Cosign => "cosign",
            Self::SigstoreGo => "sigstore-go",
            Self::SigstorePython => "sigstore-python",
            Self::Oras => "oras",
            Self::Openssl => "openssl",
            Self::True => "true",
        }
    }
}

/// How far away services and registry are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Distance {
    /// On this machine.
    Near,
    /// Behind the proxies.
    Far,
}

/// Which registry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// docker-registry, which has no referrers API.
    Tags,
    /// The sandbox's, which has it.
    Referrers,
}

/// Everything that runs while something is measured.
pub(crate) struct Lab {
    pub(crate) stage: Stage,
    pub(crate) log: Log,
    /// When what is measured must have ended, and the seconds it was given.
    until: Cell<Option<(Instant, u64)>>,
    ambisign: PathBuf,
    /// The addresses of the registries behind their proxies, by their own.
    far: BTreeMap<String, String>,
    far_config: PathBuf,
}

impl Lab {
    /// Starts everything. `ambisign` is the release program.
    pub(crate) fn open(ambisign: PathBuf) -> Result<Self> {
        let stage = Stage::set_with(Registry::Docker, |config| {
            config.checkpoint_interval = PUBLISHED_EVERY;
        })?;
        let log = Log::default();
        let front = |server: &str, delay| -> Result<String> {
            let address = proxy::start(stage.runtime(), server, delay, &log)?;
            Ok(address.to_string())
        };
        let mut far = BTreeMap::new();
        for registry in [&stage.registry, stage.running.registry()] {
            far.insert(registry.to_owned(), front(registry, REGISTRY_DELAY)?);
        }
        let config = stage.running.signing_config(RekorVersion::V1);
        let mut text = std::fs::read_to_string(config)?;
        let endpoints = stage.running.endpoints();
        for url in [&endpoints.fulcio, &endpoints.rekor_v1, &endpoints.tsa] {
            let server = url.strip_prefix("http://").context("a service without TLS")?;
            let port = front(server, SERVICE_DELAY)?;
            let port = port.rsplit(':').next().unwrap_or_default();
            text = text.replace(url.as_str(), &format!("http://localhost:{port}"));
        }
        let far_config = stage.home().join("far_signing_config.json");
        std::fs::write(&far_config, text)?;
        Ok(Self { stage, log, until: Cell::default(), ambisign, far, far_config })
    }

    /// Gives what follows so many seconds.
    pub(crate) fn allow(&self, seconds: u64) {
        self.until.set(Some((Instant::now() + Duration::from_secs(seconds), seconds)));
    }

    /// Whether there was no signal, and there is time left.
    pub(crate) fn go_on(&self) -> Result<()> {
        self.stage.go_on()?;
        if let Some((until, seconds)) = self.until.get() {
            ensure!(Instant::now() < until, "not done within {seconds} s");
        }
        Ok(())
    }

    /// Runs a command and measures it.
    pub(crate) fn cost(&self, command: &[String], env: &[(String, String)]) -> Result<Cost> {
        self.go_on()?;
        measure::cost(command, &self.stage.env(env), self.stage.home(), &|| self.go_on())
    }

    /// The file of a program.
    pub(crate) fn path(&self, program: Program) -> PathBuf {
        let peers = workspace::target().join("peers");
        match program {
            Program::Ambisign => self.ambisign.clone(),
            Program::Cosign => peers.join("usr/bin/cosign"),
            Program::SigstoreGo => peers.join("usr/bin/sigstore-go-verification"),
            Program::SigstorePython => peers.join("python/bin/python3"),
            Program::Oras => peers.join("usr/bin/oras"),
            Program::Openssl => PathBuf::from("/usr/bin/openssl"),
            Program::True => PathBuf::from("/bin/true"),
        }
    }

    /// The program as the first word of a command.
    pub(crate) fn start(&self, program: Program) -> Vec<String> {
        vec![self.path(program).display().to_string()]
    }

    /// Runs a command that is not measured.
    pub(crate) fn quietly(&self, command: &[String]) -> Result<()> {
        self.cost(command, &[]).map(drop)
    }

    /// The beginning of a command that signs, with a new token.
    pub(crate) fn signing(
        &self,
        program: Program,
        command: &str,
        distance: Distance,
    ) -> Result<Vec<String>> {
        let config = match distance {
            Distance::Near => self.stage.running.signing_config(RekorVersion::V1),
            Distance::Far => self.far_config.clone(),
        };
        self.signing_with(program, command, &config)
    }

    /// The same with the log of version 2, near.
    pub(crate) fn signing_in_batches(&self, program: Program) -> Result<Vec<String>> {
        let config = self.stage.running.signing_config(RekorVersion::V2);
        self.signing_with(program, "sign", &config)
    }

    fn signing_with(&self, program: Program, command: &str, config: &Path) -> Result<Vec<String>> {
        let config = config.display().to_string();
        let token = self.token()?.display().to_string();
        let arguments = [command, "--yes", "--signing-config", &config, "--identity-token", &token];
        Ok(self.trusting(program, &arguments))
    }

    /// A file with a new identity token.
    pub(crate) fn token(&self) -> Result<PathBuf> {
        let token = self.stage.home().join("token");
        std::fs::write(&token, self.stage.running.email_token(EMAIL)?)?;
        Ok(token)
    }

    /// The beginning of a command that verifies.
    pub(crate) fn verifying(&self, program: Program, command: &str) -> Vec<String> {
        let issuer = self.issuer();
        let identity = ["--certificate-identity", EMAIL, "--certificate-oidc-issuer", &issuer];
        self.trusting(program, &[[command].as_slice(), &identity].concat())
    }

    /// The identity of the signer, and its issuer.
    pub(crate) fn identity(&self) -> (&'static str, String) {
        (EMAIL, self.issuer())
    }

    fn issuer(&self) -> String {
        self.stage.running.endpoints().oidc.clone()
    }

    /// The beginning of a command with the trusted root.
    pub(crate) fn trusting(&self, program: Program, arguments: &[&str]) -> Vec<String> {
        let root = self.stage.running.trusted_root().display().to_string();
        let mut command = self.start(program);
        command.extend(arguments.iter().map(|&word| word.to_owned()));
        command.extend(["--trusted-root".to_owned(), root]);
        command
    }

    /// The registry's own address.
    pub(crate) fn registry(&self, kind: Kind) -> &str {
        match kind {
            Kind::Tags => &self.stage.registry,
            Kind::Referrers => self.stage.running.registry(),
        }
    }

    /// The registry's address for a program that is measured.
    pub(crate) fn registry_at(&self, kind: Kind, distance: Distance) -> &str {
        let own = self.registry(kind);
        match distance {
            Distance::Near => own,
            Distance::Far => self.far.get(own).map_or(own, String::as_str),
        }
    }

    /// Pushes new images, `count` of them, and returns their names below the registry: repository
    /// and digest.
    pub(crate) fn push(&self, kind: Kind, group: &str, count: usize) -> Result<Vec<String>> {
        let repositories: Vec<_> =
            (0..count).map(|number| format!("bench/{group}/{number}")).collect();
        let images: Vec<_> = repositories.iter().map(|name| SampleImage::new(name)).collect();
        let names = repositories.iter().zip(&images);
        let names = names.map(|(name, image)| format!("{name}:v1@{}", image.digest())).collect();
        let pushed = repositories.into_iter().zip(images);
        let pushed = pushed.map(|(name, image)| (name, "v1".to_owned(), image));
        self.stage.push_all(self.registry(kind), pushed)?;
        Ok(names)
    }

    /// Pushes `count` different images to one repository, and returns their names below the
    /// registry: repository and tag. An index without manifests is an image as any other.
    pub(crate) fn push_to_one(
        &self,
        kind: Kind,
        repository: &str,
        count: usize,
    ) -> Result<Vec<String>> {
        let (media_type, _) = SampleImage::new("").index;
        let one = |number: usize| {
            let index = json!({
                "schemaVersion": 2,
                "mediaType": media_type,
                "manifests": [],
                "annotations": { "number": number.to_string() },
            });
            let index = (media_type, index.to_string().into());
            let image = SampleImage { blobs: vec![], manifests: vec![], index };
            (repository.to_owned(), format!("v{number}"), image)
        };
        self.stage.push_all(self.registry(kind), (0..count).map(one))?;
        Ok((0..count).map(|number| format!("{repository}:v{number}")).collect())
    }

    /// A file of `size` bytes, all zero, that takes no room on the disk. It stays the same, so that
    /// all programs find it in memory.
    pub(crate) fn file(&self, size: u64) -> Result<PathBuf> {
        let path = self.stage.home().join(format!("file-{size}"));
        if !path.exists() {
            std::fs::File::create(&path)?.set_len(size)?;
            std::io::copy(&mut std::fs::File::open(&path)?, &mut std::io::sink())?;
        }
        Ok(path)
    }

    /// A directory of `count` different files of 1 KiB, and their paths.
    pub(crate) fn files(&self, name: &str, count: usize) -> Result<Vec<PathBuf>> {
        let directory = self.stage.home().join(name);
        // Without the bundles of a run before.
        if directory.exists() {
            std::fs::remove_dir_all(&directory)?;
        }
        std::fs::create_dir(&directory)?;
        let one = |number| {
            let path = directory.join(format!("{number}"));
            let mut content = format!("{number}\n").into_bytes();
            content.resize(1024, b'.');
            std::fs::write(&path, content)?;
            Ok(path)
        };
        (0..count).map(one).collect()
    }

    /// The processor time that services, proxies and registries have taken until now.
    pub(crate) fn servers_time(&self) -> Duration {
        let processes = [Some(std::process::id()), self.stage.docker()];
        processes.into_iter().flatten().filter_map(measure::processor_time).sum()
    }

    /// The directory that everything is in.
    pub(crate) fn home(&self) -> &Path {
        self.stage.home()
    }
}
