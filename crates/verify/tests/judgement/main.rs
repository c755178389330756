//! Verification of material that other programs made: bundles of cosign on the real services, of the
//! other signers on the sandbox, and images signed on the public Sigstore.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests are not in #[test] functions"
)]

mod captures;
mod changes;
mod legacy;
mod peers;
mod recorded;
mod statements;
mod timestamps;

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use ambisign_verify::{
    AcceptedSigner, Artifact, Check, Error, Policy, Purpose, StringMatch, Verified, verify,
};
use bundle::Bundle;
use keys::{Digest, HashAlgorithm};
use trust_root::TrustedRoot;

const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures/");

/// A captured bundle with everything that belongs to it.
#[derive(Clone, Copy)]
struct Case {
    folder: &'static str,
    bundle: &'static str,
    subject: &'static str,
    issuer: &'static str,
}

const GITHUB: Case = Case {
    folder: "bundles",
    bundle: "blob-github.sigstore.json",
    subject: "https://github.com/octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
    issuer: "http://127.0.0.1:8890/githubci",
};
const SPIFFE: Case = Case {
    folder: "bundles",
    bundle: "blob-spiffe.sigstore.json",
    subject: "spiffe://example.org/ns/ci/sa/builder",
    issuer: "http://localhost:8888",
};
const EMAIL: Case = Case {
    folder: "bundles",
    bundle: "blob-email.sigstore.json",
    subject: "ci@proj.iam.gserviceaccount.com",
    issuer: "http://127.0.0.1:8890/email",
};
const ATTESTATION: Case = Case { bundle: "attest-blob-spiffe.sigstore.json", ..SPIFFE };
const IMAGE: Case = Case { bundle: "image/referrer-0.sigstore.json", ..SPIFFE };
const REKOR_V1: Case = Case { folder: "bundles-v1", ..SPIFFE };
const ALL: [Case; 6] = [GITHUB, SPIFFE, EMAIL, ATTESTATION, IMAGE, REKOR_V1];

impl Case {
    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(format!("{CAPTURES}{}/{name}", self.folder)).unwrap()
    }

    fn json(&self) -> Vec<u8> {
        self.read(self.bundle)
    }

    fn value(&self) -> serde_json::Value {
        serde_json::from_slice(&self.json()).unwrap()
    }

    fn root(&self) -> &'static TrustedRoot {
        static V2: LazyLock<TrustedRoot> = LazyLock::new(|| GITHUB.read_root());
        static V1: LazyLock<TrustedRoot> = LazyLock::new(|| REKOR_V1.read_root());
        if self.folder == REKOR_V1.folder { &V1 } else { &V2 }
    }

    fn read_root(&self) -> TrustedRoot {
        TrustedRoot::from_json(&self.read("trusted_root.json")).unwrap()
    }

    fn signer(&self) -> AcceptedSigner {
        exactly(self.subject, self.issuer)
    }

    /// The purpose that the capture was made for.
    fn purpose(&self) -> Purpose {
        Purpose::claimed_by(&Bundle::from_json(&self.json()).unwrap()).unwrap()
    }

    fn policy(&self) -> Policy {
        Policy::new(self.purpose(), self.signer())
    }

    /// The digest of what was signed: of the image's manifest, or of the file.
    fn digest(&self) -> Digest {
        if self.bundle.starts_with("image/") {
            let reference = String::from_utf8(self.read("image/reference.txt")).unwrap();
            let (_, hex) = reference.trim().split_once("@sha256:").unwrap();
            return Digest::from_hex(HashAlgorithm::Sha256, hex).unwrap();
        }
        Digest::sha256(&self.read("artifact.txt"))
    }

    fn judge(&self, json: &[u8], policy: &Policy) -> Result<Verified, Failure> {
        let bundle = Bundle::from_json(json).map_err(Failure::Unreadable)?;
        let artifact = Artifact::Digest(&self.digest());
        verify(&bundle, &artifact, policy, self.root(), now()).map_err(Failure::Refused)
    }

    fn refusal(&self, policy: &Policy) -> Check {
        refusal(self.judge(&self.json(), policy))
    }
}

fn exactly(subject: &str, issuer: &str) -> AcceptedSigner {
    AcceptedSigner::identity(StringMatch::exact(subject), StringMatch::exact(issuer))
}

#[derive(Debug)]
#[expect(dead_code, reason = "shown when a test fails")]
enum Failure {
    Unreadable(bundle::Error),
    Refused(Error),
}

/// The check that refused.
fn refusal(judged: Result<Verified, Failure>) -> Check {
    match judged {
        Err(Failure::Refused(Error::Refused(check))) => *check,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

/// A day after the captures, long after every certificate expired.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_445_000)
}
