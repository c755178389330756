//! What a registry holds, for people to look at.

use serde::Serialize;
use serde_json::Value;

use super::store::Store;

/// A manifest of a repository.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HeldManifest {
    repository: String,
    digest: String,
    /// The tags that name it.
    tags: Vec<String>,
    media_type: String,
    /// What kind of artifact it is, if it says.
    artifact_type: Option<String>,
    /// The digest of the manifest that it is attached to.
    subject: Option<String>,
    /// In bytes, without what it refers to.
    size: usize,
}

impl HeldManifest {
    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    pub(crate) fn tags(&self) -> &[String] {
        &self.tags
    }

    /// What kind of thing it is.
    pub(crate) fn kind(&self) -> &str {
        self.artifact_type.as_deref().unwrap_or(&self.media_type)
    }

    pub(crate) fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

/// The first `most` manifests of `store`, by repository and digest.
pub(super) fn list(store: &Store, most: usize) -> Vec<HeldManifest> {
    let named = store.repositories().filter_map(|name| Some((name, store.repository(name)?)));
    let manifests = named.flat_map(|(name, repository)| {
        repository.manifests.keys().filter_map(move |digest| {
            let manifest = store.manifest(name, digest)?;
            let document: Value = serde_json::from_slice(manifest.content).unwrap_or_default();
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let tags = repository.tags.iter().filter(|(_, tagged)| *tagged == digest);
            Some(HeldManifest {
                repository: name.clone(),
                digest: digest.clone(),
                tags: tags.map(|(tag, _)| tag.clone()).collect(),
                media_type: manifest.media_type.to_owned(),
                artifact_type: text(&document["artifactType"]),
                subject: text(&document["subject"]["digest"]),
                size: manifest.content.len(),
            })
        })
    });
    manifests.take(most).collect()
}
