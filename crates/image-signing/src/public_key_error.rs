//! Why a named public key cannot be used.

use host::{FileError, TransportError};

use crate::private_key::unset;

/// Why a named public key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// The file cannot be read.
    #[error(transparent)]
    File(FileError),
    /// The text is not a public key.
    #[error(transparent)]
    Malformed(keys::Error),
    /// The content is not text.
    #[error("it is not PEM text")]
    NotText,
    /// A private key was named.
    #[error("it is a private key; verifying needs the public key")]
    Private,
    /// A key management system was named, which only signing could need.
    #[error("keys by {scheme}:// are not supported")]
    Scheme {
        /// What stands before `://`.
        scheme: String,
    },
    /// A web server or the cluster does not give the key.
    #[error("{reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// The web server or the cluster cannot be reached.
    #[error(transparent)]
    Unreachable(TransportError),
    /// The variable is not set.
    #[error("{}", unset(variable))]
    Unset {
        /// Its name.
        variable: String,
    },
}
