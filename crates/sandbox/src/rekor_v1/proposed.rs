//! Proposed entries: what Rekor v1 checks before it logs, and what it then logs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::log_body::{Dsse001, HashedRekord001, Intoto002, LogBody, LoggedHash, LoggedSignature};
use keys::{Digest, HashAlgorithm, KeyAlgorithm, Payload, PublicKey, Scheme};
use serde_json::Value;

use super::refused::Refused;
use crate::verifier::Verifier;

/// Every kind that Rekor v1 knows. The sandbox logs three of them.
const KINDS: [&str; 11] = [
    "alpine",
    "cose",
    "dsse",
    "hashedrekord",
    "helm",
    "intoto",
    "jar",
    "rekord",
    "rfc3161",
    "rpm",
    "tuf",
];

/// Signatures of one envelope that are looked at.
const SIGNATURE_CAP: usize = 32;

/// The canonical body of the entry that `request` proposes.
pub(super) fn canonical_body(request: &[u8]) -> Result<Vec<u8>, Refused> {
    if request.trim_ascii().is_empty() {
        return Err(Refused::required("proposedEntry"));
    }
    let entry: Value = serde_json::from_slice(request).map_err(|error| {
        let eof = error.is_eof();
        Refused::internal(if eof { "unexpected EOF".to_owned() } else { error.to_string() })
    })?;
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let kind = text("kind").ok_or_else(|| Refused::required("kind"))?;
    if !KINDS.contains(&kind) {
        let message = format!("invalid kind value: {}", Value::from(kind));
        return Err(Refused { status: 422, code: 422, message });
    }
    let version = text("apiVersion").ok_or_else(|| Refused::required("apiVersion"))?;
    let spec = entry.get("spec").filter(|spec| !spec.is_null());
    let spec = spec.ok_or_else(|| Refused::required("spec"))?;
    let body = match (kind, version) {
        ("hashedrekord", "0.0.1") => LogBody::HashedRekord001(hashedrekord(spec)?),
        ("dsse", "0.0.1") => LogBody::Dsse001(dsse(spec)?),
        ("intoto", "0.0.2") => LogBody::Intoto002(intoto(spec)?),
        _ => {
            return Err(refused(format!(
                "{kind} implementation for version '{version}' not found: \
                 unable to locate entry for version {version}"
            )));
        }
    };
    Ok(body.to_json().into_bytes())
}

fn hashedrekord(spec: &Value) -> Result<HashedRekord001, Refused> {
    let signature =
        bytes(spec, "/signature/content").ok_or_else(|| refused("missing signature"))?;
    let key =
        bytes(spec, "/signature/publicKey/content").ok_or_else(|| refused("missing public key"))?;
    let verifier = verifier(&key)?;
    let algorithm = text(spec, "/data/hash/algorithm").ok_or_else(|| refused("missing hash"))?;
    let hash = text(spec, "/data/hash/value").ok_or_else(|| refused("missing hash"))?;
    // The stored body keeps the spelling that was sent, upper case included.
    let digest = HashAlgorithm::from_name(algorithm)
        .and_then(|algorithm| Digest::from_hex(algorithm, &hash.to_ascii_lowercase()).ok())
        .ok_or_else(|| refused("invalid value for hash"))?;
    verify_digest(verifier.key(), &digest, &signature)?;
    Ok(HashedRekord001 {
        hash: LoggedHash { algorithm: algorithm.to_owned(), value: hash.to_owned() },
        signature: LoggedSignature { signature, verifier: verifier.to_pem() },
    })
}

