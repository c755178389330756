//! Signatures in cosign's earlier formats, read into the parts that a bundle has, so that the same
//! checks judge them.

use std::collections::BTreeMap;
use std::fmt;

use bundle::proto_json::{Message, decode_base64};
use bundle::{Bundle, Content, Envelope, LogEntry, MessageDigest, VerificationMaterial};
use keys::{Digest, HashAlgorithm};
use x509::Certificate;

use crate::artifact::{material_certificate, material_hash};
use crate::candidate::{Candidate, certificates};
use crate::check::{Check, Error};

/// A signature in one of cosign's earlier formats, not verified.
///
/// Its evidence is weaker than that of a bundle: log entries have the log's signed entry timestamp
/// only, without a proof of inclusion.
#[derive(Clone, Debug)]
pub struct LegacySignature {
    material: VerificationMaterial,
    content: Content,
    entries: Vec<LogEntry>,
    timestamps: Vec<Vec<u8>>,
    /// The bytes that the timestamps are over, when these are not the signature.
    stamped: Option<Vec<u8>>,
    /// A simple-signing document: the signed bytes, which name the image.
    payload: Option<Vec<u8>>,
}

impl LegacySignature {
    /// An image's signature: the layer's bytes, a simple-signing document, and the annotations of
    /// its descriptor.
    ///
    /// # Errors
    ///
    /// [`Check::Legacy`] with the part that cannot be read.
    pub fn image_signature(
        payload: &[u8],
        annotations: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let signature = annotations.get(SIGNATURE).filter(|text| !text.is_empty());
        let signature = signature.ok_or_else(|| bad(SIGNATURE, "it is missing"))?;
        let signature = decode_base64(signature).ok_or_else(|| bad(SIGNATURE, NOT_BASE64))?;
        let content = Content::Message { digest: None, signature };
        let payload = Some(payload.to_vec());
        Ok(Self { payload, ..Self::layer(content, annotations)? })
    }

    /// An image's attestation: the layer's bytes, a DSSE envelope, and the annotations of its
    /// descriptor.
    ///
    /// # Errors
    ///
    /// As [`LegacySignature::image_signature`].
    pub fn attestation(
        envelope: &[u8],
        annotations: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let content = Envelope::from_json(envelope).map_err(|e| bad("the envelope", e))?;
        // cosign stamps the whole envelope: an attestation's signature annotation is empty.
        let stamped = Some(envelope.to_vec());
        Ok(Self { stamped, ..Self::layer(Content::Envelope(content), annotations)? })
    }

