//! The issuer's keys (RFC 7517), and the signatures they verify.

use keys::{Payload, PublicKey, Scheme};
use serde_json::{Map, Value};

/// The keys of an issuer that may sign tokens.
pub(crate) struct KeySet(Vec<Key>);

struct Key {
    id: Option<String>,
    /// The one algorithm it is for, if it says so.
    algorithm: Option<String>,
    key: PublicKey,
}

impl KeySet {
    /// Reads a key set. Keys for another use or of a kind that is unknown here are passed over
    /// (RFC 7517 5); no issuer has more than [`KEYS`].
    pub(crate) fn read(document: &Map<String, Value>) -> Self {
        let list = document.get("keys").and_then(Value::as_array).map(Vec::as_slice);
        Self(list.unwrap_or_default().iter().take(KEYS).filter_map(Key::read).collect())
    }

    /// The keys with this id, or all of them where the token names none.
    fn named<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(move |key| id.is_none_or(|id| key.id.as_deref() == Some(id)))
    }

    /// Whether there is a key with this id.
    pub(crate) fn has(&self, id: Option<&str>) -> bool {
        self.named(id).next().is_some()
    }

    /// Whether one of the keys with this id made `signature`.
    pub(crate) fn verifies(
        &self,
        id: Option<&str>,
        algorithm: &str,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        self.named(id)
            .filter(|key| key.algorithm.as_deref().is_none_or(|only| only == algorithm))
            .any(|key| key.verifies(algorithm, message, signature))
    }
}

impl Key {
    fn read(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let key = PublicKey::from_jwk(value).ok()?;
        let [id, algorithm] = ["kid", "alg"].map(|name| text(name).map(str::to_owned));
        Some(Self { id, algorithm, key })
    }

    fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        match algorithm {
            "EdDSA" | "Ed25519" => {
                self.key.verify(Scheme::Ed25519, Payload::Message(message), signature).is_ok()
            }
            _ => self.key.verify_jws(algorithm, message, signature).is_ok(),
        }
    }
}

/// More keys than any issuer rotates through.
const KEYS: usize = 64;

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    fn set(keys: &Value) -> KeySet {
        KeySet::read(json!({ "keys": keys }).as_object().unwrap())
    }

    fn verifies(set: &KeySet, id: Option<&str>, algorithm: &str, token: &str) -> bool {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        set.verifies(id, algorithm, signed.as_bytes(), &signature)
    }

    /// RFC 8037 appendix A.
    #[test]
    fn the_published_ed25519_example_verifies() {
        let keys = set(&json!([{
            "kty": "OKP", "crv": "Ed25519", "kid": "k",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }]));
        let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert!(verifies(&keys, Some("k"), "EdDSA", token));
        assert!(verifies(&keys, None, "EdDSA", token));
        assert!(!verifies(&keys, Some("other"), "EdDSA", token));
        assert!(!verifies(&keys, None, "ES256", token));
        assert!(!verifies(&keys, None, "none", token));
        assert!(!verifies(&keys, None, "EdDSA", &token.replace(".RXh", ".RXg")));
    }

    /// RFC 7515 appendix A.3.
    #[test]
    fn the_published_p256_example_verifies_unless_the_key_is_for_something_else() {
        let mut key = json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        });
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        assert!(verifies(&set(&json!([key.clone()])), None, "ES256", token));
        key["alg"] = json!("ES384");
        assert!(!verifies(&set(&json!([key.clone()])), None, "ES256", token));
        key["alg"] = json!("ES256");
        key["use"] = json!("enc");
        assert!(!set(&json!([key])).has(None));
    }

    #[test]
    fn malformed_and_unknown_keys_are_passed_over() {
        let keys = set(
            &json!([null, {}, {"kty": "oct", "k": "AAAA"}, {"kty": "EC", "crv": "P-256"},
            {"kty": "OKP", "crv": "X25519", "x": "AAAA"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}]),
        );
        assert!(!keys.has(None));
        assert!(!KeySet::read(&Map::new()).has(None));
    }
}
