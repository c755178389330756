//! What a policy file must be as a text, before it means anything.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

/// Reads an object and refuses a key that it has twice: another reader might take the other value.
pub(crate) fn unique_keys<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    struct Unique;

    impl<'de> Visitor<'de> for Unique {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("names and their values")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut read = BTreeMap::new();
            while let Some((key, value)) = map.next_entry::<String, String>()? {
                let twice = format!("the key {key:?} is given twice");
                if read.insert(key, value).is_some() {
                    return Err(A::Error::custom(twice));
                }
            }
            Ok(read)
        }
    }

    deserializer.deserialize_map(Unique)
}

/// Characters that make a line look different from what it says: a reviewer could not see what the
/// policy accepts.
pub(crate) fn refuse_invisible(text: &str) -> Result<(), (String, String)> {
    let invisible =
        |(_, c): &(usize, char)| host::is_unsafe(*c) && !matches!(c, '\n' | '\r' | '\t');
    match text.char_indices().find(invisible) {
        Some((offset, c)) => Err((
            line(text, offset),
            format!("expected visible characters, found U+{:04X}", u32::from(c)),
        )),
        None => Ok(()),
    }
}

/// Names YAML as what it is: the parser of TOML would only say that it is not TOML.
pub(crate) fn refuse_yaml(text: &str) -> Result<(), (String, String)> {
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with('#');
    let Some(first) = text.lines().find(is_content) else { return Ok(()) };
    let is_key = |text: &str| {
        let key = text.split_once(':').filter(|(_, rest)| rest.is_empty() || rest.starts_with(' '));
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        key.is_some_and(|(key, _)| !key.is_empty() && key.chars().all(is_word))
    };
    let content = first.trim_end();
    if content == "---"
        || content.starts_with("%YAML")
        || content.starts_with("- ")
        || is_key(content)
    {
        let number = text.lines().take_while(|line| !is_content(line)).count() + 1;
        return Err((
            format!("line {number}"),
            "this is YAML; a policy file is TOML (a rule begins with [[images]] or [[files]]) or \
             JSON"
                .to_owned(),
        ));
    }
    Ok(())
}

pub(crate) fn line(text: &str, offset: usize) -> String {
    let before = text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    format!("line {}", before + 1)
}