/// Verifies as Rekor does: with the key's own padding, and Ed25519 as Ed25519ph.
fn verify_digest(key: &PublicKey, digest: &Digest, signature: &[u8]) -> Result<(), Refused> {
    let hash = digest.algorithm();
    let scheme = match (key.algorithm(), hash) {
        (KeyAlgorithm::EcdsaP384, HashAlgorithm::Sha256) => Some(Scheme::EcdsaP384Sha256),
        (KeyAlgorithm::EcdsaP521, HashAlgorithm::Sha256) => Some(Scheme::EcdsaP521Sha256),
        (KeyAlgorithm::Ed25519, HashAlgorithm::Sha512) => Some(Scheme::Ed25519ph),
        (KeyAlgorithm::Ed25519, _) => {
            let hash = go_name(hash);
            return Err(refused(format!(
                "verifying signature: unsupported hash algorithm: \"{hash}\" not in [SHA-512]"
            )));
        }
        _ => Some(key.default_scheme()).filter(|scheme| scheme.hash() == Some(hash)),
    };
    let not_allowed = || refused("entry algorithms are not allowed");
    let scheme = scheme.ok_or_else(not_allowed)?;
    key.verify(scheme, Payload::Digest(digest), signature).map_err(|_| wrong_signature(key))?;
    if is_permitted(scheme) { Ok(()) } else { Err(not_allowed()) }
}

fn is_permitted(scheme: Scheme) -> bool {
    match scheme {
        Scheme::EcdsaP256Sha256
        | Scheme::EcdsaP384Sha384
        | Scheme::EcdsaP521Sha512
        | Scheme::Ed25519
        | Scheme::Ed25519ph => true,
        Scheme::RsaPkcs1Sha256 { bits } => matches!(bits, 2048 | 3072 | 4096),
        _ => false,
    }
}

