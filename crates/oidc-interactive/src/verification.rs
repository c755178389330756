//! Whether an identity token is the issuer's answer to this login (OpenID Connect Core 3.1.3.7).

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use host::escape_remote;
use id_token::IdToken;
use keys::{Digest, HashAlgorithm};
use serde_json::{Map, Value};

use crate::key_set::KeySet;

/// The check that an identity token failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// `at_hash` is the hash of another access token.
    #[error("its at_hash does not fit the access token that came with it")]
    AccessToken,
    /// Signed in a way that the issuer does not announce, or not signed.
    #[error("expected an algorithm of {}, found {found}", expected.join(", "))]
    Algorithm {
        /// What the discovery document lists; the first of many.
        expected: Vec<String>,
        /// What the token's header says.
        found: String,
    },
    /// Its audience is another client.
    #[error("expected the audience {expected}, found {found}")]
    Audience {
        /// The client id.
        expected: String,
        /// The token's audiences, or its authorized party.
        found: String,
    },
    /// It came expired. A token that was issued just now has expired only by a wrong clock.
    #[error(
        "it expired {} s ago by the clock of this machine{}",
        since.as_secs(),
        age.map(|age| format!(", and was issued {} s ago", age.as_secs())).unwrap_or_default()
    )]
    Expired {
        /// How long ago.
        since: Duration,
        /// How long ago it was issued.
        age: Option<Duration>,
    },
    /// It names another issuer.
    #[error("expected the issuer {expected}, found {found}")]
    Issuer {
        /// The one of the discovery document.
        expected: String,
        /// The one of the token.
        found: String,
    },
    /// No identity token, or one that lacks a claim it must have.
    #[error("{reason}")]
    Malformed {
        /// Expected and found.
        reason: String,
    },
    /// The answer to another login than this one.
    #[error("its nonce is not the one of this login")]
    Nonce,
    /// Its time has not come.
    #[error("it is good only in {} s by the clock of this machine", from.as_secs())]
    NotYet {
        /// How long until then.
        from: Duration,
    },
    /// The issuer's keys did not sign it.
    #[error("its signature does not verify with the issuer's key {key}")]
    Signature {
        /// The key id that the token names.
        key: String,
    },
    /// It names a key that the issuer does not have.
    #[error("the issuer has no key {key}, which it says it is signed with")]
    UnknownKey {
        /// The key id that the token names.
        key: String,
    },
}

/// What the token must say.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) algorithms: &'a [String],
    /// `None` where none was sent.
    pub(crate) nonce: Option<&'a str>,
    /// The one that came with it.
    pub(crate) access_token: Option<&'a str>,
    pub(crate) now: SystemTime,
}

