use std::time::{SystemTime, UNIX_EPOCH};

use der::DateTime;

/// Reads the `Date` of an answer (RFC 9110 5.6.7, the one form that servers write):
/// `Sun, 22 Nov 2026 14:54:17 GMT`.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let &[_, day, month, year, time, "GMT"] = fields.as_slice() else { return None };
    let month = (1..).zip(MONTHS).find_map(|(number, name)| (name == month).then_some(number))?;
    let time: Vec<u8> = time.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let &[hour, minute, second] = time.as_slice() else { return None };
    let date =
        DateTime::new(year.parse().ok()?, month, day.parse().ok()?, hour, minute, second).ok()?;
    UNIX_EPOCH.checked_add(date.unix_duration())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
