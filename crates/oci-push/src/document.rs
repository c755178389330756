//! Reading manifests that others wrote.
//!
//! Whoever may push to a repository writes them. So a manifest is read only as far as it is used,
//! and what it may make us keep is counted before anything is kept.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::digest::Digest;
use crate::error::Error;

/// A layer of a manifest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Layer {
    #[serde(default)]
    pub(crate) media_type: String,
    #[serde(default)]
    pub(crate) size: u64,
    pub(crate) digest: String,
    #[serde(default)]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

impl Layer {
    pub(crate) fn digest(&self) -> Result<Digest, Error> {
        self.digest.parse()
    }
}

/// An image manifest that may hold signatures.
#[derive(Debug, Deserialize)]
pub(crate) struct SignatureManifest {
    #[serde(default)]
    pub(crate) layers: Option<Vec<Layer>>,
    #[serde(default)]
    pub(crate) subject: Option<Subject>,
    #[serde(default)]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "artifactType")]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Config>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    media_type: String,
}

/// The image that a manifest refers to.
#[derive(Debug, Deserialize)]
pub(crate) struct Subject {
    pub(crate) digest: String,
}

impl SignatureManifest {
    /// Reads a manifest with at most [`MOST_VALUES`] values.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        check_values(bytes, MOST_VALUES)?;
        serde_json::from_slice(bytes)
    }

    /// The artifact type by which an index lists it: its own, else its configuration's media type.
    pub(crate) fn listed_type(&self) -> &str {
        let config = || self.config.as_ref().map(|config| config.media_type.as_str());
        let own = self.artifact_type.as_deref().filter(|own| !own.is_empty());
        own.or_else(config).unwrap_or_default()
    }
}

/// What a manifest or an index says of its own media type.
pub(crate) fn own_media_type(bytes: &[u8]) -> Result<Option<String>, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        #[serde(default)]
        media_type: Option<String>,
    }
    serde_json::from_slice::<Typed>(bytes).map(|typed| typed.media_type)
}

/// Refuses a JSON document of more than `most` values, at all depths together. Keeps nothing.
pub(crate) fn check_values(bytes: &[u8], most: usize) -> Result<(), serde_json::Error> {
    let counter = Counter { left: &Cell::new(most), most };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    counter.deserialize(&mut reader)?;
    reader.end()
}

#[derive(Clone, Copy)]
struct Counter<'a> {
    left: &'a Cell<usize>,
    most: usize,
}

impl Counter<'_> {
    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        let left = self
            .left
            .get()
            .checked_sub(1)
            .ok_or_else(|| E::custom(format_args!("it has more than {} values", self.most)))?;
        self.left.set(left);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Counter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.count()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.count()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.count()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.count()
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.count()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.count()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        self.count()?;
        while elements.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.count()?;
        while members.next_key::<IgnoredAny>()?.is_some() {
            members.next_value_seed(self)?;
        }
        Ok(())
    }
}

/// Room for a thousand of cosign's earlier signatures in one manifest, five times over.
const MOST_VALUES: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_at_all_depths() {
        let json = br#"{"a":[1,-2,3.5,null,true,"x",{}],"b":{"c":[]}}"#;
        assert!(check_values(json, 11).is_ok());
        let error = check_values(json, 10).unwrap_err().to_string();
        assert!(error.starts_with("it has more than 10 values"), "{error}");
        assert!(check_values(b"{} x", 9).is_err(), "something follows the document");
    }

    #[test]
    fn a_manifest_of_a_thousand_earlier_signatures_is_read_and_a_swollen_one_is_not() {
        let layer = r#"{"mediaType":"a","size":1,"digest":"d","annotations":{"a":"","b":"","c":"","d":"","e":""}}"#;
        let manifest =
            |layers: usize| format!(r#"{{"layers":[{}]}}"#, vec![layer; layers].join(","));
        let read = SignatureManifest::parse(manifest(1000).as_bytes()).unwrap();
        assert_eq!(read.layers.unwrap().len(), 1000);
        let error = SignatureManifest::parse(manifest(6000).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("more than 50000 values"), "{error}");
    }

    #[test]
    fn the_media_type_of_a_document_is_read_without_the_rest() {
        let json = br#"{"x":[{}],"mediaType":"a/b","layers":7}"#;
        assert_eq!(own_media_type(json).unwrap().as_deref(), Some("a/b"));
        assert_eq!(own_media_type(b"{}").unwrap(), None);
        assert!(own_media_type(b"[").is_err());
    }
}
