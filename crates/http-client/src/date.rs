//! HTTP dates.

use std::time::SystemTime;

use jiff::fmt::rfc2822::DateTimeParser;

/// Reads a date as `Date` and `Retry-After` carry it (RFC 9110 section 5.6.7), for example
/// `Sun, 06 Nov 1994 08:49:37 GMT`. The two obsolete forms are not read.
pub fn http_date(text: &str) -> Option<SystemTime> {
    let zoned = DateTimeParser::new().parse_zoned(text.trim()).ok()?;
    Some(SystemTime::from(zoned.timestamp()))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_example_of_the_standard_is_read() {
        let expected = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(expected));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "120", "tomorrow", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }
}
