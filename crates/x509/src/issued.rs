//! A signature on a certificate that was found valid.

use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

/// What was found valid: the signature, and the key that made it. The message is the certificate's
/// own.
#[derive(Debug)]
pub(crate) struct Issued {
    key_algorithm: AlgorithmIdentifier,
    signature_algorithm: AlgorithmIdentifier,
    public_key: Vec<u8>,
    signature: Vec<u8>,
}

impl Issued {
    /// Verifies `signature` over `message`.
    pub(crate) fn verify(
        algorithm: &dyn SignatureVerificationAlgorithm,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<Self, InvalidSignature> {
        algorithm.verify_signature(public_key, message, signature)?;
        Ok(Self {
            key_algorithm: algorithm.public_key_alg_id(),
            signature_algorithm: algorithm.signature_alg_id(),
            public_key: public_key.to_vec(),
            signature: signature.to_vec(),
        })
    }

    /// Whether it is of this signature by this key, and not of another.
    pub(crate) fn is_of(
        &self,
        algorithm: &dyn SignatureVerificationAlgorithm,
        public_key: &[u8],
        signature: &[u8],
    ) -> bool {
        self.key_algorithm == algorithm.public_key_alg_id()
            && self.signature_algorithm == algorithm.signature_alg_id()
            && self.public_key == public_key
            && self.signature == signature
    }
}
