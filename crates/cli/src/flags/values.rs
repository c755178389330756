//! How flag values are written.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use keys::HashAlgorithm;
use url::Url;

/// How results are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Output {
    Json,
    Text,
}

/// The formats of signatures that count.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum SignatureFormat {
    Any,
    Bundle,
    Legacy,
}

/// The algorithm of a digest that is given instead of a file.
pub(super) fn digest_algorithm() -> impl TypedValueParser<Value = HashAlgorithm> {
    PossibleValuesParser::new(["sha256", "sha384", "sha512"])
        .map(|name| HashAlgorithm::from_name(&name).unwrap_or(HashAlgorithm::Sha256))
}

/// A value that no message may show. It has neither Debug nor Display.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The length of the value, without the value.
    pub(crate) fn describe(&self) -> String {
        format!("a text of {} bytes", self.0.len())
    }
}

pub(super) fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret(text.to_owned()))
}

/// A secret that must not be the empty string of an unset variable.
pub(super) fn nonempty_secret(text: &str) -> Result<Secret, String> {
    nonempty(text).map(Secret)
}

/// A text that must not be the empty string of an unset variable.
pub(super) fn nonempty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the value is empty: is a variable unset?".to_owned());
    }
    Ok(text.to_owned())
}

/// An image reference, as it was typed.
pub(super) fn image(text: &str) -> Result<String, String> {
    not_boolean(text, "an image")?;
    Ok(text.to_owned())
}

/// A file, as it was typed.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    not_boolean(text, "a file")?;
    Ok(PathBuf::from(text))
}

/// `--upload false` means `--upload` and an argument `false`: the user wanted `--upload=false`.
fn not_boolean(text: &str, what: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("the name of {what} is empty: is a variable unset?"));
    }
    if ["true", "false"].contains(&text) {
        return Err(format!(
            "expected {what}; write the value of a switch with `=` (--upload={text}), and a file \
             of this name as ./{text}"
        ));
    }
    Ok(())
}

/// The URL of a service.
pub(super) fn service_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    url.filter(Url::has_host)
        .ok_or_else(|| "expected a URL that begins with https:// or http://".to_owned())
}

/// `KEY=VALUE`; the value may contain `=`.
pub(super) fn annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// As Go's `strconv.ParseBool`, for scripts written for cosign.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
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
        // A longer one may overflow an instant.
        _ => Ok(duration.min(LONGEST)),
    }
}

const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
