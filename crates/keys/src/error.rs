use crate::algorithm::{HashAlgorithm, KeyAlgorithm, Scheme};

/// Why a key cannot be read, or a signature cannot be made or is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was given is not a key of the expected form.
    #[error("not {} {expected}: {reason}", article(expected))]
    Malformed {
        /// The form that was expected, for instance "PEM public key".
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A well-formed key of a kind that is not supported here.
    #[error("unsupported key: expected {expected}, found {found}")]
    UnsupportedKey {
        /// What is supported.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// The signature scheme belongs to another kind of key.
    #[error("the scheme {scheme} does not fit a key of type {key}")]
    SchemeMismatch {
        /// The scheme that was asked for.
        scheme: Scheme,
        /// What the key is.
        key: KeyAlgorithm,
    },
    /// The scheme hashes with another algorithm than the digest was made with.
    #[error("expected a {expected} digest for the scheme {scheme}, found {found}")]
    DigestMismatch {
        /// The scheme that was asked for.
        scheme: Scheme,
        /// The algorithm it hashes with.
        expected: HashAlgorithm,
        /// The algorithm of the digest.
        found: HashAlgorithm,
    },
    /// The scheme signs the message itself: its digest is not enough.
    #[error("the scheme {scheme} needs the whole message, found only its digest")]
    NeedsMessage {
        /// The scheme that was asked for.
        scheme: Scheme,
    },
    /// A digest of the wrong length, or not hexadecimal.
    #[error("expected a {algorithm} digest of {expected} bytes, found {found}")]
    DigestLength {
        /// The digest's algorithm.
        algorithm: HashAlgorithm,
        /// How long such a digest is, in bytes.
        expected: usize,
        /// What was given.
        found: String,
    },
    /// The signature is malformed or was not made by this key over this payload.
    #[error("the signature does not verify with this {scheme} key")]
    BadSignature {
        /// The scheme it was checked with.
        scheme: Scheme,
    },
    /// An encrypted private key was not encrypted with the password that was given.
    #[error("the password does not decrypt the private key")]
    WrongPassword,
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system")]
    NoRandomness,
}

fn article(noun: &str) -> &'static str {
    match noun.starts_with("encrypted") || noun.starts_with("RSA") {
        true => "an",
        false => "a",
    }
}
