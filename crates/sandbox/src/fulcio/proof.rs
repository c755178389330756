//! The key of a request, and the proof that the caller holds it.

use const_oid::db::rfc5912::{
    ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, ID_EC_PUBLIC_KEY, RSA_ENCRYPTION,
    SECP_224_R_1, SHA_256_WITH_RSA_ENCRYPTION, SHA_384_WITH_RSA_ENCRYPTION,
    SHA_512_WITH_RSA_ENCRYPTION,
};
use const_oid::db::rfc8410::ID_ED_25519;
use der::asn1::UintRef;
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use keys::{HashAlgorithm, KeyAlgorithm, Payload, PublicKey, Scheme};
use spki::SubjectPublicKeyInfoRef;
use x509_cert::request::CertReq;

/// Why there is no proven key, in Fulcio's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request's PEM or DER.
    RequestUnreadable,
    /// The key's PEM or DER, or no key at all.
    KeyUnreadable,
    /// A key too small, too large or on a curve too weak.
    KeyInsecure,
    /// The proof is not by this key over this text.
    ProofWrong,
    /// The hash does not go with the key.
    NotPermitted {
        /// The key's type in Go.
        key: &'static str,
        /// The hash's name in Go.
        hash: &'static str,
    },
}

impl Refusal {
    pub(super) fn message(&self) -> String {
        match self {
            Self::RequestUnreadable => {
                "The certificate signing request could not be parsed".to_owned()
            }
            Self::KeyUnreadable => {
                "The public key supplied in the request could not be parsed".to_owned()
            }
            Self::KeyInsecure => "The public key supplied in the request is insecure".to_owned(),
            Self::ProofWrong => {
                "The signature supplied in the request could not be verified".to_owned()
            }
            Self::NotPermitted { key, hash } => {
                format!("signing algorithm not permitted: {key}, {hash}")
            }
        }
    }
}

/// The key of a certificate signing request (PEM text) that its own signature proves. Subject and
/// requested extensions are ignored.
pub(super) fn from_csr(text: &[u8]) -> Result<PublicKey, Refusal> {
    let block = pem::parse(text).map_err(|_| Refusal::RequestUnreadable)?;
    if !matches!(block.tag(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
        return Err(Refusal::RequestUnreadable);
    }
    let (signed, request) = split_csr(block.contents()).map_err(|_| Refusal::RequestUnreadable)?;
    let spki = request.info.public_key.to_der().map_err(|_| Refusal::RequestUnreadable)?;
    let key = readable(&spki).map_err(|refusal| match refusal {
        // Go reads the key with the request.
        Refusal::KeyUnreadable => Refusal::RequestUnreadable,
        other => other,
    })?;
    let hash = match request.algorithm.oid {
        ECDSA_WITH_SHA_256 | SHA_256_WITH_RSA_ENCRYPTION => Some(HashAlgorithm::Sha256),
        ECDSA_WITH_SHA_384 | SHA_384_WITH_RSA_ENCRYPTION => Some(HashAlgorithm::Sha384),
        ECDSA_WITH_SHA_512 | SHA_512_WITH_RSA_ENCRYPTION => Some(HashAlgorithm::Sha512),
        ID_ED_25519 => None,
        _ => return Err(Refusal::ProofWrong),
    };
    let scheme = key.default_scheme();
    if scheme.hash() != hash {
        let (key, hash) = (go_type(&key), go_hash(hash));
        return Err(Refusal::NotPermitted { key, hash });
    }
    let signature = request.signature.as_bytes().unwrap_or_default();
    key.verify(scheme, Payload::Message(signed), signature).map_err(|_| Refusal::ProofWrong)?;
    Ok(key)
}

/// The key of a public-key request (PEM text), proven by `proof` over `text`.
pub(super) fn from_public_key(pem: &str, text: &str, proof: &[u8]) -> Result<PublicKey, Refusal> {
    let block = pem::parse(pem).map_err(|_| Refusal::KeyUnreadable)?;
    let key = match block.tag() {
        "PUBLIC KEY" => readable(block.contents())?,
        "RSA PUBLIC KEY" => {
            secure_rsa(block.contents())?;
            PublicKey::from_pkcs1(block.contents()).map_err(|_| Refusal::KeyUnreadable)?
        }
        _ => return Err(Refusal::KeyUnreadable),
    };
    let scheme = key.default_scheme();
    let payload = Payload::Message(text.as_bytes());
    let verifies = |signature: &[u8]| key.verify(scheme, payload, signature).is_ok();
    // WebCrypto signs with the bare numbers side by side; Fulcio takes both forms.
    let bare = || p1363_to_der(proof).is_some_and(|signature| verifies(&signature));
    let proven = match scheme {
        Scheme::EcdsaP256Sha256 | Scheme::EcdsaP384Sha384 | Scheme::EcdsaP521Sha512 => {
            verifies(proof) || bare()
        }
        _ => verifies(proof),
    };
    if proven { Ok(key) } else { Err(Refusal::ProofWrong) }
}

/// The signed part of a request, byte for byte, and the request.
fn split_csr(der: &[u8]) -> der::Result<(&[u8], CertReq)> {
    let request = CertReq::from_der(der)?;
    let mut reader = SliceReader::new(der)?;
    let signed = reader.sequence(|reader| {
        let signed = reader.tlv_bytes()?;
        reader.tlv_bytes()?;
        reader.tlv_bytes()?;
        Ok(signed)
    })?;
    Ok((signed, request))
}

/// Weak keys are told from unreadable ones, which Go does before it looks at anything else.
fn readable(spki: &[u8]) -> Result<PublicKey, Refusal> {
    let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| Refusal::KeyUnreadable)?;
    match info.algorithm.oid {
        ID_EC_PUBLIC_KEY => {
            let curve = info.algorithm.parameters_oid().map_err(|_| Refusal::KeyUnreadable)?;
            if curve == SECP_224_R_1 {
                return Err(Refusal::KeyInsecure);
            }
        }
        RSA_ENCRYPTION => {
            let bits = info.subject_public_key.as_bytes().unwrap_or_default();
            secure_rsa(bits)?;
        }
        _ => {}
    }
    PublicKey::from_spki(spki).map_err(|_| Refusal::KeyUnreadable)
}

