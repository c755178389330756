//! The public conformance suite: its cases, and the client it talks to.
//!
//! The suite knows a client by one executable and two commands, `sign-bundle` and `verify-bundle`.
//! This program is that executable: it hands both to `ambisign`, and `cargo xtask conformance` runs
//! the cases of a directory against itself in the suite's own words.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::workspace;

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// The tasks `conformance`, `sign-bundle` and `verify-bundle`.
pub(crate) fn run(task: &str, arguments: &[String]) -> Result<()> {
    match (task, arguments) {
        ("conformance", []) => conformance(&workspace::root().join("tests/fixtures/conformance")),
        ("conformance", [flag, suite]) if flag == "--suite" => conformance(Path::new(suite)),
        ("conformance", _) => bail!("usage: cargo xtask conformance [--suite DIR]"),
        _ => client(task, arguments),
    }
}

/// Every case by path and by digest; a directory that ends in `fail` must be refused.
fn conformance(suite: &Path) -> Result<()> {
    workspace::build_programs()?;
    let mut cases: Vec<PathBuf> = fs::read_dir(suite)
        .with_context(|| format!("{} cannot be read", suite.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.join("bundle.sigstore.json").exists())
        .collect();
    ensure!(!cases.is_empty(), "{} holds no case", suite.display());
    cases.sort();
    let mut failed = Vec::new();
    let mut passed = 0_usize;
    for case in &cases {
        let name = case.file_name().unwrap_or_default().to_string_lossy();
        let artifact = [case.join("artifact"), suite.join("a.txt")];
        let artifact = artifact.iter().find(|path| path.exists()).context("no artifact")?;
        let digest = keys::Digest::sha256(&fs::read(artifact)?).to_hex();
        for (how, artifact) in
            [("by path", artifact.display().to_string()), ("by digest", format!("sha256:{digest}"))]
        {
            let (accepted, said) = verify(case, &artifact)?;
            if accepted == name.ends_with("fail") {
                failed.push(format!("{name} {how}: {}", said.trim()));
            } else {
                println!("ok {name} {how}");
                passed += 1;
            }
        }
    }
    failed.iter().for_each(|failed| println!("FAILED {failed}"));
    println!("{passed} passed, {} failed", failed.len());
    ensure!(failed.is_empty(), "the suite is not passed");
    Ok(())
}

/// Whether the client accepts the bundle of `case`, and what it said.
fn verify(case: &Path, artifact: &str) -> Result<(bool, String)> {
    let text = |file: &str, default: &str| {
        fs::read_to_string(case.join(file)).map_or_else(|_| default.to_owned(), |t| t.trim().into())
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("verify-bundle").arg("--bundle").arg(case.join("bundle.sigstore.json"));
    let key = case.join("key.pub");
    if key.exists() {
        command.arg("--key").arg(key);
    } else {
        command.args(["--certificate-identity", &text("identity", IDENTITY)]);
        command.args(["--certificate-oidc-issuer", &text("issuer", ISSUER)]);
    }
    let root = case.join("trusted_root.json");
    if root.exists() {
        command.arg("--trusted-root").arg(root);
    }
    let output = command.arg(artifact).stdin(Stdio::null()).output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The predicate type of the statement in a bundle, if it holds one. The suite asks for no type and
/// gives the artifact as a subject; the program asks for one.
fn predicate_type(bundle: &Path) -> Option<String> {
    let bundle = bundle::Bundle::from_json(&fs::read(bundle).ok()?).ok()?;
    let bundle::Content::Envelope(envelope) = bundle.content() else { return None };
    let statement = envelope.statement().ok()?;
    Some(statement.predicate_type().to_owned())
}

/// The suite's client.
fn client(task: &str, arguments: &[String]) -> Result<()> {
    let program = std::env::current_exe()?.with_file_name("ambisign");
    ensure!(program.exists(), "{} is not there: cargo build -p ambisign", program.display());
    let mut command = Command::new(program);
    let bundle = arguments.iter().position(|argument| argument == "--bundle");
    let bundle = bundle.and_then(|at| arguments.get(at + 1));
    match (task, bundle.and_then(|path| predicate_type(Path::new(path)))) {
        ("sign-bundle", _) => command.arg("sign-blob"),
        (_, Some(kind)) => command.args(["verify-blob-attestation", "--type", &kind]),
        (_, None) => command.arg("verify-blob"),
    };
    for argument in arguments {
        match argument.as_str() {
            "--staging" => bail!("the staging instance needs --trusted-root and --signing-config"),
            "--in-toto" => bail!("complete statements cannot be signed yet"),
            other => command.arg(other),
        };
    }
    let status = command.status()?;
    ensure!(status.success(), "not accepted");
    Ok(())
}
