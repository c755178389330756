//! What a manifest is made of and refers to, to bring all of it elsewhere.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::document::check_values;
use crate::error::{Error, not_json};
use crate::manifest::{
    Descriptor, EMPTY_MEDIA_TYPE, INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, essence, is_manifest,
};

/// An image manifest or an index, as far as it names other content.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Contents {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Content>,
    #[serde(default)]
    layers: Option<Vec<Content>>,
    #[serde(default)]
    manifests: Option<Vec<Content>>,
    #[serde(default)]
    subject: Option<Content>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// A descriptor in a manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Content {
    #[serde(default)]
    pub(crate) media_type: String,
    #[serde(default)]
    pub(crate) size: u64,
    digest: String,
    #[serde(default)]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    platform: Option<WirePlatform>,
}

/// A manifest that an index lists.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Member {
    /// The manifest.
    pub manifest: Descriptor,
    /// Its platform, as `os/architecture` or `os/architecture/variant`, fit to show.
    pub platform: Option<String>,
}

/// The platform that an index states for a manifest.
#[derive(Clone, Debug, Deserialize)]
struct WirePlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

impl WirePlatform {
    /// `os/architecture`, and `/variant` where there is one.
    fn name(&self) -> String {
        let variant = self.variant.as_deref().filter(|variant| !variant.is_empty());
        let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
        host::escape_remote(&format!("{}/{}{variant}", self.os, self.architecture))
    }
}

impl Content {
    pub(crate) fn member(&self) -> Result<Member, Error> {
        let platform = self.platform.as_ref().map(WirePlatform::name);
        Ok(Member { manifest: self.descriptor()?, platform })
    }

    pub(crate) fn descriptor(&self) -> Result<Descriptor, Error> {
        Ok(Descriptor {
            media_type: self.media_type.clone(),
            size: self.size,
            digest: self.digest.parse()?,
        })
    }

    /// Docker's layers that are fetched from elsewhere are in no registry.
    fn is_foreign(&self) -> bool {
        self.media_type.contains(".foreign.") || self.media_type.contains(".nondistributable.")
    }
}

impl Contents {
    /// Reads the manifest `what`.
    pub(crate) fn parse(what: &str, bytes: &[u8]) -> Result<Self, Error> {
        let read = check_values(bytes, MOST_VALUES).and_then(|()| serde_json::from_slice(bytes));
        read.map_err(|error| Error::Invalid {
            what: what.to_owned(),
            reason: not_json("the JSON of a manifest", &error),
        })
    }

    /// The media type that it states, or that its members suggest.
    pub(crate) fn media_type(&self) -> &str {
        let stated = self.media_type.as_deref().map(essence).filter(|stated| is_manifest(stated));
        stated.unwrap_or(match self.manifests {
            Some(_) => INDEX_MEDIA_TYPE,
            None => MANIFEST_MEDIA_TYPE,
        })
    }

    /// The artifact type by which an index lists it: its own, else its configuration's media type.
    pub(crate) fn artifact_type(&self) -> &str {
        let config = || self.config.as_ref().map(|config| config.media_type.as_str());
        let own = self.artifact_type.as_deref().filter(|own| !own.is_empty());
        own.or_else(config).unwrap_or(EMPTY_MEDIA_TYPE)
    }

    /// The digest of what it refers to.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.subject.as_ref().map(|subject| subject.digest.as_str())
    }

    pub(crate) fn annotations(&self) -> BTreeMap<String, String> {
        self.annotations.clone().unwrap_or_default()
    }

    pub(crate) fn layers(&self) -> &[Content] {
        self.layers.as_deref().unwrap_or_default()
    }

    /// The manifests that an index lists.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Content> {
        let listed = self.manifests.as_deref().unwrap_or_default();
        listed.iter().filter(|member| is_manifest(essence(&member.media_type)))
    }

    /// The blobs that must be there before it is.
    pub(crate) fn blobs(&self) -> Result<Vec<Descriptor>, Error> {
        let listed = self.manifests.as_deref().unwrap_or_default();
        let others = listed.iter().filter(|member| !is_manifest(essence(&member.media_type)));
        let layers = self.layers().iter().filter(|layer| !layer.is_foreign());
        self.config.iter().chain(layers).chain(others).map(Content::descriptor).collect()
    }
}

/// Room for a thousand manifests or layers with annotations.
const MOST_VALUES: usize = 100_000;