fn secure_rsa(pkcs1: &[u8]) -> Result<(), Refusal> {
    let bits = modulus_bits(pkcs1).map_err(|_| Refusal::KeyUnreadable)?;
    if matches!(bits, 2048 | 3072 | 4096) { Ok(()) } else { Err(Refusal::KeyInsecure) }
}

fn modulus_bits(pkcs1: &[u8]) -> der::Result<usize> {
    let mut reader = SliceReader::new(pkcs1)?;
    reader.sequence(|reader| {
        let modulus = UintRef::decode(reader)?;
        UintRef::decode(reader)?;
        let bytes = modulus.as_bytes();
        let leading = bytes.first().map_or(0, |byte| byte.leading_zeros() as usize);
        Ok(bytes.len() * 8 - leading)
    })
}

/// `r` and `s` side by side, of equal length, as a DER signature.
fn p1363_to_der(signature: &[u8]) -> Option<Vec<u8>> {
    if !signature.len().is_multiple_of(2) || signature.len() > 132 {
        return None;
    }
    let (r, s) = signature.split_at(signature.len() / 2);
    let numbers = vec![UintRef::new(r).ok()?, UintRef::new(s).ok()?];
    numbers.to_der().ok()
}

fn go_type(key: &PublicKey) -> &'static str {
    match key.algorithm() {
        KeyAlgorithm::Ed25519 => "ed25519.PublicKey",
        KeyAlgorithm::Rsa { .. } => "*rsa.PublicKey",
        _ => "*ecdsa.PublicKey",
    }
}

fn go_hash(hash: Option<HashAlgorithm>) -> &'static str {
    match hash {
        Some(HashAlgorithm::Sha256) => "SHA-256",
        Some(HashAlgorithm::Sha384) => "SHA-384",
        Some(HashAlgorithm::Sha512) => "SHA-512",
        None => "unknown hash value 0",
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;
    use crate::key::{KeyKind, ServiceKey};

    #[test]
    fn a_proof_is_taken_as_der_and_as_bare_numbers() {
        let random = SystemRandom::new();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
                .unwrap();
        let key = ServiceKey::from_pkcs8(pkcs8.as_ref()).unwrap();
        assert!(key.public_key().spki().ends_with(pair.public_key().as_ref()));
        let pem = key.public_key().to_pem();
        let bare = pair.sign(&random, b"text").unwrap();
        let der = key.sign_message(b"text").unwrap();
        for proof in [bare.as_ref(), &der] {
            assert_eq!(from_public_key(&pem, "text", proof).as_ref(), Ok(key.public_key()));
            let other = from_public_key(&pem, "other text", proof);
            assert_eq!(other, Err(Refusal::ProofWrong));
        }
    }

    #[test]
    fn an_ed25519_proof_is_pure() {
        let key = ServiceKey::generate(KeyKind::Ed25519).unwrap();
        let proof = key.sign_message(b"text").unwrap();
        assert!(from_public_key(&key.public_key().to_pem(), "text", &proof).is_ok());
    }

    #[test]
    fn what_is_no_key_is_told_from_what_is_no_request() {
        assert_eq!(from_public_key("", "", b""), Err(Refusal::KeyUnreadable));
        assert_eq!(from_public_key("junk", "", b""), Err(Refusal::KeyUnreadable));
        assert_eq!(from_csr(b"junk"), Err(Refusal::RequestUnreadable));
    }
}
