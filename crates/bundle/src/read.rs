//! Reading bundles, envelopes and log entries.

use bytes::Bytes;

use crate::bundle::{Bundle, Content, MessageDigest, VerificationMaterial, Version};
use crate::constants::{MAX_LOG_ENTRIES, MAX_TIMESTAMPS};
use crate::entry::{LogEntry, LogProof};
use crate::envelope::{Envelope, EnvelopeSignature};
use crate::error::{Error, quote};
use crate::json::{Limits, without_bom};
use crate::message::{Message, NOT_BASE64, decode_base64, decode_in_place};
use crate::rules;

impl Bundle {
    /// Reads a bundle of v0.1, v0.2 or v0.3, within the default [`Limits`]. A byte order mark
    /// before it is skipped.
    ///
    /// # Errors
    ///
    /// When the text is not JSON or not a bundle, or breaks a rule of its version.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_json_within(bytes, &Limits::default())
    }

    /// Reads a bundle as [`Bundle::from_json`] does, within other limits.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn from_json_within(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let (mut bundle, left) = Self::parse(bytes, limits)?;
        if let (Some(text), Content::Envelope(envelope)) = (left, &mut bundle.content) {
            envelope.payload = decode_base64(text).ok_or_else(payload_error)?.into();
        }
        rules::check(&bundle)?;
        Ok(bundle)
    }

    /// Reads a bundle as [`Bundle::from_json_within`] does. Where `bytes` are not shared, a large
    /// payload is decoded in their place and takes no other memory.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn read(bytes: Bytes, limits: &Limits) -> Result<Self, Error> {
        let (mut bundle, left) = Self::parse(&bytes, limits)?;
        let place = |text: &str| {
            let start = text.as_ptr().addr() - bytes.as_ptr().addr();
            start..start + text.len()
        };
        if let (Some(at), Content::Envelope(envelope)) = (left.map(place), &mut bundle.content) {
            envelope.payload = decode_in_place(bytes, at).ok_or_else(payload_error)?.into();
        }
        rules::check(&bundle)?;
        Ok(bundle)
    }

    /// All but the check of its rules; and the text of a large payload, which is not decoded yet.
    fn parse<'a>(bytes: &'a [u8], limits: &Limits) -> Result<(Self, Option<&'a str>), Error> {
        let mut message = Message::parse_within(without_bom(bytes), limits)?;
        let version = Version::from_media_type(message.string("mediaType")?.as_deref())?;
        let mut material = message
            .message("verificationMaterial")?
            .ok_or_else(|| Error::field("verificationMaterial", "missing"))?;
        let entries = entries(&mut material)?;
        let timestamps = timestamps(&mut material)?;
        let material = VerificationMaterial::read(material)?;
        let (content, left) = Content::read(&mut message)?;
        message.finish()?;
        Ok((Self { version, material, content, entries, timestamps }, left))
    }
}

impl Envelope {
    /// Reads a DSSE envelope on its own, as the legacy attestation layers hold it.
    ///
    /// As DSSE requires, unknown fields are ignored; duplicate keys are not. The same rules hold
    /// as in a bundle: a payload, and exactly one signature.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_json_within(bytes, &Limits::default())
    }

    /// Reads an envelope as [`Envelope::from_json`] does, within other limits.
    pub fn from_json_within(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let message = Message::parse_within(without_bom(bytes), limits)?;
        let (mut envelope, left) = Self::read(message, false)?;
        if let Some(text) = left {
            let wrong = || Error::field("payload", NOT_BASE64);
            envelope.payload = decode_base64(text).ok_or_else(wrong)?.into();
        }
        rules::check_envelope(&envelope, "")?;
        Ok(envelope)
    }

    fn read(mut message: Message<'_>, strict: bool) -> Result<(Self, Option<&str>), Error> {
        let (payload, left) = message.bytes_or_text("payload", SMALL)?;
        let payload = payload.into();
        let payload_type = message.string("payloadType")?.unwrap_or_default();
        let mut signatures = Vec::new();
        for mut signature in message.messages("signatures")? {
            signatures.push(EnvelopeSignature {
                sig: signature.bytes("sig")?.unwrap_or_default(),
                keyid: signature.string("keyid")?.filter(|id| !id.is_empty()),
            });
            if strict {
                signature.finish()?;
            }
        }
        if strict {
            message.finish()?;
        }
        Ok((Self { payload, payload_type, signatures }, left))
    }
}

fn payload_error() -> Error {
    Error::field("dsseEnvelope.payload", NOT_BASE64)
}

