//! Where a signature was logged.

use url::Url;

/// Where a signature was logged.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LogRecord {
    /// The log.
    pub url: Url,
    /// The entry's index in it.
    pub index: u64,
}
