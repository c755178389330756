//! Verifying files.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{Clock, FileError};
use keys::{Digest, HashAlgorithm, KeyAlgorithm, PublicKey};
use serde::Serialize;
use serde_json::{Map, Value};
use trust_root::TrustedRoot;
use verify::{AcceptedSigner, Policy, Verified};

use crate::accepted::VerifiedSignature;
use crate::file::artifact::Artifact;
use crate::file::error::{Error, Missing};
use crate::file::lookup::LogSearch;
use crate::file::offered::{Offered, Signatures};
use crate::file::signature::FileSignature;
use crate::refusal::{Reason, Refusal};
use crate::report::facts;
use crate::verdict::NotAcceptable;

/// Verifies files by one policy.
#[derive(Clone)]
pub struct FileVerifier {
    policy: Policy,
    root: Arc<TrustedRoot>,
    clock: Arc<dyn Clock>,
    search: Option<LogSearch>,
}

impl FileVerifier {
    /// Verifies by `policy`, trusting the authorities of `root`. Where `root` is of an instance
    /// without logs, the policy is [suited to it](Policy::suited_to).
    pub fn new(policy: Policy, root: Arc<TrustedRoot>, clock: Arc<dyn Clock>) -> Self {
        Self { policy: policy.suited_to(&root), root, clock, search: None }
    }

    /// Asks the logs for the entry of a signature that has none: of a detached one, say.
    #[must_use]
    pub fn with_log_search(self, search: LogSearch) -> Self {
        Self { search: Some(search), ..self }
    }

    /// Verifies that `signature` is an acceptable signature of `artifact`. A file is read once, as a
    /// stream; a second time, whole, only for a signature that is not over a digest.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Read`] and [`Error::Whole`]; [`Error::NotAcceptable`] when the
    /// policy asks for more signatures than one.
    pub async fn verify(
        &self,
        artifact: &Artifact,
        signature: &FileSignature,
    ) -> Result<VerifiedFile, Error> {
        if self.policy.rule().threshold() > 1 {
            return self.verify_among(artifact, &signature.clone().into()).await;
        }
        let refused = |source| Error::Refused {
            file: artifact.name().to_owned(),
            certificate: signature.certificate().map(Box::new),
            source: Box::new(source),
        };
        let algorithms = self.algorithms([signature]).map_err(refused)?;
        let digests = digests(artifact, &algorithms).await?;
        let judged = self.judge_with(artifact, digests, signature).await?;
        let verified = judged.map_err(refused)?;
        let bundle_digest = signature.bundle_digest().cloned();
        let signatures = vec![VerifiedSignature { verified, bundle_digest, envelope: None }];
        Ok(VerifiedFile { file: artifact.name().to_owned(), signatures })
    }

    /// Verifies that enough of the `offered` signatures are acceptable signatures of `artifact`: one,
    /// or as many as the policy's rule asks for. Those of other files are passed over, and those of
    /// another kind.
    ///
    /// # Errors
    /// [`Error::NotAcceptable`] with the reason for each; [`Error::NoSignature`] when none is about
    /// the file; of a single signature, as [`verify`](Self::verify), and [`Error::Log`].
    pub async fn verify_any(
        &self,
        artifact: &Artifact,
        offered: &Signatures,
    ) -> Result<VerifiedFile, Error> {
        match offered.all() {
            [Offered::Signature(one)] => match &self.search {
                Some(search) => self.verify_detached(artifact, one, search).await,
                None => self.verify(artifact, one).await,
            },
            _ => self.verify_among(artifact, offered).await,
        }
    }

    /// Where the log entry is what is missing, the logs are asked for it, once everything else was found
    /// to be right.
    async fn verify_detached(
        &self,
        artifact: &Artifact,
        signature: &FileSignature,
        search: &LogSearch,
    ) -> Result<VerifiedFile, Error> {
        let error = match self.verify(artifact, signature).await {
            // stdin can be read once only.
            Err(error) if error.lacks_log_entry() && !artifact.is_stdin() => error,
            verified => return verified,
        };
        let mut found = search.find(signature, Some(artifact), self.known_keys().next()).await?;
        match (found.entry, found.failed.pop()) {
            (Some(entry), _) => {
                self.verify(artifact, &signature.clone().with_log_entry(entry)).await
            }
            (None, Some(failed)) => Err(Error::Log(Box::new(failed))),
            (None, None) => Err(error),
        }
    }

