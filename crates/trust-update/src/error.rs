use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::fetch::Fetch;

/// Why there is no trusted root, or none that is current.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process held the cache for too long.
    #[error("cannot lock the TUF cache: another process holds {} (waited {waited:?})", path.display())]
    Busy {
        /// The file of the lock.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A file of the cache or of the configuration cannot be written.
    #[error("cannot write {}", path.display())]
    Directory {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The cached files do not verify, or are not complete.
    #[error("cannot use the TUF cache of {mirror}")]
    Damaged {
        /// The mirror.
        mirror: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The newest metadata that is served has expired: the repository is not maintained, or someone
    /// withholds newer metadata.
    #[error("the {role} metadata of {mirror} expired at {}", shown(*at))]
    Expired {
        /// The mirror.
        mirror: String,
        /// `root`, `timestamp`, `snapshot` or `targets`.
        role: String,
        /// When.
        at: SystemTime,
    },
    /// The mirror answers, and lacks a file that every such repository has.
    #[error("{mirror} does not serve {file}")]
    Missing {
        /// The mirror.
        mirror: String,
        /// The missing file.
        file: String,
    },
    /// Nothing was fetched from the mirror yet.
    #[error("there is no TUF cache of {mirror}")]
    NotCached {
        /// The mirror.
        mirror: String,
    },
    /// The root to start from, or what names it or the mirror, cannot be used.
    #[error("unusable TUF root or configuration: {reason}")]
    Root {
        /// Why not.
        reason: String,
    },
    /// No root of this mirror is embedded or was given to [`initialize`](crate::initialize).
    #[error("no TUF root of {mirror} is known")]
    Unknown {
        /// The mirror.
        mirror: String,
    },
    /// The mirror cannot be reached, or cannot answer.
    #[error("cannot reach {mirror}")]
    Unreachable {
        /// The mirror.
        mirror: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What the mirror serves fails a check: a signature, a version, a length, a hash, or that it is
    /// a trusted root at all.
    #[error("cannot trust what {mirror} serves")]
    Untrusted {
        /// The mirror.
        mirror: String,
        /// The check that failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// The error for one of the TUF client's, when it asked `mirror`.
    pub(crate) fn from_tuf(mirror: &str, error: sigstore_tuf::Error) -> Self {
        let mirror = mirror.to_owned();
        match error {
            sigstore_tuf::Error::Expired { role, expires } => {
                Self::Expired { mirror, role, at: expires.into() }
            }
            sigstore_tuf::Error::TargetNotFound(file) => {
                Self::Missing { mirror, file: host::escape_remote(&file) }
            }
            sigstore_tuf::Error::Transport { message, source: None } => {
                match message.strip_suffix(" not found") {
                    Some(file) => Self::Missing {
                        mirror,
                        file: host::escape_remote(file.trim_start_matches("target ")),
                    },
                    None => Self::Untrusted { mirror, source: reason(&message) },
                }
            }
            sigstore_tuf::Error::Transport { message, source: Some(source) } => {
                match source.downcast::<Fetch>() {
                    Ok(fetch) if fetch.is_outage() => match *fetch {
                        // As it is, so that a caller can tell a refusal from an outage.
                        Fetch::Transport(error) => {
                            Self::Unreachable { mirror, source: Box::new(error) }
                        }
                        other => Self::Unreachable { mirror, source: Box::new(other) },
                    },
                    Ok(fetch) => Self::Untrusted { mirror, source: fetch },
                    Err(_) => Self::Untrusted { mirror, source: reason(&message) },
                }
            }
            other => Self::Untrusted { mirror, source: reason(&chain(&other)) },
        }
    }

    /// The same when it read the cache.
    pub(crate) fn from_cache(mirror: &str, error: sigstore_tuf::Error) -> Self {
        match Self::from_tuf(mirror, error) {
            expired @ Self::Expired { .. } => expired,
            Self::Missing { mirror, file } => {
                Self::Damaged { mirror, source: reason(&format!("{file} is missing")) }
            }
            Self::Unreachable { mirror, source } | Self::Untrusted { mirror, source } => {
                Self::Damaged { mirror, source }
            }
            other => other,
        }
    }
}

/// A text that may quote what was served, as a cause.
pub(crate) fn reason(text: &str) -> Box<dyn std::error::Error + Send + Sync> {
    host::escape_remote(text).into()
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// A time as RFC 3339 writes it.
pub(crate) fn shown(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(
        |_| "a time out of range".to_owned(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}
