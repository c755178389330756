//! The public conformance suite, from `tests/fixtures/conformance`: every case by path and by digest.
//! A directory whose name ends in `_fail` must be refused. `cargo xtask conformance` runs the same
//! cases in the suite's own command protocol.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ambisign_verify::{
    AcceptedSigner, Artifact, Policy, Purpose, StringMatch, hash_algorithm, verify,
};
use bundle::Bundle;
use keys::{Digest, PublicKey};
use trust_root::TrustedRoot;

const SUITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/conformance");

/// The directories of the suite.
const CASES: usize = 48;

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

#[derive(Clone, Copy, Debug)]
enum ArtifactBy {
    Digest,
    Path,
}

#[test]
fn every_case_passes_by_path_and_by_digest() {
    let names = cases();
    assert_eq!(names.len(), CASES, "cases are missing or new");
    let mut wrong = Vec::new();
    let mut passed = 0;
    for name in &names {
        for by in [ArtifactBy::Path, ArtifactBy::Digest] {
            let verdict = judge(name, by);
            println!("{name} {by:?}: {}", verdict.as_ref().err().map_or("verifies", |e| e));
            if verdict.is_ok() == name.ends_with("_fail") {
                wrong.push(format!("{name} {by:?}: {verdict:?}"));
            } else {
                passed += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(passed, 2 * CASES);
}

#[test]
fn the_files_of_the_suite_are_the_ones_that_were_copied() {
    let sums = fs::read_to_string(Path::new(SUITE).join("SHA256SUMS")).unwrap();
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let content = fs::read(Path::new(SUITE).join(name)).unwrap();
        assert_eq!(Digest::sha256(&content).to_hex(), sum, "{name}");
    }
    let listed = |name: &String| sums.contains(&format!("  {name}/bundle.sigstore.json\n"));
    assert!(cases().iter().all(listed));
}

fn cases() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(SUITE)
        .unwrap()
        .map(|case| case.unwrap())
        .filter(|case| case.path().is_dir())
        .map(|case| case.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn judge(name: &str, by: ArtifactBy) -> Result<(), String> {
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
    let signer = match fs::read_to_string(folder.join("key.pub")) {
        Ok(pem) => AcceptedSigner::key(PublicKey::from_pem(&pem).map_err(|e| explain(&e))?),
        Err(_) => AcceptedSigner::identity(
            StringMatch::exact(text("identity", IDENTITY)),
            StringMatch::exact(text("issuer", ISSUER)),
        ),
    };
    let json = fs::read(folder.join("bundle.sigstore.json")).unwrap();
    let bundle = Bundle::from_json(&json).map_err(|error| explain(&error))?;
    // The suite asks for no purpose: a statement about the artifact counts as well as a signature.
    let purpose = Purpose::claimed_by(&bundle).map_err(|error| explain(&error))?;
    let policy = Policy::new(purpose, signer);
    let digest;
    let artifact = match by {
        ArtifactBy::Path => Artifact::Message(&artifact),
        ArtifactBy::Digest => {
            let algorithm = hash_algorithm(&bundle).map_err(|error| explain(&error))?;
            digest = Digest::of(algorithm, &artifact);
            Artifact::Digest(&digest)
        }
    };
    // 2026-11-23T14:43:20Z; no case depends on it.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_445_000);
    verify(&bundle, &artifact, &policy, &root, now).map(|_| ()).map_err(|error| explain(&error))
}
