//! What an index is made of.

use crate::error::not_json;
use crate::index::Index;
use crate::manifest::{Descriptor, INDEX_MEDIA_TYPE, essence};
use crate::resolve::is_manifest;
use crate::{Error, Registry, Resolved};

impl Registry {
    /// Every manifest that `image` lists, and that those list in turn: the platforms of an index,
    /// and whatever else it holds. Each is in the registry, and each is named once. Empty for an
    /// image of one platform.
    ///
    /// # Errors
    /// As [`Registry::manifest`]; [`Error::NotFound`] when a manifest that is listed is not there,
    /// and [`Error::Invalid`] for more than 1000 of them.
    pub async fn parts(&self, image: &Resolved) -> Result<Vec<Resolved>, Error> {
        let mut parts: Vec<Resolved> = Vec::new();
        let mut indexes = vec![image.clone()];
        while let Some(index) = indexes.pop() {
            if ![INDEX_MEDIA_TYPE, DOCKER_LIST].contains(&index.descriptor().media_type.as_str()) {
                continue;
            }
            let invalid = |reason: String| Error::Invalid { what: index.to_string(), reason };
            let (_, bytes) = self.manifest(&index.reference()).await?;
            let listed = Index::parse(&bytes)
                .map_err(|error| invalid(not_json("an image index", &error)))?;
            for entry in listed.descriptors() {
                let media_type = essence(&entry.media_type).to_owned();
                let digest = entry.digest()?;
                let known = |part: &Resolved| *part.digest() == digest;
                if !is_manifest(&media_type) || known(image) || parts.iter().any(known) {
                    continue;
                }
                if parts.len() == MOST_PARTS {
                    return Err(invalid(format!("it lists more than {MOST_PARTS} manifests")));
                }
                let descriptor = Descriptor { media_type, size: entry.size, digest };
                let part = Resolved::new(image.repository().clone(), descriptor);
                let part = self.resolve(&part.reference()).await?;
                indexes.push(part.clone());
                parts.push(part);
            }
        }
        Ok(parts)
    }
}

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const MOST_PARTS: usize = 1000;