impl LogEntry {
    /// Reads one `TransparencyLogEntry` on its own, as Rekor v2 answers it.
    ///
    /// Fields that this crate does not know are ignored here: an answer of a newer log is not
    /// wrong for having more in it. A bundle is read strictly.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let entry = Self::read(Message::parse(bytes, ANSWER_CAP)?, false)?;
        rules::check_entry(&entry, None, "")?;
        Ok(entry)
    }

    fn read(mut message: Message<'_>, strict: bool) -> Result<Self, Error> {
        let log_index = message.int64("logIndex")?;
        let mut log_id = Vec::new();
        if let Some(mut id) = message.message("logId")? {
            log_id = id.bytes("keyId")?.unwrap_or_default();
            end(id, strict)?;
        }
        let (mut kind, mut version) = (String::new(), String::new());
        if let Some(mut kind_version) = message.message("kindVersion")? {
            kind = kind_version.string("kind")?.unwrap_or_default();
            version = kind_version.string("version")?.unwrap_or_default();
            end(kind_version, strict)?;
        }
        let integrated_time = Some(message.int64("integratedTime")?).filter(|time| *time != 0);
        let mut signed_entry_timestamp = None;
        if let Some(mut promise) = message.message("inclusionPromise")? {
            signed_entry_timestamp =
                promise.bytes("signedEntryTimestamp")?.filter(|set| !set.is_empty());
            end(promise, strict)?;
        }
        let inclusion_proof = match message.message("inclusionProof")? {
            None => None,
            Some(proof) => Some(LogProof::read(proof, strict)?),
        };
        let canonicalized_body = message.bytes("canonicalizedBody")?.unwrap_or_default();
        end(message, strict)?;
        Ok(Self {
            log_index,
            log_id,
            kind,
            version,
            integrated_time,
            signed_entry_timestamp,
            inclusion_proof,
            canonicalized_body,
        })
    }
}

impl LogProof {
    fn read(mut message: Message<'_>, strict: bool) -> Result<Self, Error> {
        let log_index = message.int64("logIndex")?;
        let root_hash = message.bytes("rootHash")?.unwrap_or_default();
        let tree_size = message.int64("treeSize")?;
        let hashes = message.bytes_list("hashes")?;
        let mut text = String::new();
        if let Some(mut checkpoint) = message.message("checkpoint")? {
            text = checkpoint.string("envelope")?.unwrap_or_default();
            end(checkpoint, strict)?;
        }
        end(message, strict)?;
        Ok(Self { log_index, root_hash, tree_size, hashes, checkpoint: text })
    }
}

fn end(message: Message<'_>, strict: bool) -> Result<(), Error> {
    if strict { message.finish() } else { Ok(()) }
}

impl Version {
    fn from_media_type(media_type: Option<&str>) -> Result<Self, Error> {
        let all = [Self::V0_1, Self::V0_2, Self::V0_3];
        match media_type {
            Some(EARLY_MEDIA_TYPE_V0_3) => Ok(Self::V0_3),
            Some(found) => all
                .into_iter()
                .find(|version| version.media_type() == found)
                .ok_or_else(|| Error::MediaType { found: quote(found) }),
            None => Err(Error::MediaType { found: "(none)".into() }),
        }
    }
}

impl VerificationMaterial {
    fn read(mut message: Message<'_>) -> Result<Self, Error> {
        let certificate = message.message("certificate")?;
        let chain = message.message("x509CertificateChain")?;
        let key = message.message("publicKey")?;
        let path = message.path().to_owned();
        message.finish()?;
        match (certificate, chain, key) {
            (Some(certificate), None, None) => Ok(Self::Certificate(raw_bytes(certificate)?)),
            (None, Some(mut chain), None) => {
                let certificates = chain.messages("certificates")?;
                chain.finish()?;
                Ok(Self::Chain(certificates.into_iter().map(raw_bytes).collect::<Result<_, _>>()?))
            }
            (None, None, Some(mut key)) => {
                let hint = key.string("hint")?.filter(|hint| !hint.is_empty());
                key.finish()?;
                Ok(Self::PublicKey { hint })
            }
            (None, None, None) => {
                Err(Error::rule(&path, "none of certificate, x509CertificateChain and publicKey"))
            }
            _ => Err(Error::rule(
                &path,
                "more than one of certificate, x509CertificateChain and publicKey",
            )),
        }
    }
}