    /// A file's signature in cosign's earlier bundle format, a JSON object with
    /// `base64Signature`, `cert` and `rekorBundle`.
    ///
    /// # Errors
    ///
    /// As [`LegacySignature::image_signature`].
    pub fn blob_bundle(json: &[u8]) -> Result<Self, Error> {
        const DOCUMENT: &str = "the bundle";
        let mut document = Message::parse(json, CAP).map_err(|e| bad(DOCUMENT, e))?;
        let mut text = |name| document.string(name).map_err(|e| bad(DOCUMENT, e));
        let signature = text("base64Signature")?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| bad("base64Signature", "it is missing"))?;
        let certificate = text("cert")?.filter(|text| !text.is_empty());
        let logged = document.message("rekorBundle").map_err(|e| bad(DOCUMENT, e))?;
        document.finish().map_err(|e| bad(DOCUMENT, e))?;
        let mut legacy = Self::detached(signature.as_bytes(), certificate.as_deref(), None)?;
        if let Some(logged) = logged {
            legacy.entries.push(entry("rekorBundle", logged)?);
        }
        Ok(legacy)
    }

    /// A file's detached signature (base64 or raw), with the signer's certificate (PEM, or base64
    /// of PEM; none for a known key) and a timestamp (DER, `TimeStampResp`).
    ///
    /// # Errors
    ///
    /// As [`LegacySignature::image_signature`].
    pub fn detached(
        signature: &[u8],
        certificate: Option<&str>,
        timestamp: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let text = std::str::from_utf8(signature).ok();
        let decoded = text.and_then(decode_lines).unwrap_or_else(|| signature.to_vec());
        if decoded.is_empty() {
            return Err(bad("the signature", "it is empty"));
        }
        Ok(Self {
            material: material("the certificate", certificate, None)?,
            content: Content::Message { digest: None, signature: decoded },
            entries: Vec::new(),
            timestamps: timestamp.map(<[u8]>::to_vec).into_iter().collect(),
            stamped: None,
            payload: None,
        })
    }

    /// The same signature as a bundle v0.3, of a file with this digest; an attestation needs none.
    /// Timestamps that are over something else than the signature are left out.
    ///
    /// # Errors
    ///
    /// What v0.3 demands is missing: the digest, or the inclusion proof of a log entry.
    pub fn to_bundle(&self, digest: Option<&Digest>) -> Result<Bundle, bundle::Error> {
        let stated = digest.map(|digest| MessageDigest {
            algorithm: digest.algorithm().sigstore_name().to_owned(),
            digest: digest.as_bytes().to_vec(),
        });
        let content = match &self.content {
            Content::Message { signature, .. } => {
                Content::Message { digest: stated, signature: signature.clone() }
            }
            envelope @ Content::Envelope(_) => envelope.clone(),
        };
        let timestamps = match self.stamped {
            None => self.timestamps.clone(),
            Some(_) => Vec::new(),
        };
        Bundle::new(self.material.clone(), content, self.entries.clone(), timestamps)
    }

    /// The same with other log entries, such as one that was looked up. They are judged as any other
    /// is.
    #[must_use]
    pub fn with_log_entries(self, entries: Vec<LogEntry>) -> Self {
        Self { entries, ..self }
    }

    /// The raw signature.
    pub fn signature(&self) -> &[u8] {
        self.candidate().signature
    }

    /// Whether the signature comes with a certificate. Otherwise a known key is needed.
    pub fn has_certificate(&self) -> bool {
        certificates(&self.material).is_some()
    }

    /// The signer's certificate, not verified, if there is one that can be read.
    pub fn certificate(&self) -> Option<Certificate> {
        material_certificate(&self.material)
    }

    /// The envelope of an attestation.
    pub fn envelope(&self) -> Option<&Envelope> {
        match &self.content {
            Content::Envelope(envelope) => Some(envelope),
            Content::Message { .. } => None,
        }
    }

    /// The simple-signing document that was signed, of an image's signature.
    pub fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    /// The log entries. They have signed entry timestamps and no proofs.
    pub fn log_entries(&self) -> &[LogEntry] {
        &self.entries
    }

    /// The algorithm to hash a file with before its signature can be checked.
    ///
    /// # Errors
    ///
    /// When the certificate cannot be read.
    pub fn hash_algorithm(&self) -> Result<HashAlgorithm, Error> {
        material_hash(&self.material)
    }

    pub(crate) fn candidate(&self) -> Candidate<'_> {
        let signature: &[u8] = match &self.content {
            Content::Message { signature, .. } => signature,
            Content::Envelope(envelope) => envelope.signatures.first().map_or(&[], |s| &s.sig),
        };
        Candidate {
            material: &self.material,
            content: &self.content,
            entries: &self.entries,
            timestamps: &self.timestamps,
            signature,
            stamped: self.stamped.as_deref().unwrap_or(signature),
        }
    }

    fn layer(content: Content, annotations: &BTreeMap<String, String>) -> Result<Self, Error> {
        let given =
            |name| annotations.get(name).map(String::as_str).filter(|text| !text.is_empty());
        fn parse<'a>(name: &'static str, text: &'a str) -> Result<Message<'a>, Error> {
            Message::parse(text.as_bytes(), CAP).map_err(|error| bad(name, error))
        }
        let mut entries = Vec::new();
        if let Some(text) = given(LOGGED) {
            entries.push(entry(LOGGED, parse(LOGGED, text)?)?);
        }
        let mut timestamps = Vec::new();
        if let Some(text) = given(TIMESTAMP) {
            let mut message = parse(TIMESTAMP, text)?;
            let stamp = message.bytes("SignedRFC3161Timestamp").map_err(|e| bad(TIMESTAMP, e))?;
            timestamps.push(stamp.ok_or_else(|| bad(TIMESTAMP, "it is empty"))?);
        }
        Ok(Self {
            material: material(CERTIFICATE, given(CERTIFICATE), given(CHAIN))?,
            content,
            entries,
            timestamps,
            stamped: None,
            payload: None,
        })
    }
}

