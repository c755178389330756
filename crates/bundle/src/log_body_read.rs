//! Reading the bodies of log entries.

use crate::error::{Error, quote};
use crate::log_body::{
    Dsse001, HashedRekord001, HashedRekord002, Intoto002, LogBody, LogKind, LoggedHash,
    LoggedSignature, LoggedVerifier,
};
use crate::message::{Message, decode_base64};

impl LogBody {
    /// Reads the `canonicalizedBody` of a log entry, of at most 32 MiB.
    ///
    /// # Errors
    ///
    /// [`Error::LogKind`] for a kind that is not read here; another error for a malformed body.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut message = Message::parse(bytes, SIZE_CAP)?;
        let kind = message.string("kind")?.unwrap_or_default();
        let version = message.string("apiVersion")?.unwrap_or_default();
        let Some(known) = LogKind::of(&kind, &version) else {
            return Err(Error::LogKind { kind, version });
        };
        let spec = needed(&mut message, "spec")?;
        match known {
            LogKind::Dsse001 => dsse_001(spec),
            LogKind::HashedRekord001 => hashedrekord_001(spec),
            LogKind::HashedRekord002 => hashedrekord_002(spec),
            LogKind::Intoto002 => intoto_002(spec),
        }
    }
}

fn hashedrekord_001(mut spec: Message<'_>) -> Result<LogBody, Error> {
    let mut data = needed(&mut spec, "data")?;
    let hash = logged_hash(&mut data, "hash")?;
    let mut signature = needed(&mut spec, "signature")?;
    let content = signature.bytes("content")?.unwrap_or_default();
    let verifier = needed(&mut signature, "publicKey")?.bytes("content")?.unwrap_or_default();
    let signature = LoggedSignature { signature: content, verifier };
    Ok(LogBody::HashedRekord001(HashedRekord001 { hash, signature }))
}

fn hashedrekord_002(mut spec: Message<'_>) -> Result<LogBody, Error> {
    let mut record = needed(&mut spec, "hashedRekordV002")?;
    let mut data = needed(&mut record, "data")?;
    let algorithm = data.string("algorithm")?.unwrap_or_default();
    let digest = data.bytes("digest")?.unwrap_or_default();
    let mut signature = needed(&mut record, "signature")?;
    let content = signature.bytes("content")?.unwrap_or_default();
    let mut verifier = needed(&mut signature, "verifier")?;
    let key_details = verifier.string("keyDetails")?.unwrap_or_default();
    let mut raw = |name| match verifier.message(name)? {
        Some(mut message) => message.bytes("rawBytes").map(|raw| Some(raw.unwrap_or_default())),
        None => Ok(None),
    };
    let verifier = match (raw("x509Certificate")?, raw("publicKey")?) {
        (Some(der), None) => LoggedVerifier::Certificate(der),
        (None, Some(spki)) => LoggedVerifier::PublicKey(spki),
        _ => {
            let problem = "expected exactly one of x509Certificate and publicKey";
            return Err(Error::rule(verifier.path(), problem));
        }
    };
    Ok(LogBody::HashedRekord002(HashedRekord002 {
        algorithm,
        digest,
        signature: content,
        key_details,
        verifier,
    }))
}

fn dsse_001(mut spec: Message<'_>) -> Result<LogBody, Error> {
    let envelope_hash = optional_hash(&mut spec, "envelopeHash")?;
    let payload_hash = logged_hash(&mut spec, "payloadHash")?;
    let read = |mut message: Message<'_>| {
        Ok(LoggedSignature {
            signature: message.bytes("signature")?.unwrap_or_default(),
            verifier: message.bytes("verifier")?.unwrap_or_default(),
        })
    };
    let signatures = spec.messages("signatures")?.into_iter().map(read);
    let signatures = signatures.collect::<Result<_, Error>>()?;
    Ok(LogBody::Dsse001(Dsse001 { envelope_hash, payload_hash, signatures }))
}

fn intoto_002(mut spec: Message<'_>) -> Result<LogBody, Error> {
    let mut content = needed(&mut spec, "content")?;
    let hash = optional_hash(&mut content, "hash")?;
    let payload_hash = logged_hash(&mut content, "payloadHash")?;
    let mut envelope = needed(&mut content, "envelope")?;
    let payload_type = envelope.string("payloadType")?.unwrap_or_default();
    let read = |mut message: Message<'_>| {
        // What is encoded here is already base64 text.
        let text = message.bytes("sig")?.unwrap_or_default();
        let signature = std::str::from_utf8(&text)
            .ok()
            .and_then(decode_base64)
            .ok_or_else(|| Error::field(&message.path_of("sig"), "not base64 of base64"))?;
        let verifier = message.bytes("publicKey")?.unwrap_or_default();
        let key_id = message.string("keyid")?.filter(|id| !id.is_empty());
        Ok((LoggedSignature { signature, verifier }, key_id))
    };
    let signatures = envelope.messages("signatures")?.into_iter().map(read);
    let signatures = signatures.collect::<Result<_, Error>>()?;
    Ok(LogBody::Intoto002(Intoto002 { payload_type, hash, payload_hash, signatures }))
}

fn logged_hash(message: &mut Message<'_>, name: &str) -> Result<LoggedHash, Error> {
    read_hash(needed(message, name)?)
}

fn optional_hash(message: &mut Message<'_>, name: &str) -> Result<Option<LoggedHash>, Error> {
    message.message(name)?.map(read_hash).transpose()
}

