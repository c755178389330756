//! JSON Web Keys (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::error::Error;
use crate::public::PublicKey;

impl PublicKey {
    /// The public key of a JSON Web Key: `EC` on P-256, P-384 or P-521, `RSA`, or `OKP` with the
    /// curve Ed25519. Its `kid`, `use` and `alg` are for the caller to look at.
    ///
    /// # Errors
    /// The key is of another kind, or one of its members is missing or malformed.
    pub fn from_jwk(jwk: &Value) -> Result<Self, Error> {
        let text = |name: &'static str| {
            let text = jwk.get(name).and_then(Value::as_str);
            text.ok_or_else(|| malformed(format!("{name} is missing or not a string")))
        };
        let bytes = |name: &'static str| {
            let decoded = URL_SAFE_NO_PAD.decode(text(name)?);
            decoded.map_err(|_| malformed(format!("{name} is not base64url without padding")))
        };
        match text("kty")? {
            "EC" => Self::from_ec_coordinates(text("crv")?, &bytes("x")?, &bytes("y")?),
            "RSA" => Self::from_rsa_numbers(&bytes("n")?, &bytes("e")?),
            "OKP" if text("crv")? == "Ed25519" => {
                let raw = bytes("x")?.try_into();
                Self::from_ed25519_bytes(
                    &raw.map_err(|_| malformed("x is not 32 bytes long".to_owned()))?,
                )
            }
            other => {
                let curve = jwk.get("crv").and_then(Value::as_str).unwrap_or_default();
                let found = format!("{other} {curve}");
                Err(Error::UnsupportedKey {
                    expected: "a JSON Web Key of type EC, RSA or OKP with the curve Ed25519",
                    found: found.trim_end().chars().take(40).flat_map(char::escape_debug).collect(),
                })
            }
        }
    }
}

fn malformed(reason: String) -> Error {
    Error::Malformed { expected: "JSON Web Key", reason }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::KeyAlgorithm;

    fn algorithm(jwk: &Value) -> KeyAlgorithm {
        PublicKey::from_jwk(jwk).unwrap().algorithm()
    }

    /// RFC 7515 appendix A.3, RFC 8037 appendix A.2 and RFC 7515 appendix A.2.
    #[test]
    fn the_published_keys_are_read() {
        let ec = json!({
            "kty": "EC", "crv": "P-256", "kid": "any", "use": "enc",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        });
        assert_eq!(algorithm(&ec), KeyAlgorithm::EcdsaP256);
        let okp = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        assert_eq!(algorithm(&okp), KeyAlgorithm::Ed25519);
        let rsa = json!({
            "kty": "RSA", "e": "AQAB",
            "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        });
        assert_eq!(algorithm(&rsa), KeyAlgorithm::Rsa { bits: 2048 });
    }

    #[test]
    fn a_key_that_cannot_be_read_says_which_member_is_wrong() {
        let point = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
        for (jwk, expected) in [
            (json!(null), "kty is missing"),
            (json!({ "kty": "EC", "crv": "P-256", "x": point }), "y is missing"),
            (json!({ "kty": "EC", "crv": "P-256", "x": "+", "y": point }), "x is not base64url"),
            (json!({ "kty": "EC", "crv": "P-256", "x": point, "y": point }), "not a point"),
            (json!({ "kty": "EC", "crv": "P-999", "x": point, "y": point }), "found P-999"),
            (json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" }), "x is not 32 bytes"),
            (json!({ "kty": "OKP", "crv": "X25519", "x": point }), "found OKP X25519"),
            (json!({ "kty": "oct", "k": "AAAA" }), "found oct"),
            (json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }), "RSA modulus"),
        ] {
            let error = PublicKey::from_jwk(&jwk).unwrap_err().to_string();
            assert!(error.contains(expected), "{jwk}: {error}");
        }
    }
}
