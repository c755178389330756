//! What an inspection reports.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// What one signature says, and what of it holds. It is not a verdict.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The name of the file, or the digest of the bundle or payload.
    pub signature: String,
    /// Always false: an inspection accepts every identity.
    pub identity_checked: bool,
    /// What was found.
    #[serde(flatten)]
    pub found: Inspected,
}

/// What an inspection found.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Inspected {
    /// A signature.
    Signature(Box<SignatureInspection>),
    /// Something that cannot be used as one.
    Unusable {
        /// Why.
        unusable: String,
    },
}

/// The parts of a signature.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SignatureInspection {
    /// The media type of the bundle, or which earlier format it is.
    pub format: String,
    /// The digest of the bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle_digest: Option<String>,
    /// Whether the signature is over the artifact that was given.
    pub artifact_checked: bool,
    /// What was signed.
    pub content: ContentInspection,
    /// The signer's certificate; `None` for a key.
    pub certificate: Option<CertificateInspection>,
    /// The times that logs and timestamp authorities attest.
    pub verified_times: Vec<TimeInspection>,
    /// The log entries, verified or not.
    pub log_entries: Vec<EntryInspection>,
    /// What is unusual.
    pub warnings: Vec<String>,
    /// Each check.
    pub checks: Checks,
}

/// What was signed.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind")]
#[non_exhaustive]
pub enum ContentInspection {
    /// A DSSE envelope.
    #[serde(rename = "envelope")]
    Envelope {
        /// The type of the payload.
        payload_type: String,
        /// The statement in it.
        #[serde(flatten)]
        statement: Option<StatementInspection>,
    },
    /// An image signature in cosign's earlier format.
    #[serde(rename = "simple signing")]
    SimpleSigning {
        /// The document that was signed.
        document: Value,
    },
    /// The content of a file.
    #[serde(rename = "signature")]
    Signature {
        /// The digest that the bundle claims.
        claimed_digest: Option<String>,
    },
}

/// An in-toto statement.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StatementInspection {
    /// What kind of statement it is.
    pub predicate_type: String,
    /// What it is about.
    pub subjects: Vec<SubjectInspection>,
}

/// A subject of a statement.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SubjectInspection {
    /// Its name.
    pub name: Option<String>,
    /// Its digests, by algorithm.
    pub digest: BTreeMap<String, String>,
    /// What else the signer says about it.
    pub annotations: BTreeMap<String, String>,
}

/// A certificate, unverified.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CertificateInspection {
    /// The identity.
    pub subject: Option<String>,
    /// `uri`, `email` or `username`.
    pub subject_kind: Option<&'static str>,
    /// The OIDC issuer.
    pub issuer: Option<String>,
    /// Fulcio's extensions, by name.
    pub extensions: BTreeMap<String, String>,
    /// From when it is valid, in RFC 3339.
    pub not_before: String,
    /// Until when it is valid, in RFC 3339.
    pub not_after: String,
    /// The kind of key.
    pub key: &'static str,
}

/// A verified time.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TimeInspection {
    /// The time, in RFC 3339.
    pub time: String,
    /// `log`, `timestamp-authority` or `local-clock`.
    pub source: &'static str,
}

/// A log entry.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct EntryInspection {
    /// The index that it claims.
    pub log_index: u64,
    /// The log's id, in hex.
    pub log_id: String,
    /// Kind and version.
    pub kind: String,
    /// The time that it claims, in RFC 3339.
    pub claimed_time: Option<String>,
    /// Whether it has a signed entry timestamp.
    pub has_promise: bool,
    /// Whether it has an inclusion proof.
    pub has_proof: bool,
    /// The URL of the log in which it was verified; `None` when it was not.
    pub verified_in: Option<String>,
}

/// The result of each check.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Checks {
    /// The signature over the artifact.
    pub signature: CheckInspection,
    /// The log entries.
    pub transparency_log: CheckInspection,
    /// The times.
    pub times: CheckInspection,
    /// The certificate's way to a trusted authority.
    pub certificate_chain: CheckInspection,
    /// That the certificate is in a certificate transparency log.
    pub certificate_published: CheckInspection,
}

/// The result of a check.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CheckInspection {
    /// What became of it.
    pub result: CheckResult,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum CheckResult {
    /// It failed.
    #[serde(rename = "fails")]
    Fails,
    /// It holds.
    #[serde(rename = "holds")]
    Holds,
    /// It could not be made.
    #[serde(rename = "not looked at")]
    NotChecked,
}
