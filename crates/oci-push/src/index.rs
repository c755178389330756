//! An image index that others wrote: entries are read one by one, and one can be added without
//! touching a byte of the rest.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::digest::Digest;
use crate::manifest::{CREATED_ANNOTATION, INDEX_MEDIA_TYPE, PREDICATE_TYPE_ANNOTATION};

/// An image index as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    bytes: Bytes,
    /// Where the value of `manifests` stands in `bytes`.
    manifests: Range<usize>,
}

/// An entry of an index: what is used of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry<'a> {
    #[serde(borrow)]
    pub(crate) digest: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) media_type: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) artifact_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) annotations: Option<Annotations<'a>>,
}

/// The annotations of an entry by which candidates are put in order.
#[derive(Debug, Default)]
pub(crate) struct Annotations<'a> {
    pub(crate) predicate_type: Option<Cow<'a, str>>,
    pub(crate) created: Option<Cow<'a, str>>,
    /// What BuildKit says of an entry that is not an image.
    pub(crate) reference_type: Option<Cow<'a, str>>,
}

impl Entry<'_> {
    /// Whether it is an attestation manifest of BuildKit.
    pub(crate) fn is_attestation(&self) -> bool {
        let annotations = self.annotations.as_ref();
        annotations.and_then(|it| it.reference_type.as_deref()) == Some("attestation-manifest")
    }
}

impl Index {
    /// An index without entries.
    pub(crate) fn empty() -> Result<Self, serde_json::Error> {
        Self::parse(Bytes::from(format!(
            r#"{{"schemaVersion":2,"mediaType":"{INDEX_MEDIA_TYPE}","manifests":[]}}"#
        )))
    }

    /// Reads an index. Its `manifests` must be a list; its other members may be anything, each
    /// once.
    pub(crate) fn parse(bytes: Bytes) -> Result<Self, serde_json::Error> {
        let Members(manifests) = serde_json::from_slice(&bytes)?;
        // Where a part of a slice begins in it.
        let start = manifests.get().as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
        let manifests = start..start.saturating_add(manifests.get().len());
        Ok(Self { bytes, manifests })
    }

    /// The length of the document in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Calls `each` for every entry, with `None` for one that is not a descriptor.
    pub(crate) fn for_each(&self, each: impl FnMut(Option<Entry<'_>>)) {
        let text = self.bytes.get(self.manifests.clone()).unwrap_or_default();
        // It was read as a list before, so that there is no error to come.
        let mut reader = serde_json::Deserializer::from_slice(text);
        _ = reader.deserialize_option(Each(each));
    }

    /// The digests of the manifests that are listed.
    pub(crate) fn digests(&self) -> BTreeSet<Digest> {
        let mut digests = BTreeSet::new();
        self.for_each(|entry| digests.extend(entry.and_then(|entry| entry.digest.parse().ok())));
        digests
    }

    /// The whole document without the entries of `gone`, and whether entries are left.
    pub(crate) fn without(&self, gone: &BTreeSet<Digest>) -> (Vec<u8>, bool) {
        let text = self.bytes.get(self.manifests.clone()).unwrap_or_default();
        let entries: Option<Vec<&RawValue>> = serde_json::from_slice(text).ok();
        let mut kept = entries.unwrap_or_default();
        kept.retain(|entry| {
            let digest = serde_json::from_str::<Entry<'_>>(entry.get()).ok();
            let digest = digest.and_then(|entry| entry.digest.parse().ok());
            digest.is_none_or(|digest| !gone.contains(&digest))
        });
        let kept: Vec<&str> = kept.into_iter().map(RawValue::get).collect();
        let part = |range: Range<usize>| self.bytes.get(range).unwrap_or_default();
        let (before, after) = (0..self.manifests.start, self.manifests.end..self.bytes.len());
        let list = format!("[{}]", kept.join(","));
        ([part(before), list.as_bytes(), part(after)].concat(), !kept.is_empty())
    }

    /// The whole document, with `entries` after the last entry.
    pub(crate) fn with<'e>(&self, entries: impl IntoIterator<Item = &'e RawValue>) -> Vec<u8> {
        let part = |range: Range<usize>| self.bytes.get(range).unwrap_or_default();
        let list = part(self.manifests.clone());
        let before = part(0..self.manifests.start);
        let after = part(self.manifests.end..self.bytes.len());
        let mut whole = Vec::with_capacity(self.bytes.len() + 1024);
        whole.extend_from_slice(before);
        let mut first = match list.strip_suffix(b"]") {
            Some(entries) => {
                whole.extend_from_slice(entries);
                entries.trim_ascii().len() <= 1
            }
            // Go's encoder writes an empty list as null.
            None => {
                whole.push(b'[');
                true
            }
        };
        for entry in entries {
            if !std::mem::take(&mut first) {
                whole.push(b',');
            }
            whole.extend_from_slice(entry.get().as_bytes());
        }
        whole.push(b']');
        whole.extend_from_slice(after);
        whole
    }
}

/// The value of `manifests` among the members of an index.
struct Members<'a>(&'a RawValue);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReadMembers;

        impl<'de> Visitor<'de> for ReadMembers {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an image index")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut names: HashSet<Cow<'de, str>> = HashSet::new();
                let mut manifests = None;
                while let Some(Name(name)) = map.next_key()? {
                    if name == "manifests" {
                        let value: &'de RawValue = map.next_value()?;
                        if !value.get().starts_with('[') && value.get() != "null" {
                            return Err(A::Error::custom("`manifests` is not a list"));
                        }
                        manifests = Some(value);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                    if let Some(name) = names.replace(name) {
                        return Err(A::Error::custom(format_args!("`{name}` appears twice")));
                    }
                }
                manifests.map(Members).ok_or_else(|| A::Error::missing_field("manifests"))
            }
        }

        deserializer.deserialize_map(ReadMembers)
    }
}

