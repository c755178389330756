//! Key pairs in memory, and what every signer offers.

use std::fmt;

use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::hazmat::RandomizedPrehashSigner;
use p256::ecdsa::signature::rand_core::{self, CryptoRng, RngCore, impls};
use p256::pkcs8::spki::AlgorithmIdentifierRef;
use p256::pkcs8::{
    DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding, ObjectIdentifier,
    PrivateKeyInfo, SecretDocument,
};
use ring::rand::SystemRandom;
use ring::signature::RSA_PKCS1_SHA256;
use zeroize::Zeroizing;

use crate::algorithm::{KeyAlgorithm, Scheme};
use crate::error::Error;
use crate::payload::Payload;
use crate::prehashed::Prehashed;
use crate::private_pem::private_block;
use crate::public::PublicKey;
use crate::random::random;

/// The longest private key accepted, in bytes.
const KEY_CAP: usize = 16 << 10;

/// Signs with one key and one scheme: a key in memory, or one that is elsewhere.
pub trait Sign: Send + Sync {
    /// The key that verifies what this makes.
    fn public_key(&self) -> &PublicKey;

    /// The scheme it signs with.
    fn scheme(&self) -> Scheme;

    /// Signs `payload`. ECDSA signatures of the same payload differ from each other: a
    /// transparency log keeps each of them, and refuses one that it has.
    ///
    /// # Errors
    /// The digest is of another algorithm than the scheme's, or the scheme needs the message.
    fn sign(&self, payload: Payload<'_>) -> Result<Vec<u8>, Error>;
}

/// A private key in memory, wiped when it is dropped.
pub struct KeyPair {
    secret: Secret,
    public: PublicKey,
    scheme: Scheme,
}

/// Each of these wipes itself.
enum Secret {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
    Rsa(Box<RsaKey>),
}

/// ring's key, and the PKCS #8 document it was read from: ring gives none back.
struct RsaKey {
    key: ring::rsa::KeyPair,
    document: SecretDocument,
}

impl KeyPair {
    /// A new P-256 key, the kind that keyless signing uses.
    ///
    /// # Errors
    /// The operating system gave no random bytes.
    pub fn generate() -> Result<Self, Error> {
        Self::generate_for(KeyAlgorithm::EcdsaP256)
    }

