//! The bodies of log entries: what Rekor says about a signature in a leaf of its log.
//!
//! Reading checks the shape and decodes what is encoded; fields that this crate does not know are
//! ignored. Whether a body is about the right signature, key and content is for the caller to
//! compare. Writing is canonical (RFC 8785), so a body that is compared byte for byte can be
//! rebuilt.

/// The body of one log entry.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LogBody {
    /// `dsse` 0.0.1: a signed envelope.
    Dsse001(Dsse001),
    /// `hashedrekord` 0.0.1: a signature over a digest.
    HashedRekord001(HashedRekord001),
    /// `hashedrekord` 0.0.2: a signature over a digest, the only kind of Rekor v2.
    HashedRekord002(HashedRekord002),
    /// `intoto` 0.0.2: a signed envelope.
    Intoto002(Intoto002),
}

/// The kind and version of a body.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum LogKind {
    /// `dsse` 0.0.1.
    Dsse001,
    /// `hashedrekord` 0.0.1.
    HashedRekord001,
    /// `hashedrekord` 0.0.2.
    HashedRekord002,
    /// `intoto` 0.0.2.
    Intoto002,
}

/// A digest as Rekor v1 writes it: not decoded, because the log keeps the spelling it was sent.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct LoggedHash {
    /// The algorithm's name, as `sha256`.
    pub algorithm: String,
    /// The digest in hexadecimal, in either case.
    pub value: String,
}

/// A signature with what verifies it, as Rekor v1 writes them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoggedSignature {
    /// The raw signature.
    pub signature: Vec<u8>,
    /// A certificate chain or a public key, as PEM text.
    pub verifier: Vec<u8>,
}

/// `hashedrekord` 0.0.1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HashedRekord001 {
    /// The digest of the artifact.
    pub hash: LoggedHash,
    /// The signature over it.
    pub signature: LoggedSignature,
}

/// `hashedrekord` 0.0.2.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HashedRekord002 {
    /// The hash algorithm by its Sigstore name, as `SHA2_256`.
    pub algorithm: String,
    /// The digest of what was signed.
    pub digest: Vec<u8>,
    /// The raw signature.
    pub signature: Vec<u8>,
    /// How it was made, as `PKIX_ECDSA_P256_SHA_256`.
    pub key_details: String,
    /// What verifies it.
    pub verifier: LoggedVerifier,
}

/// What verifies the signature of a [`HashedRekord002`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LoggedVerifier {
    /// A certificate, DER.
    Certificate(Vec<u8>),
    /// A public key, DER SubjectPublicKeyInfo.
    PublicKey(Vec<u8>),
}

/// `dsse` 0.0.1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dsse001 {
    /// The digest of the envelope as it was sent. Not every body has it.
    pub envelope_hash: Option<LoggedHash>,
    /// The digest of the payload.
    pub payload_hash: LoggedHash,
    /// The signatures of the envelope.
    pub signatures: Vec<LoggedSignature>,
}

/// `intoto` 0.0.2.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Intoto002 {
    /// The payload type of the envelope.
    pub payload_type: String,
    /// The digest of the envelope as it was sent. Not every body has it.
    pub hash: Option<LoggedHash>,
    /// The digest of the payload.
    pub payload_hash: LoggedHash,
    /// The signatures of the envelope, each with the `keyid` it may have.
    pub signatures: Vec<(LoggedSignature, Option<String>)>,
}

impl LogKind {
    /// The kind that a log entry calls by this `kind` and `version`.
    pub fn of(kind: &str, version: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| (it.kind(), it.version()) == (kind, version))
    }

    /// Its `kind`, as `hashedrekord`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Dsse001 => "dsse",
            Self::HashedRekord001 | Self::HashedRekord002 => "hashedrekord",
            Self::Intoto002 => "intoto",
        }
    }

    /// Its `apiVersion`, as `0.0.2`.
    pub fn version(self) -> &'static str {
        match self {
            Self::Dsse001 | Self::HashedRekord001 => "0.0.1",
            Self::HashedRekord002 | Self::Intoto002 => "0.0.2",
        }
    }

    const ALL: [Self; 4] =
        [Self::Dsse001, Self::HashedRekord001, Self::HashedRekord002, Self::Intoto002];
}

impl LogBody {
    /// Its kind and version.
    pub fn kind(&self) -> LogKind {
        match self {
            Self::Dsse001(_) => LogKind::Dsse001,
            Self::HashedRekord001(_) => LogKind::HashedRekord001,
            Self::HashedRekord002(_) => LogKind::HashedRekord002,
            Self::Intoto002(_) => LogKind::Intoto002,
        }
    }
}
