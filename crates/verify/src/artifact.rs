use bundle::{Bundle, Content, VerificationMaterial};
use keys::{Digest, HashAlgorithm};
use x509::Certificate;

use crate::candidate::certificates;
use crate::check::{Check, Error};
use crate::scheme::{ACCEPTED, hashes, message_hash};
use crate::text::{digest_name, plain};

/// What is known of the artifact that the signature should be about.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Artifact<'a> {
    /// Its digest: enough for everything but pure Ed25519 signatures.
    Digest(&'a Digest),
    /// Several digests of the same artifact, each by another algorithm.
    Digests(&'a [Digest]),
    /// The artifact itself.
    Message(&'a [u8]),
}

impl Artifact<'_> {
    /// Its digest by `algorithm`, when it is known.
    pub fn digest(&self, algorithm: HashAlgorithm) -> Option<Digest> {
        match self {
            Self::Digest(digest) => (digest.algorithm() == algorithm).then(|| (*digest).clone()),
            Self::Digests(digests) => {
                digests.iter().find(|digest| digest.algorithm() == algorithm).cloned()
            }
            Self::Message(message) => Some(Digest::of(algorithm, message)),
        }
    }

    /// The digests that are given, or the usual one of a message, for error messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Digest(digest) => digest_name(digest),
            Self::Digests([]) => "unknown".to_owned(),
            Self::Digests(digests) => {
                digests.iter().map(digest_name).collect::<Vec<_>>().join(", ")
            }
            Self::Message(message) => digest_name(&Digest::sha256(message)),
        }
    }

    /// The digest of an image. Registries name images by SHA-256, rarely by another algorithm.
    pub(crate) fn image(&self) -> Result<Digest, Error> {
        let digest = ACCEPTED.into_iter().find_map(|algorithm| self.digest(algorithm));
        digest.ok_or_else(|| Error::Artifact {
            expected: "the digest of the image".to_owned(),
            found: self.describe(),
        })
    }
}

/// The algorithm to hash a file with before its signature can be verified: what the signer's key
/// signs, or what the statement names its subjects by.
///
/// This reads unverified parts of the bundle: a wrong answer makes the verification fail, never
/// succeed.
///
/// # Errors
///
/// When the certificate cannot be read, or the bundle uses an algorithm that is not supported.
pub fn hash_algorithm(bundle: &Bundle) -> Result<HashAlgorithm, Error> {
    match bundle.content() {
        Content::Envelope(envelope) => {
            let statement = envelope.statement().map_err(Check::Statement)?;
            let named = |algorithm: &HashAlgorithm| {
                let name = algorithm.name();
                statement.subjects().iter().any(|subject| subject.digests.contains_key(name))
            };
            Ok(ACCEPTED.into_iter().find(named).unwrap_or(HashAlgorithm::Sha256))
        }
        Content::Message { digest: Some(digest), .. } => {
            if let Some(certificate) = certificate(bundle) {
                check_algorithm(&digest.algorithm, &hashes(certificate.public_key()))?;
            }
            HashAlgorithm::from_sigstore_name(&digest.algorithm).ok_or_else(|| Error::Artifact {
                expected: format!("a digest by {}, which is not supported", digest.algorithm),
                found: "a digest by another algorithm".to_owned(),
            })
        }
        Content::Message { digest: None, .. } => material_hash(bundle.material()),
    }
}

/// The digest of a message that the certificate's key usually signs.
pub(crate) fn material_hash(material: &VerificationMaterial) -> Result<HashAlgorithm, Error> {
    match certificates(material) {
        Some((leaf, _)) => {
            let certificate = Certificate::from_der(leaf).map_err(Check::Certificate)?;
            Ok(message_hash(certificate.public_key()))
        }
        None => Ok(HashAlgorithm::Sha256),
    }
}

/// The certificate that the bundle says is the signer's, if it has one that can be read. It is not
/// verified.
pub fn certificate(bundle: &Bundle) -> Option<Certificate> {
    material_certificate(bundle.material())
}

pub(crate) fn material_certificate(material: &VerificationMaterial) -> Option<Certificate> {
    Certificate::from_der(certificates(material)?.0).ok()
}

/// Requires that the digest in a bundle, by its Sigstore name, is by one of the `signed` ones.
pub(crate) fn check_algorithm(named: &str, signed: &[HashAlgorithm]) -> Result<(), Check> {
    if signed.iter().any(|algorithm| algorithm.sigstore_name() == named) {
        return Ok(());
    }
    let expected: Vec<_> = signed.iter().map(|algorithm| algorithm.sigstore_name()).collect();
    Err(Check::DigestAlgorithm { expected: expected.join(" or "), found: plain(named) })
}