fn read_hash(mut message: Message<'_>) -> Result<LoggedHash, Error> {
    let algorithm = message.string("algorithm")?.unwrap_or_default();
    if !matches!(algorithm.as_str(), "sha256" | "sha384" | "sha512") {
        let path = message.path_of("algorithm");
        let problem = format!("unknown hash algorithm {}", quote(&algorithm));
        return Err(Error::field(&path, problem));
    }
    let value = message.string("value")?.unwrap_or_default();
    Ok(LoggedHash { algorithm, value })
}

fn needed<'a>(message: &mut Message<'a>, name: &str) -> Result<Message<'a>, Error> {
    let path = message.path_of(name);
    message.message(name)?.ok_or_else(|| Error::field(&path, "missing"))
}

/// The largest body read, in bytes. Rekor v2 logs at most 64 KiB, v1 has no limit of its own.
const SIZE_CAP: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = r#"{"algorithm":"sha256","value":"00ff"}"#;

    fn bodies() -> Vec<String> {
        let raw = |name: &str| {
            format!(
                r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"hashedRekordV002":{{"data":{{"algorithm":"SHA2_256","digest":"AP8="}},"signature":{{"content":"AQI=","verifier":{{"keyDetails":"PKIX_ECDSA_P256_SHA_256",{name}}}}}}}}}}}"#
            )
        };
        vec![
            format!(
                r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"data":{{"hash":{HASH}}},"signature":{{"content":"AQI=","publicKey":{{"content":"LS0="}}}}}}}}"#
            ),
            raw(r#""publicKey":{"rawBytes":"MA=="}"#)
                .replace(r#""keyDetails":"PKIX_ECDSA_P256_SHA_256","#, r#""keyDetails":"é\n","#),
            raw(r#""x509Certificate":{"rawBytes":"MA=="}"#),
            format!(
                r#"{{"apiVersion":"0.0.1","kind":"dsse","spec":{{"envelopeHash":{HASH},"payloadHash":{HASH},"signatures":[{{"signature":"AQI=","verifier":"LS0="}}]}}}}"#
            ),
            format!(
                r#"{{"apiVersion":"0.0.2","kind":"intoto","spec":{{"content":{{"envelope":{{"payloadType":"t","signatures":[{{"keyid":"k","publicKey":"LS0=","sig":"QVFJPQ=="}}]}},"hash":{HASH},"payloadHash":{HASH}}}}}}}"#
            ),
        ]
    }

    #[test]
    fn every_kind_is_rebuilt_byte_for_byte() {
        for body in bodies() {
            assert_eq!(LogBody::parse(body.as_bytes()).unwrap().to_json(), body);
        }
    }

    #[test]
    fn the_base64_of_each_kind_is_decoded() {
        for body in bodies() {
            let signature = match LogBody::parse(body.as_bytes()).unwrap() {
                LogBody::Dsse001(body) => body.signatures[0].signature.clone(),
                LogBody::HashedRekord001(body) => body.signature.signature,
                LogBody::HashedRekord002(body) => body.signature,
                LogBody::Intoto002(body) => body.signatures[0].0.signature.clone(),
            };
            assert_eq!(signature, [1, 2]);
        }
    }

    #[test]
    fn a_body_with_a_part_missing_or_malformed_names_the_part() {
        let cases = [
            (0, r#""data":"#, r#""dato":"#, "spec.data: missing"),
            (0, "sha256", "md5", "spec.data.hash.algorithm: unknown hash algorithm \"md5\""),
            (0, "AQI=", "AQI=!", "spec.signature.content: not base64"),
            (1, r#""publicKey""#, r#""other""#, "exactly one of x509Certificate and publicKey"),
            (
                1,
                r#""publicKey""#,
                r#""x509Certificate":{},"publicKey""#,
                "exactly one of x509Certificate and publicKey",
            ),
            (3, r#""payloadHash":"#, r#""payloadHush":"#, "spec.payloadHash: missing"),
            (
                4,
                "QVFJPQ==",
                "AQI=",
                "spec.content.envelope.signatures[0].sig: not base64 of base64",
            ),
        ];
        for (body, from, to, expected) in cases {
            let body = bodies()[body].replace(from, to);
            let error = LogBody::parse(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_kind_that_is_not_read_is_named() {
        let body = bodies()[0].replace("0.0.1", "0.0.3");
        let error = LogBody::parse(body.as_bytes()).unwrap_err();
        assert!(matches!(&error, Error::LogKind { version, .. } if version == "0.0.3"), "{error}");
        assert!(LogBody::parse(b"{}").is_err());
        assert_eq!(LogKind::of("dsse", "0.0.2"), None);
    }

    /// What the real Rekor v1 and v2 logged for cosign.
    #[test]
    fn the_bodies_of_real_logs_are_rebuilt_byte_for_byte() {
        let captures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures/");
        for name in [
            "bundles/blob-spiffe.sigstore.json",
            "bundles/attest-blob-spiffe.sigstore.json",
            "bundles-v1/blob-spiffe.sigstore.json",
        ] {
            let json = std::fs::read(format!("{captures}{name}")).unwrap();
            let bundle = crate::Bundle::from_json(&json).unwrap();
            assert!(!bundle.log_entries().is_empty(), "{name}");
            for entry in bundle.log_entries() {
                let body = LogBody::parse(&entry.canonicalized_body).unwrap();
                assert_eq!(body.to_json().as_bytes(), entry.canonicalized_body, "{name}");
                let kind = (body.kind().kind(), body.kind().version());
                assert_eq!(kind, (entry.kind.as_str(), entry.version.as_str()));
            }
        }
    }
}
