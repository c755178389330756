//! Signatures from before there were bundles, taken apart into what a bundle holds and judged by
//! the same checks.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use bundle::proto_json::{Message, decode_base64};
use bundle::{Content, Envelope, LogEntry, VerificationMaterial};
use keys::{Digest, HashAlgorithm};
use trust_root::TrustedRoot;
use x509::Certificate;

use crate::artifact::{self, Artifact};
use crate::check::{Check, Error};
use crate::judge::{Claim, Matter};
use crate::policy::Policy;
use crate::verified::Verified;

/// A signature in one of cosign's earlier formats. Nobody has verified it.
///
/// What proves it is weaker than in a bundle: log entries come with the log's promise alone, without
/// a proof of inclusion.
#[derive(Clone, Debug)]
pub struct Legacy {
    material: VerificationMaterial,
    content: Content,
    entries: Vec<LogEntry>,
    timestamps: Vec<Vec<u8>>,
    /// What the timestamps are over, when that is not the signature.
    stamped: Option<Vec<u8>>,
    /// A simple-signing document: it is what was signed, and it names the image.
    payload: Option<Vec<u8>>,
}

impl Legacy {
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
        let signature = signature.ok_or_else(|| bad(SIGNATURE, "there is none"))?;
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
    /// As [`Legacy::image_signature`].
    pub fn attestation(
        envelope: &[u8],
        annotations: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let content = Envelope::from_json(envelope).map_err(|e| bad("the envelope", e))?;
        // cosign had nothing else to stamp: an attestation's signature annotation is empty.
        let stamped = Some(envelope.to_vec());
        Ok(Self { stamped, ..Self::layer(Content::Envelope(content), annotations)? })
    }

