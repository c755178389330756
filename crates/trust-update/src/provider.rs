//! What `sigstore-tuf` hashes and verifies with: the crate `keys`.

use keys::{Digest, HashAlgorithm, Hasher, KeyAlgorithm, Payload, PublicKey, Scheme};
use sigstore_crypto::{CryptoProvider, Error, HashContext, SigningScheme};

/// Makes `sigstore-tuf` use this provider, unless the program has installed another already.
pub(crate) fn install() {
    let _ = sigstore_crypto::install_default_provider(&Keys);
}

#[derive(Debug)]
struct Keys;

impl CryptoProvider for Keys {
    fn hash(
        &self,
        algorithm: sigstore_types::HashAlgorithm,
    ) -> sigstore_crypto::Result<Box<dyn HashContext>> {
        Ok(Box::new(Context(Hasher::new(hash_algorithm(algorithm)?))))
    }

    fn verify_raw(
        &self,
        scheme: SigningScheme,
        key: &[u8],
        data: &[u8],
        signature: &[u8],
    ) -> sigstore_crypto::Result<()> {
        verify(scheme, key, Payload::Message(data), signature)
    }

    fn verify_prehashed(
        &self,
        scheme: SigningScheme,
        key: &[u8],
        digest: &[u8],
        signature: &[u8],
    ) -> sigstore_crypto::Result<()> {
        let algorithm = scheme.hash_algorithm().ok_or_else(|| unsupported(scheme))?;
        let digest = Digest::new(hash_algorithm(algorithm)?, digest)
            .map_err(|error| Error::Verification(error.to_string()))?;
        verify(scheme, key, Payload::Digest(&digest), signature)
    }
}

struct Context(Hasher);

impl HashContext for Context {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self: Box<Self>) -> Vec<u8> {
        self.0.finish().as_bytes().to_vec()
    }
}

fn hash_algorithm(algorithm: sigstore_types::HashAlgorithm) -> Result<HashAlgorithm, Error> {
    match algorithm {
        sigstore_types::HashAlgorithm::Sha2256 => Ok(HashAlgorithm::Sha256),
        sigstore_types::HashAlgorithm::Sha2384 => Ok(HashAlgorithm::Sha384),
        sigstore_types::HashAlgorithm::Sha2512 => Ok(HashAlgorithm::Sha512),
        other => Err(Error::UnsupportedAlgorithm(format!("{other:?}"))),
    }
}

/// `key` is the bit string of a SubjectPublicKeyInfo.
fn verify(
    scheme: SigningScheme,
    key: &[u8],
    payload: Payload<'_>,
    signature: &[u8],
) -> sigstore_crypto::Result<()> {
    let key = match scheme {
        SigningScheme::EcdsaP256Sha256 => PublicKey::from_ec_point(KeyAlgorithm::EcdsaP256, key),
        SigningScheme::EcdsaP384Sha384 | SigningScheme::EcdsaP384Sha256 => {
            PublicKey::from_ec_point(KeyAlgorithm::EcdsaP384, key)
        }
        SigningScheme::Ed25519 => match <&[u8; 32]>::try_from(key) {
            Ok(key) => PublicKey::from_ed25519_bytes(key),
            Err(_) => return Err(Error::InvalidKey("an Ed25519 key has 32 bytes".to_owned())),
        },
        SigningScheme::RsaPssSha256 | SigningScheme::RsaPkcs1Sha256 => PublicKey::from_pkcs1(key),
        _ => return Err(unsupported(scheme)),
    };
    let key = key.map_err(|error| Error::InvalidKey(error.to_string()))?;
    let scheme = match (scheme, key.default_scheme()) {
        (SigningScheme::EcdsaP384Sha256, _) => Scheme::EcdsaP384Sha256,
        (SigningScheme::RsaPssSha256, Scheme::RsaPkcs1Sha256 { bits }) => {
            Scheme::RsaPssSha256 { bits }
        }
        (_, scheme) => scheme,
    };
    key.verify(scheme, payload, signature).map_err(|error| Error::Verification(error.to_string()))
}

fn unsupported(scheme: SigningScheme) -> Error {
    Error::UnsupportedAlgorithm(scheme.name().to_owned())
}

#[cfg(test)]
mod tests {
    use keys::{KeyPair, Sign as _};

    use super::*;

    /// The bit string of a key, and a signature of `message`.
    fn signed(algorithm: KeyAlgorithm, scheme: Option<Scheme>) -> (Vec<u8>, Vec<u8>) {
        let mut pair = KeyPair::generate_for(algorithm).unwrap();
        if let Some(scheme) = scheme {
            pair = pair.with_scheme(scheme).unwrap();
        }
        let signature = pair.sign(Payload::Message(b"message")).unwrap();
        let spki = pair.public_key().spki().to_vec();
        let length = match algorithm {
            KeyAlgorithm::EcdsaP256 => 65,
            KeyAlgorithm::EcdsaP384 => 97,
            _ => 32,
        };
        (spki[spki.len() - length..].to_vec(), signature)
    }

    #[test]
    fn the_schemes_of_tuf_verify_and_not_over_another_message() {
        for (scheme, algorithm, ours) in [
            (SigningScheme::EcdsaP256Sha256, KeyAlgorithm::EcdsaP256, None),
            (SigningScheme::EcdsaP384Sha384, KeyAlgorithm::EcdsaP384, None),
            (
                SigningScheme::EcdsaP384Sha256,
                KeyAlgorithm::EcdsaP384,
                Some(Scheme::EcdsaP384Sha256),
            ),
            (SigningScheme::Ed25519, KeyAlgorithm::Ed25519, None),
        ] {
            let (key, signature) = signed(algorithm, ours);
            Keys.verify_raw(scheme, &key, b"message", &signature).unwrap();
            assert!(Keys.verify_raw(scheme, &key, b"massage", &signature).is_err(), "{scheme:?}");
        }
    }

    #[test]
    fn a_digest_verifies_like_the_message_it_is_of() {
        let (key, signature) = signed(KeyAlgorithm::EcdsaP256, None);
        let digest = keys::sha256(b"message");
        let scheme = SigningScheme::EcdsaP256Sha256;
        Keys.verify_prehashed(scheme, &key, &digest, &signature).unwrap();
        assert!(Keys.verify_prehashed(scheme, &key, &digest[1..], &signature).is_err());
    }

    #[test]
    fn a_scheme_that_is_not_known_here_is_an_error_and_no_panic() {
        for scheme in [SigningScheme::MlDsa65, SigningScheme::RsaPssSha512] {
            assert!(Keys.verify_raw(scheme, &[4; 65], b"message", &[0; 64]).is_err());
        }
        assert!(Keys.verify_raw(SigningScheme::Ed25519, &[1; 31], b"", &[0; 64]).is_err());
    }

    #[test]
    fn hashing_is_what_the_standard_says() {
        let digest = Keys.sha256(b"abc");
        assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(Keys.sha512(b"abc")[..4], [0xdd, 0xaf, 0x35, 0xa1]);
    }
}
