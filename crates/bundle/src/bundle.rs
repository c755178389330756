//! The bundle.

use crate::constants::MEDIA_TYPE_V0_3;
use crate::entry::LogEntry;
use crate::envelope::Envelope;

/// A Sigstore bundle: what was signed with what, and everything needed to check it offline.
///
/// Valid by construction: every one obeys the structural rules of its version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bundle {
    pub(crate) version: Version,
    pub(crate) material: VerificationMaterial,
    pub(crate) content: Content,
    pub(crate) entries: Vec<LogEntry>,
    pub(crate) timestamps: Vec<Vec<u8>>,
}

/// The version of the bundle format a bundle was read as.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// v0.1: every log entry has a promise.
    V0_1,
    /// v0.2: every log entry has a proof.
    V0_2,
    /// v0.3: as v0.2, and the leaf certificate stands alone.
    V0_3,
}

/// Who signed, unverified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VerificationMaterial {
    /// The leaf certificate, DER.
    Certificate(Vec<u8>),
    /// A chain, DER, leaf first (v0.1 and v0.2). Never empty.
    Chain(Vec<Vec<u8>>),
    /// A key the verifier has already.
    PublicKey {
        /// Which one: by convention base64 of the SHA-256 of its SPKI. It is not signed.
        hint: Option<String>,
    },
}

/// What was signed, with the signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// A DSSE envelope, with its payload inside.
    Envelope(Envelope),
    /// A signature over an artifact that is elsewhere.
    Message {
        /// The artifact's digest: a hint that does not replace hashing the artifact. A bundle has
        /// one; the formats before bundles have none.
        digest: Option<MessageDigest>,
        /// The raw signature.
        signature: Vec<u8>,
    },
}

/// A digest as the bundle spells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageDigest {
    /// The algorithm by its Sigstore name, as `SHA2_256`.
    pub algorithm: String,
    /// The digest, of the algorithm's length.
    pub digest: Vec<u8>,
}

impl Bundle {
    /// The version it was read as; built ones are v0.3.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Who signed, unverified.
    pub fn material(&self) -> &VerificationMaterial {
        &self.material
    }

    /// What was signed.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The log entries, at most [`MAX_LOG_ENTRIES`](crate::MAX_LOG_ENTRIES), no two alike.
    pub fn log_entries(&self) -> &[LogEntry] {
        &self.entries
    }

    /// The RFC 3161 responses (DER, `TimeStampResp`), at most
    /// [`MAX_TIMESTAMPS`](crate::MAX_TIMESTAMPS), no two alike.
    pub fn timestamps(&self) -> &[Vec<u8>] {
        &self.timestamps
    }

    /// The raw signature: what a timestamp is over.
    pub fn signature(&self) -> &[u8] {
        match &self.content {
            Content::Message { signature, .. } => signature,
            // The rules guarantee exactly one.
            Content::Envelope(envelope) => envelope.signatures.first().map_or(&[], |s| &s.sig),
        }
    }
}

impl Version {
    /// The media type of this version.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::V0_1 => "application/vnd.dev.sigstore.bundle+json;version=0.1",
            Self::V0_2 => "application/vnd.dev.sigstore.bundle+json;version=0.2",
            Self::V0_3 => MEDIA_TYPE_V0_3,
        }
    }
}
