//! A strict reader of proto-JSON, the encoding of Sigstore's file formats.
//!
//! Strict where two readers could disagree about one document: a key given twice (in either
//! spelling), data after the document and malformed base64 are errors. As liberal as proto-JSON
//! where it only spells differently: `lowerCamelCase` or `snake_case`, 64-bit integers as strings or
//! numbers, either base64 alphabet with or without padding, enums by name or number, `null` for an
//! absent field.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use crate::error::{Error, quote};
use crate::json::{Json, Limits};

/// The fields of one message that have not been taken yet, and the message's path in the document.
///
/// Fields are asked for by their `lowerCamelCase` name. A field left over is an error in
/// [`Message::finish`], which a reader of an evolving format may leave out.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    path: String,
    fields: Vec<(Cow<'a, str>, Json<'a>)>,
}

impl<'a> Message<'a> {
    /// The message that a document is, of at most `cap` bytes and the default number of values.
    pub fn parse(bytes: &'a [u8], cap: usize) -> Result<Self, Error> {
        Self::parse_within(bytes, &Limits::default().with_size(cap))
    }

    /// The message that a document is.
    pub fn parse_within(bytes: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        Self::new(Json::parse(bytes, limits)?, String::new())
    }

    /// The message that `json`, found at `path`, is.
    pub fn new(json: Json<'a>, path: String) -> Result<Self, Error> {
        match json {
            Json::Object(fields) => Ok(Self { path, fields }),
            other => Err(wrong_type(&path, "an object", &other)),
        }
    }

    /// The path of this message in the document; empty for the document itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of the field `name` in the document.
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a field as it is; `None` when absent or `null`.
    pub fn any(&mut self, name: &str) -> Result<Option<Json<'a>>, Error> {
        let camel = self.remove(name);
        let snake = match snake_case(name) {
            Some(snake) => self.remove(&snake),
            None => None,
        };
        let found = match (camel, snake) {
            (Some(_), Some(_)) => {
                return Err(Error::field(&self.path_of(name), "there twice, in both spellings"));
            }
            (camel, snake) => camel.or(snake),
        };
        Ok(found.filter(|json| *json != Json::Null))
    }

    /// Takes a field of `bytes`.
    pub fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path_of(name);
        self.any(name)?.map(|json| bytes(&path, &json)).transpose()
    }

    /// Takes a field of `bytes`; or its text, where that is longer than `most` and stands in the
    /// document as it is.
    pub(crate) fn bytes_or_text(
        &mut self,
        name: &str,
        most: usize,
    ) -> Result<(Vec<u8>, Option<&'a str>), Error> {
        let path = self.path_of(name);
        match self.any(name)? {
            None => Ok((Vec::new(), None)),
            Some(Json::String(Cow::Borrowed(text))) if text.len() > most => {
                Ok((Vec::new(), Some(text)))
            }
            Some(json) => bytes(&path, &json).map(|bytes| (bytes, None)),
        }
    }

    /// Takes a repeated field of `bytes`; an absent one is empty.
    pub fn bytes_list(&mut self, name: &str) -> Result<Vec<Vec<u8>>, Error> {
        let path = self.path_of(name);
        self.list(name)?
            .into_iter()
            .enumerate()
            .map(|(i, json)| bytes(&format!("{path}[{i}]"), &json))
            .collect()
    }

    /// Takes a 64-bit integer that may not be negative; an absent one reads as 0.
    pub fn int64(&mut self, name: &str) -> Result<u64, Error> {
        let path = self.path_of(name);
        let Some(json) = self.any(name)? else { return Ok(0) };
        let value = match &json {
            Json::Number(number) => number.as_i64(),
            Json::String(text) => decimal(text),
            other => return Err(wrong_type(&path, "an integer", other)),
        };
        value.and_then(|value| u64::try_from(value).ok()).ok_or_else(|| {
            let found = match &json {
                Json::Number(number) => number.to_string(),
                Json::String(text) => quote(text),
                _ => String::new(),
            };
            Error::field(&path, format!("expected an integer from 0 to 2^63-1, found {found}"))
        })
    }

    /// Takes an enum, by name or number, and gives its name.
    ///
    /// `names` are the known values with their numbers; anything else is `Err`.
    pub fn enumeration(
        &mut self,
        name: &str,
        names: &[(i64, &'static str)],
    ) -> Result<Option<&'static str>, Error> {
        let path = self.path_of(name);
        let Some(json) = self.any(name)? else { return Ok(None) };
        let (found, shown) = match &json {
            Json::String(text) => (names.iter().find(|(_, known)| known == text), quote(text)),
            Json::Number(number) => {
                let found = names.iter().find(|(value, _)| Some(*value) == number.as_i64());
                (found, number.to_string())
            }
            other => return Err(wrong_type(&path, "an enum's name", other)),
        };
        match found {
            Some((_, known)) => Ok(Some(known)),
            None => Err(Error::field(&path, format!("unknown value {shown}"))),
        }
    }

    /// Takes a string.
    pub fn string(&mut self, name: &str) -> Result<Option<String>, Error> {
        match self.any(name)? {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.into_owned())),
            Some(other) => Err(wrong_type(&self.path_of(name), "a string", &other)),
        }
    }

    /// Takes a message.
    pub fn message(&mut self, name: &str) -> Result<Option<Self>, Error> {
        let path = self.path_of(name);
        self.any(name)?.map(|json| Self::new(json, path)).transpose()
    }

    /// Takes a repeated field of messages; an absent one is empty.
    pub fn messages(&mut self, name: &str) -> Result<Vec<Self>, Error> {
        let path = self.path_of(name);
        self.list(name)?
            .into_iter()
            .enumerate()
            .map(|(i, json)| Self::new(json, format!("{path}[{i}]")))
            .collect()
    }

    /// Ends the reading. A field that was not taken is an error.
    pub fn finish(self) -> Result<(), Error> {
        match self.fields.first() {
            None => Ok(()),
            Some((name, _)) => {
                let place = if self.path.is_empty() { "document" } else { &self.path };
                Err(Error::field(place, format!("unknown field {}", quote(name))))
            }
        }
    }

    /// The fields not taken, in document order.
    pub fn into_rest(self) -> Vec<(Cow<'a, str>, Json<'a>)> {
        self.fields
    }

    fn list(&mut self, name: &str) -> Result<Vec<Json<'a>>, Error> {
        match self.any(name)? {
            None => Ok(Vec::new()),
            Some(Json::Array(items)) => Ok(items),
            Some(other) => Err(wrong_type(&self.path_of(name), "an array", &other)),
        }
    }

    fn remove(&mut self, name: &str) -> Option<Json<'a>> {
        let at = self.fields.iter().position(|(key, _)| key == name)?;
        Some(self.fields.remove(at).1)
    }
}

