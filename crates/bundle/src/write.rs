//! Writing: camelCase, compact, keys in the order cosign's readers are used to.

use serde::Serialize;

use crate::bundle::{Bundle, Content, VerificationMaterial, Version};
use crate::encode::{Base64, Int64, to_json};
use crate::entry::{LogEntry, LogProof};
use crate::envelope::Envelope;
use crate::pieces::{LargeText, Pieces};

impl Bundle {
    /// Writes the bundle as compact JSON, always v0.3, with keys in a fixed order.
    ///
    /// There is one exception: a v0.1 bundle with an entry that has no inclusion proof cannot be
    /// written as v0.3 and stays v0.1.
    pub fn to_json(&self) -> String {
        self.json_text().to_string()
    }

    /// The same JSON as a text that can be sent in parts: a payload may be large.
    pub fn json_text(&self) -> LargeText {
        // In a string every quote is escaped: this is in no other place.
        let (before, payload) = match &self.content {
            Content::Envelope(envelope) => {
                (r#""dsseEnvelope":{"payload":""#, envelope.payload.clone())
            }
            Content::Message { .. } => ("}", Pieces::default()),
        };
        LargeText::new(&bundle(self), before, payload)
    }
}

impl Envelope {
    /// The envelope as compact JSON.
    pub fn to_json(&self) -> String {
        self.json_text().to_string()
    }

    /// The same JSON as a text that can be sent in parts.
    pub fn json_text(&self) -> LargeText {
        let json = to_json(&EnvelopeJson::from(self));
        LargeText::new(&json, r#"{"payload":""#, self.payload.clone())
    }
}

/// The bundle without the payload of its envelope.
fn bundle(bundle: &Bundle) -> String {
    let proofless = bundle.entries.iter().any(|entry| entry.inclusion_proof.is_none());
    let version =
        if bundle.version == Version::V0_1 && proofless { Version::V0_1 } else { Version::V0_3 };
    let leaf = |der| Some(CertificateJson { raw_bytes: Base64(der) });
    let mut material = MaterialJson {
        certificate: None,
        x509_certificate_chain: None,
        public_key: None,
        tlog_entries: bundle.entries.iter().map(EntryJson::from).collect(),
        timestamp_verification_data: None,
    };
    match &bundle.material {
        VerificationMaterial::Certificate(der) => material.certificate = leaf(der),
        VerificationMaterial::Chain(chain) if version == Version::V0_3 => {
            material.certificate = chain.first().and_then(|der| leaf(der));
        }
        VerificationMaterial::Chain(chain) => {
            let certificates = chain.iter().filter_map(|der| leaf(der)).collect();
            material.x509_certificate_chain = Some(ChainJson { certificates });
        }
        VerificationMaterial::PublicKey { hint } => {
            material.public_key = Some(KeyJson { hint: hint.as_deref() });
        }
    }
    if !bundle.timestamps.is_empty() {
        let rfc3161_timestamps = bundle
            .timestamps
            .iter()
            .map(|der| TimestampJson { signed_timestamp: Base64(der) })
            .collect();
        material.timestamp_verification_data = Some(TimestampsJson { rfc3161_timestamps });
    }
    let (message_signature, dsse_envelope) = match &bundle.content {
        Content::Message { digest, signature } => {
            let message_digest = digest
                .as_ref()
                .map(|d| DigestJson { algorithm: &d.algorithm, digest: Base64(&d.digest) });
            (Some(MessageJson { message_digest, signature: Base64(signature) }), None)
        }
        Content::Envelope(envelope) => (None, Some(EnvelopeJson::from(envelope))),
    };
    let json = BundleJson {
        media_type: version.media_type(),
        verification_material: material,
        message_signature,
        dsse_envelope,
    };
    to_json(&json)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BundleJson<'a> {
    media_type: &'a str,
    verification_material: MaterialJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_signature: Option<MessageJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dsse_envelope: Option<EnvelopeJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MaterialJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<CertificateJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509_certificate_chain: Option<ChainJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<KeyJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tlog_entries: Vec<EntryJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp_verification_data: Option<TimestampsJson<'a>>,
}

#[derive(Serialize)]
struct ChainJson<'a> {
    certificates: Vec<CertificateJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CertificateJson<'a> {
    raw_bytes: Base64<'a>,
}

#[derive(Serialize)]
struct KeyJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryJson<'a> {
    log_index: Int64,
    log_id: LogIdJson<'a>,
    kind_version: KindJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integrated_time: Option<Int64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inclusion_promise: Option<PromiseJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inclusion_proof: Option<ProofJson<'a>>,
    canonicalized_body: Base64<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogIdJson<'a> {
    key_id: Base64<'a>,
}

#[derive(Serialize)]
struct KindJson<'a> {
    kind: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PromiseJson<'a> {
    signed_entry_timestamp: Base64<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProofJson<'a> {
    log_index: Int64,
    root_hash: Base64<'a>,
    tree_size: Int64,
    hashes: Vec<Base64<'a>>,
    checkpoint: CheckpointJson<'a>,
}

#[derive(Serialize)]
struct CheckpointJson<'a> {
    envelope: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimestampsJson<'a> {
    rfc3161_timestamps: Vec<TimestampJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimestampJson<'a> {
    signed_timestamp: Base64<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    message_digest: Option<DigestJson<'a>>,
    signature: Base64<'a>,
}

#[derive(Serialize)]
struct DigestJson<'a> {
    algorithm: &'a str,
    digest: Base64<'a>,
}

impl<'a> From<&'a LogEntry> for EntryJson<'a> {
    fn from(entry: &'a LogEntry) -> Self {
        Self {
            log_index: Int64(entry.log_index),
            log_id: LogIdJson { key_id: Base64(&entry.log_id) },
            kind_version: KindJson { kind: &entry.kind, version: &entry.version },
            integrated_time: entry.integrated_time.map(Int64),
            inclusion_promise: entry
                .signed_entry_timestamp
                .as_deref()
                .map(|set| PromiseJson { signed_entry_timestamp: Base64(set) }),
            inclusion_proof: entry.inclusion_proof.as_ref().map(ProofJson::from),
            canonicalized_body: Base64(&entry.canonicalized_body),
        }
    }
}

impl<'a> From<&'a LogProof> for ProofJson<'a> {
    fn from(proof: &'a LogProof) -> Self {
        Self {
            log_index: Int64(proof.log_index),
            root_hash: Base64(&proof.root_hash),
            tree_size: Int64(proof.tree_size),
            hashes: proof.hashes.iter().map(|hash| Base64(hash)).collect(),
            checkpoint: CheckpointJson { envelope: &proof.checkpoint },
        }
    }
}

/// An envelope whose payload is put into the text later.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EnvelopeJson<'a> {
    payload: Base64<'a>,
    payload_type: &'a str,
    signatures: Vec<SignatureJson<'a>>,
}

#[derive(Serialize)]
struct SignatureJson<'a> {
    sig: Base64<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyid: Option<&'a str>,
}

impl<'a> From<&'a Envelope> for EnvelopeJson<'a> {
    fn from(envelope: &'a Envelope) -> Self {
        let signatures = envelope
            .signatures
            .iter()
            .map(|s| SignatureJson { sig: Base64(&s.sig), keyid: s.keyid.as_deref() })
            .collect();
        Self { payload: Base64(b""), payload_type: &envelope.payload_type, signatures }
    }
}
