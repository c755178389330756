//! What an inspection reports.

use std::collections::BTreeMap;
use std::fmt;

use host::escape_remote;
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

/// As lines for people. Names from outside are cut and escaped.
impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", escape_remote(&self.signature))?;
        match &self.found {
            Inspected::Signature(signature) => signature.fmt(f),
            Inspected::Unusable { unusable } => line(f, "unusable", escape_remote(unusable)),
        }
    }
}

impl fmt::Display for SignatureInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "format", escape_remote(&self.format))?;
        self.content.fmt(f)?;
        match &self.certificate {
            Some(certificate) => certificate.fmt(f)?,
            None => line(f, "signer", "a key that is not in it")?,
        }
        for time in &self.verified_times {
            line(f, "verified time", format_args!("{} ({})", time.time, time.source))?;
        }
        for entry in &self.log_entries {
            let log = match &entry.verified_in {
                None => format!("of the log {}, not verified", entry.log_id),
                Some(url) => format!("of {}, verified", escape_remote(url)),
            };
            let kind = escape_remote(&entry.kind);
            line(f, "log entry", format_args!("{} ({kind}) {log}", entry.log_index))?;
        }
        for warning in &self.warnings {
            line(f, "warning", escape_remote(warning))?;
        }
        for (name, check) in [
            ("signature", &self.checks.signature),
            ("transparency log", &self.checks.transparency_log),
            ("times", &self.checks.times),
            ("certificate chain", &self.checks.certificate_chain),
            ("certificate published", &self.checks.certificate_published),
        ] {
            line(f, "check", format_args!("{name} {check}"))?;
        }
        let artifact = match self.artifact_checked {
            true => "the signature is over the given artifact",
            false => "not checked against an artifact",
        };
        line(f, "artifact", artifact)?;
        line(f, "identity", "not checked: a verification decides which signers are accepted")
    }
}

impl fmt::Display for ContentInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Envelope { payload_type, statement } => {
                line(f, "content", "envelope")?;
                line(f, "payload type", escape_remote(payload_type))?;
                let Some(statement) = statement else { return Ok(()) };
                line(f, "predicate type", escape_remote(&statement.predicate_type))?;
                statement.subjects.iter().try_for_each(|subject| line(f, "subject", subject))
            }
            Self::SimpleSigning { document } => {
                line(f, "content", "simple signing")?;
                line(f, "document", escape_remote(&document.to_string()))
            }
            Self::Signature { claimed_digest } => {
                line(f, "content", "signature")?;
                let Some(digest) = claimed_digest else { return Ok(()) };
                line(f, "claimed digest", escape_remote(digest))
            }
        }
    }
}

impl fmt::Display for SubjectInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digests = self.digest.iter().map(|(algorithm, hex)| format!("{algorithm}:{hex}"));
        let name = self.name.iter().cloned();
        let claims = self.annotations.iter().map(|(key, value)| format!("{key}={value}"));
        let words: Vec<_> = name.chain(digests).chain(claims).collect();
        f.write_str(&escape_remote(&words.join(" ")))
    }
}

impl fmt::Display for CertificateInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.subject.as_deref().map_or_else(|| "no name".to_owned(), escape_remote);
        line(f, "signer", format_args!("{subject} (not checked)"))?;
        if let Some(issuer) = &self.issuer {
            line(f, "issuer", escape_remote(issuer))?;
        }
        line(f, "certificate", format_args!("{} to {}", self.not_before, self.not_after))?;
        for (name, value) in &self.extensions {
            line(f, "extension", format_args!("{name} = {}", escape_remote(value)))?;
        }
        Ok(())
    }
}

impl fmt::Display for CheckInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.result {
            CheckResult::Fails => "fails",
            CheckResult::Holds => "holds",
            CheckResult::NotChecked => "not looked at",
        })?;
        let Some(reason) = &self.reason else { return Ok(()) };
        write!(f, ": {}", escape_remote(reason))
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    write!(f, "\n  {name:<18} {value}")
}
