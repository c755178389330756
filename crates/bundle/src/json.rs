//! JSON documents, read strictly and within limits.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use crate::constants::{LARGE_SIZE_CAP, SIZE_CAP};
use crate::error::{Error, quote};

/// What a reader takes at most of one document.
///
/// Memory follows the number of values rather than the size: `[]` has two bytes and costs thirty
/// times as much once it is read.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The size of the document, in bytes.
    pub size: usize,
    /// The number of values in it: objects, arrays, strings, numbers, booleans and nulls.
    pub values: usize,
    /// The number of values in a statement's predicate, which is checked but not kept.
    pub predicate_values: usize,
}

impl Limits {
    /// For attestations, whose predicates are large: [`LARGE_SIZE_CAP`] bytes, and 8,388,608 values
    /// in a predicate.
    #[must_use]
    pub fn large() -> Self {
        Self { size: LARGE_SIZE_CAP, predicate_values: 1 << 23, ..Self::default() }
    }

    /// The same with another size.
    #[must_use]
    pub fn with_size(self, size: usize) -> Self {
        Self { size, ..self }
    }

    /// The same with another number of values.
    #[must_use]
    pub fn with_values(self, values: usize) -> Self {
        Self { values, ..self }
    }

    /// The same with another number of values in a predicate.
    #[must_use]
    pub fn with_predicate_values(self, predicate_values: usize) -> Self {
        Self { predicate_values, ..self }
    }
}

impl Default for Limits {
    /// [`SIZE_CAP`] bytes and 65,536 values, which is ten times what a bundle can have; 2,097,152
    /// values in a predicate, which an SBOM of 32 MiB does not have.
    fn default() -> Self {
        Self { size: SIZE_CAP, values: 1 << 16, predicate_values: 1 << 21 }
    }
}

/// One JSON document, with the order of its keys, in which no object has a key twice. Strings
/// borrow from the text where it has them unescaped.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `[...]`
    Array(Vec<Self>),
    /// `true` or `false`
    Bool(bool),
    /// `null`
    Null,
    /// A number, exact up to 64 bits.
    Number(Number),
    /// `{...}` in document order.
    Object(Vec<(Cow<'a, str>, Self)>),
    /// `"..."`
    String(Cow<'a, str>),
}

impl<'a> Json<'a> {
    /// Reads exactly one document, nested at most 127 deep.
    ///
    /// # Errors
    ///
    /// When it is not JSON, has a key twice in one object, or exceeds one of the `limits`.
    pub fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        let values = Values::up_to(limits.values, VALUES);
        document(bytes, limits, Tree(&values)).map_err(|error| values.explain(error))
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Array(_) => "an array",
            Self::Bool(_) => "a boolean",
            Self::Null => "null",
            Self::Number(_) => "a number",
            Self::Object(_) => "an object",
            Self::String(_) => "a string",
        }
    }
}

/// Reads the object at the top of a document without its member `left_out`, whose values are only
/// checked, and counted apart from the others.
pub(crate) fn parse_without<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    left_out: &'static str,
) -> Result<Json<'a>, Error> {
    let values = Values::up_to(limits.values, VALUES);
    let checked = Values::up_to(limits.predicate_values, CHECKED_VALUES);
    document(bytes, limits, TopLevel { values: &values, checked: &checked, left_out })
        .map_err(|error| checked.explain(values.explain(error)))
}

/// Checks that `bytes` are one object, as a predicate is, without keeping anything of it.
pub(crate) fn check_predicate(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    let values = Values::up_to(limits.predicate_values, CHECKED_VALUES);
    let checked = Checked { values: &values, depth: DEPTH - 1 };
    document(bytes, limits, Predicate(checked)).map_err(|error| values.explain(error))
}

/// Removes the byte order mark that some editors write before a text.
pub fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

impl From<Json<'_>> for Value {
    fn from(json: Json<'_>) -> Self {
        match json {
            Json::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Json::Bool(value) => Self::Bool(value),
            Json::Null => Self::Null,
            Json::Number(number) => Self::Number(number),
            Json::Object(fields) => {
                Self::Object(fields.into_iter().map(|(k, v)| (k.into_owned(), v.into())).collect())
            }
            Json::String(text) => Self::String(text.into_owned()),
        }
    }
}

fn document<'a, S: DeserializeSeed<'a>>(
    bytes: &'a [u8],
    limits: &Limits,
    seed: S,
) -> Result<S::Value, Error> {
    if bytes.len() > limits.size {
        return Err(Error::TooLarge { limit: limits.size, found: bytes.len() });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = seed.deserialize(&mut deserializer).map_err(Error::Json)?;
    deserializer.end().map_err(Error::Json)?;
    Ok(value)
}

/// Counts values while they are read.
struct Values {
    what: &'static str,
    limit: usize,
    seen: Cell<usize>,
}

impl Values {
    fn up_to(limit: usize, what: &'static str) -> Self {
        Self { what, limit, seen: Cell::new(0) }
    }

    fn count<E: de::Error>(&self) -> Result<(), E> {
        self.seen.set(self.seen.get() + 1);
        if self.seen.get() > self.limit { Err(E::custom("too many values")) } else { Ok(()) }
    }

    /// The limit rather than `error`, if it is the reason.
    fn explain(&self, error: Error) -> Error {
        match self.seen.get() {
            found if found > self.limit => {
                Error::Limit { what: self.what, limit: self.limit, found }
            }
            _ => error,
        }
    }
}

/// Reads a value with everything in it.
#[derive(Clone, Copy)]
struct Tree<'b>(&'b Values);

