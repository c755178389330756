//! Which keys sign by which schemes.

use keys::{HashAlgorithm, KeyAlgorithm, PublicKey, Scheme};

/// The schemes by which `key` may have signed a message, the usual one first. The others are those
/// of older clients, or of clients that sign the whole message.
pub(crate) fn schemes(key: &PublicKey) -> Vec<Scheme> {
    match key.algorithm() {
        KeyAlgorithm::EcdsaP256 => vec![Scheme::EcdsaP256Sha256],
        KeyAlgorithm::EcdsaP384 => vec![Scheme::EcdsaP384Sha384, Scheme::EcdsaP384Sha256],
        KeyAlgorithm::EcdsaP521 => vec![Scheme::EcdsaP521Sha512, Scheme::EcdsaP521Sha256],
        KeyAlgorithm::Ed25519 => vec![Scheme::Ed25519ph, Scheme::Ed25519],
        KeyAlgorithm::Rsa { bits } => {
            vec![Scheme::RsaPkcs1Sha256 { bits }, Scheme::RsaPssSha256 { bits }]
        }
    }
}

/// The digests of a message that `key` may have signed.
pub(crate) fn hashes(key: &PublicKey) -> Vec<HashAlgorithm> {
    schemes(key).into_iter().filter_map(Scheme::hash).collect()
}

/// The digest of a message that `key` usually signs. An Ed25519 key signs the SHA-512 digest.
pub(crate) fn message_hash(key: &PublicKey) -> HashAlgorithm {
    key.algorithm().file_hash()
}

/// The digests that count in a statement. Weaker ones never do.
pub(crate) const ACCEPTED: [HashAlgorithm; 3] =
    [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];
