//! Times as they are reported.

use std::time::SystemTime;

/// `time` in RFC 3339, UTC.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map_or_else(|_| "(out of range)".to_owned(), |time| time.to_string())
}