fn dsse(spec: &Value) -> Result<Dsse001, Refused> {
    let envelope = text(spec, "/proposedContent/envelope")
        .ok_or_else(|| refused("proposedContent must be specified"))?;
    let verifiers = spec.pointer("/proposedContent/verifiers").and_then(Value::as_array);
    let verifiers = verifiers
        .filter(|verifiers| !verifiers.is_empty() && verifiers.len() <= SIGNATURE_CAP)
        .ok_or_else(|| refused("expected at least one verifier"))?
        .iter()
        .map(|pem| {
            let pem = pem.as_str().and_then(|pem| STANDARD.decode(pem).ok());
            verifier(&pem.ok_or_else(|| refused("illegal base64 data in a verifier"))?)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let parsed: Value = serde_json::from_str(envelope)
        .map_err(|error| refused(format!("invalid envelope: {error}")))?;
    let payload = bytes(&parsed, "/payload").ok_or_else(|| refused("no payload in envelope"))?;
    let payload_type = text(&parsed, "/payloadType").unwrap_or_default();
    let signatures = parsed.get("signatures").and_then(Value::as_array);
    let signatures = signatures
        .filter(|signatures| !signatures.is_empty() && signatures.len() <= SIGNATURE_CAP)
        .ok_or_else(|| refused("no signatures in envelope"))?
        .iter()
        .map(|signature| {
            let text = text(signature, "/sig").unwrap_or_default();
            STANDARD.decode(text).map_err(|_| refused("illegal base64 data"))
        })
        .collect::<Result<Vec<_>, Refused>>()?;

    // Verifiers are taken in order until every signature has one; a verifier before that point
    // that verifies nothing is an error.
    let pae = bundle::pae(payload_type, &payload);
    let mut matched: Vec<Option<&Verifier>> = vec![None; signatures.len()];
    for verifier in &verifiers {
        if matched.iter().all(Option::is_some) {
            break;
        }
        let mut useless = true;
        for (bytes, matched) in signatures.iter().zip(&mut matched) {
            if verifies(verifier, &pae, bytes) {
                matched.get_or_insert(verifier);
                useless = false;
            }
        }
        if useless {
            let reason = "accepted signatures do not match threshold, Found: 0, Expected 1";
            return Err(refused(format!("could not verify envelope: {reason}")));
        }
    }
    let mut logged = Vec::with_capacity(signatures.len());
    for (signature, verifier) in signatures.into_iter().zip(matched) {
        let verifier = verifier.ok_or_else(|| refused("could not verify envelope"))?;
        logged.push(LoggedSignature { signature, verifier: verifier.to_pem() });
    }
    // In the order of their base64.
    logged.sort_by_cached_key(|it| (STANDARD.encode(&it.signature), STANDARD.encode(&it.verifier)));
    Ok(Dsse001 {
        envelope_hash: Some(sha256(envelope.as_bytes())),
        payload_hash: sha256(&payload),
        signatures: logged,
    })
}

fn intoto(spec: &Value) -> Result<Intoto002, Refused> {
    let envelope = spec.pointer("/content/envelope").ok_or_else(|| refused("missing envelope"))?;
    // Payload and signatures carry base64 twice: the field's and the envelope's.
    let twice = |value: &Value, pointer: &str| STANDARD.decode(bytes(value, pointer)?).ok();
    let payload = twice(envelope, "/payload").ok_or_else(|| refused("no payload in envelope"))?;
    let payload_type = text(envelope, "/payloadType").unwrap_or_default();
    let pae = bundle::pae(payload_type, &payload);
    let signatures = envelope.get("signatures").and_then(Value::as_array);
    let signatures = signatures
        .filter(|signatures| !signatures.is_empty() && signatures.len() <= SIGNATURE_CAP)
        .ok_or_else(|| refused("no signatures in envelope"))?
        .iter()
        .map(|signature| {
            let key = bytes(signature, "/publicKey").ok_or_else(|| refused("missing key"))?;
            let verifier = verifier(&key)?;
            let found = twice(signature, "/sig").unwrap_or_default();
            if !verifies(&verifier, &pae, &found) {
                return Err(refused("could not verify envelope"));
            }
            let key_id = text(signature, "/keyid").filter(|id| !id.is_empty()).map(str::to_owned);
            Ok((LoggedSignature { signature: found, verifier: verifier.to_pem() }, key_id))
        })
        .collect::<Result<Vec<_>, Refused>>()?;
    let hash = text(spec, "/content/hash/value").ok_or_else(|| refused("missing hash"))?;
    Ok(Intoto002 {
        payload_type: payload_type.to_owned(),
        hash: Some(LoggedHash { algorithm: "sha256".to_owned(), value: hash.to_owned() }),
        payload_hash: sha256(&payload),
        signatures,
    })
}

/// Envelopes are verified with SHA-256 whatever the curve, and Ed25519 over the bytes themselves.
fn verifies(verifier: &Verifier, pae: &[u8], signature: &[u8]) -> bool {
    let key = verifier.key();
    let scheme = match key.algorithm() {
        KeyAlgorithm::EcdsaP384 => Scheme::EcdsaP384Sha256,
        KeyAlgorithm::EcdsaP521 => Scheme::EcdsaP521Sha256,
        _ => key.default_scheme(),
    };
    key.verify(scheme, Payload::Message(pae), signature).is_ok()
}

fn sha256(data: &[u8]) -> LoggedHash {
    LoggedHash { algorithm: "sha256".to_owned(), value: Digest::sha256(data).to_hex() }
}

fn verifier(pem: &[u8]) -> Result<Verifier, Refused> {
    Verifier::from_pem(pem).map_err(|reason| refused(format!("invalid public key: {reason}")))
}

fn wrong_signature(key: &PublicKey) -> Refused {
    let reason = match key.algorithm() {
        KeyAlgorithm::Ed25519 => "ed25519: invalid signature",
        KeyAlgorithm::Rsa { .. } => "crypto/rsa: verification error",
        _ => "invalid signature when validating ASN.1 encoded signature",
    };
    refused(format!("verifying signature: {reason}"))
}

fn refused(reason: impl std::fmt::Display) -> Refused {
    Refused { status: 400, code: 400, message: format!("error processing entry: {reason}") }
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

fn bytes(value: &Value, pointer: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text(value, pointer)?).ok().filter(|bytes| !bytes.is_empty())
}

fn go_name(hash: HashAlgorithm) -> &'static str {
    match hash {
        HashAlgorithm::Sha256 => "SHA-256",
        HashAlgorithm::Sha384 => "SHA-384",
        HashAlgorithm::Sha512 => "SHA-512",
    }
}
