//! Names of algorithms: of hashes, of keys, and of signature schemes (which key, which hash, which
//! padding).

use std::fmt;

/// A hash algorithm that Sigstore uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// The length of its digests, in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a digest is never empty")]
    pub fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Its name in OCI digests, in-toto and Rekor: `sha256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Its name in Sigstore's messages: `SHA2_256`.
    pub fn sigstore_name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA2_256",
            Self::Sha384 => "SHA2_384",
            Self::Sha512 => "SHA2_512",
        }
    }

    /// The algorithm called `name` (`sha256`), in lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The algorithm that Sigstore's messages call `name` (`SHA2_256`).
    pub fn from_sigstore_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.sigstore_name() == name)
    }

    pub(crate) const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// A point on the curve P-256.
    EcdsaP256,
    /// A point on the curve P-384.
    EcdsaP384,
    /// A point on the curve P-521.
    EcdsaP521,
    /// Ed25519.
    Ed25519,
    /// RSA, whatever the padding.
    Rsa {
        /// The size of the modulus.
        bits: u16,
    },
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EcdsaP256 => f.write_str("ECDSA P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA P-384"),
            Self::EcdsaP521 => f.write_str("ECDSA P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Rsa { bits } => write!(f, "RSA {bits}"),
        }
    }
}

impl KeyAlgorithm {
    /// The scheme for such a key where no other is named.
    pub fn default_scheme(self) -> Scheme {
        match self {
            Self::EcdsaP256 => Scheme::EcdsaP256Sha256,
            Self::EcdsaP384 => Scheme::EcdsaP384Sha384,
            Self::EcdsaP521 => Scheme::EcdsaP521Sha512,
            Self::Ed25519 => Scheme::Ed25519,
            Self::Rsa { bits } => Scheme::RsaPkcs1Sha256 { bits },
        }
    }

    /// The names that [`from_signing_name`](Self::from_signing_name) knows.
    pub const SIGNING_NAMES: [&'static str; 5] = [
        "ecdsa-sha2-256-nistp256",
        "ecdsa-sha2-384-nistp384",
        "rsa-sign-pkcs1-2048-sha256",
        "rsa-sign-pkcs1-3072-sha256",
        "rsa-sign-pkcs1-4096-sha256",
    ];

    /// The kind of key that Sigstore's algorithm registry calls `name`, of those that sign here.
    pub fn from_signing_name(name: &str) -> Option<Self> {
        match name {
            "ecdsa-sha2-256-nistp256" => Some(Self::EcdsaP256),
            "ecdsa-sha2-384-nistp384" => Some(Self::EcdsaP384),
            "rsa-sign-pkcs1-2048-sha256" => Some(Self::Rsa { bits: 2048 }),
            "rsa-sign-pkcs1-3072-sha256" => Some(Self::Rsa { bits: 3072 }),
            "rsa-sign-pkcs1-4096-sha256" => Some(Self::Rsa { bits: 4096 }),
            _ => None,
        }
    }

    /// The scheme by which such a key signs a file: one over a digest.
    pub fn file_scheme(self) -> Scheme {
        match self {
            Self::Ed25519 => Scheme::Ed25519ph,
            other => other.default_scheme(),
        }
    }

    /// The digest of a file that such a key signs.
    pub fn file_hash(self) -> HashAlgorithm {
        self.file_scheme().hash().unwrap_or(HashAlgorithm::Sha512)
    }

    /// Whether a [`KeyPair`](crate::KeyPair) of this kind needs the whole file to sign it: the
    /// implementation of RSA in use hashes by itself.
    pub fn needs_message(self) -> bool {
        matches!(self, Self::Rsa { .. })
    }
}

/// A signature scheme: those of Sigstore's algorithm registry that are in use, and those of RSA
/// timestamp authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
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
    /// RSA with PKCS #1 v1.5 padding and SHA-384. Only in timestamps: Sigstore has no name for it.
    RsaPkcs1Sha384 {
        /// The size of the modulus.
        bits: u16,
    },
    /// RSA with PKCS #1 v1.5 padding and SHA-512. Only in timestamps: Sigstore has no name for it.
    RsaPkcs1Sha512 {
        /// The size of the modulus.
        bits: u16,
    },
    /// RSA-PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes.
    RsaPssSha256 {
        /// The size of the modulus.
        bits: u16,
    },
    /// RSA-PSS with SHA-384 throughout and a salt of 48 bytes. Only in timestamps: Sigstore has no
    /// name for it.
    RsaPssSha384 {
        /// The size of the modulus.
        bits: u16,
    },
    /// RSA-PSS with SHA-512 throughout and a salt of 64 bytes. Only in timestamps: Sigstore has no
    /// name for it.
    RsaPssSha512 {
        /// The size of the modulus.
        bits: u16,
    },
}

impl Scheme {
    /// Its name in Sigstore's `PublicKeyDetails`.
    ///
    /// The registry names RSA keys of 2048, 3072 and 4096 bits with SHA-256; others go by the older
    /// name without size and hash (`PKIX_RSA_PKCS1V5`, `PKIX_RSA_PSS`).
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
            Self::RsaPkcs1Sha256 { .. }
            | Self::RsaPkcs1Sha384 { .. }
            | Self::RsaPkcs1Sha512 { .. } => "PKIX_RSA_PKCS1V5",
            Self::RsaPssSha256 { bits: 2048 } => "PKIX_RSA_PSS_2048_SHA256",
            Self::RsaPssSha256 { bits: 3072 } => "PKIX_RSA_PSS_3072_SHA256",
            Self::RsaPssSha256 { bits: 4096 } => "PKIX_RSA_PSS_4096_SHA256",
            Self::RsaPssSha256 { .. } | Self::RsaPssSha384 { .. } | Self::RsaPssSha512 { .. } => {
                "PKIX_RSA_PSS"
            }
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
            Self::EcdsaP384Sha384 | Self::RsaPkcs1Sha384 { .. } | Self::RsaPssSha384 { .. } => {
                Some(HashAlgorithm::Sha384)
            }
            Self::EcdsaP521Sha512
            | Self::Ed25519ph
            | Self::RsaPkcs1Sha512 { .. }
            | Self::RsaPssSha512 { .. } => Some(HashAlgorithm::Sha512),
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
            Self::RsaPkcs1Sha256 { bits }
            | Self::RsaPkcs1Sha384 { bits }
            | Self::RsaPkcs1Sha512 { bits }
            | Self::RsaPssSha256 { bits }
            | Self::RsaPssSha384 { bits }
            | Self::RsaPssSha512 { bits } => KeyAlgorithm::Rsa { bits },
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
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key_details())
    }
}

/// The names in Sigstore's `PublicKeyDetails` with their numbers, also of algorithms that are not
/// supported here.
pub const KEY_DETAILS: &[(i64, &str)] = &[
    (1, "PKCS1_RSA_PKCS1V5"),
    (2, "PKCS1_RSA_PSS"),
    (3, "PKIX_RSA_PKCS1V5"),
    (4, "PKIX_RSA_PSS"),
    (5, "PKIX_ECDSA_P256_SHA_256"),
    (6, "PKIX_ECDSA_P256_HMAC_SHA_256"),
    (7, "PKIX_ED25519"),
    (8, "PKIX_ED25519_PH"),
    (9, "PKIX_RSA_PKCS1V15_2048_SHA256"),
    (10, "PKIX_RSA_PKCS1V15_3072_SHA256"),
    (11, "PKIX_RSA_PKCS1V15_4096_SHA256"),
    (12, "PKIX_ECDSA_P384_SHA_384"),
    (13, "PKIX_ECDSA_P521_SHA_512"),
    (14, "LMS_SHA256"),
    (15, "LMOTS_SHA256"),
    (16, "PKIX_RSA_PSS_2048_SHA256"),
    (17, "PKIX_RSA_PSS_3072_SHA256"),
    (18, "PKIX_RSA_PSS_4096_SHA256"),
    (19, "PKIX_ECDSA_P384_SHA_256"),
    (20, "PKIX_ECDSA_P521_SHA_256"),
    (21, "ML_DSA_65"),
    (22, "ML_DSA_87"),
    (23, "ML_DSA_44"),
];

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
    fn algorithms_are_found_by_both_of_their_names_and_no_other() {
        for algorithm in HashAlgorithm::ALL {
            assert_eq!(HashAlgorithm::from_name(algorithm.name()), Some(algorithm));
            let name = algorithm.sigstore_name();
            assert_eq!(HashAlgorithm::from_sigstore_name(name), Some(algorithm));
        }
        assert_eq!(HashAlgorithm::from_name("SHA256"), None);
        assert_eq!(HashAlgorithm::from_sigstore_name("SHA3_256"), None);
    }
}
