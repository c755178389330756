//! Command lines of cosign as public workflows have them, run with cosign and with ambisign.
//!
//! `lines.txt` says which, and what is expected of each: the same effect, which the other tool then
//! verifies, or a refusal that names the replacement.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sandbox::RekorVersion;
use serde_json::{Value, json};

use harness::{Interop, Outcome, RegistryKind, Signer, certificate_pem};

const LINES: &str = include_str!("lines.txt");
const PASSWORD: &str = "correct horse";
/// How many lines are run at once: a registry and a log wait for each of them.
const WIDTH: usize = 4;

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn command_lines_of_public_workflows_do_the_same_or_are_refused_with_the_replacement() {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    let lines = Line::all();
    assert!(lines.len() >= 60, "{} lines", lines.len());
    let fixtures = Fixtures::make(&interop);
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
            let number = line.number;
            if let Err(problem) = fixtures.check(line) {
                wrong.lock().unwrap().push(format!("line {number}: {}\n{problem}", line.text));
            }
        }
    };
    std::thread::scope(|scope| (0..WIDTH).for_each(|_| drop(scope.spawn(work))));
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} differ:\n\n{}", wrong.len(), wrong.join("\n\n"));
}

/// A command line, and what is expected of it.
struct Line {
    /// Where it stands in the file, from 1.
    number: usize,
    text: &'static str,
    expected: &'static str,
    notice: Option<&'static str>,
}