impl Expected<'_> {
    /// Signature first: nothing else in a token that anyone could have made is worth a report.
    pub(crate) fn check(&self, token: &IdToken, keys: &KeySet) -> Result<(), Untrusted> {
        self.signature(token, keys)?;
        self.claims(token)
    }

    fn signature(&self, token: &IdToken, keys: &KeySet) -> Result<(), Untrusted> {
        let malformed = |reason: &str| Untrusted::Malformed { reason: reason.to_owned() };
        let (signed, signature) =
            token.reveal().rsplit_once('.').ok_or_else(|| malformed("it has no signature"))?;
        let header = signed.split('.').next().unwrap_or_default();
        let header: Map<String, Value> = URL_SAFE_NO_PAD
            .decode(header)
            .ok()
            .and_then(|header| serde_json::from_slice(&header).ok())
            .ok_or_else(|| malformed("its header cannot be read"))?;
        // RFC 7515 4.1.11: extensions that we must understand, and do not.
        if header.contains_key("crit") {
            return Err(malformed("its header has critical extensions, of which none is known"));
        }
        let algorithm = token.algorithm();
        let symmetric = algorithm == "none" || algorithm.starts_with("HS");
        if symmetric || !self.algorithms.iter().any(|known| known == algorithm) {
            let shown = self.algorithms.iter().take(ALGORITHMS_SHOWN);
            let expected = shown.map(|known| escape_remote(known)).collect();
            return Err(Untrusted::Algorithm { expected, found: escape_remote(algorithm) });
        }
        let id = header.get("kid").and_then(Value::as_str);
        let key = id.map_or_else(|| "of any name".to_owned(), escape_remote);
        if !keys.has(id) {
            return Err(Untrusted::UnknownKey { key });
        }
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| malformed("its signature is not base64url"))?;
        match keys.verifies(id, algorithm, signed.as_bytes(), &signature) {
            true => Ok(()),
            false => Err(Untrusted::Signature { key }),
        }
    }

    fn claims(&self, token: &IdToken) -> Result<(), Untrusted> {
        let claims = token.claims();
        let issuer = claims.issuer().unwrap_or("none");
        if issuer != self.issuer {
            let (expected, found) = (self.issuer.to_owned(), escape_remote(issuer));
            return Err(Untrusted::Issuer { expected, found });
        }
        let audiences = claims.audiences();
        let party = claims.text("azp").filter(|party| *party != self.client_id);
        if !audiences.contains(&self.client_id) || party.is_some() {
            let found = match party {
                Some(party) => format!("the authorized party {party}"),
                None if audiences.is_empty() => "none".to_owned(),
                None => audiences.join(", "),
            };
            let (expected, found) = (self.client_id.to_owned(), escape_remote(&found));
            return Err(Untrusted::Audience { expected, found });
        }
        let malformed = |reason: &str| Untrusted::Malformed { reason: reason.to_owned() };
        let expires = claims.expires_at().ok_or_else(|| malformed("it has no time of expiry"))?;
        if let Ok(since) = self.now.duration_since(expires) {
            let age = claims.issued_at().and_then(|at| self.now.duration_since(at).ok());
            return Err(Untrusted::Expired { since, age });
        }
        // Fulcio's own leeway: clocks differ.
        let soon = self.now.checked_add(LEEWAY).unwrap_or(self.now);
        if let Some(start) = claims.not_before().filter(|start| *start > soon) {
            let from = start.duration_since(self.now).unwrap_or_default();
            return Err(Untrusted::NotYet { from });
        }
        if self.nonce.is_some() && claims.text("nonce") != self.nonce {
            return Err(Untrusted::Nonce);
        }
        if let (Some(claimed), Some(access_token)) = (claims.get("at_hash"), self.access_token)
            && claimed.as_str() != Some(half_hash(token.algorithm(), access_token).as_str())
        {
            return Err(Untrusted::AccessToken);
        }
        Ok(())
    }
}

/// The left half of the hash that goes with the algorithm (Core 3.1.3.6).
fn half_hash(algorithm: &str, text: &str) -> String {
    let hash = match algorithm {
        "ES384" | "RS384" | "PS384" => HashAlgorithm::Sha384,
        "ES512" | "RS512" | "PS512" | "EdDSA" | "Ed25519" => HashAlgorithm::Sha512,
        _ => HashAlgorithm::Sha256,
    };
    let digest = Digest::of(hash, text.as_bytes());
    let bytes = digest.as_bytes();
    URL_SAFE_NO_PAD.encode(bytes.get(..bytes.len() / 2).unwrap_or_default())
}

/// No issuer announces as many.
const ALGORITHMS_SHOWN: usize = 12;