    /// A new key on P-256, P-384 or Ed25519, with its default scheme.
    ///
    /// # Errors
    /// The kind is another one, or the operating system gave no random bytes.
    pub fn generate_for(algorithm: KeyAlgorithm) -> Result<Self, Error> {
        match algorithm {
            KeyAlgorithm::EcdsaP256 => {
                let key = scalar::<32, _>(|bytes| p256::ecdsa::SigningKey::from_slice(bytes).ok())?;
                Self::new(Secret::P256(key))
            }
            KeyAlgorithm::EcdsaP384 => {
                let key = scalar::<48, _>(|bytes| p384::ecdsa::SigningKey::from_slice(bytes).ok())?;
                Self::new(Secret::P384(key))
            }
            KeyAlgorithm::Ed25519 => {
                let seed = Zeroizing::new(random::<32>()?);
                Self::new(Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed)))
            }
            other => Err(Error::UnsupportedKey {
                expected: "P-256, P-384 or Ed25519",
                found: other.to_string(),
            }),
        }
    }

    /// Reads an unencrypted block: `PRIVATE KEY` (RFC 5958), `EC PRIVATE KEY` (RFC 5915) or
    /// `RSA PRIVATE KEY` (RFC 8017). Text and other blocks around it are passed over.
    ///
    /// # Errors
    /// There is no such block, or the key is malformed or not on P-256, P-384 or Ed25519,
    /// nor an RSA key of 2048 to 4096 bits. No error quotes the text.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let (label, block) = private_block(text)?;
        if label == "ENCRYPTED PRIVATE KEY" {
            return Err(encrypted_by_another_tool());
        }
        let (_, document) = SecretDocument::from_pem(block)
            .map_err(|_| malformed("the content of the PEM block is damaged"))?;
        let document = match label {
            "PRIVATE KEY" => Some(document),
            "EC PRIVATE KEY" => ec_document(document.as_bytes()),
            "RSA PRIVATE KEY" => rsa_document(document.as_bytes()),
            _ => return Err(malformed("it is encrypted, and needs its password")),
        };
        let document = document.ok_or_else(|| malformed(SIGNING_KINDS))?;
        Self::from_pkcs8_der(document.as_bytes())
    }

    /// Reads a DER PrivateKeyInfo (RFC 5958).
    ///
    /// # Errors
    /// The key is malformed or not one that [`from_pem`](Self::from_pem) takes.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, Error> {
        if der.len() > KEY_CAP {
            return Err(malformed("it is too long"));
        }
        if p521::SecretKey::from_pkcs8_der(der).is_ok() {
            return Err(Error::UnsupportedKey {
                expected: SIGNING_KINDS.trim_start_matches("expected "),
                found: "a key on P-521, which verifies and does not sign here".to_owned(),
            });
        }
        let secret = p256::ecdsa::SigningKey::from_pkcs8_der(der)
            .map(Secret::P256)
            .or_else(|_| p384::ecdsa::SigningKey::from_pkcs8_der(der).map(Secret::P384))
            .or_else(|_| ed25519_dalek::SigningKey::from_pkcs8_der(der).map(Secret::Ed25519))
            .or_else(|_| RsaKey::read(der).map(Box::new).map(Secret::Rsa).ok_or(()))
            // The parsers' errors may quote the input.
            .map_err(|()| malformed(SIGNING_KINDS))?;
        Self::new(secret)
    }

    /// The key as a `PRIVATE KEY` block, wiped when it is dropped.
    ///
    /// # Errors
    /// The key cannot be encoded, which does not happen with a key made or read here.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, Error> {
        let document = self.to_document()?;
        document
            .to_pem("PRIVATE KEY", LineEnding::LF)
            .map_err(|_| malformed("it cannot be encoded"))
    }

    /// The key as a DER PrivateKeyInfo.
    pub(crate) fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(self.to_document()?.to_bytes())
    }

    fn to_document(&self) -> Result<SecretDocument, Error> {
        match &self.secret {
            Secret::P256(key) => key.to_pkcs8_der(),
            Secret::P384(key) => key.to_pkcs8_der(),
            Secret::Ed25519(key) => key.to_pkcs8_der(),
            Secret::Rsa(key) => return Ok(key.document.clone()),
        }
        .map_err(|_| malformed("it cannot be encoded"))
    }

    /// The same key with another scheme: Ed25519ph instead of Ed25519, say.
    ///
    /// # Errors
    /// The scheme is not one of this key's.
    pub fn with_scheme(self, scheme: Scheme) -> Result<Self, Error> {
        scheme.fits(self.public.algorithm())?;
        Ok(Self { scheme, ..self })
    }

    fn new(secret: Secret) -> Result<Self, Error> {
        let spki = match &secret {
            Secret::P256(key) => Some(key.verifying_key().to_public_key_der()),
            Secret::P384(key) => Some(key.verifying_key().to_public_key_der()),
            Secret::Ed25519(key) => Some(key.verifying_key().to_public_key_der()),
            Secret::Rsa(_) => None,
        };
        let spki = spki.transpose().map_err(|_| malformed("its public key cannot be encoded"))?;
        let public = match (spki, &secret) {
            (Some(spki), _) => PublicKey::from_spki(spki.as_bytes())?,
            (None, Secret::Rsa(rsa)) => PublicKey::from_pkcs1(rsa.key.public().as_ref())?,
            (None, _) => return Err(malformed("it has no public key")),
        };
        let scheme = public.default_scheme();
        Ok(Self { secret, public, scheme })
    }
}

impl Sign for KeyPair {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn scheme(&self) -> Scheme {
        self.scheme
    }

    fn sign(&self, payload: Payload<'_>) -> Result<Vec<u8>, Error> {
        self.sign_by(self.scheme, payload)
    }
}

