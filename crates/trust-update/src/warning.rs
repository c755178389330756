use std::path::PathBuf;
use std::time::SystemTime;

use crate::Error;
use crate::error::shown;

/// What a person should hear of although the work went on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// Offline, and the cache is older than it says it should be used.
    #[error("the cached {role} metadata expired at {}: what was revoked since is not known", shown(*at))]
    Expired {
        /// `root`, `timestamp`, `snapshot` or `targets`.
        role: String,
        /// When.
        at: SystemTime,
    },
    /// The cache cannot be written; the next time everything is fetched anew.
    #[error("{} cannot be written: nothing is kept", path.display())]
    NotKept {
        /// The first file that could not be written.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The mirror cannot be reached; what is cached has not expired and was used.
    #[error("the trusted root could not be refreshed, the one {} is used", of(*refreshed))]
    Stale {
        /// When the cache was last refreshed, as far as is known.
        refreshed: Option<SystemTime>,
        /// Why it was not now.
        source: Error,
    },
}

fn of(refreshed: Option<SystemTime>) -> String {
    refreshed.map_or_else(|| "in the cache".to_owned(), |at| format!("of {}", shown(at)))
}
