use std::time::SystemTime;

use jiff::fmt::rfc2822::DateTimeParser;

/// Reads the `Date` of an answer (RFC 9110 5.6.7, the one form that servers write):
/// `Sun, 22 Nov 2026 14:54:17 GMT`.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim().strip_suffix(" GMT")?;
    let zoned = DateTimeParser::new().parse_zoned(format!("{text} +0000")).ok()?;
    Some(SystemTime::from(zoned.timestamp()))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_recorded_date_is_read_and_anything_else_is_not() {
        let time = UNIX_EPOCH + Duration::from_secs(1_795_359_257);
        assert_eq!(parse("Sun, 22 Nov 2026 14:54:17 GMT"), Some(time));
        for text in ["", "today", "Sun, 22 Nov 2026 14:54:17 CET", "Sun, 32 Nov 2026 14:54:17 GMT"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
