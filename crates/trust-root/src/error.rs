use std::path::PathBuf;

/// Why a trusted root or a signing config cannot be read, built or used.
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
    /// The text is not such a document.
    #[error("not a {what}")]
    Document {
        /// What it should have been.
        what: &'static str,
        /// Why it is not.
        #[source]
        source: bundle::Error,
    },
    /// An entry can be read and breaks a rule.
    #[error("{path}: {problem}")]
    Entry {
        /// Where in the document.
        path: String,
        /// Which rule it breaks, with expected and found.
        problem: String,
    },
    /// A file that a description names cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
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
        /// What it lists, and why each of them cannot be used.
        reason: String,
    },
    /// The description of a service, as a flag has it, is incomplete or malformed.
    #[error("{problem}")]
    Spec {
        /// What is wrong with it.
        problem: String,
    },
}

impl Error {
    pub(crate) fn entry(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Entry { path: path.into(), problem: problem.into() }
    }
}
