//! Signature schemes: which key, which hash, which padding.

use std::fmt;

use crate::{Digest, Error, HashAlgorithm, KeyAlgorithm};

/// What is signed or verified.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// The message itself; the scheme hashes it.
    Message(&'a [u8]),
    /// The message's digest, made with the scheme's hash algorithm.
    Digest(&'a Digest),
}

/// A signature scheme, one for each entry of Sigstore's algorithm registry that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// ECDSA on P-256 with SHA-256: what keyless signing uses.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384Sha384,
    /// ECDSA on P-521 with SHA-512.
    EcdsaP521Sha512,
    /// ECDSA on P-384 with SHA-256, deprecated.
    EcdsaP384Sha256,
    /// ECDSA on P-521 with SHA-256, deprecated.
    EcdsaP521Sha256,
    /// Ed25519 over the message itself.
    Ed25519,
    /// Ed25519ph: over the message's SHA-512, with an empty context.
    Ed25519ph,
    /// RSA with PKCS #1 v1.5 padding and SHA-256.
    RsaPkcs1Sha256 {
        /// The size of the modulus.
        bits: u16,
    },
    /// RSA-PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes.
    RsaPssSha256 {
        /// The size of the modulus.
        bits: u16,
    },
}

impl Scheme {
    /// Its name in Sigstore's `PublicKeyDetails`.
    ///
    /// The registry names RSA keys of 2048, 3072 and 4096 bits; one of another size goes by the
    /// older name without a size (`PKIX_RSA_PKCS1V5`, `PKIX_RSA_PSS`).
    pub fn key_details(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "PKIX_ECDSA_P256_SHA_256",
            Self::EcdsaP384Sha384 => "PKIX_ECDSA_P384_SHA_384",
            Self::EcdsaP521Sha512 => "PKIX_ECDSA_P521_SHA_512",
            Self::EcdsaP384Sha256 => "PKIX_ECDSA_P384_SHA_256",
            Self::EcdsaP521Sha256 => "PKIX_ECDSA_P521_SHA_256",
            Self::Ed25519 => "PKIX_ED25519",
            Self::Ed25519ph => "PKIX_ED25519_PH",
            Self::RsaPkcs1Sha256 { bits: 2048 } => "PKIX_RSA_PKCS1V15_2048_SHA256",
            Self::RsaPkcs1Sha256 { bits: 3072 } => "PKIX_RSA_PKCS1V15_3072_SHA256",
            Self::RsaPkcs1Sha256 { bits: 4096 } => "PKIX_RSA_PKCS1V15_4096_SHA256",
            Self::RsaPkcs1Sha256 { .. } => "PKIX_RSA_PKCS1V5",
            Self::RsaPssSha256 { bits: 2048 } => "PKIX_RSA_PSS_2048_SHA256",
            Self::RsaPssSha256 { bits: 3072 } => "PKIX_RSA_PSS_3072_SHA256",
            Self::RsaPssSha256 { bits: 4096 } => "PKIX_RSA_PSS_4096_SHA256",
            Self::RsaPssSha256 { .. } => "PKIX_RSA_PSS",
        }
    }

    /// The scheme of that name. Names that leave the size or the hash open are unknown here.
    pub fn from_key_details(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|scheme| scheme.key_details() == name)
    }

    /// What the scheme hashes with; nothing in the case of pure Ed25519.
    pub fn hash(self) -> Option<HashAlgorithm> {
        match self {
            Self::EcdsaP256Sha256
            | Self::EcdsaP384Sha256
            | Self::EcdsaP521Sha256
            | Self::RsaPkcs1Sha256 { .. }
            | Self::RsaPssSha256 { .. } => Some(HashAlgorithm::Sha256),
            Self::EcdsaP384Sha384 => Some(HashAlgorithm::Sha384),
            Self::EcdsaP521Sha512 | Self::Ed25519ph => Some(HashAlgorithm::Sha512),
            Self::Ed25519 => None,
        }
    }

    /// The kind of key it works with.
    pub fn key_algorithm(self) -> KeyAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => KeyAlgorithm::EcdsaP256,
            Self::EcdsaP384Sha384 | Self::EcdsaP384Sha256 => KeyAlgorithm::EcdsaP384,
            Self::EcdsaP521Sha512 | Self::EcdsaP521Sha256 => KeyAlgorithm::EcdsaP521,
            Self::Ed25519 | Self::Ed25519ph => KeyAlgorithm::Ed25519,
            Self::RsaPkcs1Sha256 { bits } | Self::RsaPssSha256 { bits } => {
                KeyAlgorithm::Rsa { bits }
            }
        }
    }

    const NAMED: [Self; 13] = [
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::EcdsaP521Sha512,
        Self::EcdsaP384Sha256,
        Self::EcdsaP521Sha256,
        Self::Ed25519,
        Self::Ed25519ph,
        Self::RsaPkcs1Sha256 { bits: 2048 },
        Self::RsaPkcs1Sha256 { bits: 3072 },
        Self::RsaPkcs1Sha256 { bits: 4096 },
        Self::RsaPssSha256 { bits: 2048 },
        Self::RsaPssSha256 { bits: 3072 },
        Self::RsaPssSha256 { bits: 4096 },
    ];

    /// The scheme must be one of `key`'s, down to the size of an RSA modulus.
    pub(crate) fn fits(self, key: KeyAlgorithm) -> Result<(), Error> {
        if self.key_algorithm() == key {
            Ok(())
        } else {
            Err(Error::SchemeMismatch { scheme: self, key })
        }
    }

    /// The payload's digest, as this scheme makes it or demands it.
    pub(crate) fn digest(self, payload: Payload<'_>) -> Result<Digest, Error> {
        let expected = self.hash().ok_or(Error::NeedsMessage { scheme: self })?;
        match payload {
            Payload::Message(message) => Ok(Digest::of(expected, message)),
            Payload::Digest(digest) if digest.algorithm() == expected => Ok(digest.clone()),
            Payload::Digest(digest) => {
                Err(Error::DigestMismatch { scheme: self, expected, found: digest.algorithm() })
            }
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key_details())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_scheme_is_found_by_its_name() {
        for scheme in Scheme::NAMED {
            assert_eq!(Scheme::from_key_details(scheme.key_details()), Some(scheme));
        }
    }

    #[test]
    fn names_that_leave_size_or_hash_open_are_unknown() {
        for name in ["", "PKIX_RSA_PKCS1V5", "PKIX_RSA_PSS", "PKCS1_RSA_PSS", "ML_DSA_65"] {
            assert_eq!(Scheme::from_key_details(name), None, "{name}");
        }
    }

    #[test]
    fn a_digest_of_another_algorithm_is_refused_by_name() {
        let digest = Digest::of(HashAlgorithm::Sha512, b"x");
        let error = Scheme::EcdsaP256Sha256.digest(Payload::Digest(&digest)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected a sha256 digest for the scheme PKIX_ECDSA_P256_SHA_256, found sha512"
        );
    }
}
