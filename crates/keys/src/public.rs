//! Public keys: reading them, naming them, verifying with them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::asn1::{AnyRef, BitStringRef};
use der::oid::ObjectIdentifier;
use der::{Decode as _, Encode as _};
use ed25519_dalek::VerifyingKey as Ed25519Key;
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use crate::algorithm::{KeyAlgorithm, Scheme};
use crate::digest::sha256;
use crate::ecdsa::{self, as_wide_as_p521, prehash_verifies};
use crate::error::Error;
use crate::payload::Payload;
use crate::prehashed::Prehashed;
use crate::rsa::RsaKey;

/// The largest key accepted, in bytes: an RSA key of 8192 bits in PEM has fifteen hundred.
const KEY_CAP: usize = 16 << 10;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A public key that is known to be a valid one of its kind.
///
/// Two keys are equal when their SubjectPublicKeyInfo is, byte for byte.
#[derive(Clone)]
pub struct PublicKey {
    spki: Vec<u8>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
    Ed25519(Ed25519Key),
    Rsa(RsaKey),
}

impl PublicKey {
    /// Reads the PEM form: exactly one block, `PUBLIC KEY` (RFC 5280 SubjectPublicKeyInfo) or
    /// `RSA PUBLIC KEY` (PKCS #1). Text around the block is passed over.
    ///
    /// # Errors
    /// There is no such block or more than one, or the key in it is malformed or unsupported.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Malformed { expected: "PEM public key", reason };
        if text.len() > KEY_CAP {
            return Err(wrong(format!("it is longer than {KEY_CAP} bytes")));
        }
        if text.matches("-----BEGIN ").count() > 1 {
            return Err(wrong("there is more than one block".into()));
        }
        let block = pem::parse(text).map_err(|error| wrong(pem_error(&error)))?;
        match block.tag() {
            "PUBLIC KEY" => Self::from_spki(block.contents()),
            "RSA PUBLIC KEY" => Self::from_pkcs1(block.contents()),
            other => Err(Error::Malformed {
                expected: "PEM public key",
                reason: format!(
                    "expected a block PUBLIC KEY or RSA PUBLIC KEY, found {}",
                    shown(other)
                ),
            }),
        }
    }

    /// Reads a DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7), with nothing behind it.
    ///
    /// Points are taken uncompressed only, as X.509 has them in practice; RSA keys have 2048 to
    /// 8192 bits.
    ///
    /// # Errors
    /// The bytes are not DER, or the key is of another kind or no valid one of its kind.
    pub fn from_spki(spki: &[u8]) -> Result<Self, Error> {
        let info = SubjectPublicKeyInfoRef::from_der(capped(spki)?)
            .map_err(|error| malformed(error.to_string()))?;
        let key = info
            .subject_public_key
            .as_bytes()
            .ok_or_else(|| malformed("the key does not end at a byte boundary"))?;
        let material = match info.algorithm.oid {
            EC_PUBLIC_KEY => Material::point(named_curve(&info.algorithm)?, key)?,
            ED25519 => {
                if info.algorithm.parameters.is_some() {
                    return Err(malformed("Ed25519 takes no parameters"));
                }
                Material::ed25519(key)?
            }
            RSA_ENCRYPTION => {
                if info.algorithm.parameters != Some(AnyRef::NULL) {
                    return Err(malformed("the parameters of an RSA key must be NULL"));
                }
                Material::Rsa(RsaKey::from_pkcs1(key)?)
            }
            other => {
                return Err(Error::UnsupportedKey {
                    expected: "ECDSA, Ed25519 or RSA",
                    found: format!("algorithm {other}"),
                });
            }
        };
        Ok(Self { spki: spki.to_vec(), material })
    }

    /// Reads a DER RSAPublicKey (RFC 8017 A.1.1), with nothing behind it.
    ///
    /// # Errors
    /// The bytes are not DER, or the key is not a valid one of 2048 to 8192 bits.
    pub fn from_pkcs1(pkcs1: &[u8]) -> Result<Self, Error> {
        let key = RsaKey::from_pkcs1(capped(pkcs1)?)?;
        let spki = encode_spki(RSA_ENCRYPTION, Some(AnyRef::NULL), pkcs1)?;
        Ok(Self { spki, material: Material::Rsa(key) })
    }

    /// The key at an uncompressed point of a curve (SEC 1 2.3.3), without the SubjectPublicKeyInfo
    /// around it.
    ///
    /// # Errors
    /// `algorithm` is not ECDSA, or `point` is not a point of its curve.
    pub fn from_ec_point(algorithm: KeyAlgorithm, point: &[u8]) -> Result<Self, Error> {
        let curve = match algorithm {
            KeyAlgorithm::EcdsaP256 => P256,
            KeyAlgorithm::EcdsaP384 => P384,
            KeyAlgorithm::EcdsaP521 => P521,
            other => {
                let found = other.to_string();
                return Err(Error::UnsupportedKey { expected: "P-256, P-384 or P-521", found });
            }
        };
        let material = Material::point(curve, capped(point)?)?;
        let spki = encode_spki(EC_PUBLIC_KEY, Some(AnyRef::from(&curve)), point)?;
        Ok(Self { spki, material })
    }

    /// Reads the 32 bytes of an Ed25519 key, as signed notes carry them.
    ///
    /// # Errors
    /// The bytes are not a point of the curve.
    pub fn from_ed25519_bytes(raw: &[u8; 32]) -> Result<Self, Error> {
        let material = Material::ed25519(raw)?;
        Ok(Self { spki: encode_spki(ED25519, None, raw)?, material })
    }

    /// The 32 bytes of an Ed25519 key; nothing for the other kinds.
    pub fn ed25519_bytes(&self) -> Option<&[u8; 32]> {
        match &self.material {
            Material::Ed25519(key) => Some(key.as_bytes()),
            _ => None,
        }
    }

    /// The DER SubjectPublicKeyInfo, byte for byte as it was read.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The PEM form, a block `PUBLIC KEY` that ends with a newline.
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new("PUBLIC KEY", self.spki.clone()), config)
    }

    /// What kind of key it is.
    pub fn algorithm(&self) -> KeyAlgorithm {
        match &self.material {
            Material::P256(_) => KeyAlgorithm::EcdsaP256,
            Material::P384(_) => KeyAlgorithm::EcdsaP384,
            Material::P521(_) => KeyAlgorithm::EcdsaP521,
            Material::Ed25519(_) => KeyAlgorithm::Ed25519,
            Material::Rsa(key) => KeyAlgorithm::Rsa { bits: key.bits() },
        }
    }

    /// The SHA-256 of the SubjectPublicKeyInfo: the log id of CT logs and of Rekor v1.
    pub fn id(&self) -> [u8; 32] {
        sha256(&self.spki)
    }

    /// How a Sigstore bundle refers to the key: the base64 of its [`id`](Self::id).
    pub fn hint(&self) -> String {
        STANDARD.encode(self.id())
    }

    /// The scheme for such a key where no other is named.
    pub fn default_scheme(&self) -> Scheme {
        self.algorithm().default_scheme()
    }

    /// Checks that `signature` was made by this key over `payload`.
    ///
    /// An ECDSA signature is the strict DER of `r` and `s`; a high `s` is accepted, as in Go. Ed25519 follows the strict rules (no keys of small order). Every scheme but pure
    /// Ed25519 verifies from the digest as well as from the message.
    ///
    /// # Errors
    /// The scheme is not one of this key's, the digest is of another algorithm, pure Ed25519 got
    /// a digest, or the signature does not verify.
    pub fn verify(
        &self,
        scheme: Scheme,
        payload: Payload<'_>,
        signature: &[u8],
    ) -> Result<(), Error> {
        scheme.fits(self.algorithm())?;
        let verified = match &self.material {
            Material::P256(key) => {
                let point = key.to_encoded_point(false);
                ecdsa::verifies(scheme, point.as_bytes(), payload, signature, |digest| {
                    p256::ecdsa::Signature::from_der(signature)
                        .is_ok_and(|signature| prehash_verifies(key, digest, &signature))
                })?
            }
            Material::P384(key) => {
                let point = key.to_encoded_point(false);
                ecdsa::verifies(scheme, point.as_bytes(), payload, signature, |digest| {
                    p384::ecdsa::Signature::from_der(signature)
                        .is_ok_and(|signature| prehash_verifies(key, digest, &signature))
                })?
            }
            Material::P521(key) => {
                let digest = as_wide_as_p521(&scheme.digest(payload)?);
                p521::ecdsa::Signature::from_der(signature)
                    .is_ok_and(|signature| prehash_verifies(key, &digest, &signature))
            }
            Material::Ed25519(key) => ed25519_verifies(key, scheme, payload, signature)?,
            Material::Rsa(key) => {
                let is_pss = matches!(
                    scheme,
                    Scheme::RsaPssSha256 { .. }
                        | Scheme::RsaPssSha384 { .. }
                        | Scheme::RsaPssSha512 { .. }
                );
                match (payload, scheme.hash()) {
                    (Payload::Message(message), Some(hash)) if is_pss => {
                        key.verify_pss(hash, message, signature)
                    }
                    (Payload::Message(message), Some(hash)) => {
                        key.verify_pkcs1(hash, message, signature)
                    }
                    _ if is_pss => key.verify_pss_digest(&scheme.digest(payload)?, signature),
                    _ => key.verify_pkcs1_digest(&scheme.digest(payload)?, signature),
                }
            }
        };
        if verified { Ok(()) } else { Err(Error::BadSignature { scheme }) }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl std::hash::Hash for PublicKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.spki.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PublicKey({}, id {})",
            self.algorithm(),
            base16ct::lower::encode_string(&self.id())
        )
    }
}

