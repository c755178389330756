use bundle::{Bundle, Content, Statement, VerificationMaterial};
use keys::{Digest, HashAlgorithm, PublicKey};
use x509::Certificate;

use crate::check::{Check, Error};
use crate::signature::{check_algorithm, hashes};

/// What the signature should be of.
#[derive(Clone, Copy, Debug)]
pub enum Artifact<'a> {
    /// Its digest: enough for everything but pure Ed25519 signatures.
    Digest(&'a Digest),
    /// Several digests of the same artifact, each of another algorithm.
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

    /// The digests that are given, or the usual one of a message: for telling people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Digest(digest) => name(digest),
            Self::Digests([]) => "unknown".to_owned(),
            Self::Digests(digests) => digests.iter().map(name).collect::<Vec<_>>().join(", "),
            Self::Message(message) => name(&Digest::sha256(message)),
        }
    }
}

/// The algorithm to hash a file with before its signature can be checked: what the signer's key
/// takes, or what the statement names its subjects by.
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
            let statement = Statement::parse(&envelope.payload).map_err(Check::Statement)?;
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
                expected: format!("a digest by {}", digest.algorithm),
                found: "an algorithm that is not supported".to_owned(),
            })
        }
        Content::Message { digest: None, .. } => hash_of_message(bundle.material()),
    }
}

/// What a signer of messages hashes by: the certificate's key says so.
pub(crate) fn hash_of_message(material: &VerificationMaterial) -> Result<HashAlgorithm, Error> {
    match leaf(material) {
        Some(der) => {
            let certificate = Certificate::from_der(der).map_err(Check::Certificate)?;
            Ok(hash_of(certificate.public_key()))
        }
        None => Ok(HashAlgorithm::Sha256),
    }
}

/// The certificate that the bundle says is the signer's, if it has one that can be read. Nobody has
/// verified it.
pub fn certificate(bundle: &Bundle) -> Option<Certificate> {
    Certificate::from_der(leaf(bundle.material())?).ok()
}

/// The certificate of the signer, if the bundle has one.
pub(crate) fn leaf(material: &VerificationMaterial) -> Option<&[u8]> {
    match material {
        VerificationMaterial::Certificate(der) => Some(der),
        VerificationMaterial::Chain(chain) => chain.first().map(Vec::as_slice),
        VerificationMaterial::PublicKey { .. } => None,
    }
}

pub(crate) fn name(digest: &Digest) -> String {
    format!("{}:{}", digest.algorithm().name(), digest.to_hex())
}

/// Over a message an Ed25519 key signs the SHA-512 of it.
fn hash_of(key: &PublicKey) -> HashAlgorithm {
    key.default_scheme().hash().unwrap_or(HashAlgorithm::Sha512)
}

/// The digests that count in a statement; weaker ones never do.
pub(crate) const ACCEPTED: [HashAlgorithm; 3] =
    [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];
