//! The mistakes that people make, each made here, and what the program answers.
//!
//! `docs/mistakes.md` has the answers beside those of cosign; the test compares, and
//! `MISTAKES=overwrite` in its environment writes the file anew.

mod identities;
mod signing;
mod verifying;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::{Outcome, Program, Setup, has_namespaces};
use sandbox::Fault;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/mistakes.md");

const PREFACE: &str = "\
# Mistakes, and what the program answers

Each of these mistakes is made in a test (`tests/it/mistakes.rs`), which compares this page with what
the program says. Beside its answer stands what cosign 3.1.1 says, where that is known. Addresses,
digests, times and names are shortened; the number is the exit code.
";

/// How many mistakes are made at once: most of them wait.
const WIDTH: usize = 4;

/// What every mistake shares that needs no fault.
struct Shared {
    setup: Setup,
    /// An image that the job signed.
    signed: String,
    /// Another that nobody signed.
    unsigned: String,
    /// A file that the job signed, and its bundle.
    file: String,
    bundle: String,
}

impl Shared {
    fn new() -> Self {
        let setup = Setup::new();
        let (signed, unsigned) = (setup.image("demo/signed"), setup.image("demo/unsigned"));
        setup.job().args(["sign", &signed]).run().ends(0);
        let file = setup.write("artifact.txt", "content").display().to_string();
        let bundle = format!("{file}.sigstore.json");
        setup.job().args(["sign-blob", &file]).run().ends(0);
        Self { setup, signed, unsigned, file, bundle }
    }

    /// Verifies as `by_job` says, unless `args` say more.
    fn verify(&self, args: &[&str]) -> Answer {
        self.answer(self.setup.program().arg("verify").args(self.setup.by_job()).args(args))
    }

    /// Signs as the job.
    fn sign(&self, args: &[&str]) -> Answer {
        self.answer(self.setup.job().arg("sign").args(args))
    }

    fn answer(&self, program: Program) -> Answer {
        Answer::of(&program.run(), &self.setup)
    }
}

/// What the program answers.
struct Answer {
    code: i32,
    /// Without what differs from run to run.
    text: String,
}

impl Answer {
    fn of(outcome: &Outcome, setup: &Setup) -> Self {
        let endpoints = setup.sandbox.endpoints();
        let directory = setup.directory().display().to_string();
        let mut text = outcome.stderr.clone();
        let program = harness::ambisign().display().to_string();
        for (name, found) in [
            ("DIR", &directory),
            ("/usr/bin/ambisign", &program),
            ("https://fulcio.example", &endpoints.fulcio),
            ("https://rekor.example", &endpoints.rekor_v1),
            ("https://oidc.example", &endpoints.oidc),
            ("https://tsa.example", &endpoints.tsa),
            ("registry.example", &setup.sandbox.registry().to_owned()),
        ] {
            text = text.replace(found.as_str(), name);
        }
        // How often depends on the machine.
        if let Some((before, after)) = text.split_once("(asked ")
            && let Some((_, after)) = after.split_once(" times")
        {
            text = format!("{before}(asked N times{after}");
        }
        let lines = text.lines().map(|line| steady(line.trim_end()));
        Self { code: outcome.code, text: lines.collect::<Vec<_>>().join("\n") }
    }
}

/// `line` with long numbers, digests, ports and times shortened.
fn steady(line: &str) -> String {
    let mut words = Vec::new();
    for word in line.split(' ') {
        let is_hex = |text: &str| text.len() >= 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let mut steady = String::new();
        let mut rest = word;
        while let Some(at) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
            let (before, from) = rest.split_at(at);
            let end = from.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(from.len());
            let (token, after) = from.split_at(end);
            steady.push_str(before);
            let is_number = token.bytes().all(|byte| byte.is_ascii_digit());
            steady.push_str(match token {
                _ if is_hex(token) => "…",
                // A port, a time of the day, a number of seconds or bytes.
                _ if is_number && before.ends_with(':') => "N",
                _ if is_number && token.len() >= 4 => "N",
                _ => token,
            });
            rest = after;
        }
        steady.push_str(rest);
        // How long it took.
        let is_time = words.last().is_some_and(|it| it == "in") && word.parse::<f64>().is_ok();
        words.push(if is_time { "N".to_owned() } else { steady });
    }
    words.join(" ")
}

/// A mistake, and what cosign says of it.
struct Row {
    title: &'static str,
    code: &'static str,
    cosign: &'static str,
}

fn rows() -> Vec<Row> {
    let lines = include_str!("mistakes.txt").lines().filter(|line| !line.starts_with('#'));
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let rows = lines.chunks(2).enumerate().map(|(at, lines)| {
        let [title, words] = lines else { panic!("{lines:?} is half of a row") };
        let title = title.strip_prefix(&format!("{}. ", at + 1)).unwrap();
        let (code, cosign) = words.split_once(' ').unwrap();
        Row { title, code, cosign }
    });
    rows.collect()
}