impl KeyPair {
    /// Signs `payload` by another scheme of this key than its usual one.
    ///
    /// # Errors
    /// As [`Sign::sign`]; or the scheme is of another kind of key, or none that is signed with here.
    pub fn sign_by(&self, scheme: Scheme, payload: Payload<'_>) -> Result<Vec<u8>, Error> {
        scheme.fits(self.public.algorithm())?;
        let failed = |_| Error::BadSignature { scheme };
        match &self.secret {
            Secret::P256(key) => {
                let signature: p256::ecdsa::Signature = key
                    .sign_prehash_with_rng(
                        &mut RandomBytes(random()?),
                        scheme.digest(payload)?.as_bytes(),
                    )
                    .map_err(failed)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Secret::P384(key) => {
                let signature: p384::ecdsa::Signature = key
                    .sign_prehash_with_rng(
                        &mut RandomBytes(random()?),
                        scheme.digest(payload)?.as_bytes(),
                    )
                    .map_err(failed)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Secret::Ed25519(key) => match (scheme, payload) {
                (Scheme::Ed25519ph, payload) => {
                    let digest = Prehashed::new(&scheme.digest(payload)?);
                    Ok(key.sign_prehashed(digest, None).map_err(failed)?.to_vec())
                }
                (_, Payload::Message(message)) => Ok(key.sign(message).to_vec()),
                (scheme, Payload::Digest(_)) => Err(Error::NeedsMessage { scheme }),
            },
            Secret::Rsa(rsa) => match (scheme, payload) {
                (Scheme::RsaPkcs1Sha256 { .. }, Payload::Message(message)) => {
                    let mut signature = vec![0; rsa.key.public().modulus_len()];
                    rsa.key
                        .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                        .map_err(|_| Error::NoRandomness)?;
                    Ok(signature)
                }
                (scheme, Payload::Digest(_)) => Err(Error::NeedsMessage { scheme }),
                (scheme, Payload::Message(_)) => Err(Error::BadSignature { scheme }),
            },
        }
    }
}

impl RsaKey {
    fn read(der: &[u8]) -> Option<Self> {
        let document = SecretDocument::try_from(der).ok()?;
        Some(Self { key: ring::rsa::KeyPair::from_pkcs8(der).ok()?, document })
    }
}

/// The PKCS #8 form of an ECPrivateKey (RFC 5915).
fn ec_document(der: &[u8]) -> Option<SecretDocument> {
    let p256 = p256::SecretKey::from_sec1_der(der).map(|key| key.to_pkcs8_der());
    let document = p256
        .or_else(|_| p384::SecretKey::from_sec1_der(der).map(|key| key.to_pkcs8_der()))
        .or_else(|_| p521::SecretKey::from_sec1_der(der).map(|key| key.to_pkcs8_der()));
    document.ok()?.ok()
}

/// The PKCS #8 form of an RSAPrivateKey (RFC 8017, A.1.2).
fn rsa_document(der: &[u8]) -> Option<SecretDocument> {
    let algorithm =
        AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(der::asn1::AnyRef::NULL) };
    SecretDocument::encode_msg(&PrivateKeyInfo::new(algorithm, der)).ok()
}

/// rsaEncryption (RFC 8017, appendix C).
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Shows the public half only.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Random bytes that were drawn beforehand, where drawing could fail. They are the additional data
/// of RFC 6979, section 3.6: were they all the same, the signature would still give nothing away.
struct RandomBytes([u8; 48]);

impl RngCore for RandomBytes {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        impls::next_u64_via_fill(self)
    }

    /// Asked for once, for as many bytes as a scalar of the curve has.
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for RandomBytes {}

const SIGNING_KINDS: &str =
    "expected a key on P-256, P-384 or Ed25519, or an RSA key of 2048 to 4096 bits";

/// Draws until the bytes are a private scalar of the curve. One draw in four thousand million is
/// not, so ten that are not mean a broken random generator.
fn scalar<const N: usize, K>(accept: impl Fn(&[u8]) -> Option<K>) -> Result<K, Error> {
    for _ in 0..10 {
        let bytes = Zeroizing::new(random::<N>()?);
        if let Some(key) = accept(bytes.as_slice()) {
            return Ok(key);
        }
    }
    Err(Error::NoRandomness)
}

fn malformed(reason: &str) -> Error {
    Error::Malformed { expected: "private key", reason: reason.to_owned() }
}

fn encrypted_by_another_tool() -> Error {
    Error::UnsupportedKey {
        expected: "a private key that is not encrypted, or that cosign encrypted",
        found: "a private key that openssl or a similar tool encrypted".to_owned(),
    }
}
