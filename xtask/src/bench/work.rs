//! From a scenario to the command of one program in one round, with what it needs prepared.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use sandbox::SampleImage;
use serde_json::{Value, json};

use super::lab::{Distance, Kind, Lab, Program};
use super::scenarios::{Scenario, Work};

/// A command to measure.
#[derive(Default)]
pub(crate) struct Command {
    pub(crate) words: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
}

/// Prepares commands; what several rounds can use is prepared once.
pub(crate) struct Bench<'a> {
    pub(crate) lab: &'a Lab,
    ready: RefCell<BTreeMap<String, Vec<String>>>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(lab: &'a Lab) -> Self {
        Self { lab, ready: RefCell::default() }
    }

    /// The command of `program` in round `round`.
    pub(crate) fn command(
        &self,
        scenario: &Scenario,
        program: Program,
        round: usize,
    ) -> Result<Command> {
        let lab = self.lab;
        let mut command = Command::default();
        command.words = match (program, scenario.work) {
            (Program::True, _) => lab.start(program),
            (Program::Openssl, Work::SignFile(bytes) | Work::VerifyFile(bytes)) => {
                let file = lab.file(bytes)?.display().to_string();
                lab.start(program).and(&["dgst", "-sha256", &file])
            }
            (Program::Oras, Work::Copy) => {
                let [from, to] = self.copy_between(scenario, program, round)?;
                let plain = ["cp", "-r", "--from-plain-http", "--to-plain-http"];
                lab.start(program).and(&plain).and(&[&from, &to])
            }
            (Program::SigstoreGo, Work::VerifyFile(bytes)) => self.sigstore_go(bytes)?,
            (Program::SigstorePython, Work::VerifyFile(bytes)) => {
                let (identity, issuer) = lab.identity();
                let [file, bundle] = self.signed_file(bytes)?;
                self.sigstore_python()
                    .and(&["verify", "identity", "--offline", "--bundle", &bundle])
                    .and(&["--cert-identity", identity, "--cert-oidc-issuer", &issuer, &file])
            }
            (Program::SigstorePython, Work::SignFiles(_, count)) => {
                let token = std::fs::read_to_string(lab.token()?)?;
                let files = self.files(program, count)?;
                let sign = ["sign", "--overwrite", "--identity-token", &token];
                self.sigstore_python().and(&sign).with(files)
            }
            (Program::Ambisign | Program::Cosign, work) => {
                if let Work::Identity(place) = work {
                    command.env = lab.stage.running.platform_env(place)?;
                }
                self.words(scenario, program, round)?
            }
            (program, work) => bail!("{} does not do {}", program.name(), work.text()),
        };
        Ok(command)
    }

    /// For the two programs with the same commands.
    fn words(&self, scenario: &Scenario, program: Program, round: usize) -> Result<Vec<String>> {
        let (lab, distance) = (self.lab, scenario.distance);
        let group = format!("{}/{}/{round}", scenario.name, program.name());
        let at = |image: &String| {
            let image = image.split('@').next().unwrap_or_default();
            format!("{}/{image}", lab.registry_at(scenario.kind, distance))
        };
        Ok(match scenario.work {
            Work::Version => lab.start(program).and(&["version"]),
            Work::Identity(_) => lab.start(program).and(&["identity"]),
            Work::Sign(count) => {
                let images = lab.push(scenario.kind, &group, count)?;
                lab.signing(program, "sign", distance)?.with(images.iter().map(at))
            }
            work @ Work::SignInBatches(..) => {
                let images = lab.push(scenario.kind, &group, work.items(program))?;
                lab.signing_in_batches(program)?.with(images.iter().map(at))
            }
            Work::Recursive(count) => {
                let image = at(&self.push_index(scenario.kind, &group, count)?);
                lab.signing(program, "sign", distance)?.and(&["--recursive", &image])
            }
            Work::Attest(bytes) => {
                let image = lab.push(scenario.kind, &group, 1)?.iter().map(at).collect::<String>();
                let predicate = lab.home().join("predicate.json");
                let filler = json!({ "filler": "x".repeat(bytes) });
                std::fs::write(&predicate, filler.to_string())?;
                let predicate = predicate.display().to_string();
                let words = lab.signing(program, "attest", distance)?;
                words.and(&["--type", "custom", "--predicate", &predicate, &image])
            }
            Work::Verify(count) => {
                let images = self.signed(scenario, count, 1)?;
                lab.verifying(program, "verify").with(images.iter().map(at))
            }
            Work::VerifyDigest => {
                let images = self.signed(scenario, 1, 1)?;
                self.verify_digest(scenario, program, &images)
            }
            Work::Signatures(count) => {
                let images = self.signed(scenario, 1, count)?;
                self.verify_digest(scenario, program, &images)
            }
            Work::OneAmong(count) => {
                let images = self.among(scenario, count)?;
                self.verify_digest(scenario, program, &images)
            }
            Work::Policy(count) => {
                let images = self.signed(scenario, 1, 1)?;
                let policy = self.policy(count)?;
                let words = lab.trusting(program, &["verify", "--identity-policy", &policy]);
                words.with(self.by_digest(scenario, &images))
            }
            Work::SignIn(count) => {
                let images = lab.push_to_one(scenario.kind, &format!("bench/{group}"), count)?;
                lab.signing(program, "sign", distance)?.with(images.iter().map(at))
            }
            Work::Processes(count) => {
                let images = lab.push(scenario.kind, &group, count)?;
                let images: Vec<String> = images.iter().map(at).collect();
                let script = format!(
                    "for image in {}; do \"$@\" $image & started=\"$started $!\"; done\n\
                     for one in $started; do wait $one || failed=1; done; exit ${{failed:-0}}",
                    images.join(" ")
                );
                let shell = ["sh", "-c", &script, "sh"].map(str::to_owned);
                shell.into_iter().chain(lab.signing(program, "sign", distance)?).collect()
            }
            Work::Node { cached } => {
                let images = self.signed(scenario, 1, 1)?;
                self.node(scenario, program, &images, (!cached).then_some(round))?
            }
            Work::Copy => {
                let [from, to] = self.copy_between(scenario, program, round)?;
                lab.start(program).and(&["copy", &from, &to])
            }
            Work::SignFile(bytes) => {
                let file = lab.file(bytes)?.display().to_string();
                let bundle = lab.home().join("new.sigstore.json").display().to_string();
                let words = lab.signing(program, "sign-blob", distance)?;
                words.and(&["--bundle", &bundle, &file])
            }
            Work::VerifyFile(bytes) => {
                let [file, bundle] = self.signed_file(bytes)?;
                lab.verifying(program, "verify-blob").and(&["--bundle", &bundle, &file])
            }
            Work::SignFiles(..) => {
                let files = self.files(program, scenario.work.items(program))?;
                let words = lab.signing(program, "sign-blob", distance)?;
                match program {
                    Program::Ambisign => words.with(files),
                    _ => one_by_one(words, &files),
                }
            }
            Work::VerifyFiles(..) => {
                let files = self.signed_files(scenario.work.items(program))?;
                let words = lab.verifying(program, "verify-blob");
                match program {
                    Program::Ambisign => words.with(files),
                    _ => one_by_one(words, &files),
                }
            }
        })
    }

    /// What `make` gives, once for each `name`.
    fn once(
        &self,
        name: String,
        make: impl FnOnce() -> Result<Vec<String>>,
    ) -> Result<Vec<String>> {
        if let Some(ready) = self.ready.borrow().get(&name) {
            return Ok(ready.clone());
        }
        let made = make()?;
        self.ready.borrow_mut().insert(name, made.clone());
        Ok(made)
    }

    /// Images with signatures of ours.
    fn signed(&self, scenario: &Scenario, count: usize, signatures: usize) -> Result<Vec<String>> {
        let kind = scenario.kind;
        let group = format!("signed-{count}-{signatures}");
        self.once(format!("{group}-{kind:?}"), || {
            let images = self.lab.push(kind, &group, count)?;
            let registry = self.lab.registry(kind);
            for _ in 0..signatures {
                let words = self.lab.signing(Program::Ambisign, "sign", Distance::Near)?;
                let names = images.iter().map(|image| format!("{registry}/{image}"));
                self.lab.quietly(&words.with(names))?;
            }
            Ok(images)
        })
    }

    /// One signed image that many other manifests refer to.
    fn among(&self, scenario: &Scenario, count: usize) -> Result<Vec<String>> {
        let (lab, kind) = (self.lab, scenario.kind);
        self.once(format!("among-{count}-{kind:?}"), || {
            let repository = format!("bench/among-{count}");
            let mut image = SampleImage::new(&repository);
            let (media_type, index) = image.index.clone();
            let digest = image.digest();
            let config = image.blobs.last().cloned().context("a sample image has a config")?;
            image.manifests.extend((1..count).map(|number| {
                let manifest = json!({
                    "schemaVersion": 2,
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "artifactType": "application/vnd.example.report",
                    "config": {
                        "mediaType": "application/vnd.oci.image.config.v1+json",
                        "digest": format!("sha256:{}", keys::Digest::sha256(&config).to_hex()),
                        "size": config.len(),
                    },
                    "layers": [],
                    "subject": { "mediaType": media_type, "digest": digest, "size": index.len() },
                    "annotations": { "number": number.to_string() },
                });
                ("application/vnd.oci.image.manifest.v1+json", manifest.to_string().into())
            }));
            let registry = lab.registry(kind);
            let name = lab.stage.push_to(registry, &repository, "v1", &image)?;
            let words = lab.signing(Program::Ambisign, "sign", Distance::Near)?;
            lab.quietly(&words.and(&[&name]))?;
            Ok(vec![format!("{repository}:v1@{digest}")])
        })
    }

    fn verify_digest(
        &self,
        scenario: &Scenario,
        program: Program,
        images: &[String],
    ) -> Vec<String> {
        self.lab.verifying(program, "verify").with(self.by_digest(scenario, images))
    }

    /// Images as `registry/repository@digest`.
    fn by_digest<'i>(
        &self,
        scenario: &Scenario,
        images: &'i [String],
    ) -> impl Iterator<Item = String> + use<'i> {
        let registry = self.lab.registry_at(scenario.kind, scenario.distance).to_owned();
        images.iter().filter_map(move |image| {
            let (tagged, digest) = image.split_once('@')?;
            let (repository, _) = tagged.split_once(':')?;
            Some(format!("{registry}/{repository}@{digest}"))
        })
    }

    /// A policy file with `count` identities, the last of which signs here.
    fn policy(&self, count: usize) -> Result<String> {
        let (identity, issuer) = self.lab.identity();
        let mut text = "[[images]]\npatterns = [\"**\"]\n".to_owned();
        let others = (1..count).map(|number| format!("someone-{number}@example.org"));
        for identity in others.chain([identity.to_owned()]) {
            text.push_str(&format!(
                "\n[[images.identities]]\nidentity = \"{identity}\"\nissuer = \"{issuer}\"\n"
            ));
        }
        let path = self.lab.home().join(format!("policy-{count}.toml"));
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    /// The verdict of a node, with a cache of its own for `round`, or with one that knows the image.
    fn node(
        &self,
        scenario: &Scenario,
        program: Program,
        images: &[String],
        round: Option<usize>,
    ) -> Result<Vec<String>> {
        let image = self.by_digest(scenario, images).next().unwrap_or_default();
        let (_, digest) = image.split_once('@').context("an image with its digest")?;
        let config = self.lab.home().join("node");
        let cache = round.map_or_else(|| "known".to_owned(), |round| format!("new-{round}"));
        let cache = self.lab.home().join(format!("node-cache-{cache}"));
        std::fs::create_dir_all(&config)?;
        std::fs::copy(self.policy(1)?, config.join("policy.toml"))?;
        std::fs::copy(self.lab.stage.running.trusted_root(), config.join("trusted_root.json"))?;
        let (config, cache) = (config.display().to_string(), cache.display().to_string());
        let words = self.lab.start(program);
        let words = words.and(&["image-verifier", "--config", &config, "--cache", &cache]);
        let words = words.and(&["--name", &image, "--digest", digest]);
        if round.is_none() {
            self.once("node-known".to_owned(), || {
                self.lab.quietly(&words)?;
                Ok(Vec::new())
            })?;
        }
        Ok(words)
    }

    /// Files of 1 KiB with bundles of ours beside them.
    fn signed_files(&self, count: usize) -> Result<Vec<String>> {
        self.once(format!("signed-files-{count}"), || {
            let files = self.lab.files(&format!("signed-files-{count}"), count)?;
            let files: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
            let words = self.lab.signing(Program::Ambisign, "sign-blob", Distance::Near)?;
            self.lab.quietly(&words.with(files.clone()))?;
            Ok(files)
        })
    }

    fn copy_between(
        &self,
        scenario: &Scenario,
        program: Program,
        round: usize,
    ) -> Result<[String; 2]> {
        let registry = self.lab.registry_at(scenario.kind, scenario.distance);
        let images = self.signed(scenario, 1, 1)?;
        let image = images.first().and_then(|image| image.split('@').next()).unwrap_or_default();
        let to = format!("{registry}/bench/copied/{}-{round}:v1", program.name());
        Ok([format!("{registry}/{image}"), to])
    }

    /// An index of `count` images, as `repository:tag`.
    fn push_index(&self, kind: Kind, group: &str, count: usize) -> Result<String> {
        let repository = format!("bench/{group}");
        let mut all = SampleImage { manifests: vec![], blobs: vec![], ..SampleImage::new("") };
        let mut entries = Vec::new();
        // Each sample has two.
        for number in 0..count.div_ceil(2) {
            let one = SampleImage::new(&format!("{repository} {number}"));
            all.blobs.extend(one.blobs);
            all.manifests.extend(one.manifests);
            let index: Value = serde_json::from_slice(&one.index.1)?;
            entries.extend(index["manifests"].as_array().cloned().unwrap_or_default());
        }
        let media_type = all.index.0;
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries });
        all.index.1 = index.to_string().into();
        self.lab.stage.push_to(self.lab.registry(kind), &repository, "v1", &all)?;
        Ok(format!("{repository}:v1"))
    }

    /// A file and a bundle of ours for it.
    fn signed_file(&self, bytes: u64) -> Result<[String; 2]> {
        let file = self.lab.file(bytes)?.display().to_string();
        let bundle = self.lab.home().join(format!("{bytes}.sigstore.json")).display().to_string();
        self.once(bundle.clone(), || {
            let words = self.lab.signing(Program::Ambisign, "sign-blob", Distance::Near)?;
            self.lab.quietly(&words.and(&["--bundle", &bundle, &file]))?;
            Ok(Vec::new())
        })?;
        Ok([file, bundle])
    }

    fn files(&self, program: Program, count: usize) -> Result<Vec<String>> {
        let files = self.lab.files(&format!("files-{}", program.name()), count)?;
        Ok(files.iter().map(|path| path.display().to_string()).collect())
    }

    fn sigstore_go(&self, bytes: u64) -> Result<Vec<String>> {
        let (identity, issuer) = self.lab.identity();
        let [file, bundle] = self.signed_file(bytes)?;
        let root = self.lab.stage.running.trusted_root().display().to_string();
        let words = self.lab.start(Program::SigstoreGo);
        let words = words.and(&["-trustedrootJSONpath", &root, "-artifact", &file]);
        Ok(words.and(&["-expectedSAN", identity, "-expectedIssuer", &issuer, &bundle]))
    }

    fn sigstore_python(&self) -> Vec<String> {
        let running = &self.lab.stage.running;
        let config = running.client_trust_config(sandbox::RekorVersion::V1).display().to_string();
        let words = self.lab.start(Program::SigstorePython);
        words.and(&["-m", "sigstore", "--trust-config", &config])
    }
}

/// For a program that takes one file at a time, with its bundle.
fn one_by_one(words: Vec<String>, files: &[String]) -> Vec<String> {
    let each = format!("--bundle $file{BUNDLE} $file");
    let script = format!("for file in {}; do \"$@\" {each} || exit; done", files.join(" "));
    let shell = ["sh", "-c", &script, "sh"].map(str::to_owned);
    shell.into_iter().chain(words).collect()
}

/// What the name of a file's bundle ends with.
const BUNDLE: &str = ".sigstore.json";

/// Words put after words.
trait And: Sized {
    fn and(self, more: &[&str]) -> Self;
    fn with(self, more: impl IntoIterator<Item = String>) -> Self;
}

impl And for Vec<String> {
    fn and(self, more: &[&str]) -> Self {
        self.with(more.iter().map(|&word| word.to_owned()))
    }

    fn with(mut self, more: impl IntoIterator<Item = String>) -> Self {
        self.extend(more);
        self
    }
}