impl Material {
    fn point(curve: ObjectIdentifier, point: &[u8]) -> Result<Self, Error> {
        if point.first() != Some(&UNCOMPRESSED) {
            return Err(malformed("expected an uncompressed point of the curve"));
        }
        let off_curve = |_| malformed("the key is not a point of its curve");
        match curve {
            P256 => {
                p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Self::P256).map_err(off_curve)
            }
            P384 => {
                p384::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Self::P384).map_err(off_curve)
            }
            P521 => {
                p521::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Self::P521).map_err(off_curve)
            }
            other => Err(Error::UnsupportedKey {
                expected: "P-256, P-384 or P-521",
                found: format!("curve {other}"),
            }),
        }
    }

    fn ed25519(raw: &[u8]) -> Result<Self, Error> {
        let raw: &[u8; 32] =
            raw.try_into().map_err(|_| malformed("an Ed25519 key has 32 bytes"))?;
        if !is_canonical(raw) {
            return Err(malformed("the key is not in its canonical form"));
        }
        Ed25519Key::from_bytes(raw)
            .map(Self::Ed25519)
            .map_err(|_| malformed("the key is not a point of its curve"))
    }
}

/// Whether the coordinate in an Ed25519 key is less than 2^255 - 19 (RFC 8032 5.1.3). A larger one
/// is a second form of the same key.
fn is_canonical(raw: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = raw;
    *low < 0xed || middle.iter().any(|byte| *byte != 0xff) || high & 0x7f != 0x7f
}

