use bundle::Envelope;
use keys::{Digest, HashAlgorithm, PublicKey, Scheme};
use x509::Certificate;

use crate::error::Error;
use crate::version::ApiVersion;

/// What is to be logged.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A signature over a digest.
    Hashed {
        /// The digest of what was signed, by the scheme's hash.
        digest: &'a Digest,
        /// The raw signature.
        signature: &'a [u8],
        /// How it was made.
        scheme: Scheme,
        /// What verifies it.
        verifier: Verifier<'a>,
    },
    /// A signed envelope. Version 1 logs it as `dsse`; version 2 as a signature over the digest of
    /// its pre-authentication encoding.
    Envelope {
        /// The envelope, with exactly one signature.
        envelope: &'a Envelope,
        /// How its signature was made.
        scheme: Scheme,
        /// What verifies it.
        verifier: Verifier<'a>,
    },
}

/// What verifies a signature.
#[derive(Clone, Copy, Debug)]
pub enum Verifier<'a> {
    /// The key of this certificate.
    Certificate(&'a Certificate),
    /// This key.
    PublicKey(&'a PublicKey),
}

impl Entry<'_> {
    /// Refuses what the log would refuse without a clear reason, or accept although it cannot be
    /// verified.
    pub(crate) fn check(&self, version: ApiVersion) -> Result<(), Error> {
        let refuse = |reason: String| Err(Error::Unloggable { reason });
        match *self {
            Self::Hashed { digest, scheme, .. } => match scheme.hash() {
                None => refuse(format!(
                    "a log entry holds a digest, and {scheme} verifies from the whole message only"
                )),
                Some(hash) if hash != digest.algorithm() => refuse(format!(
                    "expected a digest by {hash}, the hash of {scheme}, found one by {}",
                    digest.algorithm()
                )),
                Some(_) => Ok(()),
            },
            Self::Envelope { envelope, scheme, .. } => {
                if envelope.signatures.len() != 1 {
                    return refuse(format!(
                        "expected an envelope with exactly one signature, found {}",
                        envelope.signatures.len()
                    ));
                }
                match (version, scheme.hash()) {
                    (ApiVersion::V2, None) => refuse(format!(
                        "a log of version 2 holds the envelope's digest, and {scheme} verifies \
                         from the whole envelope only"
                    )),
                    // Version 1 verifies every envelope with SHA-256, whatever the key.
                    (ApiVersion::V1, Some(hash)) if hash != HashAlgorithm::Sha256 => {
                        refuse(format!(
                            "a log of version 1 verifies envelopes with sha256, and {scheme} is \
                             over {hash}; a log of version 2 takes it"
                        ))
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

/// The digest of the pre-authentication encoding of `envelope`, which is not built for it: a payload
/// may be large.
pub fn encoding_digest(envelope: &Envelope, hash: HashAlgorithm) -> Digest {
    Digest::of_pieces(hash, envelope.pae_pieces())
}

impl Verifier<'_> {
    /// As a log of version 1 has it.
    pub(crate) fn to_pem(self) -> String {
        match self {
            Self::Certificate(certificate) => certificate.to_pem(),
            Self::PublicKey(key) => key.to_pem(),
        }
    }

    /// Whether `pem` is this very certificate or key. The log writes PEM its own way, so text is
    /// no measure.
    pub(crate) fn is(self, pem: &[u8]) -> bool {
        let Ok(pem) = std::str::from_utf8(pem) else { return false };
        match self {
            Self::Certificate(ours) => {
                Certificate::from_pem(pem).is_ok_and(|theirs| theirs.der() == ours.der())
            }
            Self::PublicKey(ours) => PublicKey::from_pem(pem).is_ok_and(|theirs| theirs == *ours),
        }
    }

    /// For errors: a name of it that fits on a line.
    pub(crate) fn fingerprint(self) -> String {
        match self {
            Self::Certificate(certificate) => Digest::sha256(certificate.der()).to_string(),
            Self::PublicKey(key) => Digest::sha256(key.spki()).to_string(),
        }
    }
}
