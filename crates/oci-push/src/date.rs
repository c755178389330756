//! Dates in the form annotations carry them.

use std::time::SystemTime;

use jiff::{Timestamp, Unit};

/// `time` as RFC 3339 in UTC with whole seconds: `2026-11-22T11:11:19Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    // A clock outside of the calendar is as wrong as one at its beginning.
    let time = Timestamp::try_from(time).unwrap_or_default();
    let second = jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Trunc);
    time.round(second).unwrap_or(time).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn dates_around_leap_days_are_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_345_879, "2026-11-22T11:11:19Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
