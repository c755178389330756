//! How flag values are written.

use std::convert::Infallible;
use std::time::Duration;

/// How results are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    Json,
    Text,
}

/// A value that no message may show. It has neither Debug nor Display.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

pub(super) fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret(text.to_owned()))
}

pub(super) fn output(text: &str) -> Result<Output, String> {
    match text {
        "json" => Ok(Output::Json),
        "text" => Ok(Output::Text),
        _ => Err("expected json or text (a bundle's file is named by --bundle)".to_owned()),
    }
}

/// As Go's `strconv.ParseBool`, which cosign's users write for.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// As Go's `time.ParseDuration`, without signs: `90s`, `3m0s`, `1.5h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let malformed = || "expected a duration such as 90s or 3m".to_owned();
    let mut seconds = 0.0_f64;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(malformed)?;
        let (value, tail) = rest.split_at(number);
        let value: f64 = value.parse().map_err(|_| malformed())?;
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        seconds += value
            * match unit {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(malformed()),
            };
        rest = tail;
    }
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| malformed())?;
    match duration {
        Duration::ZERO => Err("expected a duration above zero".to_owned()),
        // Beyond this an instant may not be representable, and nobody waits that long.
        _ => Ok(duration.min(LONGEST)),
    }
}

const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_writes_them() {
        assert_eq!(duration("3m0s"), Ok(Duration::from_secs(180)));
        assert_eq!(duration("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "3", "m", "3d", "-3s", "0s", "1..5s", "3 m", "inf", "nan"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_absurd_duration_is_cut_rather_than_overflowing() {
        assert_eq!(duration("999999999999h"), Ok(LONGEST));
    }
}
