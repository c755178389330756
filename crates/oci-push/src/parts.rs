//! The manifests that an index is made of.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};

use crate::client::Client;
use crate::digest::Digest;
use crate::error::{Access, Error, not_json};
use crate::index::Index;
use crate::manifest::{DOCKER_LIST_MEDIA_TYPE, INDEX_MEDIA_TYPE, essence, is_manifest};
use crate::reference::Reference;
use crate::resolved::Resolved;

/// A manifest that an index lists.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Part {
    /// The manifest.
    pub manifest: Resolved,
    /// Whether the index says that it is an attestation manifest, as BuildKit adds them: provenance
    /// or an SBOM of a platform, and not an image that can run.
    pub is_attestation: bool,
}

/// An entry of an index.
struct Listed {
    digest: Digest,
    is_index: bool,
    is_attestation: bool,
}

impl Client {
    pub(crate) async fn parts(&self, image: &Resolved) -> Result<Vec<Part>, Error> {
        let mut parts: Vec<Part> = Vec::new();
        if !is_index(&image.descriptor().media_type) {
            return Ok(parts);
        }
        let mut known = HashSet::from([image.digest().clone()]);
        let mut indexes = vec![self.manifest(&image.reference(), Access::Pull).await?];
        while let Some((index, bytes)) = indexes.pop() {
            let mut new = listed(&index, bytes)?;
            new.retain(|entry| known.insert(entry.digest.clone()));
            if parts.len() + new.len() > MOST_PARTS {
                return Err(too_many(&index));
            }
            let mut fetched = iter(new)
                .map(|entry| async move {
                    let digest = entry.digest;
                    let reference = Reference::by_digest(image.repository().clone(), digest);
                    let part = self.manifest(&reference, Access::Pull).await;
                    let (manifest, bytes) =
                        part.map_err(|error| error.of_part(image.digest().as_str()))?;
                    Ok::<_, Error>((manifest, bytes, entry.is_attestation))
                })
                .buffered(AT_ONCE);
            while let Some((manifest, bytes, is_attestation)) = fetched.try_next().await? {
                if is_index(&manifest.descriptor().media_type) {
                    indexes.push((manifest.clone(), bytes));
                }
                parts.push(Part { manifest, is_attestation });
            }
        }
        Ok(parts)
    }

    /// Whether `index`, or an index that it lists, lists the manifest `digest`.
    pub(crate) async fn lists(&self, index: &Resolved, digest: &Digest) -> Result<bool, Error> {
        let mut known = HashSet::from([index.digest().clone()]);
        let mut indexes = vec![index.digest().clone()];
        while let Some(next) = indexes.pop() {
            let reference = Reference::by_digest(index.repository().clone(), next);
            let (found, bytes) = self.manifest(&reference, Access::Pull).await?;
            if !is_index(&found.descriptor().media_type) {
                continue;
            }
            for entry in listed(&found, bytes)? {
                if entry.digest == *digest {
                    return Ok(true);
                }
                if entry.is_index && known.insert(entry.digest.clone()) {
                    indexes.push(entry.digest);
                }
            }
            if known.len() > MOST_INDEXES {
                return Err(too_many(index));
            }
        }
        Ok(false)
    }
}

/// The manifests that `index` lists, one more than the limit at most.
fn listed(index: &Resolved, bytes: Bytes) -> Result<Vec<Listed>, Error> {
    let document = Index::parse(bytes).map_err(|error| Error::Invalid {
        what: index.to_string(),
        reason: not_json("an image index", &error),
    })?;
    let mut entries = Vec::new();
    let mut wrong = None;
    document.for_each(|entry| {
        let Some(entry) = entry.filter(|entry| is_manifest(essence(&entry.media_type))) else {
            return;
        };
        match entry.digest.parse() {
            Ok(digest) if entries.len() <= MOST_PARTS => entries.push(Listed {
                digest,
                is_index: is_index(essence(&entry.media_type)),
                is_attestation: entry.is_attestation(),
            }),
            Ok(_) => {}
            Err(error) => wrong = Some(error),
        }
    });
    wrong.map_or(Ok(entries), Err)
}

fn is_index(media_type: &str) -> bool {
    [INDEX_MEDIA_TYPE, DOCKER_LIST_MEDIA_TYPE].contains(&media_type)
}

fn too_many(index: &Resolved) -> Error {
    let reason = format!("it lists more than {MOST_PARTS} manifests");
    Error::Invalid { what: index.to_string(), reason }
}

const MOST_PARTS: usize = 1000;
/// An index of indexes is rare; each costs a request.
const MOST_INDEXES: usize = 100;
const AT_ONCE: usize = 8;