impl Content {
    fn read<'a>(message: &mut Message<'a>) -> Result<(Self, Option<&'a str>), Error> {
        let signature = message.message("messageSignature")?;
        let envelope = message.message("dsseEnvelope")?;
        match (signature, envelope) {
            (Some(mut signature), None) => {
                let digest =
                    signature.message("messageDigest")?.map(MessageDigest::read).transpose()?;
                let bytes = signature.bytes("signature")?.unwrap_or_default();
                signature.finish()?;
                Ok((Self::Message { digest, signature: bytes }, None))
            }
            (None, Some(envelope)) => {
                let (envelope, left) = Envelope::read(envelope, true)?;
                Ok((Self::Envelope(envelope), left))
            }
            (None, None) => {
                Err(Error::rule("document", "neither messageSignature nor dsseEnvelope"))
            }
            (Some(_), Some(_)) => {
                Err(Error::rule("document", "both messageSignature and dsseEnvelope"))
            }
        }
    }
}

impl MessageDigest {
    fn read(mut message: Message<'_>) -> Result<Self, Error> {
        let algorithm = message.enumeration("algorithm", HASH_ALGORITHMS)?;
        let digest = message.bytes("digest")?.unwrap_or_default();
        let path = message.path().to_owned();
        message.finish()?;
        let Some(algorithm) = algorithm else {
            return Err(Error::field(&format!("{path}.algorithm"), "missing"));
        };
        Ok(Self { algorithm: algorithm.to_owned(), digest })
    }
}

fn raw_bytes(mut message: Message<'_>) -> Result<Vec<u8>, Error> {
    let bytes = message.bytes("rawBytes")?.unwrap_or_default();
    message.finish()?;
    Ok(bytes)
}

fn entries(material: &mut Message<'_>) -> Result<Vec<LogEntry>, Error> {
    let messages = material.messages("tlogEntries")?;
    rules::check_count("log entries", messages.len(), MAX_LOG_ENTRIES)?;
    messages.into_iter().map(|message| LogEntry::read(message, true)).collect()
}

fn timestamps(material: &mut Message<'_>) -> Result<Vec<Vec<u8>>, Error> {
    let Some(mut data) = material.message("timestampVerificationData")? else {
        return Ok(Vec::new());
    };
    let messages = data.messages("rfc3161Timestamps")?;
    data.finish()?;
    rules::check_count("timestamps", messages.len(), MAX_TIMESTAMPS)?;
    messages
        .into_iter()
        .map(|mut message| {
            let bytes = message.bytes("signedTimestamp")?.unwrap_or_default();
            message.finish()?;
            Ok(bytes)
        })
        .collect()
}

/// What is decoded apart, in bytes: the text of a payload that is larger may make room for it.
const SMALL: usize = 1 << 20;
/// An entry holds at most 64 KiB of body in Rekor v2; v1 knows no limit of its own.
const ANSWER_CAP: usize = 16 << 20;
const EARLY_MEDIA_TYPE_V0_3: &str = "application/vnd.dev.sigstore.bundle+json;version=0.3";
const HASH_ALGORITHMS: &[(i64, &str)] =
    &[(1, "SHA2_256"), (2, "SHA2_384"), (3, "SHA2_512"), (4, "SHA3_256"), (5, "SHA3_384")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_answer_may_say_null_zero_and_things_unknown() {
        let entry = LogEntry::from_json(
            br#"{"logIndex":"0","logId":{"keyId":"AQ=="},
                "kindVersion":{"kind":"hashedrekord","version":"0.0.2"},
                "integratedTime":"0","inclusionPromise":null,"news":{"x":1},
                "inclusionProof":{"rootHash":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                "treeSize":"1","hashes":[],"checkpoint":{"envelope":"c"}},
                "canonicalizedBody":"e30="}"#,
        )
        .unwrap();
        assert_eq!(entry.log_index, 0);
        assert_eq!(entry.integrated_time, None);
        assert_eq!(entry.signed_entry_timestamp, None);
        assert_eq!(entry.inclusion_proof.unwrap().log_index, 0);
    }

    #[test]
    fn an_entry_without_log_kind_or_body_is_refused() {
        for (json, path) in [
            (r#"{"kindVersion":{"kind":"k","version":"1"},"canonicalizedBody":"e30="}"#, "logId"),
            (r#"{"logId":{"keyId":"AQ=="},"canonicalizedBody":"e30="}"#, "kindVersion"),
            (
                r#"{"logId":{"keyId":"AQ=="},"kindVersion":{"kind":"k","version":"1"}}"#,
                "canonicalizedBody",
            ),
        ] {
            let error = LogEntry::from_json(json.as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with(path), "{error}");
        }
    }
}
