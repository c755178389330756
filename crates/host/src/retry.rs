//! Which answers are worth another try, and when.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

/// Whether the same request may succeed a moment later.
///
/// Of the 5xx, 501 and 505 say that the server will never do it.
pub fn is_transient(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        status => status.is_server_error(),
    }
}

/// How long to wait after failed attempt number `attempt` (the first is 1): doubling from a quarter of
/// a second up to eight, the upper half of it random so that many clients of one failure do not come
/// back at the same moment.
pub fn pause(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let full = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    full.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// What `Retry-After` asks for, as a time to wait: seconds, or a date. A date is read against the
/// answer's own `Date`, so that our clock does not matter, and against `now` where there is none.
pub fn retry_after(headers: &HeaderMap, now: Option<SystemTime>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        // More digits than fit mean "very long" and end in giving up.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(answered_at(headers).or(now)?).unwrap_or(Duration::ZERO))
}

/// The time of an answer by the clock of its server: its header `Date`.
pub fn answered_at(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

/// How long the transfer of `bytes` may take on a slow line (256 KiB a second), in addition to the rest
/// of a call.
pub fn transfer_time(bytes: u64) -> Duration {
    Duration::from_secs(bytes / SLOWEST)
}

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// In bytes a second.
const SLOWEST: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn headers(pairs: &[(http::header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn overload_is_transient_and_refusal_is_not() {
        for code in [408, 429, 500, 502, 503, 504] {
            assert!(is_transient(StatusCode::from_u16(code).unwrap()), "{code}");
        }
        for code in [200, 304, 400, 401, 403, 404, 409, 501, 505] {
            assert!(!is_transient(StatusCode::from_u16(code).unwrap()), "{code}");
        }
    }

    #[test]
    fn pauses_double_from_a_quarter_second_up_to_eight_and_differ_from_each_other() {
        for (attempt, longest) in [
            (1, 250),
            (2, 500),
            (3, 1000),
            (4, 2000),
            (5, 4000),
            (6, 8000),
            (7, 8000),
            (u32::MAX, 8000),
        ] {
            let pauses: Vec<_> = (0..50).map(|_| pause(attempt)).collect();
            let bounds = Duration::from_millis(longest / 2)..=Duration::from_millis(longest);
            assert!(pauses.iter().all(|pause| bounds.contains(pause)), "{attempt}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{attempt}: always {pauses:?}");
        }
    }

    #[test]
    fn seconds_are_read_and_absurd_ones_saturate() {
        let wait = |value| retry_after(&headers(&[(RETRY_AFTER, value)]), Some(UNIX_EPOCH));
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(wait("-1"), None);
        assert_eq!(wait(""), None);
        assert_eq!(wait("tomorrow"), None);
        assert_eq!(wait("Sun, 99 Nov 1994 08:49:37 GMT"), None);
    }

    #[test]
    fn a_date_counts_from_the_servers_own_date() {
        let later = "Sun, 06 Nov 1994 08:49:37 GMT";
        let both = headers(&[(RETRY_AFTER, later), (DATE, "Sun, 06 Nov 1994 08:49:30 GMT")]);
        assert_eq!(retry_after(&both, Some(UNIX_EPOCH)), Some(Duration::from_secs(7)));
        let alone = headers(&[(RETRY_AFTER, later)]);
        let now = UNIX_EPOCH + Duration::from_secs(784_111_770);
        assert_eq!(retry_after(&alone, Some(now)), Some(Duration::from_secs(7)));
        let past = UNIX_EPOCH + Duration::from_secs(784_111_999);
        assert_eq!(retry_after(&alone, Some(past)), Some(Duration::ZERO));
    }
}
