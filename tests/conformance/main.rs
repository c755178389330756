//! The public conformance suite, as far as it stands beside the project: every case by path and by
//! digest. A directory that ends in `_fail` must be refused. `cargo xtask conformance` runs the same
//! cases in the suite's own command protocol.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ambisign_verify::{Artifact, Policy, StringMatch, hash_algorithm, verify};
use bundle::Bundle;
use keys::{Digest, PublicKey};
use trust_root::TrustedRoot;

const SUITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/conformance");

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

#[derive(Clone, Copy, Debug)]
enum By {
    Digest,
    Path,
}

#[test]
fn every_case_comes_out_as_it_should() {
    let Ok(cases) = fs::read_dir(SUITE) else {
        println!("skipped: {SUITE} is not there");
        return;
    };
    let mut names: Vec<String> = cases
        .map(|case| case.unwrap())
        .filter(|case| case.path().is_dir())
        .map(|case| case.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() > 40, "{} cases", names.len());
    let mut wrong = Vec::new();
    for name in &names {
        for by in [By::Path, By::Digest] {
            let verdict = judge(name, by);
            println!("{name} {by:?}: {}", verdict.as_ref().err().map_or("verifies", |e| e));
            if verdict.is_ok() == name.ends_with("_fail") {
                wrong.push(format!("{name} {by:?}: {verdict:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn judge(name: &str, by: By) -> Result<(), String> {
    let folder = Path::new(SUITE).join(name);
    let text = |file: &str, default: &str| {
        fs::read_to_string(folder.join(file))
            .map_or_else(|_| default.to_owned(), |t| t.trim().into())
    };
    let explain = |error: &dyn std::error::Error| match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let artifact = fs::read(folder.join("artifact"))
        .unwrap_or_else(|_| fs::read(Path::new(SUITE).join("a.txt")).unwrap());
    let root = match fs::read(folder.join("trusted_root.json")) {
        Ok(json) => TrustedRoot::from_json(&json).map_err(|error| explain(&error))?,
        Err(_) => TrustedRoot::public_good(),
    };
    let policy = match fs::read_to_string(folder.join("key.pub")) {
        Ok(pem) => Policy::public_key(PublicKey::from_pem(&pem).map_err(|e| explain(&e))?),
        Err(_) => Policy::new(
            StringMatch::exact(text("identity", IDENTITY)),
            StringMatch::exact(text("issuer", ISSUER)),
        ),
    };
    let json = fs::read(folder.join("bundle.sigstore.json")).unwrap();
    let bundle = Bundle::from_json(&json).map_err(|error| explain(&error))?;
    let digest;
    let artifact = match by {
        By::Path => Artifact::Message(&artifact),
        By::Digest => {
            let algorithm = hash_algorithm(&bundle).map_err(|error| explain(&error))?;
            digest = Digest::of(algorithm, &artifact);
            Artifact::Digest(&digest)
        }
    };
    // 2026-11-23T14:43:20Z; no case depends on it.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_445_000);
    verify(&bundle, &artifact, &policy, &root, now).map(|_| ()).map_err(|error| explain(&error))
}