/// In the order of `mistakes.txt`.
const MISTAKES: [fn(&Shared) -> Answer; 61] = [
    verifying::another_identity,
    verifying::another_identity_in_the_earlier_format,
    verifying::another_issuer,
    identities::github_without_permission,
    |_| identities::sign_with(Fault::IdentityForbidden),
    |_| identities::sign_with(Fault::TokenExpired),
    |it| it.answer(it.setup.program().args(["sign", "--identity-token", "nofile", &it.unsigned])),
    identities::garbage,
    identities::inline,
    signing::fulcio_fails,
    |it| it.sign(&[&it.setup.image("demo/by-tag")]),
    signing::missing_digest,
    |it| it.sign(&[&it.unsigned.replace(":v1", ":nope")]),
    |it| it.verify(&[&it.unsigned.replace(":v1", ":nope")]),
    verifying::missing_digest,
    |it| it.verify(&[&it.unsigned]),
    |_| signing::throttled("verify"),
    |_| signing::throttled("sign"),
    |it| it.sign(&["localhost:1/demo/app:v1"]),
    verifying::private_authority,
    |_| signing::unauthorized(),
    |_| signing::denied(),
    verifying::another_key,
    |it| it.answer(it.setup.program().args(["verify", &it.signed])),
    |it| it.verify(&["--key", "cosign.pub", &it.signed]),
    verifying::unlogged,
    |_| signing::without_sct(),
    verifying::another_authority,
    |it| verifying::trust_unreachable(it, "verify"),
    |it| verifying::trust_unreachable(it, "sign"),
    |it| it.sign(&["--tlog-upload=false", &it.setup.image("demo/unlogged")]),
    signing::with_a_log,
    |it| it.sign(&["--bundle", "b.json", "--new-bundle-format=false", &it.setup.image("demo/e")]),
    |it| it.sign(&["registry.example/Demo/App:v1"]),
    |it| it.sign(&["https://registry.example/demo/app:v1"]),
    verifying::another_file,
    verifying::no_bundle,
    verifying::not_a_bundle,
    |it| it.verify(&["--certificate-identity-regexp", "(", &it.signed]),
    verifying::default_type,
    signing::missing_helper,
    |it| it.answer(it.setup.program().args(["verify", "--certificate-identiy", "x", &it.signed])),
    signing::wrong_password,
    |it| it.sign(&[&it.setup.image("demo/one"), &it.unsigned.replace(":v1", ":nope")]),
    signing::too_little_time,
    identities::github_without_permission,
    |it| identities::marked(it, "GITLAB_CI"),
    identities::gitlab_without_reference,
    |_| identities::on("buildkite-cli", Fault::HelperFails),
    |it| identities::marked(it, "CIRCLECI"),
    |_| identities::on("gce", Fault::IdentityMissing),
    |_| identities::on("gce", Fault::IdentityWithoutEmail),
    |_| identities::on("google-impersonation", Fault::IdentityForbidden),
    |_| identities::on("kubernetes", Fault::IdentityForbidden),
    identities::wrong_socket,
    |_| identities::workload(Fault::NoIdentity),
    |_| identities::workload(Fault::TokenWithoutIssuer),
    identities::unknown_issuer,
    |_| identities::sign_with(Fault::TokenForAnother),
    |_| identities::sign_with(Fault::TokenExpired),
    identities::forged,
];

#[test]
fn every_mistake_is_answered_as_documented() {
    if !has_namespaces() {
        return;
    }
    let (rows, shared) = (rows(), Shared::new());
    assert_eq!(rows.len(), MISTAKES.len());
    let (next, answers) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(mistake) = MISTAKES.get(at) else { return };
            let answer = mistake(&shared);
            answers.lock().unwrap().push((at, answer));
        }
    };
    std::thread::scope(|scope| (0..WIDTH).for_each(|_| drop(scope.spawn(work))));
    let mut answers = answers.into_inner().unwrap();
    answers.sort_by_key(|(at, _)| *at);
    let mut document = PREFACE.to_owned();
    for (row, (at, answer)) in rows.iter().zip(answers) {
        assert!(!answer.text.contains("eyJ"), "a token is shown: {}", answer.text);
        let Row { title, code, cosign } = row;
        write!(document, "\n## {}. {title}\n\n", at + 1).unwrap();
        if !cosign.is_empty() {
            write!(document, "cosign ({code}): {}\n\n", quoted(cosign)).unwrap();
        }
        let Answer { code, text } = answer;
        write!(document, "ambisign ({code}):\n\n```text\n{text}\n```\n").unwrap();
    }
    let expected = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    if std::env::var_os("MISTAKES").is_some_and(|it| it == "overwrite") {
        std::fs::write(DOCUMENT, document).unwrap();
    } else {
        let differs = |(found, expected): &(&str, &str)| found != expected;
        let first = document.lines().zip(expected.lines()).find(differs);
        assert!(document == expected, "docs/mistakes.md differs (MISTAKES=overwrite): {first:?}");
    }
}

/// `words` as code of Markdown, which may hold backticks.
fn quoted(words: &str) -> String {
    if words.contains('`') { format!("`` {words} ``") } else { format!("`{words}`") }
}
