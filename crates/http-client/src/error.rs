//! Why a client cannot be set up.

use std::path::PathBuf;

use host::FileError;

/// Why settings cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of certificates could not be read.
    #[error("the certificates cannot be read")]
    CaFile {
        /// Which file and why.
        #[source]
        source: FileError,
    },
    /// A file was expected to hold certificates.
    #[error("expected PEM certificates in {}, found none", path.display())]
    NoCertificates {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in a file is not one.
    #[error("a certificate in {} cannot be read", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The private key of a client certificate cannot be used.
    #[error("the private key {} of the client certificate cannot be used: {reason}", path.display())]
    ClientKey {
        /// The file.
        path: PathBuf,
        /// Why; never a part of the key.
        reason: String,
    },
    /// A server cannot have this name.
    #[error("`{found}` is neither a host name nor an IP address")]
    ServerName {
        /// The text, escaped.
        found: String,
    },
    /// The user agent cannot stand in a header.
    #[error("the user agent `{found}` cannot stand in an HTTP header")]
    UserAgent {
        /// The text, escaped.
        found: String,
    },
}