/// Decodes base64 of either alphabet, padded or not; without white space.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    engine(text.as_bytes()).decode(text).ok()
}

fn engine(text: &[u8]) -> GeneralPurpose {
    if text.iter().any(|byte| matches!(byte, b'-' | b'_')) { URL_SAFE } else { STANDARD }
}

/// Decodes the base64 at `at` in `document` as [`decode_base64`] does: in its place, unless the
/// document is shared.
pub(crate) fn decode_in_place(document: Bytes, at: Range<usize>) -> Option<Bytes> {
    let engine = engine(document.get(at.clone())?);
    let mut document = match document.try_into_mut() {
        Ok(document) => document,
        Err(shared) => return engine.decode(shared.get(at)?).ok().map(Bytes::from),
    };
    let (mut from, mut to) = (at.start, at.start);
    while from < at.end {
        let end = at.end.min(from.saturating_add(GROUPS));
        let decoded = engine.decode(document.get(from..end)?).ok()?;
        // Padding stands at the end only.
        if end < at.end && decoded.len() != GROUPS / 4 * 3 {
            return None;
        }
        document.get_mut(to..to + decoded.len())?.copy_from_slice(&decoded);
        (from, to) = (end, to + decoded.len());
    }
    Some(document.freeze().slice(at.start..to))
}

pub(crate) const NOT_BASE64: &str = "not base64";
/// What is decoded at once, in bytes: groups of four.
const GROUPS: usize = 64 << 10;

fn bytes(path: &str, json: &Json<'_>) -> Result<Vec<u8>, Error> {
    let Json::String(text) = json else { return Err(wrong_type(path, "base64", json)) };
    decode_base64(text).ok_or_else(|| Error::field(path, NOT_BASE64))
}

fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = digits == "0" || (!digits.starts_with('0') && !digits.is_empty());
    if !canonical || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn wrong_type(path: &str, expected: &str, found: &Json<'_>) -> Error {
    let path = if path.is_empty() { "document" } else { path };
    Error::field(path, format!("expected {expected}, found {}", found.kind()))
}

fn snake_case(camel: &str) -> Option<String> {
    if !camel.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut snake = String::with_capacity(camel.len() + 4);
    for c in camel.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    Some(snake)
}

const LENIENT_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT_PADDING);

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message<'_> {
        Message::parse(text.as_bytes(), 1000).unwrap()
    }

    #[test]
    fn both_spellings_of_a_name_are_read_but_not_together() {
        assert_eq!(message(r#"{"logIndex":1}"#).int64("logIndex").unwrap(), 1);
        assert_eq!(message(r#"{"log_index":1}"#).int64("logIndex").unwrap(), 1);
        assert!(message(r#"{"log_index":1,"logIndex":1}"#).int64("logIndex").is_err());
    }

    #[test]
    fn integers_are_strings_or_numbers_and_never_negative() {
        let read = |text: &str| {
            let text = format!(r#"{{"a":{text}}}"#);
            message(&text).int64("a")
        };
        assert_eq!(read("\"9223372036854775807\"").unwrap(), 9_223_372_036_854_775_807);
        assert_eq!(read("7").unwrap(), 7);
        assert_eq!(read("null").unwrap(), 0);
        for bad in [
            "-1",
            "\"-1\"",
            "\"9223372036854775808\"",
            "1.5",
            "\"07\"",
            "\"\"",
            "\" 1\"",
            "\"+1\"",
            "true",
            "18446744073709551615",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn base64_of_both_alphabets_with_or_without_padding_but_no_white_space() {
        for good in ["+/8=", "-_8=", "+/8", "-_8"] {
            assert_eq!(decode_base64(good).unwrap(), [0xfb, 0xff], "{good}");
        }
        for bad in ["+/8=\n", "+ /8=", "+_8=", "+/8==", "+", "+/9=", "ab=c"] {
            assert_eq!(decode_base64(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_decoded_in_place_is_what_is_decoded_apart() {
        let whole = (0..GROUPS * 2).map(|it| (it % 251) as u8).collect::<Vec<_>>();
        for length in [0, 1, 2, 3, GROUPS / 4 * 3, GROUPS / 4 * 3 + 1, GROUPS * 2] {
            let text = STANDARD.encode(&whole[..length]);
            let changed = |at: usize, with: &str| {
                let mut text = text.clone();
                if text.len() >= at + with.len() {
                    text.replace_range(at..at + with.len(), with);
                }
                text
            };
            let trimmed = text.trim_end_matches('=').to_owned();
            let (padded, broken) = (changed(GROUPS - 2, "=="), changed(2, " "));
            for text in [text.replace('+', "-").replace('/', "_"), text, trimmed, padded, broken] {
                let document = format!("<{text}>");
                let at = 1..1 + text.len();
                let apart = decode_base64(&text);
                let shared = Bytes::from(document.clone());
                let _other = shared.clone();
                assert!(decode_in_place(shared, at.clone()).map(Vec::from) == apart, "{length}");
                let owned = decode_in_place(document.into(), at);
                assert!(owned.map(Vec::from) == apart, "{length}");
            }
        }
    }

    #[test]
    fn enums_are_read_by_name_or_number_and_unknown_ones_refused() {
        let names = &[(0, "NONE"), (1, "ONE")];
        let read = |text: &str| {
            let text = format!(r#"{{"a":{text}}}"#);
            message(&text).enumeration("a", names)
        };
        assert_eq!(read("\"ONE\"").unwrap(), Some("ONE"));
        assert_eq!(read("1").unwrap(), Some("ONE"));
        assert_eq!(read("null").unwrap(), None);
        assert!(read("2").is_err());
        assert!(read("\"TWO\"").is_err());
    }

    #[test]
    fn a_field_that_was_not_taken_is_refused_by_finish() {
        let mut m = message(r#"{"a":"x","b":null}"#);
        m.string("a").unwrap();
        assert!(m.finish().unwrap_err().to_string().contains("unknown field \"b\""));
    }
}
