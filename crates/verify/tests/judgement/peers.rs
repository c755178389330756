//! What cosign, sigstore-go and sigstore-python signed against the sandbox, as fixtures.

use std::fs;
use std::time::SystemTime;

use ambisign_verify::{
    AcceptedSigner, Artifact, Check, Error, Policy, StringMatch, Verified, verify,
};
use bundle::Bundle;
use keys::Digest;
use serde_json::Value;
use trust_root::TrustedRoot;

use crate::exactly;

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/peers/");

struct Signed {
    name: String,
    bundle: Bundle,
    identity: String,
    issuer: String,
    predicate_type: Option<String>,
}

fn read(name: &str) -> Vec<u8> {
    fs::read(format!("{PEERS}{name}")).unwrap()
}

fn root() -> TrustedRoot {
    TrustedRoot::from_json(&read("trusted_root.json")).unwrap()
}

fn all() -> Vec<Signed> {
    let cases: Value = serde_json::from_slice(&read("cases.json")).unwrap();
    let cases = cases.as_array().unwrap().iter().map(|case| {
        let text = |name: &str| case[name].as_str().map(str::to_owned);
        let name = text("bundle").unwrap();
        let bundle = Bundle::from_json(&read(&name)).unwrap();
        let (identity, issuer) = (text("identity").unwrap(), text("issuer").unwrap());
        Signed { name, bundle, identity, issuer, predicate_type: text("predicateType") }
    });
    cases.collect()
}

impl Signed {
    fn policy(&self) -> Policy {
        self.policy_by(exactly(&self.identity, &self.issuer))
    }

    fn policy_by(&self, signer: AcceptedSigner) -> Policy {
        match &self.predicate_type {
            Some(kind) => Policy::attestation(kind, signer),
            None => Policy::file_signature(signer),
        }
    }

    fn judge(&self, artifact: &[u8], policy: &Policy) -> Result<Verified, Error> {
        // Long after the certificates and their authority are gone.
        let now = super::now() + std::time::Duration::from_secs(20 * 365 * 24 * 3600);
        verify(&self.bundle, &Artifact::Message(artifact), policy, &root(), now)
    }

    fn refusal(&self, artifact: &[u8], policy: &Policy) -> Check {
        match self.judge(artifact, policy) {
            Err(Error::Refused(check)) => *check,
            other => panic!("{}: {other:?}", self.name),
        }
    }
}

#[test]
fn what_every_other_signer_signs_verifies() {
    let artifact = read("artifact.txt");
    let all = all();
    for signed in &all {
        let verified = signed
            .judge(&artifact, &signed.policy())
            .unwrap_or_else(|error| panic!("{}: {error:?}", signed.name));
        assert_eq!(verified.subject_name().unwrap().as_str(), signed.identity);
        assert_eq!(verified.digest(), &Digest::sha256(&artifact));
        assert_eq!(verified.statement().is_some(), signed.predicate_type.is_some());
        let digest = Digest::sha256(&artifact);
        let artifact = Artifact::Digest(&digest);
        let now = SystemTime::UNIX_EPOCH;
        verify(&signed.bundle, &artifact, &signed.policy(), &root(), now).unwrap();
    }
    for (name, count) in [("cosign-", 8), ("sigstore-go-", 4), ("sigstore-python-", 2)] {
        let found = all.iter().filter(|signed| signed.name.starts_with(name)).count();
        assert_eq!(found, count, "{name}");
    }
}

#[test]
fn none_of_them_verifies_for_another_file() {
    for signed in all() {
        let check = signed.refusal(b"another", &signed.policy());
        match signed.predicate_type {
            Some(_) => assert!(matches!(check, Check::Subject { .. }), "{}: {check}", signed.name),
            None => {
                assert!(matches!(check, Check::ArtifactDigest { .. }), "{}: {check}", signed.name);
            }
        }
    }
}

#[test]
fn none_of_them_verifies_for_another_signer_issuer_or_kind() {
    let artifact = read("artifact.txt");
    for signed in all() {
        let other = format!("{}x", signed.identity);
        let policy = signed.policy_by(exactly(&other, &signed.issuer));
        let check = signed.refusal(&artifact, &policy);
        assert!(matches!(check, Check::Identity { .. }), "{}: {check}", signed.name);
        let part = StringMatch::regexp(&signed.identity[1..].replace(['.', '@'], ".")).unwrap();
        let part = AcceptedSigner::identity(part, StringMatch::exact(&signed.issuer));
        let check = signed.refusal(&artifact, &signed.policy_by(part));
        assert!(matches!(check, Check::Identity { .. }), "{}: {check}", signed.name);
        let policy = signed.policy_by(exactly(&signed.identity, "https://other"));
        let check = signed.refusal(&artifact, &policy);
        assert!(matches!(check, Check::Issuer { .. }), "{}: {check}", signed.name);
        let signer = exactly(&signed.identity, &signed.issuer);
        let check = signed.refusal(&artifact, &Policy::attestation("https://other", signer));
        match signed.predicate_type {
            Some(_) => {
                assert!(matches!(check, Check::PredicateType { .. }), "{}: {check}", signed.name);
            }
            None => assert!(matches!(check, Check::Purpose { .. }), "{}: {check}", signed.name),
        }
    }
}

#[test]
fn none_of_them_verifies_with_the_evidence_of_another() {
    let artifact = read("artifact.txt");
    let all = all();
    for signed in &all {
        for other in all.iter().filter(|other| other.name != signed.name) {
            let crossed = Bundle::new(
                signed.bundle.material().clone(),
                signed.bundle.content().clone(),
                other.bundle.log_entries().to_vec(),
                other.bundle.timestamps().to_vec(),
            )
            .unwrap();
            let artifact = Artifact::Message(&artifact);
            let judged = verify(&crossed, &artifact, &signed.policy(), &root(), super::now());
            let Err(Error::Refused(check)) = judged else { panic!("{}: {judged:?}", signed.name) };
            let of_the_entry = matches!(
                *check,
                Check::EntryBody { .. } | Check::EntryMalformed { .. } | Check::EntryKind { .. }
            );
            assert!(of_the_entry, "{} with {}: {check}", signed.name, other.name);
        }
    }
}
