//! An image index that is somebody else's: one entry is added, everything else stays byte for
//! byte as it was.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;

use crate::Digest;
use crate::manifest::{INDEX_MEDIA_TYPE, WireDescriptor};

/// An image index whose members are kept verbatim and in order.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    members: Vec<(String, Box<RawValue>)>,
    manifests: Vec<Box<RawValue>>,
}

impl Index {
    /// An index without entries.
    pub(crate) fn empty() -> Result<Self, serde_json::Error> {
        serde_json::from_str(&format!(
            r#"{{"schemaVersion":2,"mediaType":"{INDEX_MEDIA_TYPE}","manifests":[]}}"#
        ))
    }

    /// Reads an index. Its `manifests` must be a list; its other members may be anything.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The entries that can be read as descriptors; what cannot is still kept.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = WireDescriptor> {
        self.manifests.iter().filter_map(|entry| serde_json::from_str(entry.get()).ok())
    }

    /// How many entries there are, readable or not.
    pub(crate) fn len(&self) -> usize {
        self.manifests.len()
    }

    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        self.descriptors().any(|descriptor| descriptor.digest == digest.as_str())
    }

    /// Appends an entry.
    pub(crate) fn push(&mut self, entry: Box<RawValue>) {
        self.manifests.push(entry);
    }

    pub(crate) fn to_vec(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Index;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an image index")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Index, A::Error> {
                use serde::de::Error;

                let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if members.iter().any(|(known, _)| *known == key) {
                        return Err(A::Error::custom(format_args!("`{key}` appears twice")));
                    }
                    members.push((key, value));
                }
                let entries = members.iter().find(|(key, _)| key == "manifests");
                let entries = entries.ok_or_else(|| A::Error::missing_field("manifests"))?;
                // Go's encoder writes an empty slice as null.
                let manifests: Option<Vec<Box<RawValue>>> =
                    serde_json::from_str(entries.1.get()).map_err(A::Error::custom)?;
                Ok(Index { members, manifests: manifests.unwrap_or_default() })
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl Serialize for Index {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len()))?;
        for (key, value) in &self.members {
            if key == "manifests" {
                map.serialize_entry(key, &self.manifests)?;
            } else {
                map.serialize_entry(key, value)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_byte_for_byte() {
        let foreign = concat!(
            r#"{"manifests":[{"digest":"sha256:x","odd": 1.50, "n":12345678901234567890123}],"#,
            r#""annotations":{"b":"1","a":"\u00e9"},"schemaVersion":2,"later":[1,  2]}"#
        );
        let mut index = Index::parse(foreign.as_bytes()).unwrap();
        index.push(RawValue::from_string(r#"{"digest":"sha256:y"}"#.to_owned()).unwrap());
        assert_eq!(
            String::from_utf8(index.to_vec().unwrap()).unwrap(),
            foreign.replace("23}]", r#"23},{"digest":"sha256:y"}]"#)
        );
        assert_eq!(index.len(), 2);
    }

    #[test]
    fn an_entry_that_is_no_descriptor_is_kept_and_passed_over() {
        let index = Index::parse(br#"{"manifests":[7,{"digest":"sha256:x"}]}"#).unwrap();
        assert_eq!(index.len(), 2);
        assert_eq!(index.descriptors().count(), 1);
    }

    #[test]
    fn a_list_that_is_null_is_empty() {
        let index = Index::parse(br#"{"schemaVersion":2,"manifests":null}"#).unwrap();
        assert_eq!(index.len(), 0);
    }

    #[test]
    fn what_is_no_index_is_refused() {
        for text in ["", "[]", "{}", r#"{"manifests":{}}"#, r#"{"manifests":[],"manifests":[]}"#] {
            assert!(Index::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
