//! `index.json` of an OCI layout, with the annotations of cosign and of oras.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::document::check_values;
use crate::error::{Error, not_json};
use crate::manifest::{Descriptor, INDEX_MEDIA_TYPE, essence, is_manifest};

/// The manifests that a layout lists.
#[derive(Debug, Default)]
pub(crate) struct LayoutIndex {
    entries: Vec<Entry>,
}

/// A manifest that a layout lists.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) media_type: String,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
    pub(crate) artifact_type: Option<String>,
    pub(crate) annotations: BTreeMap<String, String>,
    platform: Option<Value>,
}

/// What cosign calls a manifest in a layout.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Image,
    Index,
    Signatures,
    Attestations,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Image => "dev.cosignproject.cosign/image",
            Self::Index => "dev.cosignproject.cosign/imageIndex",
            Self::Signatures => "dev.cosignproject.cosign/sigs",
            Self::Attestations => "dev.cosignproject.cosign/atts",
        }
    }
}

impl Entry {
    pub(crate) fn new(descriptor: &Descriptor) -> Self {
        Self {
            media_type: descriptor.media_type.clone(),
            size: descriptor.size,
            digest: descriptor.digest.clone(),
            artifact_type: None,
            annotations: BTreeMap::new(),
            platform: None,
        }
    }

    /// Named as cosign names it.
    pub(crate) fn of_kind(mut self, kind: Kind) -> Self {
        self.annotations.insert(KIND.to_owned(), kind.as_str().to_owned());
        self
    }

    /// Called `name`.
    pub(crate) fn called(mut self, name: &str) -> Self {
        self.annotations.insert(NAME.to_owned(), name.to_owned());
        self
    }

    /// Named as cosign names what is under the tag `tag` of the image.
    pub(crate) fn beside_image(self, tag: &str) -> Self {
        match kind_of(tag) {
            Some(kind) => self.of_kind(kind),
            None => self,
        }
    }

    fn is_kind(&self, kinds: &[Kind]) -> bool {
        let kind = self.annotations.get(KIND).map(String::as_str);
        kinds.iter().any(|one| kind == Some(one.as_str()))
    }

    fn name(&self) -> Option<&str> {
        self.annotations.get(NAME).map(String::as_str)
    }

    fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            size: self.size,
            digest: self.digest.clone(),
        }
    }
}

impl LayoutIndex {
    pub(crate) fn parse(what: &str, bytes: &[u8]) -> Result<Self, Error> {
        let invalid = |reason: String| Error::Invalid { what: what.to_owned(), reason };
        let document: Document = check_values(bytes, MOST_VALUES)
            .and_then(|()| serde_json::from_slice(bytes))
            .map_err(|error| invalid(not_json("an image index", &error)))?;
        let mut entries = Vec::new();
        for entry in document.manifests.unwrap_or_default() {
            let digest = entry.digest.parse().map_err(|error| {
                let digest = host::escape_remote(&entry.digest);
                invalid(format!("it lists {digest:?}: {}", reason_of(error)))
            })?;
            entries.push(Entry {
                digest,
                media_type: entry.media_type,
                size: entry.size,
                artifact_type: entry.artifact_type,
                annotations: entry.annotations,
                platform: entry.platform,
            });
        }
        Ok(Self { entries })
    }

    pub(crate) fn to_json(&self) -> Result<Vec<u8>, Error> {
        let entries = self.entries.iter().map(|entry| WireEntry {
            media_type: entry.media_type.clone(),
            size: entry.size,
            digest: entry.digest.to_string(),
            artifact_type: entry.artifact_type.clone(),
            annotations: entry.annotations.clone(),
            platform: entry.platform.clone(),
        });
        let document = Document {
            schema_version: 2,
            media_type: INDEX_MEDIA_TYPE.to_owned(),
            manifests: Some(entries.collect()),
        };
        serde_json::to_vec(&document).map_err(|error| Error::Invalid {
            what: "the index of the layout".to_owned(),
            reason: error.to_string(),
        })
    }

    /// The images, each with its name: not what refers to one, nor a nameless part of one.
    pub(crate) fn images(
        &self,
        is_referrer: impl Fn(&Digest) -> bool,
        is_member: impl Fn(&Digest) -> bool,
    ) -> Vec<(Descriptor, Option<String>)> {
        let mut images: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| entry.is_kind(&[Kind::Image, Kind::Index]))
            .collect();
        if images.is_empty() {
            let others = self.entries.iter().filter(|entry| {
                let name = entry.name().unwrap_or_default();
                is_manifest(essence(&entry.media_type))
                    && !is_referrer(&entry.digest)
                    && (entry.name().is_some() || !is_member(&entry.digest))
                    && !name.starts_with("sha256-")
                    && !entry.is_kind(&[Kind::Signatures, Kind::Attestations])
            });
            images = others.collect();
        }
        let mut unique = Vec::new();
        for image in images {
            let image = (image.descriptor(), image.name().map(str::to_owned));
            if !unique.contains(&image) {
                unique.push(image);
            }
        }
        unique
    }

    /// The manifest called `tag`, or of the kind that stands for it beside the only image.
    pub(crate) fn tagged(&self, tag: &str, subject: &Digest) -> Option<Digest> {
        let called = self.entries.iter().find(|entry| entry.name() == Some(tag));
        let kind = kind_of(tag);
        let of_image = || {
            let image = self.entries.iter().find(|it| it.is_kind(&[Kind::Image, Kind::Index]))?;
            let beside = |entry: &&Entry| kind.is_some_and(|kind| entry.is_kind(&[kind]));
            self.entries.iter().find(|entry| image.digest == *subject && beside(entry))
        };
        called.or_else(of_image).map(|entry| entry.digest.clone())
    }

    /// Whether the manifest is listed.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.entries.iter().any(|entry| entry.digest == *digest)
    }

    /// Adds an entry, in place of one that it makes obsolete.
    pub(crate) fn list(&mut self, entry: Entry) {
        self.entries.retain(|known| match (known.name(), entry.name()) {
            (Some(known), Some(name)) => known != name,
            _ => known.digest != entry.digest,
        });
        self.entries.push(entry);
    }
}

/// Why a text is not a digest.
fn reason_of(error: Error) -> String {
    match error {
        Error::Reference { reason, .. } => reason,
        other => other.to_string(),
    }
}

fn kind_of(tag: &str) -> Option<Kind> {
    match tag.rsplit_once('.')? {
        (_, "sig") => Some(Kind::Signatures),
        (_, "att") => Some(Kind::Attestations),
        _ => None,
    }
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    schema_version: u8,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    manifests: Option<Vec<WireEntry>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct WireEntry {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    size: u64,
    digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<Value>,
}

const KIND: &str = "kind";
const NAME: &str = "org.opencontainers.image.ref.name";
const MOST_VALUES: usize = 100_000;
