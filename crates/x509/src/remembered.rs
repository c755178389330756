//! Signatures of certificates that were valid before are not computed again.
//!
//! One authority's certificates stand above every leaf, and a leaf is verified at several times: the
//! same signatures, again and again, and on P-384 they cost more than everything else of a
//! verification. Whether a signature is valid depends on key, message and signature alone.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use keys::{HashAlgorithm, Hasher};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

/// Verifies as another algorithm does, and remembers what was valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered(pub(crate) &'static dyn SignatureVerificationAlgorithm);

/// Digests of what was valid, the oldest first.
static VALID: Mutex<VecDeque<Vec<u8>>> = Mutex::new(VecDeque::new());

/// A few authorities, and the leaves that are verified at the moment.
const MOST: usize = 64;

impl SignatureVerificationAlgorithm for Remembered {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        let algorithm = [self.0.public_key_alg_id(), self.0.signature_alg_id()];
        let algorithm = algorithm.iter().map(AsRef::as_ref);
        for part in algorithm.chain([public_key, message, signature]) {
            hasher.update(&part.len().to_le_bytes());
            hasher.update(part);
        }
        let mark = hasher.finish().as_bytes().to_vec();
        if VALID.lock().unwrap_or_else(PoisonError::into_inner).contains(&mark) {
            return Ok(());
        }
        self.0.verify_signature(public_key, message, signature)?;
        let mut valid = VALID.lock().unwrap_or_else(PoisonError::into_inner);
        if valid.len() >= MOST {
            valid.pop_front();
        }
        valid.push_back(mark);
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rustls_pki_types::alg_id;

    use super::*;

    /// Takes every signature that equals its message, and counts how often it is asked.
    #[derive(Debug)]
    struct Counting(AtomicUsize);

    impl SignatureVerificationAlgorithm for Counting {
        fn verify_signature(
            &self,
            _: &[u8],
            message: &[u8],
            signature: &[u8],
        ) -> Result<(), InvalidSignature> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if message == signature { Ok(()) } else { Err(InvalidSignature) }
        }

        fn public_key_alg_id(&self) -> AlgorithmIdentifier {
            alg_id::ECDSA_P256
        }

        fn signature_alg_id(&self) -> AlgorithmIdentifier {
            alg_id::ECDSA_SHA256
        }
    }

    static COUNTING: Counting = Counting(AtomicUsize::new(0));

    #[test]
    fn only_what_was_valid_is_remembered_and_only_for_its_key_message_and_signature() {
        let remembered = Remembered(&COUNTING);
        let asked = || COUNTING.0.load(Ordering::Relaxed);
        for _ in 0..3 {
            remembered.verify_signature(b"key", b"message", b"message").unwrap();
        }
        assert_eq!(asked(), 1);
        for before in 1..4 {
            assert!(remembered.verify_signature(b"key", b"message", b"another").is_err());
            assert_eq!(asked(), before + 1);
        }
        // The same bytes, divided at another place.
        assert!(remembered.verify_signature(b"keym", b"essage", b"message").is_err());
        remembered.verify_signature(b"other", b"message", b"message").unwrap();
        assert_eq!(asked(), 6);
        for number in 0..MOST {
            let message = number.to_string();
            remembered.verify_signature(b"key", message.as_bytes(), message.as_bytes()).unwrap();
        }
        remembered.verify_signature(b"key", b"message", b"message").unwrap();
        assert_eq!(asked(), 6 + MOST + 1);
    }
}
