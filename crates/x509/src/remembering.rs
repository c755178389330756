//! Signatures of certificates that were found valid are not computed again.
//!
//! One authority's certificates stand above every leaf, and a leaf is verified at several times: the
//! same signatures, again and again, and on P-384 they cost more than all else of a verification.
//! Whether a signature is valid depends on key, message and signature alone, so each certificate
//! keeps what was found. A trusted root that serves for many bundles keeps it with its certificates.

use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

use crate::certificate::Certificate;
use crate::issued::Issued;

/// Verifies as `algorithm` does; what is valid for one of `certificates` is kept with it.
#[derive(Debug)]
pub(crate) struct Remembering<'a> {
    pub(crate) algorithm: &'a dyn SignatureVerificationAlgorithm,
    pub(crate) certificates: &'a [&'a Certificate],
}

impl SignatureVerificationAlgorithm for Remembering<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let signed = self.certificates.iter().find(|one| one.tbs() == message);
        let issued = signed.map(|certificate| certificate.issued());
        let known = issued.and_then(|issued| issued.get());
        if known.is_some_and(|known| known.is_of(self.algorithm, public_key, signature)) {
            return Ok(());
        }
        let found = Issued::verify(self.algorithm, public_key, message, signature)?;
        if let Some(issued) = issued {
            // The first one stays.
            issued.get_or_init(|| found);
        }
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rustls_pki_types::alg_id;

    use super::*;

    /// Accepts every signature that ends with the key, and counts how often it is asked.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl SignatureVerificationAlgorithm for Counting {
        fn verify_signature(
            &self,
            public_key: &[u8],
            _: &[u8],
            signature: &[u8],
        ) -> Result<(), InvalidSignature> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if signature.ends_with(public_key) { Ok(()) } else { Err(InvalidSignature) }
        }

        fn public_key_alg_id(&self) -> AlgorithmIdentifier {
            alg_id::ECDSA_P256
        }

        fn signature_alg_id(&self) -> AlgorithmIdentifier {
            alg_id::ECDSA_SHA256
        }
    }

    #[test]
    fn only_a_valid_signature_is_kept_and_only_for_its_key_certificate_and_signature() {
        let chain = include_str!("../tests/it/p521.pem");
        let chain = Certificate::chain_from_pem(chain).unwrap();
        let certificates: Vec<&Certificate> = chain.iter().collect();
        let counting = Counting::default();
        let asked = || counting.0.load(Ordering::Relaxed);
        let verify = |public_key: &[u8], message: &[u8], signature: &[u8]| {
            let algorithm = &counting;
            Remembering { algorithm, certificates: &certificates }
                .verify_signature(public_key, message, signature)
        };
        let [first, second, ..] = certificates.as_slice() else { panic!("two certificates") };

        assert!(verify(b"key", first.tbs(), b"by another").is_err());
        assert!(verify(b"key", first.tbs(), b"by another").is_err());
        assert_eq!(asked(), 2);
        for _ in 0..3 {
            verify(b"key", first.tbs(), b"by key").unwrap();
        }
        assert_eq!(asked(), 3);
        // Another signature, another key, another certificate, and what is not a certificate.
        assert!(verify(b"key", first.tbs(), b"by another").is_err());
        assert!(verify(b"other", first.tbs(), b"by key").is_err());
        verify(b"key", second.tbs(), b"by key").unwrap();
        verify(b"key", b"message", b"by key").unwrap();
        verify(b"key", b"message", b"by key").unwrap();
        assert_eq!(asked(), 8);
        // Copies of a certificate share it; one that is read anew does not.
        let copy = (*first).clone();
        let read = Certificate::from_der(first.der()).unwrap();
        assert!(copy.issued().get().is_some() && read.issued().get().is_none());
    }
}
