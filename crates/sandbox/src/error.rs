//! Why the sandbox could not be set up.

use std::path::PathBuf;

/// Why the sandbox could not be set up. A request that is refused is never an error here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration contradicts itself.
    #[error("the sandbox cannot be configured so: {reason}")]
    Config {
        /// What is wrong.
        reason: String,
    },
    /// A file of the state directory, or a file to be written there.
    #[error("cannot use {}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A port or a socket could not be opened.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address or the path of the socket.
        address: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A key, a certificate or a document could not be made.
    #[error("cannot make {what}")]
    Make {
        /// What was being made.
        what: &'static str,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// For `map_err`: `what` could not be made because of the error that follows.
    pub fn make<E>(what: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::Make { what, source: source.into() }
    }
}
