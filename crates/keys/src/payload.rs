//! What is signed, and how a scheme hashes it.

use crate::algorithm::{KeyAlgorithm, Scheme};
use crate::digest::Digest;
use crate::error::Error;

/// What is signed or verified.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// The message itself; the scheme hashes it.
    Message(&'a [u8]),
    /// The message's digest, made with the scheme's hash algorithm.
    Digest(&'a Digest),
}

impl Scheme {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HashAlgorithm;

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