/// How SEC 1 marks a point with both coordinates.
const UNCOMPRESSED: u8 = 4;

fn ed25519_verifies(
    key: &Ed25519Key,
    scheme: Scheme,
    payload: Payload<'_>,
    signature: &[u8],
) -> Result<bool, Error> {
    let signature = ed25519_dalek::Signature::from_slice(signature);
    let bad_signature = |_| Error::BadSignature { scheme };
    match (scheme, payload) {
        (Scheme::Ed25519ph, payload) => {
            let digest = Prehashed::new(&scheme.digest(payload)?);
            Ok(key
                .verify_prehashed_strict(digest, None, &signature.map_err(bad_signature)?)
                .is_ok())
        }
        (_, Payload::Message(message)) => {
            Ok(key.verify_strict(message, &signature.map_err(bad_signature)?).is_ok())
        }
        (_, Payload::Digest(_)) => Err(Error::NeedsMessage { scheme }),
    }
}

fn named_curve(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<ObjectIdentifier, Error> {
    algorithm
        .parameters
        .and_then(|parameters| parameters.decode_as().ok())
        .ok_or_else(|| malformed("an ECDSA key must name its curve"))
}

fn encode_spki(
    oid: ObjectIdentifier,
    parameters: Option<AnyRef<'_>>,
    key: &[u8],
) -> Result<Vec<u8>, Error> {
    let wrong = |error: der::Error| malformed(error.to_string());
    SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef { oid, parameters },
        subject_public_key: BitStringRef::from_bytes(key).map_err(wrong)?,
    }
    .to_der()
    .map_err(wrong)
}

fn capped(key: &[u8]) -> Result<&[u8], Error> {
    if key.len() > KEY_CAP {
        return Err(malformed(format!("it is longer than {KEY_CAP} bytes")));
    }
    Ok(key)
}

fn malformed(reason: impl Into<String>) -> Error {
    Error::Malformed { expected: "public key", reason: reason.into() }
}