impl Line {
    fn all() -> Vec<Self> {
        let mut lines: Vec<Self> = Vec::new();
        for (at, text) in LINES.lines().enumerate() {
            match text.split_at(text.len().min(2)) {
                ("= ", expected) => lines.last_mut().unwrap().expected = expected,
                ("~ ", notice) => lines.last_mut().unwrap().notice = Some(notice),
                (start, _) if start.is_empty() || start.starts_with(['#', '[']) => (),
                _ => lines.push(Self { number: at + 1, text, expected: "", notice: None }),
            }
        }
        lines
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Tool {
    Ours,
    Cosign,
}

/// A line that was run by a tool.
struct Run {
    variables: Vec<(String, String)>,
    /// Without the name of the tool.
    words: Vec<String>,
    directory: PathBuf,
    outcome: Outcome,
}

impl Run {
    /// The value of a flag, wherever it stands.
    fn flag(&self, name: &str) -> Option<&str> {
        self.flags(name).next()
    }

    fn flags<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.words.iter().enumerate().filter_map(move |(at, word)| {
            match word.strip_prefix(name)? {
                "" => self.words.get(at + 1).map(String::as_str),
                rest => rest.strip_prefix('='),
            }
        })
    }

    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|it| it == word)
    }

    /// The images that it names.
    fn images<'a>(&'a self, registry: &'a str) -> impl Iterator<Item = &'a String> {
        self.words.iter().filter(move |word| word.starts_with(registry))
    }

    fn files(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(&self.directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// What the lines refer to.
struct Fixtures<'a> {
    interop: &'a Interop,
    /// The files that each line finds in its directory.
    files: PathBuf,
    signed: String,
    keyed: String,
    attested: String,
    key_attested: String,
    unsigned: String,
}

impl<'a> Fixtures<'a> {
    fn make(interop: &'a Interop) -> Self {
        let files = interop.path("files");
        std::fs::create_dir(&files).unwrap();
        let images = ["signed", "keyed", "attested", "key-attested", "unsigned"];
        let [signed, keyed, attested, key_attested, unsigned] =
            images.map(|name| interop.image(&format!("shared/{name}")));
        let this = Self { interop, files, signed, keyed, attested, key_attested, unsigned };
        this.write_files();
        let cosign = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(ToString::to_string).collect();
            this.run(Tool::Cosign, &words, &[], &this.files).succeeds()
        };
        cosign(&["generate-key-pair"]);
        let key = ["--key", "cosign.key"];
        cosign(&["sign-blob", "--bundle", "artifact.txt.sigstore.json", "artifact.txt"]);
        let keyed = ["sign-blob", "--bundle", "keyed.sigstore.json", "artifact.txt"];
        cosign(&[&keyed as &[_], &key].concat());
        cosign(&["sign", &this.signed]);
        cosign(&[&["sign", "-a", "env=prod", &this.keyed] as &[_], &key].concat());
        for (kind, predicate) in [
            ("slsaprovenance", "provenance.json"),
            ("spdxjson", "sbom.spdx.json"),
            ("cyclonedx", "bom.json"),
        ] {
            let attest = |image| ["attest", "--type", kind, "--predicate", predicate, image];
            cosign(&attest(&this.attested));
            if kind == "slsaprovenance" {
                cosign(&[&attest(&this.key_attested) as &[_], &key].concat());
            }
        }
        this.write_detached();
        this
    }

    fn write_files(&self) {
        let plain = keys::KeyPair::generate().unwrap().to_pkcs8_pem().unwrap();
        let time = "2026-01-01T00:00:00Z";
        let vuln = json!({
            "invocation": {},
            "scanner": { "uri": "scanner", "result": {} },
            "metadata": { "scanStartedOn": time, "scanFinishedOn": time },
        });
        let provenance = json!({ "builder": { "id": "builder" }, "buildType": "type" });
        for (name, content) in [
            ("artifact.txt", "what is signed\n".to_owned()),
            ("plain.pem", plain.to_string()),
            ("token.jwt", self.interop.email_token()),
            ("predicate.json", json!({ "a": 1 }).to_string()),
            ("provenance.json", provenance.to_string()),
            ("sbom.spdx.json", json!({ "spdxVersion": "SPDX-2.3" }).to_string()),
            ("bom.json", json!({ "bomFormat": "CycloneDX", "specVersion": "1.6" }).to_string()),
            ("vuln.json", vuln.to_string()),
            ("Dockerfile", format!("FROM {}\n", self.unsigned)),
            ("pod.yaml", format!("kind: Pod\nspec:\n  containers:\n  - image: {}\n", self.keyed)),
        ] {
            std::fs::write(self.files.join(name), content).unwrap();
        }
    }

    /// The signature and the certificate of the bundle, as older versions of cosign wrote them.
    fn write_detached(&self) {
        let bundle = std::fs::read(self.files.join("artifact.txt.sigstore.json")).unwrap();
        let bundle: Value = serde_json::from_slice(&bundle).unwrap();
        let signature = bundle["messageSignature"]["signature"].as_str().unwrap();
        std::fs::write(self.files.join("artifact.txt.sig"), signature).unwrap();
        std::fs::write(self.files.join("artifact.txt.pem"), certificate_pem(&bundle)).unwrap();
    }

    /// What differs from what is expected of the line.
    fn check(&self, line: &Line) -> Result<(), String> {
        let [cosign, ours] = [Tool::Cosign, Tool::Ours].map(|tool| self.run_line(line, tool));
        let done = |run: &Run| run.outcome.code == 0;
        let (kind, text) = line.expected.split_once(' ').unwrap_or((line.expected, ""));
        let (text, both) = match line.expected {
            "both refuse" => ("", "both"),
            _ => (text, kind),
        };
        let expected = match both {
            "same" => [true, true],
            "ours" => [false, true],
            "refused" => [true, false],
            "both" => [false, false],
            other => return Err(format!("nothing is expected: {other:?}")),
        };
        if [done(&cosign), done(&ours)] != expected {
            return Err(format!("cosign: {:#?}\nambisign: {:#?}", cosign.outcome, ours.outcome));
        }
        let notice = line.notice.unwrap_or_default();
        if both == "refused" && ours.outcome.code != 2
            || !ours.outcome.stderr.contains(text)
            || !ours.outcome.stderr.contains(notice)
        {
            return Err(format!("ambisign: {:#?}", ours.outcome));
        }
        if done(&ours) {
            self.confirm(&ours, Tool::Cosign)?;
        }
        if both == "same" {
            self.confirm(&cosign, Tool::Ours)?;
            if cosign.files() != ours.files() {
                return Err(format!("files: {:?}, {:?}", cosign.files(), ours.files()));
            }
        }
        Ok(())
    }

    fn run_line(&self, line: &Line, tool: Tool) -> Run {
        let name =
            format!("{}-{}", line.number, if tool == Tool::Ours { "ours" } else { "cosign" });
        let directory = self.interop.path(&name);
        std::fs::create_dir(&directory).unwrap();
        for entry in std::fs::read_dir(&self.files).unwrap() {
            let entry = entry.unwrap();
            // A key pair that is made must not exist.
            if !line.text.contains("generate-key-pair") || entry.file_name() == "artifact.txt" {
                std::fs::copy(entry.path(), directory.join(entry.file_name())).unwrap();
            }
        }
        let mut words = shlex::split(line.text).unwrap();
        let command = words.iter().position(|word| word == "cosign").unwrap();
        let variables = words.drain(..=command).take(command);
        let put_in = |word: String| self.put_in(&word, &name);
        let variables: Vec<_> = variables
            .map(&put_in)
            .map(|it| it.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .map(Option::unwrap)
            .collect();
        let words: Vec<_> = words.into_iter().map(put_in).collect();
        let outcome = self.run(tool, &words, &variables, &directory);
        Run { variables, words, directory, outcome }
    }

    /// `word` with the names of images and identities in place of what is in braces.
    fn put_in(&self, word: &str, line: &str) -> String {
        let endpoints = self.interop.setup.sandbox.endpoints();
        let identity = self.interop.identity(Signer::Job);
        let registry = self.interop.registry();
        let mut word = word.to_owned();
        for (name, value) in [
            ("{signed}", self.signed.clone()),
            ("{keyed}", self.keyed.clone()),
            ("{attested}", self.attested.clone()),
            ("{key-attested}", self.key_attested.clone()),
            ("{unsigned}", self.unsigned.clone()),
            ("{copied}", format!("{registry}/copied-{line}:v1")),
            ("{other}", identity.another().name),
            ("{identity}", identity.name),
            ("{issuer}", identity.issuer),
            ("{registry}", registry.to_owned()),
            ("{fulcio}", endpoints.fulcio.clone()),
            ("{rekor}", endpoints.rekor_v1.clone()),
        ] {
            word = word.replace(name, &value);
        }
        let repository = format!("line/{line}");
        match &*word {
            "{image}" => self.interop.image(&repository),
            "{tag}" => self
                .interop
                .image(&repository)
                .replace('@', ":v1@")
                .split('@')
                .next()
                .unwrap()
                .to_owned(),
            _ => word,
        }
    }

    /// Runs a command as a step of a GitHub job, with the sandbox's services and its trusted root
    /// where it signs or verifies.
    fn run(
        &self,
        tool: Tool,
        words: &[String],
        variables: &[(String, String)],
        directory: &Path,
    ) -> Outcome {
        let sandbox = &self.interop.setup.sandbox;
        let command = words[0].as_str();
        let mut program = match tool {
            Tool::Ours => self.interop.ambisign_plain(command),
            Tool::Cosign => self.interop.cosign_plain(command),
        };
        program = program.args(&words[1..]);
        let signs = ["sign", "sign-blob", "attest", "attest-blob"].contains(&command);
        if signs {
            program = program.arg("--signing-config").arg(self.interop.signing_config());
        }
        if signs || command.starts_with("verify") {
            program = program.arg("--trusted-root").arg(sandbox.trusted_root());
        }
        for (name, value) in sandbox.github_env() {
            // What tells the program whom to trust stands in the flags.
            if !name.starts_with("SANDBOX_") && !name.starts_with("COSIGN_") {
                program = program.env(&name, value);
            }
        }
        let key = std::fs::read_to_string(directory.join("cosign.key")).unwrap_or_default();
        let program = program.env("COSIGN_PASSWORD", PASSWORD).env("COSIGN_PRIVATE_KEY", key);
        let program = variables.iter().fold(program, |it, (name, value)| it.env(name, value));
        program.in_directory(directory).run()
    }

    /// What one tool made, the other verifies.
    fn confirm(&self, made: &Run, by: Tool) -> Result<(), String> {
        let (verify, what): (_, Vec<String>) = match made.words[0].as_str() {
            "sign" if made.has("--upload=false") => return Ok(()),
            "sign" => ("verify", made.images(self.interop.registry()).cloned().collect()),
            "attest" => {
                ("verify-attestation", made.images(self.interop.registry()).cloned().collect())
            }
            "sign-blob" => ("verify-blob", vec!["artifact.txt".to_owned()]),
            "attest-blob" => ("verify-blob-attestation", vec!["artifact.txt".to_owned()]),
            // cosign leaves bundles behind.
            "copy" if by == Tool::Cosign => ("verify", vec![made.words[2].clone()]),
            _ => return Ok(()),
        };
        let signer = match made.has("--identity-token") {
            true => Signer::Email,
            false => Signer::Job,
        };
        let identity = self.interop.identity(signer);
        let keyed = ["--key", "-key"].iter().any(|name| made.flag(name).is_some());
        let mut words = vec![verify.to_owned()];
        match keyed || made.words[0] == "copy" {
            true => words.extend(["--key".to_owned(), "cosign.pub".to_owned()]),
            false => words.extend(identity.policy().map(str::to_owned)),
        }
        let annotations = made.flags("-a").map(|it| ["-a".to_owned(), it.to_owned()]);
        words.extend(annotations.flatten());
        if made.has("--tlog-upload=false") {
            words.push("--insecure-ignore-tlog".to_owned());
        }
        for name in ["--type", "--bundle"] {
            words.extend(made.flag(name).iter().flat_map(|it| [name, it].map(str::to_owned)));
        }
        words.extend(what);
        let confirmed = self.run(by, &words, &made.variables, &made.directory);
        match confirmed.code {
            0 => Ok(()),
            _ => Err(format!("the other tool does not verify it: {confirmed:#?}")),
        }
    }
}
