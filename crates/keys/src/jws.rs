//! Keys and signatures in the forms of JOSE: bare numbers, and ECDSA without DER.

use crate::algorithm::{KeyAlgorithm, Scheme};
use crate::error::Error;
use crate::payload::Payload;
use crate::public::PublicKey;
use der::Encode as _;
use der::asn1::UintRef;

impl PublicKey {
    /// The key at a point of the curve `P-256`, `P-384` or `P-521`, from the point's coordinates as
    /// a JSON Web Key has them (RFC 7518 6.2.1): as wide as the curve.
    ///
    /// # Errors
    /// Another curve, coordinates of another width, or not a point of the curve.
    pub fn from_ec_coordinates(curve: &str, x: &[u8], y: &[u8]) -> Result<Self, Error> {
        let (algorithm, width) = match curve {
            "P-256" => (KeyAlgorithm::EcdsaP256, 32),
            "P-384" => (KeyAlgorithm::EcdsaP384, 48),
            "P-521" => (KeyAlgorithm::EcdsaP521, 66),
            other => {
                return Err(Error::UnsupportedKey {
                    expected: "the curve P-256, P-384 or P-521",
                    found: other.escape_debug().take(20).collect(),
                });
            }
        };
        if (x.len(), y.len()) != (width, width) {
            let reason =
                format!("expected coordinates of {width} bytes, found {} and {}", x.len(), y.len());
            return Err(Error::Malformed { expected: "point of the curve", reason });
        }
        Self::from_ec_point(algorithm, &[&[4], x, y].concat())
    }

    /// The RSA key of this modulus and exponent, big-endian (RFC 7518 6.3.1).
    ///
    /// # Errors
    /// They are not a key of a supported size.
    pub fn from_rsa_numbers(modulus: &[u8], exponent: &[u8]) -> Result<Self, Error> {
        let wrong =
            |error: der::Error| Error::Malformed { expected: "RSA key", reason: error.to_string() };
        let mut content = UintRef::new(modulus).and_then(|n| n.to_der()).map_err(wrong)?;
        content.extend(UintRef::new(exponent).and_then(|e| e.to_der()).map_err(wrong)?);
        let content = der::asn1::AnyRef::new(der::Tag::Sequence, &content).map_err(wrong)?;
        Self::from_pkcs1(&content.to_der().map_err(wrong)?)
    }

    /// Checks that `signature` was made by this key over `message` with a JWS `algorithm` (RFC 7518
    /// 3.1): `ES256`, `ES384`, `ES512`, and `RS` and `PS` with 256, 384 and 512. `EdDSA` and
    /// algorithms without a public key are unknown here.
    ///
    /// # Errors
    /// The algorithm is unknown or not one of this key's, or the signature does not verify.
    pub fn verify_jws(
        &self,
        algorithm: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        let ecdsa = |scheme: Scheme, width: usize| {
            let der = (signature.len() == 2 * width).then(|| to_der(signature)).flatten();
            let der = der.ok_or_else(|| no_signature(algorithm))?;
            self.verify(scheme, Payload::Message(message), &der)
        };
        let rsa = |scheme| {
            let verified = self.verify(scheme, Payload::Message(message), signature);
            verified.map_err(|_| no_signature(algorithm))
        };
        match (algorithm, self.algorithm()) {
            ("ES256", KeyAlgorithm::EcdsaP256) => ecdsa(Scheme::EcdsaP256Sha256, 32),
            ("ES384", KeyAlgorithm::EcdsaP384) => ecdsa(Scheme::EcdsaP384Sha384, 48),
            ("ES512", KeyAlgorithm::EcdsaP521) => ecdsa(Scheme::EcdsaP521Sha512, 66),
            ("RS256", KeyAlgorithm::Rsa { bits }) => rsa(Scheme::RsaPkcs1Sha256 { bits }),
            ("RS384", KeyAlgorithm::Rsa { bits }) => rsa(Scheme::RsaPkcs1Sha384 { bits }),
            ("RS512", KeyAlgorithm::Rsa { bits }) => rsa(Scheme::RsaPkcs1Sha512 { bits }),
            ("PS256", KeyAlgorithm::Rsa { bits }) => rsa(Scheme::RsaPssSha256 { bits }),
            ("PS384", KeyAlgorithm::Rsa { bits }) => rsa(Scheme::RsaPssSha384 { bits }),
            ("PS512", KeyAlgorithm::Rsa { bits }) => rsa(Scheme::RsaPssSha512 { bits }),
            (other, key) => Err(Error::UnsupportedKey {
                expected: "the key of a known JWS algorithm",
                found: format!("{key} for {}", other.escape_debug().take(20).collect::<String>()),
            }),
        }
    }
}

