//! Marks in declared texts: `{audience}`, `{env:NAME}` and `{file:/path}`. Every other brace stands
//! for itself, so that JSON can be written as it is.

use std::path::Path;

use host::Host;
use id_token::Audience;

use crate::fetch::Failure;
use crate::files::{self, Problem};

/// Why a text could not be filled in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfilled {
    /// What it needs is not there, so this is not such a place.
    Absent(String),
    /// It is there and cannot be used.
    Broken(String),
}

impl From<Failure> for Unfilled {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure.reason)
    }
}

/// How the audience is written, so that it cannot break out of where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// As it is.
    None,
    /// In a URL.
    Percent,
    /// Inside a JSON string.
    Json,
}

/// Fills in `text`.
pub(crate) async fn fill(
    text: &str,
    audience: &Audience,
    host: &Host,
    escape: Escape,
) -> Result<String, Unfilled> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        if filled.len() > LONGEST_TEXT {
            return Err(Unfilled::Broken(format!(
                "a text of it becomes longer than {LONGEST_TEXT} bytes"
            )));
        }
        // A mark holds no brace: so every text is read once.
        let end = after.find(['{', '}']).and_then(|end| after.split_at_checked(end));
        let mark = end.and_then(|(mark, tail)| Some((mark, tail.strip_prefix('}')?)));
        let value = match mark {
            Some((mark, tail)) => {
                value(mark, audience, host, escape).await?.map(|value| (value, tail))
            }
            None => None,
        };
        rest = match value {
            Some((value, tail)) => {
                filled.push_str(&value);
                tail
            }
            None => {
                filled.push('{');
                after
            }
        };
    }
    filled.push_str(rest);
    Ok(filled)
}

/// What `mark` stands for; `None` where it is no mark.
async fn value(
    mark: &str,
    audience: &Audience,
    host: &Host,
    escape: Escape,
) -> Result<Option<String>, Unfilled> {
    if mark == "audience" {
        return Ok(Some(escaped(audience.as_str(), escape)));
    }
    if let Some(name) = mark.strip_prefix("env:") {
        let absent = || Unfilled::Absent(format!("{} is not set", ::host::escape_remote(name)));
        return host.env.var(name).map(Some).ok_or_else(absent);
    }
    let Some(path) = mark.strip_prefix("file:") else { return Ok(None) };
    match files::text(host, Path::new(path)).await {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(Problem::Missing) => Err(Unfilled::Absent(format!("{path} does not exist"))),
        Err(Problem::Unusable(reason)) => Err(Unfilled::Broken(reason)),
    }
}

/// Of a filled text, in bytes.
const LONGEST_TEXT: usize = 256 << 10;

fn escaped(text: &str, escape: Escape) -> String {
    match escape {
        Escape::None => text.to_owned(),
        Escape::Percent => url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        Escape::Json => {
            let quoted = serde_json::Value::from(text).to_string();
            quoted.trim_matches('"').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeHost, block_on};

    fn filled(text: &str, audience: &str, escape: Escape) -> Result<String, Unfilled> {
        let host = FakeHost::new(&[("A", "{env:B}{audience}"), ("B", "secret")])
            .with_file("/token", "abc\n")
            .host();
        block_on(fill(text, &Audience::new(audience).unwrap(), &host, escape))
    }

    #[test]
    fn marks_are_filled_in_and_other_braces_stay() {
        let text = r#"{"aud":"{audience}","t":"{file:/token}","x":{}}"#;
        assert_eq!(
            filled(text, "a\"b", Escape::Json).unwrap(),
            r#"{"aud":"a\"b","t":"abc","x":{}}"#
        );
        assert_eq!(filled("x?a={audience}&{", "a b&c", Escape::Percent).unwrap(), "x?a=a+b%26c&{");
    }

    #[test]
    fn what_is_filled_in_is_not_looked_at_again() {
        assert_eq!(filled("{env:A}", "a", Escape::None).unwrap(), "{env:B}{audience}");
    }

    #[test]
    fn a_variable_or_file_that_is_not_there_is_absent() {
        let absent = |text| filled(text, "a", Escape::None).unwrap_err();
        assert_eq!(absent("{env:X}"), Unfilled::Absent("X is not set".to_owned()));
        assert_eq!(absent("{file:/x}"), Unfilled::Absent("/x does not exist".to_owned()));
    }
}
