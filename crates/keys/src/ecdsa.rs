//! Verifying ECDSA.
//!
//! ring is several times faster than the implementation in Rust, and computes the digest itself. So
//! it verifies where the message is at hand; where only the digest is, the other one does.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    EcdsaVerificationAlgorithm, UnparsedPublicKey,
};

use crate::algorithm::Scheme;
use crate::digest::Digest;
use crate::error::Error;
use crate::payload::Payload;

/// Whether `signature`, the strict DER of `r` and `s`, is one of the key `point` (P-256 or P-384,
/// uncompressed) over `payload`. `by_digest` decides where ring does not.
pub(crate) fn verifies(
    scheme: Scheme,
    point: &[u8],
    payload: Payload<'_>,
    signature: &[u8],
    by_digest: impl FnOnce(&[u8]) -> bool,
) -> Result<bool, Error> {
    if let (Payload::Message(message), Some(algorithm)) = (payload, of_ring(scheme)) {
        return Ok(UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok());
    }
    Ok(by_digest(scheme.digest(payload)?.as_bytes()))
}

fn of_ring(scheme: Scheme) -> Option<&'static EcdsaVerificationAlgorithm> {
    match scheme {
        Scheme::EcdsaP256Sha256 => Some(&ECDSA_P256_SHA256_ASN1),
        Scheme::EcdsaP384Sha384 => Some(&ECDSA_P384_SHA384_ASN1),
        Scheme::EcdsaP384Sha256 => Some(&ECDSA_P384_SHA256_ASN1),
        _ => None,
    }
}

pub(crate) fn prehash_verifies<S>(
    key: &impl PrehashVerifier<S>,
    digest: &[u8],
    signature: &S,
) -> bool {
    key.verify_prehash(digest, signature).is_ok()
}

/// The digest with zeros on the left, which do not change its value.
///
/// The P-521 implementation refuses digests shorter than half its field, so SHA-256.
pub(crate) fn as_wide_as_p521(digest: &Digest) -> Vec<u8> {
    const FIELD: usize = 66;
    let zeros = FIELD.saturating_sub(digest.as_bytes().len());
    [&vec![0; zeros], digest.as_bytes()].concat()
}
