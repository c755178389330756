//! Signatures of P-521 keys for path building, which lacks them.

use keys::{KeyAlgorithm, Payload, PublicKey, Scheme};
use rustls_pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};

/// ECDSA on P-521 with SHA-512.
#[derive(Debug)]
pub(crate) struct EcdsaP521Sha512;

impl SignatureVerificationAlgorithm for EcdsaP521Sha512 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        PublicKey::from_ec_point(KeyAlgorithm::EcdsaP521, public_key)
            .and_then(|key| {
                key.verify(Scheme::EcdsaP521Sha512, Payload::Message(message), signature)
            })
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA512
    }
}