/// As Fulcio's library has it for `nbf`.
const LEEWAY: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use serde_json::json;

    use super::*;

    const PRIVATE: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/openssl/rsa_private.pem"
    ));
    const PUBLIC: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/openssl/rsa_public.pem"
    ));

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn token(header: &Value, claims: &Value) -> IdToken {
        let [header, claims] =
            [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = keys::sign_rs256(PRIVATE, signed.as_bytes()).unwrap();
        IdToken::parse(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))).unwrap()
    }

    fn key_set() -> KeySet {
        // The numbers stand at fixed places of the DER of a key of 2048 bits.
        let spki = keys::PublicKey::from_pem(PUBLIC).unwrap().spki().to_vec();
        let (modulus, exponent) = (&spki[33..289], &spki[291..294]);
        let [n, e] = [modulus, exponent].map(|number| URL_SAFE_NO_PAD.encode(number));
        let document = json!({ "keys": [{ "kty": "RSA", "kid": "k", "n": n, "e": e }] });
        KeySet::read(document.as_object().unwrap())
    }

    fn check_as(header: &Value, claims: &Value, algorithms: &[&str]) -> Result<(), Untrusted> {
        let algorithms: Vec<String> = algorithms.iter().map(|&name| name.to_owned()).collect();
        let expected = Expected {
            issuer: "https://issuer.test",
            client_id: "sigstore",
            algorithms: &algorithms,
            nonce: Some("n"),
            access_token: Some("access"),
            now: at(1000),
        };
        expected.check(&token(header, claims), &key_set())
    }

    fn check(change: impl Fn(&mut Value)) -> Result<(), Untrusted> {
        let mut claims = json!({
            "iss": "https://issuer.test", "aud": "sigstore", "sub": "s", "nonce": "n",
            "iat": 990, "exp": 1050, "at_hash": half_hash("RS256", "access"),
        });
        change(&mut claims);
        check_as(&json!({ "alg": "RS256", "kid": "k" }), &claims, &["ES256", "RS256"])
    }

    #[test]
    fn a_token_that_answers_this_login_passes() {
        check(|_| {}).unwrap();
        check(|claims| claims["aud"] = json!(["other", "sigstore"])).unwrap();
        check(|claims| drop(claims.as_object_mut().unwrap().remove("at_hash"))).unwrap();
        check(|claims| claims["nbf"] = json!(1299)).unwrap();
        check(|claims| claims["azp"] = json!("sigstore")).unwrap();
    }

    #[test]
    fn each_claim_is_checked_and_the_error_names_both_sides() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 10] = [
            (|it| it["iss"] = json!("https://evil.test"), "found https://evil.test"),
            (|it| it["iss"] = json!("https://issuer.test/"), "found https://issuer.test/"),
            (|it| it["aud"] = json!("other"), "expected the audience sigstore, found other"),
            (|it| it["aud"] = json!([]), "expected the audience sigstore, found none"),
            (|it| it["azp"] = json!("other"), "found the authorized party other"),
            (|it| it["exp"] = json!(1000), "expired 0 s ago by the clock of this machine, and was"),
            (|it| it["exp"] = json!("soon"), "it has no time of expiry"),
            (|it| it["nbf"] = json!(1301), "it is good only in 301 s"),
            (|it| it["nonce"] = json!("m"), "its nonce is not the one of this login"),
            (|it| it["at_hash"] = json!("AAAA"), "its at_hash does not fit"),
        ];
        for (change, text) in cases {
            let error = check(change).unwrap_err().to_string();
            assert!(error.contains(text), "{error:?} lacks {text:?}");
        }
        let without = |claims: &mut Value| drop(claims.as_object_mut().unwrap().remove("nonce"));
        assert_eq!(check(without).unwrap_err(), Untrusted::Nonce);
    }

    #[test]
    fn the_signature_must_be_of_the_issuer_and_in_a_way_it_announces() {
        let claims = json!({ "iss": "https://issuer.test" });
        let fails = |header: Value, algorithms: &[&str]| {
            check_as(&header, &claims, algorithms).unwrap_err().to_string()
        };
        let rs256 = &["RS256"];
        assert!(fails(json!({"alg": "none"}), &["none"]).contains("found none"));
        assert!(fails(json!({"alg": "HS256", "kid": "k"}), &["HS256"]).contains("found HS256"));
        assert!(fails(json!({"alg": "RS256", "kid": "k"}), &["ES256"]).contains("of ES256"));
        assert!(fails(json!({"alg": "RS256", "kid": "x"}), rs256).contains("has no key x"));
        assert!(fails(json!({"alg": "RS256", "crit": ["b64"]}), rs256).contains("critical"));
        let other = fails(json!({"alg": "PS256", "kid": "k"}), &["PS256"]);
        assert!(other.contains("does not verify with the issuer's key k"), "{other}");
        // Without a name every key may have signed; then the claims are looked at.
        assert!(fails(json!({"alg": "RS256"}), rs256).contains("expected the audience"));
    }

    /// The hashes of a real Dex.
    #[test]
    fn a_half_hash_goes_by_the_algorithm() {
        assert_eq!(half_hash("RS256", "vkqo422jecyc5lnzhxbhudkbd"), "NwtXer601sTaiOh_aQHcOw");
        assert_eq!(half_hash("ES384", "x").len(), 32);
        assert_eq!(half_hash("EdDSA", "x").len(), 43);
    }
}
