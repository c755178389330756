//! Key pairs in memory, and what every signer offers.

use std::fmt;

use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::hazmat::RandomizedPrehashSigner;
use p256::ecdsa::signature::rand_core::{self, CryptoRng, RngCore, impls};
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use zeroize::Zeroizing;

use crate::algorithm::{KeyAlgorithm, Scheme};
use crate::error::Error;
use crate::payload::Payload;
use crate::prehashed::Prehashed;
use crate::public::PublicKey;
use crate::random::random;

/// The longest private key accepted, in bytes.
const KEY_CAP: usize = 4 << 10;

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
            other => {
                Err(Error::UnsupportedKey { expected: SIGNING_KINDS, found: other.to_string() })
            }
        }
    }

    /// Reads an unencrypted `PRIVATE KEY` block (RFC 5958).
    ///
    /// # Errors
    /// The text is not such a block, or the key is malformed or not on P-256, P-384 or Ed25519.
    pub fn from_pkcs8_pem(text: &str) -> Result<Self, Error> {
        if text.len() > KEY_CAP {
            return Err(malformed("it is too long"));
        }
        let (label, document) = p256::pkcs8::SecretDocument::from_pem(text.trim_start())
            .map_err(|_| malformed("there is no readable PEM block"))?;
        if label != "PRIVATE KEY" {
            return Err(malformed("the PEM block is not labelled PRIVATE KEY"));
        }
        Self::from_pkcs8_der(document.as_bytes())
    }

    /// Reads a DER PrivateKeyInfo (RFC 5958).
    ///
    /// # Errors
    /// The key is malformed or not on P-256, P-384 or Ed25519.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, Error> {
        if der.len() > KEY_CAP {
            return Err(malformed("it is too long"));
        }
        let secret = p256::ecdsa::SigningKey::from_pkcs8_der(der)
            .map(Secret::P256)
            .or_else(|_| p384::ecdsa::SigningKey::from_pkcs8_der(der).map(Secret::P384))
            .or_else(|_| ed25519_dalek::SigningKey::from_pkcs8_der(der).map(Secret::Ed25519))
            // The parsers' errors may quote the input.
            .map_err(|_| malformed(SIGNING_KINDS))?;
        Self::new(secret)
    }

    /// The key as a `PRIVATE KEY` block, wiped when it is dropped.
    ///
    /// # Errors
    /// The key cannot be encoded, which does not happen with a key made or read here.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, Error> {
        match &self.secret {
            Secret::P256(key) => key.to_pkcs8_pem(LineEnding::LF),
            Secret::P384(key) => key.to_pkcs8_pem(LineEnding::LF),
            Secret::Ed25519(key) => key.to_pkcs8_pem(LineEnding::LF),
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
            Secret::P256(key) => key.verifying_key().to_public_key_der(),
            Secret::P384(key) => key.verifying_key().to_public_key_der(),
            Secret::Ed25519(key) => key.verifying_key().to_public_key_der(),
        }
        .map_err(|_| malformed("its public key cannot be encoded"))?;
        let public = PublicKey::from_spki(spki.as_bytes())?;
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
        let failed = |_| Error::BadSignature { scheme: self.scheme };
        match &self.secret {
            Secret::P256(key) => {
                let digest = self.scheme.digest(payload)?;
                let signature: p256::ecdsa::Signature = key
                    .sign_prehash_with_rng(&mut Drawn(random()?), digest.as_bytes())
                    .map_err(failed)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Secret::P384(key) => {
                let digest = self.scheme.digest(payload)?;
                let signature: p384::ecdsa::Signature = key
                    .sign_prehash_with_rng(&mut Drawn(random()?), digest.as_bytes())
                    .map_err(failed)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Secret::Ed25519(key) => match (self.scheme, payload) {
                (Scheme::Ed25519ph, payload) => {
                    let digest = Prehashed::new(&self.scheme.digest(payload)?);
                    Ok(key.sign_prehashed(digest, None).map_err(failed)?.to_vec())
                }
                (_, Payload::Message(message)) => Ok(key.sign(message).to_vec()),
                (scheme, Payload::Digest(_)) => Err(Error::NeedsMessage { scheme }),
            },
        }
    }
}

/// Shows the public half only.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Random bytes that were drawn beforehand, where drawing could fail. They are the additional data
/// of RFC 6979, section 3.6: were they all the same, the signature would still give nothing away.
struct Drawn([u8; 48]);

impl RngCore for Drawn {
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

impl CryptoRng for Drawn {}

const SIGNING_KINDS: &str = "a private key on P-256, P-384 or Ed25519";

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
    Error::Malformed { expected: "PKCS #8 private key", reason: reason.to_owned() }
}
