use std::time::SystemTime;

use crate::string_match::StringMatch;
use crate::text::{plain, quote, quoted, rfc3339};

/// Why there is no [`Verified`](crate::Verified).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The signature cannot be checked with what was given of the artifact. This says nothing about
    /// the signature.
    #[error("the artifact is known only as {found}, and this signature needs {expected}")]
    Artifact {
        /// The digests that would do, or the whole artifact.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A check failed: the signature does not count for this artifact and policy.
    #[error(transparent)]
    Refused(#[from] Box<Check>),
}

impl From<Check> for Error {
    fn from(check: Check) -> Self {
        Self::Refused(Box::new(check))
    }
}

/// The check that failed, with what it expected and what it found.
///
/// Log entries and timestamps are numbered by their position in the bundle, from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Check {
    /// An annotation that the policy asks for is missing or has another value.
    #[error("annotation {}: expected {expected:?}, found {}", plain(.key), quoted(.found.as_deref()))]
    Annotation {
        /// The annotation that the policy asks for.
        key: String,
        /// The value that the policy asks for.
        expected: String,
        /// The value that the signer gave, if any.
        found: Option<String>,
    },
    /// The bundle says that it belongs to another artifact.
    #[error("artifact: the bundle belongs to {expected}, the artifact is {found}")]
    ArtifactDigest {
        /// The digest in the bundle, as `sha256:...`.
        expected: String,
        /// The digest of the artifact given.
        found: String,
    },
    /// The bundle holds a root certificate: it would be its own authority.
    #[error(
        "certificate chain: expected a leaf and intermediates only, found the root certificate \
         {found}"
    )]
    BundledRoot {
        /// The digest of the root, as `sha256:...`.
        found: String,
    },
    /// The signer's certificate, or one beside it, cannot be read.
    #[error("certificate: it cannot be read")]
    Certificate(#[source] x509::Error),
    /// The certificate does not lead to an authority that was trusted at a verified time.
    #[error(
        "certificate chain: no authority trusted at {} issued the certificate",
        rfc3339(*.at)
    )]
    Chain {
        /// The verified time.
        at: SystemTime,
        /// Why the last authority that was tried did not issue it.
        #[source]
        source: x509::Error,
    },
    /// A checkpoint is malformed, or its log did not sign it.
    #[error("checkpoint of log entry {entry}: it cannot be verified")]
    Checkpoint {
        /// Which entry.
        entry: usize,
        /// Why.
        #[source]
        source: tlog::Error,
    },
    /// A checkpoint belongs to another log than the entry.
    #[error("checkpoint of log entry {entry}: expected the origin {expected}, found {}", quote(.found))]
    CheckpointOrigin {
        /// Which entry.
        entry: usize,
        /// The origin this log signs under.
        expected: String,
        /// The origin found.
        found: String,
    },
    /// A simple-signing document cannot be read, or is about another image.
    #[error("signed payload: expected the {field} {expected}, found {found}")]
    Claim {
        /// Which field of the document.
        field: &'static str,
        /// What it must be for this image.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The log entry is not about the signature in the bundle.
    #[error(
        "log entry {entry}: its {field} differs from the bundle's: expected {expected}, found {found}"
    )]
    EntryBody {
        /// Which entry.
        entry: usize,
        /// Which part of the logged body.
        field: &'static str,
        /// What the bundle and the artifact ask for.
        expected: String,
        /// What the log says.
        found: String,
    },
    /// An entry of this kind does not count for this signature.
    #[error("log entry {entry}: the kind {found} is not accepted: {reason}")]
    EntryKind {
        /// Which entry.
        entry: usize,
        /// Its kind and version.
        found: String,
        /// Why it is not accepted.
        reason: &'static str,
    },
    /// The body of an entry cannot be read.
    #[error("log entry {entry}: its body cannot be read: {reason}")]
    EntryMalformed {
        /// Which entry.
        entry: usize,
        /// Why.
        reason: String,
    },
    /// A certificate extension is not what the policy asks for.
    #[error(
        "certificate extension {}: expected {expected}, found {}",
        extension_name(.oid),
        quoted(.found.as_deref())
    )]
    Extension {
        /// The object identifier of the extension.
        oid: String,
        /// What the policy asks for.
        expected: StringMatch,
        /// Its value, if the certificate has it.
        found: Option<String>,
    },
    /// The certificate belongs to an identity that the policy does not accept.
    #[error(
        "identity: expected {expected}, found {}{}{}",
        quote(.found),
        partial(.expected, .found, true),
        issuer_too(.issuer.as_deref())
    )]
    Identity {
        /// What the policy asks for.
        expected: StringMatch,
        /// The subject alternative name of the certificate.
        found: String,
        /// What the policy asks of the OIDC issuer and what the certificate has, when that differs
        /// as well.
        issuer: Option<Box<(StringMatch, Option<String>)>>,
    },
    /// The certificate belongs to an identity that is not on the policy's list.
    #[error("identity: expected {expected}, found {found}")]
    NoAcceptedSigner {
        /// The first entries of the list.
        expected: String,
        /// The identity in the certificate and its issuer.
        found: String,
    },
    /// The signature is in a format that the policy does not accept.
    #[error("format: expected {expected}, found {found}")]
    Format {
        /// The format of the policy.
        expected: &'static str,
        /// The format of the signature.
        found: &'static str,
    },
    /// The proof does not lead from the entry to the log's root hash.
    #[error("inclusion proof of log entry {entry}: it is not valid")]
    Inclusion {
        /// Which entry.
        entry: usize,
        /// Why.
        #[source]
        source: tlog::Error,
    },
    /// Two copies of one value in an entry differ.
    #[error(
        "inclusion proof of log entry {entry}: the {field} is given twice, as {expected} and as {found}"
    )]
    InclusionCopies {
        /// Which entry.
        entry: usize,
        /// Which value.
        field: &'static str,
        /// The signed or outer copy.
        expected: String,
        /// The other copy.
        found: String,
    },
    /// An entry has no inclusion proof where only a proof counts.
    #[error("inclusion proof of log entry {entry}: there is none, and {found} needs one")]
    InclusionMissing {
        /// Which entry.
        entry: usize,
        /// Its kind and version.
        found: String,
    },
    /// The time of an entry lies outside the certificate's validity or the log's window.
    #[error("log entry {entry}: its time {} is outside {outside}", rfc3339(*.found))]
    IntegratedTime {
        /// Which entry.
        entry: usize,
        /// The time of the entry.
        found: SystemTime,
        /// The period it must lie in.
        outside: String,
    },
    /// The identity comes from an OIDC issuer that the policy does not accept.
    #[error(
        "issuer: expected {expected}, found {}{}",
        quoted(.found.as_deref()),
        partial(.expected, .found.as_deref().unwrap_or_default(), false)
    )]
    Issuer {
        /// What the policy asks for.
        expected: StringMatch,
        /// The OIDC issuer in the certificate, if any.
        found: Option<String>,
    },
    /// The certificate's subject or issuer cannot be read.
    #[error("identity: the certificate has none that can be read")]
    IdentityMalformed(#[source] x509::Error),
    /// A signature in one of cosign's earlier formats cannot be read.
    #[error("{part}: {reason}")]
    Legacy {
        /// Which annotation, or part of the file.
        part: &'static str,
        /// Why.
        reason: String,
    },
    /// The policy is about a key and the bundle has a certificate, or the other way round.
    #[error("signer: expected a bundle with {expected}, found one with {found}")]
    Material {
        /// What the policy needs.
        expected: &'static str,
        /// What the bundle has.
        found: &'static str,
    },
    /// The bundle names another digest algorithm than the one that was signed.
    #[error("digest algorithm: the key signs {expected}, the bundle says {found}")]
    DigestAlgorithm {
        /// What the signer's key signs.
        expected: String,
        /// The algorithm in the bundle.
        found: String,
    },
    /// The trusted root has no certificate authority for a verified time.
    #[error("certificate chain: no certificate authority is trusted at {}", rfc3339(*.at))]
    NoAuthority {
        /// The verified time.
        at: SystemTime,
    },
    /// There is no entry of a trusted log.
    #[error("transparency log: expected an entry of a trusted log ({expected}), found {found}")]
    NoLogEntry {
        /// The logs of the trusted root.
        expected: String,
        /// The logs of the bundle's entries.
        found: String,
    },
    /// There is no verified time of the signature.
    #[error("time: expected {expected}, found {found}")]
    NoTime {
        /// Which sources count.
        expected: &'static str,
        /// What there is instead.
        found: String,
    },
    /// A timestamp comes from an authority that is not in the trusted root.
    #[error("timestamp {timestamp}: it is not by a trusted authority ({expected})")]
    UnknownAuthority {
        /// Which timestamp.
        timestamp: usize,
        /// The authorities of the trusted root.
        expected: String,
    },
    /// An entry claims a time that its log did not sign: there is no signed entry timestamp, or the
    /// log is a Rekor v2, which signs no times.
    #[error("log entry {entry}: it claims the time {}, expected {expected}", rfc3339(*.found))]
    UnvouchedTime {
        /// Which entry.
        entry: usize,
        /// The signed time that is missing, or that there should be no time.
        expected: &'static str,
        /// The time it claims.
        found: SystemTime,
    },
    /// The envelope's payload is not an in-toto statement.
    #[error("payload type: expected {expected:?}, found {}", quote(.found))]
    PayloadType {
        /// The type of an in-toto statement.
        expected: &'static str,
        /// The type found.
        found: String,
    },
    /// The statement has another predicate type than the policy asks for.
    #[error("predicate type: expected {}, found {}", quote(.expected), quote(.found))]
    PredicateType {
        /// The type that the policy asks for.
        expected: String,
        /// The type of the statement.
        found: String,
    },
    /// The signature was made for another purpose than the policy states.
    #[error("purpose: expected {expected}, found {found}")]
    Purpose {
        /// The purpose of the policy.
        expected: String,
        /// What the signature is.
        found: String,
    },
    /// The certificate does not prove that it was published in a certificate transparency log.
    #[error("signed certificate timestamp: {reason}")]
    Sct {
        /// What was expected and found.
        reason: String,
        /// Why the timestamp of a known log is not valid.
        #[source]
        source: Option<x509::Error>,
    },
    /// The signer's key did not make this signature over this artifact.
    #[error("signature: the signer's key did not sign this artifact")]
    Signature(#[source] keys::Error),
    /// The signed entry timestamp (SET) is not by the log, or not about this entry.
    #[error("signed entry timestamp of log entry {entry}: {reason}")]
    SignedEntryTimestamp {
        /// Which entry.
        entry: usize,
        /// What is wrong.
        reason: String,
        /// Why it does not verify.
        #[source]
        source: Option<keys::Error>,
    },
    /// The payload is not a readable in-toto statement.
    #[error("statement: the payload cannot be read")]
    Statement(#[source] bundle::Error),
    /// The statement is about another artifact.
    #[error("subject: the statement is about {expected}, the artifact is {found}")]
    Subject {
        /// The digests of its subjects.
        expected: String,
        /// The digests of the artifact.
        found: String,
    },
    /// Fewer different logs or authorities prove the time of the signature than the policy requires.
    #[error("threshold: expected {expected} different {what}, found {found}")]
    Threshold {
        /// Logs or authorities of which kind.
        what: &'static str,
        /// How many the policy asks for.
        expected: usize,
        /// How many there are, each counted once.
        found: usize,
    },
    /// A timestamp is not valid.
    #[error("timestamp {timestamp}: it is not valid")]
    Timestamp {
        /// Which timestamp.
        timestamp: usize,
        /// Why.
        #[source]
        source: tsa_client::Error,
    },
    /// A timestamp comes from an authority that was not trusted at that time.
    #[error("timestamp {timestamp}: its time {} is outside the authority's window, {expected}", rfc3339(*.found))]
    TimestampWindow {
        /// Which timestamp.
        timestamp: usize,
        /// When the authority is trusted.
        expected: String,
        /// The time stamped.
        found: SystemTime,
    },
}

/// A pattern that matches only a part would have matched in tools that do not anchor patterns,
/// where `github.com` accepts `github.com.evil.example`. The text says so.
fn partial(expected: &StringMatch, found: &str, prefix: bool) -> String {
    let StringMatch::Regexp(regexp) = expected else { return String::new() };
    regexp.completed(found, prefix).map_or_else(String::new, |completed| {
        // Not as Rust quotes a text: with doubled backslashes it would be another pattern.
        let (pattern, completed) = (host::escape(regexp.pattern()), host::escape(&completed));
        format!(
            "; the pattern \"{pattern}\" matches only a part of it; \"{completed}\" would match"
        )
    })
}

/// The name of a Fulcio extension beside its object identifier.
fn extension_name(oid: &str) -> String {
    x509::oid::reported_name(oid).map_or_else(|| oid.to_owned(), |name| format!("{name} ({oid})"))
}

fn issuer_too(issuer: Option<&(StringMatch, Option<String>)>) -> String {
    issuer.map_or_else(String::new, |(expected, found)| {
        format!("; issuer: expected {expected}, found {}", quoted(found.as_deref()))
    })
}
