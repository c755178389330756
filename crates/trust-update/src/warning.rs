use std::path::PathBuf;
use std::time::SystemTime;

use crate::error::{Error, shown};

/// A problem to report although the result can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// Offline, and the cache has expired.
    #[error("the cached {role} metadata expired at {}: later revocations are not known", shown(*at))]
    Expired {
        /// `root`, `timestamp`, `snapshot` or `targets`.
        role: String,
        /// When.
        at: SystemTime,
    },
    /// A default directory cannot be read, or belongs to another user. It counts as absent.
    #[error("cannot read {}, it is treated as absent", path.display())]
    Ignored {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The cache cannot be written: the next time everything is fetched again.
    #[error("cannot write {}, the TUF cache is not kept", path.display())]
    NotKept {
        /// The first file that could not be written.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The refresh failed. What is cached has not expired and was used.
    #[error("cannot refresh the trusted root, using the one {}", of(*refreshed))]
    Stale {
        /// When the cache was last refreshed, as far as is known.
        refreshed: Option<SystemTime>,
        /// Why the refresh failed.
        source: Error,
    },
}

fn of(refreshed: Option<SystemTime>) -> String {
    refreshed.map_or_else(|| "in the cache".to_owned(), |at| format!("of {}", shown(at)))
}