    async fn verify_among(
        &self,
        artifact: &Artifact,
        offered: &Signatures,
    ) -> Result<VerifiedFile, Error> {
        let required = self.policy.rule().threshold();
        let algorithms = self.algorithms(offered.readable()).unwrap_or_default();
        let digests = digests(artifact, &algorithms).await?;
        let (about, others) = self.about(&digests, offered).await?;
        let (mut accepted, mut refused): (Vec<VerifiedSignature>, Vec<_>) = Default::default();
        let decide = |accepted: &[VerifiedSignature]| {
            self.policy.rule().decide(accepted.iter().map(|it| &it.verified))
        };
        for signature in &about {
            match self.judge_with(artifact, digests.clone(), signature).await? {
                Ok(verified) => {
                    let bundle_digest = signature.bundle_digest().cloned();
                    accepted.push(VerifiedSignature { verified, bundle_digest, envelope: None });
                    if decide(&accepted).is_enough() {
                        break;
                    }
                }
                Err(error) => {
                    let refusal = Refusal::new(&*signature.name, Reason::Refused(error));
                    let certificate = signature.certificate().map(Box::new);
                    refused.push(Refusal { certificate, ..refusal });
                }
            }
        }
        let decision = decide(&accepted);
        let file = artifact.name().to_owned();
        if decision.is_enough() {
            let is_needed = |at| decision.matches.iter().any(|found| found.candidate == at);
            let needed = accepted.into_iter().enumerate().filter(|(at, _)| is_needed(*at));
            return Ok(VerifiedFile { file, signatures: needed.map(|(_, it)| it).collect() });
        }
        for offered in offered.all() {
            if let Offered::Unreadable(name, reason) = offered {
                refused.push(Refusal::new(name, Reason::Unusable(reason.clone())));
            }
        }
        if accepted.is_empty() && refused.is_empty() {
            let digest = digests.first().map(ToString::to_string).unwrap_or_default();
            let source = Missing::Among { bundles: offered.all().len(), digest, others };
            return Err(Error::NoSignature { file, source });
        }
        Err(Error::NotAcceptable(Box::new(NotAcceptable {
            image: file.display().to_string(),
            purpose: self.policy.purpose().clone(),
            found: decision.matches.len(),
            required,
            accepted,
            refused,
        })))
    }

    /// The signatures that may be about the file with these digests and are of the kind that is
    /// looked for; and what the others about it are, each once.
    async fn about(
        &self,
        digests: &[Digest],
        offered: &Signatures,
    ) -> Result<(Vec<FileSignature>, Vec<String>), Error> {
        let (digests, offered) = (digests.to_vec(), offered.clone());
        let policy = self.policy.clone();
        let work = move || {
            let artifact = verify::Artifact::Digests(&digests);
            let (mut about, mut others) = (Vec::new(), Vec::new());
            for signature in offered.readable().filter(|it| it.may_be_about(&artifact)) {
                match signature.other_purpose(&policy) {
                    None => about.push(signature.clone()),
                    Some(other) if others.contains(&other) => (),
                    Some(other) => others.push(other),
                }
            }
            (about, others)
        };
        let found = host::off_thread(work).await;
        found.map_err(|error| FileError::from_io(Path::new("bundles"), error).into())
    }

    /// Judges one signature of the file with these digests. The error says that the file could not
    /// be read.
    async fn judge_with(
        &self,
        artifact: &Artifact,
        digests: Vec<Digest>,
        signature: &FileSignature,
    ) -> Result<Result<Verified, verify::Error>, Error> {
        let by_digest = self.judge(Known::Digests(digests), signature).await;
        Ok(match (by_digest, artifact) {
            (Err(verify::Error::Artifact { .. }), Artifact::File(file))
                if self.may_be_over_the_message(signature) && !file.is_standard() =>
            {
                let whole = file.read(MESSAGE_CAP).await;
                let unread = |source| Error::Whole { file: artifact.name().to_owned(), source };
                self.judge(Known::Whole(whole.map_err(unread)?), signature).await
            }
            (judged, _) => judged,
        })
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

    /// The certificate or the bundle names the algorithm; a known key may use another. The error is
    /// that of the only signature; of several, one that can be read is enough.
    fn algorithms<'a>(
        &self,
        signatures: impl IntoIterator<Item = &'a FileSignature>,
    ) -> Result<Vec<HashAlgorithm>, verify::Error> {
        let (mut algorithms, mut unread) = (BTreeSet::new(), None);
        for signature in signatures {
            match signature.hash_algorithm() {
                Ok(algorithm) => _ = algorithms.insert(algorithm),
                Err(error) => unread = Some(error),
            }
        }
        if let (true, Some(error)) = (algorithms.is_empty(), unread) {
            return Err(error);
        }
        algorithms.extend(self.known_keys().map(|key| key.algorithm().file_hash()));
        Ok(algorithms.into_iter().collect())
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

/// The digests of the artifact by `algorithms`, SHA-256 where none is asked for.
async fn digests(
    artifact: &Artifact,
    algorithms: &[HashAlgorithm],
) -> Result<Vec<Digest>, FileError> {
    match artifact {
        Artifact::Digest { digest, .. } => Ok(vec![digest.clone()]),
        Artifact::File(file) if algorithms.is_empty() => {
            file.digests(&[HashAlgorithm::Sha256]).await
        }
        Artifact::File(file) => file.digests(algorithms).await,
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

/// A file with as many acceptable signatures as are required.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifiedFile {
    /// The file as it was named.
    pub file: PathBuf,
    /// The signatures that were enough: at least one.
    pub signatures: Vec<VerifiedSignature>,
}

impl VerifiedFile {
    /// What a program tells people: cosign's words, behind the name of the file where there are
    /// `several`.
    pub fn line(&self, several: bool) -> String {
        let name = several.then(|| format!("{}: ", self.file.display()));
        format!("{}Verified OK", name.unwrap_or_default())
    }

    /// What `ambisign verify-blob --output json` prints: a line for each signature.
    pub fn reports(&self) -> Vec<FileVerificationReport> {
        let report = |signature: &VerifiedSignature| {
            let (verified, digest) = (&signature.verified, signature.verified.digest());
            let statement = verified.statement();
            FileVerificationReport {
                file: self.file.display().to_string(),
                digest: format!("{}:{}", digest.algorithm().name(), digest.to_hex()),
                predicate_type: statement.map(|it| it.predicate_type().to_owned()),
                optional: facts(verified, signature.bundle_digest.as_ref()),
            }
        };
        self.signatures.iter().map(report).collect()
    }
}

/// What is reported of a verified file.
#[derive(Clone, Debug, Serialize)]
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
