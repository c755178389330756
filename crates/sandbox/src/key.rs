//! The keys that the sandbox's services sign with.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use const_oid::db::rfc5912::{
    ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ID_EC_PUBLIC_KEY, SECP_256_R_1, SECP_384_R_1,
};
use const_oid::db::rfc8410::ID_ED_25519;
use der::Encode as _;
use der::asn1::{Any, BitString};
use keys::{Payload, PublicKey, Scheme, Sign};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _,
};
use spki::{AlgorithmIdentifierOwned, ObjectIdentifier, SubjectPublicKeyInfoOwned};

use crate::Error;

/// Which key, and so which signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384,
    /// Pure Ed25519.
    Ed25519,
}

/// A private key of a service. It is as public as the sandbox's state directory.
pub struct ServiceKey {
    pair: Pair,
    kind: KeyKind,
    pkcs8: Vec<u8>,
    public: PublicKey,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl ServiceKey {
    /// A new key.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate(kind: KeyKind) -> Result<Self, Error> {
        let random = SystemRandom::new();
        let document = match kind {
            KeyKind::EcdsaP256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)
            }
            KeyKind::EcdsaP384 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, &random)
            }
            KeyKind::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
        }
        .map_err(|_| Error::make("a key")("the system has no randomness"))?;
        Self::from_pkcs8(document.as_ref())
    }

    /// A key from its PKCS#8 document.
    ///
    /// # Errors
    /// It is of no kind that the sandbox uses.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, Error> {
        let random = SystemRandom::new();
        let ecdsa = [
            (KeyKind::EcdsaP256, &ECDSA_P256_SHA256_ASN1_SIGNING),
            (KeyKind::EcdsaP384, &ECDSA_P384_SHA384_ASN1_SIGNING),
        ]
        .into_iter()
        .find_map(|(kind, algorithm)| {
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, document, &random).ok()?;
            Some((kind, Pair::Ecdsa(pair)))
        });
        let (kind, pair) = match ecdsa {
            Some(found) => found,
            None => Ed25519KeyPair::from_pkcs8_maybe_unchecked(document)
                .map(|pair| (KeyKind::Ed25519, Pair::Ed25519(pair)))
                .map_err(|_| Error::make("a key")("expected PKCS#8 of P-256, P-384 or Ed25519"))?,
        };
        let point = match &pair {
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        };
        let public = PublicKey::from_spki(&spki(kind, point)?).map_err(Error::make("a key"))?;
        Ok(Self { pair, kind, pkcs8: document.to_vec(), public })
    }

    /// The first private key among the PEM blocks of `text`.
    ///
    /// # Errors
    /// There is none, or it is of no kind that the sandbox uses.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let blocks = pem::parse_many(text).map_err(Error::make("a key"))?;
        let block = blocks.iter().find(|block| block.tag() == "PRIVATE KEY");
        let block = block.ok_or_else(|| Error::make("a key")("no PEM block PRIVATE KEY"))?;
        Self::from_pkcs8(block.contents())
    }

    /// The key as a PEM block PRIVATE KEY.
    pub fn to_pem(&self) -> String {
        encode_pem("PRIVATE KEY", &self.pkcs8)
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Its public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs the bytes of `message`. ECDSA signatures are DER.
    pub(crate) fn sign_message(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.pair {
            Pair::Ecdsa(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| Error::make("a signature")("the system has no randomness")),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// How certificates and timestamps name its signatures.
    pub(crate) fn signature_algorithm(&self) -> AlgorithmIdentifierOwned {
        let oid = match self.kind {
            KeyKind::EcdsaP256 => ECDSA_WITH_SHA_256,
            KeyKind::EcdsaP384 => ECDSA_WITH_SHA_384,
            KeyKind::Ed25519 => ID_ED_25519,
        };
        AlgorithmIdentifierOwned { oid, parameters: None }
    }
}

impl Sign for ServiceKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn scheme(&self) -> Scheme {
        match self.kind {
            KeyKind::EcdsaP256 => Scheme::EcdsaP256Sha256,
            KeyKind::EcdsaP384 => Scheme::EcdsaP384Sha384,
            KeyKind::Ed25519 => Scheme::Ed25519,
        }
    }

    fn sign(&self, payload: Payload<'_>) -> Result<Vec<u8>, keys::Error> {
        // ring signs messages only, and so do the services.
        let Payload::Message(message) = payload else {
            return Err(keys::Error::NeedsMessage { scheme: self.scheme() });
        };
        self.sign_message(message).map_err(|_| keys::Error::NoRandomness)
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceKey").field("public", &self.public).finish_non_exhaustive()
    }
}

fn spki(kind: KeyKind, point: &[u8]) -> Result<Vec<u8>, Error> {
    let algorithm = |oid, curve: Option<&ObjectIdentifier>| AlgorithmIdentifierOwned {
        oid,
        parameters: curve.map(|curve| Any::from(*curve)),
    };
    let algorithm = match kind {
        KeyKind::EcdsaP256 => algorithm(ID_EC_PUBLIC_KEY, Some(&SECP_256_R_1)),
        KeyKind::EcdsaP384 => algorithm(ID_EC_PUBLIC_KEY, Some(&SECP_384_R_1)),
        KeyKind::Ed25519 => algorithm(ID_ED_25519, None),
    };
    BitString::from_bytes(point)
        .and_then(|subject_public_key| {
            SubjectPublicKeyInfoOwned { algorithm, subject_public_key }.to_der()
        })
        .map_err(Error::make("a public key"))
}

/// One PEM block with lines of 64 characters and a newline at the end, as Go and OpenSSL write it.
pub(crate) fn encode_pem(tag: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {tag}-----\n");
    let encoded = STANDARD.encode(der);
    for line in encoded.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {tag}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_each_kind_survives_its_pem_and_its_signatures_verify() {
        for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::Ed25519] {
            let key = ServiceKey::generate(kind).unwrap();
            let again = ServiceKey::from_pem(&key.to_pem()).unwrap();
            assert_eq!((again.kind(), again.public_key()), (kind, key.public_key()));
            let signature = again.sign(Payload::Message(b"text")).unwrap();
            key.public_key().verify(key.scheme(), Payload::Message(b"text"), &signature).unwrap();
        }
    }

    #[test]
    fn debug_output_shows_no_private_key() {
        let key = ServiceKey::generate(KeyKind::EcdsaP256).unwrap();
        assert!(!format!("{key:?}").contains("pkcs8"));
    }

    #[test]
    fn a_pem_without_a_private_key_is_refused() {
        assert!(ServiceKey::from_pem("").is_err());
        assert!(ServiceKey::from_pem(&encode_pem("PRIVATE KEY", b"junk")).is_err());
    }
}