    /// A file's signature as cosign's own JSON, from before Sigstore's bundles:
    /// `{"base64Signature", "cert", "rekorBundle"}`.
    ///
    /// # Errors
    ///
    /// As [`Legacy::image_signature`].
    pub fn blob_bundle(json: &[u8]) -> Result<Self, Error> {
        const DOCUMENT: &str = "the bundle";
        let mut document = Message::parse(json, CAP).map_err(|e| bad(DOCUMENT, e))?;
        let mut text = |name| document.string(name).map_err(|e| bad(DOCUMENT, e));
        let signature = text("base64Signature")?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| bad("base64Signature", "there is none"))?;
        let certificate = text("cert")?.filter(|text| !text.is_empty());
        let promise = document.message("rekorBundle").map_err(|e| bad(DOCUMENT, e))?;
        document.finish().map_err(|e| bad(DOCUMENT, e))?;
        let mut legacy = Self::detached(signature.as_bytes(), certificate.as_deref(), None)?;
        if let Some(promise) = promise {
            legacy.entries.push(entry("rekorBundle", promise)?);
        }
        Ok(legacy)
    }

    /// A file's signature in a file of its own (base64 or raw), beside the signer's certificate
    /// (PEM, or base64 of PEM; none for a known key) and a timestamp (DER, `TimeStampResp`).
    ///
    /// # Errors
    ///
    /// As [`Legacy::image_signature`].
    pub fn detached(
        signature: &[u8],
        certificate: Option<&str>,
        timestamp: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let text = std::str::from_utf8(signature).ok().map(str::trim);
        let decoded = text.and_then(decode_base64).unwrap_or_else(|| signature.to_vec());
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

    /// Whether the signer is named by a certificate; otherwise only by a key one must know.
    pub fn has_certificate(&self) -> bool {
        artifact::leaf(&self.material).is_some()
    }

    /// The signer's certificate, unverified, if there is one that can be read.
    pub fn certificate(&self) -> Option<Certificate> {
        Certificate::from_der(artifact::leaf(&self.material)?).ok()
    }

    /// The envelope of an attestation.
    pub fn envelope(&self) -> Option<&Envelope> {
        match &self.content {
            Content::Envelope(envelope) => Some(envelope),
            Content::Message { .. } => None,
        }
    }

    /// The document that was signed, of an image's signature.
    pub fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    /// The log entries, with the log's promise alone.
    pub fn log_entries(&self) -> &[LogEntry] {
        &self.entries
    }

    /// The algorithm to hash a file with before its signature can be checked.
    ///
    /// # Errors
    ///
    /// When the certificate cannot be read.
    pub fn hash_algorithm(&self) -> Result<HashAlgorithm, Error> {
        artifact::hash_of_message(&self.material)
    }

    pub(crate) fn matter(&self) -> Matter<'_> {
        let signature: &[u8] = match &self.content {
            Content::Message { signature, .. } => signature,
            Content::Envelope(envelope) => envelope.signatures.first().map_or(&[], |s| &s.sig),
        };
        Matter {
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
        if let Some(text) = given(PROMISE) {
            entries.push(entry(PROMISE, parse(PROMISE, text)?)?);
        }
        let mut timestamps = Vec::new();
        if let Some(text) = given(TIMESTAMP) {
            let mut message = parse(TIMESTAMP, text)?;
            let stamp = message.bytes("SignedRFC3161Timestamp").map_err(|e| bad(TIMESTAMP, e))?;
            timestamps.push(stamp.ok_or_else(|| bad(TIMESTAMP, "there is none in it"))?);
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

/// As [`verify()`](crate::verify()), for a signature in one of cosign's earlier formats.
///
/// An image is given by its digest. A simple-signing document counts as the predicate type
/// [`bundle::SIGN_PREDICATE_TYPE`], and the annotations asked for must be among its `optional`
/// ones.
///
/// # Errors
///
/// As [`verify()`](crate::verify()).
pub fn verify_legacy(
    legacy: &Legacy,
    artifact: &Artifact<'_>,
    policy: &Policy,
    root: &TrustedRoot,
    now: SystemTime,
) -> Result<Verified, Error> {
    let matter = legacy.matter();
    let Some(payload) = &legacy.payload else {
        return matter.judge(artifact, Claim::Content, policy, root, now);
    };
    let image = image(artifact)?;
    let claim = Claim::SimpleSigning { payload, image: &image };
    matter.judge(&Artifact::Message(payload), claim, policy, root, now)
}

/// The image's digest: registries know it by SHA-256, hardly ever by another.
fn image(artifact: &Artifact<'_>) -> Result<Digest, Error> {
    artifact::ACCEPTED.into_iter().find_map(|algorithm| artifact.digest(algorithm)).ok_or_else(
        || Error::Artifact { expected: "its digest".to_owned(), found: artifact.describe() },
    )
}

fn material(
    part: &'static str,
    certificate: Option<&str>,
    chain: Option<&str>,
) -> Result<VerificationMaterial, Error> {
    let Some(certificate) = certificate else {
        return Ok(VerificationMaterial::PublicKey { hint: None });
    };
    // sign-blob wrapped the PEM in base64 once more.
    let unwrapped = decode_base64(certificate.trim()).and_then(|pem| String::from_utf8(pem).ok());
    let mut all = Vec::new();
    for (part, pem) in [(part, Some(unwrapped.as_deref().unwrap_or(certificate))), (CHAIN, chain)] {
        let Some(pem) = pem else { continue };
        let chain = Certificate::chain_from_pem(pem).map_err(|error| bad(part, error))?;
        all.extend(chain.iter().map(|certificate| certificate.der().to_vec()));
        if all.is_empty() {
            return Err(bad(part, "there is none in it"));
        }
        if all.len() > MOST_CERTIFICATES {
            return Err(bad(part, format!("more than {MOST_CERTIFICATES} certificates")));
        }
    }
    Ok(VerificationMaterial::Chain(all))
}

/// A log entry with the log's promise (SET) and nothing else.
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
    // Only the body says of which kind it is.
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
const PROMISE: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

const NOT_BASE64: &str = "it is not base64";
/// The largest JSON in an annotation or a file, in bytes.
const CAP: usize = 32 << 20;
const MOST_CERTIFICATES: usize = 16;