fn no_signature(algorithm: &str) -> Error {
    let reason = format!("it does not verify with {algorithm}");
    Error::Malformed { expected: "signature by this key", reason }
}

/// Both halves of `signature` as numbers in a SEQUENCE.
fn to_der(signature: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = signature.split_at_checked(signature.len() / 2)?;
    let mut content = UintRef::new(r).and_then(|r| r.to_der()).ok()?;
    content.extend(UintRef::new(s).and_then(|s| s.to_der()).ok()?);
    der::asn1::AnyRef::new(der::Tag::Sequence, &content).and_then(|it| it.to_der()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyPair, Sign as _};

    /// `r` and `s` of a DER signature on P-256, side by side.
    fn raw(der: &[u8]) -> Vec<u8> {
        p256::ecdsa::Signature::from_der(der).unwrap().to_bytes().to_vec()
    }

    #[test]
    fn a_key_is_the_same_from_its_coordinates() {
        let key = KeyPair::generate().unwrap();
        let spki = key.public_key().spki();
        let (x, y) = spki[spki.len() - 64..].split_at(32);
        assert_eq!(PublicKey::from_ec_coordinates("P-256", x, y).unwrap(), *key.public_key());
        assert!(PublicKey::from_ec_coordinates("P-256", &x[1..], y).is_err());
        assert!(PublicKey::from_ec_coordinates("P-256", &[1; 32], y).is_err());
        assert!(PublicKey::from_ec_coordinates("secp256k1", x, y).is_err());
        assert!(PublicKey::from_ec_coordinates("P-384", x, y).is_err());
    }

    #[test]
    fn the_bare_form_of_a_signature_verifies_and_others_do_not() {
        let key = KeyPair::generate().unwrap();
        let der = key.sign(Payload::Message(b"a.b")).unwrap();
        let signature = raw(&der);
        let verify = |algorithm: &str, message: &[u8], signature: &[u8]| {
            key.public_key().verify_jws(algorithm, message, signature)
        };
        verify("ES256", b"a.b", &signature).unwrap();
        assert!(verify("ES256", b"a.c", &signature).is_err());
        assert!(verify("ES256", b"a.b", &der).is_err(), "DER is not JOSE's form");
        assert!(verify("ES256", b"a.b", &[0; 64]).is_err());
        for algorithm in ["ES384", "RS256", "none", "HS256", ""] {
            assert!(verify(algorithm, b"a.b", &signature).is_err(), "{algorithm}");
        }
    }

    /// RFC 7515 appendix A.2.
    #[test]
    fn the_published_rsa_example_verifies() {
        use base64::Engine as _;
        let decode = |text| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap();
        let modulus = decode(
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        );
        let key = PublicKey::from_rsa_numbers(&modulus, &decode("AQAB")).unwrap();
        let signed = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = decode(
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        );
        key.verify_jws("RS256", signed.as_bytes(), &signature).unwrap();
        assert!(key.verify_jws("RS384", signed.as_bytes(), &signature).is_err());
        assert!(key.verify_jws("PS256", signed.as_bytes(), &signature).is_err());
    }
}