/// Why a text is not PEM, without quoting it: what follows a label may be a key.
pub fn pem_error(error: &pem::PemError) -> String {
    match error {
        pem::PemError::MismatchedTags(..) => "its BEGIN and END lines do not match".to_owned(),
        pem::PemError::InvalidHeader(_) => "a header in it is malformed".to_owned(),
        other => other.to_string(),
    }
}

/// A PEM label, fit to show.
fn shown(label: &str) -> String {
    label.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyPair, Sign as _};

    /// A key, a message, and a signature of it.
    fn signed() -> (PublicKey, p256::ecdsa::Signature) {
        let pair = KeyPair::generate().unwrap();
        let signature = pair.sign(Payload::Message(b"message")).unwrap();
        let signature = p256::ecdsa::Signature::from_der(&signature).unwrap();
        (pair.public_key().clone(), signature)
    }

    fn verify(key: &PublicKey, signature: &[u8]) -> bool {
        key.verify(Scheme::EcdsaP256Sha256, Payload::Message(b"message"), signature).is_ok()
    }

    #[test]
    fn a_high_and_a_low_s_are_both_accepted() {
        let (key, signature) = signed();
        let (r, s) = signature.split_scalars();
        let mirrored = p256::ecdsa::Signature::from_scalars(r, -s).unwrap();
        assert_ne!(signature, mirrored);
        assert!(verify(&key, signature.to_der().as_bytes()));
        assert!(verify(&key, mirrored.to_der().as_bytes()));
    }

    #[test]
    fn only_the_shortest_encoding_of_a_signature_is_accepted() {
        let (key, signature) = signed();
        let der = signature.to_der();
        let body = &der.as_bytes()[2..];
        let length = u8::try_from(body.len()).unwrap();
        let sequence = |head: &[u8], body: &[u8]| [head, body].concat();
        assert!(verify(&key, &sequence(&[0x30, length], body)));
        // The length in two bytes; of indefinite length; a zero before r; r and s side by side.
        assert!(!verify(&key, &sequence(&[0x30, 0x81, length], body)));
        assert!(!verify(&key, &[&[0x30, 0x80], body, &[0, 0]].concat()));
        let padded = [&[2, body[1] + 1, 0], &body[2..]].concat();
        assert!(!verify(&key, &sequence(&[0x30, length + 1], &padded)));
        assert!(!verify(&key, &signature.to_bytes()));
    }

    #[test]
    fn zero_is_no_part_of_a_signature() {
        let (key, _) = signed();
        assert!(!verify(&key, &[0x30, 6, 2, 1, 0, 2, 1, 0]));
        assert!(!verify(&key, &[0x30, 6, 2, 1, 0, 2, 1, 1]));
        assert!(!verify(&key, &[0x30, 6, 2, 1, 1, 2, 1, 0]));
    }

    #[test]
    fn the_curve_and_the_parameters_are_part_of_the_key() {
        let (key, _) = signed();
        let spki = key.spki().to_vec();
        // P-256 relabelled as secp256k1's neighbour, and parameters replaced by NULL.
        let mut relabelled = spki.clone();
        relabelled[22] ^= 1;
        assert!(PublicKey::from_spki(&relabelled).is_err());
        let ed = KeyPair::generate_for(KeyAlgorithm::Ed25519).unwrap();
        let raw = ed.public_key().ed25519_bytes().unwrap();
        let with_null = encode_spki(ED25519, Some(AnyRef::NULL), raw).unwrap();
        assert_eq!(
            PublicKey::from_spki(&with_null).unwrap_err().to_string(),
            "not a public key: Ed25519 takes no parameters"
        );
    }

    #[test]
    fn an_ed25519_key_has_one_form() {
        let key = |low, high| {
            let mut raw = [0xff; 32];
            (raw[0], raw[31]) = (low, high);
            PublicKey::from_ed25519_bytes(&raw).map_err(|error| error.to_string())
        };
        for (low, high) in [(0xed, 0x7f), (0xff, 0x7f), (0xee, 0xff)] {
            assert!(key(low, high).unwrap_err().ends_with("not in its canonical form"));
        }
        // The largest canonical coordinate, 2^255 - 20, is that of the point of order two.
        assert!(key(0xec, 0x7f).is_ok());
    }

    #[test]
    fn a_point_beside_the_curve_is_no_key() {
        let (key, _) = signed();
        let mut spki = key.spki().to_vec();
        if let Some(last) = spki.last_mut() {
            *last ^= 1;
        }
        assert_eq!(
            PublicKey::from_spki(&spki).unwrap_err().to_string(),
            "not a public key: the key is not a point of its curve"
        );
    }
}
