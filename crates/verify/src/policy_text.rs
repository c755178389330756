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

pub(crate) fn line(text: &str, offset: usize) -> String {
    let before = text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    format!("line {}", before + 1)
}
