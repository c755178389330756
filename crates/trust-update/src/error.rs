use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::repository::Fetch;

/// Why there is no trust material, or none that is current.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has held the cache for too long.
    #[error("{} is in use by another process (waited {waited:?})", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A file of the cache or of the configuration cannot be written.
    #[error("{} cannot be written", path.display())]
    Directory {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// What is cached does not verify, or is not complete.
    #[error("what is cached from {mirror} cannot be used")]
    Damaged {
        /// The mirror.
        mirror: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The newest metadata there is has expired: the repository is not looked after, or somebody
    /// holds back what is newer.
    #[error("the {role} metadata of {mirror} expired at {}", shown(*at))]
    Expired {
        /// The mirror.
        mirror: String,
        /// `root`, `timestamp`, `snapshot` or `targets`.
        role: String,
        /// When.
        at: SystemTime,
    },
    /// The mirror answers, and does not have what every such repository has.
    #[error("{mirror} does not offer {file}")]
    Missing {
        /// The mirror.
        mirror: String,
        /// What it does not have.
        file: String,
    },
    /// Nothing was ever fetched from there.
    #[error("nothing is cached from {mirror}")]
    NotCached {
        /// The mirror.
        mirror: String,
    },
    /// A root to start from that cannot be used, or does not have the checksum it should have.
    #[error("not a usable TUF root: {reason}")]
    Root {
        /// Why not.
        reason: String,
    },
    /// It is not known whom to believe about this mirror.
    #[error("no TUF root of {mirror} is known")]
    Unknown {
        /// The mirror.
        mirror: String,
    },
    /// The mirror cannot be reached, or is out of order.
    #[error("{mirror} cannot be reached")]
    Unreachable {
        /// The mirror.
        mirror: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The mirror answers, and what it answers fails a check: a signature, a version, a length, a
    /// hash, or that it is a trusted root at all.
    #[error("what {mirror} serves is not to be trusted")]
    Untrusted {
        /// The mirror.
        mirror: String,
        /// Which check.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Sorts an error of the TUF client that came of asking `mirror`.
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
                    Ok(fetch) if fetch.is_of_the_way() => {
                        Self::Unreachable { mirror, source: fetch }
                    }
                    Ok(fetch) => Self::Untrusted { mirror, source: fetch },
                    Err(_) => Self::Untrusted { mirror, source: reason(&message) },
                }
            }
            other => Self::Untrusted { mirror, source: reason(&chain(&other)) },
        }
    }

    /// The same of reading the cache.
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
