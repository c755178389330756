/// Why a file names nobody to trust, or no service to sign with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A certificate of an authority cannot be read.
    #[error("{path}: not a certificate")]
    Certificate {
        /// Where in the document.
        path: String,
        /// Why.
        #[source]
        source: x509::Error,
    },
    /// The text is no such document.
    #[error("not a {what}")]
    Document {
        /// What it should have been.
        what: &'static str,
        /// Why it is not.
        #[source]
        source: bundle::Error,
    },
    /// An entry can be read and cannot be trusted as it stands.
    #[error("{path}: {problem}")]
    Entry {
        /// Where in the document.
        path: String,
        /// Which rule it breaks, with expected and found.
        problem: String,
    },
    /// The key of a log cannot be read.
    #[error("{path}: not a usable public key")]
    Key {
        /// Where in the document.
        path: String,
        /// Why.
        #[source]
        source: keys::Error,
    },
    /// The document is of another kind or version.
    #[error("{what}: expected media type {expected}, found {found}")]
    MediaType {
        /// What it should have been.
        what: &'static str,
        /// The media type of the version this crate reads.
        expected: &'static str,
        /// The media type found.
        found: String,
    },
    /// The signing config has no usable service of a kind.
    #[error("the signing config has no {service} to use: {reason}")]
    NoService {
        /// Which kind of service.
        service: &'static str,
        /// What it lists, and why none of it serves.
        reason: String,
    },
}

impl Error {
    pub(crate) fn entry(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Entry { path: path.into(), problem: problem.into() }
    }
}