impl<'a> DeserializeSeed<'a> for Tree<'_> {
    type Value = Json<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Json<'a>, D::Error> {
        self.0.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Tree<'_> {
    type Value = Json<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'a>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'a>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'a>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'a>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json<'a>, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<Json<'a>, E> {
        Ok(Json::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'a>, E> {
        Ok(Json::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Json<'a>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Json<'a>, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            fields.push((key, map.next_value_seed(self)?));
        }
        distinct(fields.iter().map(|(key, _)| key.as_ref()).collect())?;
        Ok(Json::Object(fields))
    }
}

/// Reads a value, keeps nothing of it, and refuses what [`Tree`] refuses.
#[derive(Clone, Copy)]
struct Checked<'b> {
    values: &'b Values,
    /// How many objects and arrays may lie in each other.
    depth: usize,
}

impl Checked<'_> {
    /// For what is in an object or an array.
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Self { depth, ..self })
    }
}

impl<'a> DeserializeSeed<'a> for Checked<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        self.values.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Checked<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let (inner, mut keys) = (self.inner()?, Vec::new());
        while let Some(key) = map.next_key_seed(Key)? {
            keys.push(key);
            map.next_value_seed(inner)?;
        }
        distinct(keys)
    }
}

/// As [`Checked`], of an object only.
struct Predicate<'b>(Checked<'b>);

impl<'a> DeserializeSeed<'a> for Predicate<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self.0)
    }
}

/// Reads an object, one member of which is only checked.
struct TopLevel<'b> {
    values: &'b Values,
    checked: &'b Values,
    left_out: &'static str,
}

impl<'a> DeserializeSeed<'a> for TopLevel<'_> {
    type Value = Json<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Json<'a>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for TopLevel<'_> {
    type Value = Json<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Json<'a>, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            let value = if key == self.left_out {
                map.next_value_seed(Checked { values: self.checked, depth: DEPTH })?;
                Json::Null
            } else {
                map.next_value_seed(Tree(self.values))?
            };
            fields.push((key, value));
        }
        distinct(fields.iter().map(|(key, _)| key.as_ref()).collect())?;
        Ok(Json::Object(fields))
    }
}

/// Reads a key without a copy where the text has it unescaped.
struct Key;

impl<'a> DeserializeSeed<'a> for Key {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Cow<'a, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Key {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

/// Refuses a key that is there twice: two readers may pick different ones of its values.
fn distinct<K: AsRef<str> + Ord, E: de::Error>(mut keys: Vec<K>) -> Result<(), E> {
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair.first() == pair.last()) {
        Some([key, ..]) => Err(E::custom(format_args!("duplicate key {}", quote(key.as_ref())))),
        _ => Ok(()),
    }
}

/// How deep a document may be nested, which is how deep the parser goes: a predicate lies in a statement.
const DEPTH: usize = 127;
const VALUES: &str = "values in the JSON document";
const CHECKED_VALUES: &str = "values in the predicate";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Json<'_>, Error> {
        Json::parse(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn a_key_given_twice_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":2}"#, r#"[{"b":{"a":1,"a":1}}]"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(matches!(parse(text), Err(Error::Json(_))), "{text}");
        }
    }

    #[test]
    fn data_after_the_document_is_refused() {
        assert!(parse("{} {}").is_err());
        assert!(parse("{}x").is_err());
        assert!(parse("{}\n").is_ok());
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).is_err());
    }

    #[test]
    fn a_document_above_the_cap_is_refused_unread() {
        assert!(matches!(
            Json::parse(b"{\"a\": 1}", &Limits::default().with_size(4)),
            Err(Error::TooLarge { limit: 4, found: 8 })
        ));
    }

    #[test]
    fn a_document_with_too_many_values_is_refused_before_it_is_built() {
        let limits = Limits::default().with_values(4);
        let parse = |text: &str| Json::parse(text.as_bytes(), &limits).map(drop);
        assert!(parse(r#"{"a":[1,"x"]}"#).is_ok());
        for text in ["[1,2,3,4]", "[[],{},null,true]", r#"{"a":{"b":{"c":{"d":{}}}}}"#] {
            let error = parse(text).unwrap_err().to_string();
            assert_eq!(error, "5 values in the JSON document, at most 4 are allowed");
        }
    }

    #[test]
    fn a_member_left_out_is_checked_and_counted_apart() {
        let limits = Limits::default().with_values(1).with_predicate_values(3);
        let parse = |text: &str| {
            let parsed = parse_without(text.as_bytes(), &limits, "x");
            parsed.map(drop).map_err(|error| error.to_string())
        };
        let json = parse(r#"{"a":1,"x":[[],{"b":1}]}"#.replace(r#""b":1"#, "").as_str()).is_ok();
        assert!(json);
        let error = parse(r#"{"a":1,"x":[1,2,3]}"#).unwrap_err();
        assert_eq!(error, "4 values in the predicate, at most 3 are allowed");
        let error = parse(r#"{"a":1,"b":2,"x":[]}"#).unwrap_err();
        assert_eq!(error, "2 values in the JSON document, at most 1 are allowed");
        for text in [r#"{"x":{"a":1,"a":2}}"#, r#"{"x":1,"x":2}"#, r#"{"x":1,"\u0078":2}"#, "[]"] {
            assert_eq!(parse(text).unwrap_err(), "not well-formed JSON", "{text}");
        }
    }

    #[test]
    fn a_string_is_borrowed_from_the_text_where_it_is_unescaped() {
        let Json::Array(items) = parse(r#"["plain","\u0061"]"#).unwrap() else { panic!() };
        assert!(matches!(&items[0], Json::String(Cow::Borrowed("plain"))));
        assert!(matches!(&items[1], Json::String(Cow::Owned(text)) if text == "a"));
    }
}
