//! The checks that an identity token must pass, in Fulcio's order (facts: go-oidc and go-jose).

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::{Map, Value};

use super::issuer::TrustedIssuer;
use crate::certificate::unix_seconds;
use crate::issuer::IssuerKeys;

/// How far in the future `nbf` may lie. `exp` has no leeway at all, and `iat` is not looked at.
const NOT_BEFORE_LEEWAY: u64 = 300;

/// The claims of `token` and the issuer that made it. `None` for any fault: Fulcio does
/// not tell which.
pub(super) fn check<'a>(
    token: &str,
    issuers: &'a [TrustedIssuer],
    keys: &dyn IssuerKeys,
    now: SystemTime,
) -> Option<(&'a TrustedIssuer, Map<String, Value>)> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let header = json_part(header)?;
    let claims = json_part(payload)?;
    let iss = claims.get("iss")?.as_str()?;

    let exact = issuers.iter().find(|issuer| !issuer.is_wildcard() && issuer.matches(iss));
    let issuer = exact.or_else(|| issuers.iter().find(|issuer| issuer.matches(iss)))?;

    let (jwks, algorithms) = keys.keys(iss)?;
    let algorithm = header.get("alg")?.as_str()?;
    // A discovery document that lists no algorithm means RS256.
    let offered = algorithms.iter().any(|offered| offered == algorithm)
        || (algorithms.is_empty() && algorithm == "RS256");
    if !offered {
        return None;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let id = header.get("kid").and_then(Value::as_str).unwrap_or_default();
    let signed_by = |key: &Value| {
        (id.is_empty() || key.get("kid").and_then(Value::as_str) == Some(id))
            && verifies(key, algorithm, signed.as_bytes(), &signature) == Some(true)
    };
    if !jwks.get("keys")?.as_array()?.iter().any(signed_by) {
        return None;
    }

    let audience = issuer.audience();
    let for_us = match claims.get("aud")? {
        Value::String(found) => found == audience,
        Value::Array(found) => found.iter().any(|found| found == audience),
        _ => false,
    };
    let now = unix_seconds(now);
    let started = match claims.get("nbf") {
        None | Some(Value::Null) => true,
        Some(nbf) => seconds(nbf)? <= now.saturating_add(NOT_BEFORE_LEEWAY),
    };
    if !for_us || !started || seconds(claims.get("exp")?)? <= now {
        return None;
    }
    Some((issuer, claims))
}

fn json_part(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// A JSON number of seconds, whole or not.
fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().filter(|s| *s >= 0.0).map(|s| s as u64))
}

/// Whether the JSON Web Key `key` signed `message`; `None` when it cannot have, being of another
/// kind than `algorithm` wants.
fn verifies(key: &Value, algorithm: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let rsa = |parameters: &'static RsaParameters| {
        (text("kty")? == "RSA").then_some(())?;
        let key = RsaPublicKeyComponents { n: bytes("n")?, e: bytes("e")? };
        Some(key.verify(parameters, message, signature).is_ok())
    };
    let unparsed = |algorithm: &'static dyn VerificationAlgorithm, point: Vec<u8>| {
        UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
    };
    let ecdsa = |algorithm: &'static dyn VerificationAlgorithm, curve: &str| {
        (text("kty")? == "EC" && text("crv")? == curve).then_some(())?;
        let point = [vec![4], bytes("x")?, bytes("y")?].concat();
        Some(unparsed(algorithm, point))
    };
    match algorithm {
        "RS256" => rsa(&RSA_PKCS1_2048_8192_SHA256),
        "RS384" => rsa(&RSA_PKCS1_2048_8192_SHA384),
        "RS512" => rsa(&RSA_PKCS1_2048_8192_SHA512),
        "PS256" => rsa(&RSA_PSS_2048_8192_SHA256),
        "PS384" => rsa(&RSA_PSS_2048_8192_SHA384),
        "PS512" => rsa(&RSA_PSS_2048_8192_SHA512),
        "ES256" => ecdsa(&ECDSA_P256_SHA256_FIXED, "P-256"),
        "ES384" => ecdsa(&ECDSA_P384_SHA384_FIXED, "P-384"),
        "EdDSA" => {
            (text("kty")? == "OKP" && text("crv")? == "Ed25519").then_some(())?;
            Some(unparsed(&ED25519, bytes("x")?))
        }
        // ES512 is Fulcio's too; ring has no P-521.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_go_reads_them() {
        assert_eq!(seconds(&Value::from(5)), Some(5));
        assert_eq!(seconds(&Value::from(5.9)), Some(5));
        assert_eq!(seconds(&Value::from("5")), None);
        assert_eq!(seconds(&Value::from(-5)), None);
    }

    #[test]
    fn a_key_of_another_kind_than_the_algorithm_verifies_nothing() {
        let key = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": ""});
        assert_eq!(verifies(&key, "RS256", b"", b""), None);
        assert_eq!(verifies(&key, "none", b"", b""), None);
        assert_eq!(verifies(&key, "EdDSA", b"", b""), Some(false));
    }
}
