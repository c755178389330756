use host::TransportError;

/// Why there is no timestamp, or why one is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The certificates given cannot be those of a timestamp authority.
    #[error("not the certificates of a timestamp authority: {reason}")]
    Authority {
        /// What is wrong with them.
        reason: &'static str,
    },
    /// The certificate that signed the timestamp is not the authority's, or may not stamp.
    #[error("the timestamp's certificate: {reason}")]
    Certificate {
        /// Which rule it breaks: expected and found.
        reason: String,
    },
    /// No valid chain led from the signing certificate to the authority's root at that time.
    #[error("the timestamp's certificate did not lead to the authority's root at its time")]
    Chain(#[source] x509::Error),
    /// The authority answered with an HTTP error.
    #[error("the timestamp authority at {url} answered {status}: {message}")]
    Http {
        /// The authority.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it said, cut and escaped.
        message: String,
    },
    /// The bytes are not a timestamp response (RFC 3161 2.4.2).
    #[error("not an RFC 3161 timestamp: {reason}")]
    Malformed {
        /// What is wrong with them.
        reason: String,
    },
    /// A valid timestamp of another message or for another request.
    #[error("the timestamp is for another {what}: expected {expected}, found {found}")]
    Mismatch {
        /// What differs: the message or the nonce.
        what: &'static str,
        /// What was asked for, in hexadecimal.
        expected: String,
        /// What was stamped, in hexadecimal.
        found: String,
    },
    /// No nonce could be made for the request.
    #[error("the nonce of the timestamp request could not be made")]
    Nonce(#[source] keys::Error),
    /// The authority answered that it does not stamp this (RFC 3161 2.4.2, PKIStatus).
    #[error("the timestamp authority refused with status {status}: {reason}")]
    Refused {
        /// The PKIStatus: 2 is a rejection.
        status: u32,
        /// The reasons it gave, cut and escaped.
        reason: String,
    },
    /// The timestamp is not signed by its certificate.
    #[error("the timestamp's signature does not verify")]
    Signature(#[source] keys::Error),
    /// The authority did not answer.
    #[error("the request to the timestamp authority failed")]
    Transport(#[source] TransportError),
}

impl Error {
    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed { reason: reason.into() }
    }

    /// For what the DER decoder says about `part`.
    pub(crate) fn der(part: &str) -> impl FnOnce(der::Error) -> Self {
        move |error| Self::Malformed { reason: format!("{part}: {error}") }
    }

    pub(crate) fn certificate(reason: impl Into<String>) -> Self {
        Self::Certificate { reason: reason.into() }
    }
}
