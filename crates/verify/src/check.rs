use std::time::SystemTime;

use crate::policy::StringMatch;

/// Why there is no [`Verified`](crate::Verified).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The artifact was given in a form this signature cannot be checked with. This says nothing
    /// about the signature.
    #[error("the artifact is needed as {expected}, given is {found}")]
    Artifact {
        /// Which digests would do, or the whole message.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A pattern of the policy cannot be used.
    #[error("the pattern {pattern:?} cannot be used: {reason}")]
    Pattern {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A policy file cannot be used.
    #[error("{place}: {reason}")]
    PolicyFile {
        /// Where in it.
        place: String,
        /// What is wrong: expected and found.
        reason: String,
    },
    /// A check failed: the bundle is not to be trusted for this artifact and policy.
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
/// Entries and timestamps are named by their place in the bundle, from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Check {
    /// The statement's annotations are not those that were asked for.
    #[error("annotation {key}: expected {expected:?}, found {}", quoted(.found.as_deref()))]
    Annotation {
        /// The annotation asked for.
        key: String,
        /// The value asked for.
        expected: String,
        /// The value of the subject, if it has that annotation.
        found: Option<String>,
    },
    /// The bundle says it is of another artifact.
    #[error("artifact: the bundle is of {expected}, the artifact is {found}")]
    ArtifactDigest {
        /// The digest in the bundle, as `sha256:...`.
        expected: String,
        /// The digest of the artifact given.
        found: String,
    },
    /// The bundle brings along a root certificate: it would vouch for itself.
    #[error(
        "certificate chain: expected none but the leaf and intermediates, found the root {found}"
    )]
    BundledRoot {
        /// The digest of the root, as `sha256:...`.
        found: String,
    },
    /// The signer's certificate, or one beside it, cannot be read.
    #[error("certificate: it cannot be read")]
    Certificate(#[source] x509::Error),
    /// No trusted authority vouches for the certificate at a time it was seen to be used.
    #[error("certificate chain: no trusted authority vouches for the certificate at {}", rfc3339(*.at))]
    Chain {
        /// The verified time.
        at: SystemTime,
        /// What the authority that came closest said.
        #[source]
        source: x509::Error,
    },
    /// A checkpoint is malformed, or not signed by its log.
    #[error("checkpoint of log entry {entry}: it is not the log's")]
    Checkpoint {
        /// Which entry.
        entry: usize,
        /// Why.
        #[source]
        source: tlog::Error,
    },
    /// A checkpoint is of another log than the entry.
    #[error("checkpoint of log entry {entry}: expected the origin {expected}, found {found:?}")]
    CheckpointOrigin {
        /// Which entry.
        entry: usize,
        /// The origin this log signs under.
        expected: String,
        /// The origin found.
        found: String,
    },
    /// A simple-signing document is no such document, or about another image.
    #[error("signed payload: expected the {field} {expected}, found {found}")]
    Claim {
        /// Which field of it.
        field: &'static str,
        /// What it must be for this image.
        expected: String,
        /// What it is.
        found: String,
    },
    /// What was logged is not what is in the bundle.
    #[error(
        "log entry {entry}: its {field} is not the bundle's: expected {expected}, found {found}"
    )]
    EntryBody {
        /// Which entry.
        entry: usize,
        /// Which part of the logged body.
        field: &'static str,
        /// What the bundle and the artifact make of it.
        expected: String,
        /// What the log says.
        found: String,
    },
    /// The kind of an entry is not one that can be checked.
    #[error("log entry {entry}: {found} cannot be checked: {reason}")]
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
    #[error("certificate extension {oid}: expected {expected}, found {}", quoted(.found.as_deref()))]
    Extension {
        /// Its object identifier.
        oid: String,
        /// What the policy asks for.
        expected: StringMatch,
        /// Its value, if the certificate has it.
        found: Option<String>,
    },
    /// The certificate is of somebody else.
    #[error("identity: expected {expected}, found {found:?}{}", partial(.expected, .found))]
    Identity {
        /// What the policy asks for.
        expected: StringMatch,
        /// The subject alternative name of the certificate.
        found: String,
    },
    /// The proof does not lead from the entry to the log's root.
    #[error("inclusion proof of log entry {entry}: it does not hold")]
    Inclusion {
        /// Which entry.
        entry: usize,
        /// Why.
        #[source]
        source: tlog::Error,
    },
    /// Two copies of one fact in an entry disagree.
    #[error(
        "inclusion proof of log entry {entry}: the {field} is given twice and differs: {expected} and {found}"
    )]
    InclusionCopies {
        /// Which entry.
        entry: usize,
        /// Which fact.
        field: &'static str,
        /// The signed or outer copy.
        expected: String,
        /// The other copy.
        found: String,
    },
    /// An entry comes without proof where only a proof counts.
    #[error(
        "inclusion proof of log entry {entry}: there is none, and {found} is not accepted without"
    )]
    InclusionMissing {
        /// Which entry.
        entry: usize,
        /// Its kind and version.
        found: String,
    },
    /// The time the log claims lies outside the certificate's life or the log's own.
    #[error("log entry {entry}: its time {} is outside {outside}", rfc3339(*.found))]
    IntegratedTime {
        /// Which entry.
        entry: usize,
        /// The time it claims.
        found: SystemTime,
        /// What it should have been in.
        outside: String,
    },
    /// The identity was vouched for by somebody else.
    #[error("issuer: expected {expected}, found {}{}", quoted(.found.as_deref()), partial(.expected, .found.as_deref().unwrap_or_default()))]
    Issuer {
        /// What the policy asks for.
        expected: StringMatch,
        /// The OIDC issuer in the certificate, if any.
        found: Option<String>,
    },
    /// The certificate's subject or issuer cannot be read.
    #[error("identity: the certificate names none that can be read")]
    IdentityMalformed(#[source] x509::Error),
    /// A signature in one of cosign's earlier formats cannot be read.
    #[error("{part}: {reason}")]
    Legacy {
        /// Which annotation, or part of the file.
        part: &'static str,
        /// Why.
        reason: String,
    },
    /// The policy is for a key and the bundle has a certificate, or the other way round.
    #[error("signer: expected a bundle with {expected}, found one with {found}")]
    Material {
        /// What the policy needs.
        expected: &'static str,
        /// What the bundle has.
        found: &'static str,
    },
    /// The digest in the bundle is by another algorithm than the one that was signed by.
    #[error("digest algorithm: the signature is over {expected}, the bundle gives {found}")]
    DigestAlgorithm {
        /// What the signer's key signs over.
        expected: String,
        /// The algorithm in the bundle.
        found: String,
    },
    /// The envelope's signature names another key than the one that made it.
    #[error("key id: expected none or one of the signer's key, as {expected:?}, found {found:?}")]
    KeyId {
        /// The identifier by convention: base64 of the SHA-256 of the key's SPKI.
        expected: String,
        /// The one found.
        found: String,
    },
    /// None of the certificate's authorities was trusted at that time.
    #[error("certificate chain: no certificate authority is trusted at {}", rfc3339(*.at))]
    NoAuthority {
        /// The verified time.
        at: SystemTime,
    },
    /// No entry of a log that is trusted.
    #[error("transparency log: expected an entry of a trusted log ({expected}), found {found}")]
    NoLogEntry {
        /// The logs of the trusted root.
        expected: String,
        /// The logs of the bundle's entries.
        found: String,
    },
    /// Nothing says when the certificate was used.
    #[error("time: expected {expected}, found {found}")]
    NoTime {
        /// Which sources count.
        expected: &'static str,
        /// What there is instead.
        found: String,
    },
    /// A timestamp is by an authority that is not in the trusted root.
    #[error(
        "timestamp {timestamp}: expected one of a trusted authority ({expected}), found one of another"
    )]
    UnknownAuthority {
        /// Which timestamp.
        timestamp: usize,
        /// The authorities of the trusted root.
        expected: String,
    },
    /// An entry claims a time that nothing vouches for: it comes without a promise, or is of
    /// Rekor v2, which promises none.
    #[error("log entry {entry}: it claims the time {}, expected {expected}", rfc3339(*.found))]
    UnvouchedTime {
        /// Which entry.
        entry: usize,
        /// What there should be beside it, or that there should be no time.
        expected: &'static str,
        /// The time it claims.
        found: SystemTime,
    },
    /// The envelope's payload is not an in-toto statement.
    #[error("payload type: expected {expected:?}, found {found:?}")]
    PayloadType {
        /// The type of an in-toto statement.
        expected: &'static str,
        /// The type found.
        found: String,
    },
    /// The statement claims something else than what was asked for.
    #[error("predicate type: expected {expected:?}, found {found:?}")]
    PredicateType {
        /// The type asked for.
        expected: String,
        /// The type of the statement; of a bundle without one, a description.
        found: String,
    },
    /// The certificate does not prove that it was logged.
    #[error("signed certificate timestamp: {reason}")]
    Sct {
        /// What was expected and found.
        reason: String,
        /// Why one of a known log does not hold.
        #[source]
        source: Option<x509::Error>,
    },
    /// The signature is not one over this artifact by this key.
    #[error("signature: it is not one over this artifact by the signer's key")]
    Signature(#[source] keys::Error),
    /// The log's promise (SET) is not the log's, or not about this entry.
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
    /// The payload is no in-toto statement that can be read.
    #[error("statement: the payload cannot be read")]
    Statement(#[source] bundle::Error),
    /// The statement is about something else.
    #[error("subject: the statement is about {expected}, the artifact is {found}")]
    Subject {
        /// The digests of its subjects.
        expected: String,
        /// The digests of the artifact.
        found: String,
    },
    /// Fewer different ones vouch than were asked for.
    #[error("threshold: expected {expected} different {what}, found {found}")]
    Threshold {
        /// Who vouches.
        what: &'static str,
        /// How many the policy asks for.
        expected: usize,
        /// How many there are, each counted once.
        found: usize,
    },
    /// A timestamp does not hold.
    #[error("timestamp {timestamp}: it does not hold")]
    Timestamp {
        /// Which timestamp.
        timestamp: usize,
        /// Why.
        #[source]
        source: tsa_client::Error,
    },
    /// A timestamp is by an authority that was not trusted at that time.
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

/// For a pattern that fits only a part: it would have matched unanchored, which is what other
/// tools do and what makes `github.com` accept `github.com.evil.example`.
fn partial(expected: &StringMatch, found: &str) -> String {
    match expected {
        StringMatch::Regexp(regexp) if regexp.fits_a_part_of(found) => format!(
            "; the pattern {:?} fits only a part of it, and it is applied to the whole, as {}",
            regexp.pattern(),
            regexp.anchored()
        ),
        _ => String::new(),
    }
}

fn quoted(found: Option<&str>) -> String {
    found.map_or_else(|| "none".to_owned(), |found| format!("{found:?}"))
}

/// Text of a bundle in one line, without control characters, and cut.
pub(crate) fn plain(text: &str) -> String {
    const SHOWN: usize = 136;
    let mut shown: String = text.chars().flat_map(char::escape_debug).take(SHOWN).collect();
    if shown.chars().count() == SHOWN {
        shown.push_str("...");
    }
    shown
}

pub(crate) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map_or_else(|_| "an impossible time".to_owned(), |t| t.to_string())
}