/// A text that is borrowed where it can be.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a list, or null, element by element.
struct Each<F>(F);

impl<'de, F: FnMut(Option<Entry<'de>>)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&'de RawValue>()? {
            self.0(serde_json::from_str(element.get()).ok());
        }
        Ok(())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReadAnnotations;

        impl<'de> Visitor<'de> for ReadAnnotations {
            type Value = Annotations<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Annotations<'de>, A::Error> {
                let mut annotations = Annotations::default();
                while let Some(Name(name)) = map.next_key()? {
                    match &*name {
                        PREDICATE_TYPE_ANNOTATION => {
                            annotations.predicate_type = Some(map.next_value::<Name<'de>>()?.0);
                        }
                        CREATED_ANNOTATION => {
                            annotations.created = Some(map.next_value::<Name<'de>>()?.0);
                        }
                        REFERENCE_TYPE_ANNOTATION => {
                            annotations.reference_type = Some(map.next_value::<Name<'de>>()?.0);
                        }
                        _ => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(annotations)
            }
        }

        deserializer.deserialize_map(ReadAnnotations)
    }
}

const REFERENCE_TYPE_ANNOTATION: &str = "vnd.docker.reference.type";

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn index(text: &str) -> Index {
        Index::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn digests(index: &Index) -> Vec<Option<String>> {
        let mut digests = Vec::new();
        index.for_each(|entry| digests.push(entry.map(|entry| entry.digest.into_owned())));
        digests
    }

    fn with(text: &str, entry: &str) -> String {
        let entry = RawValue::from_string(entry.to_owned()).unwrap();
        String::from_utf8(index(text).with([&*entry])).unwrap()
    }

    #[test]
    fn what_others_wrote_stays_byte_for_byte() {
        let foreign = concat!(
            r#" {"manifests" : [ {"digest":"sha256:x","odd": 1.50, "n":12345678901234567890123} ],"#,
            r#""annotations":{"b":"1","a":"\u00e9"},"schemaVersion":2,"later":[1,  2]}"#,
            "\n"
        );
        let both = with(foreign, r#"{"digest":"sha256:y"}"#);
        assert_eq!(both, foreign.replace("23} ]", r#"23} ,{"digest":"sha256:y"}]"#));
        let expected = ["sha256:x", "sha256:y"].map(|digest| Some(digest.to_owned()));
        assert_eq!(digests(&index(&both)), expected);
    }

    #[test]
    fn entries_are_taken_out_and_the_rest_stays_byte_for_byte() {
        let (gone, kept) = (Digest::sha256(b"gone"), Digest::sha256(b"kept"));
        let kept = format!(r#"{{"odd": 1.50,"digest":"{kept}"}}"#);
        let text = format!(r#"{{"a" :1,"manifests":[{{"digest":"{gone}"}}, {kept},7],"b":2}}"#);
        let (rest, left) = index(&text).without(&BTreeSet::from([gone.clone()]));
        let expected = format!(r#"{{"a" :1,"manifests":[{kept},7],"b":2}}"#);
        assert_eq!((String::from_utf8(rest).unwrap(), left), (expected, true));
        let text = format!(r#"{{"manifests":[{{"digest":"{gone}"}}]}}"#);
        let (rest, left) = index(&text).without(&BTreeSet::from([gone]));
        assert_eq!((rest.as_slice(), left), (br#"{"manifests":[]}"#.as_slice(), false));
    }

    #[test]
    fn an_entry_is_added_to_an_empty_list_and_to_null() {
        for empty in ["[]", "[ ]", "null"] {
            let both = with(&format!(r#"{{"manifests":{empty},"x":1}}"#), r#"{"digest":"d"}"#);
            assert_eq!(digests(&index(&both)), [Some("d".to_owned())], "{both}");
            assert!(both.ends_with(r#","x":1}"#), "{both}");
        }
    }

    #[test]
    fn an_entry_that_is_not_a_descriptor_is_kept_and_told() {
        let text = r#"{"manifests":[7,{"digest":"sha256:x"},{"digest":["x"]}]}"#;
        assert_eq!(digests(&index(text)), [None, Some("sha256:x".to_owned()), None]);
    }

    #[test]
    fn of_the_annotations_two_are_read() {
        let text = r#"{"manifests":[{"digest":"d","annotations":{"a":[1],
            "dev.sigstore.bundle.predicateType":"p\u0020q","org.opencontainers.image.created":"c"}}]}"#;
        let mut seen = Vec::new();
        index(text).for_each(|entry| {
            let annotations = entry.unwrap().annotations.unwrap();
            let text = |text: Option<Cow<'_, str>>| text.unwrap().into_owned();
            seen.push((text(annotations.predicate_type), text(annotations.created)));
        });
        assert_eq!(seen, [("p q".to_owned(), "c".to_owned())]);
    }

    #[test]
    fn what_is_not_an_index_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"manifests":{}}"#,
            r#"{"manifests":7}"#,
            r#"{"manifests":[],"manifests":[]}"#,
            r#"{"a":1,"manifests":[],"\u0061":1}"#,
        ] {
            assert!(Index::parse(Bytes::copy_from_slice(text.as_bytes())).is_err(), "{text}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test that measures time")]
    fn the_check_for_duplicate_members_is_not_quadratic() {
        let members: Vec<String> = (0..320_000).map(|n| format!(r#""m{n:06}":0"#)).collect();
        let text = format!(r#"{{{},"manifests":[]}}"#, members.join(","));
        let start = Instant::now();
        Index::parse(Bytes::from(text)).unwrap();
        // Half a second; comparing each with each takes minutes. A ratio of two short times would
        // fail on a busy machine.
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    }
}