/// Decodes base64 that may be broken into lines, as `base64` and `openssl` write it.
fn decode_lines(text: &str) -> Option<Vec<u8>> {
    decode_base64(&text.split_ascii_whitespace().collect::<String>())
}

fn material(
    part: &'static str,
    certificate: Option<&str>,
    chain: Option<&str>,
) -> Result<VerificationMaterial, Error> {
    let Some(certificate) = certificate else {
        return Ok(VerificationMaterial::PublicKey { hint: None });
    };
    // cosign's sign-blob encodes the PEM in base64 once more.
    let unwrapped = decode_lines(certificate).and_then(|pem| String::from_utf8(pem).ok());
    // Signed with a key, it says which: verifiers have it.
    if unwrapped.as_deref().unwrap_or(certificate).contains("BEGIN PUBLIC KEY") {
        return Ok(VerificationMaterial::PublicKey { hint: None });
    }
    let mut all = Vec::new();
    for (part, pem) in [(part, Some(unwrapped.as_deref().unwrap_or(certificate))), (CHAIN, chain)] {
        let Some(pem) = pem else { continue };
        let chain = Certificate::chain_from_pem(pem).map_err(|error| bad(part, error))?;
        all.extend(chain.iter().map(|certificate| certificate.der().to_vec()));
        if all.is_empty() {
            return Err(bad(part, "it is empty"));
        }
        if all.len() > MOST_CERTIFICATES {
            return Err(bad(part, format!("more than {MOST_CERTIFICATES} certificates")));
        }
    }
    Ok(VerificationMaterial::Chain(all))
}

/// A log entry with a signed entry timestamp (SET) and no proof.
fn entry(part: &'static str, mut bundle: Message<'_>) -> Result<LogEntry, Error> {
    let bad_part = |error: bundle::Error| bad(part, error);
    let set = bundle.bytes("SignedEntryTimestamp").map_err(bad_part)?;
    let payload = bundle.message("Payload").map_err(bad_part)?;
    let (Some(set), Some(mut payload)) = (set.filter(|set| !set.is_empty()), payload) else {
        return Err(bad(part, "expected SignedEntryTimestamp and Payload"));
    };
    bundle.finish().map_err(bad_part)?;
    let body = payload.bytes("body").map_err(bad_part)?.unwrap_or_default();
    let integrated_time = payload.int64("integratedTime").map_err(bad_part)?;
    let log_index = payload.int64("logIndex").map_err(bad_part)?;
    let log_id = payload.string("logID").map_err(bad_part)?.unwrap_or_default();
    payload.finish().map_err(bad_part)?;
    let log_id = Digest::from_hex(HashAlgorithm::Sha256, &log_id)
        .map_err(|error| bad(part, format!("logID: {error}")))?;
    // The kind stands in the body only.
    let mut message = Message::parse(&body, CAP).map_err(bad_part)?;
    let kind = message.string("kind").map_err(bad_part)?.unwrap_or_default();
    let version = message.string("apiVersion").map_err(bad_part)?.unwrap_or_default();
    Ok(LogEntry {
        log_index,
        log_id: log_id.as_bytes().to_vec(),
        kind,
        version,
        integrated_time: Some(integrated_time).filter(|time| *time != 0),
        signed_entry_timestamp: Some(set),
        inclusion_proof: None,
        canonicalized_body: body,
    })
}

fn bad(part: &'static str, reason: impl fmt::Display) -> Error {
    Check::Legacy { part, reason: reason.to_string() }.into()
}

/// The names of the annotations.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const LOGGED: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

const NOT_BASE64: &str = "it is not base64";
/// The largest JSON in an annotation or a file, in bytes.
const CAP: usize = 32 << 20;
const MOST_CERTIFICATES: usize = 16;
