use std::time::SystemTime;

use bundle::Statement;
use keys::{Digest, PublicKey};
use x509::{Certificate, FulcioExtension, SubjectName};

use crate::simple_signing::SimpleSigning;

/// A signature that was verified: by whom, when, over what.
///
/// Only [`verify()`](crate::verify()) and [`verify_legacy`](crate::verify_legacy) make one.
#[derive(Clone, Debug)]
pub struct Verified {
    pub(crate) signer: Signer,
    pub(crate) times: Vec<VerifiedTime>,
    pub(crate) entries: Vec<VerifiedEntry>,
    pub(crate) statement: Option<Statement>,
    pub(crate) simple_signing: Option<SimpleSigning>,
    pub(crate) digest: Digest,
    pub(crate) warnings: Vec<Warning>,
}

#[derive(Clone, Debug)]
pub(crate) enum Signer {
    Certificate {
        certificate: Box<Certificate>,
        subject: SubjectName,
        issuer: Option<String>,
        extensions: Vec<FulcioExtension>,
    },
    Key(Box<PublicKey>),
}

/// A moment at which the signature is proven to have existed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VerifiedTime {
    /// The moment.
    pub time: SystemTime,
    /// Who says so.
    pub source: TimeSource,
}

/// Who vouches for a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TimeSource {
    /// Nobody but the caller: the time verified at, when logs are ignored and there is no
    /// timestamp.
    Clock,
    /// A log, by its signed entry timestamp.
    Log,
    /// A timestamp authority.
    Timestamp,
}

/// An entry of a trusted log that was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedEntry {
    /// The log's base URL in the trusted root.
    pub log_url: String,
    /// The log's id.
    pub log_id: Vec<u8>,
    /// The index in the log, of Rekor v1 over all of its shards.
    pub log_index: u64,
    /// The time by the log's signed entry timestamp, if it gave one.
    pub integrated_time: Option<SystemTime>,
}

/// Something odd that does not change the verdict.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The bundle hints at another key than the one it verifies with.
    #[error("the bundle's key hint is {found:?}, the key's is {expected:?}")]
    KeyHint {
        /// The hint of the key given.
        expected: String,
        /// The hint in the bundle.
        found: String,
    },
    /// An entry of a log that is not in the trusted root: it counted for nothing.
    #[error("log entry {entry} is of a log that is not trusted ({log_id}) and was passed over")]
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
        match &self.signer {
            Signer::Certificate { subject, .. } => Some(subject),
            Signer::Key(_) => None,
        }
    }

    /// The OIDC issuer that vouched for the identity.
    pub fn issuer(&self) -> Option<&str> {
        match &self.signer {
            Signer::Certificate { issuer, .. } => issuer.as_deref(),
            Signer::Key(_) => None,
        }
    }

    /// Everything else Fulcio wrote about the identity, in the order of the certificate.
    pub fn extensions(&self) -> &[FulcioExtension] {
        match &self.signer {
            Signer::Certificate { extensions, .. } => extensions,
            Signer::Key(_) => &[],
        }
    }

    /// The key the signature is by.
    pub fn public_key(&self) -> &PublicKey {
        match &self.signer {
            Signer::Certificate { certificate, .. } => certificate.public_key(),
            Signer::Key(key) => key,
        }
    }

    /// When it was signed, at the latest: one moment for each source. Empty only for a known key.
    pub fn times(&self) -> &[VerifiedTime] {
        &self.times
    }

    /// The log entries. Empty only when logs were ignored.
    pub fn log_entries(&self) -> &[VerifiedEntry] {
        &self.entries
    }

    /// What was stated, when the bundle holds a statement.
    pub fn statement(&self) -> Option<&Statement> {
        self.statement.as_ref()
    }

    /// What was claimed, when the signature is one of an image in cosign's earlier format.
    pub fn simple_signing(&self) -> Option<&SimpleSigning> {
        self.simple_signing.as_ref()
    }

    /// The digest of the artifact that the signature, or the statement's subject, is over.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Oddities that do not change the verdict.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}
