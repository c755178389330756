use std::time::SystemTime;

/// Why a certificate cannot be read or is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input is not a certificate, or not as many as expected.
    #[error("not a {expected}: {reason}")]
    Malformed {
        /// What was expected: "certificate", "PEM certificate" and the like.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate's public key is malformed or of an unsupported kind.
    #[error("the public key of the certificate is not usable")]
    Key {
        /// What is wrong with the key.
        source: keys::Error,
    },
    /// An extension that was asked for cannot be read or contradicts another.
    #[error("the certificate's extension {oid} is not usable: {reason}")]
    Extension {
        /// Which extension.
        oid: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The subject alternative name is not exactly one e-mail address, URI or user name.
    #[error("expected one e-mail address, URI or user name as the subject, found {found}")]
    SubjectName {
        /// What is there.
        found: String,
    },
    /// A certificate of the path was not valid at the time in question.
    #[error(
        "the {certificate} was not valid at {}: expected a time from {} to {}",
        shown(.at), shown(.not_before), shown(.not_after)
    )]
    NotValid {
        /// Which one: the leaf, an intermediate or the trust anchor.
        certificate: String,
        /// The time in question.
        at: SystemTime,
        /// Its first valid moment.
        not_before: SystemTime,
        /// Its last valid moment.
        not_after: SystemTime,
    },
    /// A certificate of the path may not be used for what it is used for.
    #[error("the {certificate} does not fit: expected {expected}, found {found}")]
    WrongUse {
        /// Which one: the leaf, an intermediate or the trust anchor.
        certificate: String,
        /// What is required at its position in the path.
        expected: String,
        /// What the certificate has.
        found: String,
    },
    /// There is no valid path from the leaf to the trust anchor.
    #[error("no valid path from the {leaf} to the {anchor}: {reason}")]
    NoPath {
        /// The leaf.
        leaf: String,
        /// The trust anchor.
        anchor: String,
        /// Why not.
        reason: String,
    },
    /// A signed certificate timestamp is malformed or not of the expected kind.
    #[error("the signed certificate timestamp is not usable: {reason}")]
    Sct {
        /// What is wrong with it.
        reason: String,
    },
    /// A signed certificate timestamp is not by this log over this certificate.
    #[error("the signed certificate timestamp does not verify with the log's key")]
    SctSignature {
        /// Why the key refuses it.
        source: keys::Error,
    },
}

/// A time as RFC 3339, to the second.
fn shown(time: &SystemTime) -> String {
    der::DateTime::from_system_time(*time)
        .map_or_else(|_| "a time outside 1970 to 9999".into(), |time| time.to_string())
}
