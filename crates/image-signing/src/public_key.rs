//! Public keys as people name them.

use std::path::Path;

use host::{Env, FileError};
use keys::PublicKey;

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
    /// The variable is not set.
    #[error("{variable} is not set")]
    Unset {
        /// Its name.
        variable: String,
    },
}

/// The public key that `name` names: a PEM file, or `env://VARIABLE`.
///
/// # Errors
/// [`PublicKeyError`].
pub async fn public_key(name: &str, env: &dyn Env) -> Result<PublicKey, PublicKeyError> {
    let pem = match name.split_once("://") {
        Some(("env", variable)) => {
            let unset = || PublicKeyError::Unset { variable: variable.to_owned() };
            env.var(variable).ok_or_else(unset)?
        }
        Some((scheme, _)) => return Err(PublicKeyError::Scheme { scheme: scheme.to_owned() }),
        None => {
            let bytes = env.read(Path::new(name), CAP).await.map_err(PublicKeyError::File)?;
            String::from_utf8(bytes).map_err(|_| PublicKeyError::NotText)?
        }
    };
    if pem.contains("PRIVATE KEY") {
        return Err(PublicKeyError::Private);
    }
    PublicKey::from_pem(&pem).map_err(PublicKeyError::Malformed)
}

const CAP: usize = 64 << 10;
