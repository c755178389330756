//! Requests to Rekor v2: strict JSON, one kind, a signature that verifies.

use bundle::log_body::{HashedRekord002, LogBody, LoggedVerifier};
use keys::{Digest, KEY_DETAILS, Payload, PublicKey, Scheme};
use serde::Deserialize;
use serde_json::Value;

use crate::fulcio::decode_proto_bytes;
use crate::verifier::certificate_key;

/// Entries of a bundle are behind a length of two bytes.
const ENTRY_CAP: usize = u16::MAX as usize;

/// `CreateEntryRequest`. What protobuf's JSON allows is allowed: snake case, nulls, either base64.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[derive(Default)]
struct Request {
    #[serde(alias = "hashed_rekord_request_v002", rename = "hashedRekordRequestV002")]
    hashed_rekord: Option<HashedRekord>,
    /// Known, and no longer taken.
    #[serde(alias = "dsse_request_v002", rename = "dsseRequestV002")]
    dsse: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct HashedRekord {
    digest: Option<String>,
    signature: Option<Signature>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Signature {
    content: Option<String>,
    verifier: Option<Verifier>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Verifier {
    #[serde(alias = "public_key")]
    public_key: Option<RawBytes>,
    #[serde(alias = "x509_certificate", rename = "x509Certificate")]
    certificate: Option<RawBytes>,
    #[serde(alias = "key_details")]
    key_details: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RawBytes {
    #[serde(alias = "raw_bytes")]
    raw_bytes: Option<String>,
}

/// The canonical body of the entry that `body` asks for, or the message of a refusal.
pub(super) fn canonical_body(body: &[u8]) -> Result<Vec<u8>, String> {
    let request: Request = if body.is_empty() {
        Request::default()
    } else {
        serde_json::from_slice(body).map_err(|error| proto_error(&error))?
    };
    let (entry, other) = (request.hashed_rekord, request.dsse);
    if entry.is_some() && other.is_some() {
        return Err("proto: error parsing \"dsseRequestV002\", oneof \
                    dev.sigstore.rekor.v2.CreateEntryRequest.spec is already set"
            .to_owned());
    }
    let entry = entry.ok_or("invalid type, must be hashedrekord")?;
    let body = LogBody::HashedRekord002(hashed_rekord(&entry)?).to_json().into_bytes();
    if body.len() > ENTRY_CAP { Err("invalid entry".to_owned()) } else { Ok(body) }
}

fn hashed_rekord(entry: &HashedRekord) -> Result<HashedRekord002, String> {
    // Bytes are decoded with the message, before anything is looked at.
    let digest = bytes("digest", entry.digest.as_deref())?;
    let signature = entry.signature.as_ref();
    let content = bytes("content", signature.and_then(|s| s.content.as_deref()))?;
    let verifier = signature.and_then(|signature| signature.verifier.as_ref());
    let raw = |part: &Option<RawBytes>| {
        let Some(part) = part else { return Ok(None) };
        bytes("rawBytes", part.raw_bytes.as_deref()).map(Some)
    };
    let key = verifier.map_or(Ok(None), |verifier| raw(&verifier.public_key))?;
    let certificate = verifier.map_or(Ok(None), |verifier| raw(&verifier.certificate))?;
    let details = key_details(verifier.and_then(|verifier| verifier.key_details.as_ref()))?;
    if key.is_some() && certificate.is_some() {
        return Err("proto: error parsing \"x509Certificate\", oneof \
                    dev.sigstore.rekor.v2.Verifier.verifier is already set"
            .to_owned());
    }

    // From here on Rekor has one message for all.
    let checked = || {
        let scheme = details.filter(is_permitted)?;
        let (public, verifier) = match (key, certificate) {
            (Some(spki), None) => {
                (PublicKey::from_spki(&spki).ok()?, LoggedVerifier::PublicKey(spki))
            }
            (None, Some(der)) => (certificate_key(&der)?, LoggedVerifier::Certificate(der)),
            _ => return None,
        };
        let digest = Digest::new(scheme.hash()?, digest.as_slice()).ok()?;
        public.verify(scheme, Payload::Digest(&digest), &content).ok()?;
        Some(HashedRekord002 {
            algorithm: digest.algorithm().sigstore_name().to_owned(),
            digest: digest.as_bytes().to_vec(),
            signature: content,
            key_details: scheme.key_details().to_owned(),
            verifier,
        })
    };
    checked().ok_or_else(|| "invalid hashedrekord request".to_owned())
}

/// The default list of `--client-signing-algorithms`.
fn is_permitted(scheme: &Scheme) -> bool {
    match scheme {
        Scheme::EcdsaP256Sha256
        | Scheme::EcdsaP384Sha384
        | Scheme::EcdsaP521Sha512
        | Scheme::Ed25519ph => true,
        Scheme::RsaPkcs1Sha256 { bits } => matches!(bits, 2048 | 3072 | 4096),
        _ => false,
    }
}

/// The scheme of a `PublicKeyDetails`, by name or by number; none when it is left out or is one
/// that no Rekor v2 takes.
fn key_details(value: Option<&Value>) -> Result<Option<Scheme>, String> {
    let name = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(name)) => name.as_str(),
        Some(value) => value
            .as_i64()
            .and_then(|number| KEY_DETAILS.iter().find(|(known, _)| *known == number))
            .map_or("", |(_, name)| *name),
    };
    if name.is_empty() {
        return Ok(None);
    }
    if !name.starts_with("PKIX_") && !name.starts_with("PKCS1_") && !OTHERS.contains(&name) {
        let name = Value::from(name);
        return Err(format!("proto: invalid value for enum field keyDetails: {name}"));
    }
    Ok(Scheme::from_key_details(name))
}

const OTHERS: [&str; 6] = [
    "PUBLIC_KEY_DETAILS_UNSPECIFIED",
    "LMS_SHA256",
    "LMOTS_SHA256",
    "ML_DSA_44",
    "ML_DSA_65",
    "ML_DSA_87",
];

fn bytes(field: &str, value: Option<&str>) -> Result<Vec<u8>, String> {
    let value = value.unwrap_or_default();
    decode_proto_bytes(value).ok_or_else(|| {
        let value = Value::from(value);
        format!("proto: invalid value for bytes field {field}: {value}")
    })
}

/// A JSON error in protobuf's words.
fn proto_error(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected EOF".to_owned();
    }
    let (line, column, text) = (error.line(), error.column(), error.to_string());
    let field = text.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
    match field {
        Some((field, _)) => format!("proto: (line {line}:{column}): unknown field \"{field}\""),
        None => format!("proto: syntax error (line {line}:{column})"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_are_refused_at_every_depth() {
        for body in [
            r#"{"x":1}"#,
            r#"{"hashedRekordRequestV002":{"x":1}}"#,
            r#"{"hashedRekordRequestV002":{"signature":{"x":1}}}"#,
            r#"{"hashedRekordRequestV002":{"signature":{"verifier":{"x":1}}}}"#,
            r#"{"hashedRekordRequestV002":{"signature":{"verifier":{"publicKey":{"x":1}}}}}"#,
        ] {
            let message = canonical_body(body.as_bytes()).unwrap_err();
            assert!(message.ends_with("unknown field \"x\""), "{message}");
        }
    }

    #[test]
    fn key_details_are_read_by_name_and_by_number() {
        let read = |value: Value| key_details(Some(&value));
        assert_eq!(read(json!("PKIX_ECDSA_P256_SHA_256")), Ok(Some(Scheme::EcdsaP256Sha256)));
        assert_eq!(read(json!(5)), Ok(Some(Scheme::EcdsaP256Sha256)));
        assert_eq!(read(json!(21)), Ok(None));
        assert_eq!(read(Value::Null), Ok(None));
        assert!(read(json!("NOPE")).is_err());
    }
}
