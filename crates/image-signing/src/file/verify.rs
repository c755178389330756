//! Verifying files.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bundle::Statement;
use host::Clock;
use keys::{Digest, HashAlgorithm, KeyAlgorithm, PublicKey};
use serde::Serialize;
use serde_json::{Map, Value};
use trust_root::TrustedRoot;
use verify::{AcceptedSigner, Policy, PolicyFile, Rule, Verified};

use crate::accepted::SignerName;
use crate::file::artifact::Artifact;
use crate::file::error::Error;
use crate::file::signature::FileSignature;
use crate::report::facts;

/// The rule of `policy` for `artifact`.
///
/// # Errors
/// [`Error::NoRule`].
pub fn rule_for(artifact: &Artifact, policy: &PolicyFile) -> Result<Rule, Error> {
    let path = artifact.name();
    policy.file_rule(path).cloned().ok_or_else(|| Error::NoRule {
        file: path.to_owned(),
        nearest: policy.nearest_of_files(path).map(str::to_owned),
    })
}

/// Verifies files by one policy.
#[derive(Clone)]
pub struct FileVerifier {
    policy: Policy,
    root: Arc<TrustedRoot>,
    clock: Arc<dyn Clock>,
}

impl FileVerifier {
    /// Verifies by `policy`, trusting the authorities of `root`.
    pub fn new(policy: Policy, root: Arc<TrustedRoot>, clock: Arc<dyn Clock>) -> Self {
        Self { policy, root, clock }
    }

    /// Verifies that `signature` is an acceptable signature of `artifact`. A file is read once, as a
    /// stream; a second time, whole, only for a signature that is not over a digest.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Read`] and [`Error::Whole`].
    pub async fn verify(
        &self,
        artifact: &Artifact,
        signature: &FileSignature,
    ) -> Result<VerifiedFile, Error> {
        let refused = |source| Error::Refused {
            file: artifact.name().to_owned(),
            certificate: signature.certificate().map(Box::new),
            source: Box::new(source),
        };
        let digests = match artifact {
            Artifact::Digest { digest, .. } => vec![digest.clone()],
            Artifact::File(file) => {
                let algorithms = self.algorithms(signature).map_err(refused)?;
                file.digests(&algorithms).await?
            }
        };
        let by_digest = self.judge(Known::Digests(digests), signature).await;
        let judged = match (by_digest, artifact) {
            (Err(verify::Error::Artifact { .. }), Artifact::File(file))
                if self.may_be_over_the_message(signature) && !file.is_standard() =>
            {
                let whole = file.read(MESSAGE_CAP).await;
                let unread = |source| Error::Whole { file: artifact.name().to_owned(), source };
                self.judge(Known::Whole(whole.map_err(unread)?), signature).await
            }
            (judged, _) => judged,
        };
        let (verified, file) = (judged.map_err(refused)?, artifact.name().to_owned());
        Ok(VerifiedFile { file, verified, bundle_digest: signature.bundle_digest().cloned() })
    }

    /// Beside the runtime: hostile evidence may take long.
    async fn judge(
        &self,
        known: Known,
        signature: &FileSignature,
    ) -> Result<Verified, verify::Error> {
        let (verifier, signature) = (self.clone(), signature.clone());
        let work = move || {
            let artifact = match &known {
                Known::Digests(digests) => verify::Artifact::Digests(digests),
                Known::Whole(message) => verify::Artifact::Message(message),
            };
            signature.judge(&artifact, &verifier.policy, &verifier.root, verifier.clock.now())
        };
        host::off_thread(work).await.unwrap_or_else(|error| {
            let expected = "a thread to verify it on".to_owned();
            Err(verify::Error::Artifact { expected, found: error.to_string() })
        })
    }

    /// The certificate or the bundle names the algorithm; a known key may use another.
    fn algorithms(&self, signature: &FileSignature) -> Result<Vec<HashAlgorithm>, verify::Error> {
        let mut algorithms = vec![signature.hash_algorithm()?];
        for key in self.known_keys() {
            let algorithm = key.algorithm().file_hash();
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        Ok(algorithms)
    }

    /// Whether the key also signs whole messages instead of digests.
    fn may_be_over_the_message(&self, signature: &FileSignature) -> bool {
        let whole = |key: &PublicKey| key.algorithm() == KeyAlgorithm::Ed25519;
        match signature.certificate() {
            Some(certificate) => whole(certificate.public_key()),
            None => self.known_keys().any(whole),
        }
    }

    fn known_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.policy.rule().signers().iter().filter_map(AcceptedSigner::public_key)
    }
}

/// What is known of a file.
enum Known {
    Digests(Vec<Digest>),
    Whole(Vec<u8>),
}

impl fmt::Debug for FileVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileVerifier").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// A file with an acceptable signature.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifiedFile {
    /// The file as it was named.
    pub file: PathBuf,
    /// Who signed, when, and what.
    pub verified: Verified,
    /// The digest of the bundle; `None` for cosign's earlier formats.
    pub bundle_digest: Option<Digest>,
}

impl VerifiedFile {
    /// Who signed.
    pub fn signer(&self) -> SignerName {
        SignerName::of(&self.verified)
    }

    /// What `ambisign verify-blob --output json` prints.
    pub fn report(&self) -> FileVerificationReport {
        let digest = self.verified.digest();
        FileVerificationReport {
            file: self.file.display().to_string(),
            digest: format!("{}:{}", digest.algorithm().name(), digest.to_hex()),
            predicate_type: self
                .verified
                .statement()
                .map(Statement::predicate_type)
                .map(str::to_owned),
            optional: facts(&self.verified, self.bundle_digest.as_ref()),
        }
    }
}

/// What is reported of a verified file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FileVerificationReport {
    /// The file as it was named.
    pub file: String,
    /// The digest that was verified.
    pub digest: String,
    /// The predicate type of an attestation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicate_type: Option<String>,
    /// Verified facts, by the names of the certificate's extensions, cosign's and ours.
    pub optional: Map<String, Value>,
}

/// The largest file that is held in memory, in bytes: cosign's limit for attachments.
const MESSAGE_CAP: usize = 128 << 20;
