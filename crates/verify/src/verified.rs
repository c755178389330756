use std::time::SystemTime;

use bundle::Statement;
use keys::{Digest, PublicKey};
use x509::{Certificate, FulcioExtension, SubjectName};

use crate::accepted::Identity;
use crate::claims::{Claims, NO_ANNOTATIONS, SimpleSigning};
use crate::text::{plain, quote};

/// A verified signature: by which signer, when, over what.
///
/// Only [`verify()`](crate::verify()) and [`verify_legacy`](crate::verify_legacy) make one.
#[derive(Clone, Debug)]
pub struct Verified {
    pub(crate) signer: Signer,
    pub(crate) times: Vec<VerifiedTime>,
    pub(crate) entries: Vec<VerifiedEntry>,
    pub(crate) content: SignedContent,
    pub(crate) digest: Digest,
    pub(crate) warnings: Vec<Warning>,
}

#[derive(Clone, Debug)]
pub(crate) enum Signer {
    Certificate { certificate: Box<Certificate>, identity: Identity },
    Key(Box<PublicKey>),
}

/// What was signed.
#[derive(Clone, Debug)]
pub(crate) enum SignedContent {
    /// The artifact itself.
    Artifact,
    SimpleSigning(SimpleSigning),
    /// A statement, and which of its subjects is the artifact.
    Statement {
        statement: Statement,
        subject: usize,
    },
}

/// A time at which the signature is proven to have existed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct VerifiedTime {
    /// The time.
    pub time: SystemTime,
    /// Where it comes from.
    pub source: TimeSource,
}

/// Where a verified time comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TimeSource {
    /// The caller: the time of verification, when logs are ignored and there is no timestamp.
    Clock,
    /// A log, by its signed entry timestamp.
    Log,
    /// A timestamp authority.
    Timestamp,
}

/// A verified entry of a trusted log.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct VerifiedEntry {
    /// The log's base URL in the trusted root.
    pub log_url: String,
    /// The log's id.
    pub log_id: Vec<u8>,
    /// The index that the log signed or that the inclusion proof proves: of Rekor v1 over all of
    /// its shards, of Rekor v2 in this log. `None` for an entry of Rekor v1 that has an inclusion
    /// proof only: the proof is about one shard and says nothing about the index over all of them.
    pub log_index: Option<u64>,
    /// The index that the entry claims, verified or not.
    pub claimed_log_index: u64,
    /// The time in the log's signed entry timestamp, if there is one.
    pub integrated_time: Option<SystemTime>,
}

/// Something unusual that does not change the verdict.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The bundle hints at another key than the one that verifies it.
    #[error("the bundle's key hint is {}, the key's is {}", quote(.found), quote(.expected))]
    KeyHint {
        /// The hint of the key that verifies it.
        expected: String,
        /// The hint in the bundle.
        found: String,
    },
    /// The envelope's signature has a key id that does not name the key that made it. Key ids are
    /// not signed, and tools form them by different conventions.
    #[error(
        "the envelope's key id is {}, the signer's key is {}",
        quote(.found),
        quote(.expected)
    )]
    KeyId {
        /// The usual key id: base64 of the SHA-256 of the key's SPKI.
        expected: String,
        /// The key id in the envelope.
        found: String,
    },
    /// An entry comes from a log that is not in the trusted root. It was ignored.
    #[error("log entry {entry} is ignored: its log {} is not in the trusted root", plain(.log_id))]
    UnknownLog {
        /// Which entry, from 0.
        entry: usize,
        /// The log's id, in hex.
        log_id: String,
    },
}

impl Verified {
    /// The signer's certificate; `None` for a known key.
    pub fn certificate(&self) -> Option<&Certificate> {
        match &self.signer {
            Signer::Certificate { certificate, .. } => Some(certificate),
            Signer::Key(_) => None,
        }
    }

    /// The signer's identity; `None` for a known key.
    pub fn subject_name(&self) -> Option<&SubjectName> {
        self.identity().map(|identity| &identity.subject)
    }

    /// The OIDC issuer of the identity.
    pub fn issuer(&self) -> Option<&str> {
        self.identity()?.issuer.as_deref()
    }

    /// Everything else that Fulcio wrote about the identity, in the order of the certificate.
    pub fn extensions(&self) -> &[FulcioExtension] {
        self.identity().map_or(&[], |identity| &identity.extensions)
    }

    /// The key that made the signature.
    pub fn public_key(&self) -> &PublicKey {
        match &self.signer {
            Signer::Certificate { certificate, .. } => certificate.public_key(),
            Signer::Key(key) => key,
        }
    }

    /// The verified times, one for each source; the signature existed at the earliest of them.
    /// Empty only for a known key.
    pub fn times(&self) -> &[VerifiedTime] {
        &self.times
    }

    /// The verified log entries. Empty only when logs were ignored.
    pub fn log_entries(&self) -> &[VerifiedEntry] {
        &self.entries
    }

    /// The statement, when the bundle holds one.
    pub fn statement(&self) -> Option<&Statement> {
        match &self.content {
            SignedContent::Statement { statement, .. } => Some(statement),
            SignedContent::Artifact | SignedContent::SimpleSigning(_) => None,
        }
    }

    /// The simple-signing document, when the signature is one of an image in cosign's earlier
    /// format.
    pub fn simple_signing(&self) -> Option<&SimpleSigning> {
        match &self.content {
            SignedContent::SimpleSigning(document) => Some(document),
            SignedContent::Artifact | SignedContent::Statement { .. } => None,
        }
    }

    /// What the signer said about the artifact. Report it apart from the verified facts, which are
    /// what the other methods return.
    pub fn claims(&self) -> Claims<'_> {
        let nothing = Claims { repository: None, annotations: &NO_ANNOTATIONS };
        match &self.content {
            SignedContent::Artifact => nothing,
            SignedContent::SimpleSigning(document) => Claims {
                repository: document.docker_reference(),
                annotations: document.annotations(),
            },
            SignedContent::Statement { statement, subject } => {
                statement.subjects().get(*subject).map_or(nothing, |subject| Claims {
                    repository: subject.name.as_deref(),
                    annotations: &subject.annotations,
                })
            }
        }
    }

    /// The digest of the artifact that the signature, or the statement's subject, is about.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Unusual things that do not change the verdict.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    pub(crate) fn identity(&self) -> Option<&Identity> {
        match &self.signer {
            Signer::Certificate { identity, .. } => Some(identity),
            Signer::Key(_) => None,
        }
    }
}
